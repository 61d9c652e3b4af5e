//! Keeping a connection to a peer: dial, serve, and dial again.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use winter_core::cluster::{Address, ClusterId, NodeId};

use super::Shared;
use super::connection::{End, Reader};
use super::dial::{Connected, DialError, Target, dial};
use super::error::NotSent;
use super::frame::{BODY_BYTES_MAX, Decoder, Header};
use super::handshake::Purpose;
use super::lane::{Answered, Lane};
use super::reason::Reason;

/// Keeps one connection to one peer until the peer is forgotten or the node stops.
pub(super) struct Dialler {
    pub shared: Arc<Shared>,
    pub lane: Arc<Lane>,
    pub node: NodeId,
    pub purpose: Purpose,
    pub address: watch::Receiver<Address>,
    /// The peer is forgotten.
    pub forgotten: CancellationToken,
}

impl Dialler {
    pub(super) async fn run(mut self) {
        let (shared, lane) = (Arc::clone(&self.shared), Arc::clone(&self.lane));
        let forgotten = self.forgotten.clone();
        let why = tokio::select! {
            () = self.keep() => NotSent::Stopped,
            () = forgotten.cancelled() => NotSent::UnknownPeer,
            () = shared.kill.cancelled() => NotSent::Stopped,
        };
        lane.shut(why);
        lane.lose();
    }

    /// Returns when the node has drained.
    async fn keep(&mut self) {
        let (shared, lane) = (Arc::clone(&self.shared), Arc::clone(&self.lane));
        let mut backoff = Backoff::new(&shared);
        let mut failure = None;
        loop {
            let connected = tokio::select! {
                connected = self.connect(&shared) => connected,
                () = shared.drain.cancelled() => return,
            };
            match connected {
                Ok((cluster, connected)) => {
                    failure = None;
                    let began = Instant::now();
                    let end = self.serve(connected, cluster).await;
                    lane.lose();
                    self.report(&end);
                    if shared.drain.is_cancelled() {
                        return;
                    }
                    // A connection that held is made again at once.
                    if began.elapsed() >= shared.options.backoff_most {
                        backoff.reset();
                        continue;
                    }
                    lane.shut(NotSent::Unreachable);
                }
                Err(error) => {
                    lane.shut(NotSent::from(&error));
                    self.report_failure(error, &mut failure);
                }
            }
            tokio::select! {
                () = sleep(backoff.next()) => {}
                // Somewhere else it may be found at once.
                Ok(()) = self.address.changed() => backoff.reset(),
                () = shared.drain.cancelled() => return,
            }
        }
    }

    /// Connects when there is a cluster and, for bulk, something to send.
    async fn connect<'a>(
        &mut self,
        shared: &'a Shared,
    ) -> Result<(ClusterId, Connected<'a>), DialError> {
        let mut clusters = shared.cluster.subscribe();
        let mut known = *clusters.borrow_and_update();
        while known.is_none() {
            self.lane.shut(NotSent::NoCluster);
            if clusters.changed().await.is_err() {
                pending::<()>().await;
            }
            known = *clusters.borrow_and_update();
        }
        let cluster = known.expect("there is one now");
        self.lane.connecting();
        if self.purpose == Purpose::Bulk {
            self.lane.wanted().await;
        }
        let address = self.address.borrow_and_update().clone();
        let (purpose, receiver) = (self.purpose, Some(self.node));
        let target = Target { address: address.as_str(), purpose, receiver };
        Ok((cluster, dial(shared, target).await?))
    }

    async fn serve(&self, connected: Connected<'_>, cluster: ClusterId) -> End {
        let Connected { mut reader, writer, encoder, mut decoder, welcome } = connected;
        let options = &self.shared.options;
        let theirs = usize::try_from(welcome.body_bytes_max).unwrap_or(BODY_BYTES_MAX);
        self.lane.connected(welcome.version, options.body_bytes_max.min(theirs));
        let (node, version) = (self.node, welcome.version);
        tracing::debug!(%node, version, purpose = %self.purpose, "a peer is connected");
        let lane = &*self.lane;
        tokio::select! {
            end = writer.run(encoder, lane, Some(options.keepalive)) => end,
            end = read_answers(&mut reader, &mut decoder, lane, &self.shared) => end,
            () = self.shared.other_cluster(cluster) => End::Done,
            () = self.drained() => End::Done,
        }
    }

    /// Takes no more calls once the node drains. The writer ends when the last answer has come.
    async fn drained(&self) {
        self.shared.drain.cancelled().await;
        self.lane.shut(NotSent::Stopped);
        self.lane.leave();
        pending::<()>().await;
    }

    fn report(&self, end: &End) {
        let (node, purpose) = (self.node, self.purpose);
        match end {
            End::Refused(reason) => {
                self.shared.counters.refuse(None, &(*reason).into(), "a peer that was dialled");
            }
            End::Done => tracing::debug!(%node, %purpose, "a connection to a peer is closed"),
            _ => tracing::info!(%node, %purpose, %end, "a connection to a peer has ended"),
        }
    }

    /// Names each failure once, until there is another, and none that nodes have which start
    /// or stop.
    fn report_failure(&self, error: DialError, last: &mut Option<DialError>) {
        let (node, address) = (self.node, self.address.borrow().clone());
        let reason = error.to_string();
        let why = reason.escape_debug();
        let is_usual = matches!(&error, DialError::Refused(refused) if refused.reason.is_usual());
        if is_usual || last.as_ref() == Some(&error) {
            tracing::debug!(%node, %address, %why, "not connected yet");
        } else {
            tracing::warn!(%node, %address, %why, "a peer cannot be connected");
        }
        *last = Some(error);
    }
}

/// Hands answers to those who wait for them, until the connection ends.
async fn read_answers(
    reader: &mut Reader<'_>,
    decoder: &mut Decoder,
    lane: &Lane,
    shared: &Shared,
) -> End {
    loop {
        let frame = match reader.frame(decoder).await {
            Ok(frame) => frame,
            Err(end) => return end,
        };
        match frame.header {
            Header::Answer { request, outcome } => {
                match lane.answer(request, outcome, frame.body) {
                    Answered::Taken => {}
                    Answered::Late => shared.counters.answers_late.bump(),
                    Answered::Never => return End::Refused(Reason::Unexpected),
                }
            }
            Header::Pong => {}
            Header::Goodbye => {
                lane.shut(NotSent::Stopping);
                lane.leave();
            }
            Header::Request { .. } | Header::OneWay { .. } | Header::Ping => {
                return End::Refused(Reason::Unexpected);
            }
        }
    }
}

/// Waits that double, each cut by chance to between a half and all of it, so
/// that those who lost a peer together do not come back together.
struct Backoff<'a> {
    shared: &'a Shared,
    wait: Duration,
}

impl<'a> Backoff<'a> {
    fn new(shared: &'a Shared) -> Self {
        Self { shared, wait: shared.options.backoff_least }
    }

    fn reset(&mut self) {
        self.wait = self.shared.options.backoff_least;
    }

    fn next(&mut self) -> Duration {
        let wait = self.wait;
        self.wait = (wait * 2).min(self.shared.options.backoff_most);
        let part = u32::try_from(self.shared.entropy.draw() % 512).expect("it is small");
        wait * (512 + part) / 1_024
    }
}
