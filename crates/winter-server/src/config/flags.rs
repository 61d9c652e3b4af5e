//! Flags into settings: `--name value` or `--name=value`; the last of a kind holds.
//!
//! A parser of its own, because a library's stops at the first wrong flag, and
//! everything wrong is to be said at once.

use std::collections::BTreeMap;

use super::accepts::Accepts;
use super::fault::{Origin, SettingFault, closest};
use super::setting::{Name, SETTINGS, Setting};

/// Reads the flags of `args`, the program's name and command not among them.
pub(super) fn read(args: &[String]) -> (BTreeMap<Name, String>, Vec<SettingFault>) {
    let mut reading = Flags { rest: args, found: BTreeMap::new(), faults: Vec::new() };
    while let Some((arg, rest)) = reading.rest.split_first() {
        reading.rest = rest;
        reading.take(arg);
    }
    (reading.found, reading.faults)
}

struct Flags<'a> {
    rest: &'a [String],
    found: BTreeMap<Name, String>,
    faults: Vec<SettingFault>,
}

impl Flags<'_> {
    fn take(&mut self, arg: &str) {
        let Some(flag) = arg.strip_prefix("--") else {
            return self.fault(arg, "not a flag, and winter takes no such argument");
        };
        let (flag, value) = match flag.split_once('=') {
            Some((flag, value)) => (flag, Some(value.to_owned())),
            None => (flag, None),
        };
        let Some(setting) = SETTINGS.iter().find(|setting| setting.flag == flag) else {
            return self.unknown(flag, value.is_some());
        };
        match value.or_else(|| self.next_value(setting)) {
            Some(value) => {
                self.found.insert(setting.name, value);
            }
            None => self.fault(arg, &format!("needs a value; accepted is {}", setting.accepts)),
        }
    }

    /// The value that follows a flag. `--distributed` alone means true.
    fn next_value(&mut self, setting: &Setting) -> Option<String> {
        let next = self.rest.split_first().filter(|(next, _)| !next.starts_with("--"));
        if setting.accepts == Accepts::Truth {
            let said = next.filter(|(next, _)| Accepts::Truth.truth(next).is_some());
            return Some(self.advance(said).unwrap_or_else(|| "true".to_owned()));
        }
        self.advance(next)
    }

    fn advance(&mut self, next: Option<(&String, &[String])>) -> Option<String> {
        let (value, _) = next?;
        let value = value.clone();
        self.rest = &self.rest[1..];
        Some(value)
    }

    /// An unknown flag's value goes with it, so as to be one fault and not two.
    fn unknown(&mut self, flag: &str, has_value: bool) {
        let next = self.rest.split_first().filter(|(next, _)| !next.starts_with("--"));
        if !has_value {
            self.advance(next);
        }
        let closest = closest(flag, SETTINGS.iter().map(|setting| setting.flag));
        let closest = closest.map(|flag| format!("--{flag}"));
        self.faults.push(SettingFault::unknown(&format!("--{flag}"), Origin::Flag, closest));
    }

    fn fault(&mut self, arg: &str, sentence: &str) {
        self.faults.push(SettingFault {
            name: arg.to_owned(),
            value: None,
            origin: Origin::Flag,
            sentence: sentence.to_owned(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(line: &str) -> (Vec<(Name, String)>, Vec<String>) {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let (found, faults) = read(&args);
        let faults = faults.iter().map(|fault| fault.name.clone()).collect();
        (found.into_iter().collect(), faults)
    }

    #[test]
    fn both_spellings_are_read_and_the_last_holds() {
        let (found, faults) = flags("--port 1 --bind=:: --port=2");
        assert_eq!(found, [(Name::Port, "2".to_owned()), (Name::Bind, "::".to_owned())]);
        assert!(faults.is_empty());
    }

    #[test]
    fn a_truth_needs_no_value() {
        for (line, value) in [
            ("--distributed", "true"),
            ("--distributed --port 1", "true"),
            ("--distributed false", "false"),
            ("--distributed=maybe", "maybe"),
        ] {
            assert_eq!(flags(line).0.pop().unwrap(), (Name::Distributed, value.to_owned()));
        }
    }

    #[test]
    fn every_fault_is_named_once() {
        let (found, faults) = flags("serve --prot 7070 --x=1 --threads 2 --port");
        assert_eq!(found, [(Name::Threads, "2".to_owned())]);
        assert_eq!(faults, ["serve", "--prot", "--x", "--port"]);
    }

    #[test]
    fn a_flag_is_no_value_but_a_negative_number_is() {
        assert_eq!(flags("--port --bind ::").1, ["--port"]);
        assert_eq!(flags("--port -1").0, [(Name::Port, "-1".to_owned())]);
    }
}
