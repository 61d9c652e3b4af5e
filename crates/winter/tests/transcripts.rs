//! The transcripts in the documents, played against a real server.
//!
//! A block of `winter` is one connection in the line dialect: `> request`, then
//! the lines of its reply. A block of `redis` is `$ redis-cli …`, then what it
//! prints. `V1`, `V2`, … stand for versions: the first that is seen is bound,
//! and the same one must come wherever the name stands again. Each document has
//! a server of its own, and its blocks are played in order.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long a reply may take before the transcript has failed.
const REPLY_WAIT: Duration = Duration::from_secs(10);

/// A server on a port of its own, killed when the test is over.
struct Server {
    process: Child,
    address: SocketAddr,
}

impl Server {
    fn start() -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_winter"))
            .env("RECEPTOR_PORT", "0")
            .env("WINTER_HTTP_PORT", "0")
            .env("WINTER_LOG", "info")
            .env("WINTER_LOG_FORMAT", "json")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut log = BufReader::new(process.stderr.take().expect("it was piped"));
        let address = ready_address(&mut log);
        // What else it logs must not fill the pipe.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Self { process, address }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The address in the line of the log that says that the server is ready.
fn ready_address(log: &mut impl BufRead) -> SocketAddr {
    let mut told = String::new();
    loop {
        let start = told.len();
        let read = log.read_line(&mut told).expect("the log is text");
        assert!(read > 0, "the server ended before it was ready:\n{told}");
        let line = &told[start..];
        if line.contains("winter is ready") {
            let (_, rest) = line.split_once("\"address\":\"").expect("it says where");
            let (address, _) = rest.split_once('"').expect("the line is JSON");
            return address.parse().expect("an address");
        }
    }
}

/// Requests with the lines that answer them, from one block of a document.
struct Block<'a> {
    line: usize,
    steps: Vec<(&'a str, Vec<&'a str>)>,
}

/// The blocks of `kind`, whose requests begin with `prompt`.
fn blocks<'a>(document: &'a str, kind: &str, prompt: &str) -> Vec<Block<'a>> {
    let fence = format!("```{kind}");
    let mut found = Vec::new();
    let mut lines = (1..).zip(document.lines());
    while let Some((line, text)) = lines.next() {
        if text != fence {
            continue;
        }
        let mut block = Block { line, steps: Vec::new() };
        for (_, text) in lines.by_ref().take_while(|(_, text)| *text != "```") {
            match text.strip_prefix(prompt) {
                Some(request) => block.steps.push((request, Vec::new())),
                None => block.steps.last_mut().expect("a block begins with a request").1.push(text),
            }
        }
        found.push(block);
    }
    found
}

/// What the names of versions stand for.
#[derive(Default)]
struct Versions(BTreeMap<String, String>);

impl Versions {
    /// `text` with every name that is bound replaced by its version.
    fn spelled_out(&self, text: &str) -> String {
        let spell = |word: &str| self.0.get(word).cloned().unwrap_or_else(|| word.to_owned());
        text.split(' ').map(spell).collect::<Vec<_>>().join(" ")
    }

    /// Whether `got` is what `wanted` says, names that are new bound by it.
    fn fit(&mut self, wanted: &str, got: &str) -> bool {
        let (wanted, got): (Vec<_>, Vec<_>) =
            (wanted.split(' ').collect(), got.split(' ').collect());
        wanted.len() == got.len()
            && wanted.iter().zip(got).all(|(wanted, got)| {
                if is_name(wanted) && got.bytes().all(|b| b.is_ascii_digit()) && !got.is_empty() {
                    self.0.entry((*wanted).to_owned()).or_insert_with(|| got.to_owned()) == got
                } else {
                    *wanted == got
                }
            })
    }
}

/// Whether `word` is `V` and a number.
fn is_name(word: &str) -> bool {
    word.strip_prefix('V').is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

fn play_lines(name: &str, block: &Block<'_>, address: SocketAddr) -> usize {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    stream.set_read_timeout(Some(REPLY_WAIT)).expect("a socket takes a time-out");
    let mut replies = BufReader::new(stream.try_clone().expect("a socket can be shared"));
    let mut versions = Versions::default();
    let mut checked = 0;
    for (request, wanted) in &block.steps {
        writeln!(stream, "{}", versions.spelled_out(request)).expect("the server reads");
        for wanted in wanted {
            let mut got = String::new();
            replies.read_line(&mut got).expect("a reply in time");
            let got = got.strip_suffix('\n').unwrap_or("nothing: the connection was closed");
            assert!(
                versions.fit(wanted, got),
                "{name}, block at line {}: `{request}`\n  wanted: {wanted}\n     got: {got}",
                block.line
            );
            checked += 1;
        }
    }
    // Nothing was left unsaid: no reply was longer than the document says.
    // (After QUIT the server may have been quicker to close.)
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut rest = String::new();
    replies.read_to_string(&mut rest).expect("the server closes");
    assert_eq!(rest, "", "{name}, block at line {}: more than the document says", block.line);
    checked
}

fn play_redis(name: &str, block: &Block<'_>, address: SocketAddr) -> usize {
    let mut versions = Versions::default();
    let mut checked = 0;
    for (command, wanted) in &block.steps {
        let arguments = command.strip_prefix("redis-cli ").expect("a block of redis-cli");
        let port = address.port();
        let shell = format!("redis-cli -p {port} --no-raw {}", versions.spelled_out(arguments));
        let output = Command::new("sh").args(["-c", &shell]).stdin(Stdio::null()).output();
        let output = output.expect("a shell is there");
        let text = String::from_utf8(output.stdout).expect("redis-cli prints text");
        let got: Vec<&str> = text.trim_end().lines().map(str::trim_end).collect();
        let fits = got.len() == wanted.len()
            && wanted.iter().zip(&got).all(|(wanted, got)| versions.fit(wanted, got));
        assert!(
            fits,
            "{name}, block at line {}: `{command}`\n  wanted: {wanted:#?}\n  got: {got:#?}{}",
            block.line,
            String::from_utf8_lossy(&output.stderr)
        );
        checked += got.len();
    }
    checked
}

fn play(name: &str) -> usize {
    let path = format!("{}/../../{name}", env!("CARGO_MANIFEST_DIR"));
    let document = std::fs::read_to_string(path).expect("the document is there");
    let server = Server::start();
    let lines: usize = blocks(&document, "winter", "> ")
        .iter()
        .map(|block| play_lines(name, block, server.address))
        .sum();
    let redis: usize = blocks(&document, "redis", "$ ")
        .iter()
        .map(|block| play_redis(name, block, server.address))
        .sum();
    lines + redis
}

#[test]
fn readme_holds_word_for_word() {
    let checked = play("README.md");
    assert!(checked >= 8, "only {checked} lines were played");
}

#[test]
fn protocol_holds_word_for_word() {
    let checked = play("docs/protocol.md");
    assert!(checked >= 80, "only {checked} lines were played");
}

#[test]
fn a_version_is_bound_once_and_must_come_again() {
    let mut versions = Versions::default();
    assert!(versions.fit("added V1", "added 700"));
    assert!(versions.fit("(integer) V1", "(integer) 700"));
    assert!(!versions.fit("exists V1", "exists 701"));
    assert!(!versions.fit("ok V2", "ok x"));
    assert!(!versions.fit("ok", "ok 5"));
    assert!(versions.fit("V x", "V x"));
    assert_eq!(versions.spelled_out("CAS t k V1 V9"), "CAS t k 700 V9");
}

#[test]
fn a_block_is_requests_and_their_replies() {
    let found = blocks("a\n```winter\n> GET t k\nnil\n> TABLES\n1\nt\n```\n> no\n", "winter", "> ");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].steps, [("GET t k", vec!["nil"]), ("TABLES", vec!["1", "t"])]);
}
