//! Straight edges: how two of them meet, and a tree of boxes that finds those near a place.

use ::geo::algorithm::kernels::{Kernel, Orientation, RobustKernel};

use super::{Position, Rect};

/// A place on the plane of longitude (x) and latitude (y).
pub(super) type Spot = ::geo::Coord<f64>;

pub(super) fn spot(position: Position) -> Spot {
    // Zero has one sign, so that equal places have equal bits.
    Spot { x: position.lon + 0.0, y: position.lat + 0.0 }
}

/// A straight line between two spots, which may be the same.
#[derive(Debug, Clone, Copy)]
pub(super) struct Edge {
    pub a: Spot,
    pub b: Spot,
}

/// How an edge meets another one. Numbers say where on the first: 0 at its start, 1 at its end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Meeting {
    Apart,
    At(f64),
    Along(f64, f64),
}

/// To which side the path from `p` over `q` to `r` turns, exactly.
pub(super) fn turn(p: Spot, q: Spot, r: Spot) -> Orientation {
    RobustKernel::orient2d(p, q, r)
}

impl Edge {
    pub fn bounds(&self) -> Rect {
        Rect {
            west: self.a.x.min(self.b.x),
            south: self.a.y.min(self.b.y),
            east: self.a.x.max(self.b.x),
            north: self.a.y.max(self.b.y),
        }
    }

    /// Whether a spot that lies on the line through both ends lies between them.
    fn spans(&self, spot: Spot) -> bool {
        let between = |a: f64, x: f64, b: f64| a.min(b) <= x && x <= a.max(b);
        between(self.a.x, spot.x, self.b.x) && between(self.a.y, spot.y, self.b.y)
    }

    /// Whether the spot lies on the edge.
    pub fn holds(&self, spot: Spot) -> bool {
        self.spans(spot) && turn(self.a, self.b, spot) == Orientation::Collinear
    }

    /// Where a spot on the edge lies; the same spot always gives the same number.
    fn place(&self, spot: Spot) -> f64 {
        let (dx, dy) = (self.b.x - self.a.x, self.b.y - self.a.y);
        if dx == 0.0 && dy == 0.0 {
            0.0
        } else if dx.abs() >= dy.abs() {
            (spot.x - self.a.x) / dx
        } else {
            (spot.y - self.a.y) / dy
        }
    }

    /// The spot at a place.
    pub fn at(&self, place: f64) -> Spot {
        Spot {
            x: self.a.x + place * (self.b.x - self.a.x),
            y: self.a.y + place * (self.b.y - self.a.y),
        }
    }

    /// How this edge meets another. Whether they meet is decided exactly.
    pub fn meet(&self, other: &Edge) -> Meeting {
        use Orientation::Collinear;
        let (first, second) = (turn(self.a, self.b, other.a), turn(self.a, self.b, other.b));
        if first == second && first != Collinear {
            return Meeting::Apart;
        }
        let (third, fourth) = (turn(other.a, other.b, self.a), turn(other.a, other.b, self.b));
        if third == fourth && third != Collinear {
            return Meeting::Apart;
        }
        if [first, second, third, fourth] == [Collinear; 4] {
            return self.overlap(other);
        }
        if first == Collinear && self.spans(other.a) {
            Meeting::At(self.place(other.a))
        } else if second == Collinear && self.spans(other.b) {
            Meeting::At(self.place(other.b))
        } else if third == Collinear && other.spans(self.a) {
            Meeting::At(0.0)
        } else if fourth == Collinear && other.spans(self.b) {
            Meeting::At(1.0)
        } else if [first, second, third, fourth].contains(&Collinear) {
            Meeting::Apart
        } else {
            Meeting::At(self.crossing(other))
        }
    }

    /// Whether the two share more than a spot.
    pub fn runs_along(&self, other: &Edge) -> bool {
        // Most edges that cross differ at the first look.
        turn(self.a, self.b, other.a) == Orientation::Collinear
            && matches!(self.meet(other), Meeting::Along(..))
    }

    /// How this edge meets another on the same line.
    fn overlap(&self, other: &Edge) -> Meeting {
        if !self.bounds().intersects(&other.bounds()) {
            return Meeting::Apart;
        }
        let (start, end) = (self.place(other.a), self.place(other.b));
        let (from, to) = (start.min(end).max(0.0), start.max(end).min(1.0));
        if from < to { Meeting::Along(from, to) } else { Meeting::At(from.min(1.0)) }
    }

    /// Where an edge is crossed by another that ends on either side of it.
    fn crossing(&self, other: &Edge) -> f64 {
        let along = Spot { x: self.b.x - self.a.x, y: self.b.y - self.a.y };
        let across = Spot { x: other.b.x - other.a.x, y: other.b.y - other.a.y };
        let apart = Spot { x: other.a.x - self.a.x, y: other.a.y - self.a.y };
        let cross = |u: Spot, v: Spot| u.x * v.y - u.y * v.x;
        let place = cross(apart, across) / cross(along, across);
        if place.is_nan() { 0.5 } else { place.clamp(0.0, 1.0) }
    }
}

/// How many edges share a box at the bottom of the tree.
const RUN: usize = 8;

/// Edges in the order they are drawn, with boxes around runs of them, boxes around pairs of
/// boxes, and so on up to one: neighbours on a line are neighbours on the ground, so that a query
/// meets few boxes.
#[derive(Debug, Clone)]
pub(super) struct Edges {
    list: Vec<Edge>,
    /// A complete binary tree, the root at 1 and the children of n at 2n and 2n + 1. Empty if
    /// there are few edges.
    boxes: Vec<Rect>,
}

impl Edges {
    pub fn new(list: Vec<Edge>) -> Self {
        let leaves = list.len().div_ceil(RUN).next_power_of_two();
        if leaves < 2 {
            return Self { list, boxes: Vec::new() };
        }
        let mut boxes = vec![Rect::EMPTY; 2 * leaves];
        for (index, edge) in list.iter().enumerate() {
            let leaf = &mut boxes[leaves + index / RUN];
            *leaf = leaf.join(edge.bounds());
        }
        for index in (1..leaves).rev() {
            boxes[index] = boxes[2 * index].join(boxes[2 * index + 1]);
        }
        Self { list, boxes }
    }

    /// The smallest rectangle around all edges.
    pub fn bounds(&self) -> Rect {
        let all = || self.list.iter().fold(Rect::EMPTY, |rect, edge| rect.join(edge.bounds()));
        self.boxes.get(1).copied().unwrap_or_else(all)
    }

    /// Every edge.
    pub fn list(&self) -> &[Edge] {
        &self.list
    }

    /// Where lines or rings begin: one spot of each.
    pub fn starts(&self) -> impl Iterator<Item = Spot> {
        let mut end = None;
        self.list.iter().filter_map(move |edge| {
            let follows = end.replace(edge.b) == Some(edge.a);
            (!follows).then_some(edge.a)
        })
    }

    /// Shows every edge whose box meets a rectangle, until one is enough. True if one was.
    pub fn any(&self, rect: &Rect, mut enough: impl FnMut(&Edge) -> bool) -> bool {
        if self.boxes.is_empty() {
            any_of(&self.list, rect, &mut enough)
        } else {
            self.any_below(1, rect, &mut enough)
        }
    }

    fn any_below(&self, index: usize, rect: &Rect, enough: &mut impl FnMut(&Edge) -> bool) -> bool {
        if !self.boxes[index].intersects(rect) {
            return false;
        }
        let leaves = self.boxes.len() / 2;
        if index < leaves {
            return self.any_below(2 * index, rect, enough)
                || self.any_below(2 * index + 1, rect, enough);
        }
        let start = (index - leaves) * RUN;
        let end = (start + RUN).min(self.list.len());
        any_of(&self.list[start..end], rect, enough)
    }
}

fn any_of(edges: &[Edge], rect: &Rect, enough: &mut impl FnMut(&Edge) -> bool) -> bool {
    edges.iter().any(|edge| edge.bounds().intersects(rect) && enough(edge))
}
