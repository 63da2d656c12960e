//! Purge Snapshots (5.16.7): those that a query about snapshots themselves finds.

use std::sync::LazyLock;

use super::keep::Kept;
use crate::broker::{BatchOutcome, Broker, Call, Error};
use crate::jsonld::Context;
use crate::model::{
    Attribute, Attributes, Datum, Entity, EntityId, Instance, Name, OneOrMany, SnapshotId, Value,
};
use crate::query::{Filter, FilterOptions, Member, NoLookup, Path};

/// The members that a query may be about, beside those that all entities have.
const MEMBERS: [&str; 10] = [
    "snapshotQueries",
    "snapshotTemporalQueries",
    "snapshotLifetime",
    "snapshotPriority",
    "endpoint",
    "receiverInfo",
    "snapshotStatus",
    "snapshotQueriesDetails",
    "snapshotTemporalQueriesDetails",
    "lastUsedAt",
];

static NAMES: LazyLock<Vec<(&str, Name)>> = LazyLock::new(|| {
    let core = Context::core();
    let name = |term| core.expand(term).ok().map(|name| (term, name));
    MEMBERS.into_iter().filter_map(name).collect()
});

impl Broker {
    /// Deletes the snapshots that a query finds. 5.16.7.
    pub async fn purge_snapshots(&self, call: &Call, q: &str) -> Result<BatchOutcome, Error> {
        // Their names have to be known before a query can speak of them.
        let names = &*NAMES;
        let core = Context::core();
        let filter = Filter::parse(q, &core, &FilterOptions::default(), &self.query_limits)?;
        if let Some(test) = filter.tests().iter().find(|test| !is_of_snapshots(&test.path)) {
            let what = test.path.attribute().map_or_else(String::new, |term| format!(": {term}"));
            return Err(Error::bad(format!(
                "q asks for something else than members of a Snapshot{what} (5.16.7)"
            )));
        }
        let mut batch = BatchOutcome::default();
        for kept in self.snapshots.all(&call.tenant).await? {
            let Some(entity) = entity(&kept, names) else { continue };
            if !kept.is_there(call.now) || !filter.matches(&entity, call.now, &NoLookup) {
                continue;
            }
            let id = SnapshotId::from_trusted(&kept.snapshot.id);
            match self.end_snapshot(&call.tenant, &id, call.now).await {
                Ok(()) => batch.changed.push(EntityId::from_trusted(id.as_str())),
                Err(error) => batch.failed.push((Some(id.as_str().to_owned()), error)),
            }
        }
        if batch.changed.is_empty() && batch.failed.is_empty() {
            return Err(Error::NotFound("no snapshot is as q says".to_owned()));
        }
        Ok(batch)
    }
}

fn is_of_snapshots(path: &Path) -> bool {
    let member = matches!(
        path.member,
        None | Some((
            Member::Id | Member::Type | Member::CreatedAt | Member::ModifiedAt | Member::ExpiresAt,
            _
        ))
    );
    let name = match path.names.as_slice() {
        [] => path.member.is_some(),
        [term] => NAMES.iter().any(|(_, name)| name.as_str() == term.iri()),
        _ => false,
    };
    path.links.is_empty() && member && name
}

/// A snapshot as a query sees it.
fn entity(kept: &Kept, names: &[(&str, Name)]) -> Option<Entity> {
    let snapshot = &kept.snapshot;
    let mut shown = snapshot.shown();
    let mut attributes = Attributes::new();
    for (term, name) in names {
        let Some(json) = shown.remove(*term) else { continue };
        let datum = match json {
            serde_json::Value::String(text) => Datum::Property(Value::from(text.as_str())),
            serde_json::Value::Number(number) => {
                Datum::Property(Value::from(number.as_i64().unwrap_or_default()))
            }
            other => Datum::JsonProperty(Box::new(other)),
        };
        attributes.insert(*name, Attribute::one(Instance::new(datum)));
    }
    let kind = Context::core().expand("Snapshot").ok()?;
    Some(Entity {
        id: EntityId::from_trusted(&snapshot.id),
        types: OneOrMany::One(kind),
        scopes: Vec::new(),
        attributes,
        created_at: snapshot.created_at,
        modified_at: snapshot.modified_at,
        expires_at: Some(snapshot.expires_at),
    })
}
