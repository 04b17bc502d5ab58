//! Which site is nearest: round trips of probes, smoothed, and who is silent. Pure: time is passed in,
//! probes and their answers are the caller's.
//!
//! Another site takes over at once when the nearest falls silent, and only after several rounds when it
//! is merely faster: each change of the way costs updates that are under way a second try.

/// Times of probes and silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Time between two probes of a site, in microseconds.
    pub probe_us: u64,
    /// A site that was not heard for so long, while it was asked, is away, in microseconds.
    pub silence_us: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { probe_us: 200_000, silence_us: 600_000 }
    }
}

/// By how much another site must be nearer: a fifth …
const BETTER_PERCENT: u64 = 20;
/// … and so many microseconds.
const BETTER_US: u64 = 2_000;
/// For so many rounds of probes in a row.
const BETTER_ROUNDS: u32 = 5;
/// A new round trip counts an eighth, as TCP has it (RFC 6298 §2).
const SMOOTHING: u64 = 8;

/// A probe to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// The site, by its place in the configuration.
    pub site: usize,
    /// Tells its answer from those of earlier probes.
    pub id: u16,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Site {
    /// Smoothed round trip in microseconds; none until the first answer since it was away.
    round_trip_us: Option<u64>,
    /// The last probe, and when it was sent; none once it was answered.
    asked: Option<(u16, u64)>,
    /// Since when it is silent although it was asked.
    silent_since_us: Option<u64>,
    is_there: bool,
}

/// What is known of the sites.
#[derive(Debug, Clone)]
pub struct Nearest {
    settings: Settings,
    sites: Vec<Site>,
    current: Option<usize>,
    /// Who has been better, and for how many rounds.
    challenger: Option<(usize, u32)>,
    next_round_us: u64,
    next_id: u16,
}

impl Nearest {
    /// Of `sites` sites, of which nothing is known yet.
    pub fn new(settings: Settings, sites: usize) -> Nearest {
        Nearest {
            settings,
            sites: vec![Site::default(); sites],
            current: None,
            challenger: None,
            next_round_us: 0,
            next_id: 0,
        }
    }

    /// The nearest site; `None` while all are away.
    pub fn current(&self) -> Option<usize> {
        self.current
    }

    /// Whether a site answers.
    pub fn is_there(&self, site: usize) -> bool {
        self.sites.get(site).is_some_and(|site| site.is_there)
    }

    /// Its smoothed round trip in microseconds.
    pub fn round_trip_us(&self, site: usize) -> Option<u64> {
        self.sites.get(site).filter(|site| site.is_there)?.round_trip_us
    }

    /// The sites that answer, the nearest first.
    pub fn in_order(&self) -> Vec<usize> {
        let mut there: Vec<usize> =
            (0..self.sites.len()).filter(|site| self.sites[*site].is_there).collect();
        there.sort_by_key(|site| (self.current != Some(*site), self.sites[*site].round_trip_us));
        there
    }

    /// When [`Nearest::tick`] has something to do again.
    pub fn next_us(&self) -> u64 {
        let silent = self.sites.iter().filter(|site| site.is_there);
        let silent = silent.filter_map(|site| site.silent_since_us);
        let over = silent.map(|since_us| since_us + self.settings.silence_us);
        over.chain([self.next_round_us]).min().unwrap_or(self.next_round_us)
    }

    /// Gives up on who is silent, and says which probes are due.
    pub fn tick(&mut self, now_us: u64) -> Vec<Probe> {
        for site in 0..self.sites.len() {
            let since = self.sites[site].silent_since_us;
            let is_over = since.is_some_and(|since| now_us >= since + self.settings.silence_us);
            if is_over && self.sites[site].is_there {
                self.lose(site);
            }
        }
        if now_us < self.next_round_us {
            return Vec::new();
        }
        self.next_round_us = now_us + self.settings.probe_us;
        self.compare();
        let mut probes = Vec::with_capacity(self.sites.len());
        for (number, site) in self.sites.iter_mut().enumerate() {
            self.next_id = self.next_id.wrapping_add(1);
            // A probe that is lost says nothing yet; its silence does.
            site.silent_since_us.get_or_insert(now_us);
            site.asked = Some((self.next_id, now_us));
            probes.push(Probe { site: number, id: self.next_id });
        }
        probes
    }

    /// A site has answered a probe.
    pub fn answered(&mut self, now_us: u64, site: usize, id: u16) {
        let Some(known) = self.sites.get_mut(site) else { return };
        let Some((_, sent_us)) = known.asked.take_if(|(asked, _)| *asked == id) else { return };
        let sample = now_us.saturating_sub(sent_us);
        let smoothed = |old: u64| (old * (SMOOTHING - 1) + sample) / SMOOTHING;
        known.round_trip_us = Some(known.round_trip_us.map_or(sample, smoothed));
        known.silent_since_us = None;
        if !known.is_there {
            known.is_there = true;
            if self.current.is_none() {
                self.current = Some(site);
            }
        }
    }

    /// A site has answered something else.
    pub fn heard(&mut self, site: usize) {
        if let Some(known) = self.sites.get_mut(site).filter(|known| known.is_there) {
            known.silent_since_us = None;
        }
    }

    /// The network says that nobody is there.
    pub fn unreachable(&mut self, site: usize) {
        if self.is_there(site) {
            self.lose(site);
        }
    }

    fn lose(&mut self, site: usize) {
        self.sites[site] = Site::default();
        if self.current == Some(site) {
            self.current = None;
            self.current = self.in_order().first().copied();
            self.challenger = None;
        }
    }

    /// One round of comparing.
    fn compare(&mut self) {
        let best =
            (0..self.sites.len()).filter_map(|site| Some((self.round_trip_us(site)?, site))).min();
        let ours = self.current.and_then(|site| self.round_trip_us(site));
        let (Some((best_us, best)), Some(ours_us)) = (best, ours) else { return };
        let is_better =
            best_us + BETTER_US <= ours_us && best_us * 100 <= ours_us * (100 - BETTER_PERCENT);
        self.challenger = match self.challenger {
            _ if !is_better => None,
            Some((site, rounds)) if site == best => Some((site, rounds + 1)),
            _ => Some((best, 1)),
        };
        if let Some((site, BETTER_ROUNDS..)) = self.challenger {
            self.current = Some(site);
            self.challenger = None;
        }
    }
}

#[cfg(test)]
#[path = "nearest_tests.rs"]
mod tests;
