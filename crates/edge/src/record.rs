//! What the queue's file holds, one record after the other, and what comes of reading them. Pure.
//!
//! A record is u32 length, u32 CRC-32 of the rest, u8 kind, and its fields, big-endian:
//!
//! - 1, taken: u64 sequence, u64 lowest, u64 milliseconds since 1970, u8 flags, u32 and u32 lease, 32
//!   octets hash, u64 until second, u8 length and name of the device's key, message;
//! - 2, promised: u64 sequence: the device was told that it is done;
//! - 3, settled: u64 sequence, u16 response code;
//! - 4, withdrawn: u64 sequence: it was never sent, and nobody was told that it is done;
//! - 5, known: 32 octets hash, u64 until second, u16 response code: what was settled, for its copies;
//! - 6, last: u64 sequence: no higher one was given before.

use einhorn_wire::Name;
use einhorn_wire::edns::UpdateLease;
use std::collections::BTreeMap;

/// Octets before a record's kind.
const HEAD_OCTETS: usize = 8;
/// Octets of a record at most: a message and what is said of it.
const RECORD_OCTETS_MAX: usize = 66_000;

/// An update that was taken, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Its number at this edge.
    pub sequence: u64,
    /// Every lower number was settled when it was taken.
    pub lowest: u64,
    /// When it was taken, in milliseconds since 1970.
    pub taken_ms: u64,
    /// How long what it adds is to stay.
    pub lease: Option<UpdateLease>,
    /// The same for every copy of one message.
    pub hash: [u8; 32],
    /// Until when a copy may come, in seconds since 1970.
    pub until_seconds: u64,
    /// Name of the key of who asked.
    pub device: Name,
    /// The message without id and additional section.
    pub message: Box<[u8]>,
}

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)] // the module says what they are
pub enum Record {
    Taken(Box<Taken>),
    Promised { sequence: u64 },
    Settled { sequence: u64, rcode: u16 },
    Withdrawn { sequence: u64 },
    Known { hash: [u8; 32], until_seconds: u64, rcode: u16 },
    Last { sequence: u64 },
}

const HAS_LEASE: u8 = 1;
const HAS_KEY_LEASE: u8 = 2;

impl Record {
    /// Appends the record.
    pub fn write(&self, out: &mut Vec<u8>) {
        let base = out.len();
        out.extend_from_slice(&[0; HEAD_OCTETS]);
        match self {
            Record::Taken(taken) => taken.write(out),
            Record::Promised { sequence } => put(out, 2, &[*sequence]),
            Record::Settled { sequence, rcode } => {
                put(out, 3, &[*sequence]);
                out.extend_from_slice(&rcode.to_be_bytes());
            }
            Record::Withdrawn { sequence } => put(out, 4, &[*sequence]),
            Record::Known { hash, until_seconds, rcode } => {
                out.push(5);
                out.extend_from_slice(hash);
                out.extend_from_slice(&until_seconds.to_be_bytes());
                out.extend_from_slice(&rcode.to_be_bytes());
            }
            Record::Last { sequence } => put(out, 6, &[*sequence]),
        }
        let length = (out.len() - base - HEAD_OCTETS) as u32;
        let crc = crc32fast::hash(&out[base + HEAD_OCTETS..]);
        out[base..base + 4].copy_from_slice(&length.to_be_bytes());
        out[base + 4..base + HEAD_OCTETS].copy_from_slice(&crc.to_be_bytes());
    }

    /// The first record of `octets` and what follows it; `None` where there is no whole one.
    pub fn read(octets: &[u8]) -> Option<(Record, &[u8])> {
        let (length, rest) = octets.split_first_chunk()?;
        let (crc, rest) = rest.split_first_chunk()?;
        let length = u32::from_be_bytes(*length) as usize;
        let (body, rest) = rest.split_at_checked(length).filter(|_| length <= RECORD_OCTETS_MAX)?;
        if crc32fast::hash(body) != u32::from_be_bytes(*crc) {
            return None;
        }
        Some((Record::parse(&mut Reader(body))?, rest))
    }

    fn parse(reader: &mut Reader<'_>) -> Option<Record> {
        let record = match reader.u8()? {
            1 => Record::Taken(Box::new(Taken::parse(reader)?)),
            2 => Record::Promised { sequence: reader.u64()? },
            3 => Record::Settled { sequence: reader.u64()?, rcode: reader.u16()? },
            4 => Record::Withdrawn { sequence: reader.u64()? },
            5 => Record::Known {
                hash: reader.array()?,
                until_seconds: reader.u64()?,
                rcode: reader.u16()?,
            },
            6 => Record::Last { sequence: reader.u64()? },
            _ => return None,
        };
        reader.0.is_empty().then_some(record)
    }
}

fn put(out: &mut Vec<u8>, kind: u8, words: &[u64]) {
    out.push(kind);
    words.iter().for_each(|word| out.extend_from_slice(&word.to_be_bytes()));
}

impl Taken {
    fn write(&self, out: &mut Vec<u8>) {
        put(out, 1, &[self.sequence, self.lowest, self.taken_ms]);
        let key_seconds = self.lease.and_then(|lease| lease.key_seconds);
        let flag = |is: bool, flag: u8| if is { flag } else { 0 };
        out.push(
            flag(self.lease.is_some(), HAS_LEASE) | flag(key_seconds.is_some(), HAS_KEY_LEASE),
        );
        let record_seconds = self.lease.map_or(0, |lease| lease.record_seconds);
        out.extend_from_slice(&record_seconds.to_be_bytes());
        out.extend_from_slice(&key_seconds.unwrap_or(0).to_be_bytes());
        out.extend_from_slice(&self.hash);
        out.extend_from_slice(&self.until_seconds.to_be_bytes());
        // A name has at most 255 octets (RFC 1035 §2.3.4).
        out.push(self.device.as_wire().len() as u8);
        out.extend_from_slice(self.device.as_wire());
        out.extend_from_slice(&self.message);
    }

    fn parse(reader: &mut Reader<'_>) -> Option<Taken> {
        let (sequence, lowest, taken_ms) = (reader.u64()?, reader.u64()?, reader.u64()?);
        let (flags, record_seconds, key_seconds) = (reader.u8()?, reader.u32()?, reader.u32()?);
        let key_seconds = (flags & HAS_KEY_LEASE != 0).then_some(key_seconds);
        let lease = UpdateLease { record_seconds, key_seconds };
        let (hash, until_seconds) = (reader.array()?, reader.u64()?);
        let length = reader.u8()?.into();
        let device = Name::from_wire(reader.take(length)?).ok()?;
        let message = std::mem::take(&mut reader.0).into();
        let lease = (flags & HAS_LEASE != 0).then_some(lease);
        Some(Taken { sequence, lowest, taken_ms, lease, hash, until_seconds, device, message })
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, octets: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(octets)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u8(&mut self) -> Option<u8> {
        Some(self.array::<1>()?[0])
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }
}

/// What the records of a file come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// Updates that are not settled, by number, each with whether its device was told that it is done.
    pub taken: BTreeMap<u64, (Taken, bool)>,
    /// What became of messages whose copies may still come: until second and response code.
    pub known: BTreeMap<[u8; 32], (u64, u16)>,
    /// The highest number given.
    pub last: u64,
}

impl Kept {
    /// Reads records until there is no whole one; gives the octets that they have.
    pub fn read(octets: &[u8]) -> (Kept, usize) {
        let (mut kept, mut rest) = (Kept::default(), octets);
        while let Some((record, behind)) = Record::read(rest) {
            kept.fold(record);
            rest = behind;
        }
        (kept, octets.len() - rest.len())
    }

    fn fold(&mut self, record: Record) {
        match record {
            Record::Taken(taken) => {
                self.last = self.last.max(taken.sequence);
                self.taken.insert(taken.sequence, (*taken, false));
            }
            Record::Promised { sequence } => {
                if let Some((_, is_promised)) = self.taken.get_mut(&sequence) {
                    *is_promised = true;
                }
            }
            Record::Settled { sequence, rcode } => {
                if let Some((taken, _)) = self.taken.remove(&sequence) {
                    self.known.insert(taken.hash, (taken.until_seconds, rcode));
                }
            }
            Record::Withdrawn { sequence } => {
                self.taken.remove(&sequence);
            }
            Record::Known { hash, until_seconds, rcode } => {
                self.known.insert(hash, (until_seconds, rcode));
            }
            Record::Last { sequence } => self.last = self.last.max(sequence),
        }
    }

    /// Forgets what copies can no longer come of.
    pub fn forget_before(&mut self, now_seconds: u64) {
        self.known.retain(|_, (until_seconds, _)| *until_seconds >= now_seconds);
    }

    /// The shortest file that comes to the same.
    pub fn write(&self, out: &mut Vec<u8>) {
        Record::Last { sequence: self.last }.write(out);
        for (hash, (until_seconds, rcode)) in &self.known {
            let (hash, until_seconds, rcode) = (*hash, *until_seconds, *rcode);
            Record::Known { hash, until_seconds, rcode }.write(out);
        }
        for (sequence, (taken, is_promised)) in &self.taken {
            Record::Taken(Box::new(taken.clone())).write(out);
            if *is_promised {
                Record::Promised { sequence: *sequence }.write(out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record() -> impl Strategy<Value = Record> {
        let sequence = 1u64..20;
        let taken = (sequence.clone(), any::<[u64; 3]>(), any::<[u8; 32]>(), any::<Option<u32>>());
        let taken = taken.prop_map(|(sequence, [lowest, taken_ms, until_seconds], hash, key)| {
            let lease = key.map(|seconds| UpdateLease {
                record_seconds: seconds / 2,
                key_seconds: (seconds % 2 == 0).then_some(seconds),
            });
            let device = "anna.fleet.example.".parse().expect("a name");
            let message = hash.into();
            let taken =
                Taken { sequence, lowest, taken_ms, lease, hash, until_seconds, device, message };
            Record::Taken(Box::new(taken))
        });
        prop_oneof![
            taken,
            sequence.clone().prop_map(|sequence| Record::Promised { sequence }),
            (sequence.clone(), 0u16..11)
                .prop_map(|(sequence, rcode)| Record::Settled { sequence, rcode }),
            sequence.clone().prop_map(|sequence| Record::Withdrawn { sequence }),
            sequence.prop_map(|sequence| Record::Last { sequence }),
            (any::<[u8; 32]>(), any::<u64>(), any::<u16>()).prop_map(
                |(hash, until_seconds, rcode)| Record::Known { hash, until_seconds, rcode }
            ),
        ]
    }

    fn written(records: &[Record]) -> Vec<u8> {
        let mut octets = Vec::new();
        records.iter().for_each(|record| record.write(&mut octets));
        octets
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(record in record()) {
            let octets = written(std::slice::from_ref(&record));
            prop_assert_eq!(Record::read(&octets), Some((record, &[][..])));
        }

        #[test]
        fn a_torn_tail_loses_no_record_before_it(
            records in proptest::collection::vec(record(), 1..20),
            cut: usize,
        ) {
            let octets = written(&records);
            let whole = written(&records[..records.len() - 1]).len();
            let cut = whole + cut % (octets.len() - whole);
            let (kept, used) = Kept::read(&octets[..cut]);
            prop_assert_eq!(used, whole);
            prop_assert_eq!(kept, Kept::read(&octets[..whole]).0);
        }

        #[test]
        fn a_shorter_file_comes_to_the_same(
            records in proptest::collection::vec(record(), 0..40),
        ) {
            let (kept, _) = Kept::read(&written(&records));
            let mut octets = Vec::new();
            kept.write(&mut octets);
            prop_assert_eq!(Kept::read(&octets), (kept, octets.len()));
        }

        #[test]
        fn a_changed_octet_is_noticed(record in record(), at: usize, by in 1u8..) {
            let mut octets = written(std::slice::from_ref(&record));
            let at = at % octets.len();
            octets[at] ^= by;
            prop_assert_eq!(Record::read(&octets), None);
        }
    }
}
