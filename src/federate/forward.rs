//! Requests as they are sent to a source (4.3.6.5, 4.3.6.6, 6.3.5, 6.3.18).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;

use super::matching::{Leg, Way};
use super::source::Source;
use super::via::Via;
use crate::egress::{Budget, Question};
use crate::jsonld::{Context, is_core};
use crate::model::AttrName;
use crate::query::{Spelled, compacted, spelled};
use crate::represent::registration::MediaType;
use crate::represent::{SpecVersion, downgraded};

/// How names are written for a source, and how it is told what they mean.
#[derive(Debug, Clone)]
pub struct Naming {
    pub context: Arc<Context>,
    told: Told,
}

#[derive(Debug, Clone)]
enum Told {
    /// It knows: names are those of the core `@context`, or whole IRIs.
    Nothing,
    /// By a `Link` header.
    Link(Box<str>),
    /// In the body.
    Body,
}

impl Naming {
    /// Whole IRIs, and what the core `@context` says.
    pub fn plain() -> Self {
        Self { context: Context::core(), told: Told::Nothing }
    }

    /// By a context at an address, as the source asked for.
    pub fn linked(context: Arc<Context>, url: &str) -> Self {
        Self { context, told: Told::Link(url.into()) }
    }

    /// As the client wrote them, if the source can be told so: a context without an address stands
    /// in a body, if there is one and the source does not want another kind of body.
    pub fn of_client(context: &Arc<Context>, has_body: bool, source: &Source) -> Self {
        let wanted = source.registration.source.content_type;
        let link = context.link().url.as_deref();
        let told = match (link, wanted) {
            (_, Some(MediaType::LdJson)) if has_body => Told::Body,
            (Some(url), _) if is_core(url) => Told::Nothing,
            (Some(url), _) => Told::Link(url.into()),
            (None, Some(MediaType::Json)) => return Self::plain(),
            (None, _) if has_body => Told::Body,
            (None, _) => return Self::plain(),
        };
        Self { context: context.clone(), told }
    }

    /// A name as it stands alone.
    pub fn name(&self, iri: &str) -> String {
        compacted(iri, &self.context)
    }

    /// Something that holds names, as it is written for the source.
    pub fn spell<T: Spelled + Clone + ToString>(&self, what: &T) -> String {
        if what.means_the_same_under(&self.context) {
            return what.to_string();
        }
        let mut own = what.clone();
        own.respell(&|iri| spelled(iri, &self.context));
        own.to_string()
    }

    /// Attributes between commas.
    pub fn names(&self, attributes: &[AttrName]) -> String {
        let names: Vec<String> = attributes.iter().map(|name| self.name(name.as_str())).collect();
        names.join(",")
    }
}

/// A request to the API, apart from whom it is sent to.
#[derive(Debug, Clone)]
pub struct Draft {
    pub method: Method,
    /// Below the root of the API, escaped.
    pub path: String,
    pub params: Vec<(&'static str, String)>,
    pub body: Payload,
    /// The entity map of the source's own that it is to go by (4.3.6.7).
    pub map: Option<String>,
}

/// The body of a request.
#[derive(Debug, Clone)]
pub enum Payload {
    Nothing,
    /// JSON objects, alone or in an array, with names in them.
    Named(Vec<String>, Around),
    /// JSON without names.
    Plain(String),
}

/// What is around the objects of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Around {
    Nothing,
    Array,
}

impl Draft {
    /// A request without a body.
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), params: Vec::new(), body: Payload::Nothing, map: None }
    }

    /// With a parameter more.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.params.push((name, value.into()));
        self
    }

    /// With a parameter more, if there is a value.
    pub fn with_some(self, name: &'static str, value: Option<impl Into<String>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// To go by an entity map of the source's own, if it has one.
    pub fn by_map(self, map: Option<&str>) -> Self {
        Self { map: map.map(str::to_owned), ..self }
    }

    /// With a body that is one object.
    pub fn with_object(mut self, json: String) -> Self {
        self.body = Payload::Named(vec![json], Around::Nothing);
        self
    }

    /// With a body that is an array of objects.
    pub fn with_array(mut self, json: Vec<String>) -> Self {
        self.body = Payload::Named(json, Around::Array);
        self
    }

    /// Whether it has a body with names in it.
    pub fn names_in_body(&self) -> bool {
        matches!(self.body, Payload::Named(..))
    }

    /// Which entities a leg is for, as parameters of a URL.
    pub fn selecting(mut self, leg: &Leg, naming: &Naming) -> Self {
        let select = &leg.select;
        if let Some(types) = &select.types {
            self = self.with("type", types_text(types, naming));
        }
        if !select.ids.is_empty() {
            let ids: Vec<&str> = select.ids.iter().map(|id| id.as_str()).collect();
            self = self.with("id", ids.join(","));
        } else if let Some(pattern) = &select.id_pattern {
            self = self.with("idPattern", pattern.as_str());
        }
        self
    }

    fn url(&self, source: &Source) -> String {
        let mut url = source.url(&self.path);
        let local = source.is_asked_alone().then(|| ("local", "true".to_owned()));
        for (place, (name, value)) in self.params.iter().chain(&local).enumerate() {
            url.push(if place == 0 { '?' } else { '&' });
            url.push_str(name);
            url.push('=');
            escape_value(value, &mut url);
        }
        url
    }
}

/// A type selection as a source reads it.
pub fn types_text(types: &crate::model::TypeSelection, naming: &Naming) -> String {
    let crate::model::TypeSelection::Of(alternatives) = types else { return "*".to_owned() };
    let name = |term: &crate::model::TypeTerm| naming.name(&term.to_string());
    let each = alternatives.iter().map(|combination| match combination.as_slice() {
        [single] => name(single),
        several => format!("({})", several.iter().map(name).collect::<Vec<_>>().join(";")),
    });
    // A list is what every version understands.
    let simple = alternatives.iter().all(|combination| combination.len() == 1);
    each.collect::<Vec<_>>().join(if simple { "," } else { "|" })
}

/// What of the client's own request a source may be told, and how long all may take.
#[derive(Debug, Clone, Copy)]
pub struct Carriage<'a> {
    pub way: Way<'a>,
    /// The headers of the client's request, names in lower case.
    pub headers: &'a [(Box<str>, Box<str>)],
    pub patience: Duration,
    /// The largest answer that is read, in bytes.
    pub most: usize,
    /// Whose memory answers take.
    pub budget: &'a Budget,
    /// Whether answers may come compressed.
    pub compressed: bool,
}

/// Where the entity maps of a broker are.
const ENTITY_MAPS: &str = "/ngsi-ld/v1/entityMaps/";

/// A request as it is sent to a source.
pub fn question(
    source: &Source,
    draft: &Draft,
    naming: &Naming,
    carriage: &Carriage<'_>,
) -> Question {
    let registration = &source.registration;
    let info = &registration.source;
    let mut headers: Vec<(String, String)> = Vec::with_capacity(6 + info.headers.len());
    let accept = info.accept.unwrap_or(MediaType::Json);
    headers.push(("Accept".into(), accept.as_str().into()));
    if !carriage.compressed {
        headers.push(("Accept-Encoding".into(), "identity".into()));
    }
    let (body, media) = body(&draft.body, naming, info.conformance);
    if let Some(media) = media {
        headers.push(("Content-Type".into(), media.as_str().into()));
    }
    if let (Told::Link(url), true) = (&naming.told, media != Some(MediaType::LdJson)) {
        let link = format!(
            "<{url}>; rel=\"http://www.w3.org/ns/json-ld#context\"; type=\"application/ld+json\""
        );
        headers.push(("Link".into(), link));
    }
    if let Some(tenant) = registration.tenant.as_ref().and_then(|tenant| tenant.name()) {
        headers.push(("NGSILD-Tenant".into(), tenant.into()));
    }
    if let Some(version) = info.conformance {
        headers.push(("Prefer".into(), format!("ngsi-ld={version}")));
    }
    if let Some(map) = &draft.map {
        headers.push(("NGSILD-EntityMap".into(), [ENTITY_MAPS, &path_part(map)].concat()));
    }
    let Way { via, alias } = carriage.way;
    headers.push(("Via".into(), Via::passed_on_by(via, alias)));
    for header in &info.headers {
        let own =
            || carriage.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(&header.name));
        match &header.value {
            Some(value) => headers.push((header.name.to_string(), value.to_string())),
            None => {
                headers.extend(own().map(|(_, value)| (header.name.to_string(), value.to_string())))
            }
        }
    }
    Question {
        method: draft.method.clone(),
        url: draft.url(source),
        headers,
        body,
        patience: source.patience(carriage.patience),
        most: carriage.most,
        budget: Some(carriage.budget.clone()),
    }
}

/// The body as it is sent, and what it is.
fn body(
    payload: &Payload,
    naming: &Naming,
    version: Option<SpecVersion>,
) -> (Option<Bytes>, Option<MediaType>) {
    let in_body = matches!(naming.told, Told::Body);
    let (objects, around) = match payload {
        Payload::Nothing => return (None, None),
        Payload::Plain(text) => return (Some(text.clone().into()), Some(MediaType::Json)),
        Payload::Named(objects, around) => (objects, *around),
    };
    let older = version.filter(|version| *version < SpecVersion::OURS);
    let of_version: Vec<String> = match older {
        Some(version) => objects.iter().map(|object| downgraded(object, version)).collect(),
        None => Vec::new(),
    };
    let objects = if older.is_some() { &of_version } else { objects };
    let context = &naming.context.link().body;
    let mut text = String::with_capacity(objects.iter().map(String::len).sum::<usize>() + 64);
    if around == Around::Array {
        text.push('[');
    }
    for (place, object) in objects.iter().enumerate() {
        if place > 0 {
            text.push(',');
        }
        match object.strip_prefix('{').filter(|_| in_body) {
            Some(rest) => {
                text.push_str("{\"@context\":");
                text.push_str(context);
                text.push_str(if rest.trim_start() == "}" { "" } else { "," });
                text.push_str(rest);
            }
            None => text.push_str(object),
        }
    }
    if around == Around::Array {
        text.push(']');
    }
    let media = if in_body { MediaType::LdJson } else { MediaType::Json };
    (Some(text.into()), Some(media))
}

/// Escapes what may not stand in the value of a parameter.
fn escape_value(text: &str, out: &mut String) {
    escape(text, b"-._~:,;/*()!'@$", out);
}

/// Escapes what may not stand in a part of a path.
pub fn path_part(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    escape(text, b"-._~:,;*()!'@$=&+", &mut out);
    out
}

fn escape(text: &str, plain: &[u8], out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || plain.contains(&byte) {
            out.push(byte.into());
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}
