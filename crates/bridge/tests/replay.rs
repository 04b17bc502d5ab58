//! The real tables one after the other through plan and apply.

mod tables;

use einhorn_bridge::codec::{Format, Options, decoder};
use einhorn_bridge::item::{Item, Quirk, Sink};
use einhorn_bridge::merge::{
    Conflict, Input, InputKind, Policy, SourceState, State, What, apply, plan,
    truncation_collisions,
};
use einhorn_bridge::record::{Field, Fields, Key, Record};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use tables::{TABLES, folder};

#[derive(Default)]
struct Found {
    records: Vec<Record>,
    quarantined: Vec<Option<Key>>,
}

impl Sink for Found {
    fn item(&mut self, item: Item) {
        match item {
            Item::Record(record) => self.records.push(*record),
            Item::Quarantined(_) => self.quarantined.push(None),
            Item::Between(_) => {}
        }
    }

    fn quirk(&mut self, _: Quirk) {}
}

fn input(name: &str, generation: u64) -> Option<Input> {
    let folder = folder();
    let octets = std::fs::read(folder.join(name)).ok()?;
    let mut found = Found::default();
    let options = Options { source: "nic".to_owned(), ..Options::default() };
    let mut decoder = decoder(Format::HostsTxt, &options).expect("needs no options");
    decoder.push(&octets, &mut found).expect("never refuses");
    decoder.finish(&mut found).expect("never refuses");
    let (theirs, duplicates) = State::of_records(found.records);
    Some(Input {
        source: "nic".to_owned(),
        generation,
        file_sha256: Sha256::digest(&octets).into(),
        kind: InputKind::Full,
        theirs,
        duplicates,
        quarantined: found.quarantined,
    })
}

/// What the format holds: the status that the table of 1983 has is in no later one, and stays.
fn held(fields: &Fields) -> Fields {
    Fields { status: Field::Unset, ..fields.clone() }
}

fn content(state: &State) -> BTreeMap<&Key, Fields> {
    state.entries().iter().map(|entry| (&entry.key, held(&entry.fields))).collect()
}

/// Fails with the records that only one of the states has, or has otherwise.
fn assert_same(name: &str, ours: &State, theirs: &State) {
    let (ours, theirs) = (content(ours), content(theirs));
    let only = |one: &BTreeMap<_, _>, other: &BTreeMap<_, _>| -> Vec<String> {
        let only = one.iter().filter(|(key, fields)| other.get(*key) != Some(*fields));
        only.map(|record| format!("{record:?}\n")).collect()
    };
    let (left, right) = (only(&ours, &theirs), only(&theirs, &ours));
    assert!(
        left.is_empty() && right.is_empty(),
        "{name}: {} records of the cluster differ:\n{}{} of the table:\n{}",
        left.len(),
        left.concat(),
        right.len(),
        right.concat(),
    );
}

#[test]
fn seven_years_of_tables_end_with_the_last_one() {
    let policy = Policy { missing_generations: 1, ..Policy::new(Format::HostsTxt) };
    let (mut state, mut ours) = (SourceState::default(), State::default());
    for (generation, name) in (1..).zip(TABLES) {
        let Some(input) = input(name, generation) else {
            eprintln!("SKIPPED: {name} is not there");
            return;
        };
        let plan = plan(&state, &ours, &input, &policy).expect("a new generation");
        let count = |is: &dyn Fn(&What) -> bool| {
            plan.merge.outcomes.iter().filter(|outcome| is(&outcome.what)).count()
        };
        let renamed = count(&|what| matches!(what, What::Renamed(_)));
        let conflicts = count(&|what| matches!(what, What::Conflict(_)));
        eprintln!(
            "{name}: {} records, added {}, updated {}, renamed {renamed}, deleted {}, conflicts \
             {conflicts}, unchanged {}, held {:?}",
            input.theirs.len(),
            count(&|what| *what == What::Added),
            count(&|what| *what == What::Updated),
            count(&|what| *what == What::Deleted),
            plan.merge.unchanged,
            plan.holds,
        );
        if name.contains("19840327") {
            // The month in which every host got a name that ends in ARPA.
            assert!(renamed > 650, "{renamed} renames were recognised");
            assert!(!plan.holds.is_empty(), "so many changes wait for an operator");
        }
        let with_theirs =
            plan.merge.outcomes.iter().filter(|outcome| outcome.theirs.is_some()).count();
        assert_eq!(
            with_theirs + plan.merge.unchanged,
            input.theirs.len(),
            "{name}: a record is lost"
        );
        let applied = apply(&plan, &state, &ours, Some(plan.hash)).expect("confirmed");
        // An operator takes the table's side in every conflict, which the review queue has.
        let settled: Vec<_> = plan
            .merge
            .outcomes
            .iter()
            .filter(|outcome| matches!(outcome.what, What::Conflict(_)))
            .collect();
        let frozen: Vec<_> = settled.iter().map(|outcome| &outcome.key).collect();
        let keep = |entry: &&einhorn_bridge::merge::Shared| !frozen.contains(&&entry.key);
        let taken = settled.iter().filter_map(|outcome| outcome.theirs.clone());
        let (next, twice) =
            State::new(applied.ours.entries().iter().filter(keep).cloned().chain(taken.clone()));
        assert_eq!(twice, [], "{name}");
        let (base, _) =
            State::new(applied.state.base.entries().iter().filter(keep).cloned().chain(taken));
        // While an entry cannot be read, nothing is deleted.
        if input.quarantined.is_empty() {
            assert_same(name, &next, &input.theirs);
        } else {
            let is_there = |entry: &&einhorn_bridge::merge::Shared| {
                next.get(&entry.key).is_some_and(|ours| held(&ours.fields) == held(&entry.fields))
            };
            assert_eq!(input.theirs.entries().iter().filter(is_there).count(), input.theirs.len());
        }
        (ours, state) = (next, SourceState { base, ..applied.state });
    }
}

#[test]
fn names_of_the_last_table_differ_in_24_characters_and_not_in_8() {
    let Some(input) = input(TABLES[5], 1) else {
        eprintln!("SKIPPED: {} is not there", TABLES[5]);
        return;
    };
    let entries = || input.theirs.entries().iter();
    let (short, long) = (truncation_collisions(entries(), 8), truncation_collisions(entries(), 24));
    assert!(short > 500, "{short} names have no room in 8 characters");
    assert_eq!(long, 0, "names have no room in 24 characters");
    let policy = Policy { name_octets_max: Some(8), ..Policy::new(Format::HostsTxt) };
    let made = plan(&SourceState::default(), &State::default(), &input, &policy).expect("a plan");
    let found = made.merge.outcomes.iter().filter(|outcome| {
        matches!(&outcome.what, What::Conflict(Conflict::Truncation(_) | Conflict::NameTaken(_)))
    });
    assert!(found.count() > short, "every one of them is frozen, and the one it collides with");
}
