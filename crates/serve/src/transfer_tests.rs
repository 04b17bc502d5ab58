//! Our transfers, read back by the other half of the program.

use super::*;
use einhorn_core::agent::Rules;
use einhorn_core::commit::{Commit, Output};
use einhorn_core::model::request::{
    Action, Commitment, Identity, Operation, Outcome, Request, RequestId,
};
use einhorn_core::model::settings::{Remote, Settings};
use einhorn_core::model::{Origin, State};
use einhorn_core::rules::incoming::{self, Incoming, plan};
use einhorn_core::rules::zone::names_of_zone;
use einhorn_wire::message::{Message, read_question};
use einhorn_wire::zonefile;
use proptest::prelude::*;
use std::path::Path;

fn apex() -> Name {
    "example.".parse().expect("a name")
}

/// A site with a log of its own, and what it published.
struct Site {
    commit: Commit<()>,
    requests: u8,
    steps: Vec<Arc<Step>>,
}

impl Site {
    fn new(action: Action) -> Site {
        let mut commit = Commit::new(State::empty(Origin::NONE), Box::new(Rules));
        commit.begin_log(0, Origin { site: 1, generation: 1 }, "test".to_owned(), None);
        let mut site = Site { commit, requests: 0, steps: Vec::new() };
        site.submit(action);
        site.steps.clear();
        site
    }

    fn submit(&mut self, action: Action) {
        self.requests += 1;
        let request = Request {
            id: RequestId([self.requests; 32]),
            remember_until_seconds: 60,
            who: Identity::Operator,
            zone: apex(),
            action,
            entered_site: 1,
            audit_commitment: Commitment([0; 32]),
            decision: None,
            audit: Vec::new(),
        };
        let mut out = Vec::new();
        self.commit.request(0, request, (), &mut out);
        self.commit.flush(0, &mut out);
        self.commit.appended(0, &mut out);
        for output in out {
            match output {
                Output::Publish(publication) => {
                    self.steps.extend(publication.steps.into_iter().map(Arc::new));
                }
                Output::Answer((), Outcome::Refused { reason, .. }, _) => panic!("{reason}"),
                _ => {}
            }
        }
    }

    fn zone(&self) -> Arc<Zone> {
        Arc::clone(self.commit.state().zones.get(&apex()).expect("the zone"))
    }
}

fn primary(lines: &str) -> Site {
    let text = format!("@ 60 SOA ns h 1 2 3 4 5\n@ 60 NS ns\n{lines}");
    let records = zonefile::load(Path::new("z"), &apex(), &mut |_| Ok(text.as_bytes().to_vec()));
    let names = names_of_zone(&apex(), records.expect("records")).expect("a zone");
    Site::new(Action::LoadZone { names, source: [0; 32] })
}

fn secondary() -> Site {
    let primaries = vec!["127.0.0.1".parse::<Remote>().expect("a server")];
    Site::new(Action::Configure(Settings { primaries, ..Settings::default() }))
}

/// Brings the second site to where the first is, by messages.
fn follow(from: &Site, to: &mut Site) -> &'static str {
    let zone = from.zone();
    let since = to.zone().soa().is_some().then(|| to.zone().serial);
    let content = match since {
        Some(serial) => incremental(&zone, serial, || {
            let begins = |step: &&Arc<Step>| matches!(step.kind, StepKind::Changed { from, .. } if from == serial);
            Some(from.steps.iter().skip_while(|step| !begins(step)).cloned().collect())
        }),
        None => Content::Whole,
    };
    let rtype = if since.is_some() { RecordType::IXFR } else { RecordType::AXFR };
    let mut octets = apex().as_wire().to_vec();
    octets.extend([0, rtype.0 as u8, 0, 1]);
    let (question, _) = read_question(&octets, 0).expect("a question");
    let mut incoming = Incoming::new(apex(), 7, since);
    let mut is_complete = false;
    messages(&zone, &content, 7, &question, 0, |message| {
        assert!(!is_complete, "messages behind the end");
        let message = Message::parse(&message[2..]).expect("a message");
        is_complete = incoming.message(&message).expect("a good message");
        true
    });
    let read = incoming.finish().expect("a whole answer");
    let kind = match &read {
        incoming::Content::UpToDate => "up to date",
        incoming::Content::Whole(_) => "whole",
        incoming::Content::Differences(_) => "differences",
    };
    if let Some(planned) = plan(&to.zone(), read).expect("it fits") {
        planned.action.into_iter().for_each(|action| to.submit(action));
    }
    assert_eq!(to.zone().serial, zone.serial);
    assert_eq!(to.zone().state_root(), zone.state_root());
    kind
}

fn add(owner: &str, ttl: u32, text: u8) -> Operation {
    let owner = owner.parse().expect("a name");
    Operation::Add { owner, rtype: RecordType::TXT, ttl, rdata: [1, text].into() }
}

#[test]
fn a_large_zone_takes_many_messages_and_a_small_change_few_octets() {
    let lines: String = (0..3_000).map(|i| format!("n{i} 60 TXT \"some text {i}\"\n")).collect();
    let (mut from, mut to) = (primary(&lines), secondary());
    assert_eq!(follow(&from, &mut to), "whole");
    assert_eq!(follow(&from, &mut to), "up to date");
    let (prerequisites, operations) = (Vec::new(), vec![add("new.example.", 60, b'x')]);
    from.submit(Action::Update { prerequisites, operations, lease: None });
    assert_eq!(follow(&from, &mut to), "differences");
}

proptest! {
    /// However a primary's zone changes and whenever its secondary asks, they end up the same.
    #[test]
    fn what_we_send_is_what_we_read(
        updates in prop::collection::vec(
            (prop::collection::vec((0u8..6, 0u8..4, 1u32..3, any::<bool>()), 1..6), any::<bool>()),
            1..12,
        ),
    ) {
        let mut from = primary("n1 1 TXT 1\nn2 1 TXT 2\nlong 1 TXT \"a text that makes the zone larger\"\n");
        let mut to = secondary();
        follow(&from, &mut to);
        for (changes, asks) in updates {
            let operation = |(name, text, ttl, adds): (u8, u8, u32, bool)| {
                let add = add(&format!("n{name}.example."), ttl, b'0' + text);
                match add {
                    Operation::Add { owner, rtype, rdata, .. } if !adds => {
                        Operation::DeleteRecord { owner, rtype, rdata }
                    }
                    add => add,
                }
            };
            let (prerequisites, operations) =
                (Vec::new(), changes.into_iter().map(operation).collect());
            from.submit(Action::Update { prerequisites, operations, lease: None });
            if asks {
                follow(&from, &mut to);
            }
        }
        follow(&from, &mut to);
    }
}
