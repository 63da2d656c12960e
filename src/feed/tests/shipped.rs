use std::sync::Arc;

use crate::broker::Broker;
use crate::config::{Config, Validation};
use crate::feed::shipped::shipped_feeds;
use crate::feed::{Input, Mapping, load_samples};
use crate::jsonld::{Document, shipped_context};
use crate::model::{TenantId, Timestamp};
use crate::represent::{Reader, Reading};
use crate::schema::shipped_for;

use super::{by, mapped};

#[test]
fn every_sample_becomes_entities_that_are_as_their_models_say() {
    let context = shipped_context("mae-moh").expect("it is shipped");
    for shipped in shipped_feeds() {
        let name = shipped.name;
        let mapping = shipped.mapping().unwrap_or_else(|faults| panic!("{faults}"));
        let feed = mapped(name, shipped.sample, shipped.topic).expect("it can be read");
        assert!(!feed.entities.is_empty(), "{name}");
        for entity in &feed.entities {
            let document = Document::from_json(entity);
            let read = Reader::new(&context, Reading::Whole).entity(&document);
            let read = read.unwrap_or_else(|why| panic!("{name}: {why}"));
            for kind in read.types.as_slice() {
                let model = shipped_for(*kind).expect("there is a model").model();
                assert_eq!(model.check(&read), [], "{name}: {entity:#}");
            }
            assert!(entity["source"]["value"].is_string(), "{name}");
            assert_eq!(entity["sourceClass"]["value"], mapping.provenance.class, "{name}");
        }
    }
}

#[test]
fn every_reading_carries_its_source_its_time_and_its_unit() {
    for shipped in shipped_feeds() {
        let mapping = shipped.mapping().unwrap_or_else(|faults| panic!("{faults}"));
        let feed = mapped(shipped.name, shipped.sample, shipped.topic).expect("it can be read");
        let mut readings = 0;
        for entity in &feed.entities {
            for (name, field) in mapping.fields.iter().filter(|(_, field)| field.reading) {
                let Some(reading) = entity.get(name) else { continue };
                readings += 1;
                assert!(reading["observedAt"].is_string(), "{} {name}", shipped.name);
                assert!(reading["source"]["value"].is_string(), "{} {name}", shipped.name);
                if let Some(unit) = field.number().and_then(|form| form.unit.as_ref()) {
                    assert_eq!(reading["unitCode"], unit.as_str(), "{} {name}", shipped.name);
                }
            }
        }
        assert!(readings > 0, "{}", shipped.name);
    }
}

#[test]
fn a_reading_of_any_kind_carries_its_time_and_its_source() {
    let text = r#"
about = "A balloon"
[source]
kind = "push"
[read]
format = "json"
[time]
from = "at"
[entity]
id = "urn:x:Balloon:{id}"
type = "Balloon"
[attributes]
place = { point = { latitude = "lat", longitude = "lon" }, reading = true }
sky = { languages = { th = "th", en = "en" }, reading = true }
over = { link = "urn:x:Tambon:{over}", reading = true }
load = { object = { people = { from = "people", unit = "none" } }, reading = true }
word = { from = "en", reading = true }
owner = "owner"
[provenance]
source = "https://example.org"
provider = "Example"
class = "citizen"
"#;
    let mapping = Mapping::parse("balloon.toml", "balloon", text, &|_| Err("no file".into()));
    let mapping = mapping.unwrap_or_else(|faults| panic!("{faults}"));
    let record =
        br#"{"id": 1, "at": "2026-03-14T02:00:00Z", "lat": 18.2, "lon": 99.6, "th": "\u0e43\u0e2a",
        "en": "clear", "over": "520204", "people": 2, "owner": "somebody"}"#;
    let feed = by(&mapping, Input { bytes: record, topic: None, file: None }).expect("a record");
    for name in ["place", "sky", "over", "load", "word"] {
        let reading = &feed.entities[0][name];
        assert_eq!(reading["observedAt"], "2026-03-14T02:00:00Z", "{name}: {reading}");
        assert_eq!(reading["source"]["value"], "https://example.org", "{name}");
    }
    assert_eq!(feed.entities[0]["owner"].get("observedAt"), None);
}

#[tokio::test]
async fn the_samples_are_taken_whole_where_models_are_enforced_and_twice_is_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = Config::default();
    config.store.data = folder.path().join("data");
    config.models.validation = Validation::Enforce;
    let broker = Arc::new(Broker::open(&config).await.expect("the folder is empty"));
    let taken = load_samples(&config, broker.clone()).await.expect("they are taken");
    assert_eq!(taken, 4 + 3 + 3 + 2 + 192 + 2 + 2);
    let census = || broker.store().census(&TenantId::DEFAULT, Timestamp::now());
    let counts = |census: crate::store::Census| -> Vec<(String, u64)> {
        let types = census.types.into_iter();
        types
            .map(|of| (of.name.as_str().rsplit('/').next().unwrap_or("").into(), of.entities))
            .collect()
    };
    let first = counts(census().await.expect("the store is well"));
    let mut named: Vec<(&str, u64)> = first.iter().map(|(name, n)| (name.as_str(), *n)).collect();
    named.sort_unstable();
    assert_eq!(
        named,
        [
            ("AirQualityObserved", 7),
            ("EnergyMeter", 3),
            ("Hotspot", 3),
            ("WaterObserved", 2),
            ("WeatherObserved", 2),
        ]
    );
    load_samples(&config, broker.clone()).await.expect("they are taken");
    assert_eq!(counts(census().await.expect("the store is well")), first);
}
