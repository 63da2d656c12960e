//! Subscriptions that tell by the clock (`timeInterval`): each time their interval has passed, all
//! entities that match. The clock begins with the subscription and goes on while the broker is
//! away; of the times that passed meanwhile the last one is told after the start.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::entry::{Entry, State, What};
use super::turn::{Went, met};
use super::{Due, Inner, Met};
use crate::egress::SendError;
use crate::model::{Stored, Timestamp};
use crate::query::Page;
use crate::represent::notification::Told;
use crate::represent::subscription::{Status, Subscription, Timing};
use crate::store::StoreError;

/// How many entities go into one notification; more follow in further ones.
const PAGE: usize = 500;

/// The shortest interval that is kept to.
const SHORTEST: Duration = Duration::from_millis(10);

/// The last time at which the subscription was due, if it ever was, and the next one.
fn due(subscription: &Subscription, now: Timestamp) -> Option<(Option<Timestamp>, Timestamp)> {
    let Timing::Every(interval) = subscription.timing else { return None };
    let interval = interval.max(SHORTEST).as_micros().min(i64::MAX as u128 / 4) as i64;
    let start = subscription.created_at;
    let passed = now.micros().saturating_sub(start.micros()).max(0) / interval;
    let at = |count: i64| start.plus_micros(interval.saturating_mul(count));
    Some(((passed > 0).then(|| at(passed)), at(passed + 1)))
}

impl Inner {
    /// Sets when a subscription is due next, if it tells by the clock; now, if it was due while
    /// nobody was there.
    pub(super) fn set_tick(&self, entry: &Arc<Entry>, state: &mut State) {
        state.tick_generation += 1;
        let what = entry.what.load();
        let now = Timestamp::now();
        let active = what.subscription.status(now) == Status::Active;
        let Some((last, next)) = due(&what.subscription, now).filter(|_| active) else {
            state.tick = None;
            return;
        };
        let told = state.report.last_notification;
        if self.slots.is_held(entry.slot) && last.is_some_and(|last| told < Some(last)) {
            state.tick = last;
        }
        let wait = next.micros().saturating_sub(now.micros()).max(0) as u64;
        let at = Instant::now() + Duration::from_micros(wait);
        self.timer.set(at, Due::Tick(entry.clone(), state.tick_generation));
    }

    pub(super) fn tick_is_due(&self, entry: &Arc<Entry>, generation: u64) {
        let mut state = entry.state.lock();
        if state.tick_generation != generation || state.gone {
            return;
        }
        self.set_tick(entry, &mut state);
        if self.slots.is_held(entry.slot) {
            state.tick = Some(Timestamp::now());
            self.engage(entry, &mut state);
        }
    }

    /// Tells all entities that match, in as many notifications as it takes. What fails is tried
    /// again until the next time it is due, which tells it anew.
    pub(super) async fn tell_all(
        &self,
        entry: &Arc<Entry>,
        what: &What,
        tick: Timestamp,
    ) -> Result<Went, StoreError> {
        let mut last = Met::Nobody;
        if let Some(everything) = self.everywhere(entry, what).await {
            for (page, some) in everything.chunks(PAGE).enumerate() {
                match self.tell_page(entry, what, tick, page as u64, some.to_vec()).await? {
                    Ok(met) => last = met.unwrap_or(last),
                    Err(went) => return Ok(went),
                }
            }
            self.ticked(entry, tick);
            return Ok(Went::On(last));
        }
        let mut plan = what.subscription.plan.clone();
        plan.page = Page { limit: PAGE, ..Page::default() };
        for page in 0.. {
            let found = match self.store.find(&entry.tenant, &plan, Timestamp::now()).await {
                // Its query asks for too much of what there is: the next time it may not.
                Err(StoreError::Unanswerable(why)) => {
                    self.failed(entry, what, &SendError::Refused(why.to_string()));
                    self.ticked(entry, tick);
                    return Ok(Went::On(Met::Nobody));
                }
                found => found?,
            };
            let count = found.entities.len();
            match self.tell_page(entry, what, tick, page, found.entities).await? {
                Ok(met) => last = met.unwrap_or(last),
                Err(went) => return Ok(went),
            }
            if !found.more || count == 0 {
                break;
            }
            match found.next {
                Some(next) => plan.page.after = Some(next),
                None => plan.page.offset += count,
            }
        }
        self.ticked(entry, tick);
        Ok(Went::On(last))
    }

    /// What the subscription is about, if some of it may lie elsewhere.
    async fn everywhere(&self, entry: &Entry, what: &What) -> Option<Vec<Arc<Stored>>> {
        let elsewhere = self.elsewhere.get()?.upgrade()?;
        elsewhere.entities(&entry.tenant, &what.subscription).await
    }

    /// Tells some of the entities that match: whom that met, or how the turn ends.
    async fn tell_page(
        &self,
        entry: &Arc<Entry>,
        what: &What,
        tick: Timestamp,
        page: u64,
        entities: Vec<Arc<Stored>>,
    ) -> Result<Result<Option<Met>, Went>, StoreError> {
        let now = Timestamp::now();
        let told: Vec<Told> =
            entities.into_iter().map(|entity| Told::as_it_is(entity, now)).collect();
        let id = super::entry::notification_id(entry, tick.micros() as u64, page);
        let Some(message) = self.render(entry, what, &told, &id, now).await? else {
            return Ok(Ok(None));
        };
        let begun = Instant::now();
        match self.send(entry, what, self.place(what), &message).await {
            Ok(()) => Ok(Ok(Some(self.succeeded(entry, begun)))),
            Err(error) => {
                let at = self.failed(entry, what, &error);
                if error.is_permanent() {
                    self.ticked(entry, tick);
                    return Ok(Err(Went::On(met(&error))));
                }
                Ok(Err(Went::Wait(met(&error), at)))
            }
        }
    }

    pub(super) fn ticked(&self, entry: &Entry, tick: Timestamp) {
        let mut state = entry.state.lock();
        // It may be due once more already.
        if state.tick == Some(tick) {
            state.tick = None;
        }
    }

    /// The place of what is told by the clock; what else is in no log has none.
    pub(super) fn place(&self, what: &What) -> Option<u64> {
        matches!(what.subscription.timing, Timing::Every(_)).then(|| self.reached())
    }

    pub(super) fn reached(&self) -> u64 {
        self.reach.load(std::sync::atomic::Ordering::Relaxed)
    }
}
