//! Fixed records: a master file of 80-octet records in CCSID 273, with packed, binary and zoned
//! numbers and two dates; and beside it what a reader of copybooks in Python makes of the same.

use einhorn_bridge::codec::{Format, Layout, Options};
use einhorn_bridge::record::{Address, Field, Fields, HostId, Key, Kind, Moment, Record};
use std::io::Write;
use std::process::Command;

/// Octets of a record.
pub(super) const RECORD_OCTETS: usize = 80;
/// Records that the reader in Python gets: it is slow.
const PYTHON_RECORDS: usize = 20_000;
/// The Python that has the reader, if it is not `python3`.
const PYTHON: &str = "EINHORN_BENCH_PYTHON";
/// 1990-01-01, in seconds since 1970-01-01.
const CHANGED_SECONDS: i64 = 631_148_400;
const DAY_SECONDS: i64 = 86_400;
/// Days of the dates of change: in winter, so that each is midnight in Berlin.
const DAYS: i64 = 80;

const COPYBOOK: &str = include_str!("../../../tests/interop/mainframe/master.cpy");
const LAYOUT: &str = include_str!("../../../tests/interop/mainframe/master.toml");
/// The same record as the reader in Python understands it: packed numbers with signs, and neither
/// tables nor binary numbers, so it has less to do.
const PYTHON_COPYBOOK: &str = include_str!("detail.cpy");
const PYTHON_READER: &str = include_str!("reader.py");

/// What the codec needs.
pub(super) fn options() -> Options {
    let layout = Layout { copybook: COPYBOOK.to_owned(), layout: LAYOUT.to_owned() };
    Options { layout: Some(layout), ..Options::default() }
}

/// The format.
pub(super) const FORMAT: Format = Format::Copybook;

/// Hosts in the order of their names.
pub(super) fn records(count: u32) -> Vec<Record> {
    let record = |n: u32| {
        let [_, b, c, d] = n.to_be_bytes();
        let key = Key { kind: Kind::Host, name: format!("HOST-{n:07}").into() };
        let changed = CHANGED_SECONDS + i64::from(n) % DAYS * DAY_SECONDS;
        let fields = Fields {
            addresses: Field::list(vec![Address::V4([10, b, c, d].into())]),
            nicknames: Field::list(vec![format!("H{n:07}").into()]),
            machine: Field::text(b"VAX-780"),
            system: Field::text(b"UNIX"),
            changed: Field::Value(Moment::At(changed)),
            expires: Field::Value(Moment::Never),
            ..Fields::default()
        };
        Record::new(HostId::first_seen("bench", &key), key, fields)
    };
    (0..count).map(record).collect()
}

/// MB/s of the reader in Python with the details of this file; or why there is no figure.
pub(super) fn python_megabytes_per_second(file: &[u8]) -> Result<f64, String> {
    let details = file.len().saturating_sub(2 * RECORD_OCTETS).min(PYTHON_RECORDS * RECORD_OCTETS);
    let details = &file[RECORD_OCTETS..RECORD_OCTETS + details];
    let words = |error: std::io::Error| error.to_string();
    let folder = std::env::temp_dir().join(format!("einhorn-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).map_err(words)?;
    let (copybook, data) = (folder.join("detail.cpy"), folder.join("details"));
    std::fs::write(&copybook, PYTHON_COPYBOOK).map_err(words)?;
    std::fs::File::create(&data).and_then(|mut file| file.write_all(details)).map_err(words)?;
    let python = std::env::var_os(PYTHON).unwrap_or_else(|| "python3".into());
    let ran = Command::new(python)
        .args(["-c", PYTHON_READER])
        .args([&copybook, &data])
        .output()
        .map_err(words);
    std::fs::remove_dir_all(&folder).map_err(words)?;
    let ran = ran?;
    if !ran.status.success() {
        let said = String::from_utf8_lossy(&ran.stderr);
        let last = said.lines().last().unwrap_or_default();
        return Err(format!(
            "the reader in Python did not run: {last} (pip install coboljsonifier; {PYTHON} names \
             another Python)"
        ));
    }
    let said = String::from_utf8_lossy(&ran.stdout);
    said.trim().parse().map_err(|error| format!("{said:?}: {error}"))
}
