//! A node of a cluster answers what a node alone answers: the scripts that hold
//! one to the contract are played through every node, and so are the
//! transcripts of the protocol's document.

use winter_testkit::{Dialect, Pace, TestCluster, blocks, play, play_block};

use crate::winter;

/// The scripts in a file of tests, each with its test's name.
fn scripts<'f>(file: &'f str, call: &str) -> Vec<(&'f str, String)> {
    let mut scripts = Vec::new();
    for test in file.split("#[test]\nfn ").skip(1) {
        let (name, body) = test.split_once("() {").expect("a test has a body");
        let begin = format!("    {call}(\n        ");
        for script in body.split(&begin).skip(1) {
            let (opening, rest) = script.split_once('"').expect("a script is a literal");
            let hashes = opening.trim_start_matches('r');
            let end = format!("\"{hashes},\n    );");
            let (text, _) = rest.split_once(&end).expect("a script ends");
            let is_raw = opening.starts_with('r');
            let text = if is_raw { text.to_owned() } else { unescaped(text) };
            // Only a node alone says that it is alone.
            if !text.contains("cluster support disabled") {
                scripts.push((name, text));
            }
        }
    }
    scripts
}

/// What stands in a literal that is not raw.
fn unescaped(text: &str) -> String {
    text.replace("\\\"", "\"").replace("\\\\", "\\")
}

/// Leaves no table behind.
#[track_caller]
fn tidy_up(cluster: &TestCluster) {
    let mut wire = cluster.connect(0);
    for table in wire.ask_lines("TABLES") {
        assert_eq!(wire.ask(&format!("DROP {table}")), "dropped");
    }
}

#[test]
fn every_line_of_the_contract_holds_through_every_node() {
    let cluster = winter().start();
    let scripts = scripts(include_str!("../wire/contract/line.rs"), "line");
    assert!(scripts.len() > 15, "{} scripts", scripts.len());
    for (turn, (name, script)) in scripts.iter().enumerate() {
        for (node, pace) in [(turn % 3, Pace::InTurn), ((turn + 1) % 3, Pace::Pipelined)] {
            eprintln!("{name}, {pace:?}, through node {node}");
            tidy_up(&cluster);
            play(cluster.connect(node), Dialect::Line, pace, script);
        }
    }
}

#[test]
fn the_contract_holds_in_resp_through_every_node() {
    let cluster = winter().start();
    let scripts = scripts(include_str!("../wire/contract/resp.rs"), "resp");
    assert!(scripts.len() > 6, "{} scripts", scripts.len());
    for (turn, (name, script)) in scripts.iter().enumerate() {
        for (n, dialect) in [Dialect::Resp2, Dialect::Resp3].into_iter().enumerate() {
            let node = (turn + n) % 3;
            eprintln!("{name}, {dialect:?}, through node {node}");
            tidy_up(&cluster);
            play(cluster.connect(node), dialect, Pace::InTurn, script);
        }
    }
}

#[test]
fn the_protocols_transcripts_hold_through_a_node_of_a_cluster() {
    let cluster = winter().start();
    let document = include_str!("../../../../docs/protocol.md");
    let blocks = blocks(document);
    assert!(blocks.len() > 5, "{} blocks", blocks.len());
    for (turn, (line, block)) in blocks.iter().enumerate() {
        eprintln!("docs/protocol.md:{line}");
        play_block(cluster.connect(turn % 3), block);
    }
}
