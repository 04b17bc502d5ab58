//! The bridge's process and the node are killed while a table is applied.

use super::support::{Bridge, OPEN, source};
use einhorn_harness::await_that;
use std::fmt::Write;
use std::path::PathBuf;

/// Hosts of the tables: several steps.
const HOSTS: u32 = 4_000;

/// Two tables, of which the second changes, adds, renames and deletes.
fn tables(bridge: &Bridge) -> (PathBuf, PathBuf) {
    let (mut first, mut second) =
        ("; Version number 1\n".to_owned(), "; Version number 2\n".to_owned());
    for host in 0..HOSTS {
        let (high, low) = (host >> 8, host & 255);
        let (name, other) = (format!("H{host}"), format!("N{host}"));
        // Writing to a string cannot fail.
        _ = writeln!(first, "HOST : 10.0.{high}.{low} : {name} : VAX : UNIX : :");
        _ = match host % 4 {
            0 => writeln!(second, "HOST : 10.0.{high}.{low} : {name} : CRAY : UNIX : :"),
            1 => writeln!(second, "HOST : 10.0.{high}.{low} : {other},{name} : VAX : UNIX : :"),
            2 => writeln!(second, "HOST : 10.1.{high}.{low} : A{host} : : : :"),
            _ => Ok(()),
        };
    }
    (bridge.file("HOSTS.1", &first), bridge.file("HOSTS.2", &second))
}

fn revision(bridge: &Bridge) -> u64 {
    bridge.report()["revision"].as_u64().unwrap_or(0)
}

/// The zone and the report's counts of records after an apply that nobody disturbs.
fn undisturbed() -> Vec<String> {
    let bridge = Bridge::start(&source(OPEN));
    let (first, second) = tables(&bridge);
    bridge.apply(&first);
    let said = bridge.apply(&second);
    assert!(said.contains("1000 added, 1000 changed, 1000 renamed, 2000 deleted"), "{said}");
    bridge.records()
}

#[test]
fn an_apply_goes_on_where_it_was_killed_whoever_was() {
    let expected = undisturbed();
    for kills_node in [false, true] {
        let mut bridge = Bridge::start(&source(OPEN));
        let (first, second) = tables(&bridge);
        bridge.apply(&first);
        let (hash, _) = bridge.plan(&second);
        let arguments: [&std::path::Path; 3] = [&second, "--plan".as_ref(), hash.as_ref()];
        let mut kills = 0;
        loop {
            let before = revision(&bridge);
            let mut applying = bridge.begin("apply", &arguments);
            let ended = await_that("a step more, or the end", || {
                if applying.try_wait().expect("a status").is_some() {
                    return Ok(true);
                }
                if revision(&bridge) > before { Ok(false) } else { Err("no step".to_owned()) }
            });
            if ended {
                break;
            }
            if kills_node {
                bridge.kill();
            }
            // It may have ended a moment ago.
            _ = applying.kill();
            applying.wait().expect("it ends");
            if kills_node {
                bridge.restart();
            }
            kills += 1;
        }
        assert!(kills > 0, "nobody was killed");
        println!("killed {kills} times");
        bridge.bridge("apply", &arguments).good();
        assert_eq!(bridge.report()["under-way"], false);
        let now = bridge.records();
        let differing: Vec<_> =
            now.iter().filter(|one| expected.binary_search(one).is_err()).collect();
        assert_eq!((now.len(), differing.len()), (expected.len(), 0), "{differing:#?}");
    }
}
