//! Enrolment of devices: their secrets, from the system's random source, and profiles that are
//! offered once and for a time.
//!
//! An offer is a file in the data folder, named after the SHA-256 of the token that opens it, so that
//! nobody who sees the folder's listing can open one.

use crate::device_file::to_hex;
use crate::files::random;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use einhorn_core::model::device::token_sha256;
use einhorn_ingress::http::Offers;
use einhorn_ingress::now_ms;
use einhorn_links::secret_file::write_secret;
use einhorn_wire::Name;
use einhorn_wire::tsig::{Algorithm, Key, KeyError};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Octets of a device's secrets, each. Apple's systems tell the algorithm of a key by its length:
/// 32 octets are HMAC-SHA256.
const SECRET_OCTETS: usize = 32;
/// Octets of the token that opens an offer.
const OFFER_OCTETS: usize = 16;
/// How long a profile is offered, in seconds.
pub const OFFER_SECONDS: u64 = 3_600;
/// Folder of the offers in the data folder.
const OFFERS_FOLDER: &str = "enrolments";

/// What a device is given to show.
pub struct Secrets {
    /// The end of its DNS over HTTPS path.
    pub token: String,
    /// Its key.
    pub key: Key,
}

/// Secrets that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// There is no randomness.
    #[error("no random numbers: {0}")]
    Random(#[from] io::Error),
    /// The name cannot name a key.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl Secrets {
    /// New ones for the device of this name.
    ///
    /// # Errors
    /// [`SecretsError`].
    pub fn generate(name: &Name) -> Result<Secrets, SecretsError> {
        let (mut token, mut secret) = ([0; SECRET_OCTETS], [0; SECRET_OCTETS]);
        random(&mut token)?;
        random(&mut secret)?;
        let key = Key::new(name.clone(), Algorithm::HmacSha256, &secret)?;
        Ok(Secrets { token: URL_SAFE_NO_PAD.encode(token), key })
    }
}

/// Offers a profile to whoever comes first with the token that it gives.
///
/// # Errors
/// What the system says.
pub fn offer(data: &Path, profile: &[u8], now_seconds: u64) -> io::Result<String> {
    let folder = data.join(OFFERS_FOLDER);
    fs::create_dir_all(&folder)?;
    forget_old(&folder, now_seconds)?;
    let mut token = [0; OFFER_OCTETS];
    random(&mut token)?;
    let token = URL_SAFE_NO_PAD.encode(token);
    let text = format!("{}\n{}\n", now_seconds + OFFER_SECONDS, STANDARD.encode(profile));
    write_secret(&place(&folder, &token), &text)?;
    Ok(token)
}

/// Whether such a token opens something.
///
/// # Errors
/// What the system says.
fn is_open(data: &Path, token: &str, now_seconds: u64) -> io::Result<bool> {
    let path = place(&data.join(OFFERS_FOLDER), token);
    Ok(read(&path)?.is_some_and(|(until, _)| now_seconds < until))
}

/// The profile that the token opens, which it never does again.
///
/// # Errors
/// What the system says.
fn take(data: &Path, token: &str, now_seconds: u64) -> io::Result<Option<Vec<u8>>> {
    let path = place(&data.join(OFFERS_FOLDER), token);
    let taken = path.with_extension("taken");
    // Of two who come together one has it.
    match fs::rename(&path, &taken) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        renamed => renamed?,
    }
    let offer = read(&taken)?;
    fs::remove_file(&taken)?;
    Ok(offer.filter(|(until, _)| now_seconds < *until).map(|(_, profile)| profile))
}

/// The offers of a data folder.
pub(crate) struct FolderOffers {
    pub(crate) data: PathBuf,
}

impl Offers for FolderOffers {
    fn is_open(&self, token: &str) -> io::Result<bool> {
        is_open(&self.data, token, now_ms() / 1_000)
    }

    fn take(&self, token: &str) -> io::Result<Option<Vec<u8>>> {
        take(&self.data, token, now_ms() / 1_000)
    }
}

fn place(folder: &Path, token: &str) -> PathBuf {
    folder.join(to_hex(&token_sha256(token)))
}

/// Until when an offer counts, and what it is.
fn read(path: &Path) -> io::Result<Option<(u64, Vec<u8>)>> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text?,
    };
    let parts = text.trim_end().split_once('\n');
    Ok(parts
        .and_then(|(until, profile)| Some((until.parse().ok()?, STANDARD.decode(profile).ok()?))))
}

/// Removes the offers that nobody took in time.
fn forget_old(folder: &Path, now_seconds: u64) -> io::Result<()> {
    for file in fs::read_dir(folder)? {
        let path = file?.path();
        if read(&path)?.is_none_or(|(until, _)| until <= now_seconds) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_long_and_never_the_same() {
        let name: Name = "anna.fleet.example.".parse().expect("a name");
        let (one, other) = (Secrets::generate(&name), Secrets::generate(&name));
        let (one, other) = (one.expect("secrets"), other.expect("secrets"));
        assert_eq!((one.token.len(), one.key.secret_base64().len()), (43, 44));
        assert_ne!(one.token, other.token);
        assert_ne!(one.key.secret_base64(), other.key.secret_base64());
        assert_ne!(one.token[..40], one.key.secret_base64()[..40]);
    }

    #[test]
    fn an_offer_is_taken_once_and_in_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path();
        let token = offer(data, b"profile", 100).expect("offered");
        assert!(is_open(data, &token, 101).expect("read"));
        assert!(!is_open(data, "other", 101).expect("read"));
        assert_eq!(take(data, "../../x", 101).expect("read"), None);
        assert_eq!(take(data, &token, 101).expect("read"), Some(b"profile".to_vec()));
        assert_eq!(take(data, &token, 101).expect("read"), None);
        assert!(!is_open(data, &token, 101).expect("read"));
        let late = offer(data, b"profile", 100).expect("offered");
        assert!(!is_open(data, &late, 100 + OFFER_SECONDS).expect("read"));
        assert_eq!(take(data, &late, 100 + OFFER_SECONDS).expect("read"), None);
        let old = offer(data, b"old", 100).expect("offered");
        offer(data, b"new", 100 + OFFER_SECONDS).expect("offered");
        let left = fs::read_dir(data.join(OFFERS_FOLDER)).expect("files").count();
        assert_eq!((left, take(data, &old, 101).expect("read")), (1, None));
    }
}
