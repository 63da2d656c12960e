//! Reading coordinates, checked: what a [`Geometry`] holds may be drawn and compared.

use super::{Geometry, Position};

/// A JSON tree, as far as coordinates need it. Other rooms implement it for their own trees.
pub trait Json: Sized {
    /// The items, if this is an array.
    fn as_array(&self) -> Option<&[Self]>;
    /// The number, if this is one.
    fn as_number(&self) -> Option<f64>;
}

impl Json for serde_json::Value {
    fn as_array(&self) -> Option<&[Self]> {
        match self {
            serde_json::Value::Array(items) => Some(items),
            _ => None,
        }
    }

    fn as_number(&self) -> Option<f64> {
        self.as_f64()
    }
}

/// How large a geometry may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Positions in one geometry.
    pub max_vertices: usize,
    /// Bytes of coordinates written as text.
    pub max_text: usize,
}

impl Default for Limits {
    /// 10 000 positions draw a province in detail; a mebibyte holds as many with every digit.
    fn default() -> Self {
        Self { max_vertices: 10_000, max_text: 1 << 20 }
    }
}

/// Why something is no geometry. The messages say where.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum GeoError {
    #[error(
        "{0:?} is not a geometry type: use Point, MultiPoint, LineString, MultiLineString, Polygon or MultiPolygon"
    )]
    UnknownType(String),
    #[error("the coordinates are not JSON: {0}")]
    NotJson(String),
    #[error("{place} is not {expected}")]
    Unexpected { place: Place, expected: &'static str },
    #[error("the longitude {number} at {place} is not between -180 and 180")]
    Longitude { place: Place, number: f64 },
    #[error(
        "the latitude {number} at {place} is not between -90 and 90 (GeoJSON writes the longitude first)"
    )]
    Latitude { place: Place, number: f64 },
    #[error("{place} has {number} positions, and {what} needs at least {least}")]
    TooShort { place: Place, number: usize, what: &'static str, least: usize },
    #[error("the ring at {place} is not closed: its first and last positions differ")]
    NotClosed { place: Place },
    #[error("the geometry has more than {limit} positions")]
    TooManyVertices { limit: usize },
    #[error("the coordinates take more than {limit} bytes")]
    TooLong { limit: usize },
}

impl GeoError {
    /// Whether the geometry is too large rather than wrong.
    pub fn is_too_large(&self) -> bool {
        matches!(self, GeoError::TooManyVertices { .. } | GeoError::TooLong { .. })
    }
}

/// A place in the coordinates, written like `coordinates[0][3]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place(Vec<usize>);

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("coordinates")?;
        self.0.iter().try_for_each(|index| write!(f, "[{index}]"))
    }
}

impl Geometry {
    /// Reads a geometry from its GeoJSON type and coordinates.
    ///
    /// Positions have two or three finite numbers within the ranges of longitude and latitude;
    /// lines have two positions or more; rings are closed and have four or more; nothing is
    /// empty. Rings may cross themselves and turn either way.
    pub fn parse<J: Json>(kind: &str, coordinates: &J, limits: &Limits) -> Result<Self, GeoError> {
        let mut reader = Reader { place: Vec::new(), left: limits.max_vertices, limits };
        Ok(match kind {
            "Point" => Geometry::Point(reader.position(coordinates)?),
            "MultiPoint" => Geometry::MultiPoint(reader.list(
                coordinates,
                "an array of positions",
                Reader::position,
            )?),
            "LineString" => Geometry::LineString(reader.line(coordinates)?),
            "MultiLineString" => Geometry::MultiLineString(reader.list(
                coordinates,
                "an array of lines",
                Reader::line,
            )?),
            "Polygon" => Geometry::Polygon(reader.polygon(coordinates)?),
            "MultiPolygon" => Geometry::MultiPolygon(reader.list(
                coordinates,
                "an array of polygons",
                Reader::polygon,
            )?),
            _ => return Err(GeoError::UnknownType(kind.chars().take(64).collect())),
        })
    }

    /// Reads a geometry from its type and the text of its coordinates, as URLs carry them.
    pub fn parse_text(kind: &str, coordinates: &str, limits: &Limits) -> Result<Self, GeoError> {
        if coordinates.len() > limits.max_text {
            return Err(GeoError::TooLong { limit: limits.max_text });
        }
        let value: serde_json::Value = serde_json::from_str(coordinates)
            .map_err(|error| GeoError::NotJson(error.to_string()))?;
        Self::parse(kind, &value, limits)
    }
}

struct Reader<'a> {
    /// Indices from the outermost array to where we are.
    place: Vec<usize>,
    /// How many more positions may come.
    left: usize,
    limits: &'a Limits,
}

impl Reader<'_> {
    fn here(&self) -> Place {
        Place(self.place.clone())
    }

    fn unexpected(&self, expected: &'static str) -> GeoError {
        GeoError::Unexpected { place: self.here(), expected }
    }

    fn list<J: Json, T>(
        &mut self,
        json: &J,
        expected: &'static str,
        mut item: impl FnMut(&mut Self, &J) -> Result<T, GeoError>,
    ) -> Result<Vec<T>, GeoError> {
        let items = json.as_array().filter(|items| !items.is_empty());
        let items = items.ok_or_else(|| self.unexpected(expected))?;
        let mut read = Vec::with_capacity(items.len().min(self.left));
        for (index, json) in items.iter().enumerate() {
            self.place.push(index);
            read.push(item(self, json)?);
            self.place.pop();
        }
        Ok(read)
    }

    fn position<J: Json>(&mut self, json: &J) -> Result<Position, GeoError> {
        const EXPECTED: &str = "a position, two or three numbers";
        let numbers = json.as_array().ok_or_else(|| self.unexpected(EXPECTED))?;
        let (lon, lat, alt) = match numbers {
            [lon, lat] => (lon.as_number(), lat.as_number(), None),
            [lon, lat, alt] => {
                let alt = alt.as_number().filter(|alt| alt.is_finite());
                (
                    lon.as_number(),
                    lat.as_number(),
                    Some(alt.ok_or_else(|| self.unexpected(EXPECTED))?),
                )
            }
            _ => return Err(self.unexpected(EXPECTED)),
        };
        let (Some(lon), Some(lat)) = (lon, lat) else {
            return Err(self.unexpected(EXPECTED));
        };
        if !(-180.0..=180.0).contains(&lon) {
            return Err(GeoError::Longitude { place: self.here(), number: lon });
        }
        if !(-90.0..=90.0).contains(&lat) {
            return Err(GeoError::Latitude { place: self.here(), number: lat });
        }
        let limit = self.limits.max_vertices;
        self.left = self.left.checked_sub(1).ok_or(GeoError::TooManyVertices { limit })?;
        Ok(Position { lon, lat, alt })
    }

    fn line<J: Json>(&mut self, json: &J) -> Result<Vec<Position>, GeoError> {
        let line = self.list(json, "an array of positions", Self::position)?;
        self.at_least(line.len(), "a line", 2)?;
        Ok(line)
    }

    fn ring<J: Json>(&mut self, json: &J) -> Result<Vec<Position>, GeoError> {
        let ring = self.list(json, "a ring, an array of positions", Self::position)?;
        self.at_least(ring.len(), "a ring", 4)?;
        if !ring[0].same_place(ring[ring.len() - 1]) {
            return Err(GeoError::NotClosed { place: self.here() });
        }
        Ok(ring)
    }

    fn polygon<J: Json>(&mut self, json: &J) -> Result<Vec<Vec<Position>>, GeoError> {
        self.list(json, "a polygon, an array of rings", Self::ring)
    }

    fn at_least(&self, number: usize, what: &'static str, least: usize) -> Result<(), GeoError> {
        if number < least {
            return Err(GeoError::TooShort { place: self.here(), number, what, least });
        }
        Ok(())
    }
}
