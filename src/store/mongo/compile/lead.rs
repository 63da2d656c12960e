//! Orders that the database knows in part: it leads, and the evaluator puts in order what it does
//! not tell apart.
//!
//! By value, entities come by the first element of the order as far as keys tell it: by the sort
//! of value and, of numbers and times, by the value itself. Of texts the keys know no collation,
//! and they all come at once. What keys do not tell, as of arrays and of texts that say a time, is
//! *wild*: it comes first, whatever the direction, and may belong anywhere.
//!
//! By distance, entities come by how far away, at least, they are.

use mongodb::bson::{Bson, Document, doc};

use super::super::keys::SEVERAL;
use crate::geo::{EARTH_RADIUS_M, Geometry};
use crate::model::Timestamp;
use crate::query::{Direction, Member, Order, OrderElement};
use crate::store::record::short::shorten;

/// The members that a leading stage adds to documents: the sort of value, and the value.
pub(in crate::store::mongo) const RANK: &str = "lr";
pub(in crate::store::mongo) const VALUE: &str = "lv";

/// Instances on their way through a pipeline.
const INSTANCES: &str = "li";

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
    direction: i32,
}

/// By the distance from a point.
#[derive(Debug, Clone, PartialEq)]
pub struct ByDistance {
    near: Document,
    /// The attribute as it is called in documents.
    pub attribute: String,
}

/// Ranks as in [`Order::compare`], and what stands for wild ones, which come first.
const NUMBER: i32 = 1;
const TEXT: i32 = 2;
const BOOL: i32 = 5;
const STAMP: i32 = 8;
const WILD: i32 = 99;

impl Lead {
    /// How the database leads in an order; None if it cannot.
    pub fn new(order: &Order, now: Timestamp) -> Option<Self> {
        let element = order.elements().first()?;
        let path = &element.path;
        if !path.links.is_empty() || !path.within.is_empty() {
            return None;
        }
        let member = path.member.as_ref().map(|(member, _)| *member);
        let direction = match element.direction {
            Direction::Ascending => 1,
            Direction::Descending => -1,
            Direction::Nearest => return by_distance(order, element).map(Self::Distance),
            Direction::Farthest => return None,
        };
        let ranks = Ranks { direction };
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
        Some(Self::Value(ByValue { stages, direction }))
    }
}

impl ByValue {
    /// So many candidates, in the order that the database knows.
    pub fn pipeline(&self, candidates: Document, most: i64) -> Vec<Document> {
        let mut pipeline = vec![doc! { "$match": candidates }];
        pipeline.extend(self.stages.iter().cloned());
        pipeline.push(doc! { "$sort": { RANK: self.direction, VALUE: self.direction, "s": 1 } });
        pipeline.push(doc! { "$limit": most });
        pipeline
    }

    /// Whether a rank is that of wild ones.
    pub fn is_wild(&self, rank: i32) -> bool {
        rank == WILD * -self.direction
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

fn by_distance(order: &Order, element: &OrderElement) -> Option<ByDistance> {
    let ([name], None) = (element.path.names.as_slice(), &element.path.member) else {
        return None;
    };
    let Geometry::Point(position) = order.from()? else { return None };
    if position.lon.abs() > 180.0 || position.lat.abs() > 90.0 {
        return None;
    }
    let near = doc! { "type": "Point", "coordinates": [position.lon, position.lat] };
    Some(ByDistance { near, attribute: shorten(name.iri()).into_owned() })
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
}

impl Ranks {
    /// What is not there comes last in both directions.
    fn missing(&self) -> i32 {
        if self.direction > 0 { 10 } else { -1 }
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
        let branch = |case: Document, rank: i32| doc! { "case": case, "then": rank };
        let wild = WILD * -self.direction;
        let rank = doc! { "$switch": {
            "branches": [
                branch(is_missing, self.missing()),
                branch(is_several, wild),
                branch(doc! { "$isNumber": first.clone() }, NUMBER),
                branch(of("string"), TEXT),
                branch(of("bool"), BOOL),
            ],
            "default": wild,
        } };
        let tells = doc! { "$or": [{ "$isNumber": first.clone() }, of("bool")] };
        doc! { "$set": { RANK: rank, VALUE: { "$cond": [tells, first, Bson::Null] } } }
    }
}
