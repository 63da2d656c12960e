//! Promises about queries.

use std::sync::OnceLock;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::*;
use crate::jsonld::{Context, Document};
use crate::model::{Attribute, Datum, Instance, Kind, OneOrMany, TypeTerm};
use crate::query::{ErrorKind, Filter, FilterOptions, GeoFilter, GeoParams, Limits, Lookup};
use crate::query::{Lookups, Order, OrderParams, Pattern, ScopeFilter, parse_attrs};
use crate::store::samples::{self, attribute_name, place};

/// A context in which the sample attributes are called `a0` to `a9` and the types `T0` to `T9`.
pub(in crate::store) fn context() -> &'static Context {
    static CONTEXT: OnceLock<Arc<Context>> = OnceLock::new();
    CONTEXT.get_or_init(|| {
        let mut terms = serde_json::Map::new();
        for number in 0..10 {
            terms.insert(format!("a{number}"), attribute_name(number).as_str().into());
            terms.insert(format!("T{number}"), type_name(number).as_str().into());
        }
        Context::local(&Document::from_json(&terms.into())).unwrap()
    })
}

pub(in crate::store) fn filter(text: &str) -> Filter {
    Filter::parse(text, context(), &FilterOptions::default(), &Limits::default())
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn query(text: &str) -> EntityPlan {
    EntityPlan { filter: Some(filter(text)), ..EntityPlan::default() }
}

pub(in crate::store) fn near(lon: f64, lat: f64, metres: u32) -> EntityPlan {
    let params = GeoParams {
        georel: Some(&format!("near;maxDistance=={metres}")),
        geometry: Some("Point"),
        coordinates: Some(&format!("[{lon},{lat}]")),
        geoproperty: Some("a1"),
    };
    let geo = GeoFilter::parse(&params, context(), &Limits::default()).unwrap();
    EntityPlan { geo, ..EntityPlan::default() }
}

/// A value as `q` writes it, like those of the samples and a little beside them.
fn literal() -> impl Strategy<Value = String> + Clone {
    prop_oneof![
        8 => (-6i32..6).prop_map(|half| (f64::from(half) / 2.0).to_string()),
        2 => Just("\"แม่เมาะ\"".to_owned()),
        2 => "\"[a-c]{1,2}\"",
        1 => Just("\"\"".to_owned()),
        2 => Just("2026-01-31T12:00:00Z".to_owned()),
        1 => Just("\"2026-01-31T12:00:00Z\"".to_owned()),
        1 => Just("\"12:00:00Z\"".to_owned()),
        2 => Just("2026-01-31".to_owned()),
        2 => (0usize..8).prop_map(|id| format!("\"{}\"", entity_id(id))),
        2 => (i64::MAX - 2..i64::MAX).prop_map(|number| number.to_string()),
        1 => (9_007_199_254_740_990i64..9_007_199_254_740_996).prop_map(|n| n.to_string()),
        1 => Just(format!("\"{}\"", "ก".repeat(43))),
        2 => (-3i64..3).prop_map(|seconds| at(seconds * 30).to_string()),
    ]
}

/// A range that goes between two values of one type.
fn range() -> impl Strategy<Value = String> + Clone {
    let seconds = (-100i64..100, 0i64..100);
    prop_oneof![
        4 => (-3i32..3, 0i32..4).prop_map(|(low, more)| format!("{low}..{}", low + more)),
        1 => ("[a-c]{1,2}", "[a-c]{1,2}").prop_map(|(low, high)| format!("\"{low}\"..\"{high}\"")),
        1 => Just("2026-01-31..2026-02-01".to_owned()),
        1 => Just("\"\"..\"2026-02-01\"".to_owned()),
        1 => Just("2026-01-31T00:00:00Z..2026-01-31".to_owned()),
        1 => seconds.prop_map(|(low, more)| format!("{}..{}", at(low), at(low + more))),
    ]
}

/// What a term of `q` is about.
fn path() -> impl Strategy<Value = String> + Clone {
    let attribute = (0usize..6).prop_map(|number| format!("a{number}"));
    let member = prop_oneof![
        Just("observedAt"),
        Just("unitCode"),
        Just("datasetId"),
        Just("modifiedAt"),
        Just("createdAt"),
        Just("expiresAt"),
    ];
    let own = prop_oneof![
        Just("id"),
        Just("type"),
        Just("scope"),
        Just("createdAt"),
        Just("modifiedAt"),
        Just("expiresAt"),
    ];
    let two = (attribute.clone(), attribute.clone());
    prop_oneof![
        12 => attribute.clone(),
        2 => two.clone().prop_map(|(a, b)| format!("{a}.{b}")),
        1 => (two.clone(), attribute.clone()).prop_map(|((a, b), c)| format!("{a}.{b}.{c}")),
        2 => two.clone().prop_map(|(a, b)| format!("{a}[{b}]")),
        1 => attribute.clone().prop_map(|a| format!("{a}[*]")),
        2 => two.prop_map(|(a, b)| format!("{a}{{T0,T1:{b}}}")),
        3 => (attribute, member).prop_map(|(a, member)| format!("{a}.{member}")),
        2 => own.prop_map(str::to_owned),
    ]
}

/// A term of `q`.
fn test() -> impl Strategy<Value = String> + Clone {
    let operator =
        prop_oneof![Just("=="), Just("!="), Just(">"), Just(">="), Just("<"), Just("<=")];
    let equal = prop_oneof![Just("=="), Just("!=")];
    let like = prop_oneof![Just("~="), Just("!~=")];
    let pattern = prop_oneof![
        Just("^[ab]"),
        Just("เมาะ"),
        Just("^$"),
        Just("2026"),
        Just("(a|b)+"),
        Just("c?b$"),
        Just(":[0-4]"),
    ];
    let path = path();
    prop_oneof![
        2 => path.clone(),
        1 => path.clone().prop_map(|a| format!("!{a}")),
        1 => (path.clone(), equal.clone()).prop_map(|(a, b)| format!("{a}{b}true")),
        12 => (path.clone(), operator, literal()).prop_map(|(a, b, c)| format!("{a}{b}{c}")),
        3 => (path.clone(), equal.clone(), literal(), literal())
            .prop_map(|(a, b, c, d)| format!("{a}{b}{c},{d}")),
        4 => (path.clone(), equal, range()).prop_map(|(a, b, c)| format!("{a}{b}{c}")),
        3 => (path, like, pattern).prop_map(|(a, b, c)| format!("{a}{b}{c}")),
    ]
}

fn q() -> impl Strategy<Value = String> + Clone {
    test().prop_recursive(2, 5, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..3)
                .prop_map(|all| format!("({})", all.join(";"))),
            prop::collection::vec(inner, 2..3).prop_map(|any| format!("({})", any.join("|"))),
        ]
    })
}

fn selector() -> impl Strategy<Value = Selector> + Clone {
    let term = (0usize..4).prop_map(|number| TypeTerm::Known(type_name(number)));
    let combination = prop::collection::vec(term, 1..3);
    let types = prop_oneof![
        1 => Just(TypeSelection::Any),
        5 => prop::collection::vec(combination, 1..3).prop_map(TypeSelection::Of),
    ];
    let pattern = Just(Pattern::parse("idPattern", "[1-5]$", &Limits::default()).unwrap());
    (
        prop::collection::vec((0usize..10).prop_map(entity_id), 0..4),
        prop::option::weighted(0.2, pattern),
        prop::option::weighted(0.7, types),
    )
        .prop_map(|(ids, id_pattern, types)| Selector {
            ids: if id_pattern.is_some() { Vec::new() } else { ids },
            id_pattern,
            types,
            ..Selector::default()
        })
}

fn geo() -> impl Strategy<Value = GeoFilter> + Clone {
    let georel = prop_oneof![
        Just("near;maxDistance==5000"),
        Just("near;minDistance==3000"),
        Just("near;maxDistance==9000000"),
        Just("within"),
        Just("contains"),
        Just("overlaps"),
        Just("intersects"),
        Just("disjoint"),
        Just("equals"),
    ];
    let property = (0usize..6).prop_map(|number| format!("a{number}"));
    let far = prop_oneof![3 => Just(1.0), 1 => Just(800.0)];
    (georel, property, -8i32..8, -8i32..8, far).prop_map(|(georel, property, x, y, far)| {
        // In the little town of the samples, or anywhere in the world.
        let (x, y) = (f64::from(x) * far / 100.0, f64::from(y) * far / 100.0);
        let (lon, lat) = ((99.7 + x).min(179.9), (18.3 + y).clamp(-90.0, 89.9));
        let point = format!("[{lon},{lat}]");
        let (east, north) = (lon + 0.07 * far.sqrt().min(1.1), lat + 0.07);
        let square = format!(
            "[[[{lon},{lat}],[{east},{lat}],[{east},{north}],[{lon},{north}],[{lon},{lat}]]]"
        );
        let is_near = georel.starts_with("near") || georel == "equals";
        let params = GeoParams {
            georel: Some(georel),
            geometry: Some(if is_near { "Point" } else { "Polygon" }),
            coordinates: Some(if is_near { &point } else { &square }),
            geoproperty: Some(&property),
        };
        GeoFilter::parse(&params, context(), &Limits::default()).unwrap().unwrap()
    })
}

fn order() -> impl Strategy<Value = Order> + Clone {
    let by = prop_oneof![
        Just("a0"),
        Just("a1;desc,a2"),
        Just("id;desc"),
        Just("modifiedAt,id"),
        Just("modifiedAt;desc"),
        Just("createdAt,modifiedAt;desc"),
        Just("a0;desc,a1"),
        Just("a2.observedAt"),
        Just("a1.observedAt;desc,id"),
        Just("expiresAt"),
        Just("expiresAt;desc,a0"),
        Just("modifiedAt;desc,a0"),
        Just("a3;dist-asc"),
        Just("a4;dist-asc,a0"),
        Just("a3;dist-desc"),
        Just("a4;dist-desc,a1"),
        Just("a1"),
        Just("a5;desc"),
    ];
    by.prop_map(|by| {
        let order_from = Some("[99.7,18.3]");
        let params = OrderParams { order_by: Some(by), order_from, ..OrderParams::default() };
        Order::parse(&params, context(), &Limits::default()).unwrap().unwrap()
    })
}

pub(in crate::store) fn plan() -> impl Strategy<Value = EntityPlan> + Clone {
    let scope =
        prop_oneof![Just("/A/#"), Just("/+/B"), Just("/A;/B/C"), Just("/C,/A/A"), Just("/#")]
            .prop_map(|text| ScopeFilter::parse(text, &Limits::default()).unwrap());
    let attrs = prop_oneof![Just("a0"), Just("a1,a2"), Just("a9,a3")]
        .prop_map(|text| parse_attrs(text, context(), &Limits::default()).unwrap());
    (
        prop::collection::vec(selector(), 0..3),
        prop::option::weighted(0.3, attrs),
        prop::option::weighted(0.7, q()),
        prop::option::weighted(0.3, scope),
        (prop::option::weighted(0.3, geo()), prop::option::weighted(0.3, order())),
        (0usize..4, 0usize..8, any::<bool>()),
    )
        .prop_map(|(select, attrs, q, scope, (geo, order), (offset, limit, count))| {
            EntityPlan {
                select,
                attrs: attrs.unwrap_or_default(),
                filter: q.map(|text| filter(&text)),
                scope,
                geo,
                order,
                page: Page { offset, limit, count, after: None },
                ..EntityPlan::default()
            }
        })
}

/// All entities of a store, for the evaluator.
struct All(Vec<Arc<Stored>>);

impl Lookup for All {
    fn entity(&self, id: &EntityId) -> Option<Arc<Stored>> {
        self.0.iter().find(|entity| entity.id == *id).cloned()
    }
}

/// Whatever indexes there are: every query finds just what the evaluator says, in order.
pub async fn a_store_finds_what_the_evaluator_finds<B: Backend>() {
    let backend = B::start().await;
    let store = backend.store();
    let mut runner = TestRunner::deterministic();
    let entities = prop::collection::vec(samples::entity(), 1..12);
    let (mut matched, mut narrowed) = (0, 0);
    for case in 0..60 {
        let tenant = TenantId::named(&format!("case{case}")).unwrap();
        let upserts = entities.new_tree(&mut runner).unwrap().current().into_iter();
        let upserts = upserts.map(|e| Write::new(e.id.clone(), Action::Upsert(e))).collect();
        // Before the earliest expiry, so that all are kept.
        store.commit(&tenant, upserts, at(-200)).await.unwrap();
        let all = store.find(&tenant, &everything(), at(-200)).await.unwrap().entities;
        for query in 0..60 {
            let plan = plan().new_tree(&mut runner).unwrap().current();
            // Sometimes before, sometimes after things have expired.
            let now = at(query * 5 - 200);
            let lookup = All(all.iter().filter(|e| e.is_alive(now)).cloned().collect());
            let mut expected: Vec<&Arc<Stored>> =
                all.iter().filter(|entity| plan.matches(entity, now, &lookup)).collect();
            expected.sort_by(|a, b| plan.compare(a, b, now));
            matched += expected.len();
            narrowed += all.len() - expected.len();
            let found = store.find(&tenant, &plan, now).await.unwrap();
            let page = expected.iter().skip(plan.page.offset).take(plan.page.limit);
            let ids = |entity: &Arc<Stored>| entity.id.clone();
            assert_eq!(
                found.entities.iter().map(ids).collect::<Vec<_>>(),
                page.map(|entity| ids(entity)).collect::<Vec<_>>(),
                "{plan:?}"
            );
            assert_eq!(found.count, plan.page.count.then_some(expected.len() as u64), "{plan:?}");
            assert_eq!(found.more, expected.len() > plan.page.offset + plan.page.limit);
            let behind = plan.page.offset + found.entities.len();
            if let Some(next) = found.next {
                let page = Page { after: Some(next), offset: 0, limit: 3, count: false };
                let plan = EntityPlan { page, ..plan };
                let found = store.find(&tenant, &plan, now).await.unwrap();
                assert_eq!(
                    found.entities.iter().map(ids).collect::<Vec<_>>(),
                    expected.iter().skip(behind).take(3).map(|one| ids(one)).collect::<Vec<_>>(),
                    "{plan:?}"
                );
            }
            if query % 10 == 9 {
                backend.settle().await;
            }
        }
    }
    assert!(
        matched > 1_000 && narrowed > 1_000,
        "the queries say something: {matched}, {narrowed}"
    );
}

/// A query that follows a Relationship finds what it leads to, however far down the list; where
/// that is more than may be looked at, it is refused and not answered with nothing.
pub async fn links_are_followed_to_the_end_or_refused<B: Backend>() {
    const TARGETS: usize = 2_500;
    let backend = B::start().await;
    let store = backend.store();
    let target = |id: usize| {
        let mut entity = bare_entity(id, 0);
        entity.attributes.insert(attribute_name(0), property(id as f64));
        create(entity)
    };
    let all: Vec<EntityId> = (0..TARGETS).map(entity_id).collect();
    let mut hub = bare_entity(TARGETS, 1);
    let link = Datum::Relationship(OneOrMany::Many(Box::new(all)));
    hub.attributes.insert(attribute_name(1), Attribute::one(Instance::new(link)));
    let writes = (0..TARGETS).map(target).chain([create(hub)]).collect();
    store.commit(&HERE, writes, at(0)).await.unwrap();
    for (q, found) in [
        ("a1{a0}==5", true),
        ("a1{a0}==1500", true),
        ("a1{a0}==2499", true),
        ("a1{a0}==2500", false),
    ] {
        let found = if found { vec![entity_id(TARGETS)] } else { Vec::new() };
        assert_eq!(ids(&*store, &query(q), at(0)).await, found, "{q}");
    }
    let narrow = |q: &str| EntityPlan { lookups: Lookups(1_000), ..query(q) };
    assert_eq!(ids(&*store, &narrow("a1{a0}==999"), at(0)).await, [entity_id(TARGETS)]);
    for q in ["a1{a0}==1000", "a1{a0}==9999", "a1{a0}!=5;a1{a0}==1500"] {
        let error = store.find(&HERE, &narrow(q), at(0)).await.unwrap_err();
        let StoreError::Unanswerable(error) = error else { panic!("{q}: {error}") };
        assert_eq!(error.kind, ErrorKind::TooComplex, "{q}");
        assert!(error.message.contains("1000") && error.message.contains("limits.query_links"));
    }
}

/// With many entities and few matches, before and after an index is there, and while data change.
pub async fn changes_are_found_at_once<B: Backend>() {
    let backend = B::start().await;
    let store = backend.store();
    let entity = |id: usize, value: f64| {
        let mut entity = bare_entity(id, 0);
        entity.attributes.insert(attribute_name(0), property(value));
        entity.attributes.insert(attribute_name(1), place(99.0 + value / 1_000.0, 18.0));
        entity
    };
    let upsert =
        |id: usize, value: f64| Write::new(entity_id(id), Action::Upsert(entity(id, value)));
    let writes = (0..1_000).map(|id| upsert(id, id as f64)).collect();
    store.commit(&HERE, writes, at(0)).await.unwrap();
    let high = query("a0>=990");
    let exactly = query("a0==77");
    // The moved ones lie two degrees to the east.
    let around = |lon: f64| near(lon, 18.0, 1_000);
    for round in 0..3 {
        assert_eq!(ids(&*store, &high, at(0)).await.len(), 10, "round {round}");
        assert_eq!(ids(&*store, &exactly, at(0)).await, [entity_id(77)]);
        assert_eq!(ids(&*store, &around(99.5), at(0)).await.len(), 19);
        backend.settle().await;
    }
    for step in 0..50 {
        store.commit(&HERE, vec![upsert(step, 2_000.0)], at(1)).await.unwrap();
        assert_eq!(ids(&*store, &around(101.0), at(1)).await.len(), step + 1);
        let again = step.saturating_sub(10);
        assert_eq!(ids(&*store, &high, at(1)).await.len(), 11 + step + again);
        store
            .commit(&HERE, vec![Write::new(entity_id(999 - step), Action::Delete)], at(1))
            .await
            .unwrap();
        assert_eq!(ids(&*store, &query("a0>=1500"), at(1)).await.len(), 1 + step);
        store.commit(&HERE, vec![upsert(999 - step, 999.0)], at(1)).await.unwrap();
    }
    drop(store);
    let backend = backend.restart().await;
    let store = backend.store();
    assert_eq!(ids(&*store, &query("a0>=1500"), at(1)).await.len(), 50);
    assert_eq!(ids(&*store, &query("a0==999"), at(1)).await.len(), 50);
}

/// Types, attributes and kinds, as they come and go.
pub async fn the_census_counts_what_is_there<B: Backend>() {
    let backend = B::start().await;
    let store = backend.store();
    let names = |numbers: &[usize]| numbers.iter().map(|n| attribute_name(*n)).collect::<Vec<_>>();
    let mut one = bare_entity(0, 0);
    one.types.push(type_name(1));
    one.attributes.insert(attribute_name(0), property(1));
    one.attributes.insert(attribute_name(1), place(99.0, 18.0));
    let mut two = bare_entity(1, 1);
    two.attributes.insert(attribute_name(1), property(2));
    for entity in [one, two] {
        write(&*store, create(entity), at(0)).await.unwrap();
    }
    let census = store.census(&HERE, at(0)).await.unwrap();
    let counts: Vec<_> = census.types.iter().map(|one| (one.name, one.entities)).collect();
    assert_eq!(counts, [(type_name(0), 1), (type_name(1), 2)]);
    let of_first = census.of_type(type_name(0)).unwrap();
    assert_eq!(
        of_first.attributes,
        [(attribute_name(0), vec![Kind::Property]), (attribute_name(1), vec![Kind::GeoProperty])]
    );
    let second = census.of_attribute(attribute_name(1)).unwrap();
    assert_eq!((second.entities, &second.kinds[..]), (2, &[Kind::Property, Kind::GeoProperty][..]));
    assert_eq!(second.types, [type_name(0), type_name(1)]);
    let listed: Vec<_> = census.attributes.iter().map(|one| one.name).collect();
    assert_eq!(listed, names(&[0, 1]));
    write(&*store, Write::new(entity_id(0), Action::Delete), at(1)).await.unwrap();
    let census = store.census(&HERE, at(1)).await.unwrap();
    assert!(census.of_type(type_name(0)).is_none());
    assert_eq!(census.of_attribute(attribute_name(1)).unwrap().kinds, [Kind::Property]);
    write(&*store, Write::new(entity_id(1), Action::Drop(names(&[1]))), at(2)).await.unwrap();
    let census = store.census(&HERE, at(2)).await.unwrap();
    assert!(census.attributes.is_empty());
    assert_eq!(census.of_type(type_name(1)).unwrap().entities, 1);
}
