//! `einhorn demo --sites 3 --show-paths`: each path that a change can take, one after the other, as the
//! ledgers tell it.

use super::fleet::{CARE_ZONE, COALESCE_MS, NAMES, PHONE_ZONE, REVERSE_ZONE};
use super::indent;
use super::story::{Story, answered, expect, ms, replacement};
use super::watch::{Found, answered_by};
use crate::client::{Client, Response, Update};
use crate::{Failure, Outcome, describe, print};
use einhorn_core::model::entry::Change;
use einhorn_core::rules::reverse::reverse_name;
use einhorn_ingress::control::{self, Answer, ReviewCommand};
use einhorn_wire::message::Rcode;
use einhorn_wire::tsig::Key;
use einhorn_wire::{Name, RecordType};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

const BERLIN: usize = 0;
const FRANKFURT: usize = 1;
const ALL: [usize; NAMES.len()] = [0, 1, 2];
/// Changes after which a name has moved where it is used, at the latest.
const CHANGES_TO_MOVE_MAX: usize = 6;
/// Changes of a flapping name that are sent at once.
const FLAPS: usize = 4;

impl Story<'_> {
    /// Walks through all of them.
    pub(super) fn paths(&mut self) -> Outcome {
        let phone = named("annas-iphone.", PHONE_ZONE)?;
        self.forward_fast_and_move()?;
        self.multi_phase(&phone)?;
        self.coalesce()?;
        self.review()?;
        print("\nStill running; Ctrl-C ends it.")
    }

    fn forward_fast_and_move(&mut self) -> Outcome {
        let name = named("bens-iphone.", CARE_ZONE)?;
        self.headline("FORWARD: a name that nobody has is decided on by its zone's home, berlin")?;
        self.shown(FRANKFURT, &name, CARE_ZONE)?;
        self.headline(
            "FAST: from then on it is at home where it was registered, and decided there",
        )?;
        self.rest();
        self.shown(FRANKFURT, &name, CARE_ZONE)?;
        self.headline("MOVE: used from berlin again and again, its home follows it there")?;
        for _ in 0..CHANGES_TO_MOVE_MAX {
            self.rest();
            let found = self.shown(BERLIN, &name, CARE_ZONE)?;
            if self.home(&found.name) == Some(BERLIN) {
                return Ok(());
            }
        }
        Err(Failure::finding("the name has not moved to berlin"))
    }

    fn multi_phase(&mut self, phone: &Name) -> Outcome {
        self.headline(&format!(
            "MULTI-PHASE: in {PHONE_ZONE} an address and its PTR record change as one, here with two homes"
        ))?;
        self.shown(FRANKFURT, phone, PHONE_ZONE)?;
        let found = self.shown(FRANKFURT, phone, PHONE_ZONE)?;
        let address = found.name.after.iter().flat_map(|set| set.rdatas()).find(|d| d.len() == 4);
        let reverse = address.and_then(reverse_name);
        let reverse = reverse.ok_or_else(|| Failure::finding("the phone has no address"))?;
        for site in ALL {
            let found = self.client(site)?.query(&reverse, RecordType::PTR)?;
            let is_phone = found.answers.iter().any(|record| *record.rdata == *phone.as_wire());
            let (site, said) = (NAMES[site], if is_phone { "" } else { "NOT " });
            print(format_args!("   {site} answers {said}that {reverse} PTR is {phone}"))?;
        }
        print("   The ledgers tell it so:")?;
        let story: Vec<String> = (self.ledgers.await_story()?.iter())
            .map(|told| {
                let text = describe::text(told.index, &told.entry);
                format!("in {}'s ledger:\n{}", NAMES[told.site], indent(&text))
            })
            .collect();
        print(indent(&story.join("\n")))?;
        print(format_args!("   (the zone of the PTR records is {REVERSE_ZONE})"))
    }

    fn coalesce(&mut self) -> Outcome {
        self.headline(&format!(
            "COALESCE: {FLAPS} changes of a flapping name within {COALESCE_MS} ms become one entry"
        ))?;
        let name = named("flapping.", CARE_ZONE)?;
        let first = self.next_address();
        let key = Arc::clone(&self.fleet.key);
        let update = replace(&key, CARE_ZONE, &name, first)?;
        expect(&self.client(BERLIN)?.update(&update)?, Rcode::NOERROR)?;
        let mut updates = Vec::new();
        for _ in 0..FLAPS {
            let address = self.next_address();
            updates.push((address, replace(&key, CARE_ZONE, &name, address)?));
        }
        let begun = Instant::now();
        let dns = self.fleet.members[BERLIN].dns;
        let send = |update: &Update| -> Result<(Response, Duration), Failure> {
            let response = Client::connect(dns)?.update(update)?;
            Ok((response, begun.elapsed()))
        };
        let answers: Vec<_> = std::thread::scope(|scope| {
            let mut threads = Vec::new();
            for (address, update) in &updates {
                threads.push((*address, scope.spawn(|| send(update))));
            }
            threads.into_iter().map(|(address, thread)| (address, thread.join())).collect()
        });
        for (address, answer) in answers {
            let (response, time) = answer.map_err(|_| Failure::finding("a client failed"))??;
            print(format_args!("   {name} A {address} -> {} after {}", response.rcode, ms(time)))?;
            expect(&response, Rcode::NOERROR)?;
        }
        // Which of them came last is the network's choice.
        let answered = self.client(BERLIN)?.query(&name, RecordType::A)?;
        let address =
            answered.answers.first().and_then(|one| <[u8; 4]>::try_from(&*one.rdata).ok());
        let address = address.ok_or_else(|| Failure::finding("the name has no address"))?;
        let found = self.ledgers.await_change(&name, Ipv4Addr::from(address))?;
        let Change { stands_for, .. } = &found.change;
        print(format_args!(
            "   {}; it stands for {} other requests",
            self.decision(&found),
            stands_for.len()
        ))?;
        match stands_for.is_empty() {
            true => Err(Failure::finding("nothing was joined")),
            false => Ok(()),
        }
    }

    fn review(&mut self) -> Outcome {
        self.headline("REVIEW: somebody else's key changes a name; a person is to decide")?;
        let name = named("contested.", CARE_ZONE)?;
        self.shown(BERLIN, &name, CARE_ZONE)?;
        let address = self.next_address();
        let other_key = Arc::clone(&self.fleet.other_key);
        let update = replace(&other_key, CARE_ZONE, &name, address)?;
        let response = self.client(BERLIN)?.update(&update)?;
        print(format_args!("   {name} A {address} by key other. -> {}", response.rcode))?;
        if let Some(explanation) = &response.explanation {
            print(format_args!("   \"{explanation}\""))?;
        }
        expect(&response, Rcode::REFUSED)?;
        let data = self.fleet.members[BERLIN].data.clone();
        let ask = |command| {
            control::ask(&data, &control::Command::Review(command)).map_err(Failure::unreachable)
        };
        let Answer::Reviews { reviews } = ask(ReviewCommand::List)? else {
            return Err(Failure::finding("no review queue"));
        };
        let waiting = reviews.first().ok_or_else(|| Failure::finding("nothing waits"))?;
        print("   einhorn review show says:")?;
        print(indent(&crate::review::text(waiting)))?;
        let (id, choice) = (waiting.id.clone(), "take".to_owned());
        let begun = Instant::now();
        let resolve = || match ask(ReviewCommand::Resolve { id, choice })? {
            Answer::Done { text, .. } => print(format_args!("   einhorn review resolve: {text}")),
            answer => Err(Failure::finding(format!("{answer:?}"))),
        };
        let ((), times) = answered_by(self.fleet, &ALL, (&name, address), begun, resolve)?;
        print(answered(&times))
    }

    /// Sends a change of an address, and says which path it took.
    fn shown(&mut self, site: usize, name: &Name, zone: &str) -> Result<Found, Failure> {
        let address = self.next_address();
        let update = replace(&self.fleet.key, zone, name, address)?;
        let begun = Instant::now();
        let send = || -> Result<Duration, Failure> {
            expect(&self.client(site)?.update(&update)?, Rcode::NOERROR)?;
            Ok(begun.elapsed())
        };
        let (time, _) = answered_by(self.fleet, &ALL, (name, address), begun, send)?;
        let at = NAMES[site];
        print(format_args!("   {name} A {address} sent to {at}: done after {}", ms(time)))?;
        let found = self.ledgers.await_change(name, address)?;
        print(format_args!("   {}", self.decision(&found)))?;
        Ok(found)
    }

    /// Lets so much time go by that the next change is not taken for flapping.
    fn rest(&self) {
        std::thread::sleep(Duration::from_millis(1_100));
    }
}

fn named(label: &str, zone: &str) -> Result<Name, Failure> {
    format!("{label}{zone}").parse().map_err(Failure::finding)
}

fn replace(key: &Arc<Key>, zone: &str, name: &Name, to: Ipv4Addr) -> Result<Update, Failure> {
    replacement(key, &zone.parse().map_err(Failure::finding)?, name, to)
}
