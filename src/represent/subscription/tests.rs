use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::*;
use crate::jsonld::{Document, ParseLimits};
use crate::model::{Name, TypeSelection};

const LIMITS: ReadLimits = ReadLimits {
    query: query_limits(),
    lookups: Lookups(50),
    join_level: 2,
    join_entities: 100,
    join_bytes: 1 << 20,
};

const fn query_limits() -> query::Limits {
    query::Limits {
        nodes: 100,
        nesting: 8,
        pattern_chars: 100,
        pattern_bytes: 65_536,
        geometry: crate::geo::Limits { max_vertices: 100, max_text: 10_000 },
    }
}

/// The context of those who subscribe here.
fn context() -> Arc<Context> {
    local(&json!({
        "speed": "https://example.org/speed",
        "name": "https://example.org/name",
        "Vehicle": "https://example.org/Vehicle",
        "place": "https://example.org/place",
        "p": {"@id": "https://example.org/p#", "@prefix": true},
        "fast": "https://example.org/words/fast",
    }))
}

fn local(terms: &Json) -> Arc<Context> {
    Context::local(&Document::from_json(terms)).expect("a context")
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

fn setting() -> Setting {
    Setting {
        id: SubscriptionId::from_trusted("urn:s:1"),
        context: context(),
        context_address: "https://example.org/context.jsonld".into(),
        created_at: at(1),
        modified_at: at(2),
    }
}

fn draft(json: &Json) -> Result<Draft, SubscriptionError> {
    let text = json.to_string();
    let document = Document::parse(text.as_bytes(), &ParseLimits::default()).expect("JSON");
    Draft::accept(&document, &context(), &LIMITS.query)
}

fn read(json: &Json) -> Result<Subscription, SubscriptionError> {
    draft(json)?.read(setting(), &LIMITS)
}

/// The least that a Subscription says, with other members put over it; null takes one away.
fn with(members: Json) -> Json {
    let mut all = json!({
        "type": "Subscription",
        "entities": [{"type": "Vehicle"}],
        "notification": {"endpoint": {"uri": "http://localhost:1/n"}},
    });
    for (name, value) in members.as_object().expect("members") {
        match value {
            Json::Null => drop(all.as_object_mut().expect("members").shift_remove(name)),
            value => all[name] = value.clone(),
        }
    }
    all
}

fn show(subscription: &Subscription, context: &Context) -> Json {
    let showing = Showing { context, context_in_body: false, sys_attrs: false, now: at(10) };
    let mut out = Vec::new();
    showing.write(&mut out, subscription, &DeliveryReport::default());
    serde_json::from_slice(&out).expect("JSON")
}

fn full() -> Json {
    with(json!({
        "id": "urn:s:1",
        "subscriptionName": "ความเร็ว",
        "description": "fast ones",
        "entities": [{"type": "Vehicle", "idPattern": "^urn"}, {"type": "(Vehicle;p:Car)|Bus", "id": ["urn:a:1"]}],
        "watchedAttributes": ["speed", "p:load"],
        "notificationTrigger": ["attributeCreated", "entityDeleted"],
        "q": "speed>5;p:load.unit==fast;name[en]~=\"^A\"",
        "expandValues": "p:load",
        "csf": "p:x==1",
        "scopeQ": "/A/#",
        "geoQ": {"georel": "near;maxDistance==5", "geometry": "Point", "coordinates": [1, 2.0], "geoproperty": "place"},
        "lang": "th,en;q=0.5",
        "datasetId": ["@none", "urn:d:1"],
        "throttling": 0.5,
        "expiresAt": "2030-01-01T00:00:00Z",
        "isActive": false,
        "localOnly": false,
        "splitEntities": true,
        "ngsildConformance": "1.6",
        "jsonldContext": "https://example.org/other.jsonld",
        "ordering": {"orderBy": ["speed;desc", "p:load.name"], "collation": "th"},
        "notification": {
            "pick": ["id", "speed", "p:load{name,p:x}"],
            "format": "concise",
            "sysAttrs": true,
            "showChanges": true,
            "join": "inline",
            "joinLevel": 2,
            "endpoint": {
                "uri": "https://example.org/notify",
                "accept": "application/ld+json",
                "receiverInfo": [{"key": "Authorization", "value": "Bearer x"}],
                "notifierInfo": [{"key": "MQTT-QoS", "value": "1"}],
                "timeout": 500,
                "cooldown": 1000,
            },
        },
    }))
}

#[test]
fn an_updated_entity_is_one_whose_attributes_changed() {
    let updated = Triggers::of(&[Trigger::EntityUpdated]);
    for trigger in Trigger::ALL {
        let expected = !matches!(trigger, Trigger::EntityCreated | Trigger::EntityDeleted);
        assert_eq!(updated.has(trigger), expected, "{}", trigger.word());
        assert_eq!(Trigger::from_word(trigger.word()), Some(trigger));
    }
    assert!(!Triggers::default().meets(Triggers::of(&[Trigger::EntityDeleted])));
}

#[test]
fn every_member_means_something() {
    let all = read(&full()).expect("a subscription");
    let name = |term: &str| context().expand(term).expect("a name");
    assert_eq!(all.watched(), [name("speed"), name("p:load")]);
    assert!(all.triggers().has(Trigger::EntityDeleted));
    assert!(!all.triggers().has(Trigger::AttributeUpdated));
    assert_eq!(all.throttling(), Some(Duration::from_millis(500)));
    assert_eq!(all.plan.select.len(), 2);
    assert!(all.plan.attrs.is_empty(), "entities say whom it is about");
    let types = all.plan.select[1].types.as_ref().expect("types");
    assert!(types.selects(&[name("Vehicle"), name("p:Car")]) && types.selects(&[name("Bus")]));
    assert!(matches!(types, TypeSelection::Of(of) if of.len() == 2));
    assert!(all.plan.filter.is_some() && all.plan.geo.is_some() && all.plan.scope.is_some());
    assert!(all.plan.order.is_some() && all.sources.is_some());
    assert_eq!((all.split_entities, all.local_only, all.is_active), (Some(true), false, false));
    assert_eq!(all.status(at(5)), Status::Paused);
    let expiry = all.expires_at.expect("an expiry");
    assert_eq!(all.status(expiry), Status::Expired);
    let NotificationParams { rendering, show_changes, endpoint } = &all.notification;
    assert!(*show_changes && rendering.sys_attrs && rendering.lang.is_some());
    assert_eq!(rendering.datasets.len(), 2);
    assert_eq!(all.version(), Some(SpecVersion::new(1, 6)));
    assert_eq!(rendering.join.as_ref().map(|join| join.level), Some(2));
    assert_eq!(endpoint.accept, Accept::LdJson);
    assert_eq!(endpoint.timeout, Some(Duration::from_millis(500)));
    assert_eq!(&*endpoint.receiver_info[0].key, "Authorization");
}

#[test]
fn it_is_shown_to_its_owner_as_it_was_sent() {
    let shown = show(&read(&full()).expect("a subscription"), &context());
    let mut expected = full();
    expected["status"] = "paused".into();
    // A selection is written as its language reads it best, lists with braces too.
    expected["entities"][1]["type"] = "(Vehicle;<https://example.org/p#Car>)|Bus".into();
    expected["notification"]["pick"][2] =
        "<https://example.org/p#load>{name,<https://example.org/p#x>}".into();
    expected["expandValues"] = "<https://example.org/p#load>".into();
    assert_eq!(shown, expected);
}

#[test]
fn others_see_it_with_their_names() {
    let all = read(&full()).expect("a subscription");
    let other =
        local(&json!({"v": "https://example.org/speed", "speed": "https://other.org/speed"}));
    let shown = show(&all, &other);
    assert_eq!(shown["entities"][0]["type"], "https://example.org/Vehicle");
    assert_eq!(shown["watchedAttributes"], json!(["v", "https://example.org/p#load"]));
    assert_eq!(shown["notification"]["pick"][1], "v");
    assert_eq!(shown["geoQ"]["geoproperty"], "https://example.org/place");
    assert_eq!(
        shown["q"],
        "v>5;<https://example.org/p#load>.unit==fast;<https://example.org/name>[en]~=\"^A\""
    );
    assert_eq!(shown["ordering"]["orderBy"][0], "v;desc");
    // What they see is the same subscription.
    let mut sent = shown.clone();
    sent.as_object_mut().expect("members").shift_remove("status");
    sent["q"] = shown["q"]
        .as_str()
        .expect("q")
        .replace("==fast", "==\"https://example.org/words/fast\"")
        .into();
    let document = Document::from_json(&sent);
    let again = Draft::accept(&document, &other, &LIMITS.query).expect("accepted");
    let again = again.read(setting(), &LIMITS).expect("a subscription");
    assert_eq!(again.plan, all.plan);
    assert_eq!(again.timing, all.timing);
}

#[test]
fn limits_bind_at_the_door_only() {
    let many = |count: usize| -> Vec<Json> {
        (0..count).map(|n| json!({"type": format!("Type{n}"), "idPattern": "^urn"})).collect()
    };
    let deep = "a{b{c{d}}}==1";
    let sent = with(json!({"entities": many(40), "q": format!("speed>1|{deep}")}));
    let subscription = {
        let text = sent.to_string();
        let document = Document::parse(text.as_bytes(), &ParseLimits::default()).expect("JSON");
        let wide = ReadLimits { join_level: 5, ..LIMITS };
        let draft = Draft::accept(&document, &context(), &wide.query).expect("a subscription");
        draft.read(setting(), &wide).expect("it is within the limits")
    };
    let tight = ReadLimits {
        query: query::Limits { nodes: 3, pattern_chars: 1, ..LIMITS.query },
        join_level: 1,
        ..LIMITS
    };
    let draft = draft(&sent).expect("members");
    assert!(draft.read(setting(), &tight).is_err(), "it would not be taken any more");
    let kept = subscription.record().subscription(context(), &tight).expect("but it is there");
    assert_eq!(kept.plan, subscription.plan);
    assert_eq!(
        show(&kept, &Context::core())["entities"],
        show(&subscription, &Context::core())["entities"]
    );
    let about = subscription.record().subscription_about_sources(context(), &tight);
    assert!(about.is_ok(), "{about:?}");
}

#[test]
fn it_means_the_same_after_it_was_kept() {
    let all = read(&full()).expect("a subscription");
    let record = serde_json::to_string(&all.record()).expect("JSON");
    let record: SubscriptionRecord = serde_json::from_str(&record).expect("a record");
    let again = record.subscription(Context::core(), &LIMITS).expect("a subscription");
    assert_eq!(again.plan, all.plan);
    assert_eq!(again.timing, all.timing);
    assert_eq!((again.created_at, again.modified_at), (all.created_at, all.modified_at));
    assert_eq!(again.context_address, all.context_address);
    assert_eq!(show(&again, &context()), show(&all, &context()));
}

#[test]
fn what_is_wrong_is_named_by_its_path() {
    let endpoint = |members: Json| {
        let mut endpoint = json!({"uri": "http://localhost:1/n"});
        for (name, value) in members.as_object().expect("members") {
            endpoint[name] = value.clone();
        }
        json!({"notification": {"endpoint": endpoint}})
    };
    let params = |members: Json| {
        let mut params = json!({"endpoint": {"uri": "http://localhost:1/n"}});
        for (name, value) in members.as_object().expect("members") {
            params[name] = value.clone();
        }
        json!({ "notification": params })
    };
    for (members, path) in [
        (json!({"type": "Sub"}), "$.type"),
        (json!({"type": null}), "$.type"),
        (json!({"id": ""}), "$.id"),
        (json!({"id": "x"}), "$.id"),
        (json!({"entities": null}), "$.entities"),
        (json!({"entities": []}), "$.entities"),
        (json!({"entities": {}}), "$.entities"),
        (json!({"entities": [{"id": "urn:a:1"}]}), "$.entities[0].type"),
        (json!({"entities": [{"type": "a b"}]}), "$.entities[0].type"),
        (json!({"entities": [{"type": "A", "id": "x"}]}), "$.entities[0].id"),
        (json!({"entities": [{"type": "A", "idPattern": "a**"}]}), "$.entities[0].idPattern"),
        (json!({"entities": [{"type": "*"}], "localOnly": false}), "$.entities"),
        (json!({"watchedAttributes": []}), "$.watchedAttributes"),
        (json!({"watchedAttributes": ["my attr"]}), "$.watchedAttributes[0]"),
        (json!({"watchedAttributes": "speed"}), "$.watchedAttributes"),
        (json!({"timeInterval": 1, "watchedAttributes": ["a"]}), "$.watchedAttributes"),
        (json!({"timeInterval": 1, "throttling": 1}), "$.throttling"),
        (json!({"timeInterval": 0}), "$.timeInterval"),
        (json!({"timeInterval": "1"}), "$.timeInterval"),
        (json!({"timeInterval": 1, "entities": null}), "$.entities"),
        (json!({"throttling": -30}), "$.throttling"),
        (json!({"throttling": 1e300}), "$.throttling"),
        (json!({"notificationTrigger": ["entityChanged"]}), "$.notificationTrigger[0]"),
        (json!({"notificationTrigger": []}), "$.notificationTrigger"),
        (json!({"q": "a>"}), "$.q"),
        (json!({"q": 42}), "$.q"),
        (json!({"q": format!("{}name{}==1", "r{".repeat(3), "}".repeat(3))}), "$.q"),
        (json!({"csf": "(("}), "$.csf"),
        (json!({"scopeQ": "9bad"}), "$.scopeQ"),
        (json!({"geoQ": {"georel": "within"}}), "$.geoQ"),
        (json!({"geoQ": {"georel": "near", "geometry": "Point", "coordinates": [1, 2]}}), "$.geoQ"),
        (json!({"geoQ": {"coordinates": 1}}), "$.geoQ.coordinates"),
        (json!({"geoQ": {"near": 1}}), "$.geoQ.near"),
        (json!({"geoQ": []}), "$.geoQ"),
        (json!({"isActive": "yes"}), "$.isActive"),
        (json!({"expiresAt": "tomorrow"}), "$.expiresAt"),
        (json!({"jsonldContext": "unknownContext"}), "$.jsonldContext"),
        (json!({"lang": "f r"}), "$.lang"),
        (json!({"datasetId": ["x"]}), "$.datasetId[0]"),
        (json!({"datasetId": []}), "$.datasetId"),
        (json!({"temporalQ": {"timerel": "after"}}), "$.temporalQ"),
        (json!({"ngsildConformance": "latest"}), "$.ngsildConformance"),
        (json!({"ordering": {"orderBy": []}}), "$.ordering.orderBy"),
        (json!({"ordering": {"orderBy": ["location;dist-asc"]}}), "$.ordering"),
        (json!({"subscriptionName": ""}), "$.subscriptionName"),
        (json!({"notification": null}), "$.notification"),
        (json!({"notification": {"format": "keyValues"}}), "$.notification.endpoint"),
        (json!({"notification": {"endpoint": null}}), "$.notification.endpoint"),
        (params(json!({"attributes": []})), "$.notification.attributes"),
        (params(json!({"pick": []})), "$.notification.pick"),
        (params(json!({"omit": []})), "$.notification.omit"),
        (params(json!({"pick": ["a;b"]})), "$.notification.pick[0]"),
        (params(json!({"pick": ["id"], "omit": ["id"]})), "$.notification"),
        (params(json!({"pick": ["id"], "attributes": ["speed"]})), "$.notification"),
        (params(json!({"pick": ["r{name}"]})), "$.notification.join"),
        (params(json!({"format": "pretty"})), "$.notification.format"),
        (
            params(json!({"format": "simplified", "showChanges": true})),
            "$.notification.showChanges",
        ),
        (params(json!({"join": "both"})), "$.notification.join"),
        (params(json!({"joinLevel": 1})), "$.notification.joinLevel"),
        (params(json!({"join": "flat", "joinLevel": 0})), "$.notification.joinLevel"),
        (endpoint(json!({"uri": "notify"})), "$.notification.endpoint.uri"),
        (endpoint(json!({"accept": "text/html"})), "$.notification.endpoint.accept"),
        (
            endpoint(json!({"uri": "mqtt://localhost/t", "accept": "application/geo+json"})),
            "$.notification.endpoint.accept",
        ),
        (endpoint(json!({"timeout": 0})), "$.notification.endpoint.timeout"),
        (endpoint(json!({"receiverInfo": {}})), "$.notification.endpoint.receiverInfo"),
        (
            endpoint(json!({"receiverInfo": [{"key": "K", "value": 42}]})),
            "$.notification.endpoint.receiverInfo[0].value",
        ),
        (
            endpoint(json!({"notifierInfo": [{"key": "K"}]})),
            "$.notification.endpoint.notifierInfo[0].value",
        ),
    ] {
        match read(&with(members.clone())) {
            Err(SubscriptionError::Read(error)) => {
                assert_eq!(error.path().to_string(), path, "{members}: {error}");
            }
            other => panic!("{members}: {other:?}"),
        }
    }
    let long = vec!["a"; 200].join(";");
    let error = read(&with(json!({ "q": long }))).expect_err("too long");
    assert!(matches!(error, SubscriptionError::TooComplex(_)), "{error}");
}

#[test]
fn a_query_that_was_escaped_for_a_url_is_understood() {
    for (sent, kept) in [
        ("name==\"Eiffel%20Tower\"", "name==\"Eiffel Tower\""),
        ("name==\"100%\"", "name==\"100%\""),
        ("name==\"%zz\"", "name==\"%zz\""),
        ("name==\"%ff\"", "name==\"%ff\""),
        ("name%3E1", "name>1"),
    ] {
        let subscription = read(&with(json!({ "q": sent }))).expect(sent);
        assert_eq!(show(&subscription, &context())["q"], kept);
    }
}

#[test]
fn what_no_subscription_has_is_left_out() {
    let sent = with(json!({
        "__context": "http://localhost/hijacked.jsonld",
        "status": "expired",
        "createdAt": "2020-01-01T00:00:00Z",
        "expiresAt": null,
        "notification": {
            "timesSent": 42,
            "status": "failed",
            "endpoint": {"uri": "http://localhost:1/n", "secret": 1},
        },
    }));
    let mut expected =
        with(json!({"notificationTrigger": ["attributeCreated", "attributeUpdated"]}));
    expected["id"] = "urn:s:1".into();
    expected["status"] = "active".into();
    expected["jsonldContext"] = "https://example.org/context.jsonld".into();
    assert_eq!(show(&read(&sent).expect("a subscription"), &context()), expected);
    let nothing = with(json!({})).as_object().map(|members| {
        let mut members = members.clone();
        members.insert("expiresAt".into(), Json::Null);
        Json::from(members)
    });
    assert_eq!(read(&nothing.expect("members")).expect("a subscription").expires_at, None);
}

#[test]
fn a_fragment_replaces_members_and_null_takes_them_away() {
    let mut whole = draft(&full()).expect("a draft");
    let other = local(&json!({"speed": "https://other.org/speed"}));
    let fragment = json!({
        "q": "speed<3",
        "throttling": "urn:ngsi-ld:null",
        "scopeQ": null,
        "notification": {"endpoint": {"uri": "http://localhost:2/n"}},
    });
    let fragment = Draft::fragment(&Document::from_json(&fragment), &other, &LIMITS.query);
    whole.amend(fragment.expect("a fragment"));
    let after = whole.read(setting(), &LIMITS).expect("a subscription");
    let shown = show(&after, &other);
    assert_eq!(shown["q"], "speed<3");
    assert_eq!(shown["csf"], "<https://example.org/p#x>==1");
    assert_eq!(shown["notification"], json!({"endpoint": {"uri": "http://localhost:2/n"}}));
    assert_eq!((after.throttling(), after.plan.scope), (None, None));
    assert_eq!(shown["watchedAttributes"][0], "https://example.org/speed");
}

#[test]
fn a_fragment_cannot_take_away_what_is_needed() {
    for (fragment, path) in [
        (json!({"notification": null}), "$.notification"),
        (json!({"type": null}), "$.type"),
        (json!({"notification": {"endpoint": null}}), "$.notification.endpoint"),
        (json!({"entities": null, "watchedAttributes": null}), "$.entities"),
    ] {
        let mut whole = draft(&full()).expect("a draft");
        let fragment = Document::from_json(&fragment);
        whole.amend(Draft::fragment(&fragment, &context(), &LIMITS.query).expect("a fragment"));
        let error = whole.read(setting(), &LIMITS).expect_err(path);
        assert!(error.to_string().starts_with(path), "{error}");
    }
}

#[test]
fn the_report_is_shown_once_something_was_sent() {
    let mut report = DeliveryReport::default();
    report.failed(at(3));
    let showing =
        Showing { context: &context(), context_in_body: true, sys_attrs: true, now: at(10) };
    let mut out = Vec::new();
    showing.write(&mut out, &read(&with(json!({}))).expect("a subscription"), &report);
    let shown: Json = serde_json::from_slice(&out).expect("JSON");
    assert_eq!(
        shown["notification"],
        json!({
            "endpoint": {"uri": "http://localhost:1/n"},
            "status": "failed",
            "timesSent": 1,
            "timesFailed": 1,
            "lastNotification": "1970-01-01T00:00:03Z",
            "lastFailure": "1970-01-01T00:00:03Z",
        })
    );
    assert_eq!(shown["createdAt"], "1970-01-01T00:00:01Z");
    assert_eq!(shown["@context"]["speed"], "https://example.org/speed");
}

#[test]
fn without_entities_those_with_a_watched_attribute_are_meant() {
    let sent = with(json!({"entities": null, "watchedAttributes": ["speed"]}));
    let subscription = read(&sent).expect("a subscription");
    assert_eq!(subscription.plan.attrs.len(), 1);
    let local = with(json!({"entities": null, "localOnly": true}));
    assert!(read(&local).is_ok());
    let periodic = with(json!({"timeInterval": 0.5}));
    let periodic = read(&periodic).expect("a subscription");
    assert_eq!(periodic.timing, Timing::Every(Duration::from_millis(500)));
    assert!(show(&periodic, &context()).get("notificationTrigger").is_none());
}

#[test]
fn only_what_is_watched_and_triggers_is_of_concern() {
    let turned = |term: &str, turn| Turned {
        name: context().expand(term).expect("a name"),
        dataset: None,
        turn,
    };
    let difference = |created, deleted, turns: Vec<Turned>| Difference { created, deleted, turns };
    let updated = || difference(false, false, vec![turned("speed", Turn::Updated)]);
    let created = || difference(true, false, vec![turned("speed", Turn::Created)]);
    let deleted = || difference(false, true, vec![turned("speed", Turn::Deleted)]);
    let empty = || difference(true, false, vec![]);
    for (triggers, watched, expected) in [
        (json!(null), json!(null), [true, true, false, false]),
        (json!(null), json!(["speed"]), [true, true, false, false]),
        (json!(null), json!(["name"]), [false, false, false, false]),
        (json!(["entityCreated"]), json!(null), [false, true, false, true]),
        (json!(["entityCreated"]), json!(["speed"]), [false, true, false, false]),
        (json!(["entityDeleted"]), json!(["name"]), [false, false, false, false]),
        (json!(["entityDeleted"]), json!(null), [false, false, true, false]),
        (json!(["attributeDeleted"]), json!(["speed"]), [false, false, true, false]),
        (json!(["entityUpdated"]), json!(null), [true, true, true, false]),
    ] {
        let members = json!({"notificationTrigger": triggers, "watchedAttributes": watched});
        let subscription = read(&with(members.clone())).expect("a subscription");
        let found = [updated(), created(), deleted(), empty()]
            .map(|difference| subscription.concerns(&difference));
        assert_eq!(found, expected, "{members}");
    }
    assert!(Name::known("https://example.org/speed").is_some());
}
