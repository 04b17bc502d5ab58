//! The data folder: what lies where, and the keys that sign.

use einhorn_core::ledger::note::{Algorithm, SignerKey};
use einhorn_links::secret_file::{write_public, write_secret};
use std::borrow::Cow;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Folder of the ledger's files in the data folder.
pub const LEDGER_FOLDER: &str = "ledger";

/// A pair of files with a key: the secret half and the public one.
#[derive(Debug, Clone)]
pub struct KeyFiles {
    /// The secret half, in the data folder.
    pub secret: Cow<'static, str>,
    /// The public half, for auditors and other sites.
    pub public: Cow<'static, str>,
    /// What the key signs.
    algorithm: Algorithm,
}

impl KeyFiles {
    const fn new(secret: &'static str, public: &'static str, algorithm: Algorithm) -> KeyFiles {
        KeyFiles { secret: Cow::Borrowed(secret), public: Cow::Borrowed(public), algorithm }
    }
}

/// The key that signs the log.
pub const LEDGER_KEY: KeyFiles = KeyFiles::new("ledger.key", "ledger.vkey", Algorithm::Ed25519);
/// The key that cosigns the logs of other sites.
pub const MIRROR_KEY: KeyFiles =
    KeyFiles::new("mirror.key", "mirror.vkey", Algorithm::CosignatureV1);
/// The key that cosigns the logs of others who ask for it.
pub(crate) const WITNESS_KEY: KeyFiles =
    KeyFiles::new("witness.key", "witness.vkey", Algorithm::CosignatureV1);

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

/// Folder of the ledger's files of a site's first or a later log.
pub fn ledger_folder(data: &Path, generation: u16) -> PathBuf {
    match generation {
        1 => data.join(LEDGER_FOLDER),
        generation => data.join(format!("{LEDGER_FOLDER}.{generation}")),
    }
}

/// The files of the key of a site's first or a later log.
fn ledger_key(generation: u16) -> KeyFiles {
    match generation {
        1 => LEDGER_KEY,
        generation => KeyFiles {
            secret: format!("ledger.{generation}.key").into(),
            public: format!("ledger.{generation}.vkey").into(),
            ..LEDGER_KEY
        },
    }
}

/// The names of these files: the secret half, and the public one.
#[cfg(feature = "etcd")]
pub(crate) fn ledger_key_files(generation: u16) -> [String; 2] {
    let files = ledger_key(generation);
    [files.secret.into_owned(), files.public.into_owned()]
}

/// The signing key of a site's first or a later log; a new log gets a new one.
pub(crate) fn signer(
    folder: &Path,
    generation: u16,
    ledger_name: &str,
    log_is_new: bool,
) -> Result<SignerKey, FolderError> {
    let files = ledger_key(generation);
    let path = folder.join(&*files.secret);
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
            // A public half that was left behind verifies nothing that this log will say.
            match fs::remove_file(folder.join(&*files.public)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unusable(error)),
                _ => make_key(folder, files, ledger_name),
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(bad("the key of this log is gone; put it back from a backup, since nobody can sign for the log without it".to_owned()))
        }
        Err(source) => Err(unusable(source)),
    }
}

/// The key that cosigns other logs as a witness; made when there is none.
pub(crate) fn witness_signer(folder: &Path, name: &str) -> Result<SignerKey, FolderError> {
    let path = folder.join(&*WITNESS_KEY.secret);
    match fs::read_to_string(&path) {
        Ok(text) => SignerKey::parse(text.trim())
            .map_err(|error| FolderError::Key { path, reason: error.to_string() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_key(folder, WITNESS_KEY, name)
        }
        Err(source) => Err(FolderError::Unusable { path, source }),
    }
}

/// The name of the key that cosigns other logs.
pub(crate) fn mirror_name(folder: &Path) -> Result<String, FolderError> {
    Ok(read_key(&folder.join(&*MIRROR_KEY.secret))?.verifier().name().to_owned())
}

/// The name of a site's first or a later log.
pub(crate) fn ledger_name_of(folder: &Path, generation: u16) -> Result<String, FolderError> {
    let key = read_key(&folder.join(&*ledger_key(generation).secret))?;
    Ok(key.verifier().name().to_owned())
}

fn read_key(path: &Path) -> Result<SignerKey, FolderError> {
    let text = fs::read_to_string(path)
        .map_err(|source| FolderError::Unusable { path: path.into(), source })?;
    SignerKey::parse(text.trim())
        .map_err(|error| FolderError::Key { path: path.into(), reason: error.to_string() })
}

/// The verifier key of a site's first or a later log, as text.
///
/// # Errors
/// [`FolderError`].
pub(crate) fn ledger_verifier(folder: &Path, generation: u16) -> Result<String, FolderError> {
    let key = read_key(&folder.join(&*ledger_key(generation).secret))?;
    Ok(key.verifier().to_string())
}

/// Makes a key of this name and writes both halves.
///
/// # Errors
/// [`FolderError`]; what is there already is never overwritten.
pub fn make_key(folder: &Path, files: KeyFiles, name: &str) -> Result<SignerKey, FolderError> {
    let path = folder.join(&*files.secret);
    let unusable = |path: &Path, source| FolderError::Unusable { path: path.into(), source };
    let mut seed = [0; 32];
    random(&mut seed).map_err(|error| unusable(&path, error))?;
    let key = SignerKey::from_seed(name, files.algorithm, &seed).map_err(|error| {
        let reason = format!("`{name}` cannot name a log or its key: {error}");
        FolderError::Key { path: path.clone(), reason }
    })?;
    let secret = format!("{}\n", key.to_secret_text());
    write_secret(&path, &secret).map_err(|error| unusable(&path, error))?;
    let path = folder.join(&*files.public);
    let public = format!("{}\n", key.verifier());
    write_public(&path, &public).map_err(|error| unusable(&path, error))?;
    Ok(key)
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
