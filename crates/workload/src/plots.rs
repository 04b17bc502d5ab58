//! Two pictures of a comparison, as SVG: what policies cost, and how long changes take.

use crate::compare::SeedResult;
use crate::judge::quantile;
use crate::policy::{POLICIES, Policy};
use crate::report::mean;
use std::fmt::Write;

const WIDTH: f64 = 760.0;
const LEFT: f64 = 170.0;
const ROW: f64 = 30.0;
/// Colours of the policies, in their order.
const COLOURS: [&str; 9] = [
    "#000000", "#0072b2", "#56b4e9", "#999999", "#e69f00", "#f0e442", "#cc79a7", "#009e73",
    "#d55e00",
];

fn begin(title: &str, height: f64) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"24\" font-size=\"16\">{title}</text>\n"
    )
}

fn coloured() -> impl Iterator<Item = (Policy, &'static str)> {
    POLICIES.into_iter().zip(COLOURS)
}

/// The mean cost of a change by policy, with intervals over seeds.
pub fn costs(results: &[SeedResult]) -> String {
    let cost = |policy: Policy| {
        let values: Vec<f64> = results.iter().map(|one| one.lines[&policy].cost_ms).collect();
        mean(&values)
    };
    let most = POLICIES.iter().map(|policy| cost(*policy)).map(|cost| cost.mean + cost.half);
    let most = most.fold(1e-9, f64::max);
    let scale = (WIDTH - LEFT - 90.0) / most;
    let mut svg = begin("Mean cost of a change, ms (bars: 95 % over seeds)", 50.0 + ROW * 9.5);
    for (row, (policy, colour)) in coloured().enumerate() {
        let (found, top) = (cost(policy), 42.0 + ROW * row as f64);
        let (middle, end) = (top + 10.0, LEFT + found.mean * scale);
        let (low, high) = (end - found.half * scale, end + found.half * scale);
        // Writing to a String cannot fail.
        let _ = writeln!(
            svg,
            "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{policy}</text>\
             <rect x=\"{LEFT}\" y=\"{top:.0}\" width=\"{:.1}\" height=\"20\" fill=\"{colour}\"/>\
             <path d=\"M{low:.1} {middle:.0}H{high:.1}\" stroke=\"#444\" stroke-width=\"2\"/>\
             <text x=\"{:.1}\" y=\"{:.0}\">{:.2}</text>",
            LEFT - 8.0,
            top + 15.0,
            found.mean * scale,
            high + 8.0,
            top + 15.0,
            found.mean
        );
    }
    svg + "</svg>\n"
}

/// The share of changes answered within a time, by policy, over the first seed's changes.
pub fn latencies(results: &[SeedResult]) -> String {
    let height = 420.0;
    let mut svg = begin("Share of changes answered within so many ms", height);
    let Some(first) = results.first() else { return svg + "</svg>\n" };
    let slowest = first.latencies_ms.values().map(|all| quantile(all, 0.999)).max().unwrap_or(1);
    let across = (WIDTH - LEFT - 30.0) / slowest.max(1) as f64;
    let up = |share: f64| height - 50.0 - share * (height - 100.0);
    for percent in [0u8, 50, 90, 100] {
        let y = up(f64::from(percent) / 100.0);
        let _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {y:.1}H{:.0}\" stroke=\"#ddd\"/><text x=\"{:.0}\" y=\"{:.1}\" \
             text-anchor=\"end\">{percent} %</text>",
            WIDTH - 30.0,
            LEFT - 8.0,
            y + 4.0
        );
    }
    for (row, (policy, colour)) in coloured().enumerate() {
        let all = &first.latencies_ms[&policy];
        let mut path = format!("M{LEFT} {:.1}", up(0.0));
        for step in 1..=200u32 {
            let share = f64::from(step) / 200.0;
            let at = quantile(all, share).min(slowest) as f64;
            let _ = write!(path, "L{:.1} {:.1}", LEFT + at * across, up(share));
        }
        let y = 60.0 + 18.0 * row as f64;
        let _ = writeln!(
            svg,
            "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.6\"/>\
             <text x=\"8\" y=\"{y:.0}\" fill=\"{colour}\">{policy}</text>"
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{LEFT}\" y=\"{:.0}\">0</text><text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">\
         {slowest} ms</text>",
        height - 28.0,
        WIDTH - 30.0,
        height - 28.0
    );
    svg + "</svg>\n"
}
