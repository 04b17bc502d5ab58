//! Predictors for the sites' agents: the shipped model, and ones that are wrong in every way. With any
//! of them the sites must keep their promises, only later.

use einhorn_agent::DEFAULT_MODEL;
use einhorn_agent::decision::{Knobs, Predictor, probability_of_float};
use einhorn_agent::evaluator::PROBABILITY_ONE;
use einhorn_agent::features::Features;
use einhorn_agent::model::Model;
use einhorn_core::agent::Advisor;

/// What the agents of all sites predict with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Predicts {
    /// There are no agents.
    Nothing,
    /// The shipped model.
    Model,
    /// What the shipped model says least likely is likeliest.
    Inverted,
    /// Anything.
    Random,
    /// A hazard is impossible.
    Never,
    /// A hazard is certain.
    Always,
    /// What is no probability.
    NotANumber,
}

impl Predicts {
    /// All of them.
    pub const ALL: [Predicts; 7] = [
        Predicts::Nothing,
        Predicts::Model,
        Predicts::Inverted,
        Predicts::Random,
        Predicts::Never,
        Predicts::Always,
        Predicts::NotANumber,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Predicts::Nothing => "nothing",
            Predicts::Model => "model",
            Predicts::Inverted => "inverted",
            Predicts::Random => "random",
            Predicts::Never => "never",
            Predicts::Always => "always",
            Predicts::NotANumber => "nan",
        }
    }

    /// What a seed's sites predict with, if nothing else is wanted.
    pub(crate) fn of(seed: u64) -> Predicts {
        const ODD: [Predicts; 8] = [
            Predicts::Model,
            Predicts::Inverted,
            Predicts::Model,
            Predicts::Random,
            Predicts::Model,
            Predicts::Never,
            Predicts::Always,
            Predicts::NotANumber,
        ];
        if seed.is_multiple_of(2) { Predicts::Nothing } else { ODD[(seed / 2 % 8) as usize] }
    }

    /// An agent for a site, as after a start.
    pub(crate) fn advisor(self) -> Option<Box<Advisor>> {
        if self == Predicts::Nothing {
            return None;
        }
        let model = match Model::from_octets(DEFAULT_MODEL) {
            Ok(model) => model,
            Err(error) => unreachable!("the shipped model is read in its own tests: {error}"),
        };
        let advisor = |predictor| Some(Box::new(Advisor::new(predictor, Knobs::default())));
        match self {
            Predicts::Model => advisor(Box::new(model)),
            _ => advisor(Box::new(Broken { how: self, model })),
        }
    }
}

struct Broken {
    how: Predicts,
    model: Model,
}

impl Predictor for Broken {
    fn hazard(&self, features: &Features) -> Option<u32> {
        match self.how {
            Predicts::Inverted => Some(PROBABILITY_ONE - self.model.probability(features)),
            Predicts::Random => {
                let sum = features
                    .iter()
                    .fold(7u64, |sum, octet| sum.wrapping_mul(131) + u64::from(*octet));
                Some((sum % u64::from(PROBABILITY_ONE)) as u32)
            }
            Predicts::Never => Some(0),
            Predicts::Always => Some(PROBABILITY_ONE),
            Predicts::NotANumber => probability_of_float(f64::NAN),
            Predicts::Nothing | Predicts::Model => self.model.hazard(features),
        }
    }
}
