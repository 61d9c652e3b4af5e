//! A session's replies on their way to its client.

use std::io;

use tokio::task::yield_now;
use tokio::time::{Instant, timeout};

use super::ended::Ended;
use super::room::{LOOK_EVERY, Pace};
use super::{READ_BYTES, Session};

/// The thread's output buffer is not kept when it has grown past this.
const OUTPUT_KEPT_BYTES: usize = 2 << 20;
/// Longer replies do not wait for the turns of other sessions.
const HELD_BYTES_MAX: usize = 16 << 10;

/// Whether the replies to so many commands wait for the turns of the thread's other
/// sessions. To send is to wake a client that sleeps, and it sleeps again before the
/// next session's replies are there; sent one after the other, they find it awake.
pub(super) fn are_held(commands: usize, replies: &[u8]) -> bool {
    commands > 1 && (1..=HELD_BYTES_MAX).contains(&replies.len())
}

impl Session {
    /// Sends a turn's replies, or holds them if that is better.
    pub(super) fn send_or_hold(&mut self, output: &mut Vec<u8>) -> io::Result<()> {
        self.holds = are_held(self.state.answered, output);
        if self.holds {
            self.output.extend_from_slice(output);
            return Ok(());
        }
        self.send_now(output)
    }

    /// Sends what the socket takes at once and keeps the rest.
    fn send_now(&mut self, output: &mut Vec<u8>) -> io::Result<()> {
        if output.is_empty() {
            return Ok(());
        }
        let sent = if self.output.is_empty() { self.try_send(output)? } else { 0 };
        self.output.extend_from_slice(&output[sent..]);
        output.clear();
        if output.capacity() > OUTPUT_KEPT_BYTES {
            output.shrink_to(OUTPUT_KEPT_BYTES);
        }
        Ok(())
    }

    fn try_send(&self, bytes: &[u8]) -> io::Result<usize> {
        match self.stream.try_write(bytes) {
            Ok(sent) => {
                self.shared.node.stats.worker(self.worker).bytes_out.add(sent as u64);
                Ok(sent)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Waits until the client has taken all replies. Meanwhile nothing is read.
    pub(super) async fn flush(&mut self) -> Result<(), Ended> {
        if std::mem::take(&mut self.holds) {
            self.count_buffers();
            yield_now().await;
            let mut held = std::mem::take(&mut self.output);
            self.send_now(&mut held)?;
        }
        let was_granted = self.reserved.take().is_some_and(|reserved| reserved.is_granted());
        if self.output.is_empty() {
            // A reply that was muted may have left its room.
            self.output = Vec::new();
            self.count_buffers();
            return Ok(());
        }
        if self.output.len() > self.shared.node.config.output_bytes_max {
            return Err(Ended::TooMuchOutput);
        }
        self.count_buffers();
        let sent = self.try_send(&self.output)?;
        let is_long = self.output.len() - sent > READ_BYTES;
        if is_long && !was_granted && self.member.others_fill_buffers() {
            return Err(Ended::TooMuchOutput);
        }
        self.send_all(sent).await?;
        self.output = Vec::new();
        self.count_buffers();
        Ok(())
    }

    /// Sends what is left when so many bytes are sent.
    async fn send_all(&mut self, mut sent: usize) -> Result<(), Ended> {
        let mut pace = Pace::begin(sent);
        let mut writable_at = Instant::now();
        while sent < self.output.len() {
            let is_long = self.output.len() - sent > READ_BYTES;
            if !is_long && sent > READ_BYTES {
                // The room of what was sent does not stay for the rest.
                self.output = self.output.split_off(sent);
                self.count_buffers();
                sent = 0;
            }
            let patience = self.shared.node.config.write_timeout;
            let wait = patience.saturating_sub(writable_at.elapsed());
            let wait = if is_long { wait.min(LOOK_EVERY) } else { wait };
            if let Ok(writable) = timeout(wait, self.stream.writable()).await {
                writable?;
                sent += self.try_send(&self.output[sent..])?;
                writable_at = Instant::now();
            } else if writable_at.elapsed() >= patience {
                return Err(Ended::SlowReader);
            }
            if is_long && pace.is_slow(sent) && self.others_wait() {
                return Err(Ended::SlowReader);
            }
        }
        Ok(())
    }
}
