//! The command line as `--help` shows it, made from the table of settings.

use std::ffi::OsString;

use clap::{Arg, ArgMatches, Command};
use winter_core::command::parse::number;
use winter_server::config::{
    Environment, Name, Origin, SETTINGS, Setting, SettingFault, is_service_link,
};

use crate::exit::Exit;
use crate::{complain, printed};

const ABOUT: &str = "\
Winter keeps tables of keys and values in memory and serves them over TCP, to
people with nc and to any Redis client, on one port. Made for leases, caches
and coordination: entries expire to the millisecond, every write has a version
that only grows, and one table's trouble is not another's.";

const AFTER: &str = "\
Try it:
  $ winter &
  $ nc 127.0.0.1 6060
  CREATE fruit
  created
  PUTNEW fruit apple red EXPIRE 60000
  ok
  PUTNEW fruit apple green
  ok
  GET fruit apple
  red
  HELP

The same with winter cli, which also does as scripts do:
  $ winter cli GET fruit apple
  red

A flag wins over its environment variable, that over the settings file, that
over the default. Sizes end in kb, mb or gb; times in ms, s or m.

Exit status: 0 stopped as asked; 64 settings are wrong, all of them named;
69 an address cannot be had; 74 the system gave no thread, or did not take the
output; 75 a node of a cluster has to be started again, as a new member; 130 or
143 told to stop a second time, by SIGINT or SIGTERM: clients were cut off.";

/// `winter` and its commands, for help.
pub(crate) fn winter() -> Command {
    let help = Arg::new("help").short('h').long("help").help("This text");
    let version = Arg::new("version").short('V').long("version").help("The version");
    Command::new("winter")
        .about(ABOUT)
        .after_help(AFTER)
        .override_usage("winter [COMMAND] [FLAGS]")
        .disable_help_flag(true)
        .disable_help_subcommand(true)
        .subcommand(Command::new("serve").about("Serve, as without a command"))
        .subcommand(cli())
        .subcommand(bench())
        .subcommand(
            Command::new("check-config").about("Say what the settings come to, and what is wrong"),
        )
        .subcommand(recover())
        .subcommand(Command::new("help").about("This text, or that of cli, bench or recover"))
        .args([help, version].map(|arg| arg.action(clap::ArgAction::SetTrue)))
        .args(SETTINGS.iter().map(flag))
}

fn flag(setting: &'static Setting) -> Arg {
    let default = match (setting.default, setting.default_distributed) {
        (None, _) => "no default".to_owned(),
        (Some(text), None) => format!("default {text}"),
        (Some(text), Some(distributed)) => {
            format!("default {text}, {distributed} when distributed")
        }
    };
    Arg::new(setting.flag)
        .long(setting.flag)
        .value_name(setting.accepts.placeholder())
        .help_heading(setting.group.title())
        .help(format!("{}\n{}; {default}; {}", setting.help, setting.environment, setting.accepts))
}

/// `winter cli`.
pub(crate) fn cli() -> Command {
    Command::new("cli")
        .bin_name("winter cli")
        .about("Talk to a node: one command, a prompt, or the lines of standard input")
        .after_help(
            "Words given as arguments are sent as they are, whatever bytes they hold. At the\n\
             prompt and on standard input a line is cut as the line dialect cuts it: data is\n\
             everything after the key's one space.\n\n\
             Exit status: 0 done; 1 an error was answered; 64 arguments are wrong; 69 nobody\n\
             answers; 74 the output cannot be written.",
        )
        .args(target())
        .arg(
            Arg::new("command")
                .value_name("COMMAND")
                .help("A command and its words")
                .num_args(0..)
                .trailing_var_arg(true)
                .allow_hyphen_values(true)
                .value_parser(clap::value_parser!(OsString)),
        )
}

/// `winter recover`.
pub(crate) fn recover() -> Command {
    Command::new("recover")
        .bin_name("winter recover")
        .about("After a majority was lost for good: show what is left, and go on with it")
        .after_help(
            "A node that is left is asked over HTTP. It says what would be lost, and the plan's\n\
             name; with --plan, or once the name is typed at a terminal, that plan is carried\n\
             out, unless it has changed since.\n\n\
             Exit status: 0 done, shown, or nothing to do; 1 refused; 64 arguments are wrong;\n\
             69 nobody answers; 74 the output cannot be written.",
        )
        .args([
            host(),
            Arg::new("http-port")
                .long("http-port")
                .value_name("PORT")
                .value_parser(clap::value_parser!(u16).range(1..))
                .help("Its port for HTTP [default: WINTER_HTTP_PORT, or else 6061]"),
            Arg::new("plan")
                .long("plan")
                .value_name("NAME")
                .help("Carry out the plan of this name"),
        ])
}

/// `winter bench`.
pub(crate) fn bench() -> Command {
    let number = |name: &'static str, default: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .value_name("N")
            .default_value(default)
            .value_parser(clap::value_parser!(u64).range(1..=1_000_000_000))
            .help(help)
    };
    Command::new("bench")
        .bin_name("winter bench")
        .about("Load a node: write keys that are new, then read them at random")
        .after_help(
            "A table of its own is made for it and dropped at the end. One thread sends; a\n\
             connection sends a batch, waits for all replies, and sends the next. Latency is a\n\
             batch's, from its write to its last reply.\n\n\
             Exit status: 0 done; 1 the load failed, or was refused; 64 arguments are wrong;\n\
             69 nobody answers; 74 the output cannot be written.",
        )
        .args(target())
        .args([
            number("connections", "50", "Connections"),
            number("pipeline", "1", "Requests in a batch"),
            number("keys", "200000", "Keys, each written once"),
            number("value-size", "64", "Bytes of a value"),
            number("seconds", "5", "How long to read"),
        ])
        .arg(
            Arg::new("rate")
                .long("rate")
                .value_name("N")
                .value_parser(clap::value_parser!(u64).range(1..))
                .help("Requests a second at the most [default: as many as can be]"),
        )
}

fn target() -> [Arg; 2] {
    [
        host(),
        Arg::new("port")
            .short('p')
            .long("port")
            .value_name("PORT")
            .value_parser(clap::value_parser!(u16).range(1..))
            .help("Its port [default: RECEPTOR_PORT, or else 6060]"),
    ]
}

fn host() -> Arg {
    Arg::new("host").long("host").value_name("HOST").default_value("127.0.0.1").help("Where")
}

/// Reads the arguments of `command`; what clap has to say is said.
pub(crate) fn parse(command: Command, args: &[OsString]) -> Result<ArgMatches, Exit> {
    let args = std::iter::once(OsString::from("winter")).chain(args.iter().cloned());
    command.try_get_matches_from(args).map_err(|error| {
        let outcome = error.print();
        if error.use_stderr() { Exit::Usage } else { printed(outcome) }
    })
}

/// The host and port that `target` asks for.
pub(crate) fn host_and_port(
    matches: &ArgMatches,
    environment: &Environment,
) -> Result<(String, u16), Exit> {
    let host: &String = matches.get_one("host").expect("it has a default");
    Ok((host.clone(), port(matches, Name::Port, environment)?))
}

/// Where the node that `recover` names answers HTTP.
pub(crate) fn http_address(
    matches: &ArgMatches,
    environment: &Environment,
) -> Result<String, Exit> {
    let host: &String = matches.get_one("host").expect("it has a default");
    Ok(at(host, port(matches, Name::HttpPort, environment)?))
}

/// The port that a flag names, or else the environment; what is wrong with it is said.
fn port(matches: &ArgMatches, name: Name, environment: &Environment) -> Result<u16, Exit> {
    if let Some(&port) = matches.get_one(name.setting().flag) {
        return Ok(port);
    }
    port_of(name, environment).map_err(|fault| {
        complain(format_args!("winter: {fault}"));
        Exit::Usage
    })
}

/// A host and a port as one address.
pub(crate) fn at(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// The port of a node with the same environment, as in its own container.
fn port_of(name: Name, environment: &Environment) -> Result<u16, SettingFault> {
    let setting = name.setting();
    let read = |text: &str| number(text.as_bytes()).and_then(|n| u16::try_from(n).ok());
    let said = environment
        .get(setting.environment)
        .filter(|text| !text.is_empty() && !is_service_link(setting.environment, text));
    let Some(text) = said else {
        return Ok(setting.default.and_then(read).expect("the default is a port"));
    };
    read(text).filter(|&port| port > 0).ok_or_else(|| SettingFault {
        name: setting.environment.to_owned(),
        value: Some(text.clone()),
        origin: Origin::Environment,
        sentence: format!("it is no port to connect to; give --{}", setting.flag),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_mentions_every_setting() {
        let help = winter().term_width(0).render_help().to_string();
        for setting in &SETTINGS {
            let (flag, environment) = (setting.flag, setting.environment);
            assert!(help.contains(&format!("--{flag} ")), "{flag}");
            assert!(help.contains(&format!("{environment}; ")), "{environment}");
            assert!(help.contains(setting.help), "{environment}");
            assert!(help.contains(&format!("{}:", setting.group.title())), "{environment}");
        }
    }

    #[test]
    fn command_lines_are_consistent() {
        cli().debug_assert();
        bench().debug_assert();
        recover().debug_assert();
    }

    #[test]
    fn the_words_of_a_command_are_taken_as_they_are() {
        let args = ["--port", "7", "PUT", "t", "-k", "--help", ""].map(OsString::from);
        let matches = parse(cli(), &args).expect("they are right");
        let words: Vec<_> = matches.get_many::<OsString>("command").expect("some").collect();
        assert_eq!(words, ["PUT", "t", "-k", "--help", ""]);
        assert_eq!(host_and_port(&matches, &Environment::new()), Ok(("127.0.0.1".to_owned(), 7)));
    }

    #[test]
    fn the_port_is_that_of_a_node_beside() {
        let port = |said: &str| {
            let said = [("RECEPTOR_PORT".to_owned(), said.to_owned())];
            port_of(Name::Port, &said.into_iter().collect()).ok()
        };
        assert_eq!(port("7000"), Some(7_000));
        assert_eq!(port(""), Some(6_060));
        assert_eq!(port("tcp://10.0.0.1:1"), Some(6_060), "as Kubernetes sets it for a Service");
        for bad in ["0", "abc", "70000", "+7000", " 7000"] {
            assert_eq!(port(bad), None, "{bad:?}");
        }
    }
}
