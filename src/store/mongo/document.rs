//! The document of an entity: what queries are compiled against, and the whole record.
//!
//! ```text
//! _id  { t: tenant, "" for the default one, i: id }
//! s    stamp of its creation: the order of pages       v   stamp of its last write
//! p    stamps of the writes before that, the last first
//! ty   types, spelled short                            sc  scopes; absent if there are none
//! k    [{a: attribute, v: [key], …}]: each instance of an attribute, see keys.rs
//! y    the same of sub-attributes
//! g    [{a: attribute, p: place}]: a Point, or an area that covers the geometry
//! odd  attributes of which k, y or g do not tell all: they are candidates of every query
//! c, m when it was created and modified (µs)           e, x when it, and anything in it, expires
//! h    hash of its shape: equal for equal types, attributes and kinds
//! r    the whole record
//! o    what was recorded lately and is not in history's own collections yet, see history/
//! hn   the types it has by that                        f   stamp of the first of it
//! ht   counts how often the entity was held on to while its history was changed
//! ```
//!
//! Attributes stand in values, never in keys, so that BSON dislikes none; what it cannot hold
//! (numbers beyond 2⁶³, deep nesting) is in the record only.

use std::borrow::Cow;

use mongodb::bson::raw::{CStr, RawArrayBuf, RawBson, RawBsonRef, cstr};
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{RawBinaryRef, RawDocument, RawDocumentBuf};

use super::history::Notes;
use super::keys::Keys;
use crate::model::{Entity, EntityId, TenantId};
use crate::store::StoreError;
use crate::store::record::short::shorten;
use crate::store::record::{decode_whole, encode_whole, first_expiry, kinds_of};

/// How many earlier writes a document remembers, so that a writer who lost the connection can
/// tell whether its write was done though others wrote after it.
const EARLIER: usize = 4;

/// Stamps of an entity in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamps {
    /// Of its creation.
    pub created: i64,
    /// Of its last write.
    pub version: i64,
    /// Of the writes before, the last first.
    pub earlier: Vec<i64>,
}

impl Stamps {
    /// Of an entity that comes into being.
    pub fn new(stamp: i64) -> Self {
        Self { created: stamp, version: stamp, earlier: Vec::new() }
    }

    /// Of what is there after another write.
    pub fn next(&self, stamp: i64) -> Self {
        let earlier = std::iter::once(self.version).chain(self.earlier.iter().copied());
        Self { created: self.created, version: stamp, earlier: earlier.take(EARLIER).collect() }
    }

    /// Whether the write of this stamp was done; None if too much happened since to know.
    pub fn tells(&self, stamp: i64) -> Option<bool> {
        if self.version == stamp || self.earlier.contains(&stamp) {
            return Some(true);
        }
        let forgotten = self.earlier.len() == EARLIER && self.earlier.iter().all(|s| *s > stamp);
        (!forgotten).then_some(false)
    }
}

/// The `_id` of an entity.
pub(super) fn key(tenant: &TenantId, id: &EntityId) -> RawDocumentBuf {
    let mut key = RawDocumentBuf::new();
    key.append(cstr!("t"), tenant_name(tenant));
    key.append(cstr!("i"), id.as_str());
    key
}

/// How a tenant is called in the database.
pub(super) fn tenant_name(tenant: &TenantId) -> &str {
    tenant.name().unwrap_or("")
}

/// Whose the document is.
pub(super) fn tenant(document: &RawDocument) -> Result<TenantId, StoreError> {
    let key = document.get_document("_id").map_err(damaged)?;
    match key.get_str("t").map_err(damaged)? {
        "" => Ok(TenantId::DEFAULT),
        name => TenantId::from_kept(name).map_err(damaged),
    }
}

/// Writes the document of an entity.
pub(super) fn write(tenant: &TenantId, entity: &Entity, stamps: &Stamps) -> RawDocumentBuf {
    let record = encode_whole(entity);
    let mut document = RawDocumentBuf::new();
    document.append(cstr!("_id"), key(tenant, &entity.id));
    document.append(cstr!("s"), stamps.created);
    document.append(cstr!("v"), stamps.version);
    if !stamps.earlier.is_empty() {
        document.append(cstr!("p"), array(stamps.earlier.iter().copied()));
    }
    let types = entity.types.as_slice();
    document
        .append(cstr!("ty"), array(types.iter().map(|name| shorten(name.as_str()).into_owned())));
    if !entity.scopes.is_empty() {
        document.append(cstr!("sc"), array(entity.scopes.iter().map(|scope| scope.as_str())));
    }
    indexed(&mut document, entity);
    document.append(cstr!("c"), entity.created_at.micros());
    document.append(cstr!("m"), entity.modified_at.micros());
    if let Some(end) = entity.expires_at {
        document.append(cstr!("e"), end.micros());
    }
    if let Some(first) = first_expiry(entity) {
        document.append(cstr!("x"), first.micros());
    }
    document.append(cstr!("h"), shape(entity));
    let record = RawBinaryRef { subtype: BinarySubtype::Generic, bytes: &record };
    document.append(cstr!("r"), record);
    document
}

/// A new document with what is recorded of its beginning.
pub(super) fn with_notes<'d>(
    document: &'d RawDocumentBuf,
    notes: &Notes,
    stamp: i64,
) -> Cow<'d, RawDocumentBuf> {
    if notes.is_empty() {
        return Cow::Borrowed(document);
    }
    let mut new = document.clone();
    new.append(cstr!("o"), notes.entries());
    new.append(cstr!("hn"), notes.types());
    new.append(cstr!("f"), stamp);
    Cow::Owned(new)
}

/// Members that a document may lack.
const OPTIONAL: [&CStr; 7] =
    [cstr!("p"), cstr!("sc"), cstr!("y"), cstr!("g"), cstr!("odd"), cstr!("e"), cstr!("x")];

/// What makes another document of an entity into this one, whatever was recorded of it before,
/// and adds what is recorded of the change.
pub(super) fn changes(document: &RawDocument, notes: &Notes, stamp: i64) -> RawDocumentBuf {
    let (mut set, mut unset) = (RawDocumentBuf::new(), RawDocumentBuf::new());
    let mut there = [false; OPTIONAL.len()];
    for (name, value) in document.iter().flatten() {
        if name.as_str() != "_id" {
            if let Some(place) = OPTIONAL.iter().position(|own| own.as_str() == name.as_str()) {
                there[place] = true;
            }
            set.append(name, value);
        }
    }
    for (name, _) in OPTIONAL.iter().zip(there).filter(|(_, there)| !there) {
        unset.append(*name, "");
    }
    let mut changes = RawDocumentBuf::new();
    changes.append(cstr!("$set"), set);
    if !unset.is_empty() {
        changes.append(cstr!("$unset"), unset);
    }
    if !notes.is_empty() {
        let each = |array: RawArrayBuf| {
            let mut each = RawDocumentBuf::new();
            each.append(cstr!("$each"), array);
            each
        };
        let mut member = |operator: &CStr, name: &CStr, value: RawBson| {
            let mut one = RawDocumentBuf::new();
            one.append(name, value);
            changes.append(operator, one);
        };
        member(cstr!("$push"), cstr!("o"), each(notes.entries()).into());
        member(cstr!("$addToSet"), cstr!("hn"), each(notes.types()).into());
        member(cstr!("$min"), cstr!("f"), stamp.into());
    }
    changes
}

/// What puts into a chapter what lay in an entity's document, and what is recorded of its end.
pub(super) fn push_notes(
    before: Option<&RawDocument>,
    notes: &Notes,
    stamp: i64,
) -> RawDocumentBuf {
    let all = |name: &str, more: RawArrayBuf| {
        let mut all = RawArrayBuf::new();
        let before = before.and_then(|before| before.get_array(name).ok());
        for item in before.into_iter().flatten().chain(&*more).flatten() {
            all.push(item);
        }
        let mut each = RawDocumentBuf::new();
        each.append(cstr!("$each"), all);
        each
    };
    let mut push = RawDocumentBuf::new();
    let mut member = |operator: &CStr, name: &CStr, value: RawBson| {
        let mut one = RawDocumentBuf::new();
        one.append(name, value);
        push.append(operator, one);
    };
    member(cstr!("$push"), cstr!("o"), all("o", notes.entries()).into());
    member(cstr!("$addToSet"), cstr!("ty"), all("hn", notes.types()).into());
    member(cstr!("$min"), cstr!("f"), stamp.into());
    push
}

/// Appends what queries and indexes ask.
fn indexed(document: &mut RawDocumentBuf, entity: &Entity) {
    let keys = Keys::of(entity);
    document.append(cstr!("k"), keys.instances);
    if !keys.below.is_empty() {
        document.append(cstr!("y"), keys.below);
    }
    if !keys.places.is_empty() {
        document.append(cstr!("g"), keys.places);
    }
    if !keys.odd.is_empty() {
        document.append(cstr!("odd"), array(keys.odd.into_iter()));
    }
}

fn array<T: mongodb::bson::raw::BindRawBsonRef>(items: impl Iterator<Item = T>) -> RawArrayBuf {
    let mut array = RawArrayBuf::new();
    items.for_each(|item| array.push(item));
    array
}

/// What entities with the same types, attributes and kinds have in common: FNV-1a over the types
/// and the attributes, both in order, each attribute with its kinds.
pub(super) fn shape(entity: &Entity) -> i64 {
    let mut types: Vec<&str> = entity.types.as_slice().iter().map(|name| name.as_str()).collect();
    types.sort_unstable();
    let attributes = entity.attributes.iter();
    let mut attributes: Vec<_> =
        attributes.map(|(name, attribute)| (name.as_str(), kinds_of(attribute))).collect();
    attributes.sort_unstable();
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    for name in types {
        add(name.as_bytes());
        add(&[0]);
    }
    for (name, kinds) in attributes {
        // No name begins with this byte, so types and attributes do not run into each other.
        add(&[1, kinds]);
        add(name.as_bytes());
        add(&[0]);
    }
    hash as i64
}

/// The stamps of a document that was read; `p` is only there if it was asked for.
pub(super) fn stamps(document: &RawDocument) -> Result<Stamps, StoreError> {
    let stamp = |name| document.get_i64(name).map_err(damaged);
    let mut earlier = Vec::new();
    if let Some(RawBsonRef::Array(all)) = document.get("p").map_err(damaged)? {
        for one in all {
            earlier.extend(one.map_err(damaged)?.as_i64());
        }
    }
    Ok(Stamps { created: stamp("s")?, version: stamp("v")?, earlier })
}

/// The entity of a document that was read with its record.
pub(super) fn entity(document: &RawDocument) -> Result<Entity, StoreError> {
    let record = document.get_binary("r").map_err(damaged)?;
    decode_whole(record.bytes).map_err(damaged)
}

/// What is in the database cannot be read.
pub(super) fn damaged(why: impl std::fmt::Display) -> StoreError {
    StoreError::Broken(format!("a document cannot be read: {why}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::samples::{self, attribute_name, bare_entity, place as at_place, property};

    proptest! {
        #[test]
        fn an_entity_comes_back_from_its_document(entity in samples::entity()) {
            let stamps = Stamps::new(5).next(7).next(9);
            let document = write(&TenantId::DEFAULT, &entity, &stamps);
            prop_assert_eq!(super::entity(&document).unwrap(), entity);
            prop_assert_eq!(super::stamps(&document).unwrap(), stamps);
        }
    }

    #[test]
    fn attributes_are_found_by_keys_and_places() {
        let mut entity = bare_entity(1, 1);
        entity.attributes.insert(attribute_name(0), property(2.5));
        entity.attributes.insert(attribute_name(1), at_place(100.0, 18.0));
        let many: Vec<_> = (0..300i64).map(crate::model::Value::from).collect();
        let many = crate::model::Value::Array(many.into());
        entity.attributes.insert(attribute_name(2), property(many));
        entity.attributes.insert(attribute_name(3), property("x".repeat(200).as_str()));
        entity.attributes.insert(attribute_name(4), property("2026-01-31"));
        let document = write(&TenantId::named("ลำปาง").unwrap(), &entity, &Stamps::new(1));
        let document = mongodb::bson::Document::try_from(&*document).unwrap();
        let name = |number| attribute_name(number).as_str();
        let keys = document.get_array("k").unwrap();
        let day = 1_769_817_600_000_000_i64;
        assert_eq!(keys[0], mongodb::bson::bson!({"a": name(0), "v": [2.5]}));
        assert_eq!(keys[1], mongodb::bson::bson!({"a": name(1)}));
        assert_eq!(keys[2].as_document().unwrap().get_array("v").unwrap().len(), 256);
        let bytes = crate::query::root_key(&"x".repeat(200)).unwrap().to_vec();
        let sort_key = mongodb::bson::Binary { subtype: BinarySubtype::Generic, bytes };
        assert_eq!(
            keys[3],
            mongodb::bson::bson!({"a": name(3), "v": ["x".repeat(128)], "z1": sort_key})
        );
        assert_eq!(
            keys[4],
            mongodb::bson::bson!({"a": name(4), "v": [{"d": day}, {"sd": "2026-01-31"}]})
        );
        assert_eq!(document.get_array("g").unwrap().len(), 1);
        let odd =
            [name(2).to_owned(), format!("{}\u{1f}+", name(2)), format!("{}\u{1f}~", name(3))];
        assert_eq!(document.get_array("odd").unwrap()[..], odd.map(mongodb::bson::Bson::from));
        assert_eq!(document.get_document("_id").unwrap().get_str("t").unwrap(), "ลำปาง");
    }

    #[test]
    fn a_document_remembers_some_writes() {
        let mut stamps = Stamps::new(1);
        for stamp in 2..9 {
            stamps = stamps.next(stamp);
        }
        assert_eq!((stamps.created, stamps.version), (1, 8));
        assert_eq!((stamps.tells(8), stamps.tells(5)), (Some(true), Some(true)));
        assert_eq!((stamps.tells(9), stamps.tells(2)), (Some(false), None));
        assert_eq!(Stamps::new(3).tells(2), Some(false));
    }
}
