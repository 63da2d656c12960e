//! Which types and attributes there are.

use std::collections::{BTreeMap, BTreeSet};

use super::Inner;
use super::find::everything;
use crate::model::{AttrName, Kind, TenantId, Timestamp, TypeName};
use crate::store::{AttributeCensus, Census, StoreError, TypeCensus};

/// Counts the entities of a tenant by type and attribute.
pub(super) async fn census(
    inner: &Inner,
    tenant: &TenantId,
    now: Timestamp,
) -> Result<Census, StoreError> {
    let mut types: BTreeMap<&str, (TypeName, u64, BTreeMap<&str, (AttrName, u8)>)> =
        BTreeMap::new();
    let mut attributes: BTreeMap<&str, (AttrName, u64, u8, BTreeMap<&str, TypeName>)> =
        BTreeMap::new();
    for held in everything(inner, tenant).await? {
        if !held.entity.is_alive(now) {
            continue;
        }
        let entity = held.entity.without_expired(now);
        for own in entity.types.as_slice() {
            let row = types.entry(own.as_str()).or_insert_with(|| (*own, 0, BTreeMap::new()));
            row.1 += 1;
            for (name, attribute) in entity.attributes.iter() {
                let kinds = &mut row.2.entry(name.as_str()).or_insert((name, 0)).1;
                *kinds |= crate::store::record::kinds_of(attribute);
            }
        }
        for (name, attribute) in entity.attributes.iter() {
            let row =
                attributes.entry(name.as_str()).or_insert_with(|| (name, 0, 0, BTreeMap::new()));
            row.1 += 1;
            row.2 |= crate::store::record::kinds_of(attribute);
            row.3.extend(entity.types.as_slice().iter().map(|own| (own.as_str(), *own)));
        }
    }
    let kinds = |bits: u8| -> Vec<Kind> {
        let all: BTreeSet<usize> = (0..8).filter(|bit| bits & 1 << bit != 0).collect();
        all.into_iter().map(|bit| Kind::ALL[bit]).collect()
    };
    Ok(Census {
        types: types
            .into_values()
            .map(|(name, entities, own)| TypeCensus {
                name,
                entities,
                attributes: own.into_values().map(|(name, bits)| (name, kinds(bits))).collect(),
            })
            .collect(),
        attributes: attributes
            .into_values()
            .map(|(name, entities, bits, types)| AttributeCensus {
                name,
                entities,
                kinds: kinds(bits),
                types: types.into_values().collect(),
            })
            .collect(),
    })
}
