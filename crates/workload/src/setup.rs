//! Simulated sites that know of each other and of one zone: what a first site made alone, and all others
//! have copied.

use crate::world::WorldError;
use einhorn_core::agent::{Advisor, Rules};
use einhorn_core::commit::start::{Begin, Folding, ended, own_log};
use einhorn_core::commit::{Commit, Output, Setup};
use einhorn_core::ledger::{Algorithm, SignerKey, leaf_hash};
use einhorn_core::model::registry::RegistryChange;
use einhorn_core::model::request::{Action, Commitment, Identity, Outcome, Request, RequestId};
use einhorn_core::model::{Effects, Origin, Site, State};
use einhorn_core::rules::zone::names_of_zone;
use einhorn_wire::{Name, zonefile};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// The zone.
pub(crate) const ZONE: &str = "fleet.test.";
/// Where the first site's log lies.
const FIRST: Origin = Origin { site: 1, generation: 1 };

/// What a site's disk holds of each log.
pub(crate) type Logs = BTreeMap<Origin, Vec<Arc<[u8]>>>;

pub(crate) fn name(text: &str) -> Result<Name, WorldError> {
    text.parse().map_err(|_| WorldError::Setup(format!("{text} is no name")))
}

fn site_name(site: u16) -> String {
    format!("s{site}")
}

fn log_name(site: u16) -> String {
    format!("s{site}.test/log")
}

fn key(name: &str, algorithm: Algorithm, site: u16) -> Result<SignerKey, WorldError> {
    let mut seed = [algorithm as u8; 32];
    seed[..2].copy_from_slice(&site.to_be_bytes());
    SignerKey::from_seed(name, algorithm, &seed)
        .map_err(|error| WorldError::Setup(error.to_string()))
}

fn mirror_key(site: u16) -> Result<SignerKey, WorldError> {
    key(&format!("s{site}.test/mirror"), Algorithm::CosignatureV1, site)
}

fn card(site: u16) -> Result<Site, WorldError> {
    let log = key(&log_name(site), Algorithm::Ed25519, site)?.verifier().to_string();
    Ok(Site {
        name: site_name(site),
        addresses: Vec::new(),
        logs: [(1, log)].into_iter().collect(),
        mirror_keys: vec![mirror_key(site)?.verifier().to_string()],
        certificates: Vec::new(),
        is_suspended: false,
    })
}

fn zone() -> Result<Action, WorldError> {
    let apex = name(ZONE)?;
    let text = b"@ 60 SOA ns h 1 2 3 4 5\n@ 60 NS ns\nns 60 A 192.0.2.1\n";
    let records = zonefile::load(Path::new("zone"), &apex, &mut |_| Ok(text.to_vec()))
        .map_err(|error| WorldError::Setup(error.to_string()))?;
    let names = names_of_zone(&apex, records);
    let names = names.map_err(|error| WorldError::Setup(error.to_string()))?;
    Ok(Action::LoadZone { names, source: [0; 32] })
}

/// The log of a site that was alone, with the zone and all sites in it.
pub(crate) fn first_log(sites: u16, now_ms: u64) -> Result<Vec<Arc<[u8]>>, WorldError> {
    let mut state = State::empty(FIRST);
    state.origin = FIRST;
    let begin = Begin { name: log_name(1), previous: None, leftovers: Vec::new() };
    let setup = Setup { mirror: Some(mirror_key(1)?), begin: Some(begin), ..Setup::default() };
    let mut commit: Commit<u64> = Commit::with_sites(state, Box::new(Rules), setup);
    let mut log = Vec::new();
    let mut actions = vec![zone()?];
    for site in 1..=sites {
        actions.push(Action::Sites(RegistryChange::Put { site: card(site)? }));
    }
    let mut out = Vec::new();
    commit.tick(now_ms, &mut out);
    settle(&mut commit, now_ms, out, &mut log)?;
    for (number, action) in (0u8..).zip(actions) {
        let request = Request {
            id: RequestId([number; 32]),
            remember_until_seconds: now_ms / 1000 + 60,
            who: Identity::Operator,
            zone: name(ZONE)?,
            action,
            entered_site: 1,
            audit_commitment: Commitment([0; 32]),
            decision: None,
            audit: Vec::new(),
        };
        let mut out = Vec::new();
        commit.request(now_ms, request, u64::from(number), &mut out);
        settle(&mut commit, now_ms, out, &mut log)?;
    }
    Ok(log)
}

/// Lets a commit that is alone do all that it wants to.
fn settle(
    commit: &mut Commit<u64>,
    now_ms: u64,
    mut out: Vec<Output<u64>>,
    log: &mut Vec<Arc<[u8]>>,
) -> Result<(), WorldError> {
    commit.flush(now_ms, &mut out);
    while !out.is_empty() {
        let mut next = Vec::new();
        for output in out {
            match output {
                Output::Append(append) => {
                    log.extend(append.own.entries().map(|(entry, _)| Arc::from(entry)));
                    commit.appended(now_ms, &mut next);
                    commit.flush(now_ms, &mut next);
                }
                Output::Answer(_, Outcome::Refused { reason, .. }, _) => {
                    return Err(WorldError::Setup(reason));
                }
                Output::Rebuild(reason) => return Err(WorldError::Setup(reason)),
                _ => {}
            }
        }
        out = next;
    }
    Ok(())
}

/// A site that has copied the first log, as after a start, and what its disk holds.
pub(crate) fn site(
    site: u16,
    first: &[Arc<[u8]>],
    advisor: Option<Box<Advisor>>,
) -> Result<(Commit<u64>, Logs), WorldError> {
    let broken = |error: &dyn std::fmt::Display| WorldError::Setup(error.to_string());
    let mut folding = Folding::new(State::empty(Origin::NONE), &ended(&[]), [FIRST])
        .map_err(|error| broken(&error))?;
    for entry in first {
        let taken = folding.take(FIRST, entry, &mut Effects::default());
        taken.map_err(|error| broken(&error))?;
    }
    let (mut state, mut copies) = folding.finish();
    let origin = own_log(&state, &site_name(site), site == 1);
    state.origin = origin;
    for copy in copies.values_mut() {
        copy.leaves = first.iter().map(|entry| leaf_hash(entry)).collect();
    }
    let begin = Begin { name: log_name(site), previous: None, leftovers: Vec::new() };
    let setup = Setup {
        mirror: Some(mirror_key(site)?),
        copies,
        begin: (origin != FIRST).then_some(begin),
        advisor,
        ..Setup::default()
    };
    let logs = [(FIRST, first.to_vec())].into_iter().collect();
    Ok((Commit::with_sites(state, Box::new(Rules), setup), logs))
}
