//! One field of one record: its octets as text or as a number, and back.

use super::DIGITS_MAX;
use super::numeric::{self, Overflow, SignPlace, Zones};
use super::schema::Kind;
use crate::codes::FaultCode;
use crate::ebcdic::CodePage;
use crate::text::Text;

/// What a file's fields have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Coding {
    /// Of character fields, and of them alone.
    pub(crate) page: CodePage,
    /// Of zoned numbers.
    pub(crate) zones: Zones,
    /// Whether COMP-5 has the least significant octet first.
    pub(crate) little_endian: bool,
    /// Whether binary numbers may have all values of their octets, not only those of the picture.
    pub(crate) all_values: bool,
}

/// A field at its place in a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    /// Its name, with its place in tables.
    pub(crate) name: String,
    /// Octets before it.
    pub(crate) offset: usize,
    /// Octets.
    pub(crate) length: usize,
    /// What it is; never a group.
    pub(crate) kind: Kind,
    /// How it is coded.
    pub(crate) coding: Coding,
}

/// A field that does not hold what it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// What kind of fault.
    pub(crate) code: FaultCode,
    /// The field.
    pub(crate) field: String,
    /// The octet, from the beginning of the record.
    pub(crate) at: usize,
    /// What is wrong.
    pub(crate) reason: String,
}

impl Cell {
    /// Its octets; `None` in a record that ends before it.
    pub(crate) fn octets<'a>(&self, record: &'a [u8]) -> Option<&'a [u8]> {
        record.get(self.offset..self.offset + self.length)
    }

    fn place<'a>(&self, record: &'a mut [u8]) -> &'a mut [u8] {
        record.get_mut(self.offset..self.offset + self.length).unwrap_or_default()
    }

    /// Digits that a number in it has at most.
    pub(crate) fn digits(&self) -> usize {
        match self.kind {
            Kind::Zoned { sign, .. } => self.length - usize::from(sign.is_separate()),
            Kind::Packed { digits, .. } | Kind::Binary { digits, .. } => digits,
            Kind::Group | Kind::Characters => self.length,
        }
    }

    /// Whether it is a number with digits after a decimal point.
    pub(crate) fn has_fraction(&self) -> bool {
        match self.kind {
            Kind::Zoned { scale, .. } | Kind::Packed { scale, .. } | Kind::Binary { scale, .. } => {
                scale > 0
            }
            Kind::Group | Kind::Characters => false,
        }
    }

    /// Whether one character of the code page is one octet of it.
    pub(crate) fn is_readable(&self) -> bool {
        matches!(self.kind, Kind::Characters | Kind::Zoned { .. })
    }

    pub(crate) fn fault(&self, code: FaultCode, at: usize, reason: impl ToString) -> Fault {
        let field = self.name.clone();
        Fault { code, field, at: self.offset + at, reason: reason.to_string() }
    }

    /// The number it holds; of a character field, the number that its digits make.
    pub(crate) fn number(&self, record: &[u8]) -> Result<i128, Fault> {
        let Some(octets) = self.octets(record) else {
            return Err(self.fault(FaultCode::BadRecord, 0, "the record ends before this field"));
        };
        let bad = |octet: numeric::BadOctet| self.fault(FaultCode::BadNumber, octet.at, octet);
        match self.kind {
            Kind::Zoned { sign, .. } => {
                numeric::decode_zoned(octets, sign, self.coding.zones).map_err(bad)
            }
            Kind::Packed { digits, signed, .. } => {
                numeric::decode_packed(octets, digits, signed).map_err(bad)
            }
            Kind::Binary { signed, native, .. } => {
                let value = if native && self.coding.little_endian {
                    let mut reversed = [0; 8];
                    let reversed = &mut reversed[..octets.len().min(8)];
                    reversed.copy_from_slice(&octets[..octets.len().min(8)]);
                    reversed.reverse();
                    numeric::decode_binary(reversed, signed)
                } else {
                    numeric::decode_binary(octets, signed)
                };
                let (min, max) = self.range();
                if (min..=max).contains(&value) {
                    return Ok(value);
                }
                let reason = format!("{value} has more digits than the picture");
                Err(self.fault(FaultCode::BadNumber, 0, reason))
            }
            Kind::Group | Kind::Characters => {
                let zero = self.coding.page.zero();
                let digits = octets.without_filling(self.coding.page.space());
                if digits.is_empty() || digits.len() > DIGITS_MAX {
                    return Err(self.fault(FaultCode::BadNumber, 0, "no number"));
                }
                let mut value = 0_i128;
                for (at, octet) in digits.iter().enumerate() {
                    let digit =
                        octet.checked_sub(zero).filter(|digit| *digit <= 9).ok_or_else(|| {
                            self.fault(
                                FaultCode::BadNumber,
                                at,
                                format!("octet {octet:02X} is no digit"),
                            )
                        })?;
                    value = value * 10 + i128::from(digit);
                }
                Ok(value)
            }
        }
    }

    /// The smallest and the largest number that it holds.
    pub(crate) fn range(&self) -> (i128, i128) {
        match self.kind {
            Kind::Zoned { sign, .. } => numeric::range(self.digits(), sign != SignPlace::None),
            Kind::Packed { digits, signed, .. } => numeric::range(digits, signed),
            Kind::Binary { digits, signed, native, .. } => {
                if native || self.coding.all_values {
                    numeric::binary_range(self.length, signed)
                } else {
                    numeric::range(digits, signed)
                }
            }
            Kind::Group | Kind::Characters => numeric::range(self.length, false),
        }
    }

    /// Writes a number; into a character field, its digits with zeros before them.
    pub(crate) fn set_number(&self, record: &mut [u8], value: i128) -> Result<(), Overflow> {
        let coding = self.coding;
        let limits = self.range();
        let octets = self.place(record);
        match self.kind {
            Kind::Zoned { sign, .. } => numeric::encode_zoned(value, octets, sign, coding.zones),
            Kind::Packed { digits, signed, .. } => {
                numeric::encode_packed(value, octets, digits, signed)
            }
            Kind::Binary { native, .. } => {
                numeric::encode_binary(value, octets, limits)?;
                if native && coding.little_endian {
                    octets.reverse();
                }
                Ok(())
            }
            Kind::Group | Kind::Characters => {
                numeric::encode_zoned(value, octets, SignPlace::None, coding.zones)
            }
        }
    }

    /// The text that it holds, without the spaces that fill it up; of a number, its digits.
    pub(crate) fn text(&self, record: &[u8]) -> Result<Text, Fault> {
        match (self.kind, self.octets(record)) {
            (Kind::Characters, Some(octets)) => {
                let page = self.coding.page;
                Ok(page.text(octets.without_filling(page.space())))
            }
            _ => Ok(decimal(self.number(record)?)),
        }
    }

    /// Writes octets that are text in the code page already, filled up with spaces or cut.
    pub(crate) fn set_octets(&self, record: &mut [u8], text: &[u8]) {
        let space = self.coding.page.space();
        let place = self.place(record);
        place.fill(space);
        let length = text.len().min(place.len());
        place[..length].copy_from_slice(&text[..length]);
    }

    /// Writes text as [`CodePage::put_ascii`] does.
    pub(crate) fn put_ascii(&self, record: &mut [u8], text: &[u8]) -> bool {
        self.coding.page.put_ascii(text, self.place(record))
    }

    /// Fills it with one octet.
    pub(crate) fn fill(&self, record: &mut [u8], octet: u8) {
        self.place(record).fill(octet);
    }

    /// Whether it holds one octet over and over.
    pub(crate) fn is_filled(&self, record: &[u8], octet: u8) -> bool {
        self.octets(record).is_some_and(|octets| octets.iter().all(|other| *other == octet))
    }

    /// Makes it empty: spaces, or zero.
    pub(crate) fn clear(&self, record: &mut [u8]) {
        match self.kind {
            Kind::Characters | Kind::Group => self.fill(record, self.coding.page.space()),
            // Zero fits every number.
            _ => self.set_number(record, 0).unwrap_or_default(),
        }
    }
}

/// A number in decimal digits.
pub(crate) fn decimal(number: i128) -> Text {
    let Ok(mut rest) = u64::try_from(number) else { return number.to_string().into() };
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            return digits[at..].into();
        }
    }
}

/// Cutting the filling off.
trait Trim {
    fn without_filling(&self, filling: u8) -> &Self;
}

impl Trim for [u8] {
    fn without_filling(&self, filling: u8) -> &[u8] {
        let length = self.iter().rposition(|octet| *octet != filling).map_or(0, |last| last + 1);
        &self[..length]
    }
}
