//! DNS messages: parsing, answering, updating, signatures.

use crate::world::{NOW_SECONDS, WORLD, commit, key};
use einhorn_core::commit::Output;
use einhorn_core::model::entry::Assembler;
use einhorn_core::model::{Effects, snapshot};
use einhorn_ingress::dispatch::{self, Arrival, Dispatch, Limiter};
use einhorn_ingress::rate_limit::RateLimit;
use einhorn_serve::answer::{self, Context, Transport};
use einhorn_wire::edns::Edns;
use einhorn_wire::message::{Header, Message, Section as Read};
use einhorn_wire::tsig::{self, KeyRing};
use einhorn_wire::writer::{Section, Writer};
use einhorn_wire::{Class, Record, rdata};
use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{LazyLock, Mutex, PoisonError};

/// Never says no, since the peer is this machine; made once, since it is large.
static LIMITS: LazyLock<Mutex<RateLimit>> =
    LazyLock::new(|| Mutex::new(RateLimit::new([6; 16], 1)));

const SECTIONS: [(Read, Section); 3] = [
    (Read::Answer, Section::Answer),
    (Read::Authority, Section::Authority),
    (Read::Additional, Section::Additional),
];

/// Whatever parses can be printed, compared, and written so that it parses to the same again.
pub(crate) fn message(octets: &[u8]) {
    let Ok(message) = Message::parse(octets) else { return };
    let _ = Edns::of(&message);
    let mut records = Vec::new();
    let mut written = Vec::new();
    let mut writer = Writer::new(&mut written, message.header.id, answer::TCP_OCTETS_MAX);
    for (section, into) in SECTIONS {
        // OPT and TSIG are not records of a section to whoever reads them.
        let Ok(found) = message.records(section) else { return };
        for record in found {
            check_record(&record);
            let Record { owner, rtype, class, ttl, rdata } = &record;
            if writer.record(into, owner.as_wire(), *rtype, *class, *ttl, rdata).is_err() {
                return;
            }
            records.push((section, record));
        }
    }
    let Ok(again) = Message::parse(&written) else {
        // OPT twice, TSIG not last and the like: the writer takes them, the reader does not.
        assert!(records.iter().any(|(_, r)| r.rtype.is_meta()), "written, but not read");
        return;
    };
    let again = SECTIONS.iter().map(|(section, _)| (*section, again.records(*section)));
    let again = again.flat_map(|(section, records)| {
        records.unwrap_or_default().into_iter().map(move |record| (section, record))
    });
    let again: Vec<(Read, Record)> = again.collect();
    assert_eq!(again.len(), records.len(), "other records come back");
    for ((_, before), (_, after)) in records.iter().zip(&again) {
        assert_eq!(before.owner, after.owner);
        assert!(rdata::same(before.rtype, &before.rdata, &after.rdata), "{before} and {after}");
    }
}

fn check_record(record: &Record) {
    let canonical = rdata::canonical(record.rtype, &record.rdata);
    assert_eq!(rdata::canonical(record.rtype, &canonical), canonical, "canonical once and twice");
    assert!(rdata::same(record.rtype, &record.rdata, &canonical), "its canonical form is equal");
    let _ = rdata::target(record.rtype, &record.rdata);
    let _ = rdata::soa_numbers(&record.rdata);
    let is_data = record.class == Class::IN && !record.rdata.is_empty() && !record.rtype.is_meta();
    assert!(!record.to_string().is_empty() || !is_data, "a record without a text");
}

/// An answer is a message and keeps to its limit; so does what is sent instead of it.
pub(crate) fn answer(octets: &[u8]) {
    let Ok(query) = Message::parse(octets) else { return };
    let view = WORLD.ingress.view();
    let peer = Ipv4Addr::LOCALHOST.into();
    for transport in [Transport::Udp, Transport::Tcp] {
        let settings = &view.settings.answer;
        let expired = &HashSet::new();
        let context = Context { transport, peer, now_seconds: NOW_SECONDS, settings, expired };
        let edns = Edns::of(&query).unwrap_or_default();
        let limit = context.limit(edns.as_ref());
        let mut buffer = Vec::new();
        answer::answer(&view.zones, &query, &context, 0, &mut buffer);
        assert!(buffer.len() <= limit, "{} octets of at most {limit}", buffer.len());
        check_response(octets, &buffer);
        buffer.clear();
        answer::limited(&query, &context, &mut buffer);
        assert!(buffer.len() <= limit, "{} octets of at most {limit}", buffer.len());
        check_response(octets, &buffer);
        // A signature that leaves no room for anything still lets an answer be made.
        buffer.clear();
        answer::answer(&view.zones, &query, &context, 600, &mut buffer);
        check_response(octets, &buffer);
    }
}

fn check_response(octets: &[u8], buffer: &[u8]) {
    let response = Message::parse(buffer);
    let response = response.unwrap_or_else(|error| panic!("the response is malformed: {error}"));
    assert!(response.header.is_response(), "a response");
    assert_eq!(buffer[..2], octets[..2], "the same id");
    for (section, _) in SECTIONS {
        let records = response.records(section);
        records.unwrap_or_else(|error| panic!("a response with a bad record: {error}"));
    }
}

fn arrival(transport: Transport) -> Arrival {
    let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 1234));
    Arrival { peer, transport, now_seconds: NOW_SECONDS }
}

fn dispatch_once(octets: &[u8], arrival: Arrival, buffer: &mut Vec<u8>) -> Dispatch {
    let ingress = &WORLD.ingress;
    let mut limits = LIMITS.lock().unwrap_or_else(PoisonError::into_inner);
    let limiter = Limiter::Own(&mut limits);
    dispatch::dispatch(ingress, &ingress.view(), octets, arrival, limiter, buffer)
}

/// Whatever comes is ignored, answered with a message, or becomes a request.
pub(crate) fn dispatch(octets: &[u8]) {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut buffer = Vec::new();
        match dispatch_once(octets, arrival(transport), &mut buffer) {
            Dispatch::Reply => check_response(octets, &buffer),
            Dispatch::Ignore => assert!(buffer.is_empty(), "nothing is said"),
            Dispatch::Submit(..) | Dispatch::Transfer(_) => {}
        }
    }
}

/// An UPDATE, signed here: if it becomes a request, its entries fold into the very state that
/// they were made from.
pub(crate) fn update(octets: &[u8]) {
    let is_plain = Message::parse(octets).is_ok_and(|message| message.tsig.is_none());
    if !is_plain || octets.len() > 60_000 {
        return;
    }
    let mut signed = octets.to_vec();
    key().sign_request(&mut signed, 0, NOW_SECONDS);
    let mut buffer = Vec::new();
    let arrival = arrival(Transport::Tcp);
    let request = match dispatch_once(&signed, arrival, &mut buffer) {
        Dispatch::Submit(request, _) => request,
        Dispatch::Reply => return check_response(octets, &buffer),
        Dispatch::Ignore | Dispatch::Transfer(_) => return,
    };
    let (mut commit, mut out) = (commit(), Vec::new());
    let mut folded = match snapshot::decode(&snapshot::encode(commit.state())) {
        Ok(state) => state,
        Err(error) => panic!("a state does not come back: {error}"),
    };
    let now_ms = NOW_SECONDS * 1000;
    commit.request(now_ms, (*request).clone(), (), &mut out);
    commit.request(now_ms, (*request).clone(), (), &mut out);
    commit.flush(now_ms, &mut out);
    for output in &out {
        let Output::Append(append) = output else { continue };
        let (mut assembler, mut parts) = (Assembler::default(), 0);
        for (octets, _) in append.own.entries() {
            parts += 1;
            let entry = assembler.next(octets);
            let entry = entry.unwrap_or_else(|error| panic!("an entry of ours: {error}"));
            let Some(entry) = entry else { continue };
            let fold = folded.fold(append.origin, &entry, parts, &mut Effects::default());
            fold.unwrap_or_else(|error| panic!("an entry of ours does not fold: {error}"));
            parts = 0;
        }
    }
    assert_eq!(snapshot::encode(&folded), snapshot::encode(commit.state()), "folds to the same");
}

/// A signature that was not made with the key is never accepted; one that was, is.
pub(crate) fn tsig(octets: &[u8]) {
    let mut keys = KeyRing::default();
    let key = key();
    keys.insert((*key).clone());
    let Ok(message) = Message::parse(octets) else { return };
    match tsig::verify(&message, &keys, NOW_SECONDS) {
        Ok(Some(signed)) => {
            let mut response = vec![0; 12];
            signed.sign_response(&mut response, 0, NOW_SECONDS);
            assert!(Message::parse(&response).is_ok(), "a signed response is a message");
        }
        Ok(None) => {
            if octets.len() > 60_000 {
                return;
            }
            let mut signed = octets.to_vec();
            key.sign_request(&mut signed, 0, NOW_SECONDS);
            // More records than can be counted cannot be signed.
            let Ok(message) = Message::parse(&signed) else { return };
            let verified = tsig::verify(&message, &keys, NOW_SECONDS);
            assert!(matches!(verified, Ok(Some(_))), "signed with the key, but not accepted");
        }
        Err(error) => {
            let header = Header::parse(octets).map_or(0, |header| header.id);
            let mut response = Vec::new();
            Writer::new(&mut response, header, answer::TCP_OCTETS_MAX);
            response.resize(response.len().max(12), 0);
            error.finish_response(&mut response, 0, NOW_SECONDS);
            assert!(Message::parse(&response).is_ok(), "a refused signature is answered");
        }
    }
}
