//! Requests, assembled from parts that are encoded once.
//!
//! A request is a head (everything before the key, one for each table), the key, and a tail
//! (everything after it, the value included). Only a time to live differs from request to request
//! and is written digit by digit.

use std::time::Duration;

use super::{Dialect, Operation, VALUE_BYTE};
use crate::keys::{self, KEY_LEN};

/// Encodes the requests of one load.
#[derive(Debug)]
pub struct RequestEncoder {
    dialect: Dialect,
    /// One for each table; exactly one where the dialect has none.
    heads: Vec<Vec<u8>>,
    tail: Vec<u8>,
}

impl RequestEncoder {
    /// Requests of one kind over these tables, for values of `value_len` bytes. With `expires`,
    /// each request is given a time to live when it is encoded.
    ///
    /// # Panics
    /// If there are no tables in a dialect that names them.
    #[must_use]
    pub fn new(
        dialect: Dialect,
        operation: Operation,
        tables: &[String],
        value_len: usize,
        expires: bool,
    ) -> Self {
        let heads: Vec<_> = if dialect.has_tables() {
            tables.iter().map(|table| head(dialect, operation, table, expires)).collect()
        } else {
            vec![head(dialect, operation, "", expires)]
        };
        assert!(!heads.is_empty(), "a load needs a table");
        Self { dialect, heads, tail: tail(dialect, operation, value_len, expires) }
    }

    /// Appends the request for the key with this number. The number decides the table, too.
    pub fn encode(&self, out: &mut Vec<u8>, number: u64, lifetime: Option<Duration>) {
        let tables = u64::try_from(self.heads.len()).expect("a table count fits 64 bits");
        let table = usize::try_from(number % tables).expect("an index below a length");
        out.extend_from_slice(&self.heads[table]);
        out.extend_from_slice(&keys::key(number));
        out.extend_from_slice(&self.tail);
        if let Some(lifetime) = lifetime {
            self.encode_lifetime(out, lifetime);
        }
    }

    fn encode_lifetime(&self, out: &mut Vec<u8>, lifetime: Duration) {
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(lifetime.as_millis().max(1)).as_bytes();
        if self.dialect == Dialect::WinterLine {
            out.extend_from_slice(b" EXPIRE ");
            out.extend_from_slice(digits);
            out.push(b'\n');
        } else {
            let word: &[u8] = if self.dialect == Dialect::Redis { b"PX" } else { b"EXPIRE" };
            bulk(out, word);
            bulk(out, digits);
        }
    }
}

fn head(dialect: Dialect, operation: Operation, table: &str, expires: bool) -> Vec<u8> {
    let mut out = Vec::new();
    match (dialect, operation) {
        (Dialect::WinterLine, Operation::Get) => out.extend(format!("GET {table} ").bytes()),
        (Dialect::WinterLine, Operation::PutNew) => out.extend(format!("PUTNEW {table} ").bytes()),
        (Dialect::Memcached, Operation::Get) => out.extend(b"get "),
        (Dialect::Memcached, Operation::PutNew) => out.extend(b"add "),
        (Dialect::WinterResp | Dialect::Redis, _) => {
            resp_head(&mut out, dialect, operation, table, expires);
        }
    }
    out
}

fn resp_head(
    out: &mut Vec<u8>,
    dialect: Dialect,
    operation: Operation,
    table: &str,
    expires: bool,
) {
    let winter = dialect == Dialect::WinterResp;
    let (words, arguments) = match (winter, operation) {
        (true, Operation::Get) => (vec!["GET", table], 3),
        (true, Operation::PutNew) => (vec!["PUTNEW", table], 4),
        (false, Operation::Get) => (vec!["GET"], 2),
        (false, Operation::PutNew) => (vec!["SET"], 4),
    };
    let arguments = arguments + if expires { 2 } else { 0 };
    out.extend(format!("*{arguments}\r\n").bytes());
    for word in words {
        bulk(out, word.as_bytes());
    }
    out.extend(format!("${KEY_LEN}\r\n").bytes());
}

fn tail(dialect: Dialect, operation: Operation, value_len: usize, expires: bool) -> Vec<u8> {
    let value = vec![VALUE_BYTE; value_len];
    let mut out = Vec::with_capacity(value_len + 32);
    match (dialect, operation) {
        (Dialect::WinterLine, Operation::Get) => out.push(b'\n'),
        (Dialect::WinterLine, Operation::PutNew) => {
            out.push(b' ');
            out.extend(value);
            out.extend_from_slice(if expires { b"" } else { b"\n" });
        }
        (_, Operation::Get) => out.extend(b"\r\n"),
        (Dialect::Memcached, Operation::PutNew) => {
            out.extend(format!(" 0 0 {value_len}\r\n").bytes());
            out.extend(value);
            out.extend(b"\r\n");
        }
        (Dialect::WinterResp | Dialect::Redis, Operation::PutNew) => {
            out.extend(b"\r\n");
            bulk(&mut out, &value);
            if dialect == Dialect::Redis {
                bulk(&mut out, b"NX");
            }
        }
    }
    out
}

fn bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'$');
    out.extend_from_slice(itoa::Buffer::new().format(bytes.len()).as_bytes());
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(dialect: Dialect, operation: Operation, lifetime: Option<Duration>) -> String {
        let tables = ["t0".to_owned(), "t1".to_owned()];
        let encoder = RequestEncoder::new(dialect, operation, &tables, 3, lifetime.is_some());
        let mut out = Vec::new();
        encoder.encode(&mut out, 1, lifetime);
        let key = String::from_utf8(keys::key(1).to_vec()).unwrap();
        String::from_utf8(out).unwrap().replace(&key, "KEY").replace("\r\n", " ").replace('\n', "/")
    }

    #[test]
    fn gets() {
        assert_eq!(encoded(Dialect::WinterResp, Operation::Get, None), "*3 $3 GET $2 t1 $16 KEY ");
        assert_eq!(encoded(Dialect::WinterLine, Operation::Get, None), "GET t1 KEY/");
        assert_eq!(encoded(Dialect::Redis, Operation::Get, None), "*2 $3 GET $16 KEY ");
        assert_eq!(encoded(Dialect::Memcached, Operation::Get, None), "get KEY ");
    }

    #[test]
    fn writes() {
        assert_eq!(
            encoded(Dialect::WinterResp, Operation::PutNew, None),
            "*4 $6 PUTNEW $2 t1 $16 KEY $3 xxx "
        );
        assert_eq!(encoded(Dialect::WinterLine, Operation::PutNew, None), "PUTNEW t1 KEY xxx/");
        assert_eq!(
            encoded(Dialect::Redis, Operation::PutNew, None),
            "*4 $3 SET $16 KEY $3 xxx $2 NX "
        );
        assert_eq!(encoded(Dialect::Memcached, Operation::PutNew, None), "add KEY 0 0 3 xxx ");
    }

    #[test]
    fn writes_with_a_time_to_live() {
        let lifetime = Some(Duration::from_millis(1500));
        assert_eq!(
            encoded(Dialect::WinterResp, Operation::PutNew, lifetime),
            "*6 $6 PUTNEW $2 t1 $16 KEY $3 xxx $6 EXPIRE $4 1500 "
        );
        assert_eq!(
            encoded(Dialect::WinterLine, Operation::PutNew, lifetime),
            "PUTNEW t1 KEY xxx EXPIRE 1500/"
        );
        assert_eq!(
            encoded(Dialect::Redis, Operation::PutNew, lifetime),
            "*6 $3 SET $16 KEY $3 xxx $2 NX $2 PX $4 1500 "
        );
    }
}
