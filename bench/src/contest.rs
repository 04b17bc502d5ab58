//! A contest of servers: who takes part, and whose turn it is.
//!
//! It never measures: what one turn is, each benchmark says.

use crate::options::Options;
use crate::peers::Peer;
use crate::place::Place;
use std::path::{Path, PathBuf};

/// All rounds of one server.
pub(crate) struct Server<M> {
    pub(crate) peer: &'static Peer,
    pub(crate) program: Option<PathBuf>,
    pub(crate) version: String,
    pub(crate) command_line: String,
    pub(crate) configuration: String,
    pub(crate) measurements: Vec<M>,
    pub(crate) failures: Vec<String>,
}

/// Those of `peers` that the options choose, each as far as it is installed.
pub(crate) fn choose<M>(options: &Options, peers: &'static [Peer]) -> Vec<Server<M>> {
    let find = |peer: &'static Peer| {
        let (program, version) = peer.found(options.einhorn.as_deref());
        Server {
            peer,
            program,
            version,
            command_line: String::new(),
            configuration: String::new(),
            measurements: Vec::new(),
            failures: Vec::new(),
        }
    };
    options.choose(peers).into_iter().map(find).collect()
}

/// Lets servers take turns, each round beginning with another one. `play` gets the server, its
/// program and a folder for this turn.
pub(crate) fn take_turns<M>(
    servers: &mut [Server<M>],
    rounds: u32,
    place: &Place,
    mut play: impl FnMut(&mut Server<M>, &Path, PathBuf) -> Result<M, String>,
) {
    let count = servers.len();
    for round in 0..rounds {
        for turn in 0..count {
            let server = &mut servers[(turn + round as usize) % count];
            let Some(program) = server.program.clone() else { continue };
            eprintln!("round {} of {rounds}: {}", round + 1, server.peer.name);
            let folder = place.folder().join(format!("{round}-{}", server.peer.program));
            match play(server, &program, folder) {
                Ok(measurement) => server.measurements.push(measurement),
                Err(message) => {
                    eprintln!("  failed: {message}");
                    server.failures.push(message);
                }
            }
        }
    }
}
