//! The benchmark of the legacy bridge: how fast host tables are read and written, and what a merge
//! of a million records takes.
//!
//! It runs in the benchmark's process, in one thread, and touches no file but its reports.

use crate::machine::{self, GENERATOR_PROCESSOR};
use crate::options::Options;
use crate::place::Conditions;
use crate::sheet::{Cell, Column, Row, Sheet, Table, Target, unix_seconds};
use einhorn_bridge::codec::{self, Format, Refusal, decoder, encoder};
use einhorn_bridge::item::{Item, Output, Quirk, Sink};
use einhorn_bridge::merge::{Builder, InputKind, Policy, Sides, State, merge};
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

fn decode(octets: &[u8], sink: &mut dyn Sink) -> Result<(), String> {
    let words = |refusal: Refusal| refusal.to_string();
    let mut decode = decoder(Format::HostsTxt, &codec::Options::default()).map_err(words)?;
    for piece in octets.chunks(PIECE_OCTETS) {
        decode.push(piece, sink).map_err(words)?;
    }
    decode.finish(sink).map(drop).map_err(words)
}

/// Writes records; says how many octets they became.
fn encode(records: Vec<Record>) -> Result<u64, String> {
    let words = |refusal: Refusal| refusal.to_string();
    let mut encode = encoder(Format::HostsTxt, &codec::Options::default()).map_err(words)?;
    let (mut out, mut total) = (Output::default(), 0);
    for record in records {
        encode.push(Item::Record(Box::new(record)), &mut out).map_err(words)?;
        if out.octets.len() >= PIECE_OCTETS {
            total += out.octets.len() as u64;
            out.octets.clear();
        }
    }
    Ok(total + out.octets.len() as u64)
}

fn records_of(octets: &[u8]) -> Result<Vec<Record>, String> {
    let mut records = Records::default();
    decode(octets, &mut records)?;
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

fn round(records: u32, figures: &mut Figures) -> Result<(), String> {
    let octets = table(records, 0);
    let megabytes = octets.len() as f64 / 1e6;
    let mut add = |column, value| figures.entry(column).or_default().push(value);
    let (counted, seconds) = timed(|| {
        let mut counter = Counter::default();
        decode(&octets, &mut counter).map(|()| counter.0)
    })?;
    if counted != u64::from(records) {
        return Err(format!("{counted} of {records} records were read"));
    }
    add(DECODING, megabytes / seconds);
    let read = records_of(&octets)?;
    let (_, seconds) = timed(|| encode(read))?;
    add(PASSING, megabytes / seconds);
    let fresh = records_of(&octets)?.into_iter().map(|record| {
        let id = record.id;
        let (key, fields) = record.into_parts();
        Record::new(id, key, fields)
    });
    let fresh: Vec<_> = fresh.collect();
    let (written, seconds) = timed(|| encode(fresh))?;
    add(WRITING, written as f64 / 1e6 / seconds);

    Ok(())
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
    decode(octets, &mut building)?;
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
    for number in 0..options.rounds {
        if number > 0 {
            merge_round(records, &mut figures)?;
        }
        round(records, &mut figures)?;
    }
    let columns = [DECODING, PASSING, WRITING, MERGING, MEMORY];
    let cell = |column: &str| figures.get(column).and_then(|values| Cell::of(values));
    let table = Table {
        title: format!("{records} records"),
        note: "Processor time of one thread. A merge has base and ours in common.".to_owned(),
        columns: columns.map(|title| Column::plotted(title, 2)).into(),
        rows: vec![Row { name: "einhorn".to_owned(), cells: columns.map(cell).into() }],
        compares: false,
    };
    let is_small = options.is_quick.then_some("the table was too small");
    let target = |title: &str, column, limit: f64, is_reached: fn(f64, f64) -> bool| {
        let found = cell(column).map(|cell| cell.value);
        let verdict = match (found, is_small) {
            (None, _) => "not measured".to_owned(),
            (_, Some(reason)) => format!("**not judged**: {reason}"),
            (Some(found), None) if is_reached(found, limit) => "reached".to_owned(),
            _ => "**missed**".to_owned(),
        };
        let found = found.map(|found| format!("{found:.2}"));
        Target { title: title.to_owned(), found, verdict }
    };
    let (at_least, at_most) = (|a: f64, b: f64| a >= b, |a: f64, b: f64| a <= b);
    Ok(Sheet {
        benchmark: "bridge".to_owned(),
        title: "Legacy bridge".to_owned(),
        unix_seconds: unix_seconds(),
        command_line,
        machine: conditions.machine,
        method: format!(
            "A host table of {records} entries in the form of RFC 952, decoded, passed through, and written anew from its fields; then merged with one in which every {CHANGED_EVERY}th record differs. Medians of {} round(s).",
            options.rounds
        ),
        warnings: conditions.warning.into_iter().collect(),
        targets: vec![
            target("decoding: at least 100 MB/s", DECODING, MEGABYTES_PER_SECOND_MIN, at_least),
            target("writing anew: at least 100 MB/s", WRITING, MEGABYTES_PER_SECOND_MIN, at_least),
            target("merging: at most 5 s", MERGING, MERGE_SECONDS_MAX, at_most),
            target(
                "merging: at most 1 GiB",
                MEMORY,
                MERGE_OCTETS_MAX / f64::from(1 << 20),
                at_most,
            ),
        ],
        tables: vec![table],
        checks: vec!["every record was read, and every change was merged".to_owned()],
        servers: Vec::new(),
        is_sound: true,
    })
}
