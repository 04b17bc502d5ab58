//! Starting and stopping a node.

use crate::config::Config;
use crate::files::{self, FolderError, LEDGER_FOLDER};
use crate::keeper::{self, Changes, Keeper};
use crate::operate::Operator;
use crate::pump::{Appender, Pump, SNAPSHOT_ENTRIES_MIN};
use crate::recover::{self, Folder, LogError};
use crate::sealing::{Sealing, SealingError};
use crate::witnessing::{self, Asked};
use crate::zones::{self, ZoneRefused};
use arc_swap::ArcSwap;
use einhorn_core::agent::Rules;
use einhorn_core::commit::Commit;
use einhorn_core::ledger::note::SignerKey;
use einhorn_core::ledger::tile;
use einhorn_core::model::{Origin, Publication, State, Step, snapshot};
use einhorn_ingress::control::{self, ControlError};
use einhorn_ingress::rate_limit::LimitCounters;
use einhorn_ingress::reply::Reply;
use einhorn_ingress::{
    Ingress, ListenError, NOTIFICATIONS_WAITING_MAX, SUBMISSIONS_WAITING_MAX, cookie_secret, http,
    now_ms, tcp, udp,
};
use einhorn_serve::publish::Published;
use einhorn_store::engine::{Engine, EngineError, SqliteEngine};

use einhorn_store::ledger::{Files, OsFiles, SealError, Sealer};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, JoinHandle};

/// Sites have numbers; the first is 1.
const FIRST_SITE: u16 = 1;

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
    /// Threads or the runtime.
    #[error("cannot start: {0}")]
    System(#[from] io::Error),
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
    /// Entries in the log at the start.
    pub entries: u64,
    operator: Arc<Operator>,
    stop: Arc<AtomicBool>,
    sockets: Vec<JoinHandle<()>>,
    committing: JoinHandle<()>,
    sealing: Option<JoinHandle<()>>,
    runtime: tokio::runtime::Runtime,
}

/// Everything that the disk gave.
pub(crate) struct Opened {
    pub(crate) signer: SignerKey,
    pub(crate) state: State,
    pub(crate) engine: Option<Box<dyn Engine>>,
    pub(crate) sealer: Option<Sealer>,
    pub(crate) ledger: Arc<dyn Files>,
    pub(crate) read_only: Option<String>,
    pub(crate) snapshot_index: u64,
    /// What the end of the log says of how the zones became what they are.
    pub(crate) steps: Vec<Step>,
}

impl Node {
    /// Starts a node: when this returns it serves.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(config: &Config) -> Result<Node, StartError> {
        files::prepare(&config.data)?;
        // Addresses first: the most likely thing to be wrong, and nothing has been changed yet.
        let sockets = Sockets::bind(config)?;
        let mut opened = open(config)?;
        let verifier_key = opened.signer.verifier().to_string();
        let entries = opened.state.next_index;
        let read_only = opened.read_only.clone();

        let (submit, submissions) = crossbeam_channel::bounded(SUBMISSIONS_WAITING_MAX);
        let (notified, notifications) = tokio::sync::mpsc::channel(NOTIFICATIONS_WAITING_MAX);
        let mut audit_secret = [0; 32];
        files::random(&mut audit_secret)?;
        let ingress = Arc::new(Ingress {
            zones: Published::default(),
            access: ArcSwap::from_pointee(config.access()),
            settings: ArcSwap::from_pointee(config.settings(cookie_secret(&audit_secret))),
            limited: LimitCounters::default(),
            crowd: Arc::default(),
            submissions: submit,
            notified,
            site: FIRST_SITE,
            audit_secret,
        });
        ingress.zones.publish(Publication {
            zones: opened.state.zones.clone(),
            steps: std::mem::take(&mut opened.steps),
        });
        let reader = opened.engine.as_ref().map(|engine| engine.reader()).transpose()?;
        let (changes, changed) = keeper::channel();
        let (keeper, questions) = keeper::questions();
        let operator = Arc::new(Operator {
            ingress: Arc::clone(&ingress),
            keeper,
            reader: Mutex::new(reader),
            config_path: config.path.clone(),
            removed_folder: config.data.join("removed"),
        });

        let stop = Arc::new(AtomicBool::new(false));
        let ledger = Arc::clone(&opened.ledger);
        let (committing, sealing) =
            start_writers(config, opened, &ingress, submissions, changes, &stop)?;
        if read_only.is_none() {
            zones::apply(config, &ingress)?;
        }
        let sealing = sealing.map(|sealing| start_sealing(config, sealing)).transpose()?;
        control::serve(&config.data, Arc::clone(&operator) as _)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.spawn(Keeper::new(Arc::clone(&ingress)).run(changed, notifications, questions));
        let (dns, http) = (sockets.dns(), sockets.http_address()?);
        let sockets = sockets.serve(config, &ingress, ledger, &runtime, &stop)?;
        Ok(Node {
            dns,
            http,
            verifier_key,
            read_only,
            entries,
            operator,
            stop,
            sockets,
            committing,
            sealing,
            runtime,
        })
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
        self.stop.store(true, Ordering::Relaxed);
        let join = |name: &str, thread: JoinHandle<()>| {
            if thread.join().is_err() {
                tracing::error!(thread = name, "a thread had panicked");
            }
        };
        self.sockets.into_iter().for_each(|thread| join("udp", thread));
        join("commit", self.committing);
        self.sealing.into_iter().for_each(|thread| join("ledger", thread));
        self.runtime.shutdown_background();
    }
}

/// Sockets that are bound but not yet served.
struct Sockets {
    tcp: Vec<std::net::TcpListener>,
    udp: Vec<Arc<std::net::UdpSocket>>,
    addresses: Vec<SocketAddr>,
    http: Option<std::net::TcpListener>,
}

impl Sockets {
    fn bind(config: &Config) -> Result<Sockets, StartError> {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let mut sockets =
            Sockets { tcp: Vec::new(), udp: Vec::new(), addresses: Vec::new(), http: None };
        for address in &config.listen {
            // TCP chooses the port where the configuration leaves it open, UDP follows.
            let listener = tcp::bind(*address)?;
            let address = listener.local_addr()?;
            sockets.udp.extend(udp::bind(address, threads)?);
            sockets.tcp.push(listener);
            sockets.addresses.push(address);
        }
        sockets.http = config.http.map(http::bind).transpose()?;
        Ok(sockets)
    }

    fn dns(&self) -> Vec<SocketAddr> {
        self.addresses.clone()
    }

    fn http_address(&self) -> io::Result<Option<SocketAddr>> {
        self.http.as_ref().map(std::net::TcpListener::local_addr).transpose()
    }

    fn serve(
        self,
        config: &Config,
        ingress: &Arc<Ingress>,
        ledger: Arc<dyn Files>,
        runtime: &tokio::runtime::Runtime,
        stop: &Arc<AtomicBool>,
    ) -> Result<Vec<JoinHandle<()>>, StartError> {
        let _inside = runtime.enter();
        for listener in self.tcp {
            runtime.spawn(tcp::serve(
                Arc::clone(ingress),
                tokio::net::TcpListener::from_std(listener)?,
            ));
        }
        if let Some(listener) = self.http {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let site = config.site.clone();
            let read: http::ReadLedger = Arc::new(move |path: &str| {
                // Only the log's own paths: everything else in the folder is not for the public.
                let public = path == "cosignatures" || tile::Path::parse(path.as_bytes()).is_ok();
                if public { ledger.read(path) } else { Ok(None) }
            });
            let witness = witnessing::witness(config)?.map(witnessing::answers);
            runtime.spawn(async move {
                if let Err(error) = http::serve(listener, &site, read, witness).await {
                    tracing::error!(%error, "HTTP ended");
                }
            });
        }
        let shares = self.udp.len() / self.addresses.len().max(1);
        self.udp
            .into_iter()
            .map(|socket| udp::serve(Arc::clone(ingress), socket, shares, Arc::clone(stop)))
            .collect::<io::Result<_>>()
            .map_err(StartError::System)
    }
}

/// Opens the log and its ledger in the configured folder.
fn open(config: &Config) -> Result<Opened, StartError> {
    let folder = config.data.join(LEDGER_FOLDER);
    let ledger = Arc::new(OsFiles::open(&folder).map_err(StartError::System)?);
    open_from(SqliteEngine::open(&config.data), ledger, &folder, |is_new| {
        files::signer(&config.data, &config.ledger_name, is_new)
    })
}

/// Opens the log and its ledger, wherever they lie; `folder` is the ledger's, for people. What is
/// damaged makes the node read-only, as long as there is something to serve; what is another's,
/// newer or misnamed is an error.
pub(crate) fn open_from(
    engine: Result<SqliteEngine, EngineError>,
    ledger: Arc<dyn Files>,
    folder: &Path,
    signer: impl FnOnce(bool) -> Result<SignerKey, FolderError>,
) -> Result<Opened, StartError> {
    let ledger_error = |source| StartError::Ledger { folder: folder.display().to_string(), source };
    let mut problems: Vec<String> = Vec::new();
    let engine = match engine {
        Ok(engine) => Some(engine),
        Err(error @ EngineError::Corrupt { .. }) => {
            problems.push(error.to_string());
            None
        }
        Err(error) => return Err(error.into()),
    };
    let is_new = engine.as_ref().is_some_and(|engine| engine.next_index() == 0);
    let signer = signer(is_new)?;
    let (mut fold, folded, outcome) = match &engine {
        Some(engine) => recover::from_engine(&mut *engine.reader()?),
        None => (Folder::new(State::empty()), 0, Ok(())),
    };
    problems.extend(outcome.err().map(|error| error.to_string()));

    let sealer = match Sealer::open(Arc::clone(&ledger), signer.clone()) {
        Ok(sealer) => Some(sealer),
        Err(error @ SealError::Io { .. }) => return Err(ledger_error(error)),
        Err(error) => {
            problems.push(ledger_error(error).to_string());
            None
        }
    };
    let signed = sealer.as_ref().map_or(0, Sealer::signed_size);
    if let Some(engine) = &engine
        && engine.next_index() < signed
    {
        problems.push(LogError::Short { entries: engine.next_index(), signed }.to_string());
    }
    if !problems.is_empty() {
        fold = recover::from_ledger(&*ledger, signer.verifier(), fold);
    }
    let mut engine = engine.map(|engine| Box::new(engine) as Box<dyn Engine>);
    let mut snapshot_index = fold.state.next_index - folded.min(fold.state.next_index);
    if folded >= 100 * SNAPSHOT_ENTRIES_MIN
        && problems.is_empty()
        && let Some(engine) = &mut engine
    {
        // A long fold is not to be repeated by the next start, should this one end in a crash.
        engine.save_snapshot(fold.state.next_index, &snapshot::encode(&fold.state))?;
        snapshot_index = fold.state.next_index;
    }
    let read_only = (!problems.is_empty()).then(|| problems.join("; "));
    let steps = match (&engine, &read_only) {
        (Some(engine), None) => recover::last_steps(&mut *engine.reader()?)?,
        _ => Vec::new(),
    };
    let state = fold.state;
    Ok(Opened { signer, state, engine, sealer, ledger, read_only, snapshot_index, steps })
}

type Writers = (JoinHandle<()>, Option<Sealing>);

/// Starts the commit, with the ledger behind it caught up and ready to be started.
fn start_writers(
    config: &Config,
    opened: Opened,
    ingress: &Arc<Ingress>,
    submissions: crossbeam_channel::Receiver<einhorn_ingress::Submission>,
    changes: Changes,
    stop: &Arc<AtomicBool>,
) -> Result<Writers, StartError> {
    let (appended, wake) = crossbeam_channel::bounded(1);
    let sealing_failed = Arc::new(OnceLock::new());
    let mut sealing = None;
    if let (None, Some(mut sealer), Some(engine)) =
        (&opened.read_only, opened.sealer, &opened.engine)
    {
        let failed = Arc::clone(&sealing_failed);
        let asked = Asked::start(config, Arc::clone(&opened.ledger), &mut sealer)?;
        let (reader, appended) = (engine.reader()?, wake);
        let mut ledger = Sealing { sealer, reader, appended, failed, again: false, asked };
        // What was durable but not yet sealed when the last run ended.
        seal(config, &mut ledger)?;
        sealing = Some(ledger);
    }
    let agent = Box::new(Rules);
    let is_new = opened.state.next_index == 0;
    let mut commit: Commit<Reply> = match opened.read_only {
        None => Commit::new(opened.state, agent),
        Some(reason) => Commit::read_only(opened.state, agent, reason),
    };
    if is_new && commit.failure().is_none() {
        commit.begin_log(
            now_ms(),
            Origin { site: FIRST_SITE, generation: 1 },
            config.ledger_name.clone(),
        );
    }
    let pump = Pump {
        commit,
        submissions,
        published: ingress.zones.clone(),
        changes,
        appender: opened.engine.map(|engine| Appender::start(engine, appended)).transpose()?,
        sealing_failed,
        stop: Arc::clone(stop),
        snapshot_index: opened.snapshot_index,
        crowd: Arc::clone(&ingress.crowd),
        opened: None,
    };
    Ok((thread::Builder::new().name("commit".to_owned()).spawn(move || pump.run())?, sealing))
}

fn seal(config: &Config, ledger: &mut Sealing) -> Result<(), StartError> {
    ledger.seal().map_err(|error| match error {
        SealingError::Engine(error) => StartError::Engine(error),
        SealingError::Seal { source } => StartError::Ledger {
            folder: config.data.join(LEDGER_FOLDER).display().to_string(),
            source,
        },
    })
}

/// Seals what the start itself has written, so that a ready node has a ledger to verify, and
/// starts the ledger's thread.
fn start_sealing(config: &Config, mut ledger: Sealing) -> Result<JoinHandle<()>, StartError> {
    seal(config, &mut ledger)?;
    Ok(thread::Builder::new().name("ledger".to_owned()).spawn(move || ledger.run())?)
}
