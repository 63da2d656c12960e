//! Geometry: GeoJSON shapes, their predicates and distances (4.7, 4.10). Knows only numbers.
//!
//! Predicates are those of OGC simple features on the plane of longitude and latitude, where a
//! line between two positions is straight (RFC 7946, 3.1.1); distances are metres on a sphere.

mod decimal;
mod distance;
mod edges;
mod figure;
mod prepared;
mod read;
mod rect;
mod relation;
mod write;

pub use decimal::write_double;
pub use prepared::Prepared;
pub use read::{GeoError, Json, Limits};
pub use rect::{EARTH_RADIUS_M, Rect};
pub use relation::Relation;

/// A position in degrees: longitude, latitude, and perhaps an altitude in metres (RFC 7946).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Position {
    pub lon: f64,
    pub lat: f64,
    pub alt: Option<f64>,
}

impl Position {
    /// A position on the ground.
    pub const fn new(lon: f64, lat: f64) -> Self {
        Self { lon, lat, alt: None }
    }

    /// Whether two positions are the same place, whatever their altitudes.
    fn same_place(self, other: Position) -> bool {
        self.lon == other.lon && self.lat == other.lat
    }
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

impl Geometry {
    /// The names of the types, as GeoJSON writes them.
    pub const TYPE_NAMES: [&'static str; 6] =
        ["Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon"];

    /// The GeoJSON name of the type.
    pub fn type_name(&self) -> &'static str {
        match self {
            Geometry::Point(_) => "Point",
            Geometry::MultiPoint(_) => "MultiPoint",
            Geometry::LineString(_) => "LineString",
            Geometry::MultiLineString(_) => "MultiLineString",
            Geometry::Polygon(_) => "Polygon",
            Geometry::MultiPolygon(_) => "MultiPolygon",
        }
    }

    /// The smallest rectangle around all positions.
    pub fn bounds(&self) -> Rect {
        self.paths().fold(Rect::EMPTY, |bounds, path| bounds.join(Rect::around(path)))
    }

    /// How many positions the geometry has.
    pub fn vertices(&self) -> usize {
        self.paths().map(<[Position]>::len).sum()
    }

    /// Every run of positions: points by themselves, lines, rings.
    fn paths(&self) -> impl Iterator<Item = &[Position]> {
        let (paths, parts): (&[Vec<Position>], &[Vec<Vec<Position>>]) = match self {
            Geometry::Point(_) | Geometry::MultiPoint(_) | Geometry::LineString(_) => (&[], &[]),
            Geometry::MultiLineString(paths) | Geometry::Polygon(paths) => (paths, &[]),
            Geometry::MultiPolygon(parts) => (&[], parts),
        };
        let single: &[Position] = match self {
            Geometry::Point(position) => std::slice::from_ref(position),
            Geometry::MultiPoint(positions) | Geometry::LineString(positions) => positions,
            _ => &[],
        };
        std::iter::once(single)
            .chain(paths.iter().map(Vec::as_slice))
            .chain(parts.iter().flatten().map(Vec::as_slice))
            .filter(|path| !path.is_empty())
    }
}

#[cfg(test)]
mod tests;
