//! Geoqueries (4.10): how the geometry of an entity must relate to that of the query.

use std::{fmt, sync::Arc};

use super::scan::{Cursor, Dots, term};
use super::{Hint, Limits, QueryError, Term};
use crate::geo::{GeoError, Geometry, Prepared, Rect, Relation};
use crate::jsonld::Context;
use crate::model::{Datum, Entity, Name, Timestamp};

/// The four parameters of a geoquery as they were sent.
#[derive(Debug, Clone, Copy, Default)]
pub struct GeoParams<'a> {
    pub georel: Option<&'a str>,
    pub geometry: Option<&'a str>,
    /// A JSON array as text.
    pub coordinates: Option<&'a str>,
    pub geoproperty: Option<&'a str>,
}

/// A geoquery: a GeoProperty of the entity, and what must hold of any of its instances.
#[derive(Debug, Clone, PartialEq)]
pub struct GeoFilter {
    property: Term,
    rule: Rule,
    reference: Arc<Prepared>,
}

/// What must hold between the entity's geometry and the reference.
#[derive(Debug, Clone, PartialEq)]
enum Rule {
    Related(Relation),
    /// `near;maxDistance`: no further than so many metres, all of which lies in the rectangles.
    Within {
        metres: f64,
        reach: Vec<Rect>,
    },
    /// `near;minDistance`: further than so many metres.
    Beyond {
        metres: f64,
    },
}

const GEOREL: &str = "\"near;maxDistance==metres\", \"near;minDistance==metres\", within, contains, \
                      overlaps, intersects, equals or disjoint";

impl GeoFilter {
    /// Reads the parameters `georel`, `geometry`, `coordinates` and `geoproperty`. None if there is
    /// no geoquery; `geoproperty` alone is none (4.10).
    pub fn parse(
        params: &GeoParams<'_>,
        context: &Context,
        limits: &Limits,
    ) -> Result<Option<Self>, QueryError> {
        let given = [
            ("georel", params.georel),
            ("geometry", params.geometry),
            ("coordinates", params.coordinates),
        ];
        if given.iter().all(|(_, text)| text.is_none()) {
            return Ok(None);
        }
        if let Some((missing, _)) = given.iter().find(|(_, text)| text.is_none()) {
            return Err(QueryError::incompatible(
                missing,
                "a geoquery needs georel, geometry and coordinates together, and this one is missing",
            ));
        }
        let text = |text: Option<&'_ str>| text.unwrap_or_default().to_owned();
        let reference = reference(
            ("geometry", &text(params.geometry)),
            ("coordinates", &text(params.coordinates)),
            limits,
        )?;
        let rule = rule(params.georel.unwrap_or_default(), reference.bounds())?;
        let property = match params.geoproperty {
            Some(text) => property(text, context, limits)?,
            None => Term::new("location", Name::LOCATION.as_str(), Some(Name::LOCATION)),
        };
        Ok(Some(Self { property, rule, reference: Arc::new(reference) }))
    }

    /// Whether the entity has the GeoProperty, and the geometry of any living instance passes.
    pub fn matches(&self, entity: &Entity, now: Timestamp) -> bool {
        let attribute = self.property.name().and_then(|name| entity.attributes.get(name));
        attribute.is_some_and(|attribute| {
            attribute.instances().iter().any(|instance| match &instance.datum {
                Datum::GeoProperty(geometry) => instance.is_alive(now) && self.admits(geometry),
                _ => false,
            })
        })
    }

    /// Whether a geometry passes.
    pub fn admits(&self, geometry: &Geometry) -> bool {
        match &self.rule {
            Rule::Related(relation) => self.reference.is_related(geometry, *relation),
            Rule::Within { metres, reach } => {
                let in_reach = match geometry {
                    Geometry::Point(point) => reach.iter().any(|rect| rect.has(*point)),
                    shape => {
                        let bounds = shape.bounds();
                        reach.iter().any(|rect| rect.intersects(&bounds))
                    }
                };
                in_reach && self.reference.is_within_m(geometry, *metres)
            }
            Rule::Beyond { metres } => !self.reference.is_within_m(geometry, *metres),
        }
    }

    /// A condition that holds of every entity that passes.
    pub fn hint(&self) -> Hint {
        let Some(attribute) = self.property.name() else { return Hint::Nothing };
        match self.reach() {
            Some(rects) => Hint::Bounds { attribute, rects },
            None => Hint::AnyAttribute(vec![attribute]),
        }
    }

    /// Rectangles, one of which the bounds of every geometry that passes touch; None if it may be
    /// anywhere.
    pub fn reach(&self) -> Option<Vec<Rect>> {
        match &self.rule {
            Rule::Within { reach, .. } => Some(reach.clone()),
            Rule::Related(Relation::Disjoint) | Rule::Beyond { .. } => None,
            Rule::Related(_) => Some(vec![self.reference.bounds()]),
        }
    }

    /// The GeoProperty that is asked about.
    pub fn property(&self) -> &Term {
        &self.property
    }

    /// The geometry of the query.
    pub fn reference(&self) -> &Geometry {
        self.reference.geometry()
    }

    /// The parameter `georel`, as it would be sent on.
    pub fn georel(&self) -> String {
        match &self.rule {
            Rule::Related(relation) => relation.to_string(),
            Rule::Within { metres, .. } => format!("near;maxDistance=={metres}"),
            Rule::Beyond { metres } => format!("near;minDistance=={metres}"),
        }
    }

    /// The parameter `coordinates`, as it would be sent on.
    pub fn coordinates(&self) -> String {
        coordinates_text(self.reference())
    }
}

impl fmt::Display for GeoFilter {
    /// As in a URL, but for its encoding.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "georel={}&geometry={}&coordinates={}&geoproperty={}",
            self.georel(),
            self.reference().type_name(),
            self.coordinates(),
            self.property
        )
    }
}

/// The coordinates of a geometry as text.
pub(super) fn coordinates_text(geometry: &Geometry) -> String {
    let mut text = Vec::new();
    geometry.write_coordinates(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// Reads a reference geometry from two parameters, each with its name.
pub(super) fn reference(
    (type_parameter, type_name): (&'static str, &str),
    (coordinates_parameter, coordinates): (&'static str, &str),
    limits: &Limits,
) -> Result<Prepared, QueryError> {
    match Geometry::parse_text(type_name, coordinates, &limits.geometry) {
        Ok(geometry) => Ok(Prepared::new(geometry)),
        Err(error) if error.is_too_large() => {
            Err(QueryError::too_complex(coordinates_parameter, error.to_string()))
        }
        Err(error @ GeoError::UnknownType(_)) => {
            let span = Some((0, type_name.len()));
            Err(QueryError::syntax(type_parameter, error.to_string(), span))
        }
        Err(error) => {
            let message = format!("{error}; a {type_name} was expected");
            Err(QueryError::syntax(coordinates_parameter, message, None))
        }
    }
}

fn property(text: &str, context: &Context, limits: &Limits) -> Result<Term, QueryError> {
    let mut cursor = Cursor::new("geoproperty", text, limits);
    cursor.skip_spaces();
    let name = cursor.name("the name of a GeoProperty", Dots::Belong)?;
    cursor.must_end("the end")?;
    Ok(term(name, context))
}

fn rule(georel: &str, bounds: Rect) -> Result<Rule, QueryError> {
    let refuse =
        |message: String| Err(QueryError::syntax("georel", message, Some((0, georel.len()))));
    if let Some(relation) = Relation::from_word(georel) {
        return Ok(Rule::Related(relation));
    }
    let shown: String = georel.chars().take(64).collect();
    let Some(modifier) = georel.strip_prefix("near") else {
        return refuse(format!("{shown:?} is no relationship: use {GEOREL}"));
    };
    let Some((word, number)) = modifier.strip_prefix(';').and_then(|m| m.split_once("==")) else {
        return refuse(format!(
            "{shown:?} says no distance: write near;maxDistance==2000 or near;minDistance==2000"
        ));
    };
    let Some(metres) = positive_number(number) else {
        return refuse(format!(
            "the distance in {shown:?} is not one positive number of metres, like 2000 or 0.5"
        ));
    };
    match word {
        "maxDistance" => Ok(Rule::Within { metres, reach: bounds.expanded(metres) }),
        "minDistance" => Ok(Rule::Beyond { metres }),
        _ => refuse(format!("{shown:?} has neither maxDistance nor minDistance after near")),
    }
}

/// A JSON number without a minus that is not zero (4.10), and not beyond what a double holds.
fn positive_number(text: &str) -> Option<f64> {
    let number: serde_json::Number = serde_json::from_str(text).ok()?;
    let begins_and_ends = text.starts_with(|c: char| c.is_ascii_digit())
        && text.ends_with(|c: char| c.is_ascii_digit());
    number.as_f64().filter(|number| begins_and_ends && number.is_finite() && *number > 0.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};

    use super::super::testing::{context, entity, name, now};
    use super::super::{EntityPlan, ErrorKind, NoLookup};
    use super::*;
    use crate::geo::Position;

    fn parse(
        georel: &str,
        geometry: &str,
        coordinates: &str,
        geoproperty: Option<&str>,
    ) -> Result<GeoFilter, QueryError> {
        let params = GeoParams {
            georel: Some(georel),
            geometry: Some(geometry),
            coordinates: Some(coordinates),
            geoproperty,
        };
        let filter = GeoFilter::parse(&params, context(), &Limits::default())?;
        Ok(filter.expect("a geoquery"))
    }

    fn filter(georel: &str, geometry: &str, coordinates: &str) -> GeoFilter {
        parse(georel, geometry, coordinates, None).expect(georel)
    }

    fn at(kind: &str, coordinates: Json) -> Json {
        json!({"value": {"type": kind, "coordinates": coordinates}})
    }

    fn place(kind: &str, coordinates: Json) -> Entity {
        let mut place = entity(json!({}));
        place
            .attributes
            .insert(Name::LOCATION, super::super::testing::attribute(&at(kind, coordinates)));
        place
    }

    const BERLIN: &str = "[[[13.08,52.6],[13.75,52.61],[13.75,52.33],[13.08,52.34],[13.08,52.6]]]";

    #[test]
    fn entities_match_by_where_they_are() {
        let gate = place("Point", json!([13.3777, 52.5163]));
        let airport = place("Point", json!([13.5033, 52.3667]));
        let wall = place("LineString", json!([[13.43, 52.50], [13.45, 52.51]]));
        let park = place(
            "Polygon",
            json!([[
                [13.33, 52.51],
                [13.37, 52.51],
                [13.37, 52.52],
                [13.33, 52.52],
                [13.33, 52.51]
            ]]),
        );
        for (georel, geometry, coordinates, expected) in [
            ("near;maxDistance==2000", "Point", "[13.3888,52.5170]", "gate park"),
            ("near;maxDistance==700.5", "Point", "[13.3888,52.5170]", ""),
            ("near;minDistance==2000", "Point", "[13.3888,52.5170]", "airport wall"),
            ("near;maxDistance==1e7", "Point", "[99.5,18.3]", "gate airport wall park"),
            ("near;maxDistance==500", "LineString", "[[13.37,52.4],[13.37,52.6]]", "park"),
            ("near;maxDistance==600", "LineString", "[[13.37,52.4],[13.37,52.6]]", "gate park"),
            ("within", "Polygon", BERLIN, "gate airport wall park"),
            ("disjoint", "Polygon", BERLIN, ""),
            (
                "within",
                "Polygon",
                "[[[13.35,52.5],[13.4,52.5],[13.4,52.6],[13.35,52.6],[13.35,52.5]]]",
                "gate",
            ),
            (
                "overlaps",
                "Polygon",
                "[[[13.35,52.5],[13.4,52.5],[13.4,52.6],[13.35,52.6],[13.35,52.5]]]",
                "park",
            ),
            ("contains", "Point", "[13.35,52.515]", "park"),
            ("intersects", "Point", "[13.33,52.515]", "park"),
            ("equals", "Point", "[13.3777,52.5163]", "gate"),
            ("equals", "LineString", "[[13.45,52.51],[13.43,52.50]]", "wall"),
            ("intersects", "LineString", "[[13.44,52.4],[13.44,52.6]]", "wall"),
            ("disjoint", "LineString", "[[13.44,52.4],[13.44,52.6]]", "gate airport park"),
        ] {
            let filter = filter(georel, geometry, coordinates);
            let all = [("gate", &gate), ("airport", &airport), ("wall", &wall), ("park", &park)];
            let found = all.iter().filter(|(_, entity)| filter.matches(entity, now()));
            let found: Vec<&str> = found.map(|(name, _)| *name).collect();
            assert_eq!(found.join(" "), expected, "{filter}");
        }
    }

    #[test]
    fn any_living_instance_of_the_geoproperty_is_enough() {
        let near = at("Point", json!([8, 40]));
        let far = at("Point", json!([9, 41]));
        let with = |key: &str, value: &str, mut instance: Json| {
            instance[key] = value.into();
            instance
        };
        for (attributes, expected) in [
            (json!({}), false),
            (json!({"spot": near}), true),
            (json!({"spot": far}), false),
            (json!({"other": near}), false),
            (json!({"spot": {"value": "[8,40]"}}), false),
            (json!({"spot": [far, with("datasetId", "urn:d:1", near.clone())]}), true),
            (json!({"spot": with("expiresAt", "2026-01-01T00:00:00Z", near.clone())}), false),
            (json!({"spot": with("expiresAt", "2027-01-01T00:00:00Z", near.clone())}), true),
        ] {
            for georel in ["near;maxDistance==1", "equals"] {
                let filter = parse(georel, "Point", "[8,40]", Some("spot")).expect("a geoquery");
                let entity = entity(attributes.clone());
                assert_eq!(filter.matches(&entity, now()), expected, "{georel} {attributes}");
                let plan = EntityPlan { geo: Some(filter), ..EntityPlan::default() };
                assert_eq!(plan.matches(&entity, now(), &NoLookup), expected);
                assert!(!plan.is_too_wide());
            }
        }
        let apart = parse("disjoint", "Point", "[0,0]", Some("spot")).expect("a geoquery");
        assert!(!apart.matches(&entity(json!({})), now()), "without the GeoProperty: no match");
    }

    #[test]
    fn what_is_no_geoquery_is_refused_with_its_parameter() {
        const POINT: &str = "[8,40]";
        for (georel, geometry, coordinates, parameter, message) in [
            ("touches", "Point", POINT, "georel", "\"touches\" is no relationship"),
            ("Within", "Point", POINT, "georel", "\"Within\" is no relationship"),
            ("", "Point", POINT, "georel", "\"\" is no relationship"),
            ("near", "Point", POINT, "georel", "\"near\" says no distance"),
            ("near;maxDistance=2000", "Point", POINT, "georel", "says no distance"),
            ("near;maxDistance:2000", "Point", POINT, "georel", "says no distance"),
            ("near;distance==5", "Point", POINT, "georel", "neither maxDistance nor minDistance"),
            ("near;maxDistance==0", "Point", POINT, "georel", "one positive number"),
            ("near;maxDistance==0.0e5", "Point", POINT, "georel", "one positive number"),
            ("near;maxDistance==-100", "Point", POINT, "georel", "one positive number"),
            ("near;maxDistance==inf", "Point", POINT, "georel", "one positive number"),
            ("near;maxDistance==1e400", "Point", POINT, "georel", "one positive number"),
            ("near;maxDistance==+5", "Point", POINT, "georel", "one positive number"),
            ("near;maxDistance== 5", "Point", POINT, "georel", "one positive number"),
            ("near;maxDistance==", "Point", POINT, "georel", "one positive number"),
            ("near;maxDistance==5;minDistance==1", "Point", POINT, "georel", "one positive number"),
            ("within", "Circle", POINT, "geometry", "is not a geometry type"),
            ("within", "GeometryCollection", "[]", "geometry", "is not a geometry type"),
            ("within", "Polygon", POINT, "coordinates", "a Polygon was expected"),
            ("within", "Point", "8,40", "coordinates", "not JSON"),
            ("within", "Point", "{\"x\":1}", "coordinates", "not a position"),
            ("within", "Point", "[98,181]", "coordinates", "latitude"),
            ("within", "Polygon", "[[[0,0],[1,0],[1,1],[0,1]]]", "coordinates", "not closed"),
        ] {
            let error = parse(georel, geometry, coordinates, None).expect_err(georel);
            assert_eq!((error.kind, error.parameter), (ErrorKind::Syntax, parameter), "{error}");
            assert!(error.message.contains(message), "{error}");
        }
        let error = parse("within", "Point", POINT, Some("a b")).expect_err("two words");
        assert_eq!(error.parameter, "geoproperty");
        let many = format!("[{}[1,2]]", "[1,2],".repeat(10_000));
        let error = parse("within", "MultiPoint", &many, None).expect_err("many");
        assert_eq!((error.kind, error.parameter), (ErrorKind::TooComplex, "coordinates"));
    }

    #[test]
    fn the_first_three_parameters_come_together() {
        let text = |given: bool, text| given.then_some(text);
        for bits in 0..16 {
            let params = GeoParams {
                georel: text(bits & 1 != 0, "within"),
                geometry: text(bits & 2 != 0, "Point"),
                coordinates: text(bits & 4 != 0, "[8,40]"),
                geoproperty: text(bits & 8 != 0, "location"),
            };
            match (bits & 7, GeoFilter::parse(&params, context(), &Limits::default())) {
                (0, Ok(None)) | (7, Ok(Some(_))) => {}
                (1..=6, Err(error)) => assert_eq!(error.kind, ErrorKind::Incompatible),
                (_, other) => panic!("{params:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_is_printed_parses_to_the_same() {
        for (georel, geometry, coordinates, geoproperty) in [
            ("near;maxDistance==2000", "Point", "[8,40]", None),
            ("near;minDistance==0.25", "LineString", "[[8,40.5],[9,41,300]]", Some("spot")),
            ("within", "Polygon", BERLIN, Some("p:spot")),
            ("disjoint", "MultiPoint", "[[1,2]]", Some("https://example.org/a.b#spot")),
            ("equals", "Point", "[1,2]", Some("ฝุ่น")),
        ] {
            let filter = parse(georel, geometry, coordinates, geoproperty).expect(georel);
            let text = filter.to_string();
            assert!(text.starts_with(&format!("georel={georel}&geometry={geometry}&")), "{text}");
            let parts: Vec<&str> =
                text.split('&').filter_map(|part| Some(part.split_once('=')?.1)).collect();
            let again = parse(parts[0], parts[1], parts[2], Some(parts[3])).expect(&text);
            assert_eq!(again, filter, "{text}");
            assert_eq!(again.to_string(), text);
        }
        let known = parse("within", "Point", "[8,40]", Some("<https://example.org/dust>"));
        assert_eq!(known.expect("an IRI").property(), &Term::known(name("ฝุ่น")));
    }

    #[test]
    fn a_geoproperty_that_nothing_has_matches_nothing() {
        let filter = parse("disjoint", "Point", "[8,40]", Some("neverSeenSpot")).expect("one");
        assert_eq!(filter.hint(), Hint::Nothing);
        assert!(!filter.matches(&place("Point", json!([1, 2])), now()));
    }

    fn position() -> impl Strategy<Value = Position> {
        let lon = prop_oneof![-180.0..=180.0f64, 179.0..=180.0f64, Just(-180.0), 8.0..9.0f64];
        let lat = prop_oneof![-90.0..=90.0f64, 89.0..=90.0f64, Just(-90.0), 40.0..41.0f64];
        (lon, lat).prop_map(|(lon, lat)| Position::new(lon, lat))
    }

    fn geometry() -> impl Strategy<Value = Geometry> {
        prop_oneof![
            position().prop_map(Geometry::Point),
            prop::collection::vec(position(), 1..4).prop_map(Geometry::MultiPoint),
            prop::collection::vec(position(), 2..4).prop_map(Geometry::LineString),
            prop::collection::vec(position(), 3..6).prop_map(|mut ring| {
                ring.push(ring[0]);
                Geometry::Polygon(vec![ring])
            }),
        ]
    }

    fn georel() -> impl Strategy<Value = String> {
        prop_oneof![
            (0.0..8.0f64).prop_map(|digits| format!("near;maxDistance=={}", 10f64.powf(digits))),
            (0.0..8.0f64).prop_map(|digits| format!("near;minDistance=={}", 10f64.powf(digits))),
            prop::sample::select(Relation::ALL.map(Relation::word).to_vec())
                .prop_map(str::to_owned),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn hints_never_leave_out_a_match(
            subject in geometry(),
            reference in geometry(),
            georel in georel(),
        ) {
            let coordinates = coordinates_text(&reference);
            let filter = filter(&georel, reference.type_name(), &coordinates);
            if filter.admits(&subject) && let Hint::Bounds { rects, .. } = filter.hint() {
                let bounds = subject.bounds();
                prop_assert!(rects.iter().any(|rect| rect.intersects(&bounds)), "{rects:?}");
            }
        }

        #[test]
        fn near_is_what_measuring_says(
            subject in position(),
            reference in position(),
            digits in 0.0..8.0f64,
        ) {
            let metres = 10f64.powf(digits);
            let coordinates = coordinates_text(&Geometry::Point(reference));
            let distance = Prepared::new(Geometry::Point(reference))
                .distance_m(&Geometry::Point(subject));
            let near = filter(&format!("near;maxDistance=={metres}"), "Point", &coordinates);
            let far = filter(&format!("near;minDistance=={metres}"), "Point", &coordinates);
            prop_assert_eq!(near.admits(&Geometry::Point(subject)), distance <= metres);
            prop_assert_eq!(far.admits(&Geometry::Point(subject)), distance > metres);
        }
    }
}
