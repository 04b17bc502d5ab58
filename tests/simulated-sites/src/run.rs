//! What happens when its time has come.

use crate::disk::DiskFault;
use crate::keys::{card, site_name};
use crate::operators::REGISTER;
use crate::reversed::lacks_reverse;
use crate::world::{BEGIN_MS, Event, World};
use einhorn_core::commit::{Append, Cosignature};
use einhorn_core::ledger::Checkpoint;
use einhorn_core::model::registry::RegistryChange;
use einhorn_core::model::request::Action;
use einhorn_core::model::{Origin, Publication};
use std::sync::Arc;

/// How long the sites may take to find each other at the beginning.
const SETUP_MS: u64 = 30_000;

impl World {
    /// Everything from the beginning to the end.
    pub(crate) fn run(&mut self) -> Result<(), String> {
        for site in 1..=self.plan.sites {
            self.start(site)?;
            for other in site + 1..=self.plan.sites {
                self.later(10, Event::Connect { a: site, b: other });
            }
        }
        self.later(5, Event::Desk);
        let begun = BEGIN_MS + SETUP_MS;
        while !self.is_chaos {
            let Some(event) = self.next_until(begun) else {
                return Err(format!("the sites did not find each other: {}", self.situation()));
            };
            self.happen(event)?;
        }
        let end = self.now + self.plan.duration_ms;
        self.begin_clients();
        if self.plan.has_faults() {
            self.later(1, Event::Fault);
        }
        self.go_on_until(end)?;
        self.heal()?;
        self.go_on_until(self.now + self.plan.quiet_ms())?;
        self.check_all()
    }

    pub(crate) fn go_on_until(&mut self, end: u64) -> Result<(), String> {
        while let Some(event) = self.next_until(end) {
            self.happen(event)?;
        }
        Ok(())
    }

    fn is_of(&mut self, site: u16, life: u64) -> bool {
        let site = self.site(site);
        site.life == life && site.commit.is_some()
    }

    /// Puts off what a site that is paused would do; gives the event back if it is not paused.
    fn unless_paused(&mut self, site: u16, event: Event) -> Option<Event> {
        let until = self.site(site).paused_until;
        if until <= self.now {
            return Some(event);
        }
        self.at(until, event);
        None
    }

    fn happen(&mut self, event: Event) -> Result<(), String> {
        let event = match event {
            Event::Wake { site, life }
            | Event::Seal { site, life }
            | Event::Register { site, life }
            | Event::Stop { site, life }
            | Event::Written { site, life, .. }
            | Event::Streamed { site, life, .. } => {
                if !self.is_of(site, life) {
                    return Ok(());
                }
                match self.unless_paused(site, event) {
                    Some(event) => event,
                    None => return Ok(()),
                }
            }
            event => event,
        };
        match event {
            Event::Wake { site, .. } => {
                if self.site(site).wake_at.is_some_and(|at| at <= self.now) {
                    self.site(site).wake_at = None;
                }
                self.with(site, |commit, clock, out| {
                    commit.tick(clock, out);
                    commit.flush(clock, out);
                })
            }
            Event::Written { site, append, .. } => self.written(site, &append),
            Event::Seal { site, .. } => self.seal(site),
            Event::Streamed { site, to, origin, from, .. } => self.stream(site, to, origin, from),
            Event::Start { site, life } if self.site(site).life == life => self.start(site),
            Event::Start { .. } => Ok(()),
            Event::Connect { a, b } => {
                self.connect(a, b);
                Ok(())
            }
            Event::Up { connection, site, peer } => self.up(connection, site, peer),
            Event::Break { connection } => {
                self.break_link(connection, 200);
                Ok(())
            }
            Event::Down { connection, site, peer } => self.down(connection, site, peer),
            Event::Frame { connection, from, to, frame, has_arrived } => {
                self.frame((connection, has_arrived), (from, to), frame)
            }
            Event::Register { site, .. } => self.register(site),
            Event::Desk => self.desk(),
            Event::Client(client) => self.client(client),
            Event::Overdue(token) => self.overdue(token),
            Event::Fault => self.fault(),
            Event::Act(fault) if self.is_chaos => self.act(fault),
            Event::Act(_) => Ok(()),
            Event::Stop { site, .. } => {
                let for_ms = self.between(10, 1_500);
                self.crash(site, for_ms)
            }
        }
    }

    /// An append is on the disk.
    fn written(&mut self, number: u16, append: &Arc<Append>) -> Result<(), String> {
        if let Some(fault) = self.disk_fault(number) {
            return self.fail_append(number, fault);
        }
        let site = self.site(number);
        site.writing = None;
        site.disk.append(append).map_err(|error| format!("s{number}: {error}"))?;
        self.note(|| {
            let copies = append.copies.iter();
            let copies: Vec<_> = copies
                .map(|(origin, batch)| format!("{origin}:{}+{}", batch.first_index, batch.len()))
                .collect();
            let (origin, own) = (append.origin, &append.own);
            format!("s{number} has {origin}:{}+{} {copies:?}", own.first_index, own.len())
        });
        let delay = if append.is_urgent { self.between(0, 3) } else { self.between(10, 100) };
        let site = self.site(number);
        if !append.own.is_empty() && (!site.is_sealing || append.is_urgent) {
            site.is_sealing = true;
            let life = site.life;
            self.later(delay, Event::Seal { site: number, life });
        }
        self.with(number, |commit, clock, out| commit.appended(clock, out))
    }

    /// Why nothing can be appended now.
    fn disk_fault(&mut self, number: u16) -> Option<DiskFault> {
        let now = self.now;
        let fault = &mut self.site(number).disk_fault;
        *fault = fault.filter(|fault| !matches!(fault, DiskFault::Full { until } if *until <= now));
        fault.take_if(|fault| *fault == DiskFault::Sync).or(*fault)
    }

    /// An append fails: the site acknowledges nothing any more, and is started again in a while.
    fn fail_append(&mut self, number: u16, fault: DiskFault) -> Result<(), String> {
        self.note(|| format!("s{number} cannot append: {fault:?}"));
        self.count(match fault {
            DiskFault::Full { .. } => "appends to full disks",
            DiskFault::Sync => "syncs failed",
        });
        let site = self.site(number);
        let life = site.life;
        if let DiskFault::Full { .. } = fault {
            site.writing = None;
        }
        let after = self.between(0, 500);
        self.later(after, Event::Stop { site: number, life });
        self.with(number, |commit, _, out| commit.append_failed("the disk fails", out))
    }

    fn seal(&mut self, number: u16) -> Result<(), String> {
        let site = self.site(number);
        site.is_sealing = false;
        match site.seal() {
            Some(signed) => self.with(number, |commit, _, out| commit.sealed(signed, out)),
            None => Ok(()),
        }
    }

    pub(crate) fn publish(&mut self, number: u16, publication: Publication) -> Result<(), String> {
        let Publication { zones, steps } = publication;
        let site = self.site(number);
        site.zones = zones.clone();
        let moved = site.seen.publish(&zones, &steps);
        let is_lacking = self.plan.reverse.then(|| lacks_reverse(&zones)).flatten();
        if let Some(lacking) = is_lacking.filter(|_| !self.has_lost_tails()) {
            return Err(format!("s{number} shows {lacking}"));
        }
        for zone in moved.map_err(|error| format!("s{number}: {error}"))? {
            self.check_joint(number, zone)?;
            let (root, serial) = (zone.at_serial().state_root(), zone.serial);
            self.note(|| format!("s{number} publishes {} {serial}", zone.apex));
            let key = (zone.apex.to_string(), zone.incarnation, serial);
            self.counts.add("points compared", u64::from(self.published.contains_key(&key)));
            let (known, by) = *self.published.entry(key).or_insert((root, number));
            if known != root && !self.has_lost_tails() {
                return Err(format!(
                    "serial {serial} of {} at s{number} is not what it was at s{by}",
                    zone.apex
                ));
            }
        }
        Ok(())
    }

    pub(crate) fn cosignature(&mut self, number: u16, said: &Cosignature) -> Result<(), String> {
        let body = said.note.split("\n\n").next().unwrap_or_default();
        let checkpoint = Checkpoint::parse_body(&format!("{body}\n"));
        let root = checkpoint.map_err(|error| error.to_string())?.root;
        if said.site == number && self.site(number).disk.len(said.origin) < said.size {
            return Err(format!("s{number} cosigns {} {} without it", said.origin, said.size));
        }
        self.site(number).disk.note_cosigned(said);
        let known = *self.cosigned.entry((said.origin, said.size)).or_insert(root);
        if known != root {
            return Err(format!("two roots of {} {} are cosigned", said.origin, said.size));
        }
        Ok(())
    }

    /// A site stops at once, and starts again later.
    pub(crate) fn crash(&mut self, number: u16, for_ms: u64) -> Result<(), String> {
        let is_written = self.random.one_in(2);
        self.note(|| format!("s{number} crashes for {for_ms} ms, written: {is_written}"));
        let links: Vec<usize> = self.site(number).links.values().copied().collect();
        let site = self.site(number);
        site.life += 1;
        let life = site.life;
        site.crash(is_written)?;
        for connection in links {
            let notice = if self.random.one_in(2) { 30 } else { 2_000 };
            self.break_link(connection, notice);
        }
        self.later(for_ms, Event::Start { site: number, life });
        Ok(())
    }

    pub(crate) fn start(&mut self, number: u16) -> Result<(), String> {
        if self.is_running(number) {
            return Ok(());
        }
        let mut random = self.random.clone();
        let now = self.now;
        let site = self.site(number);
        site.disturbed = now;
        site.start(&mut random)?;
        self.random = random;
        let origin = self.site(number).commit.as_ref().map(|commit| commit.state().origin);
        self.note(|| format!("s{number} starts with log {origin:?}"));
        let life = self.site(number).life;
        self.later(20, Event::Register { site: number, life });
        self.with(number, |commit, clock, out| {
            commit.tick(clock, out);
            commit.flush(clock, out);
        })
    }

    /// A site sees to it that the others know its log, and that it has one.
    fn register(&mut self, number: u16) -> Result<(), String> {
        let site = self.site(number);
        let life = site.life;
        let Some(commit) = &site.commit else { return Ok(()) };
        let (origin, registry) = (commit.state().origin, &commit.state().registry);
        if origin == Origin::NONE {
            if registry.named(&site_name(number)).is_some() {
                self.note(|| format!("s{number} was added"));
                return self.crash(number, 1);
            }
            return Ok(());
        }
        if registry.log_key(origin).is_some() {
            return Ok(());
        }
        self.later(700, Event::Register { site: number, life });
        let change = RegistryChange::Put { site: card(&self.signing, number, origin.generation) };
        self.note(|| format!("s{number} registers log {origin}"));
        let request = self.own_request(number, Action::Sites(change));
        self.with(number, |commit, clock, out| commit.request(clock, request, REGISTER, out))
    }

    /// How the sites are, for people.
    pub(crate) fn situation(&mut self) -> String {
        let now = self.now;
        let reports = self.sites.iter().map(|site| match &site.commit {
            Some(commit) => format!("\n  s{} {:?}", site.number, commit.report(site.clock(now))),
            None => format!("\n  s{} is down", site.number),
        });
        reports.collect()
    }
}
