//! What a client can ask for.
//!
//! [`table`] holds the one list of commands: parsing, arity errors, `HELP`,
//! `COMMAND`, the documentation and the tests all read it. [`parse`] makes a
//! [`Command`] of words, whichever dialect they came in.

pub mod options;
pub mod parse;
pub mod table;

pub use options::TableOptions;
pub use table::{Spec, Verb};

use crate::fault::Fault;
use crate::time::Ttl;

/// The version of an entry: grows with every write of a key's partition and never repeats.
pub type Version = u64;

/// A client's command, borrowed from the bytes it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// Concerns one key, hence one partition.
    Key(KeyCommand<'a>),
    /// Concerns one table as a whole.
    Table(TableCommand<'a>),
    /// Concerns the node or the session.
    Server(ServerCommand<'a>),
}

/// A command on one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyCommand<'a> {
    /// The table's name, checked.
    pub table: &'a str,
    /// The key, 1 to 65,535 bytes.
    pub key: &'a [u8],
    /// What to do with it.
    pub op: KeyOp<'a>,
}

/// What to do with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyOp<'a> {
    /// The data.
    Get,
    /// The version and the data.
    Gets,
    /// Milliseconds left to live.
    Ttl,
    /// Write if there is no entry; `ok` either way.
    PutNew(Write<'a>),
    /// Write if there is no entry, and say who won.
    Add(Write<'a>),
    /// Write whatever was there.
    Put(Write<'a>),
    /// Write if the entry stands at this version.
    Cas(Version, Write<'a>),
    /// Take the entry away; with a version, only if it still stands.
    Delete(Option<Version>),
    /// A new time to live from now, `None` for ever; with a version, only if it still stands.
    Touch(Option<Ttl>, Option<Version>),
}

impl KeyOp<'_> {
    /// Whether the operation can change the store.
    #[must_use]
    pub const fn is_write(&self) -> bool {
        !matches!(self, Self::Get | Self::Gets | Self::Ttl)
    }
}

impl<'a> KeyOp<'a> {
    /// What the operation would write, if it brings data.
    #[inline]
    #[must_use]
    pub const fn written(&self) -> Option<Write<'a>> {
        match *self {
            Self::PutNew(write) | Self::Add(write) | Self::Put(write) | Self::Cas(_, write) => {
                Some(write)
            }
            _ => None,
        }
    }
}

/// Data to be written, and how long it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Write<'a> {
    /// The value.
    pub data: &'a [u8],
    /// Its time to live; `None` takes the table's.
    pub ttl: Option<Ttl>,
}

/// A command on a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TableCommand<'a> {
    /// Make the table, unless it stands.
    Create(&'a str, TableOptions),
    /// Take the table away with all that it holds.
    Drop(&'a str),
    /// How many entries have not expired.
    Count(&'a str),
    /// One step through the keys.
    Scan(&'a str, Scan<'a>),
    /// Options, sizes and counters.
    Describe(&'a str),
    /// Take a fenced table back into service.
    Revive(&'a str),
}

impl<'a> TableCommand<'a> {
    /// The table that the command names.
    #[must_use]
    pub const fn table(&self) -> &'a str {
        match self {
            Self::Create(table, _)
            | Self::Drop(table)
            | Self::Count(table)
            | Self::Scan(table, _)
            | Self::Describe(table)
            | Self::Revive(table) => table,
        }
    }
}

/// One step of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scan<'a> {
    /// Where to go on: 0 for the start, else what the last step answered.
    pub cursor: u64,
    /// Only keys that begin so.
    pub prefix: &'a [u8],
    /// How many entries to look at, at the most.
    pub count: u64,
}

impl Scan<'_> {
    /// The answer to a cursor that is none.
    #[must_use]
    pub fn invalid_cursor() -> Fault {
        Fault::usage("invalid cursor; give 0, then what the last step answered")
    }
}

/// A command on the node or the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerCommand<'a> {
    /// The names of all tables.
    Tables,
    /// `pong`, or the text.
    Ping(Option<&'a [u8]>),
    /// All commands, or one.
    Help(Option<&'a [u8]>),
    /// What the node says of itself; no section means all.
    Info(Vec<&'a [u8]>),
    /// Goodbye.
    Quit,
    /// Say who you are.
    Auth(Credentials<'a>),
    /// The nodes and partitions of the cluster; with a word, what is none of ours.
    Cluster(Option<&'a [u8]>),
    /// RESP: agree on a protocol version.
    Hello(Hello<'a>),
    /// RESP: `CLIENT` and its words.
    Client(Vec<&'a [u8]>),
    /// RESP: `COMMAND` and its words.
    Command(Vec<&'a [u8]>),
    /// RESP: `CONFIG` and its words.
    Config(Vec<&'a [u8]>),
    /// RESP: `SELECT`; there is one database, 0.
    Select(&'a [u8]),
    /// RESP: the text.
    Echo(&'a [u8]),
    /// RESP: the session as it began.
    Reset,
}

/// A user and a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials<'a> {
    /// The user; `default` when none was named.
    pub user: &'a [u8],
    /// The password.
    pub password: &'a [u8],
}

/// What a RESP client asks for in `HELLO`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hello<'a> {
    /// The protocol version, if one was named: 2 or 3.
    pub version: Option<u8>,
    /// Who the client says it is.
    pub auth: Option<Credentials<'a>>,
    /// A name for the connection.
    pub name: Option<&'a [u8]>,
}
