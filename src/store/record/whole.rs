//! Whole records: they bring their own dictionary along, so that each can be read by itself,
//! whatever else is there or was lost.

use rustc_hash::FxHashMap;

use super::codec::{In, Out};
use super::short::{lengthen, shorten};
use super::{Damaged, Names, Numbers, decode, decode_event, encode, encode_event};
use crate::model::{Change, Entity, Name, TenantId};
use crate::store::Topic;

/// The version that every whole record begins with; the record within has its own.
const VERSION: u8 = 1;

/// Writes the whole record of an entity.
pub fn encode_whole(entity: &Entity) -> Vec<u8> {
    with_names(|names| encode(entity, names))
}

/// Reads the entity of a whole record.
pub fn decode_whole(record: &[u8]) -> Result<Entity, Damaged> {
    let (names, record) = split(record)?;
    decode(record, &names)
}

/// Writes the whole record of an event.
pub fn encode_whole_event(tenant: &TenantId, topic: &Topic, change: &Change) -> Vec<u8> {
    with_names(|names| encode_event(tenant, topic, change, names))
}

/// Reads the event of a whole record.
pub fn decode_whole_event(record: &[u8]) -> Result<(TenantId, Topic, Change), Damaged> {
    let (names, record) = split(record)?;
    decode_event(record, &names)
}

/// A record with the names it uses before it.
fn with_names(write: impl FnOnce(&mut Own) -> Vec<u8>) -> Vec<u8> {
    let mut own = Own::default();
    let record = write(&mut own);
    let mut out = Out(Vec::with_capacity(4 + own.names.len() * 24 + record.len()));
    out.byte(VERSION);
    own.write(&mut out);
    out.0.extend_from_slice(&record);
    out.0
}

/// The names of a whole record, and the record within.
fn split(record: &[u8]) -> Result<(Vec<Name>, &[u8]), Damaged> {
    let mut input = In(record);
    if input.byte()? != VERSION {
        return Err(Damaged("it is of another version"));
    }
    Ok((read_names(&mut input)?, input.0))
}

/// Reads what [`Own::write`] wrote.
pub(super) fn read_names(input: &mut In<'_>) -> Result<Vec<Name>, Damaged> {
    let count = input.count()?;
    let mut names = Vec::with_capacity(count);
    for _ in 0..count {
        names.push(read_name(input)?);
    }
    Ok(names)
}

/// Reads the short spelling of a name.
pub fn read_name(input: &mut In<'_>) -> Result<Name, Damaged> {
    let iri = lengthen(input.text()?).ok_or(Damaged("a name is spelled in an unknown way"))?;
    Name::intern(&iri).map_err(|_| Damaged("there are more names than the limit allows"))
}

/// Writes the short spelling of a name.
pub fn write_name(out: &mut Out, name: Name) {
    out.text(&shorten(name.as_str()));
}

/// The dictionary of one record.
#[derive(Default)]
pub(super) struct Own {
    pub names: Vec<Name>,
    numbers: FxHashMap<Name, u32>,
}

impl Own {
    /// Writes the names in the order of their numbers.
    pub fn write(&self, out: &mut Out) {
        out.count(self.names.len());
        self.names.iter().for_each(|name| write_name(out, *name));
    }
}

impl Numbers for Own {
    fn number(&mut self, name: Name) -> u32 {
        *self.numbers.entry(name).or_insert_with(|| {
            self.names.push(name);
            self.names.len() as u32 - 1
        })
    }
}

impl Names for Vec<Name> {
    fn name(&self, number: u64) -> Option<Name> {
        self.get(usize::try_from(number).ok()?).copied()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::samples;

    proptest! {
        #[test]
        fn a_whole_record_reads_back_by_itself(entity in samples::entity()) {
            prop_assert_eq!(decode_whole(&encode_whole(&entity)), Ok(entity));
        }

        #[test]
        fn a_damaged_whole_record_is_told_not_believed(
            entity in samples::entity(),
            place in any::<prop::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let mut record = encode_whole(&entity);
            let place = place.index(record.len());
            prop_assert!(decode_whole(&record[..place]).is_err());
            record[place] = byte;
            // It may still say something; it must not panic.
            let _ = decode_whole(&record);
        }
    }
}
