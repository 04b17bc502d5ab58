//! What may happen next, and what it leads to: prepares, decisions, updates, copies, crashes.

use crate::bug::Bug;
use crate::check::Protocol;
use crate::entry::{Entry, Image, NAMES, Name, Rank, SITES, Site, TRANSACTIONS, Transaction};
use crate::view::View;
use crate::world::{Action, World, anchor};

impl Protocol {
    /// The state before anything has happened.
    pub(crate) fn start(&self) -> World {
        let scenario = &self.scenario;
        let homes = std::array::from_fn(|name| name);
        let is_asked = |gateway: Option<Site>| gateway.filter(|_| !scenario.is_asked_late);
        World {
            logs: Default::default(),
            durable: [0; SITES],
            held: [[0; SITES]; SITES],
            asked: scenario.gateways.map(|gateway| is_asked(gateway).map(|_| homes)),
            forgotten: [[0; TRANSACTIONS]; SITES],
            watermark: [[0; SITES]; SITES],
            is_stopped: [false; SITES],
            is_tail_seen: false,
            updates: scenario.updates,
            has_moved: scenario.moves.is_none(),
            crashes: scenario.crashes,
        }
    }

    /// Whether a site may append, as far as it knows.
    pub(crate) fn may_append(world: &World, site: Site, view: &View) -> bool {
        !world.is_stopped[site] && view.closed[site].is_none()
    }

    /// Tells `take` everything that may happen next and is not a matter of chance or will: what
    /// sites that can reach each other do in any case.
    pub(crate) fn due(&self, world: &World, views: &[View; SITES], take: &mut dyn FnMut(Action)) {
        for (site, view) in views.iter().enumerate() {
            if !world.is_stopped[site] && self.scenario.follows[site] {
                (0..SITES)
                    .filter(|log| self.may_copy(world, view, site, *log))
                    .for_each(|log| take(Action::Copy { to: site, log }));
            }
            if world.durable[site] < world.logs[site].len() as u8 && !world.is_stopped[site] {
                take(Action::Sync(site));
            }
            if Protocol::may_append(world, site, view) {
                self.due_at(world, views, site, take);
            }
        }
        self.due_takeovers(world, views, take);
    }

    fn due_at(
        &self,
        world: &World,
        views: &[View; SITES],
        site: Site,
        take: &mut dyn FnMut(Action),
    ) {
        let view = &views[site];
        for (transaction, participants) in world.asked.iter().enumerate() {
            let Some(participants) = *participants else { continue };
            if view.decided(transaction).is_some() {
                participants
                    .into_iter()
                    .filter(|one| view.in_charge(*one) == site)
                    .filter(|one| !view.has_finished(transaction, *one))
                    .for_each(|one| take(Action::Finish(site, transaction, one)));
            } else if view.in_charge(anchor(participants)) == site {
                let votes =
                    participants.into_iter().filter(|one| view.intent(transaction, *one).is_some());
                let votes = votes.count();
                let is_anchor = site == anchor(participants) || self.bug == Bug::SuccessorCommits;
                let has_all = votes == NAMES || (self.bug == Bug::EarlyCommit && votes > 0);
                if is_anchor && has_all {
                    take(Action::Commit(site, transaction));
                }
                let is_asked = |other: Site| {
                    self.is_orphan(world, &views[other], other, transaction)
                        && views[other].in_charge(anchor(participants)) == site
                };
                if self.may_abort(world, view, site, transaction) && (0..SITES).any(is_asked) {
                    take(Action::Abort(site, transaction));
                }
            }
        }
    }

    /// Whether a site has an intent to look after that may wait for a decision too long.
    fn is_orphan(&self, world: &World, view: &View, site: Site, transaction: Transaction) -> bool {
        !world.is_stopped[site]
            && view.decided(transaction).is_none()
            && view.intents_of(transaction).any(|log| view.in_charge(log) == site)
    }

    /// Whether a transaction may have been over and forgotten, going by its deadline.
    fn may_be_forgotten(&self, world: &World, site: Site, transaction: Transaction) -> bool {
        world.watermark[site][self.gateway(transaction)] > transaction as u8
    }

    fn may_abort(&self, world: &World, view: &View, site: Site, transaction: Transaction) -> bool {
        let is_over = self.may_be_forgotten(world, site, transaction)
            && view.intents_of(transaction).next().is_none();
        view.decided(transaction).is_none() && !is_over
    }

    /// Tells `take` what chance, clients and operators may bring.
    pub(crate) fn possible(
        &self,
        world: &World,
        views: &[View; SITES],
        take: &mut dyn FnMut(Action),
    ) {
        for (transaction, gateway) in self.scenario.gateways.iter().enumerate() {
            let Some(gateway) = *gateway else { continue };
            let view = &views[gateway];
            if world.asked[transaction].is_none() && view.home(0) != view.home(1) {
                take(Action::Ask(transaction));
            }
        }
        for (site, view) in views.iter().enumerate() {
            if !Protocol::may_append(world, site, view) {
                continue;
            }
            (0..TRANSACTIONS).for_each(|one| self.possible_with(world, view, site, one, take));
            (0..NAMES).for_each(|one| self.possible_to(world, view, site, one, take));
            if world.crashes > 0 && world.durable[site] < world.logs[site].len() as u8 {
                take(Action::Crash(site));
            }
        }
        self.possible_takeovers(world, views, take);
    }

    /// What a site may do with a transaction.
    fn possible_with(
        &self,
        world: &World,
        view: &View,
        site: Site,
        transaction: Transaction,
        take: &mut dyn FnMut(Action),
    ) {
        let Some(participants) = world.asked[transaction] else { return };
        let own = participants.iter().position(|one| *one == site);
        let is_finished =
            view.has_finished(transaction, site) && self.bug != Bug::IntentAfterFinish;
        let is_known = view.intent(transaction, site).is_some()
            || view.decided(transaction).is_some()
            || is_finished;
        let is_late = self.may_be_forgotten(world, site, transaction);
        if let Some(name) = own
            && !is_known
            && !is_late
            && view.home(name) == site
            && (self.bug == Bug::IgnoredIntent || !self.is_blocked(view, site, name))
        {
            take(Action::Prepare(site, transaction));
        }
        // The gateway has been refused, or has waited too long.
        let decides = view.in_charge(anchor(participants)) == site
            || (self.bug == Bug::ForeignAbort && view.intent(transaction, site).is_some());
        if decides && self.may_abort(world, view, site, transaction) {
            take(Action::Abort(site, transaction));
        }
        let is_undecided =
            view.intent(transaction, site).is_some() && view.decisions[transaction].0 == 0;
        if self.bug == Bug::UnilateralAbort && is_undecided {
            take(Action::Drop(site, transaction));
        }
        let is_over = view.decided(transaction).is_some()
            && participants.iter().all(|one| view.has_finished(transaction, *one));
        if self.scenario.forgets && is_over {
            take(Action::Forget(site, transaction));
        }
    }

    /// What a site may do with a name.
    fn possible_to(
        &self,
        world: &World,
        view: &View,
        site: Site,
        name: Name,
        take: &mut dyn FnMut(Action),
    ) {
        if view.home(name) != site {
            return;
        }
        let is_blocked = self.is_blocked(view, site, name);
        if world.updates[name] > 0 && (self.bug == Bug::IgnoredIntent || !is_blocked) {
            take(Action::Update(site, name));
        }
        let is_to_move = !world.has_moved
            && self.scenario.moves.is_some_and(|(moved, to)| moved == name && to != site);
        if is_to_move && (self.bug == Bug::MoveUnderIntent || !is_blocked) {
            take(Action::Move(site, name));
        }
    }

    /// Whether a name is part of a transaction under way.
    fn is_blocked(&self, view: &View, site: Site, name: Name) -> bool {
        let is_kept = |log: &Site| self.bug != Bug::AnchorWithoutIntent || *log != site;
        view.is_blocked(name, (0..SITES).filter(is_kept))
    }

    /// What an action leads to.
    pub(crate) fn apply(&self, world: &World, action: Action) -> World {
        let mut next = world.clone();
        match action {
            Action::Ask(transaction) => {
                let view = View::of(world, self.gateway(transaction), self.bug);
                next.asked[transaction] = Some(std::array::from_fn(|name| view.home(name)));
            }
            Action::Copy { to, log } => self.copy(&mut next, to, log),
            Action::Forget(site, transaction) => {
                next.forgotten[site][transaction] += 1;
                if self.bug != Bug::ForgottenWatermark {
                    let watermark = &mut next.watermark[site][self.gateway(transaction)];
                    *watermark = (*watermark).max(transaction as u8 + 1);
                }
            }
            Action::Stop => {
                let lost = self.scenario.failover.map(|failover| failover.lost);
                lost.into_iter().for_each(|lost| next.is_stopped[lost] = true);
            }
            Action::Sync(site) => next.durable[site] = next.logs[site].len() as u8,
            Action::Crash(site) => {
                next.crashes -= 1;
                next.logs[site].truncate(next.durable[site].into());
                next.held[site][site] = next.durable[site];
            }
            Action::Update(_, name) => {
                next.updates[name] -= 1;
                self.append(&mut next, world, action);
            }
            Action::Move(..) => {
                next.has_moved = true;
                self.append(&mut next, world, action);
            }
            _ => self.append(&mut next, world, action),
        }
        next
    }

    fn gateway(&self, transaction: Transaction) -> Site {
        self.scenario.gateways[transaction].unwrap_or(0)
    }

    fn append(&self, next: &mut World, world: &World, action: Action) {
        let Some((site, entry)) = self.entry(world, action) else { return };
        next.logs[site].push(entry);
        let length = next.logs[site].len() as u8;
        next.held[site][site] = length;
        if self.scenario.crashes == 0 {
            next.durable[site] = length;
        }
    }

    /// The entry that a site writes when this happens.
    fn entry(&self, world: &World, action: Action) -> Option<(Site, Entry)> {
        let view = |site: Site| View::of(world, site, self.bug);
        Some(match action {
            Action::Prepare(site, transaction) => {
                let name = world.asked[transaction]?.iter().position(|one| *one == site)?;
                (site, Entry::Intent(transaction, self.image(&view(site), name, site)))
            }
            Action::Update(site, name) => {
                (site, Entry::Change(self.image(&view(site), name, site)))
            }
            Action::Move(site, name) => {
                let (_, to) = self.scenario.moves?;
                (site, Entry::Change(self.image(&view(site), name, to)))
            }
            Action::Commit(site, transaction) => {
                let (view, participants) = (view(site), world.asked[transaction]?);
                let images = participants.map(|one| view.intent(transaction, one));
                (site, Entry::Decision { transaction, is_commit: true, images })
            }
            Action::Abort(site, transaction) => {
                let images = [None; NAMES];
                (site, Entry::Decision { transaction, is_commit: false, images })
            }
            Action::Finish(site, transaction, participant) => {
                let had_intent = view(site).intent(transaction, participant).is_some();
                (site, Entry::Finish { transaction, participant, had_intent })
            }
            Action::Drop(site, transaction) => {
                (site, Entry::Finish { transaction, participant: site, had_intent: true })
            }
            Action::Endorse(..) | Action::TakeOver(_) => self.takeover_entry(world, action)?,
            _ => return None,
        })
    }

    /// A site receives the next entry of a log.
    fn copy(&self, next: &mut World, to: Site, log: Site) {
        next.held[to][log] += 1;
        let view = View::of(next, to, self.bug);
        for (lost, closed) in view.closed.iter().enumerate() {
            let Some(closed) = closed else { continue };
            if lost != to && next.held[to][lost] > closed.end {
                next.held[to][lost] = closed.end;
                next.is_tail_seen = true;
            }
        }
    }
}

/// Epochs that a takeover skips. A name moves less often than that.
const TAKEOVER_EPOCHS: u8 = 16;

impl Protocol {
    /// What a change makes of a name: the next version, in a new epoch if its home is another one.
    /// A takeover skips all epochs that moves may have used which the successor does not know.
    fn image(&self, view: &View, name: Name, home: Site) -> Image {
        let record = view.records[name];
        let Rank { epoch, version } = record.rank;
        let is_inherited = view.closed[record.home].is_some();
        let epoch = match (record.home == home, self.bug) {
            (true, _) => epoch,
            (false, Bug::EpochAsForMove) => epoch + 1,
            (false, _) => epoch + if is_inherited { TAKEOVER_EPOCHS } else { 1 },
        };
        let rank = Rank { epoch, version: version + 1 };
        Image { name, base: record.rank, rank, home }
    }
}
