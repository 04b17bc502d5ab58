//! Answers put together from records, good and bad, and what becomes of a zone by them.

use super::*;
use crate::agent::Rules;
use crate::commit::{Commit, Output};
use crate::model::request::{Action, Commitment, Identity, Request, RequestId};
use crate::model::settings::{Remote, Settings};
use crate::model::{Origin, State, Zone};
use crate::rules::zone::ZoneError;
use einhorn_wire::writer::{self, Writer};
use einhorn_wire::zonefile;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

const ID: u16 = 4711;

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

fn records(text: &str) -> Vec<Record> {
    zonefile::load(Path::new("test"), &name("example."), &mut |_| Ok(text.as_bytes().to_vec()))
        .expect("records")
}

fn soa(serial: u32) -> String {
    format!("@ 60 SOA ns h {serial} 2 3 4 5\n")
}

/// An answer with `per_message` records in each message.
fn messages(rtype: RecordType, records: &[Record], per_message: usize) -> Vec<Vec<u8>> {
    let message = |(index, records): (usize, &[Record])| {
        let mut octets = Vec::new();
        let mut writer = Writer::new(&mut octets, ID, 65_535);
        writer.set_response(Opcode::QUERY, false);
        if index == 0 {
            writer.question(name("example.").as_wire(), rtype, Class::IN).expect("room");
        }
        for r in records {
            let section = writer::Section::Answer;
            let owner = r.owner.as_wire();
            writer.record(section, owner, r.rtype, r.class, r.ttl, &r.rdata).expect("room");
        }
        octets
    };
    records.chunks(per_message).enumerate().map(message).collect()
}

fn read_records(
    since: Option<u32>,
    records: &[Record],
    per_message: usize,
) -> Result<Content, IncomingError> {
    let mut incoming = Incoming::new(name("example."), ID, since);
    let rtype = if since.is_some() { RecordType::IXFR } else { RecordType::AXFR };
    for octets in messages(rtype, records, per_message) {
        incoming.message(&Message::parse(&octets).expect("a message"))?;
    }
    incoming.finish()
}

/// Reads an answer given as zone file lines, one record in each message, and all in one.
fn read(since: Option<u32>, text: &str) -> Result<Content, IncomingError> {
    let records = records(text);
    let (single, whole) = (read_records(since, &records, 1), read_records(since, &records, 1000));
    assert_eq!(single, whole, "{text}");
    whole
}

/// A commit with the zone `example.`, followed, empty.
fn site() -> Commit<()> {
    let mut commit = Commit::new(State::empty(Origin::NONE), Box::new(Rules));
    commit.begin_log(0, Origin { site: 1, generation: 1 }, "test".to_owned(), None);
    let primaries = vec!["127.0.0.1".parse::<Remote>().expect("a server")];
    submit(&mut commit, 1, Action::Configure(Settings { primaries, ..Settings::default() }));
    commit
}

fn submit(commit: &mut Commit<()>, id: u8, action: Action) {
    let request = Request {
        id: RequestId([id; 32]),
        remember_until_seconds: 60,
        who: Identity::Primary(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        zone: name("example."),
        action,
        entered_site: 1,
        audit_commitment: Commitment([0; 32]),
        decision: None,
        audit: Vec::new(),
    };
    let mut out = Vec::new();
    commit.request(0, request, (), &mut out);
    commit.flush(0, &mut out);
    commit.appended(0, &mut out);
    let refused = out.iter().find_map(|output| match output {
        Output::Answer((), crate::model::request::Outcome::Refused { reason, .. }, _) => {
            Some(reason.clone())
        }
        _ => None,
    });
    assert_eq!(refused, None);
}

fn zone(commit: &Commit<()>) -> Arc<Zone> {
    Arc::clone(commit.state().zones.get(&name("example.")).expect("the zone"))
}

/// Takes an answer over, and gives the zone's records after.
fn take_over(commit: &mut Commit<()>, id: u8, content: Content) -> Result<Vec<String>, PlanError> {
    let planned = plan(&zone(commit), content)?.expect("something new");
    let serial = planned.soa.serial;
    planned.action.into_iter().for_each(|action| submit(commit, id, action));
    assert_eq!(zone(commit).serial, serial, "the primary's serial is kept");
    Ok(lines(&zone(commit)))
}

fn lines(zone: &Zone) -> Vec<String> {
    let mut lines = Vec::new();
    for record in zone.names.iter() {
        for set in record.rrsets() {
            for data in set.rdatas() {
                let data = rdata::Presentation { rtype: set.rtype, rdata: data };
                lines.push(format!(
                    "{} {} {} {data}",
                    record.owner().to_name(),
                    set.ttl,
                    set.rtype
                ));
            }
        }
    }
    lines.sort();
    lines
}

#[test]
fn whole_zones_are_read_and_taken_over() {
    let body = "@ 60 NS ns\na 60 A 192.0.2.1\na 60 A 192.0.2.2\n";
    let answer = format!("{}{body}{}", soa(7), soa(7));
    let content = read(None, &answer).expect("a zone");
    assert_eq!(read(Some(3), &answer).as_ref(), Ok(&content), "also to an incremental question");
    let mut commit = site();
    assert_eq!(zone(&commit).soa(), None);
    let after = take_over(&mut commit, 2, content.clone()).expect("it fits");
    assert_eq!(after.len(), 4, "{after:?}");
    let again = plan(&zone(&commit), content).expect("it fits").expect("a zone");
    assert_eq!((again.soa.serial, again.action), (7, None), "nothing differs");
    // A zone can go back and change completely; the serial is the primary's.
    let content = read(None, &format!("{}@ 60 NS ns\nb 1 TXT x\n{}", soa(4), soa(4)));
    let after = take_over(&mut commit, 3, content.expect("a zone")).expect("it fits");
    assert_eq!(after.len(), 3, "{after:?}");
}

#[test]
fn differences_are_read_and_taken_over() {
    let mut commit = site();
    let body = "@ 60 NS ns\na 60 A 192.0.2.1\nb 60 A 192.0.2.2\n";
    let content = read(None, &format!("{}{body}{}", soa(7), soa(7))).expect("a zone");
    take_over(&mut commit, 2, content).expect("it fits");
    let first = format!("{}a 60 A 192.0.2.1\n{}a 60 A 192.0.2.3\nc 60 TXT x\n", soa(7), soa(8));
    let second = format!("{}c 60 TXT x\nb 60 A 192.0.2.2\n{}b 90 A 192.0.2.2\n", soa(8), soa(10));
    let content = read(Some(7), &format!("{}{first}{second}{}", soa(10), soa(10)));
    let Ok(Content::Differences(differences)) = &content else { panic!("{content:?}") };
    assert_eq!(differences.iter().map(|d| d.from).collect::<Vec<_>>(), [7, 8]);
    let after = take_over(&mut commit, 3, content.expect("differences")).expect("they fit");
    let expected = ["a.example. 60 A 192.0.2.3", "b.example. 90 A 192.0.2.2"];
    assert_eq!(after[..2], expected, "{after:?}");
    assert_eq!(after.len(), 4);
}

#[test]
fn one_soa_means_up_to_date() {
    assert_eq!(read(Some(7), &soa(7)), Ok(Content::UpToDate));
    assert_eq!(read(Some(7), &soa(6)), Ok(Content::UpToDate));
    assert_eq!(read(Some(7), &soa(8)), Err(IncomingError::Short));
    assert_eq!(read(None, &soa(7)), Err(IncomingError::Short));
    assert_eq!(plan(&zone(&site()), Content::UpToDate), Ok(None));
}

#[test]
fn what_is_not_an_answer_is_refused() {
    let good = [soa(7), "@ 60 NS ns\n".to_owned(), soa(7)].concat();
    let error = |since, text: &str| read(since, text).expect_err(text);
    assert!(matches!(error(None, "@ 60 NS ns\n"), IncomingError::Beginning(_)));
    assert_eq!(
        error(None, &[soa(7), "@ 60 NS ns\n".to_owned(), soa(8)].concat()),
        IncomingError::Serial { expected: 7, found: 8 }
    );
    assert_eq!(error(None, &format!("{good}a 60 A 192.0.2.1\n")), IncomingError::Behind);
    assert!(matches!(
        error(None, &format!("{}a 60 SOA ns h 7 2 3 4 5\n", soa(7))),
        IncomingError::Foreign(_)
    ));
    // Differences that skip, or go back.
    let skip = [soa(9), soa(7), soa(8), soa(9)].concat();
    assert_eq!(error(Some(7), &skip), IncomingError::Serial { expected: 8, found: 9 });
    let back = [soa(9), soa(7), soa(6), soa(9)].concat();
    assert_eq!(error(Some(7), &back), IncomingError::Serial { expected: 8, found: 6 });
    let mut records = records(&good);
    records[1].owner = name("elsewhere.test.");
    assert!(matches!(read_records(None, &records, 9), Err(IncomingError::Foreign(_))));
    records[1].owner = name("a.example.");
    records[1].class = Class::CH;
    assert!(matches!(read_records(None, &records, 9), Err(IncomingError::Foreign(_))));
    records[1].class = Class::IN;
    records[1].rtype = RecordType::ANY;
    assert!(matches!(read_records(None, &records, 9), Err(IncomingError::Foreign(_))));
}

#[test]
fn headers_are_checked() {
    let records = records(&[soa(7), "@ 60 NS ns\n".to_owned(), soa(7)].concat());
    let good = messages(RecordType::AXFR, &records, 9).remove(0);
    let take = |octets: &[u8]| {
        let message = Message::parse(octets).expect("a message");
        Incoming::new(name("example."), ID, None).message(&message)
    };
    assert_eq!(take(&good), Ok(true));
    let changed = |at: usize, bits: u8| {
        let mut octets = good.clone();
        octets[at] ^= bits;
        take(&octets)
    };
    assert_eq!(changed(0, 1), Err(IncomingError::Other), "id");
    assert_eq!(changed(2, 0x80), Err(IncomingError::Other), "a query");
    assert_eq!(changed(3, 5), Err(IncomingError::Rcode(Rcode::REFUSED)));
    assert_eq!(changed(13, 1), Err(IncomingError::Other), "another zone");
    assert_eq!(take(&messages(RecordType::IXFR, &records, 9)[0]), Err(IncomingError::Other));
    let bare = messages(RecordType::AXFR, &records, 1).remove(1);
    assert_eq!(take(&bare), Err(IncomingError::Other), "the first message has the question");
}

#[test]
fn differences_that_do_not_fit_are_a_mismatch() {
    let mut commit = site();
    let body = "@ 60 NS ns\na 60 A 192.0.2.1\n";
    let content = read(None, &format!("{}{body}{}", soa(7), soa(7))).expect("a zone");
    take_over(&mut commit, 2, content).expect("it fits");
    let try_it = |from: u32, deleted: &str, added: &str| {
        let text =
            [&soa(9), &soa(from), deleted, &soa(9), added, &soa(9)].map(|s: &str| s.to_owned());
        plan(&zone(&commit), read(Some(from), &text.concat()).expect("differences")).err()
    };
    assert_eq!(try_it(7, "a 60 A 192.0.2.1\n", "b 60 A 192.0.2.1\n"), None);
    assert!(matches!(try_it(7, "a 60 A 192.0.2.9\n", ""), Some(PlanError::Mismatch(_))));
    assert!(matches!(try_it(7, "b 60 A 192.0.2.1\n", ""), Some(PlanError::Mismatch(_))));
    assert!(matches!(try_it(7, "", "a 60 A 192.0.2.1\n"), Some(PlanError::Mismatch(_))));
    assert_eq!(try_it(6, "", ""), Some(PlanError::From { expected: 7, found: 6 }));
    let no_ns = try_it(7, "@ 60 NS ns\n", "");
    assert!(matches!(no_ns, Some(PlanError::Zone(ZoneError::NoNs(_)))), "{no_ns:?}");
    let cname = try_it(7, "", "a 60 CNAME b\n");
    assert!(matches!(cname, Some(PlanError::Zone(ZoneError::CnameBesideOthers(_)))), "{cname:?}");
}

/// Zones as sets of lines: few names and data, so that they overlap.
fn some_zone() -> impl Strategy<Value = BTreeSet<String>> {
    let line = (0..5u8, 0..3u8, 0..4u8).prop_map(|(owner, rtype, data)| match rtype {
        0 => format!("n{owner} 60 A 192.0.2.{data}"),
        1 => format!("n{owner} 60 TXT \"{data}\""),
        _ => format!("n{owner} 60 MX {data} Mail"),
    });
    prop::collection::btree_set(line, 0..12)
}

fn text<'l>(lines: impl Iterator<Item = &'l String>) -> String {
    lines.fold(String::new(), |text, line| text + line + "\n")
}

proptest! {
    /// Going from zone to zone by differences ends where going there at once does.
    #[test]
    fn differences_lead_to_the_new_zone(
        zones in prop::collection::vec(some_zone(), 2..5),
        per_message in 1usize..9,
    ) {
        let whole = |serial: u32, zone: &BTreeSet<String>| {
            let text = [soa(serial), "@ 60 NS ns\n".to_owned(), text(zone.iter()), soa(serial)];
            read(None, &text.concat()).expect("a zone")
        };
        let last = zones.len() as u32;
        let mut stepped = site();
        take_over(&mut stepped, 2, whole(1, &zones[0])).expect("it fits");
        let mut answer = soa(last);
        for (serial, pair) in (1..).zip(zones.windows(2)) {
            answer += &soa(serial);
            answer += &text(pair[0].difference(&pair[1]));
            answer += &soa(serial + 1);
            answer += &text(pair[1].difference(&pair[0]));
        }
        answer += &soa(last);
        let content = read_records(Some(1), &records(&answer), per_message).expect("differences");
        let after = take_over(&mut stepped, 3, content).expect("they fit");
        let mut direct = site();
        let expected =
            take_over(&mut direct, 2, whole(last, zones.last().expect("a zone"))).expect("it fits");
        prop_assert_eq!(after, expected);
        prop_assert_eq!(zone(&stepped).state_root(), zone(&direct).state_root());
    }

    /// Whatever comes, it is read or refused.
    #[test]
    fn any_records_in_any_order_are_read_or_refused(
        picks in prop::collection::vec(0usize..8, 0..12),
        since in prop::option::of(0u32..4),
    ) {
        let all = [soa(1), soa(2), soa(3), soa(4), "@ 60 NS ns\n".to_owned(),
            "a 60 A 192.0.2.1\n".to_owned(), "a 60 A 192.0.2.2\n".to_owned(),
            "b 60 TXT x\n".to_owned()];
        let text: String = picks.iter().map(|pick| all[*pick].clone()).collect();
        if let Ok(content) = read(since, &text) {
            let _ = plan(&zone(&site()), content);
        }
    }
}
