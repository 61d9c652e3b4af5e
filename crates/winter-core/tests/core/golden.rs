//! Golden scripts: what a client sends and what it is answered, in files whose
//! names are claims.
//!
//! - `> text` is sent, with a line feed after it in the folder `line`, and as it
//!   stands in `resp`. `! word word` is sent as a RESP array of those words.
//! - `< text` is a line of the answer; in `resp` each ends with CR LF.
//! - `@ 5` sets the time in milliseconds; `max 10` sets the longest value.
//! - `(closed)` says that the session ended. `# …` is for people.
//!
//! In texts `\r`, `\n`, `\\`, `\{` and `\xNN` are bytes, `\e` is nothing, and `{x*300}` is a
//! text 300 times. Each script is played in three manners that must answer the
//! same: request by request, byte by byte, and as one pipeline.

use std::path::{Path, PathBuf};

use winter_core::time::Timestamp;

use crate::node::{Node, Session};

#[test]
fn scripts_of_the_line_dialect() {
    play_all("line");
}

#[test]
fn scripts_of_resp() {
    play_all("resp");
}

fn play_all(folder: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/core/scripts").join(folder);
    let mut scripts: Vec<PathBuf> = std::fs::read_dir(&path)
        .expect("a folder of scripts")
        .map(|entry| entry.expect("a script").path())
        .collect();
    scripts.sort();
    assert!(scripts.len() > 5, "the scripts are gone from {}", path.display());
    let mut wrong = Vec::new();
    for script in &scripts {
        let text = std::fs::read_to_string(script).expect("a script is text");
        for manner in [Manner::InTurn, Manner::ByteByByte, Manner::Pipelined] {
            let played = play(&text, folder == "line", manner);
            let is_right = match manner {
                Manner::Pipelined => answers_of(&played) == answers_of(&text),
                _ => played == text,
            };
            if !is_right {
                let name = script.file_name().expect("a file").to_string_lossy().into_owned();
                let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{folder}-{name}"));
                std::fs::write(&kept, &played).expect("room for what was played");
                let difference = first_difference(&text, &played);
                wrong.push(format!("{name}, {manner:?}:\n{difference}see {}", kept.display()));
                break;
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

fn first_difference(wanted: &str, got: &str) -> String {
    let at = wanted.lines().zip(got.lines()).take_while(|(a, b)| a == b).count();
    let line = |text: &str| text.lines().nth(at).unwrap_or("(the end)").to_owned();
    format!("line {}\n wanted {}\n got    {}\n", at + 1, line(wanted), line(got))
}

/// How the bytes of a script are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// A request, then its answer.
    InTurn,
    /// A byte at a time; long requests in pieces of a prime number of bytes.
    ByteByByte,
    /// All requests up to the next `@` or `max` as one pipeline.
    Pipelined,
}

/// Plays a script: the script as it should have been written.
fn play(script: &str, lines: bool, manner: Manner) -> String {
    let mut stage = Stage { node: Node::new(), session: Session::new(), lines, manner };
    let (mut played, mut pending) = (String::new(), Vec::new());
    for line in script.lines() {
        let (mark, text) = line.split_once(' ').unwrap_or((line, ""));
        match mark {
            "<" | "(closed)" => continue,
            ">" if lines => pending.extend([&bytes_of(text)[..], b"\n"].concat()),
            ">" => pending.extend(bytes_of(text)),
            "!" => pending.extend(array_of(text)),
            "@" | "max" => {
                played += &stage.answers(&mut pending);
                let number = text.parse().expect("a number");
                if mark == "@" {
                    stage.node.now = Timestamp::from_millis(number);
                } else {
                    stage.node.value_bytes_max = usize::try_from(number).expect("a length");
                }
            }
            _ => assert!(line.is_empty() || line.starts_with('#'), "what is '{line}'?"),
        }
        played += &(line.to_owned() + "\n");
        if manner != Manner::Pipelined {
            played += &stage.answers(&mut pending);
        }
    }
    played + &stage.answers(&mut pending)
}

struct Stage {
    node: Node,
    session: Session,
    lines: bool,
    manner: Manner,
}

impl Stage {
    /// Sends what is pending: the answers, as a script writes them.
    fn answers(&mut self, pending: &mut Vec<u8>) -> String {
        let was_open = self.session.open;
        let sent = std::mem::take(pending);
        let chunk = match (self.manner, sent.len()) {
            (Manner::ByteByByte, 0..2_000) => 1,
            (Manner::ByteByByte, _) => 997,
            (_, length) => length.max(1),
        };
        let output: Vec<u8> = sent
            .chunks(chunk)
            .flat_map(|bytes| self.session.receive(&mut self.node, bytes))
            .collect();
        let ending: &[u8] = if self.lines { b"\n" } else { b"\r\n" };
        let mut shown = String::new();
        let mut rest = &output[..];
        while !rest.is_empty() {
            let at = rest.windows(ending.len()).position(|w| w == ending);
            let at = at.expect("an answer ends with a line end");
            shown += &format!("< {}\n", text_of(&rest[..at]));
            rest = &rest[at + ending.len()..];
        }
        if was_open && !self.session.open {
            shown += "(closed)\n";
        }
        shown
    }
}

/// The answers of a script, without what was asked.
fn answers_of(script: &str) -> Vec<&str> {
    script.lines().filter(|line| line.starts_with('<') || *line == "(closed)").collect()
}

fn array_of(text: &str) -> Vec<u8> {
    let words: Vec<Vec<u8>> = repeated(text).split(' ').map(bytes_of).collect();
    let mut array = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        array.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        array.extend_from_slice(&word);
        array.extend_from_slice(b"\r\n");
    }
    array
}

/// Writes out each `{ x*300}` that makes words of its own.
fn repeated(text: &str) -> String {
    let Some((before, rest)) = text.split_once("{ ") else { return text.to_owned() };
    let (inner, after) = rest.split_once('}').expect("{text*times}");
    let (what, times) = inner.rsplit_once('*').expect("{text*times}");
    let times = times.parse().expect("a number of times");
    format!("{before}{}{after}", format!(" {what}").repeat(times))
}

fn bytes_of(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '\\' => rest = escape(rest, &mut bytes),
            '{' => {
                let (inner, after) = rest.split_once('}').expect("{text*times}");
                let (what, times) = inner.rsplit_once('*').expect("{text*times}");
                bytes.extend(bytes_of(what).repeat(times.parse().expect("a number of times")));
                rest = after;
            }
            _ => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    bytes
}

fn escape<'t>(rest: &'t str, bytes: &mut Vec<u8>) -> &'t str {
    let (byte, length) = match rest.as_bytes() {
        [b'r', ..] => (b'\r', 1),
        [b'n', ..] => (b'\n', 1),
        [b'e', ..] => return &rest[1..],
        [b'x', ..] => (u8::from_str_radix(&rest[1..3], 16).expect("two hex digits"), 3),
        [other, ..] => (*other, 1),
        [] => (b'\\', 0),
    };
    bytes.push(byte);
    &rest[length..]
}

/// Bytes as a script writes them: runs of 24 and more of one byte are cut short.
fn text_of(bytes: &[u8]) -> String {
    let mut text = String::new();
    for run in bytes.chunk_by(|a, b| a == b) {
        let one = match run[0] {
            b'\r' => "\\r".to_owned(),
            b'\n' => "\\n".to_owned(),
            b'\\' => "\\\\".to_owned(),
            b'{' => "\\{".to_owned(),
            byte @ 0x20..0x7f => char::from(byte).to_string(),
            byte => format!("\\x{byte:02x}"),
        };
        text += &if run.len() < 24 {
            one.repeat(run.len())
        } else {
            format!("{{{one}*{}}}", run.len())
        };
    }
    text
}
