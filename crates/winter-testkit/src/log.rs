//! What a server in the test's own process logs.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// All that was written to it or one of its clones.
#[derive(Clone, Debug, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// How many bytes were written so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fails unless a line that holds all of `words` was written after `from` bytes.
    ///
    /// # Panics
    /// If there is none, with all lines.
    #[track_caller]
    pub fn has(&self, from: usize, words: &[&str]) {
        let written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let log = String::from_utf8_lossy(&written[from..]);
        let is_it = |line: &str| words.iter().all(|word| line.contains(word));
        assert!(log.lines().any(is_it), "no line with {words:?} in\n{log}");
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
