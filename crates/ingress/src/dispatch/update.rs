//! From an UPDATE message (RFC 2136, RFC 9664) to a request.

use super::Arrival;
use crate::{Access, Ingress};
use einhorn_core::model::request::{Action, Commitment, Identity, Operation, Request, RequestId};
use einhorn_core::model::{Zone, Zones};
use einhorn_core::rules::update as rules;
use einhorn_core::rules::update::Refusal;
use einhorn_wire::edns::{Edns, UpdateLease};
use einhorn_wire::message::{Message, Rcode, Section};
use einhorn_wire::tsig::Signed;
use einhorn_wire::{Class, RecordType};
use sha2::{Digest, Sha256};
use std::ops::RangeInclusive;
use std::sync::atomic::Ordering;

/// How long records stay that an update adds for a time, at least and at most, in seconds.
const LEASE_SECONDS: RangeInclusive<u32> = 30..=86_400;
/// The same for KEY records.
const KEY_LEASE_SECONDS: RangeInclusive<u32> = 30..=14 * 86_400;

/// What an update asks for is granted within bounds (RFC 9664 §5).
pub(super) fn granted_lease(message: &Message<'_>) -> Option<UpdateLease> {
    let asked = Edns::of(message).ok().flatten()?.lease?;
    Some(asked.clamped(LEASE_SECONDS, KEY_LEASE_SECONDS))
}

/// How an update came.
#[derive(Clone, Copy)]
pub(super) struct Came<'i> {
    pub(super) ingress: &'i Ingress,
    pub(super) arrival: Arrival,
    pub(super) lease: Option<UpdateLease>,
}

/// Turns an UPDATE into a request, in the order of RFC 2136 §3: zone section, prerequisites,
/// permission, update section. What is wrong after the prerequisites only counts when they hold.
pub(super) fn update(
    came: Came<'_>,
    zones: &Zones,
    access: &Access,
    message: &Message<'_>,
    signed: Option<&Signed>,
) -> Result<Request, Refusal> {
    let format_error = |reason: String| Refusal::new(Rcode::FORMERR, reason);
    let section = message
        .question()
        .filter(|zone| message.header.counts[0] == 1 && zone.rtype == RecordType::SOA);
    let section = section
        .ok_or_else(|| format_error("the zone section must be one SOA question".to_owned()))?;
    let apex = section.name.to_name();
    let zone = zones.get(&apex).filter(|_| section.class == Class::IN);
    let zone = zone
        .ok_or_else(|| Refusal::new(Rcode::NOTAUTH, format!("zone {apex} is not served here")))?;
    rules::updatable(zone)?;
    let records =
        |section| message.records(section).map_err(|error| format_error(error.to_string()));
    let prerequisites = rules::prerequisites(&apex, records(Section::Answer)?)?;
    match operations(access, zone, signed, records(Section::Authority)) {
        Ok((signed, operations)) => {
            let lease = came.lease;
            let action = Action::Update { prerequisites, operations, lease };
            Ok(request(came, zone, signed, action))
        }
        Err(refusal) => {
            rules::prerequisites_hold(zone, &prerequisites)?;
            Err(refusal)
        }
    }
}

fn operations<'s>(
    access: &Access,
    zone: &Zone,
    signed: Option<&'s Signed>,
    records: Result<Vec<einhorn_wire::Record>, Refusal>,
) -> Result<(&'s Signed, Vec<Operation>), Refusal> {
    let signed = signed.ok_or_else(|| Refusal::new(Rcode::REFUSED, "updates must be signed"))?;
    access.policy.check(signed.key().name(), &zone.apex, &[])?;
    let operations = rules::operations(&zone.apex, records?)?;
    access.policy.check(signed.key().name(), &zone.apex, &operations)?;
    Ok((signed, operations))
}

fn request(came: Came<'_>, zone: &Zone, signed: &Signed, action: Action) -> Request {
    let Came { ingress, arrival, .. } = came;
    let key = signed.key().name();
    let mut id = Sha256::new();
    id.update(b"einhorn tsig request\n");
    id.update(key.as_wire());
    id.update(signed.full_mac());
    let id = RequestId(id.finalize().into());
    let (audit, audit_commitment) = audit(ingress, &id, arrival);
    Request {
        id,
        remember_until_seconds: signed.acceptable_until(),
        who: Identity::Key(key.clone()),
        zone: zone.apex.clone(),
        action,
        entered_site: ingress.site.load(Ordering::Relaxed),
        audit_commitment,
        decision: None,
        audit,
    }
}

/// Octets of the salt at the start of audit data.
pub const AUDIT_SALT_OCTETS: usize = 16;

/// The client's address behind a salt, and the commitment to both.
fn audit(ingress: &Ingress, id: &RequestId, arrival: Arrival) -> (Vec<u8>, Commitment) {
    let mut salt = Sha256::new();
    salt.update(ingress.audit_secret);
    salt.update(id.0);
    let mut audit = salt.finalize()[..AUDIT_SALT_OCTETS].to_vec();
    let protocol = arrival.transport.name();
    audit.extend_from_slice(format!("{protocol} {}", arrival.peer).as_bytes());
    let commitment = Commitment(Sha256::digest(&audit).into());
    (audit, commitment)
}
