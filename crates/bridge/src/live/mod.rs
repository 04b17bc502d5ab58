//! The bridge on a running node: from a file and what the node knows to the steps that the node is to do.
//!
//! [`stored`] is the form in which the ledger keeps a source's records. [`image`] says which DNS records a
//! host record becomes, [`lift`] what the zone says in terms of the source; [`file`] reads a file,
//! [`plan`] merges, and [`steps`] turns the outcome into names with their new content. [`outbound`] is the
//! way back.
//!
//! Octets and values in, values out: whoever calls reads files and talks to the node.

pub mod apply;
mod confirmed;
pub mod copy;
pub mod deck;
pub mod file;
pub mod image;
pub mod lift;
pub mod outbound;
pub mod plan;
pub mod show;
pub mod steps;
pub mod stored;

#[cfg(test)]
mod tests;
