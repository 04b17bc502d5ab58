//! Writing and reading fixed binary forms: big-endian integers, names in wire form, lengths in
//! front. Reading never panics and never allocates more than the bytes at hand justify.

use super::{Origin, Position, RrSet, RrSetRef};
use einhorn_wire::{Name, RecordType};
use std::collections::BTreeMap;

/// Bytes that are not the form they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed {0}")]
pub struct Malformed(pub &'static str);

/// More octets might make it well-formed.
pub(crate) const TOO_SHORT: Malformed = Malformed("entry: it ends too early");

/// Appends to a buffer.
pub(crate) struct Put<'b>(pub(crate) &'b mut Vec<u8>);

impl Put<'_> {
    pub(crate) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    pub(crate) fn bytes(&mut self, value: &[u8]) {
        self.0.extend_from_slice(value);
    }

    /// A count or length of 32 bits; more cannot come from messages or checked files.
    pub(crate) fn count(&mut self, value: usize) {
        assert!(u32::try_from(value).is_ok(), "a length beyond 32 bits");
        self.u32(value as u32);
    }

    pub(crate) fn name(&mut self, name: &Name) {
        self.bytes(name.as_wire());
    }

    /// Octets behind their length.
    pub(crate) fn octets(&mut self, octets: &[u8]) {
        self.count(octets.len());
        self.bytes(octets);
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.octets(text.as_bytes());
    }

    pub(crate) fn flag(&mut self, flag: bool) {
        self.u8(u8::from(flag));
    }

    pub(crate) fn origin(&mut self, origin: Origin) {
        self.u16(origin.site);
        self.u16(origin.generation);
    }

    /// Whether there is something, and if so what.
    pub(crate) fn option<T>(&mut self, value: Option<T>, put: impl FnOnce(&mut Self, T)) {
        self.flag(value.is_some());
        if let Some(value) = value {
            put(self, value);
        }
    }

    pub(crate) fn position(&mut self, position: Position) {
        self.origin(position.origin);
        self.u64(position.index);
    }

    pub(crate) fn rrset(&mut self, set: &RrSet) {
        self.u16(set.rtype.0);
        self.u32(set.ttl);
        self.count(set.packed().len());
        self.bytes(set.packed());
    }

    pub(crate) fn rrsets(&mut self, sets: &[RrSet]) {
        self.count(sets.len());
        sets.iter().for_each(|set| self.rrset(set));
    }
}

/// Takes from a buffer.
pub(crate) struct Take<'a> {
    pub(crate) rest: &'a [u8],
}

impl<'a> Take<'a> {
    pub(crate) fn bytes(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(TOO_SHORT)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.bytes(N)?.try_into().map_err(|_| TOO_SHORT)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_be_bytes)
    }

    /// A count of things of at least `each` octets, so that a made-up count cannot make us
    /// allocate.
    pub(crate) fn count(&mut self, each: usize) -> Result<usize, Malformed> {
        let count = self.u32()? as usize;
        if count.saturating_mul(each) > self.rest.len() {
            return Err(Malformed("entry: a count exceeds its data"));
        }
        Ok(count)
    }

    pub(crate) fn name(&mut self) -> Result<Name, Malformed> {
        let mut length = 0;
        while let Some(label) = self.rest.get(length).filter(|label| **label != 0) {
            length += 1 + *label as usize;
        }
        Name::from_wire(self.bytes(length + 1)?).map_err(|_| Malformed("domain name in an entry"))
    }

    pub(crate) fn position(&mut self) -> Result<Position, Malformed> {
        Ok(Position { origin: self.origin()?, index: self.u64()? })
    }

    pub(crate) fn origin(&mut self) -> Result<Origin, Malformed> {
        Ok(Origin { site: self.u16()?, generation: self.u16()? })
    }

    pub(crate) fn octets(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.count(1)?;
        self.bytes(length)
    }

    pub(crate) fn text(&mut self) -> Result<String, Malformed> {
        String::from_utf8(self.octets()?.to_vec()).map_err(|_| Malformed("text in an entry"))
    }

    pub(crate) fn flag(&mut self) -> Result<bool, Malformed> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed("flag in an entry")),
        }
    }

    /// What [`Put::option`] put.
    pub(crate) fn option<T>(
        &mut self,
        take: impl FnOnce(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Option<T>, Malformed> {
        if self.flag()? { take(self).map(Some) } else { Ok(None) }
    }

    /// As many things, of at least `each` octets, as a count in front says.
    pub(crate) fn list<T>(
        &mut self,
        each: usize,
        mut take: impl FnMut(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        (0..self.count(each)?).map(|_| take(self)).collect()
    }

    /// As [`Take::list`], of pairs whose first halves must ascend: there is one form of each map.
    pub(crate) fn map<K: Ord, V>(
        &mut self,
        each: usize,
        take: impl FnMut(&mut Self) -> Result<(K, V), Malformed>,
    ) -> Result<BTreeMap<K, V>, Malformed> {
        let pairs = self.list(each, take)?;
        if !pairs.is_sorted_by(|(one, _), (next, _)| one < next) {
            return Err(Malformed("a map out of order"));
        }
        Ok(pairs.into_iter().collect())
    }

    pub(crate) fn rrset(&mut self) -> Result<RrSet, Malformed> {
        let (rtype, ttl, length) = (RecordType(self.u16()?), self.u32()?, self.count(1)?);
        let set = RrSetRef::from_packed(rtype, ttl, self.bytes(length)?);
        set.map(RrSetRef::to_owned).ok_or(Malformed("RRset in an entry"))
    }

    pub(crate) fn rrsets(&mut self) -> Result<Vec<RrSet>, Malformed> {
        (0..self.count(10)?).map(|_| self.rrset()).collect()
    }

    pub(crate) fn end(&self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed("entry: octets after its end")) }
    }
}
