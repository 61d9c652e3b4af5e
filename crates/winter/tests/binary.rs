//! The binary as its users meet it: help, settings, serving, the command line.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use winter_server::config::SETTINGS;
use winter_testkit::{Server, ServerBuilder, Wire, eventually};

/// `winter` with these arguments and nothing of this test's own environment.
fn winter(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_winter"));
    command.args(args).env_clear().stdin(Stdio::null());
    command
}

fn output(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("winter runs");
    let text = |bytes| String::from_utf8(bytes).expect("winter speaks UTF-8");
    (status.code().expect("no signal ends it"), text(stdout), text(stderr))
}

/// A node on a free port; killed when the test ends. Nobody reads its log once
/// it is ready, which must not matter to it.
struct Node {
    process: Child,
    port: String,
}

impl Node {
    fn start() -> Self {
        let args = ["--port", "0", "--http-port", "0", "--threads", "1", "--log-format", "json"];
        let mut process =
            winter(&args).stderr(Stdio::piped()).spawn().expect("winter can be started");
        let log = BufReader::new(process.stderr.take().expect("it is piped"));
        let port = log
            .lines()
            .map(|line| line.expect("the log is text"))
            .find_map(|line| {
                let (_, address) = line.split_once(r#""address":"127.0.0.1:"#)?;
                Some(address.split_once('"')?.0.to_owned())
            })
            .expect("the log tells the address once the node is ready");
        Self { process, port }
    }

    fn cli(&self, words: &[&str]) -> (i32, String, String) {
        let args = [&["cli", "--port", &self.port], words].concat();
        output(&mut winter(&args))
    }

    fn lines(&self, lines: &str) -> (i32, String, String) {
        let mut cli = winter(&["cli", "--port", &self.port])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("winter can be started");
        let mut stdin = cli.stdin.take().expect("it is piped");
        let lines = lines.to_owned();
        let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
        let Output { status, stdout, stderr } = cli.wait_with_output().expect("it ends");
        writer.join().expect("no panic").expect("the lines are read");
        let text = |bytes| String::from_utf8(bytes).expect("winter speaks UTF-8");
        (status.code().expect("no signal ends it"), text(stdout), text(stderr))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn help_is_worth_reading() {
    for args in [&["--help"][..], &["-h"], &["help"], &["serve", "--help"]] {
        let (status, help, _) = output(&mut winter(args));
        assert_eq!(status, 0, "{args:?}");
        for setting in &SETTINGS {
            assert!(help.contains(setting.environment), "{}", setting.environment);
            assert!(help.contains(&format!("--{} <", setting.flag)), "--{}", setting.flag);
        }
        assert!(help.contains("PUTNEW fruit apple red"), "an example to try");
        assert!(!help.contains('\x1b'), "no colours where no terminal is");
    }
    let operations = include_str!("../../../docs/operations.md");
    let (_, table) = operations.split_once("| exit status |").expect("the table is there");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let help = output(&mut winter(&["--help"])).1;
    let (_, told) = help.split_once("Exit status:").expect("it is told");
    for number in rows.flat_map(|row| row.split('|').nth(1).expect("a column").split(',')) {
        assert!(told.contains(number.trim()), "{number} in {told}");
    }
    for command in ["cli", "bench", "recover"] {
        let help = output(&mut winter(&[command, "--help"])).1;
        let (_, told) = help.split_once("Exit status: 0 done").expect("it is told");
        for status in ["1 ", "64 ", "69 ", "74 "] {
            assert!(told.contains(status), "{command}: {status}in {told}");
        }
    }
    let (status, version, _) = output(&mut winter(&["--version"]));
    assert_eq!((status, version), (0, format!("winter {}\n", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn wrong_settings_are_all_named_and_nothing_starts() {
    let mut command = winter(&["--prot", "7070", "--threads=0"]);
    let (status, stdout, stderr) = output(command.env("RECEPTOR_PORT", "abc"));
    assert_eq!((status, stdout.as_str()), (64, ""));
    assert_eq!(
        stderr,
        "\
winter does not start: 3 settings are wrong:
  --prot (flag): no such setting; did you mean --port?
  RECEPTOR_PORT = 'abc' (environment): accepted is a port from 1 to 65535, or 0 for any free one
  --threads = '0' (flag): accepted is a number from 1 to 1024, or cores
"
    );
    let (status, _, stderr) = output(&mut winter(&["fly"]));
    assert_eq!(status, 64);
    assert!(stderr.contains("'fly'"), "{stderr}");
}

#[test]
fn a_cluster_without_a_way_to_find_it_is_refused() {
    let (status, _, stderr) = output(&mut winter(&["--distributed"]));
    assert_eq!(status, 64);
    assert!(stderr.contains("DNS_SERVICE_NAME and DNS_APPLICATION_NAME, or WINTER_SEEDS"));
    let (status, stdout, _) =
        output(&mut winter(&["check-config", "--distributed", "--seeds=a:1"]));
    assert_eq!(status, 0, "{stdout}");
}

/// What `check-config` says of a setting.
fn row_of(stdout: &str, name: &str) -> String {
    let line = stdout.lines().find(|line| line.starts_with(name)).expect(name);
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn check_config_says_what_holds_and_why() {
    let mut command = winter(&["check-config", "--port", "7000"]);
    command.env("WINTER_MAX_MEMORY", "1gb").env("WINTER_COLOUR", "blue");
    let (status, stdout, stderr) = output(&mut command);
    assert_eq!(status, 0);
    let row = |name| row_of(&stdout, name);
    assert_eq!(row("RECEPTOR_PORT"), "RECEPTOR_PORT 7000 flag");
    assert_eq!(row("WINTER_MAX_MEMORY"), "WINTER_MAX_MEMORY 1gb (1024 mb) environment");
    assert_eq!(row("WINTER_LOG "), "WINTER_LOG info default");
    assert_eq!(stderr, "warning: ignored WINTER_COLOUR: no such setting\n");
}

#[test]
fn check_config_shows_no_value_for_what_is_wrong() {
    let mut command = winter(&["check-config", "--threads", "none", "--port", "x"]);
    let (status, stdout, stderr) = output(command.env("WINTER_MAX_MEMORY", "lots"));
    assert_eq!(status, 64);
    let row = |name| row_of(&stdout, name);
    assert_eq!(row("WINTER_THREADS"), "WINTER_THREADS 'none' flag: wrong");
    assert_eq!(row("WINTER_MAX_MEMORY"), "WINTER_MAX_MEMORY 'lots' environment: wrong");
    assert_eq!(row("RECEPTOR_PORT"), "RECEPTOR_PORT 'x' flag: wrong");
    assert!(stderr.contains("3 settings are wrong"), "{stderr}");
}

#[test]
fn a_port_in_use_is_named_with_its_setting() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port is there");
    let address = taken.local_addr().expect("it is bound");
    let port = address.port().to_string();
    let (status, _, stderr) = output(&mut winter(&["--port", &port, "--http-port", "0"]));
    assert_eq!(status, 69);
    assert!(stderr.contains(&address.to_string()) && stderr.contains("RECEPTOR_PORT"), "{stderr}");
}

/// Settings are read whole before a port is asked for.
#[test]
fn a_wrong_setting_is_told_before_a_port_that_is_taken() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port is there");
    let port = taken.local_addr().expect("it is bound").port().to_string();
    let (status, _, stderr) = output(&mut winter(&["--port", &port, "--threads", "0"]));
    assert_eq!(status, 64, "{stderr}");
    assert!(stderr.contains("--threads") && !stderr.contains("in use"), "{stderr}");
}

/// A file of this text, of which no other test knows.
fn file(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).expect("the folder is for tests to write to");
    path
}

#[test]
fn a_file_of_settings_holds_and_a_flag_wins_over_it() {
    let path = file("few.toml", "max_value = \"4b\"\nmax_connections = 1\n");
    let path = path.to_str().expect("paths here are text");
    for (flags, most) in [(&[][..], 4), (&["--max-value", "6b"], 6)] {
        let arguments = [&["--config", path], flags].concat();
        let server = arguments
            .into_iter()
            .fold(Server::of(env!("CARGO_BIN_EXE_winter")), ServerBuilder::argument)
            .start();
        let mut wire = server.connect();
        assert_eq!(wire.ask("CREATE t"), "created");
        assert!(wire.ask(&format!("PUT t k {}", "x".repeat(most))).starts_with("ok "));
        let refused = wire.ask(&format!("PUT t k {}", "x".repeat(most + 1)));
        assert!(refused.ends_with(&format!("the most is {most} bytes")), "{refused}");
        let second = server.connect().read_to_end();
        assert!(second.starts_with(b"-ERR max number of clients"), "the file's other line holds");
    }
    let path = file("wrong.toml", "max_valeu = \"4b\"\nthreads = 0\n");
    let path = path.to_str().expect("paths here are text");
    let (status, _, stderr) = output(winter(&[]).env("WINTER_CONFIG", path));
    assert_eq!(status, 64);
    for told in ["max_valeu", "did you mean max_value?", "threads = '0'", path] {
        assert!(stderr.contains(told), "{told}: {stderr}");
    }
}

#[test]
fn the_log_is_text_on_a_terminal() {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("there is /dev/ptmx");
    grantpt(&terminal).and_then(|()| unlockpt(&terminal)).expect("it is ours");
    let name = ptsname(&terminal, Vec::new()).expect("it has a name");
    let screen = File::options()
        .read(true)
        .write(true)
        .open(name.to_str().expect("names of terminals are text"))
        .expect("it is unlocked");
    let mut process = winter(&["--port", "0", "--http-port", "0"])
        .stderr(screen)
        .spawn()
        .expect("winter can be started");
    let line = BufReader::new(File::from(terminal)).lines().next().expect("a line comes");
    let line = line.expect("it is text");
    process.kill().expect("it runs");
    process.wait().expect("it ends");
    assert!(line.contains("INFO") && line.contains("winter is listening"), "{line}");
    assert!(!line.contains(r#""level":"#), "{line}");
    assert!(line.contains('\x1b'), "levels have colours there: {line}");
}

/// The port that a process listens on, from the system.
fn port_of(process: &Child) -> Option<u16> {
    const LISTENS: &str = "0A";
    let files = std::fs::read_dir(format!("/proc/{}/fd", process.id())).ok()?;
    let sockets: Vec<String> = files
        .filter_map(|file| std::fs::read_link(file.ok()?.path()).ok()?.to_str().map(str::to_owned))
        .collect();
    let table = std::fs::read_to_string("/proc/net/tcp").ok()?;
    table.lines().find_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let is_ours = fields[3] == LISTENS && sockets.contains(&format!("socket:[{}]", fields[9]));
        let (_, port) = fields[1].split_once(':')?;
        is_ours.then(|| u16::from_str_radix(port, 16).ok())?
    })
}

/// `/dev/full` is a disk that is full.
#[test]
fn a_full_disk_under_the_log_costs_nothing() {
    let full = || File::options().write(true).open("/dev/full").expect("Linux has it");
    let mut process = winter(&["--port", "0", "--http-port", "0", "--log", "trace"])
        .stderr(full())
        .spawn()
        .expect("winter can be started");
    let port = eventually("it listens", || port_of(&process));
    let mut wire = Wire::connect(([127, 0, 0, 1], port).into());
    for n in 0..100 {
        // Each of these is logged, or would be.
        wire.exchange(format!("CREATE t{n}\nDROP t{n}\n"), "created\ndropped\n");
        Wire::connect(([127, 0, 0, 1], port).into()).send("\x16\x03\x01");
    }
    let pid = process.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs").success());
    assert_eq!(process.wait().expect("it ends").code(), Some(0));
    for (arguments, status) in
        [(&["--threads", "0"][..], 64), (&["fly"], 64), (&["cli", "--port", "1", "PING"], 69)]
    {
        let ended = winter(arguments).stderr(full()).status().expect("winter runs");
        assert_eq!(
            ended.code(),
            Some(status),
            "{arguments:?}: the status says what nothing else can"
        );
    }
}

#[test]
fn a_node_serves_the_command_line_and_stops_when_told() {
    let mut node = Node::start();
    assert_eq!(node.cli(&["CREATE", "t"]), (0, "created\n".to_owned(), String::new()));
    assert_eq!(node.cli(&["put", "t", "two words", "a\nb", "EXPIRE", "60000"]).0, 0);
    assert_eq!(node.cli(&["GET", "t", "two words"]).1, "a\nb\n");
    assert_eq!(node.cli(&["GET", "t", "none"]), (0, "nil\n".to_owned(), String::new()));
    assert_eq!(node.cli(&["GET", "u", "k"]), (1, String::new(), "missing table\n".to_owned()));
    assert_eq!(output(&mut winter(&["cli", "-p", &node.port, "GET", "t", "two words"])).0, 0);
    let (status, _, stderr) = node.cli(&["--prot", "PING"]);
    assert_eq!(status, 64);
    assert!(stderr.contains("winter cli has no flag '--prot'"), "{stderr}");
    let (status, _, stderr) = node.cli(&["GET", "t"]);
    assert_eq!(status, 1);
    assert!(stderr.contains("usage: GET table key"), "{stderr}");

    let pid = node.process.id().to_string();
    let told = Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs");
    assert!(told.success());
    assert_eq!(node.process.wait().expect("it ends").code(), Some(0));
    let (status, _, stderr) = node.cli(&["PING"]);
    assert_eq!(status, 69);
    assert!(stderr.contains(&format!("127.0.0.1:{}", node.port)), "{stderr}");
}

#[test]
fn output_that_cannot_be_written_is_told_unless_its_reader_has_gone() {
    let node = Node::start();
    let full = || File::options().write(true).open("/dev/full").expect("Linux has it");
    let with_output = |words: &[&str], output: Stdio| {
        let mut cli = winter(words);
        cli.env("RECEPTOR_PORT", &node.port).stdin(Stdio::piped()).stdout(output);
        let mut cli = cli.stderr(Stdio::piped()).spawn().expect("winter can be started");
        let mut stdin = cli.stdin.take().expect("it is piped");
        // Kept open: what cannot be printed is not waited for.
        let _ = stdin.write_all(b"PING\nPING\n");
        let mut told = String::new();
        let mut stderr = cli.stderr.take().expect("it is piped");
        std::io::Read::read_to_string(&mut stderr, &mut told).expect("it is text");
        (cli.wait().expect("it ends").code(), told)
    };
    for words in [
        &["cli", "PING"][..],
        &["cli"],
        &["bench", "--keys", "10", "--seconds", "1"],
        &["check-config"],
        &["help"],
        &["--version"],
        &["cli", "--help"],
        &["bench", "--help"],
    ] {
        let (status, told) = with_output(words, full().into());
        assert_eq!(status, Some(74), "{words:?}: {told}");
        assert!(told.contains("standard output cannot be written: "), "{words:?}: {told}");
        let (reader, writer) = std::io::pipe().expect("the system gives a pipe");
        drop(reader);
        assert_eq!(with_output(words, writer.into()), (Some(0), String::new()), "{words:?}");
    }
}

#[test]
fn a_port_of_the_environment_that_is_none_is_told() {
    for (command, name) in
        [("cli", "RECEPTOR_PORT"), ("bench", "RECEPTOR_PORT"), ("recover", "WINTER_HTTP_PORT")]
    {
        for bad in ["abc", "0", "70000"] {
            let (status, _, told) = output(winter(&[command]).env(name, bad));
            assert_eq!(status, 64, "{command} {bad}: {told}");
            assert!(told.contains(&format!("{name} = '{bad}' (environment)")), "{told}");
        }
    }
}

#[test]
fn a_command_that_nothing_answers_is_not_sent() {
    let node = Node::start();
    for mode in ["OFF", "skip"] {
        let (status, stdout, stderr) = node.cli(&["client", "reply", mode]);
        assert_eq!((status, stdout.as_str()), (1, ""));
        assert!(stderr.contains("does not send CLIENT REPLY OFF and SKIP"), "{stderr}");
    }
    let (status, stdout, _) = node.lines("CLIENT REPLY OFF\nPING\nCLIENT REPLY ON\n");
    let lines: Vec<&str> = stdout.lines().collect();
    assert_eq!((status, &lines[1..]), (1, &["PONG", "OK"][..]), "{stdout}");
}

#[test]
fn lines_are_pipelined_and_answered_in_order() {
    let node = Node::start();
    let dialogue = "\
create fruit\r
PUTNEW fruit apple   red and  green

PUTNEW fruit apple yellow
GET fruit apple
PUT fruit pear x EXPIRE 0
PUT fruit plum x EXPIRE  5
GET fruit plum
FLY
COUNT fruit
";
    let (status, stdout, stderr) = node.lines(dialogue);
    let lines: Vec<&str> = stdout.lines().collect();
    assert_eq!(lines[..4], ["created", "ok", "ok", "  red and  green"]);
    assert!(lines[4].contains("invalid expire time"), "{stdout}");
    assert!(lines[5].starts_with("ok ") && lines[6] == "x EXPIRE  5", "{stdout}");
    assert!(lines[7].starts_with("error: ERR unknown command 'FLY'"), "{stdout}");
    assert_eq!((lines[8], lines.len(), status), ("2", 9, 1), "{stdout}");
    assert_eq!(stderr, "");

    let many: String = (0..5_000).map(|i| format!("PUT fruit {i} {i}\nGET fruit {i}\n")).collect();
    let (status, stdout, _) = node.lines(&many);
    assert_eq!(status, 0);
    let data: Vec<&str> = stdout.lines().skip(1).step_by(2).collect();
    assert!(data.iter().enumerate().all(|(i, data)| *data == i.to_string()) && data.len() == 5_000);
}

#[test]
fn bench_loads_a_table_of_its_own_and_drops_it() {
    let node = Node::start();
    let args =
        ["bench", "--port", &node.port, "--keys", "1000", "--seconds", "1", "--pipeline", "8"];
    let (status, stdout, stderr) = output(&mut winter(&args));
    assert_eq!((status, stderr.as_str()), (0, ""));
    assert!(stdout.contains("requests/s") && stdout.contains("p99 ms"), "{stdout}");
    assert!(stdout.lines().any(|line| line.starts_with("PUTNEW      1000")), "{stdout}");
    assert!(stdout.lines().any(|line| line.starts_with("GET ")), "{stdout}");
    assert_eq!(node.cli(&["TABLES"]).1, "");
    let nobody = output(&mut winter(&["bench", "--port", "1"]));
    assert_eq!(nobody.0, 69, "{nobody:?}");
}
