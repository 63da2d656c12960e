//! What a notification tells of an entity besides what it is: which attributes are gone, and what
//! others were before (5.3.1).

use super::{Format, Writer, json};
use crate::model::{AttrName, DatasetId, Datum, Instance, Kind, Timestamp};

/// What happened to instances of an entity's attributes, and perhaps to the entity.
#[derive(Debug, Clone, Default)]
pub struct Past {
    /// When the entity was deleted, if it was.
    pub deleted_at: Option<Timestamp>,
    pub instances: Vec<PastInstance>,
}

/// What happened to an instance.
#[derive(Debug, Clone)]
pub struct PastInstance {
    pub name: AttrName,
    pub dataset: Option<DatasetId>,
    /// When it was deleted, if it was; it is among the entity's attributes all the same.
    pub deleted_at: Option<Timestamp>,
    /// What it was, if that is to be shown.
    pub previous: Option<Datum>,
}

impl Past {
    /// What happened to an instance, if anything did.
    pub fn of(&self, name: AttrName, dataset: Option<&DatasetId>) -> Option<&PastInstance> {
        self.instances.iter().find(|past| past.name == name && past.dataset.as_ref() == dataset)
    }

    /// Whether an instance is not there any more.
    pub(super) fn is_gone(&self, name: AttrName, instance: &Instance) -> bool {
        self.of(name, instance.dataset()).is_some_and(|past| past.deleted_at.is_some())
    }
}

const NULL: &[u8] = b"\"urn:ngsi-ld:null\"";

/// How the value member of a kind says NGSI-LD Null (4.5.0).
pub(super) fn null_of(kind: Kind) -> &'static [u8] {
    match kind {
        Kind::LanguageProperty => b"{\"@none\":\"urn:ngsi-ld:null\"}",
        Kind::ListProperty | Kind::ListRelationship => b"[\"urn:ngsi-ld:null\"]",
        _ => NULL,
    }
}

impl<'a> Writer<'_, 'a> {
    /// What happened to an instance of the entity that is told of.
    pub(super) fn past_of(&self, name: AttrName, instance: &Instance) -> Option<&'a PastInstance> {
        let past = self.past.filter(|_| self.around.len() == 1)?;
        past.of(name, instance.dataset())
    }

    /// Appends an instance that is not there any more. `alone`: no other instance of its attribute
    /// is shown.
    pub(super) fn gone(&mut self, instance: &Instance, past: &'a PastInstance, alone: bool) {
        let concise = self.rendering.format == Format::Concise;
        let plain = past.previous.is_none() && past.dataset.is_none() && !self.rendering.sys_attrs;
        if concise && alone && plain {
            return self.out.extend_from_slice(NULL);
        }
        let own = instance.kind();
        let kind = self.fallback.kind(own);
        self.altered |= kind != own;
        self.out.push(b'{');
        self.head(kind, concise);
        self.out.extend_from_slice(null_of(kind));
        if let Some(dataset) = &past.dataset {
            self.out.extend_from_slice(b",\"datasetId\":");
            json::string(self.out, dataset.as_str());
        }
        self.previous(past);
        if self.rendering.sys_attrs {
            self.system_stamp(b"\"createdAt\":", instance.created_at);
            self.system_stamp(b"\"modifiedAt\":", instance.modified_at);
            past.deleted_at.iter().for_each(|time| self.stamp(b"\"deletedAt\":", *time));
        }
        self.out.push(b'}');
    }

    /// Appends an instance that is not there any more, in the simplified representation.
    pub(super) fn gone_simplified(&mut self) {
        self.out.extend_from_slice(NULL);
    }

    /// Appends what an instance was before, if that is to be shown.
    pub(super) fn previous(&mut self, past: &'a PastInstance) {
        let Some(datum) = &past.previous else { return };
        let kind = self.fallback.kind(datum.kind().unwrap_or(Kind::Property));
        let head: &[u8] = match kind {
            Kind::Property | Kind::GeoProperty => b",\"previousValue\":",
            Kind::Relationship => b",\"previousObject\":",
            Kind::LanguageProperty => b",\"previousLanguageMap\":",
            Kind::VocabProperty => b",\"previousVocab\":",
            Kind::ListProperty => b",\"previousValueList\":",
            Kind::ListRelationship => b",\"previousObjectList\":",
            Kind::JsonProperty => b",\"previousJson\":",
        };
        self.out.extend_from_slice(head);
        self.value_of(datum, kind == Kind::ListRelationship);
    }
}
