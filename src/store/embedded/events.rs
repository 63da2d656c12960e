//! The event log: what a group adds to it, reading it, and trimming it.

use std::ops::ControlFlow;

use super::Inner;
use super::engine::Rest;
use super::names::Dictionary;
use crate::model::{Change, TenantId};
use crate::store::record::{decode_event, encode_event};
use crate::store::{Event, Note, StoreError, Topic};

/// How many bytes of events are read at once, whatever the limit of their number; one event is
/// read in any case.
const PAGE_BYTES: usize = 4 << 20;

/// How many events one batch forgets: a job of this size does not keep writes waiting.
const FORGET: u64 = 4_096;

/// The changes of a group that somebody wants to be told of.
#[derive(Default)]
pub(super) struct Told(Vec<(TenantId, Topic, Change)>);

impl Told {
    /// Keeps a change, if it is one and somebody wants it.
    pub fn add(&mut self, inner: &Inner, tenant: &TenantId, change: &Change) {
        let Some(watch) = inner.watch.get() else { return };
        let same = match (&change.before, &change.after) {
            (Some(before), Some(after)) => std::sync::Arc::ptr_eq(before, after),
            (before, after) => before.is_none() && after.is_none(),
        };
        if !same && watch.wants(tenant, change) {
            self.0.push((tenant.clone(), Topic::Entity, change.clone()));
        }
    }

    /// Keeps a change of an entity's past alone, if somebody wants it.
    pub fn add_past(&mut self, inner: &Inner, tenant: &TenantId, change: Change) {
        if inner.watch.get().is_some_and(|watch| watch.wants_past(tenant, &change)) {
            self.0.push((tenant.clone(), Topic::Entity, change));
        }
    }

    /// Keeps a note of something that is no change of an entity.
    pub fn note(&mut self, tenant: &TenantId, note: Note) {
        self.0.push((tenant.clone(), note.topic, note.change));
    }

    /// How many changes were kept so far.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Forgets what was kept after this many.
    pub fn undo(&mut self, count: usize) {
        self.0.truncate(count);
    }

    /// Makes events of the changes, beginning with a sequence, each with its record.
    pub fn take_events(
        &mut self,
        first: u64,
        dictionary: &mut Dictionary,
    ) -> Vec<(Event, Vec<u8>)> {
        let told = std::mem::take(&mut self.0);
        let made = told.into_iter().zip(first..).map(|((tenant, topic, change), sequence)| {
            let record = encode_event(&tenant, &topic, &change, dictionary);
            (Event { sequence, tenant, topic, change, bytes: record.len() }, record)
        });
        made.collect()
    }
}

/// The sequence of the next event: after the last one there is, and after the last forgotten one.
pub(super) fn next_sequence(forgotten: Option<&[u8]>, last: Option<u64>) -> Option<u64> {
    let forgotten = match forgotten {
        None => 0,
        Some(bytes) => u64::from_be_bytes(bytes.try_into().ok()?),
    };
    Some(last.unwrap_or(0).max(forgotten) + 1)
}

impl Inner {
    /// Events after a sequence, in order.
    pub(super) fn read_events(&self, after: u64, limit: usize) -> Result<Vec<Event>, StoreError> {
        let mut events = Vec::new();
        let (mut bytes, mut damage) = (0, None);
        if limit == 0 {
            return Ok(events);
        }
        self.engine.events_after(after, |sequence, record| {
            match decode_event(&record, &self.names) {
                Ok((tenant, topic, change)) => {
                    let size = record.len();
                    bytes += size;
                    events.push(Event { sequence, tenant, topic, change, bytes: size });
                }
                Err(damaged) => damage = Some(damaged),
            }
            if damage.is_some() || events.len() >= limit || bytes >= PAGE_BYTES {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?;
        match damage {
            // What stands before the damage can still be told; then the damage is met first.
            Some(damage) if events.is_empty() => Err(damage.into()),
            _ => Ok(events),
        }
    }

    /// The sequences to forget in steps: everything that is left of the log up to a sequence.
    pub(super) fn forgetting(&self, up_to: u64) -> Result<Vec<(u64, u64)>, StoreError> {
        let forgotten = match self.engine.get(Rest::Forgotten, b"")? {
            None => 0,
            Some(bytes) => (*bytes).try_into().map_or(0, u64::from_be_bytes),
        };
        let up_to = up_to.min(self.writer.lock().next_event.saturating_sub(1));
        let mut steps = Vec::new();
        let mut first = forgotten + 1;
        while first <= up_to {
            let last = up_to.min(first + FORGET - 1);
            steps.push((first, last));
            first = last + 1;
        }
        Ok(steps)
    }
}
