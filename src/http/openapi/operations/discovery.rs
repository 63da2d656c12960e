//! Which types and attributes there are, and the contexts that name them.

use super::parts::{CREATED, DONE, JSON, LD, LOCAL, WRITES};
use super::{Answer, Body, CONTEXTS, DISCOVERY};

operations! {
    Get Types "listTypes" in DISCOVERY ("5.7.5, 5.7.6, 6.25.3.1"):
    "List the entity types" ""
    { parameters: &[&["details"], LOCAL], headers: WRITES,
      answers: found!("EntityTypes", "The types.") }

    Get Type "describeType" in DISCOVERY ("5.7.7, 6.26.3.1"):
    "Describe an entity type" ""
    { parameters: &[LOCAL], headers: WRITES, answers: found!("EntityTypeInfo", "The type.") }

    Get Attributes "listAttributes" in DISCOVERY ("5.7.8, 5.7.9, 6.27.3.1"):
    "List the attributes" ""
    { parameters: &[&["details"], LOCAL], headers: WRITES,
      answers: found!("AttributesFound", "The attributes.") }

    Get Attribute "describeAttribute" in DISCOVERY ("5.7.10, 6.28.3.1"):
    "Describe an attribute" ""
    { parameters: &[LOCAL], headers: WRITES, answers: found!("AttributeInfo", "The attribute.") }

    Get Contexts "listContexts" in CONTEXTS ("5.13.3, 6.29.3.2"):
    "List contexts" ""
    { parameters: &[&["details", "kind"]],
      answers: &[Answer { status: 200, about: "The contexts.", media: &[(JSON, "ContextsFound")],
        headers: &[] }] }

    Post Contexts "addContext" in CONTEXTS ("5.13.2, 6.29.3.1"):
    "Host a context" ""
    { body: Some(Body { about: "The context.", media: &[(JSON, "HostedContext"), (LD, "HostedContext")] }),
      answers: &[CREATED] }

    Get Context "serveContext" in CONTEXTS ("5.13.4, 6.30.3.1"):
    "Get a context"
    "The content of cached contexts stays with their hosts; `details=true` describes them."
    { parameters: &[&["details"]],
      answers: &[Answer { status: 200, about: "The context.",
        media: &[(JSON, "ContextOrMetadata"), (LD, "ContextOrMetadata")], headers: &[] }],
      refuses: &[422] }

    Delete Context "deleteContext" in CONTEXTS ("5.13.5, 6.30.3.2"):
    "Delete a context, or fetch it anew" ""
    { parameters: &[&["reload"]], answers: &[DONE] }
}
