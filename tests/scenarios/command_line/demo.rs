//! `einhorn demo`: everything that its one line of JSON names works as documented.

use super::{EINHORN, einhorn, says};
use einhorn_harness::{Client, Reply, await_that, peer, run, scratch};
use einhorn_wire::RecordType;
use einhorn_wire::message::Rcode;
use einhorn_wire::tsig::Key;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;

/// A running demonstration with its line of JSON.
pub(super) struct Demo {
    pub(super) child: Child,
    stdout: BufReader<ChildStdout>,
    pub(super) line: Value,
}

impl Demo {
    pub(super) fn start(arguments: &[&str]) -> Demo {
        let mut child = Command::new(EINHORN)
            .args(["demo", "--json"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("a line");
        let line = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        Demo { child, stdout, line }
    }

    pub(super) fn text(&self, pointer: &str) -> &str {
        self.line.pointer_text(pointer)
    }

    fn dns(&self) -> SocketAddr {
        self.text("/sites/0/dns").parse().expect("an address")
    }

    pub(super) fn key(&self) -> Arc<Key> {
        let part = |name| self.text(&format!("/tsig/{name}"));
        let text = format!("{}:{}:{}", part("algorithm"), part("name"), part("secret"));
        Arc::new(text.parse().expect("a key"))
    }

    fn set(&self, name: &str, address: [u8; 4]) -> Rcode {
        Client::new(self.dns()).set_address(&self.key(), self.text("/zone"), name, address)
    }

    fn query(&self, name: &str) -> Reply {
        Client::new(self.dns()).query(name, RecordType::A)
    }

    /// Ends it in order; nothing may have followed the line.
    pub(super) fn stop(mut self) {
        let pid = Pid::from_raw(self.child.id().try_into().expect("a number"));
        kill_process(pid.expect("a process id"), Signal::TERM).expect("the signal is sent");
        let status = self.child.wait().expect("it ends");
        assert_eq!(status.code(), Some(0), "{status:?}");
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).expect("text");
        assert_eq!(rest, "", "exactly one line");
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The text at a JSON pointer.
trait PointerText {
    fn pointer_text(&self, pointer: &str) -> &str;
}

impl PointerText for Value {
    fn pointer_text(&self, pointer: &str) -> &str {
        let found = self.pointer(pointer).and_then(Value::as_str);
        found.unwrap_or_else(|| panic!("no text at {pointer} in {self}"))
    }
}

pub(super) fn verify(url: &str, vkey: &str) -> String {
    run(&mut einhorn(&["ledger", "verify", "--replay", "--url", url, "--vkey", vkey])).good()
}

#[test]
fn everything_that_the_line_names_works() {
    let demo = Demo::start(&[]);
    assert_eq!(demo.text("/zone"), "fleet.example.");
    assert_eq!(demo.text("/tsig/name"), "demo.");
    assert_eq!(demo.text("/tsig/algorithm"), "hmac-sha256");
    assert_eq!(demo.line["sites"].as_array().map(Vec::len), Some(1));
    assert_eq!(demo.text("/sites/0/name"), "berlin");
    let (http, ledger) = (demo.text("/sites/0/http"), demo.text("/sites/0/ledger"));
    assert_eq!(ledger, format!("{http}/ledger/berlin/"));
    assert!(http.starts_with("http://127.0.0.1:"), "{http}");
    assert!(demo.dns().ip().is_loopback());

    assert_eq!(demo.query("gateway.fleet.example.").answers.len(), 1);
    let name = "bens-iphone.fleet.example.";
    assert_eq!(demo.set(name, [192, 0, 2, 99]), Rcode::NOERROR);
    assert_eq!(*demo.query(name).answers[0].rdata, [192, 0, 2, 99]);
    // Whoever has the phone's URL and is where it may be is the phone.
    if let Some(curl) = peer("curl") {
        let url =
            format!("{}?dns=AAAAAAABAAAAAAAABWZsZWV0B2V4YW1wbGUAAAYAAQ", demo.text("/phone/doh"));
        let mut command = Command::new(curl);
        command.args(["--silent", "--show-error", "--fail", "--output", "/dev/null"]);
        command.args(["--interface", "127.2.0.9", "--cacert", demo.text("/phone/ca"), &url]);
        run(&mut command).good();
        let phone = demo.text("/phone/name");
        await_that("the phone's name follows it", || {
            let answers = demo.query(phone).answers;
            let is_there = answers.first().is_some_and(|record| *record.rdata == [127, 2, 0, 9]);
            if is_there { Ok(()) } else { Err(format!("{answers:?}")) }
        });
    }
    if let Some(dig) = peer("dig") {
        let mut command = Command::new(dig);
        let dns = demo.dns();
        command.arg(format!("@{}", dns.ip())).args(["-p", &dns.port().to_string(), "+short", name]);
        assert_eq!(run(&mut command).good(), "192.0.2.99\n");
    }

    let vkey = demo.text("/sites/0/vkey");
    says(&verify(ledger, vkey), &["fleet.example/berlin is sound"]);
    let data = Path::new(demo.text("/sites/0/data")).to_owned();
    assert!(data.is_dir(), "{}", data.display());
    let mut export = einhorn(&["zone", "export", "fleet.example.", "--data"]);
    says(&run(export.arg(&data)).good(), &["bens-iphone.fleet.example. 60 IN A 192.0.2.99"]);
    demo.stop();
    assert!(!data.exists(), "a demonstration without --dir leaves nothing behind");
}

#[test]
fn a_folder_is_kept_and_gone_on_with() {
    let folder = scratch();
    let kept: PathBuf = folder.path().join("demo");
    let dir = kept.to_str().expect("text");
    let name = "bens-iphone.fleet.example.";
    let first = Demo::start(&["--dir", dir]);
    assert_eq!(first.set(name, [192, 0, 2, 99]), Rcode::NOERROR);
    let vkey = first.text("/sites/0/vkey").to_owned();
    let tsig = first.line["tsig"].clone();
    assert!(Path::new(first.text("/sites/0/data")).starts_with(kept.canonicalize().expect("it")));
    // Two at once would be two writers of one log.
    let said = run(&mut einhorn(&["demo", "--json", "--dir", dir])).failed(1);
    says(&said, &["a folder serves one node"]);
    first.stop();

    let second = Demo::start(&["--dir", dir]);
    assert_eq!(second.text("/sites/0/vkey"), vkey);
    assert_eq!(second.line["tsig"], tsig);
    assert_eq!(*second.query(name).answers[0].rdata, [192, 0, 2, 99]);
    says(&verify(second.text("/sites/0/ledger"), &vkey), &["is sound"]);
    second.stop();
}

#[test]
fn the_ports_are_those_asked_for() {
    // Three ports in a row that were free a moment ago.
    let base = std::iter::repeat_with(|| {
        let first = TcpListener::bind("127.0.0.1:0").expect("a socket");
        let port = first.local_addr().expect("an address").port();
        let second = TcpListener::bind(("127.0.0.1", port.checked_add(1)?)).ok()?;
        let third = TcpListener::bind(("127.0.0.1", port.checked_add(2)?)).ok()?;
        drop((first, second, third));
        Some(port)
    })
    .find_map(|port| port)
    .expect("three free ports");
    let demo = Demo::start(&["--port-base", &base.to_string()]);
    assert_eq!(demo.dns().port(), base);
    assert_eq!(demo.text("/sites/0/http"), format!("http://127.0.0.1:{}", base + 1));
    let doh = demo.text("/phone/doh");
    assert!(doh.starts_with(&format!("https://127.0.0.1:{}/dns-query/", base + 2)), "{doh}");
    let said = run(&mut einhorn(&["demo", "--json", "--port-base", &base.to_string()])).failed(1);
    says(&said, &["is in use"]);
    demo.stop();
    let said = run(&mut einhorn(&["demo", "--port-base", "65535"])).failed(2);
    says(&said, &["--port-base"]);
}

/// What a demonstration tells until it only runs on; it is stopped then, as a person would.
pub(super) fn story(arguments: &[&str]) -> String {
    let mut child = Command::new(EINHORN)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut told = Vec::new();
    for line in BufReader::new(child.stdout.take().expect("piped")).lines() {
        told.push(line.expect("text"));
        if told.last().is_some_and(|line| line.starts_with("(einhorn is ")) {
            let pid = Pid::from_raw(child.id().try_into().expect("a number"));
            kill_process(pid.expect("a process id"), Signal::INT).expect("the signal is sent");
        }
    }
    assert_eq!(child.wait().expect("it ends").code(), Some(0), "{told:#?}");
    told.join("\n")
}

/// The story for people: it ends in commands that work, and in a node that still runs.
#[test]
fn the_story_is_told_and_ends_when_told_to() {
    let told = story(&["demo"]);
    says(
        &told,
        &[
            "annas-iphone.fleet.example. 60 IN A 192.0.2.17 -> NOERROR",
            "hashes prove entry",
            "rolled back in entry",
            "on Wi-Fi, asking from 127.1.0.7: claras-iphone.fleet.example. 60 IN A 127.1.0.7 after 1 ",
            "on the way, asking from 127.2.0.9: claras-iphone.fleet.example. 60 IN A 127.2.0.9 after",
            "nsupdate -k",
        ],
    );
}
