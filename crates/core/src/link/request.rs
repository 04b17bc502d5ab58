//! The binary form of a request on its way to another site, as in the order of its fields there, but
//! for the agent's decision: it stands before the action, as it does before the advice of an entry.
//!
//! Audit data travels along: the home commits to it in the entry and keeps it beside its log.

use crate::agent::Advised;
use crate::model::codec::{Malformed, Put, Take};
use crate::model::entry::{put_identity, take_identity};
use crate::model::registry::RegistryChange;
use crate::model::request::{
    Action, Commitment, Operation, PlannedName, Prerequisite, ReplaceReason, Request, RequestId,
    SourceStep, SourceUnit,
};
use crate::model::review::Choice;
use crate::model::settings::Settings;
use crate::model::source::{Head, Item, LegacyRecord};
use einhorn_wire::RecordType;
use einhorn_wire::edns::UpdateLease;

pub(super) fn put_request(put: &mut Put<'_>, request: &Request) {
    put.bytes(&request.id.0);
    put.u64(request.remember_until_seconds);
    put_identity(put, &request.who);
    put.name(&request.zone);
    Advised::put(request.decision.as_deref(), put);
    put_action(put, &request.action);
    put.u16(request.entered_site);
    put.bytes(&request.audit_commitment.0);
    put.octets(&request.audit);
}

pub(super) fn take_request(take: &mut Take<'_>) -> Result<Request, Malformed> {
    Ok(Request {
        id: RequestId(take.array()?),
        remember_until_seconds: take.u64()?,
        who: take_identity(take)?,
        zone: take.name()?,
        decision: Advised::take(take)?,
        action: take_action(take)?,
        entered_site: take.u16()?,
        audit_commitment: Commitment(take.array()?),
        audit: take.octets()?.to_vec(),
    })
}

fn put_action(put: &mut Put<'_>, action: &Action) {
    match action {
        Action::Update { prerequisites, operations, lease } => {
            put.u8(1);
            put.count(prerequisites.len());
            prerequisites.iter().for_each(|prerequisite| put_prerequisite(put, prerequisite));
            put.count(operations.len());
            operations.iter().for_each(|operation| put_operation(put, operation));
            put.option(*lease, |put, lease| {
                put.u32(lease.record_seconds);
                put.option(lease.key_seconds, Put::u32);
            });
        }
        Action::LoadZone { names, source } => {
            put.u8(2);
            put.count(names.len());
            for (owner, sets) in names {
                put.name(owner);
                put.rrsets(sets);
            }
            put.bytes(source);
        }
        Action::Replace { reason, names } => {
            put.u8(3);
            put_reason(put, reason);
            let has_epochs = matches!(reason, ReplaceReason::Source { .. });
            put_planned(put, names, has_epochs);
        }
        Action::RemoveZone => put.u8(4),
        Action::Configure(settings) => {
            put.u8(5);
            settings.put(put);
        }
        Action::Sites(change) => {
            put.u8(6);
            change.put(put);
        }
        Action::Advance(step) => {
            put.u8(7);
            step.put(put);
        }
        Action::Freeze(legacy, names) => {
            put.u8(8);
            legacy.put(put);
            put_planned(put, names, true);
        }
    }
}

fn put_reason(put: &mut Put<'_>, reason: &ReplaceReason) {
    match reason {
        ReplaceReason::Rollback { target_index } => {
            put.u8(1);
            put.u64(*target_index);
        }
        ReplaceReason::Reload { source } => {
            put.u8(2);
            put.bytes(source);
        }
        ReplaceReason::Expiry => put.u8(5),
        ReplaceReason::Review { review, choice } => {
            put.u8(4);
            put.position(*review);
            put.u8(*choice as u8);
        }
        ReplaceReason::Source { apply } => {
            put.u8(6);
            put.bytes(apply);
        }
        ReplaceReason::Transfer { from, to } => {
            put.u8(3);
            put.option(*from, Put::u32);
            put.u32(*to);
        }
    }
}

fn take_action(take: &mut Take<'_>) -> Result<Action, Malformed> {
    Ok(match take.u8()? {
        1 => Action::Update {
            prerequisites: take.list(2, take_prerequisite)?,
            operations: take.list(2, take_operation)?,
            lease: take.option(|take| {
                let record_seconds = take.u32()?;
                Ok(UpdateLease { record_seconds, key_seconds: take.option(Take::u32)? })
            })?,
        },
        2 => Action::LoadZone {
            names: take.list(5, |take| Ok((take.name()?, take.rrsets()?)))?,
            source: take.array()?,
        },
        3 => {
            let reason = match take.u8()? {
                1 => ReplaceReason::Rollback { target_index: take.u64()? },
                2 => ReplaceReason::Reload { source: take.array()? },
                3 => ReplaceReason::Transfer { from: take.option(Take::u32)?, to: take.u32()? },
                4 => ReplaceReason::Review {
                    review: take.position()?,
                    choice: Choice::from_code(take.u8()?)
                        .ok_or(Malformed("choice in a request"))?,
                },
                5 => ReplaceReason::Expiry,
                6 => ReplaceReason::Source { apply: take.array()? },
                _ => return Err(Malformed("reason in a request")),
            };
            let has_epochs = matches!(reason, ReplaceReason::Source { .. });
            Action::Replace { reason, names: take_planned(take, has_epochs)? }
        }
        4 => Action::RemoveZone,
        5 => Action::Configure(Settings::take(take)?),
        6 => Action::Sites(RegistryChange::take(take)?),
        7 => Action::Advance(Box::new(SourceStep::take(take)?)),
        8 => {
            let legacy = LegacyRecord::take(take)?;
            Action::Freeze(Box::new(legacy), take_planned(take, true)?)
        }
        _ => return Err(Malformed("action in a request")),
    })
}

pub(crate) fn put_planned(put: &mut Put<'_>, names: &[PlannedName], has_epochs: bool) {
    put.count(names.len());
    for PlannedName { owner, version, epoch, after } in names {
        put.name(owner);
        put.u64(*version);
        if has_epochs {
            put.option(*epoch, Put::u32);
        }
        put.rrsets(after);
    }
}

pub(crate) fn take_planned(
    take: &mut Take<'_>,
    has_epochs: bool,
) -> Result<Vec<PlannedName>, Malformed> {
    take.list(13, |take| {
        let (owner, version) = (take.name()?, take.u64()?);
        let epoch = if has_epochs { take.option(Take::u32)? } else { None };
        Ok(PlannedName { owner, version, epoch, after: take.rrsets()? })
    })
}

impl SourceStep {
    pub(crate) fn put(&self, put: &mut Put<'_>) {
        put.text(&self.source);
        put.u64(self.revision);
        put.bytes(&self.apply);
        self.head.put(put);
        put.count(self.units.len());
        for unit in &self.units {
            put.count(unit.items.len());
            unit.items.iter().for_each(|item| item.put(put));
            put_planned(put, &unit.names, true);
        }
    }

    pub(crate) fn take(take: &mut Take<'_>) -> Result<SourceStep, Malformed> {
        let (source, revision, apply) = (take.text()?, take.u64()?, take.array()?);
        let head = Head::take(take)?;
        let units = take.list(8, |take| {
            let items = take.list(9, Item::take)?;
            Ok(SourceUnit { items, names: take_planned(take, true)? })
        })?;
        Ok(SourceStep { source, revision, apply, head, units })
    }
}

fn put_prerequisite(put: &mut Put<'_>, prerequisite: &Prerequisite) {
    let (kind, name) = match prerequisite {
        Prerequisite::NameInUse(name) => (1, name),
        Prerequisite::NameNotInUse(name) => (2, name),
        Prerequisite::RrSetExists(name, _) => (3, name),
        Prerequisite::RrSetAbsent(name, _) => (4, name),
        Prerequisite::RrSetEquals(name, _) => (5, name),
    };
    put.u8(kind);
    put.name(name);
    match prerequisite {
        Prerequisite::NameInUse(_) | Prerequisite::NameNotInUse(_) => {}
        Prerequisite::RrSetExists(_, rtype) | Prerequisite::RrSetAbsent(_, rtype) => {
            put.u16(rtype.0);
        }
        Prerequisite::RrSetEquals(_, set) => put.rrset(set),
    }
}

fn take_prerequisite(take: &mut Take<'_>) -> Result<Prerequisite, Malformed> {
    let (kind, name) = (take.u8()?, take.name()?);
    Ok(match kind {
        1 => Prerequisite::NameInUse(name),
        2 => Prerequisite::NameNotInUse(name),
        3 => Prerequisite::RrSetExists(name, RecordType(take.u16()?)),
        4 => Prerequisite::RrSetAbsent(name, RecordType(take.u16()?)),
        5 => Prerequisite::RrSetEquals(name, take.rrset()?),
        _ => return Err(Malformed("prerequisite in a request")),
    })
}

fn put_operation(put: &mut Put<'_>, operation: &Operation) {
    match operation {
        Operation::Add { owner, rtype, ttl, rdata } => {
            put.u8(1);
            put.name(owner);
            put.u16(rtype.0);
            put.u32(*ttl);
            put.octets(rdata);
        }
        Operation::DeleteRrSet(owner, rtype) => {
            put.u8(2);
            put.name(owner);
            put.u16(rtype.0);
        }
        Operation::DeleteName(owner) => {
            put.u8(3);
            put.name(owner);
        }
        Operation::DeleteRecord { owner, rtype, rdata } => {
            put.u8(4);
            put.name(owner);
            put.u16(rtype.0);
            put.octets(rdata);
        }
    }
}

fn take_operation(take: &mut Take<'_>) -> Result<Operation, Malformed> {
    let (kind, owner) = (take.u8()?, take.name()?);
    Ok(match kind {
        1 => Operation::Add {
            owner,
            rtype: RecordType(take.u16()?),
            ttl: take.u32()?,
            rdata: take.octets()?.into(),
        },
        2 => Operation::DeleteRrSet(owner, RecordType(take.u16()?)),
        3 => Operation::DeleteName(owner),
        4 => Operation::DeleteRecord {
            owner,
            rtype: RecordType(take.u16()?),
            rdata: take.octets()?.into(),
        },
        _ => return Err(Malformed("operation in a request")),
    })
}
