//! Metres between geometries on a sphere.
//!
//! Two positions are as far apart as the haversine formula says. Lines are straight on the plane
//! of longitude and latitude, so on the sphere they are curves: each is followed by straight
//! chords in space, halved where a chord strays too far from its curve to decide which piece is
//! nearest. Whole runs of edges are passed over by boxes in space.

use super::edges::{Edge, Meeting, Spot};
use super::figure::{Body, Figure, Side};
use super::{EARTH_RADIUS_M, Position};

/// Metres between two positions, by the haversine formula.
pub fn haversine_m(a: Position, b: Position) -> f64 {
    let (lat_a, lat_b) = (a.lat.to_radians(), b.lat.to_radians());
    let half_sine = |degrees: f64| (degrees.to_radians() / 2.0).sin();
    let (up, round) = (half_sine(b.lat - a.lat), half_sine(b.lon - a.lon));
    let square = up * up + lat_a.cos() * lat_b.cos() * round * round;
    2.0 * EARTH_RADIUS_M * square.sqrt().min(1.0).asin()
}

/// The chord, on a sphere of radius 1, of an arc of so many metres.
fn chord(metres: f64) -> f64 {
    2.0 * (metres / (2.0 * EARTH_RADIUS_M)).min(std::f64::consts::FRAC_PI_2).sin()
}

/// The metres of the arc that a chord spans on the Earth.
fn arc(chord: f64) -> f64 {
    2.0 * EARTH_RADIUS_M * (chord / 2.0).min(1.0).asin()
}

type Vector = [f64; 3];

fn minus(u: Vector, v: Vector) -> Vector {
    [u[0] - v[0], u[1] - v[1], u[2] - v[2]]
}

fn dot(u: Vector, v: Vector) -> f64 {
    u[0] * v[0] + u[1] * v[1] + u[2] * v[2]
}

/// Where a spot lies on a sphere of radius 1.
fn on_sphere(spot: Spot) -> Vector {
    let (lon_sin, lon_cos) = spot.x.to_radians().sin_cos();
    let (lat_sin, lat_cos) = spot.y.to_radians().sin_cos();
    [lat_cos * lon_cos, lat_cos * lon_sin, lat_sin]
}

/// An edge on the sphere.
#[derive(Debug, Clone, Copy)]
struct Track {
    edge: Edge,
    a: Vector,
    b: Vector,
    /// How far the edge strays from the chord between its ends, at most.
    stray: f64,
}

impl Track {
    fn new(edge: Edge) -> Self {
        Self { edge, a: on_sphere(edge.a), b: on_sphere(edge.b), stray: stray(&edge) }
    }

    fn spot(spot: Spot) -> Self {
        Self::new(Edge { a: spot, b: spot })
    }

    fn halves(&self) -> [Track; 2] {
        let middle = self.edge.at(0.5);
        let on = on_sphere(middle);
        let first = Edge { a: self.edge.a, b: middle };
        let second = Edge { a: middle, b: self.edge.b };
        [
            Track { edge: first, b: on, stray: stray(&first), ..*self },
            Track { edge: second, a: on, stray: stray(&second), ..*self },
        ]
    }
}

/// A curve strays from its chord by at most an eighth of its greatest acceleration. That of a
/// straight line in longitude and latitude, as long as it takes one unit of time, is made of the
/// squares of its two speeds and their product; longitudes count less the nearer to a pole.
fn stray(edge: &Edge) -> f64 {
    let round = (edge.b.x - edge.a.x).abs().to_radians();
    let up = (edge.b.y - edge.a.y).abs().to_radians();
    let crosses_equator = (edge.a.y < 0.0) != (edge.b.y < 0.0);
    let width =
        if crosses_equator { 1.0 } else { edge.a.y.abs().min(edge.b.y.abs()).to_radians().cos() };
    (up * up + 2.0 * up * round + width * round * round) / 8.0
}

/// Chords may stray a centimetre, or one part in 100 000 of the distance that is measured.
const STRAY: f64 = 1.6e-9;
const STRAY_SHARE: f64 = 1e-5;

/// How many pairs of edges, or of their halves, one search may look at: some tenths of a second.
/// Long edges side by side around the globe need far less; hostile ones get a coarser answer,
/// which is never too near.
const WORK: u32 = 2_000_000;

/// Looks for the least chord between tracks.
struct Search {
    /// No nearer pair than this was found, or matters.
    best: f64,
    /// Where to stop: less is not asked for.
    enough: f64,
    /// How many more pairs may be looked at.
    left: u32,
}

impl Search {
    fn new(enough_m: f64, limit_m: f64) -> Self {
        Self { best: chord(limit_m), enough: chord(enough_m), left: WORK }
    }

    fn is_done(&self) -> bool {
        self.best <= self.enough || self.left == 0
    }

    fn pair(&mut self, p: &Track, q: &Track) {
        self.left = self.left.saturating_sub(1);
        if p.edge.bounds().intersects(&q.edge.bounds()) && p.edge.meet(&q.edge) != Meeting::Apart {
            self.best = 0.0;
        } else {
            self.refine(p, q, between_chords(p, q));
        }
    }

    fn refine(&mut self, p: &Track, q: &Track, found: f64) {
        let slack = p.stray + q.stray;
        if self.is_done() || found - slack >= self.best {
            return;
        }
        if slack <= STRAY + STRAY_SHARE * found {
            self.best = self.best.min(found);
            return;
        }
        // The curves are no further apart than this, if nothing better comes.
        self.best = self.best.min(found + slack);
        self.left = self.left.saturating_sub(1);
        let halves = if p.stray >= q.stray {
            p.halves().map(|half| (half, *q))
        } else {
            q.halves().map(|half| (*p, half))
        };
        let [first, second] = halves.map(|(p, q)| (between_chords(&p, &q), p, q));
        let (near, far) = if second.0 < first.0 { (second, first) } else { (first, second) };
        for (found, p, q) in [near, far] {
            self.refine(&p, &q, found);
        }
    }
}

/// The distance between two straight lines in space, each between two points.
fn between_chords(p: &Track, q: &Track) -> f64 {
    let (u, v, apart) = (minus(p.b, p.a), minus(q.b, q.a), minus(p.a, q.a));
    let (uu, vv, uv) = (dot(u, u), dot(v, v), dot(u, v));
    let (ur, vr) = (dot(u, apart), dot(v, apart));
    let parallel = uu * vv - uv * uv;
    let mut s = if parallel > 0.0 { ((uv * vr - ur * vv) / parallel).clamp(0.0, 1.0) } else { 0.0 };
    let mut t = if vv > 0.0 { (uv * s + vr) / vv } else { 0.0 };
    if !(0.0..=1.0).contains(&t) || vv == 0.0 {
        t = t.clamp(0.0, 1.0);
        s = if uu > 0.0 { ((uv * t - ur) / uu).clamp(0.0, 1.0) } else { 0.0 };
    }
    let gap = [0, 1, 2].map(|i| apart[i] + s * u[i] - t * v[i]);
    // Not a number would be passed by, and halved without end.
    dot(gap, gap).sqrt().max(0.0)
}

/// A box in space.
#[derive(Debug, Clone, Copy)]
struct Cube {
    low: Vector,
    high: Vector,
}

impl Cube {
    const EMPTY: Cube = Cube { low: [f64::INFINITY; 3], high: [f64::NEG_INFINITY; 3] };

    /// The box around all that a track may touch.
    fn around(track: &Track) -> Self {
        let axis = |i: usize| (track.a[i].min(track.b[i]), track.a[i].max(track.b[i]));
        Self {
            low: [0, 1, 2].map(|i| axis(i).0 - track.stray),
            high: [0, 1, 2].map(|i| axis(i).1 + track.stray),
        }
    }

    fn join(self, other: Cube) -> Self {
        Self {
            low: [0, 1, 2].map(|i| self.low[i].min(other.low[i])),
            high: [0, 1, 2].map(|i| self.high[i].max(other.high[i])),
        }
    }

    /// The distance between two boxes.
    fn distance(&self, other: &Cube) -> f64 {
        let gap =
            |i: usize| (self.low[i] - other.high[i]).max(other.low[i] - self.high[i]).max(0.0);
        let gaps = [0, 1, 2].map(gap);
        dot(gaps, gaps).sqrt()
    }
}

/// How many tracks share a box at the bottom of the tree.
const RUN: usize = 8;

/// The edges or points of a geometry on the sphere, with boxes around runs of them.
#[derive(Debug, Clone)]
pub(super) struct Tracks {
    list: Vec<Track>,
    /// A complete binary tree, the root at 1.
    boxes: Vec<Cube>,
}

impl Tracks {
    pub fn new(figure: &Figure) -> Self {
        let list: Vec<Track> = tracks(figure).collect();
        let leaves = list.len().div_ceil(RUN).next_power_of_two();
        let mut boxes = vec![Cube::EMPTY; 2 * leaves];
        for (index, track) in list.iter().enumerate() {
            let leaf = &mut boxes[leaves + index / RUN];
            *leaf = leaf.join(Cube::around(track));
        }
        for index in (1..leaves).rev() {
            boxes[index] = boxes[2 * index].join(boxes[2 * index + 1]);
        }
        Self { list, boxes }
    }

    fn nearest(&self, track: &Track, search: &mut Search) {
        self.nearest_below(1, track, &Cube::around(track), search);
    }

    fn nearest_below(&self, index: usize, track: &Track, cube: &Cube, search: &mut Search) {
        let leaves = self.boxes.len() / 2;
        if index >= leaves {
            let start = (index - leaves) * RUN;
            let end = (start + RUN).min(self.list.len());
            for own in self.list.get(start..end).unwrap_or_default() {
                search.pair(own, track);
            }
            return;
        }
        let children = [2 * index, 2 * index + 1].map(|i| (self.boxes[i].distance(cube), i));
        let second_first = children[1].0 < children[0].0;
        for (least, child) in
            [children[usize::from(second_first)], children[usize::from(!second_first)]]
        {
            if least < search.best && !search.is_done() {
                self.nearest_below(child, track, cube, search);
            }
        }
    }
}

fn tracks(figure: &Figure) -> impl Iterator<Item = Track> {
    let (points, edges): (&[Spot], &[Edge]) = match &figure.body {
        Body::Points(points) => (points.list(), &[]),
        Body::Lines(lines) => (&[], lines.edges.list()),
        Body::Area(area) => (&[], area.edges().list()),
    };
    let points = points.iter().map(|point| Track::spot(*point));
    points.chain(edges.iter().map(|edge| Track::new(*edge)))
}

/// Metres between a spot and a figure, or `limit` if they are no closer than that; the search
/// stops at `enough` metres.
pub(super) fn spot_distance(
    spot: Spot,
    figure: &Figure,
    tracks: &Tracks,
    enough: f64,
    limit: f64,
) -> f64 {
    if matches!(figure.body, Body::Area(_)) && figure.locate(spot) != Side::Outside {
        return 0.0;
    }
    let mut search = Search::new(enough, limit);
    tracks.nearest(&Track::spot(spot), &mut search);
    arc(search.best)
}

/// Metres between two figures; see [`spot_distance`].
pub(super) fn distance(
    subject: &Figure,
    reference: &Figure,
    reference_tracks: &Tracks,
    enough: f64,
    limit: f64,
) -> f64 {
    if holds_some(subject, reference) || holds_some(reference, subject) {
        return 0.0;
    }
    let mut search = Search::new(enough, limit);
    for track in tracks(subject) {
        if search.is_done() {
            break;
        }
        reference_tracks.nearest(&track, &mut search);
    }
    arc(search.best)
}

/// Whether an area holds where some point, line or ring of the other begins.
fn holds_some(outer: &Figure, inner: &Figure) -> bool {
    let Body::Area(area) = &outer.body else { return false };
    let holds = |spot: Spot| area.locate(spot) != Side::Outside;
    match &inner.body {
        Body::Points(points) => points.list().iter().any(|point| holds(*point)),
        Body::Lines(lines) => lines.edges.starts().any(holds),
        Body::Area(inner) => inner.parts.iter().any(|part| part.starts().any(holds)),
    }
}
