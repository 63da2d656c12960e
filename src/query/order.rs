//! Ordering (4.23): by which values entities are ordered, and how values of all kinds compare.

mod place;

use std::{cmp::Ordering, fmt, sync::Arc};

pub use self::place::{Edge, Place};
use super::filter::{read_path, unquoted, within, within_json};
use super::geo::{coordinates_text, reference};
use super::scan::Cursor;
use super::{Collation, Limits, Member, Moment, Path, QueryError, Term};
use crate::geo::{Geometry, Prepared};
use crate::jsonld::Context;
use crate::model::{
    Attributes, Datum, Entity, EntityId, Instance, LanguageMap, Name, Number, OneOrMany, Timestamp,
    Value,
};

/// The four parameters of an ordering as they were sent.
#[derive(Debug, Clone, Copy, Default)]
pub struct OrderParams<'a> {
    pub order_by: Option<&'a str>,
    pub collation: Option<&'a str>,
    /// A JSON array as text.
    pub order_from: Option<&'a str>,
    pub order_geometry: Option<&'a str>,
}

/// How to order entities: by the first element, those it leaves equal by the second, and so on.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    elements: Vec<OrderElement>,
    collation: Collation,
    /// Where distances are measured from.
    from: Option<Arc<Prepared>>,
}

/// One element of `orderBy`.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderElement {
    pub path: Path,
    pub direction: Direction,
}

/// Which values come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Ascending,
    Descending,
    /// Ascending by distance; what is no geometry follows, ascending by value.
    Nearest,
    /// Descending by distance; what is no geometry follows, ascending by value.
    Farthest,
}

impl Direction {
    const ALL: [Direction; 4] =
        [Direction::Ascending, Direction::Descending, Direction::Nearest, Direction::Farthest];

    /// The word that follows the semicolon.
    pub fn word(self) -> &'static str {
        match self {
            Direction::Ascending => "asc",
            Direction::Descending => "desc",
            Direction::Nearest => "dist-asc",
            Direction::Farthest => "dist-desc",
        }
    }

    fn is_by_distance(self) -> bool {
        matches!(self, Direction::Nearest | Direction::Farthest)
    }
}

impl Order {
    /// Reads the parameters `orderBy`, `collation`, `orderFrom` and `orderGeometry`. None if nothing
    /// is to be ordered; what is given must be right all the same.
    pub fn parse(
        params: &OrderParams<'_>,
        context: &Context,
        limits: &Limits,
    ) -> Result<Option<Self>, QueryError> {
        let collation = params.collation.map(Collation::parse).transpose()?;
        let kind = params.order_geometry.unwrap_or("Point");
        if !Geometry::TYPE_NAMES.contains(&kind) {
            let message = format!("use {}", Geometry::TYPE_NAMES.join(", "));
            return Err(QueryError::syntax("orderGeometry", message, Some((0, kind.len()))));
        }
        let from = params.order_from.map(|coordinates| {
            reference(("orderGeometry", kind), ("orderFrom", coordinates), limits).map(Arc::new)
        });
        let from = from.transpose()?;
        let Some(text) = params.order_by else { return Ok(None) };
        let elements = elements(text, context, limits)?;
        if from.is_none() && elements.iter().any(|element| element.direction.is_by_distance()) {
            return Err(QueryError::incompatible(
                "orderFrom",
                "ordering by distance needs the coordinates it is measured from",
            ));
        }
        Ok(Some(Self { elements, collation: collation.unwrap_or_default(), from }))
    }

    /// Compares two entities. Expired attributes are not there. Entities that the order does not
    /// tell apart are equal: sort with a stable algorithm.
    pub fn compare(&self, a: &Entity, b: &Entity, now: Timestamp) -> Ordering {
        let mut elements = self.elements.iter();
        let unequal = elements.find_map(|element| {
            let (a, b) = (self.part(element, a, now), self.part(element, b, now));
            Some(self.compare_parts(element.direction, &a, &b)).filter(|order| order.is_ne())
        });
        unequal.unwrap_or(Ordering::Equal)
    }

    /// What an entity is ordered by: to sort many, take the key of each once.
    pub fn key<'a>(&'a self, entity: &'a Entity, now: Timestamp) -> OrderKey<'a> {
        OrderKey(self.elements.iter().map(|element| self.part(element, entity, now)).collect())
    }

    /// Compares two entities by their keys, as [`Order::compare`] would.
    pub fn compare_keys(&self, a: &OrderKey<'_>, b: &OrderKey<'_>) -> Ordering {
        let mut pairs = self.elements.iter().zip(a.0.iter().zip(&b.0));
        let unequal = pairs.find_map(|(element, (a, b))| {
            Some(self.compare_parts(element.direction, a, b)).filter(|order| order.is_ne())
        });
        unequal.unwrap_or(Ordering::Equal)
    }

    /// Whether it orders by the id alone, as temporal queries do (5.7.4.4).
    pub fn is_by_id(&self) -> bool {
        self.elements.iter().all(|element| {
            let Path { links, names, member, within } = &element.path;
            links.is_empty()
                && names.is_empty()
                && within.is_empty()
                && matches!(member, Some((Member::Id, _)))
                && !element.direction.is_by_distance()
        })
    }

    /// Compares two ids by an order that is one by id.
    pub fn compare_ids(&self, a: &EntityId, b: &EntityId) -> Ordering {
        let direction = self.elements.first().map(|element| element.direction);
        let (a, b) = (Part::Text(a.as_str()), Part::Text(b.as_str()));
        direction.map_or(Ordering::Equal, |direction| self.compare_parts(direction, &a, &b))
    }

    /// The elements, the most important first.
    pub fn elements(&self) -> &[OrderElement] {
        &self.elements
    }

    pub(super) fn elements_mut(&mut self) -> &mut [OrderElement] {
        &mut self.elements
    }

    /// Where distances are measured from.
    pub fn from(&self) -> Option<&Geometry> {
        self.from.as_ref().map(|from| from.geometry())
    }

    /// How far away an entity is, in metres, if it is ordered by that first.
    pub fn distance(&self, entity: &Entity, now: Timestamp) -> Option<f64> {
        match self.part(self.elements.first()?, entity, now) {
            Part::Distance(metres) => Some(metres),
            _ => None,
        }
    }

    /// How texts compare.
    pub fn collation(&self) -> &Collation {
        &self.collation
    }

    fn compare_parts(&self, direction: Direction, a: &Part<'_>, b: &Part<'_>) -> Ordering {
        let order = a.compare(b, &self.collation);
        let reversed = match direction {
            Direction::Ascending | Direction::Nearest => false,
            // What is not there comes last (4.23.2), also when the greatest comes first.
            Direction::Descending => !a.is_nothing() && !b.is_nothing(),
            Direction::Farthest => matches!((a, b), (Part::Distance(_), Part::Distance(_))),
        };
        if reversed { order.reverse() } else { order }
    }
}

/// What an entity is ordered by: a value for each element of the order.
#[derive(Debug, Clone)]
pub struct OrderKey<'a>(Vec<Part<'a>>);

impl fmt::Display for Order {
    /// As in a URL, but for its encoding.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("orderBy=")?;
        for (place, element) in self.elements.iter().enumerate() {
            let comma = if place > 0 { "," } else { "" };
            write!(f, "{comma}{};{}", element.path, element.direction.word())?;
        }
        write!(f, "&collation={}", self.collation)?;
        if let Some(from) = &self.from {
            let geometry = from.geometry();
            let coordinates = coordinates_text(geometry);
            write!(f, "&orderFrom={coordinates}&orderGeometry={}", geometry.type_name())?;
        }
        Ok(())
    }
}

fn elements(
    text: &str,
    context: &Context,
    limits: &Limits,
) -> Result<Vec<OrderElement>, QueryError> {
    let mut cursor = Cursor::new("orderBy", text, limits);
    let mut elements = Vec::new();
    loop {
        cursor.skip_spaces();
        cursor.count()?;
        let start = cursor.at();
        let path;
        (path, cursor) = read_path(cursor, context)?;
        if !path.links.is_empty() {
            let end = cursor.at();
            return Err(cursor.refused("an order follows no Relationships", start, end));
        }
        elements.push(OrderElement { path, direction: direction(&mut cursor)? });
        if !cursor.eat_spaced(",") {
            cursor.must_end("\";\", \",\" or the end")?;
            return Ok(elements);
        }
    }
}

fn direction(cursor: &mut Cursor<'_>) -> Result<Direction, QueryError> {
    if !cursor.eat_spaced(";") {
        return Ok(Direction::Ascending);
    }
    cursor.skip_spaces();
    let start = cursor.at();
    let word = cursor.take_while(|c| c.is_alphanumeric() || c == '-' || c == '_');
    let found = Direction::ALL.into_iter().find(|direction| direction.word() == word);
    found.ok_or_else(|| {
        let message = format!("{word:?} is no direction: use asc, desc, dist-asc or dist-desc");
        cursor.refused(message, start, start + word.len())
    })
}

/// A value that is ordered by. The variants stand in the order of clause 4.23.2.
#[derive(Debug, Clone)]
enum Part<'a> {
    /// Metres; only when ordering by distance.
    Distance(f64),
    Number(Number),
    Text(&'a str),
    /// Members, ordered by their names.
    Object(Vec<(&'a str, Part<'a>)>),
    Array(Vec<Part<'a>>),
    Bool(bool),
    /// Microseconds.
    Time(i64),
    Date(i64),
    DateTime(i64),
    Null,
    Missing,
}

impl<'a> Part<'a> {
    fn rank(&self) -> u8 {
        match self {
            Part::Distance(_) => 0,
            Part::Number(_) => 1,
            Part::Text(_) => 2,
            Part::Object(_) => 3,
            Part::Array(_) => 4,
            Part::Bool(_) => 5,
            Part::Time(_) => 6,
            Part::Date(_) => 7,
            Part::DateTime(_) => 8,
            Part::Null => 9,
            Part::Missing => 10,
        }
    }

    fn is_nothing(&self) -> bool {
        matches!(self, Part::Null | Part::Missing)
    }

    fn compare(&self, other: &Part<'_>, collation: &Collation) -> Ordering {
        match (self, other) {
            (Part::Distance(a), Part::Distance(b)) => a.total_cmp(b),
            (Part::Number(a), Part::Number(b)) => a.compare(*b),
            (Part::Text(a), Part::Text(b)) => collation.compare(a, b),
            (Part::Object(a), Part::Object(b)) => first_unequal(a, b, |(name, a), (other, b)| {
                name.cmp(other).then_with(|| a.compare(b, collation))
            }),
            (Part::Array(a), Part::Array(b)) => first_unequal(a, b, |a, b| a.compare(b, collation)),
            (Part::Bool(a), Part::Bool(b)) => a.cmp(b),
            (Part::Time(a), Part::Time(b))
            | (Part::Date(a), Part::Date(b))
            | (Part::DateTime(a), Part::DateTime(b)) => a.cmp(b),
            (a, b) => a.rank().cmp(&b.rank()),
        }
    }

    fn stamp(at: Timestamp) -> Self {
        Part::DateTime(at.micros())
    }

    /// A text, or the date or time it says (4.6.3).
    fn text(text: &'a str) -> Self {
        match Moment::parse(text) {
            Some(moment @ Moment::DateTime(_)) => Part::DateTime(moment.micros()),
            Some(moment @ Moment::Date(_)) => Part::Date(moment.micros()),
            Some(moment @ Moment::Time(_)) => Part::Time(moment.micros()),
            None => Part::Text(text),
        }
    }

    /// One text, or an array of them.
    fn texts(mut texts: impl ExactSizeIterator<Item = &'a str>) -> Self {
        match (texts.len(), texts.next()) {
            (_, None) => Part::Missing,
            (1, Some(only)) => Part::Text(only),
            (_, Some(first)) => {
                Part::Array(std::iter::once(first).chain(texts).map(Part::Text).collect())
            }
        }
    }

    fn object(members: impl Iterator<Item = (&'a str, Part<'a>)>) -> Self {
        let mut members: Vec<_> = members.collect();
        members.sort_by_key(|(name, _)| *name);
        Part::Object(members)
    }

    fn value(value: &'a Value) -> Self {
        match value {
            Value::Null => Part::Null,
            Value::Bool(value) => Part::Bool(*value),
            Value::Number(number) => Part::Number(*number),
            Value::String(text) => Part::text(text),
            Value::Array(items) => Part::Array(items.iter().map(Part::value).collect()),
            // A typed value says its type beside it.
            Value::Object(members) => match value.member(Name::AT_VALUE) {
                Some(inner) => Part::value(inner),
                None => Part::object(members.iter().map(|(n, v)| (n.as_str(), Part::value(v)))),
            },
        }
    }

    fn json(json: &'a serde_json::Value) -> Self {
        use serde_json::Value as Json;
        match json {
            Json::Null => Part::Null,
            Json::Bool(value) => Part::Bool(*value),
            Json::Number(number) => {
                let integer = number.as_i64().map(Number::Int);
                let integer = integer.or_else(|| number.as_u64().map(Number::UInt));
                let number = integer.or_else(|| number.as_f64().map(Number::Float));
                number.map_or(Part::Null, Part::Number)
            }
            Json::String(text) => Part::text(text),
            Json::Array(items) => Part::Array(items.iter().map(Part::json).collect()),
            Json::Object(members) => {
                Part::object(members.iter().map(|(name, json)| (name.as_str(), Part::json(json))))
            }
        }
    }

    /// A geometry is an object; of its coordinates, which may be many, only the middle counts.
    fn geometry(geometry: &'a Geometry) -> Self {
        let bounds = geometry.bounds();
        let middle = [bounds.west + bounds.east, bounds.south + bounds.north];
        let middle = middle.map(|sum| Part::Number(Number::Float(sum / 2.0)));
        Part::Object(vec![
            ("coordinates", Part::Array(middle.into())),
            ("type", Part::Text(geometry.type_name())),
        ])
    }
}

/// Compares item by item; what goes on when the other ends is greater.
fn first_unequal<T, U>(a: &[T], b: &[U], compare: impl Fn(&T, &U) -> Ordering) -> Ordering {
    let pairs = a.iter().zip(b).map(|(a, b)| compare(a, b));
    pairs.into_iter().find(|order| order.is_ne()).unwrap_or_else(|| a.len().cmp(&b.len()))
}

impl Order {
    fn part<'a>(&self, element: &OrderElement, entity: &'a Entity, now: Timestamp) -> Part<'a> {
        let path = &element.path;
        if let ([], Some((member, _))) = (path.names.as_slice(), &path.member) {
            return if path.within.is_empty() { of_entity(entity, *member) } else { Part::Missing };
        }
        let Some(instance) = find(&entity.attributes, &path.names, now) else {
            return Part::Missing;
        };
        match (&path.member, &instance.datum) {
            (Some(_), _) if !path.within.is_empty() => Part::Missing,
            (Some((member, _)), _) => of_instance(instance, *member),
            (None, Datum::GeoProperty(geometry)) if path.within.is_empty() => {
                let from = self.from.as_ref().filter(|_| element.direction.is_by_distance());
                match from {
                    Some(from) => Part::Distance(from.distance_m(geometry)),
                    None => Part::geometry(geometry),
                }
            }
            (None, datum) => self.of_datum(datum, path),
        }
    }

    fn of_datum<'a>(&self, datum: &'a Datum, path: &Path) -> Part<'a> {
        match datum {
            Datum::Property(value) => within(value, path).map_or(Part::Missing, Part::value),
            Datum::JsonProperty(json) => within_json(json, path).map_or(Part::Missing, Part::json),
            Datum::LanguageProperty(map) => self.of_languages(map, path),
            _ if !path.within.is_empty() => Part::Missing,
            Datum::GeoProperty(geometry) => Part::geometry(geometry),
            Datum::VocabProperty(words) => {
                Part::texts(words.as_slice().iter().map(|word| word.as_str()))
            }
            Datum::ListProperty(items) => Part::Array(items.iter().map(Part::value).collect()),
            Datum::Relationship(_) => Part::texts(datum.targets().iter().map(|id| id.as_str())),
            Datum::ListRelationship(targets) => {
                Part::Array(targets.iter().map(|id| Part::Text(id.as_str())).collect())
            }
            Datum::Bare(_) => Part::Missing,
        }
    }

    /// The texts of the language that is named; if none is, of the language of the collation, of
    /// `@none`, or of the first there is.
    fn of_languages<'a>(&self, map: &'a LanguageMap, path: &Path) -> Part<'a> {
        let texts = match path.within.as_slice() {
            [] => self.usual_language(map),
            [tag] if tag.written() == "*" => self.usual_language(map),
            [tag] => map.get(&unquoted(tag.written())),
            _ => None,
        };
        let texts = texts.map_or(&[][..], OneOrMany::as_slice);
        Part::texts(texts.iter().map(|text| &**text))
    }

    fn usual_language<'a>(&self, map: &'a LanguageMap) -> Option<&'a OneOrMany<Box<str>>> {
        let first = || map.0.first().map(|(_, texts)| texts);
        map.get(self.collation.language()).or_else(|| map.get("@none")).or_else(first)
    }
}

/// The instance that the names lead to: of several living ones the default one, or else the first.
fn find<'a>(attributes: &'a Attributes, names: &[Term], now: Timestamp) -> Option<&'a Instance> {
    let (first, rest) = names.split_first()?;
    let attribute = attributes.get(first.name()?)?;
    let mut alive = attribute.instances().iter().filter(|instance| instance.is_alive(now));
    let default = alive.clone().find(|instance| instance.dataset().is_none());
    let instance = default.or_else(|| alive.next())?;
    if rest.is_empty() { Some(instance) } else { find(instance.attributes(), rest, now) }
}

fn of_entity(entity: &Entity, member: Member) -> Part<'_> {
    match member {
        Member::Id => Part::Text(entity.id.as_str()),
        Member::Type => Part::texts(entity.types.as_slice().iter().map(|name| name.as_str())),
        Member::Scope => Part::texts(entity.scopes.iter().map(|scope| scope.as_str())),
        Member::CreatedAt => Part::stamp(entity.created_at),
        Member::ModifiedAt => Part::stamp(entity.modified_at),
        Member::ExpiresAt => entity.expires_at.map_or(Part::Missing, Part::stamp),
        _ => Part::Missing,
    }
}

fn of_instance(instance: &Instance, member: Member) -> Part<'_> {
    match member {
        Member::CreatedAt => Part::stamp(instance.created_at),
        Member::ModifiedAt => Part::stamp(instance.modified_at),
        Member::ObservedAt => instance.observed_at.map_or(Part::Missing, Part::stamp),
        Member::ExpiresAt => instance.expires_at().map_or(Part::Missing, Part::stamp),
        Member::UnitCode => instance.unit.map_or(Part::Missing, |unit| Part::Text(unit.as_str())),
        Member::DatasetId => {
            instance.dataset().map_or(Part::Missing, |dataset| Part::Text(dataset.as_str()))
        }
        Member::ValueType => {
            instance.value_type().map_or(Part::Missing, |name| Part::Text(name.as_str()))
        }
        Member::ObjectType => Part::texts(instance.object_types().iter().map(|name| name.as_str())),
        _ => Part::Missing,
    }
}

#[cfg(test)]
mod tests;
