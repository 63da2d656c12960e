//! From a plan to the seats that may match.

use std::borrow::Cow;

use roaring::RoaringBitmap;

use super::super::seats::{SeatNumber, Seats};
use super::{Holders, Index};
use crate::model::{AttrName, Scope, Timestamp, TypeSelection};
use crate::query::{EntityPlan, Hint, ScopeFilter};

type Set<'a> = Cow<'a, RoaringBitmap>;

/// Seats that may match a plan.
pub(in super::super) struct Narrowed<'a> {
    pub seats: Set<'a>,
    /// Whether every one of them matches, so that nobody need be evaluated.
    pub exact: bool,
    /// Indexes that would have helped.
    pub wishes: Vec<Wish>,
}

/// What an index is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in super::super) enum Sort {
    Values,
    Places,
}

/// An index of an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in super::super) struct Wish {
    pub attribute: AttrName,
    pub sort: Sort,
}

/// A condition that an index would have to be built for is worth it from so many entities on.
/// Tests have few.
const WORTH_AN_INDEX: u64 = if cfg!(test) { 2 } else { 256 };

/// A search that brings no more than this is always worth it.
const FEW: u64 = 256;

/// A condition that leaves in more than one in so many of those that other conditions leave in is
/// not worth looking up.
const SELECTIVE: u64 = 4;

/// Nor is one that leaves in more than this, since a search holds writers up for so long.
const MOST: u64 = 100_000;

/// How many seats can be looked up in the time it takes to evaluate an entity.
const LOOK_UPS: u64 = 20;

impl Index {
    /// The seats that may match a plan.
    pub fn narrow(&self, plan: &EntityPlan, now: Timestamp, seats: &Seats) -> Narrowed<'_> {
        let hints = plan.hints();
        let mut wishes = Vec::new();
        // What can be said without a search comes first, and tells how much a search may bring.
        let mut sets: Vec<Set<'_>> =
            hints.iter().filter_map(|hint| self.known(hint, seats)).collect();
        let least = sets.iter().map(|set| set.len()).min().unwrap_or(self.all.len());
        let most = (least / SELECTIVE).min(worthwhile(plan, least)).max(FEW);
        for hint in &hints {
            sets.extend(self.searched(hint, seats, most, &mut wishes));
        }
        wishes.retain(|_| least >= WORTH_AN_INDEX);
        sets.sort_by_key(|set| set.len());
        let mut sets = sets.into_iter();
        let mut narrow = sets.next().unwrap_or(Cow::Borrowed(&self.all));
        for set in sets {
            narrow = Cow::Owned(&*narrow & &*set);
        }
        let stale = self.stale(now).is_some_and(|stale| !stale.is_disjoint(&narrow));
        Narrowed { exact: !stale && is_exact(plan), seats: narrow, wishes }
    }

    /// The seats of a condition that needs no search; None if it is of another sort, or leaves in
    /// everyone.
    fn known(&self, hint: &Hint, seats: &Seats) -> Option<Set<'_>> {
        match hint {
            Hint::Nothing => Some(Cow::default()),
            Hint::Ids(ids) => {
                let seats = ids.iter().filter_map(|id| seats.find(id.as_str()));
                Some(Cow::Owned(seats.collect()))
            }
            Hint::Types(selection) => self.of_types(selection),
            Hint::AnyAttribute(names) => Some(self.with_any(names)),
            Hint::Scope(filter) => Some(Cow::Owned(self.in_scope(filter))),
            Hint::Value { attribute, .. } | Hint::Bounds { attribute, .. } => {
                Some(self.with_any(std::slice::from_ref(attribute)))
            }
            Hint::OneOf(_) => None,
        }
    }

    /// The seats of a condition that needs a search, unless they are more than `most`.
    fn searched(
        &self,
        hint: &Hint,
        seats: &Seats,
        most: u64,
        wishes: &mut Vec<Wish>,
    ) -> Option<Set<'_>> {
        match hint {
            Hint::Value { attribute, ranges } => match self.values.get(attribute) {
                Some(values) => values.find(ranges, most).map(Cow::Owned),
                None => {
                    wishes.push(Wish { attribute: *attribute, sort: Sort::Values });
                    None
                }
            },
            Hint::Bounds { attribute, rects } => match self.places.get(attribute) {
                Some(places) => places.find(rects, most).map(Cow::Owned),
                None => {
                    wishes.push(Wish { attribute: *attribute, sort: Sort::Places });
                    None
                }
            },
            Hint::OneOf(hints) => {
                let mut union = RoaringBitmap::new();
                let mut whole = true;
                for hint in hints {
                    let set = self
                        .searched(hint, seats, most, wishes)
                        .or_else(|| self.known(hint, seats));
                    match set {
                        Some(set) => union |= &*set,
                        None => whole = false,
                    }
                }
                whole.then_some(Cow::Owned(union))
            }
            _ => None,
        }
    }

    fn of_types(&self, selection: &TypeSelection) -> Option<Set<'_>> {
        let TypeSelection::Of(combinations) = selection else { return None };
        let of = |combination: &[crate::model::TypeTerm]| -> Set<'_> {
            let mut sets = combination.iter().map(|term| {
                term.name()
                    .and_then(|name| self.types.get(&name))
                    .map_or(Cow::Owned(RoaringBitmap::new()), Cow::Borrowed)
            });
            let first: Set<'_> = sets.next().unwrap_or(Cow::Borrowed(&self.all));
            sets.fold(first, |narrow, set| Cow::Owned(&*narrow & &*set))
        };
        let mut sets = combinations.iter().map(|combination| of(combination));
        let first = sets.next().unwrap_or_default();
        Some(sets.fold(first, |wide, set| Cow::Owned(&*wide | &*set)))
    }

    fn with_any(&self, names: &[AttrName]) -> Set<'_> {
        if let [name] = names {
            match self.attributes.get(name).map(Holders::only_kind) {
                Some(Some(seats)) => return Cow::Borrowed(seats),
                Some(None) => {}
                None => return Cow::default(),
            }
        }
        let mut union = RoaringBitmap::new();
        for holders in names.iter().filter_map(|name| self.attributes.get(name)) {
            holders.add_to(&mut union);
        }
        Cow::Owned(union)
    }

    /// Everyone a scope query selects, exactly: it is asked of every distinct scope.
    fn in_scope(&self, filter: &ScopeFilter) -> RoaringBitmap {
        let fitting = |fits: &dyn Fn(&Scope) -> bool| {
            let mut union = RoaringBitmap::new();
            for (scope, seats) in &self.scopes {
                if fits(&Scope::from_trusted(scope)) {
                    union |= seats;
                }
            }
            union
        };
        let mut selected = RoaringBitmap::new();
        for patterns in &filter.alternatives {
            let sets = patterns.iter().map(|pattern| fitting(&|scope| pattern.fits(scope)));
            selected |= sets.reduce(|narrow, set| narrow & set).unwrap_or_else(|| self.all.clone());
        }
        selected
    }
}

/// How many seats a search may bring and still be worth it. A page that needs no count and no
/// order is found by evaluating candidates until it is full, the sooner the more match; a search
/// looks up all that match.
fn worthwhile(plan: &EntityPlan, least: u64) -> u64 {
    if plan.page.count || plan.order.is_some() {
        return MOST;
    }
    let wanted = plan.page.offset.saturating_add(plan.page.limit).saturating_add(1) as u64;
    let even = least.saturating_mul(LOOK_UPS).saturating_mul(wanted);
    even.isqrt().min(MOST)
}

/// Whether the sets of types, attributes and scopes say all that the plan asks for.
fn is_exact(plan: &EntityPlan) -> bool {
    let by_types_only =
        plan.select.iter().all(|one| one.ids.is_empty() && one.id_pattern.is_none());
    let single = match plan.select.as_slice() {
        [one] => !one.ids.is_empty() || one.id_pattern.is_none(),
        _ => false,
    };
    plan.filter.is_none() && plan.geo.is_none() && (by_types_only || single)
}

/// A page of seats out of those that match.
pub(in super::super) struct SeatPage {
    pub seats: Vec<SeatNumber>,
    pub more: bool,
}

/// Cuts a page out of a set without looking at more than the page.
pub(in super::super) fn page(
    set: &RoaringBitmap,
    first: SeatNumber,
    offset: usize,
    limit: usize,
) -> SeatPage {
    let before = if first == 0 { 0 } else { set.rank(first - 1) };
    let from = u32::try_from(before + offset as u64).ok().and_then(|nth| set.select(nth));
    let mut seats = from.map(|from| set.range(from..)).into_iter().flatten();
    let page = seats.by_ref().take(limit).collect();
    SeatPage { seats: page, more: seats.next().is_some() }
}
