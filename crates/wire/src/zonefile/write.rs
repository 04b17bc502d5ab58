//! Writing zone files.

use crate::name::Name;
use crate::record::Record;
use std::io::{self, Write};

/// Writes `records` as a zone file of absolute names, one record a line, in the order given.
///
/// # Errors
/// What `out` says.
pub fn write<'a>(
    out: &mut dyn Write,
    origin: &Name,
    records: impl Iterator<Item = &'a Record>,
) -> io::Result<()> {
    writeln!(out, "$ORIGIN {origin}")?;
    for record in records {
        writeln!(out, "{record}")?;
    }
    Ok(())
}
