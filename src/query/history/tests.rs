//! The evaluator is held to the plain meaning, and aggregates to plain sums.

use proptest::prelude::*;
use serde_json::json;

use super::super::testing::{at, attribute, context, entity, name, parse as q};
use super::super::{Limits, Projection, ScopeFilter, parse_attrs};
use super::reference::{Ledger, tell};
use super::*;
use crate::model::{InstanceId, Scope, ScopeChange};

/// A ledger of an entity; an attribute's instances are told apart by `observedAt` and `datasetId`.
fn ledger(json: serde_json::Value) -> Ledger {
    let mut members = json.as_object().expect("an object").clone();
    let mut head = serde_json::Map::new();
    for key in ["id", "type"] {
        head.extend(members.remove(key).map(|value| (key.to_owned(), value)));
    }
    let head = entity(head.into());
    let mut ledger = Ledger {
        chapter: Chapter {
            id: head.id,
            types: head.types,
            created_at: head.created_at,
            modified_at: head.modified_at,
            deleted_at: None,
            scopes: Vec::new(),
        },
        series: Vec::new(),
        instances: Vec::new(),
    };
    let mut number = 0;
    for (key, json) in members {
        for one in json.as_array().expect("an array of instances") {
            for instance in attribute(one).instances() {
                number += 1;
                let deleted = instance.observed_at.is_none().then(|| at(5_000));
                let recorded = Recorded {
                    id: InstanceId(number),
                    foreign: None,
                    instance: instance.clone(),
                    deleted_at: deleted,
                };
                put(&mut ledger, name(&key), recorded);
            }
        }
    }
    ledger
}

fn put(ledger: &mut Ledger, attribute: AttrName, recorded: Recorded) {
    let series = Series { attribute, dataset: recorded.instance.dataset().cloned() };
    match ledger.series.iter().position(|own| *own == series) {
        Some(place) => ledger.instances[place].push(recorded),
        None => {
            ledger.series.push(series);
            ledger.instances.push(vec![recorded]);
        }
    }
}

fn reading(value: serde_json::Value, day: u32) -> serde_json::Value {
    json!({"value": value, "observedAt": format!("2026-01-{day:02}T00:00:00Z")})
}

fn day(day: u32) -> Timestamp {
    format!("2026-01-{day:02}T00:00:00Z").parse().expect("a DateTime")
}

fn between(from: u32, to: u32) -> HistoryPlan {
    let window =
        Window { property: TimeProperty::ObservedAt, from: Some(day(from)), to: Some(day(to)) };
    HistoryPlan { window, ..HistoryPlan::default() }
}

fn vehicle() -> Ledger {
    ledger(json!({
        "speed": [reading(json!(10), 1), reading(json!(80), 5), reading(json!(30), 9)],
        "name": [reading(json!("m1"), 6)],
        "place": [{
            "value": {"type": "Point", "coordinates": [100, 18]},
            "observedAt": "2026-01-03T00:00:00Z",
        }],
    }))
}

#[test]
fn only_what_was_said_in_the_window_satisfies_a_filter() {
    let vehicle = vehicle();
    for (text, from, to, expected) in [
        ("speed>50", 1, 10, true),
        ("speed>50", 6, 10, false),
        ("speed>50;name==\"m1\"", 1, 10, true),
        ("speed>50;name==\"m1\"", 6, 10, false),
        ("speed<20|name==\"m1\"", 6, 7, true),
        ("!speed", 2, 5, true),
        ("!speed;name", 6, 7, true),
        ("!speed", 1, 10, false),
        ("speed!=80", 5, 6, false),
        ("speed.observedAt>2026-01-07T00:00:00Z", 1, 10, true),
        ("id==\"urn:x:1\"", 1, 10, true),
        ("unknown", 1, 10, false),
    ] {
        let mut plan = between(from, to);
        plan.entities.filter = Some(q(text).expect("a filter"));
        assert_eq!(plan.selects(&vehicle), Ok(expected), "{text} {from}..{to}");
    }
    assert_eq!(between(20, 30).selects(&vehicle), Ok(false), "nothing was said then");
    let mut plan = between(1, 5);
    plan.entities.attrs = parse_attrs("name", context(), &Limits::default()).expect("names");
    assert_eq!(plan.selects(&vehicle), Ok(false), "nothing of what is asked for");
}

#[test]
fn geometries_in_the_window_are_what_a_geoquery_asks_of() {
    let vehicle = vehicle();
    for (from, to, expected) in [(1, 10, true), (4, 10, false)] {
        let mut plan = between(from, to);
        let params = crate::query::GeoParams {
            georel: Some("near;maxDistance==1000"),
            geometry: Some("Point"),
            coordinates: Some("[100,18]"),
            geoproperty: Some("place"),
        };
        let geo = crate::query::GeoFilter::parse(&params, context(), &Limits::default());
        plan.entities.geo = geo.expect("a geoquery");
        assert_eq!(plan.selects(&vehicle), Ok(expected));
    }
}

#[test]
fn a_scope_holds_until_the_next_one() {
    let mut vehicle = vehicle();
    let change = |text: &str, from: u32| ScopeChange {
        scopes: if text.is_empty() { vec![] } else { vec![Scope::parse(text).expect("a scope")] },
        observed_at: Some(day(from)),
        created_at: day(from),
        modified_at: day(from),
        deleted_at: text.is_empty().then(|| day(from)),
    };
    vehicle.chapter.scopes = vec![change("/A", 1), change("/B", 4), change("", 6)];
    for (scope, from, to, expected) in [
        ("/A", 1, 10, vec![10]),
        ("/B", 1, 10, vec![80]),
        ("/#", 1, 10, vec![10, 80]),
        ("/B", 5, 10, vec![80]),
        ("/A", 5, 10, vec![]),
        ("/C", 1, 10, vec![]),
    ] {
        let mut plan = between(from, to);
        plan.entities.scope = Some(ScopeFilter::parse(scope, &Limits::default()).expect("a scope"));
        assert_eq!(plan.selects(&vehicle), Ok(!expected.is_empty()), "{scope} {from}");
        let told = plan.tell(std::slice::from_ref(&vehicle)).expect("an answer");
        assert_eq!(numbers(&told, "speed"), expected, "{scope} {from}");
    }
}

fn numbers(told: &Told, attribute: &str) -> Vec<i64> {
    let lines = told.evolutions.iter().flat_map(|one| &one.attributes);
    lines
        .filter(|(own, _)| *own == name(attribute))
        .flat_map(|(_, line)| match line {
            Line::Instances(all) => all.clone(),
            Line::Aggregates(_) | Line::Cut(_) => panic!("instances"),
        })
        .map(|one| match one.instance.datum {
            crate::model::Datum::Property(Value::Number(number)) => number.as_f64() as i64,
            other => panic!("no number: {other:?}"),
        })
        .collect()
}

fn aggregates(ledger: &Ledger, methods: &str, period: Option<&str>) -> Result<String, QueryError> {
    aggregates_of(between(1, 31), ledger, methods, period)
}

fn aggregates_of(
    mut plan: HistoryPlan,
    ledger: &Ledger,
    methods: &str,
    period: Option<&str>,
) -> Result<String, QueryError> {
    plan.aggregate = Some(Aggregate::parse(Some(methods), period, &plan.window, &plan.limits)?);
    let told = plan.tell(std::slice::from_ref(ledger)).map_err(|error| match error {
        TellError::Query(error) => error,
        TellError::Store(never) => match never {},
    })?;
    let mut text = String::new();
    for (_, line) in &told.evolutions[0].attributes {
        let Line::Aggregates(all) = line else { panic!("aggregates") };
        for one in all {
            for (method, buckets) in &one.methods {
                text += &format!("{}:", method.term());
                for bucket in buckets {
                    let day = |at: Timestamp| at.to_string()[8..10].to_owned();
                    text +=
                        &format!(" {:?}[{}-{}]", bucket.result, day(bucket.from), day(bucket.to));
                }
                text += "; ";
            }
        }
    }
    Ok(text)
}

#[test]
fn each_type_of_value_has_its_aggregates() {
    let all = "totalCount,distinctCount,sum,avg,min,max,stddev,sumsq";
    for (values, methods, expected) in [
        (
            json!([10, 20, 20]),
            all,
            "totalCount: 3[01-31]; distinctCount: 2[01-31]; sum: 50[01-31]; \
             avg: 16.666666666666668[01-31]; min: 10[01-31]; max: 20[01-31]; \
             stddev: 4.714045207910316[01-31]; sumsq: 900[01-31]; ",
        ),
        (
            json!([true, false, true]),
            "sum,avg,max",
            "sum: 2[01-31]; avg: 0.6666666666666666[01-31]; max: 1[01-31]; ",
        ),
        (
            json!(["b", "ก", "a"]),
            all,
            "totalCount: 3[01-31]; distinctCount: 3[01-31]; min: \"a\"[01-31]; max: \"ก\"[01-31]; ",
        ),
        (
            json!([[1, 2], [1], [1]]),
            all,
            "totalCount: 3[01-31]; distinctCount: 2[01-31]; sum: 4[01-31]; \
             avg: 1.3333333333333333[01-31]; min: 1[01-31]; max: 2[01-31]; ",
        ),
        (json!([{"x": 1}, {"x": 2}]), all, "totalCount: 2[01-31]; distinctCount: 2[01-31]; "),
        (
            json!([1, 1.0, "1"]),
            "totalCount,distinctCount",
            "totalCount: 3[01-31]; distinctCount: 2[01-31]; ",
        ),
    ] {
        let values = values.as_array().expect("values").iter();
        let readings: Vec<_> =
            values.zip(2..).map(|(value, day)| reading(value.clone(), day)).collect();
        let ledger = ledger(json!({ "a": readings }));
        assert_eq!(aggregates(&ledger, methods, None).as_deref(), Ok(expected));
    }
}

#[test]
fn dates_and_times_of_day_are_aggregated_as_such() {
    let typed = |kind: &str, text: &str, day: u32| {
        json!({"value": text, "valueType": format!("https://uri.etsi.org/ngsi-ld/{kind}"),
               "observedAt": format!("2026-01-{day:02}T00:00:00Z")})
    };
    let times =
        ledger(json!({"a": [typed("Time", "10:00:00Z", 2), typed("Time", "12:00:00Z", 3)]}));
    assert_eq!(
        aggregates(&times, "avg,min,max", None).as_deref(),
        Ok("avg: \"11:00:00Z\"[01-31]; min: \"10:00:00Z\"[01-31]; max: \"12:00:00Z\"[01-31]; ")
    );
    let dates =
        ledger(json!({"a": [typed("Date", "2026-02-01", 2), typed("Date", "2025-02-01", 3)]}));
    assert_eq!(
        aggregates(&dates, "avg,min,max", None).as_deref(),
        Ok("min: \"2025-02-01\"[01-31]; max: \"2026-02-01\"[01-31]; ")
    );
}

#[test]
fn periods_follow_each_other_from_the_beginning_of_the_window() {
    let vehicle = vehicle();
    let mut plan = between(1, 31);
    plan.shown = Projection::parse(Some("speed"), None, None, context(), &Limits::default())
        .expect("a projection");
    for (period, expected) in [
        (Some("P4D"), "sum: 10[01-05]; sum: 80[05-09]; sum: 30[09-13]; "),
        (Some("P1W"), "sum: 90[01-08]; sum: 30[08-15]; "),
        (Some("P1M"), "sum: 120[01-31]; "),
        (None, "sum: 120[01-31]; "),
    ] {
        let got = aggregates_of(plan.clone(), &vehicle, "sum", period).expect("aggregates");
        let expected = expected.replace("; sum:", "");
        assert_eq!(got, expected, "{period:?}");
    }
    plan.aggregate = Some(Aggregate {
        methods: vec![Method::Sum],
        period: Some(Period { months: 0, micros: 4 * 86_400_000_000 }),
        last: Some(2),
    });
    let told = plan.tell(std::slice::from_ref(&vehicle)).expect("an answer");
    let Line::Aggregates(all) = &told.evolutions[0].attributes[0].1 else { panic!("aggregates") };
    let results: Vec<Value> = all[0].methods[0].1.iter().map(|one| one.result.clone()).collect();
    assert_eq!(results, [Value::from(80), Value::from(30)], "the last two of three periods");
    plan.window.from = None;
    plan.window.to = None;
    let got = aggregates_of(plan, &vehicle, "sum", None);
    assert_eq!(got.as_deref(), Ok("sum: 120[01-09]; "), "the window is as wide as the data");
}

#[test]
fn sums_beyond_all_numbers_are_the_greatest_there_is() {
    let huge = ledger(json!({"a": [reading(json!(1.7e308), 2), reading(json!(1.7e308), 3)]}));
    let told = aggregates(&huge, "sum,avg,max,stddev,sumsq", None).expect("aggregates");
    let greatest = format!("{:?}", Value::from(f64::MAX));
    assert!(told.contains(&format!("sum: {greatest}")), "{told}");
    assert!(told.contains(&format!("avg: {:?}", Value::from(1.7e308))), "{told}");
    assert!(told.contains(&format!("sumsq: {greatest}")), "{told}");
    assert!(!told.contains("NaN") && !told.contains("inf"), "{told}");
}

#[test]
fn changes_of_scope_count_like_instances() {
    let mut vehicle = vehicle();
    vehicle.chapter.scopes = (1..20)
        .map(|number| ScopeChange {
            scopes: vec![Scope::parse("/A").expect("a scope")],
            observed_at: Some(day(number)),
            created_at: day(number),
            modified_at: day(number),
            deleted_at: None,
        })
        .collect();
    for (last_n, cut, scopes, speeds) in [
        (None, Some(day(8)), 8, vec![10, 80]),
        (Some(30), Some(day(9)), 11, vec![30]),
        (Some(3), None, 3, vec![10, 80, 30]),
    ] {
        let mut plan = between(1, 31);
        plan.limits.instances = 12;
        plan.last_n = last_n;
        let told = plan.tell(std::slice::from_ref(&vehicle)).expect("an answer");
        assert_eq!(told.cut, cut, "{last_n:?}");
        assert_eq!(told.evolutions[0].chapter.scopes.len(), scopes, "{last_n:?}");
        assert_eq!(numbers(&told, "speed"), speeds, "{last_n:?}");
    }
}

#[test]
fn what_cannot_be_aggregated_is_said_clearly() {
    let mixed = ledger(json!({"a": [reading(json!(1), 2), reading(json!("x"), 3)]}));
    let error = aggregates(&mixed, "totalCount,avg", None).expect_err("mixed");
    assert!(error.message.contains("numbers and strings"), "{error}");
    assert!(aggregates(&mixed, "totalCount", None).is_ok());
    let words = ledger(json!({"a": [reading(json!("x"), 3)]}));
    let error = aggregates(&words, "avg,sum", None).expect_err("strings");
    assert!(error.message.contains("strings, to which none"), "{error}");
    let mut plan = between(1, 31);
    plan.limits.buckets = 2;
    plan.window.to = None;
    let error = aggregates_of(plan, &vehicle(), "totalCount", Some("P1D")).expect_err("too many");
    assert!(error.message.contains("at most 2 periods"), "{error}");
}

/// A few series of an entity with instances at few distinct times.
fn any_ledger() -> impl Strategy<Value = Ledger> {
    let reading = (0_usize..3, 0_usize..2, 0_i64..12, -3_i64..50);
    proptest::collection::vec(reading, 0..60).prop_map(|readings| {
        let mut ledger = ledger(json!({}));
        for (number, (attribute, dataset, time, value)) in readings.into_iter().enumerate() {
            let mut json = json!({"value": value});
            if dataset == 1 {
                json["datasetId"] = "urn:x:d".into();
            }
            let mut instance = attribute_instance(&json);
            instance.observed_at = Some(day(1).plus_micros(time * 86_400_000_000));
            instance.created_at = at(1_000 + (number as i64 * 7) % 11);
            let recorded = Recorded {
                id: InstanceId(number as u128),
                foreign: None,
                instance,
                deleted_at: None,
            };
            put(&mut ledger, name(["a", "b", "c"][attribute]), recorded);
        }
        ledger
    })
}

fn attribute_instance(json: &serde_json::Value) -> crate::model::Instance {
    attribute(json).instances()[0].clone()
}

proptest! {
    #[test]
    fn what_is_told_is_what_the_plan_says(
        ledgers in proptest::collection::vec(any_ledger(), 1..4),
        from in 1_u32..12, length in 1_u32..12, last_n in proptest::option::of(1_usize..6),
        limit in 1_usize..40, created in any::<bool>(),
        dataset in proptest::option::of(any::<bool>()),
    ) {
        let mut plan = between(from, from + length);
        if created {
            plan.window = Window { property: TimeProperty::CreatedAt, from: None, to: None };
        }
        plan.last_n = last_n;
        plan.limits.instances = limit;
        plan.datasets = dataset.map(|other| {
            vec![other.then(|| crate::model::DatasetId::from_trusted("urn:x:d"))]
        });
        let expected = tell(&plan, &ledgers);
        match plan.tell(&ledgers) {
            Ok(told) => {
                prop_assert_eq!(told.cut, expected.cut);
                let property = plan.window.property;
                prop_assert_eq!(times(&told, property), times(&expected, property));
            }
            // One instant may hold more than is told.
            Err(_) => prop_assert!(limit * 8 < ledgers.iter().flat_map(|one| &one.instances).map(Vec::len).sum::<usize>()),
        }
    }

    #[test]
    fn aggregates_are_those_of_a_plain_reckoning(
        values in proptest::collection::vec((0_i64..40, -1e6_f64..1e6), 1..80), days in 1_i64..9,
    ) {
        let mut one = ledger(json!({}));
        for (number, (time, value)) in values.iter().enumerate() {
            let mut instance = attribute_instance(&json!({"value": value}));
            instance.observed_at = Some(day(1).plus_micros(time * 43_200_000_000));
            put(&mut one, name("a"), Recorded { id: InstanceId(number as u128), foreign: None, instance, deleted_at: None });
        }
        let mut plan = between(1, 31);
        let period = format!("P{days}D");
        plan.aggregate = Some(
            Aggregate::parse(Some("totalCount,sum,avg,min,max,stddev,sumsq"), Some(&period), &plan.window, &plan.limits).expect("an aggregate"),
        );
        let told = plan.tell(std::slice::from_ref(&one)).expect("an answer");
        let Line::Aggregates(all) = &told.evolutions[0].attributes[0].1 else { panic!("aggregates") };
        for number in 0..(30 / days + 1) {
            let from = day(1).plus_micros(number * days * 86_400_000_000);
            let held: Vec<f64> = values.iter().filter(|(time, _)| time * 12 / 24 / days == number)
                .map(|(_, value)| *value).collect();
            for (method, buckets) in &all[0].methods {
                let bucket = buckets.iter().find(|bucket| bucket.from == from);
                prop_assert_eq!(bucket.is_some(), !held.is_empty());
                let Some(bucket) = bucket else { continue };
                let Value::Number(got) = bucket.result else { panic!("a number") };
                let count = held.len() as f64;
                let mean = held.iter().sum::<f64>() / count;
                let expected = match method {
                    Method::TotalCount => count,
                    Method::Sum => held.iter().sum(),
                    Method::Avg => mean,
                    Method::Min => held.iter().copied().fold(f64::INFINITY, f64::min),
                    Method::Max => held.iter().copied().fold(f64::NEG_INFINITY, f64::max),
                    Method::StdDev => (held.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count).sqrt(),
                    Method::SumSq => held.iter().map(|v| v * v).sum(),
                    Method::DistinctCount => unreachable!("it was not asked for"),
                };
                let scale = held.iter().fold(1.0_f64, |most, v| most.max(v.abs()));
                let slack = if *method == Method::SumSq { scale * scale } else { scale } * 1e-9 * count;
                prop_assert!((got.as_f64() - expected).abs() <= slack, "{:?} {} {}", method, got, expected);
            }
        }
    }
}

/// The times of what is told, attribute by attribute; an attribute of which nothing is left may be
/// left out. Which of several instances of one time are the last so many is not said anywhere.
fn times(told: &Told, property: TimeProperty) -> Vec<Vec<(AttrName, Vec<Timestamp>)>> {
    let of = |evolution: &Evolution| {
        let lines = evolution.attributes.iter().map(|(name, line)| {
            let all = match line {
                Line::Instances(all) => all.as_slice(),
                Line::Cut(_) => &[],
                Line::Aggregates(_) => panic!("instances"),
            };
            let times: Vec<_> = all.iter().filter_map(|one| one.time(property)).collect();
            assert!(times.is_sorted() && times.len() == all.len(), "{all:?}");
            (*name, times)
        });
        let mut lines: Vec<_> = lines.filter(|(_, times)| !times.is_empty()).collect();
        lines.sort_unstable();
        lines
    };
    told.evolutions.iter().map(of).collect()
}
