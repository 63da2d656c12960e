//! What a plan means said as plainly as possible: the arbiter of the evaluator and of stores.

pub(crate) use super::ledger::Ledger;
use super::{Evolution, HistoryPlan, Line, Told};
use crate::model::{Recorded, Timestamp};

/// What is told of entities whose instances are shown, said plainly; for plans without scopes and
/// aggregates.
pub(crate) fn tell(plan: &HistoryPlan, ledgers: &[Ledger]) -> Told {
    let property = plan.window.property;
    let time = |one: &Recorded| one.time(property).expect("it lies in the window");
    let mut evolutions: Vec<Evolution> = ledgers
        .iter()
        .map(|ledger| {
            let mut attributes = Vec::new();
            for (name, places) in super::evolve::shown(plan, ledger) {
                let all = places.iter().flat_map(|place| ledger.instances[*place].iter());
                let mut line: Vec<Recorded> = all
                    .filter(|one| one.time(property).is_some_and(|at| plan.window.contains(at)))
                    .cloned()
                    .collect();
                line.sort_by_key(time);
                let surplus = plan.last_n.map_or(0, |most| line.len().saturating_sub(most));
                line.drain(..surplus);
                if !line.is_empty() {
                    attributes.push((name, Line::Instances(line)));
                }
            }
            Evolution { chapter: ledger.chapter.clone(), attributes }
        })
        .collect();
    let mut times: Vec<Timestamp> = lines(&mut evolutions).flatten().map(|one| time(one)).collect();
    if times.len() <= plan.limits.instances {
        return Told { evolutions, cut: None };
    }
    times.sort_unstable();
    if plan.last_n.is_some() {
        times.reverse();
    }
    // The last instant that fits whole, or the first one if it does not fit either.
    let beyond = times[plan.limits.instances];
    let before = times[..plan.limits.instances].iter().rfind(|at| **at != beyond);
    let cut = *before.unwrap_or(&beyond);
    for line in lines(&mut evolutions) {
        line.retain(|one| match plan.last_n {
            Some(_) => time(one) >= cut,
            None => time(one) <= cut,
        });
    }
    Told { evolutions, cut: Some(cut) }
}

fn lines(evolutions: &mut [Evolution]) -> impl Iterator<Item = &mut Vec<Recorded>> {
    evolutions.iter_mut().flat_map(|one| one.attributes.iter_mut()).filter_map(|(_, line)| {
        match line {
            Line::Instances(line) => Some(line),
            Line::Aggregates(_) | Line::Cut(_) => None,
        }
    })
}
