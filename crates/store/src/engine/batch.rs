//! A batch of entries on its way into the log, in one contiguous buffer.
//!
//! Entries are framed as in a tlog-tiles bundle (u16 big-endian length, then the bytes), so that
//! building a batch copies each entry once, an engine stores slices of the buffer, and the
//! ledger finds its own framing. It must never interpret an entry.

use thiserror::Error;

/// The longest entry, and the longest audit value, in bytes: what a tlog-tiles bundle can frame.
pub const ENTRY_BYTES_MAX: usize = u16::MAX as usize;

/// The most bytes that one batch may hold, entries and audit values each: an append is one
/// transaction, and its size bounds the engine's memory and write-ahead log.
pub const BATCH_BYTES_MAX: usize = 2 << 30;

/// The bytes of memory that an emptied batch keeps for the next entries, and for audit values.
const BYTES_KEPT_MAX: usize = 8 << 20;

/// The bytes that frame an entry.
pub(super) const FRAME_BYTES: usize = size_of::<u16>();

/// An entry that does not go into a batch. The batch is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BatchError {
    /// An entry or its audit value is too long.
    #[error("a log entry or audit value of {bytes} bytes is longer than {ENTRY_BYTES_MAX}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// The batch is full: append it and begin another.
    #[error("a batch holds at most {BATCH_BYTES_MAX} bytes")]
    Full,
}

/// One durable append: entries in order, each with an optional audit value, which is kept beside
/// the log and can be erased.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    entries: Vec<u8>,
    audit: Vec<u8>,
    count: usize,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an entry; an empty `audit` means none.
    ///
    /// # Errors
    /// [`BatchError`] if a limit is reached; the batch is unchanged then.
    pub fn push(&mut self, entry: &[u8], audit: &[u8]) -> Result<(), BatchError> {
        for part in [entry, audit] {
            if part.len() > ENTRY_BYTES_MAX {
                return Err(BatchError::TooLong { bytes: part.len() });
            }
        }
        let longest = (self.entries.len() + entry.len()).max(self.audit.len() + audit.len());
        if longest + FRAME_BYTES > BATCH_BYTES_MAX {
            return Err(BatchError::Full);
        }
        push_frame(&mut self.entries, entry);
        push_frame(&mut self.audit, audit);
        self.count += 1;
        Ok(())
    }

    /// Makes room for so many more entries of so many octets together.
    pub fn reserve(&mut self, entries: usize, octets: usize) {
        self.entries.reserve(octets + entries * FRAME_BYTES);
        self.audit.reserve(entries * FRAME_BYTES);
    }

    /// Empties the batch and keeps its memory, unless that is a lot.
    pub fn clear(&mut self) {
        for buffer in [&mut self.entries, &mut self.audit] {
            buffer.clear();
            buffer.shrink_to(BYTES_KEPT_MAX);
        }
        self.count = 0;
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The entries in order, each with its audit value.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        Frames::new(&self.entries).zip(Frames::new(&self.audit))
    }

    /// Cuts the batch into runs of at most `bytes` bytes and `count` entries (at least one).
    pub(super) fn runs(&self, bytes: usize, count: usize) -> Runs<'_> {
        Runs { entries: &self.entries, audit: &self.audit, bytes, count }
    }
}

/// Appends one framed value, of at most [`ENTRY_BYTES_MAX`] bytes.
pub(super) fn push_frame(into: &mut Vec<u8>, value: &[u8]) {
    debug_assert!(value.len() <= ENTRY_BYTES_MAX);
    into.extend_from_slice(&(value.len() as u16).to_be_bytes());
    into.extend_from_slice(value);
}

/// The values in a framed buffer. Ends early where the framing is broken; then
/// [`Frames::is_done`] says so.
pub(super) struct Frames<'a> {
    rest: &'a [u8],
}

impl<'a> Frames<'a> {
    /// The audit value of the entry at `index`, from the values of a run of entries that begins at
    /// `first`; `None` if the run does not have it, or it is empty.
    pub(super) fn audit_value(framed: &[u8], first: u64, index: u64) -> Option<Vec<u8>> {
        let offset = usize::try_from(index.checked_sub(first)?).ok()?;
        let value = Frames::new(framed).nth(offset)?;
        (!value.is_empty()).then(|| value.to_vec())
    }

    pub(super) fn new(framed: &'a [u8]) -> Self {
        Self { rest: framed }
    }

    /// Whether everything was consumed.
    pub(super) fn is_done(&self) -> bool {
        self.rest.is_empty()
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.rest.split_first_chunk::<FRAME_BYTES>()?;
        let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        self.rest = rest;
        Some(value)
    }
}

/// A run of consecutive entries of a batch.
pub(super) struct Run<'a> {
    pub(super) count: usize,
    /// Framed.
    pub(super) entries: &'a [u8],
    /// Framed, as many values as entries; or empty if all of them are.
    pub(super) audit: &'a [u8],
}

/// See [`Batch::runs`].
pub(super) struct Runs<'a> {
    entries: &'a [u8],
    audit: &'a [u8],
    bytes: usize,
    count: usize,
}

impl<'a> Iterator for Runs<'a> {
    type Item = Run<'a>;

    fn next(&mut self) -> Option<Run<'a>> {
        let (mut count, mut entry_bytes, mut audit_bytes) = (0, 0, 0);
        for (entry, audit) in Frames::new(self.entries).zip(Frames::new(self.audit)) {
            let with_entry = entry_bytes + FRAME_BYTES + entry.len();
            let with_audit = audit_bytes + FRAME_BYTES + audit.len();
            let is_full = count == self.count || with_entry.max(with_audit) > self.bytes;
            if count > 0 && is_full {
                break;
            }
            (count, entry_bytes, audit_bytes) = (count + 1, with_entry, with_audit);
        }
        if count == 0 {
            return None;
        }
        let (entries, audit);
        (entries, self.entries) = self.entries.split_at(entry_bytes);
        (audit, self.audit) = self.audit.split_at(audit_bytes);
        let is_bare = audit_bytes == count * FRAME_BYTES;
        Some(Run { count, entries, audit: if is_bare { &[] } else { audit } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_in_order() {
        let mut batch = Batch::new();
        batch.push(b"one", b"").unwrap();
        batch.push(b"", b"who").unwrap();
        let all: Vec<_> = batch.iter().collect();
        assert_eq!(all, [(&b"one"[..], &b""[..]), (b"", b"who")]);
        assert_eq!(batch.len(), 2);
    }

    #[test]
    fn limits_leave_the_batch_as_it_was() {
        let mut batch = Batch::new();
        let long = vec![0; ENTRY_BYTES_MAX + 1];
        assert_eq!(batch.push(&long, b""), Err(BatchError::TooLong { bytes: 65_536 }));
        assert_eq!(batch.push(b"", &long), Err(BatchError::TooLong { bytes: 65_536 }));
        while batch.push(&long[1..], b"").is_ok() {}
        assert!(batch.entries.len() <= BATCH_BYTES_MAX);
        let before = batch.len();
        assert_eq!(batch.push(&long[1..], b""), Err(BatchError::Full));
        assert_eq!(batch.len(), before);
    }

    #[test]
    fn runs_cover_the_batch_within_their_bounds() {
        let mut batch = Batch::new();
        for length in [10, 0, 30, 5, 5, 90] {
            batch.push(&vec![1; length], b"").unwrap();
        }
        let counts: Vec<_> = batch.runs(48, 3).map(|run| run.count).collect();
        assert_eq!(counts, [3, 2, 1], "by count, by bytes, and one that is too long alone");
        let joined: Vec<u8> = batch.runs(48, 3).flat_map(|run| run.entries).copied().collect();
        assert_eq!(joined, batch.entries);
        assert!(batch.runs(48, 3).all(|run| run.audit.is_empty()));
    }

    #[test]
    fn broken_framing_is_seen() {
        let mut frames = Frames::new(&[0, 1, 7, 0, 9, 1]);
        assert_eq!(frames.next(), Some(&[7][..]));
        assert_eq!(frames.next(), None);
        assert!(!frames.is_done());
    }
}
