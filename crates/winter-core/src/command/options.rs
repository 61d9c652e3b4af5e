//! The options of `CREATE`.

use std::fmt;

use super::parse::number;
use super::table::Verb;
use crate::fault::{Fault, echo};
use crate::time::Ttl;

/// What a table allows. `None` means no limit of the table's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableOptions {
    /// Most bytes that its entries may take (`MAXBYTES`).
    pub bytes_max: Option<u64>,
    /// Most entries (`MAXENTRIES`).
    pub entries_max: Option<u64>,
    /// Longest value in bytes (`MAXVALUE`).
    pub value_bytes_max: Option<u64>,
    /// Time to live of entries that name none (`TTL`).
    pub ttl: Option<Ttl>,
    /// Write-once (`ONCE yes`): `PUT`, `CAS` and `TOUCH` are refused.
    pub once: bool,
}

/// As `CREATE` takes them.
impl fmt::Display for TableOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::default() {
            return f.write_str("none");
        }
        let numbers = [
            ("MAXBYTES", self.bytes_max),
            ("MAXENTRIES", self.entries_max),
            ("MAXVALUE", self.value_bytes_max),
            ("TTL", self.ttl.map(Ttl::as_millis)),
        ];
        let mut gap = "";
        for (name, number) in numbers {
            if let Some(number) = number {
                write!(f, "{gap}{name} {number}")?;
                gap = " ";
            }
        }
        if self.once { write!(f, "{gap}ONCE yes") } else { Ok(()) }
    }
}

impl TableOptions {
    /// Reads `option value …` pairs, the words after the table's name.
    ///
    /// # Errors
    /// A `usage` or `limit` fault that names the option, what was given and what is accepted.
    pub fn parse(words: &[&[u8]]) -> Result<Self, Fault> {
        let mut options = Self::default();
        for pair in words.chunks(2) {
            let &[name, value] = pair else {
                return Err(Fault::usage(format!("option '{}' needs a value", echo(pair[0]))));
            };
            options.set(name, value)?;
        }
        Ok(options)
    }

    fn set(&mut self, name: &[u8], value: &[u8]) -> Result<(), Fault> {
        match name.to_ascii_uppercase().as_slice() {
            b"MAXBYTES" => self.bytes_max = Some(positive(name, value, size(value))?),
            b"MAXENTRIES" => self.entries_max = Some(positive(name, value, number(value))?),
            b"MAXVALUE" => self.value_bytes_max = Some(positive(name, value, size(value))?),
            b"TTL" => self.ttl = Some(super::parse::ttl(value, Verb::Create.spec())?),
            b"ONCE" => self.once = yes_or_no(value)?,
            _ => {
                return Err(Fault::usage(format!(
                    "unknown option '{}'; the options are MAXBYTES, MAXENTRIES, MAXVALUE, TTL, ONCE",
                    echo(name)
                )));
            }
        }
        Ok(())
    }

    /// Whether the table has a quota that every write must be measured against.
    #[must_use]
    pub const fn has_quota(&self) -> bool {
        self.bytes_max.is_some() || self.entries_max.is_some()
    }
}

/// A count of bytes: digits, then `kb`, `mb` or `gb` (of 1,024) or nothing.
#[must_use]
pub fn size(text: &[u8]) -> Option<u64> {
    let (digits, unit) = text.split_at(text.iter().take_while(|b| b.is_ascii_digit()).count());
    let shift = match unit.to_ascii_lowercase().as_slice() {
        b"" | b"b" => 0,
        b"kb" => 10,
        b"mb" => 20,
        b"gb" => 30,
        _ => return None,
    };
    number(digits)?.checked_mul(1 << shift)
}

fn positive(name: &[u8], value: &[u8], parsed: Option<u64>) -> Result<u64, Fault> {
    parsed.filter(|&n| n > 0).ok_or_else(|| {
        Fault::usage(format!(
            "option {} takes a number above 0 (sizes may end in kb, mb or gb), not '{}'",
            echo(name),
            echo(value)
        ))
    })
}

fn yes_or_no(value: &[u8]) -> Result<bool, Fault> {
    match value.to_ascii_lowercase().as_slice() {
        b"yes" => Ok(true),
        b"no" => Ok(false),
        _ => Err(Fault::usage(format!("option ONCE takes yes or no, not '{}'", echo(value)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_take_units() {
        assert_eq!(size(b"10"), Some(10));
        assert_eq!(size(b"64kb"), Some(65_536));
        assert_eq!(size(b"2GB"), Some(2 << 30));
        for bad in [&b""[..], b"kb", b"10GG", b"-1", b"1.5mb", b"18446744073709551615kb"] {
            assert_eq!(size(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn options_are_read_in_any_case_and_order() {
        let words: Vec<&[u8]> = "once yes MaxBytes 1mb TTL 5 MAXENTRIES 3 maxvalue 1kb"
            .split(' ')
            .map(str::as_bytes)
            .collect();
        let read = TableOptions::parse(&words).unwrap();
        let expected = TableOptions {
            bytes_max: Some(1 << 20),
            entries_max: Some(3),
            value_bytes_max: Some(1_024),
            ttl: Ttl::from_millis(5),
            once: true,
        };
        assert_eq!(read, expected);
    }

    #[test]
    fn options_are_written_as_they_are_read() {
        for written in
            ["MAXBYTES 1048576 MAXENTRIES 3 MAXVALUE 1024 TTL 5 ONCE yes", "ONCE yes", "TTL 5"]
        {
            let words: Vec<&[u8]> = written.split(' ').map(str::as_bytes).collect();
            assert_eq!(TableOptions::parse(&words).unwrap().to_string(), written);
        }
        assert_eq!(TableOptions::default().to_string(), "none");
    }

    #[test]
    fn a_bad_option_is_named() {
        for words in
            [&["TTL"][..], &["TTL", "0"], &["COLOR", "red"], &["ONCE", "1"], &["MAXBYTES", "0"]]
        {
            let words: Vec<&[u8]> = words.iter().map(|w| w.as_bytes()).collect();
            assert!(TableOptions::parse(&words).is_err(), "{words:?}");
        }
    }
}
