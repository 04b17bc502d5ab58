//! The simulated world that tests run the real code in: everything in it is a function of a seed.
//!
//! It must never ship in the product, and never read a wall clock, a real disk or a socket.

pub mod disk;
pub mod random;
