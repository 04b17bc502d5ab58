//! Answers from small zones, read back as a client would.

mod aliases;
mod chaos;
mod delegations;
mod edns;
mod names;
mod sizes;
mod transfers;
mod wildcards;
mod zones;

use super::*;
use einhorn_core::agent::Rules;
use einhorn_core::commit::{Commit, Output};
use einhorn_core::model::request::{Action, Commitment, Identity, Request, RequestId};
use einhorn_core::model::{Origin, RrSet, State};
use einhorn_core::rules::zone::names_of_zone;
use einhorn_wire::message::{Opcode, Section as Read};
use einhorn_wire::writer::Section;
use einhorn_wire::{Record, zonefile};
use std::path::Path;
use std::sync::LazyLock;

static NONE_EXPIRED: LazyLock<HashSet<Name>> = LazyLock::new(HashSet::new);

pub(super) const NOW_SECONDS: u64 = 1_700_000_000;

/// A bit of everything that answers depend on.
pub(super) const ZONE: &str = include_str!("example.zone");

pub(super) fn name(text: &str) -> Name {
    text.parse().expect("name")
}

/// The names of a zone with their records, as loading wants them.
pub(super) type Names = Vec<(Name, Vec<RrSet>)>;

pub(super) fn names(apex: &str, text: &str) -> Names {
    let apex = name(apex);
    let records = zonefile::load(Path::new("z"), &apex, &mut |_| Ok(text.as_bytes().to_vec()));
    names_of_zone(&apex, records.expect("records")).expect("zone")
}

pub(super) fn zones_of(zones: Vec<(&str, Names)>) -> Zones {
    let mut commit = Commit::new(State::empty(Origin::NONE), Box::new(Rules));
    commit.begin_log(0, Origin { site: 1, generation: 1 }, "test".to_owned(), None);
    let mut out: Vec<Output<()>> = Vec::new();
    for (number, (apex, names)) in zones.into_iter().enumerate() {
        let request = Request {
            id: RequestId([number as u8 + 1; 32]),
            remember_until_seconds: 60,
            who: Identity::Operator,
            zone: name(apex),
            action: Action::LoadZone { names, source: [0; 32] },
            entered_site: 1,
            audit_commitment: Commitment([0; 32]),
            decision: None,
            audit: Vec::new(),
        };
        commit.request(0, request, (), &mut out);
    }
    commit.flush(0, &mut out);
    commit.appended(0, &mut out);
    let published = out
        .into_iter()
        .filter_map(|o| if let Output::Publish(p) = o { Some(p.zones) } else { None });
    published.last().expect("published")
}

/// One zone, `example.`, with these records behind its SOA and NS.
pub(super) fn example(records: &str) -> Zones {
    let text = format!("$TTL 300\n@ SOA ns h 1 3600 600 86400 60\n@ NS ns\n{records}");
    zones_of(vec![("example.", names("example.", &text))])
}

static ZONES: LazyLock<Zones> =
    LazyLock::new(|| zones_of(vec![("example.", names("example.", ZONE))]));

pub(super) struct Reply {
    pub(super) rcode: Rcode,
    pub(super) authoritative: bool,
    pub(super) truncated: bool,
    pub(super) answer: Vec<String>,
    pub(super) authority: Vec<String>,
    pub(super) additional: Vec<String>,
    /// Options of the OPT record, if there is one.
    pub(super) options: Option<Vec<(u16, Vec<u8>)>>,
    pub(super) has_cookie: bool,
    pub(super) octets: Vec<u8>,
}

impl Reply {
    /// The code of the extended error.
    pub(super) fn extended_error(&self) -> Option<u16> {
        let data = self.option(15)?;
        Some(u16::from_be_bytes([data[0], data[1]]))
    }

    pub(super) fn option(&self, code: u16) -> Option<&[u8]> {
        let options = self.options.as_ref()?;
        options.iter().find(|option| option.0 == code).map(|option| &*option.1)
    }

    pub(super) fn status(&self) -> (Rcode, usize, usize, usize) {
        (self.rcode, self.answer.len(), self.authority.len(), self.additional.len())
    }
}

pub(super) fn settings() -> AnswerSettings {
    AnswerSettings::default()
}

pub(super) fn context(settings: &AnswerSettings, transport: Transport) -> Context<'_> {
    let peer = IpAddr::from([192, 0, 2, 77]);
    Context { transport, peer, now_seconds: NOW_SECONDS, settings, expired: &NONE_EXPIRED }
}

pub(super) fn read(octets: Vec<u8>, has_cookie: bool) -> Reply {
    let message = Message::parse(&octets).expect("a well-formed answer");
    assert!(message.header.is_response());
    let records = |section| -> Vec<String> {
        let records = message.records(section).expect("records");
        let plain = records.iter().filter(|record| record.rtype != RecordType::OPT);
        plain.map(Record::to_string).collect()
    };
    let opt_rcode = message.opt.as_ref().map_or(0, |opt| (opt.ttl >> 24) as u16);
    Reply {
        rcode: Rcode(message.header.rcode().0 | opt_rcode << 4),
        authoritative: message.header.flags & 0x0400 != 0,
        truncated: message.header.flags & 0x0200 != 0,
        answer: records(Read::Answer),
        authority: records(Read::Authority),
        additional: records(Read::Additional),
        options: message.opt.as_ref().map(|opt| options(&octets[opt.rdata_start..opt.end])),
        has_cookie,
        octets,
    }
}

fn options(mut rest: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let mut options = Vec::new();
    while let [a, b, c, d, tail @ ..] = rest {
        let (data, tail) = tail.split_at(usize::from(u16::from_be_bytes([*c, *d])));
        options.push((u16::from_be_bytes([*a, *b]), data.to_vec()));
        rest = tail;
    }
    options
}

/// Asks for what `query` says in `zones`.
pub(super) fn ask_in(zones: &Zones, query: &[u8], context: &Context<'_>) -> Reply {
    let query = Message::parse(query).expect("a query");
    let mut octets = Vec::new();
    let answered = answer(zones, &query, context, 0, &mut octets);
    read(octets, answered.has_cookie)
}

pub(super) fn ask(query: &[u8], transport: Transport) -> Reply {
    ask_in(&ZONES, query, &context(&settings(), transport))
}

/// A query; `edns` adds OPT with a payload size, a version and options.
pub(super) fn query(qname: &str, qtype: &str, edns: Option<(u16, u8, &[u8])>) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut writer = Writer::new(&mut octets, 1, 4096);
    writer.question(name(qname).as_wire(), qtype.parse().expect("type"), Class::IN).expect("room");
    if let Some((payload, version, options)) = edns {
        let (ttl, class) = (u32::from(version) << 16, Class(payload));
        let section = Section::Additional;
        writer.record(section, &[0], RecordType::OPT, class, ttl, options).expect("room");
    }
    octets
}

/// The answer to a plain query over UDP.
pub(super) fn get(qname: &str, qtype: &str) -> Reply {
    ask(&query(qname, qtype, None), Transport::Udp)
}

/// The same with EDNS and in other zones.
pub(super) fn get_in(zones: &Zones, qname: &str, qtype: &str) -> Reply {
    let query = query(qname, qtype, Some((1232, 0, &[])));
    ask_in(zones, &query, &context(&settings(), Transport::Udp))
}

pub(super) fn set_class(query: &mut [u8], class: Class) {
    let end = query.len();
    query[end - 2..].copy_from_slice(&class.0.to_be_bytes());
}
