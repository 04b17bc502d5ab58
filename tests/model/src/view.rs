//! What a site makes of the entries that it holds: its fold. A function of how much it holds of
//! each log, whatever the order in which that came.

use crate::bug::Bug;
use crate::entry::{Entry, Image, NAMES, Name, Rank, SITES, Site, TRANSACTIONS, Transaction};
use crate::world::World;

/// The end of a log that was taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Closed {
    /// Entries that count.
    pub(crate) end: u8,
    /// Who went on.
    pub(crate) successor: Site,
}

/// What is known of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record {
    /// The rank of its newest image.
    pub(crate) rank: Rank,
    /// Its home as that image has it.
    pub(crate) home: Site,
}

/// What is known of one participant in one transaction.
#[derive(Debug, Clone, Copy, Default)]
struct Part {
    image: Option<Image>,
    intents: u8,
    finishes: u8,
    finishes_of_intents: u8,
}

/// What a site knows.
#[derive(Debug, Clone)]
pub(crate) struct View {
    /// The names.
    pub(crate) records: [Record; NAMES],
    /// Logs that were taken over.
    pub(crate) closed: [Option<Closed>; SITES],
    /// Decisions on each transaction: how many, and whether the last was for it.
    pub(crate) decisions: [(u8, bool); TRANSACTIONS],
    /// Decisions that the site has forgotten.
    forgotten: [u8; TRANSACTIONS],
    parts: [[Part; SITES]; TRANSACTIONS],
    bug: Bug,
}

impl View {
    /// What a site knows.
    pub(crate) fn of(world: &World, site: Site, bug: Bug) -> View {
        View::from_prefixes(world, world.held[site], world.forgotten[site], bug)
    }

    fn from_prefixes(
        world: &World,
        held: [u8; SITES],
        forgotten: [u8; TRANSACTIONS],
        bug: Bug,
    ) -> View {
        let first = Rank { epoch: 1, version: 1 };
        let mut view = View {
            records: std::array::from_fn(|name| Record { rank: first, home: name }),
            closed: closed(world, held),
            decisions: [(0, false); TRANSACTIONS],
            forgotten,
            parts: [[Part::default(); SITES]; TRANSACTIONS],
            bug,
        };
        for (log, entries) in world.logs.iter().enumerate() {
            let end = view.closed[log].map_or(held[log], |closed| closed.end.min(held[log]));
            for entry in entries.iter().take(end.into()) {
                view.fold(log, entry);
            }
        }
        view
    }

    fn fold(&mut self, log: Site, entry: &Entry) {
        match *entry {
            Entry::Change(image) => self.apply(image),
            Entry::Intent(transaction, image) => {
                let part = &mut self.parts[transaction][log];
                part.image = Some(image);
                part.intents += 1;
            }
            Entry::Decision { transaction, is_commit, images } => {
                let (count, _) = self.decisions[transaction];
                self.decisions[transaction] = (count + 1, is_commit);
                images.into_iter().flatten().for_each(|image| self.apply(image));
            }
            Entry::Finish { transaction, participant, had_intent } => {
                let part = &mut self.parts[transaction][participant];
                part.finishes += 1;
                part.finishes_of_intents += u8::from(had_intent);
            }
            Entry::Endorsement { .. } | Entry::Takeover { .. } => {}
        }
    }

    fn apply(&mut self, image: Image) {
        let record = &mut self.records[image.name];
        if image.rank > record.rank {
            *record = Record { rank: image.rank, home: image.home };
        }
    }

    /// The log that does now what `log` did.
    pub(crate) fn in_charge(&self, log: Site) -> Site {
        self.closed[log].map_or(log, |closed| closed.successor)
    }

    /// The log that orders the changes of a name.
    pub(crate) fn home(&self, name: Name) -> Site {
        self.in_charge(self.records[name].home)
    }

    /// The image that a participant would make, if its intent is open: not finished, or finished
    /// with the decision still to come.
    pub(crate) fn intent(&self, transaction: Transaction, participant: Site) -> Option<Image> {
        let part = &self.parts[transaction][participant];
        let is_undecided = self.decisions[transaction].0 == 0
            && !matches!(self.bug, Bug::FreedAtFinish | Bug::UnilateralAbort);
        let is_open = part.intents > part.finishes_of_intents || is_undecided;
        part.image.filter(|_| is_open)
    }

    /// Whether any intent is open.
    pub(crate) fn has_intents(&self) -> bool {
        (0..TRANSACTIONS).any(|one| self.intents_of(one).next().is_some())
    }

    /// The participants of a transaction with open intents.
    pub(crate) fn intents_of(&self, transaction: Transaction) -> impl Iterator<Item = Site> {
        (0..SITES).filter(move |site| self.intent(transaction, *site).is_some())
    }

    /// Whether an open intent in one of these logs names this name.
    pub(crate) fn is_blocked(&self, name: Name, mut logs: impl Iterator<Item = Site>) -> bool {
        logs.any(|log| {
            let images = (0..TRANSACTIONS).filter_map(|one| self.intent(one, log));
            images.into_iter().any(|image| image.name == name)
        })
    }

    /// How a transaction was decided, if that is known and not forgotten.
    pub(crate) fn decided(&self, transaction: Transaction) -> Option<bool> {
        let (count, is_commit) = self.decisions[transaction];
        (count > self.forgotten[transaction]).then_some(is_commit)
    }

    /// Whether a participant has finished a transaction that is not forgotten.
    pub(crate) fn has_finished(&self, transaction: Transaction, participant: Site) -> bool {
        self.parts[transaction][participant].finishes > self.forgotten[transaction]
    }
}

/// The logs that were taken over, as a site would know that held everything.
pub(crate) fn all_closed(world: &World) -> [Option<Closed>; SITES] {
    closed(world, [u8::MAX; SITES])
}

/// The logs that were taken over, as the entries held say.
fn closed(world: &World, held: [u8; SITES]) -> [Option<Closed>; SITES] {
    let mut all = [None; SITES];
    for (successor, entries) in world.logs.iter().enumerate() {
        for entry in entries.iter().take(held[successor].into()) {
            if let Entry::Takeover { lost, end } = *entry
                && all[lost].is_none()
            {
                all[lost] = Some(Closed { end, successor });
            }
        }
    }
    all
}
