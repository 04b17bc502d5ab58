//! Einhorn.

use super::{Setup, TRANSFER_KEY};
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

/// Gives the arguments.
pub(super) fn prepare(setup: &Setup<'_>) -> Vec<String> {
    let data = setup.folder.join("data");
    let mut arguments = vec![
        "serve".to_owned(),
        "--listen".to_owned(),
        format!("127.0.0.1:{}", setup.port),
        "--data".to_owned(),
        data.display().to_string(),
        "--key".to_owned(),
        TRANSFER_KEY.to_owned(),
    ];
    for (name, file) in &setup.zones {
        arguments.extend(["--zone".to_owned(), format!("{name}={}", file.display())]);
    }
    arguments
}
