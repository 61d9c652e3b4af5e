//! HTTP: probes and metrics.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;

use crate::metrics;
use crate::net::Listener;
use crate::server::Shared;

/// Serves until the node has drained.
pub async fn serve(listener: Listener, shared: Arc<Shared>) {
    let app = Router::new()
        .route("/", get(index))
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(scrape))
        .with_state(shared);
    if let Err(error) = axum::serve(listener, app).await {
        tracing::error!(%error, "HTTP has stopped");
    }
}

async fn index() -> &'static str {
    "winter\n\n/livez    the process runs\n/readyz   the node takes commands\n/metrics  for Prometheus\n"
}

/// Whether the node takes commands, and why not.
async fn ready(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    if shared.drain.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "not ready: draining\n".to_owned());
    }
    let failing = shared.health.failing();
    if failing.is_empty() {
        (StatusCode::OK, "ready\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: failing: {}\n", failing.join(", ")))
    }
}

async fn scrape(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let text = metrics::render(&shared);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}
