//! `winter serve`: settings, then the log, then the node until it is told to stop.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use winter_core::store::Seed;
use winter_server::config::Config;
use winter_server::{Server, StartError, logging};

use crate::complain;
use crate::exit::Exit;

/// Serves until a signal asks to stop.
pub(crate) fn run(args: &[String]) -> Exit {
    let reading = Config::from_process(args);
    let config = match reading.config {
        Ok(config) => config,
        Err(faults) => {
            complain(format_args!("winter does not start: {faults}"));
            return Exit::Usage;
        }
    };
    let mut log = logging::start(&config);
    for warning in reading.warnings {
        tracing::warn!("{warning}");
    }
    match serve(config) {
        Ok(()) => Exit::Good,
        Err(error) => {
            log.say(format_args!("winter does not start: {}", explain(&error)));
            match error {
                StartError::Bind { .. } => Exit::Unavailable,
                StartError::Thread(_) => Exit::System,
            }
        }
    }
}

fn serve(config: Config) -> Result<(), StartError> {
    // Signals are caught before anyone is told that the node is ready.
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let mut signals = runtime.block_on(async { Signals::catch() })?;
    let server = Server::start(config, seed())?;
    let first = runtime.block_on(signals.stop());
    std::thread::Builder::new().name("winter-signals".into()).spawn(move || {
        let second = runtime.block_on(signals.stop());
        tracing::warn!(signal = second, "told to stop again; what is left is cut off");
        logging::finish(LAST_WORDS_MAX);
        std::process::exit(SIGNAL_STATUS + second);
    })?;
    tracing::info!(signal = first, "told to stop; once more and it is at once");
    server.stop();
    Ok(())
}

/// How long the log may take when the process is to end at once.
const LAST_WORDS_MAX: Duration = Duration::from_millis(100);
/// What a shell says of a process that a signal ended, less the signal.
const SIGNAL_STATUS: i32 = 128;
/// Sent when a file grows past `ulimit -f`, such as one that the log goes to.
const SIGXFSZ: i32 = 25;

/// The signals that would end the process by default. Those that ask to stop are
/// waited for; the others mean nothing to a server, and are only caught.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    _ignored: Vec<Signal>,
}

impl Signals {
    /// Catches them from now on. SIGPIPE is ignored by every Rust program.
    fn catch() -> io::Result<Self> {
        let ignored = [
            SignalKind::hangup(),
            SignalKind::user_defined1(),
            SignalKind::user_defined2(),
            SignalKind::alarm(),
            SignalKind::from_raw(SIGXFSZ),
        ];
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            _ignored: ignored.into_iter().map(signal).collect::<io::Result<_>>()?,
        })
    }

    /// Waits for SIGTERM, as orchestrators send it, or SIGINT, as Ctrl-C does.
    async fn stop(&mut self) -> i32 {
        tokio::select! {
            _ = self.terminate.recv() => SignalKind::terminate().as_raw_value(),
            _ = self.interrupt.recv() => SignalKind::interrupt().as_raw_value(),
        }
    }
}

/// A secret of this process: whoever knew it could choose keys that collide.
fn seed() -> Seed {
    let draw = || RandomState::new().hash_one(());
    Seed(draw(), draw())
}

fn explain(error: &StartError) -> String {
    match error {
        StartError::Bind { address, setting, source } => match source.kind() {
            io::ErrorKind::AddrInUse => format!(
                "{address} is in use by another process; stop it, or give another port with {setting}"
            ),
            io::ErrorKind::AddrNotAvailable => {
                format!("{} is no address of this machine; see WINTER_BIND", address.ip())
            }
            io::ErrorKind::PermissionDenied => format!(
                "{address} may not be bound by this user; give a port above 1023 with {setting}"
            ),
            _ => error.to_string(),
        },
        StartError::Thread(_) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_names_the_address_and_the_setting() {
        let source = io::Error::from(io::ErrorKind::AddrInUse);
        let address = ([127, 0, 0, 1], 6060).into();
        let text = explain(&StartError::Bind { address, setting: "RECEPTOR_PORT", source });
        assert!(text.contains("127.0.0.1:6060") && text.contains("RECEPTOR_PORT"), "{text}");
    }

    #[test]
    fn a_seed_is_drawn_anew() {
        assert_ne!((seed().0, seed().1), (seed().0, seed().1));
    }
}
