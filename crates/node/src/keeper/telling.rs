//! Telling other servers of new serials (RFC 1996): at once, again until it is acknowledged, and
//! always of the newest serial only.

use super::ask::peer;
use super::timers::Timers;
use super::{Done, Job};
use einhorn_core::model::Zone;
use einhorn_core::model::settings::Remote;
use einhorn_ingress::Ingress;
use einhorn_ingress::remote;
use einhorn_wire::Name;
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Notifications under way at once. Each has a socket.
const NOTIFIES_MAX: usize = 128;
/// Waits before the next try, in milliseconds; the last one repeats.
const BACK_OFF_MS: [u64; 6] = [1_000, 2_000, 4_000, 8_000, 16_000, 30_000];
/// Tries for one serial at most: about ten minutes. A server that is away for longer asks by
/// itself when it is back.
const TRIES_MAX: usize = 24;
/// Time between two notifications of one zone to one server at least, in milliseconds: a zone
/// that changes all the time is told of at this pace.
const GAP_MS: u64 = 50;
/// Time between the notifications of two zones after start, in milliseconds.
const PACE_MS: u64 = 1;

/// What one server is told of one zone.
struct Telling {
    remote: Remote,
    /// The serial that it has to know; `None` once it does.
    wanted: Option<u32>,
    tries: usize,
    is_under_way: bool,
    /// When it may be told next.
    next_ms: u64,
}

/// Who is told of what.
pub(super) struct Tellings {
    servers: HashMap<Name, HashMap<SocketAddr, Telling>>,
    /// The serial that each zone's servers were last to be told of.
    serials: HashMap<Name, u32>,
    permits: Arc<Semaphore>,
    /// When the next zone is told of after start.
    pace_ms: u64,
}

impl Tellings {
    pub(super) fn new() -> Tellings {
        Tellings {
            servers: HashMap::new(),
            serials: HashMap::new(),
            permits: Arc::new(Semaphore::new(NOTIFIES_MAX)),
            pace_ms: 0,
        }
    }

    /// The zone is gone.
    pub(super) fn forget(&mut self, zone: &Name) {
        self.servers.remove(zone);
        self.serials.remove(zone);
    }

    /// Looks whether the zone's servers know its serial. A zone that was never looked at before
    /// is told of at a measured pace when `is_start`.
    pub(super) fn look(
        &mut self,
        zone: &Zone,
        timers: &mut Timers<Job>,
        now_ms: u64,
        is_start: bool,
    ) {
        if zone.settings.notify.is_empty() {
            self.forget(&zone.apex);
            return;
        }
        let targets: HashSet<SocketAddr> =
            zone.settings.notify.iter().map(|remote| remote.address).collect();
        if let Some(servers) = self.servers.get_mut(&zone.apex) {
            servers.retain(|address, _| targets.contains(address));
        }
        if zone.soa().is_none()
            || self.serials.insert(zone.apex.clone(), zone.serial) == Some(zone.serial)
        {
            return;
        }
        let mut due_ms = now_ms;
        if is_start {
            self.pace_ms = self.pace_ms.max(now_ms) + PACE_MS;
            due_ms = self.pace_ms;
        }
        self.want(zone, timers, due_ms);
    }

    /// Tells all servers of the zone's serial, whatever they know.
    pub(super) fn want(&mut self, zone: &Zone, timers: &mut Timers<Job>, due_ms: u64) -> usize {
        let servers = self.servers.entry(zone.apex.clone()).or_default();
        for remote in &zone.settings.notify {
            let telling = servers.entry(remote.address).or_insert_with(|| Telling {
                remote: remote.clone(),
                wanted: None,
                tries: 0,
                is_under_way: false,
                next_ms: 0,
            });
            telling.remote = remote.clone();
            (telling.wanted, telling.tries) = (Some(zone.serial), 0);
            if !telling.is_under_way {
                let job = Job::Tell(zone.apex.clone(), remote.address);
                timers.set(job, Some(due_ms.max(telling.next_ms)));
            }
        }
        zone.settings.notify.len()
    }

    /// It is time to tell this server.
    pub(super) fn tell(
        &mut self,
        ingress: &Arc<Ingress>,
        zone: &Name,
        address: SocketAddr,
        under_way: &mut JoinSet<Done>,
    ) {
        let telling = self.servers.get_mut(zone).and_then(|servers| servers.get_mut(&address));
        let Some(telling) = telling.filter(|telling| telling.wanted.is_some()) else { return };
        telling.is_under_way = true;
        let (ingress, permits) = (Arc::clone(ingress), Arc::clone(&self.permits));
        let (zone, remote) = (zone.clone(), telling.remote.clone());
        under_way.spawn(async move {
            let sent = tell(ingress, permits, zone.clone(), remote);
            let outcome = tokio::spawn(sent).await.unwrap_or_else(|error| Err(error.to_string()));
            Done::Told { zone, address, outcome }
        });
    }

    /// This server was told; the outcome has the serial if it acknowledged.
    pub(super) fn told(
        &mut self,
        zone: &Name,
        address: SocketAddr,
        outcome: &Result<u32, String>,
        timers: &mut Timers<Job>,
        now_ms: u64,
    ) {
        let telling = self.servers.get_mut(zone).and_then(|servers| servers.get_mut(&address));
        let Some(telling) = telling else { return };
        telling.is_under_way = false;
        telling.next_ms = now_ms + GAP_MS;
        let job = Job::Tell(zone.clone(), address);
        match outcome {
            Ok(serial) if telling.wanted == Some(*serial) => {
                if telling.tries > 0 {
                    tracing::info!(%zone, server = %address, serial, "notification acknowledged");
                }
                (telling.wanted, telling.tries) = (None, 0);
            }
            Ok(_) => timers.set(job, Some(telling.next_ms)),
            Err(reason) => {
                let wait_ms = BACK_OFF_MS[telling.tries.min(BACK_OFF_MS.len() - 1)];
                if telling.tries == 0 {
                    tracing::info!(%zone, server = %address, %reason, "a notification was not acknowledged; trying again");
                }
                telling.tries += 1;
                if telling.tries < TRIES_MAX {
                    timers.set(job, Some(now_ms + wait_ms));
                } else {
                    tracing::warn!(%zone, server = %address, %reason, "a server does not acknowledge notifications; giving up until the next change");
                    (telling.wanted, telling.tries) = (None, 0);
                }
            }
        }
    }
}

/// Sends one notification of the newest serial there is; gives that serial.
async fn tell(
    ingress: Arc<Ingress>,
    permits: Arc<Semaphore>,
    zone: Name,
    remote: Remote,
) -> Result<u32, String> {
    let _permit = permits.acquire().await.map_err(|error| error.to_string())?;
    let peer = peer(&ingress, &remote)?;
    let now = ingress.zones.current().get(&zone).cloned();
    let now = now.ok_or("the zone is gone")?;
    let soa = now.soa().and_then(|soa| soa.rdatas().next()).ok_or("the zone has no content")?;
    remote::notify(&peer, &zone, soa).await.map_err(|error| error.to_string())?;
    Ok(now.serial)
}
