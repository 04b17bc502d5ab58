//! The way back to whoever asked for an update.

use crate::Outbox;
use einhorn_core::model::request::Outcome;
use einhorn_serve::answer::Context;
use einhorn_wire::edns::{Edns, ExtendedError, OptReply, UDP_PAYLOAD_MIN, UpdateLease};
use einhorn_wire::message::{Header, Message, Question, Rcode};
use einhorn_wire::tsig::Signed;
use einhorn_wire::writer::Writer;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// What the response to a message repeats of it.
pub struct Echo {
    header: Header,
    authoritative: bool,
    question: Option<Question>,
    /// The OPT record to answer with, if the request had one.
    opt: Option<OptReply<'static>>,
    /// How long what an update adds stays, to be told when it is done.
    lease: Option<UpdateLease>,
    /// What is wrong with the request's OPT record.
    opt_error: Option<Rcode>,
    /// Octets that the response may have.
    limit: usize,
    /// A signed request gets a signed response.
    pub signed: Option<Signed>,
}

impl Echo {
    /// What the response to `message` repeats.
    pub fn new(message: &Message<'_>, context: &Context<'_>, signed: Option<Signed>) -> Echo {
        let parsed = Edns::of(message);
        let opt_error = match &parsed {
            Err(_) => Some(Rcode::FORMERR),
            Ok(Some(edns)) if edns.version > 0 => Some(Rcode::BADVERS),
            Ok(_) => None,
        };
        // Options that cannot be read still show that the client speaks EDNS.
        let edns = parsed.unwrap_or(Some(Edns { udp_payload: UDP_PAYLOAD_MIN, ..Edns::default() }));
        Echo {
            header: message.header,
            authoritative: false,
            question: message.question().filter(|_| message.header.counts[0] == 1),
            // Who answers is a question of queries; the reply may outlive the settings.
            opt: edns.map(|edns| context.opt(&edns).0.without_nsid()),
            lease: None,
            opt_error,
            limit: context.limit(edns.as_ref()),
            signed,
        }
    }

    /// Makes the response one with authority.
    pub fn set_authoritative(&mut self) {
        self.authoritative = true;
    }

    /// Tells the client how long what it adds stays (RFC 9664 §5).
    pub fn set_lease(&mut self, lease: Option<UpdateLease>) {
        self.lease = lease;
    }

    /// FORMERR or BADVERS, if the request's OPT record is not to be acted on.
    pub fn opt_error(&self) -> Option<Rcode> {
        self.opt_error
    }

    /// Appends a response without records to `buffer`, unsigned. The reason goes to clients that
    /// speak EDNS.
    pub fn write_unsigned(&self, rcode: Rcode, reason: Option<&str>, buffer: &mut Vec<u8>) {
        self.write_with(self.opt.as_ref(), rcode, reason, buffer);
    }

    fn write_with(
        &self,
        opt: Option<&OptReply<'_>>,
        rcode: Rcode,
        reason: Option<&str>,
        buffer: &mut Vec<u8>,
    ) {
        let code = match rcode {
            Rcode::REFUSED => ExtendedError::PROHIBITED,
            Rcode::SERVFAIL => ExtendedError::NOT_READY,
            Rcode::NOTIMP => ExtendedError::NOT_SUPPORTED,
            _ => ExtendedError::OTHER,
        };
        let text = reason.or((rcode == Rcode::NOTIMP).then_some(""));
        let error = text.map(|text| ExtendedError { code, text });
        let mut writer = Writer::new(buffer, self.header.id, self.limit);
        writer.set_response_to(&self.header);
        if self.authoritative {
            writer.set_authoritative();
        }
        if let Some(question) = &self.question {
            let echoed = writer.question(question.name.as_slice(), question.rtype, question.class);
            debug_assert!(echoed.is_ok(), "a question fits the smallest message");
        }
        writer.set_rcode(rcode);
        let reserved = self.signed.as_ref().map_or(0, Signed::response_octets);
        writer.reserve(reserved + opt.map_or(0, OptReply::octets));
        if let Some(opt) = opt {
            let mut opt = *opt;
            opt.set_octets_behind(reserved);
            let room = writer.room();
            opt.write(&mut writer, rcode, error, room);
        }
    }

    /// Appends a response without records to `buffer`, signed if the request was.
    pub fn write(
        &self,
        rcode: Rcode,
        reason: Option<&str>,
        now_seconds: u64,
        buffer: &mut Vec<u8>,
    ) {
        let base = buffer.len();
        self.write_unsigned(rcode, reason, buffer);
        self.sign(base, now_seconds, buffer);
    }

    fn sign(&self, base: usize, now_seconds: u64, buffer: &mut Vec<u8>) {
        if let Some(signed) = &self.signed {
            signed.sign_response(buffer, base, now_seconds);
        }
    }

    /// Appends the response to an update that is done, with how long what it adds stays.
    pub fn write_done(&self, now_seconds: u64, buffer: &mut Vec<u8>) {
        let base = buffer.len();
        let opt = self.opt.map(|opt| OptReply { lease: self.lease, ..opt });
        self.write_with(opt.as_ref(), Rcode::NOERROR, None, buffer);
        self.sign(base, now_seconds, buffer);
    }

    /// Appends the response that tells the outcome of an update.
    pub(crate) fn write_outcome(&self, outcome: &Outcome, now_seconds: u64, buffer: &mut Vec<u8>) {
        match outcome {
            Outcome::Done { .. } => self.write_done(now_seconds, buffer),
            Outcome::Refused { rcode, reason } => {
                self.write(*rcode, Some(reason), now_seconds, buffer)
            }
        }
    }
}

/// Whom to tell what became of a request.
pub enum Reply {
    /// A client that sent a datagram.
    Udp {
        /// The socket it came to.
        socket: Arc<UdpSocket>,
        /// Where it came from.
        peer: SocketAddr,
        /// What to repeat.
        echo: Box<Echo>,
    },
    /// A client with a connection.
    Tcp {
        /// The connection's writer.
        outgoing: tokio::sync::mpsc::Sender<crate::session::Frame>,
        /// Bounds what one connection may have under way.
        permit: OwnedSemaphorePermit,
        /// Keeps the connection from being closed as idle.
        busy: crate::connections::Busy,
        /// What to repeat.
        echo: Box<Echo>,
    },
    /// Someone in this process.
    Local(Box<dyn FnOnce(Outcome) + Send>),
}

impl Reply {
    /// Tells the outcome; datagrams wait in `outbox` until it is flushed. Never blocks: what a
    /// client does not take is lost to it, and it may ask again.
    pub fn send(self, outcome: Outcome, now_seconds: u64, outbox: &mut Outbox) {
        match self {
            Reply::Udp { socket, peer, echo } => {
                outbox.push(&socket, peer, |buffer| {
                    echo.write_outcome(&outcome, now_seconds, buffer)
                });
            }
            Reply::Tcp { outgoing, permit, busy, echo } => {
                let mut frame = vec![0, 0];
                echo.write_outcome(&outcome, now_seconds, &mut frame);
                crate::session::set_length(&mut frame);
                // The writer has room for as many replies as there are permits.
                if outgoing.try_send(frame.into()).is_err() {
                    tracing::debug!("a connection closed before its update's reply");
                }
                drop((permit, busy));
            }
            Reply::Local(tell) => tell(outcome),
        }
    }
}
