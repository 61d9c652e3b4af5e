//! Every typed command against a real server.

use std::time::Duration;

use winter_client::{
    Added, Client, Created, Error, ErrorKind, Guarded, Lifetime, Options, Request, TableOptions,
    Value, Versioned,
};
use winter_core::command::Verb;
use winter_core::store::Seed;
use winter_server::Server;
use winter_server::config::Config;

/// Runs `work` with a client of a server of its own.
fn with_client<F: Future<Output = Result<(), Error>>>(work: impl FnOnce(Client) -> F) {
    let config = Config { port: 0, http_port: None, ..Config::default() };
    let server = Server::start(config, Seed(1, 2)).expect("a free port is there");
    let address = server.address().to_string();
    server
        .block_on(async {
            let options = Options { name: Some("test".to_owned()), ..Options::default() };
            work(Client::connect_with(&address, &options).await?).await
        })
        .expect("every command has its outcome");
    server.stop();
}

const SECOND: Option<Duration> = Some(Duration::from_secs(1));
const HOUR: Option<Duration> = Some(Duration::from_secs(3_600));

#[test]
fn an_entry_lives_its_life() {
    with_client(async |winter: Client| {
        assert_eq!(winter.create("t", TableOptions::default()).await?, Created::Created);
        assert_eq!(winter.create("t", TableOptions::default()).await?, Created::AlreadyCreated);
        assert_eq!(winter.get("t", "k").await?, None);
        winter.put_new("t", "k", "first", None).await?;
        winter.put_new("t", "k", "second", None).await?;
        assert_eq!(winter.get("t", "k").await?.as_deref(), Some(&b"first"[..]));
        let Versioned { version, data } = winter.gets("t", "k").await?.expect("it was written");
        assert_eq!(data, b"first");
        assert_eq!(winter.add("t", "k", "x", None).await?, Added::Exists(version));
        assert_eq!(winter.cas("t", "k", version + 1, "x", None).await?, Guarded::Conflict(version));
        let Guarded::Done(swapped) = winter.cas("t", "k", version, "x", None).await? else {
            panic!("nobody else writes")
        };
        let put = winter.put("t", "k", "y", HOUR).await?;
        assert!(version < swapped && swapped < put);
        winter.delete("t", "k").await?;
        winter.delete("t", "k").await?;
        assert_eq!(winter.gets("t", "k").await?, None);
        assert_eq!(winter.cas("t", "k", put, "x", None).await?, Guarded::Nil);
        Ok(())
    });
}

#[test]
fn a_lease_is_taken_renewed_and_released() {
    with_client(async |winter: Client| {
        winter.create("leases", TableOptions::default()).await?;
        let Added::Added(version) = winter.add("leases", "job", "me", SECOND).await? else {
            panic!("nobody else is here")
        };
        assert!(
            matches!(winter.ttl("leases", "job").await?, Lifetime::For(left) if Some(left) <= SECOND)
        );
        assert_eq!(winter.touch_at("leases", "job", HOUR, 1).await?, Guarded::Conflict(version));
        assert_eq!(winter.touch_at("leases", "job", HOUR, version).await?, Guarded::Done(()));
        assert!(winter.touch("leases", "job", None).await?);
        assert_eq!(winter.ttl("leases", "job").await?, Lifetime::Forever);
        let stands = winter.gets("leases", "job").await?.expect("it lives").version;
        assert_eq!(stands, version, "renewing keeps the fencing token");
        assert_eq!(winter.delete_at("leases", "job", 1).await?, Guarded::Conflict(version));
        assert_eq!(winter.delete_at("leases", "job", version).await?, Guarded::Done(()));
        assert_eq!(winter.delete_at("leases", "job", version).await?, Guarded::Nil);
        assert!(!winter.touch("leases", "job", SECOND).await?);
        assert_eq!(winter.ttl("leases", "job").await?, Lifetime::Nil);
        Ok(())
    });
}

#[test]
fn keys_and_values_are_any_bytes() {
    with_client(async |winter: Client| {
        winter.create("t", TableOptions::default()).await?;
        let all: Vec<u8> = (0..=255).collect();
        let long = vec![b'\n'; 3 << 20];
        winter.put("t", &all, &long, None).await?;
        assert_eq!(winter.get("t", &all).await?, Some(long));
        assert_eq!(winter.scan("t").next().await?, Some(all));
        Ok(())
    });
}

#[test]
fn tables_are_made_described_counted_and_dropped() {
    with_client(async |winter: Client| {
        winter.ping().await?;
        let options = TableOptions {
            entries_max: Some(3),
            bytes_max: Some(1 << 20),
            once: true,
            ..TableOptions::default()
        };
        winter.create("once", options).await?;
        assert_eq!(winter.tables().await?, ["once"]);
        winter.put_new("once", "k", "v", None).await?;
        let fields = winter.describe("once").await?;
        assert!(fields.contains(&("maxentries".to_owned(), "3".to_owned())), "{fields:?}");
        assert_eq!(winter.count("once").await?, 1);
        let refused = winter.put("once", "k", "v", None).await.expect_err("write-once");
        assert!(matches!(&refused, Error::Server(e) if e.kind == ErrorKind::Refused), "{refused}");
        assert!(!refused.may_have_been_done());
        winter.revive("once").await?;
        winter.drop_table("once").await?;
        assert_eq!(winter.drop_table("once").await, Err(Error::MissingTable));
        assert_eq!(winter.get("once", "k").await, Err(Error::MissingTable));
        Ok(())
    });
}

#[test]
fn a_scan_finds_every_key_once_when_nothing_moves() {
    with_client(async |winter: Client| {
        winter.create("t", TableOptions::default()).await?;
        let mut fill = winter.pipeline();
        for i in 0..1_000 {
            fill = fill.put_new("t", format!("{}:{i}", i % 2), "v", None);
        }
        assert_eq!(fill.run().await?.len(), 1_000);
        let mut found = Vec::new();
        let mut keys = winter.scan("t").prefix("1:").step_of(7);
        while let Some(key) = keys.next().await? {
            found.push(key);
        }
        found.sort();
        found.dedup();
        assert_eq!(found.len(), 500);
        assert!(found.iter().all(|key| key.starts_with(b"1:")));
        Ok(())
    });
}

#[test]
fn many_callers_share_a_connection_and_each_has_its_own_reply() {
    with_client(async |winter: Client| {
        winter.create("t", TableOptions::default()).await?;
        let callers: Vec<_> = (0..5_000)
            .map(|i| {
                let winter = winter.clone();
                tokio::spawn(async move {
                    let key = i.to_string();
                    winter.put("t", &key, &key, None).await?;
                    winter.get("t", &key).await
                })
            })
            .collect();
        for (i, caller) in callers.into_iter().enumerate() {
            let data = caller.await.expect("no caller panics")?;
            assert_eq!(data, Some(i.to_string().into_bytes()));
        }
        Ok(())
    });
}

#[test]
fn a_caller_that_leaves_takes_nobodys_reply() {
    with_client(async |winter: Client| {
        winter.create("t", TableOptions::default()).await?;
        for _ in 0..100 {
            let gone = winter.send(&Request::new(Verb::Tables)).await?;
            drop(gone);
            assert_eq!(winter.get("t", "k").await?, None);
        }
        Ok(())
    });
}

#[test]
fn an_error_of_the_server_is_one_reply_of_a_pipeline() {
    with_client(async |winter: Client| {
        let words = Request::of_words(["FLY", "me"]);
        let replies = winter.pipeline().command(&words).get("none", "k").run().await?;
        let [Value::Error(unknown), Value::Error(missing)] = &replies[..] else {
            panic!("{replies:?}")
        };
        assert!(unknown.sentence.starts_with("unknown command 'FLY'"), "{unknown}");
        assert_eq!(missing.prefix, "MISSINGTABLE");
        assert!(winter.pipeline().run().await?.is_empty());
        Ok(())
    });
}

#[test]
fn a_connection_that_ended_says_so_for_ever() {
    with_client(async |winter: Client| {
        winter.call(&Request::new(Verb::Quit)).await?;
        let closed = winter.ping().await.expect_err("the server closed it");
        assert!(matches!(closed, Error::Closed(_)), "{closed}");
        assert!(closed.may_have_been_done());
        assert!(winter.ping().await.is_err() && winter.is_closed());
        Ok(())
    });
}

#[test]
fn nobody_there_is_told_with_the_address() {
    let config = Config { port: 0, http_port: None, ..Config::default() };
    let server = Server::start(config, Seed(1, 2)).expect("a free port is there");
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port is there");
    let address = free.local_addr().expect("it is bound").to_string();
    drop(free);
    let error = server.block_on(Client::connect(&address)).expect_err("nobody listens");
    assert!(error.to_string().contains(&address), "{error}");
    server.stop();
}
