//! A source that is the zone of another server, which knows nothing of it: the server is asked for its
//! SOA when that says so, and for what changed (IXFR), or all of it (AXFR), when its serial is greater.
//!
//! What came counts when it came as a whole; whatever else happens is an error, and the zone stays as it
//! is. Which serial was applied stands in the ledger; what the zone said then is asked for anew by whoever
//! was killed.

use super::apply::text;
use super::node::HttpNode;
use super::source::Octets;
use crate::{Failure, Outcome, print};
use einhorn_bridge::live::apply::{Node, Problem, Source, apply};
use einhorn_bridge::live::copy::Copy;
use einhorn_bridge::merge::PlanError;
use einhorn_core::model::settings::Remote;
use einhorn_core::rules::follow::{Attempt, Follow, Turn};
use einhorn_core::rules::incoming::Content;
use einhorn_ingress::remote::{self, Peer, RemoteError};
use einhorn_node::config::{Config, SourceConfig};
use einhorn_wire::Name;
use einhorn_wire::rdata::{SoaNumbers, serial_greater};
use std::fmt::Display;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A server and a zone of it.
pub(crate) struct Server {
    runtime: tokio::runtime::Runtime,
    peer: Peer,
    zone: Name,
    /// What it said last, as far as this process knows.
    copy: Option<Copy>,
}

impl Server {
    /// The server that a source's configuration names.
    pub(crate) fn new(
        config: &Config,
        settings: &SourceConfig,
        remote: &Remote,
    ) -> Result<Server, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let access = config.access();
        let key = remote.key.as_ref().and_then(|name| access.keys.get(name)).map(Arc::clone);
        Ok(Server {
            runtime: runtime.map_err(Failure::finding)?,
            peer: Peer { address: remote.address, key },
            zone: settings.zone.clone(),
            copy: None,
        })
    }

    fn failed(&self, why: impl Display) -> Problem {
        Problem::File(format!("zone {} at {}: {why}", self.zone, self.peer.address))
    }

    /// The numbers of its SOA now.
    fn numbers(&self) -> Result<SoaNumbers, Problem> {
        let asked = self.runtime.block_on(remote::numbers(&self.peer, &self.zone));
        asked.map_err(|error| self.failed(error))
    }

    /// Its zone as it is now: by what changed since the copy, where that works, else as a whole.
    pub(crate) fn fetch(&mut self) -> Result<Octets, Problem> {
        let copy = match self.copy.take() {
            Some(copy) => self.incremental(copy)?,
            None => None,
        };
        let copy = match copy {
            Some(copy) => copy,
            None => self.whole()?,
        };
        let name = format!("{} of {}, serial {}", self.zone, self.peer.address, copy.serial());
        let octets = copy.zone_file();
        self.copy = Some(copy);
        Ok(Octets { name, octets })
    }

    fn transfer(&self, since: Option<&[u8]>) -> Result<Content, RemoteError> {
        self.runtime.block_on(remote::transfer(&self.peer, &self.zone, since))
    }

    fn whole(&self) -> Result<Copy, Problem> {
        match self.transfer(None).map_err(|error| self.failed(error))? {
            Content::Whole(records) => {
                Copy::whole(self.zone.clone(), records).map_err(|error| self.failed(error))
            }
            _ => Err(self.failed("it sent no whole zone")),
        }
    }

    /// The copy after what changed since; `None` where a whole transfer is to be tried instead.
    fn incremental(&self, copy: Copy) -> Result<Option<Copy>, Problem> {
        let content = match self.transfer(Some(copy.soa())) {
            Ok(content) => content,
            Err(error) if error.is_of_content() => return Ok(None),
            Err(error) => return Err(self.failed(error)),
        };
        match content {
            Content::UpToDate => Ok(Some(copy)),
            Content::Whole(records) => Ok(Copy::whole(self.zone.clone(), records).ok()),
            Content::Differences(differences) => {
                let (from, count) = (copy.serial(), differences.len());
                let after = copy.after(differences);
                match &after {
                    Ok(after) => {
                        tracing::info!(from, serial = after.serial(), count, "differences")
                    }
                    Err(error) => tracing::warn!(from, %error, "taking the whole zone"),
                }
                Ok(after.ok())
            }
        }
    }
}

/// Polls until it is killed: at the times of the SOA, or each `every`.
pub(crate) fn follow_zone(
    server: &mut Server,
    source: &Source,
    node: &mut HttpNode,
    every: Option<Duration>,
) -> Outcome {
    let begin = Instant::now();
    let now_ms = || u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
    let mut follow = Follow::new(1, None, now_ms());
    let mut poller = Poller { server, source, node, done: None };
    print(format_args!("watching {} at {}", source.placing.zone, poller.server.peer.address))?;
    loop {
        if follow.wake(now_ms()).is_some() || every.is_some() {
            let attempt = poller.attempt()?;
            let ended = match &attempt {
                Ok(numbers) => Attempt::Current(*numbers),
                Err(_) => Attempt::Failed,
            };
            // One process that polls one zone needs no jitter.
            match (follow.ended(ended, now_ms(), 0), attempt) {
                (Turn::Recovered, _) => eprintln!("einhorn: it works again"),
                (Turn::Failing, Err(problem)) => eprintln!("einhorn: {problem}; trying again"),
                _ => {}
            }
        }
        let wake = follow.wake_ms().unwrap_or_default().saturating_sub(now_ms());
        std::thread::sleep(every.unwrap_or(Duration::from_millis(wake)));
    }
}

struct Poller<'p> {
    server: &'p mut Server,
    source: &'p Source,
    node: &'p mut HttpNode,
    /// The serial with which there is nothing more to do.
    done: Option<u32>,
}

impl Poller<'_> {
    /// Asks once, and applies what is new.
    fn attempt(&mut self) -> Result<Result<SoaNumbers, Problem>, Failure> {
        match self.changed() {
            Ok((numbers, None)) => Ok(Ok(numbers)),
            Ok((numbers, Some(mut input))) => Ok(self.take(&mut input)?.map(|()| numbers)),
            Err(problem) => Ok(Err(problem)),
        }
    }

    /// The zone, if its serial is greater than that of the one that was taken last.
    fn changed(&mut self) -> Result<(SoaNumbers, Option<Octets>), Problem> {
        let numbers = self.server.numbers()?;
        if self.done.is_none() {
            let last = self.node.look()?.source.and_then(|source| source.head.last);
            self.done = last.and_then(|last| u32::try_from(last.generation).ok());
        }
        match self.done {
            Some(done) if done == numbers.serial => Ok((numbers, None)),
            Some(done) if !serial_greater(numbers.serial, done) => Err(Problem::File(format!(
                "its serial {} is older than {done}, which was taken; `einhorn bridge plan` shows \
                 what it would change",
                numbers.serial
            ))),
            _ => Ok((numbers, Some(self.server.fetch()?))),
        }
    }

    fn take(&mut self, input: &mut Octets) -> Result<Result<(), Problem>, Failure> {
        let applied = apply(self.source, self.node, input, None, &mut |_, _| {});
        match applied {
            Ok(summary) => print(format_args!("applied {}", text(&summary)))?,
            Err(Problem::Plan(PlanError::AlreadyApplied(_))) => {}
            // The node may be back the next time.
            Err(problem @ (Problem::Node(_) | Problem::Moved(_) | Problem::Restless(..))) => {
                return Ok(Err(problem));
            }
            Err(problem) => {
                eprintln!("einhorn: {}: {problem}; waiting for it to change", input.name);
            }
        }
        self.done = self.server.copy.as_ref().map(Copy::serial);
        Ok(Ok(()))
    }
}
