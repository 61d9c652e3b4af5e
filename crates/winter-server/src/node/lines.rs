//! Lines of the log that clients cause: so many a second, lest one client fill a
//! disk with them.

use tokio::time::Instant;

use crate::logging::Throttle;

/// Of each kind.
const LINES_PER_SECOND_MAX: u32 = 10;

/// How many there are.
#[derive(Debug)]
pub(crate) struct Lines {
    /// Of commands that took long.
    pub(crate) slow: Throttle,
    tables: Throttle,
}

impl Default for Lines {
    fn default() -> Self {
        let [slow, tables] = std::array::from_fn(|_| Throttle::new(LINES_PER_SECOND_MAX));
        Self { slow, tables }
    }
}

impl Lines {
    /// Whether a line may tell of a table that is made, dropped or revived.
    pub(crate) fn tables(&self) -> bool {
        let times = self.tables.line(Instant::now().into_std());
        left_out(times.map_or(0, |times| times - 1));
        times.is_some()
    }

    /// Tells of lines that were left out, if nothing has happened since.
    pub(crate) fn tell_rest(&self) {
        let now = Instant::now().into_std();
        left_out(self.tables.rest(now).unwrap_or(0));
        if let Some(lines) = self.slow.rest(now) {
            tracing::warn!(lines, "more slow commands");
        }
    }
}

fn left_out(lines: u64) {
    if lines > 0 {
        tracing::info!(lines, "more tables were created, dropped or revived");
    }
}
