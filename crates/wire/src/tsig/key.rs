//! Keys and their message authentication codes (RFC 8945 §6).

use crate::name::Name;
use base64::Engine as _;
use hmac::{Hmac, KeyInit, Mac};
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// No MAC may be shorter, whatever the algorithm (RFC 8945 §5.2.2.1), in octets.
const MAC_OCTETS_MIN: usize = 10;
/// Octets of the longest MAC, HMAC-SHA512.
const MAC_OCTETS_MAX: usize = 64;

/// The algorithms of RFC 8945 §6 and the truncated ones of RFC 4635.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the names are the documentation
pub enum Algorithm {
    HmacMd5,
    HmacSha1,
    HmacSha224,
    HmacSha256,
    HmacSha256To128,
    HmacSha384,
    HmacSha384To192,
    HmacSha512,
    HmacSha512To256,
}

pub(super) const ALGORITHMS: [(Algorithm, &str, &[u8]); 9] = [
    (Algorithm::HmacMd5, "hmac-md5", b"\x08hmac-md5\x07sig-alg\x03reg\x03int\x00"),
    (Algorithm::HmacSha1, "hmac-sha1", b"\x09hmac-sha1\x00"),
    (Algorithm::HmacSha224, "hmac-sha224", b"\x0bhmac-sha224\x00"),
    (Algorithm::HmacSha256, "hmac-sha256", b"\x0bhmac-sha256\x00"),
    (Algorithm::HmacSha256To128, "hmac-sha256-128", b"\x0fhmac-sha256-128\x00"),
    (Algorithm::HmacSha384, "hmac-sha384", b"\x0bhmac-sha384\x00"),
    (Algorithm::HmacSha384To192, "hmac-sha384-192", b"\x0fhmac-sha384-192\x00"),
    (Algorithm::HmacSha512, "hmac-sha512", b"\x0bhmac-sha512\x00"),
    (Algorithm::HmacSha512To256, "hmac-sha512-256", b"\x0fhmac-sha512-256\x00"),
];

impl Algorithm {
    /// The name on the wire, in lower case.
    pub(super) fn wire_name(self) -> &'static [u8] {
        ALGORITHMS[self as usize].2
    }

    /// The algorithm whose MAC this one cuts short; itself where it cuts nothing.
    pub(crate) fn whole(self) -> Algorithm {
        match self {
            Algorithm::HmacSha256To128 => Algorithm::HmacSha256,
            Algorithm::HmacSha384To192 => Algorithm::HmacSha384,
            Algorithm::HmacSha512To256 => Algorithm::HmacSha512,
            whole => whole,
        }
    }

    /// Octets of the hash's output.
    pub(super) fn hash_octets(self) -> usize {
        match self {
            Algorithm::HmacMd5 => 16,
            Algorithm::HmacSha1 => 20,
            Algorithm::HmacSha224 => 28,
            Algorithm::HmacSha256 | Algorithm::HmacSha256To128 => 32,
            Algorithm::HmacSha384 | Algorithm::HmacSha384To192 => 48,
            Algorithm::HmacSha512 | Algorithm::HmacSha512To256 => 64,
        }
    }

    /// Octets of the MACs we make.
    pub(super) fn mac_octets(self) -> usize {
        match self {
            Algorithm::HmacSha256To128
            | Algorithm::HmacSha384To192
            | Algorithm::HmacSha512To256 => self.hash_octets() / 2,
            _ => self.hash_octets(),
        }
    }

    /// Octets below which a MAC is malformed (RFC 8945 §5.2.2.1).
    pub(super) fn mac_octets_min(self) -> usize {
        MAC_OCTETS_MIN.max(self.hash_octets() / 2)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(ALGORITHMS[*self as usize].1)
    }
}

impl FromStr for Algorithm {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Algorithm, KeyError> {
        let plain = text.trim_end_matches('.').to_ascii_lowercase();
        let plain = plain.strip_suffix(".sig-alg.reg.int").unwrap_or(&plain);
        ALGORITHMS
            .iter()
            .find(|(_, name, _)| *name == plain)
            .map(|(algorithm, ..)| *algorithm)
            .ok_or_else(|| KeyError::Algorithm(text.to_owned()))
    }
}

/// Why text is not a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No such algorithm.
    #[error(
        "unknown algorithm `{0}`: use hmac-sha256, or hmac-md5, -sha1, -sha224, -sha384, -sha512"
    )]
    Algorithm(String),
    /// The name is not a domain name.
    #[error("key name `{0}`: {1}")]
    Name(String, crate::name::NameError),
    /// The secret is not base64, or empty.
    #[error("the secret of key `{0}` is not base64, or empty")]
    Secret(String),
    /// The text is not `ALGORITHM:NAME:BASE64`.
    #[error("expected ALGORITHM:NAME:BASE64, such as hmac-sha256:phone.:c2VjcmV0")]
    Form,
}

/// A hash keyed once, copied for each message.
#[derive(Clone)]
pub(super) enum Keyed {
    Md5(Hmac<md5::Md5>),
    Sha1(Hmac<sha1::Sha1>),
    Sha224(Hmac<sha2::Sha224>),
    Sha256(Hmac<sha2::Sha256>),
    Sha384(Hmac<sha2::Sha384>),
    Sha512(Hmac<sha2::Sha512>),
}

macro_rules! each_hash {
    ($keyed:expr, $mac:ident => $then:expr) => {
        match $keyed {
            Keyed::Md5($mac) => $then,
            Keyed::Sha1($mac) => $then,
            Keyed::Sha224($mac) => $then,
            Keyed::Sha256($mac) => $then,
            Keyed::Sha384($mac) => $then,
            Keyed::Sha512($mac) => $then,
        }
    };
}

impl Keyed {
    fn new(algorithm: Algorithm, secret: &[u8]) -> Option<Keyed> {
        // HMAC takes keys of any length, so this only fails where the library changes its mind.
        Some(match algorithm {
            Algorithm::HmacMd5 => Keyed::Md5(Hmac::new_from_slice(secret).ok()?),
            Algorithm::HmacSha1 => Keyed::Sha1(Hmac::new_from_slice(secret).ok()?),
            Algorithm::HmacSha224 => Keyed::Sha224(Hmac::new_from_slice(secret).ok()?),
            Algorithm::HmacSha256 | Algorithm::HmacSha256To128 => {
                Keyed::Sha256(Hmac::new_from_slice(secret).ok()?)
            }
            Algorithm::HmacSha384 | Algorithm::HmacSha384To192 => {
                Keyed::Sha384(Hmac::new_from_slice(secret).ok()?)
            }
            Algorithm::HmacSha512 | Algorithm::HmacSha512To256 => {
                Keyed::Sha512(Hmac::new_from_slice(secret).ok()?)
            }
        })
    }

    pub(super) fn update(&mut self, octets: &[u8]) {
        each_hash!(self, mac => mac.update(octets));
    }

    pub(super) fn finish(self) -> MacBuffer {
        each_hash!(self, mac => MacBuffer::new(&mac.finalize().into_bytes()))
    }
}

/// A MAC on the stack.
#[derive(Clone, Copy)]
pub(super) struct MacBuffer {
    length: u8,
    octets: [u8; MAC_OCTETS_MAX],
}

impl MacBuffer {
    pub(super) fn new(mac: &[u8]) -> MacBuffer {
        let mut octets = [0; MAC_OCTETS_MAX];
        octets[..mac.len()].copy_from_slice(mac);
        MacBuffer { length: mac.len() as u8, octets }
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.octets[..self.length as usize]
    }
}

/// A shared secret with its name and algorithm. Its `Debug` form does not show the secret.
#[derive(Clone)]
pub struct Key {
    pub(super) name: Name,
    pub(super) algorithm: Algorithm,
    secret: Box<[u8]>,
    pub(super) keyed: Keyed,
    pub(super) mac_octets_min: usize,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({} {})", self.name, self.algorithm)
    }
}

impl Key {
    /// A key from its name, algorithm and secret.
    ///
    /// # Errors
    /// [`KeyError::Secret`] for an empty secret.
    pub fn new(name: Name, algorithm: Algorithm, secret: &[u8]) -> Result<Key, KeyError> {
        let keyed = Keyed::new(algorithm, secret)
            .filter(|_| !secret.is_empty())
            .ok_or_else(|| KeyError::Secret(name.to_string()))?;
        let mac_octets_min = algorithm.mac_octets_min();
        Ok(Key {
            name: name.to_lowercase(),
            algorithm,
            secret: secret.into(),
            keyed,
            mac_octets_min,
        })
    }

    /// A key from text, the secret in base64.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_text(name: &str, algorithm: Algorithm, secret: &str) -> Result<Key, KeyError> {
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(secret.trim())
            .map_err(|_| KeyError::Secret(name.to_owned()))?;
        let parsed = name.parse().map_err(|error| KeyError::Name(name.to_owned(), error))?;
        Key::new(parsed, algorithm, &bytes)
    }

    /// Refuses MACs shorter than `octets` with BADTRUNC, where the algorithm alone would not
    /// (RFC 8945 §5.2.4).
    pub fn set_mac_octets_min(&mut self, octets: usize) {
        self.mac_octets_min =
            octets.clamp(self.algorithm.mac_octets_min(), self.algorithm.mac_octets());
    }

    /// The key's name, in lower case.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// The key's algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The secret in base64.
    pub fn secret_base64(&self) -> String {
        base64::engine::general_purpose::STANDARD.encode(&self.secret)
    }
}

impl FromStr for Key {
    type Err = KeyError;

    /// Parses `ALGORITHM:NAME:BASE64`.
    fn from_str(text: &str) -> Result<Key, KeyError> {
        let mut parts = text.splitn(3, ':');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(algorithm), Some(name), Some(secret)) => {
                Key::from_text(name, algorithm.parse()?, secret)
            }
            _ => Err(KeyError::Form),
        }
    }
}

/// The keys that a server knows, by name.
#[derive(Debug, Clone, Default)]
pub struct KeyRing(HashMap<Name, Arc<Key>>);

impl KeyRing {
    /// Adds a key; returns the one of the same name it replaces.
    pub fn insert(&mut self, key: Key) -> Option<Arc<Key>> {
        self.0.insert(key.name.clone(), Arc::new(key))
    }

    /// The key of that name.
    pub fn get(&self, name: &Name) -> Option<&Arc<Key>> {
        self.0.get(name)
    }
}
