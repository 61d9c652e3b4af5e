//! Commands on the node and the session.

use std::sync::Arc;

use winter_core::command::table::{self, SPECS};
use winter_core::command::{Credentials, Hello, ServerCommand};
use winter_core::fault::{Fault, Kind, echo};
use winter_core::protocol::Dialect;
use winter_core::reply::{Reply, Value};
use winter_core::time::Timestamp;

use super::turn::{Replies, State};
use super::{info, introspect};
use crate::server::Shared;

/// What a command on the node or the session may look at and change.
#[derive(Debug)]
pub(super) struct ServerContext<'s> {
    /// What all sessions share.
    pub shared: &'s Arc<Shared>,
    /// How the session speaks.
    pub dialect: Dialect,
    /// When the command came.
    pub now: Timestamp,
    /// The session.
    pub state: &'s mut State,
}

impl ServerContext<'_> {
    /// Does `command`.
    pub(super) fn run<'c>(mut self, command: &ServerCommand<'c>) -> Reply<'c> {
        let is_resp = self.dialect.is_resp();
        match command {
            ServerCommand::Ping(Some(text)) | ServerCommand::Echo(text) => Reply::Data(text),
            ServerCommand::Ping(None) => Reply::Word(if is_resp { "PONG" } else { "pong" }),
            ServerCommand::Quit => Reply::Word(if is_resp { "OK" } else { "bye" }),
            ServerCommand::Tables => Reply::Lines(self.tables()),
            ServerCommand::Help(topic) => help(*topic, self.dialect),
            ServerCommand::Info(sections) => {
                let text = info::text(self.shared, sections);
                if is_resp { Reply::Resp(Value::Verbatim(text)) } else { lines(&text) }
            }
            ServerCommand::Auth(credentials) => refuse_password(*credentials).into(),
            ServerCommand::Cluster(word) => match (self.shared.cluster(), word) {
                (Some(cluster), None) => Reply::Lines(cluster.lines()),
                // What Redis's cluster clients ask, in the words that they know.
                (Some(_), Some(_)) => Fault::usage(
                    "This instance has cluster support disabled: any node takes any command; CLUSTER alone tells of Winter's",
                )
                .into(),
                (None, _) => {
                    Fault::usage("This instance has cluster support disabled: it runs alone").into()
                }
            },
            ServerCommand::Hello(hello) => self.hello(*hello),
            ServerCommand::Client(words) => introspect::client(&mut self, words),
            ServerCommand::Command(words) => introspect::command(words),
            ServerCommand::Config(words) => introspect::config(self.shared, words),
            ServerCommand::Select(index) => select(index),
            ServerCommand::Reset => {
                self.state.dialect = Some(Dialect::Resp2);
                self.state.replies = Replies::On;
                self.state.client.set_name("");
                Reply::Word("RESET")
            }
        }
    }

    fn tables(&self) -> Vec<String> {
        let tables = self.shared.node.catalog.all();
        tables.iter().map(|table| table.core.name.to_string()).collect()
    }

    fn hello(&mut self, hello: Hello<'_>) -> Reply<'static> {
        if let Some(credentials) = hello.auth {
            return refuse_password(credentials).into();
        }
        if let Some(name) = hello.name {
            match introspect::client_name(name) {
                Ok(name) => self.state.client.set_name(name),
                Err(fault) => return fault.into(),
            }
        }
        match hello.version {
            Some(3) => self.state.dialect = Some(Dialect::Resp3),
            Some(_) => self.state.dialect = Some(Dialect::Resp2),
            None => {}
        }
        let version = if self.state.dialect == Some(Dialect::Resp3) { 3 } else { 2 };
        let field = |name: &str, value| (Value::bulk(name), value);
        Reply::Resp(Value::Map(vec![
            field("server", Value::bulk("winter")),
            field("version", Value::bulk(info::REDIS_VERSION)),
            field("proto", Value::Integer(version)),
            field("id", Value::Integer(i64::try_from(self.state.client.id).unwrap_or(i64::MAX))),
            field("mode", Value::bulk("standalone")),
            field("role", Value::bulk("master")),
            field("modules", Value::Array(Vec::new())),
        ]))
    }
}

/// A text's lines as a reply.
fn lines(text: &str) -> Reply<'static> {
    Reply::Lines(text.lines().map(str::to_owned).collect())
}

fn refuse_password(_: Credentials<'_>) -> Fault {
    Fault::new(Kind::Denied, "no password is set on this server; connect without one")
}

fn select(index: &[u8]) -> Reply<'static> {
    match winter_core::command::parse::number(index) {
        Some(0) => Reply::Word("OK"),
        Some(_) => Fault::usage("DB index is out of range; there is one database, 0").into(),
        None => Fault::usage("invalid DB index").into(),
    }
}

/// All commands that the dialect knows, or one.
fn help(topic: Option<&[u8]>, dialect: Dialect) -> Reply<'static> {
    let known = |spec: &&table::Spec| dialect.is_resp() || !spec.resp_only;
    let Some(word) = topic else {
        let mut lines: Vec<_> = SPECS
            .iter()
            .filter(known)
            .map(|spec| format!("{} - {}", spec.usage(), spec.summary))
            .collect();
        lines.sort();
        return Reply::Lines(lines);
    };
    match table::find(word).filter(|spec| known(spec)) {
        Some(spec) => Reply::Lines(vec![spec.usage(), spec.summary.to_owned()]),
        None => Fault::usage(format!("there is no command '{}'; HELP lists them all", echo(word)))
            .into(),
    }
}
