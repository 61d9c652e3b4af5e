//! Other programs, run with no standard input.

use std::path::Path;
use std::process::{Command, Stdio};

/// What a chore answers: nothing, or a sentence that says what to do.
pub(crate) type Outcome = Result<(), String>;

/// A program and its arguments, to be run in `directory`.
pub(crate) fn command(program: &str, arguments: &[&str], directory: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(directory).stdin(Stdio::null());
    command
}

/// Runs `command` to its end, its output shown.
pub(crate) fn run(command: &mut Command) -> Outcome {
    println!("$ {}", shown(command));
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{}` failed: {status}", shown(command))),
        Err(error) => Err(format!("`{}` did not start: {error}", shown(command))),
    }
}

/// Whether `program` is on the path and answers `argument` with success.
pub(crate) fn answers(program: &str, argument: &str) -> bool {
    said(program, argument).is_some()
}

/// What `program argument` prints, if it succeeds.
pub(crate) fn said(program: &str, argument: &str) -> Option<String> {
    let output = Command::new(program).arg(argument).stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether `program` is on the path, whatever it answers.
pub(crate) fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
