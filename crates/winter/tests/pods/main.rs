//! A cluster as Kubernetes makes it: each node on a host of its own, at an
//! address that it did not have before, which finds the others through a DNS
//! that may be late, stale or wrong. Machines are lost, and wires are cut.
//!
//! Each claim has a network of its own and waits for most of its time, for a DNS
//! or for what is lost to be given up, so many run side by side. They take root; where there is none, they say so and test
//! nothing. The gate makes that a failure.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod cuts;
mod forming;
mod image;
mod life;
#[path = "../cluster/load.rs"]
mod load;
mod names;
mod readme;
#[expect(dead_code, reason = "tables are made here as leaders come and go")]
#[path = "../cluster/watch.rs"]
mod watch;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use winter_sim::coverage::Coverage;
use winter_sim::workload::Options;
use winter_testkit::{Pods, PodsBuilder, Wire, eventually};

use crate::load::{Load, Manner, Nodes};
use crate::watch::{KEYS_FOR_ALL, Standing, ask_all, standing};

/// How long a cluster may take to hold a node for dead and to make up for it.
const REPLACED_MAX: Duration = Duration::from_secs(75);
/// How often it is asked how a cluster is.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Claims by their names.
macro_rules! claims {
    ($($claim:ident),+ $(,)?) => { &[$((stringify!($claim), $claim as fn())),+] };
}
use claims;

/// Checks claims at the same time, and tells which do not hold.
#[track_caller]
fn side_by_side(claims: &[(&'static str, fn())]) {
    let broken: Vec<&str> = std::thread::scope(|scope| {
        let check = |&(name, claim): &(&'static str, fn())| {
            let thread = std::thread::Builder::new().name(name.to_owned());
            let began = Instant::now();
            let check = move || {
                claim();
                eprintln!("{name}: {:?}", began.elapsed());
            };
            (name, thread.spawn_scoped(scope, check).unwrap())
        };
        let checks: Vec<_> = claims.iter().map(check).collect();
        let broken =
            checks.into_iter().filter_map(|(name, check)| check.join().err().map(|_| name));
        broken.collect()
    });
    assert!(broken.is_empty(), "broken: {broken:?}");
}

/// Pods of this package's binary. They are small: a group costs its heartbeats,
/// and in a build without optimisation these are dear.
fn winter() -> PodsBuilder {
    Pods::of(env!("CARGO_BIN_EXE_winter"))
        .set("WINTER_THREADS", 1)
        .set("WINTER_PARTITIONS", 4)
        .set("WINTER_LOG", "info,openraft=error")
}

/// The pods that run are one cluster and nobody else is of it, every partition is
/// led, and has as many replicas as there can be, on them: what the first pod says.
///
/// # Errors
/// What the pods say, if it is not so.
fn whole(pods: &Pods) -> Result<Standing, Vec<Standing>> {
    let seen: Vec<Standing> = pods.running().iter().map(|&n| standing(pods, n)).collect();
    let names: Vec<&String> = seen.iter().map(|of| &of.me).collect();
    let is_there = |node: &String| names.contains(&node);
    let replicas = seen.len().min(3);
    let is_whole = |of: &Standing| {
        of.cluster.len() == 32
            && of.cluster == seen[0].cluster
            && is_there(&of.meta_leader)
            && of.nodes.len() == names.len()
            && of.nodes.iter().all(|(node, state)| state == "up" && is_there(node))
            && of.leaders.iter().all(is_there)
            && of.replicas.iter().all(|held| held.len() == replicas && held.iter().all(is_there))
    };
    if seen.iter().all(is_whole) { Ok(seen[0].clone()) } else { Err(seen) }
}

/// Waits until the pods are one whole cluster: its id.
#[track_caller]
fn one(pods: &Pods) -> String {
    becomes_whole(pods).cluster
}

/// Waits until the pods are one whole cluster: what they say.
#[track_caller]
fn becomes_whole(pods: &Pods) -> Standing {
    let deadline = Instant::now() + REPLACED_MAX;
    loop {
        match whole(pods) {
            Ok(seen) => return seen,
            Err(seen) => assert!(Instant::now() < deadline, "not one whole cluster: {seen:#?}"),
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Clients at all pods that run, and the list of these.
#[track_caller]
fn load(pods: &Pods, manner: Manner, seed: u64) -> (Load, Nodes) {
    let nodes = Arc::new(Mutex::new(addresses(pods)));
    (Load::start(Arc::clone(&nodes), manner, Options { seed, ..Options::default() }), nodes)
}

fn addresses(pods: &Pods) -> Vec<SocketAddr> {
    pods.running().into_iter().map(|number| pods.address(number)).collect()
}

#[track_caller]
fn judge(load: Load) {
    let mut coverage = Coverage::default();
    coverage.require("ADD added", 1);
    load.judge(&mut coverage);
}

/// Makes a table. On a machine that has much else to do, leaders may change meanwhile.
#[track_caller]
fn make(pods: &Pods, table: &str) {
    let mut wire = pods.connect(pods.running()[0]);
    eventually("the table is there", || {
        let reply = wire.ask(&format!("CREATE {table}"));
        assert!(!reply.starts_with("error internal"), "{reply}");
        matches!(&*reply, "created" | "already created").then_some(())
    });
}

/// Writes what has to be there in the end.
#[track_caller]
fn keep(pods: &Pods) {
    make(pods, "kept");
    let mut wire = pods.connect(pods.running()[0]);
    eventually("all is written", || {
        let replies = ask_all(&mut wire, |n| format!("PUTNEW kept k{n} v{n}"));
        replies.iter().all(|reply| reply == "ok" || reply.starts_with("exists ")).then_some(())
    });
}

/// Every pod reads all that was kept.
#[track_caller]
fn is_kept(pods: &Pods) {
    for number in pods.running() {
        let mut wire = pods.connect(number);
        let replies = eventually("all is read", || {
            let replies = ask_all(&mut wire, |n| format!("GET kept k{n}"));
            (!replies.iter().any(|reply| reply.starts_with("error unavailable: ")))
                .then_some(replies)
        });
        let is_kept = |(n, reply): (usize, &String)| *reply == format!("v{n}");
        assert!(replies.iter().enumerate().all(is_kept), "{replies:?}");
    }
}

/// Writes to every partition until all of them take it.
#[track_caller]
fn until_all_is_written(wire: &mut Wire, table: &str) {
    eventually("every partition is written to", || {
        let replies = ask_all(wire, |n| format!("PUT {table} k{n} v"));
        assert_eq!(replies.len(), KEYS_FOR_ALL);
        replies.iter().all(|reply| reply.starts_with("ok ")).then_some(())
    });
}
