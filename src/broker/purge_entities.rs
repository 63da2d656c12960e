//! Purge Entities (5.6.21).

use super::entity_maps::only;
use super::federation::held_here;
use super::{BatchOutcome, Broker, Call, Error, QueryTexts};
use crate::model::{Action, EntityId, Held, Name, Refusal, Write};
use crate::query::{Anchor, EntityPlan, Member, Page as Window};
use crate::store::StoreError;

/// What is left of the entities that are purged.
#[derive(Debug, Clone, Default)]
pub enum Purging {
    /// Nothing: they are deleted.
    #[default]
    Entities,
    /// These attributes; all others are deleted.
    Keep(Vec<String>),
    /// All but these attributes.
    Drop(Vec<String>),
}

/// How many entities one commit of a purge changes: enough to share a commit's cost, few enough
/// to let other writers in between.
const PORTION: usize = 500;

/// How many entities of a map are purged at once; their ids go into a URL.
const HELD: usize = 100;

impl Broker {
    /// Deletes the entities that a query finds, or some of their attributes; if a map is named that
    /// is there, only among those that it names. 5.6.21.
    pub async fn purge_entities(
        &self,
        call: &Call,
        texts: &QueryTexts,
        purging: &Purging,
    ) -> Result<BatchOutcome, Error> {
        let mut plan = self.plan(call, texts)?;
        self.check_purge(&plan)?;
        let action = self.purge_action(call, purging)?;
        if let Some(held) = self.named_by_map(call, &texts.map).await? {
            return self.purge_held(call, (texts, &plan), &held, purging, &action).await;
        }
        let there = self.purge_there(call, &plan, texts, purging, None).await?;
        let mut batch = BatchOutcome { failed: there, ..BatchOutcome::default() };
        plan.page = Window { offset: 0, limit: PORTION, count: false, after: None };
        loop {
            match self.purge_portion(call, &plan, &action, &mut batch).await? {
                Some(anchor) => plan.page.after = Some(anchor),
                None => return Ok(batch),
            }
        }
    }

    /// Purges what a plan finds of some entities, where they are held.
    async fn purge_held(
        &self,
        call: &Call,
        (texts, plan): (&QueryTexts, &EntityPlan),
        held: &[Held],
        purging: &Purging,
        action: &Action,
    ) -> Result<BatchOutcome, Error> {
        let mut batch = BatchOutcome::default();
        let page = Window { offset: 0, limit: HELD, count: false, after: None };
        for some in held.chunks(HELD) {
            if let Some(select) = only(&plan.select, &held_here(some)) {
                let plan = EntityPlan { select, page: page.clone(), ..plan.clone() };
                self.purge_portion(call, &plan, action, &mut batch).await?;
            }
            let away: Vec<Held> = some.iter().filter(|one| !one.is_here_alone()).cloned().collect();
            let ids: Vec<EntityId> = away.iter().map(|held| held.id.clone()).collect();
            if let Some(select) = only(&plan.select, &ids) {
                let plan = EntityPlan { select, ..plan.clone() };
                let failed = self.purge_there(call, &plan, texts, purging, Some(&away)).await?;
                batch.failed.extend(failed);
            }
        }
        Ok(batch)
    }

    /// Purges what one page of a plan finds; where the next page begins.
    async fn purge_portion(
        &self,
        call: &Call,
        plan: &EntityPlan,
        action: &Action,
        batch: &mut BatchOutcome,
    ) -> Result<Option<Anchor>, Error> {
        let found = match self.store.find(&call.tenant, plan, call.now).await {
            // Sources may have what nobody ever kept here.
            Err(StoreError::UnknownTenant(_)) if call.origin().is_some() => return Ok(None),
            found => found?,
        };
        let ids: Vec<EntityId> = found.entities.iter().map(|e| e.id.clone()).collect();
        let writes = ids.iter().map(|id| Write::new(id.clone(), action.clone())).collect();
        let outcomes = self.store.commit(&call.tenant, writes, call.now).await?;
        for (id, outcome) in ids.into_iter().zip(outcomes) {
            match outcome {
                Ok(_) => batch.changed.push(id),
                // Someone else deleted it in the meantime: it is gone, as was wished.
                Err(Refusal::NoSuchEntity(_)) => {}
                Err(refusal) => batch.failed.push((Some(id.as_str().to_owned()), refusal.into())),
            }
        }
        Ok(found.next)
    }

    fn check_purge(&self, plan: &EntityPlan) -> Result<(), Error> {
        if plan.link_depth() > 0 {
            return Err(Error::bad("a purge cannot follow relationships in q"));
        }
        Ok(())
    }

    fn purge_action(&self, call: &Call, purging: &Purging) -> Result<Action, Error> {
        let names = |parameter: &str, terms: &[String]| -> Result<Vec<Name>, Error> {
            terms.iter().map(|term| purged_name(call, parameter, term)).collect()
        };
        Ok(match purging {
            Purging::Entities => Action::Delete,
            Purging::Keep(terms) => Action::KeepOnly(names("keep", terms)?),
            Purging::Drop(terms) => Action::Drop(names("drop", terms)?),
        })
    }
}

/// The attribute that an item of `keep` or `drop` names. What every entity has stays with it, and no
/// attribute can be called so.
fn purged_name(call: &Call, parameter: &str, term: &str) -> Result<Name, Error> {
    if term.contains(['{', '}']) {
        return Err(Error::bad("a purge cannot reach into linked entities"));
    }
    if Member::of_entity(&call.context.expand_text(term)).is_some() {
        return Err(Error::bad(format!("{parameter} names attributes, and {term} is none")));
    }
    Ok(call.context.expand(term)?)
}
