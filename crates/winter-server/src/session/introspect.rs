//! What client libraries ask by themselves: `CLIENT`, `COMMAND`, `CONFIG`.

use std::sync::Arc;

use winter_core::command::parse::number;
use winter_core::command::table::{self, Effect, SPECS};
use winter_core::command::{Spec, Verb};
use winter_core::fault::{Fault, echo};
use winter_core::reply::{Reply, Value};

use super::clients::Client;
use super::server_commands::ServerContext;
use super::subcommands;
use super::turn::Replies;
use crate::server::Shared;

const NAME_BYTES_MAX: usize = 256;

/// `CLIENT` and its words.
pub(super) fn client(cx: &mut ServerContext<'_>, words: &[&[u8]]) -> Reply<'static> {
    let (word, rest) = words.split_first().expect("the arity was checked");
    let name = match subcommands::CLIENT.find(word, rest) {
        Ok(name) => name,
        Err(fault) => return fault.into(),
    };
    let client = &cx.state.client;
    // A client that asks about itself is told of this command, not of the last one.
    client.note(Some(Verb::Client), cx.dialect, cx.now);
    match (name, rest) {
        ("ID", []) => Reply::Integer(client.id),
        ("GETNAME", []) => match client.name() {
            name if name.is_empty() => Reply::Nil,
            name => Reply::Text(name),
        },
        ("SETNAME", [name]) => match client_name(name) {
            Ok(name) => {
                client.set_name(name);
                Reply::Word("OK")
            }
            Err(fault) => fault.into(),
        },
        ("SETINFO", [attribute, value]) => set_info(cx, attribute, value),
        ("INFO", []) => Reply::Resp(Value::Verbatim(client.describe(cx.now) + "\n")),
        ("LIST", filters) => match chosen_clients(cx, filters) {
            Ok(clients) => Reply::Resp(Value::Verbatim(
                clients.iter().map(|client| client.describe(cx.now) + "\n").collect(),
            )),
            Err(fault) => fault.into(),
        },
        ("NO-EVICT" | "NO-TOUCH", [on_off]) => match on_off.to_ascii_uppercase().as_slice() {
            b"ON" | b"OFF" => Reply::Word("OK"),
            _ => Fault::usage("syntax error; usage: CLIENT NO-EVICT|NO-TOUCH ON|OFF").into(),
        },
        ("REPLY", [mode]) => reply_mode(cx, mode),
        ("HELP", []) => subcommands::CLIENT.help(),
        _ => unreachable!("CLIENT {name} takes other words"),
    }
}

/// The clients that `CLIENT LIST` is asked for: all, those of a type, or those of some numbers.
fn chosen_clients(cx: &ServerContext<'_>, filters: &[&[u8]]) -> Result<Vec<Arc<Client>>, Fault> {
    let mut clients = cx.shared.clients.all();
    let Some((filter, values)) = filters.split_first() else { return Ok(clients) };
    match (filter.to_ascii_uppercase().as_slice(), values) {
        (b"TYPE", [kind]) => match kind.to_ascii_lowercase().as_slice() {
            b"normal" => Ok(clients),
            b"master" | b"primary" | b"replica" | b"slave" | b"pubsub" => Ok(Vec::new()),
            _ => Err(Fault::usage(format!("Unknown client type '{}'", echo(kind)))),
        },
        (b"ID", [_, ..]) => {
            let ids: Option<Vec<u64>> = values.iter().map(|id| number(id)).collect();
            let ids = ids.ok_or_else(|| Fault::usage("Invalid client ID"))?;
            clients.retain(|client| ids.contains(&client.id));
            Ok(clients)
        }
        _ => Err(Fault::usage("syntax error; usage: CLIENT LIST [TYPE type | ID id ...]")),
    }
}

fn reply_mode(cx: &mut ServerContext<'_>, mode: &[u8]) -> Reply<'static> {
    cx.state.replies = match mode.to_ascii_uppercase().as_slice() {
        b"ON" => Replies::On,
        b"OFF" => Replies::Off,
        b"SKIP" if cx.state.replies == Replies::Off => Replies::Off,
        b"SKIP" => Replies::SkipNext,
        _ => return Fault::usage("syntax error; usage: CLIENT REPLY ON|OFF|SKIP").into(),
    };
    Reply::Word("OK")
}

fn set_info(cx: &ServerContext<'_>, attribute: &[u8], value: &[u8]) -> Reply<'static> {
    let value = match client_name(value) {
        Ok(value) => value,
        Err(fault) => return fault.into(),
    };
    match attribute.to_ascii_uppercase().as_slice() {
        b"LIB-NAME" => cx.state.client.set_library(value),
        b"LIB-VER" => cx.state.client.set_library_version(value),
        _ => {
            return Fault::usage(format!("Unrecognized option '{}'", echo(attribute))).into();
        }
    }
    Reply::Word("OK")
}

/// A name that fits on the line of `CLIENT LIST`.
pub(super) fn client_name(name: &[u8]) -> Result<&str, Fault> {
    if name.len() > NAME_BYTES_MAX {
        return Err(Fault::limit(
            "the client name",
            format_args!("{} bytes long", name.len()),
            format_args!("{NAME_BYTES_MAX} bytes"),
        ));
    }
    std::str::from_utf8(name)
        .ok()
        .filter(|name| name.bytes().all(|byte| byte > b' ' && byte != 0x7f))
        .ok_or_else(|| {
            Fault::usage("Client names cannot contain spaces, newlines or special characters.")
        })
}

/// `COMMAND` and its words.
pub(super) fn command(words: &[&[u8]]) -> Reply<'static> {
    let Some((word, names)) = words.split_first() else {
        return Reply::Resp(Value::Array(SPECS.iter().map(command_info).collect()));
    };
    match subcommands::COMMAND.find(word, names) {
        Ok("COUNT") => Reply::Integer(SPECS.len() as u64),
        Ok("LIST") => Reply::Lines(SPECS.iter().map(Spec::lower_name).collect()),
        Ok("INFO") if names.is_empty() => {
            Reply::Resp(Value::Array(SPECS.iter().map(command_info).collect()))
        }
        Ok("INFO") => Reply::Resp(Value::Array(
            names.iter().map(|name| table::find(name).map_or(Value::Null, command_info)).collect(),
        )),
        Ok("DOCS") => {
            let chosen = SPECS.iter().filter(|spec| {
                names.is_empty()
                    || names.iter().any(|n| n.eq_ignore_ascii_case(spec.name.as_bytes()))
            });
            Reply::Resp(Value::Map(chosen.map(command_docs).collect()))
        }
        Ok("HELP") => subcommands::COMMAND.help(),
        Ok(name) => unreachable!("COMMAND {name} is answered above"),
        Err(fault) => fault.into(),
    }
}

fn command_info(spec: &Spec) -> Value {
    let (least, most) = spec.arity;
    let least = i64::try_from(least).expect("few words");
    let is_key = matches!(spec.effect, Effect::Read | Effect::Write) && least > 2;
    let key = i64::from(is_key) * 2;
    let flag = match spec.effect {
        Effect::Read => "readonly",
        Effect::Write => "write",
        Effect::Table => "admin",
        Effect::Session => "fast",
    };
    Value::Array(vec![
        Value::bulk(spec.lower_name()),
        Value::Integer(if most == spec.arity.0 { least } else { -least }),
        Value::Set(vec![Value::Simple(flag)]),
        Value::Integer(key),
        Value::Integer(key),
        Value::Integer(i64::from(is_key)),
        Value::Set(Vec::new()),
        Value::Array(Vec::new()),
        Value::Array(Vec::new()),
        Value::Array(Vec::new()),
    ])
}

fn command_docs(spec: &Spec) -> (Value, Value) {
    let group = match spec.effect {
        Effect::Read | Effect::Write => "generic",
        Effect::Table => "server",
        Effect::Session => "connection",
    };
    let field = |name: &str, value: &str| (Value::bulk(name), Value::bulk(value));
    let docs = vec![
        field("summary", spec.summary),
        field("since", env!("CARGO_PKG_VERSION")),
        field("group", group),
        field("usage", &spec.usage()),
    ];
    (Value::bulk(spec.lower_name()), Value::Map(docs))
}

/// `CONFIG` and its words: what libraries and tools look up. Nothing can be set.
pub(super) fn config(shared: &Arc<Shared>, words: &[&[u8]]) -> Reply<'static> {
    let (word, patterns) = words.split_first().expect("the arity was checked");
    if [&b"SET"[..], b"RESETSTAT", b"REWRITE"].iter().any(|set| word.eq_ignore_ascii_case(set)) {
        return Fault::usage(
            "settings are fixed at start: give them as flags, environment variables or in the file",
        )
        .into();
    }
    match subcommands::CONFIG.find(word, patterns) {
        Ok("GET") => {
            let chosen = settings(shared).into_iter().filter(|(name, _)| {
                patterns.iter().any(|p| matches_glob(&p.to_ascii_lowercase(), name.as_bytes()))
            });
            Reply::Resp(Value::Map(
                chosen.map(|(name, value)| (Value::bulk(name), Value::bulk(value))).collect(),
            ))
        }
        Ok("HELP") => subcommands::CONFIG.help(),
        Ok(name) => unreachable!("CONFIG {name} is answered above"),
        Err(fault) => fault.into(),
    }
}

fn settings(shared: &Arc<Shared>) -> Vec<(&'static str, String)> {
    let config = &shared.node.config;
    vec![
        ("save", String::new()),
        ("appendonly", "no".into()),
        ("databases", "1".into()),
        ("timeout", "0".into()),
        ("maxclients", config.connections_max.to_string()),
        ("maxmemory", config.memory_bytes_max.to_string()),
        ("maxmemory-policy", "noeviction".into()),
        ("proto-max-bulk-len", config.value_bytes_max.to_string()),
        ("replica-read-only", "yes".into()),
        ("slave-read-only", "yes".into()),
    ]
}

/// Whether `text` fits a pattern of `*`, `?` and plain bytes, in time at most
/// proportional to the product of their lengths.
fn matches_glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&byte) if byte == b'?' || byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((star_p, star_t)) = star else { return false };
                star = Some((star_p, star_t + 1));
                p = star_p + 1;
                t = star_t + 1;
            }
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("max*", "maxmemory", true),
            ("*only", "appendonly", true),
            ("a?p*d*y", "appendonly", true),
            ("save", "save2", false),
            ("?", "", false),
        ] {
            assert_eq!(matches_glob(pattern.as_bytes(), text.as_bytes()), fits, "{pattern}");
        }
    }
}
