//! Connections to HTTP: few, and short.
//!
//! A connection carries one request. Probes and scrapers gain nothing from more,
//! and so one limit on a connection's life bounds whatever a client may do: not
//! sending, sending slowly, not reading, being gone. When all places are taken,
//! the connection that has had its place longest gives it up, unless it is too
//! new to be suspected of anything; so whoever holds connections open does not
//! keep probes out.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper::{Method, Request};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::{Page, fault};
use crate::net::{self, Listener, Stream};
use crate::node::faults;
use crate::stats::Events;

/// Connections at the most.
pub const CONNECTIONS_MAX: usize = 128;
/// A request's first line and headers, in bytes.
const HEADER_BYTES_MAX: usize = 8 << 10;
const HEADERS_MAX: usize = 64;
/// How long a request's headers may take to arrive.
const HEADERS_WAIT_MAX: Duration = Duration::from_secs(5);
/// How long a connection may live.
const LIFE_MAX: Duration = Duration::from_secs(10);
/// How long a connection may live when others wait for its place.
const CROWDED_LIFE_MAX: Duration = Duration::from_secs(1);
/// How long the client may take to read its answer and close.
const LINGER_MAX: Duration = Duration::from_millis(250);
/// What a client may send beyond its request before its connection is cut.
const LINGER_BYTES_MAX: usize = 64 << 10;
/// How long the last requests may take when HTTP is told to stop.
const END_MAX: Duration = Duration::from_millis(500);
/// How long to wait when the system has no file descriptor to give.
const BACKOFF: Duration = Duration::from_millis(50);

/// What answers a request. It may panic.
pub(super) trait Respond<F>:
    Fn(Method, String) -> F + Clone + Send + Unpin + 'static
{
}
impl<F, R: Fn(Method, String) -> F + Clone + Send + Unpin + 'static> Respond<F> for R {}

/// Serves until `stop` is cancelled.
pub(super) async fn serve<F>(
    listener: &Listener,
    stop: CancellationToken,
    events: &Events,
    respond: impl Respond<F>,
) where
    F: Future<Output = Page> + Send + 'static,
{
    let mut open = Open::default();
    loop {
        let gives_way_at = open.oldest() + CROWDED_LIFE_MAX;
        let is_full = open.tasks.len() >= CONNECTIONS_MAX;
        tokio::select! {
            () = stop.cancelled() => break,
            Some(ended) = open.tasks.join_next() => {
                let was_slow = ended.unwrap_or_else(|error| error.is_cancelled());
                events.http_dropped.bump_by(was_slow.into());
            }
            accepted = listener.accept(), if !is_full => match accepted {
                Ok((stream, _)) => {
                    faults::point("http");
                    open.spawn(connection(stream, respond.clone()));
                }
                Err(error) => {
                    tracing::debug!(%error, "HTTP cannot accept a connection");
                    sleep(BACKOFF).await;
                }
            },
            () = sleep_until(gives_way_at), if is_full => open.drop_oldest(),
        }
    }
    let last = async { while open.tasks.join_next().await.is_some() {} };
    if timeout(END_MAX, last).await.is_err() {
        tracing::debug!("HTTP's last connections were cut off");
    }
}

/// The connections that are open, the oldest first.
#[derive(Default)]
struct Open {
    /// Each ends with whether it was too slow.
    tasks: JoinSet<bool>,
    since: VecDeque<(Instant, AbortHandle)>,
}

impl Open {
    fn spawn(&mut self, connection: impl Future<Output = bool> + Send + 'static) {
        let task = self.tasks.spawn(connection);
        self.since.push_back((Instant::now(), task));
        if self.since.len() > 2 * CONNECTIONS_MAX {
            self.since.retain(|(_, task)| !task.is_finished());
        }
    }

    /// Since when the oldest connection is open; now, if none is.
    fn oldest(&mut self) -> Instant {
        while self.since.front().is_some_and(|(_, task)| task.is_finished()) {
            self.since.pop_front();
        }
        self.since.front().map_or_else(Instant::now, |(since, _)| *since)
    }

    fn drop_oldest(&mut self) {
        if let Some((_, task)) = self.since.pop_front() {
            task.abort();
        }
    }
}

/// Serves one connection: whether it was too slow.
async fn connection<F>(stream: Stream, respond: impl Respond<F>) -> bool
where
    F: Future<Output = Page> + Send + 'static,
{
    if net::tune_http(&stream).is_err() {
        return false;
    }
    let service = service_fn(move |request: Request<Incoming>| {
        let work = respond(request.method().clone(), request.uri().path().to_owned());
        Box::pin(async move { Ok::<_, Infallible>(caught(work).await) })
    });
    let mut connection = Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WAIT_MAX)
        .max_headers(HEADERS_MAX)
        .max_header_size(HEADER_BYTES_MAX)
        .max_buf_size(2 * HEADER_BYTES_MAX)
        .keep_alive(false)
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service);
    let life = timeout(LIFE_MAX, poll_fn(|cx| connection.poll_without_shutdown(cx)));
    let is_slow = match life.await {
        Ok(Ok(())) => false,
        Ok(Err(error)) => {
            tracing::debug!(%error, "a connection to HTTP failed");
            error.is_timeout()
        }
        Err(_) => {
            // It has broken already, or lets go of its bytes now.
            let _ = net::abandon(connection.into_parts().io.inner());
            return true;
        }
    };
    // Best effort: what the client has sent in vain must not cost it its answer.
    let _ = timeout(LINGER_MAX, linger(connection.into_parts().io.into_inner())).await;
    is_slow
}

/// Waits until the client has closed its side too.
async fn linger(mut stream: Stream) -> io::Result<()> {
    stream.shutdown().await?;
    let mut sink = [0; 1 << 10];
    let mut left = LINGER_BYTES_MAX;
    while left > 0 {
        match stream.read(&mut sink).await? {
            0 => break,
            bytes => left = left.saturating_sub(bytes),
        }
    }
    Ok(())
}

/// `work`'s answer, or another one if it panics.
async fn caught(work: impl Future<Output = Page>) -> Page {
    let mut work = pin!(work);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
        Ok(polled) => polled,
        Err(_) => {
            tracing::error!("a page of HTTP panicked");
            Poll::Ready(fault())
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hyper::StatusCode;

    use super::*;
    use crate::stats::Stats;

    /// A listener whose page `/` is there and whose page `/panic` panics.
    fn start() -> (std::net::SocketAddr, Arc<Stats>, CancellationToken) {
        let listener = net::bind(([127, 0, 0, 1], 0).into()).expect("a free port is there");
        let address = listener.local_addr().expect("it is bound");
        let listener = Listener::from_std(listener).expect("it can be waited for");
        let (stats, stop) = (Arc::new(Stats::new(1)), CancellationToken::new());
        let (events, told) = (Arc::clone(&stats), stop.clone());
        tokio::spawn(async move {
            serve(&listener, told, &events.events, |_, path| async move {
                assert_ne!(path, "/panic", "as the test wants it");
                super::super::page(StatusCode::OK, "text/plain", "here\n")
            })
            .await;
        });
        (address, stats, stop)
    }

    async fn ask(address: std::net::SocketAddr, request: &str) -> String {
        let mut stream = Stream::connect(address).await.expect("it listens");
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it answers and closes");
        answer
    }

    #[tokio::test]
    async fn a_page_that_panics_is_answered_and_takes_nothing_down() {
        let (address, ..) = start();
        for _ in 0..3 {
            let answer = ask(address, "GET /panic HTTP/1.1\r\nHost: a\r\n\r\n").await;
            assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
            let answer = ask(address, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
            assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("here\n"), "{answer}");
        }
    }

    #[tokio::test]
    async fn connections_that_are_held_open_give_way() {
        let (address, stats, _) = start();
        let mut held = Vec::new();
        for _ in 0..CONNECTIONS_MAX + 10 {
            held.push(Stream::connect(address).await.expect("it listens"));
        }
        let answer = ask(address, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(stats.events.http_dropped.read() > 10);
    }

    #[tokio::test]
    async fn what_was_asked_is_answered_before_the_end() {
        let (address, _, stop) = start();
        let mut stream = Stream::connect(address).await.expect("it listens");
        stream.write_all(b"GET / HTTP/1.1\r\nHo").await.expect("it reads");
        tokio::task::yield_now().await;
        // Taken in before the end, since connections are taken in their order.
        ask(address, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        stop.cancel();
        stream.write_all(b"st: a\r\n\r\n").await.expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it answers and closes");
        assert!(answer.ends_with("here\n"), "{answer}");
    }
}
