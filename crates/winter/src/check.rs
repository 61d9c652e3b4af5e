//! `winter check-config`: what the settings come to, without starting anything.

use winter_core::fault::echo;
use winter_server::config::{Config, Effective, Reading};

use crate::exit::Exit;
use crate::{complain, say};

/// Prints what holds to standard output, what is wrong or odd to standard error.
pub(crate) fn run(args: &[String]) -> Exit {
    let reading = Config::from_process(args);
    let printed = say(&table(&reading));
    for warning in &reading.warnings {
        complain(format_args!("warning: {warning}"));
    }
    match &reading.config {
        Ok(_) => printed,
        Err(faults) => {
            complain(faults);
            Exit::Usage
        }
    }
}

fn table(reading: &Reading) -> String {
    let rows: Vec<[String; 3]> = reading.effective.iter().map(row).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let (first, second) = (width(0), width(1));
    let line =
        |[name, value, origin]: &[String; 3]| format!("{name:first$}  {value:second$}  {origin}\n");
    rows.iter().map(line).collect()
}

fn row(effective: &Effective) -> [String; 3] {
    let Effective { setting, text, means, origin, is_wrong } = effective;
    let value = match means {
        _ if *is_wrong => format!("'{}'", echo(text.as_bytes())),
        Some(means) => format!("{text} ({means})"),
        None => text.clone(),
    };
    let wrong = if *is_wrong { ": wrong" } else { "" };
    [setting.environment.to_owned(), value, format!("{origin}{wrong}")]
}
