//! dyndns2: updates as ddclient, inadyn, routers and Shortcuts send them. `GET /nic/update`, the name
//! of a key and its secret in base64 as user and password, one line for each host in return.
//!
//! What a line says: `good ADDRESS` or `nochg ADDRESS`; `notfqdn`, `nohost` (no such zone here),
//! `!yours` (no grant), `numhost` (too many), `dnserr` (not to be done, or not now), `911` (this
//! server). Instead of lines: `badauth`, `badagent`, `abuse`.

pub mod request;
mod tally;

use crate::dispatch::audit;
use crate::reply::Reply;
use crate::{Access, Ingress, Submission, now_ms};
use axum::Router;
use axum::extract::{ConnectInfo, Request as HttpRequest, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use einhorn_core::model::request::{
    Action, Commitment, Identity, Operation, Outcome, Request, RequestId,
};
use einhorn_core::model::{RrSetRef, Zone};
use einhorn_core::rules::update as rules;
use einhorn_wire::message::Rcode;
use einhorn_wire::{Name, RecordType};
use request::{Credentials, Wanted, Wrong, client_address};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tally::{FAILURES_A_MINUTE_MAX, Tally, UPDATES_A_MINUTE_MAX};
use tokio::sync::oneshot;
use tokio::time::timeout;

/// The header in which proxies say for whom they ask.
const FORWARDED_FOR: &str = "x-forwarded-for";
/// TTL of a record where there is none yet, in seconds.
const TTL_SECONDS: u32 = 60;
/// How long an update may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a request is remembered, in seconds: longer than it may wait anywhere.
const REMEMBERED_SECONDS: u64 = 60;

/// Answers updates.
struct Desk {
    ingress: Arc<Ingress>,
    /// Updates by user. Locked for a moment.
    updates: Mutex<Tally<Name>>,
    /// Wrong passwords by source. Locked for a moment.
    failures: Mutex<Tally<IpAddr>>,
}

/// The routes.
pub(super) fn routes(ingress: Arc<Ingress>) -> Router {
    let desk = Desk { ingress, updates: Mutex::default(), failures: Mutex::default() };
    Router::new().route("/nic/update", get(update)).with_state(Arc::new(desk))
}

/// What becomes of one host.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Line {
    Good(Vec<IpAddr>),
    NoChange(Vec<IpAddr>),
    Code(&'static str),
}

impl Line {
    fn text(&self) -> String {
        let (code, addresses) = match self {
            Line::Good(addresses) => ("good", addresses),
            Line::NoChange(addresses) => ("nochg", addresses),
            Line::Code(code) => return format!("{code}\n"),
        };
        let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        format!("{} {}", code, addresses.join(",")).trim_end().to_owned() + "\n"
    }
}

fn plain(status: StatusCode, text: impl Into<String>) -> Response {
    let headers =
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
    (status, headers, text.into()).into_response()
}

async fn update(State(desk): State<Arc<Desk>>, request: HttpRequest) -> Response {
    let (headers, uri) = (request.headers(), request.uri());
    let agent = headers.get(header::USER_AGENT);
    if agent.is_none_or(|agent| agent.is_empty()) {
        return plain(StatusCode::OK, "badagent\n");
    }
    let Some(ConnectInfo(peer)) = request.extensions().get::<ConnectInfo<SocketAddr>>() else {
        tracing::error!("an update without the address of who asks");
        return plain(StatusCode::OK, "911\n");
    };
    let access = desk.ingress.access.load_full();
    let source = source(*peer, headers, &access);
    let now_seconds = now_ms() / 1_000;
    let user = match desk.authenticate(headers, &access, source, now_seconds) {
        Ok(user) => user,
        Err(stranger) => return stranger.response(),
    };
    let asked = match request::parse(uri.query().unwrap_or_default()) {
        Ok(asked) => asked,
        Err(wrong) => {
            let code = match wrong {
                Wrong::NoHost => "notfqdn\n",
                Wrong::ManyHosts => "numhost\n",
                Wrong::Address => "dnserr\n",
            };
            return plain(StatusCode::OK, code);
        }
    };
    let mut text = String::new();
    for host in &asked.hosts {
        // Each is an update of its own, as each has a line of its own.
        let counted = lock(&desk.updates).add(user.clone(), now_seconds);
        let line = if counted > UPDATES_A_MINUTE_MAX {
            Line::Code("abuse")
        } else {
            let who = Who { user: &user, source, access: &access };
            desk.host(&who, host, &asked.wanted).await
        };
        text += &line.text();
    }
    plain(StatusCode::OK, text)
}

/// Where the request comes from: the peer, or whom a listed proxy asks for.
fn source(peer: SocketAddr, headers: &HeaderMap, access: &Access) -> IpAddr {
    let said = headers.get_all(FORWARDED_FOR);
    let said: Vec<&str> = said.iter().filter_map(|value| value.to_str().ok()).collect();
    let is_proxy = |address| access.proxies.iter().any(|proxy| proxy.contains(address));
    client_address(peer.ip(), said.into_iter(), is_proxy)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // A panic while counting leaves nothing half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Who asks.
struct Who<'a> {
    user: &'a Name,
    source: IpAddr,
    access: &'a Access,
}

/// Who has not shown a secret.
enum Stranger {
    /// The name or the password is wrong, or missing.
    Unknown,
    /// From where so many wrong ones came that none is looked at.
    TriesTooOften,
}

impl Stranger {
    fn response(self) -> Response {
        match self {
            Stranger::TriesTooOften => plain(StatusCode::OK, "abuse\n"),
            Stranger::Unknown => {
                let mut refused = plain(StatusCode::UNAUTHORIZED, "badauth\n");
                let ask = header::HeaderValue::from_static("Basic realm=\"einhorn\"");
                refused.headers_mut().insert(header::WWW_AUTHENTICATE, ask);
                refused
            }
        }
    }
}

/// A change to one host.
struct Change {
    operations: Vec<Operation>,
    /// What the host has then.
    addresses: Vec<IpAddr>,
}

impl Desk {
    /// The name of the key whose secret was shown.
    fn authenticate(
        &self,
        headers: &HeaderMap,
        access: &Access,
        source: IpAddr,
        now_seconds: u64,
    ) -> Result<Name, Stranger> {
        let source = crate::rate_limit::source_of(source);
        if lock(&self.failures).count(&source, now_seconds) >= FAILURES_A_MINUTE_MAX {
            return Err(Stranger::TriesTooOften);
        }
        let shown = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes());
        let shown = shown.and_then(Credentials::parse);
        let key = shown.as_ref().and_then(|shown| access.keys.get(&shown.user.parse().ok()?));
        match (key, &shown) {
            (Some(key), Some(shown)) if shown.has_password(&key.secret_base64()) => {
                Ok(key.name().clone())
            }
            _ => {
                if shown.is_some() {
                    lock(&self.failures).add(source, now_seconds);
                    tracing::info!(%source, "dyndns2: wrong name or password");
                }
                Err(Stranger::Unknown)
            }
        }
    }

    /// Does what is wanted of one host.
    async fn host(&self, who: &Who<'_>, host: &str, wanted: &Wanted) -> Line {
        let Some(owner) = host.parse::<Name>().ok().filter(|name| name.label_count() > 1) else {
            return Line::Code("notfqdn");
        };
        let zones = self.ingress.zones.current();
        let Some(zone) = zones.containing(owner.canonical_key().as_ref()) else {
            return Line::Code("nohost");
        };
        let change = match change(zone, &owner, wanted, who.source) {
            Ok(change) => change,
            Err(code) => return Line::Code(code),
        };
        // Who may not change a host does not learn what it has.
        let touched: &[Operation] = match &change.operations[..] {
            [] => &[Operation::DeleteRrSet(owner.clone(), RecordType::A)],
            operations => operations,
        };
        if let Err(refusal) = who.access.policy.check(who.user, &zone.apex, touched) {
            tracing::info!(user = %who.user, %refusal, "dyndns2: update refused");
            return Line::Code("!yours");
        }
        if rules::updatable(zone).is_err() {
            return Line::Code("dnserr");
        }
        let Change { operations, addresses } = change;
        if operations.is_empty() {
            return Line::NoChange(addresses);
        }
        let apex = zone.apex.clone();
        drop(zones);
        match self.submit(who, apex, operations).await {
            Some(Outcome::Done { .. }) => Line::Good(addresses),
            Some(Outcome::Refused { rcode, reason }) => {
                tracing::info!(user = %who.user, %rcode, reason, "dyndns2: update refused");
                Line::Code(if rcode == Rcode::REFUSED { "!yours" } else { "dnserr" })
            }
            None => Line::Code("911"),
        }
    }

    /// Hands the update on and waits for what becomes of it; `None` if that cannot be told.
    async fn submit(
        &self,
        who: &Who<'_>,
        zone: Name,
        operations: Vec<Operation>,
    ) -> Option<Outcome> {
        let mut id = [0; 32];
        let flags = rustix::rand::GetRandomFlags::empty();
        // Up to 256 octets come whole (getrandom(2)).
        if rustix::rand::getrandom(&mut id, flags) != Ok(id.len()) {
            tracing::error!("no random numbers");
            return None;
        }
        let id = RequestId(id);
        let (audit, audit_commitment): (Vec<u8>, Commitment) =
            audit(&self.ingress, &id, format_args!("http {}", who.source));
        let request = Request {
            id,
            remember_until_seconds: now_ms() / 1_000 + REMEMBERED_SECONDS,
            who: Identity::Key(who.user.to_lowercase()),
            zone,
            action: Action::Update { prerequisites: Vec::new(), operations, lease: None },
            entered_site: self.ingress.site.load(Ordering::Relaxed),
            audit_commitment,
            decision: None,
            audit,
        };
        let (tell, told) = oneshot::channel();
        // Who has gone away may ask again.
        let reply = Reply::Local(Box::new(move |outcome| _ = tell.send(outcome)));
        self.ingress.submissions.try_send(Submission { request, reply }).ok()?;
        timeout(PATIENCE, told).await.ok()?.ok()
    }
}

/// What makes a host what is wanted; the code if nothing does.
fn change(
    zone: &Zone,
    owner: &Name,
    wanted: &Wanted,
    source: IpAddr,
) -> Result<Change, &'static str> {
    if zone.rrset(owner, RecordType::CNAME).is_some() {
        return Err("dnserr");
    }
    let (v4, v6) = match wanted {
        Wanted::Offline => return Ok(offline(zone, owner)),
        Wanted::Source => match source {
            IpAddr::V4(v4) => (Some(v4), Vec::new()),
            IpAddr::V6(v6) => (None, vec![v6]),
        },
        Wanted::Given { v4, v6, prefix: None } => (*v4, v6.iter().copied().collect()),
        Wanted::Given { v4, v6, prefix: Some(prefix) } => {
            let hosts: Vec<Ipv6Addr> = match zone.rrset(owner, RecordType::AAAA) {
                Some(set) => set
                    .rdatas()
                    .filter_map(|rdata| <[u8; 16]>::try_from(rdata).ok())
                    .map(Ipv6Addr::from)
                    .collect(),
                None => v6.iter().copied().collect(),
            };
            // A prefix alone makes no address.
            if hosts.is_empty() {
                return Err("dnserr");
            }
            (*v4, hosts.into_iter().map(|host| prefix.renumber(host)).collect())
        }
    };
    let mut change = Change { operations: Vec::new(), addresses: Vec::new() };
    let v4: Vec<IpAddr> = v4.into_iter().map(IpAddr::from).collect();
    change.family(owner, RecordType::A, zone.rrset(owner, RecordType::A), &v4);
    let v6: Vec<IpAddr> = v6.into_iter().map(IpAddr::from).collect();
    change.family(owner, RecordType::AAAA, zone.rrset(owner, RecordType::AAAA), &v6);
    Ok(change)
}

fn offline(zone: &Zone, owner: &Name) -> Change {
    let there = [RecordType::A, RecordType::AAAA].into_iter();
    let there = there.filter(|rtype| zone.rrset(owner, *rtype).is_some());
    let operations = there.map(|rtype| Operation::DeleteRrSet(owner.clone(), rtype)).collect();
    Change { operations, addresses: Vec::new() }
}

impl Change {
    /// Gives the host these addresses of a family; none says nothing of it.
    fn family(
        &mut self,
        owner: &Name,
        rtype: RecordType,
        now: Option<RrSetRef<'_>>,
        addresses: &[IpAddr],
    ) {
        self.addresses.extend(addresses);
        let rdatas: Vec<Box<[u8]>> = addresses
            .iter()
            .map(|address| match address {
                IpAddr::V4(v4) => v4.octets().into(),
                IpAddr::V6(v6) => v6.octets().into(),
            })
            .collect();
        let is_same = now.is_some_and(|now| {
            now.count() == rdatas.len() && rdatas.iter().all(|rdata| now.contains(rdata))
        });
        if is_same || rdatas.is_empty() {
            return;
        }
        let ttl = now.map_or(TTL_SECONDS, |now| now.ttl);
        self.operations.push(Operation::DeleteRrSet(owner.clone(), rtype));
        self.operations.extend(rdatas.into_iter().map(|rdata| Operation::Add {
            owner: owner.clone(),
            rtype,
            ttl,
            rdata,
        }));
    }
}

#[cfg(test)]
#[path = "dyndns_tests.rs"]
mod tests;
