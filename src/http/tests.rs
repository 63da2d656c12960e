//! The frame, as clients see it.

use std::sync::Arc;

use actix_web::{
    App, HttpResponse,
    body::MessageBody,
    dev::{Service, ServiceResponse},
    http::{StatusCode, header::HeaderMap},
    test::{TestRequest, call_service, init_service},
    web::{self, ServiceConfig},
};
use bytes::Bytes;

use crate::config::Config;

use super::{
    frame::Frame,
    problem::Problem,
    server::mount,
    state::{Report, State},
};

fn routes(config: &mut ServiceConfig) {
    config
        .service(
            web::resource("/ngsi-ld/v1/entities")
                .route(web::get().to(|| async {
                    HttpResponse::Ok()
                        .content_type("application/json")
                        .body("[".to_owned() + &"1,".repeat(2_000) + "1]")
                }))
                .route(web::post().to(|| async { Err::<&str, _>(Problem::bad_request("no")) })),
        )
        .service(web::resource("/ngsi-ld/v1/entities/{id}").route(web::get().to(
            |id: web::Path<String>| async move {
                assert_ne!(*id, "urn:x:panic", "as it was told to");
                HttpResponse::Ok().body(id.into_inner())
            },
        )));
}

async fn answer(config: Config, request: TestRequest) -> (StatusCode, HeaderMap, Bytes) {
    answer_with((), config, request).await
}

async fn answer_with(
    report: impl Report,
    config: Config,
    request: TestRequest,
) -> (StatusCode, HeaderMap, Bytes) {
    let state = State::new(Arc::new(config), report);
    let app = App::new().wrap(Frame::new(Arc::clone(&state))).configure(mount(state, routes));
    let app = init_service(app).await;
    let request = request.to_request();
    match app.call(request).await {
        Ok(answer) => parts(answer).await,
        Err(error) => {
            let response = error.error_response();
            let (head, body) = response.into_parts();
            (head.status(), head.headers().clone(), body.try_into_bytes().unwrap())
        }
    }
}

async fn parts(answer: ServiceResponse) -> (StatusCode, HeaderMap, Bytes) {
    let (_, response) = answer.into_parts();
    let (head, body) = response.into_parts();
    let body = actix_web::body::to_bytes(body).await.unwrap();
    (head.status(), head.headers().clone(), body)
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().unwrap())
}

#[actix_web::test]
async fn every_answer_bears_an_id_and_the_tenant() {
    for uri in ["/ngsi-ld/v1/entities", "/ngsi-ld/v1/nothing"] {
        let request = TestRequest::get().uri(uri).insert_header(("NGSILD-Tenant", "Mae Moh"));
        let (_, headers, _) = answer(Config::default(), request).await;
        assert_eq!(header(&headers, "ngsild-tenant"), "Mae Moh");
        assert_eq!(header(&headers, "x-request-id").len(), 20);
    }
    let request = TestRequest::post()
        .uri("/ngsi-ld/v1/entities")
        .insert_header(("x-request-id", "proxy-7"))
        .insert_header(("NGSILD-Tenant", "a"));
    let (status, headers, body) = answer(Config::default(), request).await;
    assert_eq!(status, 400);
    assert_eq!(header(&headers, "x-request-id"), "proxy-7");
    assert_eq!(header(&headers, "ngsild-tenant"), "a");
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["type"], "https://uri.etsi.org/ngsi-ld/errors/BadRequestData");
    assert_eq!(body["detail"], "no");
}

#[actix_web::test]
async fn odd_slashes_are_forgiven() {
    for uri in ["/ngsi-ld/v1/entities/urn:x:1", "//ngsi-ld//v1/entities/urn:x:1/?a=b"] {
        let (status, _, body) = answer(Config::default(), TestRequest::get().uri(uri)).await;
        assert_eq!((status.as_u16(), &body[..]), (200, &b"urn:x:1"[..]), "{uri}");
    }
}

#[actix_web::test]
async fn unknown_paths_and_methods_are_refused_with_what_is_right() {
    let (status, _, body) = answer(Config::default(), TestRequest::get().uri("/ngsild")).await;
    assert_eq!(status, 404);
    assert!(String::from_utf8_lossy(&body).contains("/docs"));
    let request = TestRequest::patch().uri("/ngsi-ld/v1/jsonldContexts");
    let (status, headers, body) = answer(Config::default(), request).await;
    assert_eq!(status, 405);
    assert_eq!(header(&headers, "allow"), "GET, HEAD, POST, OPTIONS");
    assert!(String::from_utf8_lossy(&body).contains("does not take PATCH"));
    let request = TestRequest::with_uri("/health").method("OPTIONS".parse().unwrap());
    let (status, headers, body) = answer(Config::default(), request).await;
    assert_eq!((status.as_u16(), body.len()), (204, 0));
    assert_eq!(header(&headers, "allow"), "GET, HEAD, OPTIONS");
}

#[actix_web::test]
async fn heads_are_limited() {
    let long = format!("/ngsi-ld/v1/entities?q={}", "x".repeat(40_000));
    let (status, _, _) = answer(Config::default(), TestRequest::get().uri(&long)).await;
    assert_eq!(status, 414);
    let request =
        TestRequest::get().uri("/ngsi-ld/v1/entities").insert_header(("x-a", "x".repeat(40_000)));
    let (status, _, _) = answer(Config::default(), request).await;
    assert_eq!(status, 431);
}

#[actix_web::test]
async fn pages_are_let_in_as_configured() {
    let mut config = Config::default();
    config.cors.origins = vec!["https://map.example.org".to_owned()];
    let request = TestRequest::get()
        .uri("/ngsi-ld/v1/entities")
        .insert_header(("origin", "https://map.example.org"));
    let (_, headers, _) = answer(config.clone(), request).await;
    assert_eq!(header(&headers, "access-control-allow-origin"), "https://map.example.org");
    assert_eq!(header(&headers, "vary"), "Origin");
    assert!(header(&headers, "access-control-expose-headers").contains("NGSILD-Results-Count"));
    let preflight = TestRequest::with_uri("/ngsi-ld/v1/entities/urn:x:1/attrs")
        .method("OPTIONS".parse().unwrap())
        .insert_header(("origin", "https://map.example.org"))
        .insert_header(("access-control-request-method", "PATCH"))
        .insert_header(("access-control-request-headers", "content-type,link"));
    let (status, headers, _) = answer(config.clone(), preflight).await;
    assert_eq!(status, 204);
    assert_eq!(header(&headers, "access-control-allow-methods"), "POST, PATCH, OPTIONS");
    assert_eq!(header(&headers, "access-control-allow-headers"), "content-type,link");
    assert_eq!(header(&headers, "access-control-max-age"), "3600");
    let stranger =
        TestRequest::get().uri("/health").insert_header(("origin", "https://evil.example.org"));
    let (_, headers, _) = answer(config, stranger).await;
    assert!(headers.get("access-control-allow-origin").is_none());
}

#[actix_web::test]
async fn answers_are_packed_when_asked_and_worth_it() {
    let get = |uri: &str, coding: &str| {
        let request = TestRequest::get().uri(uri);
        if coding.is_empty() { request } else { request.insert_header(("accept-encoding", coding)) }
    };
    let list = "/ngsi-ld/v1/entities";
    let (_, headers, plain) = answer(Config::default(), get(list, "")).await;
    assert!(headers.get("content-encoding").is_none() && headers.get("vary").is_none());
    let (_, headers, packed) = answer(Config::default(), get(list, "gzip, br")).await;
    assert_eq!(header(&headers, "content-encoding"), "gzip");
    assert_eq!(header(&headers, "vary"), "Accept-Encoding");
    assert!(packed.len() < plain.len() / 10);
    let (_, headers, _) = answer(Config::default(), get(list, "br")).await;
    assert_eq!(header(&headers, "content-encoding"), "br");
    let small = "/ngsi-ld/v1/entities/urn:x:1";
    let (_, headers, _) = answer(Config::default(), get(small, "gzip")).await;
    assert!(headers.get("content-encoding").is_none());
}

#[actix_web::test]
async fn a_panic_becomes_a_500_with_the_id_of_the_request() {
    let request = TestRequest::get().uri("/ngsi-ld/v1/entities/urn:x:panic");
    let (status, headers, body) = answer(Config::default(), request).await;
    assert_eq!(status, 500);
    assert_eq!(header(&headers, "x-request-id").len(), 20);
    assert!(!String::from_utf8_lossy(&body).contains("as it was told to"));
}

#[actix_web::test]
async fn health_lists_every_limit() {
    let (status, _, body) = answer(Config::default(), TestRequest::get().uri("/health")).await;
    assert_eq!(status, 200);
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["status"], "ok");
    for key in Config::keys().filter(|key| key.section == "limits") {
        assert!(!body["limits"][key.name].is_null(), "{}", key.name);
    }
    assert_eq!(body["limits"]["body"], "8MiB");
    assert_eq!(body["bounds"]["notify"]["subscriptions"], Config::default().notify.subscriptions);
    assert_eq!(body["bounds"]["egress"]["ca"], serde_json::Value::Null, "no path is told");
}

#[actix_web::test]
async fn readiness_follows_the_drain_and_the_store() {
    struct Recovering;
    impl Report for Recovering {
        fn ready(&self) -> Result<(), String> {
            Err("the store is being read".to_owned())
        }
    }
    let ready = || TestRequest::get().uri("/ready");
    assert_eq!(answer(Config::default(), ready()).await.0, 200);
    let (status, _, body) = answer_with(Recovering, Config::default(), ready()).await;
    assert_eq!(status, 503);
    assert!(String::from_utf8_lossy(&body).contains("the store is being read"));
    let state = State::new(Arc::new(Config::default()), ());
    let app = App::new()
        .wrap(Frame::new(Arc::clone(&state)))
        .configure(mount(Arc::clone(&state), routes));
    let app = init_service(app).await;
    state.drain();
    assert_eq!(call_service(&app, ready().to_request()).await.status(), 503);
}

#[actix_web::test]
async fn what_was_answered_is_counted() {
    let state = State::new(Arc::new(Config::default()), ());
    let app = App::new().wrap(Frame::new(Arc::clone(&state))).configure(mount(state, routes));
    let app = init_service(app).await;
    for _ in 0..3 {
        let request = TestRequest::get().uri("/ngsi-ld/v1/entities/urn:x:1").to_request();
        call_service(&app, request).await;
    }
    let (_, _, body) =
        parts(call_service(&app, TestRequest::get().uri("/metrics").to_request()).await).await;
    let text = String::from_utf8(body.to_vec()).unwrap();
    let line = "lanna_http_requests_total{path=\"/ngsi-ld/v1/entities/{entityId}\",\
                method=\"GET\",status=\"200\"} 3";
    assert!(text.lines().any(|found| found == line), "{text}");
    assert!(text.contains("lanna_http_requests_in_flight 1"), "the scrape itself is in flight");
}

/// What the frame adds to a request: `cargo test --release -- --ignored what_the_frame_costs
/// --nocapture`.
#[actix_web::test]
#[ignore = "a measurement"]
async fn what_the_frame_costs() {
    async fn bare() -> HttpResponse {
        HttpResponse::Ok().content_type("application/json").body(Bytes::from_static(&[b'1'; 600]))
    }
    let to = |config: &mut ServiceConfig| {
        config.default_service(web::to(bare));
    };
    macro_rules! measure {
        ($name:literal, $app:expr, $request:expr) => {{
            let app = init_service($app).await;
            let mut best = f64::MAX;
            for _ in 0..30 {
                let requests: Vec<_> = (0..2_000).map(|_| $request.to_request()).collect();
                let start = std::time::Instant::now();
                for request in requests {
                    drop(std::hint::black_box(app.call(request).await.unwrap()));
                }
                best = best.min(start.elapsed().as_nanos() as f64 / 2_000.0);
            }
            println!("{:>9.0} ns  {}", best, $name);
        }};
    }
    let get = || TestRequest::get().uri("/ngsi-ld/v1/entities/urn:ngsi-ld:Vehicle:1");
    let usual = || {
        get()
            .insert_header(("host", "127.0.0.1:9090"))
            .insert_header(("user-agent", "wrk"))
            .insert_header(("accept", "application/json"))
    };
    let state = State::new(Arc::new(Config::default()), ());
    measure!("bare", App::new().configure(to), usual());
    measure!(
        "actix Compress, nothing to do",
        App::new().wrap(actix_web::middleware::Compress::default()).configure(to),
        usual()
    );
    let framed =
        || App::new().wrap(Frame::new(Arc::clone(&state))).configure(mount(Arc::clone(&state), to));
    measure!("framed", framed(), usual());
    measure!("framed, tenant", framed(), usual().insert_header(("ngsild-tenant", "a")));
    measure!("framed, gzip asked", framed(), usual().insert_header(("accept-encoding", "gzip")));
    measure!(
        "framed, origin",
        framed(),
        usual().insert_header(("origin", "http://localhost:3000"))
    );
}
