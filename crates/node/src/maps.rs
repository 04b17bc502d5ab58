//! The thread for what nobody waits for: it looks at the disk budget and makes map roots: what all names of a log come to, so that somebody can prove
//! that he shows every change of a name. Those of the own log are logged; those of other logs are
//! made again from the copies and compared, since a site that lies about its names is not to be
//! cosigned.
//!
//! Nobody waits for it. It reads what is durable, and keeps what it made in files, which are a
//! cache.

use crate::copies;
use crate::files;
use crate::inquiry::Inquiry;
use crate::operate::Operator;
use crate::recover::{log_id, read_entries};
use crate::sites;
use einhorn_core::ledger::map::is_due;
use einhorn_core::model::{MapRootLogged, Origin};
use einhorn_ingress::now_ms;
use einhorn_store::engine::EngineReader;
use einhorn_store::ledger::map::{MapBuilder, MapError};
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// How often the thread looks whether something is due.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How often, of these times, it looks at the disk: that reads all folders.
const LOOKS_PER_DISK: u32 = 300;
/// Operators are warned when so many percent of the disk budget are used.
const DISK_WARNING_PERCENT: u64 = 80;
/// Folder of maps beside a log's files.
const FOLDER: &str = "map";

/// Why there is no map.
#[derive(Debug, thiserror::Error)]
enum NoMap {
    #[error(transparent)]
    Map(#[from] MapError),
    #[error("{0}")]
    Report(String),
}

pub(crate) struct Maps {
    operator: Arc<Operator>,
    reader: Box<dyn EngineReader>,
    interval: Duration,
    /// When the thread began; no map is made for as long after that as between two.
    began_ms: u64,
    builders: BTreeMap<Origin, MapBuilder>,
    /// Map roots of other logs that were looked at, by the entries that they cover.
    checked: BTreeMap<Origin, u64>,
}

impl Maps {
    /// Starts the thread; it ends with the node.
    pub(crate) fn start(
        operator: Arc<Operator>,
        reader: Box<dyn EngineReader>,
        interval: Duration,
    ) -> io::Result<()> {
        let mut maps = Maps {
            operator,
            reader,
            interval,
            began_ms: now_ms(),
            builders: BTreeMap::new(),
            checked: BTreeMap::new(),
        };
        thread::Builder::new().name("maps".to_owned()).spawn(move || {
            let mut looks = 0;
            while !maps.operator.is_stopping() {
                thread::sleep(LOOK_INTERVAL);
                if looks % LOOKS_PER_DISK == 0 {
                    maps.look_at_disk();
                }
                looks += 1;
                if let Err(error) = maps.look() {
                    tracing::warn!(%error, "no map of the log was made");
                }
            }
        })?;
        Ok(())
    }

    /// Warns long before the disk is full.
    fn look_at_disk(&self) {
        let Some(budget) = self.operator.disk_budget else { return };
        let (used, free) = sites::disk(&self.operator.data);
        if used.saturating_mul(100) >= budget.saturating_mul(DISK_WARNING_PERCENT) {
            tracing::warn!(used, budget, free, "the data folder nears its disk budget");
        }
    }

    fn look(&mut self) -> Result<(), NoMap> {
        let report = self.operator.report().map_err(NoMap::Report)?;
        for (origin, logged) in &report.map_roots {
            let is_new = self.checked.get(origin).is_none_or(|at| *at < logged.at);
            if *origin != report.origin && is_new {
                self.check(*origin, *logged)?;
            }
        }
        let own = report.origin;
        let last = report.map_roots.get(&own);
        let (at, time_ms) = last.map_or((0, 0), |last| (last.at, last.time_ms));
        let last_at = Some((at, time_ms.max(self.began_ms)));
        let names = last.map_or(0, |last| last.names);
        let interval_ms = self.interval.as_millis() as u64;
        if own == Origin::NONE || !is_due(interval_ms, last_at, report.durable, names, now_ms()) {
            return Ok(());
        }
        let Some(made) = self.map(own, report.durable)? else { return Ok(()) };
        let MapRootLogged { at, names, root, .. } = made;
        self.operator.tell(Inquiry::MapRoot { at, names, root }).map_err(NoMap::Report)
    }

    /// Makes another log's map again and compares.
    fn check(&mut self, origin: Origin, logged: MapRootLogged) -> Result<(), NoMap> {
        let Some(made) = self.map(origin, logged.at)? else { return Ok(()) };
        self.checked.insert(origin, logged.at);
        if (made.names, made.root) != (logged.names, logged.root) {
            tracing::error!(%origin, at = logged.at, "a site logged a map that is not that of its log");
            let inquiry = Inquiry::FalseMap { origin, at: logged.at };
            self.operator.tell(inquiry).map_err(NoMap::Report)?;
        }
        Ok(())
    }

    /// The map of a log's first `at` entries; `None` if a larger one was made already.
    fn map(&mut self, origin: Origin, at: u64) -> Result<Option<MapRootLogged>, NoMap> {
        if !self.builders.contains_key(&origin) {
            // The name only tells the files of one log from those of another.
            let builder = MapBuilder::open(&self.folder(origin), &format!("log {origin}"))?;
            self.builders.insert(origin, builder);
        }
        let Some(builder) = self.builders.get_mut(&origin) else { return Ok(None) };
        if builder.last().at > at {
            return Ok(None);
        }
        let reader = &mut *self.reader;
        let made = builder.advance(at, &mut |from, to, visit| {
            read_entries(reader, log_id(origin), from, &mut |index, octets| {
                if index < to {
                    visit(index, octets);
                }
                Ok(())
            })
            .map_err(|error| error.to_string())
        });
        // What went wrong half-way is begun anew.
        let made = made.inspect_err(|_| _ = self.builders.remove(&origin))?;
        Ok(Some(MapRootLogged { at: made.at, names: made.names, root: made.root.0, time_ms: 0 }))
    }

    fn folder(&self, origin: Origin) -> PathBuf {
        let data = &self.operator.data;
        let own =
            origin.site == self.operator.ingress.site.load(std::sync::atomic::Ordering::Relaxed);
        let folder = if own {
            files::ledger_folder(data, origin.generation)
        } else {
            copies::folder(data, origin)
        };
        folder.join(FOLDER)
    }
}
