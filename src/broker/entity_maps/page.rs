//! Pages of what an entity map names (5.5.9.3): the map says which entities and in which order, the
//! query is asked anew of each before it is shown.

use std::collections::HashMap;
use std::sync::Arc;

use super::add_warnings;
use super::keep::Head;
use crate::broker::federation::Everywhere;
use crate::broker::{Broker, Call, Error, QueryTexts};
use crate::federate::Warning;
use crate::model::{EntityId, EntityMapId, Held, Stored};
use crate::query::{Anchor, EntityPlan, Page, Selector};
use crate::represent::Rendering;

/// How many entities are asked for at once while they are counted.
const AT_ONCE: usize = 500;

/// What is asked anew of the entities of a map.
#[derive(Clone, Copy)]
pub(in crate::broker) struct MapQuery<'a> {
    pub texts: &'a QueryTexts,
    pub plan: &'a EntityPlan,
    pub rendering: &'a Rendering,
    /// The maps of sources: registrations, and the ids of the maps.
    pub linked: &'a [(String, String)],
}

/// What was found of some entities of a map.
type Fits = (HashMap<EntityId, Arc<Stored>>, Vec<Warning>);

impl Broker {
    /// One page of the entities that a map names and that a plan still selects, in the order of
    /// the map. Those that it does not select any more are taken out of the map; of those whose
    /// sources do not answer the places stay, and are empty.
    pub(super) async fn page_of_map(
        &self,
        call: &Call,
        query: MapQuery<'_>,
        id: &EntityMapId,
        head: &Head,
    ) -> Result<Everywhere, Error> {
        let Page { offset, limit, count, .. } = query.plan.page;
        let query = MapQuery { linked: head.linked(), ..query };
        let select = &query.plan.select;
        let mut page = Everywhere::default();
        if count {
            page.count = Some(self.count_in_map(call, query, id, head).await?);
        }
        if limit == 0 {
            return Ok(page);
        }
        let offset = offset as u64;
        let narrowed = narrows(select);
        let (mut place, mut skip) = match narrowed {
            true => (0, offset as usize),
            false => (self.begin_in_map(call, id, head, offset), 0),
        };
        let (mut hits, mut gone, mut most) = (Vec::new(), Vec::new(), 0);
        // One more than wanted tells whether there are more. Where few fit, ever more are tried.
        while hits.len() <= limit {
            most = (2 * most).min(AT_ONCE).max(limit + 1 - hits.len());
            let mut some = self.entity_maps.entities(&call.tenant, id, head, place, most).await?;
            let Some((last, _)) = some.last() else { break };
            place = last + 1;
            // What is not asked for by its id stays in the map.
            some.retain(|(_, held)| is_named(select, &held.id));
            some.drain(..skip.min(some.len())).for_each(|_| skip -= 1);
            let (mut found, said) = self.fits(call, query, &some).await?;
            let all_answered = said.is_empty() && call.origin().is_some();
            add_warnings(&mut page.warnings, said);
            for (at, held) in some {
                if hits.len() > limit {
                    break;
                }
                match found.remove(&held.id) {
                    Some(entity) => hits.push((at, Some(entity))),
                    None if all_answered || held.is_here_alone() => gone.push(at),
                    None => hits.push((at, None)),
                }
            }
        }
        self.entity_maps.drop_places(&call.tenant, id, &gone).await?;
        page.more = hits.len() > limit;
        hits.truncate(limit);
        if let (true, Some((last, _))) = (page.more && !narrowed, hits.last()) {
            let next = offset.saturating_add(hits.len() as u64);
            self.end_in_map(call, id, next, last + 1);
        }
        page.entities = hits.into_iter().filter_map(|(_, entity)| entity).collect();
        Ok(page)
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
        query: MapQuery<'_>,
        id: &EntityMapId,
        head: &Head,
    ) -> Result<u64, Error> {
        let (mut count, mut place) = (0, 0);
        loop {
            let some = self.entity_maps.entities(&call.tenant, id, head, place, AT_ONCE).await?;
            let Some((last, _)) = some.last() else { return Ok(count) };
            place = last + 1;
            count += self.fits(call, query, &some).await?.0.len() as u64;
            call.let_go();
        }
    }

    /// Those of some entities that a plan selects.
    async fn fits(
        &self,
        call: &Call,
        query: MapQuery<'_>,
        some: &[(u32, Held)],
    ) -> Result<Fits, Error> {
        let held: Vec<Held> = some.iter().map(|(_, held)| held.clone()).collect();
        let (found, warnings) = self.query_of(call, query, &held).await?;
        Ok((found.into_iter().map(|entity| (entity.id.clone(), entity)).collect(), warnings))
    }

    /// What a query finds of some entities, of those who hold them.
    pub(in crate::broker) async fn query_of(
        &self,
        call: &Call,
        query: MapQuery<'_>,
        held: &[Held],
    ) -> Result<(Vec<Arc<Stored>>, Vec<Warning>), Error> {
        let ids: Vec<EntityId> = held.iter().map(|held| held.id.clone()).collect();
        let Some(select) = only(&query.plan.select, &ids) else { return Ok(Default::default()) };
        let page = Page { limit: ids.len(), ..Page::default() };
        let plan = EntityPlan { select, order: None, page, ..query.plan.clone() };
        let leads_away = plan.link_depth() > 0 && call.origin().is_some();
        if held.iter().all(Held::is_here_alone) && !leads_away {
            let found = self.store.find(&call.tenant, &plan, call.now).await?;
            return Ok((found.entities, Vec::new()));
        }
        // A source's own map serves the question that it was made by, whatever is shown.
        let (default, linked) = (Rendering::default(), query.linked);
        let rendering = if linked.is_empty() { query.rendering } else { &default };
        let mut asked = self.asked(call, &plan, query.texts, rendering)?;
        asked.linked = linked;
        Box::pin(self.query_held(call, &asked, rendering, held)).await
    }
}

/// Whether a query that goes by a map is about some of its entities only, as it may be (5.5.14).
pub(super) fn narrows(select: &[Selector]) -> bool {
    select.iter().any(|one| !one.ids.is_empty() || one.id_pattern.is_some())
}

/// Whether an entity is meant, as far as its id tells.
pub(super) fn is_named(select: &[Selector], id: &EntityId) -> bool {
    select.is_empty() || select.iter().any(|one| one.has_id(id))
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
            types: one.types.clone(),
            ..Selector::default()
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
