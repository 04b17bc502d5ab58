//! From one format to another, piece by piece.

use crate::codec::{Decode, Encode, Format, Options, Refusal, decoder, encoder};
use crate::item::{Item, Output, Quirk, Sink};
use crate::report::{QuarantinedEntry, Report};
use sha2::{Digest, Sha256};

/// A conversion under way.
pub struct Conversion {
    decode: Box<dyn Decode>,
    rest: Rest,
    sha256: Sha256,
}

/// What the decoder's findings go to.
struct Rest {
    encode: Box<dyn Encode>,
    out: Output,
    report: Report,
    refusal: Option<Refusal>,
}

impl Sink for Rest {
    fn item(&mut self, item: Item) {
        match &item {
            Item::Record(_) => self.report.records += 1,
            Item::Quarantined(entry) => {
                self.report.quarantined.push(QuarantinedEntry::from(&**entry));
            }
            Item::Between(_) => {}
        }
        if self.refusal.is_none() {
            self.refusal = self.encode.push(item, &mut self.out).err();
        }
    }

    fn quirk(&mut self, quirk: Quirk) {
        self.report.quirks.push(quirk);
    }
}

impl Conversion {
    /// Begins one.
    ///
    /// # Errors
    /// [`Refusal`], when the options do not fit the formats.
    pub fn new(from: Format, to: Format, options: &Options) -> Result<Conversion, Refusal> {
        Conversion::between((from, options), (to, options))
    }

    /// Begins one between formats with options of their own: two layouts, for example.
    ///
    /// # Errors
    /// As [`Conversion::new`].
    pub fn between(
        (from, from_options): (Format, &Options),
        (to, to_options): (Format, &Options),
    ) -> Result<Conversion, Refusal> {
        let rest = Rest {
            encode: encoder(to, to_options)?,
            out: Output::default(),
            report: Report::new(from, to),
            refusal: None,
        };
        Ok(Conversion { decode: decoder(from, from_options)?, rest, sha256: Sha256::new() })
    }

    /// Takes the next octets of the input; gives the next octets of the output.
    ///
    /// # Errors
    /// [`Refusal`], when the file as a whole cannot be converted.
    pub fn push(&mut self, octets: &[u8]) -> Result<Vec<u8>, Refusal> {
        self.sha256.update(octets);
        self.rest.report.octets_read += octets.len() as u64;
        self.decode.push(octets, &mut self.rest)?;
        self.taken()
    }

    fn taken(&mut self) -> Result<Vec<u8>, Refusal> {
        let octets = std::mem::take(&mut self.rest.out.octets);
        self.rest.report.octets_written += octets.len() as u64;
        self.rest.refusal.take().map_or(Ok(octets), Err)
    }

    /// The input has ended; gives the last octets of the output, and the report.
    ///
    /// # Errors
    /// As [`Conversion::push`].
    pub fn finish(mut self) -> Result<(Vec<u8>, Report), Refusal> {
        let source = self.decode.finish(&mut self.rest)?;
        if self.rest.refusal.is_none() {
            self.rest.encode.finish(&mut self.rest.out)?;
        }
        let octets = self.taken()?;
        let mut report = self.rest.report;
        report.sha256 = self.sha256.finalize().iter().map(|octet| format!("{octet:02x}")).collect();
        report.generation = source.generation;
        report.losses = self.rest.out.losses;
        report.records_written = self.rest.out.records_written;
        report.settle();
        Ok((octets, report))
    }
}

/// Converts a whole file.
///
/// # Errors
/// [`Refusal`], when the file as a whole cannot be converted.
pub fn convert(
    from: Format,
    to: Format,
    octets: &[u8],
    options: &Options,
) -> Result<(Vec<u8>, Report), Refusal> {
    let mut conversion = Conversion::new(from, to, options)?;
    let mut output = conversion.push(octets)?;
    let (last, report) = conversion.finish()?;
    output.extend_from_slice(&last);
    Ok((output, report))
}
