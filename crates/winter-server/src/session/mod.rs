//! A session: one connection's life.
//!
//! Read, parse every complete command, run, one write. Buffers belong to the
//! thread and are lent for the length of a turn; a session keeps only what it
//! could not finish: half a command, or replies that the client has not read.
//! So an idle session holds next to nothing, and one that has nothing under way
//! can move to another thread.

pub mod clients;
mod ended;
mod far;
mod home;
pub mod info;
mod introspect;
mod observe;
mod output;
mod request_timer;
mod room;
mod server_commands;
mod subcommands;
pub mod turn;

pub use home::begin;

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, timeout};
use tokio_util::sync::WaitForCancellationFutureOwned;
use winter_core::command::Verb;
use winter_core::fault::Fault;

use crate::net::{self, Stream};
use crate::node::TableCache;
use crate::node::memory::{Pass, Reserved};
use crate::server::Shared;
use crate::stats::End;
use ended::Ended;
use home::Member;
use request_timer::RequestTimer;
use turn::{State, Turn, TurnEnd};

/// What a thread reads at once, in bytes.
const READ_BYTES: usize = 32 << 10;
/// How long a draining session waits for commands that are on their way.
const DRAIN_QUIET: Duration = Duration::from_millis(50);
/// How long a draining session goes on reading what comes.
const DRAIN_BUSY_MAX: Duration = Duration::from_millis(500);
/// How long a closing session waits for the client to read its last replies.
const LINGER: Duration = Duration::from_millis(500);

/// What sessions of one thread share.
struct Scratch {
    input: Box<[u8]>,
    /// Cleared by whoever borrows it: a session that broke or panicked in the
    /// middle of a turn has left replies here, and they are not the next one's.
    output: Vec<u8>,
    tables: TableCache,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch {
        input: vec![0; READ_BYTES].into_boxed_slice(),
        output: Vec::with_capacity(READ_BYTES),
        tables: TableCache::default(),
    });
}

/// One connection.
#[derive(Debug)]
pub struct Session {
    /// Goes first: who sees the connection closed finds the client gone.
    member: Member,
    stream: Stream,
    shared: Arc<Shared>,
    worker: usize,
    state: State,
    /// What came of a command that is not complete.
    input: Vec<u8>,
    /// How long the input must be for another look.
    input_needed: usize,
    /// Whether a command was done with since the request timer was looked at.
    progressed: bool,
    /// Bytes that had come when the node began to drain, and are still to be read.
    owed_bytes: u64,
    /// Whether the node stopped before the client had said all.
    is_cut_off: bool,
    /// Whether the last read filled the thread's buffer, so that more is waiting.
    read_full: bool,
    /// Whether a command or its bytes ended the session.
    closed_by_turn: bool,
    /// Replies that the client has not taken yet.
    output: Vec<u8>,
    /// Whether these wait for the turns of the thread's other sessions.
    holds: bool,
    /// Counts replies that are not in the output yet, or not counted there.
    reserved: Option<Reserved>,
    /// Held while a long command comes in for which there was no room.
    pass: Option<Pass>,
}

/// Why a session leaves its thread when nothing went wrong.
enum Left {
    /// It is over.
    Over,
    /// It belongs on another thread.
    ForHome,
}

/// What a session waits for between turns.
enum Event {
    /// Bytes came and were worked on.
    Turn(TurnEnd),
    /// The client will send no more.
    EndOfInput,
    /// The node is draining.
    Drain,
    /// A command took too long to arrive.
    RequestTimeout,
}

impl Session {
    /// A session on `stream`, run by the thread `worker`.
    const fn new(
        stream: Stream,
        shared: Arc<Shared>,
        worker: usize,
        state: State,
        member: Member,
    ) -> Self {
        Self {
            member,
            stream,
            shared,
            worker,
            state,
            input: Vec::new(),
            input_needed: 1,
            progressed: false,
            owed_bytes: 0,
            is_cut_off: false,
            read_full: false,
            closed_by_turn: false,
            output: Vec::new(),
            holds: false,
            reserved: None,
            pass: None,
        }
    }

    /// Serves the connection until either side ends it, or it goes on elsewhere.
    async fn run(mut self) {
        let client = self.state.client.address;
        match self.serve().await {
            Ok(Left::ForHome) => self.go_home(),
            Ok(Left::Over) => {
                self.shared.node.stats.count_end(self.good_end());
                self.close().await;
            }
            Err(ended) => {
                self.shared.node.stats.count_end(ended.kind());
                tracing::debug!(%client, reason = %ended, "a session ended");
                if ended.was_told() {
                    self.close().await;
                } else {
                    net::let_go(&self.stream);
                }
            }
        }
    }

    /// Why the session ended when nothing went wrong with the connection.
    fn good_end(&self) -> End {
        if self.closed_by_turn {
            let has_quit = self.state.client.last_verb() == Some(Verb::Quit);
            if has_quit { End::Quit } else { End::Protocol }
        } else if self.is_cut_off {
            End::CutOff
        } else if self.shared.drain.is_cancelled() {
            End::Drain
        } else {
            End::Client
        }
    }

    async fn serve(&mut self) -> Result<Left, Ended> {
        let mut drain = Box::pin(self.shared.drain.clone().cancelled_owned());
        let mut request_timer: Option<RequestTimer> = None;
        let mut draining_since: Option<Instant> = None;
        loop {
            let event = if let Some(since) = draining_since {
                self.last_event(since).await?
            } else if self.shared.is_draining() {
                // A client that always has more to say never lets the wait below come to it.
                Event::Drain
            } else {
                poll_fn(|cx| self.poll_event(cx, drain.as_mut(), request_timer.as_mut())).await?
            };
            let mut end = match event {
                Event::Turn(end) => end,
                Event::EndOfInput => return self.flush().await.map(|()| Left::Over),
                Event::RequestTimeout => {
                    let Some(timer) = &mut request_timer else { continue };
                    if !timer.extend(self.input.len()) {
                        return Err(self.refuse_half_request().await);
                    }
                    if timer.is_slow(self.input.len()) && self.others_wait() {
                        return Err(self.refuse_for_memory().await);
                    }
                    continue;
                }
                Event::Drain => {
                    draining_since = Some(Instant::now());
                    self.owed_bytes = net::unread_bytes(&self.stream);
                    continue;
                }
            };
            loop {
                self.flush().await?;
                match end {
                    TurnEnd::Close => {
                        self.closed_by_turn = true;
                        return Ok(Left::Over);
                    }
                    TurnEnd::NeedsInput(bytes) => {
                        self.input_needed = bytes;
                        break;
                    }
                    TurnEnd::Ask(asked) => {
                        end = match self.ask(asked).await {
                            Some(rest) => TurnEnd::Ask(rest),
                            None => self.turn_on_input(),
                        };
                    }
                    TurnEnd::AwaitRoom => {
                        self.state.refuses_long = !self.wait_for_room().await;
                        end = self.turn_on_input();
                        self.state.refuses_long = false;
                    }
                    TurnEnd::Yield => {
                        // Others have their turn before this client's next.
                        tokio::task::yield_now().await;
                        end = self.turn_on_input();
                    }
                }
            }
            if self.admit_input().await? {
                request_timer = None;
            }
            self.time_request(&mut request_timer);
            if self.is_away() && !self.is_midway() && draining_since.is_none() {
                return Ok(Left::ForHome);
            }
            if self.read_full {
                tokio::task::yield_now().await;
            }
        }
    }

    /// A draining session's next event. What had come when the drain began is worked
    /// on to its end; a client that always has more to say is cut off.
    async fn last_event(&mut self, since: Instant) -> Result<Event, Ended> {
        if self.owed_bytes == 0 && since.elapsed() > DRAIN_BUSY_MAX {
            self.is_cut_off = net::unread_bytes(&self.stream) > 0;
            return Ok(Event::EndOfInput);
        }
        match timeout(DRAIN_QUIET, poll_fn(|cx| self.poll_turn(cx))).await {
            Ok(event) => Ok(event?),
            Err(_) => Ok(Event::EndOfInput),
        }
    }

    fn poll_event(
        &mut self,
        cx: &mut Context<'_>,
        drain: Pin<&mut WaitForCancellationFutureOwned>,
        request_timer: Option<&mut RequestTimer>,
    ) -> Poll<io::Result<Event>> {
        if let Poll::Ready(event) = self.poll_turn(cx) {
            return Poll::Ready(event);
        }
        if drain.poll(cx).is_ready() {
            return Poll::Ready(Ok(Event::Drain));
        }
        if request_timer.is_some_and(|timer| timer.poll(cx).is_ready()) {
            return Poll::Ready(Ok(Event::RequestTimeout));
        }
        Poll::Pending
    }

    /// Reads what has come and runs it: a turn, within the thread's buffers.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Event>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(&mut scratch.input);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
            let length = buffer.filled().len();
            if length == 0 {
                return Poll::Ready(Ok(Event::EndOfInput));
            }
            self.read_full = length == READ_BYTES;
            self.owed_bytes = self.owed_bytes.saturating_sub(length as u64);
            self.shared.node.stats.worker(self.worker).bytes_in.add(length as u64);
            let Scratch { input, output, tables } = scratch;
            output.clear();
            let read = &input[..length];
            let end = if self.input.is_empty() {
                let (done, end) = self.turn(read, output, tables);
                self.input.extend_from_slice(&read[done..]);
                end
            } else {
                self.input.extend_from_slice(read);
                self.turn_on_kept_input(output, tables)
            };
            self.send_or_hold(output)?;
            Poll::Ready(Ok(Event::Turn(end)))
        })
    }

    /// A turn on input that was kept while the output was full.
    fn turn_on_input(&mut self) -> TurnEnd {
        SCRATCH.with_borrow_mut(|Scratch { output, tables, .. }| {
            output.clear();
            let end = self.turn_on_kept_input(output, tables);
            self.output.append(output);
            end
        })
    }

    fn turn_on_kept_input(&mut self, output: &mut Vec<u8>, tables: &mut TableCache) -> TurnEnd {
        if self.input.len() < self.input_needed {
            return TurnEnd::NeedsInput(self.input_needed);
        }
        let mut input = std::mem::take(&mut self.input);
        let (done, end) = self.turn(&input, output, tables);
        if done < input.len() {
            input.drain(..done);
            // A long command's buffer does not stay for the few bytes that came after it.
            if input.capacity() > READ_BYTES.max(4 * input.len()) {
                input.shrink_to_fit();
            }
            self.input = input;
        }
        self.input_needed = 1;
        end
    }

    fn turn(
        &mut self,
        input: &[u8],
        output: &mut Vec<u8>,
        tables: &mut TableCache,
    ) -> (usize, TurnEnd) {
        let has_room = !self.member.others_fill_buffers();
        let (shared, worker, state) = (&self.shared, self.worker, &mut self.state);
        let mut turn = Turn { shared, worker, tables, state, has_room };
        let (done, end) = turn.run(input, output);
        self.progressed |= done > 0;
        (done, end)
    }

    /// Starts or stops the time that a command has to arrive.
    fn time_request(&mut self, timer: &mut Option<RequestTimer>) {
        let has_progressed = std::mem::take(&mut self.progressed);
        if !self.is_midway() {
            *timer = None;
            return;
        }
        let begin = || RequestTimer::begin(self.shared.node.config.request_timeout);
        if has_progressed {
            *timer = None;
        }
        timer.get_or_insert_with(begin).look_soon_if_long(self.input.len());
    }

    /// Whether a part of a command has come.
    fn is_midway(&self) -> bool {
        !self.input.is_empty() || self.state.is_skipping()
    }

    async fn refuse_half_request(&mut self) -> Ended {
        let fault = Fault::protocol(format!(
            "a command took longer than {:?} to arrive",
            self.shared.node.config.request_timeout
        ));
        self.tell(&fault).await.err().unwrap_or(Ended::RequestTimeout)
    }

    async fn tell(&mut self, fault: &Fault) -> Result<(), Ended> {
        if let Some(dialect) = self.state.dialect {
            dialect.write(&fault.clone().into(), &mut self.output);
            self.flush().await?;
        }
        Ok(())
    }

    /// Says goodbye: the client reads its last replies before the connection is gone.
    async fn close(&mut self) {
        if self.stream.shutdown().await.is_err() {
            return;
        }
        let mut sink = [0; 1024];
        let drain = async { while matches!(self.stream.read(&mut sink).await, Ok(1..)) {} };
        // A client that goes on sending, or never closes, is not waited for.
        if timeout(LINGER, drain).await.is_err() {
            tracing::trace!("a client did not close its side in time");
        }
    }

    fn count_buffers(&mut self) {
        self.member.count_buffers(self.input.capacity() + self.output.capacity());
    }
}
