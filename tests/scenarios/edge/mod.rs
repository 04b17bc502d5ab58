//! The daemon beside devices: what it takes reaches the ledger once and in order, whoever dies.

mod forward;
mod kills;
mod latency;
mod leases;
mod support;
