//! The questions: a zone of hosts with an IPv4 and an IPv6 address each, and a random mix of
//! queries about it with what each must be answered.
//!
//! The same seed gives the same mix, so that every server is asked the same. Nothing here knows
//! a socket or measures time.

use crate::workload::{TTL_SECONDS, ZONE};
use einhorn_wire::message::Section;
use einhorn_wire::{Header, Message, Name, Rcode, RecordType};
use std::io::{self, Write};
use std::net::Ipv6Addr;

/// Queries in the mix; asked again from the start when they run out. More than one for each host
/// and type, so that one pass meets the whole zone.
const QUERIES: u32 = 400_000;
/// Of a hundred queries, how many ask for an IPv4 address and how many for an IPv6 address of a
/// host that exists; the others ask for names that do not.
const A_PERCENT: u64 = 50;
const AAAA_PERCENT: u64 = 40;
/// Of a hundred queries, how many carry EDNS.
const EDNS_PERCENT: u64 = 75;
/// Room for UDP payload that EDNS announces, as `dnsperf` does.
const EDNS_PAYLOAD_OCTETS: u16 = 4096;
const SEED: u64 = 0x65_69_6e_68_6f_72_6e;
const HEADER_OCTETS: usize = 12;
/// Octets from an answer's compressed owner to its data: pointer, type, class, TTL, length.
const FIXED_OCTETS: usize = 12;
/// Positions in the header.
const FLAGS_AT: usize = 2;
const ANSWER_COUNT_AT: usize = 6;
/// QR and AA must be set, TC must not.
const FLAGS_MASK: u8 = 0x86;
const FLAGS_EXPECTED: u8 = 0x84;

/// What a query asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    A,
    Aaaa,
    /// A name that does not exist.
    Missing,
}

/// One query.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Query {
    at: u32,
    length: u16,
    /// Of the question, from the end of the header.
    question_octets: u16,
    kind: Kind,
    host: u32,
}

/// All queries, ready to send but for the identifier.
#[derive(Debug)]
pub(crate) struct Mix {
    octets: Vec<u8>,
    queries: Vec<Query>,
}

/// The zone's beginning; `records` follow.
fn head() -> String {
    format!(
        "$ORIGIN {ZONE}\n$TTL {TTL_SECONDS}\n@ IN SOA ns1 hostmaster 1 3600 600 86400 60\n@ IN NS ns1\nns1 IN A 127.0.0.1\n"
    )
}

/// Records of a zone of so many hosts: two of each, and the zone's own.
pub(crate) fn records_of(hosts: u32) -> u64 {
    3 + 2 * u64::from(hosts)
}

/// Writes the zone with so many hosts as a zone file.
pub(crate) fn write_zone(hosts: u32, to: &mut dyn Write) -> io::Result<()> {
    to.write_all(head().as_bytes())?;
    for host in 0..hosts {
        let [a, b, c, d] = address4(host);
        let v6 = Ipv6Addr::from(address6(host));
        writeln!(to, "n{host:07} IN A {a}.{b}.{c}.{d}\nn{host:07} IN AAAA {v6}")?;
    }
    Ok(())
}

/// The name of a host.
pub(crate) fn host_name(host: u32) -> String {
    format!("n{host:07}.{ZONE}")
}

/// The IPv4 address of a host; hosts up to 16 million have different ones.
pub(crate) fn address4(host: u32) -> [u8; 4] {
    let [_, b, c, d] = host.to_be_bytes();
    [10, b, c, d]
}

/// The IPv6 address of a host.
pub(crate) fn address6(host: u32) -> [u8; 16] {
    let [a, b, c, d] = host.to_be_bytes();
    [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 1, 0, 0, 0, 0, a, b, c, d]
}

/// A generator of random numbers that is the same everywhere (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) * limit) >> 32
    }
}

impl Mix {
    /// The mix for a zone of so many hosts.
    pub(crate) fn new(hosts: u32) -> Result<Mix, String> {
        let mut random = Random(SEED);
        let mut mix = Mix { octets: Vec::new(), queries: Vec::with_capacity(QUERIES as usize) };
        for _ in 0..QUERIES {
            let host = random.below(hosts.into()) as u32;
            let kind = match random.below(100) {
                percent if percent < A_PERCENT => Kind::A,
                percent if percent < A_PERCENT + AAAA_PERCENT => Kind::Aaaa,
                _ => Kind::Missing,
            };
            mix.push(host, kind, random.below(100) < EDNS_PERCENT)?;
        }
        Ok(mix)
    }

    fn push(&mut self, host: u32, kind: Kind, edns: bool) -> Result<(), String> {
        let text = match kind {
            Kind::Missing => format!("n{host:07}x.{ZONE}"),
            Kind::A | Kind::Aaaa => host_name(host),
        };
        let name: Name = text
            .parse()
            .map_err(|error| format!("the benchmark's own name `{text}` is malformed: {error}"))?;
        let rtype = if kind == Kind::Aaaa { RecordType::AAAA } else { RecordType::A };
        let at = self.octets.len();
        // RD as stub resolvers and `dnsperf` set it; one question.
        self.octets.extend_from_slice(&[0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(edns)]);
        self.octets.extend_from_slice(name.as_wire());
        self.octets.extend_from_slice(&rtype.0.to_be_bytes());
        self.octets.extend_from_slice(&[0, 1]);
        let question_octets = (self.octets.len() - at - HEADER_OCTETS) as u16;
        if edns {
            self.octets.extend_from_slice(&[0, 0, 41]);
            self.octets.extend_from_slice(&EDNS_PAYLOAD_OCTETS.to_be_bytes());
            self.octets.extend_from_slice(&[0; 6]);
        }
        let length = (self.octets.len() - at) as u16;
        self.queries.push(Query { at: at as u32, length, question_octets, kind, host });
        Ok(())
    }

    /// Queries in the mix.
    pub(crate) fn len(&self) -> u32 {
        self.queries.len() as u32
    }

    /// Appends a query with this identifier to `buffer`.
    pub(crate) fn write(&self, query: u32, id: u16, buffer: &mut Vec<u8>) {
        let Query { at, length, .. } = self.queries[query as usize];
        buffer.extend_from_slice(&id.to_be_bytes());
        let at = at as usize;
        buffer.extend_from_slice(&self.octets[at + 2..at + usize::from(length)]);
    }

    /// Whether a response is the right answer to a query; its identifier has been compared.
    pub(crate) fn is_right(&self, query: u32, response: &[u8]) -> bool {
        let query = &self.queries[query as usize];
        let Some(header) = Header::parse(response) else { return false };
        let rcode = match query.kind {
            Kind::Missing => Rcode::NXDOMAIN,
            Kind::A | Kind::Aaaa => Rcode::NOERROR,
        };
        let is_hit = query.kind != Kind::Missing;
        let well = header.rcode() == rcode
            && response[FLAGS_AT] & FLAGS_MASK == FLAGS_EXPECTED
            && u16::from_be_bytes([response[ANSWER_COUNT_AT], response[ANSWER_COUNT_AT + 1]])
                == u16::from(is_hit)
            && (is_hit || header.counts[2] > 0);
        well && self.repeats_question(query, response) && (!is_hit || has_address(query, response))
    }

    fn repeats_question(&self, query: &Query, response: &[u8]) -> bool {
        let asked = query.at as usize + HEADER_OCTETS;
        let octets = usize::from(query.question_octets);
        response.get(HEADER_OCTETS..HEADER_OCTETS + octets)
            == self.octets.get(asked..asked + octets)
    }
}

/// Whether the one record in the answer holds the host's address.
fn has_address(query: &Query, response: &[u8]) -> bool {
    match query.kind {
        Kind::A => holds(query, response, RecordType::A, &address4(query.host)),
        Kind::Aaaa => holds(query, response, RecordType::AAAA, &address6(query.host)),
        Kind::Missing => false,
    }
}

fn holds(query: &Query, response: &[u8], rtype: RecordType, address: &[u8]) -> bool {
    let at = HEADER_OCTETS + usize::from(query.question_octets);
    // Nearly always the owner is a pointer to the question, and the data lie at a known place.
    if response.get(at..at + 4) == Some(&[0xc0, HEADER_OCTETS as u8, 0, rtype.0 as u8]) {
        return response.get(at + FIXED_OCTETS..at + FIXED_OCTETS + address.len()) == Some(address);
    }
    let records = Message::parse(response).and_then(|message| message.records(Section::Answer));
    records.is_ok_and(|records| {
        records.len() == 1 && records[0].rtype == rtype && *records[0].rdata == *address
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A response to a query with one address record, or none.
    fn response(mix: &Mix, at: u32, rcode: u8, data: Option<&[u8]>) -> Vec<u8> {
        let query = mix.queries[at as usize];
        let mut octets = Vec::new();
        mix.write(at, 7, &mut octets);
        octets.truncate(HEADER_OCTETS + usize::from(query.question_octets));
        let answers = u8::from(data.is_some());
        octets[2..12].copy_from_slice(&[0x85, rcode, 0, 1, 0, answers, 0, 1 - answers, 0, 0]);
        if let Some(data) = data {
            let rtype = if data.len() == 4 { 1 } else { 28 };
            octets.extend_from_slice(&[0xc0, 12, 0, rtype, 0, 1, 0, 0, 1, 44, 0, data.len() as u8]);
            octets.extend_from_slice(data);
        }
        octets
    }

    fn find(mix: &Mix, kind: Kind) -> (u32, u32) {
        let at = mix.queries.iter().position(|query| query.kind == kind).expect("such a query");
        (at as u32, mix.queries[at].host)
    }

    #[test]
    fn the_mix_is_as_described_and_always_the_same() {
        let mix = Mix::new(1000).expect("a mix");
        let share = |kind| {
            let count = mix.queries.iter().filter(|query| query.kind == kind).count();
            count as f64 / f64::from(QUERIES)
        };
        for (kind, expected) in [(Kind::A, 0.5), (Kind::Aaaa, 0.4), (Kind::Missing, 0.1)] {
            assert!((share(kind) - expected).abs() < 0.01, "{kind:?}: {}", share(kind));
        }
        assert_eq!(mix.octets, Mix::new(1000).expect("a mix").octets);
        let mut octets = Vec::new();
        for at in 0..100 {
            octets.clear();
            mix.write(at, 0x1234, &mut octets);
            let message = Message::parse(&octets).expect("a well-formed query");
            assert_eq!((message.header.id, message.header.counts[0]), (0x1234, 1));
        }
    }

    #[test]
    fn right_answers_are_told_from_wrong_ones() {
        let mix = Mix::new(1000).expect("a mix");
        let (a, host) = find(&mix, Kind::A);
        let right = response(&mix, a, 0, Some(&address4(host)));
        assert!(mix.is_right(a, &right), "{right:?}");
        assert!(!mix.is_right(a, &response(&mix, a, 0, Some(&address4(host + 1)))));
        assert!(!mix.is_right(a, &response(&mix, a, 0, None)));
        assert!(!mix.is_right(a, &response(&mix, a, 3, None)));
        assert!(!mix.is_right(a, &right[..20]));
        let (aaaa, host) = find(&mix, Kind::Aaaa);
        assert!(mix.is_right(aaaa, &response(&mix, aaaa, 0, Some(&address6(host)))));
        let (missing, _) = find(&mix, Kind::Missing);
        assert!(mix.is_right(missing, &response(&mix, missing, 3, None)));
        assert!(!mix.is_right(missing, &response(&mix, missing, 0, None)));
        let mut truncated = right;
        truncated[2] |= 0x02;
        assert!(!mix.is_right(a, &truncated));
    }

    #[test]
    fn the_zone_file_has_all_records() {
        let mut text = Vec::new();
        write_zone(3, &mut text).expect("memory takes it");
        let text = String::from_utf8(text).expect("a zone file is text");
        assert_eq!(text.lines().count() as u64, 2 + records_of(3));
        assert!(text.contains("n0000002 IN AAAA 2001:db8:0:1::2"), "{text}");
    }
}
