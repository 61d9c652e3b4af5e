//! DNS: a host that is asked for a name and answers with addresses, as the
//! simulator's script has it: all of them, none, some, or such as are not there.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use turmoil::net::TcpListener;
use winter_server::net::link::DNS_PORT;

/// How DNS answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mood {
    /// All nodes that run.
    #[default]
    Honest,
    /// Nothing.
    Empty,
    /// The first so many.
    Partial(usize),
    /// All, and one address at which nobody is.
    Stale,
    /// It takes the question and closes.
    Fails,
}

/// What DNS says, and to whom.
#[derive(Debug, Default)]
pub struct Script {
    /// The nodes' addresses.
    pub nodes: Vec<IpAddr>,
    /// How it answers each host, by address; honestly who is not listed.
    pub moods: Vec<(IpAddr, Mood)>,
    /// How often it lied.
    pub lies: u64,
}

impl Script {
    fn answer(&mut self, from: IpAddr) -> Option<Vec<IpAddr>> {
        let mood = self.moods.iter().find(|(host, _)| *host == from).map(|(_, mood)| *mood);
        let mood = mood.unwrap_or_default();
        self.lies += u64::from(mood != Mood::Honest);
        let mut all = self.nodes.clone();
        match mood {
            Mood::Honest => {}
            Mood::Empty => all.clear(),
            Mood::Partial(count) => all.truncate(count),
            Mood::Stale => all.push(IpAddr::from([192, 168, 99, 99])),
            Mood::Fails => return None,
        }
        Some(all)
    }
}

/// Answers for ever.
///
/// # Errors
/// Its port is in use.
pub async fn run(script: Rc<RefCell<Script>>) -> turmoil::Result {
    let listener = TcpListener::bind(("0.0.0.0", DNS_PORT)).await?;
    loop {
        let (stream, from) = listener.accept().await?;
        let script = Rc::clone(&script);
        tokio::task::spawn_local(async move {
            let mut stream = BufReader::new(stream);
            let mut name = String::new();
            // Who went away wants no answer.
            if stream.read_line(&mut name).await.is_err() {
                return;
            }
            let Some(found) = script.borrow_mut().answer(from.ip()) else { return };
            let lines: String = found.iter().map(|address| format!("{address}\n")).collect();
            let _ = stream.write_all(lines.as_bytes()).await;
            let _ = stream.shutdown().await;
        });
    }
}
