//! What kind of world a seed makes.

use crate::predictors::Predicts;
use crate::scenes::Scene;
use einhorn_core::commit::Waits;
use einhorn_core::model::settings::Level;
use einhorn_sim::random::Random;

/// What there is and what can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Sites.
    pub sites: u16,
    /// Levels of the zones.
    pub levels: [Level; 4],
    /// Whether sites crash.
    pub crashes: bool,
    /// Whether links break and the network divides.
    pub partitions: bool,
    /// Whether sites stop for a while and go on.
    pub pauses: bool,
    /// Whether disks are set back to old copies.
    pub restores: bool,
    /// Whether sites are suspended.
    pub suspensions: bool,
    /// Whether clocks are set to another time while a site runs.
    pub clock_steps: bool,
    /// Whether disks are full, or syncs fail.
    pub disks: bool,
    /// Whether sites start from snapshots.
    pub snapshots: bool,
    /// Whether there are changes that are stored in parts.
    pub is_large: bool,
    /// Whether records are added for a time only.
    pub leases: bool,
    /// Whether deleted names go back to their zone's home soon.
    pub tombstones: bool,
    /// Whether changes of flapping names are held for a moment.
    pub coalesces: bool,
    /// Whether a person decides on contested names of the first zone.
    pub reviews: bool,
    /// Whether reverse records follow the addresses of two zones.
    pub reverse: bool,
    /// Whether a zone comes and goes.
    pub passing_zone: bool,
    /// Whether lost sites are taken over.
    pub failover: Failovers,
    /// Milliseconds between faults, about.
    pub fault_interval_ms: u64,
    /// How long faults go on, in milliseconds.
    pub duration_ms: u64,
    /// What the sites' agents predict with.
    pub predicts: Predicts,
    /// What the faults lead to, instead of any that chance brings.
    pub scene: Option<Scene>,
}

/// How lost sites are taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failovers {
    /// Never.
    None,
    /// An operator does it when a site is really down.
    Operator,
    /// The sites do it by themselves.
    Auto,
}

impl Plan {
    /// The plan for a seed: the first seeds are the quietest.
    pub(crate) fn new(seed: u64, random: &mut Random) -> Plan {
        let level = |random: &mut Random| match random.below(3) {
            0 => Level::Local,
            1 => Level::Majority,
            _ => Level::All,
        };
        let levels = [level(random), level(random), Level::Local, Level::Local];
        let sites = [2, 3, 3, 3, 4, 5][random.below(6) as usize];
        let mut plan = Plan {
            sites,
            levels,
            crashes: random.one_in(2),
            partitions: random.one_in(2),
            pauses: random.one_in(3),
            restores: random.one_in(8),
            suspensions: random.one_in(6),
            clock_steps: random.one_in(4),
            disks: random.one_in(4),
            snapshots: random.one_in(3),
            is_large: random.one_in(6),
            leases: random.one_in(3),
            tombstones: random.one_in(3),
            coalesces: random.one_in(4),
            reviews: random.one_in(8),
            reverse: random.one_in(4),
            passing_zone: random.one_in(3),
            failover: match random.below(6) {
                0 => Failovers::Operator,
                1 | 2 if sites >= 3 => Failovers::Auto,
                _ => Failovers::None,
            },
            fault_interval_ms: 150 + random.below(1_400),
            duration_ms: 3_000 + random.below(6_000),
            predicts: Predicts::of(seed),
            scene: None,
        };
        if seed.is_multiple_of(8) {
            plan.crashes = false;
            plan.partitions = false;
            plan.pauses = false;
            plan.restores = false;
            plan.suspensions = false;
            plan.clock_steps = false;
            plan.disks = false;
            plan.failover = Failovers::None;
        }
        // A disk that is set back is a lost one: what it had confirmed to others counts no more.
        if plan.restores {
            plan.failover = Failovers::None;
            plan.suspensions = false;
        }
        if plan.is_auto() {
            plan.duration_ms = plan.duration_ms.max(9_000);
        }
        if plan.failover != Failovers::None {
            plan.suspensions = false;
        }
        Scene::of(seed).map_or(plan, |scene| scene.set(plan))
    }

    /// How long the world is left in peace at the end, in milliseconds: longer where leases and tombstones
    /// end by clocks that were set.
    pub(crate) fn quiet_ms(&self) -> u64 {
        if self.leases || self.tombstones { 24_000 } else { 12_000 }
    }

    /// How long things wait that take hours elsewhere.
    pub(crate) fn waits(&self) -> Waits {
        let waits = Waits { lease_grace_ms: 1_500, ..Waits::default() };
        match self.tombstones {
            true => Waits { tombstone_ms: 1_500, sweep_ms: 400, ..waits },
            false => waits,
        }
    }

    /// Whether the sites take over by themselves.
    pub(crate) fn is_auto(&self) -> bool {
        self.failover == Failovers::Auto
    }

    /// Whether anything goes wrong.
    pub(crate) fn has_faults(&self) -> bool {
        self.crashes
            || self.partitions
            || self.pauses
            || self.restores
            || self.suspensions
            || self.clock_steps
            || self.disks
            || self.snapshots
            || self.failover != Failovers::None
            || self.scene.is_some()
    }
}
