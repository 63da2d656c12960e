//! What is held of the history of entities, for those who ask.

use std::ops::ControlFlow;

use super::chapter::Numbered;
use super::recent::View;
use super::sheaf::{sheaves_with, value_of};
use crate::model::EntityId;
use crate::query::{EntityPlan, HistoryPlan};
use crate::store::embedded::Inner;
use crate::store::embedded::engine::{Look, Past};
use crate::store::embedded::tenants::Tenant;
use crate::store::history::{Held, Rows, SeriesKey};
use crate::store::{HeldHistory, StoreError};

impl Inner {
    /// See [`Store::held_history`](crate::store::Store::held_history).
    pub(in crate::store::embedded) fn held_history(
        &self,
        tenant: &Tenant,
        plan: &EntityPlan,
    ) -> Result<Vec<HeldHistory>, StoreError> {
        let most = plan.page.limit;
        let plan = HistoryPlan { entities: plan.clone(), ..HistoryPlan::default() };
        let recent = self.history.recent.view();
        self.engine.look(|look| {
            let mut found = Vec::new();
            if most == 0 {
                return Ok(found);
            }
            self.candidates(look, tenant, &plan, &mut |id, numbered| {
                found.push(held_of(look, &recent, tenant.number, id, numbered)?);
                let more = found.len() < most;
                Ok(if more { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
            })?;
            Ok(found)
        })
    }
}

fn held_of(
    look: &Look<'_>,
    recent: &View,
    tenant: u32,
    id: EntityId,
    Numbered { head, numbers }: Numbered,
) -> Result<HeldHistory, StoreError> {
    let mut series = Vec::with_capacity(head.lines.len());
    for (line, number) in head.lines.iter().zip(numbers) {
        if let Some(own) = line.series() {
            let key = SeriesKey::known(tenant, &id, line, number);
            let mut held = Held::of_blocks(look, &key)?;
            look.past(Past::Tails, (key.bytes(), &key.end()), false, |_, value| {
                held.unpacked(&value)?;
                Ok(ControlFlow::Continue(()))
            })?;
            for (_, sheaf) in sheaves_with(look, &key, None)? {
                let (_, line) = key.split();
                value_of(&sheaf, line)?.map_or(Ok(()), |value| held.unpacked(value))?;
            }
            let mut lately = Rows::default();
            recent.rows(&key, &mut lately)?;
            held.rows(&lately);
            series.push(held.told(own));
        }
    }
    Ok(HeldHistory { id, types: head.types, series })
}
