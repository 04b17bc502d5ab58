//! Rates, shares, exemptions, and that strangers do not disturb each other.

use super::*;
use proptest::prelude::*;

const NOW: u64 = 1_700_000_000;

fn settings(responses_per_second: u32, slip: u32) -> LimitSettings {
    LimitSettings { responses_per_second, slip, updates_per_second: 3, ..LimitSettings::default() }
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn send(table: &mut RateLimit, settings: &LimitSettings, peer: &str, count: usize) -> [usize; 3] {
    let mut seen = [0; 3];
    for _ in 0..count {
        let verdict = table.response(settings, address(peer), ResponseClass::Answer, NOW);
        seen[verdict as usize] += 1;
    }
    seen
}

#[test]
fn a_prefix_gets_its_rate_and_then_every_other_truncated() {
    let mut table = RateLimit::new([1; 16], 1);
    let settings = settings(10, 2);
    assert_eq!(send(&mut table, &settings, "192.0.2.1", 5), [5, 0, 0]);
    // Its neighbour shares the prefix, the next network does not.
    assert_eq!(send(&mut table, &settings, "192.0.2.200", 25), [5, 10, 10]);
    assert_eq!(send(&mut table, &settings, "192.0.3.1", 10), [10, 0, 0]);
    assert_eq!(send(&mut table, &settings, "2001:db8:0:1::1", 5), [5, 0, 0]);
    assert_eq!(send(&mut table, &settings, "2001:db8:0:fe::1", 6), [5, 0, 1]);
    assert_eq!(send(&mut table, &settings, "2001:db8:0:100::1", 10), [10, 0, 0]);
    // Another class has its own budget, the next second a new one.
    let peer = address("192.0.2.1");
    assert_eq!(table.response(&settings, peer, ResponseClass::NxDomain, NOW), Verdict::Send);
    for _ in 0..10 {
        let verdict = table.response(&settings, peer, ResponseClass::Answer, NOW + 1);
        assert_eq!(verdict, Verdict::Send);
    }
    assert_ne!(table.response(&settings, peer, ResponseClass::Answer, NOW + 1), Verdict::Send);
}

#[test]
fn slip_0_drops_all_and_slip_1_none() {
    for (slip, expected) in [(0, [1, 0, 9]), (1, [1, 9, 0]), (3, [1, 3, 6])] {
        let mut table = RateLimit::new([1; 16], 1);
        assert_eq!(send(&mut table, &settings(1, slip), "192.0.2.1", 10), expected, "{slip}");
    }
}

#[test]
fn threads_share_the_rate_of_responses_but_not_of_updates() {
    let mut table = RateLimit::new([1; 16], 4);
    let settings = settings(10, 0);
    assert_eq!(send(&mut table, &settings, "192.0.2.1", 10)[0], 3);
    let peer = address("192.0.2.1");
    let taken = (0..10).filter(|_| table.update(&settings, peer, NOW)).count();
    assert_eq!(taken, 3);
    assert!(table.update(&settings, address("192.0.2.2"), NOW), "another address");
    assert!(table.update(&settings, peer, NOW + 1), "another second");
}

#[test]
fn the_exempt_and_the_unlimited_are_let_through() {
    let mut table = RateLimit::new([1; 16], 1);
    for peer in ["127.0.0.1", "127.255.0.1", "::1"] {
        assert_eq!(send(&mut table, &settings(1, 0), peer, 10), [10, 0, 0], "{peer}");
    }
    assert_eq!(send(&mut table, &settings(0, 0), "192.0.2.1", 10), [10, 0, 0]);
    let off = LimitSettings { updates_per_second: 0, ..settings(1, 0) };
    assert!((0..10).all(|_| table.update(&off, address("192.0.2.1"), NOW)));
}

#[test]
fn a_lower_rate_counts_at_once() {
    let mut table = RateLimit::new([1; 16], 1);
    assert_eq!(send(&mut table, &settings(100, 0), "192.0.2.1", 1)[0], 1);
    assert_eq!(send(&mut table, &settings(5, 0), "192.0.2.1", 10)[0], 5);
}

#[test]
fn a_flood_of_addresses_does_not_use_up_a_strangers_budget() {
    let mut table = RateLimit::new([1; 16], 1);
    let settings = settings(2, 0);
    let mut refused = 0;
    for i in 0..200_000u32 {
        let peer = Ipv4Addr::from_bits(0x0B00_0000 + (i << 8)).into();
        let verdict = table.response(&settings, peer, ResponseClass::Answer, NOW);
        refused += usize::from(verdict != Verdict::Send);
    }
    // Two keys share a tag within a set with a chance of 1 in 2^31.
    assert_eq!(refused, 0);
}

#[test]
fn classes_are_read_from_the_header() {
    let response = |flags: u16, answers: u8, authority: u8| {
        let [high, low] = flags.to_be_bytes();
        ResponseClass::of(&[0, 0, high, low, 0, 1, 0, answers, 0, authority, 0, 0])
    };
    assert_eq!(response(0x8400, 1, 0), ResponseClass::Answer);
    assert_eq!(response(0x8400, 0, 1), ResponseClass::NoData);
    assert_eq!(response(0x8403, 0, 1), ResponseClass::NxDomain);
    assert_eq!(response(0x8403, 1, 1), ResponseClass::NxDomain);
    assert_eq!(response(0x8000, 0, 2), ResponseClass::Referral);
    assert_eq!(response(0x8005, 0, 0), ResponseClass::Error);
    assert_eq!(ResponseClass::of(&[]), ResponseClass::Error);
}

#[test]
fn prefixes_are_read_and_checked() {
    for (text, inside, outside) in [
        ("192.0.2.0/24", "192.0.2.255", "192.0.3.0"),
        ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
        ("0.0.0.0/0", "203.0.113.1", "::1"),
        ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
        ("::/0", "2001:db8::1", "192.0.2.1"),
    ] {
        let prefix: Prefix = text.parse().expect(text);
        assert!(prefix.contains(address(inside)), "{text} {inside}");
        assert!(!prefix.contains(address(outside)), "{text} {outside}");
    }
    for text in ["192.0.2.1/24", "192.0.2.0/33", "2001:db8::/129", "x", "192.0.2.0/", ""] {
        assert!(text.parse::<Prefix>().is_err(), "{text}");
    }
}

proptest! {
    /// No source gets more than its rate in a second, whatever else comes.
    #[test]
    fn nobody_gets_more_than_the_rate(
        arrivals in proptest::collection::vec((0u8..6, 0u64..4), 1..400),
        rate in 1u32..20,
        shares in 1usize..5,
    ) {
        let mut table = RateLimit::new([2; 16], shares);
        let settings = settings(rate, 2);
        let mut sent = std::collections::HashMap::new();
        let mut arrivals = arrivals;
        arrivals.sort_by_key(|arrival| arrival.1);
        for (host, second) in arrivals {
            let peer = IpAddr::from([10, 0, host, 1]);
            if table.response(&settings, peer, ResponseClass::Answer, NOW + second) == Verdict::Send {
                *sent.entry((host, second)).or_insert(0u32) += 1;
            }
        }
        let share = rate.div_ceil(shares as u32);
        prop_assert!(sent.values().all(|count| *count <= share), "{sent:?}");
    }
}
