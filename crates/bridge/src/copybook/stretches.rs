//! Stretches of time in which a zone's offset stays the same. Nearly all dates of a file lie in one,
//! and cost a search and an addition there; the others are left to the zone's own rules.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::{Offset, TimeZone};

const DAY_SECONDS: i64 = 86_400;
/// Years that a window of two digits has.
const YEARS: i16 = 100;

/// One of them. Seconds since 1970-01-01 00:00, in UTC and on local clocks.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    /// Of the stretch, the end excluded.
    utc: (i64, i64),
    /// Of the local times that were once, and then.
    local: (i64, i64),
    offset: Offset,
}

/// Those of a hundred years, in order.
#[derive(Debug, Clone)]
pub(super) struct Stretches(Vec<Stretch>);

impl Stretches {
    /// The stretches of a zone in the hundred years from `first_year` on.
    pub(super) fn new(zone: &TimeZone, first_year: i16) -> Stretches {
        let begin_of = |year| {
            let date = Date::new(year, 1, 1).ok()?;
            Offset::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok()
        };
        let (Some(begin), Some(end)) = (begin_of(first_year), begin_of(first_year + YEARS)) else {
            return Stretches(Vec::new());
        };
        let mut changes = vec![(begin.as_second(), zone.to_offset(begin))];
        let following = zone.following(begin).take_while(|change| change.timestamp() < end);
        changes.extend(following.map(|change| (change.timestamp().as_second(), change.offset())));
        let seconds = |offset: Offset| i64::from(offset.seconds());
        let stretch = |at: usize| {
            let (from, offset) = changes[at];
            let next = changes.get(at + 1);
            let until = next.map_or(end.as_second(), |(until, _)| *until);
            let own = seconds(offset);
            // What is beyond the hundred years may change within a day of them.
            let local_from = match at.checked_sub(1) {
                None => from + own + DAY_SECONDS,
                Some(before) => from + own.max(seconds(changes[before].1)),
            };
            let local_until = match next {
                None => until + own - DAY_SECONDS,
                Some((_, after)) => until + own.min(seconds(*after)),
            };
            Stretch { utc: (from, until), local: (local_from, local_until), offset }
        };
        Stretches((0..changes.len()).map(stretch).collect())
    }

    /// The moment of a local time, both in seconds since 1970-01-01 00:00; `None` where that is not
    /// known here, or not certain.
    pub(super) fn moment(&self, seconds: i64) -> Option<i64> {
        let at = self.0.partition_point(|stretch| stretch.local.1 <= seconds);
        let stretch = self.0.get(at).filter(|stretch| stretch.local.0 <= seconds)?;
        Some(seconds - i64::from(stretch.offset.seconds()))
    }

    /// The local time of a moment; `None` where that is not known here.
    pub(super) fn local(&self, moment: Timestamp) -> Option<DateTime> {
        let seconds = moment.as_second();
        let at = self.0.partition_point(|stretch| stretch.utc.1 <= seconds);
        let stretch = self.0.get(at).filter(|stretch| stretch.utc.0 <= seconds)?;
        Some(stretch.offset.to_datetime(moment))
    }
}

/// Seconds on a local clock since it showed 1970-01-01 00:00.
pub(super) fn seconds_of(local: DateTime) -> i64 {
    let (hour, minute) = (i64::from(local.hour()), i64::from(local.minute()));
    let time = (hour * 60 + minute) * 60 + i64::from(local.second());
    begin_of_day(local.year(), local.day_of_year().into()) + time
}

/// The same at midnight before a day, which is numbered from 1 within its year.
pub(super) fn begin_of_day(year: i16, day: i64) -> i64 {
    // Days from the first of January of year 1 to that of 1970.
    const DAYS_BEFORE_1970: i64 = 719_162;
    let before = i64::from(year) - 1;
    let leap_days = before.div_euclid(4) - before.div_euclid(100) + before.div_euclid(400);
    (before * 365 + leap_days - DAYS_BEFORE_1970 + day - 1) * DAY_SECONDS
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::TimeZoneDatabase;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn times_are_those_of_the_zone_or_unknown(
            seconds in -3_000_000_000_i64..5_000_000_000,
            zone in prop::sample::select(vec![
                "UTC", "Europe/Berlin", "America/Sao_Paulo", "Pacific/Apia", "Africa/Monrovia",
            ]),
            nudge in -2_i64..3,
        ) {
            let zone = TimeZoneDatabase::bundled().get(zone).expect("a zone");
            let stretches = Stretches::new(&zone, 1970);
            let mut moment = Timestamp::from_second(seconds).expect("in range");
            // Half of the moments lie where clocks change.
            if seconds % 2 == 0 && let Some(change) = zone.following(moment).next() {
                let near = change.timestamp().as_second() + nudge * 1800;
                moment = Timestamp::from_second(near).expect("in range");
            }
            let local = zone.to_datetime(moment);
            prop_assert!(stretches.local(moment).is_none_or(|found| found == local));
            let ambiguous = zone.to_ambiguous_timestamp(local);
            if let Some(found) = stretches.moment(seconds_of(local)) {
                prop_assert!(!ambiguous.is_ambiguous(), "{local} was twice or never");
                prop_assert_eq!(found, moment.as_second());
            }
            if (100_000..3_100_000_000).contains(&seconds) && !ambiguous.is_ambiguous() {
                prop_assert_eq!(stretches.local(moment), Some(local));
            }
        }
    }
}
