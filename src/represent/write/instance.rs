//! Writing attribute instances, normalized and concise (4.5.2, 4.5.3, 4.5.18, 4.5.20 to 4.5.24).

use super::{Format, Place, Writer, json};
use crate::geo::Geometry;
use crate::model::{AttrName, Datum, EntityId, Instance, Kind, LanguageMap, More, Name, Value};
use crate::represent::terms::Term;

impl<'a> Writer<'_, 'a> {
    /// Appends an instance. `alone`: no other instance of its attribute is shown.
    pub(super) fn instance(
        &mut self,
        name: AttrName,
        instance: &'a Instance,
        place: Place<'a>,
        alone: bool,
    ) {
        // A reader takes an attribute that is called like a core member for one only if it states
        // its kind.
        let concise = self.rendering.format == Format::Concise && Term::named(name).is_none();
        let past = match place {
            Place::Entity(..) => self.past_of(name, instance),
            Place::Attribute => None,
        };
        match past {
            Some(past) if past.deleted_at.is_some() => return self.gone(instance, past, alone),
            _ => {}
        }
        let changed = past.is_some_and(|past| past.previous.is_some());
        if concise && alone && !changed && self.is_bare(instance) {
            return self.bare(&instance.datum);
        }
        self.out.push(b'{');
        self.datum(instance, concise);
        past.iter().for_each(|past| self.previous(past));
        if let Place::Entity(view, links @ 1..) = place {
            self.inlined(name, &instance.datum, view, links);
        }
        self.metadata(instance);
        if let Some(more) = &instance.more {
            self.more(more);
        }
        if self.rendering.sys_attrs {
            self.system_stamp(b"\"createdAt\":", instance.created_at);
            self.system_stamp(b"\"modifiedAt\":", instance.modified_at);
        }
        self.out.push(b'}');
    }

    fn metadata(&mut self, instance: &Instance) {
        if let Some(unit) = instance.unit {
            if self.fallback.single {
                self.altered = true;
            } else {
                self.out.extend_from_slice(b",\"unitCode\":");
                json::string(self.out, unit.as_str());
            }
        }
        if let Some(time) = instance.observed_at {
            if self.fallback.single {
                self.altered = true;
            } else {
                self.stamp(b"\"observedAt\":", time);
            }
        }
    }

    fn more(&mut self, more: &'a More) {
        if let Some(dataset) = &more.dataset {
            if self.fallback.single {
                self.altered = true;
            } else {
                self.out.extend_from_slice(b",\"datasetId\":");
                json::string(self.out, dataset.as_str());
            }
        }
        if let Some(word) = more.value_type {
            if self.fallback.no_expiry {
                self.altered = true;
            } else {
                self.out.extend_from_slice(b",\"valueType\":");
                self.speller.name(self.out, word);
            }
        }
        if !more.object_types.is_empty() {
            if self.fallback.old_kinds {
                self.altered = true;
            } else {
                self.out.extend_from_slice(b",\"objectType\":");
                self.names(&more.object_types);
            }
        }
        if let Some(sealed) = &more.sealed {
            if let Some(id) = &sealed.id {
                self.out.extend_from_slice(b",\"entityIdSealed\":");
                json::string(self.out, id.as_str());
            }
            if !sealed.types.is_empty() {
                self.out.extend_from_slice(b",\"entityTypeSealed\":");
                self.names(&sealed.types);
            }
        }
        self.attributes(&more.attributes, Place::Attribute);
        if let Some(time) = more.expires_at
            && self.rendering.sys_attrs
        {
            self.expires_at(time);
        }
    }

    /// One name, or an array of several.
    fn names(&mut self, names: &[Name]) {
        match names {
            [only] => self.speller.name(self.out, *only),
            names => json::array(self.out, names, |out, name| self.speller.name(out, *name)),
        }
    }

    /// Appends the type, unless it can be inferred, and the value member.
    fn datum(&mut self, instance: &Instance, concise: bool) {
        let datum = &instance.datum;
        if let Datum::LanguageProperty(map) = datum
            && let Some((tag, text)) =
                self.rendering.lang.as_ref().and_then(|lang| lang.choose(map))
        {
            self.head(Kind::Property, concise);
            json::one_or_many(self.out, text, |out, text| json::string(out, text));
            self.out.extend_from_slice(b",\"lang\":");
            json::string(self.out, tag);
            return;
        }
        let own = instance.kind();
        let kind = self.fallback.kind(own);
        self.altered |= kind != own;
        let inferable = concise && kind == own && !self.misleads(datum);
        self.head(kind, inferable);
        self.value_of(datum, kind == own && !concise);
    }

    /// Appends what a value member holds; `wrapped`: the ids of a list stand in objects.
    pub(super) fn value_of(&mut self, datum: &Datum, wrapped: bool) {
        match datum {
            Datum::Property(value) => json::value(self.out, value, self.speller),
            Datum::GeoProperty(geometry) => geometry.write_json(self.out),
            Datum::Relationship(objects) => {
                json::one_or_many(self.out, objects, |out, id| json::string(out, id.as_str()));
            }
            Datum::LanguageProperty(map) => self.language_map(map),
            Datum::VocabProperty(words) => {
                json::one_or_many(self.out, words, |out, word| self.speller.name(out, *word));
            }
            Datum::ListProperty(items) => {
                json::array(self.out, items, |out, item| json::value(out, item, self.speller));
            }
            Datum::ListRelationship(objects) if wrapped => {
                json::array(self.out, objects, |out, id| {
                    out.extend_from_slice(b"{\"object\":");
                    json::string(out, id.as_str());
                    out.push(b'}');
                });
            }
            Datum::ListRelationship(objects) => self.ids(objects),
            Datum::JsonProperty(raw) => self.raw(raw),
            // Only patches hold one.
            Datum::Bare(bare) => json::value(self.out, &bare.value, self.speller),
        }
    }

    /// Appends the type of a kind and the name of its value member.
    pub(super) fn head(&mut self, kind: Kind, inferable: bool) {
        let full: &[u8] = match kind {
            Kind::Property => b"\"type\":\"Property\",\"value\":",
            Kind::GeoProperty => b"\"type\":\"GeoProperty\",\"value\":",
            Kind::Relationship => b"\"type\":\"Relationship\",\"object\":",
            Kind::LanguageProperty => b"\"type\":\"LanguageProperty\",\"languageMap\":",
            Kind::VocabProperty => b"\"type\":\"VocabProperty\",\"vocab\":",
            Kind::ListProperty => b"\"type\":\"ListProperty\",\"valueList\":",
            Kind::ListRelationship => b"\"type\":\"ListRelationship\",\"objectList\":",
            Kind::JsonProperty => b"\"type\":\"JsonProperty\",\"json\":",
        };
        // `"type":"Property",` has ten characters around the name of the kind.
        let skipped = if inferable { kind.term().len() + 10 } else { 0 };
        self.out.extend_from_slice(&full[skipped..]);
    }

    pub(super) fn language_map(&mut self, map: &LanguageMap) {
        self.out.push(b'{');
        for (tag, text) in &map.0 {
            json::comma(self.out);
            json::string(self.out, tag);
            self.out.push(b':');
            json::one_or_many(self.out, text, |out, text| json::string(out, text));
        }
        self.out.push(b'}');
    }

    pub(super) fn ids(&mut self, ids: &[EntityId]) {
        json::array(self.out, ids, |out, id| json::string(out, id.as_str()));
    }

    pub(super) fn raw(&mut self, raw: &serde_json::Value) {
        // Writing a tree of strings and numbers into memory cannot fail.
        let _ = serde_json::to_writer(&mut *self.out, raw);
    }

    /// Whether a concise reader would take this Property for a GeoProperty.
    fn misleads(&self, datum: &Datum) -> bool {
        let Datum::Property(Value::Object(members)) = datum else { return false };
        let is_geometry =
            |text: &str| Geometry::TYPE_NAMES.contains(&text) || text == "GeometryCollection";
        members.iter().any(|(name, value)| match value {
            Value::String(iri) if *name == Name::AT_TYPE => {
                Name::known(iri).is_some_and(|name| self.speller.spells(name, is_geometry))
            }
            _ => false,
        })
    }

    /// Whether a concise instance needs nothing around its value, and the value alone would be
    /// read as what it is.
    fn is_bare(&self, instance: &Instance) -> bool {
        let plain = instance.observed_at.is_none()
            && instance.unit.is_none()
            && !self.rendering.sys_attrs
            && instance.more.as_deref().is_none_or(|more| {
                more.dataset.is_none()
                    && more.value_type.is_none()
                    && more.sealed.is_none()
                    && more.attributes.is_empty()
            });
        plain
            && match &instance.datum {
                Datum::GeoProperty(_) => true,
                Datum::Property(Value::Object(members)) => {
                    !members.is_empty()
                        && members.iter().all(|(name, _)| {
                            Term::named(*name).is_none()
                                && !matches!(*name, Name::AT_VALUE | Name::AT_LANGUAGE)
                        })
                }
                Datum::Property(Value::Array(items)) => {
                    items.iter().all(|item| !matches!(item, Value::Object(_)))
                }
                Datum::Property(_) => true,
                _ => false,
            }
    }

    fn bare(&mut self, datum: &Datum) {
        match datum {
            Datum::GeoProperty(geometry) => geometry.write_json(self.out),
            Datum::Property(value) => json::value(self.out, value, self.speller),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::model::Kind;

    #[test]
    fn what_can_be_inferred_is_ten_characters_longer_than_the_kind() {
        for kind in Kind::ALL {
            assert_eq!(format!("\"type\":\"{}\",", kind.term()).len(), kind.term().len() + 10);
        }
    }
}
