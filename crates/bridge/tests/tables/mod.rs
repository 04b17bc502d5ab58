//! The host tables of 1983 to 1990, as they were kept. They lie beside the repository, in
//! `../shared/data/hosts` or where `EINHORN_HOST_TABLES` says.

use std::path::PathBuf;

/// In the order of their years.
pub(crate) const TABLES: [&str; 6] = [
    "HOSTS-19830119.TXT",
    "HOSTS-19840312.TXT",
    "HOSTS-19840327.TXT",
    "HOSTS-19840427.TXT",
    "HOSTS-19881128.TXT",
    "HOSTS-19900830.TXT",
];

/// Where they are.
pub(crate) fn folder() -> PathBuf {
    std::env::var_os("EINHORN_HOST_TABLES").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/hosts")),
        PathBuf::from,
    )
}
