//! Queries: the database narrows, orders, pages and counts as far as the compiled filter is exact;
//! what it may let through in excess is evaluated again here, a batch at a time.

mod behind;
mod led;
mod linked;
mod page;

use std::time::Duration;

use futures_util::StreamExt;
use mongodb::bson::{Bson, Document, RawDocument, doc};
use mongodb::raw_batch_cursor::RawBatchCursor;

use self::linked::Linked;
use self::page::{Hit, Hits};
use super::compile::Compiled;
use super::{Inner, document, read};
use crate::model::{TenantId, Timestamp};
use crate::query::{Anchor, EntityPlan, Place};
use crate::store::{Found, StoreError};

/// How many entities come at once when it is not known how many are needed.
const BATCH: u32 = 500;

/// How many times as many are asked for when those that came did not fill the page.
const MORE: i64 = 8;

/// From so many on, all that there are are asked for.
const MANY: i64 = 20_000;

/// Finds the entities of a plan.
pub(super) async fn find(
    inner: &Inner,
    tenant: &TenantId,
    plan: &EntityPlan,
    now: Timestamp,
) -> Result<Found, StoreError> {
    let (after, place) = match (&plan.page.after, &plan.order) {
        (None, _) => (None, None),
        (Some(anchor), None) => (Some(read_anchor(anchor)?), None),
        (Some(anchor), Some(order)) => {
            (None, Some(order.place(anchor).ok_or_else(|| bad_anchor(anchor))?))
        }
    };
    let compiled = Compiled::new(tenant, plan, now);
    if compiled.is_never {
        return Ok(Found { count: plan.page.count.then_some(0), ..Found::default() });
    }
    let finder = Finder { inner, tenant, plan, now, compiled, after, place };
    if finder.compiled.sort.is_none() {
        return finder.in_own_order().await;
    }
    match (plan.page.count, finder.compiled.is_exact) {
        (true, true) => {
            let (page, count) = tokio::join!(finder.page(), finder.count());
            Ok(Found { count: Some(count?), ..page? })
        }
        (true, false) => finder.page_and_count().await,
        (false, _) => finder.page().await,
    }
}

/// How far to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Until {
    /// The page is full, and it is known that there are more.
    Full,
    /// Nothing is left.
    End,
}

/// A query on its way.
struct Finder<'a> {
    inner: &'a Inner,
    tenant: &'a TenantId,
    plan: &'a EntityPlan,
    now: Timestamp,
    compiled: Compiled,
    /// The page begins after this stamp.
    after: Option<i64>,
    /// The page of an order begins behind this place.
    place: Option<Place>,
}

impl Finder<'_> {
    /// One page, read no further than it goes.
    ///
    /// Of an exact filter it is known how many will do. Of others more and more are asked for,
    /// from where the last answer ended: the database then keeps no more in order than that.
    async fn page(&self) -> Result<Found, StoreError> {
        let page = &self.plan.page;
        let (mut filter, mut skipped) = (self.compiled.candidates(), 0);
        if self.compiled.is_exact && page.offset > 0 && !self.has_odd_ones().await? {
            filter = self.compiled.plain_ones();
            skipped = page.offset;
        }
        if let (Some(place), Some(order)) = (&self.place, &self.plan.order) {
            filter = behind::behind(&filter, order, place).ok_or_else(|| self.wrong_place())?;
        }
        let wanted = page.limit.saturating_add(page.offset - skipped).saturating_add(1);
        let surplus = if self.compiled.is_exact { 0 } else { wanted / 2 + 16 };
        let mut most = i64::try_from(wanted.saturating_add(surplus)).ok();
        let goes_on = self.plan.order.is_none();
        if !goes_on && (!self.compiled.is_exact || self.compiled.has_odd_ones()) {
            most = None;
        }
        let mut hits = Hits::paged(page.offset - skipped, page.limit, None);
        let mut after = self.after;
        loop {
            let mut find = self.inner.entities.find(later(filter.clone(), after));
            find = find.projection(projection()).max_time(self.time_limit());
            if let Some(sort) = &self.compiled.sort {
                find = find.sort(sort.clone());
            }
            if skipped > 0 {
                find = find.skip((skipped as u64).min(i64::MAX as u64));
            }
            // One more than there will be, so that the first answer is known to be the last.
            let batch = most.and_then(|most| u32::try_from(most + 1).ok()).unwrap_or(BATCH);
            find = find.limit(most.unwrap_or(0)).batch_size(batch);
            let seen = hits.seen();
            let mut cursor = self.inner.reading(async { find.batch().await }).await?;
            while !hits.has_more() && self.read_batch(&mut cursor, &mut hits, Until::Full).await? {}
            let came = (hits.seen() - seen) as i64;
            if hits.has_more() || !goes_on || most.is_none_or(|most| came < most) {
                return Ok(self.found(hits, None));
            }
            after = hits.last_seen();
            skipped = 0;
            most = most.and_then(|most| most.checked_mul(MORE)).filter(|most| *most < MANY);
        }
    }

    /// One page, and how many there are, by evaluating everything.
    async fn page_and_count(&self) -> Result<Found, StoreError> {
        let page = &self.plan.page;
        let hits = Hits::paged(page.offset, page.limit, self.after);
        let mut hits = hits.behind(self.place.as_ref(), self.plan, self.now);
        let mut cursor = self.scan(self.compiled.candidates(), self.compiled.sort.clone()).await?;
        while self.read_batch(&mut cursor, &mut hits, Until::End).await? {}
        let count = hits.matches();
        Ok(self.found(hits, Some(count)))
    }

    /// One page of an order that the database knows in part, or not at all.
    async fn in_own_order(&self) -> Result<Found, StoreError> {
        let found = match self.compiled.lead_of(self.plan) {
            Some(lead) if self.plan.page.count => {
                let (found, count) = tokio::try_join!(self.led(lead), self.count())?;
                found.map(|found| Found { count: Some(count), ..found })
            }
            Some(lead) => self.led(lead).await?,
            None => None,
        };
        match found {
            Some(found) => Ok(found),
            None => self.all_in_order().await,
        }
    }

    /// One page of an order that only the evaluator knows: everything is read, and no more is kept
    /// than leads up to the end of the page.
    async fn all_in_order(&self) -> Result<Found, StoreError> {
        let hits = Hits::ordered(self.plan, self.now);
        let mut hits = hits.behind(self.place.as_ref(), self.plan, self.now);
        let mut cursor = self.scan(self.compiled.candidates(), None).await?;
        while self.read_batch(&mut cursor, &mut hits, Until::End).await? {}
        let count = self.plan.page.count.then_some(hits.matches());
        Ok(self.found(hits, count))
    }

    /// How many there are, if the filter is exact.
    async fn count(&self) -> Result<u64, StoreError> {
        let plain = self.inner.entities.count_documents(self.compiled.plain_ones());
        let plain = plain.max_time(self.time_limit());
        let mut count = self.inner.reading(async { plain.await }).await?;
        if self.compiled.has_odd_ones() {
            let mut hits = Hits::paged(0, 0, None);
            let mut cursor = self.scan(self.compiled.odd_ones(), None).await?;
            while self.read_batch(&mut cursor, &mut hits, Until::End).await? {}
            count += hits.matches();
        }
        Ok(count)
    }

    /// Whether any entity must be evaluated though the filter is exact.
    async fn has_odd_ones(&self) -> Result<bool, StoreError> {
        if !self.compiled.has_odd_ones() {
            return Ok(false);
        }
        let find = self.inner.entities.find_one(self.compiled.odd_ones());
        let find = find.projection(doc! { "_id": 1 }).max_time(self.time_limit());
        Ok(self.inner.reading(async { find.await }).await?.is_some())
    }

    async fn scan(
        &self,
        filter: Document,
        sort: Option<Document>,
    ) -> Result<RawBatchCursor, StoreError> {
        let find = self.inner.entities.find(filter).projection(projection());
        let mut find = find.batch_size(BATCH).max_time(self.time_limit());
        if let Some(sort) = sort {
            find = find.sort(sort);
        }
        self.inner.reading(async { find.batch().await }).await
    }

    fn time_limit(&self) -> Duration {
        self.inner.settings.time_limit
    }

    /// Evaluates a batch; false if there was none left.
    async fn read_batch(
        &self,
        cursor: &mut RawBatchCursor,
        hits: &mut Hits<'_>,
        until: Until,
    ) -> Result<bool, StoreError> {
        let next = self.inner.reading(async { cursor.next().await.transpose() }).await?;
        let Some(batch) = next else { return Ok(false) };
        let documents = batch.doc_slices().map_err(document::damaged)?;
        let mut linked = Linked::new(self.inner, self.tenant, self.now);
        let mut doubtful = Vec::new();
        let links = self.plan.link_depth() > 0;
        for one in documents {
            let one = one.map_err(document::damaged)?;
            let document = one.as_document().ok_or_else(|| document::damaged("no document"))?;
            let (hit, is_odd) = self.hit(document)?;
            hits.saw(hit.created);
            if links {
                doubtful.push(hit);
                if doubtful.len() >= linked::AT_ONCE {
                    linked.settle(self.plan, &mut doubtful, hits).await?;
                }
            } else if (self.compiled.is_exact && !is_odd)
                || self.plan.matches(&hit.held.entity, self.now, &crate::query::NoLookup)
            {
                hits.add(hit);
            }
            if until == Until::Full && hits.has_more() {
                return Ok(true);
            }
        }
        linked.settle(self.plan, &mut doubtful, hits).await?;
        Ok(true)
    }

    /// The entity of a document, and whether its keys may not tell everything.
    fn hit(&self, document: &RawDocument) -> Result<(Hit, bool), StoreError> {
        let is_odd = self.compiled.has_odd_ones()
            && document.get("odd").map_err(document::damaged)?.is_some();
        let id = read::id_of(document)?;
        let (held, is_known) = self.inner.held_for_now(self.tenant, &id, document)?;
        let bytes = document.as_bytes().len();
        Ok((Hit { bytes, created: held.stamps.created, held, is_known }, is_odd))
    }

    /// The refusal of a place that is none of an order that the database knows.
    fn wrong_place(&self) -> StoreError {
        self.plan.page.after.as_ref().map_or(StoreError::BadAnchor(String::new()), bad_anchor)
    }

    fn found(&self, hits: Hits<'_>, count: Option<u64>) -> Found {
        let (page, more) = hits.into_page();
        self.shown(page, more, count)
    }

    fn shown(&self, page: Vec<Hit>, more: bool, count: Option<u64>) -> Found {
        let next = page.last().filter(|_| more).and_then(|hit| match &self.plan.order {
            Some(order) => order.place_behind(&hit.held.entity, self.now, hit.created as u64),
            None => Some(anchor(hit.created)),
        });
        let mut entities = Vec::with_capacity(page.len());
        for hit in page {
            entities.push(hit.held.entity.clone());
            if !hit.is_known {
                self.inner.cache.remember(self.tenant, hit.held);
            }
        }
        Found { entities, count, more, next }
    }
}

/// What is read of a document.
fn projection() -> Document {
    doc! { "s": 1, "v": 1, "p": 1, "r": 1, "odd": 1 }
}

/// A filter for those that come after a stamp.
fn later(filter: Document, after: Option<i64>) -> Document {
    let Some(after) = after else { return filter };
    let later = doc! { "s": { "$gt": after } };
    match filter.get_array("$or") {
        // To each branch, so that each can use its index in order.
        Ok(branches) if filter.len() == 1 => {
            let both = |branch: &Bson| doc! { "$and": [branch.clone(), later.clone()] };
            doc! { "$or": branches.iter().map(both).collect::<Vec<_>>() }
        }
        _ => doc! { "$and": [filter, later] },
    }
}

/// A place after an entity.
fn anchor(created: i64) -> Anchor {
    Anchor::new(&format!("{created:x}"))
}

fn read_anchor(anchor: &Anchor) -> Result<i64, StoreError> {
    i64::from_str_radix(anchor.as_str(), 16)
        .ok()
        .filter(|stamp| *stamp >= 0)
        .ok_or_else(|| bad_anchor(anchor))
}

fn bad_anchor(anchor: &Anchor) -> StoreError {
    StoreError::BadAnchor(anchor.as_str().chars().take(32).collect())
}
