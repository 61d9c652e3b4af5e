//! One turn of a session: every complete command that has come is parsed and
//! run, and the replies stand in one buffer. No I/O happens here.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use winter_core::command::{Command, KeyCommand, ServerCommand, Verb};
use winter_core::fault::{Fault, Kind};
use winter_core::protocol::{Dialect, Limits, Parsed, Reader, Skip, Step};
use winter_core::reply::Reply;
use winter_core::time::Timestamp;

use super::clients::Client;
use super::far::{Asked, Far};
use super::observe::{Observed, Pass};
use super::server_commands::ServerContext;
use crate::node::{
    GROUP_MAX, GroupEnd, KeyRun, LongReplies, Node, OUTPUT_SOFT_MAX, TableCache, faults,
};
use crate::server::Shared;
use crate::stats::{Outcome, WorkerStats};

/// A turn goes on to the next commands for so long; then other sessions have theirs.
const TURN_MAX: Duration = Duration::from_millis(1);
/// Lines of another protocol's bytes that a session may begin with.
const JUNK_LINES_MAX: u32 = 3;

/// Whether replies are sent, as `CLIENT REPLY` sets it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Replies {
    /// Each.
    #[default]
    On,
    /// None.
    Off,
    /// Not this command's (it is `CLIENT REPLY SKIP` itself), nor the next one's.
    SkipNext,
    /// Not this command's.
    Skip,
}

/// What a session remembers between turns, beside its buffers.
#[derive(Debug)]
pub struct State {
    /// Who it is with.
    pub client: Arc<Client>,
    /// How it speaks, once its first byte has come.
    pub dialect: Option<Dialect>,
    /// Whether replies are sent.
    pub replies: Replies,
    /// How many commands the last turn answered.
    pub answered: usize,
    /// Whether a long reply has waited for room in vain, and is refused.
    pub(super) refuses_long: bool,
    skip: Option<Skip>,
    scanned: usize,
    junk_lines: u32,
}

impl State {
    /// A session that has said nothing yet.
    #[must_use]
    pub const fn new(client: Arc<Client>) -> Self {
        Self {
            client,
            dialect: None,
            replies: Replies::On,
            answered: 0,
            refuses_long: false,
            skip: None,
            scanned: 0,
            junk_lines: 0,
        }
    }

    /// Takes back what was just written if the client wants no reply to it.
    pub(super) fn mute(&mut self, output: &mut Vec<u8>, length_before: usize) {
        self.replies = match self.replies {
            Replies::On => return,
            Replies::Off => Replies::Off,
            Replies::SkipNext => Replies::Skip,
            Replies::Skip => Replies::On,
        };
        output.truncate(length_before);
    }

    /// Whether the rest of an oversized command is still to come.
    #[must_use]
    pub const fn is_skipping(&self) -> bool {
        self.skip.is_some()
    }
}

/// How a turn ended.
#[derive(Debug)]
pub enum TurnEnd {
    /// Every complete command was answered: come back when the input holds so many bytes.
    NeedsInput(usize),
    /// The output is full, or the turn was long: send what there is, let others
    /// have their turn, then come back with the rest of the input.
    Yield,
    /// Send the output, wait until there is room for a long reply, then come back.
    AwaitRoom,
    /// Send the output, then let the cluster do this, then come back.
    Ask(Asked),
    /// Send the output, then close.
    Close,
}

/// One turn.
#[derive(Debug)]
pub struct Turn<'s> {
    /// What all sessions share.
    pub shared: &'s Arc<Shared>,
    /// The thread's number.
    pub worker: usize,
    /// The thread's way to tables.
    pub tables: &'s mut TableCache,
    /// The session.
    pub state: &'s mut State,
    /// Whether the node's buffers have room for long replies.
    pub has_room: bool,
}

/// Why a group ends before it is full.
enum Barrier<'a> {
    None,
    NeedsInput(usize),
    One(Parsed<'a>),
    Oversize(Fault, usize, Skip),
    Broken(Fault),
}

/// Commands on keys that are run together.
#[derive(Default)]
struct Group<'a> {
    commands: ArrayVec<KeyCommand<'a>, GROUP_MAX>,
    verbs: ArrayVec<Verb, GROUP_MAX>,
    ends: ArrayVec<usize, GROUP_MAX>,
}

impl<'a> Group<'a> {
    #[inline]
    fn push(&mut self, verb: Verb, command: KeyCommand<'a>, end: usize) {
        self.verbs.push(verb);
        self.commands.push(command);
        self.ends.push(end);
    }

    fn clear(&mut self) {
        self.commands.clear();
        self.verbs.clear();
        self.ends.clear();
    }
}

impl Turn<'_> {
    /// Runs what `input` holds: how many of its bytes are done with, and how the turn ended.
    pub fn run(&mut self, input: &[u8], output: &mut Vec<u8>) -> (usize, TurnEnd) {
        let mut at = 0;
        let Some(mut dialect) = self.choose_dialect(input, &mut at) else {
            return (at, TurnEnd::NeedsInput(1));
        };
        let mut pass = Pass::begin();
        let (done, end) = self.run_from(input, at, &mut dialect, &mut pass, output);
        self.observe(&mut pass, dialect);
        self.state.answered = pass.answered;
        (done, end)
    }

    fn run_from(
        &mut self,
        input: &[u8],
        mut at: usize,
        dialect: &mut Dialect,
        pass: &mut Pass,
        output: &mut Vec<u8>,
    ) -> (usize, TurnEnd) {
        let turn_began = pass.began;
        let (mut reader, mut group) = (Reader::default(), Group::default());
        let mut far = Far::default();
        loop {
            if let Err(end) = self.skip(input, &mut at, *dialect, output) {
                return (at, end);
            }
            if output.len() > OUTPUT_SOFT_MAX || pass.began.duration_since(turn_began) > TURN_MAX {
                return (at, TurnEnd::Yield);
            }
            if pass.is_full() {
                self.observe(pass, *dialect);
            }
            let begin = at;
            let barrier = self.gather(&mut reader, input, &mut at, *dialect, &mut group);
            if let Some(cluster) = self.shared.cluster() {
                let has_room =
                    far.take(&group.commands, &group.verbs) && self.state.replies == Replies::On;
                if has_room && matches!(barrier, Barrier::None) {
                    continue;
                }
                if let Some(asked) = far.ask(cluster) {
                    // What ended the group is read once more, when it is its turn.
                    return (at, TurnEnd::Ask(asked));
                }
            }
            let now = self.node().clock.at(pass.began);
            if !group.commands.is_empty() {
                let end = self.run_group(&group, *dialect, now, output);
                let done = end.answered(group.commands.len());
                pass.verbs.extend(group.verbs[..done].iter().copied());
                let at = if done == 0 { begin } else { group.ends[done - 1] };
                match end {
                    GroupEnd::Done => {}
                    GroupEnd::OutputFull(_) => return (at, TurnEnd::Yield),
                    GroupEnd::BuffersFull(_) => return (at, TurnEnd::AwaitRoom),
                }
            }
            match barrier {
                Barrier::None => {}
                Barrier::NeedsInput(bytes) => {
                    self.state.scanned = input.len() - at;
                    return (at, TurnEnd::NeedsInput(bytes));
                }
                Barrier::One(parsed) => {
                    at += parsed.length;
                    if let Some(asked) = Asked::of(self.shared, &parsed) {
                        return (at, TurnEnd::Ask(asked));
                    }
                    self.observe(pass, *dialect);
                    pass.verbs.extend(parsed.verb);
                    let go_on = self.run_single(parsed, *dialect, now, output);
                    *dialect = self.state.dialect.unwrap_or(*dialect);
                    self.observe(pass, *dialect);
                    if !go_on {
                        return (at, TurnEnd::Close);
                    }
                }
                Barrier::Oversize(fault, bytes, skip) => {
                    at += bytes;
                    self.state.skip = Some(skip);
                    let length_before = output.len();
                    self.refuse(&fault, *dialect, output);
                    self.state.mute(output, length_before);
                }
                Barrier::Broken(fault) => {
                    self.refuse(&fault, *dialect, output);
                    return (input.len(), TurnEnd::Close);
                }
            }
        }
    }

    fn node(&self) -> &Arc<Node> {
        &self.shared.node
    }

    fn stats(&self) -> &WorkerStats {
        self.node().stats.worker(self.worker)
    }

    /// The session's dialect; blank lines before its first byte ask for nothing.
    fn choose_dialect(&mut self, input: &[u8], at: &mut usize) -> Option<Dialect> {
        if self.state.dialect.is_none() {
            *at = input.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            self.state.dialect = input.get(*at).map(|&byte| Dialect::from_first_byte(byte));
        }
        self.state.dialect
    }

    /// Drops what is left of an oversized command.
    fn skip(
        &mut self,
        input: &[u8],
        at: &mut usize,
        dialect: Dialect,
        output: &mut Vec<u8>,
    ) -> Result<(), TurnEnd> {
        let Some(skip) = &mut self.state.skip else { return Ok(()) };
        match skip.advance(&input[*at..]) {
            Ok((bytes, true)) => {
                *at += bytes;
                self.state.skip = None;
                Ok(())
            }
            Ok((bytes, false)) => {
                *at += bytes;
                Err(TurnEnd::NeedsInput(input.len() - *at + 1))
            }
            Err(fault) => {
                *at = input.len();
                self.refuse(&fault, dialect, output);
                Err(TurnEnd::Close)
            }
        }
    }

    /// Reads commands on keys into `group` until it is full or something else comes.
    fn gather<'a>(
        &mut self,
        reader: &mut Reader<'a>,
        input: &'a [u8],
        at: &mut usize,
        dialect: Dialect,
        group: &mut Group<'a>,
    ) -> Barrier<'a> {
        group.clear();
        let most = if self.state.replies == Replies::On { GROUP_MAX } else { 1 };
        let mut limits = Limits {
            value_bytes_max: self.node().config.value_bytes_max,
            scanned: std::mem::take(&mut self.state.scanned),
        };
        while group.commands.len() < most {
            // Where a session has scanned, its next command is on a line, and like no other.
            if let Some((verb, command, length)) = reader.next_alike(&input[*at..], limits) {
                *at += length;
                group.push(verb, command, *at);
                continue;
            }
            let limits = Limits { scanned: std::mem::take(&mut limits.scanned), ..limits };
            match reader.next(dialect, &input[*at..], limits) {
                Step::Incomplete(bytes) => return Barrier::NeedsInput(bytes),
                Step::Blank(bytes) => *at += bytes,
                Step::Oversize(fault, bytes, skip) => {
                    return Barrier::Oversize(fault, bytes, skip);
                }
                Step::Broken(fault) => return Barrier::Broken(fault),
                Step::Command(Parsed {
                    verb: Some(verb),
                    command: Ok(Command::Key(command)),
                    length,
                }) => {
                    *at += length;
                    group.push(verb, command, *at);
                }
                Step::Command(parsed) => return Barrier::One(parsed),
            }
        }
        Barrier::None
    }

    /// Runs a group: how far that went.
    fn run_group(
        &mut self,
        group: &Group<'_>,
        dialect: Dialect,
        now: Timestamp,
        output: &mut Vec<u8>,
    ) -> GroupEnd {
        let node = &self.shared.node;
        let stats = node.stats.worker(self.worker);
        let long_replies = match self.has_room || self.state.replies != Replies::On {
            true => LongReplies::Written,
            false if self.state.refuses_long => LongReplies::Refused,
            false => LongReplies::Waiting,
        };
        let keys = KeyRun { node, worker: self.worker, now, dialect, long_replies };
        let length_before = output.len();
        let mut verbs = group.verbs.iter();
        let answered = |outcome| stats.count(verbs.next().copied(), outcome);
        let end = keys.run(self.tables, &group.commands, output, answered);
        // A command that waits has its reply muted when it has one.
        if end.answered(group.commands.len()) > 0 {
            self.state.mute(output, length_before);
        }
        end
    }

    /// Runs a command that is not on a key: whether the session goes on.
    fn run_single(
        &mut self,
        parsed: Parsed<'_>,
        dialect: Dialect,
        now: Timestamp,
        output: &mut Vec<u8>,
    ) -> bool {
        let is_quit = matches!(parsed.command, Ok(Command::Server(ServerCommand::Quit)));
        let reply = match parsed.command {
            Ok(Command::Table(command)) => self.node().run_table(&command),
            Ok(Command::Server(ref command)) => self.server(command, dialect, now),
            Ok(Command::Key(_)) => unreachable!("keys are run in groups"),
            Err(fault) => Reply::Fault(fault),
        };
        faults::point("session");
        let junk = self.junk(&reply);
        let length_before = output.len();
        self.stats().count(parsed.verb, Outcome::of(&reply));
        self.state.dialect.unwrap_or(dialect).write(&reply, output);
        self.state.mute(output, length_before);
        if let Some(fault) = junk {
            self.refuse(&fault, dialect, output);
            return false;
        }
        !is_quit
    }

    fn server<'c>(
        &mut self,
        command: &ServerCommand<'c>,
        dialect: Dialect,
        now: Timestamp,
    ) -> Reply<'c> {
        let context = ServerContext { shared: self.shared, dialect, now, state: self.state };
        context.run(command)
    }

    /// Writes a fault of the framing itself.
    fn refuse(&self, fault: &Fault, dialect: Dialect, output: &mut Vec<u8>) {
        if fault.kind == Kind::Protocol {
            self.node().stats.events.protocol_errors.bump();
            tracing::debug!(client = %self.state.client.address, fault = %fault.sentence, "bytes that cannot be read");
        }
        self.stats().count(None, Outcome::of(&Reply::Fault(fault.clone())));
        dialect.write(&Reply::Fault(fault.clone()), output);
    }

    /// The fault that ends a session of another protocol's lines: banners,
    /// telnet's negotiation, random bytes.
    fn junk(&mut self, reply: &Reply<'_>) -> Option<Fault> {
        let Reply::Fault(Fault { kind: Kind::UnknownCommand, sentence }) = reply else {
            return None;
        };
        let is_word = sentence.bytes().all(|byte| byte.is_ascii_graphic());
        if self.state.dialect != Some(Dialect::Line) || is_word && !sentence.starts_with("SSH-") {
            return None;
        }
        self.state.junk_lines += 1;
        (self.state.junk_lines >= JUNK_LINES_MAX).then(|| {
            Fault::protocol("these lines are of another protocol; type HELP for this one's")
        })
    }

    /// Counts what the commands of a pass took, logs slow ones, and begins the next pass.
    fn observe(&self, pass: &mut Pass, dialect: Dialect) {
        if pass.verbs.is_empty() {
            return;
        }
        let finished = Instant::now();
        let (worker, client) = (self.worker, &*self.state.client);
        let observed = Observed { worker, client, dialect, verbs: &pass.verbs };
        observed.took(self.node(), finished.duration_since(pass.began), finished);
        pass.begin_next(finished);
    }
}
