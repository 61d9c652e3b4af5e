//! What the machine has: cores, memory, a terminal.
//!
//! Linux says it in files, so it is read through the same file reader as the
//! settings file, and tests bring files of their own.

use std::io;
use std::path::{Path, PathBuf};

use winter_core::command::parse::number;

/// Reads a file whole.
pub type FileReader<'a> = &'a dyn Fn(&Path) -> io::Result<String>;

/// What settings may be relative to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Cores that this process may use.
    pub cores: usize,
    /// Bytes of memory that this process may use: the least of the machine's
    /// and its cgroups' limits; `None` where the system does not say.
    pub memory_bytes: Option<u64>,
    /// Whether standard error is a terminal.
    pub stderr_is_terminal: bool,
}

/// Memory that is taken for granted where the system does not say, in bytes.
const MEMORY_BYTES_GUESS: u64 = 1 << 30;

impl Machine {
    /// Memory in bytes; a cautious guess where the system does not say.
    #[must_use]
    pub fn memory_bytes_or_guess(&self) -> u64 {
        self.memory_bytes.unwrap_or(MEMORY_BYTES_GUESS)
    }
}

/// The memory that a process may use: the least of the machine's own and of the
/// limits of its cgroup and that cgroup's parents, version 1 and 2.
pub(super) fn memory_bytes(read: FileReader<'_>) -> Option<u64> {
    let limits = limit_files(read).into_iter().filter_map(|path| {
        // Version 2 says `max` for no limit, which is no number.
        number(read(&path).ok()?.trim().as_bytes())
    });
    limits.chain(machine_bytes(read)).filter(|&bytes| bytes > 0).min()
}

fn machine_bytes(read: FileReader<'_>) -> Option<u64> {
    let text = read(Path::new("/proc/meminfo")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    number(line.trim().strip_suffix("kB")?.trim().as_bytes())?.checked_mul(1_024)
}

/// The files that may hold a limit. Inside a container the path that the kernel
/// names may not be mounted; the root of the mount is the container's own then.
fn limit_files(read: FileReader<'_>) -> Vec<PathBuf> {
    let groups = read(Path::new("/proc/self/cgroup")).unwrap_or_default();
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        if controllers.is_empty() {
            files.extend(upwards("/sys/fs/cgroup", path, "memory.max"));
        } else if controllers.split(',').any(|c| c == "memory") {
            files.extend(upwards("/sys/fs/cgroup/memory", path, "memory.limit_in_bytes"));
        }
    }
    files
}

fn upwards(mount: &str, path: &str, file: &str) -> Vec<PathBuf> {
    let relative = Path::new(path.trim_start_matches('/'));
    relative.ancestors().map(|ancestor| Path::new(mount).join(ancestor).join(file)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const MEMINFO: (&str, &str) = ("/proc/meminfo", "MemTotal:       1024 kB\nMemFree: 1 kB\n");
    const MACHINE: u64 = 1 << 20;

    fn memory(files: &[(&str, &str)]) -> Option<u64> {
        let files: BTreeMap<PathBuf, &str> =
            files.iter().map(|&(path, text)| (PathBuf::from(path), text)).collect();
        memory_bytes(&|path| {
            files
                .get(path)
                .map(|&text| text.to_owned())
                .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
        })
    }

    #[test]
    fn without_a_limit_it_is_the_machines() {
        assert_eq!(memory(&[MEMINFO]), Some(MACHINE));
        let unlimited =
            [MEMINFO, ("/proc/self/cgroup", "0::/\n"), ("/sys/fs/cgroup/memory.max", "max\n")];
        assert_eq!(memory(&unlimited), Some(MACHINE));
        let unlimited_v1 = [
            MEMINFO,
            ("/proc/self/cgroup", "4:memory:/\n"),
            ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
        ];
        assert_eq!(memory(&unlimited_v1), Some(MACHINE));
    }

    #[test]
    fn a_limit_of_version_2_holds() {
        let files = [
            MEMINFO,
            ("/proc/self/cgroup", "0::/system.slice/winter.service\n"),
            ("/sys/fs/cgroup/system.slice/winter.service/memory.max", "max\n"),
            ("/sys/fs/cgroup/system.slice/memory.max", "4096\n"),
        ];
        assert_eq!(memory(&files), Some(4_096));
    }

    #[test]
    fn a_limit_of_version_1_holds_where_the_path_is_not_mounted() {
        let files = [
            MEMINFO,
            ("/proc/self/cgroup", "8:cpu,cpuacct:/x\n7:memory:/docker/abc\n0::/\n"),
            ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "8192\n"),
        ];
        assert_eq!(memory(&files), Some(8_192));
    }

    #[test]
    fn a_system_that_says_nothing_is_unknown() {
        assert_eq!(memory(&[]), None);
    }
}
