//! Days and nights with a mainframe: its nightly run, in COBOL, takes the bridge's cards and writes its next
//! master, which the bridge applies. Both sides change hosts by day.
//!
//! Where GnuCOBOL is not installed this says so and passes, unless `EINHORN_REQUIRE_PEERS` is set.

use super::support::Bridge;
use einhorn_bridge::cards::{Action, Card};
use einhorn_bridge::codec::{Format, Layout, Options, encoder};
use einhorn_bridge::item::{Item, Output};
use einhorn_bridge::record::{Address, Field, Fields, HostId, Key, Kind};
use einhorn_harness::{ZONE, await_that};
use std::path::{Path, PathBuf};
use std::process::Command;

const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/interop/mainframe");

/// The nightly program; `None` where there is no compiler.
fn compile(folder: &Path) -> Option<PathBuf> {
    let program = folder.join("night");
    let mut command = Command::new("cobc");
    command.args(["-x", "-I", SOURCES, "-o"]).arg(&program);
    match command.arg(Path::new(SOURCES).join("night.cob")).output() {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{said}");
            Some(program)
        }
        Err(error) => {
            let message = format!("there is no COBOL compiler (cobc): {error}");
            assert!(std::env::var_os("EINHORN_REQUIRE_PEERS").is_none(), "{message}");
            eprintln!("SKIPPED: {message}");
            None
        }
    }
}

fn source() -> String {
    let forms = |name: &str| {
        format!(
            "format = \"{}\"\ncopybook = \"{SOURCES}/{name}.cpy\"\nlayout = \"{SOURCES}/{name}.toml\"\n",
            if name == "cards" { "cards" } else { "copybook" }
        )
    };
    format!(
        "[[source]]\nname = \"nic\"\nzone = \"{ZONE}\"\ninput = \"full\"\nmissing-generations = 1\n\
         name-octets-max = 16\n{}[source.output]\nspool = \"spool\"\n{}",
        forms("master"),
        forms("cards")
    )
}

/// A mainframe beside a bridge.
struct Mainframe<'b> {
    bridge: &'b Bridge,
    program: PathBuf,
    /// The newest master.
    master: PathBuf,
}

impl Mainframe<'_> {
    /// A night over the newest master: the report's lines but for the last.
    fn night(&self, deck: &Path) -> Vec<String> {
        let (new, report) = (self.bridge.path().join("new"), self.bridge.path().join("report"));
        std::fs::write(&new, b"").expect("a file");
        let output = Command::new(&self.program)
            .env("TODAY", "96123")
            .env("MASTERIN", &self.master)
            .env("CARDSIN", deck)
            .env("MASTEROUT", &new)
            .env("REPORTOUT", &report)
            .output()
            .expect("the program starts");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        std::fs::rename(new, &self.master).expect("the new master");
        let report = std::fs::read(report).expect("a report");
        let text: String = report.into_iter().map(char::from).collect();
        let mut lines: Vec<String> = text.lines().map(|line| line.trim_end().to_owned()).collect();
        assert!(lines.pop().is_some_and(|last| last.starts_with("MASTER WRITTEN")), "{lines:?}");
        lines
    }

    /// A deck that somebody at the mainframe punched.
    fn punch(&self, cards: Vec<Card>) -> PathBuf {
        let read = |name: &str| std::fs::read_to_string(Path::new(SOURCES).join(name)).expect(name);
        let layout = Layout { copybook: read("cards.cpy"), layout: read("cards.toml") };
        let options = Options { layout: Some(layout), ..Options::default() };
        let mut encode = encoder(Format::Cards, &options).expect("a layout");
        let mut out = Output::default();
        for card in cards {
            let id = HostId::first_seen("mainframe", &card.key);
            encode.push(Item::Record(Box::new(card.into_record(id))), &mut out).expect("a card");
        }
        encode.finish(&mut out).expect("a deck");
        let deck = self.bridge.path().join("deck");
        std::fs::write(&deck, out.octets).expect("a deck");
        deck
    }

    fn export(&self) -> String {
        self.bridge.bridge("export", &[]).good()
    }

    fn spool(&self, number: u32) -> PathBuf {
        self.bridge.path().join("spool").join(format!("{number:06}"))
    }
}

fn change(name: &str, fields: Fields) -> Card {
    let key = Key { kind: Kind::Host, name: name.into() };
    Card { action: Action::Change, key, fields, cleared: Vec::new(), base_revision: Some(1) }
}

fn has(bridge: &Bridge, line: &str) -> bool {
    bridge.records().iter().any(|record| record.replace('"', "") == line)
}

/// Waits until the ledger's history of a name says so; it follows the log at once, but not before.
fn await_history(bridge: &Bridge, label: &str, part: &str) {
    await_that("the history", || {
        let history = bridge.history(label);
        if history.contains(part) { Ok(()) } else { Err(history) }
    });
}

/// The mainframe learns of everything that the zone has.
fn first_night(bridge: &Bridge, mainframe: &Mainframe<'_>) {
    bridge.device("sri-nic", [26, 0, 0, 73]);
    let said = mainframe.export();
    assert!(said.contains("000001: 4 hosts changed"), "{said}");
    assert_eq!(mainframe.export().trim(), "nothing to send", "its names are held");
    let report = mainframe.night(&mainframe.spool(1));
    assert!(report.iter().all(|line| line.contains("ADDED")) && report.len() == 4, "{report:?}");
    let said = bridge.apply(&mainframe.master);
    assert!(said.contains("0 added") && said.contains(" 0 conflicts"), "{said}");
    assert_eq!(bridge.report()["records"], 4);
    assert_eq!(mainframe.export().trim(), "nothing to send");
}

#[test]
fn days_and_nights_with_changes_on_both_sides_converge() {
    let bridge = Bridge::start(&source());
    let Some(program) = compile(bridge.path()) else { return };
    std::fs::create_dir(bridge.path().join("spool")).expect("a folder");
    let mainframe = Mainframe { bridge: &bridge, program, master: bridge.path().join("MASTER") };
    first_night(&bridge, &mainframe);

    // The day. Devices: one moves, one leaves, one is new. At the mainframe: a machine, a nickname of the
    // host that moves, and an address, which is not the mainframe's to change.
    bridge.device("sri-nic", [10, 0, 0, 51]);
    bridge.device_leaves("multi");
    bridge.device("phone-1", [10, 9, 9, 9]);
    let said = mainframe.export();
    assert!(said.contains("000002: 3 hosts changed"), "{said}");
    // While that batch holds its name a device moves again: the ledger says that it did.
    bridge.device("phone-1", [10, 9, 9, 10]);
    await_history(&bridge, "phone-1", "a batch of a legacy system holds the name");
    let address = Address::V4([6, 6, 6, 6].into());
    let punched = mainframe.punch(vec![
        change("HOST", Fields { machine: Field::text(b"CRAY-1"), ..Fields::default() }),
        change("NS", Fields { addresses: Field::list(vec![address]), ..Fields::default() }),
        change(
            "SRI-NIC",
            Fields { nicknames: Field::list(vec!["NIC".into()]), ..Fields::default() },
        ),
    ]);
    let report = mainframe.night(&punched);
    assert!(report.iter().all(|line| line.contains("CHANGED")), "{report:?}");
    // The cards of the day were made before that: one of them is rejected.
    let report = mainframe.night(&mainframe.spool(2));
    let says = |name: &str, what: &str| {
        report.iter().any(|line| line.contains(what) && line.ends_with(name))
    };
    assert!(says("MULTI", "DELETED") && says("PHONE-1", "ADDED"), "{report:?}");
    assert!(says("SRI-NIC", "STALE"), "{report:?}");
    let said = bridge.apply(&mainframe.master);
    assert!(said.contains("conflict: HOST NS: not-owner"), "{said}");
    assert!(said.contains(" 1 conflicts"), "what it was told itself is no news: {said}");
    assert!(has(&bridge, "phone-1 60 a 10.9.9.10"), "{:#?}", bridge.records());
    await_history(&bridge, "host", "by source nic");
    let is_cray =
        |record: &String| record.starts_with("host 86400 hinfo") && record.contains("cray-1");
    assert!(bridge.records().iter().any(is_cray), "{:#?}", bridge.records());
    assert!(has(&bridge, "nic 86400 cname sri-nic"), "{:#?}", bridge.records());
    assert!(has(&bridge, "sri-nic 60 a 10.0.0.51"), "{:#?}", bridge.records());
    assert!(has(&bridge, "ns 300 a 192.0.2.53"), "{:#?}", bridge.records());
    let listed = bridge.review(&["list"]).good();
    let id = listed.split_whitespace().next().expect("an id").to_owned();
    let shown = bridge.review(&["show", &id]).good();
    assert!(shown.contains("HOST NS addresses=6.6.6.6"), "{shown}");
    bridge.review(&["resolve", &id, "keep"]).good();

    // The rejected card is written again, and the address that stays is told to the mainframe.
    let said = mainframe.export();
    assert!(said.contains("000003: 3 hosts changed"), "{said}");
    let report = mainframe.night(&mainframe.spool(3));
    assert!(report.iter().all(|line| line.contains("CHANGED")) && report.len() == 3, "{report:?}");
    let said = bridge.apply(&mainframe.master);
    assert!(said.contains(" 0 conflicts"), "{said}");
    assert_eq!(mainframe.export().trim(), "nothing to send", "both sides say the same");
    assert_eq!(bridge.report()["records"], 4);
    assert!(has(&bridge, "sri-nic 60 a 10.0.0.51") && has(&bridge, "phone-1 60 a 10.9.9.10"));
    assert_eq!(bridge.review(&["list"]).good().trim(), "nothing waits");
}
