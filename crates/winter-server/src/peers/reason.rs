//! Why a peer is refused, or something that it sent.

use std::fmt;

/// A reason, the same in the log, in metrics and in the answer to who is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The first bytes are not ours: a client, a browser, TLS, chance.
    NotWinter,
    /// A handshake or a header that cannot be read.
    Malformed,
    /// More is announced than may ever come.
    Oversized,
    /// The checksum does not belong to the bytes.
    Checksum,
    /// The bytes are of another place in this connection, and came again.
    Replayed,
    /// The first frame does not belong to this handshake: it was recorded elsewhere.
    Unconfirmed,
    /// The connection ended within a frame.
    CutOff,
    /// A handshake or a frame took too long to be whole.
    Slow,
    /// No version of the protocol is common.
    Version,
    /// A node of another application.
    Application,
    /// A node of another cluster.
    Cluster,
    /// One of the two has no cluster yet, and may only probe.
    NoCluster,
    /// Somebody else was meant.
    Receiver,
    /// Too many connections.
    Crowded,
    /// A frame that has no place in this conversation.
    Unexpected,
    /// The node is about to stop.
    Stopping,
    /// Told by a peer of a later version that has more reasons than we know.
    Other,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 17] = [
        Self::NotWinter,
        Self::Malformed,
        Self::Oversized,
        Self::Checksum,
        Self::Replayed,
        Self::Unconfirmed,
        Self::CutOff,
        Self::Slow,
        Self::Version,
        Self::Application,
        Self::Cluster,
        Self::NoCluster,
        Self::Receiver,
        Self::Crowded,
        Self::Unexpected,
        Self::Stopping,
        Self::Other,
    ];

    /// The number that stands for it in a refusal, for ever.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }

    /// What a refusal's number stands for.
    #[must_use]
    pub fn of(code: u8) -> Self {
        Self::ALL.get(usize::from(code)).copied().unwrap_or(Self::Other)
    }

    /// Whether it happens while all is well: when nodes start and stop.
    pub(super) const fn is_usual(self) -> bool {
        matches!(self, Self::NoCluster | Self::Stopping)
    }

    /// Its word in metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::NotWinter => "not_winter",
            Self::Malformed => "malformed",
            Self::Oversized => "oversized",
            Self::Checksum => "checksum",
            Self::Replayed => "replayed",
            Self::Unconfirmed => "unconfirmed",
            Self::CutOff => "cut_off",
            Self::Slow => "slow",
            Self::Version => "version",
            Self::Application => "application",
            Self::Cluster => "cluster",
            Self::NoCluster => "no_cluster",
            Self::Receiver => "receiver",
            Self::Crowded => "crowded",
            Self::Unexpected => "unexpected",
            Self::Stopping => "stopping",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotWinter => "not the peer protocol of Winter",
            Self::Malformed => "a handshake or header that cannot be read",
            Self::Oversized => "a frame above the limit",
            Self::Checksum => "a wrong checksum",
            Self::Replayed => "a frame that came before",
            Self::Unconfirmed => "a first frame that does not belong to this handshake",
            Self::CutOff => "a connection that ends within a frame",
            Self::Slow => "a handshake or frame that takes too long",
            Self::Version => "no common version of the peer protocol",
            Self::Application => "another application",
            Self::Cluster => "another cluster",
            Self::NoCluster => "no cluster yet",
            Self::Receiver => "meant for another node",
            Self::Crowded => "too many connections",
            Self::Unexpected => "a frame out of place",
            Self::Stopping => "the node is stopping",
            Self::Other => "a reason of a later version",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_stand_for_their_reasons_and_later_ones_are_told_apart() {
        for (n, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(reason.code()), n);
            assert_eq!(Reason::of(reason.code()), reason);
        }
        assert_eq!(Reason::of(200), Reason::Other);
    }
}
