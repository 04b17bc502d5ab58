//! The commit against its promises: order of outputs, retries, failures, restart by folding.

use super::*;
use crate::agent::{Path, Reason, Rules};
use crate::model::entry::{Assembler, Cause};
use crate::model::request::{Action, Commitment, Identity, Operation, Prerequisite, RequestId};
use crate::model::{Effects, RrSetRef, Step, Zones, snapshot};
use crate::rules::rollback::{Planner, Target};
use einhorn_wire::{RecordType, zonefile};

pub(super) const ORIGIN: Origin = Origin { site: 1, generation: 1 };

pub(super) fn done(index: u64) -> Outcome {
    Outcome::Done { at: Position { origin: ORIGIN, index } }
}

pub(super) fn name(text: &str) -> Name {
    text.parse().expect("name")
}

pub(super) fn request(id: u8, action: Action) -> Request {
    Request {
        id: RequestId([id; 32]),
        remember_until_seconds: 1000,
        who: Identity::Key(name("phone.")),
        zone: name("example."),
        action,
        entered_site: 1,
        audit_commitment: Commitment([0; 32]),
        decision: None,
        audit: vec![id],
    }
}

pub(super) fn set_a(id: u8, owner: &str, octet: u8) -> Request {
    let (owner, rdata) = (name(owner), Box::new([192, 0, 2, octet]));
    let operations = vec![
        Operation::DeleteRrSet(owner.clone(), RecordType::A),
        Operation::Add { owner, rtype: RecordType::A, ttl: 60, rdata },
    ];
    request(id, Action::Update { prerequisites: Vec::new(), operations, lease: None })
}

pub(super) fn load() -> Request {
    let text = b"@ 60 SOA ns h 4294967290 2 3 4 5\n@ 60 NS ns\na 60 A 192.0.2.1\n".to_vec();
    let records =
        zonefile::load(std::path::Path::new("z"), &name("example."), &mut |_| Ok(text.clone()));
    let names = crate::rules::zone::names_of_zone(&name("example."), records.expect("records"))
        .expect("zone");
    request(255, Action::LoadZone { names, source: [9; 32] })
}

/// A commit with everything that it ever appended.
pub(super) struct Site {
    commit: Commit<u8>,
    log: Vec<Vec<u8>>,
    pub(super) zones: Zones,
    pub(super) steps: Vec<Step>,
    answers: Vec<(u8, Outcome)>,
    now_ms: u64,
}

impl Site {
    pub(super) fn new() -> Site {
        let mut commit = Commit::new(State::empty(ORIGIN), Box::new(Rules));
        commit.begin_log(1, ORIGIN, "test".to_owned(), None);
        let mut site = Site {
            commit,
            log: Vec::new(),
            zones: Zones::default(),
            steps: Vec::new(),
            answers: Vec::new(),
            now_ms: 10,
        };
        site.run(&[load()]);
        assert_eq!(site.take(), [(255, done(1))]);
        site
    }

    pub(super) fn run(&mut self, requests: &[Request]) {
        let mut out = Vec::new();
        for request in requests {
            self.commit.request(self.now_ms, request.clone(), request.id.0[0], &mut out);
        }
        self.settle(out);
    }

    /// Lets time go by.
    pub(super) fn pass(&mut self, by_ms: u64) {
        self.now_ms += by_ms;
        let mut out = Vec::new();
        self.commit.tick(self.now_ms, &mut out);
        self.settle(out);
    }

    /// Sets the clock back.
    pub(super) fn set_back(&mut self, by_ms: u64) {
        self.now_ms -= by_ms;
        self.commit.see_clock(self.now_ms);
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.now_ms
    }

    pub(super) fn next_wake_ms(&self) -> Option<u64> {
        self.commit.next_wake_ms()
    }

    pub(super) fn report(&self) -> Report {
        self.commit.report(self.now_ms)
    }

    pub(super) fn let_leases_end(&mut self) {
        self.commit.let_leases_end();
    }

    pub(super) fn state(&self) -> &State {
        self.commit.state()
    }

    fn settle(&mut self, mut out: Vec<Output<u8>>) {
        self.commit.flush(self.now_ms, &mut out);
        while !out.is_empty() {
            for output in std::mem::take(&mut out) {
                match output {
                    Output::Append(append) => {
                        assert_eq!(append.own.first_index, self.log.len() as u64);
                        self.log.extend(append.own.entries().map(|(entry, _)| entry.to_vec()));
                        self.commit.appended(self.now_ms, &mut out);
                    }
                    Output::Publish(publication) => {
                        self.zones = publication.zones;
                        self.steps.extend(publication.steps);
                    }
                    Output::Answer(reply, outcome, _) => self.answers.push((reply, outcome)),
                    _ => panic!("a site that is alone speaks to nobody"),
                }
            }
        }
    }

    pub(super) fn take(&mut self) -> Vec<(u8, Outcome)> {
        std::mem::take(&mut self.answers)
    }

    pub(super) fn a(&self, owner: &str) -> Option<Vec<u8>> {
        let zone = self.zones.get(&name("example."))?;
        Some(zone.rrset(&name(owner), RecordType::A)?.rdatas().next()?.to_vec())
    }

    pub(super) fn entries(&self) -> Vec<(u64, Entry)> {
        let mut assembler = Assembler::default();
        let entries = self.log.iter().enumerate();
        entries
            .filter_map(|(i, octets)| Some((i as u64, assembler.next(octets).expect("entry")?)))
            .collect()
    }

    pub(super) fn restart(&self) -> State {
        let mut state = State::empty(ORIGIN);
        for (_, entry) in self.entries() {
            let parts = entry.encode(&mut Vec::new(), |_| ());
            let mut effects = Effects::default();
            state.fold(ORIGIN, &entry, parts, &mut effects).expect("the log folds");
        }
        state
    }
}

pub(super) fn rcode(outcome: &Outcome) -> Rcode {
    match outcome {
        Outcome::Done { .. } => Rcode::NOERROR,
        Outcome::Refused { rcode, .. } => *rcode,
    }
}

#[test]
fn a_batch_is_durable_then_visible_then_answered() {
    let mut site = Site::new();
    let mut out = Vec::new();
    site.commit.request(20, set_a(1, "a.example.", 7), 1, &mut out);
    site.commit.request(20, set_a(2, "b.example.", 8), 2, &mut out);
    assert!(out.is_empty());
    site.commit.flush(20, &mut out);
    assert!(matches!(&out[..], [Output::Append(append)] if append.own.len() == 3));
    out.clear();
    site.commit.appended(20, &mut out);
    assert!(matches!(&out[..], [Output::Publish(_), Output::Answer(1, ..), Output::Answer(2, ..)]));
}

#[test]
fn one_publication_per_batch_and_serials_go_around() {
    let mut site = Site::new();
    let serial = |site: &Site| site.zones.get(&name("example.")).expect("zone").serial;
    assert_eq!(serial(&site), 4_294_967_290);
    for i in 0..8 {
        site.run(&[set_a(2 * i, "a.example.", i), set_a(2 * i + 1, "b.example.", i)]);
    }
    assert_eq!(serial(&site), 3, "six to the end, 0 left out, then 1, 2, 3");
    let publications =
        site.entries().iter().filter(|(_, e)| matches!(e.body, Body::Publication { .. })).count();
    assert_eq!(publications, 9);
    site.run(&[set_a(100, "a.example.", 7)]);
    assert_eq!(serial(&site), 3, "no change, no new serial");
}

#[test]
fn a_retry_is_recognised_in_the_batch_after_it_and_after_a_restart() {
    let mut site = Site::new();
    let first = set_a(1, "a.example.", 1);
    site.run(&[first.clone(), first.clone()]);
    site.run(&[set_a(2, "a.example.", 2)]);
    site.run(std::slice::from_ref(&first));
    assert_eq!(site.a("a.example."), Some(vec![192, 0, 2, 2]), "the late copy changed nothing");
    let done = done(3);
    assert!(site.answers.iter().filter(|(id, _)| *id == 1).all(|(_, outcome)| *outcome == done));
    let state = site.restart();
    let at = Position { origin: ORIGIN, index: 3 };
    assert_eq!(state.done(&first.id), Some(at));
    let restored = snapshot::decode(&snapshot::encode(&state)).expect("a snapshot");
    assert_eq!(restored.done(&first.id), Some(at));
    // Until the copy would be refused as too old anyway.
    site.now_ms = 1_000_999;
    site.run(std::slice::from_ref(&first));
    assert_eq!(site.commit.state().remembered(), 3);
    site.take();
    site.now_ms = 1_001_000;
    site.run(std::slice::from_ref(&first));
    assert_eq!(site.commit.state().remembered(), 0);
    // And should one come nevertheless, or the clock be set back, it is not done a second time.
    site.now_ms = 20;
    site.run(&[first]);
    let rcodes: Vec<_> = site.take().iter().map(|(_, outcome)| rcode(outcome)).collect();
    assert_eq!(rcodes, [Rcode::SERVFAIL, Rcode::SERVFAIL]);
    assert_eq!(site.a("a.example."), Some(vec![192, 0, 2, 2]));
}

#[test]
fn a_change_without_effect_is_remembered_too() {
    let mut site = Site::new();
    let same = set_a(1, "a.example.", 1);
    site.run(std::slice::from_ref(&same));
    site.run(&[set_a(2, "a.example.", 2), same]);
    assert_eq!(site.a("a.example."), Some(vec![192, 0, 2, 2]));
}

#[test]
fn a_refusal_that_rests_on_the_open_batch_waits_for_it() {
    let mut site = Site::new();
    let absent = Prerequisite::NameNotInUse(name("new.example."));
    let mut second = set_a(2, "new.example.", 2);
    if let Action::Update { prerequisites, .. } = &mut second.action {
        prerequisites.push(absent);
    }
    let mut out = Vec::new();
    site.commit.request(20, set_a(1, "new.example.", 1), 1, &mut out);
    site.commit.request(20, second, 2, &mut out);
    site.commit.flush(20, &mut out);
    assert!(matches!(&out[..], [Output::Append(_)]));
    out.clear();
    site.commit.append_failed("the disk is full", &mut out);
    for output in &out {
        assert!(
            matches!(output, Output::Answer(_, outcome, _) if rcode(outcome) == Rcode::SERVFAIL)
        );
    }
    assert_eq!(out.len(), 2);
    out.clear();
    site.commit.request(20, set_a(3, "a.example.", 1), 3, &mut out);
    let [Output::Answer(3, Outcome::Refused { rcode, reason }, _)] = &out[..] else {
        panic!("one refusal")
    };
    assert_eq!((*rcode, reason.as_str()), (Rcode::SERVFAIL, "the disk is full"));
    site.commit.flush(20, &mut out);
    assert_eq!(out.len(), 1, "nothing is written any more");
}

#[test]
fn the_next_batch_fills_while_one_is_written() {
    let mut site = Site::new();
    let mut out = Vec::new();
    site.commit.request(20, set_a(1, "a.example.", 7), 1, &mut out);
    site.commit.flush(20, &mut out);
    assert!(matches!(&out[..], [Output::Append(_)]));
    out.clear();
    // A retry waits for the batch that is being written, a new change opens the next one.
    site.commit.request(21, set_a(1, "a.example.", 7), 2, &mut out);
    site.commit.request(21, set_a(3, "a.example.", 8), 3, &mut out);
    site.commit.flush(21, &mut out);
    assert!(out.is_empty(), "one append at a time");
    site.commit.appended(20, &mut out);
    let [Output::Publish(published), Output::Answer(1, ..), Output::Answer(2, ..)] = &out[..]
    else {
        panic!("the first batch")
    };
    let zone = published.zones.get(&name("example.")).expect("zone");
    let published = zone
        .rrset(&name("a.example."), RecordType::A)
        .and_then(|set| Some(set.rdatas().next()?.to_vec()));
    assert_eq!(published, Some(vec![192, 0, 2, 7]), "the second batch is not visible yet");
    out.clear();
    site.commit.flush(21, &mut out);
    let [Output::Append(batch)] = &out[..] else { panic!("the second batch") };
    assert_eq!(batch.own.first_index, 5);
    out.clear();
    site.commit.request(22, set_a(4, "a.example.", 9), 4, &mut out);
    site.commit.append_failed("gone", &mut out);
    let failed: Vec<_> = out
        .iter()
        .map(|o| {
            if let Output::Answer(id, outcome, _) = o {
                (*id, rcode(outcome))
            } else {
                panic!("answers")
            }
        })
        .collect();
    assert_eq!(failed, [(3, Rcode::SERVFAIL), (4, Rcode::SERVFAIL)]);
}

#[test]
fn refusals_change_nothing() {
    let mut site = Site::new();
    let before = site.log.clone();
    let mut other = set_a(1, "a.other.", 1);
    other.zone = name("other.");
    site.run(&[other, load()]);
    let rcodes: Vec<_> = site.take().iter().map(|(_, outcome)| rcode(outcome)).collect();
    assert_eq!(rcodes, [Rcode::NOTAUTH, Rcode::NOERROR], "the second is a copy of the first load");
    let mut again = load();
    again.id = RequestId([77; 32]);
    site.run(&[again]);
    assert_eq!(rcode(&site.take()[0].1), Rcode::YXDOMAIN);
    assert_eq!(site.log, before);
}

#[test]
fn advice_is_in_the_entry_and_decides_nothing() {
    let mut site = Site::new();
    let mut stranger = set_a(1, "a.example.", 5);
    stranger.who = Identity::Key(name("stranger."));
    site.run(&[stranger]);
    let (_, entry) = &site.entries()[3];
    let Body::Change(change) = &entry.body else { panic!("a change") };
    assert_eq!((change.advice.path, change.advice.reason), (Path::MultiPhase, Reason::OtherWriter));
    assert_eq!(change.path, Path::Fast);
    assert_eq!(site.a("a.example."), Some(vec![192, 0, 2, 5]));
}

#[test]
fn history_is_a_chain_and_deletion_does_not_break_it() {
    let mut site = Site::new();
    let owner = name("a.example.");
    let operations = vec![Operation::DeleteName(owner.clone())];
    site.run(&[request(1, Action::Update { prerequisites: Vec::new(), operations, lease: None })]);
    site.run(&[set_a(2, "A.example.", 2)]);
    let mut next = site
        .zones
        .get(&name("example."))
        .and_then(|zone| zone.name(&owner))
        .map(|record| record.history().last);
    let mut sequences = Vec::new();
    while let Some(position) = next {
        let entries = site.entries();
        let (_, entry) =
            entries.iter().find(|(index, _)| *index == position.index).expect("the entry");
        let Body::Change(change) = &entry.body else { panic!("a change") };
        let name = change.names.iter().find(|name| name.owner == owner).expect("the name");
        sequences.push(name.sequence);
        next = name.previous;
    }
    assert_eq!(sequences, [3, 2, 1]);
}

#[test]
fn folding_the_log_gives_the_same_state() {
    let mut site = Site::new();
    for i in 1..40 {
        site.run(&[set_a(i, &format!("n{}.example.", i % 7), i)]);
    }
    let (state, zone) = (site.restart(), name("example."));
    assert_eq!(snapshot::encode(&state), snapshot::encode(site.commit.state()));
    let decoded = snapshot::decode(&snapshot::encode(&state)).expect("a snapshot");
    let root = |state: &State| state.zones.get(&zone).expect("zone").state_root();
    assert_eq!(root(&decoded), root(&state));
    assert_eq!(snapshot::encode(&decoded), snapshot::encode(&state));
}

#[test]
fn a_log_that_does_not_follow_is_refused() {
    let mut site = Site::new();
    site.run(&[set_a(1, "a.example.", 2)]);
    site.run(&[set_a(2, "a.example.", 3)]);
    let entries: Vec<_> = site.entries().into_iter().map(|(_, entry)| entry).collect();
    // The last change of a name and what follows it have no successor to notice their absence.
    for left_out in 0..entries.len() - 3 {
        let mut state = State::empty(ORIGIN);
        let mut effects = Effects::default();
        let rest = entries.iter().enumerate().filter(|(i, _)| *i != left_out);
        let folded = rest
            .map(|(_, entry)| entry)
            .try_for_each(|entry| state.fold(ORIGIN, entry, 1, &mut effects));
        assert!(folded.is_err(), "without entry {left_out}");
    }
}

#[test]
fn rolls_back_and_rolls_the_rollback_back() {
    let mut site = Site::new();
    let zone = name("example.");
    let root = |site: &Site| site.zones.get(&zone).expect("zone").state_root();
    let serial = |site: &Site| site.zones.get(&zone).expect("zone").serial;
    let plan = |site: &Site, serial| {
        let mut planner = Planner::new(zone.clone(), Target::Serial(serial));
        site.entries().iter().for_each(|(index, entry)| planner.next(*index, entry));
        planner.plan(site.zones.get(&zone).expect("zone"), None)
    };
    let (root_0, serial_0) = (root(&site), serial(&site));
    site.run(&[set_a(1, "a.example.", 1), set_a(2, "b.example.", 2)]);
    site.run(&[set_a(3, "a.example.", 3)]);
    let (root_1, serial_1) = (root(&site), serial(&site));
    let back = plan(&site, serial_0).expect("a plan");
    assert_eq!(back.names.len(), 2);
    site.run(&[request(10, back.clone().into_action())]);
    assert_eq!(root(&site), root_0);
    assert_eq!(serial(&site), serial_1.wrapping_add(1));
    let (_, entry) = &site.entries()[site.log.len() - 2];
    let Body::Change(change) = &entry.body else { panic!("a change") };
    assert_eq!(
        change.cause,
        Cause::Rollback {
            target_index: back.target_index,
            root_before: root_1,
            root_after: root_0
        }
    );
    site.run(&[request(11, plan(&site, serial_1).expect("a plan").into_action())]);
    assert_eq!(root(&site), root_1);
    // A plan made before somebody else changed a name is refused as a whole.
    let stale = plan(&site, serial_0).expect("a plan");
    site.run(&[set_a(12, "a.example.", 99)]);
    site.take();
    site.run(&[request(13, stale.into_action())]);
    assert_eq!(rcode(&site.take()[0].1), Rcode::NXRRSET);
    assert!(plan(&site, 77).is_err());
}

#[test]
fn long_changes_are_appended_in_parts_and_fold_back() {
    let mut site = Site::new();
    let operations = (0..3000u32).map(|i| Operation::Add {
        owner: name(&format!("host{i}.example.")),
        rtype: RecordType::A,
        ttl: 60,
        rdata: i.to_be_bytes().into(),
    });
    let action =
        Action::Update { prerequisites: Vec::new(), operations: operations.collect(), lease: None };
    site.run(&[request(1, action)]);
    assert!(site.log.len() > 6);
    assert_eq!(site.restart().next_index(), site.log.len() as u64);
    let zone = site.restart().zones;
    let sets: Option<RrSetRef<'_>> = zone
        .get(&name("example."))
        .and_then(|z| z.rrset(&name("host2999.example."), RecordType::A));
    assert!(sets.is_some());
}
