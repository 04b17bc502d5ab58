//! What is done with a message: refused forms, opcodes, rates.

use super::*;
use crate::Access;
use crate::Settings;
use crate::rate_limit::LimitCounters;
use arc_swap::ArcSwap;
use einhorn_core::agent::Rules;
use einhorn_core::commit::{Commit, Output};
use einhorn_core::model::request::{Action, Commitment, Identity, RequestId};
use einhorn_core::model::{Origin, State};
use einhorn_core::rules::policy::Policy;
use einhorn_core::rules::zone::names_of_zone;
use einhorn_serve::answer::AnswerSettings;
use einhorn_serve::publish::Published;
use einhorn_wire::cookie::Secret;
use einhorn_wire::tsig::{Key, KeyRing};
use einhorn_wire::writer::{Section as Write, Writer};
use einhorn_wire::{Name, zonefile};
use std::path::Path;

const NOW_SECONDS: u64 = 1_700_000_000;
const KEY: &str = "hmac-sha256:phone.:c2VjcmV0IG9mIHRoZSBwaG9uZSBhbmQgdGhlIHNpdGU=";
const STRANGER: &str = "192.0.2.77:4000";

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

/// A zone `example.`, one key without grants, two responses and two updates per second.
pub(crate) fn ingress() -> Ingress {
    let text = "$TTL 300\n@ SOA ns h 1 3600 600 86400 60\n@ NS ns\nhost A 192.0.2.1\n";
    let apex = name("example.");
    let records = zonefile::load(Path::new("z"), &apex, &mut |_| Ok(text.as_bytes().to_vec()));
    let names = names_of_zone(&apex, records.expect("records")).expect("a zone");
    let mut commit: Commit<()> = Commit::new(State::empty(Origin::NONE), Box::new(Rules));
    commit.begin_log(0, Origin { site: 1, generation: 1 }, "test".to_owned(), None);
    let request = Request {
        id: RequestId([1; 32]),
        remember_until_seconds: 60,
        who: Identity::Operator,
        zone: apex,
        action: Action::LoadZone { names, source: [0; 32] },
        entered_site: 1,
        audit_commitment: Commitment([0; 32]),
        decision: None,
        audit: Vec::new(),
    };
    let mut out = Vec::new();
    commit.request(0, request, (), &mut out);
    commit.flush(0, &mut out);
    commit.appended(0, &mut out);
    let zones = Published::default();
    for output in out {
        if let Output::Publish(new) = output {
            zones.publish(new);
        }
    }
    let mut keys = KeyRing::default();
    keys.insert(KEY.parse().expect("a key"));
    let cookie_secrets = vec![Secret([4; 16])];
    let settings = Settings {
        answer: AnswerSettings { cookie_secrets, ..AnswerSettings::default() },
        limits: LimitSettings {
            responses_per_second: 2,
            updates_per_second: 2,
            ..LimitSettings::default()
        },
    };
    Ingress {
        zones,
        access: ArcSwap::from_pointee(Access {
            keys,
            policy: Policy::new([]),
            ..Access::default()
        }),
        settings: ArcSwap::from_pointee(settings),
        limited: LimitCounters::default(),
        crowd: Arc::default(),
        hostname_answers: Default::default(),
        submissions: crossbeam_channel::bounded(1).0,
        notified: tokio::sync::mpsc::channel(1).0,
        site: 1.into(),
        audit_secret: [3; 32],
    }
}

/// One UDP thread and its table.
struct Thread {
    ingress: Ingress,
    table: RateLimit,
}

impl Thread {
    fn new() -> Thread {
        Thread { ingress: ingress(), table: RateLimit::new([1; 16], 1) }
    }

    /// The octets of the reply; empty for none.
    fn send(&mut self, octets: &[u8], peer: &str) -> Vec<u8> {
        let peer = peer.parse().expect("an address");
        let arrival = Arrival { peer, transport: Transport::Udp, now_seconds: NOW_SECONDS };
        let (view, limiter) = (self.ingress.view(), Limiter::Own(&mut self.table));
        let mut buffer = b"before".to_vec();
        let done = dispatch(&self.ingress, &view, octets, arrival, limiter, &mut buffer);
        assert_eq!(matches!(done, Dispatch::Reply), buffer.len() > 6);
        buffer.split_off(6)
    }
}

pub(crate) fn query(
    qname: &str,
    rtype: RecordType,
    opcode: Opcode,
    options: Option<&[u8]>,
) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut writer = Writer::new(&mut octets, 0x1234, 512);
    writer.set_request(opcode);
    writer.question(name(qname).as_wire(), rtype, Class::IN).expect("room");
    if let Some(options) = options {
        let class = Class(1232);
        writer.record(Write::Additional, &[0], RecordType::OPT, class, 0, options).expect("room");
    }
    octets
}

fn a_query() -> Vec<u8> {
    query("host.example.", RecordType::A, Opcode::QUERY, None)
}

/// Flags with the response code, and the four counts.
fn header(reply: &[u8]) -> (u16, [u16; 4]) {
    let header = Header::parse(reply).expect("a reply");
    assert_eq!(header.id, 0x1234);
    (header.flags, header.counts)
}

fn full_rcode(reply: &[u8]) -> u16 {
    let message = Message::parse(reply).expect("a message");
    message.header.rcode().0 | message.opt.map_or(0, |opt| (opt.ttl >> 20) as u16 & 0xFF0)
}

#[test]
fn what_is_no_request_is_not_answered() {
    let mut thread = Thread::new();
    let mut response = a_query();
    response[2] |= 0x80;
    for octets in [&response[..], &a_query()[..11], &[]] {
        assert!(thread.send(octets, STRANGER).is_empty());
    }
}

#[test]
fn what_cannot_be_read_is_answered_with_a_header() {
    let query = a_query();
    for octets in [&query[..12], &query[..query.len() - 1], &[&query[..], &[0]].concat()] {
        let reply = Thread::new().send(octets, STRANGER);
        assert_eq!((header(&reply), reply.len()), ((0x8001, [0; 4]), 12));
    }
}

#[test]
fn unknown_opcodes_are_not_implemented() {
    for opcode in [1, 2, 3, 6, 7, 15] {
        let octets = query("host.example.", RecordType::A, Opcode(opcode), Some(&[]));
        let reply = Thread::new().send(&octets, STRANGER);
        let flags = 0x8004 | u16::from(opcode) << 11;
        assert_eq!(header(&reply), (flags, [1, 0, 0, 1]), "{opcode}");
        // Their form is unknown, so nothing about it can be wrong.
        let reply = Thread::new().send(&octets[..20], STRANGER);
        assert_eq!(header(&reply), (flags, [0; 4]), "{opcode}");
        let only_header = [&octets[..4], &[0; 8]].concat();
        assert_eq!(header(&Thread::new().send(&only_header, STRANGER)), (flags, [0; 4]));
    }
}

#[test]
fn transfers_by_udp() {
    let ask = |rtype| {
        let octets = query("example.", rtype, Opcode::QUERY, None);
        header(&Thread::new().send(&octets, STRANGER))
    };
    assert_eq!(ask(RecordType::AXFR), (0x8001, [1, 0, 0, 0]));
    assert_eq!(ask(RecordType::IXFR), (0x8400, [1, 1, 0, 0]), "the SOA alone");
}

#[test]
fn an_update_with_a_bad_opt_is_refused_as_such() {
    let update = |options| query("example.", RecordType::SOA, Opcode::UPDATE, Some(options));
    let reply = Thread::new().send(&update(&[1]), STRANGER);
    assert_eq!(full_rcode(&reply), Rcode::FORMERR.0);
    let mut octets = update(&[]);
    let version_at = octets.len() - 5;
    octets[version_at] = 1;
    assert_eq!(full_rcode(&Thread::new().send(&octets, STRANGER)), Rcode::BADVERS.0);
    let unsigned = Thread::new().send(&update(&[]), STRANGER);
    assert_eq!(full_rcode(&unsigned), Rcode::REFUSED.0);
}

#[test]
fn over_its_rate_a_source_gets_every_other_answer_truncated() {
    let mut thread = Thread::new();
    let replies: Vec<_> = (0..6).map(|_| thread.send(&a_query(), STRANGER)).collect();
    let flags: Vec<_> =
        replies.iter().map(|r| Header::parse(r).map(|h| (h.flags, h.counts[1]))).collect();
    let (whole, cut) = (Some((0x8400, 1)), Some((0x8200, 0)));
    assert_eq!(flags, [whole, whole, None, cut, None, cut]);
    let limited = &thread.ingress.limited;
    assert_eq!(limited.responses_dropped.load(Ordering::Relaxed), 2);
    assert_eq!(limited.responses_slipped.load(Ordering::Relaxed), 2);
    // Neither this machine nor another class of answers is concerned.
    assert!(
        (0..9).all(|_| header(&thread.send(&a_query(), "127.0.0.1:1")) == (0x8400, [1, 1, 0, 0]))
    );
    let none = query("nobody.example.", RecordType::A, Opcode::QUERY, None);
    assert_eq!(header(&thread.send(&none, STRANGER)).0, 0x8403);
}

#[test]
fn who_has_shown_where_it_is_gets_all_its_answers() {
    let mut thread = Thread::new();
    let with = |options: &[u8]| query("host.example.", RecordType::A, Opcode::QUERY, Some(options));
    let first = with(&[0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]);
    let replies: Vec<_> = (0..4).map(|_| thread.send(&first, STRANGER)).collect();
    assert_eq!(full_rcode(&replies[3]), Rcode::BADCOOKIE.0, "over the rate, it learns a cookie");
    let given = &replies[3][replies[3].len() - 24..];
    let back = with(&[&[0, 10, 0, 24], given].concat());
    for _ in 0..9 {
        assert_eq!(header(&thread.send(&back, STRANGER)), (0x8400, [1, 1, 0, 1]));
    }
    // From another address it is worth nothing.
    let elsewhere: Vec<_> = (0..3).map(|_| thread.send(&back, "203.0.113.1:1")).collect();
    assert!(elsewhere[2].is_empty());
    let key: Arc<Key> = Arc::new(KEY.parse().expect("a key"));
    let mut signed = a_query();
    key.sign_request(&mut signed, 0, NOW_SECONDS);
    for _ in 0..9 {
        assert_eq!(header(&thread.send(&signed, STRANGER)), (0x8400, [1, 1, 0, 1]));
    }
}

#[test]
fn too_many_updates_are_refused_before_their_signature_is_read() {
    let mut thread = Thread::new();
    let mut update = query("example.", RecordType::SOA, Opcode::UPDATE, Some(&[]));
    let key: Arc<Key> = Arc::new(KEY.parse().expect("a key"));
    key.sign_request(&mut update, 0, NOW_SECONDS);
    // The key may do nothing, which is said with its signature.
    for signed in [true, true, false] {
        let reply = thread.send(&update, STRANGER);
        assert_eq!(full_rcode(&reply), Rcode::REFUSED.0);
        let message = Message::parse(&reply).expect("a message");
        assert_eq!(message.tsig.is_some(), signed);
        let why = reply.windows(8).any(|part| part == b"too many");
        assert_eq!(why, !signed, "the reason is told");
    }
    assert_eq!(thread.ingress.limited.updates_refused.load(Ordering::Relaxed), 1);
    let local = thread.send(&update, "127.0.0.1:1");
    assert!(Message::parse(&local).expect("a message").tsig.is_some());
}
