//! What may happen to a log that is lost: endorsements, the takeover, and who still copies it.

use crate::bug::Bug;
use crate::check::Protocol;
use crate::entry::{Entry, SITES, Site};
use crate::scenario::Failover;
use crate::view::View;
use crate::world::{Action, World};

/// Sites that must agree to a takeover.
const MAJORITY: usize = SITES / 2 + 1;

impl Protocol {
    /// Whether a site may receive the next entry of a log.
    pub(crate) fn may_copy(&self, world: &World, view: &View, to: Site, log: Site) -> bool {
        let next = world.held[to][log];
        let closed = view.closed[log];
        if to == log || closed.is_some_and(|closed| next >= closed.end) {
            return false;
        }
        let own = endorsed(world, to, log);
        let is_frozen = closed.is_none() && own.is_some() && self.bug != Bug::EndorserCopiesOn;
        if is_frozen && own != Some(to) {
            return false;
        }
        let sent = |from: Site| match (from == log, self.bug) {
            (true, Bug::SentBeforeDurable) => world.logs[log].len() as u8,
            (true, _) => world.durable[log],
            (false, _) => world.held[from][log],
        };
        // A site that has vouched for a loss takes nothing from the lost one itself.
        let may_send = |from: &Site| *from != to && !(is_frozen && *from == log);
        (0..SITES)
            .filter(may_send)
            .filter(|from| !world.is_stopped[*from])
            .any(|from| sent(from) > next && world.logs[log].len() as u8 > next)
    }

    /// What may happen about the loss of a site.
    pub(crate) fn possible_takeovers(
        &self,
        world: &World,
        views: &[View; SITES],
        take: &mut dyn FnMut(Action),
    ) {
        let Some(failover) = self.scenario.failover else { return };
        if failover.is_attested && !world.is_stopped[failover.lost] {
            return take(Action::Stop);
        }
        self.steps_of(world, views, failover, take);
    }

    /// What must happen about it: once somebody has vouched for the loss, or it is certain.
    pub(crate) fn due_takeovers(
        &self,
        world: &World,
        views: &[View; SITES],
        take: &mut dyn FnMut(Action),
    ) {
        let Some(failover) = self.scenario.failover else { return };
        let is_begun = (0..SITES).any(|site| endorsed(world, site, failover.lost).is_some());
        if is_begun || world.is_stopped[failover.lost] {
            self.steps_of(world, views, failover, take);
        }
    }

    fn steps_of(
        &self,
        world: &World,
        views: &[View; SITES],
        failover: Failover,
        take: &mut dyn FnMut(Action),
    ) {
        let Failover { lost, successors, is_attested } = failover;
        for (site, view) in views.iter().enumerate() {
            let is_open = view.closed[lost].is_none();
            if site == lost || !is_open || !Protocol::may_append(world, site, view) {
                continue;
            }
            for successor in successors.iter().copied() {
                let is_free = match self.bug {
                    Bug::TwoEndorsements => !has_endorsed(world, site, lost, successor),
                    _ => endorsed(world, site, lost).is_none(),
                };
                if is_free && (!is_attested || site == successor) {
                    take(Action::Endorse(site, successor));
                }
            }
            let (sites, longest) = endorsements(world, site, lost);
            let enough = if is_attested { 1 } else { MAJORITY };
            let is_complete = world.held[site][lost] >= longest
                || matches!(self.bug, Bug::ShortPrefix | Bug::EarlyCharge);
            let is_willing = has_endorsed(world, site, lost, site);
            if is_willing && sites >= enough && is_complete {
                take(Action::TakeOver(site));
            }
        }
    }

    /// The entry that a site writes about a loss.
    pub(crate) fn takeover_entry(&self, world: &World, action: Action) -> Option<(Site, Entry)> {
        let lost = self.scenario.failover?.lost;
        match action {
            Action::Endorse(site, successor) => {
                let held = world.held[site][lost];
                Some((site, Entry::Endorsement { lost, successor, held }))
            }
            Action::TakeOver(site) => {
                let (_, longest) = endorsements(world, site, lost);
                let held = world.held[site][lost];
                let end = if self.bug == Bug::EarlyCharge { longest.max(held) } else { held };
                Some((site, Entry::Takeover { lost, end }))
            }
            _ => None,
        }
    }
}

/// The successor that a site endorsed first.
fn endorsed(world: &World, site: Site, lost: Site) -> Option<Site> {
    world.logs[site].iter().find_map(|entry| match *entry {
        Entry::Endorsement { lost: of, successor, .. } if of == lost => Some(successor),
        _ => None,
    })
}

fn has_endorsed(world: &World, site: Site, lost: Site, whom: Site) -> bool {
    world.logs[site].iter().any(|entry| match *entry {
        Entry::Endorsement { lost: of, successor, .. } => of == lost && successor == whom,
        _ => false,
    })
}

/// How many sites endorsed this one, as far as it knows, and how much of the lost log the one with
/// most holds.
fn endorsements(world: &World, site: Site, lost: Site) -> (usize, u8) {
    let (mut sites, mut longest) = (0, 0);
    for (log, entries) in world.logs.iter().enumerate() {
        let known = entries.iter().take(world.held[site][log].into());
        let of_this = known.filter_map(|entry| match *entry {
            Entry::Endorsement { lost: of, successor, held } if of == lost && successor == site => {
                Some(held)
            }
            _ => None,
        });
        if let Some(held) = of_this.max() {
            sites += 1;
            longest = longest.max(held);
        }
    }
    (sites, longest)
}
