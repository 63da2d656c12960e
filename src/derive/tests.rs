//! Deriving over a real store.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::{Deriver, Explained};
use crate::broker::Broker;
use crate::config::{self, Config};
use crate::jsonld::{Context, Document, ParseLimits, shipped_context};
use crate::model::{
    Action, Datum, Entity, EntityId, HistoryAction, HistoryWrite, Instance, InstanceId, Instances,
    TenantId, TimeProperty, Timestamp, Value, Write,
};
use crate::query::{EntityPlan, HistoryPlan, Line, Projection, Selector, Term, Window};
use crate::represent::{Reader, Reading};

const HERE: TenantId = TenantId::DEFAULT;
const HOUR: i64 = 3_600_000_000;

/// A broker on a folder, with what derives in it.
struct Place {
    folder: tempfile::TempDir,
    broker: Arc<Broker>,
    deriver: Option<Deriver>,
}

fn configured(folder: &std::path::Path, profiles: &[&str]) -> Config {
    let mut config = Config::default();
    config.store.data = folder.join("data");
    config.store.durability = config::Durability::Every(Duration::from_secs(1));
    config.derive.profiles = profiles.iter().map(|name| (*name).to_owned()).collect();
    config
}

impl Place {
    async fn new(profiles: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self::on(folder, profiles).await
    }

    async fn on(folder: tempfile::TempDir, profiles: &[&str]) -> Self {
        let config = configured(folder.path(), profiles);
        let broker = Arc::new(Broker::open(&config).await.expect("a broker"));
        let deriver = Deriver::start(&broker, &config.derive).await.expect("profiles");
        Self { folder, broker, deriver }
    }

    /// Ends in order and begins again, perhaps with other profiles.
    async fn restart(self, profiles: &[&str]) -> Self {
        let Self { folder, broker, deriver } = self;
        if let Some(deriver) = &deriver {
            deriver.close().await;
        }
        drop(deriver);
        broker.close().await.expect("an orderly end");
        // The threads that derive let go of the store a little later.
        let store = Arc::downgrade(broker.store());
        drop(broker);
        while store.strong_count() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Self::on(folder, profiles).await
    }

    async fn write(&self, write: Write) {
        let outcomes = self.broker.store().commit(&HERE, vec![write], Timestamp::now()).await;
        outcomes.expect("the store works").remove(0).expect("the write is taken");
    }

    async fn upsert(&self, entity: Entity) {
        self.write(Write::new(entity.id.clone(), Action::Upsert(entity))).await;
    }

    async fn past(&self, id: &EntityId, action: HistoryAction) {
        let write = HistoryWrite { id: id.clone(), action };
        let store = self.broker.store();
        let outcomes = store.commit_history(&HERE, vec![write], Timestamp::now()).await;
        outcomes.expect("the store works").remove(0).expect("the write is taken");
    }

    async fn entity(&self, id: &EntityId) -> Option<Entity> {
        let found = self.broker.store().get(&HERE, id, Timestamp::now()).await;
        found.expect("the store works").map(|stored| stored.entity.clone())
    }

    /// Waits until an attribute of an entity says what is expected.
    async fn until(&self, id: &EntityId, term: &str, expected: impl Fn(Option<&Instance>) -> bool) {
        loop {
            let entity = self.entity(id).await;
            let instance = entity.as_ref().and_then(|entity| {
                let attribute = entity.attributes.get(name(term))?;
                attribute.instance(None)
            });
            if expected(instance) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The history of an attribute: when, what, and which instance it is.
    async fn history(&self, id: &EntityId, term: &str) -> Vec<(i64, Value, InstanceId)> {
        let plan = HistoryPlan {
            entities: EntityPlan {
                select: vec![Selector { ids: vec![id.clone()], ..Selector::default() }],
                ..EntityPlan::default()
            },
            window: Window { property: TimeProperty::Placed, ..Window::default() },
            shown: Projection {
                attrs: Some(vec![Term::known(name(term))]),
                ..Projection::default()
            },
            whatever_the_window: true,
            ..HistoryPlan::default()
        };
        let found = self.broker.store().evolve(&HERE, &plan, Timestamp::now()).await;
        let lines = found.expect("history").told.evolutions.remove(0).attributes;
        let instances = lines.into_iter().flat_map(|(_, line)| match line {
            Line::Instances(all) => all,
            _ => Vec::new(),
        });
        instances
            .filter_map(|one| match &one.instance.datum {
                Datum::Property(value) if one.deleted_at.is_none() => {
                    let at = one.time(TimeProperty::Placed)?;
                    Some((at.micros(), value.clone(), one.id))
                }
                _ => None,
            })
            .collect()
    }

    /// Waits until the history of an attribute is as expected.
    async fn until_history(&self, id: &EntityId, term: &str, expected: &[(i64, Value)]) {
        loop {
            let found: Vec<(i64, Value)> = self
                .history(id, term)
                .await
                .into_iter()
                .map(|(at, value, _)| (at, value))
                .collect();
            if found == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn explain(&self, id: &EntityId) -> Vec<Explained> {
        let deriver = self.deriver.as_ref().expect("it derives");
        let told = deriver.explain(&HERE, id, None, Timestamp::now()).await;
        told.expect("the store works").expect("the entity is there")
    }
}

fn context() -> Arc<Context> {
    shipped_context("mae-moh").expect("it is shipped")
}

fn name(term: &str) -> crate::model::Name {
    context().expand(term).expect("a name")
}

fn read(json: &Json) -> Entity {
    let text = json.to_string();
    let document = Document::parse(text.as_bytes(), &ParseLimits::default()).expect("JSON");
    Reader::new(&context(), Reading::Whole).entity(&document).expect("an entity")
}

fn station_id() -> EntityId {
    EntityId::from_trusted("urn:ngsi-ld:AirQualityObserved:1")
}

/// The hour from which tests count.
fn begin() -> i64 {
    "2026-03-12T00:00:00Z".parse::<Timestamp>().expect("a DateTime").micros()
}

fn hour(number: i64) -> i64 {
    begin() + number * HOUR
}

fn text(micros: i64) -> String {
    Timestamp::from_micros(micros).to_string()
}

/// A station that says one reading of PM2.5.
fn station(at: i64, value: f64) -> Entity {
    read(&json!({
        "id": station_id().as_str(), "type": "AirQualityObserved",
        "dateObserved": { "value": text(at) },
        "location": { "type": "GeoProperty", "value": { "type": "Point", "coordinates": [99.6, 18.2] } },
        "pm25": { "value": value, "unitCode": "GQ", "observedAt": text(at) },
    }))
}

/// PM2.5 at a time, to be added to what the station is or to its history.
fn reading(at: i64, value: f64) -> crate::model::Chronology {
    let entity = station(at, value);
    let attribute = entity.attributes.get(name("pm25")).expect("pm25").clone();
    crate::model::Chronology {
        attributes: vec![(name("pm25"), attribute.instances().to_vec())],
        ..Default::default()
    }
}

/// Readings of hours, all alike.
fn readings(hours: std::ops::RangeInclusive<i64>, value: f64) -> crate::model::Chronology {
    let instances = hours.flat_map(|number| reading(hour(number), value).attributes.remove(0).1);
    crate::model::Chronology {
        attributes: vec![(name("pm25"), instances.collect())],
        ..Default::default()
    }
}

fn is(expected: impl Into<Value>) -> impl Fn(Option<&Instance>) -> bool {
    let expected = Datum::Property(expected.into());
    move |instance| instance.is_some_and(|instance| instance.datum == expected)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_appears_when_enough_hours_are_known() {
    let place = Place::new(&["th"]).await;
    place.upsert(station(hour(1), 20.0)).await;
    let id = station_id();
    for number in 2..=17 {
        place.past(&id, HistoryAction::Append(reading(hour(number), 20.0))).await;
    }
    let told = place.explain(&id).await;
    assert_eq!((told[0].state, &*told[0].rule), ("lacking", "th/air-quality-index"));
    let pm25 = told[0].inputs.iter().find(|input| input["attribute"] == "pm25").expect("told");
    assert_eq!(pm25["lacks"], "17 of 24 hours or parts have a reading, and 18 are needed");
    place.past(&id, HistoryAction::Append(reading(hour(18), 20.0))).await;
    place.until(&id, "airQualityIndex", is(38)).await;
    place.until(&id, "airQualityLevel", is("good")).await;
    place.until(&id, "aqiScheme", is("TH-PCD-2023")).await;
    let told = place.explain(&id).await;
    assert_eq!((told[0].state, told[0].value.clone()), ("derived", Some(json!(38.0))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_readings_change_every_value_that_they_are_part_of() {
    let place = Place::new(&["mae-moh"]).await;
    let id = station_id();
    place.upsert(station(hour(1), 20.0)).await;
    place.past(&id, HistoryAction::Append(readings(2..=30, 20.0))).await;
    let same = |from: i64, to: i64, index: i64| {
        (from..=to).map(move |number| (hour(number), Value::from(index)))
    };
    let before: Vec<_> = same(18, 30, 38).collect();
    place.until_history(&id, "airQualityIndex", &before).await;
    let first = place.history(&id, "airQualityIndex").await;
    // A reading of the third hour comes late: it is part of the values up to hour 26.
    let late = reading(hour(3) - HOUR / 2, 92.0);
    place.past(&id, HistoryAction::Append(late)).await;
    let found = loop {
        let found = place.history(&id, "airQualityIndex").await;
        if found[0].1 != Value::from(38) && found[8].1 != Value::from(38) {
            break found;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(found.len(), before.len(), "late values take the place of those before");
    assert!(found[9..].iter().all(|(_, value, _)| *value == Value::from(38)), "{found:?}");
    let ids = |all: &[(i64, Value, InstanceId)]| all.iter().map(|one| one.2).collect::<Vec<_>>();
    assert_eq!(ids(&found), ids(&first));
    // The newest value did not change, so the entity did not either.
    place.until(&id, "airQualityIndex", is(38)).await;
    // And when the reading is taken back, so is what it did.
    place
        .past(
            &id,
            HistoryAction::DeleteAttribute { attribute: name("pm25"), instances: Instances::All },
        )
        .await;
    place.until_history(&id, "airQualityIndex", &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_while_nobody_derived_is_derived_after_a_restart() {
    let place = Place::new(&["th"]).await;
    let id = station_id();
    place.upsert(station(hour(1), 20.0)).await;
    place.past(&id, HistoryAction::Append(readings(2..=20, 20.0))).await;
    place.until(&id, "airQualityIndex", is(38)).await;
    // Nobody derives, and nobody asks for events.
    let place = place.restart(&[]).await;
    place.past(&id, HistoryAction::Append(readings(21..=24, 60.0))).await;
    let place = place.restart(&["th"]).await;
    place
        .until(&id, "airQualityIndex", |found| {
            found.is_some_and(|one| one.observed_at.map(Timestamp::micros) == Some(hour(24)))
        })
        .await;
    // Other numbers, and everything is looked at again.
    let rows = place.history(&id, "airQualityIndex").await;
    assert!(rows.iter().map(|row| row.0).eq((18..=24).map(hour)), "{rows:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_that_was_lost_comes_back_and_one_that_is_given_stays() {
    let place = Place::new(&["th"]).await;
    let id = station_id();
    place.upsert(station(hour(1), 20.0)).await;
    place.past(&id, HistoryAction::Append(readings(2..=20, 20.0))).await;
    place.until(&id, "airQualityIndex", is(38)).await;
    // An upsert knows nothing of what was derived.
    place.upsert(station(hour(20), 20.0)).await;
    place.until(&id, "airQualityIndex", is(38)).await;
    // Whoever sends the index knows better.
    let given = EntityId::from_trusted("urn:ngsi-ld:AirQualityObserved:given");
    let mut entity = station(hour(20), 20.0);
    entity.id = given.clone();
    let index = read(&json!({
        "id": "urn:x:1", "type": "T", "airQualityIndex": { "value": 77, "observedAt": text(hour(20)) },
    }));
    entity.attributes.insert(
        name("airQualityIndex"),
        index.attributes.get(name("airQualityIndex")).expect("it").clone(),
    );
    place.upsert(entity).await;
    place.past(&given, HistoryAction::Append(readings(1..=19, 20.0))).await;
    place.past(&given, HistoryAction::Append(readings(21..=22, 20.0))).await;
    assert_eq!(place.explain(&given).await[0].state, "given");
    // What comes after it in the log is derived after it.
    place.past(&id, HistoryAction::Append(readings(21..=21, 20.0))).await;
    place
        .until(&id, "airQualityIndex", |found| {
            found.is_some_and(|one| one.observed_at.map(Timestamp::micros) == Some(hour(21)))
        })
        .await;
    let rows = place.history(&given, "airQualityIndex").await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].1, Value::from(77));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rivers_and_water_are_judged_as_they_are_read_and_nothing_loops() {
    let place = Place::new(&["th"]).await;
    let river = EntityId::from_trusted("urn:ngsi-ld:WaterObserved:1");
    place
        .upsert(read(&json!({
            "id": river.as_str(), "type": "WaterObserved",
            "waterLevel": { "value": 228.4, "unitCode": "MTR", "observedAt": text(hour(1)) },
            "groundLevel": { "value": 220.0 }, "bankLevel": { "value": 230.0 },
        })))
        .await;
    place.until(&river, "situationLevel", is(4)).await;
    let late = read(&json!({
        "id": "urn:x:1", "type": "T",
        "waterLevel": { "value": 231.0, "unitCode": "MTR", "observedAt": text(hour(0)) },
    }));
    let told = crate::model::Chronology {
        attributes: vec![(
            name("waterLevel"),
            late.attributes.get(name("waterLevel")).expect("it").instances().to_vec(),
        )],
        ..Default::default()
    };
    place.past(&river, HistoryAction::Append(told)).await;
    let both = [(hour(0), Value::from(5)), (hour(1), Value::from(4))];
    place.until_history(&river, "situationLevel", &both).await;
    // Names that nobody gave a meaning to are served as well, in the same names.
    let bare = EntityId::from_trusted("urn:ngsi-ld:WaterQualityObserved:1");
    let document = json!({
        "id": bare.as_str(), "type": "WaterQualityObserved",
        "O2": { "value": 6.5, "observedAt": text(hour(0)) },
        "bod": { "value": 1.9, "observedAt": text(hour(0)) },
    })
    .to_string();
    let document = Document::parse(document.as_bytes(), &ParseLimits::default()).expect("JSON");
    let core = Context::core();
    let entity = Reader::new(&core, Reading::Whole).entity(&document).expect("an entity");
    place.upsert(entity).await;
    let class = core.expand("waterQualityClass").expect("a name");
    loop {
        let entity = place.entity(&bare).await.expect("it is there");
        if let Some(class) = entity.attributes.get(class) {
            assert_eq!(class.instances()[0].datum, Datum::Property(3.into()));
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // The log comes to rest: what was derived does not ask to be derived.
    let deriver = place.deriver.as_ref().expect("it derives");
    loop {
        let one = deriver.standing();
        tokio::time::sleep(Duration::from_millis(50)).await;
        let other = deriver.standing();
        if one == other && one.seen == one.done {
            break;
        }
    }
    let counts = deriver.counts("th/river-situation");
    assert_eq!((counts.derived, counts.refused), (2, 0));
}

#[test]
fn a_profile_that_is_not_as_it_should_be_is_refused_with_the_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let shipped = include_str!("../../profiles/th.toml");
    for (number, (from, to, reason)) in [
        ("[15.1, 25.0]", "[15.1, 15.0]", "limits.pm25"),
        ("completeness = 0.75", "completeness = 75", "completeness"),
        ("period = \"PT8H\"", "period = \"PT90M\"", "multiple"),
        ("every = \"PT1H\"", "every = \"1h\"", "every"),
        ("needed = [\"O2\", \"bod\"]", "needed = [\"O3\"]", "among the inputs"),
        ("context = \"mae-moh\"", "context = \"paris\"", "no shipped context"),
        ("index = \"airQualityIndex\"", "index = \"pm25\"", "cannot be an input"),
        ("up_to = 50", "up_to = 20", "above the one before"),
        ("decimals = 2", "decimal = 2", "decimal"),
        ("from = \"2023-05-31T17:00:00Z\"", "from = \"June\"", "June"),
    ]
    .into_iter()
    .enumerate()
    {
        let text = shipped.replacen(from, to, 1);
        assert_ne!(text, shipped, "{from}");
        let file = folder.path().join(format!("{number}.toml"));
        std::fs::write(&file, text).expect("a file");
        let why = super::Profile::load(&file.display().to_string()).expect_err(to).to_string();
        assert!(why.contains(reason), "{why} does not say {reason}");
    }
    assert!(super::Profile::load("nowhere").is_err());
    let file = folder.path().join("own.toml");
    let own = format!(
        "name = \"own\"\ntitle = \"Own\"\ncontext = \"mae-moh\"\nextends = [{:?}]\n",
        file.display().to_string()
    );
    std::fs::write(&file, own).expect("a file");
    let why = super::Profile::load(&file.display().to_string()).expect_err("a loop").to_string();
    assert!(why.contains("extends itself"), "{why}");
}

#[test]
fn a_city_takes_the_rules_of_its_country_and_may_replace_one() {
    let names = |profile: &super::Profile| {
        let mut names: Vec<String> =
            profile.rules.iter().map(|rule| rule.name.to_string()).collect();
        names.dedup();
        names.sort();
        names.dedup();
        names
    };
    let country = super::Profile::load("th").expect("it is shipped");
    let city = super::Profile::load("mae-moh").expect("it is shipped");
    assert_eq!(names(&country), names(&city));
    assert_ne!(country.fingerprint, city.fingerprint);
    let shipped = include_str!("../../profiles/th.toml");
    let level = &shipped
        [shipped.find("[[level]]").expect("one")..shipped.find("# --- Surface").expect("one")];
    let own = format!(
        "name = \"own\"\ntitle = \"Own\"\ncontext = \"mae-moh\"\nextends = [\"th\"]\n{level}"
    );
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("own.toml");
    std::fs::write(&file, own).expect("a file");
    let own = super::Profile::load(&file.display().to_string()).expect("a profile");
    assert_eq!(
        names(&own),
        ["own/river-situation", "th/air-quality-index", "th/surface-water-class"]
    );
}
