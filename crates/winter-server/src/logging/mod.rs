//! The log: lines of text for people on a terminal, JSON for programs, to
//! standard error.

mod queue;
mod throttle;

use std::io::{self, IsTerminal};

use tracing::{Dispatch, Subscriber};
use tracing_subscriber::filter::{EnvFilter, LevelFilter};
use tracing_subscriber::fmt::MakeWriter;

use crate::config::{Config, LogFormat};
use crate::consensus::LOG_TARGET;
pub use queue::{Log, finish, lines_lost};
pub use throttle::Throttle;

/// Sends the log of this process to standard error, as the settings say. Once a
/// process.
///
/// # Panics
/// If it was started before.
pub fn start(config: &Config) -> Log {
    let colours = io::stderr().is_terminal();
    let log = Log::start(Dispatch::new(subscriber(config, colours, io::stderr)));
    tracing::subscriber::set_global_default(subscriber(config, colours, log.0.clone()))
        .expect("a process starts its log once");
    // A panic that is caught is no line of the log unless it is made one.
    std::panic::set_hook(Box::new(|panic| {
        let at = panic.location().map(ToString::to_string);
        tracing::error!(reason = panic.payload_as_str(), at, "a panic");
    }));
    log
}

/// What writes the log, to `writer`; `colours` are for text only.
///
/// # Panics
/// If the filter is not one that the settings accept.
pub fn subscriber<W>(config: &Config, colours: bool, writer: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = filter(&config.log).expect("settings are checked before the log starts");
    // A line that cannot be written is lost. Complaining to standard error, which is what
    // failed, would panic in whatever session logs next.
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .log_internal_errors(false);
    match config.log_format {
        LogFormat::Text => Box::new(lines.with_ansi(colours).finish()),
        LogFormat::Json => {
            Box::new(lines.json().flatten_event(true).with_current_span(false).finish())
        }
    }
}

/// Reads a filter: levels, and `target=level` pairs, set apart by commas.
///
/// A bare word must be a level. To tracing it may be a target as well, and then
/// `inof` would be a target that nobody logs under, and the log would be empty.
///
/// # Errors
/// A sentence that names what cannot be read.
pub fn filter(text: &str) -> Result<EnvFilter, String> {
    for word in text.split(',').map(str::trim) {
        let is_level = word.parse::<LevelFilter>().is_ok();
        if word.is_empty() || !(is_level || word.contains(['=', '['])) {
            return Err(format!("'{word}' is not a level"));
        }
    }
    EnvFilter::builder().parse(within_reason(text)).map_err(|error| error.to_string())
}

/// Consensus tells each of its steps at the level info, and each message that a
/// peer out of reach does not answer at the level warn, ten times a second for
/// each group. What matters of it is told by the cluster's own events: only its
/// errors are let through where nothing is said of it.
fn within_reason(text: &str) -> String {
    let words = || text.split(',').map(str::trim);
    let is_loud = |level: LevelFilter| level > LevelFilter::ERROR;
    let level = words().filter_map(|word| word.parse().ok()).next_back();
    let is_named = words().any(|word| word.starts_with(LOG_TARGET));
    if level.is_some_and(is_loud) && !is_named {
        return format!("{text},{LOG_TARGET}=error");
    }
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("nobody panics with it").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn log(filter: &str, log_format: LogFormat) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let config = Config { log: filter.to_owned(), log_format, ..Config::default() };
        tracing::subscriber::with_default(
            subscriber(&config, false, move || writer.clone()),
            || {
                tracing::info!(table = "t", "created");
                tracing::debug!("a detail");
            },
        );
        let bytes = lines.0.lock().expect("nobody panics with it").clone();
        String::from_utf8(bytes).expect("the log is UTF-8")
    }

    #[test]
    fn json_is_one_object_a_line() {
        let log = log("info", LogFormat::Json);
        assert_eq!(log.lines().count(), 1);
        assert!(log.starts_with('{') && log.ends_with("}\n"), "{log}");
        assert!(log.contains(r#""message":"created""#) && log.contains(r#""table":"t""#), "{log}");
    }

    #[test]
    fn text_is_for_people_and_the_filter_holds() {
        assert!(log("info", LogFormat::Text).contains("created table=\"t\""));
        assert_eq!(log("debug", LogFormat::Text).lines().count(), 2);
        assert_eq!(log("off", LogFormat::Text), "");
        assert_eq!(log("off,winter_server=info", LogFormat::Text).lines().count(), 1);
    }

    #[test]
    fn a_slip_is_not_a_target() {
        for bad in ["", "inof", "info,", "winter_server=loud", "info,,warn", "a=b=c"] {
            assert!(filter(bad).is_err(), "{bad}");
        }
        assert!(filter("warn,winter_server::session=trace").is_ok());
    }

    #[test]
    fn consensus_tells_its_errors_alone_unless_it_is_named() {
        let capped = |text: &str| filter(text).expect("it can be read").to_string();
        let errors = format!("{LOG_TARGET}=error");
        for text in ["warn", "info", "debug", "trace", "info,winter_server=debug"] {
            assert!(capped(text).contains(&errors), "{text}");
        }
        let debugs = format!("info,{LOG_TARGET}=debug");
        for text in ["off", "error", "off,winter_server=info", &debugs] {
            assert!(!capped(text).contains(&errors), "{text}");
        }
    }
}
