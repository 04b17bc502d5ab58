//! The agent: merge rules, the prediction of hazards, and the decision which path a change takes.
//!
//! It advises, and the commit decides: with any advice whatsoever no write is lost. This crate
//! reads no clock, file or random source, and depends on no other room; what it says is a pure
//! function of what it is given. Nothing that is learned ever takes part in a merge.

pub mod decision;
pub mod evaluate;
pub mod evaluator;
pub mod features;
pub mod label;
pub mod merge;
pub mod metrics;
pub mod model;
pub mod numeric;
mod recent;
pub mod trace;
pub mod train;

/// The shipped model: trained by the command in `docs/model-card.md`.
pub const DEFAULT_MODEL: &[u8] = include_bytes!("../models/default.model");
