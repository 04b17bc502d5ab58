//! The agent: what it may look at, what it says, and the fixed rules that speak where none is asked.
//!
//! The agent **advises** a path and says why; it never decides: with any advice whatsoever the
//! commit stays correct. It sees only what the entry site can know, and is a pure function of it.
//!
//! Among several sites [`Advisor`] looks at a device's request where it enters, and the home goes by
//! what it said. [`Rules`] speak at the home of whatever came without: requests of a site that is
//! alone, of operators, or of a site whose agent is switched off.

mod advised;
mod advisor;
mod memory;
mod watching;

pub use advised::Advised;
pub use advisor::{Advisor, AdvisorReport, Look, PREPARING_US};
pub use memory::{changed, is_somebodys, window_of};

use crate::model::settings::Contested;
use crate::model::{History, NameRecord, WriterTag};

/// How a change may be committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Path {
    /// One local commit.
    Fast = 1,
    /// Sent to the one site that is home to all its names.
    Forward = 2,
    /// Prepared and decided across sites.
    MultiPhase = 3,
    /// Multi-phase, with the names' home moving here.
    Move = 4,
    /// Held a moment to be joined with the next change of a flapping device.
    Coalesce = 5,
    /// Left to a person.
    Review = 6,
}

impl Path {
    /// The path with this number in ledger entries.
    pub fn from_code(code: u8) -> Option<Path> {
        use Path::{Coalesce, Fast, Forward, Move, MultiPhase, Review};
        [Fast, Forward, MultiPhase, Move, Coalesce, Review]
            .into_iter()
            .find(|path| *path as u8 == code)
    }

    /// Whether intents come before the decision on it.
    pub fn is_prepared(self) -> bool {
        matches!(self, Path::MultiPhase | Path::Move)
    }
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Path::Fast => "fast",
            Path::Forward => "forward",
            Path::MultiPhase => "multi-phase",
            Path::Move => "move",
            Path::Coalesce => "coalesce",
            Path::Review => "review",
        })
    }
}

/// Why the agent advises what it advises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    /// Nothing speaks against the cheapest path.
    NoHazard = 1,
    /// Another identity made the last change of one of the names, not long ago.
    OtherWriter = 2,
    /// The same identity changes a name again within a moment.
    Flapping = 3,
    /// An operator acts on the zone as a whole.
    Operator = 4,
    /// The names were changed from that other site several times in a row.
    UsedElsewhere = 5,
    /// The names have different homes.
    SeveralHomes = 6,
    /// A batch of a legacy system holds one of the names.
    LegacyBatch = 7,
    /// The model's prediction, and the least expected cost.
    Predicted = 8,
    /// A guardrail left one path only.
    Guarded = 9,
    /// No model is trusted now: fixed rules.
    Distrusted = 10,
    /// One of the safe paths, to learn what it costs.
    Explored = 11,
}

impl Reason {
    /// The reason with this number in ledger entries.
    pub fn from_code(code: u8) -> Option<Reason> {
        use Reason::{
            Distrusted, Explored, Flapping, Guarded, LegacyBatch, NoHazard, Operator, OtherWriter,
            Predicted, SeveralHomes, UsedElsewhere,
        };
        let by_rules =
            [NoHazard, OtherWriter, Flapping, Operator, UsedElsewhere, SeveralHomes, LegacyBatch];
        let by_agent = [Predicted, Guarded, Distrusted, Explored];
        by_rules.into_iter().chain(by_agent).find(|reason| *reason as u8 == code)
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Reason::NoHazard => "no hazard seen",
            Reason::OtherWriter => "another identity changed the name not long ago",
            Reason::Flapping => "the same identity changed the name a moment ago",
            Reason::Operator => "an operator acts on the zone as a whole",
            Reason::UsedElsewhere => "the name is used from that site now",
            Reason::SeveralHomes => "the names have different homes",
            Reason::LegacyBatch => "a batch of a legacy system holds the name",
            Reason::Predicted => "the cheapest for the hazard predicted",
            Reason::Guarded => "the only path that the guardrails leave",
            Reason::Distrusted => "by fixed rules, since no model is trusted now",
            Reason::Explored => "a safe path, tried to learn what it costs",
        })
    }
}

/// What the agent says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advice {
    /// The path it would take.
    pub path: Path,
    /// Why.
    pub reason: Reason,
    /// The first octets of the SHA-256 of the model that spoke; the rules have their own.
    pub model: [u8; 8],
}

/// What the agent may look at.
pub struct Observation<'a> {
    /// Who asks.
    pub writer: WriterTag,
    /// Now, in milliseconds since 1970.
    pub now_ms: u64,
    /// The site that looks.
    pub site: u16,
    /// The site where the change entered.
    pub entered_site: u16,
    /// What becomes of a change that another identity contests.
    pub contested: Contested,
    /// Whether a batch of a legacy system holds one of the names.
    pub is_held: bool,
    /// The names that the change touches and that are known here.
    pub names: &'a [&'a NameRecord],
}

/// Something that gives advice.
pub trait Agent: Send {
    /// Looks and advises. Must not block; takes about a microsecond.
    fn advise(&self, observation: Observation<'_>) -> Advice;
}

/// Fixed rules: no memory, no model.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rules;

/// Names the rule set in the ledger.
const RULES_MODEL: [u8; 8] = *b"rules-v1";
/// Another writer's change is a hazard for so long, in milliseconds.
const OTHER_WRITER_MS: u64 = 3_600_000;
/// A name moves to another site when so many changes in a row entered there.
const MOVE_CHANGES: u8 = 3;
/// Changes closer together than this are flapping, in milliseconds.
const FLAPPING_MS: u64 = 1_000;

/// Whether another identity than `writer` made the last change of a name, not long ago.
pub fn is_others(history: &History, writer: WriterTag, now_ms: u64) -> bool {
    history.writer != writer && now_ms.saturating_sub(history.changed_at_ms) < OTHER_WRITER_MS
}

impl Rules {
    /// Advice for names that no single site can decide on.
    pub fn several_homes() -> Advice {
        Advice { path: Path::MultiPhase, reason: Reason::SeveralHomes, model: RULES_MODEL }
    }

    /// Advice for what is not a device's change.
    pub fn operator() -> Advice {
        Advice { path: Path::Fast, reason: Reason::Operator, model: RULES_MODEL }
    }
}

impl Agent for Rules {
    fn advise(&self, observation: Observation<'_>) -> Advice {
        let mut advice = Advice { path: Path::Fast, reason: Reason::NoHazard, model: RULES_MODEL };
        if observation.is_held {
            return Advice { path: Path::MultiPhase, reason: Reason::LegacyBatch, ..advice };
        }
        for name in observation.names {
            let History { changed_at_ms, writer, .. } = name.history();
            let age_ms = observation.now_ms.saturating_sub(changed_at_ms);
            if is_others(&name.history(), observation.writer, observation.now_ms) {
                let path = match observation.contested {
                    Contested::Latest => Path::MultiPhase,
                    Contested::Review => Path::Review,
                };
                return Advice { path, reason: Reason::OtherWriter, ..advice };
            }
            if writer == observation.writer && age_ms < FLAPPING_MS {
                advice = Advice { path: Path::Coalesce, reason: Reason::Flapping, ..advice };
            }
        }
        let is_elsewhere = |name: &&NameRecord| {
            let History { used_at, used_times, .. } = name.history();
            used_at == observation.entered_site && used_times >= MOVE_CHANGES - 1
        };
        let entered_elsewhere = observation.entered_site != observation.site;
        if entered_elsewhere
            && !observation.names.is_empty()
            && observation.names.iter().all(is_elsewhere)
        {
            return Advice { path: Path::Move, reason: Reason::UsedElsewhere, ..advice };
        }
        advice
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Origin, Position};

    fn record(writer: u64, changed_at_ms: u64) -> NameRecord {
        let last = Position { origin: Origin { site: 1, generation: 1 }, index: 0 };
        let history = History {
            home: last.origin,
            epoch: 1,
            version: 1,
            sequence: 1,
            last,
            writer: WriterTag(writer),
            changed_at_ms,
            used_at: 2,
            used_times: 2,
        };
        NameRecord::new(einhorn_wire::Name::root().borrowed(), &history, &[], std::iter::empty())
    }

    fn reason(names: &[NameRecord]) -> Reason {
        let names: Vec<_> = names.iter().collect();
        reason_at(&names, 1)
    }

    fn reason_at(names: &[&NameRecord], entered_site: u16) -> Reason {
        let (writer, now_ms) = (WriterTag(1), 10_000_000);
        let contested = Contested::Latest;
        let (site, is_held) = (1, false);
        Rules
            .advise(Observation { writer, now_ms, site, entered_site, contested, is_held, names })
            .reason
    }

    #[test]
    fn a_name_moves_when_it_was_used_elsewhere_often_enough() {
        let (own, other) = (record(1, 0), record(2, 9_999_000));
        assert_eq!(reason_at(&[&own], 2), Reason::UsedElsewhere);
        assert_eq!(reason_at(&[&own], 3), Reason::NoHazard);
        assert_eq!(reason_at(&[], 2), Reason::NoHazard);
        assert_eq!(reason_at(&[&own, &other], 2), Reason::OtherWriter);
    }

    #[test]
    fn each_rule_speaks_when_it_should() {
        assert_eq!(reason(&[]), Reason::NoHazard);
        assert_eq!(reason(&[record(1, 0)]), Reason::NoHazard);
        assert_eq!(reason(&[record(2, 0)]), Reason::NoHazard);
        assert_eq!(reason(&[record(1, 9_999_500)]), Reason::Flapping);
        assert_eq!(reason(&[record(1, 9_999_500), record(2, 9_000_000)]), Reason::OtherWriter);
    }

    #[test]
    fn codes_are_stable() {
        assert_eq!(Path::from_code(6), Some(Path::Review));
        assert_eq!(Path::from_code(0), None);
        assert_eq!(Reason::from_code(2), Some(Reason::OtherWriter));
        assert_eq!(Reason::from_code(7), Some(Reason::LegacyBatch));
    }
}
