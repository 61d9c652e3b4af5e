//! Where the gate runs and how it calls cargo.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{self, Outcome};

/// The workspace that the chores work on.
#[derive(Debug)]
pub(crate) struct Gate {
    root: PathBuf,
}

impl Gate {
    /// The workspace that this program was built in.
    pub(crate) fn new() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
        Self { root: root.expect("crates/xtask lies two folders deep").to_owned() }
    }

    /// A path in the workspace.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// `program` in the workspace.
    pub(crate) fn command(&self, program: &str, arguments: &[&str]) -> Command {
        process::command(program, arguments, &self.root)
    }

    /// Runs cargo.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Outcome {
        process::run(&mut self.command("cargo", arguments))
    }

    /// Runs cargo with a variable set.
    pub(crate) fn cargo_with(&self, name: &str, value: &str, arguments: &[&str]) -> Outcome {
        process::run(self.command("cargo", arguments).env(name, value))
    }
}
