//! Reading geometries: GeoJSON objects, or the text of one (4.7.1).

use super::shape::looks_like_geometry;
use super::{ReadError, Reader, wrong};
use crate::geo::{self, Geometry};
use crate::jsonld::{Document, ParseLimits};

impl geo::Json for Document<'_> {
    fn as_array(&self) -> Option<&[Self]> {
        match self {
            Document::Array(items) => Some(items),
            _ => None,
        }
    }

    fn as_number(&self) -> Option<f64> {
        match self {
            Document::Number(number) => Some(number.as_f64()),
            _ => None,
        }
    }
}

impl Reader<'_> {
    /// Reads a geometry; GeometryCollections and broken rings are refused, foreign members dropped.
    pub(super) fn geometry(&self, document: &Document<'_>) -> Result<Geometry, ReadError> {
        match document {
            Document::Object(members) => {
                let mut kind = None;
                let mut coordinates = None;
                for (key, document) in members {
                    match key.as_ref() {
                        "type" | "@type" => kind = document.as_str(),
                        "coordinates" => coordinates = Some(document),
                        // What it says follows from the coordinates (RFC 7946, 5).
                        "bbox" => {}
                        "geometries" => {
                            return Err(ReadError::new("NGSI-LD has no GeometryCollection (4.7)"));
                        }
                        // Foreign members leave a geometry valid, and mean nothing (RFC 7946, 6.1).
                        _ => {}
                    }
                }
                let (Some(kind), Some(coordinates)) = (kind, coordinates) else {
                    return Err(ReadError::new(
                        "a geometry is an object like {\"type\": \"Point\", \"coordinates\": [99.72, 18.29]}",
                    ));
                };
                Geometry::parse(kind, coordinates, &self.geometry)
                    .map_err(|error| ReadError::new(error.to_string()))
            }
            Document::String(text) => self.geometry_text(text),
            other => Err(wrong(other, "a GeoJSON geometry")),
        }
    }

    fn geometry_text(&self, text: &str) -> Result<Geometry, ReadError> {
        let limits = ParseLimits { max_depth: 8, ..ParseLimits::default() };
        match Document::parse(text.as_bytes(), &limits) {
            Ok(document) if looks_like_geometry(&document) => self.geometry(&document),
            _ => Err(ReadError::new("this text is not the JSON of a GeoJSON geometry")),
        }
    }
}
