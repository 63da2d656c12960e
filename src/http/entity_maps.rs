//! `/entityMaps`, `/entityMaps/{entityMapId}` and `/temporal/entityMaps` (6.32, 6.34, 6.35), and
//! what other operations say of entity maps.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

use super::answer::{document, no_content, place, warn};
use super::entities::take_query;
use super::negotiate::{Media, accept};
use super::params::{Params, decode_percent};
use super::problem::Problem;
use super::request::Incoming;
use super::temporal::{take_looks, take_projection, take_time};
use super::viewing::Viewing;
use crate::broker::{Call, Error, HistoryTexts, MapTexts, MapUse, QueryTexts};
use crate::federate::Warning;
use crate::model::{EntityMap, EntityMapId};
use crate::represent::write_entity_map;

/// `NGSILD-EntityMap` (4.3.6.7): where the map is that an answer was made with.
pub(super) static ENTITY_MAP: HeaderName = HeaderName::from_static("ngsild-entitymap");

const COLLECTION: &str = "entityMaps";

/// Create EntityMap for Query Entities (5.14.4, 6.34.3.1). What concerns pages and looks may be
/// there and has no effect.
pub async fn create(incoming: Incoming<'_>) -> Result<HttpResponse, Problem> {
    let mut params = incoming.params()?;
    let mut viewing = Viewing::negotiate_one_of(incoming.http, OFFERED)?;
    viewing.take(&mut params)?;
    let mut texts = take_query(&mut params)?;
    texts.attrs.clone_from(&viewing.texts.attrs);
    texts.map = take_wish(&mut params)?;
    ignore_page(&mut params)?;
    params.finish()?;
    let call = incoming.call().await?;
    let map = incoming.broker.create_entity_map(&call, &texts).await?;
    Ok(made(viewing.media, &call, &map))
}

/// Create EntityMap for Query Entities by a body (5.14.4, 6.34.3.2).
pub async fn create_by_body(mut incoming: Incoming<'_>) -> Result<HttpResponse, Problem> {
    let mut params = incoming.params()?;
    let mut viewing = Viewing::negotiate_one_of(incoming.http, OFFERED)?;
    viewing.take_from_url(&mut params)?;
    let mut texts = QueryTexts { local: params.take_flag("local")?, ..QueryTexts::default() };
    ignore_page(&mut params)?;
    params.finish()?;
    let body = incoming.body().await?;
    let (call, query) = incoming.read(&body).await?;
    incoming.broker.read_query(&query, &mut texts, &mut viewing.texts)?;
    let map = incoming.broker.create_entity_map(&call, &texts).await?;
    Ok(made(viewing.media, &call, &map))
}

/// Create EntityMap for Query Temporal Evolution of Entities (5.14.5, 6.35.3.1).
pub async fn create_temporal(incoming: Incoming<'_>) -> Result<HttpResponse, Problem> {
    let mut params = incoming.params()?;
    let mut viewing = Viewing::negotiate_one_of(incoming.http, OFFERED)?;
    let mut texts = take_time(&mut params)?;
    take_looks(&mut params, &mut viewing, &mut texts)?;
    take_projection(&mut params, &mut viewing);
    let mut query = take_query(&mut params)?;
    query.attrs.clone_from(&viewing.texts.attrs);
    query.map = take_wish(&mut params)?;
    ignore_page(&mut params)?;
    params.finish()?;
    let (call, view) = (incoming.call().await?, &viewing.texts);
    let broker = incoming.broker;
    let map = broker.create_temporal_entity_map(&call, &query, &texts, view).await?;
    Ok(made(viewing.media, &call, &map))
}

/// Create EntityMap for Query Temporal Evolution of Entities by a body (5.14.5, 6.35.3.2).
pub async fn create_temporal_by_body(mut incoming: Incoming<'_>) -> Result<HttpResponse, Problem> {
    let mut params = incoming.params()?;
    let mut viewing = Viewing::negotiate_one_of(incoming.http, OFFERED)?;
    let mut texts = HistoryTexts::default();
    take_looks(&mut params, &mut viewing, &mut texts)?;
    let mut query = QueryTexts { local: params.take_flag("local")?, ..QueryTexts::default() };
    ignore_page(&mut params)?;
    params.finish()?;
    let body = incoming.body().await?;
    let (call, document) = incoming.read(&body).await?;
    let (broker, view) = (incoming.broker, &mut viewing.texts);
    broker.read_temporal_query(&document, &mut query, &mut texts, view)?;
    let map = broker.create_temporal_entity_map(&call, &query, &texts, view).await?;
    Ok(made(viewing.media, &call, &map))
}

/// Retrieve EntityMap (5.14.1, 6.32.3.1).
pub async fn retrieve(incoming: Incoming<'_>, id: &str) -> Result<HttpResponse, Problem> {
    let media = accept(incoming.http, false)?;
    incoming.params()?.finish()?;
    let call = incoming.call().await?;
    let map = incoming.broker.retrieve_entity_map(&call, &map_id(id)?).await?;
    Ok(document(media, &call, written(media, &call, &map)))
}

/// Update EntityMap (5.14.2, 6.32.3.2).
pub async fn update(mut incoming: Incoming<'_>, id: &str) -> Result<HttpResponse, Problem> {
    incoming.params()?.finish()?;
    let body = incoming.body().await?;
    let (call, fragment) = incoming.read(&body).await?;
    incoming.broker.update_entity_map(&call, &map_id(id)?, &fragment).await?;
    Ok(no_content())
}

/// Delete EntityMap (5.14.3, 6.32.3.3).
pub async fn delete(incoming: Incoming<'_>, id: &str) -> Result<HttpResponse, Problem> {
    incoming.params()?.finish()?;
    let call = incoming.call().await?;
    incoming.broker.delete_entity_map(&call, &map_id(id)?).await?;
    Ok(no_content())
}

/// The media types that a map is written in.
const OFFERED: &[Media] = &[Media::Json, Media::LdJson];

fn map_id(text: &str) -> Result<EntityMapId, Error> {
    EntityMapId::parse(text).map_err(|why| Error::bad(why.to_string()))
}

fn written(media: Media, call: &Call, map: &EntityMap) -> Vec<u8> {
    let mut body = Vec::with_capacity(256 + 64 * map.entities.len());
    let context = (media == Media::LdJson).then_some(&*call.context);
    write_entity_map(&mut body, map, context);
    body
}

fn made(media: Media, call: &Call, (map, warnings): &(EntityMap, Vec<Warning>)) -> HttpResponse {
    let mut response = document(media, call, written(media, call, map));
    *response.status_mut() = StatusCode::CREATED;
    name_map(&mut response, Some(&MapUse { id: map.id.clone(), created: true }));
    warn(response.headers_mut(), warnings);
    response
}

/// What concerns pages has no effect on a map, which names all that is found.
fn ignore_page(params: &mut Params<'_>) -> Result<(), Error> {
    params.take_number("limit")?;
    params.take_number("offset")?;
    params.take_flag("count")?;
    Ok(())
}

/// The parameters of an operation that makes a map in any case.
fn take_wish(params: &mut Params<'_>) -> Result<MapTexts, Error> {
    params.take_flag("entityMap")?;
    let lifetime = params.take("entityMapLifetime").map(|text| text.into_owned());
    Ok(MapTexts { wanted: true, lifetime, reference: None })
}

/// What a request by URL says of entity maps.
pub(super) fn take_map(params: &mut Params<'_>, headers: &HeaderMap) -> Result<MapTexts, Error> {
    Ok(MapTexts {
        wanted: params.take_flag("entityMap")?.unwrap_or(false),
        lifetime: params.take("entityMapLifetime").map(|text| text.into_owned()),
        reference: map_reference(headers)?,
    })
}

/// The map that the header names, by its id or by where it is.
pub(super) fn map_reference(headers: &HeaderMap) -> Result<Option<String>, Error> {
    let Some(value) = headers.get(&ENTITY_MAP) else { return Ok(None) };
    let text = std::str::from_utf8(value.as_bytes())
        .map_err(|_| Error::bad("NGSILD-EntityMap is not UTF-8"))?
        .trim();
    let id = match text.rsplit_once("/entityMaps/") {
        Some((_, id)) => decode_percent(id.trim_end_matches('/'))?,
        None => text.into(),
    };
    Ok((!id.is_empty()).then(|| id.into_owned()))
}

/// Says which map an answer was made with.
pub(super) fn name_map(response: &mut HttpResponse, map: Option<&MapUse>) {
    let Some(map) = map else { return };
    if let Ok(value) = HeaderValue::from_str(&place(COLLECTION, map.id.as_str())) {
        response.headers_mut().insert(ENTITY_MAP.clone(), value);
    }
}

/// A page that came with a new map is a creation, unless its looks or its extent say more.
pub(super) fn created_map(response: &mut HttpResponse) {
    if response.status() == StatusCode::OK {
        *response.status_mut() = StatusCode::CREATED;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_is_named_by_its_id_or_by_where_it_is() {
        let id = "urn:ngsi-ld:EntityMap:1";
        for (text, expected) in [
            (id, Some(id)),
            ("/ngsi-ld/v1/entityMaps/urn:ngsi-ld:EntityMap:1", Some(id)),
            ("https://a.b/ngsi-ld/v1/entityMaps/urn%3Angsi-ld%3AEntityMap%3A1/", Some(id)),
            (" ", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ENTITY_MAP.clone(), HeaderValue::from_static(text));
            assert_eq!(map_reference(&headers).expect("fine").as_deref(), expected, "{text}");
        }
        assert_eq!(map_reference(&HeaderMap::new()).expect("fine"), None);
    }
}
