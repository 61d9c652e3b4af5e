//! What a command answers. Outcomes are values; errors are [`Fault`]s.

use crate::fault::Fault;

/// One command's answer, before a dialect has written it. Data is borrowed from
/// where it lies, so that it is copied once, into the session's output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply<'a> {
    /// A word, such as `ok`, `created`, `never`.
    Word(&'static str),
    /// A word and the version of the entry that stands now: `added V`, `conflict V`.
    WordVersion(&'static str, u64),
    /// An entry's data.
    Data(&'a [u8]),
    /// An entry's version and data.
    VersionData(u64, &'a [u8]),
    /// There is no such entry.
    Nil,
    /// A number: entries, or milliseconds.
    Integer(u64),
    /// The table was not created.
    MissingTable,
    /// A text of the server's own, on one line.
    Text(String),
    /// A count and that many lines.
    Lines(Vec<String>),
    /// A count and that many `field value` lines; a map where the dialect has maps.
    Fields(Vec<(String, String)>),
    /// One step of a scan: where to go on (0 at the end), and keys.
    Scan {
        /// The cursor of the next step; 0 at the end.
        cursor: u64,
        /// The keys that this step found.
        keys: Vec<Vec<u8>>,
    },
    /// What only RESP clients ask for.
    Resp(Value),
    /// An error.
    Fault(Fault),
}

impl Reply<'_> {
    /// How long the entry's data in it is. Only reads answer any.
    #[must_use]
    pub const fn data_bytes(&self) -> usize {
        match self {
            Self::Data(data) | Self::VersionData(_, data) => data.len(),
            _ => 0,
        }
    }
}

impl From<Fault> for Reply<'_> {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// A RESP value of the server's own making, for replies that have no form in the line dialect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `+text`
    Simple(&'static str),
    /// `$n`
    Bulk(Vec<u8>),
    /// A text to be read by people: `=n txt:` in RESP3, a bulk string in RESP2.
    Verbatim(String),
    /// `:n`
    Integer(i64),
    /// `_` in RESP3, `$-1` in RESP2.
    Null,
    /// `*n`
    Array(Vec<Self>),
    /// `%n` in RESP3, a flat array in RESP2.
    Map(Vec<(Self, Self)>),
    /// `~n` in RESP3, an array in RESP2.
    Set(Vec<Self>),
}

impl Value {
    /// A bulk string of `text`.
    pub fn bulk(text: impl Into<Vec<u8>>) -> Self {
        Self::Bulk(text.into())
    }
}
