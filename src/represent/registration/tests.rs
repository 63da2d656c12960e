use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::jsonld::{Context, Document};
use crate::model::{Name, TypeSelection};
use crate::query::{Filter, FilterOptions, GeoFilter, GeoParams, Limits, Selector, Term};
use crate::query::{ScopeFilter, WindowParams, parse_types};

fn context() -> &'static Context {
    static CONTEXT: LazyLock<Arc<Context>> = LazyLock::new(|| {
        let local = json!({"p": "https://example.org/p/", "Vehicle": "https://example.org/Vehicle",
            "speed": "https://example.org/speed", "owner": "https://example.org/owner"});
        Context::local(&Document::from_json(&local)).expect("a context")
    });
    &CONTEXT
}

fn limits() -> ReadLimits {
    ReadLimits { query: Limits::default(), entries: 40 }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

fn setting() -> Setting {
    Setting { id: RegistrationId::from_trusted("urn:r:1"), created_at: at(1), modified_at: at(2) }
}

fn accept(json: &Json) -> Result<Draft, RegistrationError> {
    Draft::accept(&Document::from_json(json), context(), &limits())
}

fn read(json: &Json) -> Result<Registration, RegistrationError> {
    accept(json)?.read(setting(), &limits())
}

fn show(registration: &Registration, only: Option<Sought<'_>>) -> Json {
    let showing = Showing { context: context(), context_in_body: false, sys_attrs: false, only };
    let mut out = Vec::new();
    showing.write(&mut out, registration, None);
    serde_json::from_slice(&out).expect("JSON")
}

/// The least that a Registration says, with other members put over it; null takes one away.
fn with(members: Json) -> Json {
    let mut all = json!({
        "type": "ContextSourceRegistration",
        "information": [{"entities": [{"type": "Vehicle"}]}],
        "endpoint": "http://source:9090/",
    });
    for (name, value) in members.as_object().expect("members") {
        match value {
            Json::Null => drop(all.as_object_mut().expect("members").shift_remove(name)),
            value => all[name] = value.clone(),
        }
    }
    all
}

fn full() -> Json {
    with(json!({
        "id": "urn:r:1",
        "registrationName": "โรงไฟฟ้าแม่เมาะ",
        "description": "what the power plant measures",
        "information": [
            {"entities": [{"type": "Vehicle", "id": "urn:v:1"}, {"type": ["p:Car", "Bus"], "idPattern": "^urn:c"}],
             "propertyNames": ["speed", "p:load"], "relationshipNames": ["isParked"]},
            {"entities": [{"type": "Station"}]},
            {"propertyNames": ["p:load"]},
        ],
        "mode": "redirect",
        "operations": ["retrieveOps", "deleteBatch"],
        "tenant": "plant",
        "location": {"type": "Point", "coordinates": [99.72, 18.29]},
        "observationSpace": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [1.0, 2.0]}},
        "scope": ["/MaeMoh/Air", "/Plant"],
        "datasetId": ["@none", "urn:d:1"],
        "managementInterval": {"startAt": "2020-01-01T00:00:00Z", "endAt": "2021-01-01T00:00:00Z"},
        "expiresAt": "2030-01-01T00:00:00Z",
        "refreshRate": "PT15M",
        "management": {"localOnly": true, "cacheDuration": "PT5M", "timeout": 500, "cooldown": 1000},
        "contextSourceAlias": "plant-1",
        "contextSourceInfo": [
            {"key": "accept", "value": "application/json"},
            {"key": "contentType", "value": "application/ld+json"},
            {"key": "jsonldContext", "value": "https://example.org/context.jsonld"},
            {"key": "ngsildConformance", "value": "1.6"},
            {"key": "Authorization", "value": "urn:ngsi-ld:request"},
            {"key": "X-Key", "value": "secret"},
            {"key": "NGSILD-Tenant", "value": "another"},
            {"key": "content-length", "value": "5"},
        ],
        "owner": "EGAT",
        "p:quality": {"type": "Property", "value": 5, "p:by": {"type": "Property", "value": "x"}},
    }))
}

#[test]
fn every_member_means_something() {
    let all = read(&full()).expect("a registration");
    let name = |term: &str| context().expand(term).expect("a name");
    assert_eq!(&*all.endpoint, "http://source:9090");
    assert_eq!((all.mode, all.information.len()), (Mode::Redirect, 3));
    let [first, second, third] = &all.information[..] else { unreachable!() };
    assert_eq!(first.attributes().count(), 3);
    assert_eq!(first.entities[0].types, [name("Vehicle")]);
    assert_eq!(first.entities[1].types, [name("p:Car"), name("Bus")]);
    assert!(second.has_all_attributes() && third.entities.is_empty());
    assert!(all.supports(Operation::QueryEntity) && all.supports(Operation::DeleteBatch));
    assert!(!all.supports(Operation::CreateEntity));
    assert_eq!(all.tenant.as_ref().and_then(TenantId::name), Some("plant"));
    assert_eq!(all.alias.as_deref(), Some("plant-1"));
    assert!(all.location().is_some() && all.is_temporal());
    assert_eq!(all.described.scopes.len(), 2);
    assert_eq!(all.datasets.len(), 2);
    assert_eq!(all.refresh_rate, Some(Duration::from_secs(900)));
    assert_eq!(
        all.management,
        Management {
            local_only: true,
            cache_duration: Some(Duration::from_secs(300)),
            timeout: Some(Duration::from_millis(500)),
            cooldown: Some(Duration::from_secs(1)),
        }
    );
    assert_eq!(all.source.accept, Some(MediaType::Json));
    assert_eq!(all.source.content_type, Some(MediaType::LdJson));
    assert!(all.source.jsonld_context.is_some() && all.source.conformance.is_some());
    let header = |name: &str, value: Option<&str>| SourceHeader {
        name: name.into(),
        value: value.map(Into::into),
    };
    assert_eq!(
        all.source.headers,
        [header("Authorization", None), header("X-Key", Some("secret"))]
    );
    assert!(all.is_alive(at(10)) && !all.is_alive(all.expires_at.expect("an end")));
}

#[test]
fn what_was_given_is_shown_again_and_kept() {
    let all = read(&full()).expect("a registration");
    let mut expected = full();
    expected["p:quality"]["p:by"] = json!({"type": "Property", "value": "x"});
    assert_eq!(show(&all, None), expected);
    let record = all.record();
    let again = record.registration(&limits()).expect("what was kept reads back");
    assert_eq!(show(&again, None), expected);
    assert_eq!((again.created_at, again.modified_at), (at(1), at(2)));
    let entity = record.to_entity().expect("an entity");
    assert_eq!(RegistrationRecord::of_entity(&entity), Some(record));
    // A reader without terms sees the names in full.
    let showing =
        Showing { context: &Context::core(), context_in_body: true, sys_attrs: true, only: None };
    let mut out = Vec::new();
    showing.write(&mut out, &all, None);
    let shown: Json = serde_json::from_slice(&out).expect("JSON");
    assert_eq!(shown["information"][0]["propertyNames"][0], "https://example.org/speed");
    assert_eq!(shown["information"][0]["relationshipNames"][0], "isParked");
    assert_eq!(shown["https://example.org/owner"], "EGAT");
    assert!(shown["createdAt"].is_string() && shown["@context"].is_string());
}

#[test]
fn a_source_says_what_it_supports_or_its_mode_does() {
    for (members, operations) in [
        (json!({}), Operations::FEDERATION),
        (json!({"mode": "auxiliary"}), Operations::RETRIEVE),
        (json!({"operations": ["queryTemporal"]}), Operations::of(&[Operation::QueryTemporal])),
    ] {
        assert_eq!(read(&with(members)).expect("a registration").operations, operations);
    }
}

#[test]
fn what_is_wrong_is_named_by_its_path() {
    for (members, path) in [
        (json!({"type": "Subscription"}), "$.type"),
        (json!({"endpoint": null}), "$.endpoint"),
        (json!({"endpoint": "xxx"}), "$.endpoint"),
        (json!({"information": null}), "$.information"),
        (json!({"information": []}), "$.information"),
        (json!({"information": [{}]}), "$.information[0]"),
        (json!({"information": [{"entities": []}]}), "$.information[0].entities"),
        (json!({"information": [{"entities": [{}]}]}), "$.information[0].entities[0].type"),
        (
            json!({"information": [{"entities": [{"type": "9x"}]}]}),
            "$.information[0].entities[0].type[0]",
        ),
        (
            json!({"information": [{"entities": [{"type": "A", "id": "x"}]}]}),
            "$.information[0].entities[0].id",
        ),
        (
            json!({"information": [{"entities": [{"type": "A", "idPattern": "("}]}]}),
            "$.information[0].entities[0].idPattern",
        ),
        (json!({"information": [{"propertyNames": []}]}), "$.information[0].propertyNames"),
        (json!({"information": [{"attributes": ["x"]}]}), "$.information[0].attributes"),
        (json!({"mode": "shared"}), "$.mode"),
        (json!({"operations": ["everything"]}), "$.operations[0]"),
        (json!({"operations": []}), "$.operations"),
        (json!({"mode": "auxiliary", "operations": ["federationOps"]}), "$.operations"),
        (json!({"mode": "exclusive"}), "$.information[0].entities"),
        (
            json!({"mode": "exclusive", "information": [{"entities": [{"type": "A", "id": "urn:a:1"}]}]}),
            "$.information[0]",
        ),
        (json!({"contextSourceInfo": [{"key": "X", "value": 1}]}), "$.contextSourceInfo[0].value"),
        (json!({"contextSourceInfo": [{"key": "X"}]}), "$.contextSourceInfo[0].value"),
        (
            json!({"contextSourceInfo": [{"key": "X Y", "value": "1"}]}),
            "$.contextSourceInfo[0].key",
        ),
        (
            json!({"contextSourceInfo": [{"key": "X", "value": "a\r\nb"}]}),
            "$.contextSourceInfo[0].value",
        ),
        (
            json!({"contextSourceInfo": [{"key": "accept", "value": "text/html"}]}),
            "$.contextSourceInfo[0].value",
        ),
        (json!({"contextSourceAlias": "a b"}), "$.contextSourceAlias"),
        (json!({"tenant": "a b"}), "$.tenant"),
        (json!({"location": {"type": "Point"}}), "$.location"),
        (json!({"location": "here"}), "$.location"),
        (json!({"scope": "9"}), "$.scope"),
        (json!({"datasetId": ["x"]}), "$.datasetId[0]"),
        (json!({"observationInterval": {}}), "$.observationInterval.startAt"),
        (
            json!({"observationInterval": {"startAt": "2020-01-01T00:00:00Z", "endAt": "2019-01-01T00:00:00Z"}}),
            "$.observationInterval.endAt",
        ),
        (json!({"expiresAt": "tomorrow"}), "$.expiresAt"),
        (json!({"refreshRate": "often"}), "$.refreshRate"),
        (json!({"management": "yes"}), "$.management"),
        (json!({"management": {"cooldown": 0}}), "$.management.cooldown"),
        (json!({"management": {"cacheDuration": "bogus"}}), "$.management.cacheDuration"),
        (json!({"registrationName": ""}), "$.registrationName"),
        (json!({"owner": {"type": "Property"}}), "$.owner"),
    ] {
        match read(&with(members.clone())) {
            Err(RegistrationError::Read(error)) => {
                assert!(error.path().to_string().starts_with(path), "{members}: {error}");
            }
            other => panic!("{members}: {other:?}"),
        }
    }
}

#[test]
fn entries_are_counted_wherever_they_stand() {
    let names: Vec<String> = (0..60).map(|n| format!("a{n}")).collect();
    let error = read(&with(json!({"information": [{"propertyNames": names}]}))).expect_err("many");
    assert!(error.to_string().contains("registration_entries"), "{error}");
    let ring: Vec<[f64; 2]> = (0..60).map(|n| [f64::from(n), 1.0]).collect();
    let line = json!({"location": {"type": "LineString", "coordinates": ring}});
    assert!(read(&with(line)).is_ok(), "a geometry has a limit of its own");
}

#[test]
fn a_fragment_replaces_members_and_takes_some_away() {
    let mut draft = accept(&full()).expect("members");
    let fragment =
        json!({"endpoint": "http://new:1", "expiresAt": null, "owner": "urn:ngsi-ld:null"});
    let fragment = Draft::fragment(&Document::from_json(&fragment), context(), &limits());
    let fragment = fragment.expect("a fragment");
    assert_eq!(fragment.expires_at(), Ok(None), "nothing is said of when it ends");
    draft.amend(fragment);
    let changed = draft.read(setting(), &limits()).expect("a registration");
    assert_eq!((&*changed.endpoint, changed.expires_at), ("http://new:1", None));
    assert!(show(&changed, None).get("owner").is_none());
    let mandatory = json!({"information": null});
    let fragment = Draft::fragment(&Document::from_json(&mandatory), context(), &limits());
    draft.amend(fragment.expect("a fragment"));
    assert!(draft.read(setting(), &limits()).is_err());
}

fn selector(ids: &[&str], pattern: Option<&str>, types: Option<&str>) -> Selector {
    let limits = Limits::default();
    let pattern = pattern.map(|text| Pattern::parse("idPattern", text, &limits));
    Selector {
        ids: ids.iter().map(|id| EntityId::parse(id).expect("a URI")).collect(),
        id_pattern: pattern.transpose().expect("a pattern"),
        types: types.map(|text| parse_types(text, context(), &limits).expect("types")),
        ..Selector::default()
    }
}

#[test]
fn a_source_has_what_one_of_its_entries_tells_of() {
    let all = read(&full()).expect("a registration");
    let term = |term: &str| Term::known(context().expand(term).expect("a name"));
    for (select, attrs, expected) in [
        (vec![], vec![], vec![0, 1, 2]),
        (vec![selector(&[], None, Some("Vehicle"))], vec![], vec![0, 2]),
        (vec![selector(&[], None, Some("Bus"))], vec![], vec![0, 2]),
        (vec![selector(&[], None, Some("*"))], vec![], vec![0, 1, 2]),
        (vec![selector(&["urn:v:1"], None, Some("Vehicle"))], vec![], vec![0, 2]),
        (vec![selector(&["urn:v:2"], None, Some("Vehicle"))], vec![], vec![2]),
        (vec![selector(&["urn:c:9"], None, Some("Bus"))], vec![], vec![0, 2]),
        (vec![selector(&["urn:s:9"], None, None)], vec![], vec![1, 2]),
        (vec![selector(&[], Some("^urn:v"), Some("Vehicle"))], vec![], vec![0, 2]),
        (vec![selector(&[], Some("^nothing"), Some("Vehicle"))], vec![], vec![2]),
        (vec![selector(&[], Some("^nothing"), Some("Bus"))], vec![], vec![0, 2]),
        (vec![], vec![term("speed")], vec![0, 1]),
        (vec![], vec![term("p:load")], vec![0, 1, 2]),
        (vec![], vec![term("isParked"), term("unheard")], vec![0, 1]),
        (vec![selector(&[], None, Some("Vehicle"))], vec![term("speed")], vec![0]),
    ] {
        let sought = Sought { select: &select, attrs: &attrs };
        let found: Vec<usize> =
            (0..3).filter(|place| sought.is_in(&all.information[*place])).collect();
        assert_eq!(found, expected, "{select:?} {attrs:?}");
        assert_eq!(all.has(sought), !expected.is_empty());
        assert_eq!(all.relevant(sought).count(), expected.len());
    }
}

#[test]
fn only_what_is_relevant_is_shown_on_demand() {
    let all = read(&full()).expect("a registration");
    let select = [selector(&[], None, Some("Bus"))];
    let attrs = [Term::known(context().expand("speed").expect("a name"))];
    let shown = show(&all, Some(Sought { select: &select, attrs: &attrs }));
    let entities = json!([{"type": ["p:Car", "Bus"], "idPattern": "^urn:c"}]);
    assert_eq!(shown["information"].as_array().map(Vec::len), Some(1));
    assert_eq!(shown["information"][0]["entities"], entities);
    let station = [selector(&[], None, Some("Station"))];
    let shown = show(&all, Some(Sought { select: &station, attrs: &[] }));
    assert_eq!(shown["information"][0]["entities"], json!([{"type": ["Station"]}]));
}

#[test]
fn filters_of_sources_ask_for_properties_places_scopes_and_times() {
    let parse = |text: &str| {
        Filter::parse_as("csf", text, context(), &FilterOptions::default(), &Limits::default())
    };
    let csf = |text: &str| SourceFilter {
        conditions: vec![parse(text).expect("a filter")],
        ..SourceFilter::default()
    };
    let latest = read(&{
        let mut all = full();
        all.as_object_mut().expect("members").shift_remove("managementInterval");
        all
    });
    let latest = latest.expect("a registration");
    let geo = |coordinates, property| {
        let params = GeoParams {
            georel: Some("near;maxDistance==2000"),
            geometry: Some("Point"),
            coordinates: Some(coordinates),
            geoproperty: property,
        };
        let geo = GeoFilter::parse(&params, context(), &Limits::default()).expect("a geoquery");
        SourceFilter { geo, ..SourceFilter::default() }
    };
    let scope = |text| SourceFilter {
        scope: Some(ScopeFilter::parse(text, &Limits::default()).expect("a scope query")),
        ..SourceFilter::default()
    };
    for (filter, expected) in [
        (SourceFilter::default(), true),
        (csf("owner==\"EGAT\""), true),
        (csf("owner==\"PEA\""), false),
        (csf("p:quality>4;p:quality.p:by==\"x\""), true),
        (csf("endpoint==\"http://source:9090/\""), true),
        (csf("contextSourceAlias==\"plant-1\""), true),
        (csf("nothing"), false),
        (geo("[99.72,18.29]", None), true),
        (geo("[1,2]", None), false),
        (geo("[1,2]", Some("observationSpace")), true),
        (geo("[1,2]", Some("operationSpace")), false),
        (scope("/MaeMoh/#"), true),
        (scope("/Berlin"), false),
    ] {
        assert_eq!(filter.admits(&latest, at(10)), expected, "{filter:?}");
    }
    assert!(!SourceFilter::default().admits(&latest, latest.expires_at.expect("an end")));
}

#[test]
fn sources_of_history_are_asked_for_a_time_only() {
    let history = read(&full()).expect("a registration");
    let window = |timerel, time_at, end_time_at, time_property| {
        let params = WindowParams { timerel, time_at, end_time_at, time_property };
        SourceFilter {
            window: Window::parse(&params).expect("a window"),
            ..SourceFilter::default()
        }
    };
    let (early, inside, late) =
        (Some("2019-06-01T00:00:00Z"), Some("2020-06-01T00:00:00Z"), Some("2022-01-01T00:00:00Z"));
    let modified = Some("modifiedAt");
    for (filter, expected) in [
        (SourceFilter::default(), false),
        (window(Some("before"), late, None, modified), true),
        (window(Some("before"), early, None, modified), false),
        (window(Some("after"), inside, None, modified), true),
        (window(Some("after"), late, None, modified), false),
        (window(Some("between"), early, inside, modified), true),
        (window(Some("between"), early, Some("2019-07-01T00:00:00Z"), modified), false),
        (window(Some("before"), late, None, None), false),
    ] {
        assert_eq!(filter.admits(&history, at(10)), expected, "{filter:?}");
    }
}

fn claiming(mode: &str, information: Json) -> Registration {
    read(&with(json!({"mode": mode, "information": [information]}))).expect("a registration")
}

#[test]
fn nobody_claims_what_another_has_for_itself() {
    let own =
        json!({"entities": [{"type": "Vehicle", "id": "urn:v:1"}], "propertyNames": ["speed"]});
    let exclusive = claiming("exclusive", own.clone());
    for (mode, information, conflict) in [
        ("exclusive", own.clone(), true),
        ("redirect", own.clone(), true),
        ("inclusive", own.clone(), false),
        ("auxiliary", own, false),
        ("redirect", json!({"entities": [{"type": "Vehicle"}]}), true),
        ("redirect", json!({"entities": [{"type": "Building"}]}), false),
        ("redirect", json!({"entities": [{"type": "Vehicle", "idPattern": "^urn:v"}]}), true),
        ("redirect", json!({"entities": [{"type": "Vehicle", "idPattern": "^urn:w"}]}), false),
        ("redirect", json!({"propertyNames": ["speed"]}), true),
        ("redirect", json!({"propertyNames": ["other"]}), false),
        ("redirect", json!({"relationshipNames": ["speed"]}), true),
    ] {
        let other = claiming(mode, information.clone());
        assert_eq!(other.conflicts_with(&exclusive), conflict, "{mode} {information}");
        assert_eq!(exclusive.conflicts_with(&other), conflict, "{mode} {information}");
    }
    let redirect = claiming("redirect", json!({"entities": [{"type": "Vehicle"}]}));
    assert!(!redirect.conflicts_with(&redirect), "several may redirect");
}

#[test]
fn only_who_has_something_alone_lays_claim_to_what_is_here() {
    let information =
        json!({"entities": [{"type": "Vehicle", "id": "urn:v:1"}], "propertyNames": ["speed"]});
    assert!(claiming("inclusive", information.clone()).claims().is_empty());
    let plans = claiming("exclusive", information).claims();
    let [plan] = &plans[..] else { panic!("{plans:?}") };
    assert_eq!(plan.select[0].ids, [EntityId::parse("urn:v:1").expect("a URI")]);
    let vehicle = context().expand("Vehicle").expect("a name");
    assert_eq!(plan.select[0].types, Some(TypeSelection::of(vehicle)));
    assert_eq!(plan.attrs[0].name(), Name::known("https://example.org/speed"));
}

proptest! {
    #[test]
    fn no_document_makes_the_reader_panic(members in arbitrary()) {
        let mut all = full();
        for (name, value) in members {
            all[name] = value;
        }
        if let Ok(registration) = read(&all) {
            let again = registration.record().registration(&limits()).expect("it was read before");
            prop_assert_eq!(show(&again, None), show(&registration, None));
        }
    }
}

fn arbitrary() -> impl Strategy<Value = Vec<(String, Json)>> {
    let names: Vec<String> = full().as_object().expect("members").keys().cloned().collect();
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i32>().prop_map(Json::from),
        "[a-zA-Z:/_. ]{0,12}".prop_map(Json::from),
        Just(json!("urn:ngsi-ld:null")),
        Just(json!({"type": "Vehicle"})),
    ];
    let value = leaf.prop_recursive(3, 12, 3, |inner| {
        let key = prop::sample::select(vec!["type", "value", "entities", "id", "key", "startAt"]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Json::from),
            prop::collection::vec((key, inner), 0..3).prop_map(|members| {
                members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
            }),
        ]
    });
    prop::collection::vec((prop::sample::select(names), value), 1..4)
}
