//! What the gate needs beside a Rust toolchain, and how it comes onto a machine.
//!
//! On Debian, as root, all of it is installed by the packages' own clients, and
//! only what is missing. Elsewhere what is missing is named, with the way to get
//! it. Nothing starts a service: a package that would is unpacked, not installed.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::gate::Gate;
use crate::process::{Outcome, answers, is_on_path, run, said};

/// A program, and the Debian package that brings it.
const PACKAGES: &[(&str, &str)] = &[
    ("cc", "gcc"),
    ("c++", "g++"),
    ("make", "make"),
    ("nc", "netcat-openbsd"),
    ("redis-cli", "redis-tools"),
    ("python3", "python3"),
    ("pip3", "python3-pip"),
    ("node", "nodejs"),
    ("npm", "npm"),
];

struct CargoTool {
    name: &'static str,
    /// The version that the gate was tried with.
    version: &'static str,
    /// What makes it quick to build: these tools wait for disks, not for an optimiser.
    options: &'static [&'static str],
}

const CARGO_TOOLS: &[CargoTool] =
    &[CargoTool { name: "cargo-deny", version: "0.20.2", options: &["--no-default-features"] }];

/// Installs what is missing. All of it is tried before anything is reported.
pub(crate) fn install(gate: &Gate) -> Outcome {
    let chores = [toolchain, packages, promtool, cargo_tools, clients];
    let missing: Vec<String> = chores.iter().filter_map(|chore| chore(gate).err()).collect();
    if missing.is_empty() { Ok(()) } else { Err(missing.join("\n")) }
}

fn toolchain(_gate: &Gate) -> Outcome {
    for part in ["cargo-fmt", "cargo-clippy"] {
        if !answers(part, "--version") {
            return Err(format!("{part} is missing: `rustup component add rustfmt clippy`"));
        }
    }
    if !answers("cargo-nextest", "--version") {
        println!("cargo-nextest is not installed: `cargo test` runs the tests instead");
    }
    Ok(())
}

fn packages(gate: &Gate) -> Outcome {
    let missing: Vec<&str> = PACKAGES
        .iter()
        .filter(|(program, _)| !is_on_path(program))
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    may_install(&missing.join(" "))?;
    run(&mut apt(gate, &["update"]))?;
    run(&mut apt(gate, &[&["install", "-y", "--no-install-recommends"], &missing[..]].concat()))
}

/// Whether Debian packages can be installed here.
fn may_install(packages: &str) -> Outcome {
    if !is_on_path("apt-get") {
        return Err(format!("install what these Debian packages hold: {packages}"));
    }
    if said("id", "-u").as_deref().map(str::trim) != Some("0") {
        return Err(format!("run `apt-get install {packages}` as root"));
    }
    Ok(())
}

fn apt(gate: &Gate, arguments: &[&str]) -> Command {
    let mut command = gate.command("apt-get", arguments);
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// Prometheus's own check of metrics. Its package would start a server, so the
/// program is taken out of it.
fn promtool(gate: &Gate) -> Outcome {
    let tool = gate.tools().join("bin/promtool");
    if tool.is_file() || is_on_path("promtool") {
        return Ok(());
    }
    let folder = gate.tools().join("prometheus");
    if !is_on_path("apt-get") {
        return Err("promtool is missing: it is part of Prometheus".to_owned());
    }
    let unpack = || -> std::io::Result<()> {
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder)?;
        fs::create_dir_all(gate.tools().join("bin"))
    };
    unpack().map_err(|error| format!("{}: {error}", folder.display()))?;
    let download = || run(apt(gate, &["download", "prometheus"]).current_dir(&folder));
    if download().is_err() {
        run(&mut apt(gate, &["update"]))?;
        download()?;
    }
    let archive = first_file(&folder).ok_or("apt-get downloaded nothing")?;
    run(gate.command("dpkg", &["-x", &archive, "."]).current_dir(&folder))?;
    fs::rename(folder.join("usr/bin/promtool"), &tool)
        .and_then(|()| fs::remove_dir_all(&folder))
        .map_err(|error| format!("{}: {error}", tool.display()))
}

fn first_file(folder: &Path) -> Option<String> {
    let entry = fs::read_dir(folder).ok()?.next()?.ok()?;
    entry.file_name().into_string().ok()
}

fn cargo_tools(gate: &Gate) -> Outcome {
    for tool in CARGO_TOOLS.iter().filter(|tool| !is_on_path(tool.name)) {
        let install = ["install", "--quiet", "--locked", "--profile", "dev"];
        let what = [tool.name, "--version", tool.version];
        gate.cargo(&[&install[..], &what, tool.options].concat())?;
    }
    Ok(())
}

/// The client libraries that the wire is tested with.
fn clients(gate: &Gate) -> Outcome {
    run(&mut gate.command("sh", &["crates/winter/tests/clients/install.sh"]))
}
