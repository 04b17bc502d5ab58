//! Starting and stopping a node.

mod open;
mod sockets;
mod writers;

#[cfg(test)]
pub(crate) use open::{Opened, Place, open_from};

#[cfg(feature = "etcd")]
use crate::cluster::{Around, NodesError, Running, Standing, Won};
use crate::config::Config;
#[cfg(feature = "etcd")]
use crate::config::EtcdConfig;
use crate::devices::DeviceKeeper;
use crate::encrypted::in_force;
use crate::files::{self, FolderError};
use crate::keeper::{self, Keeper};
use crate::ledgers::Ledgers;
use crate::links::{LinkSide, LinkStart};
use crate::maps::Maps;
use crate::operate::Operator;
use crate::place;
use crate::recover::LogError;
use crate::sites::{self, Sites};
use crate::zones::{self, ZoneRefused};
use arc_swap::ArcSwap;
use einhorn_core::model::{Publication, Registry};
use einhorn_ingress::control::{self, ControlError};
use einhorn_ingress::rate_limit::LimitCounters;
use einhorn_ingress::{
    Ingress, ListenError, NOTIFICATIONS_WAITING_MAX, Notified, SUBMISSIONS_WAITING_MAX, Submission,
    cookie_secret,
};
use einhorn_serve::publish::Published;
use einhorn_store::engine::EngineError;
use einhorn_store::engine::EngineReader;
use einhorn_store::ledger::SealError;
use open::open;
#[cfg(feature = "etcd")]
use open::open_in_etcd;
use sockets::Sockets;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;
use writers::{Inlets, start_sealing, start_writers};

/// Sites have numbers; the first is 1.
pub(crate) const FIRST_SITE: u16 = 1;
/// How long a stop waits for transfers to slow clients.
const STOP_PATIENCE: Duration = Duration::from_secs(2);
/// Questions of operators that may wait for the commit.
const INQUIRIES_WAITING_MAX: usize = 64;

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The engine refuses the folder.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The log and its ledger.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The ledger's files.
    #[error("the ledger in {folder}: {source}")]
    Ledger {
        /// The folder.
        folder: String,
        /// What is wrong.
        source: SealError,
    },
    /// An address.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The control socket.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// A configured zone.
    #[error(transparent)]
    Zone(#[from] ZoneRefused),
    /// The links to other sites.
    #[error(transparent)]
    Links(#[from] einhorn_links::LinksError),
    /// What makes this site one of several.
    #[error(transparent)]
    Sites(#[from] sites::SitesError),
    /// The nodes of this site.
    #[cfg(feature = "etcd")]
    #[error(transparent)]
    Nodes(Box<NodesError>),
    /// Threads or the runtime.
    #[error("cannot start: {0}")]
    System(#[from] io::Error),
}

#[cfg(feature = "etcd")]
impl From<NodesError> for StartError {
    fn from(error: NodesError) -> StartError {
        StartError::Nodes(Box::new(error))
    }
}

/// What goes from one start of a node to its next.
#[derive(Default)]
struct Kept {
    sockets: Option<Sockets>,
    /// Leadership that makes use of another start.
    #[cfg(feature = "etcd")]
    won: Won,
}

/// A running node.
pub struct Node {
    /// Addresses for DNS, as bound.
    pub dns: Vec<SocketAddr>,
    /// Address for HTTP, as bound.
    pub http: Option<SocketAddr>,
    /// The log's public key, for auditors.
    pub verifier_key: String,
    /// Why the node acknowledges nothing, if so.
    pub read_only: Option<String>,
    /// Which node of the site leads, if it is another one; changes are sent there.
    pub follows: Option<String>,
    /// Entries in the log at the start.
    pub entries: u64,
    operator: Arc<Operator>,
    stop: Arc<AtomicBool>,
    sockets: Vec<JoinHandle<()>>,
    kept_sockets: Option<Sockets>,
    committing: Option<JoinHandle<()>>,
    sealing: Option<JoinHandle<()>>,
    rebuild: Arc<OnceLock<String>>,
    #[cfg(feature = "etcd")]
    cluster: Option<Running>,
    /// What is asked of this node, for whoever takes it.
    #[cfg(feature = "etcd")]
    submissions: crossbeam_channel::Receiver<Submission>,
    runtime: tokio::runtime::Runtime,
}

impl Node {
    /// Starts a node: when this returns it serves.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(config: &Config) -> Result<Node, StartError> {
        Node::start_with(config, Kept::default())
    }

    /// Stops, and starts again from what is on disk. The sockets stay open, and what comes meanwhile
    /// waits there.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn restart(self, config: &Config) -> Result<Node, StartError> {
        Node::start_with(config, self.end())
    }

    fn start_with(config: &Config, kept: Kept) -> Result<Node, StartError> {
        files::prepare(&config.data)?;
        place::check(&config.data, config.etcd.as_ref())?;
        // Addresses first: the most likely thing to be wrong, and nothing has been changed yet.
        let sockets = kept.sockets.map_or_else(|| Sockets::bind(config), Ok)?;
        let sites = Sites::load(config)?;
        #[cfg(feature = "etcd")]
        if let Some(etcd) = &config.etcd {
            return Node::start_in_etcd(config, etcd, sockets, sites, kept.won);
        }
        let opened = open(config, sites.as_ref())?;
        Node::start_opened(config, sockets, sites, opened)
    }

    #[cfg(feature = "etcd")]
    fn start_in_etcd(
        config: &Config,
        etcd: &EtcdConfig,
        sockets: Sockets,
        sites: Option<Sites>,
        won: Won,
    ) -> Result<Node, StartError> {
        let listener = einhorn_ingress::bind_link(etcd.listen)?;
        let mut standing = Standing::take(etcd, won)?;
        let mut opened = open_in_etcd(config, sites.as_ref(), &mut standing.role)?;
        let sealer = if opened.follows { opened.sealer.take() } else { None };
        let signer = opened.signer.clone();
        let own = opened.begin.as_ref().map_or(opened.state.origin, |(origin, _)| *origin);
        standing.agree_on_key(&signer, own.generation, &config.data)?;
        place::note(&config.data, etcd)?;
        let mut node = Node::start_opened(config, sockets, sites, opened)?;
        node.follows = standing.follows()?;
        let around = Around {
            signer,
            sealer,
            own,
            listener,
            ingress: &node.operator.ingress,
            submissions: node.submissions.clone(),
            rebuild: &node.rebuild,
            stop: &node.stop,
            runtime: node.runtime.handle(),
        };
        node.cluster = Some(standing.start(around)?);
        Ok(node)
    }

    fn start_opened(
        config: &Config,
        mut sockets: Sockets,
        sites: Option<Sites>,
        mut opened: open::Opened,
    ) -> Result<Node, StartError> {
        let (read_only, entries) = (opened.read_only.clone(), opened.state.next_index());
        let (follows, verifier_key) = (opened.follows, opened.signer.verifier().to_string());
        let (submit, submissions) = crossbeam_channel::bounded(SUBMISSIONS_WAITING_MAX);
        let (notified, notifications) = tokio::sync::mpsc::channel(NOTIFICATIONS_WAITING_MAX);
        let ingress = ingress(config, &mut opened, (submit, notified))?;
        let reader = || opened.engine.as_ref().map(|engine| engine.reader()).transpose();
        let (reader, maps_reader) = (reader()?.or(opened.reader.take()), reader()?);
        let ((changes, changed), (keeper, questions)) = (keeper::channel(), keeper::questions());
        let (inquire, inquiries) = crossbeam_channel::bounded(INQUIRIES_WAITING_MAX);
        let (rebuild, stop) = (Arc::new(OnceLock::new()), Arc::new(AtomicBool::new(false)));
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let (registry, ledger) = (Arc::clone(&opened.state.registry), Arc::clone(&opened.ledger));
        let kept_sockets = Some(sockets.keep()?);
        let listener = sockets.link.take();
        let links = links(sites.as_ref(), listener, &opened, &ingress, runtime.handle())?;
        let devices = Arc::new(DeviceKeeper::open(&ingress, config)?);
        let encrypted = sockets.encrypted(config, Arc::clone(&devices) as _)?;
        // What is said of them, now that they are known.
        let settings = in_force(config, encrypted.as_ref(), ingress.cookie_secret());
        ingress.settings.store(Arc::new(settings));
        let operator = Arc::new(Operator {
            hostname: sockets.hostname(config)?,
            encrypted,
            stop: Arc::clone(&stop),
            rebuild: Arc::clone(&rebuild),
            links: links.as_ref().map(LinkSide::links),
            ..Operator::new(config, (&ingress, Arc::clone(&devices)), (keeper, inquire), reader)
        });
        // What a follower is asked goes to the node that leads.
        let taken = if follows { crossbeam_channel::never() } else { submissions.clone() };
        let inlets = Inlets { submissions: taken, inquiries, links, changes };
        let (committing, sealing) =
            start_writers(config, sites.as_ref(), opened, &ingress, inlets, &rebuild, &stop)?;
        if read_only.is_none() {
            apply(config, sites, maps_reader, &registry, &operator)?;
        }
        // What the start itself wrote is sealed before anybody is told that the node is ready.
        let sealing = sealing.map(|sealing| start_sealing(config, sealing)).transpose()?;
        control::serve(&config.data, Arc::clone(&operator) as _)?;
        runtime.spawn(Keeper::new(Arc::clone(&ingress)).run(changed, notifications, questions));
        let (dns, http) = (sockets.dns(), sockets.http_address()?);
        let ledgers = Ledgers::new(ledger, Arc::clone(&operator));
        let sockets = sockets.serve(config, &operator, ledgers, &runtime, &stop)?;
        Ok(Node {
            dns,
            http,
            verifier_key,
            read_only: read_only.filter(|_| !follows),
            follows: None,
            entries,
            operator,
            stop,
            sockets,
            kept_sockets,
            committing: Some(committing),
            sealing,
            rebuild,
            #[cfg(feature = "etcd")]
            cluster: None,
            #[cfg(feature = "etcd")]
            submissions,
            runtime,
        })
    }

    /// Why the node must be stopped and started again, so that everything is folded anew; `None`
    /// while it need not.
    pub fn must_restart(&self) -> Option<&str> {
        self.rebuild.get().map(String::as_str)
    }

    /// Addresses for DNS over TLS, as bound.
    pub fn dot(&self) -> &[SocketAddr] {
        self.operator.encrypted.as_ref().map_or(&[], |encrypted| &encrypted.dot)
    }

    /// Addresses for DNS over HTTPS, as bound.
    pub fn doh(&self) -> &[SocketAddr] {
        self.operator.encrypted.as_ref().map_or(&[], |encrypted| &encrypted.doh)
    }

    /// Address of the hostname server, as bound.
    pub fn hostname(&self) -> Option<SocketAddr> {
        self.operator.hostname.as_ref().map(|server| server.listen)
    }

    /// Reads keys, grants, answers and limits again; the answer is for people.
    ///
    /// # Errors
    /// What is wrong, as text; the old ones stay in force.
    pub fn reload(&self) -> Result<(), String> {
        self.operator.reload().map(drop)
    }

    /// Entries that are durable now.
    ///
    /// # Errors
    /// What the engine says.
    pub fn durable_entries(&self) -> Result<u64, String> {
        self.operator.durable_entries()
    }

    /// Stops: no new requests, everything taken is answered, sealed and on disk.
    pub fn stop(self) {
        let kept = self.end();
        #[cfg(feature = "etcd")]
        kept.won.iter().for_each(|won| won.resign());
        drop(kept);
    }

    /// Stops, and returns what the next start goes on with.
    fn end(mut self) -> Kept {
        #[cfg(feature = "etcd")]
        let cluster = self.cluster.take();
        self.end_writers();
        let kept = Kept {
            sockets: self.kept_sockets.take(),
            #[cfg(feature = "etcd")]
            won: cluster.and_then(Running::stop),
        };
        // Its listeners must be gone before another start in this process.
        self.runtime.shutdown_timeout(STOP_PATIENCE);
        kept
    }

    /// Ends everything that takes requests or writes.
    fn end_writers(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let join = |name: &str, thread: JoinHandle<()>| {
            if thread.join().is_err() {
                tracing::error!(thread = name, "a thread had panicked");
            }
        };
        self.sockets.drain(..).for_each(|thread| join("udp", thread));
        self.committing.take().into_iter().for_each(|thread| join("commit", thread));
        self.sealing.take().into_iter().for_each(|thread| join("ledger", thread));
    }
}

/// What every socket needs, with the zones to answer from.
fn ingress(
    config: &Config,
    opened: &mut open::Opened,
    (submissions, notified): (
        crossbeam_channel::Sender<Submission>,
        tokio::sync::mpsc::Sender<Notified>,
    ),
) -> io::Result<Arc<Ingress>> {
    let mut audit_secret = [0; 32];
    files::random(&mut audit_secret)?;
    let site = opened.begin.as_ref().map_or(opened.state.origin, |(origin, _)| *origin).site;
    let zones = Published::default();
    zones.publish(Publication {
        zones: opened.state.zones.clone(),
        steps: std::mem::take(&mut opened.steps),
    });
    Ok(Arc::new(Ingress {
        zones,
        access: ArcSwap::from_pointee(config.access()),
        settings: ArcSwap::from_pointee(in_force(config, None, cookie_secret(&audit_secret))),
        limited: LimitCounters::default(),
        crowd: Arc::default(),
        hostname_answers: AtomicU64::new(0),
        submissions,
        notified,
        site: AtomicU16::new(site),
        audit_secret,
    }))
}

/// The connections to other sites; none for a site that is alone or cannot read its log.
fn links(
    sites: Option<&Sites>,
    listener: Option<std::net::TcpListener>,
    opened: &open::Opened,
    ingress: &Ingress,
    runtime: &tokio::runtime::Handle,
) -> Result<Option<LinkSide>, StartError> {
    let (Some(sites), Some(listener), Some(engine)) = (sites, listener, &opened.engine) else {
        return Ok(None);
    };
    let seed = u128::from_be_bytes(ingress.seed("links")) as u64;
    let (identity, join, reader) = (&sites.identity, sites.join.as_ref(), engine.reader()?);
    let start = LinkStart { identity, listener, seed, join, reader };
    Ok(Some(LinkSide::start(start, &opened.state.registry, runtime)?))
}

/// Makes the zones, and what the others know of this site, as the configuration says.
fn apply(
    config: &Config,
    sites: Option<Sites>,
    maps_reader: Option<Box<dyn EngineReader>>,
    registry: &Registry,
    operator: &Arc<Operator>,
) -> Result<(), StartError> {
    if let Some(reader) = maps_reader {
        Maps::start(Arc::clone(operator), reader, config.map_interval)?;
    }
    match sites {
        // What the others decide on may take until they can be reached.
        Some(sites) if sites.join.is_some() || registry.sites.len() > 1 => {
            sites.keep_known(Arc::clone(operator), config.clone());
            return Ok(());
        }
        Some(sites) => sites.found(operator)?,
        None => {}
    }
    zones::apply(config, &operator.ingress)?;
    Ok(())
}
