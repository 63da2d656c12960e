//! Reading values of Properties: names inside are expanded, and null stands nowhere (4.5.2).

use super::{NGSI_LD_NULL, ReadError, Reader, Reading, is_null, refuse_twins};
use crate::jsonld::Document;
use crate::model::{Name, Value};
use crate::represent::terms::Term;

impl Reader<'_> {
    /// Reads a value that is not the NGSI-LD Null itself.
    pub(super) fn value(&self, document: &Document<'_>) -> Result<Value, ReadError> {
        Ok(match document {
            Document::Null => {
                return Err(ReadError::new(format!(
                    "null is no value in NGSI-LD; leave the member out, or say {{\"@type\": \"@json\", \"@value\": null}}{}",
                    if self.reading.merges() {
                        ", or write \"urn:ngsi-ld:null\" to delete it"
                    } else {
                        ""
                    }
                )));
            }
            Document::Bool(value) => Value::Bool(*value),
            Document::Number(number) => Value::Number(*number),
            Document::String(text) if text == NGSI_LD_NULL => {
                return Err(ReadError::new(match self.reading {
                    Reading::Whole => "an NGSI-LD Null deletes, and this operation deletes nothing",
                    _ => "an NGSI-LD Null cannot stand here",
                }));
            }
            Document::String(text) => Value::String(text.as_ref().into()),
            Document::Array(items) => Value::Array(self.values(items)?),
            Document::Object(members) => {
                let mut read = Vec::with_capacity(members.len());
                for (key, document) in members {
                    read.push(self.value_member(key, document).map_err(|error| error.within(key))?);
                }
                refuse_twins(&read)?;
                literal(read)?
            }
        })
    }

    fn value_member(&self, key: &str, document: &Document<'_>) -> Result<(Name, Value), ReadError> {
        let name = self.value_name(key)?;
        if is_null(document) && self.reading.merges() && !is_keyword(name) {
            return Ok((name, Value::Null));
        }
        let value = match (name, document) {
            (Name::AT_TYPE, document) => self.value_type(document)?,
            // Checked when all members are known: only a JSON literal may be null.
            (Name::AT_VALUE, Document::Null) => Value::Null,
            (_, document) => self.value(document)?,
        };
        Ok((name, value))
    }

    fn value_name(&self, key: &str) -> Result<Name, ReadError> {
        match key {
            "type" | "@type" => Ok(Name::AT_TYPE),
            "id" | "@id" => Ok(Name::AT_ID),
            "@value" => Ok(Name::AT_VALUE),
            "@language" => Ok(Name::AT_LANGUAGE),
            "@context" => Err(ReadError::new(
                "an @context stands beside the members of the body only (raw JSON goes into a JsonProperty)",
            )),
            "" => Err(ReadError::new("the name of a member is empty")),
            keyword if keyword.starts_with('@') => Err(ReadError::new(
                "of the names that begin with @, a value may have @type, @value, @id and @language",
            )),
            term => Ok(self.context.expand(term)?),
        }
    }

    /// The types of a value are names. What is no string is kept as it is: to users who know no
    /// JSON-LD, `type` is a member like any other.
    fn value_type(&self, document: &Document<'_>) -> Result<Value, ReadError> {
        match document {
            Document::String(text) if text == "@json" => Ok(Value::String("@json".into())),
            Document::String(text) if text.is_empty() || text.starts_with('@') => {
                self.value(document)
            }
            Document::String(text) if text == NGSI_LD_NULL => self.value(document),
            Document::String(text) => Ok(Value::String(self.context.expand(text)?.as_str().into())),
            Document::Array(items) => items
                .iter()
                .map(|item| self.value_type(item))
                .collect::<Result<_, _>>()
                .map(Value::Array),
            other => self.value(other),
        }
    }
}

fn is_keyword(name: Name) -> bool {
    matches!(Term::named(name), Some(Term::Type | Term::Id))
        || matches!(name, Name::AT_VALUE | Name::AT_LANGUAGE)
}

/// Checks that a typed value is one (JSON-LD 1.1, 9.5). The JSON literal null is stored as a
/// `@json` without a value, since no stored value is null.
fn literal(mut members: Vec<(Name, Value)>) -> Result<Value, ReadError> {
    let Some(place) = members.iter().position(|(name, _)| *name == Name::AT_VALUE) else {
        return Ok(Value::Object(members.into()));
    };
    let refuse = |why: &str| Err(ReadError::new(why).within("@value"));
    let is_json = members.iter().any(|(name, value)| {
        *name == Name::AT_TYPE && matches!(value, Value::String(text) if text.as_ref() == "@json")
    });
    let allowed = |name: Name| matches!(name, Name::AT_TYPE | Name::AT_VALUE | Name::AT_LANGUAGE);
    if members.iter().any(|(name, _)| !allowed(*name)) {
        return refuse("a typed value has no members but @type, @value and @language");
    }
    match &members[place].1 {
        Value::Null if is_json => drop(members.remove(place)),
        Value::Null => return refuse("only a value of @type @json may be null"),
        Value::Array(_) | Value::Object(_) => {
            return refuse(
                "the @value of a typed value is a string, a number or a boolean; other JSON goes into a JsonProperty",
            );
        }
        _ => {}
    }
    Ok(Value::Object(members.into()))
}
