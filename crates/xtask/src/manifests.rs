//! Kubernetes's manifests, held against Kubernetes's own schemas.
//!
//! A field that is misspelt or stands in the wrong place is dropped by an API
//! server with a warning that nobody reads, and the pod runs without it. What
//! the manifests have to say, and how they agree with the settings, is checked
//! by the tests in `tests/manifests`.

use std::path::Path;
use std::process::{Command, Output};

use crate::gate::Gate;
use crate::process::{self, Outcome};

/// The versions of Kubernetes that the manifests are for: the first that knows
/// every field they use, and the last that the validator carries.
const VERSIONS: [&str; 2] = ["1.30", "1.37"];
/// Where `kubectl apply` is pointed at. It does not look into folders of these.
const FOLDERS: [&str; 2] = ["k8s", "k8s/deployment"];
/// A manifest that has to be refused, and the word that is wrong with it.
const MISSPELT: (&str, &str) = ("crates/xtask/tests/manifests/misspelt.yaml", "maxUnavailble");

/// Brings the validator.
pub(crate) fn install(gate: &Gate) -> Outcome {
    process::run(&mut gate.command("sh", &["crates/xtask/tests/manifests/install.sh"]))
}

/// Every manifest against every version; everything unknown is refused.
pub(crate) fn validate(gate: &Gate) -> Outcome {
    let files = manifests(gate)?;
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    for version in VERSIONS {
        process::run(&mut validator(gate, version, &files))?;
        refuses_the_misspelt(gate, version)?;
    }
    Ok(())
}

fn manifests(gate: &Gate) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    for folder in FOLDERS {
        let before = found.len();
        let files =
            std::fs::read_dir(gate.path(folder)).map_err(|error| format!("{folder}: {error}"))?;
        let names = files.filter_map(|file| file.ok()?.file_name().into_string().ok());
        let is_manifest = |name: &String| Path::new(name).extension().is_some_and(|e| e == "yaml");
        found.extend(names.filter(is_manifest).map(|name| format!("{folder}/{name}")));
        if found.len() == before {
            return Err(format!("{folder} has no manifests"));
        }
    }
    found.sort();
    Ok(found)
}

/// A check that cannot fail is a defect, and so is one that fails for another reason.
fn refuses_the_misspelt(gate: &Gate, version: &str) -> Outcome {
    let (file, word) = MISSPELT;
    let output = validator(gate, version, &[file]).output().map_err(|error| error.to_string())?;
    if !output.status.success() && said(&output).contains(word) {
        return Ok(());
    }
    Err(format!("`{word}` in {file} was not found, so nothing is: {}", said(&output)))
}

fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes)).concat()
}

fn validator(gate: &Gate, version: &str, files: &[&str]) -> Command {
    let options = ["-m", "kubernetes_validate", "--strict", "--kubernetes-version", version];
    let mut command = gate.command("python3", &[&options[..], files].concat());
    command.env("PYTHONPATH", gate.path("target/tools/kubernetes-validate"));
    command
}
