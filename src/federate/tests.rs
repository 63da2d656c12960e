//! Sources that match, their parts of requests, and how they are told.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use proptest::prelude::*;
use reqwest::Method;
use serde_json::{Value as Json, json};

use super::index::{Clue, Index};
use super::*;
use crate::egress::Budget;
use crate::jsonld::{Context, Document};
use crate::model::{
    AttrName, Attributes, Entity, EntityId, Name, OneOrMany, RegistrationId, Stored, TenantId,
    Timestamp,
};
use crate::query::{Filter, FilterOptions, GeoFilter, GeoParams, Limits, Selector, parse_types};
use crate::represent::registration::{Draft as Accepted, Mode, Operation, ReadLimits, Setting};
use crate::represent::registration::{Registration, Sought};
use crate::represent::subscription::DeliveryReport;

const T: TenantId = TenantId::DEFAULT;

fn context() -> &'static Arc<Context> {
    static CONTEXT: LazyLock<Arc<Context>> = LazyLock::new(|| {
        let local = json!({"Vehicle": "https://example.org/Vehicle",
            "speed": "https://example.org/speed", "brand": "https://example.org/brand"});
        Context::local(&Document::from_json(&local)).expect("a context")
    });
    &CONTEXT
}

fn now() -> Timestamp {
    Timestamp::from_micros(1_800_000_000_000_000)
}

fn name(term: &str) -> AttrName {
    context().expand(term).expect("a name")
}

/// A registration of this id and these members besides the necessary ones.
fn registration(id: &str, members: Json) -> Arc<Registration> {
    let mut all = json!({
        "type": "ContextSourceRegistration",
        "information": [{"entities": [{"type": "Vehicle"}]}],
        "endpoint": format!("http://{id}:9090"),
    });
    for (name, value) in members.as_object().expect("members") {
        all[name] = value.clone();
    }
    let limits = ReadLimits { query: Limits::default(), entries: 1_000 };
    let setting = Setting {
        id: RegistrationId::from_trusted(&format!("urn:r:{id}")),
        created_at: now(),
        modified_at: now(),
    };
    let document = Document::from_json(&all);
    let draft = Accepted::accept(&document, context(), &limits).expect("accepted");
    Arc::new(draft.read(setting, &limits).expect("a registration"))
}

fn register(all: &[(&str, Json)]) -> Register {
    let register = Register::default();
    for (id, members) in all {
        register.put(&T, registration(id, members.clone()), DeliveryReport::default());
    }
    register
}

fn selector(types: Option<&str>, ids: &[&str], pattern: Option<&str>) -> Selector {
    let limits = Limits::default();
    Selector {
        ids: ids.iter().map(|id| EntityId::parse(id).expect("an id")).collect(),
        id_pattern: pattern.map(|text| {
            crate::query::Pattern::parse("idPattern", text, &limits).expect("a pattern")
        }),
        types: types.map(|text| parse_types(text, context(), &limits).expect("types")),
        ..Selector::default()
    }
}

/// What matches, as text: whom, which entities, which attributes.
fn told(register: &Register, want: &Want<'_>, via: &str) -> String {
    let via = Via::parse([via].into_iter());
    let way = Way { via: &via, alias: "me" };
    let matched = register.matching(&T, want, way, now());
    let naming = Naming::of_client(context(), true, &source("any", json!({})));
    let mut lines: Vec<String> = Vec::new();
    for leg in &matched.legs {
        let draft = Draft::new(Method::GET, "/e").selecting(leg, &naming);
        let attributes = leg.attributes.as_ref().map(|all| naming.names(all));
        let params: Vec<String> =
            draft.params.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let id = leg.source.id().trim_start_matches("urn:r:");
        lines.push(format!("{id} {} {}", params.join("&"), attributes.unwrap_or("all".into())));
    }
    let looping = matched.looping.iter().map(|source| format!("{} loops", source.id()));
    lines.extend(looping);
    lines.join("\n")
}

fn source(id: &str, members: Json) -> Source {
    Source::new(registration(id, members), Health::default())
}

#[test]
fn if_not_all_can_be_asked_those_are_who_have_it_for_themselves_or_say_which_entities_they_have() {
    let by_id = json!([{"entities": [{"id": "urn:v:1", "type": "Vehicle"}]}]);
    let like = json!([{"entities": [{"idPattern": "^urn:v:", "type": "Vehicle"}]}]);
    let register = register(&[
        ("a", json!({})),
        ("b", json!({})),
        ("c", json!({"information": like})),
        ("d", json!({"information": by_id})),
        ("e", json!({"mode": "redirect", "operations": ["redirectionOps"]})),
    ]);
    let select = [selector(None, &["urn:v:1"], None)];
    let want = Want { select: &select, ..Want::default() };
    let (via, now) = (Via::default(), now());
    for (most, asked, left) in
        [(1, "e", "abcd"), (3, "ecd", "ab"), (4, "eacd", "b"), (5, "eabcd", "")]
    {
        let mut matched = register.matching(&T, &want, Way { via: &via, alias: "me" }, now);
        matched.limit(most);
        let names = |all: Vec<&str>| {
            all.iter().map(|id| id.trim_start_matches("urn:r:")).collect::<String>()
        };
        assert_eq!(names(matched.legs.iter().map(|leg| leg.source.id()).collect()), asked);
        assert_eq!(names(matched.left_out.iter().map(|one| one.id()).collect()), left);
    }
}

#[test]
fn a_request_is_narrowed_to_what_was_registered() {
    let speed =
        json!([{"entities": [{"id": "urn:v:1", "type": "Vehicle"}], "propertyNames": ["speed"]}]);
    let register = register(&[
        ("one", json!({"information": speed, "mode": "exclusive"})),
        (
            "pattern",
            json!({"information": [{"entities": [{"idPattern": "^urn:v:1.*", "type": ["Vehicle", "Car"]}]}]}),
        ),
        ("type", json!({})),
        (
            "attr",
            json!({"information": [{"propertyNames": ["brand"]}], "mode": "auxiliary", "operations": ["retrieveOps"]}),
        ),
        ("other", json!({"information": [{"entities": [{"type": "Building"}]}]})),
    ]);
    let brand = [name("brand")];
    for (select, attributes, expected) in [
        (
            selector(Some("Vehicle"), &[], None),
            None,
            "one type=Vehicle&id=urn:v:1 speed\npattern type=Vehicle&idPattern=^urn:v:1.* all\ntype type=Vehicle all\nattr type=Vehicle brand",
        ),
        (
            selector(None, &["urn:v:1", "urn:v:2"], None),
            None,
            "one type=Vehicle&id=urn:v:1 speed\nother type=Building&id=urn:v:1,urn:v:2 all\npattern type=Vehicle,Car&id=urn:v:1 all\ntype type=Vehicle&id=urn:v:1,urn:v:2 all\nattr id=urn:v:1,urn:v:2 brand",
        ),
        (
            selector(Some("Vehicle"), &["urn:w:9"], None),
            Some(&brand[..]),
            "type type=Vehicle&id=urn:w:9 brand\nattr type=Vehicle&id=urn:w:9 brand",
        ),
        (selector(Some("Nothing"), &["urn:w:9"], None), None, "attr type=Nothing&id=urn:w:9 brand"),
        (
            selector(Some("Vehicle"), &[], Some("2$")),
            Some(&brand[..]),
            "pattern type=Vehicle&idPattern=2$ brand\ntype type=Vehicle&idPattern=2$ brand\nattr type=Vehicle&idPattern=2$ brand",
        ),
    ] {
        let select = [select];
        let want = Want { select: &select, attributes, ..Want::default() };
        assert_eq!(told(&register, &want, ""), expected, "{select:?}");
    }
}

#[test]
fn sources_that_were_passed_are_not_asked_again() {
    let register = register(&[("a", json!({"contextSourceAlias": "alpha"})), ("b", json!({}))]);
    let want = Want::default();
    assert_eq!(told(&register, &want, "1.1 alpha"), "b type=Vehicle all\nurn:r:a loops");
    assert_eq!(told(&register, &want, "1.1 x, 1.1 me"), "urn:r:a loops\nurn:r:b loops");
    assert_eq!(told(&register, &want, "1.1 beta").lines().count(), 2);
}

#[test]
fn sources_are_left_out_by_their_properties_places_scopes_datasets_and_times() {
    let register = register(&[(
        "a",
        json!({
            "sort": "sensor", "scope": "/A", "datasetId": ["urn:d:1"],
            "location": {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]]},
        }),
    )]);
    let limits = Limits::default();
    let csf = |text| {
        Filter::parse_as("csf", text, context(), &FilterOptions::default(), &limits)
            .expect("a filter")
    };
    let geo = |coordinates| {
        let params = GeoParams {
            georel: Some("near;maxDistance==1000"),
            geometry: Some("Point"),
            coordinates: Some(coordinates),
            geoproperty: None,
        };
        GeoFilter::parse(&params, context(), &limits).expect("right").expect("a geoquery")
    };
    let scope = |text| crate::query::ScopeFilter::parse(text, &limits).expect("a scope query");
    let dataset = |text| Some(crate::model::DatasetId::parse(text).expect("a URI"));
    let (right, wrong) = (csf("sort==\"sensor\""), csf("sort==\"archive\""));
    let (near, far) = (geo("[0.5,0.5]"), geo("[50,50]"));
    let (own, other) = (scope("/A"), scope("/B"));
    let (first, second) = ([dataset("urn:d:1")], [dataset("urn:d:2")]);
    let base = Want::default();
    let history = About::History(None);
    for (want, matches) in [
        (base, true),
        (Want { sources: Some(&right), ..base }, true),
        (Want { sources: Some(&wrong), ..base }, false),
        (Want { geo: Some(&near), ..base }, true),
        (Want { geo: Some(&far), ..base }, false),
        (Want { scope: Some(&own), ..base }, true),
        (Want { scope: Some(&other), ..base }, false),
        (Want { datasets: &first, ..base }, true),
        (Want { datasets: &second, ..base }, false),
        (Want { about: history, ..base }, true),
    ] {
        assert_eq!(!told(&register, &want, "").is_empty(), matches, "{want:?}");
    }
    register.put(
        &T,
        registration("a", json!({"observationInterval": {"startAt": "2026-01-01T00:00:00Z"}})),
        DeliveryReport::default(),
    );
    assert_eq!(told(&register, &base, ""), "");
    assert_ne!(told(&register, &Want { about: history, ..base }, ""), "");
}

#[test]
fn a_write_is_taken_apart_by_the_modes() {
    let information =
        json!([{"entities": [{"id": "urn:v:1", "type": "Vehicle"}], "propertyNames": ["speed"]}]);
    let redirecting = json!([{"entities": [{"type": "Vehicle"}], "propertyNames": ["brand"]}]);
    let all = json!(["redirectionOps"]);
    let exclusive = |operations: &Json| json!({"information": information, "mode": "exclusive", "operations": operations});
    let redirect = json!({"information": redirecting, "mode": "redirect", "operations": all});
    let inclusive = json!({"operations": all});
    let auxiliary = json!({"mode": "auxiliary", "operations": ["retrieveOps"]});
    let names = [name("speed"), name("brand"), name("colour")];
    let split = |sources: &[(&str, Json)], names: &[AttrName]| {
        let register = register(sources);
        let select = [selector(Some("Vehicle"), &["urn:v:1"], None)];
        let want = Want { select: &select, attributes: Some(names), ..Want::default() };
        let via = Via::default();
        let matched = register.matching(&T, &want, Way { via: &via, alias: "me" }, now());
        let split = matched.split(Some(names), &[Operation::CreateEntity]);
        let naming = Naming::of_client(context(), true, &source("any", json!({})));
        let shares = split.shares.iter().map(|share| {
            let own = share.attributes.as_ref().map(|all| naming.names(all));
            let id = share.source.id().trim_start_matches("urn:r:").to_owned();
            let sending = match share.sending {
                Sending::By(_) => "gets",
                Sending::Unsupported => "cannot take",
                Sending::Looping => "loops",
            };
            format!("{id} {sending} {}", own.unwrap_or("all".into()))
        });
        (shares.collect::<Vec<_>>().join("; "), split.rest)
    };
    let sources = [
        ("a", auxiliary),
        ("e", exclusive(&all)),
        ("i", inclusive.clone()),
        ("r", redirect.clone()),
    ];
    let (shares, rest) = split(&sources, &names);
    let colour = name("colour");
    let colour =
        Naming::of_client(context(), true, &source("any", json!({}))).name(colour.as_str());
    assert_eq!(shares, format!("e gets speed; r gets brand; i gets {colour}"));
    assert!(rest.has(name("colour")) && !rest.has(name("speed")) && !rest.has(name("brand")));
    let (shares, rest) = split(&[("e", exclusive(&json!(["queryEntity"])))], &names[..1]);
    assert_eq!((shares.as_str(), rest), ("e cannot take speed", Rest::Nothing));
    let (shares, rest) = split(&[("i", json!({"operations": ["queryEntity"]}))], &names);
    assert_eq!((shares.as_str(), rest), ("", Rest::Whole));
    let two = [("r", redirect.clone()), ("s", redirect)];
    let (shares, rest) = split(&two, &names[1..2]);
    assert_eq!((shares.as_str(), rest), ("r gets brand; s gets brand", Rest::Nothing));
}

#[test]
fn a_question_carries_what_the_registration_wants_and_nothing_of_others() {
    let source = source(
        "a",
        json!({
            "endpoint": "http://source:9090/base/ngsi-ld/v1/",
            "tenant": "theirs",
            "management": {"localOnly": true, "timeout": 200},
            "contextSourceInfo": [
                {"key": "Authorization", "value": "Bearer secret"},
                {"key": "User", "value": "urn:ngsi-ld:request"},
                {"key": "X-Gone", "value": "urn:ngsi-ld:request"},
                {"key": "NGSILD-Tenant", "value": "evil"},
                {"key": "contentType", "value": "application/ld+json"},
            ],
        }),
    );
    let headers = [("user".into(), "abcd".into()), ("cookie".into(), "mine".into())];
    let via = Via::parse(["1.1 before"].into_iter());
    let carriage = Carriage {
        way: Way { via: &via, alias: "me" },
        headers: &headers,
        patience: Duration::from_secs(5),
        most: 1_000,
        budget: &Budget::new(1_000),
        compressed: false,
    };
    let naming = Naming::of_client(context(), true, &source);
    let draft = Draft::new(Method::POST, "/entities")
        .with("q", "a>1&b==\"ก\"")
        .with_object(r#"{"id":"urn:v:1"}"#.to_owned());
    let question = question(&source, &draft, &naming, &carriage);
    assert_eq!(
        question.url,
        "http://source:9090/base/ngsi-ld/v1/entities?q=a%3E1%26b%3D%3D%22%E0%B8%81%22&local=true"
    );
    let sent: Vec<String> =
        question.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    assert_eq!(
        sent,
        [
            "Accept: application/json",
            "Accept-Encoding: identity",
            "Content-Type: application/ld+json",
            "NGSILD-Tenant: theirs",
            "Via: 1.1 before, 1.1 me",
            "Authorization: Bearer secret",
            "User: abcd",
        ]
    );
    let body = question.body.expect("a body");
    let body: Json = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(body["id"], "urn:v:1");
    assert_eq!(body["@context"]["speed"], "https://example.org/speed");
    assert_eq!(question.patience, Duration::from_millis(200));
}

#[test]
fn only_what_was_asked_for_and_is_registered_is_taken_from_an_answer() {
    let information = json!([{"entities": [{"idPattern": "^urn:v:.*", "type": "Vehicle"}], "propertyNames": ["speed", "brand"]}]);
    let register = register(&[("a", json!({"information": information}))]);
    let select = [selector(Some("Vehicle"), &["urn:v:1", "urn:v:2"], None)];
    let speed = [name("speed")];
    let want = Want { select: &select, attributes: Some(&speed), ..Want::default() };
    let via = Via::default();
    let matched = register.matching(&T, &want, Way { via: &via, alias: "me" }, now());
    let [leg] = matched.legs.as_slice() else { panic!("one leg") };
    let entity = |id: &str, kind: &str| Entity {
        id: EntityId::parse(id).expect("an id"),
        types: OneOrMany::One(name(kind)),
        scopes: Vec::new(),
        attributes: ["speed", "brand", "evil"]
            .into_iter()
            .map(|term| {
                let datum = crate::model::Datum::Property(1.into());
                let instance = crate::model::Instance::new(datum);
                (name(term), crate::model::Attribute::one(instance))
            })
            .collect::<Attributes>(),
        created_at: now(),
        modified_at: now(),
        expires_at: None,
    };
    let taken = leg.takes(Stored::passing(entity("urn:v:1", "Vehicle"))).expect("taken");
    assert_eq!(taken.attributes.iter().map(|(own, _)| own).collect::<Vec<_>>(), speed);
    assert!(leg.takes(Stored::passing(entity("urn:v:3", "Vehicle"))).is_none());
    assert!(leg.takes(Stored::passing(entity("urn:v:1", "Person"))).is_none());
}

#[test]
fn registrations_come_and_go() {
    let register = register(&[("a", json!({})), ("b", json!({}))]);
    assert!(register.has(&T) && register.count() == 2);
    let other = TenantId::named("other").expect("a tenant");
    assert!(!register.has(&other));
    let id = RegistrationId::from_trusted("urn:r:a");
    assert!(register.remove(&T, &id).is_some() && register.remove(&T, &id).is_none());
    assert_eq!(told(&register, &Want::default(), ""), "b type=Vehicle all");
    register.put(
        &T,
        registration("b", json!({"expiresAt": "2000-01-01T00:00:00Z"})),
        DeliveryReport::default(),
    );
    assert_eq!(told(&register, &Want::default(), ""), "");
    assert_eq!(source("x", json!({})).mode(), Mode::Inclusive);
}

fn any_information() -> impl Strategy<Value = Json> {
    let entity = (
        proptest::option::of(0u8..3),
        proptest::option::of(prop_oneof![
            Just(("id", "urn:v:1")),
            Just(("id", "urn:v:22")),
            Just(("idPattern", "^urn:v:2.*")),
            Just(("idPattern", "^urn:v:22?$")),
            Just(("idPattern", "1$")),
            Just(("idPattern", "^(urn:v:1|urn:w)")),
        ]),
    )
        .prop_map(|(kind, id)| {
            let mut one = json!({"type": format!("https://example.org/T{}", kind.unwrap_or(0))});
            if let Some((key, text)) = id {
                one[key] = text.into();
            }
            one
        });
    let entities = proptest::option::of(proptest::collection::vec(entity, 1..3));
    let attributes = proptest::option::of(proptest::collection::btree_set(0u8..3, 1..3));
    (entities, attributes).prop_map(|(entities, attributes)| {
        let mut info = json!({});
        if let Some(entities) = &entities {
            info["entities"] = json!(entities);
        }
        match (attributes, entities) {
            (Some(names), _) => {
                let names: Vec<String> =
                    names.iter().map(|n| format!("https://example.org/a{n}")).collect();
                info["propertyNames"] = json!(names);
            }
            (None, None) => info["propertyNames"] = json!(["https://example.org/a0"]),
            (None, Some(_)) => {}
        }
        info
    })
}

proptest! {
    #[test]
    fn whoever_may_have_what_is_sought_is_among_the_candidates(
        all in proptest::collection::vec(proptest::collection::vec(any_information(), 1..3), 1..8),
        types in proptest::option::of(0u8..4),
        ids in proptest::collection::btree_set(prop_oneof![
            Just("urn:v:1"), Just("urn:v:2"), Just("urn:v:22"), Just("urn:w:3"),
        ], 0..3),
        attributes in proptest::option::of(proptest::collection::btree_set(0u8..4, 1..3)),
        gone in 0usize..8,
    ) {
        let mut index = Index::default();
        let all: Vec<_> = all
            .into_iter()
            .enumerate()
            .map(|(n, information)| registration(&n.to_string(), json!({"information": information})))
            .collect();
        for (place, one) in all.iter().enumerate() {
            index.insert(place as u32, one);
        }
        if let Some(one) = all.get(gone) {
            index.remove(gone as u32, one);
        }
        let types = types.map(|n| format!("https://example.org/T{n}"));
        let ids: Vec<&str> = ids.into_iter().collect();
        let select = [selector(types.as_deref(), &ids, None)];
        let names: Option<Vec<Name>> = attributes.map(|all| {
            all.iter().map(|n| Name::intern(&format!("https://example.org/a{n}")).expect("a name")).collect()
        });
        let found = index.candidates(&Clue { select: &select, attributes: names.as_deref() });
        let terms: Vec<_> =
            names.iter().flatten().map(|name| crate::query::Term::known(*name)).collect();
        for (place, one) in all.iter().enumerate() {
            let has = one.has(Sought { select: &select, attrs: &terms });
            if place != gone && has {
                prop_assert!(found.contains(&(place as u32)), "{:?}", one.information);
            }
        }
        prop_assert!(!found.contains(&(gone as u32)));
        prop_assert!(found.is_empty() || index.concerns(&select));
        let all = index.candidates(&Clue { select: &select, attributes: None });
        prop_assert_eq!(!all.is_empty(), index.concerns(&select));
    }
}
