//! How values look to a server: as histories name them, or with a tail that makes them long.

use std::borrow::Cow;

use crate::coverage::Coverage;
use crate::history::{Action, Call, History, Outcome, Reply, Value, Write};

/// How long values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Padding {
    /// A value has one of these lengths in bytes, by its number, or that of its name.
    lengths: &'static [usize],
}

impl Padding {
    /// Values are what histories call them.
    pub const NONE: Self = Self { lengths: &[] };

    /// Values of these lengths, each of which is as frequent as it is named often.
    #[must_use]
    pub const fn of(lengths: &'static [usize]) -> Self {
        Self { lengths }
    }

    /// What is sent to ask for it, without its end.
    #[must_use]
    pub fn line(&self, call: &Call) -> String {
        let line = call.to_string();
        let Action::Key(_, op) = call.action else { return line };
        let Some(Write { value, .. }) = op.write() else { return line };
        line.replacen(&format!(" {value}"), &format!(" {}", self.pad(value)), 1)
    }

    /// What a server's line says, without its end. Of data that is cut, or holds a part of
    /// another value, it says that nobody wrote it.
    #[must_use]
    pub fn outcome(&self, line: &str) -> Outcome {
        Outcome::of_line(&self.unpad(line))
    }

    /// Counts what was written and read of values of a megabyte and more.
    pub fn saw_long(&self, history: &History, coverage: &mut Coverage) {
        let is_long = |value: Value| self.length(value) >= 1_000_000;
        for op in history.operations() {
            match (op.answer(), op.call.action) {
                (Some((Reply::Data(value) | Reply::VersionData(_, value), _)), _)
                    if is_long(*value) =>
                {
                    coverage.saw("a long value was read");
                }
                (
                    Some((Reply::Ok | Reply::OkVersion(_) | Reply::Added(_), _)),
                    Action::Key(_, op),
                ) if op.write().is_some_and(|write| is_long(write.value)) => {
                    coverage.saw("a long value was written");
                }
                _ => {}
            }
        }
    }

    /// The value, which says in each part of it whose that is.
    fn pad(&self, value: Value) -> String {
        let name = value.to_string();
        let length = self.length(value);
        if length <= name.len() {
            return name;
        }
        let part = name + "-";
        part.repeat(length.div_ceil(part.len()))
    }

    fn length(&self, value: Value) -> usize {
        let place = usize::try_from(value.0).unwrap_or(0) % self.lengths.len().max(1);
        self.lengths.get(place).copied().unwrap_or(0)
    }

    fn unpad<'a>(&self, line: &'a str) -> Cow<'a, str> {
        let data = line.rsplit(' ').next().unwrap_or(line);
        let number = data.strip_prefix('v').and_then(|data| data.split_once('-')?.0.parse().ok());
        match number.map(Value).filter(|&value| self.pad(value) == data) {
            Some(value) => format!("{}{value}", line.strip_suffix(data).unwrap_or("")).into(),
            None => line.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Key, KeyOp, Reply, Table};

    const LONG: Padding = Padding::of(&[0, 100]);

    fn line(value: u64) -> String {
        let write = Write { value: Value(value), ttl: None };
        LONG.line(&Call { table: Table(1), action: Action::Key(Key(2), KeyOp::Cas(3, write)) })
    }

    #[test]
    fn what_was_sent_is_known_again_and_what_was_spoilt_is_not() {
        assert_eq!(line(4), "CAS t1 k2 3 v4");
        let long = line(5);
        assert!((100..120).contains(&long.len()), "{long}");
        let data = long.strip_prefix("CAS t1 k2 3 ").expect("it is before the value");
        let known = |reply| Outcome::Known(reply);
        assert_eq!(LONG.outcome(data), known(Reply::Data(Value(5))));
        assert_eq!(LONG.outcome(&format!("7 {data}")), known(Reply::VersionData(7, Value(5))));
        assert_eq!(LONG.outcome("nil"), known(Reply::Nil));
        assert_eq!(LONG.outcome("v4"), known(Reply::Data(Value(4))));
        for spoilt in [&data[1..], &data[..data.len() - 3], &data.replacen("5-v5", "5-v7", 1)] {
            assert!(matches!(LONG.outcome(spoilt), Outcome::Known(Reply::Other(_))), "{spoilt}");
        }
        assert_eq!(Padding::NONE.outcome("v5"), known(Reply::Data(Value(5))));
    }
}
