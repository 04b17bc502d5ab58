//! §2.2, authoritative name server behaviour.

use crate::prelude::*;

cases![nsid_is_given_when_asked_for, nsid_comes_with_every_answer];

/// "If the NSID option is present ... the server MUST include it, where it has one".
fn nsid_is_given_when_asked_for(server: &Server) {
    let reply = server.send(&Query::of("main.test. SOA").option(option::NSID, b""));
    let nsid = reply.edns().option(option::NSID);
    assert_eq!(nsid, Some(IDENTITY.as_bytes()), "{reply}");
}

/// Also with other codes than NOERROR, and over TCP.
fn nsid_comes_with_every_answer(server: &Server) {
    for question in ["nowhere.main.test. A", "elsewhere.invalid. A", "x.deleg.main.test. A"] {
        let query = Query::of(question).option(option::NSID, b"");
        assert!(server.send(&query).edns().option(option::NSID).is_some(), "{question}");
        assert!(server.tcp(&query).edns().option(option::NSID).is_some(), "{question}");
    }
}
