//! Reads histories of changes: CSV (RFC 4180), plain or compressed with gzip, row by row.
//!
//! Columns are found by the names in the first row. Needed are `ts` (commit time, Unix seconds, which
//! may have a fraction), `start` (when the change began), `name`, `rtype`, `op` and `actor`; `src`, `commit` and `review`
//! (not empty if a person had to decide) are used if they are there, others are passed over.

use flate2::read::MultiGzDecoder;
use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read};
use thiserror::Error;

/// One change of the records of one name and type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// When it began, in milliseconds since 1970; never after `committed_ms`.
    pub started_ms: i64,
    /// When it was committed, in milliseconds since 1970.
    pub committed_ms: i64,
    /// The number of its name in [`Trace::names`].
    pub name: u32,
    /// The number of its record type.
    pub record_type: u32,
    /// The number of its writer.
    pub actor: u32,
    /// The number of the request that it came with.
    pub request: u32,
    /// Whether it removes the records.
    pub deletes: bool,
    /// Whether a person had to decide on it, because somebody else had changed the name.
    pub is_reviewed: bool,
}

/// A history.
#[derive(Debug, Clone, Default)]
pub struct Trace {
    /// What the history calls itself: its first `src`.
    pub source: String,
    /// The changes, in the order of the file.
    pub changes: Vec<Change>,
    /// Names by their number, in small letters.
    pub names: Vec<String>,
    /// Record types by their number, in capitals.
    pub record_types: Vec<String>,
    /// How many writers there are.
    pub actors: u32,
}

/// Why a history cannot be read.
#[derive(Debug, Error)]
pub enum TraceError {
    /// Reading or uncompressing failed.
    #[error("after row {row}: {source}")]
    Read {
        /// The last row that was whole; the one with the columns is row 1.
        row: usize,
        /// What failed.
        source: io::Error,
    },
    /// A needed column is not there.
    #[error("row 1: no column `{0}`")]
    NoColumn(&'static str),
    /// A row is shorter than the first one.
    #[error("row {row}: {found} fields, but {expected} columns")]
    Short {
        /// Which row.
        row: usize,
        /// Fields found.
        found: usize,
        /// Columns in the first row.
        expected: usize,
    },
    /// A field is not what it should be.
    #[error("row {row}, `{column}`: {found:?} is not {expected}")]
    Field {
        /// Which row.
        row: usize,
        /// Which column.
        column: &'static str,
        /// What stands there, at most 40 letters of it.
        found: String,
        /// What should stand there.
        expected: &'static str,
    },
    /// A row does not end, or is larger than anything sensible.
    #[error("row {row}: longer than {ROW_OCTETS_MAX} octets, or a quote that never closes")]
    Endless {
        /// Which row.
        row: usize,
    },
}

const ROW_OCTETS_MAX: usize = 16 << 20;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Reads a whole history. Memory is needed for the changes, not for their text.
pub fn read(input: impl Read) -> Result<Trace, TraceError> {
    let mut input = BufReader::new(input);
    let start = input.fill_buf().map_err(|source| TraceError::Read { row: 0, source })?;
    if start.starts_with(&GZIP_MAGIC) {
        read_plain(BufReader::new(MultiGzDecoder::new(input)))
    } else {
        read_plain(input)
    }
}

fn read_plain(input: impl BufRead) -> Result<Trace, TraceError> {
    let mut rows = Rows { input, row: 0, fields: Vec::new() };
    let mut trace = Trace::default();
    if !rows.next()? {
        return Err(TraceError::NoColumn("ts"));
    }
    let columns = Columns::find(&rows.fields)?;
    let mut numbers = Numbers::default();
    while rows.next()? {
        if let [only] = rows.fields.as_slice()
            && only.trim().is_empty()
        {
            continue;
        }
        if rows.fields.len() < columns.count {
            let (found, expected) = (rows.fields.len(), columns.count);
            return Err(TraceError::Short { row: rows.row, found, expected });
        }
        let change = columns.change(rows.row, &rows.fields, &mut numbers)?;
        if trace.changes.is_empty() {
            trace.source = columns.source.map(|at| rows.fields[at].clone()).unwrap_or_default();
        }
        trace.changes.push(change);
    }
    trace.actors = numbers.actors.len() as u32;
    trace.names = in_order(numbers.names);
    trace.record_types = in_order(numbers.record_types);
    Ok(trace)
}

/// The texts that were numbered, by their number.
fn in_order(numbers: HashMap<String, u32>) -> Vec<String> {
    let mut texts: Vec<_> = numbers.into_iter().collect();
    texts.sort_unstable_by_key(|(_, number)| *number);
    texts.into_iter().map(|(text, _)| text).collect()
}

#[derive(Default)]
struct Numbers {
    names: HashMap<String, u32>,
    record_types: HashMap<String, u32>,
    actors: HashMap<String, u32>,
    requests: HashMap<String, u32>,
}

fn number(of: &mut HashMap<String, u32>, text: String) -> u32 {
    let next = of.len() as u32;
    *of.entry(text).or_insert(next)
}

struct Columns {
    count: usize,
    source: Option<usize>,
    committed: usize,
    started: usize,
    name: usize,
    record_type: usize,
    operation: usize,
    actor: usize,
    request: Option<usize>,
    review: Option<usize>,
}

impl Columns {
    fn find(fields: &[String]) -> Result<Columns, TraceError> {
        let at = |column: &str| {
            fields.iter().position(|field| field.trim_start_matches('\u{feff}').trim() == column)
        };
        let needed = |column| at(column).ok_or(TraceError::NoColumn(column));
        Ok(Columns {
            count: fields.len(),
            source: at("src"),
            committed: needed("ts")?,
            started: needed("start")?,
            name: needed("name")?,
            record_type: needed("rtype")?,
            operation: needed("op")?,
            actor: needed("actor")?,
            request: at("commit"),
            review: at("review"),
        })
    }

    fn change(
        &self,
        row: usize,
        fields: &[String],
        numbers: &mut Numbers,
    ) -> Result<Change, TraceError> {
        let wrong = |column, at: usize, expected| TraceError::Field {
            row,
            column,
            found: fields[at].chars().take(40).collect(),
            expected,
        };
        let committed_ms = milliseconds(&fields[self.committed])
            .ok_or_else(|| wrong("ts", self.committed, "a time in seconds since 1970"))?;
        let started_ms = match fields[self.started].trim() {
            "" => committed_ms,
            text => milliseconds(text)
                .ok_or_else(|| wrong("start", self.started, "a time in seconds since 1970"))?,
        };
        let deletes = match fields[self.operation].trim() {
            "del" => true,
            "add" | "mod" => false,
            _ => return Err(wrong("op", self.operation, "add, mod or del")),
        };
        let name = fields[self.name].trim().trim_end_matches('.').to_ascii_lowercase();
        let record_type = fields[self.record_type].trim().to_ascii_uppercase();
        let request = match self.request.map(|at| fields[at].trim()) {
            None | Some("") => format!("row {row}"),
            Some(commit) => commit.to_owned(),
        };
        Ok(Change {
            started_ms: started_ms.min(committed_ms),
            committed_ms,
            name: number(&mut numbers.names, name),
            record_type: number(&mut numbers.record_types, record_type),
            actor: number(&mut numbers.actors, fields[self.actor].trim().to_owned()),
            request: number(&mut numbers.requests, request),
            deletes,
            is_reviewed: self.review.is_some_and(|at| !fields[at].trim().is_empty()),
        })
    }
}

/// Milliseconds of a time in seconds, whole or with a fraction, of which three digits count. Before
/// the year 5000.
fn milliseconds(text: &str) -> Option<i64> {
    let (whole, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let seconds: i64 = whole.parse().ok().filter(|at| (0..95_617_584_000).contains(at))?;
    let is_number = fraction.bytes().all(|octet| octet.is_ascii_digit());
    let digits = fraction.bytes().chain(*b"000").take(3);
    let thousandths = digits.fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    is_number.then_some(seconds * 1000 + thousandths)
}

/// Rows of fields (RFC 4180). A quoted field may span lines.
struct Rows<R> {
    input: R,
    /// The row that `fields` came from, counted from 1.
    row: usize,
    fields: Vec<String>,
}

impl<R: BufRead> Rows<R> {
    /// Reads the next row into `fields`; false at the end.
    fn next(&mut self) -> Result<bool, TraceError> {
        let mut line = Vec::new();
        let row = self.row + 1;
        loop {
            let left = (ROW_OCTETS_MAX - line.len()) as u64;
            let read = (&mut self.input).take(left).read_until(b'\n', &mut line);
            let octets = read.map_err(|source| TraceError::Read { row: self.row, source })?;
            if octets == 0 && line.is_empty() {
                return Ok(false);
            }
            let is_open = line.iter().filter(|octet| **octet == b'"').count() % 2 == 1;
            if line.len() >= ROW_OCTETS_MAX || (octets == 0 && is_open) {
                return Err(TraceError::Endless { row });
            }
            if !is_open {
                break;
            }
        }
        self.row = row;
        let text = String::from_utf8_lossy(&line);
        self.fields = split(text.trim_end_matches(['\n', '\r']));
        Ok(true)
    }
}

fn split(text: &str) -> Vec<String> {
    let mut fields = Vec::new();
    let mut field = String::new();
    let mut quoted = false;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                field.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(std::mem::take(&mut field)),
            other => field.push(other),
        }
    }
    fields.push(field);
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const TEXT: &str = "src,ts,start,name,rtype,op,new,actor,commit\n\
        x,20,10,A.b.,a,add,\"1,\"\"2\n3\",p,c\nx,30.5,40,a.b,A,del,,q,c\n\n";

    #[test]
    fn plain_and_compressed_are_read_alike() {
        let plain = read(TEXT.as_bytes()).expect("plain");
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(TEXT.as_bytes()).expect("compressed");
        let compressed = read(encoder.finish().expect("finished").as_slice()).expect("gzip");
        assert_eq!(plain.changes, compressed.changes);
        assert_eq!((plain.changes.len(), plain.names.as_slice()), (2, &["a.b".to_owned()][..]));
        let second = &plain.changes[1];
        assert_eq!(
            (second.started_ms, second.committed_ms, second.deletes),
            (30_500, 30_500, true)
        );
        assert_eq!((plain.actors, plain.source.as_str()), (2, "x"));
    }

    #[test]
    fn errors_name_the_row() {
        let says = |text: &str| read(text.as_bytes()).expect_err(text).to_string();
        assert_eq!(says("ts,start\n"), "row 1: no column `name`");
        let head = "ts,start,name,rtype,op,actor\n";
        assert_eq!(says(&format!("{head}1,1,n,A\n")), "row 2: 4 fields, but 6 columns");
        let wrong = says(&format!("{head}1,1,n,A,add,x\nsoon,1,n,A,add,x\n"));
        assert_eq!(wrong, "row 3, `ts`: \"soon\" is not a time in seconds since 1970");
        assert!(says(&format!("{head}1,1,n,A,put,x\n")).contains("add, mod or del"));
        assert!(says(&format!("{head}1,1,\"n,A,add,x\n")).starts_with("row 2: longer"));
    }
}
