//! What a store keeps of the past: what a temporal query found, and the rules of recording.

use serde::{Deserialize, Serialize};

use crate::model::{AttrName, DatasetId, EntityId, Timestamp, TypeName};
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
    /// The latest time at which a mean of an hour or a day stands for what was thinned, if there
    /// is any in the answer.
    pub thinned: Option<Timestamp>,
}

/// What is held of the history of an entity.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldHistory {
    pub id: EntityId,
    /// Every type it had.
    pub types: Vec<TypeName>,
    pub series: Vec<HeldSeries>,
}

/// What is held of one attribute and datasetId. Stretches follow one another in time: the oldest
/// is the coarsest.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldSeries {
    pub attribute: AttrName,
    pub dataset: Option<DatasetId>,
    /// Aggregates of days.
    pub daily: Option<Stretch>,
    /// Aggregates of hours.
    pub hourly: Option<Stretch>,
    /// Instances as they came.
    pub raw: Option<Stretch>,
}

/// A part of what is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// The times of the first and the last instance or aggregate.
    pub from: Timestamp,
    pub to: Timestamp,
    /// How many there are. A reading that came again and was not packed since counts twice.
    pub count: u64,
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
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct Keep {
    /// The attributes that are meant, by their IRIs; all if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<String>,
    /// For how many days instances are kept as they came; for ever if absent.
    #[serde(skip_serializing_if = "Option::is_none", alias = "raw_days")]
    pub raw_days: Option<u32>,
    /// For how many days aggregates of hours are kept after that, counted from the observation;
    /// none if absent.
    #[serde(skip_serializing_if = "Option::is_none", alias = "hourly_days")]
    pub hourly_days: Option<u32>,
    /// The same for aggregates of days.
    #[serde(skip_serializing_if = "Option::is_none", alias = "daily_days")]
    pub daily_days: Option<u32>,
}

/// The most that a rule may say: a century, and so many names and entries.
const MOST_DAYS: u32 = 36_525;
const MOST_NAMES: usize = 10_000;
const MOST_KEEPS: usize = 1_000;

impl HistoryRule {
    /// Whether the rule makes sense.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn check(&self) -> Result<(), String> {
        let named =
            |names: &[String]| names.len() > MOST_NAMES || names.iter().any(String::is_empty);
        if matches!(&self.record, Recording::Only(names) if named(names)) {
            return Err(format!("$.record.only: up to {MOST_NAMES} names, none of them empty"));
        }
        if self.keep.len() > MOST_KEEPS {
            return Err(format!("$.keep: up to {MOST_KEEPS} entries"));
        }
        for (number, keep) in self.keep.iter().enumerate() {
            let wrong = |why: &str| Err(format!("$.keep[{number}]: {why}"));
            if named(&keep.attributes) {
                return wrong("too many attributes, or one without a name");
            }
            let Keep { raw_days, hourly_days, daily_days, .. } = keep;
            if [raw_days, hourly_days, daily_days].into_iter().flatten().any(|it| *it > MOST_DAYS) {
                return wrong(
                    "nothing is kept for more than 36525 days; leave rawDays out for ever",
                );
            }
            if raw_days.is_none() && (hourly_days.is_some() || daily_days.is_some()) {
                return wrong("rawDays is missing: without it everything is kept as it came");
            }
            if hourly_days.is_some() && hourly_days < raw_days {
                return wrong("hourlyDays is less than rawDays; all days are counted from today");
            }
            if daily_days.is_some() && *daily_days < (*hourly_days).max(*raw_days) {
                return wrong(
                    "dailyDays is less than the days before it; all are counted from today",
                );
            }
        }
        Ok(())
    }
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

    #[test]
    fn a_rule_that_makes_no_sense_is_told_so() {
        for (json, said) in [
            (r#"{"keep": [{"rawDays": 30, "hourlyDays": 365, "dailyDays": 3650}]}"#, ""),
            (r#"{"keep": [{"rawDays": 30}, {}]}"#, ""),
            (r#"{"record": {"only": []}}"#, ""),
            (r#"{"keep": [{}, {"hourlyDays": 365}]}"#, "$.keep[1]: rawDays"),
            (r#"{"keep": [{"rawDays": 30, "hourlyDays": 29}]}"#, "hourlyDays"),
            (r#"{"keep": [{"rawDays": 30, "hourlyDays": 50, "dailyDays": 40}]}"#, "dailyDays"),
            (r#"{"keep": [{"rawDays": 30, "dailyDays": 20}]}"#, "dailyDays"),
            (r#"{"keep": [{"rawDays": 40000}]}"#, "36525"),
            (r#"{"record": {"only": [""]}}"#, "$.record.only"),
        ] {
            let why = rule(json).check().err().unwrap_or_default();
            assert!(why.contains(said) && why.is_empty() == said.is_empty(), "{json}: {why}");
        }
        assert_eq!(rule(r#"{"keep": [{"raw_days": 3}]}"#), rule(r#"{"keep": [{"rawDays": 3}]}"#));
    }
}
