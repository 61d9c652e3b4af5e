//! Replies, recognised with the least work that still tells a right answer from a wrong one.
//!
//! The reply that a load expects has a known length and known bytes at known places: a few
//! comparisons find its end without looking at the value. Anything else takes the slow way, a line
//! at a time, and is counted as what it is. A reply that is neither ends the load: the connection
//! would be out of step, and its numbers would mean nothing.

use super::{Dialect, Operation, VALUE_BYTE};
use crate::keys::KEY_LEN;

/// No reply but a value is longer than this.
const LINE_LEN_MAX: usize = 64 * 1024;

/// What one reply says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// A read found a value of the expected length.
    Hit,
    /// A read found nothing.
    Miss,
    /// A write was accepted.
    Stored,
    /// A write found the key taken. Winter does not tell this from [`Reply::Stored`].
    Taken,
    /// The server answered with an error.
    Error,
}

/// What stands at the beginning of the bytes received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scan {
    /// A whole reply of this many bytes.
    Whole(Reply, usize),
    /// The beginning of a reply: read on.
    Partial,
    /// Something that is no reply to the request.
    Unexpected,
}

/// Recognises the replies of one load.
#[derive(Debug)]
pub struct ReplyScanner {
    dialect: Dialect,
    operation: Operation,
    expected: Frame,
}

impl ReplyScanner {
    /// A scanner for the replies to requests of one kind, with values of `value_len` bytes.
    #[must_use]
    pub fn new(dialect: Dialect, operation: Operation, value_len: usize) -> Self {
        Self { dialect, operation, expected: Frame::expected(dialect, operation, value_len) }
    }

    /// Bytes in the reply that is expected most.
    #[must_use]
    pub const fn expected_len(&self) -> usize {
        self.expected.len
    }

    /// Looks at the first reply in `bytes`.
    #[must_use]
    #[inline]
    pub fn scan(&self, bytes: &[u8]) -> Scan {
        if self.expected.begins(bytes) {
            return self.expected.finish(bytes, self.expected_reply());
        }
        self.scan_line(bytes)
    }

    const fn expected_reply(&self) -> Reply {
        match self.operation {
            Operation::Get => Reply::Hit,
            Operation::PutNew => Reply::Stored,
        }
    }

    #[cold]
    fn scan_line(&self, bytes: &[u8]) -> Scan {
        let Some(end) = memchr::memchr(b'\n', bytes) else {
            let long = bytes.len() > LINE_LEN_MAX.max(self.expected.len);
            return if long { Scan::Unexpected } else { Scan::Partial };
        };
        let line = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
        self.classify(line).map_or(Scan::Unexpected, |reply| Scan::Whole(reply, end + 1))
    }

    fn classify(&self, line: &[u8]) -> Option<Reply> {
        let read = self.operation == Operation::Get;
        match (self.dialect, line) {
            (Dialect::WinterResp | Dialect::Redis, [b'-', ..]) => Some(Reply::Error),
            (Dialect::WinterResp | Dialect::Redis, b"$-1" | b"_") => {
                Some(if read { Reply::Miss } else { Reply::Taken })
            }
            (Dialect::WinterLine, b"nil") if read => Some(Reply::Miss),
            (Dialect::WinterLine, b"missing table") => Some(Reply::Error),
            (Dialect::WinterLine, _) if line.starts_with(b"error ") => Some(Reply::Error),
            (Dialect::WinterLine, _) if line.starts_with(b"unrecognized ") => Some(Reply::Error),
            (Dialect::Memcached, b"END") if read => Some(Reply::Miss),
            (Dialect::Memcached, b"NOT_STORED") if !read => Some(Reply::Taken),
            (Dialect::Memcached, b"ERROR") => Some(Reply::Error),
            (Dialect::Memcached, _) if line.starts_with(b"SERVER_ERROR") => Some(Reply::Error),
            (Dialect::Memcached, _) if line.starts_with(b"CLIENT_ERROR") => Some(Reply::Error),
            _ => None,
        }
    }
}

/// The shape of one reply: fixed bytes at its beginning, after a gap, and at its end.
#[derive(Debug)]
struct Frame {
    start: Vec<u8>,
    /// Bytes between `start` and `middle` that differ from reply to reply.
    gap: usize,
    middle: Vec<u8>,
    end: &'static [u8],
    len: usize,
}

impl Frame {
    fn expected(dialect: Dialect, operation: Operation, value_len: usize) -> Self {
        match (dialect, operation) {
            (Dialect::WinterResp | Dialect::Redis, Operation::Get) => {
                Self::value(format!("${value_len}\r\n").into_bytes(), value_len, b"\r\n")
            }
            (Dialect::WinterLine, Operation::Get) => {
                Self::value(vec![VALUE_BYTE; value_len.min(1)], value_len.saturating_sub(1), b"\n")
            }
            (Dialect::Memcached, Operation::Get) => Self::memcached_value(value_len),
            (Dialect::WinterResp, Operation::PutNew) => Self::fixed(b"+ok\r\n"),
            (Dialect::WinterLine, Operation::PutNew) => Self::fixed(b"ok\n"),
            (Dialect::Redis, Operation::PutNew) => Self::fixed(b"+OK\r\n"),
            (Dialect::Memcached, Operation::PutNew) => Self::fixed(b"STORED\r\n"),
        }
    }

    fn fixed(bytes: &[u8]) -> Self {
        Self { start: bytes.to_vec(), gap: 0, middle: Vec::new(), end: b"", len: bytes.len() }
    }

    fn value(start: Vec<u8>, value_len: usize, end: &'static [u8]) -> Self {
        let len = start.len() + value_len + end.len();
        Self { start, gap: 0, middle: Vec::new(), end, len }
    }

    fn memcached_value(value_len: usize) -> Self {
        let start = b"VALUE ".to_vec();
        let middle = format!(" 0 {value_len}\r\n").into_bytes();
        let end = b"\r\nEND\r\n";
        let len = start.len() + KEY_LEN + middle.len() + value_len + end.len();
        Self { start, gap: KEY_LEN, middle, end, len }
    }

    fn begins(&self, bytes: &[u8]) -> bool {
        let middle = self.start.len() + self.gap;
        bytes.starts_with(&self.start)
            && (self.middle.is_empty()
                || bytes.get(middle..).is_some_and(|rest| rest.starts_with(&self.middle)))
    }

    fn finish(&self, bytes: &[u8], reply: Reply) -> Scan {
        match bytes.get(..self.len) {
            None => Scan::Partial,
            Some(whole) if whole.ends_with(self.end) => Scan::Whole(reply, self.len),
            Some(_) => Scan::Unexpected,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: Operation = Operation::Get;
    const WRITE: Operation = Operation::PutNew;

    fn scan(dialect: Dialect, operation: Operation, bytes: &[u8]) -> Scan {
        ReplyScanner::new(dialect, operation, 3).scan(bytes)
    }

    /// The reply is whole with its last byte and not before, whatever follows it.
    fn is_whole(dialect: Dialect, operation: Operation, bytes: &[u8], reply: Reply) {
        for cut in 0..bytes.len() {
            assert_eq!(scan(dialect, operation, &bytes[..cut]), Scan::Partial, "cut at {cut}");
        }
        let more = [bytes, b"$3\r\n"].concat();
        assert_eq!(scan(dialect, operation, &more), Scan::Whole(reply, bytes.len()));
    }

    #[test]
    fn winter_replies_in_frames() {
        is_whole(Dialect::WinterResp, READ, b"$3\r\nxxx\r\n", Reply::Hit);
        is_whole(Dialect::WinterResp, READ, b"$-1\r\n", Reply::Miss);
        is_whole(Dialect::WinterResp, READ, b"_\r\n", Reply::Miss);
        is_whole(Dialect::WinterResp, READ, b"-MISSINGTABLE missing table\r\n", Reply::Error);
        is_whole(Dialect::WinterResp, WRITE, b"+ok\r\n", Reply::Stored);
        is_whole(Dialect::WinterResp, WRITE, b"-OOM full\r\n", Reply::Error);
    }

    #[test]
    fn winter_replies_in_lines() {
        is_whole(Dialect::WinterLine, READ, b"xxx\n", Reply::Hit);
        is_whole(Dialect::WinterLine, READ, b"nil\n", Reply::Miss);
        is_whole(Dialect::WinterLine, READ, b"missing table\n", Reply::Error);
        is_whole(Dialect::WinterLine, WRITE, b"ok\n", Reply::Stored);
        is_whole(Dialect::WinterLine, WRITE, b"error memory: full\n", Reply::Error);
    }

    #[test]
    fn redis_replies() {
        is_whole(Dialect::Redis, READ, b"$3\r\nxxx\r\n", Reply::Hit);
        is_whole(Dialect::Redis, WRITE, b"+OK\r\n", Reply::Stored);
        is_whole(Dialect::Redis, WRITE, b"$-1\r\n", Reply::Taken);
    }

    #[test]
    fn memcached_replies() {
        let hit = b"VALUE 0123456789abcdef 0 3\r\nxxx\r\nEND\r\n";
        is_whole(Dialect::Memcached, READ, hit, Reply::Hit);
        is_whole(Dialect::Memcached, READ, b"END\r\n", Reply::Miss);
        is_whole(Dialect::Memcached, WRITE, b"STORED\r\n", Reply::Stored);
        is_whole(Dialect::Memcached, WRITE, b"NOT_STORED\r\n", Reply::Taken);
        is_whole(Dialect::Memcached, WRITE, b"SERVER_ERROR out of memory\r\n", Reply::Error);
    }

    #[test]
    fn what_is_no_reply_is_unexpected() {
        for (dialect, operation, bytes) in [
            (Dialect::WinterResp, READ, &b"+ok\r\n"[..]),
            (Dialect::WinterResp, READ, b"$4\r\nxxxx\r\n"),
            (Dialect::WinterResp, READ, b"$3\r\nxxxxx"),
            (Dialect::WinterResp, WRITE, b"$3\r\nxxx\r\n"),
            (Dialect::WinterLine, READ, b"xxxx\n"),
            (Dialect::WinterLine, WRITE, b"nil\n"),
            (Dialect::Memcached, READ, b"STORED\r\n"),
        ] {
            assert_eq!(scan(dialect, operation, bytes), Scan::Unexpected, "{bytes:?}");
        }
    }
}
