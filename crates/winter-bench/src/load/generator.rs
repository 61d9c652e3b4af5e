//! The loop that drives every connection of a load.

use std::io;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use super::connection::{Connection, Progress};
use super::pacing::{KeySource, Pacer, Turn};
use super::plan::LoadPlan;
use super::report::{LoadError, LoadReport};
use crate::wire::{ReplyScanner, RequestEncoder};

/// Bytes read from a socket at once, at least.
const INBOX_LEN_MIN: usize = 256 * 1024;

/// Events taken from the system at once.
const EVENTS_MAX: usize = 512;

/// How long the loop sleeps at most while connections wait for the rate.
const PACING_TICK: Duration = Duration::from_millis(1);

/// How long the loop sleeps at most otherwise, to notice a server that does not answer.
const PATIENCE_TICK: Duration = Duration::from_millis(500);

/// A load whose connections are open and that has sent nothing yet.
#[derive(Debug)]
pub struct Load {
    poll: Poll,
    connections: Vec<Connection>,
    /// Connections without a batch, waiting for the rate.
    parked: Vec<usize>,
    waiting: usize,
    encoder: RequestEncoder,
    scanner: ReplyScanner,
    keys: KeySource,
    plan: LoadPlan,
    inbox: Vec<u8>,
    batch: Vec<u8>,
    report: LoadReport,
}

impl Load {
    /// Opens the plan's connections.
    ///
    /// # Errors
    /// If the plan makes no sense, or the server does not accept.
    pub fn connect(plan: &LoadPlan) -> Result<Self, LoadError> {
        plan.validate()?;
        let poll = Poll::new().map_err(LoadError::io("asking for a poll"))?;
        let mut connections = Vec::with_capacity(plan.connections);
        for index in 0..plan.connections {
            let mut connection = Connection::open(plan.target_of(index))?;
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry()
                .register(&mut connection.stream, Token(index), interest)
                .map_err(LoadError::io("registering a socket"))?;
            connections.push(connection);
        }
        let (dialect, operation) = (plan.dialect, plan.operation);
        let expires = plan.lifetime.is_some();
        let scanner = ReplyScanner::new(dialect, operation, plan.value_len);
        Ok(Self {
            poll,
            connections,
            parked: Vec::new(),
            waiting: 0,
            encoder: RequestEncoder::new(dialect, operation, &plan.tables, plan.value_len, expires),
            keys: KeySource::new(plan),
            plan: plan.clone(),
            inbox: vec![0; INBOX_LEN_MIN.max(2 * scanner.expected_len())],
            scanner,
            batch: Vec::new(),
            report: LoadReport::new(),
        })
    }

    /// Sends batches until the plan is done and every reply is here.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn run(mut self) -> Result<LoadReport, LoadError> {
        let started = Instant::now();
        let mut pacer = Pacer::new(&self.plan, started);
        for index in 0..self.connections.len() {
            self.take_turn(index, &mut pacer)?;
        }
        let mut events = Events::with_capacity(EVENTS_MAX);
        let mut heard_at = Instant::now();
        while self.waiting > 0 || !self.parked.is_empty() {
            self.wait(&mut events)?;
            if !events.is_empty() {
                heard_at = Instant::now();
            } else if self.waiting > 0 && heard_at.elapsed() > self.plan.patience {
                return Err(LoadError::Silent(self.plan.patience));
            }
            for event in &events {
                self.serve(event.token().0, &mut pacer)?;
            }
            for index in std::mem::take(&mut self.parked) {
                self.take_turn(index, &mut pacer)?;
            }
        }
        self.report.elapsed = started.elapsed();
        Ok(self.report)
    }

    fn wait(&mut self, events: &mut Events) -> Result<(), LoadError> {
        let tick = if self.parked.is_empty() { PATIENCE_TICK } else { PACING_TICK };
        match self.poll.poll(events, Some(tick)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            result => result.map_err(LoadError::io("polling")),
        }
    }

    /// Moves a connection on after an event on its socket.
    fn serve(&mut self, index: usize, pacer: &mut Pacer) -> Result<(), LoadError> {
        let connection = &mut self.connections[index];
        if !connection.is_waiting() {
            return Ok(());
        }
        connection.flush()?;
        let progress = connection.receive(&self.scanner, &mut self.inbox, &mut self.report)?;
        if progress == Progress::Done {
            self.waiting -= 1;
            self.take_turn(index, pacer)?;
        }
        Ok(())
    }

    /// Gives an idle connection its next batch, if one is due.
    fn take_turn(&mut self, index: usize, pacer: &mut Pacer) -> Result<(), LoadError> {
        let now = Instant::now();
        match pacer.turn(now) {
            Turn::Finish => {}
            Turn::Park => self.parked.push(index),
            Turn::Send(requests) => {
                self.batch.clear();
                for _ in 0..requests {
                    let (key, lifetime) = (self.keys.next_key(), self.keys.next_lifetime(now));
                    self.encoder.encode(&mut self.batch, key, lifetime);
                }
                self.waiting += 1;
                self.connections[index].send(&self.batch, requests, now)?;
            }
        }
        Ok(())
    }
}
