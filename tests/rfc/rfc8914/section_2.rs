//! §2, the option.

use crate::prelude::*;

cases![
    a_zone_that_is_not_served [
        Bind May "no such extended error"
            "the option \"can\" be included; BIND 9.18 has none for this",
    ],
    never_without_opt,
    always_well_formed,
];

/// Code and text of the extended error.
fn extended_error(reply: &Reply) -> Option<(u16, String)> {
    let data = reply.opt.as_ref()?.option(option::EXTENDED_ERROR)?;
    let (code, text) = data.split_at_checked(2).expect("a code");
    let code = u16::from_be_bytes([code[0], code[1]]);
    Some((code, String::from_utf8(text.to_vec()).expect("UTF-8")))
}

/// §4.21: 20, "Not Authoritative".
fn a_zone_that_is_not_served(server: &Server) {
    let reply = server.send(&Query::of("elsewhere.invalid. A").edns(1232));
    reply.rcode(Rcode::REFUSED);
    let error = extended_error(&reply);
    assert_eq!(error.map(|(code, _)| code), Some(20), "no such extended error\n{reply}");
}

/// "The EDE option can be included in any response ... to a query that includes OPT".
fn never_without_opt(server: &Server) {
    let reply = server.ask("elsewhere.invalid. A");
    reply.rcode(Rcode::REFUSED);
    assert!(reply.opt.is_none(), "{reply}");
}

/// Codes and texts that can be read, where there are any.
fn always_well_formed(server: &Server) {
    for question in ["host.main.test. A", "nowhere.main.test. A", "elsewhere.invalid. A"] {
        let reply = server.send(&Query::of(question).edns(1232));
        let error = extended_error(&reply);
        assert!(error.is_none() || reply.rcode == Rcode::REFUSED, "{reply}");
    }
}
