//! Runs every policy on the same wishes, seed after seed, and sets what came of it side by side.

use crate::judge::{self, Prices, Verdict, quantile};
use crate::people::{self, CLOCKS_GO_BACK_MS, Plan, Script, berlin_ms};
use crate::policy::{Knowledge, POLICIES, Policy};
use crate::random::Random;
use crate::world::{self, Told, WorldError, way_ms};
use einhorn_agent::decision::{Rhythm, Watch};
use einhorn_agent::metrics::auc;
use einhorn_agent::model::Model;
use einhorn_agent::trace::{self, Trace};
use einhorn_agent::train::{Options as Training, Samples, train};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Models are trained on seeds from here on, and judged on others.
const TRAINING_SEED: u64 = 1_000_000;
/// How many seeds they are trained on.
const TRAINING_SEEDS: u64 = 8;
/// The night from which batches begin three hours later, in the simulation of that.
const MOVED_NIGHT: u32 = 7;
/// Days of the simulations of drift: a week after each of what happens in them.
const DRIFT_DAYS: u32 = 21;
/// The interval of legacy polling, in milliseconds.
pub const POLLING_MS: u64 = 900_000;

/// What is compared.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Seeds, from 1.
    pub seeds: u64,
    /// Sites.
    pub sites: u16,
    /// Days of each.
    pub days: u32,
    /// What counts as a cost beside waiting.
    pub prices: Prices,
}

impl Options {
    /// The plan of a seed.
    pub fn plan(&self, seed: u64) -> Plan {
        Plan { seed, sites: self.sites, days: self.days, moved_night: None }
    }
}

/// Why nothing can be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// A simulation.
    #[error(transparent)]
    World(#[from] WorldError),
    /// A history that this crate wrote is no trace.
    #[error(transparent)]
    Trace(#[from] einhorn_agent::trace::TraceError),
    /// There is too little to learn from.
    #[error("nothing can be learnt from these simulations: {0}; let them last longer")]
    Train(#[from] einhorn_agent::train::TrainError),
}

/// One policy on one seed.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Mean cost of a change, in milliseconds.
    pub cost_ms: f64,
    /// Latency in the middle, and of the slowest hundredth, in milliseconds.
    pub p50_ms: u64,
    /// See above.
    pub p99_ms: u64,
    /// Share of prepared changes, in percent.
    pub prepared_percent: f64,
    /// Share of changes that moved the home of their names, in percent.
    pub moved_percent: f64,
    /// How often clients had to ask again.
    pub aborts: u64,
    /// Interventions per thousand changes.
    pub interventions: f64,
    /// Conflicts per thousand that textual merging leaves.
    pub textual: f64,
    /// Share of changes that met the hazard, in percent.
    pub met_percent: f64,
    /// From answer to visible everywhere: mean, middle and slowest hundredth, in milliseconds.
    pub synchronised_ms: (f64, u64, u64),
    /// Changes done, and those that were said to be and are in no log.
    pub done: u64,
    /// See above.
    pub lost: u64,
}

/// Polling in place of a commit stream, on the same changes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Polling {
    /// Mean time until all sites show a change, when they ask every quarter of an hour.
    pub real_ms: f64,
    /// The same when they ask so often that it takes as many messages.
    pub budget_ms: f64,
    /// How often that is, in milliseconds.
    pub budget_interval_ms: f64,
}

/// All policies on one seed.
#[derive(Debug, Clone, PartialEq)]
pub struct SeedResult {
    /// The seed.
    pub seed: u64,
    /// By policy.
    pub lines: BTreeMap<Policy, Line>,
    /// Beside the commit stream of the boosted trees.
    pub polling: Polling,
    /// Latencies of each policy, in milliseconds and in order, for a plot.
    pub latencies_ms: BTreeMap<Policy, Vec<u64>>,
    /// Wishes that had no grant.
    pub without_grant: u64,
}

/// The history of a plan, everything done fast.
///
/// # Errors
/// [`CompareError`].
pub fn history(plan: &Plan, known: &Knowledge) -> Result<String, CompareError> {
    let script = people::script(plan);
    let told = world::run(plan, &script, Policy::Fast, known)?;
    Ok(judge::trace(&script, &judge::changes(&script, &told)))
}

/// What policies know that have learnt nothing of these fleets.
pub fn untrained(options: &Options, shipped: Model) -> Knowledge {
    let conflicting = Arc::new(BTreeSet::new());
    Knowledge { model: Arc::new(shipped), prices: options.prices, conflicting }
}

/// What policies know that learn: a model trained on other seeds.
///
/// # Errors
/// [`CompareError`].
pub fn knowledge(
    options: &Options,
    shipped: Model,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Knowledge, CompareError> {
    let untrained = untrained(options, shipped);
    let mut histories = Vec::new();
    for number in 0..TRAINING_SEEDS {
        progress(number, TRAINING_SEEDS);
        let plan = options.plan(TRAINING_SEED + number);
        let trace = trace::read(history(&plan, &untrained)?.as_bytes())?;
        histories.push((format!("simulated {number}"), Samples::of(&trace)));
    }
    let model = train(&histories, &Training::default(), &mut |_, _| ())?;
    Ok(Knowledge { model: Arc::new(model), ..untrained })
}

/// Every policy on one seed.
///
/// # Errors
/// [`CompareError`].
pub fn seed(options: &Options, seed: u64, known: &Knowledge) -> Result<SeedResult, CompareError> {
    let plan = options.plan(seed);
    let script = people::script(&plan);
    let judged = |policy: Policy, known: &Knowledge| -> Result<(Told, Verdict), CompareError> {
        let told = world::run(&plan, &script, policy, known)?;
        let verdict = judge::judge(&script, &told);
        Ok((told, verdict))
    };
    let (_, fast) = judged(Policy::Fast, known)?;
    let known = Knowledge { conflicting: Arc::new(fast.conflicting.clone()), ..known.clone() };
    let mut result = SeedResult {
        seed,
        lines: BTreeMap::new(),
        polling: Polling { real_ms: 0.0, budget_ms: 0.0, budget_interval_ms: 0.0 },
        latencies_ms: BTreeMap::new(),
        without_grant: script.without_grant,
    };
    for policy in POLICIES {
        let verdict = if policy == Policy::Fast {
            fast.clone()
        } else {
            let (told, verdict) = judged(policy, &known)?;
            if policy == Policy::Trees {
                result.polling = polling(&plan, &script, &told, &verdict);
            }
            verdict
        };
        result.lines.insert(policy, line(&verdict, options.prices));
        result.latencies_ms.insert(policy, verdict.latencies_ms);
    }
    Ok(result)
}

fn line(verdict: &Verdict, prices: Prices) -> Line {
    let synchronised = &verdict.synchronised_ms;
    let (prepared_percent, moved_percent) = verdict.prepared_and_moved_percent();
    let mean = |all: &[u64]| all.iter().sum::<u64>() as f64 / all.len().max(1) as f64;
    Line {
        cost_ms: verdict.mean_cost_us(prices) / 1_000.0,
        p50_ms: quantile(&verdict.latencies_ms, 0.5),
        p99_ms: quantile(&verdict.latencies_ms, 0.99),
        prepared_percent,
        moved_percent,
        aborts: verdict.aborts,
        interventions: verdict.interventions_per_thousand(),
        textual: 1000.0 * verdict.textual as f64 / verdict.done.max(1) as f64,
        met_percent: 100.0 * verdict.met.len() as f64 / verdict.done.max(1) as f64,
        synchronised_ms: (
            mean(synchronised),
            quantile(synchronised, 0.5),
            quantile(synchronised, 0.99),
        ),
        done: verdict.done,
        lost: verdict.lost,
    }
}

/// What sites that ask each other for changes now and then would have made of the same changes.
fn polling(plan: &Plan, script: &Script, told: &Told, verdict: &Verdict) -> Polling {
    let ends_ms = script.acts.last().map_or(0, |act| act.at_ms);
    let duration_ms = ends_ms - script.acts.first().map_or(0, |act| act.at_ms);
    let pairs = u64::from(plan.sites) * u64::from(plan.sites - 1);
    // A poll is a question and an answer.
    let budget_ms = (duration_ms * pairs * 2) as f64 / verdict.frames.max(1) as f64;
    let mean_ms = |interval_ms: f64| {
        let mut random = Random::new(plan.seed);
        let (mut sum, mut count) = (0.0, 0u64);
        for (act, _) in script.acts.iter().zip(&told.fates).filter(|(_, fate)| fate.is_done) {
            let others = (1..=plan.sites).filter(|site| *site != act.site);
            let until_shown = others.map(|site| {
                let until_asked = interval_ms * random.below(1 << 20) as f64 / f64::from(1 << 20);
                // The answer is under way when the question has come.
                until_asked + 2.0 * way_ms(act.site, site) as f64
            });
            sum += until_shown.fold(0.0, f64::max);
            count += 1;
        }
        sum / count.max(1) as f64
    };
    Polling {
        real_ms: mean_ms(POLLING_MS as f64),
        budget_ms: mean_ms(budget_ms),
        budget_interval_ms: budget_ms,
    }
}

/// What a model does when the world changes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Drift {
    /// How well it ranked before, if anything met the hazard.
    pub auc_before: Option<f64>,
    /// And after.
    pub auc_after: Option<f64>,
    /// Days from the change until it was told that a batch begins at another time, or that
    /// predictions are wrong, if it was.
    pub noticed_nights: Option<f64>,
    /// Whether that had been told before there was anything to tell.
    pub was_alarmed: bool,
}

/// A model in a world whose batches begin three hours later from one night on, and one whose clocks go
/// back.
///
/// # Errors
/// [`CompareError`].
pub fn drifts(
    options: &Options,
    seed: u64,
    known: &Knowledge,
) -> Result<(Drift, Drift), CompareError> {
    let days = DRIFT_DAYS;
    let plain = Plan { days, ..options.plan(seed) };
    let moved = Plan { moved_night: Some(MOVED_NIGHT), ..plain };
    let drift = |plan: &Plan, changed_ms: u64| -> Result<Drift, CompareError> {
        let trace = trace::read(history(plan, known)?.as_bytes())?;
        Ok(drift(&known.model, &trace, changed_ms as i64))
    };
    Ok((drift(&moved, berlin_ms(MOVED_NIGHT, 0))?, drift(&plain, CLOCKS_GO_BACK_MS)?))
}

fn drift(model: &Model, trace: &Trace, changed_ms: i64) -> Drift {
    let samples = Samples::of(trace);
    let probability = |at: usize| model.probability(&samples.rows[at]);
    let ranked = |wanted: &dyn Fn(i64) -> bool| {
        let rows = (0..samples.len()).filter(|at| wanted(samples.started_ms[*at]));
        let (scores, outcomes): (Vec<f64>, Vec<bool>) =
            rows.map(|at| (f64::from(probability(at)), samples.outcomes[at])).unzip();
        auc(&scores, &outcomes)
    };
    let told_ms = [wrong_since(model, &samples), moved_since(trace)].into_iter().flatten().min();
    let since = told_ms.map(|told_ms| (told_ms - changed_ms) as f64 / 86_400_000.0);
    Drift {
        auc_before: ranked(&|started_ms| started_ms < changed_ms),
        auc_after: ranked(&|started_ms| started_ms >= changed_ms),
        noticed_nights: since.filter(|nights| *nights >= 0.0),
        was_alarmed: since.is_some_and(|nights| nights < 0.0),
    }
}

/// When the watch over calibration raised its alarm.
fn wrong_since(model: &Model, samples: &Samples) -> Option<i64> {
    let mut order: Vec<usize> = (0..samples.len()).collect();
    order.sort_by_key(|at| samples.known_ms[*at]);
    let mut watch = Watch::default();
    let wrong = order.into_iter().find(|at| {
        watch.learn(model.probability(&samples.rows[*at]), samples.outcomes[*at]);
        watch.alarm().is_some()
    });
    wrong.map(|at| samples.known_ms[at])
}

/// When it was told that a batch begins at another time.
fn moved_since(trace: &Trace) -> Option<i64> {
    let mut rhythm = Rhythm::new(trace.actors as usize);
    let mut changes: Vec<_> = trace.changes.iter().collect();
    changes.sort_by_key(|change| change.committed_ms);
    let moved = changes.into_iter().find(|change| {
        rhythm.changed(change.actor.into(), change.name.into(), change.committed_ms).is_some()
    });
    moved.map(|change| change.committed_ms)
}
