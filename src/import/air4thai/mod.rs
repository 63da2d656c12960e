//! Air4Thai, the air-quality stations of Thailand's Pollution Control Department: the payload of
//! `getNewAQI_JSON.php` becomes one `AirQualityObserved` per station.
//!
//! Pure: bytes in, documents and reasons out. What the feed leaves unsaid is said here, and why in
//! `docs/decisions/0006-air-quality-feed.md`:
//!
//! - every number is a text; `-1`, `-999`, `-9999`, `N/A` and the like mean that there is none;
//! - date and time are Thailand's (UTC+7) without saying so;
//! - PM2.5 and PM10 are means of the last 24 hours, O3 and CO of 8, NO2 and SO2 of one: each
//!   reading carries an `averagingPeriod`, and `observedAt` is the end of it;
//! - PM in µg/m³, O3, NO2 and SO2 in ppb, CO in ppm, unless an older payload says otherwise.

mod station;
#[cfg(test)]
mod tests;
mod values;

use serde_json::{Map, Value};

/// The context, of those that come with the broker, whose names the entities have.
pub const CONTEXT: &str = "mae-moh";

/// What a payload held.
#[derive(Debug, Default)]
pub struct Feed {
    /// Entities in normalized form, with the short names of the Smart Data Models.
    pub entities: Vec<Value>,
    /// Stations that no entity could be made of: which, and why.
    pub refused: Vec<(Option<String>, String)>,
    /// Readings and other parts that were left out, each with its station and the reason.
    pub notes: Vec<String>,
}

/// The bytes are not the payload of Air4Thai.
#[derive(Debug, thiserror::Error)]
pub enum NotAir4Thai {
    #[error("it is not JSON: {0}")]
    NotJson(#[from] serde_json::Error),
    #[error("it holds no stations: neither an object with `stations`, nor a station")]
    NoStations,
}

/// Reads a payload: an object with `stations`, an array of stations, or one station alone as the
/// service answers for a `stationID`.
pub fn read(payload: &[u8]) -> Result<Feed, NotAir4Thai> {
    let payload = payload.strip_prefix(b"\xef\xbb\xbf").unwrap_or(payload);
    let stations = match serde_json::from_slice(payload)? {
        Value::Array(stations) => stations,
        Value::Object(mut object) => match object.remove("stations") {
            Some(Value::Array(stations)) => stations,
            None if object.contains_key("stationID") => vec![Value::Object(object)],
            _ => return Err(NotAir4Thai::NoStations),
        },
        _ => return Err(NotAir4Thai::NoStations),
    };
    let mut feed = Feed::default();
    for station in &stations {
        let name = station.get("stationID").and_then(Value::as_str).map(str::to_owned);
        let Value::Object(members) = station else {
            feed.refused.push((None, "a station is not an object".into()));
            continue;
        };
        match station::entity(members, &mut feed.notes) {
            Ok(entity) => feed.entities.push(entity),
            Err(why) => feed.refused.push((name, why)),
        }
    }
    Ok(feed)
}

/// The member as a text without the space around it, unless it is empty.
fn text<'a>(object: &'a Map<String, Value>, member: &str) -> Option<&'a str> {
    object.get(member)?.as_str().map(str::trim).filter(|text| !text.is_empty())
}
