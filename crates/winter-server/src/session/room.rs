//! Room in the node's buffers for what is long.
//!
//! A long command is taken in, and a long reply begun, when there is room for it. While
//! there is none, whoever holds much has to move: a client that asks and does not read, or
//! begins and does not go on, makes room for those that wait.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use winter_core::fault::{Fault, Kind};

use super::ended::Ended;
use super::{READ_BYTES, Session};

/// What waits for room looks for it so often.
const PAUSE: Duration = Duration::from_millis(20);
/// What finds no room for so long is refused.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// How often it is looked at whether a session that holds much moves.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(500);
/// While others wait, a session that holds much moves so many bytes ...
const PACE_BYTES: usize = 64 << 10;
/// ... in this time. Of what a client reads, a third of the system's buffer is seen at once.
const PACE_TIME: Duration = Duration::from_secs(2);

/// How fast bytes move, to a client or from it.
#[derive(Debug)]
pub(super) struct Pace {
    since: Instant,
    moved: usize,
}

impl Pace {
    /// So many have moved by now.
    pub(super) fn begin(moved: usize) -> Self {
        Self { since: Instant::now(), moved }
    }

    /// Whether it is too slow for others to wait, now that so many have moved in all.
    pub(super) fn is_slow(&mut self, moved: usize) -> bool {
        if moved >= self.moved + PACE_BYTES {
            *self = Self::begin(moved);
        }
        self.since.elapsed() >= PACE_TIME
    }
}

impl Session {
    /// Whether something waits for room in the node's buffers.
    pub(super) fn others_wait(&self) -> bool {
        self.shared.node.memory.is_awaited()
    }

    /// Waits for room for a long reply: whether there is any.
    pub(super) async fn wait_for_room(&mut self) -> bool {
        self.wait_until(|session| !session.member.others_fill_buffers()).await
    }

    /// Makes room for more of a long command as soon as there is some: whether that took a
    /// while. Nothing is read meanwhile. What is announced and does not come takes no room.
    pub(super) async fn admit_input(&mut self) -> Result<bool, Ended> {
        self.count_buffers();
        let (length, held) = (self.input.len(), self.input.capacity());
        if length <= READ_BYTES {
            self.pass = None;
            return Ok(false);
        }
        if held - length >= READ_BYTES {
            return Ok(false);
        }
        let room = 2 * held;
        let has_waited = !self.try_admit(room);
        if has_waited && !self.wait_until(|session| session.try_admit(room)).await {
            return Err(self.refuse_for_memory().await);
        }
        self.input.reserve_exact(room - length);
        self.count_buffers();
        Ok(has_waited)
    }

    /// Counts room for a command if there is some. When there is none, one command at a
    /// time goes on nevertheless: many that are half in would wait for each other.
    fn try_admit(&mut self, room: usize) -> bool {
        if self.pass.is_none() && !self.member.try_count_buffers(room + self.output.capacity()) {
            self.pass = self.shared.node.memory.try_pass();
            return self.pass.is_some();
        }
        true
    }

    /// Waits until there is room, and lets the others know that somebody waits: whether
    /// there was some in time.
    async fn wait_until(&mut self, mut has_room: impl FnMut(&mut Self) -> bool) -> bool {
        let _waiting = self.shared.node.memory.wait();
        let deadline = Instant::now() + WAIT_MAX;
        while !has_room(self) {
            if Instant::now() >= deadline || self.shared.is_draining() {
                return false;
            }
            sleep(PAUSE).await;
        }
        true
    }

    /// Refuses a command that there is no room to take in: it is let go first.
    pub(super) async fn refuse_for_memory(&mut self) -> Ended {
        self.input = Vec::new();
        self.pass = None;
        self.count_buffers();
        let fault = Fault::new(
            Kind::Memory,
            "all clients' buffers together hold too much to take this command in; send it later",
        );
        self.tell(&fault).await.err().unwrap_or(Ended::NoMemory)
    }
}
