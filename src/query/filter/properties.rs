//! What must hold of every query.

use std::ops::RangeBounds;

use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Value as Json, json};

use super::super::testing::{attribute, entity, now, parse};
use super::super::{Hint, Key, Limits, Moment, NoLookup, Pattern, keys_of};
use super::*;
use crate::model::{Entity, Number, Timestamp};

const PATHS: &[&str] = &[
    "a",
    "b",
    "lang",
    "lang[en]",
    "lang[*]",
    "voc",
    "rel",
    "list",
    "raw",
    "raw[k]",
    "obj",
    "obj[k]",
    "obj[k.k]",
    "a.b",
    "a.observedAt",
    "modifiedAt",
    "id",
    "never",
    "rel{a}",
    "<https://x.org/y>",
    "ฝุ่น",
    "p:n.b[k]",
    "list[0]",
];

fn path() -> BoxedStrategy<Path> {
    select(PATHS)
        .prop_map(|text| match parse(text).expect(text) {
            Filter::Test(test) => test.path,
            _ => unreachable!("a path alone is a test"),
        })
        .boxed()
}

/// Texts of which many are equal, many read as dates, and some begin alike.
fn text() -> BoxedStrategy<String> {
    let long = "x".repeat(127);
    prop_oneof![
        select(vec!["", "a", "b", "ab", "แม่เมาะ", "urn:x:1", "commercial", "true", "5"])
            .prop_map(str::to_owned),
        select(vec![
            "2026-01-01",
            "2026-01-01T00:00:00Z",
            "2026-01-01T12:00:00Z",
            "2026-01-01T12:00:00.0Z",
            "2026-01-02",
            "2026-01-02T00:00:00Z",
            "12:00:00Z",
            "1970-01-01T12:00:00Z",
        ])
        .prop_map(str::to_owned),
        select(vec!["", "ก", "x", "y", "xx"]).prop_map(move |end| format!("{long}{end}")),
        "[ -~ก-๙\"\\\\]{0,6}",
    ]
    .boxed()
}

fn number() -> BoxedStrategy<Number> {
    prop_oneof![
        (-3_i64..4).prop_map(Number::Int),
        (-12_i64..12).prop_map(|quarters| Number::Float(quarters as f64 / 4.0)),
        (9_007_199_254_740_990_i64..9_007_199_254_740_996).prop_map(Number::Int),
        (u64::MAX - 3..=u64::MAX).prop_map(Number::UInt),
        any::<i32>().prop_map(|number| Number::Int(number.into())),
    ]
    .boxed()
}

fn moment() -> BoxedStrategy<Moment> {
    text().prop_filter_map("no moment", |text| Moment::parse(&text)).boxed()
}

fn literal() -> BoxedStrategy<Literal> {
    prop_oneof![any::<bool>().prop_map(Literal::Bool), comparable()].boxed()
}

fn comparable() -> BoxedStrategy<Literal> {
    prop_oneof![
        number().prop_map(Literal::Number),
        moment().prop_map(Literal::Moment),
        text().prop_map(|text| Literal::Text(Text::new(&text, true, None))),
        select(vec!["urn:x:1", "word", "ab", "คำ"])
            .prop_map(|text| Literal::Text(Text::new(text, false, None))),
    ]
    .boxed()
}

fn operand() -> BoxedStrategy<Operand> {
    let same_kind = |low: &Literal, high: &Literal| match (low, high) {
        (Literal::Text(_), Literal::Moment(_)) | (Literal::Moment(_), Literal::Text(_)) => false,
        (low, high) => std::mem::discriminant(low) == std::mem::discriminant(high),
    };
    prop_oneof![
        literal().prop_map(Operand::One),
        vec(literal(), 2..4).prop_map(Operand::List),
        (comparable(), comparable())
            .prop_filter("no range", move |(low, high)| same_kind(low, high))
            .prop_map(|(low, high)| Operand::Range(low, high)),
    ]
    .boxed()
}

fn test() -> BoxedStrategy<Test> {
    let relation = select(vec![
        Relation::Less,
        Relation::LessOrEqual,
        Relation::Greater,
        Relation::GreaterOrEqual,
    ]);
    let pattern = select(vec!["a", "^2026", "^$", "เมาะ", "\\d", "[\"\\\\]"])
        .prop_map(|text| Pattern::parse("q", text, &Limits::default()).expect(text));
    let check = prop_oneof![
        Just(Check::Exists),
        Just(Check::Absent),
        operand().prop_map(Check::Equal),
        operand().prop_map(Check::Equal),
        operand().prop_map(Check::Unequal),
        (relation, comparable()).prop_map(|(relation, literal)| Check::Order(relation, literal)),
        pattern.clone().prop_map(Check::Matches),
        pattern.prop_map(Check::MatchesNot),
    ];
    (path(), check).prop_map(|(path, check)| Test { path, check }).boxed()
}

fn filter() -> BoxedStrategy<Filter> {
    test()
        .prop_map(Filter::Test)
        .prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                vec(inner.clone(), 2..4).prop_map(Filter::All),
                vec(inner, 2..4).prop_map(Filter::Any),
            ]
        })
        .boxed()
}

fn scalar() -> BoxedStrategy<Json> {
    prop_oneof![
        any::<bool>().prop_map(Json::from),
        number().prop_map(|number| match number {
            Number::Int(number) => number.into(),
            Number::UInt(number) => number.into(),
            Number::Float(number) => number.into(),
        }),
        text().prop_map(Json::from),
        text().prop_map(|text| json!({"@type": "DateTime", "@value": text})),
    ]
    .boxed()
}

fn any_attribute() -> BoxedStrategy<Json> {
    let items = || vec(scalar(), 0..3);
    let id = select(vec!["urn:x:1", "urn:x:2"]);
    let word = select(vec!["commercial", "https://x.org/y"]);
    prop_oneof![
        scalar().prop_map(|value| json!({"value": value})),
        (scalar(), scalar()).prop_map(|(value, sub)| json!({
            "value": value, "b": sub, "observedAt": "2026-01-01T12:00:00Z",
        })),
        items().prop_map(|items| json!({"value": items})),
        items().prop_map(|items| json!({"valueList": items})),
        scalar().prop_map(|value| json!({"value": {"k": value}})),
        scalar().prop_map(|value| json!({"json": {"k": value}})),
        vec(scalar(), 0..3).prop_map(|items| json!({"json": items})),
        vec(text(), 0..3).prop_map(|texts| json!({"languageMap": {"en": texts, "th": "ab"}})),
        vec(id, 1..3).prop_map(|ids| json!({"object": ids})),
        vec(word, 1..3).prop_map(|words| json!({"vocab": words})),
        (scalar(), scalar()).prop_map(|(one, other)| json!([
            {"value": one, "expiresAt": "2026-01-01T00:00:00Z"},
            {"value": other, "datasetId": "urn:x:d"},
        ])),
    ]
    .boxed()
}

fn any_entity() -> BoxedStrategy<Entity> {
    const NAMES: &[&str] = &["a", "b", "lang", "voc", "rel", "list", "raw", "obj", "ฝุ่น", "p:n"];
    proptest::collection::hash_map(select(NAMES), any_attribute(), 0..7)
        .prop_map(|members| {
            entity(members.into_iter().map(|(name, json)| (name.to_owned(), json)).collect())
        })
        .boxed()
}

/// Whether a hint admits an entity, as an index would find it.
fn admits(hint: &Hint, entity: &Entity) -> bool {
    match hint {
        Hint::Nothing => false,
        Hint::Ids(ids) => ids.contains(&entity.id),
        Hint::Types(types) => types.selects(entity.types.as_slice()),
        Hint::AnyAttribute(names) => {
            names.iter().any(|name| entity.attributes.get(*name).is_some())
        }
        Hint::Value { attribute, ranges } => {
            let mut keys = Vec::new();
            if let Some(attribute) = entity.attributes.get(*attribute) {
                keys_of(attribute, &mut keys);
            }
            keys.iter().any(|key| ranges.iter().any(|range| range.contains(key)))
        }
        Hint::Scope(scope) => scope.matches(&entity.scopes),
        Hint::Bounds { .. } => true,
        Hint::OneOf(hints) => hints.iter().any(|hint| admits(hint, entity)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_is_printed_parses_to_the_same(filter in filter()) {
        prop_assert_eq!(parse(&filter.to_string()), Ok(filter));
    }

    #[test]
    fn hints_leave_no_match_out(filter in filter(), entity in any_entity()) {
        if filter.matches(&entity, now(), &NoLookup) {
            for hint in filter.hints() {
                prop_assert!(admits(&hint, &entity), "{} {:?} {:?}", filter, hint, entity);
            }
        }
    }

    /// The same, with one attribute and one test, so that many match.
    #[test]
    fn value_hints_leave_no_match_out(test in test(), json in any_attribute()) {
        let filter = Filter::Test(test);
        let entity = entity(json!({
            "a": json, "b": json, "lang": json, "voc": json, "rel": json, "list": json, "raw": json,
        }));
        if filter.matches(&entity, now(), &NoLookup) {
            for hint in filter.hints() {
                prop_assert!(admits(&hint, &entity), "{} {:?} {:?}", filter, hint, entity);
            }
        }
    }

    #[test]
    fn equality_and_inequality_exclude_each_other(operand in operand(), json in any_attribute()) {
        let path = match parse("a") {
            Ok(Filter::Test(test)) => test.path,
            other => panic!("{other:?}"),
        };
        let test = |check| Filter::Test(Test { path: path.clone(), check });
        let one = entity(json!({"a": json}));
        let equal = test(Check::Equal(operand.clone())).matches(&one, now(), &NoLookup);
        let unequal = test(Check::Unequal(operand)).matches(&one, now(), &NoLookup);
        let instances = attribute(&json).instances().iter().filter(|i| i.is_alive(now())).count();
        if instances == 1 {
            prop_assert_ne!(equal, unequal);
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "[a(){}\\[\\]<>=!~;|,.:\"\\\\ 0-9TZ*#/ฝุ่-]{0,16}") {
        if let Ok(filter) = parse(&text) {
            prop_assert_eq!(parse(&filter.to_string()), Ok(filter));
        }
    }

    #[test]
    fn keys_are_ordered_as_their_values(a in number(), b in number()) {
        let (first, second) = (Key::number(a.as_f64()), Key::number(b.as_f64()));
        if a.as_f64() < b.as_f64() {
            prop_assert!(first < second);
        }
        let instant = Timestamp::from_micros(0);
        prop_assert!(first < Key::Instant(instant.micros()));
    }
}
