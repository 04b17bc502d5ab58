//! DNS over UDP: plain threads, one socket each on the same port.

use crate::datagrams::{Inbox, Sending};
use crate::dispatch::{Arrival, Dispatch, Limiter, dispatch};
use crate::rate_limit::RateLimit;
use crate::reply::Reply;
use crate::{Ingress, ListenError, Submission, View, now_ms};
use einhorn_serve::answer::Transport;
use einhorn_wire::message::Rcode;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// A burst of 4,096 updates of half a kilobyte must fit, with the kernel's own book-keeping of
/// up to two kilobytes for each.
const RECEIVE_BUFFER_OCTETS: usize = 16 << 20;
/// How long a thread sleeps in the kernel before it looks whether to stop.
const STOP_LATENCY: Duration = Duration::from_millis(100);

/// Opens `count` sockets that share `address`. The kernel lets a second server of the same user
/// share it too, so the TCP listener, which nobody shares, must be opened first.
///
/// # Errors
/// [`ListenError`].
pub fn bind(address: SocketAddr, count: usize) -> Result<Vec<Arc<UdpSocket>>, ListenError> {
    let error = |source| ListenError::new("UDP", address, source);
    (0..count).map(|_| open(address).map(Arc::new).map_err(error)).collect()
}

fn open(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_port(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Root may pass the system's limit; anyone else gets as much as that allows.
    if rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, RECEIVE_BUFFER_OCTETS)
        .is_err()
    {
        socket.set_recv_buffer_size(RECEIVE_BUFFER_OCTETS)?;
    }
    socket.bind(&address.into())?;
    let socket = UdpSocket::from(socket);
    socket.set_read_timeout(Some(STOP_LATENCY))?;
    Ok(socket)
}

/// Serves `socket`, one of `shares` on its address, on a thread of its own until `stop`.
///
/// # Errors
/// When the thread cannot be started.
pub fn serve(
    ingress: Arc<Ingress>,
    socket: Arc<UdpSocket>,
    shares: usize,
    stop: Arc<AtomicBool>,
) -> io::Result<thread::JoinHandle<()>> {
    thread::Builder::new().name("udp".to_owned()).spawn(move || {
        let mut inbox = Inbox::new();
        let mut replies = Sending::new();
        let mut limits = RateLimit::new(ingress.seed("rates"), shares);
        while !stop.load(Ordering::Relaxed) {
            // Timeouts, and ICMP errors of earlier replies.
            if inbox.receive(&socket).is_err() {
                continue;
            }
            // Taken after the datagrams, so that whoever was told of a change sees it.
            let view = ingress.view();
            let now_ms = now_ms();
            let now_seconds = now_ms / 1000;
            ingress.crowd.note(inbox.len(), now_ms);
            for (octets, peer) in inbox.iter() {
                let arrival = Arrival { peer, transport: Transport::Udp, now_seconds };
                // A panic is a bug, which one datagram may find but not use to end the service.
                // All that the handler shares is swapped as a whole, so nothing is left half
                // done.
                let handled = catch_unwind(AssertUnwindSafe(|| {
                    replies.push(peer, |reply| {
                        handle(&ingress, &view, &socket, octets, arrival, &mut limits, reply);
                    });
                }));
                if handled.is_err() {
                    tracing::error!(%peer, "a datagram made its handler panic; it was dropped");
                    replies.discard_unfinished();
                }
            }
            drop(view);
            replies.flush(&socket);
        }
    })
}

fn handle(
    ingress: &Ingress,
    view: &View,
    socket: &Arc<UdpSocket>,
    octets: &[u8],
    arrival: Arrival,
    limits: &mut RateLimit,
    reply: &mut Vec<u8>,
) {
    let Arrival { peer, now_seconds, .. } = arrival;
    match dispatch(ingress, view, octets, arrival, Limiter::Own(limits), reply) {
        Dispatch::Ignore | Dispatch::Reply | Dispatch::Transfer(_) => {}
        Dispatch::Submit(request, echo) => {
            let back = Reply::Udp { socket: Arc::clone(socket), peer, echo };
            let submission = Submission { request: *request, reply: back };
            if let Err(rejected) = ingress.submissions.try_send(submission)
                && let Reply::Udp { echo, .. } = rejected.into_inner().reply
            {
                echo.write(
                    Rcode::SERVFAIL,
                    Some("too many updates are waiting"),
                    now_seconds,
                    reply,
                );
            }
        }
    }
}
