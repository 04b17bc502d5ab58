//! Where logs end, and when an append may go on from there: the same in every engine.

use super::{EngineError, LogId, Part};

/// Where each log ends, wherever that is written down.
pub(super) trait Ends {
    /// The index after the last entry of a log; 0 if it was never seen.
    fn next_index(&self, log: LogId) -> u64;

    /// A log has so many more entries; one that was never seen begins.
    fn extend(&mut self, log: LogId, entries: u64);
}

/// Extends the logs by the parts of an append in `epoch`, if it may be done where `stored` is the
/// highest epoch so far. On an error `ends` may have been extended in part.
///
/// # Errors
/// [`EngineError::Fenced`] and [`EngineError::Conflict`], as [`super::Engine::append`].
pub(super) fn append_to(
    ends: &mut impl Ends,
    stored: u64,
    epoch: u64,
    parts: &[Part<'_>],
) -> Result<(), EngineError> {
    if epoch < stored {
        return Err(EngineError::Fenced { offered: epoch, stored });
    }
    for part in parts {
        let (log, expected) = (part.log, part.expected_next);
        let actual = ends.next_index(log);
        if actual != expected {
            return Err(EngineError::Conflict { log, expected, actual });
        }
        if !part.batch.is_empty() {
            ends.extend(log, part.batch.len() as u64);
        }
    }
    Ok(())
}
