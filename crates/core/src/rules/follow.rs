//! When a followed zone asks its primaries, whom, and until when it is served
//! (RFC 1034 §4.3.5, RFC 1035 §3.3.13, RFC 1996 §3.11).
//!
//! A state machine without clock or randomness: times are milliseconds on any clock that never
//! goes back, jitter is passed in. One [`Follow`] is one zone.

use einhorn_wire::rdata::SoaNumbers;

/// Shortest time between polls, in seconds, whatever the SOA says.
pub const REFRESH_SECONDS_MIN: u32 = 1;
/// Longest time between polls, in seconds: four weeks.
pub const REFRESH_SECONDS_MAX: u32 = 2_419_200;
/// Shortest time between attempts after a failure, in seconds.
pub const RETRY_SECONDS_MIN: u32 = 1;
/// Longest time between attempts after a failure, in seconds: two weeks.
pub const RETRY_SECONDS_MAX: u32 = 1_209_600;
/// First wait of a zone that has no SOA to say how long, in seconds; it doubles with each failure.
pub const FIRST_RETRY_SECONDS: u32 = 1;
/// The longest such wait, in seconds.
pub const FIRST_RETRY_SECONDS_MAX: u32 = 300;

/// How much of an interval jitter may take away: with [`JITTER_MAX`] a quarter.
pub const JITTER_MAX: u16 = u16::MAX;

/// The timers of an SOA, within bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timers {
    /// Milliseconds between polls.
    pub refresh_ms: u64,
    /// Milliseconds between attempts after a failure.
    pub retry_ms: u64,
    /// Milliseconds after which an unrefreshed zone is no longer served.
    pub expire_ms: u64,
}

impl Timers {
    /// Those that `soa` asks for. A zone never expires before it could have failed once
    /// (RFC 1912 §2.2).
    pub fn of(soa: SoaNumbers) -> Timers {
        let refresh = soa.refresh.clamp(REFRESH_SECONDS_MIN, REFRESH_SECONDS_MAX);
        let retry = soa.retry.clamp(RETRY_SECONDS_MIN, RETRY_SECONDS_MAX);
        let expire = u64::from(soa.expire).max(u64::from(refresh) + u64::from(retry));
        Timers {
            refresh_ms: u64::from(refresh) * 1000,
            retry_ms: u64::from(retry) * 1000,
            expire_ms: expire * 1000,
        }
    }
}

/// What is known of a zone's freshness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Its last poll succeeded.
    Fresh,
    /// Not asked yet, or never transferred, and nothing has failed so far.
    Beginning,
    /// Polls fail since this time; what is there is still served.
    Retrying {
        /// When the first of them failed.
        since_ms: u64,
    },
    /// It is not served: not refreshed for too long.
    Expired {
        /// When it expired.
        since_ms: u64,
    },
}

/// How an attempt at one primary ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// The zone here is the primary's, with these numbers.
    Current(SoaNumbers),
    /// It was not reached, or gave nothing usable.
    Failed,
}

/// What changed with the end of an attempt, for whoever logs and serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Nothing worth telling.
    Same,
    /// All primaries failed for the first time.
    Failing,
    /// It works again.
    Recovered,
}

/// One followed zone.
#[derive(Debug, Clone)]
pub struct Follow {
    primaries: usize,
    /// The primary to ask next, and whom an attempt under way asks.
    primary: usize,
    /// Primaries that failed in this round.
    failed: usize,
    /// None until the zone has content.
    timers: Option<Timers>,
    state: State,
    /// When to ask next.
    poll_ms: u64,
    /// When it expires unless it is refreshed; `None` without content.
    expires_ms: Option<u64>,
    is_asking: bool,
    /// A notification came during the attempt under way, perhaps too late for it.
    again: bool,
    /// Rounds that failed in a row.
    rounds_failed: u32,
}

impl Follow {
    /// A zone with this many primaries, at least one, and with the SOA of the copy that is
    /// here. It asks at once: nobody knows how old the copy is.
    pub fn new(primaries: usize, soa: Option<SoaNumbers>, now_ms: u64) -> Follow {
        let timers = soa.map(Timers::of);
        Follow {
            primaries: primaries.max(1),
            primary: 0,
            failed: 0,
            timers,
            state: State::Beginning,
            poll_ms: now_ms,
            expires_ms: timers.map(|timers| now_ms + timers.expire_ms),
            is_asking: false,
            again: false,
            rounds_failed: 0,
        }
    }

    /// What is known of the zone's freshness.
    pub fn state(&self) -> State {
        self.state
    }

    /// The primary that is asked now, or next.
    pub fn primary(&self) -> usize {
        self.primary
    }

    /// Whether an attempt is under way.
    pub fn is_asking(&self) -> bool {
        self.is_asking
    }

    /// Whether the zone must not be served.
    pub fn is_expired(&self) -> bool {
        matches!(self.state, State::Expired { .. })
    }

    /// When it asks next; it may be asking already.
    pub fn poll_ms(&self) -> u64 {
        self.poll_ms
    }

    /// When [`Follow::wake`] is to be called; `None` while only the end of an attempt matters.
    pub fn wake_ms(&self) -> Option<u64> {
        let poll = (!self.is_asking).then_some(self.poll_ms);
        let expiry = self.expires_ms.filter(|_| !self.is_expired());
        poll.into_iter().chain(expiry).min()
    }

    /// Time has passed. Gives the primary to ask, if one is to be asked now; the caller then
    /// tells how that ended by [`Follow::ended`].
    pub fn wake(&mut self, now_ms: u64) -> Option<usize> {
        if let Some(expires_ms) = self.expires_ms
            && expires_ms <= now_ms
            && !self.is_expired()
        {
            self.state = State::Expired { since_ms: expires_ms };
        }
        if self.is_asking || now_ms < self.poll_ms {
            return None;
        }
        self.is_asking = true;
        self.again = false;
        Some(self.primary)
    }

    /// A primary, or an operator, says that it is worth asking now. `primary` is the one that
    /// said so, if that is known: it is asked first.
    pub fn notified(&mut self, primary: Option<usize>, now_ms: u64) {
        if self.is_asking {
            self.again = true;
            return;
        }
        if let Some(primary) = primary.filter(|primary| *primary < self.primaries) {
            self.primary = primary;
        }
        self.failed = 0;
        self.poll_ms = now_ms;
    }

    /// The attempt under way ended. `jitter` out of [`JITTER_MAX`] shortens the next wait by up
    /// to a quarter, so that zones of one primary do not ask in step.
    pub fn ended(&mut self, attempt: Attempt, now_ms: u64, jitter: u16) -> Turn {
        self.is_asking = false;
        match attempt {
            Attempt::Current(soa) => {
                let timers = Timers::of(soa);
                self.timers = Some(timers);
                self.expires_ms = Some(now_ms.saturating_add(timers.expire_ms));
                self.poll_ms = now_ms.saturating_add(shortened(timers.refresh_ms, jitter));
                (self.failed, self.rounds_failed) = (0, 0);
                self.ask_again(now_ms);
                match std::mem::replace(&mut self.state, State::Fresh) {
                    State::Fresh | State::Beginning => Turn::Same,
                    State::Retrying { .. } | State::Expired { .. } => Turn::Recovered,
                }
            }
            Attempt::Failed => self.failed(now_ms, jitter),
        }
    }

    fn failed(&mut self, now_ms: u64, jitter: u16) -> Turn {
        self.primary = (self.primary + 1) % self.primaries;
        self.failed += 1;
        if self.failed < self.primaries {
            self.poll_ms = now_ms;
            return Turn::Same;
        }
        self.failed = 0;
        let doubled = || {
            let doubled = FIRST_RETRY_SECONDS.saturating_mul(1 << self.rounds_failed.min(16));
            u64::from(doubled.min(FIRST_RETRY_SECONDS_MAX)) * 1000
        };
        let wait_ms = self.timers.map_or_else(doubled, |timers| timers.retry_ms);
        self.rounds_failed += 1;
        self.poll_ms = now_ms.saturating_add(shortened(wait_ms, jitter));
        self.ask_again(now_ms);
        match self.state {
            State::Fresh | State::Beginning => {
                self.state = State::Retrying { since_ms: now_ms };
                Turn::Failing
            }
            State::Retrying { .. } | State::Expired { .. } => Turn::Same,
        }
    }

    fn ask_again(&mut self, now_ms: u64) {
        if std::mem::take(&mut self.again) {
            self.poll_ms = now_ms;
        }
    }
}

fn shortened(interval_ms: u64, jitter: u16) -> u64 {
    interval_ms - interval_ms / 4 * u64::from(jitter) / u64::from(JITTER_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SOA: SoaNumbers =
        SoaNumbers { serial: 1, refresh: 100, retry: 10, expire: 1000, minimum: 1 };

    #[test]
    fn it_asks_at_once_and_then_at_each_refresh() {
        let mut zone = Follow::new(1, None, 5);
        assert_eq!((zone.wake_ms(), zone.wake(5)), (Some(5), Some(0)));
        assert_eq!((zone.wake_ms(), zone.wake(6)), (None, None), "one attempt at a time");
        assert_eq!(zone.ended(Attempt::Current(SOA), 1_000, 0), Turn::Same);
        assert_eq!((zone.state(), zone.wake_ms()), (State::Fresh, Some(101_000)));
        assert_eq!((zone.wake(100_999), zone.wake(101_000)), (None, Some(0)));
        zone.ended(Attempt::Current(SOA), 101_000, JITTER_MAX);
        assert_eq!(zone.wake_ms(), Some(101_000 + 75_000));
    }

    #[test]
    fn the_next_primary_is_asked_at_once_and_all_of_them_before_waiting() {
        let mut zone = Follow::new(3, Some(SOA), 0);
        for (primary, turn) in [(0, Turn::Same), (1, Turn::Same), (2, Turn::Failing)] {
            assert_eq!(zone.wake(7), Some(primary));
            assert_eq!(zone.ended(Attempt::Failed, 7, 0), turn);
        }
        assert_eq!(zone.state(), State::Retrying { since_ms: 7 });
        assert_eq!((zone.wake(10_006), zone.wake(10_007)), (None, Some(0)));
        zone.ended(Attempt::Failed, 10_008, 0);
        assert_eq!(zone.wake(10_008), Some(1));
        assert_eq!(zone.ended(Attempt::Current(SOA), 10_009, 0), Turn::Recovered);
        assert_eq!(zone.state(), State::Fresh);
        // The one that worked is asked again.
        assert_eq!(zone.wake(1_000_000), Some(1));
    }

    #[test]
    fn a_notification_is_followed_at_once_and_never_lost() {
        let mut zone = Follow::new(2, Some(SOA), 0);
        zone.wake(0);
        zone.ended(Attempt::Current(SOA), 0, 0);
        zone.notified(Some(1), 50);
        assert_eq!(zone.wake(50), Some(1));
        zone.notified(Some(0), 51);
        assert_eq!(zone.wake(51), None, "one attempt at a time");
        zone.ended(Attempt::Current(SOA), 60, 0);
        assert_eq!((zone.wake_ms(), zone.wake(60)), (Some(60), Some(1)));
        zone.ended(Attempt::Current(SOA), 70, 0);
        assert_eq!(zone.wake_ms(), Some(100_070));
    }

    #[test]
    fn it_expires_and_comes_back() {
        let mut zone = Follow::new(1, Some(SOA), 0);
        zone.wake(0);
        assert_eq!(zone.ended(Attempt::Failed, 0, 0), Turn::Failing);
        assert_eq!(zone.wake(999_999), Some(0));
        assert!(!zone.is_expired());
        // The attempt takes long; expiry does not wait for it.
        assert_eq!(zone.wake_ms(), Some(1_000_000));
        assert_eq!(zone.wake(1_000_000), None);
        assert_eq!(zone.state(), State::Expired { since_ms: 1_000_000 });
        assert_eq!(zone.ended(Attempt::Failed, 1_000_001, 0), Turn::Same);
        assert!(zone.is_expired());
        assert_eq!(zone.wake(1_010_001), Some(0));
        assert_eq!(zone.ended(Attempt::Current(SOA), 1_010_002, 0), Turn::Recovered);
        assert_eq!(zone.state(), State::Fresh);
    }

    #[test]
    fn without_content_waits_double() {
        let mut zone = Follow::new(1, None, 0);
        let mut now_ms = 0;
        let waits = [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300];
        for seconds in waits {
            assert_eq!(zone.wake(now_ms), Some(0));
            zone.ended(Attempt::Failed, now_ms, 0);
            assert_eq!(zone.wake_ms(), Some(now_ms + seconds * 1000));
            now_ms += seconds * 1000;
        }
        assert!(!zone.is_expired(), "what was never there cannot expire");
    }

    #[test]
    fn silly_numbers_are_bounded() {
        let numbers = |refresh, retry, expire| {
            let timers = Timers::of(SoaNumbers { refresh, retry, expire, ..SOA });
            [timers.refresh_ms, timers.retry_ms, timers.expire_ms].map(|ms| ms / 1000)
        };
        assert_eq!(numbers(0, 0, 0), [1, 1, 2]);
        let most = [REFRESH_SECONDS_MAX, RETRY_SECONDS_MAX, u32::MAX].map(u64::from);
        assert_eq!(numbers(u32::MAX, u32::MAX, u32::MAX), most);
        assert_eq!(numbers(100, 10, 5), [100, 10, 110]);
    }

    proptest! {
        /// Whatever happens, it never sleeps for ever, never asks twice at once, and is expired
        /// exactly when the last success is too long ago.
        #[test]
        fn it_always_wakes_again(
            primaries in 1usize..4,
            events in prop::collection::vec((0u8..4, 0u64..50_000, any::<u16>()), 1..60),
        ) {
            let mut zone = Follow::new(primaries, Some(SOA), 0);
            let (mut now_ms, mut success_ms, mut asking) = (0, 0, false);
            for (what, passed_ms, jitter) in events {
                now_ms += passed_ms;
                if let Some(primary) = zone.wake(now_ms) {
                    prop_assert!(primary < primaries && !asking);
                    asking = true;
                }
                match what {
                    0 => zone.notified(Some(usize::from(jitter) % 5), now_ms),
                    1 if asking => {
                        zone.ended(Attempt::Current(SOA), now_ms, jitter);
                        (asking, success_ms) = (false, now_ms);
                    }
                    2 if asking => {
                        zone.ended(Attempt::Failed, now_ms, jitter);
                        asking = false;
                    }
                    _ => {}
                }
                prop_assert_eq!(zone.is_asking(), asking);
                prop_assert_eq!(zone.is_expired(), now_ms - success_ms >= 1_000_000);
                prop_assert!(asking || zone.wake_ms().is_some_and(|wake| wake <= now_ms + 100_000));
            }
        }
    }
}
