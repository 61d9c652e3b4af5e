//! Frames: what follows a handshake, as functions of bytes.
//!
//! ```text
//! length u32 | checksum u64 | header (postcard) | body
//! ```
//!
//! Numbers are little-endian; the length counts what follows the checksum. The
//! checksum is XXH3 of that, seeded with a mix of the connection's key and the
//! frame's number in its direction. The key is a hash of both sides of the handshake, so
//! that each frame carries cluster, sender, receiver and both nonces without a
//! byte for them, and a frame of another connection, of the other direction or
//! of another place in this one is refused. It keeps out accidents and mix-ups;
//! it is no signature.

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use winter_core::cluster::GroupId;
use winter_core::limits::CLUSTER_VALUE_BYTES_MAX;
use xxhash_rust::xxh3::{Xxh3, xxh3_64_with_seed};

use super::reason::Reason;

/// The length and the checksum, in bytes.
pub const HEAD_BYTES: usize = 4 + 8;
/// The longest header, in bytes.
pub const HEADER_BYTES_MAX: usize = 64;
/// What may go with a value in a body, in bytes.
pub const BESIDE_VALUE_BYTES_MAX: usize = 1 << 20;
/// The longest body that any setting may allow, in bytes: the longest value, and what goes with it.
pub const BODY_BYTES_MAX: usize = CLUSTER_VALUE_BYTES_MAX + BESIDE_VALUE_BYTES_MAX;
/// Bodies up to so many bytes are copied: one write costs less than two, and a
/// small body does not hold on to the buffer that it came in.
pub const COPIED_BYTES_MAX: usize = 16 << 10;
/// How many of the last frames are looked at to tell a replayed one from a broken one.
const REPLAY_FRAMES: u64 = 64;

/// What a call is about: a number, so that an older node can decline what it
/// does not know. From 128 on, calls go over the connection for bulk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Channel(pub u8);

impl Channel {
    /// Consensus within a group.
    pub const CONSENSUS: Self = Self(0);
    /// Commands for a partition's leader.
    pub const COMMANDS: Self = Self(1);
    /// The cluster's own affairs: joining, leaving, what is known of members.
    pub const MEMBERSHIP: Self = Self(2);
    /// Commands for several partitions that the node leads.
    pub const BATCHES: Self = Self(3);
    /// Snapshots. Commands never wait behind them.
    pub const SNAPSHOTS: Self = Self(128);

    /// Whether its calls go over the connection for bulk.
    #[must_use]
    pub fn is_bulk(self) -> bool {
        self.0 >= 128
    }
}

/// What a frame is. Variants are only ever added, at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Header {
    /// Asks, and wants an answer under the same number within so many milliseconds.
    Request {
        /// No other request of this connection has it.
        request: u64,
        /// What it is about.
        channel: Channel,
        /// Whom it is for.
        group: GroupId,
        /// How long the caller waits.
        budget_millis: u32,
    },
    /// Tells, and wants no answer.
    OneWay {
        /// What it is about.
        channel: Channel,
        /// Whom it is for.
        group: GroupId,
    },
    /// Answers a request.
    Answer {
        /// The request's number.
        request: u64,
        /// What became of it.
        outcome: Outcome,
    },
    /// Are you there?
    Ping,
    /// I am.
    Pong,
    /// No more requests, please: I am about to close. Those that come are answered `Stopping`.
    Goodbye,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It was done; the body is the answer.
    Done,
    /// Nothing was done: the channel or the group is unknown here.
    Declined,
    /// Nothing was done: too much is under way.
    Busy,
    /// Nothing was done: the node is stopping.
    Stopping,
    /// It was begun, and failed.
    Failed,
}

/// A frame that came whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub header: Header,
    /// What it carries.
    pub body: Bytes,
}

/// What the checksums of one direction are seeded with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(pub u64);

impl Key {
    /// Seeds that are near to each other do not do: for short inputs, XXH3 mixes
    /// them so that another seed can make up for another bit. SplitMix64 takes them apart.
    fn seed(self, number: u64) -> u64 {
        let mut seed = self.0.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        seed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        seed = (seed ^ (seed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        seed ^ (seed >> 31)
    }
}

/// Writes the frames of one direction.
#[derive(Debug)]
pub struct Encoder {
    key: Key,
    number: u64,
}

impl Encoder {
    /// Begins with the first frame of a connection.
    #[must_use]
    pub fn new(key: Key) -> Self {
        Self { key, number: 0 }
    }

    /// Appends a frame to `out`, or all of it but the body, which is given back
    /// when it is too long to be copied: it has to be sent right after `out`.
    ///
    /// # Panics
    /// If the body is longer than [`BODY_BYTES_MAX`], which is checked where bodies come from.
    pub fn encode(&mut self, header: &Header, body: Bytes, out: &mut BytesMut) -> Option<Bytes> {
        let mut space = [0; HEADER_BYTES_MAX];
        let header =
            postcard::to_slice(header, &mut space).expect("the longest header has 22 bytes");
        if body.len() <= COPIED_BYTES_MAX {
            self.frame(&[header, &body], out);
            return None;
        }
        let mut hash = Xxh3::with_seed(self.key.seed(self.number));
        hash.update(header);
        hash.update(&body);
        out.extend_from_slice(&self.head(header.len() + body.len(), hash.digest()));
        out.extend_from_slice(header);
        Some(body)
    }

    /// Appends a frame with this content, whatever it is.
    pub fn encode_raw(&mut self, content: &[u8], out: &mut BytesMut) {
        self.frame(&[content], out);
    }

    fn frame(&mut self, parts: &[&[u8]], out: &mut BytesMut) {
        let start = out.len();
        out.extend_from_slice(&[0; HEAD_BYTES]);
        parts.iter().for_each(|part| out.extend_from_slice(part));
        let content = &out[start + HEAD_BYTES..];
        let checksum = xxh3_64_with_seed(content, self.key.seed(self.number));
        let head = self.head(content.len(), checksum);
        out[start..start + HEAD_BYTES].copy_from_slice(&head);
    }

    fn head(&mut self, length: usize, checksum: u64) -> [u8; HEAD_BYTES] {
        assert!(length <= BODY_BYTES_MAX + HEADER_BYTES_MAX, "a body above the limit");
        let length = u32::try_from(length).expect("the limit is below 4 GiB");
        let mut head = [0; HEAD_BYTES];
        head[..4].copy_from_slice(&length.to_le_bytes());
        head[4..].copy_from_slice(&checksum.to_le_bytes());
        self.number += 1;
        head
    }
}

/// Reads the frames of one direction.
#[derive(Debug)]
pub struct Decoder {
    key: Key,
    number: u64,
    body_bytes_max: usize,
}

impl Decoder {
    /// Begins with the first frame of a connection; refuses longer bodies than `body_bytes_max`.
    #[must_use]
    pub fn new(key: Key, body_bytes_max: usize) -> Self {
        Self { key, number: 0, body_bytes_max: body_bytes_max.min(BODY_BYTES_MAX) }
    }

    /// How many bytes are still to come until the frame that `buffer` begins with is whole.
    ///
    /// # Errors
    /// The frame is longer than any may be.
    pub fn missing(&self, buffer: &[u8]) -> Result<usize, Reason> {
        let Some((length, _)) = buffer.split_first_chunk() else {
            return Ok(HEAD_BYTES - buffer.len());
        };
        let length = u32::from_le_bytes(*length) as usize;
        if length > self.body_bytes_max + HEADER_BYTES_MAX {
            return Err(Reason::Oversized);
        }
        Ok((HEAD_BYTES + length).saturating_sub(buffer.len()))
    }

    /// Takes the frame that `buffer` begins with out of it; `None` if it is not whole.
    ///
    /// # Errors
    /// The bytes are not what comes next on this connection, and nothing after
    /// them can be read: close it.
    pub fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Frame>, Reason> {
        if self.missing(buffer)? > 0 {
            return Ok(None);
        }
        let (length, rest) = buffer.split_first_chunk().expect("nothing is missing");
        let (checksum, _) = rest.split_first_chunk().expect("nothing is missing");
        let length = u32::from_le_bytes(*length) as usize;
        let checksum = u64::from_le_bytes(*checksum);
        let content = &buffer[HEAD_BYTES..][..length];
        self.check(content, checksum)?;
        let (header, body) =
            postcard::take_from_bytes::<Header>(content).map_err(|_| Reason::Malformed)?;
        if body.len() > self.body_bytes_max {
            return Err(Reason::Oversized);
        }
        self.number += 1;
        Ok(Some(Frame { header, body: take_body(buffer, HEAD_BYTES + length, body.len()) }))
    }

    fn check(&self, content: &[u8], checksum: u64) -> Result<(), Reason> {
        let is_number = |number| xxh3_64_with_seed(content, self.key.seed(number)) == checksum;
        if is_number(self.number) {
            return Ok(());
        }
        let mut last = self.number.saturating_sub(REPLAY_FRAMES)..self.number;
        Err(match self.number {
            0 => Reason::Unconfirmed,
            _ if content.len() <= COPIED_BYTES_MAX && last.any(is_number) => Reason::Replayed,
            _ => Reason::Checksum,
        })
    }
}

/// Takes `frame_bytes` out of `buffer`, and gives the last `body_bytes` of them.
fn take_body(buffer: &mut BytesMut, frame_bytes: usize, body_bytes: usize) -> Bytes {
    let start = frame_bytes - body_bytes;
    if body_bytes <= COPIED_BYTES_MAX {
        let body = Bytes::copy_from_slice(&buffer[start..frame_bytes]);
        bytes::Buf::advance(buffer, frame_bytes);
        return body;
    }
    bytes::Buf::advance(buffer, start);
    buffer.split_to(body_bytes).freeze()
}
