//! The bodies that say what operations did (5.2.16 to 5.2.19). Names are expanded in them, since
//! they go with no `@context` (6.3.5).

use super::write::{comma, string};
use crate::model::{AttrName, EntityId, Name, Outcome};

/// Something that tells why an element of a batch failed: a ProblemDetails object (5.2.17).
pub trait Failure {
    /// Appends the object.
    fn write_to(&self, out: &mut Vec<u8>);

    /// The same in words.
    fn reason(&self) -> &str;

    /// The registration of the source that failed, if it was one.
    fn registration(&self) -> Option<&str> {
        None
    }
}

/// The ids of entities, as an array.
pub fn ids(ids: &[EntityId]) -> Vec<u8> {
    let mut out = Vec::with_capacity(2 + 64 * ids.len());
    strings(&mut out, ids.iter().map(EntityId::as_str));
    out
}

/// A BatchOperationResult (5.2.16). An element that named no entity fails without `entityId`.
pub fn batch_result<F: Failure>(succeeded: &[EntityId], failed: &[(Option<String>, F)]) -> Vec<u8> {
    let mut out = b"{\"success\":".to_vec();
    strings(&mut out, succeeded.iter().map(EntityId::as_str));
    out.extend_from_slice(b",\"errors\":[");
    for (entity, failure) in failed {
        comma(&mut out);
        out.push(b'{');
        if let Some(id) = entity {
            out.extend_from_slice(b"\"entityId\":");
            string(&mut out, id);
            out.push(b',');
        }
        out.extend_from_slice(b"\"error\":");
        failure.write_to(&mut out);
        registration(&mut out, failure);
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
    out
}

/// An UpdateResult (5.2.18): what was changed, and what was left as it was, and why (5.2.19).
///
/// What failed is told for each attribute it concerns.
pub fn update_result<F: Failure>(outcome: &Outcome, failed: &[(Vec<AttrName>, F)]) -> Vec<u8> {
    let mut out = b"{\"updated\":".to_vec();
    strings(&mut out, outcome.updated.iter().map(|name| name.as_str()));
    out.extend_from_slice(b",\"notUpdated\":[");
    for name in &outcome.untouched {
        comma(&mut out);
        out.extend_from_slice(b"{\"attributeName\":");
        string(&mut out, name.as_str());
        out.extend_from_slice(b",\"reason\":");
        string(&mut out, why_untouched(*name));
        out.push(b'}');
    }
    for (names, failure) in failed {
        for name in names {
            comma(&mut out);
            out.extend_from_slice(b"{\"attributeName\":");
            string(&mut out, name.as_str());
            out.extend_from_slice(b",\"reason\":");
            string(&mut out, failure.reason());
            registration(&mut out, failure);
            out.push(b'}');
        }
    }
    out.extend_from_slice(b"]}");
    out
}

fn registration(out: &mut Vec<u8>, failure: &impl Failure) {
    if let Some(id) = failure.registration() {
        out.extend_from_slice(b",\"registrationId\":");
        string(out, id);
    }
}

fn why_untouched(name: AttrName) -> &'static str {
    match name {
        Name::SCOPE => "the entity has no scope that could be replaced",
        _ => "the attribute exists already and was not to be overwritten",
    }
}

fn strings<'a>(out: &mut Vec<u8>, texts: impl Iterator<Item = &'a str>) {
    out.push(b'[');
    for text in texts {
        comma(out);
        string(out, text);
    }
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Plain(&'static str);

    impl Failure for Plain {
        fn write_to(&self, out: &mut Vec<u8>) {
            out.extend_from_slice(self.0.as_bytes());
        }

        fn reason(&self) -> &str {
            self.0
        }

        fn registration(&self) -> Option<&str> {
            self.0.strip_prefix("of ")
        }
    }

    fn text(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).expect("JSON is UTF-8")
    }

    #[test]
    fn a_batch_result_always_has_both_lists() {
        let id = EntityId::parse("urn:a:1").expect("a URI");
        let failed = [(Some("urn:a:\"2".to_owned()), Plain("{}")), (None, Plain("{}"))];
        assert_eq!(
            text(batch_result(&[id], &failed)),
            r#"{"success":["urn:a:1"],"errors":[{"entityId":"urn:a:\"2","error":{}},{"error":{}}]}"#
        );
        assert_eq!(text(batch_result::<Plain>(&[], &[])), r#"{"success":[],"errors":[]}"#);
    }

    #[test]
    fn an_update_result_says_why_something_was_left() {
        let outcome = Outcome { untouched: vec![Name::SCOPE], ..Outcome::default() };
        let body = text(update_result::<Plain>(&outcome, &[]));
        let start = r#"{"updated":[],"notUpdated":[{"attributeName":"https://uri.etsi.org/ngsi-ld/scope","reason":""#;
        assert!(body.starts_with(start), "{body}");
        let failed = [(vec![Name::SCOPE, Name::LOCATION], Plain("of urn:r:1"))];
        let body = text(update_result(&Outcome::default(), &failed));
        let end = r#"ngsi-ld/location","reason":"of urn:r:1","registrationId":"urn:r:1"}]}"#;
        assert!(body.ends_with(end), "{body}");
    }
}
