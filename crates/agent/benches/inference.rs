//! How long one prediction and one decision take: `cargo bench -p einhorn-agent`.
//!
//! Each call by itself first: median, 99 % and 99.9 %, with what reading the clock takes. Then many
//! calls together by criterion, which tells how sure the mean is.

use criterion::Criterion;
use einhorn_agent::DEFAULT_MODEL;
use einhorn_agent::decision::{Homes, Knobs, Situation, decide};
use einhorn_agent::features::{COUNT, Features};
use einhorn_agent::model::Model;
use std::error::Error;
use std::hint::black_box;
use std::io::Write;
use std::time::Instant;

const CALLS: usize = 1_000_000;
const ROWS: usize = 4096;

/// Rows that differ in every feature.
fn rows() -> Vec<Features> {
    let mut state = 1u64;
    let mut octet = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..ROWS).map(|_| std::array::from_fn::<u8, COUNT, _>(|_| octet())).collect()
}

fn measure(what: &str, mut call: impl FnMut(usize)) -> Result<(), Box<dyn Error>> {
    let mut nanoseconds: Vec<u128> = Vec::with_capacity(CALLS);
    for at in 0..CALLS {
        let start = Instant::now();
        call(at % ROWS);
        nanoseconds.push(start.elapsed().as_nanos());
    }
    nanoseconds.sort_unstable();
    let share = |thousandths: usize| nanoseconds[(CALLS - 1) * thousandths / 1000];
    let (half, most, nearly_all) = (share(500), share(990), share(999));
    writeln!(
        std::io::stdout(),
        "{what:<12} p50 {half:>5} ns   p99 {most:>5} ns   p99.9 {nearly_all:>6} ns"
    )?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let model = Model::from_octets(DEFAULT_MODEL)?;
    let rows = rows();
    writeln!(
        std::io::stdout(),
        "model of {} octets, {} trees",
        DEFAULT_MODEL.len(),
        model.trees.trees.len()
    )?;
    measure("clock", |_| ())?;
    measure("prediction", |at| {
        black_box(model.probability(black_box(&rows[at])));
    })?;
    let knobs = Knobs::default();
    let decide = |at: usize| {
        black_box(decide(&model, true, &knobs, black_box(&situation(rows[at], at)), at as u64));
    };
    measure("decision", decide)?;
    let mut criterion = Criterion::default().configure_from_args();
    let mut at = 0;
    criterion.bench_function("prediction", |bencher| {
        bencher.iter(|| {
            at = (at + 1) % ROWS;
            model.probability(black_box(&rows[at]))
        });
    });
    criterion.bench_function("decision", |bencher| {
        bencher.iter(|| {
            at = (at + 1) % ROWS;
            decide(at);
        });
    });
    criterion.final_summary();
    Ok(())
}

fn situation(features: Features, at: usize) -> Situation {
    let homes = [Homes::Here, Homes::Elsewhere, Homes::Several][at % 3];
    Situation { used_here: 3, ..Situation::usual(features, homes) }
}
