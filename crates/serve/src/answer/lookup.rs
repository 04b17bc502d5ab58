//! What a zone has for a name: the walk down from the apex (RFC 1034 §4.3.2 step 3), with
//! delegations, DNAME (RFC 6672 §3.2) and wildcards (RFC 4592).

use einhorn_core::model::tree::Live;
use einhorn_core::model::{NameRecord, Zone, Zones};
use einhorn_wire::RecordType;
use einhorn_wire::canonical::KEY_OCTETS_MAX;
use std::sync::Arc;

/// What a zone has for a name.
pub(super) enum Found<'z> {
    /// Records, owned by the name asked for or by the wildcard that covers it.
    Records(&'z NameRecord),
    /// The name exists without records.
    Empty,
    /// The name does not exist.
    Nothing,
    /// It is, or is below, a name that is delegated.
    Delegation(&'z NameRecord),
    /// It is below a name with a DNAME.
    Redirection(&'z NameRecord),
}

/// What one walk found.
pub(super) struct Lookup<'z> {
    /// The apex, which the walk passes anyway; `None` if it has no records: then the zone has not
    /// been loaded yet.
    pub(super) apex: Option<&'z NameRecord>,
    pub(super) found: Found<'z>,
}

/// The zone that answers a question for the name with this canonical key: the deepest that
/// contains it, but for DS the one above a zone's apex, if we serve that too
/// (RFC 4035 §3.1.4.1).
pub(super) fn zone_for<'z>(
    zones: &'z Zones,
    key: &[u8],
    qtype: RecordType,
) -> Option<&'z Arc<Zone>> {
    let zone = zones.containing(key)?;
    if qtype != RecordType::DS || zone.apex.canonical_key().as_ref() != key || key.is_empty() {
        return Some(zone);
    }
    let parent = &key[..encloser_octets(&key[..key.len() - 1])];
    zones.containing(parent).or(Some(zone))
}

/// Walks down to `key`, which is at or below the apex of `zone`.
pub(super) fn lookup<'z>(zone: &'z Zone, key: &[u8], qtype: RecordType) -> Lookup<'z> {
    let apex_octets = zone.apex.as_wire().len();
    // All names here are at or below the apex, so length alone tells whether one is it.
    let is_apex = |node: &NameRecord| node.owner().as_wire().len() == apex_octets;
    let is_cut = |node: &NameRecord| node.rrset(RecordType::NS).is_some() && !is_apex(node);
    let mut apex: Option<&'z NameRecord> = None;
    let mut turn: Option<Found<'z>> = None;
    let end = zone.names.descend(key, |node| {
        let node: &'z NameRecord = node;
        if turn.is_some() {
            return;
        }
        if is_apex(node) {
            apex = Some(node);
        }
        if is_cut(node) {
            turn = Some(Found::Delegation(node));
        } else if node.rrset(RecordType::DNAME).is_some() {
            turn = Some(Found::Redirection(node));
        }
    });
    let exact: Option<&'z NameRecord> = end.value.filter(|node| node.is_live());
    apex = apex.or(exact.filter(|node| is_apex(node)));
    let found = match (turn, exact) {
        (Some(turn), _) => turn,
        // DS is on the parent's side of a cut (RFC 4035 §3.1.4.1).
        (None, Some(node)) if is_cut(node) && qtype != RecordType::DS => Found::Delegation(node),
        (None, Some(node)) => Found::Records(node),
        (None, None) if end.exists => Found::Empty,
        (None, None) => wildcard(zone, &key[..encloser_octets(&key[..end.matched])]),
    };
    Lookup { apex, found }
}

/// Octets of the longest name of which `key` has all labels: a label ends in a zero octet.
fn encloser_octets(key: &[u8]) -> usize {
    key.iter().rposition(|octet| *octet == 0).map_or(0, |at| at + 1)
}

/// What the wildcard below the closest encloser has (RFC 4592 §3.3.1). Its records are ordinary
/// data: NS there delegates nothing (§4.2), DNAME redirects nothing (§4.4), and a wildcard that
/// exists only because of names below it still makes the name exist (§2.2.3, §3.3.1).
fn wildcard<'z>(zone: &'z Zone, encloser: &[u8]) -> Found<'z> {
    let mut key = [0; KEY_OCTETS_MAX + 2];
    let (place, end) = (encloser.len(), encloser.len() + 2);
    key[..place].copy_from_slice(encloser);
    key[place..end].copy_from_slice(b"*\0");
    let end = zone.names.descend(&key[..end], |_| {});
    match end.value.filter(|node| node.is_live()) {
        Some(node) => Found::Records(node),
        None if end.exists => Found::Empty,
        None => Found::Nothing,
    }
}
