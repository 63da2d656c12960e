//! Linked entities (4.5.23): which are wanted, and those that were found.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::write::{JoinForm, Rendering};
use crate::model::{AttrName, EntityId, Stored, Timestamp};
use crate::query::{Projection, View};

/// Linked entities that were found for an answer.
#[derive(Debug, Default)]
pub struct Linked {
    entities: FxHashMap<EntityId, Arc<Stored>>,
    /// To stand after the entities of the answer, each once, with the way that led there.
    flat: Vec<(Arc<Stored>, Route)>,
}

/// The Relationships that lead from an entity of the answer to a linked one; None where all of
/// the linked one is shown whatever the way.
type Route = Option<Vec<AttrName>>;

impl Linked {
    /// The entity with this id, if it was found.
    pub fn get(&self, id: &EntityId) -> Option<&Stored> {
        self.entities.get(id).map(Arc::as_ref)
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.entities.is_empty()
    }

    /// Whether entities follow those of the answer.
    pub fn has_flat(&self) -> bool {
        !self.flat.is_empty()
    }

    /// The entities that follow those of the answer, and what is shown of them.
    pub(super) fn flat<'a>(
        &'a self,
        projection: &'a Projection,
    ) -> impl Iterator<Item = (&'a Stored, View<'a>)> {
        self.flat.iter().map(|(stored, route)| (stored.as_ref(), view_along(projection, route)))
    }
}

fn view_along<'a>(projection: &'a Projection, route: &Route) -> View<'a> {
    match route {
        None => View::WHOLE,
        Some(names) => names.iter().fold(projection.view(), |view, name| view.linked(*name)),
    }
}

/// Follows links from the entities of an answer, level by level: ask what is [`Links::wanted`],
/// fetch it, hand over what was [`Links::found`], until nothing is wanted.
#[derive(Debug)]
pub struct Links<'r> {
    rendering: &'r Rendering,
    now: Timestamp,
    /// Entities whose links have not been followed yet.
    border: Vec<(Arc<Stored>, Route)>,
    /// Links that led out of the border.
    ahead: Vec<(EntityId, Route)>,
    seen: FxHashSet<(EntityId, Route)>,
    /// Ids that are in the answer already.
    listed: FxHashSet<EntityId>,
    level: u32,
    /// How many entities were found.
    fetched: usize,
    linked: Linked,
}

impl<'r> Links<'r> {
    /// Starts at the entities of an answer.
    pub fn new(rendering: &'r Rendering, answer: &[Arc<Stored>], now: Timestamp) -> Self {
        let mut links = Self {
            rendering,
            now,
            border: Vec::new(),
            ahead: Vec::new(),
            seen: FxHashSet::default(),
            listed: FxHashSet::default(),
            level: 0,
            fetched: 0,
            linked: Linked::default(),
        };
        if rendering.join.is_some() {
            let route = (!rendering.projection.is_whole()).then(Vec::new);
            for entity in answer {
                links.border.push((entity.clone(), route.clone()));
                links.listed.insert(entity.id.clone());
                links.linked.entities.insert(entity.id.clone(), entity.clone());
            }
        }
        links
    }

    /// The ids of entities to fetch for the next level; none if there is nothing left to do.
    pub fn wanted(&mut self) -> Vec<EntityId> {
        let Some(join) = &self.rendering.join else { return Vec::new() };
        while self.level < join.level && !self.border.is_empty() {
            self.level += 1;
            for (entity, route) in std::mem::take(&mut self.border) {
                self.follow(&entity, &route);
            }
            let mut wanted = FxHashSet::default();
            let unknown = |id: &&EntityId| !self.linked.entities.contains_key(*id);
            let ids: Vec<EntityId> = self
                .ahead
                .iter()
                .map(|(id, _)| id)
                .filter(unknown)
                .filter(|id| wanted.insert((*id).clone()))
                .take(join.limit.saturating_sub(self.fetched))
                .cloned()
                .collect();
            if !ids.is_empty() {
                return ids;
            }
            self.advance();
        }
        Vec::new()
    }

    fn follow(&mut self, entity: &Stored, route: &Route) {
        let Some(join) = &self.rendering.join else { return };
        let view = view_along(&self.rendering.projection, route);
        for (name, attribute) in
            entity.attributes.iter().filter(|(name, _)| view.keeps_attribute(*name))
        {
            let beyond = view.linked(name);
            let route: Route = match route {
                Some(names) if !beyond.is_whole() => {
                    Some(names.iter().copied().chain([name]).collect())
                }
                _ => None,
            };
            for instance in attribute.instances() {
                if !instance.is_alive(self.now) || !self.rendering.asks_for(instance) {
                    continue;
                }
                for id in instance.datum.targets() {
                    let step = (id.clone(), route.clone());
                    if self.seen.len() < join.limit.saturating_mul(16)
                        && !join.contained_by.contains(id)
                        && self.seen.insert(step.clone())
                    {
                        self.ahead.push(step);
                    }
                }
            }
        }
    }

    /// Takes over the entities that were found, of those that were wanted.
    pub fn found(&mut self, entities: impl IntoIterator<Item = Arc<Stored>>) {
        for entity in entities {
            if entity.is_alive(self.now) {
                self.fetched += 1;
                self.linked.entities.insert(entity.id.clone(), entity);
            }
        }
        self.advance();
    }

    /// The links that led out of the border become the border.
    fn advance(&mut self) {
        let flat = self.rendering.join.as_ref().is_some_and(|join| join.form == JoinForm::Flat);
        for (id, route) in std::mem::take(&mut self.ahead) {
            let Some(entity) = self.linked.entities.get(&id) else { continue };
            if flat && self.listed.insert(id) {
                self.linked.flat.push((entity.clone(), route.clone()));
            }
            self.border.push((entity.clone(), route));
        }
    }

    /// All that was found.
    pub fn finish(self) -> Linked {
        self.linked
    }
}
