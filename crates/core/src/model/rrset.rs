//! RRsets: owned ones, for requests and entries, and borrowed ones, in whoever's octets they lie.

use einhorn_wire::RecordType;
use einhorn_wire::rdata;

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

/// An [`RrSet`] that lies in somebody else's octets.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RrSetRef<'a> {
    /// Type.
    pub rtype: RecordType,
    /// Time to live in seconds.
    pub ttl: u32,
    /// As in [`RrSet`].
    data: &'a [u8],
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
            data.reserve_exact(2 + rdata.len());
            data.extend_from_slice(&(rdata.len() as u16).to_be_bytes());
            data.extend_from_slice(rdata);
        }
        (!data.is_empty()).then(|| RrSet { rtype, ttl, data: data.into() })
    }

    /// This set, borrowed.
    pub fn borrowed(&self) -> RrSetRef<'_> {
        RrSetRef { rtype: self.rtype, ttl: self.ttl, data: &self.data }
    }

    /// As [`RrSetRef::packed`].
    pub fn packed(&self) -> &[u8] {
        &self.data
    }

    /// As [`RrSetRef::rdatas`].
    pub fn rdatas(&self) -> Rdatas<'_> {
        self.borrowed().rdatas()
    }

    /// As [`RrSetRef::lines`].
    pub fn lines(&self) -> impl Iterator<Item = String> + '_ {
        self.borrowed().lines()
    }

    /// As [`RrSetRef::count`].
    pub fn count(&self) -> usize {
        self.borrowed().count()
    }

    /// As [`RrSetRef::contains`].
    pub fn contains(&self, rdata: &[u8]) -> bool {
        self.borrowed().contains(rdata)
    }

    /// As [`RrSetRef::same_records`].
    pub fn same_records(&self, other: &RrSet) -> bool {
        self.borrowed().same_records(other.borrowed())
    }
}

impl<'a> RrSetRef<'a> {
    /// Takes the data as [`RrSetRef::packed`] gives it; `None` if it is not of that form.
    pub fn from_packed(rtype: RecordType, ttl: u32, packed: &'a [u8]) -> Option<RrSetRef<'a>> {
        let mut rest = packed;
        while let [high, low, tail @ ..] = rest {
            rest = tail.get(usize::from(u16::from_be_bytes([*high, *low]))..)?;
        }
        (rest.is_empty() && !packed.is_empty()).then_some(RrSetRef { rtype, ttl, data: packed })
    }

    /// For data that has been checked before.
    pub(super) fn from_checked(rtype: RecordType, ttl: u32, data: &'a [u8]) -> RrSetRef<'a> {
        RrSetRef { rtype, ttl, data }
    }

    /// The owned set.
    pub fn to_owned(self) -> RrSet {
        RrSet { rtype: self.rtype, ttl: self.ttl, data: self.data.into() }
    }

    /// The rdatas, each behind its length.
    pub fn packed(self) -> &'a [u8] {
        self.data
    }

    /// The rdatas in uncompressed wire form.
    pub fn rdatas(self) -> Rdatas<'a> {
        Rdatas { rest: self.data }
    }

    /// The records as people write them, without their owner: `TTL TYPE DATA`.
    pub fn lines(self) -> impl Iterator<Item = String> + 'a {
        let RrSetRef { ttl, rtype, .. } = self;
        self.rdatas()
            .map(move |rdata| format!("{ttl} {rtype} {}", rdata::Presentation { rtype, rdata }))
    }

    /// The rdata of the first record, the only one of types such as CNAME, DNAME and SOA.
    pub fn first(self) -> &'a [u8] {
        // A set without records does not exist.
        self.rdatas().next().unwrap_or_default()
    }

    /// Number of records.
    pub fn count(self) -> usize {
        self.rdatas().count()
    }

    /// Whether the set has this rdata.
    pub fn contains(self, rdata: &[u8]) -> bool {
        self.rdatas().any(|ours| rdata::same(self.rtype, ours, rdata))
    }

    /// Whether both have the same records; TTLs and order do not count.
    pub fn same_records(self, other: RrSetRef<'_>) -> bool {
        self.rtype == other.rtype
            && self.count() == other.count()
            && self.rdatas().all(|rdata| other.contains(rdata))
    }
}

/// Iterator over the rdatas of a set.
#[derive(Clone)]
pub struct Rdatas<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Rdatas<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let [high, low, tail @ ..] = self.rest else { return None };
        let (rdata, rest) = tail.split_at(usize::from(u16::from_be_bytes([*high, *low])));
        self.rest = rest;
        Some(rdata)
    }
}

impl std::fmt::Debug for RrSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.borrowed().fmt(f)
    }
}

impl std::fmt::Debug for RrSetRef<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.ttl, self.rtype)?;
        self.rdatas().try_for_each(|data| {
            write!(f, " [{}]", rdata::Presentation { rtype: self.rtype, rdata: data })
        })
    }
}

/// The sets, borrowed.
pub fn borrowed(rrsets: &[RrSet]) -> impl Iterator<Item = RrSetRef<'_>> + Clone {
    rrsets.iter().map(RrSet::borrowed)
}

/// The set of that type.
pub fn find(rrsets: &[RrSet], rtype: RecordType) -> Option<&RrSet> {
    rrsets.iter().find(|set| set.rtype == rtype)
}

/// Whether two contents of a name are the same; the order of RRsets and records does not count.
pub fn same_rrsets<'a, 'b>(
    a: impl Iterator<Item = RrSetRef<'a>> + Clone,
    b: impl Iterator<Item = RrSetRef<'b>> + Clone,
) -> bool {
    a.clone().count() == b.clone().count() && { a }.all(|set| is_among(set, b.clone()))
}

/// Whether the set is there with the same TTL and records.
fn is_among<'a>(set: RrSetRef<'_>, mut sets: impl Iterator<Item = RrSetRef<'a>>) -> bool {
    sets.find(|other| other.rtype == set.rtype)
        .is_some_and(|other| other.ttl == set.ttl && other.same_records(set))
}

/// The types whose RRset differs, each with what it was.
pub fn changed_types<'a, 'b>(
    before: impl Iterator<Item = RrSetRef<'a>> + Clone,
    after: impl Iterator<Item = RrSetRef<'b>> + Clone,
) -> Vec<(RecordType, Option<RrSet>)> {
    if before.clone().next().is_none() {
        // Of exactly the size it needs: a zone that is loaded has very many.
        return after.map(|set| (set.rtype, None)).collect();
    }
    let gone_or_changed = before
        .clone()
        .filter(|set| !is_among(*set, after.clone()))
        .map(|set| (set.rtype, Some(set.to_owned())));
    let is_new = |set: &RrSetRef<'b>| before.clone().all(|old| old.rtype != set.rtype);
    let new = after.clone().filter(is_new).map(|set| (set.rtype, None));
    gone_or_changed.chain(new).collect()
}
