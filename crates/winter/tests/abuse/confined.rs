//! A server in a cgroup of its own, as in a container: what it takes for granted of
//! memory leaves enough beside it that the kernel kills nobody.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use winter_testkit::{eventually, metric};

use crate::watch::http;
use crate::winter;

/// What the group may have.
const LIMIT: u64 = 160 << 20;

/// A cgroup whose memory is limited.
struct Group(PathBuf);

impl Group {
    /// A new one; it takes root, and a mount that can be written to.
    fn new() -> io::Result<Self> {
        let groups = std::fs::read_to_string("/proc/self/cgroup")?;
        let line = groups.lines().find(|line| line.contains(":memory:"));
        let (parent, file) = match line.and_then(|line| line.splitn(3, ':').nth(2)) {
            Some(path) => {
                let mount = Path::new("/sys/fs/cgroup/memory");
                let own = mount.join(path.trim_start_matches('/'));
                (if own.is_dir() { own } else { mount.to_owned() }, "memory.limit_in_bytes")
            }
            // Version 2: a group with processes of its own has no children with limits.
            None => (PathBuf::from("/sys/fs/cgroup"), "memory.max"),
        };
        let group = Self(parent.join(format!("winter-test-{}", std::process::id())));
        std::fs::create_dir(&group.0)?;
        std::fs::write(group.0.join(file), LIMIT.to_string())?;
        Ok(group)
    }

    /// How a program begins that is to be in it.
    fn before_a_command(&self) -> Vec<String> {
        let script = format!("echo $$ > {}/cgroup.procs && exec \"$0\" \"$@\"", self.0.display());
        ["/bin/sh", "-c", &script].map(str::to_owned).into()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        eventually("the group is empty", || std::fs::remove_dir(&self.0).ok());
    }
}

#[test]
fn a_node_in_a_cgroup_fills_to_its_limit_and_is_not_killed() {
    let group = match Group::new() {
        Ok(group) => group,
        Err(error) => {
            // Past what captures the output of tests that pass.
            let _ = writeln!(io::stderr(), "NOT TESTED: no cgroup can be made here: {error}");
            return;
        }
    };
    let mut server = winter().by_way_of(group.before_a_command()).start();
    let page = |server| http(server, "/metrics").1;
    let limit = metric(&page(&server), "winter_memory_limit_bytes");
    assert_eq!(limit, Some(LIMIT / 100 * 75), "three quarters of the group's");
    let mut wire = server.connect();
    wire.exchange("CREATE t\n", "created\n");
    // Written, overwritten with other lengths and deleted, so that pages have gaps.
    let mut refused = 0;
    for n in 0..20_000u32 {
        let mut lines = String::new();
        for part in 0..16 {
            let length = [30, 100, 900, 2_500][(n + part) as usize % 4];
            let key = (n * 16 + part).wrapping_mul(0x9e37_79b1) % 150_000;
            lines += &format!("PUT t k{key} {}\n", "x".repeat(length + n as usize % 50));
        }
        lines += &format!("DELETE t k{}\n", n.wrapping_mul(0x85eb_ca6b) % 150_000);
        wire.send(&lines);
        for _ in 0..16 {
            let reply = wire.read_line();
            let is_refused = reply.starts_with("error memory: ");
            assert!(is_refused || reply.starts_with("ok "), "{reply}");
            refused += u32::from(is_refused);
        }
        wire.expect("ok\n");
        if refused > 20_000 {
            break;
        }
    }
    assert!(refused > 20_000, "only {refused} writes were refused");
    let counted = metric(&page(&server), "winter_memory_store_bytes").unwrap();
    let resident = metric(&page(&server), "winter_memory_resident_bytes").unwrap();
    assert!(counted > LIMIT / 2 && resident < LIMIT, "{counted} counted, {resident} resident");
    let standing = wire.ask_lines("SCAN t 0").pop().unwrap();
    assert!(wire.ask(&format!("GET t {standing}")).starts_with('x'));
    assert!(server.is_running());
    drop(server);
}
