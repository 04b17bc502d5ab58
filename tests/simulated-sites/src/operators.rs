//! What operators do: add the sites one after the other, make the zones, suspend and resume, and
//! take over from a site that is really down.

use crate::keys::{card, site_name};
use crate::plan::Failovers;
use crate::world::{Event, World};
use einhorn_core::model::entry::Body;
use einhorn_core::model::registry::{Failover, RegistryChange};
use einhorn_core::model::request::{Action, Commitment, Identity, Outcome, Request, RequestId};
use einhorn_core::model::review::Choice;
use einhorn_core::model::settings::{Contested, Reverse, Settings};
use einhorn_core::rules::zone::names_of_zone;
use einhorn_wire::message::Rcode;
use einhorn_wire::{Name, zonefile};
use std::collections::BTreeMap;
use std::path::Path;

/// The token of requests that sites make for themselves.
pub(crate) const REGISTER: u64 = u64::MAX;
/// The token of operators' requests.
pub(crate) const DESK: u64 = u64::MAX - 1;
/// How often an operator looks, in milliseconds.
const LOOK_MS: u64 = 100;

/// The zones.
pub(crate) const ZONES: [&str; 4] = ["a.test.", "b.test.", "c.test.", REVERSE];
/// Where the reverse records of all addresses that clients have are.
pub(crate) const REVERSE: &str = "0.0.in-addr.arpa.";
/// The one that comes and goes.
pub(crate) const PASSING: usize = 2;
/// How long changes of flapping names are held, in milliseconds.
const COALESCE_MS: u16 = 150;
/// How often it does, about, in milliseconds.
const PASSING_MS: u64 = 1_500;

/// What operators are about.
#[derive(Default)]
pub(crate) struct Desk {
    /// How much of the setup is done.
    done: usize,
    /// Until when the answer to what was asked is waited for.
    asked: Option<u64>,
    /// The request of the setup that is not done yet.
    setup: Option<Request>,
    /// The sites that are to be taken over, and from when on.
    pub(crate) lost: BTreeMap<u16, u64>,
    /// Whether to suspend or resume a site.
    pub(crate) suspend: Option<(u16, bool)>,
    /// When the passing zone is made or removed next.
    passes_at: u64,
    /// Whether everything is being put right.
    pub(crate) is_healing: bool,
}

pub(crate) fn name(text: &str) -> Name {
    match text.parse() {
        Ok(name) => name,
        Err(_) => unreachable!("{text} is a name"),
    }
}

impl World {
    /// A request of a site or an operator.
    pub(crate) fn own_request(&mut self, site: u16, action: Action) -> Request {
        let mut id = [0; 32];
        self.random.fill(&mut id);
        let clock = self.now;
        Request {
            id: RequestId(id),
            remember_until_seconds: clock / 1000 + 600,
            who: Identity::Operator,
            zone: name(ZONES[0]),
            action,
            entered_site: site,
            audit_commitment: Commitment([0; 32]),
            decision: None,
            audit: Vec::new(),
        }
    }

    /// The setup, in order.
    fn setup(&self) -> Vec<(&'static str, Action)> {
        let mut setup: Vec<(&str, Action)> = Vec::new();
        for zone in ZONES {
            setup.push((zone, load(zone)));
        }
        for site in 2..=self.plan.sites {
            let change = RegistryChange::Put { site: card(&self.signing, site, 1) };
            setup.push((ZONES[0], Action::Sites(change)));
        }
        for (zone, level) in ZONES.into_iter().zip(self.plan.levels) {
            let is_reviewed = self.plan.reviews && zone == ZONES[0];
            let contested = if is_reviewed { Contested::Review } else { Contested::default() };
            let coalesce_ms = if self.plan.coalesces { COALESCE_MS } else { 0 };
            let reverse = match self.plan.reverse && [ZONES[0], ZONES[1]].contains(&zone) {
                true => Reverse::Auto,
                false => Reverse::default(),
            };
            let settings =
                Settings { level, contested, coalesce_ms, reverse, ..Settings::default() };
            setup.push((zone, Action::Configure(settings)));
        }
        if self.plan.failover == Failovers::Auto {
            let failover = Failover::Auto { after_ms: 2_500 };
            setup.push((ZONES[0], Action::Sites(RegistryChange::Failover(failover))));
        }
        setup
    }

    /// An operator looks what is to be done.
    pub(crate) fn desk(&mut self) -> Result<(), String> {
        self.later(LOOK_MS, Event::Desk);
        if self.is_chaos || self.desk.is_healing {
            if self.desk.is_healing {
                self.resume();
            }
            self.suspend()?;
            self.pass_zone()?;
            self.resolve()?;
            self.bring_back();
            return self.take_over();
        }
        let mut setup = self.setup();
        if self.desk.done == setup.len() {
            self.is_chaos = self.is_set_up();
            return Ok(());
        }
        let commit = self.site(1).commit.as_ref();
        let is_registered = commit.is_some_and(|commit| !commit.state().registry.sites.is_empty());
        let is_asked = self.desk.asked.is_some_and(|until| self.now < until);
        if !is_registered || is_asked {
            return Ok(());
        }
        let request = self.desk.setup.take().unwrap_or_else(|| {
            let (zone, action) = setup.swap_remove(self.desk.done);
            Request { zone: name(zone), ..self.own_request(1, action) }
        });
        self.desk.setup = Some(request.clone());
        self.desk.asked = Some(self.now + 5_000);
        self.with(1, |commit, clock, out| commit.request(clock, request, DESK, out))
    }

    /// An operator is answered.
    pub(crate) fn desk_answered(&mut self, outcome: &Outcome) -> Result<(), String> {
        let is_setup = !self.is_chaos && !self.desk.is_healing;
        match outcome {
            Outcome::Done { .. } if is_setup => {
                self.desk.setup = None;
                self.desk.asked = None;
                self.desk.done += 1;
            }
            Outcome::Done { .. } => {}
            // Who is told that it may yet be done asks for the same again.
            Outcome::Refused { rcode: Rcode::SERVFAIL, .. } => self.desk.asked = None,
            Outcome::Refused { .. } if is_setup => {
                return Err(format!("the setup fails: {outcome:?}"));
            }
            Outcome::Refused { .. } => self.desk.asked = None,
        }
        Ok(())
    }

    /// Whether all sites have all that there is.
    fn is_set_up(&self) -> bool {
        let states: Vec<_> = self.sites.iter().filter_map(|site| site.commit.as_ref()).collect();
        let Some(first) = states.first().map(|commit| commit.state().registry.version) else {
            return false;
        };
        states.len() == self.sites.len()
            && states.iter().all(|commit| {
                let state = commit.state();
                let levels = ZONES.iter().zip(self.plan.levels);
                let zones = { levels }.all(|(zone, level)| {
                    let zone = state.zones.get(&name(zone));
                    zone.is_some_and(|zone| zone.settings.level == level)
                });
                state.registry.version == first && zones && state.next_index() > 0
            })
    }

    /// Makes the passing zone or removes it, somewhere.
    fn pass_zone(&mut self) -> Result<(), String> {
        let is_due = self.now >= self.desk.passes_at && self.is_chaos && self.plan.passing_zone;
        let at = 1 + self.random.below(self.plan.sites.into()) as u16;
        if !is_due || !self.is_running(at) || self.site(at).paused_until > self.now {
            return Ok(());
        }
        self.desk.passes_at = self.now + self.between(1, 2 * PASSING_MS);
        let zone = ZONES[PASSING];
        let is_there = self.site(at).zones.get(&name(zone)).is_some();
        let action = if is_there { Action::RemoveZone } else { load(zone) };
        let mut request = self.own_request(at, action);
        request.zone = name(zone);
        self.note(|| format!("an operator at s{at} has {zone}: {is_there}, and changes that"));
        self.with(at, |commit, clock, out| commit.request(clock, request, DESK, out))
    }

    /// Whatever is suspended is to count again.
    fn resume(&mut self) {
        let commits = self.sites.iter().filter_map(|site| site.commit.as_ref());
        let mut sites = commits.flat_map(|commit| commit.state().registry.sites.iter());
        let suspended = sites.find(|(_, site)| site.is_suspended).map(|(number, _)| *number);
        self.desk.suspend = suspended.map(|site| (site, false));
    }

    /// Decides on something that waits for that, somewhere.
    fn resolve(&mut self) -> Result<(), String> {
        let at = 1 + self.random.below(self.plan.sites.into()) as u16;
        let is_there = self.is_running(at) && self.site(at).paused_until <= self.now;
        let is_wanted = self.plan.reviews && !self.desk.is_healing;
        if !is_wanted || !is_there || !self.random.one_in(3) {
            return Ok(());
        }
        let choice = Choice::ALL[self.random.below(Choice::ALL.len() as u64) as usize];
        let reviews =
            self.site(at).commit.as_ref().map_or_else(Vec::new, |commit| commit.reviews());
        let Some(review) = reviews.first() else { return Ok(()) };
        let mut request = self.own_request(at, review.resolution(choice));
        request.zone = review.open.review.change.zone.clone();
        self.note(|| format!("an operator at s{at} decides on {}: {choice}", review.at));
        self.with(at, |commit, clock, out| commit.request(clock, request, DESK, out))
    }

    /// Suspends a site or resumes it.
    fn suspend(&mut self) -> Result<(), String> {
        let Some((site, is_suspended)) = self.desk.suspend else { return Ok(()) };
        let mut at: Vec<u16> = (1..=self.plan.sites).filter(|at| self.is_running(*at)).collect();
        at.retain(|at| *at != site);
        let Some(at) = at.first().copied() else { return Ok(()) };
        let known = self
            .site(at)
            .commit
            .as_ref()
            .and_then(|commit| Some(commit.state().registry.sites.get(&site)?.is_suspended));
        if known == Some(is_suspended) {
            self.desk.suspend = None;
            return Ok(());
        }
        if self.desk.asked.is_some_and(|until| self.now < until) {
            return Ok(());
        }
        let change = RegistryChange::Suspend { site, is_suspended };
        let request = self.own_request(at, Action::Sites(change));
        self.desk.asked = Some(self.now + 1_500);
        self.note(|| format!("an operator at s{at} suspends s{site}: {is_suspended}"));
        self.with(at, |commit, clock, out| commit.request(clock, request, DESK, out))
    }

    /// Takes over from sites that are down.
    fn take_over(&mut self) -> Result<(), String> {
        let now = self.now;
        let due = self.desk.lost.iter().filter(|(_, from)| **from <= now);
        let due: Vec<u16> = due.map(|(lost, _)| *lost).collect();
        for lost in due {
            self.desk.lost.insert(lost, now + 500);
            let running: Vec<u16> = (1..=self.plan.sites).filter(|s| self.is_running(*s)).collect();
            if running.is_empty() || running.contains(&lost) {
                continue;
            }
            // Operators do not always agree on who goes on: the sites must.
            let at = running[self.random.below(running.len() as u64) as usize];
            let is_attested = running.len() < usize::from(self.plan.sites) / 2 + 1;
            self.ask_to_take_over(at, lost, is_attested)?;
        }
        Ok(())
    }

    /// An operator asks a site to take over from another one, which may say no.
    pub(crate) fn ask_to_take_over(
        &mut self,
        at: u16,
        lost: u16,
        is_attested: bool,
    ) -> Result<(), String> {
        self.note(|| format!("an operator at s{at} takes over from {}", site_name(lost)));
        let result: Option<Result<(), String>> = self
            .with(at, |commit, clock, out| Some(commit.fail_over(clock, lost, is_attested, out)))?;
        self.note(|| format!("{result:?}"));
        Ok(())
    }

    /// Whether a takeover of the site's newest log is known at a running site.
    pub(crate) fn is_taken_over(&self, lost: u16) -> bool {
        let states = self.sites.iter().filter_map(|site| Some(site.commit.as_ref()?.state()));
        let mut closed = states.map(|state| {
            let log = state.log_of_site(lost);
            log.is_some_and(|log| state.in_charge(log) != log)
        });
        closed.any(|closed| closed)
    }

    /// Whether entries that clients or sites saw may have been cut off by a takeover or a restore.
    pub(crate) fn has_lost_tails(&self) -> bool {
        if self.plan.restores {
            return !self.set_back.is_empty();
        }
        let logs = self.sites.iter().flat_map(|site| site.disk.logs.values());
        let mut entries = logs.flat_map(|log| crate::disk::entries(log));
        self.plan.failover != Failovers::None
            && entries.any(|(_, entry)| matches!(entry.body, Body::Takeover { .. }))
    }
}

fn load(zone: &str) -> Action {
    let text = "@ 60 SOA ns h 1 2 3 4 5\n@ 60 NS ns\nns 60 A 192.0.2.1\n";
    let apex = name(zone);
    let records = zonefile::load(Path::new("z"), &apex, &mut |_| Ok(text.as_bytes().to_vec()));
    let names = records.map(|records| names_of_zone(&apex, records));
    match names {
        Ok(Ok(names)) => Action::LoadZone { names, source: [9; 32] },
        _ => unreachable!("the zone file is right"),
    }
}
