//! Where a session lives, and its way there.

use std::io;
use std::sync::Arc;

use super::Session;
use super::turn::State;
use crate::net::Stream;
use crate::server::Shared;
use crate::stats::End;

/// A client's part in what the node counts, for as long as its session lives.
#[derive(Debug)]
pub(super) struct Member {
    shared: Arc<Shared>,
    client: u64,
    counted_bytes: usize,
}

impl Member {
    const fn new(shared: Arc<Shared>, client: u64) -> Self {
        Self { shared, client, counted_bytes: 0 }
    }

    /// Counts what the session's buffers hold now.
    pub(super) fn count_buffers(&mut self, held: usize) {
        self.shared.node.memory.count_buffers(self.counted_bytes, held);
        self.counted_bytes = held;
    }

    /// Whether the others' buffers take all the room that there is.
    pub(super) fn others_fill_buffers(&self) -> bool {
        self.shared.node.memory.buffers_are_full_but_for(self.counted_bytes)
    }

    /// Counts what they are about to hold, if there is room.
    pub(super) fn try_count_buffers(&mut self, held: usize) -> bool {
        let more = held.saturating_sub(self.counted_bytes);
        let has_room = self.shared.node.memory.try_count_buffers(self.counted_bytes, more);
        self.counted_bytes += if has_room { more } else { 0 };
        has_room
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.count_buffers(0);
        self.shared.clients.close(self.client);
        if std::thread::panicking() {
            self.shared.node.stats.count_end(End::Panic);
        }
    }
}

/// Begins a session on `stream`, on the thread where it belongs.
///
/// # Errors
/// The connection broke already.
pub fn begin(stream: Stream, shared: &Arc<Shared>) -> io::Result<()> {
    let now = shared.node.clock.now();
    let client = shared.clients.open(stream.peer_addr()?, stream.local_addr()?, now);
    let member = Member::new(Arc::clone(shared), client.id);
    settle(stream, State::new(client), member)
}

/// Brings a session to the thread where it belongs. What its client has sent and
/// nobody has read stays with the system, which tells the new thread of it as
/// soon as that asks.
fn settle(stream: Stream, state: State, member: Member) -> io::Result<()> {
    let stream = stream.into_std()?;
    let shared = Arc::clone(&member.shared);
    let worker = shared.threads.home(member.client);
    let handle = shared.threads.handle(worker).clone();
    handle.spawn(async move {
        match Stream::from_std(stream) {
            Ok(stream) => Session::new(stream, shared, worker, state, member).run().await,
            Err(error) => {
                shared.node.stats.count_end(End::Broken);
                tracing::warn!(%error, "a connection could not be taken over");
            }
        }
    });
    Ok(())
}

impl Session {
    /// Whether the session lives elsewhere than it should.
    #[inline]
    pub(super) fn is_away(&self) -> bool {
        self.worker != self.shared.threads.home(self.state.client.id)
    }

    /// Moves to the thread where the session belongs. It has nothing under way.
    pub(super) fn go_home(self) {
        assert!(self.input.is_empty() && self.output.is_empty(), "all was answered");
        let Self { stream, shared, state, member, .. } = self;
        shared.node.stats.events.sessions_moved.bump();
        if let Err(error) = settle(stream, state, member) {
            shared.node.stats.count_end(End::Broken);
            tracing::debug!(%error, "a connection broke while its session moved");
        }
    }
}
