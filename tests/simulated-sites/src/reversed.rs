//! That addresses and their reverse records are always shown together.

use crate::operators::{REVERSE, ZONES, name};
use einhorn_core::model::{NameRecord, Zone, Zones};
use einhorn_core::rules::reverse::reverse_name;
use einhorn_wire::{Name, RecordType};
use std::collections::BTreeSet;

/// An address without its reverse record, or the other way round, among what a site shows; in words.
pub(crate) fn lacks_reverse(zones: &Zones) -> Option<String> {
    let reverse = zones.get(&name(REVERSE)).filter(|zone| zone.soa().is_some())?;
    let mut wanted: BTreeSet<(Name, Name)> = BTreeSet::new();
    for apex in [ZONES[0], ZONES[1]] {
        wanted.extend(zones.get(&name(apex)).into_iter().flat_map(|zone| pairs(zone)));
    }
    let of_reverse = |record: &NameRecord| {
        let owner = record.owner().to_name();
        let set = record.rrset(RecordType::PTR);
        let targets: Vec<_> = set
            .iter()
            .flat_map(|set| set.rdatas())
            .filter_map(|to| Name::from_wire(to).ok())
            .collect();
        targets.into_iter().map(move |to| (owner.clone(), to)).collect::<Vec<_>>()
    };
    let there: BTreeSet<(Name, Name)> = reverse.names.iter().flat_map(of_reverse).collect();
    let (address, to) = wanted.symmetric_difference(&there).next()?;
    Some(match wanted.contains(&(address.clone(), to.clone())) {
        true => format!("an address of {to} without its reverse record {address}"),
        false => format!("a reverse record {address} of {to}, which has no such address"),
    })
}

/// The reverse names of a zone's addresses, as far as they are kept here, each with whose it is.
fn pairs(zone: &Zone) -> Vec<(Name, Name)> {
    let apex = name(REVERSE);
    let of = |record: &NameRecord| {
        let owner = record.owner().to_name();
        let set = record.rrset(RecordType::A);
        let names: Vec<_> =
            set.iter().flat_map(|set| set.rdatas()).filter_map(reverse_name).collect();
        names.into_iter().map(move |reverse| (reverse, owner.clone())).collect::<Vec<_>>()
    };
    let all = zone.names.iter().flat_map(of);
    all.filter(|(reverse, _)| reverse.is_at_or_below(&apex)).collect()
}
