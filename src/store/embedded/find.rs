//! Queries: sets of seats tell who may match, the evaluator decides.

use std::cell::Cell;
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::Inner;
use super::index::{Sort, Wish, page};
use super::seats::SeatNumber;
use super::tenants::{Located, Obtained, Tenant};
use crate::model::{EntityId, Stored, TenantId, Timestamp};
use crate::query::{Anchor, EntityPlan, Lookup, Lookups, Place};
use crate::store::{Explanation, Found, StoreError};

/// How many candidates are evaluated on the asker's thread; the rest goes to a thread where it
/// hinders nobody.
const INLINE: usize = 2_000;

/// To read and decode an entity takes as long as to evaluate so many.
const AWAY: usize = 15;

/// How many candidates are fetched before writers get a turn: few at first, since a page may be
/// full soon, then more.
const FIRST_TURN: usize = 32;
const TURN: usize = 256;

/// Finds the entities of a plan.
pub(super) async fn find(
    inner: &Arc<Inner>,
    tenant: &TenantId,
    plan: &EntityPlan,
    now: Timestamp,
) -> Result<Found, StoreError> {
    let tenant = inner.tenants.get(tenant)?;
    let mut scan = match inner.begin(&tenant, plan, now)? {
        Begun::Done(found) => return Ok(found),
        Begun::Scan(scan) => scan,
    };
    if !inner.scan(&tenant, plan, now, &mut scan, INLINE)? {
        let (inner, tenant, plan) = (inner.clone(), tenant.clone(), plan.clone());
        let rest = tokio::task::spawn_blocking(move || {
            inner.scan(&tenant, &plan, now, &mut scan, usize::MAX)?;
            Ok::<_, StoreError>(scan)
        });
        scan = rest.await.map_err(|error| StoreError::Broken(error.to_string()))??;
    }
    inner.settle_page(&tenant, &scan.page);
    Ok(scan.found(plan, now))
}

/// Says by which sets of seats the entities of a plan are found.
pub(super) fn explain(
    inner: &Inner,
    tenant: &TenantId,
    plan: &EntityPlan,
    now: Timestamp,
) -> Result<Explanation, StoreError> {
    let tenant = inner.tenants.get(tenant)?;
    let state = tenant.state.read();
    let narrowed = state.index.narrow(plan, now, &state.seats);
    let wish = |wish: &Wish| match wish.sort {
        Sort::Values => format!("would use an index of the values of {}", wish.attribute),
        Sort::Places => format!("would use an index of the places of {}", wish.attribute),
    };
    let hints = plan.hints();
    Ok(Explanation {
        filter: hints.iter().map(|hint| format!("{hint:?}")).collect(),
        exact: narrowed.exact,
        ordered: plan.order.is_none(),
        lead: None,
        steps: narrowed.wishes.iter().map(wish).collect(),
        keys: None,
        candidates: narrowed.seats.len(),
    })
}

enum Begun {
    Done(Found),
    Scan(Scan),
}

/// Candidates that are being evaluated.
struct Scan {
    candidates: RoaringBitmap,
    /// The first candidate that was not evaluated yet.
    next: SeatNumber,
    /// Where the page begins.
    first: SeatNumber,
    /// How many matches belong before the page still.
    skip: usize,
    matches: u64,
    page: Vec<Obtained>,
    more: bool,
    /// Where the page of an order begins.
    place: Option<Place>,
}

impl Inner {
    /// Narrows the plan down. If sets answer it, that is all.
    fn begin(
        &self,
        tenant: &Arc<Tenant>,
        plan: &EntityPlan,
        now: Timestamp,
    ) -> Result<Begun, StoreError> {
        let (after, place) = match (&plan.page.after, &plan.order) {
            (None, _) => (None, None),
            (Some(anchor), None) => (Some(read_anchor(anchor)?), None),
            (Some(anchor), Some(order)) => {
                (None, Some(order.place(anchor).ok_or_else(|| bad_anchor(anchor))?))
            }
        };
        let state = tenant.state.read();
        let first = after.map_or(0, |sequence| state.seats.after(sequence));
        let narrowed = state.index.narrow(plan, now, &state.seats);
        for wish in &narrowed.wishes {
            self.builder.add(tenant, *wish);
        }
        if !narrowed.exact || plan.order.is_some() {
            return Ok(Begun::Scan(Scan {
                next: if plan.page.count || plan.order.is_some() { 0 } else { first },
                candidates: narrowed.seats.into_owned(),
                first,
                skip: plan.page.offset,
                matches: 0,
                page: Vec::new(),
                more: false,
                place,
            }));
        }
        let set = &*narrowed.seats;
        let page = page(set, first, plan.page.offset, plan.page.limit);
        let count = plan.page.count.then(|| set.len());
        let mut found = Vec::with_capacity(page.seats.len());
        found.extend(page.seats.into_iter().filter_map(|seat| state.located(seat)));
        drop(state);
        // Who is gone meanwhile was there when we looked.
        let next = found.last().filter(|_| page.more).map(|located| anchor(located.sequence));
        let obtained = self.obtain_all(tenant, found)?;
        self.settle_page(tenant, &obtained);
        let entities = obtained.into_iter().map(|one| one.entity).collect();
        Ok(Begun::Done(Found { entities, count, more: page.more, next }))
    }

    /// Evaluates up to so many candidates; true when nothing is left to do.
    fn scan(
        &self,
        tenant: &Tenant,
        plan: &EntityPlan,
        now: Timestamp,
        scan: &mut Scan,
        most: usize,
    ) -> Result<bool, StoreError> {
        let (allowed, too_much) = (plan.lookups, Cell::new(false));
        let lookup = TenantLookup { inner: self, tenant, now, allowed, too_much };
        let (mut left, mut turn) = (most, FIRST_TURN);
        while left > 0 {
            let few = left.min(turn);
            turn = (turn * 2).min(TURN);
            left -= few;
            let fetched = self.fetch(tenant, scan, few);
            if fetched.is_empty() {
                return Ok(true);
            }
            let away = fetched.iter().filter(|located| located.away().is_some()).count();
            left = left.saturating_sub(away * AWAY);
            for candidate in self.obtain_all(tenant, fetched)? {
                let matches = plan.matches(&candidate.entity, now, &lookup);
                if lookup.too_much.get() {
                    return Err(plan.too_many_lookups().into());
                }
                if matches {
                    scan.hit(plan, now, candidate);
                }
                if scan.more && !plan.page.count && plan.order.is_none() {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// The next candidates that are still there.
    fn fetch(&self, tenant: &Tenant, scan: &mut Scan, few: usize) -> Vec<Located> {
        let mut fetched = Vec::with_capacity(few);
        let state = tenant.state.read();
        // Candidates that are gone must not look like the end.
        while fetched.is_empty() {
            let mut candidates = scan.candidates.range(scan.next..).take(few).peekable();
            if candidates.peek().is_none() {
                break;
            }
            for seat in candidates {
                scan.next = seat + 1;
                fetched.extend(state.located(seat));
            }
        }
        fetched
    }

    /// Keeps in memory what was read of a page.
    fn settle_page(&self, tenant: &Tenant, page: &[Obtained]) {
        for one in page {
            if let Some(away) = one.away {
                self.settle(tenant, away, &one.entity);
            }
        }
    }
}

/// How many hits are gathered beyond twice those that are wanted before they are put in order.
const SPARE: usize = 1_024;

/// How many hits lead up to the end of the page.
fn wanted(plan: &EntityPlan) -> usize {
    plan.page.offset.saturating_add(plan.page.limit)
}

impl Scan {
    fn hit(&mut self, plan: &EntityPlan, now: Timestamp, hit: Obtained) {
        self.matches += 1;
        if let Some(order) = &plan.order {
            let place = self.place.as_ref();
            if place.is_some_and(|at| !order.is_behind(at, &hit.entity, now, hit.sequence)) {
                return;
            }
            self.page.push(hit);
            if self.page.len() >= wanted(plan).saturating_mul(2).saturating_add(SPARE) {
                self.keep_first(plan, now);
            }
        } else if hit.seat < self.first {
        } else if self.skip > 0 {
            self.skip -= 1;
        } else if self.page.len() < plan.page.limit {
            self.page.push(hit);
        } else {
            self.more = true;
        }
    }

    /// Puts the hits of a plan with an order into it, and forgets those beyond its page.
    fn keep_first(&mut self, plan: &EntityPlan, now: Timestamp) {
        self.page.sort_by(|a, b| {
            let order = plan.compare(&a.entity, &b.entity, now);
            order.then(a.sequence.cmp(&b.sequence))
        });
        self.more |= self.page.len() > wanted(plan);
        self.page.truncate(wanted(plan));
    }

    fn found(mut self, plan: &EntityPlan, now: Timestamp) -> Found {
        if plan.order.is_some() {
            self.keep_first(plan, now);
            self.page.drain(..plan.page.offset.min(self.page.len()));
        }
        let last = self.page.last().filter(|_| self.more);
        Found {
            next: last.and_then(|hit| match &plan.order {
                Some(order) => order.place_behind(&hit.entity, now, hit.sequence),
                None => Some(anchor(hit.sequence)),
            }),
            entities: self.page.into_iter().map(|hit| hit.entity).collect(),
            count: plan.page.count.then_some(self.matches),
            more: self.more,
        }
    }
}

/// A place after an entity.
fn anchor(sequence: u64) -> Anchor {
    Anchor::new(&format!("{sequence:x}"))
}

fn read_anchor(anchor: &Anchor) -> Result<u64, StoreError> {
    u64::from_str_radix(anchor.as_str(), 16).map_err(|_| bad_anchor(anchor))
}

fn bad_anchor(anchor: &Anchor) -> StoreError {
    StoreError::BadAnchor(anchor.as_str().chars().take(32).collect())
}

/// Linked entities, for queries that follow Relationships.
struct TenantLookup<'a> {
    inner: &'a Inner,
    tenant: &'a Tenant,
    now: Timestamp,
    allowed: Lookups,
    too_much: Cell<bool>,
}

impl Lookup for TenantLookup<'_> {
    fn entity(&self, id: &EntityId) -> Option<Arc<Stored>> {
        // A damaged record was reported where it was met; here it links to nothing.
        let entity = self.inner.entity(self.tenant, id).ok().flatten()?;
        entity.is_alive(self.now).then_some(entity)
    }

    fn most(&self) -> Lookups {
        self.allowed
    }

    fn was_too_much(&self) {
        self.too_much.set(true);
    }
}
