//! The same random queries to all servers: each must answer as most of the peers do, except in
//! ways that are known.
//!
//! The queries follow from a seed, which is printed; `EINHORN_TEST_SEED` sets another.

use crate::case::Level;
use crate::query::{Query, flag};
use crate::reply::{Reply, normal};
use crate::servers::{Kind, ZONES, running};
use einhorn_wire::{Name, RecordType};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

/// Queries in one run.
const QUERIES: usize = 20_000;
/// Queries under way at once; what a socket's buffer holds for certain.
const WINDOW: usize = 50;
/// The seed when nothing else is said.
const SEED: u64 = 0x5EED_0F20_2600_0001;
/// Sets another seed.
const SEED_VARIABLE: &str = "EINHORN_TEST_SEED";
/// Differences of one kind that are printed.
const SHOWN_MAX: usize = 3;

/// What is compared of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    rcode: u16,
    authoritative: bool,
    answer: Vec<String>,
    authority: Vec<String>,
}

/// A way to differ that is understood.
pub(crate) struct Known {
    pub(crate) server: Kind,
    pub(crate) level: Level,
    /// Whether this is it: the question, what the server said, and what most said.
    applies: fn(&Asked, &Outcome, &Outcome) -> bool,
    pub(crate) what: &'static str,
}

/// A question.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    name: String,
    rtype: RecordType,
}

/// A generator of numbers (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }
}

/// Zones that not all servers load, or that hold what none agrees on.
const NOT_COMPARED: [&str; 4] =
    ["wild-ns.test.", "wild-dname.test.", "class-form.test.", "more-types.test."];

/// All ways that are known.
pub(crate) const KNOWN: &[Known] = &[
    Known {
        server: Kind::Einhorn,
        level: Level::May,
        applies: |_, said, most| said.has_two_ttls_in_its_zone() && most.has_two_ttls_in_its_zone(),
        what: "gives an RRset with two TTLs in the zone file the lowest of them, as RFC 2181 §5.2 \
               treats such a set, where Knot takes the last",
    },
    Known {
        server: Kind::Einhorn,
        level: Level::May,
        applies: |_, said, most| said.loops() && most.loops(),
        what: "ends a loop of aliases where it closes, and one that grows after 16 steps",
    },
    Known {
        server: Kind::Bind,
        level: Level::May,
        applies: |_, said, most| said.has_two_ttls_in_its_zone() && most.has_two_ttls_in_its_zone(),
        what: "gives an RRset with two TTLs in the zone file the first of them, where Knot takes \
               the last",
    },
    Known {
        server: Kind::Nsd,
        level: Level::Must,
        applies: |_, said, most| said.has_two_ttls_in_its_zone() && most.has_two_ttls_in_its_zone(),
        what: "gives an RRset with two TTLs in the zone file both (RFC 2181 §5.2)",
    },
    Known {
        server: Kind::Nsd,
        level: Level::Should,
        applies: |_, said, most| most.only_aliases() && said.goes_on_from(most) && !said.loops(),
        what: "goes on where an alias leads to another zone, as RFC 1034 §4.3.2 step 3a says; the \
               others stay in the zone",
    },
    Known {
        server: Kind::Nsd,
        level: Level::May,
        applies: |asked, said, most| {
            [RecordType::NSEC, RecordType::RRSIG].contains(&asked.rtype)
                && most.answer.is_empty()
                && !said.answer.is_empty()
        },
        what: "follows an alias also when NSEC or RRSIG is asked for, which the others look for \
               beside the alias, where RFC 4035 §2.5 allows them",
    },
    Known {
        server: Kind::Bind,
        level: Level::Should,
        applies: |_, said, most| {
            said.answer == most.answer
                && said.authority.is_empty()
                && most.authority == ["child.main.test. 300 in ns ns.child.main.test."]
        },
        what: "says nothing more where an alias leads into a child that is served too; the others \
               refer to the child or answer from it",
    },
    Known {
        server: Kind::Bind,
        level: Level::May,
        applies: |_, said, most| said.loops() && most.loops(),
        what: "follows a loop of aliases longer or less long than the others, or answers SERVFAIL \
               at its end",
    },
    Known {
        server: Kind::Nsd,
        level: Level::May,
        applies: |_, said, most| said.loops() && most.loops(),
        what: "follows a loop of aliases longer or less long than the others",
    },
];

impl Outcome {
    /// Whether there are aliases and nothing else.
    fn only_aliases(&self) -> bool {
        let alias = |line: &String| line.contains(" in cname ") || line.contains(" in dname ");
        !self.answer.is_empty() && self.answer.iter().all(alias)
    }

    /// Whether it is the one RRset whose records have different TTLs in the zone file.
    fn has_two_ttls_in_its_zone(&self) -> bool {
        self.answer.len() == 2 && self.answer.iter().all(|line| line.starts_with("mixedttl.main"))
    }

    /// Whether it has all answers of `other`.
    fn goes_on_from(&self, other: &Outcome) -> bool {
        other.answer.iter().all(|line| self.answer.contains(line))
    }

    /// Whether it is a part of one of the zones' loops.
    fn loops(&self) -> bool {
        let looping = |line: &String| {
            ["loop1.main", "loop2.main", "self.main", "loop.dname", "grow.dname", "loop.wild-apex"]
                .iter()
                .any(|name| line.contains(name))
        };
        self.only_aliases() && self.answer.iter().all(looping)
    }
}

/// Every name that a zone owns or mentions.
fn names() -> Vec<Name> {
    let mut names = Vec::new();
    for (zone, file) in ZONES.iter().filter(|(zone, _)| !NOT_COMPARED.contains(zone)) {
        let path = format!("{}/../../tests/rfc/zones/{file}.zone", env!("CARGO_MANIFEST_DIR"));
        let origin: Name = zone.parse().expect("a name");
        let zone =
            einhorn_wire::zonefile::load(Path::new(&path), &origin, &mut |p| std::fs::read(p));
        for record in zone.unwrap_or_else(|error| panic!("{error}")) {
            names.extend(einhorn_wire::rdata::target(record.rtype, &record.rdata));
            names.push(record.owner);
        }
    }
    names.sort_by_key(|name| name.to_lowercase().to_string());
    names.dedup();
    names
}

/// A name near one that is there: below it, above it, beside it, or with letters of another case.
fn vary(random: &mut Random, name: &Name) -> Name {
    const LABELS: [&[u8]; 10] =
        [b"a", b"*", b"host", b"ns", b"wild", b"deleg", b"www", b"\0", b"_tcp", b"x.y"];
    let mut name = name.clone();
    for _ in 0..random.below(3) {
        let label: &[u8] = LABELS[random.below(LABELS.len())];
        name = match random.below(4) {
            0 => name.parent().unwrap_or(name),
            1 => name.parent().and_then(|parent| parent.prepend(label).ok()).unwrap_or(name),
            _ => name.prepend(label).unwrap_or(name),
        };
    }
    if random.below(4) == 0 {
        let wire: Vec<u8> = name.as_wire().iter().map(u8::to_ascii_uppercase).collect();
        name = Name::from_wire(&wire).unwrap_or(name);
    }
    name
}

fn questions(seed: u64) -> Vec<Asked> {
    const TYPES: [u16; 24] = [
        1, 1, 1, 28, 2, 5, 6, 12, 15, 16, 33, 39, 43, 46, 47, 48, 64, 65, 99, 257, 1000, 65_280,
        65_281, 65_284,
    ];
    let names = names();
    let mut random = Random(seed);
    let mut question = || {
        let name = random.of(&names).clone();
        Asked { name: vary(&mut random, &name).to_string(), rtype: RecordType(*random.of(&TYPES)) }
    };
    (0..QUERIES).map(|_| question()).collect()
}

/// What is compared; `None` where the answer is truncated, which says nothing.
fn outcome(reply: &Reply) -> Option<Outcome> {
    let lower = |records| normal(records).iter().map(|line| line.to_lowercase()).collect();
    (!reply.has(flag::TC)).then(|| Outcome {
        rcode: reply.rcode.0,
        authoritative: reply.is_authoritative(),
        answer: lower(&reply.answer),
        authority: lower(&reply.authority),
    })
}

/// How many answers of each server differed: by the known way, and those of no known way.
#[derive(Default)]
struct Differences {
    known: BTreeMap<&'static str, usize>,
    unknown: Vec<String>,
}

const KINDS: [Kind; 4] = [Kind::Einhorn, Kind::Bind, Kind::Knot, Kind::Nsd];

/// Asks everybody everything; `None` where a peer is missing.
fn differences() -> Option<&'static BTreeMap<usize, Differences>> {
    static DONE: OnceLock<Option<BTreeMap<usize, Differences>>> = OnceLock::new();
    let compute = || {
        let seed = std::env::var(SEED_VARIABLE).ok().and_then(|text| text.parse().ok());
        let seed = seed.unwrap_or(SEED);
        eprintln!("{SEED_VARIABLE}={seed}");
        let servers: Option<Vec<_>> = KINDS.iter().map(|kind| running(*kind)).collect();
        let servers = servers?;
        let mut all: BTreeMap<usize, Differences> = BTreeMap::new();
        for window in questions(seed).chunks(WINDOW) {
            let queries: Vec<Query> = (0u16..)
                .zip(window)
                .map(|(id, asked)| {
                    Query::of(&format!("{} {}", asked.name, asked.rtype)).edns(1232).id(id)
                })
                .collect();
            let replies: Vec<_> = servers.iter().map(|server| server.burst(&queries)).collect();
            for (at, asked) in window.iter().enumerate() {
                let outcomes: Vec<Option<Outcome>> = replies
                    .iter()
                    .map(|of| {
                        let reply = of[at].as_ref();
                        outcome(reply.unwrap_or_else(|| panic!("seed {seed}, silent: {asked:?}")))
                    })
                    .collect();
                judge(asked, &outcomes, &mut all);
            }
        }
        Some(all)
    };
    DONE.get_or_init(compute).as_ref()
}

/// Compares the answers to one question with what most peers say.
fn judge(asked: &Asked, outcomes: &[Option<Outcome>], all: &mut BTreeMap<usize, Differences>) {
    let Some(outcomes): Option<Vec<&Outcome>> = outcomes.iter().map(Option::as_ref).collect()
    else {
        return;
    };
    let peers = &outcomes[1..];
    let agreed = peers.iter().find(|one| peers.iter().filter(|other| other == one).count() > 1);
    // Where all peers differ, Knot's is as good as any: the others must differ in known ways.
    let most = agreed.copied().unwrap_or(peers[1]);
    for (at, outcome) in outcomes.iter().enumerate().filter(|(_, outcome)| **outcome != most) {
        let differences = all.entry(at).or_default();
        let applies =
            |known: &&Known| known.server == KINDS[at] && (known.applies)(asked, outcome, most);
        match KNOWN.iter().find(applies) {
            Some(known) => *differences.known.entry(known.what).or_default() += 1,
            None => differences
                .unknown
                .push(format!("{} {}: {outcome:?} and not {most:?}", asked.name, asked.rtype)),
        }
    }
}

/// No unknown difference, and each known one is seen.
fn check(kind: Kind) {
    let Some(all) = differences() else { return };
    let found = all.get(&(kind as usize));
    let (unknown, known) = found.map_or((&[][..], None), |d| (&d.unknown[..], Some(&d.known)));
    eprintln!("{kind}: {known:#?}");
    let shown = unknown.iter().take(SHOWN_MAX).map(String::as_str).collect::<Vec<_>>().join("\n");
    assert!(
        unknown.is_empty(),
        "{} unknown differences of {kind}, such as\n{shown}",
        unknown.len()
    );
    for way in KNOWN.iter().filter(|way| way.server == kind) {
        let seen = known.is_some_and(|known| known.contains_key(way.what));
        assert!(seen, "{kind} no longer differs thus: {}", way.what);
    }
}

mod random_queries {
    use super::{Kind, check};

    #[test]
    fn einhorn() {
        check(Kind::Einhorn);
    }

    #[test]
    fn bind() {
        check(Kind::Bind);
    }

    #[test]
    fn knot() {
        check(Kind::Knot);
    }

    #[test]
    fn nsd() {
        check(Kind::Nsd);
    }
}
