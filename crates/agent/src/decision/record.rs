//! A decision as it is logged: everything that is needed to make it again.

use super::{Costs, Decision, Homes, Knobs, Path, Predictor, Situation, decide};
use crate::features::{COUNT, schema_hash};
use crate::model::Model;
use thiserror::Error;

/// What is logged of a decision. The octets of fixed length are in the order of the fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Which model spoke.
    pub model: [u8; 8],
    /// Which features it read.
    pub schema: [u8; 8],
    /// What was known.
    pub situation: Situation,
    /// The settings in force.
    pub knobs: Knobs,
    /// Whether the model was trusted.
    pub trusted: bool,
    /// Where exploration came from.
    pub seed: u64,
    /// What the model alone said of the hazard, as a margin in 1/1024.
    pub margin: i32,
    /// What was decided, as its path's number.
    pub path: u8,
    /// How likely that was, in billionths.
    pub propensity: u32,
}

/// Why a record cannot be replayed, or differs.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum RecordError {
    /// The octets are no record.
    #[error("not a decision's record")]
    Malformed,
    /// It was made with another model or other features.
    #[error("made by another model, or for other features")]
    OtherModel,
    /// What is decided now differs from what stands there.
    #[error("the record says path {logged}, but the same inputs give {found}")]
    Differs {
        /// The number of the path that was logged.
        logged: u8,
        /// The number of the path that is found now.
        found: u8,
    },
}

/// How long a record is.
const OCTETS: usize = 8 + 8 + COUNT + 6 + 24 + 11 + 1 + 8 + 4 + 1 + 4;
const NOT_FLAPPING: u16 = u16::MAX;

impl Record {
    /// Decides, and records it.
    pub fn make(
        model: &dyn Predictor,
        trusted: bool,
        knobs: &Knobs,
        situation: &Situation,
        seed: u64,
    ) -> (Decision, Record) {
        // 65,535 milliseconds stand for "not flapping" in a record.
        let flapping_ms = situation.flapping_ms.filter(|ms| *ms != NOT_FLAPPING);
        let situation = Situation { flapping_ms, ..*situation };
        let decision = decide(model, trusted, knobs, &situation, seed);
        let record = Record {
            model: model.hash(),
            schema: schema_hash(),
            situation,
            knobs: *knobs,
            trusted,
            seed,
            margin: model.margin(&situation.features),
            path: decision.path as u8,
            propensity: decision.propensity,
        };
        (decision, record)
    }

    /// Makes the decision again and compares.
    pub fn replay(&self, model: &Model) -> Result<Decision, RecordError> {
        if self.model != model.hash() || self.schema != schema_hash() {
            return Err(RecordError::OtherModel);
        }
        let (decision, again) =
            Record::make(model, self.trusted, &self.knobs, &self.situation, self.seed);
        if again != *self {
            return Err(RecordError::Differs { logged: self.path, found: again.path });
        }
        Ok(decision)
    }

    /// The octets.
    pub fn to_octets(&self) -> Vec<u8> {
        let Situation { features, homes, identity_matches, legacy_batch_open, used_here, .. } =
            self.situation;
        let mut octets = [self.model, self.schema].concat();
        octets.extend(features);
        octets.extend([homes as u8, identity_matches.into(), legacy_batch_open.into(), used_here]);
        octets.extend(self.situation.flapping_ms.unwrap_or(NOT_FLAPPING).to_be_bytes());
        let Costs { fast_us, forward_us, multi_phase_us, move_us, intervention_us } =
            self.situation.costs;
        for cost in [fast_us, forward_us, multi_phase_us, move_us] {
            octets.extend(cost.to_be_bytes());
        }
        octets.extend(intervention_us.to_be_bytes());
        octets.extend(self.knobs.caution_percent.to_be_bytes());
        octets.extend(self.knobs.coalesce_ms.to_be_bytes());
        octets.push(self.knobs.move_after);
        octets.extend(self.knobs.lease_s.to_be_bytes());
        octets.extend(self.knobs.exploration.to_be_bytes());
        octets.push(self.trusted.into());
        octets.extend(self.seed.to_be_bytes());
        octets.extend(self.margin.to_be_bytes());
        octets.push(self.path);
        octets.extend(self.propensity.to_be_bytes());
        octets
    }

    /// Reads a record.
    pub fn from_octets(octets: &[u8]) -> Result<Record, RecordError> {
        if octets.len() != OCTETS {
            return Err(RecordError::Malformed);
        }
        let mut reader = Reader(octets);
        let (model, schema) = (reader.take()?, reader.take()?);
        let situation = reader.situation()?;
        let knobs = Knobs {
            caution_percent: reader.short()?,
            coalesce_ms: reader.short()?,
            move_after: reader.octet()?,
            lease_s: reader.short()?,
            exploration: reader.word()?,
        };
        let record = Record {
            model,
            schema,
            situation,
            knobs,
            trusted: reader.flag()?,
            seed: u64::from_be_bytes(reader.take()?),
            margin: i32::from_be_bytes(reader.take()?),
            path: reader.octet()?,
            propensity: reader.word()?,
        };
        let known = super::PATHS.iter().any(|path: &Path| *path as u8 == record.path);
        if known { Ok(record) } else { Err(RecordError::Malformed) }
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        let (first, rest) = self.0.split_first_chunk().ok_or(RecordError::Malformed)?;
        self.0 = rest;
        Ok(*first)
    }

    fn octet(&mut self) -> Result<u8, RecordError> {
        Ok(u8::from_be_bytes(self.take()?))
    }

    fn short(&mut self) -> Result<u16, RecordError> {
        Ok(u16::from_be_bytes(self.take()?))
    }

    fn word(&mut self) -> Result<u32, RecordError> {
        Ok(u32::from_be_bytes(self.take()?))
    }

    fn flag(&mut self) -> Result<bool, RecordError> {
        match self.octet()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(RecordError::Malformed),
        }
    }

    fn situation(&mut self) -> Result<Situation, RecordError> {
        let features = self.take()?;
        let homes = match self.octet()? {
            0 => Homes::Here,
            1 => Homes::Elsewhere,
            2 => Homes::Several,
            _ => return Err(RecordError::Malformed),
        };
        Ok(Situation {
            features,
            homes,
            identity_matches: self.flag()?,
            legacy_batch_open: self.flag()?,
            used_here: self.octet()?,
            flapping_ms: Some(self.short()?).filter(|ms| *ms != NOT_FLAPPING),
            costs: Costs {
                fast_us: self.word()?,
                forward_us: self.word()?,
                multi_phase_us: self.word()?,
                move_us: self.word()?,
                intervention_us: u64::from_be_bytes(self.take()?),
            },
        })
    }
}
