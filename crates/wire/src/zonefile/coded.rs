//! Fields of record data with a text form of their own: digits, base64, groups, lists of types.
//!
//! Each is a pair of functions, one that reads and one that writes. A writer declines whatever it
//! could not read back as it was; such data is written in the generic form of RFC 3597 §5.

use super::name::append_name;
use super::rdata::{hex_digit, number, wrong};
use super::scan::{Found, Scanner, Token, fault};
use crate::message::read_name;
use crate::name::Name;
use crate::record::RecordType;
use base64::engine::general_purpose::STANDARD as BASE64;
use base64::{DecodeError, Engine as _};
use domain::base::iana::SecurityAlgorithm;
use std::fmt::Write;

/// Reads a field from its first token on, and appends it to the data; names are completed with
/// the origin, in wire form.
type Read = for<'t> fn(Token<'t>, &mut Scanner<'t>, &[u8], &mut Vec<u8>) -> Found<()>;

/// A field that has its own reader and writer.
pub(super) struct Coded {
    /// What is expected, for an error.
    pub(super) wanted: &'static str,
    /// Whether the field, which is the last one, may be missing.
    pub(super) may_be_nothing: bool,
    pub(super) read: Read,
    /// Writes the field at the start of the data, and says how many octets it has; `None` if it
    /// has no text form.
    pub(super) write: fn(&[u8], &mut String) -> Option<usize>,
}

/// Hexadecimal digits up to the end, blanks between them or not.
pub(super) const HEX: Coded =
    Coded { wanted: "hexadecimal digits", may_be_nothing: false, read: read_hex, write: write_hex };

/// Base64 up to the end, blanks in between or not.
pub(super) const BASE64_DATA: Coded =
    Coded { wanted: "base64", may_be_nothing: false, read: read_base64, write: write_base64 };

/// Six octets between hyphens (RFC 7043 §3.2).
pub(super) const EUI48: Coded = Coded {
    wanted: EUI48_WANTED,
    may_be_nothing: false,
    read: |token, _, _, out| read_groups::<6, 1>(&token, b'-', EUI48_WANTED, out),
    write: write_groups::<6, 1, '-'>,
};
const EUI48_WANTED: &str = "six octets such as 00-00-5e-00-53-2a";

/// Eight octets between hyphens (RFC 7043 §4.2).
pub(super) const EUI64: Coded = Coded {
    wanted: EUI64_WANTED,
    may_be_nothing: false,
    read: |token, _, _, out| read_groups::<8, 1>(&token, b'-', EUI64_WANTED, out),
    write: write_groups::<8, 1, '-'>,
};
const EUI64_WANTED: &str = "eight octets such as 00-00-5e-ef-10-00-00-2a";

/// 64 bits as half of an IPv6 address (RFC 6742 §2.1.2, §2.3.2).
pub(super) const LOCATOR64: Coded = Coded {
    wanted: LOCATOR64_WANTED,
    may_be_nothing: false,
    read: |token, _, _, out| read_groups::<8, 2>(&token, b':', LOCATOR64_WANTED, out),
    write: write_groups::<8, 2, ':'>,
};
const LOCATOR64_WANTED: &str = "four groups of digits such as 2001:db8:1140:1000";

/// Types by name, as a bitmap (RFC 4034 §4.1.2, RFC 7477 §2.1.2).
pub(super) const TYPES: Coded =
    Coded { wanted: "record types", may_be_nothing: true, read: read_types, write: write_types };

/// A certificate's type by number or name (RFC 4398 §2.1).
pub(super) const CERTIFICATE_TYPE: Coded = Coded {
    wanted: CERTIFICATE_TYPE_WANTED,
    may_be_nothing: false,
    read: |token, _, _, out| {
        let known = CERTIFICATE_TYPES.iter().find(|(name, _)| token.is_word(name));
        let value = match known {
            Some((_, value)) => *value,
            None => number(&token, CERTIFICATE_TYPE_WANTED, u64::from(u16::MAX))? as u16,
        };
        out.extend_from_slice(&value.to_be_bytes());
        Ok(())
    },
    write: |data, text| {
        write!(text, "{}", u16::from_be_bytes(*data.first_chunk()?)).ok()?;
        Some(2)
    },
};
const CERTIFICATE_TYPE_WANTED: &str = "a certificate type such as PKIX, or a number";
const CERTIFICATE_TYPES: [(&[u8], u16); 10] = [
    (b"PKIX", 1),
    (b"SPKI", 2),
    (b"PGP", 3),
    (b"IPKIX", 4),
    (b"ISPKI", 5),
    (b"IPGP", 6),
    (b"ACPKIX", 7),
    (b"IACPKIX", 8),
    (b"URI", 253),
    (b"OID", 254),
];

/// A key's algorithm by number or name (RFC 4034 appendix A.1).
pub(super) const ALGORITHM: Coded = Coded {
    wanted: ALGORITHM_WANTED,
    may_be_nothing: false,
    read: |token, _, _, out| {
        let named = token.plain().and_then(SecurityAlgorithm::from_mnemonic);
        let value = match named {
            Some(algorithm) => algorithm.to_int(),
            None => number(&token, ALGORITHM_WANTED, u64::from(u8::MAX))? as u8,
        };
        out.push(value);
        Ok(())
    },
    write: |data, text| {
        write!(text, "{}", data.first()?).ok()?;
        Some(1)
    },
};
const ALGORITHM_WANTED: &str = "an algorithm such as RSASHA256, or a number";

/// An address of the OSI network: digits behind `0x`, dots anywhere between octets (RFC 1706 §6).
pub(super) const NSAP: Coded = Coded {
    wanted: NSAP_WANTED,
    may_be_nothing: false,
    read: |token, _, _, out| {
        let digits = token.plain().and_then(|text| match text {
            [b'0', b'x' | b'X', digits @ ..] => Some(digits),
            _ => None,
        });
        let digits: Option<Vec<u8>> =
            digits.map(|digits| digits.iter().copied().filter(|octet| *octet != b'.').collect());
        match digits.filter(|digits| !digits.is_empty() && append_hex(digits, out)) {
            Some(_) => Ok(()),
            None => wrong(&token, NSAP_WANTED),
        }
    },
    write: |data, text| {
        text.push_str("0x");
        write_hex(data, text)
    },
};
const NSAP_WANTED: &str = "an address such as 0x47.0005.80";

/// Algorithm, identity tag, public key and rendezvous servers (RFC 8005 §5, §6).
pub(super) const HOST_IDENTITY: Coded = Coded {
    wanted: "a public key algorithm",
    may_be_nothing: false,
    read: read_host_identity,
    write: write_host_identity,
};

/// Appends the octets that pairs of digits mean; says whether they are such.
fn append_hex(digits: &[u8], out: &mut Vec<u8>) -> bool {
    digits.chunks(2).all(|pair| match *pair {
        [high, low] => match (hex_digit(high), hex_digit(low)) {
            (Some(high), Some(low)) => {
                out.push(high << 4 | low);
                true
            }
            _ => false,
        },
        _ => false,
    })
}

/// The text of `first` and of all tokens after it, as one.
fn joined<'t>(first: Token<'t>, scanner: &mut Scanner<'t>) -> Found<(Vec<u8>, Vec<Token<'t>>)> {
    let (mut text, mut tokens) = (Vec::new(), Vec::new());
    let mut token = Some(first);
    while let Some(part) = token {
        text.extend_from_slice(part.plain().unwrap_or(b"\""));
        tokens.push(part);
        token = scanner.token()?;
    }
    Ok((text, tokens))
}

/// The token in which the octet `at` of the joined text lies.
fn token_at<'t>(tokens: &[Token<'t>], mut at: usize) -> Option<Token<'t>> {
    for token in tokens {
        let length = token.plain().map_or(1, <[u8]>::len);
        if at < length {
            return Some(*token);
        }
        at -= length;
    }
    None
}

fn read_hex<'t>(
    first: Token<'t>,
    scanner: &mut Scanner<'t>,
    _: &[u8],
    out: &mut Vec<u8>,
) -> Found<()> {
    let (digits, tokens) = joined(first, scanner)?;
    if append_hex(&digits, out) {
        return Ok(());
    }
    let bad = digits.iter().position(|octet| hex_digit(*octet).is_none());
    match bad.and_then(|at| token_at(&tokens, at)) {
        Some(token) => wrong(&token, HEX.wanted),
        None => fault(first.at, "an odd number of hexadecimal digits"),
    }
}

fn write_hex(data: &[u8], text: &mut String) -> Option<usize> {
    data.iter().try_for_each(|octet| write!(text, "{octet:02X}")).ok()?;
    (!data.is_empty()).then_some(data.len())
}

fn read_base64<'t>(
    first: Token<'t>,
    scanner: &mut Scanner<'t>,
    _: &[u8],
    out: &mut Vec<u8>,
) -> Found<()> {
    let (text, tokens) = joined(first, scanner)?;
    match BASE64.decode_vec(&text, out) {
        Ok(()) => Ok(()),
        Err(DecodeError::InvalidByte(at, _)) => {
            wrong(&token_at(&tokens, at).unwrap_or(first), BASE64_DATA.wanted)
        }
        Err(error) => fault(first.at, format!("expected base64: {error}")),
    }
}

fn write_base64(data: &[u8], text: &mut String) -> Option<usize> {
    BASE64.encode_string(data, text);
    (!data.is_empty()).then_some(data.len())
}

/// Reads `OCTETS` octets in groups of `EACH`. Single octets have all their digits, longer groups
/// may go without leading zeros.
fn read_groups<const OCTETS: usize, const EACH: usize>(
    token: &Token<'_>,
    separator: u8,
    wanted: &str,
    out: &mut Vec<u8>,
) -> Found<()> {
    let digits_min = if EACH == 1 { 2 } else { 1 };
    let mut groups = 0;
    for group in token.plain().unwrap_or_default().split(|octet| *octet == separator) {
        if !(digits_min..=2 * EACH).contains(&group.len()) {
            return wrong(token, wanted);
        }
        let mut digits = [b'0'; 4];
        digits[4 - group.len()..].copy_from_slice(group);
        if !append_hex(&digits[4 - 2 * EACH..], out) {
            return wrong(token, wanted);
        }
        groups += 1;
    }
    if groups == OCTETS / EACH { Ok(()) } else { wrong(token, wanted) }
}

fn write_groups<const OCTETS: usize, const EACH: usize, const SEPARATOR: char>(
    data: &[u8],
    text: &mut String,
) -> Option<usize> {
    for (number, octet) in data.get(..OCTETS)?.iter().enumerate() {
        if number > 0 && number % EACH == 0 {
            text.push(SEPARATOR);
        }
        write!(text, "{octet:02x}").ok()?;
    }
    Some(OCTETS)
}

fn read_types<'t>(
    first: Token<'t>,
    scanner: &mut Scanner<'t>,
    _: &[u8],
    out: &mut Vec<u8>,
) -> Found<()> {
    let mut types: Vec<u16> = Vec::new();
    let mut token = Some(first);
    while let Some(name) = token {
        let text = name.plain().and_then(|text| std::str::from_utf8(text).ok());
        match text.and_then(|text| text.parse::<RecordType>().ok()) {
            Some(rtype) if rtype.0 != 0 => types.push(rtype.0),
            _ => return wrong(&name, "a record type"),
        }
        token = scanner.token()?;
    }
    types.sort_unstable();
    for window in types.chunk_by(|a, b| a >> 8 == b >> 8) {
        let [number, last] = window[window.len() - 1].to_be_bytes();
        let octets = 1 + usize::from(last) / 8;
        out.extend_from_slice(&[number, octets as u8]);
        let start = out.len();
        out.resize(start + octets, 0);
        for rtype in window {
            let low = usize::from(*rtype & 0xff);
            out[start + low / 8] |= 0x80 >> (low % 8);
        }
    }
    Ok(())
}

fn write_types(data: &[u8], text: &mut String) -> Option<usize> {
    let mut rest = data;
    let mut window_min = 0;
    let mut gap = "";
    while let [window, octets, tail @ ..] = rest {
        let bits = tail.get(..usize::from(*octets))?;
        // Otherwise it is not in the one form that the names stand for.
        let is_in_order = u16::from(*window) >= window_min && *octets <= 32;
        if !is_in_order || *bits.last()? == 0 || (*window == 0 && bits[0] & 0x80 != 0) {
            return None;
        }
        window_min = u16::from(*window) + 1;
        for low in (0..bits.len() * 8).filter(|low| bits[low / 8] & (0x80 >> (low % 8)) != 0) {
            let rtype = RecordType(u16::from(*window) << 8 | low as u16);
            write!(text, "{gap}{rtype}").ok()?;
            gap = " ";
        }
        rest = &tail[bits.len()..];
    }
    rest.is_empty().then_some(data.len())
}

fn read_host_identity<'t>(
    first: Token<'t>,
    scanner: &mut Scanner<'t>,
    origin: &[u8],
    out: &mut Vec<u8>,
) -> Found<()> {
    const KEY: &str = "a public key in base64";
    const TAG: &str = "a host identity tag of hexadecimal digits";
    let algorithm = number(&first, "a public key algorithm", u64::from(u8::MAX))? as u8;
    let token = scanner.require(TAG)?;
    let mut tag = Vec::new();
    let is_hex = token.plain().is_some_and(|digits| append_hex(digits, &mut tag));
    let Some(tag_length) = u8::try_from(tag.len()).ok().filter(|length| is_hex && *length > 0)
    else {
        return wrong(&token, TAG);
    };
    let token = scanner.require(KEY)?;
    let key = token.plain().and_then(|text| BASE64.decode(text).ok()).unwrap_or_default();
    let Some(key_length) = u16::try_from(key.len()).ok().filter(|length| *length > 0) else {
        return wrong(&token, KEY);
    };
    out.extend_from_slice(&[tag_length, algorithm]);
    out.extend_from_slice(&key_length.to_be_bytes());
    out.extend_from_slice(&tag);
    out.extend_from_slice(&key);
    while let Some(server) = scanner.token()? {
        append_name(&server, origin, out)?;
    }
    Ok(())
}

fn write_host_identity(data: &[u8], text: &mut String) -> Option<usize> {
    let [tag_length, algorithm, high, low, rest @ ..] = data else { return None };
    let (tag, rest) = rest.split_at_checked(usize::from(*tag_length))?;
    let (key, mut servers) =
        rest.split_at_checked(usize::from(u16::from_be_bytes([*high, *low])))?;
    write!(text, "{algorithm} ").ok()?;
    write_hex(tag, text)?;
    text.push(' ');
    write_base64(key, text)?;
    while !servers.is_empty() {
        let (name, next) = read_name(servers, 0).ok()?;
        // A pointer has no place here; the reader would follow it.
        if name.as_slice() != servers.get(..next)? {
            return None;
        }
        write!(text, " {}", Name::from_valid_wire(name.as_slice())).ok()?;
        servers = &servers[next..];
    }
    Some(data.len())
}
