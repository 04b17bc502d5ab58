//! What the ledgers of all sites together say of each name: one history, without a gap, a fork or
//! anything done twice.

use einhorn_harness::{Fleet, await_that, changes_of_names};
use serde_json::Value;

pub(crate) use einhorn_harness::changes;

/// Checks the histories of all names in the ledgers of all sites, none of which was taken over.
/// Sealing comes a moment after the acknowledgement, so this waits for what is missing.
pub(crate) fn check(fleet: &Fleet) {
    let changes = await_that("a whole history", || {
        let log = |site| Ok((fleet.name(site).to_owned(), entries(fleet, site)?));
        let logs: Vec<_> = (0..fleet.count()).map(log).collect::<Result<_, String>>()?;
        changes_of_names(&logs)
    });
    eprintln!("{changes} changes of names in the ledgers, each once");
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
