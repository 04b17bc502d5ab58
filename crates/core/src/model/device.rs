//! Devices: who they are, what shows it, and from where their addresses may be taken. Operators keep
//! them in a file that every site has; they are no part of the state that sites agree on.

use super::settings::Prefix;
use einhorn_wire::Name;
use einhorn_wire::tsig::Key;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::fmt;

/// A SHA-256: of a certificate's DER, or of a token.
pub type Fingerprint = [u8; 32];

/// A device. Printing it shows no secret.
#[derive(Clone)]
pub struct Device {
    /// Its host name, which is also the name of its key.
    pub name: Name,
    /// The zone of that.
    pub zone: Name,
    /// SHA-256 of the secret at the end of its DNS over HTTPS path; the secret itself is nowhere
    /// but on the device.
    pub token_sha256: Fingerprint,
    /// Signs its updates (TSIG); in base64 it is its password for dyndns2.
    pub key: Key,
    /// SHA-256 of the certificate that it shows, if it has one.
    pub certificate: Option<Fingerprint>,
    /// Since when, in seconds since 1970.
    pub enrolled_seconds: u64,
    /// Since when it counts for nobody, in seconds since 1970.
    pub revoked_seconds: Option<u64>,
    /// Where it must be for its address to become its record by itself; nowhere if there is none.
    pub prefixes: Vec<Prefix>,
    /// TTL of those records, in seconds.
    pub ttl_seconds: u32,
    /// How long a family of addresses may be unused until its record goes, in seconds; `None`: it
    /// stays.
    pub other_family_seconds: Option<u32>,
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.is_revoked() { ", revoked" } else { "" };
        write!(f, "Device({}{state})", self.name)
    }
}

impl Device {
    /// Whether it counts for nobody any more.
    pub fn is_revoked(&self) -> bool {
        self.revoked_seconds.is_some()
    }
}

/// Two devices that cannot be told apart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DevicesError {
    /// A name stands twice.
    #[error("device {0} is there twice")]
    Name(Name),
    /// The name is not in the zone.
    #[error("device {0} is not in its zone {1}")]
    Zone(Name, Name),
    /// A token or certificate is that of another one.
    #[error("devices {0} and {1} have the same token or certificate: rotate one of them")]
    Credential(Name, Name),
}

/// All devices, found by what they show.
#[derive(Debug, Clone, Default)]
pub struct Devices {
    by_name: BTreeMap<Name, Device>,
    by_token: HashMap<Fingerprint, Name>,
    by_certificate: HashMap<Fingerprint, Name>,
}

impl Devices {
    /// These devices.
    ///
    /// # Errors
    /// [`DevicesError`].
    pub fn new(devices: impl IntoIterator<Item = Device>) -> Result<Devices, DevicesError> {
        let mut all = Devices::default();
        for device in devices {
            let name = device.name.to_lowercase();
            if !name.is_at_or_below(&device.zone) {
                return Err(DevicesError::Zone(name, device.zone));
            }
            // Who is revoked shows nothing, so that a certificate may go to the next device.
            if !device.is_revoked() {
                let taken = all.by_token.insert(device.token_sha256, name.clone());
                let shown = device.certificate;
                let shown = shown.and_then(|shown| all.by_certificate.insert(shown, name.clone()));
                if let Some(other) = taken.or(shown).filter(|other| *other != name) {
                    return Err(DevicesError::Credential(other, name));
                }
            }
            if all.by_name.insert(name.clone(), device).is_some() {
                return Err(DevicesError::Name(name));
            }
        }
        Ok(all)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Device> {
        self.by_name.values()
    }

    /// The device of this name, revoked or not.
    pub fn get(&self, name: &Name) -> Option<&Device> {
        self.by_name.get(name)
    }

    /// Whose token this is; nobody's if its device was revoked.
    pub fn with_token(&self, token: &str) -> Option<&Device> {
        // What is looked up is a hash, so how long it takes says nothing about the token.
        self.get(self.by_token.get(&token_sha256(token))?)
    }

    /// Whose certificate this is; nobody's if its device was revoked.
    pub fn with_certificate(&self, fingerprint: &Fingerprint) -> Option<&Device> {
        self.get(self.by_certificate.get(fingerprint)?)
    }
}

/// What is kept of a token.
pub fn token_sha256(token: &str) -> Fingerprint {
    Sha256::digest(token).into()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn device(name: &str, token: &str) -> Device {
        let key = format!("hmac-sha256:{name}:c2VjcmV0IG9mIHRoZSBwaG9uZQ==");
        Device {
            name: name.parse().expect("a name"),
            zone: "fleet.example.".parse().expect("a name"),
            token_sha256: token_sha256(token),
            key: key.parse().expect("a key"),
            certificate: None,
            enrolled_seconds: 1,
            revoked_seconds: None,
            prefixes: vec!["192.0.2.0/24".parse().expect("a prefix")],
            ttl_seconds: 60,
            other_family_seconds: None,
        }
    }

    #[test]
    fn devices_are_found_by_what_they_show_until_they_are_revoked() {
        let (anna, mut ben) =
            (device("anna.fleet.example.", "a"), device("Ben.fleet.example.", "b"));
        ben.certificate = Some([7; 32]);
        let all = Devices::new([anna.clone(), ben.clone()]).expect("devices");
        assert_eq!(all.with_token("a").map(|found| &found.name), Some(&anna.name));
        assert_eq!(all.with_certificate(&[7; 32]).map(|found| &found.name), Some(&ben.name));
        assert!(all.with_token("c").is_none() && all.with_certificate(&[8; 32]).is_none());
        ben.revoked_seconds = Some(2);
        let all = Devices::new([anna, ben.clone()]).expect("devices");
        assert!(all.with_token("b").is_none() && all.with_certificate(&[7; 32]).is_none());
        assert!(all.get(&ben.name).is_some());
    }

    #[test]
    fn nobody_is_mistaken_for_another() {
        let anna = device("anna.fleet.example.", "a");
        let twice = Devices::new([anna.clone(), device("ANNA.fleet.example.", "b")]);
        assert!(matches!(twice, Err(DevicesError::Name(_))));
        let same = Devices::new([anna, device("ben.fleet.example.", "a")]);
        assert!(matches!(same, Err(DevicesError::Credential(..))));
        let out = Devices::new([device("anna.other.example.", "a")]);
        assert!(matches!(out, Err(DevicesError::Zone(..))));
    }

    #[test]
    fn printing_shows_no_secret() {
        let printed = format!("{:?}", device("anna.fleet.example.", "a"));
        assert_eq!(printed, "Device(anna.fleet.example.)");
    }
}
