//! Writing and reading fixed binary forms: big-endian integers, names in wire form, lengths in
//! front. Reading never panics and never allocates more than the bytes at hand justify.

use super::{Origin, Position, RrSet, RrSetRef};
use einhorn_wire::{Name, RecordType};

/// Bytes that are not the form they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed {0}")]
pub struct Malformed(pub &'static str);

/// More octets might make it well-formed.
pub(super) const TOO_SHORT: Malformed = Malformed("entry: it ends too early");

/// Appends to a buffer.
pub(super) struct Put<'b>(pub(super) &'b mut Vec<u8>);

impl Put<'_> {
    pub(super) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(super) fn u16(&mut self, value: u16) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    pub(super) fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    pub(super) fn bytes(&mut self, value: &[u8]) {
        self.0.extend_from_slice(value);
    }

    /// A count or length of 32 bits; more cannot come from messages or checked files.
    pub(super) fn count(&mut self, value: usize) {
        assert!(u32::try_from(value).is_ok(), "a length beyond 32 bits");
        self.u32(value as u32);
    }

    pub(super) fn name(&mut self, name: &Name) {
        self.bytes(name.as_wire());
    }

    pub(super) fn position(&mut self, position: Position) {
        self.u16(position.origin.site);
        self.u16(position.origin.generation);
        self.u64(position.index);
    }

    pub(super) fn rrset(&mut self, set: &RrSet) {
        self.u16(set.rtype.0);
        self.u32(set.ttl);
        self.count(set.packed().len());
        self.bytes(set.packed());
    }

    pub(super) fn rrsets(&mut self, sets: &[RrSet]) {
        self.count(sets.len());
        sets.iter().for_each(|set| self.rrset(set));
    }
}

/// Takes from a buffer.
pub(super) struct Take<'a> {
    pub(super) rest: &'a [u8],
}

impl<'a> Take<'a> {
    pub(super) fn bytes(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(TOO_SHORT)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.bytes(N)?.try_into().map_err(|_| TOO_SHORT)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_be_bytes)
    }

    /// A count of things of at least `each` octets, so that a made-up count cannot make us
    /// allocate.
    pub(super) fn count(&mut self, each: usize) -> Result<usize, Malformed> {
        let count = self.u32()? as usize;
        if count.saturating_mul(each) > self.rest.len() {
            return Err(Malformed("entry: a count exceeds its data"));
        }
        Ok(count)
    }

    pub(super) fn name(&mut self) -> Result<Name, Malformed> {
        let mut length = 0;
        while let Some(label) = self.rest.get(length).filter(|label| **label != 0) {
            length += 1 + *label as usize;
        }
        Name::from_wire(self.bytes(length + 1)?).map_err(|_| Malformed("domain name in an entry"))
    }

    pub(super) fn position(&mut self) -> Result<Position, Malformed> {
        let origin = Origin { site: self.u16()?, generation: self.u16()? };
        Ok(Position { origin, index: self.u64()? })
    }

    pub(super) fn rrset(&mut self) -> Result<RrSet, Malformed> {
        let (rtype, ttl, length) = (RecordType(self.u16()?), self.u32()?, self.count(1)?);
        let set = RrSetRef::from_packed(rtype, ttl, self.bytes(length)?);
        set.map(RrSetRef::to_owned).ok_or(Malformed("RRset in an entry"))
    }

    pub(super) fn rrsets(&mut self) -> Result<Vec<RrSet>, Malformed> {
        (0..self.count(10)?).map(|_| self.rrset()).collect()
    }

    pub(super) fn end(&self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed("entry: octets after its end")) }
    }
}
