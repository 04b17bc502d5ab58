//! The data folder: what lies where, and the log's key.

use einhorn_core::ledger::note::{Algorithm, SignerKey};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Folder of the ledger's files in the data folder.
pub(crate) const LEDGER_FOLDER: &str = "ledger";
/// The log's signing key in the data folder.
const KEY_FILE: &str = "ledger.key";
/// Its public half, for auditors.
const VERIFIER_FILE: &str = "ledger.vkey";
/// The key with which this node cosigns other logs as their witness.
const WITNESS_KEY_FILE: &str = "witness.key";
/// Its public half, for those logs.
const WITNESS_VERIFIER_FILE: &str = "witness.vkey";

/// A data folder that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It cannot be made or written.
    #[error("the data folder {} cannot be used: {source}", path.display())]
    Unusable {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The key file is not a key, or not this log's.
    #[error("{}: {reason}", path.display())]
    Key {
        /// The key file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// Makes the folder if need be.
pub(crate) fn prepare(folder: &Path) -> Result<(), FolderError> {
    let unusable = |source| FolderError::Unusable { path: folder.into(), source };
    fs::create_dir_all(folder.join(LEDGER_FOLDER)).map_err(unusable)?;
    // Found out now, with a clear message, rather than by the first update.
    let probe = folder.join(".writable");
    fs::write(&probe, b"").and_then(|()| fs::remove_file(&probe)).map_err(unusable)
}

/// The log's signing key; a new log gets a new one.
pub(crate) fn signer(
    folder: &Path,
    ledger_name: &str,
    log_is_new: bool,
) -> Result<SignerKey, FolderError> {
    let path = folder.join(KEY_FILE);
    let unusable = |source| FolderError::Unusable { path: path.clone(), source };
    let bad = |reason: String| FolderError::Key { path: path.clone(), reason };
    match fs::read_to_string(&path) {
        Ok(text) => {
            let key = SignerKey::parse(text.trim()).map_err(|error| bad(error.to_string()))?;
            let name = key.verifier().name();
            if name == ledger_name {
                return Ok(key);
            }
            Err(bad(format!("this log is named `{name}`, but the configuration says `{ledger_name}`; a log's name is for ever")))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound && log_is_new => {
            let mut seed = [0; 32];
            random(&mut seed).map_err(unusable)?;
            let key = SignerKey::from_seed(ledger_name, Algorithm::Ed25519, &seed)
                .map_err(|error| bad(format!("`{ledger_name}` cannot name a log: {error}")))?;
            write_new(&path, &key.to_secret_text()).map_err(unusable)?;
            fs::write(folder.join(VERIFIER_FILE), format!("{}\n", key.verifier())).map_err(unusable)?;
            Ok(key)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(bad("the key of this log is gone; put it back from a backup, since nobody can sign for the log without it".to_owned()))
        }
        Err(source) => Err(unusable(source)),
    }
}

/// The key with which this node witnesses other logs; made when it is first needed.
pub(crate) fn witness_signer(folder: &Path, name: &str) -> Result<SignerKey, FolderError> {
    let path = folder.join(WITNESS_KEY_FILE);
    let unusable = |source| FolderError::Unusable { path: path.clone(), source };
    let bad = |reason: String| FolderError::Key { path: path.clone(), reason };
    match fs::read_to_string(&path) {
        Ok(text) => SignerKey::parse(text.trim()).map_err(|error| bad(error.to_string())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut seed = [0; 32];
            random(&mut seed).map_err(unusable)?;
            let key = SignerKey::from_seed(name, Algorithm::CosignatureV1, &seed)
                .map_err(|error| bad(format!("`{name}` cannot name a witness: {error}")))?;
            write_new(&path, &key.to_secret_text()).map_err(unusable)?;
            let public = folder.join(WITNESS_VERIFIER_FILE);
            fs::write(public, format!("{}\n", key.verifier())).map_err(unusable)?;
            Ok(key)
        }
        Err(source) => Err(unusable(source)),
    }
}

/// Writes a secret, durably, readable by its owner alone.
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(format!("{text}\n").as_bytes())?;
    file.sync_all()?;
    match path.parent() {
        Some(folder) => fs::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// Fills `octets` from the system's random source.
pub(crate) fn random(octets: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    while filled < octets.len() {
        filled +=
            rustix::rand::getrandom(&mut octets[filled..], rustix::rand::GetRandomFlags::empty())?;
    }
    Ok(())
}
