//! The legacy bridge on running nodes: plans and applies, conflicts, and what happens when somebody is
//! killed in between.

mod apply;
mod cycle;
mod hostname;
mod kills;
mod sites;
mod support;
mod tables;
mod transfer;
mod watch;
