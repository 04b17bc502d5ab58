//! placeholder
pub mod bug;
pub mod entry;
pub mod scenario;
pub mod view;
pub mod world;
mod check;
mod steps;
mod takeover;
pub use bug::Bug;
pub use check::Protocol;
pub use scenario::{Failover, Scenario};
