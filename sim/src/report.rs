//! What is said of a run.

use std::fmt;
use std::time::Duration;

use winter_sim::coverage::Coverage;
use winter_sim::history::History;

use crate::options::Options;

/// A run that has ended.
#[derive(Clone, Debug)]
pub struct Report {
    /// What it was like.
    pub options: Options,
    /// What went wrong.
    pub problems: Vec<String>,
    /// What was met.
    pub coverage: Coverage,
    /// What clients asked, and were told.
    pub history: History,
    /// How long it took, in its own time.
    pub took: Duration,
    /// Events of its trace, and their hash.
    pub trace: (u64, u64),
}

impl Report {
    /// Whether nothing went wrong.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.problems.is_empty()
    }

    /// Counts it as a problem when `again`, a run of the same options, was another.
    pub fn compare(&mut self, again: &Self) {
        let (one, other) = (self.trace, again.trace);
        if one != other {
            self.problems.push(format!(
                "chance: again it gave trace {:016x} of {} events",
                other.1, other.0
            ));
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { options, problems, coverage, history, took, trace } = self;
        writeln!(
            f,
            "seed {}: {} operations in {:.1} s, trace {:016x} of {} events",
            options.seed,
            history.operations().len(),
            took.as_secs_f64(),
            trace.1,
            trace.0,
        )?;
        write!(f, "{coverage}")?;
        for problem in problems {
            writeln!(f, "FAILED: {problem}")?;
        }
        if !self.passes() {
            writeln!(f, "to run it again: {}", options.command())?;
        }
        Ok(())
    }
}
