//! Flag over environment over file over default.

use std::collections::BTreeMap;

use super::environment::{self, Environment};
use super::fault::{Origin, SettingFault};
use super::machine::FileReader;
use super::setting::Name;
use super::{file, flags};

/// What each source says, before anything is read as more than text.
#[derive(Debug)]
pub(super) struct Layers {
    flags: BTreeMap<Name, String>,
    environment: BTreeMap<Name, String>,
    file: BTreeMap<Name, String>,
    file_path: String,
}

/// The layers, and what was wrong or odd before a value was looked at.
#[derive(Debug)]
pub(super) struct Gathered {
    pub(super) layers: Layers,
    pub(super) faults: Vec<SettingFault>,
    pub(super) warnings: Vec<String>,
}

/// Gathers every source. The file is named by a flag or the environment.
pub(super) fn gather(
    args: &[String],
    environment: &Environment,
    read_file: FileReader<'_>,
) -> Gathered {
    let (flags, mut faults) = flags::read(args);
    let environment = environment::read(environment);
    faults.extend(environment.faults);
    let mut layers = Layers {
        flags,
        environment: environment.settings,
        file: BTreeMap::new(),
        file_path: String::new(),
    };
    if let Some((path, _)) = layers.said(Name::ConfigFile).filter(|(path, _)| !path.is_empty()) {
        let path = path.to_owned();
        let (found, wrong) = file::read(&path, read_file);
        faults.extend(wrong);
        (layers.file, layers.file_path) = (found, path);
    }
    Gathered { layers, faults, warnings: environment.warnings }
}

impl Layers {
    /// What was said for a setting, by whom; `None` if nobody said anything.
    pub(super) fn said(&self, name: Name) -> Option<(&str, Origin)> {
        let flag = self.flags.get(&name).map(|text| (text, Origin::Flag));
        let environment = || self.environment.get(&name).map(|text| (text, Origin::Environment));
        let file = || self.file.get(&name).map(|text| (text, Origin::File(self.file_path.clone())));
        flag.or_else(environment).or_else(file).map(|(text, origin)| (text.as_str(), origin))
    }
}
