//! A majority that is lost for good: nothing is done by itself, and an operator
//! goes on with what is left.

use std::process::{Command, Output};

use winter_testkit::{TestCluster, eventually};

use crate::watch::{KEYS_FOR_ALL, ask_all, create, number_of, standing};
use crate::winter;

/// `winter recover` at a node.
fn recover(cluster: &TestCluster, number: usize, args: &[&str]) -> Output {
    let host = cluster.address(number).ip().to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_winter"));
    command.args(["recover", "--host", &host]).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The plan's name, as it is shown.
#[track_caller]
fn plan(shown: &Output) -> String {
    let shown = text(&shown.stdout);
    let line = shown.lines().find_map(|line| line.strip_prefix("plan "));
    line.unwrap_or_else(|| panic!("no plan: {shown}")).to_owned()
}

/// Waits until every replica has applied what its leader has: what was
/// acknowledged is then on all of them.
fn until_all_have_all(cluster: &TestCluster) {
    eventually("all replicas have applied the same", || {
        let applied = |number: usize| -> Vec<(String, String)> {
            let lines = cluster.connect(number).ask_lines("CLUSTER");
            let words = |line: &String| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
            let lines = lines.iter().filter(|line| line.starts_with("partition ")).map(words);
            let of = |words: Vec<String>| {
                let at = words.iter().position(|word| word == "applied")?;
                Some((words[1].clone(), words[at + 1].clone()))
            };
            lines.filter_map(of).collect()
        };
        let mut all: Vec<_> = cluster.running().into_iter().flat_map(applied).collect();
        all.sort_unstable();
        all.dedup();
        all.windows(2).all(|pair| pair[0].0 != pair[1].0).then_some(())
    });
}

#[test]
fn nothing_is_recovered_while_nothing_is_lost() {
    let mut cluster = winter().start();
    let id = standing(&cluster, 0).cluster;
    for lost in [None, Some(2)] {
        lost.into_iter().for_each(|number| cluster.kill(number));
        let shown = recover(&cluster, 0, &[]);
        assert!(shown.status.success(), "{shown:?}");
        assert!(text(&shown.stdout).starts_with("nothing is to be recovered: "), "{shown:?}");
    }
    let refused = cluster.http(0, "/recover/0123456789abcdef").unwrap();
    assert!(refused.starts_with("HTTP/1.1 405 "), "a page that is only looked at: {refused}");
    assert_eq!(standing(&cluster, 0).cluster, id);
    let nobody = recover(&cluster, 2, &[]);
    assert_eq!(nobody.status.code(), Some(69), "{nobody:?}");
}

#[test]
fn the_one_that_is_left_goes_on_as_another_cluster_once_it_is_told_to() {
    let mut cluster = winter().set("WINTER_COMMAND_TIMEOUT", "1s").start();
    create(&mut cluster.connect(0), "t");
    let written = ask_all(&mut cluster.connect(1), |n| format!("PUTNEW t k{n} v{n}"));
    assert!(written.iter().all(|reply| reply == "ok"), "{written:?}");
    until_all_have_all(&cluster);
    let former = standing(&cluster, 0).cluster;
    cluster.kill(1);
    cluster.kill(2);
    let shown = eventually("the others are missed", || {
        let shown = recover(&cluster, 0, &[]);
        (text(&shown.stdout).contains("lost 2")).then_some(shown)
    });
    let lines = text(&shown.stdout);
    assert_eq!(lines.matches("1 of 3 replicas in reach, goes on from ").count(), 5, "{lines}");
    assert!(text(&shown.stderr).contains("Nothing was done."), "{shown:?}");
    let refused = recover(&cluster, 0, &["--plan", "0123456789abcdef"]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let mut wire = cluster.connect(0);
    let reply = wire.ask("PUT t other v");
    // It may have led until just now, and have begun with it.
    let is_done =
        ["error unavailable: ", "error unknown: "].iter().all(|why| !reply.starts_with(why));
    assert!(!is_done, "it waits to be told: {reply}");

    let done = recover(&cluster, 0, &["--plan", &plan(&shown)]);
    assert!(done.status.success(), "{done:?}");
    let after = standing(&cluster, 0);
    assert_ne!(after.cluster, former);
    assert!(text(&done.stdout).contains(&format!("cluster {}\n", after.cluster)), "{done:?}");
    eventually("it serves", || {
        let replies = ask_all(&mut wire, |n| format!("GET t k{n}"));
        let is_kept = |(n, reply): (usize, &String)| *reply == format!("v{n}");
        replies.iter().enumerate().all(is_kept).then_some(())
    });
    create(&mut wire, "new");
    // Others join what is left, and are given all of it.
    cluster.start(1);
    cluster.start(2);
    cluster.wait_until_ready();
    for number in 0..3 {
        assert_eq!(standing(&cluster, number).cluster, after.cluster);
    }
    until_all_have_all(&cluster);
    cluster.kill(0);
    eventually("those who joined go on without the first", || {
        let replies = ask_all(&mut cluster.connect(1), |n| format!("GET t k{n}"));
        let is_kept = |(n, reply): (usize, &String)| *reply == format!("v{n}");
        replies.iter().enumerate().all(is_kept).then_some(())
    });
}

#[test]
fn a_partition_of_which_nothing_is_left_begins_anew_and_others_keep_theirs() {
    let mut cluster = winter().founders(5).set("WINTER_COMMAND_TIMEOUT", "1s").start();
    create(&mut cluster.connect(0), "t");
    let written = ask_all(&mut cluster.connect(1), |n| format!("PUTNEW t k{n} v{n}"));
    assert!(written.iter().all(|reply| reply == "ok"), "{written:?}");
    let versions = ask_all(&mut cluster.connect(1), |n| format!("GETS t k{n}"));
    let version = |reply: &str| reply.split(' ').next().and_then(|word| word.parse::<u64>().ok());
    let greatest = versions.iter().filter_map(|reply| version(reply)).max().unwrap();
    until_all_have_all(&cluster);
    let seen = standing(&cluster, 0);
    let lost: Vec<usize> = seen.replicas[0].iter().map(|node| number_of(&cluster, node)).collect();
    lost.iter().for_each(|&number| cluster.kill(number));
    let left = cluster.running();
    let shown = eventually("the others are missed", || {
        let shown = recover(&cluster, left[0], &[]);
        text(&shown.stdout).contains("lost 3").then_some(shown)
    });
    let lines = text(&shown.stdout);
    assert!(
        lines.contains("partition 0: 0 of 3 replicas in reach, all of its keys are lost"),
        "{lines}"
    );
    let done = recover(&cluster, left[0], &["--plan", &plan(&shown)]);
    assert!(done.status.success(), "{done:?}");
    assert_eq!(text(&done.stdout).matches(" goes on\n").count(), 2, "{done:?}");
    let mut wire = cluster.connect(left[1]);
    let written = eventually("every partition is written to, and has the table", || {
        let replies = ask_all(&mut wire, |n| format!("ADD t k{n} new"));
        let is_done = |reply: &String| reply.starts_with("exists ") || reply.starts_with("added ");
        replies.iter().all(is_done).then_some(replies)
    });
    let anew = written.iter().filter(|reply| reply.starts_with("added ")).count();
    eprintln!("{anew} of {KEYS_FOR_ALL} keys were lost with their partitions");
    assert!((1..KEYS_FOR_ALL).contains(&anew), "{written:?}");
    let versions = ask_all(&mut wire, |n| format!("GETS t k{n}"));
    for (n, reply) in versions.iter().enumerate() {
        let is_kept = reply.ends_with(&format!(" v{n}"));
        let is_new = reply.ends_with(" new") && version(reply) > Some(greatest);
        assert!(is_kept || is_new, "k{n}: {reply}");
    }
}
