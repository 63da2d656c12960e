//! Reading simplified values for a Merge: the stored attribute decides their kind (5.6.17).

use super::instance::{check_proof, settle_kind};
use super::shape::looks_like_geometry;
use super::{ReadError, Reader, is_null};
use crate::jsonld::Document;
use crate::model::{
    AttrName, AttributePatch, Bare, DatasetId, Datum, InstanceEdit, InstancePatch, Kind,
};
use crate::represent::terms::Term;

impl Reader<'_> {
    /// Reads the simplified form of an attribute: a value, or `{"dataset": {…}}` with a value for
    /// each datasetId (4.5.4).
    pub(super) fn simplified_attribute(
        &self,
        document: &Document<'_>,
        name: AttrName,
    ) -> Result<AttributePatch, ReadError> {
        let Some([(key, datasets)]) = document.as_object().filter(|members| {
            members.len() == 1 && members[0].0 == "dataset" && members[0].1.as_object().is_some()
        }) else {
            return Ok(AttributePatch(vec![self.simplified(document, name, None)?]));
        };
        let datasets = datasets.as_object().unwrap_or_default();
        if datasets.is_empty() {
            return Err(ReadError::new("a dataset has one value or more").within(key));
        }
        datasets
            .iter()
            .map(|(id, document)| {
                let dataset = match id.as_ref() {
                    "@none" => Ok(None),
                    id => DatasetId::parse(id).map(Some),
                };
                dataset
                    .map_err(|error| ReadError::new(error.to_string()))
                    .and_then(|dataset| self.simplified(document, name, dataset))
                    .map_err(|error| error.within(id).within(key))
            })
            .collect::<Result<_, _>>()
            .map(AttributePatch)
    }

    fn simplified(
        &self,
        document: &Document<'_>,
        name: AttrName,
        dataset: Option<DatasetId>,
    ) -> Result<InstanceEdit, ReadError> {
        if is_null(document) {
            return Ok(InstanceEdit::Remove(dataset));
        }
        let marked = match document.as_object() {
            Some([(key, inner)]) => match Term::of(key) {
                Some(Term::Datum(
                    kind @ (Kind::LanguageProperty | Kind::VocabProperty | Kind::JsonProperty),
                )) => Some((key, kind, inner)),
                _ => None,
            },
            _ => None,
        };
        let (kind, datum) = match marked {
            Some((key, kind, inner)) => {
                let datum = self.datum(kind, inner).map_err(|error| error.within(key))?;
                match datum {
                    Some(datum) => (Some(kind), datum),
                    None => return Ok(InstanceEdit::Remove(dataset)),
                }
            }
            None => (None, Datum::Bare(Box::new(self.bare(document, name)?))),
        };
        settle_kind(name, kind, None)?;
        check_proof(name, &datum)?;
        let patch = InstancePatch { kind, dataset, datum: Some(datum), ..InstancePatch::default() };
        Ok(InstanceEdit::Put(patch))
    }

    fn bare(&self, document: &Document<'_>, name: AttrName) -> Result<Bare, ReadError> {
        let is_geometry = looks_like_geometry(document) || super::shape::is_geometry_name(name);
        let geometry = is_geometry.then(|| self.geometry(document)).transpose()?;
        Ok(Bare {
            value: self.value(document)?,
            raw: document.clone().into_json(),
            vocab: self.vocab(document).ok(),
            geometry,
        })
    }
}
