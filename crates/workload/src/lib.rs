//! A simulated fleet on simulated sites, to compare ways of choosing a commit path.
//!
//! People and machines ask for changes ([`people`]); the real commit of every site carries them out on
//! simulated links and disks ([`world`]); what happened is told from the sites' logs ([`judge`]).
//! Everything follows from a seed. This crate must never read a clock, a file, a socket or a random
//! source, and never decide anything that a commit decides.

pub mod compare;
pub mod judge;
pub mod people;
pub mod plots;
pub mod policy;
mod random;
pub mod report;
mod setup;
pub mod world;
