//! Keeps zones in step with other servers: follows primaries, tells secondaries, brings catalogs
//! in line. One task owns all of it, with one queue of timers; what takes time runs beside it.
//!
//! It changes nothing itself: what is to change goes to the commit as a request, like anybody's.

mod ask;
mod catalogs;
mod changes;
mod telling;
mod timers;

pub(crate) use changes::{Changes, changed_zones, channel};

use crate::files;
use ask::Bounds;
use changes::Changed;
use einhorn_core::model::Zone;
use einhorn_core::model::settings::{Remote, Role};
use einhorn_core::rules::follow::{Attempt, Follow, State, Turn};
use einhorn_ingress::control::FollowLine;
use einhorn_ingress::{Ingress, Notified};
use einhorn_wire::Name;
use einhorn_wire::rdata::{SoaNumbers, soa_numbers};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use telling::Tellings;
use timers::Timers;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Questions of operators that may wait.
const QUESTIONS_WAITING_MAX: usize = 64;
/// How long changes that concern a catalog gather before it is brought in line, in milliseconds.
const CATALOG_DELAY_MS: u64 = 100;
/// How long until a catalog that could not be brought in line is tried again, in milliseconds.
const CATALOG_RETRY_MS: u64 = 30_000;
/// Things done before the task lets others run.
const BURST_MAX: usize = 256;

/// What is due at some time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Job {
    /// Wake the state machine of a followed zone.
    Wake(Name),
    /// Tell a server of a zone's serial.
    Tell(Name, SocketAddr),
    /// Bring a catalog in line.
    Catalog(Name),
}

/// What was done beside the task.
enum Done {
    /// A primary was asked.
    Asked { zone: Name, generation: u64, outcome: Result<SoaNumbers, String> },
    /// A server was told.
    Told { zone: Name, address: SocketAddr, outcome: Result<u32, String> },
    /// A catalog was brought in line.
    Catalog { catalog: Name, outcome: Result<Vec<String>, String> },
}

/// What an operator wants of it.
pub(crate) enum Question {
    /// How the followed zones are.
    Status(oneshot::Sender<HashMap<Name, FollowLine>>),
    /// Ask a zone's primary now.
    Refresh(Name, oneshot::Sender<Result<String, String>>),
    /// Tell a zone's servers now.
    Notify(Name, oneshot::Sender<Result<String, String>>),
}

/// A followed zone.
struct Followed {
    follow: Follow,
    primaries: Vec<Remote>,
    has_content: bool,
    /// Attempts of an earlier life of the zone do not count.
    generation: u64,
    /// Why the last attempt failed.
    problem: Option<String>,
}

/// The task.
pub(crate) struct Keeper {
    ingress: Arc<Ingress>,
    begun: Instant,
    bounds: Bounds,
    timers: Timers<Job>,
    followed: HashMap<Name, Followed>,
    generation: u64,
    tellings: Tellings,
    expired: HashSet<Name>,
    /// Whether queries do not see it yet.
    expired_changed: bool,
    /// The catalog that each zone is listed in.
    listed: HashMap<Name, Name>,
    consumers: BTreeSet<Name>,
    /// Catalogs being brought in line, and whether once is not enough.
    lining_up: HashMap<Name, bool>,
    /// What was said of each catalog last, so that it is not said again.
    said: HashMap<Name, Vec<String>>,
    under_way: JoinSet<Done>,
}

/// Where to send questions.
pub(crate) type Questions = mpsc::Sender<Question>;

/// The way to ask the keeper.
pub(crate) fn questions() -> (Questions, mpsc::Receiver<Question>) {
    mpsc::channel(QUESTIONS_WAITING_MAX)
}

impl Keeper {
    pub(crate) fn new(ingress: Arc<Ingress>) -> Keeper {
        Keeper {
            ingress,
            begun: Instant::now(),
            bounds: Bounds::new(),
            timers: Timers::new(),
            followed: HashMap::new(),
            generation: 0,
            tellings: Tellings::new(),
            expired: HashSet::new(),
            expired_changed: false,
            listed: HashMap::new(),
            consumers: BTreeSet::new(),
            lining_up: HashMap::new(),
            said: HashMap::new(),
            under_way: JoinSet::new(),
        }
    }

    /// Runs until the runtime ends.
    pub(crate) async fn run(
        mut self,
        mut changed: Changed,
        mut notifications: mpsc::Receiver<Notified>,
        mut questions: mpsc::Receiver<Question>,
    ) {
        self.look_at_everything(true);
        loop {
            let due = self.timers.next_ms().map(|ms| self.begun + Duration::from_millis(ms));
            let due_or_late = due.unwrap_or_else(|| Instant::now() + Duration::from_secs(3_600));
            tokio::select! {
                everything = changed.wait() => match everything {
                    None => self.look_at_everything(false),
                    Some(zone) => self.look(&zone, false),
                },
                Some(notified) = notifications.recv() => self.notified(&notified),
                Some(question) = questions.recv() => self.question(question),
                Some(done) = self.under_way.join_next() => if let Ok(done) = done { self.done(done) },
                () = tokio::time::sleep_until(due_or_late) => {}
            }
            self.do_what_is_due();
            self.publish_expired();
        }
    }

    fn now_ms(&self) -> u64 {
        self.begun.elapsed().as_millis() as u64
    }

    fn do_what_is_due(&mut self) {
        for _ in 0..BURST_MAX {
            let Some(job) = self.timers.pop(self.now_ms()) else { break };
            match job {
                Job::Wake(zone) => self.wake(&zone),
                Job::Tell(zone, address) => {
                    self.tellings.tell(&self.ingress, &zone, address, &mut self.under_way);
                }
                Job::Catalog(catalog) => self.line_up(catalog),
            }
        }
    }

    fn look_at_everything(&mut self, is_start: bool) {
        let zones = self.ingress.zones.snapshot();
        let mut known: HashSet<Name> =
            self.followed.keys().chain(self.listed.keys()).cloned().collect();
        known.extend(self.consumers.iter().cloned());
        known.extend(zones.iter().map(|zone| zone.apex.clone()));
        known.iter().for_each(|zone| self.look(zone, is_start));
    }

    /// The zone may have changed: compares what is known of it with what it is.
    fn look(&mut self, name: &Name, is_start: bool) {
        let zone = self.ingress.zones.current().get(name).cloned();
        let now_ms = self.now_ms();
        match &zone {
            Some(zone) => self.tellings.look(zone, &mut self.timers, now_ms, is_start),
            None => self.tellings.forget(name),
        }
        // Of several sites the zone's home alone follows it, and keeps its catalogs.
        let own = self.ingress.site.load(Ordering::Relaxed);
        if zone.as_ref().is_some_and(|zone| zone.home.site != own) {
            return self.look_at_primaries(name, None);
        }
        self.look_at_primaries(name, zone.as_deref());
        self.look_at_catalogs(name, zone.as_deref());
    }

    fn look_at_primaries(&mut self, name: &Name, zone: Option<&Zone>) {
        let Some(zone) = zone.filter(|zone| zone.settings.is_followed()) else {
            if self.followed.remove(name).is_some() {
                self.timers.set(Job::Wake(name.clone()), None);
                self.set_expired(name, false);
            }
            return;
        };
        let soa = zone.soa().and_then(|soa| soa_numbers(soa.rdatas().next()?));
        let as_known = self.followed.get(name).is_some_and(|known| {
            known.primaries == zone.settings.primaries && (!known.has_content || soa.is_some())
        });
        if as_known {
            return;
        }
        self.generation += 1;
        let followed = Followed {
            follow: Follow::new(zone.settings.primaries.len(), soa, self.now_ms()),
            primaries: zone.settings.primaries.clone(),
            has_content: soa.is_some(),
            generation: self.generation,
            problem: None,
        };
        self.followed.insert(name.clone(), followed);
        self.settle(name);
    }

    /// Sets the timer of a followed zone, and whether it is served, as its state machine says.
    fn settle(&mut self, name: &Name) {
        let Some(followed) = self.followed.get(name) else { return };
        let (wake_ms, is_expired) = (followed.follow.wake_ms(), followed.follow.is_expired());
        self.timers.set(Job::Wake(name.clone()), wake_ms);
        self.set_expired(name, is_expired);
    }

    fn set_expired(&mut self, name: &Name, is_expired: bool) {
        let changed =
            if is_expired { self.expired.insert(name.clone()) } else { self.expired.remove(name) };
        self.expired_changed |= changed;
        if changed && is_expired {
            tracing::error!(zone = %name, "expired: its primaries could not be reached for too long; it is answered with SERVFAIL");
        }
    }

    /// Lets queries see which zones have expired: once for all that did so together.
    fn publish_expired(&mut self) {
        if std::mem::take(&mut self.expired_changed) {
            self.ingress.zones.set_expired(self.expired.clone());
        }
    }

    fn wake(&mut self, name: &Name) {
        let now_ms = self.now_ms();
        let Some(followed) = self.followed.get_mut(name) else { return };
        if let Some(primary) = followed.follow.wake(now_ms)
            && let Some(remote) = followed.primaries.get(primary).cloned()
        {
            let (zone, generation) = (name.clone(), followed.generation);
            let asked =
                ask::ask(Arc::clone(&self.ingress), self.bounds.clone(), zone.clone(), remote);
            self.under_way.spawn(async move {
                let outcome =
                    tokio::spawn(asked).await.unwrap_or_else(|error| Err(error.to_string()));
                Done::Asked { zone, generation, outcome }
            });
        }
        self.settle(name);
    }

    fn notified(&mut self, notified: &Notified) {
        let now_ms = self.now_ms();
        let Some(followed) = self.followed.get_mut(&notified.zone) else { return };
        let from = |primary: &Remote| primary.address.ip().to_canonical() == notified.address;
        followed.follow.notified(followed.primaries.iter().position(from), now_ms);
        self.settle(&notified.zone);
    }

    fn done(&mut self, done: Done) {
        match done {
            Done::Asked { zone, generation, outcome } => self.asked(&zone, generation, outcome),
            Done::Told { zone, address, outcome } => {
                let now_ms = self.now_ms();
                self.tellings.told(&zone, address, &outcome, &mut self.timers, now_ms);
            }
            Done::Catalog { catalog, outcome } => self.lined_up(&catalog, outcome),
        }
    }

    fn asked(&mut self, name: &Name, generation: u64, outcome: Result<SoaNumbers, String>) {
        let now_ms = self.now_ms();
        let followed = self.followed.get_mut(name);
        let Some(followed) = followed.filter(|known| known.generation == generation) else {
            return;
        };
        let primary = followed.primaries.get(followed.follow.primary()).cloned();
        let primary = primary.map_or_else(String::new, |primary| primary.to_string());
        let (attempt, problem) = match outcome {
            Ok(soa) => (Attempt::Current(soa), None),
            Err(reason) => (Attempt::Failed, Some(reason)),
        };
        followed.has_content |= problem.is_none();
        match followed.follow.ended(attempt, now_ms, jitter()) {
            Turn::Failing => {
                let reason = problem.as_deref().unwrap_or_default();
                tracing::warn!(zone = %name, %primary, reason, "cannot be refreshed; trying again and again");
            }
            Turn::Recovered => tracing::warn!(zone = %name, %primary, "is fresh again"),
            Turn::Same => {
                tracing::debug!(zone = %name, %primary, problem = problem.as_deref(), "asked");
            }
        }
        followed.problem = problem.map(|reason| format!("{primary}: {reason}"));
        self.settle(name);
    }

    fn question(&mut self, question: Question) {
        // Who does not wait for the answer any more does not get one.
        match question {
            Question::Status(reply) => _ = reply.send(self.status()),
            Question::Refresh(zone, reply) => _ = reply.send(self.refresh(&zone)),
            Question::Notify(zone, reply) => _ = reply.send(self.notify(&zone)),
        }
    }

    fn refresh(&mut self, name: &Name) -> Result<String, String> {
        let now_ms = self.now_ms();
        let followed = self.followed.get_mut(name);
        let followed = followed.ok_or_else(|| format!("zone {name} is not followed here"))?;
        followed.follow.notified(None, now_ms);
        let primary = followed.primaries.get(followed.follow.primary());
        let text = primary.map_or_else(String::new, |primary| format!("asking {primary}"));
        self.settle(name);
        Ok(text)
    }

    fn notify(&mut self, name: &Name) -> Result<String, String> {
        let zone = self.ingress.zones.current().get(name).cloned();
        let zone = zone.ok_or_else(|| format!("zone {name} is not served here"))?;
        let now_ms = self.now_ms();
        match self.tellings.want(&zone, &mut self.timers, now_ms) {
            0 => Err(format!("zone {name} has no servers to notify")),
            count => Ok(format!("telling {count} servers of serial {}", zone.serial)),
        }
    }

    fn status(&self) -> HashMap<Name, FollowLine> {
        let now_ms = self.now_ms();
        let line = |(name, followed): (&Name, &Followed)| {
            let follow = &followed.follow;
            let (state, since_ms) = match follow.state() {
                State::Fresh => ("fresh", None),
                State::Beginning => ("beginning", None),
                State::Retrying { since_ms } => ("retrying", Some(since_ms)),
                State::Expired { since_ms } => ("expired", Some(since_ms)),
            };
            let line = FollowLine {
                state: state.to_owned(),
                since_seconds: since_ms.map(|since_ms| now_ms.saturating_sub(since_ms) / 1000),
                primary: followed
                    .primaries
                    .get(follow.primary())
                    .map_or_else(String::new, ToString::to_string),
                next_poll_seconds: (!follow.is_asking())
                    .then(|| follow.poll_ms().saturating_sub(now_ms) / 1000),
                problem: followed.problem.clone(),
            };
            (name.clone(), line)
        };
        self.followed.iter().map(line).collect()
    }
}

/// What catalogs need.
impl Keeper {
    fn look_at_catalogs(&mut self, name: &Name, zone: Option<&Zone>) {
        let role = zone.map(|zone| &zone.settings.role);
        let catalog = match role {
            Some(Role::Listed { catalog }) => Some(catalog.clone()),
            _ => None,
        };
        let listed_before = match &catalog {
            Some(catalog) => self.listed.insert(name.clone(), catalog.clone()),
            None => self.listed.remove(name),
        };
        if listed_before != catalog {
            listed_before.into_iter().chain(catalog).for_each(|catalog| self.mark(catalog));
        }
        match role {
            Some(Role::Producer) => self.mark(name.clone()),
            Some(Role::Consumer) => {
                self.consumers.insert(name.clone());
                self.mark_consumers();
            }
            _ if self.consumers.remove(name) => self.mark(name.clone()),
            Some(Role::Member { catalog, .. }) if !self.consumers.contains(catalog) => {
                let catalog = catalog.clone();
                self.mark(catalog);
            }
            Some(_) => {}
            // A name that becomes free may be one that a catalog lists.
            None => self.mark_consumers(),
        }
    }

    fn mark_consumers(&mut self) {
        let consumers: Vec<Name> = self.consumers.iter().cloned().collect();
        consumers.into_iter().for_each(|catalog| self.mark(catalog));
    }

    /// The catalog is to be brought in line soon.
    fn mark(&mut self, catalog: Name) {
        match self.lining_up.get_mut(&catalog) {
            Some(again) => *again = true,
            None => {
                let due_ms = self.now_ms() + CATALOG_DELAY_MS;
                self.timers.set_if_idle(Job::Catalog(catalog), due_ms);
            }
        }
    }

    fn line_up(&mut self, catalog: Name) {
        self.lining_up.insert(catalog.clone(), false);
        let ingress = Arc::clone(&self.ingress);
        self.under_way.spawn(async move {
            let name = catalog.clone();
            let work = move || catalogs::bring_in_line(&ingress, &name);
            let outcome = tokio::task::spawn_blocking(work).await;
            let outcome = outcome.unwrap_or_else(|error| Err(error.to_string()));
            Done::Catalog { catalog, outcome }
        });
    }

    fn lined_up(&mut self, catalog: &Name, outcome: Result<Vec<String>, String>) {
        let again = self.lining_up.remove(catalog).unwrap_or(false);
        let (warnings, has_failed) = match outcome {
            Ok(warnings) => (warnings, false),
            Err(reason) => (vec![format!("catalog {catalog}: {reason}")], true),
        };
        let before = self.said.insert(catalog.clone(), warnings.clone()).unwrap_or_default();
        for warning in warnings.iter().filter(|warning| !before.contains(warning)) {
            tracing::warn!("{warning}");
        }
        let now_ms = self.now_ms();
        if has_failed {
            self.timers.set(Job::Catalog(catalog.clone()), Some(now_ms + CATALOG_RETRY_MS));
        } else if again {
            self.timers.set(Job::Catalog(catalog.clone()), Some(now_ms + CATALOG_DELAY_MS));
        }
    }
}

/// Some number; without random numbers zones ask in step, which is bearable.
fn jitter() -> u16 {
    let mut octets = [0; 2];
    files::random(&mut octets).map_or(0, |()| u16::from_be_bytes(octets))
}
