//! A node that is a commit in memory, with devices and a person.

use crate::codec::Refusal;
use crate::live::apply::{Done, Input, Node, Problem};
use einhorn_core::agent::Rules;
use einhorn_core::commit::{Commit, Output};
use einhorn_core::exchange::{self, View, decode_view, encode_view};
use einhorn_core::model::request::{
    Action, Commitment, Identity, Operation, Outcome, PlannedName, ReplaceReason, Request,
    RequestId, SourceStep,
};
use einhorn_core::model::review::Choice;
use einhorn_core::model::{Origin, State, Zone};
use einhorn_core::rules::zone::names_of_zone;
use einhorn_wire::{Name, RecordType, zonefile};
use std::path::Path;

const ORIGIN: Origin = Origin { site: 1, generation: 1 };
pub(super) const ZONE: &str = "arpa.example.";
const ZONE_FILE: &[u8] = b"@ 60 SOA ns h 1 2 3 4 5\n@ 60 NS ns\nns 60 A 192.0.2.1\n";

pub(super) fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

/// A node with one zone, whose calls can be counted and made to fail.
pub(super) struct Memory {
    commit: Commit<()>,
    now_ms: u64,
    requests: u64,
    pub(super) entries: usize,
    /// After so many calls every call fails: before or after it was done.
    pub(super) dies: Option<(usize, bool)>,
    /// What devices do before the next step.
    pub(super) meanwhile: Vec<(Name, Option<[u8; 4]>)>,
}

impl Memory {
    pub(super) fn new() -> Memory {
        let mut commit = Commit::new(State::empty(ORIGIN), Box::new(Rules));
        commit.begin_log(1, ORIGIN, "test".to_owned(), None);
        let (now_ms, requests, entries) = (10, 0, 0);
        let mut memory =
            Memory { commit, now_ms, requests, entries, dies: None, meanwhile: Vec::new() };
        let read = &mut |_: &Path| Ok(ZONE_FILE.to_vec());
        let records = zonefile::load(Path::new("zone"), &name(ZONE), read).expect("a zone");
        let names = names_of_zone(&name(ZONE), records).expect("a zone");
        let loaded = memory.run(Identity::Operator, Action::LoadZone { names, source: [0; 32] });
        assert!(matches!(loaded, Outcome::Done { .. }), "{loaded:?}");
        memory
    }

    pub(super) fn run(&mut self, who: Identity, action: Action) -> Outcome {
        self.requests += 1;
        self.now_ms += 1;
        let mut id = [7; 32];
        id[..8].copy_from_slice(&self.requests.to_be_bytes());
        let request = Request {
            id: RequestId(id),
            remember_until_seconds: 1_000,
            who,
            zone: name(ZONE),
            action,
            entered_site: 1,
            audit_commitment: Commitment([0; 32]),
            decision: None,
            audit: Vec::new(),
        };
        let mut out = Vec::new();
        self.commit.request(self.now_ms, request, (), &mut out);
        self.commit.flush(self.now_ms, &mut out);
        let mut answer = None;
        while !out.is_empty() {
            for output in std::mem::take(&mut out) {
                match output {
                    Output::Append(append) => {
                        self.entries += append.own.len();
                        self.commit.appended(self.now_ms, &mut out);
                    }
                    Output::Answer((), outcome, _) => answer = Some(outcome),
                    _ => {}
                }
            }
            self.commit.flush(self.now_ms, &mut out);
        }
        answer.expect("an answer")
    }

    pub(super) fn state(&self) -> &State {
        self.commit.state()
    }

    pub(super) fn zone(&self) -> &Zone {
        self.state().zones.get(&name(ZONE)).expect("the zone")
    }

    /// The zone's records but for its apex and name server, as `NAME TTL TYPE DATA`.
    pub(super) fn records(&self) -> Vec<String> {
        let zone = self.zone();
        let names = zone.names.iter().filter(|record| record.rrsets().next().is_some());
        let mut lines = Vec::new();
        for record in names {
            let owner = record.owner().to_name();
            if owner != name(ZONE) && owner != name("ns.arpa.example.") {
                let sets = record.owned_rrsets();
                lines.extend(sets.iter().flat_map(|set| set.lines()).map(|line| {
                    format!("{} {line}", owner.to_string().trim_end_matches(".arpa.example."))
                }));
            }
        }
        lines.sort();
        lines
    }

    /// A device gives a name this address, or none.
    pub(super) fn device(&mut self, owner: &Name, address: Option<[u8; 4]>) {
        let mut operations = vec![Operation::DeleteRrSet(owner.clone(), RecordType::A)];
        operations.extend(address.map(|address| Operation::Add {
            owner: owner.clone(),
            rtype: RecordType::A,
            ttl: 60,
            rdata: Box::new(address),
        }));
        let action = Action::Update { prerequisites: Vec::new(), operations, lease: None };
        let done = self.run(Identity::Key(name("phone.")), action);
        assert!(matches!(done, Outcome::Done { .. }), "{done:?}");
    }

    /// A person decides on all that waits.
    pub(super) fn decide(&mut self, choice: Choice) {
        let next = |memory: &Memory| {
            let (at, open) = memory.state().reviews.iter().next()?;
            Some((at, open.review.change.clone()))
        };
        while let Some((at, change)) = next(self) {
            let zone = self.zone();
            let planned = change.names.iter().map(|one| {
                let now = zone.name(&one.owner);
                let current = now.map_or_else(Vec::new, |record| record.owned_rrsets());
                PlannedName {
                    owner: one.owner.clone(),
                    version: now.map_or(0, |record| record.history().version),
                    epoch: None,
                    after: choice.outcome(&current, &one.after),
                }
            });
            let names = if choice == Choice::Keep { Vec::new() } else { planned.collect() };
            let reason = ReplaceReason::Review { review: at, choice };
            let done = self.run(Identity::Operator, Action::Replace { reason, names });
            assert!(matches!(done, Outcome::Done { .. }), "{done:?}");
        }
    }

    /// Whether the next call fails before it is done; and counts it.
    fn call(&mut self) -> Result<bool, Problem> {
        let died = || Problem::Node("killed".to_owned());
        match &mut self.dies {
            Some((0, false)) => Err(died()),
            Some((0, true)) => {
                self.dies = Some((0, false));
                Ok(true)
            }
            Some((left, _)) => {
                *left -= 1;
                Ok(false)
            }
            None => Ok(false),
        }
    }
}

impl Node for Memory {
    fn look(&mut self) -> Result<View, Problem> {
        self.call()?;
        let (source, zone) = (self.state().sources.get("nic"), self.zone());
        let frozen = self.commit.source("nic", &[]).frozen;
        let octets = encode_view(source.map(|source| &**source), &frozen, Some(zone));
        Ok(decode_view(&octets).expect("a view"))
    }

    fn advance(&mut self, step: &SourceStep) -> Result<Done, Problem> {
        let dies = self.call()?;
        for (owner, address) in std::mem::take(&mut self.meanwhile) {
            self.device(&owner, address);
        }
        let who = Identity::Source("nic".to_owned());
        let outcome = self.run(who, Action::Advance(Box::new(step.clone())));
        if dies {
            return Err(Problem::Node("killed".to_owned()));
        }
        let source = self.state().sources.get("nic");
        let revision = source.map_or(0, |source| source.revision);
        let is_left = |at: &usize| {
            let items = &step.units[*at].items;
            !items.iter().all(|item| source.is_some_and(|source| source.has(item)))
        };
        let left: Vec<_> = (0..step.units.len()).filter(is_left).collect();
        match outcome {
            Outcome::Refused { reason, .. } if left.is_empty() => Err(Problem::Moved(reason)),
            _ => {
                let left = left.into_iter().map(|at| (at, "changed".to_owned())).collect();
                Ok(Done { revision, left })
            }
        }
    }

    fn freeze(&mut self, frozen: &exchange::Frozen) -> Result<Done, Problem> {
        let dies = self.call()?;
        let mut left = Vec::new();
        for (at, (legacy, names)) in frozen.records.iter().enumerate() {
            let who = Identity::Source("nic".to_owned());
            let action = Action::Freeze(Box::new(legacy.clone()), names.clone());
            let outcome = self.run(who, action);
            let waits = self.state().reviews.of_record("nic", &legacy.key).is_some();
            if !waits {
                left.push((at, format!("{outcome:?}")));
            }
        }
        let revision = self.state().sources.get("nic").map_or(0, |source| source.revision);
        if dies { Err(Problem::Node("killed".to_owned())) } else { Ok(Done { revision, left }) }
    }
}

/// A file.
pub(super) struct Octets(pub(super) Vec<u8>);

impl Input for Octets {
    fn name(&self) -> String {
        "HOSTS.TXT".to_owned()
    }

    fn read(&mut self, each: &mut dyn FnMut(&[u8]) -> Result<(), Refusal>) -> Result<(), Problem> {
        Ok(each(&self.0)?)
    }
}
