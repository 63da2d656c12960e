//! What several places know of one entity, put together.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::model::{Chapter, DatasetId, Recorded, TimeProperty, Timestamp};
use crate::query::{Ledger, Series};
use crate::represent::Evolved;

/// What several places know of one entity.
#[derive(Default)]
pub(super) struct Book {
    chapter: Option<Chapter>,
    series: Vec<(Series, Course)>,
    auxiliary: Vec<(Series, Course)>,
}

/// The instances of a series, one of each time.
#[derive(Default)]
struct Course {
    instances: Vec<Recorded>,
    places: FxHashMap<(Option<Timestamp>, Option<Timestamp>), usize>,
}

impl Book {
    pub fn add(&mut self, evolved: Evolved, property: TimeProperty, auxiliary: bool) {
        let Evolved { chapter, attributes } = evolved;
        match &mut self.chapter {
            None => self.chapter = Some(chapter),
            Some(own) => unite(own, chapter),
        }
        let place = if auxiliary { &mut self.auxiliary } else { &mut self.series };
        for (attribute, instances) in attributes {
            for recorded in instances {
                let dataset: Option<DatasetId> = recorded.instance.dataset().cloned();
                let series = Series { attribute, dataset };
                let known = place.iter().position(|(own, _)| *own == series);
                let known = known.unwrap_or_else(|| {
                    place.push((series, Course::default()));
                    place.len() - 1
                });
                place[known].1.keep(recorded, property);
            }
        }
    }

    pub fn ledger(mut self) -> Option<Ledger> {
        let chapter = self.chapter?;
        for (series, more) in self.auxiliary {
            match self.series.iter_mut().find(|(own, _)| *own == series) {
                // Auxiliary data fill gaps: times that nobody else tells of.
                Some((_, course)) => {
                    let fresh = more.places.into_iter();
                    let fresh = fresh.filter(|(time, _)| !course.places.contains_key(time));
                    let places: FxHashSet<usize> = fresh.map(|(_, place)| place).collect();
                    let all = more.instances.into_iter().enumerate();
                    let own = all.filter(|(place, _)| places.contains(place));
                    course.instances.extend(own.map(|(_, recorded)| recorded));
                }
                None => self.series.push((series, more)),
            }
        }
        let each = self.series.into_iter().map(|(series, course)| (series, course.instances));
        let (series, instances) = each.unzip();
        Some(Ledger { chapter, series, instances })
    }
}

impl Course {
    /// Adds an instance; of those of one time the one that was modified last counts.
    fn keep(&mut self, recorded: Recorded, property: TimeProperty) {
        let at = recorded.time(property).or_else(|| recorded.time(TimeProperty::Placed));
        match self.places.get(&(at, recorded.deleted_at)) {
            Some(place) => {
                let known = &mut self.instances[*place];
                if recorded.instance.modified_at > known.instance.modified_at {
                    *known = recorded;
                }
            }
            None => {
                self.places.insert((at, recorded.deleted_at), self.instances.len());
                self.instances.push(recorded);
            }
        }
    }
}

fn unite(own: &mut Chapter, other: Chapter) {
    for name in other.types.as_slice() {
        if !own.types.as_slice().contains(name) {
            own.types.push(*name);
        }
    }
    let known = |at: Timestamp| at.micros() != 0;
    if known(other.created_at) && (other.created_at < own.created_at || !known(own.created_at)) {
        own.created_at = other.created_at;
    }
    own.modified_at = own.modified_at.max(other.modified_at);
    // An entity that is somewhere is not gone.
    own.deleted_at = own.deleted_at.and_then(|at| other.deleted_at.map(|other| at.max(other)));
    for change in other.scopes {
        if !own.scopes.contains(&change) {
            own.scopes.push(change);
        }
    }
    own.scopes.sort_by_key(|change| change.time(TimeProperty::Placed));
}
