use crate::feed::shipped::shipped_feeds;
use crate::jsonld::{Document, shipped_context};
use crate::represent::{Reader, Reading};
use crate::schema::shipped_for;

use super::mapped;

#[test]
fn every_sample_becomes_entities_that_are_as_their_models_say() {
    let context = shipped_context("mae-moh").expect("it is shipped");
    for shipped in shipped_feeds() {
        let name = shipped.name;
        let mapping = shipped.mapping().unwrap_or_else(|faults| panic!("{faults}"));
        let feed = mapped(name, shipped.sample, shipped.topic).expect("it can be read");
        assert!(!feed.entities.is_empty(), "{name}");
        for entity in &feed.entities {
            let document = Document::from_json(entity);
            let read = Reader::new(&context, Reading::Whole).entity(&document);
            let read = read.unwrap_or_else(|why| panic!("{name}: {why}"));
            for kind in read.types.as_slice() {
                let model = shipped_for(*kind).expect("there is a model").model();
                assert_eq!(model.check(&read), [], "{name}: {entity:#}");
            }
            assert!(entity["source"]["value"].is_string(), "{name}");
            assert_eq!(entity["sourceClass"]["value"], mapping.provenance.class, "{name}");
        }
    }
}

#[test]
fn every_reading_carries_its_source_its_time_and_its_unit() {
    for shipped in shipped_feeds() {
        let mapping = shipped.mapping().unwrap_or_else(|faults| panic!("{faults}"));
        let feed = mapped(shipped.name, shipped.sample, shipped.topic).expect("it can be read");
        let mut readings = 0;
        for entity in &feed.entities {
            for (name, field) in mapping.fields.iter().filter(|(_, field)| field.reading) {
                let Some(reading) = entity.get(name) else { continue };
                readings += 1;
                assert!(reading["observedAt"].is_string(), "{} {name}", shipped.name);
                assert!(reading["source"]["value"].is_string(), "{} {name}", shipped.name);
                if let Some(unit) = field.number().and_then(|form| form.unit.as_ref()) {
                    assert_eq!(reading["unitCode"], unit.as_str(), "{} {name}", shipped.name);
                }
            }
        }
        assert!(readings > 0, "{}", shipped.name);
    }
}
