//! Reading replies, whatever they are and however they are cut.

use proptest::prelude::*;
use winter_client::ServerError;
use winter_client::reply::{Limits, ReadError, ReplyReader, Value};

/// Values with their frames.
fn values() -> impl Strategy<Value = (Value, Vec<u8>)> {
    let line = "[ -~]{0,20}";
    let leaf = prop_oneof![
        line.prop_map(|text| (data(text.as_bytes()), format!("+{text}\r\n").into_bytes())),
        prop::collection::vec(any::<u8>(), 0..40)
            .prop_map(|bytes| (data(&bytes), bulk(b'$', &bytes))),
        line.prop_map(|text| (data(text.as_bytes()), bulk(b'=', format!("txt:{text}").as_bytes()))),
        any::<i64>().prop_map(|n| (Value::Integer(n.into()), format!(":{n}\r\n").into_bytes())),
        any::<u64>().prop_map(|n| (Value::Integer(n.into()), format!(":{n}\r\n").into_bytes())),
        line.prop_map(|text| {
            let error = ServerError::from_text(text.as_bytes());
            (Value::Error(error), format!("-{text}\r\n").into_bytes())
        }),
        Just((Value::Nil, b"_\r\n".to_vec())),
        Just((Value::Nil, b"$-1\r\n".to_vec())),
        Just((Value::Nil, b"*-1\r\n".to_vec())),
        Just((Value::Truth(true), b"#t\r\n".to_vec())),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        let items = prop::collection::vec(inner.clone(), 0..5);
        let pairs = prop::collection::vec((inner.clone(), inner), 0..4);
        prop_oneof![
            items.clone().prop_map(|items| list(b'*', items)),
            items.prop_map(|items| list(b'~', items)),
            pairs.prop_map(map),
        ]
    })
}

fn data(bytes: &[u8]) -> Value {
    Value::Data(bytes.to_vec())
}

fn bulk(kind: u8, bytes: &[u8]) -> Vec<u8> {
    let header = format!("{}{}\r\n", char::from(kind), bytes.len()).into_bytes();
    [&header, bytes, b"\r\n"].concat()
}

fn list(kind: u8, items: Vec<(Value, Vec<u8>)>) -> (Value, Vec<u8>) {
    let mut frame = format!("{}{}\r\n", char::from(kind), items.len()).into_bytes();
    items.iter().for_each(|(_, bytes)| frame.extend(bytes));
    (Value::Array(items.into_iter().map(|(value, _)| value).collect()), frame)
}

type Pair = ((Value, Vec<u8>), (Value, Vec<u8>));

fn map(pairs: Vec<Pair>) -> (Value, Vec<u8>) {
    let mut frame = format!("%{}\r\n", pairs.len()).into_bytes();
    for ((_, key), (_, value)) in &pairs {
        frame.extend(key);
        frame.extend(value);
    }
    (Value::Map(pairs.into_iter().map(|((key, _), (value, _))| (key, value)).collect()), frame)
}

/// Reads `bytes` as they come in pieces that end at `cuts`.
fn read_cut(bytes: &[u8], cuts: &[usize]) -> Result<Vec<Value>, ReadError> {
    let (mut reader, mut unread, mut replies) = (ReplyReader::default(), Vec::new(), Vec::new());
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    ends.push(bytes.len());
    ends.sort_unstable();
    let mut from = 0;
    for end in ends {
        unread.extend_from_slice(&bytes[from..end]);
        from = end;
        loop {
            let (used, reply) = reader.read(&unread)?;
            unread.drain(..used);
            let Some(reply) = reply else { break };
            replies.push(reply);
        }
    }
    Ok(replies)
}

proptest! {
    #[test]
    fn replies_are_the_same_however_they_are_cut(
        replies in prop::collection::vec(values(), 1..5),
        cuts in prop::collection::vec(any::<usize>(), 0..20),
    ) {
        let (expected, frames): (Vec<_>, Vec<_>) = replies.into_iter().unzip();
        prop_assert_eq!(read_cut(&frames.concat(), &cuts), Ok(expected));
    }

    #[test]
    fn no_bytes_whatever_make_it_panic(
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(&b"+-:$*%~_#=!\r\n0123-1"[..])], 0..60),
        cuts in prop::collection::vec(any::<usize>(), 0..6),
    ) {
        let whole = read_cut(&bytes, &[]);
        if let Ok(replies) = read_cut(&bytes, &cuts) {
            prop_assert_eq!(whole, Ok(replies));
        }
    }
}

fn read_one(bytes: &[u8]) -> Result<Option<Value>, ReadError> {
    let limits = Limits { data_bytes_max: 8, line_bytes_max: 16, elements_max: 4, depth_max: 2 };
    ReplyReader::new(limits).read(bytes).map(|(_, reply)| reply)
}

#[test]
fn limits_hold_before_the_bytes_have_come() {
    let too_long = Err(ReadError::TooLong);
    assert_eq!(read_one(b"$9\r\n"), too_long);
    assert_eq!(read_one(b"+aaaaaaaaaaaaaaaaaaaa"), too_long);
    assert_eq!(read_one(b"*5\r\n"), too_long);
    assert_eq!(read_one(b"%3\r\n"), too_long);
    assert_eq!(read_one(b"*1\r\n*1\r\n*1\r\n"), too_long);
    assert_eq!(read_one(b"*2\r\n*1\r\n_\r\n*2\r\n"), too_long, "over all lists");
    assert_eq!(read_one(b"$8\r\n12345678\r\n"), Ok(Some(data(b"12345678"))));
}

#[test]
fn what_is_no_reply_is_refused() {
    for (bytes, error) in [
        (&b"hello\r\n"[..], ReadError::Kind(b'h')),
        (b"\r\n", ReadError::Kind(b'\r')),
        (b">1\r\n", ReadError::Kind(b'>')),
        (b"*x\r\n", ReadError::Number),
        (b"$?\r\n", ReadError::Number),
        (b":1.5\r\n", ReadError::Number),
        (b"+ok\n", ReadError::End),
        (b"$1\r\nabc", ReadError::End),
        (b"*18446744073709551616\r\n", ReadError::Number),
    ] {
        assert_eq!(ReplyReader::default().read(bytes), Err(error), "{bytes:?}");
    }
}

#[test]
fn an_unfinished_reply_is_waited_for() {
    for bytes in [&b""[..], b"+", b"+ok\r", b"$2\r\nab\r", b"*2\r\n_\r\n"] {
        assert_eq!(read_one(bytes), Ok(None), "{bytes:?}");
    }
}
