//! `winter-sim`: simulates clusters, each from a seed.

#![expect(clippy::print_stdout, reason = "it talks to whoever runs it")]

use std::process::ExitCode;
use std::str::FromStr;

use tracing::Level;
use winter_simulator::options::{Broken, Options, Plan};
use winter_simulator::world;

const USAGE: &str = "\
usage: winter-sim [--seed N | --seeds A..B] [--plan NAME] [--broken NAME]
                  [--twice] [--log LEVEL] [--history]

  --seed N        one run (default: 1)
  --seeds A..B    the runs from A up to B, B not among them
  --plan NAME     what happens to the nodes: chance (the default); amnesia: one
                  forgets while another lags and a third is cut off; clocks: a
                  leader whose clock is ahead is cut off; or long: as by chance,
                  with values that are long for the nodes' memory
  --broken NAME   nodes that are broken on purpose: reads-without-barrier,
                  acknowledges-early, identity-twice or expires-by-own-clock
  --twice         each run twice, to see that one seed gives one trace
  --log LEVEL     show the nodes' logs, too: error, warn, info or debug
  --history       show what clients asked and were told";

#[derive(Default)]
struct Arguments {
    seeds: std::ops::Range<u64>,
    plan: Plan,
    broken: Option<Broken>,
    twice: bool,
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
        let options = match arguments.plan {
            Plan::Chance => Options::of(seed),
            Plan::Amnesia => Options::amnesia(seed),
            Plan::Clocks => Options::clocks(seed),
            Plan::Long => Options::long(seed),
        };
        let options = Options { broken: arguments.broken, ..options };
        println!("{options}");
        let (log, history) = (arguments.log, arguments.history);
        let mut report = world::run(options.clone(), log);
        if arguments.twice {
            report.compare(&world::run(options, log));
        }
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
    let mut arguments = Arguments { seeds: 1..2, ..Arguments::default() };
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
            "--plan" => {
                arguments.plan = match words.next()?.as_str() {
                    "chance" => Plan::Chance,
                    "amnesia" => Plan::Amnesia,
                    "clocks" => Plan::Clocks,
                    "long" => Plan::Long,
                    _ => return None,
                };
            }
            "--broken" => {
                let name = words.next()?;
                arguments.broken = Some(Broken::ALL.iter().find(|(known, _)| known == name)?.1);
            }
            "--log" => arguments.log = Some(Level::from_str(words.next()?).ok()?),
            "--twice" => arguments.twice = true,
            "--history" => arguments.history = true,
            _ => return None,
        }
    }
    Some(arguments)
}
