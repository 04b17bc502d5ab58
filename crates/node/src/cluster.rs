//! A site of several nodes on one etcd: one of them leads and the others follow.
//!
//! The leader runs as the one node of a site does. A follower answers queries from what it folds
//! of the same logs, and sends requests to the leader. Which it is, a node is from one start to the
//! next: when it begins to lead, or leads no longer, it starts again. It must never write as a
//! follower, and while etcd is silent it goes on answering queries.

use crate::behind::Behind;
use crate::config::EtcdConfig;
use crate::files;
use crate::recover::{self, LogError};
use crate::relay::{self, Forwarder, Leader, Sources};
use crate::start::StartError;
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use einhorn_core::commit::start::{Folding, find_takeover};
use einhorn_core::ledger::SignerKey;
use einhorn_core::model::{Effects, Origin, Position, Publication, State};
use einhorn_ingress::{Ingress, Submission};
use einhorn_links::IdentityError;
use einhorn_links::nodes::Nodes;
use einhorn_store::engine::etcd::{
    EtcdElection, EtcdFollower, EtcdLeader, EtcdLeadership, EtcdLimits,
};
use einhorn_store::engine::{EngineError, EngineReader, EtcdPlace, EtcdReader, LogId};
use einhorn_store::ledger::Sealer;
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How often a follower looks whether anybody leads.
const LOOK_INTERVAL: Duration = Duration::from_millis(300);
/// How long a thread waits at once: a stop takes as long.
const WAIT: Duration = Duration::from_millis(200);
/// How long a follower waits for the site's log to begin, when it starts with the first leader.
const BEGIN_PATIENCE: Duration = Duration::from_secs(20);
/// Octets of entries that a follower reads at once.
const READ_OCTETS: usize = 1 << 20;

/// What etcd may take: a node that leads and cannot write for so long lets another one lead.
const LIMITS: EtcdLimits = EtcdLimits {
    attempt: Duration::from_secs(1),
    deadline: Duration::from_secs(5),
    recheck: Duration::from_secs(1),
};
/// What the nodes of a site share, beside the key itself.
const PURPOSE: &str = "connections between the nodes of a site";

/// Leadership that was won by a node which must be started again to make use of it.
pub(crate) type Won = Option<Arc<EtcdLeadership>>;

/// A node that does not belong to the others.
#[derive(Debug, thiserror::Error)]
pub enum NodesError {
    /// It has another key than the site.
    #[error(
        "{} is not the key of this site's log: the other nodes have {stands}, this one has {own}; stop this node, and copy {} from a node of this site into {}", path.display(), files.join(" and "), folder.display()
    )]
    OtherKey {
        /// The key file.
        path: PathBuf,
        /// The site's verifier key.
        stands: String,
        /// This node's.
        own: String,
        /// What is to be copied.
        files: [String; 2],
        /// Whereto.
        folder: PathBuf,
    },
    /// It has no key.
    #[error("this node has no key of the site's log: copy {} from a node of this site into {}", files.join(" and "), folder.display())]
    NoKey {
        /// What is to be copied.
        files: [String; 2],
        /// Whereto.
        folder: PathBuf,
    },
    /// The key is of no use for connections.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

/// What this node is, and the election that says so.
pub(crate) struct Standing {
    election: EtcdElection,
    pub(crate) role: Role,
}

/// What this node is.
pub(crate) enum Role {
    /// It leads.
    Leads(Arc<EtcdLeadership>),
    /// Another one does.
    Follows(Box<Following>),
}

/// A follower: what it has folded, and how far.
pub(crate) struct Following {
    pub(crate) follower: EtcdFollower,
    place: EtcdPlace,
    folding: Option<Folding>,
    known: Vec<(LogId, u64)>,
    next: BTreeMap<Origin, u64>,
}

impl Standing {
    /// Leads if nobody does, or if this node won that before it was started again.
    pub(crate) fn take(config: &EtcdConfig, kept: Won) -> Result<Standing, StartError> {
        let place = EtcdPlace::new(config.endpoints.iter(), &config.prefix).with_limits(LIMITS);
        let election = EtcdElection::open(&place, &config.listen.to_string())?;
        let kept = kept.filter(|leadership| !leadership.is_over());
        let won = match kept {
            Some(leadership) => Some(leadership),
            None => election.campaign(Duration::ZERO)?.map(Arc::new),
        };
        let role = match won {
            Some(leadership) => Role::Leads(leadership),
            None => Role::Follows(Box::new(Following {
                follower: EtcdFollower::open(&place)?,
                place,
                folding: None,
                known: Vec::new(),
                next: BTreeMap::new(),
            })),
        };
        Ok(Standing { election, role })
    }

    /// Makes sure that this node signs with the same key as the others.
    pub(crate) fn agree_on_key(
        &self,
        signer: &SignerKey,
        generation: u16,
        data: &Path,
    ) -> Result<(), StartError> {
        let own = signer.verifier().to_string();
        let stands = self.election.settle(&format!("ledger-key/{generation}"), &own)?;
        if stands == own {
            return Ok(());
        }
        if let Role::Leads(leadership) = &self.role {
            // Another node need not wait.
            leadership.resign();
        }
        let files = files::ledger_key_files(generation);
        let (path, folder) = (data.join(&files[0]), data.to_owned());
        Err(NodesError::OtherKey { path, stands, own, files, folder }.into())
    }

    /// What people are told if this node follows.
    pub(crate) fn follows(&self) -> Result<Option<String>, StartError> {
        if let Role::Leads(_) = self.role {
            return Ok(None);
        }
        Ok(Some(match self.election.leader()? {
            Some(EtcdLeader { name, .. }) => format!("this node follows; {name} leads the site"),
            None => "this node follows, and nobody leads the site yet".to_owned(),
        }))
    }
}

/// What there is to work with while a node runs.
pub(crate) struct Around<'a> {
    pub(crate) signer: SignerKey,
    /// The ledger's files, if this node does not lead.
    pub(crate) sealer: Option<Sealer>,
    /// The site's own log.
    pub(crate) own: Origin,
    /// Where other nodes connect.
    pub(crate) listener: TcpListener,
    pub(crate) ingress: &'a Arc<Ingress>,
    /// What is asked of this node, if it does not lead.
    pub(crate) submissions: Receiver<Submission>,
    pub(crate) rebuild: &'a Arc<OnceLock<String>>,
    pub(crate) stop: &'a Arc<AtomicBool>,
    pub(crate) runtime: &'a tokio::runtime::Handle,
}

/// The threads that keep watch over what this node is, and send on what it is asked.
pub(crate) struct Running {
    watching: JoinHandle<Won>,
    /// What only a follower does: sends requests on, and seals.
    following: Vec<JoinHandle<()>>,
    leadership: Won,
}

impl Running {
    /// To be called when nothing writes any more: another node may lead then. Returns the leadership
    /// that was won for the next start.
    pub(crate) fn stop(self) -> Won {
        let over = self.leadership.iter().filter(|leadership| !leadership.is_over());
        over.for_each(|leadership| leadership.resign());
        let won = self.watching.join().unwrap_or_else(|_| {
            tracing::error!("the thread that watches over the leadership had panicked");
            None
        });
        for thread in self.following {
            if thread.join().is_err() {
                tracing::error!("a thread of this follower had panicked");
            }
        }
        won
    }
}

impl Standing {
    /// Follows, or watches over leading, until the node is to be started again.
    pub(crate) fn start(self, around: Around<'_>) -> Result<Running, StartError> {
        let secret = around.signer.derive(PURPOSE);
        let nodes = Nodes::new(&secret).map_err(NodesError::from)?;
        let (rebuild, stop) = (Arc::clone(around.rebuild), Arc::clone(around.stop));
        let election = self.election;
        Ok(match self.role {
            Role::Leads(leadership) => {
                let (listener, ingress) = (around.listener, Arc::clone(around.ingress));
                relay::listen(nodes, listener, ingress, Arc::clone(&leadership), around.runtime)?;
                let watched = Arc::clone(&leadership);
                let watching = thread::Builder::new()
                    .name("cluster".to_owned())
                    .spawn(move || watch_leadership(&election, &watched, &rebuild, &stop))?;
                Running { watching, following: Vec::new(), leadership: Some(leadership) }
            }
            Role::Follows(following) => {
                let ((leads, leader), (shows, shown)) = (watch::channel(None), unbounded());
                // One that waits is as good as many.
                let (added, folded) = bounded(1);
                let sources = Sources {
                    submissions: around.submissions,
                    folded_first: following.next.clone(),
                    folded: shown,
                    leader,
                };
                let mut threads =
                    vec![Forwarder::start(nodes, sources, Arc::clone(&stop), around.runtime)?];
                if let Some(sealer) = around.sealer {
                    let reader = following.reader()?;
                    let behind = Behind { origin: around.own, sealer, reader, folded };
                    threads.push(behind.start(Arc::clone(&stop))?);
                }
                let (ingress, tell) = (Arc::clone(around.ingress), Tell { shows, added, leads });
                let watching = thread::Builder::new()
                    .name("cluster".to_owned())
                    .spawn(move || following.run(&election, &ingress, &tell, &rebuild, &stop))?;
                Running { watching, following: threads, leadership: None }
            }
        })
    }
}

/// Has the node started again when it leads no longer: once another node leads, or it may lead anew.
/// Until then it answers queries from what it has.
fn watch_leadership(
    election: &EtcdElection,
    leadership: &EtcdLeadership,
    rebuild: &OnceLock<String>,
    stop: &AtomicBool,
) -> Won {
    let is_stopping = || stop.load(Ordering::Relaxed);
    while !leadership.await_end(WAIT) {
        if is_stopping() {
            return None;
        }
    }
    tracing::warn!("this node leads its site no longer; queries are still answered");
    // It may be over since this node cannot write.
    leadership.resign();
    while !is_stopping() {
        // A reason to start again that was there before is as good.
        match election.campaign(Duration::ZERO) {
            Ok(Some(won)) => {
                let _ = rebuild.set("this node leads its site anew".to_owned());
                return Some(Arc::new(won));
            }
            Ok(None) => {
                let _ = rebuild.set("another node leads the site".to_owned());
                return None;
            }
            Err(error) => {
                tracing::warn!(%error, "nobody is known to lead the site");
                thread::sleep(WAIT);
            }
        }
    }
    None
}

/// Whom a follower tells of what.
struct Tell {
    /// So much is folded and published.
    shows: Sender<BTreeMap<Origin, u64>>,
    /// There are entries to seal.
    added: Sender<()>,
    /// Which node leads.
    leads: watch::Sender<Leader>,
}

/// Tells which node leads; this one does when nobody else did.
fn look(election: &EtcdElection, tell_leader: &watch::Sender<Leader>) -> Won {
    let leader = match election.leader() {
        Ok(leader) => leader,
        Err(error) => {
            // While etcd is silent nobody can begin to lead.
            tracing::warn!(%error, "it is not known who leads the site");
            return None;
        }
    };
    let at = leader.as_ref().and_then(|leader| Some((leader.epoch, leader.name.parse().ok()?)));
    tell_leader.send_if_modified(|known| std::mem::replace(known, at) != at);
    match leader {
        Some(_) => None,
        None => election
            .campaign(Duration::ZERO)
            .unwrap_or_else(|error| {
                tracing::warn!(%error, "this node could not become the leader");
                None
            })
            .map(Arc::new),
    }
}

/// Why a follower does not fold what there is.
enum FollowError {
    /// etcd does not answer.
    Silent(EngineError),
    /// All must be folded anew, and why.
    Anew(String),
}

impl Following {
    /// A reader of its own, for operators.
    pub(crate) fn reader(&self) -> Result<Box<dyn EngineReader>, EngineError> {
        Ok(Box::new(EtcdReader::open(&self.place)?))
    }

    /// The site's newest log by its name, once it has begun.
    pub(crate) fn own_log(&mut self, ledger_name: &str) -> Result<Origin, StartError> {
        let end = Instant::now() + BEGIN_PATIENCE;
        let mut known = Vec::new();
        loop {
            if let Some(own) = recover::own_logs(&mut *self.follower, ledger_name)?.last() {
                return Ok(*own);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(EngineError::Unavailable {
                    doing: "follow the site's log",
                    place: ledger_name.to_owned(),
                    cause: "the node that leads has not begun it".to_owned(),
                }
                .into());
            }
            known = self.follower.await_ends(&known, left.min(WAIT))?;
        }
    }

    /// Folds what there is, to go on from.
    pub(crate) fn begin(&mut self, own: Origin) -> Result<State, StartError> {
        // What is appended behind these ends, while it is looked for takeovers, is folded later.
        let ends = self.follower.ends()?;
        let mut folding = recover::begin_following(&mut *self.follower, own)?;
        for &(log, end) in &ends {
            let origin = recover::origin_of(log);
            self.next.insert(origin, folding.state().next_of(origin));
            self.fold_log(log, end, &mut folding, &mut Effects::default(), true).map_err(
                |error| match error {
                    FollowError::Silent(error) => LogError::Engine(error),
                    FollowError::Anew(reason) => {
                        LogError::Entry { index: self.next[&origin], reason }
                    }
                },
            )?;
        }
        self.known = ends;
        let state = folding.state().clone();
        self.folding = Some(folding);
        Ok(state)
    }

    /// Folds what is appended from now on and publishes it, until the node is to be started again.
    fn run(
        mut self: Box<Self>,
        election: &EtcdElection,
        ingress: &Ingress,
        tell: &Tell,
        rebuild: &OnceLock<String>,
        stop: &AtomicBool,
    ) -> Won {
        let mut folding = self.folding.take()?;
        let mut looked: Option<Instant> = None;
        while !stop.load(Ordering::Relaxed) {
            if looked.is_none_or(|at| at.elapsed() >= LOOK_INTERVAL) {
                looked = Some(Instant::now());
                if let Some(won) = look(election, &tell.leads) {
                    let _ = rebuild.set("this node leads the site from now on".to_owned());
                    return Some(won);
                }
            }
            match self.step(&mut folding, ingress) {
                Ok(true) => {
                    // Those who listen end when this one is told to; a full channel means that
                    // it has been said already.
                    let _ = tell.shows.send(self.next.clone());
                    let _ = tell.added.try_send(());
                }
                Ok(false) => {}
                Err(reason) => {
                    let _ = rebuild.set(reason);
                    return None;
                }
            }
        }
        None
    }

    /// Waits a moment for entries, folds and publishes them, and says whether there were any; an
    /// error says why all must be folded anew.
    fn step(&mut self, folding: &mut Folding, ingress: &Ingress) -> Result<bool, String> {
        let ends = match self.follower.await_ends(&self.known, WAIT) {
            Ok(ends) => ends,
            Err(error) => {
                tracing::warn!(%error, "this node does not hear of changes at the moment");
                return Ok(false);
            }
        };
        if ends == self.known {
            return Ok(false);
        }
        if self
            .next
            .keys()
            .any(|origin| !ends.iter().any(|(log, _)| *log == recover::log_id(*origin)))
        {
            return Err("a copy of another site's log was removed".to_owned());
        }
        let mut effects = Effects::default();
        let mut silence = None;
        for &(log, end) in &ends {
            match self.fold_log(log, end, folding, &mut effects, false) {
                Ok(()) => {}
                Err(FollowError::Silent(error)) => silence = Some(error),
                Err(FollowError::Anew(reason)) => return Err(reason),
            }
        }
        match silence {
            None => self.known = ends,
            Some(error) => {
                tracing::warn!(%error, "this node does not hear of all changes at the moment");
            }
        }
        let zones = folding.state().zones.clone();
        ingress.zones.publish(Publication { zones, steps: effects.steps });
        Ok(true)
    }

    fn fold_log(
        &mut self,
        log: LogId,
        end: u64,
        folding: &mut Folding,
        effects: &mut Effects,
        are_takeovers_known: bool,
    ) -> Result<(), FollowError> {
        let origin = recover::origin_of(log);
        let next = self.next.entry(origin).or_default();
        if end < *next {
            return Err(FollowError::Anew(format!("the log {origin} begins anew")));
        }
        while *next < end {
            let mut outcome = Ok(());
            let read = self.follower.read(log, *next, READ_OCTETS, &mut |index, _, octets| {
                if outcome.is_err() || index >= end {
                    return;
                }
                let is_takeover = find_takeover(Position { origin, index }, octets).is_some();
                if is_takeover && !are_takeovers_known {
                    outcome = Err("another log goes on for a lost one".to_owned());
                    return;
                }
                outcome = folding.take(origin, octets, effects).map_err(|error| error.to_string());
                *next = index + 1;
            });
            outcome.map_err(FollowError::Anew)?;
            read.map_err(|error| match error {
                EngineError::Unavailable { .. } => FollowError::Silent(error),
                error => FollowError::Anew(error.to_string()),
            })?;
        }
        Ok(())
    }
}
