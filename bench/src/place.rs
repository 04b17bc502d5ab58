//! Where servers run, and what is noted about it: shared by all benchmarks.
//!
//! It never leaves anything behind on the disk.

use crate::peers::Peer;
use crate::query::mix;
use crate::sheet::ServerNote;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

/// More processes than this wanting a processor at the start are other work on the machine.
const LOAD_MAX: f64 = 0.5;

/// A folder for the servers of a run, on the same disk as the build, which is rarely in memory.
/// It is removed when this is dropped.
pub(crate) struct Place {
    folder: PathBuf,
}

impl Place {
    /// The folder of a benchmark.
    pub(crate) fn new(benchmark: &str) -> Result<Place, String> {
        let program = std::env::current_exe()
            .map_err(|error| format!("cannot find the benchmark's own path: {error}"))?;
        let target =
            program.ancestors().nth(2).ok_or("the benchmark does not lie in a target folder")?;
        let folder = target.join(format!("bench-{benchmark}"));
        fs::create_dir_all(&folder)
            .map_err(|error| format!("cannot create {}: {error}", folder.display()))?;
        Ok(Place { folder })
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes the zone of so many hosts; its path.
    pub(crate) fn zone_file(&self, hosts: u32) -> Result<PathBuf, String> {
        let path = self.folder.join(format!("zone-{hosts}"));
        let write = || {
            let mut file = BufWriter::new(File::create(&path)?);
            mix::write_zone(hosts, &mut file)?;
            file.flush()
        };
        write().map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        Ok(path)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What the servers leave is of no use; an error here does not spoil the figures.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Says so when the machine was busy before the run.
pub(crate) fn load_warning(load_average: Option<f64>) -> Option<String> {
    load_average.filter(|load| *load > LOAD_MAX).map(|load| {
        format!(
            "other work ran on this machine: the load average was {load:.2} before the run; measure again on a quiet machine"
        )
    })
}

/// What the report says about servers: version, command line, configuration.
pub(crate) fn server_notes<'a>(
    servers: impl Iterator<Item = (&'static Peer, &'a String, &'a String, &'a String)>,
) -> Vec<ServerNote> {
    let note =
        |(peer, version, command_line, configuration): (&Peer, &String, &String, &String)| {
            ServerNote {
                name: peer.name.to_owned(),
                version: version.clone(),
                command_line: command_line.clone(),
                configuration: configuration.clone(),
            }
        };
    servers.map(note).collect()
}
