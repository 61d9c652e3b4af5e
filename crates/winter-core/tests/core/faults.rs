//! Every kind of fault and reply, as both dialects write it.

use winter_core::fault::{Fault, Kind};
use winter_core::protocol::Dialect;
use winter_core::reply::{Reply, Value};

fn written(dialect: Dialect, reply: &Reply<'_>) -> String {
    let mut output = Vec::new();
    dialect.write(reply, &mut output);
    String::from_utf8(output).expect("replies to these are text")
}

#[test]
fn a_fault_begins_with_the_word_that_the_contract_names() {
    let contract = [
        (Kind::Usage, "error usage: s", "-ERR s"),
        (Kind::UnknownCommand, "unrecognized command s", "-ERR s"),
        (Kind::Limit, "error limit: s", "-ERR s"),
        (Kind::Quota, "error quota: s", "-QUOTA s"),
        (Kind::Memory, "error memory: s", "-OOM s"),
        (Kind::Binary, "error binary: s", "-ERR s"),
        (Kind::Busy, "error busy: s", "-BUSY s"),
        (Kind::Unavailable, "error unavailable: s", "-TRYAGAIN s"),
        (Kind::Unknown, "error unknown: s", "-UNKNOWN s"),
        (Kind::NoAuth, "error noauth: s", "-NOAUTH s"),
        (Kind::WrongPass, "error wrongpass: s", "-WRONGPASS s"),
        (Kind::Denied, "error denied: s", "-NOPERM s"),
        (Kind::Refused, "error refused: s", "-REFUSED s"),
        (Kind::Protocol, "error protocol: s", "-ERR Protocol error: s"),
        (Kind::NoProto, "error noproto: s", "-NOPROTO s"),
        (Kind::Internal, "error internal: s", "-INTERNAL s"),
    ];
    assert_eq!(contract.map(|(kind, ..)| kind), Kind::ALL);
    for (kind, line, resp) in contract {
        let fault = Reply::Fault(Fault::new(kind, "s"));
        assert_eq!(written(Dialect::Line, &fault), format!("{line}\n"));
        assert_eq!(written(Dialect::Resp2, &fault), format!("{resp}\r\n"));
        assert_eq!(written(Dialect::Resp3, &fault), format!("{resp}\r\n"));
        assert_eq!(kind.ends_session(), kind == Kind::Protocol);
    }
}

/// Whoever makes a fault, its sentence cannot be taken for another reply.
#[test]
fn a_fault_is_one_line_whatever_its_sentence_holds() {
    let fault = Reply::Fault(Fault::new(Kind::Internal, "a\r\n+OK\r\nb\nc"));
    assert_eq!(written(Dialect::Resp2, &fault), "-INTERNAL a  +OK  b c\r\n");
    assert_eq!(written(Dialect::Line, &fault), "error internal: a  +OK  b c\n");
}

#[test]
fn every_reply_has_its_form_in_every_dialect() {
    let map = Value::Map(vec![(Value::bulk("a"), Value::Integer(-1))]);
    let forms = [
        (Reply::Word("ok"), "ok\n", "+ok\r\n", "+ok\r\n"),
        (Reply::WordVersion("added", 7), "added 7\n", "*2\r\n$5\r\nadded\r\n:7\r\n", "="),
        (Reply::Data(b"x y"), "x y\n", "$3\r\nx y\r\n", "="),
        (Reply::Data(b""), "\n", "$0\r\n\r\n", "="),
        (Reply::VersionData(7, b"x"), "7 x\n", "*2\r\n:7\r\n$1\r\nx\r\n", "="),
        (Reply::Nil, "nil\n", "$-1\r\n", "_\r\n"),
        (Reply::Integer(0), "0\n", ":0\r\n", "="),
        (Reply::MissingTable, "missing table\n", "-MISSINGTABLE missing table\r\n", "="),
        (Reply::Text("t".into()), "t\n", "$1\r\nt\r\n", "="),
        (Reply::Lines(vec![]), "0\n", "*0\r\n", "="),
        (
            Reply::Lines(vec!["a".into(), String::new()]),
            "2\na\n\n",
            "*2\r\n$1\r\na\r\n$0\r\n\r\n",
            "=",
        ),
        (
            Reply::Fields(vec![("f".into(), "v w".into())]),
            "1\nf v w\n",
            "*2\r\n$1\r\nf\r\n$3\r\nv w\r\n",
            "%1\r\n$1\r\nf\r\n$3\r\nv w\r\n",
        ),
        (
            Reply::Scan { cursor: 12, keys: vec![b"k".to_vec()] },
            "2\n12\nk\n",
            "*2\r\n$2\r\n12\r\n*1\r\n$1\r\nk\r\n",
            "=",
        ),
        (Reply::Resp(Value::Simple("OK")), "OK\n", "+OK\r\n", "="),
        (Reply::Resp(Value::Null), "nil\n", "$-1\r\n", "_\r\n"),
        (Reply::Resp(Value::Integer(-5)), "-5\n", ":-5\r\n", "="),
        (
            Reply::Resp(Value::Verbatim("a\nb".into())),
            "2\na\nb\n",
            "$3\r\na\nb\r\n",
            "=7\r\ntxt:a\nb\r\n",
        ),
        (Reply::Resp(Value::Set(vec![Value::Null])), "", "*1\r\n$-1\r\n", "~1\r\n_\r\n"),
        (
            Reply::Resp(Value::Array(vec![map])),
            "",
            "*1\r\n*2\r\n$1\r\na\r\n:-1\r\n",
            "*1\r\n%1\r\n$1\r\na\r\n:-1\r\n",
        ),
    ];
    for (reply, line, two, three) in forms {
        if !line.is_empty() {
            assert_eq!(written(Dialect::Line, &reply), line, "{reply:?}");
        }
        assert_eq!(written(Dialect::Resp2, &reply), two, "{reply:?}");
        let three = if three == "=" { two } else { three };
        assert_eq!(written(Dialect::Resp3, &reply), three, "{reply:?}");
    }
}

#[test]
fn what_a_line_cannot_show_is_an_error_on_one_line() {
    let data = [&b"\n"[..], b"\r", b"a\r\nb"];
    for data in data {
        let keys = vec![b"fine".to_vec(), data.to_vec()];
        for reply in
            [Reply::Data(data), Reply::VersionData(1, data), Reply::Scan { cursor: 0, keys }]
        {
            let line = written(Dialect::Line, &reply);
            assert!(line.starts_with("error binary: ") && line.ends_with('\n'), "{line}");
            assert_eq!(line.lines().count(), 1, "{line}");
        }
    }
}
