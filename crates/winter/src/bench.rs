//! `winter bench`: a load, and what came of it.

use std::ffi::OsString;
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use clap::ArgMatches;
use tokio::runtime::{Builder, Runtime};
use winter_bench::load::{self, KeyChoice, LoadPlan, LoadReport};
use winter_bench::wire::{Dialect, Operation};
use winter_client::{Client, Error, TableOptions};
use winter_server::config::environment;

use crate::exit::Exit;
use crate::{arguments, complain, say};

/// Runs a load against a node and prints what came of it.
pub(crate) fn run(args: &[OsString]) -> Exit {
    let matches = match arguments::parse(arguments::bench(), args) {
        Ok(matches) => matches,
        Err(exit) => return exit,
    };
    let (host, port) = match arguments::host_and_port(&matches, &environment()) {
        Ok(target) => target,
        Err(exit) => return exit,
    };
    let node = match Node::find(&host, port) {
        Ok(node) => node,
        Err(reason) => {
            complain(format_args!("winter bench: {reason}"));
            return Exit::Unavailable;
        }
    };
    match node.bench(&matches) {
        Ok(exit) => exit,
        Err(reason) => {
            complain(format_args!("winter bench: {reason}"));
            Exit::Refused
        }
    }
}

/// The node under load.
struct Node {
    address: SocketAddr,
    runtime: Runtime,
}

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

impl Node {
    fn find(host: &str, port: u16) -> Outcome<Self> {
        let no_address = || format!("{host} has no address");
        let address = (host, port).to_socket_addrs()?.next().ok_or_else(no_address)?;
        let node = Self { address, runtime: Builder::new_current_thread().enable_all().build()? };
        node.runtime.block_on(node.connect())?;
        Ok(node)
    }

    /// A connection for a moment: under load nobody would turn to it.
    async fn connect(&self) -> Result<Client, Error> {
        Client::connect(&self.address.to_string()).await
    }

    /// Loads a table of its own, which is dropped whatever becomes of the load.
    fn bench(&self, matches: &ArgMatches) -> Outcome<Exit> {
        let table = format!("winter-bench-{}", std::process::id());
        self.runtime.block_on(async {
            self.connect().await?.create(&table, TableOptions::default()).await
        })?;
        let result = loads(&plan(matches, self.address, &table));
        self.runtime.block_on(async { self.connect().await?.drop_table(&table).await })?;
        Ok(result?)
    }
}

/// Writes every key, then reads them at random, unless nothing can be said of it.
fn loads(plan: &LoadPlan) -> Result<Exit, load::LoadError> {
    let printed = say(&format!(
        "{} connections, {} in a batch, values of {} bytes, table {}\n\n{HEADER}",
        plan.connections, plan.depth, plan.value_len, plan.tables[0]
    ));
    if printed != Exit::Good {
        return Ok(printed);
    }
    let KeyChoice::Uniform { count } = plan.keys else { unreachable!("the plan reads at random") };
    let fill = LoadPlan {
        operation: Operation::PutNew,
        keys: KeyChoice::Sequential { first: 0 },
        requests_max: Some(count),
        duration: Duration::MAX,
        ..plan.clone()
    };
    say(&row("PUTNEW", &load::run(&fill)?.check()?));
    Ok(say(&row("GET", &load::run(plan)?.check()?)))
}

fn plan(matches: &ArgMatches, address: SocketAddr, table: &str) -> LoadPlan {
    let number = |name| *matches.get_one::<u64>(name).expect("it has a default");
    let size = |name| usize::try_from(number(name)).expect("at most 10^9");
    LoadPlan {
        connections: size("connections"),
        depth: size("pipeline"),
        keys: KeyChoice::Uniform { count: number("keys") },
        tables: vec![table.to_owned()],
        value_len: size("value-size"),
        rate_max: matches.get_one("rate").copied(),
        duration: Duration::from_secs(number("seconds")),
        ..LoadPlan::new(address, Dialect::WinterResp, Operation::Get)
    }
}

const HEADER: &str = "        requests  requests/s    p50 ms    p99 ms  p99.9 ms    max ms\n";

fn row(name: &str, report: &LoadReport) -> String {
    let millis = |quantile| report.latency_at(quantile).as_secs_f64() * 1e3;
    format!(
        "{name:6}{:10}{:12.0}{:10.3}{:10.3}{:10.3}{:10.3}\n",
        report.requests,
        report.requests_per_second(),
        millis(0.5),
        millis(0.99),
        millis(0.999),
        millis(1.0),
    )
}
