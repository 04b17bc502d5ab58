//! A real etcd of several members, and a proxy that can fall silent between it and its clients.
//!
//! Members listen on loopback, keep their data in a scratch folder and die with the test.

use crate::{await_that, free_address, peer};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// How long a member may take to answer a request of the test itself.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// The octets that a proxy passes on at once.
const PROXY_OCTETS: usize = 1 << 16;

struct Member {
    name: String,
    folder: PathBuf,
    client: SocketAddr,
    peer: SocketAddr,
    child: Option<Child>,
}

/// An etcd. Its members are killed when dropped.
pub struct Etcd {
    program: PathBuf,
    arguments: Vec<String>,
    members: Vec<Member>,
}

impl Etcd {
    /// Starts an etcd of `count` members with more arguments for each, and waits until it has a
    /// leader; `None`, said loudly, where etcd is not installed.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(folder: &Path, count: usize, arguments: &[&str]) -> Option<Etcd> {
        let program = peer("etcd")?;
        let member = |number: usize| Member {
            name: format!("m{number}"),
            folder: folder.join(format!("m{number}")),
            client: free_address(),
            peer: free_address(),
            child: None,
        };
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let members = (0..count).map(member).collect();
        let mut etcd = Etcd { program, arguments, members };
        for number in 0..count {
            etcd.start_member(number);
        }
        etcd.leader();
        (0..count).for_each(|number| etcd.await_member(number));
        Some(etcd)
    }

    /// The addresses for clients, as URLs, by member.
    pub fn endpoints(&self) -> Vec<String> {
        self.members.iter().map(|member| format!("http://{}", member.client)).collect()
    }

    /// A member's address for clients.
    pub fn address(&self, number: usize) -> SocketAddr {
        self.members[number].client
    }

    /// Starts a member, again if it ran before.
    ///
    /// # Panics
    /// When it cannot be run.
    pub fn start_member(&mut self, number: usize) {
        let url = |address: SocketAddr| format!("http://{address}");
        let all: Vec<String> = self
            .members
            .iter()
            .map(|member| format!("{}={}", member.name, url(member.peer)))
            .collect();
        let member = &mut self.members[number];
        let log = member.folder.with_extension("log");
        let log = File::options().create(true).append(true).open(log).expect("a log");
        let child = Command::new(&self.program)
            .args(["--name", &member.name, "--data-dir"])
            .arg(&member.folder)
            .args(["--listen-client-urls", &url(member.client)])
            .args(["--advertise-client-urls", &url(member.client)])
            .args(["--listen-peer-urls", &url(member.peer)])
            .args(["--initial-advertise-peer-urls", &url(member.peer)])
            .args(["--initial-cluster", &all.join(",")])
            .args(["--initial-cluster-state", "new"])
            .args(&self.arguments)
            .env("ETCD_UNSUPPORTED_ARCH", std::env::consts::ARCH.replace("aarch64", "arm64"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .spawn()
            .expect("etcd starts");
        member.child = Some(child);
    }

    /// Waits until a member answers.
    ///
    /// # Panics
    /// When it does not.
    pub fn await_member(&self, number: usize) {
        await_that("an answer of etcd's member", || {
            let status = self.post(number, "/v3/maintenance/status", &json!({}))?;
            match status["leader"].as_str() {
                Some(_) => Ok(()),
                None => Err(format!("{status}; {}", self.log(number))),
            }
        });
    }

    /// What a member said last.
    fn log(&self, number: usize) -> String {
        let log = std::fs::read(self.members[number].folder.with_extension("log"));
        let log = String::from_utf8_lossy(&log.unwrap_or_default()).into_owned();
        log.lines().rev().take(5).collect::<Vec<_>>().join("\n")
    }

    /// The number of the member that leads, once there is one.
    ///
    /// # Panics
    /// When there is none.
    pub fn leader(&self) -> usize {
        await_that("a leader of etcd", || {
            let mut saw = String::new();
            for number in self.running() {
                match self.post(number, "/v3/maintenance/status", &json!({})) {
                    Ok(status) if status["leader"] == status["header"]["member_id"] => {
                        return Ok(number);
                    }
                    other => saw += &format!("{number}: {other:?}; {}\n", self.log(number)),
                }
            }
            Err(saw)
        })
    }

    fn running(&self) -> impl Iterator<Item = usize> {
        (0..self.members.len()).filter(|number| self.members[*number].child.is_some())
    }

    /// Kills a member at once.
    ///
    /// # Panics
    /// When it does not run.
    pub fn kill_member(&mut self, number: usize) {
        let mut child = self.members[number].child.take().expect("it runs");
        child.kill().expect("it is killed");
        child.wait().expect("it ends");
    }

    /// Stops a member from doing anything, or lets it go on.
    ///
    /// # Panics
    /// When it does not run.
    pub fn pause_member(&self, number: usize, is_paused: bool) {
        let child = self.members[number].child.as_ref().expect("it runs");
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process id");
        let signal = if is_paused { Signal::STOP } else { Signal::CONT };
        kill_process(pid, signal).expect("the signal is sent");
    }

    /// Asks a member through its JSON gateway.
    ///
    /// # Errors
    /// What went wrong, or what it answered instead of a success.
    pub fn post(&self, number: usize, path: &str, body: &Value) -> Result<Value, String> {
        let failed = |error: std::io::Error| error.to_string();
        let address = self.members[number].client;
        let mut stream = TcpStream::connect(address).map_err(failed)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT)).map_err(failed)?;
        let body = body.to_string();
        let request = format!(
            "POST {path} HTTP/1.0\r\nHost: {address}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).map_err(failed)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).map_err(failed)?;
        let answer = String::from_utf8_lossy(&answer);
        let Some((head, body)) = answer.split_once("\r\n\r\n") else {
            return Err(answer.into_owned());
        };
        match head.split(' ').nth(1) {
            Some("200") => serde_json::from_str(body).map_err(|error| format!("{error}: {body}")),
            _ => Err(answer.into_owned()),
        }
    }

    /// The newest revision.
    ///
    /// # Panics
    /// When a member does not say.
    pub fn revision(&self) -> i64 {
        let number = self.running().next().expect("a member");
        let status = self.post(number, "/v3/maintenance/status", &json!({})).expect("a status");
        status["header"]["revision"].as_str().and_then(|text| text.parse().ok()).expect("a number")
    }

    /// Drops all history.
    ///
    /// # Panics
    /// When etcd does not do it.
    pub fn compact(&self) {
        let body = json!({ "revision": self.revision().to_string(), "physical": true });
        let number = self.running().next().expect("a member");
        self.post(number, "/v3/kv/compaction", &body).expect("history is dropped");
    }

    /// Gives room that nothing uses back, on all members, and ends the alarm that there is none.
    ///
    /// # Panics
    /// When a member does not do it.
    pub fn make_room(&self) {
        for number in self.running() {
            self.post(number, "/v3/maintenance/defragment", &json!({})).expect("room is freed");
        }
        let number = self.running().next().expect("a member");
        let alarm = |body: Value| {
            self.post(number, "/v3/maintenance/alarm", &body).expect("an answer about alarms")
        };
        let alarms = alarm(json!({ "action": "GET" }));
        // Each member has its own.
        for one in alarms["alarms"].as_array().into_iter().flatten() {
            let member = &one["memberID"];
            alarm(json!({ "action": "DEACTIVATE", "alarm": "NOSPACE", "memberID": member }));
        }
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        for child in self.members.iter_mut().filter_map(|member| member.child.as_mut()) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Passes connections on to an address, until it falls silent: then it takes octets, and
/// connections, and nothing comes out at the other side.
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    state: Arc<ProxyState>,
}

#[derive(Default)]
struct ProxyState {
    inner: Mutex<ProxyInner>,
    changed: Condvar,
}

#[derive(Default)]
struct ProxyInner {
    is_silent: bool,
    are_answers_lost: bool,
    is_over: bool,
    streams: Vec<TcpStream>,
}

impl Proxy {
    /// A proxy to `target`.
    ///
    /// # Panics
    /// When it cannot listen.
    pub fn start(target: SocketAddr) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(ProxyState::default());
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                if shared.inner.lock().expect("a state").is_over {
                    return;
                }
                let Ok(server) = TcpStream::connect(target) else { continue };
                for (from, to, is_answer) in [(&client, &server, false), (&server, &client, true)] {
                    let from = from.try_clone().expect("a socket");
                    let to = to.try_clone().expect("a socket");
                    let kept = from.try_clone().expect("a socket");
                    shared.inner.lock().expect("a state").streams.push(kept);
                    let shared = Arc::clone(&shared);
                    std::thread::spawn(move || shared.pass(from, to, is_answer));
                }
            }
        });
        Proxy { address, state }
    }

    /// From now on nothing comes out.
    ///
    /// # Panics
    /// When one of its threads panicked.
    pub fn fall_silent(&self) {
        self.state.inner.lock().expect("a state").is_silent = true;
    }

    /// Everything comes out again, what was kept first.
    ///
    /// # Panics
    /// When one of its threads panicked.
    pub fn speak(&self) {
        let mut inner = self.state.inner.lock().expect("a state");
        (inner.is_silent, inner.are_answers_lost) = (false, false);
        drop(inner);
        self.state.changed.notify_all();
    }

    /// From now on what clients send goes on, and nothing comes back.
    ///
    /// # Panics
    /// When one of its threads panicked.
    pub fn lose_answers(&self) {
        self.state.inner.lock().expect("a state").are_answers_lost = true;
    }
}

impl ProxyState {
    fn pass(&self, mut from: TcpStream, mut to: TcpStream, is_answer: bool) {
        let mut octets = vec![0; PROXY_OCTETS];
        while let Ok(count) = from.read(&mut octets) {
            let inner = self.inner.lock().expect("a state");
            let silent = |inner: &mut ProxyInner| {
                (inner.is_silent || (inner.are_answers_lost && is_answer)) && !inner.is_over
            };
            let inner = self.changed.wait_while(inner, silent).expect("a state");
            if inner.is_over || count == 0 {
                break;
            }
            drop(inner);
            if to.write_all(&octets[..count]).is_err() {
                break;
            }
        }
        for stream in [from, to] {
            // It may be closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Ok(mut inner) = self.state.inner.lock() {
            inner.is_over = true;
            inner.streams.iter().for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
        }
        self.state.changed.notify_all();
        // Wakes the thread that listens, so that it ends.
        let _ = TcpStream::connect(self.address);
    }
}
