//! Notifications (5.3.1, 5.8.6, 6.3.8): the body, and the headers that belong to it.

use std::sync::Arc;

use bytes::Bytes;

use super::subscription::{Accept, Subscription, Timing, Trigger};
use super::write::{Past, PastInstance, Renderer, comma, string};
use super::{Linked, Links};
use crate::jsonld::Context;
use crate::model::{
    AttrName, Attribute, Change, DatasetId, Difference, Entity, Instance, Stored, SubscriptionId,
    TenantId, Timestamp, Turn,
};

/// An entity to tell of, and what happened to it.
#[derive(Debug, Clone)]
pub struct Told {
    /// What it was; absent if it was created, or if nothing is told of what it was.
    pub before: Option<Arc<Stored>>,
    /// What it is; absent if it was deleted.
    pub after: Option<Arc<Stored>>,
    /// When it became so.
    pub at: Timestamp,
}

impl Told {
    /// What a write did.
    pub fn of(change: &Change) -> Self {
        let Change { before, after, at, .. } = change;
        Self { before: before.clone(), after: after.clone(), at: *at }
    }

    /// An entity as it is, whatever it was: for notifications by the clock.
    pub fn as_it_is(entity: Arc<Stored>, at: Timestamp) -> Self {
        Self { before: Some(entity.clone()), after: Some(entity), at }
    }
}

/// A notification to be written.
#[derive(Debug, Clone, Copy)]
pub struct Notice<'a> {
    pub subscription: &'a Subscription,
    pub tenant: &'a TenantId,
    /// A URI, the same each time the same is told.
    pub id: &'a str,
    pub notified_at: Timestamp,
}

/// A notification as it goes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    pub body: Bytes,
    /// `Content-Type`, and perhaps `Link`, `NGSILD-Tenant` and `NGSILD-Snapshot`.
    pub headers: Vec<(&'static str, String)>,
}

impl<'a> Notice<'a> {
    /// Where to begin to fetch the entities that those of the notification are joined with
    /// (4.5.23).
    pub fn links(&self, told: &[Told]) -> Links<'a> {
        let rendering = &self.subscription.notification.rendering;
        let entities: Vec<Arc<Stored>> = match rendering.join {
            Some(_) => told.iter().filter_map(|one| one.after.clone()).collect(),
            None => Vec::new(),
        };
        Links::new(rendering, &entities, self.notified_at)
    }

    /// Writes the notification. None if there is nothing to tell, since the Subscription shows
    /// nothing of the entities.
    pub fn write(&self, told: &[Told], linked: &Linked) -> Option<Notification> {
        let params = &self.subscription.notification;
        let context: &Context = &self.subscription.context;
        let in_body = match params.endpoint.accept {
            Accept::Json => false,
            Accept::LdJson => true,
            Accept::GeoJson => !params.endpoint.prefers_plain_body(),
        };
        let mut body = Vec::with_capacity(512 + 1_280 * told.len());
        self.head(&mut body);
        let renderer =
            Renderer::new(&params.rendering, context, self.notified_at).with_linked(linked);
        // Every subscription that is told of the same change shares what it is told; where there is
        // but one, that is not worth keeping.
        let renderer = renderer.sparing();
        let renderer = if in_body { renderer.with_context_in_body() } else { renderer };
        let mut shown: Vec<_> = told.iter().filter_map(|one| self.shown(one)).collect();
        // Several changes that go together come as `ordering` says; else in the order they happened.
        let plan = &self.subscription.plan;
        if plan.order.is_some() {
            shown.sort_by(|(one, _), (other, _)| plan.compare(one, other, self.notified_at));
        }
        let items = shown.iter().map(|(entity, past)| (&**entity, past.as_ref()));
        if renderer.all_with(&mut body, items).empty {
            return None;
        }
        if in_body && params.endpoint.accept == Accept::LdJson {
            body.extend_from_slice(b",\"@context\":");
            body.extend_from_slice(context.link().body.as_bytes());
        }
        body.push(b'}');
        Some(Notification { body: body.into(), headers: self.headers(in_body) })
    }

    /// Appends the members before the entities, and the name of the member that holds these.
    fn head(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"id\":");
        string(out, self.id);
        out.extend_from_slice(b",\"type\":\"Notification\",\"subscriptionId\":");
        string(out, SubscriptionId::as_str(&self.subscription.id));
        comma(out);
        out.extend_from_slice(b"\"notifiedAt\":\"");
        self.notified_at.write_to(out);
        out.extend_from_slice(b"\",\"data\":");
    }

    /// The headers of the notification.
    pub(super) fn headers(&self, context_in_body: bool) -> Vec<(&'static str, String)> {
        let accept = self.subscription.notification.endpoint.accept;
        let mut headers = vec![("Content-Type", accept.media_type().to_owned())];
        if !context_in_body {
            let url = &self.subscription.context_address;
            headers.push((
                "Link",
                format!(
                    "<{url}>; rel=\"http://www.w3.org/ns/json-ld#context\"; type=\"application/ld+json\""
                ),
            ));
        }
        if let Some(name) = self.tenant.home().name() {
            headers.push(("NGSILD-Tenant", name.to_owned()));
        }
        if let Some(snapshot) = &self.subscription.snapshot {
            headers.push(("NGSILD-Snapshot", snapshot.to_string()));
        }
        headers
    }

    /// An entity as it is told of: with the attributes that are gone, if their going is told, and
    /// with what others were, if that is.
    fn shown(&self, told: &Told) -> Option<(Arc<Stored>, Option<Past>)> {
        let Timing::OnChange { triggers, .. } = &self.subscription.timing else {
            return Some((told.after.clone()?, None));
        };
        let tells_deletions = triggers.has(Trigger::AttributeDeleted);
        match (&told.before, &told.after) {
            (None, None) => None,
            (Some(before), None) => Some(self.deleted(before, told.at)),
            (None, Some(after)) => Some((after.clone(), None)),
            (Some(before), Some(after)) => {
                let show_changes = self.subscription.notification.show_changes;
                if Arc::ptr_eq(before, after) || !(show_changes || tells_deletions) {
                    return Some((after.clone(), None));
                }
                let changed = Changed { before, at: told.at, show_changes, tells_deletions };
                Some(changed.shown(after, self.subscription))
            }
        }
    }

    /// An entity that was deleted: what identifies it, and its attributes if their values are
    /// shown, or if they are watched for their deletion.
    fn deleted(&self, before: &Stored, at: Timestamp) -> (Arc<Stored>, Option<Past>) {
        let subscription = self.subscription;
        let show_changes = subscription.notification.show_changes;
        let watched = subscription.watched();
        let deletions = subscription.triggers().has(Trigger::AttributeDeleted);
        let view = subscription.notification.rendering.projection.view();
        let mut entity = Entity { scopes: Vec::new(), expires_at: None, ..before.entity.clone() };
        entity.attributes.retain(|name, _| {
            let told = show_changes || (deletions && watched.contains(&name));
            told && view.keeps_attribute(name)
        });
        let mut past = Past { deleted_at: Some(at), instances: Vec::new() };
        for (name, attribute) in entity.attributes.iter_mut() {
            *attribute = whole_or_one(attribute, self.is_plain());
            for instance in attribute.instances_mut() {
                outlive(instance);
                past.instances.push(gone(name, instance, at, show_changes));
            }
        }
        (Stored::new(entity), Some(past))
    }

    /// Whether nothing is told of an attribute that is gone but that it is.
    fn is_plain(&self) -> bool {
        is_plain(self.subscription)
    }
}

fn is_plain(subscription: &Subscription) -> bool {
    let params = &subscription.notification;
    !params.show_changes && !params.rendering.sys_attrs
}

/// What of a change is told.
struct Changed<'a> {
    before: &'a Stored,
    at: Timestamp,
    show_changes: bool,
    tells_deletions: bool,
}

impl Changed<'_> {
    fn shown(
        &self,
        after: &Arc<Stored>,
        subscription: &Subscription,
    ) -> (Arc<Stored>, Option<Past>) {
        let difference = Difference::between(Some(&self.before.entity), Some(&after.entity));
        let mut past = Past::default();
        let mut entity: Option<Entity> = None;
        for turned in &difference.turns {
            let (name, dataset) = (turned.name, turned.dataset.as_ref());
            match turned.turn {
                Turn::Updated if self.show_changes => {
                    if let Some(old) = self.old(name, dataset) {
                        past.instances.push(PastInstance {
                            name,
                            dataset: turned.dataset.clone(),
                            deleted_at: None,
                            previous: Some(old.datum.clone()),
                        });
                    }
                }
                Turn::Deleted if self.tells_deletions => {
                    let entity = entity.get_or_insert_with(|| after.entity.clone());
                    let whole = after.attributes.get(name).is_none();
                    if let Some(old) = self.old(name, dataset) {
                        let mut old = old.clone();
                        outlive(&mut old);
                        let plain = is_plain(subscription);
                        self.put_back(entity, &mut past, name, old, whole && plain);
                    }
                }
                _ => {}
            }
        }
        let past = (!past.instances.is_empty()).then_some(past);
        (entity.map_or_else(|| after.clone(), Stored::new), past)
    }

    fn old(&self, name: AttrName, dataset: Option<&DatasetId>) -> Option<&Instance> {
        self.before.attributes.get(name)?.instance(dataset)
    }

    /// Puts an instance that is gone among the others. Of an attribute that is gone altogether
    /// one is enough, if no more is told of it.
    fn put_back(
        &self,
        entity: &mut Entity,
        past: &mut Past,
        name: AttrName,
        mut instance: Instance,
        one_is_enough: bool,
    ) {
        let several = self.before.attributes.get(name).is_some_and(|a| a.instances().len() > 1);
        if one_is_enough && several {
            if entity.attributes.get(name).is_some() {
                return;
            }
            instance.more = None;
        }
        past.instances.push(gone(name, &instance, self.at, self.show_changes));
        match entity.attributes.get_mut(name) {
            Some(attribute) => drop(attribute.put(instance)),
            None => drop(entity.attributes.insert(name, Attribute::one(instance))),
        }
    }
}

/// All instances of an attribute that is gone, or one of them where that says enough.
fn whole_or_one(attribute: &Attribute, one_is_enough: bool) -> Attribute {
    match attribute.instances() {
        [first, _, ..] if one_is_enough => {
            let default = attribute.instance(None).unwrap_or(first);
            Attribute::one(Instance { more: None, ..default.clone() })
        }
        _ => attribute.clone(),
    }
}

fn gone(name: AttrName, instance: &Instance, at: Timestamp, show_changes: bool) -> PastInstance {
    PastInstance {
        name,
        dataset: instance.dataset().cloned(),
        deleted_at: Some(at),
        previous: show_changes.then(|| instance.datum.clone()),
    }
}

/// What has expired is told of all the same when it goes.
fn outlive(instance: &mut Instance) {
    if let Some(more) = &mut instance.more {
        more.expires_at = None;
    }
    instance.tidy();
}

#[cfg(test)]
mod tests;
