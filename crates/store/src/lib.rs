//! store

pub mod engine;
pub mod ledger;
