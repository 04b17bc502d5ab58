//! One simulated site: its disk, and what runs on it while it runs.

use crate::disk::{Disk, DiskFault};
use crate::keys::{log_name, site_name};
use crate::predictors::Predicts;
use crate::signatures::Signing;
use crate::steps::Seen;
use einhorn_core::agent::Rules;
use einhorn_core::commit::start::{Begin, Folding, Found, ended, find_takeover, own_log};
use einhorn_core::commit::{Append, Commit, CopyStart, Setup, Waits};
use einhorn_core::ledger::{Checkpoint, Frontier, SignedCheckpoint, leaf_hash};
use einhorn_core::model::entry::Previous;
use einhorn_core::model::{Effects, Origin, Position, State, Zones, snapshot};
use einhorn_sim::random::Random;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A site.
pub(crate) struct Site {
    pub(crate) number: u16,
    /// Its clock less the true one, in milliseconds.
    pub(crate) skew_ms: i64,
    pub(crate) disk: Disk,
    pub(crate) backups: Vec<Disk>,
    pub(crate) commit: Option<Commit<u64>>,
    /// Counts its starts: what was meant for an earlier one is not for this one.
    pub(crate) life: u64,
    pub(crate) paused_until: u64,
    /// When it last was paused or started.
    pub(crate) disturbed: u64,
    /// Its connections by site.
    pub(crate) links: BTreeMap<u16, usize>,
    /// When it will be woken.
    pub(crate) wake_at: Option<u64>,
    pub(crate) writing: Option<Arc<Append>>,
    pub(crate) is_sealing: bool,
    pub(crate) must_prove: bool,
    waits: Waits,
    predicts: Predicts,
    /// What every query there sees.
    pub(crate) zones: Zones,
    pub(crate) seen: Seen,
    /// Why the next appends fail.
    pub(crate) disk_fault: Option<DiskFault>,
    tree: (Origin, Frontier),
    signing: Signing,
}

impl Site {
    pub(crate) fn new(
        number: u16,
        skew_ms: i64,
        must_prove: bool,
        waits: Waits,
        predicts: Predicts,
        signing: Signing,
    ) -> Site {
        Site {
            number,
            skew_ms,
            disk: Disk::default(),
            backups: Vec::new(),
            commit: None,
            life: 0,
            paused_until: 0,
            disturbed: 0,
            links: BTreeMap::new(),
            wake_at: None,
            writing: None,
            is_sealing: false,
            must_prove,
            waits,
            predicts,
            zones: Zones::default(),
            seen: Seen::default(),
            tree: (Origin::NONE, Frontier::new()),
            signing,
            disk_fault: None,
        }
    }

    /// Its own clock, in milliseconds.
    pub(crate) fn clock(&self, now_ms: u64) -> u64 {
        now_ms.saturating_add_signed(self.skew_ms)
    }

    /// Starts from what is on the disk, as a node would.
    ///
    /// # Errors
    /// What is wrong with the disk: nothing ever should be.
    pub(crate) fn start(&mut self, random: &mut Random) -> Result<(), String> {
        let (mut state, mut copies) = self.fold(random)?;
        let origin = own_log(&state, &site_name(self.number), self.number == 1);
        state.origin = origin;
        for (log, copy) in &mut copies {
            copy.leaves = self.disk.logs[log].iter().map(|entry| leaf_hash(entry)).collect();
            copy.cosigned = self.disk.cosigned.get(&(*log, self.number)).copied().unwrap_or(0);
        }
        let is_begun = origin == Origin::NONE || state.next_of(origin) > 0;
        let begin = (!is_begun).then(|| self.begin(&state, origin));
        let cosigned = &self.disk.cosigned;
        let setup = Setup {
            signatures: Box::new(self.signing.clone()),
            mirror: Some(self.signing.mirror_key(self.number).0),
            copies,
            checkpoint: self.disk.checkpoints.get(&origin).cloned(),
            cosigned: cosigned.iter().map(|((log, site), size)| (*log, *site, *size)).collect(),
            must_prove: self.must_prove,
            waits: self.waits,
            begin,
            advisor: self.predicts.advisor(),
            ..Setup::default()
        };
        self.zones = state.zones.clone();
        self.seen.start(&self.zones);
        self.commit = Some(Commit::with_sites(state, Box::new(Rules), setup));
        self.life += 1;
        Ok(())
    }

    /// Folds all logs, mixed in some way, from the snapshot if there is one that can be used.
    fn fold(&self, random: &mut Random) -> Result<(State, BTreeMap<Origin, CopyStart>), String> {
        let Some(octets) = &self.disk.snapshot else {
            return self.fold_from(State::empty(Origin::NONE), random);
        };
        let state = snapshot::decode(octets).map_err(|error| error.to_string())?;
        let ended = ended(&self.takeovers());
        let is_usable = ended.iter().all(|(lost, closed)| state.next_of(*lost) <= closed.end);
        self.fold_from(if is_usable { state } else { State::empty(Origin::NONE) }, random)
    }

    /// Saves a snapshot of what is on the disk.
    pub(crate) fn save(&mut self, random: &mut Random) -> Result<(), String> {
        let (state, _) = self.fold(random)?;
        self.disk.snapshot = Some(snapshot::encode(&state).into());
        Ok(())
    }

    fn takeovers(&self) -> Vec<Found> {
        let stored = self.disk.logs.iter().flat_map(|(origin, log)| {
            let at = |index| Position { origin: *origin, index };
            (0..).zip(log).map(move |(index, entry)| (at(index), entry))
        });
        stored.filter_map(|(at, entry)| find_takeover(at, entry)).collect()
    }

    fn fold_from(
        &self,
        state: State,
        random: &mut Random,
    ) -> Result<(State, BTreeMap<Origin, CopyStart>), String> {
        let logs: Vec<Origin> = self.disk.logs.keys().copied().collect();
        let mut folding = Folding::new(state, &ended(&self.takeovers()), logs.iter().copied())
            .map_err(|error| error.to_string())?;
        let folded = |origin| folding.state().next_of(origin) as usize;
        let rest = self.disk.logs.iter();
        let mut rest: Vec<_> =
            rest.map(|(origin, log)| (*origin, &log[folded(*origin)..])).collect();
        while !rest.is_empty() {
            let at = random.below(rest.len() as u64) as usize;
            let (origin, entries) = &mut rest[at];
            let Some((first, others)) = entries.split_first() else {
                rest.swap_remove(at);
                continue;
            };
            *entries = others;
            let taken = folding.take(*origin, first, &mut Effects::default());
            taken.map_err(|error| format!("s{} cannot fold its disk: {error}", self.number))?;
        }
        Ok(folding.finish())
    }

    /// The log that is to be begun.
    fn begin(&self, state: &State, origin: Origin) -> Begin {
        let mut leftovers = Vec::new();
        for (log, stored) in &self.disk.logs {
            let closed = state.log(*log).and_then(|log| log.closed);
            if let Some(closed) = closed.filter(|_| log.site == self.number) {
                let rest = (0..).zip(stored).skip(closed.end as usize);
                leftovers.extend(
                    rest.map(|(index, entry)| (Position { origin: *log, index }, entry.to_vec())),
                );
            }
        }
        let before = Origin { generation: origin.generation.saturating_sub(1), ..origin };
        let previous = self.disk.checkpoints.get(&before).map(|signed| Previous {
            origin: before,
            entries: signed.checkpoint.size,
            root: signed.checkpoint.root.0,
        });
        Begin { name: log_name(origin), previous, leftovers }
    }

    /// Signs its own log as it is on the disk; `None` if nothing is new.
    pub(crate) fn seal(&mut self) -> Option<SignedCheckpoint> {
        let origin = self.commit.as_ref()?.state().origin;
        let log = self.disk.logs.get(&origin)?;
        let (of, tree) = &mut self.tree;
        if *of != origin || tree.size() > log.len() as u64 {
            (*of, *tree) = (origin, Frontier::new());
        }
        for entry in &log[tree.size() as usize..] {
            tree.push(leaf_hash(entry), |_, _| {});
        }
        let (size, root) = (tree.size(), tree.root());
        let known = self.disk.checkpoints.get(&origin);
        if known.is_some_and(|known| known.checkpoint.size == size) {
            return None;
        }
        let checkpoint = Checkpoint { origin: log_name(origin), size, root };
        let signed = self.signing.sign(origin, checkpoint)?;
        self.disk.checkpoints.insert(origin, signed.clone());
        Some(signed)
    }

    /// What runs here stops at once. What was being written is on the disk or is not.
    pub(crate) fn crash(&mut self, is_written: bool) -> Result<(), String> {
        self.commit = None;
        self.links.clear();
        self.wake_at = None;
        self.is_sealing = false;
        self.paused_until = 0;
        self.tree = (Origin::NONE, Frontier::new());
        match self.writing.take().filter(|_| is_written) {
            Some(append) => self.disk.append(&append),
            None => Ok(()),
        }
    }
}
