//! The demonstration's phone: it is enrolled, and where it asks from is where its name points. No
//! program on it says so. Its networks are parts of the loopback network, so that it can be at both.

use super::{Demo, ZONE};
use crate::client::Client;
use crate::{Failure, Outcome, print};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use einhorn_core::model::device::{Device, Devices, token_sha256};
use einhorn_ingress::doh;
use einhorn_ingress::tls::{Identity, IdentityFiles};
use einhorn_node::authority::{CA_CERTIFICATE_FILE, Holder, issue};
use einhorn_node::config::{DevicesConfig, TlsConfig};
use einhorn_node::device_file::{self, TTL_SECONDS};
use einhorn_node::enrol::Secrets;
use einhorn_wire::message::Opcode;
use einhorn_wire::writer::Writer;
use einhorn_wire::{Class, Name, RecordType};
use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

const PHONE: &str = "claras-iphone.fleet.example.";
const SERVER: &str = "dns.fleet.example";
/// Where it is at home, and on the way; what it has there.
const NETWORKS: [&str; 2] = ["127.1.0.0/16", "127.2.0.0/16"];
const WI_FI: Ipv4Addr = Ipv4Addr::new(127, 1, 0, 7);
const CELLULAR: Ipv4Addr = Ipv4Addr::new(127, 2, 0, 9);
/// A phone asks all the time; between two of these questions.
const ASKS_EVERY: Duration = Duration::from_secs(1);
/// How long its name may take to follow: a move soon after another must last for ten seconds.
const FOLLOWS_MAX: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(10);
const RESPONSE_OCTETS_MAX: u64 = 16 << 10;

/// The phone, and what it was given.
pub(super) struct Phone {
    name: Name,
    token: String,
    authority: PathBuf,
}

impl Phone {
    /// Enrols it in a folder, with a certificate for the server there and an authority of its own.
    pub(super) fn enrol(
        folder: &Path,
        port: u16,
    ) -> Result<(Phone, TlsConfig, DevicesConfig), Failure> {
        let now_seconds = einhorn_ingress::now_ms() / 1_000;
        let certificates = folder.join("tls");
        let file = |suffix: &str| certificates.join(format!("{SERVER}.{suffix}"));
        let (certificate, key) = (file("crt"), file("key"));
        if !certificate.exists() {
            let here = [IpAddr::from(Ipv4Addr::LOCALHOST)];
            issue(&certificates, Holder::Server(SERVER, &here), now_seconds)
                .map_err(Failure::finding)?;
        }
        let files =
            IdentityFiles { certificate, key, client_authority: None, name: SERVER.to_owned() };
        let identity = Arc::new(Identity::load(&files).map_err(Failure::finding)?);
        let tls = TlsConfig {
            name: SERVER.parse().map_err(Failure::finding)?,
            dot: Vec::new(),
            doh: vec![(Ipv4Addr::LOCALHOST, port).into()],
            identity,
        };
        let name: Name = PHONE.parse().map_err(Failure::finding)?;
        let secrets = Secrets::generate(&name).map_err(Failure::finding)?;
        let prefixes = NETWORKS.iter().map(|network| network.parse().map_err(Failure::finding));
        let device = Device {
            name: name.clone(),
            zone: ZONE.parse().map_err(Failure::finding)?,
            token_sha256: token_sha256(&secrets.token),
            key: secrets.key,
            certificate: None,
            enrolled_seconds: now_seconds,
            revoked_seconds: None,
            prefixes: prefixes.collect::<Result<_, Failure>>()?,
            ttl_seconds: TTL_SECONDS,
            other_family_seconds: None,
        };
        let file = folder.join("devices.toml");
        device_file::save(&file, std::slice::from_ref(&device)).map_err(Failure::finding)?;
        let all = Devices::new([device]).map_err(Failure::finding)?;
        let devices = DevicesConfig { file: Some(file), all, ..DevicesConfig::default() };
        let authority = certificates.join(CA_CERTIFICATE_FILE);
        Ok((Phone { name, token: secrets.token, authority }, tls, devices))
    }

    /// For programs: how to be this phone.
    pub(super) fn json(&self, server: SocketAddr) -> Value {
        json!({
            "name": PHONE,
            "doh": self.url(server),
            "ca": self.authority.display().to_string(),
            "networks": NETWORKS,
        })
    }

    fn url(&self, server: SocketAddr) -> String {
        format!("https://{server}{}/{}", doh::PATH, self.token)
    }

    /// One question about its zone over HTTPS (RFC 8484), from this address.
    fn ask(&self, server: SocketAddr, from: Ipv4Addr) -> Outcome {
        let mut question = Vec::new();
        let mut writer = Writer::new(&mut question, 0, usize::from(u16::MAX));
        writer.set_request(Opcode::QUERY);
        let zone: Name = ZONE.parse().map_err(Failure::finding)?;
        writer.question(zone.as_wire(), RecordType::SOA, Class::IN).map_err(Failure::finding)?;
        let request = format!(
            "GET {}/{}?dns={} HTTP/1.1\r\nHost: {SERVER}\r\nAccept: {}\r\nConnection: close\r\n\r\n",
            doh::PATH,
            self.token,
            URL_SAFE_NO_PAD.encode(question),
            doh::MEDIA_TYPE,
        );
        let mut stream = self.connect(server, from)?;
        let mut response = Vec::new();
        stream.write_all(request.as_bytes()).map_err(Failure::unreachable)?;
        stream
            .take(RESPONSE_OCTETS_MAX)
            .read_to_end(&mut response)
            .map_err(Failure::unreachable)?;
        match response.starts_with(b"HTTP/1.1 200 ") {
            true => Ok(()),
            false => Err(Failure::finding("the phone's question was not answered")),
        }
    }

    fn connect(
        &self,
        server: SocketAddr,
        from: Ipv4Addr,
    ) -> Result<StreamOwned<ClientConnection, TcpStream>, Failure> {
        let socket =
            socket(AddressFamily::INET, SocketType::STREAM, None).map_err(Failure::unreachable)?;
        let from = SocketAddr::from((from, 0));
        bind(&socket, &from).and_then(|()| connect(&socket, &server)).map_err(|error| {
            Failure::unreachable(format!("no connection from {from} to {server}: {error}"))
        })?;
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(TIMEOUT)).map_err(Failure::unreachable)?;
        let mut roots = RootCertStore::empty();
        let authority = CertificateDer::from_pem_file(&self.authority).map_err(Failure::finding)?;
        roots.add(authority).map_err(Failure::finding)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(Failure::finding)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let name = ServerName::try_from(SERVER).map_err(Failure::finding)?;
        let connection = ClientConnection::new(Arc::new(config), name).map_err(Failure::finding)?;
        Ok(StreamOwned::new(connection, stream))
    }
}

impl Demo {
    /// Lets the phone be at one network and then at the other.
    pub(super) fn roam(&mut self, client: &Client) -> Outcome {
        self.headline(&format!("{PHONE} is enrolled; no program on it tells where it is"))?;
        print(format_args!(
            "   asks over HTTPS by its own URL; from {} its address is its record",
            NETWORKS.join(" and ")
        ))?;
        self.phone_at(client, "on Wi-Fi", WI_FI)?;
        self.headline(
            "It leaves the house: so soon after a change the new address has to last 10 s",
        )?;
        self.phone_at(client, "on the way", CELLULAR)
    }

    /// Lets the phone ask from an address until its name has followed it there.
    fn phone_at(&self, client: &Client, place: &str, at: Ipv4Addr) -> Outcome {
        let begun = Instant::now();
        let mut asked = 0;
        loop {
            self.phone.ask(self.doh, at)?;
            asked += 1;
            let next = Instant::now() + ASKS_EVERY;
            while Instant::now() < next {
                let found = client.query(&self.phone.name, RecordType::A)?;
                if found.answers.first().is_some_and(|record| *record.rdata == at.octets()) {
                    let seconds = begun.elapsed().as_secs_f64();
                    return print(format_args!(
                        "   {place}, asking from {at}: {PHONE} {TTL_SECONDS} IN A {at} after {asked} \
                         question(s), {seconds:.3} s"
                    ));
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            if begun.elapsed() > FOLLOWS_MAX {
                return Err(Failure::finding(format!("{PHONE} has not followed to {at}")));
            }
        }
    }
}
