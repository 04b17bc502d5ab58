//! Moving a site's logs from the data folder of its one node into an etcd, while that node runs.
//!
//! Who moves leads the site in etcd meanwhile, so that nodes which start there follow and answer
//! queries. The entries are copied as they are, so that the log, its tree and its key stay the
//! same. It must never change the log in the folder, and lets nobody else lead before everything
//! was read back from etcd and compared.

use crate::config::{Config, EtcdConfig};
use crate::files::{self, FolderError};
use crate::place::LOG_FILE;
use crate::recover::{self, LogError, log_name};
use einhorn_store::engine::etcd::{EtcdElection, EtcdLeader, EtcdLeadership};
use einhorn_store::engine::{
    Batch, BatchError, Engine, EngineError, EngineReader, EtcdEngine, EtcdPlace, LogId, Part,
    SqliteEngine, SqliteReader,
};
use std::path::PathBuf;
use std::time::Duration;

/// How often it is looked whether there are more entries, and whether the node has stopped.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// Octets of entries copied at once.
const COPY_OCTETS: usize = 1 << 20;
/// What the others see of who leads meanwhile.
const NAME: &str = "whoever moves the site's log into etcd";

/// Why a site could not be moved. The folder's log is as it was.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// The configuration names no etcd.
    #[error("the configuration has no [etcd]: name the etcd that the log is to be moved into")]
    NoEtcd,
    /// A node leads there.
    #[error("{name} leads a site at {prefix} in this etcd: stop it, or choose another prefix")]
    Led {
        /// Who leads.
        name: String,
        /// The keys' prefix.
        prefix: String,
    },
    /// What is in etcd is not what is in the folder.
    #[error(
        "etcd holds another log {log} at {prefix}: entry {index} differs; choose another prefix, or delete what is there"
    )]
    Differs {
        /// The log.
        log: LogId,
        /// The first entry that differs.
        index: u64,
        /// The keys' prefix.
        prefix: String,
    },
    /// Another key signs in etcd.
    #[error("the log in etcd is signed with {stands}, the one in the folder with {own}")]
    OtherKey {
        /// The key there.
        stands: String,
        /// The folder's.
        own: String,
    },
    /// An engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// An entry that no engine takes.
    #[error(transparent)]
    Batch(#[from] BatchError),
}

/// How far a move is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// All entries are copied, and new ones follow until the node stops.
    CaughtUp {
        /// Entries of all logs.
        entries: u64,
    },
    /// The node has stopped, and everything is in etcd. Its log has another name now.
    Moved {
        /// Entries of all logs.
        entries: u64,
        /// What the log in the folder is called now.
        kept: PathBuf,
    },
}

/// Copies the logs in the configured data folder into the configured etcd, goes on until the node
/// that runs on the folder has stopped, and then lets nodes lead there.
///
/// # Errors
/// [`MoveError`]; it may be begun again.
pub fn move_to_etcd(config: &Config, tell: &mut dyn FnMut(Progress)) -> Result<(), MoveError> {
    let etcd = config.etcd.as_ref().ok_or(MoveError::NoEtcd)?;
    let place = EtcdPlace::new(etcd.endpoints.iter(), &etcd.prefix);
    let election = EtcdElection::open(&place, NAME)?;
    let Some(leadership) = election.campaign(Duration::from_secs(5))? else {
        let name = election.leader()?.map(|EtcdLeader { name, .. }| name).unwrap_or_default();
        return Err(MoveError::Led { name, prefix: etcd.prefix.clone() });
    };
    let moved = move_as_leader(config, etcd, &election, &leadership, tell);
    leadership.resign();
    moved
}

fn move_as_leader(
    config: &Config,
    etcd: &EtcdConfig,
    election: &EtcdElection,
    leadership: &EtcdLeadership,
    tell: &mut dyn FnMut(Progress),
) -> Result<(), MoveError> {
    let mut from = SqliteReader::open(&config.data)?;
    settle_key(config, &mut from, election)?;
    let engine = EtcdEngine::open_as_leader(leadership)?;
    let mut copying = Copying { engine, prefix: &etcd.prefix };
    // What an earlier attempt has left there must be a part of this log.
    copying.compare(&mut from)?;
    let mut is_told = false;
    let stopped = loop {
        copying.copy(&mut from)?;
        if !is_told {
            copying.copy_snapshot(&mut from)?;
            tell(Progress::CaughtUp { entries: copying.entries() });
            is_told = true;
        }
        match SqliteEngine::open(&config.data) {
            Ok(engine) => break engine,
            Err(EngineError::Locked { .. }) => std::thread::sleep(LOOK_INTERVAL),
            Err(error) => return Err(error.into()),
        }
    };
    // Nobody writes to the folder from here on: the lock is ours.
    let mut from = stopped.reader()?;
    copying.copy(&mut *from)?;
    copying.compare(&mut *from)?;
    drop(from);
    let kept = set_aside(config)?;
    drop(stopped);
    tell(Progress::Moved { entries: copying.entries(), kept });
    Ok(())
}

/// Nodes in etcd must have the key that signs the log here.
fn settle_key(
    config: &Config,
    from: &mut dyn EngineReader,
    election: &EtcdElection,
) -> Result<(), MoveError> {
    for log in recover::own_logs(from, &config.ledger_name)? {
        let own = files::ledger_verifier(&config.data, log.generation)?;
        debug_assert!(own.starts_with(&log_name(&config.ledger_name, log.generation)));
        let stands = election.settle(&format!("ledger-key/{}", log.generation), &own)?;
        if stands != own {
            return Err(MoveError::OtherKey { stands, own });
        }
    }
    Ok(())
}

/// Gives the log in the folder another name, so that no node goes on with it.
fn set_aside(config: &Config) -> Result<PathBuf, MoveError> {
    let kept = config.data.join(format!("{LOG_FILE}.moved"));
    for suffix in ["", "-wal", "-shm"] {
        let path = config.data.join(format!("{LOG_FILE}{suffix}"));
        let to = config.data.join(format!("{LOG_FILE}.moved{suffix}"));
        match std::fs::rename(&path, &to) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !suffix.is_empty() => {}
            Err(source) => return Err(FolderError::Unusable { path, source }.into()),
            Ok(()) => {}
        }
    }
    Ok(kept)
}

struct Copying<'a> {
    engine: EtcdEngine,
    prefix: &'a str,
}

impl Copying<'_> {
    fn entries(&self) -> u64 {
        self.engine.logs().into_iter().map(|log| self.engine.next_index(log)).sum()
    }

    /// Copies what is missing.
    fn copy(&mut self, from: &mut dyn EngineReader) -> Result<(), MoveError> {
        for (log, end) in from.ends()? {
            while self.engine.next_index(log) < end {
                let first = self.engine.next_index(log);
                let mut entries: Vec<(u64, Vec<u8>)> = Vec::new();
                from.read(log, first, COPY_OCTETS, &mut |index, _, octets| {
                    entries.push((index, octets.to_vec()));
                })?;
                let mut batch = Batch::new();
                for (index, octets) in &entries {
                    let audit = from.audit(log, *index)?.unwrap_or_default();
                    batch.push(octets, &audit)?;
                }
                let epoch = self.engine.epoch();
                self.engine.append(epoch, &[Part { log, expected_next: first, batch: &batch }])?;
            }
        }
        Ok(())
    }

    /// The fold of the entries, so that nodes need not begin with the first.
    fn copy_snapshot(&mut self, from: &mut dyn EngineReader) -> Result<(), MoveError> {
        let mut octets = Vec::new();
        if let Some(tag) = from.latest_snapshot(&mut |piece| octets.extend_from_slice(piece))? {
            self.engine.save_snapshot(tag, &octets)?;
        }
        Ok(())
    }

    /// Reads back what is in etcd and compares it with the folder.
    fn compare(&self, from: &mut dyn EngineReader) -> Result<(), MoveError> {
        let mut there = self.engine.reader()?;
        let ends = from.ends()?;
        for (log, end) in there.ends()? {
            let here = ends.iter().find(|(own, _)| *own == log).map_or(0, |(_, end)| *end);
            let differs = |index| MoveError::Differs { log, index, prefix: self.prefix.to_owned() };
            if here < end {
                return Err(differs(here));
            }
            let mut next = 0;
            while next < end {
                let mut theirs: Vec<Vec<u8>> = Vec::new();
                there.read(log, next, COPY_OCTETS, &mut |_, _, octets| {
                    theirs.push(octets.to_vec())
                })?;
                let (mut ours, first) = (0, next);
                let mut different = None;
                while next < first + theirs.len() as u64 {
                    next = from.read(log, next, COPY_OCTETS, &mut |index, _, octets| {
                        let same = theirs.get(ours).is_none_or(|theirs| theirs == octets);
                        different = different.or((!same).then_some(index));
                        ours += 1;
                    })?;
                }
                if let Some(index) = different {
                    return Err(differs(index));
                }
                next = first + theirs.len() as u64;
            }
        }
        Ok(())
    }
}
