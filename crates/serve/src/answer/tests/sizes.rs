//! Truncation, compression and what is reserved (RFC 2181 §9, RFC 6891 §6.2.5).

use super::*;

#[test]
fn truncation_respects_what_the_client_takes() {
    let udp = get("big.example.", "TXT");
    assert_eq!((udp.truncated, udp.answer.len()), (true, 0));
    assert!(udp.octets.len() <= 512);
    let of_size =
        |octets| ask(&query("big.example.", "TXT", Some((octets, 0, &[]))), Transport::Udp);
    let large = of_size(1232);
    assert_eq!((large.truncated, large.answer.len()), (false, 5));
    let small = of_size(100);
    assert!(small.truncated && small.octets.len() <= 512 && small.options.is_some());
    // To the octet.
    let exact = large.octets.len() as u16;
    assert!(!of_size(exact).truncated);
    assert!(of_size(exact - 1).truncated);
    assert_eq!(ask(&query("big.example.", "TXT", None), Transport::Tcp).answer.len(), 5);
}

#[test]
fn our_own_limit_counts_too() {
    let settings = AnswerSettings { udp_payload_octets_max: 512, ..settings() };
    let query = query("big.example.", "TXT", Some((4096, 0, &[])));
    let reply = ask_in(&ZONES, &query, &context(&settings, Transport::Udp));
    assert!(reply.truncated && reply.octets.len() <= 512);
    let message = Message::parse(&reply.octets).expect("a message");
    assert_eq!(message.opt.expect("OPT").class, Class(512));
}

#[test]
fn the_rrsets_before_the_one_that_does_not_fit_stay_whole() {
    let strings: String = (0..10).map(|i| format!("big TXT \"{i}{}\"\n", "x".repeat(90))).collect();
    let zones = example(&format!("www CNAME big\n{strings}"));
    let reply =
        ask_in(&zones, &query("www.example.", "TXT", None), &context(&settings(), Transport::Udp));
    assert!(reply.truncated && reply.authoritative);
    assert_eq!(reply.answer, ["www.example. 300 IN CNAME big.example."]);
}

#[test]
fn a_negative_answer_without_room_for_its_soa_is_truncated() {
    let long = format!("{}.example.", vec!["x".repeat(60); 3].join("."));
    let (settings, query) = (settings(), query(&long, "A", None));
    let query = Message::parse(&query).expect("a query");
    for (reserve, truncated) in [(0, false), (300, true), (4000, true)] {
        let mut octets = Vec::new();
        answer(&ZONES, &query, &context(&settings, Transport::Udp), reserve, &mut octets);
        let reply = read(octets, false);
        assert_eq!(reply.truncated, truncated, "{reserve}");
        assert_eq!(reply.authority.len(), usize::from(!truncated), "{reserve}");
    }
}

#[test]
fn opt_is_there_even_when_nothing_else_fits() {
    let settings = AnswerSettings {
        nsid: Some(vec![b'n'; NSID_OCTETS_MAX]),
        cookie_secrets: vec![einhorn_wire::cookie::Secret([1; 16])],
        ..settings()
    };
    let label = "x".repeat(63);
    let long = format!("{label}.{label}.{label}.{}.example.", "y".repeat(53));
    let options = [&[0, 3, 0, 0, 0, 10, 0, 8][..], &[7; 8]].concat();
    let query = query(&long, "A", Some((512, 0, &options)));
    let reply = ask_in(&ZONES, &query, &context(&settings, Transport::Udp));
    assert!(reply.octets.len() <= 512, "{}", reply.octets.len());
    assert!(reply.option(3).is_some() && reply.option(10).is_some());
}

#[test]
fn names_are_compressed_where_that_is_allowed() {
    let zones = example(
        "m MX 10 long-target-name.m\ns SRV 0 0 1 long-target-name.s\nd DNAME long-target-name.d\n",
    );
    for (qname, qtype, compressed) in [
        ("m.example.", "MX", true),
        ("example.", "SOA", true),
        ("example.", "NS", true),
        ("s.example.", "SRV", false),
        ("d.example.", "DNAME", false),
    ] {
        let reply = get_in(&zones, qname, qtype);
        let message = Message::parse(&reply.octets).expect("a message");
        let record = message.section(Read::Answer).next().expect("a record").expect("sound");
        assert_eq!(reply.octets[record.start] & 0xC0, 0xC0, "{qtype}: the owner is a pointer");
        let rdata = &reply.octets[record.rdata_start..record.end];
        let whole = record.to_record(&reply.octets).expect("sound").rdata;
        assert_eq!(rdata.len() < whole.len(), compressed, "{qtype}");
    }
}
