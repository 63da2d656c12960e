//! What a rule needs of the history of an entity: its readings, and what was derived before.

use rustc_hash::FxHashMap;

use super::evaluate::{Verdict, evaluate};
use super::reading::{Reading, placed};
use super::rule::{Quantity, Rule, What};
use crate::model::{
    AttrName, Datum, Entity, EntityId, Instance, InstanceId, TenantId, TimeProperty, Timestamp,
    Value,
};
use crate::query::{
    Aggregate, Aggregated, EntityPlan, Evolution, HistoryPlan, Line, Method, Page, Projection,
    Selector, Term, Window,
};
use crate::store::{Store, StoreError};

/// What is known of an entity, for one rule and a stretch of time.
pub(super) struct Past {
    /// For each input of the rule, ordered by time.
    pub readings: Vec<Vec<Reading>>,
    /// What the rule wrote, or somebody else did, by attribute and time.
    pub derived: FxHashMap<(AttrName, i64), (Instance, InstanceId)>,
    /// Whether the store keeps history; if not, only what the entity is now is known.
    pub kept: bool,
}

/// A stretch of time in microseconds since 1970, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub first: i64,
    pub last: i64,
}

impl Past {
    /// Reads what a rule needs for the values of a stretch of time.
    pub async fn read(
        store: &dyn Store,
        tenant: &TenantId,
        (rule, entity): (&Rule, &Entity),
        span: Span,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let names = rule.inputs.iter().map(|input| input.name).chain(rule.outputs.iter().copied());
        let window = Window {
            property: TimeProperty::Placed,
            from: Some(Timestamp::from_micros(span.first.saturating_sub(rule.reach()))),
            to: Some(Timestamp::from_micros(span.last.saturating_add(1))),
        };
        let plan = plan(&entity.id, names, window);
        let mut past = Self {
            readings: vec![Vec::new(); rule.inputs.len()],
            derived: FxHashMap::default(),
            kept: true,
        };
        match store.evolve(tenant, &plan, now).await {
            Ok(found) => found.told.evolutions.into_iter().for_each(|one| past.add(rule, one)),
            Err(StoreError::Unusable(_)) => past.kept = false,
            Err(error) => return Err(error),
        }
        past.add_current(rule, entity);
        Ok(past)
    }

    fn add(&mut self, rule: &Rule, evolution: Evolution) {
        for (name, line) in evolution.attributes {
            let Line::Instances(instances) = line else { continue };
            let input = rule.inputs.iter().position(|input| input.name == name);
            for recorded in instances {
                let reading = Reading::of_recorded(&recorded, &rule.marks);
                if let Some(readings) = input.and_then(|place| self.readings.get_mut(place)) {
                    readings.extend(reading);
                } else if let (Some(at), None) =
                    (recorded.time(TimeProperty::Placed), recorded.deleted_at)
                {
                    let place = (name, at.micros());
                    self.derived.insert(place, (recorded.instance, recorded.id));
                }
            }
        }
    }

    /// What the entity is now belongs to what is known of it, recorded or not.
    fn add_current(&mut self, rule: &Rule, entity: &Entity) {
        for (input, readings) in rule.inputs.iter().zip(&mut self.readings) {
            let Some(instance) = current(entity, input.name) else { continue };
            let reading = Reading::of(instance, placed(instance), &rule.marks);
            let Some(reading) = reading else { continue };
            match readings.binary_search_by_key(&reading.at, |other| other.at) {
                Ok(_) => {}
                Err(place) => readings.insert(place, reading),
            }
        }
    }

    /// What the rule makes of it at a time.
    pub fn judge(&self, rule: &Rule, id: &EntityId, at: i64) -> Verdict {
        evaluate(rule, id, &self.readings, Timestamp::from_micros(at))
    }

    /// The times within a stretch for which a value is made where readings say when: theirs, or
    /// those of the last ones of each day or the like; and those that have a value already.
    pub fn moments(&self, rule: &Rule, span: Span) -> Vec<i64> {
        let within = |at: &i64| span.first <= *at && *at <= span.last;
        let mut moments: Vec<i64> = moving(rule)
            .filter_map(|place| self.readings.get(place))
            .flatten()
            .map(|reading| reading.at)
            .filter(within)
            .collect();
        moments.sort_unstable();
        if let Some(length) = rule.one_in() {
            // Of two in one cell the earlier goes.
            let mut kept: Vec<i64> = Vec::with_capacity(moments.len());
            for at in moments {
                let same = |last: &i64| last.div_euclid(length) == at.div_euclid(length);
                if kept.last().is_some_and(same) {
                    kept.pop();
                }
                kept.push(at);
            }
            moments = kept;
        }
        let main = rule.main_output();
        let known = self.derived.keys().filter(|(name, _)| *name == main).map(|(_, at)| *at);
        moments.extend(known.filter(within));
        moments.sort_unstable();
        moments.dedup();
        moments
    }
}

/// The inputs that change with time, by their places: of a level those that are measured again and
/// again.
fn moving(rule: &Rule) -> impl Iterator<Item = usize> {
    let is_moving = |place: &usize| match &rule.what {
        What::Level(level) => level.of.iter().any(|quantity| match quantity {
            Quantity::Share(own) => own == place,
            Quantity::Between { level, .. } => level == place,
        }),
        _ => true,
    };
    (0..rule.inputs.len()).filter(is_moving)
}

/// The default instance of an attribute.
pub(super) fn current(entity: &Entity, name: AttrName) -> Option<&Instance> {
    entity.attributes.get(name)?.instance(None)
}

/// When the newest reading of an entity was made, of those that a rule follows.
pub(super) fn newest(rule: &Rule, entity: &Entity) -> Option<i64> {
    let readings = moving(rule).filter_map(|place| {
        let instance = current(entity, rule.inputs.get(place)?.name)?;
        Some(Reading::of(instance, placed(instance), &rule.marks)?.at)
    });
    readings.max()
}

/// When the first reading of an entity was made, or the first value derived, that is still known.
pub(super) async fn oldest(
    store: &dyn Store,
    tenant: &TenantId,
    (rule, id): (&Rule, &EntityId),
    now: Timestamp,
) -> Result<Option<i64>, StoreError> {
    let names = rule.inputs.iter().map(|input| input.name).chain(rule.outputs.iter().copied());
    let window = Window { property: TimeProperty::Placed, ..Window::default() };
    let mut plan = plan(id, names, window);
    plan.aggregate =
        Some(Aggregate { methods: vec![Method::TotalCount], period: None, last: None });
    let found = match store.evolve(tenant, &plan, now).await {
        Err(StoreError::Unusable(_)) => return Ok(None),
        found => found?,
    };
    let lines = found.told.evolutions.into_iter().flat_map(|one| one.attributes);
    let from = lines.filter_map(|(_, line)| match line {
        Line::Aggregates(all) => begin(&all),
        Line::Instances(_) | Line::Cut(_) => None,
    });
    Ok(from.min())
}

fn begin(aggregates: &[Aggregated]) -> Option<i64> {
    let methods = aggregates.iter().flat_map(|one| &one.methods);
    methods.flat_map(|(_, buckets)| buckets).map(|bucket| bucket.from.micros()).min()
}

/// Between which times the readings lie that were recorded by one change of the past; None if
/// nothing was, so that something was taken away.
pub(super) async fn recorded_by(
    store: &dyn Store,
    tenant: &TenantId,
    (names, id): (&[AttrName], &EntityId),
    change: Timestamp,
    now: Timestamp,
) -> Result<Option<Span>, StoreError> {
    let window = Window {
        property: TimeProperty::ModifiedAt,
        from: Some(change),
        to: Some(change.plus_micros(1)),
    };
    let plan = plan(id, names.iter().copied(), window);
    let found = match store.evolve(tenant, &plan, now).await {
        Err(StoreError::Unusable(_)) => return Ok(None),
        found => found?,
    };
    let lines = found.told.evolutions.into_iter().flat_map(|one| one.attributes);
    let instances = lines.flat_map(|(_, line)| match line {
        Line::Instances(all) => all,
        Line::Aggregates(_) | Line::Cut(_) => Vec::new(),
    });
    let times = instances.filter_map(|one| one.time(TimeProperty::Placed));
    let micros = times.map(Timestamp::micros);
    Ok(micros.fold(None, |span: Option<Span>, at| {
        let span = span.unwrap_or(Span { first: at, last: at });
        Some(Span { first: span.first.min(at), last: span.last.max(at) })
    }))
}

/// The history of some attributes of an entity, as their default instances have it.
fn plan(id: &EntityId, names: impl Iterator<Item = AttrName>, window: Window) -> HistoryPlan {
    HistoryPlan {
        entities: EntityPlan {
            select: vec![Selector { ids: vec![id.clone()], ..Selector::default() }],
            page: Page { limit: 1, ..Page::default() },
            ..EntityPlan::default()
        },
        window,
        datasets: Some(vec![None]),
        shown: Projection {
            attrs: Some(names.map(Term::known).collect()),
            ..Projection::default()
        },
        whatever_the_window: true,
        ..HistoryPlan::default()
    }
}

/// By which rule a value was derived, if it was.
pub(super) fn derived_by<'i>(rule: &Rule, instance: &'i Instance) -> Option<&'i str> {
    let marked = instance.attributes().get(rule.terms.derived_by)?.instances().first()?;
    match &marked.datum {
        Datum::Property(Value::String(text)) => Some(text),
        _ => None,
    }
}
