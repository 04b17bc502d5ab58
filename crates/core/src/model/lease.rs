//! Leases: records that go away by themselves unless they are renewed (RFC 9664).
//!
//! A lease is one record's. The update that adds a record says for how long it asks; an update that adds
//! the record again without asking makes it permanent.

use super::codec::{Malformed, Put, Take};
use super::{RrSet, RrSetRef};
use einhorn_wire::edns::UpdateLease;
use einhorn_wire::{RecordType, rdata};

/// Until when a record stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Type of the record.
    pub rtype: RecordType,
    /// Its data, in uncompressed wire form.
    pub rdata: Box<[u8]>,
    /// When it goes, in milliseconds since 1970, by the clock of its name's home.
    pub until_ms: u64,
}

impl Lease {
    /// The lease of a record that is added at `now_ms` (RFC 9664 §4.1: keys have their own time).
    pub fn granted(lease: UpdateLease, rtype: RecordType, rdata: &[u8], now_ms: u64) -> Lease {
        let seconds = match rtype {
            RecordType::KEY => lease.key_seconds.unwrap_or(lease.record_seconds),
            _ => lease.record_seconds,
        };
        Lease { rtype, rdata: rdata.into(), until_ms: now_ms + u64::from(seconds) * 1000 }
    }

    /// Whether it is the lease of this record.
    pub fn is_of(&self, rtype: RecordType, rdata: &[u8]) -> bool {
        self.rtype == rtype && rdata::same(rtype, &self.rdata, rdata)
    }

    /// Whether its record is among these.
    pub fn is_in<'r>(&self, mut sets: impl Iterator<Item = RrSetRef<'r>>) -> bool {
        let set = sets.find(|set| set.rtype == self.rtype);
        set.is_some_and(|set| set.rdatas().any(|rdata| self.is_of(set.rtype, rdata)))
    }

    pub(super) fn put(&self, put: &mut Put<'_>) {
        put.u16(self.rtype.0);
        put.octets(&self.rdata);
        put.u64(self.until_ms);
    }

    pub(super) fn take(take: &mut Take<'_>) -> Result<Lease, Malformed> {
        let (rtype, rdata) = (RecordType(take.u16()?), take.octets()?.into());
        Ok(Lease { rtype, rdata, until_ms: take.u64()? })
    }
}

/// What is left of RRsets when the records whose leases have ended are gone.
pub fn without_expired(sets: &[RrSet], leases: &[Lease], now_ms: u64) -> Vec<RrSet> {
    let has_ended = |rtype, rdata: &[u8]| {
        leases.iter().any(|lease| lease.until_ms <= now_ms && lease.is_of(rtype, rdata))
    };
    let rest = |set: &RrSet| {
        let rdatas = set.rdatas().filter(|rdata| !has_ended(set.rtype, rdata));
        RrSet::new(set.rtype, set.ttl, rdatas)
    };
    sets.iter().filter_map(rest).collect()
}
