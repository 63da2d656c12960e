use std::{collections::BTreeSet, sync::Arc};

use actix_web::App;
use actix_web::test::{TestRequest, call_service, init_service, read_body};
use actix_web::web::{Data, ServiceConfig};
use serde_json::Value;

use super::operations::{Described, Method, operations};
use super::{TAGS, TEXT, describe, schemas};
use crate::broker::Broker;
use crate::config::Config;
use crate::http::frame::Frame;
use crate::http::places::Place;
use crate::http::server::mount;
use crate::http::state::State;

#[test]
fn what_is_described_is_what_is_routed() {
    let described: Vec<_> = operations()
        .map(|operation| {
            let method = match operation.method {
                Method::Get => "GET",
                Method::Post => "POST",
                Method::Put => "PUT",
                Method::Patch => "PATCH",
                Method::Delete => "DELETE",
            };
            (operation.place.template(), method)
        })
        .collect();
    let routed: BTreeSet<_> = Place::ALL
        .iter()
        .flat_map(|place| place.methods().iter().map(|method| (place.template(), method.as_str())))
        .collect();
    assert_eq!(described.iter().copied().collect::<BTreeSet<_>>(), routed);
    assert_eq!(described.len(), routed.len(), "each is described once");
}

#[test]
fn every_operation_has_a_name_of_its_own_and_an_answer() {
    let ids: BTreeSet<_> = operations().map(|operation| operation.id).collect();
    assert_eq!(ids.len(), operations().count());
    for operation in operations() {
        assert!(!operation.answers.is_empty(), "{}", operation.id);
        assert!(TAGS.iter().any(|(name, _)| *name == operation.tag), "{}", operation.id);
    }
}

#[test]
fn shapes_lose_nothing_on_the_way() {
    let written = serde_json::to_value(schemas::components()).unwrap();
    assert_eq!(written["schemas"], schemas::source());
}

#[test]
fn every_reference_leads_somewhere() {
    fn walk(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(target)) = members.get("$ref") {
                    found.insert(target.trim_start_matches("#/components/schemas/").to_owned());
                }
                members.values().for_each(|member| walk(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| walk(item, found)),
            _ => {}
        }
    }
    let document = serde_json::to_value(describe()).unwrap();
    let mut found = BTreeSet::new();
    walk(&document, &mut found);
    let shapes = document["components"]["schemas"].as_object().unwrap();
    for name in &found {
        assert!(shapes.contains_key(name), "{name}");
    }
    for name in shapes.keys() {
        assert!(found.contains(name), "nobody uses {name}");
    }
}

#[test]
fn the_copy_for_readers_is_fresh() {
    let text = String::from_utf8(TEXT.to_vec()).unwrap();
    expect_test::expect_file!["../../../openapi/ngsi-ld.json"].assert_eq(&text);
}

#[test]
fn the_page_needs_no_network() {
    let page = include_str!("docs.html");
    for line in page.lines().filter(|line| line.contains("http://") || line.contains("https://")) {
        assert!(line.contains("xmlns="), "{line}");
    }
}

/// A broker on an empty folder, behind its frame.
macro_rules! served {
    ($folder:expr) => {{
        let mut config = Config::default();
        config.store.data = $folder.path().to_owned();
        let broker = Data::new(Broker::open(&config).await.unwrap());
        let state = State::new(Arc::new(config), ());
        let mounted = mount(Arc::clone(&state), move |config: &mut ServiceConfig| {
            config.app_data(broker.clone());
        });
        init_service(App::new().wrap(Frame::new(state)).configure(mounted)).await
    }};
}

fn request(described: &Described, query: &str) -> TestRequest {
    let method = match described.method {
        Method::Get => "GET",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Patch => "PATCH",
        Method::Delete => "DELETE",
    };
    let path: Vec<_> = described
        .place
        .template()
        .split('/')
        .map(|part| match part {
            "{entityId}" => "urn:ngsi-ld:AirQualityObserved:example",
            "{attrId}" => "pm25",
            "{type}" => "AirQualityObserved",
            "{model}" => "AirQualityObserved",
            "{contextId}" => "unknown",
            "{instanceId}" => "urn:ngsi-ld:Instance:1",
            "{subscriptionId}" => "urn:ngsi-ld:Subscription:unknown",
            "{entityMapId}" => "urn:ngsi-ld:EntityMap:unknown",
            "{snapshotId}" => "urn:ngsi-ld:Snapshot:unknown",
            "{registrationId}" => "urn:ngsi-ld:ContextSourceRegistration:unknown",
            part => part,
        })
        .collect();
    let request = TestRequest::with_uri(&format!("{}{query}", path.join("/")))
        .method(method.parse().unwrap());
    let Some(body) = &described.body else { return request };
    let (media, shape) = body.media[0];
    request.insert_header(("content-type", media)).set_payload(example(shape).to_string())
}

/// The example of a shape, as the page shows it.
fn example(shape: &str) -> Value {
    let shape = &schemas::source()[shape];
    if let Some(example) = shape["examples"].get(0) {
        return example.clone();
    }
    let item = shape["items"]["$ref"].as_str().expect("a body that has an example, or a list");
    Value::Array(vec![example(item.rsplit('/').next().unwrap_or_default())])
}

macro_rules! answer {
    ($app:expr, $request:expr) => {{
        let answer = call_service($app, $request.to_request()).await;
        let status = answer.status().as_u16().to_string();
        (status, String::from_utf8_lossy(&read_body(answer).await).into_owned())
    }};
}

/// Asks for every operation: whatever it answers is among what is said of it.
macro_rules! all_answer_as_described {
    ($app:expr) => {
        let document = serde_json::to_value(describe()).unwrap();
        for described in operations() {
            let item = &document["paths"][described.place.template()];
            let responses = item
                .as_object()
                .and_then(|item| {
                    item.values().find(|operation| operation["operationId"] == described.id)
                })
                .map(|operation| &operation["responses"])
                .unwrap();
            let (status, body) = answer!($app, request(described, ""));
            assert!(responses.get(&status).is_some(), "{}: {status} {body}", described.id);
            assert!(!body.contains("no operation of the API"), "{}: {body}", described.id);
            let example_is_good = described.body.is_some() && !described.id.contains("ttribute");
            assert!(!example_is_good || status != "400", "{}: {body}", described.id);
        }
    };
}

#[actix_web::test]
async fn every_operation_answers_as_described() {
    let folder = tempfile::tempdir().unwrap();
    let app = served!(folder);
    all_answer_as_described!(&app);
}

#[actix_web::test]
async fn operations_that_only_a_source_could_do_answer_as_described() {
    let folder = tempfile::tempdir().unwrap();
    let app = served!(folder);
    // It alone has what the examples are about, and takes no writes.
    let registration = serde_json::json!({
        "type": "ContextSourceRegistration",
        "mode": "exclusive",
        "operations": ["createSubscription"],
        "managementInterval": {"startAt": "2020-01-01T00:00:00Z"},
        "information": [{
            "entities": [{
                "id": "urn:ngsi-ld:AirQualityObserved:example",
                "type": "AirQualityObserved",
            }],
            "propertyNames": ["pm25"],
        }],
        "endpoint": "https://source.example",
    });
    let register = TestRequest::post()
        .uri("/ngsi-ld/v1/csourceRegistrations")
        .insert_header(("content-type", "application/json"))
        .set_payload(registration.to_string());
    assert_eq!(answer!(&app, register).0, "201");
    let deleted = operations().find(|one| one.id == "deleteAttributeEvolution").unwrap();
    assert_eq!(answer!(&app, request(deleted, "")).0, "409");
    all_answer_as_described!(&app);
}

#[actix_web::test]
async fn every_parameter_is_known_to_its_operation() {
    let folder = tempfile::tempdir().unwrap();
    let app = served!(folder);
    for described in operations() {
        for name in described.parameters.iter().copied().flatten() {
            let query = format!("?{name}=");
            let (_, body) = answer!(&app, request(described, &query));
            assert!(!body.contains("has no parameter"), "{} {name}: {body}", described.id);
        }
        let (status, body) = answer!(&app, request(described, "?colour=red"));
        let path = described.place.template();
        let strict = ["/ngsi-ld", "/models", "/derived", "/feeds"];
        let api = strict.iter().any(|start| path.starts_with(start));
        assert_eq!(status == "400", api, "{}: {body}", described.id);
    }
}
