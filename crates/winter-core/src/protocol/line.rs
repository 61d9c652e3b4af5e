//! The line dialect: what a person can type into `nc`.
//!
//! A request is one line; the data of a writing command is everything to its
//! end, byte for byte. Bytes that are plainly another protocol (HTTP, TLS) end
//! the session before any of them runs as a command.

use super::{Limits, Parsed, Step, Words, write_number};
use crate::command::parse;
use crate::command::table::{self, Shape, Spec};
use crate::fault::{Fault, Kind, echo};
use crate::limits::{ARGUMENTS_MAX, KEY_BYTES_MAX, LINE_OVERHEAD_BYTES, TABLE_NAME_BYTES_MAX};
use crate::reply::{Reply, Value};

/// The first byte of a TLS handshake record.
const TLS_HANDSHAKE: u8 = 0x16;

/// Reads the next line from the front of `input`.
#[must_use]
pub fn next<'a>(input: &'a [u8], limits: Limits) -> Step<'a> {
    let Some(&first) = input.first() else { return Step::Incomplete(1) };
    if first == TLS_HANDSHAKE {
        return Step::Broken(Fault::protocol("this port does not speak TLS; connect without it"));
    }
    let line_max = line_bytes_max(limits.value_bytes_max);
    let Some(end) = memchr::memchr(b'\n', &input[limits.scanned.min(input.len())..]) else {
        if input.len() > line_max {
            return Step::Broken(too_long_a_line(line_max));
        }
        return Step::Incomplete(input.len() + 1);
    };
    let end = end + limits.scanned;
    if end > line_max {
        return Step::Broken(too_long_a_line(line_max));
    }
    let line = &input[..end];
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.is_empty() {
        return Step::Blank(end + 1);
    }
    if let Some(fault) = http(line) {
        return Step::Broken(fault);
    }
    let (verb, command) = command(line, limits.value_bytes_max);
    Step::Command(Parsed { verb, command, length: end + 1 })
}

/// The longest legal line in bytes, without its end.
#[must_use]
pub const fn line_bytes_max(value_bytes_max: usize) -> usize {
    LINE_OVERHEAD_BYTES + TABLE_NAME_BYTES_MAX + KEY_BYTES_MAX + value_bytes_max
}

fn too_long_a_line(most: usize) -> Fault {
    Fault::protocol(format!("the line is longer than any legal one of {most} bytes"))
}

type Made<'a> = (Option<table::Verb>, Result<crate::command::Command<'a>, Fault>);

fn command(line: &[u8], value_bytes_max: usize) -> Made<'_> {
    let (name, rest) = first_word(line);
    let Some(spec) = table::find(name).filter(|spec| !spec.resp_only) else {
        return (None, Err(Fault::new(Kind::UnknownCommand, echo(name))));
    };
    let words = cut(spec, name, rest);
    (Some(spec.verb), words.and_then(|words| parse::command(spec, &words, value_bytes_max)))
}

/// Cuts a line, without its end, into words as [`next`] does: for clients that
/// take lines from people and send them as RESP. A line that names no command of
/// this dialect is cut at every space.
///
/// # Errors
/// More words than any command takes.
pub fn words(line: &[u8]) -> Result<Words<'_>, Fault> {
    let (name, rest) = first_word(line);
    match table::find(name).filter(|spec| !spec.resp_only) {
        Some(spec) => cut(spec, name, rest),
        None => Ok(line.split(|&byte| byte == b' ').filter(|word| !word.is_empty()).collect()),
    }
}

/// The word before the first space, and what follows that space.
fn first_word(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b' ', text) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    }
}

fn cut<'a>(spec: &Spec, name: &'a [u8], mut rest: Option<&'a [u8]>) -> Result<Words<'a>, Fault> {
    let mut words = Words::new();
    words.push(name);
    let lead = match spec.shape {
        Shape::Words => usize::MAX,
        Shape::Data(lead) | Shape::DataExpire(lead) => lead,
    };
    while let Some(text) = rest
        && words.len() <= lead
    {
        if words.len() == ARGUMENTS_MAX {
            return Err(too_many_words(spec));
        }
        let (word, after) = first_word(text);
        words.push(word);
        rest = after;
    }
    let Some(data) = rest else { return Ok(words) };
    if matches!(spec.shape, Shape::DataExpire(_))
        && let Some(with_option) = expire_option(data)
    {
        words.extend(with_option);
    } else {
        words.push(data);
    }
    Ok(words)
}

/// The fault for more words than any command takes. Sixteen million spaces are not
/// made into sixteen million words first.
fn too_many_words(spec: &Spec) -> Fault {
    if spec.arity.1 < ARGUMENTS_MAX {
        return parse::wrong_arity(spec);
    }
    Fault::limit("the number of words", format_args!("above {ARGUMENTS_MAX}"), ARGUMENTS_MAX)
}

/// Splits a trailing ` EXPIRE <ms>` off the data. What follows the word and its one
/// space must look like a number, or the words are data: `does it expire today` is a value.
fn expire_option(data: &[u8]) -> Option<[&[u8]; 3]> {
    let space = memchr::memrchr(b' ', data)?;
    let (before, millis) = (&data[..space], &data[space + 1..]);
    if !matches!(millis.first(), Some(b'0'..=b'9' | b'-' | b'+')) {
        return None;
    }
    let (data, option) = before.split_at(before.len().checked_sub(b" EXPIRE".len())?);
    let word = option.strip_prefix(b" ")?;
    word.eq_ignore_ascii_case(b"EXPIRE").then_some([data, word, millis])
}

/// The fault for a line of HTTP: a request line, or what a browser sends after one.
fn http(line: &[u8]) -> Option<Fault> {
    let (first, rest) = first_word(line);
    let foreign = first.eq_ignore_ascii_case(b"POST")
        || first.eq_ignore_ascii_case(b"Host:")
        || rest.is_some_and(is_http_target);
    foreign.then(|| Fault::protocol("this port does not speak HTTP; see WINTER_HTTP_PORT"))
}

/// Whether `text` is the target and version of an HTTP request line.
fn is_http_target(text: &[u8]) -> bool {
    let (target, version) = first_word(text);
    version.is_some_and(|v| v.starts_with(b"HTTP/") && !v.contains(&b' '))
        && (target.starts_with(b"/") || target == b"*" || target.contains(&b':'))
}

/// Writes `reply` to the end of `output`.
pub fn write(reply: &Reply<'_>, output: &mut Vec<u8>) {
    match reply {
        Reply::Word(word) => line_of(word.as_bytes(), output),
        Reply::WordVersion(word, version) => {
            output.extend_from_slice(word.as_bytes());
            output.push(b' ');
            write_number(*version, output);
            output.push(b'\n');
        }
        Reply::Data(data) if has_line_end(data) => binary("the value", output),
        Reply::Data(data) => line_of(data, output),
        Reply::VersionData(_, data) if has_line_end(data) => binary("the value", output),
        Reply::VersionData(version, data) => {
            write_number(*version, output);
            output.push(b' ');
            line_of(data, output);
        }
        Reply::Nil => output.extend_from_slice(b"nil\n"),
        Reply::Integer(n) => {
            write_number(*n, output);
            output.push(b'\n');
        }
        Reply::MissingTable => output.extend_from_slice(b"missing table\n"),
        Reply::Text(text) => line_of(text.as_bytes(), output),
        Reply::Lines(lines) => {
            count(lines.len(), output);
            lines.iter().for_each(|line| line_of(line.as_bytes(), output));
        }
        Reply::Fields(fields) => {
            count(fields.len(), output);
            for (field, value) in fields {
                output.extend_from_slice(field.as_bytes());
                output.push(b' ');
                line_of(value.as_bytes(), output);
            }
        }
        Reply::Scan { keys, .. } if keys.iter().any(|key| has_line_end(key)) => {
            binary("a key", output);
        }
        Reply::Scan { cursor, keys } => {
            count(keys.len() + 1, output);
            line_of(itoa::Buffer::new().format(*cursor).as_bytes(), output);
            keys.iter().for_each(|key| line_of(key, output));
        }
        Reply::Resp(value) => write_value(value, output),
        Reply::Fault(fault) => write_fault(fault, output),
    }
}

fn write_fault(fault: &Fault, output: &mut Vec<u8>) {
    if fault.kind == Kind::UnknownCommand {
        output.extend_from_slice(b"unrecognized command ");
    } else {
        output.extend_from_slice(b"error ");
        output.extend_from_slice(fault.kind.word().as_bytes());
        output.extend_from_slice(b": ");
    }
    line_of(fault.line().as_bytes(), output);
}

/// RESP's own values are not answered on lines; the words of one still can be.
fn write_value(value: &Value, output: &mut Vec<u8>) {
    match value {
        Value::Simple(text) => line_of(text.as_bytes(), output),
        Value::Bulk(data) => write(&Reply::Data(data), output),
        Value::Verbatim(text) => {
            let lines: Vec<String> = text.lines().map(str::to_owned).collect();
            write(&Reply::Lines(lines), output);
        }
        Value::Integer(n) => {
            write_number(*n, output);
            output.push(b'\n');
        }
        Value::Null => output.extend_from_slice(b"nil\n"),
        Value::Array(_) | Value::Map(_) | Value::Set(_) => binary("the reply", output),
    }
}

fn binary(what: &str, output: &mut Vec<u8>) {
    let sentence = format!("{what} holds a line end and cannot be shown on a line; use RESP");
    write_fault(&Fault::new(Kind::Binary, sentence), output);
}

fn has_line_end(data: &[u8]) -> bool {
    memchr::memchr2(b'\r', b'\n', data).is_some()
}

fn count(n: usize, output: &mut Vec<u8>) {
    write_number(n, output);
    output.push(b'\n');
}

fn line_of(text: &[u8], output: &mut Vec<u8>) {
    output.extend_from_slice(text);
    output.push(b'\n');
}
