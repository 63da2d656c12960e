//! What operations have in common: parameters, headers, media types, bodies and answers.

use super::{Answer, Body};

pub(super) const LOCAL: &[&str] = &["local"];

pub(super) const SELECT: &[&str] = &[
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
    "local",
];
pub(super) const SPLIT: &[&str] = &["splitEntities"];

pub(super) const ORDER: &[&str] = &["orderBy", "collation", "orderFrom", "orderGeometry"];

pub(super) const PAGE: &[&str] = &["limit", "offset", "count"];

pub(super) const LOOKS: &[&str] = &["format", "options", "geometryProperty"];

pub(super) const PROJECTION: &[&str] =
    &["pick", "omit", "lang", "datasetId", "join", "joinLevel", "containedBy"];

pub(super) const TIME: &[&str] = &["timerel", "timeAt", "endTimeAt", "timeproperty", "lastN"];

pub(super) const TEMPORAL_LOOKS: &[&str] =
    &["format", "options", "aggrMethods", "aggrPeriodDuration"];

pub(super) const TEMPORAL_PROJECTION: &[&str] = &["pick", "omit", "lang", "datasetId"];

pub(super) const MAP: &[&str] = &["entityMap", "entityMapLifetime"];

pub(super) const LETTERS: &[&str] = &["limit", "after", "tenant"];

pub(super) const READS: &[&str] = &["NGSILD-Tenant", "NGSILD-Snapshot", "Link", "Prefer"];

pub(super) const READS_BY_MAP: &[&str] =
    &["NGSILD-Tenant", "NGSILD-Snapshot", "Link", "Prefer", "NGSILD-EntityMap"];

pub(super) const TENANT: &[&str] = &["NGSILD-Tenant"];

pub(super) const WRITES: &[&str] = &["NGSILD-Tenant", "NGSILD-Snapshot", "Link"];

pub(super) const JSON: &str = "application/json";

pub(super) const LD: &str = "application/ld+json";

pub(super) const CSV: &str = "text/csv";

pub(super) const ATTRIBUTE: Body = Body {
    about: "The attribute; `datasetId` names the instance.",
    media: &[(JSON, "AttributeFragment"), (LD, "AttributeFragmentLd")],
};

pub(super) const SUBSCRIPTION_FRAGMENT: Body = Body {
    about: "The members that change; `notification` is replaced as a whole.",
    media: &[(JSON, "SubscriptionFragment"), (LD, "SubscriptionFragment")],
};

pub(super) const DONE: Answer =
    Answer { status: 204, about: "It is done, and on disk.", media: &[], headers: &[] };

pub(super) const PARTLY: Answer = Answer {
    status: 207,
    about: "Some of it could not be done.",
    media: &[(JSON, "BatchOperationResult")],
    headers: &[],
};

pub(super) const CREATED: Answer = Answer {
    status: 201,
    about: "It is created, and on disk.",
    media: &[],
    headers: &["Location"],
};
