//! What history keeps of an entity beside its series.

use crate::model::Timestamp;
use crate::store::embedded::names::{Dictionary, Names};
use crate::store::history::{Head, Line};
use crate::store::record::{Damaged, In, Out};

/// The version that every record begins with.
const VERSION: u8 = 1;

const DELETED: u8 = 1;
const TOLD: u8 = 1 << 1;

/// A head that was read, with the numbers of the attributes of its lines.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::store::embedded) struct Numbered {
    pub head: Head,
    pub numbers: Vec<u32>,
}

impl Head {
    /// Writes the head as an entity's chapter.
    pub fn write(&self, dictionary: &mut Dictionary) -> Vec<u8> {
        let mut out = Out::default();
        out.byte(VERSION);
        let bit = |there: bool, bit: u8| if there { bit } else { 0 };
        out.byte(bit(self.deleted_at.is_some(), DELETED) | bit(self.told, TOLD));
        out.signed(self.created_at.bits());
        out.signed(self.modified_at.bits());
        if let Some(deleted) = self.deleted_at {
            out.signed(deleted.bits());
        }
        out.count(self.types.len());
        for name in &self.types {
            out.number(dictionary.number(*name).into());
        }
        out.count(self.lines.len());
        for line in &self.lines {
            line.write(&mut out, dictionary);
        }
        out.0
    }

    /// Reads what [`Head::write`] wrote.
    pub fn read(bytes: &[u8], names: &Names) -> Result<Self, Damaged> {
        Numbered::read(bytes, names).map(|read| read.head)
    }
}

impl Numbered {
    /// Reads what [`Head::write`] wrote.
    pub fn read(bytes: &[u8], names: &Names) -> Result<Self, Damaged> {
        let mut input = In(bytes);
        if input.byte()? != VERSION {
            return Err(Damaged("it is of another version"));
        }
        let bits = input.byte()?;
        let created_at = Timestamp::from_bits(input.signed()?);
        let modified_at = Timestamp::from_bits(input.signed()?);
        let deleted = bits & DELETED != 0;
        let deleted_at = deleted.then(|| input.signed().map(Timestamp::from_bits)).transpose()?;
        let unknown = Damaged("it uses a name that the dictionary lacks");
        let count = input.count()?;
        let types = (0..count)
            .map(|_| names.get(input.number()?).ok_or(unknown))
            .collect::<Result<Vec<_>, _>>()?;
        let count = input.count()?;
        let lines = (0..count).map(|_| Line::read(&mut input, names));
        let (lines, numbers) = lines.collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
        let told = bits & TOLD != 0;
        let head = Head { created_at, modified_at, deleted_at, told, types, lines };
        Ok(Self { head, numbers })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::DatasetId;
    use crate::store::samples::{at, attribute_name, type_name};

    #[test]
    fn a_head_reads_as_it_was_written() {
        let mut dictionary = Dictionary::default();
        let mut head = Head::new(at(1));
        for (number, deleted_at) in [(1, None), (5, Some(at(9)))] {
            head = Head { deleted_at, told: deleted_at.is_none(), ..head };
            let bytes = head.write(&mut dictionary);
            let again = Numbered::read(&bytes, dictionary.names()).unwrap();
            assert_eq!(again.numbers.len(), again.head.lines.len());
            assert_eq!(again.head, head);
            assert!(head.add_types(&[type_name(number), type_name(number + 1)]));
            assert!(!head.add_types(&[type_name(number + 1)]));
            let dataset = DatasetId::from_trusted("urn:x:d");
            let name = attribute_name(number);
            for line in [Line::of(name, None), Line::of(name, Some(&dataset))] {
                assert!(head.add_line(&line) && !head.add_line(&line));
            }
        }
    }
}
