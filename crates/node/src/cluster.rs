//! A site of several nodes on one etcd: one of them leads and the others follow.
//!
//! The leader runs as the one node of a site does. A follower answers queries from what it folds
//! of the same logs, and refuses changes. Which it is, a node is from one start to the next: when
//! the leadership ends, or nobody leads, it starts again. It must never write as a follower.

use crate::config::EtcdConfig;
use crate::recover::{self, LogError};
use crate::start::StartError;
use einhorn_core::commit::start::{Folding, find_takeover};
use einhorn_core::model::{Effects, Origin, Position, Publication, State};
use einhorn_serve::publish::Published;
use einhorn_store::engine::etcd::{EtcdElection, EtcdFollower, EtcdLeader, EtcdLeadership};
use einhorn_store::engine::{EngineError, EngineReader, EtcdPlace, LogId};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How often a follower looks whether anybody leads.
const LOOK_INTERVAL: Duration = Duration::from_millis(300);
/// How long a thread waits at once: a stop takes as long.
const WAIT: Duration = Duration::from_millis(200);
/// How long a follower waits for the site's log to begin, when it starts with the first leader.
const BEGIN_PATIENCE: Duration = Duration::from_secs(20);
/// Octets of entries that a follower reads at once.
const READ_OCTETS: usize = 1 << 20;

/// What this node is.
pub(crate) enum Standing {
    /// It leads.
    Leads(Arc<EtcdLeadership>),
    /// Another one does.
    Follows(Box<Following>),
}

/// A follower: what it has folded, and how far.
pub(crate) struct Following {
    election: EtcdElection,
    pub(crate) follower: EtcdFollower,
    folding: Option<Folding>,
    known: Vec<(LogId, u64)>,
    next: BTreeMap<Origin, u64>,
}

impl Standing {
    /// Leads if nobody does. Others learn `name`.
    pub(crate) fn take(config: &EtcdConfig, name: &str) -> Result<Standing, StartError> {
        let place = EtcdPlace::new(config.endpoints.iter(), &config.prefix);
        let election = EtcdElection::open(&place, name)?;
        Ok(match election.campaign(Duration::ZERO)? {
            Some(leadership) => Standing::Leads(Arc::new(leadership)),
            None => Standing::Follows(Box::new(Following {
                election,
                follower: EtcdFollower::open(&place)?,
                folding: None,
                known: Vec::new(),
                next: BTreeMap::new(),
            })),
        })
    }
}

/// The thread that keeps watch over what this node is.
pub(crate) struct Running {
    thread: JoinHandle<()>,
    leadership: Option<Arc<EtcdLeadership>>,
}

impl Running {
    /// To be called when nothing writes any more: another node may lead then.
    pub(crate) fn stop(self) -> JoinHandle<()> {
        self.leadership.iter().for_each(|leadership| leadership.resign());
        self.thread
    }
}

impl Standing {
    /// Follows, or watches over leading, until the node is to be started again.
    pub(crate) fn start(
        self,
        published: &Published,
        rebuild: &Arc<OnceLock<String>>,
        stop: &Arc<AtomicBool>,
    ) -> std::io::Result<Running> {
        let (rebuild, stop) = (Arc::clone(rebuild), Arc::clone(stop));
        Ok(match self {
            Standing::Leads(leadership) => Running {
                thread: watch_leadership(Arc::clone(&leadership), rebuild, stop)?,
                leadership: Some(leadership),
            },
            Standing::Follows(following) => Running {
                thread: following.start(published.clone(), rebuild, stop)?,
                leadership: None,
            },
        })
    }
}

/// Has the node started again when it leads no longer.
fn watch_leadership(
    leadership: Arc<EtcdLeadership>,
    rebuild: Arc<OnceLock<String>>,
    stop: Arc<AtomicBool>,
) -> std::io::Result<JoinHandle<()>> {
    thread::Builder::new().name("cluster".to_owned()).spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            if leadership.await_end(WAIT) {
                // A reason that was there before is as good.
                let _ = rebuild.set("this node leads its site no longer".to_owned());
                return;
            }
        }
    })
}

impl Following {
    /// Why changes are refused here.
    pub(crate) fn reason(&self) -> Result<String, StartError> {
        Ok(match self.election.leader()? {
            Some(EtcdLeader { name, .. }) => format!("this node follows; {name} leads the site"),
            None => "this node follows, and nobody leads the site yet".to_owned(),
        })
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
            self.fold_log(log, end, &mut folding, &mut Effects::default(), true)
                .map_err(|reason| LogError::Entry { index: self.next[&origin], reason })?;
        }
        self.known = ends;
        let state = folding.state().clone();
        self.folding = Some(folding);
        Ok(state)
    }

    /// Folds what is appended from now on and publishes it, until the node is to be started again.
    fn start(
        mut self: Box<Self>,
        published: Published,
        rebuild: Arc<OnceLock<String>>,
        stop: Arc<AtomicBool>,
    ) -> std::io::Result<JoinHandle<()>> {
        thread::Builder::new().name("cluster".to_owned()).spawn(move || {
            let Some(mut folding) = self.folding.take() else { return };
            let mut looked = Instant::now();
            while !stop.load(Ordering::Relaxed) {
                if let Err(reason) = self.step(&mut folding, &published) {
                    let _ = rebuild.set(reason);
                    return;
                }
                if looked.elapsed() >= LOOK_INTERVAL {
                    looked = Instant::now();
                    // While etcd is silent nobody can lead, and queries are answered on.
                    if let Ok(None) = self.election.leader() {
                        let _ = rebuild.set("nobody leads the site: this node tries to".to_owned());
                        return;
                    }
                }
            }
        })
    }

    /// Waits a moment for entries and folds them; an error says why all must be folded anew.
    fn step(&mut self, folding: &mut Folding, published: &Published) -> Result<(), String> {
        let ends = match self.follower.await_ends(&self.known, WAIT) {
            Ok(ends) => ends,
            Err(error) => {
                tracing::warn!(%error, "this node does not hear of changes at the moment");
                return Ok(());
            }
        };
        if ends == self.known {
            return Ok(());
        }
        if self
            .next
            .keys()
            .any(|origin| !ends.iter().any(|(log, _)| *log == recover::log_id(*origin)))
        {
            return Err("a copy of another site's log was removed".to_owned());
        }
        let mut effects = Effects::default();
        for &(log, end) in &ends {
            self.fold_log(log, end, folding, &mut effects, false)?;
        }
        self.known = ends;
        let zones = folding.state().zones.clone();
        published.publish(Publication { zones, steps: effects.steps });
        Ok(())
    }

    fn fold_log(
        &mut self,
        log: LogId,
        end: u64,
        folding: &mut Folding,
        effects: &mut Effects,
        are_takeovers_known: bool,
    ) -> Result<(), String> {
        let origin = recover::origin_of(log);
        let next = self.next.entry(origin).or_default();
        if end < *next {
            return Err(format!("the log {origin} begins anew"));
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
            outcome?;
            read.map_err(|error| LogError::from(error).to_string())?;
        }
        Ok(())
    }
}
