//! What lies on disk: the engine, which makes a site's log and its copies of other sites' logs
//! durable, and the ledger's files, which prove the site's own to others.
//!
//! The only room that syncs. It never interprets an entry: entries are octets here.

pub mod engine;
pub mod ledger;
