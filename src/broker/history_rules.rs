//! What is recorded of entities and for how long, and what is held: for those who operate the
//! broker, not of the specification.

use super::{Broker, Call, Error};
use crate::jsonld::Context;
use crate::model::{EntityId, Name, TypeSelection};
use crate::query::{Anchor, EntityPlan, Page, Selector};
use crate::store::{
    EVERY_TYPE, HISTORY_RULES, HeldHistory, HistoryRule, Keep, Recording, Records, Shelf,
};

/// Whose history is looked at.
#[derive(Debug, Clone, Default)]
pub struct HeldTexts {
    pub id: Option<String>,
    /// A type, as the call's `@context` names it.
    pub of_type: Option<String>,
    /// Only entities whose ids come after this one.
    pub after: Option<String>,
    /// How many at most.
    pub limit: usize,
}

impl Broker {
    /// The rules of a tenant, by type, in the names of the call.
    pub async fn history_rules(&self, call: &Call) -> Result<Vec<(String, HistoryRule)>, Error> {
        let all = self.rules(call).all().await?;
        all.into_iter().map(|(key, rule)| named_so(&call.context, &key, rule)).collect()
    }

    /// The rule of a type, or of all that have none of their own (`*`), in the names of the call.
    pub async fn history_rule(
        &self,
        call: &Call,
        kind: &str,
    ) -> Result<(String, HistoryRule), Error> {
        let key = key_of(&call.context, kind)?;
        match self.rules(call).get(&key).await? {
            Some(rule) => named_so(&call.context, &key, rule),
            None => Err(no_rule(kind)),
        }
    }

    /// Lays down the rule of a type, or of all that have none of their own; whether there was none
    /// before. It holds for what is written from now on, and within the hour for what is kept.
    pub async fn put_history_rule(
        &self,
        call: &Call,
        kind: &str,
        rule: HistoryRule,
    ) -> Result<bool, Error> {
        rule.check().map_err(Error::bad)?;
        let key = key_of(&call.context, kind)?;
        let rule = expanded(&call.context, rule)?;
        let rules = self.rules(call);
        if rules.add(&key, &rule).await? {
            return Ok(true);
        }
        rules.put(&key, &rule).await?;
        Ok(false)
    }

    /// Takes a rule back.
    pub async fn delete_history_rule(&self, call: &Call, kind: &str) -> Result<(), Error> {
        let key = key_of(&call.context, kind)?;
        match self.rules(call).take(&key).await? {
            true => Ok(()),
            false => Err(no_rule(kind)),
        }
    }

    /// What is held of the history of entities: from when to when as it came, as hours, as days.
    pub async fn held_history(
        &self,
        call: &Call,
        texts: &HeldTexts,
    ) -> Result<Vec<HeldHistory>, Error> {
        let id = texts.id.as_deref().map(EntityId::parse).transpose();
        let id = id.map_err(|why| Error::bad(format!("id: {why}")))?;
        let of_type = texts.of_type.as_deref().map(|text| call.context.expand(text)).transpose()?;
        let select = Selector {
            ids: id.into_iter().collect(),
            types: of_type.map(TypeSelection::of),
            ..Selector::default()
        };
        let after = texts.after.as_deref().map(Anchor::new);
        let plan = EntityPlan {
            select: vec![select],
            page: Page { limit: texts.limit, after, ..Page::default() },
            ..EntityPlan::default()
        };
        Ok(self.store.held_history(&call.tenant, &plan).await?)
    }

    fn rules(&self, call: &Call) -> Records<'_, HistoryRule> {
        Records::on(&*self.store, Shelf::of(&call.tenant, HISTORY_RULES))
    }
}

/// The key of a rule.
fn key_of(context: &Context, kind: &str) -> Result<String, Error> {
    match kind {
        EVERY_TYPE => Ok(EVERY_TYPE.to_owned()),
        kind => Ok(context.expand(kind)?.as_str().to_owned()),
    }
}

fn no_rule(kind: &str) -> Error {
    Error::NotFound(format!("there is no rule for {kind}"))
}

/// A rule with the IRIs of what it names.
fn expanded(context: &Context, rule: HistoryRule) -> Result<HistoryRule, Error> {
    renamed(rule, |text| Ok(context.expand(text)?.as_str().to_owned()))
}

/// A rule and its type in the names of a context.
fn named_so(
    context: &Context,
    key: &str,
    rule: HistoryRule,
) -> Result<(String, HistoryRule), Error> {
    let short = |iri: &str| -> Result<String, Error> {
        let name = Name::intern(iri).map(|name| context.compact(name).into_owned());
        Ok(name.unwrap_or_else(|_| iri.to_owned()))
    };
    let kind = if key == EVERY_TYPE { key.to_owned() } else { short(key)? };
    Ok((kind, renamed(rule, short)?))
}

fn renamed(
    rule: HistoryRule,
    rename: impl Fn(&str) -> Result<String, Error>,
) -> Result<HistoryRule, Error> {
    let all = |names: Vec<String>| -> Result<Vec<String>, Error> {
        names.iter().map(|name| rename(name)).collect()
    };
    Ok(HistoryRule {
        record: match rule.record {
            Recording::Only(names) => Recording::Only(all(names)?),
            other => other,
        },
        keep: rule
            .keep
            .into_iter()
            .map(|keep| Ok::<_, Error>(Keep { attributes: all(keep.attributes)?, ..keep }))
            .collect::<Result<_, _>>()?,
    })
}
