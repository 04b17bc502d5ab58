//! The agent on real histories: `../shared/data` beside the repository, or the folder that
//! `EINHORN_SHARED_DATA` names. Skipped, with a message, where that is not there.

use einhorn_agent::decision::{Costs, Homes, Knobs, Path, Record, Situation};
use einhorn_agent::evaluate::{EARLIER, earlier_part, evaluate};
use einhorn_agent::merge::{Totals, judge, read_cases};
use einhorn_agent::model::Model;
use einhorn_agent::train::{Options, Samples, train};
use einhorn_agent::{DEFAULT_MODEL, trace};
use std::path::PathBuf;

fn data(file: &str) -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");
    let folder = std::env::var_os("EINHORN_SHARED_DATA").unwrap_or_else(|| beside.into());
    let path = PathBuf::from(folder).join(file);
    if path.exists() {
        return Some(path);
    }
    eprintln!("SKIPPED: {} is not there", path.display());
    None
}

fn history(file: &str) -> Option<(String, Samples)> {
    let file = std::fs::File::open(data(file)?).expect("the history opens");
    let trace = trace::read(file).expect("the history is read");
    Some((trace.source.clone(), Samples::of(&trace)))
}

fn samples(file: &str) -> Option<Samples> {
    history(file).map(|(_, samples)| samples)
}

#[test]
fn real_conflicts_need_five_times_fewer_people() {
    let mut totals = Totals::default();
    for file in ["merges/isadev_h.jsonl", "merges/opendomains.jsonl"] {
        let Some(path) = data(file) else { return };
        let text = std::fs::read_to_string(path).expect("the cases are read");
        for case in read_cases(&text).expect("the cases are well-formed") {
            let verdict = judge(&case);
            assert_eq!(verdict.dropped, [0usize; 0], "{case:#?}");
            totals.add(&verdict);
        }
    }
    assert!(totals.cases >= 5 * totals.cases_needing_person, "{totals:?}");
}

/// The shipped model is what its command makes: see docs/model-card.md.
#[test]
fn the_shipped_model_is_made_again() {
    let Some((source, all)) = history("traces/isadev.csv.gz") else { return };
    let split_s = all.time_of_share(EARLIER).expect("changes");
    let earlier = earlier_part(&all, split_s);
    let again = train(&[(source, earlier)], &Options::default(), &mut |_, _| ()).expect("a model");
    assert!(again.to_octets() == DEFAULT_MODEL, "the shipped model is not what training gives");
}

#[test]
fn the_shipped_model_beats_the_rule_on_the_frozen_split() {
    let Some(all) = samples("traces/isadev.csv.gz") else { return };
    let shipped = Model::from_octets(DEFAULT_MODEL).expect("the shipped model is read");
    let found = evaluate(shipped, &all, None, &Options::default(), &mut |_, _| ());
    let found = found.expect("changes");
    let (auc, rule) = (found.auc.expect("both kinds"), found.auc_rule.expect("both kinds"));
    assert!(auc >= 0.88 && auc >= rule + 0.03, "{found:?}");
    assert!(found.brier_skill.expect("both kinds") > 0.0, "{found:?}");
}

#[test]
fn the_shipped_model_is_calibrated_on_the_frozen_split() {
    let Some(all) = samples("traces/isadev.csv.gz") else { return };
    let shipped = Model::from_octets(DEFAULT_MODEL).expect("the shipped model is read");
    let found = evaluate(shipped, &all, None, &Options::default(), &mut |_, _| ());
    let found = found.expect("changes");
    assert!(found.ece <= 0.2 * found.base_rate, "{found:?}");
}

#[test]
fn decisions_over_a_history_are_made_again_from_their_records() {
    let Some(all) = samples("traces/opendomains.csv.gz") else { return };
    let model = Model::from_octets(DEFAULT_MODEL).expect("the shipped model is read");
    let mut careful = 0;
    for (at, features) in all.rows.iter().enumerate() {
        let situation = Situation {
            features: *features,
            homes: [Homes::Here, Homes::Elsewhere][at % 2],
            identity_matches: at % 7 != 0,
            legacy_batch_open: at % 50 == 0,
            used_here: (at % 5) as u8,
            flapping_ms: (at % 11 == 0).then_some(200),
            costs: Costs::default(),
        };
        let knobs = Knobs::default();
        let (decision, record) = Record::make(&model, at % 13 != 0, &knobs, &situation, at as u64);
        let logged = Record::from_octets(&record.to_octets()).expect("a record");
        assert_eq!(logged.replay(&model), Ok(decision));
        careful += usize::from(decision.path == Path::MultiPhase);
    }
    assert!(careful > 0 && careful < all.len(), "{careful} of {}", all.len());
}
