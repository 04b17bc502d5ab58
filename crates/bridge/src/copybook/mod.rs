//! Records described by a COBOL copybook, and decks of cards.

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
