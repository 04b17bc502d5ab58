//! A wall clock of its own for a process, which can be set while it runs.
//!
//! libfaketime (Debian: faketime) stands between the process and the C library. It reads how far the
//! clock is to be off from a file, each time it is asked; the monotonic clock stays as it is.

use crate::peers::optional_peer;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The library for programs with several threads.
const LIBRARY: &str = "faketime/libfaketimeMT.so.1";
/// Where libraries are, with the folders of all machine types in it.
const LIBRARIES: &str = "/usr/lib";

/// A clock.
pub struct SteppedClock {
    file: PathBuf,
}

impl SteppedClock {
    /// A clock that is right so far, and keeps what it is set to in `file`; `None`, said loudly,
    /// where libfaketime is not installed.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn new(file: PathBuf) -> Option<SteppedClock> {
        optional_peer("faketime")?;
        let clock = SteppedClock { file };
        clock.set(0);
        Some(clock)
    }

    /// Sets it so many seconds later than the time; earlier, when that is negative.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn set(&self, seconds: i64) {
        // The process sees the old file or the new one, never a half.
        let beside = self.file.with_extension("new");
        fs::write(&beside, format!("{seconds:+}\n")).expect("the clock's file");
        fs::rename(&beside, &self.file).expect("the clock's file");
    }

    /// Lets a command run by this clock.
    ///
    /// # Panics
    /// When the library is not where Debian puts it.
    pub fn apply(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", library())
            .env("FAKETIME_TIMESTAMP_FILE", &self.file)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            // What files say of themselves stays true.
            .env("NO_FAKE_STAT", "1");
    }
}

fn library() -> PathBuf {
    let folders = fs::read_dir(LIBRARIES).expect("libraries").filter_map(Result::ok);
    let mut found = folders.map(|folder| folder.path().join(LIBRARY)).filter(|path| path.exists());
    found.next().unwrap_or_else(|| panic!("no {LIBRARY} in {}", Path::new(LIBRARIES).display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::now_seconds;

    #[test]
    fn a_clock_is_off_by_what_it_is_set_to() {
        let folder = crate::scratch();
        let Some(clock) = SteppedClock::new(folder.path().join("clock")) else { return };
        for offset in [0, 3600, -3600, -60] {
            clock.set(offset);
            let mut command = Command::new("date");
            clock.apply(command.arg("+%s"));
            let text = crate::run(&mut command).good();
            let shown: i64 = text.trim().parse().expect("seconds");
            let off = shown - i64::try_from(now_seconds()).expect("a time");
            assert!((offset - 5..=offset + 5).contains(&off), "off by {off}, not by {offset}");
        }
    }
}
