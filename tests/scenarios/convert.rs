//! `einhorn bridge convert` with files that are not what they should be: a refused file is exit
//! code 1, says which file, record and offset, and leaves no output; losses are no failure.

use super::command_line::EINHORN;
use einhorn_harness::{run, scratch};
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Command;

const COPYBOOK: &str = include_str!("../interop/mainframe/master.cpy");
const LAYOUT: &str = include_str!("../interop/mainframe/master.toml");
const CARD_COPYBOOK: &str = include_str!("../interop/mainframe/cards.cpy");
const CARD_LAYOUT: &str = include_str!("../interop/mainframe/cards.toml");
/// Octets of a record of the master.
const RECORD: usize = 80;
/// Octets of a line that nobody has memory for.
const ENDLESS_OCTETS: u64 = 10_000_000_000;
const TABLE: &str = "HOST : 10.0.0.1 : ALPHA : VAX : UNIX : :\n\
                     HOST : 10.0.0.2 : BRAVO : VAX : UNIX : :\n\
                     HOST : 10.0.0.3 : CHARLIE : VAX : UNIX : :\n";

fn convert(folder: &Path, from: &str, to: &str, file: &str, output: &str) -> Command {
    let mut command = Command::new(EINHORN);
    command.current_dir(folder).args(["bridge", "convert", "--from", from, "--to", to, file]);
    command.args(["--output", output, "--report", "report.json"]);
    if from == "copybook" || to == "copybook" {
        command.args(["--copybook", "master.cpy", "--layout", "master.toml"]);
    }
    command
}

/// A folder with a master of three hosts, and the master.
fn master() -> (tempfile::TempDir, Vec<u8>) {
    let folder = scratch();
    let path = folder.path();
    fs::write(path.join("master.cpy"), COPYBOOK).expect("a file");
    fs::write(path.join("master.toml"), LAYOUT).expect("a file");
    fs::write(path.join("table"), TABLE).expect("a file");
    run(&mut convert(path, "hosts-txt", "copybook", "table", "master")).good();
    let master = fs::read(path.join("master")).expect("a master");
    assert_eq!(master.len(), 5 * RECORD, "header, three details, trailer");
    (folder, master)
}

/// Asserts that the file is refused as a whole, with all of `parts`, and that there is no output.
fn assert_refused(folder: &Path, from: &str, file: &str, parts: &[&str]) {
    let said = run(&mut convert(folder, from, "json", file, "out")).failed(1);
    for part in parts {
        assert!(said.contains(part), "no `{part}` in: {said}");
    }
    assert!(!folder.join("out").exists(), "a refused file has no output");
}

#[test]
fn masters_that_are_broken_are_refused_with_file_record_and_offset() {
    let (folder, master) = master();
    let folder = folder.path();
    let check = |octets: &[u8], parts: &[&str]| {
        fs::write(folder.join("broken"), octets).expect("a file");
        assert_refused(folder, "copybook", "broken", &[&["broken is refused"], parts].concat());
    };
    check(&master[..3 * RECORD + 7], &["line 4, octet 240", "ends within a record"]);
    check(&master[..4 * RECORD], &["line 5, octet 320", "no trailer"]);
    check(&[], &["line 1, octet 0", "empty"]);
    let mut wrong_count = master.clone();
    wrong_count[4 * RECORD + 4] += 1;
    check(&wrong_count, &["line 5, octet 320", "count 4", "3"]);
    let mut disordered = master.clone();
    disordered[RECORD..3 * RECORD].rotate_left(RECORD);
    check(&disordered, &["line 3, octet 160", "DTL-NAME", "out of order"]);
    let mut bad_generation = master.clone();
    bad_generation[9] = 0xaa;
    check(&bad_generation, &["line 1, octet 0", "HDR-GENERATION"]);
    // The master in another code page: nothing in it begins as a record of this layout does.
    let ascii: Vec<u8> = master.iter().map(|octet| octet & 0x7f).collect();
    check(&ascii, &["line 1, octet 0", "no header"]);
}

#[test]
fn invalid_packed_digits_quarantine_their_record_alone() {
    let (folder, mut master) = master();
    let folder = folder.path();
    // The first address of the second host.
    master[2 * RECORD + 29] = 0xff;
    fs::write(folder.join("odd"), &master).expect("a file");
    run(&mut convert(folder, "copybook", "json", "odd", "out")).good();
    let report = fs::read(folder.join("report.json")).expect("a report");
    let report: serde_json::Value = serde_json::from_slice(&report).expect("JSON");
    let quarantined = &report["quarantined"][0];
    assert_eq!(quarantined["line"], 3, "{report}");
    assert_eq!(quarantined["offset"], 160, "{report}");
    assert_eq!(report["quarantined"].as_array().map(Vec::len), Some(1), "{report}");
    run(&mut convert(folder, "copybook", "copybook", "odd", "again")).good();
    assert_eq!(fs::read(folder.join("again")).expect("the output"), master);
}

#[test]
fn layouts_that_do_not_fit_name_their_file() {
    let (folder, master) = master();
    let folder = folder.path();
    fs::write(folder.join("file"), &master).expect("a file");
    let with = |name: &str, text: &str, parts: &[&str]| {
        let before = fs::read(folder.join(name)).expect("a file");
        fs::write(folder.join(name), text).expect("a file");
        assert_refused(folder, "copybook", "file", parts);
        fs::write(folder.join(name), before).expect("a file");
    };
    with("master.cpy", "       01  X.\n           05  Y PIC QQ.\n", &["master.cpy:2:"]);
    with("master.toml", &LAYOUT.replace("DTL-NAME", "DTL-NONE"), &["master.toml", "DTL-NONE"]);
    with("master.toml", "code_page = 273", &["master.toml"]);
    let uneven = COPYBOOK.replace("X(13)", "X(14)");
    with("master.cpy", &uneven, &["master.toml", "of one length"]);
    // It fits itself, but not the file.
    let longer = uneven.replace("X(66)", "X(67)").replace("X(65)", "X(66)");
    with("master.cpy", &longer, &["file is refused", "line 2, octet 81"]);
}

#[test]
fn a_master_becomes_cards_by_a_layout_of_their_own() {
    let (folder, _) = master();
    let folder = folder.path();
    fs::write(folder.join("cards.cpy"), CARD_COPYBOOK).expect("a file");
    fs::write(folder.join("cards.toml"), CARD_LAYOUT).expect("a file");
    let to_cards = |output| {
        let mut command = convert(folder, "copybook", "cards", "master", output);
        command.args(["--to-copybook", "cards.cpy", "--to-layout", "cards.toml"]);
        command
    };
    run(&mut to_cards("deck")).good();
    assert_eq!(fs::read(folder.join("deck")).expect("a deck").len(), 3 * RECORD);
    let broken = CARD_LAYOUT.replace("CARD-NAME", "CARD-NONE");
    fs::write(folder.join("cards.toml"), broken).expect("a file");
    let said = run(&mut to_cards("none")).failed(1);
    assert!(said.contains("cards.toml") && said.contains("CARD-NONE"), "{said}");
    assert!(!folder.join("none").exists(), "nothing is written");
}

/// A file that is one endless line from `begin` on; it takes no room on the disk.
fn endless(path: &Path, begin: &[u8]) {
    let mut file = File::create(path).expect("a file");
    file.write_all(begin).expect("written");
    file.seek(SeekFrom::Start(ENDLESS_OCTETS - 1)).expect("a sparse file");
    file.write_all(b"\n").expect("written");
}

#[test]
fn an_endless_line_is_refused_without_being_read() {
    let folder = scratch();
    let folder = folder.path();
    for from in ["rfc606", "etc-hosts", "zone", "dhcpd-leases"] {
        endless(&folder.join("endless"), b"; one line\n");
        let parts =
            ["endless is refused", "line 2, octet 11", "a line of more than 1048576 octets"];
        assert_refused(folder, from, "endless", &parts);
    }
}

#[test]
fn what_is_odd_in_a_host_table_is_no_failure() {
    let folder = scratch();
    let folder = folder.path();
    let odd: Vec<u8> = (0..=255).chain(*b"\nHOST : 1.2.3.4 : A :\r\nHOST : 1.2\n").collect();
    fs::write(folder.join("odd"), &odd).expect("a file");
    run(&mut convert(folder, "hosts-txt", "hosts-txt", "odd", "again")).good();
    assert_eq!(fs::read(folder.join("again")).expect("the output"), odd);
    run(&mut convert(folder, "hosts-txt", "etc-hosts", "odd", "lossy")).good();
    assert_eq!(fs::read_to_string(folder.join("lossy")).expect("the output"), "1.2.3.4\tA\n");
}

#[test]
fn bind_accepts_the_zone_of_a_host_table() {
    let folder = scratch();
    let folder = folder.path();
    fs::write(folder.join("table"), TABLE).expect("a file");
    fs::write(folder.join("local"), format!("{TABLE}HOST : 10.0.0.9 : MANY,LOCALHOST ::::\n"))
        .expect("a file");
    for (file, origin) in [("table", "."), ("local", "."), ("table", "example.")] {
        let mut command = convert(folder, "hosts-txt", "zone", file, "zone");
        run(command.args(["--origin", origin])).good();
        let check =
            Command::new("named-checkzone").args([origin, "zone"]).current_dir(folder).output();
        let Ok(check) = check else {
            eprintln!("SKIPPED: there is no named-checkzone");
            return;
        };
        let said = String::from_utf8_lossy(&check.stdout).into_owned();
        let zone = fs::read_to_string(folder.join("zone")).expect("the zone");
        assert!(check.status.success(), "{file} in {origin}: {said}\n{zone}");
    }
}
