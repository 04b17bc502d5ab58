//! The agent of a site: looks at each request that enters, once, and says which path it should take.
//!
//! It advises; the commit decides. Whatever it says costs time at most. It reads no clock and no
//! random source: times are passed in, and what it explores follows from the request's id.

use super::advised::Advised;
use super::memory::{self, Memory};
use super::{Reason, is_others};
use crate::model::entry::Entry;
use crate::model::request::{Identity, Operation, RequestId};
use crate::model::{NameRecord, WriterTag};
use einhorn_agent::decision::{
    Alarm, Arms, Costs, Homes, Knobs, Moved, PATHS, Predictor, Record, Situation, Speaker, Tuner,
};
use einhorn_agent::features::{COUNT, Features};

/// Changes of a name by one identity within this time are flapping, in milliseconds.
const FLAPPING_MS: u64 = 1_000;
/// What a path takes is measured once it was taken so often.
const SAMPLES_MIN: u32 = 8;
/// What preparing a change costs beside the time that it takes, in microseconds of waiting, if nobody
/// says otherwise: two entries more, stored for good at every site, and names that others wait for. It
/// is a hundredth of the usual price of an intervention: a hundred changes prepared without need are
/// worth one that a person need not look at.
pub const PREPARING_US: u32 = 100_000;
/// Knobs are looked at anew after so many outcomes ...
const OUTCOMES_MAX: u32 = 10_000;
/// ... and changed to ones that were tried at least so often.
const TRIED_MIN: u64 = 50;

/// What is to be looked at.
pub struct Look<'a> {
    /// Now, in milliseconds since 1970.
    pub now_ms: u64,
    /// The request.
    pub id: RequestId,
    /// Who asks.
    pub writer: WriterTag,
    /// The site that looks.
    pub site: u16,
    /// What is to be done.
    pub operations: &'a [Operation],
    /// Where the names are at home.
    pub homes: Homes,
    /// Whether a batch of a legacy system holds one of the names.
    pub is_held: bool,
    /// The names that the request changes and that are known here.
    pub names: &'a [&'a NameRecord],
}

/// What the agent says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdvisorReport {
    /// The first octets of the SHA-256 of the model.
    pub model: [u8; 8],
    /// Which way its predictions are wrong, if they are: the rules speak then.
    pub alarm: Option<Alarm>,
    /// The last batch that began at another time than it used to, and whose it is.
    pub moved: Option<(String, Moved)>,
    /// How often each of [`PATHS`] was advised.
    pub paths: [u64; PATHS.len()],
    /// How often the model, guardrails, rules and exploration spoke.
    pub speakers: [u64; 4],
    /// Names that it remembers something of.
    pub names: usize,
    /// Requests that entered here and are under way.
    pub pending: usize,
    /// Predictions whose outcome is known, and those that met the hazard.
    pub settled: (u64, u64),
    /// The knobs in force.
    pub knobs: Knobs,
    /// What each path takes, as measured or else as is usual.
    pub costs: Costs,
}

/// The agent of a site.
pub struct Advisor {
    predictor: Box<dyn Predictor + Send>,
    tuner: Tuner,
    /// Whether other knobs are tried.
    is_tuned: bool,
    /// Since the knobs were looked at.
    outcomes: u32,
    memory: Memory,
    costs: Measured,
    paths: [u64; PATHS.len()],
    speakers: [u64; 4],
}

impl Advisor {
    /// An agent that has seen nothing yet.
    pub fn new(predictor: Box<dyn Predictor + Send>, knobs: Knobs) -> Advisor {
        Advisor {
            predictor,
            tuner: Tuner::new(Arms::around(knobs)),
            is_tuned: false,
            outcomes: 0,
            memory: Memory::new(),
            costs: Measured::default(),
            paths: [0; PATHS.len()],
            speakers: [0; 4],
        }
    }

    /// The same, with other usual costs; what paths take is measured all the same.
    #[must_use]
    pub fn with_usual_costs(mut self, usual: Costs) -> Advisor {
        self.costs.usual = usual;
        self
    }

    /// The same, with another price of preparing than [`PREPARING_US`].
    #[must_use]
    pub fn with_price_of_preparing(mut self, preparing_us: u32) -> Advisor {
        self.costs.preparing_us = preparing_us;
        self
    }

    /// The same, learning by trial which knobs cost least.
    #[must_use]
    pub fn tuned(mut self) -> Advisor {
        self.is_tuned = true;
        self
    }

    /// Looks at a request that enters now.
    pub fn look(&mut self, look: &Look<'_>) -> Advised {
        let since_ms = look.now_ms.saturating_sub(self.costs.unseen_ms(look.homes));
        let intents = memory::intents(since_ms, look.writer, look.operations);
        let rows = self.memory.rows(&intents);
        let rows = rows.map(|row| (self.predictor.hazard(&row), row));
        // The whole is as likely to meet somebody as the likeliest of its parts.
        let (predicted, features) =
            rows.max_by_key(|(predicted, _)| *predicted).unwrap_or((None, [0; COUNT]));
        let situation = self.situation(look, features);
        let trusted = self.memory.watching.alarm().is_none();
        let [a, b, c, d, e, f, g, h, ..] = look.id.0;
        let seed = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        // Another part of the id: which knobs are tried says nothing of which path is.
        let arm = if self.is_tuned { self.tuner.choose(seed.rotate_left(32)).0 } else { 0 };
        let knobs = self.tuner.knobs(arm);
        let (decision, record) = Record::make(&*self.predictor, trusted, &knobs, &situation, seed);
        self.paths[decision.path as usize - 1] += 1;
        self.speakers[decision.speaker as usize - 1] += 1;
        self.memory.begun(look.now_ms, look.id, intents, predicted.map(|hazard| (hazard, arm)));
        let reason = match decision.speaker {
            // Which guardrail it was says more.
            Speaker::Guardrail if situation.legacy_batch_open => Reason::LegacyBatch,
            Speaker::Guardrail if !situation.identity_matches => Reason::OtherWriter,
            speaker => Reason::from(speaker),
        };
        Advised { began_ms: since_ms, reason, record }
    }

    fn situation(&self, look: &Look<'_>, features: Features) -> Situation {
        let histories = || look.names.iter().map(|name| name.history());
        let operator = Identity::Operator.tag();
        let is_anothers = histories()
            .any(|one| one.writer != operator && is_others(&one, look.writer, look.now_ms));
        let is_own = |since_ms: &u64| *since_ms < FLAPPING_MS;
        let since_ms = histories()
            .filter(|one| one.writer == look.writer)
            .map(|one| look.now_ms.saturating_sub(one.changed_at_ms));
        let used_here =
            histories().map(|one| if one.used_at == look.site { one.used_times } else { 0 }).min();
        Situation {
            features,
            homes: look.homes,
            identity_matches: !is_anothers,
            legacy_batch_open: look.is_held,
            used_here: used_here.unwrap_or(0),
            flapping_ms: since_ms.filter(is_own).min().map(|ms| ms as u16),
            costs: self.costs.costs(),
        }
    }

    /// An entry was folded here, of whichever log; or, before anything else, is shown again after a
    /// restart, with its own time as the present.
    pub fn folded(&mut self, now_ms: u64, entry: &Entry) {
        self.memory.folded(now_ms, entry);
    }

    /// Time goes by.
    pub fn tick(&mut self, now_ms: u64) {
        for outcome in self.memory.tick(now_ms) {
            let price_us = self.costs.usual.intervention_us;
            let met_us = if outcome.is_met && !outcome.is_prepared { price_us } else { 0 };
            self.tuner.learn(outcome.arm, outcome.took_ms.saturating_mul(1_000) + met_us);
            self.outcomes += 1;
        }
        if self.outcomes >= OUTCOMES_MAX {
            self.outcomes = 0;
            let best = self.tuner.best(TRIED_MIN);
            if best != self.tuner.knobs(0) {
                self.tuner = Tuner::new(Arms::around(best));
            }
        }
    }

    /// A request that another site decided on was answered after so long, in milliseconds.
    pub fn forwarded(&mut self, took_ms: u64) {
        self.costs.forward.add(took_ms);
    }

    /// A change that was prepared was decided on after so long, in milliseconds.
    pub fn prepared(&mut self, took_ms: u64) {
        self.costs.multi_phase.add(took_ms);
    }

    /// What it says of itself.
    pub fn report(&self) -> AdvisorReport {
        AdvisorReport {
            model: self.predictor.hash(),
            alarm: self.memory.watching.alarm(),
            moved: self.memory.moved().cloned(),
            paths: self.paths,
            speakers: self.speakers,
            names: self.memory.names(),
            pending: self.memory.pending(),
            settled: self.memory.watching.settled(),
            knobs: self.tuner.knobs(0),
            costs: self.costs.measured(),
        }
    }
}

/// What paths to other sites take here. A local commit is too quick for a clock of milliseconds.
#[derive(Debug, Clone, Copy)]
struct Measured {
    usual: Costs,
    preparing_us: u32,
    forward: Took,
    multi_phase: Took,
}

impl Default for Measured {
    fn default() -> Self {
        let (forward, multi_phase) = (Took::default(), Took::default());
        Measured { usual: Costs::default(), preparing_us: PREPARING_US, forward, multi_phase }
    }
}

/// A fading average.
#[derive(Debug, Clone, Copy, Default)]
struct Took {
    samples: u32,
    mean_us: u64,
}

impl Took {
    fn add(&mut self, ms: u64) {
        let us = ms.min(60_000) * 1000;
        self.samples = self.samples.saturating_add(1);
        let weight = u64::from(self.samples.min(16));
        self.mean_us = (self.mean_us * (weight - 1) + us) / weight;
    }

    fn or(self, usual_us: u32) -> u32 {
        if self.samples < SAMPLES_MIN { usual_us } else { self.mean_us.max(1) as u32 }
    }
}

impl Measured {
    /// What paths take.
    fn measured(&self) -> Costs {
        let usual = self.usual;
        Costs {
            forward_us: self.forward.or(usual.forward_us),
            multi_phase_us: self.multi_phase.or(usual.multi_phase_us),
            ..usual
        }
    }

    /// What paths cost.
    fn costs(&self) -> Costs {
        let measured = self.measured();
        let multi_phase_us = measured.multi_phase_us.saturating_add(self.preparing_us);
        Costs { multi_phase_us, ..measured }
    }

    /// How old what this site shows of names with these homes may be, in milliseconds: as long as
    /// it takes from there to here.
    fn unseen_ms(&self, homes: Homes) -> u64 {
        match homes {
            Homes::Here => 0,
            Homes::Elsewhere | Homes::Several => u64::from(self.costs().forward_us) / 2_000,
        }
    }
}
