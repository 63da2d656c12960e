//! Whether a query holds of an entity: the meaning that every store answers to.

use std::cell::Cell;

use super::super::{Lookup, Moment};
use super::literal::Scalar;
use super::{Check, Filter, Link, Member, Operand, Path, Test};
use crate::model::{
    Attributes, Datum, Entity, Instance, LanguageMap, Name, OneOrMany, Timestamp, Value,
};

/// What an evaluation takes along.
struct Walk<'a> {
    now: Timestamp,
    lookup: &'a dyn Lookup,
    lookups_left: Cell<usize>,
}

impl Filter {
    /// Whether the query holds of an entity at an instant. What expired is not there; linked
    /// entities are asked of `lookup`, which is told if there are too many of them.
    pub fn matches(&self, entity: &Entity, now: Timestamp, lookup: &dyn Lookup) -> bool {
        let walk = Walk { now, lookup, lookups_left: Cell::new(lookup.most().0) };
        self.holds(entity, &walk)
    }

    fn holds(&self, entity: &Entity, walk: &Walk<'_>) -> bool {
        match self {
            Filter::All(parts) => parts.iter().all(|part| part.holds(entity, walk)),
            Filter::Any(parts) => parts.iter().any(|part| part.holds(entity, walk)),
            Filter::Test(Test { path, check: Check::Absent }) => {
                !linked(entity, &path.links, path, &Check::Exists, walk)
            }
            Filter::Test(Test { path, check }) => linked(entity, &path.links, path, check, walk),
        }
    }
}

/// Follows the links, and checks what the path addresses in any entity they lead to.
fn linked(entity: &Entity, links: &[Link], path: &Path, check: &Check, walk: &Walk<'_>) -> bool {
    let Some((link, rest)) = links.split_first() else {
        return in_entity(entity, path, check, walk.now);
    };
    reach(&entity.attributes, &link.names, walk.now, &mut |instance| {
        instance.datum.targets().iter().any(|id| {
            let Some(left) = walk.lookups_left.get().checked_sub(1) else {
                walk.lookup.was_too_much();
                return false;
            };
            walk.lookups_left.set(left);
            walk.lookup.entity(id).is_some_and(|target| {
                target.is_alive(walk.now)
                    && link.admits(&target)
                    && linked(&target, rest, path, check, walk)
            })
        })
    })
}

impl Link {
    fn admits(&self, target: &Entity) -> bool {
        let has = |name: Option<Name>| name.is_some_and(|name| target.has_type(name));
        self.types.is_empty() || self.types.iter().any(|hint| has(hint.term.name()))
    }
}

fn in_entity(entity: &Entity, path: &Path, check: &Check, now: Timestamp) -> bool {
    match &path.member {
        // Nothing lies within a member that is no attribute.
        Some(_) if !path.within.is_empty() => false,
        Some((member, _)) if path.names.is_empty() => of_entity(entity, *member, check),
        member => reach(&entity.attributes, &path.names, now, &mut |instance| match member {
            Some((member, _)) => of_instance(instance, *member, check),
            None => of_datum(&instance.datum, path, check),
        }),
    }
}

/// Whether any living instance that the names lead to passes.
fn reach(
    attributes: &Attributes,
    names: &[super::super::Term],
    now: Timestamp,
    passes: &mut dyn FnMut(&Instance) -> bool,
) -> bool {
    let Some((first, rest)) = names.split_first() else { return false };
    let Some(attribute) = first.name().and_then(|name| attributes.get(name)) else { return false };
    attribute.instances().iter().filter(|instance| instance.is_alive(now)).any(|instance| {
        if rest.is_empty() {
            passes(instance)
        } else {
            reach(instance.attributes(), rest, now, passes)
        }
    })
}

fn of_entity(entity: &Entity, member: Member, check: &Check) -> bool {
    let stamp = |at: Timestamp| check.single(Scalar::Moment(Moment::DateTime(at)));
    match member {
        Member::CreatedAt => stamp(entity.created_at),
        Member::ModifiedAt => stamp(entity.modified_at),
        Member::ExpiresAt => entity.expires_at.is_some_and(stamp),
        Member::Id => check.single(Scalar::Text(entity.id.as_str())),
        Member::Type => check.group(
            Group::Array,
            entity.types.as_slice().iter().map(|name| Scalar::Text(name.as_str())),
        ),
        Member::Scope => {
            !entity.scopes.is_empty()
                && check.group(
                    Group::Array,
                    entity.scopes.iter().map(|scope| Scalar::Text(scope.as_str())),
                )
        }
        _ => false,
    }
}

fn of_instance(instance: &Instance, member: Member, check: &Check) -> bool {
    let stamp = |at: Timestamp| check.single(Scalar::Moment(Moment::DateTime(at)));
    let text = |text: &str| check.single(Scalar::Text(text));
    match member {
        Member::CreatedAt => stamp(instance.created_at),
        Member::ModifiedAt => stamp(instance.modified_at),
        Member::ExpiresAt => instance.expires_at().is_some_and(stamp),
        Member::ObservedAt => instance.observed_at.is_some_and(stamp),
        Member::UnitCode => instance.unit.is_some_and(|unit| text(unit.as_str())),
        Member::DatasetId => instance.dataset().is_some_and(|dataset| text(dataset.as_str())),
        Member::ValueType => instance.value_type().is_some_and(|name| text(name.as_str())),
        Member::ObjectType => {
            let types = instance.object_types();
            !types.is_empty()
                && check.group(Group::Array, types.iter().map(|name| Scalar::Text(name.as_str())))
        }
        _ => false,
    }
}

/// The target value of each kind of attribute (4.9), and what the path addresses within it.
fn of_datum(datum: &Datum, path: &Path, check: &Check) -> bool {
    let whole = path.within.is_empty();
    match datum {
        Datum::Property(value) => within(value, path).is_some_and(|value| of_value(value, check)),
        Datum::JsonProperty(json) => {
            within_json(json, path).is_some_and(|json| of_json(json, check))
        }
        Datum::LanguageProperty(map) => of_languages(map, path, check),
        Datum::GeoProperty(_) => whole && check.single(Scalar::Other),
        Datum::VocabProperty(words) => {
            whole
                && check.group(
                    Group::Array,
                    words.as_slice().iter().map(|word| Scalar::Text(word.as_str())),
                )
        }
        Datum::ListProperty(items) => whole && check.group(Group::Array, items.iter().map(scalar)),
        Datum::Relationship(_) | Datum::ListRelationship(_) => {
            // Only equality is defined for them; anything else does not match.
            whole
                && matches!(check, Check::Exists | Check::Equal(_) | Check::Unequal(_))
                && check
                    .group(Group::Array, datum.targets().iter().map(|id| Scalar::Text(id.as_str())))
        }
        Datum::Bare(_) => false,
    }
}

/// Goes into a compound value by expanded names, into an array by position.
pub(in super::super) fn within<'a>(value: &'a Value, path: &Path) -> Option<&'a Value> {
    path.within.iter().try_fold(value, |value, key| match value {
        Value::Object(_) => value.member(key.name()?),
        Value::Array(items) => items.get(position(key.written())?),
        _ => None,
    })
}

/// Goes into raw JSON by the keys as they were written.
pub(in super::super) fn within_json<'a>(
    json: &'a serde_json::Value,
    path: &Path,
) -> Option<&'a serde_json::Value> {
    path.within.iter().try_fold(json, |json, key| match json {
        serde_json::Value::Object(members) => members.get(&*unquoted(key.written())),
        serde_json::Value::Array(items) => items.get(position(key.written())?),
        _ => None,
    })
}

/// A key without the quotation marks that odd characters needed.
pub(in super::super) fn unquoted(written: &str) -> std::borrow::Cow<'_, str> {
    match written.starts_with('"').then(|| serde_json::from_str::<String>(written)) {
        Some(Ok(text)) => text.into(),
        _ => written.into(),
    }
}

fn position(key: &str) -> Option<usize> {
    key.parse().ok()
}

fn of_value(value: &Value, check: &Check) -> bool {
    match value {
        Value::Array(items) => check.group(Group::Array, items.iter().map(scalar)),
        value => check.single(scalar(value)),
    }
}

fn scalar(value: &Value) -> Scalar<'_> {
    match value {
        Value::Bool(value) => Scalar::Bool(*value),
        Value::Number(number) => Scalar::Number(*number),
        Value::String(text) => Scalar::Text(text),
        // A typed value says its type beside it.
        Value::Object(_) => match value.member(Name::AT_VALUE) {
            Some(Value::Object(_)) | None => Scalar::Other,
            Some(inner) => scalar(inner),
        },
        Value::Null | Value::Array(_) => Scalar::Other,
    }
}

fn of_json(json: &serde_json::Value, check: &Check) -> bool {
    match json {
        serde_json::Value::Array(items) => check.group(Group::Array, items.iter().map(json_scalar)),
        json => check.single(json_scalar(json)),
    }
}

fn json_scalar(json: &serde_json::Value) -> Scalar<'_> {
    use crate::model::Number;
    match json {
        serde_json::Value::Bool(value) => Scalar::Bool(*value),
        serde_json::Value::String(text) => Scalar::Text(text),
        serde_json::Value::Number(number) => {
            let integer = number.as_i64().map(Number::Int);
            let integer = integer.or_else(|| number.as_u64().map(Number::UInt));
            match integer.or_else(|| number.as_f64().map(Number::Float)) {
                Some(number) => Scalar::Number(number),
                None => Scalar::Other,
            }
        }
        _ => Scalar::Other,
    }
}

/// The strings of one language, or of any when none or `*` is named.
fn of_languages(map: &LanguageMap, path: &Path, check: &Check) -> bool {
    match path.within.as_slice() {
        [] => any_language(map, check),
        [tag] if tag.written() == "*" => any_language(map, check),
        [tag] => map.get(&unquoted(tag.written())).is_some_and(|texts| match texts {
            OneOrMany::One(text) => check.single(Scalar::Text(text)),
            OneOrMany::Many(texts) => {
                check.group(Group::Array, texts.iter().map(|text| Scalar::Text(text)))
            }
        }),
        _ => false,
    }
}

fn any_language(map: &LanguageMap, check: &Check) -> bool {
    let texts = map.0.iter().flat_map(|(_, texts)| texts.as_slice());
    check.group(Group::Alternatives, texts.map(|text| Scalar::Text(text)))
}

/// What several values are to each other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Group {
    /// Items of one array: only equality looks into it.
    Array,
    /// Any of them may be the one that is meant.
    Alternatives,
}

impl Check {
    /// Whether a target that is one value passes.
    fn single(&self, target: Scalar<'_>) -> bool {
        match self {
            Check::Exists => true,
            Check::Absent => false,
            Check::Equal(operand) => operand.includes(target),
            Check::Unequal(operand) => !operand.includes(target),
            Check::Order(relation, literal) => {
                literal.compare(target).is_some_and(|order| relation.holds(order))
            }
            Check::Matches(pattern) => {
                matches!(target, Scalar::Text(text) if pattern.is_match(text))
            }
            Check::MatchesNot(pattern) => {
                matches!(target, Scalar::Text(text) if !pattern.is_match(text))
            }
        }
    }

    /// Whether a target of several values passes. A list of one is that one, as in JSON-LD.
    fn group<'a>(
        &self,
        group: Group,
        mut targets: impl Iterator<Item = Scalar<'a>> + Clone,
    ) -> bool {
        let mut rest = targets.clone();
        if let (Some(only), None) = (rest.next(), rest.next()) {
            return self.single(only);
        }
        match self {
            Check::Exists => true,
            Check::Absent => false,
            Check::Equal(Operand::Range(..)) if group == Group::Array => false,
            Check::Unequal(Operand::Range(..)) if group == Group::Array => true,
            Check::Equal(operand) => targets.any(|target| operand.includes(target)),
            Check::Unequal(operand) => !targets.any(|target| operand.includes(target)),
            Check::Order(..) | Check::Matches(_) => {
                group == Group::Alternatives && targets.any(|target| self.single(target))
            }
            Check::MatchesNot(_) => {
                group == Group::Alternatives && targets.all(|target| self.single(target))
            }
        }
    }
}

impl Operand {
    fn includes(&self, target: Scalar<'_>) -> bool {
        match self {
            Operand::One(literal) => literal.equals(target),
            Operand::List(literals) => literals.iter().any(|literal| literal.equals(target)),
            Operand::Range(low, high) => {
                low.compare(target).is_some_and(std::cmp::Ordering::is_ge)
                    && high.compare(target).is_some_and(std::cmp::Ordering::is_le)
            }
        }
    }
}
