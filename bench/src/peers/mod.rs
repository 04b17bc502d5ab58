//! The servers that are measured: how each is configured and started.
//!
//! All of them are set up to be as fast as they can be while an acknowledged update is on the
//! disk. A driver never touches anything outside the folder it is given.

mod bind;
mod einhorn;
mod knot;
mod powerdns;

use crate::process::{self, Server};
use crate::workload::zone_file;
use std::fs;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};

/// Attempts to find a port that is free for both UDP and TCP.
const PORT_ATTEMPTS: usize = 64;

/// A kind of server.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    /// The program, as installed.
    pub(crate) program: &'static str,
    /// The argument that makes it print its version.
    version_argument: &'static str,
    /// Writes the configuration and says how to start the server.
    prepare: fn(&Site) -> Result<Setup, String>,
}

/// Every server there is a driver for; the first is the one the others are compared with.
pub(crate) static ALL: [Peer; 4] = [einhorn::PEER, bind::PEER, knot::PEER, powerdns::PEER];

/// The name of the server that the others are compared with.
pub(crate) const OURS: &str = einhorn::PEER.name;

/// Where a server is to run.
pub(crate) struct Site {
    /// An empty folder of its own.
    folder: PathBuf,
    /// The zone as a file.
    zone_file: PathBuf,
    port: u16,
}

/// How to start a server, and what the report says about it.
struct Setup {
    arguments: Vec<String>,
    /// The configuration as written; empty where the command line says it all.
    configuration: String,
}

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

    /// Starts the server in `folder`, which is emptied first.
    pub(crate) fn start(&self, program: &Path, folder: &Path) -> Result<Started, String> {
        if folder.exists() {
            fs::remove_dir_all(folder)
                .map_err(|error| format!("cannot empty {}: {error}", folder.display()))?;
        }
        fs::create_dir_all(folder)
            .map_err(|error| format!("cannot create {}: {error}", folder.display()))?;
        let site =
            Site { folder: folder.to_owned(), zone_file: folder.join("zone"), port: free_port()? };
        site.write("zone", &zone_file())?;
        let setup = (self.prepare)(&site)?;
        let server = Server::start(folder, program, &setup.arguments)?;
        Ok(Started { server, port: site.port, configuration: setup.configuration })
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
fn free_port() -> Result<u16, String> {
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
