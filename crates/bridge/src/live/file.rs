//! Reading a source's file: its records, and what a person may want to know of it.

use super::stored::{self, Sidecar};
use crate::codec::{Decode, Format, Options, Refusal, decoder};
use crate::item::{Item, Quirk, Sink};
use crate::merge::{Builder, Duplicate, State};
use crate::record::{Key, Kind, Place, Raw};
use crate::report::QuarantinedEntry;
use crate::text::Text;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Quarantined entries that are kept in full; more are only counted.
const QUARANTINED_SHOWN_MAX: usize = 1_000;

/// What a file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// SHA-256 of the file.
    pub sha256: [u8; 32],
    /// Octets of it.
    pub octets: u64,
    /// The generation that it states.
    pub generation: Option<u64>,
    /// Its records.
    pub theirs: State,
    /// Its records that have the name of another.
    pub duplicates: Vec<Duplicate>,
    /// Names of its quarantined entries, as far as they could be read.
    pub quarantined_keys: Vec<Option<Key>>,
    /// Its quarantined entries, the first of them.
    pub quarantined: Vec<QuarantinedEntry>,
    /// Numbers of quirks by code.
    pub quirks: BTreeMap<&'static str, u64>,
    /// What only the source's format knows of records, by key.
    pub sidecars: HashMap<Box<[u8]>, Sidecar>,
}

/// A file that is being read.
pub struct Reader<'b> {
    decode: Box<dyn Decode>,
    found: Found<'b>,
    sha256: Sha256,
    octets: u64,
}

struct Found<'b> {
    base: &'b State,
    builder: Builder<'b>,
    quarantined_names: Vec<Option<Text>>,
    quarantined: Vec<QuarantinedEntry>,
    quirks: BTreeMap<&'static str, u64>,
    sidecars: HashMap<Box<[u8]>, Sidecar>,
}

impl Sink for Found<'_> {
    fn item(&mut self, item: Item) {
        match item {
            Item::Record(mut record) => {
                if !record.sidecar.is_empty() {
                    let sidecar = std::mem::take(&mut record.sidecar);
                    self.sidecars.insert(stored::key(&record.key), sidecar);
                }
                self.builder.push(*record);
            }
            Item::Quarantined(entry) => {
                self.quarantined_names.push(entry.name.clone());
                if self.quarantined.len() < QUARANTINED_SHOWN_MAX {
                    self.quarantined.push(QuarantinedEntry::from(&*entry));
                }
            }
            Item::Between(_) => {}
        }
    }

    fn quirk(&mut self, quirk: Quirk) {
        *self.quirks.entry(quirk.code.code()).or_default() += 1;
    }
}

impl<'b> Reader<'b> {
    /// A reader; what is as in `base` is shared with it.
    ///
    /// # Errors
    /// [`Refusal`], when the options do not fit.
    pub fn new(format: Format, options: &Options, base: &'b State) -> Result<Reader<'b>, Refusal> {
        let found = Found {
            base,
            builder: Builder::new(base),
            quarantined_names: Vec::new(),
            quarantined: Vec::new(),
            quirks: BTreeMap::new(),
            sidecars: HashMap::new(),
        };
        Ok(Reader { decode: decoder(format, options)?, found, sha256: Sha256::new(), octets: 0 })
    }

    /// Takes the next octets.
    ///
    /// # Errors
    /// [`Refusal`]: the file as a whole is not what it should be.
    pub fn push(&mut self, octets: &[u8]) -> Result<(), Refusal> {
        self.sha256.update(octets);
        self.octets += octets.len() as u64;
        self.decode.push(octets, &mut self.found)
    }

    /// The file has ended.
    ///
    /// # Errors
    /// As [`Reader::push`].
    pub fn finish(mut self) -> Result<Read, Refusal> {
        let source = self.decode.finish(&mut self.found)?;
        let Found { base, builder, quarantined_names, quarantined, quirks, sidecars } = self.found;
        let (theirs, duplicates) = builder.finish();
        // An entry that was not understood may not say of which kind it is: of the one that is missing.
        let key = |name: Text| {
            let of = |kind| Key { kind, name: name.clone() };
            let is_missing = |key: &Key| base.get(key).is_some() && theirs.get(key).is_none();
            Kind::ALL.into_iter().map(of).find(is_missing).unwrap_or_else(|| of(Kind::Host))
        };
        let quarantined_keys = quarantined_names.into_iter().map(|name| name.map(key)).collect();
        Ok(Read {
            sha256: self.sha256.finalize().into(),
            octets: self.octets,
            generation: source.generation,
            theirs,
            duplicates,
            quarantined_keys,
            quarantined,
            quirks,
            sidecars,
        })
    }
}

/// Finds records of a file as they were read: what a person sees of those that cannot be merged.
pub struct RawReader {
    decode: Box<dyn Decode>,
    raws: Raws,
    sha256: Sha256,
}

/// Records as they were read, by key.
#[derive(Debug, Default)]
pub struct Raws {
    wanted: HashSet<Box<[u8]>>,
    found: HashMap<Box<[u8]>, (Place, Option<Raw>)>,
}

impl Raws {
    /// Where a record stands, and its octets.
    pub fn get(&self, key: &Key) -> Option<&(Place, Option<Raw>)> {
        self.found.get(&stored::key(key))
    }
}

impl Sink for Raws {
    fn item(&mut self, item: Item) {
        let Item::Record(record) = item else { return };
        let key = stored::key(&record.key);
        if self.wanted.contains(&key) {
            // The first of several counts, as in the merge.
            self.found.entry(key).or_insert_with(|| (record.place, record.raw().cloned()));
        }
    }

    fn quirk(&mut self, _: Quirk) {}
}

impl RawReader {
    /// Looks for these records.
    ///
    /// # Errors
    /// [`Refusal`], when the options do not fit.
    pub fn new<'k>(
        format: Format,
        options: &Options,
        keys: impl Iterator<Item = &'k Key>,
    ) -> Result<RawReader, Refusal> {
        let raws = Raws { wanted: keys.map(stored::key).collect(), found: HashMap::new() };
        Ok(RawReader { decode: decoder(format, options)?, raws, sha256: Sha256::new() })
    }

    /// Takes the next octets.
    ///
    /// # Errors
    /// As [`Reader::push`].
    pub fn push(&mut self, octets: &[u8]) -> Result<(), Refusal> {
        self.sha256.update(octets);
        self.decode.push(octets, &mut self.raws)
    }

    /// The file has ended; gives its SHA-256 too, since it may be another by now.
    ///
    /// # Errors
    /// As [`Reader::push`].
    pub fn finish(mut self) -> Result<(Raws, [u8; 32]), Refusal> {
        self.decode.finish(&mut self.raws)?;
        Ok((self.raws, self.sha256.finalize().into()))
    }
}
