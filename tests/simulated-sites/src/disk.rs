//! A site's disk: its log, its copies of other logs, checkpoints and cosignatures. An append is on
//! it whole or not at all.

use einhorn_core::commit::{Append, Cosignature};
use einhorn_core::ledger::SignedCheckpoint;
use einhorn_core::model::Origin;
use einhorn_core::model::entry::{Assembler, Entry, part_number};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A stored entry.
pub(crate) type Stored = Arc<[u8]>;

/// Why appends fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DiskFault {
    /// There is no room for anything before then.
    Full { until: u64 },
    /// The next sync fails: what was to be written is on the disk, or is not.
    Sync,
}

/// What lies on a disk. A clone is a backup.
#[derive(Clone, Default)]
pub(crate) struct Disk {
    pub(crate) logs: BTreeMap<Origin, Vec<Stored>>,
    pub(crate) checkpoints: BTreeMap<Origin, SignedCheckpoint>,
    pub(crate) cosigned: BTreeMap<(Origin, u16), u64>,
    /// A state that was saved.
    pub(crate) snapshot: Option<Arc<[u8]>>,
}

impl Disk {
    /// Appends everything, or says why it does not fit.
    pub(crate) fn append(&mut self, append: &Append) -> Result<(), String> {
        let own = (!append.own.is_empty()).then_some((append.origin, &append.own));
        let copies = append.copies.iter().map(|(origin, batch)| (*origin, batch));
        for (origin, batch) in own.into_iter().chain(copies) {
            let log = self.logs.entry(origin).or_default();
            if batch.first_index != log.len() as u64 {
                let (first, there) = (batch.first_index, log.len());
                return Err(format!("an append to log {origin} begins at {first}, after {there}"));
            }
            log.extend(batch.entries().map(|(entry, _)| Stored::from(entry)));
        }
        Ok(())
    }

    pub(crate) fn note_cosigned(&mut self, cosignature: &Cosignature) {
        let known = self.cosigned.entry((cosignature.origin, cosignature.site)).or_default();
        *known = (*known).max(cosignature.size);
    }

    pub(crate) fn len(&self, origin: Origin) -> u64 {
        self.logs.get(&origin).map_or(0, |log| log.len() as u64)
    }
}

/// The entry whose last part is there.
pub(crate) fn entry_at(log: &[Stored], index: u64) -> Option<Entry> {
    let last = usize::try_from(index).ok()?;
    let part = part_number(log.get(last)?).unwrap_or(0);
    let parts = log.get(last.checked_sub(part.into())?..=last)?;
    let mut assembler = Assembler::default();
    parts.iter().map(|octets| assembler.next(octets).ok().flatten()).last()?
}

/// The entries of a log, each with the index of its last part.
pub(crate) fn entries(log: &[Stored]) -> Vec<(u64, Entry)> {
    let mut assembler = Assembler::default();
    let mut entries = Vec::new();
    for (index, octets) in (0..).zip(log) {
        match assembler.next(octets) {
            Ok(Some(entry)) => entries.push((index, entry)),
            Ok(None) => {}
            // What cannot be read is found where the log is folded.
            Err(_) => return entries,
        }
    }
    entries
}
