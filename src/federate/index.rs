//! Which sources a request may concern, found by id, type and attribute: however many there are
//! that it does not concern, they cost next to nothing.

use std::hash::Hash;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::model::{AttrName, EntityId, TypeName, TypeSelection};
use crate::query::Selector;
use crate::represent::registration::{EntityInfo, Registration, RegistrationInfo};

/// Where a source stands among those of its tenant.
pub(super) type Place = u32;

/// The sources of a tenant.
///
/// An EntityInfo is filed twice: by how its ids can be told, for requests about ids; and by its
/// types, for those that are not.
#[derive(Debug, Default)]
pub(super) struct Index {
    by_id: FxHashMap<EntityId, Vec<Place>>,
    /// Patterns that begin with a text, by that text.
    by_prefix: FxHashMap<Box<str>, Vec<Place>>,
    /// How long those texts are, and how many there are of each length.
    lengths: FxHashMap<usize, usize>,
    /// Those whose ids can be anything, by type, None for any.
    any_id: FxHashMap<Option<TypeName>, Drawer>,
    /// All, by type, None for any.
    by_type: FxHashMap<Option<TypeName>, Drawer>,
}

/// Places by attribute, None for those that have any.
#[derive(Debug, Default)]
struct Drawer(FxHashMap<Option<AttrName>, Vec<Place>>);

/// What is sought, as far as the index knows of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clue<'a> {
    /// Alternatives; everything if there are none.
    pub select: &'a [Selector],
    /// Any of these; any at all if absent.
    pub attributes: Option<&'a [AttrName]>,
}

impl Index {
    /// Files a source.
    pub fn insert(&mut self, place: Place, registration: &Registration) {
        self.each(registration, |index, key, attribute| index.add(key, attribute, place));
    }

    /// Takes a source out; it must be as it was when it was filed.
    pub fn remove(&mut self, place: Place, registration: &Registration) {
        self.each(registration, |index, key, attribute| index.take(key, attribute, place));
    }

    fn each(
        &mut self,
        registration: &Registration,
        act: impl Fn(&mut Self, Key<'_>, Option<AttrName>),
    ) {
        let anything = [EntityInfo::default()];
        for info in &registration.information {
            let entities = match info.entities.as_slice() {
                [] => &anything,
                some => some,
            };
            for entity in entities {
                for attribute in attributes_of(info) {
                    for key in keys(entity) {
                        act(self, key, attribute);
                    }
                }
            }
        }
    }

    fn add(&mut self, key: Key<'_>, attribute: Option<AttrName>, place: Place) {
        match key {
            Key::Id(id) => add(&mut self.by_id, id.clone(), place),
            Key::Prefix(text) => {
                let known = self.by_prefix.contains_key(text);
                add(&mut self.by_prefix, text.into(), place);
                if !known {
                    *self.lengths.entry(text.len()).or_default() += 1;
                }
            }
            Key::AnyId(name) => add(&mut self.any_id.entry(name).or_default().0, attribute, place),
            Key::Type(name) => add(&mut self.by_type.entry(name).or_default().0, attribute, place),
        }
    }

    fn take(&mut self, key: Key<'_>, attribute: Option<AttrName>, place: Place) {
        let of_drawer = |drawers: &mut FxHashMap<Option<TypeName>, Drawer>, name| {
            let Some(drawer) = drawers.get_mut(&name) else { return };
            take(&mut drawer.0, &attribute, place);
            if drawer.0.is_empty() {
                drawers.remove(&name);
            }
        };
        match key {
            Key::Id(id) => take(&mut self.by_id, id, place),
            Key::Prefix(text) => {
                let known = self.by_prefix.contains_key(text);
                take(&mut self.by_prefix, &text.into(), place);
                if known && !self.by_prefix.contains_key(text) {
                    let count = self.lengths.entry(text.len()).or_default();
                    *count = count.saturating_sub(1);
                    if *count == 0 {
                        self.lengths.remove(&text.len());
                    }
                }
            }
            Key::AnyId(name) => of_drawer(&mut self.any_id, name),
            Key::Type(name) => of_drawer(&mut self.by_type, name),
        }
    }

    /// All sources that a request may concern, each once, in no particular order.
    pub fn candidates(&self, clue: &Clue<'_>) -> Vec<Place> {
        let mut found = Vec::new();
        let anything = [Selector::default()];
        let select = if clue.select.is_empty() { &anything } else { clue.select };
        for selector in select {
            let types = types_of(selector);
            let drawers = match selector.ids.as_slice() {
                [] => &self.by_type,
                ids => {
                    ids.iter().for_each(|id| self.by_identity(id, &mut found));
                    &self.any_id
                }
            };
            match types {
                Some(types) => {
                    let names = types.into_iter().map(Some).chain([None]);
                    let drawers = names.filter_map(|name| drawers.get(&name));
                    drawers.for_each(|drawer| drawer.gather(clue.attributes, &mut found));
                }
                None => {
                    drawers.values().for_each(|drawer| drawer.gather(clue.attributes, &mut found));
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Whether a request about these entities may concern any source: mostly none.
    pub fn concerns(&self, select: &[Selector]) -> bool {
        match select {
            [] => !self.by_type.is_empty(),
            some => some.iter().any(|one| self.concerns_any(&one.ids, one.types.as_ref())),
        }
    }

    /// Whether a request about entities of these ids, or of any if there are none, may concern any
    /// source.
    pub fn concerns_any(&self, ids: &[EntityId], types: Option<&TypeSelection>) -> bool {
        let drawers = match ids {
            [] => &self.by_type,
            ids if ids.iter().any(|id| self.knows(id)) => return true,
            _ => &self.any_id,
        };
        match types {
            Some(TypeSelection::Of(alternatives)) if !drawers.is_empty() => {
                let names = alternatives.iter().flatten().filter_map(|term| term.name());
                names.map(Some).chain([None]).any(|name| drawers.contains_key(&name))
            }
            _ => !drawers.is_empty(),
        }
    }

    /// Whether any source says of its entities that this is one of them, as far as a beginning tells.
    fn knows(&self, id: &EntityId) -> bool {
        self.by_id.contains_key(id)
            || self.lengths.keys().any(|length| {
                let prefix = id.as_str().get(..*length);
                prefix.is_some_and(|prefix| self.by_prefix.contains_key(prefix))
            })
    }

    fn by_identity(&self, id: &EntityId, found: &mut Vec<Place>) {
        found.extend(self.by_id.get(id).into_iter().flatten());
        for length in self.lengths.keys() {
            let prefix = id.as_str().get(..*length);
            let places = prefix.and_then(|prefix| self.by_prefix.get(prefix));
            found.extend(places.into_iter().flatten());
        }
    }
}

impl Drawer {
    fn gather(&self, attributes: Option<&[AttrName]>, found: &mut Vec<Place>) {
        match attributes {
            None => self.0.values().for_each(|places| found.extend(places)),
            Some(names) => {
                for name in names.iter().map(|name| Some(*name)).chain([None]) {
                    found.extend(self.0.get(&name).into_iter().flatten());
                }
            }
        }
    }
}

/// Where an EntityInfo is filed.
enum Key<'a> {
    Id(&'a EntityId),
    Prefix(&'a str),
    AnyId(Option<TypeName>),
    Type(Option<TypeName>),
}

fn keys(entity: &EntityInfo) -> Vec<Key<'_>> {
    let types: FxHashSet<Option<TypeName>> = match entity.types.as_slice() {
        [] => [None].into_iter().collect(),
        names => names.iter().map(|name| Some(*name)).collect(),
    };
    let mut keys: Vec<Key<'_>> = types.iter().map(|name| Key::Type(*name)).collect();
    let prefix = entity.id_pattern.as_ref().and_then(|pattern| prefix_of(pattern.as_str()));
    match (&entity.id, prefix) {
        (Some(id), _) => keys.push(Key::Id(id)),
        (None, Some(text)) => keys.push(Key::Prefix(text)),
        (None, None) => keys.extend(types.into_iter().map(Key::AnyId)),
    }
    keys
}

fn attributes_of(info: &RegistrationInfo) -> Vec<Option<AttrName>> {
    match info.has_all_attributes() {
        true => vec![None],
        false => info.attributes().map(Some).collect(),
    }
}

/// The text that everything begins with that a pattern matches; None if that is not plain to see.
fn prefix_of(pattern: &str) -> Option<&str> {
    let rest = pattern.strip_prefix('^')?;
    // An alternative need not begin so.
    if rest.contains('|') {
        return None;
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '-' | '_' | '/' | '#');
    let mut end = rest.find(|c| !plain(c)).unwrap_or(rest.len());
    // What may follow a letter none or many times is not part of the text.
    if rest[end..].starts_with(['*', '?', '{', '+']) {
        end = end.checked_sub(1)?;
    }
    (end > 0).then(|| &rest[..end])
}

/// The types that a selected entity has one of; None if it may have any.
fn types_of(selector: &Selector) -> Option<Vec<TypeName>> {
    let Some(TypeSelection::Of(alternatives)) = &selector.types else { return None };
    let names = alternatives.iter().flatten().filter_map(|term| term.name());
    Some(names.collect())
}

fn add<K: Eq + Hash>(map: &mut FxHashMap<K, Vec<Place>>, key: K, place: Place) {
    let places = map.entry(key).or_default();
    // The keys of one source may repeat, one after the other.
    if places.last() != Some(&place) {
        places.push(place);
    }
}

fn take<K: Eq + Hash>(map: &mut FxHashMap<K, Vec<Place>>, key: &K, place: Place) {
    let Some(places) = map.get_mut(key) else { return };
    if let Some(at) = places.iter().position(|other| *other == place) {
        places.swap_remove(at);
    }
    if places.is_empty() {
        map.remove(key);
    }
}
