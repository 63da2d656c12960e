//! A geometry taken apart for comparing: points, lines or areas.

use std::cmp::Ordering;

use rustc_hash::FxHashMap;

use super::edges::{Edge, Edges, Spot, spot, turn};
use super::{Geometry, Position, Rect};
use ::geo::algorithm::kernels::Orientation;

/// On which side of a shape a spot lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Inside,
    Boundary,
    Outside,
}

/// A geometry with its edges indexed.
#[derive(Debug, Clone)]
pub(super) struct Figure {
    pub bounds: Rect,
    pub body: Body,
}

#[derive(Debug, Clone)]
pub(super) enum Body {
    Points(Spots),
    Lines(Lines),
    Area(Area),
}

/// Distinct spots, quickly found.
#[derive(Debug, Clone)]
pub(super) struct Spots(Vec<Spot>);

impl Spots {
    fn new(spots: impl Iterator<Item = Spot>) -> Self {
        let mut spots: Vec<Spot> = spots.collect();
        spots.sort_by(order);
        spots.dedup();
        Self(spots)
    }

    pub fn list(&self) -> &[Spot] {
        &self.0
    }

    pub fn has(&self, spot: Spot) -> bool {
        self.0.binary_search_by(|other| order(other, &spot)).is_ok()
    }
}

fn order(a: &Spot, b: &Spot) -> Ordering {
    a.x.total_cmp(&b.x).then_with(|| a.y.total_cmp(&b.y))
}

/// One or more lines.
#[derive(Debug, Clone)]
pub(super) struct Lines {
    pub edges: Edges,
    /// The boundary: where an odd number of lines end.
    ends: Spots,
}

/// One or more polygons. Within each, what an odd number of its edges lies around is inside, so
/// that every edge divides inside from outside even where rings cross themselves; together they
/// cover what any of them covers.
#[derive(Debug, Clone)]
pub(super) struct Area {
    pub parts: Vec<Edges>,
    /// The edges of all parts; absent if there is only one.
    all: Option<Edges>,
}

impl Figure {
    pub fn new(geometry: &Geometry) -> Self {
        let body = match geometry {
            Geometry::Point(position) => Body::Points(Spots::new(std::iter::once(spot(*position)))),
            Geometry::MultiPoint(positions) => {
                Body::Points(Spots::new(positions.iter().copied().map(spot)))
            }
            Geometry::LineString(path) => Body::Lines(Lines::new(std::slice::from_ref(path))),
            Geometry::MultiLineString(paths) => Body::Lines(Lines::new(paths)),
            Geometry::Polygon(rings) => Body::Area(Area::new(std::slice::from_ref(rings))),
            Geometry::MultiPolygon(parts) => Body::Area(Area::new(parts)),
        };
        Self { bounds: geometry.bounds(), body }
    }

    /// On which side of the geometry a spot lies. Points and the insides of lines are inside.
    pub fn locate(&self, spot: Spot) -> Side {
        match &self.body {
            Body::Points(points) if points.has(spot) => Side::Inside,
            Body::Points(_) => Side::Outside,
            Body::Lines(lines) => lines.locate(spot),
            Body::Area(area) => area.locate(spot),
        }
    }
}

/// Adds the edges of a line or ring. One without length is kept as the one spot it is.
fn add_edges(path: &[Position], edges: &mut Vec<Edge>) {
    let before = edges.len();
    edges.extend(path.windows(2).filter_map(|pair| {
        let (a, b) = (spot(pair[0]), spot(pair[1]));
        (a != b).then_some(Edge { a, b })
    }));
    if let (true, Some(only)) = (edges.len() == before, path.first()) {
        edges.push(Edge { a: spot(*only), b: spot(*only) });
    }
}

fn rect_at(spot: Spot) -> Rect {
    Rect { west: spot.x, south: spot.y, east: spot.x, north: spot.y }
}

impl Lines {
    fn new(paths: &[Vec<Position>]) -> Self {
        let mut edges = Vec::new();
        let mut ends: FxHashMap<[u64; 2], (Spot, bool)> = FxHashMap::default();
        for path in paths {
            add_edges(path, &mut edges);
            let (Some(first), Some(last)) = (path.first(), path.last()) else { continue };
            for end in [spot(*first), spot(*last)] {
                let (_, odd) = ends.entry(bits(end)).or_insert((end, false));
                *odd = !*odd;
            }
        }
        let ends = ends.into_values().filter_map(|(end, odd)| odd.then_some(end));
        Self { edges: Edges::new(edges), ends: Spots::new(ends) }
    }

    fn locate(&self, spot: Spot) -> Side {
        if !self.edges.any(&rect_at(spot), |edge| edge.holds(spot)) {
            Side::Outside
        } else if self.ends.has(spot) {
            Side::Boundary
        } else {
            Side::Inside
        }
    }
}

fn bits(spot: Spot) -> [u64; 2] {
    [spot.x.to_bits(), spot.y.to_bits()]
}

impl Area {
    fn new(polygons: &[Vec<Vec<Position>>]) -> Self {
        let parts: Vec<Edges> = polygons
            .iter()
            .map(|rings| {
                let mut edges = Vec::new();
                rings.iter().for_each(|ring| add_edges(ring, &mut edges));
                Edges::new(edges)
            })
            .collect();
        let all = || parts.iter().flat_map(|part| part.list()).copied().collect();
        let all = (parts.len() != 1).then(|| Edges::new(all()));
        Self { parts, all }
    }

    /// Every edge. Where parts overlap or share edges, some of them run through the inside.
    pub fn edges(&self) -> &Edges {
        self.all.as_ref().unwrap_or_else(|| &self.parts[0])
    }

    pub fn locate(&self, spot: Spot) -> Side {
        let mut on_edges = 0;
        for part in &self.parts {
            match locate(part, spot) {
                Side::Inside => return Side::Inside,
                Side::Boundary => on_edges += 1,
                Side::Outside => {}
            }
        }
        let is_shared = |edge: &Edge| {
            edge.holds(spot) && spot != edge.a && spot != edge.b && self.is_around(edge, spot)
        };
        match on_edges {
            0 => Side::Outside,
            2.. if self.edges().any(&rect_at(spot), is_shared) => Side::Inside,
            _ => Side::Boundary,
        }
    }

    /// Whether the area lies on both sides of one of its edges, near a spot of that edge: parts
    /// may share edges and overlap, though they should not.
    pub fn is_around(&self, edge: &Edge, spot: Spot) -> bool {
        let (dx, dy) = (edge.b.x - edge.a.x, edge.b.y - edge.a.y);
        let length = dx.hypot(dy);
        // A centimetre, in degrees.
        let step = (length * 1e-3).min(1e-7) / length;
        let is_inside = |step: f64| {
            let beside = Spot { x: spot.x - step * dy, y: spot.y + step * dx };
            self.parts.iter().any(|part| locate(part, beside) == Side::Inside)
        };
        self.parts.len() > 1 && length > 0.0 && is_inside(step) && is_inside(-step)
    }
}

/// On which side of one polygon's edges a spot lies: inside if a ray to the east crosses an odd
/// number of them.
fn locate(edges: &Edges, spot: Spot) -> Side {
    let ray = Rect { west: spot.x, south: spot.y, east: f64::INFINITY, north: spot.y };
    let mut odd = false;
    let on_edge = edges.any(&ray, |edge| {
        // An edge owns its lower end, so that a ray through a vertex counts once.
        let (low, high) = if edge.a.y <= edge.b.y { (edge.a, edge.b) } else { (edge.b, edge.a) };
        match turn(low, high, spot) {
            Orientation::Collinear => edge.holds(spot),
            Orientation::CounterClockwise => {
                odd ^= low.y <= spot.y && spot.y < high.y;
                false
            }
            Orientation::Clockwise => false,
        }
    });
    match (on_edge, odd) {
        (true, _) => Side::Boundary,
        (false, true) => Side::Inside,
        (false, false) => Side::Outside,
    }
}

/// A spot inside a polygon, found on the latitude midway in the widest band without vertices.
pub(super) fn spot_inside(part: &Edges) -> Option<Spot> {
    let mut latitudes: Vec<f64> = part.list().iter().map(|edge| edge.a.y).collect();
    latitudes.sort_by(f64::total_cmp);
    let widest = |x: &(f64, f64), y: &(f64, f64)| (x.1 - x.0).total_cmp(&(y.1 - y.0));
    let (south, north) = latitudes.windows(2).map(|pair| (pair[0], pair[1])).max_by(widest)?;
    let y = south + (north - south) / 2.0;
    let mut crossings: Vec<f64> = part
        .list()
        .iter()
        .filter(|edge| (edge.a.y > y) != (edge.b.y > y))
        .map(|edge| edge.a.x + (y - edge.a.y) / (edge.b.y - edge.a.y) * (edge.b.x - edge.a.x))
        .collect();
    crossings.sort_by(f64::total_cmp);
    let (west, east) = crossings.chunks_exact(2).map(|pair| (pair[0], pair[1])).max_by(widest)?;
    let spot = Spot { x: west + (east - west) / 2.0, y };
    // A polygon without area has no inside.
    (locate(part, spot) == Side::Inside).then_some(spot)
}
