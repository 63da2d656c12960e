//! The description of the API: `/openapi.json` for programs, `/docs` for people.
//!
//! Built from one table of operations whose paths and methods are those of [`Place`], so that
//! what is described is what is routed; a copy for readers lies in `openapi/ngsi-ld.json`.

mod answers;
mod operations;
mod parameters;
mod schemas;

#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use actix_web::{
    HttpResponse,
    web::{ServiceConfig, get, resource},
};
use bytes::Bytes;
use utoipa::openapi::{
    Content, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, PathItem, PathsBuilder, RefOr,
    ServerBuilder,
    path::{HttpMethod, Operation, OperationBuilder},
    request_body::RequestBodyBuilder,
    tag::TagBuilder,
};

use super::root::page;

use self::{
    answers::responses,
    operations::{Described, TAGS, operations},
};

/// Mounts both.
pub fn routes(config: &mut ServiceConfig) {
    use super::places::Place;
    config
        .service(resource(Place::OpenApi.template()).route(get().to(openapi)))
        .service(resource(Place::Docs.template()).route(get().to(docs)));
}

/// The description as JSON text.
pub static TEXT: LazyLock<Bytes> = LazyLock::new(|| {
    let mut text = serde_json::to_vec_pretty(&describe()).unwrap_or_default();
    text.push(b'\n');
    text.into()
});

async fn openapi() -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(TEXT.clone())
}

/// The page reads `/openapi.json` and needs nothing else.
async fn docs() -> HttpResponse {
    page(Bytes::from_static(include_bytes!("docs.html")))
}

/// The description.
pub fn describe() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Lanna, an NGSI-LD context broker")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(ABOUT))
        .license(Some(
            LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build(),
        ))
        .build();
    let tags = TAGS
        .iter()
        .map(|(name, about)| TagBuilder::new().name(*name).description(Some(*about)).build());
    let mut paths = PathsBuilder::new();
    for described in operations() {
        let item = PathItem::new(method(described), operation(described));
        paths = paths.path(described.place.template(), item);
    }
    OpenApiBuilder::new()
        .info(info)
        .servers(Some([ServerBuilder::new().url("/").build()]))
        .tags(Some(tags))
        .paths(paths)
        .components(Some(schemas::components()))
        .build()
}

/// What stands above the operations.
const ABOUT: &str = "The NGSI-LD API of ETSI GS CIM 009 V1.9.1.\n\n\
    Names are short where an `@context` gives them a URI: in a `Link` header for bodies of \
    `application/json` and for requests without a body, in the body for `application/ld+json`. \
    Tenants are named by the header `NGSILD-Tenant` and come into being with their first entity. \
    Errors are JSON objects of the type ProblemDetails. Every answer bears an `X-Request-Id`, \
    which the log of the broker knows.";

fn method(described: &Described) -> HttpMethod {
    match described.method {
        operations::Method::Get => HttpMethod::Get,
        operations::Method::Post => HttpMethod::Post,
        operations::Method::Put => HttpMethod::Put,
        operations::Method::Patch => HttpMethod::Patch,
        operations::Method::Delete => HttpMethod::Delete,
    }
}

fn operation(described: &Described) -> Operation {
    let mut operation = OperationBuilder::new()
        .operation_id(Some(described.id))
        .tag(described.tag)
        .summary(Some(described.summary))
        .description(Some(described.about()))
        .parameters(Some(parameters::of(described)))
        .responses(responses(described));
    if let Some(body) = &described.body {
        let mut request = RequestBodyBuilder::new()
            .required(Some(utoipa::openapi::Required::True))
            .description(Some(body.about));
        for (media, schema) in body.media {
            let content = Content::new(Some(RefOr::Ref(schemas::reference(schema))));
            request = request.content(*media, content);
        }
        operation = operation.request_body(Some(request.build()));
    }
    operation.build()
}
