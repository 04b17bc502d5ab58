//! EDNS: versions, options, cookies, extended errors; flags.

use super::*;
use einhorn_wire::cookie::Secret;

const COOKIE: [u8; 12] = [0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8];

fn with_cookies() -> AnswerSettings {
    AnswerSettings { cookie_secrets: vec![Secret([9; 16])], ..settings() }
}

fn ask_with(settings: &AnswerSettings, transport: Transport, options: &[u8]) -> Reply {
    let query = query("anna.example.", "A", Some((1232, 0, options)));
    ask_in(&ZONES, &query, &context(settings, transport))
}

#[test]
fn opt_answers_opt_and_only_that() {
    assert!(get("anna.example.", "A").options.is_none());
    for qname in ["anna.example.", "nobody.example.", "elsewhere.test."] {
        let reply = ask(&query(qname, "A", Some((1232, 0, &[]))), Transport::Udp);
        assert!(reply.options.is_some(), "{qname}");
    }
    // Unknown options are passed over and not repeated; DO is repeated.
    let mut query = query("anna.example.", "A", Some((1232, 0, &[0, 100, 0, 1, 5])));
    let ttl_at = query.len() - 9;
    query[ttl_at] = 0x80;
    let reply = ask(&query, Transport::Udp);
    assert_eq!(reply.options.as_deref(), Some(&[][..]));
    assert_eq!(Message::parse(&reply.octets).expect("a message").opt.expect("OPT").ttl, 0x8000);
}

#[test]
fn versions_and_malformed_options() {
    let badvers = ask(&query("anna.example.", "A", Some((1232, 1, &[9]))), Transport::Udp);
    assert_eq!(badvers.status(), (Rcode::BADVERS, 0, 0, 0));
    let opt = Message::parse(&badvers.octets).expect("a message").opt.expect("OPT");
    assert_eq!(opt.ttl >> 16 & 0xFF, 0, "our version");
    for options in [&[1][..], &[0, 100, 0, 9, 1], &[0, 10, 0, 3, 1, 2, 3]] {
        let reply = ask(&query("anna.example.", "A", Some((1232, 0, options))), Transport::Udp);
        assert_eq!(reply.status(), (Rcode::FORMERR, 0, 0, 0), "{options:?}");
        assert!(reply.options.is_some(), "the client speaks EDNS");
    }
}

#[test]
fn one_question_it_must_be() {
    let mut none = query("anna.example.", "A", None);
    none.truncate(12);
    none[5] = 0;
    assert_eq!(ask(&none, Transport::Udp).status(), (Rcode::FORMERR, 0, 0, 0));
    let mut two = query("anna.example.", "A", None);
    let question = two[12..].to_vec();
    two.extend_from_slice(&question);
    two[5] = 2;
    let reply = ask(&two, Transport::Udp);
    assert_eq!(reply.status(), (Rcode::FORMERR, 0, 0, 0));
    assert_eq!(reply.octets.len(), 12, "neither question is repeated");
}

#[test]
fn flags_are_repeated_only_where_they_should_be() {
    let mut query = query("anna.example.", "A", None);
    for (flags, expected) in [
        (0x0000u16, 0x8400u16),
        (0x0100, 0x8500), // RD
        (0x0010, 0x8410), // CD
        (0x0020, 0x8400), // AD
        (0x0040, 0x8400), // the bit that must be zero
        (0x0680, 0x8400), // AA, TC, RA
        (0x000F, 0x8400), // a response code
    ] {
        query[2..4].copy_from_slice(&flags.to_be_bytes());
        let reply = ask(&query, Transport::Udp);
        assert_eq!(reply.octets[2..4], expected.to_be_bytes(), "{flags:04x}");
    }
}

#[test]
fn who_answers_is_told_on_request_if_configured() {
    let settings = AnswerSettings { nsid: Some(b"fra1".to_vec()), ..settings() };
    assert_eq!(ask_with(&settings, Transport::Udp, &[0, 3, 0, 0]).option(3), Some(&b"fra1"[..]));
    assert_eq!(ask_with(&settings, Transport::Udp, &[]).option(3), None);
    assert_eq!(ask_with(&super::settings(), Transport::Udp, &[0, 3, 0, 0]).option(3), None);
}

#[test]
fn idle_time_is_told_over_tcp_on_request() {
    let settings = AnswerSettings { tcp_idle_seconds: 12, ..settings() };
    let asks = [0, 11, 0, 0];
    assert_eq!(ask_with(&settings, Transport::Tcp, &asks).option(11), Some(&[0, 120][..]));
    assert_eq!(ask_with(&settings, Transport::Udp, &asks).option(11), None);
    assert_eq!(ask_with(&settings, Transport::Tcp, &[]).option(11), None);
    let settings = AnswerSettings { tcp_idle_seconds: 60_000, ..settings };
    assert_eq!(ask_with(&settings, Transport::Tcp, &asks).option(11), Some(&[255, 255][..]));
}

#[test]
fn cookies_are_given_and_recognised() {
    let settings = with_cookies();
    let first = ask_with(&settings, Transport::Udp, &COOKIE);
    let given = first.option(10).expect("a cookie").to_vec();
    assert_eq!((given.len(), &given[..8], first.has_cookie), (24, &COOKIE[4..], false));
    let back = [&[0, 10, 0, 24][..], &given].concat();
    let second = ask_with(&settings, Transport::Udp, &back);
    assert_eq!((second.option(10), second.has_cookie), (Some(&given[..]), true));
    assert_eq!(second.answer.len(), 1);
    // A forged one is answered with a right one.
    let mut forged = back.clone();
    forged[27] ^= 1;
    let third = ask_with(&settings, Transport::Udp, &forged);
    assert_eq!(
        (third.option(10), third.has_cookie, third.answer.len()),
        (Some(&given[..]), false, 1)
    );
    // Off: passed over.
    assert_eq!(ask_with(&super::settings(), Transport::Udp, &COOKIE).option(10), None);
}

#[test]
fn a_cookie_may_be_asked_for_without_a_question() {
    let settings = with_cookies();
    let ask = |settings: &AnswerSettings, options: &[u8]| {
        let mut octets = Vec::new();
        let mut writer = Writer::new(&mut octets, 1, 512);
        let class = Class(1232);
        writer.record(Section::Additional, &[0], RecordType::OPT, class, 0, options).expect("room");
        ask_in(&ZONES, &octets, &context(settings, Transport::Udp))
    };
    let first = ask(&settings, &COOKIE);
    assert_eq!(first.status(), (Rcode::NOERROR, 0, 0, 0));
    let mut back = [&[0, 10, 0, 24][..], first.option(10).expect("a cookie")].concat();
    assert_eq!(ask(&settings, &back).rcode, Rcode::NOERROR);
    back[27] ^= 1;
    let wrong = ask(&settings, &back);
    assert_eq!((wrong.rcode, wrong.option(10)), (Rcode::BADCOOKIE, first.option(10)));
    assert_eq!(ask(&settings, &[]).rcode, Rcode::FORMERR);
    assert_eq!(ask(&super::settings(), &COOKIE).rcode, Rcode::FORMERR);
}

#[test]
fn over_the_rate_one_may_come_by_tcp_or_with_a_cookie() {
    let settings = with_cookies();
    let limit = |options: Option<&[u8]>| {
        let query = query("anna.example.", "A", options.map(|options| (1232, 0, options)));
        let mut octets = Vec::new();
        let query = Message::parse(&query).expect("a query");
        limited(&query, &context(&settings, Transport::Udp), &mut octets);
        read(octets, false)
    };
    for options in [None, Some(&[][..])] {
        let reply = limit(options);
        assert_eq!((reply.truncated, reply.status()), (true, (Rcode::NOERROR, 0, 0, 0)));
    }
    let taught = limit(Some(&COOKIE));
    assert_eq!((taught.truncated, taught.rcode), (false, Rcode::BADCOOKIE));
    assert_eq!(taught.option(10).map(<[u8]>::len), Some(24));
}

#[test]
fn types_that_cannot_be_asked_for() {
    for (qtype, rcode, error) in [
        ("TYPE253", Rcode::NOTIMP, 21), // MAILB
        ("TYPE254", Rcode::NOTIMP, 21), // MAILA
        ("TKEY", Rcode::NOTIMP, 21),
        ("TYPE200", Rcode::NOTIMP, 21),
        ("OPT", Rcode::FORMERR, 21),
        ("TSIG", Rcode::FORMERR, 21),
        ("TYPE128", Rcode::FORMERR, 30), // NXNAME
        ("AXFR", Rcode::FORMERR, 21),
    ] {
        let reply = get_in(&ZONES, "anna.example.", qtype);
        assert_eq!(reply.status(), (rcode, 0, 0, 0), "{qtype}");
        assert_eq!(reply.extended_error(), Some(error), "{qtype}");
    }
}

#[test]
fn ixfr_by_udp_is_the_soa_alone() {
    let reply = get("example.", "IXFR");
    assert_eq!((reply.authoritative, reply.status()), (true, (Rcode::NOERROR, 1, 0, 0)));
    assert!(reply.answer[0].contains(" SOA "), "{:?}", reply.answer);
    assert_eq!(get("anna.example.", "IXFR").rcode, Rcode::NOTAUTH);
}

#[test]
fn the_opcode_is_repeated() {
    let mut query = query("anna.example.", "A", None);
    query[2] = Opcode::NOTIFY.0 << 3;
    assert_eq!(ask(&query, Transport::Udp).octets[2] >> 3 & 15, Opcode::NOTIFY.0);
}
