//! Geometry: GeoJSON shapes, their predicates and distances. Knows only numbers.

/// A position in degrees: longitude, latitude, and perhaps an altitude in metres (RFC 7946).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Position {
    pub lon: f64,
    pub lat: f64,
    pub alt: Option<f64>,
}

/// A GeoJSON geometry (RFC 7946); NGSI-LD has no GeometryCollection (4.7).
#[derive(Debug, Clone, PartialEq)]
pub enum Geometry {
    Point(Position),
    MultiPoint(Vec<Position>),
    LineString(Vec<Position>),
    MultiLineString(Vec<Vec<Position>>),
    /// Rings, the outer one first, each closed.
    Polygon(Vec<Vec<Position>>),
    MultiPolygon(Vec<Vec<Vec<Position>>>),
}
