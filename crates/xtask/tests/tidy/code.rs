//! Rules on the text of the code.

use crate::files::{File, assert_none, below};

/// A source file longer than this does more than one thing.
const LINES_MAX: usize = 450;

fn rust() -> Vec<File> {
    let mut files = below("crates", &[".rs"]);
    files.extend(below("fuzz", &[".rs"]));
    files.extend(below("sim", &[".rs"]));
    // This file names the words that it forbids.
    files.retain(|file| !file.path.starts_with("crates/xtask/tests/tidy/"));
    files
}

/// Words that mean that something was left for later. Later has no date: what
/// is not done is an issue, and what is done needs no such word.
fn left_for_later(file: &File) -> Vec<String> {
    let words = ["TODO", "FIXME", "XXX", "HACK", "todo!(", "unimplemented!("];
    file.lines_that("do it, or file an issue", |line| words.iter().any(|w| line.contains(w)))
}

/// A test that is skipped tells nothing and rots.
fn skipped_tests(file: &File) -> Vec<String> {
    file.lines_that("a test that cannot run here is a missing set-up step", |line| {
        let line = line.trim_start();
        line.starts_with("#[ignore") || line.starts_with("#[cfg_attr") && line.contains("ignore")
    })
}

/// A sleep of seconds in a test waits for luck: poll for what is awaited.
fn sleeping_tests(file: &File) -> Vec<String> {
    if !file.is_test() {
        return Vec::new();
    }
    file.lines_that("poll for what is awaited, with a deadline", |line| {
        line.contains("sleep(Duration::from_secs")
            || line.contains("sleep(std::time::Duration::from_secs")
    })
}

/// Unit tests at a file's end do not count: they are read apart.
fn too_long(file: &File) -> Vec<String> {
    let lines = file.text.lines().take_while(|line| *line != "#[cfg(test)]").count();
    if file.is_test() || lines <= LINES_MAX {
        return Vec::new();
    }
    vec![format!("{}: {lines} lines, and the most is {LINES_MAX}: split it", file.path)]
}

/// A crate, and a module of more than a screen, opens with what it is for.
fn opens_without_a_word(file: &File) -> Vec<String> {
    let long = file.text.lines().count() > 40;
    if !long || file.is_test() || file.text.trim_start().starts_with("//!") {
        return Vec::new();
    }
    vec![format!("{}: open the module with what it is for and why it is so", file.path)]
}

/// `dbg`, and prints where there is a log.
fn prints(file: &File) -> Vec<String> {
    let is_server = ["crates/winter-core/src", "crates/winter-server/src"]
        .iter()
        .any(|p| file.path.starts_with(p));
    if !is_server {
        return Vec::new();
    }
    file.lines_that("the server speaks through its log", |line| {
        ["println!(", "eprintln!(", "dbg!("].iter().any(|w| line.trim_start().starts_with(w))
    })
}

const RULES: &[fn(&File) -> Vec<String>] =
    &[left_for_later, skipped_tests, sleeping_tests, too_long, opens_without_a_word, prints];

#[test]
fn the_code_keeps_its_rules() {
    let files = rust();
    assert!(files.len() > 20, "found only {} files", files.len());
    let broken: Vec<String> =
        files.iter().flat_map(|file| RULES.iter().flat_map(|rule| rule(file))).collect();
    assert_none(&broken);
}

#[test]
fn each_rule_can_fail() {
    let source = "crates/winter-server/src/x.rs";
    let test = "crates/winter/tests/x.rs";
    let long = "// a line\n".repeat(LINES_MAX + 1);
    let breaks = [
        (left_for_later as fn(&File) -> Vec<String>, source, "// TODO: more"),
        (skipped_tests, test, "#[ignore = \"slow\"]"),
        (sleeping_tests, test, "    sleep(Duration::from_secs(1)).await;"),
        (too_long, source, long.as_str()),
        (opens_without_a_word, source, long.as_str()),
        (prints, source, "    println!(\"here\");"),
    ];
    assert_eq!(breaks.len(), RULES.len());
    for (rule, path, text) in breaks {
        assert_eq!(rule(&File::imagined(path, text)).len(), 1, "{text:.40}");
    }
}
