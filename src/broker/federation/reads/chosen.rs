//! Which of the entities that were put together a query selects. What its filter leads to is fetched
//! from everywhere, in rounds.

use rustc_hash::FxHashMap;

use super::super::super::entity_maps::add_warnings;
use super::super::{Broker, Call, Error};
use crate::federate::Warning;
use crate::model::Entity;
use crate::query::{EntityPlan, Rounds};

impl Broker {
    /// Those that a plan selects; adds what there is to say of sources.
    pub(in crate::broker::federation) async fn chosen(
        &self,
        call: &Call,
        plan: &EntityPlan,
        found: Vec<Entity>,
        warnings: &mut Vec<Warning>,
    ) -> Result<Vec<Entity>, Error> {
        let mut decided = vec![None; found.len()];
        let mut rounds = Rounds::default();
        loop {
            let missing = rounds.decide(plan, found.iter(), &mut decided, call.now)?;
            if missing.is_empty() {
                break;
            }
            let (there, said) = Box::pin(self.get_many(call, &missing)).await?;
            add_warnings(warnings, said);
            let each = there.into_iter().map(|one| (one.id.clone(), one));
            let mut there: FxHashMap<_, _> = each.collect();
            for id in missing {
                let entity = there.remove(&id);
                rounds.learn(id, entity);
            }
        }
        let chosen = found.into_iter().zip(decided).filter(|(_, holds)| *holds == Some(true));
        Ok(chosen.map(|(entity, _)| entity).collect())
    }
}
