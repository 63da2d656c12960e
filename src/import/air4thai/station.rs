//! One station of the feed becomes one entity.

use serde_json::{Map, Value, json};

use super::{
    text,
    values::{Reading, instant, position, reading},
};
use crate::model::Timestamp;

/// How the feed reports one substance.
struct Substance {
    /// The feed's name.
    member: &'static str,
    /// The name in the data model.
    attribute: &'static str,
    /// The time it averages over, ISO 8601.
    period: &'static str,
    /// The UN/CEFACT code of its unit.
    unit: &'static str,
}

const MICROGRAM_PER_CUBIC_METRE: &str = "GQ";
const MILLIGRAM_PER_CUBIC_METRE: &str = "GP";
const PARTS_PER_MILLION: &str = "59";
const PARTS_PER_BILLION: &str = "61";

const SUBSTANCES: [Substance; 6] = [
    Substance {
        member: "PM25",
        attribute: "pm25",
        period: "PT24H",
        unit: MICROGRAM_PER_CUBIC_METRE,
    },
    Substance {
        member: "PM10",
        attribute: "pm10",
        period: "PT24H",
        unit: MICROGRAM_PER_CUBIC_METRE,
    },
    Substance { member: "O3", attribute: "o3", period: "PT8H", unit: PARTS_PER_BILLION },
    Substance { member: "CO", attribute: "co", period: "PT8H", unit: PARTS_PER_MILLION },
    Substance { member: "NO2", attribute: "no2", period: "PT1H", unit: PARTS_PER_BILLION },
    Substance { member: "SO2", attribute: "so2", period: "PT1H", unit: PARTS_PER_BILLION },
];

/// The highest index of each band, its word in Thai and in English; the last is open.
const BANDS: [(f64, &str, &str); 5] = [
    (25.0, "ดีมาก", "very good"),
    (50.0, "ดี", "good"),
    (100.0, "ปานกลาง", "moderate"),
    (200.0, "เริ่มมีผลกระทบต่อสุขภาพ", "starts to affect health"),
    (f64::INFINITY, "มีผลกระทบต่อสุขภาพ", "affects health"),
];

/// From when on the index is computed by the revision of 2023, in UTC. The bands of the index
/// stayed as they were; what changed is which concentration falls into which.
const REVISION_OF_2023: &str = "2023-05-31T17:00:00Z";

/// Makes the entity of a station; what had to be left out goes into the notes.
pub(super) fn entity(
    station: &Map<String, Value>,
    notes: &mut Vec<String>,
) -> Result<Value, String> {
    let name = text(station, "stationID").ok_or("it has no stationID")?;
    let missing = Value::Null;
    let place = |member| station.get(member).unwrap_or(&missing);
    let position = position(place("lat"), place("long"))?;
    let last = ["AQILast", "LastUpdate"]
        .iter()
        .find_map(|member| station.get(*member)?.as_object())
        .ok_or("it has neither AQILast nor LastUpdate")?;
    let (date, time) = (text(last, "date").unwrap_or(""), text(last, "time").unwrap_or(""));
    let at = instant(date, time)
        .ok_or_else(|| format!("{date:?} {time:?} is no date and time of an observation"))?;

    let mut entity = Map::new();
    let mut put = |name: &str, value: Value| drop(entity.insert(name.into(), value));
    put("id", json!(format!("urn:ngsi-ld:AirQualityObserved:air4thai:{}", escaped(name))));
    put("type", json!("AirQualityObserved"));
    put(
        "dateObserved",
        json!({"type": "Property", "value": at.to_string(), "valueType": "DateTime"}),
    );
    put(
        "location",
        json!({"type": "GeoProperty", "value": {"type": "Point", "coordinates": position}}),
    );
    let languages = [("stationName", ["nameTH", "nameEN"]), ("areaName", ["areaTH", "areaEN"])];
    for (attribute, [thai, english]) in languages {
        if let Some(names) = names(text(station, thai), text(station, english)) {
            put(attribute, names);
        }
    }
    if let Some(area) = text(station, "areaEN").or(text(station, "areaTH")) {
        put("address", address(area));
    }
    if let Some(kind) = text(station, "stationType") {
        put("stationType", property(json!(kind)));
    }
    put("typeofLocation", property(json!("outdoor")));
    for substance in &SUBSTANCES {
        if let Some(Value::Object(part)) = last.get(substance.member)
            && let Some(value) = measurement(substance, part, at, name, notes)
        {
            put(substance.attribute, value);
        }
    }
    if let Some(Value::Object(part)) = last.get("AQI")
        && let Some(index) = index(part, name, notes)
    {
        let (thai, english) = band(&index);
        put("airQualityIndex", overall(index, part, at));
        put("airQualityLevel", level(thai, english, at));
        put("aqiScheme", property(json!(scheme(at))));
    }
    put("dataProvider", property(json!("Pollution Control Department, Thailand")));
    put("source", property(json!("http://air4thai.pcd.go.th")));
    Ok(Value::Object(entity))
}

fn property(value: Value) -> Value {
    json!({"type": "Property", "value": value})
}

fn names(thai: Option<&str>, english: Option<&str>) -> Option<Value> {
    let map: Map<String, Value> = [("th", thai), ("en", english)]
        .into_iter()
        .filter_map(|(tag, name)| Some((tag.to_owned(), json!(name?))))
        .collect();
    (!map.is_empty()).then(|| json!({"type": "LanguageProperty", "languageMap": map}))
}

/// The area, which ends in the province, as a postal address.
fn address(area: &str) -> Value {
    let mut address = Map::new();
    address.insert("addressCountry".into(), json!("TH"));
    let (locality, province) = area.rsplit_once(',').unwrap_or(("", area));
    address.insert("addressRegion".into(), json!(province.trim()));
    if !locality.trim().is_empty() {
        address.insert("addressLocality".into(), json!(locality.trim()));
    }
    property(Value::Object(address))
}

fn measurement(
    substance: &Substance,
    part: &Map<String, Value>,
    at: Timestamp,
    station: &str,
    notes: &mut Vec<String>,
) -> Option<Value> {
    let value = match reading(part.get("value")) {
        Reading::Number(number) => number,
        Reading::Missing => return None,
        Reading::Unreadable(found) => {
            notes.push(format!("{station}: {} is {found:?}, no number", substance.member));
            return None;
        }
    };
    let unit = match text(part, "unit").map(|unit| (unit, unit_code(unit))) {
        None => substance.unit,
        Some((_, Some(code))) => code,
        Some((unit, None)) => {
            notes.push(format!("{station}: {} has the unknown unit {unit:?}", substance.member));
            return None;
        }
    };
    let mut value = json!({
        "type": "Property",
        "value": value,
        "unitCode": unit,
        "observedAt": at.to_string(),
        "averagingPeriod": property(json!(substance.period)),
    });
    if let (Some(index), Some(members)) = (index(part, station, notes), value.as_object_mut()) {
        members.insert("airQualityIndex".into(), property(Value::Number(index)));
    }
    Some(value)
}

/// The code of a unit as older payloads spell it.
fn unit_code(unit: &str) -> Option<&'static str> {
    let unit: String = unit.to_lowercase().split_whitespace().collect();
    match unit.as_str() {
        "ppm" => Some(PARTS_PER_MILLION),
        "ppb" => Some(PARTS_PER_BILLION),
        unit if unit.starts_with("mg/m") => Some(MILLIGRAM_PER_CUBIC_METRE),
        unit if unit.contains("g/m") => Some(MICROGRAM_PER_CUBIC_METRE),
        _ => None,
    }
}

/// The index of a part, unless its colour says that there is none.
fn index(
    part: &Map<String, Value>,
    station: &str,
    notes: &mut Vec<String>,
) -> Option<serde_json::Number> {
    let is_none = |member| part.get(member).is_some_and(|colour| *colour == "0" || *colour == 0);
    if is_none("color_id") || is_none("Level") {
        return None;
    }
    match reading(part.get("aqi")) {
        Reading::Number(number) => Some(number),
        Reading::Missing => None,
        Reading::Unreadable(found) => {
            notes.push(format!("{station}: an index is {found:?}, no number"));
            None
        }
    }
}

fn overall(index: serde_json::Number, part: &Map<String, Value>, at: Timestamp) -> Value {
    let mut value = json!({"type": "Property", "value": index, "observedAt": at.to_string()});
    let decisive = text(part, "param").map(|param| {
        let known = SUBSTANCES.iter().find(|substance| substance.member == param);
        known.map_or(param, |substance| substance.attribute)
    });
    if let (Some(decisive), Some(members)) = (decisive, value.as_object_mut()) {
        members.insert("dominantPollutant".into(), property(json!(decisive)));
    }
    value
}

fn level(thai: &str, english: &str, at: Timestamp) -> Value {
    json!({
        "type": "Property",
        "value": english,
        "observedAt": at.to_string(),
        "label": {"type": "LanguageProperty", "languageMap": {"th": thai, "en": english}},
    })
}

fn band(index: &serde_json::Number) -> (&'static str, &'static str) {
    let value = index.as_f64().unwrap_or(f64::INFINITY);
    let found = BANDS.iter().find(|(highest, ..)| value <= *highest);
    let (_, thai, english) = found.unwrap_or(&BANDS[BANDS.len() - 1]);
    (thai, english)
}

fn scheme(at: Timestamp) -> &'static str {
    match at.to_string().as_str() >= REVISION_OF_2023 {
        true => "TH-PCD-2023",
        false => "TH-PCD-before-2023",
    }
}

/// The name of a station as a part of a URN.
fn escaped(name: &str) -> String {
    let mut out = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => out.push(byte as char),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}
