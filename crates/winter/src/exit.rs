//! How the process ends, in the words of `sysexits.h`.

use std::process::ExitCode;

/// What the exit status says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 0: done.
    Good,
    /// 1: the server answered an error (`winter cli`), or the load failed (`winter bench`).
    Refused,
    /// 64: settings or arguments are wrong. Nothing was started.
    Usage,
    /// 69: an address cannot be had or reached.
    Unavailable,
    /// 74: the system gave no thread, or did not take the output.
    System,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Good => 0,
            Exit::Refused => 1,
            Exit::Usage => 64,
            Exit::Unavailable => 69,
            Exit::System => 74,
        })
    }
}
