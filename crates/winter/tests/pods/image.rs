//! The binary with what the image gives it, and nothing else.

use std::net::SocketAddr;

use winter_testkit::{Network, Server, Wire};

/// What the last stage of the Dockerfile sets in the environment.
fn environment() -> Vec<(String, String)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Dockerfile");
    let file = std::fs::read_to_string(path).unwrap();
    let (_, last) = file.rsplit_once("\nFROM ").unwrap();
    let settings = last.lines().filter_map(|line| line.strip_prefix("ENV "));
    let pair = |setting: &str| {
        let (name, value) = setting.split_once('=').unwrap();
        (name.to_owned(), value.to_owned())
    };
    settings.flat_map(str::split_whitespace).map(pair).collect()
}

#[test]
fn a_container_is_reached_from_other_hosts() {
    let Some(network) = Network::lay() else { return };
    let host = network.host();
    // As the README runs it: with a port, and what the image says.
    let container = Server::of(env!("CARGO_BIN_EXE_winter"))
        .by_way_of(host.before_a_command("winter"))
        .set("RECEPTOR_PORT", 1010)
        .set("WINTER_HTTP_PORT", 6061);
    let container =
        environment().iter().fold(container, |container, (name, value)| container.set(name, value));
    let _server = container.start();
    let at = |port| SocketAddr::from((host.address(), port));
    Wire::connect(at(1010)).exchange("PING\n", "pong\n");
    let mut probe = Wire::connect(at(6061));
    probe.exchange("GET /readyz HTTP/1.1\r\nHost: winter\r\n\r\n", "HTTP/1.1 200 OK\r\n");
}
