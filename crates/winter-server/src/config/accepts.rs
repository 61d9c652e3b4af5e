//! What a setting accepts: said in words, and read.
//!
//! One value of [`Accepts`] does both, so that what a fault says is accepted is
//! what is accepted.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use winter_core::command::options::size;
use winter_core::command::parse::number;

use super::cluster::{self, Seed};
use super::{LogFormat, Machine};
use crate::consensus::ReadPolicy;
use crate::logging;

/// What may be written for a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepts {
    /// A file's path.
    Path,
    /// An IP address.
    Address,
    /// A port; 0 is any free one if `any`.
    Port {
        /// Whether 0 is accepted.
        any: bool,
    },
    /// A port, 0 for none, `auto` for any free one.
    OptionalPort,
    /// A number.
    Count {
        /// The least.
        least: u64,
        /// The most.
        most: u64,
    },
    /// A number of threads, or `cores`.
    Threads {
        /// The most.
        most: u64,
    },
    /// Bytes.
    Size {
        /// The least, in bytes.
        least: u64,
        /// The most, in bytes.
        most: u64,
    },
    /// Bytes, or a share of the memory that there is.
    Memory {
        /// The least, in bytes.
        least: u64,
    },
    /// A span of time.
    Span {
        /// The least; zero also takes the bare `0`.
        least: Duration,
        /// The most.
        most: Duration,
    },
    /// Yes or no.
    Truth,
    /// A filter of log lines.
    Filter,
    /// The log's format.
    Format,
    /// How reads are made sure of.
    Reads,
    /// A host's name.
    DnsName,
    /// A cluster's name.
    ApplicationName,
    /// Hosts and ports.
    Seeds,
}

impl fmt::Display for Accepts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Path => f.write_str("the path of a file"),
            Self::Address => f.write_str("an IP address, such as 127.0.0.1, 0.0.0.0 or ::"),
            Self::Port { any: true } => f.write_str("a port from 1 to 65535, or 0 for any free one"),
            Self::Port { any: false } => f.write_str("a port from 1 to 65535"),
            Self::OptionalPort => {
                f.write_str("a port from 1 to 65535, 0 for none, or auto for any free one")
            }
            Self::Count { least, most } => write!(f, "a number from {least} to {most}"),
            Self::Threads { most } => write!(f, "a number from 1 to {most}, or cores"),
            Self::Size { least, most } => {
                write!(f, "a size from {} to {}", size_text(least), size_text(most))
            }
            Self::Memory { least } => {
                write!(f, "a share from 1% to 100%, or a size of {} or more", size_text(least))
            }
            Self::Span { least, most } => {
                write!(f, "a time from {} to {}", span_text(least), span_text(most))
            }
            Self::Truth => f.write_str("true or false"),
            Self::Filter => f.write_str(
                "error, warn, info, debug, trace or off, and target=level pairs, separated by commas",
            ),
            Self::Format => f.write_str("auto, text or json"),
            Self::Reads => f.write_str("lease or quorum"),
            Self::DnsName => f.write_str("a DNS name, such as winter.default.svc.cluster.local"),
            Self::ApplicationName => {
                f.write_str("1 to 64 letters, digits, dots, dashes and underscores")
            }
            Self::Seeds => f.write_str("host:port, separated by commas"),
        }
    }
}

impl Accepts {
    /// A word that stands for a value, for `--help`.
    #[must_use]
    pub const fn placeholder(self) -> &'static str {
        match self {
            Self::Path => "FILE",
            Self::Address => "ADDRESS",
            Self::Port { .. } | Self::OptionalPort => "PORT",
            Self::Count { .. } | Self::Threads { .. } => "N",
            Self::Size { .. } | Self::Memory { .. } => "SIZE",
            Self::Span { .. } => "TIME",
            Self::Truth => "TRUE|FALSE",
            Self::Filter => "FILTER",
            Self::Format => "FORMAT",
            Self::Reads => "POLICY",
            Self::DnsName | Self::ApplicationName => "NAME",
            Self::Seeds => "HOST:PORT,...",
        }
    }
}

/// Readers, one for each type. `None` says that the text is not what is accepted.
impl Accepts {
    pub(super) fn text(self, text: &str) -> Option<String> {
        let legal = match self {
            Self::Path => !text.is_empty(),
            Self::Filter => logging::filter(text).is_ok(),
            Self::DnsName => cluster::is_dns_name(text),
            Self::ApplicationName => cluster::is_application_name(text),
            _ => false,
        };
        legal.then(|| text.to_owned())
    }

    pub(super) fn address(self, text: &str) -> Option<IpAddr> {
        text.parse().ok()
    }

    pub(super) fn port(self, text: &str) -> Option<u16> {
        let port = number(text.as_bytes()).and_then(|n| u16::try_from(n).ok())?;
        (port > 0 || self == Self::Port { any: true }).then_some(port)
    }

    pub(super) fn optional_port(self, text: &str) -> Option<Option<u16>> {
        match text {
            "auto" => Some(Some(0)),
            "0" => Some(None),
            _ => self.port(text).map(Some),
        }
    }

    pub(super) fn number(self, text: &str) -> Option<u64> {
        let (read, least, most) = match self {
            Self::Count { least, most } => (number(text.as_bytes())?, least, most),
            Self::Size { least, most } => (size(text.as_bytes())?, least, most),
            _ => return None,
        };
        (least..=most).contains(&read).then_some(read)
    }

    pub(super) fn threads(self, text: &str, machine: &Machine) -> Option<usize> {
        let Self::Threads { most } = self else { return None };
        let threads = match text {
            "cores" => u64::try_from(machine.cores).ok()?.clamp(1, most),
            _ => number(text.as_bytes())?,
        };
        (1..=most).contains(&threads).then_some(usize::try_from(threads).ok()?)
    }

    pub(super) fn memory(self, text: &str, machine: &Machine) -> Option<u64> {
        let Self::Memory { least } = self else { return None };
        let Some(share) = text.strip_suffix('%') else {
            return size(text.as_bytes()).filter(|&bytes| bytes >= least);
        };
        let share = number(share.as_bytes()).filter(|share| (1..=100).contains(share))?;
        Some((machine.memory_bytes_or_guess() / 100 * share).max(least))
    }

    pub(super) fn span(self, text: &str) -> Option<Duration> {
        let Self::Span { least, most } = self else { return None };
        let span = span(text)?;
        (least..=most).contains(&span).then_some(span)
    }

    pub(super) fn truth(self, text: &str) -> Option<bool> {
        match text.to_ascii_lowercase().as_str() {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    pub(super) fn reads(self, text: &str) -> Option<ReadPolicy> {
        match text {
            "lease" => Some(ReadPolicy::Lease),
            "quorum" => Some(ReadPolicy::Quorum),
            _ => None,
        }
    }

    pub(super) fn format(self, text: &str, machine: &Machine) -> Option<LogFormat> {
        match text {
            "auto" if machine.stderr_is_terminal => Some(LogFormat::Text),
            "auto" | "json" => Some(LogFormat::Json),
            "text" => Some(LogFormat::Text),
            _ => None,
        }
    }

    pub(super) fn seeds(self, text: &str) -> Option<Vec<Seed>> {
        text.split(',').map(|seed| Seed::parse(seed.trim())).collect()
    }
}

/// A span of time: digits and `ms`, `s` or `m`; zero needs no unit.
fn span(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at(text.bytes().take_while(u8::is_ascii_digit).count());
    let n = number(digits.as_bytes())?;
    match unit {
        "" if n == 0 => Some(Duration::ZERO),
        "ms" => Some(Duration::from_millis(n)),
        "s" => Some(Duration::from_secs(n)),
        "m" => n.checked_mul(60).map(Duration::from_secs),
        _ => None,
    }
}

/// A span of time as one would write it.
pub(super) fn span_text(span: Duration) -> String {
    match span.as_millis() {
        0 => "0".to_owned(),
        ms if ms % 60_000 == 0 => format!("{}m", ms / 60_000),
        ms if ms % 1_000 == 0 => format!("{}s", ms / 1_000),
        ms => format!("{ms}ms"),
    }
}

/// A size as one would write it, exactly.
pub(super) fn size_text(bytes: u64) -> String {
    let units = [(30, "gb"), (20, "mb"), (10, "kb")];
    match units.iter().find(|(shift, _)| bytes > 0 && bytes.is_multiple_of(1 << shift)) {
        Some((shift, unit)) => format!("{}{unit}", bytes >> shift),
        None => format!("{bytes}b"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_sizes_read_as_they_are_written() {
        for text in ["0", "10ms", "30s", "1m", "60m"] {
            assert_eq!(span_text(span(text).unwrap()), text);
        }
        for text in ["1000b", "1kb", "16mb", "2gb"] {
            assert_eq!(size_text(size(text.as_bytes()).unwrap()), text);
        }
    }

    #[test]
    fn a_span_needs_its_unit() {
        for bad in ["", "10", "s", "1h", "-1s", "1.5s", "99999999999999999999s", "1 s"] {
            assert_eq!(span(bad), None, "{bad}");
        }
    }
}
