//! The two dialects: bytes into commands, replies into bytes.
//!
//! The first byte of a connection decides: `*` is RESP, anything else is the
//! line dialect. Reading is incremental and holds no state but what a caller
//! keeps: hand over the bytes that have come, get a [`Step`].

pub mod line;
pub mod resp;
mod skip;

use smallvec::SmallVec;

pub use skip::Skip;

use crate::command::{Command, KeyCommand, Verb};
use crate::fault::Fault;
use crate::reply::Reply;

/// A command's words; few enough, as a rule, to need no allocation.
pub type Words<'a> = SmallVec<[&'a [u8]; 8]>;

/// How a session speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// One line a request, one line a reply.
    Line,
    /// Redis's protocol, version 2.
    Resp2,
    /// Redis's protocol, version 3.
    Resp3,
}

impl Dialect {
    /// What the first byte of a connection says.
    #[must_use]
    pub const fn from_first_byte(byte: u8) -> Self {
        if byte == b'*' { Self::Resp2 } else { Self::Line }
    }

    /// Whether this is either version of RESP.
    #[must_use]
    pub const fn is_resp(self) -> bool {
        matches!(self, Self::Resp2 | Self::Resp3)
    }

    /// Reads the next command from the front of `input`.
    #[must_use]
    pub fn next<'a>(self, input: &'a [u8], limits: Limits) -> Step<'a> {
        Reader::default().next(self, input, limits)
    }

    /// Writes `reply` to the end of `output`.
    pub fn write(self, reply: &Reply<'_>, output: &mut Vec<u8>) {
        match self {
            Self::Line => line::write(reply, output),
            Self::Resp2 => resp::write(reply, resp::Version::Two, output),
            Self::Resp3 => resp::write(reply, resp::Version::Three, output),
        }
    }
}

/// Reads the commands of a pipeline one after the other, and is quicker about
/// those that begin like the one before. What it reads is the same.
#[derive(Debug, Default)]
pub struct Reader<'a> {
    opening: Option<resp::Opening<'a>>,
}

impl<'a> Reader<'a> {
    /// Reads the next command from the front of `input`.
    #[must_use]
    pub fn next(&mut self, dialect: Dialect, input: &'a [u8], limits: Limits) -> Step<'a> {
        if dialect == Dialect::Line {
            return line::next(input, limits);
        }
        if let Some((verb, command, length)) = self.next_alike(input, limits) {
            let command = Ok(Command::Key(command));
            return Step::Command(Parsed { verb: Some(verb), command, length });
        }
        let step = resp::next(input, limits);
        if let Step::Command(parsed) = &step {
            self.opening = resp::Opening::of(input, parsed);
        }
        step
    }

    /// Reads the next command if it begins like the last one, stands there whole
    /// and is well made: the command, and the bytes that it takes.
    #[inline]
    #[must_use]
    pub fn next_alike(
        &self,
        input: &'a [u8],
        limits: Limits,
    ) -> Option<(Verb, KeyCommand<'a>, usize)> {
        self.opening.as_ref()?.next(input, limits)
    }
}

/// What reading needs to know beside the bytes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest value, in bytes (`WINTER_MAX_VALUE`).
    pub value_bytes_max: usize,
    /// How many bytes at the front of the input are known to hold no line end.
    pub scanned: usize,
}

/// What stands at the front of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// Not a whole command yet: come back with at least so many bytes.
    Incomplete(usize),
    /// So many bytes that ask for nothing.
    Blank(usize),
    /// A command, well made or not.
    Command(Parsed<'a>),
    /// A bulk string past the limit: answer the fault, drop `length` bytes and
    /// then whatever [`Skip`] says. The session stays in step.
    Oversize(Fault, usize, Skip),
    /// Bytes that cannot be read: answer the fault and close.
    Broken(Fault),
}

/// A command and the bytes that it took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed<'a> {
    /// Which command its first word names, if any.
    pub verb: Option<Verb>,
    /// The command, or why it is none.
    pub command: Result<Command<'a>, Fault>,
    /// How many bytes of the input it took.
    pub length: usize,
}

/// Writes a decimal number.
pub(crate) fn write_number(n: impl itoa::Integer, output: &mut Vec<u8>) {
    output.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
}
