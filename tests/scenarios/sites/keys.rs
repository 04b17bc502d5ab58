//! A device's key is changed at all sites, one after the other, and no update is refused.

use crate::sites::support::{fleet, named, value};
use einhorn_harness::{Client, Fleet, KEY};
use einhorn_wire::message::Rcode;
use einhorn_wire::tsig::Key;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const NEW_KEY: &str = "hmac-sha256:phone-2.:bmV3IHNlY3JldCBvZiB0aGUgcGhvbmUgYW5kIHRoZSBzaXRl";

#[test]
fn keys_change_without_a_refused_update() {
    let fleet = fleet("local");
    let key = |text: &str| -> Arc<Key> { Arc::new(text.parse().expect("a key")) };
    let in_use = Mutex::new(key(KEY));
    let (stop, done) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for site in 0..fleet.count() {
            let (fleet, in_use, stop, done) = (&fleet, &in_use, &stop, &done);
            scope.spawn(move || {
                let label = named(&format!("keyed{site}"));
                while !stop.load(Ordering::Relaxed) {
                    let key = Arc::clone(&in_use.lock().expect("a key"));
                    let client = Client::new(fleet.dns(site));
                    let rcode = client.set_address(
                        &key,
                        einhorn_harness::ZONE,
                        &label,
                        value().to_be_bytes(),
                    );
                    assert_eq!(rcode, Rcode::NOERROR, "at {}", fleet.name(site));
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let stop_all = StopOnDrop(&stop);
        some_more(&done);
        each(&fleet, |config| config + &added(NEW_KEY), &done);
        *in_use.lock().expect("a key") = key(NEW_KEY);
        // What is signed with the old one has been answered when each site has done some more.
        some_more(&done);
        each(&fleet, without_old, &done);
        drop(stop_all);
    });
    eprintln!("{} updates", done.load(Ordering::Relaxed));
    for site in 0..fleet.count() {
        let client = Client::new(fleet.dns(site));
        let old = client.set_address(&key(KEY), einhorn_harness::ZONE, &named("old"), [0; 4]);
        assert_ne!(old, Rcode::NOERROR, "at {}", fleet.name(site));
    }
    fleet.settle();
}

/// Waits until the clients have done a good deal more.
fn some_more(done: &AtomicUsize) {
    let wanted = done.load(Ordering::Relaxed) + 100;
    let begun = std::time::Instant::now();
    while done.load(Ordering::Relaxed) < wanted {
        assert!(begun.elapsed().as_secs() < 30, "the clients have ended");
        std::thread::yield_now();
    }
}

/// Writes the configuration of one site after the other anew, and lets it read that.
fn each(fleet: &Fleet, edit: impl Fn(String) -> String, done: &AtomicUsize) {
    for site in 0..fleet.count() {
        let file = fleet.config(site);
        let old = std::fs::read_to_string(&file).expect("a configuration");
        std::fs::write(&file, edit(old)).expect("the configuration");
        fleet.operate(site, &["reload"]).good();
        some_more(done);
    }
}

fn added(key: &str) -> String {
    let (name, secret) =
        key.split_once(':').and_then(|(_, rest)| rest.split_once(':')).expect("a key");
    format!(
        "[[key]]\nname = \"{name}\"\nsecret = \"{secret}\"\n[[grant]]\nkey = \"{name}\"\nzone = \"*\"\nnames = [\"*\"]\n"
    )
}

/// The configuration without the key and the grant of the old one.
fn without_old(config: String) -> String {
    let is_old = |table: &&str| {
        table.starts_with("key]]\nname = \"phone.\"")
            || table.starts_with("grant]]\nkey = \"phone.\"")
    };
    let tables = config.split("\n[[").filter(|table| !is_old(table));
    tables.collect::<Vec<_>>().join("\n[[")
}

struct StopOnDrop<'s>(&'s AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
