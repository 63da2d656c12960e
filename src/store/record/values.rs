//! Values, raw JSON and geometries as bytes.

use serde_json::Value as Json;

use super::{
    Damaged, Decoder, Encoder,
    codec::{In, Out},
};
use crate::geo::Geometry;
use crate::geo::Position;
use crate::model::{Number, Value};

/// How deep values, sub-attributes and raw JSON may nest in a record: more than any request may
/// hold, and few enough for the stack.
pub(super) const MAX_DEPTH: usize = 256;

mod tag {
    pub const NULL: u8 = 0;
    pub const FALSE: u8 = 1;
    pub const TRUE: u8 = 2;
    pub const INT: u8 = 3;
    pub const UINT: u8 = 4;
    pub const FLOAT: u8 = 5;
    pub const STRING: u8 = 6;
    pub const ARRAY: u8 = 7;
    pub const OBJECT: u8 = 8;
}

impl Encoder<'_> {
    pub(super) fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.out.byte(tag::NULL),
            Value::Bool(truth) => self.out.byte(if *truth { tag::TRUE } else { tag::FALSE }),
            Value::Number(number) => write_number(&mut self.out, *number),
            Value::String(text) => {
                self.out.byte(tag::STRING);
                self.out.text(text);
            }
            Value::Array(items) => {
                self.out.byte(tag::ARRAY);
                self.values(items);
            }
            Value::Object(members) => {
                self.out.byte(tag::OBJECT);
                self.out.count(members.len());
                for (name, value) in members {
                    self.name(*name);
                    self.value(value);
                }
            }
        }
    }

    pub(super) fn values(&mut self, values: &[Value]) {
        self.out.count(values.len());
        for value in values {
            self.value(value);
        }
    }
}

impl<'a> Decoder<'a> {
    pub(super) fn value(&mut self) -> Result<Value, Damaged> {
        self.deeper(|this| match this.input.byte()? {
            tag::NULL => Ok(Value::Null),
            tag::FALSE => Ok(Value::Bool(false)),
            tag::TRUE => Ok(Value::Bool(true)),
            kind @ (tag::INT | tag::UINT | tag::FLOAT) => {
                Ok(Value::Number(read_number(&mut this.input, kind)?))
            }
            tag::STRING => Ok(Value::String(this.input.text()?.into())),
            tag::ARRAY => Ok(Value::Array(this.values()?)),
            tag::OBJECT => {
                let count = this.input.count()?;
                (0..count)
                    .map(|_| Ok((this.name()?, this.value()?)))
                    .collect::<Result<_, _>>()
                    .map(Value::Object)
            }
            _ => Err(Damaged("a value is of no known kind")),
        })
    }

    pub(super) fn values(&mut self) -> Result<Box<[Value]>, Damaged> {
        let count = self.input.count()?;
        (0..count).map(|_| self.value()).collect()
    }

    pub(super) fn json(&mut self) -> Result<Json, Damaged> {
        self.deeper(|this| match this.input.byte()? {
            tag::NULL => Ok(Json::Null),
            tag::FALSE => Ok(Json::Bool(false)),
            tag::TRUE => Ok(Json::Bool(true)),
            kind @ (tag::INT | tag::UINT | tag::FLOAT) => {
                Ok(match read_number(&mut this.input, kind)? {
                    Number::Int(number) => Json::from(number),
                    Number::UInt(number) => Json::from(number),
                    Number::Float(number) => Json::from(number),
                })
            }
            tag::STRING => Ok(Json::from(this.input.text()?)),
            tag::ARRAY => {
                let count = this.input.count()?;
                (0..count).map(|_| this.json()).collect::<Result<_, _>>().map(Json::Array)
            }
            tag::OBJECT => {
                let count = this.input.count()?;
                let members = (0..count).map(|_| Ok((this.input.text()?.to_owned(), this.json()?)));
                members.collect::<Result<_, _>>().map(Json::Object)
            }
            _ => Err(Damaged("a value is of no known kind")),
        })
    }
}

pub(super) fn write_json(out: &mut Out, json: &Json) {
    match json {
        Json::Null => out.byte(tag::NULL),
        Json::Bool(truth) => out.byte(if *truth { tag::TRUE } else { tag::FALSE }),
        Json::Number(number) => {
            let number = match (number.as_i64(), number.as_u64()) {
                (Some(int), _) => Number::Int(int),
                (None, Some(uint)) => Number::UInt(uint),
                (None, None) => Number::Float(number.as_f64().unwrap_or_default()),
            };
            write_number(out, number);
        }
        Json::String(text) => {
            out.byte(tag::STRING);
            out.text(text);
        }
        Json::Array(items) => {
            out.byte(tag::ARRAY);
            out.count(items.len());
            for item in items {
                write_json(out, item);
            }
        }
        Json::Object(members) => {
            out.byte(tag::OBJECT);
            out.count(members.len());
            for (name, value) in members {
                out.text(name);
                write_json(out, value);
            }
        }
    }
}

fn write_number(out: &mut Out, number: Number) {
    match number {
        Number::Int(number) => {
            out.byte(tag::INT);
            out.signed(number);
        }
        Number::UInt(number) => {
            out.byte(tag::UINT);
            out.number(number);
        }
        Number::Float(number) => {
            out.byte(tag::FLOAT);
            out.float(number);
        }
    }
}

fn read_number(input: &mut In<'_>, kind: u8) -> Result<Number, Damaged> {
    Ok(match kind {
        tag::INT => Number::Int(input.signed()?),
        tag::UINT => Number::UInt(input.number()?),
        _ => Number::Float(input.float()?),
    })
}

mod shape {
    pub const POINT: u8 = 0;
    pub const MULTI_POINT: u8 = 1;
    pub const LINE_STRING: u8 = 2;
    pub const MULTI_LINE_STRING: u8 = 3;
    pub const POLYGON: u8 = 4;
    pub const MULTI_POLYGON: u8 = 5;
}

pub(super) fn write_geometry(out: &mut Out, geometry: &Geometry) {
    match geometry {
        Geometry::Point(position) => {
            out.byte(shape::POINT);
            write_position(out, position);
        }
        Geometry::MultiPoint(positions) => {
            out.byte(shape::MULTI_POINT);
            write_line(out, positions);
        }
        Geometry::LineString(positions) => {
            out.byte(shape::LINE_STRING);
            write_line(out, positions);
        }
        Geometry::MultiLineString(lines) => {
            out.byte(shape::MULTI_LINE_STRING);
            write_lines(out, lines);
        }
        Geometry::Polygon(rings) => {
            out.byte(shape::POLYGON);
            write_lines(out, rings);
        }
        Geometry::MultiPolygon(polygons) => {
            out.byte(shape::MULTI_POLYGON);
            out.count(polygons.len());
            for rings in polygons {
                write_lines(out, rings);
            }
        }
    }
}

fn write_lines(out: &mut Out, lines: &[Vec<Position>]) {
    out.count(lines.len());
    for line in lines {
        write_line(out, line);
    }
}

fn write_line(out: &mut Out, positions: &[Position]) {
    out.count(positions.len());
    for position in positions {
        write_position(out, position);
    }
}

fn write_position(out: &mut Out, position: &Position) {
    out.byte(position.alt.is_some().into());
    out.float(position.lon);
    out.float(position.lat);
    if let Some(alt) = position.alt {
        out.float(alt);
    }
}

pub(super) fn read_geometry(input: &mut In<'_>) -> Result<Geometry, Damaged> {
    Ok(match input.byte()? {
        shape::POINT => Geometry::Point(read_position(input)?),
        shape::MULTI_POINT => Geometry::MultiPoint(read_line(input)?),
        shape::LINE_STRING => Geometry::LineString(read_line(input)?),
        shape::MULTI_LINE_STRING => Geometry::MultiLineString(read_lines(input)?),
        shape::POLYGON => Geometry::Polygon(read_lines(input)?),
        shape::MULTI_POLYGON => {
            let count = input.count()?;
            Geometry::MultiPolygon((0..count).map(|_| read_lines(input)).collect::<Result<_, _>>()?)
        }
        _ => return Err(Damaged("a geometry is of no known kind")),
    })
}

fn read_lines(input: &mut In<'_>) -> Result<Vec<Vec<Position>>, Damaged> {
    let count = input.count()?;
    (0..count).map(|_| read_line(input)).collect()
}

fn read_line(input: &mut In<'_>) -> Result<Vec<Position>, Damaged> {
    let count = input.count()?;
    (0..count).map(|_| read_position(input)).collect()
}

fn read_position(input: &mut In<'_>) -> Result<Position, Damaged> {
    let has_altitude = input.byte()? != 0;
    let (lon, lat) = (input.float()?, input.float()?);
    let alt = if has_altitude { Some(input.float()?) } else { None };
    Ok(Position { lon, lat, alt })
}
