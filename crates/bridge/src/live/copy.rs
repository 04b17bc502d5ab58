//! A copy of another server's zone: from its transfers to the zone file that stands for it.
//!
//! The same content always becomes the same octets, however it came: as a whole, or change by change.

use einhorn_core::rules::incoming::Difference;
use einhorn_wire::rdata::{canonical, soa_numbers};
use einhorn_wire::{Name, Record, RecordType, zonefile};
use std::collections::BTreeMap;

/// What a server makes for its own copy of a zone, and is of no use in another one.
const LEFT_OUT: [RecordType; 3] = [RecordType::RRSIG, RecordType::NSEC, RecordType::NSEC3];

/// A zone as its server says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    zone: Name,
    soa: Record,
    /// All others, in canonical order.
    records: BTreeMap<Key, Record>,
}

/// Owner as a canonical key, type, and data in canonical form.
type Key = (Box<[u8]>, RecordType, Box<[u8]>);

/// Differences that do not fit the copy: the whole zone must be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutOfStep {
    /// They begin elsewhere.
    #[error("differences from serial {found}, where the copy has {expected}")]
    Serial {
        /// The copy's.
        expected: u32,
        /// Theirs.
        found: u32,
    },
    /// They take away what is not there.
    #[error("`{0}` is to go, and is not there")]
    Missing(String),
    /// They add what is there.
    #[error("`{0}` is to come, and is there")]
    Present(String),
    /// There is no SOA.
    #[error("a zone without an SOA")]
    NoSoa,
}

impl Copy {
    /// A whole zone, its SOA first.
    ///
    /// # Errors
    /// [`OutOfStep::NoSoa`].
    pub fn whole(zone: Name, records: Vec<Record>) -> Result<Copy, OutOfStep> {
        let mut records = records.into_iter();
        let soa = records.next().filter(|soa| serial_of(soa).is_some()).ok_or(OutOfStep::NoSoa)?;
        let wanted = records.filter(is_wanted).map(|record| (key(&record), record));
        Ok(Copy { zone, soa, records: wanted.collect() })
    }

    /// The copy after these changes.
    ///
    /// # Errors
    /// [`OutOfStep`].
    pub fn after(mut self, differences: Vec<Difference>) -> Result<Copy, OutOfStep> {
        for Difference { from, soa, deleted, added } in differences {
            if from != self.serial() {
                return Err(OutOfStep::Serial { expected: self.serial(), found: from });
            }
            for record in deleted.into_iter().filter(is_wanted) {
                if self.records.remove(&key(&record)).is_none() {
                    return Err(OutOfStep::Missing(record.to_string()));
                }
            }
            for record in added.into_iter().filter(is_wanted) {
                let text = record.to_string();
                if self.records.insert(key(&record), record).is_some() {
                    return Err(OutOfStep::Present(text));
                }
            }
            serial_of(&soa).ok_or(OutOfStep::NoSoa)?;
            self.soa = soa;
        }
        Ok(self)
    }

    /// Its serial.
    pub fn serial(&self) -> u32 {
        serial_of(&self.soa).unwrap_or_default()
    }

    /// The data of its SOA.
    pub fn soa(&self) -> &[u8] {
        &self.soa.rdata
    }

    /// It as a zone file.
    pub fn zone_file(&self) -> Vec<u8> {
        let mut octets = Vec::new();
        let records = std::iter::once(&self.soa).chain(self.records.values());
        // Writing to memory cannot fail.
        _ = zonefile::write(&mut octets, &self.zone, records);
        octets
    }
}

/// The serial in an SOA; none if it is none.
fn serial_of(soa: &Record) -> Option<u32> {
    let numbers = soa_numbers(&soa.rdata).filter(|_| soa.rtype == RecordType::SOA)?;
    Some(numbers.serial)
}

fn is_wanted(record: &Record) -> bool {
    !LEFT_OUT.contains(&record.rtype)
}

fn key(record: &Record) -> Key {
    let owner = record.owner.canonical_key().as_ref().into();
    (owner, record.rtype, canonical(record.rtype, &record.rdata).into_owned().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::Path;

    fn zone() -> Name {
        "x.example.".parse().expect("a name")
    }

    fn records(text: &str) -> Vec<Record> {
        let read = &mut |_: &Path| Ok(text.as_bytes().to_vec());
        zonefile::load(Path::new("zone"), &zone(), read).expect("a zone file")
    }

    /// A zone with these hosts: number and last octet of the address.
    fn content(serial: u32, hosts: &std::collections::BTreeSet<(u8, u8)>) -> Vec<Record> {
        let lines = hosts.iter().map(|(host, last)| format!("h{host} 60 A 10.0.0.{last}\n"));
        let lines: String = lines.collect();
        records(&format!("@ 60 SOA ns h {serial} 2 3 4 5\n@ 60 NS ns\n{lines}"))
    }

    fn difference(from: &[Record], to: &[Record]) -> Difference {
        let not_in = |all: &[Record], other: &[Record]| {
            let rest = all[1..].iter().filter(|record| !other.contains(record));
            rest.cloned().collect::<Vec<_>>()
        };
        Difference {
            from: serial_of(&from[0]).expect("an SOA"),
            soa: to[0].clone(),
            deleted: not_in(from, to),
            added: not_in(to, from),
        }
    }

    #[test]
    fn what_does_not_fit_is_no_copy() {
        let (one, two) = (content(1, &[(1, 1)].into()), content(2, &[(1, 2)].into()));
        let first = Copy::whole(zone(), one.clone()).expect("a copy");
        let second = difference(&one, &two);
        let out = |difference: Difference| first.clone().after(vec![difference]).expect_err("out");
        let other = Difference { from: 7, ..second.clone() };
        assert_eq!(out(other), OutOfStep::Serial { expected: 1, found: 7 });
        let missing = Difference { deleted: two[2..].to_vec(), ..second.clone() };
        assert!(matches!(out(missing), OutOfStep::Missing(_)));
        let present = Difference { deleted: Vec::new(), added: one[2..].to_vec(), ..second };
        assert!(matches!(out(present), OutOfStep::Present(_)));
        assert_eq!(Copy::whole(zone(), one[1..].to_vec()), Err(OutOfStep::NoSoa));
        assert_eq!(Copy::whole(zone(), Vec::new()), Err(OutOfStep::NoSoa));
    }

    #[test]
    fn signatures_of_the_other_server_are_left_out() {
        let mut all = content(1, &[(1, 1)].into());
        let plain = Copy::whole(zone(), all.clone()).expect("a copy");
        let signature = Record { rtype: RecordType::RRSIG, ..all[1].clone() };
        all.push(signature);
        assert_eq!(Copy::whole(zone(), all).expect("a copy"), plain);
    }

    proptest! {
        #[test]
        fn changes_come_to_the_same_octets_as_the_whole(
            states in proptest::collection::vec(
                proptest::collection::btree_set((0u8..6, 0u8..4), 0..8), 1..5),
            order in any::<u64>(),
        ) {
            let serials = 4_294_967_294u32..;
            let states: Vec<Vec<Record>> = states.iter().enumerate()
                .map(|(at, hosts)| content(serials.start.wrapping_add(at as u32), hosts)).collect();
            let mut copy = Copy::whole(zone(), states[0].clone()).expect("a copy");
            let differences = states.windows(2).map(|pair| difference(&pair[0], &pair[1]));
            copy = copy.after(differences.collect()).expect("they fit");
            let mut last = states.last().expect("a state").clone();
            let rest = last.len() - 1;
            if rest > 0 {
                last[1..].rotate_left(order as usize % rest);
            }
            let whole = Copy::whole(zone(), last).expect("a copy");
            prop_assert_eq!(copy.zone_file(), whole.zone_file());
            prop_assert_eq!(copy, whole);
        }
    }
}
