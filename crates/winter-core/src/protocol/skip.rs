//! Dropping the rest of a RESP command that is past a limit, without holding it.

use super::resp::{Header, bulk_without_end, header};
use crate::fault::Fault;

const LINE_END: &[u8; 2] = b"\r\n";

/// How much of an oversized RESP command is still to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skip {
    /// Bytes left of the bulk string that is being dropped, its line end among them.
    pub bulk_left: usize,
    /// Bulk strings of the command that follow it.
    pub arguments_left: usize,
}

impl Skip {
    /// Drops what it can from the front of `input`: how many bytes, and whether
    /// the command is over.
    ///
    /// # Errors
    /// `protocol` when a bulk string does not begin or end as it must.
    pub fn advance(&mut self, input: &[u8]) -> Result<(usize, bool), Fault> {
        let mut at = 0;
        loop {
            let step = self.bulk_left.saturating_sub(LINE_END.len()).min(input.len() - at);
            at += step;
            self.bulk_left -= step;
            while let 1..=2 = self.bulk_left
                && let Some(&byte) = input.get(at)
            {
                if byte != LINE_END[LINE_END.len() - self.bulk_left] {
                    return Err(bulk_without_end());
                }
                at += 1;
                self.bulk_left -= 1;
            }
            if self.bulk_left > 0 {
                return Ok((at, false));
            }
            if self.arguments_left == 0 {
                return Ok((at, true));
            }
            match header(&input[at..], b'$')? {
                Header::Incomplete => return Ok((at, false)),
                Header::Length { value, bytes } => {
                    at += bytes;
                    self.bulk_left = value + 2;
                    self.arguments_left -= 1;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_across_any_split() {
        let rest = b"xxxx\r\n$3\r\nabc\r\n$0\r\n\r\n";
        for split in 0..=rest.len() {
            let mut skip = Skip { bulk_left: 6, arguments_left: 2 };
            let (dropped, over) = skip.advance(&rest[..split]).unwrap();
            if over {
                assert_eq!(dropped, rest.len());
                continue;
            }
            let (more, over) = skip.advance(&rest[dropped..]).unwrap();
            assert!(over, "split at {split}");
            assert_eq!(dropped + more, rest.len());
        }
    }

    #[test]
    fn refuses_what_is_no_bulk_string() {
        let mut skip = Skip { bulk_left: 0, arguments_left: 1 };
        assert!(skip.advance(b":1\r\n").is_err());
        for (left, input) in [(3, &b"xx\n"[..]), (2, b"\rx"), (1, b"x")] {
            let mut skip = Skip { bulk_left: left, arguments_left: 0 };
            assert!(skip.advance(input).is_err(), "{input:?}");
        }
    }
}
