//! The root: where each log ends, and all else that decides what is visible.
//!
//! Pure: it knows no etcd. It must never be taken for true if its checksum does not hold.

use super::super::ends::{Ends, append_to};
use super::super::{EngineError, LogId, Part};

/// What the root begins with.
const MAGIC: [u8; 8] = *b"einhorn\0";

/// The format that this version writes, and reads.
const FORMAT: u32 = 1;

/// The snapshots kept: those with the highest tags.
const SNAPSHOTS_KEPT: usize = 2;

/// Where a log's runs lie, and where they end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) log: LogId,
    pub(super) id: u64,
    /// The index after the last entry; never 0.
    pub(super) next: u64,
}

/// A snapshot that is visible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Snapshot {
    pub(super) tag: u64,
    pub(super) id: u64,
    pub(super) pieces: u64,
    pub(super) checksum: u32,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Root {
    /// Drawn by the engine that wrote it.
    pub(super) writer: u64,
    /// How often that engine had written it before.
    pub(super) sequence: u64,
    pub(super) epoch: u64,
    /// The id that the next log or snapshot gets.
    pub(super) next_id: u64,
    /// By the log's number.
    pub(super) ends: Vec<End>,
    /// Ids of logs that were removed and whose values are still to be deleted.
    pub(super) forgotten: Vec<u64>,
    /// By tag.
    pub(super) snapshots: Vec<Snapshot>,
}

/// Why a root cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// It is something else.
    NotARoot,
    /// Its format is another.
    Format(u32),
    /// Its checksum does not hold.
    Damaged,
}

impl Ends for Root {
    fn next_index(&self, log: LogId) -> u64 {
        self.end(log).map_or(0, |end| end.next)
    }

    fn extend(&mut self, log: LogId, entries: u64) {
        match self.ends.binary_search_by_key(&log, |end| end.log) {
            Ok(place) => self.ends[place].next += entries,
            Err(place) => {
                let id = self.take_id();
                self.ends.insert(place, End { log, id, next: entries });
            }
        }
    }
}

impl Root {
    /// The end of a log; `None` if it was never seen.
    pub(super) fn end(&self, log: LogId) -> Option<End> {
        let place = self.ends.binary_search_by_key(&log, |end| end.log).ok()?;
        Some(self.ends[place])
    }

    /// The number of entries in all logs.
    pub(super) fn entries(&self) -> u64 {
        self.ends.iter().map(|end| end.next).sum()
    }

    /// The root after an append, if it may be done.
    pub(super) fn after(&self, epoch: u64, parts: &[Part<'_>]) -> Result<Self, EngineError> {
        let mut root = self.clone();
        append_to(&mut root, self.epoch, epoch, parts)?;
        root.epoch = epoch;
        Ok(root)
    }

    fn take_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id - 1
    }

    /// The root without a log and without snapshots; `None` if there is no such log.
    pub(super) fn without(&self, log: LogId) -> Option<Self> {
        let mut root = self.clone();
        let place = root.ends.binary_search_by_key(&log, |end| end.log).ok()?;
        root.forgotten.push(root.ends.remove(place).id);
        root.snapshots.clear();
        Some(root)
    }

    /// The root with one more snapshot, and the ids of those that it no longer has.
    pub(super) fn with_snapshot(&self, tag: u64, pieces: u64, checksum: u32) -> (Self, Vec<u64>) {
        let mut root = self.clone();
        let id = root.take_id();
        let mut dropped = Vec::new();
        root.snapshots.retain(|old| {
            let stays = old.tag != tag;
            dropped.extend((!stays).then_some(old.id));
            stays
        });
        let place = root.snapshots.partition_point(|old| old.tag < tag);
        root.snapshots.insert(place, Snapshot { tag, id, pieces, checksum });
        let surplus = root.snapshots.len().saturating_sub(SNAPSHOTS_KEPT);
        dropped.extend(root.snapshots.drain(..surplus).map(|old| old.id));
        (root, dropped)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut value = MAGIC.to_vec();
        value.extend_from_slice(&FORMAT.to_le_bytes());
        let mut put = |numbers: &[u64]| {
            numbers.iter().for_each(|number| value.extend_from_slice(&number.to_le_bytes()));
        };
        put(&[self.writer, self.sequence, self.epoch, self.next_id]);
        put(&[self.ends.len() as u64]);
        for End { log, id, next } in &self.ends {
            put(&[u64::from(log.0), *id, *next]);
        }
        put(&[self.forgotten.len() as u64]);
        put(&self.forgotten);
        put(&[self.snapshots.len() as u64]);
        for Snapshot { tag, id, pieces, checksum } in &self.snapshots {
            put(&[*tag, *id, *pieces, u64::from(*checksum)]);
        }
        let checksum = crc32fast::hash(&value);
        value.extend_from_slice(&checksum.to_le_bytes());
        value
    }

    pub(super) fn decode(value: &[u8]) -> Result<Self, Unreadable> {
        let rest = value.strip_prefix(&MAGIC).ok_or(Unreadable::NotARoot)?;
        let (format, rest) = rest.split_first_chunk().ok_or(Unreadable::Damaged)?;
        // What follows depends on the format, also where its checksum lies.
        let format = u32::from_le_bytes(*format);
        if format != FORMAT {
            return Err(Unreadable::Format(format));
        }
        let (body, checksum) = rest.split_last_chunk().ok_or(Unreadable::Damaged)?;
        if crc32fast::hash(&value[..value.len() - checksum.len()]) != u32::from_le_bytes(*checksum)
        {
            return Err(Unreadable::Damaged);
        }
        Numbers(body).root().ok_or(Unreadable::Damaged)
    }
}

impl Unreadable {
    /// The error for a place of that name.
    pub(super) fn error(self, place: &str) -> EngineError {
        let path = place.into();
        match self {
            Self::NotARoot => EngineError::NotALog {
                path,
                what: "the key `root` holds something else".to_owned(),
            },
            Self::Format(found) => EngineError::NewerFormat {
                path,
                found: i64::from(found),
                supported: i64::from(FORMAT),
            },
            Self::Damaged => EngineError::Corrupt {
                path,
                place: "the key `root`".to_owned(),
                what: "its checksum does not hold".to_owned(),
            },
        }
    }
}

/// Numbers that are still to be read.
struct Numbers<'a>(&'a [u8]);

impl Numbers<'_> {
    fn next(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*number))
    }

    fn list<T>(&mut self, read: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.next()?;
        (0..count).map(|_| read(self)).collect()
    }

    fn root(mut self) -> Option<Root> {
        let root = Root {
            writer: self.next()?,
            sequence: self.next()?,
            epoch: self.next()?,
            next_id: self.next()?,
            ends: self.list(|numbers| {
                let log = LogId(numbers.next()?.try_into().ok()?);
                Some(End { log, id: numbers.next()?, next: numbers.next()? })
            })?,
            forgotten: self.list(Self::next)?,
            snapshots: self.list(|numbers| {
                let (tag, id, pieces) = (numbers.next()?, numbers.next()?, numbers.next()?);
                let checksum = numbers.next()?.try_into().ok()?;
                Some(Snapshot { tag, id, pieces, checksum })
            })?,
        };
        self.0.is_empty().then_some(root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Batch;

    fn root() -> Root {
        let mut batch = Batch::new();
        batch.push(b"entry", b"").unwrap();
        let part = |log, expected_next| Part { log: LogId(log), expected_next, batch: &batch };
        let parts = [part(9, 0), part(5, 0), part(9, 1)];
        let root = Root { writer: 77, ..Root::default() }.after(4, &parts).unwrap();
        let root = root.with_snapshot(3, 2, 0xDEAD_BEEF).0;
        Root { forgotten: vec![12, 13], ..root }
    }

    #[test]
    fn it_comes_back_and_damage_is_seen() {
        let value = root().encode();
        assert_eq!(Root::decode(&value), Ok(root()));
        for at in 0..value.len() {
            let mut damaged = value.clone();
            damaged[at] ^= 1;
            assert!(Root::decode(&damaged).is_err(), "octet {at}");
            assert!(Root::decode(&value[..at]).is_err(), "cut at {at}");
        }
        assert_eq!(Root::decode(b"; a zone file"), Err(Unreadable::NotARoot));
    }

    #[test]
    fn a_log_that_begins_anew_gets_another_id() {
        let root = root();
        let ends: Vec<_> = root.ends.iter().map(|end| (end.log.0, end.id, end.next)).collect();
        assert_eq!(ends, [(5, 1, 1), (9, 0, 2)], "in the order of the logs' numbers");
        let without = root.without(LogId(9)).unwrap();
        assert_eq!((&without.forgotten[..], without.snapshots.len()), (&[12, 13, 0][..], 0));
        let mut batch = Batch::new();
        batch.push(b"", b"").unwrap();
        let part = Part { log: LogId(9), expected_next: 0, batch: &batch };
        assert_eq!(without.after(4, &[part]).unwrap().end(LogId(9)).unwrap().id, 3);
        assert!(root.without(LogId(8)).is_none());
    }

    #[test]
    fn the_two_snapshots_with_the_highest_tags_stay() {
        let mut root = Root::default();
        let mut dropped = Vec::new();
        for tag in [5, 2, 5, 9, 1] {
            let (next, ids) = root.with_snapshot(tag, 1, 0);
            root = next;
            dropped.push(ids);
        }
        let tags: Vec<_> = root.snapshots.iter().map(|snapshot| snapshot.tag).collect();
        assert_eq!(tags, [5, 9]);
        assert_eq!(dropped, [vec![], vec![], vec![0], vec![1], vec![4]]);
    }
}
