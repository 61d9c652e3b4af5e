//! A host with a client: it asks one node after the other, and takes down what
//! it is told.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::time::{sleep, timeout};
use turmoil::net::TcpStream;
use winter_sim::dice::Dice;
use winter_sim::history::{Call, Outcome, Recorder};
use winter_sim::padding::Padding;
use winter_sim::workload::Workload;

use crate::node::CLIENT_PORT;

/// How long a client waits for a connection, and for an answer.
const CONNECT_MAX: Duration = Duration::from_millis(500);
const ANSWER_MAX: Duration = Duration::from_secs(8);
/// How many commands in a hundred are the last of their connection.
const HANG_UP_PERCENT: u64 = 10;

/// What clients share.
pub struct Asking {
    /// What they ask.
    pub workload: RefCell<Workload>,
    /// Calls that are asked before the workload's.
    pub first: RefCell<Vec<Call>>,
    /// What they were told.
    pub recorder: RefCell<Recorder>,
    /// Whether they ask.
    pub is_on: Cell<bool>,
    /// Whether they ask for nothing but what is in `first`, until it is answered.
    pub is_ending: Cell<bool>,
    /// Commands that were answered.
    pub answered: Cell<u64>,
    /// The hosts with nodes.
    pub hosts: Vec<String>,
    /// The most that a client waits before it asks again.
    pub think: Duration,
    /// How long values are.
    pub padding: Padding,
}

impl Asking {
    fn next_call(&self) -> Option<Call> {
        let first = self.first.borrow_mut().pop();
        first.or_else(|| (!self.is_ending.get()).then(|| self.workload.borrow_mut().next_call()))
    }
}

/// Asks for ever.
///
/// # Errors
/// None.
pub async fn run(process: u32, asking: Rc<Asking>, mut dice: Dice) -> turmoil::Result {
    loop {
        let place = dice.place(asking.hosts.len());
        let connect = TcpStream::connect((asking.hosts[place].as_str(), CLIENT_PORT));
        if asking.is_on.get()
            && let Ok(Ok(stream)) = timeout(CONNECT_MAX, connect).await
        {
            let node = u32::try_from(place).expect("hosts are few");
            talk(process, node, &asking, stream, &mut dice).await;
        }
        think(&asking, &mut dice).await;
    }
}

async fn think(asking: &Asking, dice: &mut Dice) {
    let most = u64::try_from(asking.think.as_millis()).expect("584 million years");
    sleep(Duration::from_millis(1 + dice.below(most))).await;
}

/// Asks over one connection until it breaks, or the client has had enough.
async fn talk(process: u32, node: u32, asking: &Asking, stream: TcpStream, dice: &mut Dice) {
    let mut stream = BufReader::new(stream);
    while asking.is_on.get() {
        let Some(call) = asking.next_call() else { return };
        let id = asking.recorder.borrow_mut().invoke(process, node, now(), call);
        let outcome = ask(&mut stream, &call, asking.padding).await;
        let is_broken = outcome.is_none();
        let outcome = outcome.unwrap_or(Outcome::Unknown);
        match &outcome {
            Outcome::Known(reply) => {
                asking.workload.borrow_mut().learn(&call, reply);
                asking.answered.set(asking.answered.get() + 1);
            }
            _ if asking.is_ending.get() => asking.first.borrow_mut().push(call),
            _ => {}
        }
        asking.recorder.borrow_mut().complete(id, now(), outcome);
        if is_broken || dice.percent(HANG_UP_PERCENT) {
            return;
        }
        think(asking, dice).await;
    }
}

fn now() -> Duration {
    turmoil::sim_elapsed().expect("a client is a host")
}

/// The outcome, or nothing when the connection is of no more use.
async fn ask(stream: &mut BufReader<TcpStream>, call: &Call, padding: Padding) -> Option<Outcome> {
    let line = padding.line(call) + "\n";
    let mut answer = String::new();
    let asked = async {
        stream.write_all(line.as_bytes()).await?;
        stream.read_line(&mut answer).await
    };
    match timeout(ANSWER_MAX, asked).await {
        Ok(Ok(_)) if answer.ends_with('\n') => Some(padding.outcome(answer.trim_end())),
        _ => None,
    }
}
