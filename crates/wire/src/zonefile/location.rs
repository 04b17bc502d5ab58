//! Places on the earth: the data of LOC records (RFC 1876).

use super::coded::Coded;
use super::rdata::{number, wrong};
use super::scan::{Found, Scanner, Token, decimal, fault};
use std::fmt::Write;

/// The whole data of a LOC record (RFC 1876 §3).
pub(super) const LOCATION: Coded =
    Coded { wanted: "degrees of latitude", may_be_nothing: false, read, write };

/// Octets of the data, all of version 0 (RFC 1876 §2).
const OCTETS: usize = 16;
/// What stands for the equator and the prime meridian, in thousandths of a second of arc.
const ORIGIN: u32 = 1 << 31;
const THOUSANDTHS_PER_DEGREE: u32 = 3_600_000;
/// Lowest altitude, below the ellipsoid.
const DEPTH_CENTIMETRES: u64 = 10_000_000;
/// Longest size or error.
const SIZE_CENTIMETRES_MAX: u64 = 9_000_000_000;
/// Size, horizontal and vertical error where they are not written: 1 m, 10 km, 10 m.
const SIZES: [u8; 3] = [0x12, 0x16, 0x13];

/// One of the two angles.
struct Angle {
    degrees_max: u32,
    /// Letters of the two halves, the positive first.
    halves: [char; 2],
}
const LATITUDE: Angle = Angle { degrees_max: 90, halves: ['N', 'S'] };
const LONGITUDE: Angle = Angle { degrees_max: 180, halves: ['E', 'W'] };

fn read<'t>(first: Token<'t>, scanner: &mut Scanner<'t>, _: &[u8], out: &mut Vec<u8>) -> Found<()> {
    let latitude = LATITUDE.read(first, scanner)?;
    let token = scanner.require("degrees of longitude")?;
    let longitude = LONGITUDE.read(token, scanner)?;
    let altitude = altitude(&scanner.require(ALTITUDE)?)?;
    let mut sizes = SIZES;
    for size in &mut sizes {
        let Some(token) = scanner.token()? else { break };
        *size = size_octet(&token)?;
    }
    out.push(0);
    out.extend_from_slice(&sizes);
    for word in [latitude, longitude, altitude] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    Ok(())
}

impl Angle {
    /// Reads degrees, perhaps minutes, perhaps seconds, and the letter.
    fn read(&self, first: Token<'_>, scanner: &mut Scanner<'_>) -> Found<u32> {
        const MINUTES: &str = "minutes";
        const SECONDS: &str = "seconds from 0 to 59.999";
        let [positive, negative] = self.halves;
        let letter = format!("{positive} or {negative}");
        let degrees = number(&first, "degrees", u64::from(self.degrees_max))? as u32;
        let mut angle = degrees * THOUSANDTHS_PER_DEGREE;
        let mut token = scanner.require(&letter)?;
        if self.half(&token).is_none() {
            angle += number(&token, MINUTES, 59)? as u32 * 60_000;
            token = scanner.require(&letter)?;
            if self.half(&token).is_none() {
                let seconds = token.plain().and_then(|text| fixed::<3>(text, 59_999));
                let Some(seconds) = seconds else { return wrong(&token, SECONDS) };
                angle += seconds as u32;
                token = scanner.require(&letter)?;
            }
        }
        if angle > self.degrees_max * THOUSANDTHS_PER_DEGREE {
            return fault(first.at, format!("more than {} degrees", self.degrees_max));
        }
        match self.half(&token) {
            Some(true) => Ok(ORIGIN + angle),
            Some(false) => Ok(ORIGIN - angle),
            None => wrong(&token, &letter),
        }
    }

    /// Whether `token` is the positive letter; `None` if it is neither.
    fn half(&self, token: &Token<'_>) -> Option<bool> {
        let [positive, negative] = self.halves.map(|letter| [letter as u8]);
        match (token.is_word(&positive), token.is_word(&negative)) {
            (false, false) => None,
            (is_positive, _) => Some(is_positive),
        }
    }

    fn write(&self, word: u32, text: &mut String) -> Option<()> {
        let angle = word.abs_diff(ORIGIN);
        let letter = self.halves[usize::from(word < ORIGIN)];
        let (degrees, rest) = (angle / THOUSANDTHS_PER_DEGREE, angle % THOUSANDTHS_PER_DEGREE);
        let (minutes, rest) = (rest / 60_000, rest % 60_000);
        let (seconds, thousandths) = (rest / 1000, rest % 1000);
        write!(text, "{degrees} {minutes} {seconds}.{thousandths:03} {letter} ").ok()?;
        (angle <= self.degrees_max * THOUSANDTHS_PER_DEGREE).then_some(())
    }
}

/// A number with up to `PLACES` decimal places, in units of the last of them.
fn fixed<const PLACES: usize>(text: &[u8], max: u64) -> Option<u64> {
    let (whole, fraction) = match text.iter().position(|octet| *octet == b'.') {
        Some(dot) => (&text[..dot], &text[dot + 1..]),
        None => (text, &b"0"[..]),
    };
    let places = fraction.len();
    if places > PLACES {
        return None;
    }
    let scale = |places: usize| 10u64.pow(places as u32);
    let fraction = decimal(fraction, u64::MAX)? * scale(PLACES - places);
    let value = decimal(whole, max)?.checked_mul(scale(PLACES))?.checked_add(fraction)?;
    (value <= max).then_some(value)
}

/// Metres with or without their unit, in centimetres.
fn centimetres(text: &[u8], max: u64) -> Option<u64> {
    fixed::<2>(text.strip_suffix(b"m").unwrap_or(text), max)
}

const ALTITUDE: &str = "an altitude in metres from -100000.00 to 42849672.95";

fn altitude(token: &Token<'_>) -> Found<u32> {
    let word = token.plain().and_then(|text| match text.strip_prefix(b"-") {
        Some(depth) => Some(DEPTH_CENTIMETRES - centimetres(depth, DEPTH_CENTIMETRES)?),
        None => {
            let max = u64::from(u32::MAX) - DEPTH_CENTIMETRES;
            Some(DEPTH_CENTIMETRES + centimetres(text, max)?)
        }
    });
    match word {
        Some(word) => Ok(word as u32),
        None => wrong(token, ALTITUDE),
    }
}

/// A length as one digit and a power of ten, in centimetres; further digits are dropped.
fn size_octet(token: &Token<'_>) -> Found<u8> {
    let Some(mut mantissa) = token.plain().and_then(|text| centimetres(text, SIZE_CENTIMETRES_MAX))
    else {
        return wrong(token, "a length in metres from 0 to 90000000.00");
    };
    let mut exponent = 0;
    while mantissa > 9 {
        mantissa /= 10;
        exponent += 1;
    }
    Ok((mantissa as u8) << 4 | exponent)
}

fn write(data: &[u8], text: &mut String) -> Option<usize> {
    let (head, words) = data.get(..OCTETS)?.split_at(4);
    let word = |i: usize| Some(u32::from_be_bytes(*words.get(4 * i..)?.first_chunk()?));
    if head[0] != 0 {
        return None;
    }
    LATITUDE.write(word(0)?, text)?;
    LONGITUDE.write(word(1)?, text)?;
    let altitude = i64::from(word(2)?) - DEPTH_CENTIMETRES as i64;
    let sign = if altitude < 0 { "-" } else { "" };
    let altitude = altitude.unsigned_abs();
    write!(text, "{sign}{}.{:02}m", altitude / 100, altitude % 100).ok()?;
    for size in &head[1..] {
        let (mantissa, exponent) = (size >> 4, size & 0xf);
        // Nought has one form that is read back.
        if mantissa > 9 || exponent > 9 || (mantissa == 0 && exponent > 0) {
            return None;
        }
        let size = u64::from(mantissa) * 10u64.pow(u32::from(exponent));
        write!(text, " {}.{:02}m", size / 100, size % 100).ok()?;
    }
    Some(OCTETS)
}
