//! The documents of discovery (5.2.24 to 5.2.28): which entity types and attributes there are.

use super::write::{comma, string};
use crate::jsonld::Context;
use crate::model::{Kind, Name};

/// What there is to say about an entity type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeFacts {
    pub name: Name,
    /// How many entities have the type.
    pub entities: u64,
    /// The attributes of such entities, with the kinds that these have there.
    pub attributes: Vec<(Name, Vec<Kind>)>,
}

/// What there is to say about an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeFacts {
    pub name: Name,
    /// How many entities have the attribute.
    pub entities: u64,
    pub kinds: Vec<Kind>,
    /// The types of the entities that have it.
    pub types: Vec<Name>,
}

/// Writes the documents with the names of one context.
pub struct Discovery<'a> {
    context: &'a Context,
    /// Puts the `@context` into each document.
    linked: bool,
}

impl<'a> Discovery<'a> {
    /// Names as this context writes them; `linked` puts the context into the body (6.3.6).
    pub fn new(context: &'a Context, linked: bool) -> Self {
        Self { context, linked }
    }

    /// An EntityTypeList (5.2.24) under this id.
    pub fn type_list(&self, id: &str, types: impl Iterator<Item = Name>) -> Vec<u8> {
        self.document(|out| {
            self.head(out, id, "EntityTypeList");
            self.names(out, "typeList", types);
        })
    }

    /// EntityTypes (5.2.25).
    pub fn types(&self, types: impl Iterator<Item = TypeFacts>) -> Vec<u8> {
        self.list(types, |out, facts| {
            self.head(out, facts.name.as_str(), "EntityType");
            self.name(out, "typeName", facts.name);
            self.names(out, "attributeNames", facts.attributes.iter().map(|(name, _)| *name));
        })
    }

    /// EntityTypeInfo (5.2.26).
    pub fn type_info(&self, facts: &TypeFacts) -> Vec<u8> {
        self.document(|out| {
            self.head(out, facts.name.as_str(), "EntityTypeInfo");
            self.name(out, "typeName", facts.name);
            number(out, "entityCount", facts.entities);
            member(out, "attributeDetails");
            out.push(b'[');
            for (name, kinds) in &facts.attributes {
                comma(out);
                out.push(b'{');
                self.head(out, name.as_str(), "Attribute");
                self.name(out, "attributeName", *name);
                self.kinds(out, kinds);
                out.push(b'}');
            }
            out.push(b']');
        })
    }

    /// An AttributeList (5.2.27) under this id.
    pub fn attribute_list(&self, id: &str, attributes: impl Iterator<Item = Name>) -> Vec<u8> {
        self.document(|out| {
            self.head(out, id, "AttributeList");
            self.names(out, "attributeList", attributes);
        })
    }

    /// Attributes (5.2.28), as a list says them.
    pub fn attributes(&self, attributes: impl Iterator<Item = AttributeFacts>) -> Vec<u8> {
        self.list(attributes, |out, facts| {
            self.head(out, facts.name.as_str(), "Attribute");
            self.name(out, "attributeName", facts.name);
            self.names(out, "typeNames", facts.types.iter().copied());
        })
    }

    /// One Attribute (5.2.28), with all that is known.
    pub fn attribute_info(&self, facts: &AttributeFacts) -> Vec<u8> {
        self.document(|out| {
            self.head(out, facts.name.as_str(), "Attribute");
            self.name(out, "attributeName", facts.name);
            number(out, "attributeCount", facts.entities);
            self.kinds(out, &facts.kinds);
            self.names(out, "typeNames", facts.types.iter().copied());
        })
    }

    fn document(&self, write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        self.object(&mut out, write);
        out
    }

    fn list<T>(&self, items: impl Iterator<Item = T>, write: impl Fn(&mut Vec<u8>, &T)) -> Vec<u8> {
        let mut out = b"[".to_vec();
        for item in items {
            comma(&mut out);
            self.object(&mut out, |out| write(out, &item));
        }
        out.push(b']');
        out
    }

    fn object(&self, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        out.push(b'{');
        write(out);
        if self.linked {
            member(out, "@context");
            out.extend_from_slice(self.context.link().body.as_bytes());
        }
        out.push(b'}');
    }

    fn head(&self, out: &mut Vec<u8>, id: &str, kind: &str) {
        member(out, "id");
        string(out, id);
        member(out, "type");
        string(out, kind);
    }

    fn name(&self, out: &mut Vec<u8>, key: &str, name: Name) {
        member(out, key);
        string(out, &self.context.compact(name));
    }

    fn names(&self, out: &mut Vec<u8>, key: &str, names: impl Iterator<Item = Name>) {
        member(out, key);
        out.push(b'[');
        for name in names {
            comma(out);
            string(out, &self.context.compact(name));
        }
        out.push(b']');
    }

    fn kinds(&self, out: &mut Vec<u8>, kinds: &[Kind]) {
        member(out, "attributeTypes");
        out.push(b'[');
        for kind in kinds {
            comma(out);
            string(out, kind.term());
        }
        out.push(b']');
    }
}

fn member(out: &mut Vec<u8>, key: &str) {
    comma(out);
    string(out, key);
    out.push(b':');
}

fn number(out: &mut Vec<u8>, key: &str, number: u64) {
    member(out, key);
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_tells_its_attributes() {
        let context = Context::core();
        let name = context.expand("Vehicle").expect("a name");
        let speed = context.expand("speed").expect("a name");
        let facts =
            TypeFacts { name, entities: 2, attributes: vec![(speed, vec![Kind::Property])] };
        let body = Discovery::new(&context, false).type_info(&facts);
        let json: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(
            json,
            serde_json::json!({
                "id": "https://uri.etsi.org/ngsi-ld/default-context/Vehicle",
                "type": "EntityTypeInfo",
                "typeName": "Vehicle",
                "entityCount": 2,
                "attributeDetails": [{
                    "id": "https://uri.etsi.org/ngsi-ld/default-context/speed",
                    "type": "Attribute",
                    "attributeName": "speed",
                    "attributeTypes": ["Property"],
                }],
            })
        );
    }
}
