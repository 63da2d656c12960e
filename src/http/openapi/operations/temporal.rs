//! What entities were over time, and what is recorded of it.

use super::parts::{
    ATTRIBUTE, CREATED, CSV, DONE, JSON, LD, LETTERS, LOCAL, MAP, PAGE, PARTLY, READS_BY_MAP,
    SELECT, SPLIT, TEMPORAL_LOOKS, TEMPORAL_PROJECTION, TIME, WRITES,
};
use super::{Answer, Body, RETENTION, TEMPORAL};

const ARROW: &str = "application/vnd.apache.arrow.stream";

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

operations! {
    Get TemporalEntities "queryEvolution" in TEMPORAL ("5.7.4, 6.18.3.2"):
    "Query the history of entities"
    "`timerel` and `timeAt` are needed, and at least one of `type`, `attrs`, `q`, a geoquery or `local=true`. Conditions hold of what was said within the time that is asked about."
    { parameters: &[TIME, SELECT, SPLIT, TEMPORAL_PROJECTION, &["orderBy", "collation"], PAGE, TEMPORAL_LOOKS, MAP],
      headers: READS_BY_MAP, answers: EVOLUTIONS, refuses: &[403, 501] }

    Post TemporalEntities "createEvolution" in TEMPORAL ("5.6.11, 6.18.3.1"):
    "Begin the history of an entity, or add to it"
    "An instance with the datasetId and observedAt of one that is there replaces it."
    { parameters: &[LOCAL], headers: WRITES, body: Some(COURSE), answers: &[CREATED, DONE, PARTLY] }

    Get TemporalEntity "retrieveEvolution" in TEMPORAL ("5.7.3, 6.19.3.1"):
    "Retrieve the history of an entity"
    "All of it, or what lies in the time that is asked about."
    { parameters: &[TIME, &["attrs"], TEMPORAL_PROJECTION, TEMPORAL_LOOKS, MAP, LOCAL],
      headers: READS_BY_MAP,
      answers: EVOLUTION, refuses: &[403, 501] }

    Delete TemporalEntity "deleteEvolution" in TEMPORAL ("5.6.16, 6.19.3.2"):
    "Forget the history of an entity" ""
    { parameters: &[LOCAL], headers: WRITES, answers: &[DONE, PARTLY] }

    Post TemporalAttributes "addInstances" in TEMPORAL ("5.6.12, 6.20.3.1"):
    "Add instances to the history of an entity" ""
    { parameters: &[LOCAL], headers: WRITES, body: Some(COURSE_FRAGMENT), answers: &[DONE, PARTLY] }

    Delete TemporalAttribute "deleteAttributeEvolution" in TEMPORAL ("5.6.13, 6.21.3.1"):
    "Delete an attribute from the history of an entity" ""
    { parameters: &[&["datasetId", "deleteAll"], LOCAL], headers: WRITES, answers: &[DONE, PARTLY] }

    Patch TemporalInstance "modifyAttributeInstance" in TEMPORAL ("5.6.14, 6.22.3.1"):
    "Change one instance in the history of an entity"
    "Members that are not sent stay."
    { parameters: &[LOCAL], headers: WRITES, body: Some(ATTRIBUTE), answers: &[DONE, PARTLY] }

    Delete TemporalInstance "deleteAttributeInstance" in TEMPORAL ("5.6.15, 6.22.3.2"):
    "Delete one instance from the history of an entity" ""
    { parameters: &[LOCAL], headers: WRITES, answers: &[DONE, PARTLY] }

    Post TemporalQuery "queryEvolutionByBody" in TEMPORAL ("5.7.4, 6.24.3.1"):
    "Query the history of entities by a body"
    "The body says in `temporalQ` which time is asked about, and in `aggrParams` how to aggregate."
    { parameters: &[PAGE, TEMPORAL_LOOKS, LOCAL], headers: READS_BY_MAP,
      body: Some(Body { about: "The query.", media: &[(JSON, "TemporalQuery")] }),
      answers: EVOLUTIONS, refuses: &[403, 501] }

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
}
