//! RRsets and the record that a zone keeps per owner name.

use super::Position;
use super::tree::Live;
use einhorn_wire::rdata;
use einhorn_wire::{Name, RecordType};

/// All records of one type at one name, with one TTL (RFC 2181 §5).
#[derive(Clone, PartialEq, Eq)]
pub struct RrSet {
    /// Type.
    pub rtype: RecordType,
    /// Time to live in seconds.
    pub ttl: u32,
    /// Each rdata behind its length (two octets, big-endian); never empty.
    data: Box<[u8]>,
}

impl RrSet {
    /// A set of the given rdata in uncompressed wire form. `None` if there is none: an RRset
    /// without records does not exist.
    pub fn new<'a>(
        rtype: RecordType,
        ttl: u32,
        rdatas: impl IntoIterator<Item = &'a [u8]>,
    ) -> Option<RrSet> {
        let mut data = Vec::new();
        for rdata in rdatas {
            // Rdata comes from messages and checked files, whose lengths have 16 bits.
            assert!(rdata.len() <= usize::from(u16::MAX));
            data.extend_from_slice(&(rdata.len() as u16).to_be_bytes());
            data.extend_from_slice(rdata);
        }
        (!data.is_empty()).then(|| RrSet { rtype, ttl, data: data.into() })
    }

    /// Takes the data as [`RrSet::packed`] gives it; `None` if it is not of that form.
    pub fn from_packed(rtype: RecordType, ttl: u32, packed: &[u8]) -> Option<RrSet> {
        let mut rest = packed;
        while let [high, low, tail @ ..] = rest {
            rest = tail.get(usize::from(u16::from_be_bytes([*high, *low]))..)?;
        }
        (rest.is_empty() && !packed.is_empty()).then(|| RrSet { rtype, ttl, data: packed.into() })
    }

    /// The rdatas, each behind its length.
    pub fn packed(&self) -> &[u8] {
        &self.data
    }

    /// The rdatas in uncompressed wire form.
    pub fn rdatas(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &*self.data;
        std::iter::from_fn(move || {
            let [high, low, tail @ ..] = rest else { return None };
            let (rdata, after) = tail.split_at(usize::from(u16::from_be_bytes([*high, *low])));
            rest = after;
            Some(rdata)
        })
    }

    /// Number of records.
    pub fn count(&self) -> usize {
        self.rdatas().count()
    }

    /// Whether the set has this rdata.
    pub fn contains(&self, rdata: &[u8]) -> bool {
        self.rdatas().any(|ours| rdata::same(self.rtype, ours, rdata))
    }

    /// Whether both have the same records; TTLs and order do not count.
    pub fn same_records(&self, other: &RrSet) -> bool {
        self.rtype == other.rtype
            && self.count() == other.count()
            && self.rdatas().all(|rdata| other.contains(rdata))
    }
}

impl std::fmt::Debug for RrSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.ttl, self.rtype)?;
        self.rdatas().try_for_each(|data| {
            write!(f, " [{}]", rdata::Presentation { rtype: self.rtype, rdata: data })
        })
    }
}

/// The set of that type.
pub fn find(rrsets: &[RrSet], rtype: RecordType) -> Option<&RrSet> {
    rrsets.iter().find(|set| set.rtype == rtype)
}

/// All that a zone knows of one owner name. A name that lost its last record stays as a
/// tombstone, so that its history goes on when it returns.
#[derive(Clone, Debug)]
pub struct NameRecord {
    /// Owner name, in the case of its first registration.
    pub owner: Name,
    /// The one site that orders its changes.
    pub home: u16,
    /// Counts the moves of its home.
    pub epoch: u32,
    /// Counts its changes within an epoch; an after-image with a higher (epoch, version) wins.
    pub version: u64,
    /// Number of ledger entries that touched it, from 1.
    pub sequence: u64,
    /// The last of them.
    pub last: Position,
    /// Who made the last change: the first octets of the hash of its identity.
    pub writer: WriterTag,
    /// When that was, in milliseconds since 1970.
    pub changed_at_ms: u64,
    /// The RRsets; none for a tombstone.
    pub rrsets: Vec<RrSet>,
}

/// A short stand-in for an identity, to notice that two writers differ.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WriterTag(pub u64);

impl NameRecord {
    /// The set of that type.
    pub fn rrset(&self, rtype: RecordType) -> Option<&RrSet> {
        find(&self.rrsets, rtype)
    }
}

impl Live for NameRecord {
    fn is_live(&self) -> bool {
        !self.rrsets.is_empty()
    }
}
