//! Grants in a configuration file, as `nsupdate` meets them, and their reload without a restart.

use crate::support::{EINHORN, Tool, configured, dig, write_config};
use einhorn_harness::{Site, ZONE, ZONE_FILE, run, scratch};
use rustix::process::Signal;
use std::fs;
use std::path::Path;
use std::process::Command;

const ANNA: &str = "hmac-sha256:anna.fleet.example.:YW5uYSdzIHNlY3JldCwgdmVyeSBzZWNyZXQ=";
const LAB: &str = "hmac-sha256:lab.:c2VjcmV0IG9mIHRoZSBsYWIsIGFzIGxvbmcgYXMgb3RoZXJz";
const READER: &str = "hmac-sha256:reader.:c2VjcmV0IG9mIHRoZSByZWFkZXIsIG9ubHkgcmVhZHM=";

/// The zone and the keys, in front of the grants.
fn with_keys(keys: &[&str], grants: &str) -> String {
    let key = |text: &&str| {
        let parts: Vec<&str> = text.split(':').collect();
        format!("[[key]]\nname = \"{}\"\nsecret = \"{}\"\n", parts[1], parts[2])
    };
    let keys: String = keys.iter().map(key).collect();
    format!("[[zone]]\nname = \"{ZONE}\"\nfile = \"fleet.zone\"\n{keys}{grants}")
}

const GRANTS: &str = "
[[grant]]
key = \"anna.fleet.example.\"
zone = \"fleet.example.\"
names = [\"self\"]
types = [\"A\", \"AAAA\", \"TXT\"]
[[grant]]
key = \"lab.\"
zone = \"fleet.example.\"
names = [\"*.lab.fleet.example.\", \"printer.fleet.example.\"]
[[grant]]
key = \"reader.\"
zone = \"fleet.example.\"
transfer = true
";

fn started(folder: &Path, config: &str) -> Site {
    fs::write(folder.join("fleet.zone"), ZONE_FILE).expect("the zone file is written");
    configured(folder, config)
}

fn outcome(site: &Site, key: &str, lines: &str) -> Option<String> {
    Tool::Nsupdate.update(site, key, lines).map(|updated| updated.outcome())
}

#[test]
fn grants_allow_exactly_what_they_name() {
    let folder = scratch();
    let site = started(folder.path(), &with_keys(&[ANNA, LAB, READER], GRANTS));
    for (key, line, allowed) in [
        (ANNA, "add anna.fleet.example. 60 A 192.0.2.7", true),
        (ANNA, "add ANNA.fleet.example. 60 AAAA 2001:db8::7", true),
        (ANNA, "delete anna.fleet.example. A", true),
        (ANNA, "add anna.fleet.example. 60 MX 5 host.fleet.example.", false),
        (ANNA, "add ben.fleet.example. 60 A 192.0.2.7", false),
        (ANNA, "add x.anna.fleet.example. 60 A 192.0.2.7", false),
        (ANNA, "delete host.fleet.example. A", false),
        // It would delete types that the grant does not name.
        (ANNA, "delete anna.fleet.example.", false),
        (LAB, "add a.b.lab.fleet.example. 60 TXT t", true),
        (LAB, "delete a.b.lab.fleet.example.", true),
        (LAB, "add printer.fleet.example. 60 SRV 0 0 631 host.fleet.example.", true),
        (LAB, "add lab.fleet.example. 60 A 192.0.2.7", false),
        (LAB, "add x.printer.fleet.example. 60 A 192.0.2.7", false),
        (LAB, "add fleet.example. 60 TXT t", false),
        (READER, "add reader.fleet.example. 60 A 192.0.2.7", false),
        ("", "add anna.fleet.example. 60 A 192.0.2.7", false),
    ] {
        let Some(found) = outcome(&site, key, &format!("update {line}")) else { return };
        assert_eq!(found, if allowed { "NOERROR" } else { "REFUSED" }, "{key}: {line}");
    }
    // One refused operation refuses the whole update.
    let both =
        "update add anna.fleet.example. 60 TXT both\nupdate add ben.fleet.example. 60 TXT both";
    assert_eq!(outcome(&site, ANNA, both).as_deref(), Some("REFUSED"));
    for (key, may) in [(ANNA, false), (LAB, false), (READER, true)] {
        let Some(text) = dig(&site, &["-y", key, ZONE, "AXFR"]) else { return };
        assert_eq!(text.contains("192.0.2.53"), may, "{key}: {text}");
        assert!(!text.contains("both"), "{text}");
    }
}

fn reload(site: &Site) -> einhorn_harness::Ran {
    let mut command = Command::new(EINHORN);
    run(command.args(["reload", "--data"]).arg(&site.data))
}

#[test]
fn a_reload_puts_keys_and_grants_into_force_and_takes_others_away() {
    let folder = scratch();
    let only_anna = GRANTS.split("[[grant]]\nkey = \"lab").next().expect("one grant");
    let site = started(folder.path(), &with_keys(&[ANNA], only_anna));
    let pid = site.pid();
    let in_lab = "update add x.lab.fleet.example. 60 A 192.0.2.7";
    let Some(before) = outcome(&site, LAB, in_lab) else { return };
    assert_eq!(before, "NOTAUTH(BADKEY)");

    write_config(folder.path(), &with_keys(&[ANNA, LAB, READER], GRANTS));
    let said = reload(&site).good();
    assert_eq!(said, "3 keys, 3 grants and 0 devices are in force now; 0 zones changed\n");
    assert_eq!(outcome(&site, LAB, in_lab).as_deref(), Some("NOERROR"));

    // By signal, the lab's key loses its grant and Anna's key is gone.
    let seen = site.stderr().lines().count();
    let reader = with_keys(
        &[LAB, READER],
        &format!("[[grant]]{}", GRANTS.rsplit("[[grant]]").next().expect("the last")),
    );
    write_config(folder.path(), &reader);
    site.signal(Signal::HUP);
    site.await_line(seen, "einhorn: reloaded");
    assert_eq!(outcome(&site, LAB, in_lab).as_deref(), Some("REFUSED"));
    let anna = "update add anna.fleet.example. 60 A 192.0.2.7";
    assert_eq!(outcome(&site, ANNA, anna).as_deref(), Some("NOTAUTH(BADKEY)"));
    assert_eq!(site.pid(), pid);
    assert_eq!(site.stop(), Some(0));
}

#[test]
fn a_broken_configuration_keeps_the_old_one() {
    let folder = scratch();
    let config = with_keys(&[ANNA, LAB, READER], GRANTS);
    let site = started(folder.path(), &config);
    for (broken, wanted) in [
        (config.replace("names", "nams"), "did you mean `names`?"),
        (config.replace("key = \"lab.\"", "key = \"lob.\""), "there is no such [[key]]"),
        (config.replace("[[zone]]", "[[zone"), "einhorn.toml"),
        (config.replace("secret = \"", "secret = \"%"), "key number 1"),
    ] {
        write_config(folder.path(), &broken);
        let said = reload(&site).failed(1);
        assert!(said.contains("kept everything as it was") && said.contains(wanted), "{said}");
        let seen = site.stderr().lines().count();
        site.signal(Signal::HUP);
        site.await_line(seen, "einhorn: not reloaded");
        let line = "update add anna.fleet.example. 60 A 192.0.2.7";
        let Some(found) = outcome(&site, ANNA, line) else { return };
        assert_eq!(found, "NOERROR", "after: {said}");
    }
    fs::remove_file(folder.path().join("einhorn.toml")).expect("it was there");
    let said = reload(&site).failed(1);
    assert!(said.contains("einhorn.toml") && said.contains("No such file"), "{said}");
}

#[test]
fn a_node_without_a_file_or_without_a_process_says_so() {
    let (folder, site) = crate::support::site();
    let said = reload(&site).failed(1);
    assert!(said.contains("without a config file"), "{said}");
    assert_eq!(site.stop(), Some(0));
    let mut command = Command::new(EINHORN);
    command.args(["reload", "--data"]).arg(folder.path().join("data"));
    let said = run(&mut command).failed(3);
    assert!(said.contains("no node answers in") && said.contains("is it running?"), "{said}");
}
