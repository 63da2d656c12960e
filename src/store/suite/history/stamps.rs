//! Promises about stamps, by which answers are kept.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

/// Everything that is told of an entity; None as long as nobody knows the tenant.
async fn told(store: &dyn Store, id: usize, now: Timestamp) -> Option<Told> {
    let select = vec![Selector { ids: vec![entity_id(id)], ..Selector::default() }];
    let plan = HistoryPlan {
        entities: EntityPlan { select, ..EntityPlan::default() },
        window: Window { property: TimeProperty::Placed, ..Window::default() },
        whatever_the_window: true,
        ..HistoryPlan::default()
    };
    match store.evolve(&HERE, &plan, now).await {
        Ok(found) => Some(found.told),
        Err(StoreError::UnknownTenant(_)) => None,
        Err(error) => panic!("the store works: {error}"),
    }
}

/// As long as the stamp of an entity is the same, so is what is told of it, whatever happens to it
/// and to others, what expires, what is packed and what rules say.
pub async fn what_is_told_changes_only_with_its_stamp<B: Backend>() {
    const ENTITIES: usize = 4;
    let mut runner = TestRunner::deterministic();
    for round in 0..6 {
        let backend = B::start().await;
        let store = backend.store();
        let some = vec(happening(), 30).new_tree(&mut runner).unwrap().current();
        let shelf = Shelf::of(&HERE, HISTORY_RULES);
        let (mut now, mut same, mut other) = (0, 0, 0);
        for (step, happening) in some.into_iter().enumerate() {
            let mut before = Vec::new();
            for id in 0..ENTITIES {
                let stamp = store.history_stamp(&HERE, &entity_id(id));
                before.push((stamp, told(&*store, id, at(now)).await));
            }
            now += 1;
            match (step % 10, happening) {
                (7, _) => backend.settle().await,
                (8, _) => backend.sweep(at(now + 200_000)).await,
                (9, _) => {
                    let word = if round % 2 == 0 { "all" } else { "none" };
                    let rule = serde_json::json!({"record": word});
                    let put = store.put_record(&shelf, EVERY_TYPE, rule).await;
                    assert!(matches!(put, Ok(()) | Err(StoreError::UnknownTenant(_))));
                }
                (_, Happening::Write(write)) => {
                    drop(store.commit(&HERE, vec![write], at(now)).await);
                }
                (_, Happening::History(write)) => {
                    drop(store.commit_history(&HERE, vec![write], at(now)).await);
                }
            }
            for (id, (stamp, before)) in before.into_iter().enumerate() {
                let after = told(&*store, id, at(now)).await;
                match (stamp, store.history_stamp(&HERE, &entity_id(id))) {
                    (Some(stamp), Some(later)) if stamp == later => {
                        assert_eq!(after, before, "round {round}, step {step}, entity {id}");
                        same += 1;
                    }
                    _ => other += 1,
                }
            }
        }
        // Who has no stamps keeps nothing.
        if store.history_stamp(&HERE, &entity_id(0)).is_some() {
            assert!(same > 0 && other > 0, "{same} and {other}");
        }
    }
}

/// Whoever was answered under a stamp was told of all that had been acknowledged by the time when
/// the stamp is still the same.
pub async fn a_stamp_that_is_still_the_same_hides_no_acknowledged_write<B: Backend>() {
    const STEPS: i64 = 400;
    let backend = B::start().await;
    let store = backend.store();
    tell(&*store, 0, HistoryAction::Upsert(numbers([(0, 0.0)])), at(0)).await.unwrap();
    let acknowledged = Arc::new(AtomicU64::new(1));
    let reader = tokio::spawn({
        let (store, acknowledged) = (store.clone(), acknowledged.clone());
        async move {
            let mut kept: Option<(u64, usize)> = None;
            loop {
                let least = acknowledged.load(Ordering::SeqCst);
                let Some(stamp) = store.history_stamp(&HERE, &entity_id(0)) else { return };
                let count = match kept.filter(|(own, _)| *own == stamp) {
                    Some((_, count)) => count,
                    None => {
                        let count = line(&*store, 0, 0).await.len();
                        kept = Some((stamp, count));
                        count
                    }
                };
                assert!(count as u64 >= least, "{count} of {least}");
                if least == STEPS as u64 {
                    return;
                }
                tokio::task::yield_now().await;
            }
        }
    });
    for step in 1..STEPS {
        let late = numbers([((step * 7_919) % 100_003, step as f64)]);
        tell(&*store, 0, HistoryAction::Append(late), at(step)).await.unwrap();
        acknowledged.store(step as u64 + 1, Ordering::SeqCst);
    }
    reader.await.unwrap();
}
