//! Wide-area Bonjour: what Apple's mDNSResponder asks of a server and sends to it when a name is
//! registered by unicast, message by message, as its source has them.
//!
//! It finds the zone by SOA questions, the server by SRV, then replaces its records by updates that
//! are signed, have no prerequisites and ask for a lease of two hours, and says goodbye by deleting
//! each record.

use crate::support::{EINHORN, configured, short};
use einhorn_core::model::device::Device;
use einhorn_harness::{Reply, SignedRequest, Site, ZONE_FILE, now_seconds, record, run, scratch};
use einhorn_node::device_file;
use einhorn_wire::message::{Message, Opcode, Rcode};
use einhorn_wire::tsig::{Algorithm, Key};
use einhorn_wire::writer::{Section, Writer};
use einhorn_wire::{Class, Name, Record, RecordType};
use std::fs;
use std::process::Command;
use std::sync::Arc;

const PHONE: &str = "phone.fleet.example.";
const SERVICE: &str = "_ssh._tcp.fleet.example.";
/// The lease that it asks for, in seconds.
const LEASE_SECONDS: u32 = 7_200;
/// The option of Update Lease (RFC 9664 §4) with four octets of data.
const LEASE_OPTION: [u8; 8] = [0, 2, 0, 4, 0, 0, 0x1c, 0x20];

/// Lengths of keys, each with the algorithm that Apple's systems take for it.
const KEYS: [(usize, Algorithm); 6] = [
    (16, Algorithm::HmacMd5),
    (20, Algorithm::HmacSha1),
    (28, Algorithm::HmacSha224),
    (32, Algorithm::HmacSha256),
    (48, Algorithm::HmacSha384),
    (64, Algorithm::HmacSha512),
];

fn key(octets: usize, algorithm: Algorithm) -> Arc<Key> {
    let name: Name = format!("k{octets}.").parse().expect("a name");
    Arc::new(Key::new(name, algorithm, &vec![octets as u8; octets]).expect("a key"))
}

/// The key of an enrolled device, as `einhorn device` makes it.
fn device_key() -> Arc<Key> {
    let name: Name = PHONE.parse().expect("a name");
    Arc::new(Key::new(name, Algorithm::HmacSha256, &[7; 32]).expect("a key"))
}

fn started() -> (tempfile::TempDir, Site) {
    let folder = scratch();
    let zone = format!("{ZONE_FILE}_dns-update._udp SRV 0 0 5353 ns\n");
    fs::write(folder.path().join("fleet.zone"), zone).expect("written");
    let mut config = "[[zone]]\nname = \"fleet.example.\"\nfile = \"fleet.zone\"\n".to_owned();
    for (octets, algorithm) in KEYS {
        let secret = key(octets, algorithm).secret_base64();
        config += &format!(
            "[[key]]\nname = \"k{octets}.\"\nalgorithm = \"{algorithm}\"\nsecret = \"{secret}\"\n\
             [[grant]]\nkey = \"k{octets}.\"\nzone = \"fleet.example.\"\nnames = [\"*\"]\n"
        );
    }
    let device = Device {
        name: PHONE.parse().expect("a name"),
        zone: "fleet.example.".parse().expect("a name"),
        token_sha256: [1; 32],
        key: Key::clone(&device_key()),
        certificate: None,
        enrolled_seconds: 1,
        revoked_seconds: None,
        prefixes: Vec::new(),
        ttl_seconds: 60,
        other_family_seconds: None,
    };
    device_file::save(&folder.path().join("devices.toml"), &[device]).expect("the devices");
    config += "[devices]\nfile = \"devices.toml\"\n";
    let site = configured(folder.path(), &config);
    (folder, site)
}

/// An update with the lease option, as it is before it is signed.
fn leased(updates: &[Record]) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut writer = Writer::new(&mut octets, 77, 1_440);
    writer.set_request(Opcode::UPDATE);
    let zone: Name = "fleet.example.".parse().expect("a name");
    writer.question(zone.as_wire(), RecordType::SOA, Class::IN).expect("room");
    for it in updates {
        let (owner, rtype) = (it.owner.as_wire(), it.rtype);
        writer.record(Section::Authority, owner, rtype, it.class, it.ttl, &it.rdata).expect("room");
    }
    let root = Name::root();
    let payload = Class(1_440);
    writer
        .record(Section::Additional, root.as_wire(), RecordType::OPT, payload, 0, &LEASE_OPTION)
        .expect("room");
    octets
}

/// Sends it signed; the reply must be signed too.
fn send(site: &Site, key: &Arc<Key>, unsigned: Vec<u8>) -> (Rcode, Vec<u8>) {
    let request = SignedRequest::new(unsigned, key, now_seconds());
    let reply = site.client().udp(&request.octets).expect("a reply");
    let octets = reply.clone();
    (request.rcode(&reply), octets)
}

fn replace(rtype: RecordType, owner: &str, rdata: &[u8]) -> [Record; 2] {
    [
        record(owner, rtype, Class::ANY, 0, &[]),
        record(owner, rtype, Class::IN, LEASE_SECONDS / 2, rdata),
    ]
}

#[test]
fn the_zone_and_its_server_are_found() {
    let (_folder, site) = started();
    let client = site.client();
    // Each name from the host's up, until one has a SOA; the authority section says whose it is.
    for name in [PHONE, SERVICE, "_tcp.fleet.example."] {
        let Reply { rcode, answers, octets } = client.query(name, RecordType::SOA);
        assert!(answers.is_empty() && rcode == Rcode::NXDOMAIN, "{name}: {rcode}");
        let message = Message::parse(&octets).expect("a message");
        let authority =
            message.records(einhorn_wire::message::Section::Authority).expect("records");
        assert_eq!(authority[0].owner.to_string(), "fleet.example.");
        assert_eq!(authority[0].rtype, RecordType::SOA);
    }
    let soa = client.query("fleet.example.", RecordType::SOA);
    assert_eq!((soa.rcode, soa.answers.len()), (Rcode::NOERROR, 1));
    let srv = client.query("_dns-update._udp.fleet.example.", RecordType::SRV);
    assert_eq!(srv.answers[0].rdata[..6], [0, 0, 0, 0, 0x14, 0xe9], "any port");
    let server = client.query("ns.fleet.example.", RecordType::A);
    assert_eq!(server.answers.len(), 1);
    // Who has no such server is asked for another way in, and told that there is none.
    for name in ["_dns-update-tls._tcp.fleet.example.", "_dns-llq._udp.fleet.example."] {
        assert_eq!(client.query(name, RecordType::SRV).rcode, Rcode::NXDOMAIN);
    }
}

#[test]
fn names_are_registered_renewed_and_taken_back_with_every_length_of_key() {
    let (_folder, site) = started();
    let keys = KEYS.map(|(octets, algorithm)| key(octets, algorithm));
    for (number, key) in keys.iter().chain([&device_key()]).enumerate() {
        let algorithm = key.name();
        let address = [192, 0, 2, number as u8 + 1];
        // Twice: a renewal says the same again.
        for _ in 0..2 {
            let (rcode, reply) = send(&site, key, leased(&replace(RecordType::A, PHONE, &address)));
            assert_eq!(rcode, Rcode::NOERROR, "{algorithm}");
            let has_lease = reply.windows(8).any(|part| part == LEASE_OPTION);
            assert!(has_lease, "{algorithm}: the lease is granted in its own form: {reply:02x?}");
        }
        let answers = site.client().query(PHONE, RecordType::A).answers;
        assert_eq!(answers.len(), 1, "{algorithm}");
        assert_eq!(answers[0].rdata[..], address);
        // A goodbye names the record, of class NONE.
        let goodbye = [record(PHONE, RecordType::A, Class::NONE, 0, &address)];
        let (rcode, _) = send(&site, key, leased(&goodbye));
        assert_eq!(rcode, Rcode::NOERROR, "{algorithm}");
        assert_eq!(site.client().query(PHONE, RecordType::A).rcode, Rcode::NXDOMAIN);
    }
}

/// A service: PTR records of several hosts share a name, so that they are added and taken back one by
/// one; SRV and TXT are replaced.
#[test]
fn services_of_several_hosts_share_a_name() {
    let (folder, site) = started();
    let key = key(32, Algorithm::HmacSha256);
    let instance = |host: &str| -> Name {
        let service: Name = SERVICE.parse().expect("a name");
        service.prepend(host.as_bytes()).expect("a name")
    };
    for host in ["Anna's Phone", "Ben's Phone"] {
        let owner = instance(host).to_string();
        let target: Name = PHONE.parse().expect("a name");
        let srv = [&[0, 0, 0, 0, 0, 22][..], target.as_wire()].concat();
        let mut updates = vec![record(
            SERVICE,
            RecordType::PTR,
            Class::IN,
            LEASE_SECONDS / 2,
            instance(host).as_wire(),
        )];
        updates.extend(replace(RecordType::SRV, &owner, &srv));
        updates.extend(replace(RecordType::TXT, &owner, &[0]));
        assert_eq!(send(&site, &key, leased(&updates)).0, Rcode::NOERROR);
    }
    assert_eq!(site.client().query(SERVICE, RecordType::PTR).answers.len(), 2);
    let Some(srv) = short(&site, &instance("Anna's Phone").to_string(), "SRV") else { return };
    assert_eq!(srv, ["0 0 22 phone.fleet.example."]);
    let goodbye =
        [record(SERVICE, RecordType::PTR, Class::NONE, 0, instance("Anna's Phone").as_wire())];
    assert_eq!(send(&site, &key, leased(&goodbye)).0, Rcode::NOERROR);
    let left = site.client().query(SERVICE, RecordType::PTR).answers;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].rdata[..], *instance("Ben's Phone").as_wire());
    // The leases are the node's to end, and it knows of them.
    let mut status = Command::new(EINHORN);
    status.args(["status", "--json", "--data"]).arg(folder.path().join("data"));
    let status: serde_json::Value = serde_json::from_str(&run(&mut status).good()).expect("JSON");
    assert!(status["leased"].as_u64().is_some_and(|leased| leased >= 2), "{status}");
}
