//! The greeting page: what this is, in English and Thai, with links that work.

use std::sync::LazyLock;

use actix_web::{
    HttpResponse,
    http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY},
    web::{ServiceConfig, get, resource},
};
use bytes::Bytes;

use super::{health::SPECIFICATION, places::Place};

/// Mounts the page.
pub fn routes(config: &mut ServiceConfig) {
    config.service(resource(Place::Root.template()).route(get().to(root)));
}

static PAGE: LazyLock<Bytes> = LazyLock::new(|| {
    include_str!("root.html")
        .replace("{version}", env!("CARGO_PKG_VERSION"))
        .replace("{specification}", SPECIFICATION)
        .into()
});

async fn root() -> HttpResponse {
    page(PAGE.clone())
}

/// A page of our own, which loads nothing from elsewhere and may not be made to.
pub fn page(html: Bytes) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; connect-src 'self'; img-src data:; style-src 'unsafe-inline'; \
             script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'",
        ))
        .insert_header((CACHE_CONTROL, "no-cache"))
        .body(html)
}
