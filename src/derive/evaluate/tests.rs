use super::*;
use crate::derive::profile::Profile;

const HOUR: i64 = 3_600_000_000;

/// The table of the official announcement: an index for each end of each band.
/// PM2.5, PM10, O3, CO, NO2, SO2; thousandths, so that they are exact.
const OFFICIAL_2023: [(i64, [f64; 6]); 8] = [
    (0, [0.0, 0.0, 0.0, 0.0, 0.0, 0.0]),
    (25, [15.0, 50.0, 35.0, 4.4, 60.0, 100.0]),
    (26, [15.1, 51.0, 36.0, 4.5, 61.0, 101.0]),
    (50, [25.0, 80.0, 50.0, 6.4, 106.0, 200.0]),
    (51, [25.1, 81.0, 51.0, 6.5, 107.0, 201.0]),
    (100, [37.5, 120.0, 70.0, 9.0, 170.0, 300.0]),
    (101, [37.6, 121.0, 71.0, 9.1, 171.0, 301.0]),
    (200, [75.0, 180.0, 120.0, 30.0, 340.0, 400.0]),
];

const TERMS: [&str; 6] = ["pm25", "pm10", "o3", "co", "no2", "so2"];
const UNITS: [&str; 6] = ["GQ", "GQ", "61", "59", "61", "61"];

fn rule(short: &str) -> Rule {
    let rules = Profile::load("th").expect("the shipped profile").rules;
    rules.into_iter().find(|rule| rule.name.ends_with(short)).expect("the rule")
}

fn place(rule: &Rule, term: &str) -> usize {
    rule.inputs.iter().position(|input| *input.term == *term).expect("an input")
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("a DateTime")
}

fn unit(code: &str) -> Option<Name> {
    Some(Name::intern(code).expect("a name"))
}

/// A day of hourly readings of one input that ends at a time.
fn day(rule: &Rule, term: &str, code: &str, value: f64, end: Timestamp) -> Vec<Vec<Reading>> {
    let mut readings = vec![Vec::new(); rule.inputs.len()];
    readings[place(rule, term)] = (0..24)
        .rev()
        .map(|back| Reading {
            at: end.micros() - back * HOUR,
            value,
            unit: unit(code),
            averaged: None,
        })
        .collect();
    readings
}

fn index_of(rule: &Rule, readings: &[Vec<Reading>], end: Timestamp) -> Value {
    let id = EntityId::from_trusted("urn:x:1");
    let verdict = evaluate(rule, &id, readings, end);
    let attributes = verdict.outcome.unwrap_or_else(|why| panic!("{why}: {:?}", verdict.inputs));
    let Datum::Property(value) = &attributes[0].1.datum else { panic!("a value") };
    value.clone()
}

#[test]
fn the_official_table_of_2023_is_reproduced_point_by_point() {
    let (rule, end) = (rule("air-quality-index"), at("2026-03-12T08:00:00Z"));
    for (index, row) in OFFICIAL_2023 {
        for ((term, code), value) in TERMS.iter().zip(UNITS).zip(row) {
            let found = index_of(&rule, &day(&rule, term, code, value, end), end);
            assert_eq!(found, Value::from(index), "{term} {value}");
        }
    }
}

#[test]
fn between_the_points_the_index_is_linear() {
    let (rule, end) = (rule("air-quality-index"), at("2026-03-12T08:00:00Z"));
    for (term, code, value, expected) in [
        ("pm25", "GQ", 20.0, 38),
        ("pm25", "GQ", 31.3, 76),
        ("pm25", "GQ", 56.3, 151),
        ("pm25", "GP", 0.0375, 100),
        ("pm25", "GQ", 15.04, 25),
        ("pm25", "GQ", 15.05, 26),
        ("o3", "59", 0.07, 100),
        ("so2", "61", 150.0, 38),
        ("pm10", "GQ", 50.4, 25),
    ] {
        let found = index_of(&rule, &day(&rule, term, code, value, end), end);
        assert_eq!(found, Value::from(expected), "{term} {value} {code}");
    }
}

#[test]
fn older_readings_are_judged_by_the_older_table() {
    let rule = rule("air-quality-index");
    for (index, value) in
        [(25, 25.0), (26, 26.0), (50, 37.0), (51, 38.0), (100, 50.0), (101, 51.0), (200, 90.0)]
    {
        let end = at("2023-05-31T16:00:00Z");
        let readings = day(&rule, "pm25", "GQ", value, end);
        assert_eq!(index_of(&rule, &readings, end), Value::from(index), "{value}");
    }
    let id = EntityId::from_trusted("urn:x:1");
    let scheme = |text: &str| {
        let end = at(text);
        evaluate(&rule, &id, &day(&rule, "pm25", "GQ", 50.0, end), end).scheme
    };
    assert_eq!(scheme("2023-05-31T16:00:00Z").as_deref(), Some("TH-PCD-before-2023"));
    assert_eq!(scheme("2023-05-31T17:00:00Z").as_deref(), Some("TH-PCD-2023"));
}

#[test]
fn an_index_names_its_scheme_its_inputs_and_what_decided() {
    let (rule, end) = (rule("air-quality-index"), at("2026-03-12T08:00:00Z"));
    let mut readings = day(&rule, "pm25", "GQ", 37.5, end);
    let ozone = place(&rule, "o3");
    readings[ozone] = day(&rule, "o3", "61", 20.0, end)[ozone].clone();
    let id = EntityId::from_trusted("urn:ngsi-ld:AirQualityObserved:1");
    let attributes = evaluate(&rule, &id, &readings, end).outcome.expect("a value");
    let named = |end: &str| {
        let found = attributes.iter().find(|(name, _)| name.as_str().ends_with(end));
        &found.unwrap_or_else(|| panic!("no {end}")).1
    };
    let index = named("/airQualityIndex");
    let sub = |term: &str| {
        let found = index.attributes().iter().find(|(name, _)| name.as_str().ends_with(term));
        found.unwrap_or_else(|| panic!("no {term}")).1.instances()[0].datum.clone()
    };
    assert_eq!(index.observed_at, Some(end));
    assert_eq!(sub("/dominantPollutant"), Datum::Property("pm25".into()));
    assert_eq!(sub("Environment/pm25"), Datum::Property(100.into()));
    assert_eq!(sub("Environment/o3"), Datum::Property(14.into()));
    assert_eq!(sub("/scheme"), Datum::Property("TH-PCD-2023".into()));
    assert_eq!(sub("/derivedBy"), Datum::Property("th/air-quality-index".into()));
    assert_eq!(sub("/derivedFrom"), Datum::Relationship(OneOrMany::One(id)));
    let Datum::JsonProperty(inputs) = sub("/inputs") else { panic!("JSON") };
    let expected = json!({
        "attribute": "pm25", "unitCode": "GQ", "period": "PT24H", "value": 37.5, "index": 100,
        "from": "2026-03-11T08:00:00Z", "to": "2026-03-12T08:00:00Z",
        "readings": 24, "parts": 24, "of": 24,
    });
    assert_eq!(
        inputs.as_array().expect("a list").iter().find(|i| i["attribute"] == "pm25"),
        Some(&expected)
    );
    assert_eq!(named("/airQualityLevel").datum, Datum::Property("moderate".into()));
    assert_eq!(named("/aqiScheme").datum, Datum::Property("TH-PCD-2023".into()));
}

#[test]
fn above_the_last_band_the_slope_goes_on_and_is_marked() {
    let (rule, end) = (rule("air-quality-index"), at("2026-03-12T08:00:00Z"));
    let id = EntityId::from_trusted("urn:x:1");
    let verdict = evaluate(&rule, &id, &day(&rule, "pm25", "GQ", 112.4, end), end);
    let attributes = verdict.outcome.expect("a value");
    assert_eq!(attributes[0].1.datum, Datum::Property(299.into()));
    let marked = attributes[0].1.attributes().get(rule.terms.above_scale);
    assert!(marked.is_some());
    let just = index_of(&rule, &day(&rule, "pm25", "GQ", 75.1, end), end);
    assert_eq!(just, Value::from(201));
}

#[test]
fn too_few_hours_make_no_index_and_the_reason_is_told() {
    let (rule, end) = (rule("air-quality-index"), at("2026-03-12T08:00:00Z"));
    let mut readings = day(&rule, "pm25", "GQ", 20.0, end);
    readings[place(&rule, "pm25")].truncate(17);
    let verdict = evaluate(&rule, &EntityId::from_trusted("urn:x:1"), &readings, end);
    assert_eq!(verdict.outcome.unwrap_err(), "no input has an average");
    let lacks = |term: &str| {
        let found = verdict.inputs.iter().find(|input| input["attribute"] == term);
        found.expect("told of")["lacks"].clone()
    };
    assert_eq!(lacks("pm25"), "17 of 24 hours or parts have a reading, and 18 are needed");
    assert_eq!(lacks("o3"), "there is no reading in the time that is averaged");
}

fn river(readings: &[(&str, f64)]) -> Result<Value, String> {
    let (rule, time) = (rule("river-situation"), at("2026-03-12T08:00:00Z"));
    let mut all = vec![Vec::new(); rule.inputs.len()];
    for (term, value) in readings {
        let one = Reading { at: time.micros(), value: *value, unit: None, averaged: None };
        all[place(&rule, term)].push(one);
    }
    let verdict = evaluate(&rule, &EntityId::from_trusted("urn:x:1"), &all, time);
    verdict.outcome.map(|attributes| match &attributes[0].1.datum {
        Datum::Property(value) => value.clone(),
        other => panic!("{other:?}"),
    })
}

#[test]
fn a_river_has_the_level_of_the_official_table() {
    for (share, level) in [
        (-3.0, 1),
        (0.0, 1),
        (10.0, 1),
        (10.01, 2),
        (30.0, 2),
        (30.01, 3),
        (70.0, 3),
        (70.01, 4),
        (100.0, 4),
        (100.01, 5),
        (180.0, 5),
    ] {
        assert_eq!(river(&[("storagePercent", share)]), Ok(level.into()), "{share}");
        let height = 220.0 + share / 10.0;
        let between = [("waterLevel", height), ("groundLevel", 220.0), ("bankLevel", 230.0)];
        assert_eq!(river(&between), Ok(level.into()), "{height}");
    }
    let why = river(&[("waterLevel", 225.0), ("bankLevel", 230.0)]).unwrap_err();
    assert!(why.contains("groundLevel"), "{why}");
    assert!(river(&[("waterLevel", 1.0), ("groundLevel", 2.0), ("bankLevel", 2.0)]).is_err());
}

#[test]
fn a_level_is_made_of_readings_in_units_that_are_known() {
    let (rule, time) = (rule("river-situation"), at("2026-03-12T08:00:00Z"));
    let level = |readings: &[(&str, f64, &str)]| {
        let mut all = vec![Vec::new(); rule.inputs.len()];
        for (term, value, code) in readings {
            let unit = unit(code);
            all[place(&rule, term)] =
                vec![Reading { at: time.micros(), value: *value, unit, averaged: None }];
        }
        let outcome = evaluate(&rule, &EntityId::from_trusted("urn:x:1"), &all, time).outcome?;
        match &outcome[0].1.datum {
            Datum::Property(value) => Ok::<_, String>(value.clone()),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(level(&[("storagePercent", 0.85, "C62")]), Ok(4.into()));
    assert_eq!(level(&[("storagePercent", 85.0, "P1")]), Ok(4.into()));
    let banks = [("groundLevel", 220.0, "MTR"), ("bankLevel", 230.0, "MTR")];
    for (height, code) in [(22_850.0, "CMT"), (228.5, "MTR")] {
        let readings = [&banks[..], &[("waterLevel", height, code)]].concat();
        assert_eq!(level(&readings), Ok(4.into()), "{height} {code}");
    }
    assert!(level(&[("storagePercent", 85.0, "MTR")]).is_err());
}

/// The class of water, and the JSON of its inputs.
fn water(samples: &[(&str, &[f64])]) -> Result<(Value, Json), String> {
    let (rule, time) = (rule("surface-water-class"), at("2026-03-12T00:00:00Z"));
    let mut all = vec![Vec::new(); rule.inputs.len()];
    for (term, values) in samples {
        for (number, value) in values.iter().enumerate() {
            let at = time.micros() - (values.len() - number) as i64 * 24 * HOUR;
            let one = Reading { at, value: *value, unit: None, averaged: None };
            all[place(&rule, term)].push(one);
        }
    }
    let verdict = evaluate(&rule, &EntityId::from_trusted("urn:x:1"), &all, time);
    let attributes = verdict.outcome?;
    let instance = &attributes[0].1;
    let Datum::Property(value) = &instance.datum else { panic!("a value") };
    let inputs = instance.attributes().get(rule.terms.inputs).expect("inputs");
    let Datum::JsonProperty(inputs) = &inputs.instances()[0].datum else { panic!("JSON") };
    Ok((value.clone(), (**inputs).clone()))
}

#[test]
fn water_has_the_class_of_the_official_table() {
    for (oxygen, demand, total, faecal, class) in [
        (6.0, 1.5, 5_000.0, 1_000.0, 2),
        (5.9, 1.5, 5_000.0, 1_000.0, 3),
        (6.0, 1.6, 5_000.0, 1_000.0, 3),
        (6.0, 1.5, 5_001.0, 1_000.0, 3),
        (6.0, 1.5, 5_000.0, 1_001.0, 3),
        (4.0, 2.0, 20_000.0, 4_000.0, 3),
        (3.9, 2.0, 20_000.0, 4_000.0, 4),
        (4.0, 2.0, 20_001.0, 4_000.0, 4),
        (2.0, 4.0, 90_000.0, 90_000.0, 4),
        (1.9, 4.0, 0.0, 0.0, 5),
        (7.0, 4.1, 0.0, 0.0, 5),
    ] {
        let samples: [(&str, &[f64]); 4] = [
            ("O2", &[oxygen]),
            ("bod", &[demand]),
            ("totalColiform", &[total]),
            ("faecalColiform", &[faecal]),
        ];
        let found = water(&samples).expect("a class").0;
        assert_eq!(found, Value::from(class), "{samples:?}");
    }
    for (term, value, class) in
        [("pH", 9.1, 5), ("pH", 9.0, 2), ("Hg", 0.003, 5), ("NH3", 0.6, 2), ("NH3", 0.7, 5)]
    {
        let samples: [(&str, &[f64]); 3] = [("O2", &[7.0]), ("bod", &[1.0]), (term, &[value])];
        assert_eq!(water(&samples).expect("a class").0, Value::from(class), "{term} {value}");
    }
}

#[test]
fn hard_water_may_hold_more_cadmium() {
    for (cadmium, hardness, class) in [
        (0.005, &[][..], 2),
        (0.006, &[][..], 5),
        (0.006, &[100.0][..], 5),
        (0.006, &[101.0][..], 2),
        (0.006, &[150.0, 90.0][..], 5),
        (0.05, &[150.0, 120.0][..], 2),
        (0.051, &[150.0][..], 5),
    ] {
        let samples: [(&str, &[f64]); 4] =
            [("O2", &[7.0]), ("bod", &[1.0]), ("Cd", &[cadmium]), ("hardness", hardness)];
        let (found, inputs) = water(&samples).expect("a class");
        assert_eq!(found, Value::from(class), "{cadmium} {hardness:?}");
        let untested = inputs["notMeasured"].as_array().expect("a list");
        assert!(!untested.contains(&json!("hardness")), "{inputs}");
    }
}

#[test]
fn a_class_is_judged_by_percentiles_and_says_what_nobody_measured() {
    let oxygen = [6.5, 6.4, 6.3, 6.2, 3.0, 6.6];
    let (class, inputs) =
        water(&[("O2", &oxygen), ("bod", &[1.0, 9.0, 1.0, 1.0, 1.0, 1.0])]).expect("a class");
    assert_eq!(class, Value::from(2), "one bad sample of six is not the 20th percentile");
    assert!(inputs["notMeasured"].as_array().expect("a list").contains(&json!("totalColiform")));
    let (class, inputs) = water(&[("O2", &[6.0, 3.0, 3.0]), ("bod", &[1.0])]).expect("a class");
    assert_eq!(class, Value::from(4));
    assert_eq!(inputs["failsBetterClassBy"][0]["attribute"], "O2");
    assert_eq!(water(&[("O2", &[6.0])]).unwrap_err(), "there is no sample of bod");
}

#[test]
fn what_says_the_same_need_not_be_written_again() {
    let (rule, end) = (rule("air-quality-index"), at("2026-03-12T08:00:00Z"));
    let id = EntityId::from_trusted("urn:x:1");
    let made = |value: f64| {
        let readings = day(&rule, "pm25", "GQ", value, end);
        evaluate(&rule, &id, &readings, end).outcome.expect("a value").remove(0).1
    };
    let mut later = made(20.0);
    later.modified_at = at("2026-03-12T09:00:00Z");
    assert!(says_the_same(&made(20.0), &later));
    // The index is the same, but not what it was made from.
    assert!(!says_the_same(&made(20.0), &made(20.1)));
}
