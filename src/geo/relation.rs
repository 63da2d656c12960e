//! The spatial relations of clause 4.10 with the meaning of OGC simple features.
//!
//! The edges of one geometry are cut where they meet the other; exact predicates decide whether
//! they meet, and each piece is then inside, outside or along the other as a whole. Unlike a full
//! intersection matrix this needs no memory for the crossings of all edges with all others and
//! gives rings that cross themselves a meaning, both of which strangers may send.

use std::{cell::Cell, fmt};

use super::edges::{Edge, Edges, Meeting, Spot};
use super::figure::{Area, Body, Figure, Lines, Side, Spots, spot_inside};

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

/// Whether the subject stands in the relation to the reference. What takes too much work to find
/// out is not so, whatever the relation.
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
    let work = Work { left: Cell::new(WORK) };
    let holds = match relation {
        Relation::Within => work.is_within(subject, reference),
        Relation::Contains => work.is_within(reference, subject),
        Relation::Intersects => work.intersect(subject, reference),
        Relation::Disjoint => !work.intersect(subject, reference),
        Relation::Equals => {
            work.is_covered(subject, reference) && work.is_covered(reference, subject)
        }
        Relation::Overlaps => work.overlap(subject, reference),
    };
    holds && work.left.get() > 0
}

/// Whether a single spot stands in the relation to the reference, found without allocation.
pub(super) fn spot_relates(subject: Spot, relation: Relation, reference: &Figure) -> bool {
    match relation {
        Relation::Within => reference.locate(subject) == Side::Inside,
        Relation::Intersects => reference.locate(subject) != Side::Outside,
        Relation::Disjoint => reference.locate(subject) == Side::Outside,
        Relation::Overlaps => false,
        Relation::Contains | Relation::Equals => match &reference.body {
            Body::Points(points) => points.list() == [subject],
            _ => false,
        },
    }
}

/// Whether the subject stands in the relation to a single spot.
pub(super) fn relates_to_spot(subject: &Figure, relation: Relation, reference: Spot) -> bool {
    spot_relates(reference, relation.reversed(), subject)
}

/// How many pairs of edges one comparison may look at. Two detailed borders of 10 000 edges that
/// follow each other need some 50 000; without an end, as many edges that all cross all others
/// would keep a thread busy for seconds, entity by entity.
const WORK: usize = 4_000_000;

/// Pieces of an edge shorter than this share of it are rounding, not geometry.
const NO_PIECE: f64 = 1e-12;

/// What may still be done for one comparison.
struct Work {
    left: Cell<usize>,
}

impl Work {
    /// Counts something done; true if it was too much, and what is found no longer matters.
    fn is_over(&self, done: usize) -> bool {
        self.left.set(self.left.get().saturating_sub(done));
        self.left.get() == 0
    }

    fn locate(&self, area: &Area, spot: Spot) -> Side {
        self.is_over(area.parts.len());
        area.locate(spot)
    }

    fn intersect(&self, a: &Figure, b: &Figure) -> bool {
        match (&a.body, &b.body) {
            (Body::Points(points), _) => any_in(points, b),
            (_, Body::Points(points)) => any_in(points, a),
            (Body::Lines(a), Body::Lines(b)) => self.meet(&a.edges, &b.edges),
            (Body::Lines(lines), Body::Area(area)) | (Body::Area(area), Body::Lines(lines)) => {
                // Lines that do not touch the boundary are wholly on one side, each by itself.
                self.meet(&lines.edges, area.edges()) || self.any_start_inside(&lines.edges, area)
            }
            (Body::Area(a), Body::Area(b)) => {
                self.meet(a.edges(), b.edges())
                    || self.any_start_inside(a.edges(), b)
                    || self.any_start_inside(b.edges(), a)
            }
        }
    }

    fn any_start_inside(&self, edges: &Edges, area: &Area) -> bool {
        edges.starts().any(|spot| self.is_over(0) || self.locate(area, spot) == Side::Inside)
    }

    /// Whether any edge meets any other.
    fn meet(&self, a: &Edges, b: &Edges) -> bool {
        let (few, many) = if a.list().len() < b.list().len() { (a, b) } else { (b, a) };
        few.list().iter().any(|edge| {
            many.any(&edge.bounds(), |other| self.is_over(1) || edge.meet(other) != Meeting::Apart)
        })
    }

    fn is_within(&self, a: &Figure, b: &Figure) -> bool {
        match (&a.body, &b.body) {
            (Body::Points(points), _) => {
                let mut any_inside = false;
                let covered = points.list().iter().all(|point| {
                    let side = b.locate(*point);
                    any_inside |= side == Side::Inside;
                    side != Side::Outside
                });
                covered && any_inside
            }
            (Body::Lines(lines), Body::Area(area)) => {
                self.reach(&lines.edges, area) == Reach { inside: true, outside: false }
            }
            // What lines and areas cover, they cover with their insides.
            _ => self.is_covered(a, b),
        }
    }

    /// Whether every point of the one belongs to the other.
    fn is_covered(&self, a: &Figure, b: &Figure) -> bool {
        match (&a.body, &b.body) {
            (Body::Points(points), _) => {
                points.list().iter().all(|point| b.locate(*point) != Side::Outside)
            }
            (Body::Lines(a), Body::Lines(b)) => self.lines_covered(a, b),
            (Body::Lines(lines), Body::Area(area)) => !self.reach(&lines.edges, area).outside,
            (Body::Area(a), Body::Area(b)) => self.area_covered(a, b),
            _ => false,
        }
    }

    fn lines_covered(&self, a: &Lines, b: &Lines) -> bool {
        let mut shared: Vec<(f64, f64)> = Vec::new();
        a.edges.list().iter().all(|edge| {
            shared.clear();
            let whole = b.edges.any(&edge.bounds(), |other| {
                match edge.meet(other) {
                    Meeting::Along(from, to) => shared.push((from, to)),
                    // All there is of a line without length.
                    Meeting::At(_) if edge.a == edge.b => shared.push((0.0, 1.0)),
                    Meeting::At(_) | Meeting::Apart => {}
                }
                self.is_over(1) || shared.last() == Some(&(0.0, 1.0))
            });
            shared.sort_by(|x, y| x.0.total_cmp(&y.0));
            let mut reached = 0.0;
            for (from, to) in &shared {
                if *from > reached {
                    break;
                }
                reached = to.max(reached);
            }
            whole || reached >= 1.0
        })
    }

    fn area_covered(&self, a: &Area, b: &Area) -> bool {
        let parts_covered = a.parts.iter().all(|part| {
            let reach = self.reach(part, b);
            // A part drawn all along the other's boundary may fill it, or a hole of it.
            let fills =
                || spot_inside(part).is_none_or(|spot| self.locate(b, spot) != Side::Outside);
            !reach.outside && (reach.inside || fills())
        });
        parts_covered && !self.reaches_into(b, a)
    }

    /// Whether the boundary of the one runs through the inside of the other.
    fn reaches_into(&self, a: &Area, b: &Area) -> bool {
        let mut tracer = Tracer::new(self, b);
        a.edges().any(&b.edges().bounds(), |edge| {
            tracer.any_piece(edge, |side, spot| side == Side::Inside && !a.is_around(edge, spot))
        })
    }

    /// Where the pieces of some edges lie, but for those along the boundary. It stops at the first
    /// that lies outside.
    fn reach(&self, edges: &Edges, area: &Area) -> Reach {
        let mut tracer = Tracer::new(self, area);
        let mut inside = false;
        let outside = edges.list().iter().any(|edge| {
            tracer.any_piece(edge, |side, _| {
                inside |= side == Side::Inside;
                side == Side::Outside
            })
        });
        Reach { inside, outside }
    }

    fn overlap(&self, a: &Figure, b: &Figure) -> bool {
        match (&a.body, &b.body) {
            (Body::Points(points), Body::Points(others)) => {
                points.list().iter().any(|point| others.has(*point))
                    && !self.is_covered(a, b)
                    && !self.is_covered(b, a)
            }
            (Body::Lines(lines), Body::Lines(others)) => {
                let along = |edge: &Edge| {
                    others
                        .edges
                        .any(&edge.bounds(), |other| self.is_over(1) || edge.runs_along(other))
                };
                lines.edges.list().iter().any(along)
                    && !self.lines_covered(lines, others)
                    && !self.lines_covered(others, lines)
            }
            (Body::Area(area), Body::Area(other)) => {
                self.insides_meet(area, other)
                    && !self.area_covered(area, other)
                    && !self.area_covered(other, area)
            }
            _ => false,
        }
    }

    fn insides_meet(&self, a: &Area, b: &Area) -> bool {
        let fills = |part: &Edges| {
            spot_inside(part).is_some_and(|spot| self.locate(b, spot) == Side::Inside)
        };
        self.reaches_into(a, b) || self.reaches_into(b, a) || a.parts.iter().any(fills)
    }
}

fn any_in(points: &Spots, figure: &Figure) -> bool {
    points.list().iter().any(|point| figure.locate(*point) != Side::Outside)
}

/// Which sides of an area edges reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reach {
    inside: bool,
    outside: bool,
}

/// Follows edges over an area, cutting them where they meet its boundary.
struct Tracer<'a> {
    work: &'a Work,
    area: &'a Area,
    cuts: Vec<f64>,
    /// Pieces of an edge that run along the boundary.
    along: Vec<(f64, f64)>,
    /// Where the last edge ended and the side it ended on, if that was not the boundary.
    last: Option<(Spot, Side)>,
}

impl<'a> Tracer<'a> {
    fn new(work: &'a Work, area: &'a Area) -> Self {
        Self { work, area, cuts: Vec::new(), along: Vec::new(), last: None }
    }

    /// Shows each piece of an edge that does not run along the boundary, by its side and a spot
    /// of it, until one is enough. True if one was, or if the work is over.
    fn any_piece(&mut self, edge: &Edge, mut enough: impl FnMut(Side, Spot) -> bool) -> bool {
        if self.cut(edge) {
            return true;
        }
        let mut known = self.last.filter(|(end, _)| *end == edge.a).map(|(_, side)| side);
        self.last = None;
        let mut from = 0.0;
        let mut along = self.along.iter().peekable();
        for to in self.cuts.iter().copied().chain([1.0]) {
            while along.next_if(|(_, end)| *end < to).is_some() {}
            let runs_along = along.peek().is_some_and(|(start, _)| *start <= from);
            if to - from > NO_PIECE && !runs_along {
                let middle = edge.at(from + (to - from) / 2.0);
                let side = known.unwrap_or_else(|| self.work.locate(self.area, middle));
                known = Some(side);
                if self.work.is_over(0) || (side != Side::Boundary && enough(side, middle)) {
                    return true;
                }
            }
            if to < 1.0 || self.cuts.last() == Some(&1.0) {
                known = None;
            }
            from = to;
        }
        self.last = known.filter(|side| *side != Side::Boundary).map(|side| (edge.b, side));
        false
    }

    /// Finds where an edge meets the boundary. True if the work is over.
    fn cut(&mut self, edge: &Edge) -> bool {
        let Self { work, area, cuts, along, .. } = self;
        cuts.clear();
        along.clear();
        let is_over = area.edges().any(&edge.bounds(), |other| {
            match edge.meet(other) {
                Meeting::Apart => {}
                Meeting::At(place) => cuts.push(place),
                Meeting::Along(from, to) => {
                    cuts.extend([from, to]);
                    along.push((from, to));
                }
            }
            work.is_over(1)
        });
        cuts.sort_by(f64::total_cmp);
        cuts.dedup();
        along.sort_by(|x, y| x.0.total_cmp(&y.0));
        // What overlaps becomes one.
        along.dedup_by(|next, last| {
            let joined = next.0 <= last.1;
            if joined {
                last.1 = last.1.max(next.1);
            }
            joined
        });
        is_over
    }
}
