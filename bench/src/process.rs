//! Server processes, which never outlive the benchmark.
//!
//! A [`Server`] ends its process when dropped; should the benchmark itself be killed, the
//! kernel kills the server (`PR_SET_PDEATHSIG`, set by `setpriv`). This module never signals a
//! process that it did not start.

use crate::machine;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Time to end after SIGTERM before SIGKILL follows. A server may have a large zone to save.
const STOP_PATIENCE: Duration = Duration::from_secs(60);
/// How often a process that is to end is looked at.
const STOP_CHECK: Duration = Duration::from_millis(10);
/// How long a server must be at rest.
const REST_INTERVAL: Duration = Duration::from_millis(500);
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

/// A server that runs, or ran and can be started again.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    folder: PathBuf,
    program: PathBuf,
    arguments: Vec<String>,
    /// The processors it may use, as `taskset` takes them.
    processors: String,
}

impl Server {
    /// Starts `program` on the given processors, its output going to a file in `folder`.
    pub(crate) fn start(
        folder: &Path,
        program: &Path,
        arguments: &[String],
        processors: &[usize],
    ) -> Result<Server, String> {
        let processors: Vec<String> = processors.iter().map(usize::to_string).collect();
        let processors = processors.join(",");
        let child = spawn(folder, program, arguments, &processors)?;
        let (folder, program) = (folder.to_owned(), program.to_owned());
        Ok(Server { child, folder, program, arguments: arguments.to_vec(), processors })
    }

    /// Stops it as its operator would.
    pub(crate) fn stop(&mut self) {
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
            self.command_line(),
            STOP_PATIENCE.as_secs()
        );
        self.signal(Signal::KILL);
        // After SIGKILL it ends; an error would mean that it is gone already.
        let _ = self.child.wait();
    }

    /// Stops it and starts it again with what it left in its folder. Gives the moment at which
    /// it was started again.
    pub(crate) fn restart(&mut self) -> Result<Instant, String> {
        self.stop();
        let begin = Instant::now();
        self.child = spawn(&self.folder, &self.program, &self.arguments, &self.processors)?;
        Ok(begin)
    }

    /// The program and its arguments.
    pub(crate) fn command_line(&self) -> String {
        format!("{} {}", self.program.display(), self.arguments.join(" "))
    }

    /// Fails, with the end of its log, if the server has ended by itself.
    pub(crate) fn check_running(&mut self) -> Result<(), String> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => {
                Err(format!("`{}` ended with {status}:\n{}", self.command_line(), self.log_end()))
            }
            Err(error) => Err(format!("cannot look at `{}`: {error}", self.command_line())),
        }
    }

    /// The last lines of what the server printed.
    pub(crate) fn log_end(&self) -> String {
        let text = fs::read(log_path(&self.folder)).unwrap_or_default();
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
        self.stop();
    }
}

fn log_path(folder: &Path) -> PathBuf {
    folder.join("output.log")
}

fn spawn(
    folder: &Path,
    program: &Path,
    arguments: &[String],
    processors: &str,
) -> Result<Child, String> {
    let log = log_path(folder);
    let open = || {
        let file = File::options().create(true).append(true).open(&log)?;
        Ok((file.try_clone()?, file))
    };
    let (standard_output, standard_error) = open()
        .map_err(|error: std::io::Error| format!("cannot create {}: {error}", log.display()))?;
    Command::new("taskset")
        .args(["-c", processors, "setpriv", "--pdeathsig", "KILL", "--"])
        .arg(program)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(standard_output)
        .stderr(standard_error)
        // A group of its own: Ctrl-C ends the benchmark, and with it the kernel ends the server.
        .process_group(0)
        .spawn()
        .map_err(|error| format!("cannot run `taskset` (install util-linux): {error}"))
}

/// A process and all processes that it started, and they in turn.
pub(crate) fn family(process_id: u32) -> Vec<u32> {
    let mut parents: Vec<(u32, u32)> = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // A process may end between being listed and being read.
        let Ok(text) = fs::read_to_string(entry.path().join("stat")) else { continue };
        let parent = text.rsplit_once(')').and_then(|(_, tail)| tail.split_whitespace().nth(1));
        parents.extend(parent.and_then(|parent| Some((id, parent.parse().ok()?))));
    }
    let mut family = vec![process_id];
    let mut at = 0;
    while at < family.len() {
        let of = family[at];
        family.extend(parents.iter().filter(|(_, parent)| *parent == of).map(|(id, _)| *id));
        at += 1;
    }
    family
}

/// Processor time that a process and all that it started have used so far.
pub(crate) fn family_time(process_id: u32) -> Option<Duration> {
    processor_time(process_id)?;
    Some(family(process_id).into_iter().filter_map(processor_time).sum())
}

/// Waits until a process and all that it started use no more processor time than `share` of one
/// processor, at most for `patience`. `false` if they never came to rest.
pub(crate) fn wait_for_rest(process_id: u32, share: f64, patience: Duration) -> bool {
    let begin = Instant::now();
    while begin.elapsed() < patience {
        let before = family_time(process_id);
        std::thread::sleep(REST_INTERVAL);
        let used =
            family_time(process_id).zip(before).map(|(now, before)| now.saturating_sub(before));
        match used {
            None => return false,
            Some(used) if used <= REST_INTERVAL.mul_f64(share) => return true,
            Some(_) => {}
        }
    }
    false
}

/// Memory of a process and all that it started, in octets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Resident; what several of them share counts for each.
    pub(crate) resident: u64,
    /// Resident; what several share is divided among them.
    pub(crate) proportional: u64,
}

/// The memory that a process and all that it started use now.
pub(crate) fn family_memory(process_id: u32) -> Option<Memory> {
    let mut memory = Memory::default();
    for id in family(process_id) {
        let Ok(text) = fs::read_to_string(format!("/proc/{id}/smaps_rollup")) else { continue };
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
        };
        memory.resident += field("Rss:").unwrap_or_default();
        memory.proportional += field("Pss:").unwrap_or_default();
    }
    (memory.resident > 0).then_some(memory)
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
