//! What an update touches: enough to keep the order of names, and to know when a later one makes an
//! earlier one pointless. Pure.

use einhorn_core::model::request::{Operation, Prerequisite};
use einhorn_core::rules::update::{self as rules, Refusal};
use einhorn_wire::message::{Message, Rcode, Section};
use einhorn_wire::{Class, Name, RecordType};

/// What an update touches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Footprint {
    /// Apex of the zone.
    pub(crate) zone: Name,
    /// Every name that it reads or changes, in lower case, each once.
    pub(crate) names: Vec<Name>,
    /// Whether it depends on nothing.
    pub(crate) is_unconditional: bool,
    /// The one name that it changes and nothing else; none if there are several.
    pub(crate) only_name: Option<Name>,
    /// Types that it changes; `None` in it for all.
    changed: Vec<Option<RecordType>>,
    /// Types that it empties before it adds anything; `None` in it for all.
    replaced: Vec<Option<RecordType>>,
}

impl Footprint {
    /// Reads an UPDATE.
    ///
    /// # Errors
    /// [`Refusal`] for what no site would take either.
    pub(crate) fn of(message: &Message<'_>) -> Result<Footprint, Refusal> {
        let refuse = |rcode, reason: String| Refusal::new(rcode, reason);
        let zone = message
            .question()
            .filter(|zone| message.header.counts[0] == 1 && zone.rtype == RecordType::SOA)
            .ok_or_else(|| {
                refuse(Rcode::FORMERR, "the zone section must be one SOA question".into())
            })?;
        if zone.class != Class::IN {
            return Err(refuse(Rcode::NOTAUTH, "only class IN is served".into()));
        }
        let zone = zone.name.to_name();
        let records = |section| {
            message.records(section).map_err(|error| refuse(Rcode::FORMERR, error.to_string()))
        };
        let prerequisites = rules::prerequisites(&zone, records(Section::Answer)?)?;
        let operations = rules::operations(&zone, records(Section::Authority)?)?;
        Ok(Footprint::new(zone, &prerequisites, &operations))
    }

    fn new(zone: Name, prerequisites: &[Prerequisite], operations: &[Operation]) -> Footprint {
        let read = prerequisites.iter().map(Prerequisite::name);
        let mut names: Vec<Name> =
            read.chain(operations.iter().map(Operation::owner)).map(Name::to_lowercase).collect();
        names.sort_by(|a, b| a.as_wire().cmp(b.as_wire()));
        names.dedup();
        let is_unconditional = prerequisites.is_empty();
        let only_name = match &*names {
            [name] if is_unconditional => Some(name.clone()),
            _ => None,
        };
        let (mut changed, mut replaced) = (Vec::new(), Vec::new());
        for operation in operations {
            let rtype = operation.rtype();
            let is_first = !changed.contains(&rtype) && (rtype.is_some() || changed.is_empty());
            let empties =
                matches!(operation, Operation::DeleteRrSet(..) | Operation::DeleteName(_));
            if is_first && empties {
                replaced.push(rtype);
            }
            if !changed.contains(&rtype) {
                changed.push(rtype);
            }
        }
        Footprint { zone, names, is_unconditional, only_name, changed, replaced }
    }

    /// Whether this, done later, leaves nothing of `earlier`, as if that had never been.
    pub(crate) fn supersedes(&self, earlier: &Footprint) -> bool {
        let replaces = |rtype: &Option<RecordType>| {
            self.replaced.contains(rtype) || self.replaced.contains(&None)
        };
        self.only_name.is_some()
            && self.only_name == earlier.only_name
            && self.zone == earlier.zone
            && earlier.changed.iter().all(replaces)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().expect("a name")
    }

    fn add(owner: &str, last: u8) -> Operation {
        Operation::Add {
            owner: name(owner),
            rtype: RecordType::A,
            ttl: 60,
            rdata: [192, 0, 2, last].into(),
        }
    }

    fn empty(owner: &str, rtype: RecordType) -> Operation {
        Operation::DeleteRrSet(name(owner), rtype)
    }

    fn of(operations: &[Operation]) -> Footprint {
        Footprint::new(name("fleet.example."), &[], operations)
    }

    #[test]
    fn a_replacement_supersedes_what_it_replaces_and_nothing_else() {
        let (a, aaaa) = (RecordType::A, RecordType::AAAA);
        let replacement = of(&[empty("x.fleet.example.", a), add("X.fleet.example.", 2)]);
        assert!(replacement.supersedes(&of(&[add("x.fleet.example.", 1)])));
        assert!(replacement.supersedes(&replacement));
        assert!(!replacement.supersedes(&of(&[add("y.fleet.example.", 1)])));
        assert!(!replacement.supersedes(&of(&[empty("x.fleet.example.", aaaa)])));
        let all = of(&[Operation::DeleteName(name("x.fleet.example."))]);
        assert!(all.supersedes(&replacement) && !replacement.supersedes(&all));
        // What is added before the rest is emptied was not there to be replaced, but is gone too: only
        // the order that devices use counts.
        let late = of(&[add("x.fleet.example.", 2), empty("x.fleet.example.", a)]);
        assert!(!late.supersedes(&replacement));
    }

    #[test]
    fn conditions_and_several_names_supersede_nothing_and_are_not_superseded() {
        let a = RecordType::A;
        let replacement = of(&[empty("x.fleet.example.", a), add("x.fleet.example.", 2)]);
        let condition = [Prerequisite::NameInUse(name("x.fleet.example."))];
        let operations = [empty("x.fleet.example.", a)];
        let conditional = Footprint::new(name("fleet.example."), &condition, &operations);
        let several = of(&[empty("x.fleet.example.", a), empty("y.fleet.example.", a)]);
        assert!(!conditional.is_unconditional && several.is_unconditional);
        for other in [&conditional, &several] {
            assert!(!replacement.supersedes(other) && !other.supersedes(&replacement));
        }
        assert_eq!(several.names.len(), 2);
    }
}
