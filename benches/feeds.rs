//! What the feeds of a province cost: `cargo bench --bench feeds`.
//!
//! 200 stations every minute, as one document of Air4Thai's shape whose readings all changed, and
//! 20 000 meters every 15 minutes, as messages of a topic that are gathered for 200 ms each. The
//! processor time of the whole process is counted, the store's threads and the disk's included, so
//! that the share of a core it comes to is what a machine would show.
//!
//! `LANNA_BENCH_ROUNDS` (30) documents of stations, `LANNA_BENCH_MESSAGES` (5000) of meters.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use lanna::broker::Broker;
use lanna::config::Config;
use lanna::feed::{Input, Mapping, Writer, shipped_feeds};
use lanna::model::Timestamp;
use serde_json::{Value, json};
use support::{processor_time, setting};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const STATIONS: usize = 200;
const METERS: usize = 20_000;
/// Meters that tell within 200 ms, when all tell within 15 minutes.
const TOGETHER: usize = 5;
/// How much of a core the feeds of a province may use.
const GOAL: f64 = 0.05;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.store.data = folder.path().join("data");
        let broker = Arc::new(Broker::open(&config).await.unwrap());
        let stations = stations(&config, &broker).await;
        let meters = meters(&config, &broker).await;
        let share = stations.mul_f64(STATIONS as f64).as_secs_f64() / 60.0
            + meters.mul_f64(METERS as f64).as_secs_f64() / 900.0;
        println!("a station: {stations:.1?} of a core for each record");
        println!("a meter:   {meters:.1?} of a core for each record");
        println!(
            "{STATIONS} stations a minute and {METERS} meters in 15 minutes: {:.2} % of a core, \
             goal {:.0} %: {}",
            share * 100.0,
            GOAL * 100.0,
            if share <= GOAL { "met" } else { "missed" }
        );
        broker.close().await.unwrap();
    });
}

fn writer(config: &Config, broker: &Arc<Broker>, name: &str) -> (Arc<Mapping>, Writer) {
    let shipped = shipped_feeds().iter().find(|feed| feed.name == name).unwrap();
    let mapping = Arc::new(shipped.mapping().unwrap());
    let writer = Writer::new(broker.clone(), mapping.clone(), config).unwrap();
    (mapping, writer)
}

/// The processor time of a record, of documents whose readings all change.
async fn stations(config: &Config, broker: &Arc<Broker>) -> Duration {
    let (mapping, writer) = writer(config, broker, "air4thai");
    let rounds = setting("LANNA_BENCH_ROUNDS", 30);
    let sample: Value = serde_json::from_slice(
        shipped_feeds().iter().find(|feed| feed.name == "air4thai").unwrap().sample,
    )
    .unwrap();
    let model = &sample["stations"][0];
    let documents: Vec<Vec<u8>> = (0..rounds)
        .map(|round| {
            let each = (0..STATIONS).map(|number| {
                let mut station = model.clone();
                station["stationID"] = format!("b{number}").into();
                station["AQILast"]["time"] = format!("{:02}:{:02}", round / 60, round % 60).into();
                station["AQILast"]["PM25"]["value"] = format!("{}.{}", number % 90, round).into();
                station
            });
            json!({"stations": each.collect::<Value>()}).to_string().into_bytes()
        })
        .collect();
    let now = Timestamp::now();
    let before = processor_time();
    for bytes in &documents {
        let mut records = Vec::with_capacity(STATIONS);
        let input = Input { bytes, topic: None, file: None };
        mapping.map(input, now, |record| records.extend(record)).unwrap();
        let written = writer.write(records, now).await.unwrap();
        assert_eq!(written.stored as usize, STATIONS);
    }
    settled(before, rounds * STATIONS).await
}

/// The processor time of a record, of messages that come a few at a time.
async fn meters(config: &Config, broker: &Arc<Broker>) -> Duration {
    let (mapping, writer) = writer(config, broker, "meter-mqtt");
    let messages = setting("LANNA_BENCH_MESSAGES", 5_000);
    let now = Timestamp::now();
    let before = processor_time();
    let mut records = Vec::new();
    for number in 0..messages {
        let text = json!({
            "time": format!("2026-03-14T09:{:02}:00+07:00", number * 15 / METERS % 60),
            "import_kwh": 1000.0 + number as f64, "power_w": 900 + number % 700,
            "power_factor": 0.93, "frequency_hz": 50.01,
            "voltage": [229.8, 230.4, 231.1], "current": [5.1, 4.9, 5.4],
        });
        let (bytes, topic) = (text.to_string(), format!("meters/b{number}/readings"));
        let input = Input { bytes: bytes.as_bytes(), topic: Some(&topic), file: None };
        mapping.map(input, now, |record| records.extend(record)).unwrap();
        if records.len() == TOGETHER {
            writer.write(std::mem::take(&mut records), now).await.unwrap();
        }
    }
    settled(before, messages).await
}

/// The processor time of each of so many records since then, with what the store does after.
async fn settled(before: Duration, records: usize) -> Duration {
    tokio::time::sleep(Duration::from_secs(1)).await;
    (processor_time() - before) / records as u32
}
