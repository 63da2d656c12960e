//! The end of a group: one batch is written, its changes become visible, and everyone is answered.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::{Draft, Group, Version};
use crate::model::Stored;
use crate::store::embedded::engine::{Batch, Depth, EntityKey, Rest, WriteFailure};
use crate::store::embedded::history::Stripe;
use crate::store::record::encode;

/// How many sequences are set aside at a time; those not used when the process ends are lost.
const SEQUENCES: u64 = 1 << 20;

/// How many changes become visible before readers get a turn.
const TURN: usize = 128;

impl Group<'_> {
    /// Writes the batch, makes its changes visible, and answers everyone. If it could not be
    /// written nothing changes, and the error comes with the batch.
    pub fn finish(mut self, depth: Depth) -> Result<(), (WriteFailure, Box<Batch>)> {
        let (ceiling, next_event) = (self.writer.ceiling, self.writer.next_event);
        self.fill_batch();
        let written = if self.batch.is_empty() {
            Ok(())
        } else {
            let write = || self.inner.engine.write(&self.batch, depth);
            self.inner.history.newest.around(&self.batch, write)
        };
        let come = self.new_tenants.values().filter(|new| written.is_ok() && new.comes);
        let last_new_tenant = come.map(|new| new.tenant.number + 1).max();
        self.writer.next_tenant = last_new_tenant.unwrap_or(self.first_new_tenant);
        if written.is_ok() {
            let touched = self.touched();
            self.writer.dictionary.all_kept();
            self.finish_history();
            for (_, new) in self.new_tenants.drain().filter(|(_, new)| new.comes) {
                self.inner.tenants.add(new.tenant);
            }
            self.publish();
            self.inner.history.stamps.changed(&touched);
        } else {
            self.writer.ceiling = ceiling;
            self.writer.next_event = next_event;
            self.writer.recorder.forget();
            self.events.clear();
        }
        for answer in self.answers {
            answer(written.clone().map_err(|failure| failure.error));
        }
        if let Some(watch) = self.inner.watch.get().filter(|_| !self.events.is_empty()) {
            watch.committed(self.events);
        }
        written.map_err(|failure| (failure, Box::new(self.batch)))
    }

    /// Entities of which something else may be told than before, now or of the past.
    fn touched(&self) -> Vec<Stripe> {
        let stamps = &self.inner.history.stamps;
        let drafted = self.by_entity.keys();
        let drafted = drafted.map(|(tenant, id)| stamps.stripe(*tenant, id.as_str().as_bytes()));
        let mut touched: Vec<Stripe> = drafted.collect();
        if self.past_alone {
            let mut touch = |tenant, id: &[u8]| touched.push(stamps.stripe(tenant, id));
            self.notes.touched(&self.batch, &mut touch);
        }
        touched
    }

    fn fill_batch(&mut self) {
        let is_told = self.told.count() > 0;
        // Where the records of entities stand that events may tell of.
        let mut written: FxHashMap<*const Stored, usize> = FxHashMap::default();
        for draft in &self.drafts {
            if !draft.is_changed() {
                continue;
            }
            let key = |sequence| EntityKey { tenant: draft.tenant.number, sequence };
            let old = draft.seat.map(|(_, sequence)| sequence);
            let Version { entity, sequence, .. } = &draft.version;
            let new = entity.as_ref().and(sequence.or(old));
            if let Some(old) = old.filter(|old| Some(*old) != new) {
                self.batch.remove_entity(key(old));
            }
            if let (Some(new), Some(entity)) = (new, entity) {
                let record = encode(entity, &mut self.writer.dictionary);
                let place = self.batch.put_entity(key(new), record);
                if is_told {
                    written.insert(Arc::as_ptr(entity), place);
                }
            }
        }
        self.notes.fill(&mut self.batch, self.writer);
        if is_told {
            self.write_events(&written);
        }
        for (number, name) in self.writer.dictionary.unkept() {
            self.batch.put(Rest::Name, &number.to_be_bytes(), name.as_str());
        }
        if self.writer.next_sequence > self.writer.ceiling {
            self.writer.ceiling = self.writer.next_sequence + SEQUENCES;
            self.batch.put(Rest::Sequence, b"", self.writer.ceiling.to_be_bytes());
        }
    }

    /// Makes events of what is to be told; `written` are places of records in the batch.
    fn write_events(&mut self, written: &FxHashMap<*const Stored, usize>) {
        let batch = &self.batch;
        let kept = |entity: &Arc<Stored>| batch.entity(*written.get(&Arc::as_ptr(entity))?);
        let (first, dictionary) = (self.writer.next_event, &mut self.writer.dictionary);
        let (events, sheets) = self.told.take_events(first, dictionary, kept);
        self.writer.next_event = first + events.len() as u64;
        self.events = events;
        for (first, sheet) in sheets.finish() {
            self.batch.put_sheet(first, sheet);
        }
    }

    /// Makes the changes visible, tenant by tenant, new entities in the order of creation.
    fn publish(&mut self) {
        let mut drafts = std::mem::take(&mut self.drafts);
        drafts.retain(Draft::is_changed);
        drafts.sort_by_key(|draft| (draft.tenant.number, draft.version.sequence));
        let mut drafts = drafts.into_iter().peekable();
        while let Some(draft) = drafts.peek() {
            let tenant = draft.tenant.clone();
            let mut state = tenant.state.write();
            for _ in 0..TURN {
                let same = |draft: &Draft| draft.tenant.number == tenant.number;
                let Some(draft) = drafts.next_if(same) else { break };
                draft.publish(&mut state, self.inner);
            }
        }
        self.inner.cache.make_room(&self.inner.tenants);
    }
}
