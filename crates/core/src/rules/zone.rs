//! What makes a set of records a zone that can be served.

use crate::model::{RrSet, RrSetRef, find};
use einhorn_wire::name_ref::NameRef;
use einhorn_wire::zonefile::RecordRef;
use einhorn_wire::{Name, Record, RecordType};

/// Why records are not a zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ZoneError {
    /// No SOA, or more than one, at the apex.
    #[error("zone {0} needs exactly one SOA record at its apex, and has {1}")]
    Soa(Name, usize),
    /// No NS at the apex.
    #[error("zone {0} has no NS record at its apex")]
    NoNs(Name),
    /// An SOA elsewhere.
    #[error("{0} has an SOA record but is not the apex")]
    StraySoa(Name),
    /// CNAME beside other data, or two CNAMEs.
    #[error("{0} has a CNAME record and other records")]
    CnameBesideOthers(Name),
}

/// Groups the records of a zone by name, in canonical order, and checks what a zone must have
/// (RFC 1035 §5.2). Records of one RRset with different TTLs take the lowest (RFC 2181 §5.2);
/// repeated records count once.
///
/// # Errors
/// The first [`ZoneError`] found.
pub fn names_of_zone(
    apex: &Name,
    records: Vec<Record>,
) -> Result<Vec<(Name, Vec<RrSet>)>, ZoneError> {
    let mut names = ZoneNames::new(apex);
    for record in records {
        names.add(record.owner.borrowed(), record.rtype, record.ttl, &record.rdata)?;
    }
    names.finish()
}

/// Gathers the records of a zone, in any order, as [`names_of_zone`] does. Those of one name cost
/// least one after another, and the names in canonical order, as most zone files have them.
pub struct ZoneNames<'z> {
    apex: &'z Name,
    names: Vec<(Name, Vec<RrSet>)>,
    /// The name whose records are coming in; none before the first.
    owner: Option<Name>,
    /// Its canonical key.
    key: Vec<u8>,
    /// Its RRsets; more than `sets_used` only to use their memory again.
    sets: Vec<OpenSet>,
    sets_used: usize,
    /// Whether a name was not after the one before it in canonical order.
    is_scattered: bool,
}

/// An RRset that may still grow.
struct OpenSet {
    rtype: RecordType,
    ttl: u32,
    /// Each rdata behind its length, as in [`RrSet`].
    packed: Vec<u8>,
    count: usize,
}

impl OpenSet {
    fn borrowed(&self) -> Option<RrSetRef<'_>> {
        RrSetRef::from_packed(self.rtype, self.ttl, &self.packed)
    }

    fn push(&mut self, rdata: &[u8]) {
        // Rdata comes from messages and checked files, whose lengths have 16 bits.
        assert!(rdata.len() <= usize::from(u16::MAX));
        self.packed.extend_from_slice(&(rdata.len() as u16).to_be_bytes());
        self.packed.extend_from_slice(rdata);
        self.count += 1;
    }
}

impl<'z> ZoneNames<'z> {
    /// None yet, for the zone `apex`.
    pub fn new(apex: &'z Name) -> ZoneNames<'z> {
        ZoneNames {
            apex,
            names: Vec::new(),
            owner: None,
            key: Vec::new(),
            sets: Vec::new(),
            sets_used: 0,
            is_scattered: false,
        }
    }

    /// Takes a record that has just been read from a file.
    ///
    /// # Errors
    /// [`ZoneError`] when it cannot stand beside those before it. What is between records that
    /// are far apart, and what is missing, is found by [`ZoneNames::finish`].
    pub fn add_read(&mut self, record: &RecordRef<'_>) -> Result<(), ZoneError> {
        if record.owner_repeats && self.owner.is_some() {
            return self.add_to_current(record.rtype, record.ttl, record.rdata);
        }
        let owner = NameRef::from_valid_wire(record.owner_wire());
        self.add(owner, record.rtype, record.ttl, record.rdata)
    }

    /// Takes a record: `rdata` in uncompressed wire form, sound for its type.
    ///
    /// # Errors
    /// As [`ZoneNames::add_read`].
    pub fn add(
        &mut self,
        owner: NameRef<'_>,
        rtype: RecordType,
        ttl: u32,
        rdata: &[u8],
    ) -> Result<(), ZoneError> {
        let key = owner.canonical_key();
        if self.owner.is_none() || key.as_ref() != self.key {
            self.close();
            self.is_scattered |= *key.as_ref() < *self.key;
            self.key.clear();
            self.key.extend_from_slice(key.as_ref());
            self.owner = Some(owner.to_name());
        }
        self.add_to_current(rtype, ttl, rdata)
    }

    fn add_to_current(
        &mut self,
        rtype: RecordType,
        ttl: u32,
        rdata: &[u8],
    ) -> Result<(), ZoneError> {
        let open = self.sets[..self.sets_used].iter().position(|set| set.rtype == rtype);
        match open {
            Some(place) => {
                let set = &mut self.sets[place];
                set.ttl = set.ttl.min(ttl);
                if set.borrowed().is_some_and(|set| set.contains(rdata)) {
                    return Ok(());
                }
                set.push(rdata);
            }
            None => {
                if self.sets_used == self.sets.len() {
                    self.sets.push(OpenSet { rtype, ttl, packed: Vec::new(), count: 0 });
                }
                let set = &mut self.sets[self.sets_used];
                (set.rtype, set.ttl, set.count) = (rtype, ttl, 0);
                set.packed.clear();
                set.push(rdata);
                self.sets_used += 1;
            }
        }
        match &self.owner {
            Some(owner) => {
                let sets = self.sets[..self.sets_used].iter().map(|set| (set.rtype, set.count));
                check_together(self.apex, owner, sets)
            }
            None => Ok(()),
        }
    }

    /// Puts the name that is open to the others.
    fn close(&mut self) {
        let Some(owner) = self.owner.take() else { return };
        let mut sets = Vec::with_capacity(self.sets_used);
        let open = &self.sets[..self.sets_used];
        sets.extend(open.iter().filter_map(OpenSet::borrowed).map(RrSetRef::to_owned));
        self.names.push((owner, sets));
        self.sets_used = 0;
    }

    /// The names in canonical order, each once.
    ///
    /// # Errors
    /// The first [`ZoneError`] found.
    pub fn finish(mut self) -> Result<Vec<(Name, Vec<RrSet>)>, ZoneError> {
        self.close();
        let ZoneNames { apex, mut names, is_scattered, .. } = self;
        if is_scattered {
            // Stable: what came first stays first.
            names.sort_by_cached_key(|(owner, _)| {
                Box::from(owner.canonical_key().as_ref()) as Box<[u8]>
            });
            names.dedup_by(|(owner, sets), (kept, kept_sets)| {
                let is_same = owner == kept;
                if is_same {
                    sets.drain(..).for_each(|set| merge(kept_sets, set));
                }
                is_same
            });
            for (owner, sets) in &names {
                check_name(apex, owner, sets)?;
            }
        }
        let at_apex = names.iter().find(|(owner, _)| owner == apex);
        let at_apex = at_apex.map_or(&[][..], |(_, sets)| sets);
        if find(at_apex, RecordType::SOA).is_none() {
            return Err(ZoneError::Soa(apex.clone(), 0));
        }
        if find(at_apex, RecordType::NS).is_none() {
            return Err(ZoneError::NoNs(apex.clone()));
        }
        Ok(names)
    }
}

/// Adds the records of `set` to those of a name.
fn merge(sets: &mut Vec<RrSet>, set: RrSet) {
    let Some(old) = sets.iter_mut().find(|old| old.rtype == set.rtype) else {
        sets.push(set);
        return;
    };
    let new = set.rdatas().filter(|rdata| !old.contains(rdata));
    let merged = RrSet::new(old.rtype, old.ttl.min(set.ttl), old.rdatas().chain(new));
    if let Some(merged) = merged {
        *old = merged;
    }
}

/// Checks what a zone must not have at a name.
///
/// # Errors
/// [`ZoneError`].
pub(super) fn check_name(apex: &Name, owner: &Name, sets: &[RrSet]) -> Result<(), ZoneError> {
    check_together(apex, owner, sets.iter().map(|set| (set.rtype, set.count())))
}

/// Checks that the RRsets of a name, given by type and number of records, may be together.
fn check_together(
    apex: &Name,
    owner: &Name,
    sets: impl Iterator<Item = (RecordType, usize)> + Clone,
) -> Result<(), ZoneError> {
    let count = |wanted| sets.clone().find(|(rtype, _)| *rtype == wanted).map(|(_, count)| count);
    match count(RecordType::SOA) {
        Some(_) if owner != apex => return Err(ZoneError::StraySoa(owner.clone())),
        Some(count) if count > 1 => return Err(ZoneError::Soa(apex.clone(), count)),
        _ => {}
    }
    let mut beside = sets.clone().filter(|(rtype, _)| !super::update::may_join_cname(*rtype));
    match count(RecordType::CNAME) {
        Some(count) if count > 1 || beside.nth(1).is_some() => {
            Err(ZoneError::CnameBesideOthers(owner.clone()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use einhorn_wire::{rdata, zonefile};
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::path::Path;

    fn load(text: &str) -> Result<Vec<(Name, Vec<RrSet>)>, ZoneError> {
        let apex: Name = "example.".parse().expect("name");
        let records = zonefile::load(Path::new("z"), &apex, &mut |_| Ok(text.as_bytes().to_vec()));
        names_of_zone(&apex, records.expect("records"))
    }

    const HEAD: &str = "@ 60 SOA ns h 1 2 3 4 5\n@ 60 NS ns\n";

    /// Owner in wire form, and its sets of type, TTL and data.
    type Plain = (Vec<u8>, Vec<(RecordType, u32, Vec<Box<[u8]>>)>);

    /// What the records are by the definition: each name's, in the order in which they come.
    fn by_definition(records: &[Record]) -> Vec<Plain> {
        let mut names: BTreeMap<Vec<u8>, Plain> = BTreeMap::new();
        for record in records {
            let key = record.owner.canonical_key().as_ref().to_vec();
            let first = || (record.owner.as_wire().to_vec(), Vec::new());
            let (_, sets) = names.entry(key).or_insert_with(first);
            let place = sets.iter().position(|(rtype, ..)| *rtype == record.rtype);
            let place = place.unwrap_or_else(|| {
                sets.push((record.rtype, record.ttl, Vec::new()));
                sets.len() - 1
            });
            let (rtype, ttl, datas) = &mut sets[place];
            *ttl = record.ttl.min(*ttl);
            if !datas.iter().any(|data| rdata::same(*rtype, data, &record.rdata)) {
                datas.push(record.rdata.clone());
            }
        }
        names.into_values().collect()
    }

    proptest! {
        #[test]
        fn any_order_gives_the_same_zone(
            lines in proptest::collection::vec(("[aAbBc]|a\\.b", 1u32..4, 0u8..4, 1u8..4), 0..30),
        ) {
            let mut text = HEAD.to_owned();
            for (owner, ttl, kind, number) in lines {
                let data = match kind {
                    0 => format!("A 192.0.2.{number}"),
                    1 => format!("AAAA 2001:db8::{number}"),
                    2 => format!("MX {number} X"),
                    _ => "MX 1 x".to_owned(),
                };
                text.push_str(&format!("{owner} {ttl} {data}\n"));
            }
            let apex: Name = "example.".parse().expect("name");
            let read = &mut |_: &Path| Ok(text.as_bytes().to_vec());
            let records = zonefile::load(Path::new("z"), &apex, read).expect("records");
            let wanted = by_definition(&records);
            let plain = |names: Vec<(Name, Vec<RrSet>)>| -> Vec<Plain> {
                let set = |set: &RrSet| (set.rtype, set.ttl, set.rdatas().map(Box::from).collect());
                let name = |(owner, sets): &(Name, Vec<RrSet>)| {
                    (owner.as_wire().to_vec(), sets.iter().map(set).collect())
                };
                names.iter().map(name).collect()
            };
            prop_assert_eq!(plain(names_of_zone(&apex, records).expect("a zone")), wanted.clone());
            let mut names = ZoneNames::new(&apex);
            let read = &mut |_: &Path| Ok(text.as_bytes().to_vec());
            zonefile::load_with(Path::new("z"), &apex, read, &mut |record| {
                names.add_read(&record).map_err(|error| error.to_string())
            }).expect("records");
            prop_assert_eq!(plain(names.finish().expect("a zone")), wanted);
        }
    }

    #[test]
    fn what_cannot_be_together_is_found_wherever_it_stands() {
        for (lines, wanted) in [
            ("a 1 CNAME b\nb 1 A 192.0.2.1\na 1 A 192.0.2.1\n", "a.example. has a CNAME record"),
            ("a 1 CNAME b\nb 1 A 192.0.2.1\na 1 CNAME c\n", "a.example. has a CNAME record"),
            ("b 1 A 192.0.2.1\n@ 1 SOA a b 1 2 3 4 5\n", "its apex, and has 2"),
            ("b 1 A 192.0.2.1\na 1 SOA a b 1 2 3 4 5\n", "a.example. has an SOA record but is not"),
        ] {
            let error = load(&format!("{HEAD}{lines}")).expect_err(lines).to_string();
            assert!(error.contains(wanted), "{error}");
        }
        let fine = load(&format!(
            "{HEAD}b 1 CNAME a\na 1 A 192.0.2.1\nB 1 CNAME A\n@ 60 SOA NS h 1 2 3 4 5\n"
        ));
        assert_eq!(fine.map(|names| names.len()), Ok(3));
    }

    #[test]
    fn groups_and_checks() {
        let names = load(&format!(
            "{HEAD}b 60 A 192.0.2.1\nb 30 A 192.0.2.2\nB 60 A 192.0.2.1\na 1 TXT x\n"
        ));
        let names = names.expect("a zone");
        let owners: Vec<_> = names.iter().map(|(owner, _)| owner.to_string()).collect();
        assert_eq!(owners, ["example.", "a.example.", "b.example."]);
        assert_eq!((names[2].1[0].ttl, names[2].1[0].count()), (30, 2));
        assert!(matches!(load("@ 60 NS ns\n"), Err(ZoneError::Soa(_, 0))));
        assert!(matches!(load("@ 60 SOA ns h 1 2 3 4 5\n"), Err(ZoneError::NoNs(_))));
        assert!(matches!(
            load(&format!("{HEAD}a 1 SOA ns h 1 2 3 4 5\n")),
            Err(ZoneError::StraySoa(_))
        ));
        let both = load(&format!("{HEAD}a 1 CNAME b\na 1 A 192.0.2.1\n"));
        assert!(matches!(both, Err(ZoneError::CnameBesideOthers(_))));
    }
}
