//! Lists of address prefixes: the data of APL records (RFC 3123).

use super::coded::Coded;
use super::rdata::{ipv4, ipv6, wrong};
use super::scan::{Found, Scanner, Token, decimal};
use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The whole data of an APL record (RFC 3123 §5).
pub(super) const PREFIXES: Coded = Coded { wanted: "prefixes", may_be_nothing: true, read, write };

/// Address families (RFC 3123 §4).
const IPV4: u16 = 1;
const IPV6: u16 = 2;
/// The bit that makes an item an exception.
const NEGATION: u8 = 0x80;

fn read<'t>(first: Token<'t>, scanner: &mut Scanner<'t>, _: &[u8], out: &mut Vec<u8>) -> Found<()> {
    let mut token = Some(first);
    while let Some(item) = token {
        if item.plain().and_then(|text| append_item(text, out)).is_none() {
            return wrong(&item, "a prefix such as 1:192.0.2.0/24 or !2:2001:db8::/32");
        }
        token = scanner.token()?;
    }
    Ok(())
}

fn append_item(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let (flag, text) = match text {
        [b'!', text @ ..] => (NEGATION, text),
        _ => (0, text),
    };
    let [family, b':', text @ ..] = text else { return None };
    let slash = text.iter().position(|octet| *octet == b'/')?;
    let (address, bits) = (&text[..slash], &text[slash + 1..]);
    let (v4, v6);
    let (family, address): (u16, &[u8]) = match family {
        b'1' => {
            v4 = ipv4(address)?;
            (IPV4, &v4)
        }
        b'2' => {
            v6 = ipv6(address)?;
            (IPV6, &v6)
        }
        _ => return None,
    };
    let bits = decimal(bits, 8 * address.len() as u64)?;
    // RFC 3123 §4: no zeros at the end.
    let used = address.iter().rposition(|octet| *octet != 0).map_or(0, |last| last + 1);
    out.extend_from_slice(&family.to_be_bytes());
    out.extend_from_slice(&[bits as u8, flag | used as u8]);
    out.extend_from_slice(&address[..used]);
    Some(())
}

fn write(data: &[u8], text: &mut String) -> Option<usize> {
    let mut rest = data;
    let mut gap = "";
    while let [high, low, bits, flag_and_length, tail @ ..] = rest {
        let sign = if flag_and_length & NEGATION == 0 { "" } else { "!" };
        let (part, tail) = tail.split_at_checked(usize::from(flag_and_length & !NEGATION))?;
        if part.last() == Some(&0) {
            return None;
        }
        match u16::from_be_bytes([*high, *low]) {
            IPV4 if *bits <= 32 => {
                let address = Ipv4Addr::from(filled::<4>(part)?);
                write!(text, "{gap}{sign}1:{address}/{bits}").ok()?;
            }
            IPV6 if *bits <= 128 => {
                let address = Ipv6Addr::from(filled::<16>(part)?);
                write!(text, "{gap}{sign}2:{address}/{bits}").ok()?;
            }
            _ => return None,
        }
        gap = " ";
        rest = tail;
    }
    rest.is_empty().then_some(data.len())
}

/// `part` with the zeros that were left out.
fn filled<const OCTETS: usize>(part: &[u8]) -> Option<[u8; OCTETS]> {
    let mut octets = [0; OCTETS];
    octets.get_mut(..part.len())?.copy_from_slice(part);
    Some(octets)
}
