//! The page that checks proofs offline, in a real browser.

use crate::support::{EINHORN, site};
use einhorn_harness::{ZONE, key, optional_peer, output};
use einhorn_wire::message::Rcode;
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

/// Everything but letters and digits as `%XX`.
fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, octet| {
        if octet.is_ascii_alphanumeric() {
            encoded.push(octet.into());
        } else {
            _ = write!(encoded, "%{octet:02X}");
        }
        encoded
    })
}

/// What the page says, after its script has run.
fn page_says(browser: &Path, folder: &Path, vkey: &str, proof: &str) -> String {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/verify.html");
    let page = Path::new(page).canonicalize().expect("the page");
    let url =
        format!("file://{}#{}&{}", page.display(), percent_encoded(vkey), percent_encoded(proof));
    let mut command = Command::new(browser);
    command
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
        ])
        .args(["--disable-component-update", "--virtual-time-budget=10000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", folder.join("browser").display()))
        .arg(url);
    output(&mut command, "").1
}

#[test]
fn the_page_proves_what_is_true_and_nothing_else() {
    let Some(browser) = optional_peer("chromium") else { return };
    let (folder, site) = site();
    assert_eq!(
        site.client().set_address(&key(), ZONE, "anna.fleet.example.", [192, 0, 2, 9]),
        Rcode::NOERROR
    );
    let data = site.data.clone();
    // A stop in order seals everything first.
    assert_eq!(site.stop(), Some(0));
    let file = folder.path().join("proof");
    let mut prove = Command::new(EINHORN);
    prove.args(["ledger", "proof", "3", "--data"]).arg(&data).arg("--output").arg(&file);
    let (code, text) = output(&mut prove, "");
    assert_eq!(code, Some(0), "{text}");
    let proof = std::fs::read_to_string(&file).expect("the proof");
    let vkey = std::fs::read_to_string(data.join("ledger.vkey")).expect("the key");
    let says = |vkey: &str, proof: &str| page_says(&browser, folder.path(), vkey.trim(), proof);
    let good = says(&vkey, &proof);
    assert!(good.contains("class=\"good\">PROVED: entry 3 is in the log einhorn/site"), "{good}");
    // Another octet at the beginning of the entry.
    let changed = proof.replacen("extra B", "extra C", 1);
    assert_ne!(changed, proof, "the form of entries is another one");
    for (vkey, proof) in [
        (vkey.clone(), proof.replace("index 3", "index 2")),
        (vkey.replace("site", "sine"), proof.clone()),
        (vkey.clone(), changed),
    ] {
        let bad = says(&vkey, &proof);
        assert!(bad.contains("class=\"bad\">NOT PROVED"), "{bad}");
    }
}
