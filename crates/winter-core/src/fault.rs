//! Errors as a client sees them: a kind, a sentence that says what to do, and
//! whether the connection can go on.

use std::borrow::Cow;

use crate::limits::ECHO_BYTES_MAX;

/// What went wrong, in the words of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The words do not make a command.
    Usage,
    /// The first word is no command.
    UnknownCommand,
    /// A name, key, value or option is past its limit.
    Limit,
    /// The table's own limit is reached; nothing was written.
    Quota,
    /// The node's memory limit is reached; nothing was written.
    Memory,
    /// The value cannot be shown on a line.
    Binary,
    /// A bounded queue is full; nothing was done.
    Busy,
    /// Nothing was done; safe to send again.
    Unavailable,
    /// The outcome is not known.
    Unknown,
    /// Say who you are.
    NoAuth,
    /// That user and password do not match.
    WrongPass,
    /// You may not.
    Denied,
    /// The table's options forbid it.
    Refused,
    /// Bytes that cannot be read. The session ends after the error.
    Protocol,
    /// A protocol version that is not spoken here.
    NoProto,
    /// A fault of ours, caught.
    Internal,
}

impl Kind {
    /// Every kind, for tables of metrics and documentation.
    pub const ALL: [Self; 16] = [
        Self::Usage,
        Self::UnknownCommand,
        Self::Limit,
        Self::Quota,
        Self::Memory,
        Self::Binary,
        Self::Busy,
        Self::Unavailable,
        Self::Unknown,
        Self::NoAuth,
        Self::WrongPass,
        Self::Denied,
        Self::Refused,
        Self::Protocol,
        Self::NoProto,
        Self::Internal,
    ];

    /// The kind's word in the line dialect (`error <word>: …`) and in metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::UnknownCommand => "unknown_command",
            Self::Limit => "limit",
            Self::Quota => "quota",
            Self::Memory => "memory",
            Self::Binary => "binary",
            Self::Busy => "busy",
            Self::Unavailable => "unavailable",
            Self::Unknown => "unknown",
            Self::NoAuth => "noauth",
            Self::WrongPass => "wrongpass",
            Self::Denied => "denied",
            Self::Refused => "refused",
            Self::Protocol => "protocol",
            Self::NoProto => "noproto",
            Self::Internal => "internal",
        }
    }

    /// The prefix of a RESP error (`-<PREFIX> …`), one that client libraries know.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Usage | Self::UnknownCommand | Self::Limit | Self::Binary | Self::Protocol => {
                "ERR"
            }
            Self::Quota => "QUOTA",
            Self::Memory => "OOM",
            Self::Busy => "BUSY",
            Self::Unavailable => "TRYAGAIN",
            Self::Unknown => "UNKNOWN",
            Self::NoAuth => "NOAUTH",
            Self::WrongPass => "WRONGPASS",
            Self::Denied => "NOPERM",
            Self::Refused => "REFUSED",
            Self::NoProto => "NOPROTO",
            Self::Internal => "INTERNAL",
        }
    }

    /// Whether the session ends after this error, because it can no longer be in step.
    #[must_use]
    pub const fn ends_session(self) -> bool {
        matches!(self, Self::Protocol)
    }
}

/// An error that a client is told. The session goes on unless
/// [`Kind::ends_session`] says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What went wrong.
    pub kind: Kind,
    /// What the client can do about it: one line, with nothing of the user's but through [`echo`].
    pub sentence: Cow<'static, str>,
}

impl Fault {
    /// A fault of `kind` that says `sentence`.
    pub fn new(kind: Kind, sentence: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, sentence: sentence.into() }
    }

    /// The words do not make a command.
    pub fn usage(sentence: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Usage, sentence)
    }

    /// Past a limit: names the limit and both figures.
    #[must_use]
    pub fn limit(what: &str, got: impl std::fmt::Display, most: impl std::fmt::Display) -> Self {
        Self::new(Kind::Limit, format!("{what} is {got}, and the most is {most}"))
    }

    /// A panic in a table's code, which was caught.
    #[must_use]
    pub fn caught(table: &str) -> Self {
        Self::new(
            Kind::Internal,
            format!(
                "a fault of ours in table {table} was caught; this command may have been done; see the log"
            ),
        )
    }

    /// Bytes that cannot be read; the session ends.
    #[must_use]
    pub fn protocol(sentence: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Protocol, sentence)
    }
}

impl Fault {
    /// The sentence as it may stand in a reply: one line, whoever made it.
    #[must_use]
    pub fn line(&self) -> Cow<'_, str> {
        if self.sentence.contains(['\r', '\n']) {
            Cow::Owned(self.sentence.replace(['\r', '\n'], " "))
        } else {
            Cow::Borrowed(&self.sentence)
        }
    }
}

/// A user's bytes made fit for an error: cut at 128 bytes, one line, printable.
#[must_use]
pub fn echo(bytes: &[u8]) -> String {
    let cut = &bytes[..bytes.len().min(ECHO_BYTES_MAX)];
    let mut text: String = String::from_utf8_lossy(cut)
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    // A replacement character is longer than the byte it stands for.
    while text.len() > ECHO_BYTES_MAX {
        text.pop();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn echo_is_one_short_line() {
        assert_eq!(echo(b"a\r\nb"), "a  b");
        assert_eq!(echo(&[b'x'; 300]).len(), ECHO_BYTES_MAX);
        assert!(echo(&[0xff; 300]).len() <= ECHO_BYTES_MAX);
    }
}
