//! Name servers of others, running: BIND and Knot.

use crate::peer;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long something that other servers do may take: they wait some seconds here and there.
const AWAIT_TIMEOUT: Duration = Duration::from_secs(60);
/// How often it is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Waits until `look` finds what it looks for, and gives it.
///
/// # Panics
/// With what it saw last, when that does not come.
pub fn await_that<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let end = Instant::now() + AWAIT_TIMEOUT;
    loop {
        match look() {
            Ok(found) => return found,
            Err(saw) if Instant::now() > end => panic!("{what}: {saw}"),
            Err(_) => std::thread::park_timeout(LOOK_INTERVAL),
        }
    }
}

/// Ports that the system gives to nobody by itself (`ip_local_port_range` begins above), so that a
/// port found free is still free when a program is started on it, and after it was killed.
const PORTS: std::ops::Range<u32> = 10_000..32_000;

/// An address on loopback whose port is free for UDP and TCP, and is given once in this process.
///
/// # Panics
/// When there is none.
pub fn free_address() -> SocketAddr {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    // Tests of several programs may run at the same time, and begin far from each other.
    let begin = std::process::id().wrapping_mul(997);
    for _ in PORTS {
        let given = begin.wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed));
        let port = PORTS.start + given % (PORTS.end - PORTS.start);
        let address = SocketAddr::from(([127, 0, 0, 1], port.try_into().expect("a port")));
        if TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok() {
            return address;
        }
    }
    panic!("no free port");
}

/// Which program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// BIND's named.
    Bind,
    /// Knot's knotd.
    Knot,
}

/// A name server of others. Killed when dropped.
pub struct Server {
    kind: Kind,
    program: PathBuf,
    folder: PathBuf,
    /// Where it answers.
    pub dns: SocketAddr,
    child: Option<Child>,
}

impl Server {
    /// A server in its own folder below `folder`, not yet started; `None` where it is not
    /// installed. `config` is what follows the general part.
    ///
    /// # Panics
    /// When its files cannot be written.
    pub fn new(kind: Kind, folder: &Path, dns: SocketAddr, config: &str) -> Option<Server> {
        let program = peer(match kind {
            Kind::Bind => "named",
            Kind::Knot => "knotd",
        })?;
        let folder = folder.join(format!("{kind:?}-{}", dns.port()));
        fs::create_dir_all(&folder).expect("a folder");
        let server = Server { kind, program, folder, dns, child: None };
        server.configure(config);
        Some(server)
    }

    /// Writes its configuration anew, for its next start or [`Server::reload`].
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn configure(&self, config: &str) {
        let (folder, port) = (self.folder.display(), self.dns.port());
        let general = match self.kind {
            Kind::Bind => format!(
                "key \"phone.\" {{ algorithm hmac-sha256; secret \"{}\"; }};\ncontrols {{ }};\n",
                secret()
            ),
            Kind::Knot => format!(
                "server:\n  rundir: \"{folder}\"\n  listen: 127.0.0.1@{port}\nlog:\n  - target: stdout\n    any: info\ndatabase:\n  storage: \"{folder}\"\nkey:\n  - id: phone.\n    algorithm: hmac-sha256\n    secret: {}\n",
                secret()
            ),
        };
        let config = config.replace("$FOLDER", &folder.to_string()).replace(
            "$OPTIONS",
            &format!(
                "directory \"{folder}\"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; pid-file none; session-keyfile \"{folder}/session.key\"; recursion no; dnssec-validation no; notify-delay 0; transfers-in 1000; transfers-per-ns 1000; serial-query-rate 1000;"
            ),
        );
        fs::write(self.folder.join("conf"), general + &config).expect("the configuration");
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Starts it, and waits until it answers.
    ///
    /// # Panics
    /// When it does not.
    pub fn start(&mut self) {
        let log = self.log_file();
        let log = File::options().create(true).append(true).open(log).expect("a log");
        let mut command = Command::new(&self.program);
        if self.kind == Kind::Bind {
            command.args(["-g", "-d", "3"]);
        }
        command.arg("-c").arg(self.folder.join("conf"));
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a file")).stderr(log);
        self.child = Some(command.spawn().expect("it starts"));
        let query = b"\x00\x07\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x06\x00\x01";
        await_that("a first answer", || {
            let socket = UdpSocket::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
            socket.connect(self.dns).map_err(|error| error.to_string())?;
            socket.set_read_timeout(Some(LOOK_INTERVAL)).map_err(|error| error.to_string())?;
            let asked = socket.send(query).and_then(|_| socket.recv(&mut [0; 512]));
            asked.map_err(|error| format!("{error}: {}", self.log()))
        });
    }

    /// Ends it in order.
    ///
    /// # Panics
    /// When it does not end.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            signal(&child, rustix::process::Signal::TERM);
            child.wait().expect("it ends");
        }
    }

    /// Makes it read its configuration again.
    pub fn reload(&self) {
        self.child.iter().for_each(|child| signal(child, rustix::process::Signal::HUP));
    }

    fn log_file(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// All that it has said.
    pub fn log(&self) -> String {
        let log = fs::read(self.log_file()).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// How many transfers of what changed it has taken in, by its own words.
    pub fn incremental_transfers(&self) -> usize {
        let words: &[&str] = match self.kind {
            Kind::Knot => &["IXFR, incoming", "finished"],
            // Said once for each, at the third debug level.
            Kind::Bind => &["got incremental response"],
        };
        let log = self.log();
        log.lines().filter(|line| words.iter().all(|word| line.contains(word))).count()
    }
}

fn signal(child: &Child, signal: rustix::process::Signal) {
    let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    // A server that has ended already needs no signal.
    let _ = pid.map(|pid| rustix::process::kill_process(pid, signal));
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn secret() -> &'static str {
    crate::KEY.rsplit(':').next().unwrap_or_default()
}
