//! Answers about the past that are kept (ADR 0046) are those that would be given anew.

use serde_json::{Value, json};

use crate::support::{Answer, TestBroker};

const ENTITIES: u64 = 3;

fn id(number: u64) -> String {
    format!("urn:ngsi-ld:Station:{number}")
}

/// Numbers that look random, the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (self.0 >> 33) % sides
    }
}

fn reading(dice: &mut Dice) -> Value {
    let (value, minute, hour) = (dice.roll(90), dice.roll(60), dice.roll(24));
    json!({"type": "Property", "value": value,
           "observedAt": format!("2026-01-01T{hour:02}:{minute:02}:00Z")})
}

/// An instance of an attribute, if there is one.
async fn instance(broker: &TestBroker, path: &str) -> Option<String> {
    let told = broker.get(&format!("{path}?pick=a")).await;
    let told = if told.status < 300 { told.json() } else { Value::Null };
    Some(told["a"][0]["instanceId"].as_str()?.to_owned())
}

/// Something that may be done to an entity or its past; whether it works does not matter.
async fn do_something(broker: &TestBroker, dice: &mut Dice) -> String {
    let name = ["a", "b"][dice.roll(2) as usize];
    let id = id(dice.roll(ENTITIES));
    let (entity, past) = (format!("/entities/{id}"), format!("/temporal/entities/{id}"));
    let told = json!({"id": id, "type": "Station", name: [reading(dice), reading(dice)]});
    let whole = json!({"id": id, "type": "Station", name: reading(dice), "scope": "/x"});
    let (what, answer) = match dice.roll(14) {
        0..3 => ("tell", broker.body("POST", "/temporal/entities", told).await),
        3 => {
            let more = json!({name: [reading(dice)]});
            ("add", broker.body("POST", &format!("{past}/attrs"), more).await)
        }
        4 => ("upsert", broker.body("POST", "/entityOperations/upsert", json!([whole])).await),
        5 => {
            let one = reading(dice);
            ("patch", broker.body("PATCH", &format!("{entity}/attrs/{name}"), one).await)
        }
        6 => ("merge", broker.body("PATCH", &entity, json!({name: reading(dice)})).await),
        7 => ("forget an attribute", broker.delete(&format!("{past}/attrs/{name}")).await),
        8 => ("delete an attribute", broker.delete(&format!("{entity}/attrs/{name}")).await),
        9 => ("delete", broker.delete(&entity).await),
        10 => ("forget", broker.delete(&past).await),
        11 => ("purge", broker.delete(&format!("/entities?type=Station&q={name}>45")).await),
        choice => {
            let Some(one) = instance(broker, &past).await else { return "nothing".to_owned() };
            let path = format!("{past}/attrs/a/{one}");
            match choice {
                12 => ("forget an instance", broker.delete(&path).await),
                _ => {
                    let patch = json!({"a": [reading(dice)]});
                    ("change an instance", broker.body("PATCH", &path, patch).await)
                }
            }
        }
    };
    assert!(answer.status < 500, "{what}: {}", answer.text);
    format!("{what} {id} {name}: {}", answer.status)
}

fn said(answer: &Answer) -> (u16, &str, &str) {
    (answer.status, answer.header("content-range"), &answer.text)
}

#[actix_web::test]
async fn what_is_told_again_is_what_would_be_told_anew() {
    const QUESTIONS: [&str; 4] = [
        "options=sysAttrs",
        "lastN=2&format=temporalValues&timeproperty=modifiedAt",
        "timerel=before&timeAt=2030-01-01T00:00:00Z&format=aggregatedValues&aggrMethods=avg,max\
         &aggrPeriodDuration=PT6H",
        "pick=a,scope&datasetId=@none",
    ];
    let broker = TestBroker::with(|config| config.limits.temporal_instances = 12).await;
    let mut dice = Dice(7);
    let mut history = Vec::new();
    for step in 0..80 {
        history.push(do_something(&broker, &mut dice).await);
        for number in 0..ENTITIES {
            let path = format!("/temporal/entities/{}", id(number));
            for question in QUESTIONS {
                // Nobody asked in these words before.
                let fresh = format!("{path}?{question}&lang=x-{step}");
                let fresh = broker.get(&fresh).await;
                for _ in 0..2 {
                    let again = broker.get(&format!("{path}?{question}")).await;
                    assert_eq!(said(&again), said(&fresh), "{question} after {history:#?}");
                }
            }
        }
    }
}

#[actix_web::test]
async fn a_kept_answer_names_the_context_of_who_asks() {
    let broker = TestBroker::start().await;
    broker.has(json!({"id": id(0), "type": "Station", "a": 1})).await;
    let hosted = broker.body("POST", "/jsonldContexts", json!({"@context": {}})).await;
    let hosted = broker.url(hosted.header("location"));
    let path = format!("/temporal/entities/{}", id(0));
    for _ in 0..2 {
        let plain = broker.request("GET", &path).header("accept", "application/ld+json");
        let linked = plain.try_clone().expect("it has no body");
        let link = format!(
            "<{hosted}>; rel=\"http://www.w3.org/ns/json-ld#context\"; type=\"application/ld+json\""
        );
        let plain = broker.send(plain).await.json();
        assert!(!plain["@context"].to_string().contains("jsonldContexts"), "{plain}");
        let linked = broker.send(linked.header("link", link)).await.json();
        assert!(linked["@context"].to_string().contains("jsonldContexts"), "{linked}");
    }
}
