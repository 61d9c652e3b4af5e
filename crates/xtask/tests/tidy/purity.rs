//! Who may name what: the lines between what decides and what acts.

use crate::files::{File, assert_none, below, root};

/// Names that only some files may hold, and why.
struct Only {
    names: &'static [&'static str],
    within: &'static str,
    except: &'static [&'static str],
    why: &'static str,
}

/// What acts, or differs from one run to the next.
const OUTSIDE: &[&str] = &[
    "tokio",
    "SystemTime",
    "time::Instant",
    "std::net",
    "std::fs",
    "std::env",
    "std::thread",
    "std::process",
];

/// What draws a seed of its own, or has an order that one hangs on.
const RANDOM: &[&str] = &["HashMap", "HashSet", "RandomState", "DefaultHasher", "thread_rng"];

const ONLY: &[Only] = &[
    Only {
        names: OUTSIDE,
        within: "crates/winter-core/src/",
        except: &[],
        why: "core decides and does nothing else: bring it what it needs as an argument",
    },
    Only {
        names: RANDOM,
        within: "crates/winter-core/src/",
        except: &[],
        why: "core answers the same in every process: a BTreeMap has one order, and a seed comes in",
    },
    Only {
        names: OUTSIDE,
        within: "crates/winter-sim/src/",
        except: &[],
        why: "a seed must give the same workload and the same verdict, everywhere and for ever",
    },
    Only {
        names: &["tokio::net", "socket2::"],
        within: "crates/winter-server/src/",
        except: &["net"],
        why: "only `net` opens sockets, so that the server also runs on a simulated network",
    },
    Only {
        names: &["SystemTime", "UNIX_EPOCH"],
        within: "crates/winter-server/src/",
        except: &["clock"],
        why: "only `clock` reads the wall clock: a second reading could disagree with the first",
    },
    Only {
        names: &["env::var", "env::args"],
        within: "crates/winter-server/src/",
        except: &["config"],
        why: "only `config` reads the environment, whole, before a port is bound",
    },
    Only {
        names: &["use hyper", "hyper::"],
        within: "crates/winter-server/src/",
        except: &["http"],
        why: "only `http` knows of HTTP",
    },
    Only {
        names: &["openraft"],
        within: "crates/winter-server/src/",
        except: &["consensus"],
        why: "only `consensus` names the engine, so that it can be exchanged in one place",
    },
    Only {
        names: &["b\"+", "b\"-", "b\"$", "b\"*"],
        within: "crates/winter-server/src/",
        // Too many connections are told so before their first byte has come.
        except: &["listener"],
        why: "only core's `protocol` knows a byte of the wire",
    },
];

/// Crates that core may not depend on: what they bring is an argument there.
const NOT_IN_CORE: &[&str] =
    &["tokio", "rand", "getrandom", "fastrand", "time", "chrono", "mio", "socket2", "parking_lot"];

impl Only {
    fn broken_in(&self, file: &File) -> Vec<String> {
        let Some(inside) = file.path.strip_prefix(self.within) else { return Vec::new() };
        let module = inside.split(['/', '.']).next().unwrap_or_default();
        if self.except.contains(&module) {
            return Vec::new();
        }
        file.lines_that(self.why, |line| {
            let line = code_of(line);
            self.names.iter().any(|name| line.contains(name))
        })
    }
}

/// The line without its comment.
fn code_of(line: &str) -> &str {
    line.split("//").next().unwrap_or_default()
}

/// The names under `[dependencies]` of a manifest.
fn dependencies(manifest: &str) -> Vec<&str> {
    manifest
        .lines()
        .skip_while(|line| line.trim() != "[dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split(['.', '=', ' ']).next())
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .collect()
}

#[test]
fn only_its_module_names_it() {
    let files = below("crates", &[".rs"]);
    let broken: Vec<String> =
        ONLY.iter().flat_map(|only| files.iter().flat_map(|file| only.broken_in(file))).collect();
    assert_none(&broken);
}

#[test]
fn the_rules_can_fail() {
    for only in ONLY {
        let text = format!("let x = {};", only.names[0]);
        let path = format!("{}router/mod.rs", only.within);
        assert_eq!(only.broken_in(&File::imagined(&path, &text)).len(), 1, "{text}");
        assert_eq!(only.broken_in(&File::imagined("elsewhere.rs", &text)), [""; 0], "{text}");
        if let Some(module) = only.except.first() {
            let path = format!("{}{module}.rs", only.within);
            assert_eq!(only.broken_in(&File::imagined(&path, &text)), [""; 0], "{text}");
        }
    }
}

#[test]
fn core_depends_on_nothing_that_acts() {
    let path = root().join("crates/winter-core/Cargo.toml");
    let manifest = std::fs::read_to_string(path).expect("core has a manifest");
    let found = dependencies(&manifest);
    assert!(found.contains(&"thiserror"), "{found:?}");
    let broken: Vec<&&str> = found.iter().filter(|name| NOT_IN_CORE.contains(name)).collect();
    assert!(broken.is_empty(), "core may not depend on {broken:?}");
}

#[test]
fn dependencies_are_read_to_the_next_heading() {
    let manifest = "[package]\nname = \"a\"\n[dependencies]\ntokio.workspace = true\n# why\nrand = \"1\"\n\n[features]\nb = []\n";
    assert_eq!(dependencies(manifest), ["tokio", "rand"]);
}

#[test]
fn unsafe_code_stands_in_one_file_and_every_crate_takes_the_lints() {
    let root_manifest = std::fs::read_to_string(root().join("Cargo.toml")).expect("a manifest");
    assert!(root_manifest.contains("unsafe_code = \"deny\""));
    let relaxed: Vec<String> = below("crates", &["rs"])
        .into_iter()
        .filter(|file| file.text.contains("unsafe_code") && !file.path.contains("/tidy/"))
        .map(|file| format!("{}: {} unsafe", file.path, file.text.matches("unsafe {").count()))
        .collect();
    assert_eq!(relaxed, ["crates/winter-core/src/store/prefetch.rs: 1 unsafe"]);
    let manifests = below("crates", &["Cargo.toml"]);
    assert!(manifests.len() > 4, "found only {} crates", manifests.len());
    let broken: Vec<String> = manifests
        .iter()
        .filter(|file| !file.text.contains("[lints]\nworkspace = true"))
        .map(|file| format!("{}: needs [lints] workspace = true", file.path))
        .collect();
    assert_none(&broken);
}
