//! Replies: what they are, and how bytes become them.

mod reader;

pub use reader::{Limits, ReadError, ReplyReader};

use crate::error::ServerError;

/// A reply as RESP knows it. Kinds of text that differ only in how they are
/// framed are one here.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A string of any kind; RESP3's doubles and big numbers too, as they are written.
    Data(Vec<u8>),
    /// An integer. Versions use all of 64 bits without a sign.
    Integer(i128),
    /// True or false.
    Truth(bool),
    /// No such thing.
    Nil,
    /// Values in their order; a set too.
    Array(Vec<Self>),
    /// Keys and values in their order.
    Map(Vec<(Self, Self)>),
    /// An error.
    Error(ServerError),
}

impl Value {
    /// The text, if it is one and UTF-8.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Data(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// The number, if it is one that is not negative.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        match *self {
            Self::Integer(n) => u64::try_from(n).ok(),
            _ => None,
        }
    }
}
