//! Recomputes every map root that a log has.

use std::path::Path;

use einhorn_core::ledger::map::MapRoot;
use einhorn_core::model::entry::Entry;

use super::{MapBuilder, MapError, MapFile};

/// Takes a log's entries in order, and compares each map root among them with its own.
pub struct MapChecker {
    builder: MapBuilder,
    checked: u64,
    /// Index of the last map root.
    last: Option<u64>,
    problem: Option<String>,
}

impl MapChecker {
    /// Begins with the first entry of the log with this name. The folder must be empty, and is
    /// used for as long as the checker lives.
    ///
    /// # Errors
    /// `Io`.
    pub fn new(folder: &Path, origin: &str) -> Result<MapChecker, MapError> {
        let builder = MapBuilder::open(folder, origin)?;
        Ok(MapChecker { builder, checked: 0, last: None, problem: None })
    }

    /// Takes the next entry. If it was the last part of a change, gives that, with the index of
    /// its first part. Does nothing any more once there is a problem.
    pub fn next(&mut self, index: u64, octets: &[u8]) -> Option<(u64, Entry)> {
        if self.problem.is_some() {
            return None;
        }
        let taken = self.builder.push(index, octets);
        let checked = taken.map_err(|error| error.to_string()).and_then(|taken| {
            let root = taken.as_ref().and_then(|(_, entry)| MapRoot::of_body(&entry.body));
            root.map_or(Ok(()), |root| self.compare(index, root))?;
            Ok(taken)
        });
        checked.map_err(|problem| self.problem = Some(problem)).ok().flatten()
    }

    fn compare(&mut self, index: u64, logged: MapRoot) -> Result<(), String> {
        let last = self.builder.last().at;
        if logged.at > index || logged.at < last {
            let at = logged.at;
            return Err(format!(
                "entry {index}: a map root of size {at}, which is not between {last} and {index}"
            ));
        }
        let root = self.builder.cut(logged.at).map_err(|error| error.to_string())?;
        if root != logged {
            return Err(format!(
                "entry {index}: the map of the first {} entries has {} leaves and root {}, but \
                 the log says {} and {}",
                root.at, root.names, root.root, logged.names, logged.root
            ));
        }
        self.checked += 1;
        // The map of no entries has no file, and nobody needs it.
        self.last = (root.at > 0).then_some(index);
        Ok(())
    }

    /// How many map roots were found to be right.
    #[must_use]
    pub fn checked(&self) -> u64 {
        self.checked
    }

    /// What is wrong, if anything: names the entry.
    #[must_use]
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// The last map root that was right, with the index of its entry and the map's file.
    ///
    /// # Errors
    /// `Io` or `Damaged`.
    pub fn last(&self) -> Result<Option<(u64, MapFile)>, MapError> {
        self.last.map(|index| Ok((index, self.builder.file()?))).transpose()
    }
}
