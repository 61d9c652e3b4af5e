//! The handshake: who speaks, to whom, and in which version; as functions of bytes.
//!
//! ```text
//! magic 8 bytes | kind u8 | oldest u16 | newest u16 | length u32 | checksum u64 | body (postcard)
//! ```
//!
//! This much is the same in all versions for ever: any two nodes can tell each
//! other which versions they speak. The body is read only when a version is
//! common; fields are added at its end, and what follows the known ones is
//! skipped. The dialler says hello, the other side welcomes or refuses it, and
//! the dialler's first frame, whose checksum needs both nonces, confirms that it
//! is there now and not a recording.

use std::fmt;

use bytes::{Buf, Bytes, BytesMut};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use winter_core::cluster::{Attributes, ClusterId, NodeId};
use xxhash_rust::xxh3::Xxh3;

use super::frame::Key;
use super::reason::Reason;

/// What each side begins with: no text, no TLS, and no line of it is a command.
pub const MAGIC: [u8; 8] = *b"\xb7WINTER\n";
/// The versions of the protocol that this build speaks.
pub const VERSIONS: Versions = Versions { oldest: 1, newest: 1 };
/// The longest body of a handshake, in bytes.
pub const HANDSHAKE_BYTES_MAX: usize = 4 << 10;
/// Where the body begins.
const HEAD_BYTES: usize = MAGIC.len() + 1 + 2 + 2 + 4 + 8;
/// The longest text of a refusal, in bytes.
const TOLD_BYTES_MAX: usize = 512;

/// The versions that a node speaks: all from the oldest to the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    /// The lowest.
    pub oldest: u16,
    /// The highest.
    pub newest: u16,
}

impl Versions {
    /// The highest version that both speak.
    #[must_use]
    pub fn common(self, other: Self) -> Option<u16> {
        let newest = self.newest.min(other.newest);
        (newest >= self.oldest.max(other.oldest)).then_some(newest)
    }
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purpose {
    /// Calls, within one cluster.
    Calls,
    /// Calls that carry much, within one cluster.
    Bulk,
    /// To find out who is there, by whoever is of the same application.
    Probe,
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Calls => "calls",
            Self::Bulk => "bulk",
            Self::Probe => "probe",
        })
    }
}

/// What a dialler says first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// What it wants.
    pub purpose: Purpose,
    /// Its application's name.
    pub application: String,
    /// Its cluster, if it has one.
    pub cluster: Option<ClusterId>,
    /// Who it is.
    pub sender: NodeId,
    /// What else it says of itself.
    pub attributes: Attributes,
    /// The longest body that it takes, in bytes.
    pub body_bytes_max: u32,
    /// Whom it means to reach, if it knows.
    pub receiver: Option<NodeId>,
    /// Drawn for this connection.
    pub nonce: u64,
}

/// The answer to a hello that is taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The version that is spoken from here on.
    pub version: u16,
    /// Who answers.
    pub sender: NodeId,
    /// Its cluster, if it has one.
    pub cluster: Option<ClusterId>,
    /// What else it says of itself.
    pub attributes: Attributes,
    /// The longest body that it takes, in bytes.
    pub body_bytes_max: u32,
    /// The nonce of the hello that this answers.
    pub hello_nonce: u64,
    /// Drawn for this connection.
    pub nonce: u64,
}

/// The answer to a hello that is not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// See [`Reason::of`].
    pub code: u8,
    /// A sentence for the log.
    pub told: String,
}

/// Which of the three a handshake's message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A [`Hello`].
    Hello,
    /// A [`Welcome`].
    Welcome,
    /// A [`Refusal`].
    Refusal,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Hello, Self::Welcome, Self::Refusal];
}

/// A message of the handshake, its body not read yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Which one.
    pub kind: Kind,
    /// What the sender speaks.
    pub versions: Versions,
    /// All of its bytes, as they came.
    pub bytes: Bytes,
}

impl Message {
    /// Writes a message.
    ///
    /// # Panics
    /// If the body is longer than [`HANDSHAKE_BYTES_MAX`]: names are checked where they come from.
    pub fn new(kind: Kind, versions: Versions, body: &impl Serialize) -> Self {
        let body = postcard::to_stdvec(body).expect("plain types can be written");
        assert!(body.len() <= HANDSHAKE_BYTES_MAX, "names that are far too long");
        let mut bytes = BytesMut::with_capacity(HEAD_BYTES + body.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&[kind as u8]);
        bytes.extend_from_slice(&versions.oldest.to_le_bytes());
        bytes.extend_from_slice(&versions.newest.to_le_bytes());
        let length = u32::try_from(body.len()).expect("checked above");
        bytes.extend_from_slice(&length.to_le_bytes());
        let checksum = checksum(&bytes, &body);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes.extend_from_slice(&body);
        Self { kind, versions, bytes: bytes.freeze() }
    }

    /// Takes the message that `buffer` begins with out of it; `None` if it is
    /// not whole. Says at the first wrong byte that this is not our protocol.
    ///
    /// # Errors
    /// This is no handshake of ours, or too long, or broken.
    pub fn take(buffer: &mut BytesMut) -> Result<Option<Self>, Reason> {
        let known = buffer.len().min(MAGIC.len());
        if buffer[..known] != MAGIC[..known] {
            return Err(Reason::NotWinter);
        }
        let Some(mut head) = buffer.get(MAGIC.len()..HEAD_BYTES) else { return Ok(None) };
        let kind = head.get_u8();
        let versions = Versions { oldest: head.get_u16_le(), newest: head.get_u16_le() };
        let length = head.get_u32_le() as usize;
        let announced = head.get_u64_le();
        if length > HANDSHAKE_BYTES_MAX {
            return Err(Reason::Oversized);
        }
        let Some(body) = buffer.get(HEAD_BYTES..HEAD_BYTES + length) else { return Ok(None) };
        if checksum(&buffer[..HEAD_BYTES - 8], body) != announced {
            return Err(Reason::Checksum);
        }
        let kind = Kind::ALL.get(usize::from(kind)).copied().ok_or(Reason::Malformed)?;
        if versions.oldest > versions.newest {
            return Err(Reason::Malformed);
        }
        Ok(Some(Self { kind, versions, bytes: buffer.split_to(HEAD_BYTES + length).freeze() }))
    }

    /// Reads the body.
    ///
    /// # Errors
    /// It is not one.
    pub fn body<T: DeserializeOwned>(&self) -> Result<T, Reason> {
        let (body, _) =
            postcard::take_from_bytes(&self.bytes[HEAD_BYTES..]).map_err(|_| Reason::Malformed)?;
        Ok(body)
    }
}

fn checksum(head: &[u8], body: &[u8]) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(head);
    hash.update(body);
    hash.digest()
}

/// The keys of the dialler's frames and of those of the other side.
#[must_use]
pub fn keys(hello: &Message, welcome: &Message) -> (Key, Key) {
    let key = |direction| {
        let mut hash = Xxh3::with_seed(direction);
        hash.update(&hello.bytes);
        hash.update(&welcome.bytes);
        Key(hash.digest())
    };
    (key(1), key(2))
}

/// What a node compares a hello with.
#[derive(Clone, Copy, Debug)]
pub struct Own<'a> {
    /// Its application's name.
    pub application: &'a str,
    /// Who it is.
    pub node: NodeId,
    /// Its cluster, if it has one.
    pub cluster: Option<ClusterId>,
    /// What it speaks.
    pub versions: Versions,
}

/// Why somebody is refused, and the sentence that says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub reason: Reason,
    /// For the log.
    pub told: String,
}

impl Refused {
    /// With a sentence of its own, cut short if it is long.
    #[must_use]
    pub fn new(reason: Reason, mut told: String) -> Self {
        told.truncate(told.floor_char_boundary(TOLD_BYTES_MAX));
        Self { reason, told }
    }

    /// As it is sent to who is refused.
    #[must_use]
    pub fn message(&self, versions: Versions) -> Message {
        let told = self.told.clone();
        Message::new(Kind::Refusal, versions, &Refusal { code: self.reason.code(), told })
    }
}

impl From<Reason> for Refused {
    fn from(reason: Reason) -> Self {
        Self { reason, told: reason.to_string() }
    }
}

impl Own<'_> {
    /// Whether who sent `message` is let in, and the version to speak with it.
    ///
    /// # Errors
    /// Why it is not.
    pub fn judge(&self, message: &Message) -> Result<(u16, Hello), Refused> {
        if message.kind != Kind::Hello {
            return Err(Reason::Unexpected.into());
        }
        let version = self.common(message.versions)?;
        let hello: Hello = message.body()?;
        if hello.application != self.application {
            return Err(Refused::new(
                Reason::Application,
                format!(
                    "who asks is of the application {:?}, who answers of {:?}",
                    hello.application, self.application
                ),
            ));
        }
        if hello.purpose != Purpose::Probe {
            self.same_cluster(hello.cluster)?;
        }
        match hello.receiver {
            Some(receiver) if receiver != self.node => Err(Refused::new(
                Reason::Receiver,
                format!("meant for node {receiver}, and this is node {}", self.node),
            )),
            _ => Ok((version, hello)),
        }
    }

    /// Whether who answers our hello is who was meant.
    ///
    /// # Errors
    /// Why it is not.
    pub fn judge_welcome(&self, hello: &Hello, message: &Message) -> Result<Welcome, Refused> {
        let common = self.common(message.versions);
        if message.kind == Kind::Hello {
            return Err(Reason::Unexpected.into());
        }
        if message.kind == Kind::Refusal {
            let refusal: Refusal = message.body()?;
            return Err(Refused::new(Reason::of(refusal.code), refusal.told));
        }
        let version = common?;
        let welcome: Welcome = message.body()?;
        if welcome.hello_nonce != hello.nonce {
            return Err(Reason::Replayed.into());
        }
        if welcome.version != version {
            return Err(Reason::Version.into());
        }
        if hello.purpose != Purpose::Probe {
            self.same_cluster(welcome.cluster)?;
        }
        match hello.receiver {
            Some(meant) if meant != welcome.sender => Err(Refused::new(
                Reason::Receiver,
                format!("node {meant} was meant, and node {} answered", welcome.sender),
            )),
            _ => Ok(welcome),
        }
    }

    fn common(&self, theirs: Versions) -> Result<u16, Refused> {
        let ours = self.versions;
        ours.common(theirs).ok_or_else(|| {
            Refused::new(
                Reason::Version,
                format!(
                    "versions {} to {} of the peer protocol, where we speak {} to {}",
                    theirs.oldest, theirs.newest, ours.oldest, ours.newest
                ),
            )
        })
    }

    fn same_cluster(&self, theirs: Option<ClusterId>) -> Result<(), Refused> {
        match (theirs, self.cluster) {
            (Some(theirs), Some(ours)) if theirs == ours => Ok(()),
            (Some(theirs), Some(ours)) => Err(Refused::new(
                Reason::Cluster,
                format!("cluster {theirs} is another than cluster {ours}"),
            )),
            (None, _) => Err(Refused::new(
                Reason::NoCluster,
                "a node that has no cluster may only probe".to_owned(),
            )),
            (_, None) => Err(Refused::new(
                Reason::NoCluster,
                format!("node {} has no cluster yet, and takes only probes", self.node),
            )),
        }
    }
}
