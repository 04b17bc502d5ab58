//! The judge, on logs that are made by hand.

use super::*;
use crate::people::Act;
use crate::world::Fate;

const PHONE: Who = Who::Phone(1);
const MANAGER: Who = Who::Manager;
const NAME: u16 = 1;
const PRICES: Prices = Prices { intervention_us: 10_000_000, preparing_us: 100_000 };

/// One change: who, what, the version that was seen and the one that it made, when, and how.
struct Row {
    who: Who,
    wish: Wish,
    seen: u64,
    version: u64,
    window: Window,
    path: Path,
}

fn row(who: Who, value: u32, seen: u64, version: u64, window: Window) -> Row {
    Row { who, wish: Wish::Address(value), seen, version, window, path: Path::Fast }
}

fn records(wish: Wish) -> Records {
    let value = match wish {
        Wish::Address(value) | Wish::Network(value) | Wish::Note(value) => value.to_string(),
        Wish::NoAddress => return Records::new(),
    };
    Records::from([(type_of(wish).to_owned(), Values::from([value]))])
}

/// Every row is an act that was done 5 ms after its commit, and shown everywhere 7 ms after that.
fn judged(rows: &[Row]) -> Verdict {
    let act = |row: &Row| {
        let at_ms = row.window.0 as u64;
        Act { at_ms, site: 1, who: row.who, wanted: vec![(NAME, row.wish)] }
    };
    let answered_ms = |row: &Row| row.window.1 as u64 + 5;
    let fate = |row: &Row| {
        let seen = vec![row.seen];
        Fate { answered_ms: answered_ms(row), is_done: true, again: 0, seen }
    };
    let made = |(act, row): (usize, &Row)| {
        let (after, changed) = (records(row.wish), vec![(type_of(row.wish).to_owned(), false)]);
        let names = vec![MadeName { name: NAME, version: row.version, after, changed }];
        Made { act, window: row.window, path: row.path, names }
    };
    let mut made: Vec<_> = rows.iter().enumerate().map(made).collect();
    made.sort_by_key(|made| made.window.1);
    let mut shown: Shown = rows.iter().map(|row| (answered_ms(row) + 7, row.version)).collect();
    shown.sort_unstable();
    let script = Script { acts: rows.iter().map(act).collect(), without_grant: 0 };
    let fates = rows.iter().map(fate).collect();
    let shown = vec![HashMap::from([(NAME, shown)]); 2];
    judge_changes(&script, &Told { fates, logs: Vec::new(), shown, frames: 3 }, &made)
}

#[test]
fn who_saw_what_was_there_conflicts_with_nobody() {
    let verdict = judged(&[row(PHONE, 1, 0, 1, (100, 110)), row(MANAGER, 2, 1, 2, (200, 220))]);
    assert_eq!((verdict.done, verdict.changes, verdict.lost, verdict.frames), (2, 2, 0, 3));
    assert_eq!((verdict.textual, verdict.interventions, verdict.met.len()), (0, 0, 0));
    assert_eq!(verdict.latencies_ms, [15, 25]);
    assert_eq!(verdict.synchronised_ms, [7, 7]);
    assert_eq!(verdict.mean_cost_us(PRICES), 20_000.0);
}

#[test]
fn who_overwrites_what_was_not_seen_leaves_it_to_a_person() {
    let first = row(PHONE, 1, 0, 1, (100, 110));
    let verdict = judged(&[first, row(MANAGER, 2, 0, 2, (105, 120))]);
    assert_eq!((verdict.textual, verdict.interventions), (1, 1));
    assert_eq!(verdict.conflicting, BTreeSet::from([1]), "the later one");
    assert_eq!(verdict.met, BTreeSet::from([0, 1]), "each met the other");
    assert_eq!(verdict.mean_cost_us(PRICES), (15_000.0 + 20_000.0 + 10_000_000.0) / 2.0);
    assert_eq!(verdict.interventions_per_thousand(), 500.0);
}

#[test]
fn the_same_identity_and_the_same_value_conflict_with_nobody() {
    let own = judged(&[row(PHONE, 1, 0, 1, (100, 110)), row(PHONE, 2, 0, 2, (105, 120))]);
    assert_eq!((own.textual, own.interventions, own.met.len()), (0, 0, 0));
    let same = judged(&[row(PHONE, 1, 0, 1, (100, 110)), row(MANAGER, 1, 0, 2, (105, 120))]);
    assert_eq!(same.interventions, 0, "both wanted that");
    assert_eq!(same.met.len(), 2, "which does not mean that they did not meet");
}

#[test]
fn other_types_of_a_name_collide_in_its_text_alone() {
    let note = Row { wish: Wish::Note(7), ..row(MANAGER, 0, 0, 2, (105, 120)) };
    let verdict = judged(&[row(PHONE, 1, 0, 1, (100, 110)), note]);
    assert_eq!((verdict.textual, verdict.interventions), (1, 0));
}

#[test]
fn what_was_prepared_is_no_conflict_but_costs() {
    let prepared = Row { path: Path::MultiPhase, ..row(MANAGER, 2, 0, 2, (105, 120)) };
    let moved = Row { path: Path::Move, ..row(PHONE, 3, 1, 3, (115, 130)) };
    let verdict = judged(&[row(PHONE, 1, 0, 1, (100, 110)), prepared, moved]);
    assert_eq!((verdict.textual, verdict.interventions), (0, 0));
    assert_eq!((verdict.prepared, verdict.moved), (1, 1));
    let (prepared, moved) = verdict.prepared_and_moved_percent();
    assert!((prepared - 100.0 / 3.0).abs() < 1e-9 && prepared == moved);
    assert_eq!(verdict.mean_cost_us(PRICES), (15_000.0 + 20_000.0 + 20_000.0 + 200_000.0) / 3.0);
}

#[test]
fn what_was_answered_and_is_in_no_log_is_lost() {
    let script = Script {
        acts: vec![Act { at_ms: 1, site: 1, who: PHONE, wanted: vec![(NAME, Wish::Address(1))] }],
        without_grant: 0,
    };
    let fate = Fate { answered_ms: 9, is_done: true, again: 0, seen: vec![0] };
    let told = Told { fates: vec![fate], logs: Vec::new(), shown: Vec::new(), frames: 0 };
    assert_eq!(judge(&script, &told).lost, 1);
}
