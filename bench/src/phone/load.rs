//! `dnsperf`, which others wrote, as the client: over TLS and over HTTPS, on connections that stay.

use crate::machine::GENERATOR_PROCESSOR;
use crate::process;
use crate::query::mix;
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Queries in its file; asked again from the start when they run out.
const QUERIES: u32 = 100_000;
/// Of ten queries, those of the first numbers ask for an IPv4 address, and from here on for an
/// IPv6 address, and from there on for names that do not exist.
const AAAA_FROM: u32 = 5;
const MISSING_FROM: u32 = 9;
/// A number that meets all hosts in another order.
const STEP: u64 = 7_919;
/// Connections, and queries on their way over all of them.
pub(super) const CONNECTIONS: u32 = 16;
pub(super) const IN_FLIGHT: u32 = 256;

/// How queries travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Tls,
    Https,
}

/// What it found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Found {
    pub(super) completed: u64,
    pub(super) per_second: f64,
}

/// The program, and the file with its queries.
pub(super) struct Client {
    program: PathBuf,
    queries: PathBuf,
}

impl Client {
    /// Writes the queries about so many hosts into `folder`.
    pub(super) fn new(folder: &Path, hosts: u32) -> Result<Client, String> {
        let program = process::find_program("dnsperf")
            .ok_or("this benchmark needs `dnsperf`: `apt-get install dnsperf`")?;
        let mut text = String::new();
        for number in 0..QUERIES {
            let host = (u64::from(number) * STEP % u64::from(hosts)) as u32;
            let name = mix::host_name(host);
            // Writing to a String cannot fail, hence the ignored results.
            let _ = match number % 10 {
                ..AAAA_FROM => writeln!(text, "{name} A"),
                AAAA_FROM..MISSING_FROM => writeln!(text, "{name} AAAA"),
                _ => writeln!(text, "no-{name} A"),
            };
        }
        let queries = folder.join("queries");
        fs::write(&queries, text)
            .map_err(|error| format!("cannot write {}: {error}", queries.display()))?;
        Ok(Client { program, queries })
    }

    /// Asks for so long; fails if an answer is missing, or says that something went wrong.
    pub(super) fn ask(
        &self,
        way: Way,
        server: SocketAddr,
        duration: Duration,
    ) -> Result<Found, String> {
        let mode = match way {
            Way::Tls => "dot",
            Way::Https => "doh",
        };
        let words = [
            ("-c", GENERATOR_PROCESSOR.to_string()),
            (&*self.program.display().to_string(), "-e".to_owned()),
            ("-m", mode.to_owned()),
            ("-s", server.ip().to_string()),
            ("-p", server.port().to_string()),
            ("-d", self.queries.display().to_string()),
            ("-c", CONNECTIONS.to_string()),
            ("-q", IN_FLIGHT.to_string()),
            ("-T", "1".to_owned()),
            ("-l", duration.as_secs().max(1).to_string()),
            ("-O", format!("doh-uri=https://{server}/dns-query")),
        ]
        .map(|(option, value)| [option.to_owned(), value]);
        let words: Vec<&str> = words.iter().flatten().map(String::as_str).collect();
        let taskset = process::find_program("taskset").ok_or("install util-linux for `taskset`")?;
        let (text, is_good) = process::run(&taskset, &words)?;
        if is_good { read(&text) } else { Err(format!("dnsperf failed: {text}")) }
    }
}

/// Reads what it prints at the end.
fn read(text: &str) -> Result<Found, String> {
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(name));
        let missing = || format!("dnsperf does not say `{name}`:\n{text}");
        line.map(str::trim).ok_or_else(missing)
    };
    let number = |name: &str| {
        let word = field(name)?.split_whitespace().next().unwrap_or_default();
        word.parse::<f64>().map_err(|error| format!("`{name} {word}` of dnsperf: {error}"))
    };
    let (completed, lost) = (number("Queries completed:")?, number("Queries lost:")?);
    let codes = field("Response codes:")?;
    let is_right =
        codes.split(", ").all(|code| code.starts_with("NOERROR ") || code.starts_with("NXDOMAIN "));
    if lost > 0.0 || completed == 0.0 || !is_right {
        return Err(format!("{completed} answers came, {lost} did not; {codes}"));
    }
    Ok(Found { completed: completed as u64, per_second: number("Queries per second:")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "Statistics:\n\n  Queries sent:         200\n  Queries completed:    200 (100.00%)\n  Queries lost:         0 (0.00%)\n\n  Response codes:       NOERROR 180 (90.00%), NXDOMAIN 20 (10.00%)\n  Run time (s):         2.0\n  Queries per second:   100.500000\n";

    #[test]
    fn its_figures_are_read() {
        assert_eq!(read(PRINTED), Ok(Found { completed: 200, per_second: 100.5 }));
    }

    #[test]
    fn no_figure_stands_for_answers_that_are_lost_or_wrong() {
        for (old, new) in [
            ("lost:         0", "lost:         1"),
            ("NXDOMAIN 20", "SERVFAIL 20"),
            ("completed:    200", "completed:    0"),
            ("Queries per", "Answers per"),
        ] {
            assert!(read(&PRINTED.replace(old, new)).is_err(), "{new}");
        }
    }
}
