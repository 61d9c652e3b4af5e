//! HTTP as probes and Prometheus meet it, asked of the real binary: pages,
//! metrics and what they say, clients that misbehave, and the drain.

#![expect(clippy::panic, reason = "what a test cannot read fails it")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use winter_server::metrics::{Kind, METRICS, Metric, TABLES_SHOWN_MAX};
use winter_testkit::{Server, ServerBuilder, Wire, eventually};

fn winter() -> ServerBuilder {
    Server::of(env!("CARGO_BIN_EXE_winter"))
}

/// What came back for a request.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    /// Reads an answer to the end of its connection.
    #[track_caller]
    fn read(mut wire: Wire) -> Self {
        let bytes = wire.read_to_end();
        let text = String::from_utf8(bytes).expect("pages are text");
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no page: {text}"));
        let status = head.strip_prefix("HTTP/1.").and_then(|head| head.get(2..5));
        let status =
            status.and_then(|s| s.parse().ok()).unwrap_or_else(|| panic!("no code: {head}"));
        Self { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    fn length_said(&self) -> Option<usize> {
        self.head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
    }
}

#[track_caller]
fn send(http: SocketAddr, request: impl AsRef<[u8]>) -> Wire {
    let mut wire = Wire::connect(http);
    wire.send(request);
    wire
}

#[track_caller]
fn ask(http: SocketAddr, method: &str, path: &str) -> Answer {
    Answer::read(send(http, format!("{method} {path} HTTP/1.1\r\nHost: winter\r\n\r\n")))
}

/// The series of a scrape and their values.
struct Scrape {
    text: String,
    series: BTreeMap<String, f64>,
}

impl Scrape {
    #[track_caller]
    fn of(server: &Server) -> Self {
        let answer = ask(server.http(), "GET", "/metrics");
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert!(answer.head.contains("content-type: text/plain; version=0.0.4"), "{}", answer.head);
        let mut series = BTreeMap::new();
        for line in answer.body.lines().filter(|line| !line.starts_with('#')) {
            let (name, value) = line.rsplit_once(' ').expect("a name and a value");
            let value = value.parse().unwrap_or_else(|error| panic!("{line}: {error}"));
            assert_eq!(series.insert(name.to_owned(), value), None, "twice: {name}");
        }
        Self { text: answer.body, series }
    }

    fn find(&self, series: &str) -> Option<f64> {
        self.series.get(series).copied()
    }

    #[track_caller]
    fn value(&self, series: &str) -> f64 {
        self.find(series).unwrap_or_else(|| panic!("no {series} in\n{}", self.text))
    }

    /// The values of all series of the metric `name`.
    fn all<'s>(&'s self, name: &'s str) -> impl Iterator<Item = f64> + 's {
        let is_of = move |series: &str| series.split('{').next() == Some(name);
        self.series.iter().filter(move |(series, _)| is_of(series)).map(|(_, value)| *value)
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Runs `promtool` with `input`, which must find no fault.
#[track_caller]
fn promtool(arguments: &[&str], input: &str) {
    let tool = repository().join("target/tools/prometheus/usr/bin/promtool");
    assert!(tool.is_file(), "promtool is missing: run crates/winter/tests/tools.sh");
    let mut process = Command::new(tool)
        .args(arguments)
        .current_dir(repository())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool can be started");
    let mut stdin = process.stdin.take().expect("it is piped");
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = process.wait_with_output().expect("promtool ends");
    // Promtool may have no use for its input.
    let _ = writer.join().expect("no panic");
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (said(&output.stdout), said(&output.stderr));
    assert!(output.status.success(), "promtool {arguments:?}: {out}{err}");
}

/// A server of which every metric has something to tell.
fn busy() -> (Server, Wire) {
    let server = winter().start();
    let mut wire = server.connect();
    for line in
        ["CREATE plain", "CREATE \"quoted", "CREATE few MAXENTRIES 1", "CREATE small MAXBYTES 1mb"]
    {
        wire.ask(line);
    }
    for (line, reply) in [
        ("PUT plain k v", "ok"),
        ("PUT few a b", "ok"),
        ("PUT few c d", "error quota"),
        ("GET plain k", "v"),
        ("FLY", "unrecognized command"),
    ] {
        let answer = wire.ask(line);
        assert!(answer.starts_with(reply), "{line}: {answer}");
    }
    (server, wire)
}

/// A node that is a cluster alone, on an address of its own: nodes say where
/// they are, so the port of their peers cannot be any free one.
fn distributed() -> Server {
    let [high, low] = std::process::id().to_be_bytes()[2..] else { unreachable!("4 bytes") };
    let host = format!("127.{}.{high}.{low}", 100 + high % 100);
    let server = winter()
        .set("IS_DISTRIBUTED", true)
        .set("WINTER_SEEDS", format!("{host}:6062"))
        .set("WINTER_CLUSTER_SIZE", 1)
        .set("WINTER_BIND", &host)
        .start();
    eventually("it is a cluster", || {
        (ask(server.http(), "GET", "/readyz").status == 200).then_some(())
    });
    server
}

#[test]
fn a_node_of_a_cluster_tells_of_it_and_promtool_finds_no_fault() {
    let server = distributed();
    let mut wire = server.connect();
    assert_eq!(wire.ask("CREATE t"), "created");
    assert!(wire.ask("PUT t k v").starts_with("ok "));
    assert_eq!(wire.ask("GET t k"), "v");
    let scrape = Scrape::of(&server);
    are_there(&scrape, METRICS.iter().filter(|metric| metric.labels != ["table"]));
    for (series, value) in [
        ("winter_cluster_members{state=\"up\"}", 1.0),
        ("winter_cluster_waiting{for=\"nothing\"}", 1.0),
        ("winter_cluster_waiting{for=\"dns\"}", 0.0),
        ("winter_cluster_partitions", 16.0),
        ("winter_cluster_partitions_hosted", 16.0),
        ("winter_cluster_partitions_led", 16.0),
        ("winter_cluster_partitions_leaderless", 0.0),
        ("winter_cluster_partitions_short", 0.0),
        ("winter_cluster_leader_changes_total", 0.0),
        ("winter_cluster_rivals_total", 0.0),
        ("winter_peer_refused_total{reason=\"not_winter\"}", 0.0),
        ("winter_table_entries{table=\"t\"}", 1.0),
        ("winter_tables", 1.0),
        ("winter_faults_total{kind=\"unavailable\"}", 0.0),
    ] {
        assert_eq!(scrape.value(series), value, "{series}");
    }
    // Sixteen partitions and the meta group; each was elected and took the table in.
    assert!(scrape.value("winter_cluster_elections_total") >= 17.0);
    assert!(scrape.value("winter_cluster_commit_duration_seconds_count") >= 17.0);
    assert!(scrape.value("winter_cluster_apply_duration_seconds_count") >= 17.0);
    let entries = scrape.value("winter_cluster_entry_operations_count");
    assert!(scrape.value("winter_cluster_entry_operations_sum") >= entries && entries >= 17.0);
    assert!(scrape.value("winter_cluster_log_bytes") > 0.0);
    promtool(&["check", "metrics"], &scrape.text);
}

#[test]
fn cluster_and_info_say_how_it_stands() {
    let server = distributed();
    let mut wire = server.connect();
    assert_eq!(wire.ask("CREATE t"), "created");
    let lines = wire.ask_lines("CLUSTER");
    let word = |line: &str, field: &str| {
        let mut words = line.split(' ').skip_while(|word| *word != field);
        words.nth(1).unwrap_or_else(|| panic!("no {field} in {line}")).to_owned()
    };
    let (cluster, node) = (word(&lines[0], "cluster"), word(&lines[2], "self"));
    assert_eq!((cluster.len(), node.len()), (32, 16));
    for (field, value) in
        [("nodes", "1"), ("partitions", "16"), ("tables", "1"), ("meta_leader", node.as_str())]
    {
        assert_eq!(word(&lines[0], field), value, "{}", lines[0]);
    }
    assert_eq!(lines[1], "state ok");
    for (field, value) in [("ready", "yes"), ("leads", "16"), ("hosts", "16")] {
        assert_eq!(word(&lines[2], field), value, "{}", lines[2]);
    }
    assert_eq!((word(&lines[3], "node"), word(&lines[3], "state")), (node.clone(), "up".into()));
    assert_eq!(lines.len(), 4 + 16);
    for (n, line) in lines[4..].iter().enumerate() {
        assert_eq!(word(line, "partition"), n.to_string());
        assert_eq!((word(line, "leader"), word(line, "lag")), (node.clone(), "0".into()));
    }
    let info = wire.ask_lines("INFO cluster");
    for field in [
        "# Cluster".to_owned(),
        "cluster_enabled:0".to_owned(),
        format!("cluster_id:{cluster}"),
        format!("cluster_node:{node}"),
        "cluster_state:ok".to_owned(),
        "cluster_partitions_led:16".to_owned(),
    ] {
        assert!(info.contains(&field), "{field}: {info:#?}");
    }
    let log = server.log();
    assert!(log.iter().any(|line| line.contains("the cluster is founded")), "{log:#?}");
    assert!(!log.iter().any(|line| line.contains("openraft")), "{log:#?}");
}

#[test]
fn a_node_that_waits_for_others_says_for_what() {
    let [high, low] = std::process::id().to_be_bytes()[2..] else { unreachable!("4 bytes") };
    let host = format!("127.{}.{high}.{low}", 200 + high % 50);
    let server = winter()
        .set("IS_DISTRIBUTED", true)
        .set("WINTER_SEEDS", format!("{host}:6062"))
        .set("WINTER_CLUSTER_SIZE", 2)
        .set("WINTER_BIND", &host)
        .start();
    let why = "waits for 2 nodes (WINTER_CLUSTER_SIZE); 1 listed";
    eventually("it says so", || {
        let answer = ask(server.http(), "GET", "/readyz");
        (answer.body == format!("not ready: {why}\n")).then_some(())
    });
    let lines = server.connect().ask_lines("CLUSTER");
    assert_eq!((lines[0].as_str(), lines[1].as_str()), ("cluster none", &*format!("state {why}")));
    let scrape = Scrape::of(&server);
    assert_eq!(scrape.value("winter_cluster_waiting{for=\"too_few\"}"), 1.0);
    assert_eq!(scrape.value("winter_ready"), 0.0);
    promtool(&["check", "metrics"], &scrape.text);
}

#[track_caller]
fn are_there<'m>(scrape: &Scrape, metrics: impl Iterator<Item = &'m Metric>) {
    for metric in metrics {
        let name = metric.name;
        let kind = metric.kind.word();
        assert!(
            scrape.text.contains(&format!("# TYPE {name} {kind}\n")),
            "{name}\n{}",
            scrape.text
        );
        let suffixes: &[&str] = match metric.kind {
            Kind::Histogram => &["_bucket", "_sum", "_count"],
            _ => &[""],
        };
        for suffix in suffixes {
            assert!(scrape.all(&format!("{name}{suffix}")).next().is_some(), "{name}{suffix}");
        }
    }
}

#[test]
fn every_metric_of_the_table_is_there_and_promtool_finds_no_fault() {
    let (server, _wire) = busy();
    let scrape = Scrape::of(&server);
    let alone = || METRICS.iter().filter(|metric| !metric.distributed);
    are_there(&scrape, alone());
    let families = scrape.text.lines().filter(|line| line.starts_with("# TYPE ")).count();
    assert_eq!(families, alone().count(), "nothing is there but what the table tells");
    promtool(&["check", "metrics"], &scrape.text);
}

#[test]
fn values_move_as_they_should() {
    let server = winter().start();
    let before = Scrape::of(&server);
    assert_eq!(before.value("winter_connections_open"), 0.0);
    assert_eq!(before.value("winter_tables"), 0.0);
    assert_eq!(before.value("winter_ready"), 1.0);

    let mut wire = server.connect();
    let dialogue = [
        ("CREATE t MAXENTRIES 2", "created"),
        ("PUTNEW t k value", "ok"),
        ("PUTNEW t k other", "ok"),
        ("GET t k", "value"),
        ("GET t none", "nil"),
        ("GET nowhere k", "missing table"),
        ("DELETE t none", "ok"),
    ];
    let (mut sent, mut came) = (0, 0);
    for (line, reply) in dialogue {
        assert_eq!(wire.ask(line), reply, "{line}");
        (sent, came) = (sent + line.len() + 1, came + reply.len() + 2);
    }
    let after = Scrape::of(&server);
    let rise = |series: &str| after.value(series) - before.find(series).unwrap_or(0.0);
    assert_eq!(rise("winter_connections_accepted_total"), 1.0);
    assert_eq!(after.value("winter_connections_open"), 1.0);
    assert_eq!(rise("winter_received_bytes_total"), sent as f64);
    assert!((rise("winter_sent_bytes_total") - came as f64).abs() <= dialogue.len() as f64);
    for (series, count) in [
        ("winter_commands_total{command=\"create\",result=\"ok\"}", 1.0),
        ("winter_commands_total{command=\"putnew\",result=\"ok\"}", 2.0),
        ("winter_commands_total{command=\"get\",result=\"ok\"}", 1.0),
        ("winter_commands_total{command=\"get\",result=\"nil\"}", 1.0),
        ("winter_commands_total{command=\"get\",result=\"missing_table\"}", 1.0),
        ("winter_command_duration_seconds_count{command=\"get\"}", 3.0),
        ("winter_table_entries{table=\"t\"}", 1.0),
        ("winter_table_limit_entries{table=\"t\"}", 2.0),
        ("winter_table_operations_total{table=\"t\"}", 5.0),
        ("winter_tables_operations_total", 5.0),
        ("winter_tables", 1.0),
        ("winter_tables_entries", 1.0),
        ("winter_tables_fenced", 0.0),
    ] {
        assert_eq!(rise(series), count, "{series}");
    }
    assert!(rise("winter_memory_store_bytes") >= after.value("winter_tables_allocated_bytes"));
    assert!(after.value("winter_uptime_seconds") > before.value("winter_uptime_seconds"));

    wire.ask("PUT t second x");
    assert!(wire.ask("PUT t third x").starts_with("error quota"));
    wire.ask("NONSENSE");
    let operations = Scrape::of(&server).value("winter_tables_operations_total");
    wire.ask("DROP t");
    wire.send("QUIT\n");
    let _ = wire.read_to_end();
    let end = eventually("the session is over", || {
        let scrape = Scrape::of(&server);
        (scrape.value("winter_connections_open") == 0.0).then_some(scrape)
    });
    for (series, count) in [
        ("winter_rejections_total{limit=\"quota\"}", 1.0),
        ("winter_rejections_total{limit=\"memory\"}", 0.0),
        ("winter_tables_rejections_total", 1.0),
        ("winter_faults_total{kind=\"quota\"}", 1.0),
        ("winter_faults_total{kind=\"unknown_command\"}", 1.0),
        ("winter_faults_total{kind=\"internal\"}", 0.0),
        ("winter_sessions_ended_total{reason=\"quit\"}", 1.0),
        ("winter_tables", 0.0),
        ("winter_tables_operations_total", operations),
    ] {
        assert_eq!(end.value(series), count, "{series}");
    }
    assert_eq!(end.find("winter_table_entries{table=\"t\"}"), None, "it was dropped");
}

#[test]
fn what_has_expired_is_reclaimed_and_counted() {
    let server = winter().start();
    let mut wire = server.connect();
    wire.ask("CREATE t");
    for key in 0..100 {
        wire.ask(&format!("PUT t {key} x EXPIRE 20"));
    }
    eventually("all is reclaimed", || {
        let scrape = Scrape::of(&server);
        let is_done = scrape.value("winter_expired_entries_total") == 100.0
            && scrape.value("winter_table_entries{table=\"t\"}") == 0.0;
        is_done.then_some(())
    });
}

#[test]
fn every_session_that_began_has_one_end() {
    let server = winter().set("WINTER_REQUEST_TIMEOUT", "200ms").start();
    drop(server.connect());
    let mut protocol = server.connect();
    protocol.send("*1\r\n:1\r\n");
    let _ = protocol.read_to_end();
    let mut half = server.connect();
    half.send("GET t");
    let _ = half.read_to_end();
    let stays = server.connect();
    let scrape = eventually("the others are gone", || {
        let scrape = Scrape::of(&server);
        let ended: f64 = scrape.all("winter_sessions_ended_total").sum();
        let is_settled = ended == 3.0 && scrape.value("winter_connections_open") == 1.0;
        is_settled.then_some(scrape)
    });
    for reason in ["client", "protocol", "request_timeout"] {
        let series = format!("winter_sessions_ended_total{{reason=\"{reason}\"}}");
        assert_eq!(scrape.value(&series), 1.0, "{series}");
    }
    assert_eq!(scrape.value("winter_connections_accepted_total"), 4.0);
    drop(stays);
}

#[test]
fn names_that_clients_choose_do_not_grow_the_metrics_without_end() {
    let server = winter().start();
    let mut wire = server.connect();
    let tables = 3 * TABLES_SHOWN_MAX;
    let before = Scrape::of(&server).series.len();
    for table in 0..tables {
        wire.ask(&format!("CREATE t{table:03}"));
        wire.ask(&format!("PUT t{table:03} k {}", "x".repeat(table)));
        wire.ask(&format!("WORD{table}"));
        wire.ask(&format!("GET none{table} k"));
    }
    let scrape = Scrape::of(&server);
    let shown: BTreeSet<_> = scrape
        .series
        .keys()
        .filter_map(|series| {
            series.strip_prefix("winter_table_entries{table=\"")?.strip_suffix("\"}")
        })
        .collect();
    assert_eq!(shown.len(), TABLES_SHOWN_MAX);
    assert_eq!(shown.first(), Some(&"t200"), "the largest are shown");
    assert_eq!(scrape.value("winter_tables"), tables as f64);
    assert_eq!(scrape.value("winter_tables_left_out"), (tables - TABLES_SHOWN_MAX) as f64);
    for what in ["entries", "bytes", "allocated_bytes"] {
        let sum: f64 = scrape.all(&format!("winter_table_{what}")).sum();
        let left_out = scrape.value(&format!("winter_tables_left_out_{what}"));
        assert!(left_out > 0.0, "{what}");
        assert_eq!(sum + left_out, scrape.value(&format!("winter_tables_{what}")), "{what}");
    }
    let grown = scrape.series.len() - before;
    assert!(grown < 8 * TABLES_SHOWN_MAX, "{grown} series more");
    promtool(&["check", "metrics"], &scrape.text);
}

#[test]
fn a_thousand_scrapes_at_once_share_their_work() {
    let server = winter().start();
    let mut wire = server.connect();
    let http = server.http();
    let scrapers: Vec<_> = (0..50)
        .map(|_| {
            std::thread::spawn(move || {
                (0..20).all(|_| {
                    let answer = ask(http, "GET", "/metrics");
                    answer.status == 200 && answer.length_said() == Some(answer.body.len())
                })
            })
        })
        .collect();
    assert!(wire.ask("PING").to_ascii_lowercase().contains("pong"));
    for scraper in scrapers {
        assert!(scraper.join().expect("no panic"), "each scrape is whole");
    }
    let scrape = Scrape::of(&server);
    assert_eq!(scrape.value("winter_http_requests_total"), 1_001.0);
    let rendered = scrape.value("winter_scrapes_total");
    assert!(rendered < 300.0, "put together {rendered} times");
    assert_eq!(scrape.value("winter_http_dropped_total"), 0.0);
}

#[test]
fn clients_that_hold_connections_open_are_dropped_and_keep_no_probe_out() {
    let server = winter().start();
    let base = Scrape::of(&server).value("winter_open_files");
    let silent: Vec<_> = (0..200).map(|_| Wire::connect(server.http())).collect();
    let half: Vec<_> = (0..20)
        .map(|_| send(server.http(), "GET /livez HTTP/1.1\r\nHost: a\r\nX-Half: "))
        .collect();
    let began = Instant::now();
    assert_eq!(ask(server.http(), "GET", "/livez").status, 200);
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    for mut wire in silent.into_iter().chain(half) {
        let _ = wire.read_to_end();
    }
    let dropped = eventually("every file is closed", || {
        let scrape = Scrape::of(&server);
        let is_back = scrape.value("winter_open_files") <= base;
        is_back.then(|| scrape.value("winter_http_dropped_total"))
    });
    assert!(dropped >= 200.0, "{dropped}");
}

#[test]
fn scrapers_that_do_not_read_are_dropped() {
    let server = winter().start();
    let mut wire = server.connect();
    // Quotes are escaped, so that more comes than sockets take by themselves.
    for table in 0..TABLES_SHOWN_MAX {
        wire.ask(&format!("CREATE {}{table:03} MAXBYTES 1mb MAXENTRIES 9", "\"".repeat(125)));
    }
    let scrape = Scrape::of(&server);
    assert!(scrape.text.len() > 256 << 10, "{} bytes", scrape.text.len());
    let base = scrape.value("winter_open_files");
    let request = "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n";
    let slow: Vec<_> = (0..100).map(|_| send(server.http(), request)).collect();
    let dropped = eventually("their connections are closed", || {
        let scrape = Scrape::of(&server);
        let is_back = scrape.value("winter_open_files") <= base;
        is_back.then(|| scrape.value("winter_http_dropped_total"))
    });
    assert_eq!(dropped, 100.0);
    assert_eq!(wire.ask("GET nowhere k"), "missing table");
    drop(slow);
}

#[test]
fn each_page_answers_with_its_code() {
    let server = winter().start();
    let http = server.http();
    for (path, text) in [
        ("/livez", "ok\n"),
        ("/readyz", "ready\n"),
        ("/", "/metrics"),
        ("/livez?verbose=1", "ok\n"),
    ] {
        let answer = ask(http, "GET", path);
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.body.contains(text), "{path}: {}", answer.body);
        let head = ask(http, "HEAD", path);
        assert_eq!((head.status, head.body.as_str()), (200, ""), "{path}");
        assert_eq!(head.length_said(), Some(answer.body.len()), "{path}");
    }
    assert_eq!(ask(http, "HEAD", "/metrics").status, 200);
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "BREW"] {
        let answer = ask(http, method, "/metrics");
        assert_eq!(answer.status, 405, "{method}");
        assert!(answer.head.contains("\r\nallow: get, head"), "{}", answer.head);
    }
    for path in ["/nope", "/metrics/", "/LIVEZ", "//livez", "/livez/../metrics"] {
        let answer = ask(http, "GET", path);
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.body.contains("/readyz"), "it says which pages there are: {}", answer.body);
    }
}

#[test]
fn requests_of_other_shapes_get_an_answer_or_a_clean_end() {
    let server = winter().start();
    let http = server.http();
    let old = Answer::read(send(http, "GET /livez HTTP/1.0\r\n\r\n"));
    assert_eq!(old.status, 200);
    let mut half_closed = send(http, "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n");
    half_closed.finish_sending();
    assert_eq!(Answer::read(half_closed).status, 200);
    let body = "x".repeat(32 << 10);
    let with_body =
        format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    assert_eq!(Answer::read(send(http, with_body)).status, 405);
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(9 << 10));
    assert_eq!(Answer::read(send(http, long)).status, 431);
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(65));
    assert_eq!(Answer::read(send(http, many)).status, 431);
    let long_path = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(9 << 10));
    assert!(matches!(Answer::read(send(http, long_path)).status, 414 | 431));
    for garbage in ["\x16\x03\x01\x02\x00\x01", "PING\r\n\r\n", "*1\r\n$4\r\nPING\r\n\r\n"] {
        assert_eq!(Answer::read(send(http, garbage)).status, 400, "{garbage:?}");
    }
    let two = "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2);
    let first = Answer::read(send(http, two));
    assert_eq!(first.body, "ok\n", "a connection carries one request");
    assert!(first.head.contains("connection: close"), "{}", first.head);
    assert_eq!(ask(http, "GET", "/readyz").status, 200);
}

#[test]
fn a_draining_node_says_so_until_its_clients_are_gone() {
    let mut server = winter().start();
    let mut wire = server.connect();
    wire.ask("CREATE t");
    wire.send(format!("PUT t k {}\n", "x".repeat(1 << 20)));
    assert!(wire.read_line().starts_with("ok"));
    // More replies than any socket takes, unread: the drain has to wait for them.
    wire.send("GET t k\n".repeat(64));
    eventually("replies wait", || {
        let buffered = Scrape::of(&server).value("winter_memory_buffers_bytes");
        (buffered > f64::from(1 << 20)).then_some(())
    });
    server.signal(Signal::TERM);
    eventually("the drain begins", || {
        let answer = ask(server.http(), "GET", "/readyz");
        assert!(matches!(answer.status, 200 | 503));
        (answer.status == 503).then(|| assert_eq!(answer.body, "not ready: draining\n"))
    });
    assert_eq!(ask(server.http(), "GET", "/livez").status, 200);
    assert_eq!(ask(server.http(), "HEAD", "/readyz").status, 503);
    let scrape = Scrape::of(&server);
    assert_eq!((scrape.value("winter_ready"), scrape.value("winter_draining")), (0.0, 1.0));
    assert!(server.is_running());
    drop(wire);
    assert_eq!(server.wait().code(), Some(0));
}

/// The names of metrics in `text`, as the table has them.
fn named_in(text: &str) -> BTreeSet<&str> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !is_name(c)).filter(|word| word.starts_with("winter_"));
    let bare = |word: &'static str, name: &str| {
        ["_bucket", "_sum", "_count"].iter().any(|s| name.strip_suffix(s) == Some(word))
    };
    words
        .map(|word| {
            let histograms = METRICS.iter().filter(|metric| metric.kind == Kind::Histogram);
            histograms.map(|m| m.name).find(|name| bare(name, word)).unwrap_or(word)
        })
        .collect()
}

#[track_caller]
fn names_only_what_is_there(path: &str) -> String {
    let text = std::fs::read_to_string(repository().join(path)).expect(path);
    let known: BTreeSet<_> = METRICS.iter().map(|metric| metric.name).collect();
    let named = named_in(&text);
    assert!(named.len() > 10, "{path}: {named:?}");
    let unknown: Vec<_> = named.difference(&known).collect();
    assert!(unknown.is_empty(), "{path} names {unknown:?}");
    text
}

#[test]
fn the_alert_rules_are_sound_and_fire_when_they_should() {
    names_only_what_is_there("deploy/prometheus/winter.rules.yml");
    promtool(&["check", "rules", "deploy/prometheus/winter.rules.yml"], "");
    promtool(&["test", "rules", "deploy/prometheus/winter.rules.test.yml"], "");
}

#[test]
fn the_dashboard_shows_metrics_that_are_there() {
    let text = names_only_what_is_there("deploy/grafana/winter.json");
    let board: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    let panels = board["panels"].as_array().expect("it has panels");
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64()).collect();
    assert!(ids.len() == panels.len() && !ids.contains(&None), "each panel has an id of its own");
    let mut rules = Vec::new();
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let targets = panel["targets"].as_array().expect("a panel has targets");
        assert!(!targets.is_empty(), "{} shows nothing", panel["title"]);
        for target in targets {
            let expression = target["expr"].as_str().expect("a target has an expression");
            let expression =
                expression.replace("$__rate_interval", "5m").replace("$instance", ".*");
            rules.push(
                serde_json::json!({"record": format!("r{}", rules.len()), "expr": expression}),
            );
        }
    }
    // Promtool reads expressions in rules, and YAML is a superset of JSON.
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dashboard.rules.yml");
    let group = serde_json::json!({"groups": [{"name": "dashboard", "rules": rules}]});
    std::fs::write(&file, group.to_string()).expect("there is room for it");
    promtool(&["check", "rules", "--lint=none", &file.to_string_lossy()], "");
}
