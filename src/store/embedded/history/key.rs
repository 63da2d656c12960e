//! Keys of history: what lies together and in which order.

use crate::model::{DatasetId, EntityId, TypeName};
use crate::query::Series;
use crate::store::embedded::names::{Dictionary, Names};
use crate::store::history::{Line, Place, SeriesKey};
use crate::store::record::{Damaged, In, Out};

/// Stands for the attribute's number in the series of the entity's scopes.
const SCOPES: u32 = u32::MAX;

/// Stands for it in what the keys of an entity's sheaves begin with.
const SHEAVES: u32 = u32::MAX - 1;

impl Line {
    /// The number of the attribute, and the datasetId.
    pub(super) fn numbered(&self, dictionary: &mut Dictionary) -> (u32, Option<&DatasetId>) {
        match self {
            Line::Scopes => (SCOPES, None),
            Line::Attribute(series) => {
                (dictionary.number(series.attribute), series.dataset.as_ref())
            }
        }
    }

    /// Writes the line into an entity's chapter.
    pub fn write(&self, out: &mut Out, dictionary: &mut Dictionary) {
        match self {
            Line::Scopes => out.number(SCOPES.into()),
            Line::Attribute(series) => {
                out.number(dictionary.number(series.attribute).into());
                out.text(series.dataset.as_ref().map_or("", DatasetId::as_str));
            }
        }
    }

    /// Reads what [`Line::write`] wrote, with the number of the attribute.
    pub fn read(input: &mut In<'_>, names: &Names) -> Result<(Self, u32), Damaged> {
        let number = input.number()?;
        if number == u64::from(SCOPES) {
            return Ok((Line::Scopes, SCOPES));
        }
        let unknown = Damaged("it uses a name that the dictionary lacks");
        let attribute = names.get(number).ok_or(unknown)?;
        let dataset = match input.text()? {
            "" => None,
            text => Some(DatasetId::from_trusted(text)),
        };
        Ok((Line::Attribute(Series { attribute, dataset }), number as u32))
    }
}

/// What the keys of a series begin with: tenant, entity, attribute, datasetId. No id holds a zero
/// byte, so none is the beginning of another with one behind it.
impl SeriesKey {
    /// The key of a line; the attribute by its number.
    pub fn new(tenant: u32, id: &EntityId, line: &Line, dictionary: &mut Dictionary) -> Self {
        let (number, dataset) = line.numbered(dictionary);
        Self::build(tenant, id, number, dataset)
    }

    /// The key of a line, by the number it was read with.
    pub fn known(tenant: u32, id: &EntityId, line: &Line, number: u32) -> Self {
        Self::build(tenant, id, number, line.series().and_then(|series| series.dataset.as_ref()))
    }

    fn build(tenant: u32, id: &EntityId, number: u32, dataset: Option<&DatasetId>) -> Self {
        let length = dataset.map_or(0, |dataset| dataset.as_str().len());
        let mut key = Vec::with_capacity(10 + id.as_str().len() + length);
        entity_bytes(tenant, id, &mut key);
        line_bytes((number, dataset), &mut key);
        Self(key.into())
    }

    /// A line of an entity, as [`SeriesKey::split`] tells them apart.
    pub fn joined(entity: &[u8], line: &[u8]) -> Self {
        Self([entity, line].concat().into())
    }

    /// What tells the entity, and what tells the line from others of the entity.
    pub fn split(&self) -> (&[u8], &[u8]) {
        split(&self.0)
    }

    /// What the keys of the sheaves of the same entity begin with.
    pub fn sheaves(&self) -> Self {
        Self::sheaves_of(self.split().0)
    }

    /// What the keys of the sheaves of an entity begin with.
    pub fn sheaves_of(entity: &[u8]) -> Self {
        Self::joined(entity, &[&SHEAVES.to_be_bytes()[..], &[0]].concat())
    }

    /// Whether it is [`SeriesKey::sheaves`].
    pub fn is_sheaves(&self) -> bool {
        let (_, line) = self.split();
        line.len() == 5 && line.starts_with(&SHEAVES.to_be_bytes())
    }

    /// Whether a key belongs to the series.
    pub fn holds(&self, key: &[u8]) -> bool {
        key.starts_with(&self.0)
    }

    /// The key after all keys of the series.
    pub fn end(&self) -> Vec<u8> {
        let mut key = self.0.to_vec();
        if let Some(last) = key.last_mut() {
            *last = 1;
        }
        key
    }

    /// The key of what one write recorded.
    pub fn tail(&self, sequence: u64) -> Vec<u8> {
        let mut key = self.0.to_vec();
        key.extend_from_slice(&sequence.to_be_bytes());
        key
    }

    /// The series of a key of [`SeriesKey::tail`].
    pub fn of_tail(key: &[u8]) -> Option<Self> {
        Some(Self(key.get(..key.len().checked_sub(8)?)?.into()))
    }

    /// The key of a block that begins with this row.
    pub fn block(&self, (time, ordinal): Place) -> Vec<u8> {
        let mut key = self.0.to_vec();
        key.extend_from_slice(&((time as u64) ^ (1 << 63)).to_be_bytes());
        key.extend_from_slice(&ordinal.to_be_bytes());
        key
    }

    /// The place that the key of a block ends with.
    pub fn place_of(&self, key: &[u8]) -> Option<Place> {
        let (time, ordinal) = key.get(self.0.len()..)?.split_first_chunk::<8>()?;
        let (ordinal, _) = ordinal.split_first_chunk::<4>()?;
        let time = (u64::from_be_bytes(*time) ^ (1 << 63)) as i64;
        Some((time, u32::from_be_bytes(*ordinal)))
    }
}

/// Appends what tells the entity in a key of a series.
pub(super) fn entity_bytes(tenant: u32, id: &EntityId, key: &mut Vec<u8>) {
    key.extend_from_slice(&tenant.to_be_bytes());
    key.extend_from_slice(id.as_str().as_bytes());
    key.push(0);
}

/// Appends what tells the line from others of its entity, by [`Line::numbered`].
pub(super) fn line_bytes((number, dataset): (u32, Option<&DatasetId>), key: &mut Vec<u8>) {
    key.extend_from_slice(&number.to_be_bytes());
    key.extend_from_slice(dataset.map_or("", DatasetId::as_str).as_bytes());
    key.push(0);
}

/// What tells the entity in a key of a series or of something in it, and the rest.
pub(in crate::store::embedded) fn split(key: &[u8]) -> (&[u8], &[u8]) {
    let id = key.get(4..).unwrap_or_default();
    let end = memchr::memchr(0, id).map_or(key.len(), |zero| 4 + zero + 1);
    key.split_at(end)
}

/// The tenant and the id of the entity of a key.
pub(in crate::store::embedded) fn whose(key: &[u8]) -> Option<(u32, &[u8])> {
    let (tenant, rest) = key.split_first_chunk::<4>()?;
    let end = rest.iter().position(|byte| *byte == 0)?;
    Some((u32::from_be_bytes(*tenant), &rest[..end]))
}

/// The sequence that a key of [`SeriesKey::tail`] ends with.
pub(in crate::store::embedded) fn sequence_of_tail(key: &[u8]) -> u64 {
    key.last_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// The bytes of the series of a key of [`SeriesKey::block`].
pub(in crate::store::embedded) fn series_of_block(key: &[u8]) -> Option<&[u8]> {
    key.get(..key.len().checked_sub(12)?)
}

/// The key of an entity's chapter.
pub(in crate::store::embedded) fn chapter_key(tenant: u32, id: &str) -> Vec<u8> {
    [&tenant.to_be_bytes(), id.as_bytes()].concat()
}

/// The key that says that history knows an entity by a type.
pub(in crate::store::embedded) fn type_key(tenant: u32, name: TypeName, id: &str) -> Vec<u8> {
    [&tenant.to_be_bytes(), name.as_str().as_bytes(), &[0], id.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_are_found_by_their_ids() {
        let id = EntityId::from_trusted("urn:x:1");
        let keys = [None, Some("urn:d:1"), Some("urn:d:2")].map(|dataset| {
            let dataset = dataset.map(DatasetId::from_trusted);
            SeriesKey::build(7, &id, 3, dataset.as_ref())
        });
        for (place, key) in keys.iter().enumerate() {
            for row in [(0, 0), (-5, 1), (1_700_000_000_000_000, u32::MAX), (i64::MIN, 9)] {
                for (other, any) in keys.iter().enumerate() {
                    let found = any.place(key.instance(row));
                    assert_eq!(found, (other == place).then_some(row));
                }
                assert!(key.holds(&key.block(row)) && key.block(row) < key.end());
                assert_eq!(key.place_of(&key.block(row)), Some(row));
                assert_eq!(series_of_block(&key.block(row)), Some(key.bytes()));
            }
        }
        let sheaves = keys[0].sheaves();
        for key in &keys {
            let (entity, line) = key.split();
            assert_eq!(SeriesKey::joined(entity, line), *key);
            assert_eq!(key.sheaves(), sheaves);
            assert!(!key.is_sheaves() && key.end() < sheaves.bytes().to_vec());
            assert_eq!(sequence_of_tail(&key.tail(77)), 77);
        }
        assert!(sheaves.is_sheaves() && sheaves.tail(u64::MAX) < sheaves.end());
        let key = &keys[0];
        assert_eq!(whose(key.bytes()), Some((7, &b"urn:x:1"[..])));
        assert!(key.block((-5, 0)) < key.block((-5, 1)) && key.block((-5, 1)) < key.block((3, 0)));
    }
}
