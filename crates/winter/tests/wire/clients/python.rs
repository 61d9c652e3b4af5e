//! Python's libraries, old and new, in both versions of the protocol.

use std::process::Command;

use super::{assert_installed, installed_in, run_silent, script};
use crate::winter;

/// Runs a script with the libraries of `set`; any warning fails it.
#[track_caller]
fn python(set: &str, library: &str, file: &str, arguments: &[&str]) {
    let server = winter().start();
    let folder = installed_in(Some("WINTER_PY_CLIENTS"), "python").join(set);
    assert_installed(&folder.join(library));
    let port = server.address().port().to_string();
    let arguments = arguments.iter().map(|a| if *a == "PORT" { port.as_str() } else { a });
    run_silent(
        Command::new("python3")
            .args(["-B", "-W", "error"])
            .arg(script("python").join(file))
            .args(arguments)
            .env("PYTHONPATH", folder),
    );
}

#[test]
fn redis_py_8_resp3() {
    python("current", "redis", "redis_py.py", &["redis", "PORT", "3"]);
}

#[test]
fn redis_py_8_resp2() {
    python("current", "redis", "redis_py.py", &["redis", "PORT", "2"]);
}

#[test]
fn redis_py_7_resp3() {
    python("previous", "redis", "redis_py.py", &["redis", "PORT", "3"]);
}

#[test]
fn redis_py_7_resp2() {
    python("previous", "redis", "redis_py.py", &["redis", "PORT", "2"]);
}

#[test]
fn redis_py_6_resp3() {
    python("earlier", "redis", "redis_py.py", &["redis", "PORT", "3"]);
}

#[test]
fn redis_py_6_resp2() {
    python("earlier", "redis", "redis_py.py", &["redis", "PORT", "2"]);
}

#[test]
fn redis_py_5_resp3() {
    python("older", "redis", "redis_py.py", &["redis", "PORT", "3"]);
}

#[test]
fn redis_py_5_resp2() {
    python("older", "redis", "redis_py.py", &["redis", "PORT", "2"]);
}

#[test]
fn valkey_py() {
    python("current", "valkey", "redis_py.py", &["valkey", "PORT", "2"]);
}

#[test]
fn coredis() {
    python("current", "coredis", "coredis_client.py", &["PORT"]);
}

#[test]
fn valkey_glide_resp3() {
    python("current", "glide", "glide_client.py", &["PORT", "3"]);
}

#[test]
fn valkey_glide_resp2() {
    python("current", "glide", "glide_client.py", &["PORT", "2"]);
}
