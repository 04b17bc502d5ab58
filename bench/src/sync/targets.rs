//! What is wanted of several sites, and whether it was found.

use super::tables::{at_rate, cell};
use super::{FAST, Found, Played, SLOW, Scene};
use crate::sheet::Target;
use crate::verdict::DISTURBED;

/// Processor time that others may take of each second.
const OTHERS_MAX: f64 = 0.3;
/// p99 at the higher rate against the best peer's.
const P99_FACTOR_MAX: f64 = 0.1;
/// p99 at the lower rate against tuned BIND's.
const SLOW_FACTOR_MAX: f64 = 0.7;
/// p50 against a secondary that polls.
const POLLING_FACTOR_MAX: f64 = 0.001;
/// Acknowledgement by all sites, p99.
const ALL_MS_MAX: f64 = 3.0;
/// Throughput with a majority against one site's.
const MAJORITY_FACTOR_MIN: f64 = 0.5;
/// One at a time with three sites against one site.
const ONE_FACTOR_MAX: f64 = 1.1;

/// The scenes during which others used the processors.
pub(super) fn disturbed(played: &[Played]) -> Vec<&'static str> {
    let is_disturbed = |one: &&Played| {
        let others = |rate| cell(one, |found| Some(at_rate(found, rate)?.others));
        [SLOW, FAST].iter().any(|rate| others(*rate).is_some_and(|cell| cell.value > OTHERS_MAX))
    };
    played.iter().filter(is_disturbed).map(|one| one.scene.name()).collect()
}

struct Judge<'a> {
    played: &'a [Played],
    is_disturbed: bool,
}

/// All targets.
pub(super) fn judge(played: &[Played], is_disturbed: bool) -> Vec<Target> {
    let judge = Judge { played, is_disturbed };
    let p99 = |scene, rate| judge.visible(scene, rate, 99);
    let peers = [Scene::BindNotify, Scene::Knot, Scene::BindPolling];
    let best = |rate| peers.into_iter().filter_map(|peer| p99(peer, rate)).min_by(f64::total_cmp);
    let polling = |rate| judge.visible(Scene::BindPolling, rate, 50);
    let one = |scene| {
        judge.median(scene, |found| Some(found.one.as_ref()?.measurement.p50? as f64 / 1e6))
    };
    let many = |scene| {
        judge.median(scene, |found| Some(found.many.as_ref()?.measurement.updates_per_second))
    };
    let at_most = |most: f64| move |found: f64| found <= most;
    let mut targets = Vec::new();
    for (scene, names) in [(Scene::Home, "names at home there"), (Scene::Forwarded, "forwarded")] {
        targets.push(judge.ratio(
            format!("visible elsewhere, p99 at {FAST}/s ({names}): at most {P99_FACTOR_MAX} times the best peer's"),
            (p99(scene, FAST), best(FAST)),
            "ms",
            at_most(P99_FACTOR_MAX),
        ));
        targets.push(judge.ratio(
            format!("p99 at {SLOW}/s ({names}): at most {SLOW_FACTOR_MAX} times tuned BIND's"),
            (p99(scene, SLOW), p99(Scene::BindNotify, SLOW)),
            "ms",
            at_most(SLOW_FACTOR_MAX),
        ));
    }
    for rate in [SLOW, FAST] {
        targets.push(judge.ratio(
            format!("p50 at {rate}/s: 99.9 % below a secondary that polls every 5 s"),
            (judge.visible(Scene::Home, rate, 50), polling(rate)),
            "ms",
            at_most(POLLING_FACTOR_MAX),
        ));
    }
    targets.push(judge.all_p99());
    targets.push(judge.violations());
    targets.push(judge.ratio(
        format!("`majority` of three sites: at least {MAJORITY_FACTOR_MIN} times the updates/s of one site"),
        (many(Scene::Majority), many(Scene::OneSite)),
        "updates/s",
        |found| found >= MAJORITY_FACTOR_MIN,
    ));
    targets.push(judge.ratio(
        format!("`local`, one in flight, p50 with three sites: at most {ONE_FACTOR_MAX} times that of one site"),
        (one(Scene::Home), one(Scene::OneSite)),
        "ms",
        at_most(ONE_FACTOR_MAX),
    ));
    targets
}

impl Judge<'_> {
    fn median(&self, scene: Scene, get: impl Fn(&Found) -> Option<f64>) -> Option<f64> {
        let one = self.played.iter().find(|one| one.scene == scene)?;
        cell(one, get).map(|cell| cell.value)
    }

    fn visible(&self, scene: Scene, rate: u32, percent: u32) -> Option<f64> {
        self.median(scene, |found| at_rate(found, rate)?.shown.visible_ms(percent))
    }

    fn verdict(&self, is_reached: Option<bool>) -> String {
        match is_reached {
            None => "not measured".to_owned(),
            Some(_) if self.is_disturbed => format!("**not judged**: {DISTURBED}"),
            Some(true) => "reached".to_owned(),
            Some(false) => "**missed**".to_owned(),
        }
    }

    fn ratio(
        &self,
        title: String,
        (ours, theirs): (Option<f64>, Option<f64>),
        unit: &str,
        is_reached: impl Fn(f64) -> bool,
    ) -> Target {
        let both = ours.zip(theirs).filter(|(_, theirs)| *theirs > 0.0);
        let found = both.map(|(ours, theirs)| {
            let ratio = ours / theirs;
            let decimals = if theirs < 1000.0 { 2 } else { 0 };
            let ours_decimals = if ours < 1000.0 { 2 } else { 0 };
            if ratio < 0.01 {
                format!("{ratio:.5}: {ours:.ours_decimals$} against {theirs:.decimals$} {unit}")
            } else {
                format!("{ratio:.2}: {ours:.ours_decimals$} against {theirs:.decimals$} {unit}")
            }
        });
        let verdict = self.verdict(both.map(|(ours, theirs)| is_reached(ours / theirs)));
        Target { title, found, verdict }
    }

    fn all_p99(&self) -> Target {
        let found = self.median(Scene::All, |found| found.fast.as_ref()?.shown.acknowledged_ms(99));
        Target {
            title: format!("`ack = all` at {FAST}/s: acknowledged within {ALL_MS_MAX} ms, p99"),
            found: found.map(|ms| format!("{ms:.2} ms")),
            verdict: self.verdict(found.map(|ms| ms <= ALL_MS_MAX)),
        }
    }

    /// Load excuses no violation.
    fn violations(&self) -> Target {
        let all = self.played.iter().find(|one| one.scene == Scene::All);
        let rounds = all.iter().flat_map(|one| &one.rounds);
        let (mut checked, mut violations) = (0, 0);
        for paced in rounds.filter_map(|found| found.fast.as_ref()) {
            checked += paced.shown.checked;
            violations += paced.shown.violations;
        }
        let verdict = match (checked, violations) {
            (0, _) => "not measured",
            (_, 0) => "reached",
            _ => "**missed**",
        };
        Target {
            title: "`ack = all`: visible at every site in the moment of the acknowledgement"
                .to_owned(),
            found: (checked > 0).then(|| format!("{violations} violations in {checked} checks")),
            verdict: verdict.to_owned(),
        }
    }
}
