//! The certificate that signs profiles, and its key.

use crate::cms::{self, NoCertificate};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SigningKey,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};
use std::fmt;

/// Letters in a line of PEM (RFC 7468 §2).
const PEM_LINE_LETTERS: usize = 64;

/// Signs profiles. Printing it does not show the key.
pub struct Signer {
    /// The signer's certificate, and those that lead to its authority, DER.
    chain: Vec<Vec<u8>>,
    key: KeyPair,
}

/// Certificates and key in PEM, to be kept.
#[derive(Clone)]
pub struct SignerPem {
    /// The certificates, the signer's first.
    pub certificates: String,
    /// The key: secret.
    pub key: String,
}

/// A signer that cannot be made or used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignerError {
    /// Not certificates in PEM.
    #[error("no certificates in PEM: {0}")]
    Certificates(String),
    /// Not such a key.
    #[error("no ECDSA key on P-256 in PEM (PKCS #8): {0}")]
    Key(String),
    /// The key is another certificate's.
    #[error("the key is not that of the first certificate")]
    OtherKey,
    /// There is no randomness, or the library refuses.
    #[error("cannot sign: {0}")]
    Failed(String),
}

impl From<NoCertificate> for SignerError {
    fn from(_: NoCertificate) -> SignerError {
        SignerError::Certificates("the first one has no issuer and serial number".to_owned())
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({} certificates)", self.chain.len())
    }
}

impl fmt::Debug for SignerPem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignerPem(secret)")
    }
}

impl Signer {
    /// A new signer of an authority of its own, whose key is forgotten at once: it never signs
    /// another certificate. A device that is to trust the profiles gets the authority's certificate,
    /// the last one.
    ///
    /// # Errors
    /// [`SignerError::Failed`].
    pub fn generate(name: &str) -> Result<SignerPem, SignerError> {
        let failed = |error: rcgen::Error| SignerError::Failed(error.to_string());
        let parameters = |name: String| -> Result<CertificateParams, SignerError> {
            let mut parameters = CertificateParams::new(Vec::new()).map_err(failed)?;
            parameters.distinguished_name = DistinguishedName::new();
            parameters.distinguished_name.push(DnType::CommonName, name);
            Ok(parameters)
        };
        let authority_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
        let mut authority = parameters(format!("{name} profiles authority"))?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let authority_certificate = authority.self_signed(&authority_key).map_err(failed)?;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
        let mut signer = parameters(format!("{name} profiles"))?;
        signer.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        signer.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::EmailProtection, ExtendedKeyUsagePurpose::CodeSigning];
        signer.use_authority_key_identifier_extension = true;
        let issuer = Issuer::from_params(&authority, &authority_key);
        let certificate = signer.signed_by(&key, &issuer).map_err(failed)?;
        Ok(SignerPem {
            certificates: pem("CERTIFICATE", certificate.der())
                + &pem("CERTIFICATE", authority_certificate.der()),
            key: pem("PRIVATE KEY", &key.serialize_der()),
        })
    }

    /// Reads what [`Signer::generate`] made, or what others made in the same form.
    ///
    /// # Errors
    /// [`SignerError`].
    pub fn from_pem(pem: &SignerPem) -> Result<Signer, SignerError> {
        let chain: Vec<Vec<u8>> = CertificateDer::pem_slice_iter(pem.certificates.as_bytes())
            .map(|certificate| certificate.map(|certificate| certificate.to_vec()))
            .collect::<Result<_, _>>()
            .map_err(|error| SignerError::Certificates(error.to_string()))?;
        let first = chain.first();
        let first = first.ok_or_else(|| SignerError::Certificates("there is none".to_owned()))?;
        let key = PrivatePkcs8KeyDer::from_pem_slice(pem.key.as_bytes())
            .map_err(|error| SignerError::Key(error.to_string()))?;
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&key, &PKCS_ECDSA_P256_SHA256)
            .map_err(|error| SignerError::Key(error.to_string()))?;
        let public = key.public_key_raw();
        // The point of the key stands in its certificate as it is.
        if !first.windows(public.len()).any(|octets| octets == public) {
            return Err(SignerError::OtherKey);
        }
        Ok(Signer { chain, key })
    }

    /// A profile's octets, signed (CMS, DER).
    ///
    /// # Errors
    /// [`SignerError`].
    pub fn sign(&self, profile: &[u8]) -> Result<Vec<u8>, SignerError> {
        cms::signed(profile, &self.chain, |octets| {
            self.key.sign(octets).map_err(|error| SignerError::Failed(error.to_string()))
        })
    }
}

/// The SHA-256 of the first certificate in PEM, by which a device that shows it is known.
///
/// # Errors
/// [`SignerError::Certificates`].
pub fn fingerprint(pem: &[u8]) -> Result<[u8; 32], SignerError> {
    let certificate = CertificateDer::from_pem_slice(pem)
        .map_err(|error| SignerError::Certificates(error.to_string()))?;
    Ok(Sha256::digest(&certificate).into())
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = (0..text.len())
        .step_by(PEM_LINE_LETTERS)
        .filter_map(|at| text.get(at..text.len().min(at + PEM_LINE_LETTERS)))
        .collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// Another program finds the profile in its signature, by its authority and without.
    #[test]
    fn openssl_verifies_a_signed_profile() {
        let folder = tempfile::tempdir().expect("a folder");
        let pem = Signer::generate("fleet").expect("a signer");
        let signed = Signer::from_pem(&pem).expect("a signer").sign(b"<plist/>").expect("signed");
        let path = |file: &str| folder.path().join(file);
        let authority = pem.certificates.rfind("-----BEGIN").expect("two certificates");
        std::fs::write(path("ca.pem"), &pem.certificates[authority..]).expect("written");
        let verify = |signed: &[u8], trust: &[&str]| {
            std::fs::write(path("signed"), signed).expect("written");
            let mut command = Command::new("openssl");
            command.current_dir(folder.path());
            command.args(["cms", "-verify", "-inform", "DER", "-in", "signed", "-out", "content"]);
            match command.args(trust).output() {
                Ok(output) => Some(output),
                Err(error) => {
                    eprintln!("SKIPPED: openssl: {error}");
                    None
                }
            }
        };
        for trust in [&["-noverify"][..], &["-CAfile", "ca.pem"]] {
            let Some(output) = verify(&signed, trust) else { return };
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{trust:?}: {said}");
            assert_eq!(std::fs::read(path("content")).expect("read"), b"<plist/>");
        }
        let at = signed.windows(8).position(|octets| octets == b"<plist/>").expect("it is inside");
        let mut forged = signed;
        forged[at + 1] = b'q';
        let Some(output) = verify(&forged, &["-noverify"]) else { return };
        assert!(!output.status.success());
    }

    #[test]
    fn what_does_not_belong_together_is_refused() {
        let (one, other) = (Signer::generate("a").expect("a"), Signer::generate("b").expect("b"));
        let mixed = SignerPem { certificates: one.certificates.clone(), key: other.key };
        assert_eq!(Signer::from_pem(&mixed).err(), Some(SignerError::OtherKey));
        let none = SignerPem { certificates: String::new(), key: one.key.clone() };
        assert!(matches!(Signer::from_pem(&none), Err(SignerError::Certificates(_))));
        let keyless = SignerPem { certificates: one.certificates.clone(), key: String::new() };
        assert!(matches!(Signer::from_pem(&keyless), Err(SignerError::Key(_))));
        assert!(!format!("{one:?}").contains("PRIVATE"));
    }
}
