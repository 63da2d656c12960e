use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::jsonld::{Document, ParseLimits};
use crate::model::{Action, Attributes, EntityId, Write};
use crate::represent::samples::{document, entities, moment, read};
use crate::represent::subscription::{Draft, ReadLimits, Setting};
use crate::represent::{Reading, read_fragment};

fn context() -> Arc<Context> {
    Context::local(&document(&json!({
        "name": "https://example.org/name",
        "knows": "https://example.org/knows",
        "Vehicle": "https://example.org/Vehicle",
    })))
    .expect("a context")
}

const LIMITS: ReadLimits = ReadLimits {
    query: crate::query::Limits {
        nodes: 100,
        nesting: 8,
        pattern_chars: 100,
        pattern_bytes: 65_536,
        geometry: crate::geo::Limits { max_vertices: 100, max_text: 10_000 },
    },
    lookups: crate::query::Lookups(50),
    join_level: 10,
    join_entities: 100,
    join_bytes: 1 << 20,
};

/// A subscription to everything, with members and notification parameters put over its own.
fn subscription(members: &Json, params: &Json) -> Subscription {
    let mut all = json!({
        "type": "Subscription",
        "localOnly": true,
        "notificationTrigger": ["entityCreated", "entityUpdated", "entityDeleted"],
        "notification": {"endpoint": {"uri": "http://localhost:1/n"}},
    });
    for (name, value) in members.as_object().expect("members") {
        all[name] = value.clone();
    }
    for (name, value) in params.as_object().expect("parameters") {
        all["notification"][name] = value.clone();
    }
    let setting = Setting {
        id: SubscriptionId::from_trusted("urn:s:1"),
        context: context(),
        context_address: "https://example.org/c.jsonld".into(),
        created_at: moment(0),
        modified_at: moment(0),
    };
    let draft = Draft::accept(&document(&all), &context(), &LIMITS.query).expect("accepted");
    draft.read(setting, &LIMITS).expect("a subscription")
}

fn stored(json: Json) -> Arc<Stored> {
    let mut entity = read(json, &context()).expect("an entity");
    (entity.created_at, entity.modified_at) = (moment(1), moment(2));
    for (_, attribute) in entity.attributes.iter_mut() {
        for instance in attribute.instances_mut() {
            (instance.created_at, instance.modified_at) = (moment(1), moment(2));
        }
    }
    Stored::new(entity)
}

fn told(before: Option<Json>, after: Option<Json>) -> Told {
    let entity = |attributes: Json| {
        let mut all = json!({"id": "urn:a:1", "type": "Vehicle"});
        for (name, value) in attributes.as_object().expect("attributes") {
            all[name] = value.clone();
        }
        stored(all)
    };
    Told { before: before.map(entity), after: after.map(entity), at: moment(5) }
}

fn write_as(tenant: &TenantId, subscription: &Subscription, told: &[Told]) -> Option<Notification> {
    let notice = Notice { subscription, tenant, id: "urn:n:1", notified_at: moment(10) };
    notice.write(told, &Linked::default())
}

fn write(subscription: &Subscription, told: &[Told]) -> Option<Notification> {
    write_as(&TenantId::DEFAULT, subscription, told)
}

fn body(notification: &Notification) -> Json {
    serde_json::from_slice(&notification.body).expect("JSON")
}

fn data(members: Json, params: Json, told: Told) -> Json {
    let subscription = subscription(&members, &params);
    let mut body = body(&write(&subscription, &[told]).expect("something to tell"));
    body["data"][0].take()
}

#[test]
fn a_notification_says_what_it_is_about() {
    let told = told(None, Some(json!({"name": "A", "other": 1})));
    let tenant = TenantId::named("Lampang").expect("a tenant");
    let plain =
        write_as(&tenant, &subscription(&json!({}), &json!({})), std::slice::from_ref(&told));
    let plain = plain.expect("something to tell");
    assert_eq!(
        body(&plain),
        json!({
            "id": "urn:n:1",
            "type": "Notification",
            "subscriptionId": "urn:s:1",
            "notifiedAt": "2026-01-01T00:00:10Z",
            "data": [{
                "id": "urn:a:1",
                "type": "Vehicle",
                "name": {"type": "Property", "value": "A"},
                "other": {"type": "Property", "value": 1},
            }],
        })
    );
    let link = "<https://example.org/c.jsonld>; rel=\"http://www.w3.org/ns/json-ld#context\"; type=\"application/ld+json\"";
    assert_eq!(
        plain.headers,
        [
            ("Content-Type", "application/json".to_owned()),
            ("Link", link.to_owned()),
            ("NGSILD-Tenant", "Lampang".to_owned()),
        ]
    );
    let accepting = |accept: &str, receiver: Json| {
        let endpoint =
            json!({"uri": "http://localhost:1/n", "accept": accept, "receiverInfo": receiver});
        let subscription = subscription(&json!({}), &json!({ "endpoint": endpoint }));
        write(&subscription, std::slice::from_ref(&told)).expect("something to tell")
    };
    let linked = accepting("application/ld+json", json!([]));
    assert_eq!(linked.headers, [("Content-Type", "application/ld+json".to_owned())]);
    assert_eq!(body(&linked)["@context"]["name"], "https://example.org/name");
    assert_eq!(body(&linked)["data"][0]["@context"], body(&linked)["@context"]);
    let geo = accepting("application/geo+json", json!([]));
    assert_eq!(geo.headers, [("Content-Type", "application/geo+json".to_owned())]);
    assert_eq!(body(&geo)["data"]["type"], "FeatureCollection");
    assert_eq!(body(&geo)["data"]["features"][0]["properties"]["type"], "Vehicle");
    assert_eq!(body(&geo)["data"]["@context"]["name"], "https://example.org/name");
    let prefer = json!([{"key": "prefer", "value": "body=json"}]);
    let geo = accepting("application/geo+json", prefer);
    assert_eq!(geo.headers[1], ("Link", link.to_owned()));
    assert!(body(&geo)["data"].get("@context").is_none());
}

#[test]
fn attributes_that_are_gone_are_told_of_by_kind() {
    for (before, expected) in [
        (json!(1), json!({"type": "Property", "value": "urn:ngsi-ld:null"})),
        (
            json!({"type": "Point", "coordinates": [1, 2]}),
            json!({"type": "GeoProperty", "value": "urn:ngsi-ld:null"}),
        ),
        (
            json!({"object": "urn:a:2"}),
            json!({"type": "Relationship", "object": "urn:ngsi-ld:null"}),
        ),
        (
            json!({"languageMap": {"th": "ก"}}),
            json!({"type": "LanguageProperty", "languageMap": {"@none": "urn:ngsi-ld:null"}}),
        ),
        (json!({"vocab": "w"}), json!({"type": "VocabProperty", "vocab": "urn:ngsi-ld:null"})),
        (json!({"json": {"a": 1}}), json!({"type": "JsonProperty", "json": "urn:ngsi-ld:null"})),
        (
            json!({"valueList": [1]}),
            json!({"type": "ListProperty", "valueList": ["urn:ngsi-ld:null"]}),
        ),
        (
            json!({"objectList": ["urn:a:2"]}),
            json!({"type": "ListRelationship", "objectList": ["urn:ngsi-ld:null"]}),
        ),
        (
            json!({"value": 1, "datasetId": "urn:d:1", "unitCode": "C62", "sub": 1}),
            json!({"type": "Property", "value": "urn:ngsi-ld:null", "datasetId": "urn:d:1"}),
        ),
        (
            json!({"value": 1, "expiresAt": "2020-01-01T00:00:00Z"}),
            json!({"type": "Property", "value": "urn:ngsi-ld:null"}),
        ),
        (
            json!([{"value": 1}, {"value": 2, "datasetId": "urn:d:1"}]),
            json!({"type": "Property", "value": "urn:ngsi-ld:null"}),
        ),
    ] {
        let told = told(Some(json!({"name": before, "rest": 1})), Some(json!({"rest": 1})));
        let entity = data(json!({}), json!({}), told.clone());
        assert_eq!(entity["name"], expected, "{before}");
        assert_eq!(entity["rest"]["value"], 1);
        let simplified = data(json!({}), json!({"format": "keyValues"}), told.clone());
        let entity = data(json!({"notificationTrigger": ["attributeUpdated"]}), json!({}), told);
        assert!(entity.get("name").is_none(), "the going of attributes was not asked for");
        if expected.get("datasetId").is_none() {
            assert_eq!(simplified["name"], "urn:ngsi-ld:null");
        }
    }
}

#[test]
fn one_of_several_instances_that_is_gone_stands_among_the_others() {
    let both = json!([{"value": 1}, {"value": 2, "datasetId": "urn:d:1"}]);
    let told = told(Some(json!({"name": both})), Some(json!({"name": 1})));
    assert_eq!(
        data(json!({}), json!({}), told.clone())["name"],
        json!([
            {"type": "Property", "value": 1},
            {"type": "Property", "value": "urn:ngsi-ld:null", "datasetId": "urn:d:1"},
        ])
    );
    assert_eq!(
        data(json!({}), json!({"format": "simplified"}), told)["name"],
        json!({"dataset": {"@none": 1, "urn:d:1": "urn:ngsi-ld:null"}})
    );
}

#[test]
fn changes_are_shown_by_kind() {
    for (before, after, member, previous) in [
        (json!(1), json!(2), "previousValue", json!(1)),
        (
            json!({"object": "urn:a:2"}),
            json!({"object": "urn:a:3"}),
            "previousObject",
            json!("urn:a:2"),
        ),
        (
            json!({"languageMap": {"th": "ก"}}),
            json!({"languageMap": {"th": "ข"}}),
            "previousLanguageMap",
            json!({"th": "ก"}),
        ),
        (json!({"vocab": "w"}), json!({"vocab": "v"}), "previousVocab", json!("w")),
        (json!({"json": {"a": null}}), json!({"json": {}}), "previousJson", json!({"a": null})),
        (json!({"valueList": [1]}), json!({"valueList": []}), "previousValueList", json!([1])),
        (
            json!({"objectList": ["urn:a:2"]}),
            json!({"objectList": ["urn:a:3"]}),
            "previousObjectList",
            json!([{"object": "urn:a:2"}]),
        ),
        (json!(1), json!({"object": "urn:a:3"}), "previousValue", json!(1)),
        (json!(1), json!({"value": 1, "unitCode": "C62"}), "previousValue", json!(1)),
    ] {
        let changed =
            told(Some(json!({"name": before, "x": 1})), Some(json!({"name": after, "x": 1})));
        for format in ["normalized", "concise"] {
            let params = json!({"showChanges": true, "format": format});
            let entity = data(json!({}), params, changed.clone());
            assert_eq!(entity["name"][member], previous, "{entity}");
            assert!(entity["x"].get("previousValue").is_none(), "it did not change");
        }
        let gone = told(Some(json!({ "name": before })), Some(json!({})));
        let entity = data(json!({}), json!({"showChanges": true}), gone);
        assert_eq!(entity["name"][member], previous, "{entity}");
        let created = told(Some(json!({})), Some(json!({ "name": after })));
        let entity = data(json!({}), json!({"showChanges": true}), created);
        assert!(!entity.to_string().contains("previous"), "{entity}");
    }
}

#[test]
fn an_entity_that_is_gone_is_told_of_by_id_type_and_time() {
    let gone = || told(Some(json!({"name": "A", "other": 1, "scope": "/A"})), None);
    let bare = json!({"id": "urn:a:1", "type": "Vehicle", "deletedAt": "2026-01-01T00:00:05Z"});
    for format in ["normalized", "concise", "simplified"] {
        let params = json!({"format": format, "pick": ["name"]});
        assert_eq!(data(json!({}), params, gone()), bare);
    }
    let mut stamped = bare.clone();
    stamped["createdAt"] = "2026-01-01T00:00:01Z".into();
    stamped["modifiedAt"] = "2026-01-01T00:00:02Z".into();
    assert_eq!(data(json!({}), json!({"sysAttrs": true}), gone()), stamped);
    let mut watched = bare.clone();
    watched["name"] = json!({"type": "Property", "value": "urn:ngsi-ld:null"});
    let members =
        json!({"watchedAttributes": ["name"], "notificationTrigger": ["attributeDeleted"]});
    assert_eq!(data(members.clone(), json!({}), gone()), watched);
    stamped["name"] = json!({
        "type": "Property",
        "value": "urn:ngsi-ld:null",
        "createdAt": "2026-01-01T00:00:01Z",
        "modifiedAt": "2026-01-01T00:00:02Z",
        "deletedAt": "2026-01-01T00:00:05Z",
    });
    assert_eq!(data(members, json!({"sysAttrs": true}), gone()), stamped);
    let mut changes = bare;
    changes["name"] =
        json!({"type": "Property", "value": "urn:ngsi-ld:null", "previousValue": "A"});
    changes["other"] = json!({"type": "Property", "value": "urn:ngsi-ld:null", "previousValue": 1});
    assert_eq!(data(json!({}), json!({"showChanges": true}), gone()), changes);
}

#[test]
fn what_is_shown_is_what_was_asked_for() {
    let changed = || {
        let names = json!([
            {"languageMap": {"th": "ก", "en": "k"}},
            {"languageMap": {"th": "ข"}, "datasetId": "urn:d:1"},
        ]);
        told(Some(json!({})), Some(json!({"name": names, "y": {"json": {"a": 1}}})))
    };
    for (members, params, member, expected) in [
        (json!({"lang": "en"}), json!({}), "name", json!("k")),
        (json!({"datasetId": ["urn:d:1"], "lang": "th"}), json!({}), "name", json!("ข")),
        (json!({}), json!({"pick": ["id", "y"]}), "name", Json::Null),
        (json!({}), json!({"omit": ["type", "name"]}), "name", Json::Null),
        (json!({}), json!({"attributes": ["y"]}), "name", Json::Null),
        (json!({"ngsildConformance": "1.6"}), json!({}), "y", json!({"a": 1})),
        (json!({}), json!({}), "y", json!({"json": {"a": 1}})),
    ] {
        let mut params = params;
        params["format"] = "simplified".into();
        let entity = data(members.clone(), params.clone(), changed());
        let found = match &entity[member] {
            Json::Object(members) if members.contains_key("dataset") => {
                &entity[member]["dataset"]["@none"]
            }
            found => found,
        };
        assert_eq!(found, &expected, "{members} {params} {entity}");
    }
    let nothing = subscription(&json!({}), &json!({"pick": ["neverHeardOf"]}));
    assert_eq!(write(&nothing, &[changed()]), None);
}

#[test]
fn several_entities_and_those_they_are_joined_with_go_together() {
    let subscription =
        subscription(&json!({}), &json!({"join": "inline", "attributes": ["knows"]}));
    let notice = Notice {
        subscription: &subscription,
        tenant: &TenantId::DEFAULT,
        id: "urn:n:1",
        notified_at: moment(10),
    };
    let friend = stored(json!({"id": "urn:a:2", "type": "Vehicle", "name": "B"}));
    let both = [
        told(None, Some(json!({"knows": {"object": "urn:a:2"}}))),
        Told::as_it_is(friend.clone(), moment(9)),
    ];
    let mut links = notice.links(&both[..1]);
    assert_eq!(links.wanted(), [EntityId::from_trusted("urn:a:2")]);
    links.found([friend]);
    let body = body(&notice.write(&both, &links.finish()).expect("something to tell"));
    assert_eq!(body["data"][0]["knows"]["entity"]["name"]["value"], "B");
    assert_eq!(body["data"][1], json!({"id": "urn:a:2", "type": "Vehicle"}));
}

#[test]
fn entities_that_are_told_together_come_in_the_order_that_was_asked_for() {
    let of = |id: &str, speed: i32| {
        let entity = json!({"id": id, "type": "Vehicle", "speed": {"value": speed}});
        Told { before: None, after: Some(stored(entity)), at: moment(5) }
    };
    let told = [of("urn:a:1", 20), of("urn:a:2", 30), of("urn:a:3", 10)];
    for (members, expected) in [
        (json!({}), ["urn:a:1", "urn:a:2", "urn:a:3"]),
        (json!({"ordering": {"orderBy": ["speed"]}}), ["urn:a:3", "urn:a:1", "urn:a:2"]),
        (json!({"ordering": {"orderBy": ["speed;desc"]}}), ["urn:a:2", "urn:a:1", "urn:a:3"]),
    ] {
        let subscription = subscription(&members, &json!({"pick": ["id"]}));
        let body = body(&write(&subscription, &told).expect("something to tell"));
        let ids: Vec<_> = body["data"].as_array().unwrap().iter().map(|one| &one["id"]).collect();
        assert_eq!(ids, expected, "{members}");
    }
}

/// An entity of which nothing will expire, so that it can be compared whenever.
fn lasting(mut entity: Entity) -> Entity {
    fn last(attributes: &mut Attributes) {
        for (_, attribute) in attributes.iter_mut() {
            for instance in attribute.instances_mut() {
                if let Some(more) = &mut instance.more {
                    more.expires_at = None;
                    last(&mut more.attributes);
                }
                instance.tidy();
            }
        }
    }
    last(&mut entity.attributes);
    entity.id = EntityId::from_trusted("urn:a:1");
    (entity.created_at, entity.expires_at) = (moment(0), None);
    entity
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Who applies each notification to what it had has what the broker has.
    #[test]
    fn a_notification_leads_from_before_to_after(
        before in entities(),
        after in entities(),
        kept in 0..4_usize,
        format in prop_oneof![Just("normalized"), Just("concise")],
        changes in any::<bool>(),
    ) {
        let (before, mut after) = (lasting(before), lasting(after));
        for (name, attribute) in before.attributes.iter().take(kept) {
            after.attributes.insert(name, attribute.clone());
        }
        let subscription =
            subscription(&json!({}), &json!({"format": format, "showChanges": changes, "sysAttrs": true}));
        let (old, new) = (Stored::new(before.clone()), Stored::new(after.clone()));
        let told = Told { before: Some(old), after: Some(new), at: moment(5) };
        let written = write(&subscription, &[told]).expect("something to tell");
        let mut body = body(&written);
        let mut entity = body["data"][0].take();
        forget_previous(&mut entity);
        let text = entity.to_string();
        let document = Document::parse(text.as_bytes(), &ParseLimits::default()).expect("JSON");
        let fragment = read_fragment(&document, &context(), Reading::Update)
            .unwrap_or_else(|error| panic!("{error} in {text}"));
        let update = Write::new(before.id.clone(), Action::Append { fragment: fragment.clone(), overwrite: true });
        let update = match update.apply(Some(&before), moment(6)) {
            Ok(applied) => applied.after,
            // Appending takes no Null; updating takes those, and adds what is new.
            Err(_) => Write::new(before.id.clone(), Action::Update(fragment))
                .apply(Some(&before), moment(6)).expect("applied").after,
        };
        let difference = Difference::between(Some(&after), update.as_ref());
        prop_assert!(difference.turns.is_empty(), "{:?} after {}", difference, text);
    }
}

/// Takes away what a reader of entities does not take: what was before.
fn forget_previous(entity: &mut Json) {
    let each = entity.as_object_mut().expect("an entity").values_mut();
    for attribute in each.flat_map(|attribute| match attribute {
        Json::Array(instances) => instances.iter_mut().collect::<Vec<_>>(),
        single => vec![single],
    }) {
        if let Json::Object(members) = attribute {
            members.retain(|name, _| !name.starts_with("previous"));
        }
    }
}
