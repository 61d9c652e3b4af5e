//! The one place that asks the process about itself: environment, files, machine.

use std::io::{self, IsTerminal};
use std::thread;

use super::environment::Environment;
use super::{Config, Machine, Reading, machine};

/// The environment of this process. Bytes that are not UTF-8 are replaced, and
/// so are faults where they matter.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
#[must_use]
pub fn environment() -> Environment {
    let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect()
}

impl Machine {
    /// The machine that this process runs on.
    #[must_use]
    pub fn here() -> Self {
        Self {
            cores: thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: machine::memory_bytes(&|path| std::fs::read_to_string(path)),
            stderr_is_terminal: io::stderr().is_terminal(),
        }
    }
}

impl Config {
    /// Reads the settings of this process: `args` (the program's name and
    /// command not among them), its environment, and the file that they name.
    #[must_use]
    pub fn from_process(args: &[String]) -> Reading {
        Self::read(args, &environment(), &|path| std::fs::read_to_string(path), &Machine::here())
    }
}
