//! Relations against hand-checked cases and against another implementation; distances against
//! brute force; rectangles against both.

use ::geo::{Relate, Validation};
use proptest::prelude::*;

use super::*;

fn read(kind: &str, coordinates: &str) -> Geometry {
    match Geometry::parse_text(kind, coordinates, &Limits::default()) {
        Ok(geometry) => geometry,
        Err(error) => panic!("{kind} {coordinates}: {error}"),
    }
}

/// A geometry written like `Point [1,2]`.
fn shape(text: &str) -> Geometry {
    let (kind, coordinates) = text.split_once(' ').expect("a type and coordinates");
    read(kind, coordinates)
}

fn relations(subject: &Geometry, reference: &Geometry) -> String {
    let prepared = Prepared::new(reference.clone());
    let words = Relation::ALL.into_iter().filter(|word| prepared.is_related(subject, *word));
    words.map(Relation::word).collect::<Vec<_>>().join(" ")
}

const SQUARE: &str = "Polygon [[[0,0],[10,0],[10,10],[0,10],[0,0]]]";
const HOLED: &str = "Polygon [[[0,0],[10,0],[10,10],[0,10],[0,0]],[[4,4],[6,4],[6,6],[4,6],[4,4]]]";
const LINE: &str = "LineString [[0,0],[4,0],[4,4]]";

#[test]
fn relations_are_those_of_simple_features() {
    for (subject, reference, expected) in [
        // Points and points.
        ("Point [1,2]", "Point [1,2]", "within contains intersects equals"),
        ("Point [1,2]", "Point [1,3]", "disjoint"),
        ("Point [1,2]", "MultiPoint [[1,2],[3,4]]", "within intersects"),
        ("MultiPoint [[1,2],[3,4]]", "Point [1,2]", "contains intersects"),
        ("MultiPoint [[1,2],[1,2]]", "Point [1,2]", "within contains intersects equals"),
        ("Point [1,2]", "MultiPoint [[1,2],[1,2]]", "within contains intersects equals"),
        (
            "MultiPoint [[1,2],[3,4]]",
            "MultiPoint [[3,4],[1,2]]",
            "within contains intersects equals",
        ),
        ("MultiPoint [[1,2],[3,4]]", "MultiPoint [[3,4],[5,6]]", "overlaps intersects"),
        ("MultiPoint [[1,2],[3,4]]", "MultiPoint [[3,4],[5,6],[1,2]]", "within intersects"),
        // Points and lines: the ends of a line are its boundary.
        ("Point [2,0]", LINE, "within intersects"),
        ("Point [4,0]", LINE, "within intersects"),
        ("Point [0,0]", LINE, "intersects"),
        ("Point [4,4]", LINE, "intersects"),
        ("Point [5,0]", LINE, "disjoint"),
        ("Point [2,1]", LINE, "disjoint"),
        (LINE, "Point [2,0]", "contains intersects"),
        (LINE, "Point [0,0]", "intersects"),
        ("MultiPoint [[0,0],[2,0]]", LINE, "within intersects"),
        ("MultiPoint [[0,0],[4,4]]", LINE, "intersects"),
        ("Point [0,0]", "LineString [[0,0],[4,0],[4,4],[0,0]]", "within intersects"),
        ("Point [4,0]", "MultiLineString [[[0,0],[4,0]],[[4,0],[4,4]]]", "within intersects"),
        (
            "Point [4,0]",
            "MultiLineString [[[0,0],[4,0]],[[4,0],[4,4]],[[4,0],[8,0]]]",
            "intersects",
        ),
        // Points and areas.
        ("Point [5,5]", SQUARE, "within intersects"),
        ("Point [10,5]", SQUARE, "intersects"),
        ("Point [10,10]", SQUARE, "intersects"),
        ("Point [11,5]", SQUARE, "disjoint"),
        ("Point [-1,10]", SQUARE, "disjoint"),
        (SQUARE, "Point [5,5]", "contains intersects"),
        (SQUARE, "Point [10,5]", "intersects"),
        ("Point [5,5]", HOLED, "disjoint"),
        ("Point [2,2]", HOLED, "within intersects"),
        ("Point [4,5]", HOLED, "intersects"),
        ("MultiPoint [[2,2],[10,5]]", SQUARE, "within intersects"),
        ("MultiPoint [[2,2],[12,5]]", SQUARE, "intersects"),
        ("MultiPoint [[0,0],[10,5]]", SQUARE, "intersects"),
        // Lines and lines.
        ("LineString [[1,0],[3,0]]", LINE, "within intersects"),
        ("LineString [[0,0],[4,0]]", LINE, "within intersects"),
        ("LineString [[4,4],[4,0],[0,0]]", LINE, "within contains intersects equals"),
        ("LineString [[0,0],[2,0],[4,0],[4,1],[4,4]]", LINE, "within contains intersects equals"),
        (
            "MultiLineString [[[4,0],[4,4]],[[0,0],[4,0]]]",
            LINE,
            "within contains intersects equals",
        ),
        ("LineString [[-1,0],[2,0]]", LINE, "overlaps intersects"),
        ("LineString [[2,-1],[2,1]]", LINE, "intersects"),
        ("LineString [[0,0],[0,5]]", LINE, "intersects"),
        ("LineString [[0,1],[3,1]]", LINE, "disjoint"),
        (LINE, "LineString [[4,1],[4,3]]", "contains intersects"),
        // Lines and areas.
        ("LineString [[1,1],[9,9]]", SQUARE, "within intersects"),
        ("LineString [[0,0],[10,10]]", SQUARE, "within intersects"),
        ("LineString [[0,0],[10,0]]", SQUARE, "intersects"),
        ("LineString [[0,0],[10,0],[5,5]]", SQUARE, "within intersects"),
        ("LineString [[5,5],[15,5]]", SQUARE, "intersects"),
        ("LineString [[10,5],[15,5]]", SQUARE, "intersects"),
        ("LineString [[-5,5],[15,5]]", SQUARE, "intersects"),
        ("LineString [[11,0],[11,9]]", SQUARE, "disjoint"),
        ("LineString [[9,12],[12,9]]", SQUARE, "disjoint"),
        ("LineString [[1,5],[9,5]]", HOLED, "intersects"),
        ("LineString [[1,4],[9,4]]", HOLED, "within intersects"),
        ("LineString [[4.5,4.5],[5.5,5.5]]", HOLED, "disjoint"),
        ("LineString [[4,4],[6,6]]", HOLED, "intersects"),
        (SQUARE, "LineString [[1,1],[9,9]]", "contains intersects"),
        ("MultiLineString [[[1,1],[2,2]],[[20,20],[30,30]]]", SQUARE, "intersects"),
        // Areas and areas.
        (SQUARE, SQUARE, "within contains intersects equals"),
        (
            "Polygon [[[10,10],[10,5],[10,0],[0,0],[0,10],[10,10]]]",
            SQUARE,
            "within contains intersects equals",
        ),
        ("Polygon [[[1,1],[2,1],[2,2],[1,1]]]", SQUARE, "within intersects"),
        ("Polygon [[[0,0],[5,0],[5,5],[0,0]]]", SQUARE, "within intersects"),
        (SQUARE, "Polygon [[[0,0],[5,0],[5,5],[0,0]]]", "contains intersects"),
        ("Polygon [[[5,5],[15,5],[15,15],[5,15],[5,5]]]", SQUARE, "overlaps intersects"),
        ("Polygon [[[10,0],[20,0],[20,10],[10,10],[10,0]]]", SQUARE, "intersects"),
        ("Polygon [[[10,10],[20,10],[20,20],[10,10]]]", SQUARE, "intersects"),
        ("Polygon [[[11,0],[20,0],[20,10],[11,0]]]", SQUARE, "disjoint"),
        ("Polygon [[[-5,4],[15,4],[15,6],[-5,6],[-5,4]]]", SQUARE, "overlaps intersects"),
        // Holes.
        (HOLED, SQUARE, "within intersects"),
        (SQUARE, HOLED, "contains intersects"),
        ("Polygon [[[4.5,4.5],[5.5,4.5],[5.5,5.5],[4.5,4.5]]]", HOLED, "disjoint"),
        ("Polygon [[[4,4],[6,4],[6,6],[4,6],[4,4]]]", HOLED, "intersects"),
        ("Polygon [[[4,4],[6,4],[6,6],[4,6],[4,4]]]", SQUARE, "within intersects"),
        ("Polygon [[[3,3],[7,3],[7,7],[3,7],[3,3]]]", HOLED, "overlaps intersects"),
        ("Polygon [[[1,1],[3,1],[3,3],[1,1]]]", HOLED, "within intersects"),
        (
            "Polygon [[[0,0],[10,0],[10,10],[0,10],[0,0]],[[3,3],[7,3],[7,7],[3,7],[3,3]]]",
            HOLED,
            "within intersects",
        ),
        (HOLED, HOLED, "within contains intersects equals"),
        // Several parts.
        (
            "MultiPolygon [[[[1,1],[2,1],[2,2],[1,1]]],[[[5,5],[6,5],[6,6],[5,5]]]]",
            SQUARE,
            "within intersects",
        ),
        (
            "MultiPolygon [[[[1,1],[2,1],[2,2],[1,1]]],[[[15,5],[16,5],[16,6],[15,5]]]]",
            SQUARE,
            "overlaps intersects",
        ),
        (
            "MultiPolygon [[[[0,0],[10,0],[10,10],[0,10],[0,0]]],[[[15,5],[16,5],[16,6],[15,5]]]]",
            SQUARE,
            "contains intersects",
        ),
        (
            "MultiPolygon [[[[0,0],[10,0],[10,10],[0,10],[0,0]]],[[[15,5],[16,5],[16,6],[15,5]]]]",
            "MultiPolygon [[[[0,0],[10,0],[10,10],[0,10],[0,0]]],[[[25,5],[26,5],[26,6],[25,5]]]]",
            "overlaps intersects",
        ),
        // Two halves that share an edge are the whole.
        (
            "MultiPolygon [[[[0,0],[5,0],[5,10],[0,10],[0,0]]],[[[5,0],[10,0],[10,10],[5,10],[5,0]]]]",
            SQUARE,
            "within contains intersects equals",
        ),
        (
            "Polygon [[[1,1],[9,1],[9,9],[1,1]]]",
            "MultiPolygon [[[[0,0],[5,0],[5,10],[0,10],[0,0]]],[[[5,0],[10,0],[10,10],[5,10],[5,0]]]]",
            "within intersects",
        ),
        (
            "Point [5,5]",
            "MultiPolygon [[[[0,0],[5,0],[5,10],[0,10],[0,0]]],[[[5,0],[10,0],[10,10],[5,10],[5,0]]]]",
            "within intersects",
        ),
        // Parts that overlap, which they should not, cover what either covers.
        (
            "Polygon [[[1,1],[9,1],[9,9],[1,1]]]",
            "MultiPolygon [[[[0,0],[6,0],[6,10],[0,10],[0,0]]],[[[4,0],[10,0],[10,10],[4,10],[4,0]]]]",
            "within intersects",
        ),
        // Shapes of different dimensions.
        ("LineString [[0,0],[10,0],[10,10],[0,10],[0,0]]", SQUARE, "intersects"),
        (SQUARE, "MultiPoint [[0,0],[10,0],[10,10],[0,10],[0,0]]", "intersects"),
        // A line without length is where it is.
        ("LineString [[5,5],[5,5]]", SQUARE, "within intersects"),
        ("LineString [[2,0],[2,0]]", LINE, "within intersects"),
    ] {
        let (a, b) = (shape(subject), shape(reference));
        assert_eq!(relations(&a, &b), expected, "{subject} to {reference}");
        for relation in [Relation::Overlaps, Relation::Intersects, Relation::Equals] {
            assert_eq!(
                a.is_related(&b, relation),
                b.is_related(&a, relation),
                "{relation} is symmetric: {subject}, {reference}"
            );
        }
        assert_eq!(
            a.is_related(&b, Relation::Within),
            b.is_related(&a, Relation::Contains),
            "{subject}, {reference}"
        );
    }
}

#[test]
fn rings_that_cross_themselves_are_compared_too() {
    let bow = "Polygon [[[0,0],[4,4],[4,0],[0,4],[0,0]]]";
    for (subject, reference, expected) in [
        ("Point [3.5,2]", bow, "within intersects"),
        ("Point [2,3]", bow, "disjoint"),
        (bow, SQUARE, "within intersects"),
        (bow, bow, "within contains intersects equals"),
        ("Polygon [[[3.2,1.8],[3.8,1.8],[3.8,2.2],[3.2,1.8]]]", bow, "within intersects"),
    ] {
        assert_eq!(relations(&shape(subject), &shape(reference)), expected, "{subject}");
    }
}

fn to_geo(geometry: &Geometry) -> ::geo::Geometry<f64> {
    use ::geo::{Coord, LineString, MultiLineString, MultiPoint, MultiPolygon, Point, Polygon};
    let coord = |p: &Position| Coord { x: p.lon, y: p.lat };
    let line = |path: &Vec<Position>| LineString(path.iter().map(coord).collect());
    let polygon = |rings: &Vec<Vec<Position>>| {
        let mut rings = rings.iter().map(line);
        Polygon::new(rings.next().expect("an outer ring"), rings.collect())
    };
    match geometry {
        Geometry::Point(p) => Point(coord(p)).into(),
        Geometry::MultiPoint(path) => {
            MultiPoint(path.iter().map(|p| Point(coord(p))).collect()).into()
        }
        Geometry::LineString(path) => line(path).into(),
        Geometry::MultiLineString(paths) => {
            MultiLineString(paths.iter().map(line).collect()).into()
        }
        Geometry::Polygon(rings) => polygon(rings).into(),
        Geometry::MultiPolygon(parts) => MultiPolygon(parts.iter().map(polygon).collect()).into(),
    }
}

/// Whether a polygon has no area, which the other implementation takes for valid, and fails.
fn is_flat(geometry: &::geo::Geometry<f64>) -> bool {
    use ::geo::{Area, Polygon};
    let flat = |p: &Polygon<f64>| Polygon::new(p.exterior().clone(), vec![]).unsigned_area() == 0.0;
    match geometry {
        ::geo::Geometry::Polygon(polygon) => flat(polygon),
        ::geo::Geometry::MultiPolygon(parts) => parts.iter().any(flat),
        _ => false,
    }
}

fn grid() -> impl Strategy<Value = Position> {
    (0..7i8, 0..7i8).prop_map(|(lon, lat)| Position::new(lon.into(), lat.into()))
}

fn path() -> impl Strategy<Value = Vec<Position>> {
    prop::collection::vec(grid(), 2..5)
}

fn ring() -> impl Strategy<Value = Vec<Position>> {
    prop::collection::vec(grid(), 3..7).prop_map(|mut ring| {
        ring.push(ring[0]);
        ring
    })
}

/// Any geometry whose positions are on a small grid, so that edges often touch.
fn on_grid() -> impl Strategy<Value = Geometry> {
    prop_oneof![
        grid().prop_map(Geometry::Point),
        prop::collection::vec(grid(), 1..4).prop_map(Geometry::MultiPoint),
        path().prop_map(Geometry::LineString),
        prop::collection::vec(path(), 1..4).prop_map(Geometry::MultiLineString),
        (ring(), prop::collection::vec(ring(), 0..2)).prop_map(|(outer, holes)| {
            Geometry::Polygon(std::iter::once(outer).chain(holes).collect())
        }),
        prop::collection::vec(ring().prop_map(|ring| vec![ring]), 1..3)
            .prop_map(Geometry::MultiPolygon),
    ]
}

/// A polygon drawn round the centre of the grid, perhaps with a hole: valid, with corners between
/// the lines of the grid.
fn star() -> impl Strategy<Value = Geometry> {
    (prop::collection::vec(1.2..3.0f64, 3..12), prop::option::of(0.2..0.5f64)).prop_map(
        |(radii, hole)| {
            let turn = std::f64::consts::TAU / radii.len() as f64;
            let ring = |size: f64| {
                let mut ring: Vec<Position> = radii
                    .iter()
                    .enumerate()
                    .map(|(index, radius)| {
                        let (sin, cos) = (turn * index as f64).sin_cos();
                        Position::new(3.0 + size * radius * cos, 3.0 + size * radius * sin)
                    })
                    .collect();
                ring.push(ring[0]);
                ring
            };
            Geometry::Polygon(std::iter::once(ring(1.0)).chain(hole.map(ring)).collect())
        },
    )
}

fn any_shape() -> impl Strategy<Value = Geometry> {
    prop_oneof![3 => on_grid(), 1 => star()]
}

fn anywhere() -> impl Strategy<Value = Position> {
    let near_edges = prop_oneof![
        (-180.0..=180.0f64),
        (179.9..=180.0f64),
        (-180.0..=-179.9f64),
        Just(180.0),
        Just(-180.0),
    ];
    let near_poles = prop_oneof![(-90.0..=90.0f64), (89.9..=90.0f64), Just(-90.0), Just(0.0)];
    (near_edges, near_poles).prop_map(|(lon, lat)| Position::new(lon, lat))
}

/// A geometry around a place on the globe, as wide as some degrees.
fn around(width: f64) -> impl Strategy<Value = Geometry> {
    (anywhere(), any_shape()).prop_map(move |(centre, shape)| {
        moved(&shape, |p| {
            Position::new(
                (centre.lon + (p.lon - 3.0) * width).clamp(-180.0, 180.0),
                (centre.lat + (p.lat - 3.0) * width).clamp(-90.0, 90.0),
            )
        })
    })
}

fn moved(geometry: &Geometry, to: impl Fn(&Position) -> Position + Copy) -> Geometry {
    let path = |path: &Vec<Position>| path.iter().map(to).collect::<Vec<_>>();
    let paths = |paths: &Vec<Vec<Position>>| paths.iter().map(path).collect::<Vec<_>>();
    match geometry {
        Geometry::Point(p) => Geometry::Point(to(p)),
        Geometry::MultiPoint(p) => Geometry::MultiPoint(path(p)),
        Geometry::LineString(p) => Geometry::LineString(path(p)),
        Geometry::MultiLineString(p) => Geometry::MultiLineString(paths(p)),
        Geometry::Polygon(p) => Geometry::Polygon(paths(p)),
        Geometry::MultiPolygon(parts) => Geometry::MultiPolygon(parts.iter().map(paths).collect()),
    }
}

/// Positions along every line of a geometry.
fn samples(geometry: &Geometry, steps: usize) -> Vec<Position> {
    let mut all = Vec::new();
    for path in geometry.paths() {
        all.extend_from_slice(path);
        if matches!(geometry, Geometry::MultiPoint(_)) {
            continue;
        }
        for pair in path.windows(2) {
            all.extend((1..steps).map(|step| {
                let share = step as f64 / steps as f64;
                Position::new(
                    pair[0].lon + share * (pair[1].lon - pair[0].lon),
                    pair[0].lat + share * (pair[1].lat - pair[0].lat),
                )
            }));
        }
    }
    all
}

fn brute_distance(a: &Geometry, b: &Geometry, steps: usize) -> f64 {
    if a.is_related(b, Relation::Intersects) {
        return 0.0;
    }
    let others = samples(b, steps);
    samples(a, steps)
        .iter()
        .flat_map(|one| others.iter().map(|other| one.distance_m(*other)))
        .fold(f64::INFINITY, f64::min)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, max_global_rejects: 10_000, ..ProptestConfig::default() })]

    #[test]
    fn relations_of_valid_geometries_are_as_another_implementation_says(
        a in any_shape(),
        b in any_shape(),
    ) {
        let (x, y) = (to_geo(&a), to_geo(&b));
        prop_assume!(x.is_valid() && y.is_valid() && !is_flat(&x) && !is_flat(&y));
        let matrix = x.relate(&y);
        // The other one rounds where lines cross, and then misses that they run along others.
        let lines = |g: &Geometry| {
            matches!(g, Geometry::LineString(_) | Geometry::MultiLineString(_)) && g.vertices() > 2
        };
        let rounded = lines(&a) || lines(&b);
        for (relation, expected) in [
            (Relation::Within, matrix.is_within()),
            (Relation::Contains, matrix.is_contains()),
            (Relation::Overlaps, matrix.is_overlaps()),
            (Relation::Intersects, matrix.is_intersects()),
            (Relation::Equals, matrix.is_equal_topo()),
            (Relation::Disjoint, matrix.is_disjoint()),
        ] {
            if !rounded || matches!(relation, Relation::Intersects | Relation::Disjoint) {
                prop_assert_eq!(a.is_related(&b, relation), expected, "{} {:?} {:?}", relation, a, b);
            }
        }
    }

    #[test]
    fn any_two_geometries_can_be_compared(a in on_grid(), b in on_grid()) {
        let has = |relation| a.is_related(&b, relation);
        prop_assert_ne!(has(Relation::Intersects), has(Relation::Disjoint));
        prop_assert_eq!(has(Relation::Within), b.is_related(&a, Relation::Contains));
        prop_assert_eq!(has(Relation::Intersects), b.is_related(&a, Relation::Intersects));
        prop_assert_eq!(has(Relation::Overlaps), b.is_related(&a, Relation::Overlaps));
        prop_assert_eq!(has(Relation::Equals), b.is_related(&a, Relation::Equals));
        prop_assert!(a.is_related(&a, Relation::Equals));
        if has(Relation::Within) || has(Relation::Overlaps) || has(Relation::Equals) {
            prop_assert!(has(Relation::Intersects));
        }
        prop_assert_eq!(a.distance_m(&b) == 0.0, has(Relation::Intersects));
    }

    #[test]
    fn distances_are_those_of_brute_force(
        (a, b) in prop_oneof![Just(0.001), Just(0.1), Just(5.0)]
            .prop_flat_map(|width| (around(width), around(width)))
    ) {
        let distance = a.distance_m(&b);
        let coarse = brute_distance(&a, &b, 40);
        // The samples are at most a fortieth of an edge off on either side.
        let bounds = a.bounds().join(b.bounds());
        let wide = (bounds.east - bounds.west) + (bounds.north - bounds.south);
        let gap = (wide.min(60.0) / 40.0).to_radians() * EARTH_RADIUS_M * 1.5;
        prop_assert!(distance <= coarse * (1.0 + 2e-5) + 0.05, "{distance} {coarse}");
        prop_assert!(distance >= coarse - gap, "{distance} {coarse} {gap}");
        let back = b.distance_m(&a);
        prop_assert!((distance - back).abs() <= 4e-5 * distance + 0.1, "{distance} {back}");
    }

    #[test]
    fn near_agrees_with_the_distance(
        a in around(0.1),
        b in around(0.1),
        metres in prop_oneof![0.1..1e3f64, 1e3..2e7f64],
    ) {
        let reference = Prepared::new(b);
        let distance = reference.distance_m(&a);
        prop_assume!((distance - metres).abs() > 4e-5 * distance + 0.2);
        prop_assert_eq!(reference.is_within_m(&a, metres), distance <= metres);
        if distance > 0.2 {
            prop_assert!(reference.is_within_m(&a, distance * (1.0 + 1e-4) + 0.1));
            prop_assert!(!reference.is_within_m(&a, distance * (1.0 - 1e-4) - 0.1));
        }
    }

    #[test]
    fn expanded_rectangles_lose_nothing(
        a in prop_oneof![around(0.1), around(8.0), anywhere().prop_map(Geometry::Point)],
        b in prop_oneof![around(0.1), around(8.0), anywhere().prop_map(Geometry::Point)],
    ) {
        let metres = a.distance_m(&b);
        let rects = b.bounds().expanded(metres);
        prop_assert!(rects.iter().any(|rect| rect.intersects(&a.bounds())), "{metres} {rects:?}");
        for rect in rects {
            prop_assert!(rect.west >= -180.0 && rect.east <= 180.0, "{rect:?}");
            prop_assert!(rect.south >= -90.0 && rect.north <= 90.0, "{rect:?}");
        }
    }

    #[test]
    fn what_is_written_reads_back(
        geometry in prop_oneof![around(0.001), around(5.0)],
        alt in prop::option::of(-500.0..9000.0f64),
    ) {
        let geometry = moved(&geometry, |p| Position { alt, ..*p });
        let mut text = Vec::new();
        geometry.write_coordinates(&mut text);
        let text = String::from_utf8(text).expect("text");
        let limits = Limits::default();
        prop_assert_eq!(
            Geometry::parse_text(geometry.type_name(), &text, &limits),
            Ok(geometry.clone())
        );
        let mut json = Vec::new();
        geometry.write_json(&mut json);
        let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
        prop_assert_eq!(&json, &geometry.to_json());
        prop_assert_eq!(Geometry::parse(geometry.type_name(), &json["coordinates"], &limits), Ok(geometry));
    }
}

#[test]
fn distances_are_metres_on_a_sphere() {
    let degree = EARTH_RADIUS_M.to_radians();
    for (a, b, metres) in [
        ("Point [0,0]", "Point [0,1]", degree),
        ("Point [0,0]", "Point [180,0]", 180.0 * degree),
        ("Point [0,60]", "Point [1,60]", 55_597.45),
        ("Point [179.5,0]", "Point [-179.5,0]", degree),
        ("Point [-180,12]", "Point [180,12]", 0.0),
        ("Point [0,90]", "Point [123,90]", 0.0),
        // From the middle of a line, not its ends.
        ("Point [5,1]", "LineString [[0,0],[10,0]]", degree),
        // Along a parallel, which is not the shortest way between its ends.
        ("Point [5,61]", "LineString [[0,60],[10,60]]", degree),
        ("Point [10,60.009]", "LineString [[0,60],[10,60]]", 0.009 * degree),
        // A degree of longitude is short near a pole.
        ("LineString [[0,85.6],[1,85]]", "Point [0,85]", 9_578.6),
        // Over the pole.
        ("Point [0,89]", "Point [180,89]", 2.0 * degree),
        // In a polygon, and in its hole.
        ("Point [5,5]", SQUARE, 0.0),
        ("Point [5,5]", HOLED, 0.996_2 * degree),
        (HOLED, "Point [5,5]", 0.996_2 * degree),
        ("LineString [[4.9,5],[5.1,5]]", HOLED, 0.9 * 0.996_2 * degree),
        (SQUARE, "Polygon [[[2,2],[3,2],[3,3],[2,2]]]", 0.0),
        (SQUARE, "Polygon [[[11,0],[12,0],[12,1],[11,0]]]", degree),
        ("LineString [[0,-1],[0,1]]", "LineString [[-1,0],[1,0]]", 0.0),
    ] {
        let distance = shape(a).distance_m(&shape(b));
        assert!((distance - metres).abs() <= 1e-4 * metres + 0.001, "{a} {b}: {distance} {metres}");
    }
}

#[test]
fn rectangles_reach_over_poles_and_the_antimeridian() {
    let rect = |west, south, east, north| Rect { west, south, east, north };
    let point = |lon, lat| Rect::around(&[Position::new(lon, lat)]);
    assert_eq!(point(100.0, 18.0).expanded(1_000.0).len(), 1);
    assert_eq!(point(179.999, 18.0).expanded(1_000.0).len(), 2);
    assert_eq!(point(-180.0, 18.0).expanded(1.0).len(), 2);
    assert_eq!(Rect::EMPTY.expanded(1.0), []);
    let [cap] = point(7.0, 89.999).expanded(1_000.0)[..] else { panic!("one band") };
    assert_eq!((cap.west, cap.east, cap.north), (-180.0, 180.0, 90.0));
    assert_eq!(point(7.0, 0.0).expanded(3e7), [rect(-180.0, -90.0, 180.0, 90.0)]);
    assert_eq!(rect(-170.0, 0.0, 170.0, 1.0).expanded(2e6).len(), 1);
}

#[test]
fn what_is_no_geometry_is_refused_with_its_place() {
    let limits = Limits { max_vertices: 6, max_text: 100 };
    for (kind, coordinates, message) in [
        ("Circle", "[1,2]", "\"Circle\" is not a geometry type"),
        ("GeometryCollection", "[]", "\"GeometryCollection\" is not a geometry type"),
        ("point", "[1,2]", "\"point\" is not a geometry type"),
        ("Point", "[1,2", "the coordinates are not JSON"),
        ("Point", "1,2", "the coordinates are not JSON"),
        ("Point", "[]", "coordinates is not a position"),
        ("Point", "[1]", "coordinates is not a position"),
        ("Point", "[1,\"2\"]", "coordinates is not a position"),
        ("Point", "[1,2,3,4]", "coordinates is not a position"),
        ("Point", "[1,2,null]", "coordinates is not a position"),
        ("Point", "[[1,2]]", "coordinates is not a position"),
        ("Point", "[181,2]", "the longitude 181 at coordinates"),
        ("Point", "[18.2,99.5]", "the latitude 99.5 at coordinates"),
        ("Point", "[1e999,2]", "the coordinates are not JSON"),
        ("MultiPoint", "[]", "coordinates is not an array of positions"),
        ("MultiPoint", "[[1,2],[3]]", "coordinates[1] is not a position"),
        ("LineString", "[[1,2]]", "coordinates has 1 positions, and a line needs at least 2"),
        ("LineString", "[1,2]", "coordinates[0] is not a position"),
        ("Polygon", "[[1,2],[3,4]]", "coordinates[0][0] is not a position"),
        ("Polygon", "[[[0,0],[1,0],[0,0]]]", "coordinates[0] has 3 positions"),
        ("Polygon", "[[[0,0],[1,0],[1,1],[0,1]]]", "the ring at coordinates[0] is not closed"),
        ("Polygon", "[[]]", "coordinates[0] is not a ring"),
        ("MultiPolygon", "[[[[0,0],[1,0],[1,1],[0,1]]]]", "the ring at coordinates[0][0]"),
        (
            "LineString",
            "[[1,2],[1,2],[1,2],[1,2],[1,2],[1,2],[1,2]]",
            "the geometry has more than 6 positions",
        ),
        ("LineString", &format!("[{}]", " ".repeat(100)), "the coordinates take more than 100"),
    ] {
        let error = Geometry::parse_text(kind, coordinates, &limits).expect_err(coordinates);
        let text = error.to_string();
        assert!(text.starts_with(message), "{kind} {coordinates}: {text}");
        assert_eq!(error.is_too_large(), message.contains("more than"), "{text}");
    }
}

#[test]
fn whole_numbers_are_written_without_a_fraction() {
    for (geometry, text) in [
        ("Point [8.0,40.50]", "[8,40.5]"),
        ("Point [-0.0,1e-7,300.0]", "[0,1e-7,300]"),
        ("MultiLineString [[[1,2],[3,4]]]", "[[[1,2],[3,4]]]"),
        ("MultiPolygon [[[[0,0],[1,0],[1,1],[0,0]]]]", "[[[[0,0],[1,0],[1,1],[0,0]]]]"),
    ] {
        let mut out = Vec::new();
        shape(geometry).write_coordinates(&mut out);
        assert_eq!(String::from_utf8_lossy(&out), text);
    }
}

#[test]
fn what_strangers_send_is_compared_in_bounded_time() {
    let comb = |turned: bool| {
        let at = |i: u32| {
            let (x, y) = (f64::from(i % 2) * 10.0, f64::from(i) * 1e-3);
            if turned { Position::new(y, x) } else { Position::new(x, y) }
        };
        Geometry::LineString((0..10_000).map(at).collect())
    };
    let there_and_back = |step: f64| {
        let at = |i: u32| Position::new(f64::from(i % 2) + f64::from(i) * step, 0.0);
        Geometry::LineString((0..10_000).map(at).collect())
    };
    let ring: Vec<Position> =
        [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 0.0)].map(|(x, y)| Position::new(x, y)).into();
    let stack = Geometry::MultiPolygon(vec![vec![ring]; 2_500]);
    for (a, b) in [
        (comb(false), comb(true)),
        (there_and_back(0.0), there_and_back(0.0)),
        (there_and_back(1e-6), there_and_back(2e-6)),
        (stack.clone(), stack),
    ] {
        let reference = Prepared::new(a);
        let start = std::time::Instant::now();
        assert!(reference.is_related(&b, Relation::Intersects));
        reference.is_related(&b, Relation::Overlaps);
        assert_eq!(reference.distance_m(&b), 0.0);
        assert!(start.elapsed().as_secs() < 30, "{:?}", start.elapsed());
    }
}
