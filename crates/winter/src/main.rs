//! The one binary: serves.

use std::time::Duration;

use winter_core::store::Seed;
use winter_server::Server;
use winter_server::config::{Config, LogFormat};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() {
    let number = |name: &str, or: u64| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(or)
    };
    tracing_subscriber::fmt().json().with_writer(std::io::stderr).init();
    let config = Config {
        bind: [127, 0, 0, 1].into(),
        port: u16::try_from(number("RECEPTOR_PORT", 6060)).expect("a port"),
        http_port: None,
        threads: 2,
        memory_bytes_max: 4 << 30,
        value_bytes_max: 16 << 20,
        connections_max: 10_000,
        output_bytes_max: 64 << 20,
        request_timeout: Duration::from_secs(30),
        write_timeout: Duration::from_secs(60),
        drain_timeout: Duration::from_secs(10),
        slow_command: Some(Duration::from_millis(100)),
        log: "info".into(),
        log_format: LogFormat::Json,
    };
    let server = Server::start(config, Seed(1, 2)).expect("the ports are free");
    server.block_on(async { tokio::signal::ctrl_c().await.expect("signals can be caught") });
    server.stop();
}
