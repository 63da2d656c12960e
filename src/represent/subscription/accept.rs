//! What a client sends becomes what is kept: the members of a Subscription with every name as an
//! IRI, so that they mean the same whatever becomes of the `@context` they were sent with.
//!
//! Only names are looked at here; whether a member is what it should be is for `read.rs` to say.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::SubscriptionError;
use crate::jsonld::{Context, Document};
use crate::model::{Name, SubscriptionId, TypeSelection, TypeTerm};
use crate::query::{Filter, FilterOptions, Limits, Order, OrderParams, Spelled, Tree, parse_types};
use crate::represent::ReadError;
use crate::represent::terms::check_attribute_term;

/// The members of a Subscription, or of a fragment of one, with IRIs for names.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Draft {
    /// The id that was sent along.
    pub id: Option<SubscriptionId>,
    /// In the order they came. A Null in a fragment deletes a member.
    pub(super) members: Map<String, Value>,
    /// The `@context` of the names in `q`, `csf` and `orderBy`, which stay as they were written.
    pub(super) names: Map<String, Value>,
}

/// The members that a client may send (5.2.12), but for the id.
const MEMBERS: [&str; 23] = [
    "type",
    "subscriptionName",
    "description",
    "entities",
    "notificationTrigger",
    "watchedAttributes",
    "timeInterval",
    "q",
    "geoQ",
    "scopeQ",
    "csf",
    "isActive",
    "notification",
    "expiresAt",
    "throttling",
    "temporalQ",
    "datasetId",
    "lang",
    "expandValues",
    "jsonKeys",
    "jsonldContext",
    "localOnly",
    "splitEntities",
];

/// The members that came later than the rest.
const LATER_MEMBERS: [&str; 2] = ["ngsildConformance", "ordering"];

/// The members of NotificationParams (5.2.14) that a client may send.
const PARAMS: [&str; 10] = [
    "attributes",
    "pick",
    "omit",
    "format",
    "endpoint",
    "sysAttrs",
    "showChanges",
    "join",
    "joinLevel",
    "containedBy",
];

/// The members of an Endpoint (5.2.15).
const ENDPOINT: [&str; 6] =
    ["uri", "accept", "receiverInfo", "notifierInfo", "timeout", "cooldown"];

impl Draft {
    /// Takes the members of a whole Subscription. Members that it does not have, and those that
    /// only the broker writes, are left out (5.2.12); a null is as good as nothing, as in JSON-LD.
    pub fn accept(
        document: &Document<'_>,
        context: &Context,
        limits: &Limits,
    ) -> Result<Self, SubscriptionError> {
        let mut draft = Self::fragment(document, context, limits)?;
        draft.members.retain(|_, value| !value.is_null());
        Ok(draft)
    }

    /// Takes the members of a fragment, where null and the NGSI-LD Null delete (5.5.8).
    pub fn fragment(
        document: &Document<'_>,
        context: &Context,
        limits: &Limits,
    ) -> Result<Self, SubscriptionError> {
        let Some(members) = document.as_object() else {
            return Err(ReadError::new("a Subscription is a JSON object").into());
        };
        let mut accepting = Accepting {
            context,
            limits,
            options: FilterOptions::default(),
            draft: Self::default(),
        };
        accepting.options(document)?;
        for (name, value) in members {
            accepting.member(name, value).map_err(|error| error.within(name))?;
        }
        Ok(accepting.draft)
    }

    /// Puts the members of a fragment in place of those of the same name; a Null takes one away
    /// (5.5.8).
    pub fn amend(&mut self, fragment: Draft) {
        for (name, value) in fragment.members {
            if let Some(parameter) = EXPRESSIONS.iter().find(|known| **known == name) {
                self.names.remove(*parameter);
            }
            match value {
                Value::Null => drop(self.members.shift_remove(&name)),
                value => drop(self.members.insert(name, value)),
            }
        }
        self.names.extend(fragment.names);
    }

    /// Whether a fragment has members that the limits of queries are about.
    pub fn asks_for_more(&self) -> bool {
        const MEASURED: [&str; 7] =
            ["entities", "q", "geoQ", "scopeQ", "csf", "ordering", "notification"];
        MEASURED.iter().any(|name| self.members.contains_key(*name))
    }

    /// The address in `jsonldContext`, if it was sent.
    pub fn jsonld_context(&self) -> Option<&str> {
        self.members.get("jsonldContext").and_then(Value::as_str)
    }

    /// Whether a fragment takes the `jsonldContext` away.
    pub fn forgets_jsonld_context(&self) -> bool {
        self.members.get("jsonldContext").is_some_and(Value::is_null)
    }
}

/// The members whose names stay as they were written.
const EXPRESSIONS: [&str; 3] = ["q", "csf", "ordering"];

struct Accepting<'a> {
    context: &'a Context,
    limits: &'a Limits,
    /// How the names in `q` are read.
    options: FilterOptions,
    draft: Draft,
}

impl Accepting<'_> {
    fn options(&mut self, document: &Document<'_>) -> Result<(), SubscriptionError> {
        let text =
            |name| document.get(name).and_then(Document::as_str).filter(|text| !is_null(text));
        self.options = FilterOptions::parse(
            text("expandValues"),
            text("jsonKeys"),
            self.context,
            self.limits,
        )?;
        Ok(())
    }

    fn member(&mut self, name: &str, value: &Document<'_>) -> Result<(), SubscriptionError> {
        let name = match name {
            "id" | "@id" => return self.id(value),
            "@type" => "type",
            name if MEMBERS.contains(&name) || LATER_MEMBERS.contains(&name) => name,
            _ => return Ok(()),
        };
        let kept = match (name, value) {
            (_, Document::Null) => Value::Null,
            (_, Document::String(text)) if is_null(text) => Value::Null,
            ("entities", Document::Array(items)) => self.entities(items)?,
            ("watchedAttributes", Document::Array(items)) => self.names(items)?,
            ("q" | "csf", Document::String(text)) => self.filter(name, text)?,
            ("expandValues", Document::String(_)) => listed(&self.options.expand_values),
            ("jsonKeys", Document::String(_)) => listed(&self.options.json_keys),
            ("geoQ", value) => self.geoquery(value)?,
            ("ordering", value) => self.ordering(value)?,
            ("notification", value) => self.notification(value)?,
            (_, value) => plain(value),
        };
        if self.draft.members.insert(name.to_owned(), kept).is_some() {
            return Err(ReadError::new("it is given twice").into());
        }
        Ok(())
    }

    fn id(&mut self, value: &Document<'_>) -> Result<(), SubscriptionError> {
        let text = value.as_str().ok_or_else(|| ReadError::new("it has to be a URI"))?;
        let id = SubscriptionId::parse(text).map_err(|why| ReadError::new(why.to_string()))?;
        self.draft.id = Some(id);
        Ok(())
    }

    fn entities(&self, items: &[Document<'_>]) -> Result<Value, SubscriptionError> {
        let selectors = items.iter().enumerate().map(|(place, item)| {
            let mut kept = plain(item);
            let Value::Object(members) = &mut kept else { return Ok(kept) };
            for (long, short) in [("@type", "type"), ("@id", "id")] {
                if let Some(value) = members.shift_remove(long) {
                    members.insert(short.to_owned(), value);
                }
            }
            if let Some(Value::String(text)) = members.get_mut("type") {
                *text =
                    self.types(text).map_err(|error| error.within("type").within_item(place))?;
            }
            Ok(kept)
        });
        selectors.collect()
    }

    /// A type selection with all its names known to the process, so that an index may hold them.
    fn types(&self, text: &str) -> Result<String, SubscriptionError> {
        let mut selection = parse_types(text, self.context, self.limits)?;
        if let TypeSelection::Of(alternatives) = &mut selection {
            for term in alternatives.iter_mut().flatten() {
                if let TypeTerm::Unknown(iri) = term {
                    *term = TypeTerm::Known(intern(iri)?);
                }
            }
        }
        Ok(selection.to_string())
    }

    /// Names of attributes, each by itself in an array.
    fn names(&self, items: &[Document<'_>]) -> Result<Value, SubscriptionError> {
        let names = items.iter().enumerate().map(|(place, item)| {
            let Some(term) = item.as_str() else { return Ok(plain(item)) };
            self.attribute(term).map_err(|error| error.within_item(place)).map(Value::from)
        });
        names.collect()
    }

    fn attribute(&self, term: &str) -> Result<String, SubscriptionError> {
        check_attribute_term(term)?;
        Ok(self.context.expand(term).map_err(ReadError::from)?.as_str().to_owned())
    }

    fn filter(&mut self, name: &str, text: &str) -> Result<Value, SubscriptionError> {
        let (parameter, options) = match name {
            "q" => ("q", self.options.clone()),
            _ => ("csf", FilterOptions::default()),
        };
        let read = |text: &str, context: &Context| {
            Filter::parse_as(parameter, text, context, &options, self.limits)
        };
        let text = &*unescaped(text);
        let mut filter = read(text, self.context)?;
        let names = names_of(&filter);
        if read(text, &*context_of(&names)?).ok().as_ref() == Some(&filter) {
            self.keep_names(parameter, names);
            return Ok(text.into());
        }
        // A context that a table of terms cannot stand for: the names say themselves what they are.
        filter.respell(&|iri| format!("<{iri}>"));
        Ok(filter.to_string().into())
    }

    fn keep_names(&mut self, parameter: &str, names: Map<String, Value>) {
        if !names.is_empty() {
            self.draft.names.insert(parameter.to_owned(), names.into());
        }
    }

    fn geoquery(&self, value: &Document<'_>) -> Result<Value, SubscriptionError> {
        let mut kept = plain(value);
        if let Some(Value::String(name)) = kept.get_mut("geoproperty") {
            *name = self.attribute(name).map_err(|error| error.within("geoproperty"))?;
        }
        Ok(kept)
    }

    fn ordering(&mut self, value: &Document<'_>) -> Result<Value, SubscriptionError> {
        let mut kept = plain(value);
        let Some(Value::Array(elements)) = kept.get_mut("orderBy") else { return Ok(kept) };
        let mut names = Map::new();
        for (place, element) in elements.iter_mut().enumerate() {
            let Some(text) = element.as_str() else { continue };
            // Distances need coordinates, which are of no matter for the names.
            let params = OrderParams {
                order_by: Some(text),
                order_from: Some("[0,0]"),
                ..OrderParams::default()
            };
            let order = Order::parse(&params, self.context, self.limits)
                .map_err(|error| SubscriptionError::from(error).within_item(place))?;
            names.extend(order.iter().flat_map(names_of));
        }
        self.keep_names("ordering", names);
        Ok(kept)
    }

    fn notification(&self, value: &Document<'_>) -> Result<Value, SubscriptionError> {
        let Value::Object(mut members) = plain(value) else { return Ok(plain(value)) };
        members.retain(|name, _| PARAMS.contains(&name.as_str()));
        if let Some(Value::Object(endpoint)) = members.get_mut("endpoint") {
            endpoint.retain(|name, _| ENDPOINT.contains(&name.as_str()));
        }
        if let Some(Document::Array(items)) = value.get("attributes") {
            let names = self.names(items).map_err(|error| error.within("attributes"))?;
            members.insert("attributes".to_owned(), names);
        }
        for name in ["pick", "omit"] {
            if let Some(Document::Array(items)) = value.get(name) {
                let items = self.projection(name, items).map_err(|error| error.within(name))?;
                members.insert(name.to_owned(), items);
            }
        }
        Ok(members.into())
    }

    fn projection(&self, name: &str, items: &[Document<'_>]) -> Result<Value, SubscriptionError> {
        let parameter = if name == "pick" { "pick" } else { "omit" };
        let items = items.iter().enumerate().map(|(place, item)| {
            let Some(text) = item.as_str() else { return Ok(plain(item)) };
            let tree = Tree::parse(parameter, text, self.context, self.limits);
            let mut tree =
                tree.map_err(|error| SubscriptionError::from(error).within_item(place))?;
            tree.respell(&|iri| format!("<{iri}>"));
            Ok(Value::from(tree.to_string()))
        });
        items.collect()
    }
}

/// A query as it was before a client escaped it for a URL, though it went into a body: so do many.
fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return text.into();
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let digits = (byte == b'%').then(|| (rest.next(), rest.next()));
        bytes.push(match digits {
            None => byte,
            Some((Some(high), Some(low))) => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                match (digit(high), digit(low)) {
                    (Some(high), Some(low)) => (high * 16 + low) as u8,
                    _ => return text.into(),
                }
            }
            Some(_) => return text.into(),
        });
    }
    String::from_utf8(bytes).map_or(text.into(), Cow::Owned)
}

/// The `@context` that some kept names were written with.
pub(super) fn context_of(
    names: &Map<String, Value>,
) -> Result<std::sync::Arc<Context>, SubscriptionError> {
    if names.is_empty() {
        return Ok(Context::core());
    }
    let names = Value::from(names.clone());
    Ok(Context::local(&Document::from_json(&names)).map_err(ReadError::from)?)
}

/// The names in a query that the core context alone would not give their meaning, as terms and
/// prefixes of an `@context`.
fn names_of(spelled: &impl Spelled) -> Map<String, Value> {
    let core = Context::core();
    let mut names = Map::new();
    spelled.each_name(&mut |written, iri| {
        if core.expand_text(written) == iri {
            return;
        }
        let prefixed = written.split_once(':').filter(|(_, local)| !local.starts_with("//"));
        let stem = prefixed.and_then(|(prefix, local)| Some((prefix, iri.strip_suffix(local)?)));
        match stem {
            Some((prefix, stem)) => {
                names.insert(prefix.to_owned(), json!({"@id": stem, "@prefix": true}));
            }
            None => drop(names.insert(written.to_owned(), iri.into())),
        }
    });
    names
}

fn listed(terms: &[crate::query::Term]) -> Value {
    let names: Vec<String> = terms.iter().map(|term| format!("<{}>", term.iri())).collect();
    names.join(",").into()
}

fn intern(iri: &str) -> Result<Name, SubscriptionError> {
    Name::intern(iri).map_err(|error| ReadError::new(error.to_string()).into())
}

fn is_null(text: &str) -> bool {
    text == "urn:ngsi-ld:null"
}

fn plain(value: &Document<'_>) -> Value {
    value.clone().into_json()
}
