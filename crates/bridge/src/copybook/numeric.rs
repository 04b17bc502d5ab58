//! Numbers as COBOL stores them: zoned, packed and binary. Octets in, whole numbers out, and back.
//!
//! No code page has a part in this: the zones and signs of numbers are bits, not characters.

use super::picture::DIGITS_MAX;

/// How zoned numbers say their digits and signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zones {
    /// EBCDIC: digits `F0` to `F9`; the zone of the digit with the sign is C or D (or A, E; B),
    /// and F where there is none.
    Ebcdic,
    /// ASCII digits; the digit with the sign is `{`, `A` to `I` or `}`, `J` to `R`, which is what
    /// text conversion makes of EBCDIC, and what GnuCOBOL does with `-fsign=EBCDIC`.
    AsciiOverpunch,
    /// ASCII digits; a negative number has `p` to `y` for the digit with the sign, which is what
    /// GnuCOBOL does by itself.
    AsciiGnucobol,
}

/// Where the sign of a zoned number is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignPlace {
    /// There is none.
    None,
    /// In the first digit.
    Leading,
    /// In the last digit.
    Trailing,
    /// A character before the first digit.
    LeadingSeparate,
    /// A character after the last digit.
    TrailingSeparate,
}

impl SignPlace {
    /// Whether the sign takes an octet of its own.
    pub fn is_separate(self) -> bool {
        matches!(self, SignPlace::LeadingSeparate | SignPlace::TrailingSeparate)
    }
}

/// An octet that does not belong into a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("octet {octet:02X} is {what}")]
pub struct BadOctet {
    /// Its place in the field, counted from 0.
    pub at: usize,
    /// The octet.
    pub octet: u8,
    /// What is wrong with it.
    pub what: &'static str,
}

/// A number that a field cannot hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{value} does not fit: the field holds {min} to {max}")]
pub struct Overflow {
    /// The number.
    pub value: i128,
    /// The smallest that fits.
    pub min: i128,
    /// The largest that fits.
    pub max: i128,
}

const NO_DIGIT: &str = "no digit";
const NO_SIGN: &str = "no sign";
const UNSIGNED: &str = "a negative sign in a field without one";

/// The smallest and largest number of so many digits.
pub fn range(digits: usize, signed: bool) -> (i128, i128) {
    let max = i128::from(10_u64.pow(digits.min(DIGITS_MAX) as u32)) - 1;
    (if signed { -max } else { 0 }, max)
}

fn check(value: i128, (min, max): (i128, i128)) -> Result<(), Overflow> {
    if (min..=max).contains(&value) { Ok(()) } else { Err(Overflow { value, min, max }) }
}

/// Reads a zoned number of at most [`DIGITS_MAX`] digits.
///
/// # Errors
/// With the first octet that is no digit or sign.
pub fn decode_zoned(octets: &[u8], sign: SignPlace, zones: Zones) -> Result<i128, BadOctet> {
    let (digits, first, separate) = match (sign, octets) {
        (SignPlace::LeadingSeparate, [sign, digits @ ..]) => (digits, 1, Some((0, *sign))),
        (SignPlace::TrailingSeparate, [digits @ .., sign]) => {
            (digits, 0, Some((digits.len(), *sign)))
        }
        _ => (octets, 0, None),
    };
    let signed_at = match sign {
        SignPlace::Leading => Some(0),
        SignPlace::Trailing => digits.len().checked_sub(1),
        // Programs leave a positive sign even in fields without one.
        SignPlace::None if zones == Zones::Ebcdic => digits.len().checked_sub(1),
        _ => None,
    };
    let mut value = 0_u64;
    let mut negative = false;
    for (at, octet) in digits.iter().enumerate() {
        let bad = |what| BadOctet { at: first + at, octet: *octet, what };
        let digit = if Some(at) == signed_at {
            let (digit, minus) = signed_digit(*octet, zones).ok_or(bad(NO_DIGIT))?;
            negative = minus;
            if minus && sign == SignPlace::None {
                return Err(bad(UNSIGNED));
            }
            digit
        } else {
            plain_digit(*octet, zones).ok_or(bad(NO_DIGIT))?
        };
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
    }
    if let Some((at, octet)) = separate {
        negative = match (octet, zones) {
            (0x4e, Zones::Ebcdic) | (b'+', Zones::AsciiOverpunch | Zones::AsciiGnucobol) => false,
            (0x60, Zones::Ebcdic) | (b'-', Zones::AsciiOverpunch | Zones::AsciiGnucobol) => true,
            _ => return Err(BadOctet { at, octet, what: NO_SIGN }),
        };
    }
    Ok(if negative { -i128::from(value) } else { i128::from(value) })
}

fn plain_digit(octet: u8, zones: Zones) -> Option<u8> {
    let zero = if zones == Zones::Ebcdic { 0xf0 } else { b'0' };
    octet.checked_sub(zero).filter(|digit| *digit <= 9)
}

/// A digit that may carry a sign, and whether it is negative.
fn signed_digit(octet: u8, zones: Zones) -> Option<(u8, bool)> {
    match (zones, octet) {
        (Zones::Ebcdic, _) => {
            let digit = octet & 0x0f;
            let negative = match octet >> 4 {
                0xa | 0xc | 0xe | 0xf => false,
                0xb | 0xd => true,
                _ => return None,
            };
            (digit <= 9).then_some((digit, negative))
        }
        (_, b'0'..=b'9') => Some((octet - b'0', false)),
        (Zones::AsciiOverpunch, b'{') => Some((0, false)),
        (Zones::AsciiOverpunch, b'A'..=b'I') => Some((octet - b'A' + 1, false)),
        (Zones::AsciiOverpunch, b'}') => Some((0, true)),
        (Zones::AsciiOverpunch, b'J'..=b'R') => Some((octet - b'J' + 1, true)),
        (Zones::AsciiGnucobol, b'p'..=b'y') => Some((octet - b'p', true)),
        _ => None,
    }
}

fn with_sign(digit: u8, negative: bool, zones: Zones) -> u8 {
    match (zones, negative, digit) {
        (Zones::Ebcdic, false, _) => 0xc0 | digit,
        (Zones::Ebcdic, true, _) => 0xd0 | digit,
        (Zones::AsciiOverpunch, false, 0) => b'{',
        (Zones::AsciiOverpunch, false, _) => b'A' + digit - 1,
        (Zones::AsciiOverpunch, true, 0) => b'}',
        (Zones::AsciiOverpunch, true, _) => b'J' + digit - 1,
        (Zones::AsciiGnucobol, false, _) => b'0' + digit,
        (Zones::AsciiGnucobol, true, _) => b'p' + digit,
    }
}

/// Writes a zoned number over all of `octets`.
///
/// # Errors
/// If it has more digits than there is room for, or a sign where there is none; then nothing is
/// written.
pub fn encode_zoned(
    value: i128,
    octets: &mut [u8],
    sign: SignPlace,
    zones: Zones,
) -> Result<(), Overflow> {
    let digits = octets.len() - usize::from(sign.is_separate() && !octets.is_empty());
    check(value, range(digits, sign != SignPlace::None))?;
    let negative = value < 0;
    let (plus, minus) = if zones == Zones::Ebcdic { (0x4e, 0x60) } else { (b'+', b'-') };
    let place = match (sign, octets) {
        (SignPlace::LeadingSeparate, [first, place @ ..]) => {
            *first = if negative { minus } else { plus };
            place
        }
        (SignPlace::TrailingSeparate, [place @ .., last]) => {
            *last = if negative { minus } else { plus };
            place
        }
        (_, place) => place,
    };
    let zero = if zones == Zones::Ebcdic { 0xf0 } else { b'0' };
    // No field has more digits than 64 bits hold, and division of 128 bits is slow.
    let mut rest = value.unsigned_abs() as u64;
    for octet in place.iter_mut().rev() {
        *octet = zero + (rest % 10) as u8;
        rest /= 10;
    }
    let signed = match sign {
        SignPlace::Leading => place.first_mut(),
        SignPlace::Trailing => place.last_mut(),
        _ => None,
    };
    if let Some(octet) = signed {
        *octet = with_sign(*octet - zero, negative, zones);
    }
    Ok(())
}

/// Reads a packed number (COMP-3): two digits per octet, the sign in the last half octet.
///
/// # Errors
/// With the first octet that holds something else, or more digits than `digits`.
pub fn decode_packed(octets: &[u8], digits: usize, signed: bool) -> Result<i128, BadOctet> {
    let Some((last, before)) = octets.split_last() else { return Ok(0) };
    let mut value = 0_u64;
    for (at, octet) in before.iter().enumerate() {
        let (high, low) = (octet >> 4, octet & 0x0f);
        if high > 9 || low > 9 {
            return Err(BadOctet { at, octet: *octet, what: "no pair of digits" });
        }
        value = value.wrapping_mul(100).wrapping_add(u64::from(high * 10 + low));
    }
    let bad = |at: usize, what| BadOctet { at, octet: octets[at], what };
    let (digit, sign) = (last >> 4, last & 0x0f);
    let at = before.len();
    if digit > 9 {
        return Err(bad(at, NO_DIGIT));
    }
    value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
    if digits.is_multiple_of(2) && octets[0] >> 4 != 0 {
        return Err(bad(0, "a digit more than the picture has"));
    }
    match sign {
        0xa | 0xc | 0xe | 0xf => Ok(i128::from(value)),
        0xb | 0xd if signed => Ok(-i128::from(value)),
        0xb | 0xd => Err(bad(at, UNSIGNED)),
        _ => Err(bad(at, NO_SIGN)),
    }
}

/// Writes a packed number over all of `octets`, with the preferred signs C and D, or F for fields
/// without a sign.
///
/// # Errors
/// If it has more than `digits` digits, or a sign where there is none; then nothing is written.
pub fn encode_packed(
    value: i128,
    octets: &mut [u8],
    digits: usize,
    signed: bool,
) -> Result<(), Overflow> {
    check(value, range(digits, signed))?;
    let sign = match (signed, value < 0) {
        (false, _) => 0x0f,
        (true, false) => 0x0c,
        (true, true) => 0x0d,
    };
    let mut rest = value.unsigned_abs() as u64;
    let mut next = || {
        let digit = (rest % 10) as u8;
        rest /= 10;
        digit
    };
    let mut low = sign;
    for octet in octets.iter_mut().rev() {
        *octet = next() << 4 | low;
        low = next();
    }
    Ok(())
}

/// Reads a binary number of at most eight octets, the most significant first.
pub fn decode_binary(octets: &[u8], signed: bool) -> i128 {
    let octets = &octets[..octets.len().min(8)];
    let value = octets.iter().fold(0_u64, |value, octet| value << 8 | u64::from(*octet));
    let is_negative = signed && octets.first().is_some_and(|first| first & 0x80 != 0);
    if is_negative { i128::from(value) - (1_i128 << (8 * octets.len())) } else { i128::from(value) }
}

/// The smallest and largest binary number of so many octets.
pub fn binary_range(octets: usize, signed: bool) -> (i128, i128) {
    let bits = 8 * octets.min(8) as u32;
    if signed {
        (-(1_i128 << (bits - 1)), (1_i128 << (bits - 1)) - 1)
    } else {
        (0, (1_i128 << bits) - 1)
    }
}

/// Writes a binary number over all of `octets`, at most eight, the most significant first.
///
/// # Errors
/// If it is not within `limits`; then nothing is written.
pub fn encode_binary(value: i128, octets: &mut [u8], limits: (i128, i128)) -> Result<(), Overflow> {
    check(value, limits)?;
    let wide = value.to_be_bytes();
    let start = wide.len() - octets.len().min(8);
    octets.copy_from_slice(&wide[start..]);
    Ok(())
}

#[cfg(test)]
#[path = "numeric_tests.rs"]
mod tests;
