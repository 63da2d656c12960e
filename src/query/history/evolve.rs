//! What a temporal query asks of an entity, and what is told of those it selects (5.7.3, 5.7.4).

use std::ops::ControlFlow;

use super::super::{Filter, NoLookup, Path, QueryError};
use super::aggregate::Folds;
use super::gather::Gathering;
use super::{Chronicle, Evolution, HistoryPlan, Series, Span, TellError, Told};
use crate::model::{
    AttrName, Attribute, Attributes, Chapter, DatasetId, Datum, Entity, Recorded, ScopeChange,
    TimeProperty, Timestamp,
};
use crate::query::filter::{Check, Test};

/// A part of the window: included and excluded.
pub(super) type Part = (Option<Timestamp>, Option<Timestamp>);

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
        if self.whatever_the_window {
            return Ok(true);
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
    pub(super) fn parts(&self, chapter: &Chapter) -> Vec<Part> {
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

    pub(super) fn span(&self, part: Part, most: usize) -> Span {
        let property = self.window.property;
        Span { property, from: part.0, to: part.1, backwards: false, unordered: false, most }
    }

    /// Whether any instance lies in the window: of the attributes that are asked for, if there are
    /// any; else a change of scopes is one, too.
    fn occurs<C: Chronicle>(&self, chronicle: &C, parts: &[Part]) -> Result<bool, C::Error> {
        let attrs = &self.entities.attrs;
        for (place, series) in chronicle.series().iter().enumerate() {
            let asked = attrs.is_empty()
                || (attrs.iter().any(|term| term.name() == Some(series.attribute))
                    && self.wants(series.dataset.as_ref()));
            if asked && finds(self, chronicle, place, (parts, 1), &mut |_| true)? {
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
            if finds(self, chronicle, place, (parts, usize::MAX), &mut admits)? {
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

    /// When the changes of scope were that are shown of those in the window, in order.
    pub(super) fn times_of_scopes(&self, chapter: &Chapter) -> Vec<Timestamp> {
        let times = chapter.scopes.iter().filter_map(|change| change.time(self.window.property));
        let mut times: Vec<Timestamp> = times.filter(|at| self.window.contains(*at)).collect();
        times.sort_unstable();
        let surplus = self.last_n.map_or(0, |most| times.len().saturating_sub(most));
        times.drain(..surplus);
        times
    }

    /// The chapter of an entity as it is shown: with the changes of scope in the window, and the
    /// one before that still held when the window began (C.5.16).
    pub(super) fn shown_chapter(&self, chapter: &Chapter, cut: Option<Timestamp>) -> Chapter {
        let property = self.window.property;
        let mut chapter = chapter.clone();
        let before = |change: &&ScopeChange| {
            let at = change.time(property).or_else(|| change.time(TimeProperty::Placed));
            self.window.from.is_some_and(|from| at.is_some_and(|at| at < from))
        };
        let carried = chapter.scopes.iter().rfind(before).cloned();
        chapter.scopes.retain(|change| {
            change.time(property).is_some_and(|at| {
                let kept = cut.is_none_or(|cut| match self.last_n {
                    Some(_) => at >= cut,
                    None => at <= cut,
                });
                kept && (self.window.contains(at) || carried.as_ref() == Some(change))
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

    /// Whether the instances of a series are told of.
    pub fn shows(&self, series: &Series) -> bool {
        self.shown.view().keeps_attribute(series.attribute) && self.wants(series.dataset.as_ref())
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
    let mut attributes: Vec<(AttrName, Vec<usize>)> = Vec::new();
    for (place, series) in chronicle.series().iter().enumerate() {
        if !plan.shows(series) {
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

/// Whether an instance of a series in one of the parts passes, of so many of each part.
fn finds<C: Chronicle>(
    plan: &HistoryPlan,
    chronicle: &C,
    series: usize,
    (parts, most): (&[Part], usize),
    passes: &mut dyn FnMut(Recorded) -> bool,
) -> Result<bool, C::Error> {
    let mut found = false;
    for part in parts {
        // From where the answer begins, so that what was read for this will do for that.
        let backwards = plan.last_n.is_some();
        let span = Span { unordered: true, backwards, ..plan.span(*part, most) };
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
            if recorded.deleted_at.is_some() || recorded.instance.is_null() {
                return false;
            }
            blank.attributes =
                Attributes::from_distinct(vec![(name, Attribute::one(recorded.instance))]);
            filter.matches(blank, long_ago, &NoLookup)
        };
        if finds(plan, chronicle, place, (parts, usize::MAX), &mut test)? {
            return Ok(true);
        }
    }
    Ok(false)
}
