//! What makes a node one of several sites: its card and keys, its place in the registry, and what
//! operators ask about the others.

use crate::agent;
use crate::config::Config;
use crate::files::{self, MIRROR_KEY};
use crate::inquiry::Inquiry;
use crate::operate::{Operator, operator_request, submit};
use crate::zones;
use crossbeam_channel::bounded;
use einhorn_core::commit::Report;
use einhorn_core::ledger::VerifierKey;
use einhorn_core::ledger::note::SignerKey;
use einhorn_core::model::registry::{Failover, RegistryChange};
use einhorn_core::model::request::Action;
use einhorn_core::model::tree::Live;
use einhorn_core::model::{Origin, Registry, Site};
use einhorn_ingress::control::{Answer, LagLine, SiteCommand, SiteLine, SiteStatus, ZoneHomes};
use einhorn_links::card::Card;
use einhorn_links::{Identity, IdentityError};
use einhorn_store::ledger::Cosigned;
use einhorn_wire::Name;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// How often a site that could not tell the others of itself tries again.
const TELL_INTERVAL: Duration = Duration::from_secs(2);

/// What keeps a node from being one of several sites.
#[derive(Debug, thiserror::Error)]
pub enum SitesError {
    /// Its certificate.
    #[error("{0}; `einhorn init site` makes what a site needs")]
    Identity(#[from] IdentityError),
    /// A key file.
    #[error("{}: {reason}; `einhorn init site` makes what a site needs", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The card of the site to join through.
    #[error("{}: {reason}", path.display())]
    Card {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The first site could not say so in its log.
    #[error("the log does not take the first site: {0}")]
    Found(String),
}

/// What a node needs as one of several sites.
pub(crate) struct Sites {
    name: String,
    data: PathBuf,
    addresses: Vec<String>,
    pub(crate) identity: Identity,
    pub(crate) mirror: SignerKey,
    /// The site that this one joins through.
    pub(crate) join: Option<Card>,
}

impl Sites {
    /// Reads keys and cards; `None` for a site without links.
    pub(crate) fn load(config: &Config) -> Result<Option<Sites>, SitesError> {
        let Some(link) = &config.link else { return Ok(None) };
        let path = config.data.join(&*MIRROR_KEY.secret);
        let key = |reason: String| SitesError::Key { path: path.clone(), reason };
        let text = std::fs::read_to_string(&path).map_err(|error| key(error.to_string()))?;
        let mirror = SignerKey::parse(text.trim()).map_err(|error| key(error.to_string()))?;
        let join = link.join.as_ref().map(|path| {
            let card = |reason: String| SitesError::Card { path: path.clone(), reason };
            let text = std::fs::read_to_string(path).map_err(|error| card(error.to_string()))?;
            Card::parse(&text).map_err(|error| card(error.to_string()))
        });
        Ok(Some(Sites {
            name: config.site.clone(),
            data: config.data.clone(),
            addresses: link.advertise.clone(),
            identity: Identity::load(&config.site, &config.data)?,
            mirror,
            join: join.transpose()?,
        }))
    }

    /// What this site says of itself.
    fn own(&self, origin: Origin) -> Result<Site, String> {
        let generations = 1..=origin.generation.max(1);
        let logs = generations.map(|generation| {
            let key = files::ledger_verifier(&self.data, generation)
                .map_err(|error| error.to_string())?;
            Ok((generation, key))
        });
        Ok(Site {
            name: self.name.clone(),
            addresses: self.addresses.clone(),
            logs: logs.collect::<Result<_, String>>()?,
            mirror_keys: vec![self.mirror.verifier().to_string()],
            certificates: vec![self.identity.fingerprint()],
            is_suspended: false,
        })
    }

    /// Whether the registry has all that this site says of itself.
    fn is_known(&self, registry: &Registry, own: &Site) -> bool {
        registry.named(&self.name).is_some_and(|(_, known)| {
            known.addresses == own.addresses
                && own.logs.iter().all(|log| known.logs.get(log.0) == Some(log.1))
                && own.mirror_keys.iter().all(|key| known.mirror_keys.contains(key))
                && own.certificates.iter().all(|one| known.certificates.contains(one))
        })
    }

    /// The first site writes itself into its log, if that is new to it.
    pub(crate) fn found(self, operator: &Operator) -> Result<(), SitesError> {
        let report = operator.report().map_err(SitesError::Found)?;
        let own = self.own(report.origin).map_err(SitesError::Found)?;
        if !self.is_known(&report.registry, &own) {
            operator.change_sites(RegistryChange::Put { site: own }).map_err(SitesError::Found)?;
        }
        Ok(())
    }

    /// Keeps the others informed, in the background: of this site's log, addresses and keys as soon
    /// as they can be reached. The site that decides on the sites also looks after the configured
    /// zones.
    pub(crate) fn keep_known(self, operator: Arc<Operator>, config: Config) {
        let told = thread::Builder::new().name("sites".to_owned()).spawn(move || {
            let mut are_zones_applied = false;
            while !operator.is_stopping() {
                if let Err(reason) = self.tell(&operator, &config, &mut are_zones_applied) {
                    tracing::info!(%reason, "the other sites do not know everything of this one yet");
                } else if are_zones_applied {
                    return;
                }
                thread::sleep(TELL_INTERVAL);
            }
        });
        if let Err(error) = told {
            tracing::error!(%error, "the other sites are not told of this one's keys");
        }
    }

    fn tell(
        &self,
        operator: &Operator,
        config: &Config,
        are_zones_applied: &mut bool,
    ) -> Result<(), String> {
        let report = operator.report()?;
        if report.registry.named(&self.name).is_none() {
            return Err("it was not added yet: run `einhorn site add` at another one".to_owned());
        }
        let own = self.own(report.origin)?;
        if !self.is_known(&report.registry, &own) {
            operator.change_sites(RegistryChange::Put { site: own })?;
        }
        if let Some(reason) = report.is_waiting_for {
            return Err(reason);
        }
        if report.is_home_of_registry {
            zones::apply(config, &operator.ingress).map_err(|error| error.to_string())?;
        } else if !config.zones.is_empty() {
            tracing::warn!(
                "zones are made where the sites are decided on: those in this site's configuration count for nothing"
            );
        }
        *are_zones_applied = true;
        Ok(())
    }
}

/// Who has cosigned how much of a log.
pub(crate) fn cosigned(
    registry: &Registry,
    origin: Origin,
    found: &[Cosigned],
) -> Vec<(Origin, u16, u64)> {
    let keys = registry.sites.iter().flat_map(|(number, site)| {
        let keys = site.mirror_keys.iter().filter_map(|key| VerifierKey::parse(key).ok());
        keys.map(|key| (*number, key))
    });
    let keys: Vec<_> = keys.collect();
    let site_of = |one: &Cosigned| {
        let key = keys.iter().find(|(_, key)| key.name() == one.key_name && key.id() == one.key_id);
        key.map(|(number, _)| *number)
    };
    found.iter().filter_map(|one| Some((origin, site_of(one)?, one.size))).collect()
}

impl Operator {
    /// How the commit sees this site and the others.
    pub(crate) fn report(&self) -> Result<Report, String> {
        self.inquire(Inquiry::Report)
    }

    pub(crate) fn inquire<T>(
        &self,
        inquiry: impl FnOnce(crossbeam_channel::Sender<T>) -> Inquiry,
    ) -> Result<T, String> {
        let (reply, answer) = bounded(1);
        let stopping = |_| "the node is stopping".to_owned();
        self.inquiries.send(inquiry(reply)).map_err(|_| "the node is stopping".to_owned())?;
        answer.recv().map_err(stopping)
    }

    /// Tells the commit something.
    pub(crate) fn tell(&self, inquiry: Inquiry) -> Result<(), String> {
        self.inquiries.send(inquiry).map_err(|_| "the node is stopping".to_owned())
    }

    pub(crate) fn change_sites(&self, change: RegistryChange) -> Result<u64, String> {
        submit(&self.ingress, operator_request(&self.ingress, Name::root(), Action::Sites(change))?)
    }

    fn number_of(&self, site: &str) -> Result<u16, String> {
        let report = self.report()?;
        let known = report.registry.named(site).map(|(number, _)| number);
        known.ok_or_else(|| format!("there is no site named {site}"))
    }

    /// Does what an operator wants of the sites.
    pub(crate) fn site(&self, command: SiteCommand) -> Result<Answer, String> {
        let done = |text: String, index: u64| Ok(Answer::Done { text, index: Some(index) });
        match command {
            SiteCommand::Add { card } => {
                let card = Card::parse(&card).map_err(|error| error.to_string())?;
                let name = card.name.clone();
                let site = Site {
                    name: card.name,
                    addresses: card.addresses,
                    logs: BTreeMap::from([(1, card.ledger.to_string())]),
                    mirror_keys: vec![card.mirror.to_string()],
                    certificates: card.certificates,
                    is_suspended: false,
                };
                let is_known = self.number_of(&name).is_ok();
                let index = self.change_sites(RegistryChange::Put { site })?;
                let number = self.number_of(&name)?;
                let what = if is_known { "is known by this card now" } else { "was added" };
                done(format!("site {name}, number {number}, {what}"), index)
            }
            SiteCommand::Remove { site } => {
                let number = self.number_of(&site)?;
                let index = self.change_sites(RegistryChange::Remove { site: number })?;
                done(format!("site {site} was removed"), index)
            }
            SiteCommand::Suspend { site, is_suspended } => {
                let number = self.number_of(&site)?;
                let change = RegistryChange::Suspend { site: number, is_suspended };
                let index = self.change_sites(change)?;
                let text = if is_suspended {
                    format!("site {site} counts for no acknowledgement level until it is resumed")
                } else {
                    format!("site {site} counts again")
                };
                done(text, index)
            }
            SiteCommand::FailoverPolicy { after_seconds } => {
                let (failover, text) = match after_seconds {
                    None => (Failover::Manual, "an operator decides on failover".to_owned()),
                    Some(seconds) => (
                        Failover::Auto { after_ms: seconds * 1_000 },
                        format!("a site that stays away is taken over after {seconds} s"),
                    ),
                };
                let index = self.change_sites(RegistryChange::Failover(failover))?;
                done(text, index)
            }
            SiteCommand::Retire { site } => {
                let number = self.number_of(&site)?;
                let index = self.change_sites(RegistryChange::Retire { site: number })?;
                done(format!("only the newest keys of site {site} are believed now"), index)
            }
            SiteCommand::FailOver { site, is_attested } => self.fail_over(&site, is_attested),
            SiteCommand::Vouch => {
                self.tell(Inquiry::Vouch)?;
                let text = "this site goes on with its log without having asked all others";
                Ok(Answer::Done { text: text.to_owned(), index: None })
            }
            SiteCommand::Renew { key } => self.renew(key),
        }
    }

    /// Lets leases end that are held.
    pub(crate) fn end_leases(&self) -> Result<Answer, String> {
        let held = self.report()?.leases_held;
        if held == 0 {
            return Err("no leases are held: each ends when its time is over".to_owned());
        }
        self.tell(Inquiry::EndLeases)?;
        let text = format!("the records of {held} names whose time is over go now");
        Ok(Answer::Done { text, index: None })
    }

    /// Takes over from a site, and waits until that is done or cannot be for now.
    fn fail_over(&self, site: &str, is_attested: bool) -> Result<Answer, String> {
        const PATIENCE: Duration = Duration::from_secs(20);
        const NAP: Duration = Duration::from_millis(50);
        let number = self.number_of(site)?;
        let logs = self.report()?.registry.sites.get(&number).map(|site| site.logs.clone());
        let generation = logs.and_then(|logs| logs.keys().next_back().copied()).unwrap_or(1);
        let lost = Origin { site: number, generation };
        self.inquire(|reply| Inquiry::FailOver { site: number, is_attested, reply })??;
        let begun = std::time::Instant::now();
        while begun.elapsed() < PATIENCE {
            let report = self.report()?;
            let taken = report.copies.iter().find(|copy| copy.origin == lost);
            if let Some((successor, end)) = taken.and_then(|copy| copy.closed) {
                let by = report.registry.name_of(successor.site);
                let text = format!(
                    "site {by} goes on for {site}: {end} entries of its log count, and what was at home there is at home at {by}"
                );
                return Ok(Answer::Done { text, index: None });
            }
            thread::sleep(NAP);
        }
        Err(format!(
            "not enough sites have agreed within {} s, and those that did are free again; einhorn site status shows which can be reached",
            PATIENCE.as_secs()
        ))
    }

    /// How this site sees itself and the others.
    pub(crate) fn status(&self, site: &str) -> Result<Answer, String> {
        let report = self.report()?;
        let registry = &report.registry;
        let own = report.origin.site;
        let links = self.links.as_ref().map(|links| links.status()).unwrap_or_default();
        let problem = |number: u16| {
            let status = links.iter().find(|peer| peer.site == number)?;
            status.problem.as_ref().map(|(_, reason)| reason.clone())
        };
        let closed = |origin: Origin| {
            let copy = report.copies.iter().find(|copy| copy.origin == origin)?;
            copy.closed.map(|(successor, _)| registry.name_of(successor.site))
        };
        let mut sites: Vec<SiteLine> = Vec::new();
        for (number, known) in &registry.sites {
            let origin = newest_log(*number, known);
            let mut line = SiteLine {
                name: known.name.clone(),
                number: *number,
                log: origin.to_string(),
                state: "here".to_owned(),
                for_ms: 0,
                problem: None,
                is_suspended: known.is_suspended,
                taken_over_by: closed(origin),
                cosigned: report.durable,
                clock_ahead_ms: 0,
                waiting: report.waiting as u32,
                oldest_waiting_ms: report.oldest_ms,
            };
            if let Some(peer) = report.peers.iter().find(|peer| peer.site == *number) {
                line.state = if peer.is_up { "connected" } else { "away" }.to_owned();
                line.problem = problem(*number).filter(|_| !peer.is_up);
                (line.for_ms, line.cosigned) = (peer.for_ms, peer.cosigned);
                (line.clock_ahead_ms, line.waiting) = (peer.clock_ahead_ms, peer.waiting);
                line.oldest_waiting_ms = peer.oldest_ms;
            }
            sites.push(line);
        }
        let (disk_used_octets, disk_free_octets) = disk(&self.data);
        let status = SiteStatus {
            site: site.to_owned(),
            number: own,
            log: report.origin.to_string(),
            entries: report.durable,
            problem: report.failure.clone().or(report.is_waiting_for.clone()),
            waiting: report.waiting,
            open_intents: report.open_intents,
            open_reviews: report.open_reviews,
            leased: report.leased,
            leases_held: report.leases_held,
            oldest_waiting_ms: report.oldest_ms,
            queued: self.ingress.submissions.len(),
            failover: failover_text(registry.failover),
            disk_used_octets,
            disk_budget_octets: self.disk_budget,
            disk_free_octets,
            frozen_devices: self.devices.frozen(),
            hostname_server: self.hostname_line(),
            agent: report.agent.as_ref().map(agent::line),
            lags: lags(&report, site),
            zones: self.homes(&report),
            leftovers: report.leftovers.iter().map(ToString::to_string).collect(),
            sites,
        };
        Ok(Answer::Status { status: Box::new(status) })
    }

    /// Where the names of each zone are at home.
    fn homes(&self, report: &Report) -> Vec<ZoneHomes> {
        let registry = &report.registry;
        let in_charge = |origin: Origin| report.in_charge.get(&origin).copied().unwrap_or(origin);
        let zones = self.ingress.zones.current();
        let homes = |zone: &Arc<einhorn_core::model::Zone>| {
            let mut names: BTreeMap<Origin, usize> = BTreeMap::new();
            for record in zone.names.iter().filter(|record| record.is_live()) {
                *names.entry(in_charge(record.history().home)).or_default() += 1;
            }
            let mut by_site: BTreeMap<String, usize> = BTreeMap::new();
            for (origin, count) in names {
                *by_site.entry(registry.name_of(origin.site)).or_default() += count;
            }
            ZoneHomes {
                zone: zone.apex.to_string(),
                serial: zone.serial,
                ack: zone.settings.level.to_string(),
                home: registry.name_of(in_charge(zone.home).site),
                names: by_site,
            }
        };
        zones.iter().map(homes).collect()
    }
}

/// The log that a site writes now.
fn newest_log(number: u16, site: &Site) -> Origin {
    let generation = site.logs.keys().next_back().copied().unwrap_or(1);
    Origin { site: number, generation }
}

/// How far each site is behind each log, as far as is known here.
fn lags(report: &Report, own: &str) -> Vec<LagLine> {
    let registry = &report.registry;
    let mut lags = Vec::new();
    let mut line = |of: Origin, at: String, held: u64, known: u64, problem: Option<String>| {
        let (log, of) = (of.to_string(), registry.name_of(of.site));
        lags.push(LagLine { of, log, at, held, known, problem });
    };
    for copy in &report.copies {
        let known = copy.closed.map_or(copy.known.max(copy.durable), |(_, end)| end);
        let problem = copy.fork.map(|size| {
            format!(
                "differs from what its site signed, below entry {size}; nothing more is taken of it"
            )
        });
        line(copy.origin, own.to_owned(), copy.durable.min(known), known, problem);
    }
    for peer in report.peers.iter().filter(|peer| peer.is_up) {
        // Of a log that was taken over nobody lacks what does not count any more.
        let known_here = report.copies.iter().map(|copy| {
            let end = copy.closed.map_or(copy.durable, |(_, end)| end.min(copy.durable));
            (copy.origin, end)
        });
        let logs = known_here.chain([(report.origin, report.durable)]);
        for (origin, durable) in logs.filter(|(origin, _)| origin.site != peer.site) {
            let held =
                peer.held.iter().find(|(log, _)| *log == origin).map_or(0, |(_, held)| *held);
            line(origin, registry.name_of(peer.site), held, durable.max(held), None);
        }
    }
    lags
}

/// Octets used below a folder, and free where it lies; 0 where that cannot be told.
pub(crate) fn disk(folder: &Path) -> (u64, u64) {
    let free = rustix::fs::statvfs(folder).map_or(0, |disk| disk.f_bavail * disk.f_frsize);
    (used(folder), free)
}

fn used(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => used(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

/// Who takes over from a lost site, for people.
fn failover_text(failover: Failover) -> String {
    match failover {
        Failover::Manual => "manual".to_owned(),
        Failover::Auto { after_ms } => format!("after {} s", after_ms / 1_000),
    }
}
