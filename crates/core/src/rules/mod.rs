//! Rules that say what a request means and whether it may be: RFC 2136, key policy, rollback,
//! new content for zones, catalogs, implicit updates of devices.

pub mod catalog;
pub mod follow;
pub mod implicit;
pub mod incoming;
pub mod policy;
pub mod replace;
pub mod reverse;
pub mod rollback;
pub mod update;
pub mod zone;
