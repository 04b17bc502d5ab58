//! Records of fixed and variable length, as COBOL copybooks describe them, and decks of cards.
//!
//! A copybook says where fields are and how numbers are stored; a layout says everything else: the
//! code page, which record is header, detail or trailer, and which field of a host is where. Both
//! together are a plan, and all faults of theirs are found when it is made.

mod cell;
mod clauses;
mod dates;
mod error;
mod form;
mod frame;
pub(crate) mod host;
mod layout;
mod lexer;
pub mod numeric;
mod picture;
mod plan;
mod reader;
mod schema;
mod stretches;
mod tally;
mod writer;

pub use error::CopybookError;
pub use layout::{Framing, Owner};
pub use lexer::SourceForm;
pub use numeric::{SignPlace, Zones};
pub use picture::DIGITS_MAX;
pub use plan::Plan;
pub use schema::{BinarySizes, Field, Kind, Record, VariableTable, parse};

use crate::codec::{Decode, Encode, Format, Options, Refusal};

/// A decoder for [`Format::Copybook`] or [`Format::Cards`].
///
/// # Errors
/// [`Refusal`], when there is no layout or it cannot be used.
pub fn decoder(format: Format, options: &Options) -> Result<Box<dyn Decode>, Refusal> {
    Ok(Box::new(reader::Reader::new(plan(format, options)?, &options.source)))
}

/// An encoder for [`Format::Copybook`] or [`Format::Cards`].
///
/// # Errors
/// As [`decoder`].
pub fn encoder(format: Format, options: &Options) -> Result<Box<dyn Encode>, Refusal> {
    Ok(Box::new(writer::Writer::new(plan(format, options)?)))
}

fn plan(format: Format, options: &Options) -> Result<Plan, Refusal> {
    let layout = options.layout.as_ref().ok_or(Refusal::Option {
        format: format.name(),
        option: "a copybook and a layout (--copybook and --layout)",
    })?;
    Plan::new(format, layout)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
