//! Rollback: shown first, then done, by serial, by time, for one name, and rolled back itself.

use super::{ANNA, EINHORN, Running};
use einhorn_harness::{Ran, ZONE, run};
use einhorn_wire::RecordType;
use einhorn_wire::rdata::soa_numbers;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

const BEN: &str = "ben.fleet.example.";

impl Running {
    fn serial(&self) -> u32 {
        let reply = self.site.client().query(ZONE, RecordType::SOA);
        soa_numbers(&reply.answers[0].rdata).expect("an SOA").serial
    }

    fn rollback(&self, more: &[&str]) -> Ran {
        self.ledger(&[&["rollback", "--zone", ZONE], more].concat())
    }

    fn export(&self) -> String {
        let mut command = Command::new(EINHORN);
        run(command.args(["zone", "export", ZONE, "--data"]).arg(&self.site.data)).good()
    }

    /// What the zone holds besides its serial.
    fn content(&self) -> Vec<String> {
        let export = self.export();
        export.lines().filter(|line| !line.contains(" SOA ")).map(str::to_owned).collect()
    }
}

/// Entries of one millisecond cannot be told apart by time.
fn next_millisecond() {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis();
    let start = now();
    while now() == start {
        std::hint::spin_loop();
    }
}

#[test]
fn a_dry_run_shows_the_difference_and_changes_nothing() {
    let running = Running::start();
    running.set(ANNA, 1);
    let serial = running.serial();
    running.set(ANNA, 2);
    running.set(BEN, 3);
    let before = running.export();
    let text = running.rollback(&["--to", &serial.to_string(), "--dry-run"]).good();
    for line in [
        "- anna.fleet.example. 60 A 192.0.2.2",
        "+ anna.fleet.example. 60 A 192.0.2.1",
        "- ben.fleet.example. 60 A 192.0.2.3",
    ] {
        assert!(text.contains(line), "no `{line}` in {text}");
    }
    assert!(!text.contains("rolled back"), "{text}");
    assert_eq!(running.export(), before, "zone and serial are as before");
    running.history(ANNA, 2);
}

#[test]
fn a_rollback_to_a_serial_is_one_entry_and_can_be_rolled_back() {
    let running = Running::start();
    running.set(ANNA, 1);
    let (first, content_first) = (running.serial(), running.content());
    running.set(ANNA, 2);
    running.set(BEN, 3);
    running.remove("host.fleet.example.");
    let (second, content_second) = (running.serial(), running.content());

    let text = running.rollback(&["--to", &first.to_string()]).good();
    assert!(text.contains("+ host.fleet.example. 300 AAAA 2001:db8::1"), "{text}");
    let index: u64 = text
        .rsplit_once("rolled back in entry ")
        .and_then(|(_, index)| index.trim_end().parse().ok())
        .unwrap_or_else(|| panic!("no index in {text}"));
    assert_eq!(running.content(), content_first);
    assert_eq!(running.serial(), second + 1, "the serial goes on, or secondaries would not follow");
    assert_eq!((running.address(ANNA), running.address(BEN)), (Some(1), None));

    // Three changes of Anna by now, the last of which says what it was.
    let last = running.history(ANNA, 3).pop().expect("three");
    assert_eq!(last["index"], index);
    assert!(last["cause"].as_str().is_some_and(|cause| cause.starts_with("rollback to the state")));

    running.rollback(&["--to", &second.to_string()]).good();
    assert_eq!(running.content(), content_second);
    assert_eq!(running.serial(), second + 2);

    // There is nothing to do twice.
    let again = running.rollback(&["--to", &second.to_string()]).good();
    assert!(again.starts_with("0 names differ") && !again.contains("rolled back"), "{again}");
    running.history(ANNA, 4);
    assert!(running.ledger(&["verify", "--replay"]).good().contains("is sound"));
}

#[test]
fn a_rollback_of_one_name_leaves_the_others() {
    let running = Running::start();
    running.set(ANNA, 1);
    running.set(BEN, 1);
    let serial = running.serial();
    running.set(ANNA, 2);
    running.set(BEN, 2);
    let text =
        running.rollback(&["--to", &serial.to_string(), "--name", "ANNA.fleet.example"]).good();
    assert!(text.starts_with("1 name") && !text.contains("ben."), "{text}");
    assert_eq!((running.address(ANNA), running.address(BEN)), (Some(1), Some(2)));
    // The others can follow later.
    running.rollback(&["--to", &serial.to_string()]).good();
    assert_eq!((running.address(ANNA), running.address(BEN)), (Some(1), Some(1)));
}

#[test]
fn a_rollback_to_a_time_is_to_the_last_entry_before_it() {
    let running = Running::start();
    for last in 1..=3 {
        running.set(ANNA, last);
        next_millisecond();
    }
    let history = running.history(ANNA, 3);
    let time = |place: usize| history[place]["time"].as_str().expect("a time").to_owned();
    for (place, wanted) in [(1, 2), (0, 1), (2, 3)] {
        running.rollback(&["--to", &time(place)]).good();
        assert_eq!(running.address(ANNA), Some(wanted), "to {}", time(place));
    }
    let said = running.rollback(&["--to", "1999-01-01T00:00:00Z"]).failed(1);
    assert!(said.contains("it did not exist at that time"), "{said}");
}

#[test]
fn what_cannot_be_rolled_back_to_is_said() {
    let running = Running::start();
    let said = running.rollback(&["--to", "4711"]).failed(1);
    assert!(said.contains("serial 4711 was never published here"), "{said}");
    let said = running.rollback(&["--to", "yesterday"]).failed(2);
    assert!(said.contains("give a serial, or a time such as"), "{said}");
    let said = running.ledger(&["rollback", "--zone", "example.net", "--to", "1"]).failed(1);
    assert!(said.contains("zone example.net. is not served here"), "{said}");
    let said = running.rollback(&["--to", "1", "--name", "a..b"]).failed(1);
    assert!(said.contains("a..b"), "{said}");
}

#[test]
fn a_rollback_survives_a_restart_and_a_crash() {
    let running = Running::start();
    running.set(ANNA, 1);
    let serial = running.serial();
    running.set(ANNA, 2);
    running.rollback(&["--to", &serial.to_string()]).good();
    let content = running.export();
    let Running { folder, site } = running;
    site.kill();
    let start = einhorn_harness::Start { program: EINHORN, folder: folder.path() };
    let site = start.start().expect("ready after a crash");
    let running = Running { folder, site };
    assert_eq!(running.export(), content);
    assert_eq!(running.address(ANNA), Some(1));
}
