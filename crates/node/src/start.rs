//! Starting and stopping a node.

use crate::config::Config;
use crate::copies::CopyFiles;
use crate::files::{self, FolderError, LEDGER_FOLDER};
use crate::keeper::{self, Changes, Keeper};
use crate::ledgers::Ledgers;
use crate::links::{LinkSide, LinkStart};
use crate::maps::Maps;
use crate::operate::Operator;
use crate::pump::{Appender, Inquiry, Joining, Pump, SNAPSHOT_ENTRIES_MIN};
use crate::recover::{self, Folded, Folder, LogError, log_id, log_name};
use crate::sealing::{self, Sealing, SealingError, Task};
use crate::sites::{self, Sites};
use crate::witnessing::{self, Asked};
use crate::zones::{self, ZoneRefused};
use arc_swap::ArcSwap;
use einhorn_core::agent::Rules;
use einhorn_core::commit::{Begin, Commit, CopyStart, Setup};
use einhorn_core::ledger::note::SignerKey;
use einhorn_core::ledger::{Frontier, leaf_hash};
use einhorn_core::model::entry::Previous;
use einhorn_core::model::{Origin, Position, Publication, State, Step, snapshot};
use einhorn_ingress::control::{self, ControlError};
use einhorn_ingress::rate_limit::LimitCounters;
use einhorn_ingress::reply::Reply;
use einhorn_ingress::{
    Ingress, ListenError, NOTIFICATIONS_WAITING_MAX, SUBMISSIONS_WAITING_MAX, cookie_secret, http,
    tcp, udp,
};
use einhorn_serve::publish::Published;
use einhorn_store::engine::{Engine, EngineError, EngineReader, SqliteEngine};
use einhorn_store::ledger::{Files, OsFiles, SealError, Sealer};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, JoinHandle};

/// Sites have numbers; the first is 1.
pub(crate) const FIRST_SITE: u16 = 1;
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
    rebuild: Arc<OnceLock<String>>,
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
    pub(crate) snapshot_entries: u64,
    /// What the end of the log says of how the zones became what they are.
    pub(crate) steps: Vec<Step>,
    /// The half entry at the end of each log, if any.
    folders: BTreeMap<Origin, Folder>,
    /// The log to begin, with its origin, if this site's is at its end or there is none.
    pub(crate) begin: Option<(Origin, Begin)>,
}

impl Node {
    /// Starts a node: when this returns it serves.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(config: &Config) -> Result<Node, StartError> {
        files::prepare(&config.data)?;
        // Addresses first: the most likely thing to be wrong, and nothing has been changed yet.
        let mut sockets = Sockets::bind(config)?;
        let sites = Sites::load(config)?;
        let mut opened = open(config, sites.as_ref())?;
        let verifier_key = opened.signer.verifier().to_string();
        let entries = opened.state.next_index();
        let read_only = opened.read_only.clone();

        let (submit, submissions) = crossbeam_channel::bounded(SUBMISSIONS_WAITING_MAX);
        let (notified, notifications) = tokio::sync::mpsc::channel(NOTIFICATIONS_WAITING_MAX);
        let mut audit_secret = [0; 32];
        files::random(&mut audit_secret)?;
        let site = opened.begin.as_ref().map_or(opened.state.origin, |(origin, _)| *origin).site;
        let ingress = Arc::new(Ingress {
            zones: Published::default(),
            access: ArcSwap::from_pointee(config.access()),
            settings: ArcSwap::from_pointee(config.settings(cookie_secret(&audit_secret))),
            limited: LimitCounters::default(),
            crowd: Arc::default(),
            submissions: submit,
            notified,
            site: AtomicU16::new(site),
            audit_secret,
        });
        ingress.zones.publish(Publication {
            zones: opened.state.zones.clone(),
            steps: std::mem::take(&mut opened.steps),
        });
        let reader = opened.engine.as_ref().map(|engine| engine.reader()).transpose()?;
        let maps_reader = opened.engine.as_ref().map(|engine| engine.reader()).transpose()?;
        let (changes, changed) = keeper::channel();
        let (keeper, questions) = keeper::questions();
        let (inquire, inquiries) = crossbeam_channel::bounded(INQUIRIES_WAITING_MAX);
        let rebuild = Arc::new(OnceLock::new());
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let registry = Arc::clone(&opened.state.registry);
        let links = match (&sites, sockets.link.take(), &opened.engine) {
            (Some(sites), Some(listener), Some(engine)) => {
                let start = LinkStart {
                    identity: &sites.identity,
                    listener,
                    seed: u64::from_be_bytes(
                        ingress.seed("links")[..8].try_into().unwrap_or_default(),
                    ),
                    join: sites.join.as_ref(),
                    reader: engine.reader()?,
                };
                Some(LinkSide::start(start, &registry, runtime.handle())?)
            }
            _ => None,
        };
        let stop = Arc::new(AtomicBool::new(false));
        let operator = Arc::new(Operator {
            ingress: Arc::clone(&ingress),
            keeper,
            reader: Mutex::new(reader),
            config_path: config.path.clone(),
            removed_folder: config.data.join("removed"),
            data: config.data.clone(),
            site: config.site.clone(),
            stop: Arc::clone(&stop),
            inquiries: inquire,
            rebuild: Arc::clone(&rebuild),
            links: links.as_ref().map(LinkSide::links),
        });

        let ledger = Arc::clone(&opened.ledger);
        let inlets = Inlets { submissions, inquiries, links, changes };
        let sites_ref = sites.as_ref();
        let (committing, sealing) =
            start_writers(config, sites_ref, opened, &ingress, inlets, &rebuild, &stop)?;
        let sealing = sealing.map(|sealing| start_sealing(config, sealing)).transpose()?;
        if let (None, Some(reader)) = (&read_only, maps_reader) {
            Maps::start(Arc::clone(&operator), reader, config.map_interval)?;
        }
        if read_only.is_none() {
            match sites {
                // What the others decide on may take until they can be reached.
                Some(sites) if sites.join.is_some() || registry.sites.len() > 1 => {
                    sites.keep_known(Arc::clone(&operator), config.clone());
                }
                sites => {
                    if let Some(sites) = sites {
                        sites.found(&operator)?;
                    }
                    zones::apply(config, &ingress)?;
                }
            }
        }
        control::serve(&config.data, Arc::clone(&operator) as _)?;
        runtime.spawn(Keeper::new(Arc::clone(&ingress)).run(changed, notifications, questions));
        let (dns, http) = (sockets.dns(), sockets.http_address()?);
        let ledgers = Ledgers {
            site: config.site.clone(),
            own: ledger,
            data: config.data.clone(),
            operator: Arc::clone(&operator),
            known: Mutex::default(),
        };
        let sockets = sockets.serve(config, &ingress, ledgers, &runtime, &stop)?;
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
            rebuild,
            runtime,
        })
    }

    /// Why the node must be stopped and started again, so that everything is folded anew; `None`
    /// while it need not.
    pub fn must_restart(&self) -> Option<&str> {
        self.rebuild.get().map(String::as_str)
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
    /// For other sites.
    link: Option<std::net::TcpListener>,
}

impl Sockets {
    fn bind(config: &Config) -> Result<Sockets, StartError> {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let mut sockets = Sockets {
            tcp: Vec::new(),
            udp: Vec::new(),
            addresses: Vec::new(),
            http: None,
            link: None,
        };
        for address in &config.listen {
            // TCP chooses the port where the configuration leaves it open, UDP follows.
            let listener = tcp::bind(*address)?;
            let address = listener.local_addr()?;
            sockets.udp.extend(udp::bind(address, threads)?);
            sockets.tcp.push(listener);
            sockets.addresses.push(address);
        }
        sockets.http = config.http.map(http::bind).transpose()?;
        let link = config.link.as_ref().map(|link| link.listen);
        sockets.link = link.map(einhorn_ingress::bind_link).transpose()?;
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
        ledgers: Ledgers,
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
            let read: http::ReadLedger = Arc::new(move |site, path| ledgers.read(site, path));
            let witness = witnessing::witness(config)?.map(witnessing::answers);
            runtime.spawn(async move {
                if let Err(error) = http::serve(listener, read, witness).await {
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
fn open(config: &Config, sites: Option<&Sites>) -> Result<Opened, StartError> {
    let place = Place {
        ledger_name: &config.ledger_name,
        joins: sites.is_some_and(|sites| sites.join.is_some()),
        files: &|generation| {
            let folder = files::ledger_folder(&config.data, generation);
            std::fs::create_dir_all(&folder)?;
            Ok(Arc::new(OsFiles::open(&folder)?) as Arc<dyn Files>)
        },
        folder: &|generation| files::ledger_folder(&config.data, generation),
        signer: &|generation, is_new| {
            let name = log_name(&config.ledger_name, generation);
            files::signer(&config.data, generation, &name, is_new)
        },
    };
    open_from(SqliteEngine::open(&config.data), &place)
}

/// Opens a ledger's files, by the log's generation.
type OpenFiles<'a> = dyn Fn(u16) -> io::Result<Arc<dyn Files>> + 'a;

/// Where a site's logs lie.
pub(crate) struct Place<'a> {
    /// The name of its first log.
    pub(crate) ledger_name: &'a str,
    /// Whether other sites give it its number.
    pub(crate) joins: bool,
    /// The ledger's files of each generation.
    pub(crate) files: &'a OpenFiles<'a>,
    /// Their folder, for people.
    pub(crate) folder: &'a dyn Fn(u16) -> PathBuf,
    /// The key of each generation; true if its log is new.
    pub(crate) signer: &'a dyn Fn(u16, bool) -> Result<SignerKey, FolderError>,
}

/// Opens the log and its ledger, wherever they lie. What is damaged makes the node read-only, as
/// long as there is something to serve; what is another's, newer or misnamed is an error.
pub(crate) fn open_from(
    engine: Result<SqliteEngine, EngineError>,
    place: &Place<'_>,
) -> Result<Opened, StartError> {
    let mut problems: Vec<String> = Vec::new();
    let engine = match engine {
        Ok(engine) => Some(engine),
        Err(error @ EngineError::Corrupt { .. }) => {
            problems.push(error.to_string());
            None
        }
        Err(error) => return Err(error.into()),
    };
    let own = match &engine {
        Some(engine) => recover::own_logs(&mut *engine.reader()?, place.ledger_name),
        None => Ok(Vec::new()),
    };
    let own = own.unwrap_or_else(|error| {
        problems.push(error.to_string());
        Vec::new()
    });
    let own = own.last().copied().unwrap_or(Origin::NONE);
    let (folded, outcome) = match &engine {
        Some(engine) => recover::from_engine(&mut *engine.reader()?, own),
        None => (Folded::nothing(own), Ok(())),
    };
    problems.extend(outcome.err().map(|error| error.to_string()));
    let Folded { mut state, entries: folded, folders } = folded;

    // A log that another one went on for is at its end, and so is one whose key was renewed: this
    // site begins its next one.
    let is_closed = state.log(own).is_some_and(|log| log.closed.is_some());
    let next = Origin { generation: own.generation + 1, ..own };
    let is_closed = is_closed || own != Origin::NONE && state.registry.log_key(next).is_some();
    let generation = own.generation.max(1) + u16::from(is_closed);
    let is_new = (own == Origin::NONE || is_closed) && engine.is_some() && problems.is_empty();
    let signer = (place.signer)(generation, is_new)?;
    let folder = (place.folder)(generation).display().to_string();
    let ledger_error = |source| StartError::Ledger { folder: folder.clone(), source };
    let ledger = (place.files)(generation).map_err(StartError::System)?;
    let sealer = match Sealer::open(Arc::clone(&ledger), signer.clone()) {
        Ok(sealer) => Some(sealer),
        Err(error @ SealError::Io { .. }) => return Err(ledger_error(error)),
        Err(error) => {
            problems.push(ledger_error(error).to_string());
            None
        }
    };
    let signed = sealer.as_ref().map_or(0, Sealer::signed_size);
    if let Some(engine) = &engine {
        let entries = if is_closed { 0 } else { engine.next_index(log_id(own)) };
        if entries < signed {
            problems.push(LogError::Short { entries, signed }.to_string());
        }
    }
    if !problems.is_empty() {
        state = recover::from_ledger(&*ledger, signer.verifier(), state);
    }
    let mut engine = engine.map(|engine| Box::new(engine) as Box<dyn Engine>);
    let mut snapshot_entries = state.entries() - folded.min(state.entries());
    if folded >= 100 * SNAPSHOT_ENTRIES_MIN
        && problems.is_empty()
        && let Some(engine) = &mut engine
    {
        // A long fold is not to be repeated by the next start, should this one end in a crash.
        engine.save_snapshot(state.entries(), &snapshot::encode(&state))?;
        snapshot_entries = state.entries();
    }
    let read_only = (!problems.is_empty()).then(|| problems.join("; "));
    let steps = match (&engine, &read_only) {
        (Some(engine), None) => recover::last_steps(&mut *engine.reader()?, log_id(own))?,
        _ => Vec::new(),
    };
    let begin = match (&engine, &read_only) {
        (Some(engine), None) if is_new => begin(&mut *engine.reader()?, &state, place, generation)?,
        _ => None,
    };
    Ok(Opened {
        signer,
        state,
        engine,
        sealer,
        ledger,
        read_only,
        snapshot_entries,
        steps,
        folders,
        begin,
    })
}

/// The log that this site is to begin; none while it has no number.
fn begin(
    reader: &mut dyn EngineReader,
    state: &State,
    place: &Place<'_>,
    generation: u16,
) -> Result<Option<(Origin, Begin)>, StartError> {
    let own = state.origin;
    let name = log_name(place.ledger_name, generation);
    if own == Origin::NONE {
        let origin = Origin { site: FIRST_SITE, generation: 1 };
        let first = Begin { name, previous: None, leftovers: Vec::new() };
        return Ok((!place.joins).then_some((origin, first)));
    }
    let end = state.log(own).and_then(|log| log.closed).map_or(u64::MAX, |closed| closed.end);
    let mut tree = Frontier::new();
    let mut leftovers = Vec::new();
    recover::read_entries(reader, log_id(own), 0, &mut |index, octets| {
        if index < end {
            tree.push(leaf_hash(octets), |_, _| {});
        } else {
            leftovers.push((Position { origin: own, index }, octets.to_vec()));
        }
        Ok(())
    })?;
    let root = tree.root().0;
    let previous = Some(Previous { origin: own, entries: tree.size(), root });
    let origin = Origin { site: own.site, generation };
    Ok(Some((origin, Begin { name, previous, leftovers })))
}

type Writers = (JoinHandle<()>, Option<Sealing>);

/// What comes to the commit's thread.
struct Inlets {
    submissions: crossbeam_channel::Receiver<einhorn_ingress::Submission>,
    inquiries: crossbeam_channel::Receiver<Inquiry>,
    links: Option<LinkSide>,
    changes: Changes,
}

/// Starts the commit, with the ledger behind it caught up and ready to be started.
fn start_writers(
    config: &Config,
    sites: Option<&Sites>,
    opened: Opened,
    ingress: &Arc<Ingress>,
    inlets: Inlets,
    rebuild: &Arc<OnceLock<String>>,
    stop: &Arc<AtomicBool>,
) -> Result<Writers, StartError> {
    let (wakes, woken) = sealing::wakes();
    let (tasks, for_ledger) = crossbeam_channel::unbounded();
    let (tell_sealed, sealed) = crossbeam_channel::unbounded();
    let sealing_failed = Arc::new(OnceLock::new());
    let mut sealing = None;
    let mut copies = CopyFiles::new(&config.data);
    let registry = Arc::clone(&opened.state.registry);
    copies.trust(Arc::clone(&registry), sealing::mirror_keys(&registry));
    let mut setup = Setup {
        mirror: sites.map(|sites| sites.mirror.clone()),
        must_prove: registry.sites.len() > 1,
        take_over: (opened.begin.as_ref())
            .and_then(|(_, begin)| begin.previous)
            .map(|previous| previous.origin)
            .filter(|origin| opened.state.log(*origin).is_some_and(|log| log.closed.is_none())),
        ..Setup::default()
    };
    let has_log = opened.begin.is_none() && opened.state.origin != Origin::NONE;
    if let (None, Some(sealer), Some(engine)) = (&opened.read_only, opened.sealer, &opened.engine) {
        let mut reader = engine.reader()?;
        let appended = if has_log { opened.state.origin } else { Origin::NONE };
        setup.copies = copy_starts(&mut *reader, appended, opened.folders, &mut copies)?;
        let origin = opened.begin.as_ref().map_or(opened.state.origin, |(origin, _)| *origin);
        let asked = Asked::start(config, Arc::clone(&opened.ledger), &sealer)?;
        let mut ledger = Sealing {
            origin,
            asked,
            sealer,
            reader,
            woken,
            tasks: for_ledger,
            sealed: tell_sealed,
            failed: Arc::clone(&sealing_failed),
            again: false,
            copies,
            cosignatures: BTreeMap::new(),
        };
        ledger.take(Task::Sites(Arc::clone(&registry)));
        if has_log {
            // What was durable but not yet sealed when the last run ended.
            seal(config, &mut ledger)?;
        }
        setup.checkpoint = ledger.sealer.signed().cloned();
        setup.cosigned = sites::cosigned(&registry, origin, &ledger.sealer.cosigned());
        sealing = Some(ledger);
    }
    let agent = Box::new(Rules);
    let joining =
        (opened.state.origin == Origin::NONE && opened.begin.is_none()).then(|| Joining {
            site: config.site.clone(),
            log: config.ledger_name.clone(),
            key: opened.signer.verifier().to_string(),
        });
    let mut state = opened.state;
    if let Some((origin, begin)) = opened.begin {
        state.origin = origin;
        setup.begin = Some(begin);
    }
    let commit: Commit<Reply> = match opened.read_only {
        None => Commit::with_sites(state, agent, setup),
        Some(reason) => Commit::read_only(state, agent, reason),
    };
    let pump = Pump {
        commit,
        ingress: Arc::clone(ingress),
        submissions: inlets.submissions,
        inquiries: inlets.inquiries,
        links: inlets.links,
        tasks,
        sealed,
        joining,
        rebuild: Arc::clone(rebuild),
        published: ingress.zones.clone(),
        changes: inlets.changes,
        appender: opened.engine.map(|engine| Appender::start(engine, wakes)).transpose()?,
        sealing_failed,
        stop: Arc::clone(stop),
        snapshot_entries: opened.snapshot_entries,
        crowd: Arc::clone(&ingress.crowd),
        opened: None,
    };
    Ok((thread::Builder::new().name("commit".to_owned()).spawn(move || pump.run())?, sealing))
}

/// What the commit needs to go on with each copy.
fn copy_starts(
    reader: &mut dyn EngineReader,
    own: Origin,
    folders: BTreeMap<Origin, Folder>,
    files: &mut CopyFiles,
) -> Result<BTreeMap<Origin, CopyStart>, StartError> {
    let mut starts = BTreeMap::new();
    for (origin, folder) in folders {
        if origin == own {
            continue;
        }
        let next = reader.next_index(log_id(origin))?;
        let mirror = files.mirror(origin);
        // Files may be ahead of an engine that was put back; then the engine counts.
        let frontier = mirror.map(|mirror| mirror.frontier().clone());
        let frontier = frontier.filter(|tree| tree.size() <= next).unwrap_or_else(Frontier::new);
        let mut leaves = VecDeque::new();
        recover::read_entries(reader, log_id(origin), frontier.size(), &mut |_, octets| {
            leaves.push_back(leaf_hash(octets));
            Ok(())
        })?;
        let cosigned = frontier.size();
        let Folder { assembler, parts, .. } = folder;
        starts.insert(origin, CopyStart { assembler, parts, next, frontier, leaves, cosigned });
    }
    Ok(starts)
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
