//! What is wrong with the settings, and where each came from.

use std::fmt;

use winter_core::fault::echo;

use super::setting::Setting;

/// Where a setting's value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A flag on the command line.
    Flag,
    /// A variable of the environment.
    Environment,
    /// The settings file at this path.
    File(String),
    /// Nobody said anything.
    Default,
}

impl Origin {
    /// The name by which `setting` is set there.
    pub(super) fn name_of(&self, setting: &Setting) -> String {
        match self {
            Self::Flag => format!("--{}", setting.flag),
            Self::File(_) => setting.file_key.unwrap_or(setting.flag).to_owned(),
            Self::Environment | Self::Default => setting.environment.to_owned(),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("flag"),
            Self::Environment => f.write_str("environment"),
            Self::File(path) => write!(f, "file {path}"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingFault {
    /// The setting, by the name that it has where it was set.
    pub name: String,
    /// What was written, unless it is a secret or nothing.
    pub value: Option<String>,
    /// Where.
    pub origin: Origin,
    /// What is accepted, or what to do.
    pub sentence: String,
}

impl SettingFault {
    /// A value that its setting does not accept.
    pub(super) fn unaccepted(setting: &Setting, value: &str, origin: &Origin) -> Self {
        Self {
            name: origin.name_of(setting),
            value: Some(value.to_owned()),
            origin: origin.clone(),
            sentence: format!("accepted is {}", setting.accepts),
        }
    }

    /// A name that no setting has.
    pub(super) fn unknown(name: &str, origin: Origin, closest: Option<String>) -> Self {
        let sentence = match closest {
            Some(closest) => format!("no such setting; did you mean {closest}?"),
            None => "no such setting; see winter --help".to_owned(),
        };
        Self { name: name.to_owned(), value: None, origin, sentence }
    }
}

impl fmt::Display for SettingFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&echo(self.name.as_bytes()))?;
        if let Some(value) = &self.value {
            write!(f, " = '{}'", echo(value.as_bytes()))?;
        }
        write!(f, " ({}): {}", self.origin, self.sentence)
    }
}

/// Everything that is wrong, at least one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingFaults(pub Vec<SettingFault>);

impl fmt::Display for SettingFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => f.write_str("1 setting is wrong:")?,
            n => write!(f, "{n} settings are wrong:")?,
        }
        self.0.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}

impl std::error::Error for SettingFaults {}

/// The candidate that `word` is most likely a slip of, if any is near.
pub(super) fn closest<'a>(
    word: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    let slips_max = (word.len() / 2).clamp(1, 3);
    candidates
        .map(|candidate| (slips(word, candidate), candidate))
        .filter(|&(slips, _)| slips <= slips_max)
        .min_by_key(|&(slips, _)| slips)
        .map(|(_, candidate)| candidate)
}

/// How many letters must be put in, taken away or changed (Levenshtein's distance).
fn slips(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let change = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_a_stranger_is_not() {
        let names = ["port", "peer-port", "max-memory"];
        assert_eq!(closest("prt", names.into_iter()), Some("port"));
        assert_eq!(closest("max-memroy", names.into_iter()), Some("max-memory"));
        assert_eq!(closest("colour", names.into_iter()), None);
    }

    #[test]
    fn what_a_fault_echoes_is_one_short_line() {
        let setting = super::super::Name::Port.setting();
        let value = format!("a\nb{}", "x".repeat(500));
        let text = SettingFault::unaccepted(setting, &value, &Origin::Environment).to_string();
        assert!(!text.contains('\n') && text.len() < 300, "{text}");
    }
}
