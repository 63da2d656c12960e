//! Promises about what is reckoned from many readings, and about finding few among them.

use super::*;

/// Values that lie close together and far from zero, as counters and levels do, keep their
/// deviation, whether they were packed or not.
pub async fn deviations_are_exact_far_from_zero<B: Backend>() {
    let backend = B::start().await;
    let store = backend.store();
    let value = |n: i64| 1e9 + (n % 7) as f64 / 10.0;
    let count = 5_000;
    let all = numbers((0..count).map(|n| (n, value(n))));
    tell(&*store, 0, HistoryAction::Upsert(all), at(0)).await.unwrap();
    let mean = (0..count).map(|n| value(n) - 1e9).sum::<f64>() / count as f64;
    let spread = (0..count).map(|n| (value(n) - 1e9 - mean).powi(2)).sum::<f64>();
    let expected = (spread / count as f64).sqrt();
    let window = Window { property: TimeProperty::ObservedAt, ..Window::default() };
    let aggregate = Some(Aggregate { methods: vec![Method::StdDev], period: None, last: None });
    let plan = HistoryPlan { window, aggregate, ..HistoryPlan::default() };
    for settled in [false, true] {
        if settled {
            backend.settle().await;
        }
        let found = store.evolve(&HERE, &plan, at(1)).await.expect("the store works");
        let Line::Aggregates(all) = &found.told.evolutions[0].attributes[0].1 else { panic!() };
        let Value::Number(result) = all[0].methods[0].1[0].result else { panic!("a number") };
        let off = (result.as_f64() - expected).abs() / expected;
        assert!(off < 1e-6, "settled {settled}: {} instead of {expected}", result.as_f64());
    }
}

/// Whatever the time that is asked for, a window finds what lies in it: near its ends, in the
/// middle of years, and when things came in another order than they happened.
pub async fn windows_find_what_lies_in_them<B: Backend>() {
    let backend = B::start().await;
    let store = backend.store();
    // The later half came first.
    let count = 12_000;
    for (when, half) in [(0, count / 2..count), (100, 0..count / 2)] {
        let some = numbers(half.map(|n| (n * 10, n as f64)));
        tell(&*store, 0, HistoryAction::Upsert(some), at(when)).await.unwrap();
        backend.settle().await;
    }
    let late = numbers([(5, -1.0), (60_005, -2.0), (119_995, -3.0)]);
    tell(&*store, 0, HistoryAction::Append(late), at(200)).await.unwrap();
    let observed = TimeProperty::ObservedAt;
    for (property, from, to, expected) in [
        (observed, 0, 20, 3),
        (observed, 60_000, 60_021, 4),
        (observed, 119_990, 200_000, 2),
        (observed, 200_000, 300_000, 0),
        (observed, -500, 0, 0),
        (TimeProperty::CreatedAt, 0, 1, count as usize / 2),
        (TimeProperty::CreatedAt, 100, 200, count as usize / 2),
        (TimeProperty::ModifiedAt, 200, 201, 3),
        (TimeProperty::ModifiedAt, 300, 400, 0),
        (TimeProperty::DeletedAt, 0, 400, 0),
    ] {
        let window = Window { property, from: Some(at(from)), to: Some(at(to)) };
        let plan = HistoryPlan { window, ..HistoryPlan::default() };
        let counted = |last_n: Option<usize>| {
            let (store, plan) = (store.clone(), HistoryPlan { last_n, ..plan.clone() });
            async move {
                let found = store.evolve(&HERE, &plan, at(1)).await.expect("the store works");
                let lines = found.told.evolutions.into_iter().flat_map(|one| one.attributes);
                let counts = lines.map(|(_, line)| match line {
                    Line::Instances(all) => all.len(),
                    other => panic!("{other:?}"),
                });
                counts.sum::<usize>()
            }
        };
        assert_eq!(counted(None).await, expected, "{property:?} from {from} to {to}");
        assert_eq!(counted(Some(2)).await, expected.min(2), "the last: {property:?} from {from}");
    }
}
