//! Clusters of micro-VMs, from their image to their end, with real machines.

mod cluster;
mod smoke;
