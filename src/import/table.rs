//! Tables of readings become histories of entities: CSV with a [`Mapping`], or in the layout in
//! which the temporal API answers.

use std::collections::BTreeMap;
use std::io::Read;

use csv::{ReaderBuilder, StringRecord};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Item, ItemContext, Place, Refused};
use crate::model::Timestamp;

/// What the columns of a table mean.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// The id of the entity a row is about; `{column}` stands for the text of a column.
    pub id: String,
    /// The type of the entities.
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(rename = "observedAt")]
    pub observed_at: TimeColumn,
    /// Attributes by name.
    pub attributes: BTreeMap<String, AttributeColumn>,
    /// What stands between columns; a comma if absent.
    #[serde(default)]
    pub delimiter: Option<char>,
}

/// The column that says when a row was observed.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeColumn {
    pub column: String,
    /// As of `strptime`, like `%d/%m/%Y %H:%M`; ISO 8601 if absent.
    #[serde(default)]
    pub format: Option<String>,
    /// The time zone of times that say none, like Asia/Bangkok; UTC if absent.
    #[serde(default)]
    pub zone: Option<String>,
}

/// The column that holds the values of an attribute.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttributeColumn {
    pub column: String,
    #[serde(default, rename = "unitCode")]
    pub unit: Option<String>,
    #[serde(default, rename = "datasetId")]
    pub dataset: Option<String>,
    /// Values that are no numbers are left out, instead of being texts.
    #[serde(default)]
    pub number: bool,
}

/// Why a table cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    #[error("the table has no column {0:?}; it has {1}")]
    NoColumn(String, String),
    #[error("{0:?} is not a time zone")]
    NoZone(String),
    #[error("the table cannot be read: {0}")]
    Csv(#[from] csv::Error),
}

/// How many instances of one entity go into one document at most.
const INSTANCES: usize = 1_000;

/// Reads a table row by row.
pub(super) struct TableReader<R> {
    rows: csv::Reader<R>,
    layout: Layout,
    row: StringRecord,
    /// What was read and does not belong to the rows before it.
    next: Option<Result<Result<Row, Refused>, TableError>>,
    ended: bool,
}

/// Some rows of one entity as a document, or what is wrong with a row.
pub(super) struct Rows {
    pub item: Result<Item, Refused>,
    /// How many rows of the table were read until here.
    pub done: u64,
    /// Values that were left out.
    pub notes: Vec<String>,
}

struct Row {
    id: String,
    kind: String,
    instances: Vec<(String, Value)>,
    notes: Vec<String>,
    place: Place,
}

/// Where things stand in a row.
enum Layout {
    Mapped {
        mapping: Mapping,
        places: BTreeMap<String, usize>,
        zone: TimeZone,
    },
    /// One instance to a row, as the temporal API writes it.
    Long(LongLayout),
}

struct LongLayout {
    id: usize,
    kind: usize,
    attribute: usize,
    observed_at: usize,
    value: Option<usize>,
    text: Option<usize>,
    unit: Option<usize>,
    dataset: Option<usize>,
}

impl<R: Read> TableReader<R> {
    /// Reads the names of the columns.
    pub fn new(input: R, mapping: Option<Mapping>) -> Result<Self, TableError> {
        let delimiter = mapping.as_ref().and_then(|mapping| mapping.delimiter).unwrap_or(',');
        let delimiter = u8::try_from(delimiter).unwrap_or(b',');
        let mut rows = ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(input);
        let head: Vec<String> = rows
            .headers()?
            .iter()
            .map(|name| name.trim().trim_start_matches('\u{feff}').to_owned())
            .collect();
        let place = |name: &str| {
            head.iter()
                .position(|own| own == name)
                .ok_or_else(|| TableError::NoColumn(name.to_owned(), head.join(", ")))
        };
        let layout = match mapping {
            Some(mapping) => Layout::mapped(mapping, &head, place)?,
            None => Layout::Long(LongLayout {
                id: place("id")?,
                kind: place("type")?,
                attribute: place("attribute")?,
                observed_at: place("observedAt")?,
                value: place("value").ok(),
                text: place("text").ok(),
                unit: place("unitCode").ok(),
                dataset: place("datasetId").ok(),
            }),
        };
        Ok(Self { rows, layout, row: StringRecord::new(), next: None, ended: false })
    }

    /// Bytes of input read so far.
    pub fn bytes(&self) -> u64 {
        self.rows.position().byte()
    }

    /// The next rows that are about one entity; none at the end.
    pub fn next(&mut self) -> Option<Result<Rows, TableError>> {
        let first = match self.next.take() {
            Some(kept) => kept,
            None => self.read()?,
        };
        let mut all = match first {
            Ok(Ok(row)) => row,
            Ok(Err(refused)) => {
                let done = refused.place.number;
                return Some(Ok(Rows { item: Err(refused), done, notes: Vec::new() }));
            }
            Err(error) => return Some(Err(error)),
        };
        let mut done = all.place.number;
        while all.instances.len() < INSTANCES {
            match self.read() {
                Some(Ok(Ok(row))) if row.id == all.id && row.kind == all.kind => {
                    done = row.place.number;
                    all.instances.extend(row.instances);
                    all.notes.extend(row.notes);
                }
                other => {
                    self.next = other;
                    break;
                }
            }
        }
        let notes = std::mem::take(&mut all.notes);
        Some(Ok(Rows { item: Ok(all.into_item()), done, notes }))
    }

    fn read(&mut self) -> Option<Result<Result<Row, Refused>, TableError>> {
        if self.ended {
            return None;
        }
        match self.rows.read_record(&mut self.row) {
            Ok(true) => {}
            Ok(false) => {
                self.ended = true;
                return None;
            }
            Err(error) => {
                self.ended = true;
                return Some(Err(error.into()));
            }
        }
        let line = self.row.position().map_or(0, csv::Position::line);
        let number = self.row.position().map_or(0, csv::Position::record);
        let place = Place { line, number };
        Some(Ok(self.layout.row(&self.row, place).map_err(|why| Refused { place, id: None, why })))
    }
}

impl Layout {
    fn mapped(
        mapping: Mapping,
        head: &[String],
        place: impl Fn(&str) -> Result<usize, TableError>,
    ) -> Result<Self, TableError> {
        let zone = match &mapping.observed_at.zone {
            Some(name) => TimeZone::get(name).map_err(|_| TableError::NoZone(name.clone()))?,
            None => TimeZone::UTC,
        };
        let mut places = BTreeMap::new();
        let named = mapping.attributes.values().map(|attribute| attribute.column.as_str());
        for name in named.chain([mapping.observed_at.column.as_str()]) {
            places.insert(name.to_owned(), place(name)?);
        }
        for (number, name) in head.iter().enumerate() {
            if mapping.id.contains(&format!("{{{name}}}")) {
                places.insert(name.clone(), number);
            }
        }
        Ok(Layout::Mapped { mapping, places, zone })
    }

    fn row(&self, row: &StringRecord, place: Place) -> Result<Row, String> {
        match self {
            Layout::Mapped { mapping, places, zone } => mapped(mapping, places, zone, row, place),
            Layout::Long(layout) => layout.row(row, place),
        }
    }
}

fn mapped(
    mapping: &Mapping,
    places: &BTreeMap<String, usize>,
    zone: &TimeZone,
    row: &StringRecord,
    place: Place,
) -> Result<Row, String> {
    let text = |name: &str| places.get(name).and_then(|place| row.get(*place)).unwrap_or("").trim();
    let mut id = mapping.id.clone();
    for name in places.keys() {
        id = id.replace(&format!("{{{name}}}"), &text(name).replace(' ', "_"));
    }
    let written = text(&mapping.observed_at.column);
    let at = instant(written, mapping.observed_at.format.as_deref(), zone)
        .ok_or_else(|| format!("{written:?} is not a time that can be understood"))?;
    let mut instances = Vec::with_capacity(mapping.attributes.len());
    let mut notes = Vec::new();
    for (name, column) in &mapping.attributes {
        let value = text(&column.column);
        match value_of(value, column.number) {
            Some(value) => {
                let unit = column.unit.as_deref();
                let dataset = column.dataset.as_deref();
                instances.push((name.clone(), instance(value, at, unit, dataset)));
            }
            None if value.is_empty() => {}
            None => notes.push(format!("{place} ({id}): {name} is no number: {value:?}")),
        }
    }
    Ok(Row { id, kind: mapping.kind.clone(), instances, notes, place })
}

impl LongLayout {
    fn row(&self, row: &StringRecord, place: Place) -> Result<Row, String> {
        let text = |place: usize| row.get(place).unwrap_or("").trim();
        let maybe = |place: Option<usize>| place.map(text).filter(|text| !text.is_empty());
        let written = text(self.observed_at);
        let at = instant(written, None, &TimeZone::UTC)
            .ok_or_else(|| format!("{written:?} is not a time that can be understood"))?;
        let value = match (maybe(self.value), maybe(self.text)) {
            (Some(value), _) => value_of(value, false),
            (None, Some(text)) => Some(Value::from(text)),
            (None, None) => None,
        };
        let instances = value.map(|value| {
            let one = instance(value, at, maybe(self.unit), maybe(self.dataset));
            (text(self.attribute).to_owned(), one)
        });
        let (id, kind) = (text(self.id).to_owned(), text(self.kind).to_owned());
        let instances = instances.into_iter().collect();
        Ok(Row { id, kind, instances, notes: Vec::new(), place })
    }
}

impl Row {
    fn into_item(self) -> Item {
        let mut attributes: Map<String, Value> = Map::new();
        attributes.insert("id".into(), self.id.as_str().into());
        let kinds: Vec<&str> = self.kind.split(' ').filter(|kind| !kind.is_empty()).collect();
        attributes.insert("type".into(), json!(kinds));
        for (name, instance) in self.instances {
            let place = attributes.entry(name).or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(all) = place {
                all.push(instance);
            }
        }
        let json = Value::Object(attributes).to_string().into_bytes();
        Item { place: self.place, id: self.id, json, context: ItemContext::Chosen }
    }
}

fn instance(value: Value, at: Timestamp, unit: Option<&str>, dataset: Option<&str>) -> Value {
    let mut instance = json!({"type": "Property", "value": value, "observedAt": at.to_string()});
    if let Some(unit) = unit {
        instance["unitCode"] = unit.into();
    }
    if let Some(dataset) = dataset {
        instance["datasetId"] = dataset.into();
    }
    instance
}

/// A number, or else a text unless only numbers count; nothing for an empty field.
fn value_of(text: &str, number: bool) -> Option<Value> {
    if text.is_empty() {
        return None;
    }
    if let Ok(whole) = text.parse::<i64>() {
        return Some(whole.into());
    }
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Some(value.into()),
        _ if number => None,
        _ => Some(text.into()),
    }
}

/// The instant that a text says, in a zone if it names none itself.
fn instant(text: &str, format: Option<&str>, zone: &TimeZone) -> Option<Timestamp> {
    let local = |local: DateTime| zone.to_timestamp(local).ok();
    let instant = match format {
        Some(format) => {
            let parsed = jiff::fmt::strtime::parse(format, text).ok()?;
            parsed.to_timestamp().ok().or_else(|| local(parsed.to_datetime().ok()?))?
        }
        None => {
            let whole: Result<jiff::Timestamp, _> = text.parse();
            whole.ok().or_else(|| local(text.parse().ok()?))?
        }
    };
    Some(Timestamp::from_micros(instant.as_microsecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, mapping: Option<Value>) -> Vec<Result<Value, String>> {
        let mapping = mapping.map(|json| serde_json::from_value(json).expect("a mapping"));
        let mut table = TableReader::new(text.as_bytes(), mapping).expect("a table");
        std::iter::from_fn(|| table.next())
            .map(|rows| match rows.expect("rows").item {
                Ok(item) => Ok(serde_json::from_slice(&item.json).expect("JSON")),
                Err(refused) => Err(refused.why),
            })
            .collect()
    }

    #[test]
    fn columns_become_attributes_as_the_mapping_says() {
        let mapping = json!({
            "id": "urn:ngsi-ld:AirQualityObserved:{station}",
            "type": "AirQualityObserved",
            "observedAt": {"column": "time", "format": "%d/%m/%Y %H:%M", "zone": "Asia/Bangkok"},
            "attributes": {
                "pm25": {"column": "PM2.5", "unitCode": "GQ", "number": true},
                "note": {"column": "note"},
            },
        });
        let all = read(
            "station,time,PM2.5,note\n40t,01/02/2026 07:00,12.5,\n40t,01/02/2026 08:00,-,ควัน\n\
             41t,01/02/2026 07:00,9,\n41t,never,9,\n",
            Some(mapping),
        );
        let first = all[0].as_ref().expect("an entity");
        assert_eq!(first["id"], "urn:ngsi-ld:AirQualityObserved:40t");
        assert_eq!(
            first["pm25"],
            json!([{"type": "Property", "value": 12.5, "observedAt": "2026-02-01T00:00:00Z", "unitCode": "GQ"}])
        );
        assert_eq!(first["note"][0]["value"], "ควัน");
        assert_eq!(all[1].as_ref().expect("an entity")["pm25"][0]["value"], 9);
    }

    #[test]
    fn what_the_temporal_api_wrote_is_read_again() {
        let all = read(
            "id,type,attribute,datasetId,observedAt,value,text,unitCode,deletedAt,instanceId\r\n\
             urn:x:1,T,a,,2026-01-01T00:00:00Z,1.5,,GQ,,urn:i:1\r\n\
             urn:x:1,T,b,urn:d:1,2026-01-01T00:00:00Z,,\"x,y\",,,urn:i:2\r\n",
            None,
        );
        assert_eq!(
            all,
            [Ok(json!({
                "id": "urn:x:1", "type": ["T"],
                "a": [{"type": "Property", "value": 1.5, "observedAt": "2026-01-01T00:00:00Z", "unitCode": "GQ"}],
                "b": [{"type": "Property", "value": "x,y", "observedAt": "2026-01-01T00:00:00Z", "datasetId": "urn:d:1"}],
            }))]
        );
    }

    #[test]
    fn a_table_without_its_columns_is_refused() {
        assert!(TableReader::new("a,b\n".as_bytes(), None).is_err());
    }
}
