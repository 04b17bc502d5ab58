//! HTTP: the ledger's files for auditors, as they lie on disk.

use crate::ListenError;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::net::SocketAddr;
use std::sync::Arc;

/// Reads one of the ledger's files by its path in the log (`checkpoint`, `tile/0/000`);
/// `None` for what is not there or is no such path.
pub type ReadLedger = Arc<dyn Fn(&str) -> std::io::Result<Option<Vec<u8>>> + Send + Sync>;

/// Opens a listener on `address`.
///
/// # Errors
/// [`ListenError`].
pub fn bind(address: SocketAddr) -> Result<std::net::TcpListener, ListenError> {
    let error = |source| ListenError::new("HTTP", address, source);
    let listener = std::net::TcpListener::bind(address).map_err(error)?;
    listener.set_nonblocking(true).map_err(error)?;
    Ok(listener)
}

/// Serves the ledger of `site` under `/ledger/SITE/` until the task is dropped.
///
/// # Errors
/// What the listener says.
pub async fn serve(
    listener: tokio::net::TcpListener,
    site: &str,
    read: ReadLedger,
) -> std::io::Result<()> {
    let router = Router::new()
        .route(&format!("/ledger/{site}/{{*path}}"), get(ledger_file))
        .with_state(read);
    axum::serve(listener, router).await
}

async fn ledger_file(State(read): State<ReadLedger>, Path(path): Path<String>) -> Response {
    let is_checkpoint = path == "checkpoint";
    let file = tokio::task::spawn_blocking(move || read(&path)).await;
    match file {
        Ok(Ok(Some(octets))) => {
            // Tiles never change; the checkpoint does all the time (C2SP tlog-tiles, "Parameters").
            let (kind, cache) = if is_checkpoint {
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
