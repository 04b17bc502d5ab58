//! Which key may change what.
//!
//! Default deny: a key may do what some grant allows, and nothing else. Grants look at the
//! request alone, never at state.

use crate::model::request::Operation;
use crate::rules::update::Refusal;
use einhorn_wire::message::Rcode;
use einhorn_wire::{Name, RecordType};
use std::collections::HashMap;
use std::str::FromStr;

/// Which names a grant covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamePattern {
    /// `*`: every name of the zone.
    Any,
    /// `self`: the name that is the key's name.
    OwnName,
    /// `self-and-below`: that name and all below it.
    OwnSubtree,
    /// `*.lab.example.`: every name below, not the name itself.
    Below(Name),
    /// `printer.example.`: this name.
    Exactly(Name),
}

impl NamePattern {
    fn covers(&self, key: &Name, owner: &Name) -> bool {
        match self {
            NamePattern::Any => true,
            NamePattern::OwnName => owner == key,
            NamePattern::OwnSubtree => owner.is_at_or_below(key),
            NamePattern::Below(name) => owner.is_at_or_below(name) && owner != name,
            NamePattern::Exactly(name) => owner == name,
        }
    }
}

impl FromStr for NamePattern {
    type Err = einhorn_wire::name::NameError;

    fn from_str(text: &str) -> Result<NamePattern, Self::Err> {
        Ok(match text {
            "*" => NamePattern::Any,
            "self" => NamePattern::OwnName,
            "self-and-below" => NamePattern::OwnSubtree,
            _ => match text.strip_prefix("*.") {
                Some(below) => NamePattern::Below(below.parse()?),
                None => NamePattern::Exactly(text.parse()?),
            },
        })
    }
}

/// One permission: this key, in this zone, these names, these types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Name of the key.
    pub key: Name,
    /// Apex of the zone; `None` for all zones.
    pub zone: Option<Name>,
    /// Names it may change; none for a key that only transfers.
    pub names: Vec<NamePattern>,
    /// Types it may change; `None` for all.
    pub types: Option<Vec<RecordType>>,
    /// Whether it may transfer the whole zone.
    pub transfer: bool,
}

impl Grant {
    /// Everything in `zone` for `key`.
    pub fn everything(key: Name, zone: Name) -> Grant {
        Grant { key, zone: Some(zone), names: vec![NamePattern::Any], types: None, transfer: true }
    }

    fn allows(&self, operation: &Operation) -> bool {
        let names = self.names.iter().any(|pattern| pattern.covers(&self.key, operation.owner()));
        let types = match (&self.types, operation.rtype()) {
            (None, _) => true,
            // Deleting a name deletes types that a list of types does not name.
            (Some(_), None) => false,
            (Some(types), Some(rtype)) => types.contains(&rtype),
        };
        names && types
    }
}

/// All grants, by key and zone, and which keys are of daemons beside devices.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    grants: HashMap<Name, Vec<Grant>>,
    /// The devices that each edge speaks for.
    edges: HashMap<Name, Vec<NamePattern>>,
}

impl Policy {
    /// A policy of these grants.
    pub fn new(grants: impl IntoIterator<Item = Grant>) -> Policy {
        let mut by_key: HashMap<Name, Vec<Grant>> = HashMap::new();
        for grant in grants {
            by_key.entry(grant.key.clone()).or_default().push(grant);
        }
        Policy { grants: by_key, edges: HashMap::new() }
    }

    /// The same, where the key `edge` speaks for devices whose keys have such names.
    pub fn with_edge(mut self, edge: Name, devices: Vec<NamePattern>) -> Policy {
        self.edges.insert(edge, devices);
        self
    }

    /// Whether this key is of a daemon beside devices.
    pub fn is_edge(&self, key: &Name) -> bool {
        self.edges.contains_key(key)
    }

    /// Whether the edge with this key may say that it speaks for `device`: for itself always.
    ///
    /// # Errors
    /// REFUSED.
    pub fn speaks_for(&self, edge: &Name, device: &Name) -> Result<(), Refusal> {
        let covers = |pattern: &NamePattern| pattern.covers(edge, device);
        if edge == device || self.edges.get(edge).is_some_and(|known| known.iter().any(covers)) {
            return Ok(());
        }
        let reason = format!("edge {edge} may not speak for {device}");
        Err(Refusal::new(Rcode::REFUSED, reason))
    }

    fn of<'p>(&'p self, key: &Name, zone: &'p Name) -> impl Iterator<Item = &'p Grant> {
        self.grants
            .get(key)
            .into_iter()
            .flatten()
            .filter(move |grant| grant.zone.as_ref().is_none_or(|named| named == zone))
    }

    /// Whether `key` may do all of `operations` in `zone`.
    ///
    /// # Errors
    /// REFUSED, naming the first operation that no grant allows.
    pub fn check(&self, key: &Name, zone: &Name, operations: &[Operation]) -> Result<(), Refusal> {
        if self.of(key, zone).all(|grant| grant.names.is_empty()) {
            return Err(Refusal::new(
                Rcode::REFUSED,
                format!("key {key} may not update zone {zone}"),
            ));
        }
        let denied =
            |operation: &&Operation| !self.of(key, zone).any(|grant| grant.allows(operation));
        match operations.iter().find(denied) {
            None => Ok(()),
            Some(operation) => {
                let types =
                    operation.rtype().map_or("all types".to_owned(), |rtype| rtype.to_string());
                let owner = operation.owner();
                Err(Refusal::new(
                    Rcode::REFUSED,
                    format!("key {key} may not change {types} of {owner}"),
                ))
            }
        }
    }

    /// Whether `key` may transfer `zone`.
    pub fn may_transfer(&self, key: &Name, zone: &Name) -> bool {
        self.of(key, zone).any(|grant| grant.transfer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().expect("name")
    }

    fn grant(names: &[&str], types: Option<&[RecordType]>) -> Policy {
        Policy::new([Grant {
            key: name("anna.fleet.example."),
            zone: Some(name("fleet.example.")),
            names: names.iter().map(|n| n.parse().expect("pattern")).collect(),
            types: types.map(<[_]>::to_vec),
            transfer: false,
        }])
    }

    fn may(policy: &Policy, owner: &str, rtype: RecordType) -> bool {
        let operation = Operation::DeleteRrSet(name(owner), rtype);
        policy.check(&name("Anna.fleet.example."), &name("fleet.example."), &[operation]).is_ok()
    }

    #[test]
    fn grants_say_exactly_what_is_allowed() {
        let own = grant(&["self"], Some(&[RecordType::A, RecordType::AAAA]));
        assert!(may(&own, "anna.fleet.example.", RecordType::A));
        assert!(!may(&own, "anna.fleet.example.", RecordType::TXT));
        assert!(!may(&own, "x.anna.fleet.example.", RecordType::A));
        assert!(!may(&own, "ben.fleet.example.", RecordType::A));
        assert!(may(&grant(&["self-and-below"], None), "x.anna.fleet.example.", RecordType::A));
        let below = grant(&["*.lab.fleet.example.", "printer.fleet.example"], None);
        assert!(may(&below, "a.b.lab.fleet.example.", RecordType::TXT));
        assert!(may(&below, "PRINTER.fleet.example.", RecordType::TXT));
        assert!(!may(&below, "lab.fleet.example.", RecordType::TXT));
    }

    #[test]
    fn an_edge_speaks_for_the_devices_it_was_given() {
        let edge = name("edge.fleet.example.");
        let policy =
            Policy::new([]).with_edge(edge.clone(), vec![NamePattern::Below(name("lab."))]);
        let speaks = |edge: &Name, device: &str| policy.speaks_for(edge, &name(device)).is_ok();
        assert!(policy.is_edge(&edge) && !policy.is_edge(&name("anna.lab.")));
        assert!(speaks(&edge, "anna.lab.") && speaks(&edge, "edge.fleet.example."));
        assert!(!speaks(&edge, "anna.example.") && !speaks(&name("ben.lab."), "anna.lab."));
    }

    #[test]
    fn other_keys_zones_and_whole_names_are_denied() {
        let typed = grant(&["*"], Some(&[RecordType::A]));
        let (key, zone) = (name("anna.fleet.example."), name("fleet.example."));
        let delete = [Operation::DeleteName(name("x.fleet.example."))];
        assert!(typed.check(&key, &zone, &delete).is_err());
        assert!(grant(&["*"], None).check(&key, &zone, &delete).is_ok());
        assert!(typed.check(&name("ben."), &zone, &[]).is_err());
        assert!(typed.check(&key, &name("other."), &[]).is_err());
        assert!(grant(&[], None).check(&key, &zone, &[]).is_err());
        assert!(!typed.may_transfer(&key, &zone));
    }
}
