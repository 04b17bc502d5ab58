//! Queries, well-formed and otherwise.

use einhorn_harness::question_message;
use einhorn_wire::message::Opcode;
use einhorn_wire::{Class, RecordType};

/// An OPT record to be sent (RFC 6891 §6.1.2).
#[derive(Debug, Clone)]
struct Opt {
    payload: u16,
    version: u8,
    /// DO and the bits that mean nothing yet.
    flags: u16,
    options: Vec<u8>,
}

/// A query.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    id: u16,
    flags: u16,
    questions: Vec<(String, RecordType, Class)>,
    opt: Option<Opt>,
}

/// Bits of the header's flags.
pub(crate) mod flag {
    pub(crate) const QR: u16 = 0x8000;
    pub(crate) const AA: u16 = 0x0400;
    pub(crate) const TC: u16 = 0x0200;
    pub(crate) const RD: u16 = 0x0100;
    pub(crate) const RA: u16 = 0x0080;
    pub(crate) const Z: u16 = 0x0040;
    pub(crate) const AD: u16 = 0x0020;
    pub(crate) const CD: u16 = 0x0010;
}

/// Codes of EDNS options.
pub(crate) mod option {
    pub(crate) const NSID: u16 = 3;
    pub(crate) const COOKIE: u16 = 10;
    pub(crate) const EXTENDED_ERROR: u16 = 15;
    /// Of the range that is never assigned.
    pub(crate) const UNKNOWN: u16 = 65_001;
}

impl Query {
    /// Asks `NAME TYPE` in class IN.
    pub(crate) fn of(question: &str) -> Query {
        let mut query = Query::empty();
        query.questions.push(parse(question));
        query
    }

    /// Asks nothing.
    pub(crate) fn empty() -> Query {
        Query { id: 0x1234, flags: 0, questions: Vec::new(), opt: None }
    }

    /// One more question.
    pub(crate) fn and(mut self, question: &str) -> Query {
        self.questions.push(parse(question));
        self
    }

    pub(crate) fn id(mut self, id: u16) -> Query {
        self.id = id;
        self
    }

    /// Sets bits of the flags.
    pub(crate) fn flags(mut self, flags: u16) -> Query {
        self.flags |= flags;
        self
    }

    pub(crate) fn opcode(self, opcode: u8) -> Query {
        self.flags(u16::from(opcode) << 11)
    }

    pub(crate) fn class(mut self, class: Class) -> Query {
        self.questions.iter_mut().for_each(|question| question.2 = class);
        self
    }

    /// Adds an OPT record that takes `payload` octets.
    pub(crate) fn edns(mut self, payload: u16) -> Query {
        self.opt = Some(Opt { payload, version: 0, flags: 0, options: Vec::new() });
        self
    }

    fn opt(&mut self) -> &mut Opt {
        self.opt.get_or_insert(Opt { payload: 1232, version: 0, flags: 0, options: Vec::new() })
    }

    pub(crate) fn edns_version(mut self, version: u8) -> Query {
        self.opt().version = version;
        self
    }

    /// Sets bits of the flags in OPT; DO is the highest.
    pub(crate) fn edns_flags(mut self, flags: u16) -> Query {
        self.opt().flags |= flags;
        self
    }

    pub(crate) fn option(mut self, code: u16, data: &[u8]) -> Query {
        let length = u16::try_from(data.len()).expect("a short option");
        let head = [code.to_be_bytes(), length.to_be_bytes()].concat();
        self.opt().options.extend(head);
        self.opt().options.extend_from_slice(data);
        self
    }

    /// Octets at the end of OPT that need not be options.
    pub(crate) fn raw_options(mut self, octets: &[u8]) -> Query {
        self.opt().options.extend_from_slice(octets);
        self
    }

    /// The OPT record as octets.
    pub(crate) fn opt_octets(&self) -> Vec<u8> {
        let Some(opt) = &self.opt else { return Vec::new() };
        let length = u16::try_from(opt.options.len()).expect("short options");
        let mut octets = vec![0];
        octets.extend(41u16.to_be_bytes());
        octets.extend(opt.payload.to_be_bytes());
        octets.extend([0, opt.version]);
        octets.extend(opt.flags.to_be_bytes());
        octets.extend(length.to_be_bytes());
        octets.extend(&opt.options);
        octets
    }

    /// The whole message.
    pub(crate) fn octets(&self) -> Vec<u8> {
        let questions: Vec<_> =
            self.questions.iter().map(|(name, rtype, class)| (&**name, *rtype, *class)).collect();
        let mut octets = question_message(self.id, Opcode::QUERY, &questions);
        octets[2..4].copy_from_slice(&self.flags.to_be_bytes());
        if self.opt.is_some() {
            octets[11] = 1;
            octets.extend(self.opt_octets());
        }
        octets
    }

    /// Id, flags and questions, which an answer repeats.
    pub(crate) fn echoed(&self) -> (u16, u16, usize) {
        (self.id, self.flags, self.questions.len())
    }
}

fn parse(question: &str) -> (String, RecordType, Class) {
    let (name, rtype) = question.rsplit_once(' ').expect("NAME TYPE");
    (name.to_owned(), rtype.parse().expect("a type"), Class::IN)
}
