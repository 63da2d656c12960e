//! A Registration as it is shown (5.2.9): its members with the names of the reader's `@context`,
//! and what the broker adds.

use serde_json::{Map, Value};

use super::accept::{MEMBERS, attributes_of, bare};
use super::{Registration, RegistrationInfo, Sought};
use crate::jsonld::Context;
use crate::model::{Name, Timestamp};
use crate::query::compacted;
use crate::represent::subscription::DeliveryReport;

/// How a Registration is shown.
#[derive(Debug, Clone, Copy)]
pub struct Showing<'a> {
    /// Whose names are used.
    pub context: &'a Context,
    /// The `@context` stands in the body.
    pub context_in_body: bool,
    /// `createdAt` and `modifiedAt` are shown.
    pub sys_attrs: bool,
    /// Only what tells of this is shown of its information, each list of types as a list; all, as
    /// it came, if absent.
    pub only: Option<Sought<'a>>,
}

impl Showing<'_> {
    /// Appends a Registration as a JSON object; what came of asking the source, if that is known.
    pub fn write(
        &self,
        out: &mut Vec<u8>,
        registration: &Registration,
        report: Option<&DeliveryReport>,
    ) {
        let value = Value::from(self.shown(registration, report));
        // Writing a tree of strings and numbers into memory cannot fail.
        let _ = serde_json::to_writer(out, &value);
    }

    fn shown(
        &self,
        registration: &Registration,
        report: Option<&DeliveryReport>,
    ) -> Map<String, Value> {
        let mut shown = Map::new();
        shown.insert("id".into(), registration.id.as_str().into());
        shown.insert("type".into(), "ContextSourceRegistration".into());
        for (name, value) in registration.draft.members.iter().filter(|(name, _)| *name != "type") {
            match name.as_str() {
                "information" => {
                    shown.insert(name.clone(), self.information(registration, value));
                }
                known if MEMBERS.contains(&known) => {
                    shown.insert(name.clone(), value.clone());
                }
                iri => {
                    let (name, value) = self.property(registration, iri, value);
                    shown.insert(name, value);
                }
            }
        }
        if let Some(report) = report {
            add_report(&mut shown, report);
        }
        if self.sys_attrs {
            shown.insert("createdAt".into(), registration.created_at.to_string().into());
            shown.insert("modifiedAt".into(), registration.modified_at.to_string().into());
        }
        if self.context_in_body {
            let body = serde_json::from_str(&self.context.link().body);
            shown.insert("@context".into(), body.unwrap_or(Value::Null));
        }
        shown
    }

    fn information(&self, registration: &Registration, value: &Value) -> Value {
        let Value::Array(written) = value else { return value.clone() };
        let both = registration.information.iter().zip(written);
        let relevant = both.filter(|(info, _)| self.only.is_none_or(|sought| sought.is_in(info)));
        relevant.map(|(info, written)| self.info(info, written)).collect()
    }

    fn info(&self, info: &RegistrationInfo, written: &Value) -> Value {
        let mut written = written.clone();
        if let Some(Value::Array(entities)) = written.get_mut("entities") {
            if let Some(Sought { select, .. }) =
                self.only.filter(|sought| !sought.select.is_empty())
            {
                let mut own = info.entities.iter();
                entities.retain(|_| {
                    own.next().is_some_and(|own| select.iter().any(|one| own.may_be(one)))
                });
            }
            for entity in entities {
                if let Some(types) = entity.get_mut("type") {
                    self.names(types);
                    if self.only.is_some() && types.is_string() {
                        *types = Value::Array(vec![types.take()]);
                    }
                }
            }
        }
        for name in ["propertyNames", "relationshipNames"] {
            written.get_mut(name).into_iter().for_each(|names| self.names(names));
        }
        written
    }

    fn names(&self, names: &mut Value) {
        match names {
            Value::String(iri) => *iri = compacted(iri, self.context),
            Value::Array(items) => items.iter_mut().for_each(|item| self.names(item)),
            _ => {}
        }
    }

    /// A property of the source's own: a value that stands alone as it came, an attribute with
    /// the reader's names.
    fn property(&self, registration: &Registration, iri: &str, value: &Value) -> (String, Value) {
        let plain = || (compacted(iri, self.context), value.clone());
        let Some(name) = Name::known(iri).filter(|_| value.is_object() || value.is_array()) else {
            return plain();
        };
        let Some(attribute) = registration.described.attributes.get(name) else { return plain() };
        let Ok(mut entity) = bare(registration.id.as_str(), Timestamp::from_micros(0)) else {
            return plain();
        };
        entity.attributes.insert(name, attribute.clone());
        let shown = attributes_of(&entity, self.context).ok();
        shown.and_then(|shown| shown.into_iter().next()).unwrap_or_else(plain)
    }
}

/// The members that tell how it went with the source; none before it was first asked.
fn add_report(shown: &mut Map<String, Value>, report: &DeliveryReport) {
    let Some(status) = report.status else { return };
    shown.insert("status".into(), status.word().into());
    shown.insert("timesSent".into(), report.times_sent.into());
    if report.times_failed > 0 {
        shown.insert("timesFailed".into(), report.times_failed.into());
    }
    let times = [("lastSuccess", report.last_success), ("lastFailure", report.last_failure)];
    for (name, time) in times {
        if let Some(time) = time {
            shown.insert(name.into(), time.to_string().into());
        }
    }
}
