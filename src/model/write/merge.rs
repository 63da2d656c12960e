//! Merging an entity fragment deep into an entity (5.5.12, 5.6.17).

use super::{
    AttrName, Draft, Fragment, Instance, InstancePatch, Kind, Refusal, Timestamp,
    attributes::{check_kind, put_instance, remove_instance, set_list},
    stamp,
};
use crate::model::{
    Bare, Datum, Edit, EntityId, InstanceEdit, LanguageMap, OneOrMany, Otherwise, Value,
};

/// What the parameters of a Merge say about all attributes.
#[derive(Clone, Copy)]
struct Manner<'a> {
    lang: Option<&'a str>,
    observed_at: Option<Timestamp>,
    now: Timestamp,
}

impl Draft {
    pub(super) fn merge(
        &mut self,
        fragment: Fragment,
        lang: Option<&str>,
        observed_at: Option<Timestamp>,
    ) -> Result<(), Refusal> {
        self.add_types(&fragment);
        match fragment.scopes {
            Edit::Keep => {}
            Edit::Put(scopes) => self.set_scopes(scopes),
            Edit::Remove => self.set_scopes(Vec::new()),
        }
        self.touched |= fragment.expires_at.is_change();
        fragment.expires_at.apply(&mut self.entity.expires_at);
        let manner = Manner { lang, observed_at, now: self.now };
        for (name, patch) in fragment.attributes {
            for edit in patch.0 {
                match edit {
                    InstanceEdit::Remove(dataset) => {
                        self.remove_instance(name, dataset.as_ref());
                    }
                    InstanceEdit::Put(patch) => {
                        if merge_instance(&mut self.entity.attributes, name, patch, manner)? {
                            self.report(name);
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

/// Merges one instance; tells whether there was anything to do.
fn merge_instance(
    attributes: &mut crate::model::Attributes,
    name: AttrName,
    mut patch: InstancePatch,
    manner: Manner<'_>,
) -> Result<bool, Refusal> {
    let existing =
        attributes.get_mut(name).and_then(|own| own.instance_mut(patch.dataset.as_ref()));
    settle_reading(name, &mut patch, existing.as_deref())?;
    let kind = existing.as_ref().map(|instance| instance.kind());
    settle_kind(name, &mut patch, kind, manner.lang)?;
    match existing {
        Some(instance) => {
            merge_members(name, instance, patch, manner)?;
            if matches!(&instance.datum, Datum::LanguageProperty(map) if map.0.is_empty()) {
                // Without a language there is no LanguageProperty (4.5.18).
                let dataset = instance.dataset().cloned();
                remove_instance(attributes, name, dataset.as_ref());
            }
        }
        None if patch.adds_nothing() => return Ok(false),
        None => {
            let mut instance = patch.into_merged_instance(name)?;
            stamp(&mut instance, None, manner.now);
            put_instance(attributes, name, instance);
        }
    }
    Ok(true)
}

/// Decides what an object without a type is: the new value of a Property, or an attribute of which
/// sub-attributes are merged. It is a value where a compound value is, unless it names
/// sub-attributes alone; any other value gives way only to what cannot be meant otherwise.
fn settle_reading(
    name: AttrName,
    patch: &mut InstancePatch,
    existing: Option<&Instance>,
) -> Result<(), Refusal> {
    let Some(instance) = existing else { return Ok(()) };
    let Some(otherwise) = patch.otherwise.take() else { return Ok(()) };
    let Otherwise { attributes, likely } = *otherwise;
    let names = || attributes.iter().flatten().map(|(inner, _)| *inner);
    let inner = names().any(|inner| instance.attributes().get(inner).is_some());
    let is_attribute = match &instance.datum {
        Datum::Property(value @ Value::Object(_)) if !value.is_literal() => {
            inner && !names().any(|inner| value.member(inner).is_some())
        }
        _ => inner || likely,
    };
    if !is_attribute {
        return Ok(());
    }
    let Some(attributes) = attributes else {
        return Err(Refusal::incomplete(format!(
            "{name} holds no object, so this may be its new value or what happens to its \
             sub-attributes: write it within \"value\", or state the type of the attribute"
        )));
    };
    patch.datum = None;
    patch.kind = None;
    patch.attributes = attributes;
    Ok(())
}

fn merge_members(
    name: AttrName,
    instance: &mut Instance,
    patch: InstancePatch,
    manner: Manner<'_>,
) -> Result<(), Refusal> {
    check_kind(name, instance, &patch)?;
    if let Some(datum) = patch.datum {
        merge_datum(&mut instance.datum, datum);
    }
    if let (Edit::Keep, Some(_), Some(time)) =
        (&patch.observed_at, instance.observed_at, manner.observed_at)
    {
        instance.observed_at = Some(time);
    }
    patch.observed_at.apply(&mut instance.observed_at);
    patch.unit.apply(&mut instance.unit);
    let more = instance.more_mut();
    patch.expires_at.apply(&mut more.expires_at);
    patch.value_type.apply(&mut more.value_type);
    set_list(patch.object_types, &mut more.object_types);
    if let Some(sealed) = patch.sealed {
        more.sealed = Some(Box::new(sealed));
    }
    for (inner, attribute) in patch.attributes {
        for edit in attribute.0 {
            match edit {
                InstanceEdit::Remove(dataset) => {
                    remove_instance(&mut more.attributes, inner, dataset.as_ref());
                }
                InstanceEdit::Put(patch) => {
                    merge_instance(&mut more.attributes, inner, patch, manner)?;
                }
            }
        }
    }
    instance.tidy();
    instance.modified_at = manner.now;
    Ok(())
}

fn merge_datum(place: &mut Datum, patch: Datum) {
    match (place, patch) {
        (Datum::Property(value), Datum::Property(patch)) => value.merge(patch),
        (Datum::LanguageProperty(map), Datum::LanguageProperty(patch)) => map.merge(patch),
        (Datum::JsonProperty(json), Datum::JsonProperty(patch)) => merge_json(json, *patch),
        (place, patch) => *place = patch,
    }
}

/// Raw JSON merges like RFC 7396, with the NGSI-LD Null in place of null.
fn merge_json(place: &mut serde_json::Value, patch: serde_json::Value) {
    match (place, patch) {
        (serde_json::Value::Object(members), serde_json::Value::Object(patches)) => {
            for (name, patch) in patches {
                if is_null(&patch) {
                    members.shift_remove(&name);
                } else if let Some(member) = members.get_mut(&name) {
                    merge_json(member, patch);
                } else {
                    members.insert(name, json_without_nulls(patch));
                }
            }
        }
        (place, patch) => *place = json_without_nulls(patch),
    }
}

fn is_null(json: &serde_json::Value) -> bool {
    json.as_str() == Some("urn:ngsi-ld:null")
}

/// What a patch leaves where there was nothing to delete.
pub(in super::super) fn json_without_nulls(patch: serde_json::Value) -> serde_json::Value {
    match patch {
        serde_json::Value::Object(members) => members
            .into_iter()
            .filter(|(_, member)| !is_null(member))
            .map(|(name, member)| (name, json_without_nulls(member)))
            .collect(),
        other => other,
    }
}

/// Gives a simplified value the kind that the stored attribute has, and a plain string its
/// language.
fn settle_kind(
    name: AttrName,
    patch: &mut InstancePatch,
    existing: Option<Kind>,
    lang: Option<&str>,
) -> Result<(), Refusal> {
    let datum = match patch.datum.take() {
        Some(Datum::Bare(bare)) => settle_bare(name, *bare, existing, lang)?,
        Some(Datum::Property(value))
            if existing == Some(Kind::LanguageProperty) && lang.is_some() =>
        {
            match strings(&value) {
                Some(text) => Datum::LanguageProperty(one_language(lang, text)),
                None => Datum::Property(value),
            }
        }
        Some(datum) => datum,
        None => return Ok(()),
    };
    patch.kind = datum.kind();
    patch.datum = Some(datum);
    Ok(())
}

fn settle_bare(
    name: AttrName,
    bare: Bare,
    existing: Option<Kind>,
    lang: Option<&str>,
) -> Result<Datum, Refusal> {
    let Bare { value, raw, vocab, geometry } = bare;
    let unfit = |kind: Kind| {
        Refusal::incomplete(format!("the value of {name} does not fit a {}", kind.term()))
    };
    let Some(kind) = existing else {
        return Ok(match geometry {
            Some(geometry) => Datum::GeoProperty(Box::new(geometry)),
            None => Datum::Property(value),
        });
    };
    match kind {
        Kind::Property => Some(Datum::Property(value)),
        Kind::GeoProperty => geometry.map(|geometry| Datum::GeoProperty(Box::new(geometry))),
        Kind::Relationship => targets(&value).map(Datum::Relationship),
        Kind::LanguageProperty => {
            strings(&value).map(|text| Datum::LanguageProperty(one_language(lang, text)))
        }
        Kind::VocabProperty => vocab.map(Datum::VocabProperty),
        Kind::ListProperty => match value {
            Value::Array(items) => Some(Datum::ListProperty(items)),
            _ => None,
        },
        Kind::ListRelationship => {
            targets(&value).map(|ids| Datum::ListRelationship(ids.into_vec().into()))
        }
        Kind::JsonProperty => Some(Datum::JsonProperty(Box::new(raw))),
    }
    .ok_or_else(|| unfit(kind))
}

fn one_language(lang: Option<&str>, text: OneOrMany<Box<str>>) -> LanguageMap {
    LanguageMap(Box::new([(lang.unwrap_or("@none").into(), text)]))
}

fn strings(value: &Value) -> Option<OneOrMany<Box<str>>> {
    let string = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        _ => None,
    };
    match value {
        Value::Array(items) => items.iter().map(string).collect::<Option<_>>().map(OneOrMany::many),
        single => string(single).map(OneOrMany::One),
    }
}

fn targets(value: &Value) -> Option<OneOrMany<EntityId>> {
    let target = |text: &str| EntityId::parse(text).ok();
    match strings(value)? {
        OneOrMany::One(text) => target(&text).map(OneOrMany::One),
        OneOrMany::Many(texts) => {
            texts.iter().map(|text| target(text)).collect::<Option<_>>().map(OneOrMany::many)
        }
    }
}
