//! Table names: 1 to 128 bytes of UTF-8 with no white space or control characters.

use crate::fault::{Fault, Kind};
use crate::limits::TABLE_NAME_BYTES_MAX;

/// Reads a table's name out of a user's bytes.
///
/// # Errors
/// A `limit` fault that names the rule that `bytes` breaks.
pub fn table_name(bytes: &[u8]) -> Result<&str, Fault> {
    if bytes.is_empty() {
        return Err(Fault::new(
            Kind::Limit,
            "the table name is 0 bytes long, and the least is 1 byte",
        ));
    }
    if bytes.len() > TABLE_NAME_BYTES_MAX {
        let got = format!("{} bytes long", bytes.len());
        return Err(Fault::limit("the table name", got, format!("{TABLE_NAME_BYTES_MAX} bytes")));
    }
    if bytes.iter().all(u8::is_ascii_graphic) {
        return Ok(std::str::from_utf8(bytes).expect("printable ASCII is UTF-8"));
    }
    match std::str::from_utf8(bytes) {
        Ok(name) if !name.chars().any(|c| c.is_whitespace() || c.is_control()) => Ok(name),
        _ => Err(Fault::new(
            Kind::Limit,
            "a table name is 1 to 128 bytes of UTF-8 with no white space or control characters",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_at_their_limits() {
        assert_eq!(table_name(b"t").unwrap(), "t");
        assert_eq!(table_name("größe-☃".as_bytes()).unwrap(), "größe-☃");
        assert!(table_name(&[b'x'; 128]).is_ok());
        for bad in
            [&b""[..], &[b'x'; 129], b"a b", b"a\0", b"a\n", b"\xff", "a\u{2003}b".as_bytes()]
        {
            assert!(table_name(bad).is_err(), "{bad:?}");
        }
    }
}
