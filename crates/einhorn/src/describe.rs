//! Ledger entries for people and as JSON.

use einhorn_core::model::entry::{
    Assembler, Body, Cause, Change, Entry, NameChange, Previous, SitesChange, SourceChange,
};
use einhorn_core::model::review::Review;
use einhorn_core::model::settings::{Prefix, Remote, Role, Settings};
use einhorn_core::model::source::Advance;
use einhorn_core::model::{Position, RrSet, Transaction};
use serde_json::{Value, json};
use std::fmt::Write;

/// A time for people, in UTC.
pub(crate) fn time(time_ms: u64) -> String {
    let timestamp =
        i64::try_from(time_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    timestamp.map_or_else(|| format!("{time_ms} ms"), |timestamp| format!("{timestamp:.3}"))
}

fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |mut text, octet| {
        _ = write!(text, "{octet:02x}");
        text
    })
}

/// Where an entry stands.
pub(crate) fn position(position: Position) -> String {
    let origin = position.origin;
    let generation =
        if origin.generation > 1 { format!("/{}", origin.generation) } else { String::new() };
    format!("{} of site {}{generation}", position.index, origin.site)
}

/// What came and went at a name, as `- TTL TYPE DATA` and `+ TTL TYPE DATA`.
pub(crate) fn difference(name: &NameChange) -> Vec<String> {
    let mut lines = Vec::new();
    for (rtype, before) in &name.before {
        let after = name.after.iter().find(|set| set.rtype == *rtype);
        let old = before.iter().flat_map(RrSet::lines).collect::<Vec<_>>();
        let new = after.into_iter().flat_map(RrSet::lines).collect::<Vec<_>>();
        lines.extend(old.iter().filter(|line| !new.contains(line)).map(|line| format!("- {line}")));
        lines.extend(new.iter().filter(|line| !old.contains(line)).map(|line| format!("+ {line}")));
    }
    lines.extend(name.leases.iter().map(|lease| {
        let record = RrSet::new(lease.rtype, 0, [&*lease.rdata]);
        let data = record.map_or_else(String::new, |set| set.lines().collect());
        let data = data.strip_prefix("0 ").unwrap_or(&data);
        format!("  {data} until {}", time(lease.until_ms))
    }));
    lines
}

/// Why there is a change.
pub(crate) fn cause(cause: &Cause) -> String {
    match cause {
        Cause::Update => "update".to_owned(),
        Cause::ZoneLoad { source } => format!("zone load from a file with SHA-256 {}", hex(source)),
        Cause::Rollback { target_index, .. } => {
            format!("rollback to the state after entry {target_index}")
        }
        Cause::ZoneReload { source } => {
            format!("zone reload from a file with SHA-256 {}", hex(source))
        }
        Cause::ZoneRemoval { names, root } => {
            format!("removal with its {names} names, state root {}", hex(root))
        }
        Cause::Settings { .. } => "settings".to_owned(),
        Cause::Transfer { serial } => format!("transfer of serial {serial}"),
        Cause::Move => "move".to_owned(),
        Cause::Expiry => "end of a lease".to_owned(),
        Cause::Source { apply } => format!("apply {} of a source", hex(apply)),
        Cause::Review { review, choice, asker } => {
            format!("review {review} of a change by {asker}, decided: {choice}")
        }
    }
}

/// An entry in a few lines.
pub(crate) fn text(index: u64, entry: &Entry) -> String {
    let mut out = format!("entry {index}, {}\n", time(entry.time_ms));
    match &entry.body {
        Body::Genesis { origin, name, previous } => {
            _ = writeln!(out, "  the log {name} of site {} begins", origin.site);
            if let Some(previous) = previous {
                let Previous { origin, entries, root } = previous;
                _ = writeln!(
                    out,
                    "  it goes on from {entries} entries of log {origin}, root {}",
                    hex(root)
                );
            }
        }
        Body::Publication { zone, serial, covers, .. } => {
            let covers: Vec<_> = covers.iter().map(|covered| position(*covered)).collect();
            _ = writeln!(
                out,
                "  zone {zone} has serial {serial}, up to entry {}",
                covers.join(", ")
            );
        }
        Body::MapRoot { at, names, root } => {
            let root = hex(root);
            let what = format!("the map of the {at} entries before has {names} leaves");
            _ = writeln!(out, "  {what}, root {root}");
        }
        Body::Change(change) => change_text(change, &mut out),
        Body::Changes(changes) => {
            changes.iter().for_each(|change| change_text(change, &mut out));
        }
        Body::Review(review) => review_text(review, &mut out),
        Body::Source(source) => source_text(source, &mut out),
        Body::Sites(change) => sites_text(change, &mut out),
        Body::Endorsement { lost, successor, round, held } => {
            _ = writeln!(
                out,
                "  log {lost} seems lost: log {successor} may go on for it (round {round}); {held} entries are held here"
            );
        }
        Body::Withdrawal { lost, round } => {
            _ = writeln!(out, "  this log does not go on for log {lost} (round {round})");
        }
        Body::Takeover { lost, end, endorsers, is_attested } => {
            let endorsers: Vec<_> = endorsers.iter().map(ToString::to_string).collect();
            let attested =
                if *is_attested { "; an operator vouches that it has stopped" } else { "" };
            _ = writeln!(
                out,
                "  this log goes on for log {lost}, of which {end} entries count; endorsed by {}{attested}",
                endorsers.join(", ")
            );
        }
        Body::Leftover { position: at, octets } => {
            _ = writeln!(
                out,
                "  entry {} was in no other site's copy and does not count:",
                position(*at)
            );
            if let Ok(Some(lost)) = Assembler::default().next(octets) {
                text(at.index, &lost).lines().for_each(|line| _ = writeln!(out, "    {line}"));
            }
        }
        Body::Intent { .. } | Body::Decision { .. } | Body::Finish { .. } => {
            transaction_entry(&entry.body, &mut out);
        }
    }
    out.trim_end().to_owned()
}

fn review_text(review: &Review, out: &mut String) {
    _ = writeln!(out, "  waits for a person, and is not made: {}", review.reason);
    if let Some(replaced) = review.replaces {
        _ = writeln!(out, "  it replaces review {replaced}");
    }
    change_text(&review.change, out);
}

/// What was logged of a change with several homes.
fn transaction_entry(body: &Body, out: &mut String) {
    match body {
        Body::Intent { transaction, changes } => {
            _ = writeln!(out, "  intent of {}", transaction_text(transaction));
            changes.iter().for_each(|change| change_text(change, out));
        }
        Body::Decision { transaction, is_commit, intents, changes } => {
            let intents: Vec<_> = intents.iter().map(|intent| position(*intent)).collect();
            let decision = match is_commit {
                true => format!("committed, since all agreed: entries {}", intents.join(", ")),
                false => "aborted".to_owned(),
            };
            _ = writeln!(out, "  {}: {decision}", transaction_text(transaction));
            changes.iter().for_each(|change| change_text(change, out));
        }
        Body::Finish { id, participant, had_intent } => {
            let what = match had_intent {
                true => "the intent is closed",
                false => "there was no intent",
            };
            _ = writeln!(out, "  transaction {id} is over in log {participant}: {what}");
        }
        _ => {}
    }
}

fn transaction_text(transaction: &Transaction) -> String {
    let participants: Vec<_> = transaction.participants.iter().map(ToString::to_string).collect();
    format!("transaction {} over logs {}", transaction.id, participants.join(", "))
}

fn sites_text(change: &SitesChange, out: &mut String) {
    let registry = &change.registry;
    _ = writeln!(out, "  the sites, version {}, by {}", registry.version, change.who);
    for (number, site) in &registry.sites {
        let suspended = if site.is_suspended { ", suspended" } else { "" };
        _ = writeln!(out, "  {number} {} at {}{suspended}", site.name, site.addresses.join(", "));
    }
}

fn settings_text(settings: &Settings) -> String {
    let mut out = format!("  acknowledged at level {}\n", settings.level);
    let mut line = |what: &str, values: Vec<String>| {
        if !values.is_empty() {
            _ = writeln!(out, "  {what}: {}", values.join(", "));
        }
    };
    line("followed from", settings.primaries.iter().map(Remote::to_string).collect());
    line("notifies", settings.notify.iter().map(Remote::to_string).collect());
    line("transfers to", settings.transfer_to.iter().map(Prefix::to_string).collect());
    let role = match &settings.role {
        Role::Ordinary => Vec::new(),
        Role::Listed { catalog } => vec![format!("listed in {catalog}")],
        Role::Producer => vec!["lists zones of this server".to_owned()],
        Role::Consumer => vec!["its members are followed".to_owned()],
        Role::Member { catalog, .. } => vec![format!("member of {catalog}")],
    };
    line("catalog", role);
    out
}

fn change_text(change: &Change, out: &mut String) {
    _ = writeln!(out, "  zone {}: {} by {}", change.zone, cause(&change.cause), change.who);
    _ = writeln!(
        out,
        "  request {}, entered at site {}",
        hex(&change.request.0[..8]),
        change.entered_site
    );
    let advice = &change.advice;
    // The rules have a name, models the hash of their file.
    let model = match std::str::from_utf8(&advice.model) {
        Ok(name) if change.decision.is_none() => name.to_owned(),
        _ => hex(&advice.model),
    };
    _ = writeln!(
        out,
        "  advised {} ({}; model {model}), taken {}",
        advice.path, advice.reason, change.path
    );
    if let Cause::Rollback { root_before, root_after, .. } = &change.cause {
        _ = writeln!(out, "  state root {} before, {} after", hex(root_before), hex(root_after));
    }
    if let Cause::Settings { settings, .. } = &change.cause {
        out.push_str(&settings_text(settings));
    } else if change.names.is_empty() && !matches!(change.cause, Cause::ZoneRemoval { .. }) {
        _ = writeln!(out, "  everything was as asked already");
    }
    for (request, _) in &change.stands_for {
        _ = writeln!(out, "  stands for request {} too", hex(&request.0));
    }
    for name in &change.names {
        let previous = name
            .previous
            .map_or_else(|| "the first".to_owned(), |p| format!("after entry {}", position(p)));
        _ = writeln!(
            out,
            "  {} (change {} of this name, {previous}; home {}, epoch {}, version {})",
            name.owner, name.sequence, name.home, name.epoch, name.version
        );
        difference(name).iter().for_each(|line| _ = writeln!(out, "    {line}"));
    }
}

fn source_text(source: &SourceChange, out: &mut String) {
    let Advance { source: name, revision, head, items } = &source.advance;
    _ = writeln!(out, "  source {name}, revision {revision}: {} records advance", items.len());
    match (&head.under_way, &head.last) {
        (Some(under_way), _) => {
            _ = writeln!(out, "    apply {} is under way", hex(&under_way.file.id));
        }
        (None, Some(last)) => {
            let (id, generation) = (hex(&last.id), last.generation);
            _ = writeln!(out, "    apply {id} of generation {generation} is complete");
        }
        (None, None) => {}
    }
    source.changes.iter().for_each(|change| change_text(change, out));
}

/// An entry as one JSON value.
pub(crate) fn json(index: u64, entry: &Entry) -> Value {
    let mut value = match &entry.body {
        Body::Genesis { origin, name, .. } => {
            json!({"kind": "genesis", "site": origin.site, "generation": origin.generation, "name": name})
        }
        Body::Publication { zone, serial, covers, .. } => json!({
            "kind": "publication", "zone": zone.to_string(), "serial": serial,
            "covers": covers.iter().map(|p| position_json(*p)).collect::<Vec<_>>(),
        }),
        Body::MapRoot { at, names, root } => {
            json!({"kind": "map root", "at": at, "names": names, "root": hex(root)})
        }
        Body::Change(change) => change_json(change),
        Body::Changes(changes) => json!({
            "kind": "changes", "changes": changes.iter().map(change_json).collect::<Vec<_>>(),
        }),
        Body::Source(source) => json!({
            "kind": "source", "source": source.advance.source,
            "revision": source.advance.revision, "records": source.advance.items.len(),
            "changes": source.changes.iter().map(change_json).collect::<Vec<_>>(),
        }),
        Body::Review(review) => json!({
            "kind": "review", "reason": review.reason.to_string(),
            "source": review.legacy.as_ref().map(|legacy| &legacy.source),
            "record": review.legacy.as_ref().map(|legacy| &legacy.text),
            "replaces": review.replaces.map(position_json),
            "change": change_json(&review.change),
        }),
        Body::Sites(change) => json!({
            "kind": "sites", "version": change.registry.version, "who": change.who.to_string(),
            "sites": change.registry.sites.iter().map(|(number, site)| json!({
                "number": number, "name": site.name, "addresses": site.addresses,
                "suspended": site.is_suspended,
            })).collect::<Vec<_>>(),
        }),
        Body::Endorsement { lost, successor, round, held } => json!({
            "kind": "endorsement", "lost": lost.to_string(), "successor": successor.to_string(),
            "round": round, "held": held,
        }),
        Body::Withdrawal { lost, round } => {
            json!({"kind": "withdrawal", "lost": lost.to_string(), "round": round})
        }
        Body::Takeover { lost, end, endorsers, is_attested } => json!({
            "kind": "takeover", "lost": lost.to_string(), "end": end, "attested": is_attested,
            "endorsers": endorsers.iter().map(ToString::to_string).collect::<Vec<_>>(),
        }),
        Body::Leftover { position, .. } => {
            json!({"kind": "leftover", "position": position_json(*position)})
        }
        Body::Intent { transaction, changes } => json!({
            "kind": "intent", "transaction": transaction_json(transaction),
            "changes": changes.iter().map(change_json).collect::<Vec<_>>(),
        }),
        Body::Decision { transaction, is_commit, intents, changes } => json!({
            "kind": "decision", "transaction": transaction_json(transaction),
            "committed": is_commit,
            "intents": intents.iter().map(|at| position_json(*at)).collect::<Vec<_>>(),
            "changes": changes.iter().map(change_json).collect::<Vec<_>>(),
        }),
        Body::Finish { id, participant, had_intent } => json!({
            "kind": "finish", "transaction": id.to_string(),
            "participant": participant.to_string(), "had_intent": had_intent,
        }),
    };
    value["index"] = json!(index);
    value["time"] = json!(time(entry.time_ms));
    value
}

fn change_json(change: &Change) -> Value {
    json!({
        "kind": "change",
        "zone": change.zone.to_string(),
        "cause": cause(&change.cause),
        "request": hex(&change.request.0),
        "stands_for": change.stands_for.iter().map(|(id, _)| hex(&id.0)).collect::<Vec<_>>(),
        "who": change.who.to_string(),
        "entered_site": change.entered_site,
        "audit_commitment": hex(&change.audit_commitment.0),
        "advised": change.advice.path.to_string(),
        "reason": change.advice.reason.to_string(),
        "model": hex(&change.advice.model),
        "began": change.decision.as_ref().map(|decision| time(decision.began_ms)),
        "decision": change.decision.as_ref().map(|decision| hex(&decision.record.to_octets())),
        "path": change.path.to_string(),
        "names": change.names.iter().map(name_json).collect::<Vec<_>>(),
    })
}

fn transaction_json(transaction: &Transaction) -> Value {
    json!({
        "id": transaction.id.to_string(),
        "participants": transaction.participants.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "deadline": time(transaction.deadline_ms),
    })
}

fn position_json(position: Position) -> Value {
    json!({"site": position.origin.site, "generation": position.origin.generation, "index": position.index})
}

fn name_json(name: &NameChange) -> Value {
    json!({
        "owner": name.owner.to_string(),
        "home": name.home.to_string(),
        "epoch": name.epoch,
        "version": name.version,
        "sequence": name.sequence,
        "previous": name.previous.map(position_json),
        "before": name.all_before().iter().flat_map(RrSet::lines).collect::<Vec<_>>(),
        "after": name.after.iter().flat_map(RrSet::lines).collect::<Vec<_>>(),
    })
}
