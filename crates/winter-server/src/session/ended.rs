//! Why a session ends before its client ends it.

use std::io;

use crate::stats::End;

/// Why a session ended before its client did.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
    #[error("the client did not read its replies in time")]
    SlowReader,
    #[error("a command took too long to arrive")]
    RequestTimeout,
    #[error("the client has more replies unread than there is room for")]
    TooMuchOutput,
    #[error("all clients' buffers together hold too much")]
    NoMemory,
}

impl Ended {
    /// Whether the client was told, and is given the time to read it.
    pub(super) const fn was_told(&self) -> bool {
        matches!(self, Self::RequestTimeout | Self::NoMemory)
    }

    /// The reason as it is counted.
    pub(super) const fn kind(&self) -> End {
        match self {
            Self::SlowReader => End::SlowReader,
            Self::TooMuchOutput => End::OutputLimit,
            Self::RequestTimeout => End::RequestTimeout,
            Self::NoMemory => End::Memory,
            Self::Broken(_) => End::Broken,
        }
    }
}
