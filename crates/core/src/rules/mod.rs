//! Rules that say what a request means and whether it may be: RFC 2136, key policy, rollback.

pub mod policy;
pub mod rollback;
pub mod update;
pub mod zone;
