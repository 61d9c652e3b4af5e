//! Commands of a pipeline that begin alike.

use super::{Header, WORDS_INLINE, bulk_at, command_bytes_max, header};
use crate::command::table::Spec;
use crate::command::{Command, KeyCommand, Verb, parse};
use crate::protocol::{Limits, Parsed};

/// How a command on a key began: its array header, its name and its table. The
/// next command of a pipeline mostly begins with the same bytes, which then mean
/// the same and need not be read again.
#[derive(Clone, Copy, Debug)]
pub(in crate::protocol) struct Opening<'a> {
    bytes: &'a [u8],
    spec: &'static Spec,
    table: &'a str,
    /// Words that follow.
    left: usize,
}

impl<'a> Opening<'a> {
    /// The opening of `command`, which stands at the front of `input`.
    pub(in crate::protocol) fn of(input: &'a [u8], command: &Parsed<'a>) -> Option<Self> {
        let Ok(Command::Key(key)) = &command.command else { return None };
        let Header::Length { value: words, bytes } = header(input, b'*').ok()? else { return None };
        let (_, at) = bulk_at(input, bytes)?;
        let (_, at) = bulk_at(input, at)?;
        let left = words.checked_sub(2).filter(|&left| left <= WORDS_INLINE)?;
        Some(Self { bytes: &input[..at], spec: command.verb?.spec(), table: key.table, left })
    }

    /// Reads the command at the front of `input` if it begins alike, stands there
    /// whole and is well made.
    #[inline]
    pub(in crate::protocol) fn next(
        &self,
        input: &'a [u8],
        limits: Limits,
    ) -> Option<(Verb, KeyCommand<'a>, usize)> {
        if !input.starts_with(self.bytes) {
            return None;
        }
        let mut at = self.bytes.len();
        let mut words = [&input[..0]; WORDS_INLINE];
        let words = &mut words[..self.left];
        for word in &mut *words {
            (*word, at) = bulk_at(input, at)?;
        }
        if at > command_bytes_max(limits.value_bytes_max) {
            return None;
        }
        let command = parse::on_key(self.spec, self.table, words, limits.value_bytes_max).ok()?;
        Some((self.spec.verb, command, at))
    }
}
