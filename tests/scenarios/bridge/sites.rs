//! A source at one site of several: names that live elsewhere, and the base at every site.

use super::support::{EINHORN, OPEN, TOKEN, source};
use einhorn_harness::{Fleet, FleetStart, Ran, ZONE, await_that, key, run};
use einhorn_wire::message::Rcode;
use std::path::Path;
use std::process::Command;

const BERLIN: usize = 0;
const FRANKFURT: usize = 1;

/// Gives each site the source and a token.
fn let_operators_in(fleet: &mut Fleet) {
    for site in 0..fleet.count() {
        std::fs::write(fleet.data(site).join("operator.token"), TOKEN).expect("a token file");
        let config = fleet.config(site);
        let text = std::fs::read_to_string(&config).expect("a configuration");
        let text = format!("operator-token-file = \"operator.token\"\n{text}\n{}", source(OPEN));
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
    let_operators_in(&mut fleet);
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
