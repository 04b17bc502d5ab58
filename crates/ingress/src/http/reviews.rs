//! The review queue over HTTP, as JSON, for who has the operators' token: what `einhorn review` does.
//!
//! - `GET /reviews`: all that is open.
//! - `GET /reviews/ID`: one; 404 if it is not open.
//! - `POST /reviews/ID` with `{"choice": "keep"}`, `"take"` or `"both"`: decides; 409 with the reason if
//!   that is not to be done.
//!
//! Each wants `Authorization: Bearer TOKEN` (RFC 6750 §2.1), else it is 401.

use crate::control::{Answer, Command, Control, ReviewCommand};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// Who may look and decide.
#[derive(Clone)]
pub struct Operators {
    /// What they have to show.
    pub token: String,
    /// Does what they ask.
    pub control: Arc<dyn Control>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Decision {
    choice: String,
}

pub(super) fn routes(operators: Operators) -> Router {
    let guard = middleware::from_fn_with_state(operators.clone(), guard);
    Router::new()
        .route("/reviews", get(list))
        .route("/reviews/{*id}", get(show).post(resolve))
        .layer(guard)
        .with_state(operators)
}

pub(super) async fn guard(
    State(operators): State<Operators>,
    request: Request,
    next: Next,
) -> Response {
    if is_operator(request.headers(), &operators.token) {
        return next.run(request).await;
    }
    (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")]).into_response()
}

fn is_operator(headers: &HeaderMap, token: &str) -> bool {
    let shown = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes());
    let shown = shown.and_then(|value| value.strip_prefix(b"Bearer "));
    shown.is_some_and(|shown| shown.ct_eq(token.as_bytes()).into())
}

async fn list(State(operators): State<Operators>) -> Response {
    ask(operators, ReviewCommand::List, StatusCode::INTERNAL_SERVER_ERROR).await
}

async fn show(State(operators): State<Operators>, Path(id): Path<String>) -> Response {
    ask(operators, ReviewCommand::Show { id }, StatusCode::NOT_FOUND).await
}

async fn resolve(
    State(operators): State<Operators>,
    Path(id): Path<String>,
    Json(Decision { choice }): Json<Decision>,
) -> Response {
    ask(operators, ReviewCommand::Resolve { id, choice }, StatusCode::CONFLICT).await
}

/// Asks the node, which may take its time.
async fn ask(operators: Operators, command: ReviewCommand, failed: StatusCode) -> Response {
    let control = operators.control;
    let asked = move || control.command(Command::Review(command));
    match tokio::task::spawn_blocking(asked).await {
        Ok(Answer::Reviews { reviews }) => Json(json!({ "reviews": reviews })).into_response(),
        Ok(Answer::Done { text, index }) => {
            Json(json!({ "done": text, "entry": index })).into_response()
        }
        Ok(Answer::Failed { reason }) => (failed, Json(json!({ "error": reason }))).into_response(),
        Ok(_) | Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_opens() {
        let shows = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().expect("a header"));
            is_operator(&headers, "0123456789abcdef")
        };
        assert!(shows("Bearer 0123456789abcdef"));
        for wrong in
            ["Bearer 0123456789abcde", "Bearer ", "0123456789abcdef", "Basic 0123456789abcdef"]
        {
            assert!(!shows(wrong), "{wrong}");
        }
        assert!(!is_operator(&HeaderMap::new(), ""));
    }
}
