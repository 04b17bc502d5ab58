//! The protocol as a model that stateright can try, and what must be true of every state.

use crate::bug::Bug;
use crate::entry::{Entry, Image, NAMES, Name, SITES, Site, TRANSACTIONS};
use crate::scenario::Scenario;
use crate::view::{View, all_closed};
use crate::world::{Action, World};
use stateright::{Model, Property};

/// The protocol, with what may happen and with one fault at most.
#[derive(Debug, Clone, Copy)]
pub struct Protocol {
    /// What may happen.
    pub scenario: Scenario,
    /// What is wrong with it.
    pub bug: Bug,
}

impl Model for Protocol {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![self.start()]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        let views = self.views(world);
        let mut take = |action| {
            if !actions.contains(&action) {
                actions.push(action);
            }
        };
        self.due(world, &views, &mut take);
        self.possible(world, &views, &mut take);
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        Some(self.apply(world, action))
    }

    fn properties(&self) -> Vec<Property<Protocol>> {
        vec![
            Property::always(NO_LOST_UPDATE, |model: &Protocol, world: &World| {
                model.is_excused(world) || (0..NAMES).all(|name| is_chain(&images(world, name)))
            }),
            Property::always(NO_DIVERGENCE, |_, world: &World| {
                (0..NAMES).all(|name| images(world, name).is_sorted_by(|a, b| a.rank < b.rank))
            }),
            Property::always(WHOLE, |model: &Protocol, world: &World| {
                model.is_excused(world) || decisions(world).all(is_whole)
            }),
            Property::always(ONE_OUTCOME, |_, world: &World| {
                let of = |one| decisions(world).filter(|decision| decision.0 == one).count();
                (0..TRANSACTIONS).all(|one| of(one) <= 1)
            }),
            Property::always(ONE_OWNER, Protocol::has_one_owner),
            Property::always(ONE_SUCCESSOR, |_, world: &World| takeovers(world).count() <= 1),
            Property::always(NO_TAIL, |model: &Protocol, world: &World| {
                model.is_attested() || !world.is_tail_seen
            }),
            Property::always(SETTLES, Protocol::settles),
            Property::sometimes(CAN_COMMIT, |_, world: &World| {
                decisions(world).any(|(_, yes, _)| yes)
            }),
            Property::sometimes(CAN_ABORT, |_, world: &World| {
                decisions(world).any(|(_, yes, _)| !yes)
            }),
        ]
    }
}

/// Every image of a name was made from the one before it.
const NO_LOST_UPDATE: &str = "no update is lost";
/// No two images of a name have the same rank: all sites choose the same.
const NO_DIVERGENCE: &str = "sites do not diverge";
/// A decision to commit has the images of all names, one against has none.
const WHOLE: &str = "a transaction is made as a whole";
/// There is one decision on a transaction at most.
const ONE_OUTCOME: &str = "a transaction has one outcome";
/// In each epoch a name has one home, and no two sites that count believe to be it.
const ONE_OWNER: &str = "a name has one owner";
/// A log is taken over once at most.
const ONE_SUCCESSOR: &str = "a lost log has one successor";
/// No other site holds entries of a log that turn out not to count.
const NO_TAIL: &str = "what others hold counts";
/// Once nothing fails any more, no intent stays open.
const SETTLES: &str = "no name stays blocked";
/// The model does what it is for.
const CAN_COMMIT: &str = "a transaction can be committed";
/// The model does what it is for.
const CAN_ABORT: &str = "a transaction can be given up";

impl Protocol {
    fn views(&self, world: &World) -> [View; SITES] {
        std::array::from_fn(|site| View::of(world, site, self.bug))
    }

    fn is_attested(&self) -> bool {
        self.scenario.failover.is_some_and(|failover| failover.is_attested)
    }

    /// An operator had a log taken over without asking a site that held more of it.
    fn is_excused(&self, world: &World) -> bool {
        let is_beyond = |(lost, end): (Site, u8)| {
            (0..SITES).any(|site| site != lost && world.held[site][lost] > end)
        };
        self.is_attested() && (world.is_tail_seen || takeovers(world).any(is_beyond))
    }

    fn has_one_owner(&self, world: &World) -> bool {
        let (closed, views) = (all_closed(world), self.views(world));
        let counts = |site: &Site| closed[*site].is_none();
        let owners = |name: Name| {
            (0..SITES).filter(counts).filter(|site| views[*site].home(name) == *site).count()
        };
        (0..NAMES).all(|name| {
            let images = images(world, name);
            let has_one_home = |pair: &[Image]| {
                pair[0].rank.epoch != pair[1].rank.epoch || pair[0].home == pair[1].home
            };
            self.is_excused(world) || (owners(name) <= 1 && images.windows(2).all(has_one_home))
        })
    }

    /// Whether something is still to be done in any case, or no intent is open anywhere. There is
    /// no endless way of doing things, so that at the end of each way no intent is open.
    fn settles(&self, world: &World) -> bool {
        // Rivals for a lost log may wait for each other: withdrawals are not modelled.
        if self.scenario.failover.is_some_and(|failover| failover.successors.len() > 1) {
            return true;
        }
        let views = self.views(world);
        let follows = |site: &Site| self.scenario.follows[*site] && !world.is_stopped[*site];
        if !(0..SITES).filter(follows).any(|site| views[site].has_intents()) {
            return true;
        }
        let mut is_busy = false;
        self.due(world, &views, &mut |_| is_busy = true);
        is_busy
    }
}

/// The takeovers: lost log, and how many of its entries count.
fn takeovers(world: &World) -> impl Iterator<Item = (Site, u8)> {
    world.logs.iter().flatten().filter_map(|entry| match *entry {
        Entry::Takeover { lost, end } => Some((lost, end)),
        _ => None,
    })
}

/// The entries that count, as a site would see that held everything.
fn effective(world: &World) -> impl Iterator<Item = Entry> {
    let closed = all_closed(world);
    world.logs.iter().enumerate().flat_map(move |(log, entries)| {
        let end = closed[log].map_or(entries.len(), |closed| closed.end.into());
        entries.iter().take(end).copied()
    })
}

/// The decisions that count.
fn decisions(world: &World) -> impl Iterator<Item = (usize, bool, [Option<Image>; NAMES])> {
    effective(world).filter_map(|entry| match entry {
        Entry::Decision { transaction, is_commit, images } => {
            Some((transaction, is_commit, images))
        }
        _ => None,
    })
}

/// All images of a name that count, in order.
fn images(world: &World, name: Name) -> Vec<Image> {
    let mut images: Vec<Image> = effective(world)
        .flat_map(|entry| match entry {
            Entry::Change(image) => [Some(image), None],
            Entry::Decision { images, .. } => images,
            _ => [None; NAMES],
        })
        .flatten()
        .filter(|image| image.name == name)
        .collect();
    images.sort_unstable_by_key(|image| image.rank);
    images
}

fn is_chain(images: &[Image]) -> bool {
    images.windows(2).all(|pair| pair[1].base == pair[0].rank)
        && images.first().is_none_or(|first| first.base.version == 1)
}

fn is_whole((_, is_commit, images): (usize, bool, [Option<Image>; NAMES])) -> bool {
    images.iter().all(|image| image.is_some() == is_commit)
}
