//! Reading entities that another broker wrote: its system times count, which those of clients
//! never do.

use super::{Reader, Reading};
use crate::jsonld::Document;
use crate::model::{Attribute, Entity, Instance, Timestamp};
use crate::represent::ReadError;

impl Reader<'_> {
    /// Reads a whole Entity with the times at which it and its attributes were created and
    /// modified; the beginning of 1970 stands for times that are not said.
    pub fn received(&self, document: &Document<'_>) -> Result<Entity, ReadError> {
        let reader = Self { reading: Reading::Whole, ..*self };
        let mut entity = reader.entity(document)?;
        entity.created_at = time(document, "createdAt");
        entity.modified_at = time(document, "modifiedAt");
        for (key, document) in document.as_object().into_iter().flatten() {
            let Some(name) = self.context.lookup(key) else { continue };
            if let Some(attribute) = entity.attributes.get_mut(name) {
                self.stamp(attribute, document);
            }
        }
        Ok(entity)
    }

    fn stamp(&self, attribute: &mut Attribute, document: &Document<'_>) {
        let single = std::slice::from_ref(document);
        let documents = document.as_array().unwrap_or(single);
        for document in documents {
            let dataset = document.get("datasetId").and_then(Document::as_str);
            let dataset = dataset.filter(|text| *text != "@none");
            let own = |one: &&mut Instance| one.dataset().map(|own| own.as_str()) == dataset;
            if let Some(instance) = attribute.instances_mut().iter_mut().find(own) {
                self.stamp_instance(instance, document);
            }
        }
    }

    pub(super) fn stamp_instance(&self, instance: &mut Instance, document: &Document<'_>) {
        instance.created_at = time(document, "createdAt");
        instance.modified_at = time(document, "modifiedAt");
        let Some(more) = &mut instance.more else { return };
        if more.attributes.is_empty() {
            return;
        }
        for (key, document) in document.as_object().into_iter().flatten() {
            let Some(name) = self.context.lookup(key) else { continue };
            if let Some(attribute) = more.attributes.get_mut(name) {
                self.stamp(attribute, document);
            }
        }
    }
}

/// A time that a member says; one that cannot be read is not said.
pub(super) fn time(document: &Document<'_>, member: &str) -> Timestamp {
    let text = document.get(member).and_then(Document::as_str);
    text.and_then(|text| text.parse().ok()).unwrap_or(Timestamp::from_micros(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jsonld::{Context, ParseLimits};

    #[test]
    fn times_of_the_other_broker_are_kept_at_every_level() {
        let text = r#"{
            "id": "urn:x:1", "type": "T", "createdAt": "2026-01-01T00:00:00Z",
            "modifiedAt": "2026-01-05T00:00:00Z",
            "a": [
                {"type": "Property", "value": 1, "createdAt": "2026-01-02T00:00:00Z",
                 "modifiedAt": "2026-01-03T00:00:00Z",
                 "b": {"type": "Property", "value": 2, "modifiedAt": "2026-01-04T00:00:00Z"}},
                {"type": "Property", "value": 3, "datasetId": "urn:d:1",
                 "modifiedAt": "2026-01-05T00:00:00Z"}
            ],
            "c": 4
        }"#;
        let document =
            Document::parse(text.as_bytes(), &ParseLimits::default()).expect("a document");
        let context = Context::core();
        let entity = Reader::new(&context, Reading::Whole).received(&document).expect("an entity");
        let day = |number: i64| -> Timestamp {
            format!("2026-01-{number:02}T00:00:00Z").parse().expect("a time")
        };
        assert_eq!((entity.created_at, entity.modified_at), (day(1), day(5)));
        let attribute = |name: &str| {
            entity.attributes.get(context.expand(name).expect("a name")).expect("an attribute")
        };
        let [first, second] = attribute("a").instances() else { panic!("two instances") };
        assert_eq!((first.created_at, first.modified_at), (day(2), day(3)));
        let b = first.attributes().get(context.expand("b").expect("a name")).expect("b");
        assert_eq!(b.instances()[0].modified_at, day(4));
        assert_eq!(second.modified_at, day(5));
        assert_eq!(attribute("c").instances()[0].modified_at, Timestamp::from_micros(0));
    }
}
