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

    /// Where what the gate installs for itself lies; `cargo clean` takes it away.
    pub(crate) fn tools(&self) -> PathBuf {
        self.path("target/tools")
    }

    /// `program` in the workspace, with the gate's own tools on its path.
    pub(crate) fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = process::command(program, arguments, &self.root);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let tools = self.tools().join("bin");
        let paths = std::iter::once(tools).chain(std::env::split_paths(&path));
        command.env("PATH", std::env::join_paths(paths).expect("no path holds a colon"));
        command
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
