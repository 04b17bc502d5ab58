//! Watching three sites: which entry of whose ledger a change became, and when each site answers it.

use super::fleet::{Fleet, NAMES, PATIENCE, await_that};
use crate::Failure;
use crate::client::Client;
use crate::ledger::story::{phase, transaction_of};
use einhorn_core::ledger::{Cosignatures, VerifierKey, checkpoint};
use einhorn_core::model::TransactionId;
use einhorn_core::model::entry::{Assembler, Body, Change, Entry, NameChange};
use einhorn_store::ledger::{OsFiles, TileSource, read_entry};
use einhorn_wire::{Name, RecordType};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Pause between two queries of the same site.
const QUERY_INTERVAL: Duration = Duration::from_micros(200);

/// How long it took until each of some sites answered, by name.
pub(super) type Times = Vec<(&'static str, Duration)>;

/// A change of one name, as the ledger of one site has it.
#[derive(Clone)]
pub(super) struct Found {
    /// The place of the site whose ledger it is in.
    pub(super) site: usize,
    pub(super) index: u64,
    pub(super) change: Change,
    pub(super) name: NameChange,
}

/// The ledger of one site, read as it grows.
struct Reader {
    files: OsFiles,
    key: VerifierKey,
    next: u64,
    assembler: Assembler,
}

/// An entry that belongs to a change with several homes.
pub(super) struct Told {
    pub(super) transaction: TransactionId,
    pub(super) site: usize,
    pub(super) index: u64,
    pub(super) entry: Entry,
}

/// The ledgers of all sites.
pub(super) struct Ledgers {
    readers: Vec<Reader>,
    found: Vec<Found>,
    told: Vec<Told>,
}

impl Ledgers {
    /// What is in the ledgers by now is passed over.
    pub(super) fn open(fleet: &Fleet) -> Result<Ledgers, Failure> {
        let readers = fleet.members.iter().map(|member| Reader::open(&member.data));
        let mut ledgers = Ledgers {
            readers: readers.collect::<Result<_, _>>()?,
            found: Vec::new(),
            told: Vec::new(),
        };
        ledgers.read()?;
        Ok(ledgers)
    }

    fn read(&mut self) -> Result<(), Failure> {
        for (site, reader) in self.readers.iter_mut().enumerate() {
            reader.read(site, &mut self.found, &mut self.told)?;
        }
        Ok(())
    }

    /// Waits for the entry that gave `owner` this address.
    pub(super) fn await_change(
        &mut self,
        owner: &Name,
        address: Ipv4Addr,
    ) -> Result<Found, Failure> {
        await_that(&format!("a ledger has {owner} with {address}"), || {
            self.read()?;
            let is_it = |found: &&Found| {
                let sets = &found.name.after;
                let has = |rdata: &[u8]| rdata == address.octets();
                found.name.owner == *owner && sets.iter().any(|set| set.rdatas().any(has))
            };
            Ok(self.found.iter().rev().find(is_it).cloned())
        })
    }

    /// The last change with several homes that has been finished everywhere, as all logs tell it.
    pub(super) fn await_story(&mut self) -> Result<Vec<&Told>, Failure> {
        let id = await_that("a change with several homes is over", || {
            self.read()?;
            let finished = |id: TransactionId| {
                let is_finish = |told: &&Told| {
                    told.transaction == id && matches!(told.entry.body, Body::Finish { .. })
                };
                self.told.iter().filter(is_finish).count()
            };
            let is_over = |told: &&Told| match &told.entry.body {
                Body::Decision { transaction, is_commit: true, .. } => {
                    finished(transaction.id) == transaction.participants.len()
                }
                _ => false,
            };
            Ok(self.told.iter().rev().find(is_over).map(|told| told.transaction))
        })?;
        let mut story: Vec<&Told> =
            self.told.iter().filter(|told| told.transaction == id).collect();
        story.sort_by_key(|told| phase(&told.entry));
        Ok(story)
    }

    /// Waits until `sites` have cosigned an entry; gives the size of what each has.
    pub(super) fn await_cosignatures(
        &self,
        fleet: &Fleet,
        at: &Found,
        sites: &[usize],
    ) -> Result<Vec<(String, u64)>, Failure> {
        let files = &self.readers[at.site].files;
        let mut keys = Vec::new();
        for site in sites {
            keys.push(read_key(&fleet.members[*site].data.join("mirror.vkey"))?);
        }
        await_that("the other sites' cosignatures are in the ledger", || {
            let Some(text) = files.read("cosignatures").map_err(Failure::finding)? else {
                return Ok(None);
            };
            let all = Cosignatures::parse(&text).map_err(Failure::finding)?;
            let of = |key: &VerifierKey| {
                let mut by = all.newest().iter().filter(|one| one.names(key));
                let one = by.find(|one| one.size > at.index)?;
                one.verify(all.origin(), key).ok()?;
                Some((one.key_name.clone(), one.size))
            };
            Ok(keys.iter().map(of).collect())
        })
    }
}

impl Reader {
    fn open(data: &Path) -> Result<Reader, Failure> {
        let files = OsFiles::open(data.join("ledger")).map_err(Failure::finding)?;
        let key = read_key(&data.join("ledger.vkey"))?;
        Ok(Reader { files, key, next: 0, assembler: Assembler::default() })
    }

    fn read(
        &mut self,
        site: usize,
        found: &mut Vec<Found>,
        told: &mut Vec<Told>,
    ) -> Result<(), Failure> {
        let Some(note) = self.files.read("checkpoint").map_err(Failure::finding)? else {
            return Ok(());
        };
        let size = checkpoint::verify(&note, &self.key).map_err(Failure::finding)?.size;
        while self.next < size {
            // A file that was replaced by a longer one meanwhile is read at the next look.
            let Ok(octets) = read_entry(&self.files, size, self.next) else { return Ok(()) };
            let index = self.next;
            self.next += 1;
            let entry = self.assembler.next(&octets).map_err(Failure::finding)?;
            let Some(entry) = entry else { continue };
            if let Some(transaction) = transaction_of(&entry.body) {
                told.push(Told { transaction, site, index, entry: entry.clone() });
            }
            for change in entry.body.changes() {
                for name in change.names.clone() {
                    let change = Change { names: Vec::new(), ..change.clone() };
                    found.push(Found { site, index, change, name });
                }
            }
        }
        Ok(())
    }
}

/// The public key in a file.
pub(super) fn read_key(path: &Path) -> Result<VerifierKey, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::finding(format!("{}: {error}", path.display())))?;
    VerifierKey::parse(text.trim())
        .map_err(|error| Failure::finding(format!("{}: {error}", path.display())))
}

/// Asks these sites without a pause until each answers `address`, while `work` is done; gives what
/// it gave, and how long after `begun` each answered, in the order of `sites`.
pub(super) fn answered_by<T>(
    fleet: &Fleet,
    sites: &[usize],
    (owner, address): (&Name, Ipv4Addr),
    begun: Instant,
    work: impl FnOnce() -> Result<T, Failure>,
) -> Result<(T, Times), Failure> {
    let is_over = &AtomicBool::new(false);
    std::thread::scope(|scope| {
        let mut waiting = Vec::new();
        for site in sites {
            let dns = fleet.members[*site].dns;
            let wait = move || await_answer(dns, owner, address, begun, is_over);
            waiting.push((NAMES[*site], scope.spawn(wait)));
        }
        let done = work().inspect_err(|_| is_over.store(true, Ordering::Relaxed))?;
        let mut times = Vec::new();
        for (name, thread) in waiting {
            let time = thread.join().map_err(|_| Failure::finding("a query failed"))??;
            times.push((name, time));
        }
        Ok((done, times))
    })
}

fn await_answer(
    dns: SocketAddr,
    owner: &Name,
    address: Ipv4Addr,
    begun: Instant,
    is_over: &AtomicBool,
) -> Result<Duration, Failure> {
    let client = Client::connect(dns)?;
    loop {
        let response = client.query(owner, RecordType::A)?;
        if response.answers.iter().any(|record| *record.rdata == address.octets()) {
            return Ok(begun.elapsed());
        }
        if begun.elapsed() > PATIENCE || is_over.load(Ordering::Relaxed) {
            return Err(Failure::finding(format!("{dns} does not answer {owner} A {address}")));
        }
        std::thread::sleep(QUERY_INTERVAL);
    }
}
