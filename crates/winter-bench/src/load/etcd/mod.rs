//! The same closed loop against etcd: as many clients, each on a connection of its own, each with
//! a batch of calls under way and the next one when all are answered.
//!
//! Calls are gRPC over HTTP/2, written down to what the protocol asks for, so that this side takes
//! no more from the servers that it shares a machine with than it must. Reads are linearizable,
//! which is etcd's default.

mod client;
mod messages;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::runtime::{Builder, Runtime};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{sleep, timeout};

use self::client::{Client, Refusal};
use super::pacing::{KeySource, Pacer, Turn};
use super::plan::LoadPlan;
use super::report::{LoadError, LoadReport};
use crate::keys;
use crate::wire::{Operation, Reply, VALUE_BYTE};

/// How long a client sleeps that waits for the rate.
const PACING_TICK: Duration = Duration::from_millis(1);

/// A load on etcd whose connections are open and that has sent nothing yet.
#[derive(Debug)]
pub struct EtcdLoad {
    runtime: Runtime,
    tasks: LocalSet,
    clients: Vec<Client>,
    plan: LoadPlan,
}

/// What all clients of a load share.
#[derive(Debug)]
struct Shared {
    pacer: Pacer,
    keys: KeySource,
    report: LoadReport,
    value: Bytes,
    operation: Operation,
    patience: Duration,
}

impl EtcdLoad {
    /// Opens the plan's connections. Its dialect, its tables and its lifetimes mean nothing here.
    ///
    /// # Errors
    /// If the plan makes no sense, or a member does not accept.
    pub fn connect(plan: &LoadPlan) -> Result<Self, LoadError> {
        plan.validate()?;
        let (runtime, tasks) = (runtime()?, LocalSet::new());
        let mut clients = Vec::with_capacity(plan.connections);
        for index in 0..plan.connections {
            let connected = tasks.block_on(&runtime, Client::connect(plan.target_of(index)));
            clients.push(connected?);
        }
        Ok(Self { runtime, tasks, clients, plan: plan.clone() })
    }

    /// Calls until the plan is done and everything is answered.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn run(self) -> Result<LoadReport, LoadError> {
        let started = Instant::now();
        let shared = Rc::new(RefCell::new(Shared {
            pacer: Pacer::new(&self.plan, started),
            keys: KeySource::new(&self.plan),
            report: LoadReport::new(),
            value: Bytes::from(vec![VALUE_BYTE; self.plan.value_len]),
            operation: self.plan.operation,
            patience: self.plan.patience,
        }));
        self.tasks.block_on(&self.runtime, async {
            let mut running = JoinSet::new();
            for client in self.clients {
                running.spawn_local(drive(client, Rc::clone(&shared)));
            }
            while let Some(ended) = running.join_next().await {
                ended.map_err(|error| LoadError::Call(error.to_string()))??;
            }
            Ok::<(), LoadError>(())
        })?;
        let mut report = shared.borrow().report.clone();
        report.elapsed = started.elapsed();
        Ok(report)
    }
}

/// Which of these members leads: its place among them.
///
/// # Errors
/// If a member does not answer, or none of them leads.
pub fn leader_of(members: &[std::net::SocketAddr]) -> Result<usize, LoadError> {
    let (runtime, tasks) = (runtime()?, LocalSet::new());
    for (place, &member) in members.iter().enumerate() {
        let leads =
            tasks.block_on(&runtime, async { Client::connect(member).await?.leads().await })?;
        if leads {
            return Ok(place);
        }
    }
    Err(LoadError::Call("no member leads".to_owned()))
}

fn runtime() -> Result<Runtime, LoadError> {
    Builder::new_current_thread().enable_all().build().map_err(LoadError::io("making a runtime"))
}

/// One client's batches, to the end of the load.
async fn drive(client: Client, shared: Rc<RefCell<Shared>>) -> Result<(), LoadError> {
    loop {
        let now = Instant::now();
        let turn = shared.borrow_mut().pacer.turn(now);
        match turn {
            Turn::Finish => return Ok(()),
            Turn::Park => sleep(PACING_TICK).await,
            Turn::Send(requests) => {
                batch(&client, requests, &shared).await?;
                shared.borrow_mut().report.record_batch(now.elapsed());
            }
        }
    }
}

async fn batch(
    client: &Client,
    requests: usize,
    shared: &Rc<RefCell<Shared>>,
) -> Result<(), LoadError> {
    let mut calls = JoinSet::new();
    for _ in 0..requests {
        let (client, shared) = (client.clone(), Rc::clone(shared));
        calls.spawn_local(one(client, shared));
    }
    let patience = shared.borrow().patience;
    while let Some(ended) =
        timeout(patience, calls.join_next()).await.map_err(|_| LoadError::Silent(patience))?
    {
        ended.map_err(|error| LoadError::Call(error.to_string()))??;
    }
    Ok(())
}

async fn one(client: Client, shared: Rc<RefCell<Shared>>) -> Result<(), LoadError> {
    let (operation, key, value) = {
        let mut shared = shared.borrow_mut();
        let key = Bytes::copy_from_slice(&keys::key(shared.keys.next_key()));
        (shared.operation, key, shared.value.clone())
    };
    let value_len = value.len();
    let done = match operation {
        Operation::PutNew => client.put(key, value).await.map(|()| Reply::Stored),
        Operation::Get => client.range(key).await.map(|found| match found {
            Some(len) if len == value_len => Reply::Hit,
            _ => Reply::Miss,
        }),
    };
    let report = &mut shared.borrow_mut().report;
    match done {
        Ok(reply) => report.count(reply, b""),
        Err(Refusal::Status(status)) => report.count(Reply::Error, status.as_bytes()),
        Err(Refusal::Broken(error)) => return Err(error),
    }
    Ok(())
}

impl From<h2::Error> for LoadError {
    fn from(error: h2::Error) -> Self {
        match error.into_io() {
            Some(source) => Self::Io { what: "talking to etcd", source },
            None => Self::Call("the connection failed".to_owned()),
        }
    }
}
