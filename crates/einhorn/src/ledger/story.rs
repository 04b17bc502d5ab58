//! `einhorn ledger show TRANSACTION`: what the logs of all sites say of one change of names with
//! different homes, in the order of time.

use super::logs::Logs;
use crate::{Failure, Outcome, describe, print, source};
use einhorn_core::model::entry::{Body, Entry};
use einhorn_core::model::{Position, TransactionId};

/// The transaction that an entry is about.
pub(crate) fn transaction_of(body: &Body) -> Option<TransactionId> {
    match body {
        Body::Intent { transaction, .. } | Body::Decision { transaction, .. } => {
            Some(transaction.id)
        }
        Body::Finish { id, .. } => Some(*id),
        _ => None,
    }
}

/// What comes first where times are the same.
pub(crate) fn phase(entry: &Entry) -> (u64, u8) {
    let phase = match entry.body {
        Body::Intent { .. } => 0,
        Body::Decision { .. } => 1,
        _ => 2,
    };
    (entry.time_ms, phase)
}

/// Prints the entries of a transaction.
pub(super) fn show(id: TransactionId, source: &source::Arguments, json: bool) -> Outcome {
    let Some(data) = source.data.as_deref().filter(|_| source.url.is_none()) else {
        let reason = format!("transaction {id} is in the logs of several sites: give --data DIR");
        return Err(Failure::usage(reason));
    };
    let given = source.vkey.as_deref().map(source::parse_vkey).transpose()?;
    let mut logs = Logs::open(data, given)?;
    let mut found: Vec<(Position, Entry)> = Vec::new();
    logs.visit(&mut |at, entry| {
        if transaction_of(&entry.body) == Some(id) {
            found.push((at, entry));
        }
    })?;
    if found.is_empty() {
        let reason = format!("no log in {} says anything of transaction {id}", data.display());
        return Err(Failure::finding(reason));
    }
    found.sort_by_key(|(at, entry)| (phase(entry), *at));
    for (at, entry) in &found {
        let site = logs.registry.name_of(at.origin.site);
        if json {
            let mut value = describe::json(at.index, entry);
            value["log"] = at.origin.to_string().into();
            value["site"] = site.into();
            print(value)?;
        } else {
            print(format_args!("in the log {} of {site}:", at.origin))?;
            print(describe::text(at.index, entry))?;
        }
    }
    Ok(())
}
