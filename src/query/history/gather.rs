//! Gathering what is told of a page of entities, within the limit of one answer (6.3.10).

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::ControlFlow;

use super::evolve::{Part, shown};
use super::{Chronicle, Evolution, HistoryPlan, Line, Span, Told, Visit};
use crate::model::{AttrName, Chapter, Kind, Recorded, Timestamp};

/// Instances of a page of entities on their way into an answer: together with the changes of scope
/// no more than the limit, the earliest of all (or with `last_n` the latest).
pub(super) struct Gathering<'p> {
    plan: &'p HistoryPlan,
    limit: usize,
    /// Backwards, earlier is farther.
    backwards: bool,
    /// Only this instant, if only one is told.
    instant: Option<Timestamp>,
    /// The times of what was taken.
    times: Times,
    /// What lies here or farther does not fit.
    pub(super) bound: Option<Timestamp>,
    taken: usize,
    entities: Vec<Vec<Gathered>>,
}

/// What was taken of one attribute.
struct Gathered {
    name: AttrName,
    /// The kind of the first instance that was met.
    kind: Kind,
    taken: Vec<(Timestamp, Recorded)>,
}

/// A time, ordered by how far it is from where the answer begins.
#[derive(PartialEq, Eq, PartialOrd, Ord, Clone, Copy)]
enum Far {
    Forwards(Timestamp),
    Backwards(Reverse<Timestamp>),
}

impl Far {
    fn at(self) -> Timestamp {
        match self {
            Far::Forwards(at) | Far::Backwards(Reverse(at)) => at,
        }
    }
}

/// Times that are put in order only once there are too many.
enum Times {
    Few(Vec<Far>),
    /// The farthest on top.
    Many(BinaryHeap<Far>),
}

impl Times {
    /// Adds a time; the farthest, which goes, if there are more than the limit.
    fn add(&mut self, far: Far, limit: usize) -> Option<Far> {
        match self {
            Times::Few(few) => {
                few.push(far);
                if few.len() <= limit {
                    return None;
                }
                let mut many = BinaryHeap::from(std::mem::take(few));
                let farthest = many.pop();
                *self = Times::Many(many);
                farthest
            }
            Times::Many(many) => {
                many.push(far);
                many.pop()
            }
        }
    }

    fn iter(&self) -> impl Iterator<Item = Far> {
        let (few, many) = match self {
            Times::Few(few) => (&few[..], None),
            Times::Many(many) => (&[][..], Some(many)),
        };
        few.iter().chain(many.into_iter().flatten()).copied()
    }
}

impl<'p> Gathering<'p> {
    pub(super) fn new(plan: &'p HistoryPlan) -> Self {
        Self {
            plan,
            limit: plan.limits.instances,
            backwards: plan.last_n.is_some(),
            instant: None,
            times: Times::Few(Vec::new()),
            bound: None,
            taken: 0,
            entities: Vec::new(),
        }
    }

    pub(super) fn of_instant(
        plan: &'p HistoryPlan,
        instant: Option<Timestamp>,
        limit: usize,
    ) -> Self {
        Self { limit, instant, ..Self::new(plan) }
    }

    /// Whether nothing but one instant lies before the bound: the answer would be empty.
    pub(super) fn is_crowded(&self) -> bool {
        self.bound.is_some() && self.times.iter().all(|far| self.is_beyond(far.at()))
    }

    fn far(&self, at: Timestamp) -> Far {
        if self.backwards { Far::Backwards(Reverse(at)) } else { Far::Forwards(at) }
    }

    fn is_beyond(&self, at: Timestamp) -> bool {
        self.bound.is_some_and(|bound| self.far(at) >= self.far(bound))
    }

    pub(super) fn entity<C: Chronicle>(&mut self, chronicle: &C) -> Result<(), C::Error> {
        let parts = self.plan.parts(chronicle.chapter());
        self.entities.push(Vec::new());
        self.scopes(chronicle.chapter());
        for (name, places) in shown(self.plan, chronicle) {
            self.attribute(chronicle, name, &places, &parts)?;
        }
        Ok(())
    }

    /// Counts the changes of scope that are told of.
    fn scopes(&mut self, chapter: &Chapter) {
        if !self.plan.shown.view().keeps_scope() {
            return;
        }
        let mut told: Vec<Timestamp> = self.plan.times_of_scopes(chapter);
        if self.backwards {
            told.reverse();
        }
        for at in told {
            if self.instant.is_some_and(|only| only != at) {
                continue;
            }
            if self.is_beyond(at) {
                break;
            }
            self.count(at);
        }
    }

    /// Takes the instances of one attribute, those of all its series.
    fn attribute<C: Chronicle>(
        &mut self,
        chronicle: &C,
        name: AttrName,
        places: &[usize],
        parts: &[Part],
    ) -> Result<(), C::Error> {
        let Some(most) = self.plan.last_n.filter(|_| places.len() * parts.len() > 1) else {
            let most = self.plan.last_n.unwrap_or(usize::MAX);
            for (place, part) in each(places, parts) {
                self.scan(chronicle, place, part, most, &mut |gathering, at, recorded| {
                    gathering.take(name, at, recorded)
                })?;
            }
            return Ok(());
        };
        // The last of several series together are known only when each was asked for its own.
        let most = most.min(self.limit.saturating_add(1));
        let mut latest: Vec<(Timestamp, Recorded)> = Vec::new();
        for (place, part) in each(places, parts) {
            let from = latest.len();
            self.scan(chronicle, place, part, most, &mut |_, at, recorded| {
                latest.push((at, recorded));
                ControlFlow::Continue(())
            })?;
            if from > 0 && latest.len() > most {
                latest.sort_by_key(|(at, _)| Reverse(*at));
                latest.truncate(most);
            }
        }
        latest.sort_by_key(|(at, _)| Reverse(*at));
        for (at, recorded) in latest {
            if self.take(name, at, recorded).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn scan<C: Chronicle>(
        &mut self,
        chronicle: &C,
        place: usize,
        part: Part,
        most: usize,
        visit: &mut dyn FnMut(&mut Self, Timestamp, Recorded) -> Visit,
    ) -> Result<(), C::Error> {
        let property = self.plan.window.property;
        let most = most.min(self.limit.saturating_add(1));
        let mut span = Span { backwards: self.backwards, ..self.plan.span(part, most) };
        if let Some(only) = self.instant {
            span.from = Some(only);
            span.to = Some(only.plus_micros(1));
        }
        chronicle.instances(place, &span, &mut |recorded| match recorded.time(property) {
            Some(at) => visit(self, at, recorded),
            None => ControlFlow::Continue(()),
        })
    }

    /// Where the instances of an attribute of the last entity go; it is told of from now on, even
    /// if nothing of it fits.
    fn line(&mut self, name: AttrName, kind: Kind) -> Option<&mut Vec<(Timestamp, Recorded)>> {
        let lines = self.entities.last_mut()?;
        let place = lines.iter().position(|own| own.name == name).unwrap_or_else(|| {
            lines.push(Gathered { name, kind, taken: Vec::new() });
            lines.len() - 1
        });
        Some(&mut lines[place].taken)
    }

    /// Takes an instance if it fits; breaks when nothing farther can.
    fn take(&mut self, name: AttrName, at: Timestamp, recorded: Recorded) -> Visit {
        let beyond = self.is_beyond(at);
        let Some(line) = self.line(name, recorded.instance.kind()) else {
            return ControlFlow::Break(());
        };
        if beyond {
            return ControlFlow::Break(());
        }
        line.push((at, recorded));
        self.taken += 1;
        self.count(at);
        if self.taken > self.limit.saturating_mul(2) {
            self.prune();
        }
        ControlFlow::Continue(())
    }

    /// Counts something of this time, and lets the bound follow.
    fn count(&mut self, at: Timestamp) {
        let far = self.far(at);
        if let Some(farthest) = self.times.add(far, self.limit) {
            self.bound = Some(farthest.at());
        }
    }

    /// The farthest of what fits.
    fn farthest(&self) -> Option<Timestamp> {
        let fits = self.times.iter().filter(|far| !self.is_beyond(far.at()));
        fits.max().map(|far| far.at())
    }

    /// Lets go of what was taken and turned out to lie beyond the bound.
    fn prune(&mut self) {
        let (bound, backwards) = (self.bound, self.backwards);
        let fits = |at: Timestamp| match (bound, backwards) {
            (None, _) => true,
            (Some(bound), false) => at < bound,
            (Some(bound), true) => at > bound,
        };
        self.taken = 0;
        for line in self.entities.iter_mut().flatten() {
            line.taken.retain(|(at, _)| fits(*at));
            self.taken += line.taken.len();
        }
    }

    pub(super) fn told<'c>(
        mut self,
        plan: &HistoryPlan,
        chapters: impl Iterator<Item = &'c Chapter>,
    ) -> Told {
        self.prune();
        let cut = self.bound.or(self.instant).and_then(|_| self.farthest());
        let evolutions = chapters.zip(self.entities).map(|(chapter, lines)| {
            let attributes = lines.into_iter().map(|mut line| {
                if line.taken.is_empty() {
                    return (line.name, Line::Cut(line.kind));
                }
                line.taken.sort_by_key(|(at, _)| *at);
                let all = line.taken.into_iter().map(|(_, one)| one).collect();
                (line.name, Line::Instances(all))
            });
            let attributes = attributes.collect();
            Evolution { chapter: plan.shown_chapter(chapter, cut), attributes }
        });
        Told { evolutions: evolutions.collect(), cut }
    }
}

fn each<'a>(places: &'a [usize], parts: &'a [Part]) -> impl Iterator<Item = (usize, Part)> + 'a {
    places.iter().flat_map(move |place| parts.iter().map(move |part| (*place, *part)))
}
