//! Retention, done in small steps by a thread of its own.

use std::ops::ControlFlow;

use super::chapter::Numbered;
use super::key::chapter_key;
use super::pack::pack;
use crate::model::{EntityId, Timestamp};
use crate::store::embedded::Inner;
use crate::store::embedded::engine::Rest;
use crate::store::embedded::tenants::Tenant;
use crate::store::history::{Ages, SeriesKey, thin};
use crate::store::record::Spells;
use crate::store::{HistoryRules, StoreError};

/// How many entities are looked up before others get a turn.
const TURN: usize = 256;

impl Inner {
    /// Applies the rules of retention once, as of a time.
    pub(in crate::store::embedded) fn thin_all(&self, now: Timestamp) {
        // What is thinned must not come from the log once more.
        if let Err(error) = self.lay_down_everything() {
            return tracing::warn!(%error, "history could not be laid down to be thinned");
        }
        for tenant in self.tenants.all() {
            let Some(rules) = self.history.rules(tenant.number) else { continue };
            if let Err(error) = self.thin_tenant(&tenant, &rules, now) {
                tracing::warn!(tenant = %tenant.id, %error, "history could not be thinned");
            }
        }
    }

    fn thin_tenant(
        &self,
        tenant: &Tenant,
        rules: &HistoryRules,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let prefix = chapter_key(tenant.number, "");
        let end = [&prefix[..], &[0xff]].concat();
        let mut from = prefix.clone();
        loop {
            let mut heads: Vec<(EntityId, Numbered)> = Vec::new();
            let begin = from.clone();
            self.engine.look(|look| {
                look.rest(Rest::Chapter, (&begin, &end), false, |key, bytes| {
                    let id = String::from_utf8_lossy(&key[prefix.len()..]);
                    let head = Numbered::read(&bytes, &self.names)?;
                    heads.push((EntityId::from_trusted(&id), head));
                    from = [key, &[0]].concat();
                    let more = heads.len() < TURN;
                    Ok(if more { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
                })
            })?;
            if heads.is_empty() {
                return Ok(());
            }
            for (id, head) in &heads {
                if self.stopping.is_sent() {
                    return Ok(());
                }
                self.thin_entity(tenant.number, id, head, rules, now)?;
            }
        }
    }

    fn thin_entity(
        &self,
        tenant: u32,
        id: &EntityId,
        numbered: &Numbered,
        rules: &HistoryRules,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let Numbered { head, numbers } = numbered;
        for (line, number) in head.lines.iter().zip(numbers) {
            let Some(attribute) = line.series().map(|series| series.attribute) else { continue };
            let keep = rules.keep(&head.types, attribute);
            let Some(ages) = keep.and_then(|keep| Ages::new(keep, now)) else { continue };
            let series = SeriesKey::known(tenant, id, line, *number);
            // Two steps: what the first writes is what the second reads.
            for step in 0..2 {
                let _laying = self.history.ripe.laying.lock();
                if self.history.recent.is_in_part() {
                    return Ok(());
                }
                let _packing = self.history.ripe.packing.lock();
                let mut packed = self.begin_packing();
                self.engine.look(|look| match step {
                    0 => pack(look, &series, series.bytes(), true, &mut packed),
                    _ => {
                        let thinned = thin(look, Spells::ByDictionary, &series, ages)?;
                        packed.add(&series, thinned.unwrap_or_default());
                        Ok(())
                    }
                })?;
                self.commit_packed(packed)?;
                self.history.stamps.all_changed();
            }
        }
        Ok(())
    }
}
