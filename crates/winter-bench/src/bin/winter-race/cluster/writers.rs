//! A writer for each partition, each with one write under way and the next one soon after: what
//! clients notice of a fault, and whether anything that was acknowledged is lost.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use winter_core::store::{partition_of, table_hash};

use super::nodes::TABLE;
use crate::control::{Control, Framing};

/// From an answer to the next write.
const PERIOD: Duration = Duration::from_millis(5);

/// How long a node may take to accept, and to answer: longer than its own limit for a command.
const PATIENCE: Duration = Duration::from_secs(8);

/// An acknowledged write.
#[derive(Debug, Clone, Copy)]
struct Acknowledged {
    sent: Instant,
    done: Instant,
}

/// Running writers.
#[derive(Debug)]
pub(super) struct Writers {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Writer>>,
}

/// One writer: it counts up in its key.
#[derive(Debug)]
struct Writer {
    key: String,
    addresses: Vec<SocketAddr>,
    /// The number that was written last, acknowledged or not.
    number: u64,
    acknowledged: u64,
    writes: Vec<Acknowledged>,
    refused: u64,
    /// How much longer than asked this thread slept at worst: the machine's doing.
    late: Duration,
}

impl Writers {
    /// Starts a writer for each partition; each asks one of the nodes, and the next when it fails.
    pub(super) fn start(addresses: &[SocketAddr], partitions: usize) -> Result<Self> {
        let partitions = u16::try_from(partitions)?;
        let stop = Arc::new(AtomicBool::new(false));
        let mut writers = Self { stop: Arc::clone(&stop), threads: Vec::new() };
        for partition in 0..partitions {
            let mut addresses = addresses.to_vec();
            let places = addresses.len();
            addresses.rotate_left(usize::from(partition) % places);
            let writer = Writer::new(key_of(partition, partitions), addresses);
            let stop = Arc::clone(&stop);
            writers.threads.push(thread::Builder::new().spawn(move || writer.run(&stop))?);
        }
        Ok(writers)
    }

    /// Stops the writers and returns what they saw.
    pub(super) fn finish(mut self) -> Result<Seen> {
        self.stop.store(true, Ordering::Relaxed);
        let join = |thread: JoinHandle<_>| thread.join().map_err(|_| anyhow!("a writer panicked"));
        let writers = std::mem::take(&mut self.threads).into_iter().map(join);
        Ok(Seen { writers: writers.collect::<Result<_>>()? })
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// A key of this partition.
fn key_of(partition: u16, partitions: u16) -> String {
    let table = table_hash(TABLE);
    let is_of = |key: &String| partition_of(table, key.as_bytes(), partitions) == partition;
    (0..u64::MAX).map(|n| format!("writer{n}")).find(is_of).expect("every partition has keys")
}

impl Writer {
    fn new(key: String, addresses: Vec<SocketAddr>) -> Self {
        let (writes, late) = (Vec::new(), Duration::ZERO);
        Self { key, addresses, number: 0, acknowledged: 0, writes, refused: 0, late }
    }

    fn run(mut self, stop: &AtomicBool) -> Self {
        let mut control: Option<Control> = None;
        while !stop.load(Ordering::Relaxed) {
            let sent = Instant::now();
            match self.write(control) {
                Ok(connected) => control = Some(connected),
                Err(_) => {
                    control = None;
                    self.addresses.rotate_left(1);
                }
            }
            let done = Instant::now();
            if self.acknowledged == self.number {
                self.writes.push(Acknowledged { sent, done });
            } else {
                self.refused += 1;
            }
            thread::sleep(PERIOD);
            self.late = self.late.max(done.elapsed().saturating_sub(PERIOD));
        }
        self
    }

    /// Writes the next number: acknowledged, refused, or neither where the connection fails.
    fn write(&mut self, control: Option<Control>) -> Result<Control> {
        self.number += 1;
        let mut control = match control {
            Some(control) => control,
            None => Control::connect_within(self.addresses[0], Framing::Resp, PATIENCE)?,
        };
        let number = self.number.to_string();
        if control.ask_write(&["PUT", TABLE, &self.key, &number])? {
            self.acknowledged = self.number;
        }
        Ok(control)
    }

    fn longest_gap(&self, from: Instant, until: Instant) -> Duration {
        let within = self.writes.iter().map(|write| write.done);
        let within = within.filter(|&done| done > from && done < until);
        let mut last = from;
        let mut longest = Duration::ZERO;
        for done in within.chain([until]) {
            longest = longest.max(done - last);
            last = done;
        }
        longest
    }
}

/// What writers saw.
#[derive(Debug)]
pub(super) struct Seen {
    writers: Vec<Writer>,
}

impl Seen {
    /// The longest time that any partition acknowledged nothing between two moments.
    pub(super) fn longest_gap(&self, from: Instant, until: Instant) -> Duration {
        let gaps = self.writers.iter().map(|writer| writer.longest_gap(from, until));
        gaps.max().unwrap_or_default()
    }

    /// Fails if a partition acknowledged nothing before a moment: then what came after says nothing.
    pub(super) fn check_before(&self, moment: Instant) -> Result<()> {
        for writer in &self.writers {
            if !writer.writes.iter().any(|write| write.done < moment) {
                bail!("the partition of {} was not written to before the fault", writer.key);
            }
        }
        Ok(())
    }

    /// Writes that were refused, or of which nothing is known.
    pub(super) fn refused(&self) -> u64 {
        self.writers.iter().map(|writer| writer.refused).sum()
    }

    /// How late the machine woke a writer at worst.
    pub(super) fn late(&self) -> Duration {
        self.writers.iter().map(|writer| writer.late).max().unwrap_or_default()
    }

    /// How long this share of the writes took at most that were begun between two moments.
    pub(super) fn took(&self, from: Instant, until: Instant, quantile: f64) -> Duration {
        let writes = self.writers.iter().flat_map(|writer| &writer.writes);
        let within = writes.filter(|write| write.sent >= from && write.sent <= until);
        let mut took: Vec<_> = within.map(|write| write.done - write.sent).collect();
        took.sort_unstable();
        let last = took.len().saturating_sub(1);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a length is no longer than the length"
        )]
        let place = (last as f64 * quantile).ceil() as usize;
        took.get(place).copied().unwrap_or_default()
    }

    /// Acknowledged writes that are not there: keys that hold less than was acknowledged.
    pub(super) fn lost(&self, control: &mut Control) -> Result<usize> {
        let mut lost = 0;
        for writer in &self.writers {
            let held = control.ask_value(&["GET", TABLE, &writer.key])?;
            let held = held.and_then(|value| value.parse().ok()).unwrap_or(0);
            lost += usize::from(held < writer.acknowledged);
        }
        Ok(lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_partition_has_its_writer() {
        let table = table_hash(TABLE);
        for partition in 0..16 {
            let key = key_of(partition, 16);
            assert_eq!(partition_of(table, key.as_bytes(), 16), partition);
        }
    }

    #[test]
    fn a_gap_is_the_longest_time_without_an_acknowledgement() {
        let start = Instant::now();
        let moment = |milliseconds| start + Duration::from_millis(milliseconds);
        let write = |sent, done| Acknowledged { sent: moment(sent), done: moment(done) };
        let mut writer = Writer::new("k".to_owned(), Vec::new());
        writer.writes = vec![write(5, 10), write(20, 300), write(310, 320)];
        let gap = |from, until| writer.longest_gap(moment(from), moment(until)).as_millis();
        assert_eq!(gap(0, 330), 290);
        assert_eq!(gap(15, 330), 285);
        assert_eq!(gap(400, 900), 500);
        let seen = Seen { writers: vec![writer] };
        assert_eq!(seen.took(moment(0), moment(400), 0.99).as_millis(), 280);
        assert_eq!(seen.took(moment(0), moment(400), 0.5).as_millis(), 10);
    }
}
