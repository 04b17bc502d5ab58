//! What the engine tests share: logs in memory to compare with, and simulated machines.

use std::collections::BTreeMap;
use std::path::Path;

use einhorn_sim::disk::{SimDisk, SimVfs};
use einhorn_sim::random::Random;
use einhorn_store::engine::{Batch, Engine, EngineError, EngineReader, LogId, Part, SqliteEngine};

/// One entry as the test knows it: epoch and bytes.
pub(crate) type Entry = (u64, Vec<u8>);

/// All logs as the test knows them.
pub(crate) type Logs = BTreeMap<LogId, Vec<Entry>>;

/// What one append adds: batches with their logs.
pub(crate) type Parts = Vec<(LogId, Batch)>;

/// The logs that tests append to. The numbers are any; their order is not that of first use.
pub(crate) const LOGS: [LogId; 4] = [LogId(0x0002_0001), LogId(0), LogId(u32::MAX), LogId(9)];

/// The log of tests that need only one.
pub(crate) const LOG: LogId = LOGS[0];

/// The folder of the log on a simulated disk.
pub(crate) const FOLDER: &str = "/node";
pub(crate) const DATABASE: &str = "/node/log.db";
pub(crate) const WAL: &str = "/node/log.db-wal";

/// A machine with a simulated disk.
pub(crate) struct Machine {
    pub(crate) disk: SimDisk,
    vfs: SimVfs,
}

impl Machine {
    pub(crate) fn new(seed: u64) -> Self {
        let disk = SimDisk::new(seed);
        let vfs = SimVfs::register(&disk);
        Self { disk, vfs }
    }

    pub(crate) fn try_open(&self) -> Result<SqliteEngine, EngineError> {
        SqliteEngine::open_on(self.vfs.name(), Path::new(FOLDER))
    }

    pub(crate) fn open(&self) -> SqliteEngine {
        self.try_open().unwrap_or_else(|error| panic!("seed {}: {error}", self.disk.seed()))
    }
}

/// A batch of these entries, without audit values.
pub(crate) fn batch_of<'a>(entries: impl IntoIterator<Item = &'a [u8]>) -> Batch {
    let mut batch = Batch::new();
    for entry in entries {
        batch.push(entry, b"").unwrap();
    }
    batch
}

/// A batch of random size: mostly small, now and then several rows.
pub(crate) fn random_batch(random: &mut Random) -> Batch {
    let (count, longest) = match random.below(20) {
        0 => (1 + random.below(40), 60_000),
        1 => (4000 + random.below(300), 20),
        _ => (1 + random.below(6), 900),
    };
    let mut batch = Batch::new();
    let mut entry = vec![0; longest as usize];
    for _ in 0..count {
        random.fill(&mut entry);
        let length = random.below(longest) as usize;
        let audit_length = if random.one_in(3) { length.min(30) } else { 0 };
        batch.push(&entry[..length], &entry[..audit_length]).unwrap();
    }
    batch
}

/// The newest snapshot in one piece.
pub(crate) fn latest_snapshot(reader: &mut dyn EngineReader) -> Option<(u64, Vec<u8>)> {
    let mut bytes = Vec::new();
    let index = reader.latest_snapshot(&mut |piece| bytes.extend_from_slice(piece)).unwrap();
    index.map(|index| (index, bytes))
}

/// Parts of random size for one to three logs.
pub(crate) fn random_parts(random: &mut Random) -> Parts {
    let first = random.below(LOGS.len() as u64) as usize;
    let logs = LOGS.iter().cycle().skip(first).take(1 + random.below(3) as usize);
    logs.map(|log| (*log, random_batch(random))).collect()
}

/// Appends parts where their logs end.
pub(crate) fn append(
    engine: &mut dyn Engine,
    epoch: u64,
    parts: &[(LogId, Batch)],
) -> Result<(), EngineError> {
    let parts: Vec<_> = parts
        .iter()
        .map(|(log, batch)| Part { log: *log, expected_next: engine.next_index(*log), batch })
        .collect();
    engine.append(epoch, &parts)
}

/// Appends a batch to [`LOG`].
pub(crate) fn append_one(
    engine: &mut dyn Engine,
    epoch: u64,
    batch: &Batch,
) -> Result<(), EngineError> {
    let part = Part { log: LOG, expected_next: engine.next_index(LOG), batch };
    engine.append(epoch, &[part])
}

/// Everything in all logs, through a reader.
pub(crate) fn read_all(engine: &dyn Engine, max_bytes: usize) -> Result<Logs, EngineError> {
    let mut reader = engine.reader()?;
    let mut logs = Logs::new();
    for (log, end) in reader.ends()? {
        let mut all = Vec::new();
        let mut next = 0;
        while next < end {
            let reached = reader.read(log, next, max_bytes, &mut |index, epoch, entry| {
                assert_eq!(index, all.len() as u64, "indices are dense");
                all.push((epoch, entry.to_vec()));
            })?;
            assert!(reached > next, "a read makes progress");
            next = reached;
        }
        logs.insert(log, all);
    }
    Ok(logs)
}

/// Adds an append to the logs that the test knows.
pub(crate) fn extend(logs: &mut Logs, epoch: u64, parts: &[(LogId, Batch)]) {
    for (log, batch) in parts.iter().filter(|(_, batch)| !batch.is_empty()) {
        let entries = batch.iter().map(|(entry, _)| (epoch, entry.to_vec()));
        logs.entry(*log).or_default().extend(entries);
    }
}

/// How many entries there are in which log: for messages.
pub(crate) fn lengths(logs: &Logs) -> Vec<(LogId, usize)> {
    logs.iter().map(|(log, entries)| (*log, entries.len())).collect()
}
