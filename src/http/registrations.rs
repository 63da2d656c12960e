//! `/csourceRegistrations` and `/csourceRegistrations/{registrationId}` (6.8, 6.9).

use std::borrow::Cow;

use actix_web::HttpResponse;
use actix_web::http::header;

use super::answer::{created, no_content, results_count};
use super::negotiate::{Media, accept};
use super::pages::page_links;
use super::params::Params;
use super::problem::Problem;
use super::request::Incoming;
use super::subscriptions::{dressed, take_options};
use super::temporal::take_time;
use crate::broker::{Call, Error, GeoTexts, PageTexts, RegistrationTexts, SelectorTexts};
use crate::model::RegistrationId;
use crate::represent::registration::{Registration, Showing};
use crate::represent::subscription::DeliveryReport;

/// Register Context Source (5.9.2, 6.8.3.1).
pub async fn create(mut incoming: Incoming<'_>) -> Result<HttpResponse, Problem> {
    incoming.params()?.finish()?;
    let body = incoming.body().await?;
    let (call, document) = incoming.read(&body).await?;
    let id = incoming.broker.register_source(&call, &document).await?;
    Ok(created("csourceRegistrations", id.as_str()))
}

/// Query Context Source Registrations (5.10.2, 6.8.3.2).
pub async fn query(incoming: Incoming<'_>) -> Result<HttpResponse, Problem> {
    let media = accept(incoming.http, false)?;
    let mut params = incoming.params()?;
    let options = take_options(&mut params)?;
    let mut texts = take_query(&mut params)?;
    texts.page.count |= options.count;
    params.finish()?;
    let call = incoming.call().await?;
    let found = incoming.broker.query_registrations(&call, &texts).await?;
    let showing = showing(&call, media, options.sys_attrs);
    let mut body = Vec::with_capacity(2 + 512 * found.registrations.len());
    body.push(b'[');
    for (place, one) in found.registrations.iter().enumerate() {
        if place > 0 {
            body.push(b',');
        }
        showing.write(&mut body, one, report(&incoming, &call, one).as_ref());
    }
    body.push(b']');
    let extent = (found.registrations.len(), found.more);
    let mut response = dressed(&incoming, media, &call, body);
    let headers = response.headers_mut();
    if let Some(count) = found.count {
        results_count(headers, count);
    }
    for link in page_links(incoming.http.uri(), &texts.page, extent, media) {
        headers.append(header::LINK, link);
    }
    Ok(response)
}

/// Retrieve Context Source Registration (5.10.1, 6.9.3.1).
pub async fn retrieve(incoming: Incoming<'_>, id: &str) -> Result<HttpResponse, Problem> {
    let media = accept(incoming.http, false)?;
    let mut params = incoming.params()?;
    let options = take_options(&mut params)?;
    params.finish()?;
    let call = incoming.call().await?;
    let found = incoming.broker.retrieve_registration(&call, &registration_id(id)?).await?;
    let mut body = Vec::with_capacity(1_024);
    let report = report(&incoming, &call, &found);
    showing(&call, media, options.sys_attrs).write(&mut body, &found, report.as_ref());
    Ok(dressed(&incoming, media, &call, body))
}

/// Update Context Source Registration (5.9.3, 6.9.3.2).
pub async fn update(mut incoming: Incoming<'_>, id: &str) -> Result<HttpResponse, Problem> {
    incoming.params()?.finish()?;
    let body = incoming.body().await?;
    let (call, document) = incoming.read(&body).await?;
    incoming.broker.update_registration(&call, &registration_id(id)?, &document).await?;
    Ok(no_content())
}

/// Delete Context Source Registration (5.9.4, 6.9.3.3).
pub async fn delete(incoming: Incoming<'_>, id: &str) -> Result<HttpResponse, Problem> {
    incoming.params()?.finish()?;
    let call = incoming.call().await?;
    incoming.broker.delete_registration(&call, &registration_id(id)?).await?;
    Ok(no_content())
}

/// How the source fares, once it was asked.
fn report(
    incoming: &Incoming<'_>,
    call: &Call,
    registration: &Registration,
) -> Option<DeliveryReport> {
    let register = &incoming.broker.federation().register;
    register.report(&call.tenant, &registration.id).filter(|report| report.status.is_some())
}

/// The registration that a path names.
fn registration_id(text: &str) -> Result<RegistrationId, Error> {
    RegistrationId::parse(text).map_err(|why| Error::bad(why.to_string()))
}

fn take_query(params: &mut Params<'_>) -> Result<RegistrationTexts, Error> {
    let owned = |text: Option<Cow<'_, str>>| text.map(Cow::into_owned);
    // There is no answer in GeoJSON that it could be for.
    params.take("geometryProperty");
    Ok(RegistrationTexts {
        selector: SelectorTexts {
            ids: params.take_ids("id")?,
            id_pattern: owned(params.take("idPattern")),
            types: owned(params.take("type")),
        },
        attrs: owned(params.take("attrs")),
        pick: owned(params.take("pick")),
        omit: owned(params.take("omit")),
        q: owned(params.take("q")),
        csf: owned(params.take("csf")),
        // A plus sign that was not escaped was read as a space, and no scope holds one.
        scope_q: owned(params.take("scopeQ")).map(|text| text.replace(' ', "+")),
        geo: GeoTexts {
            georel: owned(params.take("georel")),
            geometry: owned(params.take("geometry")),
            coordinates: owned(params.take("coordinates")),
            geoproperty: owned(params.take("geoproperty")),
        },
        time: take_time(params)?,
        lang: owned(params.take("lang")),
        page: PageTexts {
            limit: params.take_number("limit")?,
            offset: params.take_number("offset")?.unwrap_or(0),
            count: params.take_flag("count")?.unwrap_or(false),
        },
    })
}

fn showing(call: &Call, media: Media, sys_attrs: bool) -> Showing<'_> {
    Showing {
        context: &call.context,
        context_in_body: media == Media::LdJson,
        sys_attrs,
        only: None,
    }
}
