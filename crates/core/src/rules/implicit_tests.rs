//! Implicit updates: abuse first, then what devices do.

use super::*;
use crate::model::device::tests::device;
use proptest::prelude::*;

const START_MS: u64 = 1_700_000_000_000;

/// A device, what is known of it, and its records, which take every update.
struct World {
    device: Device,
    watch: Watch,
    standing: Standing,
    never: Never,
    now_ms: u64,
}

impl World {
    fn new(prefixes: &[&str]) -> World {
        let mut device = device("anna.fleet.example.", "token");
        device.prefixes = prefixes.iter().map(|it| it.parse().expect("a prefix")).collect();
        World {
            device,
            watch: Watch::new(START_MS),
            standing: Standing::default(),
            never: Never::default(),
            now_ms: START_MS,
        }
    }

    fn sight(&mut self, address: &str, is_early_data: bool) -> Verdict {
        let address = address.parse().expect("an address");
        let sighting = Sighting { address, now_ms: self.now_ms, is_early_data };
        self.watch.seen(&self.device, sighting, &self.standing, &self.never)
    }

    fn quiet(&mut self, address: &str) -> Quiet {
        match self.sight(address, false) {
            Verdict::Nothing(quiet) => quiet,
            other => panic!("{address}: {other:?}"),
        }
    }

    /// Sees the device, and does what comes of it.
    fn update(&mut self, address: &str) {
        let verdict = self.sight(address, false);
        let Verdict::Update { operations, .. } = verdict else { panic!("{address}: {verdict:?}") };
        for operation in operations {
            let (rtype, set) = match operation {
                Operation::DeleteRrSet(_, rtype) => (rtype, None),
                Operation::Add { rtype, ttl, rdata, .. } => {
                    (rtype, RrSet::new(rtype, ttl, [&*rdata]))
                }
                other => panic!("{other:?}"),
            };
            match rtype {
                RecordType::A => self.standing.a = set,
                _ => self.standing.aaaa = set,
            }
        }
        self.standing.changed_at_ms = self.now_ms;
    }

    fn pass(&mut self, by_ms: u64) {
        self.now_ms += by_ms;
    }
}

const HOME: &str = "192.0.2.7";
const OFFICE: &str = "198.51.100.9";

fn roaming() -> World {
    World::new(&["192.0.2.0/24", "198.51.100.0/24", "2001:db8::/32"])
}

#[test]
fn nothing_is_taken_that_is_not_listed() {
    let mut world = World::new(&[]);
    assert_eq!(world.quiet(HOME), Quiet::NotListed);
    let mut world = World::new(&["192.0.2.0/25"]);
    assert_eq!(world.quiet("192.0.2.128"), Quiet::NotListed);
    assert_eq!(world.quiet("2001:db8::1"), Quiet::NotListed);
    world.update(HOME);
}

#[test]
fn shared_addresses_relays_and_links_are_never_taken() {
    let mut world = World::new(&["0.0.0.0/0", "::/0"]);
    let relay = ["172.224.226.0/27", "2a02:26f7::/64", "203.0.113.5"];
    world.never = Never::new(relay.iter().map(|it| it.parse().expect("a prefix")));
    for address in [
        "100.64.0.1",
        "100.127.255.255",
        "169.254.3.4",
        "fe80::1",
        "255.255.255.255",
        "0.0.0.0",
        "224.0.0.1",
        "ff02::1",
        "172.224.226.31",
        "2a02:26f7::9",
        "203.0.113.5",
        "::ffff:100.64.0.1",
    ] {
        assert_eq!(world.quiet(address), Quiet::NeverAnAddress, "{address}");
        world.pass(RETURN_MS);
    }
    for address in ["100.128.0.1", "172.224.226.32", "203.0.113.6"] {
        assert!(!world.never.contains(address.parse().expect("an address")), "{address}");
    }
    world.update("100.63.255.255");
}

#[test]
fn early_data_says_nothing() {
    let mut world = roaming();
    assert_eq!(world.sight(HOME, true), Verdict::Nothing(Quiet::EarlyData));
    for _ in 0..100 {
        world.sight(OFFICE, true);
        world.sight(HOME, true);
        world.pass(100);
    }
    assert_eq!(world.watch.alarm(), None, "and accuses nobody");
    world.update(HOME);
}

/// The owner asks from home, the thief from elsewhere, by turns.
#[test]
fn one_secret_at_two_places_freezes_the_record() {
    for elsewhere in [OFFICE, "203.0.113.1", "100.64.0.1"] {
        let mut world = roaming();
        world.update(HOME);
        let mut frozen = None;
        for _ in 0..2 * RETURNS_MAX {
            for address in [elsewhere, HOME] {
                world.pass(1_000);
                match world.sight(address, false) {
                    Verdict::Freeze(alarm) => frozen = frozen.or(Some(alarm)),
                    Verdict::Update { .. } => panic!("an update to {address}"),
                    Verdict::Nothing(_) => {}
                }
            }
        }
        let alarm = frozen.expect("an alarm");
        assert_eq!(world.watch.alarm(), Some(alarm));
        assert!(alarm.places.contains(&HOME.parse().expect("an address")));
        world.pass(10 * CALM_MS);
        assert_eq!(world.quiet(OFFICE), Quiet::Frozen, "until somebody has looked");
        let mut again = Watch::frozen(world.now_ms, alarm);
        std::mem::swap(&mut world.watch, &mut again);
        assert_eq!(world.quiet(HOME), Quiet::Frozen, "also after a restart");
    }
}

#[test]
fn roaming_and_new_ipv6_addresses_are_no_theft() {
    let mut world = roaming();
    world.update(HOME);
    for _ in 0..20 {
        for address in [OFFICE, HOME] {
            world.pass(RETURN_MS);
            world.sight(address, false);
        }
    }
    assert_eq!(world.watch.alarm(), None, "every ten seconds to and fro");
    for host in 0..40 {
        world.pass(50);
        world.sight(&format!("2001:db8::{}", host % 2 + 1), false);
        world.sight(HOME, false);
    }
    assert_eq!(world.watch.alarm(), None, "one network, and both families at once");
}

#[test]
fn who_is_revoked_is_not_heard() {
    let mut world = roaming();
    world.device.revoked_seconds = Some(1);
    assert_eq!(world.quiet(HOME), Quiet::Revoked);
}

#[test]
fn a_new_address_counts_at_once_after_a_calm_and_later_in_unrest() {
    let mut world = roaming();
    world.update(HOME);
    assert_eq!(world.quiet(HOME), Quiet::Same);
    world.pass(CALM_MS);
    world.update(OFFICE);
    world.pass(1_000);
    // Back at once: it has to stay.
    assert_eq!(world.quiet(HOME), Quiet::Unsettled);
    world.pass(SETTLE_MS - 1);
    assert_eq!(world.quiet(HOME), Quiet::Unsettled);
    // A glimpse of the old one starts it anew.
    assert_eq!(world.quiet(OFFICE), Quiet::Same);
    world.pass(RETURN_MS);
    assert_eq!(world.quiet(HOME), Quiet::Unsettled);
    world.pass(SETTLE_MS);
    assert_eq!(world.quiet(HOME), Quiet::Unsettled, "seen twice");
    world.update(HOME);
    world.pass(1);
    assert_eq!(world.quiet(OFFICE), Quiet::Unsettled);
}

#[test]
fn the_same_is_not_asked_twice_while_it_is_being_done() {
    let mut world = roaming();
    assert!(matches!(world.sight(HOME, false), Verdict::Update { .. }));
    assert_eq!(world.quiet(HOME), Quiet::Asked);
    world.pass(ASKED_AGAIN_MS);
    world.update(HOME);
}

#[test]
fn an_update_holds_only_while_the_record_is_what_it_was() {
    let mut world = roaming();
    let Verdict::Update { prerequisites, operations } = world.sight(HOME, false) else {
        panic!("an update")
    };
    let owner = world.device.name.clone();
    assert_eq!(prerequisites, [Prerequisite::RrSetAbsent(owner.clone(), RecordType::A)]);
    assert_eq!(operations[0], Operation::DeleteRrSet(owner.clone(), RecordType::A));
    world.pass(ASKED_AGAIN_MS);
    world.update(HOME);
    world.pass(CALM_MS);
    let Verdict::Update { prerequisites, .. } = world.sight(OFFICE, false) else {
        panic!("an update")
    };
    let now = world.standing.a.clone().expect("a record");
    assert_eq!(prerequisites, [Prerequisite::RrSetEquals(owner, now)]);
    world.standing.is_alias = true;
    world.pass(CALM_MS);
    assert_eq!(world.quiet(OFFICE), Quiet::Alias);
}

#[test]
fn the_other_family_goes_only_when_that_was_told() {
    let mut world = roaming();
    world.update(HOME);
    world.update("2001:db8::7");
    world.pass(1_000_000_000);
    assert_eq!(world.quiet(HOME), Quiet::Same);
    assert!(world.standing.aaaa.is_some());
    world.device.other_family_seconds = Some(3_600);
    world.update(HOME);
    assert_eq!(world.standing.aaaa, None);
    assert!(world.standing.a.is_some());
    world.update("2001:db8::7");
    world.pass(3_599_000);
    assert_eq!(world.quiet(HOME), Quiet::Same);
    // A node that has just begun knows nothing of the hours before.
    world.watch = Watch::new(world.now_ms);
    world.pass(3_599_000);
    assert_eq!(world.quiet(HOME), Quiet::Same);
    world.pass(1_000);
    world.update(HOME);
    assert_eq!(world.standing.aaaa, None);
}

proptest! {
    /// Whatever is seen: only the device's own addresses change, to what is listed and allowed.
    #[test]
    fn no_sighting_makes_another_record(
        sightings in prop::collection::vec((any::<u32>(), 0..4_u8, 0..30_000_u64, any::<bool>()), 1..200)
    ) {
        let mut world = World::new(&["192.0.2.0/24", "100.64.0.0/10"]);
        for (bits, kind, wait_ms, is_early_data) in sightings {
            world.pass(wait_ms);
            let host = bits as u8;
            let address = match kind {
                0 => IpAddr::from(bits.to_be_bytes()),
                1 => IpAddr::from([192, 0, 2, host % 3]),
                2 => IpAddr::from([100, 64, 0, host]),
                _ => IpAddr::from([203, 0, 113, host]),
            };
            let sighting = Sighting { address, now_ms: world.now_ms, is_early_data };
            let verdict = world.watch.seen(&world.device, sighting, &world.standing, &world.never);
            if let Verdict::Update { operations, .. } = verdict {
                prop_assert!(!is_early_data && world.device.prefixes[0].contains(address));
                for operation in operations {
                    prop_assert_eq!(operation.owner(), &world.device.name);
                    prop_assert_eq!(operation.rtype(), Some(RecordType::A));
                }
                let IpAddr::V4(v4) = address else { panic!("IPv4 alone") };
                world.standing.a = RrSet::new(RecordType::A, 60, [&v4.octets()[..]]);
                world.standing.changed_at_ms = world.now_ms;
            }
        }
    }
}
