//! The process that keeps a cluster's machines: starts and ends them, runs the switch between them,
//! and does what `einhorn unicorn` asks it over a socket, a line of JSON each way.
//!
//! It never looks into what is asked of a node: it hands that on, so that each site's folder on the
//! host has a `control.sock` as if the node ran there.

use crate::acceleration::{self, Chosen};
use crate::cluster::Cluster;
use crate::control::{Port, Reply, Request, read_line, write_line};
use crate::machine::{Machine, resident_kib};
use crate::switch::{self, Rules, Station};
use crate::{Error, now_ms, system};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Where the supervisor listens, in the cluster's folder.
pub const SOCKET_FILE: &str = "unicorn.sock";
const SWITCH_FILE: &str = "switch";
const NODE_SOCKET: &str = "control.sock";
/// How long a machine may take until its first word.
const BOOT_MAX: Duration = Duration::from_secs(90);
/// Pause between two looks at something that is awaited.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// Octets of the longest question to a node.
const ASKED_OCTETS_MAX: u64 = 1 << 20;
/// How long a command may take to come.
const COMMAND_MAX: Duration = Duration::from_secs(5);
/// The longest delay between machines, in milliseconds.
const DELAY_MS_MAX: u64 = 60_000;

/// What can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Command {
    /// How the machines are.
    Status,
    /// Ends a machine at once, as a power failure does.
    Kill(String),
    /// Starts a machine again, after it was ended in order if it runs.
    Restart(String),
    /// Ends a machine in order, and starts it with the image in another folder. If that one does
    /// not become ready, the machine starts with its old image again.
    Upgrade(String, PathBuf),
    /// Stops a machine's processor.
    Pause(String),
    /// Lets it go on.
    Resume(String),
    /// Keeps two machines apart.
    Partition(String, String),
    /// Ends all partitions, delays and losses.
    Heal,
    /// What happens to every frame between machines from now on.
    Network {
        /// How long it takes, in milliseconds.
        delay_ms: u64,
        /// Of 1000 frames so many are lost.
        lost_per_mille: u64,
    },
    /// Ends all machines in order, and the supervisor.
    Down,
}

/// What is said to that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// It was done.
    Done(String),
    /// See [`Command::Status`].
    Status {
        /// How their processors are run, and why so.
        acceleration: Chosen,
        /// Each of them.
        machines: Vec<MachineStatus>,
    },
    /// It was not; the reason.
    Failed(String),
}

/// How a machine is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct MachineStatus {
    /// Its site's name.
    pub name: String,
    /// Its process, if it runs.
    pub pid: Option<u32>,
    /// Its processor is stopped.
    pub is_paused: bool,
    /// From its start until its node took commands, in milliseconds.
    pub boot_ms: Option<u64>,
    /// Memory of its process, in KiB.
    pub resident_kib: Option<u64>,
    /// Memory that its programs could still have, in KiB.
    pub available_kib: Option<u64>,
    /// Its clock minus the host's, in milliseconds.
    pub clock_ahead_ms: Option<i64>,
}

/// What runs in a place.
#[derive(Default)]
struct Running {
    child: Option<Child>,
    port: Option<Arc<Port>>,
    boot_ms: Option<u64>,
    is_paused: bool,
}

struct Supervisor {
    cluster: Cluster,
    machines: Vec<Machine>,
    running: Vec<Mutex<Running>>,
    /// The image of each machine; [`Supervisor::upgrade`] changes it.
    images: Vec<Mutex<PathBuf>>,
    rules: Arc<Mutex<Rules>>,
    acceleration: Chosen,
}

/// Asks the supervisor of the cluster in `folder`.
///
/// # Errors
/// None runs there, or it breaks off.
pub fn ask(folder: &Path, command: &Command) -> Result<Answer, Error> {
    let path = folder.join(SOCKET_FILE);
    let trouble = |error: io::Error| {
        Error::Missing(format!(
            "no cluster runs in {} ({error}): start one with `einhorn unicorn up`",
            folder.display()
        ))
    };
    let mut stream = UnixStream::connect(&path).map_err(trouble)?;
    write_line(&mut stream, command).map_err(trouble)?;
    let answer = read_line(&mut BufReader::new(stream)).map_err(trouble)?;
    answer.ok_or_else(|| trouble(io::ErrorKind::UnexpectedEof.into()))
}

/// Keeps the cluster in `folder` until it is told to end it.
///
/// # Errors
/// What keeps it from starting all machines.
pub fn run(folder: &Path, cluster: Cluster) -> Result<(), Error> {
    let switch = folder.join(SWITCH_FILE);
    let acceleration = acceleration::choose(&cluster.image)?;
    let machines: Vec<Machine> = cluster
        .site
        .iter()
        .enumerate()
        .map(|(place, site)| Machine {
            place,
            folder: folder.join(&site.name),
            memory_mib: cluster.memory_mib,
            site: site.clone(),
            switch: switch.clone(),
            acceleration: acceleration.acceleration,
        })
        .collect();
    let rules = Arc::new(Mutex::new(Rules::default()));
    let station = |machine: &Machine| Station { end: machine.network(), dns: machine.site.dns };
    let stations = machines.iter().map(station).collect();
    switch::run(&switch, stations, Arc::clone(&rules)).map_err(system("make", &switch))?;
    let running = machines.iter().map(|_| Mutex::default()).collect();
    let images = machines.iter().map(|_| Mutex::new(cluster.image.clone())).collect();
    let supervisor =
        Arc::new(Supervisor { cluster, machines, running, images, rules, acceleration });
    for place in 0..supervisor.machines.len() {
        supervisor.hand_on(place)?;
    }
    let path = folder.join(SOCKET_FILE);
    // One that is left over from an earlier run.
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).map_err(system("make", &path))?;
    let outcome = supervisor.start_all();
    if outcome.is_ok() {
        supervisor.obey(&listener);
    }
    let _ = std::fs::remove_file(&path);
    for place in 0..supervisor.machines.len() {
        supervisor.end(place);
    }
    outcome
}

impl Supervisor {
    fn place(&self, place: usize) -> MutexGuard<'_, Running> {
        self.running[place].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start_all(&self) -> Result<(), Error> {
        std::thread::scope(|scope| {
            let starts: Vec<_> = (0..self.machines.len())
                .map(|place| scope.spawn(move || self.start(place)))
                .collect();
            let gone = || Error::Refused("a machine's start broke off".to_owned());
            starts.into_iter().try_for_each(|start| start.join().map_err(|_| gone())?)
        })
    }

    /// Starts a machine, and waits until its node takes commands.
    fn start(&self, place: usize) -> Result<(), Error> {
        let (machine, begun) = (&self.machines[place], Instant::now());
        let mut running = self.place(place);
        let child = running.child.insert(machine.start(&self.image(place))?);
        let failed = |reason: String| {
            let (name, console) = (&machine.site.name, machine.console());
            Error::Refused(format!("{name}: {reason}; its console is in {}", console.display()))
        };
        while !machine.control().exists() {
            if let Ok(Some(status)) = child.try_wait() {
                return Err(failed(format!("QEMU has ended ({status}); see vm/qemu.log")));
            }
            if begun.elapsed() > BOOT_MAX {
                return Err(failed("QEMU does not start".to_owned()));
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
        let port = Port::connect(&machine.control(), BOOT_MAX, now_ms);
        let port = port.map_err(|error| failed(format!("it does not start: {error}")))?;
        loop {
            match port.ask(Request::Ready) {
                Ok(Reply::Ready(true)) => break,
                Err(error) => return Err(failed(error.to_string())),
                Ok(_) if begun.elapsed() > BOOT_MAX => {
                    return Err(failed("its node is not ready in time".to_owned()));
                }
                Ok(_) => std::thread::sleep(LOOK_INTERVAL),
            }
        }
        running.port = Some(Arc::new(port));
        running.boot_ms = Some(begun.elapsed().as_millis() as u64);
        Ok(())
    }

    /// Ends a machine in order if it listens; else at once. Whether it was in order.
    fn end(&self, place: usize) -> bool {
        let mut running = std::mem::take(&mut *self.place(place));
        let in_order = !running.is_paused && running.port.is_some_and(|port| port.stop());
        if let Some(child) = &mut running.child {
            // One that has said its last word has nothing to lose.
            let _ = child.kill().and_then(|()| child.wait());
        }
        in_order
    }

    /// Hands on what comes to the site's socket on the host.
    fn hand_on(self: &Arc<Self>, place: usize) -> Result<(), Error> {
        let path = self.machines[place].folder.join(NODE_SOCKET);
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).map_err(system("make", &path))?;
        let this = Arc::clone(self);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Who asked sees that the answer is missing.
                let _ = this.hand_on_one(place, stream);
            }
        });
        Ok(())
    }

    fn hand_on_one(&self, place: usize, mut stream: UnixStream) -> io::Result<()> {
        let mut line = String::new();
        BufReader::new((&stream).take(ASKED_OCTETS_MAX)).read_line(&mut line)?;
        let port = self.place(place).port.clone();
        let port = port.ok_or(io::ErrorKind::NotConnected)?;
        match port.ask(Request::Ask(line))? {
            Reply::Answer(line) => stream.write_all(line.as_bytes()),
            other => Err(io::Error::other(format!("{other:?}"))),
        }
    }

    /// Does what comes, one machine's start beside another's, until the end of all is wanted.
    fn obey(&self, listener: &UnixListener) {
        std::thread::scope(|scope| {
            for stream in listener.incoming().flatten() {
                // Without it one that says nothing would keep out the others.
                let _ = stream.set_read_timeout(Some(COMMAND_MAX));
                let Ok(Some(command)) = read_line::<Command>(&mut BufReader::new(&stream)) else {
                    continue;
                };
                if command == Command::Down {
                    return self.act_and_tell(command, stream);
                }
                scope.spawn(move || self.act_and_tell(command, stream));
            }
        });
    }

    fn act_and_tell(&self, command: Command, mut stream: UnixStream) {
        let answer = self.act(command).unwrap_or_else(|error| Answer::Failed(error.to_string()));
        // Who asked may have gone.
        let _ = write_line(&mut stream, &answer);
    }

    fn act(&self, command: Command) -> Result<Answer, Error> {
        let done = |text: String| Ok(Answer::Done(text));
        let rules = || self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        match command {
            Command::Status => Ok(Answer::Status {
                acceleration: self.acceleration.clone(),
                machines: (0..self.machines.len()).map(|place| self.status(place)).collect(),
            }),
            Command::Kill(name) => {
                let mut running = std::mem::take(&mut *self.place(self.cluster.place(&name)?));
                if let Some(child) = &mut running.child {
                    child
                        .kill()
                        .and_then(|()| child.wait())
                        .map_err(system("end", name.as_ref()))?;
                }
                done(format!("{name} is gone"))
            }
            Command::Restart(name) => {
                let place = self.cluster.place(&name)?;
                self.end(place);
                self.start(place)?;
                done(format!("{name} is ready"))
            }
            Command::Upgrade(name, image) => self.upgrade(&name, image),
            Command::Pause(name) => self.signal(&name, Signal::STOP, true),
            Command::Resume(name) => self.signal(&name, Signal::CONT, false),
            Command::Partition(one, other) => {
                rules().part(self.cluster.place(&one)?, self.cluster.place(&other)?);
                done(format!("{one} and {other} do not reach each other"))
            }
            Command::Heal => {
                *rules() = Rules::default();
                done("all reach each other".to_owned())
            }
            Command::Network { delay_ms, lost_per_mille } => {
                if delay_ms > DELAY_MS_MAX || lost_per_mille > 1000 {
                    return Err(Error::Refused(format!(
                        "at most {DELAY_MS_MAX} ms, and 1000 of 1000 frames"
                    )));
                }
                let mut rules = rules();
                (rules.delay_ms, rules.lost_per_mille) = (delay_ms, lost_per_mille);
                done(format!("frames take {delay_ms} ms, {lost_per_mille} of 1000 are lost"))
            }
            Command::Down => {
                let in_order = (0..self.machines.len()).filter(|place| self.end(*place)).count();
                done(format!("{in_order} of {} ended in order", self.machines.len()))
            }
        }
    }

    fn upgrade(&self, name: &str, image: PathBuf) -> Result<Answer, Error> {
        let place = self.cluster.place(name)?;
        let image_of = |image| std::mem::replace(&mut *self.image(place), image);
        self.end(place);
        let old = image_of(image);
        let Err(error) = self.start(place) else {
            return Ok(Answer::Done(format!("{name} is ready, with the new image")));
        };
        image_of(old);
        self.end(place);
        self.start(place)?;
        Err(Error::Refused(format!(
            "{name} has its old image again, since with the new one {error}"
        )))
    }

    fn image(&self, place: usize) -> MutexGuard<'_, PathBuf> {
        self.images[place].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn signal(&self, name: &str, signal: Signal, is_paused: bool) -> Result<Answer, Error> {
        let mut running = self.place(self.cluster.place(name)?);
        let pid = running.child.as_ref().and_then(|child| Pid::from_raw(child.id() as i32));
        let pid = pid.ok_or_else(|| Error::Refused(format!("{name} does not run")))?;
        kill_process(pid, signal).map_err(|error| system("signal", name.as_ref())(error.into()))?;
        running.is_paused = is_paused;
        if !is_paused && let Some(port) = running.port.clone() {
            // Its clock stood still meanwhile.
            port.ask(Request::SetTime(now_ms())).map_err(system("reach", name.as_ref()))?;
        }
        Ok(Answer::Done(format!("{name} {}", if is_paused { "stands still" } else { "goes on" })))
    }

    fn status(&self, place: usize) -> MachineStatus {
        let mut running = self.place(place);
        let pid = running.child.as_mut().and_then(|child| match child.try_wait() {
            Ok(None) => Some(child.id()),
            _ => None,
        });
        let port = running.port.clone().filter(|_| pid.is_some() && !running.is_paused);
        let inside = port.and_then(|port| port.ask(Request::Status).ok());
        let (available_kib, clock_ahead_ms) = match inside {
            Some(Reply::Status { available_kib, now_ms: inside_ms, .. }) => {
                (Some(available_kib), Some(inside_ms.wrapping_sub(now_ms()) as i64))
            }
            _ => (None, None),
        };
        MachineStatus {
            name: self.machines[place].site.name.clone(),
            pid,
            is_paused: running.is_paused,
            boot_ms: running.boot_ms,
            resident_kib: pid.and_then(resident_kib),
            available_kib,
            clock_ahead_ms,
        }
    }
}
