//! Numbers by example and by property.

use super::*;
use proptest::prelude::*;

const ZONES: [Zones; 3] = [Zones::Ebcdic, Zones::AsciiOverpunch, Zones::AsciiGnucobol];
const SIGNS: [SignPlace; 5] = [
    SignPlace::None,
    SignPlace::Leading,
    SignPlace::Trailing,
    SignPlace::LeadingSeparate,
    SignPlace::TrailingSeparate,
];

#[test]
fn zoned_numbers_by_example() {
    use SignPlace::{Leading, LeadingSeparate, None as Unsigned, Trailing, TrailingSeparate};
    for (octets, sign, zones, value) in [
        (&b"\xf1\xf2\xc3"[..], Trailing, Zones::Ebcdic, 123),
        (b"\xf1\xf2\xd3", Trailing, Zones::Ebcdic, -123),
        (b"\xd1\xf2\xf3", Leading, Zones::Ebcdic, -123),
        (b"\xf1\xf2\xf3", Trailing, Zones::Ebcdic, 123),
        (b"\xf1\xf2\xc3", Unsigned, Zones::Ebcdic, 123),
        (b"\x60\xf0\xf7", LeadingSeparate, Zones::Ebcdic, -7),
        (b"07+", TrailingSeparate, Zones::AsciiGnucobol, 7),
        (b"12C", Trailing, Zones::AsciiOverpunch, 123),
        (b"12}", Trailing, Zones::AsciiOverpunch, -120),
        (b"12s", Trailing, Zones::AsciiGnucobol, -123),
    ] {
        assert_eq!(decode_zoned(octets, sign, zones), Ok(value), "{octets:02x?} {sign:?}");
    }
}

#[test]
fn what_is_no_zoned_number_is_found_where_it_is() {
    let find = |octets: &[u8], sign| decode_zoned(octets, sign, Zones::Ebcdic).expect_err("bad");
    assert_eq!(find(b"\xf1\x40\xf3", SignPlace::None).at, 1);
    assert_eq!(find(b"\xf1\xf2\xfa", SignPlace::Trailing).at, 2);
    assert_eq!(find(b"\xf1\xf2\xd3", SignPlace::None).what, UNSIGNED);
    assert_eq!(find(b"\x4f\xf2\xf3", SignPlace::LeadingSeparate).what, NO_SIGN);
    let gnucobol = decode_zoned(b"12J", SignPlace::Trailing, Zones::AsciiGnucobol);
    assert_eq!(gnucobol.expect_err("another style").octet, b'J');
}

#[test]
fn packed_numbers_by_example() {
    assert_eq!(decode_packed(b"\x12\x3c", 3, true), Ok(123));
    assert_eq!(decode_packed(b"\x12\x3d", 3, true), Ok(-123));
    assert_eq!(decode_packed(b"\x12\x3f", 3, false), Ok(123));
    assert_eq!(decode_packed(b"\x01\x2c", 2, true), Ok(12));
    let bad = |octets, digits, signed| decode_packed(octets, digits, signed).expect_err("bad");
    assert_eq!(bad(b"\x1a\x3c", 3, true).at, 0);
    assert_eq!(bad(b"\x12\xac", 3, true).at, 1);
    assert_eq!(bad(b"\x12\x34", 3, true).what, NO_SIGN);
    assert_eq!(bad(b"\x12\x3d", 3, false).what, UNSIGNED);
    assert_eq!(bad(b"\x91\x2c", 2, true).at, 0);
    assert_eq!(bad(b"\x40\x40", 3, true).what, NO_SIGN);
}

#[test]
fn an_address_does_not_fit_nine_digits() {
    let address = i128::from(u32::from_be_bytes([192, 0, 2, 1]));
    let mut octets = [0; 4];
    let picture = range(9, true);
    let overflow = encode_binary(address, &mut octets, picture).expect_err("more than 999999999");
    assert_eq!(
        overflow.to_string(),
        "3221225985 does not fit: the field holds -999999999 to 999999999"
    );
    assert!(encode_binary(address, &mut octets, binary_range(4, true)).is_err());
    assert_eq!(octets, [0; 4]);
    assert_eq!(encode_binary(address, &mut octets, binary_range(4, false)), Ok(()));
    assert_eq!(octets, [192, 0, 2, 1]);
    assert_eq!(decode_binary(&octets, false), address);
    assert!(decode_binary(&octets, true) < 0);
}

proptest! {
    #[test]
    fn zoned_numbers_come_back(
        digits in 1_usize..=DIGITS_MAX,
        value in any::<i64>(),
        sign in prop::sample::select(SIGNS.to_vec()),
        zones in prop::sample::select(ZONES.to_vec()),
    ) {
        let mut octets = vec![0; digits + usize::from(sign.is_separate())];
        let (min, max) = range(digits, sign != SignPlace::None);
        let written = encode_zoned(value.into(), &mut octets, sign, zones);
        prop_assert_eq!(written.is_ok(), (min..=max).contains(&value.into()));
        if written.is_ok() {
            prop_assert_eq!(decode_zoned(&octets, sign, zones), Ok(value.into()));
        } else {
            prop_assert!(octets.iter().all(|octet| *octet == 0));
        }
    }

    #[test]
    fn packed_numbers_come_back(
        digits in 1_usize..=DIGITS_MAX,
        value in any::<i64>(),
        signed in any::<bool>(),
    ) {
        let mut octets = vec![0; digits / 2 + 1];
        let (min, max) = range(digits, signed);
        let written = encode_packed(value.into(), &mut octets, digits, signed);
        prop_assert_eq!(written.is_ok(), (min..=max).contains(&value.into()));
        if written.is_ok() {
            prop_assert_eq!(decode_packed(&octets, digits, signed), Ok(value.into()));
        }
    }

    #[test]
    fn binary_numbers_come_back(
        length in prop::sample::select(vec![1_usize, 2, 4, 8]),
        value in any::<i64>(),
        signed in any::<bool>(),
    ) {
        let mut octets = vec![0; length];
        let limits = binary_range(length, signed);
        let written = encode_binary(value.into(), &mut octets, limits);
        prop_assert_eq!(written.is_ok(), (limits.0..=limits.1).contains(&value.into()));
        if written.is_ok() {
            prop_assert_eq!(decode_binary(&octets, signed), i128::from(value));
        }
    }

    #[test]
    fn any_octets_are_a_number_or_not(octets in prop::collection::vec(any::<u8>(), 1..=10)) {
        for zones in ZONES {
            for sign in SIGNS {
                // Whatever it says, it says it without going wrong.
                let _ = decode_zoned(&octets, sign, zones);
            }
        }
        if let Ok(value) = decode_packed(&octets[..octets.len().min(9)], 17, true) {
            let (min, max) = range(DIGITS_MAX, true);
            prop_assert!((min..=max).contains(&value));
        }
    }
}
