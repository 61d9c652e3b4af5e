//! Winter's chores.
//!
//! `cargo xtask check` is the gate: what CI runs and what a change passes before
//! it lands. It needs nothing but a Rust toolchain: what else its steps use, the
//! first of them installs. No dependencies, so that it is there in seconds.

#![expect(clippy::print_stdout, reason = "a chore talks to whoever runs it")]
#![expect(clippy::disallowed_methods, reason = "the gate has no settings, and looks for programs")]

mod gate;
mod manifests;
mod process;
mod setup;
mod simulator;
mod steps;

use std::process::ExitCode;

use gate::Gate;

const USAGE: &str = "\
usage: cargo xtask <chore>

  check [step ...]   run the gate, or only some of its steps; changes no source file
  steps              list the steps of the gate
  sim [option ...]   simulate clusters from random seeds, or as the options say
  fix                rewrite what rustfmt and clippy can put right
  setup              install what the gate needs, and nothing else";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let gate = Gate::new();
    let done = match words.as_slice() {
        ["check", chosen @ ..] => steps::check(&gate, chosen),
        ["steps"] => {
            steps::list();
            Ok(())
        }
        ["sim", options @ ..] => simulator::run(&gate, options),
        ["fix"] => steps::fix(&gate),
        ["setup"] => setup::install(&gate),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            println!("{why}");
            ExitCode::FAILURE
        }
    }
}
