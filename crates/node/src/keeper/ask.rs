//! One attempt to bring a followed zone up to one primary's state.

use crate::operate::{request_by, submit};
use einhorn_core::model::Zone;
use einhorn_core::model::request::Identity;
use einhorn_core::model::settings::Remote;
use einhorn_core::rules::incoming::{Content, PlanError, Planned, plan};
use einhorn_ingress::Ingress;
use einhorn_ingress::remote::{self, Peer};
use einhorn_wire::Name;
use einhorn_wire::rdata::{SoaNumbers, serial_greater, soa_numbers};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Polls under way at once. Each has a socket.
pub(super) const POLLS_MAX: usize = 128;
/// Transfers under way at once.
pub(super) const TRANSFERS_MAX: usize = 16;

/// What bounds the attempts of all zones together.
#[derive(Clone)]
pub(super) struct Bounds {
    polls: Arc<Semaphore>,
    transfers: Arc<Semaphore>,
}

impl Bounds {
    pub(super) fn new() -> Bounds {
        Bounds {
            polls: Arc::new(Semaphore::new(POLLS_MAX)),
            transfers: Arc::new(Semaphore::new(TRANSFERS_MAX)),
        }
    }
}

/// The server with its key.
pub(super) fn peer(ingress: &Ingress, remote: &Remote) -> Result<Peer, String> {
    let access = ingress.access.load();
    let key = match &remote.key {
        None => None,
        Some(name) => {
            let key = access.keys.get(name);
            Some(Arc::clone(key.ok_or_else(|| format!("key {name} is not configured"))?))
        }
    };
    Ok(Peer { address: remote.address, key })
}

fn zone(ingress: &Ingress, name: &Name) -> Result<Arc<Zone>, String> {
    ingress.zones.current().get(name).cloned().ok_or_else(|| "the zone is gone".to_owned())
}

fn soa_data(zone: &Zone) -> Option<&[u8]> {
    zone.soa()?.rdatas().next()
}

fn numbers(zone: &Zone) -> Option<SoaNumbers> {
    soa_numbers(soa_data(zone)?)
}

/// Asks `remote` for the zone's serial, and takes a transfer when it is greater than ours. Gives
/// the SOA that the zone then has.
pub(super) async fn ask(
    ingress: Arc<Ingress>,
    bounds: Bounds,
    name: Name,
    remote: Remote,
) -> Result<SoaNumbers, String> {
    let peer = peer(&ingress, &remote)?;
    let serial = {
        let _permit = bounds.polls.acquire().await.map_err(|error| error.to_string())?;
        remote::serial(&peer, &name).await.map_err(|error| error.to_string())?
    };
    let known = |zone: &Zone| numbers(zone).filter(|_| !serial_greater(serial, zone.serial));
    if let Some(ours) = known(&*zone(&ingress, &name)?) {
        return current(ours, serial);
    }
    let _permit = bounds.transfers.acquire().await.map_err(|error| error.to_string())?;
    let now = zone(&ingress, &name)?;
    if let Some(ours) = known(&now) {
        return current(ours, serial);
    }
    let (content, planned) = match incremental(&peer, &now).await? {
        Some(done) => done,
        None => {
            let content =
                remote::transfer(&peer, &name, None).await.map_err(|error| error.to_string())?;
            planned(&now, content).await?.map_err(|error| error.to_string())?
        }
    };
    let Some(Planned { soa, action }) = planned else {
        return numbers(&now).ok_or_else(|| "nothing came".to_owned());
    };
    if let Some(action) = action {
        let request =
            request_by(&ingress, Identity::Primary(remote.address.ip()), name.clone(), action)?;
        let submitted = tokio::task::spawn_blocking(move || submit(&ingress, request));
        let index = submitted.await.map_err(|error| error.to_string())??;
        tracing::info!(zone = %name, primary = %remote.address, serial = soa.serial, index, %content, "transferred");
    }
    Ok(soa)
}

/// A primary with an older copy than ours is no use; another one may be.
fn current(ours: SoaNumbers, serial: u32) -> Result<SoaNumbers, String> {
    if serial == ours.serial {
        return Ok(ours);
    }
    Err(format!("it has serial {serial}, which is older than {} here", ours.serial))
}

type Done = (&'static str, Option<Planned>);

/// Takes what changed since our copy; `None` when a whole transfer is to be tried instead.
async fn incremental(peer: &Peer, now: &Arc<Zone>) -> Result<Option<Done>, String> {
    let Some(soa) = soa_data(now) else { return Ok(None) };
    let content = match remote::transfer(peer, &now.apex, Some(soa)).await {
        Ok(content) => content,
        Err(error) if error.is_of_content() => {
            tracing::info!(zone = %now.apex, primary = %peer.address, %error, "no differences; taking the whole zone");
            return Ok(None);
        }
        Err(error) => return Err(error.to_string()),
    };
    match planned(now, content).await? {
        Ok(done) => Ok(Some(done)),
        Err(error) => {
            tracing::info!(zone = %now.apex, primary = %peer.address, %error, "taking the whole zone");
            Ok(None)
        }
    }
}

/// Plans where it may take its time.
async fn planned(zone: &Arc<Zone>, content: Content) -> Result<Result<Done, PlanError>, String> {
    let kind = match &content {
        Content::UpToDate => "nothing new",
        Content::Whole(_) => "whole zone",
        Content::Differences(_) => "differences",
    };
    let zone = Arc::clone(zone);
    let planned = tokio::task::spawn_blocking(move || plan(&zone, content));
    let planned = planned.await.map_err(|error| error.to_string())?;
    Ok(planned.map(|planned| (kind, planned)))
}
