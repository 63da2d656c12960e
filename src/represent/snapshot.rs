//! Snapshots (5.2.41), read and written, and the notifications of their status (5.3.4).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::ReadError;
use crate::jsonld::Document;
use crate::model::{Number, SnapshotId, Timestamp};

/// A Snapshot (5.2.41).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    pub id: String,
    /// Queries (5.2.23), as they were sent.
    pub queries: Vec<Value>,
    /// Queries with a temporal query, as they were sent.
    pub temporal_queries: Vec<Value>,
    pub settings: SnapshotSettings,
    pub status: SnapshotStatus,
    /// What came of each query, once it was carried out.
    pub details: Vec<Execution>,
    pub temporal_details: Vec<Execution>,
    #[serde(with = "bits")]
    pub created_at: Timestamp,
    #[serde(with = "bits")]
    pub modified_at: Timestamp,
    #[serde(with = "bits")]
    pub expires_at: Timestamp,
    #[serde(with = "bits")]
    pub last_used_at: Timestamp,
}

/// What a client may change of a Snapshot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SnapshotSettings {
    /// `snapshotLifetime`, as it was sent.
    pub lifetime: Option<String>,
    /// `snapshotPriority`: from 1, the first to go, to 10.
    pub priority: u8,
    /// Who is told of the status.
    pub endpoint: Option<String>,
    /// `receiverInfo`: keys and values.
    pub receiver: Vec<(String, String)>,
}

/// How far a Snapshot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SnapshotStatus {
    /// Its queries are being carried out.
    Preparing,
    /// All queries found something.
    Success,
    /// Some query found something.
    Partial,
    /// Queries went well, and nothing was found.
    Empty,
    Failure,
}

/// What came of one query (5.2.42).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Execution {
    Success,
    Empty,
    /// Something was found, though not everybody answered; with ProblemDetails.
    Lacking(Value),
    /// With the ProblemDetails.
    Failure(Value),
}

/// A Snapshot that is to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct SnapshotDraft {
    pub id: Option<SnapshotId>,
    pub queries: Vec<Value>,
    pub temporal_queries: Vec<Value>,
    pub settings: SnapshotSettings,
}

/// The members that say what a Snapshot is made of.
const QUERIES: [&str; 2] = ["snapshotQueries", "snapshotTemporalQueries"];

/// The members that only the broker writes.
const OUTPUT: [&str; 7] = [
    "snapshotStatus",
    "snapshotQueriesDetails",
    "snapshotTemporalQueriesDetails",
    "createdAt",
    "modifiedAt",
    "expiresAt",
    "lastUsedAt",
];

impl Default for SnapshotSettings {
    fn default() -> Self {
        Self { lifetime: None, priority: 5, endpoint: None, receiver: Vec::new() }
    }
}

impl SnapshotDraft {
    /// Reads a Snapshot that is to be made of queries (5.16.1). What each query says is for others
    /// to read; here is seen to it that there is one.
    pub fn read(document: &Document<'_>, most: usize) -> Result<Self, ReadError> {
        let mut draft = Self::read_any(document)?;
        for (name, value) in members(document)? {
            let list = match &**name {
                "snapshotQueries" => &mut draft.queries,
                "snapshotTemporalQueries" => &mut draft.temporal_queries,
                _ => continue,
            };
            *list = queries(value).map_err(|error| error.within(name))?;
        }
        let count = draft.queries.len() + draft.temporal_queries.len();
        if count == 0 {
            let why = "a Snapshot needs snapshotQueries, snapshotTemporalQueries or both";
            return Err(ReadError::new(why));
        }
        if count > most {
            return Err(ReadError::new(format!("a Snapshot has at most {most} queries here")));
        }
        Ok(draft)
    }

    /// Reads a Snapshot that is to be made of another (5.16.2): it has no queries of its own.
    pub fn read_clone(document: &Document<'_>) -> Result<Self, ReadError> {
        let draft = Self::read_any(document)?;
        for (name, _) in members(document)? {
            if QUERIES.contains(&&**name) {
                let why = "a clone is made of what the original holds, not of queries";
                return Err(ReadError::new(why).within(name));
            }
        }
        Ok(draft)
    }

    /// Reads all but the queries. What only the broker writes is ignored.
    fn read_any(document: &Document<'_>) -> Result<Self, ReadError> {
        let mut draft = Self {
            id: None,
            queries: Vec::new(),
            temporal_queries: Vec::new(),
            settings: SnapshotSettings::default(),
        };
        let mut typed = false;
        for (name, value) in members(document)? {
            let read = match &**name {
                "id" | "@id" => id(value).map(|id| draft.id = Some(id)),
                "type" | "@type" => kind(value).map(|()| typed = true),
                "@context" => Ok(()),
                name if QUERIES.contains(&name) || OUTPUT.contains(&name) => Ok(()),
                name => draft.settings.set(name, value),
            };
            read.map_err(|error| error.within(name))?;
        }
        match typed {
            true => Ok(draft),
            false => Err(ReadError::new("it has to be \"Snapshot\"").within("type")),
        }
    }
}

impl SnapshotSettings {
    /// Changes what a fragment of a Snapshot names (5.16.4); an NGSI-LD Null takes a member away.
    /// Whether the lifetime was named. What cannot be changed is refused.
    pub fn amend(&mut self, document: &Document<'_>, own: &str) -> Result<bool, ReadError> {
        let mut lifetime = false;
        for (name, value) in members(document)? {
            let read = match &**name {
                "id" | "@id" => id(value).and_then(|id| match id.as_str() == own {
                    true => Ok(()),
                    false => Err(ReadError::new("a Snapshot keeps its id")),
                }),
                "type" | "@type" => kind(value),
                "@context" => Ok(()),
                name if QUERIES.contains(&name) || OUTPUT.contains(&name) => {
                    Err(ReadError::new("it cannot be changed"))
                }
                name => {
                    lifetime |= name == "snapshotLifetime";
                    self.set(name, value)
                }
            };
            read.map_err(|error| error.within(name))?;
        }
        Ok(lifetime)
    }

    fn set(&mut self, name: &str, value: &Document<'_>) -> Result<(), ReadError> {
        let null = matches!(value, Document::Null) || value.as_str() == Some("urn:ngsi-ld:null");
        match name {
            "snapshotLifetime" => self.lifetime = text_unless(null, value)?,
            "snapshotPriority" if null => self.priority = Self::default().priority,
            "snapshotPriority" => self.priority = priority(value)?,
            "endpoint" => self.endpoint = text_unless(null, value)?,
            "receiverInfo" if null => self.receiver.clear(),
            "receiverInfo" => self.receiver = pairs(value)?,
            _ => return Err(ReadError::new("a Snapshot has no such member")),
        }
        Ok(())
    }
}

impl Snapshot {
    /// The Snapshot as a JSON object (5.2.41).
    pub fn shown(&self) -> Map<String, Value> {
        let mut shown = Map::new();
        shown.insert("id".into(), self.id.as_str().into());
        shown.insert("type".into(), "Snapshot".into());
        for (name, queries) in QUERIES.into_iter().zip([&self.queries, &self.temporal_queries]) {
            if !queries.is_empty() {
                shown.insert(name.into(), queries.clone().into());
            }
        }
        let SnapshotSettings { lifetime, priority, endpoint, receiver } = &self.settings;
        if let Some(lifetime) = lifetime {
            shown.insert("snapshotLifetime".into(), lifetime.as_str().into());
        }
        shown.insert("snapshotPriority".into(), (*priority).into());
        if let Some(endpoint) = endpoint {
            shown.insert("endpoint".into(), endpoint.as_str().into());
        }
        if !receiver.is_empty() {
            let pairs = receiver.iter().map(|(key, value)| json!({"key": key, "value": value}));
            shown.insert("receiverInfo".into(), pairs.collect());
        }
        shown.insert("snapshotStatus".into(), self.status.word().into());
        for (name, details) in [
            ("snapshotQueriesDetails", &self.details),
            ("snapshotTemporalQueriesDetails", &self.temporal_details),
        ] {
            if !details.is_empty() {
                shown.insert(name.into(), executions(details));
            }
        }
        for (name, at) in [
            ("createdAt", self.created_at),
            ("modifiedAt", self.modified_at),
            ("expiresAt", self.expires_at),
            ("lastUsedAt", self.last_used_at),
        ] {
            shown.insert(name.into(), at.to_string().into());
        }
        shown
    }

    /// A SnapshotNotification (5.3.4). One that tells of an end in the past tells that the Snapshot
    /// is gone.
    pub fn notification(&self, id: &str, now: Timestamp) -> Vec<u8> {
        json!({
            "id": id,
            "type": "SnapshotNotification",
            "notifiedAt": now.to_string(),
            "snapshotId": self.id,
            "snapshotStatus": self.status.word(),
            "snapshotPriority": self.settings.priority,
            "expiresAt": self.expires_at.to_string(),
            "snapshotQueriesDetails": executions(&self.details),
            // Spelled so in 5.3.4.
            "temporalSnapshotQueriesDetails": executions(&self.temporal_details),
        })
        .to_string()
        .into_bytes()
    }

    /// The status that follows from what came of the queries (5.16.1.4).
    pub fn status_of<'a>(
        executions: impl Iterator<Item = &'a Execution> + Clone,
    ) -> SnapshotStatus {
        let mut all = executions.clone();
        let mut any = executions.clone();
        if all.all(|one| *one == Execution::Success) {
            SnapshotStatus::Success
        } else if any.any(|one| matches!(one, Execution::Success | Execution::Lacking(_))) {
            SnapshotStatus::Partial
        } else if executions.clone().all(|one| *one == Execution::Empty) {
            SnapshotStatus::Empty
        } else {
            SnapshotStatus::Failure
        }
    }
}

impl SnapshotStatus {
    /// The word in `snapshotStatus`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Preparing => "preparing",
            Self::Success => "success",
            Self::Partial => "partial",
            Self::Empty => "empty",
            Self::Failure => "failure",
        }
    }
}

fn executions(all: &[Execution]) -> Value {
    let shown = |one: &Execution| match one {
        Execution::Success => json!({"resultStatus": "success"}),
        Execution::Empty => json!({"resultStatus": "empty"}),
        Execution::Lacking(why) => json!({"resultStatus": "success", "problemDetails": why}),
        Execution::Failure(why) => json!({"resultStatus": "failure", "problemDetails": why}),
    };
    all.iter().map(shown).collect()
}

fn members<'d, 'a>(
    document: &'d Document<'a>,
) -> Result<&'d [(std::borrow::Cow<'a, str>, Document<'a>)], ReadError> {
    document.as_object().ok_or_else(|| ReadError::new("a Snapshot is a JSON object"))
}

fn id(value: &Document<'_>) -> Result<SnapshotId, ReadError> {
    let text = value.as_str().ok_or_else(|| expected("a URI", value))?;
    SnapshotId::parse(text).map_err(|why| ReadError::new(why.to_string()))
}

fn kind(value: &Document<'_>) -> Result<(), ReadError> {
    match value.as_str() {
        Some("Snapshot") => Ok(()),
        _ => Err(ReadError::new("it has to be \"Snapshot\"")),
    }
}

fn queries(value: &Document<'_>) -> Result<Vec<Value>, ReadError> {
    match value.as_array() {
        Some([]) => Err(ReadError::new("the array is empty")),
        Some(items) => Ok(items.iter().map(|item| item.clone().into_json()).collect()),
        None => Err(expected("an array of queries", value)),
    }
}

fn text_unless(null: bool, value: &Document<'_>) -> Result<Option<String>, ReadError> {
    match value.as_str() {
        _ if null => Ok(None),
        Some(text) if !text.is_empty() => Ok(Some(text.to_owned())),
        Some(_) => Err(ReadError::new("it is empty")),
        None => Err(expected("a string", value)),
    }
}

fn priority(value: &Document<'_>) -> Result<u8, ReadError> {
    match value {
        Document::Number(Number::Int(number @ 1..=10)) => Ok(*number as u8),
        _ => Err(ReadError::new("it has to be a whole number from 1 to 10")),
    }
}

fn pairs(value: &Document<'_>) -> Result<Vec<(String, String)>, ReadError> {
    let items = value.as_array().ok_or_else(|| expected("an array of pairs", value))?;
    let text = |item: &Document<'_>, name: &str| {
        let text = item.get(name).and_then(Document::as_str).map(str::to_owned);
        text.ok_or_else(|| ReadError::new("it has to be a string").within(name))
    };
    let pair = |item: &Document<'_>| Ok((text(item, "key")?, text(item, "value")?));
    let each = items.iter().enumerate();
    each.map(|(place, item)| pair(item).map_err(|error: ReadError| error.within_item(place)))
        .collect()
}

fn expected(what: &str, value: &Document<'_>) -> ReadError {
    ReadError::new(format!("it has to be {what}, not {}", value.kind()))
}

/// Keeps a time with its decimals.
mod bits {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::model::Timestamp;

    pub fn serialize<S: Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_i64(at.bits())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        i64::deserialize(from).map(Timestamp::from_bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jsonld::ParseLimits;

    fn document(text: &str) -> Document<'_> {
        Document::parse(text.as_bytes(), &ParseLimits::default()).expect("JSON")
    }

    #[test]
    fn what_is_wrong_with_a_snapshot_is_named() {
        let read = |text: &str| SnapshotDraft::read(&document(text), 3);
        let query = r#"{"type": "Query"}"#;
        let with =
            |more: &str| format!(r#"{{"type": "Snapshot", "snapshotQueries": [{query}], {more}}}"#);
        let good = read(&with(
            r#""snapshotPriority": 9, "snapshotLifetime": "P1D", "id": "urn:x:1",
            "receiverInfo": [{"key": "A", "value": "b"}], "snapshotStatus": "success""#,
        ));
        let good = good.expect("a Snapshot");
        assert_eq!((good.settings.priority, good.queries.len()), (9, 1));
        assert_eq!(good.settings.receiver, [("A".to_owned(), "b".to_owned())]);
        for (text, path) in [
            (r#"{"snapshotQueries": [{}]}"#.to_owned(), "$.type"),
            (r#"{"type": "Snapshot"}"#.to_owned(), "$"),
            (r#"{"type": "Snapshot", "snapshotQueries": []}"#.to_owned(), "$.snapshotQueries"),
            (r#"{"type": "Snapshot", "snapshotQueries": [1, 2, 3, 4]}"#.to_owned(), "$"),
            (with(r#""snapshotPriority": 0"#), "$.snapshotPriority"),
            (with(r#""snapshotPriority": "5""#), "$.snapshotPriority"),
            (with(r#""id": "x""#), "$.id"),
            (with(r#""colour": "red""#), "$.colour"),
            (with(r#""endpoint": 5"#), "$.endpoint"),
            (with(r#""receiverInfo": [{"key": "A"}]"#), "$.receiverInfo[0].value"),
        ] {
            assert_eq!(read(&text).expect_err(&text).path().to_string(), path, "{text}");
        }
        let clone = with(r#""snapshotPriority": 9"#);
        let error = SnapshotDraft::read_clone(&document(&clone)).expect_err("queries");
        assert_eq!(error.path().to_string(), "$.snapshotQueries");
    }

    #[test]
    fn only_settings_can_be_changed() {
        let mut settings = SnapshotSettings { endpoint: Some("x".into()), ..<_>::default() };
        let amended = settings.amend(
            &document(
                r#"{"id": "urn:x:1", "type": "Snapshot", "snapshotPriority": 2,
                          "endpoint": "urn:ngsi-ld:null", "snapshotLifetime": "P2D"}"#,
            ),
            "urn:x:1",
        );
        assert_eq!(amended, Ok(true));
        assert_eq!((settings.priority, &settings.endpoint), (2, &None));
        for text in [
            r#"{"snapshotQueries": []}"#,
            r#"{"snapshotStatus": "success"}"#,
            r#"{"expiresAt": "2099-01-01T00:00:00Z"}"#,
            r#"{"id": "urn:x:2"}"#,
            r#"{"type": "Entity"}"#,
        ] {
            assert!(settings.amend(&document(text), "urn:x:1").is_err(), "{text}");
        }
    }

    #[test]
    fn the_status_follows_from_the_queries() {
        use Execution::{Empty, Success};
        let failure = || Execution::Failure(Value::Null);
        for (executions, status) in [
            (vec![Success, Success], SnapshotStatus::Success),
            (vec![Success, Empty], SnapshotStatus::Partial),
            (vec![failure(), Success], SnapshotStatus::Partial),
            (vec![Empty, Empty], SnapshotStatus::Empty),
            (vec![Empty, failure()], SnapshotStatus::Failure),
            (vec![failure()], SnapshotStatus::Failure),
        ] {
            assert_eq!(Snapshot::status_of(executions.iter()), status, "{executions:?}");
        }
    }

    #[test]
    fn a_snapshot_reads_as_it_was_kept() {
        let at = |text: &str| text.parse().expect("a time");
        let snapshot = Snapshot {
            id: "urn:x:1".into(),
            queries: vec![json!({"type": "Query", "q": "a>1.50"})],
            temporal_queries: Vec::new(),
            settings: SnapshotSettings::default(),
            status: SnapshotStatus::Partial,
            details: vec![Execution::Failure(json!({"status": 400})), Execution::Success],
            temporal_details: Vec::new(),
            created_at: at("2026-01-01T00:00:00.100Z"),
            modified_at: at("2026-01-02T00:00:00Z"),
            expires_at: at("2026-01-03T00:00:00Z"),
            last_used_at: at("2026-01-01T00:00:00Z"),
        };
        let kept = serde_json::to_value(&snapshot).expect("JSON");
        let again: Snapshot = serde_json::from_value(kept).expect("a Snapshot");
        assert_eq!(again, snapshot);
        let shown = Value::from(again.shown());
        assert_eq!(shown["createdAt"], "2026-01-01T00:00:00.100Z");
        assert_eq!(shown["snapshotQueriesDetails"][0]["resultStatus"], "failure");
        let told = snapshot.notification("urn:x:n", at("2026-01-04T00:00:00Z"));
        let told: Value = serde_json::from_slice(&told).expect("JSON");
        assert_eq!(told["type"], "SnapshotNotification");
        assert_eq!(told["temporalSnapshotQueriesDetails"], json!([]));
    }
}
