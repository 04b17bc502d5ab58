//! Opening what the disk holds: the engine, the ledger, the key, and which log the site goes on with.

use super::{FIRST_SITE, StartError};
#[cfg(feature = "etcd")]
use crate::cluster::{Following, NodesError, Role};
use crate::config::Config;
use crate::files::{self, FolderError};
use crate::pump::SNAPSHOT_ENTRIES_MIN;
use crate::recover::{self, Folded, LogError, log_id, log_name};
use crate::sites::Sites;
use einhorn_core::commit::{Begin, CopyStart};
use einhorn_core::ledger::note::SignerKey;
use einhorn_core::ledger::{Frontier, leaf_hash};
use einhorn_core::model::entry::Previous;
use einhorn_core::model::{Origin, Position, State, Step, snapshot};
#[cfg(feature = "etcd")]
use einhorn_store::engine::EtcdEngine;
use einhorn_store::engine::{Engine, EngineError, EngineReader, SqliteEngine};
use einhorn_store::ledger::{Files, OsFiles, SealError, Sealer};
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Why a follower's own commit changes nothing: it is asked for nothing either.
#[cfg(feature = "etcd")]
const FOLLOWS: &str = "this node follows the one that leads its site";

/// Everything that the disk gave.
pub(crate) struct Opened {
    pub(crate) signer: SignerKey,
    pub(crate) state: State,
    pub(crate) engine: Option<Box<dyn Engine>>,
    /// What operators read the log with, where this node does not write it.
    pub(crate) reader: Option<Box<dyn EngineReader>>,
    /// Whether another node of the site leads, which requests are sent to.
    pub(crate) follows: bool,
    pub(crate) sealer: Option<Sealer>,
    pub(crate) ledger: Arc<dyn Files>,
    pub(crate) read_only: Option<String>,
    pub(crate) snapshot_entries: u64,
    /// What the end of the log says of how the zones became what they are.
    pub(crate) steps: Vec<Step>,
    /// What is held of each log.
    pub(crate) held: BTreeMap<Origin, CopyStart>,
    /// The log to begin, with its origin, if this site's is at its end or there is none.
    pub(crate) begin: Option<(Origin, Begin)>,
}

/// Opens the log and its ledger in the configured folder.
pub(super) fn open(config: &Config, sites: Option<&Sites>) -> Result<Opened, StartError> {
    with_place(config, sites, |place| open_from(boxed(SqliteEngine::open(&config.data)), place))
}

/// Opens the log in etcd, as what this node is there, and its ledger in the configured folder.
#[cfg(feature = "etcd")]
pub(super) fn open_in_etcd(
    config: &Config,
    sites: Option<&Sites>,
    role: &mut Role,
) -> Result<Opened, StartError> {
    with_place(config, sites, |place| match role {
        Role::Leads(leadership) => open_from(boxed(EtcdEngine::open_as_leader(leadership)), place),
        Role::Follows(following) => {
            let has_key = |generation| {
                let files = files::ledger_key_files(generation);
                if config.data.join(&files[0]).exists() {
                    return Ok(());
                }
                Err(StartError::from(NodesError::NoKey { files, folder: config.data.clone() }))
            };
            open_following(following, place, &has_key)
        }
    })
}

/// Says where the logs of the configured folder lie.
fn with_place<T>(config: &Config, sites: Option<&Sites>, open: impl FnOnce(&Place<'_>) -> T) -> T {
    open(&Place {
        ledger_name: &config.ledger_name,
        joins: sites.is_some_and(|sites| sites.join.is_some()),
        files: &|generation| {
            let folder = files::ledger_folder(&config.data, generation);
            std::fs::create_dir_all(&folder)?;
            Ok(Arc::new(OsFiles::open(&folder)?) as Arc<dyn Files>)
        },
        folder: &|generation| files::ledger_folder(&config.data, generation),
        signer: &|generation, is_new| {
            let name = log_name(&config.ledger_name, generation);
            files::signer(&config.data, generation, &name, is_new)
        },
    })
}

fn boxed<E: Engine + 'static>(
    engine: Result<E, EngineError>,
) -> Result<Box<dyn Engine>, EngineError> {
    Ok(Box::new(engine?))
}

/// Folds what the node that leads has made durable, to answer from.
#[cfg(feature = "etcd")]
fn open_following(
    following: &mut Following,
    place: &Place<'_>,
    has_key: &dyn Fn(u16) -> Result<(), StartError>,
) -> Result<Opened, StartError> {
    let own = following.own_log(place.ledger_name)?;
    has_key(own.generation)?;
    let state = following.begin(own)?;
    let signer = (place.signer)(own.generation, false)?;
    let ledger = (place.files)(own.generation).map_err(StartError::System)?;
    let mut problems = Vec::new();
    let sealer = sealer(place, own.generation, &ledger, &signer, &mut problems)?;
    for problem in problems {
        tracing::error!(%problem, "the ledger's files here stay as they are");
    }
    Ok(Opened {
        signer,
        steps: recover::last_steps(&mut *following.follower, log_id(own))?,
        state,
        engine: None,
        reader: Some(following.reader()?),
        follows: true,
        sealer,
        ledger,
        read_only: Some(FOLLOWS.to_owned()),
        snapshot_entries: 0,
        held: BTreeMap::new(),
        begin: None,
    })
}

/// Opens a ledger's files, by the log's generation.
type OpenFiles<'a> = dyn Fn(u16) -> io::Result<Arc<dyn Files>> + 'a;

/// Where a site's logs lie.
pub(crate) struct Place<'a> {
    /// The name of its first log.
    pub(crate) ledger_name: &'a str,
    /// Whether other sites give it its number.
    pub(crate) joins: bool,
    /// The ledger's files of each generation.
    pub(crate) files: &'a OpenFiles<'a>,
    /// Their folder, for people.
    pub(crate) folder: &'a dyn Fn(u16) -> PathBuf,
    /// The key of each generation; true if its log is new.
    pub(crate) signer: &'a dyn Fn(u16, bool) -> Result<SignerKey, FolderError>,
}

/// Opens the log and its ledger, wherever they lie. What is damaged makes the node read-only, as
/// long as there is something to serve; what is another's, newer or misnamed is an error.
pub(crate) fn open_from(
    engine: Result<Box<dyn Engine>, EngineError>,
    place: &Place<'_>,
) -> Result<Opened, StartError> {
    let mut problems: Vec<String> = Vec::new();
    let mut engine = match engine {
        Ok(engine) => Some(engine),
        Err(error @ EngineError::Corrupt { .. }) => {
            problems.push(error.to_string());
            None
        }
        Err(error) => return Err(error.into()),
    };
    let (own, folded) = fold(engine.as_deref(), place, &mut problems)?;
    let Folded { mut state, entries: folded, held } = folded;

    // A log that another one went on for is at its end, and so is one whose key was renewed: this
    // site begins its next one.
    let is_closed = state.log(own).is_some_and(|log| log.closed.is_some());
    let next = Origin { generation: own.generation + 1, ..own };
    let is_closed = is_closed || own != Origin::NONE && state.registry.log_key(next).is_some();
    let generation = own.generation.max(1) + u16::from(is_closed);
    let is_new = (own == Origin::NONE || is_closed) && engine.is_some() && problems.is_empty();
    let signer = (place.signer)(generation, is_new)?;
    let ledger = (place.files)(generation).map_err(StartError::System)?;
    let sealer = sealer(place, generation, &ledger, &signer, &mut problems)?;
    let signed = sealer.as_ref().map_or(0, Sealer::signed_size);
    if let Some(engine) = &engine {
        let entries = if is_closed { 0 } else { engine.next_index(log_id(own)) };
        if entries < signed {
            problems.push(LogError::Short { entries, signed }.to_string());
        }
    }
    if !problems.is_empty() {
        state = recover::from_ledger(&*ledger, signer.verifier(), state);
    }
    let mut snapshot_entries = state.entries() - folded.min(state.entries());
    if folded >= 100 * SNAPSHOT_ENTRIES_MIN
        && problems.is_empty()
        && let Some(engine) = &mut engine
    {
        // A long fold is not to be repeated by the next start, should this one end in a crash.
        engine.save_snapshot(state.entries(), &snapshot::encode(&state))?;
        snapshot_entries = state.entries();
    }
    let read_only = (!problems.is_empty()).then(|| problems.join("; "));
    let steps = match (&engine, &read_only) {
        (Some(engine), None) => recover::last_steps(&mut *engine.reader()?, log_id(own))?,
        _ => Vec::new(),
    };
    let begin = match (&engine, &read_only) {
        (Some(engine), None) if is_new => begin(&mut *engine.reader()?, &state, place, generation)?,
        _ => None,
    };
    Ok(Opened {
        signer,
        state,
        engine,
        reader: None,
        follows: false,
        sealer,
        ledger,
        read_only,
        snapshot_entries,
        steps,
        held,
        begin,
    })
}

/// The site's newest log, and what all logs come to, as far as they can be read.
fn fold(
    engine: Option<&dyn Engine>,
    place: &Place<'_>,
    problems: &mut Vec<String>,
) -> Result<(Origin, Folded), StartError> {
    let Some(engine) = engine else { return Ok((Origin::NONE, Folded::nothing(Origin::NONE))) };
    let mut reader = engine.reader()?;
    let own = recover::own_logs(&mut *reader, place.ledger_name).unwrap_or_else(|error| {
        problems.push(error.to_string());
        Vec::new()
    });
    let own = own.last().copied().unwrap_or(Origin::NONE);
    let (folded, outcome) = recover::from_engine(&mut *reader, own);
    problems.extend(outcome.err().map(|error| error.to_string()));
    Ok((own, folded))
}

/// The ledger's files, if they are sound.
fn sealer(
    place: &Place<'_>,
    generation: u16,
    ledger: &Arc<dyn Files>,
    signer: &SignerKey,
    problems: &mut Vec<String>,
) -> Result<Option<Sealer>, StartError> {
    let folder = (place.folder)(generation).display().to_string();
    let ledger_error = |source| StartError::Ledger { folder: folder.clone(), source };
    match Sealer::open(Arc::clone(ledger), signer.clone()) {
        Ok(sealer) => Ok(Some(sealer)),
        Err(error @ SealError::Io { .. }) => Err(ledger_error(error)),
        Err(error) => {
            problems.push(ledger_error(error).to_string());
            Ok(None)
        }
    }
}

/// The log that this site is to begin; none while it has no number.
fn begin(
    reader: &mut dyn EngineReader,
    state: &State,
    place: &Place<'_>,
    generation: u16,
) -> Result<Option<(Origin, Begin)>, StartError> {
    let own = state.origin;
    let name = log_name(place.ledger_name, generation);
    if own == Origin::NONE {
        let origin = Origin { site: FIRST_SITE, generation: 1 };
        let first = Begin { name, previous: None, leftovers: Vec::new() };
        return Ok((!place.joins).then_some((origin, first)));
    }
    let end = state.log(own).and_then(|log| log.closed).map_or(u64::MAX, |closed| closed.end);
    let mut tree = Frontier::new();
    let mut leftovers = Vec::new();
    recover::read_entries(reader, log_id(own), 0, &mut |index, octets| {
        if index < end {
            tree.push(leaf_hash(octets), |_, _| {});
        } else {
            leftovers.push((Position { origin: own, index }, octets.to_vec()));
        }
        Ok(())
    })?;
    let root = tree.root().0;
    let previous = Some(Previous { origin: own, entries: tree.size(), root });
    let origin = Origin { site: own.site, generation };
    Ok(Some((origin, Begin { name, previous, leftovers })))
}
