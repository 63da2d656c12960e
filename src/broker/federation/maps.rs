//! The entity maps that sources made for a map that is kept here (4.3.6.7): they live and go with it.
//! Those of a source that does not answer end by themselves.

use std::sync::Arc;

use futures_util::FutureExt;

use super::super::{Broker, Call};
use super::ask::all;
use crate::egress::Method;
use crate::federate::{Draft, Naming, Payload, Source, path_part};
use crate::model::{RegistrationId, Timestamp};
use crate::represent::registration::Operation;

impl Broker {
    /// Lets the maps of sources end at another time (5.14.2).
    pub(in crate::broker) async fn end_linked_maps(
        &self,
        call: &Call,
        linked: &[(String, String)],
        end: Timestamp,
    ) {
        let body = serde_json::json!({"type": "EntityMap", "expiresAt": end.to_string()});
        let body = Payload::Plain(body.to_string());
        let draft = |path| Draft { body: body.clone(), ..Draft::new(Method::PATCH, path) };
        self.follow(call, linked, Operation::UpdateEntityMap, draft).await;
    }

    /// Deletes the maps of sources (5.14.3).
    pub(in crate::broker) async fn delete_linked_maps(
        &self,
        call: &Call,
        linked: &[(String, String)],
    ) {
        let draft = |path| Draft::new(Method::DELETE, path);
        self.follow(call, linked, Operation::DeleteEntityMap, draft).await;
    }

    async fn follow(
        &self,
        call: &Call,
        linked: &[(String, String)],
        operation: Operation,
        draft: impl Fn(String) -> Draft,
    ) {
        let Some(origin) = call.origin() else { return };
        let able = linked.iter().filter_map(|(registration, map)| {
            let id = RegistrationId::from_trusted(registration);
            let source: Arc<Source> = self.federation.register.get(&call.tenant, &id)?;
            let draft = draft(format!("/entityMaps/{}", path_part(map)));
            source.supports(operation).then_some((source, draft))
        });
        let jobs = able.map(|(source, draft)| {
            async move { self.tell(origin, &source, &draft, &Naming::plain()).await }.boxed()
        });
        all(jobs.collect()).await;
    }
}
