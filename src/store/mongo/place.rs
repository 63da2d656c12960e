//! Geometries as MongoDB's sphere index takes them.
//!
//! The index joins corners by great circles and refuses what crosses itself; we mean straight
//! lines on the map and store whatever comes. So a Point is indexed as it is, and everything else
//! by an area that surely covers it. The evaluator looks at the geometry itself.

use mongodb::bson::RawDocumentBuf;
use mongodb::bson::raw::{RawArrayBuf, cstr};

use crate::geo::{Geometry, Rect};

/// How far areas reach beyond what they cover, in degrees: some decimetres, so that rounding never
/// loses a place, and no area is without extent.
const MARGIN: f64 = 2e-6;

/// Areas wider or higher than this, in degrees, are not given to the index.
const MAX_EXTENT: f64 = 60.0;

/// Areas beyond this latitude are not given to the index.
const MAX_LATITUDE: f64 = 89.0;

/// GeoJSON that covers a geometry; None if the index could take none, so that the geometry must be
/// a candidate always.
pub(super) fn covering(geometry: &Geometry) -> Option<RawDocumentBuf> {
    if let Geometry::Point(position) = geometry {
        let there = position.lon.abs() <= 180.0 && position.lat.abs() <= 90.0;
        return there.then(|| geojson("Point", point(position.lon, position.lat)));
    }
    Some(polygon(&area(&geometry.bounds())?))
}

/// The corners, in degrees, of an area that covers a rectangle of the map though its sides are
/// great circles. None if it would be too large or too near to a pole.
pub(super) fn area(rect: &Rect) -> Option<Rect> {
    let wide = Rect {
        west: rect.west - MARGIN,
        south: rect.south - MARGIN,
        east: rect.east + MARGIN,
        north: rect.north + MARGIN,
    };
    let (width, height) = (wide.east - wide.west, wide.north - wide.south);
    let fits = wide.south >= -MAX_LATITUDE
        && wide.north <= MAX_LATITUDE
        && width <= MAX_EXTENT
        && height <= MAX_EXTENT;
    if !fits {
        return None;
    }
    // A great circle between two places of one latitude bends towards the pole. Where that would
    // leave a part of the rectangle out, its ends lie so much nearer to the equator that its
    // middle touches the rectangle.
    let bend = (width / 2.0).to_radians().cos();
    let nearer = |latitude: f64| (latitude.to_radians().tan() * bend).atan().to_degrees();
    Some(Rect {
        south: if wide.south > 0.0 { nearer(wide.south) - MARGIN } else { wide.south },
        north: if wide.north < 0.0 { nearer(wide.north) + MARGIN } else { wide.north },
        ..wide
    })
}

/// The GeoJSON Polygon of an area.
pub(super) fn polygon(area: &Rect) -> RawDocumentBuf {
    let Rect { west, south, east, north } = *area;
    let mut ring = RawArrayBuf::new();
    for (lon, lat) in [(west, south), (east, south), (east, north), (west, north), (west, south)] {
        ring.push(point(lon, lat));
    }
    let mut rings = RawArrayBuf::new();
    rings.push(ring);
    geojson("Polygon", rings)
}

/// A little beyond the antimeridian lies what the map has at its other end.
fn point(lon: f64, lat: f64) -> RawArrayBuf {
    let mut point = RawArrayBuf::new();
    point.push(match lon {
        lon if lon > 180.0 => lon - 360.0,
        lon if lon < -180.0 => lon + 360.0,
        lon => lon,
    });
    point.push(lat);
    point
}

fn geojson(kind: &str, coordinates: RawArrayBuf) -> RawDocumentBuf {
    let mut json = RawDocumentBuf::new();
    json.append(cstr!("type"), kind);
    json.append(cstr!("coordinates"), coordinates);
    json
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The latitude of a great circle between two places of one latitude, at a part of the way.
    fn bent(latitude: f64, width: f64, part: f64) -> f64 {
        let from_middle = ((part - 0.5) * width).to_radians();
        let bend = (width / 2.0).to_radians().cos();
        (latitude.to_radians().tan() / bend * from_middle.cos()).atan().to_degrees()
    }

    proptest! {
        #[test]
        fn an_area_covers_its_rectangle(
            west in -180.0..179.0f64,
            south in -88.0..87.0f64,
            width in 0.0..60.0f64,
            height in 0.0..60.0f64,
            part in 0.0..1.0f64,
        ) {
            let rect = Rect { west, south, east: west + width, north: south + height };
            if let Some(area) = area(&rect) {
                let width = area.east - area.west;
                prop_assert!(area.west < rect.west && area.east > rect.east);
                prop_assert!(bent(area.south, width, part) < rect.south);
                prop_assert!(bent(area.north, width, part) > rect.north);
            }
        }
    }

    #[test]
    fn what_the_index_cannot_take_is_told() {
        let rect = |west, south, east, north| Rect { west, south, east, north };
        assert!(area(&rect(99.0, 18.0, 99.0, 18.0)).is_some());
        assert!(area(&rect(-180.0, 1.0, 1.0, 2.0)).is_none());
        assert!(area(&rect(1.0, 80.0, 2.0, 90.0)).is_none());
        assert!(area(&rect(1.0, -70.0, 2.0, 70.0)).is_none());
    }
}
