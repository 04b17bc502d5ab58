//! A responder that does nothing but turn messages round, to show the generator's own ceiling.
//!
//! It never parses, checks or signs anything: whatever it reaches, no server can exceed with
//! this generator.

use crate::flight::PREFIX_OCTETS;
use crate::machine::{self, SERVER_PROCESSOR};
use crate::udp::BUFFER_OCTETS;
use rustix::net::sockopt::set_socket_recv_buffer_size;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often the threads look whether they are to end.
const STOP_CHECK: Duration = Duration::from_millis(100);
/// The octet of the header with QR, and QR itself.
const FLAGS_AT: usize = 2;
const RESPONSE_FLAG: u8 = 0x80;
/// Octets read at once.
const READ_OCTETS: usize = 64 << 10;

/// Threads that answer on one port until dropped.
pub(crate) struct Echo {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// Attempts to find a port that is free for both UDP and TCP.
const PORT_ATTEMPTS: usize = 64;

/// Sockets for both protocols on one port.
fn one_port() -> std::io::Result<(TcpListener, UdpSocket)> {
    let attempt = || {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let datagrams = UdpSocket::bind(listener.local_addr()?)?;
        Ok((listener, datagrams))
    };
    (1..PORT_ATTEMPTS).find_map(|_| attempt().ok()).map_or_else(attempt, Ok)
}

impl Echo {
    /// Starts answering on a free port.
    pub(crate) fn start() -> Result<Echo, String> {
        let start = || -> std::io::Result<Echo> {
            let (listener, datagrams) = one_port()?;
            let address = listener.local_addr()?;
            set_socket_recv_buffer_size(&datagrams, BUFFER_OCTETS)?;
            datagrams.set_read_timeout(Some(STOP_CHECK))?;
            let stop = Arc::new(AtomicBool::new(false));
            let (for_datagrams, for_streams) = (Arc::clone(&stop), Arc::clone(&stop));
            let threads = vec![
                std::thread::spawn(move || echo_datagrams(&datagrams, &for_datagrams)),
                std::thread::spawn(move || accept(&listener, &for_streams)),
            ];
            Ok(Echo { address, stop, threads })
        };
        start().map_err(|error| format!("cannot start the echo responder: {error}"))
    }

    /// Where it answers.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the thread that waits for a connection.
        drop(TcpStream::connect(self.address));
        for thread in self.threads.drain(..) {
            // A thread that panicked has printed why.
            let _ = thread.join();
        }
    }
}

fn echo_datagrams(socket: &UdpSocket, stop: &AtomicBool) {
    machine::pin_this_thread(SERVER_PROCESSOR);
    let mut buffer = [0; READ_OCTETS];
    while !stop.load(Ordering::Relaxed) {
        if let Ok((length, from)) = socket.recv_from(&mut buffer) {
            buffer[FLAGS_AT] |= RESPONSE_FLAG;
            // A full buffer loses the response, as UDP may.
            let _ = socket.send_to(&buffer[..length], from);
        }
    }
}

fn accept(listener: &TcpListener, stop: &AtomicBool) {
    machine::pin_this_thread(SERVER_PROCESSOR);
    for stream in listener.incoming() {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        if let Ok(stream) = stream {
            // It ends when the generator closes its side.
            std::thread::spawn(move || echo_stream(stream));
        }
    }
}

fn echo_stream(mut stream: TcpStream) {
    let mut buffer = [0; READ_OCTETS];
    let (mut incoming, mut outgoing) = (Vec::new(), Vec::new());
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        incoming.extend_from_slice(&buffer[..length]);
        let mut at = 0;
        while let Some((prefix, rest)) = incoming[at..].split_first_chunk::<PREFIX_OCTETS>() {
            let Some(message) = rest.get(..usize::from(u16::from_be_bytes(*prefix))) else { break };
            let end = at + PREFIX_OCTETS + message.len();
            outgoing.extend_from_slice(&incoming[at..end]);
            let flags_at = outgoing.len() - message.len() + FLAGS_AT;
            if let Some(flags) = outgoing.get_mut(flags_at) {
                *flags |= RESPONSE_FLAG;
            }
            at = end;
        }
        incoming.drain(..at);
        if stream.write_all(&outgoing).is_err() {
            return;
        }
        outgoing.clear();
    }
}
