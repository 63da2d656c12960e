use expect_test::{Expect, expect};

use super::*;

const GOOD: &str = r#"
about = "A test"
[source]
kind = "push"
[read]
format = "json"
[time]
from = "at"
[entity]
id = "urn:x:{id}"
type = "Test"
[attributes]
speed = { from = "v", unit = "KMH" }
[provenance]
source = "https://example.org"
provider = "Example"
class = "official"
"#;

fn parse(text: &str) -> Result<Mapping, Faults> {
    Mapping::parse("feeds/test.toml", "test", text, &|name| Err(format!("there is no {name}")))
}

fn faulty(change: impl Fn(String) -> String, expected: Expect) {
    let text = change(GOOD.trim_start().to_owned());
    assert_ne!(text, GOOD.trim_start(), "nothing was changed");
    expected.assert_eq(&parse(&text).expect_err("it is faulty").to_string());
}

fn with(from: &'static str, to: &'static str) -> impl Fn(String) -> String {
    move |text| text.replace(from, to)
}

#[test]
fn a_mapping_says_what_it_says() {
    let mapping = parse(GOOD).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(
        (&*mapping.name, &*mapping.about, mapping.source.word()),
        ("test", "A test", "push")
    );
    assert_eq!(mapping.fields.len(), 1);
    assert!(mapping.fields[0].1.reading);
    let read: Vec<String> = mapping.paths().iter().map(ToString::to_string).collect();
    assert_eq!(read, ["id", "at", "v"]);
}

#[test]
fn a_fault_names_its_file_its_line_and_what_would_be_right() {
    faulty(
        with("unit =", "unti ="),
        expect![[r#"
        feeds/test.toml:12: attributes.speed.unti: there is no such key; did you mean unit?"#]],
    );
}

#[test]
fn all_faults_are_told_at_once() {
    faulty(
        |text| {
            text.replace("kind = \"push\"", "kind = \"pusch\"")
                .replace("{id}", "{id")
                .replace("\"KMH\"", "\"furlong\", in = \"KNT\"")
                .replace("official", "offical")
        },
        expect![[r#"
            feeds/test.toml:3: source.kind: "pusch" is none of http, folder, mqtt, push; did you mean "push"?
            feeds/test.toml:9: entity.id: "urn:x:{id" has a { without a }
            feeds/test.toml:12: attributes.speed.unit: furlong is no unit that is known here; smart-data-models/units.json lists them
            feeds/test.toml:12: attributes.speed.in: there is no way from KNT to furlong
            feeds/test.toml:16: provenance.class: "offical" is none of official, low-cost, citizen, satellite, model, operator; did you mean "official"?"#]],
    );
}

#[test]
fn what_is_personal_is_not_read() {
    faulty(
        |text| text.replace("about =", "personal = [\"v\", \"owner.phone\"]\nabout ="),
        expect!["feeds/test.toml:1: personal: v is read, though v is personal"],
    );
}

#[test]
fn a_mapping_owes_its_model_what_that_requires() {
    faulty(
        |text| {
            text.replace("\"Test\"", "\"WeatherObserved\"").replace(
                "speed = { from = \"v\", unit = \"KMH\" }",
                "temperature = { from = \"v\", unit = \"KEL\" }",
            )
        },
        expect![[r#"
            feeds/test.toml:11: attributes: dateObserved is missing, which every WeatherObserved has to have
            feeds/test.toml:11: attributes: location is missing, which every WeatherObserved has to have
            feeds/test.toml:12: attributes.temperature: temperature of a WeatherObserved is in CEL: say so with unit"#]],
    );
}

#[test]
fn what_is_missing_is_named() {
    faulty(
        |_| "about = 7\n".to_owned(),
        expect![[r#"
            feeds/test.toml:1: about: a text should be here, not integer
            feeds/test.toml:1: source is missing: where the feed comes from
            feeds/test.toml:1: read is missing: how a document is read, like { format = "json" }
            feeds/test.toml:1: entity is missing: what a record becomes
            feeds/test.toml:1: attributes is missing: the attributes of the entity
            feeds/test.toml:1: provenance is missing: source, provider and class"#]],
    );
    faulty(
        |_| "about = [\n".to_owned(),
        expect!["feeds/test.toml:1: unclosed array, expected `]`"],
    );
    faulty(
        with("from = \"v\"", "from = \"$reg.v\""),
        expect!["feeds/test.toml:1: there is no look-up $reg"],
    );
}

#[test]
fn bounds_of_the_model_hold_beside_those_of_the_mapping() {
    let text = GOOD.replace("\"Test\"", "\"AirQualityObserved\"").replace(
        "speed = { from = \"v\", unit = \"KMH\" }",
        "dateObserved = { from = \"at\", as = \"time\" }\n\
         location.point = { latitude = \"a\", longitude = \"b\" }\n\
         relativeHumidity = { from = \"v\", unit = \"none\", in = \"P1\", range = [-5, 0.9] }",
    );
    let text = text.replace("unit = \"none\", in", "unit = \"C62\", in");
    let mapping = parse(&text).unwrap_or_else(|faults| panic!("{faults}"));
    let form = mapping.fields[2].1.number().expect("a number");
    assert_eq!((form.range.least, form.range.most), (Some(0.0), Some(0.9)));
    assert!(mapping.fields[0].1.required && mapping.fields[1].1.required);
}
