//! `/temporal/entities` and what is below (5.6.11 to 5.6.16, 5.7.3, 5.7.4).

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use serde_json::{Value, json};

use crate::support::{Answer, TestBroker};

const ID: &str = "urn:ngsi-ld:Station:MaeMoh";
const PATH: &str = "/temporal/entities/urn:ngsi-ld:Station:MaeMoh";
const ALL: &str = "timerel=after&timeAt=2026-01-01T00:00:00Z";

fn reading(value: impl Into<Value>, hour: u32) -> Value {
    json!({
        "type": "Property",
        "value": value.into(),
        "unitCode": "GQ",
        "observedAt": format!("2026-01-01T{hour:02}:00:00Z"),
    })
}

async fn with_station() -> TestBroker {
    let broker = TestBroker::with(|config| config.limits.temporal_instances = 6).await;
    tell(&broker, ID, json!({"pm25": [reading(10, 0), reading(30, 1), reading(50, 2)]})).await;
    broker
}

async fn tell(broker: &TestBroker, id: &str, mut attributes: Value) {
    attributes["id"] = id.into();
    attributes["type"] = "Station".into();
    let answer = broker.body("POST", "/temporal/entities", attributes).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    assert_eq!(answer.header("location"), format!("/ngsi-ld/v1/temporal/entities/{id}"));
}

/// The values of an attribute, in the order of an answer.
fn values(answer: &Answer, attribute: &str) -> Vec<Value> {
    let json = answer.json();
    let json = if json.is_array() { json[0].clone() } else { json };
    let instances = json[attribute].as_array().cloned().unwrap_or_default();
    instances.iter().map(|instance| instance["value"].clone()).collect()
}

async fn wait_a_millisecond() {
    tokio::time::sleep(std::time::Duration::from_millis(2)).await;
}

#[actix_web::test]
async fn what_was_told_comes_back_in_the_order_of_time() {
    let broker = with_station().await;
    let late = json!({"pm25": [reading(20, 1), {"type": "Property", "value": 7, "datasetId": "urn:x:d",
        "observedAt": "2026-01-01T00:30:00Z"}]});
    let answer = broker.body("POST", &format!("{PATH}/attrs"), late).await;
    assert_eq!((answer.status, answer.text.as_str()), (204, ""));
    let answer = broker.get(PATH).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(values(&answer, "pm25"), [json!(10), json!(7), json!(20), json!(50)]);
    let first = &answer.json()["pm25"][0];
    assert!(first["instanceId"].as_str().expect("an id").starts_with("urn:ngsi-ld:Instance:"));
    assert_eq!(first["unitCode"], "GQ");
    assert!(first.get("createdAt").is_none());
    let stamped = broker.get(&format!("{PATH}?options=sysAttrs")).await.json();
    assert!(stamped["pm25"][0]["createdAt"].is_string() && stamped["createdAt"].is_string());
    let default = broker.get(&format!("{PATH}?datasetId=@none")).await;
    assert_eq!(values(&default, "pm25"), [json!(10), json!(20), json!(50)]);
}

#[actix_web::test]
async fn the_newest_reading_is_how_the_entity_is() {
    let broker = with_station().await;
    assert_eq!(broker.values(ID).await["pm25"], json!(50));
    let late = json!({"pm25": [reading(1, 1)]});
    assert_eq!(broker.body("POST", &format!("{PATH}/attrs"), late).await.status, 204);
    assert_eq!(broker.values(ID).await["pm25"], json!(50));
    let next = json!({"pm25": [reading(70, 3)]});
    assert_eq!(broker.body("POST", &format!("{PATH}/attrs"), next).await.status, 204);
    assert_eq!(broker.values(ID).await["pm25"], json!(70));
}

#[actix_web::test]
async fn what_the_core_api_does_is_remembered() {
    let broker = TestBroker::start().await;
    broker
        .has(json!({"id": ID, "type": "Station", "scope": "/A",
        "pm25": {"type": "Property", "value": 1}, "pm10": {"type": "Property", "value": 5}}))
        .await;
    wait_a_millisecond().await;
    let core = format!("/entities/{ID}");
    let patch = json!({"pm25": {"type": "Property", "value": 2}, "scope": "/B"});
    assert_eq!(broker.body("PATCH", &core, patch).await.status, 204);
    wait_a_millisecond().await;
    assert_eq!(broker.delete(&format!("{core}/attrs/pm10")).await.status, 204);
    let answer = broker.get(PATH).await;
    assert_eq!(values(&answer, "pm25"), [json!(1), json!(2)]);
    assert_eq!(values(&answer, "pm10"), [json!(5), json!("urn:ngsi-ld:null")]);
    assert_eq!(values(&answer, "scope"), [json!("/A"), json!("/B")]);
    let deleted = broker.get(&format!("{PATH}?timeproperty=deletedAt")).await.json();
    assert!(deleted["pm10"][0]["deletedAt"].is_string(), "{deleted}");
    assert!(deleted.get("pm25").is_none());
    assert_eq!(broker.delete(&core).await.status, 204);
    let gone = broker.get(PATH).await.json();
    assert!(gone["deletedAt"].is_string(), "{gone}");
}

#[actix_web::test]
async fn windows_restrict_what_is_told_and_what_is_found() {
    let broker = with_station().await;
    for (window, expected) in [
        ("timerel=before&timeAt=2026-01-01T01:00:00Z", vec![10]),
        ("timerel=after&timeAt=2026-01-01T01:00:00Z", vec![30, 50]),
        ("timerel=between&timeAt=2026-01-01T01:00:00Z&endTimeAt=2026-01-01T02:00:00Z", vec![30]),
        ("timerel=after&timeAt=2026-01-01T00:00:00Z&lastN=2", vec![30, 50]),
    ] {
        let answer = broker.get(&format!("{PATH}?{window}")).await;
        assert_eq!(values(&answer, "pm25"), expected, "{window}");
        let answer = broker.get(&format!("/temporal/entities?type=Station&{window}")).await;
        assert_eq!(values(&answer, "pm25"), expected, "{window}");
    }
    let nothing = broker.get(&format!("{PATH}?timerel=after&timeAt=2027-01-01T00:00:00Z")).await;
    assert_eq!((nothing.status, nothing.json()), (200, json!({"id": ID, "type": "Station"})));
    let query = "/temporal/entities?type=Station&timerel=after&timeAt=2027-01-01T00:00:00Z";
    assert_eq!(broker.get(query).await.json(), json!([]));
    for (q, found) in [("pm25>40", 1), ("pm25>60", 0), ("!pm10", 1), ("pm25==10..20", 1)] {
        let q = q.replace('>', "%3E").replace('=', "%3D");
        let answer =
            broker.get(&format!("/temporal/entities?q={q}&type=Station&{ALL}&count=true")).await;
        assert_eq!(answer.header("ngsild-results-count"), found.to_string(), "{q} {}", answer.text);
    }
}

#[actix_web::test]
async fn values_and_aggregates_have_forms_of_their_own() {
    let broker = with_station().await;
    let answer = broker.get(&format!("{PATH}?format=temporalValues&pick=pm25&lastN=1")).await;
    assert_eq!(
        answer.json(),
        json!({"pm25": {"type": "Property", "values": [[50, "2026-01-01T02:00:00Z"]]}})
    );
    let query = "format=aggregatedValues&aggrMethods=avg,max&aggrPeriodDuration=PT2H&pick=pm25";
    let answer = broker.get(&format!("{PATH}?{query}&{ALL}")).await;
    let (a, b, c) = ("2026-01-01T00:00:00Z", "2026-01-01T02:00:00Z", "2026-01-01T04:00:00Z");
    assert_eq!(
        answer.json(),
        json!({"pm25": {
            "type": "Property",
            "avg": [[20, a, b], [50, b, c]],
            "max": [[30, a, b], [50, b, c]],
        }})
    );
}

#[actix_web::test]
async fn too_much_is_cut_at_a_common_time_and_says_so() {
    let broker = with_station().await;
    let more: Vec<Value> = (0..5).map(|hour| reading(hour, 2 * hour)).collect();
    let answer = broker.body("POST", &format!("{PATH}/attrs"), json!({ "pm10": more })).await;
    assert_eq!(answer.status, 204);
    // Eight instances, and six are told: pm25 at 0, 1, 2 and pm10 at 0, 2, 4 o'clock.
    let forwards = broker.get(&format!("{PATH}?{ALL}")).await;
    assert_eq!(forwards.status, 206);
    assert_eq!(
        forwards.header("content-range"),
        "date-time 2026-01-01T00:00:00Z-2026-01-01T04:00:00Z/*"
    );
    assert_eq!(values(&forwards, "pm10"), [json!(0), json!(1), json!(2)]);
    let backwards =
        broker.get(&format!("{PATH}?timerel=before&timeAt=2026-01-02T00:00:00Z&lastN=9")).await;
    assert_eq!(backwards.status, 206);
    assert_eq!(
        backwards.header("content-range"),
        "date-time 2026-01-02T00:00:00Z-2026-01-01T01:00:00Z/9"
    );
    assert_eq!(values(&backwards, "pm25"), [json!(30), json!(50)]);
}

#[actix_web::test]
async fn instances_are_changed_and_deleted_by_their_ids() {
    let broker = with_station().await;
    let before = broker.get(&format!("{PATH}?options=sysAttrs")).await.json();
    let id = before["pm25"][1]["instanceId"].as_str().expect("an id").to_owned();
    let instance = format!("{PATH}/attrs/pm25/{id}");
    let patch = json!({"pm25": [{"type": "Property", "value": 33}]});
    assert_eq!(broker.body("PATCH", &instance, patch).await.status, 204);
    let after = broker.get(&format!("{PATH}?options=sysAttrs")).await.json();
    let (old, new) = (&before["pm25"][1], &after["pm25"][1]);
    assert_eq!((&new["value"], &new["observedAt"]), (&json!(33), &old["observedAt"]));
    assert_eq!((&new["instanceId"], &new["createdAt"]), (&old["instanceId"], &old["createdAt"]));
    assert_ne!(new["modifiedAt"], old["modifiedAt"]);
    assert_eq!(broker.delete(&instance).await.status, 204);
    assert_eq!(broker.delete(&instance).await.status, 404);
    assert_eq!(values(&broker.get(PATH).await, "pm25"), [json!(10), json!(50)]);
    assert_eq!(broker.delete(&format!("{PATH}/attrs/pm25/nonsense")).await.status, 400);
    assert_eq!(broker.delete(&format!("{PATH}/attrs/pm25")).await.status, 204);
    assert_eq!(broker.delete(&format!("{PATH}/attrs/pm25")).await.status, 404);
    assert_eq!(broker.delete(PATH).await.status, 204);
    assert_eq!(broker.get(PATH).await.status, 404);
    assert_eq!(broker.delete(PATH).await.status, 404);
}

#[actix_web::test]
async fn an_answer_is_given_again_until_anything_changes() {
    let broker = with_station().await;
    let path = format!("{PATH}?attrs=pm25&lastN=2&format=temporalValues&options=sysAttrs");
    let mut before = String::new();
    let changes = [
        ("nothing", "POST", "/temporal/entities".to_owned(), Value::Null),
        ("a late reading", "POST", format!("{PATH}/attrs"), json!({"pm25": [reading(20, 3)]})),
        (
            "a write",
            "PATCH",
            format!("/entities/{ID}/attrs/pm25"),
            json!({"type": "Property", "value": 60, "observedAt": "2026-01-01T05:00:00Z"}),
        ),
        (
            "a batch",
            "POST",
            "/entityOperations/merge".to_owned(),
            json!([{"id": ID, "pm25": reading(70, 6)}]),
        ),
        ("another attribute", "PATCH", format!("/entities/{ID}"), json!({"pm10": reading(1, 1)})),
        ("a deletion", "DELETE", format!("/entities/{ID}/attrs/pm25"), Value::Null),
        ("the end", "DELETE", format!("/entities/{ID}"), Value::Null),
    ];
    for (what, method, path_of_change, body) in changes {
        wait_a_millisecond().await;
        let done = match (method, &body) {
            ("POST", Value::Null) => 204,
            ("DELETE", _) => broker.delete(&path_of_change).await.status,
            _ => broker.body(method, &path_of_change, body).await.status,
        };
        assert_eq!(done, 204, "{what}");
        let first = broker.get(&path).await;
        let second = broker.get(&path).await;
        assert_eq!((first.status, &first.text), (200, &second.text), "{what}");
        assert_eq!(first.header("link"), second.header("link"));
        assert_ne!(first.text, before, "{what}");
        before = first.text;
    }
    let cut = broker.get(PATH).await;
    assert_eq!(
        (cut.status, cut.header("content-range")),
        (206, broker.get(PATH).await.header("content-range"))
    );
}

#[actix_web::test]
async fn a_body_asks_what_a_url_asks() {
    let broker = with_station().await;
    let query = json!({
        "type": "Query",
        "entities": [{"type": "Station"}],
        "temporalQ": {"timerel": "after", "timeAt": "2026-01-01T01:00:00Z"},
    });
    let path = "/temporal/entityOperations/query";
    let answer = broker.body("POST", path, query.clone()).await;
    assert_eq!(values(&answer, "pm25"), [json!(30), json!(50)]);
    let mut aggregated = query.clone();
    aggregated["aggrParams"] = json!({"aggrMethods": ["sum"]});
    let answer = broker.body("POST", path, aggregated).await.json();
    assert_eq!(answer[0]["pm25"]["sum"][0][0], json!(80), "{answer}");
    let mut without = query;
    without["temporalQ"] = Value::Null;
    assert_eq!(broker.body("POST", path, without).await.status, 400);
}

#[actix_web::test]
async fn a_table_has_a_row_for_each_instance() {
    let broker = with_station().await;
    // More than one answer holds: the table goes on all the same.
    let more: Vec<Value> = (3..20).map(|hour| reading(hour, hour)).collect();
    broker.body("POST", &format!("{PATH}/attrs"), json!({ "pm25": more })).await;
    let query = format!("/temporal/entities?type=Station&{ALL}");
    let csv = broker.request("GET", &query).header("accept", "text/csv");
    let csv = broker.send(csv).await;
    assert_eq!(
        (csv.status, csv.header("content-type")),
        (200, "text/csv; charset=utf-8; header=present")
    );
    let rows: Vec<&str> = csv.text.lines().collect();
    assert_eq!(
        rows[0],
        "id,type,attribute,datasetId,observedAt,value,text,unitCode,deletedAt,instanceId"
    );
    assert_eq!(rows.len(), 21);
    assert!(rows[1].starts_with(
        "urn:ngsi-ld:Station:MaeMoh,Station,pm25,,2026-01-01T00:00:00Z,10,,GQ,,urn:ngsi-ld:Instance:"
    ));
    assert!(rows[20].contains("2026-01-01T19:00:00Z,19,"), "{}", rows[20]);
    let arrow =
        broker.request("GET", &query).header("accept", "application/vnd.apache.arrow.stream");
    let bytes = arrow.send().await.expect("an answer").bytes().await.expect("a body");
    let reader = arrow_ipc::reader::StreamReader::try_new(std::io::Cursor::new(bytes), None);
    let batches: Vec<_> = reader.expect("a stream").collect::<Result<_, _>>().expect("batches");
    let numbers = batches.iter().flat_map(|batch| {
        let column = batch.column_by_name("value").expect("a column");
        column.as_primitive::<Float64Type>().values().to_vec()
    });
    let numbers: Vec<f64> = numbers.collect();
    assert_eq!((numbers.len(), numbers[0], numbers[19]), (20, 10.0, 19.0));
    let days = format!(
        "{query}&format=aggregatedValues&aggrMethods=avg,totalCount&aggrPeriodDuration=P1D"
    );
    let csv = broker.send(broker.request("GET", &days).header("accept", "text/csv")).await;
    let rows: Vec<&str> = csv.text.lines().collect();
    assert_eq!(rows[0], "id,type,attribute,datasetId,from,to,avg,totalCount");
    assert_eq!(rows[1].split(',').next_back(), Some("20"), "{}", csv.text);
}

#[actix_web::test]
async fn mistakes_get_a_clear_problem() {
    let broker = with_station().await;
    tell(&broker, "urn:ngsi-ld:Station:2", json!({"mixed": [reading(1, 0), reading("x", 1)]}))
        .await;
    let between = "timerel=between&timeAt=2026-01-01T00:00:00Z&endTimeAt=";
    for (query, status, problem) in [
        ("type=Station".to_owned(), 400, "BadRequestData"),
        ("type=Station&timerel=after".to_owned(), 400, "BadRequestData"),
        (format!("type=Station&{between}2025-01-01T00:00:00Z"), 400, "BadRequestData"),
        (format!("type=Station&{ALL}&timeproperty=seenAt"), 400, "BadRequestData"),
        (format!("type=Station&{ALL}&lastN=0"), 400, "BadRequestData"),
        (format!("type=Station&{ALL}&lastN=99999999999999999999999"), 400, "BadRequestData"),
        (ALL.to_owned(), 400, "BadRequestData"),
        (format!("type=Station&{ALL}&orderBy=pm25"), 400, "BadRequestData"),
        (format!("type=Station&{ALL}&pick=a{{b}}"), 400, "BadRequestData"),
        (format!("type=Station&{ALL}&format=aggregatedValues"), 400, "BadRequestData"),
        (format!("type=Station&{ALL}&aggrMethods=avg"), 400, "InvalidRequest"),
        (
            format!("type=Station&{ALL}&options=temporalValues,aggregatedValues"),
            400,
            "InvalidRequest",
        ),
        (format!("type=Station&{ALL}&format=keyValues"), 400, "InvalidRequest"),
        (format!("type=Station&{ALL}&colour=red"), 400, "InvalidRequest"),
        (
            format!(
                "type=Station&{ALL}&format=aggregatedValues&aggrMethods=avg&aggrPeriodDuration=P1X"
            ),
            400,
            "BadRequestData",
        ),
        (
            format!(
                "type=Station&{between}2036-01-01T00:00:00Z&format=aggregatedValues&aggrMethods=avg&aggrPeriodDuration=PT1S"
            ),
            403,
            "TooComplexQuery",
        ),
        (
            format!("type=Station&pick=mixed&{ALL}&format=aggregatedValues&aggrMethods=avg"),
            400,
            "InvalidRequest",
        ),
    ] {
        let answer = broker.get(&format!("/temporal/entities?{query}")).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (status, problem),
            "{query}: {}",
            answer.text
        );
    }
    let joined = json!({
        "type": "Query", "entities": [{"type": "Station"}], "join": "flat",
        "temporalQ": {"timerel": "after", "timeAt": "2026-01-01T00:00:00Z"},
    });
    let joined = broker.body("POST", "/temporal/entityOperations/query", joined).await;
    assert_eq!((joined.status, joined.problem().as_str()), (400, "BadRequestData"));
    let geo = broker.request("GET", PATH).header("accept", "application/geo+json");
    assert_eq!(broker.send(geo).await.status, 406);
    for body in [
        json!({"type": "Station"}),
        json!({"id": "urn:x:1"}),
        json!({"id": "urn:x:1", "type": "Station", "a": []}),
        json!({"id": "urn:x:1", "type": "Station", "expiresAt": "urn:ngsi-ld:null"}),
    ] {
        let answer = broker.body("POST", "/temporal/entities", body).await;
        assert_eq!(answer.problem(), "BadRequestData", "{}", answer.text);
    }
    let unknown = "/temporal/entities/urn:x:nobody";
    assert_eq!(broker.get(unknown).await.status, 404);
    let told = json!({"a": [reading(1, 1)]});
    assert_eq!(broker.body("POST", &format!("{unknown}/attrs"), told).await.status, 404);
}

/// Asks the same of a query, of one entity, and of a query by a body.
async fn asked_all_ways(broker: &TestBroker, time: &Value, aggr: &Value) -> Vec<Answer> {
    let mut url = String::new();
    for (name, value) in time.as_object().into_iter().chain(aggr.as_object()).flatten() {
        let text = match value {
            Value::Array(all) => all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        url += &format!("&{name}={text}");
    }
    if aggr.is_object() {
        url += "&format=aggregatedValues";
    }
    let mut body = json!({"type": "Query", "entities": [{"type": "Station"}], "temporalQ": time});
    if aggr.is_object() {
        body["aggrParams"] = aggr.clone();
    }
    vec![
        broker.get(&format!("/temporal/entities?type=Station{url}")).await,
        broker.get(&format!("{PATH}?{}", &url[1..])).await,
        broker.body("POST", "/temporal/entityOperations/query", body).await,
    ]
}

#[actix_web::test]
async fn what_is_absurd_is_refused_or_bounded_however_it_is_asked() {
    let broker = with_station().await;
    let mixed = json!({"mixed": [reading(1, 0), reading("x", 1), reading(true, 2)]});
    assert_eq!(broker.body("POST", &format!("{PATH}/attrs"), mixed).await.status, 204);
    let window = |from: &str, to: &str| {
        json!({"timerel": "between", "timeAt": format!("{from}T00:00:00Z"),
               "endTimeAt": format!("{to}T00:00:00Z")})
    };
    let whole = window("2026-01-01", "2026-02-01");
    let last = |count: Value| {
        let mut time = whole.clone();
        time["lastN"] = count;
        time
    };
    let aggr = |methods: &str, period: &str| json!({"aggrMethods": [methods], "aggrPeriodDuration": period});
    let counted = aggr("totalCount", "PT0S");
    for (time, aggr, statuses) in [
        // It ends before it starts, or when it starts.
        (window("2026-01-02", "2026-01-01"), Value::Null, [400].as_slice()),
        (window("2026-01-01", "2026-01-01"), Value::Null, &[400]),
        // Absurd counts.
        (last(json!(0)), Value::Null, &[400]),
        (last(json!(-3)), Value::Null, &[400]),
        (last(json!(1.5)), Value::Null, &[400]),
        (last(json!(i64::MAX)), Value::Null, &[200, 206]),
        // Periods of nothing are the whole window; those before nothing are not.
        (whole.clone(), counted.clone(), &[200]),
        (whole.clone(), aggr("totalCount", "P0D"), &[200]),
        (whole.clone(), aggr("totalCount", "-P1D"), &[400]),
        (whole.clone(), aggr("totalCount", "P1H"), &[400]),
        (whole.clone(), aggr("totalCount", ""), &[400, 200]),
        (whole.clone(), aggr("median", "P1D"), &[400]),
        // Mixed types: to be counted, and nothing else.
        (whole.clone(), aggr("avg", "P1D"), &[400]),
        (whole.clone(), aggr("max", "P1D"), &[400]),
        (whole.clone(), aggr("totalCount", "P1D"), &[200]),
        (whole.clone(), aggr("distinctCount", "P1D"), &[200]),
        // A billion periods.
        (window("2000-01-01", "2032-01-01"), aggr("totalCount", "PT1S"), &[403]),
        (window("0001-01-01", "9999-01-01"), aggr("totalCount", "PT0.001S"), &[403]),
        // Few periods, however long the window.
        (window("0001-01-01", "9999-01-01"), aggr("totalCount", "P1Y"), &[200]),
    ] {
        for answer in asked_all_ways(&broker, &time, &aggr).await {
            let said = format!("{time} {aggr}: {} {}", answer.status, answer.text);
            assert!(statuses.contains(&answer.status), "{said}");
            if answer.status >= 400 {
                assert!(answer.json()["detail"].as_str().is_some_and(|it| it.len() > 10), "{said}");
            }
        }
    }
    let answers = asked_all_ways(&broker, &whole, &counted).await;
    let all = answers[1].json();
    assert_eq!(all["pm25"]["totalCount"].as_array().map(Vec::len), Some(1), "{all}");
    assert_eq!(all["pm25"]["totalCount"][0][0], 3);
    assert_eq!(all["mixed"]["totalCount"][0][0], 3);
}

#[actix_web::test]
async fn rules_of_retention_are_laid_down_shown_and_obeyed() {
    let broker = TestBroker::start().await;
    let rules = "/admin/history/rules";
    assert_eq!(broker.beside("GET", rules, None).await.json(), json!([]));
    let rule = json!({
        "record": {"only": ["pm25"]},
        "keep": [{"attributes": ["pm25"], "rawDays": 30, "hourlyDays": 365}, {"rawDays": 7}],
    });
    let path = format!("{rules}/Station");
    for status in [201, 204] {
        assert_eq!(broker.beside("PUT", &path, Some(rule.clone())).await.status, status);
    }
    let mut expected = rule;
    expected["type"] = "Station".into();
    assert_eq!(broker.beside("GET", &path, None).await.json(), expected);
    assert_eq!(broker.beside("GET", rules, None).await.json(), json!([expected]));
    for (wrong, said) in [
        (json!({"recrod": "all"}), "recrod"),
        (json!({"record": "some"}), "some"),
        (json!({"keep": [{"hourlyDays": 3}]}), "rawDays"),
        (json!({"keep": [{"rawDays": 30, "dailyDays": 3}]}), "dailyDays"),
        (json!([1]), "rule"),
    ] {
        let answer = broker.beside("PUT", &path, Some(wrong)).await;
        assert_eq!((answer.status, answer.problem().as_str()), (400, "BadRequestData"));
        assert!(answer.text.contains(said), "{}", answer.text);
    }
    // What is not named is not recorded from now on.
    broker.has(json!({"id": ID, "type": "Station", "pm25": 1, "name": "Mae Moh"})).await;
    let told = broker.get(PATH).await.json();
    assert!(told.get("pm25").is_some() && told.get("name").is_none(), "{told}");
    // Others are, and another tenant knows of no rule.
    broker.has(json!({"id": "urn:x:1", "type": "Bridge", "name": "Black"})).await;
    assert!(broker.get("/temporal/entities/urn:x:1").await.json().get("name").is_some());
    let held = broker.beside("GET", "/admin/history?type=Station", None).await.json();
    assert_eq!(held.as_array().map(Vec::len), Some(1), "{held}");
    assert_eq!((&held[0]["id"], &held[0]["type"]), (&json!(ID), &json!(["Station"])));
    let series = &held[0]["attributes"];
    assert_eq!((&series[0]["attribute"], &series[0]["raw"]["count"]), (&json!("pm25"), &json!(1)));
    let first = broker.beside("GET", "/admin/history?limit=1", None).await;
    assert!(first.header("link").contains("after="), "{}", first.header("link"));
    let next = broker.beside("GET", &format!("/admin/history?after={ID}"), None).await.json();
    assert_eq!(next[0]["id"], "urn:x:1");
    assert_eq!(broker.beside("DELETE", &path, None).await.status, 204);
    assert_eq!(broker.beside("DELETE", &path, None).await.status, 404);
    assert_eq!(broker.beside("GET", &path, None).await.status, 404);
    let all = format!("{rules}/*");
    assert_eq!(broker.beside("PUT", &all, Some(json!({"record": "none"}))).await.status, 201);
    assert_eq!(broker.beside("GET", &all, None).await.json()["type"], "*");
    broker.has(json!({"id": "urn:x:2", "type": "Bridge", "name": "White"})).await;
    assert_eq!(broker.get("/temporal/entities/urn:x:2").await.status, 404);
}

#[actix_web::test]
async fn histories_are_paged_and_ordered_by_id() {
    let broker = with_station().await;
    for number in 1..4 {
        tell(&broker, &format!("urn:x:{number}"), json!({"pm25": [reading(number, 0)]})).await;
    }
    let ids = |answer: &Answer| -> Vec<String> {
        let all = answer.json();
        all.as_array()
            .expect("an array")
            .iter()
            .map(|one| one["id"].as_str().expect("an id").to_owned())
            .collect()
    };
    let query = format!("/temporal/entities?type=Station&{ALL}&idPattern=urn:x");
    let answer =
        broker.get(&format!("{query}&orderBy=id;desc&limit=2&count=true&local=true")).await;
    assert_eq!(ids(&answer), ["urn:x:3", "urn:x:2"]);
    assert_eq!(answer.header("ngsild-results-count"), "3");
    assert!(
        answer
            .headers
            .get_all("link")
            .iter()
            .any(|link| link.to_str().expect("text").contains("rel=\"next\""))
    );
    let answer = broker.get(&format!("{query}&orderBy=id;desc&limit=2&offset=2&local=true")).await;
    assert_eq!(ids(&answer), ["urn:x:1"]);
}
