//! Tables as a whole: what one node has answered, every other knows at once.

use std::collections::BTreeSet;

use winter_testkit::{Reply, Server, eventually, request};

use crate::watch::{ask_all, create, fill, number_of, standing};
use crate::winter;

#[test]
fn a_table_is_there_and_gone_through_every_node_as_soon_as_one_has_said_so() {
    let cluster = winter().start();
    let mut lines: Vec<_> = (0..3).map(|n| cluster.connect(n)).collect();
    for turn in 0..12 {
        let (first, table) = (turn % 3, format!("t{turn}"));
        create(&mut lines[first], &table);
        for (n, line) in lines.iter_mut().enumerate() {
            line.exchange(format!("CREATE {table}\n"), "already created\n");
            line.exchange(format!("PUTNEW {table} k{n} v{n}\n"), "ok\n");
            assert_eq!(line.ask(&format!("COUNT {table}")), (n + 1).to_string());
            assert_eq!(line.ask_lines("TABLES"), [table.as_str()]);
            let fields = line.ask_lines(&format!("DESCRIBE {table}"));
            assert!(fields.contains(&format!("entries {}", n + 1)), "{fields:?}");
        }
        for line in &mut lines {
            line.exchange(format!("GET {table} k0\nGET {table} k2\n"), "v0\nv2\n");
            let mut scanned = line.ask_lines(&format!("SCAN {table} 0"));
            scanned.sort();
            assert_eq!(scanned, ["0", "k0", "k1", "k2"]);
        }
        lines[(first + 1) % 3].exchange(format!("DROP {table}\n"), "dropped\n");
        for line in &mut lines {
            line.exchange(format!("GET {table} k0\n"), "missing table\n");
            line.exchange(format!("PUTNEW {table} k v\n"), "missing table\n");
            line.exchange(
                format!("COUNT {table}\nSCAN {table} 0\n"),
                "missing table\nmissing table\n",
            );
            line.exchange(
                format!("DESCRIBE {table}\nDROP {table}\n"),
                "missing table\nmissing table\n",
            );
            assert_eq!(line.ask_lines("TABLES"), [""; 0]);
        }
    }
}

#[test]
fn a_table_is_there_and_gone_in_resp_through_every_node_too() {
    let cluster = winter().start();
    let mut wires: Vec<_> = (0..3).map(|n| cluster.connect(n)).collect();
    for turn in 0..6 {
        let first = turn % 3;
        assert_eq!(wires[first].call(&["CREATE", "t"]), Reply::Simple("created".into()));
        for (n, wire) in wires.iter_mut().enumerate() {
            let key = format!("k\r\n{n}");
            assert_eq!(wire.call(&["PUTNEW", "t", &key, "v\r\n"]), Reply::Simple("ok".into()));
            assert_eq!(wire.call(&["COUNT", "t"]).integer(), i64::try_from(n).unwrap() + 1);
            assert_eq!(wire.call(&["TABLES"]), Reply::Array(vec![Reply::bulk("t")]));
        }
        for wire in &mut wires {
            assert_eq!(wire.call(&["GET", "t", "k\r\n2"]), Reply::bulk("v\r\n"));
            assert_eq!(wire.call(&["GET", "t", "k"]), Reply::NullBulk);
        }
        assert_eq!(wires[(first + 2) % 3].call(&["DROP", "t"]), Reply::Simple("dropped".into()));
        for wire in &mut wires {
            wire.send(request(&["GET", "t", "k\r\n2"]));
            wire.expect("-MISSINGTABLE missing table\r\n");
        }
    }
}

#[test]
fn a_name_that_is_dropped_and_made_anew_is_an_empty_table() {
    let cluster = winter().start();
    let mut wires: Vec<_> = (0..3).map(|n| cluster.connect(n)).collect();
    let mut script = String::new();
    let mut replies = String::new();
    for n in 0..6 {
        script +=
            &format!("CREATE t\nGET t k\nPUTNEW t k v{n}\nGET t k\nCOUNT t\nDROP t\nGET t k\n");
        replies += &format!("created\nnil\nok\nv{n}\n1\ndropped\nmissing table\n");
    }
    for wire in &mut wires {
        // All of it in one pipeline: CREATE and DROP are barriers.
        wire.exchange(&script, &replies);
    }
}

#[test]
fn of_many_that_make_one_table_one_has_made_it() {
    let cluster = winter().start();
    for table in ["t", "u", "v"] {
        let making: Vec<_> = (0..9)
            .map(|n| {
                let mut wire = cluster.connect(n % 3);
                std::thread::spawn(move || {
                    let said = wire.ask(&format!("CREATE {table} MAXENTRIES {}", n + 10));
                    (said, wire.ask(&format!("PUTNEW {table} k{n} v")))
                })
            })
            .collect();
        let said: Vec<_> = making.into_iter().map(|client| client.join().unwrap()).collect();
        assert_eq!(said.iter().filter(|(made, _)| made == "created").count(), 1, "{said:?}");
        let others = said.iter().filter(|(made, _)| made == "already created").count();
        assert_eq!(
            (others, said.iter().filter(|(_, put)| put == "ok").count()),
            (8, 9),
            "{said:?}"
        );
        assert_eq!(cluster.connect(1).ask(&format!("COUNT {table}")), "9");
    }
}

#[test]
fn a_tables_options_and_sizes_are_described_as_by_a_node_alone() {
    let cluster = winter().start();
    let alone = Server::of(env!("CARGO_BIN_EXE_winter")).start();
    let fields = |wire: &mut winter_testkit::Wire| {
        create(wire, "t MAXENTRIES 10 MAXBYTES 1mb MAXVALUE 1kb TTL 100000 ONCE yes");
        wire.exchange("PUTNEW t k v\n", "ok\n");
        let fields = wire.ask_lines("DESCRIBE t");
        // Replicas may allocate each in its own way.
        let is_shared = |field: &String| !field.starts_with("allocated_bytes ");
        fields.into_iter().filter(is_shared).collect::<Vec<_>>()
    };
    assert_eq!(fields(&mut cluster.connect(1)), fields(&mut alone.connect()));
}

/// Scans a table in steps that look at `count` entries, each through `next(step)`: the
/// keys of each step.
#[track_caller]
fn scan_in_steps(
    table: &str,
    count: usize,
    mut next: impl FnMut(usize) -> winter_testkit::Wire,
) -> Vec<Vec<String>> {
    let (mut cursor, mut steps) = ("0".to_owned(), Vec::new());
    while steps.is_empty() || cursor != "0" {
        assert!(steps.len() < 10_000, "a scan ends");
        let mut keys = next(steps.len()).ask_lines(&format!("SCAN {table} {cursor} COUNT {count}"));
        cursor = keys.remove(0);
        steps.push(keys);
    }
    steps
}

/// Scans table `t` in steps, each through `next(step)`: the keys.
#[track_caller]
fn scan(next: impl FnMut(usize) -> winter_testkit::Wire) -> BTreeSet<String> {
    scan_in_steps("t", 50, next).into_iter().flatten().collect()
}

#[test]
fn a_scan_goes_on_through_other_nodes() {
    let cluster = winter().start();
    create(&mut cluster.connect(0), "t");
    fill(&mut cluster.connect(1), "t", 2_000, "v");
    let keys = scan(|step| cluster.connect(step % 3));
    assert_eq!(keys.len(), 2_000);
    assert_eq!(cluster.connect(2).ask("COUNT t"), "2000");
}

#[test]
fn a_scan_goes_on_when_leaders_are_lost() {
    let mut cluster = winter().start();
    create(&mut cluster.connect(0), "t");
    fill(&mut cluster.connect(1), "t", 2_000, "v");
    let leader = standing(&cluster, 0).leaders[0].clone();
    let lost = number_of(&cluster, &leader);
    let other = (lost + 1) % 3;
    let keys = scan(|step| {
        if step == 3 {
            // In the midst of the first partition.
            cluster.kill(lost);
            eventually("every partition has a leader", || {
                let replies = ask_all(&mut cluster.connect(other), |n| format!("GET t k{n}"));
                replies.iter().all(|reply| reply == "v").then_some(())
            });
        }
        cluster.connect(other)
    });
    assert_eq!(keys.len(), 2_000, "keys that stand are returned");
}

/// A step is over with the key that completes a mebibyte, however many entries it was to
/// look at, and wherever in a partition that key lies.
#[test]
fn a_step_of_a_scan_ends_with_a_mebibyte_of_keys() {
    const KEY_BYTES: usize = 16_000;
    const STEP_KEYS_MAX: usize = (1_usize << 20).div_ceil(KEY_BYTES);
    let cluster = winter().start();
    // About 40 keys in each partition, and about 100.
    for (table, count) in [("few", 160), ("many", 400)] {
        create(&mut cluster.connect(0), table);
        let key = |n| format!("{n:0KEY_BYTES$}");
        let puts: String = (0..count).map(|n| format!("PUTNEW {table} {} v\n", key(n))).collect();
        cluster.connect(1).exchange(puts, "ok\n".repeat(count));
        let steps = scan_in_steps(table, 10_000, |step| cluster.connect(step % 3));
        let lengths: Vec<usize> = steps.iter().map(Vec::len).collect();
        let (last, whole) = lengths.split_last().expect("there is a step at least");
        assert!(whole.iter().all(|keys| *keys == STEP_KEYS_MAX), "{lengths:?}");
        assert!(*last <= STEP_KEYS_MAX, "{lengths:?}");
        let found: BTreeSet<String> = steps.into_iter().flatten().collect();
        assert!(found == (0..count).map(key).collect(), "{} keys of {count}", found.len());
    }
}
