//! A signature around a profile: CMS SignedData (RFC 5652 §5) with one signer, ECDSA on P-256 with
//! SHA-256 (RFC 5754 §3.2), the content inside.

use crate::der::{
    CONTEXT_0, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, SET, issuer_and_serial, set_of,
    value, values,
};
use sha2::{Digest, Sha256};

/// 1.2.840.113549.1.7.1: octets that mean nothing to CMS (RFC 5652 §4).
const DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];
/// 1.2.840.113549.1.7.2: signed data (RFC 5652 §5.1).
const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
/// 1.2.840.113549.1.9.3: what is signed (RFC 5652 §11.1).
const CONTENT_TYPE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x03];
/// 1.2.840.113549.1.9.4: its digest (RFC 5652 §11.2).
const MESSAGE_DIGEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x04];
/// 2.16.840.1.101.3.4.2.1: SHA-256 (RFC 5754 §2.2).
const SHA256: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
/// 1.2.840.10045.4.3.2: ECDSA with SHA-256 (RFC 5758 §3.2).
const ECDSA_WITH_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
/// The version of signed data and of a signer named by issuer and serial number.
const VERSION_1: &[u8] = &[1];

/// A certificate that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoCertificate;

/// `content` signed by the first certificate of `chain`; the others lead to its authority. `sign`
/// makes the ECDSA signature of octets.
pub(crate) fn signed<E: From<NoCertificate>>(
    content: &[u8],
    chain: &[Vec<u8>],
    sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
) -> Result<Vec<u8>, E> {
    let (issuer, serial) = chain
        .first()
        .and_then(|certificate| issuer_and_serial(certificate))
        .ok_or(NoCertificate)?;
    let digest = value(OCTET_STRING, &Sha256::digest(content));
    let attributes = vec![
        attribute(CONTENT_TYPE, &value(OBJECT_IDENTIFIER, DATA)),
        attribute(MESSAGE_DIGEST, &digest),
    ];
    // What is signed has the tag of a set, what is sent that of its place (RFC 5652 §5.4).
    let signature = sign(&set_of(SET, attributes.clone()))?;
    let version = value(INTEGER, VERSION_1);
    let sha256 = algorithm(SHA256);
    let signer = values(
        SEQUENCE,
        &[
            &version,
            &values(SEQUENCE, &[&issuer, &serial]),
            &sha256,
            &set_of(CONTEXT_0, attributes),
            &algorithm(ECDSA_WITH_SHA256),
            &value(OCTET_STRING, &signature),
        ],
    );
    let inside = value(CONTEXT_0, &value(OCTET_STRING, content));
    let signed_data = values(
        SEQUENCE,
        &[
            &version,
            &value(SET, &sha256),
            &values(SEQUENCE, &[&value(OBJECT_IDENTIFIER, DATA), &inside]),
            &set_of(CONTEXT_0, chain.to_vec()),
            &value(SET, &signer),
        ],
    );
    let explicit = value(CONTEXT_0, &signed_data);
    Ok(values(SEQUENCE, &[&value(OBJECT_IDENTIFIER, SIGNED_DATA), &explicit]))
}

fn algorithm(identifier: &[u8]) -> Vec<u8> {
    value(SEQUENCE, &value(OBJECT_IDENTIFIER, identifier))
}

fn attribute(identifier: &[u8], of: &[u8]) -> Vec<u8> {
    values(SEQUENCE, &[&value(OBJECT_IDENTIFIER, identifier), &value(SET, of)])
}
