//! Which sites there are, and which connection of each counts. The one place where it is decided
//! whether a connection stays, under one lock that is never held while anything waits.

use crate::connection::{Connection, Tail};
use crate::identity::{self, Fingerprint, Identity, IdentityError};
use crate::preface::{Preface, VersionRange};
use crate::{ConnectionStatus, Event, Peer, PeerStatus, dial};
use crossbeam_channel::Sender;
use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

/// Everything that the tasks of one site's links share.
#[derive(Debug)]
pub(crate) struct Table {
    name: String,
    versions: VersionRange,
    instance: u64,
    /// Makes delays differ between sites.
    pub(crate) seed: u64,
    pub(crate) events: Sender<Event>,
    runtime: Handle,
    pub(crate) provider: Arc<CryptoProvider>,
    connections_made: AtomicU64,
    closed: AtomicBool,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    key: Arc<CertifiedKey>,
    slots: BTreeMap<u16, Slot>,
    /// Tells when the last connection of a site has said all it had to say. Outlives the slot: a
    /// site may be removed and come back.
    last: BTreeMap<u16, watch::Receiver<bool>>,
}

/// One other site.
#[derive(Debug)]
struct Slot {
    peer: Peer,
    current: Option<Arc<Connection>>,
    problem: Option<(SystemTime, String)>,
    dialler: AbortHandle,
    /// Wakes the dialler: the connection has ended, or the peer has changed.
    changed: Arc<Notify>,
}

impl Slot {
    fn close(&mut self, reason: &str) {
        self.dialler.abort();
        if let Some(connection) = self.current.take() {
            connection.close(reason);
        }
    }
}

/// A connection that is established as far as TLS and prefaces go.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) site: u16,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) preface: Preface,
    pub(crate) address: SocketAddr,
    pub(crate) dialled_here: bool,
}

impl Table {
    pub(crate) fn new(
        identity: &Identity,
        versions: VersionRange,
        seed: u64,
        events: Sender<Event>,
        runtime: Handle,
    ) -> Result<Table, IdentityError> {
        let provider = Arc::new(identity::provider());
        let mut instance = [0; 8];
        provider
            .secure_random
            .fill(&mut instance)
            .map_err(|_| IdentityError::Unusable("no random numbers".to_owned()))?;
        let inner = Inner {
            key: identity.certified(&provider)?,
            slots: BTreeMap::new(),
            last: BTreeMap::new(),
        };
        Ok(Table {
            name: identity.name.clone(),
            versions,
            instance: u64::from_be_bytes(instance),
            seed,
            events,
            runtime,
            provider,
            connections_made: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            inner: Mutex::new(inner),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_peers(table: &Arc<Table>, peers: Vec<Peer>) {
        let mut inner = table.lock();
        let inner = &mut *inner;
        let mut old = std::mem::take(&mut inner.slots);
        for peer in peers {
            // Another name is another site.
            let same = old.get(&peer.site).is_some_and(|slot| slot.peer.name == peer.name);
            let slot = match old.remove(&peer.site) {
                Some(mut slot) if same => {
                    slot.update(peer);
                    slot
                }
                other => {
                    other.into_iter().for_each(|mut slot| slot.close("the site is another now"));
                    Table::new_slot(table, peer)
                }
            };
            if let Some(mut doubled) = inner.slots.insert(slot.peer.site, slot) {
                doubled.close("the site is listed twice");
            }
        }
        for slot in old.values_mut() {
            slot.close("the site was removed from the list");
        }
    }

    fn new_slot(table: &Arc<Table>, peer: Peer) -> Slot {
        let changed = Arc::new(Notify::new());
        let dialling = dial::run(Arc::clone(table), peer.site, Arc::clone(&changed));
        let dialler = table.runtime.spawn(dialling).abort_handle();
        Slot { peer, current: None, problem: None, dialler, changed }
    }

    pub(crate) fn set_identity(&self, identity: &Identity) -> Result<(), IdentityError> {
        let key = identity.certified(&self.provider)?;
        self.lock().key = key;
        Ok(())
    }

    /// The certificate that new connections show.
    pub(crate) fn key(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.lock().key)
    }

    /// What this site says first.
    pub(crate) fn preface(&self) -> Preface {
        Preface { versions: self.versions, instance: self.instance, name: self.name.clone() }
    }

    /// Every certificate that may come.
    pub(crate) fn accepted(&self) -> Vec<Fingerprint> {
        let inner = self.lock();
        inner.slots.values().flat_map(|slot| slot.peer.certificates.iter().copied()).collect()
    }

    /// The site that shows this certificate.
    pub(crate) fn site_of(&self, fingerprint: &Fingerprint) -> Option<u16> {
        let inner = self.lock();
        let mut slots = inner.slots.values();
        slots.find(|slot| slot.peer.certificates.contains(fingerprint)).map(|slot| slot.peer.site)
    }

    /// The site as it stands in the list, if it has no connection.
    pub(crate) fn unconnected(&self, site: u16) -> Option<Peer> {
        let inner = self.lock();
        let slot = inner.slots.get(&site)?;
        slot.current.is_none().then(|| slot.peer.clone())
    }

    /// Whether, of two connections with that site, the one dialled here stays.
    pub(crate) fn dials_first(&self, peer_name: &str) -> bool {
        *self.name < *peer_name
    }

    /// Takes a connection as the one that counts, or says why not.
    ///
    /// Of two connections the one dialled by the site whose name sorts first stays. A newer one by
    /// the same side shows that this side has given up the older, and so does another instance.
    pub(crate) fn adopt(&self, candidate: &Candidate) -> Result<(Arc<Connection>, Tail), String> {
        let Candidate { site, fingerprint, preface, dialled_here, .. } = candidate;
        let mut inner = self.lock();
        let inner = &mut *inner;
        let slot = inner
            .slots
            .get_mut(site)
            .filter(|slot| slot.peer.certificates.contains(fingerprint))
            .ok_or("the site was removed from the list")?;
        if self.closed.load(Ordering::Relaxed) {
            return Err("this site is stopping".to_owned());
        }
        if preface.name != slot.peer.name {
            return Err(format!(
                "a site calls itself `{}`, but the certificate is on the card of `{}`",
                preface.name, slot.peer.name
            ));
        }
        if preface.name == self.name {
            return Err(format!("two sites are called `{}`", self.name));
        }
        let version = self.versions.common(preface.versions).ok_or_else(|| {
            format!(
                "`{}` knows {} of the protocol, `{}` knows {}: update the older one",
                self.name, self.versions, preface.name, preface.versions
            )
        })?;
        if let Some(current) = &slot.current {
            let stays = current.dialled_here == self.dials_first(&preface.name);
            let rival = current.dialled_here != *dialled_here;
            if stays && rival && current.instance == preface.instance {
                return Err("another connection stays".to_owned());
            }
            current.close("another connection stays");
        }
        let id = 1 + self.connections_made.fetch_add(1, Ordering::Relaxed);
        let (ended, has_ended) = watch::channel(false);
        let connection = Arc::new(Connection::new(id, version, candidate));
        slot.current = Some(Arc::clone(&connection));
        let previous = inner.last.insert(*site, has_ended);
        Ok((connection, Tail { previous, ended }))
    }

    /// A connection has ended; its dialler may begin again.
    pub(crate) fn ended(&self, connection: &Connection, reason: &str) {
        let mut inner = self.lock();
        let Some(slot) = inner.slots.get_mut(&connection.site) else { return };
        if slot.current.as_ref().is_some_and(|current| current.id == connection.id) {
            slot.current = None;
            slot.problem = Some((SystemTime::now(), reason.to_owned()));
            slot.changed.notify_one();
        }
    }

    /// Remembers what an operator should see of a site that is not connected.
    pub(crate) fn problem(&self, site: u16, reason: &str) {
        let mut inner = self.lock();
        let Some(slot) = inner.slots.get_mut(&site).filter(|slot| slot.current.is_none()) else {
            return;
        };
        let known = slot.problem.as_ref().is_some_and(|(_, known)| known == reason);
        slot.problem = Some((SystemTime::now(), reason.to_owned()));
        if !known {
            tracing::warn!(site = %slot.peer.name, reason, "no link");
        }
    }

    /// The connection that counts, if it has this number.
    pub(crate) fn connection(&self, site: u16, id: u64) -> Option<Arc<Connection>> {
        let inner = self.lock();
        let current = inner.slots.get(&site)?.current.as_ref();
        current.filter(|connection| connection.id == id).cloned()
    }

    pub(crate) fn status(&self) -> Vec<PeerStatus> {
        let inner = self.lock();
        let connection = |connection: &Arc<Connection>| ConnectionStatus {
            connection: connection.id,
            version: connection.version,
            since: connection.since,
            address: connection.address,
            dialled_here: connection.dialled_here,
            octets_waiting: connection.queue.octets(),
        };
        let status = |slot: &Slot| PeerStatus {
            site: slot.peer.site,
            name: slot.peer.name.clone(),
            connection: slot.current.as_ref().map(connection),
            problem: slot.problem.clone(),
        };
        inner.slots.values().map(status).collect()
    }

    /// Whether the links have been dropped, so that nobody may be listening to events.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Ends everything.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        for slot in self.lock().slots.values_mut() {
            slot.close("the site is stopping");
        }
    }
}

impl Slot {
    /// Takes over what the list says now of the same site.
    fn update(&mut self, peer: Peer) {
        if self.peer == peer {
            return;
        }
        self.peer = peer;
        let current = self.current.as_ref();
        if current.is_some_and(|it| !self.peer.certificates.contains(&it.fingerprint)) {
            let reason = "its certificate is not accepted any more";
            self.problem = Some((SystemTime::now(), reason.to_owned()));
            if let Some(connection) = self.current.take() {
                connection.close(reason);
            }
        }
        self.changed.notify_one();
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
