//! Enrolment: a page that says what a phone is about to install, and the profile itself, once.
//!
//! The page takes nothing: programs that look at links before people do would use the profile up.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::io;
use std::sync::Arc;

/// The media type of configuration profiles.
const PROFILE: &str = "application/x-apple-aspen-config";
const PAGE: &str = "<!DOCTYPE html>
<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">
<title>Enrol this device</title>
<style>body{font:17px system-ui;max-width:32em;margin:3em auto;padding:0 1em}
a{display:inline-block;padding:.7em 1.2em;border-radius:.6em;background:#06c;color:#fff;text-decoration:none}</style>
</head><body><h1>Enrol this device</h1>
<p>The profile makes this device ask your fleet's servers about the fleet's names, encrypted, and lets
them keep its address. It is for this device alone, and can be loaded once.</p>
<p><a href=\"TOKEN/profile\">Load the profile</a></p>
<p>Then open Settings, and there <em>Profile Downloaded</em>, to install it.</p>
</body></html>
";

/// Profiles that are offered.
pub trait Offers: Send + Sync {
    /// Whether this token opens one; may read a disk.
    ///
    /// # Errors
    /// What the system says.
    fn is_open(&self, token: &str) -> io::Result<bool>;

    /// The profile that the token opens, which it never does again; may use a disk.
    ///
    /// # Errors
    /// What the system says.
    fn take(&self, token: &str) -> io::Result<Option<Vec<u8>>>;
}

/// The routes.
pub(super) fn routes(offers: Arc<dyn Offers>) -> Router {
    Router::new()
        .route("/enrol/{token}", get(page))
        .route("/enrol/{token}/profile", get(profile))
        .with_state(offers)
}

async fn page(State(offers): State<Arc<dyn Offers>>, Path(token): Path<String>) -> Response {
    // What is written into the page is what the path may have.
    let is_plain =
        token.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_".contains(&octet));
    let shown = PAGE.replace("TOKEN", &token);
    let open = tokio::task::spawn_blocking(move || offers.is_open(&token)).await;
    answer(
        open.map(|open| open.map(|open| (open && is_plain).then_some(shown.into_bytes()))),
        "text/html; charset=utf-8",
    )
}

async fn profile(State(offers): State<Arc<dyn Offers>>, Path(token): Path<String>) -> Response {
    answer(tokio::task::spawn_blocking(move || offers.take(&token)).await, PROFILE)
}

fn answer(
    found: Result<io::Result<Option<Vec<u8>>>, tokio::task::JoinError>,
    kind: &'static str,
) -> Response {
    match found.map_err(io::Error::other).flatten() {
        Ok(Some(octets)) => {
            let headers = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-store")];
            (headers, octets).into_response()
        }
        Ok(None) => {
            let text = "This link has been used, or is too old: ask for another one.\n";
            (StatusCode::NOT_FOUND, text).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "an offered profile could not be read");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
