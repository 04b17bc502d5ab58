//! Publish and answer: the current zones for every reader, and the octets for every query.
//!
//! Everything here works on snapshots. It never blocks, never waits for a commit and never
//! touches a disk.

pub mod answer;
pub mod history;
pub mod publish;
pub mod transfer;
