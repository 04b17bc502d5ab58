//! Several sites as real processes, with real faults: killed, stopped for a while, cut off, put
//! back to an old copy. Each scenario looks at what clients see, at what `einhorn status` says, and
//! in the end at all zones and ledgers.

mod history;
mod levels;
mod support;
mod together;
