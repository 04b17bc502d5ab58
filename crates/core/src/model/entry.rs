//! Ledger entries: what they say, and their one binary form.
//!
//! # Form (version 4)
//! All integers are big-endian; a *name* is an uncompressed domain name in wire form; a *list*
//! is a u32 count followed by its elements; *octets* and *text* (UTF-8) have a u32 length in
//! front; an *option* is u8 `0`, or `1` and what there is; *origin* is u16 site, u16 generation;
//! *position* is an origin and u64 index.
//!
//! A change that fits is one entry: u8 `7`, then the body. A longer one is n entries of at most
//! 65,535 octets: u8 `8`, u16 part (from 0), u16 parts, then a piece of the body.
//!
//! Body: u8 kind, u64 time in milliseconds since 1970, then by kind
//! - `1` genesis: origin; text of the log's name; option of what came before: origin, u64 entries,
//!   32 octets root.
//! - `2` change: name zone; u32 incarnation of the zone; 32 octets request id; u64 remember-until
//!   in seconds since 1970; list of requests that it stands for too (32 octets id, u64 remember-until);
//!   identity (u8 `1` key: name | `2` operator | `3` primary: address |
//!   `4` site: u16 its number | `5` source: text its name); u16 site it entered at; 32 octets audit commitment; if an agent
//!   was asked, its decision (u8 `128`, u64 milliseconds since 1970 when the request entered, u8 reason, octets
//!   record); advice (u8 path, u8 reason, 8 octets model hash); u8 path taken; cause (u8 `1`
//!   update | `2` zone load: 32 octets SHA-256 of the source | `3` rollback: u64 target index,
//!   32 octets state root before, 32 after | `4` zone reload: 32 octets SHA-256 of the source |
//!   `5` zone removal: u64 names, 32 octets state root | `6` u64 version and settings | `7`
//!   transfer from a primary: u32 its serial | `8` move | `9` review: position it was opened at, u8 `0`
//!   kept | `1` taken | `2` both, identity of who had asked | `10` leases that have ended | `11` source: 32
//!   octets id of the apply); list of name changes.
//! - `3` publication: name zone; u32 incarnation; u32 serial; list of positions the serial covers.
//! - `4` sites: 32 octets request id; u64 remember-until; identity; registry.
//! - `5` map root: u64 entries; u64 names; 32 octets root.
//! - `6` endorsement: origin that is lost; origin of its successor; u32 round; u64 entries held.
//! - `7` withdrawal: origin that was thought lost; u32 round.
//! - `8` takeover: origin that is lost; u64 entries that count; list of origins of endorsers;
//!   u8 `0` | `1` an operator attests that its site has stopped.
//! - `9` leftover: position; octets of the entry there.
//! - `10` intent: transaction; list of changes, each as in kind `2`.
//! - `11` decision: transaction; u8 `0` aborted | `1` committed; list of positions of the intents;
//!   list of changes, each as in kind `2`.
//! - `12` finish: 16 octets transaction id; origin of the participant; u8 `0` | `1` it had an intent.
//! - `13` changes of several zones: list of changes, each as in kind `2`.
//! - `14` review: u8 reason (`1` contested | `2` legacy); change as in kind `2`, which is not made; option
//!   of the position of the review that it replaces; for reason `2` the legacy record (see
//!   [`super::source`]).
//! - `15` source: 32 octets request id; u64 remember-until; advance (see [`super::source`]); list of
//!   changes, each as in kind `2`.
//!
//! Transaction: 16 octets id; origin of the coordinator; list of origins of its participants, in order,
//! the first of which is the anchor; u64 deadline in milliseconds since 1970.
//!
//! Name change: name owner; origin home; u32 epoch; u64 version; u64 sequence; option of
//! the position of the previous entry of this name; list before (u16 type; u8 `0` absent | `1` and
//! RRset); list of RRsets after; list of leases after (u16 type, octets of the rdata, u64 milliseconds
//! since 1970). `before` has every type that changed; `after` is the whole name.
//! Settings: u8 acknowledgement level (`0` local | `1` majority | `2` all); u8 reverse records (`0` off | `1` auto);
//! u8 contested names (`0` latest | `1` review); u16 milliseconds to coalesce; list of primaries and list of servers to notify (address, u16 port, u8 `0` | `1` and
//! name of a key); list of ranges that may transfer (address, u8 bits); role (u8 `0` ordinary |
//! `1` listed: name of a catalog | `2` producer | `3` consumer | `4` member: name of a catalog,
//! u32 length and octets of the unique label). Address: u8 `4` | `6` and its octets.
//! RRset: u16 type, u32 TTL in seconds, u32 length, then each rdata behind its u16 length.

mod changes;
mod form;

use super::codec::{Malformed, Put, Take};
use super::registry::Registry;
use super::request::{Commitment, Identity, RequestId};
use super::review::{Choice, Review};
use super::settings::Settings;
use super::source::{Advance, LegacyRecord};
use super::transaction::{Transaction, TransactionId};
use super::{Lease, Origin, Position, RrSet, WriterTag};
use crate::agent::{Advice, Advised, Path, Reason};
use einhorn_wire::{Name, RecordType};
use sha2::{Digest, Sha256};

pub(crate) use form::{put_identity, take_identity};

/// Longest entry of the ledger, in octets: bundles have 16-bit lengths.
pub const ENTRY_OCTETS_MAX: usize = 65_535;
const FORM_WHOLE: u8 = 7;
const FORM_PART: u8 = 8;
const PART_HEADER_OCTETS: usize = 5;

/// One change to everything that a site knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When the leader committed it, in milliseconds since 1970.
    pub time_ms: u64,
    /// What it says.
    pub body: Body,
}

/// What an entry says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// The first entry of a log.
    Genesis {
        /// The log's site and generation.
        origin: Origin,
        /// The name in the log's checkpoints.
        name: String,
        /// The site's log before this one, as far as it is known.
        previous: Option<Previous>,
    },
    /// A change to names of one zone.
    Change(Change),
    /// Changes to names of several zones at home in this log, all at once.
    Changes(Vec<Change>),
    /// A change that is not made, unless a person decides so.
    Review(Review),
    /// A source of the legacy bridge says so: its base advances, and changes are made with that.
    Source(SourceChange),
    /// From here on the zone has this serial.
    Publication {
        /// Apex of the zone.
        zone: Name,
        /// Which of the zones that had this apex.
        incarnation: u32,
        /// SOA serial.
        serial: u32,
        /// For each log, the last entry that the serial includes.
        covers: Vec<Position>,
    },
    /// The sites are these from now on.
    Sites(SitesChange),
    /// All names that this log touched so far, and their last entries, in one hash.
    MapRoot {
        /// Entries of this log that it covers.
        at: u64,
        /// Names that they touched.
        names: u64,
        /// The hash.
        root: [u8; 32],
    },
    /// This site believes that a log has lost its site, and that its successor may go on from what
    /// is held of it. From here on it takes nothing of that log from its own site.
    Endorsement {
        /// The log that is lost.
        lost: Origin,
        /// The log that goes on for it.
        successor: Origin,
        /// Which of the successor's proposals for that log it answers, from 1.
        round: u32,
        /// Entries of the lost log held here.
        held: u64,
    },
    /// This site does not go on for that log, though others may have endorsed it in this round or
    /// one before: they are free again. It may ask anew in a later one.
    Withdrawal {
        /// The log that was thought lost.
        lost: Origin,
        /// The last round that is given up.
        round: u32,
    },
    /// What was at home in a lost log is at home in this one.
    Takeover {
        /// The lost log.
        lost: Origin,
        /// Entries of it that count; what came after them did not happen.
        end: u64,
        /// The sites that agreed.
        endorsers: Vec<Origin>,
        /// An operator vouched that the lost site has stopped.
        is_attested: bool,
    },
    /// An entry of a lost log that no other site had: it does not count, and a person should see
    /// it.
    Leftover {
        /// Where it stood.
        position: Position,
        /// The entry as it was stored.
        octets: Vec<u8>,
    },
    /// These changes will be made if the anchor decides so, and until then their names are not
    /// changed otherwise.
    Intent {
        /// What it belongs to.
        transaction: Transaction,
        /// What becomes of the names at home in this log; one for each zone.
        changes: Vec<Change>,
    },
    /// The changes of all participants are made here and now, or will never be.
    Decision {
        /// What is decided.
        transaction: Transaction,
        /// Whether they are made.
        is_commit: bool,
        /// The intents that it rests on.
        intents: Vec<Position>,
        /// All changes; none if they are not made.
        changes: Vec<Change>,
    },
    /// A participant has heard of the decision: its names may be changed again.
    Finish {
        /// The transaction.
        id: TransactionId,
        /// The participant: this log, or one that it has taken over.
        participant: Origin,
        /// Whether it had an intent.
        had_intent: bool,
    },
}

/// The log that a log goes on from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Previous {
    /// That log.
    pub origin: Origin,
    /// Entries in its last checkpoint that is known.
    pub entries: u64,
    /// Their root.
    pub root: [u8; 32],
}

/// A change of which sites there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SitesChange {
    /// The request that asked for it.
    pub request: RequestId,
    /// Until when copies of the request may arrive, in seconds since 1970.
    pub remember_until_seconds: u64,
    /// Who asked.
    pub who: Identity,
    /// All sites after.
    pub registry: Registry,
}

/// An advance of a source, with the changes that belong to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceChange {
    /// The request that asked for it.
    pub request: RequestId,
    /// Until when copies of the request may arrive, in seconds since 1970.
    pub remember_until_seconds: u64,
    /// The source's next state.
    pub advance: Advance,
    /// Changes of names at home in this log; one for each zone.
    pub changes: Vec<Change>,
}

/// A change to names of one zone, all at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Apex of the zone.
    pub zone: Name,
    /// Which of the zones that had this apex, from 1: a removed zone that comes back is another.
    pub incarnation: u32,
    /// The request that asked for it.
    pub request: RequestId,
    /// Until when copies of the request may arrive, in seconds since 1970.
    pub remember_until_seconds: u64,
    /// Earlier requests that it stands for too, each with its own such time: of a flapping name only
    /// the last of several values is taken.
    pub stands_for: Vec<(RequestId, u64)>,
    /// Who asked.
    pub who: Identity,
    /// The site where it entered.
    pub entered_site: u16,
    /// Commits to the audit data beside the log.
    pub audit_commitment: Commitment,
    /// What the agent advised.
    pub advice: Advice,
    /// What that came from, if the agent of the entry site was asked.
    pub decision: Option<Box<Advised>>,
    /// The path that was taken.
    pub path: Path,
    /// Why there is a change.
    pub cause: Cause,
    /// The names it changes; none when it found everything as asked already.
    pub names: Vec<NameChange>,
}

/// Why there is a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// Someone asked for it.
    Update,
    /// A zone was created from a source with this SHA-256.
    ZoneLoad {
        /// Hash of the source.
        source: [u8; 32],
    },
    /// An earlier state was restored.
    Rollback {
        /// The state after this entry is the aim.
        target_index: u64,
        /// State root of the zone before.
        root_before: [u8; 32],
        /// State root of the zone after.
        root_after: [u8; 32],
    },
    /// The zone's file was read again; the names are those that differed.
    ZoneReload {
        /// Hash of the source.
        source: [u8; 32],
    },
    /// The zone is gone, with all its names.
    ZoneRemoval {
        /// Names it had.
        names: u64,
        /// State root of the zone before.
        root: [u8; 32],
    },
    /// From now on the zone is kept like this; a zone that did not exist does now, empty.
    Settings {
        /// Counts the zone's settings; the highest are in force.
        version: u64,
        /// What they are.
        settings: Box<Settings>,
    },
    /// The zone's primary has another content; the names are those that differ.
    Transfer {
        /// The primary's serial, which becomes the zone's.
        serial: u32,
    },
    /// Names have another home from now on, and nothing else happens to them.
    Move,
    /// A source of the legacy bridge says so.
    Source {
        /// The id of the apply.
        apply: [u8; 32],
    },
    /// Leases of records have ended, and nobody has renewed them.
    Expiry,
    /// A person has decided on a change that waited for that.
    Review {
        /// Where it was put into the queue.
        review: Position,
        /// What was decided.
        choice: Choice,
        /// Who had asked for it.
        asker: Identity,
    },
}

/// What happened to one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameChange {
    /// Owner name.
    pub owner: Name,
    /// Its home from now on: the log that orders its changes.
    pub home: Origin,
    /// Its epoch from now on.
    pub epoch: u32,
    /// Its version from now on.
    pub version: u64,
    /// The how-manieth entry of this name this is, from 1.
    pub sequence: u64,
    /// The one before.
    pub previous: Option<Position>,
    /// Each type that changed, with its RRset before.
    pub before: Vec<(RecordType, Option<RrSet>)>,
    /// All RRsets of the name after.
    pub after: Vec<RrSet>,
    /// Until when those of its records stay that do not stay for good.
    pub leases: Vec<Lease>,
}

impl NameChange {
    /// All RRsets of the name before.
    pub fn all_before(&self) -> Vec<RrSet> {
        let unchanged = self
            .after
            .iter()
            .filter(|set| !self.before.iter().any(|(rtype, _)| *rtype == set.rtype));
        let changed = self.before.iter().filter_map(|(_, set)| set.as_ref());
        unchanged.chain(changed).cloned().collect()
    }
}

impl Identity {
    /// A short stand-in to compare writers by.
    pub fn tag(&self) -> WriterTag {
        let mut bytes = Vec::new();
        put_identity(&mut Put(&mut bytes), self);
        let hash: [u8; 32] = Sha256::digest(bytes.to_ascii_lowercase()).into();
        let [a, b, c, d, e, f, g, h, ..] = hash;
        WriterTag(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
    }
}
impl Entry {
    /// Appends the entry's one or more stored parts, calling `part` after each with nothing but
    /// its octets. Returns how many there were.
    pub fn encode(&self, scratch: &mut Vec<u8>, mut part: impl FnMut(&[u8])) -> u64 {
        scratch.clear();
        // A zone that is loaded has very many, and growing step by step would need twice as many.
        scratch.reserve(self.octets_about());
        scratch.push(FORM_WHOLE);
        self.put_body(&mut Put(scratch));
        if scratch.len() <= ENTRY_OCTETS_MAX {
            part(scratch);
            return 1;
        }
        let pieces = scratch[1..].chunks(ENTRY_OCTETS_MAX - PART_HEADER_OCTETS);
        let parts = pieces.len();
        assert!(parts <= usize::from(u16::MAX), "a change of more than 4 GB");
        let mut octets = Vec::with_capacity(ENTRY_OCTETS_MAX);
        for (i, piece) in pieces.enumerate() {
            octets.clear();
            let mut put = Put(&mut octets);
            put.u8(FORM_PART);
            put.u16(i as u16);
            put.u16(parts as u16);
            put.bytes(piece);
            part(&octets);
        }
        parts as u64
    }

    /// About how many octets the entry has, rather too many than too few.
    pub fn octets_about(&self) -> usize {
        const HEAD_OCTETS: usize = 512;
        let changes = self.body.all_changes();
        let names = changes.iter().flat_map(|change| &change.names);
        let beside = match &self.body {
            Body::Source(source) => source.advance.octets_about(),
            Body::Review(review) => review.legacy.as_ref().map_or(0, LegacyRecord::octets_about),
            _ => 0,
        };
        let octets = beside
            + names.map(NameChange::octets).sum::<usize>()
            + HEAD_OCTETS * (1 + changes.len());
        octets + octets / (ENTRY_OCTETS_MAX - PART_HEADER_OCTETS) * PART_HEADER_OCTETS
    }
}

/// The number of a stored entry among the parts of its change, from 0; `None` for a whole one.
pub fn part_number(octets: &[u8]) -> Option<u16> {
    match octets {
        [FORM_PART, high, low, ..] => Some(u16::from_be_bytes([*high, *low])),
        _ => None,
    }
}

/// Whether a stored entry says that it is a takeover; what it is shows when it is read.
pub(crate) fn is_takeover(octets: &[u8]) -> bool {
    matches!(octets, [FORM_WHOLE, form::TAKEOVER, ..])
}

/// Puts entries together from stored parts, which must come in order.
#[derive(Debug, Default, Clone)]
pub struct Assembler {
    /// Pieces of the change under way: its parts so far, how many there will be, their octets.
    pending: Option<(u16, u16, Vec<u8>)>,
}

impl Assembler {
    /// Takes the next stored entry; gives a change when it was its last part.
    ///
    /// # Errors
    /// [`Malformed`] for octets that are no entry, or parts out of order.
    pub fn next(&mut self, octets: &[u8]) -> Result<Option<Entry>, Malformed> {
        let mut take = Take { rest: octets };
        match (take.u8()?, self.pending.take()) {
            (FORM_WHOLE, None) => Entry::take_body(take.rest).map(Some),
            (FORM_PART, pending) => {
                let (part, parts) = (take.u16()?, take.u16()?);
                let mut body = match pending {
                    None if part == 0 && parts > 1 => Vec::new(),
                    Some((done, of, body)) if part == done && parts == of => body,
                    _ => return Err(Malformed("entry: a part out of order")),
                };
                body.extend_from_slice(take.rest);
                if part + 1 == parts {
                    return Entry::take_body(&body).map(Some);
                }
                self.pending = Some((part + 1, parts, body));
                Ok(None)
            }
            (FORM_WHOLE, Some(_)) => Err(Malformed("entry: a change without its last part")),
            _ => Err(Malformed("entry: unknown form, written by a newer version?")),
        }
    }

    /// Whether no change is half read.
    pub fn is_empty(&self) -> bool {
        self.pending.is_none()
    }
}

#[cfg(test)]
#[path = "entry_tests.rs"]
mod tests;
