//! Tests of the engines: one suite that every engine passes, and the disk's failures.

// Clippy allows `unwrap` in test functions, not in what they call.
#![allow(clippy::unwrap_used)]

mod conformance;
mod corruption;
#[cfg(feature = "etcd")]
mod etcd;
mod faults;
mod forget;
mod opening;
mod power_loss;
mod real_disk;
mod speed;
mod support;
