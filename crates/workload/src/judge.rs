//! What happened, told from the sites' logs: who met whom, what a person would have to settle, and how
//! long everything took.
//!
//! **Hazard**: the one definition of `einhorn_agent::label`, on windows of milliseconds from when a
//! change entered to when it was committed.
//!
//! **Conflict**: a change was ordered after another identity's that it had not seen: the site where it
//! entered showed an older version of the name. Textual merging leaves all of them to a person: what is
//! at one name stands together in every file of a zone. Rules settle some (`einhorn_agent::merge`); the
//! rest are **interventions**.
//!
//! What was *prepared* is no conflict. It was made only because the name was, at its home, as the entry
//! site saw it when it was prepared; else it was looked at again with what had come between. Whoever
//! overwrites then does so in a known order, as after a refusal. All that is gained by care rests on
//! counting so.

use crate::people::{Script, Who, Wish};
use crate::world::{Shown, Told, acts_by_id, number_of};
use einhorn_agent::label::{Window, overlap};
use einhorn_agent::merge::{Key, Outcome, Side, Values, merge_key};
use einhorn_core::agent::{Path, changed, window_of};
use einhorn_core::model::entry::{Assembler, Body, Change, NameChange};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What is at a name, by record type.
pub type Records = BTreeMap<String, Values>;

/// What a change made of one of its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeName {
    /// Its number.
    pub name: u16,
    /// The version that it got.
    pub version: u64,
    /// What is there then.
    pub after: Records,
    /// The record types that changed, and whether nothing is left of each.
    pub changed: Vec<(String, bool)>,
}

/// A change in the logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Which act it is of.
    pub act: usize,
    /// From when it entered to when it was committed, in milliseconds since 1970.
    pub window: Window,
    /// The path that it took.
    pub path: Path,
    /// Its names.
    pub names: Vec<MadeName>,
}

/// What counts as a cost beside waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prices {
    /// What a person has to settle, in microseconds of waiting.
    pub intervention_us: u64,
    /// What is prepared: its entries, and that others wait for its names.
    pub preparing_us: u32,
}

/// Counts of one run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Verdict {
    /// Acts that were done.
    pub done: u64,
    /// Changes in the logs, each with at least one name.
    pub changes: u64,
    /// Those that were prepared where their names are at home.
    pub prepared: u64,
    /// Those that were prepared to move the home of their names.
    pub moved: u64,
    /// How often clients were told to ask again.
    pub aborts: u64,
    /// Acts that met the hazard.
    pub met: BTreeSet<usize>,
    /// Acts that were ordered after what they had not seen, as textual merging counts.
    pub conflicting: BTreeSet<usize>,
    /// Conflicts that textual merging leaves to a person.
    pub textual: u64,
    /// Those that rules leave.
    pub interventions: u64,
    /// From the wish to its answer, in milliseconds, in order of size.
    pub latencies_ms: Vec<u64>,
    /// From the answer to when every site shows it, in milliseconds, in order of size.
    pub synchronised_ms: Vec<u64>,
    /// Acts that were answered as done and are in no log. Always none, or the product is broken.
    pub lost: u64,
    /// Frames between sites.
    pub frames: u64,
}

impl Verdict {
    /// The mean cost of a change, in microseconds.
    pub fn mean_cost_us(&self, prices: Prices) -> f64 {
        let took_us: u64 = self.latencies_ms.iter().map(|ms| ms * 1_000).sum();
        let settled_us = self.interventions * prices.intervention_us;
        let prepared_us = (self.prepared + self.moved) * u64::from(prices.preparing_us);
        (took_us + settled_us + prepared_us) as f64 / self.done.max(1) as f64
    }

    /// How many of a thousand changes a person had to settle.
    pub fn interventions_per_thousand(&self) -> f64 {
        1000.0 * self.interventions as f64 / self.done.max(1) as f64
    }

    /// The shares of changes that were prepared, and of those that moved a home, in percent.
    pub fn prepared_and_moved_percent(&self) -> (f64, f64) {
        let share = |count: u64| 100.0 * count as f64 / self.changes.max(1) as f64;
        (share(self.prepared), share(self.moved))
    }
}

/// The value at a share of ordered values; 0 if there are none.
pub fn quantile(ordered: &[u64], share: f64) -> u64 {
    let at = (ordered.len() as f64 * share) as usize;
    ordered.get(at.min(ordered.len().saturating_sub(1))).copied().unwrap_or(0)
}

/// All changes of all logs that somebody wanted.
pub fn changes(script: &Script, told: &Told) -> Vec<Made> {
    let acts = acts_by_id(script.acts.len());
    let mut made = Vec::new();
    for log in &told.logs {
        let mut assembler = Assembler::default();
        for stored in log {
            // What the commit has written it has read back already, at the other sites.
            let Ok(Some(entry)) = assembler.next(stored) else { continue };
            if matches!(entry.body, Body::Intent { .. }) {
                continue;
            }
            for change in entry.body.changes() {
                let asked = std::iter::once(&change.request);
                let all = asked.chain(change.stands_for.iter().map(|(id, _)| id));
                let known: Vec<usize> = all.filter_map(|id| acts.get(id).copied()).collect();
                let window = window_of(change, entry.time_ms);
                made.extend(known.iter().map(|act| one(*act, change, window)));
            }
        }
    }
    made.sort_by_key(|made| (made.window.1, made.act));
    made
}

fn one(act: usize, change: &Change, window: Window) -> Made {
    let names = change.names.iter().filter_map(made_name).collect();
    Made { act, window, path: change.path, names }
}

fn made_name(name: &NameChange) -> Option<MadeName> {
    let mut after = Records::new();
    for set in name.after.iter() {
        after.entry(set.rtype.to_string()).or_default().extend(set.lines());
    }
    let changed = changed(name).map(|(rtype, is_gone)| (rtype.to_string(), is_gone));
    Some(MadeName {
        name: number_of(&name.owner)?,
        version: name.version,
        after,
        changed: changed.collect(),
    })
}

/// The history of the changes as a trace: see `einhorn_agent::trace`.
pub fn trace(script: &Script, made: &[Made]) -> String {
    let seconds = |ms: i64| format!("{}.{:03}", ms / 1000, ms % 1000);
    let mut text = String::from("src,ts,start,name,rtype,op,actor,commit\n");
    for (number, change) in made.iter().enumerate() {
        let who = script.acts[change.act].who.key();
        for made in &change.names {
            for (rtype, is_gone) in &made.changed {
                let operation = match (is_gone, made.version) {
                    (true, _) => "del",
                    (false, 1) => "add",
                    (false, _) => "mod",
                };
                text += &format!(
                    "simulated,{},{},n{}.fleet.test,{rtype},{operation},{who},{number}\n",
                    seconds(change.window.1),
                    seconds(change.window.0),
                    made.name,
                );
            }
        }
    }
    text
}

/// What a history knows of one version of a name.
struct Version<'m> {
    who: Who,
    records: &'m Records,
}

/// Counts everything.
pub fn judge(script: &Script, told: &Told) -> Verdict {
    let made = changes(script, told);
    let mut history: HashMap<u16, BTreeMap<u64, Version<'_>>> = HashMap::new();
    for change in &made {
        for MadeName { name, version, after: records, .. } in &change.names {
            let who = script.acts[change.act].who;
            history.entry(*name).or_default().entry(*version).or_insert(Version { who, records });
        }
    }
    let in_log: BTreeSet<usize> = made.iter().map(|made| made.act).collect();
    let done = told.fates.iter().filter(|fate| fate.is_done).count() as u64;
    let lost = (0..).zip(&told.fates).filter(|(act, fate)| fate.is_done && !in_log.contains(act));
    let count = |is_counted: &dyn Fn(&Made) -> bool| {
        made.iter().filter(|made| !made.names.is_empty() && is_counted(made)).count() as u64
    };
    let mut verdict = Verdict {
        done,
        changes: count(&|_| true),
        prepared: count(&|made| made.path == Path::MultiPhase),
        moved: count(&|made| made.path == Path::Move),
        aborts: told.fates.iter().map(|fate| u64::from(fate.again)).sum(),
        met: met(script, &made),
        lost: lost.count() as u64,
        frames: told.frames,
        ..Verdict::default()
    };
    for (act, fate) in script.acts.iter().zip(&told.fates).filter(|(_, fate)| fate.is_done) {
        verdict.latencies_ms.push(fate.answered_ms - act.at_ms);
    }
    verdict.latencies_ms.sort_unstable();
    for change in &made {
        conflicts(script, told, &history, change, &mut verdict);
        verdict.synchronised_ms.extend(synchronised_ms(told, change));
    }
    verdict.synchronised_ms.sort_unstable();
    verdict
}

/// Acts whose changes met another identity's.
fn met(script: &Script, made: &[Made]) -> BTreeSet<usize> {
    let mut of_name: HashMap<u16, Vec<&Made>> = HashMap::new();
    for change in made {
        change.names.iter().for_each(|made| of_name.entry(made.name).or_default().push(change));
    }
    let who = |made: &Made| script.acts[made.act].who;
    let mut met = BTreeSet::new();
    for change in made {
        for made in &change.names {
            // In the order of their commits: those before its beginning do not overlap.
            let all = &of_name[&made.name];
            let first = all.partition_point(|other| other.window.1 < change.window.0);
            let mut later =
                all[first..].iter().take_while(|other| other.window.0 <= change.window.1 + FAR_MS);
            if later.any(|other| who(other) != who(change) && overlap(change.window, other.window))
            {
                met.insert(change.act);
            }
        }
    }
    met
}

/// No change is under way for longer, in milliseconds: what begins later was not committed before.
const FAR_MS: i64 = 30_000;

fn conflicts(
    script: &Script,
    told: &Told,
    history: &HashMap<u16, BTreeMap<u64, Version<'_>>>,
    change: &Made,
    verdict: &mut Verdict,
) {
    let act = &script.acts[change.act];
    if change.path.is_prepared() {
        return;
    }
    let (mut is_textual, mut is_intervention) = (false, false);
    for ((name, wish), seen) in act.wanted.iter().zip(&told.fates[change.act].seen) {
        let Some(made) = change.names.iter().find(|made| made.name == *name) else { continue };
        let of_name = &history[name];
        let between: BTreeMap<_, _> = of_name.range(seen + 1..made.version).collect();
        if between.values().all(|other| other.who == act.who) {
            continue;
        }
        let none = Records::new();
        let base = of_name.get(seen).map_or(&none, |version| version.records);
        let theirs = between.values().last().map_or(&none, |last| last.records);
        let record_type = type_of(*wish);
        let of_type = |records: &Records| records.get(record_type).cloned().unwrap_or_default();
        let authors = |all: &mut dyn Iterator<Item = Who>| all.map(Who::key).collect();
        let key = Key {
            name: format!("n{name}"),
            record_type: record_type.to_owned(),
            base: of_type(base),
            ours: Side {
                // Whoever names a value replaces all of its type.
                values: of_type(&made.after),
                authors: authors(&mut std::iter::once(act.who)),
                sequence: None,
            },
            theirs: Side {
                values: of_type(theirs),
                authors: authors(&mut between.values().map(|version| version.who)),
                sequence: None,
            },
        };
        is_textual |= key.ours_changed() && base != theirs;
        is_intervention |= matches!(merge_key(&key), Outcome::Escalated(_));
    }
    if is_textual {
        verdict.textual += 1;
        verdict.conflicting.insert(change.act);
    }
    verdict.interventions += u64::from(is_intervention);
}

/// The record type that a wish is about.
fn type_of(wish: Wish) -> &'static str {
    match wish {
        Wish::Address(_) | Wish::NoAddress => "A",
        Wish::Network(_) => "AAAA",
        Wish::Note(_) => "TXT",
    }
}

/// From a change's answer until every site shows each of its names as it left them, or newer.
fn synchronised_ms(told: &Told, change: &Made) -> Option<u64> {
    let answered_ms = told.fates[change.act].answered_ms;
    let mut latest = 0;
    for made in &change.names {
        // A name without records is not shown, so that nothing tells since when.
        if made.after.is_empty() {
            return None;
        }
        for site in &told.shown {
            let shown: &Shown = site.get(&made.name)?;
            let at = shown.partition_point(|(_, version)| *version < made.version);
            latest = latest.max(shown.get(at)?.0);
        }
    }
    (latest > 0).then(|| latest.saturating_sub(answered_ms))
}
