//! A Subscription as it is shown (5.2.12): its members with the names of the reader's `@context`,
//! and what the broker adds.

use serde_json::{Map, Value, json};

use super::{DeliveryReport, Draft, Subscription, Timing, Trigger};
use crate::jsonld::Context;
use crate::model::{Timestamp, TypeSelection, TypeTerm};
use crate::query::{
    Filter, FilterOptions, Limits, Order, OrderParams, Spelled, Tree, compacted, parse_types,
    spelled,
};

/// How a Subscription is shown.
#[derive(Debug, Clone, Copy)]
pub struct Showing<'a> {
    /// Whose names are used.
    pub context: &'a Context,
    /// The `@context` stands in the body.
    pub context_in_body: bool,
    /// `createdAt` and `modifiedAt` are shown.
    pub sys_attrs: bool,
    pub now: Timestamp,
}

impl Showing<'_> {
    /// Appends a Subscription as a JSON object.
    pub fn write(&self, out: &mut Vec<u8>, subscription: &Subscription, report: &DeliveryReport) {
        let value = Value::from(self.shown(subscription, report));
        // Writing a tree of strings and numbers into memory cannot fail.
        let _ = serde_json::to_writer(out, &value);
    }

    fn shown(&self, subscription: &Subscription, report: &DeliveryReport) -> Map<String, Value> {
        let draft = &*subscription.draft;
        let mut shown = Map::new();
        shown.insert("id".into(), subscription.id.as_str().into());
        shown.insert("type".into(), "Subscription".into());
        for (name, value) in draft.members.iter().filter(|(name, _)| *name != "type") {
            shown.insert(name.clone(), self.member(draft, name, value));
        }
        if let Timing::OnChange { .. } = subscription.timing
            && subscription.about_sources.is_none()
            && !shown.contains_key("notificationTrigger")
        {
            let words = [Trigger::AttributeCreated, Trigger::AttributeUpdated].map(Trigger::word);
            shown.insert("notificationTrigger".into(), json!(words));
        }
        if let Some(Value::Object(params)) = shown.get_mut("notification") {
            add_report(params, report);
        }
        shown.insert("status".into(), subscription.status(self.now).word().into());
        if !shown.contains_key("jsonldContext") && subscription.about_sources.is_none() {
            shown.insert("jsonldContext".into(), (*subscription.context_address).into());
        }
        if self.sys_attrs {
            shown.insert("createdAt".into(), subscription.created_at.to_string().into());
            shown.insert("modifiedAt".into(), subscription.modified_at.to_string().into());
        }
        if self.context_in_body {
            let body = serde_json::from_str(&self.context.link().body);
            shown.insert("@context".into(), body.unwrap_or(Value::Null));
        }
        shown
    }

    fn member(&self, draft: &Draft, name: &str, value: &Value) -> Value {
        let mut shown = value.clone();
        match (name, &mut shown) {
            ("entities", Value::Array(selectors)) => {
                for selector in selectors {
                    if let Some(Value::String(types)) = selector.get_mut("type") {
                        *types = self.types(types);
                    }
                }
            }
            ("watchedAttributes", shown) => self.names(shown),
            ("expandValues" | "jsonKeys", Value::String(text)) => {
                let names = text.split(',').map(|name| name.trim_matches(['<', '>']));
                let names: Vec<String> = names.map(|iri| spelled(iri, self.context)).collect();
                *text = names.join(",");
            }
            ("q" | "csf", Value::String(text)) => self.filter(draft, name, text),
            ("geoQ", shown) => {
                if let Some(Value::String(name)) = shown.get_mut("geoproperty") {
                    *name = compacted(name, self.context);
                }
            }
            ("ordering", shown) => {
                if let Some(Value::Array(elements)) = shown.get_mut("orderBy") {
                    elements.iter_mut().for_each(|element| self.element(draft, element));
                }
            }
            ("notification", Value::Object(params)) => {
                params.get_mut("attributes").into_iter().for_each(|names| self.names(names));
                for name in ["pick", "omit"] {
                    if let Some(Value::Array(items)) = params.get_mut(name) {
                        items.iter_mut().for_each(|item| self.projection(item));
                    }
                }
            }
            _ => {}
        }
        shown
    }

    fn names(&self, names: &mut Value) {
        for name in names.as_array_mut().into_iter().flatten() {
            if let Value::String(iri) = name {
                *iri = compacted(iri, self.context);
            }
        }
    }

    /// A single type is written as a name, a selection as its language reads it.
    fn types(&self, text: &str) -> String {
        let selection = parse_types(text, &Context::core(), &Limits::OF_KEPT);
        let Ok(TypeSelection::Of(alternatives)) = selection else { return text.to_owned() };
        let iri = |term: &TypeTerm| match term {
            TypeTerm::Known(name) => name.as_str().to_owned(),
            TypeTerm::Unknown(iri) => iri.as_ref().to_owned(),
        };
        if let [single] = alternatives.as_slice()
            && let [only] = single.as_slice()
        {
            return compacted(&iri(only), self.context);
        }
        let combinations = alternatives.iter().map(|combination| {
            let types: Vec<String> =
                combination.iter().map(|term| spelled(&iri(term), self.context)).collect();
            match types.as_slice() {
                [single] => single.clone(),
                several => format!("({})", several.join(";")),
            }
        });
        combinations.collect::<Vec<_>>().join("|")
    }

    /// A query is written as it came, if its names mean the same to the reader.
    fn filter(&self, draft: &Draft, member: &str, text: &mut String) {
        let option = |name| draft.members.get(name).and_then(Value::as_str);
        let limits = Limits::OF_KEPT;
        let core = Context::core();
        let (context, q) = (draft.context(member), member == "q");
        let options = FilterOptions::parse(
            option("expandValues").filter(|_| q),
            option("jsonKeys").filter(|_| q),
            &core,
            &limits,
        );
        let Ok(options) = options else { return };
        let Ok(mut filter) = Filter::parse(text, &context, &options, &limits) else { return };
        if !filter.means_the_same_under(self.context) {
            filter.respell(&|iri| spelled(iri, self.context));
            *text = filter.to_string();
        }
    }

    fn element(&self, draft: &Draft, element: &mut Value) {
        let Value::String(text) = element else { return };
        let params = OrderParams {
            order_by: Some(text),
            order_from: Some("[0,0]"),
            ..OrderParams::default()
        };
        let order = Order::parse(&params, &draft.context("ordering"), &Limits::OF_KEPT);
        if let Ok(Some(mut order)) = order
            && !order.means_the_same_under(self.context)
        {
            order.respell(&|iri| spelled(iri, self.context));
            let each = order.elements().iter();
            let each = each.map(|one| format!("{};{}", one.path, one.direction.word()));
            *text = each.collect::<Vec<_>>().join(",");
        }
    }

    fn projection(&self, item: &mut Value) {
        let Value::String(text) = item else { return };
        let whole = text.strip_prefix('<').and_then(|text| text.strip_suffix('>'));
        if let Some(iri) = whole.filter(|iri| !iri.contains('<')) {
            *text = compacted(iri, self.context);
            return;
        }
        let tree = Tree::parse("pick", text, &Context::core(), &Limits::OF_KEPT);
        if let Ok(mut tree) = tree {
            tree.respell(&|iri| spelled(iri, self.context));
            *text = tree.to_string();
        }
    }
}

impl Draft {
    /// The `@context` that a member's names were written with.
    fn context(&self, member: &str) -> std::sync::Arc<Context> {
        let names = self.names.get(member).and_then(Value::as_object);
        let context = names.and_then(|names| super::accept::context_of(names).ok());
        context.unwrap_or_else(Context::core)
    }
}

/// The members of NotificationParams that the broker writes (5.2.14.2); none before the first
/// notification, and `timesFailed` from the first failure on.
fn add_report(params: &mut Map<String, Value>, report: &DeliveryReport) {
    let Some(status) = report.status else { return };
    params.insert("status".into(), status.word().into());
    params.insert("timesSent".into(), report.times_sent.into());
    if report.times_failed > 0 {
        params.insert("timesFailed".into(), report.times_failed.into());
    }
    let times = [
        ("lastNotification", report.last_notification),
        ("lastSuccess", report.last_success),
        ("lastFailure", report.last_failure),
    ];
    for (name, time) in times {
        if let Some(time) = time {
            params.insert(name.into(), time.to_string().into());
        }
    }
}
