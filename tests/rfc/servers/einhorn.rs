//! Einhorn.

use super::{COOKIE_SECRET, IDENTITY, Setup, TRANSFER_KEY};
use std::path::Path;
use std::process::Command;

/// The program.
pub(super) const PROGRAM: &str = env!("CARGO_BIN_EXE_einhorn");

/// Whether the zone file can be read, said loudly where not: one bad file keeps the others from
/// being served.
pub(super) fn can_read(zone: &str, file: &Path) -> bool {
    let ran = einhorn_harness::run(Command::new(PROGRAM).args(["zone", "check", zone]).arg(file));
    if ran.code != Some(0) {
        eprintln!("Einhorn does not serve {zone}: {}", ran.stderr);
    }
    ran.code == Some(0)
}

/// Writes the configuration and gives the arguments.
pub(super) fn prepare(setup: &Setup<'_>) -> Vec<String> {
    let [_, key_name, secret] = TRANSFER_KEY.split(':').collect::<Vec<_>>()[..] else {
        panic!("{TRANSFER_KEY} is no key")
    };
    let mut text = format!(
        r#"
data = "data"
listen = ["127.0.0.1:{}"]
[answer]
nsid = "{IDENTITY}"
version = "{IDENTITY}"
identity = "{IDENTITY}"
cookie-secrets = ["{COOKIE_SECRET}"]
[[key]]
name = "{key_name}"
secret = "{secret}"
[[grant]]
key = "{key_name}"
zone = "*"
transfer = true
"#,
        setup.port
    );
    for (name, file) in &setup.zones {
        text += &format!("[[zone]]\nname = \"{name}\"\nfile = \"{}\"\n", file.display());
    }
    let config = setup.folder.join("einhorn.toml");
    std::fs::write(&config, text).expect("the configuration is written");
    vec!["serve".to_owned(), "--config".to_owned(), config.display().to_string()]
}
