//! What a subscription is told next, and what of it was told together before a kill: that is
//! gathered again exactly as it was, since it may have arrived. Pure.

use super::backlog::{Backlog, Budget, GROUP, Item, Room};
use super::entry::State;
use super::matching::Verdict;
use super::record::{Kept, Sealed};
use crate::model::Timestamp;
use crate::store::Event;

/// What is to be done for a subscription that something waits for.
#[derive(Debug)]
pub(super) enum Wanted {
    /// The log is to be read after this event.
    Page(u64),
    /// These are to be told in one notification.
    Tell(Vec<Item>),
}

/// What was read of the log for a subscription.
pub(super) struct Page<'e> {
    /// After which event it was read.
    pub after: u64,
    pub events: Vec<(&'e Event, Verdict)>,
    /// How far events had been matched before it was read, and now.
    pub reach: (u64, u64),
    /// Whether changes of an entity are merged.
    pub merge: bool,
    /// How many single changes go into one notification at most.
    pub combine: usize,
}

impl State {
    /// Takes over what was kept, in place of what was known: others may have told it meanwhile.
    pub fn restore(&mut self, kept: &Kept, now: Timestamp, budget: &Budget) {
        self.backlog.clear(budget);
        self.looked_up_to = 0;
        // What is on its way goes on, but is no part of what waits any more.
        self.let_go();
        self.told_up_to = 0;
        self.report = kept.report;
        self.kept = kept.behind;
        self.begun = kept.begun;
        self.resealed = kept.sealed.filter(|_| kept.behind.is_some());
        self.exact = kept.exact && kept.behind.is_some();
        self.alone_before = (!self.exact).then_some(now);
        if let Some(after) = kept.behind {
            self.backlog = Backlog::after(after);
        }
    }

    /// What was on its way when the last record was written, until it is told again.
    pub fn again(&mut self) -> Option<Wanted> {
        let sealed = self.resealed?;
        if let Some(after) = self.backlog.behind().filter(|after| *after < sealed.last) {
            return Some(Wanted::Page(after));
        }
        self.resealed = None;
        self.backlog.close();
        if self.backlog.holds_nothing() {
            return None;
        }
        let items = self.seal(usize::MAX);
        // Unless the subscription says something else by now, this is what the record says.
        self.unrecorded =
            self.sealed.map(|new| (new.first, new.last)) != Some((sealed.first, sealed.last));
        Some(Wanted::Tell(items))
    }

    /// What is told next of what waits: what failed, as it was, so that it keeps its id; or what
    /// can be told together now, of single changes so many at most.
    pub fn next(&mut self, most: usize) -> Wanted {
        if let Some(count) = self.in_hand {
            return Wanted::Tell(self.backlog.front(count));
        }
        if let Some(after) = self.backlog.behind()
            && (self.backlog.holds_nothing() || self.backlog.is_first_open())
        {
            return Wanted::Page(after);
        }
        Wanted::Tell(self.seal(most))
    }

    /// Takes a page of the log in.
    pub fn gather(&mut self, page: &Page<'_>, budget: &Budget) {
        let (before, now) = page.reach;
        let mut looked = page.after;
        if page.events.is_empty() {
            // Nothing more will come of what was there before.
            looked = looked.max(before).max(self.resealed.map_or(0, |sealed| sealed.last));
            self.backlog.passed(looked);
        }
        for (event, verdict) in &page.events {
            // What comes later does not join what is gathered again.
            if let Some(sealed) = self.resealed.filter(|sealed| event.sequence > sealed.last) {
                looked = looked.max(sealed.last);
                self.backlog.passed(looked);
                break;
            }
            match verdict {
                Verdict::No => self.backlog.passed(event.sequence),
                verdict if self.takes(event, *verdict, page, budget) => {}
                _ => break,
            }
            looked = event.sequence;
        }
        // It may have been read further before, and let go of since: what is after this is to come.
        self.looked_up_to = looked;
        // Nobody can be passed over meanwhile: that takes this lock, after the reach has grown.
        if self.resealed.is_none() && now <= looked {
            self.backlog.caught_up();
        }
    }

    /// Whether there was room for an event.
    fn takes(&mut self, event: &Event, verdict: Verdict, page: &Page<'_>, budget: &Budget) -> bool {
        let ask = verdict == Verdict::Ask;
        let (merge, room) = match self.resealed {
            Some(sealed) if self.backlog.len() < GROUP.max(page.combine) => {
                (sealed.merged.unwrap_or(page.merge), Room::AsBefore)
            }
            _ => (page.merge, Room::AsThereIs),
        };
        let placed = self.backlog.refill(event, ask, merge, room, budget);
        if !placed {
            // There is no room to gather more than this.
            self.resealed = None;
            self.backlog.close();
        }
        placed
    }

    /// Takes a parcel in hand: it is told in one notification from now on, whatever happens.
    pub fn seal(&mut self, most: usize) -> Vec<Item> {
        let items = self.backlog.seal(most);
        self.in_hand = Some(items.len());
        self.sealed = Sealed::of(&items);
        items
    }

    /// The first of what is in hand is done, unless it was let go meanwhile.
    pub fn done(&mut self, count: usize, budget: &Budget) {
        let Some(in_hand) = self.in_hand else { return };
        self.backlog.pop(count.min(in_hand), budget);
        match in_hand.saturating_sub(count) {
            0 => self.let_go(),
            left => self.in_hand = Some(left),
        }
    }

    /// Nothing is in hand any more.
    pub fn let_go(&mut self) {
        self.unrecorded = false;
        self.in_hand = None;
        if let Some(sealed) = self.sealed.take() {
            self.told_up_to = self.told_up_to.max(sealed.last);
        }
    }
}

#[cfg(test)]
mod tests;
