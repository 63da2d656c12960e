//! Entities and their attributes, one by one and in batches.

use super::parts::{
    ATTRIBUTE, CREATED, DONE, JSON, LD, LOCAL, LOOKS, MAP, ORDER, PAGE, PARTLY, PROJECTION,
    READS_BY_MAP, SELECT, SPLIT, WRITES,
};
use super::{Answer, BATCH, Body, ENTITIES};

const TYPE: &[&str] = &["type"];

const WRITES_BY_MAP: &[&str] = &["NGSILD-Tenant", "NGSILD-Snapshot", "Link", "NGSILD-EntityMap"];

const GEO: &str = "application/geo+json";

const ENTITY: Body = Body {
    about: "The entity, normalized or concise.",
    media: &[(JSON, "Entity"), (LD, "EntityLd")],
};

const FRAGMENT: Body = Body {
    about: "The part of the entity that changes, normalized or concise.",
    media: &[(JSON, "EntityFragment"), (LD, "EntityFragmentLd")],
};

const MERGED: Body = Body {
    about: "What is merged into the entity; urn:ngsi-ld:null deletes, at any depth.",
    media: &[
        (JSON, "EntityFragment"),
        (LD, "EntityFragmentLd"),
        ("application/merge-patch+json", "EntityFragment"),
    ],
};

const MANY: Body =
    Body { about: "The entities.", media: &[(JSON, "Entities"), (LD, "EntitiesLd")] };

const MANY_FRAGMENTS: Body = Body {
    about: "Parts of entities, each with its id.",
    media: &[(JSON, "EntityFragmentsWithId")],
};

const PARTLY_UPDATED: Answer = Answer {
    status: 207,
    about: "Some attributes were left as they were.",
    media: &[(JSON, "UpdateResult")],
    headers: &[],
};

const CREATED_IDS: Answer = Answer {
    status: 201,
    about: "The ids of the entities that were created.",
    media: &[(JSON, "Ids")],
    headers: &[],
};

const ONE_MEDIA: &[(&str, &str)] =
    &[(JSON, "EntityOrEntities"), (LD, "EntityOrEntities"), (GEO, "FeatureOrFeatures")];

const LIST_MEDIA: &[(&str, &str)] =
    &[(JSON, "AnyEntities"), (LD, "AnyEntities"), (GEO, "FeatureCollection")];

const ONE: &[Answer] = &[
    Answer { status: 200, about: "The entity.", media: ONE_MEDIA, headers: &["Link"] },
    Answer {
        status: 203,
        about: "The entity, adapted to the version that was preferred.",
        media: ONE_MEDIA,
        headers: &["Link", "Preference-Applied"],
    },
];

const LIST: &[Answer] = &[
    Answer {
        status: 201,
        about: "A page of entities, and an entity map was made.",
        media: LIST_MEDIA,
        headers: &["Link", "NGSILD-Results-Count", "NGSILD-EntityMap"],
    },
    Answer {
        status: 200,
        about: "A page of entities.",
        media: LIST_MEDIA,
        headers: &["Link", "NGSILD-Results-Count"],
    },
    Answer {
        status: 203,
        about: "A page of entities, adapted to the version that was preferred.",
        media: LIST_MEDIA,
        headers: &["Link", "NGSILD-Results-Count", "Preference-Applied"],
    },
];

operations! {
    Get Entities "queryEntities" in ENTITIES ("5.7.2, 6.4.3.2"):
    "Query entities"
    "At least one of `type`, `attrs`, `q`, a geoquery or `local=true` must be given."
    { parameters: &[SELECT, SPLIT, PROJECTION, ORDER, PAGE, LOOKS, MAP], headers: READS_BY_MAP, answers: LIST,
      refuses: &[403, 501] }

    Post Entities "createEntity" in ENTITIES ("5.6.1, 6.4.3.1"):
    "Create an entity" ""
    { parameters: &[LOCAL], headers: WRITES, body: Some(ENTITY), answers: &[CREATED, PARTLY],
      refuses: &[409] }

    Delete Entities "purgeEntities" in ENTITIES ("5.6.21, 6.4.3.3"):
    "Delete all entities that match"
    "With `keep` or `drop` only attributes are deleted."
    { parameters: &[SELECT, &["geometryProperty", "keep", "drop"]], headers: WRITES_BY_MAP,
      answers: &[DONE, PARTLY], refuses: &[403, 501] }

    Get Entity "retrieveEntity" in ENTITIES ("5.7.1, 6.5.3.1"):
    "Retrieve an entity" ""
    { parameters: &[TYPE, &["attrs"], PROJECTION, LOOKS, MAP, LOCAL], headers: READS_BY_MAP, answers: ONE,
      refuses: &[403, 501] }

    Put Entity "replaceEntity" in ENTITIES ("5.6.18, 6.5.3.3"):
    "Replace an entity"
    "What the body does not have is gone; the time of creation stays."
    { parameters: &[TYPE, LOCAL], headers: WRITES, body: Some(ENTITY), answers: &[DONE, PARTLY] }

    Patch Entity "mergeEntity" in ENTITIES ("5.6.17, 6.5.3.4"):
    "Merge into an entity"
    "Deeply: what the body does not have stays."
    { parameters: &[TYPE, &["format", "options", "lang", "observedAt"], LOCAL], headers: WRITES,
      body: Some(MERGED), answers: &[DONE, PARTLY] }

    Delete Entity "deleteEntity" in ENTITIES ("5.6.6, 6.5.3.2"):
    "Delete an entity" ""
    { parameters: &[TYPE, LOCAL], headers: WRITES, answers: &[DONE, PARTLY] }

    Post EntityAttributes "appendAttributes" in ENTITIES ("5.6.3, 6.6.3.1"):
    "Append attributes"
    "Attributes that are there are replaced, unless `options=noOverwrite`."
    { parameters: &[&["options"], TYPE, LOCAL], headers: WRITES, body: Some(FRAGMENT),
      answers: &[DONE, PARTLY_UPDATED] }

    Patch EntityAttributes "updateAttributes" in ENTITIES ("5.6.2, 6.6.3.2"):
    "Update attributes"
    "Each attribute that is sent replaces the one that is there; urn:ngsi-ld:null deletes it."
    { parameters: &[TYPE, LOCAL], headers: WRITES, body: Some(FRAGMENT),
      answers: &[DONE, PARTLY_UPDATED] }

    Patch EntityAttribute "updateAttribute" in ENTITIES ("5.6.4, 6.7.3.1"):
    "Update parts of an attribute"
    "Members that are not sent stay."
    { parameters: &[TYPE, LOCAL], headers: WRITES, body: Some(ATTRIBUTE),
      answers: &[DONE, PARTLY_UPDATED] }

    Put EntityAttribute "replaceAttribute" in ENTITIES ("5.6.19, 6.7.3.3"):
    "Replace an attribute" ""
    { parameters: &[TYPE, LOCAL], headers: WRITES, body: Some(ATTRIBUTE),
      answers: &[DONE, PARTLY_UPDATED] }

    Delete EntityAttribute "deleteAttribute" in ENTITIES ("5.6.5, 6.7.3.2"):
    "Delete an attribute" ""
    { parameters: &[&["datasetId", "deleteAll"], TYPE, LOCAL], headers: WRITES,
      answers: &[DONE, PARTLY_UPDATED] }

    Post BatchQuery "queryByBody" in ENTITIES ("5.7.2, 6.23.3.1"):
    "Query entities by a body"
    "Like the query by URL, for conditions that are too long or too private for one."
    { parameters: &[PAGE, LOOKS, LOCAL], headers: READS_BY_MAP,
      body: Some(Body { about: "The query.", media: &[(JSON, "Query")] }), answers: LIST,
      refuses: &[403, 501] }

    Post BatchCreate "batchCreate" in BATCH ("5.6.7, 6.14.3.1"):
    "Create entities" ""
    { parameters: &[LOCAL], headers: WRITES, body: Some(MANY), answers: &[CREATED_IDS, PARTLY] }

    Post BatchUpsert "batchUpsert" in BATCH ("5.6.8, 6.15.3.1"):
    "Create entities, or change those that are there"
    "They are replaced, or with `options=update` their attributes are."
    { parameters: &[&["options"], LOCAL], headers: WRITES, body: Some(MANY),
      answers: &[CREATED_IDS, DONE, PARTLY] }

    Post BatchUpdate "batchUpdate" in BATCH ("5.6.9, 6.16.3.1"):
    "Update entities" ""
    { parameters: &[&["options"], LOCAL], headers: WRITES, body: Some(MANY_FRAGMENTS),
      answers: &[DONE, PARTLY] }

    Post BatchMerge "batchMerge" in BATCH ("5.6.20, 6.31.3.1"):
    "Merge into entities" ""
    { parameters: &[LOCAL], headers: WRITES, body: Some(MANY_FRAGMENTS), answers: &[DONE, PARTLY] }

    Post BatchDelete "batchDelete" in BATCH ("5.6.10, 6.17.3.1"):
    "Delete entities" ""
    { parameters: &[LOCAL], headers: WRITES,
      body: Some(Body { about: "Their ids.", media: &[(JSON, "Ids")] }),
      answers: &[DONE, PARTLY] }
}
