//! The parameters of operations: each described once, named where it is used.

use serde_json::{Value, json};
use utoipa::openapi::{
    Deprecated, RefOr, Required,
    path::{Parameter, ParameterBuilder, ParameterIn},
    schema::Schema,
};

use super::operations::Described;

/// What values a parameter takes.
enum Values {
    Text,
    Pattern(&'static str),
    Words(&'static [&'static str]),
    Flag,
    Whole { least: u64 },
    DateTime,
    Uri,
}

use Values::{DateTime, Flag, Pattern, Text, Uri, Whole, Words};

/// Name, values, an example (empty for none), what it is for.
type Row = (&'static str, Values, &'static str, &'static str);

/// A name, short or as a URI.
const NAME: Values =
    Pattern("^[A-Za-z][A-Za-z0-9_-]*$|^[A-Za-z][A-Za-z0-9+.-]*:[A-Za-z0-9._~:/?#@!$&'()*+,;=-]+$");
/// Lists of names between commas.
const NAMES: Values = Pattern("^[A-Za-z][A-Za-z0-9_-]*(,[A-Za-z][A-Za-z0-9_-]*)*$");
/// Lists of URIs between commas.
const URIS: Values =
    Pattern("^[A-Za-z][A-Za-z0-9+.-]*:[^,\\s]+(,[A-Za-z][A-Za-z0-9+.-]*:[^,\\s]+)*$");

/// How long, by ISO 8601.
const DURATION: Values = Pattern(
    "^P([0-9]+W|([0-9]+Y)?([0-9]+M)?([0-9]+D)?(T([0-9]+H)?([0-9]+M)?([0-9]+([.,][0-9]{1,6})?S)?)?)$",
);

const GEOMETRIES: &[&str] =
    &["Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon"];

const QUERY: &[Row] = &[
    (
        "type",
        Text,
        "AirQualityObserved",
        "Entity types: `,` or `|` between alternatives, `(A;B)` for both, `*` for all (4.17).",
    ),
    ("id", URIS, "urn:ngsi-ld:AirQualityObserved:example", "Ids, with commas between them."),
    (
        "idPattern",
        Text,
        "^urn:ngsi-ld:AirQualityObserved:",
        "A regular expression that the id matches.",
    ),
    (
        "attrs",
        NAMES,
        "pm25",
        "Attributes of which one must be there, and to which the answer is restricted; `pick` does the second alone.",
    ),
    (
        "q",
        Text,
        "pm25>90",
        "A condition on attributes (4.9): `pm25>90;observer==\"PCD\"`, `name[th]==\"แม่เมาะ\"`.",
    ),
    ("scopeQ", Text, "/Thailand/#", "A condition on scopes (4.19)."),
    (
        "georel",
        Pattern(
            "^(near;(max|min)Distance==[0-9]+(\\.[0-9]+)?|within|contains|overlaps|intersects|equals|disjoint)$",
        ),
        "near;maxDistance==2000",
        "How the entity lies to the geometry (4.10).",
    ),
    ("geometry", Words(GEOMETRIES), "Point", "The kind of the geometry."),
    ("coordinates", Text, "[99.66,18.28]", "The coordinates of the geometry, as in GeoJSON."),
    ("geoproperty", Text, "location", "The GeoProperty that is compared; `location` if absent."),
    ("csf", Text, "", "A condition on the registrations that may be asked (4.9)."),
    (
        "pick",
        Text,
        "id,type,pm25",
        "Members that the answer keeps, `rel{name}` for linked entities (4.21).",
    ),
    ("omit", Text, "location", "Members that the answer leaves out (4.21)."),
    (
        "lang",
        Text,
        "th,en;q=0.5",
        "Languages by preference; a LanguageProperty becomes the text in the best (4.15).",
    ),
    (
        "datasetId",
        Text,
        "@none",
        "Which instances of attributes are wanted, `@none` for the default one.",
    ),
    (
        "geometryProperty",
        Text,
        "location",
        "For GeoJSON, the GeoProperty that becomes the geometry.",
    ),
    (
        "expandValues",
        NAMES,
        "",
        "Attributes whose compared values are expanded by the @context (4.9).",
    ),
    ("jsonKeys", NAMES, "", "Attributes whose values are compared as raw JSON (4.9)."),
    (
        "join",
        Words(&["flat", "inline", "@none"]),
        "inline",
        "Whether linked entities come along, and where (4.5.23).",
    ),
    ("joinLevel", Whole { least: 1 }, "1", "How many links are followed."),
    ("containedBy", URIS, "", "Entities that are known already and not joined again."),
    (
        "orderBy",
        Text,
        "pm25;desc",
        "Members to sort by, each with `;asc`, `;desc`, `;dist-asc` or `;dist-desc` (4.23); needs `local=true`.",
    ),
    ("collation", Text, "th", "How texts are sorted, as a language tag (4.23)."),
    ("orderFrom", Text, "[99.66,18.28]", "Where distances are measured from."),
    ("orderGeometry", Words(GEOMETRIES), "Point", "The kind of geometry that `orderFrom` gives."),
    (
        "limit",
        Whole { least: 0 },
        "20",
        "How many results a page holds; 0 only together with `count`.",
    ),
    ("offset", Whole { least: 0 }, "0", "How many results are skipped."),
    ("count", Flag, "true", "Whether the header NGSILD-Results-Count tells how many there are."),
    (
        "format",
        Words(&["normalized", "concise", "simplified", "keyValues"]),
        "simplified",
        "The representation.",
    ),
    (
        "options",
        Pattern("^(sysAttrs|normalized|concise|simplified|keyValues)(,(sysAttrs|count))*$"),
        "sysAttrs",
        "`sysAttrs` shows system attributes; representations here are the older spelling of `format`.",
    ),
    (
        "timerel",
        Words(&["before", "after", "between"]),
        "between",
        "Which time is asked about: before `timeAt`, from it on, or from it until `endTimeAt` (4.11).",
    ),
    (
        "timeAt",
        DateTime,
        "2026-02-01T00:00:00Z",
        "Where the time that is asked about begins or ends.",
    ),
    ("endTimeAt", DateTime, "2026-03-01T00:00:00Z", "Where it ends, with `timerel=between`."),
    (
        "timeproperty",
        Words(&["observedAt", "createdAt", "modifiedAt", "deletedAt"]),
        "observedAt",
        "Which time of an instance counts.",
    ),
    ("lastN", Whole { least: 1 }, "10", "At most so many instances of an attribute, the latest."),
    (
        "aggrMethods",
        Text,
        "avg,max",
        "How values are aggregated: totalCount, distinctCount, sum, avg, min, max, stddev, sumsq (4.5.19).",
    ),
    (
        "aggrPeriodDuration",
        DURATION,
        "P1D",
        "How long each period is, by the calendar; the whole time if absent or zero.",
    ),
    (
        "tenant",
        Pattern("^[!-~]{0,255}$"),
        "",
        "The tenant, where the header NGSILD-Tenant cannot be sent.",
    ),
    ("lastEventId", Whole { least: 0 }, "", "The id of the event that was heard last."),
    ("failing", Flag, "true", "Whether only those are listed whose receivers fail."),
    ("after", Text, "", "The id after which the page begins."),
    ("all", Flag, "true", "All of the tenant are meant."),
    ("subscription", Uri, "urn:ngsi-ld:Subscription:example", "The subscription whose are meant."),
    (
        "entityMap",
        Flag,
        "true",
        "Whether an entity map is made of the query, by which its pages fit together (5.5.9.3).",
    ),
    (
        "entityMapLifetime",
        DURATION,
        "PT15M",
        "How long the entity map is kept, with `entityMap=true`; no longer than allowed.",
    ),
    ("local", Flag, "true", "Whether only what this broker holds matters."),
    ("splitEntities", Flag, "false", "Whether one entity may be spread over several brokers."),
    ("keep", NAMES, "", "Attributes to keep; all others are deleted, and the entities stay."),
    ("drop", NAMES, "", "Attributes to delete; the entities stay."),
    ("deleteAll", Flag, "true", "Whether all instances of the attribute are deleted."),
    ("details", Flag, "true", "Whether more is told than names."),
    (
        "kind",
        Words(&["Cached", "Hosted", "ImplicitlyCreated"]),
        "Hosted",
        "Which contexts are listed.",
    ),
    ("model", NAME, "", "The short name of a model; all of them if absent."),
    ("entity", Uri, "urn:ngsi-ld:AirQualityObserved:1", "The entity it is about; any if absent."),
    ("what", Words(&["record", "reading", "document"]), "record", "What was refused."),
    ("from", Text, "2026-03-14.csv", "The file or the topic that it came from."),
    ("at", DateTime, "2026-02-01T08:00:00Z", "As of which time; of the newest reading if absent."),
    ("reload", Flag, "true", "Whether a cached context is fetched anew instead of deleted."),
    (
        "observedAt",
        DateTime,
        "2026-02-01T08:00:00Z",
        "Given to merged attributes that had such a time and are sent none.",
    ),
];

/// Parameters that mean something else in some operations than in the others.
const SPECIAL: &[(&[&str], Row)] = &[
    (
        OF_HISTORY,
        (
            "format",
            Words(&["normalized", "temporalValues", "aggregatedValues"]),
            "temporalValues",
            "The representation.",
        ),
    ),
    (
        OF_HISTORY,
        (
            "options",
            Pattern("^(sysAttrs|normalized|temporalValues|aggregatedValues)(,(sysAttrs|count))*$"),
            "sysAttrs",
            "`sysAttrs` shows system attributes; representations here are the older spelling of `format`.",
        ),
    ),
    (
        &["queryEvolution", "createTemporalEntityMap"],
        ("orderBy", Pattern("^id(;(asc|desc))?$"), "id;desc", "Histories are ordered by id alone."),
    ),
    (
        &["deleteAttributeEvolution"],
        ("datasetId", Uri, "", "Whose instances are deleted; those without one if absent."),
    ),
    (
        &[
            "querySubscriptions",
            "retrieveSubscription",
            "queryRegistrations",
            "retrieveRegistration",
            "querySourceSubscriptions",
            "retrieveSourceSubscription",
        ],
        ("options", Words(&["sysAttrs"]), "sysAttrs", "Shows `createdAt` and `modifiedAt`."),
    ),
    (
        &["mergeEntity"],
        (
            "format",
            Words(&["simplified", "keyValues"]),
            "simplified",
            "The representation of the body, when it is not normalized or concise.",
        ),
    ),
    (
        &["mergeEntity"],
        ("options", Words(&["simplified", "keyValues"]), "", "The older spelling of `format`."),
    ),
    (
        &["mergeEntity"],
        (
            "lang",
            Pattern("^[a-z]{2,3}(-[A-Z]{2})?$"),
            "th",
            "The language of plain texts sent for LanguageProperties.",
        ),
    ),
    (
        &["appendAttributes", "batchUpdate"],
        (
            "options",
            Words(&["noOverwrite"]),
            "noOverwrite",
            "Leave attributes alone that are there.",
        ),
    ),
    (
        &["batchUpsert"],
        (
            "options",
            Words(&["replace", "update"]),
            "update",
            "What happens to entities that are there.",
        ),
    ),
    (
        &["deleteAttribute"],
        ("datasetId", Uri, "", "Which instance is deleted; the default one if absent."),
    ),
    (
        &["purgeSnapshots"],
        ("q", Text, "snapshotPriority<3", "A condition on members of snapshots, and needed."),
    ),
    (&["purgeEntities"], ("attrs", NAMES, "pm25", "Attributes of which an entity must have one.")),
];

/// Operations whose answers are histories.
const OF_HISTORY: &[&str] = &[
    "queryEvolution",
    "retrieveEvolution",
    "queryEvolutionByBody",
    "createTemporalEntityMap",
    "createTemporalEntityMapByBody",
];

const PATH: &[Row] = &[
    ("entityId", Uri, "urn:ngsi-ld:AirQualityObserved:example", "The id of the entity."),
    ("attrId", NAME, "pm25", "The name of the attribute, short or as a URI."),
    ("type", NAME, "AirQualityObserved", "The name of the type, short or as a URI."),
    ("model", NAME, "AirQualityObserved", "The short name of the model."),
    ("instanceId", Uri, "", "The id of the instance, as an answer told it."),
    ("subscriptionId", Uri, "urn:ngsi-ld:Subscription:example", "The id of the subscription."),
    ("entityMapId", Uri, "urn:ngsi-ld:EntityMap:example", "The id of the entity map."),
    ("snapshotId", Uri, "urn:ngsi-ld:Snapshot:example", "The id of the snapshot."),
    (
        "registrationId",
        Uri,
        "urn:ngsi-ld:ContextSourceRegistration:example",
        "The id of the registration.",
    ),
    ("letterId", Text, "", "The id of the dead letter."),
    ("feed", Text, "air4thai", "The name of the feed."),
    ("contextId", Text, "", "The local id of the context; for cached ones also their URL."),
];

const HEADER: &[Row] = &[
    (
        "NGSILD-Tenant",
        Pattern("^[!-~]{0,255}$"),
        "",
        "The tenant; the default one if absent (4.14).",
    ),
    (
        "NGSILD-Snapshot",
        Uri,
        "",
        "The snapshot that is worked on, instead of how things are (6.3.22).",
    ),
    (
        "NGSILD-EntityMap",
        Text,
        "",
        "The entity map by which the query was made before, as an answer named it (5.5.14).",
    ),
    (
        "Last-Event-ID",
        Whole { least: 0 },
        "",
        "The id of the event that was heard last; browsers send it by themselves.",
    ),
    (
        "Link",
        Text,
        "<https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v1.9.jsonld>; rel=\"http://www.w3.org/ns/json-ld#context\"; type=\"application/ld+json\"",
        "The @context of the request, unless the body is `application/ld+json` (6.3.5).",
    ),
    (
        "Prefer",
        Pattern("^(ngsi-ld=1\\.[3-9]|body=(ld\\+)?json)$"),
        "",
        "`ngsi-ld=1.6` asks for an answer as that version has it (6.3.21); `body=json` for GeoJSON without @context (6.3.6).",
    ),
];

/// The parameters of an operation.
pub(super) fn of(described: &Described) -> Vec<Parameter> {
    let path = described.place.template().split('/').filter_map(|part| {
        let name = part.strip_prefix('{')?.strip_suffix('}')?;
        Some(one(find(PATH, name), ParameterIn::Path))
    });
    let query = described.parameters.iter().flat_map(|bundle| bundle.iter()).map(|name| {
        let special =
            SPECIAL.iter().find(|(ids, row)| ids.contains(&described.id) && row.0 == *name);
        one(special.map_or_else(|| find(QUERY, name), |(_, row)| row), ParameterIn::Query)
    });
    let headers = described.headers.iter().map(|name| one(find(HEADER, name), ParameterIn::Header));
    path.chain(query).chain(headers).collect()
}

fn find(table: &'static [Row], name: &str) -> &'static Row {
    table
        .iter()
        .find(|row| row.0 == name)
        .unwrap_or_else(|| panic!("a test describes all operations, and {name} is in the table"))
}

fn one((name, values, example, about): &'static Row, place: ParameterIn) -> Parameter {
    let required = matches!(place, ParameterIn::Path);
    let deprecated = place == ParameterIn::Query && *name == "attrs";
    let shape: RefOr<Schema> =
        serde_json::from_value(values.shape(required)).expect("a test describes all operations");
    let mut parameter = ParameterBuilder::new()
        .name(*name)
        .parameter_in(place)
        .required(if required { Required::True } else { Required::False })
        .description(Some(*about))
        .schema(Some(shape));
    if deprecated {
        parameter = parameter.deprecated(Some(Deprecated::True));
    }
    if !example.is_empty() {
        parameter = parameter.example(Some(values.example(example)));
    }
    parameter.build()
}

impl Values {
    /// The JSON Schema of the values.
    fn shape(&self, required: bool) -> Value {
        match self {
            Self::Text if required => json!({ "type": "string", "minLength": 1 }),
            Self::Text => json!({ "type": "string" }),
            Self::Pattern(pattern) => json!({ "type": "string", "pattern": pattern }),
            Self::Words(words) => json!({ "type": "string", "enum": words }),
            Self::Flag => json!({ "type": "boolean" }),
            Self::Whole { least } => json!({ "type": "integer", "minimum": least }),
            Self::DateTime => json!({ "$ref": "#/components/schemas/DateTime" }),
            Self::Uri => json!({ "$ref": "#/components/schemas/Uri" }),
        }
    }

    /// The example as JSON of the right type.
    fn example(&self, text: &str) -> Value {
        match self {
            Self::Flag | Self::Whole { .. } => text.parse().unwrap_or_default(),
            _ => text.into(),
        }
    }
}
