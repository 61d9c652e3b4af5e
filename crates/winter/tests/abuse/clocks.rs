//! A wall clock that is put forward and back while the server runs, as an operator or a
//! time server does it.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use winter_testkit::{Server, Wire, eventually};

use crate::winter;

const HOUR: i64 = 60 * 60;
const DAY: i64 = 24 * HOUR;
const LONG_MILLIS: u64 = 600_000;

/// A server's own wall clock.
struct WallClock {
    library: PathBuf,
    step: PathBuf,
}

impl WallClock {
    fn new() -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let file = |ending| folder.join(format!("wall-clock-{}.{ending}", std::process::id()));
        let clock = Self { library: file("so"), step: file("step") };
        clock.put(0);
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/abuse/wall_clock.c");
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O2", "-Wall", "-Werror", source, "-o"])
            .arg(&clock.library)
            .status();
        assert!(built.expect("Rust links with cc").success());
        clock
    }

    /// Puts it so many seconds before or behind the machine's.
    fn put(&self, seconds: i64) {
        // In one step: a reader sees the old step or the new one.
        let new = self.step.with_extension("new");
        std::fs::write(&new, seconds.to_string()).unwrap();
        std::fs::rename(new, &self.step).unwrap();
    }
}

impl Drop for WallClock {
    fn drop(&mut self) {
        for file in [&self.library, &self.step] {
            let _ = std::fs::remove_file(file);
        }
    }
}

/// The day of the server's wall clock, as it stamps its log with it.
fn logged_day(server: &Server, wire: &mut Wire, table: &str) -> String {
    wire.exchange(format!("CREATE {table}\n"), "created\n");
    let line = eventually("it is logged", || {
        let is_it = |line: &&Value| line["table"].as_str() == Some(table);
        let lines = server.log();
        lines.iter().filter_map(|l| serde_json::from_str(l).ok()).find(|l| is_it(&l))
    });
    line["timestamp"].as_str().unwrap()[..10].to_owned()
}

#[test]
fn a_step_of_the_wall_clock_neither_ends_a_life_nor_prolongs_it() {
    let wall = WallClock::new();
    let server = winter()
        .set("LD_PRELOAD", wall.library.display())
        .set("WALL_CLOCK_STEP", wall.step.display())
        .start();
    let mut wire = server.connect();
    wire.exchange("CREATE t\n", "created\n");
    wire.exchange(format!("PUTNEW t long v EXPIRE {LONG_MILLIS}\n"), "ok\n");
    let mut days = std::collections::BTreeSet::from([logged_day(&server, &mut wire, "first")]);
    let mut version = 0;
    let mut left = LONG_MILLIS;
    for (n, step) in [HOUR, -HOUR, DAY, -DAY, 365 * DAY, 0].into_iter().enumerate() {
        // One life begins before each step and one after it.
        wire.exchange(format!("PUTNEW t before{n} v EXPIRE 300\n"), "ok\n");
        wire.exchange(format!("PUTNEW t kept{n} v EXPIRE {LONG_MILLIS}\n"), "ok\n");
        wall.put(step);
        days.insert(logged_day(&server, &mut wire, &format!("u{n}")));
        wire.exchange(format!("PUTNEW t after{n} v EXPIRE 300\n"), "ok\n");
        eventually("both end", || {
            let ask = |wire: &mut Wire, key: &str| wire.ask(&format!("GET t {key}{n}"));
            let (before, after) = (ask(&mut wire, "before"), ask(&mut wire, "after"));
            (before == "nil" && after == "nil").then_some(())
        });
        // What is over stays over, and what lives has no more and not much less left.
        for ended in (0..=n).flat_map(|n| [format!("before{n}"), format!("after{n}")]) {
            assert_eq!(wire.ask(&format!("GET t {ended}")), "nil", "{ended}, step {step}");
        }
        for lives in (0..=n).map(|n| format!("kept{n}")) {
            assert_eq!(wire.ask(&format!("GET t {lives}")), "v", "{lives}, step {step}");
        }
        let now_left = wire.ask("TTL t long").parse().unwrap();
        assert!((LONG_MILLIS / 2..left).contains(&now_left), "{now_left} of {left}");
        left = now_left;
        let reply = wire.ask("PUT t versions v");
        let now: u64 = reply.strip_prefix("ok ").unwrap().parse().unwrap();
        assert!(now > version, "{now} after {version}");
        version = now;
    }
    assert_eq!(wire.ask("COUNT t"), "8");
    assert!(days.len() >= 4, "the wall clock was not stepped: {days:?}");
}
