//! What happens to the running program: crashes, full disks, bad input, operators.
