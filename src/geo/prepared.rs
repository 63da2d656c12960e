//! A geometry made ready to be compared with many others.

use std::sync::OnceLock;

use super::distance::{self, Tracks, haversine_m};
use super::edges::spot;
use super::figure::Figure;
use super::{Geometry, Position, Rect, Relation, relation};

/// A reference geometry with the indexes that comparing it to many subjects needs.
#[derive(Debug, Clone)]
pub struct Prepared {
    geometry: Geometry,
    figure: Figure,
    /// Only distances need them.
    tracks: OnceLock<Tracks>,
}

impl PartialEq for Prepared {
    fn eq(&self, other: &Self) -> bool {
        self.geometry == other.geometry
    }
}

impl Prepared {
    /// Prepares a geometry.
    pub fn new(geometry: Geometry) -> Self {
        Self { figure: Figure::new(&geometry), tracks: OnceLock::new(), geometry }
    }

    /// The geometry itself.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// The smallest rectangle around it.
    pub fn bounds(&self) -> Rect {
        self.figure.bounds
    }

    /// Whether a subject stands in the relation to this reference.
    pub fn is_related(&self, subject: &Geometry, relation: Relation) -> bool {
        match (subject, &self.geometry) {
            (Geometry::Point(point), _) => {
                if self.figure.bounds.has(*point) {
                    relation::spot_relates(spot(*point), relation, &self.figure)
                } else {
                    relation == Relation::Disjoint
                }
            }
            _ if !subject.bounds().intersects(&self.figure.bounds) => {
                relation == Relation::Disjoint
            }
            (_, Geometry::Point(point)) => {
                relation::relates_to_spot(&Figure::new(subject), relation, spot(*point))
            }
            _ => relation::relates(&Figure::new(subject), relation, &self.figure),
        }
    }

    /// Metres between the nearest points of a subject and this reference; 0 if they intersect.
    pub fn distance_m(&self, subject: &Geometry) -> f64 {
        self.distance_between(subject, 0.0, f64::INFINITY)
    }

    /// Whether a subject comes within so many metres of this reference.
    pub fn is_within_m(&self, subject: &Geometry, metres: f64) -> bool {
        // What is not nearer than a little beyond need not be measured.
        self.distance_between(subject, metres, metres * 1.001 + 1.0) <= metres
    }

    fn distance_between(&self, subject: &Geometry, enough: f64, limit: f64) -> f64 {
        let tracks = || self.tracks.get_or_init(|| Tracks::new(&self.figure));
        match (subject, &self.geometry) {
            (Geometry::Point(a), Geometry::Point(b)) => haversine_m(*a, *b),
            (Geometry::Point(point), _) => {
                distance::spot_distance(spot(*point), &self.figure, tracks(), enough, limit)
            }
            _ => {
                let subject = Figure::new(subject);
                distance::distance(&subject, &self.figure, tracks(), enough, limit)
            }
        }
    }
}

impl Geometry {
    /// Whether this geometry stands in the relation to another. To ask it of many geometries,
    /// prepare the other first.
    pub fn is_related(&self, other: &Geometry, relation: Relation) -> bool {
        Prepared::new(other.clone()).is_related(self, relation)
    }

    /// Metres between the nearest points of two geometries; 0 if they intersect.
    pub fn distance_m(&self, other: &Geometry) -> f64 {
        match (self, other) {
            (Geometry::Point(a), Geometry::Point(b)) => haversine_m(*a, *b),
            _ => Prepared::new(other.clone()).distance_m(self),
        }
    }
}

impl Position {
    /// Metres to another position, by the haversine formula.
    pub fn distance_m(self, other: Position) -> f64 {
        haversine_m(self, other)
    }
}
