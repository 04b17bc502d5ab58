//! Record data: checking, decompressing, canonical form and text.
//!
//! Inside Einhorn rdata is always uncompressed wire form with the case it came in; two rdata are
//! the same data when their canonical forms are equal (RFC 4034 §6.2, RFC 2136 §1.1.1).

use crate::message::{ParseError, read_name};
use crate::name::Name;
use crate::record::RecordType;
use domain::base::name::ParsedName;
use domain::base::rdata::ParseRecordData;
use domain::base::zonefile_fmt::{DisplayKind, ZonefileFmt};
use domain::dep::octseq::Parser;
use domain::rdata::ZoneRecordData;
use std::borrow::Cow;
use std::fmt;

/// One piece of an rdata that has names in it.
#[derive(Clone, Copy)]
pub(crate) enum Field {
    /// A domain name.
    Name,
    /// So many octets.
    Octets(usize),
    /// A length octet and as many octets.
    CharacterString,
    /// Whatever is left.
    Rest,
}

/// Where the names of a type are, and what may be done with them.
pub(crate) struct Layout {
    pub(crate) fields: &'static [Field],
    /// Types of RFC 1035, whose names may be compressed (RFC 3597 §4).
    pub(crate) compressible: bool,
}

const fn layout(fields: &'static [Field], compressible: bool) -> Option<Layout> {
    Some(Layout { fields, compressible })
}

/// The layout of the types whose names are compared without case (RFC 4034 §6.2 as corrected by
/// RFC 6840 §5.1); `None` for all others, which are opaque octets.
pub(crate) fn layout_of(rtype: RecordType) -> Option<Layout> {
    use Field::{CharacterString, Name, Octets, Rest};
    match rtype.0 {
        // NS MD MF CNAME MB MG MR PTR
        2..=5 | 7..=9 | 12 => layout(&[Name], true),
        6 => layout(&[Name, Name, Octets(20)], true), // SOA
        14 => layout(&[Name, Name], true),            // MINFO
        15 => layout(&[Octets(2), Name], true),       // MX
        17 => layout(&[Name, Name], false),           // RP
        18 | 21 | 36 => layout(&[Octets(2), Name], false), // AFSDB RT KX
        24 | 46 => layout(&[Octets(18), Name, Rest], false), // SIG RRSIG
        26 => layout(&[Octets(2), Name, Name], false), // PX
        30 => layout(&[Name, Rest], false),           // NXT
        33 => layout(&[Octets(6), Name], false),      // SRV
        35 => layout(&[Octets(4), CharacterString, CharacterString, CharacterString, Name], false), // NAPTR
        39 => layout(&[Name], false), // DNAME
        _ => None,
    }
}

/// Takes the rdata in `message[start..end]`, follows compression pointers, checks its form.
///
/// # Errors
/// [`ParseError`] when it is not well-formed data of its type; unknown types always are.
pub fn decode(
    rtype: RecordType,
    message: &[u8],
    start: usize,
    end: usize,
) -> Result<Box<[u8]>, ParseError> {
    let bytes = message.get(start..end).ok_or(ParseError::Short)?;
    match (rtype, bytes.len()) {
        (RecordType::A, 4) | (RecordType::AAAA, 16) => return Ok(bytes.into()),
        (RecordType::A | RecordType::AAAA, _) => return Err(ParseError::BadRdata(rtype)),
        _ => {}
    }
    let Some(layout) = layout_of(rtype) else {
        check(rtype, bytes)?;
        return Ok(bytes.into());
    };
    let mut out = Vec::with_capacity(bytes.len() + 32);
    let mut at = start;
    for field in layout.fields {
        let taken = match *field {
            Field::Name => {
                let (name, next) = read_name(&message[..end], at)?;
                out.extend_from_slice(name.as_slice());
                at = next;
                continue;
            }
            Field::Octets(count) => count,
            Field::CharacterString => {
                1 + *message[..end].get(at).ok_or(ParseError::BadRdata(rtype))? as usize
            }
            Field::Rest => end - at,
        };
        out.extend_from_slice(
            message[..end].get(at..at + taken).ok_or(ParseError::BadRdata(rtype))?,
        );
        at += taken;
    }
    if at != end {
        return Err(ParseError::BadRdata(rtype));
    }
    check(rtype, &out)?;
    Ok(out.into())
}

/// Checks uncompressed rdata against the rules of its type.
fn check(rtype: RecordType, rdata: &[u8]) -> Result<(), ParseError> {
    // The library lets a TXT without any string pass; RFC 1035 §3.3.14 wants one or more.
    if rtype == RecordType::TXT && rdata.is_empty() {
        return Err(ParseError::BadRdata(rtype));
    }
    parse_library(rtype, rdata).map(drop)
}

type LibraryData<'a> = ZoneRecordData<&'a [u8], ParsedName<&'a [u8]>>;

fn parse_library(rtype: RecordType, rdata: &[u8]) -> Result<LibraryData<'_>, ParseError> {
    let bad = || ParseError::BadRdata(rtype);
    let mut parser = Parser::<[u8]>::from_ref(rdata);
    let data = LibraryData::parse_rdata(domain::base::iana::Rtype::from_int(rtype.0), &mut parser)
        .map_err(|_| bad())?
        .ok_or_else(bad)?;
    if parser.remaining() == 0 { Ok(data) } else { Err(bad()) }
}

/// The canonical form, in which equal data is equal octets: names in lower case.
pub fn canonical(rtype: RecordType, rdata: &[u8]) -> Cow<'_, [u8]> {
    let Some(layout) = layout_of(rtype) else { return Cow::Borrowed(rdata) };
    let mut out = rdata.to_vec();
    let mut at = 0;
    for field in layout.fields {
        match *field {
            Field::Name => {
                while let Some(&length) = out.get(at).filter(|length| **length != 0) {
                    let end = (at + 1 + length as usize).min(out.len());
                    out[at + 1..end].make_ascii_lowercase();
                    at = end;
                }
                at += 1;
            }
            Field::Octets(count) => at += count,
            Field::CharacterString => at += 1 + out.get(at).map_or(0, |length| *length as usize),
            Field::Rest => break,
        }
    }
    Cow::Owned(out)
}

/// Whether two rdata of one type are the same data (RFC 2136 §1.1.1).
pub fn same(rtype: RecordType, a: &[u8], b: &[u8]) -> bool {
    a == b
        || (a.len() == b.len()
            && layout_of(rtype).is_some()
            && canonical(rtype, a) == canonical(rtype, b))
}

/// The name at the start of the rdata of types such as NS, CNAME, PTR and DNAME.
pub fn target(rtype: RecordType, rdata: &[u8]) -> Option<Name> {
    let skip = match layout_of(rtype)?.fields {
        [Field::Name, ..] => 0,
        [Field::Octets(skip), Field::Name] => *skip,
        _ => return None,
    };
    let (name, _) = read_name(rdata, skip).ok()?;
    Some(Name::from_valid_wire(name.as_slice()))
}

/// Rdata in presentation form, for people and zone files.
pub struct Presentation<'a> {
    /// Type of the data.
    pub rtype: RecordType,
    /// Uncompressed wire form.
    pub rdata: &'a [u8],
}

impl fmt::Display for Presentation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(text) = crate::zonefile::fields_text(self.rtype, self.rdata) {
            return f.write_str(&text);
        }
        match parse_library(self.rtype, self.rdata) {
            Ok(data) if !matches!(data, ZoneRecordData::Unknown(_)) && self.is_plain() => {
                write!(f, "{}", data.display_zonefile(DisplayKind::Simple))
            }
            _ => {
                // RFC 3597 §5
                write!(f, "\\# {}", self.rdata.len())?;
                for (i, octet) in self.rdata.iter().enumerate() {
                    write!(f, "{}{octet:02X}", if i == 0 { " " } else { "" })?;
                }
                Ok(())
            }
        }
    }
}

impl Presentation<'_> {
    /// Whether the library can print the name that is in the data: it escapes neither quotes nor
    /// comments nor parentheses, and nobody could read the text back.
    fn is_plain(&self) -> bool {
        let start = match self.rtype.0 {
            // IPSECKEY with a gateway that is a name (RFC 4025 §2.1)
            45 if self.rdata.get(1) == Some(&3) => 3,
            46 => 18,     // RRSIG
            47 => 0,      // NSEC
            64 | 65 => 2, // SVCB HTTPS
            _ => return true,
        };
        let Ok((name, _)) = read_name(self.rdata, start) else { return false };
        let special = |octet: &u8| matches!(octet, b'"' | b';' | b'(' | b')' | b'@');
        !Name::from_valid_wire(name.as_slice()).labels().any(|label| label.iter().any(special))
    }
}

/// The fields of an SOA record (RFC 1035 §3.3.13).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SoaNumbers {
    /// Version of the zone.
    pub serial: u32,
    /// Seconds between a secondary's polls.
    pub refresh: u32,
    /// Seconds between its attempts after a failure.
    pub retry: u32,
    /// Seconds after which an unrefreshed zone is no longer served.
    pub expire: u32,
    /// Upper bound for negative caching in seconds (RFC 2308 §4).
    pub minimum: u32,
}

/// The numbers at the end of SOA rdata; `None` if it is too short to have them.
pub fn soa_numbers(rdata: &[u8]) -> Option<SoaNumbers> {
    let tail = rdata.get(rdata.len().checked_sub(20)?..)?;
    let word = |i: usize| Some(u32::from_be_bytes(tail.get(4 * i..4 * i + 4)?.try_into().ok()?));
    Some(SoaNumbers {
        serial: word(0)?,
        refresh: word(1)?,
        retry: word(2)?,
        expire: word(3)?,
        minimum: word(4)?,
    })
}

/// The same SOA rdata with another serial.
pub fn with_serial(rdata: &[u8], serial: u32) -> Box<[u8]> {
    let mut out: Box<[u8]> = rdata.into();
    if let Some(start) = out.len().checked_sub(20) {
        out[start..start + 4].copy_from_slice(&serial.to_be_bytes());
    }
    out
}

/// Whether serial `a` is greater than `b` (RFC 1982 §3.2); the undefined pair counts as not.
pub fn serial_greater(a: u32, b: u32) -> bool {
    (1..0x8000_0000).contains(&a.wrapping_sub(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serials_compare_around_the_circle() {
        assert!(serial_greater(1, 0));
        assert!(serial_greater(0, u32::MAX));
        assert!(!serial_greater(0x8000_0000, 0) && !serial_greater(0, 0x8000_0000));
        assert!(!serial_greater(7, 7));
    }

    #[test]
    fn names_inside_compare_without_case_and_others_do_not() {
        assert!(same(RecordType::MX, b"\x00\x0a\x01A\x00", b"\x00\x0a\x01a\x00"));
        assert!(!same(RecordType::TXT, b"\x01A", b"\x01a"));
        assert!(!same(RecordType::MX, b"\x00\x41\x01a\x00", b"\x00\x61\x01a\x00"));
    }

    #[test]
    fn malformed_data_is_refused() {
        for (rtype, rdata) in [
            (RecordType::A, &b"\x01\x02\x03"[..]),
            (RecordType::AAAA, b"\x01"),
            (RecordType::TXT, b"\x05ab"),
            (RecordType::TXT, b""),
            (RecordType::MX, b"\x00\x0a\x01a"),
            (RecordType::SOA, b"\x00\x00\x01"),
            (RecordType::NS, b"\x00\x00"),
            (RecordType::SVCB, b"\x00"),
        ] {
            assert!(decode(rtype, rdata, 0, rdata.len()).is_err(), "{rtype} {rdata:?}");
        }
        assert!(decode(RecordType(65280), b"anything", 0, 8).is_ok());
    }

    #[test]
    fn prints_as_zone_files_want_it() {
        let show = |rtype, rdata: &[u8]| Presentation { rtype, rdata }.to_string();
        assert_eq!(show(RecordType::A, &[192, 0, 2, 1]), "192.0.2.1");
        assert_eq!(show(RecordType(65280), b"\x01\xab"), "\\# 2 01AB");
        assert_eq!(show(RecordType(65280), b""), "\\# 0");
        assert_eq!(show(RecordType::MX, b"\x00\x0a\x01A\x00"), "10 A.");
        assert_eq!(show(RecordType::TXT, b"\x05a \"b;"), "\"a \\\"b;\"");
    }
}
