//! Where servers run, and what is noted about it: shared by all benchmarks.
//!
//! It never leaves anything behind on the disk.

use crate::machine;
use crate::peers::Peer;
use crate::query::mix;
use crate::sheet::ServerNote;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long the machine is watched before a run, and how busy it may be then.
const WATCHED: Duration = Duration::from_secs(1);
const BUSY_SHARE_MAX: f64 = 0.1;

/// The machine as it was before the run.
pub(crate) struct Conditions {
    pub(crate) machine: String,
    /// Says so when it was busy.
    pub(crate) warning: Option<String>,
}

impl Conditions {
    /// Watches the machine for a moment.
    pub(crate) fn look() -> Conditions {
        let busy = machine::idle_moment_share(WATCHED).filter(|share| *share > BUSY_SHARE_MAX);
        let warning = busy.map(|share| {
            format!(
                "other work ran on this machine: it used {:.0} % of the processors just before the run; measure again on a quiet machine",
                share * 100.0
            )
        });
        if let Some(warning) = &warning {
            eprintln!("WARNING: {warning}");
        }
        Conditions { machine: machine::describe(), warning }
    }
}

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
