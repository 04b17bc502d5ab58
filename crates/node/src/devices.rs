//! Devices that are seen: who showed a credential, from where, and what comes of it. The decisions are
//! [`einhorn_core::rules::implicit`]'s; here is what they are fed with and where their updates go.
//!
//! Nothing here blocks, and no secret is ever printed. Which records are frozen is kept in a file, so
//! that a restart thaws none.

use crate::config::Config;
use crate::device_file::to_hex;
use crate::operate::request_with;
use arc_swap::ArcSwap;
use einhorn_core::model::device::{Device, Devices, Fingerprint};
use einhorn_core::model::request::{Action, Identity, Outcome, RequestId};
use einhorn_core::model::{NameRecord, RrSetRef};
use einhorn_core::rules::implicit::{Alarm, Never, Sighting, Standing, Verdict, Watch};
use einhorn_ingress::control::DeviceLine;
use einhorn_ingress::devices::{self, Credential, Seen};
use einhorn_ingress::reply::Reply;
use einhorn_ingress::{Ingress, Submission, now_ms};
use einhorn_wire::{Name, RecordType};
use std::collections::HashMap;
use std::fmt::Write;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The file in the data folder that says which records are frozen: a line for each, with the token's
/// SHA-256, the time and the two places.
const FROZEN_FILE: &str = "devices.frozen";
/// How long an implicit update is remembered, in seconds: longer than it may wait anywhere.
const REMEMBERED_SECONDS: u64 = 60;

/// What is in force.
#[derive(Default)]
struct InForce {
    devices: Devices,
    never: Never,
}

/// Keeps the addresses of devices.
pub(crate) struct DeviceKeeper {
    ingress: Arc<Ingress>,
    in_force: ArcSwap<InForce>,
    /// By token: new secrets begin anew. Locked for a moment by each sighting, and held while the
    /// file of frozen records is written, which happens once for each alarm.
    watches: Mutex<HashMap<Fingerprint, Watch>>,
    file: PathBuf,
}

impl DeviceKeeper {
    /// Puts the configured devices into force, and goes on with what is frozen.
    ///
    /// # Errors
    /// What the system says about the file that says so.
    pub(crate) fn open(ingress: &Arc<Ingress>, config: &Config) -> io::Result<DeviceKeeper> {
        let file = config.data.join(FROZEN_FILE);
        let text = match fs::read_to_string(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            text => text?,
        };
        let now_ms = now_ms();
        let frozen = text.lines().filter_map(frozen_line);
        let watches = frozen.map(|(token, alarm)| (token, Watch::frozen(now_ms, alarm))).collect();
        let keeper = DeviceKeeper {
            ingress: Arc::clone(ingress),
            in_force: ArcSwap::default(),
            watches: Mutex::new(watches),
            file,
        };
        keeper.replace(config.devices.all.clone(), config.devices.never.clone());
        Ok(keeper)
    }

    /// Puts these devices into force, and the addresses that are never theirs.
    pub(crate) fn replace(&self, devices: Devices, never: Never) {
        let known: Vec<Fingerprint> = devices.iter().map(|device| device.token_sha256).collect();
        // Who has new secrets, or is gone, is forgotten with the old ones.
        self.watches().retain(|token, _| known.contains(token));
        self.in_force.store(Arc::new(InForce { devices, never }));
    }

    fn watches(&self) -> MutexGuard<'_, HashMap<Fingerprint, Watch>> {
        // A sighting is taken in whole or the process has ended.
        self.watches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A device was heard from this address; `is_early_data` if anyone could have sent it again.
    pub(crate) fn seen(
        &self,
        device: &Device,
        address: IpAddr,
        is_early_data: bool,
        never: &Never,
    ) {
        let now_ms = now_ms();
        let standing = self.standing(device);
        let sighting = Sighting { address, now_ms, is_early_data };
        let mut watches = self.watches();
        let watch = watches.entry(device.token_sha256).or_insert_with(|| Watch::new(now_ms));
        match watch.seen(device, sighting, &standing, never) {
            Verdict::Nothing(quiet) => {
                tracing::debug!(device = %device.name, %address, ?quiet, "seen");
            }
            Verdict::Freeze(Alarm { places: [one, other], .. }) => {
                tracing::error!(
                    device = %device.name, %one, %other,
                    "ALARM: one device's secret is used at two places at once; its record is frozen"
                );
                if let Err(error) = self.keep(&watches) {
                    tracing::error!(%error, file = %self.file.display(), "cannot keep what is frozen");
                }
            }
            Verdict::Update { prerequisites, operations } => {
                drop(watches);
                let policy = &self.ingress.access.load().policy;
                if let Err(refusal) = policy.check(device.key.name(), &device.zone, &operations) {
                    tracing::warn!(device = %device.name, %refusal, "its address is not kept");
                    return;
                }
                tracing::info!(device = %device.name, %address, "it has moved");
                self.submit(device, Action::Update { prerequisites, operations, lease: None });
            }
        }
    }

    /// The device's records as they are published.
    fn standing(&self, device: &Device) -> Standing {
        let zones = self.ingress.zones.current();
        let record: Option<&NameRecord> =
            zones.get(&device.zone).and_then(|zone| zone.name(&device.name));
        let Some(record) = record else { return Standing::default() };
        let set = |rtype| record.rrset(rtype).map(RrSetRef::to_owned);
        Standing {
            a: set(RecordType::A),
            aaaa: set(RecordType::AAAA),
            is_alias: record.rrset(RecordType::CNAME).is_some(),
            changed_at_ms: record.history().changed_at_ms,
        }
    }

    fn submit(&self, device: &Device, action: Action) {
        let mut id = [0; 32];
        if let Err(error) = crate::files::random(&mut id) {
            tracing::error!(%error, "no random numbers");
            return;
        }
        let who = Identity::Key(device.key.name().to_lowercase());
        let (id, zone) = (RequestId(id), device.zone.clone());
        let request = request_with(&self.ingress, id, REMEMBERED_SECONDS, who, zone, action);
        let name = device.name.clone();
        let tell = move |outcome| {
            if let Outcome::Refused { rcode, reason } = outcome {
                // The next sighting finds out what is left to do.
                tracing::info!(device = %name, %rcode, reason, "its address was not changed");
            }
        };
        let submission = Submission { request, reply: Reply::Local(Box::new(tell)) };
        if self.ingress.submissions.try_send(submission).is_err() {
            tracing::info!(device = %device.name, "too many updates are waiting");
        }
    }

    /// What has been seen of a device, for people.
    pub(crate) fn line(&self, name: &Name) -> Result<DeviceLine, String> {
        let in_force = self.in_force.load();
        let device = in_force.devices.get(name).ok_or_else(|| unknown(name))?;
        let watches = self.watches();
        let watch = watches.get(&device.token_sha256);
        let seen = watch.into_iter().flat_map(Watch::last_seen);
        Ok(DeviceLine {
            name: device.name.to_string(),
            is_revoked: device.is_revoked(),
            seen: seen.map(|(place, at_ms)| (place.to_string(), at_ms)).collect(),
            alarm: watch.and_then(Watch::alarm).map(|alarm| alarm_text(&alarm)),
            alarm_ms: watch.and_then(Watch::alarm).map(|alarm| alarm.at_ms),
        })
    }

    /// The devices whose records are frozen.
    pub(crate) fn frozen(&self) -> Vec<String> {
        let in_force = self.in_force.load();
        let watches = self.watches();
        let is_frozen = |device: &&Device| {
            watches.get(&device.token_sha256).is_some_and(|watch| watch.alarm().is_some())
        };
        in_force.devices.iter().filter(is_frozen).map(|device| device.name.to_string()).collect()
    }

    /// Begins anew with a device whose record was frozen.
    pub(crate) fn release(&self, name: &Name) -> Result<(), String> {
        let in_force = self.in_force.load();
        let device = in_force.devices.get(name).ok_or_else(|| unknown(name))?;
        let mut watches = self.watches();
        let was_frozen = watches.remove(&device.token_sha256);
        if was_frozen.and_then(|watch| watch.alarm()).is_none() {
            return Err(format!("the record of {name} is not frozen"));
        }
        self.keep(&watches).map_err(|error| format!("{}: {error}", self.file.display()))
    }

    /// Writes which records are frozen.
    fn keep(&self, watches: &HashMap<Fingerprint, Watch>) -> io::Result<()> {
        let mut text = String::new();
        for (token, watch) in watches {
            if let Some(Alarm { at_ms, places: [one, other] }) = watch.alarm() {
                // Writing to a string cannot fail.
                _ = writeln!(text, "{} {at_ms} {one} {other}", to_hex(token));
            }
        }
        let new = self.file.with_extension("new");
        fs::write(&new, text)?;
        fs::File::open(&new)?.sync_all()?;
        fs::rename(&new, &self.file)
    }
}

fn unknown(name: &Name) -> String {
    format!("device {name} is not in force here: reload the node if its file has it")
}

fn alarm_text(alarm: &Alarm) -> String {
    let [one, other] = alarm.places;
    format!("its secret was used at {one} and {other} at once; its record is frozen")
}

fn frozen_line(line: &str) -> Option<(Fingerprint, Alarm)> {
    let mut words = line.split(' ');
    let token = crate::device_file::from_hex(words.next()?)?;
    let at_ms = words.next()?.parse().ok()?;
    let places = [words.next()?.parse().ok()?, words.next()?.parse().ok()?];
    Some((token, Alarm { at_ms, places }))
}

impl devices::Devices for DeviceKeeper {
    fn seen(&self, seen: &Seen<'_>) -> bool {
        let in_force = self.in_force.load();
        let device = match seen.credential {
            Credential::Token(token) => in_force.devices.with_token(token),
            Credential::Certificate(fingerprint) => in_force.devices.with_certificate(fingerprint),
        };
        // No listener takes early data.
        if let Some(device) = device {
            DeviceKeeper::seen(self, device, seen.address, false, &in_force.never);
        }
        device.is_some()
    }
}
