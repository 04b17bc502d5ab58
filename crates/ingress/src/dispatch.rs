//! What to do with a DNS message: answer it, refuse it, transfer a zone, or turn an UPDATE into
//! a `Request`.

mod update;

pub(crate) use update::audit;
pub use update::{AUDIT_SALT_OCTETS, granted_lease};

use crate::rate_limit::{LimitSettings, RateLimit, ResponseClass, Verdict};
use crate::reply::Echo;
use crate::{Ingress, Notified, View};
use einhorn_core::model::request::Request;
use einhorn_core::model::{Zone, Zones};
use einhorn_core::rules::update::Refusal;
use einhorn_serve::answer::{self, Context, Transport};
use einhorn_wire::message::{Header, Message, Opcode, Question, Rcode, Section};
use einhorn_wire::rdata::soa_numbers;
use einhorn_wire::tsig::{self, Signed};
use einhorn_wire::{Class, RecordType};
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use update::{Came, update};

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

/// Where rates are counted.
pub enum Limiter<'a> {
    /// In the thread's own table.
    Own(&'a mut RateLimit),
    /// In one that sessions share. Only updates are counted there, since over TCP nobody can
    /// write another's address.
    Shared(&'a Mutex<RateLimit>),
}

impl Limiter<'_> {
    fn update(&mut self, settings: &LimitSettings, arrival: Arrival) -> bool {
        let (peer, now_seconds) = (arrival.peer.ip(), arrival.now_seconds);
        match self {
            Limiter::Own(table) => table.update(settings, peer, now_seconds),
            Limiter::Shared(table) => {
                // A panic while counting leaves nothing half done.
                let mut table = table.lock().unwrap_or_else(PoisonError::into_inner);
                table.update(settings, peer, now_seconds)
            }
        }
    }
}

/// What was done with a message, and whether its sender has shown where it is.
struct Handled {
    dispatch: Dispatch,
    is_known: bool,
}

impl Handled {
    fn reply(is_known: bool) -> Handled {
        Handled { dispatch: Dispatch::Reply, is_known }
    }
}

/// Looks at one message; replies are appended to `buffer`. `view` may be used for many messages
/// that came together.
pub fn dispatch(
    ingress: &Ingress,
    view: &View,
    octets: &[u8],
    arrival: Arrival,
    mut limiter: Limiter<'_>,
    buffer: &mut Vec<u8>,
) -> Dispatch {
    let header = match Header::parse(octets) {
        Some(header) if !header.is_response() => header,
        _ => return Dispatch::Ignore,
    };
    let context = Context {
        transport: arrival.transport,
        peer: arrival.peer.ip(),
        now_seconds: arrival.now_seconds,
        settings: &view.settings.answer,
        expired: &view.expired,
    };
    let base = buffer.len();
    let message = Message::parse(octets).ok();
    let handled = match &message {
        Some(message) => {
            let dispatcher = Dispatcher { ingress, view, context, arrival };
            dispatcher.message(message, &mut limiter, buffer)
        }
        None => {
            malformed(header, octets, buffer);
            Handled::reply(false)
        }
    };
    match (handled, limiter) {
        (Handled { dispatch: Dispatch::Reply, is_known: false }, Limiter::Own(table)) => {
            let class = ResponseClass::of(&buffer[base..]);
            let limits = &view.settings.limits;
            match table.response(limits, arrival.peer.ip(), class, arrival.now_seconds) {
                Verdict::Send => Dispatch::Reply,
                verdict => {
                    buffer.truncate(base);
                    let message = message.filter(|_| verdict == Verdict::Slip);
                    limited(ingress, message.as_ref(), &context, buffer)
                }
            }
        }
        (handled, _) => handled.dispatch,
    }
}

/// What a source over its rate gets: nothing, or a way to go on.
#[cold]
fn limited(
    ingress: &Ingress,
    message: Option<&Message<'_>>,
    context: &Context<'_>,
    buffer: &mut Vec<u8>,
) -> Dispatch {
    match message {
        Some(message) => {
            ingress.limited.responses_slipped.fetch_add(1, Ordering::Relaxed);
            answer::limited(message, context, buffer);
            Dispatch::Reply
        }
        None => {
            ingress.limited.responses_dropped.fetch_add(1, Ordering::Relaxed);
            Dispatch::Ignore
        }
    }
}

/// FORMERR, or NOTIMP for opcodes whose messages may have any form, with nothing but the header
/// (RFC 8906 §3.1.4, §3.1.5).
fn malformed(header: Header, octets: &[u8], buffer: &mut Vec<u8>) {
    let known = matches!(header.opcode(), Opcode::QUERY | Opcode::NOTIFY | Opcode::UPDATE);
    let rcode = if known { Rcode::FORMERR } else { Rcode::NOTIMP };
    buffer.extend_from_slice(&octets[..2]);
    // QR, and opcode and RD of the request.
    buffer.push(0x80 | octets[2] & 0x79);
    buffer.push(rcode.0 as u8);
    buffer.extend_from_slice(&[0; 8]);
}

/// What is needed to handle one message.
struct Dispatcher<'a> {
    ingress: &'a Ingress,
    view: &'a View,
    context: Context<'a>,
    arrival: Arrival,
}

impl Dispatcher<'_> {
    fn message(
        &self,
        message: &Message<'_>,
        limiter: &mut Limiter<'_>,
        buffer: &mut Vec<u8>,
    ) -> Handled {
        let opcode = message.header.opcode();
        if opcode == Opcode::UPDATE && !limiter.update(&self.view.settings.limits, self.arrival) {
            self.ingress.limited.updates_refused.fetch_add(1, Ordering::Relaxed);
            let echo = Echo::new(message, &self.context, None);
            echo.write_unsigned(Rcode::REFUSED, Some("too many updates per second"), buffer);
            return Handled::reply(false);
        }
        let now_seconds = self.arrival.now_seconds;
        let signed = match tsig::verify(message, &self.view.access.keys, now_seconds) {
            Ok(signed) => signed,
            Err(error) => {
                tracing::info!(peer = %self.arrival.peer, %error, "signature refused");
                let base = buffer.len();
                let echo = Echo::new(message, &self.context, None);
                echo.write_unsigned(error.rcode(), None, buffer);
                error.finish_response(buffer, base, now_seconds);
                return Handled::reply(false);
            }
        };
        match opcode {
            Opcode::QUERY => self.query(message, signed, buffer),
            Opcode::UPDATE => {
                let is_known = signed.is_some();
                Handled { dispatch: self.update(message, signed, buffer), is_known }
            }
            Opcode::NOTIFY => {
                let is_known = signed.is_some();
                Handled { dispatch: self.notify(message, signed, buffer), is_known }
            }
            _ => {
                let is_known = signed.is_some();
                let echo = Echo::new(message, &self.context, signed);
                let rcode = echo.opt_error().unwrap_or(Rcode::NOTIMP);
                echo.write(rcode, None, now_seconds, buffer);
                Handled::reply(is_known)
            }
        }
    }

    fn query(
        &self,
        message: &Message<'_>,
        signed: Option<Signed>,
        buffer: &mut Vec<u8>,
    ) -> Handled {
        if message.header.counts[0] == 1
            && message.question.is_some_and(|question| self.is_transfer(question.rtype))
            && let Some(question) = message.question()
        {
            let is_known = signed.is_some();
            let dispatch = self.transfer(message, question, signed, buffer);
            return Handled { dispatch, is_known };
        }
        let base = buffer.len();
        let reserve_octets = signed.as_ref().map_or(0, Signed::response_octets);
        let zones = &self.view.zones;
        let answered = answer::answer(zones, message, &self.context, reserve_octets, buffer);
        if let Some(signed) = &signed {
            signed.sign_response(buffer, base, self.arrival.now_seconds);
        }
        Handled::reply(answered.has_cookie || signed.is_some())
    }

    /// IXFR by UDP is a question like others: its answer is the SOA (RFC 1995 §4).
    fn is_transfer(&self, qtype: RecordType) -> bool {
        qtype == RecordType::AXFR
            || (qtype == RecordType::IXFR && self.arrival.transport.is_stream())
    }

    fn transfer(
        &self,
        message: &Message<'_>,
        question: Question,
        signed: Option<Signed>,
        buffer: &mut Vec<u8>,
    ) -> Dispatch {
        let name = question.name.to_name();
        let zone = self.view.zones.get(&name).filter(|_| question.class == Class::IN);
        let policy = &self.view.access.policy;
        let may_transfer = |zone: &Zone| match &signed {
            // A key that does not help leaves what the address may.
            Some(signed) if policy.may_transfer(signed.key().name(), &zone.apex) => true,
            _ => zone.settings.may_transfer(self.arrival.peer.ip()),
        };
        let refusal = match zone {
            // AXFR is not defined over UDP (RFC 5936 §4.2).
            _ if self.arrival.transport == Transport::Udp => {
                Refusal::new(Rcode::FORMERR, "transfers are sent over TCP")
            }
            // Many messages are no answer to one HTTP request (RFC 8484 §4).
            _ if !self.arrival.transport.is_session() => {
                Refusal::new(Rcode::REFUSED, "transfers are sent over TCP or TLS")
            }
            None => Refusal::new(Rcode::NOTAUTH, "no such zone here"),
            Some(zone) if !may_transfer(zone) => Refusal::new(
                Rcode::REFUSED,
                "a transfer needs a key, or an address, that may transfer this zone",
            ),
            Some(zone) if zone.soa().is_none() => {
                Refusal::new(Rcode::SERVFAIL, "the zone has no content yet")
            }
            Some(zone) if self.view.expired.contains(&zone.apex) => {
                Refusal::new(Rcode::SERVFAIL, "the zone has expired: no primary could be reached")
            }
            Some(zone) => {
                let since = serial_of(message).filter(|_| question.rtype == RecordType::IXFR);
                let (zone, id) = (Arc::clone(zone), message.header.id);
                return Dispatch::Transfer(Box::new(Transfer {
                    zone,
                    since,
                    id,
                    question,
                    signed,
                }));
            }
        };
        tracing::info!(peer = %self.arrival.peer, %refusal, "transfer refused");
        let echo = Echo::new(message, &self.context, signed);
        self.refuse(&echo, &refusal, buffer)
    }

    fn update(
        &self,
        message: &Message<'_>,
        signed: Option<Signed>,
        buffer: &mut Vec<u8>,
    ) -> Dispatch {
        let (zones, access) = (&self.view.zones, &self.view.access);
        let lease = granted_lease(message);
        let lone = Came { ingress: self.ingress, arrival: self.arrival, lease };
        let request = update(lone, zones, access, message, signed.as_ref());
        let mut echo = Echo::new(message, &self.context, signed);
        echo.set_lease(lease);
        match request {
            Ok(request) if echo.opt_error().is_none() => {
                Dispatch::Submit(Box::new(request), Box::new(echo))
            }
            Ok(_) => self.refuse(&echo, &Refusal::new(Rcode::FORMERR, "malformed EDNS"), buffer),
            Err(refusal) => {
                tracing::info!(peer = %self.arrival.peer, %refusal, "update refused");
                self.refuse(&echo, &refusal, buffer)
            }
        }
    }

    fn notify(
        &self,
        message: &Message<'_>,
        signed: Option<Signed>,
        buffer: &mut Vec<u8>,
    ) -> Dispatch {
        let zones = &self.view.zones;
        let outcome = notify(self.ingress, zones, message, signed.as_ref(), self.arrival);
        let mut echo = Echo::new(message, &self.context, signed);
        match outcome {
            Ok(()) => {
                echo.set_authoritative();
                echo.write(Rcode::NOERROR, None, self.arrival.now_seconds, buffer);
                Dispatch::Reply
            }
            Err(refusal) => {
                tracing::info!(peer = %self.arrival.peer, %refusal, "notification refused");
                self.refuse(&echo, &refusal, buffer)
            }
        }
    }

    /// Answers with the refusal; with what is wrong with EDNS before that.
    fn refuse(&self, echo: &Echo, refusal: &Refusal, buffer: &mut Vec<u8>) -> Dispatch {
        let rcode = echo.opt_error().unwrap_or(refusal.rcode);
        let reason = Some(&*refusal.reason).filter(|_| echo.opt_error().is_none());
        echo.write(rcode, reason, self.arrival.now_seconds, buffer);
        Dispatch::Reply
    }
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

#[cfg(test)]
#[path = "dispatch_tests.rs"]
pub(crate) mod tests;
