//! The benchmark of the legacy bridge: how fast host tables and fixed records are read and written,
//! what a merge of a million records takes, and that a file without a change changes nothing.
//!
//! It runs in the benchmark's process, in one thread, and touches no file but its reports.

mod fixed;

use crate::machine::{self, GENERATOR_PROCESSOR};
use crate::options::Options;
use crate::place::Conditions;
use crate::sheet::{Cell, Column, Row, Sheet, Table, Target, unix_seconds};
use einhorn_bridge::codec::{self, Format, Refusal, decoder, encoder};
use einhorn_bridge::item::{Item, Output, Quirk, Sink};
use einhorn_bridge::merge::{
    Builder, Input, InputKind, Policy, Sides, SourceState, State, merge, plan,
};
use einhorn_bridge::record::Record;
use std::collections::BTreeMap;

/// Records of the table, and in a quick run.
const RECORDS: u32 = 1_000_000;
const RECORDS_QUICK: u32 = 50_000;
/// One record in so many is changed before the merge.
const CHANGED_EVERY: u32 = 20;
/// Octets handed to the decoder at a time.
const PIECE_OCTETS: usize = 1 << 20;
const MEGABYTES_PER_SECOND_MIN: f64 = 100.0;
const MERGE_SECONDS_MAX: f64 = 5.0;
const MERGE_OCTETS_MAX: f64 = (1u64 << 30) as f64;

const DECODING: &str = "decoding, MB/s";
const PASSING: &str = "passing through, MB/s";
const WRITING: &str = "writing anew, MB/s";
const MERGING: &str = "merging, s";
const MEMORY: &str = "peak of memory, merging, MiB";
const RESYNC: &str = "the same again, s";
const FIXED_DECODING: &str = "fixed: decoding, MB/s";
const FIXED_PASSING: &str = "fixed: passing through, MB/s";
const FIXED_WRITING: &str = "fixed: writing anew, MB/s";
const FIXED_PYTHON: &str = "fixed: decoding in Python, MB/s";
const FIXED_MEGABYTES_PER_SECOND_MIN: f64 = 200.0;

#[derive(Default)]
struct Records(Vec<Record>);

impl Sink for Records {
    fn item(&mut self, item: Item) {
        if let Item::Record(record) = item {
            self.0.push(*record);
        }
    }

    fn quirk(&mut self, _: Quirk) {}
}

/// Looks at what is decoded, and forgets it.
#[derive(Default)]
struct Counter(u64);

impl Sink for Counter {
    fn item(&mut self, item: Item) {
        self.0 += u64::from(matches!(item, Item::Record(_)));
    }

    fn quirk(&mut self, _: Quirk) {}
}

/// A table like those of 1990; generation 1 changes some machines.
fn table(records: u32, generation: u32) -> Vec<u8> {
    let mut text = String::new();
    for n in 0..records {
        let [_, b, c, d] = n.to_be_bytes();
        let is_changed = generation > 0 && n % CHANGED_EVERY == 0;
        let machine = if is_changed { "SUN-4/330" } else { "VAX-11/780" };
        text.push_str(&format!(
            "HOST : 10.{b}.{c}.{d} : HOST-{n:07}.EXAMPLE.EDU,H{n} : {machine} : UNIX : \
             TCP/TELNET,TCP/FTP,TCP/SMTP :\n"
        ));
    }
    text.into_bytes()
}

/// A format with what it needs.
struct Coded {
    format: Format,
    options: codec::Options,
}

fn host_tables() -> Coded {
    Coded { format: Format::HostsTxt, options: codec::Options::default() }
}

fn decode(coded: &Coded, octets: &[u8], sink: &mut dyn Sink) -> Result<(), String> {
    let words = |refusal: Refusal| refusal.to_string();
    let mut decode = decoder(coded.format, &coded.options).map_err(words)?;
    for piece in octets.chunks(PIECE_OCTETS) {
        decode.push(piece, sink).map_err(words)?;
    }
    decode.finish(sink).map(drop).map_err(words)
}

/// Writes records; hands the octets to `take`.
fn encode(coded: &Coded, records: Vec<Record>, take: &mut dyn FnMut(&[u8])) -> Result<(), String> {
    let words = |refusal: Refusal| refusal.to_string();
    let mut encode = encoder(coded.format, &coded.options).map_err(words)?;
    let mut out = Output::default();
    for record in records {
        encode.push(Item::Record(Box::new(record)), &mut out).map_err(words)?;
        if out.octets.len() >= PIECE_OCTETS {
            take(&out.octets);
            out.octets.clear();
        }
    }
    encode.finish(&mut out).map_err(words)?;
    if let Some(loss) = out.losses.first() {
        return Err(format!("a loss: {loss:?}"));
    }
    take(&out.octets);
    Ok(())
}

fn records_of(coded: &Coded, octets: &[u8]) -> Result<Vec<Record>, String> {
    let mut records = Records::default();
    decode(coded, octets, &mut records)?;
    Ok(records.0)
}

/// Seconds of this thread's processor time.
fn timed<T>(work: impl FnOnce() -> Result<T, String>) -> Result<(T, f64), String> {
    let begun = machine::this_threads_time();
    let done = work()?;
    Ok((done, (machine::this_threads_time() - begun).as_secs_f64()))
}

/// Figures of the rounds, by column.
type Figures = BTreeMap<&'static str, Vec<f64>>;

/// Decodes, passes through and writes anew.
fn round(
    coded: &Coded,
    octets: &[u8],
    records: u32,
    columns: [&'static str; 3],
    figures: &mut Figures,
) -> Result<(), String> {
    let megabytes = octets.len() as f64 / 1e6;
    let [decoding, passing, writing] = columns;
    let mut add = |column, value| figures.entry(column).or_default().push(value);
    let (counted, seconds) = timed(|| {
        let mut counter = Counter::default();
        decode(coded, octets, &mut counter).map(|()| counter.0)
    })?;
    if counted != u64::from(records) {
        return Err(format!("{counted} of {records} records were read"));
    }
    add(decoding, megabytes / seconds);
    let count = |records| {
        let mut written = 0;
        encode(coded, records, &mut |octets| written += octets.len()).map(|()| written)
    };
    let read = records_of(coded, octets)?;
    let (_, seconds) = timed(|| count(read))?;
    add(passing, megabytes / seconds);
    let fresh = records_of(coded, octets)?.into_iter().map(|record| {
        let (id, sidecar) = (record.id, record.sidecar.clone());
        let (key, fields) = record.into_parts();
        let mut record = Record::new(id, key, fields);
        record.sidecar = sidecar;
        record
    });
    let fresh: Vec<_> = fresh.collect();
    let (written, seconds) = timed(|| count(fresh))?;
    add(writing, written as f64 / 1e6 / seconds);
    Ok(())
}

/// Fixed records; what is read must be what was written.
fn fixed_round(records: u32, figures: &mut Figures) -> Result<Vec<u8>, String> {
    let coded = Coded { format: fixed::FORMAT, options: fixed::options() };
    let mut file = Vec::new();
    encode(&coded, fixed::records(records), &mut |octets| file.extend_from_slice(octets))?;
    if file.len() != (records as usize + 2) * fixed::RECORD_OCTETS {
        return Err(format!("a master file of {} octets", file.len()));
    }
    let columns = [FIXED_DECODING, FIXED_PASSING, FIXED_WRITING];
    round(&coded, &file, records, columns, figures)?;
    Ok(file)
}

/// Builds a state while it is decoded.
struct Building<'b>(Builder<'b>);

impl Sink for Building<'_> {
    fn item(&mut self, item: Item) {
        if let Item::Record(record) = item {
            self.0.push(*record);
        }
    }

    fn quirk(&mut self, _: Quirk) {}
}

fn state_of(octets: &[u8], base: &State) -> Result<State, String> {
    let mut building = Building(Builder::new(base));
    decode(&host_tables(), octets, &mut building)?;
    Ok(building.0.finish().0)
}

/// The most memory that this process has had, in octets.
fn peak_octets() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024.0)
}

/// From two files to the merged state.
fn merge_round(records: u32, figures: &mut Figures) -> Result<(), String> {
    let base = state_of(&table(records, 0), &State::default())?;
    let theirs = state_of(&table(records, 1), &base)?;
    let (merged, seconds) = timed(|| {
        Ok(merge(&Sides {
            base: &base,
            base_revision: 0,
            ours: &base,
            theirs: &theirs,
            duplicates: &[],
            quarantined: &[],
            kind: &InputKind::Full,
            missing: &BTreeMap::new(),
            policy: &Policy::new(Format::HostsTxt),
        }))
    })?;
    let changed = records.div_ceil(CHANGED_EVERY) as usize;
    if merged.outcomes.len() != changed || merged.merged.len() != records as usize {
        return Err(format!("{} of {changed} changes were merged", merged.outcomes.len()));
    }
    figures.entry(MERGING).or_default().push(seconds);
    Ok(())
}

/// The same table as the next generation: nothing may change.
fn resync_round(records: u32, figures: &mut Figures) -> Result<(), String> {
    let octets = table(records, 0);
    let base = state_of(&octets, &State::default())?;
    let state = SourceState { base, generation: Some(1), ..SourceState::default() };
    let (plan, seconds) = timed(|| {
        let theirs = state_of(&octets, &state.base)?;
        let input = Input {
            source: "bench".to_owned(),
            generation: 2,
            file_sha256: [2; 32],
            kind: InputKind::Full,
            theirs,
            duplicates: Vec::new(),
            quarantined: Vec::new(),
        };
        let policy = Policy::new(Format::HostsTxt);
        plan(&state, &state.base, &input, &policy).map_err(|error| error.to_string())
    })?;
    let unchanged = plan.merge.unchanged;
    if !plan.merge.outcomes.is_empty() || unchanged != records as usize {
        let changes = plan.merge.outcomes.len();
        return Err(format!("{changes} changes, {unchanged} of {records} records unchanged"));
    }
    if plan.merge.merged != state.base || !plan.holds.is_empty() {
        return Err("a file without a change changed the cluster".to_owned());
    }
    figures.entry(RESYNC).or_default().push(seconds);
    Ok(())
}

/// Measures.
pub(crate) fn measure(options: &Options, command_line: String) -> Result<Sheet, String> {
    let records = if options.is_quick { RECORDS_QUICK } else { RECORDS };
    let conditions = Conditions::look();
    machine::pin_this_thread(GENERATOR_PROCESSOR);
    let mut figures = Figures::new();
    // First, for the peak of memory: it has the tables' octets in it, as a command would.
    merge_round(records, &mut figures)?;
    let peak = peak_octets().map(|octets| octets / f64::from(1 << 20));
    figures.entry(MEMORY).or_default().extend(peak);
    let mut master = Vec::new();
    for number in 0..options.rounds {
        if number > 0 {
            merge_round(records, &mut figures)?;
        }
        resync_round(records, &mut figures)?;
        let octets = table(records, 0);
        let columns = [DECODING, PASSING, WRITING];
        round(&host_tables(), &octets, records, columns, &mut figures)?;
        master = fixed_round(records, &mut figures)?;
    }
    let mut warnings: Vec<String> = conditions.warning.into_iter().collect();
    match fixed::python_megabytes_per_second(&master) {
        Ok(found) => figures.entry(FIXED_PYTHON).or_default().push(found),
        Err(reason) => warnings.push(reason),
    }
    Ok(Sheet {
        benchmark: "bridge".to_owned(),
        title: "Legacy bridge".to_owned(),
        unix_seconds: unix_seconds(),
        command_line,
        machine: conditions.machine,
        method: method(records, options.rounds),
        warnings,
        targets: targets(&figures, options.is_quick),
        tables: tables(&figures, records),
        checks: vec![
            "every record was read, and every change was merged".to_owned(),
            "the same table as the next generation changed nothing".to_owned(),
        ],
        servers: Vec::new(),
        is_sound: true,
    })
}

fn method(records: u32, rounds: u32) -> String {
    format!(
        "A host table of {records} entries in the form of RFC 952, and a master file of {records} \
         records of 80 octets in CCSID 273, decoded, passed through, and written anew from their \
         fields; the table merged with one in which every {CHANGED_EVERY}th record differs, and \
         read again without a change. Medians of {rounds} round(s). The reader in Python is \
         coboljsonifier with the first 20,000 of the same fixed records."
    )
}

fn cell(figures: &Figures, column: &str) -> Option<Cell> {
    figures.get(column).and_then(|values| Cell::of(values))
}

fn tables(figures: &Figures, records: u32) -> Vec<Table> {
    let table = |title: String, note: &str, columns: &[&'static str]| Table {
        title,
        note: note.to_owned(),
        columns: columns.iter().map(|title| Column::plotted(title, 2)).collect(),
        rows: vec![Row {
            name: "einhorn".to_owned(),
            cells: columns.iter().map(|column| cell(figures, column)).collect(),
        }],
        compares: false,
    };
    let note = "Processor time of one thread. A merge has base and ours in common.";
    let hosts = [DECODING, PASSING, WRITING, MERGING, RESYNC, MEMORY];
    let fixed = [FIXED_DECODING, FIXED_PASSING, FIXED_WRITING, FIXED_PYTHON];
    vec![
        table(format!("{records} records"), note, &hosts),
        table(format!("{records} fixed records"), "Processor time of one thread.", &fixed),
    ]
}

fn targets(figures: &Figures, is_quick: bool) -> Vec<Target> {
    let target = |title: &str, column, limit: f64, is_reached: fn(f64, f64) -> bool| {
        let found = cell(figures, column).map(|cell| cell.value);
        let verdict = match found {
            None => "not measured".to_owned(),
            Some(_) if is_quick => "**not judged**: the table was too small".to_owned(),
            Some(found) if is_reached(found, limit) => "reached".to_owned(),
            Some(_) => "**missed**".to_owned(),
        };
        let found = found.map(|found| format!("{found:.2}"));
        Target { title: title.to_owned(), found, verdict }
    };
    let (at_least, at_most) = (|a: f64, b: f64| a >= b, |a: f64, b: f64| a <= b);
    let (hosts, fixed) = (MEGABYTES_PER_SECOND_MIN, FIXED_MEGABYTES_PER_SECOND_MIN);
    let mebibytes = MERGE_OCTETS_MAX / f64::from(1 << 20);
    vec![
        target("decoding: at least 100 MB/s", DECODING, hosts, at_least),
        target("writing anew: at least 100 MB/s", WRITING, hosts, at_least),
        target("fixed records, decoding: at least 200 MB/s", FIXED_DECODING, fixed, at_least),
        target("fixed records, passing: at least 200 MB/s", FIXED_PASSING, fixed, at_least),
        target("fixed records, writing anew: at least 200 MB/s", FIXED_WRITING, fixed, at_least),
        target("merging: at most 5 s", MERGING, MERGE_SECONDS_MAX, at_most),
        target("merging: at most 1 GiB", MEMORY, mebibytes, at_most),
    ]
}
