//! The body of a query (5.2.23): its members are checked for their shapes and handed on as the
//! texts that the same parameters have in a URL.

use super::ReadError;
use crate::jsonld::Document;
use crate::model::EntityId;

/// The members of a Query, as the texts of URL parameters; lists are comma-separated.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct QueryBody {
    pub entities: Vec<EntitySelector>,
    pub attrs: Option<String>,
    pub pick: Option<String>,
    pub omit: Option<String>,
    pub q: Option<String>,
    pub csf: Option<String>,
    pub scope_q: Option<String>,
    pub lang: Option<String>,
    pub dataset_id: Option<String>,
    pub expand_values: Option<String>,
    pub json_keys: Option<String>,
    pub georel: Option<String>,
    pub geometry: Option<String>,
    /// JSON text.
    pub coordinates: Option<String>,
    pub geoproperty: Option<String>,
    pub join: Option<String>,
    pub join_level: Option<u64>,
    pub contained_by: Vec<EntityId>,
    pub order_by: Option<String>,
    pub collation: Option<String>,
    /// JSON text.
    pub order_from: Option<String>,
    pub order_geometry: Option<String>,
    /// Whether an entity map is asked for (5.14).
    pub entity_map: bool,
    pub entity_map_lifetime: Option<String>,
    /// Whether the parts of an entity may lie at several sources.
    pub split_entities: Option<bool>,
}

/// What a Query of temporal evolution says besides (5.2.21, 5.2.44), as the texts of parameters.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TemporalBody {
    pub timerel: Option<String>,
    pub time_at: Option<String>,
    pub end_time_at: Option<String>,
    pub time_property: Option<String>,
    pub last_n: Option<String>,
    pub aggr_methods: Option<String>,
    pub aggr_period: Option<String>,
}

/// Which entities are meant, by identity and type (5.2.33).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EntitySelector {
    pub ids: Vec<EntityId>,
    pub id_pattern: Option<String>,
    pub types: String,
}

/// Reads a Query (5.2.23); a member that it does not have is refused by name.
pub fn read_query(document: &Document<'_>) -> Result<QueryBody, ReadError> {
    read(document, None)
}

/// Reads a Query of temporal evolution.
pub fn read_temporal_query(
    document: &Document<'_>,
) -> Result<(QueryBody, TemporalBody), ReadError> {
    let mut time = TemporalBody::default();
    let query = read(document, Some(&mut time))?;
    Ok((query, time))
}

fn read(
    document: &Document<'_>,
    mut time: Option<&mut TemporalBody>,
) -> Result<QueryBody, ReadError> {
    let Some(members) = document.as_object() else {
        return Err(ReadError::new("a Query is a JSON object"));
    };
    let kind = document.get("type").or_else(|| document.get("@type"));
    if kind.and_then(Document::as_str) != Some("Query") {
        return Err(ReadError::new("it has to be \"Query\"").within("type"));
    }
    let mut query = QueryBody::default();
    for (name, value) in members {
        let read = match (&mut time, &**name) {
            (Some(time), "temporalQ") => temporal_query(time, value),
            (Some(time), "aggrParams") => aggregation(time, value),
            _ => member(&mut query, name, value),
        };
        read.map_err(|error| error.within(name))?;
    }
    Ok(query)
}

fn member(query: &mut QueryBody, name: &str, value: &Document<'_>) -> Result<(), ReadError> {
    match name {
        "type" | "@type" | "@context" | "id" | "@id" => {}
        "entities" => query.entities = selectors(value)?,
        "attrs" => query.attrs = Some(list(value)?),
        "pick" => query.pick = Some(list(value)?),
        "omit" => query.omit = Some(list(value)?),
        "q" => query.q = Some(string(value)?),
        "csf" => query.csf = Some(string(value)?),
        "scopeQ" => query.scope_q = Some(string(value)?),
        "lang" => query.lang = Some(string(value)?),
        "datasetId" => query.dataset_id = Some(list(value)?),
        "expandValues" => query.expand_values = Some(string(value)?),
        "jsonKeys" => query.json_keys = Some(string(value)?),
        "geoQ" => geoquery(query, value)?,
        "join" => query.join = Some(string(value)?),
        "joinLevel" => query.join_level = Some(positive(value)?),
        "containedBy" => query.contained_by = ids(value)?,
        "ordering" => ordering(query, value)?,
        "splitEntities" => query.split_entities = Some(boolean(value)?),
        "entityMap" => query.entity_map = boolean(value)?,
        "entityMapLifetime" => query.entity_map_lifetime = Some(string(value)?),
        "temporalQ" | "aggrParams" => {
            return Err(ReadError::new("it belongs to a query of temporal evolution"));
        }
        _ => return Err(ReadError::new("a Query has no such member")),
    }
    Ok(())
}

fn temporal_query(time: &mut TemporalBody, value: &Document<'_>) -> Result<(), ReadError> {
    let Some(members) = value.as_object() else {
        return Err(ReadError::new("a TemporalQuery is a JSON object"));
    };
    for (name, value) in members {
        let text = || string(value).map(Some);
        let read = match &**name {
            "timerel" => text().map(|text| time.timerel = text),
            "timeAt" => text().map(|text| time.time_at = text),
            "endTimeAt" => text().map(|text| time.end_time_at = text),
            "timeproperty" => text().map(|text| time.time_property = text),
            "lastN" => positive(value).map(|number| time.last_n = Some(number.to_string())),
            "aggrMethods" | "aggrPeriodDuration" => aggregation_member(time, name, value),
            _ => Err(ReadError::new("a TemporalQuery has no such member")),
        };
        read.map_err(|error| error.within(name))?;
    }
    Ok(())
}

fn aggregation(time: &mut TemporalBody, value: &Document<'_>) -> Result<(), ReadError> {
    let Some(members) = value.as_object() else {
        return Err(ReadError::new("AggregationParams are a JSON object"));
    };
    for (name, value) in members {
        aggregation_member(time, name, value).map_err(|error| error.within(name))?;
    }
    if time.aggr_methods.is_none() {
        return Err(
            ReadError::new("AggregationParams need at least one method").within("aggrMethods")
        );
    }
    Ok(())
}

fn aggregation_member(
    time: &mut TemporalBody,
    name: &str,
    value: &Document<'_>,
) -> Result<(), ReadError> {
    match (name, value) {
        ("aggrMethods", Document::String(_)) => time.aggr_methods = Some(string(value)?),
        ("aggrMethods", _) => time.aggr_methods = Some(list(value)?),
        ("aggrPeriodDuration", _) => time.aggr_period = Some(string(value)?),
        _ => return Err(ReadError::new("AggregationParams have no such member")),
    }
    Ok(())
}

fn selectors(value: &Document<'_>) -> Result<Vec<EntitySelector>, ReadError> {
    let selectors = items(value)?.iter().enumerate();
    selectors.map(|(place, one)| selector(one).map_err(|error| error.within_item(place))).collect()
}

fn selector(value: &Document<'_>) -> Result<EntitySelector, ReadError> {
    let Some(members) = value.as_object() else {
        return Err(ReadError::new("an EntitySelector is a JSON object"));
    };
    let mut selector = EntitySelector::default();
    for (name, value) in members {
        let read = match &**name {
            "type" | "@type" => string(value).map(|text| selector.types = text),
            "id" | "@id" => ids(value).map(|ids| selector.ids = ids),
            "idPattern" => string(value).map(|text| selector.id_pattern = Some(text)),
            _ => Err(ReadError::new("an EntitySelector has no such member")),
        };
        read.map_err(|error| error.within(name))?;
    }
    if selector.types.is_empty() {
        return Err(ReadError::new("an EntitySelector needs a type, or \"*\"").within("type"));
    }
    Ok(selector)
}

fn geoquery(query: &mut QueryBody, value: &Document<'_>) -> Result<(), ReadError> {
    let Some(members) = value.as_object() else {
        return Err(ReadError::new("a GeoQuery is a JSON object"));
    };
    for (name, value) in members {
        let read = match &**name {
            "georel" => string(value).map(|text| query.georel = Some(text)),
            "geometry" => string(value).map(|text| query.geometry = Some(text)),
            "geoproperty" => string(value).map(|text| query.geoproperty = Some(text)),
            "coordinates" => match value {
                Document::String(text) => {
                    query.coordinates = Some(text.to_string());
                    Ok(())
                }
                other => coordinates(other).map(|text| query.coordinates = Some(text)),
            },
            _ => Err(ReadError::new("a GeoQuery has no such member")),
        };
        read.map_err(|error| error.within(name))?;
    }
    Ok(())
}

fn ordering(query: &mut QueryBody, value: &Document<'_>) -> Result<(), ReadError> {
    let Some(members) = value.as_object() else {
        return Err(ReadError::new("OrderingParams are a JSON object"));
    };
    for (name, value) in members {
        let read = match &**name {
            "orderBy" => list(value).map(|text| query.order_by = Some(text)),
            "collation" => string(value).map(|text| query.collation = Some(text)),
            "geometry" => string(value).map(|text| query.order_geometry = Some(text)),
            "coordinates" => coordinates(value).map(|text| query.order_from = Some(text)),
            _ => Err(ReadError::new("OrderingParams have no such member")),
        };
        read.map_err(|error| error.within(name))?;
    }
    Ok(())
}

fn coordinates(value: &Document<'_>) -> Result<String, ReadError> {
    match value {
        Document::Array(_) => Ok(value.to_string()),
        other => Err(expected("an array of numbers", other)),
    }
}

fn string(value: &Document<'_>) -> Result<String, ReadError> {
    match value.as_str() {
        Some("") => Err(ReadError::new("it is empty")),
        Some(text) => Ok(text.to_owned()),
        None => Err(expected("a string", value)),
    }
}

fn boolean(value: &Document<'_>) -> Result<bool, ReadError> {
    match value {
        Document::Bool(value) => Ok(*value),
        other => Err(expected("true or false", other)),
    }
}

fn positive(value: &Document<'_>) -> Result<u64, ReadError> {
    match value {
        Document::Number(crate::model::Number::Int(number)) if *number > 0 => Ok(*number as u64),
        other => Err(expected("a whole number from 1 upward", other)),
    }
}

fn items<'d, 'a>(value: &'d Document<'a>) -> Result<&'d [Document<'a>], ReadError> {
    match value.as_array() {
        Some([]) => Err(ReadError::new("the array is empty")),
        Some(items) => Ok(items),
        None => Err(expected("an array", value)),
    }
}

/// An array of strings, as the comma list that a URL would hold.
fn list(value: &Document<'_>) -> Result<String, ReadError> {
    let texts: Result<Vec<String>, ReadError> = items(value)?
        .iter()
        .enumerate()
        .map(|(place, item)| string(item).map_err(|error| error.within_item(place)))
        .collect();
    Ok(texts?.join(","))
}

/// One id, or an array of ids.
fn ids(value: &Document<'_>) -> Result<Vec<EntityId>, ReadError> {
    let id = |value: &Document<'_>| {
        let text = string(value)?;
        EntityId::parse(&text).map_err(|why| ReadError::new(why.to_string()))
    };
    match value {
        Document::Array(_) => items(value)?
            .iter()
            .enumerate()
            .map(|(place, item)| id(item).map_err(|error| error.within_item(place)))
            .collect(),
        single => Ok(vec![id(single)?]),
    }
}

fn expected(what: &str, value: &Document<'_>) -> ReadError {
    ReadError::new(format!("it has to be {what}, not {}", value.kind()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jsonld::ParseLimits;

    fn read(text: &str) -> Result<QueryBody, ReadError> {
        let document = Document::parse(text.as_bytes(), &ParseLimits::default()).expect("JSON");
        read_query(&document)
    }

    #[test]
    fn members_become_the_texts_of_parameters() {
        let body = read(
            r#"{"type": "Query", "entities": [{"type": "A,B", "id": ["urn:a:1", "urn:a:2"]}],
                "q": "x>1", "attrs": ["x", "y"], "joinLevel": 2,
                "geoQ": {"georel": "within", "geometry": "Point", "coordinates": [1, 2.5]}}"#,
        )
        .expect("a query");
        assert_eq!(body.entities[0].types, "A,B");
        assert_eq!(body.entities[0].ids.len(), 2);
        assert_eq!(body.attrs.as_deref(), Some("x,y"));
        assert_eq!(body.coordinates.as_deref(), Some("[1,2.5]"));
        assert_eq!(body.join_level, Some(2));
    }

    #[test]
    fn what_is_wrong_is_named_by_its_path() {
        for (text, path) in [
            (r#"{"entities": []}"#, "$.type"),
            (r#"{"type": "Query", "entities": []}"#, "$.entities"),
            (r#"{"type": "Query", "entities": [{"id": "urn:a:1"}]}"#, "$.entities[0].type"),
            (
                r#"{"type": "Query", "entities": [{"type": "A", "id": ["x"]}]}"#,
                "$.entities[0].id[0]",
            ),
            (r#"{"type": "Query", "q": 42}"#, "$.q"),
            (r#"{"type": "Query", "attrs": []}"#, "$.attrs"),
            (r#"{"type": "Query", "joinLevel": 0}"#, "$.joinLevel"),
            (r#"{"type": "Query", "temporalQ": {}}"#, "$.temporalQ"),
            (r#"{"type": "Query", "ordering": {"coordinates": "1"}}"#, "$.ordering.coordinates"),
            (r#"{"type": "Query", "limits": 1}"#, "$.limits"),
        ] {
            let error = read(text).expect_err(text);
            assert_eq!(error.path().to_string(), path, "{text}");
        }
    }
}
