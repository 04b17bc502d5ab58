//! What the sites' agents decided, from the ledgers of real sites.

use crate::sites::support::{BERLIN, FRANKFURT, await_value, change, fleet, set, value};
use einhorn_harness::await_that;
use serde_json::Value;

/// Changes of two names, spread over the sites.
const CHANGES: usize = 30;

fn paths_advised(status: &Value) -> u64 {
    let paths = status["agent"]["paths"].as_array().expect("paths").iter();
    paths.map(|path| path[1].as_u64().expect("a count")).sum()
}

#[test]
fn every_decision_is_in_the_ledger_and_is_made_again_from_that() {
    let mut fleet = fleet("local");
    let mut last = 0;
    for number in 0..CHANGES {
        last = value();
        change(fleet.dns(number % fleet.count()), &set("anna", last));
    }
    await_value(&fleet, "anna", Some(last));
    for site in 0..fleet.count() {
        let status = fleet.status(site).expect("a status");
        assert!(paths_advised(&status) >= (CHANGES / fleet.count()) as u64, "{status}");
        let said = fleet.operate(site, &["agent", "status"]).good();
        assert!(said.contains(", trusted\n"), "{said}");
    }
    fleet.settle();

    // All of them, at any site.
    await_that("all decisions in the ledgers' files", || {
        let ran = fleet.operate(BERLIN, &["agent", "replay"]);
        let count = ran.stdout.split(' ').next().and_then(|count| count.parse::<usize>().ok());
        let is_there = ran.code == Some(0) && count >= Some(CHANGES);
        if is_there { Ok(()) } else { Err(format!("{}{}", ran.stdout, ran.stderr)) }
    });
    await_that("all changes in another site's files", || {
        let history = fleet.operate(FRANKFURT, &["agent", "history"]).good();
        let rows = history.lines().filter(|line| line.contains(",anna.")).count();
        let head = "src,ts,start,name,rtype,op,actor,commit,review\n";
        assert!(history.starts_with(head), "{history}");
        if rows == CHANGES { Ok(()) } else { Err(history) }
    });

    let exported = fleet.operate(BERLIN, &["ledger", "export"]).good();
    let entries = exported.lines().map(|line| serde_json::from_str(line).expect("JSON"));
    let decided: Vec<Value> =
        entries.filter(|entry: &Value| entry["decision"].is_string()).collect();
    let index = decided.first().expect("a change that entered or ended here")["index"].to_string();
    let said = fleet.operate(BERLIN, &["agent", "explain", &index]).good();
    for wanted in ["took the path", "expected costs:", "multi-phase", "what mattered:"] {
        assert!(said.contains(wanted), "no `{wanted}` in {said}");
    }

    // The model in force does not win against itself; who insists gets it.
    let model = fleet.folder().join("own.model");
    std::fs::write(&model, einhorn_agent::DEFAULT_MODEL).expect("a model");
    let model = model.to_str().expect("a path");
    let ran = fleet.operate(BERLIN, &["agent", "promote", model]);
    assert_eq!(ran.code, Some(1), "{}", ran.stdout);
    fleet.operate(BERLIN, &["agent", "promote", model, "--force"]).good();
    fleet.stop(BERLIN);
    fleet.start(BERLIN);
    fleet.settle();
    let status = fleet.status(BERLIN).expect("a status");
    assert_eq!(paths_advised(&status), 0, "it counts anew: {status}");
    assert_eq!(status["agent"]["names"], 1, "but remembers: {status}");
    fleet.operate(BERLIN, &["agent", "replay"]).good();
    fleet.check_end();
}
