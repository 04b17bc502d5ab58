//! The daemon beside devices: takes their updates, numbers them, keeps them where a crash does not
//! reach them, and sends each to the nearest site until that says what became of it.
//!
//! It never holds zone data and never decides on a change: what a device is told comes from a site,
//! or says no more than that the update is kept here.

pub mod config;
mod desk;
mod engine;
mod file;
mod footprint;
pub mod leases;
pub mod nearest;
pub mod record;
mod reply;
mod run;
mod sites;
mod sockets;
pub mod status;

pub use run::{Edge, StartError};
