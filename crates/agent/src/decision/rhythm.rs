//! When each batch usually begins, and that it begins at another time now.
//!
//! A model whose features follow a batch stays right when the batch moves, so that its calibration says
//! nothing; an operator wants to know all the same. Times of day are those of UTC: an hour more or
//! less, as when clocks change, is nothing. It must never change what is decided.

use crate::recent::Recent;

/// A batch begins after so long without a change by its writer, in milliseconds.
const SILENCE_MS: i64 = 30 * 60_000;
/// Different names that a writer has to change before that is a batch.
const NAMES_MIN: usize = 3;
/// So many batches in a row that began at the same time of day make a habit.
const HABIT: usize = 3;
/// Times of day that are further apart than this are not the same, in milliseconds.
const APART_MS: i64 = 90 * 60_000;
const DAY_MS: i64 = 24 * 3_600_000;

/// A batch that begins at another time than it used to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// When it used to begin, in milliseconds since midnight, UTC.
    pub from_ms: u32,
    /// When it begins now.
    pub to_ms: u32,
}

#[derive(Debug, Clone, Default)]
struct OfWriter {
    last_ms: Option<i64>,
    began_ms: i64,
    /// Changed since then, up to as many as make a batch.
    names: Vec<u64>,
    /// When its last batches began, the newest last.
    begins: Vec<i64>,
    /// When the last one began, if that was against its habit.
    odd: Option<i64>,
}

/// The habits of all writers of late.
#[derive(Debug, Clone)]
pub struct Rhythm {
    writers: Recent<OfWriter>,
}

impl Rhythm {
    /// Nothing seen yet; at least so many writers will be remembered.
    pub fn new(writers: usize) -> Rhythm {
        Rhythm { writers: Recent::new(writers) }
    }

    /// A change was committed. Tells once, at the second batch in a row that begins at the same new time.
    pub fn changed(&mut self, actor: u64, name: u64, at_ms: i64) -> Option<Moved> {
        let writer = self.writers.change(actor);
        if writer.last_ms.is_none_or(|last_ms| at_ms - last_ms >= SILENCE_MS) {
            writer.began_ms = at_ms;
            writer.names.clear();
        }
        writer.last_ms = Some(at_ms);
        if writer.names.len() >= NAMES_MIN || writer.names.contains(&name) {
            return None;
        }
        writer.names.push(name);
        let is_batch = writer.names.len() == NAMES_MIN;
        is_batch.then(|| writer.began(writer.began_ms.rem_euclid(DAY_MS))).flatten()
    }
}

impl OfWriter {
    fn began(&mut self, time_ms: i64) -> Option<Moved> {
        let habit = self.habit().filter(|habit| is_apart(*habit, time_ms));
        let Some(habit) = habit else {
            self.odd = None;
            self.begins.push(time_ms);
            if self.begins.len() > HABIT {
                self.begins.remove(0);
            }
            return None;
        };
        if self.odd.is_none_or(|odd| is_apart(odd, time_ms)) {
            self.odd = Some(time_ms);
            return None;
        }
        self.odd = None;
        self.begins = vec![time_ms; HABIT];
        Some(Moved { from_ms: habit as u32, to_ms: time_ms as u32 })
    }

    /// The time at which its batches begin, if they do at one.
    fn habit(&self) -> Option<i64> {
        let last = *self.begins.last()?;
        let is_habit =
            self.begins.len() == HABIT && !self.begins.iter().any(|begin| is_apart(*begin, last));
        is_habit.then_some(last)
    }
}

/// Whether two times of day are far apart, the shorter way around the clock.
fn is_apart(one: i64, other: i64) -> bool {
    let between = (one - other).abs();
    between.min(DAY_MS - between) > APART_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    /// A night's batch of five names, and what is told of it.
    fn night(rhythm: &mut Rhythm, day: i64, hour: i64) -> Vec<Moved> {
        let begin_ms = day * DAY_MS + hour * HOUR_MS;
        (0..5u32)
            .filter_map(|at| rhythm.changed(7, at.into(), begin_ms + i64::from(at) * 20))
            .collect()
    }

    #[test]
    fn a_batch_that_moves_is_told_of_in_its_second_night_and_once() {
        let mut rhythm = Rhythm::new(10);
        for day in 0..5 {
            assert_eq!(night(&mut rhythm, day, 23), []);
        }
        assert_eq!(night(&mut rhythm, 6, 2), []);
        let moved = Moved { from_ms: 23 * HOUR_MS as u32, to_ms: 2 * HOUR_MS as u32 };
        assert_eq!(night(&mut rhythm, 7, 2), [moved]);
        assert_eq!(night(&mut rhythm, 8, 2), []);
    }

    #[test]
    fn clocks_single_nights_and_people_are_nothing() {
        let mut rhythm = Rhythm::new(10);
        // One night late, then an hour later from now on, over midnight.
        let hours = [23, 23, 23, 4, 23, 23, 24, 24, 24].into_iter();
        let told: Vec<_> =
            (0..).zip(hours).flat_map(|(day, hour)| night(&mut rhythm, day, hour)).collect();
        assert_eq!(told, []);
        // Whoever works at any hour has no habit, whoever changes one name no batch.
        for day in 0..40 {
            assert_eq!(night(&mut rhythm, 100 + day, day * 7 % 24), []);
            let at_ms = (200 + day) * DAY_MS + day / 20 * 5 * HOUR_MS;
            assert!((0..9).all(|again| rhythm.changed(8, 1, at_ms + again).is_none()));
        }
    }
}
