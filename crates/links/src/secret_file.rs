//! New files in a data folder: keys, which only their owner can read, and what goes with them. They
//! are written durably, and never over what is there.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Writes a new file that only its owner can read.
///
/// # Errors
/// What the system says; `AlreadyExists` if there is such a file.
pub fn write_secret(path: &Path, text: &str) -> io::Result<()> {
    write(path, text, 0o600)
}

/// Writes a new file that everyone may read.
///
/// # Errors
/// As for [`write_secret`].
pub fn write_public(path: &Path, text: &str) -> io::Result<()> {
    write(path, text, 0o644)
}

fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn secrets_are_their_owners_and_nothing_is_overwritten() {
        let folder = tempfile::tempdir().expect("a folder");
        let (secret, public) = (folder.path().join("a.key"), folder.path().join("a.crt"));
        write_secret(&secret, "s").expect("written");
        write_public(&public, "p").expect("written");
        let mode = |path: &Path| path.metadata().expect("there").permissions().mode() & 0o777;
        assert_eq!(mode(&secret), 0o600);
        // What others may do is also for the process's mask to say.
        assert_eq!(mode(&public) & 0o700, 0o600);
        let again = write_public(&secret, "x").expect_err("it is there");
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&secret).expect("read"), b"s");
    }
}
