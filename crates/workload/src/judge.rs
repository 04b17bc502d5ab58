//! What happened, told from the sites' logs: who met whom, what a person would have to settle, and how
//! long everything took.
//!
//! **Hazard**: the one definition of `einhorn_agent::label`, on windows of milliseconds from when a
//! change entered to when it was committed.
//!
//! **Conflict**: a change was ordered after another identity's that it had not seen: the site where it
//! entered showed an older version of the name. Textual merging leaves all of them to a person if both
//! changed the records. Rules settle some (`einhorn_agent::merge`); the rest are **interventions**.
//!
//! What was *prepared* is no conflict. It was made only because the name was, at its home, as the entry
//! site saw it when it was prepared; else it was looked at again with what had come between. Whoever
//! overwrites then does so in a known order, as after a refusal. All that is gained by care rests on
//! counting so.

use crate::people::{Script, Who};
use crate::world::{Shown, Told, acts_by_id, number_of};
use einhorn_agent::label::{Window, overlap};
use einhorn_agent::merge::{Key, Outcome, Side, Values, merge_key};
use einhorn_core::agent::{Path, window_of};
use einhorn_core::model::entry::{Assembler, Body, Change, NameChange};
use einhorn_wire::RecordType;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// A change in the logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Which act it is of.
    pub act: usize,
    /// From when it entered to when it was committed, in milliseconds since 1970.
    pub window: Window,
    /// Whether it was prepared.
    pub is_prepared: bool,
    /// Its names, each with the version it got and the addresses that it has then.
    pub names: Vec<(u16, u64, Values)>,
}

/// Counts of one run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Verdict {
    /// Acts that were done.
    pub done: u64,
    /// Changes in the logs, each with at least one name.
    pub changes: u64,
    /// Those that were prepared.
    pub prepared: u64,
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
    /// The mean cost of a change, in microseconds, at a price of an intervention.
    pub fn mean_cost_us(&self, price_us: u64) -> f64 {
        let took_us: u64 = self.latencies_ms.iter().map(|ms| ms * 1_000).sum();
        (took_us + self.interventions * price_us) as f64 / self.done.max(1) as f64
    }

    /// How many of a thousand changes a person had to settle.
    pub fn interventions_per_thousand(&self) -> f64 {
        1000.0 * self.interventions as f64 / self.done.max(1) as f64
    }

    /// The share of changes that were prepared, in percent.
    pub fn prepared_percent(&self) -> f64 {
        100.0 * self.prepared as f64 / self.changes.max(1) as f64
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
    let name = |name: &NameChange| Some((number_of(&name.owner)?, name.version, addresses(name)));
    let is_prepared = change.path == Path::MultiPhase || change.path == Path::Move;
    Made { act, window, is_prepared, names: change.names.iter().filter_map(name).collect() }
}

fn addresses(name: &NameChange) -> Values {
    let sets = name.after.iter().filter(|set| set.rtype == RecordType::A);
    sets.flat_map(|set| set.lines().collect::<Vec<_>>()).collect()
}

/// The history of the changes as a trace: see `einhorn_agent::trace`.
pub fn trace(script: &Script, made: &[Made]) -> String {
    let seconds = |ms: i64| format!("{}.{:03}", ms / 1000, ms % 1000);
    let mut text = String::from("src,ts,start,name,rtype,op,actor,commit\n");
    for (number, change) in made.iter().enumerate() {
        let who = script.acts[change.act].who.key();
        for (name, version, values) in &change.names {
            let operation = match (values.is_empty(), *version) {
                (true, _) => "del",
                (false, 1) => "add",
                (false, _) => "mod",
            };
            text += &format!(
                "simulated,{},{},n{name}.fleet.test,A,{operation},{who},{number}\n",
                seconds(change.window.1),
                seconds(change.window.0),
            );
        }
    }
    text
}

/// What a history knows of one version of a name.
struct Version<'m> {
    who: Who,
    values: &'m Values,
}

/// Counts everything.
pub fn judge(script: &Script, told: &Told) -> Verdict {
    let made = changes(script, told);
    let mut history: HashMap<u16, BTreeMap<u64, Version<'_>>> = HashMap::new();
    for change in &made {
        for (name, version, values) in &change.names {
            let who = script.acts[change.act].who;
            history.entry(*name).or_default().entry(*version).or_insert(Version { who, values });
        }
    }
    let in_log: BTreeSet<usize> = made.iter().map(|made| made.act).collect();
    let done = told.fates.iter().filter(|fate| fate.is_done).count() as u64;
    let lost = (0..).zip(&told.fates).filter(|(act, fate)| fate.is_done && !in_log.contains(act));
    let mut verdict = Verdict {
        done,
        changes: made.iter().filter(|made| !made.names.is_empty()).count() as u64,
        prepared: made.iter().filter(|made| made.is_prepared && !made.names.is_empty()).count()
            as u64,
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
        change.names.iter().for_each(|(name, ..)| of_name.entry(*name).or_default().push(change));
    }
    let who = |made: &Made| script.acts[made.act].who;
    let mut met = BTreeSet::new();
    for change in made {
        for (name, ..) in &change.names {
            // In the order of their commits: those before its beginning do not overlap.
            let all = &of_name[name];
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
    if change.is_prepared {
        return;
    }
    let (mut is_textual, mut is_intervention) = (false, false);
    for ((name, wanted), seen) in act.wanted.iter().zip(&told.fates[change.act].seen) {
        let Some((_, version, values)) = change.names.iter().find(|(one, ..)| one == name) else {
            continue;
        };
        let of_name = &history[name];
        let between: BTreeMap<_, _> = of_name.range(seen + 1..*version).collect();
        let others = between.values().filter(|other| other.who != act.who);
        if others.clone().next().is_none() {
            continue;
        }
        let base = of_name.get(seen).map(|version| version.values.clone()).unwrap_or_default();
        let theirs = between.values().last().map(|last| last.values.clone()).unwrap_or_default();
        let ours = if wanted.is_some() { values.clone() } else { Values::new() };
        let authors = |all: &mut dyn Iterator<Item = Who>| all.map(Who::key).collect();
        let key = Key {
            name: format!("n{name}"),
            record_type: "A".to_owned(),
            base,
            ours: Side {
                values: ours,
                authors: authors(&mut std::iter::once(act.who)),
                sequence: None,
            },
            theirs: Side {
                values: theirs,
                authors: authors(&mut between.values().map(|version| version.who)),
                sequence: None,
            },
        };
        is_textual |= key.ours_changed() && key.theirs_changed();
        is_intervention |= matches!(merge_key(&key), Outcome::Escalated(_));
    }
    if is_textual {
        verdict.textual += 1;
        verdict.conflicting.insert(change.act);
    }
    verdict.interventions += u64::from(is_intervention);
}

/// From a change's answer until every site shows each of its names as it left them, or newer.
fn synchronised_ms(told: &Told, change: &Made) -> Option<u64> {
    let answered_ms = told.fates[change.act].answered_ms;
    let mut latest = 0;
    for (name, version, values) in &change.names {
        // A name without records is not shown, so that nothing tells since when.
        if values.is_empty() {
            return None;
        }
        for site in &told.shown {
            let shown: &Shown = site.get(name)?;
            let at = shown.partition_point(|(_, one)| one < version);
            latest = latest.max(shown.get(at)?.0);
        }
    }
    (latest > 0).then(|| latest.saturating_sub(answered_ms))
}

/// Stored entries of all logs, in octets: what two runs of one seed must have the same.
pub fn fingerprint(told: &Told) -> Vec<Arc<[u8]>> {
    told.logs.iter().flatten().cloned().collect()
}
