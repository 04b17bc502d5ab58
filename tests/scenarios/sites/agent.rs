//! What the sites' agents decided, from the ledgers of real sites.

use crate::sites::support::{
    BERLIN, EINHORN, FRANKFURT, await_value, change, fleet, replacement, set, value,
};
use einhorn_agent::DEFAULT_MODEL;
use einhorn_agent::evaluator::Calibration;
use einhorn_agent::model::{Model, hexadecimal};
use einhorn_harness::{
    Fleet, FleetStart, KEY, SignedRequest, ZONE, await_that, key, now_seconds, update_message,
};
use einhorn_wire::tsig::Key;
use serde_json::Value;
use std::sync::{Arc, Barrier};
use std::thread;

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
    std::fs::write(&model, DEFAULT_MODEL).expect("a model");
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

/// Names that two identities change at the same moment, at two sites.
const COLLISIONS: usize = 200;
const OTHER_KEY: &str = "other.";

/// Two identities make the same new names at the same moments, at the home of the zone and elsewhere.
fn collide(fleet: &Fleet, what: &str) {
    let together = Barrier::new(2);
    let ask = |site: usize, key: &Arc<Key>| {
        for number in 0..COLLISIONS {
            let updates = replacement(&format!("{what}{number}"), value());
            together.wait();
            let octets = update_message(number as u16, ZONE, &[], &updates, None);
            let octets = SignedRequest::new(octets, key, now_seconds()).octets;
            change(fleet.dns(site), &octets);
        }
    };
    let other = Arc::new(KEY.replacen("phone.", OTHER_KEY, 1).parse().expect("a key"));
    thread::scope(|scope| {
        scope.spawn(|| ask(BERLIN, &key()));
        scope.spawn(|| ask(FRANKFURT, &other));
    });
}

#[test]
fn a_model_that_is_never_worried_is_found_out_and_learns_from_the_ledger() {
    let start = FleetStart { more_keys: &[OTHER_KEY.to_owned()], ..FleetStart::usual(EINHORN) };
    let mut fleet = start.start().expect("loopback is everywhere");
    let shipped = Model::from_octets(DEFAULT_MODEL).expect("a model");
    let never = Calibration { slope: 0, offset: -12 * 1024 };
    let blind = Model::new(
        shipped.trees,
        never,
        shipped.logistic,
        shipped.table,
        shipped.reference,
        shipped.provenance,
    );
    let file = fleet.folder().join("blind.model");
    std::fs::write(&file, blind.to_octets()).expect("a model");
    let file = file.to_str().expect("a path");
    fleet.operate(FRANKFURT, &["agent", "promote", file, "--force"]).good();
    fleet.stop(FRANKFURT);
    fleet.start(FRANKFURT);
    fleet.settle();

    collide(&fleet, "a");
    let status = fleet.await_status(FRANKFURT, "another model", |status| {
        status["agent"]["model"] != hexadecimal(&blind.hash())
    });
    let agent = &status["agent"];
    assert!(agent["alarm"].is_null(), "the new model is not blamed for the old: {agent}");
    assert!(agent["lesson"].as_str().is_some_and(|said| said.contains("took over")), "{agent}");
    let said = fleet.operate(FRANKFURT, &["agent", "status"]).good();
    assert!(said.contains("decides better and took over"), "{said}");

    // What it has learnt it does, and what either decided is made again from the files.
    let multi_phase = |status: &Value| status["agent"]["paths"][2][1].as_u64().expect("a count");
    let before = multi_phase(&status);
    collide(&fleet, "b");
    let status = fleet.status(FRANKFURT).expect("a status");
    let careful = multi_phase(&status) - before;
    assert!(careful > COLLISIONS as u64 / 2, "{careful} of {COLLISIONS} prepared: {status}");
    let model = status["agent"]["model"].clone();
    fleet.settle();
    fleet.operate(FRANKFURT, &["agent", "replay"]).good();
    fleet.stop(FRANKFURT);
    fleet.start(FRANKFURT);
    fleet.settle();
    let status = fleet.status(FRANKFURT).expect("a status");
    assert_eq!(status["agent"]["model"], model, "it stays in force");
    fleet.check_end();
}
