//! What a store keeps of the past: what a temporal query found, and the rules of recording.

use serde::{Deserialize, Serialize};

use crate::model::{AttrName, TypeName};
use crate::query::{Anchor, Told};

/// The shelf of a tenant's rules. The key of a rule is the IRI of a type, or [`EVERY_TYPE`].
pub const HISTORY_RULES: &str = "history";

/// The key of the rule for types that have none of their own.
pub const EVERY_TYPE: &str = "*";

/// What a temporal query found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FoundHistory {
    /// What is told of one page of entities.
    pub told: Told,
    /// How many entities there are in all, if the plan asked.
    pub count: Option<u64>,
    /// Whether there are more after this page.
    pub more: bool,
    /// Where the next page begins, if it can be named.
    pub next: Option<Anchor>,
}

/// What is recorded of entities of a type, and how long it is kept. Without a rule everything is
/// recorded and kept.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HistoryRule {
    pub record: Recording,
    /// How long what was recorded is kept, by attribute; of several that name one the first counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keep: Vec<Keep>,
}

/// What is recorded when a write changes an entity.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Recording {
    #[default]
    All,
    None,
    /// Only these attributes, by their IRIs.
    Only(Vec<String>),
}

/// How long the history of attributes is kept. Numbers that are too old to be kept one by one are
/// thinned to one aggregate an hour, later to one a day; what is no number is dropped then.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Keep {
    /// The attributes that are meant, by their IRIs; all if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<String>,
    /// For how many days instances are kept as they came; for ever if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw_days: Option<u32>,
    /// For how many days aggregates of hours are kept after that, counted from the observation;
    /// none if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hourly_days: Option<u32>,
    /// The same for aggregates of days.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub daily_days: Option<u32>,
}

/// The rules of a tenant, by type.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HistoryRules {
    by_type: Vec<(Option<TypeName>, HistoryRule)>,
}

impl HistoryRules {
    /// Takes note of a rule by its key.
    pub fn insert(&mut self, key: &str, rule: HistoryRule) {
        let name = if key == EVERY_TYPE {
            None
        } else {
            match TypeName::intern(key) {
                Ok(name) => Some(name),
                // No entity can have a type that cannot be remembered.
                Err(_) => return,
            }
        };
        self.by_type.retain(|(own, _)| *own != name);
        self.by_type.push((name, rule));
    }

    /// Whether everything is recorded and kept, since there is no rule.
    pub fn is_empty(&self) -> bool {
        self.by_type.is_empty()
    }

    /// The rules that hold for an entity of these types: those of its types, or else the general one.
    fn of<'a>(&'a self, types: &'a [TypeName]) -> impl Iterator<Item = &'a HistoryRule> {
        let own = move |name: &Option<TypeName>| name.is_some_and(|name| types.contains(&name));
        let any = self.by_type.iter().any(|(name, _)| own(name));
        let holds = move |name: &Option<TypeName>| if any { own(name) } else { name.is_none() };
        self.by_type.iter().filter(move |(name, _)| holds(name)).map(|(_, rule)| rule)
    }

    /// Whether anything is recorded of an entity of these types.
    pub fn records_any(&self, types: &[TypeName]) -> bool {
        let mut rules = self.of(types).peekable();
        rules.peek().is_none() || rules.any(|rule| rule.record != Recording::None)
    }

    /// Whether an attribute of an entity of these types is recorded: if any rule says so.
    pub fn records(&self, types: &[TypeName], attribute: AttrName) -> bool {
        let mut rules = self.of(types).peekable();
        rules.peek().is_none()
            || rules.any(|rule| match &rule.record {
                Recording::All => true,
                Recording::None => false,
                Recording::Only(names) => names.iter().any(|name| name == attribute.as_str()),
            })
    }

    /// How long an attribute of an entity of these types is kept; for ever if nothing is said.
    pub fn keep<'a>(&'a self, types: &'a [TypeName], attribute: AttrName) -> Option<&'a Keep> {
        self.of(types).flat_map(|rule| &rule.keep).find(|keep| {
            keep.attributes.is_empty()
                || keep.attributes.iter().any(|name| name == attribute.as_str())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::samples::{attribute_name, type_name};

    fn rule(json: &str) -> HistoryRule {
        serde_json::from_str(json).expect("a rule")
    }

    #[test]
    fn a_rule_of_a_type_counts_before_the_general_one() {
        let (one, two) = (type_name(1), type_name(2));
        let (a, b) = (attribute_name(1), attribute_name(2));
        let mut rules = HistoryRules::default();
        assert!(rules.records(&[one], a) && rules.records_any(&[one]));
        rules.insert(EVERY_TYPE, rule(r#"{"record": "none"}"#));
        assert!(!rules.records(&[one], a) && !rules.records_any(&[one]));
        let only = format!(r#"{{"record": {{"only": ["{a}"]}}, "keep": [{{"raw_days": 9}}]}}"#);
        rules.insert(one.as_str(), rule(&only));
        assert!(rules.records(&[one], a) && !rules.records(&[one], b));
        assert!(rules.records(&[two, one], a) && !rules.records(&[two], a));
        assert_eq!(rules.keep(&[one], b).and_then(|keep| keep.raw_days), Some(9));
        assert_eq!(rules.keep(&[two], b), None);
        assert!(serde_json::from_str::<HistoryRule>(r#"{"recrod": "all"}"#).is_err());
    }
}
