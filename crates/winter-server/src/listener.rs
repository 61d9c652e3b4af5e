//! Taking connections in and handing them round to the threads.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use crate::logging::Throttle;
use crate::net::{self, Listener, Stream};
use crate::node::faults;
use crate::server::Shared;
use crate::session;

/// How long to wait when the system has no file descriptor to give.
const BACKOFF: Duration = Duration::from_millis(50);
const TOO_MANY_CLIENTS: &[u8] = b"-ERR max number of clients reached\r\n";

/// Accepts until the node drains.
pub async fn run(listener: Arc<Listener>, shared: Arc<Shared>) {
    let door = Door { shared, lines: Throttle::default() };
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = door.shared.drain.cancelled() => break,
        };
        faults::point("accept");
        match accepted {
            Ok((stream, _)) => door.let_in(stream),
            Err(error) => {
                door.shared.node.stats.events.accept_errors.bump();
                door.report("no connection can be accepted", Some(&error));
                tokio::time::sleep(BACKOFF).await;
            }
        }
    }
    // Whoever had connected before is served; what they asked is answered.
    for _ in 0..net::BACKLOG {
        let Ok(Ok((stream, _))) = timeout(Duration::ZERO, listener.accept()).await else { return };
        door.let_in(stream);
    }
}

/// Where connections come in.
struct Door {
    shared: Arc<Shared>,
    /// Of connections that are not taken.
    lines: Throttle,
}

impl Door {
    fn let_in(&self, stream: Stream) {
        let shared = &self.shared;
        if shared.clients.len() >= shared.node.config.connections_max {
            shared.node.stats.events.connections_refused.bump();
            self.report("too many connections; see WINTER_MAX_CONNECTIONS", None);
            // Best effort: the client learns why, and nobody waits for it.
            let _ = stream.try_write(TOO_MANY_CLIENTS);
            return;
        }
        shared.node.stats.events.connections_accepted.bump();
        if let Err(error) = net::tune(&stream).and_then(|()| session::begin(stream, shared)) {
            tracing::debug!(%error, "a connection broke before it began");
        }
    }

    fn report(&self, what: &str, error: Option<&io::Error>) {
        if let Some(times) = self.lines.line(Instant::now()) {
            tracing::warn!(error = error.map(tracing::field::display), times, "{what}");
        }
    }
}
