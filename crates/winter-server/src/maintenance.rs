//! Reclaiming what has expired, a page at a time; and telling what the log left out.
//!
//! Readers never see an expired entry; this only brings its memory back. Each
//! step holds one partition's lock for one page, and after a quarter of a
//! millisecond of steps the thread gives way: it shares its cores with those that
//! answer clients.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::node::{Node, faults};

/// How often partitions are asked whether something is due.
const TICK: Duration = Duration::from_millis(20);
/// Work between two pauses.
const SLICE: Duration = Duration::from_micros(250);
const PAUSE: Duration = Duration::from_millis(1);

/// Does so for ever.
pub async fn run(node: Arc<Node>) {
    loop {
        faults::point("maintenance");
        reclaim_due(&node).await;
        node.lines.tell_rest();
        sleep(TICK).await;
    }
}

async fn reclaim_due(node: &Node) {
    let mut slice_began = Instant::now();
    for shard in node.shards.iter() {
        while shard.is_due(node.clock.now()) {
            let began = Instant::now();
            node.reclaim_step(shard);
            let events = &node.stats.events;
            events.reclaim_steps.bump();
            events.reclaim_nanos.bump_by(u64::try_from(began.elapsed().as_nanos()).unwrap_or(0));
            if slice_began.elapsed() > SLICE {
                sleep(PAUSE).await;
                slice_began = Instant::now();
            }
        }
    }
}
