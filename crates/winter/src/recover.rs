//! `winter recover`: goes on with what is left after a majority was lost.

use std::ffi::OsString;
use std::io::{self, BufRead, IsTerminal, Write};
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::time::timeout;
use winter_server::config::environment;

use crate::exit::Exit;
use crate::{arguments, complain, say};

/// Nodes that do not answer are waited for.
const ANSWER_MAX: Duration = Duration::from_secs(90);
const PATH: &str = "/recover";

type Answer = Result<(StatusCode, String), String>;

/// Shows what would be lost, and does it once somebody says so.
pub(crate) fn run(args: &[OsString]) -> Exit {
    let matches = match arguments::parse(arguments::recover(), args) {
        Ok(matches) => matches,
        Err(exit) => return exit,
    };
    let address = match arguments::http_address(&matches, &environment()) {
        Ok(address) => address,
        Err(exit) => return exit,
    };
    let wanted = matches.get_one::<String>("plan").map(String::as_str);
    let shown = match ask(&address, Method::GET, PATH) {
        Ok((StatusCode::OK, text)) => text,
        Ok((_, why)) => return refused(&why),
        Err(why) => return unreachable(&address, &why),
    };
    let printed = say(&shown);
    let Some(plan) = shown.lines().find_map(|line| line.strip_prefix("plan ")) else {
        return printed;
    };
    if printed != Exit::Good {
        return printed;
    }
    match wanted {
        Some(wanted) if wanted == plan => {}
        Some(_) => {
            return refused("the plan has another name now: look at it, and name this one\n");
        }
        None if !is_agreed(plan) => return Exit::Good,
        None => {}
    }
    match ask(&address, Method::POST, &format!("{PATH}/{plan}")) {
        Ok((StatusCode::OK, text)) => say(&text),
        Ok((_, why)) => refused(&why),
        Err(why) => unreachable(&address, &why),
    }
}

/// Whether somebody at a terminal says yes; elsewhere, says how it is done.
fn is_agreed(plan: &str) -> bool {
    complain(
        "\nNothing was done. Nodes that are lost must be stopped for good before the others go\n\
         on: what they still answer would be known to nobody else.",
    );
    if !io::stdin().is_terminal() {
        complain(format_args!("To do it: winter recover --plan {plan}"));
        return false;
    }
    // Where it cannot be read, nobody types it.
    let _ = write!(io::stderr(), "Type the plan's name to do it: ");
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).is_ok() && line.trim() == plan
}

fn refused(why: &str) -> Exit {
    complain(format_args!("winter recover: {}", why.trim_end()));
    Exit::Refused
}

fn unreachable(address: &str, why: &str) -> Exit {
    complain(format_args!("winter recover: {address} does not answer: {why}"));
    complain("--host and --http-port say which node to ask: one that is left.");
    Exit::Unavailable
}

/// What a node answers, or why it does not.
fn ask(address: &str, method: Method, path: &str) -> Answer {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let asked = timeout(ANSWER_MAX, exchange(address, method, path)).await;
        asked.map_err(|_| "it takes too long".to_owned())?.map_err(|error| error.to_string())
    })
}

async fn exchange(
    address: &str,
    method: Method,
    path: &str,
) -> Result<(StatusCode, String), Box<dyn std::error::Error>> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // What goes wrong with it is what the exchange fails with.
    tokio::spawn(connection);
    let request = Request::builder().method(method).uri(path).header(HOST, address);
    let response = sender.send_request(request.body(Empty::<Bytes>::new())?).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}
