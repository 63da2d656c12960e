//! Reading what another broker tells of an entity over time.

use super::Reader;
use super::received::time;
use crate::jsonld::Document;
use crate::model::{
    AttrName, Chapter, InstanceId, OneOrMany, Recorded, ScopeChange, Timestamp, check_uri,
};
use crate::represent::ReadError;

/// What another broker tells of an entity over time.
#[derive(Debug, Clone, PartialEq)]
pub struct Evolved {
    pub chapter: Chapter,
    pub attributes: Vec<(AttrName, Vec<Recorded>)>,
}

impl Reader<'_> {
    /// Reads a temporal entity in the normalized representation, with its system times and
    /// deletions; the beginning of 1970 stands for times that are not said.
    pub fn evolved(&self, document: &Document<'_>) -> Result<Evolved, ReadError> {
        // What the other broker has nothing of is an empty array, which nobody may send.
        let filled = without_empty(document);
        let (id, told) = self.chronology(&filled)?;
        let id = id.ok_or_else(|| ReadError::new("the entity has no id").within("id"))?;
        let types = OneOrMany::from_vec(told.types)
            .ok_or_else(|| ReadError::new("the entity has no type").within("type"))?;
        let scopes = told.scopes.into_iter().map(|(scopes, observed_at)| ScopeChange {
            scopes,
            observed_at,
            created_at: observed_at.unwrap_or(unknown()),
            modified_at: observed_at.unwrap_or(unknown()),
            deleted_at: None,
        });
        let chapter = Chapter {
            id,
            types,
            created_at: time(&filled, "createdAt"),
            modified_at: time(&filled, "modifiedAt"),
            deleted_at: known(time(&filled, "deletedAt")),
            scopes: scopes.collect(),
        };
        let attributes = told.attributes.into_iter().map(|(name, instances)| {
            let documents = self.documents_of(&filled, name);
            let each = instances.into_iter().enumerate().map(|(place, mut instance)| {
                let document = documents.get(place);
                if let Some(document) = document {
                    self.stamp_instance(&mut instance, document);
                }
                let deleted_at = document.and_then(|one| known(time(one, "deletedAt")));
                let id = document.and_then(|one| one.get("instanceId")).and_then(Document::as_str);
                let id = id.unwrap_or_default();
                let own = id.parse().ok();
                let foreign = (own.is_none() && check_uri(id).is_ok()).then(|| id.into());
                let id = own.unwrap_or_else(|| InstanceId::of_foreign(id));
                Recorded { id, foreign, instance, deleted_at }
            });
            (name, each.collect())
        });
        Ok(Evolved { chapter, attributes: attributes.collect() })
    }

    fn documents_of<'d, 'a>(
        &self,
        document: &'d Document<'a>,
        name: AttrName,
    ) -> &'d [Document<'a>] {
        let members = document.as_object().unwrap_or_default();
        let own = members.iter().find(|(key, _)| self.context.lookup(key) == Some(name));
        match own {
            Some((_, Document::Array(items))) => items,
            Some((_, single)) => std::slice::from_ref(single),
            None => &[],
        }
    }
}

fn without_empty<'a>(document: &Document<'a>) -> Document<'a> {
    match document {
        Document::Object(members) => {
            let kept = members.iter().filter(|(_, own)| own.as_array() != Some(&[]));
            Document::Object(kept.cloned().collect())
        }
        other => other.clone(),
    }
}

fn unknown() -> Timestamp {
    Timestamp::from_micros(0)
}

fn known(at: Timestamp) -> Option<Timestamp> {
    (at != unknown()).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jsonld::{Context, ParseLimits};
    use crate::represent::Reading;

    #[test]
    fn instances_keep_their_times_ids_and_deletions() {
        let text = r#"{
            "id": "urn:x:1", "type": "T", "empty": [],
            "a": [
                {"type": "Property", "value": 1, "observedAt": "2026-01-01T00:00:00Z",
                 "instanceId": "urn:ngsi-ld:Instance:0000000000000000000000000000000a",
                 "modifiedAt": "2026-01-02T00:00:00Z"},
                {"type": "Property", "value": "urn:ngsi-ld:null",
                 "deletedAt": "2026-01-03T00:00:00Z", "instanceId": "urn:other:1"}
            ]
        }"#;
        let document =
            Document::parse(text.as_bytes(), &ParseLimits::default()).expect("a document");
        let context = Context::core();
        let evolved = Reader::new(&context, Reading::Whole).evolved(&document).expect("history");
        let [(_, all)] = evolved.attributes.as_slice() else { panic!("one attribute") };
        assert_eq!(all[0].id, InstanceId(10));
        assert_eq!(all[0].instance.modified_at.to_string(), "2026-01-02T00:00:00Z");
        assert!(all[0].deleted_at.is_none() && all[1].deleted_at.is_some());
        assert_eq!(all[1].foreign.as_deref(), Some("urn:other:1"));
        assert_eq!(all[1].id, InstanceId::of_foreign("urn:other:1"));
        assert_ne!(all[1].id, InstanceId::of_foreign("urn:other:2"));
    }
}
