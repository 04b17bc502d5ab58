//! HTTP: the ledger's files for auditors, as they lie on disk, the witness for other logs, the review
//! queue and the bridge's sources for operators, and dyndns2 and enrolment for devices.

mod bridge;
pub mod dyndns;
mod enrol;
mod reviews;

pub use enrol::Offers;
pub use reviews::Operators;

use crate::{Ingress, ListenError};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use einhorn_core::ledger::witness::{REQUEST_OCTETS_MAX, Refusal, SIZE_CONTENT_TYPE};
use std::net::SocketAddr;
use std::sync::Arc;

/// Reads one of the files of a site's ledger: the site, and the path in its log (`checkpoint`,
/// `tile/0/000`); `None` for what is not there or is no such path.
pub type ReadLedger = Arc<dyn Fn(&str, &str) -> std::io::Result<Option<Vec<u8>>> + Send + Sync>;

/// Answers the body of a witness's `add-checkpoint` with signature lines, durable before it
/// returns, or with why not.
pub type AddCheckpoint =
    Arc<dyn Fn(&[u8]) -> std::io::Result<Result<String, Refusal>> + Send + Sync>;

/// What devices are served with.
#[derive(Clone)]
pub struct DeviceSide {
    /// The way to the commit.
    pub ingress: Arc<Ingress>,
    /// Profiles that are offered.
    pub offers: Arc<dyn Offers>,
}

impl DeviceSide {
    /// `/nic/update` (dyndns2) and `/enrol/`. Requests must carry the `ConnectInfo` of their peer.
    pub fn routes(&self) -> Router {
        let (ingress, offers) = (Arc::clone(&self.ingress), Arc::clone(&self.offers));
        dyndns::routes(ingress).merge(enrol::routes(offers))
    }
}

/// Opens a listener on `address`.
///
/// # Errors
/// [`ListenError`].
pub fn bind(address: SocketAddr) -> Result<std::net::TcpListener, ListenError> {
    crate::listen("HTTP", address)
}

/// Serves the ledger of each site under `/ledger/SITE/`, and with a `witness` also
/// `POST /add-checkpoint` (C2SP tlog-witness), for `operators` the review queue under `/reviews`, for
/// `devices` what they need, until the task is dropped.
///
/// # Errors
/// What the listener says.
pub async fn serve(
    listener: tokio::net::TcpListener,
    read: ReadLedger,
    witness: Option<AddCheckpoint>,
    operators: Option<Operators>,
    devices: Option<DeviceSide>,
) -> std::io::Result<()> {
    let mut router =
        Router::new().route("/ledger/{site}/{*path}", get(ledger_file)).with_state(read);
    if let Some(witness) = witness {
        let route = Router::new()
            .route("/add-checkpoint", post(add_checkpoint))
            .layer(DefaultBodyLimit::max(REQUEST_OCTETS_MAX))
            .with_state(witness);
        router = router.merge(route);
    }
    if let Some(operators) = operators {
        router = router.merge(bridge::routes(operators.clone())).merge(reviews::routes(operators));
    }
    if let Some(devices) = devices {
        router = router.merge(devices.routes());
    }
    axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>()).await
}

async fn add_checkpoint(State(witness): State<AddCheckpoint>, body: Bytes) -> Response {
    const TEXT: &str = "text/plain; charset=utf-8";
    let answer = tokio::task::spawn_blocking(move || witness(&body)).await;
    let (status, kind, text) = match answer.map_err(std::io::Error::other).flatten() {
        Ok(Ok(lines)) => (StatusCode::OK, TEXT, lines),
        Ok(Err(Refusal::Conflict { size })) => {
            (StatusCode::CONFLICT, SIZE_CONTENT_TYPE, format!("{size}\n"))
        }
        Ok(Err(refusal)) => {
            let status = StatusCode::from_u16(refusal.status());
            (status.unwrap_or(StatusCode::BAD_REQUEST), TEXT, format!("{refusal}\n"))
        }
        Err(error) => {
            tracing::error!(%error, "a checkpoint could not be witnessed");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    };
    (status, [(header::CONTENT_TYPE, kind)], text).into_response()
}

async fn ledger_file(
    State(read): State<ReadLedger>,
    Path((site, path)): Path<(String, String)>,
) -> Response {
    let is_changing = !path.starts_with("tile/");
    let file = tokio::task::spawn_blocking(move || read(&site, &path)).await;
    match file {
        Ok(Ok(Some(octets))) => {
            // Tiles never change; checkpoint and cosignatures do all the time (C2SP tlog-tiles, "Parameters").
            let (kind, cache) = if is_changing {
                ("text/plain; charset=utf-8", "no-cache")
            } else {
                ("application/octet-stream", "max-age=31536000, immutable")
            };
            ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, cache)], octets).into_response()
        }
        Ok(Ok(None)) => StatusCode::NOT_FOUND.into_response(),
        Ok(Err(error)) => {
            tracing::error!(%error, "a ledger file could not be read");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
        Err(error) => {
            tracing::error!(%error, "reading a ledger file failed");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
