//! DNS over HTTPS (RFC 8484): each request is one DNS message, answered as over any other
//! transport.
//!
//! HTTP itself is hyper's. What is bounded here: how long a connection may be idle, how long a
//! body may take and how long it may be, how much is asked for at once.

mod freshness;
mod request;

pub use request::{Ask, GET_OCTETS_MAX, MEDIA_TYPE, PATH, Place, TEMPLATE, Unserved, parse};

use crate::connections::Connection;
use crate::devices::{Credential, Seen};
use crate::dispatch::{Arrival, Dispatch, Limiter, dispatch};
use crate::http::DeviceSide;
use crate::reply::{Echo, Reply};
use crate::session::{Client, Shared};
use crate::tls::{Admitted, Encrypted, Gate};
use crate::{Ingress, ListenError, Submission, now_ms};
use axum::Router;
use axum::body::to_bytes;
use axum::extract::ConnectInfo;
use einhorn_core::model::request::{Outcome, Request as Change};
use einhorn_serve::answer::{TCP_OCTETS_MAX, Transport};
use einhorn_wire::message::Rcode;
use freshness::freshness_seconds;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use hyper::service::{Service, service_fn};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use request::METHODS;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

/// Octets that the head of a request may have.
const HEAD_OCTETS_MAX: usize = 16 << 10;
/// Octets that a connection or a stream may send before they are read.
const CONNECTION_WINDOW_OCTETS: u32 = 256 << 10;
const STREAM_WINDOW_OCTETS: u32 = 64 << 10;
/// Bodies of one connection that are read at once; each may have 64 KiB.
const BODIES_MAX: usize = 4;
/// Octets of a body that are read, though only so many are taken as a DNS message has.
const BODY_OCTETS_READ_MAX: usize = 256 << 10;
/// Octets of answers that an HTTP/2 stream may have waiting for its client.
const SEND_OCTETS_MAX: usize = 64 << 10;
/// Octets of the longest page beside DNS: a profile with an identity in it has some thousands.
const PAGE_OCTETS_MAX: usize = 1 << 20;
/// How long a connection may take to end once it was told to.
const GOODBYE: Duration = Duration::from_secs(2);

/// Opens a listener for DNS over HTTPS.
///
/// # Errors
/// [`ListenError`].
pub fn bind(address: SocketAddr) -> Result<std::net::TcpListener, ListenError> {
    crate::listen("DNS over HTTPS", address)
}

/// Serves DNS over HTTPS, and on other paths what `devices` need, until the task is dropped.
pub async fn serve(
    ingress: Arc<Ingress>,
    encrypted: Arc<Encrypted>,
    listener: TcpListener,
    devices: Option<DeviceSide>,
) {
    let gate = Gate::default();
    let pages = devices.map(|devices| devices.routes());
    let shared = Shared::new(ingress, Arc::clone(&encrypted.devices));
    loop {
        let arrived = gate.accept(&shared.ingress, &listener).await;
        let config = Arc::clone(&encrypted.identity.load().doh);
        let (shared, pages) = (shared.clone(), pages.clone());
        tokio::spawn(async move {
            if let Some(admitted) = arrived.shake_hands(&shared.ingress, config).await {
                connection(shared, pages, admitted).await;
            }
        });
    }
}

/// Speaks HTTP on a connection until either side has had enough.
async fn connection(shared: Shared, pages: Option<Router>, admitted: Admitted) {
    let Admitted { stream, peer, place, certificate } = admitted;
    let entry = Arc::clone(&place.connection);
    let client = Client { peer, transport: Transport::Https, certificate };
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let builder = builder(&shared.ingress, is_http2);
    let idle_ms_max = || 1_000 * u64::from(shared.ingress.settings.load().limits.tcp_idle_seconds);
    let desk = Arc::new(Desk {
        shared: shared.clone(),
        pages,
        client,
        entry: Arc::clone(&entry),
        bodies: Semaphore::new(BODIES_MAX),
    });
    let service = service_fn(|request| {
        let desk = Arc::clone(&desk);
        async move { desk.respond(request).await }
    });
    let mut serving = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut deadline = Instant::now() + Duration::from_millis(idle_ms_max());
    let mut is_leaving = false;
    loop {
        tokio::select! {
            biased;
            () = entry.close.notified() => return,
            served = serving.as_mut() => {
                if let Err(error) = served {
                    tracing::debug!(%peer, %error, "HTTPS");
                }
                return;
            }
            () = sleep_until(deadline) => {
                let left_ms = idle_ms_max().saturating_sub(entry.idle_ms(now_ms()));
                match (left_ms, is_leaving) {
                    (0, true) => return,
                    (0, false) => {
                        serving.as_mut().graceful_shutdown();
                        is_leaving = true;
                        deadline = Instant::now() + GOODBYE;
                    }
                    (left_ms, _) => deadline = Instant::now() + Duration::from_millis(left_ms),
                }
            }
        }
    }
}

/// HTTP as it is spoken here: the version that the handshake has agreed on.
fn builder(ingress: &Ingress, is_http2: bool) -> auto::Builder<TokioExecutor> {
    let limits = &ingress.settings.load().limits;
    let mut builder = auto::Builder::new(TokioExecutor::new());
    if is_http2 {
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.https_streams_max)
            .initial_connection_window_size(CONNECTION_WINDOW_OCTETS)
            .initial_stream_window_size(STREAM_WINDOW_OCTETS)
            .max_header_list_size(HEAD_OCTETS_MAX as u32)
            .max_send_buf_size(SEND_OCTETS_MAX);
        return builder.http2_only();
    }
    builder
        .http1()
        .timer(TokioTimer::new())
        // A head that does not come makes the connection idle, which ends it in order.
        .header_read_timeout(None)
        .max_buf_size(HEAD_OCTETS_MAX);
    builder.http1_only()
}

/// Answers the requests of one connection.
struct Desk {
    shared: Shared,
    /// What is on the other paths.
    pages: Option<Router>,
    client: Client,
    entry: Arc<Connection>,
    /// Bounds what is held of messages that have not come whole.
    bodies: Semaphore,
}

impl Desk {
    async fn respond(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let busy = self.entry.busy();
        let response = match &self.pages {
            Some(pages) if !request.uri().path().starts_with(PATH) => {
                self.page(pages, request).await
            }
            _ => self.dns(request).await,
        };
        self.entry.touch(now_ms());
        drop(busy);
        Ok(response)
    }

    async fn dns(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let octets = match self.serve(request).await {
            Ok(octets) => octets,
            Err(unserved) => return refuse(unserved),
        };
        let fresh = format!("max-age={}", freshness_seconds(&octets));
        let mut response = Response::new(Full::from(octets));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if let Ok(fresh) = HeaderValue::from_str(&fresh) {
            headers.insert(CACHE_CONTROL, fresh);
        }
        response
    }

    async fn page(&self, pages: &Router, mut request: Request<Incoming>) -> Response<Full<Bytes>> {
        request.extensions_mut().insert(ConnectInfo(self.client.peer));
        let Ok(response) = TowerToHyperService::new(pages.clone()).call(request).await;
        let (head, body) = response.into_parts();
        match to_bytes(body, PAGE_OCTETS_MAX).await {
            Ok(octets) => Response::from_parts(head, Full::from(octets)),
            Err(error) => {
                tracing::error!(%error, "a page is too long");
                refuse(Unserved::Stopping)
            }
        }
    }

    /// The octets of the DNS response.
    async fn serve(&self, request: Request<Incoming>) -> Result<Vec<u8>, Unserved> {
        let (head, body) = request.into_parts();
        let message = match self.place(&head) {
            Ok(Place::Here(message)) => message,
            Ok(Place::Body) => self.read(body).await?,
            Err(unserved) => {
                // Clients look at the response when they have sent theirs, whatever it is.
                let _ = self.read(body).await;
                return Err(unserved);
            }
        };
        self.answer(&message).await
    }

    /// Where the DNS message is, of a request that may be served.
    fn place(&self, head: &Parts) -> Result<Place, Unserved> {
        let (method, uri) = (head.method.as_str(), &head.uri);
        let content_type = head.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
        let ask = parse(method, uri.path(), uri.query(), content_type)?;
        self.identify(ask.token)?;
        Ok(ask.message)
    }

    /// Says where the client is, if it shows who it is. Only a known token opens its path.
    fn identify(&self, token: Option<&str>) -> Result<(), Unserved> {
        let address = self.client.peer.ip();
        let devices = &self.shared.devices;
        if let Some(certificate) = &self.client.certificate {
            devices.seen(&Seen { credential: Credential::Certificate(certificate), address });
        }
        match token {
            Some(token)
                if !devices.seen(&Seen { credential: Credential::Token(token), address }) =>
            {
                Err(Unserved::NoSuchPath)
            }
            _ => Ok(()),
        }
    }

    async fn read(&self, body: Incoming) -> Result<Vec<u8>, Unserved> {
        let seconds = self.shared.ingress.settings.load().limits.tcp_message_seconds;
        let reading = async {
            let _turn = self.bodies.acquire().await.map_err(|_| Unserved::Stopping)?;
            collect(body).await
        };
        let read = timeout(Duration::from_secs(seconds.into()), reading).await;
        read.unwrap_or(Err(Unserved::Late))
    }

    async fn answer(&self, message: &[u8]) -> Result<Vec<u8>, Unserved> {
        let Client { peer, transport, .. } = self.client;
        let arrival = Arrival { peer, transport, now_seconds: now_ms() / 1_000 };
        let mut reply = Vec::new();
        let dispatched = {
            let ingress = &self.shared.ingress;
            let limiter = Limiter::Shared(&self.shared.updates);
            dispatch(ingress, &ingress.view(), message, arrival, limiter, &mut reply)
        };
        match dispatched {
            Dispatch::Reply => Ok(reply),
            Dispatch::Submit(change, echo) => self.submit(*change, echo).await,
            // Transfers are refused before they get here.
            Dispatch::Ignore | Dispatch::Transfer(_) => Err(Unserved::NoMessage),
        }
    }

    /// Hands an update on and waits for what becomes of it.
    async fn submit(&self, change: Change, echo: Box<Echo>) -> Result<Vec<u8>, Unserved> {
        let (tell, told) = oneshot::channel();
        let reply = Reply::Local(Box::new(move |outcome| {
            let mut octets = Vec::new();
            echo.write_outcome(&outcome, now_ms() / 1_000, &mut octets);
            // A client that has gone away may ask again.
            let _ = tell.send(octets);
        }));
        let submission = Submission { request: change, reply };
        if let Err(rejected) = self.shared.ingress.submissions.try_send(submission)
            && let Reply::Local(tell) = rejected.into_inner().reply
        {
            let reason = "too many updates are waiting".into();
            tell(Outcome::Refused { rcode: Rcode::SERVFAIL, reason });
        }
        told.await.map_err(|_| Unserved::Stopping)
    }
}

/// The message in a body. Of one that is too long some more is read and dropped.
async fn collect(mut body: Incoming) -> Result<Vec<u8>, Unserved> {
    let (mut message, mut octets) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        // What cannot be read on is no message; what is no data are trailers.
        let frame = frame.map_err(|_| Unserved::NoMessage)?;
        let Ok(data) = frame.into_data() else { continue };
        octets += data.len();
        if octets <= TCP_OCTETS_MAX {
            message.extend_from_slice(&data);
        } else if octets > BODY_OCTETS_READ_MAX {
            break;
        }
    }
    if octets > TCP_OCTETS_MAX { Err(Unserved::LongBody) } else { Ok(message) }
}

fn refuse(unserved: Unserved) -> Response<Full<Bytes>> {
    let (status, text) = unserved.status();
    let mut response = Response::new(Full::from(text));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    if unserved == Unserved::Method {
        headers.insert(ALLOW, HeaderValue::from_static(METHODS));
    }
    response
}

#[cfg(test)]
mod tests;
