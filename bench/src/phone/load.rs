//! The clients, which others wrote: `dnsperf` over TLS, and `h2load` over HTTPS, on connections that
//! stay. (`dnsperf` reads one answer of HTTPS at a time and misses those that come together with it.)

use crate::machine::GENERATOR_PROCESSOR;
use crate::process;
use crate::query::mix;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use einhorn_harness::question_message;
use einhorn_wire::message::Opcode;
use einhorn_wire::{Class, RecordType};
use std::collections::BTreeMap;
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
/// Connections, and queries on their way over each of them.
pub(super) const CONNECTIONS: u32 = 16;
pub(super) const IN_FLIGHT_EACH: u32 = 16;

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

/// The programs, and the file with their queries.
pub(super) struct Client {
    dnsperf: PathBuf,
    h2load: PathBuf,
    folder: PathBuf,
    queries: Vec<(String, RecordType)>,
}

impl Client {
    /// With queries about so many hosts, and a folder for their files.
    pub(super) fn new(folder: &Path, hosts: u32) -> Result<Client, String> {
        let needs = |name: &str, package: &str| {
            let missing = || format!("this benchmark needs `{name}`: `apt-get install {package}`");
            process::find_program(name).ok_or_else(missing)
        };
        let query = |number: u32| {
            let host = (u64::from(number) * STEP % u64::from(hosts)) as u32;
            let name = mix::host_name(host);
            match number % 10 {
                ..AAAA_FROM => (name, RecordType::A),
                AAAA_FROM..MISSING_FROM => (name, RecordType::AAAA),
                _ => (format!("no-{name}"), RecordType::A),
            }
        };
        Ok(Client {
            dnsperf: needs("dnsperf", "dnsperf")?,
            h2load: needs("h2load", "nghttp2-client")?,
            folder: folder.to_owned(),
            queries: (0..QUERIES).map(query).collect(),
        })
    }

    /// Asks for so long; fails if an answer is missing, or says that something went wrong.
    pub(super) fn ask(
        &self,
        way: Way,
        server: SocketAddr,
        duration: Duration,
    ) -> Result<Found, String> {
        let file = match way {
            Way::Tls => self.write("queries", &|name, rtype| format!("{name} {rtype}")),
            // RFC 8484, section 4.1: the identifier is 0.
            Way::Https => self.write("addresses", &|name, rtype| {
                let question = [(name, rtype, Class::IN)];
                let message = question_message(0, Opcode::QUERY, &question);
                let message = URL_SAFE_NO_PAD.encode(message);
                format!("https://{server}/dns-query?dns={message}")
            }),
        }?;
        let seconds = duration.as_secs().max(1).to_string();
        let (address, port) = (server.ip().to_string(), server.port().to_string());
        let (connections, each) = (CONNECTIONS.to_string(), IN_FLIGHT_EACH.to_string());
        let in_flight = (CONNECTIONS * IN_FLIGHT_EACH).to_string();
        let (program, words): (_, Vec<&str>) = match way {
            Way::Tls => (
                &self.dnsperf,
                vec![
                    "-m",
                    "dot",
                    "-s",
                    &address,
                    "-p",
                    &port,
                    "-d",
                    &file,
                    "-c",
                    &connections,
                    "-q",
                    &in_flight,
                    "-T",
                    "1",
                    "-l",
                    &seconds,
                ],
            ),
            Way::Https => (
                &self.h2load,
                vec!["-i", &file, "-c", &connections, "-m", &each, "-t", "1", "-D", &seconds],
            ),
        };
        let (shown, processor) = (program.display().to_string(), GENERATOR_PROCESSOR.to_string());
        let words = [&["-c", &processor, &shown], &words[..]].concat();
        let taskset = process::find_program("taskset").ok_or("install util-linux for `taskset`")?;
        match process::run(&taskset, &words)? {
            (text, true) if way == Way::Tls => read_dnsperf(&text),
            (text, true) => read_h2load(&text),
            (text, false) => Err(format!("{shown} failed: {text}")),
        }
    }

    /// A file with a line for each query; its path.
    fn write(
        &self,
        name: &str,
        line: &dyn Fn(&str, RecordType) -> String,
    ) -> Result<String, String> {
        let mut text = String::new();
        for (name, rtype) in &self.queries {
            // Writing to a String cannot fail, hence the ignored result.
            let _ = writeln!(text, "{}", line(name, *rtype));
        }
        let path = self.folder.join(name).display().to_string();
        fs::write(&path, text).map_err(|error| format!("cannot write {path}: {error}"))?;
        Ok(path)
    }
}

/// What stands behind a word at the beginning of a line.
fn field<'t>(text: &'t str, name: &str) -> Result<&'t str, String> {
    let line = text.lines().find_map(|line| line.trim().strip_prefix(name));
    line.map(str::trim).ok_or_else(|| format!("no `{name}` in what the client says:\n{text}"))
}

fn number(word: &str) -> Result<f64, String> {
    let digits = word.split_whitespace().next().unwrap_or_default();
    digits.parse().map_err(|error| format!("`{word}` of the client: {error}"))
}

/// Reads what `dnsperf` prints at the end.
fn read_dnsperf(text: &str) -> Result<Found, String> {
    let number = |name: &str| number(field(text, name)?);
    let (completed, lost) = (number("Queries completed:")?, number("Queries lost:")?);
    let codes = field(text, "Response codes:")?;
    let is_right =
        codes.split(", ").all(|code| code.starts_with("NOERROR ") || code.starts_with("NXDOMAIN "));
    if lost > 0.0 || completed == 0.0 || !is_right {
        return Err(format!("{completed} answers came, {lost} did not; {codes}"));
    }
    Ok(Found { completed: completed as u64, per_second: number("Queries per second:")? })
}

/// Reads what `h2load` prints at the end. It looks at the status of each response, not into it.
fn read_h2load(text: &str) -> Result<Found, String> {
    let requests = field(text, "requests:")?;
    let counts: BTreeMap<&str, f64> = requests
        .split(", ")
        .filter_map(|part| part.split_once(' '))
        .map(|(count, what)| Ok((what, number(count)?)))
        .collect::<Result<_, String>>()?;
    let count = |what: &str| counts.get(what).copied().unwrap_or(f64::NAN);
    let status = field(text, "status codes:")?;
    let good = number(status)?;
    let succeeded = count("succeeded");
    let is_right = ["failed", "errored", "timeout"].iter().all(|what| count(what) == 0.0);
    if !is_right || succeeded == 0.0 || good != succeeded {
        return Err(format!("requests: {requests}; status codes: {status}"));
    }
    let rate = field(text, "finished in")?.split(", ").nth(1).unwrap_or_default();
    Ok(Found { completed: succeeded as u64, per_second: number(rate)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DNSPERF: &str = "Statistics:\n\n  Queries sent:         200\n  Queries completed:    200 (100.00%)\n  Queries lost:         0 (0.00%)\n\n  Response codes:       NOERROR 180 (90.00%), NXDOMAIN 20 (10.00%)\n  Run time (s):         2.0\n  Queries per second:   100.500000\n";
    const H2LOAD: &str = "finished in 4.00s, 348.25 req/s, 25.9KB/s\nrequests: 1393 total, 1393 started, 1393 done, 1393 succeeded, 0 failed, 0 errored, 0 timeout\nstatus codes: 1393 2xx, 0 3xx, 0 4xx, 0 5xx\n";

    #[test]
    fn their_figures_are_read() {
        assert_eq!(read_dnsperf(DNSPERF), Ok(Found { completed: 200, per_second: 100.5 }));
        assert_eq!(read_h2load(H2LOAD), Ok(Found { completed: 1393, per_second: 348.25 }));
    }

    #[test]
    fn no_figure_stands_for_answers_that_are_lost_or_wrong() {
        for (old, new) in [
            ("lost:         0", "lost:         1"),
            ("NXDOMAIN 20", "SERVFAIL 20"),
            ("completed:    200", "completed:    0"),
            ("Queries per", "Answers per"),
        ] {
            assert!(read_dnsperf(&DNSPERF.replace(old, new)).is_err(), "{new}");
        }
        for (old, new) in [
            ("0 failed", "1 failed"),
            ("0 errored", "2 errored"),
            (", 0 timeout", ""),
            ("1393 2xx, 0 3xx, 0 4xx", "1392 2xx, 0 3xx, 1 4xx"),
            ("1393 succeeded", "0 succeeded"),
            ("finished in", "ended after"),
        ] {
            assert!(read_h2load(&H2LOAD.replace(old, new)).is_err(), "{new}");
        }
    }
}
