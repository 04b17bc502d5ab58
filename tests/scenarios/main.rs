//! What happens to the running program: crashes, full disks, bad input, operators.

mod corruption;
mod crash;
mod disk;
mod load;
mod tlog;
mod verifier;
