//! The environment into settings, beside what Kubernetes puts there.
//!
//! For a Service named `winter` every pod of its namespace gets
//! `WINTER_PORT=tcp://…`, `WINTER_SERVICE_HOST=…` and more of the kind. Such
//! variables, and unknown ones that begin as ours do, are warned of and ignored:
//! nobody wrote them for this program. A variable that is empty is not set.

use std::collections::BTreeMap;

use super::fault::{Origin, SettingFault, closest};
use super::setting::{Name, SETTINGS};

/// The environment's variables, by name.
pub type Environment = BTreeMap<String, String>;

/// What the environment says.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) settings: BTreeMap<Name, String>,
    pub(super) faults: Vec<SettingFault>,
    pub(super) warnings: Vec<String>,
}

/// Reads the variables that concern this program.
pub(super) fn read(environment: &Environment) -> Found {
    let mut found = Found::default();
    let mut injected = Vec::new();
    for (name, value) in environment.iter().filter(|(_, value)| !value.is_empty()) {
        let setting = SETTINGS.iter().find(|setting| setting.environment == name);
        if setting.is_none() && !name.starts_with("WINTER_") {
            continue;
        }
        if is_service_link(name, value) {
            injected.push(name.as_str());
        } else if let Some(setting) = setting {
            found.settings.insert(setting.name, value.clone());
        } else if let Some(later) = LATER.iter().find(|later| name.starts_with(later.prefix)) {
            found.faults.push(SettingFault {
                name: name.clone(),
                value: None,
                origin: Origin::Environment,
                sentence: later.sentence.to_owned(),
            });
        } else {
            found.warnings.push(unknown(name));
        }
    }
    if !injected.is_empty() {
        found.warnings.push(format!(
            "ignored {}: Kubernetes sets them for Services; enableServiceLinks: false in the pod's spec stops it",
            injected.join(", ")
        ));
    }
    found
}

fn unknown(name: &str) -> String {
    // Not every variable begins with WINTER_, and not every one is named as its key.
    let key = name.trim_start_matches("WINTER_").to_ascii_lowercase();
    let by_key = SETTINGS.iter().find(|setting| setting.file_key == Some(&key));
    let names = || SETTINGS.iter().map(|setting| setting.environment);
    match by_key.map(|setting| setting.environment).or_else(|| closest(name, names())) {
        Some(closest) => format!("ignored {name}: no such setting; did you mean {closest}?"),
        None => format!("ignored {name}: no such setting"),
    }
}

/// Whether a variable is of the kind that Kubernetes sets for each Service.
#[must_use]
pub fn is_service_link(name: &str, value: &str) -> bool {
    let is_url = ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    let part_of_port = |(_, rest): (&str, &str)| rest.starts_with(|c: char| c.is_ascii_digit());
    (is_url && name.ends_with("_PORT"))
        || name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.split_once("_PORT_").is_some_and(part_of_port)
}

/// A part of the environment that a later version will read. Set today it would
/// be ignored, and someone would trust it: so it is a fault.
#[derive(Clone, Copy, Debug)]
pub struct Later {
    /// How the variables' names begin.
    pub prefix: &'static str,
    /// What to know and do.
    pub sentence: &'static str,
}

/// Every setting that this version does not have yet.
pub const LATER: [Later; 3] = [
    Later {
        prefix: "WINTER_PASSWORD",
        sentence: "this version has no access control; unset it and let only trusted clients reach the port",
    },
    Later {
        prefix: "WINTER_TLS_",
        sentence: "this version has no TLS; unset it and let only trusted networks reach the port",
    },
    Later {
        prefix: "WINTER_CLUSTER_SECRET",
        sentence: "in this version nodes do not prove who they are to each other; unset it and let only trusted networks reach the peer port",
    },
];
