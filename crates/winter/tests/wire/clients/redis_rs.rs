//! The `redis` crate, blocking and asynchronous, in both versions of the protocol.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use redis::{Client, ErrorKind, RedisError, Value, cmd, pipe};
use tokio::runtime::Builder;
use winter_testkit::Server;

use crate::winter;

const VERSIONS: [&str; 2] = ["", "?protocol=resp3"];

fn client(server: &Server, version: &str) -> Client {
    Client::open(format!("redis://{}/0{version}", server.address())).expect("an address")
}

fn error_of<T: std::fmt::Debug>(result: Result<T, RedisError>) -> RedisError {
    result.expect_err("the command fails")
}

#[test]
fn commands_replies_and_errors_have_their_types() {
    for version in VERSIONS {
        let server = winter().start();
        let mut connection = client(&server, version).get_connection().expect("it connects");
        connection.set_read_timeout(Some(Duration::from_secs(20))).expect("a time-out");
        let mut run = |words: &[&[u8]]| -> Result<Value, RedisError> {
            let mut command = cmd(std::str::from_utf8(words[0]).expect("a name"));
            for word in &words[1..] {
                command.arg(*word);
            }
            command.query(&mut connection)
        };
        let simple = |text: &str| Value::SimpleString(text.to_owned());
        let bulk = |bytes: &[u8]| Value::BulkString(bytes.to_vec());
        assert_eq!(run(&[b"CREATE", b"t"]), Ok(simple("created")));
        assert_eq!(run(&[b"PUTNEW", b"t", b"\0\r\n\xff", b"\xfe\r\n"]), Ok(simple("ok")));
        assert_eq!(run(&[b"GET", b"t", b"\0\r\n\xff"]), Ok(bulk(b"\xfe\r\n")));
        assert_eq!(run(&[b"GET", b"t", b"nothing"]), Ok(Value::Nil));
        let Ok(Value::Array(added)) = run(&[b"ADD", b"t", b"k", b"v", b"EXPIRE", b"3600000"])
        else {
            panic!("ADD answers an array")
        };
        let [Value::BulkString(word), Value::Int(standing)] = &added[..] else {
            panic!("a word and a version: {added:?}")
        };
        assert_eq!(word, b"added");
        let gets = Value::Array(vec![Value::Int(*standing), bulk(b"v")]);
        assert_eq!(run(&[b"GETS", b"t", b"k"]), Ok(gets));
        assert!(matches!(run(&[b"TTL", b"t", b"k"]), Ok(Value::Int(3_500_000..=3_600_000))));
        assert_eq!(run(&[b"TTL", b"t", b"\0\r\n\xff"]), Ok(simple("never")));
        let described = run(&[b"DESCRIBE", b"t"]).expect("t is there");
        assert_eq!(matches!(described, Value::Map(_)), !version.is_empty(), "{described:?}");

        let error = error_of(run(&[b"GET", b"nothing", b"k"]));
        assert_eq!((error.code(), error.detail()), (Some("MISSINGTABLE"), Some("missing table")));
        let error = error_of(run(&[b"NONSENSE"]));
        assert!(matches!(error.kind(), ErrorKind::Server(_)), "{error:?}");
        assert!(error.detail().is_some_and(|told| told.starts_with("unknown command 'NONSENSE'")));
        assert_eq!(run(&[b"PING"]), Ok(simple("PONG")));
        assert_eq!(run(&[b"CLIENT", b"SETNAME", b"of-rust"]), Ok(Value::Okay));
        let list: String =
            redis::from_redis_value(run(&[b"CLIENT", b"INFO"]).expect("it is told")).expect("text");
        assert!(list.contains(" name=of-rust ") && list.contains(" lib-name=redis-rs "), "{list}");
    }
}

#[test]
fn pipelines_are_answered_in_order() {
    for version in VERSIONS {
        let server = winter().start();
        let mut connection = client(&server, version).get_connection().expect("it connects");
        let mut pipeline = pipe();
        pipeline.cmd("CREATE").arg("t").ignore();
        for n in 0..1_000 {
            pipeline.cmd("PUTNEW").arg("t").arg(n).arg(n * 7).ignore();
        }
        for n in 0..1_000 {
            pipeline.cmd("GET").arg("t").arg(n);
        }
        let got: Vec<i64> = pipeline.query(&mut connection).expect("all of it succeeds");
        assert_eq!(got, (0..1_000).map(|n| n * 7).collect::<Vec<_>>());
    }
}

#[test]
fn one_asynchronous_connection_serves_many_tasks() {
    type Work = Pin<Box<dyn Future<Output = (String, u64)> + Send>>;
    for version in VERSIONS {
        let server = winter().start();
        let client = client(&server, version);
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let mut connection =
                client.get_multiplexed_async_connection().await.expect("it connects");
            let created: String =
                cmd("CREATE").arg("t").query_async(&mut connection).await.expect("it is created");
            assert_eq!(created, "created");
            let adds = (0..100).map(|n| -> Work {
                let mut connection = connection.clone();
                Box::pin(async move {
                    let mut add = cmd("ADD");
                    let add = add.arg("t").arg("k").arg(n).query_async(&mut connection);
                    add.await.expect("ADD answers")
                })
            });
            let tasks: Vec<_> = adds.map(tokio::spawn).collect();
            let mut won = 0;
            for task in tasks {
                let (word, _) = task.await.expect("no task panics");
                won += usize::from(word == "added");
            }
            assert_eq!(won, 1);
            let nothing: Option<Vec<u8>> =
                cmd("GET").arg("t").arg("nothing").query_async(&mut connection).await.expect("nil");
            assert_eq!(nothing, None);
        });
    }
}
