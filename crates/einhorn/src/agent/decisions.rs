//! `einhorn agent status`, `explain`, `replay`, `history` and `promote`: what the agents of the sites
//! decided, from the ledger's files.

use crate::ledger::logs::Logs;
use crate::ledger::look::entry_named;
use crate::source;
use crate::{Failure, Outcome, print};
use einhorn_agent::decision::{Case, Knobs, RecordError, contest, explain};
use einhorn_agent::features::number_of;
use einhorn_agent::label::{Window, overlap};
use einhorn_agent::model::{Model, hexadecimal};
use einhorn_core::agent::{Advised, changed, is_somebodys, window_of};
use einhorn_core::model::Position;
use einhorn_core::model::entry::{Body, Cause, Change, Entry, NameChange};
use einhorn_ingress::control::AgentLine;
use einhorn_node::agent::{current_model, model_of, put_in_force};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// `einhorn agent status`.
pub(super) fn status(data: &Path, json: bool) -> Outcome {
    let Some(agent) = crate::status::ask(data)?.agent else {
        return match json {
            true => print("null"),
            false => print("the agent is switched off: fixed rules speak"),
        };
    };
    if json {
        return print(serde_json::to_string_pretty(&agent).map_err(Failure::finding)?);
    }
    print(text(&agent).trim_end())
}

fn text(agent: &AgentLine) -> String {
    let counts = |list: &[(String, u64)]| {
        let some = list.iter().filter(|(_, count)| *count > 0);
        let words: Vec<_> = some.map(|(what, count)| format!("{what} {count}")).collect();
        if words.is_empty() { "none yet".to_owned() } else { words.join(", ") }
    };
    let trust = match &agent.alarm {
        None => "trusted".to_owned(),
        Some(alarm) => format!(
            "NOT TRUSTED: {alarm}; fixed rules speak until predictions come true again, or the node restarts"
        ),
    };
    let moved = match &agent.moved {
        None => String::new(),
        Some(moved) => format!("a batch begins at another time now: {moved}\n"),
    };
    let knobs = &agent.knobs;
    format!(
        "model {}, {trust}\n{moved}knobs: caution {} %, held {} ms, moves after {}\npaths advised: {}\nspoken by: {}\nremembered: {} names\nunder way: {} requests\noutcomes known: {}, of which {} met another identity's change\nmeasured: forward {:.1} ms, multi-phase {:.1} ms\n",
        agent.model,
        knobs.caution_percent,
        knobs.coalesce_ms,
        knobs.move_after,
        counts(&agent.paths),
        counts(&agent.speakers),
        agent.names,
        agent.pending,
        agent.settled,
        agent.met,
        f64::from(agent.forward_us) / 1e3,
        f64::from(agent.multi_phase_us) / 1e3,
    )
}

/// `einhorn agent explain`.
pub(super) fn explain_entry(place: &str, source: &source::Arguments) -> Outcome {
    let (index, entry) = entry_named(place, source)?;
    let data = source.data.as_deref().unwrap_or(Path::new("."));
    let mut found = false;
    for change in entry.body.all_changes() {
        let Some(decision) = &change.decision else { continue };
        found = true;
        let names: Vec<_> = change.names.iter().map(|name| name.owner.to_string()).collect();
        let names = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
        print(format_args!(
            "entry {index}: {} changes {names}, entered at site {} and took the path {}",
            change.who, change.entered_site, change.path
        ))?;
        let model = model_for(data, decision)?;
        let again = decision.record.replay(&model).map_err(Failure::finding)?;
        print(explain(&model, &decision.record, &again).trim_end())?;
    }
    match found {
        true => Ok(()),
        false => Err(Failure::finding(format!(
            "entry {index} has no decision: no agent was asked, but fixed rules, or it is no device's change"
        ))),
    }
}

fn model_for(data: &Path, decision: &Advised) -> Result<Model, Failure> {
    let hash = decision.record.model;
    model_of(data, hash).map_err(Failure::finding)?.ok_or_else(|| {
        Failure::finding(format!(
            "made by model {}, which is not in {}: copy agent-{}.model from the site where the change entered",
            hexadecimal(&hash),
            data.display(),
            hexadecimal(&hash)
        ))
    })
}

/// `einhorn agent replay`: makes every decision again.
pub(super) fn replay(data: &Path) -> Outcome {
    let mut models: HashMap<[u8; 8], Option<Model>> = HashMap::new();
    let (mut same, mut unknown) = (0u64, BTreeMap::<String, u64>::new());
    let mut wrong = Vec::new();
    for (at, entry) in &entries(data)? {
        for decision in entry.body.changes().iter().filter_map(|change| change.decision.as_ref()) {
            let hash = decision.record.model;
            if let std::collections::hash_map::Entry::Vacant(vacant) = models.entry(hash) {
                vacant.insert(model_of(data, hash).map_err(Failure::finding)?);
            }
            let Some(Some(model)) = models.get(&hash) else {
                *unknown.entry(hexadecimal(&hash)).or_default() += 1;
                continue;
            };
            match decision.record.replay(model) {
                Ok(_) => same += 1,
                Err(error @ RecordError::OtherModel) => {
                    *unknown.entry(format!("{}: {error}", hexadecimal(&hash))).or_default() += 1;
                }
                Err(error) => wrong.push(format!("{at}: {error}")),
            }
        }
    }
    print(format_args!("{same} decisions made again, bit for bit the same"))?;
    for (model, count) in &unknown {
        print(format_args!("{count} decisions of model {model}, which is not here"))?;
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(Failure::finding(wrong.join("\n"))),
    }
}

/// `einhorn agent history`: what happened, as a trace to train on and evaluate with.
pub(super) fn history(data: &Path) -> Outcome {
    let entries = entries(data)?;
    let mut asked: HashMap<Position, &Change> = HashMap::new();
    for (at, entry) in &entries {
        if let Body::Review(review) = &entry.body {
            asked.insert(*at, &review.change);
        }
    }
    print("src,ts,start,name,rtype,op,actor,commit,review")?;
    for (at, entry) in &entries {
        for change in entry.body.changes().iter().filter(|change| is_somebodys(change)) {
            let window = window_of(change, entry.time_ms);
            let commit = format!("{at}");
            match &change.cause {
                // Who had asked for it is told, and from when; what the person made of it is not.
                Cause::Review { review, choice, .. } => {
                    let Some(first) = asked.get(review) else { continue };
                    let window = (window_of(first, entry.time_ms).0, window.1);
                    let review = format!("{choice:?}").to_lowercase();
                    for name in &first.names {
                        rows(name, first, window, &commit, &review)?;
                    }
                }
                _ => {
                    for name in &change.names {
                        rows(name, change, window, &commit, "")?;
                    }
                }
            }
        }
    }
    Ok(())
}

fn rows(name: &NameChange, change: &Change, window: Window, commit: &str, review: &str) -> Outcome {
    let seconds = |ms: i64| format!("{}.{:03}", ms / 1000, ms % 1000);
    for (rtype, deletes) in changed(name) {
        let operation = match (deletes, name.version) {
            (true, _) => "del",
            (false, 1) => "add",
            (false, _) => "mod",
        };
        print(format_args!(
            "ledger,{},{},{},{rtype},{operation},{:016x},{commit},{review}",
            seconds(window.1),
            seconds(window.0),
            field(&name.owner.to_string()),
            change.writer().0,
        ))?;
    }
    Ok(())
}

/// A text as one field of a row (RFC 4180 §2): names may have commas and quotes in them.
fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// `einhorn agent promote`: a challenger takes the model's place if it decides better on what has
/// already happened.
pub(super) fn promote(file: &Path, data: &Path, force: bool) -> Outcome {
    let challenger = Model::from_octets(&super::read_file(file)?)
        .map_err(|error| Failure::usage(format!("{}: {error}", file.display())))?;
    let champion = current_model(data).map_err(Failure::finding)?;
    let cases = cases(&entries(data)?);
    let met = cases.iter().filter(|case| case.met).count();
    let found = contest(&champion, &challenger, &Knobs::default(), &cases);
    let (old, new) = (hexadecimal(&champion.hash()), hexadecimal(&challenger.hash()));
    print(format_args!(
        "{} decisions of this folder's logs, of which {met} met another identity's change\nchampion   {old}: {:.3} ms expected in all\nchallenger {new}: {:.3} ms\nsaved: {:.4} ms a decision, standard error {:.4} ms",
        cases.len(),
        found.champion_us as f64 / 1e3,
        found.challenger_us as f64 / 1e3,
        found.saved_us / 1e3,
        found.error_us / 1e3,
    ))?;
    if !found.promote && !force {
        return Err(Failure::finding(
            "not promoted: it does not save more than two standard errors (--force promotes it nevertheless)",
        ));
    }
    put_in_force(data, &challenger).map_err(Failure::finding)?;
    print(format_args!("promoted: the node predicts with {new} from its next start on"))
}

/// Every decision with what became of it.
fn cases(entries: &[(Position, Entry)]) -> Vec<Case> {
    let changes = || {
        entries.iter().flat_map(|(_, entry)| {
            let somebodys = entry.body.changes().iter().filter(|change| is_somebodys(change));
            somebodys.map(|change| (change, window_of(change, entry.time_ms)))
        })
    };
    let key = |name: &NameChange| number_of(&name.owner.to_string());
    let mut of_name: HashMap<u64, Vec<(u64, Window)>> = HashMap::new();
    for (change, window) in changes() {
        for name in &change.names {
            of_name.entry(key(name)).or_default().push((change.writer().0, window));
        }
    }
    let case = |(change, window): (&Change, Window)| {
        let situation = change.decision.as_ref()?.record.situation;
        let is_met = |name: &NameChange| {
            let others = of_name.get(&key(name)).into_iter().flatten();
            let mut others = others.filter(|(actor, _)| *actor != change.writer().0);
            others.any(|(_, other)| overlap(window, *other))
        };
        Some(Case { situation, met: change.names.iter().any(is_met) })
    };
    changes().filter_map(case).collect()
}

/// All entries of all logs in a data folder, by time.
fn entries(data: &Path) -> Result<Vec<(Position, Entry)>, Failure> {
    let mut entries = Vec::new();
    Logs::open(data, None)?.visit(&mut |at, entry| {
        if !entry.body.changes().is_empty() || matches!(entry.body, Body::Review(_)) {
            entries.push((at, entry));
        }
    })?;
    entries.sort_by_key(|(at, entry)| (entry.time_ms, *at));
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn a_name_is_one_field_whatever_it_is_called() {
        for name in ["anna.example.", "a,b.example.", "say \"a\", b.example."] {
            let text = format!("ts,start,name,rtype,op,actor\n1,1,{},A,add,x\n", field(name));
            let trace = einhorn_agent::trace::read(text.as_bytes()).expect("a trace");
            assert_eq!(trace.names, [name.trim_end_matches('.')]);
        }
    }
}
