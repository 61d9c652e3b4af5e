//! Rules on the documents.

use std::path::Path;

use crate::files::{File, assert_none, below, root};

/// What a decision says, in this order.
const DECISION_SECTIONS: &[&str] = &["## Context", "## Decision", "## Alternatives", "## Cost"];
/// The longest decision: one page.
const DECISION_LINES_MAX: usize = 60;

fn documents() -> Vec<File> {
    let mut files = below("", &[".md"]);
    files.retain(|file| !file.path.contains("/."));
    files
}

fn broken_decision(file: &File) -> Vec<String> {
    let name = file.path.rsplit('/').next().unwrap_or_default();
    let (number, title) = name.split_at_checked(5).unwrap_or_default();
    let is_named = number.ends_with('-')
        && number[..4].bytes().all(|b| b.is_ascii_digit())
        && title.trim_end_matches(".md").split('-').all(|word| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        });
    let mut broken = Vec::new();
    if !is_named {
        broken.push(format!("{}: name it NNNN-title-in-words.md", file.path));
    }
    let found: Vec<&str> = file.text.lines().filter(|line| line.starts_with("## ")).collect();
    if found != DECISION_SECTIONS {
        broken
            .push(format!("{}: its sections are {DECISION_SECTIONS:?}, in this order", file.path));
    }
    if file.text.lines().count() > DECISION_LINES_MAX {
        broken.push(format!("{}: a decision is one page", file.path));
    }
    broken
}

/// The targets of a document's links, as they are written.
fn links(text: &str) -> Vec<&str> {
    let mut fenced = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if !fenced {
            found.extend(line.split("](").skip(1).filter_map(|rest| rest.split(')').next()));
        }
    }
    found
}

/// A heading as a link names it.
fn anchor(heading: &str) -> String {
    heading
        .trim_start_matches('#')
        .trim()
        .to_lowercase()
        .chars()
        .filter_map(|c| match c {
            ' ' | '-' => Some('-'),
            c if c.is_alphanumeric() || c == '_' => Some(c),
            _ => None,
        })
        .collect()
}

fn has_anchor(text: &str, wanted: &str) -> bool {
    text.lines().filter(|line| line.starts_with('#')).any(|line| anchor(line) == wanted)
}

fn broken_links(file: &File) -> Vec<String> {
    let folder = Path::new(&file.path).parent().unwrap_or(Path::new(""));
    let mut broken = Vec::new();
    for link in links(&file.text) {
        if link.contains("://") || link.starts_with("mailto:") {
            continue;
        }
        let (path, wanted) = link.split_once('#').unwrap_or((link, ""));
        let target =
            if path.is_empty() { Path::new(&file.path).to_owned() } else { folder.join(path) };
        let target = root().join(target);
        let resolves = if wanted.is_empty() {
            target.exists()
        } else {
            std::fs::read_to_string(&target).is_ok_and(|text| has_anchor(&text, wanted))
        };
        if !resolves {
            broken.push(format!("{}: the link ({link}) leads nowhere", file.path));
        }
    }
    broken
}

/// Paths of one person's machine mean nothing on another's.
fn somebodys_machine(file: &File) -> Vec<String> {
    file.lines_that("a path of somebody's machine", |line| {
        ["/home/", "/Users/", "/root/", "/work/"].iter().any(|start| {
            line.match_indices(start).any(|(at, _)| {
                let before = line[..at].chars().next_back().unwrap_or(' ');
                !before.is_alphanumeric() && !matches!(before, '.' | '_' | '-' | '/' | '}')
            })
        })
    })
}

/// A lock file that records where packages were fetched from binds everyone to that place.
fn recorded_address(file: &File) -> Vec<String> {
    file.lines_that("no download addresses in a lock file", |line| {
        line.trim_start().starts_with("\"resolved\"")
    })
}

#[test]
fn every_decision_has_its_sections() {
    let decisions = below("docs/decisions", &[".md"]);
    assert!(!decisions.is_empty());
    assert_none(&decisions.iter().flat_map(broken_decision).collect::<Vec<_>>());
}

#[test]
fn decisions_are_numbered_without_gaps() {
    let decisions = below("docs/decisions", &[".md"]);
    for (n, file) in (1..).zip(&decisions) {
        let start = format!("docs/decisions/{n:04}-");
        assert!(file.path.starts_with(&start), "{} should be number {n}", file.path);
    }
}

#[test]
fn links_lead_somewhere() {
    let documents = documents();
    assert!(documents.len() > 10, "found only {} documents", documents.len());
    assert_none(&documents.iter().flat_map(broken_links).collect::<Vec<_>>());
}

#[test]
fn nothing_depends_on_somebodys_machine() {
    let endings = [
        ".md",
        ".rs",
        ".toml",
        ".sh",
        ".py",
        ".js",
        ".mjs",
        ".json",
        ".yaml",
        "Dockerfile",
        "justfile",
    ];
    let mut files = below("", &endings);
    files.retain(|file| !file.path.starts_with("crates/xtask/tests/tidy/"));
    let mut broken: Vec<String> = files.iter().flat_map(somebodys_machine).collect();
    broken.extend(below("", &["package-lock.json"]).iter().flat_map(recorded_address));
    assert_none(&broken);
}

#[test]
fn the_rules_can_fail() {
    let sections = "# 1. A title\n## Context\n## Decision\n## Alternatives\n## Cost\n";
    let good = File::imagined("docs/decisions/0001-a-title.md", sections);
    assert_none(&broken_decision(&good));
    for (path, text) in [
        ("docs/decisions/1-a-title.md", sections),
        ("docs/decisions/0001-A title.md", sections),
        ("docs/decisions/0001-a-title.md", "# 1. A title\n## Context\n"),
    ] {
        assert_eq!(broken_decision(&File::imagined(path, text)).len(), 1, "{path}");
    }
    for link in ["[a](nowhere.md)", "[a](README.md#no-such-heading)", "[a](#nor-this)"] {
        assert_eq!(broken_links(&File::imagined("README.md", link)).len(), 1, "{link}");
    }
    assert_none(&broken_links(&File::imagined("README.md", "```\n[a](nowhere.md)\n```")));
    let path = File::imagined("a.md", "see /home/me/notes");
    assert_eq!(somebodys_machine(&path).len(), 1);
    let relative = File::imagined("a.md", "see target/work/notes and $PWD/home/x");
    assert_none(&somebodys_machine(&relative));
    let lock = File::imagined("package-lock.json", "  \"resolved\": \"x\",");
    assert_eq!(recorded_address(&lock).len(), 1);
}

#[test]
fn headings_are_linked_as_they_are_shown() {
    assert_eq!(anchor("## What it is *not*"), "what-it-is-not");
    assert_eq!(anchor("### `CREATE` and `DROP`"), "create-and-drop");
}
