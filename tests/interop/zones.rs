//! Whole zones: transfers, exports, and what the checkers of BIND and Knot say to them.

use crate::support::{EINHORN, Tool, dig, kdig, site};
use einhorn_harness::{KEY, Site, ZONE, ZONE_FILE, output, peer, run};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn export(site: &Site) -> String {
    let mut command = Command::new(EINHORN);
    command.args(["zone", "export", ZONE, "--data"]).arg(&site.data);
    run(&mut command).good()
}

fn transfer(site: &Site) -> Option<String> {
    dig(site, &["+noall", "+answer", "+onesoa", "-y", KEY, ZONE, "AXFR"])
}

/// The zone in BIND's own canonical text.
fn compiled(folder: &Path, text: &str) -> Option<String> {
    let program = peer("named-compilezone")?;
    let file = folder.join("to-compile.zone");
    fs::write(&file, text).expect("the zone file is written");
    let mut command = Command::new(program);
    command.args(["-q", "-i", "none", "-s", "full", "-o", "-", ZONE]).arg(file);
    let ran = run(&mut command);
    assert_eq!(ran.code, Some(0), "{ran:?}\n{text}");
    let mut lines: Vec<&str> = ran.stdout.lines().collect();
    lines.sort_unstable();
    Some(lines.join("\n"))
}

#[test]
fn zone_file_export_and_transfer_are_the_same_zone() {
    let (folder, site) = site();
    let (folder, export) = (folder.path(), export(&site));
    let Some(transferred) = transfer(&site) else { return };
    let Some(original) = compiled(folder, &format!("$ORIGIN {ZONE}\n{ZONE_FILE}")) else { return };
    assert_eq!(compiled(folder, &export), Some(original.clone()), "{export}");
    assert_eq!(compiled(folder, &transferred), Some(original), "{transferred}");
}

#[test]
fn after_updates_of_every_kind_export_and_transfer_still_agree() {
    let (folder, site) = site();
    let lines = "update add n.fleet.example. 60 TXT \"a;b\" \"c\\\"d\\\\e\" \"\\000\\255\"
update add n.fleet.example. 60 HTTPS 1 . alpn=h2 port=8443
update add o.fleet.example. 61 TYPE65280 \\# 2 0a0b
update add *.w.fleet.example. 62 A 192.0.2.3
update add a\\.b.fleet.example. 63 TXT dot
update add _x._udp.fleet.example. 64 SRV 1 2 3 host.fleet.example.
update add c.fleet.example. 65 CAA 0 issue \"ca.example.net\"
update delete multi.fleet.example. A 192.0.2.10
update delete text.fleet.example.";
    let Some(updated) = Tool::Nsupdate.update(&site, KEY, lines) else { return };
    assert_eq!(updated.outcome(), "NOERROR", "{}", updated.text);
    let export = export(&site);
    let Some(transferred) = transfer(&site) else { return };
    let Some(wanted) = compiled(folder.path(), &transferred) else { return };
    assert_eq!(compiled(folder.path(), &export), Some(wanted.clone()), "{export}");
    for part in ["TYPE65280", "CAA", "HTTPS", "a\\.b", "*.w"] {
        assert!(wanted.contains(part), "{part} in {wanted}");
    }
}

#[test]
fn an_exported_file_is_a_zone_file_for_others_and_for_us() {
    let (folder, site) = site();
    let file = folder.path().join("exported.zone");
    fs::write(&file, export(&site)).expect("the export is written");
    let mut check = Command::new(EINHORN);
    let said = run(check.args(["zone", "check", ZONE]).arg(&file)).good();
    assert!(said.starts_with("fleet.example. is good: 9 records"), "{said}");
    if let Some(program) = peer("named-checkzone") {
        let (code, text) = output(Command::new(program).arg(ZONE).arg(&file), "");
        assert_eq!(code, Some(0), "{text}");
    }
    // Of a package that the project's test command does not install.
    match kzonecheck() {
        Some(program) => {
            let (code, text) = output(Command::new(program).args(["-o", ZONE]).arg(&file), "");
            assert_eq!(code, Some(0), "{text}");
        }
        None => eprintln!("SKIPPED: kzonecheck is not installed (Debian: knot-dnssecutils)"),
    }
}

fn kzonecheck() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join("kzonecheck")).find(|f| f.is_file())
}

#[test]
fn a_transfer_needs_a_key_that_may() {
    let (_folder, site) = site();
    let Some(refused) = dig(&site, &[ZONE, "AXFR"]) else { return };
    assert!(refused.contains("Transfer failed"), "{refused}");
    let other = KEY.replace("phone.", "nobody.");
    let refused = dig(&site, &["-y", &other, ZONE, "AXFR"]).expect("as before");
    assert!(!refused.contains("192.0.2.1"), "{refused}");
    let unknown = dig(&site, &["-y", KEY, "example.net.", "AXFR"]).expect("as before");
    assert!(unknown.contains("Transfer failed"), "{unknown}");
    let udp = dig(&site, &["+notcp", "-y", KEY, ZONE, "IXFR=1"]).expect("as before");
    assert!(!udp.contains("connection timed out"), "{udp}");
}

#[test]
fn kdig_transfers_a_zone_of_many_messages() {
    let (_folder, site) = site();
    let lines: Vec<String> = (0..1_500)
        .map(|i| format!("update add n{i}.fleet.example. 60 TXT \"{}\"", "y".repeat(100)))
        .collect();
    let arguments = ["-v", "-y", KEY];
    for part in lines.chunks(400) {
        let Some(updated) = Tool::Nsupdate.run(&site, &arguments, &part.join("\n")) else { return };
        assert_eq!(updated.outcome(), "NOERROR");
    }
    // More than 64 KiB, so several messages, each signed over the one before.
    let Some(text) = kdig(&site, &["-y", KEY, ZONE, "AXFR"]) else { return };
    assert_eq!(text.matches("yyyy\"").count(), 1_500, "{}", &text[text.len() - 500..]);
    let complaints: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with(";; WARNING") || line.starts_with(";; ERROR"))
        .collect();
    assert!(complaints.is_empty(), "{complaints:?}");
    let text = transfer(&site).unwrap_or_default();
    assert_eq!(text.matches("yyyy\"").count(), 1_500);
    assert!(!text.contains("verify failure") && !text.contains(";; "), "{text}");
}
