//! Clusters of micro-VMs, from their image to their end, with real machines.

mod cluster;
mod full_disk;
mod isolation;
mod smoke;
