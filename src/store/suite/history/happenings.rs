//! What may happen to entities and their history, and what may be asked of it.

use super::*;

/// One thing that happens to an entity.
#[derive(Debug, Clone)]
pub(super) enum Happening {
    Write(Write),
    History(HistoryWrite),
}

/// When something is observed: never when something is recorded.
pub(super) fn observed(seconds: i64) -> Timestamp {
    at(seconds).plus_micros(500_000)
}

pub(super) fn instance() -> impl Strategy<Value = Instance> + Clone {
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

pub(super) fn dataset_id(number: usize) -> DatasetId {
    DatasetId::parse(&format!("urn:ngsi-ld:Dataset:{number}")).unwrap()
}

pub(super) fn scopes() -> impl Strategy<Value = Vec<crate::model::Scope>> + Clone {
    let scope = prop_oneof![Just("/A"), Just("/A/B"), Just("/C")];
    vec(scope.prop_map(|text| crate::model::Scope::parse(text).unwrap()), 0..2)
}

pub(super) fn attributes() -> impl Strategy<Value = Attributes> + Clone {
    let attribute = vec(instance(), 1..3).prop_map(|all| {
        let mut all = all.into_iter();
        let mut attribute = Attribute::one(all.next().unwrap());
        all.for_each(|one| drop(attribute.put(one)));
        attribute
    });
    vec(((0_usize..3).prop_map(attribute_name), attribute), 0..3)
        .prop_map(|all| all.into_iter().collect())
}

pub(super) fn chronology() -> impl Strategy<Value = Chronology> + Clone {
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

pub(super) fn happening() -> impl Strategy<Value = Happening> + Clone {
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

pub(super) fn property_of_time() -> impl Strategy<Value = TimeProperty> + Clone {
    prop_oneof![
        4 => Just(TimeProperty::ObservedAt),
        4 => Just(TimeProperty::Placed),
        1 => Just(TimeProperty::CreatedAt),
        1 => Just(TimeProperty::ModifiedAt),
        1 => Just(TimeProperty::DeletedAt),
    ]
}

pub(super) fn plan() -> impl Strategy<Value = HistoryPlan> + Clone {
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
    let last = option::weighted(0.2, 1_usize..4);
    let aggregate = (methods, period, last).prop_map(|(methods, period, last)| Aggregate {
        methods,
        period,
        last,
    });
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
