//! What `einhorn device add` and `rotate` hand out: a signed profile, and the ways to it.

use crate::{Failure, Outcome, print};
use einhorn_core::model::device::Device;
use einhorn_ingress::{doh, now_ms};
use einhorn_links::secret_file::{write_public, write_secret};
use einhorn_node::config::Config;
use einhorn_node::enrol::{self, OFFER_SECONDS, Secrets};
use einhorn_profiles::{DnsProfile, Signer, SignerPem, qr_code};
use einhorn_wire::Name;
use serde_json::json;
use std::fs;
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Files in the data folder with the certificate that signs profiles where none is configured.
const SIGNER_CERTIFICATE: &str = "profiles.crt";
const SIGNER_KEY: &str = "profiles.key";
/// Folder of profiles in the data folder, where they are not served.
const PROFILES_FOLDER: &str = "profiles";
/// The port of HTTPS, which URLs leave out.
const HTTPS_PORT: u16 = 443;

/// What a profile says.
#[derive(clap::Args)]
pub(crate) struct ProfileArguments {
    /// The server of DNS over HTTPS as devices reach it, HOST or HOST:PORT; left out: what the
    /// configuration says of this site.
    #[arg(long, value_name = "HOST[:PORT]")]
    server: Option<String>,
    /// Address of that server; may be given several times. None: the device looks it up.
    #[arg(long = "address", value_name = "ADDRESS")]
    addresses: Vec<IpAddr>,
    /// Domain that the server is asked about; may be given several times. None: the device's zone.
    #[arg(long = "domain", value_name = "NAME")]
    domains: Vec<Name>,
    /// Wi-Fi network in which the server is not asked; may be given several times.
    #[arg(long = "except-ssid", value_name = "SSID")]
    except_networks: Vec<String>,
    /// Who runs the fleet, as the device shows it.
    #[arg(long)]
    organization: Option<String>,
    /// Identity (PKCS #12) to install with it, which the device shows to the server.
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// The device's user may not turn it off; for supervised devices.
    #[arg(long)]
    prohibit_disablement: bool,
    /// The device is supervised.
    #[arg(long)]
    supervised: bool,
    /// Where to write the profile, rather than to serve it.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Where to write the same as a declaration, for management servers of iOS 27 and later.
    #[arg(long, value_name = "FILE")]
    declaration: Option<PathBuf>,
    /// One line of JSON for programs.
    #[arg(long)]
    pub(super) json: bool,
}

/// A device with its new secrets.
pub(super) struct Enrolled<'a> {
    pub(super) config: &'a Config,
    pub(super) device: &'a Device,
    pub(super) secrets: &'a Secrets,
}

/// What was made for it, in no file yet.
pub(super) struct Made {
    name: Name,
    doh: String,
    secret: String,
    signed: Vec<u8>,
    declaration: String,
}

/// What it is given.
pub(super) struct HandedOut {
    made: Made,
    profile: String,
    is_url: bool,
}

impl Enrolled<'_> {
    /// Makes the profile, signed.
    pub(super) fn make(&self, arguments: &ProfileArguments) -> Result<Made, Failure> {
        let server = server(self.config, arguments)?;
        let doh = format!("https://{server}{}/{}", doh::PATH, self.secrets.token);
        let identity = arguments.identity.as_ref().map(fs::read).transpose();
        let identity = identity.map_err(|error| Failure::usage(format!("--identity: {error}")))?;
        let domains = match arguments.domains.is_empty() {
            true => vec![self.device.zone.clone()],
            false => arguments.domains.clone(),
        };
        let profile = DnsProfile {
            device: self.device.name.to_string(),
            organization: arguments.organization.clone(),
            url: doh.clone(),
            addresses: arguments.addresses.clone(),
            domains,
            except_networks: arguments.except_networks.clone(),
            identity,
            prohibit_disablement: arguments.prohibit_disablement,
            is_supervised: arguments.supervised,
        };
        let plist = profile.profile().map_err(Failure::usage)?.to_plist();
        let declaration = profile.declaration().map_err(Failure::usage)?.to_json();
        let signed = signer(self.config)?.sign(plist.as_bytes()).map_err(Failure::finding)?;
        Ok(Made {
            name: self.device.name.clone(),
            doh,
            secret: self.secrets.key.secret_base64(),
            signed,
            declaration: format!("{declaration:#}\n"),
        })
    }
}

impl Made {
    /// Writes or offers the profile.
    pub(super) fn hand_out(
        self,
        config: &Config,
        arguments: &ProfileArguments,
    ) -> Result<HandedOut, Failure> {
        if let Some(path) = &arguments.declaration {
            write(path, self.declaration.as_bytes())?;
        }
        if let (None, Some(url)) = (&arguments.out, &config.devices.url) {
            let token = enrol::offer(&config.data, &self.signed, now_ms() / 1_000)
                .map_err(Failure::finding)?;
            let profile = format!("{url}/enrol/{token}");
            return Ok(HandedOut { made: self, profile, is_url: true });
        }
        let plain = self.name.to_string();
        let file = format!("{}.mobileconfig", plain.trim_end_matches('.').replace('/', "_"));
        let path = arguments.out.clone();
        let path = path.unwrap_or_else(|| config.data.join(PROFILES_FOLDER).join(file));
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(Failure::finding)?;
        }
        write(&path, &self.signed)?;
        Ok(HandedOut { made: self, profile: path.display().to_string(), is_url: false })
    }
}

impl HandedOut {
    pub(super) fn print(&self, as_json: bool, in_force: &str) -> Outcome {
        let Made { name, doh, secret, .. } = &self.made;
        if as_json {
            let (name, profile) = (name.to_string(), &self.profile);
            // The order of the keys is part of what programs are promised.
            let line = [("name", json!(name)), ("profile", json!(profile)), ("doh", json!(doh))]
                .into_iter()
                .chain([("secret", json!(secret))])
                .map(|(key, value)| format!("\"{key}\":{value}"));
            return print(format_args!("{{{}}}", line.collect::<Vec<_>>().join(",")));
        }
        print(format_args!("{name} is enrolled: {in_force}"))?;
        print(format_args!("  profile  {}", self.profile))?;
        print(format_args!("  DoH      {doh}"))?;
        print(format_args!("  key      hmac-sha256:{name}:{secret}"))?;
        print("  (TSIG key; for dyndns2 the user is the name, the password the secret)")?;
        if !self.is_url {
            return print("Carry the profile to the device; nobody else may have it.");
        }
        print(qr_code(&self.profile).map_err(Failure::finding)?)?;
        print(format_args!(
            "Scan it with the device within {} minutes; it works once.",
            OFFER_SECONDS / 60
        ))
    }
}

/// The server of DNS over HTTPS as devices reach it.
fn server(config: &Config, arguments: &ProfileArguments) -> Result<String, Failure> {
    if let Some(server) = &arguments.server {
        let plain = |letter: char| letter.is_ascii_alphanumeric() || ".-:[]".contains(letter);
        if server.is_empty() || !server.chars().all(plain) {
            return Err(Failure::usage(format!("--server {server}: write HOST or HOST:PORT")));
        }
        return Ok(server.clone());
    }
    let tls = config.tls.as_ref().and_then(|tls| Some((tls, tls.doh.first()?)));
    let (tls, listen) = tls.ok_or_else(|| {
        Failure::usage(
            "which server shall the device ask? Give --server, or [tls] with `doh` in the configuration",
        )
    })?;
    let name = tls.name.to_string();
    let name = name.trim_end_matches('.');
    Ok(match listen.port() {
        HTTPS_PORT => name.to_owned(),
        port => format!("{name}:{port}"),
    })
}

/// The certificate that signs profiles: the configured one, or one of our own.
fn signer(config: &Config) -> Result<Signer, Failure> {
    let (certificate, key) = match &config.devices.signer {
        Some(files) => (files.certificate.clone(), files.key.clone()),
        None => (config.data.join(SIGNER_CERTIFICATE), config.data.join(SIGNER_KEY)),
    };
    if config.devices.signer.is_none() && !key.exists() {
        fs::create_dir_all(&config.data).map_err(Failure::finding)?;
        let made = Signer::generate(&config.site).map_err(Failure::finding)?;
        let written = write_public(&certificate, &made.certificates);
        written
            .and_then(|()| write_secret(&key, &made.key))
            .map_err(|error| Failure::finding(format!("{}: {error}", certificate.display())))?;
    }
    let read = |path: &Path| {
        fs::read_to_string(path)
            .map_err(|error| Failure::finding(format!("cannot read {}: {error}", path.display())))
    };
    let pem = SignerPem { certificates: read(&certificate)?, key: read(&key)? };
    Signer::from_pem(&pem)
        .map_err(|error| Failure::finding(format!("{}: {error}", certificate.display())))
}

/// Writes a file with a secret in it, over what is there.
fn write(path: &Path, octets: &[u8]) -> Outcome {
    let written = || -> io::Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file =
            fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(octets)?;
        file.sync_all()
    };
    written().map_err(|error| Failure::finding(format!("cannot write {}: {error}", path.display())))
}
