//! Connections that others have made: let in or refused, then served.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout_at};

use super::Shared;
use super::answers::Answers;
use super::connection::{End, Reader, Writer};
use super::frame::{BODY_BYTES_MAX, Decoder, Encoder, Frame, Header, Outcome};
use super::handler::{Answer, Panic, Peer, Request, caught};
use super::handshake::{self, Hello, Kind, Message, Purpose, Refused, Welcome};
use super::options::{ACCEPT_BACKOFF, PROBE_BYTES_MAX, PROBES_IN_FLIGHT_MAX};
use super::reason::Reason;
use super::urgency::Urgency;
use crate::logging::Throttle;
use crate::net::link::{self, Listener, Stream};

/// Accepts until the node drains.
pub(super) async fn accept(listener: Listener, shared: Arc<Shared>) {
    let connections = Arc::new(Semaphore::new(shared.options.connections_max));
    let handshakes = Arc::new(Semaphore::new(shared.options.handshakes_max));
    let lines = Throttle::default();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shared.drain.cancelled() => return,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                shared.counters.accept_errors.bump();
                if let Some(times) = lines.line(Instant::now().into_std()) {
                    tracing::warn!(%error, times, "no connection of a peer can be accepted");
                }
                sleep(ACCEPT_BACKOFF).await;
                continue;
            }
        };
        shared.counters.accepted.bump();
        let permits = Arc::clone(&connections).try_acquire_owned().ok();
        let permits = permits.zip(Arc::clone(&handshakes).try_acquire_owned().ok());
        let Some((place, handshake)) = permits else {
            shared.counters.refuse(Some(from), &Reason::Crowded.into(), "");
            continue;
        };
        let visit = Visit { shared: Arc::clone(&shared), from, place, handshake };
        let shared = Arc::clone(&shared);
        shared.tasks.clone().spawn(async move {
            tokio::select! {
                () = visit.run(stream) => {}
                () = shared.kill.cancelled() => {}
            }
        });
    }
}

/// A connection before it is let in.
struct Visit {
    shared: Arc<Shared>,
    from: SocketAddr,
    place: OwnedSemaphorePermit,
    handshake: OwnedSemaphorePermit,
}

impl Visit {
    async fn run(self, stream: Stream) {
        let Self { shared, from, place, handshake } = self;
        if let Err(error) = link::tune(&stream) {
            tracing::debug!(%from, %error, "a connection broke before it began");
            return;
        }
        let (read, write) = stream.into_split();
        let mut reader = Reader::new(read, &shared.options, &shared.counters);
        let mut writer = Writer::new(write, &shared.options, &shared.counters);
        let refuse = |refused: &Refused, sign: &str| {
            shared.counters.refuse(Some(from), refused, sign);
        };
        let entered = match enter(&shared, &mut reader, &mut writer).await {
            Ok(entered) => entered,
            Err(Turned::Ended(End::Refused(reason))) => {
                refuse(&reason.into(), reader.sign());
                if reason != Reason::NotWinter && reason != Reason::CutOff {
                    tell(&mut writer, &shared, &reason.into()).await;
                }
                return;
            }
            Err(Turned::Ended(end)) => {
                tracing::debug!(%from, %end, "a connection ended before it said who it is");
                return;
            }
            Err(Turned::Away(refused)) => {
                refuse(&refused, "");
                tell(&mut writer, &shared, &refused).await;
                return;
            }
        };
        drop(handshake);
        let end = serve(&shared, entered, &mut reader, writer).await;
        drop(place);
        match end {
            End::Refused(reason) => refuse(&reason.into(), ""),
            end => tracing::debug!(%from, %end, "a connection of a peer has ended"),
        }
    }
}

/// Best effort: who is refused learns why, and nobody waits for it.
async fn tell(writer: &mut Writer<'_>, shared: &Shared, refused: &Refused) {
    let message = refused.message(shared.options.versions);
    if let Err(error) = writer.send(&message.bytes).await {
        tracing::debug!(%error, "who was refused did not wait for the reason");
    }
}

/// Why a connection is not let in.
enum Turned {
    /// It ended, or what came was nothing.
    Ended(End),
    /// Its hello is refused.
    Away(Refused),
}

/// A connection that is let in.
struct Entered {
    peer: Arc<Peer>,
    purpose: Purpose,
    /// The longest body that the other side takes.
    answer_bytes_max: usize,
    encoder: Encoder,
    decoder: Decoder,
}

async fn enter(
    shared: &Shared,
    reader: &mut Reader<'_>,
    writer: &mut Writer<'_>,
) -> Result<Entered, Turned> {
    let due = Instant::now() + shared.options.handshake_timeout;
    let message = reader.message(due).await.map_err(Turned::Ended)?;
    let own_cluster = *shared.cluster.borrow();
    let (version, hello) = shared.own(own_cluster).judge(&message).map_err(Turned::Away)?;
    if shared.drain.is_cancelled() {
        return Err(Turned::Away(Reason::Stopping.into()));
    }
    let body_bytes_max = body_bytes_max(shared, hello.purpose);
    let welcome = Message::new(
        Kind::Welcome,
        shared.options.versions,
        &Welcome {
            version,
            sender: shared.identity.node,
            cluster: own_cluster,
            attributes: shared.identity.attributes.clone(),
            body_bytes_max: u32::try_from(body_bytes_max).unwrap_or(u32::MAX),
            hello_nonce: hello.nonce,
            nonce: shared.entropy.draw(),
        },
    );
    let (theirs, ours) = handshake::keys(&message, &welcome);
    let broken = |error| Turned::Ended(End::Broken(error));
    writer.send(&welcome.bytes).await.map_err(broken)?;
    // Only who has read the welcome can send a frame: until then nothing is believed.
    let mut decoder = Decoder::new(theirs, body_bytes_max);
    let slow = |_| Turned::Ended(End::Refused(Reason::Slow));
    let first = timeout_at(due, reader.frame(&mut decoder)).await.map_err(slow)?;
    if first.map_err(Turned::Ended)?.header != Header::Ping {
        return Err(Turned::Ended(End::Refused(Reason::Unexpected)));
    }
    let mut encoder = Encoder::new(ours);
    let mut pong = vec![(Header::Pong, Bytes::new())];
    writer.send_all(&mut encoder, &mut pong, &mut BytesMut::new()).await.map_err(broken)?;
    let Hello { purpose, cluster, sender, attributes, .. } = hello;
    let peer = Arc::new(Peer { node: sender, cluster, attributes, version });
    let answer_bytes_max = usize::try_from(hello.body_bytes_max).unwrap_or(BODY_BYTES_MAX);
    let answer_bytes_max = answer_bytes_max.min(body_bytes_max);
    Ok(Entered { peer, purpose, answer_bytes_max, encoder, decoder })
}

fn body_bytes_max(shared: &Shared, purpose: Purpose) -> usize {
    match purpose {
        Purpose::Probe => PROBE_BYTES_MAX,
        Purpose::Calls | Purpose::Bulk => shared.options.body_bytes_max,
    }
}

async fn serve(
    shared: &Arc<Shared>,
    entered: Entered,
    reader: &mut Reader<'_>,
    writer: Writer<'_>,
) -> End {
    let Entered { peer, purpose, answer_bytes_max, encoder, mut decoder } = entered;
    tracing::debug!(node = %peer.node, version = peer.version, %purpose, "a peer has connected");
    let in_flight_max = match purpose {
        Purpose::Probe => PROBES_IN_FLIGHT_MAX,
        Purpose::Calls | Purpose::Bulk => shared.options.in_flight_max,
    };
    let desk = Desk {
        shared: Arc::clone(shared),
        answers: Arc::new(Answers::new(in_flight_max, shared.options.queue_bytes_max)),
        peer,
        purpose,
        answer_bytes_max,
    };
    reader.minds(&writer);
    let other_cluster = async {
        match (desk.purpose, desk.peer.cluster) {
            (Purpose::Calls | Purpose::Bulk, Some(cluster)) => shared.other_cluster(cluster).await,
            _ => std::future::pending().await,
        }
    };
    let end = tokio::select! {
        end = writer.run(encoder, &*desk.answers, None) => end,
        end = desk.read(reader, &mut decoder) => end,
        () = other_cluster => End::Done,
        () = desk.drained() => End::Done,
    };
    desk.answers.end();
    end
}

/// Where the requests of one connection are taken in.
struct Desk {
    shared: Arc<Shared>,
    answers: Arc<Answers>,
    peer: Arc<Peer>,
    purpose: Purpose,
    answer_bytes_max: usize,
}

impl Desk {
    async fn read(&self, reader: &mut Reader<'_>, decoder: &mut Decoder) -> End {
        loop {
            // Who does not take its answers is not read from.
            self.answers.room().await;
            let frame = match reader.frame(decoder).await {
                Ok(frame) => frame,
                Err(end) => return end,
            };
            if let Err(reason) = self.take(frame) {
                return End::Refused(reason);
            }
        }
    }

    fn take(&self, frame: Frame) -> Result<(), Reason> {
        let Frame { header, body } = frame;
        match header {
            Header::Request { request, channel, group, budget_millis } => {
                let budget = std::time::Duration::from_millis(budget_millis.into());
                let deadline = Some(Instant::now() + budget);
                let from = Arc::clone(&self.peer);
                self.begin(Some(request), Request { from, channel, group, body, deadline });
            }
            Header::OneWay { channel, group } if self.purpose != Purpose::Probe => {
                let from = Arc::clone(&self.peer);
                self.begin(None, Request { from, channel, group, body, deadline: None });
            }
            Header::Ping => self.answers.push(Header::Pong),
            Header::OneWay { .. } | Header::Answer { .. } | Header::Pong | Header::Goodbye => {
                return Err(Reason::Unexpected);
            }
        }
        Ok(())
    }

    /// Begins with a request, unless too much is under way or the node is about to stop.
    fn begin(&self, number: Option<u64>, request: Request) {
        let counters = &self.shared.counters;
        counters.requests.bump();
        let (urgency, bytes) = (Urgency::of(request.channel), request.body.len());
        let outcome = if self.shared.drain.is_cancelled() {
            Outcome::Stopping
        } else if self.answers.admit(urgency, bytes) {
            return self.work(number, request);
        } else {
            counters.requests_busy.bump();
            Outcome::Busy
        };
        self.answers.answer(urgency, number, outcome, Bytes::new());
    }

    fn work(&self, number: Option<u64>, request: Request) {
        let (urgency, bytes) = (Urgency::of(request.channel), request.body.len());
        let shared = Arc::clone(&self.shared);
        let answers = Arc::clone(&self.answers);
        let answer_bytes_max = self.answer_bytes_max;
        let is_probe = self.purpose == Purpose::Probe;
        let handler = Arc::clone(&self.shared.handler);
        // The handler is called here, in order; what it returns runs apart.
        let handling = caught(move || {
            if is_probe {
                handler.probe(request.from, request.body)
            } else {
                handler.handle(request)
            }
        });
        self.shared.tasks.spawn(async move {
            let (outcome, body) = tokio::select! {
                answer = handling => outcome(&shared, answer, answer_bytes_max),
                () = shared.kill.cancelled() => (Outcome::Failed, Bytes::new()),
            };
            answers.let_go(urgency, bytes);
            answers.answer(urgency, number, outcome, body);
        });
    }

    /// Says goodbye when the node drains; what is under way is still answered.
    async fn drained(&self) {
        self.shared.drain.cancelled().await;
        self.answers.push(Header::Goodbye);
        std::future::pending::<()>().await;
    }
}

fn outcome(shared: &Shared, answer: Result<Answer, Panic>, bytes_max: usize) -> (Outcome, Bytes) {
    match answer {
        Ok(Answer::Done(body)) if body.len() <= bytes_max => (Outcome::Done, body),
        Ok(Answer::Done(body)) => {
            tracing::error!(bytes = body.len(), bytes_max, "an answer is too long for the peer");
            (Outcome::Failed, Bytes::new())
        }
        Ok(Answer::Declined) => (Outcome::Declined, Bytes::new()),
        Err(panic) => {
            shared.counters.handler_panics.bump();
            let text = panic.downcast_ref::<&str>().copied();
            let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
            tracing::error!(panic = text, "what a peer asked for panicked");
            (Outcome::Failed, Bytes::new())
        }
    }
}
