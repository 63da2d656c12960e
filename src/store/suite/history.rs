//! Promises about history.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::*;
use crate::model::{
    Attribute, AttributePatch, Attributes, Chapter, Chronology, DatasetId, Datum, Fragment,
    HistoryAction, HistoryChange, HistoryWrite, Instance, InstanceEdit, InstanceId, InstancePatch,
    Instances, Number, OneOrMany, Recorded, Remembered, ScopeChange, TimeProperty, Value,
};
use crate::query::history_reference::Ledger;
use crate::query::{
    Aggregate, Evolution, HistoryLimits, HistoryPlan, Line, Method, Period, Series, TellError,
    Told, Window,
};
use crate::store::samples::{attribute_name, datum};
use crate::store::{EVERY_TYPE, FoundHistory, HISTORY_RULES, Shelf};

/// One thing that happens to an entity.
#[derive(Debug, Clone)]
enum Happening {
    Write(Write),
    History(HistoryWrite),
}

/// When something is observed: never when something is recorded.
fn observed(seconds: i64) -> Timestamp {
    at(seconds).plus_micros(500_000)
}

fn instance() -> impl Strategy<Value = Instance> + Clone {
    let number = (-50_i64..50).prop_map(|n| Datum::Property((n as f64 / 10.0).into()));
    let whole = (-5_i64..5).prop_map(|n| Datum::Property(Value::Number(Number::Int(n))));
    let datum = prop_oneof![6 => number, 2 => whole, 1 => datum()];
    let dataset = option::weighted(0.2, 0_usize..2);
    let unit = option::weighted(0.3, Just(attribute_name(9)));
    let time = option::weighted(0.7, -60_i64..60);
    let expires = option::weighted(0.05, Just(at(100_000)));
    (datum, dataset, unit, time, expires).prop_map(|(datum, dataset, unit, time, expires)| {
        let mut instance = Instance::new(datum);
        instance.unit = unit;
        instance.observed_at = time.map(observed);
        instance.more_mut().dataset = dataset.map(dataset_id);
        instance.more_mut().expires_at = expires;
        instance.tidy();
        instance
    })
}

fn dataset_id(number: usize) -> DatasetId {
    DatasetId::parse(&format!("urn:ngsi-ld:Dataset:{number}")).unwrap()
}

fn scopes() -> impl Strategy<Value = Vec<crate::model::Scope>> + Clone {
    let scope = prop_oneof![Just("/A"), Just("/A/B"), Just("/C")];
    vec(scope.prop_map(|text| crate::model::Scope::parse(text).unwrap()), 0..2)
}

fn attributes() -> impl Strategy<Value = Attributes> + Clone {
    let attribute = vec(instance(), 1..3).prop_map(|all| {
        let mut all = all.into_iter();
        let mut attribute = Attribute::one(all.next().unwrap());
        all.for_each(|one| drop(attribute.put(one)));
        attribute
    });
    vec(((0_usize..3).prop_map(attribute_name), attribute), 0..3)
        .prop_map(|all| all.into_iter().collect())
}

fn chronology() -> impl Strategy<Value = Chronology> + Clone {
    let types = vec((0_usize..3).prop_map(type_name), 1..3);
    let scopes = vec((scopes(), option::of((-60_i64..60).prop_map(observed))), 0..2);
    let attributes = vec(((0_usize..3).prop_map(attribute_name), vec(instance(), 1..12)), 0..3);
    (types, scopes, attributes).prop_map(|(types, scopes, attributes)| {
        let mut distinct: Vec<(Name, Vec<Instance>)> = Vec::new();
        for (name, instances) in attributes {
            if !distinct.iter().any(|(own, _)| *own == name) {
                distinct.push((name, instances));
            }
        }
        Chronology { types, scopes, attributes: distinct }
    })
}

fn happening() -> impl Strategy<Value = Happening> + Clone {
    let id = (0_usize..4).prop_map(entity_id);
    let entity = (id.clone(), attributes(), scopes(), 0_usize..3).prop_map(
        |(id, attributes, scopes, kind)| Entity {
            id,
            types: OneOrMany::One(type_name(kind)),
            scopes,
            attributes,
            ..bare_entity(0, 0)
        },
    );
    let write = prop_oneof![
        6 => entity.clone().prop_map(|entity| (entity.id.clone(), Action::Upsert(entity))),
        2 => entity.prop_map(|entity| (entity.id.clone(), Action::Replace(entity))),
        2 => (id.clone(), 0_usize..3).prop_map(|(id, number)| {
            let attribute = attribute_name(number);
            (id, Action::DeleteAttribute { attribute, instances: Instances::All })
        }),
        1 => id.clone().prop_map(|id| (id, Action::DeleteScope)),
        1 => id.clone().prop_map(|id| (id, Action::Delete)),
    ];
    let action = prop_oneof![
        8 => chronology().prop_map(HistoryAction::Upsert),
        4 => chronology().prop_map(HistoryAction::Append),
        1 => (0_usize..3, option::of(0_usize..2)).prop_map(|(number, dataset)| {
            let instances = match dataset {
                Some(number) => Instances::Dataset(dataset_id(number)),
                None => Instances::All,
            };
            HistoryAction::DeleteAttribute { attribute: attribute_name(number), instances }
        }),
        1 => Just(HistoryAction::Delete),
    ];
    prop_oneof![
        4 => write.prop_map(|(id, action)| Happening::Write(Write::new(id, action))),
        4 => (id, action).prop_map(|(id, action)| Happening::History(HistoryWrite { id, action })),
    ]
}

/// Everything that is known, kept as plainly as possible.
#[derive(Default)]
struct Reference {
    entities: Vec<Entity>,
    ledgers: Vec<Known>,
}

struct Known {
    ledger: Ledger,
    told: bool,
}

impl Reference {
    fn current(&self, id: &EntityId) -> Option<&Entity> {
        self.entities.iter().find(|entity| entity.id == *id)
    }

    fn set(&mut self, id: &EntityId, after: Option<Entity>) {
        self.entities.retain(|entity| entity.id != *id);
        self.entities.extend(after);
    }

    fn known(&mut self, id: &EntityId) -> Option<&mut Known> {
        self.ledgers.iter_mut().find(|known| known.ledger.chapter.id == *id)
    }

    fn known_or_new(&mut self, id: &EntityId, types: &[Name], created: Timestamp) -> &mut Known {
        if self.known(id).is_none() {
            let chapter = Chapter {
                id: id.clone(),
                types: OneOrMany::Many(Box::default()),
                created_at: created,
                modified_at: created,
                deleted_at: None,
                scopes: Vec::new(),
            };
            let ledger = Ledger { chapter, series: Vec::new(), instances: Vec::new() };
            self.ledgers.push(Known { ledger, told: false });
        }
        let known = self.known(id).unwrap();
        for name in types {
            if !known.ledger.chapter.types.as_slice().contains(name) {
                known.ledger.chapter.types.push(*name);
            }
        }
        known
    }

    fn write(&mut self, write: Write, now: Timestamp) {
        let id = write.id.clone();
        let before = self.current(&id).cloned();
        let Ok(applied) = write.apply(before.as_ref(), now) else { return };
        let after = applied.after;
        self.set(&id, after.clone());
        let Some(some) = after.as_ref().or(before.as_ref()) else { return };
        if after == before {
            return;
        }
        let known = self.known_or_new(&id, some.types.as_slice(), some.created_at);
        known.told = false;
        known.ledger.chapter.deleted_at = if after.is_some() { None } else { Some(now) };
        let scopes =
            |entity: &Option<Entity>| entity.clone().map(|it| it.scopes).unwrap_or_default();
        if scopes(&before) != scopes(&after) {
            known.scopes(scopes(&after), None, now);
        }
        let empty = Attributes::new();
        let had = before.as_ref().map_or(&empty, |it| &it.attributes);
        let has = after.as_ref().map_or(&empty, |it| &it.attributes);
        for name in applied.outcome.updated {
            let instances = |all: &Attributes| {
                all.get(name).map(|all| all.instances().to_vec()).unwrap_or_default()
            };
            let (had, has) = (instances(had), instances(has));
            for new in has.iter().filter(|new| new.modified_at == now) {
                known.add(name, new.clone(), now, None);
            }
            for old in &had {
                if !has.iter().any(|new| new.dataset() == old.dataset()) {
                    let mut gone = Instance::new(old.datum.clone());
                    gone.more_mut().dataset = old.dataset().cloned();
                    gone.tidy();
                    known.add(name, gone, now, Some(now));
                }
            }
        }
    }

    fn history(&mut self, write: HistoryWrite, now: Timestamp) {
        let HistoryWrite { id, action } = write;
        let current = self.current(&id).cloned();
        let may_create = matches!(action, HistoryAction::Upsert(_)) || current.is_some();
        match action {
            HistoryAction::Upsert(told) | HistoryAction::Append(told) => {
                let began = self.known(&id).is_none();
                if began && !may_create {
                    return;
                }
                let gone = self.known(&id).is_some_and(|it| it.ledger.chapter.deleted_at.is_some());
                let projected = told.project(&id, current.as_ref(), now).filter(|_| !gone);
                let mut types =
                    current.as_ref().map(|it| it.types.as_slice().to_vec()).unwrap_or_default();
                types.extend(&told.types);
                let created = current.as_ref().map_or(now, |it| it.created_at);
                let known = self.known_or_new(&id, &types, created);
                known.told |= began && current.is_none();
                for (scopes, observed_at) in told.scopes {
                    known.scopes(scopes, observed_at, now);
                }
                for (name, instances) in told.attributes {
                    for instance in instances {
                        known.add(name, instance, now, None);
                    }
                }
                if let Some(entity) = projected {
                    self.set(&id, Some(entity));
                }
            }
            HistoryAction::DeleteAttribute { attribute, instances } => {
                let Some(known) = self.known(&id) else { return };
                let ledger = &mut known.ledger;
                let keep = |series: &Series| {
                    series.attribute != attribute
                        || match &instances {
                            Instances::All => false,
                            Instances::Default => series.dataset.is_some(),
                            Instances::Dataset(id) => series.dataset.as_ref() != Some(id),
                        }
                };
                let kept: Vec<bool> = ledger.series.iter().map(keep).collect();
                let mut each = kept.iter();
                ledger.instances.retain(|_| *each.next().unwrap());
                ledger.series.retain(keep);
            }
            HistoryAction::Delete => {
                let told = self.known(&id).is_some_and(|known| known.told);
                self.ledgers.retain(|known| known.ledger.chapter.id != id);
                if told {
                    self.set(&id, None);
                }
            }
            other => panic!("not among the happenings: {other:?}"),
        }
    }
}

impl Known {
    fn scopes(
        &mut self,
        scopes: Vec<crate::model::Scope>,
        seen: Option<Timestamp>,
        now: Timestamp,
    ) {
        let all = &mut self.ledger.chapter.scopes;
        let mut change = ScopeChange {
            deleted_at: scopes.is_empty().then_some(seen.unwrap_or(now)),
            scopes,
            observed_at: seen,
            created_at: now,
            modified_at: now,
        };
        let same = |one: &ScopeChange| seen.is_some() && one.observed_at == seen;
        if let Some(place) = all.iter().position(same) {
            change.created_at = all[place].created_at;
            all[place] = change;
        } else {
            all.push(change);
        }
    }

    fn add(&mut self, name: Name, instance: Instance, now: Timestamp, deleted: Option<Timestamp>) {
        let ledger = &mut self.ledger;
        let series = Series { attribute: name, dataset: instance.dataset().cloned() };
        let place = ledger.series.iter().position(|own| *own == series).unwrap_or_else(|| {
            ledger.series.push(series);
            ledger.instances.push(Vec::new());
            ledger.series.len() - 1
        });
        let mut new = Recorded { id: InstanceId(0), instance, deleted_at: deleted };
        (new.instance.created_at, new.instance.modified_at) = (now, now);
        let all = &mut ledger.instances[place];
        let seen = new.instance.observed_at;
        match all.iter_mut().find(|one| seen.is_some() && one.instance.observed_at == seen) {
            Some(old) => {
                new.instance.created_at = old.instance.created_at;
                *old = new;
            }
            None => all.push(new),
        }
    }
}

fn property_of_time() -> impl Strategy<Value = TimeProperty> + Clone {
    prop_oneof![
        4 => Just(TimeProperty::ObservedAt),
        4 => Just(TimeProperty::Placed),
        1 => Just(TimeProperty::CreatedAt),
        1 => Just(TimeProperty::ModifiedAt),
        1 => Just(TimeProperty::DeletedAt),
    ]
}

fn plan() -> impl Strategy<Value = HistoryPlan> + Clone {
    let bound = || option::of((-70_i64..130).prop_map(at));
    let window = (property_of_time(), bound(), bound()).prop_map(|(property, from, to)| Window {
        property,
        from,
        to,
    });
    let methods = Just(vec![
        Method::TotalCount,
        Method::Sum,
        Method::Min,
        Method::Max,
        Method::DistinctCount,
    ]);
    let methods = prop_oneof![methods, Just(vec![Method::Max, Method::TotalCount])];
    let period = option::of((1_i64..90).prop_map(|s| Period { months: 0, micros: s * 1_000_000 }));
    let aggregate = (methods, period).prop_map(|(methods, period)| Aggregate { methods, period });
    let datasets = option::weighted(0.2, vec(option::of((0_usize..2).prop_map(dataset_id)), 1..3));
    let page = (0_usize..3, prop_oneof![Just(2_usize), Just(usize::MAX)], any::<bool>())
        .prop_map(|(offset, limit, count)| Page { offset, limit, count, after: None });
    let selector = prop_oneof![
        2 => Just(Vec::new()),
        2 => (0_usize..3).prop_map(|number| vec![Selector {
            types: Some(TypeSelection::of(type_name(number))),
            ..Selector::default()
        }]),
        2 => (0_usize..4).prop_map(|number| vec![Selector {
            ids: vec![entity_id(number)],
            ..Selector::default()
        }]),
    ];
    let limit = prop_oneof![2 => Just(usize::MAX), 1 => 3_usize..40];
    (
        selector,
        page,
        window,
        option::weighted(0.4, 1_usize..9),
        datasets,
        option::weighted(0.3, aggregate),
        limit,
    )
        .prop_map(|(select, page, window, last_n, datasets, aggregate, instances)| {
            HistoryPlan {
                entities: EntityPlan { select, page, ..EntityPlan::default() },
                window,
                last_n: last_n.filter(|_| aggregate.is_none()),
                datasets,
                aggregate,
                limits: HistoryLimits { instances, ..HistoryLimits::default() },
                ..HistoryPlan::default()
            }
        })
}

/// What the reference tells; None if what is asked does not suit what was recorded.
fn expected(reference: &Reference, plan: &HistoryPlan) -> Option<FoundHistory> {
    let mut ledgers: Vec<Ledger> =
        reference.ledgers.iter().map(|known| known.ledger.clone()).collect();
    ledgers.sort_by(|a, b| a.chapter.id.cmp(&b.chapter.id));
    for ledger in &mut ledgers {
        ledger.chapter.scopes.sort_by_key(|change| change.time(TimeProperty::Placed));
        for instances in &mut ledger.instances {
            instances.sort_by_key(|one| one.time(TimeProperty::Placed));
        }
    }
    ledgers.retain(|ledger| plan.selects(ledger).unwrap());
    let count = ledgers.len();
    let page = &plan.entities.page;
    let rest: Vec<Ledger> = ledgers.into_iter().skip(page.offset).collect();
    let more = rest.len() > page.limit;
    let shown: Vec<Ledger> = rest.into_iter().take(page.limit).collect();
    let told = match plan.tell(&shown) {
        Ok(told) => told,
        Err(TellError::Query(_)) => return None,
        Err(TellError::Store(never)) => match never {},
    };
    Some(FoundHistory {
        told,
        count: page.count.then_some(count as u64),
        more,
        next: None,
        thinned: None,
    })
}

/// What was found, without what stores may decide as they like.
fn comparable(mut found: FoundHistory) -> FoundHistory {
    found.next = None;
    for Evolution { chapter, attributes } in &mut found.told.evolutions {
        chapter.modified_at = at(0);
        chapter.types = OneOrMany::Many(Box::new(chapter.types.clone().into_vec()));
        for (_, line) in attributes {
            match line {
                Line::Instances(all) => {
                    for one in all {
                        one.id = InstanceId(0);
                        if one.deleted_at.is_some() {
                            one.instance.datum = Datum::Property(Value::Bool(true));
                        }
                    }
                }
                Line::Cut(_) => {}
                Line::Aggregates(all) => all.sort_by_key(|one| (one.kind, one.dataset.clone())),
            }
        }
    }
    found
}

/// Whether two answers tell the same, sums but for what rounding does.
fn agree(a: &FoundHistory, b: &FoundHistory) -> bool {
    let close = |a: &Value, b: &Value| match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            (a.as_f64() - b.as_f64()).abs() <= 1e-9 * (1.0 + a.as_f64().abs())
        }
        (a, b) => a == b,
    };
    let lines = |a: &Line, b: &Line| match (a, b) {
        (Line::Aggregates(a), Line::Aggregates(b)) => {
            a.len() == b.len()
                && a.iter().zip(b).all(|(a, b)| {
                    a.dataset == b.dataset
                        && a.kind == b.kind
                        && a.methods.len() == b.methods.len()
                        && a.methods.iter().zip(&b.methods).all(|((a, all), (b, others))| {
                            a == b
                                && all.len() == others.len()
                                && all.iter().zip(others).all(|(a, b)| {
                                    (a.from, a.to) == (b.from, b.to) && close(&a.result, &b.result)
                                })
                        })
                })
        }
        (a, b) => a == b,
    };
    let evolutions = |a: &Told, b: &Told| {
        a.evolutions.len() == b.evolutions.len()
            && a.evolutions.iter().zip(&b.evolutions).all(|(a, b)| {
                a.chapter == b.chapter
                    && a.attributes.len() == b.attributes.len()
                    && a.attributes
                        .iter()
                        .zip(&b.attributes)
                        .all(|((a, own), (b, other))| a == b && lines(own, other))
            })
    };
    (a.count, a.more, a.told.cut) == (b.count, b.more, b.told.cut) && evolutions(&a.told, &b.told)
}

/// Whatever happens, a temporal query is told what a plain record of all would tell.
pub async fn history_is_what_was_recorded<B: Backend>() {
    let mut runner = TestRunner::deterministic();
    for round in 0..8 {
        let mut backend = B::start().await;
        let mut reference = Reference::default();
        let some = vec((happening(), 0_i64..3), 1..60).new_tree(&mut runner).unwrap().current();
        let plans = vec(plan(), 40).new_tree(&mut runner).unwrap().current();
        let half = some.len() / 2;
        let mut now = 0;
        for (place, (happening, pause)) in some.into_iter().enumerate() {
            if place == half && round % 4 == 0 {
                backend.settle().await;
                backend = backend.restart().await;
            }
            now += pause;
            let store = backend.store();
            match happening {
                Happening::Write(write) => {
                    reference.write(write.clone(), at(now));
                    let done = store.commit(&HERE, vec![write], at(now)).await;
                    assert!(matches!(done, Ok(_) | Err(StoreError::UnknownTenant(_))));
                }
                Happening::History(write) => {
                    reference.history(write.clone(), at(now));
                    let done = store.commit_history(&HERE, vec![write], at(now)).await;
                    assert!(matches!(done, Ok(_) | Err(StoreError::UnknownTenant(_))));
                }
            }
        }
        for settled in [false, true] {
            if settled {
                backend.settle().await;
            }
            let store = backend.store();
            for plan in &plans {
                let found = match store.evolve(&HERE, plan, at(now)).await {
                    Ok(found) => Some(comparable(found)),
                    Err(StoreError::Unanswerable(_)) => None,
                    Err(error) => panic!("the store works: {error}"),
                };
                let expected = expected(&reference, plan).map(comparable);
                let same = match (&found, &expected) {
                    (Some(found), Some(expected)) => agree(found, expected),
                    (found, expected) => found.is_none() && expected.is_none(),
                };
                assert!(
                    same,
                    "round {round}, settled {settled}\n{plan:#?}\nfound {found:#?}\n\
                     expected {expected:#?}"
                );
            }
            for id in 0..4 {
                let found = get(&*store, id, at(now)).await;
                let expected = reference.current(&entity_id(id));
                assert_eq!(found.as_deref().map(|found| &found.entity), expected);
            }
        }
    }
}

fn numbers(values: impl IntoIterator<Item = (i64, f64)>) -> Chronology {
    let instances = values.into_iter().map(|(seconds, value)| {
        let mut instance = Instance::new(Datum::Property(value.into()));
        instance.observed_at = Some(observed(seconds));
        instance
    });
    Chronology {
        types: vec![type_name(0)],
        scopes: Vec::new(),
        attributes: vec![(attribute_name(0), instances.collect())],
    }
}

async fn tell(
    store: &dyn Store,
    id: usize,
    action: HistoryAction,
    now: Timestamp,
) -> Result<HistoryChange, Refusal> {
    let write = HistoryWrite { id: entity_id(id), action };
    store.commit_history(&HERE, vec![write], now).await.expect("the store works").remove(0)
}

/// Everything that was recorded of an attribute.
async fn line(store: &dyn Store, id: usize, attribute: usize) -> Vec<Recorded> {
    let ids = vec![entity_id(id)];
    let plan = HistoryPlan {
        entities: EntityPlan {
            select: vec![Selector { ids, ..Selector::default() }],
            ..EntityPlan::default()
        },
        window: Window { property: TimeProperty::Placed, ..Window::default() },
        ..HistoryPlan::default()
    };
    let found = store.evolve(&HERE, &plan, at(0)).await.expect("the store works");
    let lines = found.told.evolutions.into_iter().flat_map(|one| one.attributes);
    let mut own = lines.filter(|(name, _)| *name == attribute_name(attribute));
    match own.next() {
        Some((_, Line::Instances(all))) => all,
        _ => Vec::new(),
    }
}

fn values(line: &[Recorded]) -> Vec<f64> {
    line.iter()
        .map(|one| match &one.instance.datum {
            Datum::Property(Value::Number(number)) => number.as_f64(),
            other => panic!("not a number: {other:?}"),
        })
        .collect()
}

/// Late readings find their place, repeated ones replace, and ids stay what they were.
pub async fn readings_are_placed_by_when_they_were_observed<B: Backend>() {
    let backend = B::start().await;
    let store = backend.store();
    let count = 5_000;
    let even = numbers((0..count).map(|n| (n * 2, n as f64)));
    let told = tell(&*store, 0, HistoryAction::Upsert(even), at(0)).await.unwrap();
    assert!(told.created);
    backend.settle().await;
    let before = line(&*store, 0, 0).await;
    // In between, again, and before everything, in many small writes.
    let late: Vec<i64> = (0..count).rev().filter(|n| n % 7 == 0).collect();
    for some in late.chunks(50) {
        let odd = numbers(some.iter().map(|n| (n * 2 + 1, *n as f64 + 0.5)));
        let told = tell(&*store, 0, HistoryAction::Append(odd), at(1)).await.unwrap();
        assert!(!told.created);
    }
    let again = numbers([(0, -1.0), (4_000, -2.0), (-10, -3.0)]);
    tell(&*store, 0, HistoryAction::Append(again), at(2)).await.unwrap();
    for settled in [false, true] {
        if settled {
            backend.settle().await;
        }
        let after = line(&*store, 0, 0).await;
        assert_eq!(after.len() as i64, count + count.div_euclid(7) + 1 + 1);
        assert!(after.is_sorted_by_key(|one| one.instance.observed_at));
        let at_time = |seconds| {
            let found =
                after.iter().find(|one| one.instance.observed_at == Some(observed(seconds)));
            found.expect("it is there").clone()
        };
        let repeated = at_time(4_000);
        assert_eq!(repeated.instance.datum, Datum::Property((-2.0).into()));
        assert_eq!((repeated.instance.created_at, repeated.instance.modified_at), (at(0), at(2)));
        assert_eq!(repeated.id, before[2_000].id, "an id stays");
        assert_eq!(after[0].instance.datum, Datum::Property((-3.0).into()));
        let distinct: std::collections::HashSet<InstanceId> =
            after.iter().map(|one| one.id).collect();
        assert_eq!(distinct.len(), after.len());
    }
    let entity = get(&*store, 0, at(3)).await.expect("who is told of is there");
    let current = &entity.attributes.get(attribute_name(0)).unwrap().instances()[0];
    assert_eq!(current.observed_at, Some(observed(count * 2 - 2)));
}

/// What was recorded elsewhere comes with all its times, deletions and scopes included; how an
/// entity is now does not follow.
pub async fn history_is_restored_as_it_was<B: Backend>() {
    let backend = B::start().await;
    let store = backend.store();
    let mut entity = bare_entity(0, 0);
    entity.scopes = vec![crate::model::Scope::parse("/a/b").unwrap()];
    entity
        .attributes
        .insert(attribute_name(0), Attribute::one(Instance::new(Datum::Property(1.into()))));
    let id = entity.id.clone();
    let write = |action| vec![Write::new(id.clone(), action)];
    store.commit(&HERE, write(Action::Create(entity)), at(0)).await.unwrap()[0].as_ref().unwrap();
    tell(&*store, 0, HistoryAction::Append(numbers([(1, 1.5), (2, 2.5)])), at(5)).await.unwrap();
    tell(&*store, 0, HistoryAction::Append(numbers([(1, 7.5)])), at(9)).await.unwrap();
    let attribute = attribute_name(0);
    let gone = Action::DeleteAttribute { attribute, instances: Instances::All };
    store.commit(&HERE, write(gone), at(12)).await.unwrap()[0].as_ref().unwrap();

    let there = crate::model::TenantId::named("there").unwrap();
    let plan = HistoryPlan {
        window: Window { property: TimeProperty::Placed, ..Window::default() },
        whatever_the_window: true,
        ..HistoryPlan::default()
    };
    let told = async |tenant| {
        let told = store.evolve(tenant, &plan, at(20)).await.expect("the store works").told;
        told.evolutions.into_iter().next().expect("one entity")
    };
    let before = told(&HERE).await;
    let attributes = before.attributes.iter().map(|(name, line)| match line {
        Line::Instances(all) => (*name, all.clone()),
        other => panic!("no instances: {other:?}"),
    });
    let remembered =
        Remembered { chapter: before.chapter.clone(), attributes: attributes.collect() };
    let action = HistoryAction::Restore(Box::new(remembered));
    let restore = vec![HistoryWrite { id: id.clone(), action }];
    store.commit_history(&there, restore, at(15)).await.unwrap()[0].as_ref().unwrap();
    for settled in [false, true] {
        if settled {
            backend.settle().await;
        }
        let mut after = told(&there).await;
        let mut expected = before.clone();
        // Ids are given anew.
        for evolution in [&mut after, &mut expected] {
            for (_, line) in &mut evolution.attributes {
                let Line::Instances(all) = line else { panic!("no instances: {line:?}") };
                all.iter_mut().for_each(|one| one.id = InstanceId(0));
            }
        }
        expected.chapter.modified_at = after.chapter.modified_at;
        assert_eq!(after, expected);
    }
    assert!(store.get(&there, &id, at(20)).await.unwrap().is_none());
}

/// Single instances are changed and deleted, packed or not.
pub async fn instances_are_modified_and_deleted<B: Backend>() {
    let backend = B::start().await;
    let store = backend.store();
    let attribute = attribute_name(0);
    let all = numbers((0..300).map(|n| (n, n as f64)));
    tell(&*store, 0, HistoryAction::Upsert(all), at(0)).await.unwrap();
    for settled in [false, true] {
        if settled {
            backend.settle().await;
        }
        let before = line(&*store, 0, 0).await;
        let (first, second) = (before[100].id, before[101].id);
        let gone = HistoryAction::DeleteInstance { attribute, instance: first };
        assert!(tell(&*store, 0, gone.clone(), at(1)).await.is_ok());
        let unknown = Refusal::NoSuchInstance { attribute, instance: first };
        assert_eq!(tell(&*store, 0, gone, at(1)).await, Err(unknown));
        let datum = Some(Datum::Property((-7.0).into()));
        let patch = InstancePatch { datum, ..InstancePatch::default() };
        let modify = HistoryAction::ModifyInstance { attribute, instance: second, patch };
        assert!(tell(&*store, 0, modify, at(2)).await.is_ok());
        for settled in [false, true] {
            if settled {
                backend.settle().await;
            }
            let after = line(&*store, 0, 0).await;
            assert_eq!(after.len(), before.len() - 1);
            assert_eq!(values(&after[99..102])[1..], [-7.0, values(&before)[102]]);
            let changed = &after[100];
            assert_eq!(changed.id, second);
            assert_eq!(changed.instance.created_at, at(0));
            assert_eq!(changed.instance.modified_at, at(2));
        }
    }
    let missing =
        HistoryAction::DeleteInstance { attribute: attribute_name(5), instance: InstanceId(1) };
    let refused = tell(&*store, 0, missing, at(3)).await;
    assert!(matches!(refused, Err(Refusal::NoSuchAttribute { .. })));
    let delete = HistoryAction::Delete;
    assert!(tell(&*store, 0, delete.clone(), at(4)).await.is_ok());
    assert_eq!(tell(&*store, 0, delete, at(4)).await, Err(Refusal::NoSuchEntity(entity_id(0))));
    assert_eq!(line(&*store, 0, 0).await, []);
    assert!(get(&*store, 0, at(5)).await.is_none(), "what was only told of goes with its history");
}

/// Who rules what is recorded is obeyed at once.
pub async fn rules_say_what_is_recorded<B: Backend>() {
    let backend = B::start().await;
    let store = backend.store();
    let patch = |number: usize, value: f64| {
        let datum = Some(Datum::Property(value.into()));
        let patch = InstancePatch { datum, ..InstancePatch::default() };
        let edits = AttributePatch(vec![InstanceEdit::Put(patch)]);
        let attributes = vec![(attribute_name(number), edits)];
        Fragment { attributes, ..Fragment::default() }
    };
    let append = |number, value| {
        let fragment = patch(number, value);
        Write::new(entity_id(1), Action::Append { fragment, overwrite: true })
    };
    write(&*store, create(bare_entity(1, 1)), at(0)).await.unwrap();
    let shelf = Shelf::of(&HERE, HISTORY_RULES);
    let only = serde_json::json!({"record": {"only": [attribute_name(1).as_str()]}});
    let mut now = 10;
    for (key, rule, recorded) in [
        (None, None, [1, 1]),
        (Some(EVERY_TYPE), Some(serde_json::json!({"record": "none"})), [1, 1]),
        (Some(type_name(1).as_str()), Some(only), [1, 2]),
        (Some(type_name(1).as_str()), None, [1, 2]),
        (Some(EVERY_TYPE), None, [2, 3]),
    ] {
        match (key, rule) {
            (Some(key), Some(rule)) => store.put_record(&shelf, key, rule).await.unwrap(),
            (Some(key), None) => drop(store.take_record(&shelf, key).await.unwrap()),
            _ => {}
        }
        for number in [0, 1] {
            now += 1;
            write(&*store, append(number, 1.0), at(now)).await.unwrap().after.unwrap();
        }
        for (number, count) in recorded.into_iter().enumerate() {
            assert_eq!(line(&*store, 1, number).await.len(), count, "{key:?} {number}");
        }
    }
}

/// Everything that was recorded is there after a restart.
pub async fn history_survives_a_restart<B: Backend>() {
    let backend = B::start().await;
    let all = numbers((0..3_000).map(|n| (n, n as f64)));
    tell(&*backend.store(), 0, HistoryAction::Upsert(all), at(0)).await.unwrap();
    backend.settle().await;
    let few = numbers((3_000..3_010).map(|n| (n, n as f64)));
    tell(&*backend.store(), 0, HistoryAction::Append(few), at(1)).await.unwrap();
    let backend = backend.restart().await;
    let store = backend.store();
    let expected: Vec<f64> = (0..3_010).map(f64::from).collect();
    assert_eq!(values(&line(&*store, 0, 0).await), expected);
    let more = numbers([(9_000, 1.0)]);
    assert!(!tell(&*store, 0, HistoryAction::Upsert(more), at(2)).await.unwrap().created);
    assert_eq!(line(&*store, 0, 0).await.len(), 3_011);
}

/// The instants of what was recorded are told as they came, packed or not, before and after a
/// restart.
pub async fn recorded_instants_keep_their_decimals<B: Backend>() {
    let backend = B::start().await;
    let instances = WRITTEN.iter().map(|text| {
        let mut instance = Instance::new(Datum::Property(1.5.into()));
        instance.observed_at = Some(text.parse().unwrap());
        instance
    });
    let scopes = vec![(Vec::new(), Some(WRITTEN[1].parse().unwrap()))];
    let told = Chronology {
        types: vec![type_name(0)],
        scopes,
        attributes: vec![(attribute_name(0), instances.collect())],
    };
    tell(&*backend.store(), 0, HistoryAction::Upsert(told), at(0)).await.unwrap();
    let times = |all: Vec<Recorded>| -> Vec<String> {
        all.iter().map(|one| one.instance.observed_at.unwrap().to_string()).collect()
    };
    assert_eq!(times(line(&*backend.store(), 0, 0).await), WRITTEN);
    backend.settle().await;
    assert_eq!(times(line(&*backend.store(), 0, 0).await), WRITTEN);
    let backend = backend.restart().await;
    assert_eq!(times(line(&*backend.store(), 0, 0).await), WRITTEN);
}
