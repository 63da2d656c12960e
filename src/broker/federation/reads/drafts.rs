//! A query as it is sent to a source: in a URL, or in a body.

use serde_json::{Map, Value, json};

use super::Asked;
use crate::broker::QueryTexts;
use crate::egress::Method;
use crate::federate::{Draft, Leg, Naming, types_text};
use crate::jsonld::Context;
use crate::model::AttrName;
use crate::query::EntityPlan;
use crate::represent::registration::Operation;

/// The longest query that is sent in a URL if it can be sent in a body.
const URL: usize = 4_096;

/// What a query says beside which entities it is about.
pub(super) trait Saying {
    fn attributes(&self) -> Option<&[AttrName]>;
    fn filters(&self, _: &Naming) -> Vec<(&'static str, String)> {
        Vec::new()
    }
    fn page(&self) -> Option<(usize, usize)> {
        None
    }
}

/// Nothing.
pub(super) struct Simple<'a> {
    pub attributes: Option<&'a [AttrName]>,
    pub page: Option<(usize, usize)>,
}

impl Saying for Simple<'_> {
    fn attributes(&self) -> Option<&[AttrName]> {
        self.attributes
    }

    fn page(&self) -> Option<(usize, usize)> {
        self.page
    }
}

/// Filters, unless they are applied to whole entities.
pub(super) struct Filtered<'a> {
    pub asked: &'a Asked<'a>,
    pub leg: &'a Leg,
    pub page: Option<(usize, usize)>,
}

impl Saying for Filtered<'_> {
    fn attributes(&self) -> Option<&[AttrName]> {
        self.leg.attributes.as_deref()
    }

    fn filters(&self, naming: &Naming) -> Vec<(&'static str, String)> {
        if self.asked.split {
            return Vec::new();
        }
        conditions(self.asked.plan, self.asked.texts, &self.asked.context, naming)
    }

    fn page(&self) -> Option<(usize, usize)> {
        self.page
    }
}

/// The conditions of a plan as parameters, their names as a source knows them.
pub(in crate::broker::federation) fn conditions(
    plan: &EntityPlan,
    texts: &QueryTexts,
    context: &Context,
    naming: &Naming,
) -> Vec<(&'static str, String)> {
    let mut all = Vec::new();
    all.extend(plan.filter.as_ref().map(|filter| ("q", naming.spell(filter))));
    all.extend(plan.scope.as_ref().map(|scope| ("scopeQ", scope.to_string())));
    if let Some(geo) = &plan.geo {
        all.push(("georel", geo.georel()));
        all.push(("geometry", geo.reference().type_name().to_owned()));
        all.push(("coordinates", geo.coordinates()));
        all.push(("geoproperty", naming.name(geo.property().iri())));
    }
    let list = |text: &String| {
        let names = text.split(',').map(|one| naming.name(&context.expand_text(one.trim())));
        names.collect::<Vec<_>>().join(",")
    };
    all.extend(texts.expand_values.as_ref().map(|text| ("expandValues", list(text))));
    all.extend(texts.json_keys.as_ref().map(|text| ("jsonKeys", list(text))));
    all
}

/// A query of a source: in the URL, or in a body where the source wants that, or it grows long.
pub(super) fn query_draft(
    leg: &Leg,
    operation: Operation,
    about: &dyn Saying,
    naming: &Naming,
) -> Draft {
    let attributes = about.attributes();
    let filters = about.filters(naming);
    let draft = match operation {
        Operation::QueryBatch => Draft::new(Method::POST, "/entityOperations/query")
            .with_object(query_body(leg, attributes, &filters, naming)),
        _ => {
            let mut draft = Draft::new(Method::GET, "/entities").selecting(leg, naming);
            draft = draft.with_some("attrs", attributes.map(|all| naming.names(all)));
            draft.params.extend(filters.iter().cloned());
            let long: usize = draft.params.iter().map(|(_, value)| value.len()).sum();
            if long > URL && leg.source.supports(Operation::QueryBatch) {
                draft = Draft::new(Method::POST, "/entityOperations/query")
                    .with_object(query_body(leg, attributes, &filters, naming));
            }
            draft
        }
    };
    let draft = draft.with("options", "sysAttrs");
    match about.page() {
        Some((offset, limit)) => {
            let draft = draft.with("limit", limit.to_string());
            draft.with_some("offset", (offset > 0).then(|| offset.to_string()))
        }
        None => draft,
    }
}

/// A Query (5.2.23).
fn query_body(
    leg: &Leg,
    attributes: Option<&[AttrName]>,
    filters: &[(&'static str, String)],
    naming: &Naming,
) -> String {
    let mut body = Map::new();
    body.insert("type".into(), "Query".into());
    let select = &leg.select;
    let types = select.types.as_ref().map_or("*".to_owned(), |types| types_text(types, naming));
    let mut entity = Map::new();
    entity.insert("type".into(), types.into());
    match select.ids.as_slice() {
        [] => {
            if let Some(pattern) = &select.id_pattern {
                entity.insert("idPattern".into(), pattern.as_str().into());
            }
        }
        [id] => drop(entity.insert("id".into(), id.as_str().into())),
        ids => {
            let ids: Vec<&str> = ids.iter().map(|id| id.as_str()).collect();
            entity.insert("id".into(), json!(ids));
        }
    }
    body.insert("entities".into(), json!([entity]));
    if let Some(attributes) = attributes {
        let names: Vec<String> = attributes.iter().map(|name| naming.name(name.as_str())).collect();
        body.insert("attrs".into(), json!(names));
    }
    let mut geo = Map::new();
    for (name, value) in filters {
        match *name {
            "georel" | "geometry" | "geoproperty" => {
                geo.insert((*name).into(), value.clone().into());
            }
            "coordinates" => {
                let value = serde_json::from_str(value).unwrap_or_else(|_| value.clone().into());
                geo.insert("coordinates".into(), value);
            }
            name => drop(body.insert(name.into(), value.clone().into())),
        }
    }
    if !geo.is_empty() {
        body.insert("geoQ".into(), geo.into());
    }
    Value::from(body).to_string()
}
