//! `/temporal/entities` and what is below, and `/temporal/entityOperations/query` (6.18 to 6.22,
//! 6.24).

use actix_web::HttpResponse;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{StatusCode, Uri};
use bytes::Bytes;

use super::answer::{RESULTS_COUNT, created, done, dressed, warn};
use super::entities::{take_page, take_query};
use super::entity_maps::{created_map, map_reference, name_map, take_map};
use super::negotiate::Media;
use super::pages::page_links;
use super::params::Params;
use super::problem::Problem;
use super::request::Incoming;
use super::tables;
use super::viewing::Viewing;
use crate::broker::{
    Call, Error, History, HistoryTexts, KeptHistory, PageTexts, QueryTexts, RangeSize, Settled,
    TimeRange, delete_instances,
};
use crate::model::Timestamp;
use crate::represent::{TemporalForm, write_evolution, write_evolutions};

/// What answers of the temporal API may be written in.
const OFFERED: &[Media] = &[Media::Json, Media::LdJson, Media::Csv, Media::Arrow];

/// Create or Update Temporal Evolution of an Entity (5.6.11, 6.18.3.1).
pub async fn upsert(mut incoming: Incoming<'_>) -> Result<HttpResponse, Problem> {
    incoming.no_parameters_but_local()?;
    let body = incoming.batch_body().await?;
    let (call, document) = incoming.read(&body).await?;
    let (id, begun, settled) = incoming.broker.upsert_evolution(&call, &document).await?;
    Ok(match settled {
        Settled::Done if begun => created("temporal/entities", id.as_str()),
        settled => done(settled),
    })
}

/// Retrieve Temporal Evolution of an Entity (5.7.3, 6.19.3.1).
pub async fn retrieve(incoming: Incoming<'_>, id: &str) -> Result<HttpResponse, Problem> {
    let mut params = incoming.params()?;
    let mut viewing = Viewing::negotiate_one_of(incoming.http, OFFERED)?;
    let mut texts = take_time(&mut params)?;
    take_looks(&mut params, &mut viewing, &mut texts)?;
    take_projection(&mut params, &mut viewing);
    let map = take_map(&mut params, incoming.headers())?;
    params.take_flag("local")?;
    params.finish()?;
    let call = incoming.call().await?;
    let id = incoming.entity_id(id)?;
    let broker = incoming.broker;
    let question = (incoming.http.uri().query(), viewing.media, viewing.texts.version);
    let asked = match viewing.media {
        Media::Json | Media::LdJson if !map.any() => broker.asked_history(&call, &id, question),
        _ => None,
    };
    if let Some(kept) = asked.and_then(|asked| broker.kept_history(asked)) {
        return Ok(again(&call, &viewing, kept));
    }
    let mut history = broker.retrieve_evolution(&call, &id, &texts, &viewing.texts, &map).await?;
    let map = history.map.take();
    let mut response = match viewing.media {
        Media::Csv | Media::Arrow => tables::answer(&incoming, call, &viewing, history)?,
        _ => {
            let answer = one(&call, &viewing, &history)?;
            if let Some(asked) = asked {
                broker.keep_history(asked, answer.clone());
            }
            let mut response = again(&call, &viewing, answer);
            warn(response.headers_mut(), &history.warnings);
            response
        }
    };
    name_map(&mut response, map.as_ref());
    Ok(response)
}

/// Query Temporal Evolution of Entities (5.7.4, 6.18.3.2).
pub async fn query(incoming: Incoming<'_>) -> Result<HttpResponse, Problem> {
    let mut params = incoming.params()?;
    let mut viewing = Viewing::negotiate_one_of(incoming.http, OFFERED)?;
    let mut texts = take_time(&mut params)?;
    take_looks(&mut params, &mut viewing, &mut texts)?;
    take_projection(&mut params, &mut viewing);
    let mut query = take_query(&mut params)?;
    query.map = take_map(&mut params, incoming.headers())?;
    query.page = take_page(&mut params, &viewing)?;
    query.attrs.clone_from(&viewing.texts.attrs);
    params.finish()?;
    let call = incoming.call().await?;
    found(&incoming, call, &viewing, &query, &texts).await
}

/// Query Temporal Evolution of Entities by a body (5.7.4, 6.24.3.1).
pub async fn query_by_body(mut incoming: Incoming<'_>) -> Result<HttpResponse, Problem> {
    let mut params = incoming.params()?;
    let mut viewing = Viewing::negotiate_one_of(incoming.http, OFFERED)?;
    let mut texts = HistoryTexts::default();
    take_looks(&mut params, &mut viewing, &mut texts)?;
    let mut query = QueryTexts { local: params.take_flag("local")?, ..QueryTexts::default() };
    query.page = take_page(&mut params, &viewing)?;
    params.finish()?;
    let body = incoming.body().await?;
    let (call, document) = incoming.read(&body).await?;
    incoming.broker.read_temporal_query(&document, &mut query, &mut texts, &mut viewing.texts)?;
    query.map.reference = map_reference(incoming.headers())?;
    found(&incoming, call, &viewing, &query, &texts).await
}

/// Delete Temporal Evolution of an Entity (5.6.16, 6.19.3.2).
pub async fn delete(incoming: Incoming<'_>, id: &str) -> Result<HttpResponse, Problem> {
    incoming.no_parameters_but_local()?;
    let call = incoming.call().await?;
    let id = incoming.entity_id(id)?;
    Ok(done(incoming.broker.delete_evolution(&call, id).await?))
}

/// Add Attributes to Temporal Evolution of an Entity (5.6.12, 6.20.3.1).
pub async fn add(mut incoming: Incoming<'_>, id: &str) -> Result<HttpResponse, Problem> {
    incoming.no_parameters_but_local()?;
    let body = incoming.batch_body().await?;
    let (call, document) = incoming.read(&body).await?;
    let id = incoming.entity_id(id)?;
    Ok(done(incoming.broker.add_instances(&call, id, &document).await?))
}

/// Delete Attribute from Temporal Evolution of an Entity (5.6.13, 6.21.3.1).
pub async fn delete_attribute(
    incoming: Incoming<'_>,
    id: &str,
    attribute: &str,
) -> Result<HttpResponse, Problem> {
    let call = incoming.call().await?;
    let mut params = incoming.params()?;
    let dataset = params.take("datasetId");
    let all = params.take_flag("deleteAll")?.unwrap_or(false);
    params.take_flag("local")?;
    params.finish()?;
    let id = incoming.entity_id(id)?;
    let instances = delete_instances(dataset.as_deref(), all)?;
    Ok(done(incoming.broker.delete_course(&call, id, attribute, instances).await?))
}

/// Modify Attribute Instance in Temporal Evolution of an Entity (5.6.14, 6.22.3.1).
pub async fn modify_instance(
    mut incoming: Incoming<'_>,
    id: &str,
    attribute: &str,
    instance: &str,
) -> Result<HttpResponse, Problem> {
    incoming.no_parameters_but_local()?;
    let body = incoming.body().await?;
    let (call, document) = incoming.read(&body).await?;
    let id = incoming.entity_id(id)?;
    Ok(done(incoming.broker.modify_instance(&call, id, attribute, instance, &document).await?))
}

/// Delete Attribute Instance from Temporal Evolution of an Entity (5.6.15, 6.22.3.2).
pub async fn delete_instance(
    incoming: Incoming<'_>,
    id: &str,
    attribute: &str,
    instance: &str,
) -> Result<HttpResponse, Problem> {
    incoming.no_parameters_but_local()?;
    let call = incoming.call().await?;
    let id = incoming.entity_id(id)?;
    Ok(done(incoming.broker.delete_instance(&call, id, attribute, instance).await?))
}

async fn found(
    incoming: &Incoming<'_>,
    call: Call,
    viewing: &Viewing,
    query: &QueryTexts,
    texts: &HistoryTexts,
) -> Result<HttpResponse, Problem> {
    let mut history = incoming.broker.query_evolution(&call, query, texts, &viewing.texts).await?;
    let map = history.map.take();
    let (extent, count) = ((history.told.evolutions.len(), history.more), history.count);
    let warnings = history.warnings.clone();
    let mut response = match viewing.media {
        Media::Csv | Media::Arrow => tables::answer(incoming, call, viewing, history)?,
        _ => several(&call, viewing, &history),
    };
    put_page(&mut response, incoming.http.uri(), &query.page, extent, count, viewing.media);
    if map.as_ref().is_some_and(|map| map.created) {
        created_map(&mut response);
    }
    name_map(&mut response, map.as_ref());
    warn(response.headers_mut(), &warnings);
    Ok(response)
}

fn put_page(
    response: &mut HttpResponse,
    uri: &Uri,
    page: &PageTexts,
    extent: (usize, bool),
    count: Option<u64>,
    media: Media,
) {
    let headers = response.headers_mut();
    if let Some(count) = count {
        headers.insert(RESULTS_COUNT.clone(), count.into());
    }
    for link in page_links(uri, page, extent, media) {
        headers.append(header::LINK, link);
    }
}

/// The evolution of one entity.
fn one(call: &Call, viewing: &Viewing, history: &History) -> Result<KeptHistory, Problem> {
    let Some(evolution) = history.told.evolutions.first() else {
        return Err(Problem::internal("a history was found and is not there"));
    };
    let mut body = Vec::with_capacity(4_096);
    let in_body = viewing.context_in_body();
    let written = write_evolution(&mut body, evolution, &history.looks, &call.context, in_body);
    if written.empty {
        return Err(Problem::not_found("the history has none of the members that were asked for"));
    }
    let (body, altered) = (Bytes::from(body), written.altered);
    Ok(KeptHistory { body, altered, range: history.range, thinned: history.thinned })
}

/// The answer that tells of one entity.
fn again(call: &Call, viewing: &Viewing, answer: KeptHistory) -> HttpResponse {
    let KeptHistory { body, altered, range, thinned } = answer;
    let mut response = dressed(call, viewing, altered, body);
    put_range(&mut response, range);
    put_thinned(&mut response, thinned);
    response
}

/// The evolutions of a page of entities.
fn several(call: &Call, viewing: &Viewing, history: &History) -> HttpResponse {
    let mut body = Vec::with_capacity(4_096);
    let (all, in_body) = (&history.told.evolutions, viewing.context_in_body());
    let written = write_evolutions(&mut body, all, &history.looks, &call.context, in_body);
    let mut response = dressed(call, viewing, written.altered, body);
    put_range(&mut response, history.range);
    put_thinned(&mut response, history.thinned);
    response
}

/// Says which time the answer covers, if that is not all that was asked for (6.3.10).
pub(super) fn put_range(response: &mut HttpResponse, range: Option<TimeRange>) {
    let Some(TimeRange { start, end, size }) = range else { return };
    let size = match size {
        RangeSize::LastN(most) => most.to_string(),
        RangeSize::Unknown => "*".to_owned(),
    };
    if let Ok(range) = HeaderValue::from_str(&format!("date-time {start}-{end}/{size}")) {
        response.headers_mut().insert(header::CONTENT_RANGE, range);
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
}

/// Says up to when means of hours or days stand for what was measured then. Not of NGSI-LD, whose
/// warnings are those of distributed queries.
pub(super) fn put_thinned(response: &mut HttpResponse, thinned: Option<Timestamp>) {
    let value = thinned.and_then(|until| HeaderValue::from_str(&until.to_string()).ok());
    if let Some(value) = value {
        response.headers_mut().insert(HeaderName::from_static("lanna-thinned-until"), value);
    }
}

fn owned(text: Option<std::borrow::Cow<'_, str>>) -> Option<String> {
    text.map(|text| text.into_owned())
}

/// The parameters of a temporal query and an aggregation.
pub(super) fn take_time(params: &mut Params<'_>) -> Result<HistoryTexts, Error> {
    Ok(HistoryTexts {
        timerel: owned(params.take("timerel")),
        time_at: owned(params.take("timeAt")),
        end_time_at: owned(params.take("endTimeAt")),
        time_property: owned(params.take("timeproperty")),
        last_n: owned(params.take("lastN")),
        ..HistoryTexts::default()
    })
}

pub(super) fn take_projection(params: &mut Params<'_>, viewing: &mut Viewing) {
    let texts = &mut viewing.texts;
    texts.pick = owned(params.take("pick"));
    texts.omit = owned(params.take("omit"));
    texts.attrs = owned(params.take("attrs"));
    texts.datasets = owned(params.take("datasetId"));
    texts.lang = owned(params.take("lang"));
}

/// `format` and `options` share their words; `format` wins, but all have to be right (6.3.12).
pub(super) fn take_looks(
    params: &mut Params<'_>,
    viewing: &mut Viewing,
    texts: &mut HistoryTexts,
) -> Result<(), Error> {
    let mut of_options = None;
    for word in owned(params.take("options")).unwrap_or_default().split(',').map(str::trim) {
        match word {
            "" => {}
            "sysAttrs" => viewing.texts.sys_attrs = true,
            "count" => viewing.counts = true,
            word => set_form(&mut of_options, word)?,
        }
    }
    let mut of_format = None;
    if let Some(word) = params.take("format") {
        set_form(&mut of_format, word.trim())?;
    }
    texts.mentions_aggregates =
        [of_options, of_format].contains(&Some(TemporalForm::AggregatedValues));
    texts.form = of_format.or(of_options);
    texts.aggr_methods = owned(params.take("aggrMethods"));
    texts.aggr_period = owned(params.take("aggrPeriodDuration"));
    Ok(())
}

fn set_form(place: &mut Option<TemporalForm>, word: &str) -> Result<(), Error> {
    let Some(form) = TemporalForm::from_keyword(word) else {
        return Err(Error::request(format!(
            "there is no temporal representation {word:?}: use normalized, temporalValues or \
             aggregatedValues, and sysAttrs in options"
        )));
    };
    match place.replace(form) {
        Some(other) if other != form => {
            Err(Error::request("two representations are asked for at once"))
        }
        _ => Ok(()),
    }
}
