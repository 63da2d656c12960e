//! What every handler asks of a request: its tenant, parameters, `@context` and body (6.3.4,
//! 6.3.5, 6.3.14).

use std::rc::Rc;
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderMap};
use actix_web::web::Data;
use bytes::Bytes;

use super::body;
use super::entity_maps::ENTITY_MAP;
use super::frame::{NGSILD_SNAPSHOT, NGSILD_TENANT};
use super::negotiate::{Media, accept, content_type};
use super::params::{self, Params};
use super::places::Place;
use super::problem::Problem;
use super::questions::{Lasting, Questions, Readings, Wording};
use super::viewing::PREFER;
use super::warning;
use crate::broker::{Broker, Call, Element, Error, Headers, Origin};
use crate::config::Limits;
use crate::jsonld::{ContextSource, Document};
use crate::model::{EntityId, TenantId, Timestamp};

/// A request on its way to an operation.
pub struct Incoming<'r> {
    pub http: &'r HttpRequest,
    pub broker: &'r Broker,
    /// What was read of others, on this worker.
    pub questions: &'r Questions,
    payload: Payload,
    /// The media type of the body, once it was read.
    media: Media,
}

/// The headers as the broker looks at them.
struct Texts<'r>(&'r HeaderMap);

impl<'r> Headers<'r> for Texts<'r> {
    fn all(&self, name: &str) -> Vec<&'r str> {
        self.0.get_all(name).filter_map(|value| value.to_str().ok()).collect()
    }
}

const CONTEXT_REL: &str = "http://www.w3.org/ns/json-ld#context";

impl<'r> Incoming<'r> {
    /// A request whose body was not touched yet.
    pub fn new(
        http: &'r HttpRequest,
        payload: Payload,
        broker: &'r Broker,
        questions: &'r Questions,
    ) -> Self {
        Self { http, broker, questions, payload, media: Media::Json }
    }

    /// What all workers share.
    pub fn data<T: 'static>(&self) -> Result<Data<T>, Error> {
        let missing = || Error::Internal("the routes are mounted without their data".to_owned());
        self.http.app_data::<Data<T>>().cloned().ok_or_else(missing)
    }

    /// The headers.
    pub fn headers(&self) -> &'r HeaderMap {
        self.http.headers()
    }

    /// The URL parameters.
    pub fn params(&self) -> Result<Params<'r>, Error> {
        Params::parse(self.http.uri().query().unwrap_or_default())
    }

    /// For operations whose only parameters are `type` and `local`.
    pub fn only_type_parameter(&self) -> Result<Option<String>, Error> {
        let mut params = self.params()?;
        let only = params.take("type").map(|text| text.into_owned());
        params.take_flag("local")?;
        params.finish()?;
        Ok(only)
    }

    /// For operations whose only parameter is `local`.
    pub fn no_parameters_but_local(&self) -> Result<(), Error> {
        let mut params = self.params()?;
        params.take_flag("local")?;
        params.finish()
    }

    /// The entity a path names.
    pub fn entity_id(&self, text: &str) -> Result<EntityId, Error> {
        EntityId::parse(text).map_err(|why| Error::bad(why.to_string()))
    }

    /// The tenant.
    pub fn tenant(&self) -> Result<TenantId, Error> {
        params::tenant(self.headers().get(&NGSILD_TENANT).map(|value| value.as_bytes()))
    }

    /// The call of an operation without a body: the `@context` is that of the `Link` header, or
    /// the default.
    pub async fn call(&self) -> Result<Call, Error> {
        let source = match link_context(self.headers())? {
            Some(url) => ContextSource::Url(url),
            None => ContextSource::Default,
        };
        self.call_with(source).await
    }

    /// The call of a GET, and what its words mean: as they were read before, or read now. They are
    /// taken before the call is made, and understood under its `@context`.
    pub async fn read_words<W, T: Lasting>(
        &self,
        readings: &Readings<T>,
        take: impl Fn() -> Result<W, Problem>,
        understand: impl FnOnce(&Call, W) -> Result<T, Problem>,
    ) -> Result<(Call, Rc<T>), Problem> {
        let wording = self.wording();
        let known = wording.and_then(|wording| readings.recall(wording));
        let words = if known.is_none() { Some(take()?) } else { None };
        let call = self.call().await?;
        if let Some(known) = known
            && known.context_id == call.context.id()
        {
            return Ok((call, Rc::clone(&known.of)));
        }
        let words = words.map_or_else(take, Ok)?;
        let meant = Rc::new(understand(&call, words)?);
        if let Some(wording) = wording {
            readings.keep(wording, call.context.id(), &meant);
        }
        Ok((call, meant))
    }

    /// The words of a GET, unless a header says more about what is asked for.
    fn wording(&self) -> Option<Wording<'r>> {
        let headers = self.headers();
        if [&PREFER, &ENTITY_MAP, &NGSILD_SNAPSHOT].iter().any(|name| headers.contains_key(*name)) {
            return None;
        }
        Some(Wording {
            query: self.http.uri().query().unwrap_or_default(),
            media: accept(self.http, true).ok()?,
            context: link_context(headers).ok()?,
        })
    }

    /// The snapshot that an operation on data is to work on (6.3.22).
    fn snapshot(&self) -> Result<Option<&'r str>, Error> {
        let Some(value) = self.headers().get(&NGSILD_SNAPSHOT) else { return Ok(None) };
        if !Place::of(self.http.uri().path()).is_some_and(Place::is_of_data) {
            return Ok(None);
        }
        let text = std::str::from_utf8(value.as_bytes())
            .map_err(|_| Error::bad("NGSILD-Snapshot is not UTF-8"))?;
        Ok(Some(text.trim()).filter(|text| !text.is_empty()))
    }

    /// Whether the request is about what is here alone (6.3.18). What the parameters say wrongly is
    /// told by whoever takes them.
    fn is_local(&self) -> bool {
        let query = self.http.uri().query().unwrap_or_default();
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.into_iter().any(|(name, value)| match name {
            "local" => value.eq_ignore_ascii_case("true"),
            "type" => matches!(value, "*" | "%2A" | "%2a"),
            _ => false,
        })
    }

    async fn call_with(&self, source: ContextSource<'_>) -> Result<Call, Error> {
        let (tenant, now) = (self.tenant()?, Timestamp::now());
        let context = self.broker.contexts().resolve(&tenant, source, now).await?;
        let tenant = match self.snapshot()? {
            // Rare: it should not make the future of every request larger.
            Some(id) => Box::pin(self.broker.place_of_snapshot(&tenant, id, now)).await?,
            None => tenant,
        };
        warning::note(self.http, &tenant, now);
        let origin = match self.broker.federates(&tenant) && !self.is_local() {
            true => Some(self.origin(&tenant).await?),
            false => None,
        };
        Ok(Call { tenant, now, context, origin })
    }

    /// How the request came, which may concern sources.
    async fn origin(&self, tenant: &TenantId) -> Result<Arc<Origin>, Error> {
        let headers = Texts(self.headers());
        match self.broker.origin_at_once(tenant, &headers) {
            Some(origin) => Ok(origin),
            // Boxed, since it is rare: nobody else should carry the room for it.
            None => Box::pin(self.broker.origin(tenant, &headers)).await,
        }
    }

    /// Reads the body of an operation on one thing.
    pub async fn body(&mut self) -> Result<Bytes, Problem> {
        self.body_up_to(self.limits().body.bytes()).await
    }

    /// Reads the body of a batch operation.
    pub async fn batch_body(&mut self) -> Result<Bytes, Problem> {
        self.body_up_to(self.limits().batch_body.bytes()).await
    }

    /// Reads a body of any kind.
    pub async fn any_body(&mut self, most: usize) -> Result<Bytes, Problem> {
        let patience = self.limits().body_timeout;
        body::read(self.http, &mut self.payload, most, patience).await
    }

    /// What kind the body has to be is checked first, so that a wrong one is not read.
    async fn body_up_to(&mut self, most: usize) -> Result<Bytes, Problem> {
        self.media = content_type(self.http)?;
        let patience = self.limits().body_timeout;
        body::read(self.http, &mut self.payload, most, patience).await
    }

    fn limits(&self) -> &'r Limits {
        self.broker.limits()
    }

    /// Reads a body that is one JSON object and keeps its `@context` member.
    pub fn parse_object<'b>(&self, body: &'b [u8]) -> Result<Document<'b>, Error> {
        let document = self.parse(body)?;
        match document.as_object() {
            Some(_) => Ok(document),
            None => Err(Error::request("the body is not a JSON object")),
        }
    }

    /// Reads a body that is one JSON object, with the `@context` that belongs to it. Its
    /// `@context` member, if it may have one, is taken out.
    pub async fn read<'b>(&self, body: &'b [u8]) -> Result<(Call, Document<'b>), Problem> {
        let mut document = self.parse_object(body)?;
        let call = self.context_of(&mut document).await?;
        Ok((call, document))
    }

    /// Reads a body that is an array of JSON objects, each with the `@context` that belongs to
    /// it. What is wrong with one element is that element's error.
    pub async fn read_elements<'b>(
        &self,
        body: &'b [u8],
    ) -> Result<(Call, Vec<Element<'b>>), Problem> {
        let documents = self.parse_array(body)?;
        let linked = self.media == Media::LdJson;
        if linked && link_context(self.headers())?.is_some() {
            return Err(link_in_ld_json().into());
        }
        let call = match linked {
            true => self.call_with(ContextSource::Default).await?,
            false => self.call().await?,
        };
        let mut elements = Vec::with_capacity(documents.len());
        for mut document in documents {
            let context = if document.as_object().is_none() {
                Err(Error::bad("the element is not a JSON object"))
            } else if linked {
                self.context_of(&mut document).await.map(|call| call.context)
            } else if document.remove("@context").is_some() {
                Err(context_in_json())
            } else {
                Ok(call.context.clone())
            };
            elements.push(Element { document, context });
        }
        Ok((call, elements))
    }

    /// Reads a body that is an array of ids; it has no `@context` in any media type.
    pub async fn read_ids<'b>(&self, body: &'b [u8]) -> Result<(Call, Vec<Document<'b>>), Problem> {
        let ids = self.parse_array(body)?;
        Ok((self.call_with(ContextSource::Default).await?, ids))
    }

    fn parse<'b>(&self, body: &'b [u8]) -> Result<Document<'b>, Error> {
        Ok(Document::parse(body, &self.broker.parse_limits())?)
    }

    fn parse_array<'b>(&self, body: &'b [u8]) -> Result<Vec<Document<'b>>, Error> {
        let Document::Array(items) = self.parse(body)? else {
            return Err(Error::bad("the body is not a JSON array"));
        };
        let limit = self.limits().batch;
        if items.is_empty() {
            return Err(Error::bad("the batch is empty"));
        }
        if items.len() > limit {
            return Err(Error::bad(format!(
                "the batch has {} elements, and the limit is {limit}",
                items.len()
            )));
        }
        if items.iter().any(|item| matches!(item, Document::Null)) {
            return Err(Error::bad("the batch has an element that is null"));
        }
        Ok(items)
    }

    /// The call with the `@context` of a document, which is taken out of it.
    async fn context_of(&self, document: &mut Document<'_>) -> Result<Call, Error> {
        let own = document.remove("@context");
        let link = link_context(self.headers())?;
        let source = match (self.media, &own, link) {
            (Media::LdJson, Some(own), None) => ContextSource::Inline(own),
            (Media::LdJson, _, Some(_)) => return Err(link_in_ld_json()),
            (Media::LdJson, None, None) => {
                return Err(Error::bad(
                    "the body is application/ld+json and has no @context (6.3.5)",
                ));
            }
            (_, Some(_), _) => return Err(context_in_json()),
            (_, None, Some(url)) => ContextSource::Url(url),
            (_, None, None) => ContextSource::Default,
        };
        self.call_with(source).await
    }
}

fn context_in_json() -> Error {
    Error::bad(
        "a body of application/json has no @context: send a Link header, or application/ld+json (6.3.5)",
    )
}

fn link_in_ld_json() -> Error {
    Error::bad(
        "a request with application/ld+json has its @context in the body, not in a Link header (6.3.5)",
    )
}

/// The URL of the `Link` header that names a JSON-LD `@context`, if there is one.
pub fn link_context(headers: &HeaderMap) -> Result<Option<&str>, Error> {
    let mut found = None;
    for value in headers.get_all(header::LINK) {
        let text = value.to_str().map_err(|_| Error::bad("a Link header is not plain text"))?;
        for (url, attributes) in links(text) {
            let names_context = attribute(attributes, "rel")
                .is_some_and(|rel| rel.split_ascii_whitespace().any(|one| one == CONTEXT_REL));
            if !names_context {
                continue;
            }
            if found.replace(url).is_some() {
                return Err(Error::bad("there are two Link headers that name an @context"));
            }
        }
    }
    Ok(found)
}

/// Splits `<url>; attributes, <url>; attributes` (RFC 8288).
fn links(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (_, after) = rest.split_once('<')?;
        let (url, after) = after.split_once('>')?;
        let begins_another = |&at: &usize| after[at + 1..].trim_start().starts_with('<');
        let mut commas = memchr::memchr_iter(b',', after.as_bytes());
        let end = commas.find(begins_another).unwrap_or(after.len());
        let (attributes, left) = after.split_at(end);
        rest = left;
        Some((url.trim(), attributes))
    })
}

fn attribute<'a>(attributes: &'a str, wanted: &str) -> Option<&'a str> {
    attributes.split(';').find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case(wanted).then(|| value.trim().trim_matches('"'))
    })
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn headers(links: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for link in links {
            headers.append(header::LINK, HeaderValue::from_static(link));
        }
        headers
    }

    #[test]
    fn the_context_is_found_among_links() {
        let own = headers(&[
            "<https://a.b/next>; rel=\"next\", <https://a.b/c.jsonld>; rel=\"http://www.w3.org/ns/json-ld#context\"; type=\"application/ld+json\"",
        ]);
        assert_eq!(link_context(&own).expect("fine"), Some("https://a.b/c.jsonld"));
        assert_eq!(link_context(&headers(&["<x>; rel=next"])).expect("fine"), None);
    }

    #[test]
    fn two_contexts_are_refused() {
        let link = "<https://a.b/c>; rel=\"http://www.w3.org/ns/json-ld#context\"";
        assert!(link_context(&headers(&[link, link])).is_err());
    }
}
