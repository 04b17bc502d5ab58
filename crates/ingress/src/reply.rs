//! The way back to whoever asked for an update.

use crate::Outbox;
use einhorn_core::model::request::Outcome;
use einhorn_serve::answer::Transport;
use einhorn_wire::edns::{self, Edns, ExtendedError, OPT_OCTETS};
use einhorn_wire::message::{Message, Opcode, Question, Rcode};
use einhorn_wire::tsig::Signed;
use einhorn_wire::writer::Writer;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// What the response to a message repeats of it.
pub struct Echo {
    id: u16,
    opcode: Opcode,
    recursion_desired: bool,
    authoritative: bool,
    question: Option<Question>,
    edns: Option<Edns>,
    transport: Transport,
    /// A signed request gets a signed response.
    pub signed: Option<Signed>,
}

impl Echo {
    /// What the response to `message` repeats.
    pub fn new(message: &Message<'_>, transport: Transport, signed: Option<Signed>) -> Echo {
        Echo {
            id: message.header.id,
            opcode: message.header.opcode(),
            recursion_desired: message.header.recursion_desired(),
            authoritative: false,
            question: message.question().filter(|_| message.header.counts[0] == 1),
            edns: Edns::of(message),
            transport,
            signed,
        }
    }

    /// Makes the response one with authority.
    pub fn set_authoritative(&mut self) {
        self.authoritative = true;
    }

    /// Appends a response without records to `buffer`, unsigned. The reason goes to clients that
    /// speak EDNS.
    pub fn write_unsigned(&self, rcode: Rcode, reason: Option<&str>, buffer: &mut Vec<u8>) {
        let error = reason.map(|reason| {
            let code = match rcode {
                Rcode::REFUSED => ExtendedError::PROHIBITED,
                Rcode::SERVFAIL => ExtendedError::NOT_READY,
                _ => ExtendedError::OTHER,
            };
            ExtendedError { code, text: reason.to_owned() }
        });
        let reserved = self.signed.as_ref().map_or(0, Signed::response_octets);
        let mut writer = Writer::new(buffer, self.id, self.transport.limit(self.edns));
        writer.reserve(reserved);
        writer.set_response(self.opcode, self.recursion_desired);
        if self.authoritative {
            writer.set_authoritative();
        }
        if let Some(question) = &self.question {
            let echoed = writer.question(question.name.as_slice(), question.rtype, question.class);
            debug_assert!(echoed.is_ok(), "a question fits the smallest message");
        }
        writer.set_rcode(rcode);
        if let Some(edns) = self.edns {
            // Where the text does not fit, the code alone does.
            let fits = |error: &&ExtendedError| {
                writer.len() + OPT_OCTETS + error.octets() + reserved <= 512
            };
            let error = error.as_ref().filter(fits);
            let written = edns::write(&mut writer, edns, rcode, error);
            debug_assert!(written.is_ok(), "an OPT record fits the smallest message");
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
        if let Some(signed) = &self.signed {
            signed.sign_response(buffer, base, now_seconds);
        }
    }

    fn write_outcome(&self, outcome: &Outcome, now_seconds: u64, buffer: &mut Vec<u8>) {
        match outcome {
            Outcome::Done { .. } => self.write(Rcode::NOERROR, None, now_seconds, buffer),
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
        outgoing: tokio::sync::mpsc::Sender<Vec<u8>>,
        /// Bounds what one connection may have under way.
        permit: OwnedSemaphorePermit,
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
            Reply::Tcp { outgoing, permit, echo } => {
                let mut frame = vec![0, 0];
                echo.write_outcome(&outcome, now_seconds, &mut frame);
                crate::tcp::set_length(&mut frame);
                // The writer has room for as many replies as there are permits.
                if outgoing.try_send(frame).is_err() {
                    tracing::debug!("a connection closed before its update's reply");
                }
                drop(permit);
            }
            Reply::Local(tell) => tell(outcome),
        }
    }
}
