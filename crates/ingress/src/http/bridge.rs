//! Sources of the legacy bridge over HTTP, for the bridge's own process with the operators' token.
//!
//! - `GET /bridge/SOURCE`: what is known of it and of its zone, as octets of `einhorn_core::exchange`.
//! - `POST /bridge/SOURCE/apply` with the octets of a step, `POST /bridge/SOURCE/freeze` with those of
//!   records for the review queue: `{"revision": 7, "left": [{"at": 0, "reason": "…"}]}`.
//!
//! 404 for a source that is not configured, 400 for octets that are none, 409 for a source that has moved
//! on: each with `{"error": "…"}`.

use super::reviews::{Operators, guard};
use crate::control::{BridgeCall, BridgeRefusal, BridgeReply};
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;

/// Octets of a step at most; the bridge sends much smaller ones.
const STEP_OCTETS_MAX: usize = 64 << 20;

pub(super) fn routes(operators: Operators) -> Router {
    let guard = middleware::from_fn_with_state(operators.clone(), guard);
    Router::new()
        .route("/bridge/{source}", get(look))
        .route("/bridge/{source}/apply", post(advance))
        .route("/bridge/{source}/freeze", post(freeze))
        .layer(DefaultBodyLimit::max(STEP_OCTETS_MAX))
        .layer(guard)
        .with_state(operators)
}

async fn look(State(operators): State<Operators>, Path(source): Path<String>) -> Response {
    ask(operators, source, BridgeCall::Look).await
}

async fn advance(
    State(operators): State<Operators>,
    Path(source): Path<String>,
    body: Bytes,
) -> Response {
    ask(operators, source, BridgeCall::Advance(body.into())).await
}

async fn freeze(
    State(operators): State<Operators>,
    Path(source): Path<String>,
    body: Bytes,
) -> Response {
    ask(operators, source, BridgeCall::Freeze(body.into())).await
}

/// Asks the node, which may take its time.
async fn ask(operators: Operators, source: String, call: BridgeCall) -> Response {
    let control = operators.control;
    let asked = tokio::task::spawn_blocking(move || control.bridge(&source, call));
    match asked.await {
        Ok(Ok(BridgeReply::View(octets))) => {
            ([(header::CONTENT_TYPE, "application/octet-stream")], octets).into_response()
        }
        Ok(Ok(BridgeReply::Done { revision, left })) => {
            let left = left.into_iter().map(|(at, reason)| json!({ "at": at, "reason": reason }));
            let left: Vec<_> = left.collect();
            Json(json!({ "revision": revision, "left": left })).into_response()
        }
        Ok(Err(refusal)) => {
            let status = match refusal {
                BridgeRefusal::Unknown(_) => StatusCode::NOT_FOUND,
                BridgeRefusal::Malformed(_) => StatusCode::BAD_REQUEST,
                BridgeRefusal::Moved(_) => StatusCode::CONFLICT,
                BridgeRefusal::Failed(_) => StatusCode::SERVICE_UNAVAILABLE,
            };
            (status, Json(json!({ "error": refusal.to_string() }))).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
