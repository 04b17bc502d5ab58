//! `einhorn device`: enrols phones and other devices, shows, rotates and revokes them.

mod profile;

use crate::source::{ask, ask_node};
use crate::{Failure, Outcome, describe, print};
use einhorn_core::model::device::{Device, Devices, Fingerprint, token_sha256};
use einhorn_core::model::settings::Prefix;
use einhorn_ingress::control::{Answer, Command as Ask, DeviceCommand, DeviceLine};
use einhorn_ingress::now_ms;
use einhorn_node::config::Config;
use einhorn_node::device_file::{self, TTL_SECONDS, to_hex};
use einhorn_node::enrol::Secrets;
use einhorn_wire::Name;
use profile::{Enrolled, ProfileArguments};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Subcommands of `einhorn device`.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Enrol a device: makes its secrets and its profile.
    Add {
        /// Its host name; without a dot at the end it is completed with the zone.
        name: String,
        /// The zone of that.
        #[arg(long)]
        zone: Name,
        /// Addresses that become its records by themselves when it asks from there, such as
        /// 192.0.2.0/24; may be given several times. None: none do.
        #[arg(long = "from", value_name = "PREFIX")]
        prefixes: Vec<Prefix>,
        /// Certificate in PEM that the device shows.
        #[arg(long, value_name = "FILE")]
        cert: Option<PathBuf>,
        /// TTL of its records, in seconds.
        #[arg(long, default_value_t = TTL_SECONDS)]
        ttl: u32,
        /// Let the record of a family of addresses (IPv4, IPv6) go that was not used for so many
        /// seconds; never if it is left out.
        #[arg(long, value_name = "SECONDS")]
        forget_family_after: Option<u32>,
        #[command(flatten)]
        profile: ProfileArguments,
        #[command(flatten)]
        place: Place,
    },
    /// List the devices.
    List {
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Show one: what it may do, and what the running node has seen of it.
    Show {
        /// Its host name.
        name: Name,
        /// As JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Let the record of a device that was frozen follow it again: its secret was used at two places
    /// at once, and somebody has looked why. A stolen secret is rotated instead.
    Release {
        /// Its host name.
        name: Name,
        #[command(flatten)]
        place: Place,
    },
    /// Believe a device nothing any more, at once: it is lost or stolen.
    Revoke {
        /// Its host name.
        name: Name,
        #[command(flatten)]
        place: Place,
    },
    /// Give a device new secrets and a new profile; the old ones stop working.
    Rotate {
        /// Its host name.
        name: Name,
        #[command(flatten)]
        profile: ProfileArguments,
        #[command(flatten)]
        place: Place,
    },
}

/// Which site this is about.
#[derive(clap::Args)]
pub(crate) struct Place {
    /// The site's configuration, which names the file of devices.
    #[arg(long, value_name = "FILE", default_value = "einhorn.toml")]
    config: PathBuf,
}

/// Runs a subcommand.
pub(crate) fn run(command: Command) -> Outcome {
    match command {
        Command::Add { name, zone, prefixes, cert, ttl, forget_family_after, profile, place } => {
            let mut fleet = Fleet::open(&place)?;
            let name = Name::parse_relative(&name, &zone)
                .map_err(|error| Failure::usage(format!("{name}: {error}")))?;
            let name = name.to_lowercase();
            if fleet.find(&name).is_some_and(|device| !device.is_revoked()) {
                return Err(Failure::finding(format!(
                    "{name} is enrolled already: `einhorn device rotate` gives it new secrets"
                )));
            }
            let secrets = Secrets::generate(&name).map_err(Failure::finding)?;
            let device = Device {
                name,
                zone: zone.to_lowercase(),
                token_sha256: token_sha256(&secrets.token),
                key: secrets.key.clone(),
                certificate: cert.as_deref().map(fingerprint).transpose()?,
                enrolled_seconds: now_ms() / 1_000,
                revoked_seconds: None,
                prefixes,
                ttl_seconds: ttl,
                other_family_seconds: forget_family_after,
            };
            fleet.enrol(device, &secrets, &profile)
        }
        Command::Rotate { name, profile, place } => {
            let mut fleet = Fleet::open(&place)?;
            let device = fleet.get(&name)?;
            let secrets = Secrets::generate(&device.name).map_err(Failure::finding)?;
            let device = Device {
                token_sha256: token_sha256(&secrets.token),
                key: secrets.key.clone(),
                revoked_seconds: None,
                ..device.clone()
            };
            fleet.enrol(device, &secrets, &profile)
        }
        Command::Revoke { name, place } => revoke(&name, &place),
        Command::Release { name, place } => {
            let release = DeviceCommand::Release { name: name.to_string() };
            print(ask(&Fleet::open(&place)?.config.data, &Ask::Device(release))?)
        }
        Command::List { json, place } => list(&Fleet::open(&place)?, json),
        Command::Show { name, json, place } => show(&name, &Fleet::open(&place)?, json),
    }
}

/// The devices of a site.
struct Fleet {
    config: Config,
    file: PathBuf,
    devices: Vec<Device>,
}

impl Fleet {
    fn open(place: &Place) -> Result<Fleet, Failure> {
        let config = Config::load(&place.config).map_err(Failure::usage)?;
        let file = config.devices.file.clone().ok_or_else(|| {
            let shown = place.config.display();
            Failure::usage(format!(
                "{shown} names no file of devices: write [devices] and file = \"devices.toml\" into it"
            ))
        })?;
        let devices = device_file::read(&file)
            .map_err(|error| Failure::finding(format!("{}: {error}", file.display())))?;
        Ok(Fleet { config, file, devices })
    }

    fn find(&self, name: &Name) -> Option<&Device> {
        self.devices.iter().find(|device| device.name == *name)
    }

    fn get(&self, name: &Name) -> Result<&Device, Failure> {
        self.find(name).ok_or_else(|| {
            Failure::finding(format!("there is no device {name}: `einhorn device list` shows all"))
        })
    }

    /// Puts a device into the file, in place of what it was, and shows what it is given.
    fn enrol(
        &mut self,
        device: Device,
        secrets: &Secrets,
        arguments: &ProfileArguments,
    ) -> Outcome {
        let enrolled = Enrolled { config: &self.config, device: &device, secrets };
        let made = enrolled.make(arguments)?;
        self.put(device.clone())?;
        let shown = made.hand_out(&self.config, arguments)?;
        let in_force = self.reload();
        shown.print(arguments.json, &in_force)
    }

    /// Saves the devices with this one as it is now.
    fn put(&mut self, device: Device) -> Outcome {
        match self.devices.iter_mut().find(|known| known.name == device.name) {
            Some(known) => *known = device,
            None => self.devices.push(device),
        }
        Devices::new(self.devices.iter().cloned()).map_err(Failure::finding)?;
        device_file::save(&self.file, &self.devices)
            .map_err(|error| Failure::finding(format!("{}: {error}", self.file.display())))
    }

    /// Puts the file into force here; says what is left to do.
    fn reload(&self) -> String {
        let file = self.file.display();
        let here = match ask_node(&self.config.data, &Ask::Reload) {
            Ok(Answer::Done { .. }) => "in force at this site".to_owned(),
            Ok(Answer::Failed { reason }) => format!("NOT in force: {reason}"),
            _ => "in force when this site's node starts or is reloaded".to_owned(),
        };
        format!("{here}; every other site needs this {file} too, and `einhorn reload`")
    }
}

fn revoke(name: &Name, place: &Place) -> Outcome {
    let mut fleet = Fleet::open(place)?;
    let mut device = fleet.get(name)?.clone();
    if device.is_revoked() {
        return print(format_args!("{name} is revoked already"));
    }
    device.revoked_seconds = Some(now_ms() / 1_000);
    fleet.put(device)?;
    print(format_args!(
        "{name} is revoked: {}. Its records are still what they were.",
        fleet.reload()
    ))
}

fn list(fleet: &Fleet, json: bool) -> Outcome {
    if fleet.devices.is_empty() && !json {
        return print("no devices");
    }
    fleet.devices.iter().try_for_each(|device| match json {
        true => print(as_json(device)),
        false => {
            let enrolled = describe::time(device.enrolled_seconds * 1_000);
            print(format_args!("{}  enrolled {enrolled}{}", device.name, revoked(device)))
        }
    })
}

fn revoked(device: &Device) -> String {
    let at = device.revoked_seconds.map(|seconds| describe::time(seconds * 1_000));
    at.map_or_else(String::new, |at| format!(", REVOKED {at}"))
}

fn as_json(device: &Device) -> serde_json::Value {
    let prefixes: Vec<String> = device.prefixes.iter().map(ToString::to_string).collect();
    json!({
        "name": device.name.to_string(),
        "zone": device.zone.to_string(),
        "enrolled-seconds": device.enrolled_seconds,
        "revoked-seconds": device.revoked_seconds,
        "certificate-sha256": device.certificate.as_ref().map(to_hex),
        "prefixes": prefixes,
        "ttl-seconds": device.ttl_seconds,
        "other-family-seconds": device.other_family_seconds,
    })
}

fn show(name: &Name, fleet: &Fleet, json: bool) -> Outcome {
    let device = fleet.get(name)?;
    let seen = seen(fleet, device);
    if json {
        let mut value = as_json(device);
        value["node"] = match &seen {
            Ok(line) => json!(line),
            Err(_) => serde_json::Value::Null,
        };
        return print(value);
    }
    let enrolled = describe::time(device.enrolled_seconds * 1_000);
    let prefixes: Vec<String> = device.prefixes.iter().map(ToString::to_string).collect();
    let prefixes = if prefixes.is_empty() { "nowhere".to_owned() } else { prefixes.join(", ") };
    let family = device
        .other_family_seconds
        .map_or_else(|| "stays".to_owned(), |seconds| format!("goes when unused for {seconds} s"));
    print(format_args!("{} in {}", device.name, device.zone))?;
    print(format_args!("  enrolled {enrolled}{}", revoked(device)))?;
    if let Some(certificate) = &device.certificate {
        print(format_args!("  shows the certificate {}", to_hex(certificate)))?;
    }
    print(format_args!("  its address becomes its record from {prefixes}"))?;
    print(format_args!("  TTL {} s; the other family's record {family}", device.ttl_seconds))?;
    let line = match seen {
        Ok(line) => line,
        Err(problem) => {
            return print(format_args!("  what was seen of it is not known: {problem}"));
        }
    };
    for (place, at_ms) in &line.seen {
        print(format_args!("  last seen at {place}, {}", describe::time(*at_ms)))?;
    }
    match (&line.alarm, line.alarm_ms) {
        (Some(alarm), Some(at_ms)) => print(format_args!(
            "  ALARM {}: {alarm}\n  rotate or revoke it if it is lost, else `einhorn device release {name}`",
            describe::time(at_ms)
        )),
        _ => Ok(()),
    }
}

/// What the running node has seen of a device.
fn seen(fleet: &Fleet, device: &Device) -> Result<DeviceLine, String> {
    let show = DeviceCommand::Show { name: device.name.to_string() };
    match ask_node(&fleet.config.data, &Ask::Device(show)) {
        Ok(Answer::Device { device }) => Ok(device),
        Ok(_) => Err("the node is of another version".to_owned()),
        Err(Failure::Finding(reason) | Failure::Usage(reason) | Failure::Unreachable(reason)) => {
            Err(reason)
        }
    }
}

/// The SHA-256 of a certificate in PEM.
fn fingerprint(path: &Path) -> Result<Fingerprint, Failure> {
    let text = std::fs::read(path)
        .map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())))?;
    einhorn_profiles::fingerprint(&text)
        .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}
