//! What sources tell of the past: asked part after part, and checked before any of it is taken.

use std::sync::Arc;

use super::super::reads::{Ids, map_draft, map_of};
use super::super::receive::{Names, Said, check_names, heard};
use super::super::{Broker, Call, Origin};
use super::{Asked, PARTS, Zone, farther};
use crate::egress::{Method, Reply};
use crate::federate::{Draft, Leg, Naming, Source, Warning, WarningCode, path_part};
use crate::jsonld::Document;
use crate::model::{TimeProperty, Timestamp};
use crate::represent::registration::Operation;
use crate::represent::{Evolved, Reading};

impl Broker {
    /// Which entities a source has: by a map that it makes, if it can and is asked for one part
    /// `alone`, or page by page.
    pub(super) async fn past_ids_there(
        &self,
        call: &Call,
        origin: &Origin,
        asked: &Asked<'_>,
        leg: &Leg,
        need: usize,
        alone: bool,
    ) -> Ids {
        if let Some(end) = asked.until.filter(|_| alone)
            && leg.source.supports(Operation::CreateEntityMapQueryTemporal)
        {
            let naming = self.naming(call, &leg.source, false).await;
            let draft = past_draft(asked, leg, (0, 1), None, &naming);
            let draft = map_draft(draft, "/temporal/entityMaps", call.now, end);
            if let Some(ids) = self.ids_by_map(origin, leg, &draft, &naming, need).await {
                return ids;
            }
        }
        let zone = self.past_there(call, origin, asked, leg, need).await;
        let super::Zone { order, complete, warnings, .. } = zone;
        Ids { order, complete, map: None, warnings }
    }

    /// What a source has.
    pub(super) async fn past_there(
        &self,
        call: &Call,
        origin: &Origin,
        asked: &Asked<'_>,
        leg: &Leg,
        need: usize,
    ) -> Zone {
        let mut zone = Zone::default();
        let page = self.federation.settings.page.clamp(1, 1_000);
        let whole = asked.plan.aggregate.is_some();
        let mut offset = 0;
        while offset < need {
            let limit = page.min(need.saturating_sub(offset).max(1));
            let mut from = None;
            let mut count = 0;
            for _ in 0..PARTS {
                let (part, cut) =
                    self.past_leg(call, origin, asked, leg, (offset, limit), from).await;
                count = count.max(part.0.len());
                zone.warnings.extend(part.1);
                for mut evolved in part.0.into_iter().flatten() {
                    if asked.bare {
                        evolved.attributes.clear();
                    }
                    zone.add(evolved);
                }
                match cut {
                    _ if asked.bare => break,
                    Some(cut) if whole => from = Some(cut.plus_micros(1)),
                    Some(cut) => {
                        zone.cut = farther(asked.plan, zone.cut, cut);
                        break;
                    }
                    None => break,
                }
            }
            offset = offset.saturating_add(limit);
            if count < limit || asked.plan.whatever_the_window {
                zone.complete = true;
                break;
            }
        }
        zone
    }

    /// One part of what a source has: its entities, those not taken as None, and where it cut them.
    async fn past_leg(
        &self,
        call: &Call,
        origin: &Origin,
        asked: &Asked<'_>,
        leg: &Leg,
        page: (usize, usize),
        from: Option<Timestamp>,
    ) -> ((Vec<Option<Evolved>>, Vec<Warning>), Option<Timestamp>) {
        let naming = self.naming(call, &leg.source, false).await;
        let draft = past_draft(asked, leg, page, from, &naming);
        let draft = draft.by_map(map_of(asked.linked, &leg.source));
        let what = self.ask(origin, &leg.source, &draft, &naming).await;
        let (said, mut warnings) = heard(&leg.source, what);
        let Said::Body(reply) = said else { return ((Vec::new(), warnings), None) };
        let cut = (reply.status == 206).then(|| cut_of(&reply)).flatten();
        match self.evolved(call, leg, &naming, &reply).await {
            Ok((entities, wrong)) => {
                if !asked.bare {
                    origin.held.take(reply.room.clone());
                }
                warnings.extend(wrong.map(|why| invalid(&leg.source, &why)));
                ((entities, warnings), cut)
            }
            Err(why) => {
                warnings.push(invalid(&leg.source, &why));
                ((Vec::new(), warnings), None)
            }
        }
    }

    async fn evolved(
        &self,
        call: &Call,
        leg: &Leg,
        naming: &Naming,
        reply: &Reply,
    ) -> Result<(Vec<Option<Evolved>>, Option<String>), String> {
        let document = Document::parse_tolerant(&reply.body, &self.parse_limits())
            .map_err(|error| error.to_string())?;
        let items = match document {
            Document::Array(items) => items,
            single => vec![single],
        };
        let mut names = Names::new(self.names_of(call, reply, naming).await);
        let (mut all, mut wrong) = (Vec::with_capacity(items.len()), None);
        for mut item in items {
            let read = match names.of(self, call, &mut item).await {
                Ok(context) => check_names(&item, &context).and_then(|()| {
                    let reader = self.reader_by(&context, Reading::Whole);
                    reader.evolved(&item).map_err(|error| error.to_string())
                }),
                Err(why) => Err(why),
            };
            all.push(match read {
                Ok(evolved) => takes(leg, evolved),
                Err(why) => {
                    wrong.get_or_insert(why);
                    None
                }
            });
        }
        Ok((all, wrong))
    }
}

fn invalid(source: &Arc<Source>, why: &str) -> Warning {
    Warning::new(WarningCode::Invalid, source.id(), why)
}
/// What of an answer is taken: entities and attributes that were asked for and are registered.
fn takes(leg: &Leg, mut evolved: Evolved) -> Option<Evolved> {
    let chapter = &evolved.chapter;
    let types = chapter.types.as_slice();
    let select = &leg.select;
    let selected = select.has_id(&chapter.id)
        && select.types.as_ref().is_none_or(|wanted| wanted.selects(types));
    if !selected {
        return None;
    }
    let registration = &leg.source.registration;
    let infos: Vec<_> = registration
        .information
        .iter()
        .filter(|info| info.has_entity(&chapter.id, Some(types)))
        .collect();
    if infos.is_empty() {
        return None;
    }
    evolved.attributes.retain(|(name, _)| {
        leg.attributes.as_ref().is_none_or(|names| names.contains(name))
            && infos.iter().any(|info| info.has_attribute(*name))
    });
    Some(evolved)
}

/// The request for a part of what a source has.
fn past_draft(
    asked: &Asked<'_>,
    leg: &Leg,
    (offset, limit): (usize, usize),
    from: Option<Timestamp>,
    naming: &Naming,
) -> Draft {
    let plan = asked.plan;
    let single = plan.whatever_the_window
        && leg.source.supports(Operation::RetrieveTemporal)
        && leg.select.ids.len() == 1;
    let mut draft = match (single, leg.select.ids.first()) {
        (true, Some(id)) => {
            Draft::new(Method::GET, format!("/temporal/entities/{}", path_part(id.as_str())))
        }
        _ => Draft::new(Method::GET, "/temporal/entities").selecting(leg, naming),
    };
    draft = draft.with_some("attrs", leg.attributes.as_ref().map(|all| naming.names(all)));
    let window = plan.window;
    let from = from.or(window.from);
    let bounds = match (from, window.to) {
        (Some(from), Some(to)) => vec![
            ("timerel", "between".to_owned()),
            ("timeAt", from.to_string()),
            ("endTimeAt", to.to_string()),
        ],
        (Some(from), None) => {
            vec![("timerel", "after".to_owned()), ("timeAt", from.to_string())]
        }
        (None, Some(to)) => vec![("timerel", "before".to_owned()), ("timeAt", to.to_string())],
        // A query has to say which time it is about.
        (None, None) if !single => {
            vec![("timerel", "after".to_owned()), ("timeAt", "1970-01-01T00:00:00Z".to_owned())]
        }
        (None, None) => Vec::new(),
    };
    draft.params.extend(bounds);
    if window.property != TimeProperty::Placed {
        draft = draft.with("timeproperty", window.property.term());
    }
    if !asked.split && !single {
        let entities = &plan.entities;
        draft = draft.with_some("q", entities.filter.as_ref().map(|filter| naming.spell(filter)));
        draft = draft.with_some("scopeQ", entities.scope.as_ref().map(ToString::to_string));
        if let Some(geo) = &entities.geo {
            draft = draft
                .with("georel", geo.georel())
                .with("geometry", geo.reference().type_name())
                .with("coordinates", geo.coordinates())
                .with("geoproperty", naming.name(geo.property().iri()));
        }
    }
    let gathered = plan.aggregate.is_some() || asked.split && !asked.bare;
    let last = plan.last_n.filter(|_| !gathered);
    draft = draft.with_some("lastN", last.map(|most| most.to_string()));
    draft = draft.with("options", "sysAttrs");
    if single {
        return draft;
    }
    draft
        .with("limit", limit.to_string())
        .with_some("offset", (offset > 0).then(|| offset.to_string()))
}

/// Where a source cut its answer: the end of `date-time start-end/size` (6.3.10).
fn cut_of(reply: &Reply) -> Option<Timestamp> {
    let range = reply.header("content-range")?;
    let (_, range) = range.split_once(' ')?;
    let (range, _) = range.rsplit_once('/')?;
    let (_, end) = range.split_once("Z-")?;
    end.trim().parse().ok()
}
