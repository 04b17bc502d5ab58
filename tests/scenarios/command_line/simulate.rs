//! `einhorn simulate`: small fleets, told the same way each time.

use super::{einhorn, says};
use einhorn_harness::{run, scratch};
use serde_json::Value;

#[test]
fn a_small_fleet_is_compared_and_ends_with_one_object() {
    let scratch = scratch();
    let plots = scratch.path().join("plots");
    let arguments =
        ["simulate", "--seeds", "2", "--sites", "2", "--days", "1", "--json", "--plots"];
    let said = run(einhorn(&arguments).arg(&plots)).good();
    says(&said, &["hindsight", "always multi-phase", "boosted trees", "polling", "textual"]);
    let last = said.lines().last().expect("a last line");
    let json: Value = serde_json::from_str(last).expect("JSON");
    let aims = json["aims"].as_array().expect("aims");
    assert!(!aims.is_empty() && aims.iter().all(|aim| aim["met"].is_boolean()), "{last}");
    for (policy, figures) in json["policies"].as_object().expect("policies") {
        assert_eq!(figures["lost"], 0, "{policy}: {last}");
    }
    for picture in ["costs.svg", "latencies.svg"] {
        let svg = std::fs::read_to_string(plots.join(picture)).expect("a picture");
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{svg}");
    }
}

#[test]
fn a_history_is_the_same_to_the_last_octet_and_can_be_evaluated() {
    let scratch = scratch();
    let histories = ["one.csv", "two.csv"].map(|name| {
        let file = scratch.path().join(name);
        run(einhorn(&["simulate", "--days", "2", "--trace"]).arg(&file)).good();
        file
    });
    let [one, two] = histories.each_ref().map(|file| std::fs::read(file).expect("written"));
    assert_eq!(one, two);
    let mut evaluate = einhorn(&["agent", "evaluate", "--json", "--trace"]);
    let said = run(evaluate.arg(&histories[0])).good();
    let json: Value = serde_json::from_str(said.lines().last().expect("a line")).expect("JSON");
    for figure in ["auc", "auc_rule", "ece", "base_rate", "brier_skill"] {
        assert!(json[figure].is_f64(), "no {figure} in {said}");
    }
}
