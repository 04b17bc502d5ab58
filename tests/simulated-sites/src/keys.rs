//! Names and keys of the simulated sites, all made from their numbers.

use crate::signatures::Signing;
use einhorn_core::ledger::{Algorithm, SignerKey};
use einhorn_core::model::{Origin, Site};

/// What people call a site.
pub(crate) fn site_name(site: u16) -> String {
    format!("s{site}")
}

/// The name of a log in its checkpoints.
pub(crate) fn log_name(origin: Origin) -> String {
    match origin.generation {
        1 => format!("s{}.test/log", origin.site),
        generation => format!("s{}.test/log/{generation}", origin.site),
    }
}

/// Signs a log's checkpoints.
pub(crate) fn log_key(origin: Origin) -> SignerKey {
    let mut seed = [1; 32];
    seed[..2].copy_from_slice(&origin.site.to_be_bytes());
    seed[2..4].copy_from_slice(&origin.generation.to_be_bytes());
    key(&log_name(origin), Algorithm::Ed25519, &seed)
}

/// Signs what a site holds of other logs.
pub(crate) fn mirror_key(site: u16) -> SignerKey {
    let mut seed = [2; 32];
    seed[..2].copy_from_slice(&site.to_be_bytes());
    key(&format!("s{site}.test/mirror"), Algorithm::CosignatureV1, &seed)
}

fn key(name: &str, algorithm: Algorithm, seed: &[u8; 32]) -> SignerKey {
    match SignerKey::from_seed(name, algorithm, seed) {
        Ok(key) => key,
        Err(error) => unreachable!("the name of a key: {error}"),
    }
}

/// What a site says of itself.
pub(crate) fn card(signing: &Signing, site: u16, generation: u16) -> Site {
    let (_, log) = signing.log_key(Origin { site, generation });
    Site {
        name: site_name(site),
        addresses: Vec::new(),
        logs: [(generation, log)].into_iter().collect(),
        mirror_keys: vec![signing.mirror_key(site).1],
        certificates: Vec::new(),
        is_suspended: false,
    }
}
