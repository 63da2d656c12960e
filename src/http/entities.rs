//! `/entities`, `/entities/{entityId}` and `/entityOperations/query` (6.4, 6.5, 6.23).

use actix_web::HttpResponse;
use actix_web::http::header;

use super::answer::{batch_done, created, done, entities, located, one_entity};
use super::entity_maps::{created_map, map_reference, name_map, take_map};
use super::pages::NextPage;
use super::params::Params;
use super::problem::Problem;
use super::questions::Lasting;
use super::request::Incoming;
use super::viewing::Viewing;
use crate::broker::{
    Call, Error, GeoTexts, MapTexts, Merging, PageTexts, Purging, Query, QueryTexts, SelectorTexts,
    Settled,
};
use crate::represent::Rendering;

/// Create Entity (5.6.1, 6.4.3.1).
pub async fn create(mut incoming: Incoming<'_>) -> Result<HttpResponse, Problem> {
    incoming.no_parameters_but_local()?;
    let body = incoming.body().await?;
    let (call, document) = incoming.read(&body).await?;
    let (id, settled) = incoming.broker.create_entity(&call, &document).await?;
    Ok(match settled {
        Settled::Done => created("entities", id.as_str()),
        Settled::Partly(outcome) => located(batch_done(outcome), "entities", id.as_str()),
    })
}

/// What is asked of one entity, read.
pub struct Retrieval {
    viewing: Viewing,
    only: Option<String>,
    map: MapTexts,
    rendering: Rendering,
}

impl Lasting for Retrieval {
    /// The member that a Feature takes for its geometry may not be known yet.
    fn lasts(&self) -> bool {
        self.rendering.geojson.is_none()
    }
}

/// Retrieve Entity (5.7.1, 6.5.3.1).
pub async fn retrieve(incoming: Incoming<'_>, id: &str) -> Result<HttpResponse, Problem> {
    let (broker, readings) = (incoming.broker, &incoming.questions.retrievals);
    let take = || -> Result<_, Problem> {
        let mut params = incoming.params()?;
        let mut viewing = Viewing::negotiate(incoming.http)?;
        viewing.take(&mut params)?;
        let only = params.take("type").map(|text| text.into_owned());
        let map = take_map(&mut params, incoming.headers())?;
        params.take_flag("local")?;
        params.finish()?;
        Ok((viewing, only, map))
    };
    let understand = |call: &Call, (viewing, only, map): (Viewing, _, _)| -> Result<_, Problem> {
        // What is wrong with it is told first.
        incoming.entity_id(id)?;
        let rendering = broker.rendering(call, &viewing.texts)?;
        Ok(Retrieval { viewing, only, map, rendering })
    };
    let (call, asked) = incoming.read_words(readings, take, understand).await?;
    let id = incoming.entity_id(id)?;
    let Retrieval { viewing, only, map, rendering } = &*asked;
    let answer = broker.retrieve_entity(&call, &id, only.as_deref(), rendering, map).await?;
    let mut response = one_entity(&call, viewing, rendering, &answer)?;
    name_map(&mut response, answer.map.as_ref());
    Ok(response)
}

/// A query, read, and the link to the page that follows once one was written.
pub struct Question {
    viewing: Viewing,
    query: Query,
    next: NextPage,
}

impl Question {
    fn new(
        incoming: &Incoming<'_>,
        call: &Call,
        (viewing, texts): (Viewing, QueryTexts),
    ) -> Result<Self, Problem> {
        let query = incoming.broker.prepare_query(call, texts, &viewing.texts)?;
        Ok(Self { viewing, query, next: NextPage::default() })
    }
}

impl Lasting for Question {
    fn lasts(&self) -> bool {
        self.query.lasts()
    }
}

/// Query Entities (5.7.2, 6.4.3.2).
pub async fn query(incoming: Incoming<'_>) -> Result<HttpResponse, Problem> {
    let take = || -> Result<_, Problem> {
        let mut params = incoming.params()?;
        let mut viewing = Viewing::negotiate(incoming.http)?;
        viewing.take(&mut params)?;
        let mut texts = take_query(&mut params)?;
        texts.map = take_map(&mut params, incoming.headers())?;
        texts.page = take_page(&mut params, &viewing)?;
        texts.attrs.clone_from(&viewing.texts.attrs);
        params.finish()?;
        Ok((viewing, texts))
    };
    let understand = |call: &Call, words| Question::new(&incoming, call, words);
    let (call, question) =
        incoming.read_words(&incoming.questions.queries, take, understand).await?;
    found(&incoming, &call, &question).await
}

/// Query Entities by a body (5.7.2, 6.23.3.1): the URL says how to page and what the answer looks
/// like, the body all else.
pub async fn query_by_body(mut incoming: Incoming<'_>) -> Result<HttpResponse, Problem> {
    let mut params = incoming.params()?;
    let mut viewing = Viewing::negotiate(incoming.http)?;
    viewing.take_from_url(&mut params)?;
    let mut texts = QueryTexts { local: params.take_flag("local")?, ..QueryTexts::default() };
    texts.page = take_page(&mut params, &viewing)?;
    params.finish()?;
    let body = incoming.body().await?;
    let (call, document) = incoming.read(&body).await?;
    incoming.broker.read_query(&document, &mut texts, &mut viewing.texts)?;
    texts.map.reference = map_reference(incoming.headers())?;
    let question = Question::new(&incoming, &call, (viewing, texts))?;
    found(&incoming, &call, &question).await
}

async fn found(
    incoming: &Incoming<'_>,
    call: &Call,
    question: &Question,
) -> Result<HttpResponse, Problem> {
    let Question { viewing, query, next } = question;
    let answer = incoming.broker.query_entities(call, query).await?;
    let mut response = entities(call, viewing, query.rendering(), &answer);
    let extent = (answer.entities.len(), answer.more);
    for link in next.page_links(incoming.http.uri(), query.page(), extent, viewing.media) {
        response.headers_mut().append(header::LINK, link);
    }
    if answer.map.as_ref().is_some_and(|map| map.created) {
        created_map(&mut response);
    }
    name_map(&mut response, answer.map.as_ref());
    Ok(response)
}

/// Replace Entity (5.6.18, 6.5.3.3).
pub async fn replace(mut incoming: Incoming<'_>, id: &str) -> Result<HttpResponse, Problem> {
    let only = incoming.only_type_parameter()?;
    let body = incoming.body().await?;
    let (call, document) = incoming.read(&body).await?;
    let id = incoming.entity_id(id)?;
    let settled = incoming.broker.replace_entity(&call, id, only.as_deref(), &document).await?;
    Ok(done(settled))
}

/// Merge Entity (5.6.17, 6.5.3.4).
pub async fn merge(mut incoming: Incoming<'_>, id: &str) -> Result<HttpResponse, Problem> {
    let mut params = incoming.params()?;
    let simplified = params.take_simplified()?;
    let only = params.take("type");
    let lang = params.take("lang");
    let observed_at = params.take_time("observedAt")?;
    params.take_flag("local")?;
    params.finish()?;
    let body = incoming.body().await?;
    let (call, document) = incoming.read(&body).await?;
    let id = incoming.entity_id(id)?;
    let merging = Merging { only: only.as_deref(), simplified, lang: lang.as_deref(), observed_at };
    Ok(done(incoming.broker.merge_entity(&call, id, merging, &document).await?))
}

/// Delete Entity (5.6.6, 6.5.3.2).
pub async fn delete(incoming: Incoming<'_>, id: &str) -> Result<HttpResponse, Problem> {
    let only = incoming.only_type_parameter()?;
    let call = incoming.call().await?;
    let id = incoming.entity_id(id)?;
    Ok(done(incoming.broker.delete_entity(&call, id, only.as_deref()).await?))
}

/// Purge Entities (5.6.21, 6.4.3.3).
pub async fn purge(incoming: Incoming<'_>) -> Result<HttpResponse, Problem> {
    let mut params = incoming.params()?;
    let mut texts = take_selection(&mut params)?;
    texts.attrs = params.take("attrs").map(|text| text.into_owned());
    let keep = params.take_list("keep")?;
    let drop = params.take_list("drop")?;
    params.take("geometryProperty");
    params.finish()?;
    texts.map.reference = map_reference(incoming.headers())?;
    let purging = match (keep.is_empty(), drop.is_empty()) {
        (true, true) => Purging::Entities,
        (false, true) => Purging::Keep(keep),
        (true, false) => Purging::Drop(drop),
        (false, false) => {
            return Err(Error::bad("keep and drop exclude each other").into());
        }
    };
    let call = incoming.call().await?;
    let outcome = incoming.broker.purge_entities(&call, &texts, &purging).await?;
    Ok(batch_done(outcome))
}

/// What selects and orders entities; paging and projection are taken elsewhere.
pub(super) fn take_query(params: &mut Params<'_>) -> Result<QueryTexts, Error> {
    let owned = |text: Option<std::borrow::Cow<'_, str>>| text.map(|text| text.into_owned());
    let split_entities = params.take_flag("splitEntities")?;
    Ok(QueryTexts {
        order_by: owned(params.take("orderBy")),
        collation: owned(params.take("collation")),
        order_from: owned(params.take("orderFrom")),
        order_geometry: owned(params.take("orderGeometry")),
        split_entities,
        ..take_selection(params)?
    })
}

/// What selects entities.
fn take_selection(params: &mut Params<'_>) -> Result<QueryTexts, Error> {
    let owned = |text: Option<std::borrow::Cow<'_, str>>| text.map(|text| text.into_owned());
    let selector = SelectorTexts {
        ids: params.take_ids("id")?,
        id_pattern: owned(params.take("idPattern")),
        types: owned(params.take("type")),
    };
    let geo = GeoTexts {
        georel: owned(params.take("georel")),
        geometry: owned(params.take("geometry")),
        coordinates: owned(params.take("coordinates")),
        geoproperty: owned(params.take("geoproperty")),
    };
    Ok(QueryTexts {
        selectors: vec![selector],
        q: owned(params.take("q")),
        csf: owned(params.take("csf")),
        // A plus sign that was not escaped was read as a space, and no scope holds one.
        scope_q: owned(params.take("scopeQ")).map(|text| text.replace(' ', "+")),
        geo,
        expand_values: owned(params.take("expandValues")),
        json_keys: owned(params.take("jsonKeys")),
        local: params.take_flag("local")?,
        ..QueryTexts::default()
    })
}

/// Reads what selects entities from the part of a URL after the question mark.
///
/// # Errors
/// What is no parameter of a query, or is given wrongly.
pub fn read_query(query: &str) -> Result<QueryTexts, Error> {
    let mut params = Params::parse(query)?;
    let mut texts = take_query(&mut params)?;
    texts.attrs = params.take("attrs").map(|text| text.into_owned());
    texts.page = PageTexts {
        limit: params.take_number("limit")?,
        offset: params.take_number("offset")?.unwrap_or(0),
        count: params.take_flag("count")?.unwrap_or(false),
    };
    params.finish()?;
    Ok(texts)
}

pub(super) fn take_page(params: &mut Params<'_>, viewing: &Viewing) -> Result<PageTexts, Error> {
    Ok(PageTexts {
        limit: params.take_number("limit")?,
        offset: params.take_number("offset")?.unwrap_or(0),
        count: params.take_flag("count")?.unwrap_or(false) || viewing.counts,
    })
}
