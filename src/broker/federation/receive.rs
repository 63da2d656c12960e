//! Reading what sources answer. Nothing is believed: an answer is as large, deep and many-membered
//! as a client's own body may be, each entity is checked like one that is created here, and only
//! what was asked for and registered is taken.

use std::sync::Arc;

use super::super::{Broker, Call};
use super::ask::Heard;
use crate::egress::{Reply, Room};
use crate::federate::{Familiarity, Glance, Leg, Naming, Source, Warning, WarningCode};
use crate::jsonld::{Context, ContextSource, Document, Item, Items, ParseError, ParseLimits};
use crate::model::{Name, Stored};
use crate::represent::Reading;

/// What a source has of what it was asked for.
#[derive(Debug, Default)]
pub(super) struct Received {
    pub entities: Vec<Arc<Stored>>,
    /// How many there were in the answer, those not taken included.
    pub count: usize,
    /// It refused to tell of so many at once.
    pub too_many: bool,
    pub warnings: Vec<Warning>,
    /// The memory that the answer took.
    pub room: Option<Arc<Room>>,
}

/// An item of an answer.
enum Told<'a> {
    /// It was told word for word before.
    Before(Arc<Stored>),
    Anew(Item<'a>, Glance),
}

/// What an answer says, whatever it is about.
pub(super) enum Said {
    /// A body that may hold what was asked for.
    Body(Reply),
    /// There is nothing.
    Nothing,
}

/// Tells what a source said from what there is to say of it.
pub(super) fn heard(source: &Arc<Source>, heard: Heard) -> (Said, Vec<Warning>) {
    let warn = |code, why: &str| vec![Warning::new(code, source.id(), why)];
    match heard {
        Heard::Silence(why) => (Said::Nothing, warn(WarningCode::Silent, &why)),
        Heard::TooLarge(why) | Heard::NoRoom(why) => {
            (Said::Nothing, warn(WarningCode::Invalid, &why))
        }
        Heard::Kept(reply) => {
            let warnings = warn(WarningCode::Stale, "an answer that was kept is used again");
            (Said::Body(reply), warnings)
        }
        Heard::Reply(reply) => {
            let values = reply.headers.get_all("NGSILD-Warning");
            let values = values.iter().filter_map(|value| value.to_str().ok());
            let mut warnings = Warning::read(values);
            match reply.status {
                200 | 203 | 206 | 201 => (Said::Body(reply), warnings),
                404 | 204 => (Said::Nothing, warnings),
                508 => {
                    warnings.extend(warn(WarningCode::Silent, "a loop of registrations"));
                    (Said::Nothing, warnings)
                }
                status => {
                    let why = format!("the source answered {status}");
                    warnings.extend(warn(WarningCode::Failed, &why));
                    (Said::Nothing, warnings)
                }
            }
        }
    }
}

impl Broker {
    /// The entities in what a source said to one leg of a request.
    pub(super) async fn receive(
        &self,
        call: &Call,
        leg: &Leg,
        naming: &Naming,
        what: Heard,
    ) -> Received {
        let too_many = matches!(&what, Heard::Reply(reply) if reply.status == 403);
        let (said, warnings) = heard(&leg.source, what);
        let mut received = Received { warnings, too_many, ..Received::default() };
        let Said::Body(mut reply) = said else { return received };
        received.room = reply.room.take();
        let invalid = |why: String| Warning::new(WarningCode::Invalid, leg.source.id(), &why);
        let mut names = Names::new(self.names_of(call, &reply, naming).await);
        let limits = self.parse_limits();
        let items = match self.items(&reply.body, &limits, names.outer.id()) {
            Ok(items) => items,
            Err(error) => {
                received.warnings.push(invalid(error.to_string()));
                return received;
            }
        };
        received.count = items.len();
        let most = self.federation.settings.entities;
        let mut wrong = None;
        for item in items.into_iter().take(most) {
            let told = match item {
                Told::Before(entity) => Ok(entity),
                Told::Anew(item, glance) => self.read_item(call, &mut names, item, glance).await,
            };
            match told {
                Ok(entity) => received.entities.extend(leg.takes(entity)),
                Err(why) => {
                    wrong.get_or_insert(why);
                }
            }
        }
        received.warnings.extend(wrong.map(invalid));
        received
    }

    /// The items of an answer that names things by a context. What was told word for word before is
    /// not read again.
    fn items<'a>(
        &self,
        body: &'a [u8],
        limits: &ParseLimits,
        context: u64,
    ) -> Result<Vec<Told<'a>>, ParseError> {
        let mut items = Items::of(body, limits)?;
        let mut all = Vec::new();
        while let Some(rest) = items.rest()? {
            all.push(match self.federation.familiar.recall(rest, context) {
                Familiarity::Known { entity, bytes, values } => {
                    items.pass(bytes, values)?;
                    Told::Before(entity)
                }
                Familiarity::Unknown(glance) => Told::Anew(items.read()?, glance),
            });
        }
        Ok(all)
    }

    /// The entity that an item is, which is remembered if the same was told before and will be the
    /// same whenever it is told.
    async fn read_item(
        &self,
        call: &Call,
        names: &mut Names,
        item: Item<'_>,
        glance: Glance,
    ) -> Result<Arc<Stored>, String> {
        let Item { mut document, bytes, values } = item;
        let is_of_outer = document.get("@context").is_none();
        let context = names.of(self, call, &mut document).await?;
        check_names(&document, &context)?;
        let entity = self.reader_by(&context, Reading::Whole).received(&document);
        let entity = entity.map_err(|error| error.to_string())?;
        let familiar = &self.federation.familiar;
        if !is_of_outer || entity.is_transient() || !familiar.note(glance, bytes) {
            return Ok(Stored::passing(entity));
        }
        let stored = Stored::new(entity);
        familiar.remember(glance, bytes, context.id(), values, &stored);
        Ok(stored)
    }

    /// The context that an answer is written in: the one it names, or that it was asked with.
    pub(super) async fn names_of(
        &self,
        call: &Call,
        reply: &Reply,
        naming: &Naming,
    ) -> Arc<Context> {
        let own = naming.context.link().url.as_deref();
        let links = reply.headers.get_all("link");
        let named = links.iter().filter_map(|value| value.to_str().ok()).find_map(context_link);
        match named {
            Some(url) if Some(url) != own => {
                let source = ContextSource::Url(url);
                let context = self.contexts.resolve(&call.tenant, source, call.now).await;
                context.unwrap_or_else(|_| naming.context.clone())
            }
            _ => naming.context.clone(),
        }
    }
}

/// The contexts of the items of an answer: most often all have the same.
pub(super) struct Names {
    outer: Arc<Context>,
    last: Option<(String, Arc<Context>)>,
}

impl Names {
    pub fn new(outer: Arc<Context>) -> Self {
        Self { outer, last: None }
    }

    /// The context of an item, which is taken out of it.
    pub async fn of(
        &mut self,
        broker: &Broker,
        call: &Call,
        item: &mut Document<'_>,
    ) -> Result<Arc<Context>, String> {
        let Some(own) = item.remove("@context") else { return Ok(self.outer.clone()) };
        let text = own.to_string();
        if let Some((last, context)) = &self.last
            && *last == text
        {
            return Ok(context.clone());
        }
        let source = ContextSource::Inline(&own);
        let context = broker.contexts.resolve(&call.tenant, source, call.now).await;
        let context = context.map_err(|error| error.to_string())?;
        self.last = Some((text, context.clone()));
        Ok(context)
    }
}

/// Names live as long as this process: where few more can be remembered, a source brings no new ones.
pub(super) fn check_names(item: &Document<'_>, context: &Context) -> Result<(), String> {
    match Name::are_scarce() && brings_names(item, context) {
        true => Err("it brings names that this broker has no room for (limits.names)".to_owned()),
        false => Ok(()),
    }
}

/// Whether a document may hold a name that nobody used yet.
fn brings_names(item: &Document<'_>, context: &Context) -> bool {
    let is_new = |text: &str| {
        Name::known(text).is_none() && Name::known(&context.expand_text(text)).is_none()
    };
    let names_it = |value: &Document<'_>| match value {
        Document::Array(all) => all.iter().filter_map(Document::as_str).any(is_new),
        one => one.as_str().is_some_and(is_new),
    };
    match item {
        Document::Array(all) => all.iter().any(|one| brings_names(one, context)),
        Document::Object(members) => members.iter().any(|(key, value)| match &**key {
            "type" | "@type" | "vocab" => names_it(value),
            key => is_new(key) && !key.starts_with('@') || brings_names(value, context),
        }),
        _ => false,
    }
}

/// The context that a `Link` header names.
fn context_link(value: &str) -> Option<&str> {
    const CONTEXT: &str = "http://www.w3.org/ns/json-ld#context";
    let mut rest = value;
    while let Some((_, after)) = rest.split_once('<') {
        let (url, after) = after.split_once('>')?;
        let end = after.find('<').unwrap_or(after.len());
        if after[..end].contains(CONTEXT) {
            return Some(url.trim());
        }
        rest = &after[end..];
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jsonld::ParseLimits;

    #[test]
    fn names_that_nobody_used_are_found_wherever_they_stand() {
        let context = Context::core();
        let brings = |text: &str| {
            let document = Document::parse(text.as_bytes(), &ParseLimits::default()).expect("JSON");
            brings_names(&document, &context)
        };
        for name in ["https://example.org/known", "https://example.org/Known"] {
            Name::intern(name).expect("room");
        }
        for fresh in ["never-a", "never-b", "never-c"] {
            for text in [
                format!(r#"{{"id": "urn:x:1", "type": ["https://example.org/Known", "{fresh}"]}}"#),
                format!(r#"[{{"{fresh}": 1}}]"#),
                format!(r#"{{"https://example.org/known": {{"type": "Property", "{fresh}": 2}}}}"#),
            ] {
                assert!(brings(&text), "{text}");
            }
        }
    }
}
