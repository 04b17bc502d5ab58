//! Steps that are run one after the other, timed, and summed up in a table.
//!
//! A failed step never stops the others: one run shows all that is wrong.

use std::time::{Duration, Instant};

/// How a step ended, apart from failing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Done {
    Passed,
    /// Not run, and why.
    Skipped(String),
}

/// One line of the table.
struct Line {
    name: &'static str,
    outcome: Result<Done, String>,
    duration: Duration,
}

/// The steps run so far.
#[derive(Default)]
pub(crate) struct Steps {
    lines: Vec<Line>,
}

impl Steps {
    /// Runs a step.
    pub(crate) fn run(&mut self, name: &'static str, step: impl FnOnce() -> Result<Done, String>) {
        println!("\n==> {name}");
        let begin = Instant::now();
        let outcome = step();
        let duration = begin.elapsed();
        match &outcome {
            Ok(Done::Passed) => println!("    {name}: passed in {:.1} s", duration.as_secs_f64()),
            Ok(Done::Skipped(reason)) => println!("    {name}: SKIPPED: {reason}"),
            Err(message) => {
                println!("    {name}: FAILED in {:.1} s: {message}", duration.as_secs_f64())
            }
        }
        self.lines.push(Line { name, outcome, duration });
    }

    /// Prints the table; fails if a step failed.
    pub(crate) fn finish(self) -> Result<(), String> {
        println!("\n{}", self.table());
        let failed: Vec<&str> =
            self.lines.iter().filter(|line| line.outcome.is_err()).map(|line| line.name).collect();
        match failed.is_empty() {
            true => Ok(()),
            false => Err(format!("failed: {}", failed.join(", "))),
        }
    }

    fn table(&self) -> String {
        let width = self.lines.iter().map(|line| line.name.len()).max().unwrap_or_default();
        let mut text = String::new();
        let mut total = Duration::ZERO;
        for line in &self.lines {
            let outcome = match &line.outcome {
                Ok(Done::Passed) => "passed",
                Ok(Done::Skipped(_)) => "skipped",
                Err(_) => "FAILED",
            };
            total += line.duration;
            text += &format!(
                "{:width$}  {:>8.1} s  {outcome}\n",
                line.name,
                line.duration.as_secs_f64()
            );
        }
        text + &format!("{:width$}  {:>8.1} s", "total", total.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_stops_nothing_and_is_named_at_the_end() {
        let mut steps = Steps::default();
        let mut later = false;
        steps.run("one", || Err("broken".to_owned()));
        steps.run("two", || {
            later = true;
            Ok(Done::Skipped("no reason".to_owned()))
        });
        assert!(later);
        assert!(steps.table().contains("skipped"));
        assert_eq!(steps.finish(), Err("failed: one".to_owned()));
    }
}
