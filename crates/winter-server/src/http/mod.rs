//! HTTP: probes and metrics.
//!
//! A handful of pages, each put together in memory, so this is hyper alone and no
//! framework. What is reached from anywhere in a cluster has to bear anything:
//! see `connections` for the limits, and `scrapes` for why many scrapes cost
//! no more than a few. HTTP goes on while the node drains, so that probes see it.

mod connections;
mod scrapes;

use std::sync::Arc;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Response, StatusCode};
use tokio_util::sync::CancellationToken;
use winter_core::cluster::recovery::NoPlan;

use crate::metrics::Metrics;
use crate::net::Listener;
use crate::server::Shared;
pub use connections::CONNECTIONS_MAX;
use scrapes::Scrapes;

const PLAIN: &str = "text/plain; charset=utf-8";
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Every page, and what it is for.
const PAGES: [(&str, &str); 5] = [
    ("/", "this page"),
    ("/livez", "200 while the process runs"),
    ("/readyz", "200 while the node takes commands; 503 and why while it does not"),
    ("/metrics", "for Prometheus"),
    (RECOVER, "what `winter recover` would do after a majority was lost"),
];
const RECOVER: &str = "/recover";

type Page = Response<Full<Bytes>>;

/// What HTTP serves.
#[derive(Debug)]
pub struct Site {
    shared: Arc<Shared>,
    scrapes: Scrapes,
}

impl Site {
    /// The site of a node.
    #[must_use]
    pub fn new(shared: Arc<Shared>) -> Self {
        let metrics = Metrics::new(Arc::clone(&shared));
        Self { shared, scrapes: Scrapes::new(move || metrics.render()) }
    }

    async fn page(&self, method: &Method, path: &str) -> Page {
        self.shared.node.stats.events.http_requests.bump();
        if let Some(plan) = path.strip_prefix("/recover/") {
            return self.recover(method, plan).await;
        }
        if !PAGES.iter().any(|(known, _)| *known == path) {
            return page(StatusCode::NOT_FOUND, PLAIN, format!("no such page\n\n{}", pages()));
        }
        if method != Method::GET && method != Method::HEAD {
            return not_allowed("GET, HEAD");
        }
        match path {
            "/" => {
                let version = env!("CARGO_PKG_VERSION");
                page(StatusCode::OK, PLAIN, format!("winter {version}\n\n{}", pages()))
            }
            "/livez" => page(StatusCode::OK, PLAIN, "ok\n"),
            "/readyz" => match self.shared.unready() {
                None => page(StatusCode::OK, PLAIN, "ready\n"),
                Some(why) => {
                    page(StatusCode::SERVICE_UNAVAILABLE, PLAIN, format!("not ready: {why}\n"))
                }
            },
            RECOVER => self.recovery().await,
            _ => match self.scrapes.text().await {
                Some(text) => page(StatusCode::OK, METRICS, text),
                None => fault(),
            },
        }
    }
}

impl Site {
    /// What a recovery would do, and the plan's name.
    async fn recovery(&self) -> Page {
        let Some(cluster) = self.shared.cluster() else { return no_cluster() };
        match cluster.plan_recovery().await {
            Ok((token, lines)) => {
                page(StatusCode::OK, PLAIN, format!("{}\nplan {token}\n", lines.join("\n")))
            }
            Err(why @ NoPlan::Whole) => page(StatusCode::OK, PLAIN, format!("{why}\n")),
            Err(why) => page(StatusCode::CONFLICT, PLAIN, format!("{why}\n")),
        }
    }

    /// Recovers as a plan says that was shown.
    async fn recover(&self, method: &Method, plan: &str) -> Page {
        if method != Method::POST {
            return not_allowed("POST");
        }
        let Some(cluster) = self.shared.cluster() else { return no_cluster() };
        match cluster.recover(plan).await {
            Ok(lines) => page(StatusCode::OK, PLAIN, format!("{}\n", lines.join("\n"))),
            Err(why) => page(StatusCode::CONFLICT, PLAIN, format!("{why}\n")),
        }
    }
}

fn no_cluster() -> Page {
    page(StatusCode::CONFLICT, PLAIN, "this node stands alone: it has no cluster to recover\n")
}

/// The page for a method that is not that of the path.
fn not_allowed(methods: &'static str) -> Page {
    let text = format!("only {methods} is answered here\n");
    let mut refusal = page(StatusCode::METHOD_NOT_ALLOWED, PLAIN, text);
    refusal.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    refusal
}

/// Serves until `stop` is cancelled, then answers what was asked before.
pub async fn serve(listener: Arc<Listener>, site: Arc<Site>, stop: CancellationToken) {
    let shared = Arc::clone(&site.shared);
    let respond = move |method: Method, path: String| {
        let site = Arc::clone(&site);
        async move { site.page(&method, &path).await }
    };
    connections::serve(&listener, stop, &shared.node.stats.events, respond).await;
}

fn pages() -> String {
    PAGES.iter().map(|(path, what)| format!("{path:<10} {what}\n")).collect()
}

fn page(status: StatusCode, kind: &'static str, text: impl Into<Bytes>) -> Page {
    let mut page = Response::new(Full::new(text.into()));
    *page.status_mut() = status;
    page.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    page.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    page
}

/// The page where a fault of ours was caught.
fn fault() -> Page {
    page(StatusCode::INTERNAL_SERVER_ERROR, PLAIN, "a fault of ours was caught; see the log\n")
}
