//! A history as text: what a failing run leaves behind, and what tests are
//! written in. It can be read back.
//!
//! A line is an event. Invocations name process, node and command; completions
//! name only the outcome. `#` and the operation's number tie them together:
//!
//! ```text
//! 0.000120 #7 p3 n1 ADD t0 k4 v17 EXPIRE 500
//! 0.000450 #7 added 9
//! 0.000600 #8 p1 n2 GET t0 k4
//! 0.002000 #8 unknown
//! ```
//!
//! Blank lines, and what follows a `;`, mean nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::str::{FromStr, SplitWhitespace};
use std::time::Duration;

use super::{
    Action, Call, Event, History, Key, KeyOp, Operation, Outcome, Reply, Table, Value, Write,
};

/// Text that is no history.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct ParseError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t{}", self.0)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "k{}", self.0)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.0)
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.word(), self.table)?;
        let Action::Key(key, op) = self.action else { return Ok(()) };
        write!(f, " {key}")?;
        if let KeyOp::Touch(ttl, _) = op {
            write!(f, " {}", ttl.unwrap_or_default().as_millis())?;
        }
        if let Some(version) = op.version() {
            write!(f, " {version}")?;
        }
        let Some(Write { value, ttl }) = op.write() else { return Ok(()) };
        write!(f, " {value}")?;
        ttl.map_or(Ok(()), |ttl| write!(f, " EXPIRE {}", ttl.as_millis()))
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => f.write_str("ok"),
            Self::OkVersion(version) => write!(f, "ok {version}"),
            Self::Added(version) => write!(f, "added {version}"),
            Self::Exists(version) => write!(f, "exists {version}"),
            Self::Conflict(version) => write!(f, "conflict {version}"),
            Self::Nil => f.write_str("nil"),
            Self::Data(value) => write!(f, "{value}"),
            Self::VersionData(version, value) => write!(f, "{version} {value}"),
            Self::MissingTable => f.write_str("missing table"),
            Self::Created => f.write_str("created"),
            Self::AlreadyCreated => f.write_str("already created"),
            Self::Dropped => f.write_str("dropped"),
            Self::Other(text) => write!(f, "other {text}"),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(reply) => reply.fmt(f),
            Self::Failed => f.write_str("failed"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

impl Outcome {
    /// What a server's line says, without its end.
    #[must_use]
    pub fn of_line(line: &str) -> Self {
        if let Some(error) = line.strip_prefix("error ") {
            return match error.split(':').next() {
                Some("unknown") => Self::Unknown,
                Some("unavailable" | "busy" | "memory") => Self::Failed,
                _ => Self::Known(Reply::other(line)),
            };
        }
        let words: Vec<&str> = line.split(' ').collect();
        Self::Known(reply(&words).unwrap_or_else(|| Reply::other(line)))
    }
}

/// Seconds, to the microsecond, or to the nanosecond where that says more.
fn seconds(at: Duration) -> String {
    let (whole, nanos) = (at.as_secs(), at.subsec_nanos());
    if nanos % 1_000 == 0 {
        format!("{whole}.{:06}", nanos / 1_000)
    } else {
        format!("{whole}.{nanos:09}")
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = BTreeMap::new();
        for op in self.operations() {
            let Operation { id, process, node, call, .. } = op;
            let at = seconds(op.invoked.at);
            lines.insert(op.invoked.order, format!("{at} #{id} p{process} n{node} {call}"));
            if let Some(Event { order, at }) = op.completed {
                lines.insert(order, format!("{} #{id} {}", seconds(at), op.outcome));
            }
        }
        lines.values().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl FromStr for History {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut operations: BTreeMap<u64, Operation> = BTreeMap::new();
        for (line, order) in text.lines().zip(0_u64..) {
            let line = line.split(';').next().unwrap_or_default();
            if !line.trim().is_empty() {
                event(&mut operations, order, line).map_err(|reason| ParseError {
                    line: usize::try_from(order + 1).unwrap_or(usize::MAX),
                    reason,
                })?;
            }
        }
        Ok(operations.into_values().collect::<Vec<_>>().into())
    }
}

/// Takes one line into `operations`.
fn event(
    operations: &mut BTreeMap<u64, Operation>,
    order: u64,
    line: &str,
) -> Result<(), &'static str> {
    let mut words = line.split_whitespace();
    let at = words.next().and_then(instant).ok_or("a line begins with a time in seconds")?;
    let id = number(words.next(), "#").ok_or("after the time comes # and a number")?;
    let event = Event { order, at };
    let Some(operation) = operations.get_mut(&id) else {
        let process = number(words.next(), "p").ok_or("an invocation names its process")?;
        let node = number(words.next(), "n").ok_or("an invocation names its node")?;
        let call = call(&mut words).ok_or("there is no such command")?;
        let outcome = Outcome::Unknown;
        let invoked = event;
        let operation = Operation { id, process, node, call, invoked, completed: None, outcome };
        operations.insert(id, operation);
        return Ok(());
    };
    if operation.completed.is_some() {
        return Err("this operation has ended before");
    }
    operation.outcome = outcome(&words.collect::<Vec<_>>()).ok_or("there is no such outcome")?;
    operation.completed = Some(event);
    Ok(())
}

fn instant(word: &str) -> Option<Duration> {
    let (whole, fraction) = word.split_once('.').unwrap_or((word, "0"));
    let digits = u32::try_from(fraction.len()).ok().filter(|&digits| digits <= 9)?;
    let nanos = fraction.parse::<u32>().ok()? * 10_u32.pow(9 - digits);
    Some(Duration::new(whole.parse().ok()?, nanos))
}

/// The number that follows `letter`.
fn number<N: FromStr>(word: Option<&str>, letter: &str) -> Option<N> {
    word?.strip_prefix(letter)?.parse().ok()
}

fn call(words: &mut SplitWhitespace<'_>) -> Option<Call> {
    let word = words.next()?;
    let table = Table(number(words.next(), "t")?);
    let action = match word {
        "CREATE" => Action::Create,
        "DROP" => Action::Drop,
        _ => Action::Key(Key(number(words.next(), "k")?), key_op(word, words)?),
    };
    words.next().is_none().then_some(Call { table, action })
}

fn key_op(word: &str, words: &mut SplitWhitespace<'_>) -> Option<KeyOp> {
    Some(match word {
        "GET" => KeyOp::Get,
        "GETS" => KeyOp::Gets,
        "PUTNEW" => KeyOp::PutNew(write_of(words)?),
        "ADD" => KeyOp::Add(write_of(words)?),
        "PUT" => KeyOp::Put(write_of(words)?),
        "CAS" => KeyOp::Cas(number(words.next(), "")?, write_of(words)?),
        "DELETE" => KeyOp::Delete(version(words)?),
        "TOUCH" => {
            let millis: u64 = number(words.next(), "")?;
            let ttl = (millis > 0).then(|| Duration::from_millis(millis));
            KeyOp::Touch(ttl, version(words)?)
        }
        _ => return None,
    })
}

fn version(words: &mut SplitWhitespace<'_>) -> Option<Option<u64>> {
    words.next().map_or(Some(None), |word| word.parse().ok().map(Some))
}

fn write_of(words: &mut SplitWhitespace<'_>) -> Option<Write> {
    let value = Value(number(words.next(), "v")?);
    let ttl = match words.next() {
        None => None,
        Some("EXPIRE") => Some(Duration::from_millis(number(words.next(), "")?)),
        Some(_) => return None,
    };
    Some(Write { value, ttl })
}

fn outcome(words: &[&str]) -> Option<Outcome> {
    match *words {
        ["failed"] => Some(Outcome::Failed),
        ["unknown"] => Some(Outcome::Unknown),
        ["other", ref rest @ ..] => Some(Outcome::Known(Reply::Other(rest.join(" ")))),
        _ => reply(words).map(Outcome::Known),
    }
}

fn reply(words: &[&str]) -> Option<Reply> {
    let version = |word: &str| word.parse::<u64>().ok();
    let value = |word: &str| number(Some(word), "v").map(Value);
    Some(match *words {
        ["ok"] => Reply::Ok,
        ["ok", v] => Reply::OkVersion(version(v)?),
        ["added", v] => Reply::Added(version(v)?),
        ["exists", v] => Reply::Exists(version(v)?),
        ["conflict", v] => Reply::Conflict(version(v)?),
        ["nil"] => Reply::Nil,
        ["missing", "table"] => Reply::MissingTable,
        ["created"] => Reply::Created,
        ["already", "created"] => Reply::AlreadyCreated,
        ["dropped"] => Reply::Dropped,
        [data] => Reply::Data(value(data)?),
        [v, data] => Reply::VersionData(version(v)?, value(data)?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_line_says_what_became_of_a_command() {
        let cases = [
            ("ok", Outcome::Known(Reply::Ok)),
            ("v7", Outcome::Known(Reply::Data(Value(7)))),
            ("12 v7", Outcome::Known(Reply::VersionData(12, Value(7)))),
            ("conflict 9", Outcome::Known(Reply::Conflict(9))),
            ("missing table", Outcome::Known(Reply::MissingTable)),
            ("w7", Outcome::Known(Reply::other("w7"))),
            ("failed", Outcome::Known(Reply::other("failed"))),
            ("error usage: no", Outcome::Known(Reply::other("error usage: no"))),
            ("error unknown: who knows", Outcome::Unknown),
            ("error unavailable: nobody", Outcome::Failed),
            ("error busy: later", Outcome::Failed),
        ];
        for (line, outcome) in cases {
            assert_eq!(Outcome::of_line(line), outcome, "{line}");
        }
    }
}
