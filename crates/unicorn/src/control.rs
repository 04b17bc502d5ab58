//! What a host and the first process of a machine say to each other on the control port: lines of
//! JSON, each reply with the number of its request. And the host's side of it.
//!
//! It never looks into what is asked of the node: that passes through as a line.

use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Octets of the longest line.
pub const LINE_OCTETS_MAX: u64 = 4 << 20;
/// How long a reply may take; adding a site waits for other sites.
const REPLY_MAX: Duration = Duration::from_secs(60);
/// Lines that are passed over while a reply is awaited, at most.
const PASSED_MAX: usize = 1000;

/// What the host wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Does the node take commands?
    Ready,
    /// Memory and time since the start.
    Status,
    /// Sets the clock to this many milliseconds since 1970 (UTC).
    SetTime(u64),
    /// One line for the node's control socket.
    Ask(String),
    /// End in order.
    Stop,
}

/// What the machine says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// The first thing: the port is open, and the clock is awaited.
    Hello,
    /// It was done.
    Done,
    /// Whether the node takes commands.
    Ready(bool),
    /// How the machine is.
    Status {
        /// KiB of memory that programs could still have.
        available_kib: u64,
        /// Milliseconds since the kernel started.
        uptime_ms: u64,
        /// Its clock: milliseconds since 1970 (UTC).
        now_ms: u64,
    },
    /// What the node answered.
    Answer(String),
    /// It was not possible; the reason.
    Failed(String),
    /// The last thing: everything is on the disk.
    Bye,
}

/// A request with its number.
#[derive(Debug, Serialize, Deserialize)]
pub struct Asked {
    /// Given back in the reply.
    pub id: u64,
    /// What is wanted.
    pub request: Request,
}

/// A reply with its request's number, 0 for what nobody asked for.
#[derive(Debug, Serialize, Deserialize)]
pub struct Said {
    /// The request's.
    pub id: u64,
    /// What is said.
    pub reply: Reply,
}

/// Reads one line; `None` at the end.
///
/// # Errors
/// What the system says, or that the line is too long or is not what it should be.
pub fn read_line<T: for<'d> Deserialize<'d>>(from: &mut impl BufRead) -> io::Result<Option<T>> {
    let mut line = String::new();
    if from.take(LINE_OCTETS_MAX).read_line(&mut line)? == 0 {
        return Ok(None);
    }
    Ok(Some(serde_json::from_str(&line)?))
}

/// Writes one line.
///
/// # Errors
/// What the system says.
pub fn write_line(to: &mut impl Write, what: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    to.write_all(&line)
}

struct Open {
    reader: BufReader<UnixStream>,
    last_id: u64,
}

/// The host's end.
pub struct Port {
    open: Mutex<Open>,
}

impl Port {
    /// Connects, waits for the machine's first word, sets its clock.
    ///
    /// # Errors
    /// Nobody is there, or says nothing within `boot_max`.
    pub fn connect(path: &Path, boot_max: Duration, now_ms: impl Fn() -> u64) -> io::Result<Port> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(boot_max))?;
        let mut reader = BufReader::new(stream);
        match read_line::<Said>(&mut reader)? {
            Some(Said { reply: Reply::Hello, .. }) => {}
            Some(Said { reply: Reply::Failed(reason), .. }) => {
                return Err(io::Error::other(reason));
            }
            _ => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
        reader.get_ref().set_read_timeout(Some(REPLY_MAX))?;
        let port = Port { open: Mutex::new(Open { reader, last_id: 0 }) };
        port.ask(Request::SetTime(now_ms()))?;
        Ok(port)
    }

    /// Asks, and waits for the reply.
    ///
    /// # Errors
    /// The machine is gone, or what it says is no reply to that.
    pub fn ask(&self, request: Request) -> io::Result<Reply> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.last_id += 1;
        let id = open.last_id;
        write_line(&mut open.reader.get_ref(), &Asked { id, request })?;
        for _ in 0..PASSED_MAX {
            match read_line::<Said>(&mut open.reader)? {
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
                Some(said) if said.id == id => return Ok(said.reply),
                Some(Said { id: 0, reply: Reply::Failed(reason) }) => {
                    return Err(io::Error::other(reason));
                }
                Some(_) => {}
            }
        }
        Err(io::Error::other("only replies to other requests"))
    }

    /// Tells the machine to end, and waits until it has; whether it ended in order.
    pub fn stop(&self) -> bool {
        if self.ask(Request::Stop).is_err() {
            return false;
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        while let Ok(Some(said)) = read_line::<Said>(&mut open.reader) {
            if said.reply == Reply::Bye {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_set_first_and_replies_find_their_requests() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ctl");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let machine = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            write_line(&mut stream, &Said { id: 0, reply: Reply::Hello }).unwrap();
            let first: Asked = read_line(&mut reader).unwrap().unwrap();
            assert_eq!(first.request, Request::SetTime(7));
            write_line(&mut stream, &Said { id: first.id, reply: Reply::Done }).unwrap();
            let second: Asked = read_line(&mut reader).unwrap().unwrap();
            // A late reply to something else is passed over.
            write_line(&mut stream, &Said { id: 99, reply: Reply::Done }).unwrap();
            let reply = Reply::Answer("yes".to_owned());
            write_line(&mut stream, &Said { id: second.id, reply }).unwrap();
        });
        let port = Port::connect(&path, Duration::from_secs(5), || 7).unwrap();
        let reply = port.ask(Request::Ask("well?".to_owned())).unwrap();
        assert_eq!(reply, Reply::Answer("yes".to_owned()));
        machine.join().unwrap();
        assert!(port.ask(Request::Ready).is_err());
        assert!(!port.stop());
    }
}
