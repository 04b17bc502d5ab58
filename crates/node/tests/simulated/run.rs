//! One run of the simulated node: rounds of work with one trouble each, and a restart with all
//! checks after each.

use super::files::SimFiles;
use super::model::{Known, Model, NAMES, ORIGIN, request, zone_name};
use crate::copies::CopyFiles;
use crate::recover::log_id;
use crate::sealing::{self, Sealing};
use crate::start::{Opened, Place, StartError, open_from};
use einhorn_core::agent::Rules;
use einhorn_core::commit::{Append, Commit, Output};
use einhorn_core::ledger::{Algorithm, SignerKey};
use einhorn_core::model::request::{Action, Outcome};
use einhorn_core::model::{Zones, snapshot};
use einhorn_core::rules::zone::names_of_zone;
use einhorn_sim::disk::{Access, DiskError, Fault, Outcome as Happened, SimDisk, SimVfs};
use einhorn_sim::random::Random;
use einhorn_store::engine::{self, Engine, Part, SqliteEngine};
use einhorn_store::ledger::{Options, TileSource, verify};
use einhorn_wire::zonefile;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};

const FOLDER: &str = "/node";
const LEDGER: &str = "/node/ledger";
const LOG_NAME: &str = "einhorn/simulated";
/// Number of the request that loads the zone.
const LOAD: usize = usize::MAX;

/// What all runs together saw, so that a test that proves little is noticed.
#[derive(Debug, Default)]
pub(super) struct Figures {
    rounds: u64,
    power_cuts: u64,
    failed_starts: u64,
    failed_appends: u64,
    failed_seals: u64,
    acknowledged: u64,
    /// Updates whose append failed and that were there, or not, after the restart.
    in_doubt: u64,
    in_doubt_kept: u64,
    retries: u64,
    snapshots: u64,
    checkpoints: u64,
    entries: u64,
}

impl Figures {
    /// Every kind of trouble must have come up.
    pub(super) fn check(&self, seeds: u64) {
        let kinds = [self.power_cuts, self.failed_starts, self.failed_appends, self.failed_seals];
        assert!(kinds.iter().all(|count| *count > seeds / 8), "too little happened: {self:?}");
        assert!(self.in_doubt_kept > 0 && self.in_doubt > self.in_doubt_kept, "{self:?}");
        assert!(self.retries > seeds && self.acknowledged > 10 * seeds, "{self:?}");
    }
}

pub(super) struct World {
    disk: SimDisk,
    vfs: SimVfs,
    random: Random,
    signer: SignerKey,
    model: Model,
    now_ms: u64,
    batches: u64,
}

/// A node that is up.
struct Node {
    commit: Commit<usize>,
    engine: Box<dyn Engine>,
    sealing: Sealing,
    ledger: SimFiles,
    published: Zones,
    snapshot_entries: u64,
    /// Some change was refused because of a failure: from then on all must be.
    has_failed: bool,
    /// Numbers of requests in the open batch and in the one on its way.
    open: Vec<usize>,
    under_way: Vec<usize>,
}

/// Memory, used again, that [`Node::act`] works with.
type Outputs = Vec<Output<usize>>;

impl World {
    pub(super) fn new(seed: u64) -> World {
        let disk = SimDisk::new(seed);
        let vfs = SimVfs::register(&disk);
        let signer = SignerKey::from_seed(LOG_NAME, Algorithm::Ed25519, &[7; 32]).expect("a key");
        World {
            disk,
            vfs,
            random: Random::new(!seed),
            signer,
            model: Model::default(),
            now_ms: 1_700_000_000_000,
            batches: 0,
        }
    }

    pub(super) fn run(&mut self, figures: &mut Figures) {
        for _ in 0..4 + self.random.below(4) {
            figures.rounds += 1;
            self.schedule_trouble();
            match self.open() {
                Ok(node) => self.work(node, figures),
                Err(_) => figures.failed_starts += 1,
            }
            // Most troubles end with a power cut, the others with a kill of the process alone.
            if !self.random.one_in(3) {
                figures.power_cuts += 1;
                self.disk.crash();
            }
            self.disk.halt_after(u64::MAX >> 1);
            self.disk.clear_faults();
            self.disk.set_capacity(None);
            self.check(figures);
        }
        figures.checkpoints += self.model.checkpoints() as u64;
        figures.acknowledged +=
            self.model.sent.iter().filter(|sent| matches!(sent.known, Known::Done(_))).count()
                as u64;
    }

    /// At most one trouble, somewhere in the next round.
    fn schedule_trouble(&mut self) {
        let random = &mut self.random;
        let outcome = match random.below(3) {
            0 => Happened::NotPersisted,
            1 => Happened::Persisted,
            _ => Happened::Torn,
        };
        let file =
            ["", "", "log.db", "log.db-wal", "checkpoint.signed", "temporary", "000", "synced"]
                [random.below(8) as usize];
        match random.below(6) {
            0 => {}
            1 | 2 => {
                let longest = if random.one_in(4) { 30 } else { 900 };
                self.disk.halt_after(random.below(longest));
            }
            3 => {
                let free = random.below(300_000) as usize;
                self.disk.set_capacity(Some(self.disk.used_bytes() + free));
            }
            kind => {
                let access = if kind == 4 { Access::Write } else { Access::Sync };
                let error = if random.one_in(3) { DiskError::NoSpace } else { DiskError::Io };
                let mut fault = Fault::next(access).after(random.below(120)).on(file);
                fault = fault.outcome(outcome).error(error);
                self.disk.schedule(if random.one_in(3) { fault.lasting() } else { fault });
            }
        }
    }

    /// What the start of a node does.
    fn open(&mut self) -> Result<Node, StartError> {
        let engine = SqliteEngine::open_on(self.vfs.name(), Path::new(FOLDER))?;
        // As on a real disk: SQLite does not sync the name of a write-ahead log it finds.
        self.disk.sync_folder(FOLDER).map_err(std::io::Error::other)?;
        let files = || SimFiles::new(&self.disk, LEDGER);
        let place = Place {
            ledger_name: LOG_NAME,
            joins: false,
            files: &|_| Ok(Arc::new(files())),
            folder: &|_| LEDGER.into(),
            signer: &|_, _| Ok(self.signer.clone()),
        };
        let opened = open_from(Ok(Box::new(engine)), &place)?;
        let Opened { state, engine, sealer, read_only, snapshot_entries, begin, .. } = opened;
        assert_eq!(read_only, None, "nothing was damaged, so the node must take updates");
        let (engine, sealer) = (engine.expect("an engine"), sealer.expect("a sealer"));
        let mut sealing = Sealing {
            origin: ORIGIN,
            sealer,
            reader: engine.reader()?,
            woken: sealing::wakes().1,
            tasks: crossbeam_channel::never(),
            sealed: crossbeam_channel::unbounded().0,
            copies: CopyFiles::new(Path::new(FOLDER)),
            cosignatures: BTreeMap::new(),
            failed: Arc::new(OnceLock::new()),
            again: false,
            asked: crate::witnessing::Asked::none(),
        };
        sealing.seal().map_err(|error| std::io::Error::other(error.to_string()))?;
        assert_eq!(begin.is_some(), state.next_index() == 0, "a log begins once");
        let published = state.zones.clone();
        let mut commit = Commit::new(state, Box::new(Rules));
        if let Some(begin) = begin {
            let (origin, begin) = begin;
            assert_eq!((origin, begin.name.as_str()), (ORIGIN, LOG_NAME));
            commit.begin_log(self.now_ms, origin, begin.name, begin.previous);
        }
        Ok(Node {
            commit,
            engine,
            sealing,
            ledger: files(),
            published,
            snapshot_entries,
            has_failed: false,
            open: Vec::new(),
            under_way: Vec::new(),
        })
    }

    /// Takes updates until enough was done or the disk is gone.
    fn work(&mut self, mut node: Node, figures: &mut Figures) {
        let mut out = Vec::new();
        if node.published.get(&zone_name()).is_none() {
            node.request(self, LOAD, &load_request(), &mut out);
        }
        for _ in 0..10 + self.random.below(60) {
            self.now_ms += self.random.below(50);
            for _ in 0..1 + self.random.below(6) {
                self.submit(&mut node, &mut out, figures);
            }
            node.commit.flush(self.now_ms, &mut out);
            node.act(self, &mut out, figures);
            if self.random.one_in(3) {
                self.seal(&mut node, figures);
            }
            let after_failure = node.has_failed && self.random.one_in(8);
            if after_failure {
                break;
            }
        }
        if self.random.one_in(3) && !node.has_failed {
            self.stop(node, figures);
        }
    }

    /// A new update, or an old one again.
    fn submit(&mut self, node: &mut Node, out: &mut Outputs, figures: &mut Figures) {
        let sent = self.model.sent.len() as u64;
        let number = if sent > 0 && self.random.one_in(5) {
            figures.retries += 1;
            // Mostly recent ones, whose fate is the least certain.
            let back = if self.random.one_in(3) { sent } else { sent.min(20) };
            (sent - 1 - self.random.below(back)) as usize
        } else {
            let owner = self.random.below(NAMES);
            self.model.update(owner)
        };
        let request = self.model.sent[number].request.clone();
        node.request(self, number, &request, out);
    }

    /// What the ledger's thread does.
    fn seal(&mut self, node: &mut Node, figures: &mut Figures) {
        if node.sealing.failed.get().is_some() {
            return;
        }
        let sync = self.random.one_in(4);
        let sealed = node.sealing.seal().map_err(|error| error.to_string()).and_then(|()| {
            let synced = if sync { node.sealing.sealer.sync_full().map(drop) } else { Ok(()) };
            synced.map_err(|error| error.to_string())
        });
        if let Err(reason) = sealed {
            figures.failed_seals += 1;
            let _ = node.sealing.failed.set(reason);
        }
        self.look_at_checkpoints(&node.ledger);
    }

    fn look_at_checkpoints(&mut self, ledger: &SimFiles) {
        for file in ["checkpoint", "checkpoint.signed"] {
            if let Ok(Some(note)) = ledger.read(file) {
                self.model.saw(&note, self.signer.verifier());
            }
        }
    }

    /// What a clean stop does.
    fn stop(&mut self, mut node: Node, figures: &mut Figures) {
        let state = node.commit.state();
        if state.entries() > node.snapshot_entries
            && node.engine.save_snapshot(state.entries(), &snapshot::encode(state)).is_ok()
        {
            figures.snapshots += 1;
        }
        self.seal(&mut node, figures);
    }

    /// A start without trouble after whatever was: everything promised must be there.
    fn check(&mut self, figures: &mut Figures) {
        self.look_at_checkpoints(&SimFiles::new(&self.disk, LEDGER));
        let mut node = self.open().unwrap_or_else(|error| panic!("no start: {error}"));
        let doubts = |model: &Model| {
            model.sent.iter().filter(|sent| sent.known == Known::InDoubt).count() as u64
        };
        figures.in_doubt += doubts(&self.model);
        figures.in_doubt_kept += self.model.check_state(node.commit.state());
        self.look_at_checkpoints(&node.ledger);
        let mut reader = node.engine.reader().expect("a reader");
        let entries = self.model.check_log(&mut *reader);
        figures.entries = figures.entries.max(entries);
        node.sealing.sealer.sync_full().expect("a sound disk");
        assert_eq!(node.sealing.sealer.sealed(), entries, "all that is durable is sealed");
        if entries > 0 {
            let key = self.signer.verifier();
            let report = verify(&node.ledger, key, Options::default(), &mut |_, _| {});
            assert!(report.is_sound(), "the ledger is not sound: {report:?}");
        }
    }
}

impl Node {
    fn request(
        &mut self,
        world: &World,
        number: usize,
        request: &einhorn_core::model::request::Request,
        out: &mut Outputs,
    ) {
        if let Some(reason) = self.sealing.failed.get() {
            self.commit.refuse_from_now_on(reason, out);
        }
        let before = self.commit.batch().len();
        self.commit.request(world.now_ms, request.clone(), number, out);
        if self.commit.batch().len() > before {
            self.open.push(number);
        }
    }

    /// Does what the commit says, as the commit's and the append's threads do. While a batch is on
    /// its way, more requests come in.
    fn act(&mut self, world: &mut World, out: &mut Outputs, figures: &mut Figures) {
        while !out.is_empty() {
            let mut more = Vec::new();
            for output in std::mem::take(out) {
                match output {
                    Output::Append(append) => {
                        self.under_way = std::mem::take(&mut self.open);
                        self.append(&append, world, &mut more, figures);
                    }
                    Output::Publish(publication) => self.published = publication.zones,
                    Output::Answer(number, outcome, _) => self.answer(number, &outcome, world),
                    _ => panic!("there are no other sites"),
                }
            }
            *out = more;
            self.commit.flush(world.now_ms, out);
        }
        // Comparing everything each time would cost more than everything else.
        if !self.has_failed && world.random.one_in(10) {
            world.model.check_zones(&self.published);
        }
    }

    fn append(
        &mut self,
        append: &Append,
        world: &mut World,
        out: &mut Outputs,
        figures: &mut Figures,
    ) {
        let mut stored = engine::Batch::new();
        append.own.entries().for_each(|(entry, audit)| stored.push(entry, audit).expect("it fits"));
        let epoch = self.engine.epoch();
        for _ in 0..world.random.below(4) {
            world.submit(self, out, figures);
        }
        assert!(append.origin == ORIGIN && append.copies.is_empty(), "there are no other sites");
        let expected_next = append.own.first_index;
        let part = Part { log: log_id(ORIGIN), expected_next, batch: &stored };
        match self.engine.append(epoch, &[part]) {
            Ok(()) => {
                self.commit.appended(world.now_ms, out);
                self.under_way.clear();
                if let Err(error) = self.engine.maintain() {
                    self.commit.refuse_from_now_on(&error.to_string(), out);
                }
            }
            Err(error) => {
                figures.failed_appends += 1;
                world.batches += 1;
                self.commit.append_failed(&error.to_string(), out);
            }
        }
    }

    fn answer(&mut self, number: usize, outcome: &Outcome, world: &mut World) {
        match outcome {
            Outcome::Done { .. } => assert!(!self.has_failed, "acknowledged after a failure"),
            Outcome::Refused { .. } => self.has_failed = true,
        }
        if number != LOAD {
            let staged = self.under_way.contains(&number).then_some(world.batches);
            world.model.answered(number, outcome, staged);
        }
    }
}

fn load_request() -> einhorn_core::model::request::Request {
    let text = b"@ 60 SOA ns h 1 2 3 4 5\n@ 60 NS ns\nns 60 A 192.0.2.1\n".to_vec();
    let records = zonefile::load(Path::new("zone"), &zone_name(), &mut |_| Ok(text.clone()));
    let names = names_of_zone(&zone_name(), records.expect("records")).expect("a zone");
    request(0, Action::LoadZone { names, source: [9; 32] })
}
