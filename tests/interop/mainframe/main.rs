//! The bridge and programs in COBOL, which write and read each other's files.
//!
//! Programs are compiled by GnuCOBOL. Where it is not installed these tests say so and pass, unless
//! `EINHORN_REQUIRE_PEERS` is set.

use einhorn_bridge::cards::Card;
use einhorn_bridge::codec::{Format, Layout, Options, Refusal};
use einhorn_bridge::copybook::{self, BinarySizes, Kind, SignPlace, SourceForm, Zones, numeric};
use einhorn_bridge::item::{Item, Output, Quirk, Sink};
use einhorn_bridge::record::{self, Address, Field, Fields, HostId, Key, Moment, Record};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/interop/mainframe");
const MASTER: Described = Described {
    format: Format::Copybook,
    copybook: include_str!("master.cpy"),
    layout: include_str!("master.toml"),
};
const CARDS: Described = Described {
    format: Format::Cards,
    copybook: include_str!("cards.cpy"),
    layout: include_str!("cards.toml"),
};
/// The day of the runs, as YYDDD: 2 May 1996.
const TODAY: &str = "96123";

/// A format with what describes it.
struct Described {
    format: Format,
    copybook: &'static str,
    layout: &'static str,
}

#[derive(Default)]
struct Found(Vec<Item>);

impl Sink for Found {
    fn item(&mut self, item: Item) {
        self.0.push(item);
    }

    fn quirk(&mut self, quirk: Quirk) {
        panic!("no quirk is expected: {quirk:?}");
    }
}

impl Described {
    fn options(&self) -> Options {
        let (copybook, layout) = (self.copybook.to_owned(), self.layout.to_owned());
        Options { layout: Some(Layout { copybook, layout }), ..Options::default() }
    }

    fn try_read(&self, file: &[u8]) -> Result<(Vec<Item>, Option<u64>), Refusal> {
        let mut found = Found::default();
        let mut decoder = copybook::decoder(self.format, &self.options())?;
        decoder.push(file, &mut found)?;
        let source = decoder.finish(&mut found)?;
        Ok((found.0, source.generation))
    }

    fn read(&self, file: &[u8]) -> (Vec<Item>, Option<u64>) {
        self.try_read(file).unwrap_or_else(|refusal| panic!("{refusal}: {}", hex(file)))
    }

    /// The file of these items, and what it lost.
    fn write(&self, items: Vec<Item>) -> Output {
        let mut out = Output::default();
        let mut encoder = copybook::encoder(self.format, &self.options()).expect("a layout");
        for item in items {
            encoder.push(item, &mut out).expect("accepted");
        }
        encoder.finish(&mut out).unwrap_or_else(|refusal| panic!("{refusal}"));
        out
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// A compiled program and a folder for its files.
struct Program {
    path: PathBuf,
    folder: TempDir,
}

impl Program {
    /// Compiles `source`; `None` where there is no compiler.
    fn compile(source: &str, options: &[&str]) -> Option<Program> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("program");
        let mut command = Command::new("cobc");
        command.args(["-x", "-I", SOURCES]).args(options).arg("-o").arg(&path);
        let output = match command.arg(Path::new(SOURCES).join(source)).output() {
            Ok(output) => output,
            Err(error) => {
                let message = format!("there is no COBOL compiler (cobc): {error}");
                assert!(std::env::var_os("EINHORN_REQUIRE_PEERS").is_none(), "{message}");
                eprintln!("SKIPPED: {message}");
                return None;
            }
        };
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "cobc {source}: {said}");
        Some(Program { path, folder })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        let path = self.file(name);
        std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    fn run(&self, files: &[(&str, &str)]) -> i32 {
        let mut command = Command::new(&self.path);
        for (variable, file) in files {
            command.env(variable, self.file(file));
        }
        let output = command.env("TODAY", TODAY).output().expect("the program starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.is_empty(), "{}: {said}", output.status);
        output.status.code().expect("it ends by itself")
    }

    /// The nightly run over a master, if there is one, and a deck: its exit code, the new master
    /// and the lines of the report.
    fn night(&self, master: Option<&[u8]>, deck: &[u8]) -> (i32, Vec<u8>, Vec<String>) {
        let write = |name: &str, octets: &[u8]| {
            std::fs::write(self.file(name), octets).expect("written");
        };
        // A file that is not there is no master; one from the run before must not stay.
        let _ = std::fs::remove_file(self.file("old"));
        if let Some(master) = master {
            write("old", master);
        }
        write("cards", deck);
        write("new", b"");
        let files = [
            ("MASTERIN", "old"),
            ("CARDSIN", "cards"),
            ("MASTEROUT", "new"),
            ("REPORTOUT", "report"),
        ];
        let code = self.run(&files);
        let report = latin1(&self.read("report"));
        (code, self.read("new"), report.lines().map(|line| line.trim_end().to_owned()).collect())
    }
}

fn latin1(octets: &[u8]) -> String {
    einhorn_bridge::ebcdic::CodePage::Latin1.decode(octets)
}

fn host(name: &str, address: &str, machine: &str) -> Record {
    let key = Key { kind: record::Kind::Host, name: name.into() };
    let fields = Fields {
        addresses: Field::list(vec![Address::V4(address.parse().expect("an address"))]),
        machine: Field::text(machine.as_bytes()),
        ..Fields::default()
    };
    Record::new(HostId::first_seen("file", &key), key, fields)
}

/// The hosts of a master, by name.
fn hosts(items: &[Item]) -> BTreeMap<String, Record> {
    let named = items.iter().filter_map(|item| match item {
        Item::Record(record) => Some((record.key.name.to_string(), (**record).clone())),
        Item::Quarantined(entry) => panic!("{entry:?}"),
        Item::Between(_) => None,
    });
    named.collect()
}

/// What both sides of a cycle know of a host, but for the day of its last change.
fn known(hosts: &BTreeMap<String, Record>) -> Vec<(String, Fields)> {
    let known = |(name, record): (&String, &Record)| {
        (name.clone(), Fields { changed: Field::Unset, ..record.fields().clone() })
    };
    hosts.iter().map(known).collect()
}

/// The deck that makes `ours` of `theirs`.
fn deck(theirs: &BTreeMap<String, Record>, ours: &BTreeMap<String, Record>) -> Vec<u8> {
    let mut names: Vec<&String> = theirs.keys().chain(ours.keys()).collect();
    names.sort();
    names.dedup();
    let written = |field| field != record::FieldName::Changed;
    let cards = names.into_iter().filter_map(|name| {
        let card = Card::between(theirs.get(name), ours.get(name), written)?;
        let id = HostId::first_seen("file", &card.key);
        Some(Item::Record(Box::new(card.into_record(id))))
    });
    let out = CARDS.write(cards.collect());
    assert_eq!(out.losses, []);
    out.octets
}

fn by_name(records: impl IntoIterator<Item = Record>) -> BTreeMap<String, Record> {
    records.into_iter().map(|record| (record.key.name.to_string(), record)).collect()
}

#[test]
fn a_day_and_night_cycle_converges() {
    let Some(program) = Program::compile("night.cob", &[]) else { return };
    // The first night: the mainframe makes its master from cards alone.
    let mut cluster = by_name([
        host("SRI-NIC", "26.0.0.73", "FOONLY"),
        host("MÜNCHEN", "192.0.2.7", "VAX-780"),
        host("1822", "10.1.0.5", ""),
    ]);
    let (code, master, report) = program.night(None, &deck(&BTreeMap::new(), &cluster));
    assert_eq!(code, 0, "{report:?}");
    assert_eq!(
        report,
        [
            "00000010 ADDED        1822",
            "00000020 ADDED        MÜNCHEN",
            "00000030 ADDED        SRI-NIC",
            "MASTER WRITTEN: GENERATION      1",
        ]
    );
    let (items, generation) = MASTER.read(&master);
    assert_eq!(generation, Some(1));
    let theirs = hosts(&items);
    assert_eq!(known(&theirs), known(&cluster));
    // 2 May 1996, midnight in Berlin, in summer time.
    assert_eq!(theirs["1822"].fields().changed, Field::Value(Moment::At(830_988_000)));
    assert_eq!(MASTER.write(items).octets, master, "a cycle without changes");

    // The day: the cluster changes one host, clears a field, deletes one, and adds one.
    let mut fields = cluster["SRI-NIC"].fields().clone();
    let second = Address::V4("10.0.0.51".parse().expect("an address"));
    fields.addresses = Field::list(vec![second, fields.addresses.elements()[0].clone()]);
    fields.nicknames = Field::list(vec!["NIC".into()]);
    fields.machine = Field::Unset;
    fields.expires = Field::Value(Moment::Never);
    cluster.get_mut("SRI-NIC").expect("there").set_fields(fields);
    cluster.remove("1822");
    cluster.extend(by_name([host("Ä-1", "192.0.2.8", "PDP-11")]));
    let day = deck(&theirs, &cluster);
    let (code, master, report) = program.night(Some(&master), &day);
    assert_eq!(code, 0, "{report:?}");
    assert_eq!(
        report,
        [
            "00000010 DELETED      1822",
            "00000020 CHANGED      SRI-NIC",
            "00000030 ADDED        Ä-1",
            "MASTER WRITTEN: GENERATION      2",
        ]
    );
    let (items, generation) = MASTER.read(&master);
    assert_eq!(generation, Some(2));
    let theirs = hosts(&items);
    assert_eq!(known(&theirs), known(&cluster));
    assert!(deck(&theirs, &cluster).is_empty(), "nothing is left to say");

    // The same deck once more: its revisions are those of the day before.
    let (code, again, report) = program.night(Some(&master), &day);
    assert_eq!(code, 0, "{report:?}");
    assert_eq!(
        report,
        [
            "00000010 UNKNOWN      1822",
            "00000020 STALE        SRI-NIC",
            "00000030 DUPLICATE    Ä-1",
            "MASTER WRITTEN: GENERATION      3",
        ]
    );
    assert_eq!(known(&hosts(&MASTER.read(&again).0)), known(&cluster));
}

#[test]
fn the_nightly_run_accepts_a_master_that_the_bridge_wrote() {
    let Some(program) = Program::compile("night.cob", &[]) else { return };
    let records = ["ZÜRICH", "A1", "AB", "ÄB"].map(|name| host(name, "192.0.2.1", "VAX"));
    let out = MASTER.write(records.map(|record| Item::Record(Box::new(record))).into());
    assert_eq!(out.losses, []);
    let (code, master, report) = program.night(Some(&out.octets), b"");
    assert_eq!((code, &report[..]), (0, &["MASTER WRITTEN: GENERATION      2".to_owned()][..]));
    assert_eq!(known(&hosts(&MASTER.read(&master).0)), known(&hosts(&MASTER.read(&out.octets).0)));

    // Both sides refuse the same files.
    type Fault = (fn(&mut Vec<u8>), &'static str);
    let faults: [Fault; 4] = [
        (|file| drop(file.drain(160..240)), "BAD COUNT"),
        (|file| file[84] ^= 0x10, "BAD HASH"),
        (|file| file[85] = 0xf9, "NOT SORTED"),
        (|file| file[160] = 0x40, "BAD TYPE"),
    ];
    for (fault, says) in faults {
        let mut file = out.octets.clone();
        fault(&mut file);
        let refusal = MASTER.try_read(&file).expect_err(says);
        let (code, _, report) = program.night(Some(&file), b"");
        assert_eq!(
            (code, &report[0][..]),
            (8, &format!("MASTER REFUSED: {says}")[..]),
            "{refusal}"
        );
    }
}

#[test]
fn numbers_are_those_that_cobol_writes() {
    for (options, zones) in
        [(&[][..], Zones::AsciiGnucobol), (&["-fsign=EBCDIC"][..], Zones::AsciiOverpunch)]
    {
        let Some(program) = Program::compile("numbers.cob", options) else { return };
        assert_eq!(program.run(&[("NUMBERSOUT", "numbers")]), 0);
        let file = program.read("numbers");
        let copybook = include_str!("numbers.cpy");
        let form = (SourceForm::Fixed, BinarySizes::OneTwoFourEight);
        let record = &copybook::parse("numbers.cpy", copybook, form.0, form.1).expect("parses")[0];
        let values = [0, 7, -7, 1230, -1230, 9999, -9999];
        assert_eq!(file.len(), values.len() * record.length, "{}", hex(&file));
        for (value, octets) in values.into_iter().zip(file.chunks(record.length)) {
            for field in record.fields.iter().filter(|field| field.kind != Kind::Group) {
                let octets = &octets[field.offset..field.offset + field.length];
                check_number(field, octets, value, zones);
            }
        }
    }
}

/// That a field holds `value`, and that writing it gives the same octets.
fn check_number(field: &copybook::Field, octets: &[u8], value: i128, zones: Zones) {
    let what = format!("{value} in {:?}: {}", field.path, hex(octets));
    let mut ours = vec![0; field.length];
    match field.kind {
        Kind::Zoned { sign, .. } => {
            assert_ne!(sign, SignPlace::None);
            assert_eq!(numeric::decode_zoned(octets, sign, zones), Ok(value), "{what}");
            numeric::encode_zoned(value, &mut ours, sign, zones).expect("fits");
        }
        Kind::Packed { digits, signed, .. } => {
            assert_eq!(numeric::decode_packed(octets, digits, signed), Ok(value), "{what}");
            numeric::encode_packed(value, &mut ours, digits, signed).expect("fits");
        }
        Kind::Binary { signed, native, .. } => {
            let little = native && cfg!(target_endian = "little");
            let mut octets = octets.to_vec();
            if little {
                octets.reverse();
            }
            assert_eq!(numeric::decode_binary(&octets, signed), value, "{what}");
            let limits = numeric::binary_range(field.length, signed);
            numeric::encode_binary(value, &mut ours, limits).expect("fits");
            if little {
                ours.reverse();
            }
        }
        Kind::Characters => ours = b"END".to_vec(),
        Kind::Group => {}
    }
    assert_eq!(hex(&ours), hex(octets), "{what}");
}
