//! Orders that the database knows in part: it leads, and the evaluator puts in order what it does
//! not tell apart.
//!
//! By value, entities come by the first element of the order as far as keys tell it: by the sort
//! of value and, of numbers and times, by the value itself, of texts by the beginning of their keys
//! in the root collation. Of texts in other collations, which the keys do not know, all come at
//! once. What keys do not tell, as of arrays and of texts that say a time, is *wild*: it comes
//! first, whatever the direction, and may belong anywhere.
//!
//! By distance, entities come by how far away, at least, they are, as an index of places finds
//! them; or, where it cannot (the farthest first, or beside a geoquery), by the distance that is
//! computed of points. What is no point is wild then.

use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Bson, Document, doc};

use super::super::keys::{SEVERAL, SORT_KEY};
use crate::geo::{EARTH_RADIUS_M, Geometry, Position};
use crate::model::{Number, Timestamp};
use crate::query::{Direction, Edge, Member, Order, OrderElement, Place, ROOT_KEY, root_key};
use crate::store::record::short::shorten;

/// The members that a leading stage adds to documents: the sort of value, and the value.
pub(in crate::store::mongo) const RANK: &str = "lr";
pub(in crate::store::mongo) const VALUE: &str = "lv";

/// Instances, and their places, on their way through a pipeline.
const INSTANCES: &str = "li";
const PLACE: &str = "lg";

/// By how much distances may differ, in metres, that are measured here and there.
pub(in crate::store::mongo) const ROUNDING_M: f64 = 1.0;

/// What the database takes the earth's radius for, in metres.
const THEIR_RADIUS: f64 = 6_378_100.0;

/// How the database leads.
#[derive(Debug, Clone, PartialEq)]
pub enum Lead {
    Value(ByValue),
    Distance(ByDistance),
}

/// By the first element of an order, as keys tell it.
#[derive(Debug, Clone, PartialEq)]
pub struct ByValue {
    stages: Vec<Document>,
    /// Which ranks come first, and which values.
    directions: (i32, i32),
    /// Values are distances in metres.
    pub is_distance: bool,
    /// Values of texts are keys of the root collation.
    knows_texts: bool,
}

/// By the distance from a point.
#[derive(Debug, Clone, PartialEq)]
pub struct ByDistance {
    near: Document,
    /// The attribute as it is called in documents.
    pub attribute: String,
    /// The same for a page that begins somewhere, which an index of places cannot.
    pub computed: ByValue,
}

/// Ranks as in [`Order::compare`], and what stands for wild ones, which come first.
const DISTANCE: i32 = 0;
const NUMBER: i32 = 1;
const TEXT: i32 = 2;
const BOOL: i32 = 5;
const STAMP: i32 = 8;
const MISSING: i32 = 10;
const WILD: i32 = 99;

impl Lead {
    /// How the database leads in an order; None if it cannot. Beside a geoquery the index of
    /// places is taken already.
    pub fn new(order: &Order, has_geo: bool, now: Timestamp) -> Option<Self> {
        let element = order.elements().first()?;
        let path = &element.path;
        if !path.links.is_empty() || !path.within.is_empty() {
            return None;
        }
        let member = path.member.as_ref().map(|(member, _)| *member);
        let direction = match element.direction {
            Direction::Ascending => 1,
            Direction::Descending => -1,
            Direction::Nearest if !has_geo => {
                return by_distance(order, element, now).map(Self::Distance);
            }
            Direction::Nearest | Direction::Farthest => {
                return by_computed_distance(order, element, now).map(Self::Value);
            }
        };
        let knows_texts = order.collation().is_root();
        let ranks = Ranks { direction, knows_texts };
        let stages = match (path.names.as_slice(), member) {
            ([], Some(Member::CreatedAt)) => vec![ranks.stamp("$c")],
            ([], Some(Member::ModifiedAt)) => vec![ranks.stamp("$m")],
            ([], Some(Member::ExpiresAt)) => vec![ranks.stamp("$e")],
            ([name], None) => {
                let name = shorten(name.iri());
                vec![instance(&name, now), ranks.keys(&name)]
            }
            ([name], Some(Member::ObservedAt)) => {
                vec![instance(&shorten(name.iri()), now), ranks.stamp("$li.o")]
            }
            _ => return None,
        };
        let directions = (direction, direction);
        Some(Self::Value(ByValue { stages, directions, is_distance: false, knows_texts }))
    }

    /// What the database is asked for so many candidates.
    pub fn pipeline(&self, tenant: &str, candidates: Document, most: i64) -> Vec<Document> {
        match self {
            Self::Value(lead) => lead.pipeline(candidates, None, most),
            Self::Distance(lead) => lead.pipeline(tenant, candidates, most),
        }
    }
}

impl ByValue {
    /// So many candidates, in the order that the database knows, from a place on if there is one.
    pub fn pipeline(
        &self,
        candidates: Document,
        place: Option<&Place>,
        most: i64,
    ) -> Vec<Document> {
        let mut pipeline = vec![doc! { "$match": candidates }];
        pipeline.extend(self.stages.iter().cloned());
        if let Some(place) = place {
            pipeline.push(doc! { "$match": self.from(place.edge()) });
        }
        let (rank, value) = self.directions;
        pipeline.push(doc! { "$sort": { RANK: rank, VALUE: value, "s": 1 } });
        pipeline.push(doc! { "$limit": most });
        pipeline
    }

    /// What does not certainly come before a place. The place itself is let through, since the
    /// database does not tell all apart.
    fn from(&self, edge: Edge<'_>) -> Document {
        let (rank_direction, value_direction) = self.directions;
        let (rank, value): (i32, Option<Bson>) = match edge {
            Edge::Distance(metres) => {
                let margin = f64::from(-value_direction) * 2.0 * ROUNDING_M;
                (DISTANCE, Some((metres + margin).into()))
            }
            Edge::Number(Number::Int(number)) => (NUMBER, Some(number.into())),
            // Larger than any that the keys hold as an integer.
            Edge::Number(number) => (NUMBER, Some(number.as_f64().into())),
            Edge::Text(text) if self.knows_texts => (TEXT, root_key(text).map(binary)),
            Edge::Text(_) => (TEXT, None),
            Edge::Bool(truth) => (BOOL, Some(truth.into())),
            Edge::DateTime(micros) => (STAMP, Some(micros.into())),
            Edge::Other(rank) => (rank.into(), None),
            // What is not there comes last, whatever the direction.
            Edge::Nothing if rank_direction > 0 => (MISSING - 1, None),
            Edge::Nothing => (0, None),
        };
        let beyond = |direction: i32| if direction > 0 { "$gt" } else { "$lt" };
        let mut all = vec![
            doc! { RANK: -rank_direction * WILD },
            doc! { RANK: { beyond(rank_direction): rank } },
        ];
        all.push(match value {
            Some(value) => {
                let from = if value_direction > 0 { "$gte" } else { "$lte" };
                doc! { RANK: rank, VALUE: { from: value } }
            }
            None => doc! { RANK: rank },
        });
        doc! { "$or": all }
    }

    /// Whether a rank is that of wild ones.
    pub fn is_wild(&self, rank: i32) -> bool {
        rank == WILD * -self.directions.0
    }
}

impl ByDistance {
    /// So many candidates, the nearest first. Those of which the keys do not tell where they are
    /// are not among them.
    pub fn pipeline(&self, tenant: &str, candidates: Document, most: i64) -> Vec<Document> {
        let query = doc! {
            "_id.t": tenant,
            "odd": { "$ne": &self.attribute },
            "$and": [candidates],
        };
        let near = doc! {
            "near": self.near.clone(),
            "key": "g.p",
            "distanceField": VALUE,
            "spherical": true,
            "query": query,
        };
        vec![doc! { "$geoNear": near }, doc! { "$limit": most }]
    }

    /// The candidates that are left out there, and may be anywhere.
    pub fn elsewhere(&self, candidates: Document) -> Document {
        doc! { "$and": [candidates, { "odd": &self.attribute }] }
    }

    /// How far away, in metres, an entity is at least that the database sees so far away: it knows
    /// areas that cover a geometry, another earth, and rounds a little.
    pub fn at_least(distance: f64) -> f64 {
        distance * (EARTH_RADIUS_M / THEIR_RADIUS) * (1.0 - 1e-6) - 1.0
    }
}

/// The attribute, as documents call it, and the point that distances are between.
fn ends(order: &Order, element: &OrderElement) -> Option<(String, Position)> {
    let ([name], None) = (element.path.names.as_slice(), &element.path.member) else {
        return None;
    };
    let Geometry::Point(position) = order.from()? else { return None };
    if position.lon.abs() > 180.0 || position.lat.abs() > 90.0 {
        return None;
    }
    Some((shorten(name.iri()).into_owned(), *position))
}

fn by_distance(order: &Order, element: &OrderElement, now: Timestamp) -> Option<ByDistance> {
    let (attribute, from) = ends(order, element)?;
    let near = doc! { "type": "Point", "coordinates": [from.lon, from.lat] };
    let computed = by_computed_distance(order, element, now)?;
    Some(ByDistance { near, attribute, computed })
}

fn by_computed_distance(order: &Order, element: &OrderElement, now: Timestamp) -> Option<ByValue> {
    let (attribute, from) = ends(order, element)?;
    let far_first = element.direction == Direction::Farthest;
    let stages = vec![instance(&attribute, now), place(&attribute), distance(&attribute, from)];
    let directions = (1, if far_first { -1 } else { 1 });
    Some(ByValue { stages, directions, is_distance: true, knows_texts: false })
}

/// Finds the place of an attribute that has one. Of several its instance is wild in any case.
fn place(name: &str) -> Document {
    let own = doc! { "$filter": {
        "input": { "$ifNull": ["$g", []] },
        "as": "one",
        "cond": { "$eq": ["$$one.a", { "$literal": name }] },
    } };
    doc! { "$set": { PLACE: { "$first": own } } }
}

/// How far a point is away, in metres, as we measure it.
fn distance(name: &str, from: Position) -> Document {
    let (lon, lat) = (from.lon.to_radians(), from.lat.to_radians());
    let radians = |place: i32| -> Document {
        doc! { "$degreesToRadians": { "$arrayElemAt": ["$lg.p.coordinates", place] } }
    };
    let [east, north] = ["$$east", "$$north"];
    let cosine = doc! { "$add": [
        { "$multiply": [{ "$sin": north }, lat.sin()] },
        { "$multiply": [
            { "$cos": north },
            lat.cos(),
            { "$cos": { "$subtract": [east, lon] } },
        ] },
    ] };
    let metres = doc! { "$let": {
        "vars": { "east": radians(0), "north": radians(1) },
        "in": { "$multiply": [
            EARTH_RADIUS_M,
            // Rounding may lead a little beyond what a cosine can be.
            { "$acos": { "$max": [-1.0, { "$min": [1.0, cosine] }] } },
        ] },
    } };
    let is_point = doc! { "$and": [
        { "$eq": ["$lg.p.type", "Point"] },
        { "$not": { "$in": [
            { "$literal": format!("{name}{SEVERAL}") },
            { "$ifNull": ["$odd", []] },
        ] } },
    ] };
    let is_missing = doc! { "$in": [{ "$type": "$li" }, ["missing", "null"]] };
    doc! { "$set": {
        RANK: { "$switch": {
            "branches": [
                { "case": is_missing, "then": MISSING },
                { "case": is_point.clone(), "then": DISTANCE },
            ],
            "default": -WILD,
        } },
        VALUE: { "$cond": [is_point, metres, Bson::Null] },
    } }
}

fn binary(bytes: [u8; ROOT_KEY]) -> Bson {
    Bson::Binary(Binary { subtype: BinarySubtype::Generic, bytes: bytes.to_vec() })
}

/// Finds the instance of an attribute that counts: of the living ones the default one, or else the
/// first.
fn instance(name: &str, now: Timestamp) -> Document {
    let is_alive = doc! { "$or": [
        { "$eq": [{ "$type": "$$one.e" }, "missing"] },
        { "$gt": ["$$one.e", now.micros()] },
    ] };
    let living = doc! { "$filter": {
        "input": "$k",
        "as": "one",
        "cond": { "$and": [{ "$eq": ["$$one.a", { "$literal": name }] }, is_alive] },
    } };
    let default = doc! { "$filter": {
        "input": "$$living",
        "as": "one",
        "cond": { "$eq": [{ "$type": "$$one.d" }, "missing"] },
    } };
    let chosen = doc! { "$ifNull": [{ "$first": default }, { "$first": "$$living" }] };
    doc! { "$set": { INSTANCES: { "$let": { "vars": { "living": living }, "in": chosen } } } }
}

/// Ranks for one direction.
struct Ranks {
    direction: i32,
    /// Whether the keys of texts are those of the collation.
    knows_texts: bool,
}

impl Ranks {
    /// What is not there comes last in both directions.
    fn missing(&self) -> i32 {
        if self.direction > 0 { MISSING } else { -1 }
    }

    /// By a time, which may be missing.
    fn stamp(&self, field: &str) -> Document {
        let is_there = doc! { "$isNumber": field };
        doc! { "$set": {
            RANK: { "$cond": [is_there, STAMP, self.missing()] },
            VALUE: { "$ifNull": [field, Bson::Null] },
        } }
    }

    /// By the one key of an instance. An array may have but one as well, and links may be a list
    /// of one.
    fn keys(&self, name: &str) -> Document {
        let first = doc! { "$first": { "$ifNull": ["$li.v", []] } };
        let is_missing = doc! { "$in": [{ "$type": "$li" }, ["missing", "null"]] };
        let odd = doc! { "$ifNull": ["$odd", []] };
        let is_several = doc! { "$or": [
            { "$ne": [{ "$type": "$li.q" }, "missing"] },
            { "$ne": [{ "$type": "$li.r" }, "missing"] },
            { "$in": [{ "$literal": format!("{name}{SEVERAL}") }, odd] },
        ] };
        let of = |kind: &str| doc! { "$eq": [{ "$type": first.clone() }, kind] };
        let sort_key = format!("$li.{}", SORT_KEY.as_str());
        // What was written before there were such keys has none.
        let has_sort_key = doc! { "$eq": [{ "$type": &sort_key }, "binData"] };
        let is_text = match self.knows_texts {
            true => doc! { "$and": [of("string"), has_sort_key.clone()] },
            false => of("string"),
        };
        let branch = |case: Document, rank: i32| doc! { "case": case, "then": rank };
        let wild = WILD * -self.direction;
        let rank = doc! { "$switch": {
            "branches": [
                branch(is_missing, self.missing()),
                branch(is_several, wild),
                branch(doc! { "$isNumber": first.clone() }, NUMBER),
                branch(is_text, TEXT),
                branch(of("bool"), BOOL),
            ],
            "default": wild,
        } };
        let tells = doc! { "$or": [{ "$isNumber": first.clone() }, of("bool")] };
        let text = if self.knows_texts { Bson::from(sort_key) } else { Bson::Null };
        let text = doc! { "$cond": [has_sort_key, text, Bson::Null] };
        doc! { "$set": { RANK: rank, VALUE: { "$cond": [tells, first, text] } } }
    }
}
