//! Starts an edge, runs it in one thread, stops it.

use crate::config::Config;
use crate::engine::Engine;
use crate::file::{QueueError, QueueFile};
use crate::leases::watch::watch;
use crate::record::Kept;
use crate::sites::Site;
use crate::sockets::{self, Shared};
use crate::status::SOCKET_FILE;
use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use tokio::net::{TcpListener, UdpSocket, UnixListener};
use tokio::sync::mpsc;
use tokio::task::LocalSet;

/// Updates that wait to be sent by connections of their own.
const LONG_WAITING_MAX: usize = 64;

/// Why an edge does not start, or ends.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The queue.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// A socket.
    #[error("cannot use {what}: {source}")]
    Socket {
        /// Which.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// The runtime.
    #[error("cannot start: {0}")]
    Runtime(io::Error),
    /// While it ran.
    #[error("{0}; this edge ends, and what it has promised is kept")]
    Failed(String),
}

fn socket(what: impl ToString) -> impl FnOnce(io::Error) -> StartError {
    let what = what.to_string();
    move |source| StartError::Socket { what, source }
}

/// An edge with its sockets open and its queue read.
pub struct Edge {
    config: Config,
    file: QueueFile,
    kept: Kept,
    datagrams: Vec<std::net::UdpSocket>,
    listeners: Vec<std::net::TcpListener>,
    /// Where it listens: as configured, with the ports that the system gave.
    pub addresses: Vec<SocketAddr>,
}

impl Edge {
    /// Reads the queue and opens what devices speak to.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn open(config: Config) -> Result<Edge, StartError> {
        let (file, kept) = QueueFile::open(&config.data)?;
        let (mut datagrams, mut listeners, mut addresses) = (Vec::new(), Vec::new(), Vec::new());
        for address in &config.listen {
            let udp = std::net::UdpSocket::bind(address).map_err(socket(address))?;
            let bound = udp.local_addr().map_err(socket(address))?;
            let tcp = std::net::TcpListener::bind(bound).map_err(socket(bound))?;
            udp.set_nonblocking(true).map_err(socket(bound))?;
            tcp.set_nonblocking(true).map_err(socket(bound))?;
            datagrams.push(udp);
            listeners.push(tcp);
            addresses.push(bound);
        }
        Ok(Edge { config, file, kept, datagrams, listeners, addresses })
    }

    /// Runs until `stop` is done.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn run(self, stop: impl Future<Output = ()>) -> Result<(), StartError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(StartError::Runtime)?;
        LocalSet::new().block_on(&runtime, async move {
            let engine = self.spawn().await?;
            tokio::select! {
                () = stop => Ok(()),
                failure = timers(engine) => Err(StartError::Failed(failure)),
            }
        })
    }

    async fn spawn(self) -> Result<Shared, StartError> {
        let mut sites = Vec::with_capacity(self.config.sites.len());
        for site in &self.config.sites {
            sites.push(Site::open(site).await.map_err(socket(site.address))?);
        }
        let operators = operators(&self.config.data)?;
        let leases = self.config.leases.clone();
        let to_sites: Vec<_> = sites.iter().map(|site| Rc::clone(&site.socket)).collect();
        let (long, long_updates) = mpsc::channel(LONG_WAITING_MAX);
        let engine = Engine::new(self.config, self.file, self.kept, sites, long);
        let engine: Shared = Rc::new(RefCell::new(engine));
        let spawn = tokio::task::spawn_local::<std::pin::Pin<Box<dyn Future<Output = ()>>>>;
        for (number, socket) in to_sites.into_iter().enumerate() {
            spawn(Box::pin(sockets::site(Rc::clone(&engine), number, socket)));
        }
        for datagrams in self.datagrams {
            let datagrams = UdpSocket::from_std(datagrams).map_err(StartError::Runtime)?;
            spawn(Box::pin(sockets::datagrams(Rc::clone(&engine), Rc::new(datagrams))));
        }
        for listener in self.listeners {
            let listener = TcpListener::from_std(listener).map_err(StartError::Runtime)?;
            spawn(Box::pin(sockets::connections(Rc::clone(&engine), listener)));
        }
        spawn(Box::pin(sockets::long_updates(Rc::clone(&engine), long_updates)));
        spawn(Box::pin(sockets::status(Rc::clone(&engine), operators)));
        spawn(Box::pin(syncs(Rc::clone(&engine))));
        for leases in leases {
            spawn(Box::pin(watch(Rc::clone(&engine), leases)));
        }
        Ok(engine)
    }
}

fn operators(data: &Path) -> Result<UnixListener, StartError> {
    let path = data.join(SOCKET_FILE);
    // One that was left behind: the lock on the folder says that nobody listens there.
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(socket(path.display())(error));
        }
        _ => {}
    }
    UnixListener::bind(&path).map_err(socket(path.display()))
}

/// Does what time brings until something fails.
async fn timers(engine: Shared) -> String {
    let wake = Rc::clone(&engine.borrow().wake);
    loop {
        engine.borrow_mut().tick();
        if let Some(failure) = engine.borrow_mut().failure.take() {
            return failure;
        }
        let idle = engine.borrow_mut().idle();
        // Whether it is time or something came up: look again.
        let _ = tokio::time::timeout(idle, wake.notified()).await;
    }
}

/// Puts what was promised on the disk, all that waits with one sync.
async fn syncs(engine: Shared) {
    let sync = Rc::clone(&engine.borrow().sync);
    loop {
        sync.notified().await;
        let (promises, file) = {
            let mut engine = engine.borrow_mut();
            (std::mem::take(&mut engine.to_sync), engine.file.handle())
        };
        let synced = tokio::task::spawn_blocking(move || file.sync_data()).await;
        let mut engine = engine.borrow_mut();
        match synced {
            Ok(Ok(())) => engine.synced(&promises),
            Ok(Err(error)) => engine.fail(&error),
            Err(error) => engine.fail(&io::Error::other(error)),
        }
    }
}
