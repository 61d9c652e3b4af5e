//! Client libraries and tools as their users run them: each connects without a
//! word of complaint, and gets from this server what it promises of Redis.

mod handshakes;
mod node;
mod python;
mod redis_rs;
mod redis_tools;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long one client's script may run, on a machine that has much else to do.
const SCRIPT_MAX: Duration = Duration::from_secs(60);
const INSTALL: &str = "crates/winter/tests/clients/install.sh";

/// What a client left behind.
struct Ended {
    succeeded: bool,
    stdout: String,
    stderr: String,
}

/// A file of the clients' scripts.
fn script(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(path)
}

/// Where clients are installed, unless the environment names another folder.
#[expect(clippy::disallowed_methods, reason = "tests have no settings of their own")]
fn installed_in(variable: Option<&str>, folder: &str) -> PathBuf {
    let named = variable.and_then(std::env::var_os).map(PathBuf::from);
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/clients").join(folder);
    named.unwrap_or(own)
}

/// Fails, and says what to do, unless `library` is there.
#[track_caller]
fn assert_installed(library: &Path) {
    assert!(
        library.exists(),
        "{} is not there: install the client libraries with {INSTALL}",
        library.display()
    );
}

/// Runs `command`, gives it `input`, and waits for its end.
#[track_caller]
fn run(command: &mut Command, input: &str) -> Ended {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program} does not start: {error}; see {INSTALL}"));
    let stdout = read_whole(child.stdout.take().expect("it is piped"));
    let stderr = read_whole(child.stderr.take().expect("it is piped"));
    // A client that reads nothing may be gone already.
    let _ = child.stdin.take().expect("it is piped").write_all(input.as_bytes());
    let deadline = Instant::now() + SCRIPT_MAX;
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            break Some(status);
        }
        if Instant::now() > deadline {
            child.kill().expect("it still runs");
            break None;
        }
        thread::sleep(Duration::from_millis(5));
    };
    let stdout = stdout.join().expect("output is text");
    let stderr = stderr.join().expect("output is text");
    let Some(status) = status else {
        panic!("{program} did not end within {SCRIPT_MAX:?}\n{stdout}\n{stderr}")
    };
    Ended { succeeded: status.success(), stdout, stderr }
}

fn read_whole(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).expect("a pipe can be read");
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Runs a script that ends well and says nothing if all is well.
#[track_caller]
fn run_silent(command: &mut Command) {
    let ended = run(command, "");
    assert!(
        ended.succeeded && ended.stderr.is_empty() && ended.stdout.is_empty(),
        "{command:?} {}\n{}{}",
        if ended.succeeded { "complained" } else { "failed" },
        ended.stdout,
        ended.stderr
    );
}
