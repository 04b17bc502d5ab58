//! Dates as records hold them, and moments.
//!
//! A date is midnight in the zone that the layout names. A local time that there was twice or
//! never says nothing certain, and is a fault.

use super::stretches::{Stretches, begin_of_day, seconds_of};
use jiff::Timestamp;
use jiff::civil::{self, DateTime};
use jiff::tz::{AmbiguousOffset, TimeZone};

/// How a date is written in digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
pub(crate) enum DateForm {
    /// Two digits of the year, day of the year from 1.
    #[serde(rename = "YYDDD")]
    YearDay2,
    /// Four digits of the year, day of the year from 1.
    #[serde(rename = "YYYYDDD")]
    YearDay4,
    /// Two digits each.
    #[serde(rename = "YYMMDD")]
    YearMonthDay2,
    /// Four digits of the year.
    #[serde(rename = "YYYYMMDD")]
    YearMonthDay4,
    /// With the time of day.
    #[serde(rename = "YYYYMMDDHHMMSS")]
    Second,
    /// Seconds since 1970-01-01 00:00 UTC, whatever the zone.
    #[serde(rename = "unix-seconds")]
    UnixSeconds,
}

/// What turns digits into moments.
#[derive(Debug, Clone)]
pub(crate) struct Calendar {
    /// Of all local times.
    zone: TimeZone,
    /// The first of the hundred years that two digits stand for.
    window: i16,
    /// What is quick to know of the zone.
    stretches: Stretches,
}

impl Calendar {
    /// Local times of `zone`; `window` is the first of the hundred years that two digits stand for.
    pub(crate) fn new(zone: TimeZone, window: i16) -> Calendar {
        let stretches = Stretches::new(&zone, window);
        Calendar { zone, window, stretches }
    }

    /// The moment of a number of this form, in seconds since 1970-01-01 00:00 UTC.
    pub(crate) fn moment(&self, form: DateForm, number: i128) -> Result<i64, &'static str> {
        const NO_DATE: &str = "there is no such date";
        let number = i64::try_from(number).ok().filter(|n| *n >= 0).ok_or(NO_DATE)?;
        if form == DateForm::UnixSeconds {
            return Timestamp::from_second(number).map(|_| number).map_err(|_| NO_DATE);
        }
        let day = self.day_of_year(form, number).and_then(|seconds| self.stretches.moment(seconds));
        if let Some(moment) = day {
            return Ok(moment);
        }
        let local = self.local(form, number).ok_or(NO_DATE)?;
        if let Some(moment) = self.stretches.moment(seconds_of(local)) {
            return Ok(moment);
        }
        let ambiguous = self.zone.to_ambiguous_timestamp(local);
        let timestamp = match (ambiguous.offset(), form) {
            (AmbiguousOffset::Fold { .. }, _) => return Err("this local time was twice"),
            (AmbiguousOffset::Gap { .. }, DateForm::Second) => {
                return Err("this local time never was");
            }
            // The day begins when the gap ends.
            _ => ambiguous.compatible(),
        };
        timestamp.map(Timestamp::as_second).map_err(|_| NO_DATE)
    }

    /// Local seconds since 1970-01-01 00:00 of a day that is numbered within its year.
    fn day_of_year(&self, form: DateForm, number: i64) -> Option<i64> {
        let year = match form {
            DateForm::YearDay2 => self.windowed(number / 1000)?,
            DateForm::YearDay4 => i16::try_from(number / 1000).ok()?,
            _ => return None,
        };
        let days = civil::Date::new(year, 1, 1).ok()?.days_in_year();
        let day = number % 1000;
        (1..=i64::from(days)).contains(&day).then(|| begin_of_day(year, day))
    }

    fn local(&self, form: DateForm, number: i64) -> Option<DateTime> {
        let (date, time) = match form {
            DateForm::Second => (number / 1_000_000, number % 1_000_000),
            _ => (number, 0),
        };
        let by_day = matches!(form, DateForm::YearDay2 | DateForm::YearDay4);
        let (year, rest) =
            if by_day { (date / 1000, date % 1000) } else { (date / 10_000, date % 10_000) };
        let year = match form {
            DateForm::YearDay2 | DateForm::YearMonthDay2 => self.windowed(year)?,
            _ => i16::try_from(year).ok().filter(|year| *year <= 9999)?,
        };
        let date = if by_day {
            let first = civil::Date::new(year, 1, 1).ok()?;
            first.with().day_of_year(rest as i16).build().ok()?
        } else {
            civil::Date::new(year, (rest / 100) as i8, (rest % 100) as i8).ok()?
        };
        let (hour, minute, second) = (time / 10_000, time / 100 % 100, time % 100);
        let time = civil::Time::new(hour as i8, minute as i8, second as i8, 0).ok()?;
        Some(date.to_datetime(time))
    }

    /// The year within the window that ends in these two digits.
    fn windowed(&self, digits: i64) -> Option<i16> {
        let digits = i16::try_from(digits).ok().filter(|digits| *digits < 100)?;
        Some(self.window + (digits - self.window).rem_euclid(100))
    }

    /// The number of a moment; `None` where this form has none.
    pub(crate) fn number(&self, form: DateForm, seconds: i64) -> Option<i128> {
        let timestamp = Timestamp::from_second(seconds).ok()?;
        if form == DateForm::UnixSeconds {
            return (seconds >= 0).then_some(seconds.into());
        }
        let quick = self.stretches.local(timestamp);
        let local = quick.unwrap_or_else(|| self.zone.to_datetime(timestamp));
        let year = match form {
            DateForm::YearDay2 | DateForm::YearMonthDay2 => {
                let year = local.year();
                (self.window..self.window + 100).contains(&year).then_some(year % 100)?
            }
            _ => Some(local.year()).filter(|year| *year >= 0)?,
        };
        let (year, month, day) =
            (i128::from(year), i128::from(local.month()), i128::from(local.day()));
        Some(match form {
            DateForm::YearDay2 | DateForm::YearDay4 => {
                year * 1000 + i128::from(local.day_of_year())
            }
            DateForm::YearMonthDay2 | DateForm::YearMonthDay4 => year * 10_000 + month * 100 + day,
            DateForm::Second | DateForm::UnixSeconds => {
                let date = year * 10_000 + month * 100 + day;
                let time = i128::from(local.hour()) * 10_000
                    + i128::from(local.minute()) * 100
                    + i128::from(local.second());
                date * 1_000_000 + time
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::TimeZoneDatabase;
    use proptest::prelude::*;

    fn calendar(zone: &str) -> Calendar {
        let zone = TimeZoneDatabase::bundled().get(zone).expect("a zone");
        Calendar::new(zone, 1970)
    }

    #[test]
    fn two_digits_of_the_year_lie_in_the_window() {
        let utc = calendar("UTC");
        for (number, seconds) in [
            (70_001, 0),
            (99_365, 946_598_400),
            (0, -1),
            (69_365, 3_155_673_600),
            (96_366, 851_990_400),
        ] {
            match utc.moment(DateForm::YearDay2, number) {
                Ok(moment) => assert_eq!(moment, seconds, "{number}"),
                Err(reason) => assert_eq!((number, reason), (0, "there is no such date")),
            }
        }
        assert!(utc.moment(DateForm::YearDay2, 97_366).is_err(), "97 was no leap year");
        assert!(utc.moment(DateForm::YearMonthDay2, 990_230).is_err());
        assert_eq!(utc.number(DateForm::YearDay2, -1), None, "1969 is before the window");
        assert_eq!(utc.number(DateForm::YearDay2, 3_155_760_000), None, "2070 is behind it");
    }

    #[test]
    fn midnight_in_berlin() {
        let berlin = calendar("Europe/Berlin");
        // No summer time from October 1949 to April 1980: one hour before UTC, all year.
        assert_eq!(berlin.moment(DateForm::YearMonthDay4, 19_700_101), Ok(-3600));
        assert_eq!(berlin.moment(DateForm::YearMonthDay4, 19_790_701), Ok(299_631_600));
        assert_eq!(berlin.moment(DateForm::YearMonthDay4, 19_800_701), Ok(331_250_400));
    }

    #[test]
    fn local_times_that_were_twice_or_never_are_faults() {
        let berlin = calendar("Europe/Berlin");
        let moment = |number| berlin.moment(DateForm::Second, number);
        assert_eq!(moment(20_241_027_023_000), Err("this local time was twice"));
        assert_eq!(moment(20_240_331_023_000), Err("this local time never was"));
        assert_eq!(moment(20_240_331_033_000), Ok(1_711_848_600));
        // In São Paulo 2018-11-04 began at one o'clock; 2018-02-18 had its first hour after the
        // second eleven o'clock of the day before.
        let brazil = calendar("America/Sao_Paulo");
        assert_eq!(brazil.moment(DateForm::YearMonthDay4, 20_181_104), Ok(1_541_300_400));
    }

    proptest! {
        #[test]
        fn dates_come_back(
            days in 0_i64..36_524,
            form in prop::sample::select(vec![
                DateForm::YearDay2, DateForm::YearDay4, DateForm::YearMonthDay2,
                DateForm::YearMonthDay4, DateForm::Second, DateForm::UnixSeconds,
            ]),
        ) {
            let utc = calendar("UTC");
            let seconds = days * 86_400;
            let number = utc.number(form, seconds).expect("within the window");
            prop_assert_eq!(utc.moment(form, number), Ok(seconds));
        }

        #[test]
        fn any_number_is_a_date_or_not(number in any::<i64>()) {
            for form in [DateForm::YearDay2, DateForm::YearMonthDay4, DateForm::Second] {
                if let Ok(moment) = calendar("Europe/Berlin").moment(form, number.into()) {
                    prop_assert_eq!(
                        calendar("Europe/Berlin").number(form, moment), Some(number.into())
                    );
                }
            }
        }
    }
}
