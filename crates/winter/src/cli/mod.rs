//! `winter cli`: one command, a prompt, or the lines of standard input.

mod lines;
mod prompt;
mod show;

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};

use tokio::runtime::{Builder, Runtime};
use winter_client::{Client, Error, Options, Request, ServerError, Value};
use winter_server::config::environment;

use crate::exit::Exit;
use crate::{arguments, complain, printed};
use show::Style;

/// Talks to a node as the arguments say.
pub(crate) fn run(args: &[OsString]) -> Exit {
    let matches = match arguments::parse(arguments::cli(), args) {
        Ok(matches) => matches,
        Err(exit) => return exit,
    };
    let words: Vec<OsString> =
        matches.get_many("command").map(|words| words.cloned().collect()).unwrap_or_default();
    if let Some(flag) = words.first().filter(|word| word.as_encoded_bytes().starts_with(b"-")) {
        // No command begins so, and whoever mistypes a flag would ask another node.
        let flag = flag.to_string_lossy();
        complain(format_args!(
            "winter cli has no flag '{}'; see winter cli --help",
            flag.escape_debug()
        ));
        return Exit::Usage;
    }
    let (host, port) = match arguments::host_and_port(&matches, &environment()) {
        Ok(target) => target,
        Err(exit) => return exit,
    };
    let outcome = Node::connect(arguments::at(&host, port)).and_then(|node| {
        if !words.is_empty() {
            node.one(&words)
        } else if io::stdin().is_terminal() && io::stdout().is_terminal() {
            prompt::run(node)
        } else {
            lines::run(&node)
        }
    });
    outcome.unwrap_or_else(|error| no_answer(&error))
}

/// A node and the connection to it.
struct Node {
    runtime: Runtime,
    address: String,
    client: Client,
    style: Style,
}

impl Node {
    fn connect(address: String) -> Result<Self, Error> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| {
            Error::Connect { address: address.clone(), reason: error.to_string() }
        })?;
        let client = runtime.block_on(connect(&address))?;
        let style = if io::stdout().is_terminal() { Style::Terminal } else { Style::Plain };
        Ok(Self { runtime, address, client, style })
    }

    /// Sends the words as they are and prints the reply.
    fn one(&self, words: &[OsString]) -> Result<Exit, Error> {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_encoded_bytes()).collect();
        let reply = match request(&words) {
            Ok(request) => self.runtime.block_on(self.client.call(&request))?,
            Err(error) => Value::Error(error),
        };
        Ok(self.print(&reply))
    }

    /// Prints a reply; errors go to standard error.
    fn print(&self, reply: &Value) -> Exit {
        let mut text = Vec::new();
        show::reply(reply, self.style, &mut text);
        if matches!(reply, Value::Error(_)) {
            // The exit status says it, too.
            let _ = io::stderr().write_all(&text);
            return Exit::Refused;
        }
        let mut output = io::stdout();
        printed(output.write_all(&text).and_then(|()| output.flush()))
    }
}

/// A command of these words, unless nothing would answer it.
fn request(words: &[&[u8]]) -> Result<Request, ServerError> {
    if let [client, reply, mode] = words
        && client.eq_ignore_ascii_case(b"CLIENT")
        && reply.eq_ignore_ascii_case(b"REPLY")
        && [&b"OFF"[..], b"SKIP"].iter().any(|mute| mode.eq_ignore_ascii_case(mute))
    {
        return Err(ServerError::from_text(
            b"ERR winter cli shows every reply, and does not send CLIENT REPLY OFF and SKIP",
        ));
    }
    Ok(Request::of_words(words))
}

async fn connect(address: &str) -> Result<Client, Error> {
    let options = Options { name: Some("winter-cli".to_owned()), ..Options::default() };
    Client::connect_with(address, &options).await
}

fn no_answer(error: &Error) -> Exit {
    complain(format_args!("winter cli: {error}"));
    if let Error::Connect { .. } = error {
        complain("Is winter running there? --host and --port say where to look.");
    }
    Exit::Unavailable
}
