//! §2.2, AXFR response.

use crate::prelude::*;

cases![soa_first_and_last, only_answers];

/// "MUST be the SOA record ... first", and the same again at the end.
fn soa_first_and_last(server: &Server) {
    for zone in ["main.test.", "big.test.", "example."] {
        let all: Vec<_> = server.transfer(zone).into_iter().flat_map(|m| m.answer).collect();
        let (first, last) = (&all[0], &all[all.len() - 1]);
        assert_eq!(first.rtype, RecordType::SOA);
        assert_eq!(normal(std::slice::from_ref(first)), normal(std::slice::from_ref(last)));
    }
}

fn only_answers(server: &Server) {
    for message in server.transfer("big.test.") {
        assert!(message.authority.is_empty() && message.additional.is_empty(), "{message}");
    }
}
