//! What the gate needs beside a Rust toolchain, and how it comes onto a machine.
//!
//! On Debian, as root, all of it is installed by the packages' own clients, and
//! only what is missing. Elsewhere what is missing is named, with the way to get
//! it. Nothing starts a service: a package that would is unpacked, not installed.

use std::process::Command;

use crate::gate::Gate;
use crate::manifests;
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
    // Hosts of one's own, and what they lose of what they are sent.
    ("ip", "iproute2"),
    ("nft", "nftables"),
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
    let chores = [toolchain, packages, promtool, cargo_tools, clients, manifests::install];
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

/// Prometheus's own check of metrics.
fn promtool(gate: &Gate) -> Outcome {
    run(&mut gate.command("sh", &["crates/winter/tests/tools.sh"]))
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
