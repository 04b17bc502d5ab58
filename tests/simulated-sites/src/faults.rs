//! What goes wrong, and that it is put right at the end.

use crate::disk::DiskFault;
use crate::plan::Failovers;
use crate::world::{Event, World};
use einhorn_core::model::Origin;

/// How far a clock may be from the true time, in milliseconds.
const SKEW_MS_MAX: u64 = 3_000;

/// Something that goes wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    Crash {
        site: u16,
        for_ms: u64,
    },
    /// The disk is what it once was.
    Restore {
        site: u16,
        for_ms: u64,
    },
    Pause {
        site: u16,
        for_ms: u64,
    },
    Reset {
        a: u16,
        b: u16,
    },
    /// This site and the others cannot talk, or only those after it.
    Split {
        site: u16,
        is_whole: bool,
        for_ms: u64,
    },
    Backup {
        site: u16,
    },
    /// A snapshot is saved.
    Save {
        site: u16,
    },
    /// The clock of a site is so much from the true one from now on, in milliseconds.
    Clock {
        site: u16,
        skew_ms: i64,
    },
    Suspend {
        site: u16,
        is_suspended: bool,
    },
    /// A site is down for long, and is taken over.
    Lose {
        site: u16,
        for_ms: u64,
    },
    /// These two cannot talk.
    Part {
        a: u16,
        b: u16,
        for_ms: u64,
    },
    /// An operator asks a site to take over from another one.
    Ask {
        at: u16,
        lost: u16,
    },
    /// All sites but this one are down, so that only an operator's word lets it go on.
    LoseOthers {
        site: u16,
    },
    /// Appends fail from now on, or the next one does.
    Disk {
        site: u16,
        fault: DiskFault,
    },
}

impl Fault {
    /// In the summary.
    fn word(self) -> &'static str {
        match self {
            Fault::Crash { .. } => "crashes",
            Fault::Restore { .. } => "restores",
            Fault::Pause { .. } => "pauses",
            Fault::Reset { .. } => "resets",
            Fault::Split { .. } => "splits",
            Fault::Backup { .. } => "backups",
            Fault::Save { .. } => "snapshots saved",
            Fault::Clock { .. } => "clock steps",
            Fault::Suspend { .. } => "suspensions wanted",
            Fault::Part { .. } => "pairs parted",
            Fault::Ask { .. } => "takeovers asked for",
            Fault::Lose { .. } => "losses wanted",
            Fault::LoseOthers { .. } => "losses of a majority wanted",
            Fault::Disk { fault: DiskFault::Full { .. }, .. } => "disks full",
            Fault::Disk { fault: DiskFault::Sync, .. } => "syncs to fail",
        }
    }
}

impl World {
    /// Chooses the next fault.
    pub(crate) fn fault(&mut self) -> Result<(), String> {
        if !self.is_chaos {
            return Ok(());
        }
        if let Some(scene) = self.plan.scene {
            return self.play(scene);
        }
        let interval = self.plan.fault_interval_ms;
        let next = self.between(1, 2 * interval);
        self.later(next, Event::Fault);
        let site = 1 + self.random.below(self.plan.sites.into()) as u16;
        let other =
            1 + (site + self.random.below(u64::from(self.plan.sites) - 1) as u16) % self.plan.sites;
        let short = self.between(10, 1_500);
        let long = self.between(1_000, 8_000);
        let for_ms = if self.random.one_in(2) { short } else { long };
        let plan = self.plan;
        if plan.failover != Failovers::None && self.random.one_in(4) {
            let is_most = plan.failover == Failovers::Operator && plan.sites == 3;
            if is_most && self.random.one_in(3) {
                return self.act(Fault::LoseOthers { site });
            }
            // Long enough for the others to be sure, or back just when they are.
            let for_ms = match self.random.one_in(2) {
                true => self.between(1_300, 4_500),
                false => self.between(6_000, 12_000),
            };
            if plan.sites > 2 && self.random.one_in(2) {
                // One of those who must agree is away as well, for a while.
                let (after, for_ms) = (self.between(1_000, 3_300), self.between(500, 4_000));
                let and = match self.random.one_in(3) {
                    true => Fault::Pause { site: other, for_ms },
                    false => Fault::Split { site: other, is_whole: true, for_ms },
                };
                self.later(after, Event::Act(and));
            }
            return self.act(Fault::Lose { site, for_ms });
        }
        if plan.disks && self.random.one_in(6) {
            let until = self.now + for_ms;
            let is_full = self.random.one_in(2);
            let fault = if is_full { DiskFault::Full { until } } else { DiskFault::Sync };
            return self.act(Fault::Disk { site, fault });
        }
        let fault = match self.random.below(10) {
            0 | 1 if plan.crashes => Fault::Crash { site, for_ms },
            2 if plan.partitions => Fault::Reset { a: site, b: other },
            3 if plan.partitions => {
                let is_whole = self.random.one_in(2);
                Fault::Split { site, is_whole, for_ms }
            }
            4 if plan.pauses => Fault::Pause { site, for_ms },
            5 if plan.restores => Fault::Restore { site, for_ms },
            6 if plan.restores => Fault::Backup { site },
            6 if plan.suspensions => {
                let is_suspended = self.random.one_in(2);
                Fault::Suspend { site, is_suspended }
            }
            7 | 8 if plan.snapshots => Fault::Save { site },
            9 if plan.clock_steps => {
                let skew_ms = self.random.below(2 * SKEW_MS_MAX) as i64 - SKEW_MS_MAX as i64;
                Fault::Clock { site, skew_ms }
            }
            _ => return Ok(()),
        };
        self.act(fault)
    }

    pub(crate) fn act(&mut self, fault: Fault) -> Result<(), String> {
        self.note(|| format!("fault {fault:?}"));
        self.count(fault.word());
        match fault {
            Fault::Crash { site, for_ms } if self.is_running(site) => self.crash(site, for_ms),
            Fault::Restore { site, for_ms } if self.is_running(site) => self.restore(site, for_ms),
            Fault::Pause { site, for_ms } if self.is_running(site) => {
                let until = self.now + for_ms;
                let here = self.site(site);
                // What was put off is put off until then.
                let until = until.max(here.paused_until);
                here.paused_until = until;
                here.disturbed = until;
                self.silence(site, for_ms);
                Ok(())
            }
            Fault::Reset { a, b } => {
                if let Some(connection) = self.site(a).links.get(&b).copied() {
                    self.break_link(connection, 30);
                }
                Ok(())
            }
            Fault::Split { site, is_whole, for_ms } => {
                let others: Vec<u16> = (1..=self.plan.sites).filter(|o| *o != site).collect();
                for other in others.into_iter().filter(|other| is_whole || *other > site) {
                    self.split(site, other, for_ms);
                }
                Ok(())
            }
            Fault::Part { a, b, for_ms } => {
                self.split(a, b, for_ms);
                Ok(())
            }
            Fault::Ask { at, lost } if self.is_running(at) => {
                self.ask_to_take_over(at, lost, false)
            }
            Fault::Backup { site } => {
                let here = self.site(site);
                let backup = here.disk.clone();
                here.backups.push(backup);
                Ok(())
            }
            Fault::Save { site } if self.is_running(site) => {
                let mut random = self.random.clone();
                self.site(site).save(&mut random)?;
                self.random = random;
                Ok(())
            }
            Fault::Clock { site, skew_ms } => {
                let now = self.now;
                let here = self.site(site);
                here.skew_ms = skew_ms;
                // Whatever waited there does so by the clock.
                here.disturbed = now + SKEW_MS_MAX;
                here.wake_at = None;
                self.with(site, |commit, clock, out| commit.tick(clock, out))
            }
            Fault::Suspend { site, is_suspended } => {
                self.want_suspended(site, is_suspended);
                Ok(())
            }
            Fault::Lose { site, for_ms } => self.lose(site, for_ms),
            Fault::LoseOthers { site } => self.lose_others(site),
            Fault::Disk { site, fault } => {
                self.site(site).disk_fault = Some(fault);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Has a site suspended, or not any more: one at a time, so that any two majorities share a site.
    fn want_suspended(&mut self, site: u16, is_suspended: bool) {
        let commits = self.sites.iter().filter_map(|site| site.commit.as_ref());
        let mut sites = commits.flat_map(|commit| &commit.state().registry.sites);
        let is_one = sites.all(|(number, known)| !known.is_suspended || *number == site);
        if self.desk.suspend.is_none() && is_one {
            self.desk.suspend = Some((site, is_suspended));
        }
    }

    /// Whether a site may be lost: all run, none is lost yet, and none goes on with a log that another
    /// one has taken over without knowing it. An operator who lets such a site take over has two.
    pub(crate) fn may_lose(&self) -> bool {
        let states: Vec<_> =
            self.sites.iter().filter_map(|site| Some(site.commit.as_ref()?.state())).collect();
        let is_overtaken =
            |log| states.iter().any(|state| log != Origin::NONE && state.in_charge(log) != log);
        states.len() == self.sites.len()
            && self.desk.lost.is_empty()
            && !states.iter().any(|state| is_overtaken(state.origin))
    }

    /// A site is down until it was taken over, or for so long.
    fn lose(&mut self, site: u16, for_ms: u64) -> Result<(), String> {
        if !self.may_lose() {
            return Ok(());
        }
        if self.plan.failover == Failovers::Operator {
            self.desk.lost.insert(site, self.now + 1_200);
        }
        // With two sites only the operator's word says that it stays down.
        let for_ms = if self.plan.sites == 2 { 60_000 } else { for_ms };
        self.crash(site, for_ms)
    }

    /// A lost site that was taken over comes back.
    pub(crate) fn bring_back(&mut self) {
        let all: Vec<u16> = self.desk.lost.keys().copied().collect();
        for lost in all {
            if self.is_running(lost) {
                self.desk.lost.remove(&lost);
            } else if self.is_taken_over(lost) {
                self.desk.lost.remove(&lost);
                let life = self.site(lost).life;
                let after = self.between(100, 3_000);
                self.later(after, Event::Start { site: lost, life });
            }
        }
    }

    /// All but one site are down until they were taken over.
    fn lose_others(&mut self, kept: u16) -> Result<(), String> {
        if !self.may_lose() {
            return Ok(());
        }
        for site in (1..=self.plan.sites).filter(|site| *site != kept) {
            let looks_at = self.now + self.between(1_200, 2_500);
            self.desk.lost.insert(site, looks_at);
            self.crash(site, 60_000)?;
        }
        Ok(())
    }

    /// The disk of a site is what it once was.
    fn restore(&mut self, number: u16, for_ms: u64) -> Result<(), String> {
        let count = self.site(number).backups.len() as u64;
        let Some(which) = count.checked_sub(1).map(|_| self.random.below(count)) else {
            return self.crash(number, for_ms);
        };
        self.crash(number, for_ms)?;
        let site = self.site(number);
        let backup = site.backups[which as usize].clone();
        let own: Vec<Origin> = site.disk.logs.keys().copied().collect();
        let own = own.into_iter().filter(|origin| origin.site == number);
        let lengths: Vec<_> =
            own.map(|origin| (origin, backup.len(origin), site.disk.len(origin))).collect();
        site.disk = backup;
        for (origin, length, before) in lengths {
            self.signed.insert((origin, before));
            let known = self.set_back.entry(origin).or_insert(length);
            *known = (*known).min(length);
        }
        self.forget_everywhere();
        Ok(())
    }

    /// What no disk holds any more nobody can prove: such a log goes on as if it had never been, and
    /// may have other entries there.
    fn forget_everywhere(&mut self) {
        let disks: Vec<_> = self.sites.iter().map(|site| &site.disk).collect();
        let held = |origin| disks.iter().map(|disk| disk.len(origin)).max().unwrap_or(0);
        let forgotten = &mut self.forgotten;
        let mut is_kept = |(origin, size): (Origin, u64)| {
            let end = held(origin);
            if size > end {
                let known = forgotten.entry(origin).or_insert(end);
                *known = end.min(*known);
            }
            size <= end
        };
        self.cosigned.retain(|at, _| is_kept(*at));
        std::mem::take(&mut self.signed).into_iter().for_each(|at| _ = is_kept(at));
    }

    /// Everything is put right.
    pub(crate) fn heal(&mut self) -> Result<(), String> {
        self.note(|| "everything is put right".to_owned());
        self.is_chaos = false;
        self.splits.clear();
        self.desk.lost.clear();
        self.desk.is_healing = true;
        self.sites.iter_mut().for_each(|site| site.disk_fault = None);
        for number in 1..=self.plan.sites {
            if !self.is_running(number) {
                self.start(number)?;
            }
        }
        Ok(())
    }
}
