//! All that decides, and nothing else: the model, the update rules, the agent's interface, the
//! commit and the ledger's mathematics.
//!
//! Pure: nothing here reads a clock, a socket, a disk or a random source. Time and results are
//! passed in; what should happen comes out as values.

pub mod agent;
pub mod commit;
pub mod exchange;
pub mod ledger;
pub mod link;
pub mod model;
pub mod rules;
