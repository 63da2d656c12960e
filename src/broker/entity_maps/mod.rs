//! Entity maps (4.3.6.7, 5.5.14, 5.14): the entities that a query found, kept so that its pages
//! fit together while data changes.
//!
//! A map fixes which entities are considered and in which order. What became of each since is asked
//! when a page is made: what no longer fits is left out, and the page is filled with what follows.

mod dropped;
mod find;
mod keep;
mod operations;
mod page;
mod temporal;

pub(super) use self::find::{Candidates, too_many};
use self::keep::{Draft, Head};
pub(super) use self::keep::{EntityMaps, Family};
pub(super) use self::page::{MapQuery, only};
use super::federation::Everywhere;
use super::source_identity::fingerprint;
use super::{Broker, Call, Error, QueryTexts};
use crate::federate::Warning;
use crate::model::{EntityId, EntityMapId, Held, Timestamp};
use crate::query::Period;

/// What a request says of entity maps.
#[derive(Debug, Clone, Default)]
pub struct MapTexts {
    /// `entityMap`: one is to be made, unless the one that is named is there.
    pub wanted: bool,
    /// `entityMapLifetime`.
    pub lifetime: Option<String>,
    /// The one to use: what the header `NGSILD-EntityMap` says.
    pub reference: Option<String>,
}

/// A map that names an entity that is to be retrieved.
pub(super) struct Known {
    pub map: EntityMapId,
    pub held: Held,
    /// The maps of sources that are linked with it.
    pub linked: Vec<(String, String)>,
}

/// The map that an answer was made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapUse {
    pub id: EntityMapId,
    /// It was made for this request.
    pub created: bool,
}

impl MapTexts {
    /// Whether the request is about a map at all.
    pub fn any(&self) -> bool {
        self.wanted || self.reference.is_some()
    }

    /// A lifetime belongs to a map that is asked for (6.4.3.2).
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.lifetime.is_some() && !self.wanted {
            return Err(Error::bad("entityMapLifetime belongs to entityMap=true"));
        }
        Ok(())
    }
}

impl Broker {
    /// The map that a request names, if it is there and has not ended.
    async fn named_map(
        &self,
        call: &Call,
        texts: &MapTexts,
    ) -> Result<Option<(EntityMapId, Head)>, Error> {
        let Some(text) = texts.reference.as_deref() else { return Ok(None) };
        // A name that no map can have is one that no map has.
        let Ok(id) = EntityMapId::parse(text) else { return Ok(None) };
        let head = self.entity_maps.head(&call.tenant, &id, call.now).await?;
        Ok(head.map(|head| (id, head)))
    }

    /// What the map names that a request names, if that is there.
    pub(super) async fn named_by_map(
        &self,
        call: &Call,
        texts: &MapTexts,
    ) -> Result<Option<Vec<Held>>, Error> {
        let Some((id, head)) = self.named_map(call, texts).await? else { return Ok(None) };
        Ok(Some(self.entity_maps.whole(&call.tenant, &id, &head).await?.entities))
    }

    /// When a map that is made now ends (6.4.3.2): as is wished, but not later than allowed.
    fn end_of_map(&self, call: &Call, texts: &MapTexts) -> Result<Timestamp, Error> {
        let limits = &self.entity_maps.limits;
        let latest = later(call.now, limits.lifetime_max);
        let Some(text) = texts.lifetime.as_deref() else {
            return Ok(later(call.now, limits.lifetime).min(latest));
        };
        let wish: Period = text.parse().map_err(|_| {
            Error::bad(format!(
                "entityMapLifetime: {text:?} is not a duration: write it like PT15M or P1D"
            ))
        })?;
        let end = wish.after(call.now);
        if end <= call.now {
            return Err(Error::bad("entityMapLifetime has to be longer than nothing"));
        }
        Ok(end.min(latest))
    }

    /// Keeps a new map.
    async fn make_map(
        &self,
        call: &Call,
        family: Family,
        asks: Option<u64>,
        texts: &MapTexts,
        found: Candidates,
    ) -> Result<(EntityMapId, Head), Error> {
        let expires_at = self.end_of_map(call, texts)?;
        let Candidates { held: entities, linked, .. } = found;
        let id = format!("urn:ngsi-ld:EntityMap:{}", uuid::Uuid::now_v7());
        let id = EntityMapId::from_trusted(&id);
        let draft = Draft { family, asks, expires_at, entities, linked };
        let head = self.entity_maps.keep(&call.tenant, &id, draft, call.now).await?;
        Ok((id, head))
    }

    /// A page of a query by the map that is named, or by a new one (5.7.2.4, 5.5.9.3).
    pub(super) async fn query_by_map(
        &self,
        call: &Call,
        query: MapQuery<'_>,
    ) -> Result<(Everywhere, MapUse), Error> {
        let MapQuery { texts, plan, .. } = query;
        texts.map.check()?;
        // What cannot be granted is refused before anything is searched for.
        let end = self.end_of_map(call, &texts.map)?;
        let asks = asks(Family::Current, call, texts);
        let named = self.named_map(call, &texts.map).await?;
        let (created, mut warnings) = (named.is_none(), Vec::new());
        let (id, head) = match named {
            Some((id, head)) => {
                check_use(&head, Family::Current, asks)?;
                (id, head)
            }
            None => {
                let most = self.entity_maps.limits.entities;
                let mut found = self.candidates(call, texts, plan, most, Some(end)).await?;
                warnings = std::mem::take(&mut found.warnings);
                self.make_map(call, Family::Current, Some(asks), &texts.map, found).await?
            }
        };
        let mut page = self.page_of_map(call, query, &id, &head).await?;
        add_warnings(&mut page.warnings, warnings);
        Ok((page, MapUse { id, created }))
    }

    /// The map that a retrieval is to use (5.7.1.4, 5.7.3.4): the one that is named, which has to
    /// know the entity; or none yet.
    pub(super) async fn map_to_retrieve(
        &self,
        call: &Call,
        texts: &MapTexts,
        family: Family,
        id: &EntityId,
    ) -> Result<Option<Known>, Error> {
        texts.check()?;
        self.end_of_map(call, texts)?;
        let Some((map, head)) = self.named_map(call, texts).await? else { return Ok(None) };
        if head.family != family {
            return Err(wrong_family(family));
        }
        let known = self.entity_maps.whole(&call.tenant, &map, &head).await?;
        let linked = known.linked;
        if let Some(held) = known.entities.into_iter().find(|held| held.id == *id) {
            return Ok(Some(Known { map, held, linked }));
        }
        Err(Error::NotFound(format!("the entity map {map} does not name the entity {id}")))
    }

    /// The map of a retrieval that found something: the one that was named, or a new one.
    pub(super) async fn map_retrieved(
        &self,
        call: &Call,
        texts: &MapTexts,
        family: Family,
        named: Option<EntityMapId>,
        held: Held,
    ) -> Result<MapUse, Error> {
        if let Some(id) = named {
            return Ok(MapUse { id, created: false });
        }
        let found = Candidates { held: vec![held], ..Candidates::default() };
        let (id, _) = self.make_map(call, family, None, texts, found).await?;
        Ok(MapUse { id, created: true })
    }
}

/// Adds what was not said yet: a source that is asked several times for one answer is told of once.
pub(super) fn add_warnings(known: &mut Vec<Warning>, more: Vec<Warning>) {
    for warning in more {
        let same = |own: &Warning| own.code == warning.code && own.agent == warning.agent;
        if !known.iter().any(same) {
            known.push(warning);
        }
    }
}

/// An instant so much later.
pub(super) fn later(at: Timestamp, by: std::time::Duration) -> Timestamp {
    at.plus_micros(i64::try_from(by.as_micros()).unwrap_or(i64::MAX))
}

/// What a query asks, as a number: all that decides which entities it finds and in which order, but
/// neither ids, which pages are about, nor the time, of which another part may be wanted (5.5.14).
fn asks(family: Family, call: &Call, texts: &QueryTexts) -> u64 {
    let mut parts: Vec<&str> = vec![match family {
        Family::Current => "current",
        Family::Temporal => "temporal",
    }];
    parts.push(&call.context.link().body);
    parts.extend(texts.selectors.iter().filter_map(|one| one.types.as_deref()));
    let geo = &texts.geo;
    let split = texts.split_entities.map(|split| split.to_string());
    for text in [
        &texts.attrs,
        &texts.q,
        &texts.csf,
        &texts.scope_q,
        &geo.georel,
        &geo.geometry,
        &geo.coordinates,
        &geo.geoproperty,
        &texts.expand_values,
        &texts.json_keys,
        &texts.order_by,
        &texts.collation,
        &texts.order_from,
        &texts.order_geometry,
        &split,
    ] {
        parts.push(if text.is_some() { "=" } else { "-" });
        parts.push(text.as_deref().unwrap_or_default());
    }
    fingerprint(&parts)
}

/// A map serves the query that it was made by, and no other (5.5.14).
fn check_use(head: &Head, family: Family, asks: u64) -> Result<(), Error> {
    if head.family != family {
        return Err(wrong_family(family));
    }
    if head.asks.is_some_and(|own| own != asks) {
        return Err(Error::bad(
            "the entity map was made by a query with other parameters: repeat those, but for ids, \
             paging and the time that is asked about, or leave the header NGSILD-EntityMap out \
             (5.5.14)",
        ));
    }
    Ok(())
}

fn wrong_family(family: Family) -> Error {
    Error::bad(match family {
        Family::Current => "the entity map was made by a temporal query, and this is none",
        Family::Temporal => "the entity map was made by a query that is not temporal, and this is",
    })
}
