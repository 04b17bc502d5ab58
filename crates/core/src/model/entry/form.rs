//! The binary form of an entry's body, field by field in the order of the parent module's
//! description.

use super::*;
use crate::model::codec::{Put, Take};
use crate::model::registry::Registry;
use crate::model::settings::{Settings, put_address, take_address};

/// The kind of a takeover.
pub(super) const TAKEOVER: u8 = 8;

impl Entry {
    pub(super) fn put_body(&self, put: &mut Put<'_>) {
        put.u8(self.body.kind());
        put.u64(self.time_ms);
        match &self.body {
            Body::Genesis { origin, name, previous } => {
                put.origin(*origin);
                put.text(name);
                put.option(previous.as_ref(), |put, previous| {
                    put.origin(previous.origin);
                    put.u64(previous.entries);
                    put.bytes(&previous.root);
                });
            }
            Body::Change(change) => change.put(put),
            Body::Changes(changes) => put_changes(put, changes),
            Body::Review(review) => review.put(put),
            Body::Source(source) => {
                put.bytes(&source.request.0);
                put.u64(source.remember_until_seconds);
                source.advance.put(put);
                put_changes(put, &source.changes);
            }
            Body::Publication { zone, incarnation, serial, covers } => {
                put.name(zone);
                put.u32(*incarnation);
                put.u32(*serial);
                put.count(covers.len());
                covers.iter().for_each(|position| put.position(*position));
            }
            Body::Sites(sites) => {
                put.bytes(&sites.request.0);
                put.u64(sites.remember_until_seconds);
                put_identity(put, &sites.who);
                sites.registry.put(put);
            }
            Body::MapRoot { at, names, root } => {
                put.u64(*at);
                put.u64(*names);
                put.bytes(root);
            }
            Body::Endorsement { lost, successor, round, held } => {
                put.origin(*lost);
                put.origin(*successor);
                put.u32(*round);
                put.u64(*held);
            }
            Body::Withdrawal { lost, round } => {
                put.origin(*lost);
                put.u32(*round);
            }
            Body::Takeover { lost, end, endorsers, is_attested } => {
                put.origin(*lost);
                put.u64(*end);
                put.count(endorsers.len());
                endorsers.iter().for_each(|endorser| put.origin(*endorser));
                put.flag(*is_attested);
            }
            Body::Leftover { position, octets } => {
                put.position(*position);
                put.octets(octets);
            }
            Body::Intent { .. } | Body::Decision { .. } | Body::Finish { .. } => {
                put_of_several(put, &self.body);
            }
        }
    }

    pub(super) fn take_body(octets: &[u8]) -> Result<Entry, Malformed> {
        let mut take = Take { rest: octets };
        let (kind, time_ms) = (take.u8()?, take.u64()?);
        let body = match kind {
            1 => Body::Genesis {
                origin: take.origin()?,
                name: take.text()?,
                previous: take.option(|take| {
                    let (origin, entries) = (take.origin()?, take.u64()?);
                    Ok(Previous { origin, entries, root: take.array()? })
                })?,
            },
            2 => Body::Change(Change::take(&mut take)?),
            3 => Body::Publication {
                zone: take.name()?,
                incarnation: take.u32()?,
                serial: take.u32()?,
                covers: take.list(12, Take::position)?,
            },
            4 => Body::Sites(SitesChange {
                request: RequestId(take.array()?),
                remember_until_seconds: take.u64()?,
                who: take_identity(&mut take)?,
                registry: Registry::take(&mut take)?,
            }),
            5 => Body::MapRoot { at: take.u64()?, names: take.u64()?, root: take.array()? },
            6 => Body::Endorsement {
                lost: take.origin()?,
                successor: take.origin()?,
                round: take.u32()?,
                held: take.u64()?,
            },
            7 => Body::Withdrawal { lost: take.origin()?, round: take.u32()? },
            TAKEOVER => Body::Takeover {
                lost: take.origin()?,
                end: take.u64()?,
                endorsers: take.list(4, Take::origin)?,
                is_attested: take.flag()?,
            },
            9 => Body::Leftover { position: take.position()?, octets: take.octets()?.to_vec() },
            10 => Body::Intent {
                transaction: Transaction::take(&mut take)?,
                changes: take.list(64, Change::take)?,
            },
            11 => Body::Decision {
                transaction: Transaction::take(&mut take)?,
                is_commit: take.flag()?,
                intents: take.list(12, Take::position)?,
                changes: take.list(64, Change::take)?,
            },
            12 => Body::Finish {
                id: TransactionId(take.array()?),
                participant: take.origin()?,
                had_intent: take.flag()?,
            },
            13 => Body::Changes(take.list(64, Change::take)?),
            14 => Body::Review(Review::take(&mut take)?),
            15 => Body::Source(SourceChange {
                request: RequestId(take.array()?),
                remember_until_seconds: take.u64()?,
                advance: Advance::take(&mut take)?,
                changes: take.list(64, Change::take)?,
            }),
            _ => return Err(Malformed("entry: unknown kind, written by a newer version?")),
        };
        take.end()?;
        Ok(Entry { time_ms, body })
    }
}

impl Body {
    fn kind(&self) -> u8 {
        match self {
            Body::Genesis { .. } => 1,
            Body::Change(_) => 2,
            Body::Publication { .. } => 3,
            Body::Sites(_) => 4,
            Body::MapRoot { .. } => 5,
            Body::Endorsement { .. } => 6,
            Body::Withdrawal { .. } => 7,
            Body::Takeover { .. } => TAKEOVER,
            Body::Leftover { .. } => 9,
            Body::Intent { .. } => 10,
            Body::Decision { .. } => 11,
            Body::Finish { .. } => 12,
            Body::Changes(_) => 13,
            Body::Review(_) => 14,
            Body::Source(_) => 15,
        }
    }
}

/// What is logged of changes with several homes.
fn put_of_several(put: &mut Put<'_>, body: &Body) {
    match body {
        Body::Intent { transaction, changes } => {
            transaction.put(put);
            put_changes(put, changes);
        }
        Body::Decision { transaction, is_commit, intents, changes } => {
            transaction.put(put);
            put.flag(*is_commit);
            put.count(intents.len());
            intents.iter().for_each(|at| put.position(*at));
            put_changes(put, changes);
        }
        Body::Finish { id, participant, had_intent } => {
            put.bytes(&id.0);
            put.origin(*participant);
            put.flag(*had_intent);
        }
        _ => {}
    }
}

fn put_changes(put: &mut Put<'_>, changes: &[Change]) {
    put.count(changes.len());
    changes.iter().for_each(|change| change.put(put));
}

impl Change {
    pub(in crate::model) fn put(&self, put: &mut Put<'_>) {
        put.name(&self.zone);
        put.u32(self.incarnation);
        put.bytes(&self.request.0);
        put.u64(self.remember_until_seconds);
        put.count(self.stands_for.len());
        for (request, until_seconds) in &self.stands_for {
            put.bytes(&request.0);
            put.u64(*until_seconds);
        }
        put_identity(put, &self.who);
        put.u16(self.entered_site);
        put.bytes(&self.audit_commitment.0);
        Advised::put(self.decision.as_deref(), put);
        put.u8(self.advice.path as u8);
        put.u8(self.advice.reason as u8);
        put.bytes(&self.advice.model);
        put.u8(self.path as u8);
        match &self.cause {
            Cause::Update => put.u8(1),
            Cause::ZoneLoad { source } => {
                put.u8(2);
                put.bytes(source);
            }
            Cause::Rollback { target_index, root_before, root_after } => {
                put.u8(3);
                put.u64(*target_index);
                put.bytes(root_before);
                put.bytes(root_after);
            }
            Cause::ZoneReload { source } => {
                put.u8(4);
                put.bytes(source);
            }
            Cause::ZoneRemoval { names, root } => {
                put.u8(5);
                put.u64(*names);
                put.bytes(root);
            }
            Cause::Settings { version, settings } => {
                put.u8(6);
                put.u64(*version);
                settings.put(put);
            }
            Cause::Transfer { serial } => {
                put.u8(7);
                put.u32(*serial);
            }
            Cause::Move => put.u8(8),
            Cause::Expiry => put.u8(10),
            Cause::Source { apply } => {
                put.u8(11);
                put.bytes(apply);
            }
            Cause::Review { review, choice, asker } => {
                put.u8(9);
                put.position(*review);
                put.u8(*choice as u8);
                put_identity(put, asker);
            }
        }
        put.count(self.names.len());
        self.names.iter().for_each(|name| name.put(put));
    }

    pub(in crate::model) fn take(take: &mut Take<'_>) -> Result<Change, Malformed> {
        Ok(Change {
            zone: take.name()?,
            incarnation: take.u32()?,
            request: RequestId(take.array()?),
            remember_until_seconds: take.u64()?,
            stands_for: take.list(40, |take| Ok((RequestId(take.array()?), take.u64()?)))?,
            who: take_identity(take)?,
            entered_site: take.u16()?,
            audit_commitment: Commitment(take.array()?),
            decision: Advised::take(take)?,
            advice: Advice {
                path: Path::from_code(take.u8()?).ok_or(Malformed("path in an entry"))?,
                reason: Reason::from_code(take.u8()?).ok_or(Malformed("reason in an entry"))?,
                model: take.array()?,
            },
            path: Path::from_code(take.u8()?).ok_or(Malformed("path in an entry"))?,
            cause: match take.u8()? {
                1 => Cause::Update,
                2 => Cause::ZoneLoad { source: take.array()? },
                3 => Cause::Rollback {
                    target_index: take.u64()?,
                    root_before: take.array()?,
                    root_after: take.array()?,
                },
                4 => Cause::ZoneReload { source: take.array()? },
                5 => Cause::ZoneRemoval { names: take.u64()?, root: take.array()? },
                6 => Cause::Settings {
                    version: take.u64()?,
                    settings: Box::new(Settings::take(take)?),
                },
                7 => Cause::Transfer { serial: take.u32()? },
                8 => Cause::Move,
                10 => Cause::Expiry,
                11 => Cause::Source { apply: take.array()? },
                9 => Cause::Review {
                    review: take.position()?,
                    choice: Choice::from_code(take.u8()?).ok_or(Malformed("choice in an entry"))?,
                    asker: take_identity(take)?,
                },
                _ => return Err(Malformed("cause in an entry")),
            },
            names: (0..take.count(32)?)
                .map(|_| NameChange::take(take))
                .collect::<Result<_, _>>()?,
        })
    }
}

impl NameChange {
    /// How many octets [`NameChange::put`] writes at most.
    pub(super) fn octets(&self) -> usize {
        const FIXED_OCTETS: usize = 49;
        let set = |set: &RrSet| 10 + set.packed().len();
        let before = self.before.iter().map(|(_, before)| 3 + before.as_ref().map_or(0, set));
        let after = self.after.iter().map(set);
        let leases = self.leases.iter().map(|lease| 14 + lease.rdata.len());
        let sets = before.sum::<usize>() + after.sum::<usize>();
        FIXED_OCTETS + self.owner.as_wire().len() + sets + leases.sum::<usize>()
    }

    fn put(&self, put: &mut Put<'_>) {
        put.name(&self.owner);
        put.origin(self.home);
        put.u32(self.epoch);
        put.u64(self.version);
        put.u64(self.sequence);
        put.option(self.previous, Put::position);
        put.count(self.before.len());
        for (rtype, set) in &self.before {
            put.u16(rtype.0);
            put.u8(u8::from(set.is_some()));
            set.iter().for_each(|set| put.rrset(set));
        }
        put.rrsets(&self.after);
        put.count(self.leases.len());
        self.leases.iter().for_each(|lease| lease.put(put));
    }

    fn take(take: &mut Take<'_>) -> Result<NameChange, Malformed> {
        let (owner, home, epoch) = (take.name()?, take.origin()?, take.u32()?);
        let (version, sequence) = (take.u64()?, take.u64()?);
        let previous = take.option(Take::position)?;
        let before = (0..take.count(3)?)
            .map(|_| {
                let rtype = RecordType(take.u16()?);
                Ok((rtype, take.option(Take::rrset)?))
            })
            .collect::<Result<_, Malformed>>()?;
        Ok(NameChange {
            owner,
            home,
            epoch,
            version,
            sequence,
            previous,
            before,
            after: take.rrsets()?,
            leases: take.list(14, Lease::take)?,
        })
    }
}
pub(crate) fn put_identity(put: &mut Put<'_>, who: &Identity) {
    match who {
        Identity::Key(name) => {
            put.u8(1);
            put.name(name);
        }
        Identity::Operator => put.u8(2),
        Identity::Primary(address) => {
            put.u8(3);
            put_address(put, *address);
        }
        Identity::Site(number) => {
            put.u8(4);
            put.u16(*number);
        }
        Identity::Source(name) => {
            put.u8(5);
            put.text(name);
        }
    }
}

pub(crate) fn take_identity(take: &mut Take<'_>) -> Result<Identity, Malformed> {
    match take.u8()? {
        1 => Ok(Identity::Key(take.name()?)),
        2 => Ok(Identity::Operator),
        3 => take_address(take).map(Identity::Primary),
        4 => Ok(Identity::Site(take.u16()?)),
        5 => take.text().map(Identity::Source),
        _ => Err(Malformed("identity in an entry")),
    }
}
