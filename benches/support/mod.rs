//! What the benchmarks of the store share: entities, clocks, memory.

#![allow(dead_code, reason = "each benchmark uses its part")]
#![allow(clippy::unwrap_used, reason = "a benchmark may end early")]

use std::time::{Duration, Instant};

use lanna::geo::{Geometry, Position};
use lanna::model::{
    Action, Attribute, Attributes, Datum, Entity, EntityId, Instance, LanguageMap, Name, Number,
    OneOrMany, Timestamp, Value, Write,
};

/// A number from the environment.
pub fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

pub fn name(text: &str) -> Name {
    Name::intern(&format!("https://uri.etsi.org/ngsi-ld/default-context/{text}")).unwrap()
}

fn number(value: f64, unit: &str, observed: Timestamp) -> Attribute {
    let mut instance = Instance::new(Datum::Property(Value::Number(Number::Float(value))));
    instance.observed_at = Some(observed);
    instance.unit = Some(Name::intern(unit).unwrap());
    Attribute::one(instance)
}

fn text(value: &str) -> Attribute {
    Attribute::one(Instance::new(Datum::Property(Value::from(value))))
}

fn point(lon: f64, lat: f64) -> Attribute {
    let point = Geometry::Point(Position { lon, lat, alt: None });
    Attribute::one(Instance::new(Datum::GeoProperty(Box::new(point))))
}

fn entity(id: String, kind: &str, attributes: Attributes) -> Entity {
    let now = Timestamp::now();
    Entity {
        id: EntityId::parse(&id).unwrap(),
        types: OneOrMany::One(name(kind)),
        scopes: Vec::new(),
        attributes,
        created_at: now,
        modified_at: now,
        expires_at: None,
    }
}

pub fn vehicle_id(index: usize) -> String {
    format!("urn:ngsi-ld:Vehicle:V{index:06}")
}

/// About 550 bytes of JSON.
pub fn vehicle(index: usize) -> Entity {
    let now = Timestamp::now();
    let mut attributes = Attributes::new();
    attributes.insert(name("brand"), text("Mercedes"));
    attributes.insert(name("speed"), number(index as f64 % 120.0, "KMH", now));
    attributes.insert(Name::LOCATION, point(99.7 + index as f64 / 1e5, 18.3));
    let garage = EntityId::parse("urn:ngsi-ld:OffStreetParking:Downtown1").unwrap();
    let garage = Datum::Relationship(OneOrMany::One(garage));
    attributes.insert(name("isParked"), Attribute::one(Instance::new(garage)));
    attributes.insert(name("description"), text(&"a vehicle of the city, ".repeat(9)));
    entity(vehicle_id(index), "Vehicle", attributes)
}

pub fn station_id(index: usize) -> String {
    format!("urn:ngsi-ld:AirQualityObserved:station:{index:07}")
}

/// How many stations have a high value, whatever their number in all.
pub const HIGH: usize = 100;

/// Twelve attributes, about 1.3 kB of JSON; [`HIGH`] of all have a high pm25.
pub fn station(index: usize, all: usize) -> Entity {
    let observed = Timestamp::now();
    // Numbers that look like measurements, the same in every run.
    let noise = |salt: usize| ((index * 7_919 + salt * 104_729) % 1_000) as f64 / 10.0;
    let mut attributes = Attributes::new();
    let high = index.is_multiple_of((all / HIGH).max(1));
    let pm25 = if high { 95.0 + noise(1) / 10.0 } else { noise(1) * 0.8 };
    attributes.insert(name("pm25"), number(pm25, "GQ", observed));
    for (salt, (attribute, unit)) in [
        ("pm10", "GQ"),
        ("o3", "GQ"),
        ("co", "GP"),
        ("no2", "GQ"),
        ("so2", "GQ"),
        ("temperature", "CEL"),
        ("relativeHumidity", "P1"),
        ("airQualityIndex", "C62"),
    ]
    .into_iter()
    .enumerate()
    {
        attributes.insert(name(attribute), number(noise(salt + 2), unit, observed));
    }
    let map = LanguageMap(Box::new([
        ("th".into(), OneOrMany::One("สถานีแม่เมาะ".into())),
        ("en".into(), OneOrMany::One(format!("Mae Moh {index}").into())),
    ]));
    let map = Instance::new(Datum::LanguageProperty(map));
    attributes.insert(name("stationName"), Attribute::one(map));
    // A grid of about 500 m, so that a circle of 2 km holds about fifty, however many there are.
    let side = (all as f64).sqrt().ceil() as usize;
    let (x, y) = (index % side, index / side);
    let location = point(95.0 + x as f64 * 0.005, 5.0 + y as f64 * 0.005);
    attributes.insert(Name::LOCATION, location);
    attributes.insert(name("source"), text("https://air4thai.example.org/lampang"));
    entity(station_id(index), "AirQualityObserved", attributes)
}

/// Intends to create or replace an entity.
pub fn upsert(entity: Entity) -> Write {
    Write::new(entity.id.clone(), Action::Upsert(entity))
}

/// Resident memory in bytes.
pub fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0)
        * 1_024
}

/// The processor time this process has used, all threads together.
pub fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // After the name in brackets; the 14th and 15th fields are user and system ticks of 10 ms.
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or("").split(' ').collect();
    let ticks = |place: usize| fields.get(place).and_then(|text| text.parse().ok()).unwrap_or(0u64);
    Duration::from_millis((ticks(11) + ticks(12)) * 10)
}

/// The time of one call on average, the best of three runs.
pub fn time(calls: usize, mut call: impl FnMut(usize)) -> Duration {
    (0..3)
        .map(|_| {
            let started = Instant::now();
            (0..calls).for_each(&mut call);
            started.elapsed() / calls as u32
        })
        .min()
        .unwrap()
}
