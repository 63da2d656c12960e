//! A plain record of all that happened, and what it tells.

use super::*;

/// Everything that is known, kept as plainly as possible.
#[derive(Default)]
pub(super) struct Reference {
    entities: Vec<Entity>,
    ledgers: Vec<Known>,
}

pub(super) struct Known {
    ledger: Ledger,
    told: bool,
}

impl Reference {
    pub(super) fn current(&self, id: &EntityId) -> Option<&Entity> {
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

    pub(super) fn write(&mut self, write: Write, now: Timestamp) {
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

    pub(super) fn history(&mut self, write: HistoryWrite, now: Timestamp) {
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
        let mut new = Recorded { id: InstanceId(0), foreign: None, instance, deleted_at: deleted };
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

/// What the reference tells; None if what is asked does not suit what was recorded.
pub(super) fn expected(reference: &Reference, plan: &HistoryPlan) -> Option<FoundHistory> {
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
pub(super) fn comparable(mut found: FoundHistory) -> FoundHistory {
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
pub(super) fn agree(a: &FoundHistory, b: &FoundHistory) -> bool {
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
