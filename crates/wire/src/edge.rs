//! What a daemon beside devices says with an update that it sends on: whose it is and which of its
//! updates it is. An EDNS option of the local range (RFC 6891 §9), covered by the edge's signature; it
//! means something only where the key that signed is an edge's.

use crate::edns::{UDP_PAYLOAD_USUAL, UpdateLease, next_option};
use crate::message::{Message, ParseError, RawRecord};
use crate::name::Name;
use crate::record::RecordType;

/// The option's code.
pub const OPTION_EDGE: u16 = 65_217;
/// The form of its data that is written here: u8 form, u64 sequence, u64 lowest, u32 age in seconds,
/// name of the device's key.
const FORM: u8 = 1;

/// The option's data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeOption {
    /// The edge's number for this update, the same for every copy of it.
    pub sequence: u64,
    /// Updates with a lower number were settled when this one was numbered.
    pub lowest: u64,
    /// How long ago the edge took the update, in seconds.
    pub age_seconds: u32,
    /// Name of the key of the device that asked, or the edge's own.
    pub device: Name,
}

impl EdgeOption {
    /// The option of `message`; `None` if it has none.
    ///
    /// # Errors
    /// [`ParseError::BadOption`] for one of another form, or a second one.
    pub fn of(message: &Message<'_>) -> Result<Option<EdgeOption>, ParseError> {
        let Some(opt) = &message.opt else { return Ok(None) };
        let mut found = None;
        for data in options(message.octets, opt, OPTION_EDGE)? {
            let option = EdgeOption::parse(data).ok_or(ParseError::BadOption)?;
            if found.replace(option).is_some() {
                return Err(ParseError::BadOption);
            }
        }
        Ok(found)
    }

    fn parse(data: &[u8]) -> Option<EdgeOption> {
        let (&[FORM], rest) = data.split_first_chunk()? else { return None };
        let (sequence, rest) = rest.split_first_chunk()?;
        let (lowest, rest) = rest.split_first_chunk()?;
        let (age_seconds, rest) = rest.split_first_chunk()?;
        Some(EdgeOption {
            sequence: u64::from_be_bytes(*sequence),
            lowest: u64::from_be_bytes(*lowest),
            age_seconds: u32::from_be_bytes(*age_seconds),
            device: Name::from_wire(rest).ok()?,
        })
    }

    /// Appends the option, code and length included.
    pub fn write(&self, out: &mut Vec<u8>) {
        let device = self.device.as_wire();
        out.extend_from_slice(&OPTION_EDGE.to_be_bytes());
        out.extend_from_slice(&((1 + 8 + 8 + 4 + device.len()) as u16).to_be_bytes());
        out.push(FORM);
        out.extend_from_slice(&self.sequence.to_be_bytes());
        out.extend_from_slice(&self.lowest.to_be_bytes());
        out.extend_from_slice(&self.age_seconds.to_be_bytes());
        out.extend_from_slice(device);
    }
}

/// What of an update is sent on: the message without id and without its additional section.
pub fn without_additional(message: &Message<'_>) -> Vec<u8> {
    let mut octets = message.octets[..message.additional_start()].to_vec();
    octets[..2].fill(0);
    octets[10..].iter_mut().take(2).for_each(|octet| *octet = 0);
    octets
}

/// Appends a message that sends such an update on, ready to be signed.
pub fn write_forwarded(
    update: &[u8],
    id: u16,
    lease: Option<UpdateLease>,
    option: &EdgeOption,
    buffer: &mut Vec<u8>,
) {
    let base = buffer.len();
    buffer.extend_from_slice(update);
    buffer[base..base + 2].copy_from_slice(&id.to_be_bytes());
    buffer[base + 10..base + 12].copy_from_slice(&1u16.to_be_bytes());
    buffer.push(0);
    buffer.extend_from_slice(&RecordType::OPT.0.to_be_bytes());
    buffer.extend_from_slice(&UDP_PAYLOAD_USUAL.to_be_bytes());
    buffer.extend_from_slice(&[0; 6]); // version 0 and no flags; the length comes last
    let data = buffer.len();
    if let Some(lease) = lease {
        lease.write(buffer);
    }
    option.write(buffer);
    let length = (buffer.len() - data) as u16;
    buffer[data - 2..data].copy_from_slice(&length.to_be_bytes());
}

/// The data of all options with this code.
fn options<'m>(
    octets: &'m [u8],
    opt: &RawRecord,
    wanted: u16,
) -> Result<Vec<&'m [u8]>, ParseError> {
    let mut rest = &octets[opt.rdata_start..opt.end];
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (code, data, tail) = next_option(rest)?;
        rest = tail;
        if code == wanted {
            found.push(data);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Class, RecordType};
    use crate::writer::{Section, Writer};
    use proptest::prelude::*;

    fn message(data: &[u8]) -> Vec<u8> {
        let mut octets = Vec::new();
        let mut writer = Writer::new(&mut octets, 1, 1_232);
        let root = Name::root();
        let rtype = RecordType::OPT;
        writer
            .record(Section::Additional, root.as_wire(), rtype, Class(1_232), 0, data)
            .expect("room");
        octets
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(sequence: u64, lowest: u64, age_seconds: u32) {
            let device = "anna.fleet.example.".parse().expect("a name");
            let option = EdgeOption { sequence, lowest, age_seconds, device };
            let mut data = vec![0, 3, 0, 0];
            option.write(&mut data);
            let octets = message(&data);
            let read = EdgeOption::of(&Message::parse(&octets).expect("a message"));
            prop_assert_eq!(read, Ok(Some(option.clone())));
            option.write(&mut data);
            let octets = message(&data);
            let read = EdgeOption::of(&Message::parse(&octets).expect("a message"));
            prop_assert_eq!(read, Err(ParseError::BadOption));
        }
    }

    #[test]
    fn others_are_passed_over_and_other_forms_refused() {
        let read = |data: &[u8]| {
            let octets = message(data);
            EdgeOption::of(&Message::parse(&octets).expect("a message"))
        };
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[0, 10, 0, 1, 7]), Ok(None));
        let [a, b] = OPTION_EDGE.to_be_bytes();
        assert_eq!(read(&[a, b, 0, 1, 2]), Err(ParseError::BadOption));
        assert_eq!(read(&[a, b, 0, 9, 2]), Err(ParseError::BadOption));
    }
}
