//! The little of DER (X.690) that a signature needs: writing values, and finding a certificate's
//! issuer and serial number.

/// Tags.
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;
/// The first tag of a context, for constructed values.
pub(crate) const CONTEXT_0: u8 = 0xa0;

/// A value with its tag and length.
pub(crate) fn value(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let length = content.len();
    if length < 0x80 {
        out.push(length as u8);
    } else {
        let octets = length.to_be_bytes();
        let leading = octets.iter().take_while(|octet| **octet == 0).count();
        out.push(0x80 | (octets.len() - leading) as u8);
        out.extend_from_slice(&octets[leading..]);
    }
    out.extend_from_slice(content);
    out
}

/// Several values in one.
pub(crate) fn values(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    value(tag, &parts.concat())
}

/// A SET OF, whose parts stand in the order of their octets (X.690 §11.6).
pub(crate) fn set_of(tag: u8, mut parts: Vec<Vec<u8>>) -> Vec<u8> {
    parts.sort();
    value(tag, &parts.concat())
}

/// The first value of `octets` with its tag, its content, and what follows.
fn split(octets: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = octets.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let count = usize::from(first & 0x7f);
        // Four octets of length are more than any certificate has.
        if !(1..=4).contains(&count) {
            return None;
        }
        let (length, rest) = rest.split_at_checked(count)?;
        (length.iter().fold(0, |sum, octet| sum << 8 | usize::from(*octet)), rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// Issuer and serial number of a certificate (RFC 5280 §4.1), each with tag and length, in the order
/// in which a signature names them.
pub(crate) fn issuer_and_serial(certificate: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (SEQUENCE, certificate, []) = split(certificate)? else { return None };
    let (SEQUENCE, mut to_be_signed, _) = split(certificate)? else { return None };
    if let (CONTEXT_0, _, rest) = split(to_be_signed)? {
        to_be_signed = rest;
    }
    let (INTEGER, serial, rest) = split(to_be_signed)? else { return None };
    let (SEQUENCE, _, rest) = split(rest)? else { return None };
    let (SEQUENCE, issuer, _) = split(rest)? else { return None };
    Some((value(SEQUENCE, issuer), value(INTEGER, serial)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lengths_are_as_short_as_they_can_be() {
        assert_eq!(value(OCTET_STRING, &[1, 2]), [4, 2, 1, 2]);
        assert_eq!(value(OCTET_STRING, &[0; 127])[..2], [4, 127]);
        assert_eq!(value(OCTET_STRING, &[0; 128])[..3], [4, 0x81, 128]);
        assert_eq!(value(OCTET_STRING, &[0; 256])[..4], [4, 0x82, 1, 0]);
        assert_eq!(set_of(SET, vec![vec![2], vec![1]]), [0x31, 2, 1, 2]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_split_again(content in prop::collection::vec(any::<u8>(), 0..700), tag: u8) {
            let mut octets = value(tag, &content);
            octets.push(7);
            prop_assert_eq!(split(&octets), Some((tag, &content[..], &[7][..])));
        }

        #[test]
        fn nothing_is_too_odd_to_look_at(octets in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = issuer_and_serial(&octets);
        }
    }
}
