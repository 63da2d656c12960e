//! The table of operations: summary, clause, parameters, body and answers of each.

use std::borrow::Cow;

use crate::http::places::Place;

/// An operation, as people and programs are told of it.
pub(super) struct Described {
    pub place: Place,
    pub method: Method,
    pub id: &'static str,
    pub tag: &'static str,
    pub summary: &'static str,
    pub details: &'static str,
    /// Clauses of CIM 009: behaviour, binding.
    pub clauses: &'static str,
    pub parameters: &'static [&'static [&'static str]],
    pub headers: &'static [&'static str],
    pub body: Option<Body>,
    pub answers: &'static [Answer],
    /// Statuses that others of its shape do not have.
    pub refuses: &'static [u16],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

/// What is sent.
pub(super) struct Body {
    pub about: &'static str,
    /// Media types with the names of their shapes.
    pub media: &'static [(&'static str, &'static str)],
}

/// What comes back when all goes well.
pub(super) struct Answer {
    pub status: u16,
    pub about: &'static str,
    /// Media types with the names of their shapes.
    pub media: &'static [(&'static str, &'static str)],
    pub headers: &'static [&'static str],
}

impl Described {
    /// The description: what the summary leaves out, and where the specification says it.
    pub fn about(&self) -> String {
        let details = match self.details {
            "" => Cow::Borrowed(""),
            details => Cow::Owned(format!("{details}\n\n")),
        };
        match self.clauses {
            "" => details.trim_end().to_owned(),
            clauses => format!("{details}CIM 009: {clauses}."),
        }
    }
}

pub(super) const TAGS: &[(&str, &str)] = &[
    (ENTITIES, "Entities and their attributes."),
    (BATCH, "Many entities in one request."),
    (TEMPORAL, "What entities were over time."),
    (MAPS, "What queries found, kept so that pages fit together."),
    (SNAPSHOTS, "What queries found at a time, kept apart from what becomes of it."),
    (DISCOVERY, "Which types and attributes there are."),
    (SUBSCRIPTIONS, "Who is told of what changes."),
    (SOURCES, "Other brokers that have data, and who is told of them."),
    (CONTEXTS, "JSON-LD contexts that the broker hosts and keeps."),
    (MODELS, "What the entities of a city look like."),
    (DERIVED, "What official tables make of readings."),
    (FEEDS, "What agencies and meters publish, taken in by mapping files."),
    (DELIVERY, "Listening to notifications, and what becomes of them."),
    (RETENTION, "What is recorded of the past, for how long, and what is held."),
    (BROKER, "The broker itself."),
];

const ENTITIES: &str = "Entities";
const BATCH: &str = "Batch operations";
const TEMPORAL: &str = "Temporal evolution";
const MAPS: &str = "Entity maps";
const SNAPSHOTS: &str = "Snapshots";
const DISCOVERY: &str = "Discovery";
const SUBSCRIPTIONS: &str = "Subscriptions";
const SOURCES: &str = "Context sources";
const CONTEXTS: &str = "Contexts";
const MODELS: &str = "Models";
const DERIVED: &str = "Derived values";
const FEEDS: &str = "Feeds";
const DELIVERY: &str = "Delivery";
const RETENTION: &str = "Retention";
const BROKER: &str = "Broker";

const LOCAL: &[&str] = &["local"];
const TYPE: &[&str] = &["type"];
const SELECT: &[&str] = &[
    "type",
    "id",
    "idPattern",
    "attrs",
    "q",
    "scopeQ",
    "georel",
    "geometry",
    "coordinates",
    "geoproperty",
    "csf",
    "expandValues",
    "jsonKeys",
    "splitEntities",
    "local",
];
const SELECT_SOURCES: &[&str] = &[
    "type",
    "id",
    "idPattern",
    "attrs",
    "pick",
    "omit",
    "q",
    "csf",
    "scopeQ",
    "georel",
    "geometry",
    "coordinates",
    "geoproperty",
    "geometryProperty",
    "timerel",
    "timeAt",
    "endTimeAt",
    "timeproperty",
    "lang",
    "options",
];
const ORDER: &[&str] = &["orderBy", "collation", "orderFrom", "orderGeometry"];
const PAGE: &[&str] = &["limit", "offset", "count"];
const LOOKS: &[&str] = &["format", "options", "geometryProperty"];
const PROJECTION: &[&str] =
    &["pick", "omit", "lang", "datasetId", "join", "joinLevel", "containedBy"];

const TIME: &[&str] = &["timerel", "timeAt", "endTimeAt", "timeproperty", "lastN"];
const TEMPORAL_LOOKS: &[&str] = &["format", "options", "aggrMethods", "aggrPeriodDuration"];
const TEMPORAL_PROJECTION: &[&str] = &["pick", "omit", "lang", "datasetId"];
const MAP: &[&str] = &["entityMap", "entityMapLifetime"];
const LETTERS: &[&str] = &["limit", "after", "tenant"];

const READS: &[&str] = &["NGSILD-Tenant", "NGSILD-Snapshot", "Link", "Prefer"];
const READS_BY_MAP: &[&str] =
    &["NGSILD-Tenant", "NGSILD-Snapshot", "Link", "Prefer", "NGSILD-EntityMap"];
const TENANT: &[&str] = &["NGSILD-Tenant"];
const WRITES: &[&str] = &["NGSILD-Tenant", "NGSILD-Snapshot", "Link"];
const WRITES_BY_MAP: &[&str] = &["NGSILD-Tenant", "NGSILD-Snapshot", "Link", "NGSILD-EntityMap"];
const OF_SNAPSHOTS: &[&str] = &["NGSILD-Tenant", "Link"];

const JSON: &str = "application/json";
const LD: &str = "application/ld+json";
const GEO: &str = "application/geo+json";
const HTML: &str = "text/html";

const DECISION: Body = Body {
    about: "What happens: off, warn or enforce; null takes a decision back.",
    media: &[(JSON, "ValidationDecision")],
};
const CSV: &str = "text/csv";
const ARROW: &str = "application/vnd.apache.arrow.stream";

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
const ATTRIBUTE: Body = Body {
    about: "The attribute; `datasetId` names the instance.",
    media: &[(JSON, "AttributeFragment"), (LD, "AttributeFragmentLd")],
};
const MANY: Body =
    Body { about: "The entities.", media: &[(JSON, "Entities"), (LD, "EntitiesLd")] };
const MANY_FRAGMENTS: Body = Body {
    about: "Parts of entities, each with its id.",
    media: &[(JSON, "EntityFragmentsWithId")],
};

const COURSE: Body = Body {
    about: "The history of the entity: each attribute is an array of instances.",
    media: &[(JSON, "EntityTemporal"), (LD, "EntityTemporalLd")],
};
const COURSE_FRAGMENT: Body = Body {
    about: "The instances that are added.",
    media: &[(JSON, "EntityTemporalFragment"), (LD, "EntityTemporalFragmentLd")],
};
const RULE: Body = Body {
    about: "What is recorded and for how long; names are read by the @context of the request.",
    media: &[(JSON, "HistoryRule")],
};
const SUBSCRIPTION: Body =
    Body { about: "The subscription.", media: &[(JSON, "Subscription"), (LD, "Subscription")] };
const SUBSCRIPTION_FRAGMENT: Body = Body {
    about: "The members that change; `notification` is replaced as a whole.",
    media: &[(JSON, "SubscriptionFragment"), (LD, "SubscriptionFragment")],
};

const REGISTRATION: Body = Body {
    about: "The registration.",
    media: &[(JSON, "CSourceRegistration"), (LD, "CSourceRegistration")],
};
const REGISTRATION_FRAGMENT: Body = Body {
    about: "The members that change; each is replaced as a whole.",
    media: &[(JSON, "CSourceRegistrationFragment"), (LD, "CSourceRegistrationFragment")],
};
const SOURCE_SUBSCRIPTION: Body = Body {
    about: "The subscription: its `entities`, `watchedAttributes`, `geoQ`, `scopeQ`, `csf` and \
            `temporalQ` say which sources it is about.",
    media: &[(JSON, "Subscription"), (LD, "Subscription")],
};

const DONE: Answer =
    Answer { status: 204, about: "It is done, and on disk.", media: &[], headers: &[] };
const PARTLY: Answer = Answer {
    status: 207,
    about: "Some of it could not be done.",
    media: &[(JSON, "BatchOperationResult")],
    headers: &[],
};
const PARTLY_UPDATED: Answer = Answer {
    status: 207,
    about: "Some attributes were left as they were.",
    media: &[(JSON, "UpdateResult")],
    headers: &[],
};
const CREATED: Answer = Answer {
    status: 201,
    about: "It is created, and on disk.",
    media: &[],
    headers: &["Location"],
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

const EVOLUTION_MEDIA: &[(&str, &str)] =
    &[(JSON, "EntityTemporalFound"), (LD, "EntityTemporalFound"), (CSV, "text"), (ARROW, "text")];
const EVOLUTIONS_MEDIA: &[(&str, &str)] = &[
    (JSON, "EntitiesTemporalFound"),
    (LD, "EntitiesTemporalFound"),
    (CSV, "text"),
    (ARROW, "text"),
];
const THINNED_PREFERRED: &[&str] =
    &["Link", "Lanna-Thinned-Until", "NGSILD-Results-Count", "Preference-Applied"];
const THINNED_CUT: &[&str] =
    &["Link", "Lanna-Thinned-Until", "NGSILD-Results-Count", "Content-Range"];
const EVOLUTION: &[Answer] = &[
    Answer {
        status: 200,
        about: "The history. As a table (CSV, Arrow) it has a row for each instance or period.",
        media: EVOLUTION_MEDIA,
        headers: &["Link", "Lanna-Thinned-Until"],
    },
    Answer {
        status: 203,
        about: "The history, adapted to the version that was preferred.",
        media: EVOLUTION_MEDIA,
        headers: &["Link", "Lanna-Thinned-Until", "Preference-Applied"],
    },
    Answer {
        status: 206,
        about: "The part of the history that one answer holds; Content-Range says which time it covers.",
        media: EVOLUTION_MEDIA,
        headers: &["Link", "Lanna-Thinned-Until", "Content-Range"],
    },
];
const EVOLUTIONS: &[Answer] = &[
    Answer {
        status: 201,
        about: "A page of histories, and an entity map was made.",
        media: EVOLUTIONS_MEDIA,
        headers: &["Link", "NGSILD-Results-Count", "NGSILD-EntityMap"],
    },
    Answer {
        status: 200,
        about: "A page of histories. As a table (CSV, Arrow) it has a row for each instance or period.",
        media: EVOLUTIONS_MEDIA,
        headers: &["Link", "Lanna-Thinned-Until", "NGSILD-Results-Count"],
    },
    Answer {
        status: 203,
        about: "A page of histories, adapted to the version that was preferred.",
        media: EVOLUTIONS_MEDIA,
        headers: THINNED_PREFERRED,
    },
    Answer {
        status: 206,
        about: "The part of the histories that one answer holds; Content-Range says which time it covers.",
        media: EVOLUTIONS_MEDIA,
        headers: THINNED_CUT,
    },
];
const MAP_MADE: &[Answer] = &[Answer {
    status: 201,
    about: "The map of all that the query finds.",
    media: &[(JSON, "EntityMap"), (LD, "EntityMap")],
    headers: &["Link", "NGSILD-EntityMap"],
}];
const DROPPED: &[Answer] = &[Answer {
    status: 200,
    about: "How many were forgotten.",
    media: &[(JSON, "Dropped")],
    headers: &[],
}];
const REPLAYED: &[Answer] = &[Answer {
    status: 200,
    about: "How many are tried once more.",
    media: &[(JSON, "Replayed")],
    headers: &[],
}];

macro_rules! found {
    ($shape:literal, $about:literal) => {
        &[Answer {
            status: 200,
            about: $about,
            media: &[(JSON, $shape), (LD, $shape)],
            headers: &["Link"],
        }]
    };
}

macro_rules! operations {
    ($(
        $method:ident $place:ident $id:literal in $tag:ident ($clauses:literal):
        $summary:literal $details:literal
        { $($field:ident: $value:expr),* $(,)? }
    )*) => {
        /// Every operation, in the order in which people read them.
        pub(super) const OPERATIONS: &[Described] = &[$(Described {
            $($field: $value,)*
            ..Described {
                place: Place::$place,
                method: Method::$method,
                id: $id,
                tag: $tag,
                summary: $summary,
                details: $details,
                clauses: $clauses,
                parameters: &[],
                headers: &[],
                body: None,
                answers: &[],
                refuses: &[],
            }
        }),*];
    };
}

operations! {
    Get Entities "queryEntities" in ENTITIES ("5.7.2, 6.4.3.2"):
    "Query entities"
    "At least one of `type`, `attrs`, `q`, a geoquery or `local=true` must be given."
    { parameters: &[SELECT, PROJECTION, ORDER, PAGE, LOOKS, MAP], headers: READS_BY_MAP, answers: LIST,
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

    Get TemporalEntities "queryEvolution" in TEMPORAL ("5.7.4, 6.18.3.2"):
    "Query the history of entities"
    "`timerel` and `timeAt` are needed, and at least one of `type`, `attrs`, `q`, a geoquery or `local=true`. Conditions hold of what was said within the time that is asked about."
    { parameters: &[TIME, SELECT, TEMPORAL_PROJECTION, &["orderBy", "collation"], PAGE, TEMPORAL_LOOKS, MAP],
      headers: READS_BY_MAP, answers: EVOLUTIONS, refuses: &[403, 501] }

    Post TemporalEntities "createEvolution" in TEMPORAL ("5.6.11, 6.18.3.1"):
    "Begin the history of an entity, or add to it"
    "An instance with the datasetId and observedAt of one that is there replaces it."
    { parameters: &[LOCAL], headers: WRITES, body: Some(COURSE), answers: &[CREATED, DONE] }

    Get TemporalEntity "retrieveEvolution" in TEMPORAL ("5.7.3, 6.19.3.1"):
    "Retrieve the history of an entity"
    "All of it, or what lies in the time that is asked about."
    { parameters: &[TIME, &["attrs"], TEMPORAL_PROJECTION, TEMPORAL_LOOKS, MAP, LOCAL],
      headers: READS_BY_MAP,
      answers: EVOLUTION, refuses: &[403, 501] }

    Delete TemporalEntity "deleteEvolution" in TEMPORAL ("5.6.16, 6.19.3.2"):
    "Forget the history of an entity" ""
    { parameters: &[LOCAL], headers: WRITES, answers: &[DONE] }

    Post TemporalAttributes "addInstances" in TEMPORAL ("5.6.12, 6.20.3.1"):
    "Add instances to the history of an entity" ""
    { parameters: &[LOCAL], headers: WRITES, body: Some(COURSE_FRAGMENT), answers: &[DONE] }

    Delete TemporalAttribute "deleteAttributeEvolution" in TEMPORAL ("5.6.13, 6.21.3.1"):
    "Delete an attribute from the history of an entity" ""
    { parameters: &[&["datasetId", "deleteAll"], LOCAL], headers: WRITES, answers: &[DONE] }

    Patch TemporalInstance "modifyAttributeInstance" in TEMPORAL ("5.6.14, 6.22.3.1"):
    "Change one instance in the history of an entity"
    "Members that are not sent stay."
    { parameters: &[LOCAL], headers: WRITES, body: Some(ATTRIBUTE), answers: &[DONE] }

    Delete TemporalInstance "deleteAttributeInstance" in TEMPORAL ("5.6.15, 6.22.3.2"):
    "Delete one instance from the history of an entity" ""
    { parameters: &[LOCAL], headers: WRITES, answers: &[DONE] }

    Post TemporalQuery "queryEvolutionByBody" in TEMPORAL ("5.7.4, 6.24.3.1"):
    "Query the history of entities by a body"
    "The body says in `temporalQ` which time is asked about, and in `aggrParams` how to aggregate."
    { parameters: &[PAGE, TEMPORAL_LOOKS, LOCAL], headers: READS_BY_MAP,
      body: Some(Body { about: "The query.", media: &[(JSON, "TemporalQuery")] }),
      answers: EVOLUTIONS, refuses: &[403, 501] }

    Get EntityMaps "createEntityMap" in MAPS ("5.14.4, 6.34.3.1"):
    "Make an entity map of a query"
    "It names all entities that the query finds, in its order. What concerns pages and looks has no effect."
    { parameters: &[SELECT, PROJECTION, ORDER, PAGE, LOOKS, MAP], headers: WRITES,
      answers: MAP_MADE, refuses: &[403] }

    Post EntityMaps "createEntityMapByBody" in MAPS ("5.14.4, 6.34.3.2"):
    "Make an entity map of a query by a body" ""
    { parameters: &[PAGE, LOOKS, LOCAL], headers: WRITES,
      body: Some(Body { about: "The query.", media: &[(JSON, "Query")] }),
      answers: MAP_MADE, refuses: &[403] }

    Get TemporalEntityMaps "createTemporalEntityMap" in MAPS ("5.14.5, 6.35.3.1"):
    "Make an entity map of a query of history" ""
    { parameters: &[TIME, SELECT, TEMPORAL_PROJECTION, &["orderBy", "collation"], PAGE, TEMPORAL_LOOKS, MAP],
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

    Get Subscriptions "querySubscriptions" in SUBSCRIPTIONS ("5.8.4, 6.10.3.2"):
    "List the subscriptions" ""
    { parameters: &[PAGE, &["options"]], headers: READS,
      answers: &[Answer { status: 200, about: "A page of subscriptions.",
        media: &[(JSON, "Subscriptions"), (LD, "Subscriptions")],
        headers: &["Link", "NGSILD-Results-Count"] }],
      refuses: &[403] }

    Post Subscriptions "createSubscription" in SUBSCRIPTIONS ("5.8.1, 6.10.3.1"):
    "Create a subscription"
    "From now on its endpoint is told of what changes, at least once."
    { headers: WRITES, body: Some(SUBSCRIPTION), answers: &[CREATED], refuses: &[403, 409] }

    Get Subscription "retrieveSubscription" in SUBSCRIPTIONS ("5.8.3, 6.11.3.1"):
    "Retrieve a subscription"
    "With what came of its notifications."
    { parameters: &[&["options"]], headers: READS,
      answers: found!("Subscription", "The subscription.") }

    Patch Subscription "updateSubscription" in SUBSCRIPTIONS ("5.8.2, 6.11.3.2"):
    "Update a subscription"
    "Each member that is sent replaces the one that is there; null takes it away."
    { headers: WRITES, body: Some(SUBSCRIPTION_FRAGMENT), answers: &[DONE] }

    Delete Subscription "deleteSubscription" in SUBSCRIPTIONS ("5.8.5, 6.11.3.3"):
    "Delete a subscription" ""
    { headers: &["NGSILD-Tenant", "NGSILD-Snapshot"], answers: &[DONE] }

    Get CsourceRegistrations "queryRegistrations" in SOURCES ("5.10.2, 6.8.3.2"):
    "Query the registrations of context sources"
    "A type, an id, attributes, `q` or a geoquery has to say which."
    { parameters: &[SELECT_SOURCES, PAGE], headers: READS,
      answers: &[Answer { status: 200, about: "A page of registrations.",
        media: &[(JSON, "CSourceRegistrations"), (LD, "CSourceRegistrations")],
        headers: &["Link", "NGSILD-Results-Count"] }],
      refuses: &[403] }

    Post CsourceRegistrations "registerSource" in SOURCES ("5.9.2, 6.8.3.1"):
    "Register a context source"
    "One that has something for itself alone (exclusive) or to which requests are passed on (redirect) cannot claim what another one or this broker has."
    { headers: WRITES, body: Some(REGISTRATION), answers: &[CREATED], refuses: &[403, 409] }

    Get CsourceRegistration "retrieveRegistration" in SOURCES ("5.10.1, 6.9.3.1"):
    "Retrieve a registration" ""
    { parameters: &[&["options"]], headers: READS,
      answers: found!("CSourceRegistration", "The registration.") }

    Patch CsourceRegistration "updateRegistration" in SOURCES ("5.9.3, 6.9.3.2"):
    "Update a registration"
    "Each member that is sent replaces the one that is there; null takes it away."
    { headers: WRITES, body: Some(REGISTRATION_FRAGMENT), answers: &[DONE], refuses: &[409] }

    Delete CsourceRegistration "deleteRegistration" in SOURCES ("5.9.4, 6.9.3.3"):
    "Delete a registration" ""
    { headers: &["NGSILD-Tenant"], answers: &[DONE] }

    Get CsourceSubscriptions "querySourceSubscriptions" in SOURCES ("5.11.5, 6.12.3.2"):
    "List the subscriptions to registrations" ""
    { parameters: &[PAGE, &["options"]], headers: READS,
      answers: &[Answer { status: 200, about: "A page of subscriptions.",
        media: &[(JSON, "Subscriptions"), (LD, "Subscriptions")],
        headers: &["Link", "NGSILD-Results-Count"] }],
      refuses: &[403] }

    Post CsourceSubscriptions "createSourceSubscription" in SOURCES ("5.11.2, 6.12.3.1"):
    "Subscribe to registrations"
    "Its endpoint is told of all registrations that match, then of those that come, change or go, at least once."
    { headers: WRITES, body: Some(SOURCE_SUBSCRIPTION), answers: &[CREATED], refuses: &[403, 409] }

    Get CsourceSubscription "retrieveSourceSubscription" in SOURCES ("5.11.4, 6.13.3.1"):
    "Retrieve a subscription to registrations"
    "With what came of its notifications."
    { parameters: &[&["options"]], headers: READS,
      answers: found!("Subscription", "The subscription.") }

    Patch CsourceSubscription "updateSourceSubscription" in SOURCES ("5.11.3, 6.13.3.2"):
    "Update a subscription to registrations"
    "Its endpoint is told of all registrations that match then."
    { headers: WRITES, body: Some(SUBSCRIPTION_FRAGMENT), answers: &[DONE] }

    Delete CsourceSubscription "deleteSourceSubscription" in SOURCES ("5.11.6, 6.13.3.3"):
    "Delete a subscription to registrations" ""
    { headers: &["NGSILD-Tenant"], answers: &[DONE] }

    Get Types "listTypes" in DISCOVERY ("5.7.5, 5.7.6, 6.25.3.1"):
    "List the entity types" ""
    { parameters: &[&["details"], LOCAL], headers: WRITES,
      answers: found!("EntityTypes", "The types.") }

    Get Type "describeType" in DISCOVERY ("5.7.7, 6.26.3.1"):
    "Describe an entity type" ""
    { parameters: &[LOCAL], headers: WRITES, answers: found!("EntityTypeInfo", "The type.") }

    Get Attributes "listAttributes" in DISCOVERY ("5.7.8, 5.7.9, 6.27.3.1"):
    "List the attributes" ""
    { parameters: &[&["details"], LOCAL], headers: WRITES,
      answers: found!("AttributesFound", "The attributes.") }

    Get Attribute "describeAttribute" in DISCOVERY ("5.7.10, 6.28.3.1"):
    "Describe an attribute" ""
    { parameters: &[LOCAL], headers: WRITES, answers: found!("AttributeInfo", "The attribute.") }

    Get Contexts "listContexts" in CONTEXTS ("5.13.3, 6.29.3.2"):
    "List contexts" ""
    { parameters: &[&["details", "kind"]],
      answers: &[Answer { status: 200, about: "The contexts.", media: &[(JSON, "ContextsFound")],
        headers: &[] }] }

    Post Contexts "addContext" in CONTEXTS ("5.13.2, 6.29.3.1"):
    "Host a context" ""
    { body: Some(Body { about: "The context.", media: &[(JSON, "HostedContext"), (LD, "HostedContext")] }),
      answers: &[CREATED] }

    Get Context "serveContext" in CONTEXTS ("5.13.4, 6.30.3.1"):
    "Get a context"
    "The content of cached contexts stays with their hosts; `details=true` describes them."
    { parameters: &[&["details"]],
      answers: &[Answer { status: 200, about: "The context.",
        media: &[(JSON, "ContextOrMetadata"), (LD, "ContextOrMetadata")], headers: &[] }],
      refuses: &[422] }

    Delete Context "deleteContext" in CONTEXTS ("5.13.5, 6.30.3.2"):
    "Delete a context, or fetch it anew" ""
    { parameters: &[&["reload"]], answers: &[DONE] }

    Get SubscriptionEvents "listen" in DELIVERY (""):
    "Listen to a subscription"
    "Its notifications as server-sent events, while they are sent. An event `gap` says that some were missed that nobody remembers. `HEAD` answers without listening."
    { parameters: &[&["tenant", "lastEventId"]], headers: &["NGSILD-Tenant", "Last-Event-ID"],
      answers: &[Answer { status: 200, about: "A stream that does not end by itself.",
        media: &[("text/event-stream", "text")], headers: &[] }],
      refuses: &[429, 501] }

    Post SourceInbox "tellOfSource" in DELIVERY ("5.8.6"):
    "Tell of a subscription that was planted at a source"
    "For context sources: the address of notifications that this broker gives them."
    { body: Some(Body { about: "A notification.", media: &[(JSON, "Notification"), (LD, "Notification")] }),
      answers: &[Answer { status: 200, about: "It was taken.", media: &[(JSON, "Notification")],
        headers: &[] }] }

    Get AdminSubscriptions "listDeliveries" in DELIVERY (""):
    "How the deliveries of subscriptions stand" ""
    { parameters: &[&["failing"], LETTERS], headers: &["NGSILD-Tenant"],
      answers: &[Answer { status: 200, about: "A page of them, in the order of ids.",
        media: &[(JSON, "Deliveries")], headers: &["Link"] }] }

    Get AdminSubscription "describeDelivery" in DELIVERY (""):
    "How the deliveries of one subscription stand" ""
    { parameters: &[&["tenant"]], headers: &["NGSILD-Tenant"],
      answers: &[Answer { status: 200, about: "How they stand.", media: &[(JSON, "Delivery")],
        headers: &[] }] }

    Get DeadLetters "listDeadLetters" in DELIVERY (""):
    "Notifications that could not be delivered" ""
    { parameters: &[&["subscription"], LETTERS], headers: &["NGSILD-Tenant"],
      answers: &[Answer { status: 200, about: "A page of them, the oldest first.",
        media: &[(JSON, "DeadLetters")], headers: &["Link"] }] }

    Delete DeadLetters "dropDeadLetters" in DELIVERY (""):
    "Forget dead letters"
    "Those of a subscription, or with `all=true` those of the tenant."
    { parameters: &[&["subscription", "all", "tenant"]], headers: &["NGSILD-Tenant"],
      answers: DROPPED }

    Get DeadLetter "retrieveDeadLetter" in DELIVERY (""):
    "One notification that could not be delivered" ""
    { parameters: &[&["tenant"]], headers: &["NGSILD-Tenant"],
      answers: &[Answer { status: 200, about: "The notification, and why.",
        media: &[(JSON, "DeadLetter")], headers: &[] }] }

    Delete DeadLetter "dropDeadLetter" in DELIVERY (""):
    "Forget a dead letter" ""
    { parameters: &[&["tenant"]], headers: &["NGSILD-Tenant"], answers: DROPPED }

    Post ReplayDeadLetters "replayDeadLetters" in DELIVERY (""):
    "Try dead letters once more"
    "Those of a subscription, or with `all=true` those of the tenant. Those that arrive are forgotten."
    { parameters: &[&["subscription", "all", "tenant"]], headers: &["NGSILD-Tenant"],
      answers: REPLAYED }

    Post ReplayDeadLetter "replayDeadLetter" in DELIVERY (""):
    "Try a dead letter once more"
    "It is forgotten if it arrives."
    { parameters: &[&["tenant"]], headers: &["NGSILD-Tenant"], answers: REPLAYED }

    Get AdminHistory "listHeldHistory" in RETENTION (""):
    "What is held of the past"
    "By entity and attribute: from when to when instances are held as they came, as aggregates of hours, and of days."
    { parameters: &[&["id", "type"], LETTERS], headers: WRITES,
      answers: &[Answer { status: 200, about: "A page of entities, in the order of ids.",
        media: &[(JSON, "HeldHistories")], headers: &["Link"] }] }

    Get HistoryRules "listHistoryRules" in RETENTION (""):
    "What is recorded, and for how long" ""
    { parameters: &[&["tenant"]], headers: WRITES,
      answers: &[Answer { status: 200, about: "The rules of the tenant.",
        media: &[(JSON, "HistoryRulesOfTypes")], headers: &[] }] }

    Get HistoryRule "retrieveHistoryRule" in RETENTION (""):
    "What is recorded of a type, and for how long"
    "`*` names the rule of all types that have none of their own."
    { parameters: &[&["tenant"]], headers: WRITES,
      answers: &[Answer { status: 200, about: "The rule.",
        media: &[(JSON, "HistoryRuleOfType")], headers: &[] }] }

    Put HistoryRule "putHistoryRule" in RETENTION (""):
    "Say what is recorded of a type, and for how long"
    "It holds at once for what is written, and within the hour for what is held. What was thinned or dropped does not come back."
    { parameters: &[&["tenant"]], headers: WRITES, body: Some(RULE),
      answers: &[DONE, Answer { status: 201, about: "The type had no rule before.", media: &[],
        headers: &[] }] }

    Delete HistoryRule "deleteHistoryRule" in RETENTION (""):
    "Take a rule back" ""
    { parameters: &[&["tenant"]], headers: WRITES, answers: &[DONE] }

    Get SourceIdentity "sourceIdentity" in BROKER ("5.15.1, 6.33.3.1"):
    "Who this broker is, to other brokers" ""
    { headers: &["NGSILD-Tenant"],
      answers: &[Answer { status: 200, about: "Its identity.", media: &[(JSON, "SourceIdentity")],
        headers: &[] }] }

    Get Derived "listDerived" in DERIVED (""):
    "List what is derived" "By which rules and official numbers, and what came of them."
    { headers: TENANT, answers: &[Answer { status: 200, about: "The profiles and their rules.",
        media: &[(JSON, "Derived")], headers: &[] }] }

    Get DerivedEntity "explainDerived" in DERIVED (""):
    "Ask what is derived of an entity, and why" "What is lacking is told where nothing is."
    { parameters: &[&["at"]], headers: TENANT,
      answers: &[Answer { status: 200, about: "What each rule makes of the entity.",
        media: &[(JSON, "DerivedOfEntity")], headers: &[] }] }

    Get Models "listModels" in MODELS (""):
    "List the models" "A browser gets a page."
    { headers: TENANT, answers: &[Answer { status: 200, about: "The models that the tenant sees.",
        media: &[(JSON, "Models"), (HTML, "text")], headers: &[] }] }

    Patch Models "decideValidation" in MODELS (""):
    "Decide what happens to entities that are not as their models say"
    "For the models of which nothing else was decided."
    { headers: TENANT, body: Some(DECISION), answers: &[DONE] }

    Post ModelsCheck "checkEntities" in MODELS (""):
    "Ask what the models say of entities" "They are not kept."
    { parameters: &[&["format", "options"]], headers: WRITES,
      body: Some(Body { about: "The entities.", media: &[(JSON, "Entities"), (LD, "EntitiesLd")] }),
      answers: &[Answer { status: 200, about: "What was found, in the same order.",
        media: &[(JSON, "Checked")], headers: &[] }] }

    Get ModelsFindings "listFindings" in MODELS (""):
    "List the last entities that were not as their models say"
    "Newest first, since the broker was started."
    { parameters: &[&["model", "limit"]], headers: TENANT,
      answers: &[Answer { status: 200, about: "What was found.", media: &[(JSON, "Findings")],
        headers: &[] }] }

    Get Model "showModel" in MODELS (""):
    "Show a model" "A browser gets a page."
    { headers: TENANT, answers: &[Answer { status: 200, about: "The model.",
        media: &[(JSON, "Model"), (HTML, "text")], headers: &[] }] }

    Put Model "putModel" in MODELS (""):
    "Add a model of one's own, or replace it"
    "A JSON Schema (2020-12) of the simplified form; its title is the name of the type."
    { headers: WRITES, body: Some(Body { about: "The schema.", media: &[(JSON, "JsonSchema")] }),
      answers: &[Answer { status: 201, about: "There was none.", media: &[], headers: &["Location"] },
        DONE] }

    Patch Model "decideModelValidation" in MODELS (""):
    "Decide what happens to entities that are not as this model says" ""
    { headers: TENANT, body: Some(DECISION), answers: &[DONE] }

    Delete Model "deleteModel" in MODELS (""):
    "Remove a model of one's own" ""
    { headers: TENANT, answers: &[DONE] }

    Get ModelSchema "modelSchema" in MODELS (""):
    "Get the JSON Schema of a model" ""
    { headers: TENANT, answers: &[Answer { status: 200, about: "The schema.",
        media: &[("application/schema+json", "JsonSchema")], headers: &[] }] }

    Get ModelExample "modelExample" in MODELS (""):
    "Get an entity that is as a model says" "In the simplified form."
    { headers: TENANT, answers: &[Answer { status: 200, about: "The entity.",
        media: &[(JSON, "ModelExample")], headers: &[] }] }

    Get Feeds "listFeeds" in FEEDS (""):
    "How feeds fare" "Those that run, and whether they have gone quiet."
    { answers: &[Answer { status: 200, about: "The feeds.", media: &[(JSON, "Feeds")],
        headers: &[] }] }

    Get Feed "showFeed" in FEEDS (""):
    "How a feed fares" ""
    { answers: &[Answer { status: 200, about: "The feed.", media: &[(JSON, "Feed")],
        headers: &[] }] }

    Post Feed "pushFeed" in FEEDS (""):
    "Send a document to a feed"
    "For feeds whose mapping says so (source.kind = \"push\"). It is stored when it is answered."
    { body: Some(Body { about: "A document as the mapping reads it: JSON, CSV or XML.",
        media: &[(JSON, "FeedDocument"), (CSV, "FeedDocument"), ("application/xml", "FeedDocument")] }),
      answers: &[Answer { status: 200, about: "What became of its records.",
        media: &[(JSON, "FeedTaken")], headers: &[] }] }

    Get FeedRejected "listRejected" in FEEDS (""):
    "List what a feed refused, with the reasons" "Newest first; as many as are remembered."
    { parameters: &[&["limit"]],
      answers: &[Answer { status: 200, about: "What was refused, left out or flagged.",
        media: &[(JSON, "FeedRejections")], headers: &[] }] }

    Get Health "health" in BROKER (""):
    "Version, limits and state" ""
    { answers: &[Answer { status: 200, about: "All is well, or the broker is shutting down.",
        media: &[(JSON, "Health")], headers: &[] }] }

    Get Ready "ready" in BROKER (""):
    "Whether requests should be sent here" ""
    { answers: &[
        Answer { status: 200, about: "Yes.", media: &[(JSON, "Readiness")], headers: &[] },
        Answer { status: 503, about: "No, and why.", media: &[(JSON, "Readiness")], headers: &[] },
      ] }

    Get Metrics "metrics" in BROKER (""):
    "Counters for Prometheus" ""
    { answers: &[Answer { status: 200, about: "In its text format.",
        media: &[("text/plain", "text")], headers: &[] }] }

    Get OpenApi "openapi" in BROKER (""):
    "This description" ""
    { answers: &[Answer { status: 200, about: "An OpenAPI 3.1 document.",
        media: &[(JSON, "Document")], headers: &[] }] }

    Get Docs "docs" in BROKER (""):
    "This description as a page" ""
    { answers: &[Answer { status: 200, about: "A page.", media: &[("text/html", "text")],
        headers: &[] }] }

    Get Root "root" in BROKER (""):
    "The greeting" ""
    { answers: &[Answer { status: 200, about: "A page.", media: &[("text/html", "text")],
        headers: &[] }] }
}
