//! Who a site is to the others: a self-signed certificate, known by its SHA-256.
//!
//! Nothing in the certificate is ever looked at but its key: neither names nor times.

use crate::secret_file::{write_public, write_secret};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The certificate's secret key in a folder, PEM.
pub const KEY_FILE: &str = "link.key";
/// The certificate in a folder, PEM.
pub const CERTIFICATE_FILE: &str = "link.crt";
/// Letters in a line of PEM (RFC 7468 section 2).
const PEM_LINE_LETTERS: usize = 64;

/// The SHA-256 of a certificate's DER.
pub type Fingerprint = [u8; 32];

/// A site's name, its certificate and the secret key of that. Printing it never shows the key.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// The site's name.
    pub name: String,
    /// The certificate, X.509 DER.
    pub certificate_der: Vec<u8>,
    /// Its key, PKCS #8 DER.
    pub key_der: Vec<u8>,
}

/// An identity that cannot be made, kept or used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{}: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The certificate cannot be made.
    #[error("cannot make a certificate: {0}")]
    Generate(String),
    /// The certificate and the key are of no use together.
    #[error("the certificate of links cannot be used: {0}")]
    Unusable(String),
}

impl Identity {
    /// A new identity: a fresh key (ECDSA on P-256) and a certificate of it that never ends.
    ///
    /// # Errors
    /// `Generate`: there is no randomness, or the name has characters that names must not have.
    pub fn generate(name: &str) -> Result<Identity, IdentityError> {
        let failed = |error: rcgen::Error| IdentityError::Generate(error.to_string());
        let key = rcgen::KeyPair::generate().map_err(failed)?;
        let mut parameters = rcgen::CertificateParams::new(Vec::new()).map_err(failed)?;
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        parameters.distinguished_name.push(rcgen::DnType::CommonName, name);
        let certificate = parameters.self_signed(&key).map_err(failed)?;
        Ok(Identity {
            name: name.to_owned(),
            certificate_der: certificate.der().to_vec(),
            key_der: key.serialize_der(),
        })
    }

    /// Writes [`KEY_FILE`] and [`CERTIFICATE_FILE`] into a folder.
    ///
    /// # Errors
    /// `File`; what is there already is never overwritten.
    pub fn save(&self, folder: &Path) -> Result<(), IdentityError> {
        let key = pem("PRIVATE KEY", &self.key_der);
        let certificate = pem("CERTIFICATE", &self.certificate_der);
        let failed = |path: &Path, source| IdentityError::File { path: path.into(), source };
        let path = folder.join(KEY_FILE);
        write_secret(&path, &key).map_err(|error| failed(&path, error))?;
        let path = folder.join(CERTIFICATE_FILE);
        write_public(&path, &certificate).map_err(|error| failed(&path, error))
    }

    /// Reads what [`Identity::save`] wrote, for the site of this name.
    ///
    /// # Errors
    /// `File`, `Content`, or `Unusable` if the key is not the certificate's.
    pub fn load(name: &str, folder: &Path) -> Result<Identity, IdentityError> {
        let read = |file: &str| {
            let path = folder.join(file);
            match std::fs::read(&path) {
                Ok(text) => Ok((text, path)),
                Err(source) => Err(IdentityError::File { path, source }),
            }
        };
        let bad = |path: &Path, reason: &dyn fmt::Display| IdentityError::Content {
            path: path.into(),
            reason: format!("not the PEM text that was expected: {reason}"),
        };
        let (text, path) = read(KEY_FILE)?;
        let key = PrivatePkcs8KeyDer::from_pem_slice(&text).map_err(|error| bad(&path, &error))?;
        let (text, path) = read(CERTIFICATE_FILE)?;
        let certificate =
            CertificateDer::from_pem_slice(&text).map_err(|error| bad(&path, &error))?;
        let identity = Identity {
            name: name.to_owned(),
            certificate_der: certificate.to_vec(),
            key_der: key.secret_pkcs8_der().to_vec(),
        };
        identity.certified(&provider()).map(|_| identity)
    }

    /// How others know this certificate.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        fingerprint(&self.certificate_der)
    }

    /// The form that the TLS library works with.
    pub(crate) fn certified(
        &self,
        provider: &CryptoProvider,
    ) -> Result<Arc<CertifiedKey>, IdentityError> {
        let chain = vec![CertificateDer::from(self.certificate_der.clone())];
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key_der.clone()));
        CertifiedKey::from_der(chain, key, provider)
            .map(Arc::new)
            .map_err(|error| IdentityError::Unusable(error.to_string()))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({}, certificate {})", self.name, hex(&self.fingerprint()))
    }
}

/// The one implementation of cryptography that links use.
pub(crate) fn provider() -> CryptoProvider {
    rustls::crypto::ring::default_provider()
}

/// The fingerprint of a certificate.
#[must_use]
pub fn fingerprint(certificate_der: &[u8]) -> Fingerprint {
    Sha256::digest(certificate_der).into()
}

/// A fingerprint as cards and logs show it: 64 hexadecimal digits.
#[must_use]
pub fn hex(fingerprint: &Fingerprint) -> String {
    fingerprint.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// Reads what [`hex`] writes.
#[must_use]
pub fn from_hex(text: &str) -> Option<Fingerprint> {
    let digits = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if !digits || text.len() != 64 {
        return None;
    }
    let mut fingerprint = [0; 32];
    for (at, octet) in fingerprint.iter_mut().enumerate() {
        *octet = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(fingerprint)
}

/// Textual encoding (RFC 7468 section 3).
pub fn pem(label: &str, der: &[u8]) -> String {
    let encoded = STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    let mut rest = &*encoded;
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(PEM_LINE_LETTERS));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text + &format!("-----END {label}-----\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_loaded_and_never_overwritten() {
        let folder = tempfile::tempdir().expect("a folder");
        let made = Identity::generate("berlin").expect("made");
        made.save(folder.path()).expect("saved");
        assert_eq!(Identity::load("berlin", folder.path()).expect("loaded"), made);
        let other = Identity::generate("berlin").expect("made");
        assert_ne!(other.fingerprint(), made.fingerprint());
        let error = other.save(folder.path()).expect_err("it is there").to_string();
        assert!(error.contains("link.key") && error.contains("exists"), "{error}");
        assert_eq!(Identity::load("berlin", folder.path()).expect("loaded"), made);
        assert!(!format!("{made:?}").contains(&format!("{:?}", made.key_der)));
    }

    #[test]
    fn another_key_than_the_certificates_is_noticed() {
        let folder = tempfile::tempdir().expect("a folder");
        let (one, two) =
            (Identity::generate("a").expect("made"), Identity::generate("a").expect("made"));
        Identity { key_der: two.key_der, ..one }.save(folder.path()).expect("saved");
        let error = Identity::load("a", folder.path()).expect_err("they do not belong together");
        assert!(matches!(error, IdentityError::Unusable(_)), "{error}");
        std::fs::write(folder.path().join(KEY_FILE), "x").expect("written");
        let error = Identity::load("a", folder.path()).expect_err("no key").to_string();
        assert!(error.contains("link.key: not the PEM text"), "{error}");
    }

    #[test]
    fn fingerprints_have_one_text() {
        let fingerprint: Fingerprint = std::array::from_fn(|at| at as u8 * 7);
        let text = hex(&fingerprint);
        assert_eq!(from_hex(&text), Some(fingerprint));
        for bad in [&text[1..], &text.to_uppercase(), &format!("+{}", &text[1..]), ""] {
            assert_eq!(from_hex(bad), None, "{bad}");
        }
    }
}
