//! What becomes of a cluster when its DNS is gone.

use winter_testkit::{Answer, eventually};

use crate::watch::{ask_all, standing};
use crate::{is_kept, keep, make, one, until_all_is_written, winter};

#[test]
fn a_cluster_that_stands_needs_no_dns() {
    for answer in [Answer::Silence, Answer::NoName, Answer::Addresses(Vec::new())] {
        let Some(mut pods) = winter().start() else { return };
        let id = one(&pods);
        keep(&pods);
        pods.dns.lie(move |_, _| answer.clone());
        let asked = pods.dns.asked(pods.ip(0));
        eventually("it was asked in vain", || {
            (pods.dns.asked(pods.ip(0)) > asked + 2).then_some(())
        });
        assert_eq!(one(&pods), id);
        make(&pods, "t");
        // Nor does it to get over a loss.
        let led = standing(&pods, 0).led_by(&standing(&pods, 2).me);
        pods.kill(2);
        eprintln!("the one that is killed led {led} partitions");
        until_all_is_written(&mut pods.connect(0), "t");
        is_kept(&pods);
        assert_eq!(standing(&pods, 0).cluster, id);
        let read = ask_all(&mut pods.connect(1), |n| format!("GET t k{n}"));
        assert!(read.iter().all(|reply| reply == "v"), "{read:?}");
    }
}
