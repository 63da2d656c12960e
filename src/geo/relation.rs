//! The spatial relations of clause 4.10 with the meaning of OGC simple features.
//!
//! The edges of one geometry are cut where they meet the other; exact predicates decide whether
//! they meet, and each piece is then inside, outside or along the other as a whole. Unlike a full
//! intersection matrix this needs no memory for the crossings of all edges with all others and
//! gives rings that cross themselves a meaning, both of which strangers may send.

use std::fmt;

use super::edges::{Edge, Edges, Meeting, Spot};
use super::figure::{Area, Body, Figure, Lines, Side, spot_inside};

/// How a subject, the geometry of an entity, relates to a reference, that of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Relation {
    /// The subject lies in the reference, and not only on its boundary.
    Within,
    /// The reference lies in the subject, and not only on its boundary.
    Contains,
    /// Their common part is as thick as both, and neither lies in the other.
    Overlaps,
    /// They have a point in common.
    Intersects,
    /// They are the same set of points.
    Equals,
    /// They have no point in common.
    Disjoint,
}

impl Relation {
    /// Every relation.
    pub const ALL: [Relation; 6] = [
        Relation::Within,
        Relation::Contains,
        Relation::Overlaps,
        Relation::Intersects,
        Relation::Equals,
        Relation::Disjoint,
    ];

    /// The word that queries use.
    pub fn word(self) -> &'static str {
        match self {
            Relation::Within => "within",
            Relation::Contains => "contains",
            Relation::Overlaps => "overlaps",
            Relation::Intersects => "intersects",
            Relation::Equals => "equals",
            Relation::Disjoint => "disjoint",
        }
    }

    /// The relation of this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|relation| relation.word() == word)
    }

    /// What the reference is to the subject.
    fn reversed(self) -> Self {
        match self {
            Relation::Within => Relation::Contains,
            Relation::Contains => Relation::Within,
            same => same,
        }
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Whether the subject stands in the relation to the reference.
pub(super) fn relates(subject: &Figure, relation: Relation, reference: &Figure) -> bool {
    let (inner, outer) = (&subject.bounds, &reference.bounds);
    let possible = match relation {
        Relation::Within => outer.covers(inner),
        Relation::Contains => inner.covers(outer),
        Relation::Equals => inner == outer,
        Relation::Overlaps | Relation::Intersects | Relation::Disjoint => inner.intersects(outer),
    };
    if !possible {
        return relation == Relation::Disjoint;
    }
    match relation {
        Relation::Within => is_within(subject, reference),
        Relation::Contains => is_within(reference, subject),
        Relation::Intersects => intersect(subject, reference),
        Relation::Disjoint => !intersect(subject, reference),
        Relation::Equals => is_covered(subject, reference) && is_covered(reference, subject),
        Relation::Overlaps => overlap(subject, reference),
    }
}

/// Whether a single spot stands in the relation to the reference, found without allocation.
pub(super) fn spot_relates(subject: Spot, relation: Relation, reference: &Figure) -> bool {
    match relation {
        Relation::Within => reference.locate(subject) == Side::Inside,
        Relation::Intersects => reference.locate(subject) != Side::Outside,
        Relation::Disjoint => reference.locate(subject) == Side::Outside,
        Relation::Overlaps => false,
        Relation::Contains | Relation::Equals => match &reference.body {
            Body::Points(points) => points.iter().all(|point| *point == subject),
            _ => false,
        },
    }
}

/// Whether the subject stands in the relation to a single spot.
pub(super) fn relates_to_spot(subject: &Figure, relation: Relation, reference: Spot) -> bool {
    spot_relates(reference, relation.reversed(), subject)
}

fn intersect(a: &Figure, b: &Figure) -> bool {
    match (&a.body, &b.body) {
        (Body::Points(points), _) => any_in(points, b),
        (_, Body::Points(points)) => any_in(points, a),
        (Body::Lines(a), Body::Lines(b)) => meet(&a.edges, &b.edges),
        (Body::Lines(lines), Body::Area(area)) | (Body::Area(area), Body::Lines(lines)) => {
            // Lines that do not touch the boundary are wholly on one side, each by itself.
            meet(&lines.edges, area.edges())
                || lines.edges.starts().any(|spot| area.locate(spot) == Side::Inside)
        }
        (Body::Area(a), Body::Area(b)) => {
            let any_part_in = |inner: &Area, outer: &Area| {
                inner
                    .parts
                    .iter()
                    .any(|part| part.starts().any(|spot| outer.locate(spot) == Side::Inside))
            };
            meet(a.edges(), b.edges()) || any_part_in(a, b) || any_part_in(b, a)
        }
    }
}

fn any_in(points: &[Spot], figure: &Figure) -> bool {
    points.iter().any(|point| figure.locate(*point) != Side::Outside)
}

/// Whether any edge meets any other.
fn meet(a: &Edges, b: &Edges) -> bool {
    let (few, many) = if a.list().len() < b.list().len() { (a, b) } else { (b, a) };
    few.list()
        .iter()
        .any(|edge| many.any(&edge.bounds(), |other| edge.meet(other) != Meeting::Apart))
}

fn is_within(a: &Figure, b: &Figure) -> bool {
    match (&a.body, &b.body) {
        (Body::Points(points), _) => {
            let mut any_inside = false;
            let covered = points.iter().all(|point| {
                let side = b.locate(*point);
                any_inside |= side == Side::Inside;
                side != Side::Outside
            });
            covered && any_inside
        }
        (Body::Lines(lines), Body::Area(area)) => {
            let mut inside = false;
            let covered = trace(lines.edges.list(), area, &mut |side, _, _| {
                inside |= side == Side::Inside;
                side != Side::Outside
            });
            covered && inside
        }
        // What lines and areas cover, they cover with their insides.
        _ => is_covered(a, b),
    }
}

/// Whether every point of the one belongs to the other.
fn is_covered(a: &Figure, b: &Figure) -> bool {
    match (&a.body, &b.body) {
        (Body::Points(points), _) => points.iter().all(|point| b.locate(*point) != Side::Outside),
        (Body::Lines(a), Body::Lines(b)) => lines_covered(a, b),
        (Body::Lines(lines), Body::Area(area)) => {
            trace(lines.edges.list(), area, &mut |side, _, _| side != Side::Outside)
        }
        (Body::Area(a), Body::Area(b)) => area_covered(a, b),
        _ => false,
    }
}

fn lines_covered(a: &Lines, b: &Lines) -> bool {
    let mut shared: Vec<(f64, f64)> = Vec::new();
    a.edges.list().iter().all(|edge| {
        shared.clear();
        b.edges.any(&edge.bounds(), |other| {
            match edge.meet(other) {
                Meeting::Along(from, to) => shared.push((from, to)),
                // All there is of a line without length.
                Meeting::At(_) if edge.a == edge.b => shared.push((0.0, 1.0)),
                Meeting::At(_) | Meeting::Apart => {}
            }
            false
        });
        shared.sort_by(|x, y| x.0.total_cmp(&y.0));
        let mut reached = 0.0;
        for (from, to) in &shared {
            if *from > reached {
                break;
            }
            reached = to.max(reached);
        }
        reached >= 1.0
    })
}

fn area_covered(a: &Area, b: &Area) -> bool {
    let parts_covered = a.parts.iter().all(|part| {
        let mut inside = false;
        let none_outside = trace(part.list(), b, &mut |side, _, _| {
            inside |= side == Side::Inside;
            side != Side::Outside
        });
        // A part drawn all along the other's boundary may fill it, or a hole of it.
        none_outside
            && (inside || spot_inside(part).is_none_or(|spot| b.locate(spot) != Side::Outside))
    });
    parts_covered && !reaches_into(b, a)
}

/// Whether the boundary of the one runs through the inside of the other.
fn reaches_into(a: &Area, b: &Area) -> bool {
    !trace(a.edges().list(), b, &mut |side, spot, edge| {
        side != Side::Inside || a.is_around(edge, spot)
    })
}

fn overlap(a: &Figure, b: &Figure) -> bool {
    match (&a.body, &b.body) {
        (Body::Points(points), Body::Points(others)) => {
            let shared = points.iter().any(|point| others.contains(point));
            shared && !is_covered(a, b) && !is_covered(b, a)
        }
        (Body::Lines(lines), Body::Lines(others)) => {
            let along =
                |edge: &Edge| others.edges.any(&edge.bounds(), |other| edge.runs_along(other));
            lines.edges.list().iter().any(along)
                && !lines_covered(lines, others)
                && !lines_covered(others, lines)
        }
        (Body::Area(area), Body::Area(other)) => {
            insides_meet(area, other) && !area_covered(area, other) && !area_covered(other, area)
        }
        _ => false,
    }
}

fn insides_meet(a: &Area, b: &Area) -> bool {
    reaches_into(a, b)
        || reaches_into(b, a)
        || a.parts
            .iter()
            .any(|part| spot_inside(part).is_some_and(|spot| b.locate(spot) == Side::Inside))
}

/// Pieces of an edge shorter than this share of it are rounding, not geometry.
const NO_PIECE: f64 = 1e-12;

/// Cuts edges where they meet the boundary of an area, and shows each piece that does not run
/// along it: the side it lies on, a spot of it, and the edge it is of. Stops when `go_on` says
/// so; false then.
fn trace(edges: &[Edge], area: &Area, go_on: &mut dyn FnMut(Side, Spot, &Edge) -> bool) -> bool {
    let mut cuts: Vec<f64> = Vec::new();
    let mut along: Vec<(f64, f64)> = Vec::new();
    // Where the last piece ended and the side it lay on, if it did not end on the boundary.
    let mut last: Option<(Spot, Side)> = None;
    for edge in edges {
        cuts.clear();
        along.clear();
        area.edges().any(&edge.bounds(), |other| {
            match edge.meet(other) {
                Meeting::Apart => {}
                Meeting::At(place) => cuts.push(place),
                Meeting::Along(from, to) => {
                    cuts.extend([from, to]);
                    along.push((from, to));
                }
            }
            false
        });
        cuts.sort_by(f64::total_cmp);
        let mut known = last.filter(|(end, _)| *end == edge.a).map(|(_, side)| side);
        let mut from = 0.0;
        for to in cuts.iter().copied().chain([1.0]) {
            let runs_along = || along.iter().any(|(start, end)| *start <= from && to <= *end);
            if to - from > NO_PIECE && !runs_along() {
                let middle = edge.at(from + (to - from) / 2.0);
                let side = known.unwrap_or_else(|| area.locate(middle));
                known = Some(side);
                if side != Side::Boundary && !go_on(side, middle, edge) {
                    return false;
                }
            }
            if to < 1.0 || cuts.last() == Some(&1.0) {
                known = None;
            }
            from = to;
        }
        last = known.filter(|side| *side != Side::Boundary).map(|side| (edge.b, side));
    }
    true
}
