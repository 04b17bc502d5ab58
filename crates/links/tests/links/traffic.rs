//! Frames: their order, their sizes, what happens when nobody takes them, and how long they take.

use crate::support::{Start, connect, identity, site};
use einhorn_links::{FRAME_OCTETS_MAX, SILENCE_MAX, SendError, WAITING_OCTETS_MAX};
use std::time::{Duration, Instant};

#[test]
fn frames_of_all_sizes_arrive_in_order_both_ways() {
    let (one, two) = (site(1, "berlin"), site(2, "tokyo"));
    let (a, b) = connect(&one, &two);
    let frame = |at: usize, octets: usize| vec![at as u8; octets];
    let sizes = [0, 1, 300, 16_384, 65_530, 65_536, 65_537, 1_000_000, 0, 5];
    for (at, octets) in sizes.into_iter().enumerate() {
        one.links.send(2, a, frame(at, octets)).expect("taken");
        two.links.send(1, b, frame(at + 100, octets)).expect("taken");
    }
    for (at, octets) in sizes.into_iter().enumerate() {
        assert!(two.frame() == frame(at, octets), "frame {at} of {octets} octets");
        assert!(one.frame() == frame(at + 100, octets), "frame {at} of {octets} octets");
    }
    one.links.send(2, a, frame(7, FRAME_OCTETS_MAX)).expect("taken");
    two.links.send(1, b, frame(8, FRAME_OCTETS_MAX)).expect("taken");
    assert!(two.frame() == frame(7, FRAME_OCTETS_MAX));
    assert!(one.frame() == frame(8, FRAME_OCTETS_MAX));
    let longer = one.links.send(2, a, frame(7, FRAME_OCTETS_MAX + 1));
    assert_eq!(longer, Err(SendError::TooLong));
    for number in 0..100_000u32 {
        while one.links.send(2, a, number.to_be_bytes().to_vec()) == Err(SendError::Full) {
            std::thread::yield_now();
        }
        if number % 500 == 499 {
            for expected in number - 499..=number {
                assert_eq!(two.frame(), expected.to_be_bytes());
            }
        }
    }
}

/// Octets on their way that no queue counts: socket buffers, TLS, one frame being put together.
const ON_THE_WAY_OCTETS_MAX: usize = 24 << 20;

#[test]
fn a_slow_reader_holds_the_sender_back_and_loses_nothing() {
    let one = site(1, "berlin");
    let two = Start { events_max: 4, ..Start::default() }.site(2, identity("tokyo"));
    let (a, _) = connect(&one, &two);
    let frame = |number: u32| {
        let mut octets = vec![0; 1 << 20];
        octets[..4].copy_from_slice(&number.to_be_bytes());
        octets
    };
    let mut taken = 0;
    let mut stalled_since = Instant::now();
    // Longer than a silent peer is endured: that the other side does not read is not silence.
    while stalled_since.elapsed() < SILENCE_MAX + Duration::from_secs(1) {
        match one.links.send(2, a, frame(taken)) {
            Ok(()) => {
                taken += 1;
                stalled_since = Instant::now();
            }
            Err(error) => {
                assert_eq!(error, SendError::Full);
                one.quiet(Duration::from_millis(50));
            }
        }
        let octets = taken as usize * (1 << 20);
        assert!(octets < WAITING_OCTETS_MAX + ON_THE_WAY_OCTETS_MAX, "{octets} octets were taken");
    }
    let waiting = one.links.status()[0].connection.as_ref().map(|it| it.octets_waiting);
    println!("{taken} MiB taken, of which {waiting:?} octets wait");
    for number in 0..taken {
        assert!(two.frame() == frame(number), "frame {number} of {taken}");
    }
    one.links.send(2, a, frame(taken)).expect("there is room again");
    assert!(two.frame() == frame(taken));
}

/// Round trips of each measurement.
const ROUNDS: usize = 20_000;
/// Octets of the frames measured.
const OCTETS: usize = 300;

#[test]
#[ignore = "measures: `cargo test --release -p einhorn-links -- --ignored --nocapture`"]
fn how_long_a_frame_takes() {
    let (one, two) = (site(1, "berlin"), site(2, "tokyo"));
    let (a, b) = connect(&one, &two);
    let mut times: Vec<Duration> = Vec::with_capacity(ROUNDS);
    std::thread::scope(|scope| {
        let two = &two;
        scope.spawn(move || {
            for _ in 0..ROUNDS {
                two.links.send(1, b, two.frame()).expect("taken");
            }
        });
        for _ in 0..ROUNDS {
            let begun = Instant::now();
            one.links.send(2, a, vec![7; OCTETS]).expect("taken");
            assert_eq!(one.frame().len(), OCTETS);
            times.push(begun.elapsed());
        }
    });
    times.sort();
    let at = |share: f64| times[(ROUNDS as f64 * share) as usize];
    println!(
        "round trip of {OCTETS} octets: p50 {:?}, p90 {:?}, p99 {:?}",
        at(0.5),
        at(0.9),
        at(0.99)
    );

    let begun = Instant::now();
    std::thread::scope(|scope| {
        let two = &two;
        scope.spawn(move || (0..50 * ROUNDS).for_each(|_| assert_eq!(two.frame().len(), OCTETS)));
        for _ in 0..50 * ROUNDS {
            while one.links.send(2, a, vec![7; OCTETS]) == Err(SendError::Full) {
                std::thread::yield_now();
            }
        }
    });
    let rate = (50 * ROUNDS) as f64 / begun.elapsed().as_secs_f64();
    println!("one way: {rate:.0} frames of {OCTETS} octets per second");
}
