//! Asking somebody once, before there is a cluster or across two of them.

use bytes::{Bytes, BytesMut};
use tokio::time::{Instant, timeout_at};
use winter_core::cluster::{Address, Attributes, ClusterId, GroupId, NodeId};

use super::Shared;
use super::connection::End;
use super::dial::{Connected, Target, dial};
use super::error::ProbeError;
use super::frame::{Channel, Header, Outcome};
use super::handshake::{Purpose, Refused};
use super::options::PROBE_BYTES_MAX;
use super::reason::Reason;

/// What somebody answered, and who.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probed {
    /// Who it is. It may be this node itself.
    pub node: NodeId,
    /// Its cluster, if it has one.
    pub cluster: Option<ClusterId>,
    /// What else it says of itself.
    pub attributes: Attributes,
    /// The version of the protocol that it and we speak.
    pub version: u16,
    /// What it answered.
    pub body: Bytes,
}

pub(super) async fn probe(
    shared: &Shared,
    address: &Address,
    body: Bytes,
    deadline: Instant,
) -> Result<Probed, ProbeError> {
    if body.len() > PROBE_BYTES_MAX {
        return Err(ProbeError::TooLong);
    }
    let late = || ProbeError::Unreachable("the deadline came before the answer".to_owned());
    timeout_at(deadline, ask(shared, address, body, deadline)).await.map_err(|_| late())?
}

async fn ask(
    shared: &Shared,
    address: &Address,
    body: Bytes,
    deadline: Instant,
) -> Result<Probed, ProbeError> {
    let target = Target { address: address.as_str(), purpose: Purpose::Probe, receiver: None };
    let connected = dial(shared, target).await?;
    let Connected { mut reader, mut writer, mut encoder, mut decoder, welcome } = connected;
    let budget = deadline.saturating_duration_since(Instant::now()).as_millis();
    let header = Header::Request {
        request: 0,
        channel: Channel::MEMBERSHIP,
        group: GroupId::Meta,
        budget_millis: u32::try_from(budget).unwrap_or(u32::MAX),
    };
    let unreachable = |why: String| ProbeError::Unreachable(format!("{address}: {why}"));
    let sent = writer.send_all(&mut encoder, &mut vec![(header, body)], &mut BytesMut::new()).await;
    sent.map_err(|error| unreachable(error.to_string()))?;
    let refuse = |refused: Refused| {
        shared.counters.refuse(None, &refused, "a node that was probed");
        ProbeError::Refused { reason: refused.reason, told: refused.told }
    };
    loop {
        let frame = match reader.frame(&mut decoder).await {
            Ok(frame) => frame,
            Err(End::Refused(reason)) => return Err(refuse(reason.into())),
            Err(End::Broken(error)) => return Err(unreachable(error.to_string())),
            Err(End::Closed | End::Done | End::Silent) => {
                return Err(unreachable("closed without an answer".to_owned()));
            }
        };
        match frame.header {
            Header::Goodbye => {}
            Header::Answer { request: 0, outcome: Outcome::Done } => {
                return Ok(Probed {
                    node: welcome.sender,
                    cluster: welcome.cluster,
                    attributes: welcome.attributes,
                    version: welcome.version,
                    body: frame.body,
                });
            }
            Header::Answer { request: 0, outcome } => return Err(failed(outcome)),
            _ => return Err(refuse(Reason::Unexpected.into())),
        }
    }
}

fn failed(outcome: Outcome) -> ProbeError {
    match outcome {
        Outcome::Stopping => {
            let reason = Reason::Stopping;
            ProbeError::Refused { reason, told: reason.to_string() }
        }
        Outcome::Done | Outcome::Declined => ProbeError::Declined,
        Outcome::Busy | Outcome::Failed => {
            ProbeError::Unreachable("the node was busy, or failed".to_owned())
        }
    }
}
