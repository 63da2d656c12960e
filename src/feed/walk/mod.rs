//! Documents become records: JSON, tables and XML.

mod csv;
mod xml;

use serde_json::Value;

use super::mapping::{Format, Turn, Walk, Way};

/// A document cannot be read at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotReadable(pub String);

/// Whoever takes records: everything from the document down to the record, and its line where
/// there are lines.
pub type Taker<'t> = &'t mut dyn FnMut(&[&Value], Option<u64>);

/// Walks a document from record to record.
///
/// # Errors
/// If it is not what the mapping says, or no way leads to records. Records of a table that were
/// read before its fault was met have been taken.
pub fn walk(walk: &Walk, bytes: &[u8], take: Taker<'_>) -> Result<(), NotReadable> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match &walk.format {
        Format::Csv(form) => csv::walk(form, bytes, take),
        Format::Json => {
            let document: Value = serde_json::from_slice(bytes)
                .map_err(|why| NotReadable(format!("it is no JSON: {why}")))?;
            follow_first(&walk.records, &document, false, take)
        }
        Format::Xml => {
            let document = xml::read(bytes)?;
            follow_first(&walk.records, &document, true, take)
        }
    }
}

/// Follows the first way that leads somewhere.
fn follow_first(
    ways: &[Way],
    document: &Value,
    single: bool,
    take: Taker<'_>,
) -> Result<(), NotReadable> {
    let usual = [Way(vec![Turn::Each]), Way(Vec::new())];
    let ways = if ways.is_empty() { &usual[..] } else { ways };
    for way in ways {
        if leads(&way.0, document, single) {
            follow(&way.0, &mut vec![document], single, take);
            return Ok(());
        }
    }
    let told: Vec<String> = ways.iter().map(Way::to_string).collect();
    Err(NotReadable(format!("it holds no records at {}", told.join(" nor at "))))
}

/// Whether a way leads somewhere, to its first list at least.
fn leads(turns: &[Turn], here: &Value, single: bool) -> bool {
    match turns.first() {
        None => here.is_object(),
        Some(Turn::Into(name)) => {
            here.get(name).is_some_and(|next| leads(&turns[1..], next, single))
        }
        Some(Turn::Each) => here.is_array() || single,
    }
}

fn follow(turns: &[Turn], levels: &mut Vec<&Value>, single: bool, take: Taker<'_>) {
    let Some(&here) = levels.last() else { return };
    // Members on the way to a list are no levels.
    let mut here = here;
    for (place, turn) in turns.iter().enumerate() {
        match (turn, here) {
            (Turn::Into(name), _) => match here.get(name) {
                Some(next) => here = next,
                None => return,
            },
            (Turn::Each, Value::Array(items)) => {
                for item in items {
                    levels.push(item);
                    follow(&turns[place + 1..], levels, single, take);
                    levels.pop();
                }
                return;
            }
            // Where an element occurs once, XML does not tell that it could occur again.
            (Turn::Each, item) if single => {
                levels.push(item);
                follow(&turns[place + 1..], levels, single, take);
                levels.pop();
                return;
            }
            (Turn::Each, _) => return,
        }
    }
    match levels.last() {
        Some(last) if std::ptr::eq(*last, here) => take(levels, None),
        _ => {
            levels.push(here);
            take(levels, None);
            levels.pop();
        }
    }
}

impl std::fmt::Display for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() {
            return f.write_str("the document itself");
        }
        for (number, turn) in self.0.iter().enumerate() {
            match turn {
                Turn::Into(name) if number > 0 => write!(f, ".{name}")?,
                Turn::Into(name) => f.write_str(name)?,
                Turn::Each => f.write_str("[]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::mapping::Csv;
    use super::*;

    fn into(name: &str) -> Turn {
        Turn::Into(name.to_owned())
    }

    fn walked(form: Format, ways: Vec<Vec<Turn>>, text: &[u8]) -> Result<Vec<Vec<Value>>, String> {
        let records = ways.into_iter().map(Way).collect();
        let by = Walk { format: form, records, when: Vec::new() };
        let mut found = Vec::new();
        let mut take = |levels: &[&Value], _: Option<u64>| {
            found.push(levels.iter().map(|level| (*level).clone()).collect());
        };
        walk(&by, text, &mut take).map_err(|why| why.0)?;
        Ok(found)
    }

    #[test]
    fn json_is_walked_through_nested_lists() {
        let text = br#"{"a": [{"n": 1, "b": [{"v": 1}, {"v": 2}]}, {"n": 2, "b": []}, {"n": 3}]}"#;
        let way = vec![into("a"), Turn::Each, into("b"), Turn::Each];
        let found = walked(Format::Json, vec![way], text).expect("records");
        assert_eq!(found.len(), 2);
        assert_eq!((found[1].len(), &found[1][1]["n"]), (3, &json!(1)));
        assert_eq!(found[1][2], json!({"v": 2}));
    }

    #[test]
    fn the_first_way_that_leads_somewhere_counts() {
        let ways = || vec![vec![into("s"), Turn::Each], vec![Turn::Each], Vec::new()];
        let count = |text: &str| walked(Format::Json, ways(), text.as_bytes()).map(|all| all.len());
        assert_eq!(count(r#"{"s": [1, 2]}"#), Ok(2));
        assert_eq!(count(r#"{"s": []}"#), Ok(0));
        assert_eq!(count("[{}]"), Ok(1));
        assert_eq!(count(r#"{"x": 1}"#), Ok(1));
        assert!(count("7").expect_err("no records").contains("at s[] nor at [] nor at"));
        assert!(count("{").expect_err("no JSON").contains("no JSON"));
    }

    #[test]
    fn a_table_is_walked_row_by_row() {
        let form = |skip, thai, columns: &[&str]| {
            let columns = columns.iter().map(|name| name.to_string()).collect();
            Format::Csv(Csv { delimiter: b';', columns, skip, thai })
        };
        let text = "report;\n\u{feff} meter ;kW\n17; 2.5 \n18;\n";
        let found = walked(form(1, false, &[]), Vec::new(), text.as_bytes()).expect("rows");
        assert_eq!(found[0], [json!({"meter": "17", "kW": "2.5"})]);
        assert_eq!(found[1], [json!({"meter": "18", "kW": ""})]);
        let thai = b"\xe1\xc1\xe8\xe0\xc1\xd2\xd0;1\n";
        let found = walked(form(0, true, &["place", "n"]), Vec::new(), thai).expect("rows");
        assert_eq!(found[0], [json!({"place": "แม่เมาะ", "n": "1"})]);
        let late = walked(form(0, false, &[]), Vec::new(), b"a;b\n1;\"2\n").expect("rows");
        assert_eq!(late.len(), 1);
    }

    #[test]
    fn xml_is_walked_like_json() {
        let text = "<?xml version=\"1.0\"?><!-- x --><R><S id=\"1\"><n>&#xE01;&amp;b</n><w unit=\"km/h\">5</w></S>\
                    <S><n/><c><![CDATA[<x>]]></c></S></R>";
        let way = vec![into("R"), into("S"), Turn::Each];
        let found = walked(Format::Xml, vec![way.clone()], text.as_bytes()).expect("records");
        let records: Vec<_> = found.iter().map(|levels| levels.last().expect("one")).collect();
        assert_eq!(
            *records[0],
            json!({"@id": "1", "n": "ก&b", "w": {"@unit": "km/h", "#text": "5"}})
        );
        assert_eq!(*records[1], json!({"n": "", "c": "<x>"}));
        let once = walked(Format::Xml, vec![way.clone()], b"<R><S><n>1</n></S></R>");
        assert_eq!(once.expect("a record").len(), 1);
        for broken in ["<R><S></R>", "<R>", "", "plain", "<R/><Q/>"] {
            let told = walked(Format::Xml, vec![way.clone()], broken.as_bytes());
            assert!(told.is_err() || told.expect("records").is_empty(), "{broken}");
        }
        let deep = "<a>".repeat(1_000);
        assert!(walked(Format::Xml, vec![way], deep.as_bytes()).is_err());
    }
}
