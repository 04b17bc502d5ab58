//! `einhorn ledger verify`: who else has confirmed the ledger.

use crate::{Failure, Outcome, print};
use einhorn_core::ledger::VerifierKey;
use einhorn_store::ledger::{Confirmation, Confirmations, Standing, TileSource};

/// Whose cosignatures count.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Public key of a site or witness that cosigns this ledger; may be given several times.
    #[arg(long = "cosigner", value_name = "NAME+HASH+BASE64")]
    cosigners: Vec<String>,
    /// Fail unless so many of them have confirmed entries, and tell up to which one.
    #[arg(long, value_name = "N", requires = "cosigners")]
    require_cosigners: Option<usize>,
}

/// The check, while entries are read.
pub(crate) struct Check {
    keys: Vec<VerifierKey>,
    required: Option<usize>,
    read: Option<Confirmations>,
    problem: Option<String>,
}

/// What came of it.
pub(crate) struct Told {
    /// What is wrong.
    pub(crate) findings: Vec<String>,
    lines: Vec<String>,
}

impl Check {
    /// Reads the cosignatures.
    pub(crate) fn open(
        arguments: &Arguments,
        source: &dyn TileSource,
        key: &VerifierKey,
    ) -> Result<Check, Failure> {
        let parse = |text: &String| {
            VerifierKey::parse(text.trim())
                .map_err(|error| Failure::usage(format!("--cosigner {text}: {error}")))
        };
        let keys: Vec<VerifierKey> =
            arguments.cosigners.iter().map(parse).collect::<Result<_, _>>()?;
        let required = arguments.require_cosigners;
        if let Some(required) = required.filter(|required| *required > keys.len()) {
            let given = keys.len();
            return Err(Failure::usage(format!(
                "--require-cosigners {required}, but only {given} --cosigner"
            )));
        }
        let (read, problem) = match Confirmations::read(source, key) {
            Ok(read) => (Some(read), None),
            Err(error) => (None, Some(format!("cosignatures: {error}"))),
        };
        Ok(Check { keys, required, read, problem })
    }

    /// Takes the next entry.
    pub(crate) fn next(&mut self, index: u64, octets: &[u8]) {
        if let Some(read) = &mut self.read {
            read.next(index, octets);
        }
    }

    /// Judges, after all entries. The keys of `sites` are believed too, beside those given.
    pub(crate) fn finish(mut self, sites: &[VerifierKey]) -> Told {
        let known = self.keys.clone();
        let is_other = |key: &&VerifierKey| !known.contains(key);
        self.keys.extend(sites.iter().filter(is_other).cloned());
        let found = self.read.map(|read| read.finish(&self.keys)).unwrap_or_default();
        let mut told = Told { findings: self.problem.into_iter().collect(), lines: Vec::new() };
        for one in &found {
            if let Standing::Wrong(doubt) = one.standing {
                let (path, name) = (one.path, &one.cosignature.key_name);
                let size = one.cosignature.size;
                told.findings.push(format!("{path}: {name} at size {size}: {doubt}"));
            }
        }
        let mut sizes: Vec<u64> = Vec::new();
        for key in &self.keys {
            let confirmed = |one: &&Confirmation| {
                one.cosignature.names(key) && one.standing == Standing::Confirmed
            };
            let name = key.name();
            match found.iter().filter(confirmed).map(|one| one.cosignature.size).max() {
                Some(size) => {
                    told.lines.push(format!("{name} has confirmed the first {size} entries"));
                    sizes.push(size);
                }
                None => told.lines.push(format!("{name} has confirmed nothing")),
            }
        }
        let mut unverified: Vec<(&str, u64)> = found
            .iter()
            .filter(|one| one.standing == Standing::Unverified)
            .map(|one| (one.cosignature.key_name.as_str(), one.cosignature.size))
            .collect();
        unverified.sort_unstable();
        unverified.dedup();
        told.lines.extend(unverified.into_iter().map(|(name, size)| {
            format!(
                "{name} says so of the first {size} entries: unverified, give its --cosigner key"
            )
        }));
        sizes.sort_unstable_by(|a, b| b.cmp(a));
        if let Some(required) = self.required.filter(|required| *required > 0) {
            match sizes.get(required - 1) {
                Some(size) => told
                    .lines
                    .push(format!("{required} or more have confirmed the first {size} entries")),
                None => told.findings.push(format!(
                    "{required} cosigners are required, but {} have confirmed entries",
                    sizes.len()
                )),
            }
        }
        told
    }
}

impl Told {
    /// Prints who has confirmed what.
    pub(crate) fn print(&self) -> Outcome {
        self.lines.iter().try_for_each(print)
    }
}
