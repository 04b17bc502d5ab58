//! A model of changes of names with different homes, tried in every order of events.
//!
//! The protocol is that of `core::commit` at the level of logs: who appends which entry when, who
//! holds how much of whose log, and what follows from that. [stateright](https://docs.rs/stateright)
//! visits every state that some order of events leads to, and checks each against what must be true
//! (`check`). With one of the faults in [`Bug`] it must find a state where that is not so. The crate
//! shares no code with the implementation and must never depend on it: it says what is right, not
//! what is there. Nothing of it is shipped.
//!
//! # What is modelled
//! - Three sites with one log each, two names at home at the first and the second, transactions that
//!   change both, ordinary updates, a move, forgetting behind a watermark for each gateway.
//! - Messages are not kept: what was sent once may arrive at any later time, again and again, or
//!   never. That is loss, duplication and reordering, and a gateway that crashes or gives up at any
//!   time. The third site may be the gateway.
//! - Logs are copied entry by entry, each site from each other one. What a site knows is a function
//!   of how much it holds of each log ([`World::held`]), so that the order in which it came need not
//!   be told apart.
//! - Time is chance: a transaction may be given up as soon as it was asked for, and a participant
//!   takes a prepare at any time, as if its clock were late. Only the watermark protects.
//! - A takeover with endorsements of a majority, while the lost site may go on behind a broken link
//!   until it hears of it; or with an operator's word that the site has stopped, and the successor
//!   asking nobody. A site that holds what turns out not to count gives it up.
//! - In [`Scenario::CRASHES`] entries become durable in a step of their own, and a crash loses the
//!   others. Elsewhere they are durable at once: nobody sees an entry before it is durable, so a
//!   crash leads back to a state that is visited anyway.
//!
//! # What is not
//! Content, prerequisites, requests recognised as done, acknowledgements and their levels, points
//! and serials, withdrawn endorsements (so rivals for a lost log may wait for each other), second
//! takeovers, restores, new logs of a site, entries in parts. Nor are there five sites: there an
//! endorsed takeover can miss what a site outside of the majority holds, and with three only an
//! attested one can. Then a transaction or an update that rested on the lost tail may be lost, and
//! the properties on that are excused; that sites end up with the same content is not.
//!
//! # What must be true
//! Each image of a name was made from the one before it; no two have the same rank; a transaction
//! is made as a whole; it has one decision; a name has one home in an epoch, and one site that
//! believes to be it; a log has one successor; with three sites and no attested takeover nobody
//! holds what does not count. And no name stays blocked: no steps of the sites themselves are
//! endless, since each adds an entry or a copy of one, and where none is left no intent is open.
//!
//! # Bounds
//! | scenario | transactions | updates | besides | states |
//! |---|---|---|---|---|
//! | [`CONFLICT`](Scenario::CONFLICT) | 2 | 1, 1 |  | 204,903 |
//! | [`FORGETTING`](Scenario::FORGETTING) | 2 | 0, 1 | the gateway is the third site; decisions are forgotten | 139,557 |
//! | [`CRASHES`](Scenario::CRASHES) | 2 | 0, 1 | two crashes | 780,940 |
//! | [`MOVE`](Scenario::MOVE) | 1 | 1, 2 | the second name moves to the third site, the gateway; homes are looked up at any time | 196,520 |
//! | [`LOST_ANCHOR`](Scenario::LOST_ANCHOR) | 1 | 1, 1 | the third site goes on for the first | 1,489,795 |
//! | [`LOST_PARTICIPANT`](Scenario::LOST_PARTICIPANT) | 1 | 0, 1 | the third goes on for the second | 239,032 |
//! | [`LOST_TO_ANCHOR`](Scenario::LOST_TO_ANCHOR) | 1 | 0, 1 | the first goes on for the second; homes are looked up at any time | 388,861 |
//! | [`RIVALS`](Scenario::RIVALS) | 1 | 0, 0 | the second and the third want to go on for the first | 168,111 |
//! | [`ATTESTED_ANCHOR`](Scenario::ATTESTED_ANCHOR) | 1 | 1, 1 | the third goes on for the first, attested | 251,853 |
//! | [`ATTESTED_PARTICIPANT`](Scenario::ATTESTED_PARTICIPANT) | 1 | 1, 1 | the third goes on for the second, attested | 135,927 |
//! | [`ATTESTED_MOVE`](Scenario::ATTESTED_MOVE) | 1 | 0, 2 | the same, and the second name moves to the first site | 485,100 |
//!
//! Updates are given for each name. Nothing of it is symmetric: the sites have roles.

mod bug;
mod check;
mod entry;
mod scenario;
mod steps;
mod takeover;
mod view;
mod world;

pub use bug::Bug;
pub use check::Protocol;
pub use entry::{Entry, Image, NAMES, Name, Rank, SITES, Site, TRANSACTIONS, Transaction};
pub use scenario::{Failover, Scenario};
pub use world::{Action, Participants, World};
