//! From a query and a snapshot to the octets of its answer (RFC 1034 §4.3.2).
//!
//! A pure function: no clock, no socket, no lock, and no memory of its own on the way.

mod chaos;
mod designated;
mod fill;
mod lookup;
mod settings;
#[cfg(test)]
mod tests;

pub use designated::{Designated, Designation};
pub use settings::{AnswerSettings, CHAOS_OCTETS_MAX, NSID_OCTETS_MAX};

use einhorn_core::model::Zones;
use einhorn_wire::edns::{Edns, ExtendedError, OptReply, Padding, UDP_PAYLOAD_MIN};
use einhorn_wire::message::{Message, QuestionRef, Rcode};
use einhorn_wire::writer::{NoRoom, Writer};
use einhorn_wire::{Class, Name, NameRef, RecordType};
use fill::Filler;
use std::collections::HashSet;
use std::net::IpAddr;

/// Octets of the largest message over TCP (RFC 1035 §4.2.2).
pub const TCP_OCTETS_MAX: usize = 65_535;

/// How the answer will travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// In one datagram.
    Udp,
    /// In a stream.
    Tcp,
    /// In a stream that nobody else can read (RFC 7858).
    Tls,
    /// As the body of an HTTP response that nobody else can read (RFC 8484).
    Https,
}

impl Transport {
    /// Whether messages have any length, and come from where they say.
    pub fn is_stream(self) -> bool {
        self != Transport::Udp
    }

    /// Whether messages follow each other on a connection of their own, with nothing but their
    /// lengths between them: only there an idle time is told, and zones are transferred.
    pub fn is_session(self) -> bool {
        matches!(self, Transport::Tcp | Transport::Tls)
    }

    /// Whether the length is all that somebody else sees of a message.
    pub fn is_encrypted(self) -> bool {
        matches!(self, Transport::Tls | Transport::Https)
    }

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
            Transport::Https => "https",
        }
    }
}

/// What an answer depends on besides the query and the zones.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// How the query came and the answer will travel.
    pub transport: Transport,
    /// The client.
    pub peer: IpAddr,
    /// Seconds since 1970.
    pub now_seconds: u64,
    /// What the operator decided.
    pub settings: &'a AnswerSettings,
    /// Apexes of zones that are too old to answer from: their SOA's expire time has passed since
    /// they were last known to be current (RFC 1035 §3.3.13).
    pub expired: &'a HashSet<Name>,
}

impl<'a> Context<'a> {
    /// Octets that a response may have (RFC 6891 §6.2.5).
    pub fn limit(&self, edns: Option<&Edns>) -> usize {
        match (self.transport, edns) {
            (Transport::Tcp | Transport::Tls | Transport::Https, _) => TCP_OCTETS_MAX,
            (Transport::Udp, None) => UDP_PAYLOAD_MIN.into(),
            (Transport::Udp, Some(edns)) => {
                edns.udp_payload.min(self.settings.udp_payload_octets_max).into()
            }
        }
    }

    /// The OPT record to answer `edns` with, and whether the client's cookie is one of ours.
    pub fn opt(&self, edns: &Edns) -> (OptReply<'a>, bool) {
        let cookie = edns.cookie.and_then(|cookie| {
            cookie.answer(&self.settings.cookie_secrets, self.peer, self.now_seconds)
        });
        let tells_idle = edns.keepalive && self.transport.is_session();
        let idle = self.settings.tcp_idle_seconds.saturating_mul(10);
        let opt = OptReply {
            udp_payload: self.settings.udp_payload_octets_max,
            dnssec_ok: edns.dnssec_ok,
            nsid: self.settings.nsid.as_deref().filter(|_| edns.nsid),
            cookie: cookie.map(|(data, _)| data),
            keepalive_deciseconds: tells_idle.then_some(idle),
            lease: None,
            padding: (edns.padding && self.transport.is_encrypted()).then(Padding::default),
        };
        (opt, cookie.is_some_and(|(_, is_ours)| is_ours))
    }
}

/// What became of a query, besides its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answered {
    /// Whether the client has shown by a cookie that it is where it says.
    pub has_cookie: bool,
}

/// A response code with its reason.
#[derive(Debug, Clone, Copy)]
struct Outcome {
    rcode: Rcode,
    error: Option<ExtendedError<'static>>,
}

impl Outcome {
    fn of(rcode: Rcode) -> Outcome {
        Outcome { rcode, error: None }
    }

    fn error(rcode: Rcode, code: u16) -> Outcome {
        Outcome { rcode, error: Some(ExtendedError::code(code)) }
    }
}

/// Appends the answer to `query` to `buffer`. `reserve_octets` are left free at its end, for a
/// signature.
pub fn answer(
    zones: &Zones,
    query: &Message<'_>,
    context: &Context<'_>,
    reserve_octets: usize,
    buffer: &mut Vec<u8>,
) -> Answered {
    respond(query, context, reserve_octets, buffer, |question, writer| {
        match fill(zones, question, context, writer) {
            Ok(outcome) => outcome,
            // Something that belongs to the answer does not fit (RFC 2181 §9).
            Err(NoRoom) => {
                writer.set_truncated();
                Outcome::of(Rcode::NOERROR)
            }
        }
    })
}

/// Appends what a client over its rate gets instead of an answer: one that could ask by TCP, an
/// empty truncated answer; one that can learn a cookie, BADCOOKIE with that (RFC 7873 §5.2.3).
pub fn limited(query: &Message<'_>, context: &Context<'_>, buffer: &mut Vec<u8>) {
    let teaches = !context.settings.cookie_secrets.is_empty()
        && Edns::of(query).is_ok_and(|edns| edns.is_some_and(|edns| edns.cookie.is_some()));
    respond(query, context, 0, buffer, |_, writer| {
        if teaches {
            return Outcome::of(Rcode::BADCOOKIE);
        }
        writer.set_truncated();
        Outcome::of(Rcode::NOERROR)
    });
}

/// Writes what all responses to queries have: header, question, OPT; and lets `fill` do the rest
/// for a sound query.
fn respond(
    query: &Message<'_>,
    context: &Context<'_>,
    reserve_octets: usize,
    buffer: &mut Vec<u8>,
    fill: impl FnOnce(&QuestionRef<'_>, &mut Writer<'_>) -> Outcome,
) -> Answered {
    let parsed = Edns::of(query);
    // Options that cannot be read still show that the client speaks EDNS.
    let edns = parsed.unwrap_or(Some(Edns { udp_payload: UDP_PAYLOAD_MIN, ..Edns::default() }));
    let (opt, has_cookie) = match &edns {
        Some(edns) => {
            let (mut opt, has_cookie) = context.opt(edns);
            opt.set_octets_behind(reserve_octets);
            (Some(opt), has_cookie)
        }
        None => (None, false),
    };
    let mut writer = Writer::new(buffer, query.header.id, context.limit(edns.as_ref()));
    writer.set_response_to(&query.header);
    let question = query.question.filter(|_| query.header.counts[0] == 1);
    if let Some(question) = &question {
        let echoed = writer.question(question.name, question.rtype, question.class);
        debug_assert!(echoed.is_ok(), "a question fits the smallest message");
    }
    writer.reserve(reserve_octets + opt.map_or(0, |opt| opt.octets()));
    let cookie = edns.and_then(|edns| edns.cookie).filter(|_| query.header.counts[0] == 0);
    let outcome = match (&question, cookie) {
        _ if parsed.is_err() => Outcome::of(Rcode::FORMERR),
        _ if edns.is_some_and(|edns| edns.version > 0) => Outcome::of(Rcode::BADVERS),
        (Some(question), _) => fill(question, &mut writer),
        // Without a question, a cookie may be asked for (RFC 7873 §5.4).
        (None, Some(cookie)) if opt.is_some_and(|opt| opt.cookie.is_some()) => {
            let is_wrong = cookie.has_server_part() && !has_cookie;
            Outcome::of(if is_wrong { Rcode::BADCOOKIE } else { Rcode::NOERROR })
        }
        (None, _) => Outcome::of(Rcode::FORMERR),
    };
    writer.set_rcode(outcome.rcode);
    if let Some(opt) = opt {
        let room = writer.room();
        opt.write(&mut writer, outcome.rcode, outcome.error, room);
    }
    Answered { has_cookie }
}

/// Fills the sections.
fn fill(
    zones: &Zones,
    question: &QuestionRef<'_>,
    context: &Context<'_>,
    writer: &mut Writer<'_>,
) -> Result<Outcome, NoRoom> {
    match question.class {
        Class::IN => {}
        Class::CH => return chaos::answer(context.settings, question, writer),
        _ => return Ok(Outcome::error(Rcode::REFUSED, ExtendedError::NOT_SUPPORTED)),
    }
    if let Some(outcome) = unanswerable(question.rtype) {
        return Ok(outcome);
    }
    if let Some(designated) = &context.settings.designated
        && let Some(outcome) = designated.answer(question, writer)?
    {
        return Ok(outcome);
    }
    let key = NameRef::from_valid_wire(question.name).canonical_key();
    let key = key.as_ref();
    let Some(zone) = lookup::zone_for(zones, key, question.rtype) else {
        return Ok(Outcome::error(Rcode::REFUSED, ExtendedError::NOT_AUTHORITATIVE));
    };
    if context.expired.contains(&zone.apex) {
        return Ok(Outcome::error(Rcode::SERVFAIL, ExtendedError::INVALID_DATA));
    }
    let mut filler = Filler::new(zone, question.rtype, context.transport, writer);
    if question.rtype != RecordType::IXFR {
        return filler.answer(question.name, key);
    }
    if question.name.len() != zone.apex.as_wire().len() {
        return Ok(Outcome::error(Rcode::NOTAUTH, ExtendedError::NOT_AUTHORITATIVE));
    }
    filler.soa_alone(key)
}

/// Types that no record has and that ask for nothing we do (RFC 6895 §3.1). NXNAME must not be
/// asked for (RFC 9824 §3.5); OPT and TSIG have no meaning in a question; AXFR is not answered by
/// one message.
fn unanswerable(qtype: RecordType) -> Option<Outcome> {
    match qtype {
        // Type 0 is reserved, but no meta-type: nobody has such records.
        RecordType::ANY | RecordType::IXFR | RecordType(0) => None,
        RecordType::OPT | RecordType::TSIG | RecordType::AXFR => {
            Some(Outcome::error(Rcode::FORMERR, ExtendedError::NOT_SUPPORTED))
        }
        RecordType::NXNAME => {
            Some(Outcome::error(Rcode::FORMERR, ExtendedError::INVALID_QUERY_TYPE))
        }
        meta if meta.is_meta() => Some(Outcome::error(Rcode::NOTIMP, ExtendedError::NOT_SUPPORTED)),
        _ => None,
    }
}
