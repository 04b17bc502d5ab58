//! Record data of zone files, from fields to wire form.
//!
//! Types that are no more than a row of numbers, names, strings and addresses stand in a table
//! ([`fields_of`]) and are read here, without any detour; the others go to the library
//! ([`super::library`]). Every type may be written in the generic form of RFC 3597 §5.

use super::coded::{
    ALGORITHM, BASE64_DATA, CERTIFICATE_TYPE, Coded, EUI48, EUI64, HEX, HOST_IDENTITY, LOCATOR64,
    NSAP, TYPES,
};
use super::library;
use super::location::LOCATION;
use super::name::append_name;
use super::prefixes::PREFIXES;
use super::scan::{Found, Scanner, TTL_SECONDS_MAX, Token, decimal, fault, period};
use crate::message::HEADER_OCTETS;
use crate::record::RecordType;
use std::net::Ipv6Addr;

/// Longest rdata that fits a message beside the shortest owner, in octets.
pub(super) const RDATA_OCTETS_MAX: usize = u16::MAX as usize - HEADER_OCTETS - 11;

/// One field of record data in text.
#[derive(Clone, Copy)]
pub(super) enum Field {
    /// An IPv4 address.
    Ipv4,
    /// An IPv6 address.
    Ipv6,
    /// A domain name.
    Name,
    /// A number of 16 bits, and what it is called.
    U16(&'static str),
    /// A number of 32 bits, and what it is called.
    U32(&'static str),
    /// A time with or without units, and what it is called.
    Period(&'static str),
    /// A character-string (RFC 1035 §3.3).
    String,
    /// One or more character-strings up to the end.
    Strings,
    /// Perhaps a character-string.
    StringOrNothing,
    /// A string without a length octet, up to the end of the data.
    Rest,
    /// A number of 8 bits, and what it is called.
    U8(&'static str),
    /// One with a text form of its own.
    Coded(&'static Coded),
}

/// The fields of a type, where they are all that its text form is.
pub(super) const fn fields_of(rtype: RecordType) -> Option<&'static [Field]> {
    use Field::{
        Coded, Ipv4, Ipv6, Name, Period, Rest, String, StringOrNothing, Strings, U8, U16, U32,
    };
    const PREFERENCE: Field = U16("a preference");
    Some(match rtype.0 {
        1 => &[Ipv4],
        28 => &[Ipv6],
        // NS MD MF CNAME MB MG MR PTR DNAME
        2..=5 | 7..=9 | 12 | 39 => &[Name],
        6 => &[
            Name,
            Name,
            U32("a serial number"),
            Period("the refresh time"),
            Period("the retry time"),
            Period("the expire time"),
            Period("the minimum TTL"),
        ],
        // HINFO
        13 => &[String, String],
        // MINFO RP
        14 | 17 => &[Name, Name],
        // MX AFSDB RT KX LP
        15 | 18 | 21 | 36 | 107 => &[PREFERENCE, Name],
        // TXT SPF
        16 | 99 => &[Strings],
        // X25
        19 => &[String],
        // ISDN
        20 => &[String, StringOrNothing],
        22 => &[Coded(&NSAP)],
        // PX
        26 => &[PREFERENCE, Name, Name],
        // GPOS
        27 => &[String, String, String],
        29 => &[Coded(&LOCATION)],
        // SRV
        33 => &[U16("a priority"), U16("a weight"), U16("a port"), Name],
        // NAPTR
        35 => &[U16("an order"), PREFERENCE, String, String, String, Name],
        // CERT (RFC 4398 §2.2)
        37 => &[Coded(&CERTIFICATE_TYPE), U16("a key tag"), Coded(&ALGORITHM), Coded(&BASE64_DATA)],
        // APL
        42 => &[Coded(&PREFIXES)],
        // DHCID (RFC 4701 §3.2)
        49 => &[Coded(&BASE64_DATA)],
        // SMIMEA (RFC 8162 §2)
        53 => &[U8("a certificate usage"), U8("a selector"), U8("a matching type"), Coded(&HEX)],
        // HIP
        55 => &[Coded(&HOST_IDENTITY)],
        // CSYNC (RFC 7477 §2.2)
        62 => &[U32("a serial number"), U16("flags"), Coded(&TYPES)],
        // NID L64 (RFC 6742)
        104 | 106 => &[PREFERENCE, Coded(&LOCATOR64)],
        // L32 (RFC 6742 §2.2.2)
        105 => &[PREFERENCE, Ipv4],
        108 => &[Coded(&EUI48)],
        109 => &[Coded(&EUI64)],
        // URI (RFC 7553 §4.4)
        256 => &[U16("a priority"), U16("a weight"), Rest],
        _ => return None,
    })
}

/// Reads the data of a record up to the end of its entry and appends it to `out`, uncompressed.
/// Names without a final dot are completed with `origin`, in wire form.
pub(super) fn append_rdata(
    rtype: RecordType,
    scanner: &mut Scanner<'_>,
    origin: &[u8],
    out: &mut Vec<u8>,
) -> Found<()> {
    let fields = fields_of(rtype);
    let mut first = scanner.token()?;
    if let Some(token) = first.filter(|token| !token.is_quoted && token.text == b"\\#") {
        return append_generic(rtype, token.at, scanner, out);
    }
    let Some(fields) = fields else {
        return library::append_rdata(rtype, first, scanner, origin, out);
    };
    for field in fields {
        let token = match first.take() {
            Some(token) => Some(token),
            None => scanner.token()?,
        };
        append_field(*field, token, scanner, origin, out)?;
    }
    scanner.end_entry()
}

/// Reads one field, whose first token is `token`; `None` means that the entry has ended.
fn append_field<'t>(
    field: Field,
    token: Option<Token<'t>>,
    scanner: &mut Scanner<'t>,
    origin: &[u8],
    out: &mut Vec<u8>,
) -> Found<()> {
    let Some(token) = token else {
        let wanted = match field {
            Field::StringOrNothing => return Ok(()),
            Field::Coded(coded) if coded.may_be_nothing => return Ok(()),
            Field::Coded(coded) => coded.wanted,
            Field::Ipv4 => "an IPv4 address",
            Field::Ipv6 => "an IPv6 address",
            Field::Name => "a domain name",
            Field::U8(what) | Field::U16(what) | Field::U32(what) | Field::Period(what) => what,
            Field::String | Field::Strings | Field::Rest => "a string",
        };
        return fault(scanner.at(), format!("expected {wanted}, found the end of the entry"));
    };
    match field {
        Field::Ipv4 => append_ipv4(&token, out),
        Field::Ipv6 => append_ipv6(&token, out),
        Field::Name => append_name(&token, origin, out).map(drop),
        Field::U8(what) => {
            out.push(number(&token, what, u64::from(u8::MAX))? as u8);
            Ok(())
        }
        Field::Coded(coded) => (coded.read)(token, scanner, origin, out),
        Field::U16(what) => {
            let number = number(&token, what, u64::from(u16::MAX))?;
            out.extend_from_slice(&(number as u16).to_be_bytes());
            Ok(())
        }
        Field::U32(what) => {
            let number = number(&token, what, u64::from(u32::MAX))?;
            out.extend_from_slice(&(number as u32).to_be_bytes());
            Ok(())
        }
        Field::Period(what) => {
            let Some(seconds) = token.plain().and_then(period) else {
                return wrong(&token, &format!("{what} in seconds or as in 1h30m"));
            };
            out.extend_from_slice(&seconds.to_be_bytes());
            Ok(())
        }
        Field::String | Field::StringOrNothing => append_string(&token, out),
        Field::Strings => {
            append_string(&token, out)?;
            while let Some(token) = scanner.token()? {
                append_string(&token, out)?;
                if out.len() > RDATA_OCTETS_MAX {
                    return fault(token.at, "more strings than fit a message");
                }
            }
            Ok(())
        }
        // RFC 7553 §4.4
        Field::Rest if !token.is_quoted => wrong(&token, "a string in quotes"),
        Field::Rest => {
            token.append_octets(out);
            Ok(())
        }
    }
}

pub(super) fn wrong<T>(token: &Token<'_>, wanted: &str) -> Found<T> {
    fault(token.at, format!("expected {wanted}, found {}", token.shown()))
}

pub(super) fn number(token: &Token<'_>, what: &str, max: u64) -> Found<u64> {
    match token.plain().and_then(|digits| decimal(digits, max)) {
        Some(number) => Ok(number),
        None => wrong(token, &format!("{what} from 0 to {max}")),
    }
}

fn append_string(token: &Token<'_>, out: &mut Vec<u8>) -> Found<()> {
    let length_at = out.len();
    out.push(0);
    token.append_octets(out);
    let length = out.len() - length_at - 1;
    let Ok(short) = u8::try_from(length) else {
        return fault(token.at, format!("a string of {length} octets: 255 is the most, split it"));
    };
    out[length_at] = short;
    Ok(())
}

fn append_ipv4(token: &Token<'_>, out: &mut Vec<u8>) -> Found<()> {
    match token.plain().and_then(ipv4) {
        Some(address) => {
            out.extend_from_slice(&address);
            Ok(())
        }
        None => wrong(token, "an IPv4 address such as 192.0.2.1"),
    }
}

fn append_ipv6(token: &Token<'_>, out: &mut Vec<u8>) -> Found<()> {
    match token.plain().and_then(ipv6) {
        Some(address) => {
            out.extend_from_slice(&address);
            Ok(())
        }
        None => wrong(token, "an IPv6 address such as 2001:db8::1"),
    }
}

/// Four decimal numbers without leading zeros, between dots.
pub(super) fn ipv4(text: &[u8]) -> Option<[u8; 4]> {
    let mut address = [0; 4];
    let (mut part, mut value, mut digits) = (0, 0u16, 0);
    for &octet in text {
        if octet == b'.' {
            if digits == 0 || part == 3 {
                return None;
            }
            address[part] = value as u8;
            (part, value, digits) = (part + 1, 0, 0);
            continue;
        }
        let digit = octet.wrapping_sub(b'0');
        if digit > 9 || (digits > 0 && value == 0) {
            return None;
        }
        value = value * 10 + u16::from(digit);
        digits += 1;
        if value > 255 {
            return None;
        }
    }
    address[part] = value as u8;
    (part == 3 && digits > 0).then_some(address)
}

/// Text of RFC 4291 §2.2.
pub(super) fn ipv6(text: &[u8]) -> Option<[u8; 16]> {
    let mut address = [0u8; 16];
    let mut to = 0;
    // Where `::` stands, in octets of the address.
    let mut gap = None;
    let mut at = 0;
    if let Some(tail) = text.strip_prefix(b"::") {
        gap = Some(0);
        at = 2;
        if tail.is_empty() {
            return Some(address);
        }
    }
    loop {
        let (mut value, start) = (0u32, at);
        while let Some(digit) = text.get(at).and_then(|octet| hex_digit(*octet)) {
            value = value << 4 | u32::from(digit);
            at += 1;
            if at - start > 4 {
                return None;
            }
        }
        if at == start || to == 16 {
            return None;
        }
        address[to..to + 2].copy_from_slice(&(value as u16).to_be_bytes());
        to += 2;
        match &text[at..] {
            [] => break,
            [b':', b':', tail @ ..] if gap.is_none() => {
                gap = Some(to);
                at += 2;
                if tail.is_empty() {
                    break;
                }
            }
            [b':', _, ..] => at += 1,
            // An IPv4 address at the end is rare.
            [b'.', ..] => {
                let address: Ipv6Addr = std::str::from_utf8(text).ok()?.parse().ok()?;
                return Some(address.octets());
            }
            _ => return None,
        }
    }
    match gap {
        None if to < 16 => return None,
        None => {}
        // `::` stands for at least one group.
        Some(_) if to == 16 => return None,
        Some(gap) => {
            address.copy_within(gap..to, 16 - (to - gap));
            address[gap..16 - (to - gap)].fill(0);
        }
    }
    Some(address)
}

pub(super) fn hex_digit(octet: u8) -> Option<u8> {
    match octet {
        b'0'..=b'9' => Some(octet - b'0'),
        b'a'..=b'f' => Some(octet - b'a' + 10),
        b'A'..=b'F' => Some(octet - b'A' + 10),
        _ => None,
    }
}

/// The generic form, `\# LENGTH HEX`, behind its marker (RFC 3597 §5).
fn append_generic(
    rtype: RecordType,
    marker_at: usize,
    scanner: &mut Scanner<'_>,
    out: &mut Vec<u8>,
) -> Found<()> {
    const LENGTH: &str = "a length in octets";
    let length_token = scanner.require(LENGTH)?;
    let length = number(&length_token, LENGTH, u64::from(u16::MAX))? as usize;
    let start = out.len();
    let mut half: Option<u8> = None;
    while let Some(token) = scanner.token()? {
        for octet in token.plain().unwrap_or(b"?") {
            let Some(digit) = hex_digit(*octet) else {
                return wrong(&token, "hexadecimal digits");
            };
            half = match half {
                None => Some(digit),
                Some(high) => {
                    out.push(high << 4 | digit);
                    None
                }
            };
        }
        if out.len() - start > length {
            return fault(token.at, format!("more than the {length} octets announced"));
        }
    }
    if half.is_some() || out.len() - start < length {
        let found = out.len() - start;
        let rest = if half.is_some() { " and a half" } else { "" };
        return fault(
            length_token.at,
            format!("announced are {length} octets of data, found {found}{rest}"),
        );
    }
    let data = &out[start..];
    match crate::rdata::decode(rtype, data, 0, data.len()) {
        // The decoder would follow compression pointers, which have no place here.
        Ok(decoded) if *decoded == *data => scanner.end_entry(),
        _ => fault(marker_at, format!("these octets are no {rtype} record data")),
    }
}

/// The TTL that a field spells, in seconds.
pub(super) fn ttl(token: &Token<'_>) -> Found<u32> {
    match token.plain().and_then(period) {
        Some(seconds) if u64::from(seconds) <= TTL_SECONDS_MAX => Ok(seconds),
        Some(_) => {
            fault(token.at, format!("the TTL {} is above {TTL_SECONDS_MAX} seconds", token.shown()))
        }
        None => wrong(token, "a TTL in seconds or as in 1h30m"),
    }
}
