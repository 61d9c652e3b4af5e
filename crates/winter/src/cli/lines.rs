//! Lines of standard input, pipelined: each is sent as soon as it is read, and
//! replies are printed in the order of the lines.

use std::io::{self, BufRead, BufWriter, Write};
use std::time::Duration;

use tokio::sync::mpsc;
use winter_client::{Client, Error, Pending, Request, ServerError, Value};
use winter_core::protocol::line;

use super::Node;
use super::show::{self, Style};
use crate::exit::Exit;
use crate::printed;

/// Lines that may be under way.
const UNANSWERED_MAX: usize = 1_024;
/// How long a reply may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a line came to.
enum Sent {
    /// A reply is to come.
    Pending(Pending),
    /// It was no command; this is why.
    Not(ServerError),
}

/// Sends every line until the input ends.
pub(super) fn run(node: &Node) -> Result<Exit, Error> {
    let (into, lines) = mpsc::channel(UNANSWERED_MAX);
    // The thread ends with the input, or when nobody takes its lines.
    std::thread::spawn(move || read(io::stdin().lock(), &into));
    let (sent, replies) = mpsc::channel(UNANSWERED_MAX);
    node.runtime.block_on(async {
        let (sending, printed) =
            tokio::join!(send(&node.client, lines, sent), print(replies, node.style));
        sending.and(printed)
    })
}

fn read(mut input: impl BufRead, lines: &mpsc::Sender<Vec<u8>>) {
    loop {
        let mut line = Vec::new();
        match input.read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let line = strip_end(&line);
        if !line.is_empty() && lines.blocking_send(line.to_vec()).is_err() {
            return;
        }
    }
}

fn strip_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

async fn send(
    client: &Client,
    mut lines: mpsc::Receiver<Vec<u8>>,
    sent: mpsc::Sender<Sent>,
) -> Result<(), Error> {
    loop {
        // Nobody waits for a line whose reply cannot be printed any more.
        let line = tokio::select! {
            line = lines.recv() => line,
            () = sent.closed() => None,
        };
        let Some(line) = line else { return Ok(()) };
        let outcome = match request(&line) {
            Ok(request) if request.is_empty() => continue,
            Ok(request) => Sent::Pending(client.send(&request).await?),
            Err(error) => Sent::Not(error),
        };
        if sent.send(outcome).await.is_err() {
            return Ok(());
        }
    }
}

/// A line as the command that the line dialect would make of it.
pub(super) fn request(line: &[u8]) -> Result<Request, ServerError> {
    match line::words(line) {
        Ok(words) => super::request(&words),
        Err(fault) => {
            let text = format!("{} {}", fault.kind.prefix(), fault.sentence);
            Err(ServerError::from_text(text.as_bytes()))
        }
    }
}

/// Prints replies in their order: the worst that any came to.
async fn print(mut sent: mpsc::Receiver<Sent>, style: Style) -> Result<Exit, Error> {
    let mut output = BufWriter::new(io::stdout());
    let (mut text, mut exit) = (Vec::new(), Exit::Good);
    while let Some(outcome) = sent.recv().await {
        let reply = match outcome {
            Sent::Not(error) => Value::Error(error),
            Sent::Pending(pending) => tokio::time::timeout(PATIENCE, pending.reply())
                .await
                .map_err(|_| Error::Timeout(PATIENCE))??,
        };
        if matches!(reply, Value::Error(_)) {
            exit = Exit::Refused;
        }
        text.clear();
        show::reply(&reply, style, &mut text);
        let written = output.write_all(&text);
        let flushed = if sent.is_empty() { output.flush() } else { Ok(()) };
        let outcome = written.and(flushed);
        if outcome.is_err() {
            return Ok(match printed(outcome) {
                Exit::Good => exit,
                failed => failed,
            });
        }
    }
    Ok(exit)
}
