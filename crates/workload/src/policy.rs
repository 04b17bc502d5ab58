//! The ways of choosing a path that are compared.

use crate::judge::Prices;
use einhorn_agent::decision::{Costs, Homes, Knobs, Path, Predictor, Record, Situation};
use einhorn_agent::evaluator::PROBABILITY_ONE;
use einhorn_agent::features::{COUNT, Features, schema_hash};
use einhorn_agent::model::Model;
use einhorn_core::agent::{Advised, Advisor, Reason};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// A way of choosing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Policy {
    /// Knows what conflicted when everything was done fast.
    Oracle,
    /// A local commit, and names move to whoever uses them.
    Fast,
    /// Everything goes to the home of its names.
    Forward,
    /// Everything is prepared.
    MultiPhase,
    /// The rules that speak without a model.
    Rules,
    /// The table of 256 cells, by expected cost.
    Table,
    /// Logistic regression, by expected cost.
    Logistic,
    /// Boosted trees, by expected cost.
    Trees,
    /// Boosted trees, with knobs that a bandit tunes.
    Tuned,
}

/// All of them, in the order in which they are told.
pub const POLICIES: [Policy; 9] = [
    Policy::Oracle,
    Policy::Fast,
    Policy::Forward,
    Policy::MultiPhase,
    Policy::Rules,
    Policy::Table,
    Policy::Logistic,
    Policy::Trees,
    Policy::Tuned,
];

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Policy::Oracle => "hindsight oracle",
            Policy::Fast => "always fast",
            Policy::Forward => "always forward",
            Policy::MultiPhase => "always multi-phase",
            Policy::Rules => "hand rules",
            Policy::Table => "table",
            Policy::Logistic => "logistic",
            Policy::Trees => "boosted trees",
            Policy::Tuned => "trees and bandit",
        })
    }
}

/// What policies are made from.
#[derive(Clone)]
pub struct Knowledge {
    /// Trained on other seeds.
    pub model: Arc<Model>,
    /// What counts as a cost beside waiting.
    pub prices: Prices,
    /// For the oracle: which acts conflicted when everything was done fast.
    pub conflicting: Arc<BTreeSet<usize>>,
}

/// One part of a model.
struct Part {
    policy: Policy,
    model: Arc<Model>,
}

impl Predictor for Part {
    fn hazard(&self, features: &Features) -> Option<u32> {
        let margin = match self.policy {
            Policy::Table => self.model.table.margin(features),
            Policy::Logistic => self.model.logistic.margin(features),
            Policy::Trees | Policy::Tuned => self.model.margin(features),
            // The rules speak.
            _ => return None,
        };
        Some(self.model.probability_of(margin))
    }

    fn hash(&self) -> [u8; 8] {
        self.model.hash()
    }

    fn margin(&self, features: &Features) -> i32 {
        self.model.margin(features)
    }
}

impl Policy {
    /// The agent that a site has, if this policy is one of an agent.
    pub(crate) fn advisor(self, known: &Knowledge) -> Option<Box<Advisor>> {
        let is_agents = matches!(
            self,
            Policy::Rules | Policy::Table | Policy::Logistic | Policy::Trees | Policy::Tuned
        );
        let part = Part { policy: self, model: Arc::clone(&known.model) };
        let advisor = || {
            let Prices { intervention_us, preparing_us } = known.prices;
            let usual = Costs { intervention_us, ..Costs::default() };
            let advisor = Advisor::new(Box::new(part), Knobs::default());
            let advisor = advisor.with_usual_costs(usual).with_price_of_preparing(preparing_us);
            Box::new(if self == Policy::Tuned { advisor.tuned() } else { advisor })
        };
        is_agents.then(advisor)
    }

    /// What is decided on an act that is under way since then, without asking an agent.
    pub(crate) fn fixed(
        self,
        act: usize,
        since_ms: u64,
        known: &Knowledge,
    ) -> Option<Box<Advised>> {
        let path = match self {
            Policy::Fast => Path::Fast,
            Policy::Forward => Path::Forward,
            Policy::MultiPhase => Path::MultiPhase,
            Policy::Oracle if known.conflicting.contains(&act) => Path::MultiPhase,
            Policy::Oracle => Path::Fast,
            _ => return None,
        };
        let record = Record {
            model: [0; 8],
            schema: schema_hash(),
            situation: Situation::usual([0; COUNT], Homes::Here),
            knobs: Knobs::default(),
            trusted: true,
            seed: 0,
            margin: 0,
            path: path as u8,
            propensity: PROBABILITY_ONE,
        };
        Some(Box::new(Advised { began_ms: since_ms, reason: Reason::Predicted, record }))
    }
}
