//! `/admin`: how deliveries stand, and what to do with notifications that could not be delivered.
//! For those who operate the broker, not of the specification; `docs/notifications.md` tells more.

use std::net::IpAddr;

use actix_web::http::StatusCode;
use actix_web::http::header::{
    AUTHORIZATION, FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue, LINK, ORIGIN, VIA,
    WWW_AUTHENTICATE,
};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use serde_json::json;
use url::form_urlencoded;

use super::params::{self, Params};
use super::problem::Problem;
use super::request::Incoming;
use super::state::State;
use crate::broker::{Broker, Error};
use crate::config::Admin;
use crate::model::{SubscriptionId, TenantId};
use crate::subscribe::{Notifier, Overview, Pick};

/// How many things a page holds when the request does not say.
const PAGE: usize = 100;

/// How deliveries stand, by subscription.
pub async fn subscriptions(incoming: Incoming<'_>) -> Result<HttpResponse, Problem> {
    let (tenant, mut params) = admitted(&incoming)?;
    let failing = params.take_flag("failing")?.unwrap_or(false);
    let page = Page::take(&mut params, incoming.broker)?;
    params.finish()?;
    incoming.broker.check_tenant(&tenant).await?;
    let notifier = incoming.broker.notifier();
    let found = match failing {
        false => notifier.overview(&tenant, page.after.as_deref(), page.limit + 1),
        true => those_that_fail(notifier, &tenant, &page),
    };
    Ok(page.answer(&incoming, found, |overview| &overview.id))
}

/// One more than a page of subscriptions whose receivers fail.
fn those_that_fail(notifier: &Notifier, tenant: &TenantId, page: &Page) -> Vec<Overview> {
    let mut found = Vec::new();
    let mut after = page.after.clone();
    loop {
        let some = notifier.overview(tenant, after.as_deref(), 10_000);
        after = some.last().map(|overview| overview.id.clone());
        let full = some.len() == 10_000;
        found.extend(some.into_iter().filter(|overview| overview.failures > 0));
        if !full || found.len() > page.limit {
            found.truncate(page.limit + 1);
            return found;
        }
    }
}

/// How the deliveries of one subscription stand.
pub async fn subscription(incoming: Incoming<'_>, id: &str) -> Result<HttpResponse, Problem> {
    let (tenant, params) = admitted(&incoming)?;
    params.finish()?;
    let id = subscription_id(id)?;
    match incoming.broker.notifier().overview_of(&tenant, &id) {
        Some(overview) => Ok(HttpResponse::Ok().json(overview)),
        None => Err(Problem::not_found(format!("there is no subscription {id}"))),
    }
}

/// Notifications that could not be delivered.
pub async fn dead_letters(incoming: Incoming<'_>) -> Result<HttpResponse, Problem> {
    let (tenant, mut params) = admitted(&incoming)?;
    let of = params.take("subscription").map(|id| subscription_id(&id)).transpose()?;
    let page = Page::take(&mut params, incoming.broker)?;
    params.finish()?;
    incoming.broker.check_tenant(&tenant).await?;
    let notifier = incoming.broker.notifier();
    let after = page.after.as_deref();
    let found = notifier.dead_letters(&tenant, of.as_ref(), after, page.limit + 1).await;
    Ok(page.answer(&incoming, found.map_err(Error::from)?, |letter| &letter.id))
}

/// One notification that could not be delivered.
pub async fn dead_letter(incoming: Incoming<'_>, id: &str) -> Result<HttpResponse, Problem> {
    let (tenant, params) = admitted(&incoming)?;
    params.finish()?;
    let found = incoming.broker.notifier().dead_letter(&tenant, id).await;
    match found.map_err(Error::from)? {
        Some(letter) => Ok(HttpResponse::Ok().json(letter)),
        None => Err(no_letter(id)),
    }
}

/// Tries dead letters once more.
pub async fn replay(incoming: Incoming<'_>, id: Option<&str>) -> Result<HttpResponse, Problem> {
    let (tenant, pick) = picked(&incoming, id)?;
    let count = incoming.broker.notifier().replay_dead(&tenant, &pick).await;
    counted("replayed", count.map_err(Error::from)?, id)
}

/// Forgets dead letters.
pub async fn drop_letters(
    incoming: Incoming<'_>,
    id: Option<&str>,
) -> Result<HttpResponse, Problem> {
    let (tenant, pick) = picked(&incoming, id)?;
    let count = incoming.broker.notifier().drop_dead(&tenant, &pick).await;
    counted("dropped", count.map_err(Error::from)?, id)
}

/// Which dead letters are meant: one, those of a subscription, or with `all=true` all of the
/// tenant; nothing is not everything.
fn picked(incoming: &Incoming<'_>, id: Option<&str>) -> Result<(TenantId, Pick), Problem> {
    let (tenant, mut params) = admitted(incoming)?;
    if let Some(id) = id {
        params.finish()?;
        return Ok((tenant, Pick::One(id.to_owned())));
    }
    let of = params.take("subscription").map(|id| subscription_id(&id)).transpose()?;
    let all = params.take_flag("all")?.unwrap_or(false);
    params.finish()?;
    match (of, all) {
        (Some(of), false) => Ok((tenant, Pick::Of(of))),
        (None, true) => Ok((tenant, Pick::All)),
        _ => Err(Problem::bad_request("say which: subscription=… or all=true")),
    }
}

fn counted(what: &str, count: usize, id: Option<&str>) -> Result<HttpResponse, Problem> {
    match (count, id) {
        (0, Some(id)) => Err(no_letter(id)),
        _ => Ok(HttpResponse::Ok().json(json!({ what: count }))),
    }
}

fn no_letter(id: &str) -> Problem {
    Problem::not_found(format!("there is no dead letter {id}"))
}

fn subscription_id(text: &str) -> Result<SubscriptionId, Error> {
    SubscriptionId::parse(text).map_err(|why| Error::bad(why.to_string()))
}

/// A part of a list, in the order of ids.
pub(super) struct Page {
    pub limit: usize,
    pub after: Option<String>,
}

impl Page {
    pub fn take(params: &mut Params<'_>, broker: &Broker) -> Result<Self, Error> {
        let most = broker.limits().page_max;
        let limit = params.take_number("limit")?.map_or(PAGE, |limit| limit as usize);
        if limit == 0 || limit > most {
            return Err(Error::bad(format!("limit is from 1 to {most}")));
        }
        Ok(Self { limit, after: params.take("after").map(|after| after.into_owned()) })
    }

    /// The page, with a link to the next one if there is more.
    pub fn answer<T: Serialize>(
        &self,
        incoming: &Incoming<'_>,
        mut found: Vec<T>,
        id: impl Fn(&T) -> &String,
    ) -> HttpResponse {
        let more = found.len() > self.limit;
        found.truncate(self.limit);
        let mut response = HttpResponse::Ok();
        if let Some(last) = found.last().filter(|_| more) {
            let uri = incoming.http.uri();
            let own = uri.query().unwrap_or_default().split('&');
            let own = own.filter(|pair| !pair.is_empty() && !pair.starts_with("after="));
            let after: String = form_urlencoded::byte_serialize(id(last).as_bytes()).collect();
            let after = format!("after={after}");
            let query = own.chain([after.as_str()]).collect::<Vec<_>>().join("&");
            let link = format!("<{}?{query}>; rel=\"next\"", uri.path());
            if let Ok(link) = HeaderValue::from_str(&link) {
                response.insert_header((LINK, link));
            }
        }
        response.json(found)
    }
}

/// The tenant and the parameters of a request that may be here.
pub(super) fn admitted<'r>(incoming: &Incoming<'r>) -> Result<(TenantId, Params<'r>), Problem> {
    permit(incoming.http, &incoming.data::<State>()?.config.admin)?;
    let mut params = incoming.params()?;
    let tenant = match params.take("tenant") {
        Some(named) => params::tenant(Some(named.as_bytes()))?,
        None => incoming.tenant()?,
    };
    Ok((tenant, params))
}

/// Lets in who has the token or, where there is none, programs of this machine. A page in a browser
/// here is no such program, whatever name its host has; nor is a proxy.
fn permit(http: &HttpRequest, settings: &Admin) -> Result<(), Problem> {
    let Some(file) = &settings.token_file else {
        let near = http.peer_addr().is_some_and(|peer| is_near(peer.ip()));
        return match near && is_direct(http.headers()) {
            true => Ok(()),
            false => Err(Problem::plain(
                StatusCode::FORBIDDEN,
                "Only this machine may do that",
                "without a token (admin.token_file) only programs of the broker's machine may use \
                 /admin, directly",
            )),
        };
    };
    let token = std::fs::read_to_string(file)
        .map_err(|why| Problem::internal(format!("{}: {why}", file.display())))?;
    let token = token.lines().next().unwrap_or_default().trim();
    let given = http.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
    let given = given.strip_prefix(b"Bearer ").unwrap_or_default();
    match !token.is_empty() && same(given, token.as_bytes()) {
        true => Ok(()),
        false => Err(Problem::plain(
            StatusCode::UNAUTHORIZED,
            "A token is needed",
            "send the token of admin.token_file as Authorization: Bearer …",
        )
        .with_header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
    }
}

/// Compares without telling by its time how much is the same.
fn same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len()
        && one.iter().zip(other).fold(0, |different, (a, b)| different | (a ^ b)) == 0
}

fn is_near(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// Whether a request came straight from a program: not through a proxy, which would make everybody
/// near, and not from a page.
fn is_direct(headers: &HeaderMap) -> bool {
    let forwarded = HeaderName::from_static("x-forwarded-for");
    let strange = [FORWARDED, VIA, ORIGIN, forwarded];
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let host = url::Url::parse(&format!("http://{host}/")).ok();
    // A page whose host name was made to lead here names that host.
    let own = match host.as_ref().and_then(url::Url::host) {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => is_near(address.into()),
        Some(url::Host::Ipv6(address)) => is_near(address.into()),
        None => false,
    };
    own && !strange.iter().any(|name| headers.contains_key(name))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn permitted(peer: &str, headers: &[(&'static str, &'static str)], settings: &Admin) -> u16 {
        let mut request = TestRequest::default().peer_addr(peer.parse().unwrap());
        for pair in headers {
            request = request.insert_header(*pair);
        }
        match permit(&request.to_http_request(), settings) {
            Ok(()) => 200,
            Err(problem) => problem.status,
        }
    }

    #[test]
    fn without_a_token_only_programs_of_this_machine_are_let_in() {
        let none = Admin::default();
        for (peer, host) in [
            ("127.0.0.1:1", "127.0.0.1:9090"),
            ("127.0.0.1:1", "localhost:9090"),
            ("[::1]:1", "[::1]:9090"),
            ("[::ffff:127.0.0.1]:1", "127.0.0.1"),
        ] {
            assert_eq!(permitted(peer, &[("host", host)], &none), 200, "{peer} {host}");
        }
        let local = ("host", "localhost:9090");
        for (peer, headers) in [
            ("192.168.0.7:1", &[local][..]),
            ("127.0.0.1:1", &[][..]),
            ("127.0.0.1:1", &[("host", "rebound.example:9090")][..]),
            ("127.0.0.1:1", &[("host", "broker.example")][..]),
            ("127.0.0.1:1", &[local, ("x-forwarded-for", "1.2.3.4")][..]),
            ("127.0.0.1:1", &[local, ("forwarded", "for=1.2.3.4")][..]),
            ("127.0.0.1:1", &[local, ("via", "1.1 proxy")][..]),
            ("127.0.0.1:1", &[local, ("origin", "http://evil.example")][..]),
            ("127.0.0.1:1", &[local, ("origin", "http://localhost:8000")][..]),
        ] {
            assert_eq!(permitted(peer, headers, &none), 403, "{peer} {headers:?}");
        }
    }

    #[test]
    fn with_a_token_whoever_has_it_is_let_in() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "s3cret\n").unwrap();
        let settings = Admin { token_file: Some(file.clone()) };
        let far = "192.168.0.7:1";
        assert_eq!(permitted(far, &[("authorization", "Bearer s3cret")], &settings), 200);
        for wrong in ["Bearer s3cre", "Bearer S3cret", "Bearer ", "s3cret", "Basic s3cret"] {
            assert_eq!(permitted(far, &[("authorization", wrong)], &settings), 401, "{wrong}");
        }
        assert_eq!(permitted("127.0.0.1:1", &[("host", "localhost")], &settings), 401);
        std::fs::write(&file, "\n").unwrap();
        assert_eq!(permitted(far, &[("authorization", "Bearer ")], &settings), 401);
    }
}
