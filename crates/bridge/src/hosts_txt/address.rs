//! Addresses as host tables write them.

use crate::codes::FaultCode;
use crate::record::Address;
use std::net::Ipv4Addr;

/// Digits that a part of an address has at most; more of them are no address.
const DIGITS_MAX: usize = 10;

/// Reads four decimal parts with dots between them; says whether one had a leading zero.
///
/// # Errors
/// The fault, if it is no such address.
pub(crate) fn internet(text: &[u8]) -> Result<(Ipv4Addr, bool), FaultCode> {
    let (mut octets, mut count) = ([0u8; 4], 0);
    let (mut leading_zero, mut is_above) = (false, false);
    let (mut value, mut digits, mut first) = (0u64, 0, 0);
    for octet in text.iter().copied().chain([b'.']) {
        match octet {
            b'0'..=b'9' if digits < DIGITS_MAX => {
                first = if digits == 0 { octet } else { first };
                value = value * 10 + u64::from(octet - b'0');
                digits += 1;
            }
            b'.' if digits > 0 && count < octets.len() => {
                leading_zero |= digits > 1 && first == b'0';
                is_above |= value > 255;
                octets[count] = value.min(255) as u8;
                (count, value, digits) = (count + 1, 0, 0);
            }
            _ => return Err(FaultCode::BadAddress),
        }
    }
    match count {
        4 if is_above => Err(FaultCode::OctetRange),
        4 => Ok((Ipv4Addr::from(octets), leading_zero)),
        _ => Err(FaultCode::BadAddress),
    }
}

/// Reads an address of another network: the network's name, blanks, and the rest.
pub(super) fn foreign(text: &[u8]) -> Option<Address> {
    let blank = text.iter().position(|octet| matches!(octet, b' ' | b'\t'))?;
    let (network, address) = (&text[..blank], text[blank..].trim_ascii());
    let is_name = network.first()?.is_ascii_alphabetic() && network.is_ascii();
    (is_name && !address.is_empty()).then(|| Address::foreign(network, address))
}

/// Reads `host/imp`, two decimal numbers of the ARPANET after 1976: host of eight bits, IMP of
/// sixteen, which became `10.host.imp.imp`.
pub(super) fn host_and_imp(text: &[u8]) -> Option<Address> {
    let text = std::str::from_utf8(text).ok()?;
    let (host, imp) = text.split_once('/')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
    if !digits(host) || !digits(imp) {
        return None;
    }
    let [high, low] = imp.parse::<u16>().ok()?.to_be_bytes();
    Some(Address::V4(Ipv4Addr::new(10, host.parse().ok()?, high, low)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_decimal_and_checked() {
        let address = |text: &[u8]| internet(text).map(|(address, zero)| (address.octets(), zero));
        assert_eq!(address(b"192.31.85.01"), Ok(([192, 31, 85, 1], true)));
        assert_eq!(address(b"26.010.0.191"), Ok(([26, 10, 0, 191], true)));
        assert_eq!(address(b"10.0.0.0"), Ok(([10, 0, 0, 0], false)));
        assert_eq!(address(b"128.328.1.1"), Err(FaultCode::OctetRange));
        for text in [&b"1.2.3"[..], b"1.2.3.4.5", b"1..2.3", b"", b"a.b.c.d", b"1.2.3.4 "] {
            assert_eq!(address(text), Err(FaultCode::BadAddress), "{text:?}");
        }
        assert_eq!(host_and_imp(b"1/5"), Some(Address::V4(Ipv4Addr::new(10, 1, 0, 5))));
        assert_eq!(host_and_imp(b"3/300"), Some(Address::V4(Ipv4Addr::new(10, 3, 1, 44))));
        assert_eq!(host_and_imp(b"256/1"), None);
        assert_eq!(foreign(b"CHAOS 177002"), Some(Address::foreign(b"CHAOS", b"177002")));
    }
}
