//! The simulator of clusters, which is built in a workspace of its own.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::gate::Gate;
use crate::process::{self, Outcome};

/// How many random seeds one call runs.
const RUNS: u64 = 20;

/// Its lints, and its tests: fixed seeds, and nodes that are broken on purpose.
pub(crate) fn test(gate: &Gate) -> Outcome {
    cargo(gate, &["clippy", "--quiet", "--locked", "--all-targets", "--", "-Dwarnings"])?;
    cargo(gate, &["test", "--quiet", "--locked"])
}

/// Simulates as `options` say; without any, from seeds that nobody has chosen.
pub(crate) fn run(gate: &Gate, options: &[&str]) -> Outcome {
    let run = ["run", "--quiet", "--locked", "--"];
    if !options.is_empty() {
        return cargo(gate, &[&run[..], options].concat());
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let first = now.map_or(0, |now| now.as_secs() * RUNS);
    let seeds = format!("{first}..{}", first + RUNS);
    cargo(gate, &[&run[..], &["--seeds", &seeds]].concat())
}

/// Its own configuration says how it is built; the environment's would win over it.
fn cargo(gate: &Gate, arguments: &[&str]) -> Outcome {
    let mut command = gate.command("cargo", arguments);
    process::run(command.current_dir(gate.path("sim")).env_remove("RUSTFLAGS"))
}
