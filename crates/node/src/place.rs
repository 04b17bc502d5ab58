//! Where the log of a data folder lies: in the folder, or in an etcd. A node with its log in an etcd
//! leaves a file that says so, for those who read the log beside it, and so that no node begins
//! another log in the folder.

use crate::config::EtcdConfig;
use crate::files::FolderError;
use einhorn_store::engine::{EngineError, EngineReader, SqliteReader};
use std::fs;
use std::path::Path;

/// The log in the folder.
pub(crate) const LOG_FILE: &str = "log.db";
/// Says which etcd the log lies in: the prefix, then the endpoints, each in a line.
pub(crate) const ETCD_FILE: &str = "log.etcd";

/// Opens the log of a data folder for reading, beside a node that may run on it.
///
/// # Errors
/// What the engine says; [`EngineError::Refused`] if this program cannot read an etcd.
pub fn open_log(data: &Path) -> Result<Box<dyn EngineReader>, EngineError> {
    match fs::read_to_string(data.join(ETCD_FILE)) {
        Ok(text) => in_etcd(&text),
        Err(_) => Ok(Box::new(SqliteReader::open(data)?)),
    }
}

/// Whether the log lies in the folder itself.
pub fn is_embedded(data: &Path) -> bool {
    !data.join(ETCD_FILE).exists()
}

#[cfg(feature = "etcd")]
fn in_etcd(text: &str) -> Result<Box<dyn EngineReader>, EngineError> {
    use einhorn_store::engine::{EtcdPlace, EtcdReader};
    let mut lines = text.lines();
    let prefix = lines.next().unwrap_or_default();
    Ok(Box::new(EtcdReader::open(&EtcdPlace::new(lines, prefix))?))
}

#[cfg(not(feature = "etcd"))]
fn in_etcd(text: &str) -> Result<Box<dyn EngineReader>, EngineError> {
    Err(EngineError::Refused {
        doing: "read the log",
        place: format!("etcd:{}", text.lines().next().unwrap_or_default()),
        cause: "this einhorn was built without it; build it with `--features etcd`".to_owned(),
    })
}

/// Refuses a folder whose log lies elsewhere than the configuration says.
pub(crate) fn check(data: &Path, etcd: Option<&EtcdConfig>) -> Result<(), FolderError> {
    let wrong = |file: &str, reason: &str| {
        Err(FolderError::Key { path: data.join(file), reason: reason.to_owned() })
    };
    match etcd {
        None if !is_embedded(data) => wrong(
            ETCD_FILE,
            "the log of this folder lies in an etcd, but the configuration has no [etcd]",
        ),
        Some(_) if data.join(LOG_FILE).exists() => wrong(
            LOG_FILE,
            "the log of this folder lies in it, but the configuration says [etcd]: move it there with \
             `einhorn site move-to-etcd`",
        ),
        _ => Ok(()),
    }
}

/// Notes that the log of a folder lies in an etcd.
#[cfg(feature = "etcd")]
pub(crate) fn note(data: &Path, etcd: &EtcdConfig) -> Result<(), FolderError> {
    let path = data.join(ETCD_FILE);
    let text = format!("{}\n{}\n", etcd.prefix, etcd.endpoints.join("\n"));
    fs::write(&path, text).map_err(|source| FolderError::Unusable { path, source })
}
