//! `winter-sim`: simulates clusters, each from a seed.

#![expect(clippy::print_stdout, reason = "it talks to whoever runs it")]

use std::process::ExitCode;
use std::str::FromStr;

use tracing::Level;
use winter_simulator::options::{Broken, Options};
use winter_simulator::world;

const USAGE: &str = "\
usage: winter-sim [--seed N | --seeds A..B] [--broken NAME] [--log LEVEL] [--history]

  --seed N        one run (default: 1)
  --seeds A..B    the runs from A up to B, B not among them
  --broken NAME   nodes that are broken on purpose: reads-without-barrier,
                  acknowledges-early or identity-twice
  --log LEVEL     show the nodes' logs, too: error, warn, info or debug
  --history       show what clients asked and were told";

struct Arguments {
    seeds: std::ops::Range<u64>,
    broken: Option<Broken>,
    log: Option<Level>,
    history: bool,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let Some(arguments) = read(&words) else {
        println!("{USAGE}");
        return ExitCode::from(64);
    };
    let mut failed = Vec::new();
    for seed in arguments.seeds {
        let options = Options { broken: arguments.broken, ..Options::of(seed) };
        println!("{options}");
        let (log, history) = (arguments.log, arguments.history);
        let report = world::run(options, log);
        if history {
            println!("{}", report.history);
        }
        println!("{report}");
        if !report.passes() {
            failed.push(seed);
        }
    }
    if failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("failed seeds: {failed:?}");
    ExitCode::FAILURE
}

fn read(words: &[String]) -> Option<Arguments> {
    let mut arguments = Arguments { seeds: 1..2, broken: None, log: None, history: false };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--seed" => {
                let seed = words.next()?.parse().ok()?;
                arguments.seeds = seed..seed + 1;
            }
            "--seeds" => {
                let (from, to) = words.next()?.split_once("..")?;
                arguments.seeds = from.parse().ok()?..to.parse().ok()?;
            }
            "--broken" => {
                let name = words.next()?;
                arguments.broken = Some(Broken::ALL.iter().find(|(known, _)| known == name)?.1);
            }
            "--log" => arguments.log = Some(Level::from_str(words.next()?).ok()?),
            "--history" => arguments.history = true,
            _ => return None,
        }
    }
    Some(arguments)
}
