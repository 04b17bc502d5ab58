//! `einhorn demo --sites 3`: how three sites decide together, and what happens when one is lost.

use super::fleet::{ALL_ZONE, Fleet, NAMES, await_that};
use super::watch::{Found, Ledgers, Times, answered_by, read_key};
use super::{KEY_NAME, ZONE, answers, indent};
use crate::client::{Client, Response, Update};
use crate::{Failure, Outcome, print, serve, status};
use einhorn_core::model::entry::NameChange;
use einhorn_wire::message::Rcode;
use einhorn_wire::tsig::Key;
use einhorn_wire::{Name, RecordType};
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The phone.
const DEVICE: &str = "annas-iphone.fleet.example.";
/// One that registers while a site is lost.
const OTHER_DEVICE: &str = "bens-iphone.fleet.example.";
/// The name whose changes every site must have.
const DOOR: &str = "door.sync.example.";
/// The first address of the first run.
const FIRST_ADDRESS: u8 = 17;
/// Changes after which a name has moved where it is used, at the latest.
const CHANGES_TO_MOVE_MAX: usize = 6;
const BERLIN: usize = 0;
const FRANKFURT: usize = 1;
const MUENCHEN: usize = 2;
const ALL: [usize; NAMES.len()] = [BERLIN, FRANKFURT, MUENCHEN];

/// What is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// Where everything is, for scripts.
    Json,
    /// How sites decide, and what happens when one is lost.
    Story,
    /// Each path that a change can take.
    Paths,
}

/// Runs the demonstration until it is told to stop.
pub(super) fn run(folder: &Path, port_base: Option<u16>, what: What) -> Outcome {
    let mut signals = serve::Signals::listen()?;
    let fleet = Arc::new(Fleet::prepare(folder, port_base)?);
    let (tell, told) = tokio::sync::oneshot::channel();
    let stage = Arc::clone(&fleet);
    // A thread of its own, so that the story can be stopped anywhere. Nobody listens any more only
    // when it was.
    std::thread::spawn(move || _ = tell.send(perform(&stage, what)));
    let outcome = match signals.until(told) {
        None => Ok(()),
        Some(Ok(Ok(()))) => {
            signals.until(std::future::pending::<()>());
            Ok(())
        }
        Some(Ok(Err(failure))) => Err(failure),
        Some(Err(_)) => Err(Failure::finding("the demonstration broke off")),
    };
    fleet.stop();
    outcome
}

fn perform(fleet: &Fleet, what: What) -> Outcome {
    let begun = Instant::now();
    fleet.start()?;
    if what == What::Json {
        let pids: Vec<u32> = ALL.iter().map(|site| fleet.pid(*site)).collect();
        return print(as_json(fleet, &pids)?);
    }
    let ready = begun.elapsed();
    let ledgers = Ledgers::open(fleet)?;
    let device: Name = DEVICE.parse().map_err(Failure::finding)?;
    let zone: Name = ZONE.parse().map_err(Failure::finding)?;
    let all_zone: Name = ALL_ZONE.parse().map_err(Failure::finding)?;
    // A folder that is gone on with has an address already.
    let before = Client::connect(fleet.members[BERLIN].dns)?.query(&device, RecordType::A)?;
    let before = before.answers.first().and_then(|record| record.rdata.get(3).copied());
    let address = before.map_or(FIRST_ADDRESS, |last| last.wrapping_add(1));
    let mut story = Story { fleet, ledgers, device, zone, all_zone, step: 0, address };
    story.cast(ready)?;
    if what == What::Paths {
        return story.paths();
    }
    let lost = story.together()?;
    story.apart(lost)?;
    story.farewell()
}

/// What scripts need; `pids` are the processes of the sites.
pub(super) fn as_json(fleet: &Fleet, pids: &[u32]) -> Result<String, Failure> {
    let site = |(place, member): (usize, &super::fleet::Member)| -> Result<Value, Failure> {
        let status = fleet.status(place);
        let number = status.map(|status| status.number);
        let number = number.ok_or_else(|| Failure::finding("a site does not answer"))?;
        Ok(json!({
            "name": member.name,
            "number": number,
            "dns": member.dns.to_string(),
            "http": format!("http://{}", member.http),
            "ledger": format!("http://{}/ledger/{}/", member.http, member.name),
            "vkey": read_key(&member.data.join("ledger.vkey"))?.to_string(),
            "data": member.data.display().to_string(),
            "pid": pids[place],
        }))
    };
    let sites: Vec<Value> = fleet.members.iter().enumerate().map(site).collect::<Result<_, _>>()?;
    let key = &fleet.key;
    Ok(json!({
        "zone": ZONE,
        "zones": [{"name": ZONE, "ack": "local"}, {"name": ALL_ZONE, "ack": "all"}],
        "tsig": {
            "name": KEY_NAME,
            "algorithm": key.algorithm().to_string(),
            "secret": key.secret_base64(),
        },
        "sites": sites,
    })
    .to_string())
}

pub(super) struct Story<'f> {
    pub(super) fleet: &'f Fleet,
    pub(super) ledgers: Ledgers,
    device: Name,
    zone: Name,
    all_zone: Name,
    step: u32,
    /// The last octet of the next address.
    address: u8,
}

impl Story<'_> {
    pub(super) fn headline(&mut self, text: &str) -> Outcome {
        self.step += 1;
        print(format_args!("\n{}. {text}", self.step))
    }

    pub(super) fn next_address(&mut self) -> Ipv4Addr {
        let address = Ipv4Addr::new(192, 0, 2, self.address.max(1));
        self.address = self.address.wrapping_add(1);
        address
    }

    pub(super) fn client(&self, site: usize) -> Result<Client, Failure> {
        Client::connect(self.fleet.members[site].dns)
    }

    fn cast(&self, ready: Duration) -> Outcome {
        print(format_args!(
            "Three sites, a process each, ready after {}. Each writes its own ledger and holds a copy of the others'.",
            ms(ready)
        ))?;
        for (place, member) in self.fleet.members.iter().enumerate() {
            print(format_args!(
                "   {:10} DNS {}, process {}, data in {}",
                member.name,
                member.dns,
                self.fleet.pid(place),
                member.data.display()
            ))?;
        }
        print(format_args!(
            "{ZONE} acknowledges what its own site has on disk, {ALL_ZONE} only what all three have."
        ))
    }

    /// All sites are there. Gives the site where the phone's name is at home at the end.
    fn together(&mut self) -> Result<usize, Failure> {
        let device = self.device.clone();
        self.headline("The phone registers at frankfurt")?;
        let mut last = self.changed(FRANKFURT, &device, &ALL, None)?;
        self.headline("Any site takes a change; the name's home decides")?;
        for site in ALL {
            last = self.changed(site, &device, &ALL, Some(&last))?;
        }
        let home = self.home(&last.name);
        let used = if home == Some(MUENCHEN) { FRANKFURT } else { MUENCHEN };
        let name = NAMES[used];
        self.headline(&format!("The phone is used from {name} now: its home follows it there"))?;
        let mut has_moved = false;
        for _ in 0..CHANGES_TO_MOVE_MAX {
            last = self.changed(used, &device, &ALL, Some(&last))?;
            has_moved = self.home(&last.name) == Some(used);
            if has_moved {
                break;
            }
        }
        if !has_moved {
            return Err(Failure::finding(format!("the name has not moved to {name}")));
        }
        self.headline(&format!("From now on {name} decides by itself"))?;
        self.changed(used, &device, &ALL, Some(&last))?;
        self.headline(&format!("{ALL_ZONE} acknowledges a change when all three sites have it"))?;
        let door: Name = DOOR.parse().map_err(Failure::finding)?;
        let last = self.changed(BERLIN, &door, &ALL, None)?;
        let others: Vec<usize> = ALL.into_iter().filter(|site| *site != last.site).collect();
        let cosigned = self.ledgers.await_cosignatures(self.fleet, &last, &others)?;
        for (cosigner, size) in cosigned {
            let ledger = NAMES[last.site];
            print(format_args!(
                "   {cosigner} has cosigned the first {size} entries of {ledger}'s ledger"
            ))?;
        }
        Ok(used)
    }

    /// The site `lost` is killed, and comes back.
    fn apart(&mut self, lost: usize) -> Outcome {
        let lost_name = NAMES[lost];
        let rest: Vec<usize> = ALL.into_iter().filter(|site| *site != lost).collect();
        let [.., other] = rest[..] else { return Err(Failure::finding("one site only")) };
        self.fleet.kill(lost)?;
        self.headline(&format!("{lost_name} is killed (SIGKILL). The others go on"))?;
        let other_device: Name = OTHER_DEVICE.parse().map_err(Failure::finding)?;
        self.changed(other, &other_device, &rest, None)?;

        self.headline(&format!("{ALL_ZONE} waits for {lost_name}, and then says so"))?;
        let (door, address) = (DOOR.parse().map_err(Failure::finding)?, self.next_address());
        let all_zone = self.all_zone.clone();
        let door_update = self.update(&all_zone, &door, address)?;
        let response = self.send(BERLIN, &door_update, &door, address)?;
        expect(&response, Rcode::SERVFAIL)?;

        self.headline(&format!(
            "Names at home at {lost_name} are answered everywhere, but nobody else may change them"
        ))?;
        let device = self.device.clone();
        let now = self.client(other)?.query(&device, RecordType::A)?;
        print(answers(now.rcode.to_string(), &now.answers))?;
        let device_address = self.next_address();
        let zone = self.zone.clone();
        let device_update = self.update(&zone, &device, device_address)?;
        let response = self.send(other, &device_update, &device, device_address)?;
        expect(&response, Rcode::SERVFAIL)?;

        self.headline(&format!("{lost_name} comes back and catches up"))?;
        let begun = Instant::now();
        self.fleet.spawn(lost)?;
        self.fleet.await_ready(lost)?;
        let ready = begun.elapsed();
        self.fleet.await_together()?;
        print(format_args!(
            "   serves after {}, has everything of the others after {}",
            ms(ready),
            ms(begun.elapsed())
        ))?;
        self.headline(
            "The same two messages, sent again, are acknowledged now; neither is done twice",
        )?;
        self.again(BERLIN, &door_update, &door, address)?;
        self.again(other, &device_update, &device, device_address)
    }

    fn update(&self, zone: &Name, name: &Name, address: Ipv4Addr) -> Result<Update, Failure> {
        replacement(&self.fleet.key, zone, name, address)
    }

    fn send(
        &self,
        site: usize,
        update: &Update,
        name: &Name,
        address: Ipv4Addr,
    ) -> Result<Response, Failure> {
        let (client, begun) = (self.client(site)?, Instant::now());
        let response = client.update(update)?;
        print(format_args!(
            "   {name} 60 IN A {address} sent to {} -> {} after {}",
            NAMES[site],
            response.rcode,
            ms(begun.elapsed())
        ))?;
        if let Some(explanation) = &response.explanation {
            print(format_args!("   \"{explanation}\""))?;
        }
        Ok(response)
    }

    /// Sends a message again until it is acknowledged: the sites have only just met again.
    fn again(&mut self, site: usize, update: &Update, name: &Name, address: Ipv4Addr) -> Outcome {
        await_that(&format!("the change of {name} is acknowledged"), || {
            let response = self.send(site, update, name, address)?;
            Ok((response.rcode == Rcode::NOERROR).then_some(()))
        })?;
        let begun = Instant::now();
        answered_by(self.fleet, &ALL, (name, address), begun, || Ok(()))?;
        let found = self.ledgers.await_change(name, address)?;
        print(format_args!("   {}; answered by all three", self.decision(&found)))
    }

    /// Sends a change to one site, and shows what became of it.
    fn changed(
        &mut self,
        site: usize,
        name: &Name,
        answering: &[usize],
        before: Option<&Found>,
    ) -> Result<Found, Failure> {
        let address = self.next_address();
        let zone = if name.is_at_or_below(&self.zone) { &self.zone } else { &self.all_zone };
        let update = self.update(zone, name, address)?;
        let begun = Instant::now();
        let send = || expect(&self.send(site, &update, name, address)?, Rcode::NOERROR);
        let ((), times) = answered_by(self.fleet, answering, (name, address), begun, send)?;
        let found = self.ledgers.await_change(name, address)?;
        let home = match before.filter(|before| before.name.home != found.name.home) {
            Some(before) => format!(
                "home {} before, {} from now on",
                self.site_name(before.name.home.site),
                self.site_name(found.name.home.site)
            ),
            None => format!("home {}", self.site_name(found.name.home.site)),
        };
        print(format_args!("   {}; {home}", self.decision(&found)))?;
        print(answered(&times))?;
        Ok(found)
    }

    /// Who decided, as the ledger says; and why, where the agent advised what was done.
    pub(super) fn decision(&self, found: &Found) -> String {
        let Found { site, index, change, .. } = found;
        let reason = match change.advice.path == change.path {
            true => format!(" ({})", change.advice.reason),
            false => String::new(),
        };
        let site = NAMES[*site];
        format!("path {}{reason}, decided by {site}: entry {index} of its ledger", change.path)
    }

    pub(super) fn home(&self, name: &NameChange) -> Option<usize> {
        self.fleet.place(&self.site_name(name.home.site))
    }

    /// What the site with this number is called.
    fn site_name(&self, number: u16) -> String {
        let known = self.fleet.status(BERLIN);
        let mut sites = known.into_iter().flat_map(|status| status.sites);
        sites
            .find(|site| site.number == number)
            .map_or_else(|| format!("site {number}"), |site| site.name)
    }

    fn farewell(&mut self) -> Outcome {
        self.fleet.await_together()?;
        self.headline("What berlin says of itself and the others (einhorn status)")?;
        let status = self.fleet.status(BERLIN);
        let status = status.ok_or_else(|| Failure::finding("berlin does not answer"))?;
        print(indent(&status::text(&status)))?;
        let [berlin, frankfurt, muenchen] = &self.fleet.members[..] else {
            return Err(Failure::finding("three sites are wanted"));
        };
        let (key, data) = (self.fleet.key_file.display(), berlin.data.display());
        let port = frankfurt.dns.port();
        let dig = |member: &super::fleet::Member| {
            format!("dig @127.0.0.1 -p {} cars-iphone.{ZONE} A\n", member.dns.port())
        };
        print(format_args!(
            "\nStill running; Ctrl-C ends it. Try it by hand:\n\n\
             printf 'server 127.0.0.1 {port}\\nzone {ZONE}\\nupdate add cars-iphone.{ZONE} 60 A 192.0.2.99\\nsend\\n' | nsupdate -k {key}\n\
             {}{}{}\
             einhorn status --data {data}\n\
             einhorn ledger history annas-iphone.{ZONE} --data {data}\n\
             einhorn ledger verify --data {data}\n\
             kill -9 {}   # {}; its names wait for it, or:\n\
             einhorn site failover {} --data {data}\n\n\
             (einhorn is target/release/einhorn here.)",
            dig(berlin),
            dig(frankfurt),
            dig(muenchen),
            self.fleet.pid(MUENCHEN),
            muenchen.name,
            muenchen.name,
        ))
    }
}

/// A signed replacement of the addresses of `name`.
pub(super) fn replacement(
    key: &Arc<Key>,
    zone: &Name,
    name: &Name,
    address: Ipv4Addr,
) -> Result<Update, Failure> {
    Update::replace(key, zone, name, RecordType::A, 60, &address.octets())
}

/// When each site answered.
pub(super) fn answered(times: &Times) -> String {
    let times: Vec<_> = times.iter().map(|(name, time)| format!("{name} {}", ms(*time))).collect();
    format!("   answered after: {}", times.join(", "))
}

pub(super) fn expect(response: &Response, wanted: Rcode) -> Outcome {
    if response.rcode == wanted {
        return Ok(());
    }
    Err(Failure::finding(format!("{} instead of {wanted}", response.rcode)))
}

pub(super) fn ms(time: Duration) -> String {
    match time.as_secs() {
        0 => format!("{:.1} ms", time.as_secs_f64() * 1000.0),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
}
