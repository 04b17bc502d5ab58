//! The way back: what the cluster says and the source does not have yet.
//!
//! Nothing that is written advances the base: that does the next file of the source, when it confirms it.
//! What it does not confirm is written again.

use super::apply::{Node, Problem, Source};
use super::lift::{Content, lift};
use super::plan::Known;
use super::stored::{self, Sidecar};
use crate::cards::Card;
use crate::codec::{Format, Options, encoder};
use crate::codes::LossCode;
use crate::item::{Item, Loss, Output};
use crate::merge::{Entry, Owner, Shared, State};
use crate::record::{FieldName, HostId, Key, Record};
use einhorn_core::exchange::View;
use einhorn_core::model::request::{SourceStep, SourceUnit};
use einhorn_core::model::source::{Head, Item as Told, OpenBatch, Sent};
use einhorn_wire::Name;
use std::collections::{BTreeSet, HashSet};

/// What a source is to get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The file.
    pub octets: Vec<u8>,
    /// The names of these, which the batch holds until it is confirmed.
    pub names: Vec<Name>,
    /// What the source is told of them, by key: the record, or that it is gone.
    pub sent: Vec<(Key, Option<Shared>)>,
    /// What the file does not hold.
    pub losses: Vec<Loss>,
}

/// What is known when something is written.
pub struct Outbound<'s> {
    source: &'s Source,
    known: Known,
    ours: State,
    held: HashSet<Name>,
    waiting: HashSet<Box<[u8]>>,
}

impl<'s> Outbound<'s> {
    /// What the node knows now; `now_ms` is the time in milliseconds since 1970.
    ///
    /// # Errors
    /// [`Problem`].
    pub fn new(source: &'s Source, view: &View, now_ms: u64) -> Result<Outbound<'s>, Problem> {
        let known = Known::new(view, &source.placing)?;
        let content = Content::new(&view.names);
        let ours = lift(&source.placing, &known.state.base, &State::default(), &content);
        let open = known.head.batch.as_ref().filter(|batch| now_ms < batch.until_ms);
        let held = open.map(|batch| batch.names.iter().cloned().collect()).unwrap_or_default();
        let waiting = known.frozen.iter().map(|frozen| frozen.key.clone()).collect();
        Ok(Outbound { source, known, ours, held, waiting })
    }

    /// Number of the last batch that was given out; 0 for none.
    pub fn last_spool(&self) -> u32 {
        self.known.head.spool
    }

    /// SHA-256 of the last file that was applied.
    pub fn last_file(&self) -> Option<[u8; 32]> {
        self.known.head.last.map(|last| last.file_sha256)
    }

    /// Cards with what the source does not have, but for names that an open batch holds and records that
    /// wait for a person. `None` if there are none.
    ///
    /// # Errors
    /// [`Problem::Refused`], when no deck can be made.
    pub fn deck(&self, format: Format, options: &Options) -> Result<Option<Batch>, Problem> {
        let mut out = Output::default();
        let mut encode = encoder(format, options)?;
        let (mut sent, mut names) = (Vec::new(), BTreeSet::new());
        for key in self.keys() {
            let (base, ours) = (self.known.state.base.get(&key), self.ours.get(&key));
            let both = self.names(base, ours);
            if !self.may_be_written(&key, &both, &mut out) {
                continue;
            }
            let none = Sidecar::new();
            let sidecar = self.known.sidecars.get(&stored::key(&key)).unwrap_or(&none);
            let (base, ours) =
                (base.map(|one| record(one, sidecar)), ours.map(|one| record(one, &none)));
            let written = |field| {
                field != FieldName::Changed && self.source.policy.owner(field) != Owner::Legacy
            };
            let Some(card) = Card::between(base.as_ref(), ours.as_ref(), written) else { continue };
            let id = HostId::first_seen(&self.source.name, &card.key);
            encode.push(Item::Record(Box::new(card.into_record(id))), &mut out)?;
            sent.push((key.clone(), self.ours.get(&key).cloned()));
            names.extend(both);
        }
        encode.finish(&mut out)?;
        let names = names.into_iter().collect();
        let batch = Batch { octets: out.octets, sent, names, losses: out.losses };
        Ok((!batch.sent.is_empty()).then_some(batch))
    }

    /// A whole file with what the cluster says; `items` are those of the last file that was applied, from
    /// which everything that did not change is taken as it was.
    ///
    /// # Errors
    /// [`Problem::Refused`], when no file can be made.
    pub fn whole(
        &self,
        format: Format,
        options: &Options,
        items: Vec<Item>,
    ) -> Result<Batch, Problem> {
        let mut out = Output::default();
        let mut encode = encoder(format, options)?;
        let (mut sent, mut names) = (Vec::new(), BTreeSet::new());
        let mut seen: HashSet<Box<[u8]>> = HashSet::new();
        for item in items {
            let Item::Record(mut record) = item else {
                encode.push(item, &mut out)?;
                continue;
            };
            let key = stored::key(&record.key);
            let is_first = seen.insert(key.clone());
            let (base, ours) = (self.known.state.base.get(&record.key), self.ours.get(&record.key));
            if is_first && !self.waiting.contains(&key) && base != ours {
                sent.push((record.key.clone(), ours.cloned()));
                names.extend(self.names(base, ours));
                let Some(ours) = ours else { continue };
                record.set_fields(ours.fields.clone());
            }
            encode.push(Item::Record(record), &mut out)?;
        }
        for entry in self.ours.entries() {
            let key = stored::key(&entry.key);
            let names_of = self.names(None, Some(entry));
            if seen.contains(&key) || !self.may_be_written(&entry.key, &names_of, &mut out) {
                continue;
            }
            if self.known.state.base.get(&entry.key).is_none() {
                sent.push((entry.key.clone(), Some(entry.clone())));
                names.extend(names_of);
            }
            let none = Sidecar::new();
            let sidecar = self.known.sidecars.get(&key).unwrap_or(&none);
            encode.push(Item::Record(Box::new(record(entry, sidecar))), &mut out)?;
        }
        encode.finish(&mut out)?;
        let names = names.into_iter().collect();
        Ok(Batch { octets: out.octets, sent, names, losses: out.losses })
    }

    /// Tells the node of a batch that is about to be given out; gives its number.
    ///
    /// # Errors
    /// [`Problem`]; the batch is not to be given out then.
    pub fn open(&self, node: &mut dyn Node, batch: &Batch, until_ms: u64) -> Result<u32, Problem> {
        let spool = self.known.head.spool + 1;
        let mut names: BTreeSet<Name> = self.held.iter().cloned().collect();
        names.extend(batch.names.iter().cloned());
        let names = names.into_iter().collect();
        let unit = |item| SourceUnit { items: vec![item], names: Vec::new() };
        let units = batch.sent.iter().map(|(key, ours)| unit(self.told(key, ours.as_ref())));
        let units = units.collect();
        let batch = Some(OpenBatch { spool, until_ms, names });
        let head = Head { spool, batch, ..self.known.head.clone() };
        let (source, revision) = (self.source.name.clone(), self.known.revision);
        let apply = [0; 32];
        let mut step = SourceStep { source, revision, apply, head: self.known.head.clone(), units };
        if !step.units.is_empty() {
            step.revision = node.advance(&step)?.revision;
        }
        node.advance(&SourceStep { head, units: Vec::new(), ..step })?;
        Ok(spool)
    }

    /// A record of the base with what its source is told of it.
    fn told(&self, key: &Key, ours: Option<&Shared>) -> Told {
        let key = stored::key(key);
        let none = || Told::new(key.clone(), None);
        let known = self.known.items.get(&key).cloned().unwrap_or_else(none);
        let record = |ours: &Shared| Sent::Record(stored::encode(ours, &Sidecar::new()));
        Told { sent: Some(ours.map_or(Sent::Gone, record)), ..known }
    }

    /// Records of either side, in order.
    fn keys(&self) -> Vec<Key> {
        let base = self.known.state.base.entries().iter();
        let mut keys: Vec<Key> =
            base.chain(self.ours.entries()).map(|entry| entry.key.clone()).collect();
        keys.sort_by_cached_key(stored::key);
        keys.dedup_by_key(|key| stored::key(key));
        keys.retain(|key| self.known.state.base.get(key) != self.ours.get(key));
        keys
    }

    /// The DNS names of a record.
    fn names(&self, base: Option<&Shared>, ours: Option<&Shared>) -> Vec<Name> {
        let images = [base, ours].into_iter().flatten().map(|one| self.source.placing.image(one));
        images.flat_map(|image| image.owner.into_iter().chain(image.aliases)).collect()
    }

    /// Whether a record may go out now. A name that is too long for the source is never cut: it is a
    /// loss.
    fn may_be_written(&self, key: &Key, names: &[Name], out: &mut Output) -> bool {
        let octets_max = self.source.policy.name_octets_max.unwrap_or(usize::MAX);
        if key.name.octets().len() > octets_max {
            out.lose(LossCode::NameNotHeld, &key.name, FieldName::Name, &key.name);
            return false;
        }
        let is_held = names.iter().any(|name| self.held.contains(name));
        !is_held && !self.waiting.contains(&stored::key(key))
    }
}

fn record(entry: &Entry, sidecar: &Sidecar) -> Record {
    let mut record = Record::new(entry.id, entry.key.clone(), entry.fields.clone());
    record.sidecar.clone_from(sidecar);
    record
}
