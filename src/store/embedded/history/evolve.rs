//! Temporal queries: who is asked for, in which order, and one page of them told.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::chapter::Head;
use super::key::{chapter_key, type_key};
use super::recall::{Reading, Recall, Tails};
use crate::model::{
    Attributes, Chapter, Entity, EntityId, TenantId, Timestamp, TypeName, TypeSelection,
};
use crate::query::{Anchor, Hint, HistoryPlan, TellError};
use crate::store::embedded::Inner;
use crate::store::embedded::engine::{Look, Rest};
use crate::store::embedded::tenants::Tenant;
use crate::store::{FoundHistory, StoreError};

/// A question about one entity and no more instances than this is answered on the asker's thread.
const INLINE: usize = 1_000;

/// How many hits are gathered beyond twice those that are wanted before they are put in order.
const SPARE: usize = 1_024;

/// Answers a temporal query.
pub(in crate::store::embedded) async fn evolve(
    inner: &Arc<Inner>,
    tenant: &TenantId,
    plan: &HistoryPlan,
    now: Timestamp,
) -> Result<FoundHistory, StoreError> {
    let tenant = inner.tenants.get(tenant)?;
    let one = matches!(&plan.entities.select[..], [select] if select.ids.len() == 1);
    let few = plan.last_n.is_some_and(|last| last <= INLINE) && plan.aggregate.is_none();
    if one && few {
        match inner.evolve(&tenant, plan, now, &Tails::default()) {
            Err(Halt::Long) => {}
            Err(Halt::Failed(error)) => return Err(error),
            Ok(found) => return Ok(found),
        }
    }
    let (inner, plan) = (inner.clone(), plan.clone());
    let answer = tokio::task::spawn_blocking(move || inner.evolve_packed(&tenant, &plan, now));
    answer.await.map_err(|error| StoreError::Broken(error.to_string()))?
}

/// How often tails that are too long are packed for one query before it is told to come again.
const ROUNDS: usize = 64;

/// Why a query has no answer.
enum Halt {
    /// Tails are too long to be read; which is said by the [`Tails`].
    Long,
    Failed(StoreError),
}

impl From<StoreError> for Halt {
    fn from(error: StoreError) -> Self {
        Halt::Failed(error)
    }
}

/// Where candidates come from, always in the order of their ids.
enum Source {
    /// Only these can be meant.
    Ids(Vec<EntityId>),
    /// Those known by a type.
    Type(TypeName),
    All,
    Nobody,
}

impl Inner {
    /// Answers a temporal query; what is not packed, and too long to be read so, is packed first.
    fn evolve_packed(
        &self,
        tenant: &Tenant,
        plan: &HistoryPlan,
        now: Timestamp,
    ) -> Result<FoundHistory, StoreError> {
        let mut tails = Tails::default();
        for _ in 0..ROUNDS {
            match self.evolve(tenant, plan, now, &tails) {
                Err(Halt::Long) => {}
                Err(Halt::Failed(error)) => return Err(error),
                Ok(found) => return Ok(found),
            }
            for series in std::mem::take(&mut tails).long() {
                if !self.pack_now(&series)? {
                    // A disk that takes no writes does not keep anybody from reading.
                    tails = Tails::any();
                }
            }
        }
        Err(StoreError::Busy)
    }

    fn evolve(
        &self,
        tenant: &Tenant,
        plan: &HistoryPlan,
        now: Timestamp,
        tails: &Tails,
    ) -> Result<FoundHistory, Halt> {
        let found = self.evolve_as_far(tenant, plan, now, tails);
        if tails.found_long() { Err(Halt::Long) } else { Ok(found?) }
    }

    fn evolve_as_far(
        &self,
        tenant: &Tenant,
        plan: &HistoryPlan,
        now: Timestamp,
        tails: &Tails,
    ) -> Result<FoundHistory, StoreError> {
        self.engine.look(|look| {
            let mut page = Page::new(plan, now);
            let reading = Reading { look, names: &self.names, tails };
            self.candidates(look, tenant, plan, &mut |id, head| {
                let recall = Recall::new(&reading, (tenant.number, id), head)?;
                if !plan.selects(&recall)? {
                    return Ok(ControlFlow::Continue(()));
                }
                Ok(page.hit(recall))
            })?;
            let mut found = page.found();
            for recall in &mut found.0 {
                if let Some(entity) = self.entity(tenant, &recall.chapter.id)? {
                    recall.chapter.modified_at = entity.modified_at.max(recall.chapter.modified_at);
                }
            }
            let told = plan.tell(&found.0).map_err(|error| match error {
                TellError::Store(error) => error,
                TellError::Query(error) => StoreError::Unanswerable(error),
            })?;
            let thinned = found.0.iter().filter_map(Recall::thinned).max();
            Ok(FoundHistory { told, thinned, ..found.1 })
        })
    }

    /// Shows those who may be asked for, in the order of their ids, until told to stop.
    pub(super) fn candidates(
        &self,
        look: &Look<'_>,
        tenant: &Tenant,
        plan: &HistoryPlan,
        show: &mut dyn FnMut(EntityId, Head) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<(), StoreError> {
        let after = plan.entities.page.after.as_ref().map(Anchor::as_str);
        let first = after.map_or_else(String::new, |after| format!("{after}\0"));
        let read = |id: &str| -> Result<Option<Head>, StoreError> {
            let bytes = look.get(Rest::Chapter, &chapter_key(tenant.number, id))?;
            Ok(bytes.map(|bytes| Head::read(&bytes, &self.names)).transpose()?)
        };
        let mut show_one = |id: EntityId| match read(id.as_str())? {
            Some(head) if may_be(plan, &id) => show(id, head),
            _ => Ok(ControlFlow::Continue(())),
        };
        match source(plan) {
            Source::Nobody => Ok(()),
            Source::Ids(mut ids) => {
                ids.sort_unstable();
                ids.dedup();
                for id in ids.into_iter().filter(|id| id.as_str() >= first.as_str()) {
                    if show_one(id)?.is_break() {
                        break;
                    }
                }
                Ok(())
            }
            Source::Type(name) => {
                let prefix = type_key(tenant.number, name, "");
                let from = [&prefix[..], first.as_bytes()].concat();
                look.rest(Rest::ChapterType, (&from, &after_all(&prefix)), false, |key, _| {
                    show_one(read_id(&key[prefix.len()..]))
                })
            }
            Source::All => {
                let prefix = chapter_key(tenant.number, "");
                let from = [&prefix[..], first.as_bytes()].concat();
                look.rest(Rest::Chapter, (&from, &after_all(&prefix)), false, |key, bytes| {
                    let id = read_id(&key[prefix.len()..]);
                    if !may_be(plan, &id) {
                        return Ok(ControlFlow::Continue(()));
                    }
                    show(id, Head::read(&bytes, &self.names)?)
                })
            }
        }
    }
}

/// Where the candidates of a plan come from.
fn source(plan: &HistoryPlan) -> Source {
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
fn may_be(plan: &HistoryPlan, id: &EntityId) -> bool {
    let select = &plan.entities.select;
    select.is_empty() || select.iter().any(|one| one.has_id(id))
}

fn read_id(bytes: &[u8]) -> EntityId {
    EntityId::from_trusted(&String::from_utf8_lossy(bytes))
}

/// The key after all that begin with a prefix.
fn after_all(prefix: &[u8]) -> Vec<u8> {
    // Ids are texts, which hold no such byte.
    [prefix, &[0xff]].concat()
}

/// A page that is being gathered.
struct Page<'p, 'a> {
    plan: &'p HistoryPlan,
    now: Timestamp,
    skip: usize,
    hits: Vec<Recall<'a>>,
    matches: u64,
    more: bool,
}

impl<'p, 'a> Page<'p, 'a> {
    fn new(plan: &'p HistoryPlan, now: Timestamp) -> Self {
        let skip = plan.entities.page.offset;
        Self { plan, now, skip, hits: Vec::new(), matches: 0, more: false }
    }

    fn wanted(&self) -> usize {
        self.plan.entities.page.offset.saturating_add(self.plan.entities.page.limit)
    }

    fn hit(&mut self, recall: Recall<'a>) -> ControlFlow<()> {
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

    fn found(mut self) -> (Vec<Recall<'a>>, FoundHistory) {
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
