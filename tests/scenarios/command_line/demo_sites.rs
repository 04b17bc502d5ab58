//! `einhorn demo --sites 3`: three processes that are one cluster, their ledgers, and their end.

use super::demo::{Demo, story, verify};
use super::{einhorn, says};
use einhorn_harness::{Client, await_that, run, scratch};
use einhorn_wire::RecordType;
use einhorn_wire::message::Rcode;
use serde_json::Value;
use std::fs;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;

const NAMES: [&str; 3] = ["berlin", "frankfurt", "muenchen"];
/// DNS, HTTP and links of three sites.
const PORTS: u16 = 9;
const PHONE: &str = "annas-iphone.fleet.example.";

impl Demo {
    fn of(&self, site: usize, what: &str) -> &str {
        self.text(&format!("/sites/{site}/{what}"))
    }

    fn dns_of(&self, site: usize) -> SocketAddr {
        self.of(site, "dns").parse().expect("an address")
    }

    fn pids(&self) -> Vec<i32> {
        let sites = self.line["sites"].as_array().expect("sites");
        let pid = |site: &Value| site["pid"].as_i64().and_then(|pid| pid.try_into().ok());
        sites.iter().map(|site| pid(site).expect("a process id")).collect()
    }

    fn set_at(&self, site: usize, name: &str, address: [u8; 4]) {
        let client = Client::new(self.dns_of(site));
        let rcode = client.set_address(&self.key(), self.text("/zone"), name, address);
        assert_eq!(rcode, Rcode::NOERROR, "{name} at {}", NAMES[site]);
    }

    fn await_everywhere(&self, name: &str, address: [u8; 4]) {
        for (site, known) in NAMES.iter().enumerate() {
            await_that(&format!("{name} at {known}"), || {
                let answers = Client::new(self.dns_of(site)).query(name, RecordType::A).answers;
                let found: Vec<_> = answers.iter().map(|record| record.rdata.to_vec()).collect();
                if found == [address] { Ok(()) } else { Err(format!("{found:?}")) }
            });
        }
    }
}

/// Whether a process runs; one that ended and was not yet waited for does not.
fn is_running(pid: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:") && !line.contains('Z'))
}

fn await_end(pids: &[i32]) {
    await_that("the sites end", || {
        let left: Vec<_> = pids.iter().filter(|pid| is_running(**pid)).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("still there: {left:?}")) }
    });
}

/// The first of so many ports in a row that were free a moment ago.
fn free_ports() -> u16 {
    let is_free = |port: u16| {
        let address = ("127.0.0.1", port);
        TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok()
    };
    // Apart from where tests at the same time look, as far as that can be.
    let start = 10_000 + (std::process::id() % 2_000) as u16 * 10;
    (start..32_000)
        .step_by(PORTS.into())
        .find(|first| (*first..first + PORTS).all(is_free))
        .expect("free ports")
}

/// `einhorn ledger ARGUMENTS --data DATA`, until it says all of `parts`: copies are written as
/// files a moment after what they copy.
fn await_ledger(arguments: &[&str], data: &Path, parts: &[&str]) -> String {
    await_that(&format!("ledger {arguments:?}"), || {
        let ran = run(einhorn(&["ledger"]).args(arguments).arg("--data").arg(data));
        let missing = parts.iter().find(|part| !ran.stdout.contains(**part));
        match missing {
            None if ran.code == Some(0) => Ok(ran.stdout),
            _ => Err(format!("no {missing:?}: {ran:?}")),
        }
    })
}

#[test]
fn three_sites_are_in_the_line_and_gone_on_with() {
    let folder = scratch();
    let kept: PathBuf = folder.path().join("demo");
    let dir = kept.to_str().expect("text");
    let base = free_ports();
    let demo = Demo::start(&["--sites", "3", "--dir", dir, "--port-base", &base.to_string()]);
    assert_eq!(demo.text("/zone"), "fleet.example.");
    assert_eq!(demo.line["sites"].as_array().map(Vec::len), Some(3));
    for (site, name) in NAMES.iter().enumerate() {
        assert_eq!(demo.of(site, "name"), *name);
        assert_eq!(demo.line["sites"][site]["number"], site + 1);
        assert_eq!(demo.dns_of(site).port(), base + 3 * site as u16);
        assert_eq!(demo.of(site, "ledger"), format!("{}/ledger/{name}/", demo.of(site, "http")));
        assert!(Path::new(demo.of(site, "data")).is_dir());
    }
    let pids = demo.pids();
    assert!(pids.iter().all(|pid| is_running(*pid)), "{pids:?}");
    demo.set_at(1, PHONE, [192, 0, 2, 17]);
    demo.set_at(0, PHONE, [192, 0, 2, 18]);
    demo.await_everywhere(PHONE, [192, 0, 2, 18]);
    ledgers(&demo);

    let vkeys: Vec<_> = (0..3).map(|site| demo.of(site, "vkey").to_owned()).collect();
    demo.stop();
    assert!(!pids.iter().any(|pid| is_running(*pid)), "stopped, but its sites run");
    let said = run(&mut einhorn(&["demo", "--sites", "3", "--dir", dir, "--port-base", "1000"]));
    says(&said.failed(2), &["have their ports already"]);
    let second = Demo::start(&["--sites", "3", "--dir", dir]);
    assert_eq!(second.dns_of(0).port(), base);
    assert_eq!((0..3).map(|site| second.of(site, "vkey").to_owned()).collect::<Vec<_>>(), vkeys);
    second.await_everywhere(PHONE, [192, 0, 2, 18]);
    second.set_at(2, PHONE, [192, 0, 2, 19]);
    second.await_everywhere(PHONE, [192, 0, 2, 19]);
    second.stop();
}

/// The logs of all sites in every data folder and at every HTTP address: the phone registered at
/// frankfurt, which berlin decided on, and changed at berlin, which frankfurt decided on.
fn ledgers(demo: &Demo) {
    for (site, own) in NAMES.iter().enumerate() {
        let data = Path::new(demo.of(site, "data"));
        let copies: Vec<_> = NAMES.iter().filter(|name| *name != own).collect();
        let sound = copies.iter().map(|name| format!("the copy of einhorn/{name} is sound"));
        let cosigned = copies.iter().map(|name| format!("einhorn/{name}/mirror has confirmed the"));
        let parts: Vec<_> = sound.chain(cosigned).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        await_ledger(&["verify"], data, &parts);
        let history = await_ledger(&["history", PHONE], data, &["2 changes of"]);
        says(
            &history,
            &[
                "decided by berlin, at home at frankfurt from then on",
                "decided by frankfurt, at home at frankfurt from then on",
                "numbered without a gap",
                "of 3 logs",
            ],
        );
        for (number, name) in (1..).zip(NAMES) {
            let begins = format!("the log einhorn/{name} of site {number} begins");
            let own = await_ledger(&["show", &format!("{name}:0")], data, &[&begins]);
            let same = await_ledger(&["show", &format!("{number}:0")], data, &[&begins]);
            assert_eq!(own, same);
        }
        let own = await_ledger(&["show", "0"], data, &["begins"]);
        says(&own, &[&format!("of site {}", site + 1)]);
        // Each serves all.
        for (other, name) in NAMES.iter().enumerate() {
            let url = format!("{}/ledger/{name}/", demo.of(site, "http"));
            let said = verify_plain(&url, demo.of(other, "vkey"));
            says(&said, &[&format!("einhorn/{name} is sound")]);
        }
        says(&verify(demo.of(site, "ledger"), demo.of(site, "vkey")), &["is sound"]);
    }
    let data = Path::new(demo.of(0, "data"));
    let show = |place: &str| run(einhorn(&["ledger", "show", place, "--data"]).arg(data));
    says(&show("oslo:0").failed(1), &["there is no log of a site oslo"]);
    says(&show("berlin:x").failed(2), &["berlin:1234"]);
    a_changed_copy_is_found(data);
}

fn verify_plain(url: &str, vkey: &str) -> String {
    run(&mut einhorn(&["ledger", "verify", "--url", url, "--vkey", vkey])).good()
}

/// One bit in a copy of a copy.
fn a_changed_copy_is_found(data: &Path) {
    let folder = scratch();
    let copy = folder.path().join("berlin");
    let ran = run(Command::new("cp").arg("-r").arg(data).arg(&copy));
    // The control socket cannot be copied.
    assert!(copy.join("copies").is_dir(), "{ran:?}");
    let bundles = copy.join("copies/2.1/tile/entries");
    let file = einhorn_harness::files_below(&bundles).into_iter().next().expect("a bundle");
    let mut octets = fs::read(&file).expect("a bundle");
    octets[10] ^= 1;
    fs::write(&file, octets).expect("the bundle");
    let said = run(einhorn(&["ledger", "verify", "--data"]).arg(&copy)).failed(1);
    says(&said, &["the ledger einhorn/frankfurt is not sound", "tile/entries"]);
}

#[test]
fn sites_end_with_a_demonstration_that_is_killed() {
    let mut demo = Demo::start(&["--sites", "3"]);
    let pids = demo.pids();
    let data = PathBuf::from(demo.of(0, "data"));
    demo.child.kill().expect("it runs");
    demo.child.wait().expect("it ends");
    await_end(&pids);
    // Nobody was left to remove this.
    fs::remove_dir_all(data.parent().expect("a folder")).expect("removed");
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let port = taken.local_addr().expect("an address").port().to_string();
    let said = run(&mut einhorn(&["demo", "--sites", "3", "--port-base", &port])).failed(1);
    says(&said, &["the site berlin has ended", "is in use"]);
    let said = run(&mut einhorn(&["demo", "--sites", "3", "--port-base", "65530"])).failed(2);
    says(&said, &["--port-base"]);
    says(&run(&mut einhorn(&["demo", "--sites", "2"])).failed(2), &["of 1 site and of 3"]);
}

/// The story for people: every part of it happens, and it ends in sites that still run.
#[test]
fn the_story_of_three_sites_is_told() {
    let told = story(&["demo", "--sites", "3"]);
    says(
        &told,
        &[
            "annas-iphone.fleet.example. 60 IN A 192.0.2.17 sent to frankfurt -> NOERROR",
            "decided by berlin",
            "answered after: berlin ",
            "path move",
            "home frankfurt before, muenchen from now on",
            "path fast",
            "einhorn/muenchen/mirror has cosigned",
            "SERVFAIL",
            "no cosignature from muenchen",
            "muenchen is killed",
            "has everything of the others after",
            "answered by all three",
            "site berlin (number 1)",
            "nsupdate -k",
        ],
    );
}
