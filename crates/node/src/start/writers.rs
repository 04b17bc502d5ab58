//! The threads that write: the commit, the append behind it, and the ledger.

use super::StartError;
use super::open::Opened;
use crate::agent::{self, Learner};
use crate::config::Config;
use crate::copies::CopyFiles;
use crate::files::LEDGER_FOLDER;
use crate::inquiry::Inquiry;
use crate::keeper::Changes;
use crate::links::LinkSide;
use crate::pump::{Appender, Joining, Pump};
use crate::recover::{self, log_id};
use crate::sealing::{self, Sealing, SealingError, Task};
use crate::sites::{self, Sites};
use crate::witnessing::Asked;
use einhorn_core::agent::{Advisor, Rules};
use einhorn_core::commit::{Begin, Commit, CopyStart, Setup};
use einhorn_core::ledger::leaf_hash;
use einhorn_core::model::{Origin, State};
use einhorn_ingress::Ingress;
use einhorn_ingress::reply::Reply;
use einhorn_store::engine::EngineReader;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};

pub(super) type Writers = (JoinHandle<()>, Option<Sealing>);

/// What comes to the commit's thread.
pub(super) struct Inlets {
    pub(super) submissions: crossbeam_channel::Receiver<einhorn_ingress::Submission>,
    pub(super) inquiries: crossbeam_channel::Receiver<Inquiry>,
    pub(super) links: Option<LinkSide>,
    pub(super) changes: Changes,
}

/// Starts the commit, with the ledger behind it caught up and ready to be started.
pub(super) fn start_writers(
    config: &Config,
    sites: Option<&Sites>,
    opened: Opened,
    ingress: &Arc<Ingress>,
    inlets: Inlets,
    rebuild: &Arc<OnceLock<String>>,
    stop: &Arc<AtomicBool>,
) -> Result<Writers, StartError> {
    let (wakes, woken) = sealing::wakes();
    let (tasks, for_ledger) = crossbeam_channel::unbounded();
    let (tell_sealed, sealed) = crossbeam_channel::unbounded();
    let sealing_failed = Arc::new(OnceLock::new());
    let mut copies = CopyFiles::new(&config.data);
    let registry = Arc::clone(&opened.state.registry);
    copies.trust(Arc::clone(&registry), sealing::mirror_keys(&registry));
    let mut setup = setup(config, sites, &opened)?;
    let has_log = opened.begin.is_none() && opened.state.origin != Origin::NONE;
    let mut sealing = None;
    if let (None, Some(sealer), Some(engine)) = (&opened.read_only, opened.sealer, &opened.engine) {
        let mut reader = engine.reader()?;
        let appended = if has_log { opened.state.origin } else { Origin::NONE };
        setup.copies = copy_starts(&mut *reader, appended, opened.held, &mut copies)?;
        let mut ledger = Sealing {
            origin: opened.begin.as_ref().map_or(opened.state.origin, |(origin, _)| *origin),
            asked: Asked::start(config, Arc::clone(&opened.ledger), &sealer)?,
            sealer,
            reader,
            woken,
            tasks: for_ledger,
            sealed: tell_sealed,
            failed: Arc::clone(&sealing_failed),
            again: false,
            copies,
            cosignatures: BTreeMap::new(),
        };
        ledger.take(Task::Sites(Arc::clone(&registry)));
        if has_log {
            // What was durable but not yet sealed when the last run ended.
            seal(config, &mut ledger)?;
        }
        setup.checkpoint = ledger.sealer.signed().cloned();
        setup.cosigned = sites::cosigned(&registry, ledger.origin, &ledger.sealer.cosigned());
        sealing = Some(ledger);
    }
    let is_joining = opened.state.origin == Origin::NONE && opened.begin.is_none();
    let joining = is_joining.then(|| Joining::new(config, &opened.signer));
    let pump = Pump {
        commit: commit(opened.state, opened.begin, opened.read_only, setup),
        ingress: Arc::clone(ingress),
        submissions: inlets.submissions,
        inquiries: inlets.inquiries,
        links: inlets.links,
        tasks,
        sealed,
        joining,
        rebuild: Arc::clone(rebuild),
        published: ingress.zones.clone(),
        changes: inlets.changes,
        appender: opened.engine.map(|engine| Appender::start(engine, wakes)).transpose()?,
        sealing_failed,
        stop: Arc::clone(stop),
        snapshot_entries: opened.snapshot_entries,
        learner: Learner::new(config.data.clone()),
        crowd: Arc::clone(&ingress.crowd),
        opened: None,
    };
    Ok((thread::Builder::new().name("commit".to_owned()).spawn(move || pump.run())?, sealing))
}

/// The commit, which begins a log if there is one to begin.
fn commit(
    mut state: State,
    begin: Option<(Origin, Begin)>,
    read_only: Option<String>,
    mut setup: Setup,
) -> Commit<Reply> {
    if let Some((origin, begin)) = begin {
        state.origin = origin;
        setup.begin = Some(begin);
    }
    match read_only {
        None => Commit::with_sites(state, Box::new(Rules), setup),
        Some(reason) => Commit::read_only(state, Box::new(Rules), reason),
    }
}

/// What the commit is told, as far as the disk says.
fn setup(config: &Config, sites: Option<&Sites>, opened: &Opened) -> Result<Setup, StartError> {
    let before = opened.begin.as_ref().and_then(|(_, begin)| begin.previous);
    let is_open =
        |origin: &Origin| opened.state.log(*origin).is_some_and(|log| log.closed.is_none());
    Ok(Setup {
        mirror: sites.map(|sites| sites.mirror.clone()),
        must_prove: opened.state.registry.sites.len() > 1,
        take_over: before.map(|previous| previous.origin).filter(is_open),
        advisor: if config.agent { Some(advisor(config, opened)?) } else { None },
        ..Setup::default()
    })
}

/// The agent, which is shown what was before; a start does not fail for want of advice.
fn advisor(config: &Config, opened: &Opened) -> Result<Box<Advisor>, StartError> {
    let mut advisor = agent::advisor(&config.data)?;
    if let Some(engine) = &opened.engine {
        let shown = agent::remind(&mut advisor, &opened.state, &mut *engine.reader()?);
        if let Err(error) = shown {
            tracing::warn!(%error, "the agent is not told what was before");
        }
    }
    Ok(advisor)
}

/// What the commit needs to go on with each copy.
fn copy_starts(
    reader: &mut dyn EngineReader,
    own: Origin,
    mut held: BTreeMap<Origin, CopyStart>,
    files: &mut CopyFiles,
) -> Result<BTreeMap<Origin, CopyStart>, StartError> {
    held.remove(&own);
    for (origin, copy) in &mut held {
        let mirror = files.mirror(*origin);
        // Files may be ahead of an engine that was put back; then the engine counts.
        let frontier = mirror.map(|mirror| mirror.frontier().clone());
        copy.frontier = frontier.filter(|tree| tree.size() <= copy.next).unwrap_or_default();
        copy.cosigned = copy.frontier.size();
        recover::read_entries(reader, log_id(*origin), copy.cosigned, &mut |_, octets| {
            copy.leaves.push_back(leaf_hash(octets));
            Ok(())
        })?;
    }
    Ok(held)
}

fn seal(config: &Config, ledger: &mut Sealing) -> Result<(), StartError> {
    ledger.seal().map_err(|error| match error {
        SealingError::Engine(error) => StartError::Engine(error),
        SealingError::Seal { source } => StartError::Ledger {
            folder: config.data.join(LEDGER_FOLDER).display().to_string(),
            source,
        },
    })
}

/// Seals what the start itself has written, so that a ready node has a ledger to verify, and
/// starts the ledger's thread.
pub(super) fn start_sealing(
    config: &Config,
    mut ledger: Sealing,
) -> Result<JoinHandle<()>, StartError> {
    seal(config, &mut ledger)?;
    Ok(thread::Builder::new().name("ledger".to_owned()).spawn(move || ledger.run())?)
}
