//! What a dialect reads out of bytes that come in pieces, and what must hold at
//! every step. The fuzz targets share this file.

use winter_core::protocol::{Dialect, Limits, Reader, Skip, Step};

/// Reads `input` as it comes in pieces that end at `cuts`: every step that asks
/// for an answer, as text, and how many bytes were taken at the end: all, once
/// the session is over. What comes in one piece is read as one pipeline, where a
/// command may profit from the one before it; else each is read by itself.
///
/// # Panics
/// When a step takes nothing, takes more than there is, or waits for what it has.
pub(crate) fn read(
    dialect: Dialect,
    input: &[u8],
    value_bytes_max: usize,
    cuts: impl IntoIterator<Item = usize>,
) -> (Vec<String>, usize) {
    let mut cuts = cuts.into_iter().peekable();
    let pipeline = cuts.peek().is_none().then(Reader::default);
    let mut session = Session { dialect, value_bytes_max, pipeline, ..Session::default() };
    for end in cuts.chain([input.len()]) {
        session.take(&input[..end.min(input.len())]);
    }
    let taken = if session.broken { input.len() } else { session.at };
    (session.seen, taken)
}

struct Session<'a> {
    dialect: Dialect,
    pipeline: Option<Reader<'a>>,
    value_bytes_max: usize,
    /// How many bytes were taken.
    at: usize,
    /// How many bytes there must be before it is worth looking again.
    least: usize,
    scanned: usize,
    skip: Option<Skip>,
    broken: bool,
    seen: Vec<String>,
}

impl Default for Session<'_> {
    fn default() -> Self {
        Self {
            dialect: Dialect::Line,
            pipeline: None,
            value_bytes_max: 0,
            at: 0,
            least: 0,
            scanned: 0,
            skip: None,
            broken: false,
            seen: Vec::new(),
        }
    }
}

impl<'a> Session<'a> {
    /// Takes what it can from `all`, the bytes that have come so far.
    fn take(&mut self, all: &'a [u8]) {
        while !self.broken && all.len() > self.at && all.len() >= self.least {
            let before = self.at;
            if let Some(skip) = self.skip {
                if !self.drop_some(skip, &all[self.at..]) {
                    return;
                }
            } else if !self.step(&all[self.at..]) {
                return;
            } else {
                assert!(self.at > before, "a step takes something");
                (self.scanned, self.least) = (0, 0);
            }
            assert!(self.at <= all.len(), "a step takes what there is");
        }
    }

    fn drop_some(&mut self, mut skip: Skip, input: &[u8]) -> bool {
        match skip.advance(input) {
            Ok((length, over)) => {
                self.at += length;
                self.skip = (!over).then_some(skip);
                if over {
                    self.seen.push("over".into());
                }
                over || length > 0
            }
            Err(fault) => {
                self.broken = true;
                self.seen.push(format!("{fault:?}"));
                false
            }
        }
    }

    fn step(&mut self, input: &'a [u8]) -> bool {
        let limits = Limits { value_bytes_max: self.value_bytes_max, scanned: self.scanned };
        let step = match &mut self.pipeline {
            Some(pipeline) => pipeline.next(self.dialect, input, limits),
            None => self.dialect.next(input, limits),
        };
        match step {
            Step::Incomplete(least) => {
                assert!(least > input.len(), "it waits for bytes that it has");
                self.least = self.at + least;
                if self.dialect == Dialect::Line {
                    self.scanned = input.len();
                }
                return false;
            }
            Step::Blank(length) => self.at += length,
            Step::Command(parsed) => {
                self.at += parsed.length;
                self.seen.push(format!("{:?} {:?}", parsed.verb, parsed.command));
                if let Err(fault) = &parsed.command {
                    sound(self.dialect, fault);
                }
            }
            Step::Oversize(fault, length, skip) => {
                sound(self.dialect, &fault);
                self.at += length;
                self.skip = Some(skip);
                self.seen.push(format!("oversize {fault:?} {skip:?}"));
            }
            Step::Broken(fault) => {
                sound(self.dialect, &fault);
                self.broken = true;
                self.seen.push(format!("broken {fault:?}"));
                return false;
            }
        }
        true
    }
}

/// A fault is one line in every dialect, and short whatever was sent.
fn sound(dialect: Dialect, fault: &winter_core::fault::Fault) {
    let mut line = Vec::new();
    dialect.write(&fault.clone().into(), &mut line);
    let end = if dialect.is_resp() { &b"\r\n"[..] } else { b"\n" };
    let text = line.strip_suffix(end).expect("an error ends its line");
    assert!(!text.contains(&b'\r') && !text.contains(&b'\n'), "an error is one line");
    assert!(text.len() < 1_024, "an error is short");
}

/// Any split of `input` reads the same as no split: at `cuts`, and byte by byte.
pub(crate) fn check_splits(dialect: Dialect, input: &[u8], value_bytes_max: usize, cuts: &[usize]) {
    let whole = read(dialect, input, value_bytes_max, []);
    let mut cuts = cuts.to_vec();
    cuts.sort_unstable();
    assert_eq!(whole, read(dialect, input, value_bytes_max, cuts), "{dialect:?}");
    if input.len() <= 4_096 {
        assert_eq!(whole, read(dialect, input, value_bytes_max, 1..input.len()), "{dialect:?}");
    }
}
