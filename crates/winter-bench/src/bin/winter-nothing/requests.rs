//! Where requests end, and nothing more about them.

/// What a canned reply depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    /// A frame whose command begins with G.
    RespRead,
    /// Any other frame.
    RespOther,
    /// A line that begins with G.
    LineRead,
    /// Any other line.
    LineOther,
}

/// The complete requests at the beginning of some bytes. What is no frame counts as lines.
#[derive(Debug)]
pub(crate) struct Requests<'a> {
    bytes: &'a [u8],
    used: usize,
}

impl<'a> Requests<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, used: 0 }
    }

    /// Bytes in the requests returned so far.
    pub(crate) const fn used(&self) -> usize {
        self.used
    }
}

impl Iterator for Requests<'_> {
    type Item = Request;

    #[inline]
    fn next(&mut self) -> Option<Request> {
        let rest = &self.bytes[self.used..];
        let (request, len) = if rest.first()? == &b'*' { frame(rest)? } else { line(rest)? };
        self.used += len;
        Some(request)
    }
}

fn line(bytes: &[u8]) -> Option<(Request, usize)> {
    let end = memchr::memchr(b'\n', bytes)?;
    let read = bytes[0].eq_ignore_ascii_case(&b'g');
    Some((if read { Request::LineRead } else { Request::LineOther }, end + 1))
}

/// A frame: `*N`, then N times `$length` and that many bytes.
fn frame(bytes: &[u8]) -> Option<(Request, usize)> {
    let (arguments, mut at) = number(bytes, 0)?;
    let mut read = false;
    for argument in 0..arguments {
        let (len, start) = number(bytes, at)?;
        if argument == 0 {
            read = bytes.get(start)?.eq_ignore_ascii_case(&b'g');
        }
        at = start.saturating_add(len).saturating_add(2);
        if at > bytes.len() {
            return None;
        }
    }
    Some((if read { Request::RespRead } else { Request::RespOther }, at))
}

/// The number after the mark at `at`, and where the line behind it ends.
#[inline]
fn number(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let mut value: usize = 0;
    let mut at = at + 1;
    loop {
        match *bytes.get(at)? {
            digit @ b'0'..=b'9' => {
                value = value.saturating_mul(10).saturating_add(usize::from(digit - b'0'));
            }
            _ => return (at + 2 <= bytes.len()).then_some((value, at + 2)),
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(bytes: &[u8]) -> (Vec<Request>, usize) {
        let mut requests = Requests::new(bytes);
        (requests.by_ref().collect(), requests.used())
    }

    #[test]
    fn frames_are_counted_when_whole() {
        let bytes =
            b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\n\r\n\r\n\r\n";
        assert_eq!(scan(bytes), (vec![Request::RespRead, Request::RespOther], bytes.len()));
        for cut in 20..bytes.len() {
            assert_eq!(scan(&bytes[..cut]), (vec![Request::RespRead], 20), "cut at {cut}");
        }
        for cut in 0..20 {
            assert_eq!(scan(&bytes[..cut]), (vec![], 0), "cut at {cut}");
        }
    }

    #[test]
    fn lines_are_counted_when_whole() {
        assert_eq!(
            scan(b"GET t k\nPUTNEW t k d\r\nGE"),
            (vec![Request::LineRead, Request::LineOther], 22)
        );
    }
}
