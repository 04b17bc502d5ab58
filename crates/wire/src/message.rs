//! Reading DNS messages (RFC 1035 §4), one pass, without copying.
//!
//! Nothing here decides what a message means: it only says where its parts are, and refuses what
//! has no parts.

use crate::name::{LABEL_OCTETS_MAX, NAME_OCTETS_MAX, Name};
pub use crate::name_buffer::{NameBuffer, read_name};
use crate::record::{Class, Record, RecordType};
use std::fmt;

/// Octets of a message header.
pub const HEADER_OCTETS: usize = 12;

/// Why bytes are not a DNS message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The bytes end inside a field.
    #[error("the message ends too early")]
    Short,
    /// A name is too long, points forward, or has a label type that no longer exists.
    #[error("a malformed domain name")]
    BadName,
    /// Record data does not have the form of its type.
    #[error("malformed {0} record data")]
    BadRdata(RecordType),
    /// An OPT record whose options do not add up, or a cookie of a length that none has.
    #[error("malformed EDNS options")]
    BadOption,
    /// Octets are left after the last record.
    #[error("octets after the last record")]
    Trailing,
    /// A TSIG or OPT record where none may be, or more than one (RFC 6891 §6.1.1, RFC 8945 §5.1),
    /// or an OPT record that is not the root's.
    #[error("a misplaced TSIG or OPT record")]
    Misplaced,
}

/// A response code (RFC 1035 §4.1.1, RFC 2136 §2.2; above 15 only with EDNS or in TSIG).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rcode(pub u16);

#[allow(missing_docs)] // the names are the documentation
impl Rcode {
    pub const NOERROR: Rcode = Rcode(0);
    pub const FORMERR: Rcode = Rcode(1);
    pub const SERVFAIL: Rcode = Rcode(2);
    pub const NXDOMAIN: Rcode = Rcode(3);
    pub const NOTIMP: Rcode = Rcode(4);
    pub const REFUSED: Rcode = Rcode(5);
    pub const YXDOMAIN: Rcode = Rcode(6);
    pub const YXRRSET: Rcode = Rcode(7);
    pub const NXRRSET: Rcode = Rcode(8);
    pub const NOTAUTH: Rcode = Rcode(9);
    pub const NOTZONE: Rcode = Rcode(10);
    pub const BADVERS: Rcode = Rcode(16);
    /// TSIG error field only (RFC 8945 §3); shares its number with BADVERS.
    pub const BADSIG: Rcode = Rcode(16);
    pub const BADKEY: Rcode = Rcode(17);
    pub const BADTIME: Rcode = Rcode(18);
    pub const BADTRUNC: Rcode = Rcode(22);
    pub const BADCOOKIE: Rcode = Rcode(23);
}

impl fmt::Display for Rcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 11] = [
            "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN",
            "YXRRSET", "NXRRSET", "NOTAUTH", "NOTZONE",
        ];
        match NAMES.get(self.0 as usize) {
            Some(name) => f.write_str(name),
            None => write!(f, "RCODE{}", self.0),
        }
    }
}

impl fmt::Debug for Rcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a message asks for (RFC 1035 §4.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opcode(pub u8);

#[allow(missing_docs)] // the names are the documentation
impl Opcode {
    pub const QUERY: Opcode = Opcode(0);
    pub const NOTIFY: Opcode = Opcode(4);
    pub const UPDATE: Opcode = Opcode(5);
}

/// The header of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Message id.
    pub id: u16,
    /// The 16 flag bits: QR, opcode, AA, TC, RD, RA, Z, AD, CD, RCODE.
    pub flags: u16,
    /// Entries in the question (zone), answer (prerequisite), authority (update) and additional
    /// sections.
    pub counts: [u16; 4],
}

impl Header {
    /// Reads the first twelve octets; `None` if there are fewer.
    pub fn parse(message: &[u8]) -> Option<Header> {
        let word =
            |i: usize| Some(u16::from_be_bytes([*message.get(2 * i)?, *message.get(2 * i + 1)?]));
        Some(Header {
            id: word(0)?,
            flags: word(1)?,
            counts: [word(2)?, word(3)?, word(4)?, word(5)?],
        })
    }

    /// Whether the message is a response.
    pub fn is_response(&self) -> bool {
        self.flags & 0x8000 != 0
    }

    /// The opcode.
    pub fn opcode(&self) -> Opcode {
        Opcode((self.flags >> 11) as u8 & 15)
    }

    /// Whether recursion is desired, which a response repeats.
    pub fn recursion_desired(&self) -> bool {
        self.flags & 0x0100 != 0
    }

    /// The four low bits of the response code.
    pub fn rcode(&self) -> Rcode {
        Rcode(self.flags & 15)
    }
}

/// A question, or the zone section of an UPDATE.
#[derive(Clone)]
pub struct Question {
    /// Name asked for.
    pub name: NameBuffer,
    /// Type asked for.
    pub rtype: RecordType,
    /// Class asked for.
    pub class: Class,
}

/// A question where it lies in its message.
#[derive(Debug, Clone, Copy)]
pub struct QuestionRef<'m> {
    /// Name asked for, in uncompressed wire form.
    pub name: &'m [u8],
    /// Type asked for.
    pub rtype: RecordType,
    /// Class asked for.
    pub class: Class,
}

/// Reads the question at the beginning of a message; returns the offset behind it too. Its name
/// cannot be compressed: there is no name before it.
fn read_first_question(message: &[u8]) -> Result<(QuestionRef<'_>, usize), ParseError> {
    let mut at = HEADER_OCTETS;
    loop {
        match *message.get(at).ok_or(ParseError::Short)? as usize {
            0 => break,
            length @ 1..=LABEL_OCTETS_MAX => at += 1 + length,
            _ => return Err(ParseError::BadName),
        }
    }
    at += 1;
    let name = &message[HEADER_OCTETS..at];
    if name.len() > NAME_OCTETS_MAX {
        return Err(ParseError::BadName);
    }
    let (rtype, class) = (RecordType(read_u16(message, at)?), Class(read_u16(message, at + 2)?));
    Ok((QuestionRef { name, rtype, class }, at + 4))
}

/// Reads a question at `at`; returns the offset behind it too.
///
/// # Errors
/// [`ParseError::Short`] or [`ParseError::BadName`].
pub fn read_question(message: &[u8], at: usize) -> Result<(Question, usize), ParseError> {
    let (name, at) = read_name(message, at)?;
    let word = |at: usize| read_u16(message, at);
    Ok((Question { name, rtype: RecordType(word(at)?), class: Class(word(at + 2)?) }, at + 4))
}

fn read_u16(message: &[u8], at: usize) -> Result<u16, ParseError> {
    let bytes = message.get(at..at + 2).ok_or(ParseError::Short)?;
    Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
}

/// The offset behind the name at `at`, without following where its pointer leads.
fn skip_name(message: &[u8], at: usize) -> Result<usize, ParseError> {
    let mut at = at;
    loop {
        match *message.get(at).ok_or(ParseError::Short)? as usize {
            0 => return Ok(at + 1),
            octet @ 1..=LABEL_OCTETS_MAX => at += 1 + octet,
            0xC0.. => return Ok(at + 2),
            _ => return Err(ParseError::BadName),
        }
    }
}

/// A record's place in a message; its owner name and rdata are not yet looked at.
#[derive(Debug, Clone, Copy)]
pub struct RawRecord {
    /// Offset of the owner name.
    pub start: usize,
    /// Type.
    pub rtype: RecordType,
    /// Class.
    pub class: Class,
    /// Time to live, or whatever the type makes of these 32 bits.
    pub ttl: u32,
    /// Offset of the rdata.
    pub rdata_start: usize,
    /// Offset behind the rdata, where the next record begins.
    pub end: usize,
}

impl RawRecord {
    /// Reads the record at `at`.
    ///
    /// # Errors
    /// [`ParseError::Short`] or [`ParseError::BadName`].
    pub fn read(message: &[u8], at: usize) -> Result<RawRecord, ParseError> {
        let fixed = skip_name(message, at)?;
        let f = message.get(fixed..fixed + 10).ok_or(ParseError::Short)?;
        let rdata_start = fixed + 10;
        let end = rdata_start + u16::from_be_bytes([f[8], f[9]]) as usize;
        if end > message.len() {
            return Err(ParseError::Short);
        }
        Ok(RawRecord {
            start: at,
            rtype: RecordType(u16::from_be_bytes([f[0], f[1]])),
            class: Class(u16::from_be_bytes([f[2], f[3]])),
            ttl: u32::from_be_bytes([f[4], f[5], f[6], f[7]]),
            rdata_start,
            end,
        })
    }

    /// The owner name.
    ///
    /// # Errors
    /// [`ParseError::BadName`] and [`ParseError::Short`].
    pub fn owner(&self, message: &[u8]) -> Result<Name, ParseError> {
        Ok(read_name(message, self.start)?.0.to_name())
    }

    /// Decompresses and checks the rdata. Empty rdata of any type is let through, since an
    /// UPDATE uses it to name RRsets (RFC 2136 §2.4, §2.5).
    ///
    /// # Errors
    /// [`ParseError::BadRdata`] and what a name can have wrong.
    pub fn to_record(&self, message: &[u8]) -> Result<Record, ParseError> {
        let rdata = if self.rdata_start == self.end {
            Box::default()
        } else {
            crate::rdata::decode(self.rtype, message, self.rdata_start, self.end)?
        };
        Ok(Record {
            owner: self.owner(message)?,
            rtype: self.rtype,
            class: self.class,
            ttl: self.ttl,
            rdata,
        })
    }
}

/// A message whose sections have been walked once: every record fits, TSIG and OPT stand where
/// they may.
pub struct Message<'a> {
    /// All octets.
    pub octets: &'a [u8],
    /// Header.
    pub header: Header,
    /// Offsets where the question, answer, authority and additional sections begin.
    section_starts: [usize; 4],
    /// The first question; `None` if there is none.
    pub question: Option<QuestionRef<'a>>,
    /// The OPT pseudo-record of the additional section.
    pub opt: Option<RawRecord>,
    /// The TSIG record, always the last of the message.
    pub tsig: Option<RawRecord>,
}

/// The sections of a message that hold records, by their names in queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// Answer; prerequisites in an UPDATE.
    Answer = 1,
    /// Authority; updates in an UPDATE.
    Authority = 2,
    /// Additional.
    Additional = 3,
}

impl<'a> Message<'a> {
    /// Walks the whole message.
    ///
    /// # Errors
    /// [`ParseError`] for anything that does not fit, octets after the end included.
    pub fn parse(octets: &'a [u8]) -> Result<Message<'a>, ParseError> {
        let header = Header::parse(octets).ok_or(ParseError::Short)?;
        let mut message = Message {
            octets,
            header,
            section_starts: [HEADER_OCTETS; 4],
            question: None,
            opt: None,
            tsig: None,
        };
        let mut at = HEADER_OCTETS;
        for number in 0..header.counts[0] {
            if number == 0 {
                let (question, end) = read_first_question(octets)?;
                (message.question, at) = (Some(question), end);
            } else {
                at = read_question(octets, at)?.1;
            }
        }
        for section in 1..4 {
            message.section_starts[section] = at;
            for index in 0..header.counts[section] {
                let record = RawRecord::read(octets, at)?;
                at = record.end;
                let last = section == 3 && index + 1 == header.counts[3];
                match record.rtype {
                    RecordType::TSIG if last => message.tsig = Some(record),
                    // Its owner is the root (RFC 6891 §6.1.2).
                    RecordType::OPT
                        if section == 3 && message.opt.is_none() && octets[record.start] == 0 =>
                    {
                        message.opt = Some(record)
                    }
                    RecordType::TSIG | RecordType::OPT => return Err(ParseError::Misplaced),
                    _ => {}
                }
            }
        }
        if at == octets.len() { Ok(message) } else { Err(ParseError::Trailing) }
    }

    /// Offset of the additional section.
    pub fn additional_start(&self) -> usize {
        self.section_starts[Section::Additional as usize]
    }

    /// The first question, to keep; `None` if there is none.
    pub fn question(&self) -> Option<Question> {
        let QuestionRef { name, rtype, class } = self.question?;
        Some(Question { name: NameBuffer::from_wire(name)?, rtype, class })
    }

    /// The records of a section, OPT and TSIG included.
    pub fn section(
        &self,
        section: Section,
    ) -> impl Iterator<Item = Result<RawRecord, ParseError>> + '_ {
        let mut at = self.section_starts[section as usize];
        (0..self.header.counts[section as usize]).map(move |_| {
            let record = RawRecord::read(self.octets, at)?;
            at = record.end;
            Ok(record)
        })
    }

    /// The records of a section with their data checked.
    ///
    /// # Errors
    /// [`ParseError`] of the first record that has something wrong.
    pub fn records(&self, section: Section) -> Result<Vec<Record>, ParseError> {
        self.section(section).map(|record| record?.to_record(self.octets)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailing_octets_and_misplaced_records_are_refused() {
        let header = |counts: [u8; 4]| {
            let mut m = vec![0, 1, 0, 0];
            counts.iter().for_each(|c| m.extend([0, *c]));
            m
        };
        let opt = b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00";
        assert!(Message::parse(&header([0, 0, 0, 0])).is_ok());
        assert_eq!(
            Message::parse(&[header([0; 4]), vec![0]].concat()).err(),
            Some(ParseError::Trailing)
        );
        assert!(Message::parse(&[header([0, 0, 0, 1]), opt.to_vec()].concat()).is_ok());
        let twice = [header([0, 0, 0, 2]), opt.to_vec(), opt.to_vec()].concat();
        assert_eq!(Message::parse(&twice).err(), Some(ParseError::Misplaced));
        let elsewhere = [header([0, 0, 0, 1]), b"\x01a".to_vec(), opt.to_vec()].concat();
        assert_eq!(Message::parse(&elsewhere).err(), Some(ParseError::Misplaced));
        let in_answer = [header([0, 1, 0, 0]), opt.to_vec()].concat();
        assert_eq!(Message::parse(&in_answer).err(), Some(ParseError::Misplaced));
    }
}
