//! Winter's one binary: `winter` serves; `winter cli` talks to a node, `winter
//! bench` loads one, `winter check-config` says what the settings come to, `winter
//! recover` goes on after a majority was lost.

mod arguments;
mod bench;
mod check;
mod cli;
mod exit;
mod recover;
mod serve;

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use exit::Exit;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    run(&args).into()
}

/// What the first argument asks for; flags alone ask to serve.
fn run(args: &[OsString]) -> Exit {
    let (first, rest) = match args.split_first() {
        Some((first, rest)) => (first.to_string_lossy(), rest),
        None => return serve::run(&[]),
    };
    match &*first {
        "cli" => cli::run(rest),
        "bench" => bench::run(rest),
        "recover" => recover::run(rest),
        "serve" => with_settings(rest, serve::run),
        "check-config" => with_settings(rest, check::run),
        "help" => help(rest),
        _ if first.starts_with('-') => with_settings(args, serve::run),
        word => {
            complain(format_args!(
                "winter has no command '{}'; see winter --help",
                word.escape_debug()
            ));
            Exit::Usage
        }
    }
}

/// Runs a command whose arguments are settings, unless help or the version is asked for.
fn with_settings(args: &[OsString], command: fn(&[String]) -> Exit) -> Exit {
    let asks = |names: [&str; 2]| args.iter().any(|arg| names.iter().any(|name| arg == name));
    if asks(["--help", "-h"]) {
        return help(&[]);
    }
    if asks(["--version", "-V"]) {
        return say(&format!("winter {}\n", env!("CARGO_PKG_VERSION")));
    }
    let args: Vec<String> = args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
    command(&args)
}

/// `winter help`, or `winter help COMMAND`.
fn help(topic: &[OsString]) -> Exit {
    match topic.first().map(|topic| topic.to_string_lossy()).as_deref() {
        Some("cli") => cli::run(&["--help".into()]),
        Some("bench") => bench::run(&["--help".into()]),
        Some("recover") => recover::run(&["--help".into()]),
        _ => {
            let mut help = arguments::winter();
            printed(help.print_help())
        }
    }
}

/// Says to standard error what is wrong. Where that cannot be written, on a disk
/// that is full for one, the exit status says it alone.
fn complain(what: impl Display) {
    let _ = writeln!(io::stderr(), "{what}");
}

/// Prints to standard output.
fn say(text: &str) -> Exit {
    let mut output = io::stdout();
    printed(output.write_all(text.as_bytes()).and_then(|()| output.flush()))
}

/// What became of printing. Whoever closes standard output early has read enough.
fn printed(outcome: io::Result<()>) -> Exit {
    match outcome {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            complain(format_args!("winter: standard output cannot be written: {error}"));
            Exit::System
        }
        _ => Exit::Good,
    }
}
