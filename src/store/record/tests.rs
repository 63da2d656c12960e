use proptest::prelude::*;

use super::*;
use crate::store::embedded::names::Dictionary;
use crate::store::samples;

proptest! {
    #[test]
    fn what_is_written_reads_back(entity in samples::entity()) {
        let mut dictionary = Dictionary::default();
        let record = encode(&entity, &mut dictionary);
        let names = dictionary.names();
        prop_assert_eq!(decode(&record, names), Ok(entity.clone()));
        let head = decode_head(&record, names).unwrap();
        prop_assert_eq!(head.id, entity.id.as_str());
        prop_assert_eq!(head.expiry, first_expiry(&entity));
        prop_assert_eq!(&head.types[..], entity.types.as_slice());
        for (own, (name, attribute)) in head.attributes.iter().zip(entity.attributes.iter()) {
            prop_assert_eq!((own.name, own.kinds), (name, kinds_of(attribute)));
            prop_assert_eq!(&head.attribute(own, names).unwrap(), attribute);
        }
    }

    #[test]
    fn damaged_records_are_told_not_believed(
        entity in samples::entity(),
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<bool>(),
    ) {
        let mut dictionary = Dictionary::default();
        let mut record = encode(&entity, &mut dictionary);
        let place = place.index(record.len());
        if cut {
            record.truncate(place);
            prop_assert!(decode(&record, dictionary.names()).is_err());
        } else {
            record[place] = byte;
            // It may still say something; it must not panic.
            let _ = decode(&record, dictionary.names());
        }
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(mut record in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut dictionary = Dictionary::default();
        for number in 0..100 {
            dictionary.number(samples::attribute_name(number));
        }
        if let Some(first) = record.first_mut() {
            *first = VERSION;
        }
        let _ = decode(&record, dictionary.names());
    }
}

#[test]
fn a_record_is_much_smaller_than_its_json() {
    let mut entity = samples::bare_entity(1, 1);
    for number in 0..12 {
        let mut attribute = samples::property(f64::from(number as u32) + 0.5);
        let instance = &mut attribute.instances_mut()[0];
        instance.observed_at = Some(samples::at(-60));
        (instance.created_at, instance.modified_at) = (samples::at(-60), samples::at(0));
        entity.attributes.insert(samples::attribute_name(number), attribute);
    }
    let record = encode(&entity, &mut Dictionary::default());
    assert!(record.len() < 360, "{} bytes", record.len());
}

#[test]
fn what_nests_too_deep_is_not_storable() {
    let nested = |depth: usize| {
        let mut value = crate::model::Value::from(1);
        for _ in 0..depth {
            value = crate::model::Value::Array(Box::new([value]));
        }
        let mut entity = samples::bare_entity(1, 1);
        entity.attributes.insert(samples::attribute_name(1), samples::property(value));
        entity
    };
    assert!(is_storable(&nested(MAX_DEPTH - 3)));
    let record = encode(&nested(MAX_DEPTH - 3), &mut Dictionary::default());
    assert!(record.len() < 2_000);
    assert!(!is_storable(&nested(MAX_DEPTH + 1)));
}
