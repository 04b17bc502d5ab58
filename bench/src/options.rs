//! The command line of the benchmarks.
//!
//! It only turns words into [`Options`]; it never looks at the machine.

use crate::instructions::Work;
use crate::mode::{self, IN_FLIGHT_MAX, Mode};
use crate::peers::{self, Peer};
use crate::sync::Scene;
use std::path::PathBuf;
use std::time::Duration;

/// What `--help` prints.
pub(crate) const USAGE: &str = "\
usage: einhorn-bench BENCHMARK [OPTIONS]

Measures Einhorn and its peers on this machine.

  query         answers: rate, processor time, latency, two processors, under updates
  memory        a million names: memory, time to load, time to start again
  transfer      a million names out of each server by AXFR, and a change of them by IXFR
  update        durable, signed RFC 2136 updates
  sync          from the acknowledgement at one server until another one shows the change, and
                what waiting for other sites costs
  etcd          updates of a site with its log in an etcd (needs `--features etcd` for this program and
                einhorn; not in `all`)
  commit        changes that several sites decide on, over links of some length
  phone         answers over TLS and HTTPS, idle connections (needs dnsperf and h2load)
  bridge        host tables: reading, writing, merging a million records
  instructions  instructions for each query and update of Einhorn's (needs valgrind)
  all           all of them, one after the other
  html          only makes the page again from the figures that are there

Figures go to FOLDER/BENCHMARK.md and .json, and together to FOLDER/report.html.

  --quick                     one round, short phases, small zones: for a look, not for a claim
  --only SERVER[,SERVER]      choose from einhorn, nsd, knot, bind, powerdns
  --rounds COUNT              rounds of which the median is taken (default 3)
  --duration-seconds SECONDS  measured time of each phase (default 5, with --quick less);
                              of `sync` at 200 updates/s, and eight times that at 5 updates/s
  --hosts COUNT               hosts in the zone: of `query` and `phone` (default 100000, with --quick 10000), of
                              `instructions` (10000 and 1000), of `memory` and `transfer` (default 1000000, with --quick 20000)
  --einhorn PATH              the einhorn binary (default: beside this program)
  --results FOLDER            where figures go (default bench/results)
  --modes MODE[,MODE]         of `update`: udp:IN_FLIGHT and tcp:IN_FLIGHT:CONNECTIONS
  --scenes SCENE[,SCENE]      of `sync`: home, forwarded, bind, knot, polling, one, majority, all
  --ledger-entries COUNT      of `update`: entries in the large log of the ledger's section (default
                              10 million, with --quick 200000, at least 100000); 0 leaves it out";

const ROUNDS: u32 = 3;
const ROUNDS_QUICK: u32 = 1;
const ROUNDS_MAX: u32 = 99;
const DURATION_SECONDS: u64 = 5;
/// Longer phases would outlive nothing useful: the medians are over rounds.
const DURATION_SECONDS_MAX: u64 = 600;
/// Host names have seven digits.
const HOSTS_MAX: u64 = 9_999_999;
/// The size at which the ledger must cost no more for each entry than at a small one.
pub(crate) const LEDGER_ENTRIES: u64 = 10_000_000;
const LEDGER_ENTRIES_QUICK: u64 = 200_000;
/// Fewer would be no large log.
pub(crate) const LEDGER_ENTRIES_MIN: u64 = 100_000;
const LEDGER_ENTRIES_MAX: u64 = 1_000_000_000;
const RESULTS: &str = "bench/results";

/// A benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Benchmark {
    Query,
    Memory,
    Transfer,
    Update,
    Instructions,
    Sync,
    #[cfg(feature = "etcd")]
    Etcd,
    Commit,
    Phone,
    Bridge,
}

impl Benchmark {
    /// In the order in which they run and are reported.
    pub(crate) const ALL: [Benchmark; 9] = [
        Benchmark::Query,
        Benchmark::Memory,
        Benchmark::Transfer,
        Benchmark::Instructions,
        Benchmark::Update,
        Benchmark::Sync,
        Benchmark::Commit,
        Benchmark::Phone,
        Benchmark::Bridge,
    ];

    /// Its name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Benchmark::Query => "query",
            Benchmark::Memory => "memory",
            Benchmark::Transfer => "transfer",
            Benchmark::Update => "update",
            Benchmark::Instructions => "instructions",
            Benchmark::Sync => "sync",
            #[cfg(feature = "etcd")]
            Benchmark::Etcd => "etcd",
            Benchmark::Commit => "commit",
            Benchmark::Phone => "phone",
            Benchmark::Bridge => "bridge",
        }
    }
}

/// What to run.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) is_quick: bool,
    /// Names of servers; all where nothing was said.
    only: Option<Vec<String>>,
    pub(crate) modes: Vec<Mode>,
    pub(crate) rounds: u32,
    duration: Option<Duration>,
    hosts: Option<u32>,
    pub(crate) einhorn: Option<PathBuf>,
    /// Scenes of `sync`; all where nothing was said.
    pub(crate) scenes: Option<Vec<Scene>>,
    /// 0 leaves out the ledger's section.
    pub(crate) ledger_entries: u64,
    pub(crate) results: PathBuf,
}

impl Options {
    fn new() -> Options {
        Options {
            is_quick: false,
            only: None,
            modes: mode::DEFAULT.to_vec(),
            rounds: ROUNDS,
            duration: None,
            hosts: None,
            einhorn: None,
            scenes: None,
            ledger_entries: LEDGER_ENTRIES,
            results: RESULTS.into(),
        }
    }

    /// Those of `peers` that were chosen.
    pub(crate) fn choose(&self, peers: &'static [Peer]) -> Vec<&'static Peer> {
        peers.iter().filter(|peer| self.includes(peer)).collect()
    }

    /// Whether a server takes part.
    pub(crate) fn includes(&self, peer: &Peer) -> bool {
        match &self.only {
            None => true,
            Some(names) => names.iter().any(|name| name.eq_ignore_ascii_case(peer.name)),
        }
    }

    /// Measured time of a phase; `quick` is that of a quick run.
    pub(crate) fn duration(&self, quick: Duration) -> Duration {
        let usual = if self.is_quick { quick } else { Duration::from_secs(DURATION_SECONDS) };
        self.duration.unwrap_or(usual)
    }

    /// How many changes are made one after the other.
    pub(crate) fn changes(&self, usual: usize, quick: usize) -> usize {
        if self.is_quick { quick } else { usual }
    }

    /// Hosts in the zone, unless the command line says otherwise.
    pub(crate) fn hosts(&self, usual: u32, quick: u32) -> u32 {
        self.hosts.unwrap_or(if self.is_quick { quick } else { usual })
    }
}

/// A command line.
#[derive(Debug)]
pub(crate) enum Command {
    Help,
    Run(Vec<Benchmark>, Options),
    Page(Options),
    /// Does one kind of work so many times, to be watched by valgrind.
    Repeat {
        work: Work,
        count: u32,
        hosts: u32,
    },
}

/// Reads the arguments after the program's name.
pub(crate) fn parse(arguments: &[String]) -> Result<Command, String> {
    let mut words = arguments.iter().map(String::as_str);
    let first = words.next().unwrap_or_default();
    let benchmarks = match first {
        "-h" | "--help" | "help" => return Ok(Command::Help),
        "all" => Benchmark::ALL.to_vec(),
        "html" => Vec::new(),
        #[cfg(feature = "etcd")]
        "etcd" => vec![Benchmark::Etcd],
        "repeat" => return parse_repeat(&arguments[1..]),
        name => match Benchmark::ALL.into_iter().find(|benchmark| benchmark.name() == name) {
            Some(benchmark) => vec![benchmark],
            None => {
                let known: Vec<&str> = Benchmark::ALL.iter().map(|b| b.name()).collect();
                return Err(format!(
                    "`{name}` is not a benchmark: name one of {}, all, html",
                    known.join(", ")
                ));
            }
        },
    };
    match parse_options(words)? {
        None => Ok(Command::Help),
        Some(options) if benchmarks.is_empty() => Ok(Command::Page(options)),
        Some(options) => Ok(Command::Run(benchmarks, options)),
    }
}

/// `None` where only help is wanted.
fn parse_options<'a>(mut words: impl Iterator<Item = &'a str>) -> Result<Option<Options>, String> {
    let mut options = Options::new();
    let (mut rounds, mut ledger_entries, mut modes_chosen) = (None, None, false);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("`{word}` needs a value after it"));
        match word {
            "-h" | "--help" => return Ok(None),
            "--quick" => options.is_quick = true,
            "--only" => options.only = Some(parse_peers(value()?)?),
            "--modes" => (options.modes, modes_chosen) = (parse_modes(value()?)?, true),
            "--rounds" => rounds = Some(number(word, value()?, ROUNDS_MAX.into())? as u32),
            "--duration-seconds" => {
                let seconds = number(word, value()?, DURATION_SECONDS_MAX)?;
                options.duration = Some(Duration::from_secs(seconds));
            }
            "--hosts" => options.hosts = Some(number(word, value()?, HOSTS_MAX)? as u32),
            "--ledger-entries" => ledger_entries = Some(parse_ledger_entries(value()?)?),
            "--scenes" => options.scenes = Some(parse_scenes(value()?)?),
            "--einhorn" => options.einhorn = Some(value()?.into()),
            "--results" => options.results = value()?.into(),
            other => return Err(format!("unknown option `{other}`")),
        }
    }
    if options.is_quick {
        (options.rounds, options.ledger_entries) = (ROUNDS_QUICK, LEDGER_ENTRIES_QUICK);
        if !modes_chosen {
            options.modes = mode::QUICK.to_vec();
        }
    }
    options.rounds = rounds.unwrap_or(options.rounds);
    options.ledger_entries = ledger_entries.unwrap_or(options.ledger_entries);
    Ok(Some(options))
}

fn parse_repeat(words: &[String]) -> Result<Command, String> {
    let usage = || {
        let known: Vec<&str> = Work::all().map(|work| work.name()).collect();
        format!("expected `repeat WORK COUNT HOSTS` with WORK one of {}", known.join(", "))
    };
    let [work, count, hosts] = words else { return Err(usage()) };
    let work = Work::all().find(|candidate| candidate.name() == work.as_str());
    let number = |text: &str| text.parse().map_err(|_| usage());
    let (count, hosts) = (number(count)?, number(hosts)?);
    Ok(Command::Repeat { work: work.ok_or_else(usage)?, count, hosts })
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

fn parse_peers(text: &str) -> Result<Vec<String>, String> {
    let find = |name: &str| {
        let mut known = peers::ANSWERING.iter().map(|peer| peer.name);
        known.find(|known| known.eq_ignore_ascii_case(name)).map(str::to_owned).ok_or_else(|| {
            let known: Vec<&str> = peers::ANSWERING.iter().map(|peer| peer.name).collect();
            format!("unknown server `{name}`: choose from {}", known.join(", "))
        })
    };
    text.split(',').map(find).collect()
}

fn parse_scenes(text: &str) -> Result<Vec<Scene>, String> {
    let find = |word: &str| {
        let scene = Scene::EVERY.into_iter().find(|scene| scene.word() == word);
        scene.ok_or_else(|| {
            let known: Vec<&str> = Scene::EVERY.iter().map(|scene| scene.word()).collect();
            format!("unknown scene `{word}`: choose from {}", known.join(", "))
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

    fn options_of(text: &str) -> Options {
        match parse_words(text) {
            Ok(Command::Run(_, options)) => options,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn an_explicit_duration_wins_over_quick_wherever_it_stands() {
        for text in ["update --duration-seconds 9 --quick", "update --quick --duration-seconds 9"] {
            let options = options_of(text);
            let duration = options.duration(Duration::from_secs(2));
            assert_eq!((options.rounds, duration.as_secs()), (1, 9));
        }
        let quick = options_of("query --quick");
        assert_eq!(quick.duration(Duration::from_secs(2)).as_secs(), 2);
        assert_eq!(quick.hosts(100, 10), 10);
        assert_eq!(options_of("query --quick --hosts 7").hosts(100, 10), 7);
    }

    #[test]
    fn servers_and_modes_are_chosen_by_name() {
        let options = options_of("update --only knot,bind --modes udp:7,tcp:64:4");
        let names = |peers: &'static [Peer]| -> Vec<&str> {
            options.choose(peers).iter().map(|peer| peer.name).collect()
        };
        assert_eq!(names(&peers::ALL), ["BIND", "Knot"]);
        assert_eq!(names(&peers::ANSWERING), ["Knot", "BIND"]);
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
            assert_eq!(options_of(text).ledger_entries, expected, "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        let nonsense = [
            "",
            "fly",
            "update --only hickory",
            "update --modes udp:0",
            "update --rounds",
            "update --fast",
            "update --ledger-entries 99",
            "query --hosts 0",
            "sync --scenes nowhere",
            "repeat a",
            "repeat nothing 5 5",
        ];
        for text in nonsense {
            assert!(parse_words(text).is_err(), "{text}");
        }
        assert!(matches!(parse_words("--help"), Ok(Command::Help)));
        assert!(matches!(parse_words("html"), Ok(Command::Page(_))));
        let Ok(Command::Run(all, _)) = parse_words("all") else { panic!("`all` is a command") };
        assert_eq!(all, Benchmark::ALL);
    }
}
