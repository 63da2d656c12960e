//! Pages of what an entity map names (5.5.9.3): the map says which entities and in which order, the
//! query is asked anew of each before it is shown.

use std::collections::HashMap;
use std::sync::Arc;

use super::keep::Head;
use crate::broker::{Broker, Call, Error};
use crate::model::{EntityId, EntityMapId, Held, Stored};
use crate::query::{Anchor, EntityPlan, Page, Selector};
use crate::store::Found;

/// How many entities are asked for at once while they are counted.
const AT_ONCE: usize = 500;

impl Broker {
    /// One page of the entities that a map names and that a plan still selects, in the order of
    /// the map. Those that it does not select any more are taken out of the map.
    pub(super) async fn page_of_map(
        &self,
        call: &Call,
        plan: &EntityPlan,
        id: &EntityMapId,
        head: &Head,
    ) -> Result<Found, Error> {
        let Page { offset, limit, count, .. } = plan.page;
        let count = match count {
            true => Some(self.count_in_map(call, plan, id, head).await?),
            false => None,
        };
        if limit == 0 {
            return Ok(Found { count, ..Found::default() });
        }
        let offset = offset as u64;
        let mut place = self.begin_in_map(call, id, head, offset);
        let (mut hits, mut gone) = (Vec::new(), Vec::new());
        // One more than wanted tells whether there are more.
        while hits.len() <= limit {
            let most = limit + 1 - hits.len();
            let some = self.entity_maps.entities(&call.tenant, id, head, place, most).await?;
            let Some((last, _)) = some.last() else { break };
            place = last + 1;
            let mut found = self.fits(call, plan, &some).await?;
            for (place, held) in some {
                match found.remove(&held.id) {
                    Some(entity) => hits.push((place, entity)),
                    None => gone.push(place),
                }
            }
        }
        self.entity_maps.drop_places(&call.tenant, id, &gone).await?;
        let more = hits.len() > limit;
        hits.truncate(limit);
        if let (true, Some((last, _))) = (more, hits.last()) {
            let next = offset.saturating_add(hits.len() as u64);
            self.end_in_map(call, id, next, last + 1);
        }
        let entities = hits.into_iter().map(|(_, entity)| entity).collect();
        Ok(Found { entities, count, more, next: None })
    }

    /// The place where a page begins: where the one before it ended, if that is remembered, though
    /// entities before it were taken out meanwhile.
    pub(super) fn begin_in_map(
        &self,
        call: &Call,
        id: &EntityMapId,
        head: &Head,
        offset: u64,
    ) -> u32 {
        let end = self.pages.end_before(self.pages.map_key(&call.tenant, id), offset, call.now);
        let place = end.and_then(|end| end.as_str().parse().ok());
        place.unwrap_or_else(|| head.place_of(offset))
    }

    /// Remembers where the page ends that another one follows.
    pub(super) fn end_in_map(&self, call: &Call, id: &EntityMapId, next: u64, place: u32) {
        let key = self.pages.map_key(&call.tenant, id);
        self.pages.remember(key, next, Anchor::new(&place.to_string()), call.now);
    }

    /// How many of all that a map names the plan selects.
    async fn count_in_map(
        &self,
        call: &Call,
        plan: &EntityPlan,
        id: &EntityMapId,
        head: &Head,
    ) -> Result<u64, Error> {
        let (mut count, mut place) = (0, 0);
        loop {
            let some = self.entity_maps.entities(&call.tenant, id, head, place, AT_ONCE).await?;
            let Some((last, _)) = some.last() else { return Ok(count) };
            place = last + 1;
            count += self.fits(call, plan, &some).await?.len() as u64;
        }
    }

    /// Those of some entities that a plan selects.
    async fn fits(
        &self,
        call: &Call,
        plan: &EntityPlan,
        some: &[(u32, Held)],
    ) -> Result<HashMap<EntityId, Arc<Stored>>, Error> {
        let ids: Vec<EntityId> = some.iter().map(|(_, held)| held.id.clone()).collect();
        let Some(select) = only(&plan.select, &ids) else { return Ok(HashMap::new()) };
        let page = Page { limit: ids.len(), ..Page::default() };
        let plan = EntityPlan { select, order: None, page, ..plan.clone() };
        let found = self.store.find(&call.tenant, &plan, call.now).await?;
        Ok(found.entities.into_iter().map(|entity| (entity.id.clone(), entity)).collect())
    }
}

/// What selects, of these entities alone, what the selectors do; None if that is nothing.
pub(in crate::broker) fn only(select: &[Selector], ids: &[EntityId]) -> Option<Vec<Selector>> {
    if ids.is_empty() {
        return None;
    }
    let any = [Selector::default()];
    let select = if select.is_empty() { &any } else { select };
    let narrowed: Vec<Selector> = select
        .iter()
        .map(|one| Selector {
            ids: ids.iter().filter(|id| one.has_id(id)).cloned().collect(),
            id_pattern: None,
            types: one.types.clone(),
        })
        .filter(|one| !one.ids.is_empty())
        .collect();
    (!narrowed.is_empty()).then_some(narrowed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::{Limits, Pattern};

    #[test]
    fn selectors_are_narrowed_to_the_entities_of_a_map() {
        let id = |text: &str| EntityId::parse(text).expect("a URI");
        let ids = [id("urn:x:1"), id("urn:x:2")];
        let all = only(&[], &ids).expect("some");
        assert_eq!(all, [Selector { ids: ids.to_vec(), ..Selector::default() }]);
        assert_eq!(only(&[], &[]), None);
        let one = Selector { ids: vec![id("urn:x:2"), id("urn:x:3")], ..Selector::default() };
        let none = Selector { ids: vec![id("urn:x:3")], ..Selector::default() };
        let pattern = Pattern::parse("idPattern", "1$", &Limits::default()).expect("a pattern");
        let like = Selector { id_pattern: Some(pattern), ..Selector::default() };
        let narrowed = only(&[one, none.clone(), like], &ids).expect("some");
        let told: Vec<_> = narrowed.iter().map(|one| one.ids.as_slice()).collect();
        assert_eq!(told, [&ids[1..], &ids[..1]]);
        assert_eq!(only(&[none], &ids), None);
    }
}
