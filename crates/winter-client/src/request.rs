//! Commands into bytes: a RESP array of bulk strings.

use winter_core::command::Verb;

/// A command to be sent. Words may be any bytes.
#[derive(Clone, Debug, Default)]
pub struct Request {
    words: usize,
    body: Vec<u8>,
}

impl Request {
    /// The command `verb`, without arguments.
    #[must_use]
    pub fn new(verb: Verb) -> Self {
        Self::default().word(verb.spec().name)
    }

    /// A command of words as they are, its name first.
    pub fn of_words<W: AsRef<[u8]>>(words: impl IntoIterator<Item = W>) -> Self {
        words.into_iter().fold(Self::default(), Self::word)
    }

    /// One more word.
    #[must_use]
    pub fn word(mut self, word: impl AsRef<[u8]>) -> Self {
        let word = word.as_ref();
        self.words += 1;
        self.body.push(b'$');
        push_number(word.len(), &mut self.body);
        self.body.extend_from_slice(word);
        self.body.extend_from_slice(b"\r\n");
        self
    }

    /// One more word, a number.
    #[must_use]
    pub fn number(self, n: u64) -> Self {
        self.word(itoa::Buffer::new().format(n))
    }

    /// Whether there is no word, hence no command.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.words == 0
    }

    /// Writes the frame to the end of `output`.
    pub(crate) fn write(&self, output: &mut Vec<u8>) {
        output.reserve(self.body.len() + 24);
        output.push(b'*');
        push_number(self.words, output);
        output.extend_from_slice(&self.body);
    }
}

fn push_number(n: usize, output: &mut Vec<u8>) {
    output.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
    output.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_may_be_any_bytes() {
        let mut frame = Vec::new();
        Request::new(Verb::Put).word("t").word(b"\r\n").word("").number(7).write(&mut frame);
        assert_eq!(frame, b"*5\r\n$3\r\nPUT\r\n$1\r\nt\r\n$2\r\n\r\n\r\n$0\r\n\r\n$1\r\n7\r\n");
    }
}
