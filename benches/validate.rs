//! What it costs to check an entity of twelve attributes against its model, beside the PATCH that
//! carries it: both on one thread, the PATCH from the text of its body to the store, which need not
//! sync. The goal is at most 0.3.
//!
//! `LANNA_BENCH_CALLS` (20000) calls for each figure. Ratios travel between machines, figures do
//! not.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use lanna::broker::{Broker, Call, Merging};
use lanna::config::{Config, Durability, Validation};
use lanna::jsonld::{Context, Document, ParseLimits, shipped_context};
use lanna::model::{Entity, EntityId, TenantId, Timestamp};
use lanna::represent::{Reader, Reading};
use lanna::schema::shipped_for;
use serde_json::{Value, json};
use support::{setting, time};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ID: &str = "urn:ngsi-ld:AirQualityObserved:station:1";

/// Twelve attributes, as a station sends them.
fn station(step: usize) -> Value {
    let at = Timestamp::from_micros(1_800_000_000_000_000 + step as i64 * 60_000_000).to_string();
    let number = |value: f64, unit: &str| json!({ "type": "Property", "value": value, "unitCode": unit, "observedAt": at });
    let value = (step % 97) as f64 / 2.0;
    json!({
        "id": ID,
        "type": "AirQualityObserved",
        "dateObserved": { "type": "Property", "value": at },
        "location": { "type": "GeoProperty",
            "value": { "type": "Point", "coordinates": [99.6598, 18.2827] } },
        "pm25": number(value, "GQ"),
        "pm10": number(value * 1.6, "GQ"),
        "o3": number(31.0, "61"),
        "co": number(0.6, "59"),
        "no2": number(9.0, "61"),
        "so2": number(2.0, "61"),
        "temperature": number(31.4, "CEL"),
        "relativeHumidity": number(0.48, "C62"),
        "refDevice": { "type": "Relationship", "object": "urn:ngsi-ld:Device:1" },
        "source": { "type": "Property", "value": "https://air4thai.example.org/lampang" },
    })
}

fn read(json: &Value, context: &Context) -> Entity {
    let text = json.to_string();
    let document = Document::parse(text.as_bytes(), &ParseLimits::default()).unwrap();
    Reader::new(context, Reading::Whole).entity(&document).unwrap()
}

/// The time of a PATCH with every attribute, where models are treated so.
fn patch(validation: Validation, context: &Arc<Context>, calls: usize) -> Duration {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.store.data = folder.path().join("data");
    config.store.durability = Durability::Every(Duration::from_secs(60));
    config.models.validation = validation;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let broker = Broker::open(&config).await.unwrap();
        let call =
            |now| Call { tenant: TenantId::DEFAULT, now, context: context.clone(), origin: None };
        let whole = station(0);
        let document = Document::from_json(&whole);
        broker.create_entity(&call(Timestamp::now()), &document).await.unwrap();
        let bodies: Vec<String> = (0..256).map(|step| station(step).to_string()).collect();
        let taken = time(calls, |step| {
            let body = bodies[step % bodies.len()].as_bytes();
            let document = Document::parse(body, &broker.parse_limits()).unwrap();
            let (call, id) = (call(Timestamp::now()), EntityId::from_trusted(ID));
            let merged = broker.merge_entity(&call, id, Merging::default(), &document);
            // It is ready at once, unless the store is just at something of its own.
            tokio::task::block_in_place(|| runtime.handle().block_on(merged)).unwrap();
        });
        broker.close().await.unwrap();
        taken
    })
}

fn main() {
    let calls = setting("LANNA_BENCH_CALLS", 20_000);
    let context = shipped_context("environment").unwrap();
    let entity = read(&station(7), &context);
    assert_eq!(entity.attributes.len(), 12);
    let model = shipped_for(entity.types.as_slice()[0]).unwrap().model();
    assert!(model.check(&entity).is_empty());
    let check =
        time(calls * 10, |_| assert!(model.check(std::hint::black_box(&entity)).is_empty()));
    let mut bad = station(7);
    bad["relativeHumidity"]["value"] = 71.into();
    let bad = read(&bad, &context);
    let refuse = time(calls, |_| assert!(!model.check(std::hint::black_box(&bad)).is_empty()));
    let off = patch(Validation::Off, &context, calls);
    let enforce = patch(Validation::Enforce, &context, calls);
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    println!("check of an entity as its model says   {:>8.2} µs", micros(check));
    println!("check of one that is not, and why      {:>8.2} µs", micros(refuse));
    println!("PATCH of twelve attributes             {:>8.2} µs", micros(off));
    println!("the same, checked                      {:>8.2} µs", micros(enforce));
    println!("check ÷ PATCH                          {:>8.3}", micros(check) / micros(off));
}
