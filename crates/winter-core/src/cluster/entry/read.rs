//! Reading a packed entry. Nothing is trusted: what a length announces is
//! looked for before it is taken, and nothing is allocated.

use super::{
    EntryFault, FORMAT, LogEntry, NewTable, OPERATIONS_MAX, Operation, TableRef, flag, kind,
};
use crate::command::{KeyOp, TableOptions, Write};
use crate::limits::{KEY_BYTES_MAX, TABLE_NAME_BYTES_MAX, TABLES_MAX, VALUE_BYTES_MAX};
use crate::name::table_name;
use crate::store::TableId;
use crate::time::{Timestamp, Ttl};

impl<'a> LogEntry<'a> {
    /// Reads and checks a whole entry.
    ///
    /// # Errors
    /// What is wrong with the bytes, or who is too old for them.
    pub fn read(bytes: &'a [u8]) -> Result<Self, EntryFault> {
        let mut reader = Reader { rest: bytes };
        match reader.byte()? {
            FORMAT => {}
            newer @ (FORMAT..) => return Err(EntryFault::Newer(newer)),
            _ => return Err(EntryFault::Invalid("format")),
        }
        let stamp = *reader.rest.first_chunk().ok_or(EntryFault::CutShort)?;
        let bytes = &reader.rest[size_of_val(&stamp)..];
        let mut operations = 0;
        reader.rest = bytes;
        while !reader.rest.is_empty() {
            operations += 1;
            if operations > OPERATIONS_MAX {
                return Err(EntryFault::Invalid("number of operations"));
            }
            reader.operation()?;
        }
        Ok(Self { stamp: Timestamp::from_millis(u64::from_le_bytes(stamp)), operations, bytes })
    }
}

/// The operations of bytes that were checked.
pub(super) fn operations<'a>(bytes: &'a [u8]) -> impl Iterator<Item = Operation<'a>> + use<'a> {
    let mut reader = Reader { rest: bytes };
    std::iter::from_fn(move || {
        let more = !reader.rest.is_empty();
        more.then(|| reader.operation().expect("the entry was checked when it was read"))
    })
}

/// Bytes that are read from their front.
pub(in crate::cluster) struct Reader<'a> {
    pub(in crate::cluster) rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn operation(&mut self) -> Result<Operation<'a>, EntryFault> {
        let kind = self.byte()?;
        Ok(match kind {
            kind::GET..=kind::TOUCH_VERSION => {
                let table = self.table()?;
                let key = self.blob("key", 1, KEY_BYTES_MAX)?;
                Operation::Key { table, key, op: self.key_op(kind)? }
            }
            kind::CREATE => Operation::Create(self.new_table()?),
            kind::DROP => Operation::Drop(self.table()?),
            unknown => return Err(EntryFault::UnknownOperation(unknown)),
        })
    }

    fn key_op(&mut self, kind: u8) -> Result<KeyOp<'a>, EntryFault> {
        Ok(match kind {
            kind::GET => KeyOp::Get,
            kind::GETS => KeyOp::Gets,
            kind::TTL => KeyOp::Ttl,
            kind::PUT_NEW => KeyOp::PutNew(self.write()?),
            kind::ADD => KeyOp::Add(self.write()?),
            kind::PUT => KeyOp::Put(self.write()?),
            kind::CAS => KeyOp::Cas(self.number()?, self.write()?),
            kind::DELETE => KeyOp::Delete(None),
            kind::DELETE_VERSION => KeyOp::Delete(Some(self.number()?)),
            kind::TOUCH => KeyOp::Touch(self.ttl()?, None),
            kind::TOUCH_VERSION => {
                let version = self.number()?;
                KeyOp::Touch(self.ttl()?, Some(version))
            }
            unknown => return Err(EntryFault::UnknownOperation(unknown)),
        })
    }

    fn table(&mut self) -> Result<TableRef, EntryFault> {
        let id = TableId(self.number()?);
        let slot = u32::try_from(self.number()?).ok().filter(|&slot| (slot as usize) < TABLES_MAX);
        Ok(TableRef { id, slot: slot.ok_or(EntryFault::Invalid("slot"))? })
    }

    fn new_table(&mut self) -> Result<NewTable<'a>, EntryFault> {
        let table = self.table()?;
        let name = self.blob("table name", 1, TABLE_NAME_BYTES_MAX)?;
        let name = table_name(name).map_err(|_| EntryFault::Invalid("table name"))?;
        Ok(NewTable { table, name, options: self.options()? })
    }

    fn options(&mut self) -> Result<TableOptions, EntryFault> {
        let set = self.byte()?;
        if set & !flag::ALL != 0 {
            return Err(EntryFault::Invalid("table option"));
        }
        let mut number = |flag| if set & flag == 0 { Ok(None) } else { self.number().map(Some) };
        let bytes_max = number(flag::BYTES_MAX)?;
        let entries_max = number(flag::ENTRIES_MAX)?;
        let value_bytes_max = number(flag::VALUE_BYTES_MAX)?;
        let ttl = match number(flag::TTL)? {
            Some(millis) => {
                Some(Ttl::from_millis(millis).ok_or(EntryFault::Invalid("time to live"))?)
            }
            None => None,
        };
        let once = set & flag::ONCE != 0;
        Ok(TableOptions { bytes_max, entries_max, value_bytes_max, ttl, once })
    }

    fn write(&mut self) -> Result<Write<'a>, EntryFault> {
        let ttl = self.ttl()?;
        Ok(Write { data: self.blob("value", 0, VALUE_BYTES_MAX)?, ttl })
    }

    fn ttl(&mut self) -> Result<Option<Ttl>, EntryFault> {
        match self.number()? {
            0 => Ok(None),
            millis => Ttl::from_millis(millis).map(Some).ok_or(EntryFault::Invalid("time to live")),
        }
    }

    pub(in crate::cluster) fn blob(
        &mut self,
        what: &'static str,
        least: usize,
        most: usize,
    ) -> Result<&'a [u8], EntryFault> {
        let length = usize::try_from(self.number()?).map_err(|_| EntryFault::Invalid(what))?;
        if !(least..=most).contains(&length) {
            return Err(EntryFault::Invalid(what));
        }
        let (blob, rest) = self.rest.split_at_checked(length).ok_or(EntryFault::CutShort)?;
        self.rest = rest;
        Ok(blob)
    }

    pub(in crate::cluster) fn byte(&mut self) -> Result<u8, EntryFault> {
        let (&byte, rest) = self.rest.split_first().ok_or(EntryFault::CutShort)?;
        self.rest = rest;
        Ok(byte)
    }

    /// A number in its shortest form: longer ones would be second encodings.
    pub(in crate::cluster) fn number(&mut self) -> Result<u64, EntryFault> {
        const INVALID: EntryFault = EntryFault::Invalid("number");
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return Err(INVALID);
            }
            number |= bits << shift;
            if byte < 0x80 {
                return if byte == 0 && shift > 0 { Err(INVALID) } else { Ok(number) };
            }
        }
        Err(INVALID)
    }
}
