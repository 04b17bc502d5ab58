//! Proofs: checked with the public key alone, and refused when anything in them is changed.

use super::{ANNA, EINHORN, Running, fill};
use einhorn_harness::{Ran, run};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A proof of the change of [`ANNA`], the log's key and where the proof lies.
fn proved(running: &Running) -> (String, String, PathBuf) {
    running.set(ANNA, 7);
    let index = running.history(ANNA, 1)[0]["index"].to_string();
    let file = running.folder.path().join("anna.tlog-proof");
    let output = file.to_str().expect("text");
    let text = running.ledger(&["proof", &index, "--output", output]).good();
    assert!(text.contains(&format!("proof of entry {index} written to {output}")), "{text}");
    (index, running.vkey(), file)
}

/// With no node and no data folder in reach.
fn check(file: &Path, vkey: &str) -> Ran {
    let mut command = Command::new(EINHORN);
    run(command.args(["ledger", "check-proof", "--vkey", vkey]).arg(file))
}

#[test]
fn a_proof_is_checked_with_the_key_alone() {
    let running = Running::start();
    fill(&running.site.client());
    let (index, vkey, file) = proved(&running);
    let by_url = running.folder.path().join("by-url.tlog-proof");
    let output = by_url.to_str().expect("text");
    running.ledger_by_url(&["proof", &index, "--output", output]).good();
    running.site.kill();
    for file in [&file, &by_url] {
        let text = check(file, &vkey).good();
        assert!(text.starts_with(&format!("proved: entry {index} of einhorn/site is in the log")));
        assert!(text.contains("+ 60 A 192.0.2.7"), "{text}");
    }
    let other = Running::start().vkey();
    let said = check(&file, &other).failed(1);
    assert!(said.starts_with("einhorn: "), "{said}");
    assert!(check(&file, "nonsense").failed(2).contains("--vkey"));
    assert!(check(Path::new("/nonexistent"), &vkey).failed(3).contains("/nonexistent"));
}

/// `text` with the character at `place` changed to another that may stand there.
fn changed(text: &str, place: usize) -> String {
    let mut octets = text.as_bytes().to_vec();
    octets[place] = if octets[place] == b'B' { b'C' } else { b'B' };
    String::from_utf8(octets).expect("text")
}

#[test]
fn a_changed_proof_is_refused_wherever_it_was_changed() {
    let running = Running::start();
    fill(&running.site.client());
    let (index, vkey, file) = proved(&running);
    let text = fs::read_to_string(&file).expect("the proof");
    // The entry, its index, the hashes, the checkpoint's size, root and signature.
    let mut places = vec![text.find("\nextra ").expect("the entry") + 40];
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if line.trim_end().len() > 8 {
            places.extend([at + 4, at + line.trim_end().len() / 2]);
        }
        at += line.len();
    }
    for place in places {
        fs::write(&file, changed(&text, place)).expect("written");
        let ran = check(&file, &vkey);
        let line = text[..place].matches('\n').count() + 1;
        assert_eq!(ran.code, Some(1), "octet {place}, in line {line}: {ran:?}");
    }
    let next = index.parse::<u64>().expect("a number") + 1;
    for (from, to) in
        [(format!("\nindex {index}\n"), format!("\nindex {next}\n")), (text.clone(), String::new())]
    {
        fs::write(&file, text.replace(&from, &to)).expect("written");
        let ran = check(&file, &vkey);
        assert_eq!(ran.code, Some(1), "{ran:?}");
    }
    fs::write(&file, &text).expect("written");
    check(&file, &vkey).good();
}

#[test]
fn every_entry_of_a_log_can_be_proved() {
    let running = Running::start();
    fill(&running.site.client());
    let (last, vkey, file) = proved(&running);
    let output = file.to_str().expect("text");
    for index in ["0", "1", "2", "255", "256", "257", &last] {
        running.ledger(&["proof", index, "--output", output]).good();
        let text = check(&file, &vkey).good();
        assert!(text.starts_with(&format!("proved: entry {index} ")), "{text}");
    }
    let said = running.ledger(&["proof", "4711", "--output", output]).failed(1);
    assert!(said.contains("there is no entry 4711"), "{said}");
}
