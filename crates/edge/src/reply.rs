//! The way back to a device.

use crate::desk::Now;
use einhorn_ingress::reply::Echo;
use einhorn_wire::message::{Header, Rcode};
use std::net::SocketAddr;
use std::rc::Rc;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

/// Whom to tell.
pub(crate) enum Reply {
    Udp { socket: Rc<UdpSocket>, peer: SocketAddr, echo: Box<Echo> },
    Tcp { outgoing: mpsc::Sender<Vec<u8>>, echo: Box<Echo> },
}

/// Where a message came from and how answers go back.
pub(crate) enum From {
    Udp(Rc<UdpSocket>),
    Tcp(mpsc::Sender<Vec<u8>>),
}

impl From {
    pub(crate) fn reply(self, peer: SocketAddr, echo: Echo) -> Reply {
        let echo = Box::new(echo);
        match self {
            From::Udp(socket) => Reply::Udp { socket, peer, echo },
            From::Tcp(outgoing) => Reply::Tcp { outgoing, echo },
        }
    }

    pub(crate) fn send(self, peer: SocketAddr, octets: Vec<u8>) {
        match self {
            From::Udp(socket) => drop(socket.try_send_to(&octets, peer)),
            From::Tcp(outgoing) => drop(outgoing.try_send(octets)),
        }
    }
}

/// Tells a device.
pub(crate) fn answer(now: Now, reply: Reply, rcode: Rcode, reason: Option<String>) {
    let now_seconds = now.wall_ms / 1_000;
    let write = |echo: &Echo| {
        let mut octets = Vec::new();
        match rcode {
            Rcode::NOERROR => echo.write_done(now_seconds, &mut octets),
            rcode => echo.write(rcode, reason.as_deref(), now_seconds, &mut octets),
        }
        octets
    };
    // What a client does not take is lost to it, and it may ask again.
    match reply {
        Reply::Udp { socket, peer, echo } => drop(socket.try_send_to(&write(&echo), peer)),
        Reply::Tcp { outgoing, echo } => drop(outgoing.try_send(write(&echo))),
    }
}

/// FORMERR with nothing but the header.
pub(crate) fn malformed(header: Header) -> Vec<u8> {
    let flags = 0x8000 | header.flags & 0x7900 | Rcode::FORMERR.0;
    let mut octets = header.id.to_be_bytes().to_vec();
    octets.extend_from_slice(&flags.to_be_bytes());
    octets.extend_from_slice(&[0; 8]);
    octets
}
