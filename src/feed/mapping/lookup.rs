//! Look-ups: what is known beside the feed. A registry of stations, words for bands of numbers,
//! what holds since when, the area that a point lies in.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::{Map, Value};

use super::field::{Defaults, degrees, path, template};
use super::node::{Node, Table};
use super::path::{Path, Scope, Template, text_of};
use crate::feed::value::number::{Missing, Reading};
use crate::feed::value::time::TimeForm;
use crate::geo::{Geometry, Limits, Position, Prepared, Relation};
use crate::model::Timestamp;

/// Reads files that stand beside a mapping.
pub type Beside<'b> = &'b dyn Fn(&str) -> Result<Vec<u8>, String>;

/// Something that is known beside the feed; what it finds is called `$name`.
#[derive(Debug)]
pub struct Lookup {
    pub name: String,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// Rows by a key.
    Table { by: Template, rows: HashMap<String, Value> },
    /// Bands of numbers: the first that ends at or above it.
    Bands { by: Path, missing: Missing, bands: Vec<(f64, Value)> },
    /// What holds from then on, by the time of the record; the latest last.
    Since(Vec<(Timestamp, Value)>),
    /// The first of some parts of the record that is there, under one name.
    First(Vec<Path>),
    /// Areas, by a point.
    Areas { latitude: Vec<Path>, longitude: Vec<Path>, areas: Vec<Area> },
}

struct Area {
    shape: Prepared,
    properties: Value,
}

impl std::fmt::Debug for Area {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Area({})", self.properties)
    }
}

impl Lookup {
    pub(super) fn read(
        name: &str,
        node: &Node<'_>,
        defaults: &Defaults,
        beside: Beside<'_>,
    ) -> Option<Self> {
        let table = node.table()?;
        let kind = match () {
            () if table.take("bands").is_some() => bands(&table, defaults),
            () if table.take("since").is_some() => since(&table),
            () if table.take("first").is_some() => first(&table),
            () if table.take("areas").is_some() => areas(&table, beside),
            () => rows(&table, beside),
        };
        table.finish();
        Some(Self { name: name.to_owned(), kind: kind? })
    }

    /// What is known of a record.
    pub fn find(&self, scope: &Scope<'_>, at: Option<Timestamp>) -> Option<&Value> {
        match &self.kind {
            Kind::Table { by, rows } => rows.get(&by.fill(scope, str::to_owned).ok()?),
            Kind::Bands { by, missing, bands } => {
                let Reading::Number(number) = missing.read(by.find(scope), None) else {
                    return None;
                };
                let number = number.as_f64()?;
                bands.iter().find(|(to, _)| number <= *to).map(|(_, value)| value)
            }
            Kind::Since(spans) => {
                let at = at?;
                spans.iter().rev().find(|(from, _)| *from <= at).map(|(_, value)| value)
            }
            // What is found is in the record, and not here.
            Kind::First(_) => None,
            Kind::Areas { latitude, longitude, areas } => {
                let [lon, lat] = position(latitude, longitude, scope).ok()?;
                let point = Geometry::Point(Position::new(lon, lat));
                let holds = |area: &&Area| area.shape.is_related(&point, Relation::Intersects);
                areas.iter().find(holds).map(|area| &area.properties)
            }
        }
    }

    /// The paths that are read for it.
    pub fn paths<'l>(&'l self, out: &mut Vec<&'l Path>) {
        match &self.kind {
            Kind::Table { by, .. } => out.extend(by.paths()),
            Kind::Bands { by, .. } => out.push(by),
            Kind::Since(_) => {}
            Kind::First(paths) => out.extend(paths),
            Kind::Areas { latitude, longitude, .. } => {
                out.extend(latitude.iter().chain(longitude));
            }
        }
    }
}

/// Longitude and latitude, or why they are none.
pub fn position(
    latitude: &[Path],
    longitude: &[Path],
    scope: &Scope<'_>,
) -> Result<[f64; 2], String> {
    let told = |paths: &[Path]| {
        paths.iter().find_map(|path| path.find(scope)).cloned().unwrap_or(Value::Null)
    };
    let degrees = |value: &Value| text_of(value)?.parse::<f64>().ok().filter(|n| n.is_finite());
    let (north, east) = (told(latitude), told(longitude));
    let (Some(lat), Some(lon)) = (degrees(&north), degrees(&east)) else {
        return Err(format!("its coordinates {north}, {east} are no numbers"));
    };
    if lat == 0.0 && lon == 0.0 {
        return Err("its coordinates are 0, 0, which is the sea off Africa".into());
    }
    if !(-90.0..=90.0).contains(&lat) || !(-180.0..=180.0).contains(&lon) {
        return Err(format!(
            "latitude {lat} and longitude {lon} are nowhere on Earth: are they swapped?"
        ));
    }
    Ok([lon, lat])
}

fn rows(table: &Table<'_>, beside: Beside<'_>) -> Option<Kind> {
    let by = template(&table.need("by", "a template that makes the key, like {stationID}")?)?;
    let mut rows = HashMap::new();
    if let Some(own) = table.take("rows").and_then(|node| node.table()) {
        rows.extend(own.all().into_iter().map(|(key, node)| (key.to_owned(), node.json())));
    }
    if let Some(file) = table.take("file") {
        let key = table.need("key", "the column of the file that is the key")?;
        let (name, key) = (file.text()?, key.text()?);
        let read = beside(name).and_then(|bytes| csv_rows(&bytes, key));
        match read {
            Ok(read) => rows.extend(read),
            Err(why) => file.blame(why),
        }
    } else if rows.is_empty() {
        table.blame("there has to be one of rows, file, bands, since, first, areas");
    }
    Some(Kind::Table { by, rows })
}

fn csv_rows(bytes: &[u8], key: &str) -> Result<HashMap<String, Value>, String> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(bytes);
    let heads = reader.headers().map_err(|why| why.to_string())?.clone();
    let heads: Vec<&str> = heads.iter().map(|head| head.trim_start_matches('\u{feff}')).collect();
    let place = heads.iter().position(|head| *head == key);
    let place = place.ok_or_else(|| format!("it has no column {key}; it has {heads:?}"))?;
    let mut rows = HashMap::new();
    for row in reader.records() {
        let row = row.map_err(|why| why.to_string())?;
        let members = heads.iter().zip(&row);
        let members: Map<String, Value> = members
            .filter(|(_, value)| !value.is_empty())
            .map(|(head, value)| ((*head).to_owned(), value.into()))
            .collect();
        rows.insert(row.get(place).unwrap_or_default().to_owned(), Value::Object(members));
    }
    Ok(rows)
}

fn bands(table: &Table<'_>, defaults: &Defaults) -> Option<Kind> {
    let by = table.need("by", "the path of the number")?;
    let by = path(&by, by.text()?)?;
    let mut bands: Vec<(f64, Value)> = Vec::new();
    for node in table.take("bands")?.items() {
        let value = node.json();
        let to = value.get("to").map_or(Some(f64::INFINITY), Value::as_f64);
        match to {
            Some(to) if bands.last().is_none_or(|(before, _)| *before < to) => {
                bands.push((to, value));
            }
            _ => {
                node.blame("the bands need ascending ends, like { to = 25, … }; the last has none")
            }
        }
    }
    Some(Kind::Bands { by, missing: defaults.missing.clone(), bands })
}

fn since(table: &Table<'_>) -> Option<Kind> {
    let mut spans: Vec<(Timestamp, Value)> = Vec::new();
    let form = TimeForm::default();
    for node in table.take("since")?.items() {
        let value = node.json();
        let from = match value.get("from") {
            None => Some(Timestamp::from_bits(i64::MIN)),
            Some(from) => text_of(from).and_then(|text| form.read(&text)),
        };
        match from {
            Some(from) if spans.last().is_none_or(|(before, _)| *before < from) => {
                spans.push((from, value));
            }
            _ => node.blame("the spans need ascending times, like { from = 2023-05-31T17:00:00Z }"),
        }
    }
    Some(Kind::Since(spans))
}

fn areas(table: &Table<'_>, beside: Beside<'_>) -> Option<Kind> {
    let (latitude, longitude) = (degrees(table, "latitude"), degrees(table, "longitude"));
    let file = table.take("areas")?;
    let areas = beside(file.text()?).and_then(|bytes| read_areas(&bytes));
    let areas = areas.map_err(|why| file.blame(why)).ok()?;
    Some(Kind::Areas { latitude, longitude, areas })
}

fn read_areas(bytes: &[u8]) -> Result<Vec<Area>, String> {
    let collection: Value = serde_json::from_slice(bytes).map_err(|why| why.to_string())?;
    let features = collection["features"].as_array().ok_or("it is no FeatureCollection")?;
    let read = |feature: &Value| {
        let geometry = &feature["geometry"];
        let kind = geometry["type"].as_str().ok_or("a feature has no geometry")?;
        let coordinates = geometry["coordinates"].to_string();
        let limits = Limits { max_vertices: 200_000, ..Limits::default() };
        let shape = Geometry::parse_text(kind, &coordinates, &limits);
        let shape = Prepared::new(shape.map_err(|why| why.to_string())?);
        Ok(Area { shape, properties: feature["properties"].clone() })
    };
    features.iter().map(read).collect()
}

fn first(table: &Table<'_>) -> Option<Kind> {
    let node = table.take("first")?;
    let texts = node.texts();
    Some(Kind::First(texts.iter().filter_map(|text| path(&node, text)).collect()))
}

/// Looks up everything that is known of a record, each look-up after those before it; those that
/// depend on its time when that is known.
pub fn look_up<'r>(
    lookups: &'r [Lookup],
    levels: &'r [&'r Value],
    named: &mut Vec<(&'r str, Cow<'r, Value>)>,
    at: Option<Timestamp>,
    timed: bool,
) {
    for lookup in lookups {
        let found = match &lookup.kind {
            Kind::Since(_) if !timed => None,
            Kind::Since(_) => lookup.find(&Scope { levels, named }, at),
            _ if timed => None,
            Kind::First(paths) => {
                let scope = Scope { levels, named: &[] };
                paths.iter().find_map(|path| path.find(&scope))
            }
            _ => lookup.find(&Scope { levels, named }, at),
        };
        if let Some(found) = found {
            named.push((&lookup.name, Cow::Borrowed(found)));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_registry_is_read_by_its_key() {
        let rows = csv_rows("\u{feff}id,tambon,lat\n40t,แม่เมาะ,18.28\n41t,,\n".as_bytes(), "id");
        let rows = rows.expect("a table");
        assert_eq!(rows["40t"], json!({"id": "40t", "tambon": "แม่เมาะ", "lat": "18.28"}));
        assert_eq!(rows["41t"], json!({"id": "41t"}));
        assert!(csv_rows(b"a,b\n", "id").is_err());
    }

    #[test]
    fn a_point_lies_in_its_area() {
        let square = |name: &str, west: f64| {
            json!({
                "type": "Feature",
                "properties": {"name": name},
                "geometry": {"type": "Polygon", "coordinates":
                    [[[west, 18.0], [west + 1.0, 18.0], [west + 1.0, 19.0], [west, 19.0], [west, 18.0]]]},
            })
        };
        let areas = json!({"type": "FeatureCollection", "features": [square("a", 98.0), square("b", 99.0)]});
        let areas = read_areas(areas.to_string().as_bytes()).expect("areas");
        let path = |text| Path::parse(text).expect("a path");
        let kind = Kind::Areas { latitude: vec![path("lat")], longitude: vec![path("lon")], areas };
        let lookup = Lookup { name: "area".into(), kind };
        let named = |lat: &str, lon: &str| {
            let record = json!({"lat": lat, "lon": lon});
            let levels = [&record];
            let found = lookup.find(&Scope { levels: &levels, named: &[] }, None)?;
            Some(found["name"].as_str().expect("a name").to_owned())
        };
        assert_eq!(named("18.5", "98.5").as_deref(), Some("a"));
        assert_eq!(named("18.5", "99.5").as_deref(), Some("b"));
        assert_eq!(named("17.5", "99.5"), None);
        assert_eq!(named("-", "99.5"), None);
    }
}
