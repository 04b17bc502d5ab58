//! Whether the ledgers of several sites together tell one history of each name.

use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

/// The number of changes in the logs of all sites, by their names.
///
/// # Errors
/// What is missing, forked or done twice.
pub fn changes_of_names(logs: &[(String, Vec<Value>)]) -> Result<usize, String> {
    let mut versions: BTreeMap<String, BTreeMap<u64, (u64, String)>> = BTreeMap::new();
    let mut requests: HashMap<String, String> = HashMap::new();
    let mut count = 0;
    for (site, entries) in logs {
        for entry in entries {
            let place = format!("{site} {}", entry["index"]);
            for change in changes(entry) {
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
pub fn changes(entry: &Value) -> Vec<&Value> {
    match entry["kind"].as_str() {
        Some("change") => vec![entry],
        // None, if it was decided that they are not made.
        Some("changes" | "source" | "decision") => {
            entry["changes"].as_array().into_iter().flatten().collect()
        }
        _ => Vec::new(),
    }
}
