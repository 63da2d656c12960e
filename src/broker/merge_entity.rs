//! Merge Entity (5.6.17).

use crate::egress::Method;

use super::federation::{Body, Missing, Place, Settled, Telling, about, entity_path};
use super::{Broker, Call, Error, check_same_id};
use crate::jsonld::Document;
use crate::model::{Action, EntityId, Timestamp, Write};
use crate::represent::registration::Operation;
use crate::represent::{Reading, is_language_tag};

/// The parameters of a Merge.
#[derive(Debug, Clone, Default)]
pub struct Merging<'a> {
    /// A type selection that the entity has to meet.
    pub only: Option<&'a str>,
    /// The fragment is in the simplified representation.
    pub simplified: bool,
    /// The language that plain strings are in.
    pub lang: Option<&'a str>,
    /// For merged attributes that had an observedAt and get none.
    pub observed_at: Option<Timestamp>,
}

impl Broker {
    /// Merges a fragment deep into an entity. 5.6.17.
    pub async fn merge_entity(
        &self,
        call: &Call,
        id: EntityId,
        merging: Merging<'_>,
        body: &Document<'_>,
    ) -> Result<Settled, Error> {
        if let Some(lang) = merging.lang
            && !is_language_tag(lang)
        {
            return Err(Error::bad(format!(
                "lang is one language tag here, like th or en-GB (RFC 5646), not {lang:?}"
            )));
        }
        let only = self.only(call, merging.only)?;
        let reading = if merging.simplified { Reading::MergeSimplified } else { Reading::Merge };
        let fragment = self.reader(call, reading).fragment(body)?;
        check_same_id(&id, fragment.id.as_ref())?;
        let action = Action::Merge {
            fragment,
            lang: merging.lang.map(Into::into),
            observed_at: merging.observed_at,
        };
        let time = merging.observed_at.map(|at| ("observedAt", at.to_string()));
        let lang = merging.lang.map(|lang| ("lang", lang.to_owned()));
        let format = merging.simplified.then(|| ("format", "simplified".to_owned()));
        let telling = Telling {
            id: &id,
            types: &[],
            only: only.as_ref(),
            attributes: call.origin().map(|_| about(call, body)),
            operation: Operation::MergeEntity,
            method: Method::PATCH,
            path: Place::Plain(entity_path(&id, "")),
            params: [format, lang, time].into_iter().flatten().collect(),
            body: Body::Entity(body),
        };
        match self.write_everywhere(call, &telling, action).await? {
            Ok(parts) => parts.settle(&id, Missing::Fails),
            Err(action) => {
                self.commit_one(call, Write { id, only, action }).await?;
                Ok(Settled::Done)
            }
        }
    }
}
