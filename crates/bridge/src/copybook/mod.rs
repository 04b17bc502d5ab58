//! Records of fixed and variable length, as COBOL copybooks describe them.

mod clauses;
mod error;
mod lexer;
pub mod numeric;
mod picture;
mod schema;

pub use error::CopybookError;
pub use lexer::SourceForm;
pub use picture::DIGITS_MAX;
pub use schema::{BinarySizes, Field, Kind, Record, VariableTable, parse};

use crate::codec::{Decode, Encode, Format, Options, Refusal};

/// A decoder for [`Format::Copybook`] or [`Format::Cards`].
///
/// # Errors
/// [`Refusal`], when there is no layout or it cannot be used.
pub fn decoder(format: Format, _options: &Options) -> Result<Box<dyn Decode>, Refusal> {
    Err(Refusal::Option { format: format.name(), option: "a layout" })
}

/// An encoder for [`Format::Copybook`] or [`Format::Cards`].
///
/// # Errors
/// As [`decoder`].
pub fn encoder(format: Format, _options: &Options) -> Result<Box<dyn Encode>, Refusal> {
    Err(Refusal::Option { format: format.name(), option: "a layout" })
}
