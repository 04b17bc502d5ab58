//! Scenes: sequences of faults that lead to where the protocol is most delicate, and that chance alone
//! brings about too seldom. When what happens, and to which sites, is left to chance here as well.

use crate::faults::Fault;
use crate::plan::{Failovers, Plan};
use crate::world::{Event, World};
use einhorn_core::model::settings::Level;

/// How often an operator asks a site to take over in a scene, at most.
const ASKS: u64 = 20;

/// What the faults of a seed lead to, over and over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scene {
    /// Two sites that cannot talk to each other want to go on for a third one, and two others hear both.
    Rivals,
    /// A site that was away wants to go on for another one before it has what that one did meanwhile.
    Straggler,
    /// Who vouched that a site is lost is connected to it again before its successor knows.
    Flicker,
    /// A site starts from a new snapshot while clients do not know yet what became of their requests.
    NewSnapshot,
}

impl Scene {
    const ALL: [Scene; 4] = [Scene::Rivals, Scene::Straggler, Scene::Flicker, Scene::NewSnapshot];

    /// The scene of a seed: one of eight has one.
    pub(crate) fn of(seed: u64) -> Option<Scene> {
        let turn = (seed / 8) as usize % Scene::ALL.len();
        (seed % 8 == 5).then_some(Scene::ALL[turn])
    }

    /// The plan with what the scene needs, and without what would make it another one.
    pub(crate) fn set(self, plan: Plan) -> Plan {
        let (sites, level, failover) = match self {
            Scene::Rivals => (5, Level::Majority, Failovers::Operator),
            Scene::Straggler | Scene::Flicker => (3, Level::Majority, Failovers::Operator),
            Scene::NewSnapshot => (3, Level::All, Failovers::None),
        };
        Plan {
            sites,
            levels: [level, level, Level::Local, Level::Local],
            restores: false,
            suspensions: false,
            clock_steps: false,
            disks: false,
            failover,
            duration_ms: plan.duration_ms.max(9_000),
            scene: Some(self),
            ..plan
        }
    }
}

impl World {
    /// Plays a scene, and again in a while.
    pub(crate) fn play(&mut self, scene: Scene) -> Result<(), String> {
        let again = self.between(3_000, 8_000);
        self.later(again, Event::Fault);
        self.note(|| format!("scene {scene:?}"));
        let sites = u64::from(self.plan.sites);
        let turn = self.random.below(sites);
        let place = |step: u64| 1 + ((turn + step) % sites) as u16;
        match scene {
            Scene::Rivals => self.rivals(place(0), [place(1), place(2)]),
            Scene::Straggler => self.straggler(place(0), place(1)),
            Scene::Flicker => self.flicker(place(0), [place(1), place(2)]),
            Scene::NewSnapshot => {
                self.new_snapshot(place(0), place(1));
                Ok(())
            }
        }
    }

    fn rivals(&mut self, lost: u16, rivals: [u16; 2]) -> Result<(), String> {
        if !self.may_lose() {
            return Ok(());
        }
        let for_ms = self.between(4_000, 9_000);
        self.act(Fault::Part { a: rivals[0], b: rivals[1], for_ms })?;
        let from_ms = self.between(10, 2_200);
        rivals.into_iter().for_each(|at| self.ask(at, lost, from_ms, 100));
        self.act(Fault::Crash { site: lost, for_ms })
    }

    fn straggler(&mut self, lost: u16, at: u16) -> Result<(), String> {
        if !self.may_lose() {
            return Ok(());
        }
        let away_ms = self.between(600, 2_500);
        let lost_ms = self.between(away_ms / 2, away_ms);
        let for_ms = self.between(4_000, 9_000);
        self.later(lost_ms, Event::Act(Fault::Crash { site: lost, for_ms }));
        self.ask(at, lost, away_ms, 20);
        self.act(Fault::Crash { site: at, for_ms: away_ms })
    }

    fn flicker(&mut self, lost: u16, [at, other]: [u16; 2]) -> Result<(), String> {
        if !self.may_lose() {
            return Ok(());
        }
        let seen_ms = 2_000 + self.between(20, 400);
        let parted_ms = self.between(500, 3_000);
        self.act(Fault::Part { a: lost, b: at, for_ms: seen_ms + parted_ms + 3_000 })?;
        self.act(Fault::Part { a: lost, b: other, for_ms: seen_ms })?;
        self.ask(at, lost, 2_000, 20);
        let after_ms = self.between(2_020, 2_300);
        self.later(after_ms, Event::Act(Fault::Part { a: at, b: other, for_ms: parted_ms }));
        Ok(())
    }

    fn new_snapshot(&mut self, site: u16, silent: u16) {
        let for_ms = self.between(2_000, 7_000);
        self.later(1, Event::Act(Fault::Pause { site: silent, for_ms }));
        let saved_ms = self.between(200, 3_000);
        self.later(saved_ms, Event::Act(Fault::Save { site }));
        let (crash_ms, for_ms) = (saved_ms + self.between(1, 400), self.between(10, 300));
        self.later(crash_ms, Event::Act(Fault::Crash { site, for_ms }));
    }

    /// An operator asks a site to take over from another one, again and again.
    fn ask(&mut self, at: u16, lost: u16, from_ms: u64, interval_ms: u64) {
        for ask in 0..ASKS {
            self.later(from_ms + ask * interval_ms, Event::Act(Fault::Ask { at, lost }));
        }
    }
}
