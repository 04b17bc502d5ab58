//! The machine's end of the control port, a virtio serial port.
//!
//! It never waits for a host that is not there once the clock is set.

use crate::control::{Asked, Reply, Request, Said, read_line, write_line};
use rustix::process::{Signal, getpid, kill_process};
use rustix::time::{ClockId, Timespec, clock_settime};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

/// The first port that is no console.
const DEVICE: &str = "/dev/vport0p1";
/// Looks for the device, which the kernel makes a moment after its module is loaded.
const LOOKS_MAX: usize = 500;
const LOOK_INTERVAL: Duration = Duration::from_millis(10);
/// Pause when no host is connected.
const HOST_INTERVAL: Duration = Duration::from_millis(100);
/// A clock that is wrong by more is worth a line on the console.
const CLOCK_OFF_MS_SAID: u64 = 5000;
/// The node's socket in its folder.
const NODE_SOCKET: &str = "control.sock";

pub(super) struct Port {
    device: File,
    /// What follows a stop is said once the node has ended.
    writing: Mutex<()>,
}

impl Port {
    pub(super) fn open() -> io::Result<Port> {
        let mut looks = 0;
        let device = loop {
            match File::options().read(true).write(true).open(DEVICE) {
                Ok(device) => break device,
                Err(error) if looks == LOOKS_MAX => return Err(error),
                Err(_) => std::thread::sleep(LOOK_INTERVAL),
            }
            looks += 1;
        };
        Ok(Port { device, writing: Mutex::new(()) })
    }

    fn say(&self, id: u64, reply: Reply) -> io::Result<()> {
        let _turn = self.writing.lock();
        write_line(&mut &self.device, &Said { id, reply })
    }

    pub(super) fn fail(&self, reason: &str) {
        // Nobody may be there to hear it; the console says it too.
        let _ = self.say(0, Reply::Failed(reason.to_owned()));
    }

    /// Says that the machine is there, and takes the time from the host.
    pub(super) fn take_clock(&self) -> io::Result<()> {
        self.say(0, Reply::Hello)?;
        let mut reader = BufReader::with_capacity(1, &self.device);
        loop {
            match read_line::<Asked>(&mut reader)? {
                Some(Asked { id, request: Request::SetTime(ms) }) => {
                    let off_ms = crate::now_ms().abs_diff(ms);
                    set_clock(ms)?;
                    if off_ms > CLOCK_OFF_MS_SAID {
                        eprintln!("einhorn: the clock was wrong by {} s", off_ms / 1000);
                    }
                    return self.say(id, Reply::Done);
                }
                Some(Asked { id, .. }) => self.say(id, Reply::Ready(false))?,
                None => std::thread::sleep(HOST_INTERVAL),
            }
        }
    }

    /// Answers in a thread of its own, until the machine ends.
    pub(super) fn answer(&self, folder: PathBuf) -> io::Result<()> {
        let port = Port { device: self.device.try_clone()?, writing: Mutex::new(()) };
        std::thread::Builder::new().name("control".to_owned()).spawn(move || {
            let mut reader = BufReader::new(&port.device);
            loop {
                match read_line::<Asked>(&mut reader) {
                    Ok(Some(Asked { id, request })) => {
                        let stops = request == Request::Stop;
                        let reply = reply(&folder, request);
                        if let Err(error) = port.say(id, reply) {
                            eprintln!("einhorn: the control port: {error}");
                        }
                        if stops {
                            return;
                        }
                    }
                    // No host, or one that says what nobody understands.
                    Ok(None) => std::thread::sleep(HOST_INTERVAL),
                    Err(error) => {
                        eprintln!("einhorn: the control port: {error}");
                        std::thread::sleep(HOST_INTERVAL);
                    }
                }
            }
        })?;
        Ok(())
    }

    /// The last words.
    pub(super) fn farewell(&self, outcome: Result<(), String>) {
        let reply = match outcome {
            Ok(()) => Reply::Bye,
            Err(reason) => {
                eprintln!("einhorn: {reason}");
                Reply::Failed(reason)
            }
        };
        // Nobody may be there to hear them.
        let _ = self.say(0, reply);
    }
}

fn set_clock(ms: u64) -> io::Result<()> {
    let time = Timespec {
        tv_sec: i64::try_from(ms / 1000).map_err(io::Error::other)?,
        tv_nsec: (ms % 1000 * 1_000_000) as i64,
    };
    Ok(clock_settime(ClockId::Realtime, time)?)
}

fn reply(folder: &Path, request: Request) -> Reply {
    let done = match request {
        Request::Ready => {
            return Reply::Ready(UnixStream::connect(folder.join(NODE_SOCKET)).is_ok());
        }
        Request::Status => status(),
        Request::SetTime(ms) => set_clock(ms).map(|()| Reply::Done),
        Request::Ask(line) => ask(folder, &line).map(Reply::Answer),
        Request::Stop => {
            kill_process(getpid(), Signal::TERM).map(|()| Reply::Done).map_err(io::Error::from)
        }
    };
    done.unwrap_or_else(|error| Reply::Failed(error.to_string()))
}

fn ask(folder: &Path, line: &str) -> io::Result<String> {
    let mut stream = UnixStream::connect(folder.join(NODE_SOCKET))?;
    stream.write_all(line.trim_end().as_bytes())?;
    stream.write_all(b"\n")?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    Ok(answer)
}

fn status() -> io::Result<Reply> {
    let memory = fs::read_to_string("/proc/meminfo")?;
    let uptime = fs::read_to_string("/proc/uptime")?;
    let available = memory.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let available_kib = available.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    let uptime_s: Option<f64> = uptime.split(' ').next().and_then(|text| text.parse().ok());
    Ok(Reply::Status {
        available_kib: available_kib.unwrap_or_default(),
        uptime_ms: (uptime_s.unwrap_or_default() * 1000.0) as u64,
        now_ms: crate::now_ms(),
    })
}
