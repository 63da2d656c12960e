//! What an enforced model promises: whatever is done, by whichever path, what is kept is as the
//! model says.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config as Runs, TestRunner};
use serde_json::{Value, json};

use super::Models;
use crate::config;
use crate::config::Validation;
use crate::jsonld::{Context, Document, ParseLimits};
use crate::model::{
    Action, AttrName, AttributePatch, EntityId, HistoryAction, HistoryWrite, Instance,
    InstanceEdit, InstanceId, Instances, Recorded, TenantId, TimeProperty, Timestamp, Write,
};
use crate::query::{EntityPlan, HistoryPlan, Line, Selector, Window};
use crate::represent::{Reader, Reading};
use crate::schema::shipped_for;
use crate::store::Store;
use crate::store::embedded::{Durability, Embedded, Settings};

const HERE: TenantId = TenantId::DEFAULT;

/// Terms of the model with values that are good and values that are not; both as a simplified
/// value would be written out.
fn attributes() -> impl Strategy<Value = (&'static str, Value)> {
    let number = |value: f64, unit: &str| json!({ "value": value, "unitCode": unit });
    let of = move |term: &'static str| -> Vec<Value> {
        match term {
            "relativeHumidity" => vec![
                number(0.5, "C62"),
                number(71.0, "C62"),
                number(0.5, "P1"),
                json!({ "value": 7, "datasetId": "urn:x:other" }),
                json!({ "value": 0.7, "datasetId": "urn:x:other" }),
            ],
            "pm25" => vec![number(20.0, "GQ"), number(-1.0, "GQ"), json!({ "value": "much" })],
            "dateObserved" => {
                vec![json!({ "value": "2026-03-12T08:00:00Z" }), json!({ "value": "12/03/2569" })]
            }
            "location" => vec![
                json!({ "type": "GeoProperty", "value": { "type": "Point", "coordinates": [99, 18] } }),
                json!({ "value": "here" }),
            ],
            "refDevice" => vec![
                json!({ "type": "Relationship", "object": "urn:x:device" }),
                json!({ "value": "device 1" }),
            ],
            _ => vec![json!({ "value": { "a": 1 } }), json!({ "value": 3 })],
        }
    };
    let terms =
        ["relativeHumidity", "pm25", "dateObserved", "location", "refDevice", "myOwn"].to_vec();
    select(terms).prop_flat_map(move |term| (Just(term), select(of(term))))
}

/// What is done to the entity.
#[derive(Debug, Clone)]
enum Deed {
    Whole(usize, Vec<(&'static str, Value)>),
    Part(usize, Vec<(&'static str, Value)>),
    One(bool, &'static str, Value),
    Remove(usize, &'static str),
    Past(bool, &'static str, Value, i64),
    /// Changes the newest instance in history, or takes it away.
    Instance(bool, &'static str, Value),
    Forget(&'static str),
    Erase,
    Scope,
    Delete,
    /// Several at once.
    Batch(Vec<Deed>),
}

const TERMS: [&str; 5] = ["relativeHumidity", "pm25", "dateObserved", "location", "refDevice"];

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let some = || proptest::collection::vec(attributes(), 0..4);
    let write = prop_oneof![
        3 => (0_usize..4, some()).prop_map(|(how, what)| Deed::Whole(how, what)),
        5 => (0_usize..6, some()).prop_map(|(how, what)| Deed::Part(how, what)),
        3 => (any::<bool>(), attributes()).prop_map(|(how, (term, value))| Deed::One(how, term, value)),
        3 => (0_usize..5, select(TERMS.to_vec())).prop_map(|(how, term)| Deed::Remove(how, term)),
        1 => Just(Deed::Scope),
        1 => Just(Deed::Delete),
    ];
    let write = write.boxed();
    let deed = prop_oneof![
        13 => write.clone(),
        2 => proptest::collection::vec(write, 2..5).prop_map(Deed::Batch),
        3 => (any::<bool>(), attributes(), 0_i64..100_000)
            .prop_map(|(how, (term, value), at)| Deed::Past(how, term, value, at)),
        2 => (any::<bool>(), attributes())
            .prop_map(|(how, (term, value))| Deed::Instance(how, term, value)),
        1 => select(TERMS.to_vec()).prop_map(Deed::Forget),
        1 => Just(Deed::Erase),
    ];
    proptest::collection::vec(deed, 1..14)
}

/// A place where things are done to entities.
struct Place {
    store: Embedded,
    context: Arc<Context>,
    clock: AtomicUsize,
    _folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let durability = Durability::Every(Duration::from_secs(60));
        let settings = Settings { durability, ..Settings::new(folder.path().join("data")) };
        let store = Embedded::open(settings).expect("a store");
        let settings =
            config::Models { validation: Validation::Enforce, ..config::Models::default() };
        store.guard(Arc::new(Models::new(&settings).expect("models")));
        let context = crate::jsonld::shipped_context("environment").expect("it is shipped");
        Self { store, context, clock: AtomicUsize::new(1), _folder: folder }
    }

    fn document(&self, id: &EntityId, what: &[(&'static str, Value)], whole: bool) -> Value {
        let mut document = json!({ "id": id.as_str(), "type": "AirQualityObserved" });
        if whole {
            document["scope"] = "/Lampang/MaeMoh".into();
            document["dateObserved"] = json!({ "value": "2026-03-12T08:00:00Z" });
            document["location"] = json!({ "type": "GeoProperty", "value": { "type": "Point", "coordinates": [99, 18] } });
        }
        for (term, value) in what {
            document[*term] = value.clone();
        }
        document
    }

    fn write(&self, id: &EntityId, deed: &Deed) -> Option<Write> {
        let read = |json: &Value, reading: Reading| {
            let text = json.to_string();
            let document = Document::parse(text.as_bytes(), &ParseLimits::default())
                .expect("JSON")
                .into_owned();
            (Reader::new(&self.context, reading), document)
        };
        let fragment = |json: &Value, reading: Reading| {
            let (reader, document) = read(json, reading);
            reader.fragment(&document).ok()
        };
        let name = |term: &str| self.context.expand(term).expect("a name");
        let action = match deed {
            Deed::Whole(how, what) => {
                let json = self.document(id, what, *how < 3);
                let (reader, document) = read(&json, Reading::Whole);
                let entity = reader.entity(&document).ok()?;
                match how {
                    0 => Action::Create(entity),
                    1 => Action::Replace(entity),
                    _ => Action::Upsert(entity),
                }
            }
            Deed::Part(how, what) => {
                let json = self.document(id, what, false);
                match how {
                    0 => Action::UpsertUpdate(fragment(&json, Reading::Update)?),
                    1 => Action::Update(fragment(&json, Reading::Update)?),
                    2 | 3 => Action::Merge {
                        fragment: fragment(&json, Reading::Merge)?,
                        lang: None,
                        observed_at: None,
                    },
                    how => Action::Append {
                        fragment: fragment(&json, Reading::Whole)?,
                        overwrite: *how == 4,
                    },
                }
            }
            Deed::One(replace, term, value) => {
                let json = json!({ *term: value });
                let reading = if *replace { Reading::Whole } else { Reading::Update };
                let mut all = fragment(&json, reading)?.attributes;
                let (attribute, patch): (_, AttributePatch) = all.pop()?;
                match replace {
                    true => match patch.0.into_iter().next()? {
                        InstanceEdit::Put(patch) => Action::ReplaceAttribute { attribute, patch },
                        InstanceEdit::Remove(_) => return None,
                    },
                    false => Action::PartialUpdate { attribute, patch },
                }
            }
            Deed::Remove(how, term) => {
                let attribute = name(term);
                match how {
                    0 => Action::DeleteAttribute { attribute, instances: Instances::All },
                    1 => Action::DeleteAttribute { attribute, instances: Instances::Default },
                    2 => Action::Drop(vec![attribute]),
                    3 => Action::KeepOnly(vec![attribute]),
                    _ => {
                        let json = json!({ *term: "urn:ngsi-ld:null" });
                        let fragment = fragment(&json, Reading::Merge)?;
                        Action::Merge { fragment, lang: None, observed_at: None }
                    }
                }
            }
            Deed::Scope => Action::DeleteScope,
            Deed::Delete => Action::Delete,
            _ => return None,
        };
        Some(Write::new(id.clone(), action))
    }

    /// What history has of an entity.
    async fn lines(&self, id: &EntityId, now: Timestamp) -> Vec<(AttrName, Vec<Recorded>)> {
        let plan = HistoryPlan {
            entities: EntityPlan {
                select: vec![Selector { ids: vec![id.clone()], ..Selector::default() }],
                ..EntityPlan::default()
            },
            window: Window { property: TimeProperty::Placed, ..Window::default() },
            whatever_the_window: true,
            ..HistoryPlan::default()
        };
        let found = self.store.evolve(&HERE, &plan, now).await.expect("the store works");
        let evolutions = found.told.evolutions.into_iter();
        let lines = evolutions.flat_map(|evolution| evolution.attributes);
        let instances = lines.filter_map(|(name, line)| match line {
            Line::Instances(all) => Some((name, all)),
            _ => None,
        });
        instances.collect()
    }

    /// Every instance that history has of an entity, deletions aside.
    async fn past_of(&self, id: &EntityId, now: Timestamp) -> Vec<(AttrName, Instance)> {
        let lines = self.lines(id, now).await.into_iter();
        let all = lines.flat_map(|(name, all)| all.into_iter().map(move |one| (name, one)));
        let said = all.filter(|(_, one)| one.deleted_at.is_none());
        said.map(|(name, one)| (name, one.instance)).collect()
    }

    /// The newest instance of an attribute in the history of an entity.
    async fn newest(&self, id: &EntityId, term: &str, now: Timestamp) -> Option<InstanceId> {
        let name = self.context.expand(term).expect("a name");
        let lines = self.lines(id, now).await;
        lines.iter().find(|(own, _)| *own == name)?.1.last().map(|one| one.id)
    }

    async fn past(&self, id: &EntityId, deed: &Deed, now: Timestamp) -> Option<HistoryWrite> {
        let action = match deed {
            Deed::Instance(modify, term, value) => {
                let attribute = self.context.expand(term).expect("a name");
                let instance = self.newest(id, term, now).await?;
                let text = json!({ *term: value }).to_string();
                let document = Document::parse(text.as_bytes(), &ParseLimits::default());
                let reader = Reader::new(&self.context, Reading::Whole);
                let fragment = reader.fragment(&document.expect("JSON")).ok()?;
                let (_, patch) = fragment.attributes.into_iter().next()?;
                match (modify, patch.0.into_iter().next()?) {
                    (true, InstanceEdit::Put(patch)) => {
                        HistoryAction::ModifyInstance { attribute, instance, patch }
                    }
                    _ => HistoryAction::DeleteInstance { attribute, instance },
                }
            }
            Deed::Erase => HistoryAction::Delete,
            Deed::Past(begin, term, value, at) => {
                let mut value = value.clone();
                value["observedAt"] = Timestamp::from_micros(at * 1_000_000).to_string().into();
                let what = [(*term, json!([value]))];
                let text = self.document(id, &what, false).to_string();
                let document = Document::parse(text.as_bytes(), &ParseLimits::default());
                let document = document.expect("JSON");
                let reader = Reader::new(&self.context, Reading::Whole);
                let (_, told) = reader.chronology(&document).ok()?;
                match begin {
                    true => HistoryAction::Upsert(told),
                    false => HistoryAction::Append(told),
                }
            }
            Deed::Forget(term) => HistoryAction::DeleteAttribute {
                attribute: self.context.expand(term).expect("a name"),
                instances: Instances::All,
            },
            _ => return None,
        };
        Some(HistoryWrite { id: id.clone(), action })
    }
}

#[test]
fn whatever_is_done_what_is_kept_is_as_its_model_says() {
    let place = Place::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("one");
    let (kept, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let runs = Runs { cases: 600, failure_persistence: None, ..Runs::default() };
    let done = TestRunner::new(runs).run(&deeds(), |deeds| {
        let number = place.clock.fetch_add(1, Ordering::Relaxed);
        let id = EntityId::from_trusted(&format!("urn:ngsi-ld:AirQualityObserved:{number}"));
        for (step, deed) in deeds.iter().enumerate() {
            let now = Timestamp::from_micros(1_800_000_000_000_000 + step as i64);
            let refusal = runtime.block_on(async {
                if let Some(write) = place.past(&id, deed, now).await {
                    let outcome = place.store.commit_history(&HERE, vec![write], now).await;
                    return outcome.ok().and_then(|all| all.into_iter().next()?.err());
                }
                let writes: Vec<Write> = match deed {
                    Deed::Batch(deeds) => {
                        deeds.iter().filter_map(|d| place.write(&id, d)).collect()
                    }
                    deed => place.write(&id, deed).into_iter().collect(),
                };
                let outcome = place.store.commit(&HERE, writes, now).await;
                outcome.ok().and_then(|all| all.into_iter().find_map(Result::err))
            });
            if matches!(refusal, Some(crate::model::Refusal::Unfit { .. })) {
                refused.fetch_add(1, Ordering::Relaxed);
            }
            let entity = match runtime.block_on(place.store.get(&HERE, &id, now)) {
                Ok(Some(entity)) => entity,
                _ => continue,
            };
            kept.fetch_add(1, Ordering::Relaxed);
            let past = runtime.block_on(place.past_of(&id, now));
            let past: Vec<_> = past.iter().map(|(name, instance)| (*name, instance)).collect();
            for name in entity.types.as_slice() {
                let model = shipped_for(*name).expect("a shipped model").model();
                let violations = model.check(&entity.entity);
                prop_assert!(violations.is_empty(), "after {:?}: {:?}", deed, violations);
                let violations = model.check_instances(&past);
                prop_assert!(violations.is_empty(), "history after {:?}: {:?}", deed, violations);
            }
        }
        Ok(())
    });
    done.unwrap_or_else(|failure| panic!("{failure}"));
    // Both happen often, or nothing was tried.
    assert!(kept.load(Ordering::Relaxed) > 400, "{kept:?}");
    assert!(refused.load(Ordering::Relaxed) > 200, "{refused:?}");
}

#[test]
fn a_folder_has_models_for_all_tenants_and_for_one_and_faulty_ones_stop_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let gate =
        |required: &str| json!({ "title": "Gate", "type": "object", "required": [required] });
    let write = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        std::fs::write(file, text).expect("a file");
    };
    write("Gate.json", &gate("open").to_string());
    write("lampang/Gate.json", &gate("width").to_string());
    write("lampang/.git/x.json", "no model");
    let settings = config::Models {
        folder: Some(folder.path().to_owned()),
        validation: Validation::Enforce,
        ..config::Models::default()
    };
    let models = Models::new(&settings).expect("models");
    let gate = json!({ "id": "urn:x:gate", "type": "Gate", "open": true });
    let document = Document::from_json(&gate);
    let entity = Reader::new(&Context::core(), Reading::Whole).entity(&document).expect("one");
    let check = |tenant: &TenantId| crate::store::Guard::check(&models, tenant, &entity);
    assert_eq!(check(&HERE), Ok(()));
    let lampang = TenantId::named("lampang").expect("a name");
    let refusal = check(&lampang).expect_err("it has no width").to_string();
    assert!(refusal.contains("width"), "{refusal}");
    for (name, text, why) in [
        ("Fault.json", r#"{"title": "Fault", "type": "objekt"}"#, "is no model"),
        ("Fault.json", r#"{"title": "Fault""#, "is no JSON"),
        ("Fault.json", r#"{"title": "Fault", "$ref": "https://example.org/x"}"#, "is no model"),
    ] {
        write(name, text);
        let told = Models::new(&settings).err().expect(why).to_string();
        assert!(told.contains(name) && told.contains(why), "{told}");
    }
}
