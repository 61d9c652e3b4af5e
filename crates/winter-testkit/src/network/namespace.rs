//! Network namespaces without names. One lives as long as somebody is in it or
//! holds it open, so whatever becomes of a test, the kernel clears up behind it.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::process::{Command, Stdio};
use std::thread;

use nix::sched::{CloneFlags, setns, unshare};

/// A network namespace.
#[derive(Debug)]
pub(super) struct Namespace(File);

impl Namespace {
    /// A new one, in which nothing is up.
    ///
    /// # Errors
    /// Those of the system: this takes root.
    pub(super) fn new() -> io::Result<Self> {
        // The thread leaves its namespace for good, so it is one of its own.
        let thread = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            Self::current()
        });
        thread.join().expect("nothing panics there")
    }

    /// The one that this thread is in.
    pub(super) fn current() -> io::Result<Self> {
        File::open("/proc/thread-self/ns/net").map(Self)
    }

    /// Moves this thread into the namespace, and with it whatever it starts.
    pub(super) fn enter(&self) -> io::Result<()> {
        Ok(setns(&self.0, CloneFlags::CLONE_NEWNET)?)
    }

    /// Where other programs find the namespace, while this is held.
    pub(super) fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }

    /// Does `what` in the namespace, on a thread of its own.
    pub(super) fn within<T: Send>(&self, what: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                self.enter().expect("whoever made a namespace may enter it");
                what()
            });
            thread.join().expect("nothing panics there")
        })
    }

    /// Lets `ip` do what the lines of `script` say.
    pub(super) fn ip(&self, script: &str) {
        self.feed("ip", &["-batch", "-"], script);
    }

    /// Lets `nft` do what `script` says, at once.
    pub(super) fn nft(&self, script: &str) {
        self.feed("nft", &["--file", "-"], script);
    }

    fn feed(&self, program: &str, arguments: &[&str], script: &str) {
        let done = self.within(|| -> io::Result<()> {
            let mut child = Command::new(program)
                .args(arguments)
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()?;
            let mut stdin = child.stdin.take().expect("it is piped");
            stdin.write_all(script.as_bytes())?;
            drop(stdin);
            let output = child.wait_with_output()?;
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            if output.status.success() { Ok(()) } else { Err(io::Error::other(said)) }
        });
        if let Err(error) = done {
            panic!("{program} does not do this: {error}\n{script}");
        }
    }
}
