//! The comparison in words and numbers: a table for people, one object for programs.

use crate::compare::{Drift, Line, Options, SeedResult};
use crate::policy::{POLICIES, Policy};
use serde_json::{Value, json};
use std::fmt::Write;

/// A mean over seeds with what 95 of 100 repetitions would stay within.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mean {
    /// The mean.
    pub mean: f64,
    /// Half of the interval's width; 0 for one seed.
    pub half: f64,
}

/// Quantiles of Student's t for 0.975, by degrees of freedom from 1.
const T: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
    2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
    2.052, 2.048, 2.045, 2.042,
];

/// The mean of values, one for each seed.
pub fn mean(values: &[f64]) -> Mean {
    let count = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / count;
    let Some(freedom) = values.len().checked_sub(2) else { return Mean { mean, half: 0.0 } };
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let error = (squares / (count - 1.0) / count).sqrt();
    Mean { mean, half: error * T.get(freedom).copied().unwrap_or(1.96) }
}

/// What one figure should be, and is.
#[derive(Debug, Clone, PartialEq)]
pub struct Aim {
    /// What it is about.
    pub what: &'static str,
    /// In words.
    pub wanted: &'static str,
    /// What was found.
    pub found: Mean,
    /// Whether that is enough.
    pub is_met: bool,
}

/// All results.
pub struct Report<'r> {
    /// What was compared.
    pub options: Options,
    /// By seed.
    pub results: &'r [SeedResult],
    /// Batches that begin three hours later, and clocks that go back.
    pub drifts: (Drift, Drift),
}

impl Report<'_> {
    fn all(&self, figure: impl Fn(&SeedResult) -> f64) -> Mean {
        let values: Vec<f64> = self.results.iter().map(figure).collect();
        mean(&values)
    }

    fn of(&self, policy: Policy, figure: impl Fn(&Line) -> f64) -> Mean {
        self.all(|result| figure(&result.lines[&policy]))
    }

    /// The static policy that costs least.
    pub fn best_static(&self) -> Policy {
        let cost = |policy: &Policy| self.of(*policy, |line| line.cost_ms).mean;
        let fixed = [Policy::Fast, Policy::Forward, Policy::MultiPhase].into_iter();
        fixed.min_by(|one, other| cost(one).total_cmp(&cost(other))).unwrap_or(Policy::Fast)
    }

    /// The share of what the oracle saves over the best static policy that a policy saves, in percent.
    pub fn gap_closed(&self, policy: Policy) -> f64 {
        let cost = |policy| self.of(policy, |line| line.cost_ms).mean;
        let (best, oracle) = (cost(self.best_static()), cost(Policy::Oracle));
        if best > oracle { 100.0 * (best - cost(policy)) / (best - oracle) } else { 0.0 }
    }

    /// How many times fewer interventions there are with boosted trees than another way leaves. Where
    /// hardly any is left it is not known how many there would be: three are counted at least (the rule
    /// of three), so that this is a lower bound.
    fn fewer(&self, other: impl Fn(&Line) -> f64) -> f64 {
        const COUNTED_MIN: f64 = 3.0;
        let count = |policy: Policy, of: &dyn Fn(&Line) -> f64| -> f64 {
            let lines = self.results.iter().map(|result| &result.lines[&policy]);
            lines.map(|line| of(line) * line.done as f64 / 1_000.0).sum()
        };
        count(Policy::Fast, &other)
            / count(Policy::Trees, &|line| line.interventions).max(COUNTED_MIN)
    }

    /// What the design asks for.
    pub fn aims(&self) -> Vec<Aim> {
        let aim = |what, wanted, found: Mean, is_met| Aim { what, wanted, found, is_met };
        let exact = |mean: f64| Mean { mean, half: 0.0 };
        let prepared = self.of(Policy::Trees, |line| line.prepared_percent);
        let slower = self.all(|result| {
            let p99 = |policy| result.lines[&policy].p99_ms as f64;
            p99(Policy::Trees) / p99(Policy::Fast).max(1.0)
        });
        let closed = self.gap_closed(Policy::Trees);
        let faster = self.all(|result| {
            100.0 * (1.0 - result.lines[&Policy::Trees].synchronised_ms.0 / result.polling.real_ms)
        });
        let faster_at_budget = self.all(|result| {
            100.0
                * (1.0 - result.lines[&Policy::Trees].synchronised_ms.0 / result.polling.budget_ms)
        });
        let textual = self.fewer(|line| line.textual);
        let (moved, clocks) = &self.drifts;
        let fall = |drift: &Drift| match (drift.auc_before, drift.auc_after) {
            (Some(before), Some(after)) => before - after,
            _ => f64::NAN,
        };
        let nights = moved.noticed_nights.unwrap_or(f64::INFINITY);
        vec![
            aim("changes prepared, %", "<= 1.5", prepared, prepared.mean <= 1.5),
            aim("p99 latency over always fast", "<= 1.1", slower, slower.mean <= 1.1),
            aim("gap to the oracle closed, %", ">= 50", exact(closed), closed >= 50.0),
            aim("synchronisation latency below polling, %", ">= 37", faster, faster.mean >= 37.0),
            aim(
                "the same at as many messages, %",
                ">= 37",
                faster_at_budget,
                faster_at_budget.mean >= 37.0,
            ),
            aim("interventions, times fewer than textual", ">= 5", exact(textual), textual >= 5.0),
            aim("nights until a moved batch is noticed", "<= 2", exact(nights), nights <= 2.0),
            aim("AUC lost when a batch moves", "<= 0.02", exact(fall(moved)), fall(moved) <= 0.02),
            aim(
                "AUC lost when clocks go back",
                "<= 0.02",
                exact(fall(clocks)),
                fall(clocks) <= 0.02,
            ),
        ]
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        let Options { seeds, sites, days, prices } = self.options;
        let done = self.of(Policy::Fast, |line| line.done as f64);
        let met = self.of(Policy::Fast, |line| line.met_percent);
        writeln!(
            text,
            "{seeds} seeds of {days} days, {sites} sites, {:.0} changes each; {:.2} ± {:.2} % met another \
             writer's under way (always fast); an intervention is priced at {} s, preparing a change at {} ms\n",
            done.mean,
            met.mean,
            met.half,
            prices.intervention_us as f64 / 1e6,
            f64::from(prices.preparing_us) / 1e3,
        )?;
        writeln!(
            text,
            "{:20} {:>19} {:>19} {:>6} {:>7} {:>11} {:>8} {:>7} {:>15} {:>6}",
            "policy",
            "cost ms",
            "less than fast",
            "p50 ms",
            "p99 ms",
            "prepared %",
            "moved %",
            "aborts",
            "interventions ‰",
            "gap %"
        )?;
        for policy in POLICIES {
            let of = |figure: fn(&Line) -> f64| self.of(policy, figure);
            let (cost, interventions) = (of(|line| line.cost_ms), of(|line| line.interventions));
            let saved = self
                .all(|result| result.lines[&Policy::Fast].cost_ms - result.lines[&policy].cost_ms);
            writeln!(
                text,
                "{policy:20} {:>10.2} ± {:>6.2} {:>10.2} ± {:>6.2} {:>6.0} {:>7.0} {:>11.2} {:>8.2} {:>7.1} {:>8.2} ± {:>4.2} {:>6.0}",
                cost.mean,
                cost.half,
                saved.mean,
                saved.half,
                of(|line| line.p50_ms as f64).mean,
                of(|line| line.p99_ms as f64).mean,
                of(|line| line.prepared_percent).mean,
                of(|line| line.moved_percent).mean,
                of(|line| line.aborts as f64).mean,
                interventions.mean,
                interventions.half,
                self.gap_closed(policy),
            )?;
        }
        self.headline(text)?;
        writeln!(text, "\naims, for boosted trees:")?;
        for Aim { what, wanted, found, is_met } in self.aims() {
            let verdict = if is_met { "met" } else { "MISSED" };
            writeln!(
                text,
                "  {what:42} {:>8.2} ± {:.2}  ({wanted}: {verdict})",
                found.mean, found.half
            )?;
        }
        Ok(())
    }

    fn headline(&self, text: &mut String) -> std::fmt::Result {
        let trees = |figure: fn(&Line) -> f64| self.of(Policy::Trees, figure);
        let real = self.all(|result| result.polling.real_ms);
        let budget = self.all(|result| result.polling.budget_ms);
        let interval = self.all(|result| result.polling.budget_interval_ms);
        writeln!(
            text,
            "\nfrom an answer until all sites show it: mean {:.1} ± {:.1} ms, p50 {:.0}, p99 {:.0}\n  \
             polled every 15 min: mean {:.0} s\n  polled every {:.1} s, as many messages: mean {:.1} s",
            trees(|line| line.synchronised_ms.0).mean,
            trees(|line| line.synchronised_ms.0).half,
            trees(|line| line.synchronised_ms.1 as f64).mean,
            trees(|line| line.synchronised_ms.2 as f64).mean,
            real.mean / 1e3,
            interval.mean / 1e3,
            budget.mean / 1e3,
        )?;
        let textual = self.of(Policy::Fast, |line| line.textual);
        let rules = self.of(Policy::Fast, |line| line.interventions);
        let model = self.of(Policy::Trees, |line| line.interventions);
        writeln!(
            text,
            "interventions per thousand changes: textual merging {:.2}, rules alone {:.2}, rules and model \
             {:.2}\n  {:.1} times fewer than textual merging, {:.1} times fewer than rules alone",
            textual.mean,
            rules.mean,
            model.mean,
            self.fewer(|line| line.textual),
            self.fewer(|line| line.interventions),
        )?;
        let (moved, clocks) = &self.drifts;
        for (what, drift) in [("batches three hours later", moved), ("clocks back an hour", clocks)]
        {
            let auc = |auc: Option<f64>| auc.map_or("none".to_owned(), |auc| format!("{auc:.3}"));
            let noticed = match drift.noticed_nights {
                _ if drift.was_alarmed => "told of before".to_owned(),
                Some(nights) => format!("noticed after {nights:.1} nights"),
                None => "nothing told".to_owned(),
            };
            writeln!(
                text,
                "{what}: AUC {} before, {} after; {noticed}",
                auc(drift.auc_before),
                auc(drift.auc_after)
            )?;
        }
        let lost: u64 =
            self.results.iter().flat_map(|one| one.lines.values()).map(|one| one.lost).sum();
        let refused: u64 = self.results.iter().map(|one| one.without_grant).sum();
        writeln!(
            text,
            "{lost} acknowledged changes lost; {refused} claims refused for want of a grant"
        )
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let pair = |mean: Mean| json!({"mean": number(mean.mean), "half_width": number(mean.half)});
        let policies: serde_json::Map<String, Value> = POLICIES
            .iter()
            .map(|policy| {
                let of = |figure: fn(&Line) -> f64| pair(self.of(*policy, figure));
                let value = json!({
                    "cost_ms": of(|line| line.cost_ms),
                    "p50_ms": of(|line| line.p50_ms as f64),
                    "p99_ms": of(|line| line.p99_ms as f64),
                    "prepared_percent": of(|line| line.prepared_percent),
                    "moved_percent": of(|line| line.moved_percent),
                    "aborts": of(|line| line.aborts as f64),
                    "interventions_per_thousand": of(|line| line.interventions),
                    "textual_per_thousand": of(|line| line.textual),
                    "synchronised_mean_ms": of(|line| line.synchronised_ms.0),
                    "gap_closed_percent": number(self.gap_closed(*policy)),
                    "lost": self.results.iter().map(|one| one.lines[policy].lost).sum::<u64>(),
                });
                (policy.to_string(), value)
            })
            .collect();
        let aims: Vec<Value> = self
            .aims()
            .iter()
            .map(|aim| {
                json!({"what": aim.what, "wanted": aim.wanted, "found": pair(aim.found), "met": aim.is_met})
            })
            .collect();
        json!({
            "seeds": self.options.seeds, "sites": self.options.sites, "days": self.options.days,
            "price_us": self.options.prices.intervention_us,
            "preparing_us": self.options.prices.preparing_us, "policies": policies, "aims": aims,
            "polling_mean_ms": pair(self.all(|one| one.polling.real_ms)),
            "polling_same_messages_mean_ms": pair(self.all(|one| one.polling.budget_ms)),
        })
    }
}

/// A number for JSON, which has no infinity.
fn number(value: f64) -> Value {
    if value.is_finite() { json!((value * 1e4).round() / 1e4) } else { Value::Null }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_those_of_students_t() {
        let found = mean(&[1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(found.mean, 3.0);
        // s = 1.5811, s/sqrt(5) = 0.7071, t(4) = 2.776.
        assert!((found.half - 1.963).abs() < 0.001, "{found:?}");
        assert_eq!(mean(&[7.0]), Mean { mean: 7.0, half: 0.0 });
    }
}
