//! Appending JSON to bytes: strings, numbers, values.

use super::spell::Speller;
use crate::geo::write_double;
use crate::model::{Name, Number, OneOrMany, Timestamp, Value};

/// Appends a JSON string.
pub(in crate::represent) fn string(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    if is_plain(bytes) {
        out.extend_from_slice(bytes);
    } else {
        escaped(out, bytes);
    }
    out.push(b'"');
}

/// Whether no byte needs escaping: neither a quotation mark, a reverse solidus nor a control
/// character. Eight bytes are looked at together.
fn is_plain(bytes: &[u8]) -> bool {
    let Some(last) = bytes.last_chunk::<8>() else {
        return !bytes.iter().any(|byte| is_special(*byte));
    };
    let (words, _) = bytes.as_chunks::<8>();
    let special = words.iter().fold(special_bytes(last), |found, word| found | special_bytes(word));
    special == 0
}

/// Not zero if one of the bytes is special. (A byte above a special one may be marked as well,
/// by its borrow, but none is marked where none is special.)
fn special_bytes(word: &[u8; 8]) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let word = u64::from_ne_bytes(*word);
    let less_than = |word: u64, bound: u64| word.wrapping_sub(ONES * bound) & !word & HIGHS;
    less_than(word, 0x20)
        | less_than(word ^ (ONES * u64::from(b'"')), 1)
        | less_than(word ^ (ONES * u64::from(b'\\')), 1)
}

fn is_special(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\' | 0..0x20)
}

#[cold]
fn escaped(out: &mut Vec<u8>, bytes: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut rest = bytes;
    loop {
        let place = rest.iter().position(|byte| is_special(*byte)).unwrap_or(rest.len());
        let (plain, tail) = rest.split_at(place);
        out.extend_from_slice(plain);
        let Some((special, tail)) = tail.split_first() else { return };
        match special {
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            control @ 0..0x20 => {
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(control >> 4)]);
                out.push(HEX[usize::from(control & 15)]);
            }
            other => out.extend_from_slice(&[b'\\', *other]),
        }
        rest = tail;
    }
}

/// Appends a comma unless an object, an array or a member has just been opened.
pub(in crate::represent) fn comma(out: &mut Vec<u8>) {
    if !matches!(out.last(), Some(b'{' | b'[' | b':') | None) {
        out.push(b',');
    }
}

/// Appends a number as it was written: integers without a point.
pub(in crate::represent) fn number(out: &mut Vec<u8>, number: Number) {
    match number {
        Number::Int(number) => integer(out, number),
        Number::UInt(number) => {
            out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes())
        }
        Number::Float(number) => write_double(out, number),
    }
}

/// Appends an integer.
pub(in crate::represent) fn integer(out: &mut Vec<u8>, number: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends a DateTime as a JSON string.
pub(in crate::represent) fn time(out: &mut Vec<u8>, time: Timestamp) {
    out.push(b'"');
    time.write_to(out);
    out.push(b'"');
}

/// Appends several things as an array, or one without an array around it.
pub(in crate::represent) fn one_or_many<T>(
    out: &mut Vec<u8>,
    things: &OneOrMany<T>,
    mut write: impl FnMut(&mut Vec<u8>, &T),
) {
    match things {
        OneOrMany::One(thing) => write(out, thing),
        OneOrMany::Many(things) => array(out, things.iter(), write),
    }
}

/// Appends an array.
pub(in crate::represent) fn array<T>(
    out: &mut Vec<u8>,
    things: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut Vec<u8>, T),
) {
    out.push(b'[');
    for (index, thing) in things.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(out, thing);
    }
    out.push(b']');
}

/// Appends the value of a Property, its names compacted.
pub(in crate::represent) fn value(out: &mut Vec<u8>, value: &Value, speller: &Speller<'_>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => self::number(out, *number),
        Value::String(text) => string(out, text),
        Value::Array(items) => array(out, items, |out, item| self::value(out, item, speller)),
        Value::Object(members) => object(out, members, speller),
    }
}

fn object(out: &mut Vec<u8>, members: &[(Name, Value)], speller: &Speller<'_>) {
    out.push(b'{');
    for (index, (name, value)) in members.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        match *name {
            Name::AT_VALUE => out.extend_from_slice(b"\"@value\""),
            Name::AT_LANGUAGE => out.extend_from_slice(b"\"@language\""),
            name => speller.name(out, name),
        }
        out.push(b':');
        match *name {
            Name::AT_TYPE => types(out, value, speller),
            _ => self::value(out, value, speller),
        }
    }
    if is_json_null(members) {
        out.extend_from_slice(b",\"@value\":null");
    }
    out.push(b'}');
}

/// The JSON literal null is stored as a `@json` without a value.
fn is_json_null(members: &[(Name, Value)]) -> bool {
    matches!(members, [(Name::AT_TYPE, Value::String(text))] if text.as_ref() == "@json")
}

/// The types of a value are stored expanded.
fn types(out: &mut Vec<u8>, types: &Value, speller: &Speller<'_>) {
    match types {
        Value::String(text) => match Name::known(text) {
            Some(name) => speller.name(out, name),
            None => {
                // It may become a name later.
                speller.binds();
                string(out, text);
            }
        },
        Value::Array(items) => array(out, items, |out, item| self::types(out, item, speller)),
        other => value(out, other, speller),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn strings_read_back(text in "\\PC*|[\\x00-\\x7f]*|.*\"\\\\.*") {
            let mut out = Vec::new();
            string(&mut out, &text);
            prop_assert_eq!(serde_json::from_slice::<String>(&out).expect("JSON"), text);
        }
    }

    #[test]
    fn nothing_is_escaped_without_need() {
        let mut out = Vec::new();
        string(&mut out, "<b>ฝุ่น & 'x' = ; ( ) / \u{7f}</b>");
        assert_eq!(out, "\"<b>ฝุ่น & 'x' = ; ( ) / \u{7f}</b>\"".as_bytes());
    }
}
