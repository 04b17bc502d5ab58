//! What is near, what is silent, and what is not worth a change.

use super::*;
use proptest::prelude::*;

/// Sites with these round trips in microseconds; `None` is silent.
struct World {
    nearest: Nearest,
    round_trips: Vec<Option<u64>>,
    now_us: u64,
    /// Answers on their way: when, site, id.
    answers: Vec<(u64, usize, u16)>,
}

impl World {
    fn new(round_trips: &[Option<u64>]) -> World {
        let nearest = Nearest::new(Settings::default(), round_trips.len());
        World { nearest, round_trips: round_trips.to_vec(), now_us: 1_000_000, answers: Vec::new() }
    }

    fn run(&mut self, for_us: u64) {
        let end_us = self.now_us + for_us;
        while self.now_us < end_us {
            self.now_us += 1_000;
            for probe in self.nearest.tick(self.now_us) {
                if let Some(round_trip_us) = self.round_trips[probe.site] {
                    self.answers.push((self.now_us + round_trip_us, probe.site, probe.id));
                }
            }
            let (due, rest) = self.answers.drain(..).partition(|(at_us, ..)| *at_us <= self.now_us);
            self.answers = rest;
            let due: Vec<_> = due;
            due.into_iter().for_each(|(at_us, site, id)| self.nearest.answered(at_us, site, id));
        }
    }
}

#[test]
fn the_nearest_is_found_and_kept_until_another_is_better_by_far() {
    let mut world = World::new(&[Some(30_000), Some(10_000), Some(20_000)]);
    world.run(3_000_000);
    assert_eq!(world.nearest.in_order(), [1, 2, 0]);
    // Better by less than a fifth, or by less than two milliseconds.
    world.round_trips = vec![Some(30_000), Some(10_000), Some(8_500)];
    world.run(20_000_000);
    assert_eq!(world.nearest.current(), Some(1));
    world.round_trips = vec![Some(30_000), Some(10_000), Some(7_000)];
    world.run(20_000_000);
    assert_eq!(world.nearest.current(), Some(2));
    let mut close = World::new(&[Some(3_000), Some(1_000_000)]);
    close.run(2_000_000);
    close.round_trips[1] = Some(1_500);
    close.run(20_000_000);
    assert_eq!(close.nearest.current(), Some(0));
}

#[test]
fn one_fast_round_changes_nothing() {
    let mut world = World::new(&[Some(10_000), Some(20_000)]);
    world.run(3_000_000);
    world.round_trips[1] = Some(1_000);
    world.run(400_000);
    world.round_trips[1] = Some(20_000);
    world.run(5_000_000);
    assert_eq!(world.nearest.current(), Some(0));
}

#[test]
fn a_silent_site_is_left_within_a_second_and_may_come_back() {
    let mut world = World::new(&[Some(5_000), Some(40_000)]);
    world.run(3_000_000);
    assert_eq!(world.nearest.current(), Some(0));
    world.round_trips[0] = None;
    world.run(900_000);
    assert_eq!((world.nearest.current(), world.nearest.is_there(0)), (Some(1), false));
    world.round_trips[1] = None;
    world.run(900_000);
    assert_eq!(world.nearest.current(), None);
    world.round_trips[1] = Some(40_000);
    world.run(300_000);
    assert_eq!(world.nearest.current(), Some(1));
    world.round_trips[0] = Some(5_000);
    world.run(3_000_000);
    assert_eq!(world.nearest.current(), Some(0));
}

#[test]
fn a_port_that_nobody_has_is_left_at_once() {
    let mut world = World::new(&[Some(5_000), Some(40_000)]);
    world.run(3_000_000);
    world.nearest.unreachable(0);
    assert_eq!(world.nearest.current(), Some(1));
}

proptest! {
    #[test]
    fn whoever_is_current_answers(
        steps in proptest::collection::vec((0usize..3, proptest::option::of(500u64..100_000)), 1..12),
    ) {
        let mut world = World::new(&[Some(5_000), None, Some(50_000)]);
        for (site, round_trip) in steps {
            world.round_trips[site] = round_trip;
            world.run(1_000_000);
            let current = world.nearest.current();
            let someone = world.round_trips.iter().any(Option::is_some);
            prop_assert_eq!(current.is_some(), someone);
            if let Some(current) = current {
                prop_assert!(world.round_trips[current].is_some());
                prop_assert_eq!(world.nearest.in_order()[0], current);
            }
        }
    }
}
