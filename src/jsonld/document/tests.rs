use expect_test::{Expect, expect};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Document, ParseError, ParseLimits};

fn read(text: &str) -> Result<Document<'_>, ParseError> {
    Document::parse(text.as_bytes(), &ParseLimits::default())
}

#[test]
fn a_document_keeps_order_and_numbers_as_they_were_written() {
    let text =
        r#"{"z":1,"a":[-2,18446744073709551615,1.5,1.0,1e30],"ฝุ่น":"ก\n\"","n":null,"b":true}"#;
    let document = read(text).expect("JSON");
    assert_eq!(
        document.to_string(),
        r#"{"z":1,"a":[-2,18446744073709551615,1.5,1.0,1e30],"ฝุ่น":"ก\n\"","n":null,"b":true}"#
    );
}

#[test]
fn text_without_escapes_is_borrowed() {
    let document = read(r#"{"plain":"text","escaped":"te\u0078t"}"#).expect("JSON");
    let borrowed = |key| match document.get(key) {
        Some(Document::String(text)) => matches!(text, std::borrow::Cow::Borrowed(_)),
        other => panic!("{other:?}"),
    };
    assert!(borrowed("plain"));
    assert!(!borrowed("escaped"));
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    fn check(text: &str, expected: Expect) {
        expected.assert_eq(&read(text).expect_err(text).to_string());
    }
    check("", expect!["not JSON: it ends too early (line 1, column 1)"]);
    check("{\n \"a\": tru }", expect!["not JSON: expected a value (line 2, column 7)"]);
    check("{} x", expect!["not JSON: something follows the end (line 1, column 4)"]);
    check(
        r#"{"a": 1, "b": {"c": 1, "c": 2}}"#,
        expect![[r#"the key "c" occurs twice in one object (line 1, column 24)"#]],
    );
    check("[1e400]", expect!["a number is beyond the range of doubles (line 1, column 2)"]);
    check(r#""\ud800""#, expect!["not JSON: half of a surrogate pair (line 1, column 8)"]);
    check("\"\u{1}\"", expect!["not JSON: a control character in a string (line 1, column 2)"]);
}

#[test]
fn bytes_that_are_not_utf8_are_refused() {
    let error = Document::parse(b"[\n \"a\xff\"]", &ParseLimits::default()).expect_err("no UTF-8");
    expect!["not JSON: the text is not UTF-8 (line 2, column 4)"].assert_eq(&error.to_string());
}

#[test]
fn depth_width_and_size_are_limited() {
    let limits = ParseLimits { max_depth: 3, max_members: 2, max_items: 10 };
    let check = |text: &str| Document::parse(text.as_bytes(), &limits).map(|_| ());
    assert_eq!(check("[[[1]]]"), Ok(()));
    assert!(matches!(check("[[[[1]]]]"), Err(ParseError::TooDeep { limit: 3, .. })));
    assert_eq!(check(r#"{"a":1,"b":2}"#), Ok(()));
    assert!(matches!(check(r#"{"a":1,"b":2,"c":3}"#), Err(ParseError::TooWide { limit: 2, .. })));
    assert_eq!(check("[1,2,3,4,5,6,7,8,9]"), Ok(()));
    assert!(matches!(check("[1,2,3,4,5,6,7,8,9,10]"), Err(ParseError::TooMany { limit: 10, .. })));
}

#[test]
fn a_flood_of_brackets_is_refused() {
    let limits = ParseLimits { max_depth: usize::MAX, ..ParseLimits::default() };
    let flood = "[".repeat(1_000_000);
    assert!(matches!(Document::parse(flood.as_bytes(), &limits), Err(ParseError::TooDeep { .. })));
}

#[test]
fn duplicates_are_found_among_many_members() {
    let mut text = String::from("{");
    for number in 0..1_000 {
        text.push_str(&format!("\"member{number}\":{number},"));
    }
    let once = format!("{}\"last\":0}}", text);
    assert!(read(&once).is_ok());
    let twice = format!("{}\"member500\":0}}", text);
    assert!(matches!(read(&twice), Err(ParseError::DuplicateKey { .. })));
    let tolerated =
        Document::parse_tolerant(twice.as_bytes(), &ParseLimits::default()).expect("tolerated");
    assert_eq!(tolerated.get("member500"), Some(&Document::from_json(&json!(0))));
    assert_eq!(tolerated.as_object().expect("an object").len(), 1_000);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(Value::from),
        (any::<i32>(), 0..400_i32).prop_map(|(number, exponent)| {
            // As text, so that the exact reading of the standard library is the measure.
            Value::from(format!("{number}e-{exponent}").parse::<f64>().unwrap_or_default())
        }),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::vec((".{0,6}", inner), 0..40)
                .prop_map(|members| members.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn reads_what_serde_json_reads(value in any_json()) {
        let text = value.to_string();
        let document = read(&text).expect("JSON");
        prop_assert_eq!(&Document::from_json(&value), &document);
        let written = document.to_string();
        prop_assert_eq!(read(&written).expect("JSON"), document.clone());
        prop_assert_eq!(document.clone().into_owned(), document.clone());
        prop_assert_eq!(document.into_json(), value);
    }

    #[test]
    fn refuses_what_serde_json_refuses(value in any_json(), cut in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = value.to_string().into_bytes();
        let place = cut.index(bytes.len());
        bytes[place] = byte;
        let ours = Document::parse(&bytes, &ParseLimits::default());
        match serde_json::from_slice::<Value>(&bytes) {
            Err(_) => prop_assert!(ours.is_err()),
            // serde_json may be off by one in the last digit of a double.
            Ok(value) => match ours {
                Ok(document) => prop_assert!(alike(&document.into_json(), &value)),
                Err(error) => prop_assert!(matches!(error, ParseError::DuplicateKey { .. }), "{error}"),
            },
        }
    }

    #[test]
    fn any_text_is_read_or_refused_like_serde_json_does(text in r#"[\[\]{}:,"0-9eE.+\-\\utrfalsn ก]{0,20}"#) {
        let ours = read(&text).map(Document::into_json);
        match serde_json::from_str::<Value>(&text) {
            Err(_) => prop_assert!(ours.is_err(), "{ours:?}"),
            Ok(value) => match ours {
                Ok(ours) => prop_assert!(alike(&ours, &value)),
                Err(error) => prop_assert!(matches!(error, ParseError::DuplicateKey { .. }), "{error}"),
            },
        }
    }
}

fn alike(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) if a.is_f64() && b.is_f64() => {
            let (a, b) = (a.as_f64().unwrap_or(0.0), b.as_f64().unwrap_or(1.0));
            a == b || (a - b).abs() <= a.abs() * 1e-15
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|((k, a), (l, b))| k == l && alike(a, b))
        }
        (a, b) => a == b,
    }
}
