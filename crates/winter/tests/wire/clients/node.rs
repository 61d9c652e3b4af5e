//! Node.js's libraries, old and new, in both versions of the protocol.

use std::process::Command;

use super::{assert_installed, installed_in, run_silent, script};
use crate::winter;

/// Runs a script with `package`; any warning fails it.
#[track_caller]
fn node(file: &str, package: &str, more: &[&str]) {
    let server = winter().start();
    let modules = installed_in(None, "node/node_modules");
    assert_installed(&modules.join(package));
    run_silent(
        Command::new("node")
            .arg("--throw-deprecation")
            .arg(script("node").join(file))
            .arg(package)
            .arg(server.address().port().to_string())
            .args(more)
            .env("NODE_PATH", modules),
    );
}

#[test]
fn ioredis_6() {
    node("ioredis.js", "ioredis", &[]);
}

#[test]
fn ioredis_5() {
    node("ioredis.js", "ioredis-5", &[]);
}

#[test]
fn iovalkey() {
    node("ioredis.js", "iovalkey", &[]);
}

#[test]
fn node_redis_6() {
    node("node-redis.js", "redis", &[]);
}

#[test]
fn node_redis_6_resp2() {
    node("node-redis.js", "redis", &["2"]);
}

#[test]
fn node_redis_5_resp2() {
    node("node-redis.js", "redis-5", &["2"]);
}

#[test]
fn node_redis_5_resp3() {
    node("node-redis.js", "redis-5", &["3"]);
}

#[test]
fn node_redis_4() {
    node("node-redis.js", "redis-4", &[]);
}
