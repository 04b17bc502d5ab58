//! Several sites as real processes, with real faults: killed, stopped for a while, cut off, put
//! back to an old copy. Each scenario looks at what clients see, at what `einhorn status` says, and
//! in the end at all zones and ledgers.

mod agent;
mod devices;
mod failover;
pub(crate) mod history;
mod joining;
mod keys;
mod kills;
mod levels;
pub(crate) mod load;
mod order;
mod partition;
mod policies;
mod restore;
mod secondary;
mod seen;
mod several_homes;
pub(crate) mod support;
mod together;
