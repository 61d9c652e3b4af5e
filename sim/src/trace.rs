//! A hash of all that happens: every message on the network, and every line of the
//! nodes' logs, with the host and in their order. Two runs with one hash were the same
//! run. Of a long message its beginning counts, where nodes put a hash of the rest.

use std::fmt::{self, Debug, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use xxhash_rust::xxh3::Xxh3;

/// What is taken down.
#[derive(Clone, Default)]
pub struct Trace {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    spans: AtomicU64,
    /// The level up to which the nodes' lines are shown.
    shown: Option<Level>,
}

#[derive(Default)]
struct State {
    hash: Xxh3,
    events: u64,
    now_millis: u64,
    names: Vec<String>,
    within: Vec<u64>,
}

impl Trace {
    /// Shows the nodes' lines up to `level`, too.
    #[must_use]
    pub fn showing(level: Option<Level>) -> Self {
        Self { shared: Arc::new(Shared { shown: level, ..Shared::default() }) }
    }

    /// Says what time it is, and takes down something that the simulator did.
    pub fn note(&self, now_millis: u64, what: &str) {
        let mut state = self.shared.state.lock();
        state.now_millis = now_millis;
        state.take(what);
        if self.shared.shown.is_some() {
            show(&state, "-", what);
        }
    }

    /// Says what time it is.
    pub fn tick(&self, now_millis: u64) {
        self.shared.state.lock().now_millis = now_millis;
    }

    /// How many events there were, and a hash of them all.
    #[must_use]
    pub fn digest(&self) -> (u64, u64) {
        let state = self.shared.state.lock();
        (state.events, state.hash.digest())
    }
}

impl State {
    fn take(&mut self, what: &str) {
        self.events += 1;
        self.hash.update(&self.now_millis.to_le_bytes());
        self.hash.update(what.as_bytes());
    }

    fn host(&self) -> &str {
        let span = self.within.last().and_then(|&id| usize::try_from(id).ok());
        span.and_then(|id| self.names.get(id - 1)).map_or("", String::as_str)
    }
}

#[expect(clippy::print_stdout, reason = "it was asked for")]
fn show(state: &State, host: &str, what: &str) {
    println!("{:>5}.{:03} {host} {what}", state.now_millis / 1_000, state.now_millis % 1_000);
}

/// Whether events of this kind are part of the trace.
fn counts(metadata: &Metadata<'_>) -> bool {
    match metadata.target() {
        "turmoil" => true,
        // Which host is at work.
        target if metadata.is_span() => target.starts_with("turmoil"),
        target => target.starts_with("winter") && *metadata.level() <= Level::DEBUG,
    }
}

/// The most of an event's text that is taken down, in bytes. Messages are written as hex.
const TEXT_MAX: usize = 16 << 10;

/// An event's fields as text.
#[derive(Default)]
struct Fields(String);

impl Write for Fields {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // Whoever writes ends here.
        if self.0.len() > TEXT_MAX {
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // It fails where the text ends.
        let _ = if field.name() == "message" {
            write!(self, " {value:?}")
        } else {
            write!(self, " {}={value:?}", field.name())
        };
    }
}

impl Subscriber for Trace {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if counts(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        counts(metadata)
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let mut state = self.shared.state.lock();
        // Spans are of one kind, the hosts, and as many as they are: found again by name.
        let place = state.names.iter().position(|name| *name == fields.0);
        let place = place.unwrap_or_else(|| {
            state.names.push(fields.0);
            state.names.len() - 1
        });
        self.shared.spans.fetch_add(1, Ordering::Relaxed);
        Id::from_u64(u64::try_from(place).expect("hosts are few") + 1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let metadata = event.metadata();
        let mut state = self.shared.state.lock();
        let host = state.host().to_owned();
        state.take(&host);
        state.take(&fields.0);
        let level = *metadata.level();
        if metadata.target() != "turmoil" && self.shared.shown.is_some_and(|shown| level <= shown) {
            show(&state, &host, &format!("{level}{}", fields.0));
        }
    }

    fn enter(&self, span: &Id) {
        self.shared.state.lock().within.push(span.into_u64());
    }

    fn exit(&self, _: &Id) {
        self.shared.state.lock().within.pop();
    }
}
