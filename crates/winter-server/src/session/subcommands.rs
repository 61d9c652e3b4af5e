//! The words that may follow `CLIENT`, `COMMAND` and `CONFIG`: one table for each,
//! read by whoever finds a subcommand, by its errors and by `HELP`.

use winter_core::fault::{Fault, echo};
use winter_core::reply::Reply;

/// A command whose second word says what it does.
#[derive(Debug)]
pub(super) struct Container {
    name: &'static str,
    /// What `HELP` shows, in this order.
    subcommands: &'static [Subcommand],
}

#[derive(Debug)]
struct Subcommand {
    name: &'static str,
    arguments: &'static str,
    /// The least and the most words after its name.
    arity: (usize, usize),
}

const fn row(name: &'static str, arguments: &'static str, arity: (usize, usize)) -> Subcommand {
    Subcommand { name, arguments, arity }
}

const ANY: usize = usize::MAX;
const HELP: Subcommand = row("HELP", "", (0, 0));

pub(super) const CLIENT: Container = Container {
    name: "CLIENT",
    subcommands: &[
        row("ID", "", (0, 0)),
        row("INFO", "", (0, 0)),
        row("LIST", "[TYPE type | ID id ...]", (0, ANY)),
        row("GETNAME", "", (0, 0)),
        row("SETNAME", "name", (1, 1)),
        row("SETINFO", "LIB-NAME|LIB-VER text", (2, 2)),
        row("NO-EVICT", "ON|OFF", (1, 1)),
        row("NO-TOUCH", "ON|OFF", (1, 1)),
        row("REPLY", "ON|OFF|SKIP", (1, 1)),
    ],
};

pub(super) const COMMAND: Container = Container {
    name: "COMMAND",
    subcommands: &[
        row("COUNT", "", (0, 0)),
        row("LIST", "", (0, 0)),
        row("INFO", "[command ...]", (0, ANY)),
        row("DOCS", "[command ...]", (0, ANY)),
    ],
};

pub(super) const CONFIG: Container =
    Container { name: "CONFIG", subcommands: &[row("GET", "pattern [pattern ...]", (1, ANY))] };

impl Container {
    /// The name of the subcommand that `word` is, which takes as many words as `rest` has.
    pub(super) fn find(&self, word: &[u8], rest: &[&[u8]]) -> Result<&'static str, Fault> {
        let is_it = |sub: &&Subcommand| word.eq_ignore_ascii_case(sub.name.as_bytes());
        let Some(sub) = self.subcommands.iter().chain([&HELP]).find(is_it) else {
            let Self { name, .. } = self;
            let word = echo(word);
            return Err(Fault::usage(format!("unknown subcommand '{word}'. Try {name} HELP.")));
        };
        let (least, most) = sub.arity;
        if (least..=most).contains(&rest.len()) {
            return Ok(sub.name);
        }
        Err(Fault::usage(format!(
            "wrong number of arguments for '{}|{}' command; usage: {}",
            self.name.to_ascii_lowercase(),
            sub.name.to_ascii_lowercase(),
            self.usage(sub)
        )))
    }

    /// A line for each way to use the command.
    pub(super) fn help(&self) -> Reply<'static> {
        Reply::Lines(self.subcommands.iter().map(|sub| self.usage(sub)).collect())
    }

    fn usage(&self, sub: &Subcommand) -> String {
        format!("{} {} {}", self.name, sub.name, sub.arguments).trim_end().to_owned()
    }
}
