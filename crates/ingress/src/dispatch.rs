//! What to do with a DNS message: answer it, refuse it, transfer a zone, or turn an UPDATE into
//! a `Request`.

use crate::reply::Echo;
use crate::{Access, Ingress, Notified};
use einhorn_core::model::request::{
    Action, Commitment, Identity, Operation, Prerequisite, Request, RequestId,
};
use einhorn_core::model::{Zone, Zones};
use einhorn_core::rules::update::{self, Refusal};
use einhorn_serve::answer::{self, Transport};
use einhorn_wire::message::{Header, Message, Opcode, Question, Rcode, Section};
use einhorn_wire::rdata::soa_numbers;
use einhorn_wire::tsig::{self, Signed};
use einhorn_wire::{Class, RecordType};
use sha2::{Digest, Sha256};
use std::net::SocketAddr;
use std::sync::Arc;

/// Where a message came from and when.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// The client.
    pub peer: SocketAddr,
    /// How it came.
    pub transport: Transport,
    /// Seconds since 1970.
    pub now_seconds: u64,
}

/// What to do.
pub enum Dispatch {
    /// Nothing: too short to answer, or itself a response.
    Ignore,
    /// The reply has been appended to the buffer.
    Reply,
    /// Give the request to the commit.
    Submit(Box<Request>, Box<Echo>),
    /// Send the zone.
    Transfer(Box<Transfer>),
}

/// A zone transfer that is allowed.
pub struct Transfer {
    /// The zone as it is now.
    pub zone: Arc<Zone>,
    /// The serial that the client has, if it asks for what changed since (RFC 1995 §3).
    pub since: Option<u32>,
    /// Message id.
    pub id: u16,
    /// The question.
    pub question: Question,
    /// The request's signature.
    pub signed: Option<Signed>,
}

/// Looks at one message; replies are appended to `buffer`.
pub fn dispatch(
    ingress: &Ingress,
    octets: &[u8],
    arrival: Arrival,
    buffer: &mut Vec<u8>,
) -> Dispatch {
    match Header::parse(octets) {
        None => return Dispatch::Ignore,
        Some(header) if header.is_response() => return Dispatch::Ignore,
        Some(_) => {}
    }
    let Ok(message) = Message::parse(octets) else {
        malformed(octets, buffer);
        return Dispatch::Reply;
    };
    let access = ingress.access.load();
    let signed = match tsig::verify(&message, &access.keys, arrival.now_seconds) {
        Ok(signed) => signed,
        Err(error) => {
            tracing::info!(peer = %arrival.peer, %error, "signature refused");
            let base = buffer.len();
            let echo = Echo::new(&message, arrival.transport, None);
            echo.write_unsigned(error.rcode(), None, buffer);
            error.finish_response(buffer, base, arrival.now_seconds);
            return Dispatch::Reply;
        }
    };
    let zones = ingress.zones.current();
    match message.header.opcode() {
        Opcode::QUERY if is_expired(ingress, &zones, &message) => {
            let echo = Echo::new(&message, arrival.transport, signed);
            let reason = "the zone has expired: its primaries cannot be reached";
            echo.write(Rcode::SERVFAIL, Some(reason), arrival.now_seconds, buffer);
            Dispatch::Reply
        }
        Opcode::QUERY => query(&zones, &access, &message, signed, arrival, buffer),
        Opcode::UPDATE => {
            let request = update(ingress, &zones, &access, &message, signed.as_ref(), arrival);
            let echo = Echo::new(&message, arrival.transport, signed);
            match request {
                Ok(request) => Dispatch::Submit(Box::new(request), Box::new(echo)),
                Err(refusal) => {
                    tracing::info!(peer = %arrival.peer, %refusal, "update refused");
                    echo.write(refusal.rcode, Some(&refusal.reason), arrival.now_seconds, buffer);
                    Dispatch::Reply
                }
            }
        }
        Opcode::NOTIFY => {
            let outcome = notify(ingress, &zones, &message, signed.as_ref(), arrival);
            let mut echo = Echo::new(&message, arrival.transport, signed);
            match outcome {
                Ok(()) => {
                    echo.set_authoritative();
                    echo.write(Rcode::NOERROR, None, arrival.now_seconds, buffer);
                }
                Err(refusal) => {
                    tracing::info!(peer = %arrival.peer, %refusal, "notification refused");
                    echo.write(refusal.rcode, Some(&refusal.reason), arrival.now_seconds, buffer);
                }
            }
            Dispatch::Reply
        }
        _ => {
            let echo = Echo::new(&message, arrival.transport, signed);
            echo.write(Rcode::NOTIMP, None, arrival.now_seconds, buffer);
            Dispatch::Reply
        }
    }
}

/// Whether the question is about a zone that is not served any more.
fn is_expired(ingress: &Ingress, zones: &Zones, message: &Message<'_>) -> bool {
    ingress.zones.some_expired()
        && message
            .question()
            .and_then(|question| zones.containing(question.name.canonical_key().as_ref()))
            .is_some_and(|zone| ingress.zones.is_expired(zone))
}

/// FORMERR with nothing but the header.
fn malformed(octets: &[u8], buffer: &mut Vec<u8>) {
    buffer.extend_from_slice(&octets[..2]);
    // QR, and opcode and RD of the request.
    buffer.push(0x80 | octets[2] & 0x79);
    buffer.push(Rcode::FORMERR.0 as u8);
    buffer.extend_from_slice(&[0; 8]);
}

fn query(
    zones: &Zones,
    access: &Access,
    message: &Message<'_>,
    signed: Option<Signed>,
    arrival: Arrival,
    buffer: &mut Vec<u8>,
) -> Dispatch {
    let question = message.question().filter(|_| message.header.counts[0] == 1);
    if let Some(question) =
        question.filter(|q| matches!(q.rtype, RecordType::AXFR | RecordType::IXFR))
    {
        return transfer(zones, access, message, question, signed, arrival, buffer);
    }
    let base = buffer.len();
    let reserve_octets = signed.as_ref().map_or(0, Signed::response_octets);
    answer::answer(zones, message, arrival.transport, reserve_octets, buffer);
    if let Some(signed) = signed {
        signed.sign_response(buffer, base, arrival.now_seconds);
    }
    Dispatch::Reply
}

fn transfer(
    zones: &Zones,
    access: &Access,
    message: &Message<'_>,
    question: Question,
    signed: Option<Signed>,
    arrival: Arrival,
    buffer: &mut Vec<u8>,
) -> Dispatch {
    let zone = zones.get(&question.name.to_name()).filter(|_| question.class == Class::IN);
    let may_transfer = |zone: &Zone| match &signed {
        // A key that does not help leaves what the address may.
        Some(signed) if access.policy.may_transfer(signed.key().name(), &zone.apex) => true,
        _ => zone.settings.may_transfer(arrival.peer.ip()),
    };
    let refusal = match zone {
        // AXFR is not defined over UDP (RFC 5936 §4.2); IXFR may always be asked again over TCP.
        _ if arrival.transport == Transport::Udp => {
            Refusal::new(Rcode::FORMERR, "transfers are sent over TCP")
        }
        None => Refusal::new(Rcode::NOTAUTH, "no such zone here"),
        Some(zone) if !may_transfer(zone) => Refusal::new(
            Rcode::REFUSED,
            "a transfer needs a key, or an address, that may transfer this zone",
        ),
        Some(zone) if zone.soa().is_none() => {
            Refusal::new(Rcode::SERVFAIL, "the zone has no content yet")
        }
        Some(zone) => {
            let since = (question.rtype == RecordType::IXFR).then(|| serial_of(message)).flatten();
            let (zone, id) = (Arc::clone(zone), message.header.id);
            return Dispatch::Transfer(Box::new(Transfer { zone, since, id, question, signed }));
        }
    };
    tracing::info!(peer = %arrival.peer, %refusal, "transfer refused");
    let echo = Echo::new(message, arrival.transport, signed);
    echo.write(refusal.rcode, Some(&refusal.reason), arrival.now_seconds, buffer);
    Dispatch::Reply
}

/// The serial that the client of an IXFR has (RFC 1995 §3); a question without it gets the zone.
fn serial_of(message: &Message<'_>) -> Option<u32> {
    let record = message.section(Section::Authority).next()?.ok()?;
    let record = record.to_record(message.octets).ok()?;
    Some(soa_numbers(&record.rdata).filter(|_| record.rtype == RecordType::SOA)?.serial)
}

/// Takes a primary's word that a followed zone has changed (RFC 1996 §3.11): only from those that
/// the zone is followed from, by address or by key.
fn notify(
    ingress: &Ingress,
    zones: &Zones,
    message: &Message<'_>,
    signed: Option<&Signed>,
    arrival: Arrival,
) -> Result<(), Refusal> {
    let question = message.question().filter(|_| message.header.counts[0] == 1);
    let question = question.filter(|question| question.rtype == RecordType::SOA);
    let apex = question
        .ok_or_else(|| Refusal::new(Rcode::FORMERR, "the question must be one SOA"))?
        .name
        .to_name();
    let zone = zones.get(&apex).filter(|zone| zone.settings.is_followed());
    let zone = zone
        .ok_or_else(|| Refusal::new(Rcode::NOTAUTH, format!("zone {apex} is not followed here")))?;
    let address = arrival.peer.ip().to_canonical();
    let from_primary = zone.settings.primaries.iter().any(|primary| match &primary.key {
        Some(key) => signed.is_some_and(|signed| signed.key().name() == key),
        None => primary.address.ip().to_canonical() == address,
    });
    if !from_primary {
        return Err(Refusal::new(Rcode::REFUSED, "not from a primary of this zone"));
    }
    // A full queue means that many zones wait to be looked at; polling finds the rest.
    if ingress.notified.try_send(Notified { zone: apex, address }).is_err() {
        tracing::info!(peer = %arrival.peer, "too many notifications wait; this one is left to polling");
    }
    Ok(())
}

/// Turns an UPDATE into a request, in the order of RFC 2136 §3: zone section, prerequisites,
/// permission, update section. What is wrong after the prerequisites only counts when they hold.
fn update(
    ingress: &Ingress,
    zones: &Zones,
    access: &Access,
    message: &Message<'_>,
    signed: Option<&Signed>,
    arrival: Arrival,
) -> Result<Request, Refusal> {
    let format_error = |reason: String| Refusal::new(Rcode::FORMERR, reason);
    let section = message
        .question()
        .filter(|zone| message.header.counts[0] == 1 && zone.rtype == RecordType::SOA);
    let section = section
        .ok_or_else(|| format_error("the zone section must be one SOA question".to_owned()))?;
    let apex = section.name.to_name();
    let zone = zones.get(&apex).filter(|_| section.class == Class::IN);
    let zone = zone
        .ok_or_else(|| Refusal::new(Rcode::NOTAUTH, format!("zone {apex} is not served here")))?;
    update::updatable(zone)?;
    let records =
        |section| message.records(section).map_err(|error| format_error(error.to_string()));
    let prerequisites = update::prerequisites(&apex, records(Section::Answer)?)?;
    match operations(access, zone, signed, records(Section::Authority)) {
        Ok((signed, operations)) => {
            Ok(request(ingress, zone, signed, prerequisites, operations, arrival))
        }
        Err(refusal) => {
            update::prerequisites_hold(zone, &prerequisites)?;
            Err(refusal)
        }
    }
}

fn operations<'s>(
    access: &Access,
    zone: &Zone,
    signed: Option<&'s Signed>,
    records: Result<Vec<einhorn_wire::Record>, Refusal>,
) -> Result<(&'s Signed, Vec<Operation>), Refusal> {
    let signed = signed.ok_or_else(|| Refusal::new(Rcode::REFUSED, "updates must be signed"))?;
    access.policy.check(signed.key().name(), &zone.apex, &[])?;
    let operations = update::operations(&zone.apex, records?)?;
    access.policy.check(signed.key().name(), &zone.apex, &operations)?;
    Ok((signed, operations))
}

fn request(
    ingress: &Ingress,
    zone: &Zone,
    signed: &Signed,
    prerequisites: Vec<Prerequisite>,
    operations: Vec<Operation>,
    arrival: Arrival,
) -> Request {
    let key = signed.key().name();
    let mut id = Sha256::new();
    id.update(b"einhorn tsig request\n");
    id.update(key.as_wire());
    id.update(signed.full_mac());
    let id = RequestId(id.finalize().into());
    let (audit, audit_commitment) = audit(ingress, &id, arrival);
    Request {
        id,
        remember_until_seconds: signed.acceptable_until(),
        who: Identity::Key(key.clone()),
        zone: zone.apex.clone(),
        action: Action::Update { prerequisites, operations },
        entered_site: ingress.site,
        audit_commitment,
        audit,
    }
}

/// Octets of the salt at the start of audit data.
pub const AUDIT_SALT_OCTETS: usize = 16;

/// The client's address behind a salt, and the commitment to both.
fn audit(ingress: &Ingress, id: &RequestId, arrival: Arrival) -> (Vec<u8>, Commitment) {
    let mut salt = Sha256::new();
    salt.update(ingress.audit_secret);
    salt.update(id.0);
    let mut audit = salt.finalize()[..AUDIT_SALT_OCTETS].to_vec();
    let protocol = if arrival.transport == Transport::Udp { "udp" } else { "tcp" };
    audit.extend_from_slice(format!("{protocol} {}", arrival.peer).as_bytes());
    let commitment = Commitment(Sha256::digest(&audit).into());
    (audit, commitment)
}
