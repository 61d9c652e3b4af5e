//! Servers as child processes that never outlive this one.
//!
//! A child is killed when its handle is dropped, which covers every way out of a function, panics
//! included; a signal that ends this process kills all children first.

use std::fs::File;
use std::io::{Read, Seek};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal};
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

/// Every child that may be alive.
static CHILDREN: Mutex<Vec<Weak<Mutex<Child>>>> = Mutex::new(Vec::new());

/// The exit status of a process that SIGINT ended, as shells see it.
const EXIT_INTERRUPTED: i32 = 130;

/// The exit status that asks to be started again (`EX_TEMPFAIL`).
const EXIT_RESTART: i32 = 75;

/// A running server.
#[derive(Debug)]
pub(crate) struct ServerProcess {
    child: Arc<Mutex<Child>>,
    pub(crate) pid: u32,
    pub(crate) address: SocketAddr,
    /// What it prints: a file without a name, which no way out can leave behind.
    log: File,
}

impl ServerProcess {
    /// Starts the command that `command` makes of a free port.
    pub(crate) fn start(command: impl FnOnce(u16) -> Command) -> Result<Self> {
        let address = free_address()?;
        Self::start_at(address, command(address.port()))
    }

    /// Starts a command that serves at this address.
    pub(crate) fn start_at(address: SocketAddr, mut command: Command) -> Result<Self> {
        let log = tempfile::tempfile()?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log.try_clone()?);
        let mut children = lock(&CHILDREN);
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn().with_context(|| format!("starting {program}"))?;
        let pid = child.id();
        let child = Arc::new(Mutex::new(child));
        children.retain(|child| child.strong_count() > 0);
        children.push(Arc::downgrade(&child));
        Ok(Self { child, pid, address, log })
    }

    /// Whether the process has not ended by itself.
    pub(crate) fn is_alive(&self) -> bool {
        matches!(lock(&self.child).try_wait(), Ok(None))
    }

    /// Whether the server has ended to be started again, as whoever supervises it would.
    pub(crate) fn asks_to_be_restarted(&self) -> bool {
        let status = lock(&self.child).try_wait();
        matches!(status, Ok(Some(status)) if status.code() == Some(EXIT_RESTART))
    }

    /// Asks the server to end, and waits until it has: its exit status, unless it takes too long.
    pub(crate) fn terminate(&self, patience: Duration) -> Result<ExitStatus> {
        let pid =
            i32::try_from(self.pid).ok().and_then(Pid::from_raw).context("no such process")?;
        rustix::process::kill_process(pid, Signal::TERM)?;
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = lock(&self.child).try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                bail!("process {} does not end within {patience:?} of SIGTERM", self.pid);
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Ends the server without a warning.
    pub(crate) fn kill(&self) {
        kill(&self.child);
    }

    /// The end of what the server has printed, to go with a failure.
    pub(crate) fn last_words(&self) -> String {
        let mut log = Vec::new();
        let mut file = &self.log;
        // Without a log there is nothing to add to the failure that asks for it.
        let _ = file.rewind().and_then(|()| file.read_to_end(&mut log));
        String::from_utf8_lossy(&log[log.len().saturating_sub(2000)..]).trim().to_owned()
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        kill(&self.child);
    }
}

/// Starts a thread that, on SIGINT, SIGTERM or SIGHUP, kills the children and ends this process.
pub(crate) fn kill_children_on_signals() -> Result<()> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let watch = |kind| {
        let _context = runtime.enter();
        signal(kind)
    };
    let mut interrupt = watch(SignalKind::interrupt())?;
    let mut terminate = watch(SignalKind::terminate())?;
    let mut hangup = watch(SignalKind::hangup())?;
    thread::Builder::new().spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
        });
        // Held until the end, so that no further child is started.
        let children = lock(&CHILDREN);
        children.iter().filter_map(Weak::upgrade).for_each(|child| kill(&child));
        std::process::exit(EXIT_INTERRUPTED);
    })?;
    Ok(())
}

fn kill(child: &Mutex<Child>) {
    let mut child = lock(child);
    // Fails only for a child that has ended, which is what is wanted.
    let _ = child.kill();
    let _ = child.wait();
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An address nobody listens on. Somebody could take it before the server does: the server then
/// fails to start, loudly.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_dropped_server_is_dead() {
        let server = ServerProcess::start(|_| {
            let mut command = Command::new("sleep");
            command.arg("100");
            command
        });
        let server = server.unwrap();
        assert!(server.is_alive());
        let process = format!("/proc/{}", server.pid);
        drop(server);
        assert!(!Path::new(&process).exists());
    }
}
