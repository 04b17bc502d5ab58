//! The forms that values of hosts have in fields of records.

use super::cell::{Cell, Fault};
use super::dates::{Calendar, DateForm};
use super::schema::Kind;
use crate::codes::{FaultCode, LossCode};
use crate::ebcdic::CodePage;
use crate::record::{Address, Moment};
use crate::text::Text;
use std::net::Ipv4Addr;

/// How a field holds a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Form {
    /// Characters, filled up with spaces.
    Text,
    /// A whole number.
    Number,
    /// `192.0.2.1` in characters.
    Ipv4Text,
    /// Twelve digits, three for each octet.
    Ipv4Digits,
    /// Four octets, as they are, in a field of four characters.
    Ipv4Octets,
    /// A number up to 4 294 967 295.
    Ipv4Number,
    /// The ARPANET's host numbers of 8 bits.
    ArpanetNumber,
    /// A date or time.
    #[serde(untagged)]
    Date(DateForm),
}

/// A value that means that there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sentinel {
    /// The same octet all over: spaces, `00` or `FF`.
    Filled(u8),
    /// This number.
    Number(i128),
    /// This text, in the code page.
    Octets(Vec<u8>),
}

impl Sentinel {
    /// Reads one from a layout; the error says what is wrong.
    pub(crate) fn parse(text: &str, cell: &Cell, form: Form) -> Result<Sentinel, String> {
        let page: CodePage = cell.coding.page;
        match text {
            "low-values" => return Ok(Sentinel::Filled(0)),
            "high-values" => return Ok(Sentinel::Filled(0xff)),
            "" | "blank" if cell.is_readable() => return Ok(Sentinel::Filled(page.space())),
            _ => {}
        }
        if cell.kind == Kind::Characters && matches!(form, Form::Text | Form::Ipv4Text) {
            let octets = page.encode(text).map_err(|error| error.to_string())?;
            if octets.len() > cell.length {
                return Err(format!("{text:?} is longer than {}", cell.name));
            }
            return Ok(Sentinel::Octets(octets));
        }
        let number = text.parse().map_err(|_| format!("{text:?} cannot be in {}", cell.name))?;
        let (min, max) = cell.range();
        if (min..=max).contains(&number) && form != Form::Ipv4Octets {
            Ok(Sentinel::Number(number))
        } else {
            Err(format!("{text} does not fit into {}", cell.name))
        }
    }

    /// Whether it is the octet that a field is full of.
    fn fills(&self, filling: Option<u8>) -> bool {
        matches!(self, Sentinel::Filled(octet) if filling == Some(*octet))
    }

    /// Whether it is the text or the number that a field holds, if that is a number.
    fn is_said(&self, cell: &Cell, octets: &[u8], number: Option<i128>) -> bool {
        match self {
            Sentinel::Filled(_) => false,
            Sentinel::Number(sentinel) => number == Some(*sentinel),
            Sentinel::Octets(sentinel) => {
                let space = cell.coding.page.space();
                octets.starts_with(sentinel)
                    && octets[sentinel.len()..].iter().all(|octet| *octet == space)
            }
        }
    }

    /// Puts it into the cell.
    pub(crate) fn write(&self, cell: &Cell, record: &mut [u8]) {
        match self {
            Sentinel::Filled(octet) => cell.fill(record, *octet),
            // That it fits was checked when it was read.
            Sentinel::Number(number) => cell.set_number(record, *number).unwrap_or_default(),
            Sentinel::Octets(octets) => cell.set_octets(record, octets),
        }
    }
}

/// A value of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Text(Text),
    Address(Address),
    Number(u32),
    Moment(Moment),
}

/// A value that a host has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said<'h> {
    Text(&'h Text),
    Address(&'h Address),
    Number(u32),
    Moment(Moment),
}

/// A form, and which values in it are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Coded {
    pub(crate) form: Form,
    /// Not set; the first of them is written.
    pub(crate) unset: Vec<Sentinel>,
    /// Never; the first of them is written.
    pub(crate) never: Vec<Sentinel>,
}

impl Coded {
    /// What a cell holds; `None` if it says nothing.
    pub(crate) fn read(
        &self,
        cell: &Cell,
        record: &[u8],
        calendar: &Calendar,
    ) -> Result<Option<Value>, Fault> {
        let Some(octets) = cell.octets(record) else { return Ok(None) };
        let plain = matches!(self.form, Form::Text | Form::Ipv4Text | Form::Ipv4Octets);
        let filling = filling(octets);
        // A field that is full of blanks is no number, which need not be found out.
        if filling.is_some() && self.unset.iter().any(|sentinel| sentinel.fills(filling)) {
            return Ok(None);
        }
        let number = if plain { Ok(0) } else { cell.number(record) };
        let known = if plain { None } else { number.as_ref().ok().copied() };
        if self.unset.iter().any(|sentinel| sentinel.is_said(cell, octets, known)) {
            return Ok(None);
        }
        let is_never = |said: &Sentinel| said.fills(filling) || said.is_said(cell, octets, known);
        if self.never.iter().any(is_never) {
            return Ok(Some(Value::Moment(Moment::Never)));
        }
        let number = number?;
        let bad = |code, reason: &str| cell.fault(code, 0, reason);
        Ok(Some(match self.form {
            Form::Text => Value::Text(cell.text(record)?),
            Form::Number => match u32::try_from(number) {
                Ok(number) => Value::Number(number),
                Err(_) => return Err(bad(FaultCode::BadNumber, "not within 0 to 4294967295")),
            },
            Form::Ipv4Text => match cell.text(record)?.lossy().parse() {
                Ok(address) => Value::Address(Address::V4(address)),
                Err(_) => return Err(bad(FaultCode::BadAddress, "no address like 192.0.2.1")),
            },
            Form::Ipv4Octets => match <[u8; 4]>::try_from(octets) {
                Ok(octets) => Value::Address(Address::V4(octets.into())),
                Err(_) => return Err(bad(FaultCode::BadAddress, "not four octets")),
            },
            Form::Ipv4Digits => Value::Address(from_digits(number).map_err(|part| {
                cell.fault(FaultCode::OctetRange, 0, format!("{part} is above 255"))
            })?),
            Form::Ipv4Number => match u32::try_from(number) {
                Ok(number) => Value::Address(Address::V4(number.into())),
                Err(_) => return Err(bad(FaultCode::BadAddress, "not within 0 to 4294967295")),
            },
            Form::ArpanetNumber => match u8::try_from(number) {
                Ok(number) => Value::Address(Address::of_arpanet_number(number)),
                Err(_) => return Err(bad(FaultCode::BadAddress, "not within 0 to 255")),
            },
            Form::Date(form) => {
                let moment = calendar.moment(form, number);
                let moment = moment.map_err(|reason| bad(FaultCode::BadDate, reason))?;
                Value::Moment(Moment::At(moment))
            }
        }))
    }

    /// Writes a value, or that there is none.
    ///
    /// # Errors
    /// Why it is not there, or not all of it.
    pub(crate) fn write(
        &self,
        cell: &Cell,
        record: &mut [u8],
        value: Option<Said<'_>>,
        calendar: &Calendar,
    ) -> Result<(), LossCode> {
        let number = match (self.form, value) {
            (_, None) => {
                match self.unset.first() {
                    Some(sentinel) => sentinel.write(cell, record),
                    None => cell.clear(record),
                }
                return Ok(());
            }
            (_, Some(Said::Moment(Moment::Never))) => {
                let sentinel = self.never.first().ok_or(LossCode::ValueNotHeld)?;
                sentinel.write(cell, record);
                return Ok(());
            }
            (Form::Text, Some(Said::Text(text))) => return write_text(cell, record, text),
            (Form::Ipv4Text, Some(Said::Address(Address::V4(address)))) => {
                return write_text(cell, record, &address.to_string().into())
                    .map_err(|_| LossCode::AddressNotHeld);
            }
            (Form::Ipv4Octets, Some(Said::Address(Address::V4(address)))) => {
                cell.set_octets(record, &address.octets());
                return Ok(());
            }
            (Form::Ipv4Digits, Some(Said::Address(Address::V4(address)))) => to_digits(*address),
            (Form::Ipv4Number, Some(Said::Address(Address::V4(address)))) => {
                u32::from(*address).into()
            }
            (Form::ArpanetNumber, Some(Said::Address(address))) => {
                address.arpanet_number().ok_or(LossCode::AddressNotHeld)?.into()
            }
            (Form::Number, Some(Said::Number(number))) => i128::from(number),
            (Form::Date(form), Some(Said::Moment(Moment::At(seconds)))) => {
                calendar.number(form, seconds).ok_or(LossCode::ValueNotHeld)?
            }
            (_, Some(Said::Address(_))) => return Err(LossCode::AddressNotHeld),
            _ => return Err(LossCode::ValueNotHeld),
        };
        cell.set_number(record, number).map_err(|_| match value {
            Some(Said::Address(_)) => LossCode::AddressNotHeld,
            _ => LossCode::ValueNotHeld,
        })
    }
}

/// The octet that a field is full of, if there is one.
fn filling(octets: &[u8]) -> Option<u8> {
    let (first, last) = (octets.first()?, octets.last()?);
    // Hardly any field begins as it ends.
    (first == last && octets.iter().all(|octet| octet == first)).then_some(*first)
}

/// Writes text into a field of characters, or the digits of a number into a number.
fn write_text(cell: &Cell, record: &mut [u8], text: &Text) -> Result<(), LossCode> {
    if cell.kind == Kind::Characters && cell.put_ascii(record, text.octets()) {
        return Ok(());
    }
    let text = std::str::from_utf8(text.octets()).map_err(|_| LossCode::ValueNotHeld)?;
    if cell.kind != Kind::Characters {
        let number = text.parse().map_err(|_| LossCode::ValueNotHeld)?;
        return cell.set_number(record, number).map_err(|_| LossCode::ValueNotHeld);
    }
    let octets = cell.coding.page.encode(text).map_err(|_| LossCode::ValueNotHeld)?;
    cell.set_octets(record, &octets);
    if octets.len() > cell.length { Err(LossCode::Truncated) } else { Ok(()) }
}

/// The address of twelve digits, or the part of it that is too large.
fn from_digits(number: i128) -> Result<Address, u64> {
    // Division of 128 bits is slow, and no field holds more than 64.
    let number = u64::try_from(number).unwrap_or(u64::MAX);
    let part = |divisor: u64| {
        let part = number / divisor;
        let part = if divisor == 1_000_000_000 { part } else { part % 1000 };
        u8::try_from(part).map_err(|_| part)
    };
    let parts = [part(1_000_000_000)?, part(1_000_000)?, part(1000)?, part(1)?];
    Ok(Address::V4(Ipv4Addr::from(parts)))
}

fn to_digits(address: Ipv4Addr) -> i128 {
    address.octets().iter().fold(0, |number, octet| number * 1000 + i128::from(*octet))
}
