//! Temporal queries: who is asked for, in which order, and one page of them told.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::chapter::Numbered;
use super::key::{chapter_key, type_key};
use crate::model::{EntityId, TenantId, Timestamp};
use crate::query::{HistoryPlan, TellError};
use crate::store::embedded::Inner;
use crate::store::embedded::engine::{Look, Rest};
use crate::store::embedded::tenants::Tenant;
use crate::store::history::{Bookmark, archive};
use crate::store::history::{Kept, Page, Recall, SeriesKey, Source, after_anchor, may_be, source};
use crate::store::record::Spelling;
use crate::store::{Archives, FoundHistory, StoreError};

/// A question about one entity and no more instances than this is answered on the asker's thread.
const INLINE: usize = 1_000;

/// How many entities are archived at once.
const MANY: usize = 500;

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
        return inner.evolve(&tenant, plan, now);
    }
    let (inner, plan) = (inner.clone(), plan.clone());
    let answer = tokio::task::spawn_blocking(move || inner.evolve(&tenant, &plan, now));
    answer.await.map_err(|error| StoreError::Broken(error.to_string()))?
}

/// How often a query is answered anew because something was taken out of history meanwhile, of
/// which it may have seen a part.
const ROUNDS: usize = 4;

impl Inner {
    /// Answers a temporal query.
    fn evolve(
        &self,
        tenant: &Tenant,
        plan: &HistoryPlan,
        now: Timestamp,
    ) -> Result<FoundHistory, StoreError> {
        let erasures = || self.history.ripe.erasures.load(Ordering::Acquire);
        for _ in 1..ROUNDS {
            let before = erasures();
            let found = self.evolve_once(tenant, plan, now)?;
            if before == erasures() {
                return Ok(found);
            }
        }
        self.evolve_once(tenant, plan, now)
    }

    fn evolve_once(
        &self,
        tenant: &Tenant,
        plan: &HistoryPlan,
        now: Timestamp,
    ) -> Result<FoundHistory, StoreError> {
        self.read_past(|reading| {
            let mut page = Page::new(plan, now);
            self.candidates(reading.look, tenant, plan, &mut |id, Numbered { head, numbers }| {
                let lines = head.lines.iter().zip(numbers).map(|(line, number)| {
                    Kept::new(SeriesKey::known(tenant.number, &id, line, number))
                });
                let lines = lines.collect();
                let spelling = Spelling::Dictionary(&self.names);
                let recall = Recall::new(reading, spelling, id, head, lines)?;
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
        show: &mut dyn FnMut(EntityId, Numbered) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<(), StoreError> {
        let first = after_anchor(plan);
        let read = |id: &str| -> Result<Option<Numbered>, StoreError> {
            let bytes = look.get(Rest::Chapter, &chapter_key(tenant.number, id))?;
            Ok(bytes.map(|bytes| Numbered::read(&bytes, &self.names)).transpose()?)
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
                    show(id, Numbered::read(&bytes, &self.names)?)
                })
            }
        }
    }
}

/// What history keeps of entities, those after a place, about so many rows of it.
pub(in crate::store::embedded) fn archives(
    inner: &Inner,
    tenant: &Tenant,
    after: Option<&str>,
    rows: usize,
) -> Result<Archives, StoreError> {
    let prefix = chapter_key(tenant.number, "");
    let from = Bookmark::read(after);
    let first = match &from {
        Some(Bookmark { id, within: Some(_) }) => id.clone(),
        Some(Bookmark { id, within: None }) => format!("{id}\0"),
        None => String::new(),
    };
    let first = [&prefix[..], first.as_bytes()].concat();
    let (mut found, mut left) = (Archives::default(), rows.max(1));
    inner.read_past(|reading| {
        reading.look.rest(Rest::Chapter, (&first, &after_all(&prefix)), false, |key, bytes| {
            let id = read_id(&key[prefix.len()..]);
            let within = from.as_ref().filter(|from| from.id == id.as_str());
            let within = within.and_then(|from| from.within);
            let Numbered { head, numbers } = Numbered::read(&bytes, &inner.names)?;
            let kept = head.lines.iter().zip(numbers).map(|(line, number)| {
                Kept::new(SeriesKey::known(tenant.number, &id, line, number))
            });
            let kept: Vec<Kept> = kept.collect();
            let spelling = Spelling::Dictionary(&inner.names);
            let whose = (id.clone(), head, &kept[..]);
            let (taken, rest) = archive(reading, spelling, whose, within, &mut left)?;
            found.archives.push(taken);
            let full = rest.is_some() || left == 0 || found.archives.len() >= MANY;
            if full {
                let bookmark = Bookmark { id: id.as_str().to_owned(), within: rest };
                found.next = Some(bookmark.write());
                return Ok(ControlFlow::Break(()));
            }
            Ok(ControlFlow::Continue(()))
        })
    })?;
    Ok(found)
}

fn read_id(bytes: &[u8]) -> EntityId {
    EntityId::from_trusted(&String::from_utf8_lossy(bytes))
}

/// The key after all that begin with a prefix.
fn after_all(prefix: &[u8]) -> Vec<u8> {
    // Ids are texts, which hold no such byte.
    [prefix, &[0xff]].concat()
}
