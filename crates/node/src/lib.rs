//! Wires one node: configuration, life cycle, the threads and what they share.
//!
//! It decides nothing: requests go from `ingress` to the commit, batches from the commit to the
//! store, snapshots from the commit to `serve`, and this crate carries them.

pub mod agent;
pub mod authority;
#[cfg(feature = "etcd")]
mod behind;
#[cfg(feature = "etcd")]
mod cluster;
pub mod config;
mod copies;
pub mod device_file;
mod devices;
mod encrypted;
pub mod enrol;
pub mod files;
#[cfg(feature = "etcd")]
mod forward;
mod inquiry;
mod keeper;
mod ledgers;
mod links;
mod maps;
#[cfg(feature = "etcd")]
pub mod moving;
mod operate;
mod place;
mod pump;
mod recover;
#[cfg(feature = "etcd")]
mod relay;
mod renew;
mod reviews;
mod sealing;
mod sites;
mod sources;
mod start;
mod witnessing;
mod zones;

#[cfg(feature = "etcd")]
pub use cluster::NodesError;
pub use place::{is_embedded, open_log};
pub use start::{Node, StartError};
pub use zones::ZoneRefused;

#[cfg(test)]
#[path = "../tests/simulated/mod.rs"]
mod simulated;
