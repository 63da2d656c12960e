//! What there is in a tenant, counted by sets.

use std::sync::Arc;

use roaring::RoaringBitmap;

use super::Inner;
use super::index::Index;
use super::tenants::Tenant;
use crate::model::{Kind, Name, TenantId, Timestamp};
use crate::store::{AttributeCensus, Census, StoreError, TypeCensus};

/// More pairs of types and attributes than this are not counted on an async thread.
const INLINE: usize = 2_000;

/// Counts a tenant.
pub(super) async fn census(
    inner: &Arc<Inner>,
    tenant: &TenantId,
    now: Timestamp,
) -> Result<Census, StoreError> {
    let tenant = inner.tenants.get(tenant)?;
    let pairs = {
        let state = tenant.state.read();
        state.index.types.len() * state.index.attributes.len()
    };
    if pairs <= INLINE {
        return inner.census(&tenant, now);
    }
    let inner = inner.clone();
    let counted = tokio::task::spawn_blocking(move || inner.census(&tenant, now)).await;
    counted.map_err(|error| StoreError::Broken(error.to_string()))?
}

impl Inner {
    fn census(&self, tenant: &Tenant, now: Timestamp) -> Result<Census, StoreError> {
        // Where something has expired the sets say too much: those seats are looked at singly, in
        // sets of their own.
        let stale = tenant.state.read().index.stale(now).unwrap_or_default();
        let mut apart = Index::default();
        let seats: Vec<u32> = stale.iter().collect();
        for (seat, entity) in self.entities_of(tenant, &seats)? {
            if entity.is_alive(now) {
                apart.update(seat, None, Some(&entity.without_expired(now)));
            }
        }
        let names = |own: &mut dyn Iterator<Item = Name>, other: &mut dyn Iterator<Item = Name>| {
            let mut names: Vec<Name> = own.chain(other).collect();
            names.sort_unstable_by_key(|name| name.as_str());
            names.dedup();
            names
        };
        let (types, attributes) = {
            let index = &tenant.state.read().index;
            (
                names(&mut index.types.keys().copied(), &mut apart.types.keys().copied()),
                names(&mut index.attributes.keys().copied(), &mut apart.attributes.keys().copied()),
            )
        };
        let mut census = Census::default();
        for name in types {
            // A turn for writers between types.
            let state = tenant.state.read();
            let sets = [(&state.index, &stale), (&apart, &RoaringBitmap::new())];
            let within: Vec<(&Index, RoaringBitmap)> = sets
                .into_iter()
                .filter_map(|(index, without)| Some((index, index.types.get(&name)? - without)))
                .collect();
            let kinds = |attribute: &Name| {
                let kinds =
                    within.iter().flat_map(|(index, seats)| kinds(index, *attribute, seats));
                let mut kinds: Vec<Kind> = kinds.collect();
                kinds.sort_unstable();
                kinds.dedup();
                (!kinds.is_empty()).then_some((*attribute, kinds))
            };
            let entities = within.iter().map(|(_, seats)| seats.len()).sum();
            if entities > 0 {
                let attributes = attributes.iter().filter_map(kinds).collect();
                census.types.push(TypeCensus { name, entities, attributes });
            }
        }
        for name in attributes {
            let mut entities = 0;
            let state = tenant.state.read();
            for (index, without) in [(&state.index, &stale), (&apart, &RoaringBitmap::new())] {
                let mut seats = RoaringBitmap::new();
                if let Some(holders) = index.attributes.get(&name) {
                    holders.add_to(&mut seats);
                }
                entities += seats.difference_len(without);
            }
            drop(state);
            let mut of_attribute =
                AttributeCensus { name, entities, kinds: Vec::new(), types: Vec::new() };
            for of_type in &census.types {
                let own = &of_type.attributes;
                if let Ok(place) = own.binary_search_by_key(&name.as_str(), |(own, _)| own.as_str())
                {
                    of_attribute.types.push(of_type.name);
                    of_attribute.kinds.extend(&own[place].1);
                }
            }
            of_attribute.kinds.sort_unstable();
            of_attribute.kinds.dedup();
            if !of_attribute.types.is_empty() {
                census.attributes.push(of_attribute);
            }
        }
        Ok(census)
    }
}

/// The kinds an attribute has in some seats.
fn kinds(index: &Index, attribute: Name, seats: &RoaringBitmap) -> Vec<Kind> {
    let Some(holders) = index.attributes.get(&attribute) else { return Vec::new() };
    let here = holders.by_kind().iter().filter(|(_, own)| !own.is_disjoint(seats));
    here.map(|(kind, _)| *kind).collect()
}
