//! The one table of commands.
//!
//! The commands that hot paths send stand first: a look-up walks the table.

/// Which command, as an index into [`SPECS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is described by its row in SPECS")]
pub enum Verb {
    Get,
    PutNew,
    Add,
    Put,
    Gets,
    Cas,
    Delete,
    Touch,
    Ttl,
    Count,
    Scan,
    Create,
    Drop,
    Tables,
    Describe,
    Revive,
    Ping,
    Help,
    Info,
    Quit,
    Auth,
    Cluster,
    Hello,
    Client,
    Command,
    Config,
    Select,
    Echo,
    Reset,
}

impl Verb {
    /// The command's row.
    #[must_use]
    pub fn spec(self) -> &'static Spec {
        &SPECS[self as usize]
    }
}

/// What a command touches, for `COMMAND` and for the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Reads entries.
    Read,
    /// Writes entries.
    Write,
    /// Makes, drops or describes tables.
    Table,
    /// Concerns the session or the node.
    Session,
}

/// How a line is cut into the words of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Words apart by one space each.
    Words,
    /// So many words after the command's name, then data to the end of the line.
    Data(usize),
    /// As `Data`, and a trailing ` EXPIRE <ms>` is an option.
    DataExpire(usize),
}

/// One command.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// Which.
    pub verb: Verb,
    /// Its name, in upper case.
    pub name: &'static str,
    /// What follows the name, as the documentation writes it.
    pub arguments: &'static str,
    /// The least and the most words, the name among them.
    pub arity: (usize, usize),
    /// How a line is cut.
    pub shape: Shape,
    /// What it touches.
    pub effect: Effect,
    /// Whether only RESP sessions know it.
    pub resp_only: bool,
    /// One sentence for `HELP`, `COMMAND DOCS` and the documentation.
    pub summary: &'static str,
}

impl Spec {
    /// The command as one would type it: name and arguments.
    #[must_use]
    pub fn usage(&self) -> String {
        format!("{} {}", self.name, self.arguments).trim_end().to_owned()
    }

    /// Whether the command names one key, after the table.
    #[must_use]
    pub fn has_key(&self) -> bool {
        self.arguments.starts_with("table key")
    }

    /// The command's name in lower case, as metrics and `COMMAND` write it.
    #[must_use]
    pub fn lower_name(&self) -> String {
        self.name.to_ascii_lowercase()
    }
}

/// Finds a command by its name in any case of letters.
#[inline]
#[must_use]
pub fn find(word: &[u8]) -> Option<&'static Spec> {
    let name = packed(word)?;
    let number = NAMES.iter().position(|&candidate| candidate == name)?;
    Some(&SPECS[number])
}

/// Every name as one number: no name is longer than 8 bytes.
const NAMES: [u64; SPECS.len()] = {
    let mut names = [0; SPECS.len()];
    let mut n = 0;
    while n < names.len() {
        names[n] = match packed(SPECS[n].name.as_bytes()) {
            Some(name) => name,
            None => panic!("a command's name is 1 to 8 bytes long"),
        };
        n += 1;
    }
    names
};

/// A word of 1 to 8 bytes as a number that is the same in any case of letters:
/// without its bit of case, a byte is a capital only if it was that letter.
const fn packed(word: &[u8]) -> Option<u64> {
    if word.is_empty() || word.len() > 8 {
        return None;
    }
    let (mut name, mut n) = (0, 0);
    while n < word.len() {
        name = name << 8 | (word[n] & 0xdf) as u64;
        n += 1;
    }
    Some(name)
}

const ANY: usize = usize::MAX;

const fn row(
    verb: Verb,
    name: &'static str,
    arguments: &'static str,
    arity: (usize, usize),
    effect: Effect,
    summary: &'static str,
) -> Spec {
    Spec { verb, name, arguments, arity, shape: Shape::Words, effect, resp_only: false, summary }
}

impl Spec {
    const fn shaped(mut self, shape: Shape) -> Self {
        self.shape = shape;
        self
    }

    const fn resp_only(mut self) -> Self {
        self.resp_only = true;
        self
    }
}

/// Every command, in the order of [`Verb`].
pub const SPECS: [Spec; 29] = {
    use Effect::{Read, Session, Table, Write};
    use Shape::{Data, DataExpire};
    [
        row(Verb::Get, "GET", "table key", (3, 3), Read, "The data of an entry, or nil."),
        row(Verb::PutNew, "PUTNEW", "table key data [EXPIRE ms]", (4, 6), Write,
            "Write an entry unless the key has one; ok either way, and the first writer's data stays.")
            .shaped(DataExpire(2)),
        row(Verb::Add, "ADD", "table key data [EXPIRE ms]", (4, 6), Write,
            "PUTNEW that says who won: added V, or exists V.")
            .shaped(DataExpire(2)),
        row(Verb::Put, "PUT", "table key data [EXPIRE ms]", (4, 6), Write,
            "Write an entry whatever was there, its time to live too.")
            .shaped(DataExpire(2)),
        row(Verb::Gets, "GETS", "table key", (3, 3), Read, "The version and the data of an entry, or nil."),
        row(Verb::Cas, "CAS", "table key version data [EXPIRE ms]", (5, 7), Write,
            "Write an entry only if it still stands at this version.")
            .shaped(DataExpire(3)),
        row(Verb::Delete, "DELETE", "table key [version]", (3, 4), Write,
            "Take an entry away; with a version, only if it still stands."),
        row(Verb::Touch, "TOUCH", "table key ms [version]", (4, 5), Write,
            "Give an entry a new time to live from now; 0 takes it away."),
        row(Verb::Ttl, "TTL", "table key", (3, 3), Read,
            "The milliseconds that an entry has left, or never, or nil."),
        row(Verb::Count, "COUNT", "table", (2, 2), Read, "How many entries have not expired."),
        row(Verb::Scan, "SCAN", "table cursor [PREFIX p] [COUNT n]", (3, 7), Read,
            "One step through a table's keys: the next cursor (0 at the end), then keys."),
        row(Verb::Create, "CREATE", "table [MAXBYTES n] [MAXENTRIES n] [MAXVALUE n] [TTL ms] [ONCE yes]", (2, ANY), Table,
            "Make a table, unless it stands already."),
        row(Verb::Drop, "DROP", "table", (2, 2), Table, "Take a table away with all that it holds."),
        row(Verb::Tables, "TABLES", "", (1, 1), Table, "The names of all tables."),
        row(Verb::Describe, "DESCRIBE", "table", (2, 2), Table,
            "A table's options, entries, bytes, operations and restarts."),
        row(Verb::Revive, "REVIVE", "table", (2, 2), Table,
            "Take a table that kept failing, and was fenced, back into service."),
        row(Verb::Ping, "PING", "[text]", (1, 2), Session, "pong, or the text.").shaped(Data(0)),
        row(Verb::Help, "HELP", "[command]", (1, 2), Session, "What the commands are, or what one does."),
        row(Verb::Info, "INFO", "[section ...]", (1, ANY), Session, "What the node says of itself."),
        row(Verb::Quit, "QUIT", "", (1, 1), Session, "Say goodbye; the server closes the connection."),
        row(Verb::Auth, "AUTH", "[user] password", (2, 3), Session, "Say who you are."),
        row(Verb::Cluster, "CLUSTER", "", (1, ANY), Session, "The cluster's nodes and partitions."),
        row(Verb::Hello, "HELLO", "[2|3] [AUTH user password] [SETNAME name]", (1, ANY), Session,
            "Agree on a protocol version.").resp_only(),
        row(Verb::Client, "CLIENT", "subcommand [argument ...]", (2, ANY), Session,
            "Name, describe and list connections.").resp_only(),
        row(Verb::Command, "COMMAND", "[COUNT|DOCS|INFO|LIST] [command ...]", (1, ANY), Session,
            "What the commands are, for client libraries.").resp_only(),
        row(Verb::Config, "CONFIG", "GET pattern [pattern ...]", (2, ANY), Session,
            "Settings, for client libraries.").resp_only(),
        row(Verb::Select, "SELECT", "0", (2, 2), Session, "Choose the database; there is one, 0.").resp_only(),
        row(Verb::Echo, "ECHO", "text", (2, 2), Session, "The text.").resp_only(),
        row(Verb::Reset, "RESET", "", (1, 1), Session, "The session as it began.").resp_only(),
    ]
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_in_the_order_of_their_verbs() {
        for (i, spec) in SPECS.iter().enumerate() {
            assert_eq!(spec.verb as usize, i, "{}", spec.name);
            assert_eq!(find(spec.lower_name().as_bytes()).unwrap().verb, spec.verb);
        }
    }
}
