//! Replays the corpus of every target, and seeded mutations of it.

use einhorn_fuzz::{TARGETS, Target};
use einhorn_sim::random::Random;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

/// Mutations per target in the ordinary run.
const MUTATIONS: u64 = 5_000;
/// How long the long run stays with each target.
const LONG_RUN: Duration = Duration::from_secs(150);
/// Changes made at once, at most.
const CHANGES_MAX: u64 = 6;
/// What parsers look at most closely.
const INTERESTING: [&[u8]; 16] = [
    &[0],
    &[0xff],
    &[0xc0, 0x0c],
    &[0xff, 0xff],
    &[0, 0, 0, 0],
    &[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0],
    &[0, 250],
    &[0x3f],
    b"\n",
    b"\n\n",
    b" ",
    b"\\",
    b"\"",
    b"(",
    b"$INCLUDE ",
    b"+",
];

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let entries = std::fs::read_dir(&folder);
    let entries = entries.unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).expect("a file")).collect()
}

fn run(target: Target, input: &[u8], what: &str) {
    let (name, function) = target;
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| function(input))) {
        let hex: String = input.iter().map(|octet| format!("{octet:02x}")).collect();
        eprintln!("target {name}, {what}, input of {} octets: {hex}", input.len());
        resume_unwind(panic);
    }
}

/// A few changes to an input, now and then a piece of another one.
fn mutate(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let pick = |random: &mut Random| &corpus[random.below(corpus.len() as u64) as usize];
    let mut input = pick(random).clone();
    for _ in 0..=random.below(CHANGES_MAX) {
        let at = random.below(input.len() as u64 + 1) as usize;
        let end = at + (random.below(9) as usize).min(input.len() - at);
        match random.below(8) {
            0 => input.truncate(at),
            1 => drop(input.splice(at..end, [])),
            2 => drop(input.splice(at..at, [random.next_u64() as u8])),
            3 => {
                let piece = INTERESTING[random.below(INTERESTING.len() as u64) as usize];
                let end = if random.one_in(2) { at } else { end };
                input.splice(at..end, piece.iter().copied());
            }
            4 => {
                let other = pick(random);
                let from = random.below(other.len() as u64 + 1) as usize;
                let to = from + random.below((other.len() - from).min(64) as u64 + 1) as usize;
                input.splice(at..end, other[from..to].iter().copied());
            }
            5 => {
                let again = input[at..end].to_vec();
                input.splice(at..at, again);
            }
            6 if at < input.len() => {
                let step = if random.one_in(2) { 1 } else { 0xff };
                input[at] = input[at].wrapping_add(step);
            }
            _ if at < input.len() => input[at] ^= 1 << random.below(8),
            _ => {}
        }
    }
    input
}

#[test]
fn the_corpus_and_mutations_of_it_hold() {
    for target in TARGETS {
        let (name, _) = target;
        let corpus = corpus(name);
        for input in &corpus {
            run(*target, input, "an input of the corpus");
        }
        let mut random = Random::new(1);
        for number in 0..MUTATIONS {
            run(*target, &mutate(&corpus, &mut random), &format!("seed 1, mutation {number}"));
        }
    }
}

#[test]
#[ignore = "long: some minutes"]
fn many_mutations_of_the_corpus_hold() {
    for target in TARGETS {
        let corpus = corpus(target.0);
        let (begun, mut count) = (Instant::now(), 0);
        let mut random = Random::new(2);
        while begun.elapsed() < LONG_RUN {
            run(*target, &mutate(&corpus, &mut random), &format!("seed 2, mutation {count}"));
            count += 1;
        }
        println!("{}: {count} executions", target.0);
    }
}
