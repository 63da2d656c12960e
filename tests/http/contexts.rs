//! `/jsonldContexts` (5.13).

use serde_json::json;

use crate::support::TestBroker;

#[actix_web::test]
async fn a_context_is_hosted_used_and_deleted() {
    let broker = TestBroker::start().await;
    let body = json!({"@context": {"speed": "https://example.org/speed"}});
    let answer = broker.body("POST", "/jsonldContexts", body.clone()).await;
    assert_eq!(answer.status, 201);
    let place = answer.header("location").strip_prefix("/ngsi-ld/v1").expect("a path").to_owned();
    assert_eq!(broker.get(&place).await.json(), body);
    let details = broker.get(&format!("{place}?details=true")).await.json();
    assert_eq!(details["kind"], json!("Hosted"));
    let link = format!(
        "<{}>; rel=\"http://www.w3.org/ns/json-ld#context\"; type=\"application/ld+json\"",
        details["URL"].as_str().expect("a URL")
    );
    let create = broker.request("POST", "/entities").header("link", &link);
    let entity = json!({"id": "urn:a:1", "type": "Vehicle", "speed": 1});
    let create = create.header("content-type", "application/json").body(entity.to_string());
    assert_eq!(broker.send(create).await.status, 201);
    let plain = broker.values("urn:a:1").await;
    assert_eq!(plain["https://example.org/speed"], json!(1));
    let linked = broker.request("GET", "/entities/urn:a:1?format=simplified").header("link", link);
    assert_eq!(broker.send(linked).await.json()["speed"], json!(1));
    assert_eq!(broker.delete(&place).await.status, 204);
    assert_eq!(broker.get(&place).await.status, 404);
}

#[actix_web::test]
async fn a_context_is_served_to_its_tenant_and_to_who_names_none() {
    let broker = TestBroker::start().await;
    let body = json!({"@context": {"speed": "https://example.org/speed"}});
    let host = broker.request("POST", "/jsonldContexts").header("ngsild-tenant", "city");
    let host = host.header("content-type", "application/json").body(body.to_string());
    let answer = broker.send(host).await;
    assert_eq!(answer.status, 201);
    let place = answer.header("location").strip_prefix("/ngsi-ld/v1").expect("a path").to_owned();
    let details = format!("{place}?details=true");
    for (tenant, content, about) in
        [(Some("city"), 200, 200), (Some("other"), 404, 404), (None, 200, 404)]
    {
        for (path, status) in [(&place, content), (&details, about)] {
            let mut ask = broker.request("GET", path);
            if let Some(tenant) = tenant {
                ask = ask.header("ngsild-tenant", tenant);
            }
            assert_eq!(broker.send(ask).await.status, status, "{tenant:?} {path}");
        }
    }
}

#[actix_web::test]
async fn contexts_that_are_none_are_refused() {
    let broker = TestBroker::start().await;
    for (body, problem) in [
        ("{}", "InvalidRequest"),
        ("{", "InvalidRequest"),
        (r#"{"@context": 42}"#, "BadRequestData"),
    ] {
        let answer = broker.text("POST", "/jsonldContexts", body).await;
        assert_eq!((answer.status, answer.problem().as_str()), (400, problem), "{body}");
    }
    assert_eq!(broker.get("/jsonldContexts?kind=Odd").await.status, 400);
    assert_eq!(broker.delete("/jsonldContexts/none").await.status, 404);
}

#[actix_web::test]
async fn a_context_that_cannot_be_fetched_is_said_so() {
    let broker = TestBroker::start().await;
    let link = "<http://127.0.0.1:9/x.jsonld>; rel=\"http://www.w3.org/ns/json-ld#context\"";
    let request = broker.request("GET", "/entities?type=A").header("link", link);
    let answer = broker.send(request).await;
    assert_eq!((answer.status, answer.problem().as_str()), (504, "LdContextNotAvailable"));
}
