//! Telling a listener again what it missed, from the log.

use bytes::Bytes;

use super::Notifier;
use super::backlog::{Held, Item};
use super::follow::PAGE;
use super::matching::{Happened, Verdict};
use crate::model::{SubscriptionId, TenantId};
use crate::represent::subscription::Timing;
use crate::store::StoreError;

/// How many events are looked through for a listener at most.
const MOST: usize = 16 * PAGE;

/// What a listener missed.
#[derive(Debug, Clone, Default)]
pub struct Resumed {
    /// Some of it can not be told any more.
    pub gap: bool,
    /// Notifications of one change each, with the sequences of these.
    pub told: Vec<(u64, Bytes)>,
    /// After which event to go on, if not all was looked through.
    pub next: Option<u64>,
}

impl Notifier {
    /// What a subscription was to be told after an event, as one notification for each change, so
    /// many at most.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn resume(
        &self,
        tenant: &TenantId,
        id: &SubscriptionId,
        after: u64,
        limit: usize,
    ) -> Result<Resumed, StoreError> {
        let inner = &self.inner;
        let Some(entry) = inner.register.get(tenant, id) else { return Ok(Resumed::default()) };
        let what = entry.what.load_full();
        // What comes before the first event that is left may have been forgotten.
        let first = inner.store.events(0, 1).await?.first().map(|event| event.sequence);
        let gone = first.map_or_else(|| inner.reached(), |first| first - 1);
        let mut resumed = Resumed { gap: after < gone, ..Resumed::default() };
        if !matches!(what.subscription.timing, Timing::OnChange { .. }) {
            // What is told by the clock is not in the log.
            return Ok(Resumed { gap: true, ..resumed });
        }
        let (mut next, mut looked) = (after, 0);
        loop {
            let page = inner.store.events(next, PAGE).await?;
            let Some(last) = page.last() else { return Ok(resumed) };
            next = last.sequence;
            looked += page.len();
            for event in page.iter().filter(|event| event.tenant == *tenant) {
                let verdict = Happened::of(event).judge(&what.subscription);
                if verdict == Verdict::No {
                    continue;
                }
                let mut item = Item::of(event, verdict == Verdict::Ask);
                item.held = Some(Held::new(event, event));
                let parcels = inner.parcels(&entry, &what, &[item]).await?;
                for parcel in parcels.into_iter().filter(|parcel| !parcel.unclear) {
                    if resumed.told.len() == limit {
                        resumed.next = resumed.told.last().map(|(sequence, _)| *sequence);
                        return Ok(resumed);
                    }
                    resumed.told.push((event.sequence, parcel.message.body));
                }
            }
            if looked >= MOST {
                resumed.next = Some(next);
                return Ok(resumed);
            }
        }
    }
}
