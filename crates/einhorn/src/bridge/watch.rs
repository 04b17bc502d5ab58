//! `einhorn bridge watch`: applies the files of a source as they appear, or a server's zone as it changes.
//!
//! A file is read when nobody has changed it for a while and nobody has it open for writing, or when it was
//! renamed into place, which happens at once; and what was read counts only if it did not change
//! meanwhile. Who has it open is seen in `/proc`, and of other users' processes by what the kernel tells:
//! what was written to and not closed since is still open. The kernel's messages say when to look; a
//! regular look finds what they miss. Nothing is remembered but in the ledger: who is killed looks again.

use super::apply::text;
use super::node::HttpNode;
use super::source::{Octets, Which, source};
use super::transfer::{Server, follow_zone};
use crate::{Failure, Outcome, print};
use einhorn_bridge::live::apply::{Node, Problem, Source, apply};
use einhorn_bridge::merge::PlanError;
use einhorn_node::config::{DeclaredInput, SourceConfig};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashSet};
use std::fs::{File, Metadata};
use std::io::Read;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often to look for files without having heard of any, in milliseconds.
const RESCAN_MS: u64 = 10_000;
/// Octets of the kernel's messages that are taken at once.
const EVENTS_OCTETS: usize = 4_096;

/// How long what is told of files is collected before it is looked at.
const TOGETHER: Duration = Duration::from_millis(20);
/// For how long nothing must have been written to a file that is not known to be closed, until it counts
/// as closed.
const WRITER_SILENCE_MAX: Duration = Duration::from_secs(3_600);

/// Arguments of `einhorn bridge watch`.
#[derive(clap::Args)]
pub(crate) struct WatchArguments {
    #[command(flatten)]
    which: Which,
    /// For how long a file must not have changed before it is read, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 2_000)]
    settle_ms: u64,
    /// How often to look without having heard of anything, in milliseconds: 10000 for files; for the zone
    /// of a server, what its SOA says.
    #[arg(long, value_name = "MS")]
    rescan_ms: Option<u64>,
}

/// What tells one content of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    octets: u64,
    changed_ns: i128,
}

impl Stamp {
    fn of(metadata: &Metadata) -> Stamp {
        Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            octets: metadata.len(),
            changed_ns: i128::from(metadata.mtime()) * 1_000_000_000
                + i128::from(metadata.mtime_nsec()),
        }
    }
}

/// A file as it was seen.
struct Seen {
    stamp: Stamp,
    since: Instant,
    /// It was renamed into place: it is as it was meant.
    is_whole: bool,
    /// Nothing more is to be done for this content.
    is_done: bool,
    /// Of the content, once it was read.
    sha256: Option<[u8; 32]>,
}

/// Watches until it is killed.
pub(crate) fn watch(arguments: &WatchArguments) -> Outcome {
    let (config, settings) = arguments.which.open()?;
    let source = source(&settings)?;
    let mut node = HttpNode::new(&config, arguments.which.node.as_deref(), &settings.name)?;
    if let Some(remote) = &settings.transfer {
        let mut server = Server::new(&config, &settings, remote)?;
        return follow_zone(
            &mut server,
            &source,
            &mut node,
            arguments.rescan_ms.map(Duration::from_millis),
        );
    }
    let (folder, only) = watched(&settings)?;
    let settle = Duration::from_millis(arguments.settle_ms);
    let rescan = Duration::from_millis(arguments.rescan_ms.unwrap_or(RESCAN_MS).max(1));
    let events = listen(&folder)?;
    let is_delta = settings.declared == DeclaredInput::Delta;
    let (seen, told) = (BTreeMap::new(), Told::default());
    let mut watcher = Watcher { source, node, folder, only, settle, is_delta, seen, told };
    print(format_args!("watching {}", watcher.folder.display()))?;
    loop {
        let settles_in = watcher.look()?;
        watcher.told.renamed.clear();
        let patience = settles_in.map_or(rescan, |settles_in| settles_in.min(rescan));
        wait(&events, patience, &mut watcher.told)?;
    }
}

/// The folder to watch, and the one file in it if there is only one.
fn watched(settings: &SourceConfig) -> Result<(PathBuf, Option<PathBuf>), Failure> {
    match (&settings.folder, &settings.file) {
        (Some(folder), _) => Ok((folder.clone(), None)),
        (None, Some(file)) => {
            let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
            Ok((folder.unwrap_or(Path::new(".")).to_owned(), Some(file.clone())))
        }
        (None, None) => Err(Failure::usage(format!(
            "source {} has neither `folder` nor `file`: there is nothing to watch",
            settings.name
        ))),
    }
}

fn listen(folder: &Path) -> Result<OwnedFd, Failure> {
    let cannot = |error| Failure::finding(format!("cannot watch {}: {error}", folder.display()));
    let events = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(cannot)?;
    let wanted = WatchFlags::MODIFY | WatchFlags::CLOSE_WRITE | WatchFlags::MOVED_TO;
    inotify::add_watch(&events, folder, wanted | WatchFlags::ONLYDIR).map_err(cannot)?;
    Ok(events)
}

/// What the kernel has told of files, by name.
#[derive(Default)]
struct Told {
    /// Renamed into place since the last look.
    renamed: HashSet<PathBuf>,
    /// Written to, and not closed since.
    open: HashSet<PathBuf>,
}

impl Told {
    fn event(&mut self, name: PathBuf, what: ReadFlags) {
        if what.contains(ReadFlags::MODIFY) {
            self.open.insert(name);
        } else {
            self.open.remove(&name);
            if what.contains(ReadFlags::MOVED_TO) {
                self.renamed.insert(name);
            }
        }
    }
}

/// Waits until the kernel says something, or for so long.
fn wait(events: &OwnedFd, patience: Duration, told: &mut Told) -> Outcome {
    let timeout = Timespec::try_from(patience).map_err(Failure::finding)?;
    let mut fds = [PollFd::new(events, PollFlags::IN)];
    match poll(&mut fds, Some(&timeout)) {
        // Who writes in small pieces is not followed piece by piece.
        Ok(1..) => std::thread::sleep(TOGETHER),
        Ok(0) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(Failure::finding(format!("cannot wait: {error}"))),
    }
    let mut buffer = [MaybeUninit::uninit(); EVENTS_OCTETS];
    let mut reader = inotify::Reader::new(events, &mut buffer);
    // It ends when there are no more; whatever else is wrong, the next look finds the files.
    while let Ok(event) = reader.next() {
        if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
            // Some were lost, perhaps of a file that was closed.
            told.open.clear();
        }
        if let Some(name) = event.file_name() {
            told.event(PathBuf::from(name.to_string_lossy().into_owned()), event.events());
        }
    }
    Ok(())
}

struct Watcher {
    source: Source,
    node: HttpNode,
    folder: PathBuf,
    only: Option<PathBuf>,
    settle: Duration,
    is_delta: bool,
    seen: BTreeMap<PathBuf, Seen>,
    told: Told,
}

impl Watcher {
    /// Applies what is ready, in the order of time; says how long until something may be.
    fn look(&mut self) -> Result<Option<Duration>, Failure> {
        let mut files = self.files();
        files.sort_by(|a, b| (a.1.changed_ns, &a.0).cmp(&(b.1.changed_ns, &b.0)));
        let here: HashSet<PathBuf> = files.iter().map(|(path, _)| path.clone()).collect();
        self.seen.retain(|path, _| here.contains(path));
        self.told.open.retain(|name| here.contains(&self.folder.join(name)));
        let mut next: Option<Duration> = None;
        for (path, stamp) in files {
            let name = path.file_name().map(Path::new);
            let is_whole = name.is_some_and(|name| self.told.renamed.contains(name));
            let is_open = name.is_some_and(|name| self.told.open.contains(name));
            let now = Instant::now();
            let new = || Seen { stamp, since: now, is_whole, is_done: false, sha256: None };
            let seen = self.seen.entry(path.clone()).or_insert_with(new);
            if seen.stamp != stamp {
                *seen = new();
            }
            seen.is_whole |= is_whole;
            if seen.is_done {
                continue;
            }
            let left = self.settle.saturating_sub(now.duration_since(seen.since));
            // What was cut by its name rather than written to is never closed: that is no reason to wait
            // for ever.
            let is_open = is_open && now.duration_since(seen.since) < WRITER_SILENCE_MAX;
            let is_ready = (seen.is_whole || left.is_zero()) && !is_open;
            if !is_ready || is_being_written(stamp) {
                let left = left.max(Duration::from_millis(50));
                next = Some(next.map_or(left, |next| next.min(left)));
                // What comes after it must not overtake it.
                if self.is_delta {
                    break;
                }
                continue;
            }
            if !self.take(&path, stamp)? && self.is_delta {
                break;
            }
        }
        Ok(next)
    }

    /// The files that the source may have written. Names of files under way, as programs give them, do not
    /// count.
    fn files(&self) -> Vec<(PathBuf, Stamp)> {
        let stamped = |path: PathBuf| {
            let metadata = path.metadata().ok().filter(Metadata::is_file)?;
            Some((path, Stamp::of(&metadata)))
        };
        if let Some(only) = &self.only {
            return stamped(only.clone()).into_iter().collect();
        }
        let is_meant = |path: &PathBuf| {
            let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
            !name.starts_with('.') && ![".tmp", ".part", "~"].iter().any(|end| name.ends_with(end))
        };
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(is_meant).filter_map(stamped).collect()
    }

    /// Reads and applies a file; whether those that come after it may be looked at.
    fn take(&mut self, path: &Path, stamp: Stamp) -> Result<bool, Failure> {
        let Some(octets) = read_whole(path, stamp) else { return Ok(false) };
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        if self.is_old(path, stamp, Sha256::digest(&octets).into()) {
            self.done(path);
            return Ok(true);
        }
        let mut input = Octets { name: name.clone(), octets };
        let progress = &mut |_, _| {};
        match apply(&self.source, &mut self.node, &mut input, None, progress) {
            Ok(summary) => {
                self.done(path);
                print(format_args!("applied {}", text(&summary)))?;
                Ok(true)
            }
            Err(Problem::Plan(PlanError::AlreadyApplied(_))) => {
                self.done(path);
                Ok(true)
            }
            // The node may be back the next time.
            Err(problem @ (Problem::Node(_) | Problem::Moved(_) | Problem::Restless(..))) => {
                eprintln!("einhorn: {name}: {problem}");
                Ok(false)
            }
            Err(problem) => {
                self.done(path);
                eprintln!("einhorn: {name}: {problem}; waiting for it to change");
                Ok(!self.is_delta)
            }
        }
    }

    /// Whether the file is the one that was applied last, or came before that one, which is still there.
    fn is_old(&mut self, path: &Path, stamp: Stamp, sha256: [u8; 32]) -> bool {
        // Of a node that does not answer the apply says so.
        let Ok(view) = self.node.look() else { return false };
        let Some(last) = view.source.and_then(|source| source.head.last) else { return false };
        if last.file_sha256 == sha256 {
            return true;
        }
        let files = self.files();
        files.into_iter().any(|(other, at)| {
            (stamp.changed_ns, path) < (at.changed_ns, &*other)
                && self.sha256(&other, at) == Some(last.file_sha256)
        })
    }

    /// A file's hash, which is made once.
    fn sha256(&mut self, path: &Path, stamp: Stamp) -> Option<[u8; 32]> {
        let known = self.seen.get(path).filter(|seen| seen.stamp == stamp);
        if let Some(sha256) = known.and_then(|seen| seen.sha256) {
            return Some(sha256);
        }
        let sha256 = Sha256::digest(read_whole(path, stamp)?).into();
        if let Some(seen) = self.seen.get_mut(path).filter(|seen| seen.stamp == stamp) {
            seen.sha256 = Some(sha256);
        }
        Some(sha256)
    }

    fn done(&mut self, path: &Path) {
        if let Some(seen) = self.seen.get_mut(path) {
            seen.is_done = true;
        }
    }
}

/// A file's octets, if they are those of the content that was seen, from the first to the last.
fn read_whole(path: &Path, stamp: Stamp) -> Option<Vec<u8>> {
    let mut file = File::open(path).ok()?;
    let is_same = |file: &File| file.metadata().is_ok_and(|now| Stamp::of(&now) == stamp);
    let mut octets = Vec::new();
    if !is_same(&file) {
        return None;
    }
    file.read_to_end(&mut octets).ok()?;
    let is_all = octets.len() as u64 == stamp.octets;
    (is_all && is_same(&file) && !is_being_written(stamp)).then_some(octets)
}

/// Whether a process that may be looked at has the file open for writing.
fn is_being_written(stamp: Stamp) -> bool {
    const ACCESS_MODE: u32 = 0o3;
    let entries = |path: PathBuf| std::fs::read_dir(path).into_iter().flatten().flatten();
    let is_writer = |fd: &std::fs::DirEntry| {
        let is_it = std::fs::metadata(fd.path())
            .is_ok_and(|file| (file.dev(), file.ino()) == (stamp.device, stamp.inode));
        let flags = || {
            let folder = fd.path().parent()?.parent()?.join("fdinfo").join(fd.file_name());
            let info = std::fs::read_to_string(folder).ok()?;
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:"))?.trim();
            u32::from_str_radix(flags, 8).ok()
        };
        is_it && flags().is_some_and(|flags| flags & ACCESS_MODE != 0)
    };
    let is_process = |entry: &std::fs::DirEntry| {
        entry.file_name().to_string_lossy().bytes().all(|octet| octet.is_ascii_digit())
    };
    entries("/proc".into())
        .filter(is_process)
        .any(|process| entries(process.path().join("fd")).any(|fd| is_writer(&fd)))
}
