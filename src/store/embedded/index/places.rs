//! The places of one GeoProperty: which seats lie where.

use roaring::RoaringBitmap;
use rstar::{AABB, RTree, RTreeObject};

use super::super::seats::SeatNumber;
use crate::geo::Rect;
use crate::model::{Attribute, Datum};

/// The bounds of a geometry in a seat, rounded outward to save memory.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in super::super) struct Place {
    low: [f32; 2],
    high: [f32; 2],
    seat: SeatNumber,
}

impl RTreeObject for Place {
    type Envelope = AABB<[f32; 3]>;

    /// The seat is a third dimension, so thin that it counts only among things at one spot: a
    /// thousand sensors on one roof would otherwise be searched through for each change.
    fn envelope(&self) -> Self::Envelope {
        let thin = self.seat as f32 * 1e-9;
        AABB::from_corners([self.low[0], self.low[1], thin], [self.high[0], self.high[1], thin])
    }
}

fn down(number: f64) -> f32 {
    let near = number as f32;
    if f64::from(near) > number { near.next_down() } else { near }
}

fn up(number: f64) -> f32 {
    let near = number as f32;
    if f64::from(near) < number { near.next_up() } else { near }
}

impl Place {
    fn new(rect: Rect, seat: SeatNumber) -> Self {
        Self {
            low: [down(rect.west), down(rect.south)],
            high: [up(rect.east), up(rect.north)],
            seat,
        }
    }

    /// The same place of a seat so much further on.
    pub fn moved(self, offset: SeatNumber) -> Self {
        Self { seat: self.seat + offset, ..self }
    }

    /// Where it sits.
    pub fn seat(&self) -> SeatNumber {
        self.seat
    }
}

/// The places of an attribute in a seat.
pub(in super::super) fn places(attribute: Option<&Attribute>, seat: SeatNumber) -> Vec<Place> {
    let instances = attribute.map_or(&[][..], Attribute::instances);
    instances
        .iter()
        .filter_map(|instance| match &instance.datum {
            Datum::GeoProperty(geometry) => Some(Place::new(geometry.bounds(), seat)),
            _ => None,
        })
        .collect()
}

/// Seats by the places of an attribute.
#[derive(Debug, Default)]
pub(in super::super) struct Places(RTree<Place>);

impl Places {
    /// An index of what was found when all entities were read.
    pub fn build(entries: Vec<Place>) -> Self {
        Self(RTree::bulk_load(entries))
    }

    /// Takes note of what became of the attribute in a seat.
    pub fn update(
        &mut self,
        seat: SeatNumber,
        before: Option<&Attribute>,
        after: Option<&Attribute>,
    ) {
        let (old, new) = (places(before, seat), places(after, seat));
        if old != new {
            self.correct(&old, new);
        }
    }

    /// Replaces the places a seat had by those it has.
    pub fn correct(&mut self, old: &[Place], new: Vec<Place>) {
        for place in old {
            self.0.remove(place);
        }
        for place in new {
            self.0.insert(place);
        }
    }

    /// The seats with a place that touches one of the rectangles; None if there are more places
    /// than `most`.
    pub fn find(&self, rects: &[Rect], most: u64) -> Option<RoaringBitmap> {
        let mut seats = Vec::new();
        for rect in rects {
            let envelope = AABB::from_corners(
                [down(rect.west), down(rect.south), f32::MIN],
                [up(rect.east), up(rect.north), f32::MAX],
            );
            for place in self.0.locate_in_envelope_intersecting(&envelope) {
                seats.push(place.seat);
                if seats.len() as u64 > most {
                    return None;
                }
            }
        }
        seats.sort_unstable();
        seats.dedup();
        RoaringBitmap::from_sorted_iter(seats).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geo::{Geometry, Position};
    use crate::model::Instance;

    fn at(lon: f64, lat: f64) -> Attribute {
        let point = Geometry::Point(Position { lon, lat, alt: None });
        Attribute::one(Instance::new(Datum::GeoProperty(Box::new(point))))
    }

    fn around(lon: f64, lat: f64) -> Vec<Rect> {
        vec![Rect { west: lon - 0.1, south: lat - 0.1, east: lon + 0.1, north: lat + 0.1 }]
    }

    #[test]
    fn seats_are_found_by_place_as_they_move() {
        let mut index = Places::default();
        for seat in 0..100 {
            index.update(seat, None, Some(&at(99.7, 18.3)));
        }
        assert_eq!(index.find(&around(99.7, 18.3), 1_000).map(|seats| seats.len()), Some(100));
        assert_eq!(index.find(&around(99.7, 18.3), 99), None, "more than asked for");
        for seat in 0..99 {
            index.update(seat, Some(&at(99.7, 18.3)), Some(&at(100.5, 13.75)));
        }
        assert_eq!(index.find(&around(99.7, 18.3), 9), Some(RoaringBitmap::from_iter([99])));
        index.update(99, Some(&at(99.7, 18.3)), None);
        assert_eq!(index.find(&around(99.7, 18.3), 9), Some(RoaringBitmap::new()));
    }

    #[test]
    fn rounding_never_loses_a_place() {
        for number in [99.723_456_789, -0.1, 1e-9, 179.999_999_99, -180.0, 0.0] {
            assert!(f64::from(down(number)) <= number && number <= f64::from(up(number)));
        }
    }
}
