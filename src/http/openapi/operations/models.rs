//! Models of data, feeds and derived values.

use super::parts::{CSV, DONE, JSON, LD, TENANT, WRITES};
use super::{Answer, Body, DERIVED, FEEDS, MODELS};

const HTML: &str = "text/html";

const DECISION: Body = Body {
    about: "What happens: off, warn or enforce; null takes a decision back.",
    media: &[(JSON, "ValidationDecision")],
};

operations! {
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
    { parameters: &[&["model", "entity", "limit"]], headers: TENANT,
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
    { parameters: &[&["limit", "entity", "what", "from"]],
      answers: &[Answer { status: 200, about: "What was refused, left out or flagged.",
        media: &[(JSON, "FeedRejections")], headers: &[] }] }
}
