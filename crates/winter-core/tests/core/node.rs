//! The smallest node that answers: one partition, one session, no network.

use std::collections::BTreeMap;

use winter_core::command::{Command, KeyCommand, ServerCommand, TableCommand};
use winter_core::protocol::{Dialect, Limits, Skip, Step};
use winter_core::reply::{Reply, Value};
use winter_core::store::index::Tag;
use winter_core::store::{HashedKey, Partition, Seed, Table, TableId};
use winter_core::time::Timestamp;

const SEED: Seed = Seed(1, 2);

/// Tables and their entries, all in one partition.
pub(crate) struct Node {
    partition: Partition,
    tables: BTreeMap<String, Table>,
    tables_made: u64,
    pub(crate) now: Timestamp,
    pub(crate) value_bytes_max: usize,
}

impl Node {
    pub(crate) fn new() -> Self {
        Self {
            partition: Partition::new(SEED, 0),
            tables: BTreeMap::new(),
            tables_made: 0,
            now: Timestamp::from_millis(0),
            value_bytes_max: 1 << 20,
        }
    }

    fn run(&mut self, command: Command<'_>, dialect: &mut Dialect, output: &mut Vec<u8>) -> bool {
        let mut open = true;
        let reply = match command {
            Command::Key(command) => self.key(command),
            Command::Table(command) => self.table(command),
            Command::Server(command) => {
                open = !matches!(command, ServerCommand::Quit);
                if let ServerCommand::Hello(hello) = &command {
                    *dialect = match hello.version {
                        Some(3) => Dialect::Resp3,
                        Some(2) => Dialect::Resp2,
                        _ => *dialect,
                    };
                }
                self.server(&command)
            }
        };
        dialect.write(&reply, output);
        open
    }

    fn key(&mut self, command: KeyCommand<'_>) -> Reply<'_> {
        let Some(table) = self.tables.get(command.table) else { return Reply::MissingTable };
        let key = HashedKey::new(SEED, command.key);
        self.partition.apply(self.now, table, key, &command.op)
    }

    fn table(&mut self, command: TableCommand<'_>) -> Reply<'static> {
        if let TableCommand::Create(name, options) = command {
            if self.tables.contains_key(name) {
                return Reply::Word("already created");
            }
            let slot = u32::try_from(self.tables_made).expect("a test makes few tables");
            self.tables_made += 1;
            let table = Table::new(TableId(self.tables_made), slot, name, options);
            self.tables.insert(name.to_owned(), table);
            return Reply::Word("created");
        }
        let Some(table) = self.tables.get(command.table()) else { return Reply::MissingTable };
        match command {
            TableCommand::Count(_) => Reply::Integer(self.partition.count(self.now, table)),
            TableCommand::Scan(_, scan) => {
                let mut keys = Vec::new();
                let Some(from) = Tag::from_bits(scan.cursor) else {
                    return Reply::Scan { cursor: 0, keys };
                };
                let (next, _) =
                    self.partition.scan(self.now, table, from, scan.prefix, scan.count, &mut keys);
                Reply::Scan { cursor: next.map_or(0, Tag::bits), keys }
            }
            TableCommand::Drop(name) => {
                drop(self.partition.detach(table));
                self.tables.remove(name);
                Reply::Word("dropped")
            }
            other => Reply::Text(format!("{other:?}")),
        }
    }

    fn server(&self, command: &ServerCommand<'_>) -> Reply<'static> {
        match *command {
            ServerCommand::Ping(None) => Reply::Word("pong"),
            ServerCommand::Ping(Some(text)) | ServerCommand::Echo(text) => {
                Reply::Resp(Value::bulk(text))
            }
            ServerCommand::Tables => Reply::Lines(self.tables.keys().cloned().collect()),
            ServerCommand::Quit => Reply::Word("bye"),
            ServerCommand::Reset => Reply::Word("reset"),
            ServerCommand::Help(_) => Reply::Fields(vec![("field".into(), "value".into())]),
            // What the server makes of the others is not core's; what was read is shown.
            ref other => Reply::Text(shown(other)),
        }
    }
}

fn shown(command: &ServerCommand<'_>) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let all = |words: &[&[u8]]| words.iter().map(|w| text(w)).collect::<Vec<_>>().join("|");
    match command {
        ServerCommand::Hello(hello) => format!(
            "hello {:?} auth {:?} name {:?}",
            hello.version,
            hello.auth.map(|who| (text(who.user), text(who.password))),
            hello.name.map(text)
        ),
        ServerCommand::Auth(who) => format!("auth {} {}", text(who.user), text(who.password)),
        ServerCommand::Client(words) => format!("client {}", all(words)),
        ServerCommand::Command(words) => format!("command {}", all(words)),
        ServerCommand::Config(words) => format!("config {}", all(words)),
        ServerCommand::Info(words) if words.len() > 9 => format!("info of {}", words.len()),
        ServerCommand::Info(words) => format!("info {}", all(words)),
        ServerCommand::Select(word) => format!("select {}", text(word)),
        other => format!("{other:?}"),
    }
}

/// One connection: the bytes that wait, and how they are read.
pub(crate) struct Session {
    dialect: Option<Dialect>,
    waiting: Vec<u8>,
    skip: Option<Skip>,
    scanned: usize,
    pub(crate) open: bool,
}

impl Session {
    pub(crate) fn new() -> Self {
        Self { dialect: None, waiting: Vec::new(), skip: None, scanned: 0, open: true }
    }

    /// Takes `bytes` in and runs what is complete: the replies.
    pub(crate) fn receive(&mut self, node: &mut Node, bytes: &[u8]) -> Vec<u8> {
        let mut output = Vec::new();
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.extend_from_slice(bytes);
        let mut at = 0;
        while self.open && at < waiting.len() {
            let Some(length) = self.step(node, &waiting[at..], &mut output) else { break };
            at += length;
            self.scanned = 0;
        }
        waiting.drain(..at);
        self.waiting = waiting;
        output
    }

    /// Takes one step: how many bytes it took, or `None` to wait for more.
    fn step(&mut self, node: &mut Node, input: &[u8], output: &mut Vec<u8>) -> Option<usize> {
        let mut dialect = *self.dialect.get_or_insert_with(|| Dialect::from_first_byte(input[0]));
        if let Some(skip) = &mut self.skip {
            return match skip.advance(input) {
                Ok((length, over)) => {
                    if over {
                        self.skip = None;
                    }
                    (length > 0 || over).then_some(length)
                }
                Err(fault) => {
                    dialect.write(&fault.into(), output);
                    self.open = false;
                    None
                }
            };
        }
        let limits = Limits { value_bytes_max: node.value_bytes_max, scanned: self.scanned };
        match dialect.next(input, limits) {
            Step::Incomplete(least) => {
                assert!(least > input.len(), "waits for bytes that it has");
                self.scanned = if dialect == Dialect::Line { input.len() } else { 0 };
                None
            }
            Step::Blank(length) => Some(length),
            Step::Command(parsed) => {
                match parsed.command {
                    Ok(command) => self.open = node.run(command, &mut dialect, output),
                    Err(fault) => {
                        self.open = !fault.kind.ends_session();
                        dialect.write(&fault.into(), output);
                    }
                }
                self.dialect = Some(dialect);
                Some(parsed.length)
            }
            Step::Oversize(fault, length, skip) => {
                dialect.write(&fault.into(), output);
                self.skip = Some(skip);
                Some(length)
            }
            Step::Broken(fault) => {
                dialect.write(&fault.into(), output);
                self.open = false;
                None
            }
        }
    }
}
