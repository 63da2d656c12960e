//! Entity maps and snapshots: what queries found.

use super::parts::{
    CREATED, DONE, JSON, LD, LOCAL, LOOKS, MAP, ORDER, PAGE, PARTLY, PROJECTION, SELECT, SPLIT,
    TEMPORAL_LOOKS, TEMPORAL_PROJECTION, TENANT, TIME, WRITES,
};
use super::{Answer, Body, MAPS, SNAPSHOTS};

const OF_SNAPSHOTS: &[&str] = &["NGSILD-Tenant", "Link"];

const MAP_MADE: &[Answer] = &[Answer {
    status: 201,
    about: "The map of all that the query finds.",
    media: &[(JSON, "EntityMap"), (LD, "EntityMap")],
    headers: &["Link", "NGSILD-EntityMap"],
}];

operations! {
    Get EntityMaps "createEntityMap" in MAPS ("5.14.4, 6.34.3.1"):
    "Make an entity map of a query"
    "It names all entities that the query finds, in its order. What concerns pages and looks has no effect."
    { parameters: &[SELECT, SPLIT, PROJECTION, ORDER, PAGE, LOOKS, MAP], headers: WRITES,
      answers: MAP_MADE, refuses: &[403] }

    Post EntityMaps "createEntityMapByBody" in MAPS ("5.14.4, 6.34.3.2"):
    "Make an entity map of a query by a body" ""
    { parameters: &[PAGE, LOOKS, LOCAL], headers: WRITES,
      body: Some(Body { about: "The query.", media: &[(JSON, "Query")] }),
      answers: MAP_MADE, refuses: &[403] }

    Get TemporalEntityMaps "createTemporalEntityMap" in MAPS ("5.14.5, 6.35.3.1"):
    "Make an entity map of a query of history" ""
    { parameters: &[TIME, SELECT, SPLIT, TEMPORAL_PROJECTION, &["orderBy", "collation"], PAGE, TEMPORAL_LOOKS, MAP],
      headers: WRITES, answers: MAP_MADE, refuses: &[403] }

    Post TemporalEntityMaps "createTemporalEntityMapByBody" in MAPS ("5.14.5, 6.35.3.2"):
    "Make an entity map of a query of history by a body" ""
    { parameters: &[PAGE, TEMPORAL_LOOKS, LOCAL], headers: WRITES,
      body: Some(Body { about: "The query.", media: &[(JSON, "TemporalQuery")] }),
      answers: MAP_MADE, refuses: &[403] }

    Get EntityMap "retrieveEntityMap" in MAPS ("5.14.1, 6.32.3.1"):
    "Retrieve an entity map" ""
    { headers: WRITES, answers: found!("EntityMap", "The map.") }

    Patch EntityMap "updateEntityMap" in MAPS ("5.14.2, 6.32.3.2"):
    "Let an entity map end at another time"
    "Only `expiresAt` counts; all else is ignored."
    { headers: WRITES,
      body: Some(Body { about: "The new end.", media: &[(JSON, "EntityMapFragment")] }),
      answers: &[DONE] }

    Delete EntityMap "deleteEntityMap" in MAPS ("5.14.3, 6.32.3.3"):
    "Delete an entity map" ""
    { headers: &["NGSILD-Tenant", "NGSILD-Snapshot"], answers: &[DONE] }

    Post Snapshots "createSnapshot" in SNAPSHOTS ("5.16.1, 6.36.3.1"):
    "Create a snapshot"
    "Its queries are carried out afterwards; `snapshotStatus` tells when they are. With the header NGSILD-Snapshot operations work on what they found."
    { headers: OF_SNAPSHOTS,
      body: Some(Body { about: "The snapshot.", media: &[(JSON, "SnapshotDraft")] }),
      answers: &[CREATED], refuses: &[403, 409] }

    Delete Snapshots "purgeSnapshots" in SNAPSHOTS ("5.16.7, 6.36.3.2"):
    "Delete the snapshots that match"
    "`q` is about members of snapshots, and needed."
    { parameters: &[&["q"]], headers: OF_SNAPSHOTS, answers: &[DONE, PARTLY], refuses: &[403] }

    Get Snapshot "retrieveSnapshot" in SNAPSHOTS ("5.16.3, 6.37.3.1"):
    "Retrieve the status of a snapshot" ""
    { headers: OF_SNAPSHOTS, answers: found!("Snapshot", "The snapshot.") }

    Patch Snapshot "updateSnapshot" in SNAPSHOTS ("5.16.4, 6.37.3.2"):
    "Change how long a snapshot is kept, how much it matters, and who is told" ""
    { headers: OF_SNAPSHOTS,
      body: Some(Body { about: "What changes.", media: &[(JSON, "SnapshotFragment")] }),
      answers: found!("Snapshot", "The snapshot as it is then.") }

    Delete Snapshot "deleteSnapshot" in SNAPSHOTS ("5.16.5, 6.37.3.3"):
    "Delete a snapshot" ""
    { headers: TENANT, answers: &[DONE] }

    Post SnapshotClone "cloneSnapshot" in SNAPSHOTS ("5.16.2, 6.38.3.1"):
    "Create a snapshot that holds what another one holds" ""
    { headers: OF_SNAPSHOTS,
      body: Some(Body { about: "The new snapshot.", media: &[(JSON, "SnapshotClone")] }),
      answers: &[CREATED], refuses: &[403, 409] }
}
