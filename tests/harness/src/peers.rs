//! Programs of others, from Debian.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Set by the project's test command, which installs all peers: a missing one is then a failure.
const REQUIRE: &str = "EINHORN_TEST_REQUIRE_PEERS";

/// The program `name`; `None`, said loudly, where it is not installed.
///
/// # Panics
/// When it is missing and the environment says that it must not be.
pub fn peer(name: &str) -> Option<PathBuf> {
    let found = optional_peer(name);
    if found.is_none() {
        assert!(
            std::env::var_os(REQUIRE).is_none(),
            "{name} is not installed, but this run requires it"
        );
    }
    found
}

/// The program `name`, of which even the project's test command does not see to it that it is
/// installed, since it is large; `None`, said loudly, where it is not.
pub fn optional_peer(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let extra = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let found = std::env::split_paths(&path)
        .chain(extra)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file());
    if found.is_none() {
        eprintln!("SKIPPED: {name} is not installed");
    }
    found
}

/// Runs `command` with `input` and gives its exit code and all that it printed.
///
/// # Panics
/// When it cannot be run.
pub fn output(command: &mut Command, input: &str) -> (Option<i32>, String) {
    use std::io::Write;
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut stdin = child.stdin.take().expect("piped");
    // A program that ends without reading is its own business.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}
