//! Writing geometries as GeoJSON.

use super::decimal::write_double;
use super::{Geometry, Position};

impl Geometry {
    /// Appends the GeoJSON object.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"type\":\"");
        out.extend_from_slice(self.type_name().as_bytes());
        out.extend_from_slice(b"\",\"coordinates\":");
        self.write_coordinates(out);
        out.push(b'}');
    }

    /// Appends the coordinates as JSON, whole numbers without a fraction.
    pub fn write_coordinates(&self, out: &mut Vec<u8>) {
        match self {
            Geometry::Point(position) => write_position(position, out),
            Geometry::MultiPoint(path) | Geometry::LineString(path) => write_path(path, out),
            Geometry::MultiLineString(paths) | Geometry::Polygon(paths) => write_paths(paths, out),
            Geometry::MultiPolygon(parts) => write_list(parts, out, |p, out| write_paths(p, out)),
        }
    }

    /// The GeoJSON object as a tree.
    pub fn to_json(&self) -> serde_json::Value {
        let position = |p: &Position| match p.alt {
            Some(alt) => serde_json::json!([number(p.lon), number(p.lat), number(alt)]),
            None => serde_json::json!([number(p.lon), number(p.lat)]),
        };
        let path = |path: &Vec<Position>| path.iter().map(position).collect::<serde_json::Value>();
        let paths = |paths: &Vec<Vec<Position>>| paths.iter().map(path).collect();
        let coordinates: serde_json::Value = match self {
            Geometry::Point(p) => position(p),
            Geometry::MultiPoint(p) | Geometry::LineString(p) => path(p),
            Geometry::MultiLineString(p) | Geometry::Polygon(p) => paths(p),
            Geometry::MultiPolygon(parts) => parts.iter().map(paths).collect(),
        };
        serde_json::json!({ "type": self.type_name(), "coordinates": coordinates })
    }
}

fn write_list<T>(items: &[T], out: &mut Vec<u8>, mut write: impl FnMut(&T, &mut Vec<u8>)) {
    out.push(b'[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(item, out);
    }
    out.push(b']');
}

fn write_paths(paths: &[Vec<Position>], out: &mut Vec<u8>) {
    write_list(paths, out, |path, out| write_path(path, out));
}

fn write_path(path: &[Position], out: &mut Vec<u8>) {
    write_list(path, out, write_position);
}

fn write_position(position: &Position, out: &mut Vec<u8>) {
    out.push(b'[');
    write_number(position.lon, out);
    out.push(b',');
    write_number(position.lat, out);
    if let Some(alt) = position.alt {
        out.push(b',');
        write_number(alt, out);
    }
    out.push(b']');
}

/// Whether a double is a whole number that an i64 holds exactly.
fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() < 9e15).then_some(number as i64)
}

fn write_number(number: f64, out: &mut Vec<u8>) {
    match whole(number) {
        Some(integer) => out.extend_from_slice(itoa::Buffer::new().format(integer).as_bytes()),
        None => write_double(out, number),
    }
}

fn number(number: f64) -> serde_json::Value {
    whole(number).map_or_else(|| number.into(), Into::into)
}
