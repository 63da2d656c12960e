//! Tables of readings become histories of entities: CSV with a [`Mapping`], or in the layout in
//! which the temporal API answers.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

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
    #[error("a delimiter is a single ASCII character, not {0:?}")]
    NoDelimiter(char),
    #[error("the table cannot be read: {0}")]
    Csv(#[from] csv::Error),
}

/// How many instances of one entity go into one document at most.
const INSTANCES: usize = 1_000;

/// How many instances are gathered, of all entities together, before they are handed out: tables
/// often tell of one station after the other at each time.
const GATHERED: usize = 5_000;

/// About how many bytes of values are gathered.
const GATHERED_BYTES: usize = 1 << 20;

/// Reads a table, some rows at a time.
pub(super) struct TableReader<R> {
    rows: csv::Reader<Bounded<R>>,
    /// What was read since the last row ended.
    unended: Arc<AtomicUsize>,
    layout: Layout,
    row: StringRecord,
    /// Rows up to this one are left out.
    skip: u64,
    /// What was gathered.
    ready: VecDeque<Result<Rows, TableError>>,
    /// The last row that was handed out with all before it.
    done: u64,
    ended: bool,
}

/// An input that fails when a row does not end.
struct Bounded<R> {
    input: R,
    unended: Arc<AtomicUsize>,
    most: usize,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.unended.load(Ordering::Relaxed) > self.most {
            let why =
                format!("a row is longer than {} bytes: is a quotation mark open?", self.most);
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        let read = self.input.read(buffer)?;
        self.unended.fetch_add(read, Ordering::Relaxed);
        Ok(read)
    }
}

/// Some rows of one entity as a document, or what is wrong with a row.
pub(super) struct Rows {
    pub item: Result<Item, Refused>,
    /// How many rows of the table are done with once this was taken.
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
        /// The columns that the id is made of.
        named: Vec<String>,
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
    /// Reads the names of the columns. Rows of more bytes are refused; the first so many are left
    /// out.
    pub fn new(
        input: R,
        mapping: Option<Mapping>,
        (most, skip): (usize, u64),
    ) -> Result<Self, TableError> {
        let delimiter = mapping.as_ref().and_then(|mapping| mapping.delimiter).unwrap_or(',');
        let ascii = u8::try_from(delimiter).ok().filter(u8::is_ascii);
        let delimiter = ascii.ok_or(TableError::NoDelimiter(delimiter))?;
        let unended = Arc::new(AtomicUsize::new(0));
        let input = Bounded { input, unended: unended.clone(), most };
        let mut rows = ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(input);
        let head: Vec<String> = rows
            .headers()?
            .iter()
            .map(|name| name.trim().trim_start_matches('\u{feff}').to_owned())
            .collect();
        unended.store(0, Ordering::Relaxed);
        let layout = Layout::of(mapping, &head)?;
        let (row, ready) = (StringRecord::new(), VecDeque::new());
        Ok(Self { rows, unended, layout, row, skip, ready, done: skip, ended: false })
    }

    /// Bytes of input read so far.
    pub fn bytes(&self) -> u64 {
        self.rows.position().byte()
    }

    /// The next rows that are about one entity; none at the end.
    pub fn next(&mut self) -> Option<Result<Rows, TableError>> {
        if self.ready.is_empty() {
            self.gather();
        }
        self.ready.pop_front()
    }

    /// Reads rows and puts those of one entity together.
    fn gather(&mut self) {
        let mut rows: Vec<Result<Row, Refused>> = Vec::new();
        let mut open: HashMap<(String, String), usize> = HashMap::new();
        let (mut instances, mut bytes, mut last, mut broken) = (0, 0, self.done, None);
        while instances < GATHERED && bytes < GATHERED_BYTES && rows.len() < GATHERED {
            let read = match self.read() {
                None => break,
                Some(Err(error)) => {
                    broken = Some(error);
                    break;
                }
                Some(Ok(read)) => read,
            };
            bytes += self.row.as_slice().len();
            let row = match read {
                Ok(row) => row,
                Err(refused) => {
                    last = refused.place.number;
                    rows.push(Err(refused));
                    continue;
                }
            };
            last = row.place.number;
            instances += row.instances.len();
            let key = (row.id.clone(), row.kind.clone());
            if let Some(place) = open.get(&key)
                && let Ok(known) = &mut rows[*place]
                && known.instances.len() < INSTANCES
            {
                known.instances.extend(row.instances);
                known.notes.extend(row.notes);
                continue;
            }
            open.insert(key, rows.len());
            rows.push(Ok(row));
        }
        let count = rows.len();
        for (place, row) in rows.into_iter().enumerate() {
            // Only with the last of them everything before is done.
            let done = if place + 1 == count { last } else { self.done };
            let (item, notes) = match row {
                Ok(mut row) => {
                    let notes = std::mem::take(&mut row.notes);
                    (Ok(row.into_item()), notes)
                }
                Err(refused) => (Err(refused), Vec::new()),
            };
            self.ready.push_back(Ok(Rows { item, done, notes }));
        }
        self.done = last;
        self.ready.extend(broken.map(Err));
    }

    /// The next row that is not left out.
    fn read(&mut self) -> Option<Result<Result<Row, Refused>, TableError>> {
        loop {
            if self.ended {
                return None;
            }
            match self.rows.read_record(&mut self.row) {
                Ok(true) => self.unended.store(0, Ordering::Relaxed),
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
            if number <= self.skip {
                continue;
            }
            let place = Place { line, number };
            let row = self.layout.row(&self.row, place);
            return Some(Ok(row.map_err(|why| Refused { place, id: None, why })));
        }
    }
}

impl Layout {
    fn of(mapping: Option<Mapping>, head: &[String]) -> Result<Self, TableError> {
        let place = |name: &str| {
            head.iter()
                .position(|own| own == name)
                .ok_or_else(|| TableError::NoColumn(name.to_owned(), head.join(", ")))
        };
        let Some(mapping) = mapping else {
            return Ok(Layout::Long(LongLayout {
                id: place("id")?,
                kind: place("type")?,
                attribute: place("attribute")?,
                observed_at: place("observedAt")?,
                value: place("value").ok(),
                text: place("text").ok(),
                unit: place("unitCode").ok(),
                dataset: place("datasetId").ok(),
            }));
        };
        Layout::mapped(mapping, place)
    }

    fn mapped(
        mapping: Mapping,
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
        let named = columns_of(&mapping.id);
        for name in &named {
            places.insert(name.clone(), place(name)?);
        }
        Ok(Layout::Mapped { mapping, places, named, zone })
    }

    fn row(&self, row: &StringRecord, place: Place) -> Result<Row, String> {
        match self {
            Layout::Mapped { mapping, places, named, zone } => {
                mapped(mapping, (places, named), zone, row, place)
            }
            Layout::Long(layout) => layout.row(row, place),
        }
    }
}

fn mapped(
    mapping: &Mapping,
    (places, named): (&BTreeMap<String, usize>, &[String]),
    zone: &TimeZone,
    row: &StringRecord,
    place: Place,
) -> Result<Row, String> {
    let text = |name: &str| places.get(name).and_then(|place| row.get(*place)).unwrap_or("").trim();
    let mut id = mapping.id.clone();
    for name in named {
        let own = text(name);
        if own.is_empty() {
            return Err(format!("the column {name:?}, which the id is made of, is empty"));
        }
        id = id.replace(&format!("{{{name}}}"), &own.replace(' ', "_"));
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
            (None, Some(text)) => Some(Value::from(unguarded(text))),
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

/// The columns that a text names between braces.
fn columns_of(text: &str) -> Vec<String> {
    let mut columns = Vec::new();
    for part in text.split('{').skip(1) {
        columns.extend(part.split_once('}').map(|(name, _)| name.to_owned()));
    }
    columns.dedup();
    columns
}

/// A text as it was before an apostrophe was put before it, lest a spreadsheet take it for a
/// formula.
fn unguarded(text: &str) -> &str {
    match text.strip_prefix('\'') {
        Some(rest) if rest.starts_with(['=', '+', '-', '@', '\t', '\r']) => rest,
        _ => text,
    }
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
        let mut table = TableReader::new(text.as_bytes(), mapping, (1_000, 0)).expect("a table");
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
        assert!(TableReader::new("a,b\n".as_bytes(), None, (1_000, 0)).is_err());
        for (id, delimiter, said) in
            [("urn:{staton}", ",", "no column \"staton\""), ("urn:{a}", "→", "a delimiter")]
        {
            let mapping = json!({
                "id": id, "type": "T", "delimiter": delimiter, "observedAt": {"column": "b"},
                "attributes": {"x": {"column": "b"}},
            });
            let mapping = serde_json::from_value(mapping).expect("a mapping");
            let table = TableReader::new("a,b\n".as_bytes(), Some(mapping), (1_000, 0));
            let error = table.err().expect("an error").to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    fn by_station() -> Value {
        json!({
            "id": "urn:x:{s}", "type": "T", "observedAt": {"column": "t"},
            "attributes": {"a": {"column": "a", "number": true}},
        })
    }

    #[test]
    fn rows_of_one_entity_are_put_together_wherever_they_stand() {
        let mut text = "t,s,a\n".to_owned();
        for minute in 0..3 {
            for station in 0..2 {
                text += &format!("2026-01-01T00:0{minute}:00Z,{station},{minute}\n");
            }
        }
        text += "2026-01-01T00:09:00Z,,1\n";
        let all = read(&text, Some(by_station()));
        assert_eq!(all.len(), 3);
        for (station, one) in all[..2].iter().enumerate() {
            let one = one.as_ref().expect("an entity");
            assert_eq!(one["id"], format!("urn:x:{station}"));
            let values: Vec<_> = one["a"].as_array().expect("all").iter().collect();
            assert_eq!(values.iter().map(|one| &one["value"]).collect::<Vec<_>>(), [0, 1, 2]);
        }
        assert!(all[2].as_ref().is_err_and(|why| why.contains("\"s\"")), "{all:?}");
    }

    #[test]
    fn a_row_without_an_end_does_not_fill_the_memory() {
        let endless = io::repeat(b'x').take(1 << 30);
        let input = "s,t,a\n1,2026-01-01T00:00:00Z,1\n\"".as_bytes().chain(endless);
        let mapping = serde_json::from_value(by_station()).expect("a mapping");
        let mut table = TableReader::new(input, Some(mapping), (50_000, 0)).expect("a table");
        assert!(table.next().is_some_and(|rows| rows.is_ok_and(|rows| rows.item.is_ok())));
        let error = table.next().and_then(Result::err).expect("an error").to_string();
        assert!(error.contains("longer than 50000 bytes"), "{error}");
        assert!(table.next().is_none());
    }

    #[test]
    fn texts_that_were_kept_from_being_formulas_are_what_they_were() {
        let row = |text: &str| format!("urn:x:1,T,a,2026-01-01T00:00:00Z,,{text}\n");
        for (written, expected) in [("'=1+1", "=1+1"), ("'quoted'", "'quoted'"), ("12", "12")] {
            let text = "id,type,attribute,observedAt,value,text\n".to_owned() + &row(written);
            let all = read(&text, None);
            assert_eq!(all[0].as_ref().expect("an entity")["a"][0]["value"], expected);
        }
    }
}
