//! Nodes as micro-VMs: images whose only program is Einhorn, the machines that run them, and what
//! Einhorn does when it is the first process of such a machine.
//!
//! It never knows DNS: what the node serves, and what is asked of it, passes through as octets.

pub mod acceleration;
pub mod cluster;
pub mod control;
pub mod cpio;
pub mod gateway;
pub mod guest;
pub mod image;
pub mod kernel;
mod libraries;
pub mod lz4;
pub mod machine;
pub mod modules;
pub mod supervisor;
pub mod switch;
pub mod template;

use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Why something about a micro-VM was not possible.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system refused something.
    #[error("cannot {what} {path}: {source}")]
    System {
        /// A verb, such as `read`.
        what: &'static str,
        /// What it was done to.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("{path}: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A program or file is not there; the text says how to get it.
    #[error("{0}")]
    Missing(String),
    /// A machine or its supervisor said no, or nothing.
    #[error("{0}")]
    Refused(String),
}

/// Adds to what the system said what was done to which file.
pub(crate) fn system(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::System { what, path, source }
}

/// Milliseconds since 1970 (UTC).
pub(crate) fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.as_millis() as u64
}
