//! The formats, and what each of them offers: a decoder and an encoder.
//!
//! Both are fed piece by piece and hold no more than one entry where the format allows it. An
//! encoder writes a record that is still what its raw octets say, and text between entries, as
//! they were read, if they come from its own format: a file that is only passed through comes out
//! octet by octet.

use crate::held::pass_through;
use crate::item::{Item, Output, Sink, Source};
use crate::record::{FieldName, Place, Record};
use crate::{copybook, dhcpd_leases, etc_hosts, hosts_txt, json, rfc606, zone};
use einhorn_wire::Name;
use std::str::FromStr;

/// A format of host records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    /// Host tables of RFC 952 and RFC 810, with the dialects before and beside them.
    HostsTxt,
    /// The form of RFC 606 and RFC 608.
    Rfc606,
    /// `/etc/hosts`.
    EtcHosts,
    /// Zone files (RFC 1035 §5).
    Zone,
    /// Records described by a COBOL copybook.
    Copybook,
    /// Decks of 80-column cards.
    Cards,
    /// The lease file of ISC dhcpd.
    DhcpdLeases,
    /// Everything there is, as JSON.
    Json,
}

impl Format {
    /// All of them.
    pub const ALL: [Format; 8] = [
        Format::HostsTxt,
        Format::Rfc606,
        Format::EtcHosts,
        Format::Zone,
        Format::Copybook,
        Format::Cards,
        Format::DhcpdLeases,
        Format::Json,
    ];

    /// As the command line writes it.
    pub fn name(self) -> &'static str {
        match self {
            Format::HostsTxt => "hosts-txt",
            Format::Rfc606 => "rfc606",
            Format::EtcHosts => "etc-hosts",
            Format::Zone => "zone",
            Format::Copybook => "copybook",
            Format::Cards => "cards",
            Format::DhcpdLeases => "dhcpd-leases",
            Format::Json => "json",
        }
    }

    /// Whether the format has a place for a field at all.
    pub fn holds(self, field: FieldName) -> bool {
        use FieldName::{
            Addresses, Changed, Expires, Hardware, Machine, Name, Nicknames, Others, Protocols,
            Remark, Sidecar, Status, System, Ttl,
        };
        match self {
            Format::Json => true,
            Format::HostsTxt => {
                matches!(field, Name | Addresses | Nicknames | Protocols | Machine | System)
            }
            Format::Rfc606 => {
                matches!(field, Name | Addresses | Nicknames | Protocols | Machine | System)
                    || matches!(field, Status | Sidecar)
            }
            Format::EtcHosts => matches!(field, Name | Addresses | Nicknames | Remark),
            Format::Zone => {
                matches!(field, Name | Addresses | Nicknames | Machine | System | Ttl | Others)
            }
            Format::DhcpdLeases => {
                matches!(field, Name | Addresses | Hardware | Status | Changed | Expires | Sidecar)
            }
            // What a layout maps decides.
            Format::Copybook | Format::Cards => true,
        }
    }
}

/// Text that names no format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no format: there are hosts-txt, rfc606, etc-hosts, zone, copybook, cards, \
     dhcpd-leases and json"
)]
pub struct UnknownFormat(pub String);

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Format, UnknownFormat> {
        let named = Format::ALL.into_iter().find(|format| format.name() == text);
        named.ok_or_else(|| UnknownFormat(text.to_owned()))
    }
}

/// What a format cannot know by itself.
#[derive(Debug, Clone)]
pub struct Options {
    /// The source's name, from which ids are made.
    pub source: String,
    /// The zone of zone files.
    pub origin: Name,
    /// The layout of copybook records and cards.
    pub layout: Option<Layout>,
}

impl Default for Options {
    fn default() -> Options {
        Options { source: "file".to_owned(), origin: Name::root(), layout: None }
    }
}

/// What describes records of fixed or variable length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The COBOL copybook's text.
    pub copybook: String,
    /// The layout file's text (TOML): code page, record format, which item is which field.
    pub layout: String,
}

/// Why a file is refused as a whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The file's structure is broken.
    #[error("line {line}, octet {offset}: {reason}")]
    Structure {
        /// From 1; for files without lines, the number of the record.
        line: u64,
        /// From the beginning of the file.
        offset: u64,
        /// What was found, and what was expected.
        reason: String,
    },
    /// The format needs an option that was not given.
    #[error("{format} needs {option}")]
    Option {
        /// The format's name.
        format: &'static str,
        /// What is missing.
        option: &'static str,
    },
    /// The layout cannot be used.
    #[error("the layout cannot be used: {0}")]
    Layout(String),
    /// The copybook cannot be used.
    #[error("the copybook cannot be used: {0}")]
    Copybook(copybook::CopybookError),
    /// The format cannot be written.
    #[error("{format} cannot be written: {reason}")]
    Write {
        /// The format's name.
        format: &'static str,
        /// Why.
        reason: &'static str,
    },
}

/// Reads a format. Octets come in pieces of any size.
pub trait Decode {
    /// Takes the next octets.
    ///
    /// # Errors
    /// [`Refusal`]: the file as a whole is not what it should be. Faults of single entries are
    /// quarantined items instead.
    fn push(&mut self, octets: &[u8], sink: &mut dyn Sink) -> Result<(), Refusal>;

    /// The file has ended.
    ///
    /// # Errors
    /// As [`Decode::push`].
    fn finish(&mut self, sink: &mut dyn Sink) -> Result<Source, Refusal>;
}

/// Writes a format. Items come in the order of the output.
pub trait Encode {
    /// Takes the next item and declares what of it cannot be written.
    ///
    /// # Errors
    /// [`Refusal`]: no file can be made.
    fn push(&mut self, item: Item, out: &mut Output) -> Result<(), Refusal>;

    /// There are no more items.
    ///
    /// # Errors
    /// As [`Encode::push`].
    fn finish(&mut self, out: &mut Output) -> Result<(), Refusal>;
}

/// A decoder for `format`.
///
/// # Errors
/// [`Refusal`], when the options do not fit.
pub fn decoder(format: Format, options: &Options) -> Result<Box<dyn Decode>, Refusal> {
    match format {
        Format::Copybook | Format::Cards => copybook::decoder(format, options),
        Format::HostsTxt => Ok(Box::new(hosts_txt::Decoder::new(&options.source))),
        Format::Rfc606 => Ok(rfc606::decoder(options)),
        Format::EtcHosts => Ok(etc_hosts::decoder(options)),
        Format::Zone => Ok(zone::decoder(options)),
        Format::DhcpdLeases => Ok(dhcpd_leases::decoder(options)),
        Format::Json => Ok(json::decoder(options)),
    }
}

/// An encoder for `format`.
///
/// # Errors
/// [`Refusal`], when the options do not fit.
pub fn encoder(format: Format, options: &Options) -> Result<Box<dyn Encode>, Refusal> {
    match format {
        Format::Copybook | Format::Cards => copybook::encoder(format, options),
        Format::HostsTxt => Ok(hosts_txt::encoder()),
        Format::Rfc606 => Ok(rfc606::encoder()),
        Format::EtcHosts => Ok(etc_hosts::encoder()),
        Format::Zone => Ok(Box::new(zone::Encoder::new(&options.origin))),
        Format::DhcpdLeases => Ok(dhcpd_leases::encoder()),
        Format::Json => Ok(Box::new(json::Encoder::default())),
    }
}

/// An encoder that writes each record by itself: as it was read, or anew.
pub(crate) struct Each {
    format: Format,
    write: fn(&Record, &mut Output),
}

impl Each {
    /// `write` writes a record anew.
    pub(crate) fn new(format: Format, write: fn(&Record, &mut Output)) -> Each {
        Each { format, write }
    }
}

impl Encode for Each {
    fn push(&mut self, item: Item, out: &mut Output) -> Result<(), Refusal> {
        if let Some(record) = pass_through(self.format, item, out) {
            (self.write)(&record, out);
        }
        Ok(())
    }

    fn finish(&mut self, _: &mut Output) -> Result<(), Refusal> {
        Ok(())
    }
}

/// Octets of a file that is read as a whole, at most.
const WHOLE_OCTETS_MAX: u64 = 1 << 30;
/// Octets of a line in it, at most.
const LINE_OCTETS_MAX: u64 = 1 << 20;

/// A decoder that needs the whole file at once. It takes no more of it than has room in memory,
/// and of a line no more than a line can have.
pub(crate) struct Whole<F> {
    octets: Vec<u8>,
    line_octets_max: u64,
    /// The line that the last octets belong to.
    last_line: Place,
    decode: F,
}

impl<F: FnMut(&[u8], &mut dyn Sink) -> Result<Source, Refusal>> Whole<F> {
    /// `decode` gets the file.
    pub(crate) fn new(decode: F) -> Whole<F> {
        let last_line = Place { line: 1, offset: 0 };
        Whole { octets: Vec::new(), line_octets_max: LINE_OCTETS_MAX, last_line, decode }
    }

    /// The same for a format in which all may stand in one line.
    pub(crate) fn without_lines(decode: F) -> Whole<F> {
        Whole { line_octets_max: WHOLE_OCTETS_MAX, ..Whole::new(decode) }
    }

    fn refuse<T>(&self, reason: String) -> Result<T, Refusal> {
        let Place { line, offset } = self.last_line;
        Err(Refusal::Structure { line, offset, reason })
    }
}

impl<F: FnMut(&[u8], &mut dyn Sink) -> Result<Source, Refusal>> Decode for Whole<F> {
    fn push(&mut self, octets: &[u8], _: &mut dyn Sink) -> Result<(), Refusal> {
        let before = self.octets.len() as u64;
        let ends = memchr::memchr_iter(b'\n', octets).map(|at| before + at as u64 + 1);
        let end = before + octets.len() as u64;
        if end > WHOLE_OCTETS_MAX {
            return self.refuse(format!("a file of more than {WHOLE_OCTETS_MAX} octets"));
        }
        for (end, is_complete) in ends.map(|end| (end, true)).chain([(end, false)]) {
            if end - self.last_line.offset > self.line_octets_max {
                return self.refuse(format!("a line of more than {} octets", self.line_octets_max));
            }
            if is_complete {
                self.last_line = Place { line: self.last_line.line + 1, offset: end };
            }
        }
        self.octets.extend_from_slice(octets);
        Ok(())
    }

    fn finish(&mut self, sink: &mut dyn Sink) -> Result<Source, Refusal> {
        (self.decode)(&self.octets, sink)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::Conversion;

    #[test]
    fn an_endless_line_is_refused_before_it_is_read() {
        for from in [Format::Rfc606, Format::EtcHosts, Format::Zone, Format::DhcpdLeases] {
            let made = Conversion::new(from, Format::Json, &Options::default());
            let mut conversion = made.expect("needs no options");
            conversion.push(b"; begin\n").expect("a line");
            let piece = vec![b'x'; 1 << 18];
            let refused = (0..8).find_map(|_| conversion.push(&piece).err());
            let reason = "a line of more than 1048576 octets".to_owned();
            let wanted = Refusal::Structure { line: 2, offset: 8, reason };
            assert_eq!(refused, Some(wanted), "{from:?}");
        }
    }
}
