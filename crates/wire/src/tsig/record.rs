//! The TSIG record itself: writing it, taking it apart, and what its digest covers.

use super::TsigError;
use super::key::{ALGORITHMS, Algorithm, Key, Keyed, MacBuffer};
use crate::message::{HEADER_OCTETS, Message, RawRecord, Rcode, read_name};
use crate::name::Name;
use crate::record::{Class, RecordType};

impl Key {
    /// Octets of the TSIG record that [`Key::append`] adds, without other data.
    pub(super) fn record_octets(&self) -> usize {
        self.name.as_wire().len()
            + 10
            + self.algorithm.wire_name().len()
            + 16
            + self.algorithm.mac_octets()
    }

    /// Appends a TSIG record to the message at `buffer[base..]` and returns its full MAC.
    /// `prior` is what the digest begins with: nothing, or the length and MAC of the message
    /// before; `timers_only` is for all but the first message of a sequence (RFC 8945 §5.3.1).
    pub(super) fn append(
        &self,
        buffer: &mut Vec<u8>,
        base: usize,
        prior: &[u8],
        fields: Fields<'_>,
        timers_only: bool,
    ) -> MacBuffer {
        let mut mac = self.keyed.clone();
        if !prior.is_empty() {
            mac.update(&(prior.len() as u16).to_be_bytes());
            mac.update(prior);
        }
        mac.update(&buffer[base..]);
        fields.digest(&mut mac, self, timers_only);
        let mac = mac.finish();
        let sent = &mac.as_slice()[..self.algorithm.mac_octets()];
        fields.write(buffer, base, &self.name, self.algorithm, sent);
        mac
    }
}

/// The fields of a TSIG record besides its name, algorithm and MAC (RFC 8945 §4.2).
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    pub(super) time: u64,
    pub(super) fudge: u16,
    pub(super) original_id: u16,
    pub(super) error: Rcode,
    pub(super) other: &'a [u8],
}

impl Fields<'_> {
    fn time_octets(&self) -> [u8; 6] {
        let [_, _, time @ ..] = self.time.to_be_bytes();
        time
    }

    /// Adds the TSIG variables or timers to a digest (RFC 8945 §4.3.3, §5.3.1).
    fn digest(&self, mac: &mut Keyed, key: &Key, timers_only: bool) {
        if timers_only {
            mac.update(&self.time_octets());
            mac.update(&self.fudge.to_be_bytes());
            return;
        }
        mac.update(key.name.as_wire());
        mac.update(&[0, 255, 0, 0, 0, 0]); // class ANY, TTL 0
        mac.update(key.algorithm.wire_name());
        mac.update(&self.time_octets());
        mac.update(&self.fudge.to_be_bytes());
        mac.update(&self.error.0.to_be_bytes());
        mac.update(&(self.other.len() as u16).to_be_bytes());
        mac.update(self.other);
    }

    /// Appends the record and counts it.
    fn write(
        &self,
        buffer: &mut Vec<u8>,
        base: usize,
        name: &Name,
        algorithm: Algorithm,
        mac: &[u8],
    ) {
        let algorithm = algorithm.wire_name();
        let length = algorithm.len() + 16 + mac.len() + self.other.len();
        buffer.extend_from_slice(name.as_wire());
        buffer.extend_from_slice(&RecordType::TSIG.0.to_be_bytes());
        buffer.extend_from_slice(&Class::ANY.0.to_be_bytes());
        buffer.extend_from_slice(&[0; 4]);
        buffer.extend_from_slice(&(length as u16).to_be_bytes());
        buffer.extend_from_slice(algorithm);
        buffer.extend_from_slice(&self.time_octets());
        buffer.extend_from_slice(&self.fudge.to_be_bytes());
        buffer.extend_from_slice(&(mac.len() as u16).to_be_bytes());
        buffer.extend_from_slice(mac);
        buffer.extend_from_slice(&self.original_id.to_be_bytes());
        buffer.extend_from_slice(&self.error.0.to_be_bytes());
        buffer.extend_from_slice(&(self.other.len() as u16).to_be_bytes());
        buffer.extend_from_slice(self.other);
        let count = u16::from_be_bytes([buffer[base + 10], buffer[base + 11]]).wrapping_add(1);
        buffer[base + 10..base + 12].copy_from_slice(&count.to_be_bytes());
    }
}

impl Fields<'_> {
    pub(super) fn write_unsigned(
        &self,
        buffer: &mut Vec<u8>,
        base: usize,
        name: &Name,
        algorithm_wire: &[u8],
    ) {
        // The algorithm may be one we do not know, so it is written as it came.
        let known =
            ALGORITHMS.iter().find(|(_, _, wire)| wire.eq_ignore_ascii_case(algorithm_wire));
        match known {
            Some((algorithm, ..)) => self.write(buffer, base, name, *algorithm, &[]),
            None => {
                let start = buffer.len();
                self.write(buffer, base, name, Algorithm::HmacMd5, &[]);
                let rdata = start + name.as_wire().len() + 10;
                let md5 = Algorithm::HmacMd5.wire_name().len();
                buffer.splice(rdata..rdata + md5, algorithm_wire.iter().copied());
                let length = (buffer.len() - rdata) as u16;
                buffer[rdata - 2..rdata].copy_from_slice(&length.to_be_bytes());
            }
        }
    }
}

/// A TSIG record taken apart.
pub(super) struct Parsed<'a> {
    pub(super) key_name: Name,
    pub(super) algorithm_name: Name,
    pub(super) time: u64,
    pub(super) fudge: u16,
    pub(super) mac: &'a [u8],
    pub(super) original_id: u16,
    pub(super) error: Rcode,
    pub(super) other: &'a [u8],
}

impl<'a> Parsed<'a> {
    pub(super) fn of(message: &Message<'a>) -> Option<Result<Parsed<'a>, TsigError>> {
        let record = message.tsig.as_ref()?;
        Some(Self::parse(message, record).ok_or(TsigError::Malformed))
    }

    fn parse(message: &Message<'a>, record: &RawRecord) -> Option<Parsed<'a>> {
        if record.class != Class::ANY || record.ttl != 0 {
            return None;
        }
        let octets = &message.octets[..record.end];
        let (algorithm, at) = read_name(octets, record.rdata_start).ok()?;
        let fixed = octets.get(at..at + 10)?;
        let mac_length = u16::from_be_bytes([fixed[8], fixed[9]]) as usize;
        let mac = octets.get(at + 10..at + 10 + mac_length)?;
        let tail = octets.get(at + 10 + mac_length..)?;
        let (&[id0, id1, error0, error1, other0, other1], other) = tail.split_first_chunk::<6>()?;
        if other.len() != u16::from_be_bytes([other0, other1]) as usize {
            return None;
        }
        let [a, b, c, d, e, f, g, h, ..] = *fixed else { return None };
        Some(Parsed {
            key_name: record.owner(octets).ok()?,
            algorithm_name: algorithm.to_name(),
            time: u64::from_be_bytes([0, 0, a, b, c, d, e, f]),
            fudge: u16::from_be_bytes([g, h]),
            mac,
            original_id: u16::from_be_bytes([id0, id1]),
            error: Rcode(u16::from_be_bytes([error0, error1])),
            other,
        })
    }

    /// The MAC this message should have.
    pub(super) fn expected_mac(
        &self,
        message: &Message<'_>,
        key: &Key,
        prior: &[u8],
        between: &[u8],
        timers_only: bool,
    ) -> MacBuffer {
        let mut mac = key.keyed.clone();
        if !prior.is_empty() {
            mac.update(&(prior.len() as u16).to_be_bytes());
            mac.update(prior);
        }
        mac.update(between);
        // The message as it was before the TSIG record was added: one additional record less,
        // under the id it was signed with.
        let end = message.tsig.as_ref().map_or(message.octets.len(), |tsig| tsig.start);
        let mut header = [0; HEADER_OCTETS];
        header.copy_from_slice(&message.octets[..HEADER_OCTETS]);
        header[..2].copy_from_slice(&self.original_id.to_be_bytes());
        header[10..].copy_from_slice(&message.header.counts[3].wrapping_sub(1).to_be_bytes());
        mac.update(&header);
        mac.update(&message.octets[HEADER_OCTETS..end]);
        let fields = Fields {
            time: self.time,
            fudge: self.fudge,
            original_id: 0,
            error: self.error,
            other: self.other,
        };
        fields.digest(&mut mac, key, timers_only);
        mac.finish()
    }
}
