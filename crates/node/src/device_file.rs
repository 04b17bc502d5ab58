//! The file of devices: TOML that only its owner can read, made by `einhorn device` and carried to
//! every site by operators, as files of keys are. It holds the secrets of keys, and of tokens only
//! what is needed to know them again.
//!
//! What is wrong with it is said without its text: that may be a secret.

use einhorn_core::model::device::{Device, DevicesError, Fingerprint};
use einhorn_core::model::settings::Prefix;
use einhorn_links::secret_file::write_secret;
use einhorn_wire::Name;
use einhorn_wire::tsig::{Algorithm, Key, KeyError};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// TTL of a device's records if the file does not say another, in seconds.
pub const TTL_SECONDS: u32 = 60;
/// What stands above the devices.
const HEADING: &str = "# The devices of this fleet, written by `einhorn device`. Keep it secret (mode 0600), and\n\
    # carry it to every site; `einhorn reload` puts it into force.\n\n";

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DeviceFileError {
    /// It cannot be read or written.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Others than its owner may read it.
    #[error("others may read the secrets in it: chmod 600 it, and rotate its devices if they did")]
    Open,
    /// It is not TOML of the right form.
    #[error("line {line}: {reason}")]
    Syntax {
        /// From 1; 0 if it is about the whole.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// A device is not what it should be.
    #[error("device {device}: {reason}")]
    Device {
        /// Its name as written.
        device: String,
        /// What is wrong.
        reason: String,
    },
    /// The devices do not go together.
    #[error(transparent)]
    Devices(#[from] DevicesError),
}

#[derive(Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawFile {
    #[serde(default, rename = "device")]
    devices: Vec<RawDevice>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawDevice {
    name: String,
    zone: String,
    token_sha256: String,
    secret: String,
    certificate_sha256: Option<String>,
    enrolled_seconds: u64,
    revoked_seconds: Option<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    prefixes: Vec<String>,
    #[serde(default = "ttl_seconds")]
    ttl_seconds: u32,
    other_family_seconds: Option<u32>,
}

fn ttl_seconds() -> u32 {
    TTL_SECONDS
}

/// Reads the devices of a file, in its order; none if there is no file.
///
/// # Errors
/// [`DeviceFileError`].
pub fn read(path: &Path) -> Result<Vec<Device>, DeviceFileError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    if fs::metadata(path)?.permissions().mode() & 0o077 != 0 {
        return Err(DeviceFileError::Open);
    }
    parse(&text)
}

/// Reads the text of such a file.
///
/// # Errors
/// [`DeviceFileError`].
pub fn parse(text: &str) -> Result<Vec<Device>, DeviceFileError> {
    let raw: RawFile = toml::from_str(text).map_err(|error| {
        let line = error.span().and_then(|span| text.get(..span.start));
        let line = line.map_or(0, |before| before.matches('\n').count() + 1);
        DeviceFileError::Syntax { line, reason: error.message().to_owned() }
    })?;
    raw.devices.iter().map(device).collect()
}

fn device(raw: &RawDevice) -> Result<Device, DeviceFileError> {
    let bad = |reason: String| DeviceFileError::Device { device: raw.name.clone(), reason };
    let name = |text: &str| text.parse::<Name>().map_err(|error| bad(error.to_string()));
    let key = Key::from_text(&raw.name, Algorithm::HmacSha256, &raw.secret);
    let prefix = |text: &String| text.parse::<Prefix>().map_err(|error| bad(error.to_string()));
    let sha256 = |text: &String| {
        from_hex(text).ok_or_else(|| bad("a SHA-256 is 64 hexadecimal digits".to_owned()))
    };
    Ok(Device {
        name: name(&raw.name)?.to_lowercase(),
        zone: name(&raw.zone)?.to_lowercase(),
        token_sha256: sha256(&raw.token_sha256)?,
        key: key.map_err(|error: KeyError| bad(error.to_string()))?,
        certificate: raw.certificate_sha256.as_ref().map(sha256).transpose()?,
        enrolled_seconds: raw.enrolled_seconds,
        revoked_seconds: raw.revoked_seconds,
        prefixes: raw.prefixes.iter().map(prefix).collect::<Result<_, _>>()?,
        ttl_seconds: raw.ttl_seconds,
        other_family_seconds: raw.other_family_seconds,
    })
}

/// The text of such a file.
///
/// # Errors
/// [`DeviceFileError::Syntax`] if TOML has no form for it.
pub fn write(devices: &[Device]) -> Result<String, DeviceFileError> {
    let raw = |device: &Device| RawDevice {
        name: device.name.to_string(),
        zone: device.zone.to_string(),
        token_sha256: to_hex(&device.token_sha256),
        secret: device.key.secret_base64(),
        certificate_sha256: device.certificate.as_ref().map(to_hex),
        enrolled_seconds: device.enrolled_seconds,
        revoked_seconds: device.revoked_seconds,
        prefixes: device.prefixes.iter().map(ToString::to_string).collect(),
        ttl_seconds: device.ttl_seconds,
        other_family_seconds: device.other_family_seconds,
    };
    let file = RawFile { devices: devices.iter().map(raw).collect() };
    let text = toml::to_string(&file)
        .map_err(|error| DeviceFileError::Syntax { line: 0, reason: error.to_string() })?;
    Ok(format!("{HEADING}{text}"))
}

/// Puts these devices into the file, as a whole or not at all.
///
/// # Errors
/// [`DeviceFileError`].
pub fn save(path: &Path, devices: &[Device]) -> Result<(), DeviceFileError> {
    let text = write(devices)?;
    let new = path.with_extension("new");
    // One that was left half written by a run that ended in the middle.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    write_secret(&new, &text)?;
    fs::rename(&new, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    Ok(())
}

/// A SHA-256 in hexadecimal.
pub fn to_hex(octets: &Fingerprint) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// The SHA-256 that is written so.
pub(crate) fn from_hex(text: &str) -> Option<Fingerprint> {
    let mut octets = [0; 32];
    if text.len() != 64 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    for (at, octet) in octets.iter_mut().enumerate() {
        *octet = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use einhorn_core::model::device::token_sha256;

    #[test]
    fn what_is_written_is_read_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("devices.toml");
        assert!(read(&path).expect("none yet").is_empty());
        let key = "hmac-sha256:anna.fleet.example.:c2VjcmV0IG9mIHRoZSBwaG9uZQ==";
        let anna = Device {
            name: "anna.fleet.example.".parse().expect("a name"),
            zone: "fleet.example.".parse().expect("a name"),
            token_sha256: token_sha256("token"),
            key: key.parse().expect("a key"),
            certificate: Some([0xab; 32]),
            enrolled_seconds: 5,
            revoked_seconds: Some(6),
            prefixes: vec!["192.0.2.0/24".parse().expect("a prefix")],
            ttl_seconds: 30,
            other_family_seconds: Some(86_400),
        };
        save(&path, std::slice::from_ref(&anna)).expect("saved");
        save(&path, std::slice::from_ref(&anna)).expect("saved again");
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let text = fs::read_to_string(&path).expect("text");
        assert!(!text.contains("\"token\""), "{text}");
        let again = read(&path).expect("devices");
        assert_eq!(write(&again).expect("text"), text);
        assert_eq!(
            (again[0].key.secret_base64(), again[0].certificate),
            (anna.key.secret_base64(), anna.certificate)
        );
    }
}
