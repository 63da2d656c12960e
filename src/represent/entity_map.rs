//! Entity maps (4.5.25, 5.2.39), written; and of a map of another broker, or of a fragment of one, what
//! counts.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::ReadError;
use super::write::{comma, string};
use crate::jsonld::{Context, Document};
use crate::model::{EntityId, EntityMap, EntityMapId, Timestamp};

/// Appends an EntityMap. `context` is given if the `@context` stands in the body.
pub fn write_entity_map(out: &mut Vec<u8>, map: &EntityMap, context: Option<&Context>) {
    out.extend_from_slice(b"{\"id\":");
    string(out, map.id.as_str());
    out.extend_from_slice(b",\"type\":\"EntityMap\",\"expiresAt\":\"");
    map.expires_at.write_to(out);
    out.extend_from_slice(b"\",\"entityMap\":{");
    for held in &map.entities {
        comma(out);
        string(out, held.id.as_str());
        out.extend_from_slice(b":[");
        for holder in &held.by {
            comma(out);
            string(out, holder.as_str());
        }
        out.push(b']');
    }
    out.push(b'}');
    if !map.linked.is_empty() {
        out.extend_from_slice(b",\"linkedMaps\":{");
        for (registration, place) in &map.linked {
            comma(out);
            string(out, registration);
            out.push(b':');
            string(out, place);
        }
        out.push(b'}');
    }
    if let Some(context) = context {
        out.extend_from_slice(b",\"@context\":");
        out.extend_from_slice(context.link().body.as_bytes());
    }
    out.push(b'}');
}

/// Reads a fragment of an EntityMap: only `expiresAt` can be changed, all else is ignored
/// (5.14.2.4). None if it says nothing of that.
pub fn read_entity_map_expiry(document: &Document<'_>) -> Result<Option<Timestamp>, ReadError> {
    if document.as_object().is_none() {
        return Err(ReadError::new("a fragment of an EntityMap is a JSON object"));
    }
    let Some(value) = document.get("expiresAt") else { return Ok(None) };
    let read = || match value.as_str() {
        Some(text) => text.parse().map_err(|why| ReadError::new(format!("{why}"))),
        None => Err(ReadError::new(format!("it has to be a DateTime, not {}", value.kind()))),
    };
    read().map(Some).map_err(|error| error.within("expiresAt"))
}

/// An EntityMap as another broker writes it. Who holds its entities is that broker's affair.
#[derive(Deserialize)]
struct Foreign {
    id: String,
    #[serde(rename = "entityMap")]
    entities: Map<String, Value>,
}

/// Reads the map of another broker: its id, and so many at most of the ids it names, in its order.
pub fn read_entity_map(body: &[u8], most: usize) -> Result<(String, Vec<EntityId>), ReadError> {
    let map: Foreign = serde_json::from_slice(body)
        .map_err(|error| ReadError::new(format!("this is no EntityMap: {error}")))?;
    let bad =
        |what: String| ReadError::new(format!("the EntityMap is not what it should be: {what}"));
    EntityMapId::parse(&map.id).map_err(|error| bad(error.to_string()))?;
    let ids = map.entities.keys().take(most).map(|id| EntityId::parse(id));
    let ids: Result<Vec<EntityId>, _> = ids.collect();
    Ok((map.id, ids.map_err(|error| bad(error.to_string()))?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jsonld::ParseLimits;
    use crate::model::{Held, Holder};

    #[test]
    fn a_map_says_who_holds_what_in_the_order_of_the_query() {
        let id = |text| EntityId::from_trusted(text);
        let source = || Holder::Source("urn:x:csr:1".into());
        let mut map = EntityMap {
            id: EntityMapId::from_trusted("urn:ngsi-ld:EntityMap:1"),
            expires_at: "2026-01-01T00:00:00Z".parse().expect("a time"),
            entities: vec![
                Held { id: id("urn:x:2"), by: vec![Holder::Here, source()] },
                Held::here(id("urn:x:1")),
            ],
            linked: Vec::new(),
        };
        let text = |map: &EntityMap, context| {
            let mut out = Vec::new();
            write_entity_map(&mut out, map, context);
            String::from_utf8(out).expect("JSON is UTF-8")
        };
        let head = r#"{"id":"urn:ngsi-ld:EntityMap:1","type":"EntityMap","expiresAt":"2026-01-01T00:00:00Z","entityMap":{"#;
        let told = r#""urn:x:2":["@none","urn:x:csr:1"],"urn:x:1":["@none"]}"#;
        assert_eq!(text(&map, None), format!("{head}{told}}}"));
        map.entities.clear();
        map.linked.push(("urn:x:csr:1".into(), "urn:x:map".into()));
        let core = Context::core();
        let rest = format!(
            r#"}},"linkedMaps":{{"urn:x:csr:1":"urn:x:map"}},"@context":{}}}"#,
            core.link().body
        );
        assert_eq!(text(&map, Some(&core)), format!("{head}{rest}"));
    }

    #[test]
    fn of_the_map_of_another_broker_the_ids_count_in_their_order() {
        let text = r#"{"type": "EntityMap", "linkedMaps": {}, "entityMap": {"urn:x:2": ["@none"],
            "urn:x:1": 5, "urn:x:3": []}, "id": "urn:m:1", "expiresAt": "2026-01-01T00:00:00Z"}"#;
        let (id, ids) = read_entity_map(text.as_bytes(), 2).expect("a map");
        let ids: Vec<&str> = ids.iter().map(EntityId::as_str).collect();
        assert_eq!((id.as_str(), ids), ("urn:m:1", vec!["urn:x:2", "urn:x:1"]));
        for wrong in [
            "[]",
            r#"{"id": "urn:m:1"}"#,
            r#"{"id": "m", "entityMap": {}}"#,
            r#"{"id": "urn:m:1", "entityMap": {"no URI": []}}"#,
        ] {
            assert!(read_entity_map(wrong.as_bytes(), 9).is_err(), "{wrong}");
        }
    }

    #[test]
    fn of_a_fragment_only_the_end_counts() {
        let read = |text: &str| {
            let document = Document::parse(text.as_bytes(), &ParseLimits::default()).expect("JSON");
            read_entity_map_expiry(&document)
        };
        assert_eq!(read(r#"{"entityMap": {"urn:x:1": ["@none"]}, "type": 5}"#), Ok(None));
        let end = read(r#"{"expiresAt": "2026-01-01T00:00:00Z"}"#).expect("a time");
        assert_eq!(end.map(|end| end.to_string()).as_deref(), Some("2026-01-01T00:00:00Z"));
        for wrong in [r#"{"expiresAt": "soon"}"#, r#"{"expiresAt": 5}"#, "[]"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        let error = read(r#"{"expiresAt": null}"#).expect_err("no time");
        assert_eq!(error.path().to_string(), "$.expiresAt");
    }
}
