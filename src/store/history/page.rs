//! Temporal queries: who is asked for, in which order, and which page of them is told.

use std::ops::ControlFlow;

use super::recall::Recall;
use crate::model::{Attributes, Chapter, Entity, EntityId, Timestamp, TypeName, TypeSelection};
use crate::query::{Anchor, Hint, HistoryPlan};
use crate::store::FoundHistory;

/// How many hits are gathered beyond twice those that are wanted before they are put in order.
const SPARE: usize = 1_024;

/// Where candidates come from, always in the order of their ids.
pub(in crate::store) enum Source {
    /// Only these can be meant.
    Ids(Vec<EntityId>),
    /// Those known by a type.
    Type(TypeName),
    All,
    Nobody,
}

/// Where the candidates of a plan come from.
pub(in crate::store) fn source(plan: &HistoryPlan) -> Source {
    let mut source = Source::All;
    for hint in plan.entities.hints() {
        match hint {
            Hint::Ids(ids) => return Source::Ids(ids),
            Hint::Types(TypeSelection::Of(alternatives)) => {
                if let [combination] = &alternatives[..]
                    && let Some(first) = combination.first()
                {
                    match first.name() {
                        Some(name) => source = Source::Type(name),
                        None => return Source::Nobody,
                    }
                }
            }
            _ => {}
        }
    }
    source
}

/// Whether an entity of this id may be meant.
pub(in crate::store) fn may_be(plan: &HistoryPlan, id: &EntityId) -> bool {
    let select = &plan.entities.select;
    select.is_empty() || select.iter().any(|one| one.has_id(id))
}

/// The least id that a page may hold.
pub(in crate::store) fn after_anchor(plan: &HistoryPlan) -> String {
    let after = plan.entities.page.after.as_ref().map(Anchor::as_str);
    after.map_or_else(String::new, |after| format!("{after}\0"))
}

/// A page that is being gathered.
pub(in crate::store) struct Page<'p, 'a> {
    plan: &'p HistoryPlan,
    now: Timestamp,
    skip: usize,
    hits: Vec<Recall<'a>>,
    matches: u64,
    more: bool,
}

impl<'p, 'a> Page<'p, 'a> {
    /// An empty one.
    pub fn new(plan: &'p HistoryPlan, now: Timestamp) -> Self {
        let skip = plan.entities.page.offset;
        Self { plan, now, skip, hits: Vec::new(), matches: 0, more: false }
    }

    fn wanted(&self) -> usize {
        self.plan.entities.page.offset.saturating_add(self.plan.entities.page.limit)
    }

    /// One more that the plan selects; whether to look for others.
    pub fn hit(&mut self, recall: Recall<'a>) -> ControlFlow<()> {
        self.matches += 1;
        let page = &self.plan.entities.page;
        if self.plan.entities.order.is_some() {
            self.hits.push(recall);
            if self.hits.len() >= self.wanted().saturating_mul(2).saturating_add(SPARE) {
                self.keep_first();
            }
        } else if self.skip > 0 {
            self.skip -= 1;
        } else if self.hits.len() < page.limit {
            self.hits.push(recall);
        } else {
            self.more = true;
            if !page.count {
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }

    fn keep_first(&mut self) {
        let (plan, now) = (self.plan, self.now);
        let mut hits: Vec<(Entity, Recall<'a>)> =
            self.hits.drain(..).map(|recall| (blank(&recall.chapter), recall)).collect();
        hits.sort_by(|a, b| plan.entities.compare(&a.0, &b.0, now));
        self.more |= hits.len() > self.wanted();
        hits.truncate(self.wanted());
        self.hits = hits.into_iter().map(|(_, recall)| recall).collect();
    }

    /// What was found, and what is to be told of it.
    pub fn found(mut self) -> (Vec<Recall<'a>>, FoundHistory) {
        let page = &self.plan.entities.page;
        let ordered = self.plan.entities.order.is_some();
        if ordered {
            self.keep_first();
            self.hits.drain(..page.offset.min(self.hits.len()));
        }
        let last = self.hits.last().filter(|_| self.more && !ordered);
        let found = FoundHistory {
            next: last.map(|recall| Anchor::new(recall.chapter.id.as_str())),
            count: page.count.then_some(self.matches),
            more: self.more,
            ..FoundHistory::default()
        };
        (self.hits, found)
    }
}

/// An entity of which only is said what a temporal query can order by: its id.
fn blank(chapter: &Chapter) -> Entity {
    Entity {
        id: chapter.id.clone(),
        types: chapter.types.clone(),
        scopes: Vec::new(),
        attributes: Attributes::new(),
        created_at: chapter.created_at,
        modified_at: chapter.modified_at,
        expires_at: None,
    }
}
