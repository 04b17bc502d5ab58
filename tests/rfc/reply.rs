//! Answers, and what they must be. Each check prints the whole answer when it fails.

use crate::query::{Query, flag};
use einhorn_wire::message::{Message, ParseError, Question, Section};
use einhorn_wire::{Header, Name, Rcode, Record, RecordType, rdata, zonefile};
use std::fmt;
use std::path::Path;

/// Records of a section that are shown when a check fails.
const SHOWN_RECORDS_MAX: usize = 12;

/// The OPT record of an answer.
#[derive(Debug, Clone)]
pub(crate) struct Opt {
    pub(crate) payload: u16,
    pub(crate) version: u8,
    /// DO and the bits that mean nothing yet.
    pub(crate) flags: u16,
    pub(crate) options: Vec<(u16, Vec<u8>)>,
    pub(crate) owner: Name,
}

impl Opt {
    /// The data of the first option with this code.
    pub(crate) fn option(&self, code: u16) -> Option<&[u8]> {
        self.options.iter().find(|(of, _)| *of == code).map(|(_, data)| &**data)
    }
}

/// An answer, taken apart.
#[derive(Clone)]
pub(crate) struct Reply {
    pub(crate) octets: Vec<u8>,
    pub(crate) header: Header,
    /// All twelve bits, the upper eight from OPT.
    pub(crate) rcode: Rcode,
    pub(crate) question: Option<Question>,
    pub(crate) answer: Vec<Record>,
    pub(crate) authority: Vec<Record>,
    /// Without OPT and TSIG.
    pub(crate) additional: Vec<Record>,
    pub(crate) opt: Option<Opt>,
}

/// Records in the form of a zone file, with absolute names.
pub(crate) fn records(text: &str) -> Vec<Record> {
    let text = text.lines().map(str::trim).collect::<Vec<_>>().join("\n");
    zonefile::load(Path::new("expected"), &Name::root(), &mut |_| Ok(text.clone().into_bytes()))
        .unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Comparable octets of records, in an order of their own. Case of names does not count.
pub(crate) fn normal(records: &[Record]) -> Vec<String> {
    let line = |r: &Record| {
        let canonical = rdata::canonical(r.rtype, &r.rdata);
        let shown = rdata::Presentation { rtype: r.rtype, rdata: &canonical };
        format!("{} {} {} {} {shown}", r.owner.to_lowercase(), r.ttl, r.class, r.rtype)
    };
    let mut all: Vec<String> = records.iter().map(line).collect();
    all.sort();
    all
}

/// The options in the data of an OPT record.
fn options(data: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let mut all = Vec::new();
    let mut rest = data;
    while let [c, d, l, m, tail @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*l, *m]));
        let (option, behind) = tail.split_at_checked(length).expect("whole options");
        all.push((u16::from_be_bytes([*c, *d]), option.to_vec()));
        rest = behind;
    }
    assert!(rest.is_empty(), "octets after the options: {data:02x?}");
    all
}

/// The records of a section without OPT and TSIG.
fn section(message: &Message<'_>, section: Section) -> Result<Vec<Record>, ParseError> {
    let mut all = Vec::new();
    for record in message.section(section) {
        let record = record?;
        if !matches!(record.rtype, RecordType::OPT | RecordType::TSIG) {
            all.push(record.to_record(message.octets)?);
        }
    }
    Ok(all)
}

/// Reading an answer.
impl Reply {
    /// Takes octets apart.
    #[track_caller]
    pub(crate) fn parse(octets: Vec<u8>) -> Reply {
        Reply::try_parse(&octets).unwrap_or_else(|error| panic!("{error}: {octets:02x?}"))
    }

    fn try_parse(octets: &[u8]) -> Result<Reply, ParseError> {
        let message = Message::parse(octets)?;
        let opt = match message.opt {
            None => None,
            Some(opt) => Some(Opt {
                payload: opt.class.0,
                version: (opt.ttl >> 16) as u8,
                flags: opt.ttl as u16,
                options: options(&octets[opt.rdata_start..opt.end]),
                owner: opt.owner(octets)?,
            }),
        };
        let upper = message.opt.map_or(0, |opt| (opt.ttl >> 20) as u16 & 0xFF0);
        Ok(Reply {
            octets: octets.to_vec(),
            header: message.header,
            rcode: Rcode(upper | message.header.rcode().0),
            question: message.question(),
            answer: section(&message, Section::Answer)?,
            authority: section(&message, Section::Authority)?,
            additional: section(&message, Section::Additional)?,
            opt,
        })
    }

    pub(crate) fn has(&self, flags: u16) -> bool {
        self.header.flags & flags == flags
    }

    pub(crate) fn is_authoritative(&self) -> bool {
        self.has(flag::AA)
    }

    /// The OPT record, which must be there.
    #[track_caller]
    pub(crate) fn edns(&self) -> &Opt {
        self.opt.as_ref().unwrap_or_else(|| panic!("no OPT\n{self}"))
    }
}

/// Checks, which can be chained.
impl Reply {
    /// It is an answer to this query: id, opcode and RD are repeated, and the question is.
    #[track_caller]
    pub(crate) fn of(self, query: &Query) -> Reply {
        let (id, flags, _) = query.echoed();
        assert_eq!(self.header.id, id, "the id\n{self}");
        assert!(self.header.is_response(), "not a response\n{self}");
        assert_eq!(self.header.flags & 0x7800, flags & 0x7800, "the opcode\n{self}");
        self
    }

    #[track_caller]
    pub(crate) fn rcode(&self, wanted: Rcode) -> &Reply {
        assert_eq!(self.rcode, wanted, "the RCODE\n{self}");
        self
    }

    /// Flags that must be set.
    #[track_caller]
    pub(crate) fn set(&self, flags: u16) -> &Reply {
        assert_eq!(self.header.flags & flags, flags, "flags that must be set\n{self}");
        self
    }

    /// Flags that must not be set.
    #[track_caller]
    pub(crate) fn clear(&self, flags: u16) -> &Reply {
        assert_eq!(self.header.flags & flags, 0, "flags that must be clear\n{self}");
        self
    }

    /// NOERROR with authority, and exactly these answers in any order.
    #[track_caller]
    pub(crate) fn answers(&self, text: &str) -> &Reply {
        self.rcode(Rcode::NOERROR).set(flag::AA).clear(flag::TC).answer_section(text)
    }

    /// Exactly these records in the answer section, in any order.
    #[track_caller]
    pub(crate) fn answer_section(&self, text: &str) -> &Reply {
        assert_eq!(normal(&self.answer), normal(&records(text)), "the answer section\n{self}");
        self
    }

    /// Exactly these records in the authority section, in any order.
    #[track_caller]
    pub(crate) fn authority_section(&self, text: &str) -> &Reply {
        let wanted = normal(&records(text));
        assert_eq!(normal(&self.authority), wanted, "the authority section\n{self}");
        self
    }

    /// Exactly these records in the additional section, in any order.
    #[track_caller]
    pub(crate) fn additional_section(&self, text: &str) -> &Reply {
        let wanted = normal(&records(text));
        assert_eq!(normal(&self.additional), wanted, "the additional section\n{self}");
        self
    }

    /// Owners and types of the answer section, in their order.
    pub(crate) fn answer_order(&self) -> Vec<String> {
        self.answer.iter().map(|r| format!("{} {}", r.owner.to_lowercase(), r.rtype)).collect()
    }

    /// The name does not exist; the SOA says so with authority.
    #[track_caller]
    pub(crate) fn name_error(&self, soa: &str) -> &Reply {
        self.rcode(Rcode::NXDOMAIN).set(flag::AA).answer_section("").authority_section(soa)
    }

    /// The name has no records of this type; the SOA says so with authority.
    #[track_caller]
    pub(crate) fn no_data(&self, soa: &str) -> &Reply {
        self.rcode(Rcode::NOERROR).set(flag::AA).answer_section("").authority_section(soa)
    }

    /// A referral: NS records in the authority section, addresses in the additional, and
    /// neither an answer nor authority.
    #[track_caller]
    pub(crate) fn refers(&self, authority: &str, additional: &str) -> &Reply {
        self.rcode(Rcode::NOERROR).clear(flag::AA).answer_section("");
        self.authority_section(authority).additional_section(additional)
    }

    /// Nothing in any section, without authority.
    #[track_caller]
    pub(crate) fn fails(&self, rcode: Rcode) -> &Reply {
        self.rcode(rcode).clear(flag::AA).answer_section("");
        self.authority_section("").additional_section("")
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} id {}", name_of(self.rcode), self.header.id)?;
        for (bit, name) in [
            (flag::QR, "qr"),
            (flag::AA, "aa"),
            (flag::TC, "tc"),
            (flag::RD, "rd"),
            (flag::RA, "ra"),
            (flag::Z, "z"),
            (flag::AD, "ad"),
            (flag::CD, "cd"),
        ] {
            if self.has(bit) {
                write!(f, " {name}")?;
            }
        }
        writeln!(f, " opcode {} octets {}", self.header.opcode().0, self.octets.len())?;
        match &self.question {
            Some(q) => writeln!(f, "question: {} {} {}", q.name.to_name(), q.class, q.rtype)?,
            None => writeln!(f, "no question")?,
        }
        for (name, section) in [
            ("answer", &self.answer),
            ("authority", &self.authority),
            ("additional", &self.additional),
        ] {
            for record in section.iter().take(SHOWN_RECORDS_MAX) {
                writeln!(f, "{name}: {record}")?;
            }
            if section.len() > SHOWN_RECORDS_MAX {
                writeln!(f, "{name}: {} records in all", section.len())?;
            }
        }
        match &self.opt {
            Some(opt) => writeln!(f, "{opt:?}"),
            None => writeln!(f, "no OPT"),
        }
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn name_of(rcode: Rcode) -> String {
    match rcode.0 {
        16 => "BADVERS".to_owned(),
        23 => "BADCOOKIE".to_owned(),
        _ => rcode.to_string(),
    }
}
