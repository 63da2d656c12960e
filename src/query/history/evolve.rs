//! What a temporal query asks of an entity, and what is told of those it selects (5.7.3, 5.7.4).

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::ControlFlow;

use super::super::{Filter, NoLookup, Path, QueryError};
use super::aggregate::Folds;
use super::{Chronicle, Evolution, HistoryPlan, Line, Span, TellError, Told, Visit};
use crate::model::{
    AttrName, Attribute, Attributes, Chapter, DatasetId, Datum, Entity, Recorded, ScopeChange,
    TimeProperty, Timestamp,
};
use crate::query::filter::{Check, Test};

/// A part of the window: included and excluded.
type Part = (Option<Timestamp>, Option<Timestamp>);

/// How many times [`super::HistoryLimits::instances`] may share one instant, since an answer cannot
/// be cut within an instant.
const CROWD: usize = 8;

impl HistoryPlan {
    /// Whether an entity is asked for (5.7.4.4): by id and type, then by what its instances in the
    /// window say. Where scopes are asked for, only what the entity said while it had them counts.
    pub fn selects<C: Chronicle>(&self, chronicle: &C) -> Result<bool, C::Error> {
        let chapter = chronicle.chapter();
        let parts = self.parts(chapter);
        if !self.may_select(chapter) || parts.is_empty() {
            return Ok(false);
        }
        Ok(self.occurs(chronicle, &parts)?
            && self.satisfies(chronicle, &parts)?
            && self.is_placed(chronicle, &parts)?)
    }

    /// Whether an entity of this id and these types may be asked for; no instance is looked at.
    pub fn may_select(&self, chapter: &Chapter) -> bool {
        let types = chapter.types.as_slice();
        self.entities.select.is_empty()
            || self.entities.select.iter().any(|one| {
                one.has_id(&chapter.id) && one.types.as_ref().is_none_or(|only| only.selects(types))
            })
    }

    /// The window, or what is left of it while the entity's scopes were those that are asked for:
    /// a scope holds from when it was set until another was set or it was removed (4.18).
    fn parts(&self, chapter: &Chapter) -> Vec<Part> {
        let window = (self.window.from, self.window.to);
        let Some(filter) = &self.entities.scope else { return vec![window] };
        let property = self.window.property;
        let when = |change: &ScopeChange| {
            change.time(property).or_else(|| change.time(TimeProperty::Placed))
        };
        let mut parts = Vec::new();
        for (place, change) in chapter.scopes.iter().enumerate() {
            if !filter.matches(&change.scopes) {
                continue;
            }
            let next = chapter.scopes.get(place + 1).and_then(when);
            let from = when(change).max(window.0);
            let to = match (next, window.1) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
            if from.is_none() || to.is_none() || from < to {
                parts.push((from, to));
            }
        }
        parts
    }

    fn span(&self, part: Part, most: usize) -> Span {
        let property = self.window.property;
        Span { property, from: part.0, to: part.1, backwards: false, most }
    }

    /// Whether any instance lies in the window: of the attributes that are asked for, if there are
    /// any; else a change of scopes is one, too.
    fn occurs<C: Chronicle>(&self, chronicle: &C, parts: &[Part]) -> Result<bool, C::Error> {
        let attrs = &self.entities.attrs;
        for (place, series) in chronicle.series().iter().enumerate() {
            let asked =
                attrs.is_empty() || attrs.iter().any(|term| term.name() == Some(series.attribute));
            if asked && finds(self, chronicle, place, parts, &mut |_| true)? {
                return Ok(true);
            }
        }
        let property = self.window.property;
        Ok(attrs.is_empty()
            && chronicle
                .chapter()
                .scopes
                .iter()
                .any(|change| change.time(property).is_some_and(|at| self.window.contains(at))))
    }

    /// Whether the filter holds: each of its tests of any instance in the window.
    fn satisfies<C: Chronicle>(&self, chronicle: &C, parts: &[Part]) -> Result<bool, C::Error> {
        let Some(filter) = &self.entities.filter else { return Ok(true) };
        holds(self, filter, chronicle, parts, &mut blank(chronicle.chapter()))
    }

    /// Whether the geometry of any instance in the window is where the geoquery asks.
    fn is_placed<C: Chronicle>(&self, chronicle: &C, parts: &[Part]) -> Result<bool, C::Error> {
        let Some(geo) = &self.entities.geo else { return Ok(true) };
        for place in series_of(chronicle, geo.property().name()) {
            let mut admits = |recorded: Recorded| match &recorded.instance.datum {
                Datum::GeoProperty(geometry) => geo.admits(geometry),
                _ => false,
            };
            if finds(self, chronicle, place, parts, &mut admits)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What is told of the entities of one page, in their order, within the limits of the plan.
    ///
    /// # Errors
    /// If an aggregate does not suit the values, or is larger than the limits, or one instant holds
    /// more than can be told.
    pub fn tell<C: Chronicle>(&self, chronicles: &[C]) -> Result<Told, TellError<C::Error>> {
        if self.aggregate.is_some() {
            let mut folds = Folds::new(self);
            let mut evolutions = Vec::with_capacity(chronicles.len());
            for chronicle in chronicles {
                evolutions.push(self.fold(chronicle, &mut folds)?);
            }
            return Ok(Told { evolutions, cut: None });
        }
        let mut gathering = Gathering::new(self);
        for chronicle in chronicles {
            gathering.entity(chronicle).map_err(TellError::Store)?;
        }
        if gathering.is_crowded() {
            // Everything that fits lies at one instant: it is told whole, or not at all.
            let limit = self.limits.instances.saturating_mul(CROWD);
            gathering = Gathering::of_instant(self, gathering.bound, limit);
            for chronicle in chronicles {
                gathering.entity(chronicle).map_err(TellError::Store)?;
            }
            if gathering.is_crowded() {
                return Err(TellError::Query(QueryError::too_complex(
                    "timeproperty",
                    "one instant holds more instances than one answer may: ask for fewer attributes \
                     or entities, or by another timeproperty",
                )));
            }
        }
        Ok(gathering.told(self, chronicles.iter().map(Chronicle::chapter)))
    }

    /// The chapter of an entity as it is shown: with the changes of scope in the window.
    fn shown_chapter(&self, chapter: &Chapter, cut: Option<Timestamp>) -> Chapter {
        let property = self.window.property;
        let mut chapter = chapter.clone();
        chapter.scopes.retain(|change| {
            change.time(property).is_some_and(|at| {
                let kept = cut.is_none_or(|cut| match self.last_n {
                    Some(_) => at >= cut,
                    None => at <= cut,
                });
                kept && self.window.contains(at)
            })
        });
        chapter.scopes.sort_by_key(|change| change.time(property));
        if let Some(most) = self.last_n {
            let surplus = chapter.scopes.len().saturating_sub(most);
            chapter.scopes.drain(..surplus);
        }
        chapter
    }

    fn fold<C: Chronicle>(
        &self,
        chronicle: &C,
        folds: &mut Folds<'_>,
    ) -> Result<Evolution, TellError<C::Error>> {
        let chapter = self.shown_chapter(chronicle.chapter(), None);
        let parts = self.parts(chronicle.chapter());
        let attributes = folds.entity(chronicle, &shown(self, chronicle), &parts)?;
        Ok(Evolution { chapter, attributes })
    }

    fn wants(&self, dataset: Option<&DatasetId>) -> bool {
        self.datasets.as_ref().is_none_or(|all| all.iter().any(|one| one.as_ref() == dataset))
    }
}

/// The shown attributes of a chronicle with their series, in its order.
pub(super) fn shown<C: Chronicle>(
    plan: &HistoryPlan,
    chronicle: &C,
) -> Vec<(AttrName, Vec<usize>)> {
    let view = plan.shown.view();
    let mut attributes: Vec<(AttrName, Vec<usize>)> = Vec::new();
    for (place, series) in chronicle.series().iter().enumerate() {
        if !view.keeps_attribute(series.attribute) || !plan.wants(series.dataset.as_ref()) {
            continue;
        }
        match attributes.iter_mut().find(|(name, _)| *name == series.attribute) {
            Some((_, places)) => places.push(place),
            None => attributes.push((series.attribute, vec![place])),
        }
    }
    attributes
}

fn series_of<C: Chronicle>(chronicle: &C, name: Option<AttrName>) -> Vec<usize> {
    let all = chronicle.series().iter().enumerate();
    all.filter(|(_, series)| Some(series.attribute) == name).map(|(place, _)| place).collect()
}

/// Whether an instance of a series in one of the parts passes.
fn finds<C: Chronicle>(
    plan: &HistoryPlan,
    chronicle: &C,
    series: usize,
    parts: &[Part],
    passes: &mut dyn FnMut(Recorded) -> bool,
) -> Result<bool, C::Error> {
    let mut found = false;
    for part in parts {
        let span = plan.span(*part, usize::MAX);
        chronicle.instances(series, &span, &mut |recorded| {
            found = passes(recorded);
            if found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        if found {
            break;
        }
    }
    Ok(found)
}

/// The entity without attributes: what its own members are asked of.
fn blank(chapter: &Chapter) -> Entity {
    Entity {
        id: chapter.id.clone(),
        types: chapter.types.clone(),
        scopes: Vec::new(),
        attributes: Attributes::new(),
        created_at: chapter.created_at,
        modified_at: chapter.modified_at,
        expires_at: None,
    }
}

/// Whether a filter holds. A test holds if it holds of any instance in the window, and `!path` if
/// `path` does not; nothing that was recorded has expired there.
fn holds<C: Chronicle>(
    plan: &HistoryPlan,
    filter: &Filter,
    chronicle: &C,
    parts: &[Part],
    blank: &mut Entity,
) -> Result<bool, C::Error> {
    let every = match filter {
        Filter::All(all) | Filter::Any(all) => {
            let every = matches!(filter, Filter::All(_));
            for one in all {
                if holds(plan, one, chronicle, parts, blank)? != every {
                    return Ok(!every);
                }
            }
            every
        }
        Filter::Test(Test { path, check: Check::Absent }) => {
            let there = Test { path: path.clone(), check: Check::Exists };
            !holds(plan, &Filter::Test(there), chronicle, parts, blank)?
        }
        Filter::Test(Test { path, .. }) => passes(plan, (filter, path), chronicle, parts, blank)?,
    };
    Ok(every)
}

fn passes<C: Chronicle>(
    plan: &HistoryPlan,
    (filter, path): (&Filter, &Path),
    chronicle: &C,
    parts: &[Part],
    blank: &mut Entity,
) -> Result<bool, C::Error> {
    let long_ago = Timestamp::from_micros(i64::MIN);
    let Some(term) = path.attribute() else {
        blank.attributes = Attributes::new();
        blank.scopes =
            chronicle.chapter().scopes.last().map_or(Vec::new(), |last| last.scopes.clone());
        return Ok(filter.matches(blank, long_ago, &NoLookup));
    };
    for place in series_of(chronicle, term.name()) {
        let name = chronicle.series()[place].attribute;
        let mut test = |recorded: Recorded| {
            if recorded.deleted_at.is_some() {
                return false;
            }
            blank.attributes =
                Attributes::from_distinct(vec![(name, Attribute::one(recorded.instance))]);
            filter.matches(blank, long_ago, &NoLookup)
        };
        if finds(plan, chronicle, place, parts, &mut test)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Instances of a page of entities on their way into an answer: no more than the limit, the
/// earliest of all (or with `last_n` the latest).
struct Gathering<'p> {
    plan: &'p HistoryPlan,
    limit: usize,
    /// Backwards, earlier is farther.
    backwards: bool,
    /// Only this instant, if only one is told.
    instant: Option<Timestamp>,
    /// The times of what was taken, the farthest on top.
    times: BinaryHeap<Far>,
    /// What lies here or farther does not fit.
    bound: Option<Timestamp>,
    taken: usize,
    entities: Vec<Vec<(AttrName, Vec<(Timestamp, Recorded)>)>>,
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

impl<'p> Gathering<'p> {
    fn new(plan: &'p HistoryPlan) -> Self {
        Self {
            plan,
            limit: plan.limits.instances,
            backwards: plan.last_n.is_some(),
            instant: None,
            times: BinaryHeap::new(),
            bound: None,
            taken: 0,
            entities: Vec::new(),
        }
    }

    fn of_instant(plan: &'p HistoryPlan, instant: Option<Timestamp>, limit: usize) -> Self {
        Self { limit, instant, ..Self::new(plan) }
    }

    /// Whether nothing but one instant lies before the bound: the answer would be empty.
    fn is_crowded(&self) -> bool {
        self.bound.is_some() && self.times.iter().all(|far| self.is_beyond(far.at()))
    }

    fn far(&self, at: Timestamp) -> Far {
        if self.backwards { Far::Backwards(Reverse(at)) } else { Far::Forwards(at) }
    }

    fn is_beyond(&self, at: Timestamp) -> bool {
        self.bound.is_some_and(|bound| self.far(at) >= self.far(bound))
    }

    fn entity<C: Chronicle>(&mut self, chronicle: &C) -> Result<(), C::Error> {
        let parts = self.plan.parts(chronicle.chapter());
        self.entities.push(Vec::new());
        for (name, places) in shown(self.plan, chronicle) {
            self.attribute(chronicle, name, &places, &parts)?;
        }
        Ok(())
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
            let mut there = false;
            for (place, part) in each(places, parts) {
                self.scan(chronicle, place, part, most, &mut |gathering, at, recorded| {
                    there = true;
                    gathering.take(name, at, recorded)
                })?;
            }
            if there {
                self.line(name);
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
        if !latest.is_empty() {
            self.line(name);
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

    fn line(&mut self, name: AttrName) -> Option<&mut Vec<(Timestamp, Recorded)>> {
        let lines = self.entities.last_mut()?;
        let place = lines.iter().position(|(own, _)| *own == name).unwrap_or_else(|| {
            lines.push((name, Vec::new()));
            lines.len() - 1
        });
        Some(&mut lines[place].1)
    }

    /// Takes an instance if it fits; breaks when nothing farther can.
    fn take(&mut self, name: AttrName, at: Timestamp, recorded: Recorded) -> Visit {
        if self.is_beyond(at) {
            return ControlFlow::Break(());
        }
        self.times.push(self.far(at));
        if self.times.len() > self.limit
            && let Some(farthest) = self.times.pop()
        {
            self.bound = Some(farthest.at());
        }
        if let Some(line) = self.line(name) {
            line.push((at, recorded));
            self.taken += 1;
        }
        if self.taken > self.limit.saturating_mul(2) {
            self.prune();
        }
        ControlFlow::Continue(())
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
        for (_, line) in self.entities.iter_mut().flatten() {
            line.retain(|(at, _)| fits(*at));
            self.taken += line.len();
        }
    }

    fn told<'c>(mut self, plan: &HistoryPlan, chapters: impl Iterator<Item = &'c Chapter>) -> Told {
        self.prune();
        let lines = self.entities.iter().flatten();
        let cut = match (self.bound.or(self.instant), self.backwards) {
            (None, _) => None,
            (_, false) => lines.flat_map(|(_, line)| line).map(|(at, _)| *at).max(),
            (_, true) => lines.flat_map(|(_, line)| line).map(|(at, _)| *at).min(),
        };
        let evolutions = chapters.zip(self.entities).map(|(chapter, lines)| {
            let attributes = lines.into_iter().map(|(name, mut line)| {
                line.sort_by_key(|(at, _)| *at);
                (name, Line::Instances(line.into_iter().map(|(_, one)| one).collect()))
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
