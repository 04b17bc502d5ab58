//! Zone files (RFC 1035 §5): reading them record by record with the place of each error, and
//! writing them.

use crate::message::HEADER_OCTETS;
use crate::name::Name;
use crate::record::{Class, Record, RecordType};
use domain::base::name::ToName;
use domain::base::rdata::ComposeRecordData;
use domain::zonefile::inplace::{Entry, ScannedRecord, Zonefile};
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// How deep `$INCLUDE` may nest, so that a file that includes itself ends.
const INCLUDE_DEPTH_MAX: usize = 8;

/// A zone file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ZoneFileError {
    /// The file, or one it includes, cannot be read.
    #[error("{}: cannot read the zone file: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something in the file is wrong.
    #[error("{}:{line}: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// `LINE` or `LINE:COLUMN`, from 1.
        line: String,
        /// What is wrong.
        reason: String,
    },
}

/// Reads the zone file at `path` for the zone `origin`, following `$INCLUDE` relative to the
/// including file. `read` supplies the octets of a file.
///
/// Records outside the zone and records of another class than IN are errors.
///
/// # Errors
/// [`ZoneFileError`], naming file and line.
pub fn load(
    path: &Path,
    origin: &Name,
    read: &mut dyn FnMut(&Path) -> io::Result<Vec<u8>>,
) -> Result<Vec<Record>, ZoneFileError> {
    let mut loader = Loader { zone: origin, read, records: Vec::new() };
    loader.file(path, origin, 0)?;
    Ok(loader.records)
}

struct Loader<'a> {
    zone: &'a Name,
    read: &'a mut dyn FnMut(&Path) -> io::Result<Vec<u8>>,
    records: Vec<Record>,
}

impl Loader<'_> {
    fn file(&mut self, path: &Path, origin: &Name, depth: usize) -> Result<(), ZoneFileError> {
        let mut text = (self.read)(path)
            .map_err(|source| ZoneFileError::Read { path: path.into(), source })?;
        // The scanner wants the last entry ended.
        if !text.ends_with(b"\n") {
            text.push(b'\n');
        }
        let mut zonefile = Zonefile::from(&text[..]);
        zonefile.set_default_class(domain::base::iana::Class::IN);
        if let Ok(origin) = domain::base::Name::from_octets(origin.as_wire().to_vec().into()) {
            zonefile.set_origin(origin);
        }
        loop {
            let content = |line: String, reason: String| ZoneFileError::Content {
                path: path.into(),
                line,
                reason,
            };
            // The library converts in place and runs over the end of some broken files, such as
            // one that ends in a quoted string without space around it. Nothing is used after.
            let entry = catch_unwind(AssertUnwindSafe(|| zonefile.next_entry()));
            let entry = entry.map_err(|_| {
                let reason = "cannot be read; are all quotes and parentheses closed?";
                content("?".to_owned(), reason.to_owned())
            })?;
            let entry = entry.map_err(|error| {
                let (place, reason) = place_and_reason(&error.to_string());
                content(place, reason)
            })?;
            let line = || {
                let read = zonefile.current_offset().min(text.len());
                text[..read].iter().filter(|octet| **octet == b'\n').count().max(1).to_string()
            };
            match entry {
                None => return Ok(()),
                Some(Entry::Record(record)) => {
                    let record = self.record(&record).map_err(|reason| content(line(), reason))?;
                    self.records.push(record);
                }
                Some(Entry::Include { path: included, origin: new_origin }) => {
                    if depth == INCLUDE_DEPTH_MAX {
                        return Err(content(
                            line(),
                            format!("$INCLUDE is nested deeper than {INCLUDE_DEPTH_MAX} files"),
                        ));
                    }
                    let base = path.parent().unwrap_or(Path::new("."));
                    let origin = match new_origin {
                        Some(origin) => Name::from_wire(origin.as_slice()).ok(),
                        None => zonefile
                            .origin()
                            .ok()
                            .and_then(|origin| Name::from_wire(origin.as_slice()).ok()),
                    };
                    let origin = origin.unwrap_or_else(|| self.zone.clone());
                    self.file(&base.join(&*included), &origin, depth + 1)?;
                }
            }
        }
    }

    fn record(&self, scanned: &ScannedRecord) -> Result<Record, String> {
        let owner: domain::base::Name<Vec<u8>> = scanned.owner().to_name();
        let owner = Name::from_wire(owner.as_slice()).map_err(|error| error.to_string())?;
        let class = Class(scanned.class().to_int());
        let rtype = RecordType(scanned.rtype().to_int());
        if class != Class::IN {
            return Err(format!("class {class}: only IN is served"));
        }
        if !owner.is_at_or_below(self.zone) {
            return Err(format!("{owner} is not in the zone {}", self.zone));
        }
        if rtype.is_meta() {
            return Err(format!("{rtype} records cannot be in a zone"));
        }
        let mut rdata = Vec::new();
        scanned.data().compose_rdata(&mut rdata).map_err(|error| error.to_string())?;
        // A record that fits no message could never be answered.
        if HEADER_OCTETS + owner.as_wire().len() + 10 + rdata.len() > usize::from(u16::MAX) {
            return Err(format!("{rtype} record data of {} octets fits no message", rdata.len()));
        }
        let checked = crate::rdata::decode(rtype, &rdata, 0, rdata.len());
        let rdata = checked.map_err(|error| error.to_string())?;
        Ok(Record { owner, rtype, class, ttl: scanned.ttl().as_secs(), rdata })
    }
}

/// Takes the library's `line:column: reason` apart. It counts to where it stopped reading, which
/// for the last field of a line is the first column of the next.
fn place_and_reason(text: &str) -> (String, String) {
    let parts = text.split_once(": ").and_then(|(place, reason)| {
        let (line, column) = place.split_once(':')?;
        let (line, column): (usize, usize) = (line.parse().ok()?, column.parse().ok()?);
        let place =
            if column <= 1 { line.saturating_sub(1).max(1).to_string() } else { place.to_owned() };
        Some((place, reason.to_owned()))
    });
    parts.unwrap_or_else(|| ("?".to_owned(), text.to_owned()))
}

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

#[cfg(test)]
mod tests {
    use super::*;

    fn load_text(files: &[(&str, &str)]) -> Result<Vec<Record>, String> {
        let origin: Name = "fleet.example.".parse().expect("name");
        load(Path::new(files[0].0), &origin, &mut |path| {
            let found = files.iter().find(|(name, _)| Path::new(name) == path);
            found.map(|(_, text)| text.as_bytes().to_vec()).ok_or(io::ErrorKind::NotFound.into())
        })
        .map_err(|error| error.to_string())
    }

    const ZONE: &str = "$TTL 300\n@ SOA ns hostmaster 1 3600 600 86400 60\n  NS ns\nns A 192.0.2.1\n\
        anna AAAA 2001:db8::1\n TXT \"a b\" ( c\n d )\nwww 60 CNAME anna\nsvc HTTPS 1 . alpn=h2\nx TYPE65280 \\# 2 01ab\n";

    #[test]
    fn writes_what_it_reads() {
        let records = load_text(&[("z", ZONE)]).expect("a zone");
        assert_eq!(records.len(), 8);
        let mut out = Vec::new();
        let origin: Name = "fleet.example.".parse().expect("name");
        write(&mut out, &origin, records.iter()).expect("a vector takes all");
        let text = String::from_utf8(out).expect("text");
        assert_eq!(load_text(&[("z", &text)]).expect("a zone"), records, "{text}");
        assert!(text.contains("anna.fleet.example. 300 IN TXT \"a b\" \"c\" \"d\""), "{text}");
    }

    #[test]
    fn includes_other_files() {
        let records = load_text(&[
            ("dir/z", "$INCLUDE more sub\nb 1 A 192.0.2.2"),
            ("dir/more", "a 1 A 192.0.2.1\n"),
        ]);
        let records = records.expect("a zone");
        assert_eq!(records[0].owner.to_string(), "a.sub.fleet.example.");
        assert_eq!(records[1].owner.to_string(), "b.fleet.example.");
    }

    #[test]
    fn errors_name_file_and_line() {
        let error = |text: &str| load_text(&[("z", text)]).expect_err("broken");
        assert!(
            error("a 1 A 192.0.2.1\nb 1 A 192.0.2\n").starts_with("z:2:"),
            "{}",
            error("b 1 A 1\n")
        );
        assert_eq!(
            error("\n\na.example. 1 A 192.0.2.1\n"),
            "z:3: a.example. is not in the zone fleet.example."
        );
        assert!(error("a 1 CH A 192.0.2.1\n").starts_with("z:1"));
        assert!(error("$INCLUDE z\n").contains("nested deeper"));
        assert!(error("$INCLUDE gone\n").starts_with("gone: cannot read"));
        assert!(error("a 1 A (192.0.2.1\n").starts_with("z:"));
    }
}
