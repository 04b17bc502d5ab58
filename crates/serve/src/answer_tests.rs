//! Answers from a small zone, read back as a client would.

use super::*;
use crate::transfer;
use einhorn_core::agent::Rules;
use einhorn_core::commit::{Commit, Output};
use einhorn_core::model::request::{Action, Commitment, Identity, Request, RequestId};
use einhorn_core::model::{Origin, State};
use einhorn_core::rules::zone::names_of_zone;
use einhorn_wire::message::Section as Read;
use einhorn_wire::{Record, zonefile};
use std::path::Path;

const ZONE: &str = "$TTL 300
@ SOA ns h 1 3600 600 86400 60
@ NS ns
ns A 192.0.2.53
anna A 192.0.2.1
anna AAAA 2001:db8::1
mail MX 10 anna
_ipp._tcp SRV 0 0 631 anna
web HTTPS 1 anna alpn=h2
odd TYPE65280 \\# 2 01ab
www CNAME anna
out CNAME elsewhere.test.
loop CNAME loop
gone CNAME nobody
a.deep.ent TXT x
*.wild TXT wildcard
real.wild A 192.0.2.9
sub NS ns.sub
sub NS ns.elsewhere.test.
ns.sub A 192.0.2.54
sub DS 1 8 2 0000000000000000000000000000000000000000000000000000000000000000
big TXT \"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789\"
big TXT \"1123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789\"
big TXT \"2123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789\"
big TXT \"3123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789\"
big TXT \"4123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789\"
";

fn name(text: &str) -> Name {
    text.parse().expect("name")
}

fn zones() -> Zones {
    let apex = name("example.");
    let records = zonefile::load(Path::new("z"), &apex, &mut |_| Ok(ZONE.as_bytes().to_vec()))
        .expect("records");
    let request = Request {
        id: RequestId([1; 32]),
        remember_until_seconds: 60,
        who: Identity::Operator,
        zone: apex.clone(),
        action: Action::LoadZone {
            names: names_of_zone(&apex, records).expect("zone"),
            source: [0; 32],
        },
        entered_site: 1,
        audit_commitment: Commitment([0; 32]),
        audit: Vec::new(),
    };
    let mut commit = Commit::new(State::empty(), Box::new(Rules));
    commit.begin_log(0, Origin { site: 1, generation: 1 }, "test".to_owned());
    let mut out: Vec<Output<()>> = Vec::new();
    commit.request(0, &request, (), &mut out);
    commit.flush(0, &mut out);
    commit.appended(&mut out);
    let publish =
        out.into_iter().find_map(|o| if let Output::Publish(p) = o { Some(p.zones) } else { None });
    publish.expect("published")
}

struct Reply {
    rcode: Rcode,
    authoritative: bool,
    truncated: bool,
    answer: Vec<Record>,
    authority: Vec<Record>,
    additional: Vec<Record>,
    octets: Vec<u8>,
}

fn ask(query: &[u8], transport: Transport) -> Reply {
    let mut octets = Vec::new();
    answer(&zones(), &Message::parse(query).expect("a query"), transport, 0, &mut octets);
    let message = Message::parse(&octets).expect("a well-formed answer");
    assert!(message.header.is_response());
    let records = |section| message.records(section).expect("records");
    let opt_rcode = message.opt.as_ref().map_or(0, |opt| (opt.ttl >> 24) as u16);
    Reply {
        rcode: Rcode(message.header.rcode().0 | opt_rcode << 4),
        authoritative: message.header.flags & 0x0400 != 0,
        truncated: message.header.flags & 0x0200 != 0,
        answer: records(Read::Answer),
        authority: records(Read::Authority),
        additional: records(Read::Additional)
            .into_iter()
            .filter(|r| r.rtype != RecordType::OPT)
            .collect(),
        octets,
    }
}

fn query(qname: &str, qtype: &str, edns: Option<Edns>) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut writer = Writer::new(&mut octets, 1, 512);
    writer.question(name(qname).as_wire(), qtype.parse().expect("type"), Class::IN).expect("room");
    if let Some(Edns { udp_payload, version, .. }) = edns {
        let ttl = u32::from(version) << 16;
        writer
            .record(Section::Additional, &[0], RecordType::OPT, Class(udp_payload), ttl, &[])
            .expect("room");
    }
    octets
}

fn get(qname: &str, qtype: &str) -> Reply {
    ask(&query(qname, qtype, None), Transport::Udp)
}

fn texts(records: &[Record]) -> Vec<String> {
    records.iter().map(Record::to_string).collect()
}

#[test]
fn every_type_is_answered_with_authority() {
    for (qname, qtype, expected) in [
        ("anna.example.", "A", "anna.example. 300 IN A 192.0.2.1"),
        ("anna.example.", "AAAA", "anna.example. 300 IN AAAA 2001:db8::1"),
        ("mail.example.", "MX", "mail.example. 300 IN MX 10 anna.example."),
        ("example.", "NS", "example. 300 IN NS ns.example."),
        ("_ipp._tcp.example.", "SRV", "_ipp._tcp.example. 300 IN SRV 0 0 631 anna.example."),
        ("odd.example.", "TYPE65280", "odd.example. 300 IN TYPE65280 \\# 2 01AB"),
        ("a.deep.ent.example.", "TXT", "a.deep.ent.example. 300 IN TXT \"x\""),
        ("example.", "SOA", "example. 300 IN SOA ns.example. h.example. 1 3600 600 86400 60"),
    ] {
        let reply = get(qname, qtype);
        assert_eq!((reply.rcode, reply.authoritative), (Rcode::NOERROR, true), "{qname} {qtype}");
        assert_eq!(texts(&reply.answer), [expected]);
    }
    assert_eq!(get("web.example.", "HTTPS").answer.len(), 1);
}

#[test]
fn the_case_of_the_question_comes_back() {
    let reply = get("ANNA.eXample.", "A");
    assert_eq!(texts(&reply.answer), ["ANNA.eXample. 300 IN A 192.0.2.1"]);
}

#[test]
fn negative_answers_carry_the_soa_with_its_minimum_as_ttl() {
    let soa = ["example. 60 IN SOA ns.example. h.example. 1 3600 600 86400 60"];
    for (qname, qtype, rcode) in [
        ("anna.example.", "TXT", Rcode::NOERROR),
        ("deep.ent.example.", "A", Rcode::NOERROR),
        ("ent.example.", "A", Rcode::NOERROR),
        ("nobody.example.", "A", Rcode::NXDOMAIN),
        ("x.anna.example.", "A", Rcode::NXDOMAIN),
        ("ann.example.", "A", Rcode::NXDOMAIN),
        ("b.real.wild.example.", "TXT", Rcode::NXDOMAIN),
    ] {
        let reply = get(qname, qtype);
        assert_eq!((reply.rcode, reply.answer.len()), (rcode, 0), "{qname}");
        assert_eq!(texts(&reply.authority), soa, "{qname}");
    }
}

#[test]
fn outside_our_zones_we_refuse() {
    let reply = get("elsewhere.test.", "A");
    assert_eq!(
        (reply.rcode, reply.authoritative, reply.authority.len()),
        (Rcode::REFUSED, false, 0)
    );
    let mut chaos = query("anna.example.", "A", None);
    *chaos.last_mut().expect("class") = 3;
    assert_eq!(ask(&chaos, Transport::Udp).rcode, Rcode::REFUSED);
}

#[test]
fn cnames_are_followed_as_far_as_the_zone_goes() {
    let chain = texts(&get("www.example.", "A").answer);
    assert_eq!(
        chain,
        ["www.example. 300 IN CNAME anna.example.", "anna.example. 300 IN A 192.0.2.1"]
    );
    assert_eq!(get("www.example.", "CNAME").answer.len(), 1);
    assert_eq!(get("out.example.", "A").answer.len(), 1);
    assert_eq!(get("loop.example.", "A").rcode, Rcode::NOERROR);
    let gone = get("gone.example.", "A");
    assert_eq!((gone.rcode, gone.answer.len(), gone.authority.len()), (Rcode::NXDOMAIN, 1, 1));
}

#[test]
fn wildcards_cover_what_does_not_exist() {
    assert_eq!(
        texts(&get("x.y.wild.example.", "TXT").answer),
        ["x.y.wild.example. 300 IN TXT \"wildcard\""]
    );
    let nodata = get("x.wild.example.", "A");
    assert_eq!((nodata.rcode, nodata.answer.len()), (Rcode::NOERROR, 0));
    assert_eq!(get("real.wild.example.", "TXT").answer.len(), 0);
}

#[test]
fn delegations_are_referred_with_glue() {
    for qname in ["sub.example.", "x.sub.example.", "ns.sub.example."] {
        let reply = get(qname, "A");
        assert_eq!(
            (reply.rcode, reply.authoritative, reply.answer.len()),
            (Rcode::NOERROR, false, 0),
            "{qname}"
        );
        assert_eq!(reply.authority.len(), 2);
        assert_eq!(texts(&reply.additional), ["ns.sub.example. 300 IN A 192.0.2.54"]);
    }
    let ds = get("sub.example.", "DS");
    assert_eq!((ds.authoritative, ds.answer.len()), (true, 1));
}

#[test]
fn truncation_respects_what_the_client_takes() {
    let udp = get("big.example.", "TXT");
    assert_eq!((udp.truncated, udp.answer.len()), (true, 0));
    assert!(udp.octets.len() <= 512);
    let edns = |udp_payload| Some(Edns { udp_payload, version: 0, dnssec_ok: false });
    let large = ask(&query("big.example.", "TXT", edns(1232)), Transport::Udp);
    assert_eq!((large.truncated, large.answer.len()), (false, 5));
    let small = ask(&query("big.example.", "TXT", edns(100)), Transport::Udp);
    assert!(small.truncated && small.octets.len() <= 512);
    assert_eq!(ask(&query("big.example.", "TXT", None), Transport::Tcp).answer.len(), 5);
}

#[test]
fn edns_versions_and_question_counts() {
    let edns = Edns { udp_payload: 1232, version: 1, dnssec_ok: true };
    assert_eq!(ask(&query("anna.example.", "A", Some(edns)), Transport::Udp).rcode, Rcode::BADVERS);
    let mut none = query("anna.example.", "A", None);
    none.truncate(12);
    none[5] = 0;
    assert_eq!(ask(&none, Transport::Udp).rcode, Rcode::FORMERR);
}

#[test]
fn a_transfer_has_everything_between_two_soas() {
    let zones = zones();
    let zone = zones.get(&name("example.")).expect("zone");
    let octets = query("example.", "AXFR", None);
    let question = Message::parse(&octets).expect("query").question().expect("question");
    let mut all = Vec::new();
    transfer::messages(zone, &transfer::Content::Whole, 1, &question, 100, |message| {
        all.extend(
            Message::parse(&message).expect("message").records(Read::Answer).expect("records"),
        );
        true
    });
    assert_eq!(all.first(), all.last());
    assert_eq!(all.len(), ZONE.lines().count() - 1 + 1);
    let apex = name("example.");
    let file = {
        let mut out = Vec::new();
        let records: Vec<_> = transfer::records(zone).collect();
        zonefile::write(&mut out, &apex, records.iter()).expect("written");
        out
    };
    let back = zonefile::load(Path::new("z"), &apex, &mut |_| Ok(file.clone())).expect("records");
    assert_eq!(back, all[..all.len() - 1]);
}
