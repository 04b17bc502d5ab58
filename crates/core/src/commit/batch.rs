//! What is made durable together: a batch of this site's entries, and pieces of its copies of the
//! other sites' logs.

use crate::model::Origin;

/// Octets that a buffer keeps for the next entry or batch: one as large as a zone is rare.
pub(super) const OCTETS_KEPT_MAX: usize = 8 << 20;

/// A run of entries of one log, to append at once.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Index of its first entry.
    pub first_index: u64,
    octets: Vec<u8>,
    audit: Vec<u8>,
    /// Ends of each entry in `octets` and of its audit data in `audit`.
    ends: Vec<(usize, usize)>,
}

impl Batch {
    pub(super) fn starting_at(first_index: u64) -> Batch {
        Batch { first_index, ..Batch::default() }
    }

    /// Entries with their audit data, in order.
    pub fn entries(&self) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
        let starts = std::iter::once((0, 0)).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(start, end)| (&self.octets[start.0..end.0], &self.audit[start.1..end.1]))
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Octets of all entries.
    pub fn octets(&self) -> usize {
        self.octets.len()
    }

    /// Index of the entry after its last.
    pub fn end(&self) -> u64 {
        self.first_index + self.ends.len() as u64
    }

    pub(super) fn with_room_for(other: &Batch, first_index: u64) -> Batch {
        Batch {
            first_index,
            octets: Vec::with_capacity(other.octets.len().min(OCTETS_KEPT_MAX)),
            audit: Vec::with_capacity(other.audit.len().min(OCTETS_KEPT_MAX)),
            ends: Vec::with_capacity(other.ends.len()),
        }
    }

    pub(super) fn reserve(&mut self, octets: usize) {
        self.octets.reserve(octets);
    }

    pub(super) fn push(&mut self, entry: &[u8], audit: &[u8]) {
        self.octets.extend_from_slice(entry);
        self.audit.extend_from_slice(audit);
        self.ends.push((self.octets.len(), self.audit.len()));
    }
}

/// Everything to make durable at once, or nothing of it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Append {
    /// The log that `own` goes to.
    pub origin: Origin,
    /// Entries of this site's log.
    pub own: Batch,
    /// Entries of other sites' logs.
    pub copies: Vec<(Origin, Batch)>,
    /// Whether someone waits until other sites have these entries too: seal them at once.
    pub is_urgent: bool,
}
