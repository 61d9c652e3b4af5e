//! A session's replies on their way to its client.

use std::io;

use tokio::task::yield_now;
use tokio::time::timeout;

use super::ended::Ended;
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
        let reserved = self.reserved.take();
        if self.output.is_empty() {
            return Ok(());
        }
        if self.output.len() > self.shared.node.config.output_bytes_max {
            return Err(Ended::TooMuchOutput);
        }
        self.count_buffers();
        let was_granted = reserved.is_some_and(|reserved| reserved.is_granted());
        let is_long = self.output.len() > READ_BYTES && !was_granted;
        if is_long && self.shared.node.memory.buffers_are_full() {
            return Err(Ended::TooMuchOutput);
        }
        let mut sent = 0;
        while sent < self.output.len() {
            let wait = self.shared.node.config.write_timeout;
            timeout(wait, self.stream.writable()).await.map_err(|_| Ended::SlowReader)??;
            sent += self.try_send(&self.output[sent..])?;
        }
        self.output = Vec::new();
        self.count_buffers();
        Ok(())
    }
}
