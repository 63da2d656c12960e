//! What an answer looks like: the texts of a request become a [`Rendering`] (4.5, 4.21, 4.23).

use std::sync::Arc;

use super::entity_maps::add_warnings;
use super::{Broker, Call, Error};
use crate::federate::Warning;
use crate::model::{DatasetId, EntityId, Stored};
use crate::query::{LanguageFilter, Projection};
use crate::represent::{Format, GeoJson, Join, JoinForm, Linked, Links, Rendering, SpecVersion};

/// What an answer is to look like, as a URL or a Query body said it. Lists are comma-separated.
#[derive(Debug, Clone, Default)]
pub struct ViewTexts {
    pub format: Format,
    pub sys_attrs: bool,
    pub pick: Option<String>,
    pub omit: Option<String>,
    /// Deprecated in favour of `pick`, and a condition besides.
    pub attrs: Option<String>,
    pub datasets: Option<String>,
    pub lang: Option<String>,
    /// The answer is GeoJSON.
    pub geojson: bool,
    pub geometry_property: Option<String>,
    pub join: Option<String>,
    pub join_level: Option<u64>,
    pub contained_by: Vec<EntityId>,
    /// The version of the specification that the answer is to follow.
    pub version: Option<SpecVersion>,
}

impl Broker {
    /// The rendering that a request asks for; contradictions are refused (5.7.1.4).
    pub fn rendering(&self, call: &Call, texts: &ViewTexts) -> Result<Rendering, Error> {
        let limits = self.query_limits;
        if texts.geometry_property.is_some() && !texts.geojson {
            return Err(Error::bad(
                "geometryProperty belongs to an answer in application/geo+json",
            ));
        }
        let projection = Projection::parse(
            texts.pick.as_deref(),
            texts.omit.as_deref(),
            texts.attrs.as_deref(),
            &call.context,
            &limits,
        )?;
        let join = self.join_of(texts)?;
        let level = join.as_ref().map_or(0, |join| join.level as usize);
        if projection.link_depth() > level {
            return Err(Error::bad(match level {
                0 => "a projection into linked entities needs the parameter join".to_owned(),
                level => format!("the projection reaches beyond the joinLevel {level}"),
            }));
        }
        let lang = texts.lang.as_deref();
        Ok(Rendering {
            format: texts.format,
            sys_attrs: texts.sys_attrs,
            projection,
            datasets: datasets(texts.datasets.as_deref())?,
            lang: lang.map(|text| LanguageFilter::parse(text, &limits)).transpose()?,
            geojson: texts.geojson.then(|| match texts.geometry_property.as_deref() {
                Some(term) => GeoJson { geometry_property: call.context.lookup(term) },
                None => GeoJson::default(),
            }),
            version: texts.version,
            join,
        })
    }

    fn join_of(&self, texts: &ViewTexts) -> Result<Option<Join>, Error> {
        let form = match texts.join.as_deref() {
            None | Some("@none") => None,
            Some("flat") => Some(JoinForm::Flat),
            Some("inline") => Some(JoinForm::Inline),
            Some(other) => {
                return Err(Error::bad(format!("join is flat, inline or @none, not {other:?}")));
            }
        };
        let most = self.limits.join_level as u64;
        let level = match (texts.join_level, form) {
            (Some(0), _) => return Err(Error::bad("joinLevel is at least 1")),
            (Some(_), None) => return Err(Error::bad("joinLevel needs the parameter join")),
            (Some(level), _) if level > most => {
                return Err(Error::bad(format!("joinLevel is at most {most} here")));
            }
            (level, _) => level.unwrap_or(1) as u32,
        };
        let has_level = form.is_some() && texts.join_level.is_some();
        if !texts.contained_by.is_empty() && !has_level {
            return Err(Error::bad("containedBy needs the parameters join and joinLevel"));
        }
        Ok(form.map(|form| Join {
            form,
            level,
            contained_by: texts.contained_by.clone(),
            limit: self.limits.join_entities,
            bytes: self.limits.join_bytes.bytes(),
        }))
    }

    /// Fetches the entities that those of an answer are joined with, level by level (4.5.23); adds
    /// what there is to say of sources.
    pub(super) async fn linked(
        &self,
        call: &Call,
        entities: &[Arc<Stored>],
        rendering: &Rendering,
        warnings: &mut Vec<Warning>,
    ) -> Result<Linked, Error> {
        if rendering.join.is_none() {
            return Ok(Linked::default());
        }
        let mut links = Links::new(rendering, entities, call.now);
        loop {
            let wanted = links.wanted();
            if wanted.is_empty() {
                return Ok(links.finish());
            }
            let (found, said) = Box::pin(self.get_many(call, &wanted)).await?;
            links.found(found);
            add_warnings(warnings, said);
        }
    }

    /// Entities by their ids, here and at sources; and what there is to say of sources.
    pub(super) async fn get_many(
        &self,
        call: &Call,
        ids: &[EntityId],
    ) -> Result<(Vec<Arc<Stored>>, Vec<Warning>), Error> {
        match call.origin() {
            None => Ok((self.store.get_many(&call.tenant, ids, call.now).await?, Vec::new())),
            Some(origin) => self.get_everywhere(call, origin, ids).await,
        }
    }
}

/// Reads a comma list of datasetIds and `@none`.
fn datasets(text: Option<&str>) -> Result<Vec<Option<DatasetId>>, Error> {
    let Some(text) = text else { return Ok(Vec::new()) };
    text.split(',')
        .map(|item| match item.trim() {
            "@none" => Ok(None),
            item => DatasetId::parse(item)
                .map(Some)
                .map_err(|why| Error::bad(format!("datasetId: {why}"))),
        })
        .collect()
}
