//! Tables: each row is a record of texts by the names of columns.

use std::borrow::Cow;

use csv::{ReaderBuilder, StringRecord, Trim};
use serde_json::{Map, Value};

use super::{NotReadable, Taker};
use crate::feed::mapping::Csv;

/// Walks a table row by row.
pub fn walk(form: &Csv, bytes: &[u8], take: Taker<'_>) -> Result<(), NotReadable> {
    let text: Cow<'_, str> = match form.thai {
        true => thai(bytes).into(),
        false => String::from_utf8_lossy(bytes),
    };
    let mut text = &*text;
    for _ in 0..form.skip {
        text = text.split_once('\n').map_or("", |(_, rest)| rest);
    }
    let named = form.columns.is_empty();
    let mut rows = ReaderBuilder::new()
        .delimiter(form.delimiter)
        .trim(Trim::All)
        .flexible(true)
        .has_headers(named)
        .from_reader(text.as_bytes());
    let broken = |why: csv::Error| NotReadable(format!("the table cannot be read: {why}"));
    let columns: Vec<String> = match named {
        true => {
            let heads = rows.headers().map_err(broken)?;
            heads.iter().map(|head| head.trim_matches(['\u{feff}', ' ']).to_owned()).collect()
        }
        false => form.columns.clone(),
    };
    let mut row = StringRecord::new();
    while rows.read_record(&mut row).map_err(broken)? {
        let line = row.position().map_or(0, csv::Position::line) + form.skip as u64;
        let members = columns.iter().zip(&row);
        let members: Map<String, Value> =
            members.map(|(name, value)| (name.clone(), value.into())).collect();
        let record = Value::Object(members);
        take(&[&record], Some(line));
    }
    Ok(())
}

/// The encoding of Thai before Unicode: one byte to a letter, in the order of its block.
fn thai(bytes: &[u8]) -> String {
    let letter = |byte: &u8| match byte {
        0x00..=0x7f => char::from(*byte),
        0xa1..=0xda | 0xdf..=0xfb => {
            char::from_u32(0x0e00 + u32::from(*byte) - 0xa0).unwrap_or('\u{fffd}')
        }
        0xa0 => ' ',
        0x80 => '€',
        0x85 => '…',
        0x91 => '‘',
        0x92 => '’',
        0x93 => '“',
        0x94 => '”',
        0x96 => '–',
        0x97 => '—',
        _ => '\u{fffd}',
    };
    bytes.iter().map(letter).collect()
}
