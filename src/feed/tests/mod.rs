//! Every mapping that is shipped, replayed.

mod air4thai;
mod shipped;
mod tambon;

use serde_json::Value;

use super::shipped::ShippedFeed;
use super::{Input, Mapping};
use crate::model::Timestamp;

/// What became of a document.
#[derive(Debug, Default)]
pub(super) struct TestFeed {
    pub entities: Vec<Value>,
    pub refused: Vec<(Option<String>, String)>,
    pub notes: Vec<String>,
}

/// The time at which samples are read: after all that they tell.
pub(super) fn now() -> Timestamp {
    "2026-04-01T00:00:00Z".parse().expect("a time")
}

/// Maps a document by a mapping that is shipped.
pub(super) fn mapped(name: &str, bytes: &[u8], topic: Option<&str>) -> Result<TestFeed, String> {
    let feed = ShippedFeed::named(name).expect("it is shipped");
    let mapping = feed.mapping().unwrap_or_else(|faults| panic!("{faults}"));
    by(&mapping, Input { bytes, topic, file: None })
}

/// Maps a document.
pub(super) fn by(mapping: &Mapping, input: Input<'_>) -> Result<TestFeed, String> {
    let mut feed = TestFeed::default();
    let done = mapping.map(input, now(), |record| match record {
        Ok(mapped) => {
            let notes = mapped.issues.iter();
            feed.notes.extend(notes.map(|issue| format!("{}: {}", issue.attribute, issue.why)));
            feed.entities.push(Value::Object(mapped.entity));
        }
        Err(refused) => feed.refused.push((refused.id, refused.why)),
    });
    done.map_err(|why| why.0)?;
    Ok(feed)
}
