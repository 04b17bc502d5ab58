//! Server processes, which never outlive the benchmark.
//!
//! A [`Server`] ends its process when dropped; should the benchmark itself be killed, the
//! kernel kills the server (`PR_SET_PDEATHSIG`, set by `setpriv`). This module never signals a
//! process that it did not start.

use crate::machine::{self, SERVER_PROCESSOR};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Time to end after SIGTERM before SIGKILL follows.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
/// How often a process that is to end is looked at.
const STOP_CHECK: Duration = Duration::from_millis(10);
/// Lines of a server's log shown when it fails.
const LOG_LINES_SHOWN: usize = 8;
/// Places of utime and stime in /proc/PID/stat, counted from after the command's name.
const USER_TICKS_AT: usize = 11;
const SYSTEM_TICKS_AT: usize = 12;
/// Folders with daemons that are often not on an ordinary user's path.
const SYSTEM_FOLDERS: [&str; 3] = ["/usr/sbin", "/sbin", "/usr/local/sbin"];

/// Where a program is installed, if it is.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(SYSTEM_FOLDERS.iter().map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
}

/// Runs a program to its end; what it printed on either output, and whether it succeeded.
pub(crate) fn run(program: &Path, arguments: &[&str]) -> Result<(String, bool), String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot run {}: {error}", program.display()))?;
    let printed = [output.stdout, output.stderr].concat();
    Ok((String::from_utf8_lossy(&printed).trim().to_owned(), output.status.success()))
}

/// Runs a program that must succeed.
pub(crate) fn run_checked(program: &Path, arguments: &[&str]) -> Result<(), String> {
    match run(program, arguments)? {
        (_, true) => Ok(()),
        (text, false) => {
            Err(format!("`{} {}` failed: {text}", program.display(), arguments.join(" ")))
        }
    }
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    log: PathBuf,
    command_line: String,
}

impl Server {
    /// Starts `program` on the servers' processor, its output going to a file in `folder`.
    pub(crate) fn start(
        folder: &Path,
        program: &Path,
        arguments: &[String],
    ) -> Result<Server, String> {
        let log = folder.join("output.log");
        let open = || File::create(&log).and_then(|file| Ok((file.try_clone()?, file)));
        let (standard_output, standard_error) =
            open().map_err(|error| format!("cannot create {}: {error}", log.display()))?;
        let processor = SERVER_PROCESSOR.to_string();
        let child = Command::new("taskset")
            .args(["-c", &processor, "setpriv", "--pdeathsig", "KILL", "--"])
            .arg(program)
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(standard_output)
            .stderr(standard_error)
            // A group of its own: Ctrl-C ends the benchmark, and with it the kernel ends the server.
            .process_group(0)
            .spawn()
            .map_err(|error| format!("cannot run `taskset` (install util-linux): {error}"))?;
        let command_line = format!("{} {}", program.display(), arguments.join(" "));
        Ok(Server { child, log, command_line })
    }

    /// The program and its arguments.
    pub(crate) fn command_line(&self) -> &str {
        &self.command_line
    }

    /// Fails, with the end of its log, if the server has ended by itself.
    pub(crate) fn check_running(&mut self) -> Result<(), String> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => {
                Err(format!("`{}` ended with {status}:\n{}", self.command_line, self.log_end()))
            }
            Err(error) => Err(format!("cannot look at `{}`: {error}", self.command_line)),
        }
    }

    /// The last lines of what the server printed.
    pub(crate) fn log_end(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        if text.trim().is_empty() {
            return "(it printed nothing)".to_owned();
        }
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
    }

    /// The server's process: `taskset` and `setpriv` replace themselves by it.
    pub(crate) fn process_id(&self) -> u32 {
        self.child.id()
    }

    fn signal(&self, signal: Signal) {
        if let Some(process) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // It may have ended in this moment, which is what the signal is for.
            let _ = kill_process(process, signal);
        }
    }

    fn ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.ended() {
            return;
        }
        self.signal(Signal::TERM);
        let begin = Instant::now();
        while begin.elapsed() < STOP_PATIENCE {
            std::thread::sleep(STOP_CHECK);
            if self.ended() {
                return;
            }
        }
        eprintln!(
            "  `{}` did not end on SIGTERM in {} s: killed",
            self.command_line,
            STOP_PATIENCE.as_secs()
        );
        self.signal(Signal::KILL);
        // After SIGKILL it ends; an error would mean that it is gone already.
        let _ = self.child.wait();
    }
}

/// Processor time that a process, with all its threads, has used so far.
pub(crate) fn processor_time(process_id: u32) -> Option<Duration> {
    let text = fs::read_to_string(format!("/proc/{process_id}/stat")).ok()?;
    parse_stat(&text).map(|(_, time)| time)
}

/// The name and the processor time in the `stat` file of a process or a thread.
pub(crate) fn parse_stat(stat: &str) -> Option<(&str, Duration)> {
    // The name stands in parentheses and may itself hold some.
    let (head, tail) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = tail.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<u64>().ok();
    let time = machine::ticks_to_time(ticks(USER_TICKS_AT)? + ticks(SYSTEM_TICKS_AT)?);
    Some((head.split_once('(')?.1, time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_past_odd_names() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 1 0";
        assert_eq!(parse_stat(stat), Some(("a) b", Duration::from_secs(3))));
        assert_eq!(parse_stat("nonsense"), None);
    }
}
