//! What happens to the running program: crashes, full disks, bad input, operators.

mod bridge;
mod command_line;
mod convert;
mod corruption;
mod crash;
mod disk;
mod edge;
mod ledger_commands;
mod load;
#[cfg(feature = "etcd")]
mod several_nodes;
mod sites;
mod tlog;
mod verifier;
