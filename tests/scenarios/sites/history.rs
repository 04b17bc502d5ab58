//! What the ledgers of all sites together say of each name: one history, without a gap, a fork or
//! anything done twice.

use einhorn_harness::{Fleet, await_that};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

/// Checks the histories of all names in the ledgers of all sites, none of which was taken over.
/// Sealing comes a moment after the acknowledgement, so this waits for what is missing.
pub(crate) fn check(fleet: &Fleet) {
    let changes = await_that("a whole history", || whole(fleet));
    eprintln!("{changes} changes of names in the ledgers, each once");
}

/// The number of changes, if none is missing or doubled.
fn whole(fleet: &Fleet) -> Result<usize, String> {
    let mut versions: BTreeMap<String, BTreeMap<u64, (u64, String)>> = BTreeMap::new();
    let mut requests: HashMap<String, String> = HashMap::new();
    let mut count = 0;
    for site in 0..fleet.count() {
        for entry in entries(fleet, site)? {
            let place = format!("{} {}", fleet.name(site), entry["index"]);
            for change in changes(&entry) {
                let request = change["request"].to_string();
                if let Some(other) = requests.insert(request, place.clone())
                    && other != place
                {
                    return Err(format!("{place} and {other} are the same request"));
                }
                for name in change["names"].as_array().into_iter().flatten() {
                    let number = |of: &str| name[of].as_u64().unwrap_or_default();
                    let (version, epoch) = (number("version"), number("epoch"));
                    let history = versions.entry(name["owner"].to_string()).or_default();
                    if let Some((_, other)) = history.insert(version, (epoch, place.clone())) {
                        return Err(format!("version {version} of {name}: {place} and {other}"));
                    }
                    count += 1;
                }
            }
        }
    }
    for (owner, history) in versions {
        let mut last_epoch = 0;
        for (expected, (version, (epoch, place))) in (1..).zip(history) {
            if version != expected || epoch < last_epoch {
                return Err(format!(
                    "{place}: {owner} has version {version} of epoch {epoch}, after {} of epoch {last_epoch}",
                    expected - 1
                ));
            }
            last_epoch = epoch;
        }
    }
    Ok(count)
}

/// The changes that an entry makes: one, or all that were decided on together.
pub(crate) fn changes(entry: &Value) -> Vec<&Value> {
    match entry["kind"].as_str() {
        Some("change") => vec![entry],
        // None, if it was decided that they are not made.
        Some("changes" | "source" | "decision") => {
            entry["changes"].as_array().into_iter().flatten().collect()
        }
        _ => Vec::new(),
    }
}

/// All entries in the ledger of a site.
pub(crate) fn entries(fleet: &Fleet, site: usize) -> Result<Vec<Value>, String> {
    let ran = fleet.operate(site, &["ledger", "export"]);
    if ran.code != Some(0) {
        return Err(ran.stderr);
    }
    let json = |line: &str| serde_json::from_str(line).map_err(|error| format!("{error}: {line}"));
    ran.stdout.lines().map(json).collect()
}
