use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::jsonld::{Document, ParseLimits};
use crate::represent::read_entity;
use crate::represent::samples::{contexts, entities, moment, name, read, user_context, written};

fn with_system_times(format: Format) -> Rendering {
    Rendering { format, sys_attrs: true, ..Rendering::default() }
}

fn read_back(entity: &Entity, rendering: &Rendering, context: &Context) -> Entity {
    let mut out = Vec::new();
    write_entity(&mut out, entity, rendering, context, moment(0), &Linked::default());
    let text = String::from_utf8(out).expect("UTF-8");
    let document = Document::parse(text.as_bytes(), &ParseLimits::default());
    let document = document.unwrap_or_else(|error| panic!("{error} in {text}"));
    read_entity(&document, context).unwrap_or_else(|error| panic!("{error} in {text}"))
}

fn without_expiry(mut entity: Entity) -> Entity {
    fn forget(attributes: &mut Attributes) {
        for (_, attribute) in attributes.iter_mut() {
            for instance in attribute.instances_mut() {
                if let Some(more) = &mut instance.more {
                    more.expires_at = None;
                    forget(&mut more.attributes);
                }
                instance.tidy();
            }
        }
    }
    forget(&mut entity.attributes);
    entity.expires_at = None;
    entity
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn normalized_entities_read_back(entity in entities(), context in contexts()) {
        prop_assert_eq!(
            read_back(&entity, &with_system_times(Format::Normalized), &context), entity
        );
    }

    #[test]
    fn concise_entities_read_back(entity in entities(), context in contexts()) {
        prop_assert_eq!(
            &read_back(&entity, &with_system_times(Format::Concise), &context), &entity
        );
        let rendering = Rendering { format: Format::Concise, ..Rendering::default() };
        let entity = without_expiry(entity);
        prop_assert_eq!(read_back(&entity, &rendering, &context), entity);
    }
}
