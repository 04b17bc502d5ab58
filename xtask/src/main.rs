//! The developers' tool: `cargo xtask test`, `tidy`, `bench` and `sim`.
//!
//! It drives other programs and reads the source. It must never change the source, and never
//! start a system service.
#![allow(clippy::print_stdout, reason = "a command line tool: standard output is its interface")]

mod bench;
mod packages;
mod programs;
mod steps;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

/// Exit code for a command line that makes no sense.
const EXIT_USAGE: u8 = 2;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  test          everything that must hold before a change is merged: formatting, tidy, clippy,
                licences and all tests but the long ones; installs the peers that tests need
  test full     the same, then the long tests and the documentation
  test unicorn  only the tests of micro-VMs
  tidy          only the project's own rules: rooms, sizes, words, links
  sim --seeds N [--from S] [--predicts WHAT] | --seed S [--predicts WHAT | --bug NAME] | --bugs [--seeds N]
                runs N seeds of the simulated sites, or one with everything that happened; or puts
                faults into the protocol and says which seed finds each
  bench WHAT    measures against the peers on this machine: query, memory, transfer, update,
                instructions or all; see `cargo xtask bench --help`";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        ["test"] => test::run(test::Extent::Merge),
        ["test", "full"] => test::run(test::Extent::Full),
        ["test", "unicorn"] => test::run(test::Extent::Unicorn),
        ["tidy"] => tidy::run(),
        ["bench", ..] => bench::run(&arguments[1..]),
        ["sim", ..] => programs::run(
            programs::cargo()
                .args(["run", "--release", "--quiet", "-p", "einhorn-simulated-sites"])
                .args(deliberate_bugs(&words))
                .arg("--")
                .args(&arguments[1..]),
        ),
        ["help" | "-h" | "--help"] => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("error: unknown command `{}`\n\n{USAGE}", words.join(" "));
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

/// What cargo needs for faults that are put into the protocol: no other build has them.
fn deliberate_bugs(words: &[&str]) -> &'static [&'static str] {
    let is_wanted = words.iter().any(|word| matches!(*word, "--bugs" | "--bug"));
    if is_wanted { &["--features", "deliberate-bugs"] } else { &[] }
}
