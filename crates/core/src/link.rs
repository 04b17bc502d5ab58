//! What sites say to each other, and its one binary form. Version 2.
//!
//! A message is one frame of a link: u8 kind, then its fields in the words of
//! [`crate::model::entry`]. A site believes another one only what it is the judge of: where its own
//! log ends, what it did with a request that was sent there. Everything else is verified: entries
//! against signed checkpoints, cosignatures against keys.
//!
//! | kind | message | fields |
//! |---|---|---|
//! | 1 | [`Message::State`] | origin; list of (origin, u64 next index); u64 time; u32 requests waiting; u64 oldest of them in milliseconds |
//! | 2 | [`Message::Follow`] | origin; u64 from |
//! | 3 | [`Message::Entries`] | origin; u64 first; list of octets |
//! | 4 | [`Message::Have`] | origin; u64 next index |
//! | 5 | [`Message::Checkpoint`] | origin; text |
//! | 6 | [`Message::Cosignature`] | origin; u64 size; 32 octets root; text |
//! | 7 | [`Message::Forward`] | u64 ticket; u8 hops; list of positions; u64 milliseconds left; request |
//! | 8 | [`Message::Answer`] | u64 ticket; 32 octets request id; outcome |
//! | 9 | [`Message::Propose`] | origin lost; origin successor; u32 round |
//! | 10 | [`Message::Fork`] | origin; u64 size |
//! | 11 | [`Message::Prepare`] | transaction; list of positions; u8 `0` at least these, `1` these and no later ones; list of u64, the version of the settings of each request's zone; list of requests |
//! | 12 | [`Message::Refuse`] | 16 octets transaction id; u8 `0` | `1` for good; u16 rcode; text |
//! | 13 | [`Message::Resolve`] | transaction |
//! | 14 | [`Message::Ended`] | origin; u64 entries that count |
//!
//! A later version may add kinds and append fields; a kind that is not known is an error, which
//! version negotiation keeps from happening.

pub(crate) mod request;

use crate::ledger::Hash;
use crate::model::codec::{Malformed, Put, Take};
use crate::model::request::{Outcome, Request, RequestId};
use crate::model::{Origin, Position, Transaction, TransactionId};
use einhorn_wire::message::Rcode;

/// The lowest version of the links that this program speaks.
pub const VERSION_MIN: u16 = 2;
/// The highest.
pub const VERSION_MAX: u16 = 2;

/// Octets of entries in one [`Message::Entries`], more or less.
pub const ENTRIES_OCTETS: usize = 1 << 20;

/// What a site says to another one.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// How far the sender is; said first, and every now and then.
    State {
        /// The log that it appends to; [`Origin::NONE`] if it has none.
        origin: Origin,
        /// What it holds durably of each log.
        held: Vec<(Origin, u64)>,
        /// Its clock, in milliseconds since 1970.
        time_ms: u64,
        /// Requests that wait there.
        waiting: u32,
        /// How long the oldest of them has waited, in milliseconds.
        oldest_ms: u64,
    },
    /// Send this log's entries from here on, as they come.
    Follow {
        /// The log.
        origin: Origin,
        /// The first entry wanted.
        from: u64,
    },
    /// Entries of a log.
    Entries {
        /// The log.
        origin: Origin,
        /// Index of the first.
        first: u64,
        /// The entries as they are stored.
        entries: Vec<Vec<u8>>,
    },
    /// So much of a log is durable at the sender.
    Have {
        /// The log.
        origin: Origin,
        /// Its next index.
        next: u64,
    },
    /// A checkpoint of a log, signed.
    Checkpoint {
        /// The log.
        origin: Origin,
        /// The signed note.
        note: String,
    },
    /// The sender holds a log up to a checkpoint, and every client there sees it.
    Cosignature {
        /// The log.
        origin: Origin,
        /// Entries in the checkpoint.
        size: u64,
        /// Its root.
        root: Hash,
        /// The signature line.
        line: String,
    },
    /// Decide on a request, in place of the sender.
    Forward {
        /// The sender's number for it.
        ticket: u64,
        /// How often it was sent on before.
        hops: u8,
        /// What the sender saw when it sent it here: the receiver must have seen as much.
        seen: Vec<Position>,
        /// How long the answer is of use, in milliseconds.
        budget_ms: u64,
        /// The request.
        request: Box<Request>,
    },
    /// What became of a request that was sent here.
    Answer {
        /// The number that came with it.
        ticket: u64,
        /// Its id: numbers begin anew when their sender restarts.
        request: RequestId,
        /// What became of it.
        outcome: Outcome,
    },
    /// A log seems to be lost; endorse its successor.
    Propose {
        /// The log.
        lost: Origin,
        /// The log that would go on for it.
        successor: Origin,
        /// The how-manieth time it asks, from 1: those before it has given up.
        round: u32,
    },
    /// A log was taken over, by an entry that you lack.
    Ended {
        /// The log.
        origin: Origin,
        /// Entries that count.
        end: u64,
    },
    /// What you signed for your log is not what I hold of it.
    Fork {
        /// The log.
        origin: Origin,
        /// Entries up to which we differ.
        size: u64,
    },
    /// Log an intent to do your part of a change of names with several homes.
    Prepare {
        /// What it belongs to.
        transaction: Transaction,
        /// What the sender saw: the receiver must have seen as much.
        seen: Vec<Position>,
        /// Whether the names of the receiver's part must be as the sender saw them.
        is_exact: bool,
        /// Which settings the sender knows of the zone of each request.
        settings: Vec<u64>,
        /// The receiver's part, by zone.
        requests: Vec<Request>,
    },
    /// The sender logged no intent.
    Refuse {
        /// The transaction.
        id: TransactionId,
        /// Whether another attempt would be of no use.
        is_final: bool,
        /// What a DNS client is told.
        rcode: Rcode,
        /// For people.
        reason: String,
    },
    /// Decide against this transaction, unless something is decided, since its time is over or a
    /// participant has refused.
    Resolve {
        /// The transaction.
        transaction: Transaction,
    },
}

impl Message {
    /// The message as a frame.
    pub fn encode(&self) -> Vec<u8> {
        let mut octets = Vec::new();
        self.put(&mut Put(&mut octets));
        octets
    }

    fn put(&self, put: &mut Put<'_>) {
        match self {
            Message::State { origin, held, time_ms, waiting, oldest_ms } => {
                put.u8(1);
                put.origin(*origin);
                put.count(held.len());
                for (origin, next) in held {
                    put.origin(*origin);
                    put.u64(*next);
                }
                put.u64(*time_ms);
                put.u32(*waiting);
                put.u64(*oldest_ms);
            }
            Message::Follow { origin, from } => {
                put.u8(2);
                put.origin(*origin);
                put.u64(*from);
            }
            Message::Entries { origin, first, entries } => {
                put_entries_head(put, *origin, *first, entries.len());
                entries.iter().for_each(|entry| put.octets(entry));
            }
            Message::Have { origin, next } => {
                put.u8(4);
                put.origin(*origin);
                put.u64(*next);
            }
            Message::Checkpoint { origin, note } => {
                put.u8(5);
                put.origin(*origin);
                put.text(note);
            }
            Message::Cosignature { origin, size, root, line } => {
                put.u8(6);
                put.origin(*origin);
                put.u64(*size);
                put.bytes(&root.0);
                put.text(line);
            }
            Message::Forward { ticket, hops, seen, budget_ms, request } => {
                put.u8(7);
                put.u64(*ticket);
                put.u8(*hops);
                put.count(seen.len());
                seen.iter().for_each(|at| put.position(*at));
                put.u64(*budget_ms);
                request::put_request(put, request);
            }
            Message::Answer { ticket, request, outcome } => {
                put.u8(8);
                put.u64(*ticket);
                put.bytes(&request.0);
                put_outcome(put, outcome);
            }
            Message::Propose { lost, successor, round } => {
                put.u8(9);
                put.origin(*lost);
                put.origin(*successor);
                put.u32(*round);
            }
            Message::Fork { .. }
            | Message::Prepare { .. }
            | Message::Refuse { .. }
            | Message::Resolve { .. }
            | Message::Ended { .. } => self.put_rest(put),
        }
    }

    /// What is said seldom, and of changes with several homes.
    fn put_rest(&self, put: &mut Put<'_>) {
        match self {
            Message::Fork { origin, size } => {
                put.u8(10);
                put.origin(*origin);
                put.u64(*size);
            }
            Message::Prepare { transaction, seen, is_exact, settings, requests } => {
                put.u8(11);
                transaction.put(put);
                put.count(seen.len());
                seen.iter().for_each(|at| put.position(*at));
                put.flag(*is_exact);
                put.count(settings.len());
                settings.iter().for_each(|version| put.u64(*version));
                put.count(requests.len());
                requests.iter().for_each(|request| request::put_request(put, request));
            }
            Message::Refuse { id, is_final, rcode, reason } => {
                put.u8(12);
                put.bytes(&id.0);
                put.flag(*is_final);
                put.u16(rcode.0);
                put.text(reason);
            }
            Message::Resolve { transaction } => {
                put.u8(13);
                transaction.put(put);
            }
            Message::Ended { origin, end } => {
                put.u8(14);
                put.origin(*origin);
                put.u64(*end);
            }
            _ => {}
        }
    }

    /// Reads a frame.
    ///
    /// # Errors
    /// [`Malformed`] for anything that [`Message::encode`] does not write.
    pub fn decode(octets: &[u8]) -> Result<Message, Malformed> {
        let mut take = Take { rest: octets };
        let message = Message::take(&mut take)?;
        take.end()?;
        Ok(message)
    }

    fn take(take: &mut Take<'_>) -> Result<Message, Malformed> {
        Ok(match take.u8()? {
            1 => Message::State {
                origin: take.origin()?,
                held: take.list(12, |take| Ok((take.origin()?, take.u64()?)))?,
                time_ms: take.u64()?,
                waiting: take.u32()?,
                oldest_ms: take.u64()?,
            },
            2 => Message::Follow { origin: take.origin()?, from: take.u64()? },
            3 => Message::Entries {
                origin: take.origin()?,
                first: take.u64()?,
                entries: take.list(4, |take| Ok(take.octets()?.to_vec()))?,
            },
            4 => Message::Have { origin: take.origin()?, next: take.u64()? },
            5 => Message::Checkpoint { origin: take.origin()?, note: take.text()? },
            6 => Message::Cosignature {
                origin: take.origin()?,
                size: take.u64()?,
                root: Hash(take.array()?),
                line: take.text()?,
            },
            7 => Message::Forward {
                ticket: take.u64()?,
                hops: take.u8()?,
                seen: take.list(12, Take::position)?,
                budget_ms: take.u64()?,
                request: Box::new(request::take_request(take)?),
            },
            8 => Message::Answer {
                ticket: take.u64()?,
                request: RequestId(take.array()?),
                outcome: match take.u8()? {
                    1 => Outcome::Done { at: take.position()? },
                    2 => Outcome::Refused { rcode: Rcode(take.u16()?), reason: take.text()? },
                    _ => return Err(Malformed("outcome in a message")),
                },
            },
            9 => Message::Propose {
                lost: take.origin()?,
                successor: take.origin()?,
                round: take.u32()?,
            },
            10 => Message::Fork { origin: take.origin()?, size: take.u64()? },
            11 => Message::Prepare {
                transaction: Transaction::take(take)?,
                seen: take.list(12, Take::position)?,
                is_exact: take.flag()?,
                settings: take.list(8, Take::u64)?,
                requests: take.list(64, request::take_request)?,
            },
            12 => Message::Refuse {
                id: TransactionId(take.array()?),
                is_final: take.flag()?,
                rcode: Rcode(take.u16()?),
                reason: take.text()?,
            },
            13 => Message::Resolve { transaction: Transaction::take(take)? },
            14 => Message::Ended { origin: take.origin()?, end: take.u64()? },
            _ => return Err(Malformed("message: unknown kind, sent by a newer version?")),
        })
    }
}

fn put_outcome(put: &mut Put<'_>, outcome: &Outcome) {
    match outcome {
        Outcome::Done { at } => {
            put.u8(1);
            put.position(*at);
        }
        Outcome::Refused { rcode, reason } => {
            put.u8(2);
            put.u16(rcode.0);
            put.text(reason);
        }
    }
}

fn put_entries_head(put: &mut Put<'_>, origin: Origin, first: u64, count: usize) {
    put.u8(3);
    put.origin(origin);
    put.u64(first);
    put.count(count);
}

/// A frame of [`Message::Entries`], from entries that lie somewhere else.
pub fn entries_frame<'e>(
    origin: Origin,
    first: u64,
    entries: impl Iterator<Item = &'e [u8]> + Clone,
) -> Vec<u8> {
    let mut octets = Vec::with_capacity(entries.clone().map(|entry| entry.len() + 4).sum());
    let mut put = Put(&mut octets);
    put_entries_head(&mut put, origin, first, entries.clone().count());
    entries.for_each(|entry| put.octets(entry));
    octets
}
