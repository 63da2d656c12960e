//! `/subscriptions` and `/subscriptions/{subscriptionId}` (6.10, 6.11), and what is the same for
//! registrations: `/csourceSubscriptions` and `/csourceSubscriptions/{subscriptionId}` (6.12, 6.13).

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};

use super::answer::{apply_version, created, document, no_content, results_count};
use super::negotiate::{Media, accept};
use super::pages::page_links;
use super::params::Params;
use super::problem::Problem;
use super::request::Incoming;
use super::viewing::version;
use crate::broker::{About, Call, Error, PageTexts, Subscribed};
use crate::model::SubscriptionId;
use crate::represent::subscription::Showing;

/// Create Subscription (5.8.1, 6.10.3.1; 5.11.2, 6.12.3.1).
pub async fn create(mut incoming: Incoming<'_>, about: About) -> Result<HttpResponse, Problem> {
    incoming.params()?.finish()?;
    let body = incoming.body().await?;
    let (call, document) = incoming.read(&body).await?;
    let way = way_of(incoming.http);
    let id = incoming.broker.create_subscription_of(&call, about, &document, way).await?;
    let collection = match about {
        About::Entities => "subscriptions",
        About::Sources => "csourceSubscriptions",
    };
    Ok(created(collection, id.as_str()))
}

/// The brokers that a request passed, if it passed any.
fn way_of(request: &HttpRequest) -> Option<String> {
    let via: Vec<&str> =
        request.headers().get_all(header::VIA).filter_map(|via| via.to_str().ok()).collect();
    (!via.is_empty()).then(|| via.join(", "))
}

/// Query Subscriptions (5.8.4, 6.10.3.2; 5.11.5, 6.12.3.2).
pub async fn query(incoming: Incoming<'_>, about: About) -> Result<HttpResponse, Problem> {
    let media = accept(incoming.http, false)?;
    let mut params = incoming.params()?;
    let mut page = PageTexts {
        limit: params.take_number("limit")?,
        offset: params.take_number("offset")?.unwrap_or(0),
        count: params.take_flag("count")?.unwrap_or(false),
    };
    let options = take_options(&mut params)?;
    page.count |= options.count;
    params.finish()?;
    let call = incoming.call().await?;
    let found = incoming.broker.query_subscriptions(&call, about, &page).await?;
    let showing = showing(&call, media, options.sys_attrs);
    let mut body = Vec::with_capacity(2 + 512 * found.subscriptions.len());
    body.push(b'[');
    for (place, one) in found.subscriptions.iter().enumerate() {
        if place > 0 {
            body.push(b',');
        }
        showing.write(&mut body, &one.subscription, &one.report);
    }
    body.push(b']');
    let extent = (found.subscriptions.len(), found.more);
    let mut response = dressed(&incoming, media, &call, body);
    let headers = response.headers_mut();
    if let Some(count) = found.count {
        results_count(headers, count);
    }
    for link in page_links(incoming.http.uri(), &page, extent, media) {
        headers.append(header::LINK, link);
    }
    Ok(response)
}

/// Retrieve Subscription (5.8.3, 6.11.3.1; 5.11.4, 6.13.3.1).
pub async fn retrieve(
    incoming: Incoming<'_>,
    about: About,
    id: &str,
) -> Result<HttpResponse, Problem> {
    let media = accept(incoming.http, false)?;
    let mut params = incoming.params()?;
    let options = take_options(&mut params)?;
    params.finish()?;
    let call = incoming.call().await?;
    let id = subscription_id(id)?;
    let found = incoming.broker.retrieve_subscription(&call, about, &id).await?;
    let Subscribed { subscription, report } = &found;
    let mut body = Vec::with_capacity(1_024);
    showing(&call, media, options.sys_attrs).write(&mut body, subscription, report);
    Ok(dressed(&incoming, media, &call, body))
}

/// Update Subscription (5.8.2, 6.11.3.2; 5.11.3, 6.13.3.2).
pub async fn update(
    mut incoming: Incoming<'_>,
    about: About,
    id: &str,
) -> Result<HttpResponse, Problem> {
    incoming.params()?.finish()?;
    let body = incoming.body().await?;
    let (call, document) = incoming.read(&body).await?;
    incoming.broker.update_subscription(&call, about, &subscription_id(id)?, &document).await?;
    Ok(no_content())
}

/// Delete Subscription (5.8.5, 6.11.3.3; 5.11.6, 6.13.3.3).
pub async fn delete(
    incoming: Incoming<'_>,
    about: About,
    id: &str,
) -> Result<HttpResponse, Problem> {
    incoming.params()?.finish()?;
    let call = incoming.call().await?;
    incoming.broker.delete_subscription(&call, about, &subscription_id(id)?).await?;
    Ok(no_content())
}

/// The subscription that a path names.
pub fn subscription_id(text: &str) -> Result<SubscriptionId, Error> {
    SubscriptionId::parse(text).map_err(|why| Error::bad(why.to_string()))
}

/// The words of `options` that concern subscriptions and registrations.
#[derive(Default)]
pub(super) struct Options {
    pub sys_attrs: bool,
    pub count: bool,
}

pub(super) fn take_options(params: &mut Params<'_>) -> Result<Options, Error> {
    let mut options = Options::default();
    for word in params.take_list("options")? {
        match word.as_str() {
            "sysAttrs" => options.sys_attrs = true,
            "count" => options.count = true,
            other => {
                return Err(Error::request(format!("options knows sysAttrs here, not {other:?}")));
            }
        }
    }
    Ok(options)
}

fn showing(call: &Call, media: Media, sys_attrs: bool) -> Showing<'_> {
    Showing {
        context: &call.context,
        context_in_body: media == Media::LdJson,
        sys_attrs,
        now: call.now,
    }
}

/// Older versions of the specification have the same subscriptions and registrations (4.3.6.8): a version that was
/// preferred is applied by changing nothing.
pub(super) fn dressed(
    incoming: &Incoming<'_>,
    media: Media,
    call: &Call,
    body: Vec<u8>,
) -> HttpResponse {
    let mut response = document(media, call, body);
    if let Some(version) = version(incoming.headers()) {
        apply_version(response.headers_mut(), version);
    }
    response
}
