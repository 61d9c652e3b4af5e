//! Words into a [`Command`]. Both dialects end here, so an argument means the
//! same whichever way it came.

use super::table::{self, Spec, Verb};
use super::{
    Command, Credentials, Hello, KeyCommand, KeyOp, Scan, ServerCommand, TableCommand,
    TableOptions, Write,
};
use crate::fault::{Fault, Kind, echo};
use crate::limits::{KEY_BYTES_MAX, SCAN_COUNT_DEFAULT, SCAN_COUNT_MAX, TTL_MILLIS_MAX};
use crate::name::table_name;
use crate::time::Ttl;

/// Makes a command of its words, the name first. The verb is known even when
/// the command is not well made, so that errors count for their command.
///
/// # Errors
/// `usage` and `limit` faults; the session goes on.
pub fn command<'a>(
    spec: &'static Spec,
    words: &[&'a [u8]],
    value_bytes_max: usize,
) -> Result<Command<'a>, Fault> {
    let (least, most) = spec.arity;
    if words.len() < least || words.len() > most {
        return Err(wrong_arity(spec));
    }
    let cx = Context { spec, words: &words[1..], value_bytes_max };
    match spec.verb {
        _ if spec.has_key() => {
            let table = table_name(words[1])?;
            on_key(spec, table, &words[2..], value_bytes_max).map(Command::Key)
        }
        Verb::Count => cx.table(TableCommand::Count),
        Verb::Drop => cx.table(TableCommand::Drop),
        Verb::Describe => cx.table(TableCommand::Describe),
        Verb::Revive => cx.table(TableCommand::Revive),
        Verb::Scan => {
            let scan = cx.scan()?;
            cx.table(|table| TableCommand::Scan(table, scan))
        }
        Verb::Create => {
            let options = TableOptions::parse(&cx.words[1..])?;
            cx.table(|table| TableCommand::Create(table, options))
        }
        _ => cx.server().map(Command::Server),
    }
}

/// Makes a command on a key of `table` of the words after the table, the key
/// first. There are as many as the command takes.
///
/// # Errors
/// As [`command`].
#[inline]
pub fn on_key<'a>(
    spec: &'static Spec,
    table: &'a str,
    words: &[&'a [u8]],
    value_bytes_max: usize,
) -> Result<KeyCommand<'a>, Fault> {
    let cx = Context { spec, words, value_bytes_max };
    let key = cx.key()?;
    let op = match spec.verb {
        Verb::Get => KeyOp::Get,
        Verb::Gets => KeyOp::Gets,
        Verb::Ttl => KeyOp::Ttl,
        Verb::PutNew => KeyOp::PutNew(cx.write(1)?),
        Verb::Add => KeyOp::Add(cx.write(1)?),
        Verb::Put => KeyOp::Put(cx.write(1)?),
        Verb::Cas => KeyOp::Cas(cx.version(1)?, cx.write(2)?),
        Verb::Delete => KeyOp::Delete(cx.optional_version(1)?),
        Verb::Touch => KeyOp::Touch(cx.new_ttl(1)?, cx.optional_version(2)?),
        verb => unreachable!("{verb:?} is not a command on a key"),
    };
    Ok(KeyCommand { table, key, op })
}

/// The fault for a word that is no command, with the prefix that RESP clients match on.
#[must_use]
pub fn unknown_command(words: &[&[u8]]) -> Fault {
    let name = words.first().copied().unwrap_or_default();
    let mut sentence = format!("unknown command '{}', with args beginning with: ", echo(name));
    for word in words.iter().skip(1).take(8) {
        if sentence.len() > 256 {
            break;
        }
        sentence.push_str(&format!("'{}' ", echo(word)));
    }
    Fault::new(Kind::UnknownCommand, sentence)
}

/// The fault for too few or too many words.
#[must_use]
pub fn wrong_arity(spec: &Spec) -> Fault {
    Fault::usage(format!(
        "wrong number of arguments for '{}' command; usage: {}",
        spec.lower_name(),
        spec.usage()
    ))
}

/// A decimal number: digits alone, no sign, no space.
#[must_use]
pub fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 20 {
        return None;
    }
    text.iter().try_fold(0u64, |n, b| {
        let digit = b.wrapping_sub(b'0');
        if digit > 9 { None } else { n.checked_mul(10)?.checked_add(u64::from(digit)) }
    })
}

/// A time to live in milliseconds, for the command `spec`.
///
/// # Errors
/// `limit` when it is not a number from 1 to 2^53.
pub fn ttl(text: &[u8], spec: &Spec) -> Result<Ttl, Fault> {
    number(text).and_then(Ttl::from_millis).ok_or_else(|| invalid_expire_time(text, spec))
}

/// The fault for a time to live that is none.
fn invalid_expire_time(text: &[u8], spec: &Spec) -> Fault {
    Fault::new(
        Kind::Limit,
        format!(
            "invalid expire time '{}' in '{}' command; it is milliseconds from 1 to {TTL_MILLIS_MAX}",
            echo(text),
            spec.lower_name()
        ),
    )
}

struct Context<'w, 'a> {
    spec: &'static Spec,
    /// The words after the command's name, or, where it names a key, after its table.
    words: &'w [&'a [u8]],
    value_bytes_max: usize,
}

impl<'a> Context<'_, 'a> {
    fn key(&self) -> Result<&'a [u8], Fault> {
        let key = self.words[0];
        if key.is_empty() {
            return Err(Fault::new(
                Kind::Limit,
                "the key is 0 bytes long, and the least is 1 byte",
            ));
        }
        if key.len() > KEY_BYTES_MAX {
            return Err(too_long("the key", key.len(), KEY_BYTES_MAX));
        }
        Ok(key)
    }

    fn table(&self, make: impl FnOnce(&'a str) -> TableCommand<'a>) -> Result<Command<'a>, Fault> {
        Ok(Command::Table(make(table_name(self.words[0])?)))
    }

    /// Data at `at`, and `EXPIRE ms` after it.
    fn write(&self, at: usize) -> Result<Write<'a>, Fault> {
        let data = self.words[at];
        if data.len() > self.value_bytes_max {
            return Err(too_long("the value", data.len(), self.value_bytes_max));
        }
        let ttl = match self.words[at + 1..] {
            [] => None,
            [word, millis] if word.eq_ignore_ascii_case(b"EXPIRE") => Some(ttl(millis, self.spec)?),
            _ => return Err(syntax_error(self.spec)),
        };
        Ok(Write { data, ttl })
    }

    fn version(&self, at: usize) -> Result<u64, Fault> {
        let text = self.words[at];
        number(text).ok_or_else(|| {
            Fault::usage(format!(
                "version '{}' is not a number from 0 to {}; usage: {}",
                echo(text),
                u64::MAX,
                self.spec.usage()
            ))
        })
    }

    fn optional_version(&self, at: usize) -> Result<Option<u64>, Fault> {
        if self.words.len() > at { self.version(at).map(Some) } else { Ok(None) }
    }

    /// A time to live in which 0 means for ever.
    fn new_ttl(&self, at: usize) -> Result<Option<Ttl>, Fault> {
        let text = self.words[at];
        if number(text) == Some(0) {
            return Ok(None);
        }
        ttl(text, self.spec).map(Some)
    }

    fn scan(&self) -> Result<Scan<'a>, Fault> {
        let cursor = number(self.words[1]).ok_or_else(Scan::invalid_cursor)?;
        let mut scan = Scan { cursor, prefix: b"", count: SCAN_COUNT_DEFAULT };
        for pair in self.words[2..].chunks(2) {
            match *pair {
                [word, prefix] if word.eq_ignore_ascii_case(b"PREFIX") => scan.prefix = prefix,
                [word, count] if word.eq_ignore_ascii_case(b"COUNT") => {
                    scan.count = scan_count(count)?;
                }
                _ => return Err(syntax_error(self.spec)),
            }
        }
        Ok(scan)
    }

    fn server(&self) -> Result<ServerCommand<'a>, Fault> {
        let first = self.words.first().copied();
        Ok(match self.spec.verb {
            Verb::Tables => ServerCommand::Tables,
            Verb::Ping => ServerCommand::Ping(first),
            Verb::Help => ServerCommand::Help(first),
            Verb::Info => ServerCommand::Info(self.words.to_vec()),
            Verb::Quit => ServerCommand::Quit,
            Verb::Auth => ServerCommand::Auth(credentials(self.words)),
            Verb::Cluster => ServerCommand::Cluster(first),
            Verb::Hello => ServerCommand::Hello(self.hello()?),
            Verb::Client => ServerCommand::Client(self.words.to_vec()),
            Verb::Command => ServerCommand::Command(self.words.to_vec()),
            Verb::Config => ServerCommand::Config(self.words.to_vec()),
            Verb::Select => ServerCommand::Select(self.words[0]),
            Verb::Echo => ServerCommand::Echo(self.words[0]),
            Verb::Reset => ServerCommand::Reset,
            verb => unreachable!("{verb:?} is not a server command"),
        })
    }

    fn hello(&self) -> Result<Hello<'a>, Fault> {
        let mut hello = Hello::default();
        let Some((version, mut rest)) = self.words.split_first() else { return Ok(hello) };
        hello.version = Some(match number(version) {
            Some(n @ (2 | 3)) => u8::try_from(n).expect("2 or 3"),
            Some(_) => return Err(Fault::new(Kind::NoProto, "unsupported protocol version")),
            None => {
                return Err(Fault::usage("Protocol version is not an integer or out of range"));
            }
        });
        while let Some((word, tail)) = rest.split_first() {
            match (word.to_ascii_uppercase().as_slice(), tail) {
                (b"AUTH", [user, password, tail @ ..]) => {
                    hello.auth = Some(Credentials { user, password });
                    rest = tail;
                }
                (b"SETNAME", [name, tail @ ..]) => {
                    hello.name = Some(name);
                    rest = tail;
                }
                _ => {
                    return Err(Fault::usage(format!(
                        "syntax error in HELLO option '{}'",
                        echo(word)
                    )));
                }
            }
        }
        Ok(hello)
    }
}

fn credentials<'a>(words: &[&'a [u8]]) -> Credentials<'a> {
    match *words {
        [user, password] => Credentials { user, password },
        [password] => Credentials { user: b"default", password },
        _ => unreachable!("the arity was checked"),
    }
}

fn scan_count(text: &[u8]) -> Result<u64, Fault> {
    number(text).filter(|n| (1..=SCAN_COUNT_MAX).contains(n)).ok_or_else(|| {
        Fault::new(
            Kind::Limit,
            format!("COUNT takes a number from 1 to {SCAN_COUNT_MAX}, not '{}'", echo(text)),
        )
    })
}

fn syntax_error(spec: &Spec) -> Fault {
    Fault::usage(format!("syntax error; usage: {}", spec.usage()))
}

/// The fault for a key or value past its limit.
#[must_use]
pub fn too_long(what: &str, got: usize, most: usize) -> Fault {
    Fault::limit(what, format_args!("{got} bytes long"), format_args!("{most} bytes"))
}

/// Finds the command that `words` name and makes it.
///
/// # Errors
/// As [`command`], and the unknown command.
pub fn words<'a>(
    words: &[&'a [u8]],
    value_bytes_max: usize,
) -> (Option<Verb>, Result<Command<'a>, Fault>) {
    match words.first().and_then(|name| table::find(name)) {
        Some(spec) => (Some(spec.verb), command(spec, words, value_bytes_max)),
        None => (None, Err(unknown_command(words))),
    }
}
