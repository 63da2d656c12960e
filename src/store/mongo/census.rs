//! What there is in a tenant.
//!
//! Every document has a hash of its entity's shape: types, attributes and their kinds. An index of
//! these alone tells how many entities have each shape, and what a shape is, one entity of it
//! tells; that is remembered. Entities in which something has expired count as what is left.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use mongodb::bson::{Bson, RawDocumentBuf, doc};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use super::{Inner, document};
use crate::model::{AttrName, Entity, Kind, TenantId, Timestamp, TypeName};
use crate::store::record::kinds_of;
use crate::store::{AttributeCensus, Census, StoreError, TypeCensus};

/// How many shapes are remembered; a city has some dozens.
const REMEMBERED: usize = 10_000;

/// How many shapes are asked for at once.
const AT_ONCE: usize = 8;

/// What entities have in common.
#[derive(Debug)]
struct Shape {
    types: Vec<TypeName>,
    /// Attributes, each with a bit for every kind that it has.
    attributes: Vec<(AttrName, u8)>,
}

impl Shape {
    fn of(entity: &Entity) -> Self {
        let attributes = entity.attributes.iter();
        Self {
            types: entity.types.as_slice().to_vec(),
            attributes: attributes.map(|(name, attribute)| (name, kinds_of(attribute))).collect(),
        }
    }
}

/// Shapes by their hashes. A hash means the same for ever.
#[derive(Debug, Default)]
pub(super) struct Shapes(Mutex<FxHashMap<i64, Arc<Shape>>>);

impl Shapes {
    fn get(&self, hash: i64) -> Option<Arc<Shape>> {
        self.0.lock().get(&hash).cloned()
    }

    fn remember(&self, hash: i64, shape: &Arc<Shape>) {
        let mut shapes = self.0.lock();
        if shapes.len() < REMEMBERED {
            shapes.insert(hash, shape.clone());
        }
    }
}

/// Counts a tenant.
pub(super) async fn census(
    inner: &Inner,
    tenant: &TenantId,
    now: Timestamp,
) -> Result<Census, StoreError> {
    let mut tally = Tally::default();
    // Those in which something has expired are taken out of their shapes and looked at singly.
    let mut stale: FxHashMap<i64, i64> = FxHashMap::default();
    let name = document::tenant_name(tenant);
    let find = inner.entities.find(doc! { "_id.t": name, "x": { "$lte": now.micros() } });
    let find = find.projection(doc! { "_id": 0, "h": 1, "r": 1 });
    let find = find.max_time(inner.settings.time_limit);
    let mut cursor = inner.reading(async { find.await }).await?;
    while let Some(found) = inner.reading(async { cursor.try_next().await }).await? {
        let hash = found.get_i64("h").map_err(document::damaged)?;
        *stale.entry(hash).or_default() += 1;
        let entity = document::entity(&found)?;
        if entity.is_alive(now) {
            tally.add(&Shape::of(&entity.without_expired(now)), 1);
        }
    }
    let counts = counts(inner, name).await?;
    let shapes = stream::iter(counts).map(|(hash, count)| {
        let rest = count - stale.get(&hash).copied().unwrap_or(0);
        async move { Ok::<_, StoreError>((shape(inner, name, hash).await?, rest)) }
    });
    let mut shapes = shapes.buffer_unordered(AT_ONCE);
    while let Some((shape, count)) = shapes.try_next().await? {
        if let (Some(shape), Ok(count @ 1..)) = (shape, u64::try_from(count)) {
            tally.add(&shape, count);
        }
    }
    Ok(tally.census())
}

/// How many entities have each shape.
async fn counts(inner: &Inner, tenant: &str) -> Result<Vec<(i64, i64)>, StoreError> {
    let group = doc! { "$group": { "_id": "$h", "n": { "$sum": 1_i64 } } };
    let pipeline = [doc! { "$match": { "_id.t": tenant } }, group];
    let aggregate = inner.entities.aggregate(pipeline).max_time(inner.settings.time_limit);
    let aggregate = aggregate.hint(mongodb::options::Hint::Name("shapes_1".into()));
    let aggregate = aggregate.with_type::<RawDocumentBuf>();
    let found: Vec<RawDocumentBuf> =
        inner.reading(async { aggregate.await?.try_collect().await }).await?;
    let read = |group: RawDocumentBuf| {
        let hash = group.get_i64("_id").map_err(document::damaged)?;
        Ok((hash, group.get_i64("n").map_err(document::damaged)?))
    };
    found.into_iter().map(read).collect()
}

/// The shape of a hash; None if the last entity of it is gone meanwhile.
async fn shape(inner: &Inner, tenant: &str, hash: i64) -> Result<Option<Arc<Shape>>, StoreError> {
    if let Some(known) = inner.shapes.get(hash) {
        return Ok(Some(known));
    }
    let find = inner.entities.find_one(doc! { "_id.t": tenant, "h": Bson::Int64(hash) });
    let find = find.projection(doc! { "_id": 0, "r": 1 }).max_time(inner.settings.time_limit);
    let Some(found) = inner.reading(async { find.await }).await? else { return Ok(None) };
    let shape = Arc::new(Shape::of(&document::entity(&found)?));
    inner.shapes.remember(hash, &shape);
    Ok(Some(shape))
}

/// What was counted so far.
#[derive(Default)]
struct Tally {
    types: FxHashMap<TypeName, OfType>,
    attributes: FxHashMap<AttrName, u64>,
}

#[derive(Default)]
struct OfType {
    entities: u64,
    kinds: FxHashMap<AttrName, u8>,
}

impl Tally {
    fn add(&mut self, shape: &Shape, count: u64) {
        for name in &shape.types {
            let of_type = self.types.entry(*name).or_default();
            of_type.entities += count;
            for (attribute, kinds) in &shape.attributes {
                *of_type.kinds.entry(*attribute).or_default() |= kinds;
            }
        }
        for (attribute, _) in &shape.attributes {
            *self.attributes.entry(*attribute).or_default() += count;
        }
    }

    fn census(self) -> Census {
        let mut by_attribute: BTreeMap<&str, AttributeCensus> = BTreeMap::new();
        let mut kinds_of_attribute: FxHashMap<AttrName, u8> = FxHashMap::default();
        for (name, entities) in self.attributes {
            let own = AttributeCensus { name, entities, kinds: Vec::new(), types: Vec::new() };
            by_attribute.insert(name.as_str(), own);
        }
        let mut types: Vec<_> = self.types.into_iter().collect();
        types.sort_unstable_by_key(|(name, _)| name.as_str());
        let mut census = Census::default();
        for (name, of_type) in types {
            let mut attributes: Vec<_> = of_type.kinds.into_iter().collect();
            attributes.sort_unstable_by_key(|(attribute, _)| attribute.as_str());
            for (attribute, kinds) in &attributes {
                *kinds_of_attribute.entry(*attribute).or_default() |= kinds;
                if let Some(own) = by_attribute.get_mut(attribute.as_str()) {
                    own.types.push(name);
                }
            }
            let attributes = attributes.into_iter().map(|(name, bits)| (name, kinds(bits)));
            let attributes = attributes.collect();
            census.types.push(TypeCensus { name, entities: of_type.entities, attributes });
        }
        for (_, mut own) in by_attribute {
            own.kinds = kinds(kinds_of_attribute.get(&own.name).copied().unwrap_or(0));
            census.attributes.push(own);
        }
        census
    }
}

/// The kinds of some bits.
fn kinds(bits: u8) -> Vec<Kind> {
    Kind::ALL.into_iter().filter(|kind| bits & (1 << *kind as u8) != 0).collect()
}
