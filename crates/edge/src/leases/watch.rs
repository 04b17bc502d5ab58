//! Looks at a server's file whenever the kernel says that it has grown, and now and then besides.

use super::{Read, Table, dhcpd, kea};
use crate::config::{LeaseFormat, LeasesConfig};
use crate::desk::Receipt;
use crate::sockets::Shared;
use einhorn_ingress::now_ms;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use std::fs::File;
use std::io::{self, Read as _, Seek, SeekFrom};
use std::mem::MaybeUninit;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::timeout;

/// How often to look without having heard of anything.
const RESCAN: Duration = Duration::from_secs(10);
/// How soon to try again when the queue is full.
const FULL_PAUSE: Duration = Duration::from_secs(1);
/// Octets of the file that are read at once.
const READ_OCTETS: u64 = 1 << 20;
/// Octets of the kernel's messages that are taken at once.
const EVENTS_OCTETS: usize = 4_096;

/// How far a file was read.
struct Tail {
    reader: Box<dyn Read>,
    format: LeaseFormat,
    inode: u64,
    offset: u64,
}

impl Tail {
    fn new(format: LeaseFormat) -> Tail {
        let reader: Box<dyn Read> = match format {
            LeaseFormat::Dhcpd => Box::new(dhcpd::Reader::default()),
            LeaseFormat::Kea => Box::new(kea::Reader::default()),
        };
        Tail { reader, format, inode: 0, offset: 0 }
    }

    /// Reads what is new; whether there may be more.
    fn read(&mut self, path: &Path, table: &mut Table, now_seconds: u64) -> io::Result<bool> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            // The server makes it with its first lease, and for a moment while it writes it anew.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let metadata = file.metadata()?;
        if metadata.ino() != self.inode || metadata.len() < self.offset {
            *self = Tail { inode: metadata.ino(), ..Tail::new(self.format) };
        }
        file.seek(SeekFrom::Start(self.offset))?;
        let mut octets = Vec::new();
        file.take(READ_OCTETS).read_to_end(&mut octets)?;
        self.offset += octets.len() as u64;
        for lease in self.reader.push(&octets) {
            table.note(&lease, now_seconds);
        }
        Ok(octets.len() as u64 == READ_OCTETS)
    }
}

/// Tells of the leases in a file until the task is dropped.
pub(crate) async fn watch(engine: Shared, config: LeasesConfig) {
    let events = match listen(&config.file) {
        Ok(events) => Some(events),
        Err(error) => {
            let folder = config.file.display();
            engine
                .borrow_mut()
                .note_error(format!("{folder} is looked at every 10 s only: {error}"));
            None
        }
    };
    let mut table = Table::new(config.zone.clone(), config.ttl);
    let mut tail = Tail::new(config.format);
    loop {
        let now_seconds = now_ms() / 1_000;
        let has_more = match tail.read(&config.file, &mut table, now_seconds) {
            Ok(has_more) => has_more,
            Err(error) => {
                engine.borrow_mut().note_error(format!("{}: {error}", config.file.display()));
                false
            }
        };
        if has_more {
            tokio::task::yield_now().await;
            continue;
        }
        table.expire(now_seconds);
        let is_all_said = say(&engine, &mut table);
        let until_end = table.next_end().map_or(RESCAN, |ends| {
            Duration::from_secs(ends.saturating_sub(now_seconds).max(1)).min(RESCAN)
        });
        let wait = if is_all_said { until_end } else { FULL_PAUSE };
        match &events {
            // Whether something came or it is time: look again.
            Some(events) => drop(timeout(wait, events.notified()).await),
            None => tokio::time::sleep(wait).await,
        }
    }
}

/// Puts everything into the queue; whether all of it fitted.
fn say(engine: &Shared, table: &mut Table) -> bool {
    while let Some(change) = table.next() {
        let Ok(message) = table.update(&change) else {
            engine.borrow_mut().note_error("a host with too many leases".to_owned());
            table.said(&change);
            continue;
        };
        if engine.borrow_mut().take_own(message) == Receipt::Refused {
            return false;
        }
        table.said(&change);
    }
    true
}

/// Tells of every change in the file's folder, from a thread of its own that waits for the kernel.
fn listen(file: &Path) -> io::Result<Arc<Notify>> {
    let folder = file.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    let events = inotify::init(CreateFlags::CLOEXEC)?;
    let wanted = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO;
    inotify::add_watch(&events, folder, wanted | WatchFlags::ONLYDIR)?;
    let told = Arc::new(Notify::new());
    let tell = Arc::clone(&told);
    std::thread::Builder::new().name("leases".to_owned()).spawn(move || {
        let mut buffer = [MaybeUninit::uninit(); EVENTS_OCTETS];
        let mut reader = inotify::Reader::new(&events, &mut buffer);
        while reader.next().is_ok() {
            tell.notify_one();
        }
    })?;
    Ok(told)
}
