//! Redis's own tools, as Debian's package redis-tools has them.

use std::process::Command;

use winter_testkit::{Server, request};

use super::{Ended, run};
use crate::winter;

fn redis_cli(server: &Server, arguments: &[&str], input: &str) -> Ended {
    let port = server.address().port().to_string();
    let mut command = Command::new("redis-cli");
    // As on a terminal: the tool writes types out only there.
    command.args(["-p", &port]).args(arguments).env("FAKETTY", "1").env_remove("REDISCLI_AUTH");
    run(&mut command, input)
}

/// What one command prints; nothing may go wrong.
#[track_caller]
fn said(server: &Server, arguments: &[&str]) -> String {
    let ended = redis_cli(server, arguments, "");
    assert!(ended.succeeded && ended.stderr.is_empty(), "{arguments:?}: {}", ended.stderr);
    ended.stdout
}

fn with_table() -> Server {
    let server = winter().start();
    server.connect().exchange("CREATE t\n", "created\n");
    server
}

#[test]
fn redis_cli_sends_one_command() {
    let server = with_table();
    for version in ["-2", "-3"] {
        let key = format!("k{version}");
        assert_eq!(said(&server, &[version, "PING"]), "PONG\n");
        assert_eq!(said(&server, &[version, "CREATE", &key]), "created\n");
        assert_eq!(said(&server, &[version, "putnew", "t", &key, "a b"]), "ok\n");
        assert_eq!(said(&server, &[version, "GET", "t", &key]), "\"a b\"\n");
        assert_eq!(said(&server, &[version, "GET", "t", "nothing"]), "(nil)\n");
        let missing = "(error) MISSINGTABLE missing table\n";
        assert_eq!(said(&server, &[version, "COUNT", "nothing"]).trim_end(), missing.trim_end());
        let added = said(&server, &[version, "ADD", "t", &key, "c"]);
        assert!(added.starts_with("1) \"exists\"\n2) (integer) "), "{added}");
        let described = said(&server, &[version, "DESCRIBE", "t"]);
        let field = if version == "-3" { " 1# \"name\" => \"t\"\n" } else { " 1) \"name\"\n" };
        assert!(described.starts_with(field), "{described}");
        let info = said(&server, &[version, "--no-raw", "INFO", "server"]);
        assert!(info.contains("redis_version:7"), "{info}");
    }
}

#[test]
fn redis_cli_exits_with_1_on_an_error_when_asked_to() {
    let server = with_table();
    let ended = redis_cli(&server, &["-e", "GET", "nothing", "k"], "");
    assert!(!ended.succeeded && ended.stderr.starts_with("MISSINGTABLE"), "{}", ended.stderr);
    assert!(redis_cli(&server, &["-e", "GET", "t", "k"], "").succeeded);
}

#[test]
fn redis_cli_reads_commands_and_knows_their_help() {
    let server = with_table();
    for version in ["-2", "-3"] {
        // With no command the tool asks for COMMAND DOCS, for `help` and hints.
        let input =
            "PUTNEW t k \"a\\r\\n\\xff\"\nGET t k\nGET t nothing\nhelp GET\nhelp cas\nquit\n";
        let ended = redis_cli(&server, &[version], input);
        assert!(ended.succeeded && ended.stderr.is_empty(), "{}", ended.stderr);
        for part in [
            "ok\n",
            "\"a\\r\\n\\xff\"\n",
            "(nil)\n",
            "The data of an entry, or nil.",
            "Write an entry only if it still stands at this version.",
        ] {
            assert!(ended.stdout.contains(part), "{part}: {}", ended.stdout);
        }
    }
}

#[test]
fn redis_cli_pipes_a_bulk_load() {
    const COUNT: usize = 5_000;
    let server = with_table();
    let load: Vec<u8> =
        (0..COUNT).flat_map(|n| request(&["PUTNEW", "t", &format!("k{n}"), "some data"])).collect();
    let load = String::from_utf8(load).expect("all of it is text");
    let ended = redis_cli(&server, &["--pipe"], &load);
    assert!(ended.succeeded && ended.stderr.is_empty(), "{}", ended.stderr);
    let summary = format!("errors: 0, replies: {COUNT}");
    assert!(ended.stdout.contains(&summary), "{}", ended.stdout);
    server.connect().exchange("COUNT t\n", format!("{COUNT}\n"));
}

#[test]
fn redis_benchmark_runs_winters_commands() {
    let server = with_table();
    let port = server.address().port().to_string();
    for version in [&[][..], &["-3"]] {
        for commands in [
            &["-t", "ping_mbulk"][..],
            &["-P", "16", "PUTNEW", "t", "key:__rand_int__", "data"],
            &["-P", "16", "GET", "t", "key:__rand_int__"],
        ] {
            let mut benchmark = Command::new("redis-benchmark");
            benchmark.args(["-p", &port, "-q", "-n", "2000", "-c", "10", "-r", "1000"]);
            let ended = run(benchmark.args(version).args(commands), "");
            assert!(ended.succeeded && ended.stderr.is_empty(), "{}", ended.stderr);
            let text = ended.stdout.to_lowercase();
            assert!(text.contains("requests per second"), "{text}");
            assert!(!text.contains("error") && !text.contains("warning"), "{text}");
        }
    }
}
