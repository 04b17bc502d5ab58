//! Which ledger files HTTP shows: those of the own log, and those of the copies of the others',
//! each under its site's name.

use crate::operate::Operator;
use crate::{copies, files};
use einhorn_core::ledger::tile;
use einhorn_core::model::{Origin, Registry};
use einhorn_store::ledger::{Files, OsFiles, TileSource};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long what is known of the sites is believed: auditors fetch many files.
const REGISTRY_AGE_MAX: Duration = Duration::from_secs(1);

/// All ledgers in a data folder.
pub(crate) struct Ledgers {
    /// The files of the own site's log.
    own: Arc<dyn Files>,
    /// Knows the sites.
    operator: Arc<Operator>,
    /// The sites, and when they were asked for.
    known: Mutex<Option<(Instant, Arc<Registry>)>>,
}

impl Ledgers {
    pub(crate) fn new(own: Arc<dyn Files>, operator: Arc<Operator>) -> Ledgers {
        Ledgers { own, operator, known: Mutex::default() }
    }

    /// Reads a file of a site's newest log, or of `SITE.GENERATION`; `None` for what is not there,
    /// or is no path of a log.
    pub(crate) fn read(&self, site: &str, path: &str) -> io::Result<Option<Vec<u8>>> {
        // Only the log's own paths: everything else in the folder is not for the public.
        let public = path == "cosignatures"
            || path == "checkpoint"
            || tile::Path::parse(path.as_bytes()).is_ok();
        if !public {
            return Ok(None);
        }
        if site == self.operator.site {
            return self.own.read(path);
        }
        let Some(origin) = self.origin_of(site)? else { return Ok(None) };
        let is_own =
            site.strip_prefix(&self.operator.site).is_some_and(|rest| rest.starts_with('.'));
        let folder = match is_own {
            true => files::ledger_folder(&self.operator.data, origin.generation),
            false => copies::folder(&self.operator.data, origin),
        };
        if folder.is_dir() { OsFiles::open(&folder)?.read(path) } else { Ok(None) }
    }

    fn origin_of(&self, site: &str) -> io::Result<Option<Origin>> {
        let registry = self.registry()?;
        // Sites have no dots in their names.
        let (name, generation) = match site.split_once('.') {
            Some((name, generation)) => (name, generation.parse().ok()),
            None => (site, None),
        };
        let Some((number, known)) = registry.named(name) else { return Ok(None) };
        let newest = known.logs.keys().next_back().copied();
        let generation = if site.contains('.') { generation } else { newest };
        Ok(generation.map(|generation| Origin { site: number, generation }))
    }

    fn registry(&self) -> io::Result<Arc<Registry>> {
        // What is there is whole, whoever panicked.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, registry)) = &*known
            && at.elapsed() < REGISTRY_AGE_MAX
        {
            return Ok(Arc::clone(registry));
        }
        let registry = self.operator.report().map_err(io::Error::other)?.registry;
        *known = Some((Instant::now(), Arc::clone(&registry)));
        Ok(registry)
    }
}
