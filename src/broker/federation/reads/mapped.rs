//! Which entities sources have, for an entity map: a source that can makes a map of its own
//! (5.14.4), which goes along with later requests; of others the ids are read page by page.

use super::super::ask::Heard;
use super::super::receive::{Said, heard};
use super::super::{Broker, Call, Origin};
use super::drafts::{Filtered, query_draft};
use super::{Asked, QUERIES};
use crate::egress::Method;
use crate::federate::{Draft, Leg, Matched, Naming, Warning};
use crate::model::{EntityId, Timestamp};
use crate::represent::read_entity_map;
use crate::represent::registration::Operation;

/// Which entities a source has.
#[derive(Default)]
pub(in crate::broker::federation) struct Ids {
    pub order: Vec<EntityId>,
    /// There are no more.
    pub complete: bool,
    /// The map that the source made.
    pub map: Option<String>,
    pub warnings: Vec<Warning>,
}

impl Broker {
    /// Which entities a source has: by a map that it makes, if it can and is asked for one part
    /// `alone`, or page by page.
    pub(super) async fn ids_there(
        &self,
        call: &Call,
        origin: &Origin,
        asked: &Asked<'_>,
        leg: &Leg,
        need: usize,
        alone: bool,
    ) -> Ids {
        if let Some(end) = asked.until.filter(|_| alone)
            && leg.source.supports(Operation::CreateEntityMapQueryEntity)
        {
            let operation = leg.source.first_of(QUERIES).unwrap_or(Operation::QueryEntity);
            let batch = operation == Operation::QueryBatch;
            let naming = self.naming(call, &leg.source, batch).await;
            let about = Filtered { asked, leg, page: None };
            let draft = query_draft(leg, operation, &about, &naming);
            let draft = map_draft(draft, "/entityMaps", call.now, end);
            if let Some(ids) = self.ids_by_map(origin, leg, &draft, &naming, need).await {
                return ids;
            }
        }
        let (zone, warnings) = self.zone_there(call, origin, asked, leg, need).await;
        Ids { order: zone.order, complete: zone.complete, map: None, warnings }
    }

    /// The ids that a map names which a source makes; None if it makes none.
    pub(in crate::broker::federation) async fn ids_by_map(
        &self,
        origin: &Origin,
        leg: &Leg,
        draft: &Draft,
        naming: &Naming,
        need: usize,
    ) -> Option<Ids> {
        let said = self.ask(origin, &leg.source, draft, naming).await;
        if matches!(&said, Heard::Reply(reply) if reply.status >= 300) {
            return None;
        }
        let (said, warnings) = heard(&leg.source, said);
        let Said::Body(reply) = said else {
            return Some(Ids { complete: true, warnings, ..Ids::default() });
        };
        // What is no map says that the source knows none.
        let (map, mut order) = read_entity_map(&reply.body, need).ok()?;
        let complete = order.len() < need;
        order.retain(|id| leg.select.has_id(id));
        Some(Ids { order, complete, map: Some(map), warnings })
    }
}

/// Whether a source is asked for one part of the query only: what its map says is all it has.
pub(in crate::broker::federation) fn has_one_part(matched: &Matched, leg: &Leg) -> bool {
    matched.legs.iter().filter(|other| other.source.id() == leg.source.id()).count() == 1
}

/// A query as a wish for a map of what it finds, which lives as long as the one it is linked with.
pub(in crate::broker::federation) fn map_draft(
    mut draft: Draft,
    path: &str,
    now: Timestamp,
    end: Timestamp,
) -> Draft {
    draft.path = path.to_owned();
    // What is shown of entities does not matter.
    draft.params.retain(|(name, _)| !matches!(*name, "options" | "limit" | "offset"));
    if draft.method == Method::GET {
        let micros = end.micros().saturating_sub(now.micros());
        draft = draft.with("entityMapLifetime", format!("PT{}S", (micros / 1_000_000).max(1)));
    }
    draft
}
