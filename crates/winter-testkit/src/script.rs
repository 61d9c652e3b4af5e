//! Scripts: what is sent, and what comes back, as one would see it on a terminal.
//!
//! A line that begins with `> ` is a request; the lines below it are its reply.
//! In the line dialect both are sent and read as they stand. In RESP a request's
//! words are sent as an array of bulk strings (`""` is an empty one), and a reply
//! stands as it comes over the wire, one line for each that ends in CR LF; a line
//! that begins with `RESP2: ` or `RESP3: ` counts in that version only.
//!
//! `V1`, `V2` and so on stand for numbers that cannot be known before: each is
//! bound at first sight and must be the same from then on, in replies and in
//! requests. `\xFF`, `\r`, `\n`, `\t` and `\\` stand for bytes. `(closed)` says
//! that the server closes the connection. When a script is over the client says
//! that it will send no more, and nothing more may come.

use std::collections::BTreeMap;
use std::net::Shutdown;

use crate::{Reply, Wire, request};

/// How a script's connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Lines.
    Line,
    /// RESP as it begins.
    Resp2,
    /// RESP after `HELLO 3`.
    Resp3,
}

/// How a script's requests are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Each after the reply to the one before.
    InTurn,
    /// As many at once as can be written before a reply must be known.
    Pipelined,
    /// As `Pipelined`, and each byte in a segment of its own.
    ByteByByte,
}

impl Pace {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::InTurn, Self::Pipelined, Self::ByteByByte];
}

/// Plays `script` on `wire`, a new connection, to its end.
///
/// # Panics
/// If anything else comes back than the script says.
#[track_caller]
pub fn play(mut wire: Wire, dialect: Dialect, pace: Pace, script: &str) {
    if dialect == Dialect::Resp3 {
        let hello = wire.call(&["HELLO", "3"]);
        assert_eq!(hello.field("proto"), &Reply::Integer(3));
    }
    let mut player = Player { wire: &mut wire, dialect, bound: BTreeMap::new() };
    let exchanges = exchanges(script, dialect);
    let mut unread = 0;
    let mut bytes = Vec::new();
    for (n, exchange) in exchanges.iter().enumerate() {
        if pace == Pace::InTurn || needs_reply(exchange.request, &exchanges[unread..n]) {
            player.send(&mut bytes, pace);
            player.read(&exchanges[unread..n]);
            unread = n;
        }
        bytes.extend_from_slice(&player.request(exchange));
    }
    player.send(&mut bytes, pace);
    player.read(&exchanges[unread..]);
    // A connection that the server has closed cannot be shut down.
    let _ = wire.stream().shutdown(Shutdown::Write);
    wire.expect_close();
}

/// Plays a block of a document: the line dialect, one request after another.
#[track_caller]
pub fn play_block(wire: Wire, block: &str) {
    play(wire, Dialect::Line, Pace::InTurn, block);
}

/// The blocks of a document that are fenced as `winter`, each with the number of its first line.
#[must_use]
pub fn blocks(document: &str) -> Vec<(usize, String)> {
    let mut blocks: Vec<(usize, String)> = Vec::new();
    let mut is_open = false;
    for (n, line) in document.lines().enumerate() {
        match line.trim_end() {
            "```winter" => {
                is_open = true;
                blocks.push((n + 2, String::new()));
            }
            "```" => is_open = false,
            _ if is_open => {
                let block = &mut blocks.last_mut().expect("one is open").1;
                block.push_str(line);
                block.push('\n');
            }
            _ => {}
        }
    }
    blocks
}

/// A request and the lines of its reply.
struct Exchange<'s> {
    request: &'s str,
    reply: Vec<&'s str>,
}

fn exchanges(script: &str, dialect: Dialect) -> Vec<Exchange<'_>> {
    let mut exchanges: Vec<Exchange<'_>> = Vec::new();
    let script = script.strip_prefix('\n').unwrap_or(script);
    for line in script.lines() {
        let of_version = [("RESP2: ", Dialect::Resp2), ("RESP3: ", Dialect::Resp3)]
            .into_iter()
            .find_map(|(mark, version)| Some((line.strip_prefix(mark)?, version)));
        if let Some(request) = line.strip_prefix("> ") {
            exchanges.push(Exchange { request, reply: Vec::new() });
        } else if let Some((reply, version)) = of_version {
            if version == dialect {
                last(&mut exchanges).push(reply);
            }
        } else {
            last(&mut exchanges).push(line);
        }
    }
    assert!(!exchanges.is_empty(), "a script without a request tests nothing");
    exchanges
}

fn last<'e, 's>(exchanges: &'e mut [Exchange<'s>]) -> &'e mut Vec<&'s str> {
    &mut exchanges.last_mut().expect("a script begins with a request").reply
}

/// Whether `request` holds a version that a reply still to be read brings.
fn needs_reply(request: &str, waiting: &[Exchange<'_>]) -> bool {
    let replies = || waiting.iter().flat_map(|exchange| &exchange.reply);
    pieces(request).iter().any(|piece| match piece {
        Piece::Version(name) => replies().any(|line| pieces(line).contains(&Piece::Version(name))),
        Piece::Text(_) => false,
    })
}

struct Player<'w, 's> {
    wire: &'w mut Wire,
    dialect: Dialect,
    bound: BTreeMap<&'s str, String>,
}

impl<'s> Player<'_, 's> {
    /// The request as it goes over the wire.
    fn request(&self, exchange: &Exchange<'s>) -> Vec<u8> {
        let mut text = String::new();
        for piece in pieces(exchange.request) {
            match piece {
                Piece::Text(literal) => text.push_str(literal),
                Piece::Version(name) => text.push_str(self.bound.get(name).map_or(name, |v| v)),
            }
        }
        if self.dialect == Dialect::Line {
            let mut line = unescape(&text);
            line.push(b'\n');
            return line;
        }
        let word = |word: &str| if word == "\"\"" { Vec::new() } else { unescape(word) };
        request(&text.split(' ').map(word).collect::<Vec<_>>())
    }

    #[track_caller]
    fn send(&mut self, bytes: &mut Vec<u8>, pace: Pace) {
        if pace == Pace::ByteByByte {
            self.wire.send_byte_by_byte(&*bytes);
        } else if !bytes.is_empty() {
            self.wire.send(&*bytes);
        }
        bytes.clear();
    }

    #[track_caller]
    fn read(&mut self, exchanges: &[Exchange<'s>]) {
        let end: &[u8] = if self.dialect == Dialect::Line { b"\n" } else { b"\r\n" };
        for exchange in exchanges {
            for expected in &exchange.reply {
                if *expected == "(closed)" {
                    self.wire.expect_close();
                    continue;
                }
                let came = self.wire.read_until(end);
                if let Err(meant) = self.fits(expected, &came) {
                    panic!(
                        "\nin {:?}, after > {}\nexpected {}\n    came {}\n",
                        self.dialect,
                        exchange.request,
                        meant.escape_ascii(),
                        came.escape_ascii(),
                    );
                }
            }
        }
    }

    /// Binds the versions in `expected` that are seen for the first time. What
    /// was expected, when `came` is something else.
    fn fits(&mut self, expected: &'s str, came: &[u8]) -> Result<(), Vec<u8>> {
        let mut rest = came;
        let mut meant = Vec::new();
        let mut fits = true;
        for piece in pieces(expected) {
            let bytes = match piece {
                Piece::Text(literal) => unescape(literal),
                Piece::Version(name) => match self.bound.get(name) {
                    Some(version) => version.clone().into_bytes(),
                    None => {
                        let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
                        if digits > 0 && fits {
                            let version = String::from_utf8_lossy(&rest[..digits]).into_owned();
                            self.bound.insert(name, version.clone());
                            version.into_bytes()
                        } else {
                            name.as_bytes().to_vec()
                        }
                    }
                },
            };
            match rest.strip_prefix(&bytes[..]) {
                Some(after) => rest = after,
                None => fits = false,
            }
            meant.extend_from_slice(&bytes);
        }
        if fits && rest.is_empty() { Ok(()) } else { Err(meant) }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece<'s> {
    Text(&'s str),
    Version(&'s str),
}

/// Cuts a line at its `V1`, `V2`, …: each a word of its own, or after `:`.
fn pieces(line: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut text_from = 0;
    let mut at = 0;
    while let Some(found) = line[at..].find('V') {
        let start = at + found;
        let digits = line[start + 1..].bytes().take_while(u8::is_ascii_digit).count();
        let end = start + 1 + digits;
        let is_edge = |c: Option<char>| c.is_none_or(|c| c == ' ' || c == ':');
        let stands_alone =
            is_edge(line[..start].chars().next_back()) && is_edge(line[end..].chars().next());
        if digits > 0 && stands_alone {
            pieces.push(Piece::Text(&line[text_from..start]));
            pieces.push(Piece::Version(&line[start..end]));
            text_from = end;
        }
        at = end;
    }
    pieces.push(Piece::Text(&line[text_from..]));
    pieces
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let (&escape, after) = rest.split_first().expect("a backslash is followed by something");
        rest = after;
        bytes.push(match escape {
            b'r' => b'\r',
            b'n' => b'\n',
            b't' => b'\t',
            b'\\' => b'\\',
            b'x' => {
                let hex = rest.split_off(..2).expect("two digits follow \\x");
                let hex = std::str::from_utf8(hex).expect("hexadecimal digits");
                u8::from_str_radix(hex, 16).expect("hexadecimal digits")
            }
            other => panic!("no such escape: \\{}", char::from(other)),
        });
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_words_of_their_own() {
        use Piece::{Text, Version};
        assert_eq!(pieces(":V1"), [Text(":"), Version("V1"), Text("")]);
        assert_eq!(pieces("ok V12 V"), [Text("ok "), Version("V12"), Text(" V")]);
        assert_eq!(pieces("xV1 V1x"), [Text("xV1 V1x")]);
    }

    #[test]
    fn escapes_stand_for_bytes() {
        assert_eq!(unescape(r"a\r\n\xff\\x"), b"a\r\n\xff\\x");
    }

    #[test]
    fn blocks_are_found_by_their_fence() {
        let document = "text\n```winter\n> PING\npong\n```\n```sh\nls\n```\n```winter\n> A\n```\n";
        assert_eq!(blocks(document), [(3, "> PING\npong\n".into()), (10, "> A\n".into())]);
    }

    #[test]
    fn lines_of_the_other_version_do_not_count() {
        let read = exchanges("\n> GET\nRESP2: $-1\nRESP3: _\n", Dialect::Resp3);
        assert_eq!((read.len(), &read[0].reply[..]), (1, &["_"][..]));
    }
}
