//! The record that a zone keeps per owner name, packed into one allocation.
//!
//! Form: u8 length of the owner name; the owner name in wire form, in the case of its first
//! registration; u8 length of the history; the history; the length of the leases as a *number*; the
//! leases (u16 type, u32 length and octets of the rdata, u64 milliseconds since 1970, big-endian); the
//! RRsets. History: site and generation
//! of the home, epoch, version, sequence, site, generation and index of the last entry, time of
//! the change in milliseconds, site of use and how many times, each as a *number*; then u64 writer, big-endian. RRset: u16 type and u32 TTL,
//! big-endian; the length of what follows as a *number*; each rdata behind its u16 length.
//! A *number* is an unsigned integer in base 128, the least significant seven bits first, every
//! octet but the last with its highest bit set.

use super::codec::{Malformed, Put, Take};
use super::rrset::RrSetRef;
use super::tree::{Keyed, Live};
use super::{Lease, Origin, Position, RrSet};
use einhorn_wire::name_ref::NameRef;
use einhorn_wire::{Name, RecordType};
use std::fmt;
use triomphe::ThinArc;

/// All that a zone knows of one owner name. A name that lost its last record stays as a
/// tombstone, so that its history goes on when it returns. Cloning costs a reference.
#[derive(Clone)]
pub struct NameRecord(ThinArc<(), u8>);

/// What happened to a name so far, as far as its next change depends on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct History {
    /// The log that orders its changes, unless another one took that over.
    pub home: Origin,
    /// Counts the moves of its home.
    pub epoch: u32,
    /// Counts its changes within an epoch; an after-image with a higher (epoch, version) wins.
    pub version: u64,
    /// Number of ledger entries that touched it, from 1.
    pub sequence: u64,
    /// The last of them.
    pub last: Position,
    /// Who made the last change.
    pub writer: WriterTag,
    /// When that was, in milliseconds since 1970.
    pub changed_at_ms: u64,
    /// The site where its last change entered …
    pub used_at: u16,
    /// … and how many in a row did, up to 255.
    pub used_times: u8,
}

/// A short stand-in for an identity, to notice that two writers differ: the first octets of its
/// hash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WriterTag(pub u64);

/// Octets of a new record before its first RRset, more or less.
const HEAD_OCTETS: usize = 64;

impl NameRecord {
    /// A record of these parts.
    pub fn new<'a>(
        owner: NameRef<'_>,
        history: &History,
        leases: &[Lease],
        rrsets: impl Iterator<Item = RrSetRef<'a>> + Clone,
    ) -> NameRecord {
        let sets_octets: usize = rrsets.clone().map(|set| 16 + set.packed().len()).sum();
        let mut octets = Vec::with_capacity(HEAD_OCTETS + owner.as_wire().len() + sets_octets);
        octets.push(owner.as_wire().len() as u8);
        octets.extend_from_slice(owner.as_wire());
        history.put(&mut octets);
        let mut held = Vec::new();
        leases.iter().for_each(|lease| lease.put(&mut Put(&mut held)));
        put_number(&mut octets, held.len() as u64);
        octets.extend_from_slice(&held);
        for set in rrsets {
            octets.extend_from_slice(&set.rtype.0.to_be_bytes());
            octets.extend_from_slice(&set.ttl.to_be_bytes());
            put_number(&mut octets, set.packed().len() as u64);
            octets.extend_from_slice(set.packed());
        }
        NameRecord(ThinArc::from_header_and_slice((), &octets))
    }

    /// Takes the octets of [`NameRecord::octets`].
    ///
    /// # Errors
    /// [`Malformed`] if they are not a record.
    pub(super) fn from_octets(octets: &[u8]) -> Result<NameRecord, Malformed> {
        const MALFORMED: Malformed = Malformed("record of a name");
        let mut take = Take { rest: octets };
        let length = take.u8()?;
        Name::check_wire(take.bytes(length.into())?).map_err(|_| MALFORMED)?;
        let length = take.u8()?;
        let mut head = Take { rest: take.bytes(length.into())? };
        History::take(&mut head).filter(|_| head.rest.is_empty()).ok_or(MALFORMED)?;
        let length = take_number(&mut take.rest).ok_or(MALFORMED)?;
        let mut leases =
            Take { rest: take.bytes(usize::try_from(length).map_err(|_| MALFORMED)?)? };
        while !leases.rest.is_empty() {
            Lease::take(&mut leases)?;
        }
        while !take.rest.is_empty() {
            let (rtype, ttl) = (RecordType(take.u16()?), take.u32()?);
            let length = take_number(&mut take.rest).ok_or(MALFORMED)?;
            let length = usize::try_from(length).map_err(|_| MALFORMED)?;
            RrSetRef::from_packed(rtype, ttl, take.bytes(length)?).ok_or(MALFORMED)?;
        }
        Ok(NameRecord(ThinArc::from_header_and_slice((), octets)))
    }

    /// The record in its packed form.
    pub(super) fn octets(&self) -> &[u8] {
        &self.0.slice
    }

    /// Owner name, in the case of its first registration.
    pub fn owner(&self) -> NameRef<'_> {
        NameRef::from_valid_wire(self.split().0)
    }

    /// What happened to it so far.
    pub fn history(&self) -> History {
        match History::take(&mut Take { rest: self.split().1 }) {
            Some(history) => history,
            None => unreachable!("a record begins with a history"),
        }
    }

    /// Until when those of its records stay that do not stay for good.
    pub fn leases(&self) -> Vec<Lease> {
        let mut take = Take { rest: self.split().2 };
        let next = || (!take.rest.is_empty()).then(|| Lease::take(&mut take).ok()).flatten();
        std::iter::from_fn(next).collect()
    }

    /// The RRsets; none for a tombstone.
    pub fn rrsets(&self) -> RrSets<'_> {
        RrSets { rest: self.split().3 }
    }

    /// The set of that type.
    pub fn rrset(&self, rtype: RecordType) -> Option<RrSetRef<'_>> {
        self.rrsets().find(|set| set.rtype == rtype)
    }

    /// The RRsets, each on its own.
    pub fn owned_rrsets(&self) -> Vec<RrSet> {
        self.rrsets().map(RrSetRef::to_owned).collect()
    }

    /// Owner name, history, leases and RRsets.
    fn split(&self) -> (&[u8], &[u8], &[u8], &[u8]) {
        let octets = self.octets();
        let (owner, rest) = octets[1..].split_at(octets[0].into());
        let (history, mut rest) = rest[1..].split_at(rest[0].into());
        let length = take_number(&mut rest).unwrap_or(0) as usize;
        let (leases, rrsets) = rest.split_at(length);
        (owner, history, leases, rrsets)
    }
}

impl History {
    /// Appends it, behind its length.
    fn put(&self, octets: &mut Vec<u8>) {
        let at = octets.len();
        octets.push(0);
        for number in [
            self.home.site.into(),
            self.home.generation.into(),
            self.epoch.into(),
            self.version,
            self.sequence,
            self.last.origin.site.into(),
            self.last.origin.generation.into(),
            self.last.index,
            self.changed_at_ms,
            self.used_at.into(),
            self.used_times.into(),
        ] {
            put_number(octets, number);
        }
        octets.extend_from_slice(&self.writer.0.to_be_bytes());
        octets[at] = (octets.len() - at - 1) as u8;
    }

    fn take(take: &mut Take<'_>) -> Option<History> {
        let mut number = || take_number(&mut take.rest);
        let (site, generation) = (number()?.try_into().ok()?, number()?.try_into().ok()?);
        let (home, epoch) = (Origin { site, generation }, number()?.try_into().ok()?);
        let (version, sequence) = (number()?, number()?);
        let (site, generation) = (number()?.try_into().ok()?, number()?.try_into().ok()?);
        let last = Position { origin: Origin { site, generation }, index: number()? };
        let changed_at_ms = number()?;
        let (used_at, used_times) = (number()?.try_into().ok()?, number()?.try_into().ok()?);
        let writer = WriterTag(take.u64().ok()?);
        Some(History {
            home,
            epoch,
            version,
            sequence,
            last,
            writer,
            changed_at_ms,
            used_at,
            used_times,
        })
    }

    /// What counts between two after-images: the higher one wins, whatever came first.
    pub fn rank(&self) -> (u32, u64) {
        (self.epoch, self.version)
    }
}

/// Iterator over the RRsets of a record.
#[derive(Clone, Copy, Default)]
pub struct RrSets<'a> {
    rest: &'a [u8],
}

impl RrSets<'_> {
    /// Whether there is none left.
    pub fn is_empty(self) -> bool {
        self.rest.is_empty()
    }
}

impl<'a> Iterator for RrSets<'a> {
    type Item = RrSetRef<'a>;

    fn next(&mut self) -> Option<RrSetRef<'a>> {
        let [t0, t1, l0, l1, l2, l3, rest @ ..] = self.rest else { return None };
        self.rest = rest;
        let length = take_number(&mut self.rest)? as usize;
        let (data, rest) = self.rest.split_at(length);
        self.rest = rest;
        let rtype = RecordType(u16::from_be_bytes([*t0, *t1]));
        Some(RrSetRef::from_checked(rtype, u32::from_be_bytes([*l0, *l1, *l2, *l3]), data))
    }
}

impl Live for NameRecord {
    fn is_live(&self) -> bool {
        !self.rrsets().is_empty()
    }
}

impl Keyed for NameRecord {
    fn has_key(&self, key: &[u8], depth: usize) -> bool {
        self.owner().has_canonical_key(key, depth)
    }

    fn with_key<R>(&self, look: impl FnOnce(&[u8]) -> R) -> R {
        look(self.owner().canonical_key().as_ref())
    }
}

impl fmt::Debug for NameRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sets: Vec<_> = self.rrsets().collect();
        write!(f, "{} {:?} {sets:?}", self.owner(), self.history())
    }
}

fn put_number(octets: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        octets.push(number as u8 | 0x80);
        number >>= 7;
    }
    octets.push(number as u8);
}

/// Takes a number from the front; `None` if there is none, or one of more than 64 bits.
fn take_number(rest: &mut &[u8]) -> Option<u64> {
    // Most numbers are small, and answers wait for this.
    if let [octet @ 0..0x80, tail @ ..] = rest {
        *rest = tail;
        return Some(u64::from(*octet));
    }
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (octet, tail) = rest.split_first()?;
        *rest = tail;
        let bits = u64::from(*octet & 0x7f);
        if bits << shift >> shift != bits {
            return None;
        }
        number |= bits << shift;
        if *octet < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn history() -> impl Strategy<Value = History> {
        let counts = (any::<u16>(), any::<u32>(), any::<u64>(), any::<u64>());
        let place = (any::<u16>(), any::<u16>(), any::<u64>(), any::<u64>(), any::<u64>());
        (counts, place).prop_map(|((home, epoch, version, sequence), place)| {
            let (site, generation, index, writer, changed_at_ms) = place;
            let last = Position { origin: Origin { site, generation }, index };
            let (used_at, used_times) = (generation, site as u8);
            let (home, writer) = (Origin { site: home, generation: site }, WriterTag(writer));
            History {
                home,
                epoch,
                version,
                sequence,
                last,
                writer,
                changed_at_ms,
                used_at,
                used_times,
            }
        })
    }

    fn leases() -> impl Strategy<Value = Vec<Lease>> {
        let rdata = proptest::collection::vec(any::<u8>(), 0..90);
        let lease = (any::<u16>(), rdata, any::<u64>()).prop_map(|(rtype, rdata, until_ms)| {
            Lease { rtype: RecordType(rtype), rdata: rdata.into(), until_ms }
        });
        proptest::collection::vec(lease, 0..4)
    }

    fn sets() -> impl Strategy<Value = Vec<RrSet>> {
        let datas = proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..90), 1..5);
        let set = (any::<u16>(), any::<u32>(), datas).prop_map(|(rtype, ttl, datas)| {
            RrSet::new(RecordType(rtype), ttl, datas.iter().map(|data| &data[..]))
        });
        proptest::collection::vec(set.prop_filter_map("a set", |set| set), 0..5)
    }

    proptest! {
        #[test]
        fn gives_back_what_was_put_in(
            history in history(), leases in leases(), sets in sets(), cut in any::<u16>()
        ) {
            let owner: Name = "Anna.Fleet.example.".parse().expect("a name");
            let record =
                NameRecord::new(owner.borrowed(), &history, &leases, sets.iter().map(RrSet::borrowed));
            prop_assert_eq!(record.owner().as_wire(), owner.as_wire());
            prop_assert_eq!(record.history(), history);
            prop_assert_eq!(record.leases(), leases);
            prop_assert_eq!(record.owned_rrsets(), sets.clone());
            prop_assert_eq!(record.is_live(), !sets.is_empty());
            for set in &sets {
                let first = sets.iter().find(|other| other.rtype == set.rtype);
                prop_assert_eq!(record.rrset(set.rtype), first.map(RrSet::borrowed));
            }
            let again = NameRecord::from_octets(record.octets()).expect("a record");
            prop_assert_eq!(again.octets(), record.octets());
            // A shorter one is refused, or is one with fewer RRsets.
            let cut = usize::from(cut) % record.octets().len();
            if let Ok(shorter) = NameRecord::from_octets(&record.octets()[..cut]) {
                prop_assert!(shorter.rrsets().count() < sets.len());
            }
        }

        #[test]
        fn octets_that_are_no_record_are_refused(octets in proptest::collection::vec(0u8..9, 0..90)) {
            if let Ok(record) = NameRecord::from_octets(&octets) {
                prop_assert!(record.with_key(|key| record.has_key(key, key.len() / 2)));
                prop_assert_eq!(record.rrsets().count() > 0, record.is_live());
            }
        }
    }
}
