//! The control socket: how an operator's command reaches a running node.
//!
//! A Unix socket in the data folder, so that the folder's permissions say who may. One line of
//! JSON in, one line out, then close.

mod bridge;
mod devices;
mod reviews;
mod sites;

pub use bridge::{BridgeCall, BridgeRefusal, BridgeReply};
pub use devices::{DeviceCommand, DeviceLine};
pub use reviews::{LegacyLine, ReviewCommand, ReviewLine, ReviewName};
pub use sites::{
    AgentLine, HostnameLine, KnobsLine, LagLine, SiteCommand, SiteKey, SiteLine, SiteStatus,
    ZoneHomes,
};

use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// The socket's name in the data folder.
pub const SOCKET_FILE: &str = "control.sock";
/// Octets of the longest command.
const COMMAND_OCTETS_MAX: u64 = 1 << 20;
/// How long a client may take to say what it wants.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(5);

/// What an operator can ask.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum Command {
    /// Reads keys, policy, answers and limits again.
    Reload,
    /// Shows or does a rollback.
    Rollback {
        /// Apex.
        zone: String,
        /// To the publication of this serial, or …
        serial: Option<u32>,
        /// … to this time, in milliseconds since 1970.
        time_ms: Option<u64>,
        /// Only this name.
        name: Option<String>,
        /// Only show what it would do.
        dry_run: bool,
    },
    /// The audit data beside an entry.
    Audit {
        /// The entry's index.
        index: u64,
    },
    /// A zone as a zone file.
    ExportZone {
        /// Apex.
        zone: String,
    },
    /// Serves a new zone.
    AddZone {
        /// Apex.
        zone: String,
        /// Zone file with its content.
        file: Option<PathBuf>,
        /// How it is kept.
        settings: ZoneSettings,
    },
    /// Serves a zone no longer.
    RemoveZone {
        /// Apex.
        zone: String,
    },
    /// Takes a zone file into a zone: all of it if the zone is new, else what differs.
    ImportZone {
        /// Apex.
        zone: String,
        /// The zone file.
        file: PathBuf,
        /// Whether names that devices wrote last are replaced too.
        overwrite: bool,
        /// Only show what it would do.
        dry_run: bool,
    },
    /// Reads the configured file of a zone again, or of all zones.
    ReloadZone {
        /// Apex; none for all zones.
        zone: Option<String>,
        /// Whether names that devices wrote last are replaced too.
        overwrite: bool,
        /// Only show what it would do.
        dry_run: bool,
    },
    /// What zones there are.
    ListZones,
    /// Asks the primary of a followed zone now.
    RefreshZone {
        /// Apex.
        zone: String,
    },
    /// Tells a zone's servers of its serial now.
    NotifyZone {
        /// Apex.
        zone: String,
    },
    /// Changes which sites there are.
    Site(SiteCommand),
    /// How this site sees itself and the others.
    Status,
    /// Looks at the review queue, or decides.
    Review(ReviewCommand),
    /// Lets leases end that are held since so many end at once.
    EndLeases,
    /// Looks at a device, or thaws its record.
    Device(DeviceCommand),
}

/// How a zone is kept, as operators write it.
#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case", default)]
pub struct ZoneSettings {
    /// Servers that it is followed from: `ADDRESS[:PORT] [key NAME]`.
    pub primaries: Vec<String>,
    /// Servers told of each new serial.
    pub notify: Vec<String>,
    /// Ranges of addresses that may transfer it without a key.
    pub transfer_to: Vec<String>,
    /// Catalog of this server that lists it.
    pub catalog: Option<String>,
    /// `producer` or `consumer`, for a zone that is a catalog.
    pub catalog_role: Option<String>,
    /// `local`, `majority` or `all`: how far a change must have come before it is acknowledged;
    /// `local` if it is left out.
    pub ack: Option<String>,
    /// `off` or `auto`: whether PTR records change with addresses; `off` if it is left out.
    pub reverse: Option<String>,
    /// `latest` or `review`: what becomes of a change of a name that another key changed within the
    /// hour; `latest` if it is left out.
    pub contested: Option<String>,
    /// How long changes of a flapping name may be held to be joined, in milliseconds.
    pub coalesce_ms: Option<u16>,
}

/// A zone, for people and programs.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub struct ZoneLine {
    /// Apex.
    pub zone: String,
    /// Serial; none for a zone without content.
    pub serial: Option<u32>,
    /// Names with records.
    pub names: usize,
    /// How it is kept.
    pub settings: ZoneSettings,
    /// The catalog that brought it here.
    pub member_of: Option<String>,
    /// How following it goes, for a followed zone.
    pub following: Option<FollowLine>,
    /// What is wrong with it, if anything.
    pub problem: Option<String>,
}

/// How following a zone goes.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub struct FollowLine {
    /// `fresh`, `beginning`, `retrying` or `expired`.
    pub state: String,
    /// For how long it has been retrying or expired.
    pub since_seconds: Option<u64>,
    /// The primary that is asked now, or next.
    pub primary: String,
    /// Until it is asked next; none while it is being asked.
    pub next_poll_seconds: Option<u64>,
    /// Why the last attempt failed.
    pub problem: Option<String>,
}

/// What comes back.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Answer {
    /// It was done; lines for people.
    Done {
        /// What was done.
        text: String,
        /// Index of the ledger entry, if there is one.
        index: Option<u64>,
    },
    /// Zones, in canonical order.
    Zones {
        /// The zones.
        zones: Vec<ZoneLine>,
    },
    /// Changes that wait for a person.
    Reviews {
        /// The oldest of each log first.
        reviews: Vec<ReviewLine>,
    },
    /// How a site sees itself and the others.
    Status {
        /// All of it.
        status: Box<SiteStatus>,
    },
    /// What has been seen of a device.
    Device {
        /// All of it.
        device: DeviceLine,
    },
    /// It was not.
    Failed {
        /// Why, and what to do.
        reason: String,
    },
}

/// Answers commands.
pub trait Control: Send + Sync {
    /// Does what is asked; may take its time.
    fn command(&self, command: Command) -> Answer;

    /// Does what the legacy bridge asks about a source; may take its time.
    ///
    /// # Errors
    /// [`BridgeRefusal`].
    fn bridge(&self, source: &str, call: BridgeCall) -> Result<BridgeReply, BridgeRefusal>;
}

/// A control socket that could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the control socket {}: {source}", path.display())]
pub struct ControlError {
    /// The socket's path.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// Serves the control socket in `folder` on threads of its own. The caller holds the folder's
/// lock, so that a socket left there is a dead one.
///
/// # Errors
/// [`ControlError`].
pub fn serve(folder: &Path, control: Arc<dyn Control>) -> Result<(), ControlError> {
    let path = folder.join(SOCKET_FILE);
    let error = |source| ControlError { path: path.clone(), source };
    match std::fs::remove_file(&path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(error(source)),
        _ => {}
    }
    let listener = in_folder(folder, |socket| UnixListener::bind(socket)).map_err(error)?;
    let accept = move || {
        for stream in listener.incoming().flatten() {
            let control = Arc::clone(&control);
            let served = thread::Builder::new().name("control".to_owned()).spawn(move || {
                if let Err(error) = answer(stream, &*control) {
                    tracing::debug!(%error, "control connection");
                }
            });
            if let Err(error) = served {
                tracing::warn!(%error, "cannot serve a control connection");
            }
        }
    };
    thread::Builder::new().name("control".to_owned()).spawn(accept).map_err(error)?;
    Ok(())
}

/// Uses the socket in `folder` by a short path: the address of a Unix socket has room for some
/// hundred octets, and folders lie deeper than that.
fn in_folder<T>(folder: &Path, use_socket: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let open = File::open(folder)?;
    use_socket(&PathBuf::from(format!("/proc/self/fd/{}/{SOCKET_FILE}", open.as_raw_fd())))
}

fn answer(stream: UnixStream, control: &dyn Control) -> io::Result<()> {
    stream.set_read_timeout(Some(COMMAND_TIMEOUT))?;
    let mut line = String::new();
    BufReader::new((&stream).take(COMMAND_OCTETS_MAX)).read_line(&mut line)?;
    let answer = match serde_json::from_str(&line) {
        Ok(command) => control.command(command),
        Err(error) => Answer::Failed { reason: format!("not a command: {error}") },
    };
    let mut text = serde_json::to_string(&answer)?;
    text.push('\n');
    (&stream).write_all(text.as_bytes())
}

/// Asks the node that runs on `folder`.
///
/// # Errors
/// [`io::Error`] when no node answers there.
pub fn ask(folder: &Path, command: &Command) -> io::Result<Answer> {
    let mut stream = in_folder(folder, |socket| UnixStream::connect(socket))?;
    let mut line = serde_json::to_string(command)?;
    line.push('\n');
    stream.write_all(line.as_bytes())?;
    let mut text = String::new();
    BufReader::new(stream).read_line(&mut text)?;
    Ok(serde_json::from_str(&text)?)
}
