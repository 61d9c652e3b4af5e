//! The files of the repository, and how a broken rule is told.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Folders that hold what a tool has made.
const MADE: &[&str] = &[".git", "target", "node_modules", "corpus", "artifacts", "__pycache__"];

/// A file of the repository.
pub(crate) struct File {
    /// From the repository's root, with `/`.
    pub path: String,
    /// Its text.
    pub text: String,
}

impl File {
    /// A file that is not there, to try a rule on.
    pub(crate) fn imagined(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// Whether the file is a test, a benchmark or a fuzz target.
    pub(crate) fn is_test(&self) -> bool {
        ["tests", "benches", "fuzz"]
            .iter()
            .any(|folder| self.path.split('/').any(|part| part == *folder))
    }

    /// The lines that `breaks` finds fault with, as `path:line: reason`.
    pub(crate) fn lines_that(&self, why: &str, breaks: impl Fn(&str) -> bool) -> Vec<String> {
        (1..)
            .zip(self.text.lines())
            .filter(|(_, line)| breaks(line))
            .map(|(n, line)| format!("{}:{n}: {why}\n    {}", self.path, line.trim()))
            .collect()
    }
}

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("crates/xtask lies two folders deep").to_owned()
}

/// The text files below `folder` whose names end in one of `endings`.
pub(crate) fn below(folder: &str, endings: &[&str]) -> Vec<File> {
    let mut paths = Vec::new();
    walk(&root().join(folder), &mut paths);
    paths.sort();
    let is_wanted = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        endings.iter().any(|ending| name.ends_with(ending))
    };
    paths.into_iter().filter(is_wanted).filter_map(|path| read(&path)).collect()
}

fn walk(folder: &Path, paths: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && !MADE.contains(&name.as_ref()) {
            walk(&path, paths);
        } else if path.is_file() {
            paths.push(path);
        }
    }
}

fn read(path: &Path) -> Option<File> {
    let text = fs::read_to_string(path).ok()?;
    let path = path.strip_prefix(root()).ok()?.to_string_lossy().replace('\\', "/");
    Some(File { path, text })
}

/// Fails with every broken rule at once.
#[track_caller]
pub(crate) fn assert_none(broken: &[String]) {
    let mut told = String::new();
    for one in broken {
        let _ = writeln!(told, "{one}");
    }
    assert!(broken.is_empty(), "{} broken:\n{told}", broken.len());
}
