//! Clients: they register, update and delete few names at all sites, and ask again when they are
//! not told what became of it.

use crate::disk::entry_at;
use crate::operators::{DESK, PASSING, REGISTER, ZONES, name};
use crate::world::{BEGIN_MS, Event, World};
use einhorn_core::commit::DEADLINE_MS;
use einhorn_core::model::entry::{Body, Change as NameChanges, Entry};
use einhorn_core::model::request::{
    Action, Commitment, Identity, Operation as Change, Outcome, Prerequisite, Request, RequestId,
};
use einhorn_core::model::settings::Level;
use einhorn_core::model::{History, Position, RrSet};
use einhorn_wire::edns::UpdateLease;
use einhorn_wire::message::Rcode;
use einhorn_wire::{Name, RecordType};

/// How long a client waits, in milliseconds.
const PATIENCE_MS: u64 = 4_500;
/// Names in a zone.
const NAMES: u64 = 5;
/// How late an answer may come after its deadline, in milliseconds.
const SLACK_MS: u64 = 300;
/// Records of a large RRset: twice as many do not fit in one stored entry.
const LARGE_RECORDS: u8 = 150;

/// A client.
pub(crate) struct Client {
    /// The site it asks first.
    site: u16,
    /// What it is about.
    operation: Option<usize>,
    /// Attempts at it.
    tries: u32,
    /// The attempt that it waits for.
    waits_for: Option<u64>,
    think_ms: u64,
}

/// What a client wanted.
pub(crate) struct Operation {
    pub(crate) request: Request,
    pub(crate) zone: usize,
    /// When it was first sent.
    pub(crate) sent_at: u64,
    /// When and where it was acknowledged.
    pub(crate) done: Vec<(u64, u16, Position)>,
    /// Whether it was ever refused for good.
    pub(crate) is_refused: bool,
}

/// A request that is under way.
#[derive(Clone, Copy)]
pub(crate) struct Attempt {
    operation: usize,
    client: usize,
    site: u16,
    life: u64,
    sent_at: u64,
}

impl World {
    pub(crate) fn begin_clients(&mut self) {
        let clients = 2 + self.random.below(u64::from(self.plan.sites) * 2) as usize;
        for client in 0..clients {
            let site = 1 + self.random.below(self.plan.sites.into()) as u16;
            let think_ms = self.between(20, 700);
            self.clients.push(Client {
                site,
                operation: None,
                tries: 0,
                waits_for: None,
                think_ms,
            });
            self.later(client as u64, Event::Client(client));
        }
    }

    pub(crate) fn acknowledged(&self) -> usize {
        self.operations.iter().filter(|operation| !operation.done.is_empty()).count()
    }

    /// A client does something.
    pub(crate) fn client(&mut self, number: usize) -> Result<(), String> {
        // It waited in vain.
        self.clients[number].waits_for = None;
        if !self.is_chaos {
            return Ok(());
        }
        let gives_up = self.clients[number].tries >= 4 || self.random.one_in(12);
        if self.clients[number].operation.is_none() || gives_up {
            let operation = self.new_operation(number);
            self.clients[number].operation = Some(operation);
            self.clients[number].tries = 0;
        }
        self.clients[number].tries += 1;
        self.counts.add("retries", u64::from(self.clients[number].tries > 1));
        let elsewhere = self.random.one_in(if self.clients[number].tries > 1 { 2 } else { 8 });
        let any = 1 + self.random.below(self.plan.sites.into()) as u16;
        let site = if elsewhere { any } else { self.clients[number].site };
        self.try_at(number, site)
    }

    fn try_at(&mut self, number: usize, site: u16) -> Result<(), String> {
        let Some(operation) = self.clients[number].operation else { return Ok(()) };
        let (now, here) = (self.now, self.site(site));
        if here.commit.is_none() || here.paused_until > now || here.life == 0 {
            let wait = self.between(50, 500);
            self.later(wait, Event::Client(number));
            return Ok(());
        }
        let life = here.life;
        self.tokens += 1;
        let token = self.tokens;
        let attempt = Attempt { operation, client: number, site, life, sent_at: now };
        self.attempts.insert(token, attempt);
        self.clients[number].waits_for = Some(token);
        self.later(DEADLINE_MS + SLACK_MS, Event::Overdue(token));
        let mut request = self.operations[operation].request.clone();
        request.entered_site = site;
        self.note(|| format!("client {number} asks s{site} for {}", describe(&request)));
        self.with(site, |commit, clock, out| commit.request(clock, request, token, out))
    }

    fn new_operation(&mut self, client: usize) -> usize {
        let zone = match self.random.below(12) {
            0 => PASSING,
            other => other as usize % PASSING,
        };
        let value = self.operations.len() as u32;
        let owner = name(&format!("n{}.{}", self.random.below(NAMES), ZONES[zone]));
        let add = Change::Add {
            owner: owner.clone(),
            rtype: RecordType::A,
            ttl: 60,
            rdata: value.to_be_bytes().into(),
        };
        let (prerequisites, operations) = match self.random.below(10) {
            _ if self.plan.is_large && self.random.one_in(12) => (Vec::new(), large(zone, value)),
            0..=2 => (vec![Prerequisite::NameNotInUse(owner)], vec![add]),
            3..=4 => (Vec::new(), vec![Change::DeleteRrSet(owner, RecordType::A), add]),
            5 => (Vec::new(), vec![Change::DeleteName(owner)]),
            6 => (Vec::new(), vec![add]),
            7 | 8 => {
                let second = name(&format!("n{}.{}", self.random.below(NAMES), ZONES[zone]));
                let both = Change::Add {
                    owner: second,
                    rtype: RecordType::A,
                    ttl: 60,
                    rdata: value.to_be_bytes().into(),
                };
                (Vec::new(), vec![add, both])
            }
            _ => {
                let second = name(&format!("n{}.{}", self.random.below(NAMES), ZONES[zone]));
                (vec![Prerequisite::NameInUse(owner)], vec![add, Change::DeleteName(second)])
            }
        };
        let is_leased = self.plan.leases && self.random.one_in(2);
        let record_seconds = 1 + self.random.below(4) as u32;
        let lease = is_leased.then_some(UpdateLease { record_seconds, key_seconds: None });
        // Only changes of one key are joined.
        let key = if self.plan.coalesces { client % 2 } else { client };
        let mut id = [0; 32];
        self.random.fill(&mut id);
        let request = Request {
            id: RequestId(id),
            remember_until_seconds: self.now / 1000 + 300,
            who: Identity::Key(name(&format!("k{key}."))),
            zone: name(ZONES[zone]),
            action: Action::Update { prerequisites, operations, lease },
            entered_site: 0,
            audit_commitment: Commitment([0; 32]),
            decision: None,
            audit: Vec::new(),
        };
        let sent_at = self.now;
        let operation = Operation { request, zone, sent_at, done: Vec::new(), is_refused: false };
        self.operations.push(operation);
        self.operations.len() - 1
    }

    /// Somebody is answered.
    pub(crate) fn answer(&mut self, site: u16, token: u64, outcome: Outcome) -> Result<(), String> {
        if token == REGISTER {
            return Ok(());
        }
        if token == DESK {
            self.note(|| format!("s{site} answers an operator {outcome:?}"));
            return self.desk_answered(&outcome);
        }
        let Some(attempt) = self.attempts.remove(&token) else {
            return Err(format!("s{site} answers {token} twice"));
        };
        let Attempt { operation, client, .. } = attempt;
        self.note(|| format!("s{site} answers client {client} operation {operation} {outcome:?}"));
        let is_waited_for = self.clients[client].waits_for == Some(token);
        let mut is_over = true;
        match outcome {
            Outcome::Done { at } => {
                self.check_acknowledged(operation, site, at)?;
                let now = self.now;
                self.operations[operation].done.push((now, site, at));
                self.count(match self.plan.levels[self.operations[operation].zone] {
                    Level::Local => "acknowledged at local",
                    Level::Majority => "acknowledged at majority",
                    Level::All => "acknowledged at all",
                });
            }
            Outcome::Refused { rcode, .. } if rcode == Rcode::SERVFAIL => is_over = false,
            Outcome::Refused { .. } => self.operations[operation].is_refused = true,
        }
        if is_waited_for {
            // Sometimes a client did not hear the answer.
            if is_over && !self.random.one_in(15) {
                self.clients[client].operation = None;
            }
            self.clients[client].waits_for = None;
            let think = self.clients[client].think_ms;
            let wait = self.between(1, think);
            self.later(wait, Event::Client(client));
        }
        Ok(())
    }

    /// Looks whether an attempt was answered in time.
    pub(crate) fn overdue(&mut self, token: u64) -> Result<(), String> {
        let Some(attempt) = self.attempts.get(&token).copied() else { return Ok(()) };
        let Attempt { operation, client, site, life, sent_at } = attempt;
        let here = self.site(site);
        let is_undisturbed = here.life == life && here.disturbed <= sent_at;
        if is_undisturbed {
            return Err(format!(
                "s{site} did not answer operation {operation} of client {client}, sent at {}",
                sent_at - BEGIN_MS
            ));
        }
        if self.clients[client].waits_for == Some(token) {
            let wait = self.between(1, PATIENCE_MS - DEADLINE_MS - SLACK_MS);
            self.later(wait, Event::Client(client));
        }
        Ok(())
    }

    /// Checks an acknowledgement at the moment it is given.
    fn check_acknowledged(
        &mut self,
        operation: usize,
        number: u16,
        at: Position,
    ) -> Result<(), String> {
        let wanted = self.operations[operation].request.id;
        let site = &self.sites[usize::from(number) - 1];
        let log = site.disk.logs.get(&at.origin).map_or(&[][..], |log| &log[..]);
        let found = entry_at(log, at.index);
        let changes = found.as_ref().map_or(&[][..], |entry| entry.body.changes());
        if changes.is_empty() {
            return Err(format!("s{number} acknowledges {at}, which is no change on its disk"));
        }
        let mut stands_for = false;
        for change in changes {
            stands_for |= change.stands_for.iter().any(|(earlier, _)| *earlier == wanted);
            if change.request != wanted && !stands_for {
                return Err(format!(
                    "s{number} acknowledges operation {operation} as {at}, which is another's"
                ));
            }
            let zone = site.zones.get(&change.zone);
            // A zone that comes and goes may have gone meanwhile.
            let is_gone = zone.is_none_or(|zone| zone.incarnation != change.incarnation);
            for changed in &change.names {
                let record = zone.and_then(|zone| zone.name(&changed.owner));
                let rank = record.map(|record| History::rank(&record.history()));
                if !is_gone && rank.is_none_or(|rank| rank < (changed.epoch, changed.version)) {
                    return Err(format!("s{number} acknowledges {at}, but does not show it"));
                }
            }
        }
        let asked = &self.operations[operation].request;
        self.counts.add("acknowledged with later ones", u64::from(stands_for));
        // What was held for a person may have been made since by that decision.
        let is_reviewed = self.plan.reviews && self.operations[operation].zone == 0;
        let is_whole = !stands_for && !is_reviewed;
        let asked = Some(asked).filter(|_| is_whole);
        if let Some(missing) = asked.and_then(|asked| not_done(asked, changes)) {
            return Err(format!(
                "s{number} acknowledges operation {operation} as {at}, without what was asked for {missing}"
            ));
        }
        let level = self.plan.levels[self.operations[operation].zone];
        if let Some(Entry { body: Body::Decision { intents, .. }, .. }) = found {
            self.count("acknowledged over several homes");
            for intent in intents.into_iter().filter(|_| level > Level::Local) {
                self.check_level(number, intent, level)?;
            }
        }
        self.check_level(number, at, level)
    }

    fn check_level(&self, number: u16, at: Position, level: Level) -> Result<(), String> {
        let Some(commit) = &self.sites[usize::from(number) - 1].commit else { return Ok(()) };
        let registry = &commit.state().registry;
        let all: Vec<u16> = (1..=self.plan.sites).collect();
        let asked = if level == Level::Local { all } else { registry.counted().collect() };
        let holders = asked
            .iter()
            .filter(|site| self.sites[usize::from(**site) - 1].disk.len(at.origin) > at.index)
            .count();
        let wanted = match level {
            Level::Local => 1,
            Level::Majority => registry.majority(),
            Level::All => registry.counted().count(),
        };
        // A disk that was set back held it once.
        if holders < wanted && self.set_back.is_empty() {
            return Err(format!(
                "s{number} acknowledges {at} at level {level}, but {holders} sites hold it"
            ));
        }
        Ok(())
    }
}

/// A name that was to get a record which these changes do not give it.
fn not_done<'r>(request: &'r Request, changes: &[NameChanges]) -> Option<&'r Name> {
    let Action::Update { operations, .. } = &request.action else { return None };
    let is_deleted = |name: &Name, after: usize| {
        let mut rest = operations.iter().skip(after);
        rest.any(|operation| matches!(operation, Change::DeleteName(gone) if gone == name))
    };
    let mut added = operations.iter().enumerate().filter_map(|(at, operation)| match operation {
        Change::Add { owner, rtype, rdata, .. } if !is_deleted(owner, at) => {
            Some((owner, rtype, rdata))
        }
        _ => None,
    });
    let missing = added.find(|(owner, rtype, rdata)| {
        let names = changes.iter().flat_map(|change| &change.names);
        let mut after = names.filter(|name| name.owner == **owner).flat_map(|name| &name.after);
        let has = |set: &RrSet| set.rtype == **rtype && set.contains(rdata);
        !after.any(has)
    });
    missing.map(|(owner, ..)| owner)
}

/// An RRset so large that its change is stored in parts, from the second one of the name on.
fn large(zone: usize, value: u32) -> Vec<Change> {
    let owner = name(&format!("big.{}", ZONES[zone]));
    let mut operations = vec![Change::DeleteRrSet(owner.clone(), RecordType::TXT)];
    operations.extend((0..LARGE_RECORDS).map(|record| {
        let mut rdata = vec![b'x'; 256];
        rdata[0] = 255;
        rdata[1..5].copy_from_slice(&value.to_be_bytes());
        rdata[5] = record;
        Change::Add { owner: owner.clone(), rtype: RecordType::TXT, ttl: 60, rdata: rdata.into() }
    }));
    operations
}

/// A request in one line.
fn describe(request: &Request) -> String {
    let Action::Update { prerequisites, operations, lease } = &request.action else {
        return String::new();
    };
    let mut words: Vec<String> = prerequisites.iter().map(|p| format!("if {p}")).collect();
    words.extend(operations.iter().map(|operation| match operation {
        Change::Add { owner, rdata, .. } => {
            format!("add {owner} {:?}", &rdata[..rdata.len().min(6)])
        }
        Change::DeleteName(owner) => format!("delete {owner}"),
        Change::DeleteRrSet(owner, _) => format!("clear {owner}"),
        other => format!("{other:?}"),
    }));
    words.extend(lease.map(|lease| format!("for {} s", lease.record_seconds)));
    format!("{:?} {}", request.id, words.join(", "))
}

/// The names that a change may touch.
pub(crate) fn owner_text(owner: &Name) -> String {
    owner.to_string().to_ascii_lowercase()
}
