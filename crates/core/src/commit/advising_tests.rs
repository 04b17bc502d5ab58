//! What an agent says and remembers, when nobody asks it, and what a site does that knows a zone's settings
//! better than the one that divided a change.

use crate::agent::{Advisor, Look, Path};
use crate::commit::coordinate::Part;
use crate::commit::prepare::Prepare;
use crate::commit::tests::{Site, load, name, request, set_a};
use crate::commit::*;
use crate::model::request::{Action, Identity};
use crate::model::{Transaction, TransactionId};
use einhorn_agent::decision::{Homes, Knobs, Predictor};
use einhorn_agent::evaluator::PROBABILITY_ONE;
use einhorn_agent::features::Features;

struct Says(u32);

impl Predictor for Says {
    fn hazard(&self, _: &Features) -> Option<u32> {
        Some(self.0)
    }
}

fn advisor(probability: u32) -> Advisor {
    let knobs = Knobs { exploration: 0, ..Knobs::default() };
    Advisor::new(Box::new(Says(probability)), knobs)
}

fn look(advisor: &mut Advisor, id: u8, now_ms: u64, homes: Homes) -> Path {
    let Request { id, who, action, .. } = set_a(id, "b.example.", id);
    let Action::Update { operations, .. } = action else { panic!("an update") };
    let advised = advisor.look(&Look {
        now_ms,
        id,
        writer: who.tag(),
        site: 1,
        operations: &operations,
        homes,
        is_held: false,
        names: &[],
    });
    // Half of what a forwarded change usually takes: so old may be what is shown of another home's.
    let may_be_old_ms = if homes == Homes::Here { 0 } else { 20 };
    assert_eq!(advised.began_ms, now_ms - may_be_old_ms);
    assert_eq!(advised.advice().path as u8, advised.record.path);
    advised.advice().path
}

#[test]
fn a_certain_hazard_makes_a_change_careful_and_what_is_under_way_is_forgotten() {
    let mut sure = advisor(PROBABILITY_ONE);
    assert_eq!(look(&mut sure, 1, 1_000, Homes::Elsewhere), Path::MultiPhase);
    assert_eq!(look(&mut advisor(0), 1, 1_000, Homes::Elsewhere), Path::Forward);
    // What is made at home is made on what is there.
    assert_eq!(look(&mut sure, 2, 2_000, Homes::Here), Path::Fast);
    assert_eq!(sure.report().pending, 2);
    sure.tick(11_500);
    assert_eq!(sure.report().pending, 1);
    assert_eq!((sure.report().paths, sure.report().speakers), ([1, 0, 1, 0, 0], [2, 0, 0, 0]));
}

#[test]
fn a_site_that_is_alone_asks_nobody() {
    let mut site = Site::new();
    site.run(&[load()]);
    site.run(&[Request { who: Identity::Key(name("k.")), ..set_a(1, "b.example.", 7) }]);
    assert!(
        site.entries().iter().all(|(_, entry)| {
            entry.body.changes().iter().all(|change| change.decision.is_none())
        })
    );
}

/// What is derived from a change rests on the settings of its zone: who knows other ones than the site
/// that divided it must not log its part.
#[test]
fn a_part_that_was_made_with_other_settings_is_refused() {
    let state = State::empty(Origin { site: 1, generation: 1 });
    let mut commit: Commit<u8> = Commit::new(state, Box::new(crate::agent::Rules));
    let origin = Origin { site: 1, generation: 1 };
    commit.begin_log(1, origin, "log".to_owned(), None);
    let mut out = Vec::new();
    commit.request(1, load(), 0, &mut out);
    commit.request(1, request(9, Action::Configure(Default::default())), 1, &mut out);
    let version = commit.state().zones.get(&name("example.")).expect("a zone").settings_version;
    for (settings, is_taken) in [(version + 1, false), (version - 1, false), (version, true)] {
        let requests = vec![set_a(3, "b.example.", 7)];
        let seen = Part::seen_of(commit.state(), &requests);
        let part = Part { seen, is_exact: true, settings: vec![settings], requests };
        let (id, participants) = (TransactionId([settings as u8; 16]), vec![origin]);
        let transaction = Transaction { id, coordinator: origin, participants, deadline_ms: 9_000 };
        let prepare = Prepare { from: 1, transaction, part, until_ms: 2 };
        commit.prepare(2, prepare, &mut out);
        let intents = commit.state().transactions.intents().count();
        assert_eq!(intents, usize::from(is_taken), "settings {settings}, known are {version}");
    }
}
