//! `winter serve`: settings, then the log, then the node until it is told to stop.

use std::hash::{BuildHasher, RandomState};
use std::io;

use winter_core::store::Seed;
use winter_server::config::Config;
use winter_server::{Server, StartError, logging};

use crate::exit::Exit;

/// Serves until a signal asks to stop.
pub(crate) fn run(args: &[String]) -> Exit {
    let reading = Config::from_process(args);
    let config = match reading.config {
        Ok(config) => config,
        Err(faults) => {
            eprintln!("winter does not start: {faults}");
            return Exit::Usage;
        }
    };
    if let Some(refusal) = refusal(&config) {
        eprintln!("winter does not start: {refusal}");
        return Exit::Usage;
    }
    logging::start(&config);
    for warning in reading.warnings {
        tracing::warn!("{warning}");
    }
    match serve(config) {
        Ok(()) => Exit::Good,
        Err(error) => {
            eprintln!("winter does not start: {}", explain(&error));
            match error {
                StartError::Bind { .. } => Exit::Unavailable,
                StartError::Thread(_) => Exit::System,
            }
        }
    }
}

/// Why this version does not serve with settings that are right, if so.
pub(crate) fn refusal(config: &Config) -> Option<&'static str> {
    config.cluster.as_ref().map(|_| {
        "IS_DISTRIBUTED is true, and this version cannot form a cluster yet; \
         leave it out to run a node alone"
    })
}

fn serve(config: Config) -> Result<(), StartError> {
    let server = Server::start(config, seed())?;
    let stopped = server.block_on(stop_signal());
    server.stop();
    Ok(stopped?)
}

/// Waits for SIGTERM, as orchestrators send it, or SIGINT, as Ctrl-C does.
async fn stop_signal() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
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
