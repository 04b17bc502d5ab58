//! What an operator asks of a running node.

use crate::config::{Config, HostnameConfig, zone_settings};
use crate::devices::DeviceKeeper;
use crate::encrypted::{EncryptedSide, in_force};
use crate::inquiry::Inquiry;
use crate::keeper::{Question, Questions};
use crate::recover::{log_id, read_log};
use crate::zones::{self, ZoneRefused};
use crossbeam_channel::{Receiver, bounded};
use einhorn_core::model::request::{Action, Commitment, Identity, Outcome, Request, RequestId};
use einhorn_core::model::{RrSet, Zone};
use einhorn_core::rules::replace::Overwrite;
use einhorn_core::rules::rollback::{Plan, Planner, Target};
use einhorn_ingress::control::{
    Answer, BridgeCall, BridgeRefusal, BridgeReply, Command, Control, DeviceCommand, HostnameLine,
    ZoneSettings,
};
use einhorn_ingress::reply::Reply;
use einhorn_ingress::{Ingress, Submission, now_ms};
use einhorn_links::Links;
use einhorn_serve::transfer;
use einhorn_store::engine::{EngineReader, LogId};
use einhorn_wire::{Name, zonefile};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// How long an operator's change may take.
const OPERATOR_TIMEOUT: Duration = Duration::from_secs(60);
/// Requests that are submitted together: a fraction of what may wait, so that there is room for
/// clients.
const SUBMITTED_TOGETHER_MAX: usize = 1_024;
/// Octets of salt at the start of audit data.
const SALT_OCTETS: usize = einhorn_ingress::dispatch::AUDIT_SALT_OCTETS;

/// Serves the control socket's commands.
pub(crate) struct Operator {
    pub(crate) ingress: Arc<Ingress>,
    /// None when the log could not be opened.
    pub(crate) reader: Mutex<Option<Box<dyn EngineReader>>>,
    /// Where keys, grants, answers and limits are read again from.
    pub(crate) config_path: Option<PathBuf>,
    /// Who keeps zones in step with other servers.
    pub(crate) keeper: Questions,
    /// Where the last content of removed zones is kept.
    pub(crate) removed_folder: PathBuf,
    /// The data folder.
    pub(crate) data: PathBuf,
    /// Octets that it may hold before operators are warned.
    pub(crate) disk_budget: Option<u64>,
    /// The sources of the legacy bridge, with the zone of each.
    pub(crate) sources: Vec<(String, Name)>,
    /// The hostname server, where it listens now.
    pub(crate) hostname: Option<HostnameConfig>,
    /// What encrypted listeners show; none if there are none.
    pub(crate) encrypted: Option<EncryptedSide>,
    /// Keeps the addresses of devices.
    pub(crate) devices: Arc<DeviceKeeper>,
    /// What this site is called.
    pub(crate) site: String,
    /// The way to the commit for questions about itself.
    pub(crate) inquiries: crossbeam_channel::Sender<Inquiry>,
    /// The connections to other sites.
    pub(crate) links: Option<Arc<Links>>,
    pub(crate) stop: Arc<AtomicBool>,
    /// Set when everything must be folded anew.
    pub(crate) rebuild: Arc<OnceLock<String>>,
}

impl Control for Operator {
    fn command(&self, command: Command) -> Answer {
        let answer = match command {
            Command::Reload => self.reload(),
            Command::Rollback { zone, serial, time_ms, name, dry_run } => {
                self.rollback(&zone, serial, time_ms, name.as_deref(), dry_run)
            }
            Command::Audit { index } => self.audit(index),
            Command::ExportZone { zone } => self.export(&zone),
            Command::AddZone { zone, file, settings } => {
                self.add_zone(&zone, file.as_deref(), &settings)
            }
            Command::RemoveZone { zone } => named(&zone).and_then(|zone| {
                changed(zones::remove(&self.ingress, &zone, &self.removed_folder))
            }),
            Command::ImportZone { zone, file, overwrite, dry_run } => {
                let import = |zone: Name| {
                    zones::import(&self.ingress, &zone, &file, whose(overwrite), dry_run)
                };
                named(&zone)
                    .and_then(|zone| import(zone).map_err(|error| error.to_string()))
                    .map(|(text, index)| Answer::Done { text: text.trim_end().to_owned(), index })
            }
            Command::ReloadZone { zone, overwrite, dry_run } => {
                self.reload_zones(zone.as_deref(), whose(overwrite), dry_run)
            }
            Command::ListZones => self.list(),
            Command::RefreshZone { zone } => named(&zone)
                .and_then(|zone| self.ask_keeper(|reply| Question::Refresh(zone, reply))?)
                .and_then(done),
            Command::Site(command) => self.site(command),
            Command::Status => self.status(&self.site),
            Command::Review(command) => self.review(command),
            Command::EndLeases => self.end_leases(),
            Command::Device(command) => self.device(&command),
            Command::NotifyZone { zone } => named(&zone)
                .and_then(|zone| self.ask_keeper(|reply| Question::Notify(zone, reply))?)
                .and_then(done),
        };
        answer.unwrap_or_else(|reason| Answer::Failed { reason })
    }

    fn bridge(&self, source: &str, call: BridgeCall) -> Result<BridgeReply, BridgeRefusal> {
        Operator::bridge(self, source, call)
    }
}

fn sources(config: &Config) -> Vec<(String, Name)> {
    config.sources.iter().map(|source| (source.name.clone(), source.zone.clone())).collect()
}

fn named(zone: &str) -> Result<Name, String> {
    zone.parse().map_err(|error| format!("{zone}: {error}"))
}

fn whose(overwrite: bool) -> Overwrite {
    if overwrite { Overwrite::All } else { Overwrite::Own }
}

fn changed(outcome: Result<(String, u64), ZoneRefused>) -> Result<Answer, String> {
    let (text, index) = outcome.map_err(|error| error.to_string())?;
    Ok(Answer::Done { text, index: Some(index) })
}

fn done(text: impl Into<String>) -> Result<Answer, String> {
    Ok(Answer::Done { text: text.into(), index: None })
}

impl Operator {
    /// One that stands alone, with flags of its own.
    pub(crate) fn new(
        config: &Config,
        (ingress, devices): (&Arc<Ingress>, Arc<DeviceKeeper>),
        (keeper, inquiries): (Questions, crossbeam_channel::Sender<Inquiry>),
        reader: Option<Box<dyn EngineReader>>,
    ) -> Operator {
        Operator {
            ingress: Arc::clone(ingress),
            reader: Mutex::new(reader),
            config_path: config.path.clone(),
            keeper,
            removed_folder: config.data.join("removed"),
            data: config.data.clone(),
            disk_budget: config.disk_budget,
            sources: sources(config),
            hostname: None,
            encrypted: None,
            devices,
            site: config.site.clone(),
            inquiries,
            links: None,
            stop: Arc::default(),
            rebuild: Arc::default(),
        }
    }

    /// The hostname server, for whoever asks how the node is.
    pub(crate) fn hostname_line(&self) -> Option<HostnameLine> {
        let server = self.hostname.as_ref()?;
        Some(HostnameLine {
            address: server.listen.to_string(),
            zones: server.zones.iter().map(ToString::to_string).collect(),
            answers: self.ingress.hostname_answers.load(Ordering::Relaxed),
        })
    }

    fn config(&self) -> Result<Config, String> {
        let path = self.config_path.as_ref();
        let path = path
            .ok_or("this node was started without a config file, so there is nothing to reload")?;
        Config::load(path).map_err(|error| format!("kept everything as it was: {error}"))
    }

    /// Reads keys, grants, answers, limits and the settings of zones again; the rest needs a
    /// restart.
    pub(crate) fn reload(&self) -> Result<Answer, String> {
        let config = self.config()?;
        let (keys, grants) = (config.keys.len(), config.grants.len());
        let random = self.ingress.cookie_secret();
        let settings = in_force(&config, self.encrypted.as_ref(), random);
        self.ingress.access.store(Arc::new(config.access()));
        self.ingress.settings.store(Arc::new(settings));
        let devices = config.devices.all.iter().count();
        self.devices.replace(config.devices.all.clone(), config.devices.never.clone());
        if let (Some(encrypted), Some(tls)) = (&self.encrypted, &config.tls) {
            encrypted.reload(tls);
        }
        let zones = zones::apply(&config, &self.ingress).map_err(|error| error.to_string())?;
        let text = format!(
            "{keys} keys, {grants} grants and {devices} devices are in force now; {zones} zones changed"
        );
        tracing::info!(%text, "reloaded");
        done(text)
    }

    fn zone(&self, zone: &str) -> Result<Arc<Zone>, String> {
        let name = named(zone)?;
        let zones = self.ingress.zones.current();
        zones.get(&name).cloned().ok_or_else(|| format!("zone {name} is not served here"))
    }

    fn device(&self, command: &DeviceCommand) -> Result<Answer, String> {
        match command {
            DeviceCommand::Show { name } => {
                Ok(Answer::Device { device: self.devices.line(&named(name)?)? })
            }
            DeviceCommand::Release { name } => {
                self.devices.release(&named(name)?)?;
                done(format!("the record of {name} follows it again"))
            }
        }
    }

    fn ask_keeper<T>(
        &self,
        question: impl FnOnce(oneshot::Sender<T>) -> Question,
    ) -> Result<T, String> {
        let (reply, answer) = oneshot::channel();
        let asked = self.keeper.blocking_send(question(reply));
        asked.map_err(|_| "the node is stopping".to_owned())?;
        answer.blocking_recv().map_err(|_| "the node is stopping".to_owned())
    }

    fn list(&self) -> Result<Answer, String> {
        let following = self.ask_keeper(Question::Status)?;
        Ok(Answer::Zones { zones: zones::list(&self.ingress, following) })
    }

    fn add_zone(
        &self,
        zone: &str,
        file: Option<&Path>,
        settings: &ZoneSettings,
    ) -> Result<Answer, String> {
        let settings = zone_settings(settings)?;
        changed(zones::add(&self.ingress, &named(zone)?, file, settings))
    }

    fn reload_zones(
        &self,
        zone: Option<&str>,
        overwrite: Overwrite,
        dry_run: bool,
    ) -> Result<Answer, String> {
        let zone = zone.map(named).transpose()?;
        let config = self.config()?;
        let text = zones::reload(&self.ingress, &config, zone.as_ref(), overwrite, dry_run);
        done(text.map_err(|error| error.to_string())?.trim_end())
    }

    fn export(&self, zone: &str) -> Result<Answer, String> {
        let zone = self.zone(zone)?.at_serial();
        let records: Vec<_> = transfer::records(&zone).collect();
        let mut text = Vec::new();
        zonefile::write(&mut text, &zone.apex, records.iter())
            .map_err(|error| error.to_string())?;
        done(String::from_utf8_lossy(&text))
    }

    fn with_reader<T>(
        &self,
        work: impl FnOnce(&mut dyn EngineReader) -> Result<T, String>,
    ) -> Result<T, String> {
        // A panic while reading leaves nothing half done.
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let reader =
            reader.as_mut().ok_or("the log could not be opened; see the node's messages")?;
        work(&mut **reader)
    }

    /// The own log, in the engine.
    fn own_log(&self) -> Result<LogId, String> {
        Ok(log_id(self.report()?.origin))
    }

    /// Whether the node is about to end.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Entries that are durable now.
    pub(crate) fn durable_entries(&self) -> Result<u64, String> {
        let log = self.own_log()?;
        self.with_reader(|reader| reader.next_index(log).map_err(|error| error.to_string()))
    }

    fn audit(&self, index: u64) -> Result<Answer, String> {
        let log = self.own_log()?;
        let audit =
            self.with_reader(|reader| reader.audit(log, index).map_err(|error| error.to_string()))?;
        let audit =
            audit.filter(|audit| audit.len() > SALT_OCTETS).ok_or("none is kept for this entry")?;
        done(String::from_utf8_lossy(&audit[SALT_OCTETS..]))
    }

    fn rollback(
        &self,
        zone: &str,
        serial: Option<u32>,
        time_ms: Option<u64>,
        name: Option<&str>,
        dry_run: bool,
    ) -> Result<Answer, String> {
        let zone = self.zone(zone)?;
        let target = match (serial, time_ms) {
            (Some(serial), None) => Target::Serial(serial),
            (None, Some(time_ms)) => Target::TimeMs(time_ms),
            _ => return Err("name either a serial or a time to roll back to".to_owned()),
        };
        let name: Option<Name> = name
            .map(|name| name.parse().map_err(|error| format!("{name}: {error}")))
            .transpose()?;
        let mut planner = Planner::new(zone.apex.clone(), target);
        let log = self.own_log()?;
        self.with_reader(|reader| {
            read_log(reader, log, &mut |index, entry| planner.next(index, entry))
                .map_err(|error| error.to_string())
        })?;
        let plan = planner.plan(&zone, name.as_ref()).map_err(|error| error.to_string())?;
        let mut text = describe(&plan);
        if plan.names.is_empty() || dry_run {
            return done(text);
        }
        let zone = zone.apex.clone();
        let index =
            submit(&self.ingress, operator_request(&self.ingress, zone, plan.into_action())?)?;
        _ = writeln!(text, "rolled back in entry {index}");
        Ok(Answer::Done { text, index: Some(index) })
    }
}

/// A diff: what goes and what comes.
fn describe(plan: &Plan) -> String {
    let mut text = format!(
        "{} names differ from the state after entry {}\n",
        plan.names.len(),
        plan.target_index
    );
    let mut lines = |sign: char, owner: &Name, set: &RrSet| {
        set.lines().for_each(|line| _ = writeln!(text, "{sign} {owner} {line}"));
    };
    for name in &plan.names {
        name.now
            .iter()
            .filter(|set| !name.then.contains(set))
            .for_each(|set| lines('-', &name.owner, set));
        name.then
            .iter()
            .filter(|set| !name.now.contains(set))
            .for_each(|set| lines('+', &name.owner, set));
    }
    text
}

/// A request of the operator: each is its own.
pub(crate) fn operator_request(
    ingress: &Ingress,
    zone: Name,
    action: Action,
) -> Result<Request, String> {
    request_by(ingress, Identity::Operator, zone, action)
}

/// A request from within the node, on behalf of somebody: each is its own.
pub(crate) fn request_by(
    ingress: &Ingress,
    who: Identity,
    zone: Name,
    action: Action,
) -> Result<Request, String> {
    let mut id = [0; 32];
    crate::files::random(&mut id).map_err(|error| format!("no random numbers: {error}"))?;
    Ok(request_with(ingress, RequestId(id), OPERATOR_TIMEOUT.as_secs(), who, zone, action))
}

/// A request from within the node with this id, which is remembered for so long.
pub(crate) fn request_with(
    ingress: &Ingress,
    id: RequestId,
    remembered_seconds: u64,
    who: Identity,
    zone: Name,
    action: Action,
) -> Request {
    Request {
        id,
        remember_until_seconds: now_ms() / 1000 + remembered_seconds,
        who,
        zone,
        action,
        entered_site: ingress.site.load(Ordering::Relaxed),
        audit_commitment: Commitment(Sha256::digest([]).into()),
        decision: None,
        audit: Vec::new(),
    }
}

/// Submits a request and waits for its entry's index.
pub(crate) fn submit(ingress: &Ingress, request: Request) -> Result<u64, String> {
    outcome(&send(ingress, request)?)
}

/// Submits requests together, and waits for all of them.
///
/// # Errors
/// The first refusal; the others were done all the same.
pub(crate) fn submit_all(ingress: &Ingress, requests: Vec<Request>) -> Result<(), String> {
    let mut refused = None;
    let mut requests = requests.into_iter().peekable();
    while requests.peek().is_some() {
        let sent: Vec<_> = requests
            .by_ref()
            .take(SUBMITTED_TOGETHER_MAX)
            .map(|request| send(ingress, request))
            .collect();
        for sent in sent {
            let done = sent.and_then(|told| outcome(&told));
            refused = refused.or(done.err());
        }
    }
    refused.map_or(Ok(()), Err)
}

/// Submits a request; the outcome comes out of what it gives.
pub(crate) fn send(ingress: &Ingress, request: Request) -> Result<Receiver<Outcome>, String> {
    let (tell, told) = bounded(1);
    // Nobody listens any more only after the timeout below.
    let reply = Reply::Local(Box::new(move |outcome| _ = tell.send(outcome)));
    ingress
        .submissions
        .send_timeout(Submission { request, reply }, OPERATOR_TIMEOUT)
        .map_err(|_| "the commit takes no requests".to_owned())?;
    Ok(told)
}

fn outcome(told: &Receiver<Outcome>) -> Result<u64, String> {
    match awaited(told)? {
        Outcome::Done { at } => Ok(at.index),
        Outcome::Refused { rcode, reason } => Err(format!("{rcode}: {reason}")),
    }
}

/// What became of a request that was sent.
pub(crate) fn awaited(told: &Receiver<Outcome>) -> Result<Outcome, String> {
    told.recv_timeout(OPERATOR_TIMEOUT).map_err(|_| {
        format!("no answer within {} s; it may still be done", OPERATOR_TIMEOUT.as_secs())
    })
}
