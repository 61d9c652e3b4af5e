//! Every row of the contract, in both dialects.

use winter_testkit::{Dialect, Pace, play};

use crate::winter;

mod line;

/// Plays `script` in the line dialect, however its bytes are sent.
#[track_caller]
fn line(script: &str) {
    for pace in Pace::ALL {
        let server = winter().start();
        play(server.connect(), Dialect::Line, pace, script);
    }
}

/// Plays `script` in both versions of RESP, however its bytes are sent.
#[track_caller]
fn resp(script: &str) {
    for dialect in [Dialect::Resp2, Dialect::Resp3] {
        for pace in Pace::ALL {
            let server = winter().start();
            play(server.connect(), dialect, pace, script);
        }
    }
}
