//! Rectangles of longitude and latitude: what indexes are asked for.

use super::Position;

/// The mean radius of the Earth in metres (IUGG), which all distances here assume.
pub const EARTH_RADIUS_M: f64 = 6_371_008.8;

/// A rectangle in degrees, edges included; it never crosses the antimeridian.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rect {
    pub west: f64,
    pub south: f64,
    pub east: f64,
    pub north: f64,
}

impl Rect {
    /// The rectangle around nothing.
    pub const EMPTY: Rect = Rect {
        west: f64::INFINITY,
        south: f64::INFINITY,
        east: f64::NEG_INFINITY,
        north: f64::NEG_INFINITY,
    };

    /// The smallest rectangle around some positions.
    pub fn around(positions: &[Position]) -> Rect {
        positions.iter().fold(Rect::EMPTY, |rect, position| Rect {
            west: rect.west.min(position.lon),
            south: rect.south.min(position.lat),
            east: rect.east.max(position.lon),
            north: rect.north.max(position.lat),
        })
    }

    /// The smallest rectangle around two.
    pub fn join(self, other: Rect) -> Rect {
        Rect {
            west: self.west.min(other.west),
            south: self.south.min(other.south),
            east: self.east.max(other.east),
            north: self.north.max(other.north),
        }
    }

    /// Whether the two share a point.
    pub fn intersects(&self, other: &Rect) -> bool {
        self.west <= other.east
            && other.west <= self.east
            && self.south <= other.north
            && other.south <= self.north
    }

    /// Whether the other lies in this one, edges included.
    pub fn covers(&self, other: &Rect) -> bool {
        self.west <= other.west
            && other.east <= self.east
            && self.south <= other.south
            && other.north <= self.north
    }

    /// Whether the position lies in the rectangle, edges included.
    pub fn has(&self, position: Position) -> bool {
        self.west <= position.lon
            && position.lon <= self.east
            && self.south <= position.lat
            && position.lat <= self.north
    }

    /// Rectangles that hold every place within so many metres of this one: two where the
    /// antimeridian lies within reach, a whole band where a pole does. They are a little larger
    /// than needed, so that rounding never loses a place.
    pub fn expanded(&self, metres: f64) -> Vec<Rect> {
        if self.west > self.east || metres.is_nan() {
            return Vec::new();
        }
        // Distances to lines are approximate to 10⁻⁵ and a few centimetres.
        let reach = (metres.max(0.0) * (1.0 + 1e-4) + 0.1) / EARTH_RADIUS_M;
        let south = (self.south - reach.to_degrees()).max(-90.0);
        let north = (self.north + reach.to_degrees()).min(90.0);
        let all_around = Rect { west: -180.0, south, east: 180.0, north };
        let steepest = self.south.abs().max(self.north.abs()).to_radians();
        if steepest + reach >= std::f64::consts::FRAC_PI_2 - 1e-9 {
            return vec![all_around];
        }
        // A circle of that radius spans most longitudes around the centre nearest to a pole.
        let sideways = (reach.sin() / steepest.cos()).min(1.0).asin().to_degrees() + 1e-9;
        let (west, east) = (self.west - sideways, self.east + sideways);
        if east - west >= 360.0 {
            vec![all_around]
        } else if west <= -180.0 {
            vec![
                Rect { west: -180.0, south, east, north },
                Rect { west: west + 360.0, south, east: 180.0, north },
            ]
        } else if east >= 180.0 {
            vec![
                Rect { west, south, east: 180.0, north },
                Rect { west: -180.0, south, east: east - 360.0, north },
            ]
        } else {
            vec![Rect { west, south, east, north }]
        }
    }
}
