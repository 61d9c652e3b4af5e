//! The transcripts in the documents, played against a real server.
//!
//! A block of `winter` is one connection in the line dialect. A block of `redis`
//! is `$ redis-cli …` and what it prints on a terminal; there too `V1`, `V2` and
//! so on stand for versions. Each document has a server of its own, and its
//! blocks are played in order.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use winter_testkit::{Server, blocks, play_block};

fn document(name: &str) -> String {
    let path = format!("{}/../../{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).expect("the document is there")
}

/// Plays `name`: how many blocks of lines and how many commands of redis-cli it has.
#[track_caller]
fn play(name: &str) -> (usize, usize) {
    let document = document(name);
    let server = crate::winter().start();
    let lines = blocks(&document);
    for (line, block) in &lines {
        eprintln!("{name}:{line}");
        play_block(server.connect(), block);
    }
    let mut versions = BTreeMap::new();
    let commands = redis_commands(&document);
    for (line, command, wanted) in &commands {
        let printed = redis_cli(&server, &spelled_out(command, &versions));
        let fits = printed.len() == wanted.len()
            && wanted.iter().zip(&printed).all(|(wanted, got)| fits(wanted, got, &mut versions));
        assert!(fits, "{name}:{line}: {command}\n  wanted: {wanted:#?}\n  printed: {printed:#?}");
    }
    (lines.len(), commands.len())
}

/// Every command in the blocks of `redis`: its line, itself, and what it prints.
fn redis_commands(document: &str) -> Vec<(usize, &str, Vec<&str>)> {
    let mut commands: Vec<(usize, &str, Vec<&str>)> = Vec::new();
    let mut is_open = false;
    for (n, line) in (1..).zip(document.lines()) {
        match line.strip_prefix("$ redis-cli ") {
            _ if line == "```redis" => is_open = true,
            _ if line == "```" => is_open = false,
            Some(command) if is_open => commands.push((n, command, Vec::new())),
            None if is_open => commands.last_mut().expect("a command comes first").2.push(line),
            _ => {}
        }
    }
    commands
}

/// What redis-cli prints on a terminal, without the spaces that end its lines.
fn redis_cli(server: &Server, arguments: &str) -> Vec<String> {
    let shell = format!("redis-cli -p {} --no-raw {arguments}", server.address().port());
    let output = Command::new("sh").args(["-c", &shell]).stdin(Stdio::null()).output();
    let output = output.expect("a shell is there");
    let text = String::from_utf8(output.stdout).expect("redis-cli prints text");
    assert!(!text.is_empty(), "`{shell}`: {}", String::from_utf8_lossy(&output.stderr));
    text.trim_end().lines().map(|line| line.trim_end().to_owned()).collect()
}

type Versions = BTreeMap<String, String>;

fn spelled_out(text: &str, versions: &Versions) -> String {
    let spell = |word: &str| versions.get(word).cloned().unwrap_or_else(|| word.to_owned());
    text.split(' ').map(spell).collect::<Vec<_>>().join(" ")
}

/// Whether `got` is what `wanted` says; a version that is new is bound by it.
fn fits(wanted: &str, got: &str, versions: &mut Versions) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let is_version = |word: &str| word.strip_prefix('V').is_some_and(is_number);
    let mut words = got.split(' ');
    wanted.split(' ').all(|wanted| match words.next() {
        Some(got) if is_version(wanted) && is_number(got) => {
            versions.entry(wanted.to_owned()).or_insert_with(|| got.to_owned()) == got
        }
        got => got == Some(wanted),
    }) && words.next().is_none()
}

#[test]
fn readme_holds_word_for_word() {
    let (blocks, _) = play("README.md");
    assert!(blocks > 0, "nothing was played");
}

#[test]
fn protocol_holds_word_for_word() {
    let (blocks, commands) = play("docs/protocol.md");
    assert!(blocks > 5 && commands > 5, "{blocks} blocks and {commands} commands were played");
}

/// Typed into `nc` line by line, as the README tells its readers to.
#[test]
fn readme_holds_for_whoever_types_it_into_nc() {
    let server = crate::winter().start();
    let (document, mut versions, mut typed) = (document("README.md"), Versions::new(), 0);
    let port = server.address().port().to_string();
    for (line, block) in blocks(&document) {
        let mut nc = Command::new("nc")
            .args(["127.0.0.1", &port])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("nc is there");
        let mut keyboard = nc.stdin.take().expect("it is piped");
        let mut screen = BufReader::new(nc.stdout.take().expect("it is piped")).lines();
        for shown in block.lines().chain(["> QUIT", "bye"]) {
            if let Some(request) = shown.strip_prefix("> ") {
                let request = spelled_out(request, &versions);
                writeln!(keyboard, "{request}").expect("nc reads what is typed");
                typed += 1;
                continue;
            }
            let printed = screen.next().expect("a line comes").expect("it is text");
            assert!(fits(shown, &printed, &mut versions), "README.md:{line}: {shown}: {printed}");
        }
        // It waits for more to be typed, though the server is gone.
        drop(keyboard);
        assert!(screen.next().is_none(), "nothing comes after the goodbye");
        assert!(nc.wait().expect("nc ends with the connection").success());
    }
    assert!(typed > 5, "{typed} lines were typed");
}

#[test]
fn a_version_is_bound_once_and_must_come_again() {
    let mut versions = Versions::new();
    assert!(fits("2) (integer) V1", "2) (integer) 700", &mut versions));
    assert!(!fits("(integer) V1", "(integer) 701", &mut versions));
    assert!(!fits("ok V2", "ok x", &mut versions));
    assert!(!fits("ok", "ok 5", &mut versions));
    assert!(!fits("ok 5", "ok", &mut versions));
    assert_eq!(spelled_out("CAS t k V1 V9", &versions), "CAS t k 700 V9");
}
