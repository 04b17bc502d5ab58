//! Several nodes of one site on one etcd: one leads, the others answer and take over.

use einhorn_harness::{Etcd, KEY, Site, ZONE, ZONE_FILE, await_that, free_address, key, scratch};
use einhorn_wire::RecordType;
use einhorn_wire::message::Rcode;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// How soon the site takes changes again once the node that leads is dead: the lease, and a start.
const TAKEOVER_MAX: Duration = Duration::from_secs(10);

/// A node in its own folder, on an address that it keeps.
struct Node {
    folder: PathBuf,
    dns: SocketAddr,
}

impl Node {
    fn new(folder: &Path, name: &str, etcd: &Etcd) -> Node {
        let (folder, dns) = (folder.join(name), free_address());
        fs::create_dir_all(folder.join("data")).unwrap();
        fs::write(folder.join("fleet.zone"), ZONE_FILE).unwrap();
        let secret = KEY.rsplit(':').next().unwrap();
        let config = format!(
            "site = \"berlin\"\ndata = \"data\"\nlisten = [\"{dns}\"]\n\
             [etcd]\nendpoints = {:?}\n\
             [[zone]]\nname = \"{ZONE}\"\nfile = \"fleet.zone\"\n\
             [[key]]\nname = \"phone.\"\nalgorithm = \"hmac-sha256\"\nsecret = \"{secret}\"\n\
             [[grant]]\nkey = \"phone.\"\nzone = \"{ZONE}\"\nnames = [\"*\"]\n",
            etcd.endpoints()
        );
        fs::write(folder.join("einhorn.toml"), config).unwrap();
        Node { folder, dns }
    }

    fn start(&self) -> Site {
        let mut command = Command::new(env!("CARGO_BIN_EXE_einhorn"));
        command.args(["serve", "--config"]).arg(self.folder.join("einhorn.toml"));
        Site::spawn(command, self.folder.join("data")).unwrap_or_else(|said| panic!("{said}"))
    }

    /// Gives it the site's key, which only the node that began the log has.
    fn take_key_of(&self, other: &Node) {
        for file in ["ledger.key", "ledger.vkey"] {
            fs::copy(other.folder.join("data").join(file), self.folder.join("data").join(file))
                .unwrap();
        }
    }
}

fn set(site: &Site, name: &str, address: [u8; 4]) -> Rcode {
    site.client().set_address(&key(), ZONE, name, address)
}

fn await_address(site: &Site, name: &str, address: &str) {
    await_that("the address at that node", || {
        let reply = site.client().query(name, RecordType::A);
        let text = format!("{reply:?}");
        if text.contains(address) { Ok(()) } else { Err(format!("{text}: {}", site.stderr())) }
    });
}

#[test]
fn followers_answer_and_one_takes_over_from_a_dead_leader() {
    let folder = scratch();
    let Some(etcd) = Etcd::start(folder.path(), 3, &[]) else { return };
    let first = Node::new(folder.path(), "first", &etcd);
    let second = Node::new(folder.path(), "second", &etcd);
    let leader = first.start();
    assert!(!leader.stderr().contains("READ ONLY"), "{}", leader.stderr());
    second.take_key_of(&first);
    let follower = second.start();
    let said = follower.stderr();
    assert!(said.contains(&format!("{} leads the site", first.dns)), "{said}");
    await_address(&follower, "host.fleet.example.", "192.0.2.1");
    assert_eq!(set(&follower, "host.fleet.example.", [192, 0, 2, 66]), Rcode::SERVFAIL);
    for number in 100..110 {
        let rcode = set(&leader, "host.fleet.example.", [192, 0, 2, number]);
        assert_eq!(rcode, Rcode::NOERROR);
        await_address(&follower, "host.fleet.example.", &format!("192.0.2.{number}"));
    }
    let dead = Instant::now();
    leader.kill();
    await_that("the other node, started again", || {
        // Meanwhile nobody answers.
        let seen = follower.stderr();
        match seen.matches("ready").count() {
            2.. => Ok(()),
            _ => Err(seen),
        }
    });
    await_that("an update that the other node takes", || {
        match set(&follower, "new.fleet.example.", [192, 0, 2, 77]) {
            Rcode::NOERROR => Ok(()),
            other => Err(format!("{other:?}: {}", follower.stderr())),
        }
    });
    let took = dead.elapsed();
    eprintln!("the site took changes again {took:?} after the leader's death");
    assert!(took < TAKEOVER_MAX, "{took:?}");
    await_address(&follower, "host.fleet.example.", "192.0.2.109");
    let again = first.start();
    assert!(again.stderr().contains("leads the site"), "{}", again.stderr());
    await_address(&again, "new.fleet.example.", "192.0.2.77");
    // An orderly stop hands over without waiting for the lease.
    assert_eq!(follower.stop(), Some(0));
    await_that("the first node, started again", || {
        let seen = again.stderr();
        if seen.matches("ready").count() > 1 { Ok(()) } else { Err(seen) }
    });
    assert_eq!(set(&again, "new.fleet.example.", [192, 0, 2, 78]), Rcode::NOERROR);
}
