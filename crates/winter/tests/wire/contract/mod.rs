//! Every row of the contract, in both dialects.

use winter_testkit::{Dialect, Pace, play};

use crate::winter;

mod limits;
mod line;
mod resp;
mod scan;
mod session;
mod time;

/// Plays `script` in the line dialect, however its bytes are sent.
#[track_caller]
fn line(script: &str) {
    for pace in Pace::ALL {
        let server = winter().start();
        play(server.connect(), Dialect::Line, pace, script);
    }
}

/// Plays `script` in both versions of RESP, however its bytes are sent.
#[track_caller]
fn resp(script: &str) {
    for dialect in [Dialect::Resp2, Dialect::Resp3] {
        for pace in Pace::ALL {
            let server = winter().start();
            play(server.connect(), dialect, pace, script);
        }
    }
}

/// A command that no script plays is a command that nothing holds to the contract.
#[test]
fn every_command_is_played_in_every_dialect_that_knows_it() {
    let server = winter().start();
    let mut wire = server.connect();
    let played = |script: &str, name: &str| {
        script.lines().any(|line| {
            let request = line.strip_prefix("> ").unwrap_or_default();
            request.split(' ').next() == Some(name)
        })
    };
    for help in wire.ask_lines("HELP") {
        let name = help.split(' ').next().expect("a word");
        assert!(played(include_str!("line.rs"), name) || name == "INFO", "{name} on a line");
    }
    let names = server.connect().call(&["COMMAND", "LIST"]);
    let scripts = [include_str!("resp.rs"), include_str!("session.rs")].concat();
    for name in names.items().iter().map(|name| name.text().to_uppercase()) {
        let called = format!("call(&[\"{name}\"");
        assert!(played(&scripts, &name) || scripts.contains(&called), "{name} in RESP");
    }
}
