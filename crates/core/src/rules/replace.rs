//! Planning to give a zone another content: which names must change, and to what.
//!
//! A plan decides nothing: the commit checks that every name is still at the version that the
//! plan saw.

use crate::model::request::{Identity, PlannedName};
use crate::model::tree::Live;
use crate::model::{NameRecord, RrSet, Zone, borrowed, find, same_rrsets};
use einhorn_wire::rdata::{serial_greater, soa_numbers, with_serial};
use einhorn_wire::{Name, RecordType};
use std::collections::HashSet;

/// What the new content is, beside what the zone has now.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Names that change, in canonical order of the new content, then those that go.
    pub names: Vec<PlannedName>,
    /// Names that differ and stay as they are, since somebody else changed them last.
    pub kept: Vec<Name>,
}

/// Whose names a new content may replace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overwrite {
    /// Those that the operator wrote last: what devices registered is theirs.
    Own,
    /// All of them.
    All,
}

/// Plans to make `names`, each once, the whole content of `zone`.
pub fn whole(zone: &Zone, names: Vec<(Name, Vec<RrSet>)>, overwrite: Overwrite) -> Plan {
    let mut plan = Plan::default();
    let mut seen: HashSet<Box<[u8]>> = HashSet::with_capacity(names.len());
    for (owner, after) in names {
        seen.insert(owner.canonical_key().as_ref().into());
        let before = zone.name(&owner);
        plan.name(before, owner, after, overwrite);
    }
    for record in zone.names.iter().filter(|record| record.is_live()) {
        if !seen.contains(record.owner().canonical_key().as_ref()) {
            plan.name(Some(record), record.owner().to_name(), Vec::new(), overwrite);
        }
    }
    plan
}

impl Plan {
    /// Plans one name.
    pub fn name(
        &mut self,
        before: Option<&NameRecord>,
        owner: Name,
        after: Vec<RrSet>,
        overwrite: Overwrite,
    ) {
        let rrsets = before.into_iter().flat_map(NameRecord::rrsets);
        if same_rrsets(rrsets, borrowed(&after)) {
            return;
        }
        let foreign = |record: &NameRecord| record.history().writer != Identity::Operator.tag();
        if overwrite == Overwrite::Own && before.is_some_and(foreign) {
            self.kept.push(owner);
            return;
        }
        let version = before.map_or(0, |record| record.history().version);
        self.names.push(PlannedName { owner, version, epoch: None, after });
    }
}

/// A zone file's SOA never takes the zone back to an earlier serial: it comes with the zone's
/// own serial unless it has a greater one.
pub fn keep_serial(zone: &Zone, names: &mut [(Name, Vec<RrSet>)]) {
    let apex = names.iter_mut().find(|(owner, _)| *owner == zone.apex);
    let Some((_, sets)) = apex else { return };
    let file = find(sets, RecordType::SOA).and_then(|set| soa_numbers(set.rdatas().next()?));
    if file.is_some_and(|soa| serial_greater(soa.serial, zone.serial)) {
        return;
    }
    for set in sets.iter_mut().filter(|set| set.rtype == RecordType::SOA) {
        let datas: Vec<_> = set.rdatas().map(|data| with_serial(data, zone.serial)).collect();
        if let Some(new) = RrSet::new(set.rtype, set.ttl, datas.iter().map(|data| &**data)) {
            *set = new;
        }
    }
}
