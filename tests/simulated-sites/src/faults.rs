//! What goes wrong, and that it is put right at the end.

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
            Fault::Lose { .. } => "losses wanted",
        }
    }
}

impl World {
    /// Chooses the next fault.
    pub(crate) fn fault(&mut self) -> Result<(), String> {
        if !self.is_chaos {
            return Ok(());
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
            // Long enough for the others to be sure.
            let for_ms = self.between(6_000, 12_000);
            return self.act(Fault::Lose { site, for_ms });
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

    /// A site is down until it was taken over, or for so long.
    fn lose(&mut self, site: u16, for_ms: u64) -> Result<(), String> {
        let running = (1..=self.plan.sites).filter(|site| self.is_running(*site)).count();
        if running < usize::from(self.plan.sites) || self.desk.lost.is_some() {
            return Ok(());
        }
        if self.plan.failover == Failovers::Operator {
            self.desk.lost = Some((site, self.now + 1_200));
        }
        // With two sites only the operator's word says that it stays down.
        let for_ms = if self.plan.sites == 2 { 60_000 } else { for_ms };
        self.crash(site, for_ms)
    }

    /// A lost site that was taken over comes back.
    pub(crate) fn bring_back(&mut self) {
        let Some((lost, _)) = self.desk.lost else { return };
        if self.is_running(lost) {
            self.desk.lost = None;
        } else if self.is_taken_over(lost) {
            self.desk.lost = None;
            let life = self.site(lost).life;
            let after = self.between(100, 3_000);
            self.later(after, Event::Start { site: lost, life });
        }
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
        let lengths: Vec<_> = own
            .into_iter()
            .filter(|origin| origin.site == number)
            .map(|origin| (origin, backup.len(origin)))
            .collect();
        site.disk = backup;
        for (origin, length) in lengths {
            let known = self.set_back.entry(origin).or_insert(length);
            *known = (*known).min(length);
        }
        Ok(())
    }

    /// Everything is put right.
    pub(crate) fn heal(&mut self) -> Result<(), String> {
        self.note(|| "everything is put right".to_owned());
        self.is_chaos = false;
        self.splits.clear();
        self.desk.lost = None;
        self.desk.is_healing = true;
        for number in 1..=self.plan.sites {
            if !self.is_running(number) {
                self.start(number)?;
            }
        }
        Ok(())
    }
}
