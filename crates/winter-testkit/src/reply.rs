//! RESP, read and written by a second pair of hands.

/// A reply, in either version of RESP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// `+text`
    Simple(String),
    /// `-text`, its prefix included.
    Error(String),
    /// `:n`
    Integer(i64),
    /// `$n`
    Bulk(Vec<u8>),
    /// `=n` with the three letters that say what it is.
    Verbatim(String, Vec<u8>),
    /// RESP2's null: `$-1`.
    NullBulk,
    /// RESP3's null: `_`.
    Null,
    /// `*n`
    Array(Vec<Self>),
    /// `~n`
    Set(Vec<Self>),
    /// `%n`
    Map(Vec<(Self, Self)>),
}

/// A reply and how many bytes it took; `None` when more must come.
type Parsed = Result<Option<(Reply, usize)>, String>;

impl Reply {
    /// A bulk string.
    #[must_use]
    pub fn bulk(data: impl AsRef<[u8]>) -> Self {
        Self::Bulk(data.as_ref().to_vec())
    }

    /// Reads the reply at the front of `bytes`, if it is all there.
    ///
    /// # Errors
    /// What is wrong, if it is no reply.
    pub fn parse(bytes: &[u8]) -> Parsed {
        let Some(end) = bytes.windows(2).position(|pair| pair == b"\r\n") else { return Ok(None) };
        let line = &bytes[1..end];
        let text = || String::from_utf8_lossy(line).into_owned();
        let after = end + 2;
        Ok(Some(match bytes[0] {
            b'+' => (Self::Simple(text()), after),
            b'-' => (Self::Error(text()), after),
            b':' => (Self::Integer(number(line)?), after),
            b'_' if line.is_empty() => (Self::Null, after),
            b'$' if line == b"-1" => (Self::NullBulk, after),
            kind @ (b'$' | b'=') => return string(kind, length(line)?, bytes, after),
            b'*' => return items(length(line)?, bytes, after, Self::Array),
            b'~' => return items(length(line)?, bytes, after, Self::Set),
            b'%' => return items(length(line)? * 2, bytes, after, Self::map),
            other => return Err(format!("type byte '{}'", other.escape_ascii())),
        }))
    }

    fn map(items: Vec<Self>) -> Self {
        let mut items = items.into_iter();
        let mut pairs = Vec::new();
        while let (Some(field), Some(value)) = (items.next(), items.next()) {
            pairs.push((field, value));
        }
        Self::Map(pairs)
    }

    /// The integer.
    ///
    /// # Panics
    /// If this is none.
    #[must_use]
    #[track_caller]
    pub fn integer(&self) -> i64 {
        let Self::Integer(n) = self else { panic!("no integer: {self:?}") };
        *n
    }

    /// The items of an array or a set.
    ///
    /// # Panics
    /// If this is neither.
    #[must_use]
    #[track_caller]
    pub fn items(&self) -> &[Self] {
        let (Self::Array(items) | Self::Set(items)) = self else { panic!("no array: {self:?}") };
        items
    }

    /// The text of a string or an error of any kind, as far as it is UTF-8.
    ///
    /// # Panics
    /// If this is none.
    #[must_use]
    #[track_caller]
    pub fn text(&self) -> String {
        match self {
            Self::Simple(text) | Self::Error(text) => text.clone(),
            Self::Bulk(data) | Self::Verbatim(_, data) => {
                String::from_utf8_lossy(data).into_owned()
            }
            other => panic!("no text: {other:?}"),
        }
    }

    /// The value of `field`, in a map or in an array of fields and values in turn.
    ///
    /// # Panics
    /// If there is no such field.
    #[must_use]
    #[track_caller]
    pub fn field(&self, field: &str) -> &Self {
        let wanted = Self::bulk(field);
        let found = match self {
            Self::Map(pairs) => pairs.iter().find(|pair| pair.0 == wanted).map(|pair| &pair.1),
            Self::Array(items) => {
                items.chunks(2).find(|pair| pair[0] == wanted).and_then(|pair| pair.get(1))
            }
            _ => None,
        };
        found.unwrap_or_else(|| panic!("no field {field} in {self:?}"))
    }
}

fn number(text: &[u8]) -> Result<i64, String> {
    let text = String::from_utf8_lossy(text);
    text.parse().map_err(|_| format!("number '{text}'"))
}

fn length(text: &[u8]) -> Result<usize, String> {
    usize::try_from(number(text)?).map_err(|_| "negative length".to_owned())
}

fn string(kind: u8, length: usize, bytes: &[u8], at: usize) -> Parsed {
    let end = at + length;
    let Some(tail) = bytes.get(end..end + 2) else { return Ok(None) };
    if tail != b"\r\n" {
        return Err("a string that does not end where it says".to_owned());
    }
    let data = &bytes[at..end];
    let reply = if kind == b'$' {
        Reply::bulk(data)
    } else {
        let (format, text) = data.split_at_checked(4).ok_or("a verbatim string without a kind")?;
        Reply::Verbatim(String::from_utf8_lossy(&format[..3]).into_owned(), text.to_vec())
    };
    Ok(Some((reply, end + 2)))
}

fn items(count: usize, bytes: &[u8], mut at: usize, make: fn(Vec<Reply>) -> Reply) -> Parsed {
    let mut items = Vec::new();
    for _ in 0..count {
        let Some((item, length)) = Reply::parse(&bytes[at..])? else { return Ok(None) };
        items.push(item);
        at += length;
    }
    Ok(Some((make(items), at)))
}

/// A command as clients send it: an array of bulk strings.
#[must_use]
pub fn request<W: AsRef<[u8]>>(words: &[W]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words.iter().map(AsRef::as_ref) {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_read_whole_or_not_at_all() {
        let bytes = b"%1\r\n$1\r\na\r\n*3\r\n:-1\r\n_\r\n=7\r\ntxt:abc\r\n";
        let expected = Reply::Map(vec![(
            Reply::bulk("a"),
            Reply::Array(vec![
                Reply::Integer(-1),
                Reply::Null,
                Reply::Verbatim("txt".into(), b"abc".to_vec()),
            ]),
        )]);
        assert_eq!(Reply::parse(bytes), Ok(Some((expected, bytes.len()))));
        for end in 0..bytes.len() {
            assert_eq!(Reply::parse(&bytes[..end]), Ok(None), "{end}");
        }
    }

    #[test]
    fn what_is_no_reply_is_refused() {
        for bytes in [&b"?1\r\n"[..], b":x\r\n", b"$1\r\nabc\r\n", b"*-1\r\n", b"_1\r\n"] {
            assert!(Reply::parse(bytes).is_err(), "{bytes:?}");
        }
    }
}
