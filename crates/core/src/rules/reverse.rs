//! Reverse records: which PTR records (RFC 1035 §3.5, RFC 3596 §2.5) a change of addresses brings with
//! it, where the zone asks for that and the reverse zone is kept here.
//!
//! They are only ever added and taken away one by one: what else stands at a reverse name is
//! somebody's own. Never changes state.

use crate::model::request::{Action, Operation, Request};
use crate::model::settings::Reverse;
use crate::model::{RrSetRef, State, Zone, borrowed};
use crate::rules::update::apply;
use einhorn_wire::{Name, RecordType};
use std::collections::BTreeMap;

/// Addresses of a name with the TTL of each in seconds, by their reverse names.
type Reversed = BTreeMap<Name, u32>;

/// The changes of PTR records that belong to `request`, as far as is known here: one request for
/// each reverse zone, each with the id of `request`. None for zones that do not ask for it.
pub fn derived(state: &State, request: &Request) -> Vec<Request> {
    let zone = state.zones.get(&request.zone);
    let Some(zone) = zone.filter(|zone| zone.settings.reverse == Reverse::Auto) else {
        return Vec::new();
    };
    let mut by_zone: BTreeMap<Name, Vec<Operation>> = BTreeMap::new();
    let mut name = |owner: &Name, before: &Reversed, after: &Reversed| {
        let (rtype, rdata) = (RecordType::PTR, || Box::from(owner.as_wire()));
        let gone = before.keys().filter(|reverse| !after.contains_key(*reverse));
        let removals = gone.map(|reverse| {
            let owner = reverse.clone();
            Operation::DeleteRecord { owner, rtype, rdata: rdata() }
        });
        let new = after.iter().filter(|(reverse, _)| !before.contains_key(*reverse));
        let additions = new.map(|(reverse, ttl)| {
            let owner = reverse.clone();
            Operation::Add { owner, rtype, ttl: *ttl, rdata: rdata() }
        });
        for operation in removals.chain(additions) {
            if let Some(zone) = zone_of(state, operation.owner()) {
                by_zone.entry(zone).or_default().push(operation);
            }
        }
    };
    match &request.action {
        Action::Update { operations, .. } => {
            for touched in apply(zone, operations, None) {
                let after = addresses(&touched.owner, borrowed(&touched.after));
                name(&touched.owner, &addresses(&touched.owner, touched.rrsets_before()), &after);
            }
        }
        Action::Replace { names, .. } => {
            for planned in names {
                let before = zone.name(&planned.owner).map(|record| record.rrsets());
                let before = addresses(&planned.owner, before.unwrap_or_default());
                name(&planned.owner, &before, &addresses(&planned.owner, borrowed(&planned.after)));
            }
        }
        _ => {}
    }
    let of_zone = |(zone, operations)| {
        let action = Action::Update { prerequisites: Vec::new(), operations, lease: None };
        Request { audit: Vec::new(), ..request.part(zone, action) }
    };
    by_zone.into_iter().map(of_zone).collect()
}

/// The reverse names of a name's addresses; none of a wildcard, which nobody has as a name.
fn addresses<'r>(owner: &Name, sets: impl IntoIterator<Item = RrSetRef<'r>>) -> Reversed {
    if owner.is_wildcard() {
        return Reversed::new();
    }
    let is_address = |set: &RrSetRef<'_>| matches!(set.rtype, RecordType::A | RecordType::AAAA);
    let reversed = |set: RrSetRef<'r>| {
        let names = set.rdatas().filter_map(reverse_name);
        names.map(move |name| (name, set.ttl)).collect::<Vec<_>>()
    };
    sets.into_iter().filter(is_address).flat_map(reversed).collect()
}

/// The name under `in-addr.arpa` or `ip6.arpa` of an address in the form of its record's data.
pub fn reverse_name(address: &[u8]) -> Option<Name> {
    let mut wire = Vec::with_capacity(74);
    let mut label = |text: &[u8]| {
        wire.push(text.len() as u8);
        wire.extend_from_slice(text);
    };
    match address.len() {
        4 => {
            for octet in address.iter().rev() {
                label(octet.to_string().as_bytes());
            }
            label(b"in-addr");
        }
        16 => {
            const DIGITS: &[u8; 16] = b"0123456789abcdef";
            for octet in address.iter().rev() {
                label(&[DIGITS[usize::from(octet & 15)]]);
                label(&[DIGITS[usize::from(octet >> 4)]]);
            }
            label(b"ip6");
        }
        _ => return None,
    }
    label(b"arpa");
    wire.push(0);
    Name::from_wire(&wire).ok()
}

/// The zone kept here that a reverse name belongs to.
fn zone_of(state: &State, name: &Name) -> Option<Name> {
    let zone = state.zones.containing(name.canonical_key().as_ref())?;
    let is_kept = !zone.settings.is_followed() && zone.soa().is_some();
    (is_kept && !is_delegated(zone, name)).then(|| zone.apex.clone())
}

fn is_delegated(zone: &Zone, name: &Name) -> bool {
    let mut at = Some(name.clone());
    while let Some(name) = at.filter(|name| *name != zone.apex) {
        if zone.rrset(&name, RecordType::NS).is_some() {
            return true;
        }
        at = name.parent();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reverse_names_are_those_of_the_standards() {
        let name = |address: &[u8]| reverse_name(address).map(|name| name.to_string());
        assert_eq!(name(&[192, 0, 2, 10]).as_deref(), Some("10.2.0.192.in-addr.arpa."));
        let mut six = [0; 16];
        six[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
        six[15] = 0x5b;
        let expected = "b.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.";
        assert_eq!(name(&six).as_deref(), Some(expected));
        assert_eq!(name(&[1, 2, 3]), None);
    }
}
