//! Says why a change took its path.

use super::{Decision, PATHS, Record, Speaker};
use crate::features::{SCHEMA, amount_of_level};
use crate::model::{Model, hexadecimal};
use std::fmt::Write;

/// The path, the cost of each alternative, and the three features that mattered, as text of several
/// lines. `decision` is what [`Record::replay`] gave.
pub fn explain(model: &Model, record: &Record, decision: &Decision) -> String {
    let mut text = format!("path: {}, {}\n", decision.path, why(decision.speaker));
    let mut line = |line: String| {
        let _ = writeln!(text, "{line}");
    };
    match decision.probability {
        Some(p) => line(format!(
            "hazard: {:.4} % (model {})",
            f64::from(p) / 1e7,
            hexadecimal(&record.model)
        )),
        None => line("hazard: not predicted".to_owned()),
    }
    line(format!("taken with probability {:.4} %", f64::from(decision.propensity) / 1e7));
    line("expected costs:".to_owned());
    for (path, cost) in PATHS.iter().zip(decision.costs) {
        let name = path.to_string();
        match cost {
            Some(cost_us) => line(format!("  {name:<24} {:>12.3} ms", cost_us as f64 / 1e3)),
            None => line(format!("  {name:<24} {:>12}", "barred")),
        }
    }
    line("what mattered:".to_owned());
    for (feature, by) in model.reasons::<3>(&record.situation.features) {
        let (name, meaning) = SCHEMA[feature];
        let level = record.situation.features[feature];
        let value = match (name.ends_with("_age"), level) {
            (true, 255) => "never".to_owned(),
            (true, _) => duration(amount_of_level(level)),
            (false, _) => format!("level {level}"),
        };
        let factor = crate::numeric::exp(f64::from(by) / 1024.0);
        line(format!("  {name} = {value} ({meaning}): odds times {factor:.2}"));
    }
    text
}

/// Milliseconds, told with as much of them as matters.
fn duration(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..120_000 => format!("{:.1} s", ms as f64 / 1e3),
        120_000..7_200_000 => format!("{} min", ms / 60_000),
        7_200_000..172_800_000 => format!("{} h", ms / 3_600_000),
        _ => format!("{} days", ms / 86_400_000),
    }
}

fn why(speaker: Speaker) -> &'static str {
    match speaker {
        Speaker::Model => "the cheapest for the hazard predicted",
        Speaker::Guardrail => "the only one that the guardrails leave",
        Speaker::Rules => "by fixed rules, since no model is trusted now",
        Speaker::Exploration => "a safe one, tried to learn what it costs",
    }
}
