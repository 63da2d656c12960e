//! The answers of operations: what each gives when it succeeds, and what every operation of its
//! shape may refuse.

use std::collections::BTreeMap;

use serde_json::json;
use utoipa::openapi::{
    Content, HeaderBuilder, RefOr, Response, ResponseBuilder, Responses, ResponsesBuilder,
    extensions::Extensions, link::LinkBuilder, schema::Schema,
};

use super::{
    operations::{Answer, Described, Method},
    schemas::reference,
};

/// All answers of an operation.
pub(super) fn responses(described: &Described) -> Responses {
    let mut all: BTreeMap<u16, Response> = BTreeMap::new();
    for status in refusals(described) {
        all.insert(status, refusal(status));
    }
    for answer in described.answers {
        all.insert(answer.status, success(described, answer));
    }
    all.into_iter()
        .fold(ResponsesBuilder::new(), |responses, (status, response)| {
            responses.response(status.to_string(), response)
        })
        .build()
}

/// What an operation may refuse, by its shape; its own refusals come on top.
fn refusals(described: &Described) -> Vec<u16> {
    let mut statuses = vec![400, 414, 431, 500];
    if described.is_ours() {
        let mut statuses = vec![414, 431, 500];
        if described.place.template().starts_with("/admin/") {
            statuses.extend([400, 401, 403, 404, 501, 503]);
            if described.body.is_some() {
                statuses.extend([408, 411, 413, 415]);
            }
        }
        if described.place.template().starts_with("/derived") {
            statuses.extend([400, 404, 503]);
        }
        if described.place.template().starts_with("/models") {
            statuses.extend([400, 404, 406, 503]);
            if described.body.is_some() {
                statuses.extend([403, 408, 409, 411, 413, 415, 422, 504]);
            }
        }
        if described.place.template().starts_with("/feeds") {
            statuses.extend([400, 404]);
            if described.body.is_some() {
                statuses.extend([408, 411, 413, 422, 503]);
            }
        }
        return statuses;
    }
    statuses.extend([404, 503, 504]);
    if described.body.is_some() {
        statuses.extend([408, 411, 413, 415, 422]);
    }
    if described.gives_media() {
        statuses.push(406);
    }
    if is_forwarded(described) {
        statuses.extend([409, 502, 508]);
    }
    statuses.extend(described.refuses);
    statuses
}

/// Whether an operation may be one that a source alone can do: then what the source did not do is
/// the answer (6.3.17). Of many entities it says so for each.
fn is_forwarded(described: &Described) -> bool {
    let partly = described.answers.iter().any(|answer| answer.status == 207);
    partly && !described.place.template().contains("/entityOperations/")
}

fn refusal(status: u16) -> Response {
    let about = match status {
        400 => {
            "BadRequestData or InvalidRequest: the request breaks a rule, which the detail names."
        }
        401 => "The token is missing or wrong.",
        403 => {
            "TooManyResults or TooComplexQuery: a limit is in the way; /health lists them. Under \
             /admin: only programs of the broker's machine may do that."
        }
        404 => "ResourceNotFound or NonexistentTenant.",
        406 => "None of the accepted media types is available; the detail lists those that are.",
        408 => "The body came too slowly.",
        409 => {
            "AlreadyExists or Conflict: it is there already, or the source that alone has it does \
             not offer the operation."
        }
        411 => "There is no Content-Length.",
        413 => "The body is larger than the limit.",
        414 => "The URL is longer than the limit.",
        415 => "The body is neither application/json nor application/ld+json.",
        422 => "OperationNotSupported.",
        429 => "The tenant has as many listeners as it may have.",
        431 => "The headers are larger than the limit.",
        500 => "InternalError: the log tells more under the X-Request-Id.",
        501 => "This broker cannot do that.",
        502 => "The source that alone has it failed.",
        503 => "The broker is busy or shutting down; try again.",
        504 => {
            "LdContextNotAvailable: a remote @context cannot be fetched. Or the source that alone \
             has it did not answer in time."
        }
        508 => "The registration of the source that alone has it leads back here.",
        _ => "The request is refused.",
    };
    let response = ResponseBuilder::new().description(about);
    match status {
        // 6.3.4 wants no body here.
        411 | 415 => response.build(),
        _ => response.content("application/json", content("ProblemDetails")).build(),
    }
}

/// Where one can go from an entity that was created.
const OF_AN_ENTITY: [&str; 8] = [
    "retrieveEntity",
    "replaceEntity",
    "mergeEntity",
    "appendAttributes",
    "updateAttributes",
    "updateAttribute",
    "deleteAttribute",
    "deleteEntity",
];

fn success(described: &Described, answer: &Answer) -> Response {
    let mut response = ResponseBuilder::new().description(answer.about);
    for (media, shape) in answer.media {
        response = response.content(*media, content(shape));
    }
    for name in answer.headers {
        response = response.header(*name, header(name));
    }
    if described.id == "createEntity" && answer.status == 201 {
        for operation in OF_AN_ENTITY {
            // The library spells `operationId` as Rust does.
            let id = Extensions::from_iter([("operationId", operation)]);
            let link = LinkBuilder::new()
                .parameter("entityId", "$request.body#/id")
                .extensions(Some(id))
                .build();
            response = response.link(operation, link);
        }
    }
    response.build()
}

fn content(shape: &str) -> Content {
    match shape {
        "text" => Content::new(Some(text())),
        shape => Content::new(Some(RefOr::Ref(reference(shape)))),
    }
}

fn text() -> RefOr<Schema> {
    serde_json::from_value(json!({ "type": "string" })).expect("a test describes all operations")
}

fn header(name: &str) -> utoipa::openapi::Header {
    let about = match name {
        "Location" => "The path of what was created.",
        "Link" => "The @context of the names in the body, and the next and previous pages.",
        "Content-Range" => {
            "Which time the answer covers: unit, beginning, end, and lastN or `*` (6.3.10)."
        }
        "Lanna-Thinned-Until" => {
            "Where numbers were thinned by a rule of retention: the time of the latest mean of an hour \
             or a day in the answer. What comes after it is as it came."
        }
        "NGSILD-Results-Count" => "How many results there are, when `count` asks for it.",
        "NGSILD-EntityMap" => "Where the entity map is that the answer was made with (4.3.6.7).",
        "Preference-Applied" => "The version that the answer follows.",
        _ => "",
    };
    HeaderBuilder::new().schema(text()).description(Some(about)).build()
}

impl Described {
    /// Whether the operation is about the broker and not of the NGSI-LD API.
    fn is_ours(&self) -> bool {
        !self.place.template().starts_with("/ngsi-ld")
    }

    /// Whether the client chooses the media type of the answer.
    fn gives_media(&self) -> bool {
        self.method == Method::Get || self.id == "queryByBody"
    }
}
