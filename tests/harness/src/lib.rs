//! Starts the real program, and the real programs of others, for tests.
//!
//! Everything listens on loopback, lives in scratch folders and dies with the test. It must never
//! be a dependency of anything that ships.

mod client;
mod clock;
mod delay;
mod etcd;
mod fleet;
mod history;
mod network;
mod peers;
mod raw;
mod run;
mod servers;
mod store;
mod tls;

pub use client::{Client, Reply, transfer, try_transfer, update_message};
pub use clock::SteppedClock;
pub use delay::DelayedLink;
pub use etcd::{Etcd, Proxy};
pub use fleet::{Fleet, FleetStart, SITES};
pub use history::{changes, changes_of_names};
pub use network::Network;
pub use peers::{optional_peer, output, peer};
pub use raw::{
    SignedRequest, Tsig, address, burst, framed, message_with_updates, now_seconds,
    question_message, read_message, record, tsig_of, with_half_the_mac,
};
pub use run::{Ran, run};
pub use servers::{Kind, Server, await_that, free_address};
pub use store::{files_below, flip_bit, flip_bit_in_row, rows, set_format};
pub use tls::{TlsClient, TlsStream};

use einhorn_wire::tsig::Key;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// How long a site may take to become ready.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a site may take to say what it must.
const SAID_TIMEOUT: Duration = Duration::from_secs(10);
/// The zone that [`Site::start`] serves.
pub const ZONE: &str = "fleet.example.";
/// The key that may change it: [`key`].
pub const KEY: &str = "hmac-sha256:phone.:c2VjcmV0IG9mIHRoZSBwaG9uZSBhbmQgdGhlIHNpdGU=";
/// The zone's content.
pub const ZONE_FILE: &str = "$TTL 300
@ SOA ns hostmaster 1 3600 600 86400 60
@ NS ns
ns A 192.0.2.53
host A 192.0.2.1
host AAAA 2001:db8::1
alias CNAME host
multi A 192.0.2.10
multi A 192.0.2.11
text TXT \"hello\"
";

/// The key of [`KEY`].
pub fn key() -> Arc<Key> {
    Arc::new(KEY.parse().expect("a key"))
}

/// A scratch folder that is removed with its owner.
pub fn scratch() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("einhorn-test-").tempdir().expect("a scratch folder")
}

/// A running site. Killed when dropped.
pub struct Site {
    child: Child,
    /// Where it answers DNS.
    pub dns: SocketAddr,
    /// Where its ledger is served, with a slash at the end.
    pub ledger_url: String,
    /// Its data folder.
    pub data: PathBuf,
    /// What it has said on standard error.
    stderr: Arc<Mutex<Vec<String>>>,
    /// Told of each line.
    said: Arc<Condvar>,
}

/// How a site is to be started.
pub struct Start<'a> {
    /// The program: `env!("CARGO_BIN_EXE_einhorn")`.
    pub program: &'a str,
    /// Data folder and zone file are made in this folder if they are not there.
    pub folder: &'a Path,
}

impl Start<'_> {
    /// The command that starts a site with [`ZONE`] and [`KEY`] on free ports.
    ///
    /// The port for DNS is never one that the system gives to clients: `dig` shares its port if it
    /// can, and would now and then be given the site's own and hear nobody but itself.
    pub fn command(&self) -> Command {
        let zone_file = self.folder.join("fleet.zone");
        if !zone_file.exists() {
            std::fs::write(&zone_file, ZONE_FILE).expect("the zone file is written");
        }
        let mut command = Command::new(self.program);
        command
            .args(["serve", "--http", "127.0.0.1:0", "--key", KEY, "--listen"])
            .arg(free_address().to_string())
            .arg("--data")
            .arg(self.folder.join("data"))
            .arg("--zone")
            .arg(format!("{ZONE}={}", zone_file.display()));
        command
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Errors
    /// What it said, when it ended instead.
    pub fn start(&self) -> Result<Site, String> {
        Site::spawn(self.command(), self.folder.join("data"))
    }
}

impl Site {
    /// Runs `command`, which must be a kind of `serve`, and waits until it is ready.
    ///
    /// # Errors
    /// What it said, when it ended instead.
    pub fn spawn(mut command: Command, data: PathBuf) -> Result<Site, String> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let stderr = Arc::new(Mutex::new(Vec::new()));
        let said = Arc::new(Condvar::new());
        let ready = read_lines(&mut child, Arc::clone(&stderr), Arc::clone(&said));
        let Ok(line) = ready.recv_timeout(READY_TIMEOUT) else {
            let ended = child.try_wait();
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("{ended:?}: {}", stderr.lock().expect("lines").join("\n")));
        };
        // "einhorn: ready, SITE serves DNS on ADDRESS, ledger at URL"
        let word_after = |mark: &str| {
            let rest = line.split_once(mark).map(|(_, rest)| rest)?;
            rest.split([' ', ',']).next().map(str::to_owned)
        };
        let dns = word_after("DNS on ")
            .and_then(|text| text.parse().ok())
            .expect("an address in the ready line");
        Ok(Site {
            child,
            dns,
            ledger_url: word_after("ledger at ").unwrap_or_default(),
            data,
            stderr,
            said,
        })
    }

    /// A client of it.
    pub fn client(&self) -> Client {
        Client::new(self.dns)
    }

    /// Where it serves DNS over TLS.
    ///
    /// # Panics
    /// When it does not.
    pub fn dot(&self) -> SocketAddr {
        self.served("over TLS on ")
    }

    /// Where it serves DNS over HTTPS.
    ///
    /// # Panics
    /// When it does not.
    pub fn doh(&self) -> SocketAddr {
        self.served("over HTTPS on https://")
    }

    /// The address behind `mark` in the ready line.
    fn served(&self, mark: &str) -> SocketAddr {
        self.await_line(0, mark);
        let said = self.stderr();
        let rest = said.split_once(mark).map(|(_, rest)| rest).unwrap_or_default();
        let word = rest.split([' ', ',', '/', '\n']).next().unwrap_or_default();
        word.parse().unwrap_or_else(|error| panic!("no address behind `{mark}` ({error}): {said}"))
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has said so far.
    pub fn stderr(&self) -> String {
        self.stderr.lock().expect("lines").join("\n")
    }

    /// Waits until it has said a line with `part` in it, behind the first `seen` lines.
    ///
    /// # Panics
    /// When it does not.
    pub fn await_line(&self, seen: usize, part: &str) {
        let lines = self.stderr.lock().expect("lines");
        let silent = |lines: &mut Vec<String>| {
            !lines.iter().skip(seen).any(|line: &String| line.contains(part))
        };
        let (lines, timeout) =
            self.said.wait_timeout_while(lines, SAID_TIMEOUT, silent).expect("lines");
        assert!(!timeout.timed_out(), "no `{part}` in: {lines:#?}");
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid =
            i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, signal).expect("the signal is sent");
    }

    /// Ends it in order and gives its exit code.
    pub fn stop(mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        self.child.wait().expect("it ends").code()
    }

    /// Ends it at once.
    pub fn kill(mut self) {
        self.child.kill().expect("it is killed");
        self.child.wait().expect("it ends");
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Keeps what the child says, and passes the ready line on.
fn read_lines(
    child: &mut Child,
    lines: Arc<Mutex<Vec<String>>>,
    said: Arc<Condvar>,
) -> Receiver<String> {
    let stderr = child.stderr.take().expect("standard error is piped");
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if line.starts_with("einhorn: ready") {
                let _ = tell.send(line.clone());
            }
            lines.lock().expect("lines").push(line);
            said.notify_all();
        }
    });
    told
}
