//! Signed notes: a text, a blank line, and signatures over it (C2SP signed-note v1.0.0), with
//! Ed25519 signatures (type 0x01) and timestamped cosignatures (type 0x04, C2SP tlog-cosignature).
//!
//! The text of a note means nothing until [`Note::verify`] or [`Note::cosigned_at`] has accepted a
//! key. Secrets come in as seeds and leave only through [`SignerKey::to_secret_text`], or as what
//! [`SignerKey::derive`] makes of them; this module
//! never makes up a key or a time.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature as Ed25519Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use super::hash::hex;

/// Most signature lines of a note; the standard asks for 16 at least.
pub const SIGNATURES_MAX: usize = 100;
/// Longest note in bytes; a checkpoint with all its cosignatures is far below it.
pub const NOTE_BYTES_MAX: usize = 1 << 20;

const SIGNATURE_PREFIX: &str = "— ";
const SECRET_PREFIX: &str = "PRIVATE+KEY+";
const KEY_BYTES: usize = 32;
const SIGNATURE_BYTES: usize = 64;
const TIMESTAMP_BYTES: usize = 8;

/// What a key signs, by the type byte of C2SP signed-note.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// 0x01: Ed25519 over the text. A log signs its checkpoints so.
    Ed25519,
    /// 0x04: Ed25519 over a time and the text. A mirror or witness cosigns so.
    CosignatureV1,
}

impl Algorithm {
    fn type_byte(self) -> u8 {
        match self {
            Algorithm::Ed25519 => 0x01,
            Algorithm::CosignatureV1 => 0x04,
        }
    }

    fn from_type_byte(byte: u8) -> Option<Algorithm> {
        [Algorithm::Ed25519, Algorithm::CosignatureV1].into_iter().find(|a| a.type_byte() == byte)
    }
}

/// Why bytes are not an acceptable note.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NoteError {
    /// Longer than [`NOTE_BYTES_MAX`] or more signatures than [`SIGNATURES_MAX`].
    #[error("note is too large")]
    TooLarge,
    /// Not UTF-8, or a control character other than the newline.
    #[error("note holds bytes that text must not have")]
    NotText,
    /// No blank line followed by at least one signature line, or no newline at the end.
    #[error("note has no signatures")]
    NoSignatures,
    /// A signature line is not `— name base64`.
    #[error("signature line {line} of the note is malformed")]
    SignatureLine {
        /// Among the signature lines, from 1.
        line: usize,
    },
    /// No signature by the key that was asked for.
    #[error("note is not signed by this key")]
    NotSigned,
    /// A signature by the key that was asked for does not verify.
    #[error("signature does not verify")]
    BadSignature,
    /// The key is of the other [`Algorithm`].
    #[error("key is of another signature type")]
    WrongAlgorithm,
    /// The text to sign is empty, does not end in a newline, or holds control characters.
    #[error("text cannot be signed as a note")]
    Unsignable,
}

/// Why text is not a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// Empty, or has a space, a plus sign or a control character.
    #[error("key name is empty or has a space, a plus sign or a control character")]
    Name,
    /// Not in the form `name+id+base64`.
    #[error("key is not in the form name+id+base64")]
    Malformed,
    /// The signature type is neither 0x01 nor 0x04.
    #[error("key is of an unknown type")]
    UnknownType,
    /// The id is not that of this name and key.
    #[error("key id belongs to another name or key")]
    Id,
    /// The 32 bytes are no Ed25519 public key, or a weak one.
    #[error("not a usable Ed25519 public key")]
    Point,
}

// ---------------------------------------------------------------------------------------------
// Notes

/// A parsed note. Nothing in it is verified yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note<'a> {
    /// The signed text, with its final newline.
    pub text: &'a str,
    /// The signatures in the order of their lines; at least one.
    pub signatures: Vec<Signature<'a>>,
}

/// One signature line, not verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature<'a> {
    /// The key's name.
    pub name: &'a str,
    /// The key's id.
    pub key_id: [u8; 4],
    /// What follows the id; its form depends on the key's type. Not empty.
    pub bytes: Vec<u8>,
}

impl Signature<'_> {
    /// The line that this was read from, with its newline.
    #[must_use]
    pub fn line(&self) -> String {
        signature_line(self.name, self.key_id, &self.bytes)
    }

    /// Whether it says that it is by this key; that proves nothing.
    #[must_use]
    pub fn names(&self, key: &VerifierKey) -> bool {
        self.name == key.name && self.key_id == key.id
    }

    /// The time of a cosignature/v1 in seconds since 1970, unverified; `None` for what has not
    /// the form of one.
    #[must_use]
    pub fn cosigned_at(&self) -> Option<u64> {
        let (time, rest) = self.bytes.split_first_chunk::<TIMESTAMP_BYTES>()?;
        let time = u64::from_be_bytes(*time);
        (rest.len() == SIGNATURE_BYTES && time <= i64::MAX as u64).then_some(time)
    }
}

impl<'a> Note<'a> {
    /// Parses a signed note strictly.
    ///
    /// # Errors
    /// `TooLarge`, `NotText`, `NoSignatures` or `SignatureLine`.
    pub fn parse(bytes: &'a [u8]) -> Result<Note<'a>, NoteError> {
        if bytes.len() > NOTE_BYTES_MAX {
            return Err(NoteError::TooLarge);
        }
        let note = std::str::from_utf8(bytes).map_err(|_| NoteError::NotText)?;
        if !is_text(note) {
            return Err(NoteError::NotText);
        }
        let blank = note.rfind("\n\n").ok_or(NoteError::NoSignatures)?;
        let (text, lines) = (&note[..=blank], &note[blank + 2..]);
        let lines = lines.strip_suffix('\n').ok_or(NoteError::NoSignatures)?;
        let mut signatures = Vec::new();
        for (number, line) in (1..).zip(lines.split('\n')) {
            if number > SIGNATURES_MAX {
                return Err(NoteError::TooLarge);
            }
            signatures
                .push(parse_signature(line).ok_or(NoteError::SignatureLine { line: number })?);
        }
        Ok(Note { text, signatures })
    }

    /// Checks that the note carries a valid signature by this key of type Ed25519. Signatures by
    /// other keys are ignored; a wrong one by this key fails the note.
    ///
    /// # Errors
    /// `WrongAlgorithm`, `NotSigned` or `BadSignature`.
    pub fn verify(&self, key: &VerifierKey) -> Result<(), NoteError> {
        if key.algorithm != Algorithm::Ed25519 {
            return Err(NoteError::WrongAlgorithm);
        }
        let mut verified = Err(NoteError::NotSigned);
        for signature in self.by(key) {
            key.check(self.text.as_bytes(), &signature.bytes)?;
            verified = Ok(());
        }
        verified
    }

    /// Checks that the note carries a valid cosignature by this key of type cosignature/v1, and
    /// returns its time in seconds since 1970 (the latest, if there are several).
    ///
    /// # Errors
    /// `WrongAlgorithm`, `NotSigned` or `BadSignature`.
    pub fn cosigned_at(&self, key: &VerifierKey) -> Result<u64, NoteError> {
        if key.algorithm != Algorithm::CosignatureV1 {
            return Err(NoteError::WrongAlgorithm);
        }
        let mut latest = None;
        for signature in self.by(key) {
            let time = signature.cosigned_at().ok_or(NoteError::BadSignature)?;
            let bytes = &signature.bytes[TIMESTAMP_BYTES..];
            key.check(cosigned_message(self.text, time).as_bytes(), bytes)?;
            latest = latest.max(Some(time));
        }
        latest.ok_or(NoteError::NotSigned)
    }

    /// The signatures that say they are by this key, unverified.
    pub fn by(&self, key: &VerifierKey) -> impl Iterator<Item = &Signature<'a>> {
        self.signatures.iter().filter(|signature| signature.names(key))
    }
}

fn parse_signature(line: &str) -> Option<Signature<'_>> {
    let (name, encoded) = line.strip_prefix(SIGNATURE_PREFIX)?.split_once(' ')?;
    let decoded = STANDARD.decode(encoded).ok()?;
    let (key_id, bytes) = decoded.split_first_chunk::<4>()?;
    (is_key_name(name) && !bytes.is_empty()).then(|| Signature {
        name,
        key_id: *key_id,
        bytes: bytes.to_vec(),
    })
}

fn signature_line(name: &str, key_id: [u8; 4], signature: &[u8]) -> String {
    let encoded = STANDARD.encode([&key_id, signature].concat());
    format!("{SIGNATURE_PREFIX}{name} {encoded}\n")
}

fn is_text(text: &str) -> bool {
    text.bytes().all(|byte| byte >= 0x20 || byte == b'\n')
}

fn is_signable(text: &str) -> bool {
    text.ends_with('\n') && is_text(text)
}

fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+')
}

/// What a cosignature/v1 signs (C2SP tlog-cosignature, "Ed25519 signed message").
fn cosigned_message(text: &str, time_seconds: u64) -> String {
    format!("cosignature/v1\ntime {time_seconds}\n{text}")
}

// ---------------------------------------------------------------------------------------------
// Keys

/// A public key with its name: whom to trust.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    algorithm: Algorithm,
    id: [u8; 4],
    key: VerifyingKey,
}

impl VerifierKey {
    fn new(name: &str, algorithm: Algorithm, key: VerifyingKey) -> Result<VerifierKey, KeyError> {
        if !is_key_name(name) {
            return Err(KeyError::Name);
        }
        let id = key_id(name, algorithm, &key);
        Ok(VerifierKey { name: name.to_owned(), algorithm, id, key })
    }

    /// Parses a vkey: `name+id+base64(type ‖ key)`, with the id as eight hexadecimal digits.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn parse(text: &str) -> Result<VerifierKey, KeyError> {
        let (name, id, algorithm, bytes) = parse_key(text)?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| KeyError::Point)?;
        // A weak key has signatures that verify for any text.
        if key.is_weak() {
            return Err(KeyError::Point);
        }
        let key = VerifierKey::new(name, algorithm, key)?;
        if key.id == id { Ok(key) } else { Err(KeyError::Id) }
    }

    /// The key's name; a log's is its origin.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it verifies.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The short identifier in signature lines: it finds a key, and proves nothing.
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        self.id
    }

    fn check(&self, message: &[u8], signature: &[u8]) -> Result<(), NoteError> {
        let signature =
            Ed25519Signature::from_slice(signature).map_err(|_| NoteError::BadSignature)?;
        self.key.verify_strict(message, &signature).map_err(|_| NoteError::BadSignature)
    }
}

/// The vkey text.
impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encoded = encode_key(self.algorithm, self.key.as_bytes());
        write!(f, "{}+{}+{encoded}", self.name, hex(&self.id))
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifierKey({self})")
    }
}

/// A secret key with its name. Printing it shows only the public half.
#[derive(Clone)]
pub struct SignerKey {
    secret: SigningKey,
    public: VerifierKey,
}

impl SignerKey {
    /// The key made from a seed: 32 bytes that nobody can guess, which the caller draws.
    ///
    /// # Errors
    /// [`KeyError::Name`].
    pub fn from_seed(
        name: &str,
        algorithm: Algorithm,
        seed: &[u8; KEY_BYTES],
    ) -> Result<SignerKey, KeyError> {
        let secret = SigningKey::from_bytes(seed);
        let public = VerifierKey::new(name, algorithm, secret.verifying_key())?;
        Ok(SignerKey { secret, public })
    }

    /// Parses `PRIVATE+KEY+name+id+base64(type ‖ seed)`, as signed-note tools keep their keys.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn parse(text: &str) -> Result<SignerKey, KeyError> {
        let text = text.strip_prefix(SECRET_PREFIX).ok_or(KeyError::Malformed)?;
        let (name, id, algorithm, seed) = parse_key(text)?;
        let key = SignerKey::from_seed(name, algorithm, &seed)?;
        if key.public.id == id { Ok(key) } else { Err(KeyError::Id) }
    }

    /// The secret as text, to be kept in a file that only its owner can read.
    #[must_use]
    pub fn to_secret_text(&self) -> String {
        let encoded = encode_key(self.public.algorithm, self.secret.as_bytes());
        format!("{SECRET_PREFIX}{}+{}+{encoded}", self.public.name, hex(&self.public.id))
    }

    /// The public half.
    #[must_use]
    pub fn verifier(&self) -> &VerifierKey {
        &self.public
    }

    /// A secret for `purpose`, the same wherever this key is held; it tells nothing of the key, nor
    /// of the secrets for other purposes.
    #[must_use]
    pub fn derive(&self, purpose: &str) -> [u8; KEY_BYTES] {
        let hash = Sha256::new().chain_update(b"einhorn derived secret\n");
        hash.chain_update(self.secret.as_bytes()).chain_update(purpose).finalize().into()
    }

    /// Signs a text and returns the whole note.
    ///
    /// # Errors
    /// `WrongAlgorithm` for a cosigner's key; `Unsignable`.
    pub fn sign(&self, text: &str) -> Result<String, NoteError> {
        if self.public.algorithm != Algorithm::Ed25519 {
            return Err(NoteError::WrongAlgorithm);
        }
        if !is_signable(text) {
            return Err(NoteError::Unsignable);
        }
        let signature = self.secret.sign(text.as_bytes()).to_bytes();
        Ok(format!("{text}\n{}", self.line(&signature)))
    }

    /// Cosigns a checkpoint's text at a time in seconds since 1970, and returns the signature
    /// line with its newline, to be appended to the note.
    ///
    /// # Errors
    /// `WrongAlgorithm` for a log's key; `Unsignable`, also for a time of 2^63 and above.
    pub fn cosign(&self, text: &str, time_seconds: u64) -> Result<String, NoteError> {
        if self.public.algorithm != Algorithm::CosignatureV1 {
            return Err(NoteError::WrongAlgorithm);
        }
        if !is_signable(text) || time_seconds > i64::MAX as u64 {
            return Err(NoteError::Unsignable);
        }
        let signature = self.secret.sign(cosigned_message(text, time_seconds).as_bytes());
        let mut bytes = Vec::with_capacity(TIMESTAMP_BYTES + SIGNATURE_BYTES);
        bytes.extend_from_slice(&time_seconds.to_be_bytes());
        bytes.extend_from_slice(&signature.to_bytes());
        Ok(self.line(&bytes))
    }

    fn line(&self, signature: &[u8]) -> String {
        signature_line(&self.public.name, self.public.id, signature)
    }
}

impl fmt::Debug for SignerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignerKey({})", self.public)
    }
}

fn key_id(name: &str, algorithm: Algorithm, key: &VerifyingKey) -> [u8; 4] {
    let digest: [u8; 32] = Sha256::new()
        .chain_update(name)
        .chain_update([b'\n', algorithm.type_byte()])
        .chain_update(key.as_bytes())
        .finalize()
        .into();
    [digest[0], digest[1], digest[2], digest[3]]
}

fn encode_key(algorithm: Algorithm, key: &[u8; KEY_BYTES]) -> String {
    STANDARD.encode([&[algorithm.type_byte()][..], key].concat())
}

/// Name, id, algorithm and key or seed.
type KeyParts<'a> = (&'a str, [u8; 4], Algorithm, [u8; KEY_BYTES]);

/// The parts of `name+id+base64(type ‖ 32 bytes)`. The base64 part may hold plus signs itself.
fn parse_key(text: &str) -> Result<KeyParts<'_>, KeyError> {
    let mut parts = text.splitn(3, '+');
    let (Some(name), Some(id), Some(encoded)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(KeyError::Malformed);
    };
    if id.len() != 8 || !id.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(KeyError::Malformed);
    }
    let id = u32::from_str_radix(id, 16).map_err(|_| KeyError::Malformed)?.to_be_bytes();
    let decoded = STANDARD.decode(encoded).map_err(|_| KeyError::Malformed)?;
    let (type_byte, key) = decoded.split_first().ok_or(KeyError::Malformed)?;
    let algorithm = Algorithm::from_type_byte(*type_byte).ok_or(KeyError::UnknownType)?;
    let key = key.try_into().map_err(|_| KeyError::Malformed)?;
    Ok((name, id, algorithm, key))
}

#[cfg(test)]
#[path = "note_tests.rs"]
mod tests;
