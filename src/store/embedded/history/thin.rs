//! Retention, done in small steps by a thread of its own.

use std::ops::ControlFlow;

use super::chapter::Numbered;
use super::key::chapter_key;
use super::pack::{Begin, pack};
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
        self.thin_those(now, |_, _| true);
    }

    /// Applies the rules of retention where they have not been applied on the same day.
    pub(in crate::store::embedded) fn thin_due(&self, now: Timestamp) {
        self.thin_those(now, |tenant, rules| self.history.rounds.is_due(&tenant.id, rules, now));
    }

    fn thin_those(&self, now: Timestamp, due: impl Fn(&Tenant, &HistoryRules) -> bool) {
        let tenants = self.tenants.all().into_iter();
        let ruled = tenants.filter_map(|tenant| Some((self.history.rules(tenant.number)?, tenant)));
        let some: Vec<_> = ruled.filter(|(rules, tenant)| due(tenant, rules)).collect();
        if some.is_empty() {
            return;
        }
        // What is thinned must not come from the log once more.
        if let Err(error) = self.lay_down_everything() {
            return tracing::warn!(%error, "history could not be laid down to be thinned");
        }
        for (rules, tenant) in some {
            match self.thin_tenant(&tenant, &rules, now) {
                Ok(true) => self.history.rounds.done(&tenant.id, rules, now),
                // It is not to be gone on with, or goes on in the next round.
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(tenant = %tenant.id, %error, "history could not be thinned");
                }
            }
        }
    }

    /// Whether all of a tenant was thinned.
    fn thin_tenant(
        &self,
        tenant: &Tenant,
        rules: &HistoryRules,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
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
                return Ok(true);
            }
            for (id, head) in &heads {
                if self.stopping.is_sent()
                    || !self.thin_entity(tenant.number, id, head, rules, now)?
                {
                    return Ok(false);
                }
            }
        }
    }

    /// Whether all of an entity was thinned.
    fn thin_entity(
        &self,
        tenant: u32,
        id: &EntityId,
        numbered: &Numbered,
        rules: &HistoryRules,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
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
                    return Ok(false);
                }
                let _packing = self.history.ripe.packing.lock();
                let mut packed = self.begin_packing();
                self.engine.look(|look| match step {
                    0 => pack(look, &series, &Begin::of(&series), true, &mut packed),
                    _ => {
                        let thinned = thin(look, Spells::ByDictionary, &series, ages)?;
                        packed.add(&series, thinned.unwrap_or_default());
                        Ok(())
                    }
                })?;
                if !packed.is_empty() {
                    self.commit_packed(packed)?;
                    self.history.stamps.all_changed();
                }
            }
        }
        Ok(true)
    }
}
