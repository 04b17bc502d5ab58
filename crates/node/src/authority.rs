//! A private certificate authority: for trying encrypted DNS, and for fleets that trust their own
//! authority alone. It makes keys and certificates as files, and never writes over one.

use einhorn_links::identity::pem;
use einhorn_links::secret_file::{write_public, write_secret};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The authority's certificate in its folder, PEM: what clients are to trust.
pub const CA_CERTIFICATE_FILE: &str = "ca.crt";
/// Its key, PEM.
pub const CA_KEY_FILE: &str = "ca.key";
/// The authority's name in its certificates.
const CA_NAME: &str = "Einhorn private authority";
/// How long the authority's certificate is good, in days.
const CA_DAYS: u64 = 3_650;
/// The same for those that it makes: Apple devices take no more than 825.
const CERTIFICATE_DAYS: u64 = 365;
/// Clocks of clients may be this much behind, in seconds.
const CLOCK_SLACK_SECONDS: u64 = 3_600;
const DAY_SECONDS: u64 = 86_400;

/// Who a certificate is for.
#[derive(Debug, Clone, Copy)]
pub enum Holder<'a> {
    /// A server, known by a name and perhaps by addresses.
    Server(&'a str, &'a [IpAddr]),
    /// A device.
    Client(&'a str),
}

/// A certificate that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A key that is there is not one of ours.
    #[error("{}: not a key that was made here: {reason}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The name has characters that names must not have.
    #[error("`{0}` cannot be the name of a file and of a host: use a-z, 0-9, - and dots")]
    Name(String),
    /// There is no randomness, or the name cannot stand in a certificate.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
}

/// Makes a key and a certificate for `holder` in `folder`, at `now_seconds` since 1970; first the
/// authority, if there is none yet. Returns the paths of the certificate and of the key.
///
/// # Errors
/// [`AuthorityError`]; what is there already is never overwritten.
pub fn issue(
    folder: &Path,
    holder: Holder<'_>,
    now_seconds: u64,
) -> Result<(PathBuf, PathBuf), AuthorityError> {
    let (name, addresses, usage) = match holder {
        Holder::Server(name, addresses) => (name, addresses, ExtendedKeyUsagePurpose::ServerAuth),
        Holder::Client(name) => (name, &[][..], ExtendedKeyUsagePurpose::ClientAuth),
    };
    check_name(name)?;
    std::fs::create_dir_all(folder)
        .map_err(|source| AuthorityError::File { path: folder.into(), source })?;
    let authority = Issuer::new(ca_parameters(now_seconds), ca_key(folder, now_seconds)?);
    let mut parameters = CertificateParams::new(vec![name.to_owned()])?;
    parameters.distinguished_name = common_name(name);
    let addresses = addresses.iter().copied().map(SanType::IpAddress);
    parameters.subject_alt_names.extend(addresses);
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![usage];
    parameters.use_authority_key_identifier_extension = true;
    set_times(&mut parameters, now_seconds, CERTIFICATE_DAYS);
    let key = KeyPair::generate()?;
    let certificate = parameters.signed_by(&key, &authority)?;
    let (key_path, path) = (folder.join(format!("{name}.key")), folder.join(format!("{name}.crt")));
    write(&key_path, write_secret, &pem("PRIVATE KEY", &key.serialize_der()))?;
    write(&path, write_public, &pem("CERTIFICATE", certificate.der()))?;
    Ok((path, key_path))
}

/// The authority's key, made with its certificate if it is not there.
fn ca_key(folder: &Path, now_seconds: u64) -> Result<KeyPair, AuthorityError> {
    let path = folder.join(CA_KEY_FILE);
    if !path.exists() {
        let key = KeyPair::generate()?;
        let certificate = ca_parameters(now_seconds).self_signed(&key)?;
        write(&path, write_secret, &pem("PRIVATE KEY", &key.serialize_der()))?;
        let text = pem("CERTIFICATE", certificate.der());
        write(&folder.join(CA_CERTIFICATE_FILE), write_public, &text)?;
        return Ok(key);
    }
    let wrong = |reason: String| AuthorityError::Key { path: path.clone(), reason };
    let der = PrivatePkcs8KeyDer::from_pem_file(&path).map_err(|error| wrong(error.to_string()))?;
    KeyPair::try_from(der.secret_pkcs8_der()).map_err(|error| wrong(error.to_string()))
}

fn ca_parameters(now_seconds: u64) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = common_name(CA_NAME);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_times(&mut parameters, now_seconds, CA_DAYS);
    parameters
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn set_times(parameters: &mut CertificateParams, now_seconds: u64, days: u64) {
    let begin = now_seconds.saturating_sub(CLOCK_SLACK_SECONDS);
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    parameters.not_before = epoch + Duration::from_secs(begin);
    parameters.not_after = epoch + Duration::from_secs(now_seconds + days * DAY_SECONDS);
}

/// A name becomes part of a path.
fn check_name(name: &str) -> Result<(), AuthorityError> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let is_file = format!("{name}.key") != CA_KEY_FILE && !name.starts_with(['.', '-']);
    if !name.is_empty() && name.len() <= 200 && name.chars().all(good) && is_file {
        return Ok(());
    }
    Err(AuthorityError::Name(name.to_owned()))
}

fn write(
    path: &Path,
    write: fn(&Path, &str) -> io::Result<()>,
    text: &str,
) -> Result<(), AuthorityError> {
    write(path, text).map_err(|source| AuthorityError::File { path: path.into(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use einhorn_ingress::tls::{Identity, IdentityFiles};
    use std::os::unix::fs::PermissionsExt;

    const NOW_SECONDS: u64 = 1_800_000_000;

    #[test]
    fn a_server_can_use_what_is_made_and_nothing_is_overwritten() {
        let folder = tempfile::tempdir().expect("a folder");
        let holder = Holder::Server("ns1.fleet.example", &[IpAddr::from([127, 0, 0, 1])]);
        let (certificate, key) = issue(folder.path(), holder, NOW_SECONDS).expect("made");
        for secret in [&key, &folder.path().join(CA_KEY_FILE)] {
            let mode = secret.metadata().expect("there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{}", secret.display());
        }
        let ca = std::fs::read(folder.path().join(CA_CERTIFICATE_FILE)).expect("there");
        let mut files = IdentityFiles {
            certificate,
            key,
            client_authority: Some(folder.path().join(CA_CERTIFICATE_FILE)),
            name: "ns1.fleet.example".to_owned(),
        };
        Identity::load(&files).expect("of use");
        "ns2.fleet.example".clone_into(&mut files.name);
        let error = Identity::load(&files).expect_err("another's");
        assert!(error.to_string().contains("not a certificate of ns2.fleet.example"), "{error}");
        let again = issue(folder.path(), holder, NOW_SECONDS).expect_err("it is there");
        assert!(again.to_string().contains("ns1.fleet.example.key"), "{again}");
        // The same authority makes more.
        let (_, other) =
            issue(folder.path(), Holder::Client("annas-iphone"), NOW_SECONDS).expect("a client's");
        assert_eq!(std::fs::read(folder.path().join(CA_CERTIFICATE_FILE)).expect("there"), ca);
        "ns1.fleet.example".clone_into(&mut files.name);
        files.key = other;
        let error = Identity::load(&files).expect_err("another's key");
        assert!(error.to_string().contains("cannot be used with"), "{error}");
    }

    #[test]
    fn names_stay_in_their_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["", "ca", "../x", "a/b", ".x", "-x", "a b"] {
            let made = issue(folder.path(), Holder::Client(name), NOW_SECONDS);
            assert!(matches!(made, Err(AuthorityError::Name(_))), "{name}");
        }
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
    }
}
