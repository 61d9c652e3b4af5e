//! Making a connection: resolve, connect, greet.

use std::net::SocketAddr;

use bytes::BytesMut;
use tokio::time::{Instant, timeout, timeout_at};
use winter_core::cluster::NodeId;

use super::Shared;
use super::connection::{End, Reader, Writer};
use super::error::{NotSent, ProbeError};
use super::frame::{Decoder, Encoder, Header};
use super::handshake::{self, Hello, Kind, Message, Purpose, Refused, Welcome};
use super::options::{ADDRESSES_MAX, PROBE_BYTES_MAX};
use super::reason::Reason;
use crate::net::link;

/// A connection on which both sides have shown who they are.
pub(super) struct Connected<'a> {
    pub reader: Reader<'a>,
    pub writer: Writer<'a>,
    pub encoder: Encoder,
    pub decoder: Decoder,
    pub welcome: Welcome,
}

/// Why there is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum DialError {
    #[error("{0}")]
    Unreachable(String),
    #[error("refused: {}", .0.told)]
    Refused(Refused),
}

impl From<&DialError> for NotSent {
    fn from(error: &DialError) -> Self {
        match error {
            DialError::Unreachable(_) => Self::Unreachable,
            DialError::Refused(refused) => Self::Refused(refused.reason),
        }
    }
}

impl From<DialError> for ProbeError {
    fn from(error: DialError) -> Self {
        match error {
            DialError::Unreachable(why) => Self::Unreachable(why),
            DialError::Refused(Refused { reason, told }) => Self::Refused { reason, told },
        }
    }
}

/// Whom to reach, and what for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target<'a> {
    pub address: &'a str,
    pub purpose: Purpose,
    pub receiver: Option<NodeId>,
}

/// Tries each address of a name until one leads to who is meant. A refusal is
/// told rather than that another address is out of reach.
pub(super) async fn dial<'a>(
    shared: &'a Shared,
    target: Target<'_>,
) -> Result<Connected<'a>, DialError> {
    shared.counters.dials.bump();
    let mut why = DialError::Unreachable(format!("{} has no address", target.address));
    match timeout(shared.options.dial_timeout, link::resolve(target.address)).await {
        Ok(Ok(addresses)) => {
            for address in addresses.into_iter().take(ADDRESSES_MAX) {
                match greet(shared, address, target).await {
                    Ok(connected) => return Ok(connected),
                    Err(_) if matches!(why, DialError::Refused(_)) => {}
                    Err(error) => why = error,
                }
            }
        }
        Ok(Err(error)) => why = unreachable(target.address, &error),
        Err(_) => why = unreachable(target.address, &"the name is not resolved in time"),
    }
    shared.counters.dial_failures.bump();
    Err(why)
}

fn unreachable(who: impl std::fmt::Display, why: &impl std::fmt::Display) -> DialError {
    DialError::Unreachable(format!("{who}: {why}"))
}

async fn greet<'a>(
    shared: &'a Shared,
    address: SocketAddr,
    target: Target<'_>,
) -> Result<Connected<'a>, DialError> {
    let options = &shared.options;
    let stream = link::dial(address, options.dial_timeout).await;
    let stream = stream.and_then(|stream| link::tune(&stream).map(|()| stream));
    let (read, write) = stream.map_err(|error| unreachable(address, &error))?.into_split();
    let mut greeting = Greeting {
        shared,
        address,
        reader: Reader::new(read, options, &shared.counters),
        writer: Writer::new(write, options, &shared.counters),
        due: Instant::now() + options.handshake_timeout,
    };
    let hello = shared.hello(target.purpose, target.receiver);
    let said = Message::new(Kind::Hello, options.versions, &hello);
    let (answered, welcome) = greeting.exchange(&hello, &said).await?;
    let (ours, theirs) = handshake::keys(&said, &answered);
    let body_bytes_max = match target.purpose {
        Purpose::Probe => PROBE_BYTES_MAX,
        Purpose::Calls | Purpose::Bulk => options.body_bytes_max,
    };
    let mut decoder = Decoder::new(theirs, body_bytes_max);
    let encoder = greeting.confirm(Encoder::new(ours), &mut decoder).await?;
    let Greeting { mut reader, writer, .. } = greeting;
    reader.minds(&writer);
    Ok(Connected { reader, writer, encoder, decoder, welcome })
}

struct Greeting<'a> {
    shared: &'a Shared,
    address: SocketAddr,
    reader: Reader<'a>,
    writer: Writer<'a>,
    due: Instant,
}

impl Greeting<'_> {
    async fn exchange(
        &mut self,
        hello: &Hello,
        said: &Message,
    ) -> Result<(Message, Welcome), DialError> {
        let sent = self.writer.send(&said.bytes).await;
        sent.map_err(|error| unreachable(self.address, &error))?;
        let answered = self.reader.message(self.due).await;
        let answered = answered.map_err(|end| self.ended(end))?;
        let own_cluster = hello.cluster;
        match self.shared.own(own_cluster).judge_welcome(hello, &answered) {
            Ok(welcome) => Ok((answered, welcome)),
            Err(refused) if answered.kind == Kind::Refusal => {
                self.shared.counters.refused_by_peer(refused.reason);
                Err(DialError::Refused(refused))
            }
            Err(refused) => Err(self.refuse(refused)),
        }
    }

    /// Shows that we have read the welcome, and sees that the other side has a key, too.
    async fn confirm(
        &mut self,
        mut encoder: Encoder,
        decoder: &mut Decoder,
    ) -> Result<Encoder, DialError> {
        let mut ping = vec![(Header::Ping, bytes::Bytes::new())];
        let sent = self.writer.send_all(&mut encoder, &mut ping, &mut BytesMut::new()).await;
        sent.map_err(|error| unreachable(self.address, &error))?;
        match timeout_at(self.due, self.reader.frame(decoder)).await {
            Ok(Ok(frame)) if frame.header == Header::Pong => Ok(encoder),
            Ok(Ok(_)) => Err(self.refuse(Reason::Unexpected.into())),
            Ok(Err(end)) => Err(self.ended(end)),
            Err(_) => Err(self.refuse(Reason::Slow.into())),
        }
    }

    fn ended(&self, end: End) -> DialError {
        match end {
            End::Refused(reason) => self.refuse(reason.into()),
            End::Broken(error) => unreachable(self.address, &error),
            End::Closed | End::Done => unreachable(self.address, &"closed without an answer"),
            End::Silent => unreachable(self.address, &"no answer"),
        }
    }

    fn refuse(&self, refused: Refused) -> DialError {
        self.shared.counters.refuse(Some(self.address), &refused, self.reader.sign());
        DialError::Refused(refused)
    }
}
