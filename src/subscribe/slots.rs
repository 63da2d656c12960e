//! The work, divided: each subscription belongs to a slot, and each slot to one broker at a time,
//! who has its lease. Where a store is not shared there is one slot, and nobody to share it with.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use super::Inner;
use super::entry::Entry;
use super::record::{Kept, SLOTS, SlotRecord, deliveries};
use crate::model::Timestamp;
use crate::store::{Records, Store, StoreError};

/// Into how many slots the work is divided where brokers share it.
const SHARED: usize = 16;

/// How long a lease lasts, and how often it is renewed.
const TTL: Duration = Duration::from_secs(9);
const RENEW: Duration = Duration::from_secs(3);

/// All slots, and which of them are ours.
pub(super) struct Slots {
    slots: Vec<Mutex<Slot>>,
    shared: bool,
    /// The name of this broker, for as long as it runs.
    holder: String,
    /// A slot was taken over whose events were not all matched.
    rewound: AtomicBool,
}

#[derive(Default)]
struct Slot {
    /// Until when it is ours for certain, if it is.
    held: Option<Instant>,
    /// The follower of the log knows that it is ours, and has gone back to where it was left.
    joined: bool,
    /// Up to which event it was matched.
    through: u64,
    /// What was kept last.
    kept: Option<SlotRecord>,
    /// What is kept of it is not written over what was kept with a higher number.
    fence: u64,
}

impl Slots {
    /// The slots of a store.
    pub fn new(shared: bool) -> Self {
        let count = if shared { SHARED } else { 1 };
        Self {
            slots: (0..count).map(|_| Mutex::default()).collect(),
            shared,
            holder: uuid::Uuid::now_v7().to_string(),
            rewound: AtomicBool::new(false),
        }
    }

    /// How many slots there are.
    pub fn count(&self) -> usize {
        self.slots.len()
    }

    /// Whether brokers share the work.
    pub fn is_shared(&self) -> bool {
        self.shared
    }

    /// The name of this broker among those that share a store.
    pub fn holder(&self) -> &str {
        &self.holder
    }

    /// The fence of a slot, if it is ours.
    pub fn fence(&self, slot: usize) -> Option<u64> {
        let slot = self.slots[slot].lock();
        slot.is_held().then_some(slot.fence)
    }

    /// Whether a slot is ours.
    pub fn is_held(&self, slot: usize) -> bool {
        self.slots[slot].lock().is_held()
    }

    /// Whether a slot is ours and an event was not matched for it yet.
    pub fn wants(&self, slot: usize, sequence: u64) -> bool {
        let slot = self.slots[slot].lock();
        slot.is_held() && slot.joined && slot.through < sequence
    }

    /// An event was matched for all slots that are ours; not for those that were taken meanwhile,
    /// to which the follower goes back first.
    pub fn passed(&self, sequence: u64) {
        for slot in &self.slots {
            let mut slot = slot.lock();
            if slot.joined || slot.held.is_none() {
                slot.through = slot.through.max(sequence);
            }
        }
    }

    /// The first event that was not matched for all slots that are ours; none if no slot is.
    pub fn next(&self) -> Option<u64> {
        let held = self.slots.iter().map(|slot| slot.lock());
        let through = held.filter(|slot| slot.is_held()).map(|slot| slot.through).min();
        through.map(|through| through + 1)
    }

    /// Whether the follower is to go back, since a slot was taken; see [`Slots::join`].
    pub fn is_rewound(&self) -> bool {
        self.rewound.load(Ordering::Acquire)
    }

    /// Where the follower goes on that is at `next`, if it is to go back; from now on the slots that
    /// were taken get what is matched. What was left further on is no reason to leave anything out:
    /// events tell of subscriptions, too.
    pub fn join(&self, next: u64) -> Option<u64> {
        if !self.rewound.swap(false, Ordering::AcqRel) {
            return None;
        }
        self.slots.iter().for_each(|slot| slot.lock().joined = true);
        Some(self.next().map_or(next, |back| back.min(next)))
    }

    /// How far the slots that are ours were matched.
    pub fn positions(&self) -> FxHashMap<usize, u64> {
        let all = self.slots.iter().map(|slot| slot.lock()).enumerate();
        all.filter(|(_, slot)| slot.is_held()).map(|(n, slot)| (n, slot.through)).collect()
    }

    /// What was kept of a slot last.
    pub fn kept(&self, slot: usize) -> Option<SlotRecord> {
        self.slots[slot].lock().kept
    }

    /// Something was kept of a slot.
    pub fn keep(&self, slot: usize, record: SlotRecord) {
        self.slots[slot].lock().kept = Some(record);
    }

    /// Below which event nobody needs the log, if it is ours to trim it: that is who holds the
    /// first slot.
    pub async fn low(&self, store: &dyn Store) -> Result<Option<u64>, StoreError> {
        if !self.shared {
            return Ok(self.kept(0).map(|record| record.low));
        }
        if !self.is_held(0) {
            return Ok(None);
        }
        let all = Records::<SlotRecord>::on(store, SLOTS).all().await?;
        // A slot that nobody ever held is at the beginning.
        Ok((all.len() >= self.count())
            .then(|| all.iter().map(|(_, record)| record.low).min())
            .flatten())
    }

    fn hold(&self, number: usize, record: SlotRecord, until: Instant) {
        let mut slot = self.slots[number].lock();
        slot.held = Some(until);
        slot.joined = false;
        slot.through = record.position;
        slot.kept = Some(record);
        slot.fence = record.fence;
        self.rewound.store(true, Ordering::Release);
    }

    /// A lease was renewed; false if it was over before: what came meanwhile was left out then.
    fn renewed(&self, number: usize, until: Instant) -> bool {
        let mut slot = self.slots[number].lock();
        let in_time = slot.is_held();
        if in_time {
            slot.held = Some(until);
        }
        in_time
    }

    /// A slot is not ours any more.
    pub fn lose(&self, number: usize) {
        self.slots[number].lock().held = None;
    }

    /// The slots that we took, whether the lease is over or not.
    fn taken(&self) -> Vec<usize> {
        let all = self.slots.iter().map(|slot| slot.lock()).enumerate();
        all.filter(|(_, slot)| slot.held.is_some()).map(|(number, _)| number).collect()
    }
}

impl Slot {
    fn is_held(&self) -> bool {
        self.held.is_some_and(|until| until > Instant::now())
    }
}

/// How many low bits of a fence are by chance, so that no two brokers have the same.
const CHANCE: u32 = 20;

/// A fence that is higher than another.
fn higher(fence: u64) -> u64 {
    let chance = uuid::Uuid::new_v4().as_u64_pair().1 & ((1 << CHANCE) - 1);
    (((fence >> CHANCE) + 1) << CHANCE) | chance
}

fn lease(slot: usize) -> String {
    format!("delivery-{slot}")
}

impl Inner {
    /// Takes the slots that are ours at the start.
    pub(super) async fn claim_slots(&self) -> Result<(), StoreError> {
        match self.slots.is_shared() {
            true => self.share().await,
            false => {
                let forever = Instant::now() + Duration::from_secs(100 * 365 * 86_400);
                self.take_over(&[(0, forever)]).await
            }
        }
    }

    /// Renews our leases and takes our share, again and again.
    pub(super) async fn lease(self: Arc<Self>) {
        while !self.closing.load(Ordering::Acquire) {
            tokio::time::sleep(RENEW).await;
            if let Err(error) = self.share().await {
                tracing::warn!(%error, "the work of notifying could not be shared out");
            }
        }
    }

    /// Says that we are there, renews what is ours, gives away what is too much, takes what is
    /// free.
    async fn share(&self) -> Result<(), StoreError> {
        let brokers = self.brokers().await?;
        let fair = self.slots.count().div_ceil(brokers.max(1));
        let (mut ours, mut new) = (0, Vec::new());
        let taken = self.slots.taken();
        let (kept, surplus) = taken.split_at(taken.len().min(fair));
        // All at once: where the store is slow, one after the other might take longer than a lease.
        let renewals = kept.iter().map(|slot| self.claim_slot(*slot));
        for (slot, claimed) in kept.iter().zip(join_all(renewals).await) {
            let (until, claimed) = claimed?;
            if !claimed {
                self.hand_over(*slot).await?;
                continue;
            }
            ours += 1;
            // Whoever came too late cannot know what others did with it meanwhile.
            if !self.slots.renewed(*slot, until) {
                new.push((*slot, until));
            }
        }
        for slot in surplus {
            self.hand_over(*slot).await?;
        }
        for slot in 0..self.slots.count() {
            if ours >= fair || self.closing.load(Ordering::Acquire) {
                break;
            }
            if self.slots.is_held(slot) || new.iter().any(|(taken, _)| *taken == slot) {
                continue;
            }
            let (until, claimed) = self.claim_slot(slot).await?;
            if claimed {
                new.push((slot, until));
                ours += 1;
            }
        }
        match new[..] {
            [] => Ok(()),
            _ => self.take_over(&new).await,
        }
    }

    /// Asks for the lease of a slot: until when it is ours, if it is.
    async fn claim_slot(&self, slot: usize) -> Result<(Instant, bool), StoreError> {
        let until = Instant::now() + TTL;
        let claimed = self.store.claim(&lease(slot), &self.slots.holder, TTL).await?;
        Ok((until, claimed))
    }

    /// Slots are ours from now on: everyone in them goes on where it was left.
    async fn take_over(&self, new: &[(usize, Instant)]) -> Result<(), StoreError> {
        let new = self.fence_off(new).await?;
        let mut kept = FxHashMap::default();
        for tenant in self.store.tenants().await? {
            for (id, json) in self.store.records(&deliveries(&tenant)).await? {
                kept.insert((tenant.clone(), id), Kept::from_json(json));
            }
        }
        // Whoever has a cursor is to be seen by the next flush, or the log might be trimmed above it.
        let _flushing = self.flushing.lock().await;
        let is_new = |entry: &Arc<Entry>| new.iter().any(|(slot, ..)| *slot == entry.slot);
        let entries: Vec<Arc<Entry>> = self.register.all().into_iter().filter(is_new).collect();
        for entry in &entries {
            let kept = kept.remove(&(entry.tenant.clone(), entry.id.as_str().to_owned()));
            let mut state = entry.state.lock();
            state.restore(&kept.unwrap_or_default(), Timestamp::now(), &self.budget);
            // A turn that came now would take it for another broker's, and let it go.
            state.awaiting = true;
            drop(state);
            // Others told it meanwhile.
            self.listeners.skip(&entry.tenant, &entry.id);
        }
        for (slot, record, until) in new {
            self.reach.fetch_max(record.position, Ordering::SeqCst);
            self.slots.hold(slot, record, until);
            tracing::debug!(slot, position = record.position, "notifies for a slot");
        }
        for entry in entries {
            entry.state.lock().awaiting = false;
            self.changed(&entry);
        }
        self.incoming.look();
        Ok(())
    }

    /// What was kept of slots last, now that nobody who had them before can keep anything more of
    /// them: a broker that was stopped for longer than its lease may wake and go on writing.
    async fn fence_off(
        &self,
        new: &[(usize, Instant)],
    ) -> Result<Vec<(usize, SlotRecord, Instant)>, StoreError> {
        let shelf = Records::<SlotRecord>::on(&*self.store, SLOTS);
        let records: FxHashMap<String, SlotRecord> = shelf.all().await?.into_iter().collect();
        let mut fenced = Vec::with_capacity(new.len());
        for (slot, until) in new {
            let mut record = records.get(&slot.to_string()).copied().unwrap_or_default();
            if self.slots.shared {
                record.fence = higher(record.fence);
                if !self.put_slot(*slot, &record).await? {
                    continue;
                }
            }
            fenced.push((*slot, record, *until));
        }
        Ok(fenced)
    }

    /// Keeps how far a slot has come; false if it is another broker's.
    pub(super) async fn put_slot(
        &self,
        slot: usize,
        record: &SlotRecord,
    ) -> Result<bool, StoreError> {
        let json = record.to_json();
        self.store.put_fenced(&SLOTS, &slot.to_string(), json, record.fence).await
    }

    /// Gives a slot to whoever takes it next.
    async fn hand_over(&self, slot: usize) -> Result<(), StoreError> {
        if self.slots.is_held(slot) {
            self.flush(true).await?;
        }
        self.slots.lose(slot);
        for entry in self.active.all().into_iter().filter(|entry| entry.slot == slot) {
            self.nudge(&entry, &mut entry.state.lock());
            // A record that is being written must not follow those of whoever takes the slot.
            drop(entry.writing.lock().await);
        }
        self.store.release(&lease(slot), &self.slots.holder).await
    }

    /// Gives all slots back, at an end.
    pub(super) async fn release_slots(&self) {
        for slot in self.slots.taken() {
            self.slots.lose(slot);
            if let Err(error) = self.store.release(&lease(slot), &self.slots.holder).await {
                tracing::warn!(%error, slot, "a lease could not be given back; it will run out");
            }
        }
        if self.slots.is_shared() {
            self.leave().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(position: u64) -> SlotRecord {
        SlotRecord { position, low: position, fence: 0 }
    }

    #[test]
    fn what_is_matched_passes_by_a_new_slot_until_the_follower_goes_back() {
        let slots = Slots::new(true);
        let later = Instant::now() + Duration::from_secs(60);
        slots.hold(0, at(90), later);
        assert_eq!(slots.join(95), Some(91));
        slots.passed(100);
        // The follower is at 100 when another broker's slot comes, which was left at 40.
        slots.hold(1, at(40), later);
        assert!(slots.is_rewound() && !slots.wants(1, 101) && slots.wants(0, 101));
        slots.passed(101);
        assert_eq!(slots.positions()[&1], 40);
        assert_eq!(slots.join(102), Some(41));
        assert!(slots.wants(1, 41) && !slots.wants(0, 41) && !slots.is_rewound());
        assert_eq!(slots.join(41), None);
        slots.passed(41);
        assert_eq!((slots.positions()[&0], slots.positions()[&1]), (101, 41));
        // One that was left further on is no reason to leave out what tells of subscriptions.
        slots.hold(2, at(200), later);
        assert_eq!(slots.join(42), Some(42));
        assert!(slots.wants(1, 42) && !slots.wants(2, 42));
    }

    #[test]
    fn fences_grow() {
        let mut fence = 0;
        for _ in 0..100 {
            let next = higher(fence);
            assert!(next > fence && next < 1 << 62);
            fence = next;
        }
    }

    #[test]
    fn a_lease_that_was_renewed_too_late_is_as_good_as_new() {
        let slots = Slots::new(true);
        let (before, later) = (Instant::now(), Instant::now() + Duration::from_secs(60));
        slots.hold(3, at(7), before);
        assert!(!slots.is_held(3) && !slots.renewed(3, later) && !slots.is_held(3));
        slots.hold(3, at(7), later);
        assert!(slots.renewed(3, later) && slots.is_held(3));
    }
}
