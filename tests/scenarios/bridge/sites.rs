//! A source at one site of several: names that live elsewhere, and the base at every site.

use super::support::{EINHORN, OPEN, TOKEN, source};
use einhorn_core::exchange::{View, decode_view, encode_step};
use einhorn_core::model::RrSet;
use einhorn_core::model::request::{PlannedName, SourceStep, SourceUnit};
use einhorn_harness::{
    Client, Fleet, FleetStart, Ran, Reply, ZONE, await_that, key, record, run, update_message,
};
use einhorn_wire::message::Rcode;
use einhorn_wire::{Class, Name, RecordType};
use std::path::Path;
use std::process::Command;

const BERLIN: usize = 0;
const FRANKFURT: usize = 1;

/// Gives each site the source, with more of its settings, and a token.
fn let_operators_in(fleet: &mut Fleet, more: &str) {
    for site in 0..fleet.count() {
        std::fs::write(fleet.data(site).join("operator.token"), TOKEN).expect("a token file");
        let config = fleet.config(site);
        let text = std::fs::read_to_string(&config).expect("a configuration");
        let text =
            format!("operator-token-file = \"operator.token\"\n{text}\n{}{more}", source(OPEN));
        std::fs::write(&config, text).expect("the configuration");
        fleet.stop(site);
        fleet.start(site);
    }
    fleet.settle();
}

fn bridge(fleet: &Fleet, site: usize, subcommand: &str, more: &[&Path]) -> Ran {
    let mut command = Command::new(EINHORN);
    command.args(["bridge", subcommand, "nic", "--config"]).arg(fleet.config(site)).args(more);
    run(&mut command)
}

fn report(fleet: &Fleet, site: usize) -> serde_json::Value {
    let text = bridge(fleet, site, "report", &["--json".as_ref()]).good();
    serde_json::from_str(&text).unwrap_or(serde_json::Value::Null)
}

#[test]
fn the_base_is_the_same_everywhere_and_names_elsewhere_change_on_condition() {
    let mut fleet = FleetStart::usual(EINHORN).start().expect("loopback is everywhere");
    let_operators_in(&mut fleet, "");
    // The zone's home is Berlin; the source is at Frankfurt, and all its names are new.
    let table = "HOST : 10.0.0.1 : SRI-NIC,NIC : VAX : UNIX : :\nHOST : 10.0.0.2 : MIT-MC : PDP-10 : ITS : :\n";
    let file = fleet.folder().join("HOSTS.1");
    std::fs::write(&file, table).expect("a table");
    let said = bridge(&fleet, FRANKFURT, "apply", &[&file]).good();
    assert!(said.contains("2 added"), "{said}");
    let expected = report(&fleet, FRANKFURT);
    assert_eq!(expected["records"], 2, "{expected}");
    for site in 0..fleet.count() {
        await_that("the base at every site", || {
            let there = report(&fleet, site);
            if there == expected { Ok(()) } else { Err(format!("{there} is not {expected}")) }
        });
    }
    // A device changes a name at another site; the table says something else of it and of its neighbour.
    let name = format!("sri-nic.{ZONE}");
    let client = einhorn_harness::Client::new(fleet.dns(BERLIN));
    assert_eq!(client.set_address(&key(), ZONE, &name, [10, 7, 7, 7]), Rcode::NOERROR);
    fleet.settle();
    let second = table.replace("10.0.0.2", "10.0.0.22").replace("VAX", "CRAY");
    std::fs::write(&file, second).expect("a table");
    let said = bridge(&fleet, FRANKFURT, "apply", &[&file]).good();
    assert!(said.contains("2 changed") && said.contains("0 conflicts"), "{said}");
    fleet.settle();
    let zone = fleet.operate(BERLIN, &["zone", "export", ZONE]).good().to_lowercase();
    assert!(zone.contains("10.7.7.7") && zone.contains("10.0.0.22"), "{zone}");
    assert!(zone.contains("cray"), "{zone}");
    // The source stays where it is: another site passes its steps on.
    let third = table.replace("10.0.0.2", "10.0.0.23");
    std::fs::write(&file, third).expect("a table");
    let said = bridge(&fleet, BERLIN, "apply", &[&file]).good();
    assert!(said.contains("2 changed"), "{said}");
    fleet.check_end();
}

/// Asks a site about the source, as the bridge does.
fn http(fleet: &Fleet, site: usize, path: &str, body: Option<&[u8]>) -> Vec<u8> {
    let base = fleet.site(site).ledger_url.split("/ledger/").next().unwrap_or_default().to_owned();
    let (url, token) = (format!("{base}/bridge/nic{path}"), format!("Bearer {TOKEN}"));
    let agent = ureq::Agent::config_builder().http_status_as_error(false).build();
    let agent = ureq::Agent::new_with_config(agent);
    let answer = match body {
        None => agent.get(url).header("Authorization", token).call(),
        Some(body) => agent.post(url).header("Authorization", token).send(body),
    };
    answer.expect("an answer").body_mut().read_to_vec().expect("an answer")
}

fn view(fleet: &Fleet, site: usize) -> View {
    decode_view(&http(fleet, site, "", None)).expect("a view")
}

/// A batch's write of one name, on the condition that the name and the source are as in `view`; gives
/// why it was left, if it was.
fn write(fleet: &Fleet, view: &View, name: &Name, address: [u8; 4]) -> Option<String> {
    let known = view.names.iter().find(|known| known.owner == *name).expect("the name");
    let source = view.source.as_ref().expect("the source");
    let (_, item) = source.records.iter().find(|(_, item)| item.record.is_some()).expect("one");
    let mut item = item.clone();
    item.missing += 1;
    let set = RrSet::new(RecordType::A, 86_400, [&address[..]]).expect("a set");
    let planned = PlannedName {
        owner: name.clone(),
        version: known.version,
        epoch: Some(known.epoch),
        after: vec![set],
    };
    let step = SourceStep {
        source: "nic".to_owned(),
        revision: source.revision,
        apply: [address[3]; 32],
        head: source.head.clone(),
        units: vec![SourceUnit { items: vec![item], names: vec![planned] }],
    };
    let answer = http(fleet, FRANKFURT, "/apply", Some(&encode_step(&step)));
    let answer: serde_json::Value = serde_json::from_slice(&answer).expect("JSON");
    let left = answer["left"].as_array().unwrap_or_else(|| panic!("{answer}"));
    left.first().map(|left| left["reason"].to_string())
}

fn device(fleet: &Fleet, name: &str, address: [u8; 4]) {
    let client = Client::new(fleet.dns(BERLIN));
    assert_eq!(client.set_address(&key(), ZONE, name, address), Rcode::NOERROR, "never refused");
}

/// A device's change of an address that it believes to be `from`.
fn device_on_condition(fleet: &Fleet, name: &str, from: [u8; 4], to: [u8; 4]) -> Rcode {
    let believed = record(name, RecordType::A, Class::IN, 0, &from);
    let new = record(name, RecordType::A, Class::IN, 60, &to);
    let message = update_message(9, ZONE, &[believed], &[new], Some(&key()));
    Reply::parse(Client::new(fleet.dns(BERLIN)).udp(&message).expect("an answer")).rcode
}

/// Waits until the ledger of each site says these things of a name, one after the other.
fn await_history(fleet: &Fleet, name: &str, parts: &[&str]) {
    for site in 0..fleet.count() {
        await_that("the history", || {
            let ran = fleet.operate(site, &["ledger", "history", name]);
            // A site's files come a moment after its answers: they may not tell yet who the others are.
            let history = if ran.code == Some(0) { ran.stdout } else { return Err(ran.stderr) };
            let mut rest = &history[..];
            for part in parts {
                let Some((_, behind)) = rest.split_once(part) else {
                    return Err(format!("no `{part}` in its place: {history}"));
                };
                rest = behind;
            }
            Ok(())
        });
    }
}

#[test]
fn a_device_and_a_batch_that_holds_its_name_are_ordered_whoever_wins() {
    const FORM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/interop/mainframe/cards");
    let output = format!(
        "[source.output]\nformat = \"cards\"\ncopybook = \"{FORM}.cpy\"\nlayout = \"{FORM}.toml\"\n\
         spool = \"spool\"\n"
    );
    let mut fleet = FleetStart::usual(EINHORN).start().expect("loopback is everywhere");
    let_operators_in(&mut fleet, &output);
    let folder = fleet.config(FRANKFURT).parent().expect("a folder").join("spool");
    std::fs::create_dir(folder).expect("a folder");
    // The batch is Frankfurt's; the name is at home in Berlin, where its device is.
    let table = "HOST : 10.0.0.1 : SRI-NIC : : : :\nHOST : 10.0.0.2 : MIT-MC : PDP-10 : ITS : :\n";
    let file = fleet.folder().join("HOSTS.1");
    std::fs::write(&file, table).expect("a table");
    bridge(&fleet, FRANKFURT, "apply", &[&file]).good();
    let text = format!("sri-nic.{ZONE}");
    let name: Name = text.parse().expect("a name");
    device(&fleet, &text, [10, 7, 7, 7]);
    fleet.settle();
    let said = bridge(&fleet, FRANKFURT, "export", &[]).good();
    assert!(said.contains("000001: "), "{said}");
    fleet.settle();
    let is_held = view(&fleet, BERLIN).source.and_then(|source| source.head.batch);
    assert!(is_held.is_some_and(|batch| batch.names.contains(&name)), "Berlin knows of the batch");

    // The device is first: what the batch's side planned before is not done.
    let before = view(&fleet, FRANKFURT);
    device(&fleet, &text, [10, 7, 7, 8]);
    let left = write(&fleet, &before, &name, [10, 66, 0, 1]).expect("it is too late");
    assert!(left.contains("changed since"), "{left}");
    let held = "a batch of a legacy system holds the name";
    await_history(&fleet, &text, &["by source nic", held, "10.7.7.8"]);

    // The batch's side is first: the device's change, made for what was there before, is not done; and
    // one without a condition comes after it.
    fleet.settle();
    assert_eq!(write(&fleet, &view(&fleet, FRANKFURT), &name, [10, 66, 0, 2]), None);
    let rcode = device_on_condition(&fleet, &text, [10, 7, 7, 8], [10, 7, 7, 9]);
    assert_eq!(rcode, Rcode::NXRRSET);
    device(&fleet, &text, [10, 7, 7, 10]);
    await_history(&fleet, &text, &["10.7.7.8", "10.66.0.2", "10.7.7.10"]);

    // Whatever the batch's side still wants then is for a person to decide, and in the ledger too.
    std::fs::write(&file, table.split_inclusive('\n').skip(1).collect::<String>())
        .expect("a table");
    let said = bridge(&fleet, FRANKFURT, "apply", &[&file]).good();
    assert!(said.contains("conflict: HOST SRI-NIC: delete-against-edit"), "{said}");
    fleet.settle();
    for site in 0..fleet.count() {
        let listed = fleet.operate(site, &["review", "list"]).good();
        let id = listed.split_whitespace().next().expect("an id").to_owned();
        let shown = fleet.operate(site, &["review", "show", &id]).good();
        assert!(shown.contains("HOST SRI-NIC is gone"), "{shown}");
    }
    // While the batch's site is away the device is not.
    fleet.kill(FRANKFURT);
    device(&fleet, &text, [10, 7, 7, 11]);
    fleet.start(FRANKFURT);
    await_history(&fleet, &text, &["10.7.7.10", "10.7.7.11"]);
    fleet.check_end();
}
