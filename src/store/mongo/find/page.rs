//! What a query found so far: no more than leads up to the end of its page.

use std::cmp::Ordering;
use std::sync::Arc;

use super::super::cache::Held;
use crate::model::Timestamp;
use crate::query::{EntityPlan, Order, Place};

/// How many hits are gathered beyond twice those that are wanted before they are put in order.
const SPARE: usize = 1_024;

/// The same of bytes of hits.
const SPARE_BYTES: usize = 64 << 20;

/// An entity that matches.
pub(super) struct Hit {
    /// How large its document is.
    pub bytes: usize,
    /// The stamp of its creation.
    pub created: i64,
    pub held: Arc<Held>,
    /// Whether the cache holds it.
    pub is_known: bool,
}

/// What was found.
pub(super) struct Hits<'a> {
    list: Vec<Hit>,
    matches: u64,
    more: bool,
    seen: usize,
    last_seen: Option<i64>,
    way: Way<'a>,
    /// The list has been put in order, and what stands behind it is not wanted.
    is_bounded: bool,
    /// How large the documents of the list are.
    bytes: usize,
    /// Those up to this place of the order are counted only.
    behind: Option<(&'a Order, &'a Place, Timestamp)>,
}

/// How hits come.
enum Way<'a> {
    /// In the order of the page.
    Paged {
        /// How many belong before the page still.
        skip: usize,
        limit: usize,
        /// Those up to this stamp are counted only.
        after: Option<i64>,
    },
    /// In any order.
    Ordered { plan: &'a EntityPlan, now: Timestamp },
}

impl<'a> Hits<'a> {
    /// Hits come in the order of the page.
    pub fn paged(skip: usize, limit: usize, after: Option<i64>) -> Self {
        Self::new(Way::Paged { skip, limit, after })
    }

    /// Hits come in any order, to be put in that of the plan.
    pub fn ordered(plan: &'a EntityPlan, now: Timestamp) -> Self {
        Self::new(Way::Ordered { plan, now })
    }

    fn new(way: Way<'a>) -> Self {
        Self {
            list: Vec::new(),
            matches: 0,
            more: false,
            seen: 0,
            last_seen: None,
            way,
            is_bounded: false,
            bytes: 0,
            behind: None,
        }
    }

    /// The page begins behind a place, if the plan has an order.
    pub fn behind(self, place: Option<&'a Place>, plan: &'a EntityPlan, now: Timestamp) -> Self {
        let behind = plan.order.as_ref().zip(place).map(|(order, place)| (order, place, now));
        Self { behind, ..self }
    }

    /// A candidate came, whether it matches or not.
    pub fn saw(&mut self, created: i64) {
        self.seen += 1;
        self.last_seen = Some(created);
    }

    /// How many candidates came.
    pub fn seen(&self) -> usize {
        self.seen
    }

    /// The stamp of the last candidate that came.
    pub fn last_seen(&self) -> Option<i64> {
        self.last_seen
    }

    /// One more.
    pub fn add(&mut self, hit: Hit) {
        self.matches += 1;
        if let Some((order, place, now)) = self.behind
            && !order.is_behind(place, &hit.held.entity, now, hit.created as u64)
        {
            return;
        }
        match &mut self.way {
            Way::Ordered { plan, now } => {
                let wanted = wanted(plan);
                // Most of many stand behind what is kept, and are compared but once.
                if self.is_bounded
                    && self
                        .list
                        .get(wanted.wrapping_sub(1))
                        .is_none_or(|last| compare(plan, *now, &hit, last).is_gt())
                {
                    self.more = true;
                    return;
                }
                let room = wanted.saturating_mul(2).saturating_add(SPARE);
                self.bytes += hit.bytes;
                self.list.push(hit);
                let is_large = self.bytes >= SPARE_BYTES && self.list.len() > wanted;
                if is_large || self.list.len() >= room {
                    self.keep_first();
                }
            }
            Way::Paged { after: Some(after), .. } if hit.created <= *after => {}
            Way::Paged { skip, .. } if *skip > 0 => *skip -= 1,
            Way::Paged { limit, .. } if self.list.len() < *limit => self.list.push(hit),
            Way::Paged { .. } => self.more = true,
        }
    }

    /// How many matched.
    pub fn matches(&self) -> u64 {
        self.matches
    }

    /// Whether there are more after the page.
    pub fn has_more(&self) -> bool {
        self.more
    }

    /// The page, and whether there are more after it.
    pub fn into_page(mut self) -> (Vec<Hit>, bool) {
        self.keep_first();
        if let Way::Ordered { plan, .. } = self.way {
            self.list.drain(..plan.page.offset.min(self.list.len()));
        }
        (self.list, self.more)
    }

    /// Puts hits in the order of the plan, and forgets those beyond its page.
    fn keep_first(&mut self) {
        let Way::Ordered { plan, now } = self.way else { return };
        self.list.sort_by(|a, b| compare(plan, now, a, b));
        self.is_bounded |= self.list.len() > wanted(plan);
        self.more |= self.is_bounded;
        self.list.truncate(wanted(plan));
        self.bytes = self.list.iter().map(|hit| hit.bytes).sum();
    }
}

fn compare(plan: &EntityPlan, now: Timestamp, a: &Hit, b: &Hit) -> Ordering {
    let order = plan.compare(&a.held.entity, &b.held.entity, now);
    order.then(a.created.cmp(&b.created))
}

/// How many hits lead up to the end of the page.
fn wanted(plan: &EntityPlan) -> usize {
    plan.page.offset.saturating_add(plan.page.limit)
}
