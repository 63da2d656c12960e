//! Comma-separated values, as RFC 4180 has them.

use super::Table;
use super::rows::{Cell, Columns};
use crate::jsonld::Context;
use crate::query::Evolution;

/// A table in `text/csv`, with a line of names first.
pub struct CsvTable {
    head: Vec<&'static str>,
}

impl CsvTable {
    /// A table with these columns.
    pub fn new(columns: &Columns) -> Self {
        Self { head: columns.head().into_iter().map(|(name, _)| name).collect() }
    }
}

impl Table for CsvTable {
    fn begin(&mut self) -> Vec<u8> {
        let mut out = self.head.join(",").into_bytes();
        out.extend_from_slice(b"\r\n");
        out
    }

    fn rows(&mut self, evolutions: &[Evolution], columns: &Columns, context: &Context) -> Vec<u8> {
        let mut out = Vec::new();
        for evolution in evolutions {
            columns.rows(evolution, context, |begin, rest| {
                for (place, cell) in begin.iter().chain(rest).enumerate() {
                    if place > 0 {
                        out.push(b',');
                    }
                    field(&mut out, cell);
                }
                out.extend_from_slice(b"\r\n");
            });
        }
        out
    }

    fn end(&mut self) -> Vec<u8> {
        Vec::new()
    }
}

fn field(out: &mut Vec<u8>, cell: &Cell) {
    match cell {
        Cell::Nothing => {}
        Cell::Number(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Cell::Time(at) => at.write_to(out),
        Cell::Text(text) => quoted(out, text),
    }
}

/// A text, in quotation marks where it needs them. One that a spreadsheet would take for a formula
/// gets an apostrophe before it, since whoever sends an entity must not be able to run anything
/// on the desk of whoever reads the table.
fn quoted(out: &mut Vec<u8>, text: &str) {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let special = formula || text.contains(['"', ',', '\r', '\n']);
    if !special {
        return out.extend_from_slice(text.as_bytes());
    }
    out.push(b'"');
    if formula {
        out.push(b'\'');
    }
    out.extend_from_slice(text.replace('"', "\"\"").as_bytes());
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_quoted_where_they_need_it() {
        for (text, expected) in [
            ("plain", "plain"),
            ("ฝุ่น PM2.5", "ฝุ่น PM2.5"),
            ("a,b", "\"a,b\""),
            ("say \"hi\"\n", "\"say \"\"hi\"\"\n\""),
            ("=1+1", "\"'=1+1\""),
            ("@x", "\"'@x\""),
        ] {
            let mut out = Vec::new();
            quoted(&mut out, text);
            assert_eq!(String::from_utf8(out).expect("UTF-8"), expected);
        }
    }
}
