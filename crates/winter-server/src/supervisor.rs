//! Background work that is started again when it fails.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use winter_core::supervise::{Intensity, RestartLog, Verdict};

use crate::server::Shared;

const BACKOFF_LEAST: Duration = Duration::from_millis(100);
const BACKOFF_MOST: Duration = Duration::from_secs(10);

/// Runs `work` until the node drains; when it panics, starts it again with
/// back-off. Work that keeps failing makes the node unready until it holds.
pub async fn supervise<F>(name: &'static str, shared: Arc<Shared>, mut work: impl FnMut() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut restarts = RestartLog::default();
    let mut backoff = BACKOFF_LEAST;
    while !shared.drain.is_cancelled() {
        let started = tokio::time::Instant::now();
        match tokio::spawn(work()).await {
            Ok(()) => return,
            Err(error) => tracing::error!(task = name, %error, "background work failed"),
        }
        if started.elapsed() > BACKOFF_MOST {
            backoff = BACKOFF_LEAST;
        }
        shared.node.stats.events.task_restarts.bump();
        let verdict = restarts.record(shared.node.clock.now(), Intensity::default());
        shared.health.set(name, verdict == Verdict::Restart);
        if verdict == Verdict::Fence {
            tracing::error!(task = name, "background work keeps failing; the node is not ready");
        }
        tokio::time::sleep(backoff).await;
        backoff = (backoff * 2).min(BACKOFF_MOST);
    }
}
