//! RESP, versions 2 and 3, as clients send it: arrays of bulk strings.
//!
//! Source: the RESP specification of Redis and Valkey. There are no inline
//! commands. Announced lengths are checked before anything is kept, and nothing
//! is allocated for what has not come.

mod opening;

pub(super) use self::opening::Opening;
use super::{Limits, Parsed, Skip, Step, write_number};
use crate::command::parse;
use crate::command::table::{self, Effect, Spec};
use crate::fault::{Fault, Kind, echo};
use crate::limits::{
    ARGUMENTS_MAX, KEY_BYTES_MAX, RESP_HEADER_BYTES_MAX, RESP_OVERHEAD_BYTES, TABLE_NAME_BYTES_MAX,
    VALUE_BYTES_MAX,
};
use crate::reply::{Reply, Value};

/// Words of a command that need no allocation.
const WORDS_INLINE: usize = 8;

/// The protocol version that replies are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// RESP2.
    Two,
    /// RESP3.
    Three,
}

/// A header line: a type byte, a length, CR LF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Header {
    Incomplete,
    Length { value: usize, bytes: usize },
}

/// Reads the next command from the front of `input`.
pub(super) fn next(input: &[u8], limits: Limits) -> Step<'_> {
    read(input, limits).unwrap_or_else(Step::Broken)
}

fn read<'a>(input: &'a [u8], limits: Limits) -> Result<Step<'a>, Fault> {
    if let Some(b'\r' | b'\n') = input.first() {
        let blank = input.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
        return Ok(Step::Blank(blank));
    }
    let (count, at) = match header(input, b'*')? {
        Header::Incomplete => return Ok(Step::Incomplete(input.len() + 1)),
        Header::Length { value: 0, bytes } => return Ok(Step::Blank(bytes)),
        Header::Length { value, bytes } => (value, bytes),
    };
    if count > WORDS_INLINE {
        let mut words = vec![&input[..0]; count];
        return read_words(input, at, &mut words, limits);
    }
    let mut words = [&input[..0]; WORDS_INLINE];
    read_words(input, at, &mut words[..count], limits)
}

/// Reads a bulk string for each of `words` from `at` on, and makes a command of them.
#[inline]
fn read_words<'a>(
    input: &'a [u8],
    mut at: usize,
    words: &mut [&'a [u8]],
    limits: Limits,
) -> Result<Step<'a>, Fault> {
    let command_max = command_bytes_max(limits.value_bytes_max);
    let bulk_max = bulk_bytes_max(limits.value_bytes_max);
    for n in 0..words.len() {
        if let Some((word, end)) = short_bulk(input, at).filter(|&(_, end)| end <= command_max) {
            words[n] = word;
            at = end;
            continue;
        }
        let (length, bytes) = match header(&input[at..], b'$')? {
            Header::Incomplete => return Ok(Step::Incomplete(input.len() + 1)),
            Header::Length { value, bytes } => (value, bytes),
        };
        at += bytes;
        let end = at + length;
        let is_short = length <= bulk_max && end <= command_max;
        let Some(with_end) = input.get(at..end + 2).filter(|_| is_short) else {
            let left = words.len() - n - 1;
            return cut_short(input, &words[..n], (at, length, left), limits);
        };
        let (word, line_end) = with_end.split_at(length);
        if line_end != b"\r\n" {
            return Err(bulk_without_end());
        }
        words[n] = word;
        at = end + 2;
    }
    let (verb, command) = parse::words(words, limits.value_bytes_max);
    Ok(Step::Command(Parsed { verb, command, length: at }))
}

/// What to do about an argument of `length` bytes at `at` that is too long, or
/// has not come whole; `left` more follow it.
#[cold]
fn cut_short<'a>(
    input: &[u8],
    words: &[&[u8]],
    (at, length, left): (usize, usize, usize),
    limits: Limits,
) -> Result<Step<'a>, Fault> {
    let command_max = command_bytes_max(limits.value_bytes_max);
    if let Some(fault) = too_long(words, at, length, limits.value_bytes_max, command_max) {
        let skip = Skip { bulk_left: length + 2, arguments_left: left };
        return Ok(Step::Oversize(fault, at, skip));
    }
    match input.get(at + length..) {
        Some(line_end) if !b"\r\n".starts_with(line_end) => Err(bulk_without_end()),
        Some(b"\r") => Ok(Step::Incomplete(at + length + 2)),
        // One byte of the line end is enough to tell a wrong one, however it comes.
        _ => Ok(Step::Incomplete(at + length + 1)),
    }
}

/// The longest legal command in bytes: a value, a key, and the rest.
#[must_use]
pub const fn command_bytes_max(value_bytes_max: usize) -> usize {
    RESP_OVERHEAD_BYTES + KEY_BYTES_MAX + value_bytes_max
}

/// The longest argument in bytes. A key may be longer than a small
/// `WINTER_MAX_VALUE`; it has a limit of its own.
const fn bulk_bytes_max(value_bytes_max: usize) -> usize {
    if value_bytes_max > KEY_BYTES_MAX { value_bytes_max } else { KEY_BYTES_MAX }
}

/// The fault for an argument of `length` bytes after `words`, if it is too long
/// to be kept: by itself, or with what came before it.
fn too_long(
    words: &[&[u8]],
    at: usize,
    length: usize,
    value_bytes_max: usize,
    command_max: usize,
) -> Option<Fault> {
    if length > bulk_bytes_max(value_bytes_max) {
        let (what, most) = limit_of(words, value_bytes_max);
        return Some(parse::too_long(what, length, most));
    }
    let total = at + length;
    (total > command_max).then(|| parse::too_long("the command", total, command_max))
}

/// What the argument after `words` is, and the most bytes that it may have.
fn limit_of(words: &[&[u8]], value_bytes_max: usize) -> (&'static str, usize) {
    let spec = words.first().and_then(|name| table::find(name));
    match (words.len(), spec.map(|spec| spec.effect)) {
        (1, Some(Effect::Read | Effect::Write | Effect::Table)) => {
            ("the table name", TABLE_NAME_BYTES_MAX)
        }
        (2, Some(Effect::Read | Effect::Write)) if spec.is_some_and(Spec::has_key) => {
            ("the key", KEY_BYTES_MAX)
        }
        (_, Some(Effect::Write)) => ("the value", value_bytes_max),
        _ => ("the argument", value_bytes_max.max(KEY_BYTES_MAX)),
    }
}

/// Reads one header line at the front of `input`, which must begin with `kind`.
#[inline]
pub(super) fn header(input: &[u8], kind: u8) -> Result<Header, Fault> {
    match short_header(input, kind) {
        Some((value, bytes)) => Ok(Header::Length { value, bytes }),
        None => long_header(input, kind),
    }
}

/// A bulk string that stands whole at `at`, and where it ends.
#[inline]
fn bulk_at(input: &[u8], at: usize) -> Option<(&[u8], usize)> {
    short_bulk(input, at).or_else(|| long_bulk(input, at))
}

fn long_bulk(input: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let rest = input.get(at..)?;
    let Header::Length { value, bytes } = header(rest, b'$').ok()? else { return None };
    let end = bytes.checked_add(value)?.checked_add(2)?;
    let word = rest.get(bytes..end)?.strip_suffix(b"\r\n")?;
    Some((word, at + end))
}

/// A bulk string of at most 99 bytes that stands whole at `at`, and where it
/// ends: nearly every argument is one.
#[inline]
fn short_bulk(input: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let rest = input.get(at..)?;
    let (length, start) = short_header(rest, b'$')?;
    let (word, line_end) = rest.get(start..start + length + 2)?.split_at(length);
    (line_end == b"\r\n").then_some((word, at + start + length + 2))
}

/// A length of one or two digits, where at least seven bytes have come: the
/// length, and how many bytes the header takes.
#[inline]
fn short_header(input: &[u8], kind: u8) -> Option<(usize, usize)> {
    let &[first, a, b, c, d, ..] = input.first_chunk::<7>()?;
    let (x, y) = (usize::from(a.wrapping_sub(b'0')), usize::from(b.wrapping_sub(b'0')));
    if first != kind || x > 9 {
        None
    } else if [b, c] == *b"\r\n" {
        Some((x, 4))
    } else if [c, d] == *b"\r\n" && y <= 9 && x != 0 {
        Some((x * 10 + y, 5))
    } else {
        None
    }
}

fn long_header(input: &[u8], kind: u8) -> Result<Header, Fault> {
    match input.first() {
        None => return Ok(Header::Incomplete),
        Some(&first) if first != kind => {
            return Err(Fault::protocol(format!(
                "expected '{}', got '{}'",
                char::from(kind),
                echo(&[first])
            )));
        }
        Some(_) => {}
    }
    let within = &input[..input.len().min(RESP_HEADER_BYTES_MAX)];
    let Some(end) = memchr::memchr(b'\n', within) else {
        if input.len() >= RESP_HEADER_BYTES_MAX {
            let what = if kind == b'*' { "mbulk" } else { "bulk" };
            return Err(Fault::protocol(format!("too big {what} count string")));
        }
        return Ok(Header::Incomplete);
    };
    let text = input[1..end].strip_suffix(b"\r").ok_or_else(|| invalid_length(kind))?;
    if kind == b'*' && is_negative(text) {
        return Ok(Header::Length { value: 0, bytes: end + 1 });
    }
    let leading_zero = text.len() > 1 && text[0] == b'0';
    let value =
        parse::number(text).filter(|_| !leading_zero).ok_or_else(|| invalid_length(kind))?;
    length(kind, usize::try_from(value).map_err(|_| invalid_length(kind))?, end + 1)
}

fn length(kind: u8, value: usize, bytes: usize) -> Result<Header, Fault> {
    let most = if kind == b'*' { ARGUMENTS_MAX } else { VALUE_BYTES_MAX };
    if value > most {
        return Err(invalid_length(kind));
    }
    Ok(Header::Length { value, bytes })
}

pub(super) fn bulk_without_end() -> Fault {
    Fault::protocol("a bulk string must end with CR LF")
}

fn is_negative(text: &[u8]) -> bool {
    matches!(text.strip_prefix(b"-").and_then(parse::number), Some(1..))
}

fn invalid_length(kind: u8) -> Fault {
    if kind == b'*' {
        Fault::protocol("invalid multibulk length")
    } else {
        Fault::protocol("invalid bulk length")
    }
}

/// Writes `reply` to the end of `output`.
pub fn write(reply: &Reply<'_>, version: Version, output: &mut Vec<u8>) {
    match reply {
        Reply::Word(word) => simple(word, output),
        Reply::WordVersion(word, v) => {
            output.extend_from_slice(b"*2\r\n");
            bulk(word.as_bytes(), output);
            integer(*v, output);
        }
        Reply::Data(data) => bulk(data, output),
        Reply::VersionData(v, data) => {
            output.extend_from_slice(b"*2\r\n");
            integer(*v, output);
            bulk(data, output);
        }
        Reply::Nil => null(version, output),
        Reply::Integer(n) => integer(*n, output),
        Reply::MissingTable => output.extend_from_slice(b"-MISSINGTABLE missing table\r\n"),
        Reply::Text(text) => bulk(text.as_bytes(), output),
        Reply::Lines(lines) => {
            count(b'*', lines.len(), output);
            lines.iter().for_each(|line| bulk(line.as_bytes(), output));
        }
        Reply::Fields(fields) => {
            map(fields.len(), version, output);
            for (field, value) in fields {
                bulk(field.as_bytes(), output);
                bulk(value.as_bytes(), output);
            }
        }
        Reply::Scan { cursor, keys } => {
            output.extend_from_slice(b"*2\r\n");
            bulk(itoa::Buffer::new().format(*cursor).as_bytes(), output);
            count(b'*', keys.len(), output);
            keys.iter().for_each(|key| bulk(key, output));
        }
        Reply::Resp(value) => write_value(value, version, output),
        Reply::Fault(fault) => write_fault(fault, output),
    }
}

fn write_fault(fault: &Fault, output: &mut Vec<u8>) {
    output.push(b'-');
    output.extend_from_slice(fault.kind.prefix().as_bytes());
    output.push(b' ');
    if fault.kind == Kind::Protocol {
        output.extend_from_slice(b"Protocol error: ");
    }
    output.extend_from_slice(fault.line().as_bytes());
    output.extend_from_slice(b"\r\n");
}

fn write_value(value: &Value, version: Version, output: &mut Vec<u8>) {
    match value {
        Value::Simple(text) => simple(text, output),
        Value::Bulk(data) => bulk(data, output),
        Value::Verbatim(text) if version == Version::Three => {
            count(b'=', text.len() + 4, output);
            output.extend_from_slice(b"txt:");
            output.extend_from_slice(text.as_bytes());
            output.extend_from_slice(b"\r\n");
        }
        Value::Verbatim(text) => bulk(text.as_bytes(), output),
        Value::Integer(n) => integer(*n, output),
        Value::Null => null(version, output),
        Value::Array(items) => sequence(b'*', items, version, output),
        Value::Set(items) if version == Version::Three => sequence(b'~', items, version, output),
        Value::Set(items) => sequence(b'*', items, version, output),
        Value::Map(pairs) => {
            map(pairs.len(), version, output);
            for (key, value) in pairs {
                write_value(key, version, output);
                write_value(value, version, output);
            }
        }
    }
}

fn sequence(kind: u8, items: &[Value], version: Version, output: &mut Vec<u8>) {
    count(kind, items.len(), output);
    items.iter().for_each(|item| write_value(item, version, output));
}

fn map(pairs: usize, version: Version, output: &mut Vec<u8>) {
    match version {
        Version::Two => count(b'*', pairs * 2, output),
        Version::Three => count(b'%', pairs, output),
    }
}

fn null(version: Version, output: &mut Vec<u8>) {
    output.extend_from_slice(match version {
        Version::Two => b"$-1\r\n",
        Version::Three => b"_\r\n",
    });
}

fn simple(text: &str, output: &mut Vec<u8>) {
    output.push(b'+');
    output.extend_from_slice(text.as_bytes());
    output.extend_from_slice(b"\r\n");
}

fn integer(n: impl itoa::Integer, output: &mut Vec<u8>) {
    output.push(b':');
    write_number(n, output);
    output.extend_from_slice(b"\r\n");
}

#[inline]
fn bulk(data: &[u8], output: &mut Vec<u8>) {
    output.reserve(data.len() + 16);
    count(b'$', data.len(), output);
    output.extend_from_slice(data);
    output.extend_from_slice(b"\r\n");
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "digits are less than 10")]
fn count(kind: u8, n: usize, output: &mut Vec<u8>) {
    if n < 100 {
        let (tens, ones) = (b'0' + (n / 10) as u8, b'0' + (n % 10) as u8);
        return if n < 10 {
            output.extend_from_slice(&[kind, ones, b'\r', b'\n']);
        } else {
            output.extend_from_slice(&[kind, tens, ones, b'\r', b'\n']);
        };
    }
    output.push(kind);
    write_number(n, output);
    output.extend_from_slice(b"\r\n");
}
