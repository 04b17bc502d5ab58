//! A clock that is set back: whatever is waited for is waited for no longer than was meant.
//!
//! Times of entries and of requests are the clock's, right or wrong. Times until which something here
//! waits are moved with it, or all that waits would go on waiting until the clock is there again.

use super::Commit;

/// Steps back that are smaller are waited out, in milliseconds.
const STEP_MS_MIN: u64 = 500;

impl<R> Commit<R> {
    /// What the clock shows, in milliseconds since 1970. To be called before
    /// [`Commit::next_wake_ms`] is compared with it.
    pub fn see_clock(&mut self, now_ms: u64) {
        let by_ms = std::mem::replace(&mut self.clock_ms, now_ms).saturating_sub(now_ms);
        if by_ms < STEP_MS_MIN {
            return;
        }
        self.peers.set_back(by_ms);
        self.forwarding.set_back(by_ms);
        self.coordination.set_back(by_ms);
        self.preparing.set_back(by_ms);
        self.held.set_back(by_ms);
        self.levels.set_back(by_ms);
        self.takeovers.set_back(by_ms);
        self.tombstones.set_back(by_ms);
        self.leases.set_back(by_ms);
        self.copies.set_back(by_ms);
        self.proof.set_back(by_ms);
        for (_, due_ms) in &mut self.unpublished {
            back(due_ms, by_ms);
        }
        for waiting in self.open.answers.iter_mut() {
            waiting.asker.set_back(by_ms);
        }
        let in_flight = self.in_flight.iter_mut().flat_map(|in_flight| &mut in_flight.answers);
        in_flight.for_each(|waiting| waiting.asker.set_back(by_ms));
    }
}

/// Moves a time.
pub(super) fn back(time_ms: &mut u64, by_ms: u64) {
    *time_ms = time_ms.saturating_sub(by_ms);
}
