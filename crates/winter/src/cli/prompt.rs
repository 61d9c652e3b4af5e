//! A prompt: a line, its reply, the next line. History lasts as long as it does.

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::MemHistory;
use rustyline::validate::Validator;
use rustyline::{Context, Editor, Helper};
use winter_client::{Error, Value};
use winter_core::command::table::{self, SPECS, Spec};

use super::lines::request;
use super::{Node, connect};
use crate::complain;
use crate::exit::Exit;

/// Asks and answers until the end of input, or `QUIT`.
pub(super) fn run(mut node: Node) -> Result<Exit, Error> {
    let mut editor: Editor<Commands, MemHistory> =
        match Editor::with_history(rustyline::Config::default(), MemHistory::new()) {
            Ok(editor) => editor,
            Err(error) => {
                complain(format_args!("winter cli: this terminal has no prompt: {error}"));
                return Ok(Exit::System);
            }
        };
    editor.set_helper(Some(Commands));
    loop {
        match editor.readline(&format!("{}> ", node.address)) {
            Ok(line) if line.trim().is_empty() => {}
            Ok(line) => {
                // The history is a convenience; a line that it does not take is still sent.
                let _ = editor.add_history_entry(&line);
                node.answer(&line);
                if is_quit(&line) {
                    return Ok(Exit::Good);
                }
            }
            Err(ReadlineError::Interrupted) => {}
            Err(_) => return Ok(Exit::Good),
        }
    }
}

fn is_quit(line: &str) -> bool {
    ["quit", "exit"].iter().any(|word| line.trim().eq_ignore_ascii_case(word))
}

impl Node {
    /// Sends a line and prints what becomes of it. A connection that has ended is made anew first.
    fn answer(&mut self, line: &str) {
        if line.trim().eq_ignore_ascii_case("exit") {
            return;
        }
        let reply = self.reconnect().and_then(|()| match request(line.as_bytes()) {
            Ok(request) => self.runtime.block_on(self.client.call(&request)),
            Err(error) => Ok(Value::Error(error)),
        });
        match reply {
            Ok(reply) => {
                self.print(&reply);
            }
            Err(error) => complain(error),
        }
    }

    fn reconnect(&mut self) -> Result<(), Error> {
        // Lets the connection's own tasks notice that it has ended.
        self.runtime.block_on(tokio::task::yield_now());
        if self.client.is_closed() {
            self.client = self.runtime.block_on(connect(&self.address))?;
        }
        Ok(())
    }
}

/// Completes commands' names and hints at their arguments, from the one table.
struct Commands;

impl Helper for Commands {}
impl Highlighter for Commands {}
impl Validator for Commands {}

impl Completer for Commands {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        at: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        Ok((0, names(&line[..at])))
    }
}

impl Hinter for Commands {
    type Hint = String;

    fn hint(&self, line: &str, at: usize, _: &Context<'_>) -> Option<String> {
        if at == line.len() { hint(line) } else { None }
    }
}

/// Names that begin as the first word does, which is still being typed.
fn names(typed: &str) -> Vec<String> {
    let begins = |spec: &&Spec| {
        spec.name.get(..typed.len()).is_some_and(|start| start.eq_ignore_ascii_case(typed))
    };
    SPECS.iter().filter(begins).map(|spec| format!("{} ", spec.name)).collect()
}

/// The arguments of the command that has just been named.
fn hint(typed: &str) -> Option<String> {
    let spec = table::find(typed.strip_suffix(' ')?.as_bytes())?;
    (!spec.arguments.is_empty()).then(|| spec.arguments.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_completed_in_any_case() {
        assert_eq!(names("putn"), ["PUTNEW "]);
        assert_eq!(names("GET t"), Vec::<String>::new());
        assert_eq!(names("é"), Vec::<String>::new());
    }

    #[test]
    fn a_named_command_hints_at_its_arguments() {
        assert_eq!(hint("get ").as_deref(), Some("table key"));
        assert_eq!(hint("get t"), None);
        assert_eq!(hint("tables "), None);
    }
}
