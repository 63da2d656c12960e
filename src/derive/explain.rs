//! Why an entity has the derived values it has, or has none: made anew when it is asked.

use serde_json::{Value as Json, json};

use super::job::is_given;
use super::past::{Past, Span, newest};
use super::rule::Rule;
use super::{Deriver, Inner};
use crate::model::{Entity, EntityId, TenantId, Timestamp};
use crate::store::StoreError;

/// What a rule makes of an entity, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Explained {
    /// The rule's name.
    pub rule: Box<str>,
    /// `derived`, `given` or `lacking`.
    pub state: &'static str,
    /// The time that it is about, if there is any reading.
    pub at: Option<Timestamp>,
    pub scheme: Option<Box<str>>,
    /// What is known of each input.
    pub inputs: Vec<Json>,
    /// The value, if there is one.
    pub value: Option<Json>,
    /// Why there is none.
    pub why: Option<String>,
    /// Whether the store keeps history; averages need it.
    pub history: bool,
}

impl Deriver {
    /// What each rule makes of an entity, as of a time or of its newest reading. None if there is
    /// no such entity; empty if no rule is about it.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn explain(
        &self,
        tenant: &TenantId,
        id: &EntityId,
        at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Option<Vec<Explained>>, StoreError> {
        let inner = &self.inner;
        let Some(entity) = inner.store.get(tenant, id, now).await? else { return Ok(None) };
        let mut explained = Vec::new();
        for place in inner.rules_of(&entity.entity) {
            let rule = &inner.rules[place];
            explained.push(inner.explain_one(tenant, &entity.entity, rule, at, now).await?);
        }
        Ok(Some(explained))
    }
}

impl Inner {
    async fn explain_one(
        &self,
        tenant: &TenantId,
        entity: &Entity,
        rule: &Rule,
        at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Explained, StoreError> {
        let mut told = Explained {
            rule: rule.name.clone(),
            state: "lacking",
            at: None,
            scheme: None,
            inputs: Vec::new(),
            value: None,
            why: None,
            history: true,
        };
        let Some(newest) = newest(rule, entity) else {
            let names: Vec<&str> = rule.inputs.iter().map(|input| &*input.term).collect();
            told.why = Some(format!("the entity has none of {}", names.join(", ")));
            return Ok(told);
        };
        let asked = at.map_or(newest, Timestamp::micros);
        let moment = rule.every().map_or(asked, |every| asked.div_euclid(every) * every);
        let span = Span { first: moment, last: moment };
        let past = Past::read(&*self.store, tenant, (rule, entity), span, now).await?;
        let moment = if past.kept { moment } else { asked };
        told.history = past.kept;
        told.at = Some(Timestamp::from_micros(moment));
        let verdict = past.judge(rule, &entity.id, moment);
        told.scheme = verdict.scheme;
        told.inputs = verdict.inputs;
        match verdict.outcome {
            Ok(attributes) => {
                told.state = "derived";
                let main = attributes.iter().find(|(name, _)| *name == rule.main_output());
                told.value = main.and_then(|(_, instance)| value(instance));
            }
            Err(why) if past.kept => told.why = Some(why),
            Err(why) => {
                told.why = Some(format!("{why}; this store keeps no history to average"));
            }
        }
        if is_given(rule, entity) {
            told.state = "given";
            told.why = Some("whoever sends the entity says the value itself".to_owned());
        }
        Ok(told)
    }
}

fn value(instance: &crate::model::Instance) -> Option<Json> {
    use crate::model::{Datum, Value};
    match &instance.datum {
        Datum::Property(Value::Number(number)) => Some(json!(number.as_f64())),
        Datum::Property(Value::String(text)) => Some(json!(&**text)),
        _ => None,
    }
}
