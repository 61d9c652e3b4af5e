//! The steps of the gate.
//!
//! To add one, add a row to [`STEPS`]. All of them run, whatever fails; the
//! tests come last, so that their runner's own summary ends the output.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::gate::Gate;
use crate::manifests;
use crate::process::{self, Outcome};
use crate::setup;
use crate::simulator;

struct Step {
    name: &'static str,
    what: &'static str,
    run: fn(&Gate) -> Outcome,
}

/// A crate that has faults to inject, and the feature that compiles them in.
const FAILPOINTS: &str = "winter-server/failpoints";
/// The test targets that need it: `required-features` keeps them out of other runs.
const FAULT_TESTS: &[&str] = &["--test", "mend", "--test", "faults"];
/// How long each fuzz target runs.
const FUZZ_TIME: &str = "-max_total_time=15";

const STEPS: &[Step] = &[
    Step { name: "setup", what: "install what the steps below need", run: setup::install },
    Step {
        name: "format",
        what: "every file is as rustfmt writes it",
        run: |gate| format(gate, &["--check"]),
    },
    Step {
        name: "clippy",
        what: "no warning, with faults compiled in and without",
        run: |gate| {
            gate.cargo(&[
                "clippy",
                "--locked",
                "--workspace",
                "--all-targets",
                "--",
                "-Dwarnings",
            ])?;
            let with_faults =
                ["clippy", "--locked", "--workspace", "--all-targets", "--features", FAILPOINTS];
            gate.cargo(&[&with_faults[..], &["--", "-Dwarnings"]].concat())
        },
    },
    Step {
        name: "docs",
        what: "the code's documentation builds, and its links resolve",
        run: |gate| {
            let arguments = ["doc", "--locked", "--workspace", "--no-deps"];
            gate.cargo_with("RUSTDOCFLAGS", "-Dwarnings", &arguments)
        },
    },
    Step {
        name: "licences",
        what: "licences, sources and bans of dependencies; advisories where a database is",
        run: licences,
    },
    Step {
        name: "manifests",
        what: "Kubernetes's manifests against its schemas",
        run: manifests::validate,
    },
    Step { name: "fuzz", what: "each fuzz target for 15 seconds", run: fuzz },
    Step {
        name: "sim",
        what: "clusters on a simulated network, from fixed seeds, whole and broken",
        run: simulator::test,
    },
    Step {
        name: "doctests",
        what: "the examples in the documentation",
        run: |gate| gate.cargo(&["test", "--locked", "--workspace", "--doc"]),
    },
    Step {
        name: "faults",
        what: "the tests that inject faults",
        run: |gate| test(gate, &[&["--workspace", "--features", FAILPOINTS], FAULT_TESTS].concat()),
    },
    Step {
        name: "tests",
        what: "unit, integration and tidy tests",
        run: |gate| test(gate, &["--workspace"]),
    },
];

/// Runs the gate, or the steps in `chosen`.
pub(crate) fn check(gate: &Gate, chosen: &[&str]) -> Outcome {
    if let Some(unknown) = chosen.iter().find(|name| STEPS.iter().all(|s| s.name != **name)) {
        return Err(format!("there is no step `{unknown}`; `cargo xtask steps` lists them"));
    }
    let mut results = Vec::new();
    for step in STEPS.iter().filter(|s| chosen.is_empty() || chosen.contains(&s.name)) {
        println!("\n=== {}: {}", step.name, step.what);
        let start = Instant::now();
        let outcome = (step.run)(gate);
        if let Err(why) = &outcome {
            println!("{why}");
        }
        results.push((step.name, outcome, start.elapsed()));
    }
    summary(&results)
}

fn summary(results: &[(&str, Outcome, Duration)]) -> Outcome {
    println!("\n=== summary");
    for (name, outcome, time) in results {
        let word = if outcome.is_ok() { "ok" } else { "FAILED" };
        println!("{word:>6} {name:<10} {:>7.1} s", time.as_secs_f64());
    }
    let failed: Vec<_> = results.iter().filter(|(_, outcome, _)| outcome.is_err()).collect();
    println!("steps: {} passed, {} failed", results.len() - failed.len(), failed.len());
    if failed.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = failed.iter().map(|(name, ..)| *name).collect();
    Err(format!("to run them again: cargo xtask check {}", names.join(" ")))
}

/// Prints the steps.
pub(crate) fn list() {
    for step in STEPS {
        println!("{:<10} {}", step.name, step.what);
    }
}

/// Rewrites what a tool can put right: lints, tables in documents, formatting.
pub(crate) fn fix(gate: &Gate) -> Outcome {
    let clippy = ["clippy", "--workspace", "--all-targets", "--fix"];
    gate.cargo(&[&clippy[..], &["--allow-dirty", "--allow-staged"]].concat())?;
    let documents = ["test", "--quiet", "--package", "winter-server", "--test", "documents"];
    gate.cargo_with("UPDATE_DOCUMENTS", "1", &documents)?;
    format(gate, &[])
}

/// Formats all workspaces, or checks that they are.
fn format(gate: &Gate, options: &[&str]) -> Outcome {
    for workspace in [".", "fuzz", "sim"] {
        let mut format = gate.command("cargo", &[&["fmt", "--all"], options].concat());
        process::run(format.current_dir(gate.path(workspace)))?;
    }
    Ok(())
}

/// The tests that `which` picks, by nextest where it is installed: a process a test.
/// Those that take root fail here without it, where they would only say so.
fn test(gate: &Gate, which: &[&str]) -> Outcome {
    let required = |arguments: &[&str]| gate.cargo_with("WINTER_NAMESPACES", "required", arguments);
    if process::answers("cargo-nextest", "--version") {
        required(&[&["nextest", "run", "--locked", "--no-fail-fast"], which].concat())
    } else {
        required(&[&["test", "--locked", "--no-fail-fast"], which, &["--tests"]].concat())
    }
}

fn licences(gate: &Gate) -> Outcome {
    gate.cargo(&["deny", "--locked", "check", "bans", "licenses", "sources"])?;
    if has_advisories() {
        return gate.cargo(&["deny", "--offline", "check", "advisories"]);
    }
    println!("advisories: skipped, no database here; `cargo deny fetch` brings one");
    Ok(())
}

/// Whether a copy of the advisory database is on this machine.
fn has_advisories() -> bool {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    let databases = home.and_then(|home| std::fs::read_dir(home.join("advisory-dbs")).ok());
    databases.is_some_and(|mut all| all.any(|entry| entry.is_ok_and(|e| e.path().is_dir())))
}

/// Each fuzz target for a short while, as fuzz/README.md runs it.
fn fuzz(gate: &Gate) -> Outcome {
    let folder = gate.path("fuzz");
    for name in fuzz_targets(gate)? {
        for kept in ["artifacts".to_owned(), format!("corpus/{name}")] {
            std::fs::create_dir_all(folder.join(kept)).map_err(|error| error.to_string())?;
        }
        let (corpus, seeds) = (format!("corpus/{name}"), format!("seeds/{name}"));
        let dictionary = format!("-dict=dictionaries/{name}.dict");
        let has_dictionary = folder.join(format!("dictionaries/{name}.dict")).is_file();
        let mut arguments = vec!["run", "--quiet", "--locked", "--release", "--bin", &name, "--"];
        arguments.extend([FUZZ_TIME, "-max_len=4096", "-verbosity=0"]);
        arguments.push("-artifact_prefix=artifacts/");
        arguments.extend(has_dictionary.then_some(&*dictionary));
        arguments.extend([&*corpus, &*seeds]);
        let mut command = gate.command("cargo", &arguments);
        // Its own configuration says how it is built; the environment's would win over it.
        process::run(command.current_dir(&folder).env_remove("RUSTFLAGS"))?;
    }
    Ok(())
}

fn fuzz_targets(gate: &Gate) -> Result<Vec<String>, String> {
    let folder = gate.path("fuzz/targets");
    let files = std::fs::read_dir(&folder).map_err(|error| format!("fuzz/targets: {error}"))?;
    let mut names: Vec<String> = files
        .filter_map(|file| file.ok()?.path().file_stem()?.to_str().map(str::to_owned))
        .collect();
    names.sort();
    if names.is_empty() { Err("fuzz/targets is empty".to_owned()) } else { Ok(names) }
}
