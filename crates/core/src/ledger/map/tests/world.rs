//! Logs made entry by entry, and the simplest way to say what a map of them is.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;

use super::super::super::tree::{complete_subtrees, inclusion_proof};
use super::super::super::{Algorithm, Checkpoint, SignerKey, Tile, VerifierKey, leaf_hash};
use super::super::*;
use crate::agent::{Advice, Path, Reason};
use crate::model::entry::{Assembler, Change, NameChange};
use crate::model::request::{Commitment, Identity, RequestId};
use crate::model::{Origin, Position, RrSet};
use einhorn_wire::RecordType;

pub(super) fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

/// Reads tiles of the tree with these leaf hashes.
pub(super) fn tiles(leaves: &[Hash]) -> impl Fn(Tile) -> Result<Vec<Hash>, Infallible> {
    let mut levels = vec![leaves.to_vec()];
    while let Some(below) = levels.last().filter(|below| below.len() >= 256) {
        levels.push(below.chunks_exact(256).map(super::super::super::tree::subtree_root).collect());
    }
    move |tile| {
        let first = tile.index as usize * 256;
        Ok(levels[usize::from(tile.level)][first..first + usize::from(tile.width)].to_vec())
    }
}

pub(super) struct Log {
    pub(super) origin: Origin,
    pub(super) signer: SignerKey,
    pub(super) stored: Vec<Vec<u8>>,
    time_ms: u64,
}

/// Several logs and where each name stands.
pub(super) struct World {
    pub(super) logs: Vec<Log>,
    names: HashMap<Name, (u64, Position)>,
}

impl World {
    pub(super) fn new(sites: u16) -> World {
        let log = |site| {
            let origin = Origin { site, generation: 1 };
            let (text, seed) = (format!("site{site}.example/log"), [site as u8; 32]);
            let signer = SignerKey::from_seed(&text, Algorithm::Ed25519, &seed).expect("a key");
            let mut log = Log { origin, signer, stored: Vec::new(), time_ms: 1000 };
            log.push(Body::Genesis { origin, name: text, previous: None });
            log
        };
        World { logs: (1..=sites).map(log).collect(), names: HashMap::new() }
    }

    pub(super) fn keys(&self) -> Vec<VerifierKey> {
        self.logs.iter().map(|log| log.signer.verifier().clone()).collect()
    }

    /// Logs a change of these names in site `site`'s log, their home from then on being `home`.
    pub(super) fn change(&mut self, site: u16, home: u16, owners: &[&str]) -> u64 {
        self.change_with(site, home, owners, Cause::Update, 4)
    }

    pub(super) fn change_with(
        &mut self,
        site: u16,
        home: u16,
        owners: &[&str],
        cause: Cause,
        octets: usize,
    ) -> u64 {
        let log = &mut self.logs[usize::from(site) - 1];
        let is_removal = matches!(cause, Cause::ZoneRemoval { .. });
        let changes = owners.iter().map(|owner| {
            let before = self.names.get(&name(owner));
            let sequence = before.map_or(0, |(sequence, _)| *sequence) + 1;
            let after = RrSet::new(RecordType(65_280), 60, [&vec![7; octets][..]]);
            NameChange {
                owner: name(owner),
                home: Origin { site: home, generation: 1 },
                epoch: 1,
                version: sequence,
                sequence,
                previous: before.map(|(_, position)| *position),
                before: Vec::new(),
                after: after.into_iter().collect(),
                leases: Vec::new(),
            }
        });
        let body = Body::Change(Change {
            zone: name("example."),
            incarnation: 1,
            request: RequestId([7; 32]),
            remember_until_seconds: 9,
            who: Identity::Operator,
            entered_site: site,
            audit_commitment: Commitment([8; 32]),
            decision: None,
            stands_for: Vec::new(),
            advice: Advice { path: Path::Fast, reason: Reason::NoHazard, model: *b"rules-v1" },
            path: Path::Fast,
            cause,
            names: changes.collect(),
        });
        let index = log.push(body);
        let position = Position { origin: log.origin, index };
        for owner in owners {
            self.names.entry(name(owner)).or_insert((0, position)).0 += 1;
            self.names.entry(name(owner)).and_modify(|place| place.1 = position);
        }
        if is_removal {
            self.names.clear();
        }
        index
    }

    /// The history of a name that all logs together have, with maps at the sizes given.
    pub(super) fn history(&self, owner: &str, maps: &[Option<u64>], tails: bool) -> History {
        let (zone, owner) = (name("example."), name(owner));
        let logs = self.logs.iter().zip(maps);
        let logs = logs.map(|(log, map)| log.history(&zone, &owner, *map, tails)).collect();
        History { zone, owner, logs }
    }
}

impl Log {
    /// Logs an entry; gives the index of its last part.
    pub(super) fn push(&mut self, body: Body) -> u64 {
        self.time_ms += 1000;
        let entry = Entry { time_ms: self.time_ms, body };
        entry.encode(&mut Vec::new(), |part| self.stored.push(part.to_vec()));
        self.stored.len() as u64 - 1
    }

    /// Logs the map of the entries below `at`; gives the index.
    pub(super) fn push_map(&mut self, at: u64) -> u64 {
        let root = self.map(at).1;
        self.push(root.body())
    }

    /// All entries with the indices of their parts.
    pub(super) fn entries(&self) -> Vec<(std::ops::RangeInclusive<u64>, Entry)> {
        let (mut assembler, mut first, mut found) = (Assembler::default(), 0, Vec::new());
        for (index, octets) in (0..).zip(&self.stored) {
            if assembler.is_empty() {
                first = index;
            }
            let entry = assembler.next(octets).expect("an entry");
            found.extend(entry.map(|entry| (first..=index, entry)));
        }
        found
    }

    /// The map of the entries below `at`, the naive way.
    pub(super) fn map(&self, at: u64) -> (Vec<Leaf>, MapRoot) {
        let mut leaves: BTreeMap<MapKey, Leaf> = BTreeMap::new();
        for (range, entry) in self.entries().iter().filter(|(range, _)| *range.end() < at) {
            let Body::Change(change) = &entry.body else { continue };
            let last = *range.end();
            let mut add = |key, sequence| {
                let leaf = leaves.entry(key).or_insert(Leaf { key, last, sequence, count: 0 });
                *leaf = Leaf { key, last, sequence, count: leaf.count + 1 };
            };
            for name in &change.names {
                add(MapKey::of_name(&change.zone, &name.owner), name.sequence);
            }
            if matches!(change.cause, Cause::ZoneRemoval { .. }) {
                add(MapKey::of_zone(&change.zone), 0);
            }
        }
        let leaves: Vec<Leaf> = leaves.into_values().collect();
        let root = root_of(&leaves, at);
        (leaves, root)
    }

    pub(super) fn checkpoint(&self) -> Checkpoint {
        let mut tree = Frontier::new();
        self.hashes().iter().for_each(|hash| tree.push(*hash, |_, _| {}));
        let origin = self.signer.verifier().name().to_owned();
        Checkpoint { origin, size: tree.size(), root: tree.root() }
    }

    fn hashes(&self) -> Vec<Hash> {
        self.stored.iter().map(|octets| leaf_hash(octets)).collect()
    }

    pub(super) fn included(&self, index: u64) -> Included {
        let hashes = self.hashes();
        let hashes = inclusion_proof(hashes.len() as u64, index, tiles(&hashes)).expect("a proof");
        Included { index, octets: self.stored[index as usize].clone(), hashes }
    }

    fn history(&self, zone: &Name, owner: &Name, map: Option<u64>, tail: bool) -> LogHistory {
        let checkpoint = self.checkpoint().sign(&self.signer).expect("signed").note;
        let keys = [MapKey::of_name(zone, owner), MapKey::of_zone(zone)];
        let entries = self.entries();
        let map = map.map(|at| {
            let (leaves, root) = self.map(at);
            let logged = entries.iter().find(|(_, e)| MapRoot::of_body(&e.body) == Some(root));
            let [name, zone] = keys.map(|key| prove_from(&leaves, key));
            (at, MapPart { entry: self.included(*logged.expect("logged").0.start()), name, zone })
        });
        let at = map.as_ref().map_or(0, |(at, _)| *at);
        let mut changes = Vec::new();
        for (range, entry) in entries.iter().filter(|(range, _)| *range.end() < at) {
            let mut is_wanted = false;
            touches(*range.end(), entry, |touch| is_wanted |= keys.contains(&touch.key));
            if is_wanted {
                changes.extend(range.clone().map(|index| self.included(index)));
            }
        }
        let across = entries.iter().find(|(range, _)| *range.start() < at && at <= *range.end());
        let from = across.map_or(at, |(range, _)| *range.start());
        let tail = tail.then(|| {
            let hashes = self.hashes();
            let before = complete_subtrees(hashes.len() as u64, from, tiles(&hashes));
            let before = CompactRange::new(from, before.expect("subtrees")).expect("fits");
            Tail { before, entries: self.stored[from as usize..].to_vec() }
        });
        let (genesis, map) = (self.included(0), map.map(|(_, map)| map));
        LogHistory { checkpoint, genesis, map, changes, tail }
    }
}

pub(super) fn root_of(leaves: &[Leaf], at: u64) -> MapRoot {
    let mut builder = RootBuilder::default();
    for leaf in leaves {
        assert!(builder.push(leaf.key, leaf.hash(), |_, _| {}), "leaves in order");
    }
    builder.root(at)
}

pub(super) fn prove_from(leaves: &[Leaf], key: MapKey) -> MapProof {
    let hashes: Vec<Hash> = leaves.iter().map(Leaf::hash).collect();
    let leaf = |position: u64| Ok::<_, Infallible>(leaves[position as usize]);
    prove(leaves.len() as u64, key, leaf, tiles(&hashes)).expect("a proof")
}
