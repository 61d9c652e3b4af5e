//! Bytes into replies, as they come.
//!
//! Source: the specification of RESP, versions 2 and 3, without RESP3's
//! streamed strings, attributes and pushes, which Winter does not send.
//!
//! The reader keeps what it has read of an unfinished list, so no byte is read
//! twice but those of an unfinished element; a list of any length costs time in
//! proportion to its length, however it is cut. Nothing is set aside for what
//! has only been announced.

use std::ops::ControlFlow;

use winter_core::command::parse::number;

use super::Value;
use crate::error::ServerError;

/// What a reply may be at the most. Past it the connection cannot go on.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest string, in bytes.
    pub data_bytes_max: usize,
    /// The longest line of a frame (header, simple string, error), in bytes.
    pub line_bytes_max: usize,
    /// Most elements of a reply, those of lists in lists among them.
    pub elements_max: usize,
    /// Lists in lists in lists.
    pub depth_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            data_bytes_max: winter_core::limits::VALUE_BYTES_MAX,
            line_bytes_max: winter_core::limits::RESP_HEADER_BYTES_MAX,
            elements_max: 1 << 20,
            depth_max: 16,
        }
    }
}

/// Why bytes are no reply. The connection cannot be in step any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// A frame begins with a byte that begins none.
    #[error("byte {0:#04x} begins no reply")]
    Kind(u8),
    /// A length or number is none.
    #[error("a length or number cannot be read")]
    Number,
    /// A string is not followed by CR LF.
    #[error("a frame does not end with CR LF")]
    End,
    /// A string, line or list is longer than the reader allows.
    #[error("a reply is longer or deeper than the client allows")]
    TooLong,
}

/// Elements that room is made for before they have come.
const ELEMENTS_AHEAD: usize = 64;

/// Reads replies from bytes that come in pieces.
#[derive(Debug, Default)]
pub struct ReplyReader {
    limits: Limits,
    /// Lists that have begun and not ended, the innermost last.
    open: Vec<Open>,
    elements: usize,
}

/// A list that has begun.
#[derive(Debug)]
struct Open {
    is_map: bool,
    left: usize,
    items: Vec<Value>,
}

/// One frame: a whole value, or the beginning of a list.
enum Frame {
    Value(Value),
    List { is_map: bool, items: usize },
}

impl ReplyReader {
    /// A reader with limits of its own.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Reads on in `input`: how many of its bytes are done with, and a reply if
    /// one ended there. What is not done with must come again, with more after it.
    ///
    /// # Errors
    /// Bytes that are no reply; neither they nor what follows can be read.
    pub fn read(&mut self, input: &[u8]) -> Result<(usize, Option<Value>), ReadError> {
        let mut used = 0;
        while let Some((frame, bytes)) = self.frame(&input[used..])? {
            used += bytes;
            if let ControlFlow::Break(reply) = self.take(frame)? {
                self.elements = 0;
                return Ok((used, Some(reply)));
            }
        }
        Ok((used, None))
    }

    /// Whether a reply has begun and not ended.
    #[must_use]
    pub fn is_within_reply(&self) -> bool {
        !self.open.is_empty()
    }

    fn take(&mut self, frame: Frame) -> Result<ControlFlow<Value>, ReadError> {
        let mut value = match frame {
            Frame::Value(value) => value,
            Frame::List { is_map, items } => {
                self.elements = self.elements.saturating_add(items);
                if self.elements > self.limits.elements_max
                    || self.open.len() >= self.limits.depth_max
                {
                    return Err(ReadError::TooLong);
                }
                let room = Vec::with_capacity(items.min(ELEMENTS_AHEAD));
                let open = Open { is_map, left: items, items: room };
                if items > 0 {
                    self.open.push(open);
                    return Ok(ControlFlow::Continue(()));
                }
                open.into_value()
            }
        };
        while let Some(mut open) = self.open.pop() {
            open.items.push(value);
            open.left -= 1;
            if open.left > 0 {
                self.open.push(open);
                return Ok(ControlFlow::Continue(()));
            }
            value = open.into_value();
        }
        Ok(ControlFlow::Break(value))
    }

    /// The frame at the front of `input`, and its length; `None` if more must come.
    fn frame(&self, input: &[u8]) -> Result<Option<(Frame, usize)>, ReadError> {
        let Some((line, bytes)) = self.line(input)? else { return Ok(None) };
        let value = match input[0] {
            b'+' | b',' | b'(' => Value::Data(line.to_vec()),
            b'-' => Value::Error(ServerError::from_text(line)),
            b':' => Value::Integer(integer(line)?),
            b'#' => Value::Truth(truth(line)?),
            b'_' if line.is_empty() => Value::Nil,
            b'$' | b'*' if line == b"-1" => Value::Nil,
            kind @ (b'$' | b'=' | b'!') => return self.data(kind, input, length(line)?, bytes),
            kind @ (b'*' | b'~' | b'%') => {
                let is_map = kind == b'%';
                let items = length(line)?.checked_mul(1 + usize::from(is_map));
                let items = items.ok_or(ReadError::Number)?;
                return Ok(Some((Frame::List { is_map, items }, bytes)));
            }
            kind => return Err(ReadError::Kind(kind)),
        };
        Ok(Some((Frame::Value(value), bytes)))
    }

    /// The line at the front of `input` without its kind and end, and its whole length.
    fn line<'a>(&self, input: &'a [u8]) -> Result<Option<(&'a [u8], usize)>, ReadError> {
        match input.first() {
            None => return Ok(None),
            Some(
                b'+' | b',' | b'(' | b'-' | b':' | b'#' | b'_' | b'$' | b'=' | b'!' | b'*' | b'~'
                | b'%',
            ) => {}
            Some(&kind) => return Err(ReadError::Kind(kind)),
        }
        let within = &input[..input.len().min(self.limits.line_bytes_max)];
        match memchr::memchr(b'\n', within) {
            Some(end) if end >= 2 && input[end - 1] == b'\r' => {
                Ok(Some((&input[1..end - 1], end + 1)))
            }
            Some(_) => Err(ReadError::End),
            None if within.len() < input.len() => Err(ReadError::TooLong),
            None => Ok(None),
        }
    }

    fn data(
        &self,
        kind: u8,
        input: &[u8],
        length: usize,
        start: usize,
    ) -> Result<Option<(Frame, usize)>, ReadError> {
        if length > self.limits.data_bytes_max {
            return Err(ReadError::TooLong);
        }
        let end = start + length;
        match input.get(end..end + 2) {
            Some(b"\r\n") => {}
            Some(_) => return Err(ReadError::End),
            None => return Ok(None),
        }
        let text = &input[start..end];
        let value = match kind {
            b'!' => Value::Error(ServerError::from_text(text)),
            // `txt:` before what is to be read.
            b'=' => Value::Data(text.get(4..).ok_or(ReadError::Number)?.to_vec()),
            _ => Value::Data(text.to_vec()),
        };
        Ok(Some((Frame::Value(value), end + 2)))
    }
}

impl Open {
    fn into_value(self) -> Value {
        if !self.is_map {
            return Value::Array(self.items);
        }
        let mut items = self.items.into_iter();
        let mut pairs = Vec::with_capacity(items.len() / 2);
        while let (Some(key), Some(value)) = (items.next(), items.next()) {
            pairs.push((key, value));
        }
        Value::Map(pairs)
    }
}

fn length(text: &[u8]) -> Result<usize, ReadError> {
    number(text).and_then(|n| usize::try_from(n).ok()).ok_or(ReadError::Number)
}

fn integer(text: &[u8]) -> Result<i128, ReadError> {
    let (digits, sign) = match text {
        [b'-', digits @ ..] => (digits, -1),
        [b'+', digits @ ..] => (digits, 1),
        digits => (digits, 1),
    };
    number(digits).map(|n| i128::from(n) * sign).ok_or(ReadError::Number)
}

fn truth(text: &[u8]) -> Result<bool, ReadError> {
    match text {
        b"t" => Ok(true),
        b"f" => Ok(false),
        _ => Err(ReadError::Number),
    }
}
