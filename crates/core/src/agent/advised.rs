//! A decision of the entry site's agent, as it travels with a request and stands in the ledger.

use crate::agent::{Advice, Path, Reason};
use crate::model::codec::{Malformed, Put, Take};
use einhorn_agent::decision::{Path as Decided, Record, Speaker};

/// What was decided where a request entered, with all that it was decided from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advised {
    /// From when on the change was under way, in milliseconds since 1970, by the clock of the site where
    /// it entered: then, or, if its names are at home elsewhere, so much earlier as what is shown here
    /// may be old. What others did since, it may not have seen.
    pub began_ms: u64,
    /// Who spoke.
    pub reason: Reason,
    /// What it was decided from, and the path.
    pub record: Record,
}

/// Stands before a decision where there may be none: no kind of action and no path has this number.
pub(crate) const MARK: u8 = 0x80;

impl Advised {
    /// The advice that it comes to.
    pub fn advice(&self) -> Advice {
        let path = Path::from_code(self.record.path).unwrap_or(Path::MultiPhase);
        Advice { path, reason: self.reason, model: self.record.model }
    }

    /// Whether the names are to be prepared, though they may have one home.
    pub fn is_careful(&self) -> bool {
        self.record.path == Decided::MultiPhase as u8
    }

    /// Writes it, if it is there, with a mark before it.
    pub(crate) fn put(decision: Option<&Advised>, put: &mut Put<'_>) {
        let Some(decision) = decision else { return };
        put.u8(MARK);
        put.u64(decision.began_ms);
        put.u8(decision.reason as u8);
        put.octets(&decision.record.to_octets());
    }

    /// Reads one, if the next octet is the mark.
    pub(crate) fn take(take: &mut Take<'_>) -> Result<Option<Box<Advised>>, Malformed> {
        if take.rest.first() != Some(&MARK) {
            return Ok(None);
        }
        take.u8()?;
        let began_ms = take.u64()?;
        let reason = Reason::from_code(take.u8()?).ok_or(Malformed("reason of a decision"))?;
        let record = Record::from_octets(take.octets()?);
        let record = record.map_err(|_| Malformed("record of a decision"))?;
        Ok(Some(Box::new(Advised { began_ms, reason, record })))
    }
}

impl From<Speaker> for Reason {
    fn from(speaker: Speaker) -> Reason {
        match speaker {
            Speaker::Model => Reason::Predicted,
            Speaker::Guardrail => Reason::Guarded,
            Speaker::Rules => Reason::Distrusted,
            Speaker::Exploration => Reason::Explored,
        }
    }
}
