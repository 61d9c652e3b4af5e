//! Settings, from texts to values, without a process.

use std::io;
use std::path::Path;

use super::*;
use crate::consensus::ReadPolicy;

const MACHINE: Machine =
    Machine { cores: 8, memory_bytes: Some(4 << 30), stderr_is_terminal: false };

/// Reads the flags of a line, `NAME=value` variables and a file.
fn read(flags: &str, variables: &[&str], file: &str) -> Reading {
    let args: Vec<String> = flags.split_whitespace().map(str::to_owned).collect();
    let environment = variables
        .iter()
        .map(|variable| variable.split_once('=').expect("NAME=value"))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let reader = |path: &Path| {
        if path == Path::new("winter.toml") {
            Ok(file.to_owned())
        } else {
            Err(io::Error::from(io::ErrorKind::NotFound))
        }
    };
    Config::read(&args, &environment, &reader, &MACHINE)
}

fn config(reading: &Reading) -> &Config {
    reading.config.as_ref().unwrap_or_else(|faults| panic!("{faults}"))
}

fn faults(reading: &Reading) -> String {
    reading.config.as_ref().expect_err("something is wrong").to_string()
}

fn shown(name: Name, reading: &Reading) -> Option<String> {
    let effective = reading.effective.iter().find(|e| e.setting.name == name)?;
    Some(effective.means.clone().unwrap_or_else(|| effective.text.clone()))
}

#[test]
fn nothing_said_serves_as_documented() {
    let reading = read("", &[], "");
    let config = config(&reading);
    assert_eq!((config.bind.to_string().as_str(), config.port), ("127.0.0.1", 6060));
    assert_eq!((config.http_port, config.threads), (Some(6061), 8));
    assert_eq!(config.memory_bytes_max, (4 << 30) / 100 * 75);
    assert_eq!((config.value_bytes_max, config.output_bytes_max), (16 << 20, 64 << 20));
    assert_eq!(config.connections_max, 10_000);
    assert_eq!(config.request_timeout, Duration::from_secs(30));
    assert_eq!(config.write_timeout, Duration::from_secs(60));
    assert_eq!(config.drain_timeout, Duration::from_secs(10));
    assert_eq!(config.slow_command, Some(Duration::from_millis(10)));
    assert_eq!((config.log.as_str(), config.log_format), ("info", LogFormat::Json));
    assert_eq!(config.cluster, None);
    assert!(reading.warnings.is_empty(), "{:?}", reading.warnings);
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let file = "port = 1\nthreads = 1\nmax_value = '1mb'\n";
    let reading = read(
        "--port 3 --config winter.toml",
        &["RECEPTOR_PORT=2", "WINTER_THREADS=2", "WINTER_MAX_CONNECTIONS="],
        file,
    );
    let config = config(&reading);
    assert_eq!((config.port, config.threads, config.value_bytes_max), (3, 2, 1 << 20));
    assert_eq!(config.connections_max, 10_000, "an empty variable is not set");
    let origins: Vec<String> =
        reading.effective.iter().take(7).map(|e| e.origin.to_string()).collect();
    let (flag, default) = ("flag", "default");
    assert_eq!(origins, [flag, flag, default, default, "environment", default, "file winter.toml"]);
}

#[test]
fn the_file_may_be_named_by_the_environment() {
    let reading = read("", &["WINTER_CONFIG=winter.toml"], "bind = '::1'");
    assert_eq!(config(&reading).bind.to_string(), "::1");
}

/// For each setting: texts that are accepted and what they come to, and texts that are not.
const EXAMPLES: [(Name, &[&str], &[&str]); 23] = [
    (Name::ConfigFile, &["winter.toml"], &["other.toml"]),
    (Name::Port, &["0", "1", "65535"], &["x", "65536", "-1", "6060 ", "tcp:1"]),
    (Name::Bind, &["0.0.0.0", "::", "10.1.2.3"], &["localhost", "1.2.3", "1.2.3.4:5"]),
    (Name::HttpPort, &["0", "auto", "80"], &["none", "65536"]),
    (Name::Threads, &["cores", "1", "1024"], &["0", "1025", "all"]),
    (Name::MaxMemory, &["1%", "100%", "2gb", "1048576"], &["0%", "101%", "1kb", "half", "75 %"]),
    (Name::MaxValue, &["1", "64kb", "512mb"], &["0", "513mb", "16MiB", "-1"]),
    (Name::MaxConnections, &["1", "1000000"], &["0", "1000001", "1e3"]),
    (Name::MaxOutput, &["64kb", "16gb"], &["1kb", "17gb", ""]),
    (Name::RequestTimeout, &["1ms", "5s", "60m"], &["0", "61m", "30", "1h"]),
    (Name::WriteTimeout, &["1ms", "5s", "60m"], &["0", "61m", "30", "1h"]),
    (Name::DrainTimeout, &["0", "0s", "60m"], &["61m", "10", "1d"]),
    (Name::Log, &["debug", "warn,winter_server=trace"], &["loud", "info,", "winter_server=x"]),
    (Name::LogFormat, &["auto", "text", "json"], &["xml", "JSON"]),
    (Name::SlowCommand, &["0", "1ms", "1s"], &["10", "61m", "off"]),
    (Name::Distributed, &["false", "False"], &["yes", "1", "maybe"]),
    (Name::DnsServiceName, &["winter", "winter.default.svc."], &["a b", "-a", "a..b"]),
    (Name::DnsApplicationName, &["winter", "Winter_2.x-y"], &["a b", "a/b"]),
    (Name::Seeds, &["a:1", "a:1, b:2", "[::1]:6062"], &["a", "a:0", "a:1,", "a:1,,b:2"]),
    (Name::ClusterSize, &["1", "256"], &["0", "257", "three"]),
    (Name::Replicas, &["1", "7"], &["0", "8"]),
    (Name::Partitions, &["1", "256"], &["0", "257"]),
    (Name::PeerPort, &["1", "65535"], &["0", "x"]),
];

#[test]
fn every_setting_has_good_and_bad_values_from_every_source() {
    for (i, (name, good, bad)) in EXAMPLES.into_iter().enumerate() {
        let setting = name.setting();
        assert_eq!(name as usize, i, "EXAMPLES stand in the order of the settings");
        for text in good {
            let reading = read("", &[&format!("{}={text}", setting.environment)], "");
            config(&reading);
            assert!(shown(name, &reading).is_some());
            let reading = read_flag(setting, text);
            config(&reading);
        }
        for text in bad {
            if !text.is_empty() {
                let reading = read("", &[&format!("{}={text}", setting.environment)], "");
                assert_eq!(reading.config.expect_err(text).0.len(), 1, "{name:?} {text}");
            }
            let reading = read_flag(setting, text);
            assert_eq!(reading.config.expect_err(text).0.len(), 1, "{name:?} {text}");
            if let Some(key) = setting.file_key {
                let file = format!("{key} = {text:?}");
                let reading = read("--config winter.toml", &[], &file);
                assert_eq!(reading.config.expect_err(text).0.len(), 1, "{name:?} {text}");
            }
        }
    }
}

fn read_flag(setting: &Setting, text: &str) -> Reading {
    let args = [format!("--{}={text}", setting.flag)];
    let reader = |path: &Path| match path.to_str() {
        Some("winter.toml") => Ok(String::new()),
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    Config::read(&args, &Environment::new(), &reader, &MACHINE)
}

#[test]
fn relative_values_are_shown_as_what_they_came_to() {
    let reading = read("--max-memory 50%", &[], "");
    assert_eq!(shown(Name::MaxMemory, &reading).unwrap(), "2047 mb");
    assert_eq!(shown(Name::Threads, &reading).unwrap(), "8");
    assert_eq!(shown(Name::LogFormat, &reading).unwrap(), "json");
    assert_eq!(shown(Name::Seeds, &reading), None);
}

#[test]
fn ports_that_mean_any_or_none() {
    assert_eq!(config(&read("--http-port 0", &[], "")).http_port, None);
    assert_eq!(config(&read("--http-port auto", &[], "")).http_port, Some(0));
    let any = read("--port 0 --http-port auto", &[], "");
    assert_eq!(config(&any).port, 0);
    assert_eq!(config(&read("--slow-command 0", &[], "")).slow_command, None);
}

#[test]
fn everything_wrong_is_said_at_once() {
    let file = "threads = 0\nprot = 7070\nmax_value = 1.5\n[tls]\ncert = 'x'\n";
    let reading = read(
        "--config winter.toml --prot 7070 --bind localhost extra --log",
        &[
            "RECEPTOR_PORT=abc",
            "WINTER_MAX_MEMORY=lots",
            "WINTER_PASSWORD=hunter2",
            "IS_DISTRIBUTED=true",
        ],
        file,
    );
    assert_eq!(
        faults(&reading),
        "\
12 settings are wrong:
  --prot (flag): no such setting; did you mean --port?
  extra (flag): not a flag, and winter takes no such argument
  --log (flag): needs a value; accepted is error, warn, info, debug, trace or off, and target=level pairs, separated by commas
  WINTER_PASSWORD (environment): this version has no access control; unset it and let only trusted clients reach the port
  max_value = '1.5' (file winter.toml): accepted is a size from 1b to 512mb
  prot (file winter.toml): no such setting; did you mean port?
  tls (file winter.toml): no such setting; see winter --help
  RECEPTOR_PORT = 'abc' (environment): accepted is a port from 1 to 65535, or 0 for any free one
  --bind = 'localhost' (flag): accepted is an IP address, such as 127.0.0.1, 0.0.0.0 or ::
  threads = '0' (file winter.toml): accepted is a number from 1 to 1024, or cores
  WINTER_MAX_MEMORY = 'lots' (environment): accepted is a share from 1% to 100%, or a size of 1mb or more
  IS_DISTRIBUTED = 'true' (environment): it needs DNS_SERVICE_NAME and DNS_APPLICATION_NAME, or WINTER_SEEDS"
    );
}

#[test]
fn a_secret_is_not_repeated() {
    let reading = read("", &["WINTER_CLUSTER_SECRET=hunter2", "WINTER_TLS_KEY=hunter2"], "");
    assert!(!faults(&reading).contains("hunter2"));
}

#[test]
fn a_file_that_cannot_be_used_is_a_fault() {
    let missing = faults(&read("--config nowhere.toml", &[], ""));
    assert!(missing.contains("(file nowhere.toml): the file cannot be read"), "{missing}");
    let broken = faults(&read("--config winter.toml", &[], "port = 1\nbind =\n"));
    assert!(broken.contains("line 2 is not TOML"), "{broken}");
}

#[test]
fn what_kubernetes_injects_is_warned_of_and_ignored() {
    let reading = read(
        "",
        &[
            "WINTER_SERVICE_HOST=10.0.0.1",
            "WINTER_SERVICE_PORT=6060",
            "WINTER_SERVICE_PORT_CLIENTS=6060",
            "WINTER_PORT=tcp://10.0.0.1:6060",
            "WINTER_PORT_6060_TCP=tcp://10.0.0.1:6060",
            "WINTER_PORT_6060_TCP_ADDR=10.0.0.1",
            "WINTER_HTTP_PORT=tcp://10.0.0.2:80",
            "RECEPTOR_PORT=tcp://10.0.0.3:6060",
            "KUBERNETES_SERVICE_HOST=10.0.0.9",
        ],
        "",
    );
    let config = config(&reading);
    assert_eq!((config.port, config.http_port), (6060, Some(6061)));
    let [warning] = &reading.warnings[..] else { panic!("{:?}", reading.warnings) };
    assert!(warning.contains("RECEPTOR_PORT, WINTER_HTTP_PORT, WINTER_PORT, "), "{warning}");
    assert!(!warning.contains("KUBERNETES"), "{warning}");
}

#[test]
fn an_unknown_variable_of_ours_is_warned_of() {
    let reading = read(
        "",
        &["WINTER_MAX_MEMROY=1gb", "WINTER_IS_COMING=1", "WINTER_PORT=1", "PATH=/bin"],
        "",
    );
    config(&reading);
    assert_eq!(
        reading.warnings,
        [
            "ignored WINTER_IS_COMING: no such setting",
            "ignored WINTER_MAX_MEMROY: no such setting; did you mean WINTER_MAX_MEMORY?",
            "ignored WINTER_PORT: no such setting; did you mean RECEPTOR_PORT?",
        ]
    );
}

#[test]
fn a_cluster_is_read_whole() {
    let reading = read(
        "--distributed",
        &["DNS_SERVICE_NAME=winter.prod.svc", "DNS_APPLICATION_NAME=shop", "WINTER_CLUSTER_SIZE=3"],
        "",
    );
    let config = config(&reading);
    assert_eq!(config.bind.to_string(), "0.0.0.0", "the default of a distributed node");
    let expected = ClusterConfig {
        dns_service_name: Some("winter.prod.svc".to_owned()),
        application_name: "shop".to_owned(),
        seeds: Vec::new(),
        size: Some(3),
        replicas: 3,
        partitions: 16,
        peer_port: 6062,
        reads: ReadPolicy::Lease,
        command_timeout: Duration::from_secs(5),
    };
    assert_eq!(config.cluster.as_ref(), Some(&expected));
    assert!(reading.warnings.is_empty());
}

#[test]
fn seeds_may_stand_in_a_list() {
    let file = "distributed = true\nseeds = ['a:6062', 'b:6062']\nbind = '10.0.0.1'";
    let reading = read("--config winter.toml", &[], file);
    let cluster = config(&reading).cluster.as_ref().expect("distributed");
    let seeds: Vec<String> = cluster.seeds.iter().map(ToString::to_string).collect();
    assert_eq!(seeds, ["a:6062", "b:6062"]);
    assert_eq!(cluster.application_name, "winter");
}

#[test]
fn a_distributed_node_needs_to_find_its_cluster() {
    for (variable, missing) in [
        ("DNS_SERVICE_NAME=a", "DNS_APPLICATION_NAME, the cluster's name"),
        ("DNS_APPLICATION_NAME=a", "DNS_SERVICE_NAME or WINTER_SEEDS"),
    ] {
        let text = faults(&read("--distributed", &[variable], ""));
        assert!(text.contains(missing), "{text}");
    }
}

#[test]
fn values_are_shorter_in_a_cluster() {
    assert!(read("--max-value 512mb", &[], "").config.is_ok());
    assert!(read("--distributed --seeds a:1 --max-value 32mb", &[], "").config.is_ok());
    assert_eq!(
        faults(&read("--distributed --peer-port 0", &["WINTER_MAX_VALUE=33mb"], "")),
        "\
3 settings are wrong:
  --peer-port = '0' (flag): accepted is a port from 1 to 65535
  --distributed = 'true' (flag): it needs DNS_SERVICE_NAME and DNS_APPLICATION_NAME, or WINTER_SEEDS
  WINTER_MAX_VALUE = '33mb' (environment): with IS_DISTRIBUTED=true it is 32mb at the most"
    );
}

#[test]
fn cluster_settings_of_a_lone_node_are_warned_of() {
    let reading = read("--seeds a:1", &["WINTER_REPLICAS=3"], "");
    let expected = "without effect while IS_DISTRIBUTED is false: WINTER_SEEDS, WINTER_REPLICAS";
    assert_eq!(reading.warnings, [expected]);
}

#[test]
fn two_listeners_do_not_share_a_port() {
    let text = faults(&read("--http-port 6060", &[], ""));
    assert!(
        text.contains("--http-port = '6060' (flag): port 6060 is already that of RECEPTOR_PORT")
    );
    let peers = faults(&read("--distributed --seeds a:1 --peer-port 6061", &[], ""));
    assert!(peers.contains("already that of WINTER_HTTP_PORT"), "{peers}");
}

#[test]
fn limits_that_do_not_fit_together_are_warned_of() {
    let reading = read("--max-value 128mb --max-memory 8gb", &[], "");
    assert_eq!(reading.warnings.len(), 2, "{:?}", reading.warnings);
}

#[test]
fn the_documentation_shows_every_setting() {
    let table = settings_markdown();
    assert_eq!(table.lines().count(), SETTINGS.len() + 2);
    for setting in &SETTINGS {
        assert!(table.contains(&format!("| `{}` | `--{}` |", setting.environment, setting.flag)));
    }
    assert!(table.contains("`127.0.0.1`; `0.0.0.0` when distributed"));
}
