//! Geoqueries as conditions on documents.

use mongodb::bson::{Document, doc};

use super::super::place::{area, polygon};
use super::Compiler;
use super::part::Part;
use crate::geo::Rect;
use crate::query::GeoFilter;
use crate::store::record::short::shorten;

/// Rectangles wider or higher than this, in degrees, are asked for in pieces.
const WIDEST: f64 = 50.0;

/// Beyond this latitude, in degrees, the sphere index is not asked.
const POLAR: f64 = 88.0;

impl Compiler {
    /// What a geoquery says: the GeoProperty reaches into the rectangles around what is asked.
    pub(super) fn geo(&mut self, filter: &GeoFilter) -> Part {
        let property = shorten(filter.property().iri()).into_owned();
        let exists = self.element("k", property.as_str().into(), Document::new());
        let Some(regions) = filter.reach().and_then(|rects| regions(&rects)) else {
            return Part::exact(exists).loosely();
        };
        self.odd.insert(property.clone());
        let within = |region: Document| {
            let condition = doc! { "p": { "$geoIntersects": { "$geometry": region } } };
            Part::exact(self.element("g", property.as_str().into(), condition))
        };
        Part::any(regions.into_iter().map(within).collect()).loosely()
    }
}

/// Valid areas that cover rectangles of the map; None if there are none.
fn regions(rects: &[Rect]) -> Option<Vec<Document>> {
    let mut regions = Vec::new();
    for rect in rects {
        if rect.south < -POLAR || rect.north > POLAR {
            return None;
        }
        let pieces = |length: f64| (length / WIDEST).ceil().max(1.0);
        let (columns, rows) = (pieces(rect.east - rect.west), pieces(rect.north - rect.south));
        let (width, height) = ((rect.east - rect.west) / columns, (rect.north - rect.south) / rows);
        for column in 0..columns as u32 {
            for row in 0..rows as u32 {
                let west = rect.west + width * f64::from(column);
                let south = rect.south + height * f64::from(row);
                let piece = Rect { west, south, east: west + width, north: south + height };
                regions.push(Document::try_from(&*polygon(&area(&piece)?)).ok()?);
            }
        }
    }
    Some(regions)
}
