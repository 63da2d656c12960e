//! Indexes of one tenant: sets of seats by type, attribute and scope, times of expiry, and the
//! values and places of the attributes that queries ask about.

mod narrow;
mod places;
mod values;

use std::collections::{BTreeMap, BTreeSet};

use roaring::RoaringBitmap;
use rustc_hash::FxHashMap;

pub(super) use self::narrow::{Sort, Wish, page};
pub(super) use self::places::{Place, Places, places};
pub(super) use self::values::{Values, keys};
use super::seats::SeatNumber;
use crate::model::{AttrName, Attribute, Entity, Kind, Scope, Timestamp, TypeName};
use crate::store::record::{first_expiry, kinds_of};

/// Seats with an attribute, by kind.
#[derive(Debug, Default)]
pub(super) struct Holders(Vec<(Kind, RoaringBitmap)>);

impl Holders {
    /// Seats by kind, without empty sets.
    pub fn by_kind(&self) -> &[(Kind, RoaringBitmap)] {
        &self.0
    }

    /// Adds everyone who has the attribute, whatever its kind.
    pub fn add_to(&self, set: &mut RoaringBitmap) {
        for (_, seats) in &self.0 {
            *set |= seats;
        }
    }

    /// Everyone who has the attribute, if they all have it in one kind.
    pub fn only_kind(&self) -> Option<&RoaringBitmap> {
        match self.0.as_slice() {
            [(_, seats)] => Some(seats),
            _ => None,
        }
    }

    /// The seats of a kind, to be filled.
    pub fn of_kind(&mut self, kind: Kind) -> &mut RoaringBitmap {
        let place = self.0.iter().position(|(own, _)| *own == kind).unwrap_or_else(|| {
            self.0.push((kind, RoaringBitmap::new()));
            self.0.len() - 1
        });
        &mut self.0[place].1
    }

    fn set(&mut self, kinds: u8, seat: SeatNumber, there: bool) {
        for kind in Kind::ALL.into_iter().filter(|kind| kinds & 1 << *kind as u8 != 0) {
            let place = self.0.iter().position(|(own, _)| *own == kind);
            match (place, there) {
                (Some(place), true) => drop(self.0[place].1.insert(seat)),
                (None, true) => self.0.push((kind, RoaringBitmap::from_iter([seat]))),
                (Some(place), false) => {
                    self.0[place].1.remove(seat);
                    if self.0[place].1.is_empty() {
                        self.0.remove(place);
                    }
                }
                (None, false) => {}
            }
        }
    }
}

/// The indexes.
#[derive(Default)]
pub(super) struct Index {
    /// Everyone.
    pub all: RoaringBitmap,
    pub types: FxHashMap<TypeName, RoaringBitmap>,
    pub attributes: FxHashMap<AttrName, Holders>,
    /// By the scope without its leading slash.
    pub scopes: BTreeMap<Box<str>, RoaringBitmap>,
    /// When the entity of a seat, or the first thing in it, expires.
    pub expiries: BTreeSet<(Timestamp, SeatNumber)>,
    pub values: FxHashMap<AttrName, Values>,
    pub places: FxHashMap<AttrName, Places>,
    /// Seats that changed since the building of an index began.
    pub changed: Option<RoaringBitmap>,
}

/// The scope as the index spells it.
pub(super) fn scope_key(scope: &str) -> &str {
    scope.strip_prefix('/').unwrap_or(scope)
}

impl Index {
    /// Takes note of what became of the entity of a seat.
    pub fn update(&mut self, seat: SeatNumber, before: Option<&Entity>, after: Option<&Entity>) {
        match (before, after) {
            (None, Some(_)) => drop(self.all.insert(seat)),
            (Some(_), None) => drop(self.all.remove(seat)),
            _ => {}
        }
        self.update_types(seat, before, after);
        self.update_scopes(seat, before, after);
        self.update_attributes(seat, before, after);
        self.set_expiry(seat, before.and_then(first_expiry), after.and_then(first_expiry));
        if let Some(changed) = &mut self.changed {
            changed.insert(seat);
        }
        for (name, values) in &mut self.values {
            values.update(seat, get(before, *name), get(after, *name));
        }
        for (name, places) in &mut self.places {
            places.update(seat, get(before, *name), get(after, *name));
        }
    }

    fn update_types(&mut self, seat: SeatNumber, before: Option<&Entity>, after: Option<&Entity>) {
        let (old, new) = (types(before), types(after));
        if old == new {
            return;
        }
        for name in old.iter().filter(|name| !new.contains(name)) {
            leave(&mut self.types, name, seat);
        }
        for name in new.iter().filter(|name| !old.contains(name)) {
            self.add_type(*name, seat);
        }
    }

    fn update_scopes(&mut self, seat: SeatNumber, before: Option<&Entity>, after: Option<&Entity>) {
        let (old, new) = (scopes(before), scopes(after));
        if old == new {
            return;
        }
        for scope in old {
            let key = scope_key(scope.as_str());
            if let Some(seats) = self.scopes.get_mut(key) {
                seats.remove(seat);
                if seats.is_empty() {
                    self.scopes.remove(key);
                }
            }
        }
        for scope in new {
            self.add_scope(scope.as_str(), seat);
        }
    }

    fn update_attributes(
        &mut self,
        seat: SeatNumber,
        before: Option<&Entity>,
        after: Option<&Entity>,
    ) {
        if let (Some(before), Some(after)) = (before, after)
            && have_same_attributes(before, after)
        {
            return;
        }
        let held = |entity: Option<&Entity>, name| get(entity, name).map_or(0, kinds_of);
        for (name, attribute) in before.iter().flat_map(|entity| entity.attributes.iter()) {
            let gone = kinds_of(attribute) & !held(after, name);
            if gone == 0 {
                continue;
            }
            if let Some(holders) = self.attributes.get_mut(&name) {
                holders.set(gone, seat, false);
                if holders.0.is_empty() {
                    self.attributes.remove(&name);
                }
            }
        }
        for (name, attribute) in after.iter().flat_map(|entity| entity.attributes.iter()) {
            let new = kinds_of(attribute) & !held(before, name);
            if new != 0 {
                self.add_attribute(name, new, seat);
            }
        }
    }

    /// The entity of the seat has this type.
    pub fn add_type(&mut self, name: TypeName, seat: SeatNumber) {
        self.types.entry(name).or_default().insert(seat);
    }

    /// The entity of the seat has this scope.
    pub fn add_scope(&mut self, scope: &str, seat: SeatNumber) {
        let key = scope_key(scope);
        match self.scopes.get_mut(key) {
            Some(seats) => drop(seats.insert(seat)),
            None => drop(self.scopes.insert(key.into(), RoaringBitmap::from_iter([seat]))),
        }
    }

    /// The entity of the seat has this attribute in these kinds.
    pub fn add_attribute(&mut self, name: AttrName, kinds: u8, seat: SeatNumber) {
        self.attributes.entry(name).or_default().set(kinds, seat, true);
    }

    /// Something in the entity of the seat expires at another time than before.
    pub fn set_expiry(&mut self, seat: SeatNumber, old: Option<Timestamp>, new: Option<Timestamp>) {
        if old == new {
            return;
        }
        if let Some(time) = old {
            self.expiries.remove(&(time, seat));
        }
        if let Some(time) = new {
            self.expiries.insert((time, seat));
        }
    }

    /// Seats where something has expired by now and was not swept away yet.
    pub fn stale(&self, now: Timestamp) -> Option<RoaringBitmap> {
        let range = ..=(now, SeatNumber::MAX);
        let mut seats = self.expiries.range(range).map(|(_, seat)| *seat).peekable();
        seats.peek().is_some().then(|| seats.collect())
    }
}

/// The common case of a change: the same attributes of the same kinds, with other values.
fn have_same_attributes(before: &Entity, after: &Entity) -> bool {
    let (before, after) = (&before.attributes, &after.attributes);
    before.len() == after.len()
        && before.iter().zip(after.iter()).all(|((old_name, old), (new_name, new))| {
            old_name == new_name && kinds_of(old) == kinds_of(new)
        })
}

fn get(entity: Option<&Entity>, name: AttrName) -> Option<&Attribute> {
    entity?.attributes.get(name)
}

fn types(entity: Option<&Entity>) -> &[TypeName] {
    entity.map_or(&[], |entity| entity.types.as_slice())
}

fn scopes(entity: Option<&Entity>) -> &[Scope] {
    entity.map_or(&[], |entity| &entity.scopes)
}

fn leave(sets: &mut FxHashMap<TypeName, RoaringBitmap>, name: &TypeName, seat: SeatNumber) {
    if let Some(seats) = sets.get_mut(name) {
        seats.remove(seat);
        if seats.is_empty() {
            sets.remove(name);
        }
    }
}
