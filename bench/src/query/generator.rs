//! The load: a closed loop that finds how much a server can do, and an open loop that finds how
//! long answers take at a rate it can do.
//!
//! In the closed loop a query is sent when another has been answered. In the open loop queries
//! are due at even intervals whatever the server does, and latency counts from then: a slow
//! answer does not hide the wait of those behind it, nor does a late generator.

use super::client::{BATCH, Client, Counts};
use super::mix::Mix;
use crate::statistics::percentile;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Queries are sent once so many may be: a system call for each would cost more.
const REFILL: usize = 16;
/// Part of the measured time that goes before it, in which caches fill.
const WARM_UP_SHARE: f64 = 0.4;
/// A query that waited so long is lost.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often lost queries are looked for.
const LOST_INTERVAL: Duration = Duration::from_millis(100);
/// How long a waiting generator sleeps before it looks at the clock.
const WAIT_MAX: Duration = Duration::from_millis(5);
const NANOSECONDS: f64 = 1e9;

/// How hard to ask.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Pressure {
    /// So many queries wait for an answer at any time.
    Closed { in_flight: usize },
    /// So many queries a second.
    Open { per_second: f64 },
}

/// Work that the generator does beside asking, such as sending updates.
pub(crate) trait Aside {
    /// Called often; must not take long.
    fn turn(&mut self) -> Result<(), String>;
}

/// A phase.
pub(crate) struct Load<'a> {
    pub(crate) mix: &'a Mix,
    pub(crate) server: SocketAddr,
    pub(crate) sockets: usize,
    pub(crate) pressure: Pressure,
    pub(crate) duration: Duration,
    /// Whether the processor is shared with the server, so that waiting must leave it alone.
    pub(crate) is_shared: bool,
    pub(crate) check: bool,
    /// Where in the mix to begin.
    pub(crate) first_query: u32,
}

/// What a phase showed; latencies in nanoseconds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outcome {
    /// Right answers.
    pub(crate) per_second: f64,
    pub(crate) answered: u64,
    pub(crate) elapsed: Duration,
    pub(crate) p50: Option<u64>,
    pub(crate) p99: Option<u64>,
    /// Of the whole phase, the warm-up included.
    pub(crate) counts: Counts,
}

/// The state of a running phase.
struct Run<'l> {
    load: &'l Load<'l>,
    clients: Vec<Client>,
    begin: Instant,
    next_query: u32,
    /// Queries sent, for the open loop.
    due_sent: u64,
    lost_checked: u64,
}

impl Load<'_> {
    /// Runs the phase. `at_begin` is called when the measured part begins, `at_end` when it ends.
    pub(crate) fn run(
        &self,
        aside: &mut dyn Aside,
        at_begin: &mut dyn FnMut(),
        at_end: &mut dyn FnMut(),
    ) -> Result<Outcome, String> {
        let clients = (0..self.sockets).map(|_| Client::open(self.server, self.check));
        let mut run = Run {
            load: self,
            clients: clients.collect::<Result<_, _>>()?,
            begin: Instant::now(),
            next_query: self.first_query % self.mix.len(),
            due_sent: 0,
            lost_checked: 0,
        };
        run.until(self.duration.mul_f64(WARM_UP_SHARE), aside, &mut Vec::new())?;
        at_begin();
        let measured_from = run.begin.elapsed();
        let mut latencies = Vec::with_capacity((self.duration.as_secs_f64() * 300_000.0) as usize);
        run.until(measured_from + self.duration, aside, &mut latencies)?;
        let elapsed = run.begin.elapsed() - measured_from;
        at_end();
        run.drain()?;
        let mut counts = Counts::default();
        run.clients.iter().for_each(|client| counts.add(&client.counts));
        latencies.sort_unstable();
        Ok(Outcome {
            per_second: latencies.len() as f64 / elapsed.as_secs_f64(),
            answered: latencies.len() as u64,
            elapsed,
            p50: percentile(&latencies, 50),
            p99: percentile(&latencies, 99),
            counts,
        })
    }
}

impl Run<'_> {
    fn now(&self) -> u64 {
        self.begin.elapsed().as_nanos() as u64
    }

    /// Asks until so much time has passed since the phase began.
    fn until(
        &mut self,
        end: Duration,
        aside: &mut dyn Aside,
        latencies: &mut Vec<u64>,
    ) -> Result<(), String> {
        let end = end.as_nanos() as u64;
        loop {
            let now = self.now();
            if now >= end {
                return Ok(());
            }
            if now - self.lost_checked >= LOST_INTERVAL.as_nanos() as u64 {
                self.lost_checked = now;
                let since = now.saturating_sub(PATIENCE.as_nanos() as u64);
                self.clients.iter_mut().for_each(|client| client.give_up(since));
            }
            aside.turn()?;
            let moved = match self.load.pressure {
                Pressure::Closed { in_flight } => self.turn_closed(in_flight, latencies)?,
                Pressure::Open { per_second } => self.turn_open(per_second, now, latencies)?,
            };
            if !moved && self.load.is_shared && self.is_closed() {
                self.wait()?;
            }
        }
    }

    fn is_closed(&self) -> bool {
        matches!(self.load.pressure, Pressure::Closed { .. })
    }

    /// One turn through the sockets; whether anything came in or went out.
    fn turn_closed(&mut self, in_flight: usize, latencies: &mut Vec<u64>) -> Result<bool, String> {
        let each = (in_flight / self.clients.len()).max(1);
        let mut moved = false;
        for at in 0..self.clients.len() {
            moved |= self.receive(at, latencies)?;
            let free = each.saturating_sub(self.clients[at].outstanding());
            if free >= REFILL.min(each) {
                let now = self.now();
                self.send(at, free, |_| now)?;
                moved = true;
            }
        }
        Ok(moved)
    }

    fn turn_open(
        &mut self,
        per_second: f64,
        now: u64,
        latencies: &mut Vec<u64>,
    ) -> Result<bool, String> {
        let due = (now as f64 / NANOSECONDS * per_second) as u64;
        let (missing, first) = (due.saturating_sub(self.due_sent) as usize, self.due_sent);
        let mut moved = missing > 0;
        if missing > 0 {
            // Queries that are late together go out of one socket, the next ones out of the next.
            let at = (first as usize / REFILL) % self.clients.len();
            let interval = NANOSECONDS / per_second;
            let taken = self.send(at, missing, |nth| ((first + nth) as f64 * interval) as u64)?;
            self.due_sent += taken as u64;
        }
        for at in 0..self.clients.len() {
            if self.clients[at].outstanding() > 0 {
                moved |= self.receive(at, latencies)?;
            }
        }
        Ok(moved)
    }

    /// Sends up to `count` queries, at most a batch; `since` says when the nth was due.
    fn send(
        &mut self,
        at: usize,
        count: usize,
        since: impl Fn(u64) -> u64,
    ) -> Result<usize, String> {
        let (first, length) = (self.next_query, self.load.mix.len());
        let queries =
            (0..count.min(BATCH)).map(|nth| ((first + nth as u32) % length, since(nth as u64)));
        let taken = self.clients[at].send(self.load.mix, queries)?;
        self.next_query = (first + taken as u32) % length;
        Ok(taken)
    }

    /// Takes in what has come, at most a batch.
    fn receive(&mut self, at: usize, latencies: &mut Vec<u64>) -> Result<bool, String> {
        for taken in 0..BATCH {
            match self.clients[at].receive(self.load.mix)? {
                None => return Ok(taken > 0),
                Some(None) => {}
                Some(Some(since)) => latencies.push(self.now().saturating_sub(since)),
            }
        }
        Ok(true)
    }

    /// Sleeps until a response comes, for a short while at most.
    fn wait(&self) -> Result<(), String> {
        let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(WAIT_MAX.subsec_nanos()) };
        let mut descriptors: Vec<PollFd<'_>> =
            self.clients.iter().map(|client| PollFd::new(&client.socket, PollFlags::IN)).collect();
        poll(&mut descriptors, Some(&timeout))
            .map(drop)
            .map_err(|error| format!("cannot wait for responses: {error}"))
    }

    /// Lets the queries under way be answered; those that are not are lost.
    fn drain(&mut self) -> Result<(), String> {
        let begin = Instant::now();
        while self.clients.iter().any(|client| client.outstanding() > 0)
            && begin.elapsed() < PATIENCE
        {
            for at in 0..self.clients.len() {
                self.receive(at, &mut Vec::new())?;
            }
        }
        self.clients.iter_mut().for_each(|client| client.give_up(u64::MAX));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::scenes::Nothing;
    use super::*;
    use crate::echo::Echo;

    fn run(pressure: Pressure, check: bool) -> Outcome {
        let (echo, mix) = (Echo::start().expect("an echo"), Mix::new(100).expect("a mix"));
        let load = Load {
            mix: &mix,
            server: echo.address(),
            sockets: 2,
            pressure,
            duration: Duration::from_millis(100),
            is_shared: true,
            check,
            first_query: 399_990,
        };
        let mut looks = (0, 0);
        let outcome = load.run(&mut Nothing, &mut || looks.0 += 1, &mut || looks.1 += 1);
        assert_eq!(looks, (1, 1));
        outcome.expect("the echo answers")
    }

    fn all_accounted_for(counts: Counts) {
        assert_eq!(counts.sent, counts.right + counts.wrong + counts.lost, "{counts:?}");
    }

    #[test]
    fn a_closed_loop_keeps_asking_and_loses_count_of_nothing() {
        let outcome = run(Pressure::Closed { in_flight: 32 }, false);
        assert!(outcome.answered > 0 && outcome.p50 <= outcome.p99, "{outcome:?}");
        all_accounted_for(outcome.counts);
    }

    #[test]
    fn an_open_loop_never_asks_more_often_than_it_is_told() {
        let begin = Instant::now();
        let outcome = run(Pressure::Open { per_second: 1000.0 }, false);
        let due_max = begin.elapsed().as_millis() as u64;
        all_accounted_for(outcome.counts);
        // A busy machine may end the phase before the last ones go out, but never asks too often.
        assert!((1..=due_max).contains(&outcome.counts.sent), "{outcome:?} of {due_max}");
    }

    #[test]
    fn answers_that_are_only_the_query_turned_round_are_wrong() {
        let counts = run(Pressure::Closed { in_flight: 8 }, true).counts;
        assert!(counts.wrong > 0 && counts.right == 0, "{counts:?}");
        all_accounted_for(counts);
    }
}
