//! What can go wrong, and what is then known of the command.

use std::io;
use std::time::Duration;

use crate::reply::ReadError;

/// Why a command has no outcome.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No connection came about. Nothing was done.
    #[error("cannot connect to {address}: {reason}")]
    Connect {
        /// Where to.
        address: String,
        /// Why not.
        reason: String,
    },
    /// The reply did not come in time. Whether the command was or will be done
    /// is not known; the connection goes on.
    #[error("no reply within {0:?}")]
    Timeout(Duration),
    /// The connection ended before the reply. Whether the command was done is
    /// not known. Every later command answers the same: connect anew.
    #[error("the connection is closed: {0}")]
    Closed(String),
    /// The table was not created, or was dropped. Nothing was done.
    #[error("missing table")]
    MissingTable,
    /// The server answered an error; its kind says whether anything was done.
    #[error("{0}")]
    Server(ServerError),
    /// A reply that the command does not have: the server is of another version.
    #[error("unexpected reply: {0}")]
    Unexpected(String),
}

impl Error {
    /// Whether the command may have been done although it has no outcome. If
    /// not, nothing was done, and what was meant to be done can be sent again.
    #[must_use]
    pub fn may_have_been_done(&self) -> bool {
        match self {
            Self::Timeout(_) | Self::Closed(_) | Self::Unexpected(_) => true,
            Self::Connect { .. } | Self::MissingTable => false,
            Self::Server(error) => {
                matches!(error.kind, ErrorKind::Unknown | ErrorKind::Internal | ErrorKind::Other)
            }
        }
    }

    pub(crate) fn connect(address: &str, reason: &impl ToString) -> Self {
        Self::Connect { address: address.to_owned(), reason: reason.to_string() }
    }
}

impl From<ServerError> for Error {
    fn from(error: ServerError) -> Self {
        if error.prefix == "MISSINGTABLE" { Self::MissingTable } else { Self::Server(error) }
    }
}

/// An error as the server answered it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{prefix} {sentence}")]
pub struct ServerError {
    /// What went wrong.
    pub kind: ErrorKind,
    /// The word that the server put in front.
    pub prefix: String,
    /// What to do about it.
    pub sentence: String,
}

impl ServerError {
    /// An error of the text that follows the `-` of its frame.
    #[must_use]
    pub fn from_text(text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text);
        let (prefix, sentence) = text.split_once(' ').unwrap_or((&text, ""));
        let kind = ErrorKind::from_prefix(prefix);
        Self { kind, prefix: prefix.to_owned(), sentence: sentence.to_owned() }
    }
}

/// What an error of the server is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// `ERR`: the command is not one, or a name, key, value or option is past
    /// its limit. Nothing was done, and nothing will be: the sentence says why.
    Invalid,
    /// `QUOTA`: the table's own limit is reached. Nothing was written.
    Quota,
    /// `OOM`: the node's memory limit is reached. Nothing was written.
    Memory,
    /// `BUSY`: a bounded queue is full. Nothing was done; send it again later.
    Busy,
    /// `TRYAGAIN`: nothing was done; safe to send again.
    Unavailable,
    /// `UNKNOWN`: it may or may not have been done.
    Unknown,
    /// `NOAUTH`: say who you are.
    NoAuth,
    /// `WRONGPASS`: that user and password do not match.
    WrongPass,
    /// `NOPERM`: you may not.
    Denied,
    /// `REFUSED`: the table's options forbid it.
    Refused,
    /// `NOPROTO`: the server does not speak RESP3.
    NoProto,
    /// `INTERNAL`: a fault of the server's, caught; only this table was touched.
    Internal,
    /// A prefix that this client does not know.
    Other,
}

impl ErrorKind {
    fn from_prefix(prefix: &str) -> Self {
        match prefix {
            "ERR" => Self::Invalid,
            "QUOTA" => Self::Quota,
            "OOM" => Self::Memory,
            "BUSY" => Self::Busy,
            "TRYAGAIN" => Self::Unavailable,
            "UNKNOWN" => Self::Unknown,
            "NOAUTH" => Self::NoAuth,
            "WRONGPASS" => Self::WrongPass,
            "NOPERM" => Self::Denied,
            "REFUSED" => Self::Refused,
            "NOPROTO" => Self::NoProto,
            "INTERNAL" => Self::Internal,
            _ => Self::Other,
        }
    }
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ended {
    #[error("the server closed it")]
    ByServer,
    #[error("{0}")]
    Broken(#[from] io::Error),
    #[error("the server does not read what it is sent")]
    Unread,
    #[error("the server sent what is no reply: {0}")]
    NoReply(#[from] ReadError),
}

#[cfg(test)]
mod tests {
    use winter_core::fault::Kind;

    use super::*;

    #[test]
    fn every_kind_of_the_contract_is_known() {
        for kind in Kind::ALL {
            let error = ServerError::from_text(format!("{} why", kind.prefix()).as_bytes());
            assert_ne!(error.kind, ErrorKind::Other, "{kind:?}");
            assert_eq!(error.sentence, "why");
        }
    }

    #[test]
    fn a_missing_table_is_an_error_of_its_own() {
        let error = ServerError::from_text(b"MISSINGTABLE missing table");
        assert_eq!(Error::from(error), Error::MissingTable);
    }

    #[test]
    fn a_bare_prefix_has_no_sentence() {
        assert_eq!(ServerError::from_text(b"OOM").kind, ErrorKind::Memory);
    }
}
