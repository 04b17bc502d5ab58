//! The servers that are measured: how each is configured and started.
//!
//! There are two sets of them. Those that take updates are set up to be as fast as they can be
//! while an acknowledged update is on the disk; those that only answer, to answer as fast as they
//! can. A driver never touches anything outside the folder it is given.

mod bind;
mod einhorn;
mod knot;
mod nsd;
mod powerdns;

use crate::machine::SERVER_PROCESSOR;
use crate::process::{self, Server};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};

/// Attempts to find a port that is free for both UDP and TCP.
const PORT_ATTEMPTS: usize = 64;

/// What a server can do in the setup of its driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ability {
    /// Signed updates and signed transfers.
    Updates,
    /// Signed transfers.
    SignedTransfers,
    /// Transfers to an address.
    PlainTransfers,
}

/// A kind of server.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    /// The program, as installed.
    pub(crate) program: &'static str,
    /// The argument that makes it print its version.
    version_argument: &'static str,
    pub(crate) ability: Ability,
    /// Writes the configuration and says how to start the server.
    prepare: fn(&Site) -> Result<Setup, String>,
}

/// The servers that take updates; the first is the one the others are compared with.
pub(crate) static ALL: [Peer; 4] = [einhorn::PEER, bind::PEER, knot::PEER, powerdns::PEER];

/// The servers as they are set up to answer; the first is the one the others are compared with.
pub(crate) static ANSWERING: [Peer; 5] =
    [einhorn::PEER, nsd::PEER, knot::ANSWERING, bind::PEER, powerdns::ANSWERING];

/// The servers as they are set up to be transferred from; the first is the one the others are
/// compared with.
pub(crate) static TRANSFERRING: [Peer; 5] =
    [einhorn::PEER, nsd::PEER, knot::TRANSFERRING, bind::PEER, powerdns::ANSWERING];

/// The servers that answer encrypted, each with a setup of its own there; the first is the one the
/// others are compared with.
pub(crate) static ENCRYPTED: [Peer; 3] = [einhorn::PEER, nsd::PEER, bind::PEER];

/// The servers that are measured in groups, each with a setup of its own there.
pub(crate) static EINHORN: Peer = einhorn::PEER;
pub(crate) static BIND: Peer = bind::PEER;
pub(crate) static KNOT: Peer = knot::PEER;

/// The name of the server that the others are compared with.
pub(crate) const OURS: &str = einhorn::PEER.name;

/// Where a server is to run, and with what.
pub(crate) struct Site {
    /// An empty folder of its own.
    folder: PathBuf,
    /// The zone as a file.
    zone_file: PathBuf,
    port: u16,
    /// How many processors it has.
    processors: usize,
}

/// How to start a server, and what the report says about it.
struct Setup {
    arguments: Vec<String>,
    /// The configuration as written; empty where the command line says it all.
    configuration: String,
}

/// What a server is started with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Start<'a> {
    /// The program, as found.
    pub(crate) program: &'a Path,
    /// Its folder, which is emptied first.
    pub(crate) folder: &'a Path,
    /// The zone file; the server gets a link to it in its own folder.
    pub(crate) zone_file: &'a Path,
    /// The processors it may use.
    pub(crate) processors: &'a [usize],
}

/// The processors of a server that has one.
pub(crate) const ONE_PROCESSOR: [usize; 1] = [SERVER_PROCESSOR];

/// A server that has been started.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) server: Server,
    pub(crate) port: u16,
    pub(crate) configuration: String,
}

impl Peer {
    /// Where the program is, if it is installed. `einhorn` is the path given for that server.
    pub(crate) fn find(&self, einhorn: Option<&Path>) -> Option<PathBuf> {
        if self.name != OURS {
            return process::find_program(self.program);
        }
        let beside = || Some(std::env::current_exe().ok()?.parent()?.join(self.program));
        einhorn.map(Path::to_owned).or_else(beside).filter(|path| path.is_file())
    }

    /// The first line of what the program prints about its version.
    pub(crate) fn version(&self, program: &Path) -> String {
        // PowerDNS prints it and fails nevertheless.
        let printed = match process::run(program, &[self.version_argument]) {
            Ok((text, _)) => text,
            Err(message) => message,
        };
        printed.lines().next().unwrap_or("(prints no version)").to_owned()
    }

    /// Where the program is, if it is installed, and its version or that it is missing.
    pub(crate) fn found(&self, einhorn: Option<&Path>) -> (Option<PathBuf>, String) {
        let program = self.find(einhorn);
        let version = program.as_deref().map_or_else(
            || format!("`{}` is not installed here: not measured", self.program),
            |program| self.version(program),
        );
        eprintln!("{}: {version}", self.name);
        (program, version)
    }

    /// Starts the server in a folder of its own.
    pub(crate) fn start(&self, start: Start<'_>) -> Result<Started, String> {
        let folder = start.folder;
        if folder.exists() {
            fs::remove_dir_all(folder)
                .map_err(|error| format!("cannot empty {}: {error}", folder.display()))?;
        }
        fs::create_dir_all(folder)
            .map_err(|error| format!("cannot create {}: {error}", folder.display()))?;
        let site = Site {
            folder: folder.to_owned(),
            zone_file: folder.join("zone"),
            port: free_port()?,
            processors: start.processors.len(),
        };
        // A link: no server writes into the file itself, and copying a large one takes time.
        fs::hard_link(start.zone_file, &site.zone_file).map_err(|error| {
            format!("cannot link {} into {}: {error}", start.zone_file.display(), folder.display())
        })?;
        let setup = (self.prepare)(&site)?;
        let server = Server::start(folder, start.program, &setup.arguments, start.processors)?;
        Ok(Started { server, port: site.port, configuration: setup.configuration })
    }
}

impl Started {
    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }
}

impl Site {
    /// Writes a file in the folder; its path.
    fn write(&self, name: &str, text: &str) -> Result<PathBuf, String> {
        let path = self.folder.join(name);
        fs::write(&path, text)
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        Ok(path)
    }

    /// Creates a folder in the folder; its path.
    fn create_folder(&self, name: &str) -> Result<PathBuf, String> {
        let path = self.folder.join(name);
        fs::create_dir(&path)
            .map_err(|error| format!("cannot create {}: {error}", path.display()))?;
        Ok(path)
    }
}

/// A port on 127.0.0.1 that nothing uses, for UDP or TCP, at this moment.
pub(crate) fn free_port() -> Result<u16, String> {
    for _ in 0..PORT_ATTEMPTS {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let address = listener
            .as_ref()
            .map_err(ToString::to_string)
            .and_then(|l| l.local_addr().map_err(|e| e.to_string()));
        let address = address.map_err(|error| format!("cannot find a free port: {error}"))?;
        if UdpSocket::bind(address).is_ok() {
            return Ok(address.port());
        }
    }
    Err("cannot find a port that is free for both UDP and TCP".to_owned())
}
