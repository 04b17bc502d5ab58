//! The command line of the benchmark.
//!
//! It only turns words into [`Options`]; it never looks at the machine.

use crate::peers::{self, Peer};
use crate::phase::Transport;
use std::path::PathBuf;
use std::time::Duration;

/// What `--help` prints.
pub(crate) const USAGE: &str = "\
usage: einhorn-bench update [OPTIONS]

Measures durable, signed RFC 2136 updates against Einhorn and its peers on this machine.

  --quick                     one round and short phases: for a look, not for a claim
  --only SERVER[,SERVER]      choose from einhorn, bind, knot, powerdns
  --modes MODE[,MODE]         choose from the default modes, or others of the form
                              udp:IN_FLIGHT and tcp:IN_FLIGHT:CONNECTIONS
  --rounds COUNT              rounds of which the median is taken (default 3)
  --duration-seconds SECONDS  measured time of each phase (default 5, with --quick 2)
  --einhorn PATH              the einhorn binary (default: beside this program)
  --ledger-entries COUNT      entries in the large log of the ledger's section (default 10 million,
                              with --quick 1 million, at least 100000); 0 leaves the section out
  --report FILE               write the report to FILE too";

const ROUNDS: u32 = 3;
const ROUNDS_QUICK: u32 = 1;
const ROUNDS_MAX: u32 = 99;
const DURATION_SECONDS: u64 = 5;
const DURATION_SECONDS_QUICK: u64 = 2;
/// Longer phases would outlive nothing useful: the medians are over rounds.
const DURATION_SECONDS_MAX: u64 = 600;
/// The size at which the ledger must cost no more for each entry than at a small one.
pub(crate) const LEDGER_ENTRIES: u64 = 10_000_000;
const LEDGER_ENTRIES_QUICK: u64 = 1_000_000;
/// Fewer would be no large log.
pub(crate) const LEDGER_ENTRIES_MIN: u64 = 100_000;
const LEDGER_ENTRIES_MAX: u64 = 1_000_000_000;
/// Every update in flight needs an identifier of its own, and these have 16 bits.
pub(crate) const IN_FLIGHT_MAX: u16 = 4096;
const CONNECTIONS_MAX: u16 = 1024;

/// How many updates travel at once, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mode {
    pub(crate) transport: Transport,
    pub(crate) in_flight: u16,
}

impl Mode {
    const fn udp(in_flight: u16) -> Mode {
        Mode { transport: Transport::Udp, in_flight }
    }

    const fn tcp(in_flight: u16, connections: u16) -> Mode {
        Mode { transport: Transport::Tcp { connections }, in_flight }
    }

    /// How a person calls it.
    pub(crate) fn title(self) -> String {
        match self.transport {
            Transport::Udp => format!("UDP, {} in flight", self.in_flight),
            Transport::Tcp { connections: 1 } => {
                format!("TCP, {} in flight over 1 connection", self.in_flight)
            }
            Transport::Tcp { connections } => {
                format!("TCP, {} in flight over {connections} connections", self.in_flight)
            }
        }
    }

    fn parse(text: &str) -> Option<Mode> {
        let number = |text: &str, most: u16| text.parse().ok().filter(|n| (1..=most).contains(n));
        let parts: Vec<&str> = text.split(':').collect();
        match parts[..] {
            ["udp", in_flight] => Some(Mode::udp(number(in_flight, IN_FLIGHT_MAX)?)),
            ["tcp", in_flight, connections] => Some(Mode::tcp(
                number(in_flight, IN_FLIGHT_MAX)?,
                number(connections, CONNECTIONS_MAX)?,
            )),
            _ => None,
        }
    }
}

/// The mode whose latency is compared.
pub(crate) const ONE_AT_A_TIME: Mode = Mode::udp(1);
/// The mode whose throughput is compared with the best peer's.
pub(crate) const MANY_DATAGRAMS: Mode = Mode::udp(256);
/// The mode in which Knot does best.
pub(crate) const MANY_PIPELINED: Mode = Mode::tcp(1024, 8);

const MODES: [Mode; 5] =
    [ONE_AT_A_TIME, Mode::udp(64), MANY_DATAGRAMS, Mode::udp(1024), MANY_PIPELINED];

/// What to run.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) peers: Vec<&'static Peer>,
    pub(crate) modes: Vec<Mode>,
    pub(crate) rounds: u32,
    pub(crate) duration: Duration,
    pub(crate) einhorn: Option<PathBuf>,
    /// 0 leaves out the ledger's section.
    pub(crate) ledger_entries: u64,
    pub(crate) report: Option<PathBuf>,
}

/// A command line.
#[derive(Debug)]
pub(crate) enum Command {
    Help,
    Update(Options),
}

/// Reads the arguments after the program's name.
pub(crate) fn parse(arguments: &[String]) -> Result<Command, String> {
    let mut words = arguments.iter().map(String::as_str);
    match words.next() {
        Some("update") => {}
        Some("-h" | "--help" | "help") => return Ok(Command::Help),
        Some(other) => return Err(format!("unknown benchmark `{other}`: there is only `update`")),
        None => return Err("name a benchmark: `update`".to_owned()),
    }
    let mut options = Options {
        peers: peers::ALL.iter().collect(),
        modes: MODES.to_vec(),
        rounds: ROUNDS,
        duration: Duration::from_secs(DURATION_SECONDS),
        einhorn: None,
        ledger_entries: LEDGER_ENTRIES,
        report: None,
    };
    let (mut rounds, mut duration_seconds, mut ledger_entries) = (None, None, None);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("`{word}` needs a value after it"));
        match word {
            "-h" | "--help" => return Ok(Command::Help),
            "--quick" => {
                options.rounds = ROUNDS_QUICK;
                options.duration = Duration::from_secs(DURATION_SECONDS_QUICK);
                options.ledger_entries = LEDGER_ENTRIES_QUICK;
            }
            "--only" => options.peers = parse_peers(value()?)?,
            "--modes" => options.modes = parse_modes(value()?)?,
            "--rounds" => rounds = Some(number(word, value()?, ROUNDS_MAX.into())?),
            "--duration-seconds" => {
                duration_seconds = Some(number(word, value()?, DURATION_SECONDS_MAX)?)
            }
            "--ledger-entries" => ledger_entries = Some(parse_ledger_entries(value()?)?),
            "--einhorn" => options.einhorn = Some(value()?.into()),
            "--report" => options.report = Some(value()?.into()),
            other => return Err(format!("unknown option `{other}`")),
        }
    }
    if let Some(rounds) = rounds {
        options.rounds = rounds as u32;
    }
    if let Some(seconds) = duration_seconds {
        options.duration = Duration::from_secs(seconds);
    }
    if let Some(entries) = ledger_entries {
        options.ledger_entries = entries;
    }
    Ok(Command::Update(options))
}

fn number(option: &str, text: &str, most: u64) -> Result<u64, String> {
    text.parse()
        .ok()
        .filter(|number| (1..=most).contains(number))
        .ok_or_else(|| format!("`{option} {text}`: expected a number from 1 to {most}"))
}

fn parse_ledger_entries(text: &str) -> Result<u64, String> {
    let possible = |entries: &u64| {
        *entries == 0 || (LEDGER_ENTRIES_MIN..=LEDGER_ENTRIES_MAX).contains(entries)
    };
    text.parse().ok().filter(possible).ok_or_else(|| {
        format!("`--ledger-entries {text}`: expected 0 or a number from {LEDGER_ENTRIES_MIN} to {LEDGER_ENTRIES_MAX}")
    })
}

fn parse_peers(text: &str) -> Result<Vec<&'static Peer>, String> {
    let find = |name: &str| {
        peers::ALL.iter().find(|peer| peer.name.eq_ignore_ascii_case(name)).ok_or_else(|| {
            let known: Vec<&str> = peers::ALL.iter().map(|peer| peer.name).collect();
            format!("unknown server `{name}`: choose from {}", known.join(", "))
        })
    };
    text.split(',').map(find).collect()
}

fn parse_modes(text: &str) -> Result<Vec<Mode>, String> {
    let parse = |mode: &str| {
        Mode::parse(mode).ok_or_else(|| {
            format!("`{mode}` is not a mode: write udp:IN_FLIGHT or tcp:IN_FLIGHT:CONNECTIONS, at most {IN_FLIGHT_MAX} in flight")
        })
    };
    text.split(',').map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_words(text: &str) -> Result<Command, String> {
        parse(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn an_explicit_duration_wins_over_quick_wherever_it_stands() {
        for text in ["update --duration-seconds 9 --quick", "update --quick --duration-seconds 9"] {
            let Ok(Command::Update(options)) = parse_words(text) else { panic!("{text}") };
            assert_eq!((options.rounds, options.duration.as_secs()), (1, 9));
        }
    }

    #[test]
    fn servers_and_modes_are_chosen_by_name() {
        let Ok(Command::Update(options)) =
            parse_words("update --only knot,bind --modes udp:7,tcp:64:4")
        else {
            panic!("a valid command line")
        };
        assert_eq!(options.peers.iter().map(|p| p.name).collect::<Vec<_>>(), ["Knot", "BIND"]);
        assert_eq!(options.modes, [Mode::udp(7), Mode::tcp(64, 4)]);
    }

    #[test]
    fn the_ledgers_section_is_smaller_when_quick_and_can_be_left_out() {
        let cases = [
            ("update", LEDGER_ENTRIES),
            ("update --quick", LEDGER_ENTRIES_QUICK),
            ("update --ledger-entries 200000 --quick", 200_000),
            ("update --ledger-entries 0", 0),
        ];
        for (text, expected) in cases {
            let Ok(Command::Update(options)) = parse_words(text) else { panic!("{text}") };
            assert_eq!(options.ledger_entries, expected, "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        let nonsense = [
            "",
            "query",
            "update --only nsd",
            "update --modes udp:0",
            "update --rounds",
            "update --fast",
            "update --ledger-entries 99",
        ];
        for text in nonsense {
            assert!(parse_words(text).is_err(), "{text}");
        }
    }
}
